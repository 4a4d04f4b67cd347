"""How reliable tools are, what follows what, and where an agent runs against a wall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sessionlab.mining.columns import (
    KEY,
    NO_TIME,
    at,
    distinct,
    free_name,
    groups,
    lengths,
    microseconds,
    needed,
    places,
    result,
    seconds,
    session_codes,
    whole,
)
from sessionlab.mining.estimates import wilson

if TYPE_CHECKING:
    from sessionlab.lab.frames import Type
    from sessionlab.mining.columns import Truth, Whole

_FAILED = ("error", "timeout")
_RELIABILITY: dict[str, Type] = {
    "call_count": "integer",
    "ok_count": "integer",
    "error_count": "integer",
    "denied_count": "integer",
    "cancelled_count": "integer",
    "unanswered_count": "integer",
    "suggested_count": "integer",
    "error_rate": "number",
    "error_rate_low": "number",
    "error_rate_high": "number",
    "timed_count": "integer",
    "duration_median_s": "number",
    "duration_p95_s": "number",
    "retry_count": "integer",
    "retry_ok_count": "integer",
}
_SEQUENCES: dict[str, Type] = {"sequence": "text", "count": "integer", "session_count": "integer", "share": "number"}
_LOOPS: dict[str, Type] = {
    "source": "text",
    "session_id": "text",
    "tool_name": "text",
    "arguments": "text",
    "call_count": "integer",
    "tool_call_index": "integer",
    "started_at": "time",
    "duration_s": "number",
    "result": "text",
}


def tool_reliability(tool_calls: pd.DataFrame, by: str = "tool_name") -> pd.DataFrame:
    """Count how calls ended, by the values of a column: one row per value, the most used first.

    A retry is a call when the same tool's call just before it in the session failed (error or timeout). Calls of one
    turn are made together, so none of them is a retry of another; one that a person denied did not fail.

    Needs source, session_id, turn_id, tool_call_index, tool_name, status, duration_s and `by`.

    | column | unit | meaning |
    |---|---|---|
    | the name of `by` | | NULL where it is not known |
    | `call_count` | calls | the sum of the six counts after it |
    | `ok_count` | calls | that went well |
    | `error_count` | calls | that failed, timeouts included |
    | `denied_count` | calls | that a person did not allow |
    | `cancelled_count` | calls | that were broken off |
    | `unanswered_count` | calls | of which no end is known |
    | `suggested_count` | calls | that were proposed to a person and not made |
    | `error_rate` | share | errors of errors and ok; NULL where there is neither |
    | `error_rate_low`, `error_rate_high` | share | its 95% interval (Wilson), as if calls were independent |
    | `timed_count` | calls | whose duration is known |
    | `duration_median_s`, `duration_p95_s` | seconds | of these; NULL where there are none |
    | `retry_count` | calls | that were retries |
    | `retry_ok_count` | calls | of these: that went well |

    Raises:
        FrameError: A needed column is missing, or `by` cannot be grouped by.

    >>> from sessionlab.lab.frames import empty
    >>> len(tool_reliability(empty("tool_calls")))
    0
    """
    free_name(by, _RELIABILITY, "tool_reliability")
    columns = (*KEY, "turn_id", "tool_call_index", "tool_name", "status", "duration_s", by)
    calls = needed(tool_calls, "tool_reliability", "tool_calls", columns)
    group, names = groups(calls[by], "tool_reliability")
    status = calls["status"].fillna("unanswered")
    failed = status.isin(_FAILED).to_numpy(bool)
    ok = (status == "ok").to_numpy(bool)
    retry = _retries(calls, failed)
    length, timed = lengths(calls["duration_s"])

    def count(which: Truth) -> Whole:
        return np.bincount(group[which], minlength=len(names))

    known = ("ok", *_FAILED, "denied", "cancelled", "suggested")
    errors, fine = count(failed).astype("float64"), count(ok).astype("float64")
    low, high = wilson(errors, errors + fine)
    times = pd.Series(length[timed] / 1e6).groupby(group[timed])
    values = {
        by: names,
        "call_count": np.bincount(group, minlength=len(names)),
        "ok_count": fine,
        "error_count": errors,
        "denied_count": count((status == "denied").to_numpy(bool)),
        "cancelled_count": count((status == "cancelled").to_numpy(bool)),
        "unanswered_count": count(~status.isin(known).to_numpy(bool)),
        "suggested_count": count((status == "suggested").to_numpy(bool)),
        "error_rate": errors / np.where(errors + fine > 0, errors + fine, np.nan),
        "error_rate_low": low,
        "error_rate_high": high,
        "timed_count": count(timed),
        "duration_median_s": times.median().reindex(range(len(names))),
        "duration_p95_s": times.quantile(0.95).reindex(range(len(names))),
        "retry_count": count(retry),
        "retry_ok_count": count(retry & ok),
    }
    found = result(_RELIABILITY, values)
    return found.sort_values("call_count", ascending=False, kind="stable", ignore_index=True)


def tool_sequences(tool_calls: pd.DataFrame, *, length: int = 2, limit: int | None = None) -> pd.DataFrame:
    """Count which tools follow one another: one row per sequence of `length` tools, the most frequent first.

    A sequence is calls next to each other in one session, in the order in which they were asked for, whatever became of
    them; sequences overlap. One in which a tool's name is not known is left out. Calls of subagents that are kept in
    the same session stand between the others, for the frame does not tell them apart.

    Needs source, session_id, tool_call_index and tool_name.

    | column | unit | meaning |
    |---|---|---|
    | `sequence` | | the tools' names, joined by ` → ` |
    | `count` | sequences | how often |
    | `session_count` | sessions | in how many sessions |
    | `share` | share | of all sequences of that length, also of those that `limit` cuts off |

    Raises:
        FrameError: A needed column is missing, or `length` or `limit` is no whole number of 1 or more.

    >>> from sessionlab.lab.frames import empty
    >>> list(tool_sequences(empty("tool_calls")))
    ['sequence', 'count', 'session_count', 'share']
    """
    whole(length, 1, "length")
    whole(limit, 1, "limit", or_none=True)
    calls = needed(tool_calls, "tool_sequences", "tool_calls", (*KEY, "tool_call_index", "tool_name"))
    (session,), _ = session_codes(calls)
    order = np.lexsort((places(calls["tool_call_index"]), session))
    names, tools = pd.factorize(calls["tool_name"], sort=True)
    session, code = session[order], names[order].astype("int64")
    count = max(len(code) - length + 1, 0)
    starts, kept = code[:count], (session[:count] == session[length - 1 :]) & (code[:count] >= 0)
    parts = [starts]
    for step in range(1, length):
        part = code[step : step + count]
        kept &= part >= 0
        parts.append(part)
    where = np.flatnonzero(kept)
    # Pair by pair, so that numbers stay small whatever the length.
    sequence = np.zeros(len(where), dtype="int64")
    for part in parts:
        sequence = np.unique(sequence * (len(tools) + 1) + part[where], return_inverse=True)[1].astype("int64")
    first = np.unique(sequence, return_index=True)[1]
    texts = [" → ".join(str(tools[part[where[row]]]) for part in parts) for row in first]
    counted = np.bincount(sequence, minlength=len(first))
    sessions = distinct(sequence * (session.max(initial=0) + 1) + session[where]) // (session.max(initial=0) + 1)
    values = {
        "sequence": texts,
        "count": counted,
        "session_count": np.bincount(sessions, minlength=len(first)),
        "share": counted / max(len(where), 1),
    }
    found = result(_SEQUENCES, values).sort_values(["count", "sequence"], ascending=[False, True], ignore_index=True)
    return found if limit is None else found.head(limit)


def tool_loops(tool_calls: pd.DataFrame, *, at_least: int = 3) -> pd.DataFrame:
    """Find where an agent made the same failing call again and again: one row per run, the longest first.

    A run is `at_least` or more calls, one right after the other among the session's calls, of the same tool with the
    same arguments (the same text), each of which failed (error or timeout). Two calls with unknown arguments are not
    known to be the same.

    Needs source, session_id, tool_call_index, tool_name, arguments, status, started_at, duration_s and result.

    | column | unit | meaning |
    |---|---|---|
    | `source`, `session_id` | | the session |
    | `tool_name`, `arguments` | | the call |
    | `call_count` | calls | how often it was made |
    | `tool_call_index` | | the place of the first |
    | `started_at` | | when the first was made; UTC |
    | `duration_s` | seconds | from there to the last end that is known; NULL where none is |
    | `result` | | what the last one gave back |

    Raises:
        FrameError: A needed column is missing, or `at_least` is no whole number of 2 or more.

    >>> from sessionlab.lab.frames import empty
    >>> len(tool_loops(empty("tool_calls")))
    0
    """
    whole(at_least, 2, "at_least")
    columns = (*KEY, "tool_call_index", "tool_name", "arguments", "status", "started_at", "duration_s", "result")
    calls = needed(tool_calls, "tool_loops", "tool_calls", columns)
    (session,), _ = session_codes(calls)
    order = np.lexsort((places(calls["tool_call_index"]), session))
    known = calls["tool_name"].notna() & calls["arguments"].notna()
    failing = (calls["status"].isin(_FAILED) & known).to_numpy(bool)[order]
    rows = order[failing]
    place = np.flatnonzero(failing)
    call = pd.factorize(calls["arguments"].iloc[rows])[0].astype("int64")
    call = call * (len(rows) + 1) + pd.factorize(calls["tool_name"].iloc[rows])[0]
    new = (
        (np.diff(place, prepend=-2) != 1) | (np.diff(call, prepend=-1) != 0) | (np.diff(session[rows], prepend=-1) != 0)
    )
    run = np.cumsum(new) - 1
    size = np.bincount(run)
    first, last = np.flatnonzero(new), np.flatnonzero(np.append(new[1:], True))[: len(size)]
    long = np.flatnonzero(size >= at_least)
    heads, tails = calls.iloc[rows[first[long]]], calls.iloc[rows[last[long]]]
    started = microseconds(heads["started_at"])
    end = _last_ends(calls.iloc[rows], run, len(size))[long]
    values = {
        **{name: heads[name] for name in (*KEY, "tool_name", "arguments")},
        "call_count": size[long],
        "tool_call_index": heads["tool_call_index"],
        "started_at": at(started),
        "duration_s": seconds(end - started, (end != NO_TIME) & (started != NO_TIME)),
        "result": tails["result"],
    }
    found = result(_LOOPS, values)
    return found.sort_values("call_count", ascending=False, kind="stable", ignore_index=True)


def _retries(calls: pd.DataFrame, failed: Truth) -> Truth:
    """Return which calls came after a failed one of the same tool in the session, made in another turn."""
    (session,), _ = session_codes(calls)
    tool = pd.factorize(calls["tool_name"])[0]
    turn = pd.factorize(calls["turn_id"])[0]
    order = np.lexsort((places(calls["tool_call_index"]), tool, session))
    now, before = order[1:], order[:-1]
    same = (session[now] == session[before]) & (tool[now] == tool[before]) & (tool[now] >= 0)
    together = (turn[now] == turn[before]) & (turn[now] >= 0)
    retry = np.zeros(len(calls), dtype=bool)
    retry[now] = same & ~together & failed[before]
    return retry


def _last_ends(calls: pd.DataFrame, run: Whole, count: int) -> Whole:
    """Return when the last call of each run ended, as far as it is known."""
    start = microseconds(calls["started_at"])
    length, timed = lengths(calls["duration_s"])
    ends = np.full(count, NO_TIME)
    known = timed & (start != NO_TIME)
    np.maximum.at(ends, run[known], (start + length)[known])
    return ends
