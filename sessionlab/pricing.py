"""What a model call cost at the time of the call, by the genai-prices library, which is asked offline."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
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

# What LiteLLM writes before a model's name -> the provider in genai-prices, where they differ.
_PREFIXES = {"bedrock": "aws", "gemini": "google", "vertex_ai": "google", "xai": "x-ai"}

# How Google's services name a model, and how Bedrock alone does: [region.]maker.model
_OF_GOOGLE = re.compile(r"(?:(?:.*/)?publishers/[^/]+/)?models/([^/]+)")
_OF_BEDROCK = re.compile(r"(?:[a-z-]+\.)?(ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen)\.[\w.:-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for one token of each type, where the ranges (from included, until excluded) hold.

    Attributes:
        provider_name: As it was asked for; None where it was not known.
        model: As it was asked for.
        from_us, until_us: The period, microseconds since 1970, UTC.
        from_second, until_second: The time of day, UTC.
        is_constant: Whether it holds at every time, so that it is also that of a call whose time is not known.
        from_tokens, until_tokens: The tier, by all input tokens of the call.
        request: US dollars for the call itself.
        uncached_input, cache_read, cache_creation, output, reasoning: US dollars for one token.
        cache_creation_1h: US dollars for one token that is written to the cache for an hour, not for the usual time.
    """

    provider_name: str | None
    model: str
    from_us: int
    until_us: int
    from_second: int
    until_second: int
    is_constant: bool
    from_tokens: int
    until_tokens: int
    request: float
    uncached_input: float
    cache_read: float
    cache_creation: float
    cache_creation_1h: float
    output: float
    reasoning: float


@lru_cache(maxsize=1024)
def prices_of(provider_name: str | None, model: str) -> tuple[Price, ...]:
    """Return every price of a model, one for each period, time of day and tier; empty where nobody knows it.

    A model without a provider has the price of the provider whose models are called so. A price for something other
    than tokens is none.
    """
    info = _find(provider_name, model)
    if info is None:
        return ()
    found = []
    periods, times = _periods(info), _times_of_day(info)
    for from_us, until_us in periods:
        for from_second, until_second in times:
            at = datetime.fromtimestamp(max(from_us, 0) / 1e6, UTC).replace(hour=0, minute=0, second=0)
            price = info.get_prices(at + timedelta(seconds=from_second))
            if price.input_mtok is None:
                continue
            for from_tokens, until_tokens in _tiers(price):
                found.append(
                    Price(
                        provider_name=provider_name,
                        model=model,
                        from_us=from_us,
                        until_us=until_us,
                        from_second=from_second,
                        until_second=until_second,
                        is_constant=len(periods) == len(times) == 1,
                        from_tokens=from_tokens,
                        until_tokens=until_tokens,
                        **_of_one_token(price, max(from_tokens, 1)),
                    )
                )
    return tuple(found)


def similar_to(provider_name: str | None, model: str) -> list[tuple[str | None, str]]:
    """Return a few models that have a price and are called nearly so, each with the provider that must be named.

    None stands for no provider: the model's name is enough.
    """
    wanted = None if provider_name is None else _PROVIDERS.get(provider_name, provider_name)
    places: dict[str, list[str]] = {}
    for provider in _snapshot().providers:
        for info in provider.models:
            if wanted in (None, provider.id):
                places.setdefault(info.id, []).append(provider.id)
    found: list[tuple[str | None, str]] = []
    for name in difflib.get_close_matches(model.lower(), places, n=3):
        named = [provider_name] if wanted else [None, *places[name]]
        found += [(place, name) for place in named if prices_of(place, name)][:1]
    return found


def similar_providers(provider_name: str) -> list[str] | None:
    """Return providers that are called nearly so; None where it is known itself."""
    from genai_prices.data_snapshot import find_provider_by_id

    providers = _snapshot().providers
    if find_provider_by_id(providers, _PROVIDERS.get(provider_name, provider_name)) is not None:
        return None
    return difflib.get_close_matches(provider_name.lower(), [*_PROVIDERS, *(known.id for known in providers)], n=3)


def _snapshot() -> DataSnapshot:
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def _find(provider_name: str | None, model: str) -> ModelInfo | None:
    provider = None if provider_name is None else _PROVIDERS.get(provider_name, provider_name)
    for named, spelled in _spellings(provider, model):
        try:
            return _snapshot().find_provider_model(spelled, None, named, None)[1]
        except LookupError:
            continue
    return None


def _spellings(provider: str | None, model: str) -> Iterator[tuple[str | None, str]]:
    """Yield what a model may be called in the package: as it was given, and else without what only says whose it is.

    Nothing is tried that might be another model, or another provider than the one that was named.
    """
    yield provider, model
    name = model.removesuffix("[1m]")  # a longer context, which has its price by the tokens
    if name != model:
        yield provider, name
    if provider in (None, "google") and (google := _OF_GOOGLE.fullmatch(name)):
        yield "google", google[1]
    if (bedrock := _OF_BEDROCK.fullmatch(name)) and provider in (None, bedrock[1]):
        yield "aws", name
    prefix, _, rest = name.lower().partition("/")
    named = _PREFIXES.get(prefix, _PROVIDERS.get(prefix, prefix))
    if rest and named == (provider or named) and any(known.id == named for known in _snapshot().providers):
        yield named, rest


def _of_one_token(price: ModelPrice, count: int) -> dict[str, float]:
    """Return the price of a call and of one token of each type in the tier of a call with `count` input tokens.

    The library is asked for calls of one type alone, so that what it does where a model has no price of its own for a
    type (cached input at the price of input, reasoning at that of output) is its answer and not ours.
    """

    def cost(**tokens: int) -> Any:
        from genai_prices import Usage

        return price.calc_price(Usage(**tokens))["total_price"]

    call = cost()
    plain = cost(input_tokens=count)
    written = {"input_tokens": count, "cache_write_tokens": count}
    answered = {"input_tokens": count, "output_tokens": 1_000_000}
    return {
        "request": float(call),
        "uncached_input": float((plain - call) / count),
        "cache_read": float((cost(input_tokens=count, cache_read_tokens=count) - call) / count),
        "cache_creation": float((cost(**written) - call) / count),
        "cache_creation_1h": float((cost(**written, cache_write_1h_tokens=count) - call) / count),
        "output": float((cost(**answered) - plain) / 1_000_000),
        "reasoning": float((cost(**answered, output_reasoning_tokens=1_000_000) - plain) / 1_000_000),
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
