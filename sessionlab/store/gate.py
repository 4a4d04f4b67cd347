"""Who may have a SQLite file open in this process, and the lock that orders the processes that write it.

POSIX locks belong to a process: whoever closes any descriptor of a file drops the locks of everybody else in it.
DuckDB brings a SQLite of its own, so it and Python's `sqlite3` must never have one file open at the same time.
The gate of a file lets one of them in. Nothing here opens, copies or looks into the file outside its gate.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar

from sessionlab.errors import HistoryFileError, SessionLabError, StoreBusyError, StoreError, StoreReplacedError

_logger = logging.getLogger("sessionlab")
_Result = TypeVar("_Result")
_Identity = tuple[int, int]

DEFAULT_TIMEOUT_S = 10.0


class _Turnstile:
    """A lock that is handed on in the order of arrival.

    Not re-entrant: two coroutines share a thread, so "this thread holds it" says nothing. A plain `Lock` would let a
    loop of reads take it again and again while a recorder waits.
    """

    __slots__ = ("_mutex", "_taken", "_waiting")

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    @property
    def is_awaited(self) -> bool:
        return bool(self._waiting)

    def __enter__(self) -> None:
        with self._mutex:
            if not self._taken:
                self._taken = True
                return
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        try:
            ticket.acquire()
        except BaseException:  # Ctrl-C while waiting must neither keep a place in the queue nor lose the turn
            with self._mutex:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                    raise
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


class ProcessLock:
    """An exclusive lock between processes on a file beside the store, freed by the system when a process dies.

    The descriptor stays open between uses. Waiting is by short sleeps, so that it can end after `timeout_s`.
    """

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, timeout_s: float) -> None:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if _try_lock(self._descriptor):
            return
        deadline = time.monotonic() + timeout_s
        pause = 0.00005
        while not _try_lock(self._descriptor):
            if time.monotonic() >= deadline:
                raise StoreBusyError(
                    f"The store of {self.path!r} stayed locked by another process for {timeout_s:g} s. "
                    "Wait for that process, end it, or allow more time with timeout_s."
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.002)

    def release(self) -> None:
        if self._descriptor is not None:
            _unlock(self._descriptor)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]  # Windows only
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined,unused-ignore]  # Windows only
else:
    # What a file system answers that has no such locks; there the store is in rollback mode and SQLite's own serve.
    _NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True

    def _unlock(descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise


class Gate:
    """The one way to a SQLite file in this process; get it from `gate_of`.

    It owns the one `sqlite3` connection that all Recorders on the file share, opens it when it is needed and closes
    it before DuckDB may attach.
    """

    def __init__(self, path: str, identity: _Identity) -> None:
        self.path = path
        self.identity = identity
        self._turns = _Turnstile()
        self._lock = ProcessLock(path + ".lock")
        self._connection: sqlite3.Connection | None = None
        self._wal: _Identity | None = None
        self._settings: tuple[float, str] = (-1.0, "")
        self._users = 0

    @property
    def is_awaited(self) -> bool:
        """True while somebody in this process waits for the file: who copies for long lets go then."""
        return self._turns.is_awaited

    @property
    def is_shared(self) -> bool:
        """True while a Recorder of this process has the file."""
        return self._users > 0

    def join(self) -> None:
        """Count one more Recorder on this file."""
        self._users += 1

    def leave(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Count one Recorder less; the last one closes the connection."""
        with self._turns:
            self._users -= 1
            if self._users <= 0:
                self._close(timeout_s)
                self._lock.close()

    def read(
        self, work: Callable[[sqlite3.Connection], _Result], *, timeout_s: float, synchronous: str = "normal"
    ) -> _Result:
        """Run `work` on the connection, outside a write transaction.

        Raises:
            StoreError: What SQLite refused, in our words.
        """
        with self._turns, _InOurWords(self.path):
            return work(self._ready(timeout_s, synchronous))

    def write(
        self,
        work: Callable[[sqlite3.Connection], _Result],
        *,
        timeout_s: float,
        synchronous: str = "normal",
        transaction: bool = True,
    ) -> _Result:
        """Run `work` under the lock between processes, in one transaction that is committed when this returns.

        Raises:
            StoreBusyError: Another process held the store for longer than `timeout_s`; nothing was written.
            StoreError: What else SQLite refused, in our words; nothing was written.
        """
        with self._turns, _InOurWords(self.path):
            self._lock.acquire(timeout_s)
            try:
                connection = self._ready(timeout_s, synchronous)
                if not transaction:
                    result = work(connection)
                    self._wal = self._identity_of_wal()  # the work may have changed the journal mode
                    return result
                connection.execute("begin immediate")
                try:
                    result = work(connection)
                    connection.execute("commit")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("rollback")
                    raise
                return result
            finally:
                self._lock.release()

    @contextlib.contextmanager
    def released(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> Iterator[None]:
        """Keep the file for somebody else than `sqlite3`: DuckDB, or who copies or looks into it."""
        with self._turns:
            self._close(timeout_s)
            yield

    @contextlib.contextmanager
    def peek(self) -> Iterator[sqlite3.Connection | None]:
        """Give the connection if it is open anyway and sound, else None; nothing is opened or closed."""
        with self._turns:
            if self._connection is not None and self._wal != self._identity_of_wal():
                yield None
            else:
                yield self._connection

    def _ready(self, timeout_s: float, synchronous: str) -> sqlite3.Connection:
        """Return a connection that is sound: of this file, and with the WAL that lies in the folder.

        A user's own `open(path)` or `sqlite3.connect(path)` in this process drops our locks when it is closed. Then
        another process may delete the WAL while we hold it, and what we commit next would go to a deleted file.
        """
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self.identity:
            raise StoreReplacedError(
                f"The store {self.path!r} was {'removed' if status is None else 'replaced by another file'} while it "
                "was open. Nothing was written to the new one; make a new Recorder to use it."
            )
        if self._connection is not None and self._wal != self._identity_of_wal():
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self._open(timeout_s)
        connection = self._connection
        assert connection is not None  # noqa: S101 -- for the type checker
        if self._settings != (timeout_s, synchronous):
            connection.execute(f"pragma busy_timeout = {int(timeout_s * 1000)}")
            connection.execute(f"pragma synchronous = {'full' if synchronous == 'full' else 'normal'}")
            self._settings = (timeout_s, synchronous)
        return connection

    def _open(self, timeout_s: float) -> None:
        uri = "file:" + "".join(f"%{ord(c):02x}" if c in "?#%" else c for c in self.path.replace(os.sep, "/"))
        if os.name == "nt":
            uri = uri.replace("file:", "file:///", 1)
        connection = sqlite3.connect(
            uri + "?mode=rw", uri=True, isolation_level=None, check_same_thread=False, timeout=timeout_s
        )
        try:
            connection.execute("pragma foreign_keys = on")
            connection.execute("pragma wal_autocheckpoint = 4000")  # pages; a fifth less time a commit than with 1000
            connection.execute("select count(*) from sqlite_schema").fetchone()  # opens the WAL
        except BaseException:
            connection.close()
            raise
        self._connection, self._wal, self._settings = connection, self._identity_of_wal(), (-1.0, "")

    def _identity_of_wal(self) -> _Identity | None:
        try:
            status = os.stat(self.path + "-wal")
        except FileNotFoundError:
            return None
        return (status.st_dev, status.st_ino)

    def _close(self, timeout_s: float) -> None:
        """Close the connection, under the lock: the last close of all copies the WAL into the file."""
        if self._connection is None:
            return
        self._lock.acquire(timeout_s)
        try:
            self._connection.close()
            self._connection = None
        finally:
            self._lock.release()

    # A connection must not live on in a forked child: SQLite's memory there says that it holds locks which the
    # system gave to the parent alone. So it is closed before the fork, and each side opens its own when it needs one.

    def _before_fork(self) -> None:
        self._turns.__enter__()
        try:
            self._close(DEFAULT_TIMEOUT_S)
        except StoreBusyError:
            _logger.warning("%s stayed locked at a fork(); the child must not use it.", self.path)

    def _after_fork_in_parent(self) -> None:
        self._turns.__exit__()

    def _after_fork_in_child(self) -> None:
        self._turns = _Turnstile()
        self._lock.close()


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


_held_by_fork: list[Gate] = []


def _before_fork() -> None:
    _gates_mutex.acquire()
    _held_by_fork.extend(_gates.values())
    for gate in _held_by_fork:
        gate._before_fork()


def _after_fork_in_parent() -> None:
    for gate in _held_by_fork:
        gate._after_fork_in_parent()
    _held_by_fork.clear()
    _gates_mutex.release()


def _after_fork_in_child() -> None:
    for gate in _held_by_fork:
        gate._after_fork_in_child()
    _held_by_fork.clear()
    _gates_mutex.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


_REMEDIES: dict[int, tuple[Literal["busy", "other"], str]] = {
    sqlite3.SQLITE_BUSY: ("busy", "another program keeps it locked. Close that program or allow more time with timeout_s."),
    sqlite3.SQLITE_LOCKED: ("busy", "another program keeps it locked. Close that program or allow more time with timeout_s."),
    sqlite3.SQLITE_FULL: ("other", "the disk is full. Nothing of this call was written; make room and go on."),
    sqlite3.SQLITE_IOERR: ("other", "the disk or the folder refused. Nothing of this call was written; see that there is room and the folder is there."),
    sqlite3.SQLITE_READONLY: ("other", "the file or its folder cannot be written to. Change its permissions or use another path."),
    sqlite3.SQLITE_CANTOPEN: ("other", "the file cannot be opened. Check its path, its folder and its permissions."),
    sqlite3.SQLITE_NOTADB: ("other", "it is not a SQLite file. Use another path."),
    sqlite3.SQLITE_CORRUPT: ("other", "the file is damaged. Keep a copy and run `sessionlab db check`; restore a backup or save what `sqlite3 FILE .recover` finds."),
    sqlite3.SQLITE_AUTH: ("other", "access was denied. Check the file's permissions."),
    sqlite3.SQLITE_PERM: ("other", "access was denied. Check the file's permissions."),
    sqlite3.SQLITE_TOOBIG: ("other", "a text is larger than SQLite takes (1,000,000,000 bytes). Record it in parts."),
}  # fmt: skip


class _InOurWords:
    """Turns what SQLite and the system refuse into our errors."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None or isinstance(error, SessionLabError):
            return
        if isinstance(error, sqlite3.Error) and hasattr(error, "sqlite_errorcode"):
            busy, remedy = _REMEDIES.get(error.sqlite_errorcode & 0xFF, ("other", "see the cause above."))
            cls = StoreBusyError if busy == "busy" else StoreError
            raise cls(f"The store {self._path!r} refused: {error}; {remedy}") from error
        if isinstance(error, OSError):
            raise StoreError(
                f"The store {self._path!r} cannot be used: {error}. Check that its folder is there and writable."
            ) from error
