"""Contexts that grow and are cut, and what the cache gave of them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mining_frames import column, frame, rows_of

import sessionlab
from sessionlab import mining


def talk(*rows: str, **same: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the turns and messages of a session written as `user`, `boundary` or `turn <input>`, `?` for not known.

    `side` in front puts a row beside the main line; `@x` behind gives it an invocation.
    """
    turns, messages = [], []
    for index, row in enumerate(rows):
        written, _, invocation = row.partition(" @")
        words = written.split()
        beside = words[0] == "side"
        role, *count = words[beside:]
        here = {"is_sidechain": beside, "invocation_id": invocation or None, **same}
        kind = "boundary" if role == "boundary" else "message"
        speaker = {"user": "user", "boundary": "system", "turn": "assistant"}[role]
        messages.append({"message_id": f"m{index}", "kind": kind, "role": speaker, **here})
        if role == "turn":
            tokens = None if count == ["?"] else int(count[0])
            turns.append({"turn_id": f"m{index}", "input_tokens": tokens, **here})
    return frame("turns", *turns), frame("messages", *messages)


def test_the_context_of_each_main_turn_is_its_input_and_grows_by_the_difference() -> None:
    turns = frame(
        "turns",
        {"input_tokens": 100, "cache_read_input_tokens": 0, "output_tokens": 5, "started_at": "2026-05-01"},
        {"input_tokens": 40, "is_sidechain": True},
        {"error_type": "timeout"},
        {"input_tokens": 160, "cache_read_input_tokens": 100, "is_sidechain": False},
        {"input_tokens": 90},
        {"session_id": "t", "input_tokens": 7},
        {"source": "codex", "input_tokens": 8},
    )
    found = mining.context_growth(turns)
    assert rows_of(found) == [
        ("codex", "s", "t0", 0, None, 8, None, None, None, None),
        ("sessionlab", "s", "t0", 0, "2026-05-01T00:00:00+00:00", 100, 0, 5, None, None),
        ("sessionlab", "s", "t3", 3, None, 160, 100, None, 60, None),
        ("sessionlab", "s", "t4", 4, None, 90, None, None, -70, None),
        ("sessionlab", "t", "t0", 0, None, 7, None, None, None, None),
    ]


def test_the_first_turn_after_a_boundary_is_after_a_compaction() -> None:
    found = mining.context_growth(*talk("user", "turn 100", "turn 150", "boundary", "user", "turn 60", "turn 70"))
    assert rows_of(found, "context_tokens", "is_after_compaction") == [
        (100, False),
        (150, False),
        (60, True),
        (70, False),
    ]


def test_turns_beside_or_without_tokens_do_not_hide_a_compaction() -> None:
    found = mining.context_growth(*talk("turn 100", "boundary", "side turn 30", "turn ?", "turn 60"))
    assert rows_of(found, "context_tokens", "is_after_compaction") == [(100, False), (60, True)]


def test_a_boundary_beside_the_main_line_compacts_nothing_of_it() -> None:
    rows = talk("turn 100", "side boundary", "turn 120")
    assert column(mining.context_growth(*rows), "is_after_compaction") == [False, False]
    assert len(mining.compactions(*rows)) == 0


def test_a_boundary_with_which_a_new_invocation_goes_on_is_no_compaction() -> None:
    rows = talk("turn 100 @a", "boundary @b", "turn 110 @b", "boundary @b", "turn 50 @b")
    assert column(mining.context_growth(*rows), "is_after_compaction") == [False, False, True]
    assert rows_of(mining.compactions(*rows), "message_id", "tokens_before", "tokens_after") == [("m3", 110, 50)]


def test_a_turn_whose_message_is_not_there_has_no_answer() -> None:
    turns, messages = talk("turn 100", "boundary", "turn 60")
    found = mining.context_growth(turns, messages[messages["message_id"] != "m2"])
    assert column(found, "is_after_compaction") == [False, None]
    assert rows_of(
        mining.compactions(turns, messages[messages["message_id"] == "m1"]), "turn_index", "tokens_after"
    ) == [(None, None)]


