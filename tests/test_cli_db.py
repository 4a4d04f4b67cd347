"""The commands `db …`: looking after a store, also while others use it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import command_line
import pytest
from command_line import PROGRAM, at_terminal

import sessionlab
from sessionlab import Recorder, Session

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Return a store in its own folder, with three sessions; the second is archived and the oldest."""
    path = str(tmp_path / "store" / "history.db")
    now = datetime.now(UTC)
    with Recorder(path) as recorder:
        for number, days in enumerate((40, 100, 1)):
            began = now - timedelta(days=days)
            archived = now if number == 1 else None
            recorder.history.save(Session(session_id=f"s{number}", started_at=began, archived_at=archived))
    return path


def run(*arguments: str, code: int = 0) -> Result:
    return command_line.run("db", *arguments, code=code)


def ids(path: str) -> set[str]:
    with Recorder(path) as recorder:
        return {session.session_id for session in recorder.history.list()}


def test_path_says_where_and_what_decided_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("path").stdout.splitlines() == [
        str(home / "data" / "sessionlab" / "history.db"),
        "decided by the platform's default",
    ]
    config = home / "config" / "sessionlab" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("db = '~/mine.db'\n")
    assert run("path").stdout.splitlines() == [str(home / "mine.db"), f"decided by the settings file {config}"]
    monkeypatch.setenv("SESSIONLAB_DB", "/tmp/other.db")
    assert run("path").stdout.splitlines() == [
        "/tmp/other.db",
        "decided by the environment variable SESSIONLAB_DB",
    ]
    assert run("path", "--db", "/tmp/third.db").stdout.splitlines() == ["/tmp/third.db", "decided by the argument"]
    assert not (home / "data").exists()


