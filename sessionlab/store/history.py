"""The sessions of a store: list, find, get, save, rename, archive, delete, prune."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sessionlab import settings
from sessionlab.errors import RecordingError
from sessionlab.model import (
    KINDS,
    RESULT_STATUSES,
    ROLES,
    Message,
    ModelConfig,
    Session,
    SessionSummary,
    ToolCall,
    Usage,
)
from sessionlab.model import to_json
from sessionlab.store.database import Database, count_deletion, next_keys, now_us
from sessionlab.store.events import (
    ConfigureEvent,
    Event,
    Ledger,
    MessageEvent,
    Place,
    SessionPlace,
    ToolCallEvent,
    ToolResultEvent,
    TurnEvent,
    from_us,
    git_root_of,
    json_object,
    money,
    new_id,
    seconds_to_us,
    storable,
    text_of,
    to_us,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_SUMMARY_COLUMNS = """
    session_id, name, agent_name, directory, git_root, parent_session_id, conversation_id,
    started_at,
    max(
        started_at,
        coalesce((select created_at from message m where m.session_key = s.session_key
                  order by message_index desc limit 1), 0),
        coalesce((select started_at from tool_call c where c.session_key = s.session_key
                  order by tool_call_index desc limit 1), 0)
    ) as updated_at,
    ended_at, archived_at,
    coalesce((select max(message_index) + 1 from message m where m.session_key = s.session_key), 0) as message_count,
    coalesce((select max(turn_index) + 1 from turn t where t.session_key = s.session_key), 0) as turn_count,
    coalesce((select max(tool_call_index) + 1 from tool_call c where c.session_key = s.session_key), 0)
        as tool_call_count
