"""Write events to the store, each with the numbers that come next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sessionlab.errors import RecordingError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from sessionlab.store.gate import Gate


class Event:
    """One thing that happened, as it will be written."""

    __slots__ = ()
    key_count: ClassVar[int] = 1
    is_record_of_its_key: ClassVar[bool] = False
    """True where the view `store` sees the event's last key in its row, so that the counter need not hold it."""

    @property
    def least_key(self) -> int:
        """The event's keys must be larger, so that none of them can be taken for an id that a caller gave."""
        return 0

    def write(self, ledger: Ledger, key: int) -> None:
        """Write the rows inside a transaction; `key` is the first of `key_count` keys."""
        raise NotImplementedError

    def forget(self) -> None:
        """Take back what `write` told the handles, since the transaction was rolled back."""


class Ledger:
    """Writes events, and remembers the numbers that come next so that it need not look them up each time.

    What it remembers holds as long as the store's counter stands where this ledger left it: whoever else writes
    moves the counter. Where it is known that nobody has written since, not even the counter is looked up.
    """

    __slots__ = ("_deletions", "_last_key", "_next", "_of", "_seen", "connection", "execute")

    connection: sqlite3.Connection
    execute: Callable[..., sqlite3.Cursor]

    def __init__(self) -> None:
        self._of: sqlite3.Connection | None = None  # the connection that `execute` is of
        self._last_key = -1
        self._deletions = -1
        self._seen = (-1, -1)  # the process's count of writes and SQLite's, when this ledger had written
        self._next: dict[tuple[str, int], int] = {}

    def write(
        self,
        connection: sqlite3.Connection,
        gate: Gate | None,
        events: Sequence[Event],
        session: SessionPlace | None = None,
    ) -> None:
        """Write events in their order, inside a transaction, with the store's next keys.

        Args:
            connection: The store.
            gate: Its gate, where this is all that is written in the transaction.
            events: The events.
            session: Theirs.

        Raises:
            RecordingError: The rows of `session` have gone since it was opened, or an event does not fit.
        """
        if connection is not self._of:
            self._of = self.connection = connection
            self.execute = connection.cursor().execute
        execute = self.execute
        writes = 0 if gate is None else gate.writes
        # Of others' commits alone, and half the time that looking the counter up takes.
        version = execute("pragma data_version").fetchone()[0] if gate is not None else 0
        if self._last_key >= 0 and gate is not None and self._seen == (writes - 1, version):
            last_key, deletions = self._last_key, self._deletions
        else:
            last_key, deletions = execute("select last_key, deletions from store").fetchone()
            if last_key != self._last_key:
                self._next.clear()
        if len(self._next) > 10_000:
            self._next.clear()
        self._last_key = -1  # should one of the events fail, nothing of this holds
        if session is not None and session.deletions != deletions:
            session.check(connection, deletions)
        count, is_recorded = 0, True
        for event in events:
            if event.key_count:
                count += event.key_count
                is_recorded = event.is_record_of_its_key
            if event.least_key > last_key:
                last_key = event.least_key
        key = last_key + 1
        last_key += count
        if not is_recorded:
            execute("update counter set last_key = ?", (last_key,))
        for event in events:
            event.write(self, key)
            key += event.key_count
        self._last_key, self._deletions, self._seen = last_key, deletions, (writes, version)

    def next(self, numbers: str, session_key: int) -> int:
        """Return a session's next `message_index`, `turn_index`, `tool_call_index` or `exchange_index`."""
        at = (numbers, session_key)
        number = self._next.get(at)
        if number is None:
            number = int(self.execute(_NEXT[numbers], (session_key,)).fetchone()[0])
        self._next[at] = number + 1
        return number

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
        """The message's id; None until it is committed."""
        return None if self.key is None else self.given_id if self.given_id is not None else str(self.key)


@dataclass(slots=True, eq=False)
class SessionPlace:
    """Where a session and this run of it stand in the store."""

    session_id: str
    session_key: int | None = None
    invocation_key: int | None = None
    config_key: int | None = None
    deletions: int = -1  # how many the store had counted when this was last known to be there

    def check(self, connection: sqlite3.Connection, deletions: int) -> None:
        """Refuse to go on if the rows have been deleted, or replaced by `history.save`."""
        if self.invocation_key is not None:
            sql = "select 1 from invocation where invocation_key = ? and session_key = ?"
            if connection.execute(sql, (self.invocation_key, self.session_key)).fetchone() is None:
                raise RecordingError(
                    f"The session {self.session_id!r} was deleted, or saved anew, while it was being recorded. "
                    "recorder.resume(session) goes on with the saved one."
                )
        self.deletions = deletions

    def written(self) -> tuple[int, int]:
        """Return the keys of the session and of this run."""
        if self.session_key is None or self.invocation_key is None:
            raise RecordingError(f"The session {self.session_id!r} was not recorded, so nothing can be added to it.")
        return self.session_key, self.invocation_key
