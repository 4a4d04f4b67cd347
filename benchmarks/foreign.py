"""Reading other tools' histories: the first frame of messages and the next one, beside pandas.read_sql of the table."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator

import pandas as pd

import sessionlab
from benchmarks.timing import Line, pair

_MAKE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sample_data", "make_sample.py")
# The table in which each tool keeps its messages, and the column of it that is JSON.
_TABLES = {
    "awful_aj": ("messages", None),
    "atuin_ai": ("session_events", "event_data"),
    "appam": ("session_history", "messages"),
}


def lines(folder: str, *, size: int, runs: int) -> Iterator[Line]:
    """Measure one file of each tool and yield the lines."""
    for tool, (table, column) in _TABLES.items():
        path = os.path.join(folder, f"{tool}.db")
        command = [sys.executable, _MAKE, "--tool", tool, "--scale", str(size), "--output", path]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        yield from _of_tool(tool, table, column, path, runs=runs)
        os.remove(path)


def _of_tool(tool: str, table: str, column: str | None, path: str, *, runs: int) -> Iterator[Line]:
    with sessionlab.open(path) as lab, contextlib.closing(sqlite3.connect(path)) as connection:
        label = f"{len(lab.frame('messages')):,} messages of {tool}"
        other = f"pandas.read_sql of {table}" + (f", json.loads of {column}" if column else "")

        def by_hand() -> None:
            frame = pd.read_sql(f"select * from {table}", connection)
            if column is not None:
                frame[column].map(json.loads)

        yield pair(
            f"first open + frame('messages'), {label}",
            lambda: _opened_once(path),
            other,
            by_hand,
            runs=runs,
            aim="1.5 x" if tool == "awful_aj" else "",
        )
        yield pair(
            f"frame('messages'), warm, {label}",
            lambda: lab.frame("messages"),
            other,
            by_hand,
            runs=runs,
            aim="20 x" if tool == "awful_aj" else "",
        )


def _opened_once(path: str) -> None:
    with sessionlab.open(path) as lab:
        lab.frame("messages")
