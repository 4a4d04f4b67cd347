"""What holds for all functions of mining: what they need, what they return, and that the order of rows is nothing."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mining_frames import frame
from pandas.testing import assert_frame_equal

import sessionlab
from sessionlab import mining
from sessionlab.lab.frames import FRAMES, empty

SAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sample_data")
PATHS = ("history.db", "claude_code/projects", "codex", "appam", "gemini_cli", "goose", "opencode/opencode.db")
SESSION = "fe502f45-04ca-4bb9-a38f-aa7ff97ee9ce"

Frames = dict[str, pd.DataFrame]
KEY = ["source", "session_id"]
MESSAGES = [*KEY, "message_id", "message_index", "kind", "invocation_id", "created_at", "is_sidechain"]

# Each function with the columns that it needs of each frame.
NEEDED: dict[str, dict[str, list[str]]] = {
    "usage_over_time": {"token_usage": [*KEY, "turn_id", "started_at", "tokens", "cost_usd", "model"]},
    "activity": {"turns": [*KEY, "turn_index", "started_at", "output_tokens", "cost_usd"]},
    "compare": {
        "turns": [
            *KEY,
            "cost_usd",
            "input_tokens",
            "output_tokens",
            "duration_s",
            "error_type",
            "response_model",
            "request_model",
        ]
    },
    "config_changes": {
        "turns": [*KEY, "turn_id", "turn_index", "started_at", "model_config_id", "is_sidechain"],
        "model_configs": ["source", "model_config_id"],
    },
    "tool_reliability": {
        "tool_calls": [*KEY, "turn_id", "tool_call_index", "tool_name", "status", "duration_s"],
    },
    "tool_sequences": {"tool_calls": [*KEY, "tool_call_index", "tool_name"]},
    "tool_loops": {
        "tool_calls": [
            *KEY,
            "tool_call_index",
            "tool_name",
            "arguments",
            "status",
            "started_at",
            "duration_s",
            "result",
        ]
    },
    "context_growth": {
        "turns": [
            *KEY,
            "turn_id",
            "turn_index",
            "started_at",
            "is_sidechain",
            "input_tokens",
            "cache_read_input_tokens",
            "output_tokens",
        ],
        "messages": MESSAGES,
    },
    "compactions": {
        "turns": [*KEY, "turn_id", "turn_index", "is_sidechain", "input_tokens"],
        "messages": MESSAGES,
    },
    "cache_economics": {
        "turns": [
            *KEY,
            "turn_id",
            "turn_index",
            "is_sidechain",
            "response_model",
            "request_model",
            "input_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        ],
        "token_usage": [*KEY, "turn_id", "token_type", "tokens", "cost_usd"],
    },
    "time_spent": {
        "turns": [*KEY, "turn_index", "started_at", "duration_s"],
        "tool_calls": [*KEY, "tool_call_index", "started_at", "duration_s"],
        "messages": [*KEY, "created_at", "role", "kind", "is_sidechain"],
    },
    "expensive_sessions": {
        "sessions": [*KEY, "name", "cost_usd"],
        "turns": [*KEY, "turn_id", "turn_index", "prompt", "response_model", "request_model", "cost_usd"],
    },
    "repeated_prompts": {
        "turns": [*KEY, "turn_index", "exchange_index", "started_at", "is_sidechain", "prompt", "cost_usd"]
    },
    "timeline": {
        "turns": [
            *KEY,
            "turn_id",
            "turn_index",
            "started_at",
            "duration_s",
            "request_model",
            "response_model",
            "error_type",
            "is_sidechain",
        ],
        "tool_calls": [*KEY, "turn_id", "tool_call_index", "tool_name", "is_error", "started_at", "duration_s"],
        "messages": [*KEY, "message_index", "role", "kind", "content", "created_at", "is_sidechain"],
    },
}
OPTIONS: dict[str, dict[str, Any]] = {
    "usage_over_time": {"timezone": "Europe/Berlin"},
    "activity": {"timezone": "Europe/Berlin"},
    "tool_loops": {"at_least": 2},
}


def mined(name: str, frames: Frames) -> pd.DataFrame:
    """Run one function over the frames that it wants; missing times say so, which other tests look at."""
    function: Callable[..., pd.DataFrame] = getattr(mining, name)
    given = [frames[wanted] for wanted in NEEDED[name]]
    if name == "timeline":
        given = [frame[frame["session_id"] == SESSION] for frame in given]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sessionlab.SessionLabWarning)
        return function(*given, **OPTIONS.get(name, {}))


@pytest.fixture(scope="module")
def frames() -> Frames:
    with sessionlab.open(*(os.path.join(SAMPLES, path) for path in PATHS)) as lab:
        return {name: lab.frame(name) for name in FRAMES}


def test_every_function_is_listed_and_tried_here() -> None:
    assert set(mining.__all__) == {*NEEDED, "config_difference"}
    assert sorted(mining.__all__) == mining.__all__


@pytest.mark.parametrize("name", NEEDED)
def test_the_sample_histories_give_rows_of_declared_dtypes(name: str, frames: Frames) -> None:
    found = mined(name, frames)
    none = mined(name, {name: empty(name) for name in FRAMES})
    assert dict(found.dtypes) == dict(none.dtypes)
    assert len(found) or name == "tool_loops"
    assert len(none) == (168 if name == "activity" else 0)
    for result in (found, none):
        assert isinstance(result.index, pd.RangeIndex)
        assert result.index.equals(pd.RangeIndex(len(result)))


@pytest.mark.parametrize("name", NEEDED)
def test_only_the_named_columns_are_needed(name: str, frames: Frames) -> None:
    few = {wanted: frames[wanted][columns] for wanted, columns in NEEDED[name].items()}
    wanted = mined(name, frames)
    if name == "config_changes":
        # Without settings nothing is known to differ.
        assert not len(mined(name, few))
        return
    assert_frame_equal(mined(name, few), wanted)


@pytest.mark.parametrize(
    ("name", "of", "column"),
    [(name, of, column) for name, wanted in NEEDED.items() for of, columns in wanted.items() for column in columns],
)
def test_a_missing_column_is_named_with_the_function_and_the_frame(name: str, of: str, column: str) -> None:
    frames = {wanted: empty(wanted) for wanted in FRAMES}
    frames[of] = frames[of].drop(columns=column)
    given = [frames[wanted] for wanted in NEEDED[name]]
    with pytest.raises(sessionlab.FrameError) as caught:
        getattr(mining, name)(*given)
    assert f"mining.{name} " in str(caught.value)
    assert repr(column) in str(caught.value)
    assert f'lab.frame("{of}")' in str(caught.value)


@pytest.mark.parametrize("name", NEEDED)
def test_other_things_than_a_dataframe_are_refused_by_name(name: str) -> None:
    given: list[Any] = [{"source": []} for _ in NEEDED[name]]
    with pytest.raises(sessionlab.FrameError, match=rf"mining\.{name} got a dict"):
        getattr(mining, name)(*given)


@pytest.mark.parametrize("name", NEEDED)
def test_the_order_of_the_rows_changes_nothing(name: str, frames: Frames) -> None:
    random = np.random.default_rng(7)
    shuffled = {of: rows.iloc[random.permutation(len(rows))] for of, rows in frames.items()}
    assert_frame_equal(mined(name, shuffled), mined(name, frames), rtol=1e-12)


@pytest.mark.parametrize("name", NEEDED)
def test_the_frames_that_are_given_stay_as_they_are(name: str, frames: Frames) -> None:
    copies = {of: rows.copy(deep=True) for of, rows in frames.items()}
    mined(name, frames)
    for of, rows in frames.items():
        assert_frame_equal(rows, copies[of])


@pytest.mark.parametrize("name", NEEDED)
def test_plain_dtypes_as_from_a_csv_file_give_the_same(name: str, frames: Frames) -> None:
    plain = {of: rows.astype(object).where(rows.notna(), None) for of, rows in frames.items()}
    assert_frame_equal(mined(name, plain), mined(name, frames))


@pytest.mark.parametrize("name", NEEDED)
def test_arrows_own_dtypes_give_the_same(name: str, frames: Frames) -> None:
    arrow = {of: rows.convert_dtypes(dtype_backend="pyarrow") for of, rows in frames.items()}
    assert_frame_equal(mined(name, arrow), mined(name, frames))


@pytest.mark.parametrize("name", NEEDED)
def test_rows_of_which_nothing_is_known_break_nothing(name: str) -> None:
    of_session = SESSION if name == "timeline" else "s"
    unknown = {
        of: frame(of, *[{"session_id": of_session} if "session_id" in empty(of) else {}] * 2) for of in NEEDED[name]
    }
    found = mined(name, unknown)
    none = mined(name, {of: empty(of) for of in NEEDED[name]})
    assert dict(found.dtypes) == dict(none.dtypes)
    money = [column for column in found if str(column).endswith("_usd")]
    cells = found if name != "activity" else found[found["turn_count"] > 0]
    assert cells[money].isna().all().all()


def test_a_column_that_does_not_fit_is_refused() -> None:
    calls = frame("tool_calls", {"tool_name": "bash"})
    wrong = calls.astype({"duration_s": object})
    wrong["duration_s"] = ["long"]
    with pytest.raises(sessionlab.FrameError, match=r"mining\.tool_reliability: the column 'duration_s' is"):
        mining.tool_reliability(wrong)


@pytest.mark.parametrize("by", [["model", "source"], None])
@pytest.mark.parametrize("name", ["usage_over_time", "compare", "tool_reliability", "cache_economics"])
def test_groups_are_those_of_one_column(name: str, by: Any) -> None:
    with pytest.raises(sessionlab.FrameError, match=f"mining.{name}: by="):
        getattr(mining, name)(empty(next(iter(NEEDED[name]))), by=by)


@settings(max_examples=50)
@given(st.data())
def test_sums_over_all_groups_are_the_sums_of_the_frame(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 30))
    rows = [
        {
            "session_id": data.draw(st.sampled_from(["s", "t"])),
            "source": data.draw(st.sampled_from(["sessionlab", "codex"])),
            "turn_id": data.draw(st.none() | st.sampled_from(["t1", "t2", "t3"])),
            "model": data.draw(st.none() | st.sampled_from(["a", "b", ""])),
            "started_at": data.draw(
                st.sampled_from(
                    ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-10-25T00:30Z", "2026-10-25T01:30Z"]
                )
            ),
            "tokens": data.draw(st.integers(0, 10**9)),
            "cost_usd": data.draw(st.none() | st.floats(0, 100)),
        }
        for _ in range(count)
    ]
    usage = frame("token_usage", *rows)
    period: Any = data.draw(st.sampled_from(["hour", "day", "week", "month"]))
    by = data.draw(st.sampled_from(["model", "source", "session_id", "token_type"]))
    found = mining.usage_over_time(usage, by, period=period, timezone="Europe/Berlin")
    assert found["tokens"].sum() == usage["tokens"].sum()
    assert found["cost_usd"].sum() == pytest.approx(usage["cost_usd"].sum())
    assert found["unpriced_tokens"].sum() == usage["tokens"][usage["cost_usd"].isna()].sum()
    assert not found.duplicated(["period_start", by]).any()
    assert found["cost_usd"].isna().all() == usage["cost_usd"].isna().all()


def test_a_wrong_frame_or_column_gets_a_hint_at_the_right_one() -> None:
    turns, calls = empty("turns"), empty("tool_calls")
    hints: dict[str, Callable[[], object]] = {
        'give it lab.frame("token_usage")': lambda: mining.usage_over_time(turns),
        'give it lab.frame("turns")': lambda: mining.time_spent(calls, turns, empty("messages")),
        "Did you mean 'model_config_id'": lambda: mining.compare(turns, "model_config"),
        "merge it in before": lambda: mining.tool_reliability(calls, "agent_name"),
        "or name it in columns=": lambda: mining.activity(turns[["source", "session_id"]]),
        "tz_localize": lambda: mining.activity(turns.assign(started_at=pd.to_datetime([]))),
        "pandas frame": lambda: mining.activity(cast("pd.DataFrame", [])),
    }
    for hint, call in hints.items():
        with pytest.raises(sessionlab.FrameError, match=re.escape(hint)):
            call()
