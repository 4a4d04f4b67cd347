"""Charts of use over time: tokens, cost, and the hours of the week."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sessionlab import mining
from sessionlab.charts import clock, look
from sessionlab.charts.series import fold, known_sum, marker, numbers, whole_ticks
from sessionlab.charts.texts import count, escape, money, percent, plain, short
from sessionlab.errors import FrameError

if TYPE_CHECKING:
    from sessionlab.charts.series import Folded
    from sessionlab.mining.zones import Period

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MEASURES = {
    "turn_count": ("turns", "turns"),
    "session_count": ("sessions", "sessions"),
    "output_tokens": ("output tokens", "tokens"),
    "cost_usd": ("cost", "US dollars"),
}


def tokens_over_time(
    token_usage: pd.DataFrame,
    by: str = "model",
    *,
    period: Period = "day",
    timezone: str | None = None,
    sessions: pd.DataFrame | None = None,
) -> go.Figure:
    """Draw the tokens of each hour, day, week or month as stacked bars, one colour for each value of a column.

    The frame is `token_usage`; all token types count, the cached input too. The values with most tokens have a colour
    of their own, the rest are `other (n)`, NULL is `unknown`. Where there would be more than 1,000 bars in a row, a
    longer period is drawn, and the subtitle says so.

    Args:
        token_usage: The frame `token_usage`.
        by: A column of it, or of `sessions`: `model`, `token_type`, `provider_name`, `agent_name`, …
        period: `hour`, `day`, `week` (from Monday) or `month`.
        timezone: IANA name of the zone whose days are meant; None is the machine's own.
        sessions: The frame `sessions`, where `by` is one of its columns.

    Raises:
        FrameError: A column is missing, or an argument is not known.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> chart = charts.tokens_over_time(empty("token_usage"), timezone="UTC")
        >>> chart.layout.title.text
        'Tokens by model'
    """
    usage, shown = _usage(token_usage, by, period, timezone, sessions)
    usage = usage[usage["tokens"].notna()]
    subtitle = [
        f"all tokens, cached input included, for each {shown}",
        f"{short(known_sum(usage['tokens']))} tokens in {count(known_sum(usage['turn_count']), 'turn')}"
        * (len(usage) > 0),
        _coarser(period, shown),
    ]
    chart = look.figure(f"Tokens by {plain(by.replace('_', ' '), 30)}", subtitle, legend=True)
    chart.update_layout(barmode="relative")
    chart.update_yaxes(title="tokens", exponentformat="B", rangemode="tozero")
    chart.update_xaxes(title=f"{clock.NAMES[shown]} ({clock.zone_name(timezone)})")
    if usage.empty:
        return look.nothing(chart, _why(token_usage, "tokens"))
    folded = fold(usage[by], usage["tokens"])
    rows = _cells(usage, folded)
    hover = "%{x}<br>%{y:,} tokens in %{customdata:,} turns"
    _bars(chart, rows, folded, "tokens", shown, hover)
    clock.lay_periods(chart, rows["period_start"], shown, clock.zone_name(timezone))
    look.make_room_for_legend(chart)
    return chart


def cost_over_time(
    token_usage: pd.DataFrame,
    by: str = "model",
    *,
    period: Period = "day",
    timezone: str | None = None,
    sessions: pd.DataFrame | None = None,
) -> go.Figure:
    """Draw what each hour, day, week or month cost as stacked bars, one colour for each value of a column.

    The frame is `token_usage`. Only tokens with a known price are in the bars. A cross on the axis marks a period that
    has tokens without one, and the subtitle says how many they are: a missing price is not a price of nothing.
    Order and colours are those of `tokens_over_time`.

    Args:
        token_usage: The frame `token_usage`.
        by: A column of it, or of `sessions`: `model`, `token_type`, `provider_name`, `agent_name`, …
        period: `hour`, `day`, `week` (from Monday) or `month`.
        timezone: IANA name of the zone whose days are meant; None is the machine's own.
        sessions: The frame `sessions`, where `by` is one of its columns.

    Raises:
        FrameError: A column is missing, or an argument is not known.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> chart = charts.cost_over_time(empty("token_usage"), by="provider_name", timezone="UTC")
        >>> chart.layout.yaxis.title.text
        'US dollars'
    """
    usage, shown = _usage(token_usage, by, period, timezone, sessions)
    known = known_sum(usage["cost_usd"])
    subtitle = [f"cost of tokens with a known price, for each {shown}"]
    if usage["cost_usd"].notna().any():
        subtitle += [f"{money(known)} in all", _unpriced(usage)]
    subtitle.append(_coarser(period, shown))
    chart = look.figure(f"Cost by {plain(by.replace('_', ' '), 30)}", subtitle, legend=True)
    chart.update_layout(barmode="relative")
    chart.update_yaxes(title="US dollars", tickprefix="$", exponentformat="none", rangemode="tozero")
    chart.update_xaxes(title=f"{clock.NAMES[shown]} ({clock.zone_name(timezone)})")
    if not usage["cost_usd"].notna().any():
        return look.nothing(chart, _why(token_usage, "cost_usd"))
    folded = fold(usage[by], usage["tokens"])
    rows = _cells(usage, folded)
    _bars(
        chart, rows[rows["cost_usd"].notna()], folded, "cost_usd", shown, "%{x}<br>$%{y:,.4~f} in %{customdata:,} turns"
    )
    _mark_unpriced(chart, rows)
    clock.lay_periods(chart, rows["period_start"], shown, clock.zone_name(timezone))
    look.make_room_for_legend(chart)
    return chart


def activity_heatmap(
    turns: pd.DataFrame,
    *,
    timezone: str | None = None,
    measure: Literal["turn_count", "session_count", "output_tokens", "cost_usd"] = "turn_count",
) -> go.Figure:
    """Draw in which hours of the week agents work: a row for each weekday, a column for each hour.

    The frame is `turns`. Turns without a time are left out.

    Args:
        turns: The frame `turns`.
        timezone: IANA name of the zone whose hours are meant; None is the machine's own.
        measure: What the colour shows: `turn_count`, `session_count`, `output_tokens` or `cost_usd`. A turn whose
            tokens or cost are not known adds nothing to these.

    Raises:
        FrameError: A column is missing, or an argument is not known.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.activity_heatmap(empty("turns"), timezone="UTC").layout.title.text
        'Hours of work'
    """
    if measure not in _MEASURES:
        raise FrameError(f"measure={measure!r} is not known. Expected one of {', '.join(_MEASURES)}.")
    rows = mining.activity(turns, timezone=timezone)
    what, unit = _MEASURES[measure]
    values = numbers(rows[measure]).reshape(7, 24)
    total = known_sum(rows["turn_count"])
    zone = clock.zone_name(timezone)
    chart = look.figure(
        "Hours of work", [f"{what} by weekday and hour they began", f"{count(total, 'turn')}" * (total > 0)], height=360
    )
    chart.update_xaxes(
        title=f"hour of the day ({escape(zone)})", dtick=3, range=[-0.5, 23.5], showgrid=False, zeroline=False
    )
    chart.update_yaxes(
        range=[6.5, -0.5],
        tickvals=list(range(7)),
        ticktext=[day[:3] for day in WEEKDAYS],
        ticks="",
        showgrid=False,
        zeroline=False,
    )
    if not np.nansum(np.abs(values)) > 0:
        return look.nothing(chart, "no turn has a time" if total == 0 else f"no turn with a time has {what}")
    details = np.stack([numbers(rows[name]).reshape(7, 24) for name in ("turn_count", "session_count")], axis=-1)
    days = [[day] * 24 for day in WEEKDAYS]
    is_cost = measure == "cost_usd"
    chart.add_trace(
        go.Heatmap(
            z=np.where(values == 0, np.nan, values),
            x=list(range(24)),
            y=list(range(7)),
            text=days,
            customdata=details,
            colorscale=[list(stop) for stop in look.SCALE],
            zmin=0,
            zmax=float(np.nanmax(values)),
            xgap=2,
            ygap=2,
            hoverongaps=False,
            colorbar={
                "title": {"text": unit, "side": "right"},
                "thickness": 12,
                "outlinewidth": 0,
                "tickprefix": "$" * is_cost,
                "exponentformat": "none" if is_cost else "B",
                "len": 1,
                "ticks": "",
                **({} if is_cost else whole_ticks(float(np.nanmax(values)))),
            },
            hovertemplate="%{text} from %{x}:00<br>%{z:,.5~g} "
            + unit
            + "<br>%{customdata[0]:,} turns in %{customdata[1]:,} sessions<extra></extra>",
        )
    )
    return chart


def _usage(
    token_usage: pd.DataFrame, by: str, period: Period, timezone: str | None, sessions: pd.DataFrame | None
) -> tuple[pd.DataFrame, Period]:
    """Return what is used by period, and the period: a longer one where there would be too many."""
    usage = mining.usage_over_time(token_usage, by, period=period, timezone=timezone, sessions=sessions)
    while usage["period_start"].nunique() > clock.MOST_PERIODS and period in clock.COARSER:
        period = clock.COARSER[period]
        usage = mining.usage_over_time(token_usage, by, period=period, timezone=timezone, sessions=sessions)
    # The clocks of a place show an hour twice when summer ends; the two are drawn as one.
    usage["period_start"] = usage["period_start"].dt.tz_localize(None)
    return usage, period


def _cells(usage: pd.DataFrame, folded: Folded) -> pd.DataFrame:
    """Add up what falls into the same period and series."""
    usage = usage.assign(series=folded.of_row)
    columns = ["tokens", "cost_usd", "unpriced_tokens", "turn_count"]
    return usage.groupby(["series", "period_start"], as_index=False)[columns].sum(min_count=1)


def _bars(chart: go.Figure, rows: pd.DataFrame, folded: Folded, value: str, period: Period, hover: str) -> None:
    for place, series in enumerate(folded.series):
        own = rows[rows["series"] == place]
        if own.empty:
            continue
        chart.add_trace(
            go.Bar(
                x=clock.iso(own["period_start"]),
                y=numbers(own[value]),
                width=0.8 * clock.LENGTH_MS[period],
                name=series.label,
                marker=marker(series),
                customdata=numbers(own["turn_count"]),
                hovertemplate=f"<b>{series.full}</b><br>{hover}<extra></extra>".replace(
                    "%{x}", f"%{{x|{clock.HOVER[period]}}}"
                ),
            )
        )


def _mark_unpriced(chart: go.Figure, rows: pd.DataFrame) -> None:
    tokens = rows.groupby("period_start")["unpriced_tokens"].sum(min_count=1)
    tokens = tokens[tokens > 0]
    if tokens.empty:
        return
    chart.add_trace(
        go.Scatter(
            x=clock.iso(pd.Series(tokens.index)),
            y=np.zeros(len(tokens)),
            mode="markers",
            name="has tokens without a price",
            marker={"symbol": "x-thin", "size": 7, "color": look.TITLE, "line": {"width": 1.5, "color": look.TITLE}},
            cliponaxis=False,
            customdata=numbers(tokens),
            hovertemplate="%{x}<br>%{customdata:,} tokens without a known price<extra></extra>",
        )
    )


def _unpriced(usage: pd.DataFrame) -> str:
    missing, total = known_sum(usage["unpriced_tokens"]), known_sum(usage["tokens"])
    if not missing:
        return "all tokens have a price"
    share = f" ({percent(missing / total)})" if total else ""
    return f"{short(missing)} tokens{share} have no price and are not in it"


def _coarser(asked: Period, shown: Period) -> str:
    return "" if asked == shown else f"by {shown}, for there are too many {asked}s to draw"


def _why(token_usage: pd.DataFrame, column: str) -> str:
    if token_usage.empty:
        return "the frame has no rows"
    if token_usage["started_at"].isna().all():
        return "no row has a time"
    return "no row with a time has a known " + ("price" if column == "cost_usd" else "number of tokens")