def test_a_setting_that_makes_no_sense_is_a_line(home: Path) -> None:
    config = home / "config" / "sessionlab" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("db = \n")
    assert "is not TOML" in run("path", code=1).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("backup", "{there}"),
        ("vacuum",),
        ("migrate",),
        ("prune", "--max-sessions", "1", "--yes"),
        ("reset", "--yes"),
    ],
)
def test_no_command_makes_a_store_where_none_was(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    missing = tmp_path / "no" / "history.db"
    words = [word.format(there=tmp_path / "backup.db") for word in arguments]
    assert "There is no store at" in run(*words, "--db", str(missing), code=1).stderr
    assert sorted(os.listdir(tmp_path)) == ["home"]


@pytest.mark.parametrize("command", [("check",), ("vacuum",), ("migrate",), ("reset", "--yes")])
def test_no_command_touches_the_file_of_another_program(tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("create table theirs (a)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    assert "another program" in run(*command, "--db", str(path), code=1).stderr
    assert path.read_bytes() == before


def test_check_says_that_a_store_is_sound(store: str) -> None:
    assert run("check", "--db", store).stdout == f"{store}: sound\n"


def test_check_lists_what_is_wrong(store: str) -> None:
    connection = sqlite3.connect(store)
    connection.execute("update counter set last_key = 0")
    connection.commit()
    connection.close()
    result = run("check", "--db", store, code=1)
    assert "a key is larger than the counter" in result.stdout
    assert "not sound: 1 finding" in result.stderr


def test_backup_makes_a_sound_copy_and_overwrites_nothing(store: str, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    with Recorder(store) as recorder, recorder.session("open") as s:
        s.user("while the backup runs")
        done = subprocess.run(
            [PROGRAM, "db", "backup", str(target), "--db", store], capture_output=True, text=True, check=True
        )
        s.user("and after it")
    assert done.stdout.startswith(f"{target}: ")
    assert run("check", "--db", str(target)).stdout == f"{target}: sound\n"
    assert len(ids(str(target))) == 4
    before = target.read_bytes()
    assert "is there already" in run("backup", str(target), "--db", store, code=1).stderr
    assert target.read_bytes() == before


def test_vacuum_makes_a_store_smaller(store: str) -> None:
    with Recorder(store) as recorder:
        with recorder.session("large", new=True) as s, s.batch():
            for _ in range(200):
                s.user("x" * 5000)
        recorder.history.delete(s.session_id)
    before = os.path.getsize(store)
    assert " before, " in run("vacuum", "--db", store).stdout
    assert os.path.getsize(store) < before / 2
    assert ids(store) == {"s0", "s1", "s2"}


def test_migrate_says_the_schema(store: str) -> None:
    assert "the newest already" in run("migrate", "--db", store).stdout


def test_prune_says_how_many_and_asks(store: str) -> None:
    assert "Nothing says what to delete" in run("prune", "--db", store, code=2).stderr
    assert "is no age" in run("prune", "--older-than", "soon", "--db", store, code=2).stderr
    refused = run("prune", "--older-than", "90d", "--db", store, code=2).stderr
    assert "Delete 1 of the 3 sessions" in refused
    assert "--yes" in refused
    assert ids(store) == {"s0", "s1", "s2"}
    assert "1 session deleted" in run("prune", "--older-than", "90d", "--db", store, "--yes").stdout
    assert ids(store) == {"s0", "s2"}
    assert "nothing to delete" in run("prune", "--older-than", "90d", "--db", store).stdout
    assert "1 session deleted" in run("prune", "--max-sessions", "1", "--db", store, "--yes").stdout
    assert ids(store) == {"s2"}


def test_prune_counts_what_it_deletes(store: str) -> None:
    refused = run("prune", "--max-sessions", "2", "--older-than", "30d", "--db", store, code=2).stderr
    assert "Delete 2 of the 3 sessions" in refused
    assert (
        "2 sessions deleted"
        in run("prune", "--max-sessions", "2", "--older-than", "30d", "--db", store, "--yes").stdout
    )
    assert ids(store) == {"s2"}


def test_prune_takes_the_limit_of_the_settings(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONLAB_MAX_SESSIONS", "2")
    monkeypatch.setenv("SESSIONLAB_ENABLED", "no")
    assert "1 session deleted" in run("prune", "--db", store, "--yes").stdout
    monkeypatch.delenv("SESSIONLAB_ENABLED")
    assert ids(store) == {"s0", "s2"}


def test_reset_asks_at_a_terminal_and_takes_no_for_an_answer(store: str) -> None:
    code, said = at_terminal("db", "reset", "--db", store, said=b"n\n")
    assert code == 1
    assert "Delete all 3 sessions" in said
    assert ids(store) == {"s0", "s1", "s2"}
    code, said = at_terminal("db", "reset", "--db", store, said=b"y\n")
    assert code == 0, said
    assert ids(store) == set()


def test_reset_counts_what_is_archived_as_well(store: str) -> None:
    sessionlab.import_histories(os.path.join(command_line.ROOT, "sample_data", "awful_aj", "second.db"), into=store)
    with sessionlab.open(store) as lab:
        count = len(lab.frame("sessions"))
    assert f"{count} sessions deleted" in run("reset", "--yes", "--db", store).stdout


def test_reset_refuses_where_nobody_can_be_asked(store: str) -> None:
    assert "--yes" in run("reset", "--db", store, code=2).stderr
    assert ids(store) == {"s0", "s1", "s2"}


@pytest.mark.parametrize("journal", ["wal", "rollback"])
def test_reset_makes_an_empty_store_of_the_same_journal_mode(store: str, journal: str) -> None:
    if journal == "rollback":
        Recorder(store, journal="rollback").close()
    inode = os.stat(store).st_ino
    assert "3 sessions deleted" in run("reset", "--db", store, "--yes").stdout
    assert os.stat(store).st_ino != inode
    assert os.stat(store).st_mode & 0o777 == 0o600
    assert sorted(os.listdir(os.path.dirname(store))) == ["history.db", "history.db.lock"]
    connection = sqlite3.connect(store)
    mode = connection.execute("pragma journal_mode").fetchone()[0]
    connection.close()
    assert mode == {"wal": "wal", "rollback": "delete"}[journal]
    assert ids(store) == set()
    assert run("check", "--db", store).stdout.endswith("sound\n")


def test_reset_follows_a_link_and_leaves_it(store: str, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(store)
    run("reset", "--db", str(link), "--yes")
    assert link.is_symlink()
    assert ids(store) == set()


OTHER = """
import sys
import sessionlab
recorder = sessionlab.Recorder(sys.argv[1])
s = recorder.session("other")
s.user("before")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(2):
    try:
        s.user("after")
        print("recorded", flush=True)
    except sessionlab.StoreReplacedError:
        print("replaced", flush=True)
sys.stdin.readline()
recorder.close()
print("closed", flush=True)
"""


def test_reset_tells_who_is_recording_and_loses_nothing_of_the_new_store(store: str) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    run("reset", "--db", store, "--yes")
    with Recorder(store) as recorder, recorder.session("new") as s:
        s.user("recorded to the new store")
        other.stdin.write("\n")
        other.stdin.flush()
        assert [other.stdout.readline() for _ in range(2)] == ["replaced\n", "replaced\n"]
        s.user("and once more")
        # The last close of the old store must not take the new store's WAL with it.
        wal = os.stat(store + "-wal").st_ino
        assert other.communicate("\n", timeout=60)[0] == "closed\n"
        assert other.returncode == 0
        assert os.stat(store + "-wal").st_ino == wal
        s.user("and at the end")
        copy = shutil.copytree(os.path.dirname(store), os.path.dirname(store) + "-killed")
    with Recorder(os.path.join(copy, "history.db")) as recorder:  # as if killed at that moment
        stored = recorder.history.get(s.session_id)
    assert stored is not None
    assert [m.content for m in stored.messages] == ["recorded to the new store", "and once more", "and at the end"]
    assert run("check", "--db", store).stdout.endswith("sound\n")
    assert len(ids(store)) == 1


def test_reset_waits_for_the_lock_and_gives_up_without_harm(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessionlab.store.gate.DEFAULT_TIMEOUT_S", 0.2)
    code = (
        "import sys; from sessionlab.store.lock import ProcessLock\n"
        "lock = ProcessLock(sys.argv[1] + '.lock'); lock.acquire(1); print('held', flush=True); sys.stdin.readline()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        assert "stayed locked" in run("reset", "--db", store, "--yes", code=1).stderr
    finally:
        holder.communicate("\n", timeout=30)
    assert ids(store) == {"s0", "s1", "s2"}
