"""Frames as files for other programs: Parquet and JSON lines, one file a frame or one folder a day."""

from __future__ import annotations

from collections import Counter, OrderedDict
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sessionlab.exporting.records import json_lines
from sessionlab.lab.frames import FRAMES, Frame, empty, schema_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sessionlab.exporting.destination import Destination

NO_DAY = "__HIVE_DEFAULT_PARTITION__"
"""The day of rows without a time, as Hive calls it, so that readers take it for NULL."""

# How many days' files are open at a time; a day that comes again later gets another file.
_OPEN_FILES = 48


class _Writer(Protocol):
    def write(self, table: pa.Table) -> None: ...

    def close(self) -> None: ...


class _Parquet:
    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self._file = file
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        with self._file:
            self._writer.close()


class _JsonLines:
    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:  # noqa: ARG002 -- as the others are made
        self._file = file

    def write(self, table: pa.Table) -> None:
        for lines in json_lines(table):
            self._file.write(("\n".join(lines) + "\n").encode())

    def close(self) -> None:
        self._file.close()


WRITERS: dict[str, Callable[[IO[bytes], pa.Schema], _Writer]] = {"parquet": _Parquet, "jsonl": _JsonLines}


def write_frame(
    destination: Destination, frame: Frame, pieces: Iterator[pa.Table], form: str, *, by_day: bool
) -> Iterator[int]:
    """Write a frame, and yield after each piece how many rows it had; a frame without rows gets its file too."""
    schema = _schema(frame)
    writer: _Writer = _ByDay(destination, frame, form, schema) if by_day else _new(destination, frame, form, schema)
    with ExitStack() as stack:
        stack.callback(writer.close)
        for piece in pieces:
            with destination.failing():
                writer.write(piece.replace_schema_metadata(schema.metadata))
            yield piece.num_rows
        if by_day:
            with destination.failing():
                writer.write(schema.empty_table())
        stack.pop_all()
    with destination.failing():
        writer.close()


def _new(destination: Destination, frame: Frame, form: str, schema: pa.Schema, name: str = "") -> _Writer:
    return WRITERS[form](destination.create(f"{name or frame.name}.{form}"), schema)


class _ByDay:
    """Writes rows to the folder of their day, `day=2026-01-31`, in UTC."""

    def __init__(self, destination: Destination, frame: Frame, form: str, schema: pa.Schema) -> None:
        self._destination = destination
        self._frame = frame
        self._form = form
        self._schema = schema
        self._open: OrderedDict[str, _Writer] = OrderedDict()
        self._parts: Counter[str] = Counter()

    def write(self, table: pa.Table) -> None:
        times = table.column(self._frame.time).cast(pa.timestamp("us"))
        days = pc.fill_null(pc.strftime(times, format="%Y-%m-%d"), NO_DAY)
        for day in days.unique().to_pylist():
            self._of(day).write(table.filter(pc.equal(days, day)))
        if not table.num_rows and not self._parts:
            self._of(NO_DAY)  # a frame without rows has a file too, so that it can be read

    def _of(self, day: str) -> _Writer:
        if day in self._open:
            self._open.move_to_end(day)
            return self._open[day]
        if len(self._open) >= _OPEN_FILES:
            self._open.popitem(last=False)[1].close()
        name = f"{self._frame.name}/day={day}/part-{self._parts[day]}"
        self._parts[day] += 1
        self._open[day] = writer = _new(self._destination, self._frame, self._form, self._schema, name)
        return writer

    def close(self) -> None:
        with ExitStack() as stack:
            for writer in self._open.values():
                stack.callback(writer.close)
        self._open.clear()


def _schema(frame: Frame) -> pa.Schema:
    """Return the declared schema, with what pandas notes of its own dtypes, so that it reads the same ones back."""
    metadata: Any = pa.Schema.from_pandas(empty(frame.name), preserve_index=False).metadata
    return schema_of(frame.columns).with_metadata(metadata)


def entries(form: str, *, by_day: bool) -> list[str]:
    """Return the names that an export of all frames puts into its folder."""
    return [name if by_day else f"{name}.{form}" for name in FRAMES]
