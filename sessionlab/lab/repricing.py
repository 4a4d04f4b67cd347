"""What the same tokens would have cost with another model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sessionlab import pricing
from sessionlab.errors import FrameError
from sessionlab.lab.copying import OF_A_TOTAL, as_table
from sessionlab.lab.engine import script
from sessionlab.lab.filters import query_for
from sessionlab.lab.frames import FRAMES, Column, Frame, schema_of
from sessionlab.lab.rows import newest, run
from sessionlab.lab.texts import in_order

if TYPE_CHECKING:
    from sessionlab.lab.copying import Copy
    from sessionlab.lab.engine import Engine
    from sessionlab.lab.filters import Query

_USAGE, _TURNS = FRAMES["token_usage"], FRAMES["turns"]
_SHARED = ("source", "session_id", "turn_id", "started_at", "provider_name", "model")
# What filters may name.
_KNOWN = Frame(
    name="reprice",
    grain="turn (or session's total) that used tokens or was charged",
    key=("source", "session_id", "turn_id"),
    time="started_at",
    leading=("started_at", "model", "cost_usd"),
    columns=(
        *(_USAGE.column(name) for name in _SHARED),
        *(_TURNS.column(name) for name in ("cost_usd", "cost_status")),
        _USAGE.column("scope"),
    ),
)
_REPRICED = (
    Column("repriced_model", "text", "the model that is asked about"),
    Column("repriced_cost_usd", "number", "what it would have cost", "US dollars"),
)
SCHEMA = schema_of((*_KNOWN.columns, *_REPRICED))


class Repricing:
    """A model that is asked about, with its prices, and the turns that are to be repriced.

    Raises:
        FrameError: No price is known for the model, or a filter does not fit.
    """

    def __init__(self, model: Any, provider_name: Any, instead_of: Any, filters: Mapping[str, Any]) -> None:
        self._model: str = _text_of(model, "model")
        self._provider = None if provider_name is None else _text_of(provider_name, "provider_name")
        self._prices = pricing.prices_of(self._provider, self._model)
        if not self._prices:
            raise FrameError(_no_price(self._provider, self._model))
        self._query = query_for(_KNOWN, filters)
        if instead_of is not None:
            answered = query_for(_USAGE, {"model": instead_of})
            self._query.conditions += answered.conditions
            self._query.values += answered.values

    def rows(self, engine: Engine, copies: Sequence[Copy]) -> pa.Table:
        """Return the rows of all histories, whose costs are computed, in recording order."""
        parts = [self._rows_of(engine, copy) for copy in copies]
        table = pa.concat_tables(parts) if parts else SCHEMA.empty_table()
        if self._query.limit is not None:
            table = newest(table.append_column("_time", table.column("started_at")), self._query.limit)
        return table.select(SCHEMA.names)

    def count_without_time(self, engine: Engine, copies: Sequence[Copy]) -> int:
        """Return how many rows have no time that `since` and `until` could test."""
        if not self._query.times:
            return 0
        timeless = replace(self._query, times=["started_at is null"], time_values=[])
        sql = f"select count(*) as n from ({script('repricing')['rows']}) where {_where(timeless)}"
        values = _values(timeless)
        return sum(
            run(engine, sql.replace("facts.", f"{copy.schema}."), values).column("n")[0].as_py() for copy in copies
        )

    def _rows_of(self, engine: Engine, copy: Copy) -> pa.Table:
        sections = script("repricing")
        sql = sections["repriced"].format(rows=sections["rows"], conditions=_where(self._query))
        try:
            sql = sql.replace("facts.", f"{copy.schema}.")
            run(engine, sql, [self._model, self._provider, *_values(self._query)])
            engine.ingest(
                "price",
                copy.schema,
                as_table(self._prices),
                table="repriced",
                model="t.repriced_model",
                which=f"(t.scope = 'turn' or {OF_A_TOTAL})",
            )
            own = ", ".join(f"own_{name} as {name}" for name in ("started_at", "provider_name"))
            named = [name for name in SCHEMA.names if name not in ("started_at", "provider_name", "repriced_cost_usd")]
            priced = "computed_cost_usd as repriced_cost_usd"
            table = run(engine, f"select _key, {own}, {', '.join(named)}, {priced} from {copy.schema}.repriced")
        finally:
            run(engine, f"drop table if exists {copy.schema}.repriced")
        return in_order(table, "_key").select(SCHEMA.names).cast(SCHEMA)


def _where(query: Query) -> str:
    return " and ".join([*query.conditions, *query.times]) or "true"


def _values(query: Query) -> list[Any]:
    return [*query.values, *query.time_values]


def _text_of(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise FrameError(f"{name}={value!r}: expected the name of one, as text.")
    return value


def _no_price(provider: str | None, model: str) -> str:
    """Return what to say where nobody knows the price of a model."""
    if provider is not None:
        similar = pricing.similar_providers(provider)
        if similar is not None:
            hint = f"Did you mean {' or '.join(map(repr, similar))}?" if similar else "Try it without."
            return f"No prices are known of the provider {provider!r}. {hint}"
    of = f" of {provider!r}" if provider else ""
    named = [
        repr(name) + (f" with provider_name={place!r}" if place != provider else "")
        for place, name in pricing.similar_to(provider, model)
    ]
    hint = f"Did you mean {' or '.join(named)}?" if named else "Give its name as its provider does."
    if provider is not None and pricing.prices_of(None, model):
        hint = "Without provider_name one is."
    return f"No price is known for the model {model!r}{of}. {hint}"
