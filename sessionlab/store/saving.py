"""Write a whole session value to the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionlab.errors import RecordingError
from sessionlab.model import KINDS, RESULT_STATUSES, ROLES, Message, Session, ToolCall, storable, to_json, whole_number
from sessionlab.store.convert import money, new_id, seconds_to_us, text_of, to_us
from sessionlab.store.database import next_keys, now_us
from sessionlab.store.events import ConfigureEvent, MessageEvent, ToolCallEvent, ToolResultEvent, TurnEvent
from sessionlab.store.ledger import Event, Ledger, Place, SessionPlace

if TYPE_CHECKING:
    import sqlite3


def check_session(session: Session) -> None:
    """Refuse a session value whose parts do not fit together.

    Raises:
        RecordingError: It says which part and why.
    """
    where = f"The session {session.session_id!r}"
    ids: set[str] = set()
    for message in session.messages:
        if message.message_id in ids:
            raise RecordingError(
                f"{where} has the message id {message.message_id!r} twice; ids are unique in a session."
            )
        if message.parent_message_id is not None and message.parent_message_id not in ids:
            raise RecordingError(
                f"{where}: the message {message.message_id!r} follows {message.parent_message_id!r}, which does not "
                "stand before it. Put parents first."
            )
        if message.role not in ROLES or message.kind not in KINDS:
            raise RecordingError(
                f"{where}: the message {message.message_id!r} has role {message.role!r} and kind {message.kind!r}; "
                f"known roles are {ROLES}, known kinds {KINDS}."
            )
        if message.is_turn and message.role != "assistant":
            raise RecordingError(
                f"{where}: the message {message.message_id!r} of role {message.role!r} cannot be a turn; only an "
                "assistant's can."
            )
        if message.usage is not None:
            message.usage.check()
        ids.add(message.message_id)
    turns = {message.message_id for message in session.messages if message.is_turn}
    tools = {message.message_id for message in session.messages if message.role == "tool"}
    results: set[str] = set()
    for call in session.tool_calls:
        if call.turn_id is not None and call.turn_id not in turns:
            raise RecordingError(f"{where}: the tool call {call.tool_call_id!r} belongs to no turn {call.turn_id!r}.")
        result = call.result_message_id
        if result is None:
            continue
        if result not in tools or result in results or call.status not in RESULT_STATUSES:
            raise RecordingError(
                f"{where}: the tool call {call.tool_call_id!r} with status {call.status!r} has the result {result!r}; "
                f"expected a message of role 'tool' of its own and a status of {RESULT_STATUSES}."
            )
        results.add(result)


def save(connection: sqlite3.Connection, session: Session, session_key: int | None) -> None:
    """Write a session value; `session_key` is that of the session whose other rows were deleted for it."""
    first = next_keys(connection, 1)
    started = to_us(session.started_at, "started_at")
    values = {
        "name": text_of(session.name, "name"),
        "agent_name": text_of(session.agent_name, "agent_name"),
        "directory": text_of(session.directory, "directory"),
        "git_root": text_of(session.git_root, "git_root"),
        "parent_session_id": text_of(session.parent_session_id, "parent_session_id"),
        "conversation_id": text_of(session.conversation_id, "conversation_id"),
        "started_at": now_us() if started is None else started,
        "ended_at": to_us(session.ended_at, "ended_at"),
        "archived_at": to_us(session.archived_at, "archived_at"),
        "metadata": to_json(dict(session.metadata)),
        "revision": first,
        "session_id": text_of(session.session_id, "session_id"),
    }
    if session_key is None:
        values["session_key"] = session_key = first
        marks = ", ".join("?" * len(values))
        connection.execute(f"insert into session ({', '.join(values)}) values ({marks})", list(values.values()))
    else:
        changes = ", ".join(f"{name} = ?" for name in values)
        connection.execute(f"update session set {changes} where session_key = ?", [*values.values(), session_key])
    add(connection, session, session_key, known=0)


def add(connection: sqlite3.Connection, session: Session, session_key: int, *, known: int) -> None:
    """Write the messages from number `known` on, and where that is 0, the tool calls."""
    places = {m.message_id: Place(given_id=text_of(m.message_id, "message_id")) for m in session.messages}
    prompts: dict[str, Place | None] = {}
    writer = _ValueWriter(connection, session, session_key, places, prompts)
    for index, message in enumerate(session.messages):
        parent = None if message.parent_message_id is None else prompts.get(message.parent_message_id)
        is_prompt = message.role == "user" and message.kind == "message"
        prompts[message.message_id] = places[message.message_id] if is_prompt else parent
        if index < known:
            writer.find(index, message)
        else:
            writer.message(message)
    if known == 0:
        writer.tool_calls_up_to(len(session.tool_calls))
        writer.give_calls_their_turns()


class _ValueWriter:
    """Writes the parts of a session value in the order in which they would have been recorded."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        session: Session,
        session_key: int,
        places: dict[str, Place],
        prompts: dict[str, Place | None],
    ) -> None:
        self._connection = connection
        self._ledger = Ledger()
        self._session = session
        self._key = session_key
        self._places = places
        self._prompts = prompts
        self._runs: dict[str, SessionPlace] = {}
        self._run_of = {message.message_id: message.invocation_id for message in session.messages}
        self._call_of_result = {
            call.result_message_id: number
            for number, call in enumerate(session.tool_calls)
            if call.result_message_id is not None
        }
        self._calls: list[Place] = []  # those written so far, in the order of the value
        self._waiting: list[tuple[Place, str]] = []  # calls that were written before their turns

    def find(self, index: int, message: Message) -> None:
        """Find the keys of a message that is stored already."""
        row = self._connection.execute(
            "select message_key, exchange_index, given_id from message where session_key = ?1 and message_index = ?2",
            (self._key, index),
        ).fetchone()
        place = self._places[message.message_id]
        place.key, place.exchange_index, place.given_id = row

    def message(self, message: Message) -> None:
        """Write the next message, and before a result its call."""
        run = self._run(message.invocation_id)
        place = self._places[message.message_id]
        created = to_us(message.created_at, "created_at")
        event = MessageEvent(
            session=run,
            place=place,
            role=message.role,
            kind=message.kind,
            content=text_of(message.content, "content"),
            reasoning=text_of(message.reasoning, "reasoning"),
            parent=None if message.parent_message_id is None else self._places[message.parent_message_id],
            prompt=self._prompts[message.message_id],
            created_at=now_us() if created is None else created,
        )
        events: list[Event] = [event]
        number = self._call_of_result.get(message.message_id)
        if message.is_turn:
            configure = ConfigureEvent(session=run, config=message.config, configured_at=event.created_at)
            events = [configure, event, _turn_event(message, event)]
        elif number is not None:
            self.tool_calls_up_to(number + 1)
            call = self._session.tool_calls[number]
            event.turn = None if call.turn_id is None else self._places[call.turn_id]
            events.append(_result_event(event, call, self._calls[number]))
        self._ledger.write(self._connection, None, events)

    def tool_calls_up_to(self, number: int) -> None:
        """Write the first `number` tool calls, as far as they are not written yet."""
        for call in self._session.tool_calls[len(self._calls) : number]:
            place = Place(given_id=text_of(call.tool_call_id, "tool_call_id"))
            turn = None if call.turn_id is None else self._places[call.turn_id]
            if turn is not None and turn.key is None:
                self._waiting.append((place, str(call.turn_id)))
                turn = None
            started = to_us(call.started_at, "started_at")
            event = ToolCallEvent(
                session=self._run(None if call.turn_id is None else self._run_of[call.turn_id]),
                place=place,
                turn=turn,
                tool_name=storable(call.tool_name),
                arguments=text_of(call.arguments, "arguments"),
                started_at=now_us() if started is None else started,
            )
            self._ledger.write(self._connection, None, [event])
            self._calls.append(place)

    def give_calls_their_turns(self) -> None:
        """Link the calls that stand before their turns; nobody else has seen these rows yet."""
        for place, turn_id in self._waiting:
            values = (self._places[turn_id].key, place.key)
            self._connection.execute("update tool_call set turn_key = ? where tool_call_key = ?", values)
            self._connection.execute(
                "update message set turn_key = ? where message_key ="
                " (select tool_result_key from tool_result where tool_call_key = ?)",
                values,
            )

    def _run(self, invocation_id: str | None) -> SessionPlace:
        if invocation_id is None:
            invocation_id = next(iter(self._runs), None) or new_id()
        run = self._runs.get(invocation_id)
        if run is None:
            run = SessionPlace(session_id=self._session.session_id, session_key=self._key)
            run.invocation_key = add_invocation(self._connection, self._key, invocation_id)
            self._runs[invocation_id] = run
        return run


