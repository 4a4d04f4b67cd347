"""Users' SQL: what it asks for, the views that it sees, and how it is run."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from sessionlab.errors import QueryError
from sessionlab.lab.copying import Copy
from sessionlab.lab.frames import Column, Frame
from sessionlab.lab.result import Result, plain


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query may need: wide text surely, or costs perhaps."""

    needs_texts: bool
    needs_costs: bool


def understand(connection: duckdb.DuckDBPyConnection, text: str, frames: Mapping[str, Frame]) -> Asked:
    """Look at a query before it is run.

    Columns of wide text that are named show by the error of binding without them; what is looked for here is what
    names them without saying so: a star, or a frame used as a whole row.

    Raises:
        QueryError: It is no single SELECT.
    """
    try:
        statements = connection.extract_statements(text)
    except duckdb.Error as error:
        raise QueryError(f"This is no SQL that DuckDB understands: {_first_lines(error)}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(s.type.name for s in statements) or "nothing"
        raise QueryError(f"lab.sql takes exactly one SELECT over the frames; this is: {kinds}. Nothing was run.")
    serialized = connection.execute("select json_serialize_sql($1)", [text]).fetchall()[0][0]
    tree = json.loads(serialized)
    if tree.get("error"):  # a PRAGMA, which DuckDB counts as a SELECT
        raise QueryError(f"lab.sql takes exactly one SELECT over the frames; {text.strip()[:60]!r} is none.")
    nodes = list(_nodes(tree))
    for node in nodes:
        _refuse_functions(node)
    rows = set(frames)
    for node in nodes:
        rows |= {str(node.get("alias") or ""), str(node.get("table_name") or "")} - {""}
    star = any(
        node.get("class") == "STAR"
        or node.get("type") in ("PIVOT", "SHOW_REF")
        or (node.get("class") == "COLUMN_REF" and len(node.get("column_names", ())) == 1
            and node["column_names"][0] in rows and not _is_column(node["column_names"][0], frames))
        for node in nodes
    )  # fmt: skip
    return Asked(needs_texts=star, needs_costs=star or "cost" in text.lower())


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
        cursor = connection.execute(text, params if params is None else (
            dict(params) if isinstance(params, Mapping) else list(params)))  # fmt: skip
        whole = [str(column[1]) in ("HUGEINT", "UHUGEINT", "UBIGINT") for column in cursor.description or ()]
        table = plain(cursor.to_arrow_table(), whole)
    except duckdb.PermissionException as error:
        raise QueryError(
            f"lab.sql can read the frames and nothing else: {_first_lines(error)} Read the file with pandas instead."
        ) from error
    except (duckdb.Error, ValueError, RuntimeError) as error:
        raise QueryError(f"The query failed: {_first_lines(error)}") from error
    return Result(table)


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
                    connection.register(name, texts.table)
    for frame in frames.values():
        columns = [c for c in frame.columns if with_texts or c.text is None]
        selects = [_select(copy, frame, columns) for copy in copies] or [_empty_select(columns)]
        connection.execute(f"create or replace temp view {frame.name} as {' union all '.join(selects)}")


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


def _is_column(name: str, frames: Mapping[str, Frame]) -> bool:
    return any(name in frame.column_names for frame in frames.values())


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


_kept: list[Any] = []


def never_free(thing: Any) -> None:
    """Keep an object for good: freeing a DuckDB instance in a forked child waits for threads that are not there."""
    if thing is not None:
        _kept.append(thing)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
