"""Time two ways of the same work in turn, so that a machine whose speed drifts is fair to both."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Work = Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table.

    Attributes:
        work: What was done.
        ours_s: The median of our runs, in seconds.
        other: What it is measured against; None where there is nothing to set beside it.
        other_s: The median of its runs, in seconds.
        ratio: The median of the pairs' ratios, other / ours: how many times faster we are.
        aim: What we aim at, in words.
        ours_mb, other_mb: The most memory that each process held, in megabytes; None where it is not measured.
    """

    work: str
    ours_s: float
    other: str | None = None
    other_s: float | None = None
    ratio: float | None = None
    aim: str = ""
    ours_mb: float | None = None
    other_mb: float | None = None


def seconds(work: Work) -> float:
    """Return how long one run takes."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def pair(work: str, ours: Work, other: str, others: Work, *, runs: int, aim: str = "", warm: bool = True) -> Line:
    """Run both in turn and return the medians; `warm` runs ours once before."""
    if warm:
        ours()
    mine, theirs = [], []
    for _ in range(runs):
        mine.append(seconds(ours))
        theirs.append(seconds(others))
    ratio = statistics.median(b / a for a, b in zip(mine, theirs, strict=True))
    return Line(
        work=work,
        ours_s=statistics.median(mine),
        other=other,
        other_s=statistics.median(theirs),
        ratio=ratio,
        aim=aim,
    )
