"""A file in rollback mode is read from a copy that was taken without a lock; no copy stays behind."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from test_foreign_files import SAMPLES, copy_of, every_tool

import sessionlab
from sessionlab.lab import attach
from sessionlab.lab.private import LOCK_NAME

if TYPE_CHECKING:
    from pathlib import Path

# Writes again and again, waits for no lock, and counts how often it was refused.
_WRITER = """
import sqlite3, sys
path, number, refused = sys.argv[1], 0, 0
print("ready", flush=True)
while number < 300:
    db = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        db.execute("begin immediate")
        db.execute("insert into messages (role, content, conversation_id) values ('user', ?, 1)", [f"live {number}"])
        db.execute("commit")
        number += 1
    except sqlite3.OperationalError:
        refused += 1
    finally:
        db.close()
print(refused)
"""


def files_of(lab: sessionlab.Lab) -> list[str]:
    """Return the private files of a lab."""
    assert lab._engine is not None
    return [name for _, _, names in os.walk(lab._engine.folder) for name in names if name != LOCK_NAME]


def test_reading_takes_no_lock_while_a_writer_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    places = []
    attach_file = attach.Attachment._attach_file

    def noted(self: attach.Attachment, place: str) -> None:
        places.append((self.is_quiet, os.path.dirname(place)))
        attach_file(self, place)

    monkeypatch.setattr(attach.Attachment, "_attach_file", noted)
    with sessionlab.open(path) as lab:
        assert lab._engine is not None
        assert len(lab.frame("messages")) == 160
        assert {place for is_quiet, place in places if is_quiet} == {lab._engine.folder}
        # What a file is called and what is in it is seen in place, which takes no time.
        assert {place for is_quiet, place in places if not is_quiet} == {str(tmp_path)}


def test_a_writer_that_never_pauses_and_waits_for_no_lock_loses_nothing_by_being_read(tmp_path: Path) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    with sessionlab.open(path) as lab:
        with subprocess.Popen([sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            last = 160
            while writer.poll() is None:
                found = len(lab.frame("messages", columns=["content"]))
                assert found >= last
                last = found
        contents = lab.frame("messages", columns=["content"]).content.tolist()
    assert contents[160:] == [f"live {number}" for number in range(300)]


@every_tool
def test_no_copy_of_a_file_stays_behind_while_the_lab_is_open(tmp_path: Path, tool: str) -> None:
    for journal in ("delete", "wal"):
        path = copy_of(tool, tmp_path / f"{journal}.db", journal)
        with sessionlab.open(path) as lab:
            lab.frame("messages")
            assert files_of(lab) == []


def test_no_copy_of_a_wal_that_was_left_behind_stays(tmp_path: Path) -> None:
    path = copy_of("atuin_ai", tmp_path / "a.db", "wal")
    with closing(sqlite3.connect(path)) as db:
        db.execute("update sessions set directory = '/elsewhere'")
        db.commit()
        for part in ("", "-wal"):
            (tmp_path / f"left.db{part}").write_bytes((tmp_path / f"a.db{part}").read_bytes())
    with sessionlab.open(tmp_path / "left.db") as lab:
        assert set(lab.frame("sessions").directory) == {"/elsewhere"}
        assert files_of(lab) == []


@every_tool
def test_a_file_that_lost_its_end_gives_the_rows_of_the_pages_that_are_there(tmp_path: Path, tool: str) -> None:
    with open(SAMPLES[tool], "rb") as file:
        data = file.read()
    path = tmp_path / "cut.db"
    path.write_bytes(data[: len(data) * 9 // 10])
    if tool == "llm":  # its migrations have moved the schema to the end of the file, and nothing can be read without
        with pytest.raises(sessionlab.HistoryFileError, match="malformed"):
            sessionlab.open(str(path))
        return
    with sessionlab.open(str(path)) as lab, sessionlab.open(copy_of(tool, tmp_path / "whole.db")) as whole:
        found, all_of_it = len(lab.frame("messages")), len(whole.frame("messages"))
        assert all_of_it // 3 < found < all_of_it
        problems = lab.problems
    assert problems.reason.str.contains("the file is cut off").any()
    assert os.listdir(tmp_path).count("cut.db-wal") == 0


def test_a_hard_link_to_a_file_that_is_read_is_not_read_again(tmp_path: Path) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    os.link(path, tmp_path / "b.db")
    with sessionlab.open(tmp_path) as lab:
        assert len(lab.sources) == 1


def test_a_file_that_was_locked_when_it_was_found_is_read_when_the_lock_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionlab.lab.attach._BUSY_MS", 100)
    path = copy_of("awful_aj", tmp_path / "a.db")
    copy_of("appam", tmp_path / "b.db")
    program = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('begin exclusive'); db.execute('delete from ' + sys.argv[2]); print('ready', flush=True);"
        "sys.stdin.readline(); db.execute('rollback')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path, "messages"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        with sessionlab.open(tmp_path) as lab:
            assert set(lab.frame("sessions").source) == {"appam"}
            assert lab.problems.reason.str.contains("locked").sum() == 1
            holder.communicate("\n")
            assert set(lab.frame("sessions").source) == {"appam", "awful_aj"}
            assert not lab.problems.reason.str.contains("locked").any()


def test_a_file_that_is_locked_and_not_being_changed_is_read_all_the_same(tmp_path: Path) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("begin exclusive")
        # In another process, since closing the file here would drop the lock.
        program = f"import sessionlab; print(len(sessionlab.open({path!r}).frame('messages')))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout == "160\n"
        db.execute("rollback")
