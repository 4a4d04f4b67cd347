"""Reading a store: frames beside pandas.read_sql and sqlite3, and the refresh after new messages."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import statistics
from collections.abc import Iterator

import pandas as pd

import sessionlab
from benchmarks.timing import Line, pair, seconds

_MESSAGES = """
select
    'sessionlab' as source, s.session_id, cast(m.message_key as text) as message_id, m.message_index,
    cast(m.parent_key as text) as parent_message_id, cast(m.turn_key as text) as turn_id, i.invocation_id, m.role,
    m.kind, x.content, x.reasoning, m.created_at, m.is_preamble, 0 as is_sidechain
from message m
join message_text x using (message_key)
join session s using (session_key)
left join invocation i using (invocation_key)
"""
_TURNS = """
select s.session_id, t.started_at, t.response_model, t.input_tokens, t.output_tokens
from turn t
join session s using (session_key)
"""
_PER_DAY = """
select response_model, {day} as day, sum(output_tokens) as tokens
from {table}
group by 1, 2
"""
_TURN_COLUMNS = ["session_id", "started_at", "response_model", "input_tokens", "output_tokens"]


def lines(path: str, folder: str, *, runs: int) -> Iterator[Line]:
    """Measure reading on one store and yield the lines."""
    lab = sessionlab.open(path)
    count = len(lab.frame("messages", columns=["message_index"]))
    label = f"{count:,} messages"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield pair(
            f"frame('messages'), warm, {label}",
            lambda: lab.frame("messages"),
            "pandas.read_sql, same columns",
            lambda: pd.read_sql(_MESSAGES, connection),
            runs=runs,
            aim="20 x",
        )
        yield pair(
            f"tokens per model and day, warm, {label}",
            lambda: lab.sql(_PER_DAY.format(day="date_trunc('day', started_at)", table="turns")).pandas(),
            "sqlite3, same SQL",
            lambda: connection.execute(_PER_DAY.format(day="started_at / 86400000000", table="turn")).fetchall(),
            runs=runs,
            aim="20 x",
        )
        yield pair(
            f"first open + frame('turns') without text, {label}",
            lambda: _opened_once(path),
            "pandas.read_sql, same columns",
            lambda: pd.read_sql(_TURNS, connection),
            runs=runs,
            aim="faster",
        )
        yield pair(
            f"frame('turns') without text, warm, {label}",
            lambda: lab.frame("turns", columns=_TURN_COLUMNS),
            "pandas.read_sql, same columns",
            lambda: pd.read_sql(_TURNS, connection),
            runs=runs,
        )
        session_id = lab.frame("sessions", columns=["session_id"])["session_id"].iloc[-1]
        yield pair(
            f"frame('messages') of one session, {label}",
            lambda: lab.frame("messages", session_id=session_id),
            "pandas.read_sql, same columns",
            lambda: pd.read_sql(f"{_MESSAGES} where s.session_id = ?", connection, params=(session_id,)),
            runs=runs,
        )
    lab.close()
    yield _refresh(path, folder, label, runs)


def _opened_once(path: str) -> None:
    with sessionlab.open(path) as lab:
        lab.frame("turns", columns=_TURN_COLUMNS)


def _refresh(path: str, folder: str, label: str, runs: int) -> Line:
    """Measure what frame() costs when 1,000 messages have come, beside a first open."""
    copy = os.path.join(folder, "growing.db")
    shutil.copyfile(path, copy)
    first = statistics.median(seconds(lambda: _opened_once(copy)) for _ in range(min(runs, 3)))
    again = []
    with sessionlab.open(copy) as lab, sessionlab.Recorder(copy) as recorder:
        lab.frame("turns", columns=["turn_id"], limit=1)
        session = recorder.session("growing")
        for _ in range(runs + 1):
            with session.batch():
                for number in range(500):
                    session.user(f"question {number}")
                    session.assistant(f"answer {number}", usage=sessionlab.Usage(input_tokens=10, output_tokens=10))
            again.append(seconds(lambda: lab.frame("turns", columns=["turn_id"], limit=1)))
    for part in ("", "-wal", "-shm", ".lock"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(copy + part)
    ours = statistics.median(again[1:])
    return Line(
        work=f"refresh after 1,000 new messages, {label}",
        ours_s=ours,
        other="a first open",
        other_s=first,
        ratio=first / ours,
        aim="20 x at 1,000,000, flat",
    )
