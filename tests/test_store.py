"""The file: its schema, its migrations, what is refused, how it is locked, copied and checked."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from helper_process import helper

from sessionlab import Recorder, StoreBusyError, StoreError, StoreReplacedError, StoreVersionError
from sessionlab.store import database as database_module
from sessionlab.store.database import Database, migrations
from sessionlab.store.gate import gate_of

if TYPE_CHECKING:
    from pathlib import Path

RELEASED = {
    1: "b906994d4b05d5df8cbefa9e719086a4c97dc07283332c7ec5711f4c34bb81fa",
    2: "22e263ac60467c876b10814715c244b694c63e8365dcdaaffd067551dfaf23db",
}


def rows(path: str, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Schema and migrations


def test_a_released_migration_never_changes() -> None:
    found = {}
    for migration in migrations():
        with open(migration.path, "rb") as file:
            found[migration.number] = hashlib.sha256(file.read()).hexdigest()
    assert found == RELEASED


def test_migrations_are_numbered_without_gaps_and_no_statement_is_cut_off() -> None:
    known = migrations()
    assert [m.number for m in known] == list(range(1, len(known) + 1))
    for migration in known:
        with open(migration.path, encoding="utf-8") as file:
            assert "".join(migration.statements()) == file.read()


def test_every_table_is_strict(recorder: Recorder, path: str) -> None:
    tables = rows(path, "select name, strict from pragma_table_list where schema = 'main' and type = 'table'")
    assert len(tables) > 10
    assert [name for name, strict in tables if not strict and name != "sqlite_schema"] == []


def test_foreign_keys_are_on(recorder: Recorder) -> None:
    assert recorder._database is not None
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        recorder._database.write(lambda c: c.execute("insert into invocation values (99, 98, 'x', 0)"))


def test_keys_rise_across_all_tables_in_the_order_of_commits(recorder: Recorder, path: str) -> None:
    seen = 0
    with helper(path) as ask:
        ask("open other")
        s = recorder.session()
        for number in range(5):
            ask(f"record {number}")
            turn = s.assistant("a")
            turn.tool_call("t").result("x")
            s.tool_call("u")
            with s.batch():
                s.user("b")
                s.tool_call("v")
            recorder.history.set_metadata(s.session_id, "k", number)
            victim = recorder.session()
            victim.user("x")
            recorder.history.delete(victim.session_id)
            union = """
                select message_key from message union all select tool_call_key from tool_call
                union all select revision from session union all select invocation_key from invocation"""
            keys = sorted(int(str(row[0])) for row in rows(path, union))
            assert len(set(keys)) >= len(keys) - 2  # a session's row and first revision are one number
            last = int(str(rows(path, "select last_key from store")[0][0]))
            assert seen < last
            assert max(keys) <= last
            new = [k for k in keys if k > seen]
            assert new
            seen = last


def test_a_key_is_never_given_twice_although_its_row_was_deleted(recorder: Recorder, path: str) -> None:
    s = recorder.session()
    first = int(str(s.user("a").message_id))
    recorder.history.delete(s.session_id)
    assert int(str(recorder.session().user("b").message_id)) > first
    assert rows(path, "select deletions from store") == [(1,)]


def test_a_failing_migration_leaves_the_file_as_it_was(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Recorder(path) as recorder:
        recorder.session("n").user("a")
    before = rows(path, "select type, name, sql from sqlite_schema")
    schema = tmp_path / "schema"
    shutil.copytree(database_module._SCHEMA_FOLDER, schema)
    (schema / "0003_more.sql").write_text("create table extra (x integer) strict;\ninsert into nowhere values (1);\n")
    monkeypatch.setattr(database_module, "_SCHEMA_FOLDER", str(schema))
    with pytest.raises(StoreError, match="nowhere"):
        Recorder(path)
    assert rows(path, "select type, name, sql from sqlite_schema") == before
    (schema / "0003_more.sql").write_text("create table extra (x integer) strict;\n")
    with Recorder(path) as recorder:  # and with a sound one the store goes on
        recorder.session("n").user("b")
    assert rows(path, "select number, name from migration") == [(1, "sessions"), (2, "archive"), (3, "more")]
    monkeypatch.undo()
    with pytest.raises(StoreVersionError, match=r"schema 3.*pip install --upgrade sessionlab.*another store"):
        Recorder(path)
    assert rows(path, "select count(*) from message") == [(3,)]


def test_several_processes_make_a_new_store_at_once(path: str) -> None:
    program = f"import sessionlab\nwith sessionlab.Recorder({path!r}) as r: r.session().user('a')"
    processes = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(6)]
    assert [process.wait() for process in processes] == [0] * 6
    assert rows(path, "select count(*) from message") == [(6,)]


# What is refused


def test_another_programs_file_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = str(tmp_path / "other.db")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table bookmarks (url text)")
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.execute("insert into bookmarks values ('x')")
    before = snapshot(tmp_path)
    with pytest.raises(StoreError, match=r"another program.*bookmarks"):
        Recorder(path)
    assert snapshot(tmp_path) == before
    connection.close()
    before = snapshot(tmp_path)
    with pytest.raises(StoreError, match=r"another program.*sessionlab\.open"):
        Recorder(path)
    assert snapshot(tmp_path) == before


def test_another_programs_file_that_lies_in_its_wal_alone_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "other.db")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table migration (x)")
    with pytest.raises(StoreError, match="another program"):
        Recorder(path)
    assert connection.execute("select count(*) from sqlite_schema").fetchone() == (1,)
    connection.close()


def test_what_is_no_store_gives_an_error_that_names_it(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and long enough to have a header of a hundred bytes" * 3)
    whole = tmp_path / "whole.db"
    with Recorder(whole) as recorder:
        recorder.session().user("x" * 100_000)
    cut = tmp_path / "cut.db"
    cut.write_bytes(whole.read_bytes()[:6000])
    (tmp_path / "folder").mkdir()
    for path in (text, cut, tmp_path / "folder", text / "history.db", tmp_path / ("n" * 300), "/dev/null"):
        with pytest.raises(StoreError) as caught:
            Recorder(path)
        assert os.path.basename(path) in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("notes")) == ["notes.txt"]


def test_an_empty_file_becomes_a_store(path: str) -> None:
    with open(path, "w"):
        pass
    with Recorder(path) as recorder:
        recorder.session().user("a")


def test_permissions_that_do_not_allow_it_give_an_error_that_names_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with Recorder(folder / "history.db") as recorder:
        recorder.session().user("a")
    program = f"""
