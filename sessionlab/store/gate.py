"""Who may have a SQLite file open in this process.

POSIX locks belong to a process: whoever closes any descriptor of a file drops the locks of everybody else in it.
DuckDB brings a SQLite of its own, so it and Python's `sqlite3` must never have one file open at the same time.
The gate of a file lets one of them in. Nothing here opens, copies or looks into the file outside its gate.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from typing import TYPE_CHECKING, NoReturn, TypeVar, TypeVarTuple, Unpack

from sessionlab.errors import HistoryFileError, StoreBusyError, StoreReplacedError
from sessionlab.store.lock import FairLock, Held, ProcessLock, Ticket, shared_with_nobody_last
from sessionlab.store.refusals import in_our_words

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")
_Identity = tuple[int, int]

DEFAULT_TIMEOUT_S = 10.0


class Gate:
    """The one way to a SQLite file in this process; get it from `gate_of`.

    It owns the one `sqlite3` connection that all Recorders on the file share, opens it when it is needed and closes
    it before DuckDB may attach.
    """

    def __init__(self, path: str, identity: _Identity) -> None:
        self.path = path
        self.identity = identity
        self.store_id: str | None = None
        """Set once the file is known as a store; another one that takes its place is noticed by it."""
        self._turns = FairLock()
        self._lock = ProcessLock(path + ".lock")
        self._wal_path = path + "-wal"
        self._connection: sqlite3.Connection | None = None
        self._wal: _Identity | None = None
        self._settings: tuple[float, str] = (-1.0, "")
        self._users: set[object] = set()
        self.writes = 0
        """Rises with each write of this process, and whenever the file is opened anew."""

    @property
    def is_awaited(self) -> bool:
        """True while somebody in this process waits for the file: who copies for long lets go then."""
        return self._turns.is_awaited

    @property
    def is_shared(self) -> bool:
        """True while a Recorder of this process has the file."""
        return bool(self._users)

    def join(self) -> object:
        """Count one more Recorder on this file and return the token that it leaves with."""
        user = object()
        self._users.add(user)
        return user

    def leave(self, user: object, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Count one Recorder less; the last one closes the connection."""
        with self._turns.held():
            self._users.discard(user)
            self._close_if_unused(timeout_s)

    def abandon(self, user: object) -> None:
        """Count one Recorder less that nobody closed: at the end of the process, or when it was collected.

        That can be at any moment and in any thread, so it waits for nobody.
        """
        self._users.discard(user)
        ticket = self._turns.try_enter(0)
        if ticket is not None:
            try:
                self._close_if_unused(0)
            except StoreBusyError:
                pass  # the next last close sees to it, as after a process that was killed
            finally:
                self._turns.leave(ticket)

    def read(
        self, work: Callable[[sqlite3.Connection], _Result], *, timeout_s: float, synchronous: str = "normal"
    ) -> _Result:
        """Run `work` on the connection, outside a write transaction.

        Raises:
            StoreError: What SQLite refused, in our words.
        """

        def run() -> _Result:
            try:
                return work(self._ready(timeout_s, synchronous, is_locked=False))
            except (sqlite3.Error, OSError) as error:
                self._raise(error)

        return self._turns.run(run)

    def write(
        self,
        work: Callable[[sqlite3.Connection, Unpack[_Arguments]], _Result],
        *arguments: *_Arguments,
        timeout_s: float,
        synchronous: str = "normal",
        transaction: bool = True,
    ) -> _Result:
        """Run `work` under the lock between processes, in one transaction that is committed when this returns.

        Raises:
            StoreBusyError: Another process held the store for longer than `timeout_s`; nothing was written.
            StoreError: What else SQLite refused, in our words; nothing was written.
        """
        return self._turns.run(self._write, work, arguments, timeout_s, synchronous, transaction)

    def _write(
        self,
        work: Callable[[sqlite3.Connection, Unpack[_Arguments]], _Result],
        arguments: tuple[*_Arguments],
        timeout_s: float,
        synchronous: str,
        transaction: bool,
    ) -> _Result:
        lock = self._lock
        try:
            lock.acquire(timeout_s)
            connection = self._ready(timeout_s, synchronous, is_locked=True)
            self.writes += 1
            if not transaction:
                result = work(connection, *arguments)
                self._wal = self._identity_of_wal()  # the work may have changed the journal mode
                return result
            execute = self._execute
            execute("begin immediate")
            try:
                result = work(connection, *arguments)
                execute("commit")
                return result
            except BaseException:
                if connection.in_transaction:
                    execute("rollback")
                raise
        except (sqlite3.Error, OSError) as error:
            self._raise(error)
        finally:
            lock.release()

    def released(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> Released:
        """Keep the file for somebody else than `sqlite3`: DuckDB, or who copies or looks into it."""
        return Released(self, self._turns, timeout_s)

    def peek(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result | None:
        """Run `work` on the connection if it is open anyway and sound, else return None; nothing is opened."""

        def run() -> _Result | None:
            connection = self._connection
            return None if connection is None or self._wal != self._identity_of_wal() else work(connection)

        return self._turns.run(run)

    def _raise(self, error: Exception) -> NoReturn:
        ours = in_our_words(self.path, error)
        if ours is error:
            raise error
        raise ours from error

    def _ready(self, timeout_s: float, synchronous: str, *, is_locked: bool) -> sqlite3.Connection:
        """Return a connection that is sound: of this file, and with the WAL that lies in the folder.

        A user's own `open(path)` or `shutil.copy(path, …)` in this process drops our locks when it closes the file.
        Then another process may delete the WAL while we hold it, and what we commit next would go to a deleted file.
        """
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self.identity:
            raise self._replaced("removed" if status is None else "replaced by another file")
        connection = self._connection
        if connection is not None and self._wal != self._identity_of_wal():
            self._close_stolen(timeout_s, is_locked=is_locked)
            connection = None
        if connection is None:
            connection = self._open(timeout_s)
        elif connection.in_transaction:  # Ctrl-C struck in the middle of a rollback
            connection.execute("rollback")
        if self._settings != (timeout_s, synchronous):
            connection.execute(f"pragma busy_timeout = {int(timeout_s * 1000)}")
            connection.execute(f"pragma synchronous = {'full' if synchronous == 'full' else 'normal'}")
            self._settings = (timeout_s, synchronous)
        return connection

    def _replaced(self, how: str) -> StoreReplacedError:
        return StoreReplacedError(
            f"The store {self.path!r} was {how} while it was open. Nothing was written to the new one; make a new "
            "Recorder to use it."
        )

    def _open(self, timeout_s: float) -> sqlite3.Connection:
        connection = sqlite3.connect(
            file_uri(self.path, "mode=rw"), uri=True, isolation_level=None, check_same_thread=False, timeout=timeout_s
        )
        try:
            connection.execute("pragma foreign_keys = on")
            connection.execute("pragma wal_autocheckpoint = 4000")  # pages; a tenth less time a commit than with 1000
            connection.execute("select count(*) from sqlite_schema").fetchone()  # opens the WAL
            if self.store_id is not None:
                # A new file can get the number of the one that was removed while it was not open.
                found = connection.execute("select store_id from counter").fetchone()
                if found is None or found[0] != self.store_id:
                    raise self._replaced("replaced by another store")
        except BaseException:
            connection.close()
            raise
        self._connection, self._wal, self._settings = connection, self._identity_of_wal(), (-1.0, "")
        self.writes += 1
        self._execute = connection.cursor().execute  # one cursor for all: making one takes as long as a short statement
        return connection

    def _identity_of_wal(self) -> _Identity | None:
        try:
            status = os.stat(self._wal_path)
        except FileNotFoundError:
            return None
        return (status.st_dev, status.st_ino)

    def _close_if_unused(self, timeout_s: float) -> None:
        if not self._users:
            self._close(timeout_s)
            self._lock.close()
            self.store_id = None  # what lies there by the next use may be another store

    def _close(self, timeout_s: float) -> None:
        """Close the connection, under the lock: the last close of all copies the WAL into the file."""
        connection = self._connection
        if connection is None:
            return
        if self._wal != self._identity_of_wal():
            self._close_stolen(timeout_s, is_locked=False)
            return
        try:
            self._lock.acquire(timeout_s)
            self._connection = None  # first: whoever comes after Ctrl-C must not find a closed one
            connection.close()
        finally:
            self._lock.release()

    def _close_stolen(self, timeout_s: float, *, is_locked: bool) -> None:
        """Close a connection whose WAL was taken from it, so that it deletes nobody else's."""
        connection = self._connection
        assert connection is not None  # noqa: S101 -- for the type checker
        try:
            if not is_locked:
                self._lock.acquire(timeout_s)
            with contextlib.ExitStack() as stack:
                if hasattr(connection, "setconfig"):  # Python 3.12
                    connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)  # type: ignore[attr-defined,unused-ignore]  # new there
                elif os.path.exists(self.path):
                    stack.enter_context(shared_with_nobody_last(self.path))
                self._connection = None
                connection.close()
        finally:
            if not is_locked:
                self._lock.release()

    # A connection must not live on in a forked child: SQLite's memory there says that it holds locks which the
    # system gave to the parent alone. So it is closed before the fork, and each side opens its own when it needs one.

    def _before_fork(self) -> Ticket | None:
        """Enter and close the connection; return the ticket to leave with."""
        ticket = self._turns.try_enter(DEFAULT_TIMEOUT_S)
        if ticket is None:
            if not self._turns.is_mine:
                _log("%s was in use throughout %g s before a fork().", self.path, DEFAULT_TIMEOUT_S)
            return None
        try:
            self._close(DEFAULT_TIMEOUT_S)
        except StoreBusyError:
            _log("%s stayed locked by another process at a fork().", self.path)
        return ticket

    def _after_fork_in_child(self) -> None:
        self._turns = FairLock()
        self._lock.close()
        if self._connection is not None:  # could not be closed in time; closing it here would harm the parent
            _never_closed.append(self._connection)
            self._connection = None


def _log(message: str, *values: object) -> None:
    import logging  # 8 ms, and almost never needed

    logging.getLogger("sessionlab").warning(message, *values)


class Released(Held):
    """A block in which `sqlite3` does not have the file; see `Gate.released`."""

    __slots__ = ("_gate", "_timeout_s")

    def __init__(self, gate: Gate, lock: FairLock, timeout_s: float) -> None:
        super().__init__(lock)
        self._gate = gate
        self._timeout_s = timeout_s

    def __enter__(self) -> None:
        """Wait for the turn and close the connection."""
        super().__enter__()
        try:
            self._gate._close(self._timeout_s)
        except BaseException:
            self.__exit__()
            raise


def file_uri(path: str, query: str) -> str:
    """Return the URI under which SQLite opens a path."""
    escaped = "".join(f"%{ord(c):02x}" if c in "?#%" else c for c in path.replace(os.sep, "/"))
    return f"file:{'///' if os.name == 'nt' else ''}{escaped}?{query}"


_gates: weakref.WeakValueDictionary[_Identity, Gate] = weakref.WeakValueDictionary()
_gates_mutex = threading.Lock()


def gate_of(path: str) -> Gate:
    """Return this process's gate of the file at `path`; its links and other names lead to the same gate.

    Raises:
        HistoryFileError: There is no such file, or it cannot be looked at.
    """
    real = os.path.realpath(path)
    try:
        status = os.stat(real)
    except OSError as error:
        raise HistoryFileError(f"{path!r} cannot be opened: {error.strerror}. Check the path.") from error
    identity = (status.st_dev, status.st_ino)
    with _gates_mutex:
        gate = _gates.get(identity)
        if gate is None or (gate.path != real and not gate._users):
            gate = _gates[identity] = Gate(real, identity)
        return gate


_entered_by_fork: list[tuple[Gate, Ticket]] = []
_never_closed: list[sqlite3.Connection] = []


def _known_gates() -> list[Gate]:
    return [gate for reference in _gates.valuerefs() if (gate := reference()) is not None]


def _before_fork() -> None:
    # A thread may look up another gate while it is inside one, so the list is locked last.
    tried: set[Gate] = set()
    while True:
        for gate in _known_gates():
            if gate not in tried:
                tried.add(gate)
                ticket = gate._before_fork()
                if ticket is not None:
                    _entered_by_fork.append((gate, ticket))
        _gates_mutex.acquire()
        if tried.issuperset(_known_gates()):
            return
        _gates_mutex.release()


def _after_fork_in_parent() -> None:
    _gates_mutex.release()
    for gate, ticket in _entered_by_fork:
        gate._turns.leave(ticket)
    _entered_by_fork.clear()


def _after_fork_in_child() -> None:
    _gates_mutex.release()
    for gate in _known_gates():
        gate._after_fork_in_child()
    _entered_by_fork.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
