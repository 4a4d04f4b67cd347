"""Reading a file while another tool writes to it: nothing is torn, nothing missed, and the writer is not held up."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from test_foreign_files import copy_of

import sessionlab

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 10
# One question with its answer is one transaction, in a session of its own every tenth time. As `aj` does it, each has a
# connection of its own that waits for no lock; with a WAL it is one connection, as other tools have it.
_WRITER = """
import sqlite3, sys, time
path, journal, until, pause = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
number = refused = 0
def connect():
    return sqlite3.connect(path, isolation_level=None, timeout=5 if journal == "wal" else 0)
kept = connect() if journal == "wal" else None
while time.time() < until:
    db = kept or connect()
    try:
        db.execute("begin immediate")
        if number % 10 == 0:
            db.execute("insert into conversations (session_name) values (?)", [f"live {number}"])
        (last,) = db.execute("select max(id) from conversations").fetchone()
        for role in ("user", "assistant"):
            text = f"live {number} {role} " + "x" * (number % 3000) + " end"
            db.execute("insert into messages (role, content, conversation_id) values (?, ?, ?)", [role, text, last])
        db.execute("commit")
        number += 1
    except sqlite3.OperationalError:
        refused += 1
        if db.in_transaction:
            db.execute("rollback")
    finally:
        if kept is None:
            db.close()
    time.sleep(pause)
print(number, refused)
"""


def write(path: str, journal: str, seconds: float, pause: float) -> subprocess.Popen[str]:
    """Start the other process."""
    arguments = [sys.executable, "-c", _WRITER, path, journal, str(time.time() + seconds), str(pause)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check_whole_exchanges(lab: sessionlab.Lab) -> int:
    """Check that one view has each question with its answer and its session, and return how many there are."""
    with lab.snapshot():
        messages, turns, sessions = lab.frame("messages"), lab.frame("turns"), lab.frame("sessions")
        counted = lab.sql("select count(content) as n from messages").pandas()
    assert counted["n"].iloc[0] == messages.content.notna().sum()
    live = messages[messages.content.str.startswith("live ").fillna(False)]
    assert live.content.str.endswith(" end").all()
    for role in ("user", "assistant"):
        of_role = live[live.role == role].content
        assert [int(text.split()[1]) for text in of_role] == list(range(len(of_role))), role
    assert (live.role == "user").sum() == (live.role == "assistant").sum()
    assert set(messages.session_id) <= set(sessions.session_id)
    names = sessions[sessions.session_id.isin(live.session_id)].name
    assert names.tolist() == [f"live {number}" for number in range(0, len(live) // 2, 10)]
    assert turns.response.str.startswith("live ").fillna(False).sum() == len(live) // 2
    return len(live) // 2


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_beside_a_live_writer_no_read_is_torn_and_the_last_one_has_everything(tmp_path: Path, journal: str) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db", journal)
    reads, last = 0, 0
    with sessionlab.open(path) as lab:
        lab.frame("messages")
        writer = write(path, journal, SECONDS, 0.02)
        while writer.poll() is None:
            found = check_whole_exchanges(lab)
            assert found >= last
            reads, last = reads + 1, found
        out, err = writer.communicate()
        assert err == ""
        written, refused = map(int, out.split())
        assert check_whole_exchanges(lab) == written
        said = f"{written} exchanges written, {refused} refused, {reads} reads"
    assert reads >= 3, said
    assert written > 50, said
    # The writer is refused only while the pages are read, not while frames are made of them.
    assert refused <= (written // 4 if journal == "delete" else 0), said
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)


def test_no_change_is_missed_however_quickly_changes_follow_each_other(tmp_path: Path) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db, sessionlab.open(path) as lab:
        db.execute("pragma synchronous = off")
        for number in range(20):
            # The same size each time, and often the same tick of the clock.
            db.execute("update messages set content = ? where id = 4", [f"{number:08d}"])
            assert lab.frame("messages", columns=["content"]).content[3] == f"{number:08d}"
            db.execute("update conversations set session_name = ? where id = 1", [f"{number:08d}"])
            assert f"{number:08d}" in lab.frame("sessions", columns=["name"]).name.tolist()


def test_a_snapshot_of_a_file_that_has_just_changed_has_its_texts(tmp_path: Path) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    with sessionlab.open(path) as lab, lab.snapshot():
        assert len(lab.frame("sessions")) == 20
        assert lab.frame("messages").content.notna().all()


def test_a_file_in_use_by_a_long_transaction_is_an_error_of_ours_and_is_read_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionlab.lab.attach._BUSY_MS", 100)
    path = copy_of("awful_aj", tmp_path / "a.db")
    program = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('begin exclusive'); print('ready', flush=True); sys.stdin.readline(); db.execute('rollback')"
    )
    with sessionlab.open(path) as lab:
        count = len(lab.frame("messages"))
        with subprocess.Popen(
            [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            os.utime(path)
            with pytest.raises(sessionlab.HistoryFileError, match="locked"):
                lab.frame("messages")
            with pytest.raises(sessionlab.HistoryFileError, match="locked"):
                sessionlab.open(path)
            holder.communicate("\n")
        assert len(lab.frame("messages")) == count
