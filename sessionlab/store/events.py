"""What an event becomes in the store: its rows and their keys."""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sessionlab.errors import RecordingError
from sessionlab.model import FinishReason, Kind, ModelConfig, Role, Status, Usage, normal_finish_reason, to_json
from sessionlab.store.database import next_keys

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Event(Protocol):
    """One thing that happened, as it will be written."""

    key_count: int

    def write(self, ledger: Ledger, key: int) -> None:
        """Write the rows inside a transaction; `key` is the first of `key_count` keys."""

    def forget(self) -> None:
        """Take back what `write` told the handles, since the transaction was rolled back."""


class Ledger:
    """Writes events, and remembers the numbers that come next so that it need not look them up each time.

    What it remembers holds as long as the store's counter stands where this ledger left it: whoever else writes
    moves the counter.
    """

    __slots__ = ("_last_key", "_next", "connection")

    connection: sqlite3.Connection

    def __init__(self) -> None:
        self._last_key = -1
        self._next: dict[tuple[str, int], int] = {}

    def write(self, connection: sqlite3.Connection, events: Sequence[Event]) -> None:
        """Write events in their order, inside a transaction, with the store's next keys."""
        self.connection = connection
        count = sum(event.key_count for event in events)
        key = next_keys(connection, count)
        if key - 1 != self._last_key or len(self._next) > 10_000:
            self._next.clear()
        self._last_key = -1  # should one of the events fail, nothing of this holds
        last_key = key + count - 1
        for event in events:
            event.write(self, key)
            key += event.key_count
        self._last_key = last_key

    def next(self, numbers: str, session_key: int) -> int:
        """Return a session's next `message_index`, `turn_index`, `tool_call_index` or `exchange_index`."""
        at = (numbers, session_key)
        number = self._next.get(at)
        if number is None:
            number = self.connection.execute(_NEXT[numbers], (session_key,)).fetchone()[0]
        self._next[at] = number + 1
        return int(number)

    def forget(self) -> None:
        """Look everything up again, since a transaction was rolled back."""
        self._last_key = -1


_NEXT = {
    "message_index": "select coalesce(max(message_index), -1) + 1 from message where session_key = ?",
    "turn_index": "select coalesce(max(turn_index), -1) + 1 from turn where session_key = ?",
    "tool_call_index": "select coalesce(max(tool_call_index), -1) + 1 from tool_call where session_key = ?",
    "exchange_index": "select coalesce(max(exchange_index), -1) + 1 from message"
    " where session_key = ? and prompt_key = message_key",
}


@dataclass(slots=True, eq=False)
class Place:
    """Where a message or tool call stands in the store; the key is None until it is committed."""

    key: int | None = None
    given_id: str | None = None
    exchange_index: int | None = None

    @property
    def id(self) -> str | None:
        return None if self.key is None else self.given_id if self.given_id is not None else str(self.key)


@dataclass(slots=True, eq=False)
class SessionPlace:
    """Where a session and this run of it stand in the store."""

    session_id: str
    session_key: int | None = None
    invocation_key: int | None = None
    config_key: int | None = None

    def written(self) -> tuple[int, int]:
        if self.session_key is None or self.invocation_key is None:
            raise RecordingError(f"The session {self.session_id!r} was not recorded, so nothing can be added to it.")
        return self.session_key, self.invocation_key


