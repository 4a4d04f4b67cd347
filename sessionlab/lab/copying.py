"""One history's copy: its facts in DuckDB and its texts in Arrow. How they come there depends on the source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from sessionlab import pricing
from sessionlab.lab.engine import Engine, literal, roll_back, script
from sessionlab.lab.frames import FRAMES
from sessionlab.lab.incoming import NAMED, NAMES, TEXTS, Kind
from sessionlab.lab.texts import Texts
from sessionlab.model import storable

if TYPE_CHECKING:
    from sessionlab.lab.attach import Attachment
    from sessionlab.sources import Source

NO_PRICE = "no price is known for the model"
"""How the reason of a problem begins that concerns costs alone; all else was read."""


class Copy(ABC):
    """One history, copied so far as it was asked for.

    Attributes:
        source: The tool.
        path: The file.
        schema: The DuckDB schema with its facts and the views of its frames.
        texts: The wide texts of `message` and `tool_call`.
        version: Rises whenever what the copy holds has changed.
    """

    source: Source

    def __init__(self, engine: Engine, path: str, schema: str, attachment: Attachment) -> None:
        self.path = path
        self.schema = schema
        self.version = 0
        self._engine = engine
        self._attachment = attachment
        self._until = -1
        self._priced_until = -1
        self._unpriced: set[tuple[str | None, str]] = set()
        self._create()

    def __repr__(self) -> str:
        return f"<Copy of {self.path!r}, {self.source.name}>"

    def _create(self) -> None:
        """Make the fact tables and views anew, empty."""
        run = self._engine.narrow.execute
        roll_back(self._engine.narrow)  # of what Ctrl-C has cut off
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
        self._until = -1
        self._priced_until = -1
        self._unpriced.clear()
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
    def refresh(self, kinds: Collection[Kind] = ()) -> None:
        """Copy what has come since the last time.

        Args:
            kinds: The texts that will be asked for.

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
                self._unpriced.add((provider_name, model))
        if prices:
            found_prices = _as_table(prices)
            new = f"t.turn_key > {self._priced_until}"
            model = "coalesce(t.response_model, t.request_model)"
            self._engine.ingest("price", self.schema, found_prices, table="turn", model=model, which=new)
            # A total of several requests says which tier they are in only where it does not reach the second.
            first = "p.from_tokens = 0"
            self._engine.ingest("price", self.schema, found_prices, table="session_usage", model="t.model", which=first)
        self._priced_until = self._until
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


def _as_table(prices: list[pricing.Price]) -> pa.Table:
    table = pa.Table.from_pylist([{name: getattr(price, name) for name in price.__slots__} for price in prices])
    place = table.schema.get_field_index("provider_name")  # of type null where no provider is known
    return table.set_column(place, "provider_name", table.column(place).cast(pa.large_string()))
