"""The histories that can be read: one module of this folder is one tool, and where SQL does it, one .sql beside it."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One tool whose histories can be read.

    Attributes:
        name: The `source` column of the frames.
        default_paths: Where the tool keeps its files on this machine; they need not be there.
        columns: The tables and columns by which a SQLite file is recognised as the tool's.
        facts: A SELECT for each table of facts, with the columns that `lab/incoming.py` lists, in words that both
            SQLite and DuckDB understand. It takes the rows of `:after < key <= :until`.
        texts: The same for the wide texts: `message` gives key, content and reasoning, `tool_call` key and arguments.
        reading: `by_key`: rows are only added, with keys that rise in the order of commits, and `state` tells how far
            the file is. `whole`: the file is read again as a whole when it has changed.
        state: A SELECT of one row: the file's identity, its largest key, and a number that rises when rows go.
        range: A SELECT of the key at which `:count` messages after `:after` end, NULL where there are none; keys may
            have wide gaps.
    """

    name: str
    default_paths: Callable[[], Sequence[str]]
    columns: Mapping[str, frozenset[str]]
    facts: Mapping[str, str]
    texts: Mapping[str, str]
    reading: Literal["by_key", "whole"]
    state: str
    range: str

    def recognises(self, tables: Mapping[str, frozenset[str]]) -> bool:
        """Return True where a file with these tables and columns is the tool's."""
        return all(columns <= tables.get(table, frozenset()) for table, columns in self.columns.items())


@cache
def all_sources() -> Mapping[str, Source]:
    """Return every source by its name; a module of this folder that has a `SOURCE` is one."""
    found: dict[str, Source] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        source = getattr(importlib.import_module(f"{__name__}.{module.name}"), "SOURCE", None)
        if isinstance(source, Source):
            found[source.name] = source
    return found


def sections(module_file: str) -> Mapping[str, str]:
    """Return the statements of the .sql file beside a module, by the names in their lines `-- name: …`."""
    with open(os.path.splitext(module_file)[0] + ".sql", encoding="utf-8") as file:
        parts = re.split(r"^-- name: (\w+)\n", file.read(), flags=re.MULTILINE)
    return {name: text.strip().rstrip(";") for name, text in zip(parts[1::2], parts[2::2], strict=True)}
