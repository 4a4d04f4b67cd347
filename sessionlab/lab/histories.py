"""Which histories a lab is of: named files, those in named folders, or every one that is found."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from sessionlab.errors import HistoryFileError, warn
from sessionlab.lab.archived import Archive, ArchiveCopy, claims_of
from sessionlab.lab.attach import Attachment, Signature, is_busy, signature_of
from sessionlab.lab.copying import Copy, Need, problem_row
from sessionlab.lab.engine import Engine
from sessionlab.lab.incoming import Kind
from sessionlab.lab.keyed import KeyedCopy
from sessionlab.lab.raw import columns_of
from sessionlab.lab.sights import Sights
from sessionlab.lab.tree import TreeCopy
from sessionlab.lab.whole import WholeCopy
from sessionlab.sources import KeyedSource, Source, TreeSource, WholeSource, all_sources, source_names
from sessionlab.store.gate import gate_of

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
    is a problem until it changes. What a store has archived of other tools' histories comes after them all; a session
    of which the tool's own file is here too is left out of it.

    Args:
        engine: Where the copies are.
        paths: Files and folders; none means the default places.
        also: Files that are read as well.

    Raises:
        HistoryFileError: A file or folder that was named holds no history.
    """

    def __init__(self, engine: Engine, paths: Sequence[str], also: Sequence[str] = ()) -> None:
        self._engine = engine
        self._paths = list(paths)
        self._also = list(also)
        self._by_path: dict[str, Copy] = {}
        self._archives: dict[str, Archive] = {}
        self._claimed: dict[str, tuple[list[pa.Table], pa.Table]] = {}
        self._trees: dict[str, TreeCopy] = {}
        self._sights = Sights()
        self._failed: dict[str, tuple[Signature, str]] = {}
        self._count = 0
        self.copies: list[Copy] = []
        """In the order of their rows: as they were named, and what was found by source and path."""
        self._look()
        for path in self._paths:
            if os.path.isdir(path) and not any(_is_below(found, path) for found in self._known_paths()):
                raise HistoryFileError(
                    f"The folder {path!r} holds no history of a known tool ({', '.join(source_names())}). "
                    "Check the path."
                )
        if not self._paths and not self.copies:
            places = [path for source in all_sources() for path in source.default_paths()]
            warn(
                f"No history was found, so the frames are empty. Looked at: {', '.join(places)}. "
                "Name a file: sessionlab.open('history.db')."
            )

    @property
    def problems(self) -> list[Mapping[str, Any]]:
        """The files that were found and cannot be read."""
        return [problem_row(None, path, reason) for path, (_, reason) in self._failed.items()]

    def refresh(self, kinds: Collection[Kind] = (), *, need: Need = "facts") -> None:
        """Copy what has come since the last time, and look for files that are new or gone.

        Args:
            kinds: The texts that will be asked for.
            need: What else will be asked for.

        Raises:
            HistoryFileError: A file that was named cannot be read any more.
        """
        self._look(kinds, need=need)

    def read(self, source: str, kinds: Collection[Kind]) -> None:
        """Bring the histories of one tool up to date, as they were found the last time.

        Args:
            source: The tool.
            kinds: The texts that will be asked for.

        Raises:
            HistoryFileError: A file that was named cannot be read any more.
        """
        named = [copy for copy in self.copies if copy.source.name == source]
        for copy in [copy for copy in named if self._by_path.get(copy.path) is copy]:
            try:
                copy.refresh(kinds)
            except HistoryFileError as error:
                if copy.path in self._paths:
                    raise
                self._failed[copy.path] = ((), str(error))
                self.copies.remove(copy)
        self._refresh_trees(kinds, need="facts", source=source)
        for copy in [copy for copy in self.copies if copy.source.name == source and isinstance(copy, ArchiveCopy)]:
            if copy.path not in self._also:
                copy.hidden = self._held_before(copy)
                copy.refresh(kinds)

    def forget(self, source: str) -> None:
        """Let go of the histories of one tool, until they are looked for again."""
        for copy in [copy for copy in self.copies if copy.source.name == source]:
            if not isinstance(copy, ArchiveCopy) and copy.path not in self._also:
                self.copies.remove(copy)
                self._by_path.pop(copy.path, None)
                copy.drop()
        self._trees.pop(source, None)

    def _known_paths(self) -> list[str]:
        return [*self._by_path, *self._failed, *(path for tree in self._trees.values() for path in tree.files)]

    def _look(self, kinds: Collection[Kind] | None = None, *, need: Need = "facts") -> None:
        """Read what the paths lead to now; at opening, with `kinds` None, what can wait does."""
        copies: list[Copy] = []
        failed = self._failed
        self._failed = {}
        files: dict[str, dict[str, str]] = {}
        named: list[str | None] = [*self._paths]
        places = [*(named or [None]), *self._also]
        for place in places:
            if place is not None and not os.path.isdir(place):
                source = self._tree_source_of_named(place)
                if source is None:
                    self._read(place, None, kinds, need)
                    copies.append(self._by_path[place])
                else:
                    files.setdefault(source.name, {})[place] = place
                    copies.append(self._tree(source))
                continue
            databases, trees = self._in_default_places() if place is None else self._in_folder(place)
            ready = [
                (copy.source.name, path, copy)
                for path in databases
                if (copy := self._refreshed(path, place, kinds, need, failed)) is not None
            ]
            for source, path, root in trees:
                if path not in files.setdefault(source.name, {}):
                    files[source.name][path] = root
                    ready.append((source.name, root, self._tree(source)))
            copies += [copy for _, _, copy in sorted(ready, key=lambda found: found[:2])]
        kept: dict[object, Copy] = {}
        for copy in copies:
            kept.setdefault(_identity(copy.path) if not isinstance(copy, TreeCopy) else copy.source.name, copy)
        self.copies = list(kept.values())
        for name in set(self._trees) - set(files):
            self._trees.pop(name).drop()
        for name, found in files.items():
            self._trees[name].look_at(found)
        for gone in set(self._by_path) - {copy.path for copy in self.copies}:
            self._by_path.pop(gone).drop()
            if gone in self._archives:
                self._archives.pop(gone).drop()
        if kinds is not None:
            self._refresh_trees(kinds, need=need)
        self._add_archives(kinds)

    def _add_archives(self, kinds: Collection[Kind] | None) -> None:
        """Add the copies of what the stores have archived, up to date."""
        found: list[Copy] = []
        live = list(self.copies)
        for archive in [self._archives[copy.path] for copy in live if copy.path in self._archives]:
            for _, copy in sorted(archive.copies.items()):
                self.copies = [*live, *found, copy]
                try:
                    if kinds is not None:
                        copy.hidden = self._held_before(copy)
                        copy.refresh(kinds)
                    found.append(copy)
                except HistoryFileError as error:
                    if copy.path in self._paths:
                        raise
                    self._failed[copy.path] = ((), str(error))
        self.copies = [*live, *found]

    def _held_before(self, copy: Copy) -> frozenset[str]:
        """Return the sessions of the tool that the copies before one hold."""
        before = self.copies[: self.copies.index(copy)]
        return frozenset[str]().union(*(other.session_ids for other in before if other.source.name == copy.source.name))

    def _refresh_trees(self, kinds: Collection[Kind], *, need: Need, source: str | None = None) -> None:
        """Bring the copies of files of records up to date; what a database of the tool holds too is left out."""
        for tree in [tree for tree in self._trees.values() if source in (None, tree.source.name)]:
            others = [
                copy
                for copy in self.copies
                if copy.source.name == tree.source.name and not isinstance(copy, TreeCopy | ArchiveCopy)
            ]
            tree.hidden = frozenset[str]().union(*(copy.session_ids for copy in others))
            tree.claimed = self._claims(tree.source.name)
            try:
                tree.refresh(kinds, need=need)
            except HistoryFileError as error:
                if any(root in self._paths and not os.path.isdir(root) for root in tree.roots):
                    raise
                self._failed[tree.path] = ((), str(error))
                self.copies.remove(tree)

    def _claims(self, source: str) -> pa.Table | None:
        """Return what the stores have archived of a tool; the same table while that is the same."""
        parts = claims_of(self._archives.values(), source)
        if len(parts) < 2:
            return parts[0] if parts else None
        held = self._claimed.get(source)
        if held is None or len(held[0]) != len(parts) or any(a is not b for a, b in zip(held[0], parts, strict=True)):
            held = self._claimed[source] = (parts, pa.concat_tables(parts))
        return held[1]

    def _tree(self, source: TreeSource) -> TreeCopy:
        if source.name not in self._trees:
            self._trees[source.name] = TreeCopy(self._engine, source, f"h{self._count}")
            self._count += 1
        return self._trees[source.name]

    def _tree_source_of_named(self, path: str) -> TreeSource | None:
        """Return the tool whose records a file that a user named holds; None for a SQLite file."""
        if path in self._by_path:
            return None
        _refuse_what_is_no_file(path)
        for tree in self._trees.values():
            if path in tree.files:
                return tree.source
        try:
            # Closing a SQLite file would drop the locks that a recorder of this process has on it.
            with gate_of(path).released():
                return self._sights.of_named(path)
        except OSError as error:
            if isinstance(error, HistoryFileError):
                raise
            raise HistoryFileError(f"{path!r} cannot be read: {error.strerror}. Check its permissions.") from error

    def _refreshed(
        self,
        path: str,
        folder: str | None,
        kinds: Collection[Kind] | None,
        need: Need,
        failed: Mapping[str, tuple[Signature, str]],
    ) -> Copy | None:
        """Return the copy of a file that was found, up to date; None, and a problem, where it cannot be read."""
        signature = signature_of(path)
        if path in failed and failed[path][0] == signature:
            self._failed[path] = failed[path]
            return None
        try:
            self._read(path, folder, kinds, need)
        except HistoryFileError as error:
            # A lock can go without a trace, so such a file is looked at again each time.
            self._failed[path] = (() if is_busy(error.__cause__) else signature, str(error))
            return None
        return self._by_path[path]

    def _in_folder(self, path: str) -> tuple[list[str], list[tuple[TreeSource, str, str]]]:
        """Return the databases in a folder, and the files of records: their tool, path and the folder."""
        found = list(self._files_below(path))
        trees = self._sights.of_folder([one for one in found if not one.endswith(SUFFIXES)])
        folders: dict[str, list[str]] = {}
        for source, one in trees:
            folders.setdefault(source.name, []).append(os.path.dirname(one))
        # A folder may hold the files of several tools, each in a place of its own.
        roots = {name: os.path.commonpath(of_tool) for name, of_tool in folders.items()}
        return [one for one in found if one.endswith(SUFFIXES)], [(s, one, roots[s.name]) for s, one in trees]

    def _in_default_places(self) -> tuple[list[str], list[tuple[TreeSource, str, str]]]:
        """Return the same of all places where tools keep their histories."""
        databases = []
        trees = []
        for source in all_sources():
            for place in map(os.path.abspath, source.default_paths()):
                if isinstance(source, TreeSource):
                    found = self._sights.of_tool(source, self._files_below(place))
                    trees += [(source, path, place) for path in found]
                elif os.path.exists(place):
                    databases.append(place)
        return databases, trees

    def _files_below(self, path: str) -> Iterator[str]:
        def note(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                reason = f"The folder {error.filename!r} cannot be read: {error.strerror}. Check its permissions."
                self._failed[str(error.filename)] = ((), reason)

        if os.path.isfile(path):
            yield path
            return
        for folder, folders, names in os.walk(path, onerror=note):
            folders.sort()
            for name in sorted(names):
                yield os.path.join(folder, name)

    def _read(self, path: str, folder: str | None, kinds: Collection[Kind] | None, need: Need) -> None:
        """Bring the copy of a file up to date, or make it."""
        if path in self._by_path:
            if kinds is not None:
                self._by_path[path].refresh(kinds, need=need)
                self._read_archive(path)
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
                copy.refresh(kinds, need=need)
        except BaseException:
            copy.drop()
            raise
        self._by_path[path] = copy
        self._read_archive(path)

    def _read_archive(self, path: str) -> None:
        """See what the file holds of other tools' histories, if it is a store."""
        copy = self._by_path[path]
        if not isinstance(copy, KeyedCopy):
            return
        archive = self._archives.get(path)
        if archive is None:
            attachment = Attachment(self._engine.reader, path, self._engine.folder)
            archive = self._archives[path] = Archive(self._engine, copy, attachment)
        archive.refresh()


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
    for source in all_sources():
        if source.recognises(tables):
            return source
    if {"migration", "counter"} <= set(tables):
        raise HistoryFileError(
            f"{path!r} is a store of a sessionlab whose tables this one does not know. "
            "Update it: pip install --upgrade sessionlab."
        )
    shown = ", ".join(sorted(tables)[:5]) or "none"
    raise HistoryFileError(
        f"{path!r} is a SQLite file of no known tool (its tables: {shown}). "
        f"Known are: {', '.join(source_names())}. Check the path."
    )


def _copy_of(
    engine: Engine, source: Source, path: str, schema: str, attachment: Attachment, folder: str | None
) -> Copy:
    if isinstance(source, KeyedSource):
        return KeyedCopy(engine, source, path, schema, attachment)
    if isinstance(source, WholeSource):
        return WholeCopy(engine, source, path, schema, attachment, folder)
    raise TypeError(f"{source!r} is of neither kind of source")
