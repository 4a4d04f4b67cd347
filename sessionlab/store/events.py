"""What an event becomes in the store: its rows."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, fields
from typing import ClassVar

from sessionlab.errors import RecordingError
from sessionlab.model import FinishReason, Kind, ModelConfig, Role, Status, Usage, storable, to_json
from sessionlab.store.ledger import Event, Ledger, Place, SessionPlace

_INSERT_MESSAGE = """
insert into message (
    message_key, session_key, message_index, given_id, parent_key, prompt_key, exchange_index, turn_key,
    invocation_key, role, kind, is_preamble, created_at)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_TEXT = "insert into message_text (message_key, content, reasoning) values (?, ?, ?)"


def message_key(connection: sqlite3.Connection, session_key: int, message_id: str) -> int | None:
    """Return the key of a session's message, by the id that was given or by the one that the key is."""
    sql = "select message_key from message where session_key = ? and given_id = ?"
    row = connection.execute(sql, (session_key, message_id)).fetchone()
    if row is None and len(message_id) < 19 and message_id.isascii() and message_id.isdigit() and message_id[0] != "0":
        sql = "select message_key from message where message_key = ? and session_key = ? and given_id is null"
        row = connection.execute(sql, (int(message_id), session_key)).fetchone()
    return None if row is None else int(row[0])


@dataclass(slots=True, kw_only=True, eq=False)
class MessageEvent(Event):
    """A message of any role and kind."""

    is_record_of_its_key: ClassVar[bool] = True
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

    @property
    def least_key(self) -> int:
        """A given id that reads like a key."""
        given = self.place.given_id
        if given is None or len(given) > 15 or not (given.isascii() and given.isdigit()):
            return 0  # no key, now or ever
        return int(given)

    def write(self, ledger: Ledger, key: int) -> None:
        """Write the rows."""
        session_key, invocation_key = self.session.written()
        place, prompt, turn, parent = self.place, self.prompt, self.turn, self.parent
        if place.given_id is not None:
            self._refuse_known_id(ledger.connection, session_key)
        place.key = key
        if prompt is place:
            place.exchange_index = ledger.next("exchange_index", session_key)
        ledger.execute(
            _INSERT_MESSAGE,
            (
                key,
                session_key,
                ledger.next("message_index", session_key),
                place.given_id,
                None if parent is None else parent.key,
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
        ledger.execute(_INSERT_TEXT, (key, self.content, self.reasoning))

    def _refuse_known_id(self, connection: sqlite3.Connection, session_key: int) -> None:
        if message_key(connection, session_key, str(self.place.given_id)) is not None:
            raise RecordingError(
                f"The session {self.session.session_id!r} has a message {self.place.given_id!r} already; ids are "
                "unique in a session. Leave message_id out to get one that is."
            )

    def forget(self) -> None:
        """Take back the keys."""
        self.place.key = self.place.exchange_index = None


_INSERT_TURN = """
insert into turn (
    turn_key, session_key, turn_index, model_config_key, first_call_key, invocation_key, prompt_key, exchange_index,
    started_at, duration_us, response_model, finish_reason, finish_reason_raw, error_type, input_tokens, output_tokens,
    cache_read_input_tokens, cache_creation_input_tokens, reasoning_output_tokens, reported_cost_usd)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(slots=True, kw_only=True, eq=False)
class TurnEvent(Event):
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
    key_count: ClassVar[int] = 0

    def write(self, ledger: Ledger, key: int) -> None:  # noqa: ARG002 -- its key is its message's
        """Write the rows."""
        session_key, invocation_key = self.message.session.written()
        prompt, usage = self.message.prompt, self.usage or Usage()
        ledger.execute(
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


_INSERT_CALL = """
insert into tool_call (
    tool_call_key, session_key, tool_call_index, tool_call_id, turn_key, invocation_key, tool_name, started_at)
values (?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(slots=True, kw_only=True, eq=False)
class ToolCallEvent(Event):
    """A tool call; without a turn it waits for the next one."""

    is_record_of_its_key: ClassVar[bool] = True
    session: SessionPlace
    place: Place
    turn: Place | None
    tool_name: str
    arguments: str | None
    started_at: int

    def write(self, ledger: Ledger, key: int) -> None:
        """Write the rows."""
        session_key, invocation_key = self.session.written()
        if self.turn is not None and self.turn.key is None:
            raise RecordingError(f"The turn that called {self.tool_name!r} was not recorded, so its call cannot be.")
        self.place.key = key
        call_id = self.place.given_id if self.place.given_id is not None else f"call_{key}"
        turn_key = None if self.turn is None else self.turn.key
        ledger.execute(
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
        ledger.execute("insert into tool_call_text (tool_call_key, arguments) values (?, ?)", (key, self.arguments))

    def forget(self) -> None:
        """Take back the keys."""
        self.place.key = None


@dataclass(slots=True, kw_only=True, eq=False)
class ToolResultEvent(Event):
    """The facts of a result; its message of role `tool` must be the event before."""

    message: MessageEvent
    call: Place
    status: Status
    is_error: bool
    exit_code: int | None = None
    duration_us: int | None = None
    key_count: ClassVar[int] = 0

    def write(self, ledger: Ledger, key: int) -> None:  # noqa: ARG002 -- its key is its message's
        """Write the rows."""
        session_key, _ = self.message.session.written()
        if self.call.key is None:
            raise RecordingError("The tool call of this result was not recorded, so the result cannot be.")
        try:
            ledger.execute(
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


_INSERT_CONFIG = """
insert into model_config (
    model_config_key, model_config_id, provider_name, api_base, request_model, temperature, top_p, max_tokens,
    context_max_tokens, assistant_minimum_context_tokens, stop_sequences, reasoning_effort,
    system_instructions_hash, extra)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(slots=True, kw_only=True, eq=False)
class ConfigureEvent(Event):
    """From here on the session's answers are given with this configuration (None: with none that is known)."""

    session: SessionPlace
    config: ModelConfig | None
    configured_at: int
    key_count: ClassVar[int] = 2
    _before: int | None = None

    def write(self, ledger: Ledger, key: int) -> None:
        """Write the rows."""
        session_key, invocation_key = self.session.written()
        self._before = self.session.config_key
        config_key = None if self.config is None else _config_key(ledger.connection, self.config, key)
        if config_key is not None and config_key != self._before:
            ledger.execute(
                "insert into configuration values (?, ?, ?, ?, ?)",
                (key + 1, session_key, invocation_key, config_key, self.configured_at),
            )
        self.session.config_key = config_key

    def forget(self) -> None:
        """Take back the keys."""
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
    stored_extra = None if extra is None else to_json(extra)
    connection.execute(_INSERT_CONFIG, (key, config_id, *texts, hashed, stored_extra))
    stored_instructions = None if instructions is None else storable(instructions)
    connection.execute("insert into model_config_text values (?, ?)", (key, stored_instructions))
    return key


@dataclass(slots=True, kw_only=True, eq=False)
class EndEvent(Event):
    """The session has ended."""

    session: SessionPlace
    ended_at: int

    def write(self, ledger: Ledger, key: int) -> None:
        """Write the rows."""
        ledger.execute(
            "update session set ended_at = ?, revision = ? where session_key = ?",
            (self.ended_at, key, self.session.written()[0]),
        )