def test_a_compaction_stands_between_the_turns_around_it() -> None:
    turns, messages = talk("turn 100", "turn 200", "boundary", "turn ?", "turn 50", "user")
    messages["created_at"] = pd.to_datetime(["2026-05-01"] * 6, utc=True).astype(messages["created_at"].dtype)
    assert rows_of(mining.compactions(turns, messages)) == [
        ("sessionlab", "s", "m2", "2026-05-01T00:00:00+00:00", 2, 200, 50, 0.75)
    ]


def test_compactions_at_the_ends_and_in_a_row_say_what_is_known() -> None:
    found = mining.compactions(*talk("boundary", "turn 100", "boundary", "boundary", "turn 150", "boundary"))
    assert rows_of(found, "message_id", "turn_index", "tokens_before", "tokens_after", "dropped_share") == [
        ("m0", 0, None, 100, None),
        ("m2", 1, 100, None, None),
        ("m3", 1, 100, 150, -0.5),
        ("m5", None, 150, None, None),
    ]


def test_compactions_do_not_reach_into_another_session() -> None:
    first, second = talk("turn 100", "boundary"), talk("turn 50", session_id="t")
    both = [pd.concat(pair, ignore_index=True) for pair in zip(first, second, strict=True)]
    assert rows_of(mining.compactions(*both), "turn_index", "tokens_before", "tokens_after") == [(None, 100, None)]
    assert column(mining.context_growth(*both), "is_after_compaction") == [False, False]


@given(st.lists(st.tuples(st.sampled_from("st"), st.none() | st.integers(0, 10**6), st.booleans()), max_size=30))
def test_what_was_added_adds_up_to_the_last_context(rows: list[tuple[str, int | None, bool]]) -> None:
    turns = frame("turns", *({"session_id": s, "input_tokens": n, "is_sidechain": beside} for s, n, beside in rows))
    found = mining.context_growth(turns)
    assert len(found) == sum(n is not None and not beside for _, n, beside in rows)
    for _, one in found.groupby("session_id"):
        assert one["context_tokens"].iloc[0] + one["added_tokens"].sum() == one["context_tokens"].iloc[-1]
        assert one["added_tokens"].isna().tolist() == [True] + [False] * (len(one) - 1)


def cached(*rows: tuple[int | None, int | None, int | None], **same: Any) -> pd.DataFrame:
    """Return turns written as (input, read, creation)."""
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return frame("turns", *({"response_model": "a", **dict(zip(names, row, strict=True)), **same} for row in rows))


def test_the_parts_of_the_input_add_up_and_shares_are_of_what_is_known() -> None:
    turns = cached((100, 0, 80), (200, 150, None), (50, None, None), (None, None, None), (0, 0, 0))
    found = mining.cache_economics(turns)
    names = ("turn", "unmeasured_turn")
    assert rows_of(found, *(f"{name}_count" for name in names)) == [(5, 1)]
    parts = ("input", "uncached", "cache_read", "cache_creation", "unknown_cache")
    assert rows_of(found, *(f"{part}_tokens" for part in parts)) == [(350, 70, 150, 80, 50)]
    assert rows_of(found, "read_share", "creation_share") == [(0.5, pytest.approx(80 / 300))]


def test_what_was_sent_before_and_not_read_from_the_cache_was_paid_again() -> None:
    # Sent before: 100 of 150, 90 read; then 150 of 300, all read; then 300 of 310, none read.
    turns = cached((100, 0, 100), (150, 90, 60), (300, 170, 0), (310, 0, 310))
    found = mining.cache_economics(turns)
    assert column(found, "paid_again_tokens") == [10 + 0 + 300]
    assert column(found, "paid_again_share") == [pytest.approx(310 / 860)]


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ({"input_tokens": 90}, "the context was cut"),
        ({"response_model": "b"}, "another model"),
        ({"session_id": "t"}, "another session"),
        ({"source": "codex"}, "another source"),
        ({"is_sidechain": True}, "beside the main line"),
        ({"cache_read_input_tokens": None}, "the cache is not known"),
        ({"input_tokens": None}, "the input is not known"),
        ({"response_model": None}, "the model is not known"),
    ],
)
def test_turns_that_cannot_be_compared_say_nothing_of_what_was_paid_again(second: dict[str, Any], why: str) -> None:
    row = {"response_model": "a", "input_tokens": 100, "cache_read_input_tokens": 0}
    found = mining.cache_economics(frame("turns", row, {**row, **second}))
    assert found["paid_again_tokens"].isna().all(), why


