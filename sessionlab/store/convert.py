"""Turn what callers give into what the store holds, and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sessionlab.errors import RecordingError
from sessionlab.model import FinishReason, normal_finish_reason, storable, to_json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def new_id() -> str:
    """Return a name that is unique in the world."""
    import uuid  # only those who begin a session wait for it

    return str(uuid.uuid4())


def to_us(moment: datetime | None, what: str) -> int | None:
    """Return a time as microseconds since 1970, UTC; one without a time zone is local.

    Raises:
        RecordingError: It is no datetime.
    """
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise RecordingError(f"{what}={moment!r}: expected a datetime.datetime, or None where it is not known.")
    try:
        return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND
    except (OverflowError, OSError, ValueError) as error:
        raise RecordingError(f"{what}={moment!r} cannot be told in UTC. Leave it out.") from error


def from_us(moment: int | None) -> datetime | None:
    """Return a time from microseconds since 1970, UTC."""
    return None if moment is None else _EPOCH + timedelta(microseconds=moment)


def seconds_to_us(seconds: float | None, what: str) -> int | None:
    """Return a duration as whole microseconds.

    Raises:
        RecordingError: It is no number, negative, or not finite.
    """
    if seconds is None:
        return None
    try:
        number = float(seconds)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(seconds, bool) or not 0 <= number < 1e12:
        raise RecordingError(f"{what}={seconds!r}: expected seconds of 0 or more, or None where they are not known.")
    return round(number * 1_000_000)


def money(amount: float | None, what: str) -> float | None:
    """Return an amount of US dollars.

    Raises:
        RecordingError: It is no number, negative, or not finite.
    """
    if amount is None:
        return None
    try:
        number = float(amount)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(amount, bool) or not 0 <= number < 1e15:
        raise RecordingError(f"{what}={amount!r}: expected US dollars of 0 or more, or None where they are not known.")
    return number


def text_of(value: Any, what: str) -> str | None:
    """Return a text as it is stored, or None.

    Raises:
        RecordingError: It is no text.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise RecordingError(
            f"{what} got {value!r}; expected text. Turn it into text first, for example with json.dumps."
        )
    return storable(value)


def raw_or_json(value: Any) -> str | None:
    """Return a text as it is, None as None, and anything else as JSON text."""
    if value is None:
        return None
    return storable(value) if isinstance(value, str) else to_json(value)


def finish(reason: str | None) -> tuple[FinishReason | None, str | None]:
    """Return a finish reason in the field's word and as it was given."""
    raw = text_of(reason, "finish_reason")
    return normal_finish_reason(raw), raw


def json_object(text: str) -> dict[str, Any]:
    """Return the dictionary that a JSON text holds, empty where it holds none."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