def _turn_event(message: Message, event: MessageEvent) -> TurnEvent:
    event.turn = event.place
    started = to_us(message.started_at, "started_at")
    return TurnEvent(
        message=event,
        usage=message.usage,
        finish_reason=message.finish_reason,
        finish_reason_raw=text_of(message.finish_reason_raw, "finish_reason_raw"),
        response_model=text_of(message.response_model, "response_model"),
        reported_cost_usd=money(message.reported_cost_usd, "reported_cost_usd"),
        started_at=event.created_at if started is None else started,
        duration_us=seconds_to_us(message.duration_s, "duration_s"),
        error_type=text_of(message.error_type, "error_type"),
    )


def _result_event(message: MessageEvent, call: ToolCall, place: Place) -> ToolResultEvent:
    return ToolResultEvent(
        message=message,
        call=place,
        status=call.status,
        is_error=call.status != "ok" if call.is_error is None else call.is_error,
        exit_code=None if call.exit_code is None else whole_number("exit_code", call.exit_code, least=-(2**63)),
        duration_us=seconds_to_us(call.duration_s, "duration_s"),
    )


def add_invocation(connection: sqlite3.Connection, session_key: int, invocation_id: str) -> int:
    """Note one more run on a session, or find it, and return its key."""
    invocation_id = storable(invocation_id)
    row = connection.execute(
        "select invocation_key from invocation where session_key = ? and invocation_id = ?",
        (session_key, invocation_id),
    ).fetchone()
    if row:
        return int(row[0])
    key = next_keys(connection, 1)
    connection.execute("insert into invocation values (?, ?, ?, ?)", (key, session_key, invocation_id, now_us()))
    return key
