"""The two DuckDB instances: one attaches SQLite and users never reach it, the other they query and it cannot."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import tempfile
import weakref
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import duckdb

from sessionlab.errors import HistoryFileError, MissingPartError
from sessionlab.lab.private import PrivateFolder
from sessionlab.lab.selecting import Columns, fetch_given, given_by, selecting

if TYPE_CHECKING:
    import pyarrow as pa


# DuckDB's automatic install and load of extensions would reach for the network.
_QUIET = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
# Where Python runs no script, DuckDB writes it to standard output, whatever that is.
_NO_BAR = "set enable_progress_bar = false"

# The size of DuckDB's own row groups.
_PIECE_ROWS = 122_880


@cache
def script(name: str) -> dict[str, str]:
    """Return the sections of an .sql file of this folder by their names; before the first one the name is ''."""
    with open(os.path.join(os.path.dirname(__file__), f"{name}.sql"), encoding="utf-8") as file:
        parts = re.split(r"^-- name: (\w+)\n", file.read(), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


class Engine:
    """Owns the two DuckDB instances and the private folder that both spill into; a context manager.

    Attributes:
        narrow: The connection whose views have no wide text.
        full: The connection whose views have all columns.
        folder: A private folder (mode 0700) that goes with the engine.
    """

    def __init__(self) -> None:
        self._private = PrivateFolder()
        self.folder = self._private.path
        self._remove = weakref.finalize(self, self._private.remove)
        spill = os.path.join(self.folder, "spill")
        self.narrow = duckdb.connect(
            config={
                **_QUIET,
                "enable_external_access": False,
                "python_enable_replacements": False,
                "arrow_large_buffer_size": True,
                "temp_directory": spill,
            }
        )
        self.full = self.narrow.cursor()
        for connection in (self.narrow, self.full):
            connection.execute(f"set TimeZone = 'UTC'; {_NO_BAR}")
        self.narrow.execute("set lock_configuration = true")
        self._reader: duckdb.DuckDBPyConnection | None = None
        _living.add(self)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the memory and remove the private folder."""
        for connection in (self.full, self.narrow, self._reader):
            if connection is not None:
                connection.close()
        self._remove()

    def _after_fork_in_child(self) -> None:
        """Give up what the parent goes on using: its folder, and instances whose threads are not here."""
        self._remove.detach()
        self._private.leave_to_parent()
        for connection in (self.full, self.narrow, self._reader):
            if connection is not None:
                never_free(connection)

    @property
    def reader(self) -> duckdb.DuckDBPyConnection:
        """The connection that can attach SQLite files; between refreshes it holds none.

        Raises:
            MissingPartError: DuckDB's SQLite extension cannot be loaded.
        """
        if self._reader is None:
            self._reader = _new_reader(os.path.join(self.folder, "spill"))
        return self._reader

    def fetch(
        self,
        sql: str,
        columns: Columns,
        values: dict[str, int],
        *,
        may_lack: bool = False,
    ) -> pa.Table:
        """Return the rows of a SELECT over the attached file as Arrow, cast to the given types.

        SQLite runs the text, which uses its indexes and is one snapshot.

        Args:
            sql: `:name` in it stands for a whole number of `values`. `real(x)` stands for a real number that must keep
                all its digits.
            columns: The names and DuckDB types of its columns.
            values: Of the names in the text.
            may_lack: The SELECT, which is the same at every call, may leave columns out; they are NULL then.
        """
        text = re.sub(
            r"\breal\((\w+)\)", r"case when \1 is not null then format('%!.17g', \1) end", _filled(sql, values)
        )
        rows = f"sqlite_query('history', {literal(text)})"
        if may_lack:
            return fetch_given(self.reader, sql, rows, columns)
        return self.reader.execute(selecting(rows, columns)).to_arrow_table()

    @contextlib.contextmanager
    def scanned(self, sql: str, columns: Columns, values: dict[str, int]) -> Iterator[pa.RecordBatchReader]:
        """Give what `fetch` returns while it is read, piece by piece: DuckDB scans, which is quicker for whole tables.

        Rows that are only added are the same in every snapshot, so the scan may be parallel.
        """
        text = re.sub(r"\breal\((\w+)\)", r"\1", _filled(sql, values))
        scanner = self.reader.cursor()  # of its own, since the next statement would end the reading
        try:
            scanner.execute(f"use history; set sqlite_disable_multithreaded_scans = false; {_NO_BAR}")
            given = given_by(scanner, sql, f"({text})")
            yield scanner.execute(selecting(f"({text})", columns, given)).to_arrow_reader(_PIECE_ROWS)
        finally:
            scanner.close()
            self.reader.execute("set sqlite_disable_multithreaded_scans = true")

    def ingest(
        self, section: str, schema: str, incoming: pa.Table | pa.RecordBatchReader | None = None, **values: int | str
    ) -> None:
        """Run a section of `ingest.sql` on the facts of a history, with `incoming` rows.

        Rows that come while they are read can be read once, so the section must be one statement.
        """
        text = script("ingest")[section].replace("facts.", f"{schema}.")
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))
        if incoming is not None:
            is_whole = hasattr(incoming, "num_rows")
            show_as(self.narrow, "incoming", in_pieces(incoming) if is_whole else incoming)
        try:
            self.narrow.execute("begin")
            try:
                self.narrow.execute(text)
                self.narrow.execute("commit")
            except BaseException:
                roll_back(self.narrow)
                raise
        finally:
            if incoming is not None:
                self.narrow.unregister("incoming")


