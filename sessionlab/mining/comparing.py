"""Two groups of turns beside each other, with what chance alone would explain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sessionlab.errors import FrameError
from sessionlab.mining.columns import KEY, distinct, free_name, groups, needed, result, session_codes
from sessionlab.mining.estimates import bundles, drawn_interval, drawn_sums, newcombe, wilson

if TYPE_CHECKING:
    from sessionlab.lab.frames import Type
    from sessionlab.mining.columns import Number, Whole

_COMPARED: dict[str, Type] = {
    "unit": "text",
    "metric": "text",
    "role": "text",
    "group": "text",
    "n": "integer",
    "missing_count": "integer",
    "session_count": "integer",
    "mean": "number",
    "low": "number",
    "high": "number",
    "median": "number",
}
_MEANS = ("cost_usd", "input_tokens", "output_tokens", "duration_s")
_SEED = 20260101


def compare(turns: pd.DataFrame, by: str = "model", *, a: Any = None, b: Any = None) -> pd.DataFrame:
    """Compare the turns of two values of a column: one row per unit, metric and role, 30 in all.

    The units are the `turn`, and the `session`: all of the session's turns that have the value, added up. The metrics
    are cost_usd, input_tokens, output_tokens, duration_s and error_rate: the share of turns that failed, or of sessions
    in which one did. The roles are `a`, `b` and `difference`, which is b minus a. A session's sum is known only where
    each of its turns is.

    Of means the 95% intervals come from drawing whole sessions again and again, since turns of one session are alike;
    with a fixed seed, so the same frame gives the same ends. They need 8 sessions with known values in each group and
    are NULL for fewer. Of rates they are Wilson's, and Newcombe's of their difference, which take turns (or sessions)
    for independent: where errors come in bunches, trust the rate of sessions. Turns of subagents count too.

    Needs source, session_id, cost_usd, input_tokens, output_tokens, duration_s, error_type and `by` (for `model`:
    response_model, request_model).

    | column | unit | meaning |
    |---|---|---|
    | `unit`, `metric`, `role` | | see above |
    | `group` | | the value as text; NULL of a difference |
    | `n` | turns or sessions | with a known value; of a difference those of both |
    | `missing_count` | turns or sessions | without one |
    | `session_count` | sessions | with a known value |
    | `mean`, `low`, `high` | as the metric | of the known values, and the ends of its interval; NULL where n is 0 |
    | `median` | as the metric | of the known values, of a difference the difference; NULL of rates |

    Args:
        turns: The frame.
        by: A column of it, such as `model_config_id`; `model` is the response model, else the request model, so that
            a call that failed counts with the model that was asked.
        a: The first value; None is the one with most turns.
        b: The second value; None is the one with most turns beside `a`. Where there is none, there are the rows of `a`.

    Raises:
        FrameError: A needed column is missing, no turn has the value `a` or `b`, or the two are the same.

    >>> from sessionlab.lab.frames import empty
    >>> len(compare(empty("turns")))
    0
    """
    free_name(by, (), "compare")
    is_model = by == "model" and by not in turns
    grouping = ("response_model", "request_model") if is_model else (by,)
    rows = needed(turns, "compare", "turns", dict.fromkeys((*KEY, *_MEANS, "error_type", *grouping)))
    if is_model:
        rows[by] = rows["response_model"].fillna(rows["request_model"])
    group, names = groups(rows[by], "compare")
    chosen = _chosen(group, names, a, b, by)
    (session,), sessions = session_codes(rows)
    # Both sides draw the same sessions, so that one with turns on both counts for both or for none.
    seen = distinct(session[np.isin(group, chosen)])
    bundle = np.zeros(len(sessions), dtype="int64")
    bundle[seen] = bundles(len(seen), _SEED)
    sides = [_Side(rows[group == code], session[group == code], bundle, str(names.iloc[code])) for code in chosen]
    drawn = drawn_sums(np.column_stack([side.sums for side in sides]), _SEED) if sides else np.empty((0, 0))
    found: list[tuple[Any, ...]] = []
    for unit in ("turn", "session"):
        for number, metric in enumerate((*_MEANS, "error_rate")):
            if metric == "error_rate":
                found += _rates(unit, sides)
            else:
                found += _means(unit, metric, number, sides, drawn)
    return result(_COMPARED, {name: [row[at] for row in found] for at, name in enumerate(_COMPARED)})


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one metric in one unit."""

    values: Number  # NaN where not known
    sessions: Whole  # of each value

    def row(self) -> tuple[int, int, int, float, float]:
        """Return n, missing_count, session_count, mean and median."""
        known = np.isfinite(self.values)
        values = self.values[known]
        middle = (math.nan, math.nan) if not len(values) else (float(values.mean()), float(np.median(values)))
        return len(values), len(known) - len(values), len(distinct(self.sessions[known])), *middle


