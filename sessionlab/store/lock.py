"""The locks that the gate is made of: one between the threads of this process, one between processes."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple, Unpack

from sessionlab.errors import StoreBusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")
_WAKE_S = 0.1


class Ticket:
    """One place in the queue of a `FairLock`."""

    __slots__ = ("thread", "turn")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.turn = threading.Lock()
        self.turn.acquire()


class FairLock:
    """Lets one thread in at a time, in the order of arrival, and no thread twice.

    The head of the queue is in. A plain lock would let a loop of reads take it again and again while a recorder
    waits. Not re-entrant: two coroutines share a thread, and a signal handler runs in the middle of one.

    Wherever Ctrl-C strikes, a thread leaves the queue exactly once: one call of the interpreter's own puts it in and
    one takes it out, and such a call is done before an interrupt can be noticed. Should one be noticed between
    leaving and waking the next, that one wakes by itself.
    """

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue: deque[Ticket] = deque()

    @property
    def is_awaited(self) -> bool:
        """True while a thread waits for its turn."""
        return len(self._queue) > 1

    @property
    def is_mine(self) -> bool:
        """True in a thread that is in or waits; its signal handlers and finalizers must not wait for it."""
        return any(ticket.thread == threading.get_ident() for ticket in tuple(self._queue))

    def run(self, work: Callable[[Unpack[_Arguments]], _Result], *arguments: *_Arguments) -> _Result:
        """Run `work` inside and return what it returns.

        Raises:
            StoreBusyError: This thread is inside already.
        """
        queue = self._queue
        if queue:
            self._refuse_second_entry()
        ticket = Ticket()
        try:
            queue.append(ticket)
            if queue[0] is not ticket:
                self._wait(ticket)
            return work(*arguments)
        finally:
            queue.remove(ticket)
            if queue:
                self._wake()

    def held(self) -> Held:
        """Be inside for a block; what `run` is for a function."""
        return Held(self)

    def try_enter(self, timeout_s: float) -> Ticket | None:
        """Enter if that can be done in time; `leave` with the ticket must follow."""
        if self.is_mine:
            return None
        ticket = Ticket()
        self._queue.append(ticket)
        if self._wait(ticket, time.monotonic() + timeout_s):
            return ticket
        self.leave(ticket)
        return None

    def leave(self, ticket: Ticket) -> None:
        """Leave after `try_enter`."""
        self._queue.remove(ticket)
        self._wake()

    def _wait(self, ticket: Ticket, deadline: float | None = None) -> bool:
        while self._queue[0] is not ticket:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            ticket.turn.acquire(timeout=_WAKE_S)
        return True

    def _wake(self) -> None:
        with contextlib.suppress(IndexError, RuntimeError):  # nobody there, or awake already
            self._queue[0].turn.release()

    def _refuse_second_entry(self) -> None:
        if self.is_mine:
            raise StoreBusyError(
                "This thread is using the store already: the call came from a signal handler, a finalizer, a progress "
                "callback or inside Gate.released(). Call it after that."
            )


class Held:
    """A block inside a `FairLock`; leaving more than once, or without having entered, does nothing.

    So who must be sure of leaving wherever Ctrl-C strikes can note `__exit__` before entering.
    """

    __slots__ = ("_lock", "_ticket")

    def __init__(self, lock: FairLock) -> None:
        self._lock = lock
        self._ticket = Ticket()

    def __enter__(self) -> None:
        """Wait for the turn.

        Raises:
            StoreBusyError: This thread is inside already.
        """
        lock = self._lock
        if lock._queue:
            lock._refuse_second_entry()
        try:
            lock._queue.append(self._ticket)
            lock._wait(self._ticket)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        """Leave and wake the next."""
        with contextlib.suppress(ValueError):
            self._lock._queue.remove(self._ticket)
            self._lock._wake()


class ProcessLock:
    """An exclusive lock between processes on a file beside the store, freed by the system when a process dies.

    The descriptor stays open between uses. Waiting is by short sleeps, so that it can end after `timeout_s`.
    """

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, timeout_s: float) -> None:
        """Wait for the lock; call `release` in a `finally` that also covers this call.

        Raises:
            StoreBusyError: Another process kept it for longer than `timeout_s`.
        """
        descriptor = self._descriptor
        if descriptor is None:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            self._descriptor = descriptor
        if _try_lock(descriptor):
            return
        deadline = time.monotonic() + timeout_s
        pause = 0.00005
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise StoreBusyError(
                    f"The store of {self.path!r} stayed locked by another process for {timeout_s:g} s. "
                    "Wait for that process, end it, or allow more time with timeout_s."
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.002)

    def release(self) -> None:
        """Let go; does nothing where the lock is not held."""
        if self._descriptor is not None:
            _unlock(self._descriptor)

    @property
    def is_of_what_lies_there(self) -> bool:
        """True while the file that is open is the one that lies at `path`."""
        try:
            return self._descriptor is not None and os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Close the descriptor until the next use."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        with contextlib.suppress(PermissionError):  # it was not held
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

    # What a file system answers that has no such locks; there the store is in rollback mode and SQLite's own serve.
    _NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

    _LOCK = LOCK_EX | LOCK_NB

    def _try_lock(descriptor: int) -> bool:
        try:
            flock(descriptor, _LOCK)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True

    def _unlock(descriptor: int) -> None:
        try:
            flock(descriptor, LOCK_UN)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise


@contextlib.contextmanager
def shared_with_nobody_last(path: str) -> Iterator[None]:
    """Keep SQLite from believing that a connection it closes in this block is the last one of the file.

    The last one copies its WAL into the file and deletes the WAL *by name*. A connection whose WAL was taken from it
    would delete another process's. Where Python cannot tell SQLite not to (before 3.12), a read lock of the kind that
    belongs to the descriptor stands in the way of SQLite's exclusive one; only Linux has it.
    """
    if sys.platform != "linux" or not hasattr(fcntl, "F_OFD_SETLK"):
        yield
        return
    import struct

    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # struct flock: type, whence, start, length, process. SQLite's shared locks are 510 bytes from here on.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_RDLCK, 0, 0x40000000 + 2, 510, 0))
        yield
    finally:
        os.close(descriptor)
