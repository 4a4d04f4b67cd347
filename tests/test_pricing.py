"""What a call cost: by hand-computed examples, and what nobody can price."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_frames import SAMPLE

import sessionlab
from sessionlab import ModelConfig, Recorder, Usage
from sessionlab.pricing import Price, prices_of

if TYPE_CHECKING:
    from collections.abc import Iterator

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SONNET = ("anthropic", "claude-sonnet-4-5")


def price_at(provider: str | None, model: str, *, tokens: int, at: datetime = AT) -> Price:
    """Return the one price that holds for a call."""
    us = int(at.timestamp()) * 1_000_000
    second = at.hour * 3600 + at.minute * 60 + at.second
    found = [
        price
        for price in prices_of(provider, model)
        if price.from_us <= us < price.until_us
        and price.from_second <= second < price.until_second
        and price.from_tokens <= tokens < price.until_tokens
    ]
    assert len(found) == 1
    return found[0]


def cost_of(recorder: Recorder, config: ModelConfig | None, usage: Usage, **facts: object) -> dict[str, object]:
    """Record a call and return its row of `turns`."""
    s = recorder.session(config=config)
    turn = s.assistant("a", usage=usage, started_at=AT, at=AT, **facts)  # type: ignore[arg-type]  # handed through
    frame = sessionlab.frame("turns", recorder.path, session_id=s.session_id)
    assert turn.message_id == frame.turn_id.iloc[0]
    row: dict[str, object] = frame.iloc[0].to_dict()
    return row


CONFIG = ModelConfig(provider_name="anthropic", request_model="claude-sonnet-4-5")


def test_a_plain_call_costs_what_one_computes_by_hand(recorder: Recorder) -> None:
    row = cost_of(recorder, CONFIG, Usage(input_tokens=1_000_000 // 10, output_tokens=10_000))
    # 3 dollars a million in, 15 out
    assert row["cost_usd"] == pytest.approx(0.1 * 3 + 0.01 * 15)
    assert row["cost_status"] == "computed"
    assert math.isnan(row["reported_cost_usd"])  # type: ignore[arg-type]  # a float


def test_cache_reads_and_writes_have_prices_of_their_own(recorder: Recorder) -> None:
    usage = Usage(
        input_tokens=100_000, cache_read_input_tokens=60_000, cache_creation_input_tokens=30_000, output_tokens=1000
    )
    row = cost_of(recorder, CONFIG, usage)
    assert row["cost_usd"] == pytest.approx((10_000 * 3 + 60_000 * 0.3 + 30_000 * 3.75 + 1000 * 15) / 1e6)
    parts = sessionlab.frame("token_usage", recorder.path).set_index("token_type")
    counts = {"uncached_input": 10_000, "cache_read": 60_000, "cache_creation": 30_000, "output": 1000}
    assert parts.tokens.to_dict() == counts
    assert parts.cost_usd["cache_read"] == pytest.approx(0.018)
    assert parts.cost_usd["cache_creation"] == pytest.approx(0.1125)


def test_reasoning_is_priced_as_output_and_counted_once(recorder: Recorder) -> None:
    config = ModelConfig(provider_name="openai", request_model="gpt-5")
    row = cost_of(recorder, config, Usage(input_tokens=1000, output_tokens=500, reasoning_output_tokens=400))
    assert row["cost_usd"] == pytest.approx((1000 * 1.25 + 500 * 10) / 1e6)
    parts = sessionlab.frame("token_usage", recorder.path).set_index("token_type")
    assert parts.tokens.to_dict() == {"uncached_input": 1000, "output": 100, "reasoning": 400}
    assert parts.cost_usd["reasoning"] == pytest.approx(400 * 10 / 1e6)


@pytest.mark.parametrize(("tokens", "a_million"), [(200_000, 3), (200_001, 6), (500_000, 6)])
def test_a_call_of_more_than_200k_tokens_is_in_the_dearer_tier_as_a_whole(
    recorder: Recorder, tokens: int, a_million: float
) -> None:
    row = cost_of(recorder, CONFIG, Usage(input_tokens=tokens, output_tokens=0))
    assert row["cost_usd"] == pytest.approx(tokens * a_million / 1e6)


def test_the_model_that_answered_is_priced_and_not_the_one_that_was_asked_for(recorder: Recorder) -> None:
    usage = Usage(input_tokens=1000, output_tokens=0)
    row = cost_of(recorder, CONFIG, usage, response_model="claude-opus-4-5")
    assert row["cost_usd"] == pytest.approx(1000 * 5 / 1e6)


def test_an_unknown_model_has_no_cost_and_is_one_problem(recorder: Recorder) -> None:
    config = ModelConfig(provider_name="anthropic", request_model="of-nobody")
    for _ in range(3):
        row = cost_of(recorder, config, Usage(input_tokens=10, output_tokens=10))
        assert math.isnan(row["cost_usd"])  # type: ignore[arg-type]  # a float
        assert row["cost_status"] == "unpriced"
    with sessionlab.open(recorder.path) as lab:
        problems = lab.problems
        assert problems[["source", "origin", "record"]].to_numpy().tolist() == [
            ["sessionlab", recorder.path, "of-nobody"]
        ]
        assert "no price is known" in problems.reason.iloc[0]
        assert lab.frame("token_usage").cost_usd.isna().all()
        assert lab.frame("sessions").cost_status.tolist() == ["unpriced"] * 3
        recorder.session("more", config=config).assistant("a", usage=Usage(input_tokens=1, output_tokens=1))
        assert len(lab.problems) == 1


def test_a_reported_cost_stands_in_where_none_can_be_computed(recorder: Recorder) -> None:
    config = ModelConfig(request_model="of-nobody")
    row = cost_of(recorder, config, Usage(input_tokens=1, output_tokens=1), reported_cost_usd=0.1 + 0.2)
    assert (row["cost_usd"], row["cost_status"], row["reported_cost_usd"]) == (0.1 + 0.2, "reported", 0.1 + 0.2)
    row = cost_of(recorder, CONFIG, Usage(input_tokens=1000, output_tokens=0), reported_cost_usd=7.0)
    assert (row["cost_usd"], row["cost_status"], row["reported_cost_usd"]) == (pytest.approx(0.003), "computed", 7.0)


@pytest.mark.parametrize("usage", [Usage(), Usage(input_tokens=5), Usage(output_tokens=5)])
def test_a_call_whose_tokens_are_not_all_known_has_no_cost_and_is_no_problem(recorder: Recorder, usage: Usage) -> None:
    row = cost_of(recorder, CONFIG, usage)
    assert math.isnan(row["cost_usd"])  # type: ignore[arg-type]  # a float
    assert row["cost_status"] == "unpriced"
    with sessionlab.open(recorder.path) as lab:
        assert lab.problems.empty


def test_no_tokens_cost_nothing_which_is_known(recorder: Recorder) -> None:
    row = cost_of(recorder, CONFIG, Usage(input_tokens=0, output_tokens=0))
    assert (row["cost_usd"], row["cost_status"]) == (0.0, "computed")


def test_a_price_holds_at_the_time_of_the_call() -> None:
    night, day = datetime(2026, 3, 1, 20, tzinfo=UTC), datetime(2026, 3, 1, 12, tzinfo=UTC)
    cheap = price_at("deepseek", "deepseek-chat", tokens=10, at=night)
    dear = price_at("deepseek", "deepseek-chat", tokens=10, at=day)
    assert cheap.uncached_input < dear.uncached_input


@pytest.mark.parametrize(
    "provider", ["gcp.gemini", "gcp.vertex_ai", "aws.bedrock", "azure.ai.openai", "x_ai", "mistral_ai"]
)
def test_opentelemetrys_names_of_providers_are_known(provider: str) -> None:
    from genai_prices.data_snapshot import get_snapshot

    from sessionlab.pricing import _PROVIDERS

    assert _PROVIDERS[provider] in {known.id for known in get_snapshot().providers}


@given(st.none() | st.text(max_size=20), st.text(max_size=40))
def test_any_names_can_be_asked_for(provider: str | None, model: str) -> None:
    assert isinstance(prices_of(provider, model), tuple)


def every_price() -> Iterator[tuple[str, str]]:
    from genai_prices.data_snapshot import get_snapshot

    for provider in get_snapshot().providers:
        for model in provider.models[:6]:
            yield provider.id, model.id


@pytest.mark.parametrize(
    "model", [SONNET, ("openai", "gpt-5"), ("gcp.gemini", "gemini-2.5-pro"), ("deepseek", "deepseek-chat")]
)
def test_periods_times_of_day_and_tiers_cover_everything_once(model: tuple[str, str]) -> None:
    for at in (
        datetime(2020, 1, 1, tzinfo=UTC),
        AT,
        datetime(2026, 3, 1, 0, 30, tzinfo=UTC),
        datetime(2040, 1, 1, tzinfo=UTC),
    ):
        for tokens in (0, 1, 200_000, 200_001, 10**9):
            assert price_at(*model, tokens=tokens, at=at).output >= 0


def test_every_model_of_the_package_can_be_priced() -> None:
    for provider, model in every_price():
        for price in prices_of(provider, model):
            costs = (price.uncached_input, price.cache_read, price.cache_creation, price.output, price.reasoning)
            assert all(math.isfinite(cost) and cost >= 0 for cost in costs), (provider, model)


def test_the_samples_costs_are_what_the_package_says_turn_by_turn() -> None:
    from genai_prices import Usage as TheirUsage
    from genai_prices import calc_price

    from sessionlab.pricing import _PROVIDERS

    turns = sessionlab.frame("turns", SAMPLE, cost_status="computed")
    assert len(turns) > 100
    for row in turns.itertuples():
        model = row.request_model if isinstance(row.response_model, float) else row.response_model
        read, written = row.cache_read_input_tokens, row.cache_creation_input_tokens
        usage = TheirUsage(
            input_tokens=int(row.input_tokens),
            output_tokens=int(row.output_tokens),
            cache_read_tokens=0 if pd.isna(read) else int(read),
            cache_write_tokens=0 if pd.isna(written) else int(written),
        )
        theirs = calc_price(
            usage,
            model,
            provider_id=_PROVIDERS.get(row.provider_name, row.provider_name),
            genai_request_timestamp=row.started_at.to_pydatetime(),
        )
        assert row.cost_usd == pytest.approx(float(theirs.total_price), rel=1e-9), row.turn_id
