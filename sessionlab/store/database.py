"""Open a store, bring it to the newest schema, write it in transactions, back it up and check it."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, TypeVarTuple, Unpack

from sessionlab.errors import SettingsError, StoreError, StoreVersionError
from sessionlab.store.gate import DEFAULT_TIMEOUT_S, Gate, file_uri, gate_of
from sessionlab.store.refusals import in_our_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")
Journal = Literal["wal", "rollback"]
Synchronous = Literal["normal", "full"]

_SCHEMA_FOLDER = os.path.join(os.path.dirname(__file__), "schema")
_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")

_CREATE_MIGRATION = """
create table if not exists migration (
    number integer primary key,
    name text not null,
    applied_at integer not null
) strict
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered step of the schema; a released one never changes."""

    number: int
    name: str
    path: str

    def statements(self) -> Iterator[str]:
        """Yield the SQL statements of the file one by one."""
        with open(self.path, encoding="utf-8") as file:
            text = ""
            for line in file:
                text += line
                if sqlite3.complete_statement(text):
                    yield text
                    text = ""


def migrations() -> list[Migration]:
    """Return the known migrations in their order."""
    found = []
    for name in sorted(os.listdir(_SCHEMA_FOLDER)):
        if match := _FILE_NAME.fullmatch(name):
            path = os.path.join(_SCHEMA_FOLDER, name)
            found.append(Migration(number=int(match[1]), name=match[2], path=path))
    return found


def now_us() -> int:
    """Return the time now as microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def quoted(identifier: str) -> str:
    """Return an SQL identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


class Database:
    """One store, open for writing: its file is there, is ours, and has the newest schema.

    Args:
        path: An absolute path; file and folders are created where they are missing, the file with mode 0600.
        timeout_s: Seconds to wait for other processes.
        journal: Of a new store. `rollback` also turns an existing one, for a file system that cannot do WAL;
            an existing store in rollback mode stays so.
        synchronous: `normal` may lose the newest commits in a power cut, `full` none.
        as_it_is: Open an existing store without creating, migrating or turning anything.

    Raises:
        StoreError: The path cannot be written, or holds something else than a store.
        StoreVersionError: A newer sessionlab made the store.
    """

    def __init__(
        self,
        path: str,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        journal: Journal = "wal",
        synchronous: Synchronous = "normal",
        as_it_is: bool = False,
    ) -> None:
        if journal not in ("wal", "rollback"):
            raise SettingsError(f"journal={journal!r}: expected 'wal' or 'rollback'.")
        if synchronous not in ("normal", "full"):
            raise SettingsError(f"synchronous={synchronous!r}: expected 'normal' or 'full'.")
        if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not 0 <= timeout_s <= 86_400:
            raise SettingsError(f"timeout_s={timeout_s!r}: expected seconds, from 0 to 86400.")
        self._timeout_s = float(timeout_s)
        self._synchronous = synchronous
        self.path = path
        if not as_it_is:
            _create_file(path)
        self.gate: Gate = gate_of(path)
        if not self.gate.peek(lambda _: True):
            with self.gate.released():
                _refuse_foreign(path)
        user = self.gate.join()
        self._user = user
        # A recorder that nobody closes is left at the end of the process, or when it is collected.
        self._abandon = weakref.finalize(self, self.gate.abandon, user)
        try:
            self.gate.store_id = self.gate.write(
                lambda connection: _prepare(connection, path, None if as_it_is else journal),
                timeout_s=self._timeout_s,
                transaction=False,
            )
        except BaseException:
            self.close()
            raise

    def read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run `work` on the shared connection; it must only read."""
        self._check_open()
        return self.gate.read(work, timeout_s=self._timeout_s, synchronous=self._synchronous)

    def write(
        self, work: Callable[[sqlite3.Connection, Unpack[_Arguments]], _Result], *arguments: *_Arguments
    ) -> _Result:
        """Run `work` in one write transaction; when this returns, it is committed."""
        self._check_open()
        return self.gate.write(work, *arguments, timeout_s=self._timeout_s, synchronous=self._synchronous)

    def maintain(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run `work` under the lock between processes but outside a transaction (`vacuum`)."""
        self._check_open()
        return self.gate.write(work, timeout_s=self._timeout_s, synchronous=self._synchronous, transaction=False)

    def close(self) -> None:
        """Let go of the file; calling it again does nothing."""
        if self._abandon.detach() is not None:
            self.gate.leave(self._user, self._timeout_s)

    def _check_open(self) -> None:
        if not self._abandon.alive:
            raise StoreError(f"The recorder of {self.path!r} is closed. Make a new one to go on.")

    def vacuum(self) -> None:
        """Give the room of deleted rows back to the disk."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")

        self.maintain(work)

    def backup(self, target: str, progress: Callable[[int, int], None] | None = None) -> None:
        """Copy the store to a new file with SQLite's online backup, while others go on recording.

        Args:
            target: A path where nothing lies yet. The copy is in rollback mode: one file that is whole by itself.
            progress: Called with the pages done and the pages in all.

        Raises:
            StoreError: Something lies at `target`, or it cannot be written.
        """
        target = os.path.abspath(target)
        if os.path.exists(target):
            raise StoreError(f"{target!r} is there already; a backup overwrites nothing. Choose another name.")
        partial = target + ".partial"
        try:
            descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            raise StoreError(
                f"{partial!r} is left from a backup that was cut off, or in use. Remove it first."
            ) from None
        except OSError as error:
            raise StoreError(f"{target!r} cannot be written: {error.strerror}. Choose another folder.") from error
        os.close(descriptor)
        try:
            copy = sqlite3.connect(partial, isolation_level=None)
            try:
                # One step of all pages: a backup in steps starts over whenever another process has written.
                def work(connection: sqlite3.Connection) -> None:
                    try:
                        connection.backup(
                            copy,
                            pages=-1,
                            progress=lambda _, left, total: progress(total - left, total) if progress else None,
                        )
                        copy.execute("pragma journal_mode = delete")
                    except sqlite3.Error as error:
                        raise StoreError(
                            f"The backup of {self.path!r} to {target!r} failed: {error}. See that there is room."
                        ) from error

                self.read(work)
            finally:
                copy.close()
            os.rename(partial, target)
        finally:
            if os.path.exists(partial):
                os.remove(partial)

    def check(self) -> list[str]:
        """Return what is wrong with the file, in words; an empty list means sound."""

        def work(connection: sqlite3.Connection) -> list[str]:
            found: list[str] = []
            try:
                found += [row[0] for row in connection.execute("pragma integrity_check") if row[0] != "ok"]
                for table, row, parent, _ in connection.execute("pragma foreign_key_check"):
                    found.append(f"row {row} of {table} names a row of {parent} that is not there")
                for label, sql in _LINKS.items():
                    count = connection.execute(sql).fetchone()[0]
                    if count:
                        found.append(f"{count} rows: {label}")
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
                    raise
                found.append(f"the file is damaged, so the check ended here: {error}")
            return found

        return self.read(work)


