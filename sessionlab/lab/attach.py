"""Let DuckDB read a SQLite file without changing anything near it, and without taking a recorder's locks."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sessionlab.errors import HistoryFileError, StoreBusyError
from sessionlab.lab.engine import refuse_interrupt, roll_back
from sessionlab.model import storable
from sessionlab.store.gate import Gate, Released, file_uri, gate_of
from sessionlab.store.lock import ProcessLock

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

_logger = logging.getLogger("sessionlab")
_MAGIC = b"SQLite format 3\0"
_PACKED = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_BUSY_MS = 10_000
_TRIES = 8
# A copy of so much takes about as long as reading it, and room.
_QUIET_BYTES = 256 << 20
UNSETTLED_S = 2.0
"""Within so long after a change another one can leave a file's size and time as they are."""

Signature = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Look:
    """What lies at a path, as far as it decides how it can be read."""

    is_speakable: bool
    is_wal: bool
    has_wal_content: bool
    has_shm: bool
    has_journal: bool
    is_folder_writable: bool
    ends_within_page: bool

    @property
    def is_readable_in_place(self) -> bool:
        if not self.is_speakable:
            return False
        if not self.is_wal:
            return True  # a hot journal shows when SQLite refuses
        return self.has_shm or (not self.has_wal_content and self.is_folder_writable)

    @property
    def needs_tidying(self) -> bool:
        """Reading leaves an empty WAL and its index, which were not there."""
        return self.is_wal and not self.has_shm and not self.has_wal_content


