"""The chart of one session: what ran when, in lanes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sessionlab import mining
from sessionlab.charts import clock, look
from sessionlab.charts.series import numbers
from sessionlab.charts.texts import count, duration, hover, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

# Lane, what its spans are called, colour, pattern, symbol of a moment.
_LANES = (
    ("prompt", "prompt", look.TITLE, "", "triangle-down"),
    ("model", "the model answers", look.COLOURS[0], "", "diamond"),
    ("tools", "a tool runs", look.COLOURS[2], "", "circle"),
    ("subagents", "a subagent works", look.COLOURS[5], "\\", "square"),
)
_FAILED = ("failed", look.COLOURS[1], "/")
MOST_SPANS = 1200
MOST_ROWS_OF_A_LANE = 4
_MOST_CUTS = 24
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 604_800)


def session_timeline(
    turns: pd.DataFrame,
    tool_calls: pd.DataFrame,
    messages: pd.DataFrame | None = None,
    *,
    timezone: str | None = None,
) -> go.Figure:
    """Draw one session as lanes on a clock: prompts, answers of the model, tools, subagents.

    The frames are those of one session, as `lab.frame("turns", session_id=…)` gives them. What runs at once lies on
    top of each other. What has no known duration is a mark. Stretches in which nothing happens are cut out of the axis:
    a dotted line says how long they were. Of more than 1,200 spans, neighbours are drawn as one.

    Args:
        turns: The frame `turns` of one session.
        tool_calls: The frame `tool_calls` of the same session.
        messages: The frame `messages` of the same session; without it there are no prompts.
        timezone: IANA name of the zone of the time axis; None is the machine's own.

    Raises:
        FrameError: A column is missing, or the rows are of more than one session.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.session_timeline(empty("turns"), empty("tool_calls"), timezone="UTC").layout.title.text
        'One session'
    """
    spans = mining.timeline(turns, tool_calls, messages)
    zone = clock.zone_name(timezone)
    spans = spans[spans["start"].notna()].reset_index(drop=True)
    known = numbers(spans["duration_s"])
    subtitle = ["what ran when; marks are moments, or of unknown duration"]
    if len(spans):
        by_lane = spans["lane"].value_counts()
        parts = (("prompt", "prompt"), ("model", "answer"), ("tools", "tool call"), ("subagents", "step of subagents"))
        subtitle.append(
            ", ".join(
                count(by_lane[lane], what, "steps of subagents" if lane == "subagents" else None)
                for lane, what in parts
                if lane in by_lane
            )
        )
    lanes = [lane for lane, *_ in _LANES if (spans["lane"] == lane).any()]
    spans = spans.assign(
        _start=clock.local(spans["start"], timezone).astype("datetime64[us]"),
        _length=np.nan_to_num(np.maximum(known, 0)),
        _is_moment=np.isnan(known),
        _failed=spans["is_error"].fillna(False).to_numpy(dtype=bool),
    )
    spans["_row"], heights = _stack(spans, lanes)
    chart = look.figure(_title(turns, tool_calls), subtitle, height=170 + 34 * max(int(sum(heights)), 2), legend=True)
    chart.update_xaxes(title=f"time ({zone})", type="date")
    if spans.empty:
        return look.nothing(
            chart, "the session has no rows" if turns.empty and tool_calls.empty else "nothing of it has a time"
        )
    ends = spans["_start"] + pd.to_timedelta(spans["_length"], unit="s")
    busy_s = _lay_clock(chart, spans["_start"], ends, zone)
    for lane in lanes:
        _draw_lane(chart, spans[spans["lane"] == lane], lane, busy_s)
    _lay_lanes(chart, lanes, heights)
    chart.update_layout(barmode="overlay")
    look.make_room_for_legend(chart)
    return chart


def _title(turns: pd.DataFrame, tool_calls: pd.DataFrame) -> str:
    for frame in (turns, tool_calls):
        if len(frame):
            row = frame.iloc[0]
            return f"One session: {plain(row['source'], 20)} {plain(row['session_id'], 16)}"
    return "One session"


def _stack(spans: pd.DataFrame, lanes: Sequence[str]) -> tuple[NDArray[np.int64], list[int]]:
    """Return the row of each span, so that what runs at once lies apart, and how many rows each lane has."""
    rows = np.zeros(len(spans), dtype="int64")
    starts = spans["_start"].to_numpy("datetime64[us]").astype("int64")
    ends = (starts + (spans["_length"].to_numpy() * 1e6).astype("int64")).tolist()
    below, heights = 0, []
    for lane in lanes:
        own = np.flatnonzero((spans["lane"] == lane).to_numpy())
        own = own[np.argsort(starts[own], kind="stable")]
        free: list[int] = []
        places = []
        for at, start in zip(own.tolist(), starts[own].tolist(), strict=True):
            place = next((number for number, end in enumerate(free) if end <= start), len(free))
            if place == len(free) and place < MOST_ROWS_OF_A_LANE:
                free.append(0)
            place = min(place, MOST_ROWS_OF_A_LANE - 1)
            free[place] = max(free[place], ends[at])
            places.append(below + place)
        rows[own] = places
        heights.append(len(free))
        below += len(free)
    return rows, heights


def _draw_lane(chart: go.Figure, spans: pd.DataFrame, lane: str, busy_s: float) -> None:
    _, what, colour, shape, symbol = next(entry for entry in _LANES if entry[0] == lane)
    for failed in (False, True):
        name, paint, hatch = _FAILED if failed else (what, colour, shape)
        own = spans[spans["_failed"] == failed]
        for is_moment in (False, True):
            drawn = _merged(own[own["_is_moment"] == is_moment])
            if drawn.empty:
                continue
            has_name = any(trace.name == name and trace.showlegend for trace in chart.data)
            shared: dict[str, Any] = {
                "y": drawn["_row"].to_numpy(),
                "name": name,
                "legendgroup": name,
                "showlegend": not has_name,
                "text": [_said(row) for row in drawn.to_dict("records")],
                "hovertemplate": "%{text}<extra></extra>",
            }
            if is_moment:
                marker = {"symbol": symbol, "size": 9, "color": paint}
                chart.add_trace(go.Scatter(x=clock.iso(drawn["_start"]), mode="markers", marker=marker, **shared))
                continue
            # A light line parts long bars; one of the bar's own colour keeps the shortest visible.
            lengths = drawn["_length"].to_numpy() * 1000
            edges = np.where(lengths > busy_s * 1000 / 50, "#ffffff", paint).tolist()
            marker = {"color": paint, "line": {"width": 1, "color": edges}, "pattern": look.pattern(hatch)}
            chart.add_trace(
                go.Bar(
                    base=clock.iso(drawn["_start"]),
                    x=lengths,
                    width=0.62,
                    orientation="h",
                    textposition="none",
                    marker=marker,
                    **shared,
                )
            )


def _merged(spans: pd.DataFrame) -> pd.DataFrame:
    """Return the spans, neighbours made one where there are too many to be told apart."""
    spans = spans.assign(_count=1, _sum=spans["_length"])
    if len(spans) <= MOST_SPANS:
        return spans
    starts = spans["_start"].to_numpy("datetime64[us]").astype("int64")
    wide = max((int(starts.max()) - int(starts.min())) // (MOST_SPANS // MOST_ROWS_OF_A_LANE) + 1, 1)
    groups = spans.assign(_end=starts / 1e6 + spans["_length"]).groupby(["_row", (starts - starts.min()) // wide])
    made = groups.agg(
        _row=("_row", "first"),
        _start=("_start", "min"),
        _end=("_end", "max"),
        _sum=("_length", "sum"),
        _count=("lane", "size"),
        lane=("lane", "first"),
        label=("label", "first"),
        _is_moment=("_is_moment", "first"),
        turn_index=("turn_index", "first"),
    ).reset_index(drop=True)
    begun = made["_start"].to_numpy("datetime64[us]").astype("int64") / 1e6
    return made.assign(_length=made["_end"] - begun)


def _said(span: Mapping[Any, Any]) -> str:
    label = hover(span["label"], 240) if span["lane"] == "prompt" else f"<b>{hover(span['label'], 120)}</b>"
    lines = [label]
    if span["_count"] > 1:
        lines.append(f"and {span['_count'] - 1:,} more")
    if not span["_is_moment"]:
        lines.append(duration(span["_sum"]))
    elif span["lane"] != "prompt":
        lines.append("duration not known")
    if not pd.isna(span["turn_index"]):
        lines.append(f"turn {span['turn_index']}")
    return "<br>".join([f"{span['_start']:%H:%M:%S}", *lines])


def _lay_clock(chart: go.Figure, starts: pd.Series[Any], ends: pd.Series[Any], zone: str) -> float:
    """Make the x axis a clock without the longest stretches in which nothing happens; return how much it shows."""
    stretches = _stretches(_microseconds(starts), _microseconds(ends))
    busy = sum(last - first for first, last in stretches)
    clock.lay_times(chart, starts.min(), ends.max(), zone, busy_s=busy / 1e6)
    spare = max(busy // 40, 100_000)
    breaks = []
    place, said_at = 0, -busy
    for (first, last), (following, _) in pairwise(stretches):
        place += last - first
        edges = clock.iso(_times([last + spare, following - spare]))
        breaks.append({"bounds": edges})
        line = {"color": look.AXIS, "width": 1, "dash": "dot"}
        chart.add_shape(type="line", x0=edges[0], x1=edges[0], y0=0, y1=1, yref="paper", line=line)
        if place - said_at > busy / 7:  # two texts need that much room
            said_at = place
            said = duration(round((following - last) / 1e6))
            font = {"size": 11, "color": look.SOFT_TEXT}
            chart.add_annotation(x=edges[0], y=1, yref="paper", yanchor="bottom", text=said, font=font)
    ticks, form = _ticks(stretches, busy)
    chart.update_xaxes(
        rangebreaks=breaks,
        tickvals=clock.iso(ticks),
        ticktext=clock.tick_texts(ticks, form),
        tickangle=0,
    )
    return busy / 1e6


def _stretches(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return when the session was busy, in microseconds: it is parted at the longest gaps."""
    order = np.argsort(starts, kind="stable")
    begins, reached = starts[order], np.maximum.accumulate(ends[order])
    gaps = begins[1:] - reached[:-1]
    busy = int(reached[-1] - begins[0] - gaps[gaps > 0].sum())
    longest = np.argsort(-gaps, kind="stable")[:_MOST_CUTS]
    cuts = np.sort(longest[gaps[longest] > max(60_000_000, busy // 4)])
    firsts = [int(begins[0]), *begins[cuts + 1].tolist()]
    lasts = [*reached[cuts].tolist(), int(reached[-1])]
    return list(zip(firsts, lasts, strict=True))


def _ticks(stretches: Sequence[tuple[int, int]], busy: int) -> tuple[pd.Series[Any], str]:
    """Return about five ticks at round times of the busy stretches, apart from one another, and their form."""
    step = next((step for step in _STEPS_S if busy <= step * 5_000_000), _STEPS_S[-1]) * 1_000_000
    found: list[int] = []
    before, last_place = 0, -step
    for first, last in stretches:
        rounded = list(range(-(-first // step) * step, last + 1, step)) or [first]
        for moment in rounded[:50]:
            place = before + moment - first
            if place - last_place >= step * 0.6:
                found.append(moment)
                last_place = place
        before += last - first + busy // 20  # what is left of the gap
    return _times(found), "%H:%M:%S\n%d %b %Y" if step < 60_000_000 else "%H:%M\n%d %b %Y"


def _microseconds(times: pd.Series[Any]) -> NDArray[np.int64]:
    return times.to_numpy("datetime64[us]").astype("int64")


def _times(microseconds: Sequence[int]) -> pd.Series[Any]:
    return pd.Series(np.array(microseconds, dtype="int64").astype("datetime64[us]"))


def _lay_lanes(chart: go.Figure, lanes: Sequence[str], heights: Sequence[int]) -> None:
    middles = np.cumsum(heights) - np.array(heights) / 2 - 0.5
    for edge in np.cumsum(heights)[:-1]:
        chart.add_shape(
            type="line", x0=0, x1=1, xref="paper", y0=edge - 0.5, y1=edge - 0.5, line={"color": look.GRID, "width": 1}
        )
    chart.update_yaxes(
        range=[max(sum(heights), 2) - 0.5, -0.5],
        tickvals=middles,
        ticktext=list(lanes),
        ticks="",
        showgrid=False,
        zeroline=False,
    )