_LINKS = {
    "a message follows one that is not in its session": """
        select count(*) from message m left join message p on p.message_key = m.parent_key
        where m.parent_key is not null and p.session_key is not m.session_key""",
    "a message is not in its place in the session": """
        select count(*) from (
            select message_index, row_number() over (partition by session_key order by message_key) - 1 as place
            from message) where message_index <> place""",
    "a message has no text row": """
        select count(*) from message m left join message_text t using (message_key) where t.message_key is null""",
    "a tool call has no arguments row": """
        select count(*) from tool_call c left join tool_call_text t using (tool_call_key)
        where t.tool_call_key is null""",
    "a tool call belongs to a turn that is not in its session": """
        select count(*) from tool_call c left join turn t on t.turn_key = c.turn_key
        where c.turn_key is not null and t.session_key is not c.session_key""",
    "a key is larger than the counter": """
        select count(*) from store where last_key < max(
            coalesce((select max(revision) from session), 0), coalesce((select max(session_key) from session), 0),
            coalesce((select max(invocation_key) from invocation), 0),
            coalesce((select max(configuration_key) from configuration), 0),
            coalesce((select max(model_config_key) from model_config), 0))""",
}


def next_keys(connection: sqlite3.Connection, count: int) -> int:
    """Take `count` keys of the store's counter and return the first; only inside a write transaction."""
    last = int(connection.execute("select last_key from store").fetchone()[0])
    connection.execute("update counter set last_key = ?", (last + count,))
    return last + 1


def count_deletion(connection: sqlite3.Connection) -> None:
    """Tell who holds a copy of the store that rows go; before they go, so that no key is given twice."""
    connection.execute("update counter set deletions = deletions + 1, last_key = (select last_key + 1 from store)")


