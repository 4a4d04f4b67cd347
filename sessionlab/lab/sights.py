"""Whose files of records there are, by their names and their beginnings."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator, Sequence

from sessionlab.lab.files import Stamp, first_records, stamp_of
from sessionlab.sources import TreeSource, all_sources

_SQLITE = b"SQLite format 3\0"


class Sights:
    """What was seen of files; each is looked into once, or again while it does not say whose it is."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Stamp | None, Sequence[TreeSource], bool]] = {}

    def of_named(self, path: str) -> TreeSource | None:
        """Return the tool of a file that a user named; None where it is none of these.

        Raises:
            OSError: The file cannot be read.
        """
        with open(path, "rb") as file:
            if file.read(len(_SQLITE)) == _SQLITE:
                return None
        sources, is_sure = _look_into(path, [s for s in all_sources() if isinstance(s, TreeSource)])
        return sources[0] if is_sure else None

    def of_tool(self, source: TreeSource, paths: Iterable[str]) -> Iterator[str]:
        """Return the files in a tool's own place that are the tool's, or may be."""
        for path in paths:
            if source in self._look(path)[0]:
                yield path

    def of_folder(self, paths: Iterable[str]) -> list[tuple[TreeSource, str]]:
        """Return the files of known tools in any folder; one that does not say is of the tool of those beside it."""
        sure: list[tuple[TreeSource, str]] = []
        unsure: list[tuple[Sequence[TreeSource], str]] = []
        for path in paths:
            sources, is_sure = self._look(path)
            if is_sure:
                sure.append((sources[0], path))
            elif sources:
                unsure.append((sources, path))
        folders = {(source.name, os.path.dirname(path)) for source, path in sure}
        for sources, path in unsure:
            beside = [source for source in sources if (source.name, os.path.dirname(path)) in folders]
            if len(beside) == 1:
                sure.append((beside[0], path))
        return sorted(sure, key=lambda found: found[1])

    def _look(self, path: str) -> tuple[Sequence[TreeSource], bool]:
        """Return which tools a file may be of, and whether that is sure."""
        seen = self._seen.get(path)
        if seen is not None and seen[2]:
            return seen[1], True
        name = os.path.basename(path)
        named = [
            source
            for source in all_sources()
            if isinstance(source, TreeSource) and any(fnmatch.fnmatch(name, pattern) for pattern in source.names)
        ]
        if not named:
            return (), False
        stamp = stamp_of(path)
        if seen is None or seen[0] != stamp:
            try:
                found, is_sure = _look_into(path, named)
            except OSError:
                found, is_sure = named, False
            seen = self._seen[path] = (stamp, found, is_sure)
        return seen[1], seen[2]


def _look_into(path: str, sources: Sequence[TreeSource]) -> tuple[Sequence[TreeSource], bool]:
    records = first_records(path)
    unsure = []
    for source in sources:
        verdict = source.recognises_file(path, records)
        if verdict:
            return [source], True
        if verdict is None:
            unsure.append(source)
    return unsure, False
