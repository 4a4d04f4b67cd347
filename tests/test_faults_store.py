"""Killed recorders, and a user's own handles on the file in the recording process: nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from helper_process import helper
from soaking import sizes, tell

from sessionlab import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_RECORDER = """
import sys
from sessionlab import Recorder
recorder = Recorder(sys.argv[1])
s = recorder.session(sys.argv[2])
def said(text):
    print(text, flush=True)
number = 0
while True:
    number += 1
    s.user(f"{sys.argv[2]} {number} prompt"); said(f"{sys.argv[2]} {number} prompt")
    turn = s.assistant(f"{sys.argv[2]} {number} answer"); said(f"{sys.argv[2]} {number} answer")
    call = turn.tool_call("t", "x")
    call.result(f"{sys.argv[2]} {number} result"); said(f"{sys.argv[2]} {number} result")
    with s.batch():
        s.note(f"{sys.argv[2]} {number} first note")
        s.note(f"{sys.argv[2]} {number} second note")
    said(f"{sys.argv[2]} {number} first note"); said(f"{sys.argv[2]} {number} second note")
    if number % 7 == 0:  # the last close of all copies the WAL into the file and deletes it
        recorder.close()
        recorder = Recorder(sys.argv[1])
        s = recorder.session(sys.argv[2])
"""


def contents(path: str) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert connection.execute("pragma foreign_key_check").fetchall() == []
        return {row[0] for row in connection.execute("select content from message_text")}
    finally:
        connection.close()


@sizes("count", 50, 200)
def test_recorders_killed_at_random_moments_lose_no_acknowledged_event(path: str, count: int) -> None:
    moments, start = random.Random(20260102), time.monotonic()

    def kill_one(number: int) -> list[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", _RECORDER, path, f"recorder {number}"], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(moments.randint(1, 120))]
        os.kill(process.pid, signal.SIGKILL)
        said += [line.strip() for line in process.stdout if line.endswith("\n")]
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        assert "" not in said
        return said

    with ThreadPoolExecutor(4) as pool:
        acknowledged = [text for said in pool.map(kill_one, range(count)) for text in said]
    lost = len(set(acknowledged) - contents(path))
    seconds = time.monotonic() - start
    tell("recorder killed", attempts=count, acknowledged=len(acknowledged), lost=lost, seconds=seconds)
    assert len(acknowledged) > 20 * count
    assert lost == 0
    with Recorder(path) as recorder:
        assert recorder._database is not None
        assert recorder._database.check() == []
        for summary in recorder.history.list():
            session = recorder.history.get(summary.session_id)
            assert session is not None
            notes = [m.content for m in session.messages if m.kind == "note"]
            assert len(notes) % 2 == 0  # a batch is there as a whole or not at all


def read_first_bytes(path: str, _: Path) -> None:
    with open(path, "rb") as file:
        file.read(100)


def copy_the_file(path: str, folder: Path) -> None:
    shutil.copy(path, folder / "copy.db")


def connect_and_close(path: str, _: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("select count(*) from message").fetchone()
    connection.close()


def connect_and_write(path: str, _: Path) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("pragma user_version = 7")
    connection.close()


@pytest.mark.parametrize("theft", [read_first_bytes, copy_the_file, connect_and_close, connect_and_write])
def test_the_users_own_handle_on_the_file_costs_no_acknowledged_event(
    path: str, tmp_path: Path, theft: Callable[[str, Path], Any]
) -> None:
    expected: set[str] = set()
    with Recorder(path) as recorder, helper(path) as ask:
        s = recorder.session()
        for number in range(50):
            s.user(f"before {number}")
            theft(path, tmp_path)
            ask(f"visit helper {number}")
            s.user(f"after {number}")
            s.assistant(f"again {number}")
            expected |= {f"{word} {number}" for word in ("before", "helper", "after", "again")}
            if number % 10 == 0:
                assert {m.content for m in s.messages()} <= expected
        assert len(s.messages()) == 150
        assert recorder._database is not None
        assert recorder._database.check() == []
    assert expected <= contents(path)


@pytest.mark.parametrize("last", ["record", "close"])
def test_a_theft_followed_by_another_process_that_is_killed_costs_nothing(path: str, last: str) -> None:
    expected: set[str] = set()
    for number in range(8):
        with Recorder(path) as recorder:
            s = recorder.session()
            s.user(f"before {number}")
            with open(path, "rb"):
                pass
            with helper(path) as ask:
                ask(f"visit visitor {number}")  # deletes the WAL, which it takes for its own
            with helper(path) as ask:
                ask(f"open killed {number}")
                ask(f"record killed {number}")  # lies in a new WAL
                ask("die")
            expected |= {f"{word} {number}" for word in ("before", "visitor", "killed")}
            if last == "record":
                s.user(f"after {number}")
                expected.add(f"after {number}")
        assert expected <= contents(path)


def test_a_theft_between_two_recorders_of_one_process_costs_nothing(path: str) -> None:
    with Recorder(path) as first, helper(path) as ask:
        a = first.session("a")
        for number in range(10):
            a.user(f"a {number}")
            with open(path, "rb"), Recorder(path) as second:
                second.session("b").user(f"b {number}")
            ask(f"visit c {number}")
            first.history.list()  # reading finds it too
            a.user(f"d {number}")
    assert {f"{name} {number}" for name in "abcd" for number in range(10)} <= contents(path)
