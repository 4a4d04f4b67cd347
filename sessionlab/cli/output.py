"""What goes out to files and other programs: CSV, JSON and Parquet."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import IO, TYPE_CHECKING, Any

import click

from sessionlab import settings
from sessionlab.exporting.records import iso, json_lines, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

_FORMATS = ("table", "csv", "json", "parquet")
_SUFFIXES = {".csv": "csv", ".json": "json", ".parquet": "parquet"}


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --format, --output and --force."""
    for option in (
        click.option("--force", is_flag=True, help="Write over a FILE that is there."),
        click.option("-o", "--output", metavar="FILE", help="Write to a file; its ending says the format."),
        click.option("--format", "form", type=click.Choice(_FORMATS), help="table unless a FILE says otherwise."),
    ):
        command = option(command)
    return command


def format_of(form: str | None, output: str | None) -> str:
    """Return the format that was asked for, by name or by the ending of the file."""
    if form is None and output is not None:
        form = _SUFFIXES.get(os.path.splitext(output)[1].lower())
        if form is None:
            raise click.UsageError(f"{output!r} does not say its format. Use .csv, .json, .parquet, or --format.")
    if form == "table" and output is not None:
        raise click.UsageError("A table is for the screen; write csv, json or parquet to a file.")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("parquet is no text for a screen. Use -o FILE, or send it to another program.")
    return form or "table"


def check_output(output: str | None, force: bool, paths: tuple[str, ...]) -> None:
    """Refuse an output file that must not be written, before the work begins."""
    if output is None or not os.path.exists(output):
        return
    for path in (*paths, settings.db_path().value):
        path = os.path.expanduser(path)
        if os.path.exists(path) and os.path.samefile(output, path):
            raise click.ClickException(f"{output!r} is a history; it is not written over. Choose another FILE.")
    if not force:
        raise click.ClickException(f"{output!r} is there already. Choose another FILE, or --force to write over it.")


def write(table: pa.Table, form: str, output: str | None, force: bool) -> None:
    """Write rows to a file that appears when it is whole, or to standard output."""
    write_to = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}[form]
    if output is None:
        stream = sys.stdout.buffer
        write_to(table, stream)
        stream.flush()
        return
    path = os.path.realpath(output)
    if os.path.exists(path) and not os.path.isfile(path):  # /dev/null, a pipe
        with open(path, "wb") as file:
            write_to(table, file)
        return
    partial = f"{path}.{os.getpid()}.partial"
    try:
        with open(partial, "xb") as file:
            write_to(table, file)
        if force:
            os.replace(partial, path)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # nobody's file goes, however late it came
            os.replace(partial, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)
    click.echo(f"{output}: {table.num_rows:,} rows", err=True)


def _write_csv(table: pa.Table, file: IO[bytes]) -> None:
    """Write CSV in UTF-8: NULL is empty, an empty text is "", lists are JSON, times are ISO."""
    import pyarrow as pa
    from pyarrow import csv

    columns = []
    for column in table.columns:
        if pa.types.is_timestamp(column.type):
            column = iso(column)
        elif pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            texts = [None if v is None else json.dumps(plain(v), ensure_ascii=False) for v in column.to_pylist()]
            column = pa.array(texts, pa.large_string())
        columns.append(column)
    csv.write_csv(pa.Table.from_arrays(columns, names=table.column_names), file)


def _write_json(table: pa.Table, file: IO[bytes]) -> None:
    """Write a JSON list of records, one to a line, with ISO times."""
    before = b"[\n"
    for lines in json_lines(table):
        file.write(before + ",\n".join(lines).encode())
        before = b",\n"
    file.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _write_parquet(table: pa.Table, file: IO[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()  # a pipe cannot say where it stands, which the writer wants to know
    pq.write_table(table, sink)
    file.write(sink.getvalue())
