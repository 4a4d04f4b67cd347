"""Record sessions: the Recorder, the session it hands out, and the turn that hands out."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, overload

from sessionlab import settings
from sessionlab.errors import RecordingError, SessionLabError, SessionLabWarning, SettingsError
from sessionlab.model import RESULT_STATUSES, Kind, Message, ModelConfig, Role, Session, SessionSummary, Status, Usage
from sessionlab.model import to_json, whole_number
from sessionlab.store.conversation import Count, Format, branch, for_api
from sessionlab.store.database import Database, Journal, Synchronous, now_us
from sessionlab.store.events import (
    ConfigureEvent,
    EndEvent,
    Event,
    Ledger,
    MessageEvent,
    Place,
    SessionPlace,
    ToolCallEvent,
    ToolResultEvent,
    TurnEvent,
    finish,
    git_root_of,
    json_object,
    money,
    new_id,
    raw_or_json,
    seconds_to_us,
    storable,
    text_of,
    to_us,
)
from sessionlab.store.history import History, absolute, load_session

_RETRY_S = 5.0  # a store that could not be opened is tried again after so long


class Recorder:
    """Records sessions to a store, one SQLite file. A context manager; several threads may use it.

    When a recording call returns, its event is committed: killing the process loses no acknowledged event.

    Args:
        path: The store. None: the settings decide (`sessionlab db path` shows how).
        enabled: False: every call is accepted, nothing is written, no file is made. None: the settings decide.
        timeout_s: Seconds to wait for another process that holds the store.
        on_error: `raise`: a call that cannot be recorded raises. `warn`: it warns once, counts in `lost`, and the
            program that is recorded goes on; there a call that returned acknowledges nothing.
        journal: `rollback` for file systems that cannot do WAL (network folders).
        synchronous: `full` also survives a power cut, for a slower commit.

    Raises:
        SettingsError: A setting makes no sense.
        StoreError: The store cannot be opened (with `on_error="raise"`).

    Example:
        >>> with Recorder(enabled=False) as recorder:
        ...     with recorder.session("fix the build") as s:
        ...         s.user("Why does CI fail?")
        <message of user, not recorded>
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        enabled: bool | None = None,
        timeout_s: float = 10,
        on_error: Literal["raise", "warn"] = "raise",
        journal: Journal = "wal",
        synchronous: Synchronous = "normal",
    ) -> None:
        if on_error not in ("raise", "warn"):
            raise SettingsError(f"on_error={on_error!r}: expected 'raise' or 'warn'.")
        self._on_error = on_error
        self._mutex = threading.Lock()
        self._database: Database | None = None
        self._ledger = Ledger()
        self._closed = False
        self._warned = False
        self._next_try = 0.0
        self.enabled: bool = settings.enabled(enabled).value
        self.path: str = settings.db_path(path).value
        self.lost = 0
        """How many events could not be recorded, with `on_error="warn"`."""
        self._open = lambda: Database(self.path, timeout_s=timeout_s, journal=journal, synchronous=synchronous)
        self.history = History(self._opened)
        """The sessions of the store: list, find, get, save, rename, archive, delete, prune."""
        if self.enabled:
            self._guarded(lambda: self._opened(), count=0)

    def __repr__(self) -> str:
        state = "" if self.enabled else ", disabled"
        lost = f", {self.lost} lost" if self.lost else ""
        return f"<Recorder of {self.path!r}{state}{', closed' if self._closed else ''}{lost}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store; calling it again does nothing."""
        self._closed = True
        if self._database is not None:
            database = self._database
            self._guarded(database.close, count=0)

    def session(
        self,
        name: str | None = None,
        *,
        agent: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        config: ModelConfig | None = None,
        parent: RecordedSession | SessionSummary | Session | str | None = None,
        new: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> RecordedSession:
        """Begin a session, or go on with the one of that name.

        Args:
            name: One that exists and is not archived is continued: a new invocation and a `boundary` message.
            agent: The program that is recorded.
            directory: Where it runs; the git repository is noted with it.
            config: The model configuration in force from here on.
            parent: The session that started this one.
            new: Archive the session of that name and begin another.
            metadata: What else to note, as JSON.

        Raises:
            RecordingError: A value cannot be recorded.
            StoreError: The store refused.
        """
        return RecordedSession(
            self,
            lambda: _Opening(
                name=text_of(name, "name"),
                agent_name=text_of(agent, "agent"),
                directory=None if directory is None else absolute(directory),
                parent_session_id=None if parent is None else _session_id_of(parent),
                new=new,
                metadata=storable(to_json(dict(metadata or {}))),
            ),
            config,
        )

    def resume(self, session: RecordedSession | SessionSummary | Session | str) -> RecordedSession:
        """Go on with a session: a new invocation, and a `boundary` message that says so.

        Args:
            session: The session or its id.

        Raises:
            RecordingError: There is no such session, or it is archived.
            StoreError: The store refused.
        """
        return RecordedSession(self, lambda: _Opening(session_id=_session_id_of(session)), None)

    def _opened(self) -> Database | None:
        """Return the store, opening it where that failed before; None for a disabled recorder."""
        if not self.enabled:
            return None
        with self._mutex:
            if self._database is None:
                if self._closed:
                    raise RecordingError(f"The recorder of {self.path!r} is closed. Make a new one to go on.")
                if time.monotonic() < self._next_try:
                    raise RecordingError(f"The store {self.path!r} could not be opened; it is tried again soon.")
                self._next_try = time.monotonic() + _RETRY_S
                self._database = self._open()
            return self._database

    def _guarded(self, work: Callable[[], Any], *, count: int) -> bool:
        """Run `work` and return True; where that fails, raise, or warn and count as the user chose."""
        try:
            work()
        except Exception as error:
            if self._on_error == "raise":
                raise
            with self._mutex:
                self.lost += count
                warn, self._warned = not self._warned, True
            if warn:
                warnings.warn(
                    f"The session is not being recorded: {error} This is said once; recorder.lost counts on.",
                    SessionLabWarning,
                    stacklevel=4,
                )
            return False
        return True


def _session_id_of(session: Any) -> str:
    found = session if isinstance(session, str) else getattr(session, "session_id", None)
    if not isinstance(found, str):
        raise RecordingError(f"{session!r} is no session; expected one that a recorder handed out, or its id.")
    return storable(found)


@dataclass(slots=True, kw_only=True)
class _Opening:
    """How a session is begun or continued."""

    session_id: str | None = None
    name: str | None = None
    agent_name: str | None = None
    directory: str | None = None
    parent_session_id: str | None = None
    new: bool = False
    metadata: str = "{}"


@dataclass(frozen=True, slots=True)
class _State:
    """Where a session stands: its newest message on this branch, the prompt, the turn, and a call without a turn."""

    head: Place | None = None
    prompt: Place | None = None
    turn: Place | None = None
    waiting: Place | None = None


@dataclass(slots=True, eq=False)
class _OpenEvent:
    """A session begins or goes on."""

    place: SessionPlace
    opening: _Opening
    invocation_id: str
    state: _State | None = None
    key_count: int = 3

    def write(self, ledger: Ledger, key: int) -> None:
        connection, opening, now = ledger.connection, self.opening, now_us()
        found = self._find(connection)
        if found is not None and opening.new:
            connection.execute(
                "update session set archived_at = ?, revision = ? where session_key = ?", (now, key, found)
            )
            found = None
        if found is None:
            self.place.session_key = key
            git_root = None if opening.directory is None else git_root_of(opening.directory)
            connection.execute(
                "insert into session (session_key, revision, session_id, name, agent_name, directory, git_root,"
                " parent_session_id, started_at, metadata) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key,
                    key,
                    self.place.session_id,
                    opening.name,
                    opening.agent_name,
                    opening.directory,
                    git_root,
                    opening.parent_session_id,
                    now,
                    opening.metadata,
                ),
            )
            self.state = _State()
        else:
            self._go_on(connection, found, key, now)
        self.place.invocation_key = key + 1
        connection.execute(
            "insert into invocation values (?, ?, ?, ?)", (key + 1, self.place.session_key, self.invocation_id, now)
        )
        if self.state is not None and self.state.head is not None:
            self._boundary(ledger, key + 2, now)

    def _find(self, connection: sqlite3.Connection) -> int | None:
        if self.opening.session_id is not None:
            row = connection.execute(
                "select session_key, archived_at from session where session_id = ?", (self.opening.session_id,)
            ).fetchone()
            if row is None:
                raise RecordingError(
                    f"There is no session {self.opening.session_id!r} in this store. recorder.history.list() shows all."
                )
            if row[1] is not None:
                raise RecordingError(
                    f"The session {self.opening.session_id!r} is archived. recorder.history.unarchive() takes it out."
                )
            return int(row[0])
        if self.opening.name is None:
            return None
        row = connection.execute(
            "select session_key from session where name = ? and archived_at is null order by session_key desc limit 1",
            (self.opening.name,),
        ).fetchone()
        return None if row is None else int(row[0])

    def _go_on(self, connection: sqlite3.Connection, session_key: int, key: int, now: int) -> None:
        session_id, metadata = connection.execute(
            "select session_id, metadata from session where session_key = ?", (session_key,)
        ).fetchone()
        noted = json_object(metadata) | json_object(self.opening.metadata)
        connection.execute(
            "update session set ended_at = null, metadata = ?, revision = ? where session_key = ?",
            (storable(to_json(noted)), key, session_key),
        )
        self.place.session_id, self.place.session_key = session_id, session_key
        self.state = state_at(connection, session_key, None)
        row = connection.execute(
            "select model_config_key from configuration where session_key = ? order by configuration_key desc limit 1",
            (session_key,),
        ).fetchone()
        self.place.config_key = None if row is None else row[0]

    def _boundary(self, ledger: Ledger, key: int, now: int) -> None:
        state = self.state
        assert state is not None  # noqa: S101 -- for the type checker
        place = Place()
        event = MessageEvent(
            session=self.place,
            place=place,
            role="system",
            kind="boundary",
            content="A new invocation continues the session.",
            parent=state.head,
            prompt=state.prompt,
            created_at=now,
        )
        event.write(ledger, key)
        self.state = _State(place, state.prompt, state.turn)

    def forget(self) -> None:
        self.place.session_key = self.place.invocation_key = self.place.config_key = self.state = None


