"""The rows of one frame of one history, with their texts, as Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sessionlab.errors import FrameError
from sessionlab.lab.copying import Copy, Need
from sessionlab.lab.engine import Engine
from sessionlab.lab.filters import Query
from sessionlab.lab.frames import Column, Frame, Text
from sessionlab.lab.incoming import Kind
from sessionlab.lab.texts import in_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COST_COLUMNS = frozenset({"cost_usd", "cost_status"})


def needed_texts(frame: Frame, chosen: tuple[Column, ...], query: Query) -> set[Kind]:
    """Return which wide texts must be there to answer."""
    texts = {column.name: column.text.of for column in frame.columns if column.text is not None}
    return {texts[name] for name in (*query.text_conditions, *(c.name for c in chosen)) if name in texts}


def need_of(frame: Frame, chosen: tuple[Column, ...], query: Query) -> Need:
    """Return what must be read to answer."""
    if frame.name == "token_usage" and not any("facts.session" in condition for condition in query.conditions):
        return "usage"
    if frame.name in ("token_usage", "model_configs"):
        return "turns"
    if frame.name == "turns" and not needed_texts(frame, chosen, query):
        return "facts" if "tool_call_count" in {*query.columns, *(column.name for column in chosen)} else "turns"
    if frame.name == "messages" and not any("facts.turn" in condition for condition in query.conditions):
        return "messages"
    return "facts"


def needs_costs(chosen: tuple[Column, ...], query: Query) -> bool:
    """Return True where costs must be computed to answer."""
    return not _COST_COLUMNS.isdisjoint({*query.columns, *(column.name for column in chosen)})


def read_rows(engine: Engine, copy: Copy, frame: Frame, chosen: tuple[Column, ...], query: Query) -> pa.Table:
    """Return the rows of one history, in recording order; its texts and costs are there as far as they are needed.

    With a limit the table has one column more, `_time`, by which `newest` can choose among several histories.
    """
    table, needed = _narrow_rows(engine, copy, frame, chosen, query)
    table = _with_texts(copy, table, needed)
    for name, sought in query.text_conditions.items():
        table = table.filter(_is_one_of(table.column(name), sought))
    return table if query.limit is None else newest(table, query.limit)


def read_pieces(
    engine: Engine, copy: Copy, frame: Frame, chosen: tuple[Column, ...], query: Query, row_count: int
) -> Iterator[pa.Table]:
    """Yield the rows of one history as `read_rows` returns them, so many at a time: texts are picked for each piece.

    The query has no limit and no conditions on wide text, which need all rows at once.
    """
    table, needed = _narrow_rows(engine, copy, frame, chosen, query)
    for start in range(0, table.num_rows, row_count):
        yield _with_texts(copy, table.slice(start, row_count), needed)


def _narrow_rows(
    engine: Engine, copy: Copy, frame: Frame, chosen: tuple[Column, ...], query: Query
) -> tuple[pa.Table, Mapping[str, Text]]:
    """Return the rows without wide texts but with the keys of those that are needed, and which these are."""
    texts = {column.name: column.text for column in frame.columns if column.text is not None}
    chosen_names = {column.name for column in chosen}
    needed = {name: texts[name] for name in sorted(texts) if name in query.text_conditions or name in chosen_names}
    keys = sorted({text.key for text in needed.values()} - {"_key"})
    narrow = [column.name for column in chosen if column.text is None]
    where, values = _where(copy, query)
    order = ""
    given = {name: f'"{name}"' for name in ("_key", *keys, *narrow)}
    if query.limit is not None:
        given["_time"] = (
            "_time"  # the frame's time as it is stored, of which DuckDB finds the latest without sorting all
        )
        if not query.text_conditions:
            order = f" order by _time desc nulls last, _key desc limit {query.limit}"
    same = {name: value for name, value in copy.same_in_all_rows(frame.name).items() if name in narrow}
    columns = ", ".join(sql for name, sql in given.items() if name not in same)
    sql = f"select {columns} from {copy.schema}.{frame.name}{where}{order}"
    table = in_order(run(engine, sql, values), "_key")
    if not where and query.limit is None:
        copy.note_what_is_same(frame.name, table)
    return _with_same(table, list(given), same), needed


def _with_same(table: pa.Table, names: Sequence[str], same: Mapping[str, pa.Scalar]) -> pa.Table:
    """Return a table with columns of one value, made here rather than row by row in DuckDB."""
    values = [pa.repeat(same[name], table.num_rows) if name in same else table.column(name) for name in names]
    return pa.table(values, names)


def _with_texts(copy: Copy, table: pa.Table, needed: Mapping[str, Text]) -> pa.Table:
    for name, text in needed.items():
        wanted, known = _keys_of(table, text.key)
        table = table.append_column(name, copy.texts[text.of].pick(text.column, wanted, known))
    return table


def count_without_time(engine: Engine, copy: Copy, frame: Frame, query: Query) -> int:
    """Return how many rows fit the query but have no time that `since` and `until` could test."""
    timeless = replace(query, times=[f"{frame.time} is null"], time_values=[], limit=None)
    return int(read_rows(engine, copy, frame, (), timeless).num_rows)


def run(engine: Engine, sql: str, values: Sequence[Any] = ()) -> pa.Table:
    """Run an SQL text of ours over the facts.

    Raises:
        FrameError: DuckDB refused a value, or is out of memory.
    """
    try:
        return engine.narrow.execute(sql, list(values)).to_arrow_table()
    except duckdb.Error as error:
        raise FrameError(f"The frame cannot be made: {str(error).splitlines()[0]}") from error


def newest(table: pa.Table, limit: int) -> pa.Table:
    """Return the newest rows by their column `_time`, ties and missing times by their order, in their order."""
    if table.num_rows <= limit:
        return table
    keyed = pa.table({"time": table.column("_time"), "row": pa.array(np.arange(table.num_rows))})
    rows = pc.sort_indices(keyed, sort_keys=[("time", "descending"), ("row", "descending")])
    return table.take(pa.array(np.sort(rows.to_numpy()[:limit])))


def merged_configs(table: pa.Table) -> pa.Table:
    """Return configurations of several histories with each of them once: they are named by their contents."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in table.to_pylist():
        first = found.setdefault((row["source"], row["model_config_id"]), row)
        if first is not row:
            for name, choose in (("first_used_at", min), ("last_used_at", max)):
                first[name] = choose((at for at in (first[name], row[name]) if at is not None), default=None)
            for name in ("session_count", "turn_count"):
                first[name] += row[name]
    return pa.Table.from_pylist(list(found.values()), schema=table.schema)


def _where(copy: Copy, query: Query) -> tuple[str, list[Any]]:
    conditions = [condition.replace("facts.", f"{copy.schema}.") for condition in query.conditions]
    both = [*conditions, *query.times]
    return (f" where {' and '.join(both)}" if both else ""), [*query.values, *query.time_values]


def _keys_of(table: pa.Table, name: str) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    column = table.column(name)
    if column.null_count == 0:
        return column.to_numpy(), None
    return column.fill_null(-1).to_numpy(), column.is_valid().to_numpy()


def _is_one_of(column: pa.ChunkedArray, sought: list[str | None]) -> Any:
    found = pc.is_in(column, value_set=pa.array([v for v in sought if v is not None], pa.large_string()))
    found = pc.and_(found, column.is_valid())
    return pc.or_(found, column.is_null()) if None in sought else found
