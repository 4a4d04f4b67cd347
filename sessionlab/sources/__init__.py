"""The histories that can be read: one module of this folder is one tool, and where SQL does it, one .sql beside it."""

from __future__ import annotations

import fnmatch
import importlib
import os
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any


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
    """One tool whose histories can be read; one of its three kinds says how.

    Attributes:
        name: The `source` column of the frames.
        default_paths: Where the tool keeps its files or folders on this machine; they need not be there.
        fingerprints: The tables and columns by which a SQLite file is recognised as the tool's; any one will do.
    """

    name: str
    default_paths: Callable[[], Sequence[str]]
    fingerprints: Sequence[Tables] = ()

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
        facts: A SELECT for each table of facts, with columns that `lab/incoming.py` lists (the others are NULL), in
            words that both SQLite and DuckDB understand. It takes the rows of `:after < key <= :until`.
        texts: The same for the wide texts: `message` gives key, content and reasoning, `tool_call` key and arguments.
        given: A SELECT of key and id of the messages that have an id of their own, for who needs no more of them.
        state: A SELECT of one row: the file's identity, its largest key, and a number that rises when rows go.
        range: A SELECT of the key at which `:count` messages after `:after` end, NULL where there are none; keys may
            have wide gaps.
    """

    facts: Mapping[str, str]
    texts: Mapping[str, str]
    given: str
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
            SELECT for each table of facts, in the order of its keys, with those of the columns that `lab/incoming.py`
            lists which the tool knows of (the others are NULL), and `problem`: the record and the reason of everything
            that could not be read. `raw.file_id()` is a short name of the file, for ids that two files might share;
            what else there is for all says `lab/statements.sql`.
        side_files: What else may be read, if it is there.
    """

    tables: Mapping[str, Sequence[str]]
    statements: Mapping[str, str]
    narrow: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    plain_texts: Mapping[str, tuple[str, *tuple[str | None, ...]]] = field(default_factory=dict)
    side_files: SideFiles | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeSource(Source):
    """A tool whose history is many files of JSON records. What they hold more is read on, and only that.

    All such files of a lab are one history, so that what the tool copied from one into another can be told.

    Attributes:
        names: What the files are called: patterns such as `*.jsonl`.
        recognises_file: Whether a file is the tool's, by its path and the first records in it that can be read, of
            which there may be none: True, False, or None where they do not say. Then the files beside it decide.
        records: For files that are no lines of JSON objects: returns each record of a file as the text of a JSON
            object without line breaks, in order, and a Problem for what is none. Such a file is read as a whole again
            when it has changed.
        record_names: Which of the files `records` is for; all without it.
        columns: The members of a record that the facts need, with their DuckDB types. What does not fit is NULL; the
            type JSON takes anything.
        usage_columns: The same for the token usage alone; none where that is not quicker.
        groups_usage: `usage_line` has aggregates and gives one row for all records of a file that are alike in its
            other expressions; it also gives `last_at`, the latest time among them.
        text_columns: The same for the wide texts.
        statements: What DuckDB runs.

            `line`, `usage_line` and `text_line` are lists of expressions over the columns of the three kinds: what is
            kept of a record. The first two must give `at`, its time in microseconds since 1970, UTC, or NULL. The
            texts must not be among what is kept for the facts. Where an expression is named several times, or is long,
            a line `-- then` may follow it: what comes after sees it as one more column, and the last list is kept.

            Then comes `prepare`, which may make tables in `raw`. It finds `raw.line` with what was kept and line_key,
            file_key, line_no (from 1); `raw.file` with file_key, path, root (what was named to find it), started_at,
            ended_at (of its records); `raw.claimed` with claim and session_id: the turns and message ids that an
            archive that is open beside these files holds.

            For the facts come `prepare_facts`, one SELECT for each table of facts, with those of the columns that
            `lab/incoming.py` lists which the tool knows of (the others are NULL), and `problem`: file_key, line,
            record, reason.
            Keys of facts are line keys, or line keys plus a number below 65,536; files come in the order of their
            first records.

            For the token usage alone come `prepare_usage`, `usage_session`, `usage_turn` and `usage_model_config`
            instead, whose rows may lack what the frame `token_usage` has no column for.

            For texts come `message_text` and `tool_call_text`. They find `raw.text` as well, with what was kept for
            the texts of some files, and line_key, file_key, line_no. They give at least the texts of the facts of
            these files, keyed alike whatever other files there are.
    """

    names: Sequence[str]
    recognises_file: Callable[[str, Sequence[Mapping[str, Any]]], bool | None]
    columns: Mapping[str, str]
    text_columns: Mapping[str, str]
    statements: Mapping[str, str]
    records: Callable[[str], Iterator[str | Problem]] | None = None
    record_names: Sequence[str] = ("*",)
    usage_columns: Mapping[str, str] = field(default_factory=dict)
    groups_usage: bool = False

    def converts(self, path: str) -> bool:
        """Return whether `records` is for this file."""
        name = os.path.basename(path)
        return self.records is not None and any(fnmatch.fnmatch(name, pattern) for pattern in self.record_names)


@cache
def all_sources() -> Sequence[Source]:
    """Return every source: what a module of this folder names `SOURCE`, or `SOURCES` where a tool has several kinds."""
    found: list[Source] = []
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        given = [*getattr(module, "SOURCES", ()), getattr(module, "SOURCE", None)]
        found += [source for source in given if isinstance(source, Source)]
    return found


def source_names() -> list[str]:
    """Return the names of the tools, each once."""
    return list(dict.fromkeys(source.name for source in all_sources()))


_SECTION = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_PART = re.compile(r"\{([a-z]\w*)\}")


def sections(module_file: str, own: str | None = None) -> Mapping[str, str]:
    """Return the statements of the .sql file beside a module, by the names in their lines `-- name: …`.

    Several may share a part: where a statement says `{name}`, the section of that name stands.

    Args:
        module_file: The module's `__file__`.
        own: Another .sql file of that folder, for one form of the history. Its sections come in the place of those of
            the same name, also where they are parts.

    Raises:
        KeyError: A statement names a part that no section is.

    Example:
        >>> from sessionlab.sources import codex
        >>> found = sections(codex.__file__)
        >>> found["usage_model_config"] == found["model_config"] == found["configs"]
        True
    """
    found = _sections(os.path.splitext(module_file)[0] + ".sql")
    if own is not None:
        found |= _sections(os.path.join(os.path.dirname(module_file), own))

    def whole(text: str) -> str:
        return _PART.sub(lambda part: whole(found[part[1]]), text)

    return {name: whole(text) for name, text in found.items()}


def _sections(path: str) -> dict[str, str]:
    with open(path, encoding="utf-8") as file:
        parts = _SECTION.split(file.read())
    return {name: text.strip().rstrip(";") for name, text in zip(parts[1::2], parts[2::2], strict=True)}
