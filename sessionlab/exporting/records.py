"""Rows as JSON records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_PIECE_ROWS = 10_000


def json_lines(table: pa.Table) -> Iterator[list[str]]:
    """Yield the rows of a table as JSON objects, a list of some thousands at a time.

    Times are ISO in UTC with a Z, lists are lists, NULL is null.
    """
    import pyarrow as pa

    names: list[str] = []
    for name in table.column_names:  # SQL may give two columns one name, a record cannot have it twice
        names.append(name if name not in names else f"{name}_{len(names)}")
    for batch in table.to_batches(max_chunksize=_PIECE_ROWS):
        columns = []
        for column in batch.columns:
            if pa.types.is_timestamp(column.type):
                columns.append(iso(column).to_pylist())
            elif pa.types.is_large_string(column.type) or pa.types.is_integer(column.type):
                columns.append(column.to_pylist())
            else:
                columns.append([plain(value) for value in column.to_pylist()])
        if batch.num_rows:
            rows = zip(*columns, strict=True)
            yield [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows]


def iso(column: Any) -> Any:
    """Return Arrow times as ISO text in UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.strftime(column.cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%SZ")


def plain(value: Any) -> Any:
    """Return a value that JSON has a form for."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    return value.hex() if isinstance(value, bytes) else str(value)
