"""The tables of another tool's file, as text: read by DuckDB, or row by row where it cannot read them all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from sessionlab.errors import HistoryFileError
from sessionlab.lab.attach import is_busy
from sessionlab.lab.engine import Columns, in_pieces, is_interrupt, literal
from sessionlab.sources import Problem

if TYPE_CHECKING:
    from sessionlab.lab.attach import Attachment
    from sessionlab.sources import WholeSource

_FIRST, _LAST = -(2**63), 2**63 - 1
# Names of other characters are no source's, and what is not UTF-8 in one would fail the statement.
_PLAIN = "s.type in ('table', 'view') and s.name not glob '*[^ -~]*'"
_TABLES = f"select s.name from sqlite_schema s where {_PLAIN}"
_COLUMNS = f"from sqlite_schema s join pragma_table_xinfo(s.name) c where {_PLAIN} and c.name not glob '*[^ -~]*'"


def read_raw(
    reader: duckdb.DuckDBPyConnection, attachment: Attachment, source: WholeSource, *, with_texts: bool
) -> tuple[dict[str, pa.Table], list[Problem]]:
    """Return the tables of an attached file that a source asks for, as of one moment, and what could not be read.

    A value that is not UTF-8, or a damaged page, makes DuckDB refuse a whole table; SQLite then reads row by row what
    can be read. So it does with a table whose rows DuckDB cannot number. Every column is text; `_row` is the row's
    number.
    """
    try:
        if not _has_odd_tables(attachment, source.tables):
            return _by_duckdb(reader, attachment, source, with_texts=with_texts), []
    except (duckdb.Error, pa.ArrowException, UnicodeDecodeError) as error:  # the last where a message quotes dirt
        if is_busy(error) or is_interrupt(error) or isinstance(error, duckdb.OutOfMemoryException):
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
            tables[table].validate(full=True)  # DuckDB hands out what is not UTF-8 as if it were
            _check_numbers(tables[table])
            if there and attachment.is_still:
                # Each part of a parallel scan ends at a number that is too large, as a damaged page may have one.
                _check_count(tables[table], attachment, table)
        return tables
    finally:
        with contextlib.suppress(duckdb.Error):
            reader.execute("rollback")
        reader.execute("set sqlite_disable_multithreaded_scans = true")


def _check_numbers(rows: pa.Table) -> None:
    numbers = rows.column("_row").to_numpy()
    is_rising = bool((numbers[1:] > numbers[:-1]).all())
    if not is_rising and len(np.unique(numbers)) < len(numbers):
        raise pa.ArrowInvalid("rows are there twice")


def _check_count(rows: pa.Table, attachment: Attachment, table: str) -> None:
    counted = attachment.rows(f"select count(*) from {_quoted(table)}").fetchall()[0][0]
    if int(counted) != rows.num_rows:
        raise pa.ArrowInvalid(f"{counted} rows are counted and {rows.num_rows} are found")


def _patiently(connection: sqlite3.Connection, table: str, columns: Sequence[str], problems: list[Problem]) -> pa.Table:
    there = [str(row[1], "utf-8", "replace") for row in connection.execute(f"pragma table_xinfo({_quoted(table)})")]
    chosen = [column for column in columns if column in there]
    reading = _PatientReading(connection, table, chosen, _row_number(connection, table, there))
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
        # A join hands a Bloom filter to the scan of its other side, and a scan of Arrow refuses that (DuckDB 1.5).
        self._reader.execute("set disabled_optimizers = 'join_filter_pushdown'")
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
    """Reads a table row by row, past damaged pages, and notes what could not be read.

    Attributes:
        problems: What could not be read so far.
    """

    def __init__(self, connection: sqlite3.Connection, table: str, columns: Sequence[str], number: str | None) -> None:
        self.problems: list[Problem] = []
        self._connection = connection
        self._table = table
        self._columns = columns
        self._number = number
        listed = ", ".join(map(_quoted, columns)) or "null"
        self._select = f"select {number or 'null'}, {listed} from {_quoted(table)}"

    def rows(self) -> Iterator[list[Any]]:
        """Yield the row's number and its values as text, by rising number."""
        if self._number is None:
            yield from self._unnumbered()
            return
        after = _FIRST
        while True:
            last: Any = None  # held back until the next one shows that its number can be true
            is_out_of_order = False
            failed: object = "rows are out of order"
            try:
                for row in self._connection.execute(
                    f"{self._select} where {self._number} > ? order by {self._number}", [after]
                ):
                    if is_out_of_order := row[0] <= (after if last is None else last[0]):
                        break
                    if last is not None:
                        after = last[0]
                        yield self._decoded(last)
                    last = row
            except sqlite3.Error as error:
                if is_busy(error):  # it is not damaged
                    raise
                failed = error
            else:
                if not is_out_of_order:
                    if last is not None:
                        yield self._decoded(last)
                    return
            if last is not None and self._is_there(last[0]):
                after = last[0]
                yield self._decoded(last)
            if not is_out_of_order:
                for row in self._one_by_one(after, _LAST):
                    after = row[0]
                    yield self._decoded(row)
            found, rescued = self._beyond(after)
            until = "the end" if found is None else f"row {found + 1}"
            if rescued:
                until = f"row {rescued[-1][0]}"
            since = "the beginning" if after == _FIRST else f"row {after}"
            self._note(f"rows between {since} and {until} cannot be read: {failed}")
            for row in reversed(rescued):
                yield self._decoded(row)
            if found is None:
                return
            after = found

    def _unnumbered(self) -> Iterator[list[Any]]:
        """Yield the rows of a view, or of a table without row numbers, numbered as they come."""
        number = 0
        try:
            for row in self._connection.execute(self._select):
                number += 1
                yield self._decoded([number, *row[1:]])
        except sqlite3.Error as error:
            if is_busy(error):
                raise
            self._note(f"rows after the first {number} cannot be read: {error}")

    def _beyond(self, after: int) -> tuple[int | None, list[Any]]:
        """Return a row from which reading goes on, and what can be read from it back to the damage, the last first.

        Where all that follows is damaged, or nothing follows, there is no such row.
        """
        distance, base = 0, 0 if after == _FIRST else after  # numbers begin with 1 almost everywhere
        largest = next(self._one_by_one(after, _LAST, is_back=True), [_LAST])[0]
        while (start := base + distance) < _LAST:
            try:
                row = self._connection.execute(
                    f"select {self._number} from {_quoted(self._table)} where {self._number} > ?"
                    f" order by {self._number} limit 1",
                    [start],
                ).fetchone()
                # A damaged page without rows looks like the end, and one with rows may give any number.
                is_known = largest <= start if row is None else row[0] > start and self._is_there(row[0])
            except sqlite3.Error:
                is_known = False
            if not is_known:
                # Small steps near by, so that no page that is sound is leapt over; rows may be far apart, though.
                distance += max(1, distance // 256)
                continue
            found = None if row is None else int(row[0])
            return found, self._backwards(start if found is None else found, after)
        return None, []

    def _backwards(self, start: int, after: int) -> list[Any]:
        """Return the rows from `start` back to the damage, the last first."""
        found: list[Any] = []
        with contextlib.suppress(sqlite3.Error):
            for row in self._connection.execute(
                f"{self._select} where {self._number} <= ? and {self._number} > ? order by {self._number} desc",
                [start, after],
            ):
                if not after < row[0] <= start or (found and row[0] >= found[-1][0]):
                    break
                found.append(row)
        found += self._one_by_one(after, found[-1][0] if found else start, is_back=True)
        return found

    def _one_by_one(self, after: int, before: int, *, is_back: bool = False) -> Iterator[Any]:
        """Yield the rows between two numbers, up or down, until one cannot be read.

        A cursor fetches one row ahead, and where that fails it does not give the row before the damage either.
        """
        number, order = self._number, "desc" if is_back else "asc"
        sql = f"{self._select} where {number} > ? and {number} < ? order by {number} {order} limit 1"
        with contextlib.suppress(sqlite3.Error):
            while (row := self._connection.execute(sql, [after, before]).fetchone()) and after < row[0] < before:
                if not self._is_there(row[0]):
                    return
                yield row
                after, before = (after, row[0]) if is_back else (row[0], before)

    def _is_there(self, number: int) -> bool:
        """Return whether a row is where its number belongs; on a damaged page it may have any number."""
        try:
            sql = f"select 1 from {_quoted(self._table)} where {self._number} = ?"
            return self._connection.execute(sql, [number]).fetchone() is not None
        except sqlite3.Error:
            return False

    def _note(self, reason: str) -> None:
        more = "The file is damaged; all rows that can be read are there"
        self.problems.append(Problem(record=self._table, reason=f"{reason}. {more}"))

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
    """Return the tables and views of an attached file with their columns, those that have plain names.

    Raises:
        HistoryFileError: The file cannot be read.
    """
    try:
        names = [str(row[0]) for row in attachment.rows(_TABLES).fetchall()]
    except duckdb.Error as error:
        raise HistoryFileError(
            f"{attachment.path!r} cannot be read: {str(error).splitlines()[0]} See that it is whole."
        ) from error
    tables: dict[str, set[str]] = {name: set() for name in names}
    try:
        for table, column in attachment.rows(f"select s.name, c.name as column_name {_COLUMNS}").fetchall():
            tables[str(table)].add(str(column))
    except (duckdb.Error, KeyError):
        # A view of what is not there, or a table of a module that this SQLite lacks, fails for all.
        for name in names:
            with contextlib.suppress(duckdb.Error):
                found = attachment.rows(f"select c.name {_COLUMNS} and s.name = {literal(name)}").fetchall()
                tables[name] |= {str(column) for (column,) in found}
    return {table: frozenset(columns) for table, columns in tables.items() if columns}


def _has_odd_tables(attachment: Attachment, tables: Collection[str]) -> bool:
    """Return whether DuckDB cannot number the rows of a table, or does not see one of its columns."""
    listed = ", ".join(literal(table) for table in tables)
    return bool(
        attachment.rows(
            f"""select t.name from pragma_table_list t
            where t.schema = 'main' and t.name in ({listed}) and (
                t.type <> 'table' or t.wr
                or exists (select 1 from pragma_table_xinfo(t.name) c where c.hidden or lower(c.name) = 'rowid'))"""
        ).fetchall()
    )


def _row_number(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> str | None:
    """Return by what name a table's row number can be had; None where it has none, as a view."""
    kinds = connection.execute(f"pragma main.table_list({_quoted(table)})").fetchall()
    if not kinds or kinds[0][2] != b"table" or kinds[0][4]:
        return None
    taken = {column.lower() for column in columns}
    return next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)


def file_id(path: str) -> str:
    """Return a short name of a file, for ids that are unique only within it."""
    return hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:8]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
