"""Which histories a lab is of: named files, those in named folders, or every one that is found."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sessionlab.errors import HistoryFileError, warn
from sessionlab.lab.attach import Attachment, Signature, is_busy, signature_of
from sessionlab.lab.copying import Copy
from sessionlab.lab.engine import Engine
from sessionlab.lab.incoming import Kind
from sessionlab.lab.keyed import KeyedCopy
from sessionlab.lab.raw import columns_of
from sessionlab.lab.whole import WholeCopy
from sessionlab.model import storable
from sessionlab.sources import KeyedSource, Source, WholeSource, all_sources

Path = str | os.PathLike[str]

SUFFIXES = (".db", ".sqlite", ".sqlite3")


def absolute(path: Path) -> str:
    """Return a path that a user named as an absolute one.

    Raises:
        HistoryFileError: It is no path.
    """
    try:
        given = os.fspath(path)
    except TypeError:
        given = None
    if not isinstance(given, str) or not given or "\0" in given:
        raise HistoryFileError(f"{path!r} is no path of a file. Give a path, for example 'history.db'.")
    return os.path.abspath(os.path.expanduser(given))


class Histories:
    """The histories of a lab, each with its copy.

    A file that was named must be readable, at first and later. What lies in a named folder or a default place is
    looked for again at each refresh: a new file is added, one that is gone is left out, and one that cannot be read
    is a problem until it changes.

    Raises:
        HistoryFileError: A file or folder that was named holds no history.
    """

    def __init__(self, engine: Engine, paths: Sequence[str]) -> None:
        self._engine = engine
        self._paths = list(paths)
        self._by_path: dict[str, Copy] = {}
        self._failed: dict[str, tuple[Signature, str]] = {}
        self._count = 0
        self.copies: list[Copy] = []
        """In the order of their rows: as they were named, and what was found by source and path."""
        self._look()
        for path in self._paths:
            if os.path.isdir(path) and not any(_is_below(found, path) for found in (*self._by_path, *self._failed)):
                raise HistoryFileError(
                    f"The folder {path!r} holds no history: no file in it ends in {', '.join(SUFFIXES)}. "
                    "Check the path."
                )
        if not self._paths and not self.copies:
            places = [path for source in all_sources().values() for path in source.default_paths()]
            warn(
                f"No history was found, so the frames are empty. Looked at: {', '.join(places)}. "
                "Name a file: sessionlab.open('history.db')."
            )

    @property
    def problems(self) -> list[Mapping[str, Any]]:
        """The files that were found and cannot be read."""
        return [
            {"source": None, "origin": storable(path), "line": None, "record": None, "reason": storable(reason)}
            for path, (_, reason) in self._failed.items()
        ]

    def refresh(self, kinds: Collection[Kind] = ()) -> None:
        """Copy what has come since the last time, and look for files that are new or gone.

        Args:
            kinds: The texts that will be asked for.

        Raises:
            HistoryFileError: A file that was named cannot be read any more.
        """
        if not self._paths or any(os.path.isdir(path) for path in self._paths):
            self._look(kinds)
        else:
            for copy in self.copies:
                copy.refresh(kinds)

    def _look(self, kinds: Collection[Kind] | None = None) -> None:
        """Read what the paths lead to now; at opening, with `kinds` None, what can wait does."""
        copies: list[Copy] = []
        failed = self._failed
        self._failed = {}
        places: list[str | None] = [*self._paths] or [None]
        for path in places:
            if path is not None and not os.path.isdir(path):
                self._read(path, None, kinds)
                copies.append(self._by_path[path])
            else:
                found = _in_default_places() if path is None else self._in_folder(path)
                ready = [copy for one in found if (copy := self._refreshed(one, path, kinds, failed)) is not None]
                copies += sorted(ready, key=lambda copy: (copy.source.name, copy.path))
        kept: dict[object, Copy] = {}
        for copy in copies:
            kept.setdefault(_identity(copy.path), copy)
        self.copies = list(kept.values())
        for gone in set(self._by_path) - {copy.path for copy in self.copies}:
            self._by_path.pop(gone).drop()

    def _refreshed(
        self,
        path: str,
        folder: str | None,
        kinds: Collection[Kind] | None,
        failed: Mapping[str, tuple[Signature, str]],
    ) -> Copy | None:
        """Return the copy of a file that was found, up to date; None, and a problem, where it cannot be read."""
        signature = signature_of(path)
        if path in failed and failed[path][0] == signature:
            self._failed[path] = failed[path]
            return None
        try:
            self._read(path, folder, kinds)
        except HistoryFileError as error:
            # A lock can go without a trace, so such a file is looked at again each time.
            self._failed[path] = (() if is_busy(error.__cause__) else signature, str(error))
            return None
        return self._by_path[path]

    def _in_folder(self, path: str) -> Iterator[str]:
        def note(error: OSError) -> None:
            reason = f"The folder {error.filename!r} cannot be read: {error.strerror}. Check its permissions."
            self._failed[str(error.filename)] = ((), reason)

        for folder, folders, files in os.walk(path, onerror=note):
            folders.sort()
            for name in sorted(files):
                if name.endswith(SUFFIXES):
                    yield os.path.join(folder, name)

    def _read(self, path: str, folder: str | None, kinds: Collection[Kind] | None) -> None:
        """Bring the copy of a file up to date, or make it."""
        if path in self._by_path:
            if kinds is not None:
                self._by_path[path].refresh(kinds)
            return
        _refuse_what_is_no_file(path)
        attachment = Attachment(self._engine.reader, path, self._engine.folder)
        attachment.is_foreign = True  # until it is known to be ours
        with attachment:
            source = _source_of(attachment, path)
        copy = _copy_of(self._engine, source, path, f"h{self._count}", attachment, folder)
        self._count += 1
        try:
            copy.begin()
            if kinds is not None:
                copy.refresh(kinds)
        except BaseException:
            copy.drop()
            raise
        self._by_path[path] = copy


def _in_default_places() -> Iterator[str]:
    for source in all_sources().values():
        for path in source.default_paths():
            if os.path.exists(path):
                yield os.path.abspath(path)


def _identity(path: str) -> object:
    """Return what tells a file apart from others, whatever its names."""
    try:
        status = os.stat(path)
    except OSError:
        return path
    return status.st_dev, status.st_ino


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def _refuse_what_is_no_file(path: str) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise HistoryFileError(f"{path!r} is not there. Check the path; sessionlab.open() finds what is.") from None
    except OSError as error:
        raise HistoryFileError(f"{path!r} cannot be read: {error.strerror}. Check the path.") from error
    if not stat.S_ISREG(status.st_mode):
        raise HistoryFileError(f"{path!r} is neither a file nor a folder. Check the path.")


def _source_of(attachment: Attachment, path: str) -> Source:
    tables = columns_of(attachment)
    for source in all_sources().values():
        if source.recognises(tables):
            return source
    shown = ", ".join(sorted(tables)[:5]) or "none"
    raise HistoryFileError(
        f"{path!r} is a SQLite file of no known tool (its tables: {shown}). "
        f"Known are: {', '.join(all_sources())}. Check the path."
    )


def _copy_of(
    engine: Engine, source: Source, path: str, schema: str, attachment: Attachment, folder: str | None
) -> Copy:
    if isinstance(source, KeyedSource):
        return KeyedCopy(engine, source, path, schema, attachment)
    if isinstance(source, WholeSource):
        return WholeCopy(engine, source, path, schema, attachment, folder)
    raise TypeError(f"{source!r} is of neither kind of source")
