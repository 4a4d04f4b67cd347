"""Claude Code: responses over several lines, copies of them in resumed and forked sessions, subagents, odd lines."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from genai_prices import Usage, calc_price
from opened import frame, problems

import sessionlab
from sessionlab.sources import all_sources
from sessionlab.sources.claude_code import SOURCE, default_paths, recognises_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from invented_claude_code import Expected

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAMPLE = os.path.join(ROOT, "sample_data", "claude_code")
SETTLED = 1_700_000_000  # what was written just now is read again each time
FIRST, SECOND, THIRD = (f"0b8f2d5e-8a54-4f0e-9d1c-00000000000{n}" for n in (1, 2, 3))
SONNET = "claude-sonnet-4-5-20250929"
START = datetime(2026, 5, 1, 10, 0, tzinfo=UTC)
Line = dict[str, Any]


def moment(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def line(kind: str, uuid: str | None, parent: str | None = None, /, **more: Any) -> Line:
    """Return a line of the chain; its time comes from the number in its uuid."""
    number = float("".join(letter for letter in uuid or "" if letter.isdigit()) or 0)
    made: Line = {"parentUuid": parent, "isSidechain": False, "type": kind, "uuid": uuid, "cwd": "/home/ada/harbor"}
    return made | {"timestamp": moment(number), "version": "2.1.220", "gitBranch": "main"} | more


def user(uuid: str, content: Any = "q", parent: str | None = None, /, **more: Any) -> Line:
    return line("user", uuid, parent, message={"role": "user", "content": content}, **more)


def text(said: str) -> Line:
    return {"type": "text", "text": said}


def use(call_id: str = "t1", name: str = "Bash", **values: Any) -> Line:
    return {"type": "tool_use", "id": call_id, "name": name, "input": values}


def answer(call_id: str = "t1", content: Any = "done", **more: Any) -> Line:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


def said(uuid: str, message_id: str = "m1", *blocks: Any, parent: str | None = None, **more: Any) -> Line:
    """Return a line of a response; the counts are `output` and what `usage` says."""
    usage = {"input_tokens": 3, "output_tokens": more.pop("output", 5)} | more.pop("usage", {})
    message = {
        "id": message_id,
        "model": more.pop("model", SONNET),
        "role": "assistant",
        "content": list(blocks) or [text("a")],
        "stop_reason": more.pop("stop", "end_turn"),
        "usage": usage,
    }
    request_id = more.pop("request", f"req {message_id}")
    given = {} if request_id is None else {"requestId": request_id}
    return line("assistant", uuid, parent, message=message, **given, **more)


def write(path: str, *lines: Line | str, session_id: str = FIRST) -> str:
    """Write a file of these lines and return its path."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        for one in lines:
            file.write(one if isinstance(one, str) else json.dumps({"sessionId": session_id} | one))
            file.write("\n")
    os.utime(path, (SETTLED, SETTLED))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "projects" / "-home-ada-harbor")


@pytest.fixture
def path(folder: str) -> str:
    return os.path.join(folder, f"{FIRST}.jsonl")


