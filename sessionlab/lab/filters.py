"""What a caller asks of a frame, turned into a WHERE clause with bound values."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sessionlab.errors import FrameError
from sessionlab.lab.frames import Column, Frame

_AGE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)\s*", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}

# Filters that every frame has, whether or not it has such a column; None means "not given" there.
GENERAL = ("since", "until", "session_id", "source", "agent_name", "directory", "model", "limit")

_OF_MODEL = "from facts.turn where coalesce(response_model, request_model) in ({})"
# What `model` means in each frame, with the bound values in place of {}.
_MODEL = {
    "turns": "coalesce(response_model, request_model) in ({})",
    "token_usage": "model in ({})",
    "messages": f"_turn_key in (select turn_key {_OF_MODEL})",
    "tool_calls": f"_turn_key in (select turn_key {_OF_MODEL})",
    "sessions": f"_session_key in (select session_key {_OF_MODEL})",
    "model_configs": f"_model_config_key in (select model_config_key {_OF_MODEL})",
}
_THROUGH_SESSIONS = {
    "model_configs": "_model_config_key in (select u.model_config_key from ("
    "select model_config_key, session_key from facts.turn union"
    " select model_config_key, session_key from facts.session_config) u"
    " join facts.session s using (session_key) where s.{} in ({}))",
}


@dataclass(slots=True)
class Query:
    """What is asked for: conditions for DuckDB, conditions on wide text for afterwards, and a limit.

    Attributes:
        conditions: SQL texts over a frame's view; `facts.` stands for the history's schema.
        values: What is bound in them, in order.
        times: Those that test the time column, apart, so that rows without a time can be counted.
        text_conditions: For each column of wide text the values that are sought; None is NULL.
        limit: At most so many of the newest rows.
        columns: The columns that the conditions name.
    """

    conditions: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    time_values: list[datetime] = field(default_factory=list)
    text_conditions: dict[str, list[str | None]] = field(default_factory=dict)
    limit: int | None = None
    columns: set[str] = field(default_factory=set)


def query_for(frame: Frame, filters: Mapping[str, Any]) -> Query:
    """Return what a set of filters asks of a frame.

    Raises:
        FrameError: There is no such filter, or its value does not fit.
    """
    query = Query()
    for name, value in filters.items():
        if name in GENERAL and value is None:
            continue
        if name in ("since", "until"):
            query.times.append(f"{frame.time} {'>=' if name == 'since' else '<'} ?")
            query.time_values.append(_naive(moment(value, name)))
        elif name == "limit":
            query.limit = _limit(value)
        elif name == "model":
            wanted = _several(value)
            query.conditions.append(_MODEL[frame.name].format(_marks(wanted)))
            query.values.extend(_as_text(v, "model") for v in wanted)
        elif name in ("session_id", "agent_name", "directory") and name not in frame.column_names:
            _through_sessions(query, frame, name, value)
        elif name in frame.column_names:
            _equality(query, frame.column(name), value)
        else:
            raise FrameError(_unknown(f"filter {name!r}", name, frame, [*GENERAL, *frame.column_names]))
    return query


def chosen_columns(frame: Frame, columns: Sequence[str] | str | None) -> tuple[Column, ...]:
    """Return the columns that were asked for, in the order asked for; None means all.

    Raises:
        FrameError: There is no such column, or one is asked for twice, or none at all.
    """
    if columns is None:
        return frame.columns
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names:
        raise FrameError("columns=[] asks for no column. Name some, or leave it out for all.")
    for name in names:
        if name not in frame.column_names:
            raise FrameError(_unknown(f"column {name!r}", name, frame, frame.column_names))
    if len(set(names)) < len(names):
        raise FrameError(f"columns={names!r} names a column twice. Name each once.")
    return tuple(frame.column(name) for name in names)


def moment(value: Any, name: str, now: datetime | None = None) -> datetime:
    """Return a point in time: a datetime, a date, ISO text, or an age such as `7d`. Without a zone it is local.

    >>> moment("2026-03-01T12:00:00+00:00", "since").isoformat()
    '2026-03-01T12:00:00+00:00'
    >>> moment("36h", "since", now=datetime(2026, 3, 3, tzinfo=UTC)).isoformat()
    '2026-03-01T12:00:00+00:00'

    Raises:
        FrameError: It is none of these.
    """
    found: Any = value
    if isinstance(value, str):
        age = _AGE.fullmatch(value)
        try:
            if age:
                ago = timedelta(seconds=float(age[1]) * _SECONDS[age[2].lower()])
                return (now or datetime.now(UTC)) - ago
            found = datetime.fromisoformat(value.strip())
        except (ValueError, OverflowError):
            found = None
    elif isinstance(value, timedelta):
        return (now or datetime.now(UTC)) - value
    elif isinstance(value, date) and not isinstance(value, datetime):
        found = datetime.combine(value, time())
    if found != found:  # pandas.NaT
        found = None
    if hasattr(found, "to_pydatetime"):  # a pandas Timestamp has nanoseconds, which the frames have not
        found = found.floor("us").to_pydatetime()
    if not isinstance(found, datetime):
        raise FrameError(
            f"{name}={value!r}: expected a datetime, ISO text such as '2026-03-01', or an age such as '7d' or '12h'."
        )
    try:
        return found.astimezone(UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise FrameError(f"{name}={value!r} cannot be told in UTC. Use a time between the years 1 and 9999.") from error


def _naive(at: datetime) -> datetime:
    """Return a time as the views have it: UTC without saying so, which DuckDB works with ten times as fast."""
    return at.astimezone(UTC).replace(tzinfo=None)


def _limit(value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < 0:
        raise FrameError(f"limit={value!r}: expected a whole number of 0 or more.")
    return int(value.__index__())


def _through_sessions(query: Query, frame: Frame, name: str, value: Any) -> None:
    wanted = [_folder(v) if name == "directory" else _as_text(v, name) for v in _several(value)]
    form = _THROUGH_SESSIONS.get(
        frame.name, "_session_key in (select s.session_key from facts.session s where s.{} in ({}))"
    )
    query.conditions.append(form.format(name, _marks(wanted)))
    query.values.extend(wanted)


def _equality(query: Query, column: Column, value: Any) -> None:
    wanted = _several(value)
    if column.text is not None:
        query.text_conditions[column.name] = [None if v is None else _as_text(v, column.name) for v in wanted]
        return
    kinds: list[Any] = [None if v is None else _fit(column, v) for v in wanted]
    given = [v for v in kinds if v is not None]
    parts = []
    if given:
        marks = _marks(given)
        parts.append(
            f"list_has_any({column.name}, [{marks}])" if column.type == "list" else f"{column.name} in ({marks})"
        )
    if len(given) < len(kinds):
        parts.append(f"{column.name} is null")
    query.columns.add(column.name)
    query.conditions.append(f"({' or '.join(parts)})" if parts else "false")
    query.values.extend(given)


def _fit(column: Column, value: Any) -> Any:
    """Return a value as the column's type has it; text that says the same will do."""
    try:
        if column.type == "time":
            return _naive(moment(value, column.name))
        if column.type == "boolean":
            if isinstance(value, str):
                return {"true": True, "false": False}[value.strip().lower()]
            if value not in (True, False):
                raise ValueError
            return bool(value)
        if column.type == "integer":
            number = int(value)
            if isinstance(value, bool) or (not isinstance(value, str) and number != value) or abs(number) >= 2**63:
                raise ValueError
            return number
        if column.type == "number":
            if isinstance(value, bool):
                raise ValueError
            return float(value)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, FrameError):
            raise
        raise FrameError(
            f"{column.name}={value!r}: the column holds {_NAMES[column.type]}. Ask for such a one."
        ) from error
    if column.name in ("directory", "git_root"):
        return _folder(value)
    return _as_text(value, column.name)


_NAMES = {"boolean": "true or false", "integer": "whole numbers", "number": "numbers"}


def _folder(value: Any) -> str:
    try:
        text = os.fspath(value)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise FrameError(f"directory={value!r}: expected a path.")
    expanded = os.path.expanduser(text)
    # A path of another machine stays as it is; "." and "~" mean here.
    return os.path.realpath(expanded) if not os.path.isabs(text) else text.rstrip("/\\") or text


def _as_text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise FrameError(f"{name}={value!r}: expected text, or a list of texts.")
    return value.encode("utf-8", "replace").decode()


def _several(value: Any) -> list[Any]:
    if isinstance(value, str | bytes | Mapping) or value is None:
        return [value]
    plain = value.tolist() if hasattr(value, "tolist") else value  # of NumPy and pandas
    return list(plain) if isinstance(plain, Collection) and not isinstance(plain, str | bytes) else [plain]


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values)) or "null"


def _unknown(what: str, name: str, frame: Frame, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, dict.fromkeys(known), n=3)
    hint = (
        f"Did you mean {' or '.join(map(repr, close))}?" if close else f"There are: {', '.join(dict.fromkeys(known))}."
    )
    return f"The frame {frame.name!r} has no {what}. {hint}"
