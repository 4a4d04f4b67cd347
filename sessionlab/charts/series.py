"""Many values made few: which series a figure draws, in which order and colour, and what is folded into `other (n)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sessionlab.charts import look
from sessionlab.charts.texts import UNKNOWN, labels, plain, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_SERIES = len(look.COLOURS)
MOST_ROWS = 20
NAME = 26  # characters of a name in a legend


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series of a figure: what it is called, and what tells it from the others."""

    label: str  # short, harmless, like no other
    full: str  # whole and harmless, for hover texts
    colour: str
    pattern: str
    dash: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Folded:
    """The series of a figure in order, and for each row of the frame the number of its series."""

    series: Sequence[Series]
    of_row: NDArray[np.intp]
    hidden: int  # how many values are in `other`


def fold(values: pd.Series, weights: Any, most: int = MOST_SERIES) -> Folded:
    """Give each of the `most` values with the greatest weight a series, the rest one, and NULL one of its own.

    The order is by weight, then by name, so it depends on nothing but the rows that are drawn.
    """
    codes, uniques = pd.factorize(values, use_na_sentinel=True)
    weight = np.nan_to_num(pd.to_numeric(pd.Series(weights)).astype("float64").to_numpy())
    totals = np.bincount(codes[codes >= 0], weights=weight[codes >= 0], minlength=len(uniques))
    names = [text(value) for value in uniques]
    order = sorted(range(len(names)), key=lambda code: (-totals[code], names[code]))
    shown = order[:most]
    hidden = len(order) - len(shown)
    number = np.full(len(uniques) + 1, len(shown), dtype=np.intp)
    number[shown] = np.arange(len(shown))
    number[-1] = len(shown) + (1 if hidden else 0)
    has_unknown = bool((codes < 0).any())
    titles = [names[code] for code in shown] + [f"other ({hidden:,})"] * bool(hidden) + [UNKNOWN] * has_unknown
    made = [
        _series(
            rank,
            label,
            title,
            is_other=bool(hidden) and rank == len(shown),
            is_unknown=rank >= len(shown) + bool(hidden),
        )
        for rank, (label, title) in enumerate(zip(labels(titles, NAME), titles, strict=True))
    ]
    return Folded(made, number[codes], hidden)


def _series(rank: int, label: str, title: str, *, is_other: bool, is_unknown: bool) -> Series:
    if is_other or is_unknown:
        return Series(
            label=label,
            full=plain(title),
            colour=look.UNKNOWN if is_unknown else look.OTHER,
            pattern=look.UNKNOWN_PATTERN if is_unknown else look.OTHER_PATTERN,
            dash="dot" if is_unknown else "solid",
            symbol="circle-open",
        )
    place = rank % len(look.COLOURS)
    return Series(
        label=label,
        full=plain(title),
        colour=look.COLOURS[place],
        pattern=look.PATTERNS[place],
        dash=look.DASHES[place],
        symbol=look.SYMBOLS[place],
    )


def numbers(column: pd.Series) -> NDArray[np.float64]:
    """Return a column as floats, NULL as NaN."""
    return np.asarray(column.to_numpy(dtype="float64", na_value=np.nan), dtype=np.float64)


def known_sum(column: pd.Series) -> float:
    """Return the sum of what is known."""
    return float(np.nansum(numbers(column)))


def marker(series: Series) -> dict[str, Any]:
    """Return how a bar of a series looks."""
    return {"color": series.colour, "line": {"width": 0}, "pattern": look.pattern(series.pattern)}


def whole_ticks(most: float) -> dict[str, Any]:
    """Return ticks for an axis of counts up to `most`: none between two whole numbers."""
    return {"dtick": 1} if most <= 8 else {}
