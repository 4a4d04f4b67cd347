"""Batches, threads, tasks, forks, and a recorder that must not break the agent it records."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from sessionlab import ModelConfig, Recorder, RecordingError, SessionLabWarning, StoreBusyError
from sessionlab.store import recorder as recorder_module

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sessionlab.store.session import RecordedSession


def contents(path: str) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        sql = "select content from message_text order by message_key"
        return [row[0] for row in connection.execute(sql)]
    finally:
        connection.close()


def assert_chain(recorder: Recorder, session: RecordedSession, count: int) -> None:
    value = recorder.history.get(session.session_id)
    assert value is not None
    assert len(value.messages) == count
    assert [m.parent_message_id for m in value.messages] == [None, *(m.message_id for m in value.messages[:-1])]


# Batches


def test_a_batch_is_one_commit_at_its_end(recorder: Recorder, path: str) -> None:
    s = recorder.session()
    with s.batch() as same:
        assert same is s
        s.user("a")
        turn = s.assistant("b")
        call = turn.tool_call("t")
        call.result("c")
        assert contents(path) == []
        assert repr(turn) == "<turn not recorded>"
        with pytest.raises(RecordingError, match="after the batch"):
            s.messages()
        with pytest.raises(RecordingError, match="after the batch"):
            s.fork(turn)
    assert contents(path) == ["a", "b", "c"]
    assert turn.message_id is not None
    assert call.tool_call_id is not None
    assert_chain(recorder, s, 3)


def test_a_nested_batch_commits_with_the_outermost(recorder: Recorder, path: str) -> None:
    s = recorder.session()
    with s.batch():
        s.user("a")
        with s.batch():
            s.user("b")
        assert contents(path) == []
    assert contents(path) == ["a", "b"]


def test_a_batch_that_raises_keeps_what_it_had_recorded(recorder: Recorder, path: str) -> None:
    s = recorder.session()
    with pytest.raises(KeyError), s.batch():  # noqa: PT012 -- the batch is what is tested
        s.user("a")
        raise KeyError
    assert contents(path) == ["a"]
    s.user("b")
    assert_chain(recorder, s, 2)


def test_a_batch_whose_commit_fails_leaves_the_session_as_it_was(recorder: Recorder, path: str) -> None:
    s = recorder.session(config=ModelConfig(request_model="before"))
    s.user("a", message_id="m")
    with pytest.raises(RecordingError, match="already"), s.batch():  # noqa: PT012 -- as above
        s.configure(ModelConfig(request_model="lost"))
        s.user("b")
        s.user("c", message_id="m")
        turn = s.assistant("d")
        s.end()
    assert contents(path) == ["a"]
    assert turn.message_id is None
    s.assistant("e")
    assert_chain(recorder, s, 2)
    assert s.messages()[1].config == ModelConfig(request_model="before")
    with pytest.raises(RecordingError, match="was not recorded"):
        turn.tool_call("t")


def test_an_event_that_is_refused_inside_a_batch_costs_only_itself(recorder: Recorder, path: str) -> None:
    s = recorder.session()
    with s.batch():
        s.user("a")
        with pytest.raises(RecordingError):
            s.user(3)  # type: ignore[arg-type]  # what is tested
        s.user("b")
    assert_chain(recorder, s, 2)


def test_what_another_thread_records_during_a_batch_is_committed_at_once(recorder: Recorder, path: str) -> None:
    s = recorder.session()
    seen: list[list[str]] = []

    def work() -> None:
        s.note("other")
        seen.append(contents(path))

    with s.batch():
        s.user("a")
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        s.user("b")
    assert seen == [["a", "other"]]
    assert contents(path) == ["a", "other", "b"]
    assert_chain(recorder, s, 3)


def test_what_another_task_records_during_a_batch_is_committed_at_once(recorder: Recorder, path: str) -> None:
    s = recorder.session()

    async def main() -> None:
        inside, done = asyncio.Event(), asyncio.Event()

        async def other() -> None:
            await inside.wait()
            s.note("other")
            assert contents(path) == ["a", "other"]
            done.set()

        task = asyncio.create_task(other())
        with s.batch():
            s.user("a")
            inside.set()
            await done.wait()
            s.user("b")
            assert contents(path) == ["a", "other"]
        await task

    asyncio.run(main())
    assert contents(path) == ["a", "other", "b"]


# Threads, tasks, forks


def test_threads_on_one_session_keep_one_chain(recorder: Recorder) -> None:
    s = recorder.session()
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(50):
                s.assistant(f"{name} {number}").tool_call("t").result("r")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert_chain(recorder, s, 400)
    value = recorder.history.get(s.session_id)
    assert value is not None
    turns = {m.message_id: m.content for m in value.messages if m.is_turn}
    assert len({c.turn_id for c in value.tool_calls}) == len(turns) == 200


def test_tasks_on_their_own_sessions_do_not_mix(recorder: Recorder) -> None:
    async def work(name: str) -> None:
        with recorder.session(name) as s:
            for number in range(20):
                s.user(f"{name} {number}")
                await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(work(f"s{n}") for n in range(5)))

    asyncio.run(main())
    for n in range(5):
        (summary,) = recorder.history.list(name=f"s{n}")
        value = recorder.history.get(summary.session_id)
        assert value is not None
        assert [m.content for m in value.messages] == [f"s{n} {i}" for i in range(20)]


def test_both_sides_of_a_fork_go_on(recorder: Recorder, path: str) -> None:
    s = recorder.session("shared")
    s.user("before")
    assert recorder._database is not None
    assert recorder._database.gate._connection is not None
    child = os.fork()
    if child == 0:
        try:
            for number in range(100):
                s.user(f"child {number}")
            own = recorder.session("the child's")
            own.user("own")
            assert [m.content for m in s.messages()][:2] == ["before", "child 0"]
            recorder.close()
            os._exit(0)
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(1)
    for number in range(100):
        s.user(f"parent {number}")
    assert os.waitpid(child, 0)[1] == 0
    s.user("after")
    found = set(contents(path))
    assert {f"{who} {n}" for who in ("parent", "child") for n in range(100)} | {"before", "after", "own"} <= found
    assert recorder._database.check() == []
    # Each side went on from the message before the fork.
    assert [m.content for m in s.messages()] == ["before", *(f"parent {n}" for n in range(100)), "after"]


def _record_in_child(recorder: Recorder, session: RecordedSession, number: int) -> None:
    for i in range(30):
        session.user(f"{number}:{i}")


def test_forked_workers_of_multiprocessing_record(recorder: Recorder, path: str) -> None:
    s = recorder.session()
    s.user("before")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_record_in_child, args=(recorder, s, n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len(contents(path)) == 91


def test_a_fork_while_other_threads_record_hangs_nobody(recorder: Recorder, path: str) -> None:
    s, stop = recorder.session(), threading.Event()
    recorded: list[int] = []

    def work() -> None:
        while not stop.is_set():
            s.user("thread")
            recorded.append(1)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(10):
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # a child that hangs is ended by the system, and so fails the test
                s.user(f"child {number}")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    found = contents(path)
    assert found.count("thread") == len(recorded)
    assert {f"child {n}" for n in range(10)} <= set(found)


def test_a_fork_inside_a_batch_leaves_what_is_held_back_to_the_parent(recorder: Recorder, path: str) -> None:
    s = recorder.session()
    s.user("a")
    with s.batch():
        s.user("held")
        child = os.fork()
        if child == 0:
            with s.batch():
                s.user("child")
            s._finish(s._batch)  # type: ignore[arg-type]  # it is in a batch
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    assert sorted(contents(path)) == ["a", "child", "held"]
    assert [m.content for m in s.messages()] == ["a", "held"]


def test_readers_in_a_loop_leave_a_recording_thread_its_turns(recorder: Recorder) -> None:
    assert recorder._database is not None
    gate, stop, reads = recorder._database.gate, threading.Event(), [0]

    def read() -> None:
        while not stop.is_set():
            with gate.released():
                reads[0] += 1

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    s = recorder.session()
    first = reads[0]
    for _ in range(50):
        s.user("a")
    taken = reads[0] - first
    stop.set()
    for thread in threads:
        thread.join()
    assert taken < 50 * 10  # two readers and one recorder take turns; ten to one would be starving


def test_ctrl_c_at_any_moment_leaves_the_recorder_usable(tmp_path: Path) -> None:
    path = str(tmp_path / "history.db")
    program = f"""