import os, sys
from sessionlab import Recorder, StoreError
folder = {str(folder)!r}
path = os.path.join(folder, "history.db")
os.chmod(path, 0o444)
os.chmod(path + ".lock", 0o666)
def refused(path):
    try:
        Recorder(path, enabled=True)
    except StoreError as error:
        assert "history.db" in str(error), error
    else:
        raise AssertionError(path)
Recorder({str(tmp_path / "first.db")!r}).close()  # all is imported before the standard library is out of reach
for parent in (folder, {str(tmp_path)!r}, {str(tmp_path.parent)!r}, {str(tmp_path.parent.parent)!r}):
    os.chmod(parent, 0o755)
os.chmod(folder, 0o777)
if os.geteuid() == 0:
    os.setuid(65534)
else:
    os.chmod(folder, 0o755)
refused(path)                                   # a file that cannot be written
"""
    program += """
if os.getuid() != 65534:
    os.chmod(path, 0o644); os.chmod(folder, 0o555)
refused(path if os.getuid() != 65534 else "/history.db")   # a folder that cannot be written
refused("/proc/history.db")
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    os.chmod(folder, 0o755)
    assert found.returncode == 0, found.stderr


def test_a_store_in_a_read_only_folder_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with Recorder(folder / "history.db") as recorder:
        recorder.session().user("a")
    os.remove(folder / "history.db.lock")
    program = f"""
import os
from sessionlab import Recorder, StoreError
for parent in ({str(tmp_path)!r}, {str(tmp_path.parent)!r}, {str(tmp_path.parent.parent)!r}):
    os.chmod(parent, 0o755)
Recorder({str(tmp_path / "first.db")!r}).close()  # all is imported before the standard library is out of reach
os.chmod({str(folder / "history.db")!r}, 0o666)
os.chmod({str(folder)!r}, 0o555)
if os.geteuid() == 0:
    os.setuid(65534)
try:
    Recorder({str(folder / "history.db")!r}, enabled=True)
except StoreError as error:
    assert "history.db" in str(error), error
else:
    raise AssertionError
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    os.chmod(folder, 0o755)
    assert found.returncode == 0, found.stderr
    assert sorted(os.listdir(folder)) == ["history.db"]


# Locks


def test_a_store_that_another_process_holds_is_busy_after_the_timeout(path: str) -> None:
    with Recorder(path, timeout_s=0.3) as recorder, helper(path) as ask:
        s = recorder.session()
        for command in ("begin", "hold"):
            ask(command)
            start = time.monotonic()
            with pytest.raises(StoreBusyError, match="timeout_s") as caught:
                s.user("lost")
            assert 0.25 < time.monotonic() - start < 5
            assert "history.db" in str(caught.value)
            assert isinstance(caught.value, TimeoutError)
            ask("let")
            s.user(command)
        assert [m.content for m in s.messages()] == ["begin", "hold"]


def test_a_store_that_is_locked_for_less_than_the_timeout_is_waited_for(path: str) -> None:
    with Recorder(path, timeout_s=30) as recorder, helper(path) as ask:
        s = recorder.session()
        ask("hold")
        thread = threading.Thread(target=s.user, args=("a",))
        thread.start()
        ask("let")
        thread.join()
        assert [m.content for m in s.messages()] == ["a"]


def test_a_new_recorder_on_a_store_that_is_held_is_busy(path: str) -> None:
    with helper(path) as ask:
        ask("hold")
        with pytest.raises(StoreBusyError):
            Recorder(path, timeout_s=0.1)
        ask("let")
        Recorder(path).close()


@pytest.mark.parametrize("how", ["removed", "another store", "another store while closed", "another file"])
def test_a_store_that_is_replaced_while_it_is_open_is_not_written(path: str, tmp_path: Path, how: str) -> None:
    recorder = Recorder(path)
    s = recorder.session()
    s.user("a")
    replacement = str(tmp_path / "replacement.db")
    if how == "another file":
        with open(replacement, "w") as file:
            file.write("text")
    else:
        with Recorder(replacement) as other:
            other.session().user("b")
    with open(replacement, "rb") as file:
        before = file.read()
    if how == "removed":
        for suffix in ("", "-wal", "-shm"):
            os.remove(path + suffix)
    elif how == "another store while closed":
        # In the place of the old one and with its number, as file systems hand it out again.
        with gate_of(path).released(), open(path, "r+b") as file, open(replacement, "rb") as source:
            shutil.copyfileobj(source, file)
            file.truncate()
    else:
        os.replace(replacement, path)
    with pytest.raises(StoreReplacedError, match="history"):
        s.user("lost")
    with pytest.raises(StoreReplacedError):
        recorder.history.list()
    recorder.close()
    if how == "removed":
        assert not os.path.exists(path)
    else:
        with open(path, "rb") as file:
            assert file.read() == before


# Maintenance


def test_check_finds_planted_damage(path: str) -> None:
    with Recorder(path) as recorder:
        s = recorder.session()
        for number in range(300):
            s.assistant(f"text {number} " * 20).tool_call("t").result("r")
        assert recorder._database is not None
        assert recorder._database.check() == []
    damages = [
        "update message set parent_key = 999999 where message_index = 5",
        "update message set message_index = 100000 where message_index = 599",
        "delete from message_text where message_key = (select max(message_key) from message)",
        "delete from tool_call_text",
        "update tool_call set turn_key = 1",
        "update session set revision = 10000000",
        "update message set session_key = 12345 where message_index = 7",
    ]
    for damage in damages:
        copy = path + ".damaged"
        shutil.copy(path, copy)
        connection = sqlite3.connect(copy)
        with connection:
            connection.execute(damage)
        connection.close()
        database = Database(copy, as_it_is=True)
        assert database.check() != [], damage
        database.close()
        os.remove(copy)
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 8192 * 4096)
        file.write(os.urandom(4096 * 4))
    database = Database(path, as_it_is=True)
    assert database.check() != []
    database.close()


def test_as_it_is_creates_and_changes_nothing(path: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="history"):
        Database(path, as_it_is=True)
    assert not os.path.exists(path)
    with open(path, "w"):
        pass
    with pytest.raises(StoreError, match="empty"):
        Database(path, as_it_is=True)
    assert os.path.getsize(path) == 0


def test_a_backup_while_another_process_records_is_whole_up_to_some_moment(path: str, tmp_path: Path) -> None:
    program = f"""
