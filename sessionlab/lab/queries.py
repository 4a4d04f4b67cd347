"""Users' SQL: what it asks for, the views that it sees, and how it is run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from sessionlab.errors import QueryError
from sessionlab.lab.copying import Copy
from sessionlab.lab.engine import is_interrupt, out_of_room, quoted, show_as
from sessionlab.lab.frames import Column, Frame
from sessionlab.lab.result import Result, plain


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query may need: wide text surely, or costs perhaps."""

    needs_texts: bool
    needs_costs: bool


def understand(connection: duckdb.DuckDBPyConnection, text: str, frames: Mapping[str, Frame]) -> Asked:
    """Look at a query before it is run.

    Without the columns of wide text a name could mean another column, so whatever might name one counts: by its name,
    by a star, by a frame used as a whole row, by position, or by what two frames have in common.

    Raises:
        QueryError: It is no single SELECT over the frames.
    """
    try:
        statements = connection.extract_statements(text)
    except (duckdb.Error, TypeError) as error:  # a TypeError where the text is not UTF-8
        raise QueryError(f"This is no SQL that DuckDB understands: {_first_lines(error)}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(s.type.name for s in statements) or "nothing"
        raise QueryError(f"lab.sql takes exactly one SELECT over the frames; this is: {kinds}. Nothing was run.")
    serialized = connection.execute("select json_serialize_sql($1)", [text]).fetchall()[0][0]
    tree = json.loads(serialized)
    if tree.get("error"):  # a PRAGMA, which DuckDB counts as a SELECT
        raise QueryError(f"lab.sql takes exactly one SELECT over the frames; {text.strip()[:60]!r} is none.")
    nodes = list(_nodes(tree))
    _refuse_tables(nodes, frames)
    for node in nodes:
        _refuse_functions(node)
    texts = {column.name for frame in frames.values() for column in frame.columns if column.text is not None}
    rows = {*frames, *(str(node.get("alias")).lower() for node in nodes if node.get("type") == "BASE_TABLE")}
    needs_texts = any(_may_name(node, texts, rows) for node in nodes)
    return Asked(needs_texts=needs_texts, needs_costs=needs_texts or "cost" in text.lower())


def _may_name(node: Mapping[str, Any], texts: set[str], rows: set[str]) -> bool:
    path = [str(name).lower() for name in node.get("column_names", ())]
    names = {*path, *(str(name).lower() for name in node.get("using_columns", ()))}
    return (
        node.get("class") in ("STAR", "POSITIONAL_REFERENCE")
        or node.get("type") in ("PIVOT", "SHOW_REF")
        or node.get("ref_type") == "NATURAL"
        or bool(node.get("column_name_alias"))
        or not names.isdisjoint(texts)
        or (bool(path) and path[-1] in rows)
    )


def _refuse_tables(nodes: Sequence[Mapping[str, Any]], frames: Mapping[str, Frame]) -> None:
    known = set(frames)
    for node in nodes:
        if isinstance(expressions := node.get("cte_map"), dict):
            known |= {str(entry.get("key")).lower() for entry in expressions.get("map", ())}
    for node in nodes:
        if node.get("type") == "SHOW_REF" and node.get("query") is None:
            raise QueryError("lab.sql takes exactly one SELECT over the frames; SHOW is none. Nothing was run.")
        if node.get("type") != "BASE_TABLE":
            continue
        name = str(node.get("table_name"))
        if name.lower() not in known or node.get("schema_name") or node.get("catalog_name"):
            raise QueryError(
                f"There is no frame {name!r}; lab.sql can read {', '.join(frames)} and nothing else. Nothing was run."
            )


# DuckDB has table functions that read files, run other SQL, or change how it logs, which not every setting stops.
_TABLE_FUNCTIONS = {"generate_series", "generate_subscripts", "json_each", "json_tree", "range", "repeat", "unnest"}
_REFUSED_FUNCTIONS = {"currval", "nextval", "setseed", "write_log"}


def _refuse_functions(node: Mapping[str, Any]) -> None:
    function = node.get("function")
    if node.get("type") == "TABLE_FUNCTION" and isinstance(function, dict):
        name = str(function.get("function_name")).lower()
        if name not in _TABLE_FUNCTIONS:
            raise QueryError(
                f"lab.sql can read the frames and nothing else, so the table function {name!r} is refused; "
                f"there are {', '.join(sorted(_TABLE_FUNCTIONS))}. Nothing was run."
            )
    if node.get("class") == "FUNCTION" and str(node.get("function_name")).lower() in _REFUSED_FUNCTIONS:
        raise QueryError(f"lab.sql changes nothing, so {node['function_name']!r} is refused. Nothing was run.")


def run(connection: duckdb.DuckDBPyConnection, text: str, params: Sequence[Any] | Mapping[str, Any] | None) -> Result:
    """Run a query and return its rows.

    Raises:
        QueryError: DuckDB refused it, or it failed.
    """
    try:
        values: Any = params if params is None else dict(params) if isinstance(params, Mapping) else list(params)
        cursor = connection.execute(text, values)
        kinds = [str(column[1]) for column in cursor.description or ()]
        table = cursor.to_arrow_table()
        if _is_inexact(table, kinds):
            table = connection.execute(_as_bigint(text, table.column_names, kinds), values).to_arrow_table()
        return Result(plain(table, [kind in _HUGE for kind in kinds]))
    except duckdb.PermissionException as error:
        raise QueryError(
            f"lab.sql can read the frames and nothing else: {_first_lines(error)} Read the file with pandas instead."
        ) from error
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise QueryError(f"The query failed: {out_of_room(error)}") from error
    except (duckdb.Error, TypeError, ValueError, RuntimeError, OverflowError) as error:
        if is_interrupt(error):
            raise
        raise QueryError(f"The query failed: {_first_lines(error)}") from error


# These leave DuckDB as floats.
_HUGE = ("HUGEINT", "UHUGEINT")
_EXACT = 2.0**53


def _is_inexact(table: pa.Table, kinds: Sequence[str]) -> bool:
    """Return True where a sum of whole numbers is larger than a float can tell exactly."""
    huge = [column for column, kind in zip(table.columns, kinds, strict=True) if kind in _HUGE]
    return any((pc.max(pc.abs(column)).as_py() or 0) >= _EXACT for column in huge)


def _as_bigint(text: str, names: Sequence[str], kinds: Sequence[str]) -> str:
    """Return the query with its sums as whole numbers that leave DuckDB as they are."""
    given = [f"c{number}" for number in range(len(names))]
    wanted = [
        f"{column}::bigint as {quoted(name)}" if kind in _HUGE else f"{column} as {quoted(name)}"
        for column, name, kind in zip(given, names, kinds, strict=True)
    ]
    return f"select {', '.join(wanted)} from (\n{text.strip().rstrip(';')}\n) as query({', '.join(given)})"


def make_views(
    connection: duckdb.DuckDBPyConnection, copies: Sequence[Copy], frames: Mapping[str, Frame], *, with_texts: bool
) -> None:
    """Make a view for each frame over all histories, with or without the columns of wide text."""
    if with_texts:
        for copy in copies:
            for kind, texts in copy.texts.items():
                name = _texts_name(copy, kind)
                connection.unregister(name)
                if texts.table is not None:
                    show_as(connection, name, texts.table)
    for frame in frames.values():
        columns = [c for c in frame.columns if with_texts or c.text is None]
        selects = [_select(copy, frame, columns) for copy in copies] or [_empty_select(columns)]
        union = " union all ".join(selects)
        if frame.name == "model_configs" and len(copies) > 1:
            union = _MERGED_CONFIGS.format(columns=", ".join(_merged(c.name) for c in columns), union=union)
        connection.execute(f"create or replace temp view {frame.name} as {union}")


# A configuration is named by its contents, so histories can share one.
_MERGED_CONFIGS = """
select {columns}
from (select row_number() over () as _row, * from ({union}))
group by source, model_config_id
order by min(_row)"""


def _merged(name: str) -> str:
    if name in ("source", "model_config_id"):
        return name
    if name in ("session_count", "turn_count"):
        return f"sum({name})::bigint as {name}"
    return f"{ {'first_used_at': 'min', 'last_used_at': 'max'}.get(name, 'any_value') }({name}) as {name}"


def _texts_name(copy: Copy, kind: str) -> str:
    return f"_{copy.schema}_{kind}_text"


def _select(copy: Copy, frame: Frame, columns: Sequence[Column]) -> str:
    joins: dict[tuple[str, str], str] = {}
    parts = []
    for column in columns:
        if column.text is None:
            parts.append(f'f."{column.name}"')
        elif copy.texts[column.text.of].table is None:
            parts.append(f'null::varchar as "{column.name}"')
        else:
            alias = joins.setdefault((column.text.of, column.text.key), f"t{len(joins)}")
            parts.append(f'{alias}."{column.text.column}" as "{column.name}"')
    sql = f"select {', '.join(parts)} from {copy.schema}.{frame.name} f"
    for (kind, key), alias in joins.items():
        name = _texts_name(copy, kind)
        if frame.name == f"{kind}s" and key == "_key" and len(joins) == 1:
            sql += f" positional join {name} {alias}"  # the same rows in the same order
        else:
            sql += f" left join {name} {alias} on {alias}.{kind}_key = f.{key}"
    return sql


def _empty_select(columns: Sequence[Column]) -> str:
    kinds = {
        "text": "varchar",
        "integer": "bigint",
        "number": "double",
        "boolean": "boolean",
        "time": "timestamp",
        "list": "varchar[]",
    }
    return "select " + ", ".join(f'null::{kinds[c.type]} as "{c.name}"' for c in columns) + " where false"


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _first_lines(error: BaseException) -> str:
    return "\n".join(line for line in str(error).splitlines()[:6] if line.strip())
