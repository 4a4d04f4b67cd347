"""The commands `db …`: looking after the store that sessions are recorded to."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

import sessionlab
from sessionlab import settings
from sessionlab.errors import StoreError, StoreReplacedError
from sessionlab.exporting.telling import counted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from sessionlab.store.database import Database

_AGE = re.compile(r"(\d+(?:\.\d+)?)(min|[smhdw])")
_AGE_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


@click.group()
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
        click.echo(f"Error: {path!r} is not sound: {counted(len(wrong), 'finding')}.", err=True)
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
    with _opened(path, is_written=True) as database:
        before = _bytes(database.path)
        database.vacuum()
        after = _bytes(database.path)
        path = database.path
    click.echo(f"{path}: {before:,} bytes before, {after:,} after")


@db.command("migrate", epilog="\b\nExample:\n  sessionlab db migrate --db old.db")
@_db_option
def db_migrate(path: str | None) -> None:
    """Bring the store to the newest schema; recording to it does that too."""
    with _opened(path, is_written=True) as database:
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
    with _opened(path, is_written=True) as database:
        store = database.path
    with sessionlab.Recorder(store, enabled=True) as recorder:
        count = _too_many(recorder.history.list(), keep.value, age)
        if not count:
            click.echo(f"{store}: nothing to delete")
            return
        _ask(f"Delete {count} of the {recorder.history.count()} sessions in {store}, for good?", yes)
        gone = recorder.history.prune(max_sessions=keep.value, older_than=age)
    click.echo(f"{store}: {counted(gone, 'session')} deleted (`sessionlab db vacuum` gives their room back)")


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
    with _opened(path, is_written=True) as database:
        count = database.read(_count_sessions)
        _ask(f"Delete all {count} sessions in {database.path}, for good?", yes)
        journal = _replace_with_nothing(database)
        path = database.path
    with _opened(path, as_it_is=False, journal=journal):
        click.echo(f"{path}: {counted(count, 'session')} deleted, an empty store made")


def _count_sessions(connection: sqlite3.Connection) -> int:
    """Return how many sessions a store holds, with those that it has archived of other tools."""
    archive = connection.execute("select count(*) from sqlite_schema where name = 'archive_session'").fetchone()[0]
    tables = ["session", *(["archive_session"] if archive else [])]
    return sum(int(connection.execute(f"select count(*) from {table}").fetchone()[0]) for table in tables)


@contextlib.contextmanager
def _opened(
    path: str | None, *, as_it_is: bool = True, journal: Any = "wal", is_written: bool = False
) -> Iterator[Database]:
    """Open the store that is there; none is made by opening it."""
    from sessionlab.store.database import Database, refuse_unwritable

    setting = settings.db_path(path)
    if not os.path.exists(setting.value):
        raise StoreError(
            f"There is no store at {setting.value!r} ({setting.decided_by} says so). "
            "Recording makes one; --db names another."
        )
    if is_written:
        refuse_unwritable(setting.value)
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
