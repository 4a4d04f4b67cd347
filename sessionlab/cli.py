"""The command line: frames and SQL as tables or files, and the upkeep of a store."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import re
import sys
import threading
import warnings
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

import click

import sessionlab
from sessionlab import settings
from sessionlab.errors import SessionLabError, SessionLabWarning, StoreError, StoreReplacedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from sessionlab.lab.lab import Lab
    from sessionlab.store.database import Database

_Result = TypeVar("_Result")

_SHOWN_ROWS = 20
_CELL_WIDTH = 48
_NARROW = 16
_FORMATS = ("table", "csv", "json", "parquet")
_SUFFIXES = {".csv": "csv", ".json": "json", ".parquet": "parquet"}
# What would move the cursor, change colours or turn the reading direction: text of a session is never a command.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]+")
_AGE = re.compile(r"(\d+(?:\.\d+)?)(min|[smhdw])")
_AGE_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


class _Commands(click.Group):
    """A group whose errors are lines and no tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", SessionLabWarning)
                warnings.showwarning = _show_warning
                result = super().invoke(ctx)
                sys.stdout.flush()
                return result
        except SessionLabError as error:
            raise click.ClickException(str(error)) from error
        except BrokenPipeError:
            _let_go_of_stdout()
            ctx.exit(0)
        except OSError as error:
            if type(error) is not OSError and error.filename is None:
                raise
            if error.filename is None:
                _let_go_of_stdout()  # what is still buffered would fail once more at the end
            about = "" if error.filename is None else f"{error.filename!r}: "
            raise click.ClickException(f"{about}{error.strerror or error}.") from error


class _FrameCommand(click.Command):
    """A command whose help lists the frames that there are."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from sessionlab.lab.frames import FRAMES

        with formatter.section("Frames"):
            formatter.write_dl([(frame.name, f"one row per {frame.grain}") for frame in FRAMES.values()])
        super().format_epilog(ctx, formatter)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(sessionlab.__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Read recorded AI agent sessions as tables, and look after the store that they are in."""


def _output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--force", is_flag=True, help="Write over a FILE that is there."),
        click.option("-o", "--output", metavar="FILE", help="Write to a file; its ending says the format."),
        click.option("--format", "form", type=click.Choice(_FORMATS), help="table unless a FILE says otherwise."),
    ):
        command = option(command)
    return command


@main.command(
    cls=_FrameCommand,
    short_help="Print a frame: sessions, turns, tool calls and so on.",
    epilog="""\b
Examples:
  sessionlab frame sessions
  sessionlab frame turns history.db --since 7d --columns started_at,response_model,output_tokens
  sessionlab frame tool_calls --where tool_name=bash --where is_error=true
  sessionlab frame messages --session 4f1c… --format json | jq -r '.[].content'
  sessionlab frame token_usage -o usage.parquet""",
)
@click.argument("name")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--since", metavar="TIME", help="From this time on: ISO text, or an age such as 7d.")
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--session", "session_id", multiple=True, metavar="ID", help="Only this session; may be repeated.")
@click.option("--source", multiple=True, metavar="TOOL", help="Only this tool; may be repeated.")
@click.option("--agent", "agent_name", multiple=True, metavar="NAME", help="Only this agent; may be repeated.")
@click.option("--directory", multiple=True, metavar="FOLDER", help="Only sessions of this folder; may be repeated.")
@click.option("--model", multiple=True, metavar="MODEL", help="Only this model; may be repeated.")
@click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Only equal ones; the same column again: or.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Only the N newest rows.")
@click.option("--columns", metavar="A,B", help="Only these columns, in this order.")
@_output_options
def frame(
    name: str,
    paths: tuple[str, ...],
    where: tuple[str, ...],
    limit: int | None,
    columns: str | None,
    form: str | None,
    output: str | None,
    force: bool,
    **filters: Any,
) -> None:
    """Print a frame of the histories at PATH, or of every history found on this machine.

    A table shows the newest rows that fit the screen; the other formats write everything.
    """
    form = _format_of(form, output)
    _check_output(output, force, paths)
    asked: dict[str, Any] = {key: list(v) if isinstance(v, tuple) else v for key, v in filters.items() if v}
    for condition in where:
        column, equals, value = condition.partition("=")
        if not equals:
            raise click.BadParameter(f"{condition!r} is no COLUMN=VALUE.", param_hint="--where")
        asked.setdefault(column.strip(), []).append(value)
    chosen = None if columns is None else [column.strip() for column in columns.split(",")]
    lab = sessionlab.open(*paths)
    if form != "table":
        table = _interruptible(lambda: lab.frame(name, to="arrow", columns=chosen, limit=limit, **asked))
        _write(table, form, output, force)
    else:

        def newest() -> tuple[pa.Table, int]:
            shown = _SHOWN_ROWS if limit is None else limit
            with lab.snapshot():
                table = lab.frame(name, to="arrow", columns=chosen, limit=shown, **asked)
                if table.num_rows < shown:
                    return table, table.num_rows
                return table, lab.frame(name, to="arrow", columns=["source"], **asked).num_rows

        table, total = _interruptible(newest)
        more = "--limit N shows more, --format csv writes all"
        from sessionlab.lab.frames import FRAMES

        kept = FRAMES[name].leading if chosen is None else tuple(table.column_names)
        _show(table, total, more, "--columns", kept)
    _say_problems(lab)