_INSERT_MESSAGE = """
insert into message (
    message_key, session_key, message_index, given_id, parent_key, prompt_key, exchange_index, turn_key,
    invocation_key, role, kind, is_preamble, created_at)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_TEXT = "insert into message_text (message_key, content, reasoning) values (?, ?, ?)"


@dataclass(slots=True, kw_only=True, eq=False)
class MessageEvent:
    """A message of any role and kind."""

    session: SessionPlace
    place: Place
    role: Role
    kind: Kind
    content: str | None
    reasoning: str | None = None
    parent: Place | None
    prompt: Place | None
    turn: Place | None = None
    created_at: int
    key_count: int = field(default=1, init=False)

    def write(self, ledger: Ledger, key: int) -> None:
        session_key, invocation_key = self.session.written()
        place, prompt, turn = self.place, self.prompt, self.turn
        place.key = key
        if prompt is place:
            place.exchange_index = ledger.next("exchange_index", session_key)
        ledger.connection.execute(
            _INSERT_MESSAGE,
            (
                key,
                session_key,
                ledger.next("message_index", session_key),
                place.given_id,
                None if self.parent is None else self.parent.key,
                None if prompt is None else prompt.key,
                None if prompt is None else prompt.exchange_index,
                None if turn is None else turn.key,
                invocation_key,
                self.role,
                self.kind,
                self.role == "system" and self.kind == "message" and prompt is None,
                self.created_at,
            ),
        )
        ledger.connection.execute(_INSERT_TEXT, (key, self.content, self.reasoning))

    def forget(self) -> None:
        self.place.key = self.place.exchange_index = None


_INSERT_TURN = """
insert into turn (
    turn_key, session_key, turn_index, model_config_key, first_call_key, invocation_key, prompt_key, exchange_index,
    started_at, duration_us, response_model, finish_reason, finish_reason_raw, error_type, input_tokens, output_tokens,
    cache_read_input_tokens, cache_creation_input_tokens, reasoning_output_tokens, reported_cost_usd)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(slots=True, kw_only=True, eq=False)
class TurnEvent:
    """A model response or a failed model call; its message must be the event before."""

    message: MessageEvent
    first_call: Place | None = None
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    finish_reason_raw: str | None = None
    response_model: str | None = None
    reported_cost_usd: float | None = None
    started_at: int
    duration_us: int | None = None
    error_type: str | None = None
    key_count: int = field(default=0, init=False)

    def write(self, ledger: Ledger, key: int) -> None:
        session_key, invocation_key = self.message.session.written()
        prompt, usage = self.message.prompt, self.usage or Usage()
        ledger.connection.execute(
            _INSERT_TURN,
            (
                self.message.place.key,
                session_key,
                ledger.next("turn_index", session_key),
                self.message.session.config_key,
                None if self.first_call is None else self.first_call.key,
                invocation_key,
                None if prompt is None else prompt.key,
                None if prompt is None else prompt.exchange_index,
                self.started_at,
                self.duration_us,
                self.response_model,
                self.finish_reason,
                self.finish_reason_raw,
                self.error_type,
                usage.input_tokens,
                usage.output_tokens,
                usage.cache_read_input_tokens,
                usage.cache_creation_input_tokens,
                usage.reasoning_output_tokens,
                self.reported_cost_usd,
            ),
        )

    def forget(self) -> None:
        pass


_INSERT_CALL = """
insert into tool_call (
    tool_call_key, session_key, tool_call_index, tool_call_id, turn_key, invocation_key, tool_name, started_at)
values (?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(slots=True, kw_only=True, eq=False)
class ToolCallEvent:
    """A tool call; without a turn it waits for the next one."""

    session: SessionPlace
    place: Place
    turn: Place | None
    tool_name: str
    arguments: str | None
    started_at: int
    key_count: int = field(default=1, init=False)

    def write(self, ledger: Ledger, key: int) -> None:
        session_key, invocation_key = self.session.written()
        if self.turn is not None and self.turn.key is None:
            raise RecordingError(f"The turn that called {self.tool_name!r} was not recorded, so its call cannot be.")
        self.place.key = key
        call_id = self.place.given_id if self.place.given_id is not None else f"call_{key}"
        turn_key = None if self.turn is None else self.turn.key
        ledger.connection.execute(
            _INSERT_CALL,
            (
                key,
                session_key,
                ledger.next("tool_call_index", session_key),
                call_id,
                turn_key,
                invocation_key,
                self.tool_name,
                self.started_at,
            ),
        )
        ledger.connection.execute(
            "insert into tool_call_text (tool_call_key, arguments) values (?, ?)", (key, self.arguments)
        )

    def forget(self) -> None:
        self.place.key = None


@dataclass(slots=True, kw_only=True, eq=False)
class ToolResultEvent:
    """The facts of a result; its message of role `tool` must be the event before."""

    message: MessageEvent
    call: Place
    status: Status
    is_error: bool
    exit_code: int | None = None
    duration_us: int | None = None
    key_count: int = field(default=0, init=False)

    def write(self, ledger: Ledger, key: int) -> None:
        session_key, _ = self.message.session.written()
        if self.call.key is None:
            raise RecordingError("The tool call of this result was not recorded, so the result cannot be.")
        try:
            ledger.connection.execute(
                "insert into tool_result (tool_result_key, tool_call_key, session_key, status, is_error, exit_code,"
                " duration_us) values (?, ?, ?, ?, ?, ?, ?)",
                (
                    self.message.place.key,
                    self.call.key,
                    session_key,
                    self.status,
                    self.is_error,
                    self.exit_code,
                    self.duration_us,
                ),
            )
        except sqlite3.IntegrityError as error:
            raise RecordingError(f"The tool call {self.call.id!r} has its result already; a call has one.") from error

    def forget(self) -> None:
        pass


_INSERT_CONFIG = """
insert into model_config (
    model_config_key, model_config_id, provider_name, api_base, request_model, temperature, top_p, max_tokens,
    context_max_tokens, assistant_minimum_context_tokens, stop_sequences, reasoning_effort,
    system_instructions_hash, extra)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(slots=True, kw_only=True, eq=False)
