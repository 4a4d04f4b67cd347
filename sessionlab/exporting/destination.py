"""The folder that an export goes to: everything is written beside it first, and appears when it is whole."""

from __future__ import annotations

import contextlib
import json
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

MANIFEST = ".sessionlab-export.json"
"""Lists what exports have left in a folder, by name and size in bytes; nothing else there is ever replaced."""


class Destination:
    """A folder with the files and folders that an export puts there; a context manager.

    Files are written to a private folder (mode 0700, its files 0600) on the same disk, and moved to their names at the
    end. Whatever fails or is interrupted before leaves the names as they were; only a kill leaves the private folder.

    Args:
        folder: Where to; it is made if it is not there.
        entries: The names that the export puts into it.
        force: Replace what an export left there, as its manifest lists it.
        histories: Files and folders of the histories that are read; they are never written over.

    Raises:
        ExportError: Something is there that must stay, or the folder cannot be written.
    """

    def __init__(self, folder: str, *, entries: Sequence[str], force: bool, histories: Sequence[str]) -> None:
        if not folder:
            raise ExportError("The folder of an export is an empty text. Name a folder; '.' is the current one.")
        self.folder = os.path.abspath(os.path.expanduser(folder))
        self.entries = tuple(entries)
        self.files = 0
        self.size_bytes = 0
        self._force = force
        self._private = ""
        self._made: list[str] = []  # folders above that were made for it
        self._check(histories)

    def __enter__(self) -> Self:
        with self.failing():
            above = self.folder if os.path.isdir(self.folder) else os.path.dirname(self.folder)
            try:
                self._make_above(above)
                self._private = tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=above)
            except BaseException:
                self._remove_made()
                raise
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
            if not os.path.isdir(self.folder):
                self._remove_made()

    def _make_above(self, folder: str) -> None:
        missing = []
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for path in reversed(missing):
            os.mkdir(path)
            self._made.append(path)

    def _remove_made(self) -> None:
        """Remove the folders above that were made for the export, unless something has come into them."""
        with contextlib.suppress(OSError):
            while self._made:
                os.rmdir(self._made.pop())

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
        above = os.path.dirname(self.folder)
        while not os.path.isdir(above):
            if os.path.lexists(above):
                raise ExportError(f"{above!r} is a file, so {self.folder!r} cannot lie in it. Choose another folder.")
            above = os.path.dirname(above)
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
        listed = _listed(self.folder)
        for entry in self.entries:
            path = os.path.join(self.folder, entry)
            if not os.path.lexists(path):
                continue
            if not self._force:
                raise ExportError(
                    f"{path!r} is there already. Choose another folder, or force=True (--force) to write over it."
                )
            for name, size in _sizes(self.folder, entry).items():
                if size is None or listed.get(name) != size:
                    raise ExportError(
                        f"{os.path.join(self.folder, name)!r} is not as an export left it ({MANIFEST} lists what it "
                        "left), so it is not replaced. Choose another folder, or move it away."
                    )

    def _put_in_place(self) -> None:
        written = {
            name: size
            for entry in self.entries
            for name, size in _sizes(self._private, entry).items()
            if size is not None
        }
        self.size_bytes = sum(written.values())
        kept = {name: size for name, size in _listed(self.folder).items() if name.split("/")[0] not in self.entries}
        manifest = os.path.join(self._private, MANIFEST)
        with os.fdopen(os.open(manifest, _NEW, 0o600), "w", encoding="utf-8") as file:
            json.dump({"files": {**kept, **written}}, file, indent=1, sort_keys=True)
        if not os.path.isdir(self.folder):
            os.rename(self._private, self.folder)
            return
        moved: list[tuple[str, str]] = []  # from where, to where; undone from the end if one fails
        aside = os.path.join(self._private, ".before")
        os.mkdir(aside, 0o700)
        try:
            for entry in (*self.entries, MANIFEST):
                path = os.path.join(self.folder, entry)
                if os.path.lexists(path):
                    if not self._force and entry != MANIFEST:
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


def _sizes(folder: str, entry: str) -> dict[str, int | None]:
    """Return the files that an entry of a folder is or holds, by name with / between, with their sizes.

    None stands for what no export makes: a link, or neither file nor folder.
    """
    path = os.path.join(folder, entry)
    if not os.path.isdir(path) or os.path.islink(path):
        return {entry: _size(path)}
    return {
        os.path.relpath(os.path.join(above, name), folder).replace(os.sep, "/"): _size(os.path.join(above, name))
        for above, folders, files in os.walk(path)
        for name in (*files, *(name for name in folders if os.path.islink(os.path.join(above, name))))
    }


def _size(path: str) -> int | None:
    return os.path.getsize(path) if os.path.isfile(path) and not os.path.islink(path) else None


def _listed(folder: str) -> dict[str, int]:
    """Return what the manifest of a folder lists; nothing where there is none that can be read."""
    try:
        with open(os.path.join(folder, MANIFEST), encoding="utf-8") as file:
            files = json.load(file)["files"]
        return {str(name): int(size) for name, size in files.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _is_within(path: str, folder: str) -> bool:
    path, folder = os.path.normcase(path), os.path.normcase(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