"""
_SUMMARY = f"select {_SUMMARY_COLUMNS} from session s"
_KEYS_WITH_ACTIVITY = (
    f"select session_key, updated_at, archived_at from (select session_key, {_SUMMARY_COLUMNS} from session s)"
)
_TIMES = {"started_at", "updated_at", "ended_at", "archived_at"}
# Children before parents, since foreign keys are on.
_DELETE = (
    "delete from tool_result where session_key = ?",
    "delete from tool_call_text where tool_call_key in (select tool_call_key from tool_call where session_key = ?)",
    "delete from tool_call where session_key = ?",
    "delete from turn where session_key = ?",
    "delete from message_text where message_key in (select message_key from message where session_key = ?)",
    "delete from message where session_key = ?",
    "delete from configuration where session_key = ?",
    "delete from invocation where session_key = ?",
)
_DELETE_UNUSED_CONFIGS = (
    """delete from model_config_text where model_config_key in (
        select model_config_key from model_config k
        where not exists (select 1 from turn t where t.model_config_key = k.model_config_key)
        and not exists (select 1 from configuration c where c.model_config_key = k.model_config_key))""",
    """delete from model_config
        where not exists (select 1 from turn t where t.model_config_key = model_config.model_config_key)
        and not exists (select 1 from configuration c where c.model_config_key = model_config.model_config_key)""",
)


class History:
    """The sessions of one store; get it from `recorder.history`.

    Of a disabled recorder every reading call answers as if there were no session, and no call writes.
    """

    def __init__(self, database: Callable[[], Database | None]) -> None:
        self._database = database

    def __repr__(self) -> str:
        return f"<History of {self.count()} sessions>"

    def list(
        self,
        *,
        agent_name: str | None = None,
        name: str | None = None,
        archived: bool | None = None,
        limit: int | None = None,
    ) -> list[SessionSummary]:
        """Return the sessions, newest activity first, without reading any message text.

        Args:
            agent_name: Only those of this agent.
            name: Only those of this name.
            archived: True: only archived ones; False: only others; None: all.
            limit: At most so many.
        """
        where, values = _conditions(agent_name, name, archived)
        sql = f"{_SUMMARY} {where} order by updated_at desc, session_key desc limit ?"
        return self._summaries(sql, (*values, -1 if limit is None else limit))

    def count(self, *, agent_name: str | None = None, name: str | None = None, archived: bool | None = None) -> int:
        """Return how many sessions there are; the arguments are those of `list`."""
        where, values = _conditions(agent_name, name, archived)
        sql = f"select count(*) from session s {where}"
        return int(self._read(lambda c: c.execute(sql, values).fetchone()[0], 0))

    def summary(self, session_id: str) -> SessionSummary | None:
        """Return one session without its messages, or None if it is not there."""
        found = self._summaries(f"{_SUMMARY} where session_id = ?", (session_id,))
        return found[0] if found else None

    def get(self, session_id: str) -> Session | None:
        """Return one whole session as a value, or None if it is not there."""

        def work(connection: sqlite3.Connection) -> Session | None:
            key = _key_of(connection, session_id)
            return None if key is None else load_session(connection, key)

        return self._read(_in_one_snapshot(work), None)

    def find_resumable(
        self, directory: str | os.PathLike[str] = ".", within: timedelta | None = None
    ) -> SessionSummary | None:
        """Return the session that one would go on with in a directory, or None; nothing is changed.

        It is the newest one by activity, not archived, of that directory or of its git repository.

        Args:
            directory: A folder.
            within: How long ago its newest event may be. None: the setting `continue_minutes` (60 minutes).
        """
        if within is None:
            within = timedelta(minutes=float(settings.continue_minutes().value))
        folder = absolute(directory)
        since = now_us() - within // timedelta(microseconds=1)
        sql = f"""
            select * from ({_SUMMARY} where archived_at is null and (directory = ? or git_root = ?))
            where updated_at >= ? order by updated_at desc limit 1
        """
        found = self._summaries(sql, (folder, git_root_of(folder), since))
        return found[0] if found else None

    def save(self, session: Session) -> None:
        """Store a whole session value: a new session, or in place of the one with the same `session_id`.

        Raises:
            RecordingError: The value does not fit together; nothing was changed.
        """
        check_session(session)

        def work(connection: sqlite3.Connection) -> None:
            key = _key_of(connection, session.session_id)
            if key is not None:
                _delete_rows(connection, [key], keep_session=True)
            _save(connection, session, key)

        self._write(work, None)

    def append(self, session_id: str, messages: Iterable[Message]) -> None:
        """Add messages to the end of a session; ids that are there already are refused.

        Raises:
            RecordingError: There is no such session, or a message does not fit.
        """
        added = list(messages)

        def work(connection: sqlite3.Connection) -> None:
            key = self._needed(connection, session_id)
            stored = load_session(connection, key)
            whole = Session(session_id=session_id, messages=[*stored.messages, *added], tool_calls=stored.tool_calls)
            check_session(whole)
            _add(connection, whole, key, known=len(stored.messages))

        self._write(work, None)

    def rename(self, session_id: str, name: str | None) -> None:
        """Give a session another name, or none.

        Raises:
            RecordingError: There is no such session, or another one that is not archived has the name.
        """
        name = text_of(name, "name")

        def work(connection: sqlite3.Connection) -> None:
            key = self._needed(connection, session_id)
            other = connection.execute(
                "select session_id from session where name = ? and archived_at is null and session_key <> ?",
                (name, key),
            ).fetchone()
            if other:
                raise RecordingError(
                    f"The session {other[0]!r} has the name {name!r} already. Archive or rename that one first."
                )
            _revise(connection, key, "name", name)

        self._write(work, None)

    def archive(self, session_id: str) -> None:
        """Put a session away: it is kept, but not continued, and pruned first.

        Raises:
            RecordingError: There is no such session.
        """
        self._write(lambda c: _revise(c, self._needed(c, session_id), "archived_at", now_us()), None)

    def unarchive(self, session_id: str) -> None:
        """Take a session out of the archive.

        Raises:
            RecordingError: There is no such session.
        """
        self._write(lambda c: _revise(c, self._needed(c, session_id), "archived_at", None), None)

    def delete(self, session_id: str) -> bool:
        """Delete a session with all that it holds; return True if it was there."""

        def work(connection: sqlite3.Connection) -> bool:
            key = _key_of(connection, session_id)
            if key is None:
                return False
            _delete_rows(connection, [key])
            return True

        return self._write(work, False)

    def prune(self, *, max_sessions: int | None = None, older_than: timedelta | None = None) -> int:
        """Delete the sessions that are too many or too old and return how many: 0 where no limit is set.

        Args:
            max_sessions: How many to keep. Archived ones go first, then those with the oldest activity.
                None: the setting `max_sessions`, which has no default.
            older_than: Delete those whose newest event is longer ago.

        Raises:
            SettingsError: A limit makes no sense.
        """
        keep = settings.max_sessions(max_sessions).value

        def work(connection: sqlite3.Connection) -> int:
            gone: dict[int, None] = {}
            if older_than is not None:
                before = now_us() - older_than // timedelta(microseconds=1)
                old = connection.execute(f"{_KEYS_WITH_ACTIVITY} where updated_at < ?", (before,))
                gone.update((row[0], None) for row in old)
            if keep is not None:
                order = "order by archived_at is not null desc, updated_at, session_key"
                rows = connection.execute(f"{_KEYS_WITH_ACTIVITY} {order}")
                left = [row[0] for row in rows if row[0] not in gone]
                gone.update((key, None) for key in left[: max(0, len(left) - keep)])
            if gone:
                _delete_rows(connection, list(gone))
            return len(gone)

        if keep is None and older_than is None:
            return 0
        return self._write(work, 0)

    def metadata(self, session_id: str) -> dict[str, Any]:
        """Return what is noted about a session; empty where there is nothing or no such session."""

        def work(connection: sqlite3.Connection) -> dict[str, Any]:
            row = connection.execute("select metadata from session where session_id = ?", (session_id,)).fetchone()
            return json_object(row[0]) if row else {}

        return self._read(work, {})

    def set_metadata(self, session_id: str, key: str, value: Any) -> None:
        """Note a value (anything that can be written as JSON) about a session; None removes the key.

        Raises:
            RecordingError: There is no such session.
        """

        def work(connection: sqlite3.Connection) -> None:
            session_key = self._needed(connection, session_id)
            row = connection.execute("select metadata from session where session_key = ?", (session_key,)).fetchone()
            noted = json_object(row[0])
            noted[key] = value
            if value is None:
                del noted[key]
            _revise(connection, session_key, "metadata", storable(to_json(noted)))

        self._write(work, None)

    def set_conversation_id(self, session_id: str, conversation_id: str | None) -> None:
        """Note the name that the server or provider gave to a session.

        Raises:
            RecordingError: There is no such session.
        """
        text = text_of(conversation_id, "conversation_id")
        self._write(lambda c: _revise(c, self._needed(c, session_id), "conversation_id", text), None)

    def _needed(self, connection: sqlite3.Connection, session_id: str) -> int:
        key = _key_of(connection, session_id)
        if key is None:
            raise RecordingError(
                f"There is no session {session_id!r} in this store. recorder.history.list() shows all."
            )
        return key

    def _summaries(self, sql: str, values: tuple[Any, ...]) -> list[SessionSummary]:
        def work(connection: sqlite3.Connection) -> list[SessionSummary]:
            cursor = connection.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [
                SessionSummary(**{n: from_us(v) if n in _TIMES else v for n, v in zip(names, row, strict=True)})
                for row in cursor
            ]

        return self._read(work, [])

    def _read(self, work: Callable[[sqlite3.Connection], Any], nothing: Any) -> Any:
        database = self._database()
        return nothing if database is None else database.read(work)

    def _write(self, work: Callable[[sqlite3.Connection], Any], nothing: Any) -> Any:
        database = self._database()
        return nothing if database is None else database.write(work)


def absolute(directory: str | os.PathLike[str]) -> str:
    """Return the absolute path of a folder without links, as it is stored."""
    return storable(os.path.realpath(os.path.expanduser(os.fspath(directory))))


def _conditions(agent_name: str | None, name: str | None, archived: bool | None) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []
    for column, value in (("agent_name", agent_name), ("name", name)):
        if value is not None:
            parts.append(f"s.{column} = ?")
            values.append(value)
    if archived is not None:
        parts.append(f"s.archived_at is {'not ' if archived else ''}null")
    return ("where " + " and ".join(parts) if parts else ""), values


def _in_one_snapshot(work: Callable[[sqlite3.Connection], Any]) -> Callable[[sqlite3.Connection], Any]:
    def whole(connection: sqlite3.Connection) -> Any:
        connection.execute("begin")
        try:
            return work(connection)
        finally:
            connection.execute("rollback")

    return whole


def _key_of(connection: sqlite3.Connection, session_id: str) -> int | None:
    row = connection.execute("select session_key from session where session_id = ?", (session_id,)).fetchone()
    return None if row is None else int(row[0])


def _revise(connection: sqlite3.Connection, session_key: int, column: str, value: Any) -> None:
    key = next_keys(connection, 1)
    connection.execute(
        f"update session set {column} = ?, revision = ? where session_key = ?", (value, key, session_key)
    )


def _delete_rows(connection: sqlite3.Connection, keys: Sequence[int], *, keep_session: bool = False) -> None:
    for key in keys:
        for sql in _DELETE:
            connection.execute(sql, (key,))
        if not keep_session:
            connection.execute("delete from session where session_key = ?", (key,))
    if not keep_session:
        for sql in _DELETE_UNUSED_CONFIGS:
            connection.execute(sql)
    count_deletion(connection)


# Reading a whole session

_SESSION_COLUMNS = """
    session_id, name, agent_name, directory, git_root, parent_session_id, conversation_id, started_at, ended_at,
    archived_at, metadata
