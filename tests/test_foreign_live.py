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


# As atuin-ai does it: each event is a transaction of one connection, with a WAL.
_EVENTS = """
import json, sqlite3, sys, time, uuid
path, until = sys.argv[1], float(sys.argv[2])
db = sqlite3.connect(path, isolation_level=None, timeout=5)
number = 0
while time.time() < until:
    now = int(time.time())
    if number % 10 == 0:
        session, run, parent = str(uuid.uuid4()), str(uuid.uuid4()), None
        db.execute("insert into sessions (id, created_at, updated_at) values (?, ?, ?)", [session, now, now])
    call = {"id": f"call {number}", "name": "live", "input": {"n": number}}
    result = {"tool_use_id": f"call {number}", "content": f"live {number}", "is_error": False}
    for kind, data in (("user_message", {"content": f"live {number}"}), ("tool_call", call), ("tool_result", result)):
        event = str(uuid.uuid4())
        db.execute("begin immediate")
        db.execute("insert into session_events values (?, ?, ?, ?, ?, ?, ?)",
                   [event, session, parent, run, kind, json.dumps(data), now])
        db.execute("update sessions set head_id = ?, updated_at = ? where id = ?", [event, now, session])
        db.execute("commit")
        parent = event
    number += 1
    time.sleep(0.01)
print(number)
"""
# As appam does it: a session's row is written whole again, with all of its messages.
_ROWS = """
import json, sqlite3, sys, time, uuid
path, until = sys.argv[1], float(sys.argv[2])
db = sqlite3.connect(path, isolation_level=None, timeout=5)
number = 0
at = "2026-11-20T10:00:00+00:00"
while time.time() < until:
    if number % 10 == 0:
        session, messages = str(uuid.uuid4()), []
        db.execute("insert into session_history (id, agent_name, model, messages, started_at, updated_at)"
                   " values (?, 'live', 'm', '[]', ?, ?)", [session, at, at])
    call = {"id": f"call {number}", "type": "function", "function": {"name": "live", "arguments": "{}"}}
    messages += [
        {"role": "user", "content": f"live {number}"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"call {number}", "content": f"live {number}"},
    ]
    db.execute("update session_history set messages = ? where id = ?", [json.dumps(messages), session])
    number += 1
    time.sleep(0.01)
print(number)
"""


def check_no_result_without_its_call(lab: sessionlab.Lab) -> int:
    """Check that one view has each message with its session and each result with its call; return the newest prompt."""
    with lab.snapshot():
        messages, calls, sessions = lab.frame("messages"), lab.frame("tool_calls"), lab.frame("sessions")
        problems = lab.problems
    assert not problems.reason.str.contains("live|cut off|damaged").any()
    assert set(messages.session_id) <= set(sessions.session_id)
    live = messages[messages.content.str.startswith("live ").fillna(False)]
    prompts = [int(text.split()[1]) for text in live[live.role == "user"].content]
    results = [int(text.split()[1]) for text in live[live.role == "tool"].content]
    assert prompts == list(range(len(prompts)))
    assert results in (prompts, prompts[:-1])
    answered = calls[(calls.tool_name == "live") & (calls.status == "ok")]
    assert answered.result.tolist() == [f"live {number}" for number in results]
    return len(prompts)


@pytest.mark.parametrize(("tool", "journal", "program"), [("atuin_ai", "wal", _EVENTS), ("appam", "delete", _ROWS)])
def test_beside_a_live_writer_there_is_no_result_without_its_call(
    tmp_path: Path, tool: str, journal: str, program: str
) -> None:
    path = copy_of(tool, tmp_path / "a.db", journal)
    with sessionlab.open(path) as lab:
        lab.frame("messages")
        arguments = [sys.executable, "-c", program, path, str(time.time() + SECONDS)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writer:
            reads = last = 0
            while writer.poll() is None:
                found = check_no_result_without_its_call(lab)
                assert found >= last
                reads, last = reads + 1, found
            out, err = writer.communicate()
        assert err == ""
        assert check_no_result_without_its_call(lab) == int(out)
    assert reads >= 3
    assert int(out) > 50


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


def test_what_comes_into_the_wal_of_a_file_that_is_named_by_a_link_is_not_missed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path = copy_of("awful_aj", tmp_path / "there" / "a.db")
    link, store = str(tmp_path / "link.db"), str(tmp_path / "store.db")
    os.symlink(path, link)
    with closing(sqlite3.connect(path, isolation_level=None)) as db, sessionlab.open(link) as lab:
        db.execute("pragma journal_mode = wal")
        os.utime(path, (0, 0))  # long ago
        for number in range(3):
            db.execute("insert into messages (role, content, conversation_id) values ('user', ?, 1)", [f"new {number}"])
            os.utime(path + "-wal", (number, number))
            assert f"new {number}" in lab.frame("messages").content.tolist()
            sessionlab.import_histories(link, into=store)
            with sessionlab.open(store) as archive:
                assert f"new {number}" in archive.frame("messages").content.tolist()


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
        "db.execute('begin exclusive'); db.execute('delete from ' + sys.argv[2]); print('ready', flush=True);"
        "sys.stdin.readline(); db.execute('rollback')"
    )
    with sessionlab.open(path) as lab:
        count = len(lab.frame("messages"))
        with subprocess.Popen(
            [sys.executable, "-c", program, path, "messages"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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
