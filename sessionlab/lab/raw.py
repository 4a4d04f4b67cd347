"""The tables of another tool's file, as text: read by DuckDB, or row by row where it cannot read them all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from sessionlab.errors import HistoryFileError
from sessionlab.lab.attach import is_busy
from sessionlab.lab.engine import Columns, literal
from sessionlab.sources import Problem

if TYPE_CHECKING:
    from sessionlab.lab.attach import Attachment
    from sessionlab.sources import WholeSource

_FIRST, _LAST = -(2**63), 2**63 - 1


class RawTables:
    """The tables of an attached file that a source asks for, in the reading instance's schema `raw`.

    A context manager: what is fetched inside is of one moment. A file with a value that is not UTF-8, or with damaged
    pages, makes DuckDB refuse whole tables; `patiently` then reads with SQLite what can be read.

    Attributes:
        problems: What could not be read from the tables, before the source has looked at their contents.
    """

    def __init__(
        self, reader: duckdb.DuckDBPyConnection, attachment: Attachment, source: WholeSource, *, patiently: bool
    ) -> None:
        self.problems: list[Problem] = []
        self._reader = reader
        self._attachment = attachment
        self._source = source
        self._patiently = patiently
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> RawTables:
        self._stack = contextlib.ExitStack()
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def side(self, tables: Mapping[str, Sequence[str]], rows: Mapping[str, Sequence[Sequence[str | None]]]) -> None:
        """Add the tables that came from files beside the history."""
        for table, columns in tables.items():
            listed = rows.get(table, ())
            values = {column: [row[place] for row in listed] for place, column in enumerate(columns)}
            self._create(table, pa.table({c: pa.array(v, pa.large_string()) for c, v in values.items()}))

    def prepare(self) -> None:
        """Run what the source does before it hands out anything."""
        if "prepare" in self._source.statements:
            self._reader.execute(self._source.statements["prepare"])

    def fetch(self, section: str, columns: Columns) -> pa.Table:
        """Return the rows of one of the source's statements, cast to the given types."""
        casts = ", ".join(f'"{name}"::{kind} as "{name}"' for name, kind in columns)
        return self._reader.execute(f"select {casts} from ({self._source.statements[section]})").to_arrow_table()

    def _open(self) -> None:
        execute = self._reader.execute
        if self._patiently:
            with self._attachment.sqlite() as connection:
                read = [(table, self._read(connection, table, known)) for table, known in self._source.tables.items()]
        # One transaction is one snapshot of the file.
        execute("begin")
        self._stack.callback(self._drop)
        execute("drop schema if exists raw cascade; create schema raw")
        execute(f"create macro raw.file_id() as {literal(file_id(self._attachment.path))}")
        if self._patiently:
            for table, rows in read:
                self._create(table, rows)
            return
        present = columns_of(self._attachment)
        for table, columns in self._source.tables.items():
            there = present.get(table, frozenset())
            listed = [_quoted(c) if c in there else f"null::varchar as {_quoted(c)}" for c in columns]
            row, rows = ("rowid", f"history.{_quoted(table)}") if there else ("0", "(select 1) where false")
            execute(f"create view raw.{_quoted(table)} as select {row} as _row, {', '.join(listed)} from {rows}")

    def _drop(self) -> None:
        # Nothing of it is to stay.
        with contextlib.suppress(duckdb.Error):
            self._reader.execute("rollback")

    def _create(self, table: str, rows: pa.Table) -> None:
        self._reader.register("_rows", rows)
        try:
            self._reader.execute(f"create table raw.{_quoted(table)} as select * from _rows")
        finally:
            self._reader.unregister("_rows")

    def _read(self, connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> pa.Table:
        there = [str(row[1], "utf-8", "replace") for row in connection.execute(f"pragma table_info({_quoted(table)})")]
        chosen = [column for column in columns if column in there]
        reading = _PatientReading(connection, table, chosen)
        rows = list(reading.rows()) if there else []
        self.problems += reading.problems
        data: dict[str, pa.Array] = {"_row": pa.array([row[0] for row in rows], pa.int64())}
        for column in columns:
            place = chosen.index(column) + 1 if column in chosen else None
            values = [None] * len(rows) if place is None else [row[place] for row in rows]
            data[column] = pa.array(values, pa.large_string())
        return pa.table(data)


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
    return '"' + re.sub('"', '""', name) + '"'