def state_at(connection: sqlite3.Connection, session_key: int, message_key: int | None) -> _State:
    """Return where a session stands after a message; None is its newest one."""
    columns = "message_key, given_id, prompt_key, exchange_index"
    if message_key is None:
        sql = f"select {columns} from message where session_key = ? order by message_index desc limit 1"
        row = connection.execute(sql, (session_key,)).fetchone()
    else:
        sql = f"select {columns} from message where session_key = ? and message_key = ?"
        row = connection.execute(sql, (session_key, message_key)).fetchone()
    if row is None:
        return _State()
    head = Place(row[0], row[1], row[3])
    if row[2] is None:
        prompt = None
    else:
        given = connection.execute("select given_id from message where message_key = ?", (row[2],)).fetchone()[0]
        prompt = Place(row[2], given, row[3])
    newest = connection.execute(
        "select turn_key from turn where session_key = ? and turn_key <= ? order by turn_index desc limit 1",
        (session_key, row[0]),
    ).fetchone()
    # A turn from before the prompt belongs to an earlier exchange.
    is_current = newest is not None and (prompt is None or prompt.key is None or newest[0] > prompt.key)
    return _State(head, prompt, Place(newest[0]) if is_current else None)


class RecordedSession:
    """A session that is being recorded; get it from `recorder.session` or `recorder.resume`.

    A context manager that ends the session. Several threads may use it; each message follows the one before.
    """

    def __init__(
        self,
        recorder: Recorder,
        opening: Callable[[], _Opening] | None,
        config: ModelConfig | None,
        *,
        forked: tuple[SessionPlace, _State, str] | None = None,
    ) -> None:
        self._recorder = recorder
        self._lock = threading.RLock()
        self._buffer: list[Event] = []
        self._before_batch: _State | None = None
        self._batches = 0
        self._ended = False
        self._opening: _OpenEvent | None = None
        self._config = config
        if forked is not None:
            self._place, self._state, self.invocation_id = forked
            return
        self._place = SessionPlace(session_id=new_id())
        self._state = _State()
        self.invocation_id: str = new_id()
        """The name of this run, unique in the world."""
        if recorder.enabled and opening is not None:
            make = opening

            def begin() -> None:
                self._opening = _OpenEvent(self._place, make(), self.invocation_id)
                self._open()

            recorder._guarded(begin, count=1)

    @property
    def session_id(self) -> str:
        """The session's name, unique in the world."""
        return self._place.session_id

    def __repr__(self) -> str:
        state = "" if self._recorder.enabled else ", disabled"
        return f"<RecordedSession {self.session_id!r}{state}{', ended' if self._ended else ''}>"

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
            at: When. None: now.
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
            if usage is not None:
                usage.check()
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
            response_model: As of `assistant`, and so are the arguments that follow.

        Raises:
            RecordingError, StoreError: It could not be recorded.
        """  # noqa: D417 -- the rest is said in `assistant`
        turn = RecordedTurn(self, Place(), "assistant")

        def events() -> list[Event]:
            if usage is not None:
                usage.check()
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
        with self._lock:
            return self._tool_call(self._state.turn, tool_name, arguments, tool_call_id, at)

    def configure(self, config: ModelConfig) -> None:
        """Put a model configuration in force: the answers from here on are linked to it.

        Raises:
            RecordingError, StoreError: It could not be recorded.
        """

        def events() -> list[Event]:
            if not isinstance(config, ModelConfig):
                raise RecordingError(f"configure({config!r}): expected a sessionlab.ModelConfig.")
            return [ConfigureEvent(session=self._place, config=config, configured_at=now_us())]

        self._record(events)

    def end(self) -> None:
        """Note that the session has ended; `recorder.resume` goes on with it. Calling it again does nothing."""
        with self._lock:
            if self._ended:
                return
            self._record(lambda: [EndEvent(session=self._place, ended_at=now_us())])
            self._ended = True

    @contextlib.contextmanager
    def batch(self) -> Iterator[Self]:
        """Hold back what is recorded inside and commit it once, at the end of the outermost batch.

        Where the block raises, what it had recorded by then is committed all the same.
        """
        with self._lock:
            self._batches += 1
            if self._batches == 1:
                self._before_batch = self._state
        try:
            yield self
        finally:
            with self._lock:
                self._batches -= 1
                if not self._batches and self._buffer:
                    events, self._buffer = self._buffer, []
                    before, self._before_batch = self._before_batch, None
                    if not self._recorder._guarded(lambda: self._commit(events, before), count=_count(events)):
                        self._state = before or _State()

    # Looking back

    def fork(self, message: RecordedMessage | str) -> RecordedSession:
        """Return a handle that goes on from an earlier message of this session, as a branch beside what followed.

        Args:
            message: The message or its id.

        Raises:
            RecordingError: There is no such message here.
        """
        with self._lock:
            if not self._recorder.enabled:
                return RecordedSession(self._recorder, None, None, forked=(self._place, _State(), self.invocation_id))
            found: list[_State] = []

            def work() -> None:
                message_id = message if isinstance(message, str) else message.message_id
                if message_id is None:
                    raise RecordingError(
                        f"{message!r} is not committed yet, so nothing can follow it. Fork after the batch."
                    )
                session_key, _ = self._written()
                found.append(
                    self._read(lambda connection: state_at(connection, session_key, self._key(connection, message_id)))
                )

            self._recorder._guarded(work, count=0)
            state = found[0] if found else self._state
            place = SessionPlace(
                self._place.session_id, self._place.session_key, self._place.invocation_key, self._place.config_key
            )
            return RecordedSession(self._recorder, None, None, forked=(place, state, self.invocation_id))

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
        with self._lock:
            if self._buffer:
                raise RecordingError("messages() inside a batch would miss what is held back. Call it after the batch.")
            session = Session(session_id=self.session_id)
            listed: list[Message] = []
            head = None if self._state.head is None else self._state.head.id
            if self._place.session_key is not None:
                session_key = self._place.session_key

                def work(connection: sqlite3.Connection) -> Session:
                    connection.execute("begin")
                    try:
                        return load_session(connection, session_key)
                    finally:
                        connection.execute("rollback")

                session = self._read(work)
                listed = branch(session, head)
        if format is None:
            return listed
        result: list[dict[str, Any]] | dict[str, Any] = for_api(
            session, listed, format, max_tokens=max_tokens, reserve_tokens=reserve_tokens, count=count
        )
        return result

    # How it is done

    def _message(
        self, role: Role, kind: Kind, text: str, at: datetime | None, message_id: str | None
    ) -> RecordedMessage:
        message = RecordedMessage(self, Place(), role)

        def events() -> list[Event]:
            if text is None:
                raise RecordingError(f"{role}(None): expected text; only assistant() may be without.")
            event = self._message_event(message._place, role, kind, text, at, message_id)
            if role == "user":
                event.prompt = message._place
                self._state = _State(message._place, message._place, None, self._state.waiting)
            else:
                self._state = _State(message._place, self._state.prompt, self._state.turn, self._state.waiting)
            return [event]

        self._record(events)
        return message

    def _message_event(
        self, place: Place, role: Role, kind: Kind, text: Any, at: datetime | None, message_id: str | None
    ) -> MessageEvent:
        place.given_id = text_of(message_id, "message_id")
        when = to_us(at, "at")
        return MessageEvent(
            session=self._place,
            place=place,
            role=role,
            kind=kind,
            content=text_of(text, f"{role}()"),
            parent=self._state.head,
            prompt=self._state.prompt,
            created_at=now_us() if when is None else when,
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
        self._state = _State(message.place, self._state.prompt, message.place)
        return [message, turn]

    def _tool_call(
        self, turn: Place | None, tool_name: str, arguments: Any, tool_call_id: str | None, at: datetime | None
    ) -> RecordedToolCall:
        call = RecordedToolCall(self, Place(), turn, str(tool_name))

        def events() -> list[Event]:
            when = to_us(at, "at")
            name = text_of(tool_name, "tool_name")
            if not name:
                raise RecordingError(f"tool_call({tool_name!r}): expected the tool's name.")
            call._place.given_id = text_of(tool_call_id, "tool_call_id")
            event = ToolCallEvent(
                session=self._place,
                place=call._place,
                turn=turn,
                tool_name=name,
                arguments=raw_or_json(arguments),
                started_at=now_us() if when is None else when,
            )
            if turn is None and self._state.waiting is None:
                self._state = _State(self._state.head, self._state.prompt, None, call._place)
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
                failed = bool(code)
            message = self._message_event(Place(), "tool", "message", raw_or_json(result), at, None)
            message.turn = call._turn
            facts = ToolResultEvent(
                message=message,
                call=call._place,
                status=status or ("error" if failed else "ok"),
                is_error=failed,
                exit_code=code,
                duration_us=seconds_to_us(duration_s, "duration_s"),
            )
            self._state = _State(message.place, self._state.prompt, self._state.turn, self._state.waiting)
            return [message, facts]

        self._record(events)

    def _record(self, make: Callable[[], list[Event]]) -> None:
        """Make the events of one call and commit them, or hold them back in a batch."""
        recorder = self._recorder
        if not recorder.enabled:
            return
        with self._lock:
            before = self._state

            def work() -> None:
                if self._ended:
                    raise RecordingError(
                        f"The session {self.session_id!r} has ended. recorder.resume(session) goes on with it."
                    )
                if self._place.session_key is None:
                    self._open()
                events = make()
                if self._batches:
                    self._buffer.extend(events)
                else:
                    self._commit(events, before)

            try:
                done = recorder._guarded(work, count=1)
            except BaseException:
                self._state = before
                raise
            if not done:
                self._state = before

    def _commit(self, events: list[Event], before: _State | None) -> None:
        database = self._recorder._opened()
        if database is None:
            return
        try:
            database.write(lambda connection: self._recorder._ledger.write(connection, events))
        except BaseException as error:
            self._recorder._ledger.forget()
            for event in reversed(events):
                event.forget()
            if before is not None:
                self._state = before
            if isinstance(error, sqlite3.Error | OverflowError | UnicodeError):
                raise RecordingError(f"This cannot be recorded: {error}.") from error
            raise

    def _open(self) -> None:
        """Begin or continue the session in the store, if that is not done yet."""
        opening = self._opening
        if opening is None:
            raise RecordingError(f"The session {self.session_id!r} was not recorded, so nothing can be added to it.")
        events: list[Event] = [opening]
        if self._config is not None:
            events.append(ConfigureEvent(session=self._place, config=self._config, configured_at=now_us()))
        self._commit(events, None)
        self._state = opening.state or _State()

    def _written(self) -> tuple[int, int]:
        return self._place.written()

    def _key(self, connection: sqlite3.Connection, message_id: str) -> int:
        session_key, _ = self._written()
        sql = "select message_key from message where session_key = ? and given_id = ?"
        row = connection.execute(sql, (session_key, message_id)).fetchone()
        if row is None and message_id.isdecimal() and len(message_id) < 19:
            sql = "select message_key from message where session_key = ? and message_key = ? and given_id is null"
            row = connection.execute(sql, (session_key, int(message_id))).fetchone()
        if row is None:
            raise RecordingError(
                f"The session {self.session_id!r} has no message {message_id!r}. session.messages() shows them."
            )
        return int(row[0])

    def _read(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        database = self._recorder._opened()
        if database is None:
            raise SessionLabError("The recorder is disabled.")
        return database.read(work)


def _count(events: list[Event]) -> int:
    """Return how many calls of the user made these events."""
    return sum(not isinstance(event, TurnEvent | ToolResultEvent) for event in events)


class RecordedMessage:
    """A message that was recorded."""

    __slots__ = ("_place", "_session", "role")

    def __init__(self, session: RecordedSession, place: Place, role: Role) -> None:
        self._session = session
        self._place = place
        self.role = role

    @property
    def message_id(self) -> str | None:
        """Its id within the session; None where it is not committed (inside a batch, disabled, or lost)."""
        return self._place.id

    def __repr__(self) -> str:
        return f"<message of {self.role}, {'not recorded' if self.message_id is None else self.message_id}>"


class RecordedTurn(RecordedMessage):
    """A model response that was recorded; it hands out its tool calls."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<turn {'not recorded' if self.message_id is None else self.message_id}>"

    def tool_call(
        self, tool_name: str, arguments: Any = None, *, tool_call_id: str | None = None, at: datetime | None = None
    ) -> RecordedToolCall:
        """Record a tool call that this response asked for; the arguments are those of `session.tool_call`."""
        with self._session._lock:
            return self._session._tool_call(self._place, tool_name, arguments, tool_call_id, at)


