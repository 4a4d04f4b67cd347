"""A history whose turns and totals have exactly the tokens that a test gives them, read by a source of its own."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from genai_prices import Usage, calc_price

from sessionlab.lab.attach import Attachment
from sessionlab.lab.copying import Copy
from sessionlab.lab.engine import Engine
from sessionlab.lab.whole import WholeCopy
from sessionlab.pricing import _PROVIDERS
from sessionlab.sources import WholeSource

COLUMNS = (
    "provider",
    "model",
    "time_us",
    "input",
    "output",
    "cache_read",
    "cache_creation",
    "cache_creation_1h",
    "reasoning",
    "reported",
    "is_total",
)
_TOKENS = """
    try_cast(time_us as bigint) as started_at,
    try_cast(input as bigint) as input_tokens,
    try_cast(output as bigint) as output_tokens,
    try_cast(cache_read as bigint) as cache_read_input_tokens,
    try_cast(cache_creation as bigint) as cache_creation_input_tokens,
    try_cast(cache_creation_1h as bigint) as cache_creation_1h_input_tokens,
    try_cast(reasoning as bigint) as reasoning_output_tokens,
    case when input is null then 'missing' else 'final' end as usage_quality,
    try_cast(reported as double) as reported_cost_usd
from raw.counted
"""
COUNTED = WholeSource(
    name="counted",
    default_paths=list,
    fingerprints=[{"counted": frozenset(COLUMNS)}],
    tables={"counted": COLUMNS},
    statements={
        "session": """select
            _row as session_key, 's' || _row as session_id, 's' || _row as native_id,
            case when _row % 2 = 0 then '/even.jsonl' end as origin
            from raw.counted""",
        "model_config": """select
            _row as model_config_key, provider as provider_name, model as request_model
            from raw.counted""",
        "turn": f"""select
            _row as turn_key, _row as session_key, 0 as turn_index, 0 as exchange_index, _row as model_config_key,
            'recorded' as model_config_status, 0 as is_sidechain, 'claim ' || _row as claim,
            {_TOKENS} where is_total = '0'""",
        "session_usage": f"""select
            _row as session_usage_key, _row as session_key, provider as provider_name, model,
            {_TOKENS} where is_total = '1'""",
    },
)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What one turn, or one session as a whole, used."""

    provider: str | None
    model: str | None
    at: datetime | None = datetime(2026, 3, 1, 12, tzinfo=UTC)
    input: int | None = 0
    output: int | None = 0
    cache_read: int | None = None
    cache_creation: int | None = None
    cache_creation_1h: int | None = None
    reasoning: int | None = None
    reported: float | None = None
    is_total: bool = False


def cost_by_package(used: Counted, *, provider: str | None = None, model: str | None = None) -> float:
    """Return what the package says that it cost, or would have cost with another model."""
    asked = used.provider if model is None else provider
    usage = Usage(
        input_tokens=used.input,
        output_tokens=used.output,
        cache_read_tokens=used.cache_read or 0,
        cache_write_tokens=used.cache_creation or 0,
        cache_write_1h_tokens=used.cache_creation_1h or 0,
        output_reasoning_tokens=used.reasoning or 0,
    )
    price = calc_price(
        usage,
        model or used.model or "",
        provider_id=None if asked is None else _PROVIDERS.get(asked, asked),
        genai_request_timestamp=used.at,
    )
    total: Decimal = price.total_price
    return float(total)


def microseconds(at: datetime | None) -> int | None:
    """Return a time as the facts have it."""
    return None if at is None else round(at.timestamp() * 1_000_000)


@contextlib.contextmanager
def history_of(engine: Engine, path: str, used: Sequence[Counted]) -> Iterator[Copy]:
    """Write a history that used so much, and read it with its costs."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("drop table if exists counted")
        connection.execute(f"create table counted ({', '.join(COLUMNS)})")
        rows = [
            (
                *(microseconds(one.at) if name == "time_us" else getattr(one, name) for name in COLUMNS[:-1]),
                +one.is_total,
            )
            for one in used
        ]
        connection.executemany(f"insert into counted values ({', '.join('?' * len(COLUMNS))})", rows)
    copy = WholeCopy(engine, COUNTED, path, "counted", Attachment(engine.reader, path, engine.folder))
    try:
        copy.refresh()
        copy.price()
        yield copy
    finally:
        copy.drop()
