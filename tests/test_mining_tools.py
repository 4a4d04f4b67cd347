"""Tools: how calls ended, what follows what, and where an agent repeats what fails."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mining_frames import column, frame, rows_of

import sessionlab
from sessionlab import mining


def calls(*rows: str | dict[str, Any]) -> pd.DataFrame:
    """Return calls written as `tool status`, each in a turn of its own."""
    made = []
    for number, row in enumerate(rows):
        written = dict(zip(("tool_name", "status"), row.split(), strict=True)) if isinstance(row, str) else row
        made.append({"turn_id": f"t{number}", **written})
    return frame("tool_calls", *made)


def test_each_way_to_end_is_counted_and_the_counts_add_up() -> None:
    found = mining.tool_reliability(
        calls(
            "bash ok",
            "bash ok",
            "edit ok",
            "bash error",
            "bash timeout",
            "bash denied",
            "bash cancelled",
            "bash unanswered",
            "bash suggested",
            {"tool_name": "bash", "status": None},
        )
    )
    assert column(found, "tool_name") == ["bash", "edit"]
    counts = [f"{name}_count" for name in ("call", "ok", "error", "denied", "cancelled", "unanswered", "suggested")]
    assert rows_of(found, *counts) == [(9, 2, 2, 1, 1, 2, 1), (1, 1, 0, 0, 0, 0, 0)]
    assert column(found, "error_rate") == [0.5, 0.0]


def test_the_error_rate_has_wilsons_interval_and_is_null_without_an_end() -> None:
    found = mining.tool_reliability(calls(*["bash error"] * 2, *["bash ok"] * 8, "fetch denied", "edit ok"))
    rates = {
        name: rest for name, *rest in rows_of(found, "tool_name", "error_rate", "error_rate_low", "error_rate_high")
    }
    # Wilson's 95% interval of 2 in 10 is 0.0567 to 0.5098; of 0 in 1 it is 0 to 0.7935.
    assert rates["bash"] == pytest.approx([0.2, 0.0567, 0.5098], abs=5e-5)
    assert rates["edit"] == pytest.approx([0.0, 0.0, 0.7935], abs=5e-5)
    assert rates["fetch"] == [None, None, None]


def test_durations_are_of_the_calls_that_have_one() -> None:
    rows = [{"tool_name": "bash", "status": "ok", "duration_s": seconds} for seconds in (1.0, 2.0, 3.0, 101.0, None)]
    found = mining.tool_reliability(calls(*rows, "edit ok"))
    assert column(found, "timed_count") == [4, 0]
    assert column(found, "duration_median_s") == [2.5, None]
    # The 95% point lies 0.95 x 3 = 2.85 steps up: 3 + 0.85 x 98.
    assert column(found, "duration_p95_s") == [pytest.approx(86.3), None]


def test_a_retry_follows_a_failure_of_the_same_tool_in_the_session() -> None:
    found = mining.tool_reliability(
        calls("bash error", "edit ok", "bash error", "bash ok", "bash ok", "edit denied", "edit ok", "bash timeout")
    )
    assert rows_of(found, "tool_name", "retry_count", "retry_ok_count") == [("bash", 2, 1), ("edit", 0, 0)]


def test_calls_of_one_turn_are_made_together_and_no_retries_of_each_other() -> None:
    rows = [
        {"tool_name": "bash", "status": status, "turn_id": turn}
        for status, turn in (("error", "t0"), ("ok", "t0"), ("error", "t1"), ("ok", "t2"))
    ]
    assert column(mining.tool_reliability(calls(*rows)), "retry_count") == [1]
    unknown = [{**row, "turn_id": None} for row in rows]
    assert column(mining.tool_reliability(calls(*unknown)), "retry_count") == [2]


def test_a_retry_does_not_reach_into_another_session_or_source() -> None:
    keys = [("sessionlab", "s"), ("sessionlab", "t"), ("codex", "s")]
    rows = [
        {"source": source, "session_id": session, "tool_name": "bash", "status": "error"} for source, session in keys
    ]
    assert column(mining.tool_reliability(calls(*rows)), "retry_count") == [0]


def test_tools_can_be_grouped_by_any_column_and_null_is_a_group() -> None:
    rows = [{"source": source, "tool_name": "bash", "status": "ok"} for source in ("codex", "goose", "codex")]
    assert rows_of(mining.tool_reliability(calls(*rows), "source"), "source", "call_count") == [
        ("codex", 2),
        ("goose", 1),
    ]
    codes = [{"tool_name": "bash", "status": "ok", "exit_code": code} for code in (None, 1, None)]
    found = mining.tool_reliability(calls(*codes), "exit_code")
    assert rows_of(found, "exit_code", "call_count") == [(None, 2), (1, 1)]
    assert str(found["exit_code"].dtype) == "Int64"
    with pytest.raises(sessionlab.FrameError, match="cannot group by 'call_count'"):
        mining.tool_reliability(calls("bash ok"), "call_count")


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["bash", "edit"]),
            st.sampled_from(["ok", "error", "timeout", "denied", "cancelled", "unanswered", "suggested"]),
            st.none() | st.floats(0, 1000),
        ),
        max_size=40,
    )
)
def test_the_counts_of_all_tools_add_up_to_all_calls(rows: list[tuple[str, str, float | None]]) -> None:
    made = [{"tool_name": tool, "status": status, "duration_s": seconds} for tool, status, seconds in rows]
    found = mining.tool_reliability(calls(*made))
    parts = ["ok_count", "error_count", "denied_count", "cancelled_count", "unanswered_count", "suggested_count"]
    assert found["call_count"].sum() == len(rows)
    assert (found[parts].sum(axis=1) == found["call_count"]).all()
    assert found["timed_count"].sum() == sum(seconds is not None for *_, seconds in rows)
    assert (found["retry_ok_count"] <= found["retry_count"]).all()
    rated = found.dropna(subset="error_rate")
    assert (rated["error_rate_low"] <= rated["error_rate"]).all()
    assert (rated["error_rate"] <= rated["error_rate_high"]).all()


def test_sequences_stay_inside_a_session_and_overlap() -> None:
    first = [{"tool_name": tool} for tool in ("grep", "edit", "bash", "edit", "bash")]
    second = [{"tool_name": tool, "session_id": "t"} for tool in ("edit", "bash")]
    third = [{"tool_name": "edit", "source": "codex"}]
    found = mining.tool_sequences(calls(*first, *second, *third))
    assert rows_of(found) == [
        ("edit → bash", 3, 2, pytest.approx(3 / 5)),
        ("bash → edit", 1, 1, pytest.approx(1 / 5)),
        ("grep → edit", 1, 1, pytest.approx(1 / 5)),
    ]
    assert column(mining.tool_sequences(calls(*first, *second), length=3), "sequence") == [
        "bash → edit → bash",
        "edit → bash → edit",
        "grep → edit → bash",
    ]
    assert rows_of(mining.tool_sequences(calls(*first), limit=1)) == [("edit → bash", 2, 1, 0.5)]
    assert column(mining.tool_sequences(calls(*first, *second, *third), length=1), "count") == [4, 3, 1]
    assert len(mining.tool_sequences(calls(*first), length=6)) == 0


def test_the_order_is_that_of_the_calls_and_not_of_the_rows() -> None:
    rows = calls({"tool_name": "b", "tool_call_index": 1}, {"tool_name": "a", "tool_call_index": 0})
    assert column(mining.tool_sequences(rows), "sequence") == ["a → b"]


def test_a_tool_without_a_name_breaks_a_sequence() -> None:
    rows = [{"tool_name": tool} for tool in ("a", None, "a", "a")]
    assert rows_of(
        mining.tool_sequences(calls(*rows)),
    ) == [("a → a", 1, 1, 1.0)]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("st"), st.sampled_from("ab")), max_size=30), st.integers(1, 4))
def test_the_shares_of_all_sequences_add_up_to_one(rows: list[tuple[str, str]], length: int) -> None:
    made = calls(*({"session_id": session, "tool_name": tool} for session, tool in rows))
    found = mining.tool_sequences(made, length=length)
    possible = sum(max(sum(s == session for s, _ in rows) - length + 1, 0) for session in "st")
    assert found["count"].sum() == possible
    assert found["share"].sum() == pytest.approx(1.0 if possible else 0.0)
    assert (found["session_count"] <= found["count"]).all()


def failing(*arguments: str | None, **same: Any) -> list[dict[str, Any]]:
    return [{"tool_name": "bash", "status": "error", "arguments": text, **same} for text in arguments]


def test_a_loop_is_the_same_failing_call_again_and_again() -> None:
    start = "2026-05-01T12:00:0"
    rows = failing("x", "x", "x")
    for number, (row, seconds) in enumerate(zip(rows, (1.5, 0.5, None), strict=True)):
        row |= {"started_at": f"{start}{number * 2}Z", "duration_s": seconds, "result": f"no {number}"}
    rows[1]["status"] = "timeout"
    found = mining.tool_loops(calls("bash ok", *rows, "bash ok"))
    assert rows_of(found) == [
        # From 12:00:00 to 12:00:02.5; the end of the last is not known.
        ("sessionlab", "s", "bash", "x", 3, 1, "2026-05-01T12:00:00+00:00", 2.5, "no 2")
    ]


def test_something_else_in_between_ends_a_loop() -> None:
    other = {"tool_name": "edit", "status": "error", "arguments": "x"}
    fine = {"tool_name": "bash", "status": "ok", "arguments": "x"}
    for between in (other, fine, *failing("y"), {**fine, "status": "denied"}):
        assert len(mining.tool_loops(calls(*failing("x", "x"), between, *failing("x", "x")))) == 0
        found = mining.tool_loops(calls(*failing("x", "x"), between, *failing("x", "x")), at_least=2)
        assert column(found, "tool_call_index") == [0, 3]


def test_loops_end_with_their_session_and_the_longest_comes_first() -> None:
    rows = [
        *failing("x", "x"),
        *failing("x", "x", "x", session_id="t"),
        *failing("x", "x", source="codex"),
    ]
    found = mining.tool_loops(calls(*rows), at_least=2)
    assert rows_of(found, "source", "session_id", "call_count") == [
        ("sessionlab", "t", 3),
        ("codex", "s", 2),
        ("sessionlab", "s", 2),
    ]
    assert column(found, "duration_s") == [None, None, None]
    assert column(found, "started_at") == [None, None, None]


def test_unknown_arguments_are_not_known_to_be_the_same() -> None:
    assert len(mining.tool_loops(calls(*failing(None, None, None)))) == 0


@pytest.mark.parametrize("value", [1, 0, True, 2.5, "3", None])
def test_a_loop_has_at_least_two_calls(value: Any) -> None:
    with pytest.raises(sessionlab.FrameError, match="expected a whole number of 2 or more"):
        mining.tool_loops(calls("bash ok"), at_least=value)


@pytest.mark.parametrize(
    ("options", "said"), [({"length": 0}, "length=0"), ({"limit": 0}, "limit=0"), ({"limit": "x"}, "or None")]
)
def test_lengths_and_limits_are_whole_numbers(options: dict[str, Any], said: str) -> None:
    with pytest.raises(sessionlab.FrameError, match=said):
        mining.tool_sequences(calls("bash ok"), **options)