def _create_file(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            refuse_unwritable(path)
            return
        kind = "a folder" if stat.S_ISDIR(mode) else "no file"
        raise StoreError(f"{path!r} is {kind}; a store is one file. Add a file name, for example history.db.")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StoreError(f"The store {path!r} cannot be opened: {error.strerror}. Check its path.") from error
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # Through a link that leads nowhere yet, the file is made where the link points.
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if not os.path.isfile(path):
            raise StoreError(f"A folder of {path!r} is a file. Choose another path.") from None
    except OSError as error:
        raise StoreError(f"The store {path!r} cannot be created: {error.strerror}. Choose another path.") from error


def refuse_unwritable(path: str) -> None:
    """Refuse a file that can only be read, before SQLite lays a WAL beside it that it then cannot remove.

    Raises:
        StoreError: The file cannot be written to.
    """
    if not os.access(path, os.W_OK):
        raise StoreError(
            f"The store {path!r} cannot be written to. Change its permissions or use another path for the store; "
            "sessionlab.open() only reads it."
        )


def _refuse_foreign(path: str) -> None:
    """Refuse what is another program's, before anything is opened for writing or laid beside it.

    What lies in a WAL alone is not seen here; `_prepare` looks again.
    """
    try:
        connection = sqlite3.connect(file_uri(path, "mode=ro&immutable=1"), uri=True)
        try:
            tables = _tables(connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise in_our_words(path, error) from error
        return  # half written by another process, or damaged: SQLite says so under its locks
    if tables and not tables & {"migration", "counter"}:
        raise _foreign(path, tables)


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("select name from sqlite_schema where type in ('table', 'view')")}


def _foreign(path: str, tables: set[str]) -> StoreError:
    return StoreError(
        f"{path!r} is a SQLite file of another program (its tables: {', '.join(sorted(tables)[:5])}). "
        "Nothing was changed; use another path for the store, or sessionlab.open() to read it."
    )


def _prepare(connection: sqlite3.Connection, path: str, journal: Journal | None) -> str:
    """Bring the file to the newest schema and return the store's id."""
    tables = _tables(connection)
    if journal is None and not tables:
        raise StoreError(f"{path!r} is empty; there is no store in it. Check the path.")
    if tables and not {"migration", "counter"} <= tables:
        raise _foreign(path, tables)
    known = migrations()
    applied = _applied(connection) if tables else 0
    if applied > known[-1].number:
        raise StoreVersionError(
            f"The store {path!r} has schema {applied}; this sessionlab knows up to {known[-1].number}. "
            "Update it (pip install --upgrade sessionlab) or use another store."
        )
    if journal is not None:
        _set_journal(connection, path, journal, is_new=not tables)
        if applied < known[-1].number:
            _migrate(connection, known)
        # A file that can only be read is refused here, not at the first event.
        connection.execute("begin immediate")
        try:
            connection.execute("update counter set deletions = deletions")
        finally:
            connection.execute("rollback")
    return str(connection.execute("select store_id from counter").fetchone()[0])


def _set_journal(connection: sqlite3.Connection, path: str, journal: Journal, *, is_new: bool) -> None:
    current = connection.execute("pragma journal_mode").fetchone()[0]
    wanted = {"wal": "wal", "rollback": "delete"}[journal]
    if current == wanted or not (is_new or journal == "rollback"):
        return
    current = connection.execute(f"pragma journal_mode = {wanted}").fetchone()[0]
    if current != wanted:
        raise StoreError(
            f"The store {path!r} cannot be in {journal} mode here; SQLite says {current!r}. "
            "Use journal='rollback' on network folders, and close the programs that have it open."
        )


def _migrate(connection: sqlite3.Connection, known: list[Migration]) -> None:
    """Apply what is missing, in one transaction."""
    connection.execute("begin immediate")
    try:
        connection.execute(_CREATE_MIGRATION)
        applied = _applied(connection)  # another process may have been faster
        for migration in known:
            if migration.number > applied:
                for statement in migration.statements():
                    connection.execute(statement)
                connection.execute(
                    "insert into migration values (?, ?, ?)", (migration.number, migration.name, now_us())
                )
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def _applied(connection: sqlite3.Connection) -> int:
    row: Any = connection.execute("select coalesce(max(number), 0) from migration").fetchone()
    return int(row[0])
