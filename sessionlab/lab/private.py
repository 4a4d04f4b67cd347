"""The private folder that a lab spills into, and the clearing away of those that killed processes left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile

from sessionlab.errors import HistoryFileError, StoreBusyError
from sessionlab.store.lock import ProcessLock

_PREFIX = "sessionlab-"
# By this name a folder is known as one of ours; whoever uses the folder holds the lock on it.
LOCK_NAME = ".in-use-by-a-sessionlab-lab"


class PrivateFolder:
    """A new folder (mode 0700) in the system's temporary folder, locked while it is used.

    What spills there is text of sessions, and a process that is killed cannot remove it. So each new one first removes
    those of this user that nobody holds any more. The system frees a lock when its process dies, however it dies.

    Attributes:
        path: The folder.

    Raises:
        HistoryFileError: No such folder can be made.
    """

    def __init__(self) -> None:
        self.path, self._lock = _made_and_locked()
        _clear_away_what_was_left(os.path.dirname(self.path), self.path)

    def remove(self) -> None:
        """Let go of the folder and remove it with all that is in it; doing it again does nothing."""
        self._lock.close()  # Windows removes no file that is open
        shutil.rmtree(self.path, ignore_errors=True)

    def leave_to_parent(self) -> None:
        """Let go of the folder in a forked child; the lock is the parent's as long as that has it open."""
        self._lock.close()


def _made_and_locked() -> tuple[str, ProcessLock]:
    try:
        while True:
            path = tempfile.mkdtemp(prefix=_PREFIX)
            lock = ProcessLock(os.path.join(path, LOCK_NAME))
            # Another process may take it for one that was left, before it is locked; then that one removes it.
            with contextlib.suppress(StoreBusyError, FileNotFoundError):
                lock.acquire(0)
                if lock.is_of_what_lies_there:
                    return path, lock
            lock.close()
    except OSError as error:
        raise HistoryFileError(
            f"No private folder can be made to read histories with: {error}. Make room in the system's temporary "
            "folder, or name another one by the environment variable TMPDIR."
        ) from error


def _clear_away_what_was_left(parent: str, own: str) -> None:
    """Remove the folders of dead processes; one that cannot be looked at or removed is another user's or in use."""
    with contextlib.suppress(OSError):
        if not _tells_locks_apart(own):
            return
        with os.scandir(parent) as entries:
            found = [entry.path for entry in entries if entry.name.startswith(_PREFIX) and entry.path != own]
        for path in found:
            if _is_ours(path):
                _remove_if_left(path)


def _is_ours(path: str) -> bool:
    try:
        folder = os.lstat(path)
        lock = os.lstat(os.path.join(path, LOCK_NAME))
    except OSError:
        return False
    is_mine = not hasattr(os, "getuid") or folder.st_uid == lock.st_uid == os.getuid()
    return is_mine and stat.S_ISDIR(folder.st_mode) and stat.S_ISREG(lock.st_mode)


def _remove_if_left(path: str) -> None:
    lock = ProcessLock(os.path.join(path, LOCK_NAME))
    try:
        with contextlib.suppress(StoreBusyError, OSError):
            lock.acquire(0)
            if os.name == "nt":
                lock.close()  # an open file cannot be removed there
            shutil.rmtree(path, ignore_errors=True)
    finally:
        lock.close()


def _tells_locks_apart(own: str) -> bool:
    """Return whether a lock that somebody holds is refused here; some file systems have none and refuse nothing."""
    second = ProcessLock(os.path.join(own, LOCK_NAME))
    try:
        second.acquire(0)
    except StoreBusyError:
        return True
    finally:
        second.close()
    return False