class ConfigureEvent:
    """From here on the session's answers are given with this configuration (None: with none that is known)."""

    session: SessionPlace
    config: ModelConfig | None
    configured_at: int
    key_count: int = field(default=2, init=False)
    _before: int | None = None

    def write(self, ledger: Ledger, key: int) -> None:
        session_key, invocation_key = self.session.written()
        self._before = self.session.config_key
        config_key = None if self.config is None else _config_key(ledger.connection, self.config, key)
        if config_key is not None and config_key != self._before:
            ledger.connection.execute(
                "insert into configuration values (?, ?, ?, ?, ?)",
                (key + 1, session_key, invocation_key, config_key, self.configured_at),
            )
        self.session.config_key = config_key

    def forget(self) -> None:
        self.session.config_key = self._before


def _config_key(connection: sqlite3.Connection, config: ModelConfig, key: int) -> int:
    config_id = config.model_config_id
    row = connection.execute(
        "select model_config_key from model_config where model_config_id = ?", (config_id,)
    ).fetchone()
    if row:
        return int(row[0])
    values = {f.name: getattr(config, f.name) for f in fields(config)}
    instructions = values.pop("system_instructions")
    extra = values.pop("extra")
    stop = values["stop_sequences"]
    values["stop_sequences"] = None if stop is None else to_json(list(stop))
    hashed = config.system_instructions_hash
    texts = [storable(v) if isinstance(v, str) else v for v in values.values()]
    stored_extra = None if extra is None else storable(to_json(extra))
    connection.execute(_INSERT_CONFIG, (key, config_id, *texts, hashed, stored_extra))
    stored_instructions = None if instructions is None else storable(instructions)
    connection.execute("insert into model_config_text values (?, ?)", (key, stored_instructions))
    return key


@dataclass(slots=True, kw_only=True, eq=False)
class EndEvent:
    """The session has ended."""

    session: SessionPlace
    ended_at: int
    key_count: int = field(default=1, init=False)

    def write(self, ledger: Ledger, key: int) -> None:
        ledger.connection.execute(
            "update session set ended_at = ?, revision = ? where session_key = ?",
            (self.ended_at, key, self.session.written()[0]),
        )

    def forget(self) -> None:
        pass


def new_id() -> str:
    """Return a name that is unique in the world."""
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


def storable(text: str) -> str:
    """Return a text that UTF-8 can hold: each lone surrogate becomes U+FFFD and its number in plain letters."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(f"\N{REPLACEMENT CHARACTER}\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)
    return text


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
    return storable(value if isinstance(value, str) else to_json(value))


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


def git_root_of(directory: str) -> str | None:
    """Return the main repository that a folder belongs to, or None; no program is run."""
    folder = directory
    while True:
        marker = os.path.join(folder, ".git")
        if os.path.isdir(marker):
            return folder
        if os.path.isfile(marker):
            return _main_repository(marker) or folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _main_repository(marker: str) -> str | None:
    """Return the folder of the main repository that a worktree's `.git` file leads to."""
    try:
        with open(marker, encoding="utf-8") as file:
            first = file.readline().strip()
    except (OSError, UnicodeDecodeError):
        return None
    target = os.path.join(os.path.dirname(marker), first.removeprefix("gitdir:").strip())
    above, name = os.path.split(os.path.dirname(os.path.abspath(target)))
    return os.path.dirname(above) if name == "worktrees" and os.path.basename(above) == ".git" else None
