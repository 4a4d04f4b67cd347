"""Charts of context: how it grows from turn to turn, and what the cache saves of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sessionlab import mining
from sessionlab.charts import look
from sessionlab.charts.names import session_names
from sessionlab.charts.series import MOST_ROWS, NAME, known_sum, numbers
from sessionlab.charts.texts import count, labels, money, percent, plain, short, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_SESSIONS = len(look.COLOURS)
MOST_POINTS = 400  # of one line; more cannot be told apart
_INPUT = (
    ("cache_read_tokens", "read from the cache", look.COLOURS[0], ""),
    ("cache_creation_tokens", "written to the cache", look.COLOURS[3], "/"),
    ("uncached_tokens", "not cached", look.COLOURS[1], ""),
    ("unknown_cache_tokens", "not known", look.UNKNOWN, "x"),
)
_COSTS = (
    ("cache_read_cost_usd", *_INPUT[0][1:]),
    ("cache_creation_cost_usd", *_INPUT[1][1:]),
    ("uncached_cost_usd", *_INPUT[2][1:]),
)


def context_growth(
    turns: pd.DataFrame, messages: pd.DataFrame | None = None, *, sessions: pd.DataFrame | None = None
) -> go.Figure:
    """Draw how the context of each session grows from turn to turn, as lines.

    The frame is `turns`. The six sessions that reach the largest context have a line each; the median of the others is
    one grey line. With `messages`, a ring marks the first turn after a compaction. Of a line of more than 400 turns the
    largest of each stretch is drawn.

    Args:
        turns: The frame `turns`.
        messages: The frame `messages`, for the compactions; None leaves them out.
        sessions: The frame `sessions`, for the names; None names sessions by their ids.

    Raises:
        FrameError: A column is missing.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.context_growth(empty("turns")).layout.yaxis.title.text
        'tokens of context'
    """
    rows = mining.context_growth(turns, messages)
    key = rows.groupby(["source", "session_id"], dropna=False, sort=True).ngroup().to_numpy()
    size = numbers(rows["context_tokens"])
    rows = rows.assign(_session=key, _size=size, _turn=numbers(rows["turn_index"]))
    many = int(key.max(initial=-1)) + 1
    subtitle = ["all input of each turn, cached included; subagents left out"]
    if many:
        subtitle.append(
            f"{count(len(rows), 'turn')} in {count(many, 'session')}, "
            f"the largest is {short(float(np.nanmax(size)))} tokens"
        )
    chart = look.figure("Context of sessions, turn by turn", subtitle, legend=True)
    chart.update_xaxes(title="turn of the session (from 0)", showgrid=False, zeroline=False)
    chart.update_yaxes(title="tokens of context", exponentformat="B", rangemode="tozero")
    if rows.empty:
        return look.nothing(chart, "the frame has no turns" if turns.empty else "no turn has known input tokens")
    most = rows.groupby("_session")["_size"].max()
    order = most.reset_index().sort_values(["_size", "_session"], ascending=[False, True])["_session"].to_numpy()
    shown = order[:MOST_SESSIONS]
    heads = rows.drop_duplicates("_session").set_index("_session").loc[shown]
    titles = session_names(heads, sessions, "context_growth")
    _median_of_others(chart, rows[~rows["_session"].isin(shown)], many - len(shown))
    for place, (session, title, label) in enumerate(zip(shown, titles, labels(titles, NAME), strict=True)):
        _line(chart, rows[rows["_session"] == session], place, plain(title, 80), label)
    _mark_compactions(chart, rows[rows["_session"].isin(shown)])
    last = float(np.nanmax(rows["_turn"].to_numpy(), initial=0))
    chart.update_xaxes(range=[-0.03 * max(last, 4) - 0.2, max(last, 4) * 1.03], **({"dtick": 1} if last <= 10 else {}))
    look.make_room_for_legend(chart)
    return chart


def cache_economics(turns: pd.DataFrame, token_usage: pd.DataFrame | None = None, by: str = "model") -> go.Figure:
    """Draw how much of the input came from the cache, went into it, or passed it by; and what that cost.

    The frame is `turns`. Each bar is all known input of a value of `by` and adds up to 100%. Beside it stand its tokens
    and the share that was paid again: context that the turn before had sent already and that was not read from the
    cache. The 20 values with most input are drawn.

    Args:
        turns: The frame `turns`.
        token_usage: The frame `token_usage`, for a second panel with the cost; None leaves it out.
        by: The column whose values have a bar each; `model` is the model that answered, or else was asked for.

    Raises:
        FrameError: A column is missing.

    Example:
        >>> from sessionlab import charts
        >>> from sessionlab.lab.frames import empty
        >>> charts.cache_economics(empty("turns")).layout.title.text
        'What the cache saves'
    """
    rows = mining.cache_economics(turns, token_usage, by)
    rows = rows[numbers(rows["input_tokens"]) > 0]
    rows = rows.iloc[np.argsort(-numbers(rows["input_tokens"]), kind="stable")]
    total, unknown = known_sum(rows["input_tokens"]), known_sum(rows["unknown_cache_tokens"])
    shown = rows.head(MOST_ROWS)
    subtitle = [f"input tokens by {plain(by.replace('_', ' '), 30)}, most first"]
    if total:
        read = known_sum(rows["cache_read_tokens"])
        subtitle.append(
            f"{percent(read / (total - unknown))} of {short(total - unknown)} tokens read from the cache"
            if total > unknown
            else ""
        )
        subtitle.append(f"of {short(unknown)} more the cache counts are not known" if unknown else "")
        again = known_sum(rows["paid_again_tokens"])
        subtitle.append(f"{short(again)} tokens were sent before and paid again" if again else "")
    if len(rows) > len(shown):
        subtitle.append(f"{len(shown)} of {len(rows):,} are drawn")
    has_costs = token_usage is not None and bool(shown[[name for name, *_ in _COSTS]].notna().any(axis=None))
    if has_costs:
        unpriced = known_sum(rows["unpriced_tokens"])
        subtitle.append(
            f"{short(unpriced)} input tokens have no price" if unpriced else "all input tokens have a price"
        )
    chart = look.figure("What the cache saves", subtitle, height=look.rows_height(len(shown)), legend=True)
    if shown.empty:
        chart.update_xaxes(title="share of input tokens")
        return look.nothing(chart, "the frame has no turns" if turns.empty else "no turn has known input tokens")
    axis = labels(shown[by])
    if has_costs:
        chart.set_subplots(rows=2, cols=1, vertical_spacing=70 / look.rows_height(2 * len(shown)))
        chart.update_layout(height=chart.layout.height + look.rows_height(len(shown)) - 60)
    _add_bars(chart, shown, axis, by, _INPUT, numbers(shown["input_tokens"]), 1 if has_costs else None)
    if has_costs:
        _add_bars(chart, shown, axis, by, _COSTS, np.ones(len(shown)), 2)
        most = max(float(np.nansum([numbers(shown[name]) for name, *_ in _COSTS], axis=0).max()), 1e-9)
        chart.update_xaxes(
            title="cost of input, US dollars", tickprefix="$", exponentformat="none", range=[0, most], row=2, col=1
        )
        _note_costs(chart, shown, axis)
    _note_paid_again(chart, shown, axis)
    chart.layout.xaxis.update(title="share of input tokens", tickformat=".0%", range=[0, 1], dtick=0.25)
    chart.update_layout(barmode="stack")
    look.lay_rows(chart, axis)
    look.make_room_for_legend(chart)
    return chart


def _line(chart: go.Figure, own: pd.DataFrame, place: int, full: str, label: str) -> None:
    own = _thinned(own.sort_values("_turn", kind="stable"))
    details = np.column_stack(
        [numbers(own[name]) for name in ("added_tokens", "cache_read_input_tokens", "output_tokens")]
    )
    said = [_turn_details(*row) for row in details]
    chart.add_trace(
        go.Scatter(
            x=own["_turn"].to_numpy(),
            y=own["_size"].to_numpy(),
            name=label,
            mode="lines+markers" if len(own) <= 60 else "lines",
            line={"color": look.COLOURS[place], "width": 2, "dash": look.DASHES[place]},
            marker={"symbol": look.SYMBOLS[place], "size": 7, "color": look.COLOURS[place]},
            text=said,
            hovertemplate=f"<b>{full}</b><br>turn %{{x}}: %{{y:,}} tokens of context%{{text}}<extra></extra>",
        )
    )


def _turn_details(added: float, read: float, answered: float) -> str:
    lines = []
    if not np.isnan(added):
        lines.append(f"{added:+,.0f} against the turn before")
    if not np.isnan(read):
        lines.append(f"{read:,.0f} read from the cache")
    if not np.isnan(answered):
        lines.append(f"{answered:,.0f} tokens of output")
    return "".join(f"<br>{line}" for line in lines)


def _thinned(own: pd.DataFrame) -> pd.DataFrame:
    """Return the largest context of each stretch of turns where a line has too many."""
    if len(own) <= MOST_POINTS:
        return own
    stretch = np.arange(len(own)) * MOST_POINTS // len(own)
    return own.iloc[own.reset_index(drop=True).groupby(stretch)["_size"].idxmax().to_numpy()]


def _median_of_others(chart: go.Figure, others: pd.DataFrame, hidden: int) -> None:
    if not hidden:
        return
    middle = others.groupby("_turn")["_size"].agg(["median", "count"]).reset_index()
    middle = middle.iloc[_every(len(middle))]
    chart.add_trace(
        go.Scatter(
            x=middle["_turn"].to_numpy(),
            y=middle["median"].to_numpy(),
            name=f"median of other ({hidden:,})",
            mode="lines+markers" if len(middle) == 1 else "lines",
            line={"color": look.OTHER, "width": 2, "dash": "dot"},
            customdata=middle["count"].to_numpy(),
            hovertemplate="turn %{x}: %{y:,.0f} tokens of context<br>"
            "median of %{customdata:,} other sessions<extra></extra>",
        )
    )


def _every(length: int) -> NDArray[np.intp]:
    """Return evenly spaced places, no more than a line may have."""
    return np.unique(np.linspace(0, max(length - 1, 0), min(length, MOST_POINTS)).astype(np.intp))


def _mark_compactions(chart: go.Figure, rows: pd.DataFrame) -> None:
    marked = rows[rows["is_after_compaction"].fillna(False).to_numpy(dtype=bool)].head(MOST_POINTS)
    if marked.empty:
        return
    chart.add_trace(
        go.Scatter(
            x=marked["_turn"].to_numpy(),
            y=marked["_size"].to_numpy(),
            mode="markers",
            name="after a compaction",
            marker={"symbol": "circle-open", "size": 14, "color": look.TITLE, "line": {"width": 1.5}},
            hoverinfo="skip",
        )
    )


def _add_bars(
    chart: go.Figure,
    shown: pd.DataFrame,
    axis: Sequence[str],
    by: str,
    parts: Sequence[tuple[str, str, str, str]],
    whole: NDArray[np.float64],
    column: int | None,
) -> None:
    place: dict[str, Any] = {} if column is None else {"row": column, "col": 1}
    is_cost = parts is _COSTS
    for name, title, colour, shape in parts:
        values = numbers(shown[name])
        if not np.nansum(np.abs(values)):
            continue
        said = [
            f"<b>{plain(full, 80)}</b><br>{title}: "
            + (
                "not known"
                if np.isnan(value)
                else money(value)
                if is_cost
                else f"{value:,.0f} tokens, {percent(value / of)} of input"
            )
            for full, value, of in zip((text(one) for one in shown[by]), values, whole, strict=True)
        ]
        chart.add_trace(
            go.Bar(
                x=np.nan_to_num(values / whole),  # a gap would begin the stack anew
                y=list(axis),
                orientation="h",
                name=title,
                legendgroup=title,
                showlegend=not is_cost,
                marker={"color": colour, "line": {"width": 0}, "pattern": look.pattern(shape)},
                text=said,
                textposition="none",
                hovertemplate="%{text}<extra></extra>",
            ),
            **place,
        )


def _note_paid_again(chart: go.Figure, shown: pd.DataFrame, axis: Sequence[str]) -> None:
    pairs = zip(numbers(shown["input_tokens"]), numbers(shown["paid_again_share"]), strict=True)
    said = [short(tokens) + (f", {percent(share)} again" if share >= 0.0005 else "") for tokens, share in pairs]
    chart.add_trace(look.beside_bars(np.ones(len(shown)), axis, said, place={"xaxis": "x", "yaxis": "y"}))
    chart.update_layout(margin={"r": 110})


def _note_costs(chart: go.Figure, shown: pd.DataFrame, axis: Sequence[str]) -> None:
    """Say what the input cost, and where no price is known; without that the input would look free."""
    costs = shown[[name for name, *_ in _COSTS]].sum(axis=1, min_count=1)
    said = ["no price known" if pd.isna(cost) else money(float(cost)) for cost in costs]
    chart.add_trace(look.beside_bars(costs.fillna(0), axis, said, place={"xaxis": "x2", "yaxis": "y2"}))
