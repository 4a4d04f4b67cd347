"""Times as figures need them: clocks on the wall of one zone, and axes that suit one day as well as a year."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sessionlab.mining.zones import walls, zone_of

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from sessionlab.mining.zones import Period

# Browsers draw a bar well as long as there are about as many as pixels.
MOST_PERIODS = 1000
COARSER: dict[Period, Period] = {"hour": "day", "day": "week", "week": "month"}
LENGTH_MS = {"hour": 3_600_000, "day": 86_400_000, "week": 7 * 86_400_000, "month": 30 * 86_400_000}
NAMES = {"hour": "hour", "day": "day", "week": "week from Monday", "month": "month"}
HOVER = {"hour": "%a %d %b %Y %H:%M", "day": "%a %d %b %Y", "week": "week from %a %d %b %Y", "month": "%B %Y"}
_TICK: dict[Period, str] = {"hour": "%H:%M\n%d %b %Y", "day": "%d %b\n%Y", "week": "%d %b\n%Y", "month": "%b\n%Y"}
_FEW = 8


def zone_name(timezone: str | None) -> str:
    """Return what the zone is called whose times are shown."""
    return str(zone_of(timezone))


def local(times: pd.Series[Any], timezone: str | None) -> pd.Series[Any]:
    """Return times as clocks in the zone show them; NULL stays NULL."""
    return walls(times, zone_of(timezone))


def iso(times: pd.Series[Any]) -> list[str]:
    """Return times as the text that plotly reads, to the second where nothing finer is there."""
    values: NDArray[np.datetime64] = np.asarray(times, dtype="datetime64[us]")
    is_whole = bool((values == values.astype("datetime64[s]")).all())
    return [str(value) for value in np.datetime_as_string(values, unit="s" if is_whole else "ms")]


def lay_periods(chart: go.Figure, starts: pd.Series[Any], period: Period, zone: str) -> None:
    """Make the x axis one of periods; a few of them get a tick each and room beside them."""
    length = pd.Timedelta(milliseconds=LENGTH_MS[period])
    found = pd.Series(np.sort(starts.unique()))
    first, last = found.iloc[0], found.iloc[-1]
    spare = max(0.0, (_FEW - 1) - (last - first) / length) / 2 + 0.6
    axis: dict[str, Any] = {
        "type": "date",
        "range": iso(pd.Series([first - spare * length, last + spare * length])),
        "title": {"text": f"{NAMES[period]} ({zone})"},
        "tickformat": _TICK[period],
        "hoverformat": HOVER[period],
        "showgrid": False,
    }
    if len(found) <= _FEW:
        axis |= {
            "tickmode": "array",
            "tickvals": iso(found),
            "ticktext": tick_texts(found, _TICK[period]),
            "tickangle": 0,
        }
    elif period == "week":
        # plotly would count weeks from Sundays.
        weeks = math.ceil((last - first) / length / _FEW)
        axis |= {"tick0": iso(found)[0], "dtick": weeks * LENGTH_MS["week"]}
    chart.update_xaxes(axis)


def tick_texts(times: pd.Series[Any], form: str) -> list[str]:
    """Return what ticks say: the first line of their form, and its second where it is not that of the tick before."""
    first, second = form.split("\n")
    under = times.dt.strftime(second)
    is_new = under != under.shift()
    return [
        text + f"<br>{below}" * new for text, below, new in zip(times.dt.strftime(first), under, is_new, strict=True)
    ]


def lay_times(chart: go.Figure, first: pd.Timestamp, last: pd.Timestamp, zone: str, *, busy_s: float) -> None:
    """Make the x axis one of times that shows `busy_s` seconds; a single moment has a minute around it."""
    spare = pd.Timedelta(seconds=max(busy_s * 0.03, 0.1) if last > first else 30)
    chart.update_xaxes(
        type="date",
        range=iso(pd.Series([first - spare, last + spare])),
        title={"text": f"time ({zone})"},
        hoverformat="%a %d %b %Y %H:%M:%S",
    )
