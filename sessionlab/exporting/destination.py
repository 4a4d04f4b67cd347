"""The folder that an export goes to: everything is written beside it first, and appears when it is whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from typing import IO, TYPE_CHECKING, Self

from sessionlab.errors import ExportError, SessionLabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
_PREFIX, _SUFFIX = ".sessionlab-export-", ".partial"


class Destination:
    """A folder with the files and folders that an export puts there; a context manager.

    Files are written to a private folder (mode 0700, its files 0600) on the same disk, and moved to their names at the
    end. Whatever fails or is interrupted before leaves the names as they were; only a kill leaves the private folder.

    Args:
        folder: Where to; it is made if it is not there.
        entries: The names that the export puts into it.
        ending: How the names of its files end; a folder that holds others is none of ours and is never replaced.
        force: Replace what an export left there.
        histories: Files and folders of the histories that are read; they are never written over.

    Raises:
        ExportError: Something is there that must stay, or the folder cannot be written.
    """

    def __init__(
        self, folder: str, *, entries: Sequence[str], ending: str, force: bool, histories: Sequence[str]
    ) -> None:
        self.folder = os.path.abspath(os.path.expanduser(folder))
        self.entries = tuple(entries)
        self.files = 0
        self.size_bytes = 0
        self._ending = ending
        self._force = force
        self._private = ""
        self._check(histories)

    def __enter__(self) -> Self:
        with self.failing():
            above = self.folder if os.path.isdir(self.folder) else os.path.dirname(self.folder)
            os.makedirs(above, exist_ok=True)
            self._private = tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=above)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with self.failing():
                    self._put_in_place()
        finally:
            shutil.rmtree(self._private, ignore_errors=True)

    def create(self, name: str) -> IO[bytes]:
        """Open a new file, by its name within the folder with / between its parts, to be written."""
        path = os.path.join(self._private, *name.split("/"))
        self.make_folder(os.path.dirname(path))
        with self.failing():
            file = os.fdopen(os.open(path, _NEW, 0o600), "wb")
        self.files += 1
        return file

    def make_folder(self, name: str) -> None:
        """Make a folder within the folder, mode 0700, if it is not there."""
        with self.failing():
            above = self._private
            for part in os.path.relpath(os.path.join(above, name), above).split(os.sep):
                above = os.path.join(above, part)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(above, 0o700)

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Tell of what the disk refuses by an `ExportError`."""
        try:
            yield
        except SessionLabError:
            raise
        except OSError as error:
            raise ExportError(
                f"The export to {self.folder!r} failed: {error.strerror or error}. Nothing was changed there; "
                "make room, or choose a folder that can be written."
            ) from error

    def _check(self, histories: Sequence[str]) -> None:
        if os.path.lexists(self.folder) and not os.path.isdir(self.folder):
            raise ExportError(f"{self.folder!r} is a file. An export needs a folder; choose another name.")
        folder = os.path.realpath(self.folder)
        for history in map(os.path.realpath, histories):
            if os.path.isdir(history) and _is_within(folder, history):
                raise ExportError(
                    f"{self.folder!r} lies in the history {history!r}, where the export would be read as one. "
                    "Choose another folder."
                )
            for entry in self.entries:
                if _is_within(history, os.path.join(folder, entry)):
                    raise ExportError(f"{history!r} is a history; it is not written over. Choose another folder.")
        for entry in self.entries:
            path = os.path.join(self.folder, entry)
            if not os.path.lexists(path):
                continue
            if not self._force:
                raise ExportError(
                    f"{path!r} is there already. Choose another folder, or force=True (--force) to write over it."
                )
            if not self._is_of_an_export(path):
                raise ExportError(
                    f"{path!r} holds what no export has put there, so it is not replaced. Choose another folder."
                )

    def _is_of_an_export(self, path: str) -> bool:
        if os.path.islink(path):
            return False
        if not os.path.isdir(path):
            return os.path.isfile(path)
        return all(
            file.endswith(self._ending) and not os.path.islink(os.path.join(above, file))
            for above, _, files in os.walk(path)
            for file in files
        )

    def _put_in_place(self) -> None:
        self.size_bytes = sum(
            os.path.getsize(os.path.join(above, file)) for above, _, files in os.walk(self._private) for file in files
        )
        if not os.path.isdir(self.folder):
            os.rename(self._private, self.folder)
            return
        moved: list[tuple[str, str]] = []  # from where, to where; undone from the end if one fails
        aside = os.path.join(self._private, ".before")
        os.mkdir(aside, 0o700)
        try:
            for entry in self.entries:
                path = os.path.join(self.folder, entry)
                if os.path.lexists(path):
                    if not self._force:
                        raise ExportError(f"{path!r} came while the export was made. Choose another folder.")
                    moved.append((path, os.path.join(aside, entry)))
                    os.rename(*moved[-1])
                moved.append((os.path.join(self._private, entry), path))
                os.rename(*moved[-1])
        except BaseException:
            for before, now in reversed(moved):
                if os.path.lexists(now) and not os.path.lexists(before):
                    os.rename(now, before)
            raise


def _is_within(path: str, folder: str) -> bool:
    path, folder = os.path.normcase(path), os.path.normcase(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
