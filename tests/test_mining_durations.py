"""Where the time of sessions goes, and the timeline of one."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mining_frames import column, frame, rows_of

import sessionlab
from sessionlab import mining

PARTS = ["model_s", "tools_s", "waiting_s", "idle_s", "other_s"]
START = pd.Timestamp("2026-05-01T12:00Z")


def at(seconds: float | None) -> str | None:
    """Return the time so many seconds after the start, as text."""
    return None if seconds is None else (START + pd.Timedelta(seconds=seconds)).isoformat()


def rows(name: str, spans: Any, **same: Any) -> pd.DataFrame:
    """Return turns or calls written as (start, duration)."""
    return frame(name, *({"started_at": at(start), "duration_s": seconds, **same} for start, seconds in spans))


def messages(*written: tuple[str, float | None], **same: Any) -> pd.DataFrame:
    """Return messages written as (role or kind, time); a kind is a note to nobody."""
    made = []
    for word, time in written:
        role = word if word in ("user", "assistant", "tool") else "system"
        made.append({"role": role, "kind": "message" if role == word else word, "created_at": at(time), **same})
    return frame("messages", *made)


def spent(turns: Any, calls: Any, said: pd.DataFrame, **options: Any) -> dict[str, Any]:
    """Return the one row of time_spent."""
    found = mining.time_spent(rows("turns", turns), rows("tool_calls", calls), said, **options)
    (values,) = rows_of(found)
    return dict(zip(found.columns, values, strict=True))


def test_the_time_of_a_session_falls_into_parts_that_add_up() -> None:
    # 0 prompt, 1-5 model, 5-8 tool, 10-12 model, 20 prompt, 21-24 model, 2024 prompt, 2025-2026 model.
    found = spent(
        [(1, 4.0), (10, 2.0), (21, 3.0), (2025, 1.0)],
        [(5, 3.0)],
        messages(("user", 0), ("assistant", 5), ("assistant", 12), ("user", 20), ("assistant", 24), ("user", 2024)),
    )
    assert found == {
        "source": "sessionlab",
        "session_id": "s",
        "started_at": "2026-05-01T12:00:00+00:00",
        "model_s": 10.0,
        "tools_s": 3.0,
        "waiting_s": 8.0,
        "idle_s": 2000.0,
        "other_s": 5.0,
        "total_s": 2026.0,
        "untimed_count": 0,
    }


def test_a_wait_is_idle_as_a_whole_once_it_is_longer_than_asked() -> None:
    said = messages(("user", 0), ("assistant", 10), ("user", 910))
    assert [spent([], [], said)[part] for part in ("waiting_s", "idle_s")] == [900.0, 0.0]
    assert [spent([], [], said, idle_after_s=899.9)[part] for part in ("waiting_s", "idle_s")] == [0.0, 900.0]
    assert [spent([], [], said, idle_after_s=0)[part] for part in ("waiting_s", "idle_s")] == [0.0, 900.0]


def test_parallel_calls_and_tools_beside_a_model_count_once() -> None:
    # Tools 10-14, 11-13 and 13-16 cover 6 s; the model 8-12 and 15-20 has 2 + 4 s of its own.
    found = spent([(8, 4.0), (15, 5.0)], [(10, 4.0), (11, 2.0), (13, 3.0)], messages(("user", 8)))
    assert [found[part] for part in [*PARTS, "total_s"]] == [6.0, 6.0, 0.0, 0.0, 0.0, 12.0]


def test_work_that_begins_in_the_moment_of_a_prompt_comes_after_it() -> None:
    found = spent([(10, 5.0)], [], messages(("user", 0), ("assistant", 4), ("user", 10)))
    assert [found[part] for part in PARTS] == [5.0, 0.0, 6.0, 0.0, 4.0]


def test_a_prompt_given_while_the_agent_works_ends_no_wait() -> None:
    found = spent([(1, 10.0)], [], messages(("user", 0), ("user", 5), ("assistant", 11), ("user", 15)))
    assert [found[part] for part in PARTS] == [10.0, 0.0, 4.0, 0.0, 1.0]


def test_a_subagent_still_at_work_keeps_the_agent_from_waiting() -> None:
    turns = frame(
        "turns",
        {"started_at": at(1), "duration_s": 1.0},
        {"started_at": at(2), "duration_s": 18.0, "is_sidechain": True},
    )
    found = mining.time_spent(turns, frame("tool_calls"), messages(("user", 0), ("assistant", 2), ("user", 25)))
    assert rows_of(found, *PARTS) == [(19.0, 0.0, 5.0, 0.0, 1.0)]


def test_a_prompt_to_a_subagent_and_a_note_end_no_wait() -> None:
    main = messages(("user", 0), ("assistant", 10), ("note", 20), ("boundary", 30), ("user", 40))
    assert spent([], [], main)["waiting_s"] == 30.0
    beside = frame(
        "messages",
        {"role": "user", "kind": "message", "created_at": at(0)},
        {"role": "assistant", "kind": "message", "created_at": at(10)},
        {"role": "user", "kind": "message", "created_at": at(20), "is_sidechain": True},
        {"role": "user", "kind": "out_of_band", "created_at": at(30)},
    )
    assert spent([], [], beside)["waiting_s"] == 0.0


def test_after_a_prompt_without_an_answer_nobody_knows_who_waited() -> None:
    found = spent([], [], messages(("user", 0), ("user", 50), ("assistant", 60), ("user", 61)))
    assert [found[part] for part in PARTS] == [0.0, 0.0, 1.0, 0.0, 60.0]


def test_a_part_of_which_nothing_is_known_is_null_and_stands_in_the_rest() -> None:
    found = spent([(1, None), (3, None)], [(2, None)], frame("messages"))
    assert [found[part] for part in PARTS] == [None, None, None, None, 2.0]
    assert (found["total_s"], found["untimed_count"]) == (2.0, 3)
    half = spent([(1, None), (3, 2.0)], [], frame("messages"))
    assert [half[part] for part in PARTS] == [2.0, 0.0, None, None, 2.0]
    assert half["untimed_count"] == 1


def test_sessions_are_apart_and_those_without_times_left_out_with_a_warning() -> None:
    turns = frame(
        "turns",
        {"started_at": at(0), "duration_s": 4.0},
        {"source": "codex", "started_at": at(1), "duration_s": 2.0},
        {"session_id": "t", "duration_s": 2.0},
    )
    with pytest.warns(sessionlab.SessionLabWarning, match="^2 turns, tool calls and messages without a time") as caught:
        found = mining.time_spent(turns, frame("tool_calls"), messages(("user", None)))
    assert len(caught) == 1
    assert rows_of(found, "source", "session_id", "total_s") == [("codex", "s", 2.0), ("sessionlab", "s", 4.0)]


def test_a_day_on_which_the_clocks_change_is_no_longer_or_shorter() -> None:
    turns = frame("turns", {"started_at": "2026-03-29T00:30Z", "duration_s": 7200.0})
    assert column(mining.time_spent(turns, frame("tool_calls"), frame("messages")), "total_s") == [7200.0]


@pytest.mark.parametrize("value", [-1, True, "900", float("nan"), None])
def test_idle_begins_after_a_number_of_seconds(value: Any) -> None:
    with pytest.raises(sessionlab.FrameError, match="expected a number of 0 or more"):
        mining.time_spent(frame("turns"), frame("tool_calls"), frame("messages"), idle_after_s=value)


spans = st.lists(
    st.tuples(st.sampled_from("st"), st.integers(0, 50), st.none() | st.integers(0, 20), st.booleans()), max_size=12
)


@settings(max_examples=50)
@given(
    spans,
    spans,
    st.lists(st.tuples(st.sampled_from("st"), st.sampled_from(["user", "assistant"]), st.integers(0, 80)), max_size=12),
)
def test_parts_add_up_and_are_what_a_count_second_by_second_gives(turns: Any, calls: Any, said: Any) -> None:
    asked = frame(
        "turns",
        *(
            {"session_id": session, "started_at": at(start), "duration_s": seconds, "is_sidechain": beside}
            for session, start, seconds, beside in turns
        ),
    )
    called = frame(
        "tool_calls",
        *({"session_id": s, "started_at": at(start), "duration_s": seconds} for s, start, seconds, _ in calls),
    )
    talk = frame(
        "messages",
        *({"session_id": s, "role": role, "kind": "message", "created_at": at(time)} for s, role, time in said),
    )
    found = mining.time_spent(asked, called, talk, idle_after_s=10)
    assert found[PARTS].sum(axis=1).tolist() == pytest.approx(found["total_s"].tolist())
    assert (found[PARTS].fillna(0) >= 0).all().all()
    for session, *parts in rows_of(found, "session_id", "model_s", "tools_s"):
        in_model, in_tools = (
            {
                second
                for s, start, seconds, _ in written
                if s == session
                for second in range(start, start + (seconds or 0))
            }
            for written in (turns, calls)
        )
        assert [part or 0.0 for part in parts] == [len(in_model - in_tools), len(in_tools)]


def test_a_timeline_has_a_lane_for_each_who_acts() -> None:
    turns = frame(
        "turns",
        {"started_at": at(1), "duration_s": 2.0, "response_model": "m", "request_model": "asked"},
        {"started_at": at(4), "duration_s": 1.0, "request_model": "asked", "is_sidechain": True},
        {"started_at": at(9), "error_type": "timeout", "response_model": "m"},
    )
    calls = frame(
        "tool_calls",
        {"turn_id": "t0", "tool_name": "bash", "started_at": at(3), "duration_s": 0.5, "is_error": True},
        {"turn_id": "t1", "tool_name": "grep", "started_at": at(5), "is_error": False},
        {"turn_id": "t8", "tool_name": "edit", "started_at": at(9)},
    )
    said = frame(
        "messages",
        {"role": "user", "kind": "message", "created_at": at(0), "content": "Do it."},
        {"role": "user", "kind": "context", "created_at": at(0), "content": "the tree"},
        {"role": "user", "kind": "message", "created_at": at(4), "content": "a task", "is_sidechain": True},
        {"role": "assistant", "kind": "message", "created_at": at(3), "content": "Done."},
        {"role": "user", "kind": "message", "created_at": at(9), "content": "Thanks."},
    )

    def clock(second: float) -> str:
        return str(at(second))

    found = mining.timeline(turns, calls, said)
    assert rows_of(found) == [
        ("prompt", "Do it.", clock(0), None, None, None, None),
        ("model", "m", clock(1), clock(3), 2.0, False, 0),
        ("tools", "bash", clock(3), clock(3.5), 0.5, True, 0),
        ("subagents", "asked", clock(4), clock(5), 1.0, False, 1),
        ("subagents", "grep", clock(5), None, None, False, 1),
        ("prompt", "Thanks.", clock(9), None, None, None, None),
        ("model", "m", clock(9), None, None, True, 2),
        ("tools", "edit", clock(9), None, None, None, None),
    ]
    without = mining.timeline(turns, calls)
    assert column(without, "lane") == [lane for lane in column(found, "lane") if lane != "prompt"]


def test_a_timeline_is_of_one_session() -> None:
    turns, calls = rows("turns", [(0, 1.0)]), rows("tool_calls", [(0, 1.0)], source="codex")
    with pytest.raises(sessionlab.FrameError, match=r"got rows of 2 sessions .* session_id=…"):
        mining.timeline(turns, calls)
    assert len(mining.timeline(turns, rows("tool_calls", [(0, 1.0)]))) == 2


def test_a_timeline_says_what_it_leaves_out() -> None:
    with pytest.warns(sessionlab.SessionLabWarning, match="^2 prompts, turns and tool calls without a time"):
        found = mining.timeline(rows("turns", [(None, 1.0), (3, 1.0)]), frame("tool_calls"), messages(("user", None)))
    assert column(found, "duration_s") == [1.0]
