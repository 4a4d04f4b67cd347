"""The copies of what a store has archived of other tools' histories: one for each tool."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Callable, Collection, Iterator
from itertools import count
from typing import TYPE_CHECKING, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sessionlab.errors import HistoryFileError
from sessionlab.lab.copying import Copy, Need
from sessionlab.lab.engine import in_pieces, refuse_interrupt, roll_back, script, show_as
from sessionlab.lab.incoming import INCOMING, TEXTS, Kind
from sessionlab.lab.keyed import RANGE, RANGE_ALONE, TRIES
from sessionlab.lab.selecting import no_rows
from sessionlab.lab.texts import Texts, in_order
from sessionlab.sources import Source, all_sources
from sessionlab.store.archiving import KEY_BITS
from sessionlab.store.gate import gate_of

if TYPE_CHECKING:
    from sessionlab.lab.attach import Attachment
    from sessionlab.lab.engine import Engine
    from sessionlab.lab.keyed import KeyedCopy
    from sessionlab.lab.selecting import Columns

_Result = TypeVar("_Result")

# Of how many sessions rows are copied at a time, however little is in them.
_RANGE_SESSIONS = 5_000

_KINDS = {name: kind for columns in INCOMING.values() for name, kind in columns}
_ID_KINDS = dict.fromkeys(("message_id", "parent_message_id", "turn_id"), "varchar")


def _columns(*names: str) -> Columns:
    return [(name, _ID_KINDS.get(name) or _KINDS.get(name, "bigint")) for name in names]


SESSION = _columns(*(name for name, _ in INCOMING["session"] if name != "session_key"))
MODEL_CONFIG = _columns(*(name for name, _ in INCOMING["model_config"]))
_USAGE = (
    *(name for name, _ in INCOMING["session_usage"] if name.endswith("_tokens")),
    "usage_quality",
    "reported_cost_usd",
)
ROWS: dict[str, Columns] = {
    "message": _columns(
        *("message_key", "message_id", "message_index", "parent_message_id", "is_prompt", "turn_key", "turn_id"),
        *("invocation_id", "role", "kind", "is_preamble", "is_sidechain", "created_at"),
    ),
    "turn": _columns(
        *("turn_key", "turn_id", "turn_index", "exchange_index", "invocation_id", "model_config_key"),
        *("model_config_status", "prompt_key", "is_sidechain", "started_at", "duration_us", "tool_call_count"),
        *("response_model", "finish_reason", "finish_reason_raw", "error_type", *_USAGE, "claim"),
    ),
    "tool_call": _columns(
        *("tool_call_key", "tool_call_index", "tool_call_id", "turn_key", "turn_id", "tool_name", "started_at"),
        *("result_key", "status", "is_error", "exit_code", "duration_us"),
    ),
    "session_usage": _columns("session_usage_key", "started_at", "provider_name", "model", *_USAGE),
}
"""The columns of the rows of a session: those of the tables of facts, but what its session or configuration says."""

_CONFIG_USE: Columns = [("session_key", "bigint"), ("model_config_key", "bigint")]
_CLAIM: Columns = [("claim", "varchar"), ("session_id", "varchar")]
_HELD: Columns = [("archive_key", "bigint"), ("source", "varchar"), ("revision", "bigint"), ("message_count", "bigint")]


class _ArchiveChangedError(Exception):
    """A session was replaced since the list of sessions was read."""


class Archive:
    """What a store has archived; it is looked at again when the copy of the store has changed.

    Attributes:
        store: The copy of the store's own sessions.
        copies: A copy for each tool, by its name.
        configs: The model configurations of all tools.
    """

    def __init__(self, engine: Engine, store: KeyedCopy, attachment: Attachment) -> None:
        self.store = store
        self.copies: dict[str, ArchiveCopy] = {}
        self.configs = pa.table({})
        self._engine = engine
        self._attachment = attachment
        self._state: tuple[str, int, int] | None = None
        self._newest = 0
        self._numbers = count()
        self._claims: dict[str, pa.Table] = {}
        this = weakref.ref(self)  # in a circle both would stay in memory for longer than anybody holds them

        def look_in_passing() -> None:
            archive = this()
            if archive is not None:
                archive._keep_up(archive._read_list)

        store.on_change = look_in_passing  # the file is attached then anyway

    def refresh(self) -> None:
        """Read the list of sessions again if it may have changed.

        Raises:
            HistoryFileError: The store cannot be read.
        """
        self._keep_up(self._look)

    def _keep_up(self, look: Callable[[], None]) -> None:
        state = self.store.state
        if state != self._state:
            if state is None or self._state is None or state[0] != self._state[0]:
                self._newest = -1  # another store may lie there by now
            look()
            self._state = state

    def drop(self) -> None:
        """Free the facts."""
        for copy in self.copies.values():
            copy.drop()
        self.copies = {}

    def claims(self, source: str) -> pa.Table | None:
        """Return the claims and message ids of a tool's sessions, the same table while they are the same; or None."""
        if source not in self.copies:
            return None
        if source not in self._claims:
            claims = self.retried(lambda: self.rows("claim", _CLAIM, self.copies[source].sessions))
            # One name is one row: a turn's can be that of its message too.
            claims = claims.group_by("claim", use_threads=False).aggregate([("session_id", "first")])
            self._claims[source] = claims.rename_columns([name for name, _ in _CLAIM])
        return self._claims[source]

    def once(self, work: Callable[[], _Result]) -> _Result:
        """Do `work` on the attached store."""
        try:
            with self._attachment:
                return work()
        except (duckdb.Error, pa.ArrowException) as error:
            refuse_interrupt(error)
            raise HistoryFileError(
                f"The archive in {self.store.path!r} cannot be read: {str(error).splitlines()[0]} "
                "`sessionlab db check` says whether a store is sound."
            ) from error
        finally:
            self._attachment.leave()

    def rows(self, section: str, columns: Columns, sessions: pa.Table) -> pa.Table:
        """Return the rows of some sessions, which must not have changed since they were listed."""
        parts = []
        for keys in self._ranges(sessions):
            sql = script("archived")[section].replace(":chosen", ", ".join(map(str, keys)))
            part = self._engine.fetch(sql, [("revision", "bigint"), *columns], {})
            if part.num_rows and pc.max(part.column(0)).as_py() > self._newest:
                raise _ArchiveChangedError
            parts.append(part.drop_columns("revision"))
            self._attachment.give_way()
        return pa.concat_tables(parts) if parts else no_rows(columns)

    def retried(self, work: Callable[[], _Result]) -> _Result:
        """Do `work` on the attached store, and again with a new list of sessions while somebody replaces some."""
        for _ in range(TRIES):
            try:
                return self.once(work)
            except _ArchiveChangedError:
                self._look()
        raise HistoryFileError(f"The archive in {self.store.path!r} changes faster than it can be read. Try again.")

    def _look(self) -> None:
        """Read the list of sessions, unless it is as it was."""
        newest = self._newest_in_passing()
        if newest is None or newest != self._newest:
            self.once(self._read_list)

    def _newest_in_passing(self) -> int | None:
        """Ask the connection of a recorder in this process, if there is one; that costs next to nothing."""
        try:
            row = gate_of(self.store.path).peek(lambda c: c.execute(script("archived")["newest"]).fetchone())
        except sqlite3.Error:  # a store of an older schema has no archive
            return None
        return None if row is None else int(row[0])

    def _read_list(self) -> None:
        fetch, sections = self._engine.fetch, script("archived")
        if not fetch(sections["is_there"], [("tables", "bigint")], {}).column(0)[0].as_py():
            self.drop()
            self._newest = 0
            return
        newest = fetch(sections["newest"], [("revision", "bigint")], {}).column(0)[0].as_py()
        if newest == self._newest:
            return
        sessions = in_order(fetch(sections["session"], [*_HELD, *SESSION], {}), "archive_key")
        # What was written after the number was read is read again the next time.
        self.configs = in_order(
            fetch(sections["model_config"], [("source", "varchar"), *MODEL_CONFIG], {}), "model_config_key"
        )
        self._newest = max(newest, pc.max(sessions.column("revision")).as_py() or 0)
        self._claims = {}
        names = sorted({*sessions.column("source").to_pylist(), *self.configs.column("source").to_pylist()})
        for name in names:
            if name not in self.copies:
                self.copies[name] = self._new_copy(name)
            self.copies[name].sessions = sessions.filter(pc.equal(sessions.column("source"), name))
        for name in set(self.copies) - set(names):
            self.copies.pop(name).drop()

    def _new_copy(self, name: str) -> ArchiveCopy:
        bare = Source(name=name, default_paths=lambda: ())
        source = next((source for source in all_sources() if source.name == name), bare)
        schema = f"{self.store.schema}_archive{next(self._numbers)}"
        return ArchiveCopy(self._engine, source, self.store.path, schema, self)

    def _ranges(self, sessions: pa.Table) -> Iterator[list[int]]:
        """Yield the keys of sessions in groups that hold about so many messages as are read at a time."""
        most = RANGE if self._attachment.gate.is_shared else RANGE_ALONE
        keys: list[int] = []
        size = 0
        numbers = (sessions.column(name).to_pylist() for name in ("archive_key", "message_count"))
        for key, messages in zip(*numbers, strict=True):
            keys.append(key)
            size += messages
            if size >= most or len(keys) >= _RANGE_SESSIONS:
                yield keys
                keys, size = [], 0
        if keys:
            yield keys


