"""The tables of another tool's file, as text: read by DuckDB, or row by row where it cannot read them all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa

from sessionlab.errors import HistoryFileError
from sessionlab.lab.attach import is_busy
from sessionlab.lab.engine import literal, quoted, refuse_interrupt, roll_back
from sessionlab.lab.patient import read_patiently

if TYPE_CHECKING:
    from sessionlab.lab.attach import Attachment
    from sessionlab.sources import Problem, WholeSource

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
        refuse_interrupt(error)
        if is_busy(error) or isinstance(error, duckdb.OutOfMemoryException):
            raise
    problems: list[Problem] = []
    with attachment.sqlite() as connection:
        tables = {
            table: read_patiently(connection, table, columns, problems) for table, columns in source.tables.items()
        }
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
            attachment.rows(f"select 1 from {quoted(table)} limit 1").fetchall()
        except duckdb.Error as error:
            refuse_interrupt(error)
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
    reader.execute("begin")  # one transaction is one snapshot
    try:
        tables = {}
        for table, columns in source.tables.items():
            there = present.get(table, frozenset())
            narrow = {} if with_texts else source.narrow.get(table, {})
            listed = [
                f"{narrow.get(c, quoted(c))} as {quoted(c)}" if c in there else f"null::varchar as {quoted(c)}"
                for c in columns
            ]
            rows = f"history.{quoted(table)}" if there else "(select 0 as rowid) where false"
            tables[table] = reader.execute(f"select rowid as _row, {', '.join(listed)} from {rows}").to_arrow_table()
            tables[table].validate(full=True)  # DuckDB hands out what is not UTF-8 as if it were
            _check_numbers(tables[table])
        return tables
    finally:
        roll_back(reader)


def _check_numbers(rows: pa.Table) -> None:
    numbers = rows.column("_row").to_numpy()
    is_rising = bool((numbers[1:] > numbers[:-1]).all())
    if not is_rising and len(np.unique(numbers)) < len(numbers):
        raise pa.ArrowInvalid("rows are there twice")


def columns_of(attachment: Attachment) -> Mapping[str, frozenset[str]]:
    """Return the tables and views of an attached file with their columns, those that have plain names.

    Raises:
        HistoryFileError: The file cannot be read.
    """
    try:
        names = [str(row[0]) for row in attachment.rows(_TABLES).fetchall()]
    except duckdb.Error as error:
        refuse_interrupt(error)
        raise HistoryFileError(
            f"{attachment.path!r} cannot be read: {str(error).splitlines()[0]} See that it is whole."
        ) from error
    tables: dict[str, set[str]] = {name: set() for name in names}
    try:
        for table, column in attachment.rows(f"select s.name, c.name as column_name {_COLUMNS}").fetchall():
            tables[str(table)].add(str(column))
    except (duckdb.Error, KeyError) as error:
        refuse_interrupt(error)
        # A view of what is not there, or a table of a module that this SQLite lacks, fails for all.
        for name in names:
            try:
                found = attachment.rows(f"select c.name {_COLUMNS} and s.name = {literal(name)}").fetchall()
            except duckdb.Error as failure:
                refuse_interrupt(failure)
                continue
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
