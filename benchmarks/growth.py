"""How cost grows with size: the same work on histories and sessions of several sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.aims import Aim
from benchmarks.timing import Line

_FLAT = {"refresh after 1,000 new messages": Aim(flat_within=2)}
"""What must not grow: a hundred times the history, and at most twice the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One work of one way on several sizes.

    Attributes:
        work: What was done.
        way: Who did it.
        seconds: The seconds by the number of messages.
        exponent: The power of the size by which the time grows: 0 is flat, 1 in proportion.
    """

    work: str
    way: str
    seconds: dict[int, float]
    exponent: float


def growths(lines: Iterable[Line]) -> list[Growth]:
    """Return what was measured on two sizes or more, in the order of the lines."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for line in lines:
        if line.messages is None:
            continue
        if line.ours_s is not None:
            found.setdefault((line.work, "sessionlab"), {})[line.messages] = line.ours_s
        if line.other is not None and line.other_s is not None:
            found.setdefault((line.work, line.other), {})[line.messages] = line.other_s
    return [
        Growth(work=work, way=way, seconds=seconds, exponent=_exponent(seconds))
        for (work, way), seconds in found.items()
        if len(seconds) > 1
    ]


def flat_lines(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield a line for each work that must not grow: the largest history beside the smallest."""
    for growth in growths(lines):
        if growth.way != "sessionlab" or growth.work not in _FLAT:
            continue
        least, most = min(growth.seconds), max(growth.seconds)
        yield Line(
            work=f"{growth.work} on {most:,}",
            part="growth",
            messages=most,
            ours_s=growth.seconds[most],
            other=f"the same on {least:,}",
            other_s=growth.seconds[least],
            ratio=growth.seconds[least] / growth.seconds[most],
            aim=_FLAT[growth.work],
        )


def _exponent(seconds: dict[int, float]) -> float:
    """Return the slope of the logarithms, by least squares."""
    points = [(math.log(size), math.log(value)) for size, value in seconds.items()]
    x_mean = sum(x for x, _ in points) / len(points)
    y_mean = sum(y for _, y in points) / len(points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / sum((x - x_mean) ** 2 for x, _ in points)
