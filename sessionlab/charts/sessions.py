"""Charts of sessions: what they cost, where their time went, which prompts come again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sessionlab import mining
from sessionlab.charts import clock, look
from sessionlab.charts.names import session_names
from sessionlab.charts.series import MOST_ROWS, known_sum, numbers, whole_ticks
from sessionlab.charts.texts import count, duration, hover, labels, money, percent, plain, time_unit
from sessionlab.mining.columns import whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PARTS = (
    ("model_s", "the model answers", look.COLOURS[0], ""),
    ("tools_s", "tools run", look.COLOURS[1], "/"),
    ("waiting_s", "waiting for a person", look.COLOURS[4], ""),
    ("other_s", "other, not noted", look.UNKNOWN, "."),
)
MOST_DRAWN = 40


def time_spent(
    turns: pd.DataFrame,
    tool_calls: pd.DataFrame,
    messages: pd.DataFrame,
    *,
    idle_after_s: float = 900,
    sessions: pd.DataFrame | None = None,
) -> go.Figure:
    """Draw where the time of each session went, as stacked bars: model, tools, waiting for a person, and the rest.

    The frames are `turns`, `tool_calls` and `messages`. Waits longer than `idle_after_s` are no work and would dwarf
    all else, so they are beside the bars as text. The 20 longest sessions without them have a bar each, the rest are
    `other (n)`, drawn as their mean.

    Args:
        turns: The frame `turns`.
        tool_calls: The frame `tool_calls`.
        messages: The frame `messages`.
        idle_after_s: A longer wait is idle time.
        sessions: The frame `sessions`, for the names; None names sessions by their ids.

    Raises:
        FrameError: A column is missing.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.time_spent(empty("turns"), empty("tool_calls"), empty("messages")).layout.title.text
        'Where the time went'
    """
    rows = mining.time_spent(turns, tool_calls, messages, idle_after_s=idle_after_s)
    busy = np.nansum([numbers(rows[name]) for name, *_ in _PARTS], axis=0)
    order = np.argsort(-busy, kind="stable")
    rows, busy = rows.iloc[order].reset_index(drop=True), busy[order]
    rows, busy = rows[busy > 0].reset_index(drop=True), busy[busy > 0]
    shown, hidden = rows.head(MOST_ROWS), len(rows) - MOST_ROWS
    subtitle = [f"waits of more than {duration(idle_after_s)} are not in the bars but beside them"]
    if len(rows):
        subtitle.append(f"{duration(float(busy.sum()))} in {count(len(rows), 'session')}")
        total = float(busy.sum())
        subtitle.append(
            ", ".join(
                f"{percent(known_sum(rows[name]) / total)} {what}"
                for name, what, *_ in _PARTS[:3]
                if known_sum(rows[name])
            )
        )
    bars = len(shown) + (hidden > 0)
    chart = look.figure("Where the time went", subtitle, height=look.rows_height(bars), legend=True)
    divisor, unit = time_unit(float(busy.max(initial=0)))
    chart.update_xaxes(title=unit, rangemode="tozero")
    if rows.empty:
        return look.nothing(
            chart,
            "the frames have no rows" if turns.empty and messages.empty else "no session has times that lie apart",
        )
    titles = session_names(shown, sessions, "time_spent")
    idle = list(numbers(shown["idle_s"]))
    if hidden > 0:
        titles.append(f"mean of other ({hidden:,})")
    axis = labels(titles)
    heads = [f"<b>{plain(title, 80)}</b>" for title in titles]
    for name, what, colour, shape in _PARTS:
        values = numbers(shown[name])
        if hidden > 0:
            values = np.append(values, np.nan_to_num(known_sum(rows[name].iloc[MOST_ROWS:]) / hidden))
        if not np.nansum(values):
            continue
        said = [
            f"{head}<br>{what}: {duration(value)}" for head, value in zip(heads, np.nan_to_num(values), strict=True)
        ]
        chart.add_trace(look.bar(values / divisor, axis, what, colour, shape, said))
    longest = float(busy.max()) / divisor
    idle_said = [f"+ {duration(waited)} idle" if waited > 0 else "" for waited in idle]
    chart.add_trace(look.beside_bars(busy[: len(idle)] / divisor, axis[: len(idle)], idle_said, colour=look.SOFT_TEXT))
    chart.update_xaxes(range=[0, longest])
    chart.update_layout(barmode="stack", margin={"r": 120 if np.nansum(idle) else 24})
    look.lay_rows(chart, axis)
    look.make_room_for_legend(chart)
    return chart


def expensive_sessions(
    sessions: pd.DataFrame, turns: pd.DataFrame, *, limit: int = 10, turns_each: int = 3
) -> go.Figure:
    """Draw the sessions that cost most, and in each the turns that cost most, as stacked bars.

    The frames are `sessions` and `turns`. The hover of a turn has its prompt. Only known costs count.

    Args:
        sessions: The frame `sessions`.
        turns: The frame `turns`.
        limit: How many sessions, 40 at most.
        turns_each: How many turns of each stand out, 10 at most.

    Raises:
        FrameError: A column is missing.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.expensive_sessions(empty("sessions"), empty("turns")).layout.xaxis.title.text
        'US dollars'
    """
    whole(limit, 1, "limit")
    whole(turns_each, 1, "turns_each")
    rows = mining.expensive_sessions(sessions, turns, limit=min(limit, MOST_DRAWN), turns_each=min(turns_each, 10))
    heads = rows.drop_duplicates("rank").reset_index(drop=True)
    subtitle = []
    if len(heads):
        known, unpriced = numbers(sessions["cost_usd"]), int(sessions["cost_usd"].isna().sum())
        share = known_sum(heads["session_cost_usd"]) / np.nansum(known) if np.nansum(known) else float("nan")
        what = "the session" if len(heads) == 1 else f"the {len(heads)} sessions"
        subtitle.append(
            f"{what} with the highest known cost"
            + ("" if np.isnan(share) else f", {percent(share)} of {money(float(np.nansum(known)))} in all")
        )
        subtitle.append(f"the cost of {count(unpriced, 'session')} is not known" if unpriced else "")
    chart = look.figure(
        "Sessions that cost most",
        subtitle or ["sessions by their known cost"],
        height=look.rows_height(len(heads)),
        legend=True,
    )
    chart.update_xaxes(title="US dollars", tickprefix="$", exponentformat="none", rangemode="tozero")
    if heads.empty:
        return look.nothing(
            chart,
            "the frame has no sessions"
            if sessions.empty
            else f"the cost of none of {count(len(sessions), 'session')} is known",
        )
    titles = session_names(heads, sessions, "expensive_sessions")
    axis = labels(titles)
    place = pd.factorize(rows["rank"])[0].astype("int64")
    _add_turns(chart, rows, place, axis, titles)
    spent = np.bincount(place, np.nan_to_num(numbers(rows["turn_cost_usd"])), minlength=len(heads))
    rest = np.maximum(numbers(heads["session_cost_usd"]) - spent, 0)
    said = [
        f"<b>{plain(title, 80)}</b><br>{money(cost)} in all, of that {money(other)} in other turns"
        for title, cost, other in zip(titles, numbers(heads["session_cost_usd"]), rest, strict=True)
    ]
    chart.add_trace(look.bar(rest, axis, "its other turns", look.OTHER, ".", said))
    chart.add_trace(look.beside_bars(rest + spent, axis, [money(float(cost)) for cost in rest + spent]))
    chart.update_xaxes(range=[0, float((rest + spent).max()) or 1])
    chart.update_layout(barmode="stack", margin={"r": 70})
    look.lay_rows(chart, axis)
    look.make_room_for_legend(chart)
    return chart


def repeated_prompts(
    turns: pd.DataFrame, *, at_least: int = 2, limit: int | None = MOST_ROWS, timezone: str | None = None
) -> go.Figure:
    """Draw which prompts were typed again and again, as bars.

    The frame is `turns`. The hover has the prompt, its sessions, its first and last time, and its cost.

    Args:
        turns: The frame `turns`.
        at_least: How often a prompt must have been typed.
        limit: How many prompts are drawn; None or more than 40 draws 40.
        timezone: IANA name of the zone of the times in the hover; None is the machine's own.

    Raises:
        FrameError: A column is missing.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.repeated_prompts(empty("turns")).layout.xaxis.title.text
        'times typed'
    """
    whole(limit, 1, "limit", or_none=True)
    rows = mining.repeated_prompts(turns, at_least=at_least)
    shown = rows.head(min(limit if limit is not None else MOST_DRAWN, MOST_DRAWN))
    subtitle = [f"prompts that were typed {at_least} times or more, without regard to blanks and case"]
    if len(rows) > len(shown):
        subtitle.append(f"{len(shown)} of {count(len(rows), 'prompt')} are drawn")
    chart = look.figure("Prompts that come again", subtitle, height=look.rows_height(len(shown)))
    most = float(np.nanmax(numbers(shown["count"]), initial=0))
    chart.update_xaxes(title="times typed", exponentformat="B", rangemode="tozero", **whole_ticks(most))
    if shown.empty:
        return look.nothing(chart, "the frame has no turns" if turns.empty else f"no prompt was typed {at_least} times")
    first, last = (clock.local(shown[name], timezone) for name in ("first_at", "last_at"))
    said = [
        _prompt(*row)
        for row in zip(
            shown["prompt"], shown["count"], shown["session_count"], shown["cost_usd"], first, last, strict=True
        )
    ]
    axis = labels(shown["prompt"], 34)
    chart.add_trace(look.bar(numbers(shown["count"]), axis, "times typed", look.COLOURS[0], "", said))
    look.lay_rows(chart, axis)
    return chart


def _add_turns(
    chart: go.Figure, rows: pd.DataFrame, place: NDArray[np.int64], axis: list[str], titles: list[str]
) -> None:
    """Add a bar of the turns at each rank within their sessions; the first of them names all in the legend."""
    ranks = rows["turn_rank"].dropna().unique()
    for number, rank in enumerate(sorted(int(value) for value in ranks)):
        own = (rows["turn_rank"] == rank).fillna(False).to_numpy(dtype=bool)
        columns = (rows[own][name] for name in ("turn_index", "model", "prompt", "turn_cost_usd", "turn_share"))
        said = [_turn(titles[at], *row) for at, *row in zip(place[own], *columns, strict=True)]
        chart.add_trace(
            go.Bar(
                x=numbers(rows[own]["turn_cost_usd"]),
                y=[axis[at] for at in place[own]],
                orientation="h",
                name="expensive turns",
                legendgroup="turns",
                showlegend=number == 0,
                marker={"color": look.COLOURS[0], "line": {"width": 0.7, "color": "#ffffff"}},
                text=said,
                textposition="none",
                hovertemplate="%{text}<extra></extra>",
            )
        )


def _turn(session: str, index: Any, model: Any, prompt: Any, cost: Any, share: Any) -> str:
    part = "" if pd.isna(share) else f", {percent(float(share))} of the session"
    head = f"<b>{plain(session, 80)}</b><br>turn {plain(index, 20)}: {money(float(cost))}{part}"
    return f"{head}<br>{plain(model, 60)}<br>{hover(prompt, 240)}"


def _prompt(prompt: Any, times: Any, sessions: Any, cost: Any, first: Any, last: Any) -> str:
    lines = [f"<b>{count(int(times), 'time')}</b> in {count(int(sessions), 'session')}", hover(prompt)]
    if not pd.isna(first):
        lines.append(f"{first:%d %b %Y} to {last:%d %b %Y}")
    lines.append("cost not known" if pd.isna(cost) else f"{money(float(cost))} for all turns of it")
    return "<br>".join(lines)