def rows(path: str, name: str, *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of a frame, row by row, with None for what was not reported."""
    found = frame(path, name)[list(columns)].astype(object)
    return [tuple(None if not isinstance(v, list) and pd.isna(v) else v for v in row) for row in found.to_numpy()]


# The sample


@pytest.fixture
def expected(maker: Any) -> Mapping[str, Expected]:
    told: Mapping[str, Expected] = maker.expected()
    return told


def whole(count: Any) -> int:
    return 0 if pd.isna(count) else int(count)


def test_every_session_of_the_sample_has_the_turns_tokens_calls_and_prompts_that_were_told(
    expected: Mapping[str, Expected],
) -> None:
    sessions = frame(SAMPLE, "sessions").set_index("origin")
    turns, calls, messages = (frame(SAMPLE, name) for name in ("turns", "tool_calls", "messages"))
    for name, told in expected.items():
        origin = os.path.join(SAMPLE, name)
        if os.path.getsize(origin) == 0:
            assert origin not in sessions.index
            continue
        session = sessions.loc[origin]
        own = turns[turns.session_id == session.session_id]
        own_calls = calls[(calls.session_id == session.session_id) & (calls.tool_name != "web_search")]
        said = messages[(messages.session_id == session.session_id) & messages.message_id.notna()]
        prompts = said[(said.role == "user") & (said.kind == "message") & (told.sidechain_turns == 0)].content.tolist()
        found = {
            "turns": len(own),
            "sidechain_turns": int(own.is_sidechain.sum()),
            "partial_turns": int((own.usage_quality == "partial").sum()),
            "tool_calls": len(own_calls),
            "unanswered_calls": int((own_calls.status == "unanswered").sum()),
            "input_tokens": whole(session.input_tokens),
            "output_tokens": whole(session.output_tokens),
            "cache_read_input_tokens": whole(session.cache_read_input_tokens),
            "cache_creation_input_tokens": whole(session.cache_creation_input_tokens),
            "models": set(session.models or ()),
        }
        assert found == {key: getattr(told, key) for key in found} | {"models": set(told.models)}, name
        if told.reported_cost_usd is None:
            assert pd.isna(session.reported_cost_usd), name
        else:
            assert session.reported_cost_usd == pytest.approx(told.reported_cost_usd)
        if told.sidechain_turns == 0:
            # What an editor or a picture adds to a prompt stays in its text.
            assert len(prompts) == len(told.prompts), name
            assert all(asked in prompt for asked, prompt in zip(told.prompts, prompts, strict=True)), name


def test_tokens_written_to_the_cache_for_an_hour_cost_what_an_hour_costs(expected: Mapping[str, Expected]) -> None:
    sessions = frame(SAMPLE, "sessions").set_index("origin")
    compared = 0
    for name, told in expected.items():
        # Prices are linear, so those of one model add up.
        if len(told.models) != 1 or not told.models[0].startswith("claude") or told.reported_cost_usd is not None:
            continue
        session = sessions.loc[os.path.join(SAMPLE, name)]
        used = Usage(
            input_tokens=told.input_tokens,
            output_tokens=told.output_tokens,
            cache_read_tokens=told.cache_read_input_tokens,
            cache_write_tokens=told.cache_creation_input_tokens,
            cache_write_1h_tokens=told.ephemeral_1h_input_tokens,
        )
        started_at: Any = session.started_at
        try:
            price = calc_price(used, told.models[0], provider_id="anthropic", genai_request_timestamp=started_at)
        except LookupError:
            continue
        if told.story != "background":  # by way of Bedrock
            assert session.cost_usd == pytest.approx(float(price.total_price)), name
            compared += told.ephemeral_1h_input_tokens > 0
    assert compared > 5


def test_the_quick_way_to_the_tokens_gives_what_the_turns_give() -> None:
    with sessionlab.open(SAMPLE) as quick:
        first = quick.frame("token_usage")
        quick.frame("turns")
        assert quick.frame("token_usage").equals(first)
        assert first.tokens.sum() == quick.frame("sessions")[["input_tokens", "output_tokens"]].sum().sum()


def test_the_keys_and_links_of_the_sample_hold() -> None:
    sessions, turns = frame(SAMPLE, "sessions"), frame(SAMPLE, "turns")
    messages, calls = frame(SAMPLE, "messages"), frame(SAMPLE, "tool_calls")
    assert set(sessions.parent_session_id.dropna()) <= set(sessions.session_id)
    assert set(messages.parent_message_id.dropna()) <= set(messages.message_id)
    assert not messages.duplicated(["session_id", "message_id"]).any()
    assert not turns.duplicated(["session_id", "turn_id"]).any()
    # The message of a response is the response.
    said = messages[(messages.role == "assistant") & (messages.kind == "message")].reset_index(drop=True)
    assert said.turn_id.tolist() == turns.turn_id.tolist()
    assert said.content.fillna("").tolist() == turns.response.fillna("").tolist()
    assert set(calls.turn_id) <= set(turns.turn_id)


# Responses


def test_the_lines_of_a_response_are_one_turn_with_the_largest_count(path: str) -> None:
    write(
        path,
        user("u1"),
        said("a2", "m1", {"type": "thinking", "thinking": "hm"}, output=1, stop=None, parent="u1"),
        said("a3", "m1", text("one"), output=40, stop=None, parent="a2"),
        said("a4", "m1", text("two"), output=31, stop=None, parent="a3"),
        said("a5", "m1", use("t1", cmd="ls"), output=96, stop="tool_use", parent="a4"),
        said("a6", "m1", use("t2"), output=2, stop=None, parent="a5"),
    )
    columns = ("output_tokens", "input_tokens", "finish_reason", "usage_quality", "response", "reasoning")
    assert rows(path, "turns", *columns) == [(96, 3, "tool_call", "final", "one\n\ntwo", "hm")]
    assert rows(path, "messages", "role", "content") == [("user", "q"), ("assistant", "one\n\ntwo")]
    assert rows(path, "tool_calls", "tool_call_id", "tool_name", "arguments", "status") == [
        ("t1", "Bash", '{"cmd":"ls"}', "unanswered"),
        ("t2", "Bash", "{}", "unanswered"),
    ]


def test_a_turn_begins_with_its_first_line_and_knows_its_prompt(path: str) -> None:
    write(
        path,
        user("u1", "first"),
        said("a2", "m1", parent="u1"),
        user("u3", "second", "a2"),
        said("a4", "m2", parent="u3"),
        said("a5", "m2", parent="a4", output=9),
    )
    turns = frame(path, "turns")
    assert turns.prompt.tolist() == ["first", "second"]
    assert turns.exchange_index.tolist() == [0, 1]
    assert turns.turn_index.tolist() == [0, 1]
    assert turns.started_at.tolist() == [START + timedelta(seconds=2), START + timedelta(seconds=4)]


def test_one_message_id_under_two_requests_is_two_turns(path: str) -> None:
    write(path, user("u1"), said("a2", "m1", request="r1"), said("a3", "m1", request="r2"))
    assert rows(path, "turns", "output_tokens") == [(5,), (5,)]
    assert frame(path, "turns").turn_id.is_unique


def test_without_request_ids_the_message_id_alone_tells_responses_apart(path: str) -> None:
    write(
        path,
        said("a1", "m1", request=None, output=1),
        said("a2", "m1", request=None, output=7),
        said("a3", "m2", request=None, output=3),
    )
    assert rows(path, "turns", "output_tokens") == [(7,), (3,)]


def test_a_line_without_a_request_id_is_of_the_response_that_has_one(path: str) -> None:
    write(path, said("a1", "m1", request=None, output=1), said("a2", "m1", request="r1", output=7))
    assert rows(path, "turns", "output_tokens") == [(7,)]


def test_a_line_without_ids_is_a_response_of_its_own(path: str) -> None:
    lines = [said(f"a{n}", "m", request=None, output=n) for n in (1, 2)]
    for one in lines:
        del one["message"]["id"]
    write(path, *lines)
    assert rows(path, "turns", "output_tokens") == [(1,), (2,)]


def test_a_response_without_a_stop_reason_is_partial_and_one_without_counts_is_missing(path: str) -> None:
    bare = said("a3", "m3")
    del bare["message"]["usage"]
    write(path, said("a1", "m1"), said("a2", "m2", stop=None, output=1), bare)
    assert rows(path, "turns", "usage_quality", "output_tokens") == [("final", 5), ("partial", 1), ("missing", None)]


def test_input_holds_what_came_from_the_cache_and_what_went_there(path: str) -> None:
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 200,
        "cache_read_input_tokens": 3000,
        "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 150},
    }
    write(path, said("a1", "m1", usage=usage))
    columns = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "reasoning_output_tokens")
    assert rows(path, "turns", *columns) == [(3210, 3000, 200, None)]
    assert dict(rows(path, "token_usage", "token_type", "tokens")) == {
        "uncached_input": 10,
        "cache_read": 3000,
        "cache_creation": 200,
        "output": 5,
    }
    used = Usage(
        input_tokens=3210,
        output_tokens=5,
        cache_read_tokens=3000,
        cache_write_tokens=200,
        cache_write_1h_tokens=150,
    )
    price = calc_price(used, SONNET, provider_id="anthropic", genai_request_timestamp=START).total_price
    assert frame(path, "turns").cost_usd[0] == pytest.approx(float(price))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_call"),
        ("refusal", "content_filter"),
        ("pause_turn", None),
        (None, None),
    ],
)
def test_reasons_to_stop_have_one_spelling_and_keep_their_own(path: str, raw: str | None, reason: str | None) -> None:
    write(path, said("a1", stop=raw))
    assert rows(path, "turns", "finish_reason", "finish_reason_raw") == [(reason, raw)]


def test_words_in_the_models_place_are_no_turn(path: str) -> None:
    write(
        path,
        user("u1"),
        said("a2", "m1", text("API Error: 529"), model="<synthetic>", request=None, isApiErrorMessage=True),
        said("a3", "m2", text("No response requested."), model="<synthetic>", request=None),
        line("system", "s4", subtype="api_error", content="Overloaded", level="error"),
    )
    assert frame(path, "turns").empty
    assert frame(path, "token_usage").empty
    assert rows(path, "messages", "role", "kind", "content") == [
        ("user", "message", "q"),
        ("assistant", "error", "API Error: 529"),
        ("assistant", "note", "No response requested."),
        ("system", "error", "Overloaded"),
    ]


def test_what_the_tool_said_it_cost_is_counted_once_for_a_response(path: str) -> None:
    write(path, said("a1", "m1", costUSD=0.25, durationMs=4120), said("a2", "m1", costUSD=0.25, durationMs=4120))
    assert rows(path, "turns", "reported_cost_usd", "duration_s") == [(0.25, 4.12)]


@pytest.mark.parametrize(
    ("message_id", "model", "provider"),
    [
        ("msg_01", SONNET, "anthropic"),
        ("msg_bdrk_01", SONNET, "aws.bedrock"),
        ("msg_vrtx_01", SONNET, "gcp.vertex_ai"),
        ("chatcmpl-7", "workshop-coder-12b", None),
    ],
)
def test_the_provider_is_told_by_the_message_id(path: str, message_id: str, model: str, provider: str | None) -> None:
    write(path, said("a1", message_id, model=model))
    columns = ("provider_name", "request_model", "response_model", "model_config_status")
    assert rows(path, "turns", *columns) == [(provider, None, model, "recorded")]


def test_service_tier_and_speed_make_model_configurations(path: str) -> None:
    fast = {"service_tier": "priority", "speed": "fast"}
    write(
        path,
        said("a1", "m1", usage={"service_tier": "standard"}),
        said("a2", "m2", usage=fast),
        said("a3", "m3", usage=fast),
    )
    configs = frame(path, "model_configs")
    assert [json.loads(extra) for extra in configs.extra] == [{"service_tier": "standard"}, fast]
    assert configs.turn_count.tolist() == [1, 2]


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 9_223_372_036_854_775_807, "cache_read_input_tokens": 9_223_372_036_854_775_807},
        {"output_tokens": -9_223_372_036_854_775_808},
        {"input_tokens": -5},
        {"cache_creation": {"ephemeral_1h_input_tokens": 10**15}},
    ],
)
def test_counts_that_cannot_be_are_null_and_a_problem_and_hide_no_others(path: str, usage: Line) -> None:
    write(path, said("a1", "m1", usage=usage), said("a2", "m2"))
    assert rows(path, "turns", "input_tokens", "output_tokens", "usage_quality") == [
        (None, None, "missing"),
        (3, 5, "final"),
    ]
    assert problems(path) == [("line 1", "its counts of tokens are none that can be; they are NULL")]


@pytest.mark.parametrize("usage", [None, [], "many", {"input_tokens": "x", "output_tokens": [1]}])
def test_counts_of_another_type_are_null(path: str, usage: Any) -> None:
    odd = said("a1", "m1")
    odd["message"]["usage"] = usage
    write(path, odd, said("a2", "m2"))
    assert rows(path, "turns", "input_tokens", "output_tokens") == [(None, None), (3, 5)]


# Copies


def copied(lines: list[Line], session_id: str) -> list[Line]:
    return [one | {"sessionId": session_id} for one in lines]


def write_copies(folder: str, *histories: tuple[str, list[Line]]) -> str:
    for session_id, lines in histories:
        write(os.path.join(folder, f"{session_id}.jsonl"), *copied(lines, session_id))
    return folder


ORIGINAL = [
    user("u1", "first"),
    said("a2", "m1", text("one"), output=1, stop=None, parent="u1"),
    said("a3", "m1", use(), output=70, stop="tool_use", parent="a2"),
    user("u4", [answer()], "a3"),
    said("a5", "m2", text("two"), parent="u4"),
]


def test_a_resumed_session_has_only_what_is_new_in_it(folder: str) -> None:
    resumed = [*ORIGINAL, user("u10", "more", "a5"), said("a11", "m3", text("three"), parent="u10")]
    write_copies(folder, (FIRST, ORIGINAL), (SECOND, resumed))
    assert rows(folder, "turns", "session_id", "exchange_index", "prompt", "output_tokens") == [
        (FIRST, 0, "first", 70),
        (FIRST, 0, "first", 5),
        (SECOND, 0, "more", 5),
    ]
    assert rows(folder, "messages", "session_id", "content") == [
        (FIRST, "first"),
        (FIRST, "one"),
        (FIRST, "done"),
        (FIRST, "two"),
        (SECOND, "more"),
        (SECOND, "three"),
    ]
    assert rows(folder, "tool_calls", "session_id", "status", "result") == [(FIRST, "ok", "done")]
    assert rows(folder, "sessions", "session_id", "parent_session_id", "first_prompt", "turn_count") == [
        (FIRST, None, "first", 2),
        (SECOND, FIRST, "more", 1),
    ]
    started = frame(folder, "sessions").started_at
    assert started.tolist() == [START + timedelta(seconds=1), START + timedelta(seconds=10)]


def test_the_file_that_ended_first_has_the_lines_whatever_the_files_are_called(folder: str) -> None:
    resumed = [*ORIGINAL, user("u10", "more", "a5"), said("a11", "m3", parent="u10")]
    write_copies(folder, (THIRD, ORIGINAL), (FIRST, resumed))
    assert rows(folder, "sessions", "session_id", "turn_count") in (
        [(THIRD, 2), (FIRST, 1)],
        [(FIRST, 1), (THIRD, 2)],
    )


def test_a_fork_in_the_middle_of_a_response_leaves_it_to_the_session_that_has_all_of_it(folder: str) -> None:
    # The fork ended before the original did.
    forked = [*ORIGINAL[:2], user("u3", "another way", "a2"), said("a4", "m3", parent="u3")]
    write_copies(folder, (FIRST, [*ORIGINAL, user("u90", "late")]), (SECOND, forked))
    assert rows(folder, "turns", "session_id", "output_tokens") == [(FIRST, 70), (FIRST, 5), (SECOND, 5)]
    assert rows(folder, "sessions", "session_id", "output_tokens") == [(FIRST, 75), (SECOND, 5)]


def test_a_fork_of_a_fork_names_the_fork(folder: str) -> None:
    second = [*ORIGINAL, user("u10", "more", "a5"), said("a11", "m3", parent="u10")]
    third = [*second, user("u20", "yet more", "a11"), said("a21", "m4", parent="u20")]
    write_copies(folder, (FIRST, ORIGINAL), (SECOND, second), (THIRD, third))
    assert rows(folder, "sessions", "parent_session_id", "turn_count") == [(None, 2), (FIRST, 1), (SECOND, 1)]


def test_when_the_original_is_gone_its_copy_counts(folder: str) -> None:
    resumed = [*ORIGINAL, user("u10", "more", "a5"), said("a11", "m3", parent="u10")]
    write_copies(folder, (FIRST, ORIGINAL), (SECOND, resumed))
    assert rows(folder, "sessions", "session_id", "turn_count") == [(FIRST, 2), (SECOND, 1)]
    os.remove(os.path.join(folder, f"{FIRST}.jsonl"))
    assert rows(folder, "sessions", "session_id", "turn_count") == [(SECOND, 3)]
    assert rows(folder, "turns", "prompt", "response") == [("first", "one"), ("first", "two"), ("more", "a")]


def test_a_question_beside_the_conversation_repeats_a_response_and_does_not_count_it(folder: str) -> None:
    write(os.path.join(folder, f"{FIRST}.jsonl"), user("u1"), said("a2", "m1", request="r1", output=50))
    write(
        os.path.join(folder, FIRST, "subagents", "agent-aside.jsonl"),
        said("a30", "m1", request="r2", output=50, isSidechain=True),
        user("u31", "aside", isSidechain=True),
        said("a32", "m2", request="r3", output=7, isSidechain=True),
    )
    assert rows(folder, "turns", "output_tokens", "is_sidechain") == [(50, False), (7, True)]


# Subagents


def test_a_subagent_in_its_own_file_is_a_session_below_the_one_that_asked(folder: str) -> None:
    write(os.path.join(folder, f"{FIRST}.jsonl"), user("u1"), said("a2", "m1"))
    below = os.path.join(folder, FIRST, "subagents")
    for place, name in ((below, "a1"), (os.path.join(below, "workflows", "wf_1"), "a2"), (folder, "a3")):
        write(
            os.path.join(place, f"agent-{name}.jsonl"),
            user(f"u5{name}", "look", isSidechain=True, agentId=name),
            said(f"a6{name}", f"m {name}", isSidechain=True, agentId=name),
        )
    meta = os.path.join(below, "agent-a1.meta.json")
    with open(meta, "w", encoding="utf-8") as file:
        json.dump({"agentType": "Explore", "description": "Look around"}, file)
    write(
        os.path.join(below, "workflows", "wf_1", "journal.jsonl"), {"type": "started", "key": "v2:1", "agentId": "a2"}
    )
    write(os.path.join(folder, FIRST, "workflows", "wf_1.json"), {"runId": "wf_1"})
    sessions = frame(folder, "sessions")
    assert sorted(sessions.session_id) == [FIRST, *(f"{FIRST}/agent-{name}" for name in ("a1", "a2", "a3"))]
    agents = sessions[sessions.session_id != FIRST]
    assert set(agents.parent_session_id) == {FIRST}
    assert set(agents.conversation_id) == {FIRST}
    assert agents.turn_count.tolist() == [1, 1, 1]
    (named,) = agents[agents.name.notna()].to_dict("records")
    assert (named["session_id"], named["name"]) == (f"{FIRST}/agent-a1", "Look around")
    assert json.loads(named["metadata"])["agent_type"] == "Explore"
    assert frame(folder, "turns").is_sidechain.sum() == 3
    assert problems(folder) == []


def test_a_subagent_in_the_file_of_its_session_asks_no_prompts(path: str) -> None:
    write(
        path,
        user("u1", "first"),
        said("a2", "m1", use("t1", "Task"), stop="tool_use", parent="u1"),
        user("u3", "look", isSidechain=True),
        said("a4", "m2", parent="u3", isSidechain=True),
        user("u5", [answer("t1", [text("seen")])], "a2"),
        said("a6", "m3", parent="u5"),
    )
    assert rows(path, "turns", "is_sidechain", "exchange_index", "prompt") == [
        (False, 0, "first"),
        (True, 0, "first"),
        (False, 0, "first"),
    ]
    assert rows(path, "tool_calls", "tool_name", "result") == [("Task", "seen")]


def test_what_a_session_repeats_of_its_subagents_is_not_counted(path: str) -> None:
    nested = {"message": said("a9", "m9")["message"], "type": "assistant", "requestId": "req m9"}
    data = {"type": "agent_progress", "agentId": "a1", "message": nested}
    done = {"status": "completed", "usage": {"input_tokens": 100, "output_tokens": 100}, "totalDurationMs": 2500}
    write(
        path,
        user("u1"),
        said("a2", "m1", use("t1", "Task"), parent="u1"),
        line("progress", "p3", "a2", data=data),
        user("u4", [answer("t1", [text("seen")])], "p3", toolUseResult=done),
    )
    assert rows(path, "turns", "output_tokens") == [(5,)]
    assert rows(path, "tool_calls", "duration_s") == [(2.5,)]


# Prompts and other words


OTHER_WORDS: list[tuple[str, Any, Line]] = [
    ("context", "The caveat", {"isMeta": True}),
    ("out_of_band", "<command-name>/clear</command-name>", {}),
    ("out_of_band", "<local-command-stdout>ok</local-command-stdout>", {}),
    ("out_of_band", "<bash-input>ls</bash-input>", {}),
    ("note", "[Request interrupted by user]", {}),
    ("note", [text("[Request interrupted by user for tool use]")], {}),
    ("context", [text("<ide_opened_file>a.py</ide_opened_file>")], {}),
    ("context", "<system-reminder>be brief</system-reminder>", {}),
    ("context", "This session is being continued", {"isCompactSummary": True}),
    ("context", "<task-notification>done</task-notification>", {}),
    ("context", "By the program", {"promptSource": "system"}),
]


def test_only_what_a_person_asked_is_a_prompt(path: str) -> None:
    lines = [user(f"u{n + 2}", content, **more) for n, (_, content, more) in enumerate(OTHER_WORDS)]
    write(path, user("u1", "asked"), *lines, said("a50"))
    found = rows(path, "messages", "kind", "role")
    assert found == [("message", "user"), *((kind, "user") for kind, _, _ in OTHER_WORDS), ("message", "assistant")]
    assert rows(path, "turns", "exchange_index", "prompt") == [(0, "asked")]
    assert rows(path, "sessions", "first_prompt") == [("asked",)]


def test_a_prompt_beside_what_the_editor_tells_is_a_prompt(path: str) -> None:
    write(path, user("u1", [text("<ide_opened_file>a.py</ide_opened_file>"), text("fix it")]), said("a2"))
    assert rows(path, "turns", "exchange_index", "prompt") == [(0, "<ide_opened_file>a.py</ide_opened_file>\n\nfix it")]


def test_a_picture_in_a_prompt_is_named(path: str) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    write(path, user("u1", [text("look"), picture]), said("a2"))
    assert rows(path, "turns", "prompt") == [("look\n\n[image]",)]


def queued(uuid: str | None, prompt: Any, **more: Any) -> Line:
    made = line("attachment", uuid, attachment={"type": "queued_command", "prompt": prompt, **more})
    return made if uuid else {key: value for key, value in made.items() if key != "uuid"}


def test_a_prompt_from_the_queue_is_a_prompt_with_and_without_a_uuid(path: str) -> None:
    waiting = {"type": "queue-operation", "operation": "enqueue", "timestamp": moment(3), "content": "and the docs?"}
    write(
        path,
        user("u1", "first"),
        said("a2", "m1"),
        waiting,
        queued("q3", "and the docs?", commandMode="prompt"),
        said("a4", "m2"),
        queued(None, [text("leave vendor alone")]),
        said("a6", "m3"),
        queued("q7", "<task-notification>", commandMode="task-notification"),
        said("a8", "m4"),
    )
    assert rows(path, "turns", "exchange_index", "prompt") == [
        (0, "first"),
        (1, "and the docs?"),
        (2, "leave vendor alone"),
        (2, "leave vendor alone"),
    ]


def test_a_line_without_a_uuid_is_never_a_copy(folder: str) -> None:
    lines = [*ORIGINAL, queued(None, "go on"), said("a7", "m7")]
    resumed = [*[one for one in lines if one.get("uuid")], queued(None, "go on"), said("a11", "m9")]
    write_copies(folder, (FIRST, lines), (SECOND, resumed))
    assert rows(folder, "turns", "session_id", "prompt") == [
        (FIRST, "first"),
        (FIRST, "first"),
        (FIRST, "go on"),
        (SECOND, "go on"),
    ]


# The tree of messages


def parents(path: str) -> list[tuple[str | None, str | None]]:
    """Return the text of each message with that of its parent."""
    messages = frame(path, "messages")
    said = [None if pd.isna(content) else content for content in messages.content]
    texts = dict(zip(messages.message_id, said, strict=True))
    return [
        (content, None if pd.isna(parent) else texts[parent])
        for content, parent in zip(said, messages.parent_message_id, strict=True)
    ]


def test_a_rewind_gives_two_messages_with_one_parent(path: str) -> None:
    write(
        path,
        user("u1", "first"),
        said("a2", "m1", text("answer"), parent="u1"),
        user("u3", "one way", "a2"),
        said("a4", "m2", text("gone"), parent="u3"),
        user("u5", "other way", "a2"),
        said("a6", "m3", text("stays"), parent="u5"),
    )
    assert parents(path) == [
        ("first", None),
        ("answer", "first"),
        ("one way", "answer"),
        ("gone", "one way"),
        ("other way", "answer"),
        ("stays", "other way"),
    ]


def test_a_compaction_does_not_split_a_session(path: str) -> None:
    write(
        path,
        user("u1", "first"),
        said("a2", "m1", text("answer"), parent="u1"),
        line("system", "s3", None, subtype="compact_boundary", content="compacted", logicalParentUuid="a2"),
        user("u4", "summary", "s3", isCompactSummary=True),
        user("u5", "more", "u4"),
    )
    assert parents(path) == [
        ("first", None),
        ("answer", "first"),
        ("compacted", "answer"),
        ("summary", "compacted"),
        ("more", "summary"),
    ]
    assert rows(path, "messages", "kind")[2:4] == [("boundary",), ("context",)]


def test_parents_are_found_through_lines_that_are_no_messages(path: str) -> None:
    write(
        path,
        user("u1", "first"),
        line("attachment", "x2", "u1", attachment={"type": "todo_reminder", "content": []}),
        said("a3", "m1", {"type": "thinking", "thinking": "hm"}, parent="x2"),
        said("a4", "m1", use(), parent="a3"),
        *(line("progress", f"p{n}", "a4" if n == 5 else f"p{n - 1}", data={"type": "hook"}) for n in range(5, 3005)),
        user("u3005", [answer()], "p3004"),
        line("system", "s3006", "u3005", subtype="turn_duration", durationMs=5),
        said("a3007", "m2", text("last"), parent="s3006"),
    )
    assert parents(path) == [("first", None), (None, "first"), ("done", None), ("last", "done")]
    messages = frame(path, "messages")
    assert messages.parent_message_id[2] == messages.message_id[1]


def test_parents_that_go_in_a_circle_are_no_parents(path: str) -> None:
    write(
        path,
        user("u1", "first", "u1"),
        line("progress", "p2", "p3"),
        line("progress", "p3", "p2"),
        user("u4", "second", "p2"),
        user("u5", "third", "nowhere"),
    )
    assert parents(path) == [("first", None), ("second", None), ("third", None)]


# Tool calls


@pytest.mark.parametrize(
    ("block", "status", "exit_code"),
    [
        (answer(content="fine"), "ok", None),
        (answer(content="Exit code 2\nno such file", is_error=True), "error", 2),
        (answer(content="Error: Exit code 127\nnot found", is_error=True), "error", 127),
        (answer(content="Exit code 99999999999999999999", is_error=True), "error", None),
        (answer(content="File does not exist.", is_error=True), "error", None),
        (answer(content="Command timed out after 2m", is_error=True), "timeout", None),
        (answer(content="The user doesn't want to proceed with this tool use.", is_error=True), "denied", None),
        (answer(content="Permission to use Bash has been denied.", is_error=True), "denied", None),
        (answer(content="[Request interrupted by user for tool use]", is_error=True), "cancelled", None),
        (answer(content=[text("no such tool"), text("try another")], is_error=True), "error", None),
    ],
)
def test_results_say_how_a_call_ended(path: str, block: Line, status: str, exit_code: int | None) -> None:
    write(path, user("u1"), said("a2", "m1", use(), parent="u1"), user("u3", [block], "a2"))
    assert rows(path, "tool_calls", "status", "exit_code") == [(status, exit_code)]
    assert frame(path, "tool_calls").is_error[0] == bool(block.get("is_error"))
    assert rows(path, "messages", "role", "kind")[-1] == ("tool", "message")


def test_a_call_that_was_interrupted_is_cancelled_and_one_without_a_result_is_unanswered(path: str) -> None:
    write(
        path,
        said("a1", "m1", use("t1"), use("t2")),
        user("u2", [answer("t1", "half")], toolUseResult={"stdout": "half", "interrupted": True}),
    )
    assert rows(path, "tool_calls", "status", "result") == [("cancelled", "half"), ("unanswered", None)]


def test_results_of_several_calls_in_one_line_go_each_to_its_call(path: str) -> None:
    write(
        path,
        said("a1", "m1", use("t1", "Read"), use("t2", "Grep")),
        user("u2", [answer("t2", "second"), answer("t1", "first"), text("and a word")]),
    )
    assert rows(path, "tool_calls", "tool_name", "result") == [("Read", "first"), ("Grep", "second")]
    assert sorted(frame(path, "messages").content.dropna()) == ["and a word", "first", "second"]
    # Results are no prompts; the words beside them are a person's.
    assert frame(path, "turns").exchange_index.isna().all()


def test_a_result_in_blocks_is_their_text_with_pictures_named(path: str) -> None:
    blocks = [text("one"), {"type": "image", "source": {}}, text("two")]
    write(path, said("a1", "m1", use()), user("u2", [answer("t1", blocks)]))
    assert rows(path, "tool_calls", "result") == [("one\n[image]\ntwo",)]


def test_a_tool_of_the_provider_is_a_call_with_its_result_in_the_response(path: str) -> None:
    found = [{"type": "web_search_result", "title": "Queues", "url": "https://example.org"}]
    write(
        path,
        said(
            "a1",
            "m1",
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "queue"}},
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": found},
            text("here"),
        ),
    )
    ((name, arguments, result, status),) = rows(path, "tool_calls", "tool_name", "arguments", "result", "status")
    assert (name, json.loads(arguments), json.loads(result), status) == ("web_search", {"query": "queue"}, found, "ok")
    assert rows(path, "turns", "response", "tool_call_count") == [("here", 1)]


def test_searches_whose_tokens_the_tool_never_writes_add_none(path: str) -> None:
    searched = {"query": "queue", "results": [], "durationSeconds": 6.4, "searchCount": 2}
    write(path, said("a1", "m1", use("t1", "WebSearch")), user("u2", [answer()], toolUseResult=searched))
    assert frame(path, "token_usage").tokens.sum() == 8
    assert rows(path, "tool_calls", "duration_s") == [(6.4,)]


@pytest.mark.parametrize("milliseconds", [1e300, float("nan"), -1, 9_223_372_036_854_775_807])
def test_a_duration_that_cannot_be_is_null(path: str, milliseconds: float) -> None:
    write(
        path,
        said("a1", "m1", use(), durationMs=milliseconds),
        user("u2", [answer()], toolUseResult={"durationMs": milliseconds}),
    )
    assert rows(path, "turns", "duration_s") == [(None,)]
    assert rows(path, "tool_calls", "status", "duration_s") == [("ok", None)]


def test_hidden_thinking_is_named(path: str) -> None:
    write(path, said("a1", "m1", {"type": "redacted_thinking", "data": "AAAA"}, text("a")))
    assert rows(path, "turns", "reasoning", "response") == [("[redacted thinking]", "a")]


# Sessions


def test_a_session_is_called_what_a_person_called_it_else_what_the_tool_did(folder: str) -> None:
    own = {"type": "custom-title", "customTitle": "mine"}
    given = {"type": "ai-title", "aiTitle": "the tool's"}
    write_copies(
        folder,
        (FIRST, [user("u1"), own, given]),
        (SECOND, [user("u2"), given]),
        (THIRD, [user("u3"), {"type": "summary", "summary": "of the second", "leafUuid": "u2"}]),
    )
    assert rows(folder, "sessions", "name") == [("mine",), ("the tool's",), (None,)]
    other = write(os.path.join(folder, f"{FIRST[:-1]}4.jsonl"), user("u4"), session_id=f"{FIRST[:-1]}4")
    write(
        os.path.join(folder, f"{FIRST[:-1]}5.jsonl"),
        user("u5"),
        {"type": "summary", "summary": "of the fourth", "leafUuid": "u4"},
        session_id=f"{FIRST[:-1]}5",
    )
    sessions = frame(folder, "sessions").set_index("origin")
    assert sessions.name[other] == "of the fourth"


def test_a_session_says_where_and_with_what_it_was(path: str) -> None:
    write(
        path,
        {"type": "file-history-snapshot", "messageId": "x", "snapshot": {}},
        user("u1", sessionKind="bg"),
        said("a9", "m1", version="2.1.240", cwd="/elsewhere"),
    )
    session = frame(path, "sessions").iloc[0]
    assert (session.session_id, session.native_id, session.agent_name) == (FIRST, FIRST, "claude-code")
    assert (session.directory, session.origin) == ("/home/ada/harbor", path)
    assert json.loads(session.metadata) == {"git_branch": "main", "version": "2.1.240", "session_kind": "bg"}
    assert (session.started_at, session.updated_at) == (START + timedelta(seconds=1), START + timedelta(seconds=9))


def test_one_session_in_two_folders_is_one(tmp_path: Path) -> None:
    for place, lines in (("a", ORIGINAL), ("b", [*ORIGINAL, said("a20", "m9")])):
        write(str(tmp_path / place / f"{FIRST}.jsonl"), *lines)
    assert rows(str(tmp_path), "sessions", "session_id", "turn_count") == [(FIRST, 3)]


def test_a_file_of_0_bytes_and_one_of_notes_only_are_no_sessions(folder: str) -> None:
    write(os.path.join(folder, f"{FIRST}.jsonl"), user("u1"))
    write(os.path.join(folder, f"{SECOND}.jsonl"))
    write(os.path.join(folder, f"{THIRD}.jsonl"), {"type": "summary", "summary": "s", "leafUuid": "x"}, session_id="")
    assert rows(folder, "sessions", "session_id") == [(FIRST,)]
    assert problems(folder) == []


def test_unknown_types_pass_and_are_one_problem_each(path: str) -> None:
    known = [{"type": kind} for kind in ("mode", "pr-link", "worktree-state", "bridge-session", "last-prompt")]
    write(
        path,
        user("u1", "first"),
        line("lighthouse", "l2", "u1"),
        line("lighthouse", "l3", "l2"),
        {"type": "tide-table", "high": []},
        *known,
        line("system", "s4", "l3", subtype="tide_turned", content="low"),
        said("a5", "m1", text("last"), parent="l3"),
    )
    assert parents(path)[-1] == ("last", "first")
    assert sorted(problems(path)) == [
        ("type lighthouse", "2 of this type, which is not known, left out"),
        ("type tide-table", "1 of this type, which is not known, left out"),
    ]


@pytest.mark.parametrize("when", ["yesterday", 1714557600000, "2026-13-01T00:00:00Z"])
def test_a_time_that_is_none_is_null_and_a_problem(path: str, when: Any) -> None:
    write(path, user("u1"), said("a2", "m1") | {"timestamp": when}, said("a3", "m2"))
    assert frame(path, "turns").started_at.isna().tolist() == [True, False]
    assert problems(path) == [("line 2", "timestamp is no time; it is NULL")]


def test_members_of_other_types_are_null_and_stop_nothing(path: str) -> None:
    write(
        path,
        user("u1", [text("a"), "stray", 5, None, {"type": 1}]),
        user("u2", 5),
        user("u3", {"type": "text"}),
        user("u4", "ok") | {"isMeta": "yes", "isSidechain": [], "cwd": {}},
        user("u5") | {"message": "hello"},
        said("a6", "m1", "stray", text("b")) | {"requestId": 5, "costUSD": "much", "version": 2},
        said("a7", "m2") | {"toolUseResult": "Error: no", "attachment": []},
    )
    assert rows(path, "turns", "response", "output_tokens") == [("b", 5), ("a", 5)]
    assert frame(path, "messages").content.fillna("").tolist() == ["a", "", "", "ok", "", "b", "a"]


# Where the files are


def test_the_tools_folders_follow_its_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    assert default_paths() == [str(home / ".claude" / "projects"), str(home / "config" / "claude" / "projects")]
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert default_paths()[1] == str(home / ".config" / "claude" / "projects")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", " ~/one , /two,")
    assert default_paths() == [str(home / "one" / "projects"), "/two/projects"]


def test_what_lies_in_the_default_place_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(home / "claude"))
    place = home / "claude" / "projects"
    write(str(place / "-x" / f"{FIRST}.jsonl"), user("u1"), said("a2"))
    with sessionlab.open() as lab:
        assert lab.sources == [("claude_code", str(place))]
        assert lab.frame("turns").output_tokens.tolist() == [5]


def test_files_are_recognised_by_what_they_hold(tmp_path: Path) -> None:
    assert SOURCE in all_sources()
    name = str(tmp_path / "x.jsonl")
    recognised: Callable[..., bool | None] = lambda *records: recognises_file(name, records)  # noqa: E731  # brevity
    assert recognised({"type": "mode", "sessionId": FIRST})
    assert recognised({"type": "summary", "summary": "s", "leafUuid": "u"})
    assert recognised({"type": "file-history-snapshot", "snapshot": {}})
    assert recognised({"strange": 1}, user("u1") | {"sessionId": FIRST})
    assert recognised() is None
    assert recognised({"type": "session_meta", "payload": {"id": "x"}}) is False
    assert recognises_file(str(tmp_path / "journal.jsonl"), [user("u1") | {"sessionId": FIRST}]) is False
    assert recognises_file(str(tmp_path / "agent-a.meta.json"), []) is False
    (tmp_path / "agent-a.jsonl").touch()
    assert recognises_file(str(tmp_path / "agent-a.meta.json"), [])


def test_a_session_that_begins_with_a_picture_is_recognised(path: str) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 300_000}}
    write(path, user("u1", [picture, text("look")]), said("a2"))
    assert rows(path, "turns", "prompt") == [("[image]\n\nlook",)]
