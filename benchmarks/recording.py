"""Recording: what one event costs, alone and beside other processes, in short sessions and long ones."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator

import sessionlab
from benchmarks import recorders, together
from benchmarks.aims import Aim
from benchmarks.by_hand import ByHand
from benchmarks.timing import Line, beside

_TEXT = "hello world " * 20
_BY_HAND = "the same INSERTs by hand in sqlite3"
_USAGE = sessionlab.Usage(input_tokens=812, output_tokens=95)
_CHUNK = 500
_EVENTS_OF_EXCHANGE = 5
_SHORT = 10
_LENGTHS = (100, 1_000, 10_000)


def lines(folder: str, *, events: int, runs: int) -> Iterator[Line]:
    """Measure recording, some `events` at a time, and yield the lines; a long session has ten times as many."""
    with (
        sessionlab.Recorder(os.path.join(folder, "recorded.db")) as recorder,
        contextlib.closing(ByHand(os.path.join(folder, "by hand.db"))) as hand,
    ):
        yield from _alone(recorder, hand, events=events, runs=runs)
        yield from _long(recorder, hand, count=10 * events, runs=min(runs, 3))
    yield from together.lines(folder, for_s=events / 2_500, runs=min(runs, 3))
    for length in _LENGTHS:
        if length <= 2 * events:
            yield from _into_session(folder, length, runs=max(runs, 5))


def _alone(recorder: sessionlab.Recorder, hand: ByHand, *, events: int, runs: int) -> Iterator[Line]:
    session = recorder.session()
    hand.session("speed")

    def exchange() -> None:
        session.user(_TEXT)
        turn = session.assistant(_TEXT, usage=_USAGE)
        turn.tool_call("bash", '{"cmd":"pytest -x"}').result(_TEXT, exit_code=0)
        session.assistant(_TEXT, usage=_USAGE)

    def exchange_by_hand() -> None:
        hand.user(_TEXT)
        hand.assistant(_TEXT, 812, 95)
        hand.tool_call("bash", '{"cmd":"pytest -x"}')
        hand.result(_TEXT)
        hand.assistant(_TEXT, 812, 95)

    def batch() -> None:
        with session.batch():
            for _ in range(_CHUNK // _EVENTS_OF_EXCHANGE):
                exchange()

    def batch_by_hand() -> None:
        hand.begin()
        for _ in range(_CHUNK // _EVENTS_OF_EXCHANGE):
            exchange_by_hand()
        hand.commit()

    def short() -> None:
        with recorder.session() as one:
            for _ in range(_SHORT):
                one.user(_TEXT)

    def short_by_hand() -> None:
        hand.session("short")
        for _ in range(_SHORT):
            hand.user(_TEXT)
        hand.end()

    works: tuple[tuple[str, int, Callable[[], object], Callable[[], object], Aim | None], ...] = (
        (
            "one message, committed",
            1,
            lambda: session.user(_TEXT),
            lambda: hand.user(_TEXT),
            Aim(most_times=1.5),
        ),
        (
            "an event of prompt, answers, tool call and result, committed",
            _EVENTS_OF_EXCHANGE,
            exchange,
            exchange_by_hand,
            None,
        ),
        (f"the same, {_CHUNK} in a batch", _CHUNK, batch, batch_by_hand, None),
        (f"a message of a session of {_SHORT} messages, begun and ended", _SHORT, short, short_by_hand, None),
    )
    for work, events_of_it, ours, by_hand, aim in works:
        mine, theirs = [], []
        for _ in range(runs):
            # In turn and a little at a time, so that both see the same machine.
            pieces = max(events // _CHUNK, 1)
            repeats = max(min(events, _CHUNK) // events_of_it, 1)
            both = [(_mean(ours, repeats), _mean(by_hand, repeats)) for _ in range(pieces)]
            mine.append(statistics.mean(one for one, _ in both) / events_of_it)
            theirs.append(statistics.mean(other for _, other in both) / events_of_it)
        yield beside(work, mine, _BY_HAND, theirs, is_per_event=True, aim=aim)


def _mean(work: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - start) / repeats


def _long(recorder: sessionlab.Recorder, hand: ByHand, *, count: int, runs: int) -> Iterator[Line]:
    """Measure the last part of a long session beside its first part."""
    piece = max(count // 50, 1)
    work = f"one message, committed, the last {piece:,} of a session of {count:,}"
    first, last, last_by_hand = [], [], []
    for _ in range(runs):
        session = recorder.session()
        hand.session("long")
        first.append(_mean(lambda: session.user(_TEXT), piece))  # noqa: B023 -- called at once
        for _ in range(count - 2 * piece):
            session.user(_TEXT)
        for _ in range(count - 2 * piece):
            hand.user(_TEXT)
        last.append(_mean(lambda: session.user(_TEXT), piece))  # noqa: B023 -- called at once
        last_by_hand.append(_mean(lambda: hand.user(_TEXT), piece))
    aim = Aim(flat_within=1.25)
    yield beside(work, last, f"the first {piece:,} of it", first, is_per_event=True, aim=aim)
    yield beside(work, last, _BY_HAND, last_by_hand, is_per_event=True)


def _into_session(folder: str, length: int, *, runs: int) -> Iterator[Line]:
    """Measure a prompt and its answer that are written to a session that has so many messages already."""
    work = "a prompt and its answer, written to a session that has messages"
    with contextlib.ExitStack() as stack:
        ways: dict[str, recorders.Exchanges] = {}
        for name, made in {"sessionlab": recorders.ours, **recorders.RECORDERS}.items():
            if recorders.missing(name) or length > recorders.LONGEST.get(name, length):
                continue
            room = os.path.join(folder, f"{length} {len(ways)}")
            os.mkdir(room)
            ways[name] = stack.enter_context(made(room))
            ways[name].many(length // 2)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(runs + 1):
            for name, way in ways.items():
                taken = statistics.mean(way.one() for _ in range(10))
                if number:  # the first is to warm up
                    times[name].append(taken)
    for name in recorders.RECORDERS:
        if name in ways:
            yield beside(work, times["sessionlab"], name, times[name], messages=length)
        elif recorders.missing(name):
            yield Line(work=work, messages=length, other=name, note=recorders.missing(name))