@main.command(
    short_help="Run one SELECT over the frames.",
    epilog="""\b
Examples:
  sessionlab sql "select response_model, sum(cost_usd) as cost_usd from turns group by all"
  sessionlab sql "select tool_name, count(*) as calls from tool_calls group by all" history.db
  sessionlab sql "from sessions" -o sessions.csv
  sessionlab sql - < query.sql""",
)
@click.argument("query")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@_output_options
def sql(query: str, paths: tuple[str, ...], form: str | None, output: str | None, force: bool) -> None:
    """Run one SELECT over the frames of the histories at PATH, or of every history found on this machine.

    QUERY is DuckDB's SQL; - reads it from standard input.
    """
    form = _format_of(form, output)
    _check_output(output, force, paths)
    text = sys.stdin.read() if query == "-" else query
    lab = sessionlab.open(*paths)
    table = _interruptible(lambda: lab.sql(text).arrow())
    if form == "table":
        shown = table.slice(0, _SHOWN_ROWS)
        _show(shown, table.num_rows, "--format csv writes all", "the SELECT", tuple(table.column_names))
    else:
        _write(table, form, output, force)
    _say_problems(lab)


_is_abandoned = False


def _interruptible(query: Callable[[], _Result]) -> _Result:
    """Run a query in a thread of its own, so that Ctrl-C ends the program at once.

    DuckDB also works in the thread that calls it and notices Ctrl-C only between its steps: in a cross join after
    hours. Closing it waits for all its threads, so after Ctrl-C the program ends without that.
    """
    global _is_abandoned
    results: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(query())
        except BaseException as error:  # it is raised where somebody waits
            errors.append(error)
        finally:
            is_done.set()

    is_done = threading.Event()
    threading.Thread(target=run, daemon=True).start()
    try:
        is_done.wait()
    except KeyboardInterrupt:
        _is_abandoned = True
        raise
    if errors:
        raise errors[0]
    return results[0]


@atexit.register  # before anything of the Lab is, so it comes after that: temporary files are gone by then
def _leave_at_once() -> None:
    if _is_abandoned:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


@main.group()
def db() -> None:
    """Look after the store that sessions are recorded to."""


def _db_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--db", "path", metavar="PATH", help="The store. Without it the settings decide.")(command)


@db.command("path", epilog="\b\nExample:\n  sessionlab db path | head -1")
@_db_option
def db_path(path: str | None) -> None:
    """Print where the store is and, on a second line, what decided that."""
    setting = settings.db_path(path)
    click.echo(setting.value)
    click.echo(f"decided by {setting.decided_by}")


@db.command("check", epilog="\b\nExamples:\n  sessionlab db check\n  sessionlab db check --db backup.db")
@_db_option
@click.pass_context
def db_check(ctx: click.Context, path: str | None) -> None:
    """Check that the store is sound; exit 1 and say what is wrong where it is not."""
    with _opened(path) as database:
        wrong = database.check()
        path = database.path
    for line in wrong:
        click.echo(line)
    if wrong:
        click.echo(f"Error: {path!r} is not sound: {_counted(len(wrong), 'finding')}.", err=True)
        ctx.exit(1)
    click.echo(f"{path}: sound")


@db.command("backup", epilog="\b\nExample:\n  sessionlab db backup ~/backups/history-2026-11-21.db")
@click.argument("target")
@_db_option
def db_backup(target: str, path: str | None) -> None:
    """Copy the store to TARGET, a new file, while others go on recording."""
    from rich.console import Console
    from rich.progress import Progress

    target = os.path.expanduser(target)
    with _opened(path) as database, Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("copying", total=None)
        database.backup(target, lambda done, total: progress.update(task, completed=done, total=total))
    click.echo(f"{os.path.abspath(target)}: {os.path.getsize(target):,} bytes")


