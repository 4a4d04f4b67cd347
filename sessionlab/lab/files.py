"""Files of JSON records: what was read of each, and how DuckDB can read the rest of it."""

from __future__ import annotations

import errno
import glob
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from sessionlab.lab.attach import UNSETTLED_S
from sessionlab.model import storable
from sessionlab.sources import Problem

if TYPE_CHECKING:
    from sessionlab.sources import TreeSource

# A tool that has written within so long may still be about to end its last line.
_LIVE_S = 60.0
_CHECKED_BYTES = 256
_BLOCK = 1 << 20
# How much of a file is looked at to see whose it is.
_HEAD_BYTES = 1 << 14
_HEAD_LINES = 5
# A first line may hold pictures.
_LINE_BYTES = 1 << 26
_HALVES = re.compile("[\ud800-\udfff]")

Stamp = tuple[int, int, int, int]


@dataclass(slots=True, eq=False)
class RecordsFile:
    """A file, and how far it was read.

    Attributes:
        path: The file.
        root: The folder or file that was named to find it.
        number: Its own, as long as the copy lives.
        generation: Rises when more of it was read, or nothing holds any more.
        stamp: What it was when it was last read; None before that.
        offset: The bytes that were read: up to the end of a line.
        line_count: The records that were read.
        last_bytes: What stands before `offset`, by which a file that was only added to is told from another one.
        needs_mending: DuckDB refuses a line of it.
        has_cut_line: Its last line is not whole.
        problems: What could not be read of it.
    """

    path: str
    root: str
    number: int
    generation: int = 0
    stamp: Stamp | None = None
    is_settled: bool = True
    offset: int = 0
    line_count: int = 0
    last_bytes: bytes = b""
    needs_mending: bool = False
    has_cut_line: bool = False
    problems: list[Problem] = field(default_factory=list)

    def forget(self) -> None:
        """Be as if nothing had been read."""
        self.generation += 1
        self.stamp, self.offset, self.line_count, self.last_bytes = None, 0, 0, b""
        self.needs_mending = self.has_cut_line = False
        self.problems = []

    def has_changed(self) -> bool:
        """Return whether the file is not what was read."""
        return not self.is_settled or self.stamp != stamp_of(self.path)

    def has_grown_only(self) -> bool:
        """Return whether what was read still stands at its place."""
        now = stamp_of(self.path)
        if self.stamp is None or now is None or now[0] != self.stamp[0] or now[1] < self.offset:
            return False
        if now[1] == self.stamp[1] and now != self.stamp:
            return False  # written anew
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset - len(self.last_bytes))
                return file.read(len(self.last_bytes)) == self.last_bytes
        except OSError:
            return False

    @property
    def all_problems(self) -> list[Problem]:
        """What could not be read, with a last line that nobody will end."""
        cut = self.has_cut_line and self.stamp is not None and time.time() - self.stamp[2] / 1e9 > _LIVE_S
        end = Problem(
            record="the last line", reason="the file is cut off in it; it is left out", line=self.line_count + 1
        )
        return [*self.problems, *([end] if cut else [])]


@dataclass(frozen=True, slots=True)
class Piece:
    """What DuckDB is to read of a file: the file itself, or a private one with what is new or mended in it.

    Attributes:
        file: Whose it is.
        path: What to read.
        before: The records that come before.
        stamp: What the file was.
        until: Up to which byte this reads it.
        last_bytes: What stands before that.
        has_cut_line: A line is left out that has no end yet.
        problems: What was found on the way.
    """

    file: RecordsFile
    path: str
    before: int
    stamp: Stamp
    until: int
    last_bytes: bytes
    has_cut_line: bool
    problems: list[Problem]

    @property
    def is_direct(self) -> bool:
        """DuckDB reads the file itself, which may change meanwhile."""
        return self.path == self.file.path

    def is_sound(self) -> bool:
        """Return whether it is of the file as it was."""
        return not self.is_direct or stamp_of(self.path) == self.stamp

    def remove(self) -> None:
        """Remove the private file, if there is one."""
        if not self.is_direct and os.path.exists(self.path):
            os.remove(self.path)

    def note(self, count: int) -> None:
        """Note at the file that this was read, and so many records found."""
        file = self.file
        file.generation += 1
        file.stamp, file.offset, file.last_bytes = self.stamp, self.until, self.last_bytes
        # Files that are written anew as a whole can be so twice within the tick of a clock.
        file.is_settled = time.time() - self.stamp[2] / 1e9 > UNSETTLED_S or self.before + count == 0
        file.line_count = self.before + count
        file.has_cut_line = self.has_cut_line
        file.problems += self.problems


def stamp_of(path: str) -> Stamp | None:
    """Return what changes when a file is written; None where it is gone, or is no regular file."""
    try:
        return _stamp(path)
    except OSError:
        return None


