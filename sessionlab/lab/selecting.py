"""The rows of a source's SELECT in the columns of a table of facts, whichever of them it gives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import duckdb

Columns = Sequence[tuple[str, str]]
"""Names with their DuckDB types."""

_ARROW = {"bigint": pa.int64(), "double": pa.float64(), "varchar": pa.large_string()}

_given: dict[str, frozenset[str]] = {}
"""Which columns each SELECT gives, by its text as the source has it."""


def given_by(connection: duckdb.DuckDBPyConnection, text: str, rows: str) -> frozenset[str]:
    """Return which columns a SELECT gives; DuckDB is asked once in a process.

    Args:
        connection: Where its tables are.
        text: The SELECT as the source has it.
        rows: The same in a form that can be selected from.
    """
    if text not in _given:
        found = connection.execute(f"describe select * from {rows}").fetchall()
        _given[text] = frozenset(str(row[0]) for row in found)
    return _given[text]


def selecting(rows: str, columns: Columns, given: Collection[str] | None = None) -> str:
    """Return a SELECT of rows with their columns cast to the given types; one that is not `given` is NULL."""
    values = (
        f'"{name}"::{kind} as "{name}"' if given is None or name in given else f'null::{kind} as "{name}"'
        for name, kind in columns
    )
    return f"select {', '.join(values)} from {rows}"


def fetch_given(connection: duckdb.DuckDBPyConnection, text: str, rows: str, columns: Columns) -> pa.Table:
    """Return rows with their columns cast to the given types; of what the SELECT leaves out, DuckDB has no work.

    Raises:
        pyarrow.ArrowInvalid: The SELECT gives a column of another name, or not the first one, which is the key.
    """
    given = given_by(connection, text, rows)
    if unknown := given - {name for name, _ in columns}:
        raise pa.ArrowInvalid(f"there is no place for {sorted(unknown)}, which this gives: {text[:200]}")
    if columns[0][0] not in given:
        raise pa.ArrowInvalid(f"{columns[0][0]!r} is not among what this gives: {text[:200]}")
    found = connection.execute(selecting(rows, [c for c in columns if c[0] in given])).to_arrow_table()
    values = [found.column(name) if name in given else pa.nulls(found.num_rows, _ARROW[kind]) for name, kind in columns]
    return pa.table(values, [name for name, _ in columns])


def no_rows(columns: Columns) -> pa.Table:
    """Return a table without rows."""
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns]).empty_table()
