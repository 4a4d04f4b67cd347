"""Begin or continue a session in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from sessionlab.errors import RecordingError
from sessionlab.model import to_json
from sessionlab.store.convert import json_object
from sessionlab.store.database import now_us
from sessionlab.store.events import MessageEvent
from sessionlab.store.ledger import Event, Ledger, Place, SessionPlace

if TYPE_CHECKING:
    import sqlite3


@dataclass(slots=True, kw_only=True)
class Opening:
    """How a session is begun or continued."""

    session_id: str | None = None
    name: str | None = None
    agent_name: str | None = None
    directory: str | None = None
    git_root: str | None = None
    parent_session_id: str | None = None
    new: bool = False
    metadata: str = "{}"


class State(NamedTuple):
    """Where a handle stands: its newest message, the prompt, the turn, and the first call that waits for a turn."""

    head: Place | None = None
    prompt: Place | None = None
    turn: Place | None = None
    waiting: Place | None = None
    has_ended: bool = False


@dataclass(slots=True, eq=False)
class OpenEvent(Event):
    """A session begins or goes on."""

    place: SessionPlace
    opening: Opening
    invocation_id: str
    state: State | None = None
    key_count: ClassVar[int] = 3

    def write(self, ledger: Ledger, key: int) -> None:
        """Write the rows."""
        connection, opening, now = ledger.connection, self.opening, now_us()
        found = self._find(connection)
        if found is not None and opening.new:
            connection.execute(
                "update session set archived_at = ?, revision = ? where session_key = ?", (now, key, found)
            )
            found = None
        if found is None:
            self.place.session_key = key
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
                    opening.git_root,
                    opening.parent_session_id,
                    now,
                    opening.metadata,
                ),
            )
            self.state = State()
        else:
            self._go_on(connection, found, key)
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

    def _go_on(self, connection: sqlite3.Connection, session_key: int, key: int) -> None:
        session_id, metadata = connection.execute(
            "select session_id, metadata from session where session_key = ?", (session_key,)
        ).fetchone()
        noted = json_object(metadata) | json_object(self.opening.metadata)
        connection.execute(
            "update session set ended_at = null, metadata = ?, revision = ? where session_key = ?",
            (to_json(noted), key, session_key),
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
        self.state = state._replace(head=place)

    def forget(self) -> None:
        """Take back the keys."""
        self.place.session_key = self.place.invocation_key = self.place.config_key = self.state = None
        self.place.deletions = -1


def state_at(connection: sqlite3.Connection, session_key: int, message_key: int | None) -> State:
    """Return where a session stands after a message; None is its newest one."""
    columns = "message_key, given_id, prompt_key, exchange_index"
    if message_key is None:
        sql = f"select {columns} from message where session_key = ? order by message_index desc limit 1"
        row = connection.execute(sql, (session_key,)).fetchone()
    else:
        sql = f"select {columns} from message where session_key = ? and message_key = ?"
        row = connection.execute(sql, (session_key, message_key)).fetchone()
    if row is None:
        return State()
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
    return State(head, prompt, Place(newest[0]) if is_current else None)
