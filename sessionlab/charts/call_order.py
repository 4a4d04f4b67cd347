"""Charts of tool calls in order: what follows what, and where an agent went in circles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sessionlab import mining
from sessionlab.charts import clock, look
from sessionlab.charts.series import MOST_ROWS, known_sum, numbers, whole_ticks
from sessionlab.charts.texts import count, cut, duration, hover, labels, percent, plain, text
from sessionlab.mining.columns import whole

_NO_CALLS = "the frame has no tool calls"


def tool_sequences(tool_calls: pd.DataFrame, *, length: int = 2, limit: int | None = MOST_ROWS) -> go.Figure:
    """Draw which tools follow one another most often, as bars.

    The frame is `tool_calls`. A sequence is `length` calls of one session, one after the other.

    Args:
        tool_calls: The frame `tool_calls`.
        length: How many calls make a sequence.
        limit: How many sequences are drawn; None or more than 60 draws 60.

    Raises:
        FrameError: A column is missing, or `length` makes no sense.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.tool_sequences(empty("tool_calls"), length=3).layout.title.text
        'Tools that follow one another'
    """
    whole(limit, 1, "limit", or_none=True)
    rows = mining.tool_sequences(tool_calls, length=length)
    shown = rows.head(min(limit if limit is not None else 60, 60))
    total = known_sum(rows["count"])
    subtitle = [f"runs of {length} calls in one session, the most frequent first"]
    if total:
        subtitle.append(
            f"{len(shown)} of {count(len(rows), 'sequence')}, {percent(known_sum(shown['count']) / total)} of all runs"
        )
    chart = look.figure("Tools that follow one another", subtitle, height=look.rows_height(len(shown)))
    chart.update_xaxes(
        title="times seen",
        exponentformat="B",
        rangemode="tozero",
        **whole_ticks(float(np.nanmax(numbers(shown["count"]), initial=0))),
    )
    if shown.empty:
        return look.nothing(chart, _NO_CALLS if tool_calls.empty else f"no session has {length} tool calls")
    # Each tool keeps its part of the room, so that the last one is seen too.
    parts = [[text(part) for part in text(sequence).split(" → ")] for sequence in shown["sequence"]]
    axis = labels([" → ".join(cut(part, max(8, 38 // len(tools))) for part in tools) for tools in parts], 60)
    details = [
        f"<b>{hover(row[0])}</b><br>{count(row[1], 'time')} in {count(row[2], 'session')}"
        f"<br>{percent(row[3])} of all runs"
        for row in zip(
            shown["sequence"],
            numbers(shown["count"]),
            numbers(shown["session_count"]),
            numbers(shown["share"]),
            strict=True,
        )
    ]
    chart.add_trace(look.bar(numbers(shown["count"]), axis, "times seen", look.GOOD, "", details))
    look.lay_rows(chart, axis)
    return chart


def tool_loops(tool_calls: pd.DataFrame, *, at_least: int = 3, timezone: str | None = None) -> go.Figure:
    """Draw where an agent repeated the same failing call, as bars: one for each loop, the longest first.

    The frame is `tool_calls`. The 20 longest loops are drawn. The hover has the arguments, the last result, the session
    and the time.

    Args:
        tool_calls: The frame `tool_calls`.
        at_least: How many calls make a loop.
        timezone: IANA name of the zone of the times in the hover; None is the machine's own.

    Raises:
        FrameError: A column is missing, or `at_least` makes no sense.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.tool_loops(empty("tool_calls")).layout.xaxis.title.text
        'calls in the loop'
    """
    rows = mining.tool_loops(tool_calls, at_least=at_least)
    rows = rows.assign(_size=numbers(rows["call_count"])).sort_values("_size", ascending=False, kind="stable")
    shown = rows.head(MOST_ROWS)
    sessions = len(rows[["source", "session_id"]].drop_duplicates())
    subtitle = [f"the same call failed {at_least} times or more in a row"]
    if len(rows):
        subtitle.append(
            f"{count(len(rows), 'loop')} in {count(sessions, 'session')}, "
            f"{count(known_sum(rows['call_count']), 'call')}"
        )
    if len(rows) > len(shown):
        subtitle.append(f"the {len(shown)} longest are drawn")
    chart = look.figure("Calls that failed again and again", subtitle, height=look.rows_height(len(shown)))
    chart.update_xaxes(
        title="calls in the loop",
        exponentformat="B",
        rangemode="tozero",
        **whole_ticks(float(np.nanmax(numbers(shown["call_count"]), initial=0))),
    )
    if shown.empty:
        return look.nothing(chart, _NO_CALLS if tool_calls.empty else f"no call failed {at_least} times in a row")
    titles = [f"{text(tool)} {text(given)}" for tool, given in zip(shown["tool_name"], shown["arguments"], strict=True)]
    axis = labels(titles, 40)
    said = _loop_hover(shown, clock.local(shown["started_at"], timezone))
    chart.add_trace(look.bar(numbers(shown["call_count"]), axis, "calls", look.BAD, "", said))
    look.lay_rows(chart, axis)
    return chart


def _loop_hover(shown: pd.DataFrame, when: pd.Series[Any]) -> list[str]:
    made = []
    columns = ("tool_name", "arguments", "result", "source", "session_id", "duration_s")
    for tool, given, result, source, session, took, at in zip(*(shown[name] for name in columns), when, strict=True):
        lines = [
            f"<b>{plain(tool, 60)}</b>",
            hover(given, 180),
            f"last result: {hover(result, 180)}",
            f"{plain(source)} {plain(session, 60)}",
        ]
        if not pd.isna(at):
            lines.append(f"{at:%a %d %b %Y %H:%M}")
        if not pd.isna(took):
            lines.append(f"took {duration(float(took))}")
        made.append("<br>".join(lines))
    return made
