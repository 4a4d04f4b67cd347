"""What people read a SQLite file with today, each opened once and then asked; nothing is imported before it is used."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

_SQL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sql")
FRAMES = {"turns": "response", "messages": "content", "token_usage": "tokens", "tool_calls": "result"}
"""The frames, each with the column that is compared; what sessionlab computes beyond that column is in no table."""
NUMBERS = ("session_id", "started_at", "response_model", "input_tokens", "output_tokens")
"""The columns of `turn_numbers`: some of `turns`, without wide text."""
INSTALL = "is not installed; `make bench` does it, or pip install -e '.[dev,bench]'"


def is_installed(module: str) -> bool:
    """Return whether a package is there; a folder of its name on the path, such as one of sample files, is none."""
    spec = find_spec(module)
    return spec is not None and spec.origin is not None


@dataclass(frozen=True, slots=True)
class Peer:
    """A way to read: what runs a SELECT, and what gives one column of its result."""

    read: Callable[[str], Any]
    column: Callable[[Any, str], Iterable[Any]]


def text_of(name: str) -> str:
    """Return a SELECT of the folder `sql`."""
    with open(os.path.join(_SQL, f"{name}.sql"), encoding="utf-8") as file:
        return file.read()


def checksum(values: Iterable[Any]) -> tuple[int, int]:
    """Return how many values there are, and a sum over them that does not depend on their order or type."""
    count = total = 0
    for value in values:
        count += 1
        if value is None or value != value:  # pandas has NaN for what is missing
            continue
        text = value if isinstance(value, str) else str(int(value))
        total += zlib.crc32(text.encode())
    return count, total


@contextlib.contextmanager
def pandas(path: str) -> Iterator[Peer]:
    """Read by pandas.read_sql."""
    import pandas as pd

    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield Peer(lambda sql: pd.read_sql(sql, connection), lambda frame, name: frame[name])


@contextlib.contextmanager
def plain(path: str) -> Iterator[Peer]:
    """Read by sqlite3 into a list of tuples."""
    names: list[str] = []
    with contextlib.closing(sqlite3.connect(path)) as connection:

        def read(sql: str) -> list[tuple[Any, ...]]:
            cursor = connection.execute(sql)
            names[:] = [column[0] for column in cursor.description]
            return cursor.fetchall()

        yield Peer(read, lambda rows, name: (row[names.index(name)] for row in rows))


@contextlib.contextmanager
def duckdb(path: str) -> Iterator[Peer]:
    """Read by a plain DuckDB that has attached the file, into pandas."""
    import duckdb as db

    from sessionlab.lab.engine import _extension_path

    with db.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}) as connection:
        connection.execute(f"load '{_extension_path()}'")
        quoted = path.replace("'", "''")
        connection.execute(f"attach '{quoted}' as history (type sqlite, read_only)")
        connection.execute("use history")
        yield Peer(lambda sql: connection.execute(sql).df(), lambda frame, name: frame[name])


@contextlib.contextmanager
def polars(path: str) -> Iterator[Peer]:
    """Read by polars through ADBC, which connects each time.

    ConnectorX, its other engine, refuses a column whose first value is NULL.
    """
    import polars as pl

    uri = f"sqlite:///{path}"
    yield Peer(
        lambda sql: pl.read_database_uri(sql, uri, engine="adbc"),
        lambda frame, name: frame[name].to_list(),
    )


PEERS: dict[str, Callable[[str], contextlib.AbstractContextManager[Peer]]] = {
    "pandas.read_sql": pandas,
    "sqlite3 fetchall": plain,
    "DuckDB attach, .df()": duckdb,
    "polars, ADBC": polars,
}
_NEEDS = {"polars, ADBC": ("polars", "adbc_driver_sqlite")}


def missing(name: str) -> str:
    """Return why a peer cannot be measured; empty where it can."""
    lacking = [module for module in _NEEDS.get(name, ()) if not is_installed(module)]
    return f"{' and '.join(lacking)} {INSTALL}" if lacking else ""