import sessionlab
with sessionlab.Recorder({path!r}) as recorder:
    s = recorder.session("busy")
    print("ready", flush=True)
    for number in range(100_000):
        s.user(str(number))
        print(number, flush=True)
"""
    writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    seen: list[tuple[int, int]] = []
    try:
        with Recorder(path) as recorder:
            assert recorder._database is not None
            acknowledged = 0
            for number in range(5):
                for _ in range(50):
                    acknowledged = int(writer.stdout.readline())
                target = str(tmp_path / f"backup{number}.db")
                recorder._database.backup(target, lambda done, total: seen.append((done, total)))
                assert rows(target, "pragma integrity_check") == [("ok",)]
                contents = [
                    int(str(r[0])) for r in rows(target, "select content from message_text order by 1 + content")
                ]
                assert contents == list(range(len(contents)))
                assert len(contents) > acknowledged
                assert [n for n in os.listdir(tmp_path) if n.startswith(f"backup{number}")] == [f"backup{number}.db"]
                with Recorder(target) as copy:
                    copy.session("busy").user("goes on")
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    assert seen
    assert seen[-1][0] == seen[-1][1]


def test_a_backup_overwrites_nothing_and_cleans_up(recorder: Recorder, tmp_path: Path) -> None:
    assert recorder._database is not None
    recorder.session().user("a")
    taken = tmp_path / "taken.db"
    taken.write_text("precious")
    with pytest.raises(StoreError, match="overwrites nothing"):
        recorder._database.backup(str(taken))
    with pytest.raises(StoreError, match="cannot be written"):
        recorder._database.backup(str(tmp_path / "no" / "folder.db"))
    (tmp_path / "b.db.partial").write_text("")
    with pytest.raises(StoreError, match="cut off"):
        recorder._database.backup(str(tmp_path / "b.db"))
    assert taken.read_text() == "precious"
    assert not (tmp_path / "b.db").exists()


def test_vacuum_gives_room_back(recorder: Recorder, path: str) -> None:
    assert recorder._database is not None
    s = recorder.session()
    s.user("x" * 2_000_000)
    recorder.session("kept").user("y")
    recorder.history.delete(s.session_id)
    recorder._database.vacuum()
    assert os.path.getsize(path) < 500_000
    assert os.path.getsize(path + "-wal") == 0
    assert [summary.name for summary in recorder.history.list()] == ["kept"]
    recorder.session("kept").user("z")
