"""What a call cost: by hand-computed examples, and what nobody can price."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from counted_usage import COUNTED, Counted, cost_by_package, history_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_frames import SAMPLE

import sessionlab
from sessionlab import ModelConfig, Recorder, Usage
from sessionlab.lab.attach import Attachment
from sessionlab.lab.engine import Engine
from sessionlab.lab.whole import WholeCopy
from sessionlab.pricing import Price, prices_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
        for model in provider.models:
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
            written = (price.cache_creation, price.cache_creation_1h)
            costs = (price.request, price.uncached_input, price.cache_read, *written, price.output, price.reasoning)
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


# Cache writes for an hour, and what else a store of ours does not have

MODELS: list[tuple[str | None, str]] = [
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-opus-4-5-20251101"),
    ("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("deepseek", "deepseek-chat"),
    ("gcp.gemini", "gemini-2.5-pro"),
    ("openai", "gpt-5"),
    ("perplexity", "sonar-pro"),
    (None, "claude-haiku-4-5"),
    (None, "o3"),
]


@st.composite
def usages(draw: st.DrawFn) -> Counted:
    """Draw what a call may have used: parts that fit in what they are part of, some of them not reported."""
    size = draw(st.sampled_from([1, 1_000, 250_000, 3_000_000]))
    parts = [draw(st.none() | st.integers(0, size)) for _ in range(4)]
    read, written_5m, written_1h, reasoning = parts
    written = None if written_5m is None and written_1h is None else (written_5m or 0) + (written_1h or 0)
    provider, model = draw(st.sampled_from(MODELS))
    return Counted(
        provider=provider,
        model=model,
        at=draw(st.datetimes(datetime(2023, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))),
        input=(read or 0) + (written or 0) + draw(st.integers(0, size)),
        output=(reasoning or 0) + draw(st.integers(0, size)),
        cache_read=read,
        cache_creation=written,
        cache_creation_1h=written_1h,
        reasoning=reasoning,
    )


@dataclass(frozen=True)
class Reading:
    """Where histories are written, and what reads them."""

    path: str
    engine: Engine

    def rows(self, used: list[Counted], frame: str = "turns") -> list[dict[str, Any]]:
        with history_of(self.engine, self.path, used) as copy:
            sql = f"select * from {copy.schema}.{frame} order by _key"
            rows: list[dict[str, Any]] = self.engine.narrow.execute(sql).to_arrow_table().to_pylist()
            return rows


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    with Engine() as engine:
        yield Reading(str(tmp_path_factory.mktemp("counted") / "counted.db"), engine)


@settings(max_examples=30)
@given(used=st.lists(usages(), min_size=1, max_size=30))
def test_a_turn_costs_what_the_package_says_however_its_tokens_are_split(reading: Reading, used: list[Counted]) -> None:
    rows = reading.rows(used)
    assert [row["cost_status"] for row in rows] == ["computed"] * len(used)
    assert [row["cost_usd"] for row in rows] == pytest.approx([cost_by_package(one) for one in used], rel=1e-9)


def test_cache_writes_for_an_hour_cost_more_than_those_for_five_minutes(reading: Reading) -> None:
    plain = Counted(provider="anthropic", model="claude-sonnet-4-5", input=100_000, cache_creation=100_000)
    rows = reading.rows([plain, replace(plain, cache_creation_1h=0), replace(plain, cache_creation_1h=40_000)])
    assert [row["cost_usd"] for row in rows] == pytest.approx([0.375, 0.375, 0.06 * 3.75 + 0.04 * 6])
    types = reading.rows([replace(plain, cache_creation_1h=40_000)], "token_usage")
    cost = {row["token_type"]: (row["tokens"], row["cost_usd"]) for row in types}
    assert cost["cache_creation"] == (100_000, pytest.approx(0.06 * 3.75 + 0.04 * 6))


def test_a_sessions_total_is_priced_by_the_same_split(reading: Reading) -> None:
    total = Counted(
        provider="anthropic",
        model="claude-sonnet-4-5",
        input=150_000,
        output=900,
        cache_creation=100_000,
        cache_creation_1h=40_000,
        reported=7.0,
        is_total=True,
    )
    unknown = replace(total, model="of-nobody")
    several_tiers = replace(total, input=900_000)
    rows = reading.rows([total, unknown, several_tiers, replace(unknown, reported=None)], "sessions")
    assert [row["cost_status"] for row in rows] == ["computed", "reported", "reported", "unpriced"]
    assert [row["cost_usd"] for row in rows] == [pytest.approx(cost_by_package(total)), 7.0, 7.0, None]
    assert [row["reported_cost_usd"] for row in rows] == [7.0, 7.0, 7.0, None]


def test_a_price_for_the_call_itself_is_part_of_the_turn_and_of_no_total(reading: Reading) -> None:
    sonar = Counted(provider="perplexity", model="sonar", input=1000, output=100)
    rows = reading.rows([sonar, replace(sonar, is_total=True)], "sessions")
    assert [row["cost_usd"] for row in rows] == [pytest.approx(cost_by_package(sonar)), None]
    assert rows[0]["cost_usd"] > 0.005
    tokens = reading.rows([sonar], "token_usage")
    assert sum(row["cost_usd"] or 0 for row in tokens) == pytest.approx(0.0011)


def test_tokens_that_exceed_what_they_are_part_of_are_not_priced(reading: Reading) -> None:
    plain = Counted(provider="anthropic", model="claude-sonnet-4-5", input=10, output=10)
    wrong = [
        replace(plain, cache_read=11),
        replace(plain, cache_read=6, cache_creation=5),
        replace(plain, reasoning=11),
        replace(plain, cache_creation=5, cache_creation_1h=6),
        replace(plain, cache_creation_1h=6),
    ]
    rows = reading.rows([plain, *wrong, replace(wrong[0], reported=0.5)])
    assert [row["cost_status"] for row in rows] == ["computed", *["unpriced"] * 5, "reported"]
    assert rows[-1]["cost_usd"] == 0.5


def test_a_turn_without_a_time_has_a_price_only_where_that_never_changed(reading: Reading) -> None:
    constant = Counted(provider="anthropic", model="claude-sonnet-4-5", input=1000, at=None)
    changed = Counted(provider="deepseek", model="deepseek-chat", input=1000, at=None)
    assert len(prices_of("deepseek", "deepseek-chat")) > 1
    rows = reading.rows([constant, changed])
    assert [row["cost_usd"] for row in rows] == [pytest.approx(0.003), None]


def test_a_source_may_say_of_each_session_what_file_it_is_from_and_of_each_turn_what_it_claims(
    reading: Reading,
) -> None:
    used = [Counted(provider="openai", model="gpt-5")] * 3
    with history_of(reading.engine, reading.path, used) as copy:
        sessions = reading.engine.narrow.execute(f"select origin from {copy.schema}.sessions order by _key").fetchall()
        claims = reading.engine.narrow.execute(f"select claim from {copy.schema}.turn order by turn_key").fetchall()
    assert sessions == [(reading.path,), ("/even.jsonl",), (reading.path,)]
    assert claims == [("claim 1",), ("claim 2",), ("claim 3",)]


@pytest.mark.parametrize("name", ["exchange_index", "turn_key"])
def test_a_column_of_another_name_is_refused(reading: Reading, name: str) -> None:
    statements = {**COUNTED.statements, "turn": COUNTED.statements["turn"].replace(f"as {name}", "as other")}
    engine, path = reading.engine, reading.path
    with history_of(engine, path, []):
        attachment = Attachment(engine.reader, path, engine.folder)
        copy = WholeCopy(engine, replace(COUNTED, statements=statements), path, "other", attachment)
        with pytest.raises(sessionlab.HistoryFileError, match="'other'"):
            copy.refresh()
        copy.drop()


# What a model may be called


@pytest.mark.parametrize(
    ("provider", "model", "same_provider", "same_model"),
    [
        ("anthropic", "claude-sonnet-4-5-20250929", *SONNET),
        ("anthropic", "Claude-Sonnet-4-5", *SONNET),
        ("anthropic", "anthropic/claude-sonnet-4-5", *SONNET),
        ("anthropic", "claude-sonnet-4-5[1m]", *SONNET),
        (None, "claude-sonnet-4-5", *SONNET),
        (None, "anthropic/claude-sonnet-4-5", *SONNET),
        (None, "Anthropic/claude-sonnet-4-5[1m]", *SONNET),
        (None, "us.anthropic.claude-opus-4-5-20251101-v1:0", "aws", "us.anthropic.claude-opus-4-5-20251101-v1:0"),
        ("anthropic", "eu.anthropic.claude-opus-4-5-20251101-v1:0[1m]", "aws", "eu.anthropic.claude-opus-4-5-v1:0"),
        (None, "bedrock/us.anthropic.claude-opus-4-5-v1:0", "aws", "us.anthropic.claude-opus-4-5-v1:0"),
        ("gcp.gemini", "models/gemini-2.5-pro", "google", "gemini-2.5-pro"),
        (None, "models/gemini-2.5-pro", "google", "gemini-2.5-pro"),
        (None, "gemini/gemini-2.5-pro", "google", "gemini-2.5-pro"),
        ("gcp.vertex_ai", "publishers/google/models/gemini-2.5-pro", "google", "gemini-2.5-pro"),
        ("x_ai", "xai/grok-4", "x-ai", "grok-4"),
        ("openrouter", "openrouter/openai/gpt-5", "openrouter", "openai/gpt-5"),
        (None, "openrouter/openai/gpt-5", "openrouter", "openai/gpt-5"),
    ],
)
def test_a_model_is_known_by_the_names_that_can_only_mean_it(
    provider: str | None, model: str, same_provider: str, same_model: str
) -> None:
    def costs(prices: tuple[Price, ...]) -> list[Price]:
        return [replace(price, provider_name=None, model="") for price in prices]

    assert prices_of(provider, model)
    assert costs(prices_of(provider, model)) == costs(prices_of(same_provider, same_model))


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("ollama", "llama3.1:8b"),  # runs at home
        ("ollama", "gpt-oss:20b"),
        ("lm_studio", "gpt-4o"),
        (None, "qwen3:8b"),
        (None, "ollama/llama3"),
        (None, "gemma-3-27b-it"),  # known to the package, without a price
        ("openai", "whisper-1"),  # has a price, but not for tokens
        ("openai", "anthropic/claude-sonnet-4-5"),  # whoever that is, it is not OpenAI
        ("openai", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("anthropic", "models/gemini-2.5-pro"),
        ("anthropic", "sonnet"),  # was another model each year
        ("anthropic", "opus[1m]"),
    ],
)
def test_what_may_mean_something_else_has_no_price(provider: str | None, model: str) -> None:
    assert prices_of(provider, model) == ()


def test_a_model_that_runs_at_home_costs_null_and_not_nothing(recorder: Recorder) -> None:
    config = ModelConfig(provider_name="ollama", request_model="llama3.1:8b")
    row = cost_of(recorder, config, Usage(input_tokens=1000, output_tokens=1000))
    assert math.isnan(row["cost_usd"])  # type: ignore[arg-type]  # a float
    assert row["cost_status"] == "unpriced"


# Models without a price


def record_unpriced(path: str, *models: str, provider: str | None = "anthropic") -> None:
    with Recorder(path) as recorder:
        for model in models:
            config = ModelConfig(provider_name=provider, request_model=model)
            recorder.session(config=config).assistant("a", usage=Usage(input_tokens=1, output_tokens=1))


def test_an_unpriced_model_is_one_problem_over_all_histories_of_a_lab(tmp_path: Path) -> None:
    first, second, third = (str(tmp_path / f"{name}.db") for name in ("first", "second", "third"))
    record_unpriced(first, "of-nobody", "only-here")
    record_unpriced(second, "of-nobody", "of-nobody")
    record_unpriced(third, "of-nobody", provider=None)
    with sessionlab.open(first, second, third) as lab:
        for _ in range(2):
            problems = lab.problems.astype(object).where(lambda table: table.notna(), None)
            assert problems[["source", "origin", "record"]].to_numpy().tolist() == [
                ["sessionlab", third, "of-nobody"],
                ["sessionlab", None, "of-nobody"],
                ["sessionlab", first, "only-here"],
            ]
        assert "provider 'unknown'" in problems.reason[0]
        assert "provider 'anthropic' in 2 histories" in problems.reason[1]
        assert lab.overview().problem_count.tolist() == [0, 0, 0]


def test_an_unpriced_model_of_several_tools_is_one_problem_that_names_none(tmp_path: Path) -> None:
    ours = str(tmp_path / "ours.db")
    record_unpriced(ours, "workshop-coder-12b", provider=None)
    with sessionlab.open(ours, os.path.join(os.path.dirname(SAMPLE), "appam")) as lab:
        found = lab.problems[lab.problems.record == "workshop-coder-12b"]
        assert len(found) == 1
        assert found[["source", "origin"]].isna().all(axis=None)
