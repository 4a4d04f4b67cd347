"""What a figure says: text from the data made harmless and short enough, and numbers in words.

plotly draws a part of HTML in every text, TeX between two dollar signs where a page has MathJax, and values for `%{…}`
in a hover template.
So all text that comes from the data goes through `plain`.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable

UNKNOWN = "unknown"
WIDTH = 30  # characters of a name on an axis or in a legend

# Control characters, and those that turn the direction of the text after them.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
_SPECIAL = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "%": "&#37;"})


def text(value: Any) -> str:
    """Return a value of the data as one line of text, not escaped; NULL is `unknown`."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return UNKNOWN
    return " ".join(_UNSEEN.sub(" ", str(value)).split()) or "(empty)"


def escape(value: str) -> str:
    """Return text so that plotly shows its characters and obeys none of them."""
    return value.translate(_SPECIAL)


def plain(value: Any, width: int | None = None) -> str:
    """Return a value of the data as one harmless line, at most `width` characters long as it is seen."""
    return escape(cut(text(value), width) if width else text(value))


def cut(value: str, width: int = WIDTH) -> str:
    """Return text that is at most `width` characters long, with `…` where some are missing."""
    return value if len(value) <= width else value[: width - 1].rstrip() + "…"


def labels(values: Iterable[Any], width: int = WIDTH) -> list[str]:
    """Return a harmless and short name for each value; no two are the same.

    Names that would be cut to the same keep their ends; what still is the same is numbered.

    Example:
        >>> labels(["mcp__files__read_the_first_lines", "mcp__files__read_the_first_bytes"], width=16)
        ['mcp__fi…st_lines', 'mcp__fi…st_bytes']
    """
    texts = [text(value) for value in values]
    short = [cut(value, width) for value in texts]
    often = Counter(short)
    short = [
        _middle(full, width) if often[one] > 1 and len(full) > width else one
        for full, one in zip(texts, short, strict=True)
    ]
    taken: set[str] = set()
    made = []
    for one in short:
        name, number = one, 1
        while name in taken:
            number += 1
            name = f"{one} ({number})"
        taken.add(name)
        made.append(escape(name))
    return made


def _middle(value: str, width: int) -> str:
    end = width // 2
    return value[: width - end - 1] + "…" + value[-end:]


def hover(value: Any, limit: int = 300) -> str:
    """Return text from the data for a hover: harmless, in lines of 60 characters, at most `limit` of them in all."""
    return "<br>".join(escape(line) for line in textwrap.wrap(cut(text(value), limit), 60)) or escape(text(value))


def count(value: float, one: str, many: str | None = None) -> str:
    """Return a number with its noun, as in `1 turn` or `12,345 turns`."""
    return f"{value:,.0f} {one if value == 1 else many or one + 's'}"


def short(value: float) -> str:
    """Return a number with three digits and k, M or B.

    Example:
        >>> [short(value) for value in (0, 999, 1234, 5_600_000)]
        ['0', '999', '1.23k', '5.6M']
    """
    size = abs(value)
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:,.3g}"


def money(value: float) -> str:
    """Return US dollars, with cents, or with two digits where that would be nothing; harmless as it is.

    Example:
        >>> money(12.5), money(0.00123)
        ('&#36;12.50', '&#36;0.0012')
    """
    size = abs(value)
    digits = 2 if size >= 0.1 or size == 0 else min(8, 1 - math.floor(math.log10(size)))
    return f"{'-' if value < 0 else ''}&#36;{size:,.{digits}f}"


def percent(share: float) -> str:
    """Return a share as percent, with a digit after the point below ten."""
    return f"{share:.1%}" if 0 < abs(share) < 0.0995 else f"{share:.0%}"


def duration(seconds: float) -> str:
    """Return a duration in the words that people use for it.

    Example:
        >>> [duration(value) for value in (0.0123, 2.5, 75, 3900, 200_000)]
        ['0.012 s', '2.5 s', '1 min 15 s', '1 h 5 min', '2 d 7 h']
    """
    if abs(seconds) < 60:
        return f"{seconds:.2g} s" if abs(seconds) < 10 else f"{seconds:.0f} s"
    whole = round(abs(seconds))
    sign = "-" if seconds < 0 else ""
    for size, name, small, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{sign}{whole // size} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{sign}{whole} s"


def time_unit(seconds: float) -> tuple[float, str]:
    """Return the unit for an axis that reaches so many seconds: its length in seconds, and its name."""
    if seconds <= 180:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds <= 180 * 60 else (3600.0, "hours")
