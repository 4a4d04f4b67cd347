"""What a line of the table is held to, so that met or missed is worked out and not claimed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.timing import Line

MILLION = 1_000_000
"""The size that the aims of reading speak of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One limit, which a line keeps or misses.

    Attributes:
        least_ratio: At least so many times faster than what it is beside.
        most_times: At most so many times as long as what it is beside.
        flat_within: The same, where it is beside itself at a smaller size.
        most_s: At most so many seconds.
        most_more_mb: At most so many megabytes more at the peak than what it is beside.
        at_messages: The aim is one for histories of so many messages or more.
    """

    least_ratio: float | None = None
    most_times: float | None = None
    flat_within: float | None = None
    most_s: float | None = None
    most_more_mb: float | None = None
    at_messages: int = 0

    def __str__(self) -> str:
        texts = []
        if self.least_ratio is not None:
            texts.append("faster" if self.least_ratio == 1 else f"{self.least_ratio:g} times faster")
        if self.most_times is not None:
            texts.append(f"at most {self.most_times:g} times as long")
        if self.flat_within is not None:
            texts.append(f"flat, within {self.flat_within:g} times")
        if self.most_s is not None:
            texts.append(f"at most {self.most_s * 1e3:g} ms")
        if self.most_more_mb is not None:
            texts.append(f"at most {self.most_more_mb:,.0f} MB more")
        where = f" at {self.at_messages:,} messages" if self.at_messages else ""
        return ", ".join(texts) + where

    def is_met(self, line: Line) -> bool | None:
        """Return whether a line keeps the limit; None where it was not measured, or on a smaller history."""
        if self.at_messages > (line.messages or 0) or line.ours_s is None:
            return None
        if self.most_more_mb is not None:
            if line.ours_mb is None or line.other_mb is None:
                return None
            return line.ours_mb - line.other_mb <= self.most_more_mb
        if self.most_s is not None:
            return line.ours_s <= self.most_s
        if line.ratio is None:
            return None
        if self.least_ratio is not None:
            return line.ratio >= self.least_ratio
        return line.ratio >= 1 / (self.most_times or self.flat_within or 1)
