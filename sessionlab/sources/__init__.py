"""The histories that can be read: one module of this folder is one tool, and where SQL does it, one .sql beside it."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that could not be read.

    Attributes:
        record: What it is, in the tool's words, such as `messages 17`.
        reason: What is wrong with it, and what became of it.
        line: Its line, in a file that has lines.
        origin: The file, where it is not the history itself.
    """

    record: str
    reason: str
    line: int | None = None
    origin: str | None = None


Tables = Mapping[str, frozenset[str]]
"""Names of tables, each with the names of its columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One tool whose histories can be read; one of its two kinds says how.

    Attributes:
        name: The `source` column of the frames.
        default_paths: Where the tool keeps its files on this machine; they need not be there.
        fingerprints: The tables and columns by which a SQLite file is recognised as the tool's; any one will do.
    """

    name: str
    default_paths: Callable[[], Sequence[str]]
    fingerprints: Sequence[Tables]

    def recognises(self, tables: Tables) -> bool:
        """Return True where a file with these tables and columns is the tool's."""
        return any(
            all(columns <= tables.get(table, frozenset()) for table, columns in fingerprint.items())
            for fingerprint in self.fingerprints
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedSource(Source):
    """A tool whose rows are only added, with keys that rise in the order of commits; only new ones are read again.

    Attributes:
        facts: A SELECT for each table of facts, with the columns that `lab/incoming.py` lists, in words that both
            SQLite and DuckDB understand. It takes the rows of `:after < key <= :until`.
        texts: The same for the wide texts: `message` gives key, content and reasoning, `tool_call` key and arguments.
        state: A SELECT of one row: the file's identity, its largest key, and a number that rises when rows go.
        range: A SELECT of the key at which `:count` messages after `:after` end, NULL where there are none; keys may
            have wide gaps.
    """

    facts: Mapping[str, str]
    texts: Mapping[str, str]
    state: str
    range: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFiles:
    """Files of a tool beside its history, which are looked for where a user named the folder that holds both.

    Attributes:
        pattern: Their names, such as `session-*.jsonl`.
        tables: The tables that they give, with their columns.
        read: Returns the rows of each table, and what could not be read.
    """

    pattern: str
    tables: Mapping[str, Sequence[str]]
    read: Callable[[Sequence[str]], tuple[Mapping[str, Sequence[Sequence[str | None]]], Sequence[Problem]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeSource(Source):
    """A tool whose file is read as a whole, and again when it has changed.

    Attributes:
        tables: The tables that are read, with their columns; what else the file holds is never looked at. The
            statements find them as `raw.<table>`: every column as text, whatever the file says, and `_row`, the row's
            number. A table or column that the file lacks is empty or NULL.
        narrow: For columns of wide text, an expression of what the facts need of it: while no text is asked for, that
            is read instead of it.
        plain_texts: Wide texts that lie in a raw table as they are: its name, and the columns that are the content and
            the reasoning of a message, or the arguments of a tool call (None: there is none). `_row` is then the key.
            Such texts need no statement.
        statements: What DuckDB runs over them. `prepare` comes first and may make tables in `raw`. `message_text` and
            `tool_call_text` give one row for each row of the facts. Before the facts comes `prepare_facts`, then one
            SELECT for each table of facts, with the columns that `lab/incoming.py` lists, in the order of its keys,
            and `problem`: the record and the reason of everything that could not be read. `raw.file_id()` is a short
            name of the file, for ids that two files might share; what else there is for all says `lab/statements.sql`.
        side_files: What else may be read, if it is there.
    """

    tables: Mapping[str, Sequence[str]]
    statements: Mapping[str, str]
    narrow: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    plain_texts: Mapping[str, tuple[str, *tuple[str | None, ...]]] = field(default_factory=dict)
    side_files: SideFiles | None = None


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
