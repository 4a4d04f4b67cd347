"""Recording: one message beside the same INSERTs by hand."""

from __future__ import annotations

import os
import sqlite3
import statistics
import time
from collections.abc import Iterator

import sessionlab
from benchmarks.timing import Line

_COUNT = 5_000
_TEXT = "hello world " * 20
_INSERTS = (
    "insert into message (message_key, session_key, message_index, parent_key, prompt_key, exchange_index,"
    " invocation_key, role, kind, is_preamble, created_at) values (?, 1, ?, ?, ?, ?, 2, 'user', 'message', 0, ?)",
    "insert into message_text (message_key, content) values (?, ?)",
)


def lines(folder: str, *, runs: int) -> Iterator[Line]:
    """Measure recording and yield the lines."""
    ours, theirs = [], []
    recorder = sessionlab.Recorder(os.path.join(folder, "recorded.db"))
    session = recorder.session("speed")
    by_hand = os.path.join(folder, "by_hand.db")
    with sessionlab.Recorder(by_hand) as maker:
        maker.session("speed")
    connection = sqlite3.connect(by_hand, isolation_level=None)
    connection.execute("pragma synchronous = normal")
    connection.execute("pragma foreign_keys = on")
    key = 10
    for _ in range(runs):
        start = time.perf_counter()
        for _ in range(_COUNT):
            session.user(_TEXT)
        ours.append((time.perf_counter() - start) / _COUNT)
        start = time.perf_counter()
        for _ in range(_COUNT):
            key += 1
            connection.execute("begin immediate")
            connection.execute(_INSERTS[0], (key, key, key - 1, key, key, 1_767_225_600_000_000 + key))
            connection.execute(_INSERTS[1], (key, _TEXT))
            connection.execute("commit")
        theirs.append((time.perf_counter() - start) / _COUNT)
    connection.close()
    recorder.close()
    yield Line(
        work=f"one recorded message, committed (the first {_COUNT:,} of a session)",
        ours_s=ours[0],
        other="the same INSERTs by hand in sqlite3",
        other_s=theirs[0],
        ratio=theirs[0] / ours[0],
        aim="0.67 x (1.5 times as long)",
    )
    yield Line(
        work=f"one recorded message, committed (all {_COUNT * runs:,} of a session)",
        ours_s=statistics.median(ours),
        other="the same INSERTs by hand in sqlite3",
        other_s=statistics.median(theirs),
        ratio=statistics.median(b / a for a, b in zip(ours, theirs, strict=True)),
        aim="0.67 x, flat",
    )
