"""Reading a store: each frame first and again, parts of one, a group by, and the refresh after new messages."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

import sessionlab
from benchmarks.aims import MILLION, Aim
from benchmarks.peers import FRAMES, NUMBERS, PEERS, Peer, checksum, missing, text_of
from benchmarks.timing import Line, beside, rounds, seconds

_PER_DAY = """
select response_model, date_trunc('day', started_at) as day, sum(output_tokens) as tokens
from turns
group by 1, 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """Something to read: the SELECT of the others, ours, and the column that must be the same.

    Attributes:
        first: Whether the first open is measured too.
        first_aim, again_aim: What we aim at, and the peer that it is about.
    """

    name: str
    sql: str
    column: str
    ours: Callable[[sessionlab.Lab], pd.DataFrame]
    is_first: bool = False
    first_aim: tuple[str, Aim] | None = None
    again_aim: tuple[str, Aim] | None = None


def lines(path: str, folder: str, *, size: int, runs: int) -> Iterator[Line]:
    """Measure reading on one store and yield the lines.

    Raises:
        SystemExit: The ways do not find the same rows.
    """
    with contextlib.ExitStack() as stack:
        peers = {name: stack.enter_context(made(path)) for name, made in PEERS.items() if not missing(name)}
        lab = stack.enter_context(sessionlab.open(path))
        for task in _tasks(lab):
            yield from _measured(task, lab, peers, path, size=size, runs=runs)
    yield from _refresh(path, folder, size=size, runs=runs)


def _tasks(lab: sessionlab.Lab) -> Iterator[_Task]:
    for name, column in FRAMES.items():
        again_aim = ("pandas.read_sql", Aim(least_ratio=20, at_messages=MILLION)) if name == "messages" else None
        yield _Task(
            name=f"frame({name!r})",
            sql=text_of(name),
            column=column,
            ours=lambda lab, name=name: lab.frame(name),  # type: ignore[misc]  # mypy takes the default for a parameter
            is_first=True,
            again_aim=again_aim,
        )
    yield _Task(
        name="frame('turns', columns=…) without text",
        sql=text_of("turn_numbers"),
        column="output_tokens",
        ours=lambda lab: lab.frame("turns", columns=list(NUMBERS)),
        is_first=True,
        first_aim=("pandas.read_sql", Aim(least_ratio=1, at_messages=MILLION)),
    )
    counts = lab.frame("sessions", columns=["session_id", "message_count"]).set_index("session_id")["message_count"]
    session_id = (counts - 1_000).abs().idxmin()
    yield _Task(
        name="frame('messages') of one session (the one nearest to 1,000)",
        sql=f"{text_of('messages')}where s.session_id = '{session_id}'",
        column="content",
        ours=lambda lab: lab.frame("messages", session_id=session_id),
    )
    newest = lab.frame("messages", columns=["created_at"], limit=1)["created_at"].iloc[0]
    since = newest.to_pydatetime() - datetime.timedelta(days=7)
    yield _Task(
        name="frame('messages') of the last 7 days",
        sql=f"{text_of('messages')}where m.created_at >= {int(since.timestamp() * 1e6)}",
        column="content",
        ours=lambda lab: lab.frame("messages", since=since),
    )
    yield _Task(
        name="tokens per model and day",
        sql=text_of("per_day"),
        column="tokens",
        ours=lambda lab: lab.sql(_PER_DAY).pandas(),
        again_aim=("sqlite3 fetchall", Aim(least_ratio=20, at_messages=MILLION)),
    )


def _measured(
    task: _Task, lab: sessionlab.Lab, peers: dict[str, Peer], path: str, *, size: int, runs: int
) -> Iterator[Line]:
    found = checksum(task.ours(lab)[task.column])
    for name, peer in peers.items():
        same(task.name, found, name, checksum(peer.column(peer.read(task.sql), task.column)))

    def first() -> None:
        with sessionlab.open(path) as fresh:
            task.ours(fresh)

    works: dict[str, Callable[[], Any]] = {"first": first} if task.is_first else {}
    works["again"] = lambda: task.ours(lab)
    for name, peer in peers.items():
        works[name] = lambda peer=peer: peer.read(task.sql)  # type: ignore[misc]  # mypy takes the default for a parameter
    times = rounds(works, runs=runs)
    labels = {"first": f"first open + {task.name}", "again": f"{task.name}, again"}
    aims = {"first": task.first_aim, "again": task.again_aim}
    for way in labels:
        if way not in times:
            continue
        about, aim = aims[way] or ("", None)
        for name in PEERS:
            if name not in peers:
                yield Line(work=labels[way], messages=size, other=name, note=missing(name))
                continue
            yield beside(labels[way], times[way], name, times[name], messages=size, aim=aim if name == about else None)


def same(work: str, ours: tuple[int, int], name: str, theirs: tuple[int, int]) -> None:
    """Refuse to go on where two ways do not find the same rows.

    Raises:
        SystemExit: They do not.
    """
    if ours != theirs:
        raise SystemExit(
            f"{work}: {ours[0]:,} rows with the checksum {ours[1]} by sessionlab, {theirs[0]:,} with {theirs[1]} by "
            f"{name}. They must be the same to be compared; look at benchmarks/sql."
        )


def _refresh(path: str, folder: str, *, size: int, runs: int) -> Iterator[Line]:
    """Measure what frame() costs when 1,000 messages have come, beside a first open and beside reading all again."""
    work = "refresh after 1,000 new messages"
    copy = os.path.join(folder, "growing.db")
    shutil.copyfile(path, copy)
    first, again, read = [], [], []
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(sessionlab.open(copy))
        recorder = stack.enter_context(sessionlab.Recorder(copy))
        lab.frame("turns", columns=list(NUMBERS), limit=1)
        session = recorder.session("growing")
        for number in range(runs + 1):
            with session.batch():
                for n in range(500):
                    session.user(f"question {n}")
                    session.assistant(f"answer {n}", usage=sessionlab.Usage(input_tokens=10, output_tokens=10))
            again.append(seconds(lambda: lab.frame("turns", columns=list(NUMBERS), limit=1)))
            if number:  # the first is to warm up
                first.append(seconds(lambda: _opened_once(path)))
    with PEERS["pandas.read_sql"](path) as peer:
        read = [seconds(lambda: peer.read(text_of("turn_numbers"))) for _ in first]
    for part in ("", "-wal", "-shm", ".lock"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(copy + part)
    aim = Aim(least_ratio=20, at_messages=MILLION)
    yield beside(work, again[1:], "a first open", first, messages=size, aim=aim)
    yield beside(work, again[1:], "pandas.read_sql", read, messages=size)


def _opened_once(path: str) -> None:
    with sessionlab.open(path) as lab:
        lab.frame("turns", columns=list(NUMBERS), limit=1)
