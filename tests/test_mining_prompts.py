"""Prompts that come again, and what cost most."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mining_frames import column, frame, rows_of

import sessionlab
from sessionlab import mining


def asked(*prompts: str | None, **same: Any) -> list[dict[str, Any]]:
    """Return turns of one exchange each."""
    return [{"exchange_index": number, "prompt": text, **same} for number, text in enumerate(prompts)]


def test_prompts_that_differ_in_case_and_blanks_alone_are_the_same() -> None:
    rows = asked("  Go\n on. ", "go on.", "Go on!", "GO\u00a0\tON.", "Why?", None, "", " \n", "")
    for day, row in enumerate(rows, start=1):
        row["started_at"] = f"2026-05-0{day}"
    found = mining.repeated_prompts(frame("turns", *rows))
    assert rows_of(found) == [("  Go\n on. ", 3, 1, "2026-05-01T00:00:00+00:00", "2026-05-04T00:00:00+00:00", None, 3)]
    assert column(mining.repeated_prompts(frame("turns", *rows), at_least=1), "count") == [3, 1, 1]
    assert column(mining.repeated_prompts(frame("turns", *rows), at_least=1, limit=2), "prompt")[1:] == ["Go on!"]


def test_an_exchange_counts_once_and_costs_what_all_its_turns_cost() -> None:
    turns = frame(
        "turns",
        {"exchange_index": 0, "prompt": "Go on.", "cost_usd": 1.0, "started_at": "2026-05-03"},
        {"exchange_index": 0, "prompt": "Go on.", "cost_usd": 2.0, "started_at": "2026-05-04"},
        {"exchange_index": 0, "prompt": "Go on.", "is_sidechain": True, "cost_usd": 0.5},
        {"exchange_index": 1, "prompt": "Stop.", "cost_usd": 64.0},
        {"exchange_index": 0, "prompt": "go on.", "session_id": "t", "started_at": "2026-05-01"},
        {"exchange_index": 0, "prompt": "Go On.", "source": "codex", "cost_usd": 4.0},
        {"exchange_index": None, "prompt": "Go on.", "cost_usd": 64.0},
    )
    assert rows_of(mining.repeated_prompts(turns)) == [
        ("go on.", 3, 3, "2026-05-01T00:00:00+00:00", "2026-05-03T00:00:00+00:00", 7.5, 1)
    ]


def test_prompts_that_only_a_subagent_got_do_not_count() -> None:
    rows = [*asked("Look.", "Look.", is_sidechain=True), *asked("Look.", session_id="t")]
    assert len(mining.repeated_prompts(frame("turns", *rows))) == 0


def test_the_most_frequent_prompt_comes_first_and_then_the_earliest() -> None:
    rows = asked("c", "b", "b", "a", "a", "c", "d", "d", "d")
    for day, row in enumerate(rows, start=1):
        row["started_at"] = f"2026-05-0{day}"
    found = mining.repeated_prompts(frame("turns", *rows))
    assert rows_of(found, "prompt", "count") == [("d", 3), ("c", 2), ("b", 2), ("a", 2)]
    assert column(mining.repeated_prompts(frame("turns", *rows), limit=2), "prompt") == ["d", "c"]


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from("st"), st.integers(0, 5), st.sampled_from(["a", "A ", "b", "  B"])), max_size=30)
)
def test_all_exchanges_are_counted_once(rows: list[tuple[str, int, str]]) -> None:
    prompts = {(session, index): text for session, index, text in reversed(rows)}
    turns = frame(
        "turns",
        *({"session_id": s, "exchange_index": i, "prompt": prompts[s, i], "cost_usd": 1.0} for s, i, _ in rows),
    )
    found = mining.repeated_prompts(turns, at_least=1)
    assert found["count"].sum() == len(prompts)
    assert found["cost_usd"].sum() == len(rows)
    assert len(found) == len({text.strip().lower() for text in prompts.values()})


def sessions(*costs: tuple[str, float | None], **same: Any) -> pd.DataFrame:
    return frame(
        "sessions", *({"session_id": key, "name": key.upper(), "cost_usd": cost, **same} for key, cost in costs)
    )


def test_the_most_expensive_sessions_come_with_their_most_expensive_turns() -> None:
    turns = frame(
        "turns",
        {"session_id": "b", "cost_usd": 1.0, "prompt": "cheap", "request_model": "asked"},
        {"session_id": "b", "cost_usd": 4.0, "prompt": "dear", "response_model": "m", "request_model": "asked"},
        {"session_id": "b", "cost_usd": 2.0, "prompt": "middle"},
        {"session_id": "b"},
        {"session_id": "a", "cost_usd": 64.0, "source": "codex"},
        {"session_id": "d", "cost_usd": 1.0},
    )
    table = sessions(("a", 2.0), ("b", 8.0), ("c", None), ("d", 0.0))
    found = mining.expensive_sessions(table, turns, turns_each=2)
    assert rows_of(found) == [
        (1, "sessionlab", "b", "B", 8.0, 0.8, 1, "t1", 1, "dear", "m", 4.0, 0.5),
        (1, "sessionlab", "b", "B", 8.0, 0.8, 2, "t2", 2, "middle", None, 2.0, 0.25),
        (2, "sessionlab", "a", "A", 2.0, 0.2, None, None, None, None, None, None, None),
        (3, "sessionlab", "d", "D", 0.0, 0.0, 1, "t0", 0, None, None, 1.0, None),
    ]
    assert column(mining.expensive_sessions(table, turns, limit=1, turns_each=9), "turn_cost_usd") == [4.0, 2.0, 1.0]


def test_sessions_of_the_same_cost_come_by_source_and_id() -> None:
    table = pd.concat([sessions(("b", 1.0), ("a", 1.0)), sessions(("b", 1.0), source="codex")], ignore_index=True)
    found = mining.expensive_sessions(table, frame("turns"))
    assert rows_of(found, "rank", "source", "session_id") == [
        (1, "codex", "b"),
        (2, "sessionlab", "a"),
        (3, "sessionlab", "b"),
    ]


def test_without_any_known_cost_there_are_no_expensive_sessions() -> None:
    assert (
        len(mining.expensive_sessions(sessions(("a", None)), frame("turns", {"session_id": "a", "cost_usd": 1.0}))) == 0
    )
    free = mining.expensive_sessions(sessions(("a", 0.0)), frame("turns"))
    assert rows_of(free, "session_cost_usd", "session_share") == [(0.0, None)]


@settings(max_examples=50)
@given(st.lists(st.none() | st.floats(0, 100), max_size=20), st.integers(1, 30))
def test_the_shares_of_all_sessions_add_up_to_one(costs: list[float | None], limit: int) -> None:
    table = sessions(*((f"s{number}", cost) for number, cost in enumerate(costs)))
    found = mining.expensive_sessions(table, frame("turns"), limit=limit)
    known = sorted((cost for cost in costs if cost is not None), reverse=True)
    assert column(found, "session_cost_usd") == known[:limit]
    if sum(known) > 0:
        assert found["session_share"].sum() == pytest.approx(sum(known[:limit]) / sum(known))


@pytest.mark.parametrize(
    ("function", "options"),
    [
        ("repeated_prompts", {"at_least": 0}),
        ("repeated_prompts", {"limit": -1}),
        ("expensive_sessions", {"limit": None}),
        ("expensive_sessions", {"turns_each": 0}),
    ],
)
def test_limits_are_whole_numbers_of_one_or_more(function: str, options: dict[str, Any]) -> None:
    given = [frame("turns")] if function == "repeated_prompts" else [frame("sessions"), frame("turns")]
    with pytest.raises(sessionlab.FrameError, match="expected a whole number of 1 or more"):
        getattr(mining, function)(*given, **options)
