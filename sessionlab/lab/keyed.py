"""The copy of a history whose rows are only added: brought up to date by what is new, range of keys by range."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from sessionlab.errors import HistoryFileError
from sessionlab.lab.attach import UNSETTLED_S, age_s, signature_of
from sessionlab.lab.copying import Copy, Need
from sessionlab.lab.engine import refuse_interrupt
from sessionlab.lab.incoming import GIVEN, INCOMING, STATE, TEXTS, Kind
from sessionlab.lab.texts import Texts, in_order
from sessionlab.store.gate import gate_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from sessionlab.lab.attach import Attachment
    from sessionlab.lab.engine import Engine
    from sessionlab.lab.selecting import Columns
    from sessionlab.sources import KeyedSource

RANGE = 20_000
"""How many messages are copied before a recorder of this process that waits is let in."""
RANGE_ALONE = 200_000
"""The same where this process records nothing."""
TURNS = ("invocation", "model_config", "turn")
"""The tables that are copied where only turns are needed; the others wait."""
# The largest tables. Their sections of `ingest.sql` are single statements, so the rows need not be there as a whole.
_STREAMED = ("message", "turn")
TRIES = 8
"""How often a copy is begun again where rows went meanwhile."""


class KeyedCopy(Copy):
    """The copy of a history of a `KeyedSource`.

    Attributes:
        on_change: Called after each copying of what is new, while the file is still attached.
    """

    def __init__(self, engine: Engine, source: KeyedSource, path: str, schema: str, attachment: Attachment) -> None:
        self.source: KeyedSource = source
        self._state: tuple[str, int, int] | None = None
        self._sight: object = None
        self._file: tuple[int, int] | None = None
        self._rest_until = -1
        self._calls_before_turns = False
        self._is_unordered = False
        self._attachment = attachment
        self.on_change: Callable[[], None] | None = None
        attachment.is_foreign = False
        super().__init__(engine, path, schema)

    def _create(self) -> None:
        super()._create()
        self._state = None
        self._sight = None
        self._rest_until = -1

    @property
    def state(self) -> tuple[str, int, int] | None:
        """What the file was at the last refresh: its identity, its largest key, and a number that rises as rows go."""
        return self._state

    def begin(self) -> None:
        """Copy the sessions; turns, messages and tool calls wait until a frame is asked for.

        Raises:
            HistoryFileError: The file cannot be read.
        """
        self._copy(())

    def refresh(self, kinds: Collection[Kind] = (), *, need: Need = "facts") -> None:
        """Copy what has come since the last time; texts wait until they are asked for.

        Args:
            kinds: The texts that will be asked for.
            need: What else will be asked for.

        Raises:
            HistoryFileError: The file cannot be read.
        """
        self._copy(TURNS if need in ("usage", "turns") and not kinds else tuple(INCOMING))

    def _copy(self, tables: Collection[str]) -> None:
        """Copy the sessions, and what has come in some tables: none, those of turns, or all."""
        for _ in range(TRIES):
            if self._is_current(tables):
                return
            sight = self._sight_now()  # before reading, so that what is read is no older
            if self._once(lambda: self._copy_facts(tables)):
                self._sight = sight
                return
        raise HistoryFileError(f"{self.path!r} loses rows faster than it can be read. Try again when it is quieter.")

    def load_texts(self, kind: Kind, *, is_held: bool = False) -> None:
        """Copy the texts of the messages or tool calls that the facts are of.

        Where rows went since the facts were copied, those are copied anew as well, unless they are held.

        Raises:
            HistoryFileError: The file cannot be read, or rows went although the facts are held.
        """
        for _ in range(TRIES):
            if not is_held and (self._state is None or self._rest_until < self._state[1]):
                self.refresh()
            if self._state is not None and self.texts[kind].until >= self._state[1]:
                return
            if self._once(lambda: self._copy_texts(kind), held=kind if is_held else None):
                return
            if is_held:
                raise HistoryFileError(
                    f"{self.path!r} has lost rows since the snapshot was taken, so their texts cannot be had. "
                    "Take another snapshot, or ask for texts before it."
                )
        raise HistoryFileError(f"{self.path!r} loses rows faster than it can be read. Try again when it is quieter.")

    def _is_current(self, tables: Collection[str]) -> bool:
        """Return whether all that some tables need is here, in so far as that can be told without reading.

        A recorder of this process can be asked; else the file is as it was, or not.
        """
        if self._state is None:
            return False
        if tables and (self._until if tables == TURNS else self._rest_until) < self._state[1]:
            return False
        gate = gate_of(self.path)
        if gate.identity != self._file:
            return False
        try:
            row = gate.peek(lambda connection: connection.execute(self.source.state).fetchone())
        except sqlite3.Error:  # reading in earnest says what is wrong
            return False
        if row is None:
            return self._sight is not None and self._sight == self._sight_now()
        return tuple(row) == self._state

    def _sight_now(self) -> object:
        """Return what is another thing after any commit.

        None while the clock is too coarse to say, and where a recorder of this process would have to let the file go.
        """
        if gate_of(self.path).is_shared:
            return None
        signature, commits = signature_of(self.path), self._attachment.commits()
        has_wal_index = commits is not None and commits[1] != b""
        return (signature, commits) if has_wal_index or age_s(signature) > UNSETTLED_S else None

    def _once(self, work: Callable[[], bool], *, held: Kind | None = None) -> bool:
        """Do `work` on the attached file; where it fails or returns False, what was copied is given up."""
        is_done = False
        try:
            with self._attachment:
                is_done = work()
        except (duckdb.Error, pa.ArrowException) as error:
            refuse_interrupt(error)
            if self._is_unordered and "not in order" in str(error):
                return False
            raise HistoryFileError(
                f"{self.path!r} cannot be read: {str(error).splitlines()[0]} "
                "`sessionlab db check` says whether a store is sound."
            ) from error
        finally:
            self._attachment.leave()
            if not is_done:
                if held is None:
                    self._create()
                else:
                    self.texts[held] = Texts(self.texts[held].columns)
        return is_done

    def _copy_facts(self, tables: Collection[str]) -> bool:
        """Copy the new rows and return True, or False where rows went away meanwhile and all must start over."""
        after = -1 if self._state is None else self._state[1]
        # The state and the sessions, which change, come from one statement and so from one snapshot.
        sql = f"select a.*, b.* from ({self.source.state}) a left join ({self.source.facts['session']}) b on true"
        rows = self._fetch(sql, [*STATE, *INCOMING["session"]], may_lack=True, after=after)
        if rows.num_rows == 0 or any(rows.column(i)[0].as_py() is None for i in range(3)):
            raise HistoryFileError(f"{self.path!r} is a damaged store: it has lost its counter. Restore a backup.")
        state = tuple(rows.column(i)[0].as_py() for i in range(3))
        until = state[1]
        if self._state is None:
            self._file = self._attachment.gate.identity
        elif until < after or not self._is_same(state):
            return False
        if until > after:
            sessions = rows.select([name for name, _ in INCOMING["session"]])
            sessions = sessions.filter(sessions.column("session_key").is_valid())
            if sessions.num_rows:
                sessions = in_order(sessions, "session_key")  # a join keeps no order
                self._remember("session", sessions)
                self._engine.ingest("session", self.schema, sessions)
        have_turns, have_rest = self._until, self._rest_until
        if tables and have_rest == have_turns >= 0:
            tables = tuple(INCOMING)  # what has come lately is little
        if tables and tables != TURNS:
            if have_rest < have_turns:
                self._copy_ranges([name for name in tables if name not in TURNS], have_rest, have_turns)
            have_rest = until
        if tables:
            self._copy_ranges(tables, have_turns, until)
            have_turns = until
        if (until, have_turns, have_rest) != (after, self._until, self._rest_until):
            if not self._still(state):
                return False
            self.version += 1
        self._state, self._until, self._rest_until = state, have_turns, have_rest
        if self.on_change is not None:
            self.on_change()
        return True

    def _copy_ranges(self, tables: Collection[str], after: int, until: int) -> None:
        """Copy the rows of some tables with keys behind `after` up to `until`."""
        start = after
        self._calls_before_turns = False
        while start < until:
            start = self._copy_range(tables, start, until)
        if self._calls_before_turns:
            self._engine.ingest("later_turns", self.schema, after=after)

    def _copy_range(self, tables: Collection[str], after: int, until: int) -> int:
        is_shared = self._attachment.gate.is_shared
        end = self._range_end(after, until, RANGE) if is_shared else until
        # A first copy reads whole tables, which is quicker by a scan than by key.
        is_scan = after < 0 and not is_shared and not self._is_unordered
        self._turns_wait = self._results_wait = False
        if "message" not in tables:
            given = self.source.given if after < 0 else self.source.facts["message"]
            self._remember("message", in_order(self._fetch(given, GIVEN, after=after, until=end), GIVEN[0][0]))
        if "turn" not in tables:
            self._turns_wait = True  # of the turns that are here already some may have waited for calls
        for table, columns in INCOMING.items():
            if table == "session" or table not in tables or table not in self.source.facts:
                continue
            values = {"after": after, "until": end}
            if is_scan:
                with self._engine.scanned(self.source.facts[table], columns, values) as pieces:
                    if table in _STREAMED:
                        self._engine.ingest(table, self.schema, self._streamed(table, pieces, end))
                        continue
                    rows = in_order(pieces.read_all(), columns[0][0])
            else:
                rows = self._fetch(self.source.facts[table], columns, may_lack=True, **values)
            if not rows.num_rows:
                continue
            self._note(table, rows, end)
            if table != "invocation":
                self._engine.ingest(table, self.schema, self._named(table, rows))
        if self._turns_wait:
            self._engine.ingest("adopt", self.schema, after=after)
        if self._results_wait:
            self._engine.ingest("late_results", self.schema, after=after)
        self._attachment.give_way()
        return end

    def _note(self, table: str, rows: pa.Table, end: int) -> None:
        """Note what rows mean for others: names by key, and what is to be done when all of a range are there."""
        self._remember(table, rows)
        if table == "message":
            without_turn = pc.and_(pc.equal(rows["role"], "tool"), rows["turn_key"].is_null())
            self._results_wait |= bool(pc.any(without_turn).as_py())
        if table == "tool_call":
            latest = pc.max(rows.column("turn_key")).as_py()
            self._calls_before_turns |= latest is not None and latest > end
        if table == "turn":
            self._turns_wait |= rows.column("first_call_key").null_count < rows.num_rows

    def _streamed(self, table: str, pieces: pa.RecordBatchReader, end: int) -> pa.RecordBatchReader:
        """Return rows with what they name by key, while they are read: one core reads and the other writes."""
        key = INCOMING[table][0][0]
        schema = self._named(table, pieces.schema.empty_table(), is_piece=True).schema

        def named() -> Iterator[pa.RecordBatch]:
            last = -1
            for piece in pieces:
                if not piece.num_rows:
                    continue
                rows = pa.Table.from_batches([piece])
                keys = rows.column(key).to_numpy()
                if keys[0] <= last or not bool((keys[1:] > keys[:-1]).all()):
                    self._is_unordered = True
                    raise ValueError(f"the rows of {table} are not in order")
                last = keys[-1]
                self._note(table, rows, end)
                yield from self._named(table, rows, is_piece=True).to_batches()

        return pa.RecordBatchReader.from_batches(schema, named())

    def _range_end(self, after: int, until: int, count: int) -> int:
        if until - after <= count:  # there are no more messages than keys
            return until
        rows = self._fetch(self.source.range, [("last_key", "bigint")], after=after, count=count)
        last = rows.column(0)[0].as_py()
        # Behind the last message there may be tool calls.
        return until if last is None or rows.num_rows == 0 else min(int(last), until)

    def _copy_texts(self, kind: Kind) -> bool:
        if self._state is None:
            return False
        texts, (_, until, _) = self.texts[kind], self._state
        after = texts.until
        while after < until:
            end = self._range_end(after, until, RANGE if self._attachment.gate.is_shared else RANGE_ALONE)
            texts.append(self._fetch(self.source.texts[kind], TEXTS[kind], after=after, until=end))
            texts.until = after = end
            self._attachment.give_way()
        facts = self._engine.narrow.execute(f"select count(*) from {self.schema}.{kind}").fetchall()[0][0]
        self.version += 1
        return len(texts) == facts and self._still(self._state)

    def _still(self, state: tuple[str, int, int]) -> bool:
        """Return True where the file is the same and no row has gone since `state`."""
        rows = self._fetch(self.source.state, STATE)
        return rows.num_rows == 1 and self._is_same(tuple(rows.column(i)[0].as_py() for i in range(3)), state)

    def _is_same(self, found: tuple[Any, ...], state: tuple[str, int, int] | None = None) -> bool:
        state = state or self._state
        is_same_file = self._attachment.gate.identity == self._file
        return state is not None and is_same_file and (found[0], found[2]) == (state[0], state[2])

    def _fetch(self, sql: str, columns: Columns, *, may_lack: bool = False, **values: int) -> pa.Table:
        return self._engine.fetch(sql, columns, values, may_lack=may_lack)