def _stamp(path: str) -> Stamp:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for whoever writes to it
        raise OSError(errno.EINVAL, "it is no regular file", path)
    # The time of the last change of anything about a file cannot be set back, as the other one can.
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def first_records(path: str) -> list[dict[str, Any]]:
    """Return the JSON objects in the first lines of a file, so far as they can be read.

    Raises:
        OSError: The file cannot be read.
    """
    _stamp(path)
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
        if len(head) == _HEAD_BYTES and b"\n" not in head:
            head += file.readline(_LINE_BYTES)
            if not head.endswith(b"\n") and file.read(1):
                return []
    if head.startswith(b"PK\x03\x04") or head[257:262] == b"ustar":  # several files, packed but not pressed
        return []
    found = []
    lines = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for line in lines[:_HEAD_LINES]:
        record = _parsed(line)
        if isinstance(record, dict):
            found.append(record)
    return found


def piece_of(file: RecordsFile, source: TreeSource, folder: str, *, until: int | None = None) -> Piece:
    """Return what is to be read of a file: what comes after its `offset`.

    Args:
        file: The file, of which `forget` was called to read all.
        source: Whose it is.
        folder: A private folder.
        until: Read no further than this byte, which ends a line.

    Raises:
        OSError: The file cannot be read.
    """
    stamp = _stamp(file.path)
    private = os.path.join(folder, f"records-{file.number}.jsonl")
    if source.records is not None and source.converts(file.path):
        problems = _convert(source.records(file.path), private)
        return Piece(file, private, 0, stamp, stamp[1], b"", False, problems)
    with open(file.path, "rb") as handle:
        end = until if until is not None else _end_of_lines(handle, file.offset, stamp[1])
        handle.seek(max(0, end - _CHECKED_BYTES))
        last = handle.read(min(end, _CHECKED_BYTES))
        has_cut_line = end < stamp[1] and until is None
        path, problems = file.path, []
        if file.needs_mending:
            path, problems = private, _mend(_lines(handle, file.offset, end), file.line_count, private)
        elif not _can_be_direct(file, end, stamp):
            path = private
            _copy(handle, file.offset, end, private)
    return Piece(file, path, file.line_count, stamp, end, last, has_cut_line, problems)


def _can_be_direct(file: RecordsFile, end: int, stamp: Stamp) -> bool:
    """Return whether DuckDB can be given the file itself: it reads it to its end, and takes the path for a pattern."""
    return (
        file.offset == 0
        and end == stamp[1]
        and time.time() - stamp[2] / 1e9 > UNSETTLED_S
        and storable(file.path) == file.path
        and not glob.has_magic(file.path)
    )


def _end_of_lines(handle: IO[bytes], start: int, size: int) -> int:
    """Return where the last whole line ends; one without an end that is a whole record is one."""
    position, rest, block = size, b"", _CHECKED_BYTES
    while position > start:
        block = min(block, position - start)
        handle.seek(position - block)
        rest = handle.read(block) + rest
        place = rest.rfind(b"\n")
        if place >= 0:
            end = position - block + place + 1
            return size if end < size and _parsed(rest[place + 1 :]) is not None else end
        position -= block
        block = min(block * 4, _BLOCK)
    return size if rest and _parsed(rest) is not None else start


def _parsed(line: bytes) -> Any:
    """Return what a line says; None where it is no JSON."""
    try:
        return json.loads(line.decode("utf-8", "replace").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None


def _copy(handle: IO[bytes], start: int, end: int, target: str) -> None:
    handle.seek(start)
    with _private(target) as copy:
        while start < end:
            block = handle.read(min(_BLOCK, end - start))
            if not block:
                break
            copy.write(block)
            start += len(block)


def _lines(handle: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    handle.seek(start)
    while start < end:
        line = handle.readline(end - start)
        if not line:
            return
        start += len(line)
        if line.strip(b"\r\n\t "):
            yield line


def _mend(lines: Iterator[bytes], before: int, target: str) -> list[Problem]:
    """Write lines so that DuckDB reads each as one record; what Python's JSON refuses too is an empty one."""
    problems = []
    with _private(target) as copy:
        for number, line in enumerate(lines, before + 1):
            record = _parsed(line)
            if not isinstance(record, dict):
                problems.append(
                    Problem(
                        record=f"line {number}",
                        reason="it is no JSON; it is left out" if record is None else "it is no object; it is left out",
                        line=number,
                    )
                )
                record = {}
            elif _is_utf8(line) is False:
                reason = f"it has bytes that are not UTF-8; they were replaced by {chr(0xFFFD)}"
                problems.append(Problem(record=f"line {number}", reason=reason, line=number))
            copy.write(as_line(record).encode() + b"\n")
    return problems


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def as_line(record: Any) -> str:
    """Return a record as a line of JSON, with halves of characters, which no text can hold, replaced."""
    return _HALVES.sub(chr(0xFFFD), json.dumps(record, ensure_ascii=False, separators=(",", ":")))


def _convert(records: Iterator[str | Problem], target: str) -> list[Problem]:
    """Write records as lines, and return the problems among them."""
    problems = []
    with _private(target) as copy:
        for record in records:
            if isinstance(record, Problem):
                problems.append(record)
            else:
                copy.write(_HALVES.sub(chr(0xFFFD), record).encode() + b"\n")
    return problems


def _private(path: str) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
