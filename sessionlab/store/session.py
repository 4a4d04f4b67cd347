"""A session that is being recorded."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from sessionlab.errors import RecordingError
from sessionlab.model import RESULT_STATUSES, Kind, Message, ModelConfig, Role, Session, Status, Usage, whole_number
from sessionlab.store.conversation import Count, Format, branch, for_api
from sessionlab.store.convert import finish, money, new_id, raw_or_json, seconds_to_us, text_of, to_us
from sessionlab.store.database import now_us
from sessionlab.store.events import (
    ConfigureEvent,
    EndEvent,
    MessageEvent,
    ToolCallEvent,
    ToolResultEvent,
    TurnEvent,
    message_key,
)
from sessionlab.store.handles import RecordedMessage, RecordedToolCall, RecordedTurn
from sessionlab.store.ledger import Event, Place, SessionPlace
from sessionlab.store.opening import OpenEvent, Opening, State, state_at
from sessionlab.store.reading import load_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from types import TracebackType

    from sessionlab.store.recorder import Recorder


@dataclass(slots=True, eq=False)
class _Batch:
    """What is held back, and where the session stood before it."""

    before: State
    events: list[Event] = field(default_factory=list)
    depth: int = 0
    process_id: int = field(default_factory=os.getpid)


# The batches that this thread or task is in: what another one records meanwhile is committed at once.
_my_batches: ContextVar[tuple[_Batch, ...]] = ContextVar("sessionlab_batches", default=())


class RecordedSession:
    """A session that is being recorded; get it from `recorder.session` or `recorder.resume`.

    A context manager that ends the session. Several threads may use it; each message follows the one before.
    """

    def __init__(
        self,
        recorder: Recorder,
        opening: Callable[[], Opening] | None,
        config: ModelConfig | None,
        *,
        forked: tuple[SessionPlace, State, str] | None = None,
    ) -> None:
        self._recorder = recorder
        self._batch: _Batch | None = None
        self._opening: OpenEvent | None = None
        self._config = config
        self._place, self._state, self.invocation_id = forked or (SessionPlace(new_id()), State(), new_id())
        if recorder.enabled and opening is not None:
            recorder._guarded(lambda: self._begin(opening()), count=1)

    @property
    def session_id(self) -> str:
        """The session's name, unique in the world."""
        return self._place.session_id

    def __repr__(self) -> str:
        state = "" if self._recorder.enabled else ", disabled"
        return f"<RecordedSession {self.session_id!r}{state}{', ended' if self._state.has_ended else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    # What happened

    def user(self, text: str, *, at: datetime | None = None, message_id: str | None = None) -> RecordedMessage:
        """Record a prompt; it opens an exchange.

        Args:
            text: What was said.
            at: When; without a time zone it is local. None: now.
            message_id: The caller's own id, unique within the session.

        Raises:
            RecordingError, StoreError: It could not be recorded.
        """
        return self._message("user", "message", text, at, message_id)

    def system(self, text: str, *, at: datetime | None = None, message_id: str | None = None) -> RecordedMessage:
        """Record a system prompt; the arguments are those of `user`."""
        return self._message("system", "message", text, at, message_id)

    def note(self, text: str, *, at: datetime | None = None, message_id: str | None = None) -> RecordedMessage:
        """Record a remark that is never sent to a model; the arguments are those of `user`."""
        return self._message("system", "note", text, at, message_id)

    def assistant(
        self,
        text: str | None = None,
        *,
        reasoning: str | None = None,
        finish_reason: str | None = None,
        response_model: str | None = None,
        usage: Usage | None = None,
        reported_cost_usd: float | None = None,
        started_at: datetime | None = None,
        duration_s: float | None = None,
        at: datetime | None = None,
        message_id: str | None = None,
    ) -> RecordedTurn:
        """Record one model response: it makes exactly one turn, with the configuration in force.

        Args:
            text: What the model said; None where it only calls tools.
            reasoning: What it thought.
            finish_reason: The field's word or the provider's own; both are kept.
            response_model: The model that answered, where it says.
            usage: Its tokens.
            reported_cost_usd: What the provider says it cost, in US dollars.
            started_at: When the model was asked. None: `at` less `duration_s`.
            duration_s: How long it took, in seconds.
            at: When it was answered. None: now.
            message_id: The caller's own id, unique within the session.

        Raises:
            RecordingError, StoreError: It could not be recorded.
        """
        turn = RecordedTurn(self, Place(), "assistant")

        def events() -> list[Event]:
            _check_usage(usage)
            reason, raw = finish(finish_reason)
            message = self._message_event(turn._place, "assistant", "message", text, at, message_id)
            message.reasoning = text_of(reasoning, "reasoning")
            return self._turn_events(
                message,
                usage=usage,
                finish_reason=reason,
                finish_reason_raw=raw,
                response_model=text_of(response_model, "response_model"),
                reported_cost_usd=money(reported_cost_usd, "reported_cost_usd"),
                started_at=started_at,
                duration_s=duration_s,
            )

        self._record(events)
        return turn

    def error(
        self,
        error: str | BaseException,
        *,
        error_type: str | None = None,
        response_model: str | None = None,
        usage: Usage | None = None,
        reported_cost_usd: float | None = None,
        started_at: datetime | None = None,
        duration_s: float | None = None,
        at: datetime | None = None,
        message_id: str | None = None,
    ) -> RecordedTurn:
        """Record a model call that failed: a turn with `error_type` and `error_message`.

        Args:
            error: The exception, or its message.
            error_type: Its kind. None: the exception's class, else `error`.
            response_model: The model that answered, where it says.
            usage: Its tokens.
            reported_cost_usd: What the provider says it cost, in US dollars.
            started_at: When the model was asked. None: `at` less `duration_s`.
            duration_s: How long it took, in seconds.
            at: When it failed. None: now.
            message_id: The caller's own id, unique within the session.

        Raises:
            RecordingError, StoreError: It could not be recorded.
        """
        turn = RecordedTurn(self, Place(), "assistant")

        def events() -> list[Event]:
            _check_usage(usage)
            is_exception = isinstance(error, BaseException)
            kind = error_type or (type(error).__name__ if is_exception else "error")
            message = self._message_event(
                turn._place, "assistant", "error", str(error) if is_exception else error, at, message_id
            )
            return self._turn_events(
                message,
                usage=usage,
                finish_reason="error",
                error_type=text_of(kind, "error_type"),
                response_model=text_of(response_model, "response_model"),
                reported_cost_usd=money(reported_cost_usd, "reported_cost_usd"),
                started_at=started_at,
                duration_s=duration_s,
            )

        self._record(events)
        return turn

    def tool_call(
        self,
        tool_name: str,
        arguments: Any = None,
        *,
        tool_call_id: str | None = None,
        at: datetime | None = None,
    ) -> RecordedToolCall:
        """Record a tool call of the newest turn of this exchange, or, if there is none yet, of the next one.

        Args:
            tool_name: The tool.
            arguments: Text is kept as it is; anything else becomes JSON text.
            tool_call_id: The provider's id; it may repeat. None: one is made.
            at: When. None: now.

        Raises:
            RecordingError, StoreError: It could not be recorded.
        """
        return self._tool_call(None, tool_name, arguments, tool_call_id, at)

    def configure(self, config: ModelConfig) -> None:
        """Put a model configuration in force: the answers from here on are linked to it.

        Raises:
            RecordingError, StoreError: It could not be recorded.
        """
        self._record(lambda: [self._configuration(config)])

    def end(self) -> None:
        """Note that the session has ended; `recorder.resume` goes on with it. Calling it again does nothing."""

        def events() -> list[Event]:
            self._state = self._state._replace(has_ended=True)
            return [EndEvent(session=self._place, ended_at=now_us())]

        if not self._state.has_ended:
            self._record(events)

    @contextlib.contextmanager
    def batch(self) -> Iterator[Self]:
        """Hold back what is recorded inside and commit it once, at the end of the outermost batch.

        Where the block raises, what it had recorded by then is committed all the same. What another thread or task
        records on this session meanwhile is committed at once, and what was held back until then before it.
        """
        with self._recorder._lock:
            batch = self._batch = self._batch or _Batch(self._state)
            batch.depth += 1
        outer = _my_batches.get()
        token = _my_batches.set((*outer, batch))
        try:
            yield self
        finally:
            with contextlib.suppress(ValueError):  # the block was left in another task than it was entered in
                _my_batches.reset(token)
            with self._recorder._lock:
                batch.depth -= 1
                if batch.depth == 0:
                    self._batch = None
                if batch not in outer and batch.events:
                    self._finish(batch)

    # Looking back

    def fork(self, message: RecordedMessage | str) -> RecordedSession:
        """Return a handle that goes on from an earlier message of this session, as a branch beside what followed.

        Args:
            message: The message or its id.

        Raises:
            RecordingError: There is no such message here.
        """
        if not self._recorder.enabled:
            return RecordedSession(self._recorder, None, None, forked=(self._place, State(), self.invocation_id))
        with self._recorder._lock:
            state = self._state._replace(has_ended=False)

            def work() -> None:
                nonlocal state
                message_id = message if isinstance(message, str) else message.message_id
                if message_id is None:
                    raise RecordingError(
                        f"{message!r} is not committed yet, so nothing can follow it. Fork after the batch."
                    )
                state = self._read(lambda connection: self._state_after(connection, message_id))

            self._recorder._guarded(work, count=0)
            known = self._place
            place = SessionPlace(
                known.session_id, known.session_key, known.invocation_key, known.config_key, known.deletions
            )
            return RecordedSession(self._recorder, None, None, forked=(place, state, self.invocation_id))

    def _state_after(self, connection: sqlite3.Connection, message_id: str) -> State:
        session_key, _ = self._place.written()
        key = message_key(connection, session_key, message_id)
        if key is None:
            raise RecordingError(
                f"The session {self.session_id!r} has no message {message_id!r}. session.messages() shows them."
            )
        return state_at(connection, session_key, key)

    @overload
    def messages(self) -> list[Message]: ...
    @overload
    def messages(
        self,
        *,
        format: Literal["openai"],
        max_tokens: int | None = None,
        reserve_tokens: int = 0,
        count: Count | None = None,
    ) -> list[dict[str, Any]]: ...
    @overload
    def messages(
        self,
        *,
        format: Literal["anthropic"],
        max_tokens: int | None = None,
        reserve_tokens: int = 0,
        count: Count | None = None,
    ) -> dict[str, Any]: ...

    def messages(
        self,
        *,
        format: Format | None = None,
        max_tokens: int | None = None,
        reserve_tokens: int = 0,
        count: Count | None = None,
    ) -> list[Message] | list[dict[str, Any]] | dict[str, Any]:
        """Return the conversation so far on this branch, or what to send to a model to go on with it.

        It is read from the store: of a disabled recorder, and of what could not be recorded, there is nothing.
        `ModelConfig.system_instructions` is a setting and no message; record the system prompt with `system` as well.

        Args:
            format: None: the messages as recorded, notes and boundaries included. `openai`: a list for
                `chat.completions.create(messages=…)`. `anthropic`: a dictionary for `messages.create(**…)`, with
                `messages` and, where there is one, `system`. Tool calls and results are in both; a call without a
                result gets one that says so, since both APIs refuse it otherwise.
            max_tokens: What all may cost. The oldest exchanges are left out, the system prompt and the newest
                exchange never; the store loses nothing by it.
            reserve_tokens: How many of them to keep free for the answer.
            count: How many tokens a text has. None: one for three bytes, which is rather too many.

        Raises:
            RecordingError: The format or the budget makes no sense, or a batch is open.
        """
        with self._recorder._lock:
            if self._batch is not None and self._batch.events:
                raise RecordingError("messages() inside a batch would miss what is held back. Call it after the batch.")
            session_key, head = self._place.session_key, self._state.head
        if session_key is None or head is None:
            session, listed = Session(session_id=self.session_id), list[Message]()
        else:
            session, listed = self._stored(session_key, head)
        if format is None:
            return listed
        result: list[dict[str, Any]] | dict[str, Any] = for_api(
            session, listed, format, max_tokens=max_tokens, reserve_tokens=reserve_tokens, count=count
        )
        return result

    # How it is done

    def _stored(self, session_key: int, head: Place) -> tuple[Session, list[Message]]:
        found: list[tuple[Session, list[Message]]] = []

        def work() -> None:
            session = self._read(lambda connection: load_session(connection, session_key))
            if session is None:
                raise RecordingError(f"The session {self.session_id!r} was deleted while it was being recorded.")
            found.append((session, branch(session, head.id)))

        self._recorder._guarded(work, count=0)
        return found[0] if found else (Session(session_id=self.session_id), [])

    def _message(
        self, role: Role, kind: Kind, text: str, at: datetime | None, message_id: str | None
    ) -> RecordedMessage:
        place = Place()

        def events() -> list[Event]:
            if text is None:
                raise RecordingError(f"{role}(None): expected text; only assistant() may be without.")
            event = self._message_event(place, role, kind, text, at, message_id)
            _, prompt, turn, waiting, _ = self._state
            if role == "user":
                event.prompt = place
                self._state = State(place, place, None, waiting)
            else:
                self._state = State(place, prompt, turn, waiting)
            return [event]

        self._record(events)
        return RecordedMessage(self, place, role)

    def _message_event(
        self, place: Place, role: Role, kind: Kind, text: Any, at: datetime | None, message_id: str | None
    ) -> MessageEvent:
        if message_id is not None:
            place.given_id = text_of(message_id, "message_id")
        return MessageEvent(
            session=self._place,
            place=place,
            role=role,
            kind=kind,
            content=text_of(text, f"{role}()"),
            parent=self._state.head,
            prompt=self._state.prompt,
            created_at=_time_of(at),
        )

    def _turn_events(
        self, message: MessageEvent, *, started_at: datetime | None, duration_s: float | None, **facts: Any
    ) -> list[Event]:
        started, duration = to_us(started_at, "started_at"), seconds_to_us(duration_s, "duration_s")
        turn = TurnEvent(
            message=message,
            first_call=self._state.waiting,
            started_at=message.created_at - (duration or 0) if started is None else started,
            duration_us=duration,
            **facts,
        )
        message.turn = message.place
        self._state = State(message.place, self._state.prompt, message.place)
        return [message, turn]

    def _tool_call(
        self, turn: Place | None, tool_name: str, arguments: Any, tool_call_id: str | None, at: datetime | None
    ) -> RecordedToolCall:
        call = RecordedToolCall(self, Place(), str(tool_name))

        def events() -> list[Event]:
            when = to_us(at, "at")
            name = text_of(tool_name, "tool_name")
            if not name:
                raise RecordingError(f"tool_call({tool_name!r}): expected the tool's name.")
            call._turn = self._state.turn if turn is None else turn
            call._place.given_id = text_of(tool_call_id, "tool_call_id")
            event = ToolCallEvent(
                session=self._place,
                place=call._place,
                turn=call._turn,
                tool_name=name,
                arguments=raw_or_json(arguments),
                started_at=now_us() if when is None else when,
            )
            if call._turn is None and self._state.waiting is None:
                self._state = self._state._replace(waiting=call._place)
            return [event]

        self._record(events)
        return call

    def _result(
        self,
        call: RecordedToolCall,
        result: Any,
        status: Status | None,
        is_error: bool | None,
        exit_code: int | None,
        duration_s: float | None,
        at: datetime | None,
    ) -> None:
        def events() -> list[Event]:
            if status is not None and status not in RESULT_STATUSES:
                raise RecordingError(f"result(status={status!r}): expected one of {RESULT_STATUSES}.")
            code = None if exit_code is None else whole_number("result(exit_code=…)", exit_code, least=-(2**63))
            if is_error is not None:
                failed = bool(is_error)
            elif status is not None:
                failed = status != "ok"
            else:
                failed = bool(code) or isinstance(result, BaseException)
            if status == ("ok" if failed else "error"):
                raise RecordingError(
                    f"result(status={status!r}, is_error={is_error!r}): one says the opposite of the other."
                )
            text = f"{type(result).__name__}: {result}" if isinstance(result, BaseException) else result
            message = self._message_event(Place(), "tool", "message", raw_or_json(text), at, None)
            message.turn = call._turn
            facts = ToolResultEvent(
                message=message,
                call=call._place,
                status=status or ("error" if failed else "ok"),
                is_error=failed,
                exit_code=code,
                duration_us=seconds_to_us(duration_s, "duration_s"),
            )
            self._state = self._state._replace(head=message.place)
            return [message, facts]

        self._record(events)

    def _record(self, make: Callable[[], list[Event]]) -> None:
        """Make the events of one call and commit them, or hold them back in a batch."""
        recorder = self._recorder
        if not recorder.enabled:
            return
        with recorder._lock:
            before = self._state
            try:
                if before.has_ended:
                    raise RecordingError(
                        f"The session {self.session_id!r} has ended. recorder.resume(session) goes on with it."
                    )
                if self._place.session_key is None:
                    self._begin(None)
                    before = self._state
                if self._batch is None:
                    self._commit(make())
                elif self._is_mine(self._batch):
                    self._batch.events.extend(make())
                else:
                    self._commit(self._batch.events)
                    self._batch.events, self._batch.before = [], before
                    self._commit(make())
                    self._batch.before = self._state
            except BaseException as error:
                self._state = before
                recorder._lose(error, 1)

    def _is_mine(self, batch: _Batch) -> bool:
        """Return whether this thread or task is in the batch; a forked child leaves what it holds to its parent."""
        if batch.process_id != os.getpid():
            batch.process_id, batch.events = os.getpid(), []
            self._state = batch.before
        return batch in _my_batches.get()

    def _finish(self, batch: _Batch) -> None:
        self._is_mine(batch)
        events, batch.events = batch.events, []
        try:
            self._commit(events)
            batch.before = self._state
        except BaseException as error:
            self._state = batch.before
            self._recorder._lose(error, _count(events))

    def _commit(self, events: list[Event]) -> None:
        database = self._recorder._opened()
        if database is None or not events:
            return
        ledger = self._recorder._ledger
        try:
            database.write(ledger.write, database.gate, events, self._place)
        except BaseException as error:
            ledger.forget()
            for event in reversed(events):
                event.forget()
            if isinstance(error, sqlite3.Error | OverflowError | UnicodeError):
                raise RecordingError(f"This cannot be recorded: {error}.") from error
            raise

    def _begin(self, opening: Opening | None) -> None:
        """Begin or continue the session in the store; without an argument, try again what failed."""
        if opening is not None:
            self._opening = OpenEvent(self._place, opening, self.invocation_id)
        if self._opening is None:
            raise RecordingError(f"The session {self.session_id!r} was not recorded, so nothing can be added to it.")
        events: list[Event] = [self._opening]
        if self._config is not None:
            events.append(self._configuration(self._config))
        self._commit(events)
        self._state = self._opening.state or State()

    def _configuration(self, config: ModelConfig) -> Event:
        if not isinstance(config, ModelConfig):
            raise RecordingError(f"{config!r} is no configuration; expected a sessionlab.ModelConfig.")
        return ConfigureEvent(session=self._place, config=config, configured_at=now_us())

    def _read(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        database = self._recorder._opened()
        assert database is not None  # noqa: S101 -- a disabled recorder's session has no rows to ask for
        return database.read(work)


def _time_of(at: datetime | None) -> int:
    moment = None if at is None else to_us(at, "at")
    return now_us() if moment is None else moment


def _check_usage(usage: Usage | None) -> None:
    if usage is not None and not isinstance(usage, Usage):
        raise RecordingError(f"usage={usage!r}: expected a sessionlab.Usage, for example Usage(input_tokens=812).")
    if usage is not None:
        usage.check()


def _count(events: list[Event]) -> int:
    """Return how many calls of the user made these events."""
    return sum(not isinstance(event, TurnEvent | ToolResultEvent) for event in events)
