"""One history's copy: its facts in DuckDB and its texts in Arrow. How they come there depends on the source."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from sessionlab import pricing
from sessionlab.lab.engine import Engine, literal, roll_back, script
from sessionlab.lab.frames import FRAMES
from sessionlab.lab.incoming import NAMED, NAMES, TEXTS, Kind
from sessionlab.lab.texts import Texts
from sessionlab.model import storable

if TYPE_CHECKING:
    from sessionlab.sources import Problem, Source

Need = Literal["usage", "turns", "messages", "facts"]
"""What will be asked for: the frame `token_usage` alone; turns and configurations, but neither texts nor tool calls;
messages and nothing of turns; or anything. Who can do with less reading does.
"""

BESIDE_MESSAGES = frozenset({"turn", "tool_call", "tool_result", "session_usage"})
"""The tables that no message needs, where the source has put a message's turn beside it."""

NO_PRICE = "no price is known for the model"
"""How the reason of a problem begins that concerns costs alone; all else was read."""

OF_A_TOTAL = "p.from_tokens = 0 and p.request = 0"
"""Which prices fit a session's total: it does not say how many requests it is of, nor in which tiers these were, unless
all its tokens are in the first.
"""


class Copy(ABC):
    """One history, copied so far as it was asked for.

    Attributes:
        source: The tool.
        path: The file.
        schema: The DuckDB schema with its facts and the views of its frames.
        texts: The wide texts of `message` and `tool_call`.
        version: Rises whenever what the copy holds has changed.
        unpriced: Provider and name of the models that have no price, so far as costs were asked for.
        hidden: Ids of sessions that another history of the tool holds too, and that are left out here. It is for those
            kinds of copies to heed that `_replace` their facts.
    """

    source: Source

    def __init__(self, engine: Engine, path: str, schema: str) -> None:
        self.path = path
        self.hidden: frozenset[str] = frozenset()
        self.schema = schema
        self.version = 0
        self._engine = engine
        self._until = -1
        self._priced_until = -1
        self.unpriced: set[tuple[str | None, str]] = set()
        self._ids: tuple[int, frozenset[str]] = (-1, frozenset())
        self._waiting: dict[str, pa.Table] = {}
        self._same: dict[str, tuple[int, Mapping[str, pa.Scalar]]] = {}
        self._create()

    def __repr__(self) -> str:
        return f"<Copy of {self.path!r}, {self.source.name}>"

    def _create(self) -> None:
        """Make the fact tables and views anew, empty."""
        run = self._engine.narrow.execute
        roll_back(self._engine.narrow)  # of what Ctrl-C has cut off
        run(f"drop schema if exists {self.schema} cascade; create schema {self.schema}")
        run(script("facts")[""].replace("facts.", f"{self.schema}."))
        run(f"create macro {self.schema}.source() as {literal(self.source.name)}")
        run(f"create macro {self.schema}.origin() as {literal(storable(self.path))}")
        for frame in FRAMES.values():
            run(f"create view {self.schema}.{frame.name} as {frame.view_sql(self.schema)}")
        self.texts: dict[Kind, Texts] = {
            kind: Texts(tuple(name for name, _ in columns[1:])) for kind, columns in TEXTS.items()
        }
        self._names = {kind: Texts(columns) for kind, columns in NAMES.items()}
        self._until = -1
        self._priced_until = -1
        self.unpriced.clear()
        self.version += 1

    def drop(self) -> None:
        """Free the facts."""
        self._engine.narrow.execute(f"drop schema if exists {self.schema} cascade")

    @abstractmethod
    def begin(self) -> None:
        """Do at opening what should not wait until a frame is asked for: at least see that something can be read.

        Raises:
            HistoryFileError: Nothing can be read.
        """

    @abstractmethod
    def refresh(self, kinds: Collection[Kind] = (), *, need: Need = "facts") -> None:
        """Copy what has come since the last time.

        Args:
            kinds: The texts that will be asked for.
            need: What else will be asked for.

        Raises:
            HistoryFileError: The file cannot be read.
        """

    @abstractmethod
    def load_texts(self, kind: Kind, *, is_held: bool = False) -> None:
        """Copy the texts of the messages or tool calls that the facts are of.

        Where rows went since the facts were copied, those are copied anew as well, unless they are held.

        Raises:
            HistoryFileError: The file cannot be read, or rows went although the facts are held.
        """

    def kinds_to_hold(self) -> list[Kind]:
        """Return of what kinds texts a snapshot needs: those that were asked for before."""
        return [kind for kind, texts in self.texts.items() if texts.until >= 0]

    def price(self) -> None:
        """Compute the costs of the turns that have none yet, by one look-up for each provider and model."""
        if self._priced_until >= self._until:
            return
        pairs = self._engine.narrow.execute(
            f"""select distinct provider_name, coalesce(response_model, request_model) as model
            from {self.schema}.turn
            where turn_key > {self._priced_until} and input_tokens is not null and output_tokens is not null
                and coalesce(response_model, request_model) is not null
            union
            select provider_name, model
            from {self.schema}.session_usage
            where input_tokens is not null and output_tokens is not null and model is not null"""
        ).fetchall()
        prices: list[pricing.Price] = []
        for provider_name, model in pairs:
            found = pricing.prices_of(provider_name, model)
            prices.extend(found)
            if not found:
                self.unpriced.add((provider_name, model))
        if prices:
            found_prices = as_table(prices)
            new = f"t.turn_key > {self._priced_until}"
            model = "coalesce(t.response_model, t.request_model)"
            self._engine.ingest("price", self.schema, found_prices, table="turn", model=model, which=new)
            total = {"table": "session_usage", "model": "t.model", "which": OF_A_TOTAL}
            self._engine.ingest("price", self.schema, found_prices, **total)
        self._priced_until = self._until
        self.version += 1

    @property
    def problems(self) -> list[Mapping[str, Any]]:
        """What could not be read of this history, so far as it was asked for; `unpriced` is apart."""
        return []

    def _told(self, found: Iterable[Problem]) -> list[Mapping[str, Any]]:
        """Return problems as rows of the lab's; one without an origin is of the history itself."""
        return [
            problem_row(self.source.name, p.origin or self.path, p.reason, record=p.record, line=p.line) for p in found
        ]

    @property
    def session_ids(self) -> frozenset[str]:
        """The sessions whose facts are held."""
        if self._ids[0] != self.version:
            rows = self._engine.narrow.execute(f"select session_id from {self.schema}.session").fetchall()
            self._ids = (self.version, frozenset(row[0] for row in rows))
        return self._ids[1]

    def same_in_all_rows(self, frame: str) -> Mapping[str, pa.Scalar]:
        """Return columns of a frame that have one value throughout: the tool, and where that was seen before."""
        return {**self._seen(frame), "source": pa.scalar(self.source.name, pa.large_string())}

    def note_what_is_same(self, frame: str, table: pa.Table) -> None:
        """Note which columns of all rows of a frame have one value throughout."""
        found = {name: _only_value(table.column(name)) for name in table.column_names}
        new = {name: value for name, value in found.items() if value is not None}
        self._same[frame] = self.version, {**self._seen(frame), **new}

    def _seen(self, frame: str) -> Mapping[str, pa.Scalar]:
        version, seen = self._same.get(frame, (-1, {}))
        return seen if version == self.version else {}

    def places(self) -> list[tuple[str, list[str] | None]]:
        """Return what users know the history by: the file, or each folder with the files in it."""
        return [(self.path, None)]

    def database_files(self) -> list[str]:
        """Return the files that are read where the history is a database: itself, and those beside it."""
        real = os.path.realpath(self.path)
        return [self.path, real + "-wal", real + "-journal"]

    def _replace(self, facts: Mapping[str, pa.Table], waiting: Collection[str] = ()) -> None:
        """Hold these facts instead of the ones that were; without the sessions that are hidden.

        Args:
            facts: All of them.
            waiting: The tables that wait until `_bring` is called.
        """
        self._create()
        self._waiting = {}
        for table, rows in _without(facts, self.hidden).items():
            self._remember(table, rows)
            if table in ("message", "turn", "session_usage") and rows.num_rows:
                self._until = max(self._until, int(rows.column(0)[-1].as_py()))
            self._waiting[table] = rows
            if table not in waiting:
                self._bring(table)
        self._until = max(0, self._until)
        self.version += 1

    def _bring(self, table: str) -> None:
        """Ingest a table that waits."""
        rows = self._waiting[table]
        if table != "invocation" and rows.num_rows:
            self._engine.ingest(table, self.schema, self._named(table, rows))
        del self._waiting[table]

    def _remember(self, table: str, rows: pa.Table) -> None:
        """Note what later rows name by key."""
        if table in NAMES:
            names = self._names[table]
            key = f"{table}_key"
            new = rows.filter(pc.greater(rows.column(key), names.last_key))
            names.append(new.select([key, *NAMES[table]]))
        elif table == "message" and rows.column("given_id").null_count < rows.num_rows:
            given = rows.filter(rows.column("given_id").is_valid())
            names = self._names["given_id"]
            new = given.filter(pc.greater(given.column("message_key"), names.last_key))
            names.append(new.select(["message_key", "given_id"]))

    def _named(self, table: str, rows: pa.Table, *, is_piece: bool = False) -> pa.Table:
        """Return rows with what they name by key; pieces of one table all in the same types."""
        for column, (key, kind, name) in NAMED.get(table, {}).items():
            keys = rows.column(key)
            known = None if keys.null_count == 0 else keys.is_valid().to_numpy()
            numbers = keys.fill_null(-1).to_numpy() if known is not None else keys.to_numpy()
            names = self._names[kind]
            is_much = is_piece or len(numbers) > 2 * len(names) > 0
            rows = rows.append_column(column, (names.name if is_much else names.pick)(name, numbers, known))
        return rows


