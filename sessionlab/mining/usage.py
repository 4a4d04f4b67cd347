"""Tokens and cost over time, and the hours of the week in which agents work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sessionlab.errors import FrameError
from sessionlab.mining.columns import (
    KEY,
    at,
    distinct,
    free_name,
    groups,
    microseconds,
    needed,
    one_of,
    result,
    session_codes,
    without_time,
)
from sessionlab.mining.zones import PERIODS, Period, period_starts, walls, zone_of

if TYPE_CHECKING:
    from sessionlab.lab.frames import Type
    from sessionlab.mining.columns import Whole

_USAGE: dict[str, Type] = {
    "tokens": "integer",
    "cost_usd": "number",
    "unpriced_tokens": "integer",
    "turn_count": "integer",
}
_ACTIVITY: dict[str, Type] = {
    "weekday": "integer",
    "hour": "integer",
    "turn_count": "integer",
    "session_count": "integer",
    "output_tokens": "integer",
    "unmeasured_turn_count": "integer",
    "cost_usd": "number",
    "unpriced_turn_count": "integer",
}


def usage_over_time(
    token_usage: pd.DataFrame,
    by: str = "model",
    *,
    period: Period = "day",
    timezone: str | None = None,
    sessions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Add up tokens and cost by period and by the values of a column: one row per period and value that has any.

    The rows come by time, then by value with NULL last. A session's total (scope `session`) counts as a whole where
    the session began, for it cannot be told apart by turns. Subagents count too. Periods without usage have no row.

    Needs source, session_id, turn_id, started_at, tokens, cost_usd and `by`.

    | column | unit | meaning |
    |---|---|---|
    | `period_start` | | when it began, in the time zone; a day may have 23 or 25 hours |
    | the name of `by` | | NULL where it is not known |
    | `tokens` | tokens | of all token types |
    | `cost_usd` | US dollars | of what has a price; NULL where nothing has |
    | `unpriced_tokens` | tokens | of these: without a price, so not in `cost_usd` |
    | `turn_count` | turns | the turns they belong to; a session's total has none |

    Args:
        token_usage: The frame.
        by: A column of it, or one of `sessions`, such as `agent_name` or `directory`. A turn counts once in each value,
            so by `token_type` the turns of the values do not add up to all turns.
        period: `hour`, `day`, `week` (from Monday) or `month`.
        timezone: IANA name of the zone whose days these are; None is the machine's own.
        sessions: The frame `sessions`, where `by` is a column of it.

    Raises:
        FrameError: A needed column is missing, or an argument is not one of those named.

    >>> from sessionlab.lab.frames import empty
    >>> list(usage_over_time(empty("token_usage"), timezone="UTC"))
    ['period_start', 'model', 'tokens', 'cost_usd', 'unpriced_tokens', 'turn_count']
    """
    one_of(period, PERIODS, "period")
    zone = zone_of(timezone)
    free_name(by, ("period_start", *_USAGE), "usage_over_time")
    usage = _with_column(token_usage, by, sessions)
    usage = without_time(usage, "started_at", "rows of token usage")
    values, names = groups(usage[by], "usage_over_time")
    starts = period_starts(usage["started_at"], period, zone)
    periods, found = np.unique(microseconds(starts), return_inverse=True)
    cells, cell = np.unique(found * (len(names) + 1) + values, return_inverse=True)
    summed = (
        pd.DataFrame(
            {
                "tokens": usage["tokens"],
                "cost_usd": usage["cost_usd"],
                "unpriced_tokens": usage["tokens"].where(usage["cost_usd"].isna(), 0),
            }
        )
        .groupby(cell)
        .sum(min_count=1)
    )
    when = at(periods[cells // (len(names) + 1)]).dt.tz_convert(zone)
    return result(
        _USAGE,
        {
            "period_start": when,
            by: names.iloc[cells % (len(names) + 1)],
            "tokens": summed["tokens"],
            "cost_usd": summed["cost_usd"],
            "unpriced_tokens": summed["unpriced_tokens"],
            "turn_count": _turn_counts(usage, cell, len(cells)),
        },
    )


def activity(turns: pd.DataFrame, *, timezone: str | None = None) -> pd.DataFrame:
    """Count turns by weekday and hour of a time zone: always 168 rows, from Monday 0 h to Sunday 23 h.

    Turns of subagents count too. An hour that the clocks show twice is one here. Where there are no turns, the sums are
    0; where none of the turns is known, they are NULL.

    Needs source, session_id, turn_index, started_at, output_tokens and cost_usd.

    | column | unit | meaning |
    |---|---|---|
    | `weekday` | | 0 is Monday, 6 is Sunday |
    | `hour` | | 0 to 23 |
    | `turn_count` | turns | those that began in it |
    | `session_count` | sessions | the sessions these belong to |
    | `output_tokens` | tokens | of the turns where they are known |
    | `unmeasured_turn_count` | turns | of these: without output tokens |
    | `cost_usd` | US dollars | of the turns where it is known |
    | `unpriced_turn_count` | turns | of these: without a cost |

    Raises:
        FrameError: A needed column is missing, or there is no such time zone.

    >>> from sessionlab.lab.frames import empty
    >>> len(activity(empty("turns"), timezone="UTC"))
    168
    """
    zone = zone_of(timezone)
    rows = needed(turns, "activity", "turns", (*KEY, "turn_index", "started_at", "output_tokens", "cost_usd"))
    rows = without_time(rows, "started_at", "turns")
    wall = walls(rows["started_at"], zone)
    cell = (wall.dt.day_of_week * 24 + wall.dt.hour).to_numpy("int64")
    counted = np.bincount(cell, minlength=168)
    (sessions,), names = session_codes(rows)
    pairs = distinct(cell * max(len(names), 1) + sessions)
    values = {
        "weekday": np.arange(168) // 24,
        "hour": np.arange(168) % 24,
        "turn_count": counted,
        "session_count": np.bincount(pairs // max(len(names), 1), minlength=168),
    }
    for column, count in (("output_tokens", "unmeasured_turn_count"), ("cost_usd", "unpriced_turn_count")):
        known = rows[column].notna().to_numpy(bool)
        sums = np.bincount(cell[known], rows[column].to_numpy("float64", na_value=0)[known], minlength=168)
        values[count] = counted - np.bincount(cell[known], minlength=168)
        values[column] = np.where((counted > 0) & (values[count] == counted), np.nan, sums)
    return result(_ACTIVITY, {name: values[name] for name in _ACTIVITY})


def _with_column(token_usage: pd.DataFrame, by: str, sessions: pd.DataFrame | None) -> pd.DataFrame:
    """Return token usage with the column to group by, which may be one of its sessions."""
    columns = (*KEY, "turn_id", "started_at", "tokens", "cost_usd")
    usage = needed(token_usage, "usage_over_time", "token_usage", columns)
    if by in token_usage.columns:
        return needed(token_usage, "usage_over_time", "token_usage", (*columns, by))
    if sessions is None:
        raise FrameError(
            f"mining.usage_over_time needs the column {by!r}, which the frame lacks. "
            'Give it all of lab.frame("token_usage"), or sessions=lab.frame("sessions") where it is a column of these.'
        )
    kept = needed(sessions, "usage_over_time", "sessions", (*KEY, by))
    (wanted, have), names = session_codes(usage, kept)
    row_of = np.full(len(names), -1)
    row_of[have[::-1]] = np.arange(len(kept))[::-1]
    usage[by] = kept[by].reindex(row_of[wanted]).reset_index(drop=True)
    return usage


def _turn_counts(usage: pd.DataFrame, cell: Whole, count: int) -> Whole:
    """Return how many turns each cell has rows of."""
    known = usage["turn_id"].notna().to_numpy(bool)
    (sessions,), _ = session_codes(usage)
    turns = pd.factorize(usage["turn_id"])[0]
    turn = pd.factorize(sessions[known] * (turns.max(initial=0) + 1) + turns[known])[0]
    pairs = distinct(cell[known] * (turn.max(initial=0) + 1) + turn)
    return np.bincount(pairs // (turn.max(initial=0) + 1), minlength=count)
