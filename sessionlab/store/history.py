"""The sessions of a store: list, find, get, save, rename, archive, delete, prune."""

from __future__ import annotations

import builtins
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from sessionlab import settings
from sessionlab.errors import RecordingError, SessionLabError
from sessionlab.model import Message, Session, SessionSummary, storable, to_json
from sessionlab.store.convert import from_us, json_object, text_of
from sessionlab.store.database import Database, count_deletion, next_keys, now_us
from sessionlab.store.folders import absolute, git_root_of
from sessionlab.store.reading import TIMES, load_session

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Callable, Iterable

_Result = TypeVar("_Result")
_List = builtins.list  # inside History, `list` is its method

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

    def __init__(
        self, database: Callable[[], Database | None], lose: Callable[[SessionLabError], None] | None = None
    ) -> None:
        self._database = database
        self._lose = lose or _raise

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
        found = self._summaries(f"{_SUMMARY} where session_id = ?", (storable(session_id),))
        return found[0] if found else None

    def get(self, session_id: str) -> Session | None:
        """Return one whole session as a value, or None if it is not there."""

        def work(connection: sqlite3.Connection) -> Session | None:
            key = _key_of(connection, session_id)
            return None if key is None else load_session(connection, key)

        return self._read(work, None)

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
        since = now_us() - _age_us(within, "within")
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
        from sessionlab.store.saving import check_session, save

        check_session(session)

        def work(connection: sqlite3.Connection) -> None:
            key = _key_of(connection, session.session_id)
            if key is not None:
                _delete_rows(connection, [key], keep_session=True)
            save(connection, session, key)

        self._write(work, None)

    def append(self, session_id: str, messages: Iterable[Message]) -> None:
        """Add messages to the end of a session; ids that are there already are refused.

        Raises:
            RecordingError: There is no such session, or a message does not fit.
        """
        from sessionlab.store.saving import add, check_session

        added = builtins.list(messages)

        def work(connection: sqlite3.Connection) -> None:
            key = self._needed(connection, session_id)
            stored = load_session(connection, key) or Session(session_id=session_id)
            whole = Session(session_id=session_id, messages=[*stored.messages, *added], tool_calls=stored.tool_calls)
            check_session(whole)
            add(connection, whole, key, known=len(stored.messages))

        self._write(work, None)

    def rename(self, session_id: str, name: str | None) -> None:
        """Give a session another name, or none.

        Raises:
            RecordingError: There is no such session, or another one that is not archived has the name.
        """
        name = text_of(name, "name")

        def work(connection: sqlite3.Connection) -> None:
            key = self._needed(connection, session_id)
            _refuse_taken_name(connection, name, key)
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
            RecordingError: There is no such session, or another one that is not archived has its name.
        """

        def work(connection: sqlite3.Connection) -> None:
            key = self._needed(connection, session_id)
            name = connection.execute("select name from session where session_key = ?", (key,)).fetchone()[0]
            _refuse_taken_name(connection, name, key)
            _revise(connection, key, "archived_at", None)

        self._write(work, None)

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
                before = now_us() - _age_us(older_than, "older_than")
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
            sql = "select metadata from session where session_id = ?"
            row = connection.execute(sql, (storable(session_id),)).fetchone()
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
            _revise(connection, session_key, "metadata", to_json(noted))

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

    def _summaries(self, sql: str, values: tuple[Any, ...]) -> _List[SessionSummary]:
        def work(connection: sqlite3.Connection) -> _List[SessionSummary]:
            cursor = connection.execute(sql, values)
            names = [column[0] for column in cursor.description]
            rows: Iterable[dict[str, Any]] = (dict(zip(names, row, strict=True)) for row in cursor)
            return [SessionSummary(**row | {name: from_us(row[name]) for name in TIMES}) for row in rows]

        return self._read(work, [])

    def _read(self, work: Callable[[sqlite3.Connection], _Result], nothing: _Result) -> _Result:
        try:
            database = self._database()
            return nothing if database is None else database.read(work)
        except SessionLabError as error:
            self._lose(error)
            return nothing

    def _write(self, work: Callable[[sqlite3.Connection], _Result], nothing: _Result) -> _Result:
        try:
            database = self._database()
            return nothing if database is None else database.write(work)
        except SessionLabError as error:
            self._lose(error)
            return nothing


def _raise(error: SessionLabError) -> None:
    raise error


def _age_us(age: timedelta, name: str) -> int:
    if not isinstance(age, timedelta):
        raise RecordingError(f"{name}={age!r}: expected a datetime.timedelta, for example timedelta(days=2).")
    return age // timedelta(microseconds=1)


def _conditions(agent_name: str | None, name: str | None, archived: bool | None) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []
    for column, value in (("agent_name", agent_name), ("name", name)):
        if value is not None:
            parts.append(f"s.{column} = ?")
            values.append(storable(value))
    if archived is not None:
        parts.append(f"s.archived_at is {'not ' if archived else ''}null")
    return ("where " + " and ".join(parts) if parts else ""), values


def _key_of(connection: sqlite3.Connection, session_id: str) -> int | None:
    row = connection.execute("select session_key from session where session_id = ?", (storable(session_id),)).fetchone()
    return None if row is None else int(row[0])


def _refuse_taken_name(connection: sqlite3.Connection, name: str | None, session_key: int) -> None:
    sql = "select session_id from session where name = ? and archived_at is null and session_key <> ?"
    other = connection.execute(sql, (name, session_key)).fetchone()
    if other:
        raise RecordingError(
            f"The session {other[0]!r} has the name {name!r} already. Archive or rename that one first."
        )


def _revise(connection: sqlite3.Connection, session_key: int, column: str, value: Any) -> None:
    key = next_keys(connection, 1)
    connection.execute(
        f"update session set {column} = ?, revision = ? where session_key = ?", (value, key, session_key)
    )


def _delete_rows(connection: sqlite3.Connection, keys: Iterable[int], *, keep_session: bool = False) -> None:
    count_deletion(connection)
    for key in keys:
        for sql in _DELETE:
            connection.execute(sql, (key,))
        if not keep_session:
            connection.execute("delete from session where session_key = ?", (key,))
    if not keep_session:
        for sql in _DELETE_UNUSED_CONFIGS:
            connection.execute(sql)
