"""What the same tokens would have cost with another model, beside the package's own answer for each of them."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from counted_usage import Counted, cost_by_package, history_of
from test_frames import SAMPLE

import sessionlab
from sessionlab import FrameError, ModelConfig, Recorder, Usage
from sessionlab.lab.engine import Engine
from sessionlab.lab.repricing import Repricing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAMPLES = os.path.dirname(SAMPLE)
APPAM = os.path.join(SAMPLES, "appam")
COLUMNS = [
    "source",
    "session_id",
    "turn_id",
    "started_at",
    "provider_name",
    "model",
    "cost_usd",
    "cost_status",
    "scope",
    "repriced_model",
    "repriced_cost_usd",
]
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SONNET = ModelConfig(provider_name="anthropic", request_model="claude-sonnet-4-5")
HAIKU = ModelConfig(provider_name="anthropic", request_model="claude-haiku-4-5")


@pytest.fixture
def lab() -> Iterator[sessionlab.Lab]:
    with sessionlab.open(SAMPLE, APPAM) as opened:
        yield opened


def record(recorder: Recorder, config: ModelConfig, at: datetime = AT, **tokens: int) -> str:
    """Record a session of one turn and return its id."""
    s = recorder.session(config=config, agent="coder")
    s.assistant("a", usage=Usage(**tokens), started_at=at, at=at)
    return s.session_id


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("claude-haiku-4-5", None),
        ("claude-sonnet-4-5", "anthropic"),
        ("deepseek-chat", "deepseek"),
        ("gemini-2.5-pro", "gcp.gemini"),
        ("gpt-5", None),
        ("sonar", "perplexity"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws.bedrock"),
    ],
)
def test_each_turn_is_repriced_as_the_package_does_it(lab: sessionlab.Lab, model: str, provider: str | None) -> None:
    key = ("source", "session_id", "turn_id")
    turns = {tuple(row[name] for name in key): row for row in lab.frame("turns", to="arrow").to_pylist()}
    repriced = lab.reprice(model=model, provider_name=provider, scope="turn", to="arrow").to_pylist()
    assert len(repriced) > 200
    for row in repriced:
        turn = turns[tuple(row[name] for name in key)]
        used = Counted(
            provider=None,
            model=turn["response_model"] or turn["request_model"],
            at=turn["started_at"],
            input=turn["input_tokens"],
            output=turn["output_tokens"],
            cache_read=turn["cache_read_input_tokens"],
            cache_creation=turn["cache_creation_input_tokens"],
            reasoning=turn["reasoning_output_tokens"],
        )
        assert (row["model"], row["cost_usd"], row["repriced_model"]) == (used.model, turn["cost_usd"], model)
        if used.input is None or used.output is None:
            assert row["repriced_cost_usd"] is None
        else:
            cost = cost_by_package(used, provider=provider, model=model)
            assert row["repriced_cost_usd"] == pytest.approx(cost, rel=1e-9)


def test_it_has_the_turns_that_used_tokens_and_the_totals_with_their_own_costs(lab: sessionlab.Lab) -> None:
    repriced = lab.reprice(model="gpt-5")
    assert list(repriced.columns) == COLUMNS
    turns = lab.frame("turns")
    used = turns[(turns.usage_quality != "missing") | turns.reported_cost_usd.notna()]
    of_turns = repriced[repriced.scope == "turn"]
    assert of_turns.turn_id.tolist() == used.turn_id.tolist()
    assert of_turns.cost_usd.sum() == pytest.approx(turns.cost_usd.sum())
    totals = repriced[repriced.scope == "session"]
    assert len(totals) > 5
    assert totals.turn_id.isna().all()
    sessions = lab.frame("sessions").set_index(["source", "session_id"])
    assert repriced.cost_usd.sum() == pytest.approx(sessions.cost_usd.sum())


def test_the_model_that_answered_costs_as_much_again(lab: sessionlab.Lab) -> None:
    computed = lab.frame("turns", cost_status="computed")
    for provider, model in {(row.provider_name, row.request_model) for row in computed.itertuples()}:
        if not isinstance(model, str):
            continue
        name = provider if isinstance(provider, str) else None
        again = lab.reprice(model=model, provider_name=name, instead_of=model, cost_status="computed", scope="turn")
        again = again[again.provider_name.isna() if name is None else again.provider_name == name]
        assert again.repriced_cost_usd.tolist() == pytest.approx(again.cost_usd.tolist())


def test_a_sessions_total_is_repriced_where_one_price_fits_all_of_it(tmp_path: Path) -> None:
    total = Counted(
        provider=None,
        model="of-nobody",
        input=150_000,
        output=900,
        cache_read=10_000,
        cache_creation=100_000,
        cache_creation_1h=40_000,
        reported=7.0,
        is_total=True,
    )
    used = [total, replace(total, input=900_000), replace(total, input=None), replace(total, is_total=False)]
    with Engine() as engine, history_of(engine, str(tmp_path / "counted.db"), used) as copy:
        rows = Repricing("claude-sonnet-4-5", None, None, {}).rows(engine, [copy]).to_pylist()
        per_call = Repricing("sonar", "perplexity", None, {}).rows(engine, [copy]).to_pylist()
    assert [(row["scope"], row["cost_usd"]) for row in rows] == [*[("session", 7.0)] * 3, ("turn", 7.0)]
    cost = cost_by_package(total, provider="anthropic", model="claude-sonnet-4-5")
    assert [row["repriced_cost_usd"] for row in rows] == [pytest.approx(cost), None, None, pytest.approx(cost)]
    # How many calls a total is of is not known, and each has a price.
    assert [row["repriced_cost_usd"] is None for row in per_call] == [True, True, True, False]


def test_prices_are_those_of_the_turns_own_day(recorder: Recorder) -> None:
    night, day = AT.replace(hour=20), AT.replace(hour=12)
    for at in (night, day):
        record(recorder, SONNET, at, input_tokens=1000, output_tokens=0)
    with sessionlab.open(recorder.path) as lab:
        cheap, dear = lab.reprice(model="deepseek-chat", provider_name="deepseek").repriced_cost_usd
    assert cheap < dear


def test_before_a_model_was_there_its_first_price_holds(recorder: Recorder) -> None:
    record(recorder, SONNET, datetime(2020, 1, 1, tzinfo=UTC), input_tokens=1_000, output_tokens=0)
    with sessionlab.open(recorder.path) as lab:
        assert lab.reprice(model="claude-haiku-4-5").repriced_cost_usd.tolist() == [pytest.approx(0.001)]


def test_it_takes_the_filters_of_frames(recorder: Recorder) -> None:
    first = record(recorder, SONNET, input_tokens=1000, output_tokens=0)
    second = record(recorder, HAIKU, AT + timedelta(days=1), input_tokens=2000, output_tokens=0)
    third = record(recorder, SONNET, AT + timedelta(days=2), input_tokens=3000, output_tokens=0)

    with sessionlab.open(recorder.path) as lab:

        def asked(**filters: Any) -> list[str]:
            ids: list[str] = lab.reprice(model="gpt-5", **filters).session_id.tolist()
            return ids

        assert asked() == [first, second, third]
        assert asked(since=AT + timedelta(days=1)) == [second, third]
        assert asked(until=AT + timedelta(days=1)) == [first]
        assert asked(session_id=[third, first]) == [first, third]
        assert asked(limit=2) == [second, third]
        assert asked(agent_name="coder") == [first, second, third]
        assert asked(agent_name="nobody") == []
        assert asked(source="awful_aj") == []
        assert asked(instead_of="claude-sonnet-4-5") == [first, third]
        assert asked(instead_of=["claude-haiku-4-5", "of-nobody"]) == [second]
        assert asked(instead_of="claude-sonnet-4-5", since=AT + timedelta(days=1), limit=5) == [third]
        assert asked(cost_status="unpriced") == []


def test_it_comes_as_polars_and_arrow_too(lab: sessionlab.Lab) -> None:
    arrow = lab.reprice(model="gpt-5", limit=7, to="arrow")
    assert arrow.column_names == COLUMNS
    assert lab.reprice(model="gpt-5", limit=7, to="polars").to_dicts() == arrow.to_pylist()
    with pytest.raises(FrameError, match="expected 'pandas', 'polars' or 'arrow'"):
        lab.reprice(model="gpt-5", to="excel")  # type: ignore[call-overload]  # what a user may try


def test_dtypes_do_not_depend_on_the_rows(lab: sessionlab.Lab, home: Path) -> None:
    empty = lab.reprice(model="gpt-5", session_id="nobody")
    assert len(empty) == 0
    assert empty.dtypes.tolist() == lab.reprice(model="gpt-5").dtypes.tolist()
    with pytest.warns(sessionlab.SessionLabWarning, match="No history was found"):
        nothing = sessionlab.open()
    assert nothing.reprice(model="gpt-5").dtypes.tolist() == empty.dtypes.tolist()


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"model": "claude-sonet-4-5"}, "Did you mean 'claude-sonnet-4-5'"),
        ({"model": "claude-sonet-4-5", "provider_name": "anthropic"}, "Did you mean 'claude-sonnet-4-5'"),
        ({"model": "llama-3.3-70b-versatile"}, "'llama-3.3-70b-versatile' with provider_name='groq'"),
        ({"model": "claude-sonnet-4-5", "provider_name": "openai"}, "Without provider_name one is"),
        ({"model": "gpt-5", "provider_name": "opnai"}, "provider 'opnai'. Did you mean 'openai'"),
        ({"model": "gpt-5", "provider_name": "ollama"}, "No prices are known of the provider 'ollama'"),
        ({"model": "%&/"}, "No price is known for the model '%&/'. Give its name"),
        ({"model": "whisper-1"}, "No price is known for the model 'whisper-1'"),
        ({"model": None}, "model=None: expected the name"),
        ({"model": "gpt-5", "provider_name": 3}, "provider_name=3: expected the name"),
        ({"model": "gpt-5", "instead_of": 3}, "model=3: expected text"),
        ({"model": "gpt-5", "sesion_id": "x"}, "has no filter 'sesion_id'. Did you mean 'session_id'"),
        ({"model": "gpt-5", "since": "yesterday"}, "since='yesterday'"),
        ({"model": "gpt-5", "limit": -1}, "limit=-1"),
    ],
)
def test_what_cannot_be_repriced_is_refused_with_a_way_out(
    lab: sessionlab.Lab, asked: dict[str, Any], answer: str
) -> None:
    with pytest.raises(FrameError) as refused:
        lab.reprice(**asked)
    assert answer in str(refused.value)


def test_turns_without_a_time_are_counted_where_since_leaves_them_out(tmp_path: Path) -> None:
    used = [Counted(provider=None, model="gpt-5", at=at, input=1000) for at in (AT, None, None)]
    with Engine() as engine, history_of(engine, str(tmp_path / "counted.db"), used) as copy:
        repricing = Repricing("gpt-5", None, None, {"since": "2026-01-01"})
        assert repricing.rows(engine, [copy]).num_rows == 1
        assert repricing.count_without_time(engine, [copy]) == 2
        assert Repricing("gpt-5", None, None, {}).count_without_time(engine, [copy]) == 0


def test_asking_changes_nothing_and_a_snapshot_holds(recorder: Recorder) -> None:
    record(recorder, SONNET, input_tokens=1000, output_tokens=10)
    with sessionlab.open(recorder.path) as lab:
        before = lab.frame("turns")
        with lab.snapshot():
            record(recorder, SONNET, input_tokens=1000, output_tokens=10)
            assert len(lab.reprice(model="gpt-5")) == 1
        assert len(lab.reprice(model="gpt-5")) == 2
        pd.testing.assert_frame_equal(lab.frame("turns", limit=2).head(1), before)
        with pytest.raises(sessionlab.QueryError):
            lab.sql("select * from repriced")
