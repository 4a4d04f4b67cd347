"""Runs a source's statements over the tables that were read from its file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb

from sessionlab.lab.engine import Columns, in_pieces, literal, quoted, roll_back, script, selecting, show_as
from sessionlab.lab.incoming import OPTIONAL

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
        """Return the rows of a section, cast to the given types; what it may leave out is NULL, and itself too."""
        if section not in self._source.statements:
            nothing = ", ".join(f'null::{kind} as "{name}"' for name, kind in columns)
            return self._reader.execute(f"select {nothing} where false").to_arrow_table()
        sql = selecting(f"({self._source.statements[section]})", columns, OPTIONAL)
        return self._reader.execute(sql).to_arrow_table()


def file_id(path: str) -> str:
    """Return a short name of a file, for ids that are unique only within it."""
    return hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:8]
