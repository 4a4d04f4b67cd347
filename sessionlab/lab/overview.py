"""What a lab is of: each history with its size, its counts and its newest event."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sessionlab.lab.archived import ArchiveCopy
from sessionlab.lab.rows import run
from sessionlab.model import storable

if TYPE_CHECKING:
    from sessionlab.lab.copying import Copy
    from sessionlab.lab.engine import Engine

SCHEMA = pa.schema(
    [
        ("source", pa.large_string()),
        ("origin", pa.large_string()),
        ("size_bytes", pa.int64()),
        ("session_count", pa.int64()),
        ("turn_count", pa.int64()),
        ("last_activity_at", pa.timestamp("us", tz="UTC")),
        ("problem_count", pa.int64()),
    ]
)


def overview_of(engine: Engine, copies: Sequence[Copy], problems: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return a row for each history, in the order of its rows in the frames, and then for each that cannot be read."""
    counts = Counter(problem["origin"] for problem in problems)
    rows = []
    for copy in copies:
        for path, files in copy.places():
            condition = "" if files is None else " where origin in (select unnest($1))"
            found = run(
                engine,
                f"""select
                    count(*) as session_count,
                    coalesce(sum(turn_count), 0)::bigint as turn_count,
                    max(updated_at)::timestamptz as last_activity_at
                from {copy.schema}.sessions{condition}""",
                [] if files is None else [[storable(file) for file in files]],
            ).to_pylist()[0]
            if isinstance(copy, ArchiveCopy) and not found["session_count"]:
                continue  # all of it counts where it lies
            count = sum(counts[origin] for origin in {storable(path), *map(storable, files or ())})
            rows.append({**_named(copy.source.name, path, files), **found, "problem_count": count})
    known = {row["origin"] for row in rows}
    for problem in problems:
        if problem["source"] is None and problem["origin"] not in known:
            rows.append({**_named(None, problem["origin"], None), "problem_count": counts[problem["origin"]]})
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _named(source: str | None, path: str, files: Sequence[str] | None) -> dict[str, Any]:
    size = _size(path) if files is None else sum(_size(file) or 0 for file in files)
    return {"source": source, "origin": storable(path), "size_bytes": size}


def _size(path: str) -> int | None:
    """Return the bytes of a history: the file and, where it has one, its WAL."""
    try:
        size = os.stat(path).st_size
    except OSError:
        return None
    try:
        return size + os.stat(path + "-wal").st_size
    except OSError:
        return size