"""
_MESSAGES = """
select
    m.message_key, m.given_id, m.parent_key, m.role, m.kind, m.created_at, i.invocation_id, x.content, x.reasoning,
    t.turn_key, t.started_at, t.duration_us, t.response_model, t.finish_reason, t.finish_reason_raw, t.error_type,
    t.input_tokens, t.output_tokens, t.cache_read_input_tokens, t.cache_creation_input_tokens,
    t.reasoning_output_tokens, t.reported_cost_usd, t.model_config_key
from message m
join message_text x using (message_key)
left join turn t on t.turn_key = m.message_key
left join invocation i on i.invocation_key = m.invocation_key
where m.session_key = ?
order by m.message_index
"""
_CALLS = """
select
    c.tool_call_key, c.tool_call_id, c.tool_name, x.arguments, c.turn_key, c.invocation_key, c.started_at,
    r.tool_result_key, r.status, r.is_error, r.exit_code, r.duration_us
from tool_call c
join tool_call_text x using (tool_call_key)
left join tool_result r using (tool_call_key)
where c.session_key = ?
order by c.tool_call_index
"""
_ADOPTING = """
select turn_key, first_call_key, invocation_key from turn where session_key = ? and first_call_key is not null
"""


def load_session(connection: sqlite3.Connection, session_key: int) -> Session:
    """Return one whole session as a value."""
    configs: dict[int, ModelConfig] = {}
    ids: dict[int, str] = {}
    messages = []
    for row in connection.execute(_MESSAGES, (session_key,)).fetchall():
        message = _message(connection, row, ids, configs)
        ids[row[0]] = message.message_id
        messages.append(message)
    adopting = connection.execute(_ADOPTING, (session_key,)).fetchall()
    calls = []
    for (
        key,
        call_id,
        name,
        arguments,
        turn_key,
        run,
        started,
        result_key,
        status,
        error,
        code,
        duration,
    ) in connection.execute(_CALLS, (session_key,)):
        if turn_key is None:
            turn_key = next((t for t, first, of in adopting if of == run and first <= key < t), None)
        calls.append(
            ToolCall(
                tool_call_id=call_id,
                tool_name=name,
                arguments=arguments,
                turn_id=None if turn_key is None else ids[turn_key],
                result_message_id=None if result_key is None else ids[result_key],
                status="unanswered" if status is None else status,
                is_error=None if error is None else bool(error),
                exit_code=code,
                started_at=from_us(started),
                duration_s=None if duration is None else duration / 1e6,
            )
        )
    cursor = connection.execute(f"select {_SESSION_COLUMNS} from session where session_key = ?", (session_key,))
    values = {column[0]: value for column, value in zip(cursor.description, cursor.fetchone(), strict=True)}
    values.update(
        {name: from_us(values[name]) for name in _TIMES & set(values)}, metadata=json_object(values["metadata"])
    )
    return Session(**values, messages=tuple(messages), tool_calls=tuple(calls))


def _message(
    connection: sqlite3.Connection, row: tuple[Any, ...], ids: dict[int, str], configs: dict[int, ModelConfig]
) -> Message:
    (
        key,
        given_id,
        parent_key,
        role,
        kind,
        created,
        invocation_id,
        content,
        reasoning,
        turn_key,
        started,
        duration,
        *rest,
    ) = row
    common: dict[str, Any] = {
        "message_id": str(key) if given_id is None else given_id,
        "role": role,
        "kind": kind,
        "content": content,
        "reasoning": reasoning,
        "parent_message_id": None if parent_key is None else ids.get(parent_key),
        "invocation_id": invocation_id,
        "created_at": from_us(created),
    }
    if turn_key is None:
        return Message(**common)
    response_model, reason, raw, error_type, *counts, cost, config_key = rest
    if config_key is not None and config_key not in configs:
        configs[config_key] = load_config(connection, config_key)
    return Message(
        **common,
        is_turn=True,
        usage=Usage(**dict(zip([f.name for f in fields(Usage)], counts, strict=True))) if any(
            count is not None for count in counts) else None,
        finish_reason=reason,
        finish_reason_raw=raw,
        response_model=response_model,
        reported_cost_usd=cost,
        started_at=from_us(started),
        duration_s=None if duration is None else duration / 1e6,
        error_type=error_type,
        config=None if config_key is None else configs[config_key],
    )  # fmt: skip


def load_config(connection: sqlite3.Connection, config_key: int) -> ModelConfig:
    """Return one stored configuration as a value."""
    cursor = connection.execute(
        "select k.*, x.system_instructions from model_config k join model_config_text x using (model_config_key)"
        " where model_config_key = ?",
        (config_key,),
    )
    names = [column[0] for column in cursor.description]
    values = dict(zip(names, cursor.fetchone(), strict=True))
    stop, extra = values["stop_sequences"], values["extra"]
    values["stop_sequences"] = None if stop is None else tuple(json.loads(stop))
    values["extra"] = None if extra is None else json.loads(extra)
    known = {f.name for f in fields(ModelConfig)}
    return ModelConfig(**{name: value for name, value in values.items() if name in known})


# Writing a whole session


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


def _save(connection: sqlite3.Connection, session: Session, session_key: int | None) -> None:
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
        "metadata": storable(to_json(dict(session.metadata))),
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
    _add(connection, session, session_key, known=0)


def _add(connection: sqlite3.Connection, session: Session, session_key: int, *, known: int) -> None:
    """Write the messages from number `known` on, and where that is 0, the tool calls."""
    places = {m.message_id: Place(given_id=m.message_id) for m in session.messages}
    prompts: dict[str, Place | None] = {}
    writer = _ValueWriter(connection, session, session_key, places, prompts)
    for index, message in enumerate(session.messages):
        parent = None if message.parent_message_id is None else prompts.get(message.parent_message_id)
        is_prompt = message.role == "user" and message.kind == "message"
        prompts[message.message_id] = places[message.message_id] if is_prompt else parent
        if index < known:
            writer.find(message)
        else:
            writer.message(message)
    if known == 0:
        writer.tool_calls_up_to(len(session.tool_calls))


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
        self._waiting: dict[str, Place] = {}  # turn -> the first call that was written before it

    def find(self, message: Message) -> None:
        """Find the keys of a message that is stored already."""
        row = self._connection.execute(
            "select message_key, exchange_index, given_id from message where session_key = ?1"
            " and (given_id = ?2 or (given_id is null and message_key = cast(?2 as integer)))",
            (self._key, message.message_id),
        ).fetchone()
        place = self._places[message.message_id]
        place.key, place.exchange_index, place.given_id = row

    def message(self, message: Message) -> None:
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
            turn=place if message.is_turn else None,
            created_at=now_us() if created is None else created,
        )
        events: list[Event] = []
        number = self._call_of_result.get(message.message_id)
        call = None if number is None else self._session.tool_calls[number]
        if call is not None and number is not None:
            self.tool_calls_up_to(number + 1)
            event.turn = None if call.turn_id is None else self._places[call.turn_id]
        if message.is_turn:
            events.append(ConfigureEvent(session=run, config=message.config, configured_at=event.created_at))
        events.append(event)
        if message.is_turn:
            started = to_us(message.started_at, "started_at")
            events.append(
                TurnEvent(
                    message=event,
                    first_call=self._waiting.get(message.message_id),
                    usage=message.usage,
                    finish_reason=message.finish_reason,
                    finish_reason_raw=text_of(message.finish_reason_raw, "finish_reason_raw"),
                    response_model=text_of(message.response_model, "response_model"),
                    reported_cost_usd=money(message.reported_cost_usd, "reported_cost_usd"),
                    started_at=event.created_at if started is None else started,
                    duration_us=seconds_to_us(message.duration_s, "duration_s"),
                    error_type=text_of(message.error_type, "error_type"),
                )
            )
        if call is not None and number is not None:
            events.append(
                ToolResultEvent(
                    message=event,
                    call=self._calls[number],
                    status=call.status,
                    is_error=call.status != "ok" if call.is_error is None else call.is_error,
                    exit_code=call.exit_code,
                    duration_us=seconds_to_us(call.duration_s, "duration_s"),
                )
            )
        self._ledger.write(self._connection, events)

    def tool_calls_up_to(self, number: int) -> None:
        """Write the first `number` tool calls, as far as they are not written yet."""
        for call in self._session.tool_calls[len(self._calls) : number]:
            place = Place(given_id=text_of(call.tool_call_id, "tool_call_id"))
            turn = None if call.turn_id is None else self._places[call.turn_id]
            if turn is not None and turn.key is None:
                self._waiting.setdefault(str(call.turn_id), place)
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
            self._ledger.write(self._connection, [event])
            self._calls.append(place)

    def _run(self, invocation_id: str | None) -> SessionPlace:
        if invocation_id is None:
            invocation_id = next(iter(self._runs), None) or new_id()
        run = self._runs.get(invocation_id)
        if run is None:
            run = SessionPlace(session_id=self._session.session_id, session_key=self._key)
            run.invocation_key = add_invocation(self._connection, self._key, invocation_id)
            self._runs[invocation_id] = run
        return run


def add_invocation(connection: sqlite3.Connection, session_key: int, invocation_id: str) -> int:
    """Note one more run on a session, or find it, and return its key."""
    row = connection.execute(
        "select invocation_key from invocation where session_key = ? and invocation_id = ?",
        (session_key, invocation_id),
    ).fetchone()
    if row:
        return int(row[0])
    key = next_keys(connection, 1)
    connection.execute("insert into invocation values (?, ?, ?, ?)", (key, session_key, invocation_id, now_us()))
    return key