class _Side:
    """One of the two groups: what is known of its turns and sessions, and what each session adds to its means."""

    def __init__(self, rows: pd.DataFrame, session: Whole, bundle: Whole, name: str) -> None:
        self.name = name
        self.sessions, of = np.unique(session, return_inverse=True)
        turn_counts = np.bincount(of)
        failed = rows["error_type"].notna().to_numpy(bool)
        self.errors = {
            "turn": (int(failed.sum()), len(failed)),
            "session": (len(distinct(of[failed])), len(self.sessions)),
        }
        self.known: dict[tuple[str, str], _Known] = {}
        columns = []
        for metric in _MEANS:
            values = rows[metric].to_numpy("float64", na_value=np.nan)
            known = np.isfinite(values)
            counts = np.bincount(of[known], minlength=len(turn_counts))
            sums = np.bincount(of[known], values[known], minlength=len(turn_counts))
            whole = counts == turn_counts
            self.known["turn", metric] = _Known(values, session)
            self.known["session", metric] = _Known(np.where(whole, sums, np.nan), self.sessions)
            columns += [sums, counts, np.where(whole, sums, 0.0), whole]
        drawn_with, count = bundle[self.sessions], int(bundle.max(initial=0)) + 1
        self.sums = np.column_stack([np.bincount(drawn_with, column, minlength=count) for column in columns])


def _chosen(group: Whole, names: pd.Series[Any], a: Any, b: Any, by: str) -> list[int]:
    """Return the numbers of the two values that are compared."""
    counts = np.bincount(group, minlength=len(names))
    known = [code for code in np.argsort(-counts, kind="stable").tolist() if not pd.isna(names.iloc[code])]
    if not len(group):
        return []
    given = [None if value is None else _code(names, known, role, value, by) for role, value in (("a", a), ("b", b))]
    if given[0] is not None and given[0] == given[1]:
        raise FrameError(f"a and b are both {a!r}. Name two values of {by}.")
    others = iter([code for code in known if code not in given])
    chosen = [next(others, None) if code is None else code for code in given]
    return [code for code in chosen if code is not None]


def _code(names: pd.Series[Any], known: list[int], role: str, value: Any, by: str) -> int:
    """Return the number of a value that was asked for."""
    for code in known:
        if names.iloc[code] == value or str(names.iloc[code]) == str(value):
            return code
    shown = ", ".join(repr(names.iloc[code]) for code in known[:10])
    raise FrameError(f"{role}={value!r}: no turn has that {by}. There are {shown or 'none'}.")


def _means(unit: str, metric: str, number: int, sides: list[_Side], drawn: Number) -> list[tuple[Any, ...]]:
    """Return the rows of a metric that is a mean."""
    found: list[tuple[Any, ...]] = []
    means = []
    stats = [side.known[unit, metric].row() for side in sides]
    for at, (side, (n, missing, sessions, mean, median)) in enumerate(zip(sides, stats, strict=True)):
        column = at * 4 * len(_MEANS) + number * 4 + (2 if unit == "session" else 0)
        counts = drawn[:, column + 1]
        means.append(drawn[:, column] / np.where(counts > 0, counts, np.nan))
        low, high = drawn_interval(means[-1], mean, sessions)
        role = "ab"[at]
        found.append((unit, metric, role, side.name, n, missing, sessions, mean, low, high, median))
    if len(sides) == 2:
        (n_a, missing_a, sessions_a, mean_a, median_a), (n_b, missing_b, sessions_b, mean_b, median_b) = stats
        known = [side.known[unit, metric] for side in sides]
        both = distinct(np.concatenate([one.sessions[np.isfinite(one.values)] for one in known]))
        low, high = drawn_interval(means[1] - means[0], mean_b - mean_a, min(sessions_a, sessions_b))
        counts_of_both = (n_a + n_b, missing_a + missing_b, len(both))
        found.append(
            (unit, metric, "difference", None, *counts_of_both, mean_b - mean_a, low, high, median_b - median_a)
        )
    return found


def _rates(unit: str, sides: list[_Side]) -> list[tuple[Any, ...]]:
    """Return the rows of the error rate."""
    found: list[tuple[Any, ...]] = []
    for role, side in zip("ab", sides, strict=False):
        errors, of = side.errors[unit]
        low, high = wilson(np.array([float(errors)]), np.array([float(of)]))
        rate = errors / of if of else math.nan
        row = (unit, "error_rate", role, side.name, of, 0, len(side.sessions), rate, low[0], high[0], math.nan)
        found.append(row)
    if len(sides) == 2:
        ends = newcombe(*(side.errors[unit] for side in sides))
        sessions = len(distinct(np.concatenate([side.sessions for side in sides])))
        n = sum(side.errors[unit][1] for side in sides)
        found.append(
            (unit, "error_rate", "difference", None, n, 0, sessions, found[1][7] - found[0][7], *ends, math.nan)
        )
    return found
