"""One history's copy: its facts in DuckDB and its texts in Arrow, brought up to date by what is new."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from sessionlab import pricing
from sessionlab.errors import HistoryFileError
from sessionlab.lab.attach import Attachment
from sessionlab.lab.engine import Columns, Engine, literal, script
from sessionlab.lab.frames import FRAMES
from sessionlab.lab.texts import Texts, in_order
from sessionlab.store.gate import gate_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sessionlab.sources import Source

_logger = logging.getLogger("sessionlab")

# How many messages are copied before a recorder of this process that waits is let in.
_RANGE = 20_000
_RANGE_ALONE = 200_000
_TRIES = 8

_KEY = "bigint"
_INCOMING: dict[str, Columns] = {
    "session": [
        ("session_key", _KEY),
        *((name, "varchar") for name in (
            "session_id", "native_id", "name", "agent_name", "directory", "git_root", "parent_session_id",
            "conversation_id")),
        *((name, "bigint") for name in ("started_at", "ended_at", "archived_at")),
        ("metadata", "varchar"),
    ],
    "invocation": [("invocation_key", _KEY), ("invocation_id", "varchar")],
    "model_config": [
        ("model_config_key", _KEY),
        *((name, "varchar") for name in ("model_config_id", "provider_name", "api_base", "request_model")),
        *((name, "double") for name in ("temperature", "top_p")),
        *((name, "bigint") for name in ("max_tokens", "context_max_tokens", "assistant_minimum_context_tokens")),
        *((name, "varchar") for name in (
            "stop_sequences", "reasoning_effort", "system_instructions_hash", "extra")),
    ],
    "message": [
        *((name, _KEY) for name in ("message_key", "session_key", "message_index")),
        ("given_id", "varchar"),
        *((name, _KEY) for name in ("parent_key", "prompt_key", "turn_key", "invocation_key")),
        *((name, "varchar") for name in ("role", "kind")),
        *((name, "bigint") for name in ("is_preamble", "is_sidechain", "created_at")),
    ],
    "turn": [
        *((name, _KEY) for name in (
            "turn_key", "session_key", "turn_index", "exchange_index", "invocation_key", "model_config_key")),
        ("model_config_status", "varchar"),
        *((name, "bigint") for name in ("prompt_key", "first_call_key", "is_sidechain", "started_at", "duration_us")),
        *((name, "varchar") for name in ("response_model", "finish_reason", "finish_reason_raw", "error_type")),
        *((name, "bigint") for name in (
            "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
            "reasoning_output_tokens")),
        ("usage_quality", "varchar"),
        ("reported_cost_usd", "double"),
    ],
    "tool_call": [
        *((name, _KEY) for name in ("tool_call_key", "session_key", "tool_call_index")),
        ("tool_call_id", "varchar"),
        *((name, _KEY) for name in ("turn_key", "invocation_key")),
        ("tool_name", "varchar"),
        ("started_at", "bigint"),
    ],
    "tool_result": [
        *((name, _KEY) for name in ("tool_result_key", "tool_call_key")),
        ("status", "varchar"),
        *((name, "bigint") for name in ("is_error", "exit_code", "duration_us")),
    ],
}  # fmt: skip
_TEXTS: dict[str, Columns] = {
    "message": [("message_key", _KEY), ("content", "varchar"), ("reasoning", "varchar")],
    "tool_call": [("tool_call_key", _KEY), ("arguments", "varchar")],
}
# What rows name by a key and are given as well: column -> (the key, the names, the column there).
_NAMED: dict[str, dict[str, tuple[str, str, str]]] = {
    "message": {
        "session_id": ("session_key", "session", "session_id"),
        "invocation_id": ("invocation_key", "invocation", "invocation_id"),
        "parent_given_id": ("parent_key", "given_id", "given_id"),
        "turn_given_id": ("turn_key", "given_id", "given_id"),
    },
    "turn": {
        "session_id": ("session_key", "session", "session_id"),
        "invocation_id": ("invocation_key", "invocation", "invocation_id"),
        "model_config_id": ("model_config_key", "model_config", "model_config_id"),
        "provider_name": ("model_config_key", "model_config", "provider_name"),
        "request_model": ("model_config_key", "model_config", "request_model"),
        "turn_given_id": ("turn_key", "given_id", "given_id"),
    },
    "tool_call": {
        "session_id": ("session_key", "session", "session_id"),
        "turn_given_id": ("turn_key", "given_id", "given_id"),
    },
}
_NAMES = {
    "session": ("session_id",),
    "invocation": ("invocation_id",),
    "model_config": ("model_config_id", "provider_name", "request_model"),
    "given_id": ("given_id",),
}
_STATE: Columns = [("store_id", "varchar"), ("last_key", "bigint"), ("deletions", "bigint")]


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
        self._priced_until = -1
        self.unpriced: set[tuple[str | None, str]] = set()
        self._create()

    def __repr__(self) -> str:
        return f"<Copy of {self.path!r}, {self.source.name}>"

    def _create(self) -> None:
        """Make the fact tables and views anew, empty."""
        run = self._engine.narrow.execute
        run(f"drop schema if exists {self.schema} cascade")
        run(f"create schema {self.schema}")
        run(script("facts")[""].replace("facts.", f"{self.schema}."))
        run(f"create macro {self.schema}.source() as {literal(self.source.name)}")
        run(f"create macro {self.schema}.origin() as {literal(self.path)}")
        for frame in FRAMES.values():
            run(f"create view {self.schema}.{frame.name} as {frame.view_sql(self.schema)}")
        self.texts = {kind: Texts(tuple(name for name, _ in columns[1:])) for kind, columns in _TEXTS.items()}
        self._names = {kind: Texts(columns) for kind, columns in _NAMES.items()}
        self._state = None
        self._priced_until = -1
        self.unpriced.clear()
        self.version += 1

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

    def load_texts(self, kind: str) -> None:
        """Copy the texts of the messages or tool calls that the facts are of.

        Raises:
            HistoryFileError: The file cannot be read.
        """
        for _ in range(_TRIES):
            if self._state is None:
                self.refresh()
            if self._state is not None and self.texts[kind].until >= self._state[1]:
                return
            if self._once(lambda: self._copy_texts(kind)):
                return
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
        prices = []
        for provider_name, model in pairs:
            found = pricing.prices_of(provider_name, model)
            prices.extend(found)
            if not found:
                self.unpriced.add((provider_name, model))
        if prices:
            rows = [{name: getattr(price, name) for name in price.__slots__} for price in prices]
            table = pa.Table.from_pylist(rows)
            place = table.schema.get_field_index("provider_name")
            table = table.set_column(place, "provider_name", table.column(place).cast(pa.large_string()))
            self._engine.ingest("price", self.schema, table, after=self._priced_until)
        self._priced_until = self._state[1]

    def _is_current(self) -> bool:
        """Ask the connection of a recorder in this process, if there is one; that costs next to nothing."""
        if self._state is None:
            return False
        with gate_of(self.path).peek() as connection:
            if connection is None:
                return False
            row = connection.execute(self.source.state).fetchone()
        return row is not None and tuple(row) == self._state

    def _once(self, work: Callable[[], bool]) -> bool:
        try:
            with self._attachment:
                if work():
                    return True
        except duckdb.Error as error:
            self._create()
            raise HistoryFileError(
                f"{self.path!r} cannot be read: {str(error).splitlines()[0]} "
                "`sessionlab db check` says whether a store is sound."
            ) from error
        except BaseException:
            self._create()
            raise
        self._create()
        return False

    def _copy_facts(self) -> bool:
        """Copy the new rows and return True, or False where rows went away meanwhile and all must start over."""
        after = -1 if self._state is None else self._state[1]
        # The state and the sessions, which change, come from one statement and so from one snapshot.
        sql = f"select a.*, b.* from ({self.source.state}) a left join ({self.source.facts['session']}) b on true"
        rows = self._fetch(sql, [*_STATE, *_INCOMING["session"]], after=after)
        if rows.num_rows == 0:
            raise HistoryFileError(f"{self.path!r} is a damaged store: it has lost its counter. Restore a backup.")
        state = tuple(rows.column(i)[0].as_py() for i in range(3))
        if self._state is not None and (state[0], state[2]) != (self._state[0], self._state[2]):
            return False
        until = state[1]
        if until > after:
            sessions = rows.select([name for name, _ in _INCOMING["session"]])
            sessions = sessions.filter(sessions.column("session_key").is_valid())
            if sessions.num_rows:
                self._engine.ingest("session", self.schema, sessions)
                self._remember("session", sessions)
            start = after
            while start < until:
                start = self._copy_range(start, until)
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
        waiting_turns = False
        for table, columns in _INCOMING.items():
            if table == "session":
                continue
            rows = fetch(self.source.facts[table], columns, after=after, until=end)
            if not rows.num_rows:
                continue
            self._remember(table, rows)
            if table != "invocation":
                self._engine.ingest(table, self.schema, self._named(table, rows))
            if table == "turn":
                waiting_turns = rows.column("first_call_key").null_count < rows.num_rows
        if waiting_turns:
            self._engine.ingest("adopt", self.schema, after=after)
        self._attachment.give_way()
        return end

    def _range_end(self, after: int, until: int, count: int) -> int:
        rows = self._fetch(self.source.range, [("last_key", "bigint")], after=after, count=count)
        last = rows.column(0)[0].as_py()
        # Behind the last message there may be tool calls.
        return until if last is None or rows.num_rows == 0 else min(int(last), until)

    def _remember(self, table: str, rows: pa.Table) -> None:
        """Note what later rows name by key."""
        if table in _NAMES:
            names = self._names[table]
            key = f"{table}_key"
            new = rows.filter(pc.greater(rows.column(key), names.last_key))
            names.append(new.select([key, *_NAMES[table]]))
        elif table == "message" and rows.column("given_id").null_count < rows.num_rows:
            given = rows.filter(rows.column("given_id").is_valid())
            self._names["given_id"].append(given.select(["message_key", "given_id"]))

    def _named(self, table: str, rows: pa.Table) -> pa.Table:
        """Return rows with what they name by key."""
        for column, (key, kind, name) in _NAMED.get(table, {}).items():
            keys = rows.column(key)
            known = None if keys.null_count == 0 else keys.is_valid().to_numpy()
            numbers = keys.fill_null(-1).to_numpy() if known is not None else keys.to_numpy()
            rows = rows.append_column(column, self._names[kind].pick(name, numbers, known))
        return rows

    def _copy_texts(self, kind: str) -> bool:
        if self._state is None:
            return False
        texts, (_, until, _) = self.texts[kind], self._state
        after = texts.until
        while after < until:
            end = self._range_end(after, until, _RANGE if self._attachment.gate.is_shared else _RANGE_ALONE)
            texts.append(self._fetch(self.source.texts[kind], _TEXTS[kind], after=after, until=end))
            texts.until = after = end
            self._attachment.give_way()
        facts = self._engine.narrow.execute(f"select count(*) from {self.schema}.{kind}").fetchall()[0][0]
        self.version += 1
        return len(texts) == facts and self._still(self._state)

    def _still(self, state: tuple[str, int, int]) -> bool:
        rows = self._fetch(self.source.state, _STATE)
        return rows.num_rows == 1 and (rows.column(0)[0].as_py(), rows.column(2)[0].as_py()) == (state[0], state[2])

    def _fetch(self, sql: str, columns: Columns, **values: int) -> pa.Table:
        return self._engine.fetch(sql, columns, values)

    def _fetch_scanned(self, sql: str, columns: Columns, **values: int) -> pa.Table:
        rows = self._engine.fetch(sql, columns, values, is_scan=True)
        return in_order(rows, columns[0][0])
