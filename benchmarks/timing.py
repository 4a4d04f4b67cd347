"""Time ways of the same work in turn, so that a machine whose speed drifts is fair to all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.aims import Aim

Work = Callable[[], Any]
LEAST_RUNS = 3
ENOUGH_S = 60.0
"""What has run three times and for so long is not run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table.

    Attributes:
        work: What was done.
        part: The part of the benchmarks that did it.
        messages: The size of the history or session that it was done on; None where it has none.
        ours_s: The median of our runs, in seconds; None where it was not measured.
        other: What it is measured against; None where there is nothing to set beside it.
        other_s: The median of its runs, in seconds.
        ratio: The median of the pairs' ratios, other / ours: how many times faster we are.
        runs: How often each was run.
        is_per_event: The seconds are those of one event.
        aim: What we aim at.
        ours_mb, other_mb: The most memory that each process held, in megabytes; None where it is not measured.
        ours_modules, other_modules: The modules that each loads beyond those of bare Python.
        ours_share, other_share: What the slowest of several processes had of its fair share, from 0 to 1.
        note: Why something was not measured.
    """

    work: str
    part: str = ""
    messages: int | None = None
    ours_s: float | None = None
    other: str | None = None
    other_s: float | None = None
    ratio: float | None = None
    runs: int | None = None
    is_per_event: bool = False
    aim: Aim | None = None
    ours_mb: float | None = None
    other_mb: float | None = None
    ours_modules: int | None = None
    other_modules: int | None = None
    ours_share: float | None = None
    other_share: float | None = None
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is met; None where there is none, or none that can be told here."""
        return None if self.aim is None else self.aim.is_met(self)


def seconds(work: Work) -> float:
    """Return how long one run takes."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rounds(works: Mapping[str, Work], *, runs: int) -> dict[str, list[float]]:
    """Run all works in turn, `runs` times, or three times where that takes long, and return their seconds."""
    times: dict[str, list[float]] = {name: [] for name in works}
    start = time.perf_counter()
    for number in range(runs):
        if number >= LEAST_RUNS and time.perf_counter() - start > ENOUGH_S:
            break
        for name, work in works.items():
            times[name].append(seconds(work))
    return times


def beside(work: str, ours: list[float], other: str, others: list[float], **more: Any) -> Line:
    """Return the line of two ways that were run in turn."""
    return Line(
        work=work,
        ours_s=statistics.median(ours),
        other=other,
        other_s=statistics.median(others),
        ratio=statistics.median(b / a for a, b in zip(ours, others, strict=True)),
        runs=len(ours),
        **more,
    )


def pair(work: str, ours: Work, other: str, others: Work, *, runs: int, **more: Any) -> Line:
    """Run two ways in turn, ours once before to warm up, and return their line."""
    ours()
    times = rounds({"ours": ours, "other": others}, runs=runs)
    return beside(work, times["ours"], other, times["other"], **more)
