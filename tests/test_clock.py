"""A clock that jumps back: times may fall, the order of rows and their numbers never do, no duration is negative."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing

import pytest

import sessionlab
from sessionlab import Recorder
from sessionlab.store.database import Database

HOUR_NS = 3_600_000_000_000


class Clock:
    """The clock of this process, set off by some nanoseconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offset_ns = 0
        real_ns, real = time.time_ns, time.time
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + self.offset_ns)
        monkeypatch.setattr(time, "time", lambda: real() + self.offset_ns / 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def check_order(path: str, texts: list[str]) -> None:
    """Check rows, numbers and durations of a store with one session."""
    with sessionlab.open(path) as lab:
        messages, turns, calls = lab.frame("messages"), lab.frame("turns"), lab.frame("tool_calls")
        sessions = lab.frame("sessions")
        assert [text for text in messages.content.fillna("None") if "A new invocation" not in text] == texts
        assert messages.message_index.tolist() == list(range(len(messages)))
        assert turns.turn_index.tolist() == list(range(len(turns)))
        assert calls.tool_call_index.tolist() == list(range(len(calls)))
        for durations in (turns.duration_s, calls.duration_s, sessions.duration_s):
            assert (durations.dropna() >= 0).all()
        assert len(sessions) == 1
        assert (sessions.started_at <= sessions.updated_at).all()
        assert lab.frame("messages", limit=1).content.iloc[0] in texts
        with sessionlab.open(path) as fresh:
            for name in ("messages", "turns", "tool_calls", "sessions"):
                assert fresh.frame(name).equals(lab.frame(name))
    with closing(Database(path)) as database:
        assert database.check() == []


def test_a_clock_that_jumps_back_while_recording_leaves_order_numbers_and_durations_whole(
    path: str, clock: Clock
) -> None:
    with Recorder(path) as recorder, sessionlab.open(path) as lab:
        s = recorder.session("kept")
        s.user("first")
        clock.offset_ns -= HOUR_NS
        turn = s.assistant("second")
        with turn.tool_call("t") as call:
            clock.offset_ns -= HOUR_NS
        assert call.tool_call_id is not None
        assert lab.frame("messages").content.tolist()[:2] == ["first", "second"]
        clock.offset_ns -= HOUR_NS
        s.user("third")
        waiting = s.tool_call("u")
        clock.offset_ns -= HOUR_NS
        waiting.result("done")
        s.assistant("fourth")
        s.end()
        times = lab.frame("messages").created_at
        assert times.iloc[-1] < times.iloc[0]  # what the clock said is kept
        messages = recorder.history.get(s.session_id)
        assert messages is not None
        texts = [str(m.content) for m in messages.messages]
    check_order(path, texts)


def test_a_session_that_is_resumed_after_the_clock_jumped_back_goes_on_at_its_end(path: str, clock: Clock) -> None:
    with Recorder(path) as recorder:
        first = recorder.session("kept")
        first.user("before")
        first.end()
        clock.offset_ns -= 3 * HOUR_NS
        again = recorder.session("kept")
        again.assistant("after")
        again.end()
        assert again.session_id == first.session_id
        (summary,) = recorder.history.list()
        assert summary.started_at is not None
        resumed = recorder.resume(summary)
        resumed.user("and on")
        assert [m.content for m in resumed.messages() if m.kind == "message"] == ["before", "after", "and on"]
    check_order(path, ["before", "after", "and on"])


def test_two_recorders_whose_clocks_differ_keep_the_order_of_their_commits(path: str) -> None:
    program = """
import sys, time
real_ns = time.time_ns
time.time_ns = lambda: real_ns() - int(sys.argv[2])
from sessionlab import Recorder
recorder = Recorder(sys.argv[1])
s = recorder.session(sys.argv[3])
for line in sys.stdin:
    s.assistant(line.strip())
    print("done", flush=True)
"""
    with sessionlab.open(_made(path)) as lab:
        recorders = [
            subprocess.Popen(
                [sys.executable, "-c", program, path, str(late), name],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for name, late in (("on time", 0), ("late", HOUR_NS))
        ]  # fmt: skip
        for number in range(10):
            process = recorders[number % 2]
            assert process.stdin is not None
            assert process.stdout is not None
            print(number, file=process.stdin, flush=True)
            assert process.stdout.readline() == "done\n"
            assert lab.frame("messages").content.tolist() == [str(n) for n in range(number + 1)]
        for process in recorders:
            process.communicate(timeout=60)
        turns = lab.frame("turns")
        assert turns.response.tolist() == [str(n) for n in range(10)]
        assert turns.groupby("session_id").turn_index.apply(list).tolist() == [list(range(5))] * 2
        recent = lab.frame("turns", since="30m")
        assert recent.response.tolist() == [str(n) for n in range(0, 10, 2)]
    with closing(Database(path)) as database:
        assert database.check() == []


def _made(path: str) -> str:
    Recorder(path).close()
    return path
