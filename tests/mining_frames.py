"""Small frames written out by hand, with the dtypes of a lab's."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pandas as pd

from sessionlab.lab.frames import empty as made_empty

empty = cache(made_empty)

_NUMBERED = {"turns": "turn_index", "messages": "message_index", "tool_calls": "tool_call_index"}


def frame(name: str, *rows: dict[str, Any]) -> pd.DataFrame:
    """Return a frame of these rows: source and session_id are `sessionlab` and `s`, what is not named is NULL.

    Turns, messages and tool calls are numbered within their session; turns and messages have ids by these numbers.
    """
    shape = empty(name)
    seen: Counter[Any] = Counter()
    made = []
    for row in rows:
        full = dict.fromkeys(shape.columns) | {"source": "sessionlab"}
        if "session_id" in full:
            full["session_id"] = "s"
        full |= row
        assert set(full) == set(shape.columns), set(full) - set(shape.columns)
        if name in _NUMBERED:
            key = full["source"], full["session_id"]
            index = _NUMBERED[name]
            if full[index] is None:
                full[index] = seen[key]
            seen[key] += 1
        if name == "turns" and full["turn_id"] is None:
            full["turn_id"] = f"t{full['turn_index']}"
        if name == "messages" and full["message_id"] is None:
            full["message_id"] = f"m{full['message_index']}"
        made.append(full)
    if not made:
        return shape.copy()
    return typed(name, pd.DataFrame(made, dtype=object))


def typed(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the dtypes of a frame."""
    shape = empty(name)
    columns = {}
    for column in rows.columns:
        dtype: Any = shape[column].dtype
        values = rows[column]
        if isinstance(dtype, pd.DatetimeTZDtype):
            columns[column] = pd.to_datetime(values, utc=True, format="ISO8601").astype(dtype)
        elif dtype == "float64":
            columns[column] = values.astype("Float64").astype("float64")
        else:
            columns[column] = values.astype(dtype)
    return pd.DataFrame(columns)


def rows_of(found: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """Return rows as tuples: NULL is None, a time is text."""
    taken = found[list(columns)] if columns else found
    return [tuple(map(_plain, row)) for row in taken.astype(object).itertuples(index=False, name=None)]


def column(found: pd.DataFrame, name: str) -> list[Any]:
    """Return one column as a list: NULL is None, a time is text."""
    return [_plain(value) for value in found[name].astype(object)]


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value
