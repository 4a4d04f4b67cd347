"""Readers and imports that are killed, and eight processes that record while two read: little of it, or a soak."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from archive_rows import SAMPLES, aged, assert_same_frames, frames_of
from helper_process import helper
from soaking import SCALE, sizes, tell
from test_archive_killed import killed_after
from test_same_kernel import OTHER

import sessionlab
from sessionlab import Recorder, import_histories
from sessionlab.store.database import Database

if TYPE_CHECKING:
    from pathlib import Path

# Reads by every way there is, and says when it begins the first.
_READER = """
import sys
import sessionlab
print("ready", flush=True)
while True:
    with sessionlab.open(sys.argv[1]) as lab:
        for _ in range(3):
            lab.frame("messages")
            lab.sql("select count(*) from turns")
            lab.search("recorded")
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@sizes("count", 4, 200)
def test_killed_readers_leave_nothing_beside_the_file_and_harm_no_writer(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    moments, start = random.Random(20260103), time.monotonic()
    delays = [moments.random() * 1.2 for _ in range(count)]

    with helper(path) as ask:
        ask("open kept")
        ask("record recorded -1")
        names = sorted(os.listdir(tmp_path))

        def kill_one(delay: float) -> None:
            with subprocess.Popen([sys.executable, "-c", _READER, path], stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                time.sleep(delay)  # when it strikes is what varies
                process.kill()
                assert process.wait() == -signal.SIGKILL

        with ThreadPoolExecutor(2) as pool:
            killed = [pool.submit(kill_one, delay) for delay in delays]
            recorded = 0
            while not all(one.done() for one in killed):
                ask(f"record recorded {recorded}")
                recorded += 1
        for one in killed:
            one.result()
        assert sorted(os.listdir(tmp_path)) == names
    with sessionlab.open(path) as lab:
        found = set(lab.frame("messages").content)
        lost = len({f"recorded {number}" for number in range(-1, recorded)} - found)
        assert len(os.listdir(temporary)) == 1  # what the killed ones left is gone, this one's is there
    with closing(Database(path)) as database:
        assert database.check() == []
    seconds = time.monotonic() - start
    tell("reader killed beside a recorder", attempts=count, acknowledged=recorded + 1, lost=lost, seconds=seconds)
    assert lost == 0


@pytest.mark.soak
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_imports_killed_at_random_moments_lose_nothing_that_an_earlier_one_had(tmp_path: Path) -> None:
    count, start = max(2, round(200 * SCALE)), time.monotonic()

    def import_and_kill(number: int) -> tuple[int, int]:
        files, store = str(tmp_path / f"files{number}"), str(tmp_path / f"{number}.db")
        for tool in ("awful_aj", "claude_code"):
            shutil.copytree(os.path.join(SAMPLES, tool), os.path.join(files, tool))
        aged(files)
        moments, kept, lost = random.Random(number), 0, 0
        for attempt in range(count // 2):
            if not killed_after(moments.randint(1, 40), store, files):
                # It ended, so there must be something to do again.
                with closing(sqlite3.connect(os.path.join(files, "awful_aj", "aj.db"))) as db, db:
                    db.execute("update messages set content = ? where role = 'assistant'", [f"edited {attempt}"])
                aged(files)
            with closing(sqlite3.connect(store)) as db:
                assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
                there = db.execute("select count(*) from sqlite_schema where name = 'archive_session'").fetchone()[0]
                found = db.execute("select count(*) from archive_session").fetchone()[0] if there else 0
            lost += max(0, kept - found)
            kept = found
        import_histories(files, into=store)
        with sessionlab.open(files) as live, sessionlab.open(store) as archived:
            assert_same_frames(frames_of(archived), frames_of(live))
        return kept, lost

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(import_and_kill, range(2)))
    kept, lost = (sum(numbers) for numbers in zip(*found, strict=True))
    seconds = time.monotonic() - start
    tell("import killed", attempts=count // 2 * 2, acknowledged=kept, lost=lost, seconds=seconds)
    assert lost == 0


# Checks each view: whole sessions without gaps, each call with its turn, and never less than the time before.
_CHECKING = """
import json, sys, time
import sessionlab
path, until = sys.argv[1], float(sys.argv[2])
reads = last = 0
with sessionlab.open(path) as lab:
    while time.time() < until or reads == 0:
        with lab.snapshot():
            sessions = lab.sql(
                "select session_id, count(*) as n, max(message_index) + 1 as m, count(content) as c"
                " from messages group by all").pandas()
            told = lab.frame("sessions", columns=["session_id", "message_count", "turn_count"])
            strangers = lab.sql("select count(*) as n from tool_calls anti join turns using (turn_id)").pandas()
            turns = lab.sql("select count(*) as n from turns").pandas()
        assert (sessions.n == sessions.m).all() and (sessions.n == sessions.c).all(), sessions
        assert sessions.n.sum() == told.message_count.sum()
        assert turns.n[0] == told.turn_count.sum()
        assert strangers.n[0] == 0
        assert sessions.n.sum() >= last
        last, reads = int(sessions.n.sum()), reads + 1
print(json.dumps([reads, last]))
"""


@sizes("seconds", 4, 120)
def test_eight_recorders_and_two_readers_lose_nothing_and_none_starves(path: str, seconds: int) -> None:
    Recorder(path).close()
    start = time.monotonic()
    until = str(time.time() + seconds + 2)  # the processes need a while to begin
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    names = [f"writer{number}" for number in range(8)]
    writers = [subprocess.Popen([sys.executable, "-c", OTHER, path, name, until], **pipes) for name in names]  # type: ignore[call-overload]  # as named
    readers = [subprocess.Popen([sys.executable, "-c", _CHECKING, path, until], **pipes) for _ in range(2)]  # type: ignore[call-overload]  # as named
    ended = [process.communicate(timeout=seconds + 300) for process in (*writers, *readers)]
    assert [error for _, error in ended] == [""] * 10
    rounds = {name: int(out) for name, (out, _) in zip(names, ended, strict=False)}
    reads = [json.loads(out) for out, _ in ended[8:]]
    with sessionlab.open(path) as lab:
        found = lab.sql(
            "select s.name, count(*) filter (role = 'user') as rounds, count(*) as events"
            " from messages m join sessions s using (session_id) group by all order by 1"
        ).pandas()
        answered = int(lab.sql("select count(*) as n from tool_calls where status = 'ok'").pandas()["n"].iloc[0])
    with closing(Database(path)) as database:
        assert database.check() == []
    there = dict(zip(found["name"], found["rounds"], strict=True))
    lost = sum(rounds[name] - int(there.get(name, 0)) for name in names)
    total = 4 * sum(rounds.values())  # a prompt, an answer, a call and its result
    share = min(rounds.values()) / (sum(rounds.values()) / 8)
    table = "\n".join(f"  {name}: {4 * rounds[name]:>10,} events" for name in names)
    tell(
        "eight recorders, two readers",
        attempts=10,
        acknowledged=total,
        lost=4 * lost,
        seconds=time.monotonic() - start,
        more=f"{table}\n  the slowest has {share:.0%} of its fair share; whole reads: {reads[0][0]} and {reads[1][0]}",
    )
    assert there == rounds
    assert answered == sum(rounds.values())
    assert share >= 0.1
