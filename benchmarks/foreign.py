"""Reading other tools' histories: the first frame of messages and the next one, beside pandas.read_sql of the table."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator

import pandas as pd

import sessionlab
from benchmarks.aims import MILLION, Aim
from benchmarks.processes import make
from benchmarks.timing import Line, beside, rounds

# The table in which each tool keeps its messages, and the column of it that is JSON.
_TABLES = {
    "awful_aj": ("messages", None),
    "atuin_ai": ("session_events", "event_data"),
    "appam": ("session_history", "messages"),
}
_FIRST = Aim(least_ratio=1.5, at_messages=MILLION)
_AGAIN = Aim(least_ratio=20, at_messages=MILLION)


def lines(folder: str, *, size: int, runs: int) -> Iterator[Line]:
    """Measure one file of each tool and yield the lines."""
    for tool, (table, column) in _TABLES.items():
        path = os.path.join(folder, f"{tool}.db")
        make(tool, size, path)
        yield from _of_tool(tool, table, column, path, size=size, runs=runs)
        os.remove(path)


def _of_tool(tool: str, table: str, column: str | None, path: str, *, size: int, runs: int) -> Iterator[Line]:
    with sessionlab.open(path) as lab, contextlib.closing(sqlite3.connect(path)) as connection:
        lab.frame("messages")

        def by_hand() -> None:
            frame = pd.read_sql(f"select * from {table}", connection)
            if column is not None:
                frame[column].map(json.loads)

        works = {"first": lambda: _opened_once(path), "again": lambda: lab.frame("messages"), "by hand": by_hand}
        times = rounds(works, runs=runs)
    other = f"pandas.read_sql of {table}" + (f", json.loads of {column}" if column else "")
    is_aim = tool == "awful_aj"
    work = f"frame('messages') of {tool}"
    first, again = _FIRST if is_aim else None, _AGAIN if is_aim else None
    yield beside(f"first open + {work}", times["first"], other, times["by hand"], messages=size, aim=first)
    yield beside(f"{work}, again", times["again"], other, times["by hand"], messages=size, aim=again)


def _opened_once(path: str) -> None:
    with sessionlab.open(path) as lab:
        lab.frame("messages")
