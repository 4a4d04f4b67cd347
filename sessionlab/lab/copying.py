"""One history's copy: its facts in DuckDB and its texts in Arrow, brought up to date by what is new."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from sessionlab import pricing
from sessionlab.errors import HistoryFileError
from sessionlab.lab.attach import Attachment
from sessionlab.lab.engine import Columns, Engine, literal, script
from sessionlab.lab.frames import FRAMES
from sessionlab.lab.incoming import INCOMING, NAMED, NAMES, STATE, TEXTS, Kind
from sessionlab.lab.texts import Texts, in_order
from sessionlab.model import storable
from sessionlab.store.gate import gate_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sessionlab.sources import Source

# How many messages are copied before a recorder of this process that waits is let in.
_RANGE = 20_000
_RANGE_ALONE = 200_000
_TRIES = 8
NO_PRICE = "no price is known for the model"
"""How the reason of a problem begins that concerns costs alone; all else was read."""


class Copy:
    """One history, copied so far as it was asked for.

    Attributes:
        source: The tool.
        path: The file.
        schema: The DuckDB schema with its facts and the views of its frames.
        texts: The wide texts of `message` and `tool_call`.
        version: Rises whenever what the copy holds has changed.
    """

    def __init__(self, engine: Engine, source: Source, path: str, schema: str, attachment: Attachment) -> None:
        self.source = source
        self.path = path
        self.schema = schema
        self.version = 0
        self._engine = engine
        self._attachment = attachment
        self._state: tuple[str, int, int] | None = None
        self._file: tuple[int, int] | None = None
        self._calls_before_turns = False
        self._priced_until = -1
        self._unpriced: set[tuple[str | None, str]] = set()
        self._create()

    def __repr__(self) -> str:
        return f"<Copy of {self.path!r}, {self.source.name}>"

    def _create(self) -> None:
        """Make the fact tables and views anew, empty."""
        run = self._engine.narrow.execute
        with contextlib.suppress(duckdb.Error):
            run("rollback")  # of what Ctrl-C has cut off
        self.drop()
        run(f"create schema {self.schema}")
        run(script("facts")[""].replace("facts.", f"{self.schema}."))
        run(f"create macro {self.schema}.source() as {literal(self.source.name)}")
        run(f"create macro {self.schema}.origin() as {literal(storable(self.path))}")
        for frame in FRAMES.values():
            run(f"create view {self.schema}.{frame.name} as {frame.view_sql(self.schema)}")
        self.texts: dict[Kind, Texts] = {
            kind: Texts(tuple(name for name, _ in columns[1:])) for kind, columns in TEXTS.items()
        }
        self._names = {kind: Texts(columns) for kind, columns in NAMES.items()}
        self._state = None
        self._priced_until = -1
        self._unpriced.clear()
        self.version += 1

    def drop(self) -> None:
        """Free the facts."""
        self._engine.narrow.execute(f"drop schema if exists {self.schema} cascade")

    def refresh(self) -> None:
        """Copy what has come since the last time.

        Raises:
            HistoryFileError: The file cannot be read.
        """
        for _ in range(_TRIES):
            if self._is_current():
                return
            if self._once(self._copy_facts):
                return
        raise HistoryFileError(f"{self.path!r} loses rows faster than it can be read. Try again when it is quieter.")

    def kinds_in_use(self) -> list[Kind]:
        """Return of what kinds texts were asked for."""
        return [kind for kind, texts in self.texts.items() if texts.until >= 0]

    def load_texts(self, kind: Kind, *, is_held: bool = False) -> None:
        """Copy the texts of the messages or tool calls that the facts are of.

        Where rows went since the facts were copied, those are copied anew as well, unless they are held.

        Raises:
            HistoryFileError: The file cannot be read, or rows went although the facts are held.
        """
        for _ in range(_TRIES):
            if self._state is None and not is_held:
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

    def price(self) -> None:
        """Compute the costs of the turns that have none yet, by one look-up for each provider and model."""
        if self._state is None or self._priced_until >= self._state[1]:
            return
        pairs = self._engine.narrow.execute(
            f"""select distinct provider_name, coalesce(response_model, request_model) as model
            from {self.schema}.turn
            where turn_key > {self._priced_until} and input_tokens is not null and output_tokens is not null
                and coalesce(response_model, request_model) is not null"""
        ).fetchall()
        prices: list[pricing.Price] = []
        for provider_name, model in pairs:
            found = pricing.prices_of(provider_name, model)
            prices.extend(found)
            if not found:
                self._unpriced.add((provider_name, model))
        if prices:
            self._engine.ingest("price", self.schema, _as_table(prices), after=self._priced_until)
        self._priced_until = self._state[1]
        self.version += 1

    @property
    def problems(self) -> list[Mapping[str, Any]]:
        """What could not be read of this history, so far as it was asked for."""
        return [
            {
                "source": self.source.name,
                "origin": storable(self.path),
                "line": None,
                "record": model,
                "reason": f"{NO_PRICE} {model!r} of provider {provider or 'unknown'!r}; its "
                "cost_usd is NULL where the tool reported none",
            }
            for provider, model in sorted(self._unpriced, key=str)
        ]

    def _is_current(self) -> bool:
        """Ask the connection of a recorder in this process, if there is one; that costs next to nothing."""
        if self._state is None:
            return False
        gate = gate_of(self.path)
        if gate.identity != self._file:
            return False
        try:
            row = gate.peek(lambda connection: connection.execute(self.source.state).fetchone())
        except sqlite3.Error:  # reading in earnest says what is wrong
            return False
        return row is not None and tuple(row) == self._state

    def _once(self, work: Callable[[], bool], *, held: Kind | None = None) -> bool:
        """Do `work` on the attached file; where it fails or returns False, what was copied is given up."""
        is_done = False
        try:
            with self._attachment:
                is_done = work()
        except (duckdb.Error, pa.ArrowException) as error:
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

    def _copy_facts(self) -> bool:
        """Copy the new rows and return True, or False where rows went away meanwhile and all must start over."""
        after = -1 if self._state is None else self._state[1]
        # The state and the sessions, which change, come from one statement and so from one snapshot.
        sql = f"select a.*, b.* from ({self.source.state}) a left join ({self.source.facts['session']}) b on true"
        rows = self._fetch(sql, [*STATE, *INCOMING["session"]], after=after)
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
            start = after
            self._calls_before_turns = False
            while start < until:
                start = self._copy_range(start, until)
            if self._calls_before_turns:
                self._engine.ingest("later_turns", self.schema, after=after)
            if not self._still(state):
                return False
            self.version += 1
        self._state = state
        return True

    def _copy_range(self, after: int, until: int) -> int:
        is_shared = self._attachment.gate.is_shared
        end = self._range_end(after, until, _RANGE) if is_shared else until
        # A first copy reads whole tables, which is quicker by a scan than by key.
        fetch = self._fetch_scanned if after < 0 and not is_shared else self._fetch
        waiting_turns = late_results = False
        for table, columns in INCOMING.items():
            if table == "session":
                continue
            rows = fetch(self.source.facts[table], columns, after=after, until=end)
            if not rows.num_rows:
                continue
            self._remember(table, rows)
            if table != "invocation":
                self._engine.ingest(table, self.schema, self._named(table, rows))
            if table == "message":
                late_results = pc.any(pc.and_(pc.equal(rows["role"], "tool"), rows["turn_key"].is_null())).as_py()
            if table == "tool_call":
                latest = pc.max(rows.column("turn_key")).as_py()
                self._calls_before_turns |= latest is not None and latest > end
            if table == "turn":
                waiting_turns = rows.column("first_call_key").null_count < rows.num_rows
        if waiting_turns:
            self._engine.ingest("adopt", self.schema, after=after)
        if late_results:
            self._engine.ingest("late_results", self.schema, after=after)
        self._attachment.give_way()
        return end

    def _range_end(self, after: int, until: int, count: int) -> int:
        rows = self._fetch(self.source.range, [("last_key", "bigint")], after=after, count=count)
        last = rows.column(0)[0].as_py()
        # Behind the last message there may be tool calls.
        return until if last is None or rows.num_rows == 0 else min(int(last), until)

    def _remember(self, table: str, rows: pa.Table) -> None:
        """Note what later rows name by key."""
        if table in NAMES:
            names = self._names[table]
            key = f"{table}_key"
            new = rows.filter(pc.greater(rows.column(key), names.last_key))
            names.append(new.select([key, *NAMES[table]]))
        elif table == "message" and rows.column("given_id").null_count < rows.num_rows:
            given = rows.filter(rows.column("given_id").is_valid())
            self._names["given_id"].append(given.select(["message_key", "given_id"]))

    def _named(self, table: str, rows: pa.Table) -> pa.Table:
        """Return rows with what they name by key."""
        for column, (key, kind, name) in NAMED.get(table, {}).items():
            keys = rows.column(key)
            known = None if keys.null_count == 0 else keys.is_valid().to_numpy()
            numbers = keys.fill_null(-1).to_numpy() if known is not None else keys.to_numpy()
            rows = rows.append_column(column, self._names[kind].pick(name, numbers, known))
        return rows

    def _copy_texts(self, kind: Kind) -> bool:
        if self._state is None:
            return False
        texts, (_, until, _) = self.texts[kind], self._state
        after = texts.until
        while after < until:
            end = self._range_end(after, until, _RANGE if self._attachment.gate.is_shared else _RANGE_ALONE)
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

    def _fetch(self, sql: str, columns: Columns, **values: int) -> pa.Table:
        return self._engine.fetch(sql, columns, values)

    def _fetch_scanned(self, sql: str, columns: Columns, **values: int) -> pa.Table:
        rows = self._engine.fetch(sql, columns, values, is_scan=True)
        return in_order(rows, columns[0][0])


def _as_table(prices: list[pricing.Price]) -> pa.Table:
    table = pa.Table.from_pylist([{name: getattr(price, name) for name in price.__slots__} for price in prices])
    place = table.schema.get_field_index("provider_name")  # of type null where no provider is known
    return table.set_column(place, "provider_name", table.column(place).cast(pa.large_string()))
