"""What a model call cost at the time of the call, by the genai-prices library, which is asked offline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

_ALWAYS = (-(2**62), 2**62)
_DAY_S = 86_400

# OpenTelemetry's spelling of a provider -> that of genai-prices, where they differ.
_PROVIDERS = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "x_ai": "x-ai",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for one token of each type, where the ranges (from included, until excluded) hold.

    Attributes:
        provider_name: As it was asked for; None where it was not known.
        model: As it was asked for.
        from_us, until_us: The period, microseconds since 1970, UTC.
        from_second, until_second: The time of day, UTC.
        from_tokens, until_tokens: The tier, by all input tokens of the call.
        uncached_input, cache_read, cache_creation, output, reasoning: US dollars for one token.
    """

    provider_name: str | None
    model: str
    from_us: int
    until_us: int
    from_second: int
    until_second: int
    from_tokens: int
    until_tokens: int
    uncached_input: float
    cache_read: float
    cache_creation: float
    output: float
    reasoning: float


@lru_cache(maxsize=1024)
def prices_of(provider_name: str | None, model: str) -> tuple[Price, ...]:
    """Return every price of a model, one for each period, time of day and tier; empty where nobody knows it."""
    info = _find(provider_name, model)
    if info is None:
        return ()
    found = []
    for from_us, until_us in _periods(info):
        for from_second, until_second in _times_of_day(info):
            at = datetime.fromtimestamp(max(from_us, 0) / 1e6, UTC).replace(hour=0, minute=0, second=0)
            price = info.get_prices(at + timedelta(seconds=from_second))
            for from_tokens, until_tokens in _tiers(price):
                found.append(
                    Price(
                        provider_name=provider_name,
                        model=model,
                        from_us=from_us,
                        until_us=until_us,
                        from_second=from_second,
                        until_second=until_second,
                        from_tokens=from_tokens,
                        until_tokens=until_tokens,
                        **_of_one_token(price, max(from_tokens, 1)),
                    )
                )
    return tuple(found)


def _find(provider_name: str | None, model: str) -> ModelInfo | None:
    from genai_prices.data_snapshot import get_snapshot

    provider = None if provider_name is None else _PROVIDERS.get(provider_name, provider_name)
    try:
        return get_snapshot().find_provider_model(model, None, provider, None)[1]
    except LookupError:
        return None


def _of_one_token(price: ModelPrice, count: int) -> dict[str, float]:
    """Return the price of one token of each type in the tier of a call with `count` input tokens.

    The library is asked for calls of one type alone, so that what it does where a model has no price of its own for a
    type (cached input at the price of input, reasoning at that of output) is its answer and not ours.
    """

    def cost(**tokens: int) -> Any:
        from genai_prices import Usage

        return price.calc_price(Usage(input_tokens=count, **tokens))["total_price"]

    plain = cost(output_tokens=0)
    return {
        "uncached_input": float(plain / count),
        "cache_read": float(cost(output_tokens=0, cache_read_tokens=count) / count),
        "cache_creation": float(cost(output_tokens=0, cache_write_tokens=count) / count),
        "output": float((cost(output_tokens=1_000_000) - plain) / 1_000_000),
        "reasoning": float((cost(output_tokens=1_000_000, output_reasoning_tokens=1_000_000) - plain) / 1_000_000),
    }


def _constraints(info: ModelInfo) -> list[Any]:
    prices = info.prices if isinstance(info.prices, list) else []
    return [price.constraint for price in prices if price.constraint is not None]


def _periods(info: ModelInfo) -> list[tuple[int, int]]:
    starts = {c.start_date for c in _constraints(info) if hasattr(c, "start_date")}
    moments = sorted(int(datetime.combine(day, time(), UTC).timestamp()) * 1_000_000 for day in starts)
    return _ranges([_ALWAYS[0], *moments, _ALWAYS[1]])


def _times_of_day(info: ModelInfo) -> list[tuple[int, int]]:
    changes = {0, _DAY_S}
    for constraint in _constraints(info):
        for name in ("start_time", "end_time"):
            moment = getattr(constraint, name, None)
            if moment is not None:
                offset = moment.utcoffset() or timedelta()
                seconds = timedelta(hours=moment.hour, minutes=moment.minute, seconds=moment.second) - offset
                changes.add(int(seconds.total_seconds()) % _DAY_S)
    return _ranges(sorted(changes))


def _tiers(price: ModelPrice) -> list[tuple[int, int]]:
    starts = {tier.start + 1 for value in vars(price).values() for tier in getattr(value, "tiers", ())}
    return _ranges([0, *sorted(starts), _ALWAYS[1]])


def _ranges(edges: list[int]) -> list[tuple[int, int]]:
    return list(pairwise(edges))