class RecordedToolCall:
    """A tool call that was recorded; `result` records what came of it.

    As a context manager it measures `duration_s`, and an exception inside becomes a result with status `error`.
    """

    __slots__ = ("_answered", "_place", "_session", "_started", "_turn", "tool_name")

    def __init__(self, session: RecordedSession, place: Place, turn: Place | None, tool_name: str) -> None:
        self._session = session
        self._place = place
        self._turn = turn
        self._started: float | None = None
        self._answered = False
        self.tool_name = tool_name

    @property
    def tool_call_id(self) -> str | None:
        """The given id, or the one that was made; None where the call is not committed."""
        if self._place.key is None:
            return None
        return self._place.given_id if self._place.given_id is not None else f"call_{self._place.key}"

    def __repr__(self) -> str:
        return f"<call of {self.tool_name}, {'not recorded' if self.tool_call_id is None else self.tool_call_id}>"

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._answered and error is not None:
            self.result(f"{type(error).__name__}: {error}", is_error=True)

    def result(
        self,
        result: Any = None,
        *,
        is_error: bool | None = None,
        exit_code: int | None = None,
        status: Status | None = None,
        duration_s: float | None = None,
        at: datetime | None = None,
    ) -> Self:
        """Record what came of the call: a message of role `tool`, and its facts. A call has one result.

        Args:
            result: Text is kept as it is; anything else becomes JSON text.
            is_error: None: by `status`, else by `exit_code`.
            exit_code: Of a command.
            status: `ok`, `error`, `denied`, `cancelled` or `timeout`. None: by `is_error`.
            duration_s: In seconds. None: not known, or measured since `with` began.
            at: When. None: now.

        Raises:
            RecordingError, StoreError: It could not be recorded.
        """
        if duration_s is None and self._started is not None:
            duration_s = time.monotonic() - self._started
        self._session._result(self, result, status, is_error, exit_code, duration_s, at)
        self._answered = True
        return self
