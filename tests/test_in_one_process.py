"""One process that records and reads by forks, threads, tasks and several recorders at once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import sessionlab
from sessionlab import Recorder
from sessionlab.store.database import Database

if TYPE_CHECKING:
    from pathlib import Path


def check(path: str, expected: set[str]) -> None:
    with sessionlab.open(path) as lab:
        assert set(lab.frame("messages").content) == expected
    with closing(Database(path)) as database:
        assert database.check() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_recorder_and_lab_go_on_together_on_both_sides_of_a_fork(path: str) -> None:
    with Recorder(path) as recorder, sessionlab.open(path) as lab:
        s = recorder.session("kept")
        s.user("before")
        assert lab.frame("messages").content.tolist() == ["before"]
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # a child that hangs is ended by the system, and so fails the test
            try:
                mine = recorder.session("the child's")
                for number in range(5):
                    mine.user(f"child {number}")
                    own = lab.frame("messages", session_id=mine.session_id)
                    assert own.content.tolist() == [f"child {n}" for n in range(number + 1)]
                assert lab.search("before").shape[0] == 1
                recorder.close()
                lab.close()
                os._exit(0)
            except BaseException as error:
                print(repr(error))
                os._exit(1)
        for number in range(20):
            s.user(f"parent {number}")
            own = lab.frame("messages", session_id=s.session_id)
            assert own.content.tolist() == ["before", *(f"parent {n}" for n in range(number + 1))]
        assert os.waitpid(child, 0)[1] == 0
        s.user("after")
    check(path, {"before", "after", *(f"parent {n}" for n in range(20)), *(f"child {n}" for n in range(5))})


def test_an_asyncio_application_records_in_many_tasks_and_reads_beside_them(path: str) -> None:
    async def work(recorder: Recorder, name: str) -> None:
        with recorder.session(name) as s:
            for number in range(15):
                s.user(f"{name} {number}")
                await asyncio.sleep(0)
                with s.batch():
                    s.assistant(f"{name} {number} answer").tool_call("t").result("done")
                    await asyncio.sleep(0)

    async def read(lab: sessionlab.Lab, done: asyncio.Event) -> int:
        reads = last = 0
        while not done.is_set() or reads == 0:
            with lab.snapshot():
                messages = await asyncio.to_thread(lab.frame, "messages")
                turns = await asyncio.to_thread(lab.frame, "turns")
            assert len(messages) >= last
            assert set(turns.turn_id) <= set(messages.message_id)
            for _, own in messages.groupby("session_id"):
                assert own.message_index.tolist() == list(range(len(own)))
            last, reads = len(messages), reads + 1
        return reads

    async def main() -> None:
        done = asyncio.Event()
        with Recorder(path) as recorder, sessionlab.open(path) as lab:
            reading = asyncio.create_task(read(lab, done))
            await asyncio.gather(*(work(recorder, f"task {n}") for n in range(8)))
            done.set()
            assert await reading >= 1

    asyncio.run(main())
    prompts = {f"task {n} {i}" for n in range(8) for i in range(15)}
    check(path, {*prompts, *(f"{prompt} answer" for prompt in prompts), "done"})


def test_of_two_recorders_on_one_file_either_may_close_while_the_other_and_a_lab_go_on(
    path: str, tmp_path: Path
) -> None:
    expected: set[str] = set()
    first = Recorder(path)
    a = first.session("a")
    with sessionlab.open(path) as lab:
        for number in range(8):
            second = Recorder(os.path.join(path, "..", os.path.basename(path)))  # the same file by another name
            b = second.session("b")
            a.user(f"a {number}")
            b.user(f"b {number}")
            if number % 2:
                second.close()
                a.user(f"c {number}")
            else:
                first.close()
                first, a = second, b
                a.user(f"c {number}")
            expected |= {f"{name} {number}" for name in "abc"}
            found = {text for text in lab.frame("messages").content if "A new invocation" not in text}
            assert found == expected
    first.close()
    assert not os.path.exists(path + "-wal")
    with closing(Database(path)) as database:
        assert database.check() == []


def test_threads_that_record_and_read_through_one_recorder_and_one_lab_lose_nothing(path: str) -> None:
    failures: list[BaseException] = []
    with Recorder(path) as recorder, sessionlab.open(path) as lab:

        def work(name: str) -> None:
            try:
                with recorder.session(name) as s:
                    for number in range(10):
                        s.user(f"{name} {number}")
                        own = lab.frame("messages", session_id=s.session_id)
                        assert own.content.tolist() == [f"{name} {n}" for n in range(number + 1)]
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(f"thread {n}",)) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    check(path, {f"thread {n} {i}" for n in range(5) for i in range(10)})