class ArchiveCopy(Copy):
    """The copy of one tool's sessions in the archive of a store, without those that are hidden.

    Attributes:
        sessions: All of them that the store holds.
    """

    def __init__(self, engine: Engine, source: Source, path: str, schema: str, archive: Archive) -> None:
        self.source = source
        self.sessions = no_rows([*_HELD, *SESSION])
        self._shown = self.sessions
        self._made_of: tuple[pa.Table, frozenset[str]] | None = None
        self._archive = archive
        super().__init__(engine, path, schema)

    def begin(self) -> None:
        """Nothing is read before a frame is asked for."""

    def refresh(self, kinds: Collection[Kind] = (), *, need: Need = "facts") -> None:  # noqa: ARG002 - texts wait
        """Read the facts, if other sessions are to be shown than those that are held; texts wait.

        Raises:
            HistoryFileError: The store cannot be read.
        """
        if self._made_of is not None and self._made_of[0] is self.sessions and self._made_of[1] == self.hidden:
            return
        facts = self._archive.retried(self._facts)
        self._create()
        for table, rows in facts.items():
            self._insert(table, rows)
        ends = [rows.column(0)[-1].as_py() for table, rows in facts.items() if table in ROWS and rows.num_rows]
        self._until = max(0, *ends) if ends else 0
        self._made_of = (self.sessions, self.hidden)
        self.version += 1

    def load_texts(self, kind: Kind, *, is_held: bool = False) -> None:
        """Read the texts of the messages or tool calls that the facts are of.

        Where sessions were replaced since the facts were read, those are read anew as well, unless they are held.

        Raises:
            HistoryFileError: The store cannot be read, or sessions were replaced although the facts are held.
        """
        if self.texts[kind].until >= 0:
            return
        for _ in range(TRIES):
            try:
                rows = self._archive.once(lambda: self._archive.rows(f"{kind}_text", TEXTS[kind], self._shown))
            except _ArchiveChangedError:
                if is_held:
                    break
                self._archive.store.refresh()
                self._archive.refresh()
                self.refresh()
                continue
            texts = Texts(self.texts[kind].columns)
            texts.append(in_order(rows, TEXTS[kind][0][0]))
            texts.until = self._until
            self.texts[kind] = texts
            self.version += 1
            return
        raise HistoryFileError(
            f"The archive in {self.path!r} has changed since the snapshot was taken, so its texts cannot be had. "
            "Take another snapshot, or ask for texts before it."
        )

    def _facts(self) -> dict[str, pa.Table]:
        """Return the facts of the sessions that are shown."""
        hidden = pa.array(sorted(self.hidden), pa.large_string())
        shown = self.sessions.filter(pc.invert(pc.is_in(self.sessions.column("session_id"), value_set=hidden)))
        configs = self._archive.configs
        configs = configs.filter(pc.equal(configs.column("source"), self.source.name)).drop_columns("source")
        tables = {
            "session": shown.select(["archive_key", *(name for name, _ in SESSION)]).rename_columns(
                ["session_key", *(name for name, _ in SESSION)]
            ),
            "model_config": configs,
            "session_config": self._archive.rows("session_config", _CONFIG_USE, shown),
        }
        names = Texts(("model_config_id", "provider_name", "request_model"))
        names.append(configs.select(["model_config_key", *names.columns]))
        for table, columns in ROWS.items():
            rows = in_order(self._archive.rows(table, columns, shown), columns[0][0])
            rows = _with_session(rows, shown)
            tables[table] = _with_config(rows, names) if table == "turn" else rows
        self._shown = shown
        return tables

    def _insert(self, table: str, rows: pa.Table) -> None:
        connection = self._engine.narrow
        stop = """ replace (from_json(stop_sequences, '["varchar"]') as stop_sequences)"""
        columns = f"*{stop if table == 'model_config' else ''}"
        show_as(connection, "incoming", in_pieces(rows))
        try:
            connection.execute(f"insert into {self.schema}.{table} by name select {columns} from incoming")
        except BaseException:
            roll_back(connection)
            raise
        finally:
            connection.unregister("incoming")


def _with_session(rows: pa.Table, sessions: pa.Table) -> pa.Table:
    """Return the rows of some sessions with the key and id of each one's."""
    keys = rows.column(0).to_numpy() >> KEY_BITS
    places = np.searchsorted(sessions.column("archive_key").to_numpy(), keys)
    rows = rows.append_column("session_key", pa.array(keys))
    return rows.append_column("session_id", sessions.column("session_id").take(pa.array(places)))


def _with_config(turns: pa.Table, names: Texts) -> pa.Table:
    """Return turns with what their configurations say."""
    keys = turns.column("model_config_key")
    for name in names.columns:
        known = keys.is_valid().to_numpy()
        turns = turns.append_column(name, names.pick(name, keys.fill_null(-1).to_numpy(), known))
    return turns


def claims_of(archives: Collection[Archive], source: str) -> list[pa.Table]:
    """Return the claims that some archives hold of a tool."""
    found = (archive.claims(source) for archive in archives)
    return [claims for claims in found if claims is not None and claims.num_rows]