@db.command("vacuum", epilog="\b\nExample:\n  sessionlab db vacuum")
@_db_option
def db_vacuum(path: str | None) -> None:
    """Give the room of deleted sessions back to the disk."""
    with _opened(path) as database:
        before = _bytes(database.path)
        database.vacuum()
        after = _bytes(database.path)
        path = database.path
    click.echo(f"{path}: {before:,} bytes before, {after:,} after")


@db.command("migrate", epilog="\b\nExample:\n  sessionlab db migrate --db old.db")
@_db_option
def db_migrate(path: str | None) -> None:
    """Bring the store to the newest schema; recording to it does that too."""
    with _opened(path) as database:
        before = _schema(database)
    with _opened(path, as_it_is=False) as database:
        after = _schema(database)
        path = database.path
    click.echo(f"{path}: schema {after}" + (", the newest already" if before == after else f", was {before}"))


@db.command(
    "prune",
    epilog="""\b
Examples:
  sessionlab db prune --max-sessions 1000
  sessionlab db prune --older-than 90d --yes""",
)
@click.option("--max-sessions", type=click.IntRange(min=0), metavar="N", help="Keep so many, the newest.")
@click.option("--older-than", metavar="AGE", help="Delete what has had no event for so long, such as 90d.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_db_option
def db_prune(max_sessions: int | None, older_than: str | None, yes: bool, path: str | None) -> None:
    """Delete sessions that are too many or too old.

    Without --max-sessions the setting max_sessions counts, which has no default.
    """
    age = None if older_than is None else _age(older_than)
    keep = settings.max_sessions(max_sessions)
    if keep.value is None and age is None:
        raise click.UsageError("Nothing says what to delete. Use --max-sessions, --older-than, or both.")
    with _opened(path) as database:
        store = database.path
    with sessionlab.Recorder(store, enabled=True) as recorder:
        count = _too_many(recorder.history.list(), keep.value, age)
        if not count:
            click.echo(f"{store}: nothing to delete")
            return
        _ask(f"Delete {count} of the {recorder.history.count()} sessions in {store}, for good?", yes)
        gone = recorder.history.prune(max_sessions=keep.value, older_than=age)
    click.echo(f"{store}: {_counted(gone, 'session')} deleted (`sessionlab db vacuum` gives their room back)")


@db.command(
    "reset",
    epilog="\b\nExamples:\n  sessionlab db backup before.db && sessionlab db reset\n  sessionlab db reset --yes",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_db_option
def db_reset(yes: bool, path: str | None) -> None:
    """Delete the store with all its sessions and make an empty one.

    Programs that are recording to it get an error at their next event.
    """
    with _opened(path) as database:
        count = database.read(lambda connection: connection.execute("select count(*) from session").fetchone()[0])
        _ask(f"Delete all {count} sessions in {database.path}, for good?", yes)
        journal = _replace_with_nothing(database)
        path = database.path
    with _opened(path, as_it_is=False, journal=journal):
        click.echo(f"{path}: {_counted(count, 'session')} deleted, an empty store made")


@contextlib.contextmanager
def _opened(path: str | None, *, as_it_is: bool = True, journal: Any = "wal") -> Iterator[Database]:
    """Open the store that is there; none is made by opening it."""
    from sessionlab.store.database import Database

    setting = settings.db_path(path)
    if not os.path.exists(setting.value):
        raise StoreError(
            f"There is no store at {setting.value!r} ({setting.decided_by} says so). "
            "Recording makes one; --db names another."
        )
    database = Database(setting.value, as_it_is=as_it_is, journal=journal)
    try:
        yield database
    finally:
        database.close()


def _replace_with_nothing(database: Database) -> str:
    """Put an empty file in the store's place, in one step, and return the journal mode that it had.

    The old file is replaced and not emptied, so who has it open notices (StoreReplacedError) and writes nothing to
    the new one. The new file is made while the old one is there, so the two never have one identity. It is of length
    0, since then SQLite itself throws away a WAL or journal that was left beside it, should this be cut off here.
    """
    import tempfile

    from sessionlab.store.gate import DEFAULT_TIMEOUT_S
    from sessionlab.store.lock import ProcessLock

    mode = database.read(lambda connection: connection.execute("pragma journal_mode").fetchone()[0])
    gate = database.gate
    lock = ProcessLock(gate.path + ".lock")
    with gate.released():
        lock.acquire(DEFAULT_TIMEOUT_S)
        try:
            status = os.stat(gate.path)
            if (status.st_dev, status.st_ino) != gate.identity:
                raise StoreReplacedError(f"{gate.path!r} was replaced in the meantime. Nothing was deleted.")
            descriptor, empty = tempfile.mkstemp(dir=os.path.dirname(gate.path), prefix=".sessionlab-")
            os.close(descriptor)
            try:
                os.replace(empty, gate.path)
            except BaseException:
                os.remove(empty)
                raise
            for ending in ("-wal", "-shm", "-journal"):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(gate.path + ending)
        finally:
            lock.release()
            lock.close()
    return "wal" if mode == "wal" else "rollback"


def _schema(database: Database) -> str:
    sql = "select number, name from migration order by number desc limit 1"
    number, name = database.read(lambda connection: connection.execute(sql).fetchone())
    return f"{number} ({name})"


def _too_many(sessions: list[sessionlab.SessionSummary], keep: int | None, age: timedelta | None) -> int:
    """Return how many sessions `prune` would delete."""
    from datetime import UTC, datetime

    before = None if age is None else datetime.now(UTC) - age
    left = sum(before is None or session.updated_at >= before for session in sessions)
    return len(sessions) - left + (0 if keep is None else max(0, left - keep))


def _age(text: str) -> timedelta:
    match = _AGE.fullmatch(text.strip().lower())
    with contextlib.suppress(OverflowError):
        if match:
            return timedelta(seconds=float(match[1]) * _AGE_S[match[2]])
    raise click.BadParameter(f"{text!r} is no age; expected for example 90d, 12h or 4w.", param_hint="--older-than")


def _ask(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here; --yes says yes.")
    click.confirm(question, abort=True, err=True)


def _bytes(path: str) -> int:
    """Return the size of a store with its WAL, without opening either."""
    return sum(os.stat(name).st_size for name in (path, path + "-wal") if os.path.exists(name))


# What goes out


def _format_of(form: str | None, output: str | None) -> str:
    if form is None and output is not None:
        form = _SUFFIXES.get(os.path.splitext(output)[1].lower())
        if form is None:
            raise click.UsageError(f"{output!r} does not say its format. Use .csv, .json, .parquet, or --format.")
    if form == "table" and output is not None:
        raise click.UsageError("A table is for the screen; write csv, json or parquet to a file.")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("parquet is no text for a screen. Use -o FILE, or send it to another program.")
    return form or "table"


def _check_output(output: str | None, force: bool, paths: tuple[str, ...]) -> None:
    """Refuse an output file that must not be written, before the work begins."""
    if output is None or not os.path.exists(output):
        return
    for path in (*paths, settings.db_path().value):
        path = os.path.expanduser(path)
        if os.path.exists(path) and os.path.samefile(output, path):
            raise click.ClickException(f"{output!r} is a history; it is not written over. Choose another FILE.")
    if not force:
        raise click.ClickException(f"{output!r} is there already. Choose another FILE, or --force to write over it.")


def _write(table: pa.Table, form: str, output: str | None, force: bool) -> None:
    write = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}[form]
    if output is None:
        stream = sys.stdout.buffer
        write(table, stream)
        stream.flush()
        return
    path = os.path.realpath(output)
    if os.path.exists(path) and not os.path.isfile(path):  # /dev/null, a pipe
        with open(path, "wb") as file:
            write(table, file)
        return
    partial = f"{path}.{os.getpid()}.partial"
    try:
        with open(partial, "xb") as file:
            write(table, file)
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
            column = _iso(column)
        elif pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            texts = [None if v is None else json.dumps(_plain(v), ensure_ascii=False) for v in column.to_pylist()]
            column = pa.array(texts, pa.large_string())
        columns.append(column)
    csv.write_csv(pa.Table.from_arrays(columns, names=table.column_names), file)


def _write_json(table: pa.Table, file: IO[bytes]) -> None:
    """Write a JSON list of records, one to a line, with ISO times."""
    import pyarrow as pa

    names: list[str] = []
    for name in table.column_names:  # SQL may give two columns one name, a record cannot have it twice
        names.append(name if name not in names else f"{name}_{len(names)}")
    before = b"[\n"
    for batch in table.to_batches(max_chunksize=10_000):
        columns = []
        for column in batch.columns:
            if pa.types.is_timestamp(column.type):
                columns.append(_iso(column).to_pylist())
            elif pa.types.is_large_string(column.type) or pa.types.is_integer(column.type):
                columns.append(column.to_pylist())
            else:
                columns.append([_plain(value) for value in column.to_pylist()])
        rows = [
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in zip(*columns, strict=True)
        ]
        if rows:
            file.write(before + ",\n".join(rows).encode())
            before = b",\n"
    file.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _iso(column: Any) -> Any:
    """Return Arrow times as ISO text in UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.strftime(column.cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%SZ")


def _write_parquet(table: pa.Table, file: IO[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()  # a pipe cannot say where it stands, which the writer wants to know
    pq.write_table(table, sink)
    file.write(sink.getvalue())


def _plain(value: Any) -> Any:
    """Return a value that JSON has a form for."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    return value.hex() if isinstance(value, bytes) else str(value)


def _show(table: pa.Table, total: int, more: str, choose: str, kept: Sequence[str]) -> None:
    """Print rows as a table that fits the screen, and say what it does not show."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    names = [_cell(name) for name in table.column_names]
    columns = [column.to_pylist() for column in table.columns]
    cells = [[_cell(value) for value in column] for column in columns]
    widths = _widths(names, cells, console.width, kept)
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, width in widths.items():
        is_number = any(isinstance(v, int | float) and not isinstance(v, bool) for v in columns[number])
        justify: Literal["left", "right"] = "right" if is_number else "left"
        grid.add_column(Text(names[number]), justify=justify, no_wrap=True, overflow="ellipsis", width=width)
    for row in range(table.num_rows):
        grid.add_row(*(Text(cells[number][row]) for number in widths))
    is_all = table.num_rows == total
    hidden = [name for number, name in enumerate(names) if number not in widths]
    with console.capture() as printed:  # rich has an end of its own for a reader that has gone
        if widths:
            console.print(grid)
        rows = _counted(total, "row")
        console.print(f"{rows}." if is_all else f"{table.num_rows:,} of {rows}; {more}.")
        if hidden:
            console.print(f"Not shown, choose with {choose}: {', '.join(hidden)}.")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout.write(printed.get())


def _widths(names: list[str], cells: list[list[str]], room: int, kept: Sequence[str]) -> dict[int, int]:
    """Return the columns that fit the screen, and how wide each may be.

    Where not all fit, those go first that hold nothing; then those that hold the same everywhere; then the ids; then
    the last ones; and then those in `kept`, from its end.
    """
    from rich.cells import cell_len

    wide = [min(max(map(cell_len, (name, *column))), _CELL_WIDTH) for name, column in zip(names, cells, strict=True)]
    shown = list(range(len(names)))

    def needed() -> int:
        return sum(min(wide[number], _NARROW) + 3 for number in shown) - 3

    def rank(number: int) -> tuple[int, int]:
        if names[number] in kept:
            return 0, kept.index(names[number])
        if not any(cells[number]):
            return 4, number
        if len(cells[number]) > 1 and len(set(cells[number])) == 1:
            return 3, number
        return (2 if names[number].endswith(("_id", "_hash")) else 1), number

    while len(shown) > 1 and needed() > room:
        shown.remove(max(shown, key=rank))
    left = max(0, room - needed())
    widths = {}
    for number in sorted(shown, key=lambda number: names[number].endswith("_id")):  # an id may be cut rather than text
        widths[number] = min(wide[number], _NARROW + left)
        left -= max(0, widths[number] - _NARROW)
    return dict(sorted(widths.items()))


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%d %H:%M"))
    if isinstance(value, list):
        value = ", ".join(_cell(inner) for inner in value)
    text = str(value)
    return _UNSEEN.sub(" ", text[: 4 * _CELL_WIDTH])


def _say_problems(lab: Lab) -> None:
    """Say on standard error what could not be read."""
    from sessionlab.lab.copying import NO_PRICE

    problems = lab.problems
    problems = problems[~problems["reason"].str.startswith(NO_PRICE)]  # their costs are empty, which is seen
    if len(problems):
        click.echo(f"Warning: {_counted(len(problems), 'problem')} while reading.", err=True)
        for row in problems.head(3).to_dict("records"):
            click.echo(f"  {_UNSEEN.sub(' ', str(row['origin']))}: {_UNSEEN.sub(' ', str(row['reason']))}", err=True)
        if len(problems) > 3:
            click.echo("  … (`lab.problems` in Python lists all)", err=True)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"Warning: {message}", err=True)


def _let_go_of_stdout() -> None:
    """Send what is left of the output nowhere, since its reader has gone or its disk is full."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