def _filled(sql: str, values: dict[str, int]) -> str:
    for name, value in values.items():
        sql = re.sub(rf":{name}\b", str(int(value)), sql)
    return sql


def in_pieces(table: pa.Table) -> pa.Table:
    """Return a table in pieces that DuckDB's threads share; nothing is copied."""
    import pyarrow as pa

    return pa.Table.from_batches(table.to_batches(max_chunksize=_PIECE_ROWS), table.schema)


@contextlib.contextmanager
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt; DuckDB, where it notices first, tells of it by a RuntimeError.

    Raises:
        HistoryFileError: There was neither memory for what was to be read nor room to spill it.
    """
    try:
        yield
    except (RuntimeError, duckdb.Error) as error:
        refuse_interrupt(error)
        if isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException):
            raise HistoryFileError(f"The histories cannot be read: {out_of_room(error)}") from error
        raise


def out_of_room(error: duckdb.Error) -> str:
    """Return in words that DuckDB had neither memory nor room, and what to do."""
    return (
        f"{str(error).splitlines()[0]} Ask for fewer columns or rows, end what else takes memory, or make room in the "
        f"system's temporary folder, {tempfile.gettempdir()!r}."
    )


def is_interrupt(error: BaseException) -> bool:
    """Return whether DuckDB's error means that it was interrupted."""
    text = str(error)  # the second where it strikes while DuckDB reads what Python hands it
    return isinstance(error, duckdb.InterruptException) or text == "Query interrupted" or "KeyboardInterrupt:" in text


def refuse_interrupt(error: BaseException) -> None:
    """Raise KeyboardInterrupt where DuckDB's error means that it was interrupted, before it is taken for another."""
    if is_interrupt(error):
        raise KeyboardInterrupt from error


def show_as(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table | pa.RecordBatchReader) -> None:
    """Let statements see a table by a name; one that Ctrl-C has left half known is forgotten first."""
    connection.unregister(name)
    connection.execute(f"drop view if exists {name}")
    connection.register(name, table)


def roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    """Give up a transaction, if there is one; Ctrl-C that strikes in it is not lost."""
    try:
        connection.execute("rollback")
    except duckdb.Error as error:
        if is_interrupt(error):
            with contextlib.suppress(duckdb.Error):
                connection.execute("rollback")
            raise KeyboardInterrupt from error


def never_free(thing: object) -> None:
    """Keep an object for good: freeing a DuckDB instance in a forked child waits for threads that are not there."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _after_fork_in_child() -> None:
    for engine in list(_living):
        engine._after_fork_in_child()


_living: weakref.WeakSet[Engine] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


_checked: set[tuple[int, ...]] = set()
"""The extension files whose signature DuckDB has checked in this process, as they were then."""


def _new_reader(spill: str) -> duckdb.DuckDBPyConnection:
    reader = None
    try:
        extension = _extension_path()
        status = os.stat(extension)
        state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        reader = duckdb.connect(
            config={
                **_QUIET,
                # At each load DuckDB checks the signature of all 35 MB, for 0.2 s. Once for a file and process will do.
                "allow_unsigned_extensions": state in _checked,
                "arrow_large_buffer_size": True,
                "temp_directory": spill,
            }
        )
        reader.execute(f"load {literal(extension)}")
        _checked.add(state)
        # A parallel scan has several connections, each with a snapshot of its own.
        reader.execute(f"set sqlite_disable_multithreaded_scans = true; {_NO_BAR}")
    except (duckdb.Error, ImportError, OSError) as error:
        if reader is not None:
            reader.close()
        raise MissingPartError(
            f"DuckDB's SQLite extension cannot be loaded: {str(error).splitlines()[0]} Install the one for "
            f"this DuckDB: pip install --force-reinstall duckdb-extension-sqlite-scanner=={duckdb.__version__}"
        ) from error
    return reader


def _extension_path() -> str:
    from importlib.resources import files

    folder = files("duckdb_extension_sqlite_scanner") / "extensions" / f"v{duckdb.__version__}"
    return str(folder / "sqlite_scanner.duckdb_extension")


def literal(value: Any) -> str:
    """Return a text as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
