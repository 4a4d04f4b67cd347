"""What `lab.sql` returns: rows that can be had as pandas, polars or Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sessionlab.errors import MissingPartError
from sessionlab.lab.frames import to_pandas

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_SHOWN_ROWS = 60


class Result:
    """The rows of one query. Times are UTC; dtypes follow from the query's types, never from its rows."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        return f"<Result of {len(self)} rows: {', '.join(self._table.column_names)}>\n{self._head()}"

    def _repr_html_(self) -> str:
        text = self._head().to_html(max_rows=_SHOWN_ROWS, notebook=True, escape=True)
        more = f" (the first {_SHOWN_ROWS} shown)" if len(self) > _SHOWN_ROWS else ""
        return f"{text}<p>{len(self)} rows{more}. <code>.pandas()</code> gives a dataframe.</p>"

    def _head(self) -> pd.DataFrame:
        return to_pandas(self._table.slice(0, _SHOWN_ROWS))

    def pandas(self) -> pd.DataFrame:
        """Return a dataframe: `Int64`, `float64`, `boolean`, Arrow-backed `str`, `datetime64[us, UTC]`, lists."""
        return to_pandas(self._table)

    def polars(self) -> pl.DataFrame:
        """Return a polars dataframe.

        Raises:
            MissingPartError: polars is not installed.
        """
        return to_polars(self._table)

    def arrow(self) -> pa.Table:
        """Return an Arrow table."""
        return self._table


def to_polars(table: pa.Table) -> pl.DataFrame:
    """Return an Arrow table as a polars dataframe.

    Raises:
        MissingPartError: polars is not installed.
    """
    try:
        import polars
    except ImportError as error:
        raise MissingPartError(
            "polars is not installed, so there is no polars dataframe. Install it: pip install 'sessionlab[polars]'"
        ) from error
    frame = polars.from_arrow(table)
    if isinstance(frame, polars.Series):
        return frame.to_frame()
    return frame


def plain(table: pa.Table, whole: Sequence[bool]) -> pa.Table:
    """Return a table without the types that only sums and literals of DuckDB have.

    `sum()` of whole numbers is a HUGEINT, which leaves DuckDB as a float; `whole` says which columns are such.
    Naive times are UTC.
    """
    columns: list[Any] = []
    for field, column, is_whole in zip(table.schema, table.columns, whole, strict=True):
        columns.append(column.cast(pa.int64() if is_whole else _plain_type(field.type)))
    return pa.table(columns, schema=pa.schema([(f.name, c.type) for f, c in zip(table.schema, columns, strict=True)]))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_string(kind) or pa.types.is_dictionary(kind):
        return pa.large_string()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC")
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_float32(kind):
        return pa.float64()
    return kind
