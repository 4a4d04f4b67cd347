"""Runs a source's statements over the tables that were read from its file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb

from sessionlab.lab.engine import in_pieces, literal, quoted, roll_back, script, show_as
from sessionlab.lab.selecting import Columns, fetch_given, no_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from sessionlab.sources import TreeSource, WholeSource


class Statements:
    """Runs a source's statements over its raw tables, in the reading instance's schema `raw`; a context manager."""

    def __init__(self, reader: duckdb.DuckDBPyConnection, source: WholeSource | TreeSource, path: str) -> None:
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
            self._reader.execute(script("statements")[""])
            self._reader.execute(f"create macro raw.file_id() as {literal(file_id(self._path))}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        roll_back(self._reader)
        for name in self._names:
            self._reader.unregister(name)

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        """Let the statements see tables by their names."""
        for table, rows in tables.items():
            name = f"_raw_{len(self._names)}"
            self._names.append(name)
            show_as(self._reader, name, in_pieces(rows))
            self._reader.execute(f"create view raw.{quoted(table)} as select * from {name}")

    def run(self, section: str) -> None:
        """Run a section that makes tables, if the source has it."""
        if section in self._source.statements:
            self._reader.execute(self._source.statements[section])

    def fetch(self, section: str, columns: Columns) -> pa.Table:
        """Return the rows of a section, cast to the given types.

        A column that it leaves out is NULL, and where there is no such section there are no rows.
        """
        text = self._source.statements.get(section)
        return no_rows(columns) if text is None else fetch_given(self._reader, text, f"({text})", columns)


def file_id(path: str) -> str:
    """Return a short name of a file, for ids that are unique only within it."""
    return hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:8]