def test_two_unknown_models_are_not_known_to_be_the_same() -> None:
    row = {"input_tokens": 100, "cache_read_input_tokens": 0}
    assert column(mining.cache_economics(frame("turns", row, row)), "paid_again_tokens") == [None]


def test_turns_beside_do_not_stand_between_two_of_the_main_line() -> None:
    row = {"response_model": "a", "input_tokens": 100, "cache_read_input_tokens": 0}
    beside = {**row, "input_tokens": 5000, "is_sidechain": True}
    failed = {"response_model": "a", "error_type": "timeout"}
    found = mining.cache_economics(frame("turns", row, beside, failed, row))
    assert column(found, "paid_again_tokens") == [100]


def test_the_model_is_the_one_that_answered_or_else_was_asked_for() -> None:
    turns = frame(
        "turns",
        {"request_model": "asked", "response_model": "answered"},
        {"request_model": "asked"},
        {},
    )
    assert rows_of(mining.cache_economics(turns), "model", "turn_count") == [("answered", 1), ("asked", 1), (None, 1)]
    by_source = mining.cache_economics(turns, by="source")
    assert rows_of(by_source, "source", "turn_count") == [("sessionlab", 3)]


def test_costs_are_those_of_the_turns_by_token_type() -> None:
    turns = frame("turns", {"response_model": "a"}, {"response_model": "b"}, {"response_model": "c"})
    rows = [
        ("t0", "uncached_input", 10, 1.0),
        ("t0", "cache_read", 20, 0.5),
        ("t0", "output", 30, 64.0),
        ("t1", "uncached_input", 40, None),
        ("t1", "cache_creation", 50, 2.0),
        ("t9", "uncached_input", 60, 64.0),
        (None, "uncached_input", 70, 64.0),
    ]
    names = ("turn_id", "token_type", "tokens", "cost_usd")
    made: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
    total = {"session_id": "t", "token_type": "uncached_input", "tokens": 80, "cost_usd": 64.0}
    usage = frame("token_usage", *made, total)
    wanted = ("model", "uncached_cost_usd", "cache_read_cost_usd", "cache_creation_cost_usd", "unpriced_tokens")
    assert rows_of(mining.cache_economics(turns, usage), *wanted) == [
        ("a", 1.0, 0.5, None, 0),
        ("b", None, None, 2.0, 40),
        ("c", None, None, None, 0),
    ]
    assert rows_of(mining.cache_economics(turns), *wanted) == [(model, None, None, None, None) for model in "abc"]


@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 10**6), st.none() | st.floats(0, 1), st.none() | st.floats(0, 1)),
        max_size=20,
    )
)
def test_input_is_the_sum_of_its_four_parts(rows: list[tuple[int | None, float | None, float | None]]) -> None:
    made: list[tuple[int | None, int | None, int | None]] = []
    for total, read, creation in rows:
        part = None if total is None or read is None else int(total * read)
        rest = None if total is None or creation is None else int((total - (part or 0)) * creation)
        made.append((total, part, rest))
    found = mining.cache_economics(cached(*made))
    parts = ["uncached_tokens", "cache_read_tokens", "cache_creation_tokens", "unknown_cache_tokens"]
    assert found["input_tokens"].sum() == sum(total or 0 for total, *_ in made)
    assert found[parts].sum(axis=1).sum() == found["input_tokens"].sum()
    assert (found["paid_again_share"].dropna() <= 1).all()


def test_a_column_of_the_result_cannot_be_grouped_by() -> None:
    with pytest.raises(sessionlab.FrameError, match="cannot group by 'input_tokens'"):
        mining.cache_economics(cached((1, 1, 1)), by="input_tokens")