import os, signal, sys, threading, time
from sessionlab import Recorder
recorder = Recorder({path!r})
s = recorder.session()
def rest():
    while True: s.note("thread")
def interrupt():
    for n in range(150):
        time.sleep(0.001 + (n % 7) * 0.0003)
        os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=rest, daemon=True).start()
sender = threading.Thread(target=interrupt)
acknowledged, number, hits = [], 0, 0
sender.start()
while sender.is_alive() or hits == 0:
    try:
        while sender.is_alive():
            number += 1
            s.user(str(number))
            acknowledged.append(number)
    except KeyboardInterrupt:
        hits += 1
s.user("at the end")
found = {{m.content for m in recorder.history.get(s.session_id).messages}}
assert {{str(n) for n in acknowledged}} <= found
assert "at the end" in found
assert recorder._database.check() == []
print("hits", hits)
os._exit(0)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    # An interrupt may strike outside the `try` of this program; then it ends with KeyboardInterrupt, and says nothing.
    assert found.returncode == 0 or "KeyboardInterrupt" in found.stderr.splitlines()[-1], found.stderr
    other = Recorder(path, timeout_s=5)
    other.session().user("usable")
    other.close()


def test_a_signal_handler_that_records_inside_a_recording_call_gets_an_error_instead_of_hanging(
    recorder: Recorder,
) -> None:
    assert recorder._database is not None
    s = recorder.session()

    def work(connection: sqlite3.Connection) -> None:
        with pytest.raises(StoreBusyError, match="This thread"):
            s.user("from inside")

    recorder._database.write(work)
    s.user("after")
    assert [m.content for m in s.messages()] == ["after"]