class Attachment:
    """A SQLite file, attached read-only to the reading DuckDB instance as `history`, under the file's gate.

    A context manager. A file that cannot be read in place (a WAL without its index, a hot journal, a folder that may
    not be written to) is read from a private copy in `folder`.

    Attributes:
        path: The file, as the user named it.
        is_foreign: It is another tool's: every column comes as text, since one value of a wrong type would stop a
            scan; a file that was cut off is read as far as it goes; and no copy of it is kept.
        is_quiet: Take a copy instead of a lock where that is quick, since a tool that cannot wait for a lock fails.
        damage: What is wrong with the file as a whole, though it can be read; None where nothing is.

    Raises:
        HistoryFileError: There is no such file, it is no SQLite file, or it cannot be read.
    """

    def __init__(self, reader: duckdb.DuckDBPyConnection, path: str, folder: str) -> None:
        self.path = path
        self.is_foreign = False
        self.is_quiet = False
        self.damage: str | None = None
        self._attached = path
        self._reader = reader
        self._folder = folder
        self.gate: Gate = gate_of(path)
        self._copies: dict[str, Signature] = {}
        self._released: Released | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        self.gate = gate_of(self.path)  # another file may lie there by now
        try:
            self._released = self.gate.released()
            # Before entering, so that Ctrl-C in the middle cannot leave it held.
            self._stack.push(self._released.__exit__)
            self._released.__enter__()
            self._attach()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def leave(self) -> None:
        """Let go of the file; after leaving it does nothing, unless Ctrl-C struck in the middle of that."""
        self._stack.close()
        if self._released is not None:
            self._released.__exit__()

    def give_way(self) -> bool:
        """Let a recorder of this process in, if one waits, and come back; return True if one did."""
        if not self.gate.is_awaited:
            return False
        self.__exit__(None, None, None)
        self.__enter__()
        return True

    def commits(self) -> tuple[bytes, bytes] | None:
        """Return what changes with each commit, however quick, under the gate: closing the file drops its locks."""
        gate = gate_of(self.path)
        with gate.released():
            return _commits_of(gate.path)

    def rows(self, sql: str) -> duckdb.DuckDBPyConnection:
        """Run a SELECT of SQLite's; every column comes as text."""
        import duckdb

        try:
            return self._reader.execute("select * from sqlite_query('history', $1)", [sql])
        except UnicodeDecodeError as error:  # the message quotes a name in the file that is not UTF-8
            raise duckdb.InvalidInputException(error.object.decode("utf-8", "replace")) from error

    @contextlib.contextmanager
    def sqlite(self) -> Iterator[sqlite3.Connection]:
        """Let Python's SQLite read the file instead of DuckDB, in one transaction; text comes as bytes."""
        self._detach()
        connection = sqlite3.connect(
            file_uri(self._attached, "mode=ro"), uri=True, isolation_level=None, timeout=_BUSY_MS / 1000
        )
        try:
            connection.text_factory = bytes
            connection.execute("begin")
            yield connection
        finally:
            connection.close()

    def _attach(self) -> None:
        look = _look_at(self.gate.path, self.path)
        self.damage = None
        if self.is_quiet and self._attach_quietly(look):
            return
        may_be_cut_off = self.is_foreign and not (look.has_journal or look.has_wal_content)
        if may_be_cut_off and look.ends_within_page and self._attach_cut_off():
            return
        if look.is_readable_in_place:
            if look.needs_tidying:
                self._stack.callback(_tidy, self.gate.path)
            try:
                self._attach_file(self.gate.path)
            except HistoryFileError as error:
                # A copy of a file that somebody is writing would be torn.
                if is_busy(error.__cause__):
                    if self.is_foreign and self._attach_quietly(look):
                        return
                    raise
                if may_be_cut_off and self._attach_cut_off():
                    return
                if not (look.has_journal or look.is_wal):
                    raise
            else:
                return
        self._attach_file(self._copy(look))

    def _attach_quietly(self, look: _Look) -> bool:
        """Attach a copy that was taken without a lock, and return True; False where only a lock makes it whole.

        In rollback mode a file is whole while it has no journal, and each commit counts in its header.
        """
        path = self.gate.path
        if look.is_wal or look.ends_within_page or _size(path) > _QUIET_BYTES:
            return False
        target = self._new_copy()
        for _ in range(_TRIES):
            before = signature_of(path), _commits_of(path)
            if before[0][2] is not None:
                return False
            try:
                _copy_files(path, target, [""])
            except OSError:  # there may be no room for a copy
                return False
            if before[1] is not None and (signature_of(path), _commits_of(path)) == before:
                break
        else:
            return False
        try:
            self._attach_file(target)
        except HistoryFileError:
            return False
        return True

    def _attach_cut_off(self) -> bool:
        """Attach a copy of a file that has lost its end, made as long as it says it is; False where it has not.

        SQLite refuses a file that is shorter than it says, as a whole. Of one with empty pages it reads the others.
        """
        target = self._new_copy()
        try:
            _copy_files(self.gate.path, target, [""])
            with open(target, "r+b") as file:
                head = file.read(100)
                page = _page_size(head)
                said, there = int.from_bytes(head[28:32]), os.path.getsize(target) // page
                if len(head) < 100 or not 0 < there < said:
                    return False
                file.truncate(there * page)  # half a page can be taken for other rows
                file.truncate(said * page)
            self._attach_file(target)
        except OSError:  # of which our own error is one
            return False
        self.damage = f"the file is cut off: it has {there:,} of its {said:,} pages. A backup may have more"
        return True

    @property
    def _place_of_copy(self) -> str:
        return os.path.join(self._folder, f"{self.gate.identity[0]:x}-{self.gate.identity[1]:x}.db")

    def _new_copy(self) -> str:
        """Return the path of a private copy to make, which is gone once the file is left."""
        target = self._place_of_copy
        self._copies.pop(target, None)
        self._stack.callback(_remove, target)
        return target

    def _attach_file(self, path: str) -> None:
        import duckdb

        quoted = path.replace("'", "''")
        try:
            self._stack.callback(self._detach)
            self._detach()  # what Ctrl-C may have left
            self._attached = path
            self._reader.execute(f"set sqlite_all_varchar = {str(self.is_foreign).lower()}")
            self._reader.execute(f"attach '{quoted}' as history (type sqlite, read_only, busy_timeout {_BUSY_MS})")
            self.rows("select count(*) from sqlite_schema").fetchall()
        except duckdb.Error as error:
            self._detach()
            refuse_interrupt(error)
            raise HistoryFileError(
                f"{self.path!r} cannot be read: {str(error).splitlines()[0]} "
                "See that it is whole and that its permissions allow reading."
            ) from error

    def _detach(self) -> None:
        roll_back(self._reader)  # of what Ctrl-C has cut off
        self._reader.execute("use memory; detach database if exists history")

    def _copy(self, look: _Look) -> str:
        """Return the path of a private copy of the file with its WAL or journal, made anew where it has changed."""
        target = self._new_copy() if self.is_foreign else self._place_of_copy  # there may be keys in a foreign one
        parts = ["", "-wal" if look.is_wal else "-journal"]
        signature = signature_of(self.gate.path)
        if self._copies.get(target) == signature:
            return target
        _logger.debug("reading %s from a private copy", self.path)
        self._copies.pop(target, None)
        try:
            for _ in range(_TRIES):
                signature = signature_of(self.gate.path)
                _copy_files(self.gate.path, target, parts)
                if signature == signature_of(self.gate.path):
                    break
            else:
                raise HistoryFileError(f"{self.path!r} changes faster than it can be copied. Try again later.")
        except OSError as error:
            if isinstance(error, HistoryFileError):
                raise
            raise HistoryFileError(
                f"{self.path!r} cannot be copied for reading: {error.strerror}. See that it can be read and that "
                f"there is room in {self._folder!r}."
            ) from error
        _settle(target, self.path)
        if not self.is_foreign and age_s(signature) > UNSETTLED_S:
            self._copies[target] = signature
        return target


