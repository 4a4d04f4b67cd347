"""Reading other tools' histories: the first frame of messages and the next one, beside pandas.read_sql of the table."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator

import pandas as pd

import sessionlab
from benchmarks.timing import Line, pair

_MAKE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sample_data", "make_sample.py")
# The table in which each tool keeps its messages; read_sql hands it out as it is, JSON and all.
_TABLES = {"awful_aj": "messages", "atuin_ai": "session_events", "appam": "session_history"}


def lines(folder: str, *, size: int, runs: int) -> Iterator[Line]:
    """Measure one file of each tool and yield the lines."""
    for tool, table in _TABLES.items():
        path = os.path.join(folder, f"{tool}.db")
        command = [sys.executable, _MAKE, "--tool", tool, "--scale", str(size), "--output", path]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        yield from _of_tool(tool, table, path, runs=runs)
        os.remove(path)


def _of_tool(tool: str, table: str, path: str, *, runs: int) -> Iterator[Line]:
    with sessionlab.open(path) as lab, contextlib.closing(sqlite3.connect(path)) as connection:
        count = len(lab.frame("messages"))
        label = f"{count:,} messages of {tool}"
        yield pair(
            f"first open + frame('messages'), {label}",
            lambda: _opened_once(path),
            f"pandas.read_sql of {table}",
            lambda: pd.read_sql(f"select * from {table}", connection),
            runs=runs,
            aim="1.5 x" if tool == "awful_aj" else "",
        )
        yield pair(
            f"frame('messages'), warm, {label}",
            lambda: lab.frame("messages"),
            f"pandas.read_sql of {table}",
            lambda: pd.read_sql(f"select * from {table}", connection),
            runs=runs,
            aim="20 x" if tool == "awful_aj" else "",
        )


def _opened_once(path: str) -> None:
    with sessionlab.open(path) as lab:
        lab.frame("messages")
