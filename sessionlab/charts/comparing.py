"""Charts of settings: two groups of turns beside each other, and where sessions changed their configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sessionlab import mining
from sessionlab.charts import clock, look
from sessionlab.charts.series import MOST_ROWS, fold
from sessionlab.charts.texts import count, duration, hover, labels, money, plain, short
from sessionlab.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Metric, what its axis is called, the axis.
_METRICS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("cost_usd", "cost of a {unit}, US dollars", {"tickprefix": "$", "exponentformat": "none"}),
    ("input_tokens", "input of a {unit}, tokens", {"exponentformat": "B"}),
    ("output_tokens", "output of a {unit}, tokens", {"exponentformat": "B"}),
    ("duration_s", "duration of a {unit}, seconds", {"exponentformat": "none"}),
    ("error_rate", "{unit}s with an error, share of all", {"tickformat": "~p"}),
)
_Roles = dict[str, dict[Any, Any]]
_MINUS = "\N{MINUS SIGN}"
_PANEL = 104  # the height of one metric
MOST_CHANGES = 2000


def comparison(
    turns: pd.DataFrame,
    by: str = "model",
    *,
    a: Any = None,
    b: Any = None,
    unit: Literal["turn", "session"] = "turn",
) -> go.Figure:
    """Draw two groups of turns beside each other: means of cost, tokens and duration, and the share of errors.

    The frame is `turns`. Each metric has a panel of its own with the mean of both groups and its 95% interval. Above it
    stands the difference, in bold where its interval leaves out 0: then chance alone hardly explains it.

    Args:
        turns: The frame `turns`.
        by: The column whose values are compared, such as `model_config_id`; `model` is the response model, else the
            request model.
        a: The first value; None is the one with most turns.
        b: The second value; None is the one with most turns beside `a`.
        unit: `turn`, or `session` for sums of a session's turns.

    Raises:
        FrameError: A column is missing, or an argument is not known.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.comparison(empty("turns")).layout.title.text
        'Two groups compared'
    """
    if unit not in ("turn", "session"):
        raise FrameError(f"unit={unit!r} is not known. Expected 'turn' or 'session'.")
    rows = mining.compare(turns, by, a=a, b=b)
    rows = rows[rows["unit"] == unit]
    sides = rows[rows["role"] != "difference"].drop_duplicates("role").set_index("role")["group"]
    titles = [str(name) for name in sides]
    names = [plain(name, 26) for name in titles]
    subtitle = [f"mean and 95% interval for each {unit}, by {plain(by.replace('_', ' '), 30)}"]
    if len(names) == 2:
        subtitle += [f"difference: {names[1]} minus {names[0]}", "bold where its interval leaves out 0"]
    title = " and ".join(plain(name, 22) for name in titles) if len(names) == 2 else "Two groups compared"
    chart = look.figure(title, subtitle, height=140 + _PANEL * len(_METRICS))
    if rows.empty:
        return look.nothing(chart, "the frame has no turns" if turns.empty else f"no turn has a known {plain(by, 40)}")
    chart.set_subplots(rows=len(_METRICS), cols=1, vertical_spacing=0.12)
    axis = labels(titles, 26)
    for place, (metric, what, look_of_axis) in enumerate(_METRICS, start=1):
        own = {str(row["role"]): row for row in rows[rows["metric"] == metric].to_dict("records")}
        chart.update_xaxes(
            title={"text": what.format(unit=unit), "standoff": 4},
            rangemode="tozero",
            nticks=7,
            row=place,
            col=1,
            **look_of_axis,
        )
        _panel(chart, own, axis, place, metric, unit)
        chart.update_yaxes(
            type="category",
            categoryarray=axis,
            categoryorder="array",
            range=[max(len(axis), 2) - 0.5, -0.5],
            ticks="",
            ticklabelstandoff=6,
            showgrid=False,
            row=place,
            col=1,
        )
    return chart


def config_changes(turns: pd.DataFrame, model_configs: pd.DataFrame, *, timezone: str | None = None) -> go.Figure:
    """Draw when sessions went on with other settings: a row for each setting, a mark for each change.

    The frames are `turns` and `model_configs`. The hover says what the setting was before and after. Of more than 2,000
    changes those of a day are one mark.

    Args:
        turns: The frame `turns`.
        model_configs: The frame `model_configs`.
        timezone: IANA name of the zone of the time axis; None is the machine's own.

    Raises:
        FrameError: A column is missing.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.config_changes(empty("turns"), empty("model_configs"), timezone="UTC").layout.xaxis.title.text
        'time (UTC)'
    """
    rows = mining.config_changes(turns, model_configs)
    timed = rows[rows["started_at"].notna()].reset_index(drop=True)
    zone = clock.zone_name(timezone)
    subtitle = ["settings that differ between two turns of a session, one after the other"]
    if len(rows):
        sessions = len(rows[["source", "session_id"]].drop_duplicates())
        subtitle.append(f"{count(len(rows), 'change')} in {count(sessions, 'session')}")
    if len(timed) < len(rows):
        subtitle.append(f"{count(len(rows) - len(timed), 'change')} without a time left out")
    folded = fold(timed["setting"], np.ones(len(timed)), MOST_ROWS)
    chart = look.figure("Changes of configuration", subtitle, height=look.rows_height(len(folded.series)))
    chart.update_xaxes(title=f"time ({zone})", type="date")
    if timed.empty:
        return look.nothing(chart, "no turn changed its configuration" if rows.empty else "no change has a time")
    timed = timed.assign(_series=folded.of_row, _at=clock.local(timed["started_at"], timezone))
    if len(timed) > MOST_CHANGES:
        timed = timed.assign(_at=timed["_at"].dt.normalize())
        chart.layout.title.subtitle.text += " · those of a day are one mark"
    keys = ["_series", "_at"] if len(timed) > MOST_CHANGES else ["_series", "_at", "source", "session_id"]
    others = [name for name in ("setting", "before", "after", "source", "session_id") if name not in keys]
    groups = timed.groupby(keys, sort=True, dropna=False)
    marks = groups.agg(times=("turn_index", "size"), **{name: (name, "first") for name in others}).reset_index()
    axis = [series.label for series in folded.series]
    chart.add_trace(
        go.Scatter(
            x=clock.iso(marks["_at"]),
            y=[axis[number] for number in marks["_series"]],
            mode="markers",
            marker={
                "color": look.COLOURS[0],
                "opacity": 0.75,
                "size": np.clip(9 + 3 * np.sqrt(marks["times"].to_numpy() - 1), 9, 28),
            },
            text=[_change(row) for row in marks.to_dict("records")],
            hovertemplate="%{x|%a %d %b %Y %H:%M}<br>%{text}<extra></extra>",
        )
    )
    first, last = marks["_at"].min(), marks["_at"].max()
    clock.lay_times(chart, first, last, zone, busy_s=(last - first).total_seconds())
    look.lay_rows(chart, axis)
    chart.update_yaxes(showgrid=True)
    return chart


def _panel(chart: go.Figure, own: _Roles, axis: Sequence[str], place: int, metric: str, unit: str) -> None:
    known = [role for role in ("a", "b") if role in own and not pd.isna(own[role]["mean"])]
    for number, role in enumerate(("a", "b")):
        if role not in known:
            continue
        mean, low, high = (float(own[role][name]) for name in ("mean", "low", "high"))
        ends = {"array": [high - mean], "arrayminus": [mean - low], "thickness": 2, "width": 6}
        chart.add_trace(
            go.Scatter(
                x=[mean],
                y=[axis[number]],
                error_x=None if np.isnan(low) else {"type": "data", "symmetric": False, **ends},
                mode="markers",
                cliponaxis=False,
                marker={"color": look.COLOURS[number], "symbol": look.SYMBOLS[number], "size": 11},
                text=[_side(own[role], metric, unit)],
                hovertemplate="%{text}<extra></extra>",
            ),
            row=place,
            col=1,
        )
    letter = "" if place == 1 else str(place)
    chart.add_annotation(
        text=_difference(own, metric) if len(known) == 2 else "" if known else "not known",
        x=1,
        xref=f"x{letter} domain",
        xanchor="right",
        y=1,
        yref=f"y{letter} domain",
        yanchor="bottom",
        font={"size": 12},
    )


def _side(row: Mapping[Any, Any], metric: str, unit: str) -> str:
    lines = [f"<b>{plain(row['group'], 80)}</b>", f"mean {_amount(row['mean'], metric)}"]
    if not pd.isna(row["low"]):
        lines[-1] += f" (95% interval {_amount(row['low'], metric)} to {_amount(row['high'], metric)})"
    if not pd.isna(row["median"]):
        lines.append(f"median {_amount(row['median'], metric)}")
    lines.append(f"{count(row['n'], unit)} in {count(row['session_count'], 'session')}")
    if row["missing_count"]:
        lines.append(f"not known of {count(row['missing_count'], unit)} more")
    return "<br>".join(lines)


def _difference(own: _Roles, metric: str) -> str:
    if "difference" not in own or np.isnan(own["difference"]["mean"]):
        return ""
    mean, low, high = (float(own["difference"][name]) for name in ("mean", "low", "high"))
    said = _amount(mean, metric, signed=True)
    if np.isnan(low):
        return f"{said} (too few sessions for an interval)"
    said += f" ({_amount(low, metric, signed=True)} to {_amount(high, metric, signed=True)})"
    return f"<b>{said}</b>" if low > 0 or high < 0 else said


def _amount(value: float, metric: str, *, signed: bool = False) -> str:
    sign = ("+" if value >= 0 else _MINUS) if signed else (_MINUS if value < 0 else "")
    size = abs(value)
    if metric == "cost_usd":
        return sign + money(size)
    if metric == "duration_s":
        return sign + duration(size)
    if metric == "error_rate":
        return f"{sign}{size * 100:.1f}{' points' if signed else '%'}"
    return sign + short(size)


def _change(mark: Mapping[Any, Any]) -> str:
    times = int(mark["times"])
    lines = [f"<b>{plain(mark['setting'], 60)}</b>", f"{hover(mark['before'], 120)} → {hover(mark['after'], 120)}"]
    if times > 1:
        lines.append(f"and {count(times - 1, 'more change')}")
    else:
        lines.append(f"{plain(mark['source'], 30)} {plain(mark['session_id'], 60)}")
    return "<br>".join(lines)
