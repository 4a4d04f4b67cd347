"""The tables of another tool's file, as text: read by DuckDB, or row by row where it cannot read them all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from sessionlab.errors import HistoryFileError
from sessionlab.lab.attach import is_busy
from sessionlab.lab.engine import Columns, in_pieces, literal
from sessionlab.sources import Problem

if TYPE_CHECKING:
    from sessionlab.lab.attach import Attachment
    from sessionlab.sources import WholeSource

_FIRST, _LAST = -(2**63), 2**63 - 1


def read_raw(
    reader: duckdb.DuckDBPyConnection, attachment: Attachment, source: WholeSource, *, with_texts: bool
) -> tuple[dict[str, pa.Table], list[Problem]]:
    """Return the tables of an attached file that a source asks for, as of one moment, and what could not be read.

    A value that is not UTF-8, or a damaged page, makes DuckDB refuse a whole table; SQLite then reads row by row what
    can be read. Every column is text; `_row` is the row's number.
    """
    try:
        return _by_duckdb(reader, attachment, source, with_texts=with_texts), []
    except duckdb.Error as error:
        if is_busy(error):
            raise
    problems: list[Problem] = []
    with attachment.sqlite() as connection:
        tables = {table: _patiently(connection, table, columns, problems) for table, columns in source.tables.items()}
    if problems and not any(rows.num_rows for rows in tables.values()):
        raise nothing_readable(attachment.path, problems[0].reason)
    return tables, problems


def see_one_table(attachment: Attachment, source: WholeSource) -> None:
    """See that at least one of the source's tables can be read, if only in part.

    Raises:
        HistoryFileError: None can.
    """
    wrong = None
    for table in columns_of(attachment).keys() & source.tables.keys():
        try:
            attachment.rows(f"select 1 from {_quoted(table)} limit 1").fetchall()
        except duckdb.Error as error:
            wrong = error
        else:
            return
    raise nothing_readable(attachment.path, wrong or "its tables are gone")


def nothing_readable(path: str, reason: object) -> HistoryFileError:
    """Return the error for a history of which no row can be read."""
    return HistoryFileError(
        f"{path!r} cannot be read: {str(reason).splitlines()[0]} See that it is whole; a backup may be better."
    )


def _by_duckdb(
    reader: duckdb.DuckDBPyConnection, attachment: Attachment, source: WholeSource, *, with_texts: bool
) -> dict[str, pa.Table]:
    present = columns_of(attachment)
    # A parallel scan has several connections, which see the same only if nobody can write meanwhile.
    reader.execute(f"set sqlite_disable_multithreaded_scans = {str(not attachment.is_still).lower()}")
    reader.execute("begin")  # one transaction is one snapshot
    try:
        tables = {}
        for table, columns in source.tables.items():
            there = present.get(table, frozenset())
            narrow = {} if with_texts else source.narrow.get(table, {})
            listed = [
                f"{narrow.get(c, _quoted(c))} as {_quoted(c)}" if c in there else f"null::varchar as {_quoted(c)}"
                for c in columns
            ]
            rows = f"history.{_quoted(table)}" if there else "(select 0 as rowid) where false"
            tables[table] = reader.execute(f"select rowid as _row, {', '.join(listed)} from {rows}").to_arrow_table()
        return tables
    finally:
        with contextlib.suppress(duckdb.Error):
            reader.execute("rollback")
        reader.execute("set sqlite_disable_multithreaded_scans = true")


def _patiently(connection: sqlite3.Connection, table: str, columns: Sequence[str], problems: list[Problem]) -> pa.Table:
    there = [str(row[1], "utf-8", "replace") for row in connection.execute(f"pragma table_info({_quoted(table)})")]
    chosen = [column for column in columns if column in there]
    reading = _PatientReading(connection, table, chosen)
    rows = list(reading.rows()) if there else []
    problems += reading.problems
    data: dict[str, pa.Array] = {"_row": pa.array([row[0] for row in rows], pa.int64())}
    for column in columns:
        place = chosen.index(column) + 1 if column in chosen else None
        values = [None] * len(rows) if place is None else [row[place] for row in rows]
        data[column] = pa.array(values, pa.large_string())
    return pa.table(data)


class Statements:
    """Runs a source's statements over its raw tables, in the reading instance's schema `raw`; a context manager."""

    def __init__(self, reader: duckdb.DuckDBPyConnection, source: WholeSource, path: str) -> None:
        self._reader = reader
        self._source = source
        self._path = path
        self._names: list[str] = []

    def __enter__(self) -> Statements:
        # Nothing of what is made inside is to stay.
        self._reader.execute("begin")
        try:
            self._reader.execute("drop schema if exists raw cascade; create schema raw")
            self._reader.execute(f"create macro raw.file_id() as {literal(file_id(self._path))}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(duckdb.Error):
            self._reader.execute("rollback")
        for name in self._names:
            self._reader.unregister(name)

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        """Let the statements see tables by their names."""
        for table, rows in tables.items():
            name = f"_raw_{len(self._names)}"
            self._names.append(name)
            self._reader.register(name, in_pieces(rows))
            self._reader.execute(f"create view raw.{_quoted(table)} as select * from {name}")

    def run(self, section: str) -> None:
        """Run a section that makes tables, if the source has it."""
        if section in self._source.statements:
            self._reader.execute(self._source.statements[section])

    def fetch(self, section: str, columns: Columns) -> pa.Table:
        """Return the rows of a section, cast to the given types."""
        casts = ", ".join(f'"{name}"::{kind} as "{name}"' for name, kind in columns)
        return self._reader.execute(f"select {casts} from ({self._source.statements[section]})").to_arrow_table()


class _PatientReading:
    """Reads a table row by row, past damaged pages, and notes what could not be read."""

    def __init__(self, connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> None:
        self.problems: list[Problem] = []
        self._connection = connection
        self._table = table
        self._columns = columns
        self._select = f"select rowid, {', '.join(map(_quoted, columns)) or 'null'} from {_quoted(table)}"

    def rows(self) -> Iterator[list[Any]]:
        """Yield the row's number and its values as text, by rising number."""
        after = _FIRST
        while True:
            try:
                for row in self._connection.execute(f"{self._select} where rowid > ? order by rowid", [after]):
                    if row[0] <= after:
                        raise sqlite3.DatabaseError("rows are out of order")
                    after = row[0]
                    yield self._decoded(row)
                return
            except sqlite3.Error as error:
                if is_busy(error):  # it is not damaged
                    raise
                found = self._next_after(after)
                rescued = [] if found is None else self._backwards(found, after)
                until = "the end" if found is None else f"row {rescued[-1][0] if rescued else found + 1}"
                since = "the beginning" if after == _FIRST else f"row {after}"
                self.problems.append(
                    Problem(
                        record=self._table,
                        reason=f"rows between {since} and {until} cannot be read: {error}. The file is damaged; "
                        "all rows that can be read are there",
                    )
                )
                if found is None:
                    return
                for row in reversed(rescued):
                    yield self._decoded(row)
                after = found

    def _next_after(self, after: int) -> int | None:
        """Return a row before which others follow that can be read; None where there is none."""
        step = 1
        while (start := after + step) < _LAST:
            try:
                row = self._connection.execute(
                    f"select rowid from {_quoted(self._table)} where rowid > ? order by rowid limit 1", [start]
                ).fetchone()
                return None if row is None or row[0] <= start else int(row[0])
            except sqlite3.Error:
                step *= 2
        return None

    def _backwards(self, start: int, after: int) -> list[Any]:
        """Return the rows from `start` back to the damage, the last first."""
        found: list[Any] = []
        with contextlib.suppress(sqlite3.Error):
            for row in self._connection.execute(
                f"{self._select} where rowid <= ? and rowid > ? order by rowid desc", [start, after]
            ):
                if found and row[0] >= found[-1][0]:
                    break
                found.append(row)
        return found

    def _decoded(self, row: Sequence[Any]) -> list[Any]:
        values: list[Any] = [row[0]]
        for column, value in zip(self._columns, row[1:], strict=False):
            if isinstance(value, bytes):
                try:
                    values.append(value.decode())
                except UnicodeDecodeError:
                    values.append(value.decode("utf-8", "replace"))
                    self.problems.append(
                        Problem(
                            record=f"{self._table} row {row[0]}",
                            reason=f"{column} is not UTF-8; what is not was replaced by \N{REPLACEMENT CHARACTER}",
                        )
                    )
            else:
                values.append(None if value is None else str(value))
        return values


def columns_of(attachment: Attachment) -> Mapping[str, frozenset[str]]:
    """Return the tables and views of an attached file with their columns.

    Raises:
        HistoryFileError: The file cannot be read.
    """
    try:
        rows = attachment.rows(
            "select s.name, c.name as column_name from sqlite_schema s join pragma_table_info(s.name) c"
            " where s.type in ('table', 'view')"
        ).fetchall()
    except duckdb.Error as error:
        raise HistoryFileError(
            f"{attachment.path!r} cannot be read: {str(error).splitlines()[0]} See that it is whole."
        ) from error
    tables: dict[str, set[str]] = {}
    for table, column in rows:
        tables.setdefault(str(table), set()).add(str(column))
    return {table: frozenset(columns) for table, columns in tables.items()}


def file_id(path: str) -> str:
    """Return a short name of a file, for ids that are unique only within it."""
    return hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:8]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