def test_a_recorder_that_nobody_closes_leaves_a_whole_file(path: str) -> None:
    recorder = Recorder(path)
    s = recorder.session()
    s.user("a")
    del recorder, s
    gc.collect()
    assert not os.path.exists(path + "-wal")
    program = f"import sessionlab; r = sessionlab.Recorder({path!r}); r.session().user('b')"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
    assert not os.path.exists(path + "-wal")
    assert contents(path) == ["a", "b"]


# A recorder that warns


def recorded_warnings(work: Callable[[], Any]) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    return caught


def test_a_store_that_cannot_be_opened_warns_once_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "_RETRY_S", 0.0)
    blocker = tmp_path / "folder"
    blocker.write_text("a file where a folder is needed")
    recorder: Recorder
    s: RecordedSession

    def work() -> None:
        nonlocal recorder, s
        recorder = Recorder(blocker / "history.db", on_error="warn")
        s = recorder.session("n", config=ModelConfig(request_model="m"))
        turn = s.assistant("lost")
        turn.tool_call("t").result("lost")
        s.fork(turn)
        with s.batch():
            s.user("lost")

    caught = recorded_warnings(work)
    assert [w.category for w in caught] == [SessionLabWarning]
    assert caught[0].filename == __file__
    lost = recorder.lost  # type: ignore[possibly-undefined,unused-ignore]  # set in `work`
    assert lost == 5
    assert f"{lost} lost" in repr(recorder)
    assert recorder.history.list() == []
    blocker.unlink()
    s.user("found")
    assert [m.content for m in s.messages()] == ["found"]
    assert [summary.name for summary in recorder.history.list()] == ["n"]
    s.assistant("x")
    assert s.messages()[1].config == ModelConfig(request_model="m")
    assert recorder.lost == lost
    recorder.close()


def test_a_store_that_could_not_be_opened_is_not_tried_at_every_event(tmp_path: Path) -> None:
    blocker = tmp_path / "folder"
    blocker.write_text("")

    def work() -> None:
        recorder = Recorder(blocker / "history.db", on_error="warn")
        blocker.unlink()
        recorder.session().user("x")  # within the five seconds
        assert recorder.lost == 2

    assert len(recorded_warnings(work)) == 1


def test_a_busy_store_costs_the_event_and_not_the_agent(path: str) -> None:
    with Recorder(path, on_error="warn", timeout_s=0.05) as recorder:
        s = recorder.session()
        first = s.user("first")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("begin immediate")

        def lose() -> None:
            s.user("lost")
            s.assistant("lost").tool_call("t")
            s.end()

        caught = recorded_warnings(lose)
        other.execute("rollback")
        other.close()
        assert len(caught) == 1
        assert "locked" in str(caught[0].message)
        assert caught[0].filename == __file__
        assert recorder.lost == 4
        s.user("second")
        second = s.messages()[1]
        assert (second.content, second.parent_message_id) == ("second", first.message_id)
        s.user(3)  # type: ignore[arg-type]  # what is tested
        assert recorder.lost == 5


def test_a_failing_batch_counts_what_it_held(path: str) -> None:
    with Recorder(path, on_error="warn") as recorder:
        s = recorder.session()
        s.user("a", message_id="m")

        def work() -> None:
            with s.batch():
                s.assistant("b").tool_call("t").result("r")
                s.user("c", message_id="m")

        caught = recorded_warnings(work)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert recorder.lost == 4
        s.user("d")
        assert [m.content for m in s.messages()] == ["a", "d"]


def test_a_keyboard_interrupt_is_never_taken_for_an_error(path: str) -> None:
    with Recorder(path, on_error="warn") as recorder:
        s = recorder.session()

        class Interrupting:
            def __str__(self) -> str:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            s.tool_call("t", Interrupting())
        assert recorder.lost == 0
        s.user("a")


def test_waiting_for_this_process_does_not_count_as_busy(path: str) -> None:
    with Recorder(path, timeout_s=0) as recorder:
        s = recorder.session()
        assert recorder._database is not None
        inside, thread = threading.Event(), threading.Thread(target=lambda: (inside.wait(), s.user("a")))
        thread.start()
        with recorder._database.gate.released():
            inside.set()
            deadline = time.monotonic() + 30
            while not recorder._database.gate.is_awaited:
                assert time.monotonic() < deadline
        thread.join()
        assert [m.content for m in s.messages()] == ["a"]