def _only_value(column: pa.ChunkedArray) -> pa.Scalar | None:
    """Return the value that all rows have, NULL or another; None where there is no such one."""
    if column.null_count == len(column):
        return pa.scalar(None, column.type) if len(column) else None
    first = column[0]
    if column.null_count or pa.types.is_nested(column.type) or not first == column[-1] == column[len(column) // 2]:
        return None
    return first if pc.all(pc.equal(column, first)).as_py() else None


def problem_row(
    source: str | None, origin: str | None, reason: str, *, record: str | None = None, line: int | None = None
) -> Mapping[str, Any]:
    """Return a row of a lab's problems; without a source it is a file that cannot be read."""
    return {
        "source": source,
        "origin": None if origin is None else storable(origin),
        "line": line,
        "record": None if record is None else storable(record),
        "reason": storable(reason),
    }


def unpriced_problems(copies: Sequence[Copy]) -> list[Mapping[str, Any]]:
    """Return a problem for each model of a provider that has no price, whatever histories it is in.

    It names the tool and the file only where there is no other.
    """
    found: dict[tuple[str | None, str], list[Copy]] = {}
    for copy in copies:
        for pair in copy.unpriced:
            found.setdefault(pair, []).append(copy)
    problems: list[Mapping[str, Any]] = []
    for (provider, model), users in sorted(found.items(), key=lambda item: (item[0][1], item[0][0] or "")):
        sources = {copy.source.name for copy in users}
        places = [path for copy in users for path, _ in copy.places()]
        where = "" if len(places) == 1 else f" in {len(places)} histories"
        problems.append(
            problem_row(
                sources.pop() if len(sources) == 1 else None,
                places[0] if len(places) == 1 else None,
                f"{NO_PRICE} {model!r} of provider {provider or 'unknown'!r}{where}; its "
                "cost_usd is NULL where the tool reported none",
                record=model,
            )
        )
    return problems


def as_table(prices: Sequence[pricing.Price]) -> pa.Table:
    """Return prices as the section `price` of `ingest.sql` takes them."""
    table = pa.Table.from_pylist([{name: getattr(price, name) for name in price.__slots__} for price in prices])
    place = table.schema.get_field_index("provider_name")  # of type null where no provider is known
    return table.set_column(place, "provider_name", table.column(place).cast(pa.large_string()))


def _without(facts: Mapping[str, pa.Table], session_ids: Collection[str]) -> Mapping[str, pa.Table]:
    """Return the facts without those of some sessions."""
    sessions = facts.get("session")
    if sessions is None or not session_ids:
        return facts
    left_out = pc.is_in(sessions.column("session_id"), value_set=pa.array(sorted(session_ids), pa.large_string()))
    gone = sessions.filter(left_out).column("session_key").combine_chunks()
    kept = dict(facts)
    for table, rows in facts.items():
        if "session_key" in rows.column_names:
            kept[table] = rows.filter(pc.invert(pc.is_in(rows.column("session_key"), value_set=gone)))
    if "tool_result" in kept and "tool_call" in kept:
        calls = kept["tool_call"].column("tool_call_key").combine_chunks()
        kept["tool_result"] = kept["tool_result"].filter(
            pc.is_in(kept["tool_result"].column("tool_call_key"), value_set=calls)
        )
    return kept
