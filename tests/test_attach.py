"""Reading leaves a file and its folder as they are, and whatever cannot be read says so."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from helper_process import helper
from test_frames import COLUMNS, SAMPLE, check_frames, record_all

import sessionlab
from sessionlab import HistoryFileError, Recorder, SessionLabError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def listing(folder: str) -> dict[str, tuple[int, int, bytes]]:
    """Return the names in a folder with size, time and content; the index of a WAL belongs to whoever reads."""
    found = {}
    for name in sorted(os.listdir(folder)):
        status = os.stat(os.path.join(folder, name))
        if name.endswith("-shm"):
            found[name] = (0, 0, b"")
        else:
            with open(os.path.join(folder, name), "rb") as file:
                found[name] = (status.st_size, status.st_mtime_ns, file.read())
    return found


def read_all(path: str) -> int:
    """Read every frame with all texts and return how many messages there are."""
    with sessionlab.open(path) as lab:
        for name in COLUMNS:
            lab.frame(name)
        lab.sql("select * from messages")
        return len(lab.frame("messages"))


@pytest.mark.parametrize("journal", ["wal", "rollback"])
def test_reading_a_store_that_nobody_has_open_leaves_all_as_it_was(path: str, journal: str) -> None:
    with Recorder(path, journal=journal) as recorder:  # type: ignore[arg-type]  # one of the two
        record_all(recorder)
    before = listing(os.path.dirname(path))
    assert [n for n in before if n.endswith(("-wal", "-shm", "-journal"))] == []
    assert read_all(path) > 5
    assert listing(os.path.dirname(path)) == before


def test_reading_a_foreign_wal_file_makes_no_lock_beside_it(tmp_path: Path, path: str) -> None:
    with Recorder(path) as recorder:
        record_all(recorder)
    os.remove(path + ".lock")
    before = listing(str(tmp_path))
    assert list(before) == ["history.db"]
    assert read_all(path) > 5
    assert listing(str(tmp_path)) == before


def test_reading_beside_a_live_writer_of_another_process_changes_nothing(path: str) -> None:
    with helper(path) as ask:
        ask("open theirs")
        ask("record one")
        before = listing(os.path.dirname(path))
        assert [n for n in before if n.endswith(("-wal", "-shm"))] == ["history.db-shm", "history.db-wal"]
        assert read_all(path) == 1
        assert listing(os.path.dirname(path)) == before
        ask("record two")
        assert read_all(path) == 2


def test_the_wal_of_a_killed_process_is_read_and_kept(path: str) -> None:
    with helper(path) as ask:
        ask("open theirs")
        ask("record one")
        ask("record two")
        ask("die")
    before = listing(os.path.dirname(path))
    assert before["history.db-wal"][0] > 0
    assert read_all(path) == 2
    assert listing(os.path.dirname(path)) == before
    os.remove(path + "-shm")  # as after a restart, or a copy of the two files
    before = listing(os.path.dirname(path))
    assert read_all(path) == 2
    assert listing(os.path.dirname(path)) == before


HOT = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("pragma cache_size = 1")
connection.execute("begin immediate")
connection.execute("update message_text set content = 'never committed' || content")
connection.execute("update tool_call_text set arguments = 'never committed'")
connection.execute("update session set name = 'never committed'")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_hot_journal_of_a_killed_process_is_not_read_as_if_committed_and_kept(path: str) -> None:
    shutil.copyfile(SAMPLE, path)
    done = subprocess.run([sys.executable, "-c", HOT, path], check=False)
    assert done.returncode == -signal.SIGKILL
    before = listing(os.path.dirname(path))
    assert before["history.db-journal"][0] > 0
    with sessionlab.open(path) as lab, sessionlab.open(SAMPLE) as sample:
        assert lab.frame("messages").equals(sample.frame("messages"))
        assert lab.frame("sessions").name.equals(sample.frame("sessions").name)
    assert listing(os.path.dirname(path)) == before


UNPRIVILEGED = """
import os, sys
import sessionlab
from sessionlab.lab.histories import Histories
lab = sessionlab.open(sys.argv[1])  # while Python and DuckDB's extension can be read
lab.frame("messages")
if os.getuid() == 0:
    os.chown(lab._engine.folder, 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
for path in sys.argv[2:]:
    folder = os.path.dirname(path)
    before = sorted(os.listdir(folder))
    try:
        lab._histories = Histories(lab._engine, [path])
        print(len(lab.frame("messages")), sorted(os.listdir(folder)) == before)
    except sessionlab.HistoryFileError as error:
        print("HistoryFileError", sorted(os.listdir(folder)) == before)
"""


def test_an_unprivileged_user_reads_read_only_files_and_folders(tmp_path: Path) -> None:
    paths, expected = [], []
    for name, journal, mode, folder_mode in (
        ("a", "wal", 0o444, 0o555),
        ("b", "wal", 0o444, 0o777),
        ("c", "wal", 0o666, 0o555),
        ("d", "rollback", 0o444, 0o555),
        ("e", "rollback", 0o444, 0o777),
        ("f", "wal", 0o000, 0o555),
    ):
        folder = tmp_path / name
        folder.mkdir()
        path = str(folder / "history.db")
        with Recorder(path, journal=journal) as recorder:  # type: ignore[arg-type]  # one of the two
            recorder.session("a").user("b")
        os.chmod(path, mode)
        os.chmod(folder, folder_mode)
        paths.append(path)
        expected.append("HistoryFileError True" if mode == 0 else "1 True")
    left = tmp_path / "left"
    left.mkdir()
    with helper(str(left / "history.db")) as ask:
        ask("open theirs")
        ask("record one")
        ask("die")
    os.remove(left / "history.db-shm")
    for file in left.iterdir():
        os.chmod(file, 0o444)
    os.chmod(left, 0o555)
    paths.append(str(left / "history.db"))
    expected.append("1 True")
    for parent in (tmp_path, *tmp_path.parents):  # pytest's folders are private
        if parent.stat().st_uid == os.getuid() and str(parent).startswith("/tmp/"):
            os.chmod(parent, 0o755)
    root = os.path.dirname(os.path.dirname(os.path.abspath(sessionlab.__file__)))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNPRIVILEGED, SAMPLE, *paths],
        capture_output=True, text=True, check=False, cwd=root, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.stdout.splitlines() == expected, done.stderr


def test_a_missing_path_is_an_error_and_is_not_created(tmp_path: Path) -> None:
    for missing in (tmp_path / "missing.db", tmp_path / "no" / "folder.db"):
        with pytest.raises(HistoryFileError, match="is not there"):
            sessionlab.open(missing)
    assert list(tmp_path.iterdir()) == []
    for wrong in ("", "a\0b", 5, None, b"x"):
        with pytest.raises(HistoryFileError, match="no path"):
            sessionlab.open(wrong)  # type: ignore[arg-type]  # on purpose


def sqlite_of_nobody(path: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table session (session_key integer, revision text)")
    connection.execute("create virtual table words using fts5(word)")
    connection.execute('create table "odd \'name" ("odd, column" text)')
    connection.commit()
    connection.close()


def schema_only(path: str) -> None:
    source, target = sqlite3.connect(SAMPLE), sqlite3.connect(path)
    for (sql,) in source.execute("select sql from sqlite_schema where sql is not null and name not like 'sqlite%'"):
        target.execute(sql)
    target.commit()
    source.close()
    target.close()


BAD: dict[str, Callable[[str], None]] = {
    "empty.db": lambda path: open(path, "w").close(),
    "text.db": lambda path: _write(path, b"just a text file, longer than the header of a SQLite file is\n" * 9),
    "short.db": lambda path: _write(path, b"SQLite format 3\0"),
    "random.db": lambda path: _write(path, random.Random(1).randbytes(9000)),
    "header.db": lambda path: _write(path, b"SQLite format 3\0" + random.Random(2).randbytes(9000)),
    "truncated.db": lambda path: _write(path, _sample()[:5000]),
    "half.db": lambda path: _write(path, _sample()[: len(_sample()) // 2]),
    "odd.db": lambda path: _write(path, _sample()[:100_001]),
    "other.db": sqlite_of_nobody,
    "tables only.db": schema_only,
    "fifo.db": os.mkfifo,
}


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _sample() -> bytes:
    with open(SAMPLE, "rb") as file:
        return file.read()


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_history_is_an_error_when_named_and_a_problem_when_found(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    BAD[name](path)
    shutil.copyfile(SAMPLE, tmp_path / "good.db")
    names = sorted(os.listdir(tmp_path))
    with pytest.raises(HistoryFileError) as caught:
        read_all(path)
    assert name in str(caught.value)
    with sessionlab.open(tmp_path) as lab:
        assert len(lab.frame("turns")) == 207
        problems = lab.problems
        assert problems[problems.origin == path].shape[0] == 1
        check_frames(lab)
    assert sorted(os.listdir(tmp_path)) == names


@pytest.mark.parametrize(
    "name",
    [
        "it's.db",
        'a "quote".db',
        "a b  c.db",
        "100%.db",
        "%41?mode=memory&x=#frag.db",
        "größe 日本 🙂.db",
        "'; drop table session; --.db",
        "a;b|c*[d]?{e}.db",
        ":memory:.db",
        "file:x.db",
        "-rf.db",
        "new\nline.db",
        "back\\slash.db",
        "not-utf8-\udcff.db",
    ],
)
@pytest.mark.parametrize("journal", ["wal", "rollback"])
def test_a_path_may_have_any_characters(tmp_path: Path, name: str, journal: str) -> None:
    folder = tmp_path / name.removesuffix(".db")
    folder.mkdir()
    path = str(folder / name)
    shutil.copyfile(SAMPLE, path)
    if journal == "wal":
        connection = sqlite3.connect(path)
        connection.execute("pragma journal_mode = wal")
        connection.close()
    before = listing(str(folder))
    with sessionlab.open(path) as lab:
        assert len(lab.frame("turns")) == 207
        assert lab.frame("sessions").origin.iloc[0].endswith(name.replace("\udcff", "\N{REPLACEMENT CHARACTER}\\udcff"))
        assert lab.sql("select count(*) as n from messages where content is not null").pandas()["n"].iloc[0] == 373
        repr(lab), lab._repr_html_()
    assert listing(str(folder)) == before


def test_damaged_pages_are_errors_of_ours_or_rows_and_nothing_else(tmp_path: Path) -> None:
    data = _sample()
    chance = random.Random(7)
    refused = 0
    for number in range(40):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 3, 30))):
            start = chance.randrange(100, len(damaged) - 600)
            size = chance.choice((1, 8, 500))
            damaged[start : start + size] = chance.choice((chance.randbytes(size), b"\0" * size, b"\xff" * size))
        path = tmp_path / f"{number}.db"
        path.write_bytes(damaged)
        try:
            read_all(str(path))
        except HistoryFileError:
            refused += 1
        except SessionLabError as error:
            pytest.fail(f"{number}: {error!r}")
        path.unlink()
    assert refused > 5
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_goes_bad_while_it_is_open_is_an_error_and_reads_again_when_mended(path: str) -> None:
    shutil.copyfile(SAMPLE, path)
    with sessionlab.open(path) as lab:
        assert len(lab.frame("messages")) == 477
        data = _sample()
        with open(path, "r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 40_000)
        for _ in range(2):
            with pytest.raises(HistoryFileError):
                lab.frame("messages")
        _write(path, data)
        assert len(lab.frame("messages")) == 477
        os.remove(path)
        with pytest.raises(HistoryFileError):
            lab.frame("messages")
        _write(path, data)
        check_frames(lab)
