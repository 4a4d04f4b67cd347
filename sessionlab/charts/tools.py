"""Charts of tools: how their calls ended, and how long they took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sessionlab import mining
from sessionlab.charts import look
from sessionlab.charts.series import MOST_ROWS, known_sum, numbers, whole_ticks
from sessionlab.charts.texts import count, duration, hover, labels, percent, plain, text

if TYPE_CHECKING:
    from collections.abc import Sequence

# How a call ended: column, name, colour, pattern.
_ENDS = (
    ("ok_count", "went well", look.COLOURS[0], ""),
    ("error_count", "failed or timed out", look.COLOURS[1], "/"),
    ("denied_count", "denied", look.COLOURS[4], "x"),
    ("cancelled_count", "cancelled", look.COLOURS[5], "\\"),
    ("unanswered_count", "without an answer", look.UNKNOWN, "."),
    ("suggested_count", "suggested, not made", look.COLOURS[2], "-"),
)
_LOG_TICKS = [step * 10.0**power for power in range(-3, 7) for step in (1, 3)]
_NO_CALLS = "the frame has no tool calls"


def tool_reliability(tool_calls: pd.DataFrame, by: str = "tool_name") -> go.Figure:
    """Draw for each tool how its calls ended, as stacked bars, and how large a share failed.

    The frame is `tool_calls`. The share is of the calls that went well or failed; the hover has its 95% interval.
    The most used 20 have a bar of their own, the rest are `other (n)`.

    Args:
        tool_calls: The frame `tool_calls`.
        by: The column whose values have a bar each.

    Raises:
        FrameError: A column is missing.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.tool_reliability(empty("tool_calls")).layout.title.text
        'How tool calls ended'
    """
    rows = mining.tool_reliability(tool_calls, by)
    total, failed = known_sum(rows["call_count"]), known_sum(rows["error_count"])
    answered = failed + known_sum(rows["ok_count"])
    subtitle = [f"calls by {plain(by.replace('_', ' '), 30)}; at their end the share that failed of the answered"]
    if answered:
        subtitle.append(f"{percent(failed / answered)} of {count(answered, 'answered call')} failed")
    names, shown = _with_other(rows, by, ["call_count", *(end[0] for end in _ENDS), "retry_count", "retry_ok_count"])
    chart = look.figure("How tool calls ended", subtitle, height=look.rows_height(len(names)), legend=True)
    chart.update_layout(barmode="stack")
    chart.update_xaxes(title="tool calls", exponentformat="B", rangemode="tozero", **whole_ticks(total))
    if rows.empty or not total:
        return look.nothing(chart, _NO_CALLS)
    titles = [text(value) for value in names]
    axis = labels(titles)
    details = _reliability_hover(shown, titles)
    for column, name, colour, pattern in _ENDS:
        values = numbers(shown[column])
        if np.nansum(values):
            said = [f"{known}<br>{name}: {value:,.0f}" for known, value in zip(details, values, strict=True)]
            chart.add_trace(look.bar(values, axis, name, colour, pattern, said))
    rates = ["" if np.isnan(rate) else percent(rate) for rate in numbers(shown["error_rate"])]
    chart.add_trace(look.beside_bars(numbers(shown["call_count"]), axis, rates))
    chart.update_xaxes(range=[0, float(np.nanmax(numbers(shown["call_count"])))])
    chart.update_layout(margin={"r": 56})
    look.lay_rows(chart, axis)
    look.make_room_for_legend(chart)
    return chart


def tool_durations(tool_calls: pd.DataFrame, by: str = "tool_name") -> go.Figure:
    """Draw how long the calls of each tool took: the median, and the time that 95 of 100 calls keep within.

    The frame is `tool_calls`. Only calls whose duration is known count. The axis is logarithmic; what took less than a
    millisecond stands at one. The 20 most used tools are drawn.

    Args:
        tool_calls: The frame `tool_calls`.
        by: The column whose values have a line each.

    Raises:
        FrameError: A column is missing.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.tool_durations(empty("tool_calls")).layout.xaxis.title.text
        'seconds (logarithmic)'
    """
    rows = mining.tool_reliability(tool_calls, by)
    timed = rows[(numbers(rows["timed_count"]) > 0) & rows["duration_median_s"].notna()]
    shown = timed.head(MOST_ROWS)
    subtitle = [f"duration of calls by {plain(by.replace('_', ' '), 30)}, the most used first"]
    if len(timed):
        subtitle.append(
            f"known for {known_sum(rows['timed_count']):,.0f} of {count(known_sum(rows['call_count']), 'call')}"
        )
    if len(timed) > len(shown):
        subtitle.append(f"{len(shown)} of {count(len(timed), 'value')} are drawn")
    chart = look.figure("How long tools took", subtitle, height=look.rows_height(len(shown)), legend=True)
    chart.update_xaxes(
        title="seconds (logarithmic)", type="log", tickvals=_LOG_TICKS, ticktext=[f"{tick:,g}" for tick in _LOG_TICKS]
    )
    if shown.empty:
        return look.nothing(chart, _NO_CALLS if rows.empty else "no call has a known duration")
    axis = labels(shown[by])
    median, slow = (np.maximum(numbers(shown[name]), 0.001) for name in ("duration_median_s", "duration_p95_s"))
    details = [
        f"<b>{plain(row[0])}</b><br>median {duration(row[1])}"
        f"<br>95 of 100 within {duration(row[2])}<br>{count(row[3], 'timed call')}"
        for row in zip(
            shown[by],
            numbers(shown["duration_median_s"]),
            numbers(shown["duration_p95_s"]),
            numbers(shown["timed_count"]),
            strict=True,
        )
    ]
    between_x = np.column_stack([median, slow, np.full(len(shown), np.nan)]).ravel()
    chart.add_trace(
        go.Scatter(
            x=between_x,
            y=np.repeat(axis, 3).tolist(),
            mode="lines",
            line={"color": look.OTHER, "width": 2},
            showlegend=False,
            hoverinfo="skip",
        )
    )
    for values, name, colour, symbol, size in (
        (slow, "95 of 100 within", look.BAD, "diamond", 12),
        (median, "median", look.GOOD, "circle", 8),
    ):
        chart.add_trace(
            go.Scatter(
                x=values,
                y=axis,
                mode="markers",
                name=name,
                marker={"color": colour, "symbol": symbol, "size": size},
                text=details,
                hovertemplate="%{text}<extra></extra>",
            )
        )
    low, high = np.log10(min(median.min(), slow.min())), np.log10(max(median.max(), slow.max()))
    spare = max(0.15, (1 - (high - low)) / 2)
    chart.update_xaxes(range=[low - spare, high + spare])
    look.lay_rows(chart, axis)
    look.make_room_for_legend(chart)
    return chart


def _with_other(rows: pd.DataFrame, by: str, columns: list[str]) -> tuple[list[Any], pd.DataFrame]:
    """Return the names and numbers of the first rows, and of the rest as one more row."""
    shown, rest = rows.head(MOST_ROWS), rows.iloc[MOST_ROWS:]
    names = list(shown[by])
    if rest.empty:
        return names, shown
    other = {column: known_sum(rest[column]) for column in columns}
    answered = other["ok_count"] + other["error_count"]
    other["error_rate"] = other["error_count"] / answered if answered else float("nan")
    kept = [*columns, "error_rate", "error_rate_low", "error_rate_high"]
    numeric = pd.DataFrame({column: numbers(shown[column]) for column in kept})
    last = pd.DataFrame({column: [other.get(column, float("nan"))] for column in kept})
    return [*names, f"other ({len(rest):,})"], pd.concat([numeric, last], ignore_index=True)


def _reliability_hover(shown: pd.DataFrame, titles: Sequence[str]) -> list[str]:
    columns = ("call_count", "error_rate", "error_rate_low", "error_rate_high", "retry_count", "retry_ok_count")
    made = []
    for title, calls, rate, low, high, retries, retried in zip(
        titles, *(numbers(shown[name]) for name in columns), strict=True
    ):
        lines = [f"<b>{hover(title)}</b>", count(calls, "call")]
        if not np.isnan(rate):
            lines.append(
                f"{percent(rate)} failed"
                + ("" if np.isnan(low) else f" (95% interval {percent(low)} to {percent(high)})")
            )
        if retries > 0:
            lines.append(f"{count(retries, 'retry', 'retries')} after a failure, {retried:,.0f} went well")
        made.append("<br>".join(lines))
    return made
