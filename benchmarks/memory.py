"""Whole processes that read one frame each: how long they take, and the most memory that they hold."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import statistics
import sys
from collections.abc import Collection, Iterator

from benchmarks.aims import MILLION, Aim
from benchmarks.peers import FRAMES, PEERS, missing
from benchmarks.processes import Ended, run
from benchmarks.timing import LEAST_RUNS, Line


def lines(
    path: str, folder: str, *, size: int, runs: int = 1, frames: Collection[str] = tuple(FRAMES)
) -> Iterator[Line]:
    """Measure one store and yield the lines; the frame of numbers must not bring the texts.

    Raises:
        SystemExit: The ways do not find the same number of rows.
    """
    for name in frames:
        yield from _beside_peers(f"a process: frame({name!r})", name, path, size=size, runs=runs)
    work = "a process: frame('turns', columns=…) without text"
    yield from _beside_peers(work, "turn_numbers", path, size=size, runs=runs)
    yield _without_texts(work, path, folder, size=size)


def _without_texts(work: str, path: str, folder: str, *, size: int) -> Line:
    """Measure a frame of numbers beside the same one of a store that has no texts: it must hold no more."""
    emptied = os.path.join(folder, "emptied.db")
    shutil.copyfile(path, emptied)
    with contextlib.closing(sqlite3.connect(emptied, isolation_level=None)) as connection:
        sql = "select sum(length(cast(content as blob))) from message_text"
        text_mb = float(connection.execute(sql).fetchone()[0]) / 1e6
        connection.execute("pragma synchronous = off")
        connection.execute("update message_text set content = null")
        connection.execute("update tool_call_text set arguments = null")
    with_texts, without = [], []
    for _ in range(LEAST_RUNS):
        with_texts.append(read("sessionlab", "turn_numbers", path))
        without.append(read("sessionlab", "turn_numbers", emptied))
    for part in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(emptied + part)
    # A tenth of the texts: two runs of the same process differ by some megabytes.
    aim = Aim(most_more_mb=text_mb / 10, at_messages=MILLION)
    return of_processes(work, with_texts, "the same of a store without texts", without, size=size, aim=aim)


def _beside_peers(work: str, name: str, path: str, *, size: int, runs: int) -> Iterator[Line]:
    ways = ["sessionlab", *(way for way in PEERS if not missing(way))]
    ended: dict[str, list[Ended]] = {way: [] for way in ways}
    for _ in range(runs):
        for way in ways:
            ended[way].append(read(way, name, path))
            if ended[way][-1].output != ended["sessionlab"][-1].output:
                raise SystemExit(f"{work}: {way} finds {ended[way][-1].output.strip()} rows, and sessionlab does not.")
    for way in PEERS:
        if way in ended:
            yield of_processes(work, ended["sessionlab"], way, ended[way], size=size)
        else:
            yield Line(work=work, messages=size, other=way, note=missing(way))


def read(way: str, name: str, path: str) -> Ended:
    """Let a process of its own read a frame in one way; it prints the number of rows."""
    return run([sys.executable, "-m", "benchmarks.once", way, name, path])


def of_processes(
    work: str,
    ours: list[Ended],
    other: str,
    others: list[Ended],
    *,
    size: int | None = None,
    aim: Aim | None = None,
) -> Line:
    """Return the line of two kinds of processes that were run in turn."""
    return Line(
        work=work,
        messages=size,
        ours_s=statistics.median(one.elapsed_s for one in ours),
        other=other,
        other_s=statistics.median(one.elapsed_s for one in others),
        ratio=statistics.median(b.elapsed_s / a.elapsed_s for a, b in zip(ours, others, strict=True)),
        runs=len(ours),
        aim=aim,
        ours_mb=_peak_mb(ours),
        other_mb=_peak_mb(others),
    )


def _peak_mb(ended: list[Ended]) -> float | None:
    peaks = [one.peak_mb for one in ended if one.peak_mb is not None]
    return statistics.median(peaks) if peaks else None