def _remove(path: str) -> None:
    for part in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(OSError):
            os.remove(path + part)


def _copy_files(path: str, target: str, parts: list[str]) -> None:
    _remove(target)
    for part in parts:
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(path + part, target + part)
            os.chmod(target + part, 0o600)


def is_busy(error: BaseException | None) -> bool:
    """Return whether SQLite's error, or DuckDB's of it, means that another program holds a lock."""
    return "locked" in str(error) or "busy" in str(error)


def signature_of(path: str) -> Signature:
    """Return what changes when a SQLite file changes: size and times of the file, its WAL and its journal.

    The time of the last change of anything about the file cannot be set back, as programs that copy files do with the
    other one. For the other two it says nothing: as root, SQLite sets their owner whenever it opens them.
    """
    found: list[Any] = []
    real = os.path.realpath(path)  # SQLite keeps the other two beside the file itself, not beside a link to it
    for part in ("", "-wal", "-journal"):
        try:
            status = os.stat(real + part)
            found.append((status.st_ino, status.st_size, status.st_mtime_ns, 0 if part else status.st_ctime_ns))
        except OSError:
            found.append(None)
    return tuple(found)


def _commits_of(path: str) -> tuple[bytes, bytes] | None:
    """Return what changes with each commit of SQLite's, however quick: a number in the header, and the WAL's index.

    None where it cannot be had: the file is gone, or it has a WAL without its index.
    """
    try:
        with open(path, "rb") as file:
            number = file.read(28)[24:]
        if _size(path + "-wal") == 0:
            return number, b""
        with open(path + "-shm", "rb") as file:
            return number, file.read(96)  # what follows are the marks of its readers
    except OSError:
        return None


def age_s(*signatures: Signature) -> float:
    """Return for how long a file, and those beside it, have not changed."""
    times = [part[2] for signature in signatures for part in signature if part is not None]
    return time.time() - max(times, default=0) / 1e9


def _look_at(path: str, shown: str) -> _Look:
    try:
        with open(path, "rb") as file:
            head = file.read(20)
    except OSError as error:
        raise HistoryFileError(f"{shown!r} cannot be read: {error.strerror}. Check its permissions.") from error
    if not head:
        raise HistoryFileError(f"{shown!r} is empty (0 bytes), so there is no history in it. Check the path.")
    if head[:16] != _MAGIC or len(head) < 20:
        remedy = "Unpack it, and name the folder." if head.startswith(_PACKED) else "Check the path."
        raise HistoryFileError(f"{shown!r} is no SQLite file, nor a history of a known tool. {remedy}")
    return _Look(
        is_speakable=storable(path) == path,  # DuckDB takes no path that is not UTF-8
        is_wal=head[19] == 2,  # the version to read by; SQLite goes by it, whatever the one to write by says
        has_wal_content=_size(path + "-wal") > 0,
        has_shm=os.path.exists(path + "-shm"),
        has_journal=_size(path + "-journal") > 0,
        is_folder_writable=os.access(os.path.dirname(path), os.W_OK) and os.access(path, os.W_OK),
        ends_within_page=_size(path) % _page_size(head) > 0,
    )


def _page_size(head: bytes) -> int:
    """Return the bytes of a page by the file's header; a header that is none gives any number."""
    size = int.from_bytes(head[16:18])
    return 65_536 if size == 1 else max(size, 1)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _settle(target: str, shown: str) -> None:
    """Let SQLite bring a private copy in order: take the WAL in, or roll a hot journal back."""
    try:
        connection = sqlite3.connect(target, isolation_level=None)
        try:
            connection.execute("pragma journal_mode = delete")
            connection.execute("select count(*) from sqlite_schema").fetchone()
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where a message quotes what is not UTF-8
        raise HistoryFileError(f"{shown!r} cannot be read: {error}. See that it is whole.") from error


def _tidy(path: str) -> None:
    """Let SQLite remove the empty WAL and index that reading has left: the last to close them does.

    It may copy what another process has written meanwhile into the file, so it is done under the lock of the writers
    where they have one.
    """
    lock = ProcessLock(path + ".lock") if os.path.exists(path + ".lock") else None
    try:
        if lock is not None:
            lock.acquire(_BUSY_MS / 1000)
        connection = sqlite3.connect(file_uri(path, "mode=rw"), uri=True, isolation_level=None)
        try:
            connection.execute("select count(*) from sqlite_schema").fetchone()
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError, OSError, StoreBusyError):
        _logger.debug("%s keeps an empty WAL from being read", path)
    finally:
        if lock is not None:
            lock.release()
            lock.close()
