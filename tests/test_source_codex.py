"""Codex CLI: rollouts of all ages, what they count and copy, and which lines a human, the model and the tool wrote."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from opened import frame, problems

import sessionlab
from sessionlab.sources.codex import default_paths, recognises_file

if TYPE_CHECKING:
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAMPLE = os.path.join(ROOT, "sample_data", "codex")
REAL = os.path.join(ROOT, "tests", "real_agents")
FIRST, SECOND, THIRD, FOURTH = (f"01a0ec3c-18b7-7ef3-b3ac-00000000000{number}" for number in range(1, 5))
SETTLED = 1_700_000_000  # what was written just now may not be at its end
TIME = "2026-09-29T08:00:{:02d}.000Z"
TOKENS = ["input_tokens", "cache_read_input_tokens", "output_tokens", "reasoning_output_tokens"]


def line(line_type: str, payload: Any, *, second: int = 0, **more: Any) -> dict[str, Any]:
    return {"timestamp": TIME.format(second), "type": line_type, "payload": payload, **more}


def meta(session_id: str = FIRST, **more: Any) -> dict[str, Any]:
    told = {"id": session_id, "timestamp": TIME.format(0), "cwd": "/work", "model_provider": "openai"}
    return line("session_meta", {**told, "cli_version": "0.118.0", "source": "cli", **more})


def spawned(session_id: str, parent_id: str, **more: Any) -> dict[str, Any]:
    return meta(session_id, source={"subagent": {"thread_spawn": {"parent_thread_id": parent_id, "depth": 1}}}, **more)


def context(model: str | None = "gpt-5.5", effort: str | None = None, **more: Any) -> dict[str, Any]:
    told = {"model": model, "effort": effort}
    return line("turn_context", {"cwd": "/work", **{name: value for name, value in told.items() if value}, **more})


def event(kind: str, **members: Any) -> dict[str, Any]:
    return line("event_msg", {"type": kind, **members})


def item(kind: str, **members: Any) -> dict[str, Any]:
    return line("response_item", {"type": kind, **members})


def told(text: str, role: str = "user") -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return item("message", role=role, content=[{"type": kind, "text": text}])


def answer(text: str = "a", **more: Any) -> dict[str, Any]:
    return item("message", role="assistant", content=[{"type": "output_text", "text": text}], **more)


def prompt(text: str = "q") -> list[dict[str, Any]]:
    return [told(text), event("user_message", message=text)]


def call(call_id: str = "c1", name: str = "exec_command", arguments: str = "{}") -> dict[str, Any]:
    return item("function_call", name=name, arguments=arguments, call_id=call_id)


def output(call_id: str = "c1", result: Any = "done", kind: str = "function_call_output") -> dict[str, Any]:
    return item(kind, call_id=call_id, output=result)


def used(given: int, cached: int = 0, output: int = 0, reasoning: int = 0, **more: int) -> dict[str, int]:
    counts = {"input_tokens": given, "cached_input_tokens": cached, "output_tokens": output}
    return {**counts, "reasoning_output_tokens": reasoning, "total_tokens": given + output, **more}


def count(total: dict[str, int] | None, last: dict[str, int] | None = None) -> dict[str, Any]:
    info = None if total is None else {"total_token_usage": total, "model_context_window": 272_000}
    if info is not None and last is not None:
        info["last_token_usage"] = last
    return event("token_count", info=info, rate_limits={"primary": {"used_percent": 1.0, "window_minutes": 299}})


def record(total: dict[str, int], last: dict[str, int], session_id: str = FIRST, **more: Any) -> dict[str, Any]:
    told = {"thread_id": session_id, "usage": last, "thread_token_usage": total, **more}
    return line("token_usage_record", told)


def write(folder: Path | str, *lines: Any, name: str = FIRST, settled: bool = True) -> str:
    """Write a rollout and return the path of its folder."""
    path = os.path.join(folder, "sessions", "2026", "09", "29", f"rollout-2026-09-29T08-00-00-{name}.jsonl")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        for one in lines:
            file.write(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n")
    if settled:
        os.utime(path, (SETTLED, SETTLED))
    return str(folder)


def usages(folder: Path | str) -> list[list[Any]]:
    """Return what each turn used: input, cached, output, reasoning; None for what is not known."""
    found = frame(folder, "turns")[TOKENS].astype(object)
    return found.where(found.notna(), None).to_numpy().tolist()


# The files


def test_files_are_where_the_tools_own_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CODEX_HOME", raising=False)
    home = os.path.expanduser("~")
    assert default_paths() == [os.path.join(home, ".codex", name) for name in ("sessions", "archived_sessions")]
    monkeypatch.setenv("CODEX_HOME", str(tmp_path))
    assert default_paths() == [str(tmp_path / "sessions"), str(tmp_path / "archived_sessions")]


def test_a_rollout_is_recognised_by_its_lines_in_each_age() -> None:
    assert recognises_file("x.jsonl", [meta()])
    assert recognises_file("x.jsonl", [{"id": FIRST, "timestamp": TIME.format(0), "instructions": None}])
    assert recognises_file("x.jsonl", [{"record_type": "state"}])
    assert recognises_file("rollout-x.jsonl", [{"type": "message", "role": "user", "content": []}])


def test_what_another_tool_wrote_is_none() -> None:
    assert recognises_file("history.jsonl", [{"session_id": FIRST, "ts": 1, "text": "q"}]) is False
    assert recognises_file("x.jsonl", [{"type": "user", "sessionId": FIRST, "uuid": SECOND}]) is False
    assert recognises_file("rollout-x.jsonl", []) is None


def test_archived_sessions_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "archived_sessions" / f"rollout-2026-09-29T08-00-00-{FIRST}.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join(map(json.dumps, [meta(), *prompt(), answer(), count(used(10, 0, 2))])) + "\n")
    assert frame(tmp_path, "sessions").turn_count.tolist() == [1]


def test_a_session_in_both_folders_counts_once(tmp_path: Path) -> None:
    lines = [meta(), context(), *prompt(), answer(), count(used(10, 0, 2))]
    write(tmp_path, *lines)
    shutil.copytree(tmp_path / "sessions", tmp_path / "archived_sessions")
    assert frame(tmp_path, "sessions").input_tokens.tolist() == [10]
    assert len(frame(tmp_path, "turns")) == 1
    assert len(frame(tmp_path, "messages")) == 2


def test_a_file_without_a_first_line_is_named_by_its_own_name(tmp_path: Path) -> None:
    write(tmp_path, *prompt(), answer())
    assert frame(tmp_path, "sessions").session_id.tolist() == [FIRST]


# Ages


def test_lines_of_bare_items_after_a_bare_first_line_are_read(tmp_path: Path) -> None:
    first = {"id": FIRST, "timestamp": "2025-08-04T09:00:00.000Z", "instructions": None, "git": {"branch": "main"}}
    place = "<environment_context>\n  <cwd>/work/harbor</cwd>\n</environment_context>"
    bare = [told(place), told("q"), call("c1", "shell"), output(), answer("done")]
    write(tmp_path, first, {"record_type": "state"}, *(one["payload"] for one in bare))
    session = frame(tmp_path, "sessions").iloc[0]
    assert (session.session_id, session.directory, session.first_prompt) == (FIRST, "/work/harbor", "q")
    assert frame(tmp_path, "turns").response.fillna("").tolist() == ["", "done"]
    assert frame(tmp_path, "turns").usage_quality.tolist() == ["missing", "missing"]
    assert frame(tmp_path, "tool_calls").status.tolist() == ["ok"]
    assert problems(tmp_path) == []


def test_a_rollout_that_is_one_json_text_is_read(tmp_path: Path) -> None:
    items = [one["payload"] for one in (told("q"), call("c1", "shell"), output(), answer("done"))]
    session = {"timestamp": "2025-04-22T10:04:31.512Z", "id": FIRST, "instructions": ""}
    path = tmp_path / "sessions" / f"rollout-2025-04-22-{FIRST}.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"session": session, "items": [*items, 7]}, indent=2))
    assert frame(tmp_path, "sessions").session_id.tolist() == [FIRST]
    assert frame(tmp_path, "messages").role.tolist() == ["user", "assistant", "tool", "assistant"]
    assert frame(tmp_path, "messages").content.tolist()[::2] == ["q", "done"]
    assert problems(tmp_path) == [("item 4", "it is no object; it is left out")]


@pytest.mark.parametrize("text", ["{", '{"session": {}, "timestamp"', '{"session": 1, "items": 2, "timestamp": 3}'])
def test_a_json_text_that_is_no_rollout_is_a_problem(tmp_path: Path, text: str) -> None:
    write(tmp_path, meta())
    (tmp_path / "sessions" / f"rollout-2025-04-22-{SECOND}.json").write_text(text + ' "session" "timestamp"')
    assert frame(tmp_path, "sessions").session_id.tolist() == [FIRST]
    assert [reason for _, reason in problems(tmp_path)] == ["the file is no JSON; it is left out"]


def test_totals_of_2025_stand_before_the_response_that_they_count(tmp_path: Path) -> None:
    first = [told("q"), event("user_message", message="q"), context("gpt-5-codex"), count(None)]
    first += [event("agent_reasoning", text="t"), count(used(100, 0, 10), used(100, 0, 10))]
    first += [call("c1"), output("c1"), call("c2"), output("c2")]  # two calls of one response, each with its result
    second = [event("agent_message", message="done"), count(used(300, 0, 15), used(200, 0, 5)), answer("done")]
    write(tmp_path, meta(), *first, *second)
    turns = frame(tmp_path, "turns")
    assert turns.tool_call_count.tolist() == [2, 0]
    assert usages(tmp_path) == [[100, 0, 10, 0], [200, 0, 5, 0]]
    assert turns.response.fillna("").tolist() == ["", "done"]
    assert turns.request_model.tolist() == ["gpt-5-codex"] * 2


def test_prompt_and_completion_of_0_50_are_what_a_response_used(tmp_path: Path) -> None:
    counted = event("token_count", info={"prompt": 320, "completion": 18})
    write(tmp_path, meta(), *prompt(), answer(), counted)
    assert usages(tmp_path) == [[320, None, 18, None]]


def test_turn_completed_of_0_51_is_what_a_response_used(tmp_path: Path) -> None:
    done = {"type": "turn.completed", "usage": {"input_tokens": 33, "cached_input_tokens": 20, "output_tokens": 2}}
    write(tmp_path, meta(), *prompt(), answer(), done)
    assert usages(tmp_path) == [[33, 20, 2, None]]


def test_a_usage_beside_running_totals_is_not_counted_again(tmp_path: Path) -> None:
    done = {"type": "turn.completed", "usage": {"input_tokens": 33, "output_tokens": 2}}
    write(tmp_path, meta(), *prompt(), answer(), count(used(33, 0, 2)), done)
    assert usages(tmp_path) == [[33, 0, 2, 0]]


def test_sessions_whose_context_does_not_say_the_model_have_none(tmp_path: Path) -> None:
    write(tmp_path, meta(), context(None), *prompt(), answer(), count(used(10, 0, 2)))
    turns = frame(tmp_path, "turns")
    assert turns.request_model.isna().tolist() == [True]
    assert turns.provider_name.tolist() == ["openai"]
    assert usages(tmp_path) == [[10, 0, 2, 0]]


def test_the_usage_of_each_response_counts_once_beside_the_totals(tmp_path: Path) -> None:
    first, second = used(1200, 0, 48, 16), used(1280, 1024, 20)
    total = used(2480, 1024, 68, 16)
    lines = [call(), record(first, first), output(), count(first, first), answer(), record(total, second)]
    write(tmp_path, meta(history_mode="paginated"), context(), *prompt(), *lines, count(total, second))
    assert usages(tmp_path) == [[1200, 0, 48, 16], [1280, 1024, 20, 0]]


# Counting


def test_tokens_are_the_differences_of_totals_and_not_the_sum_of_the_last_ones(tmp_path: Path) -> None:
    lines = [answer("1"), count(used(100, 0, 10), used(100, 0, 10)), *prompt(), answer("2")]
    write(tmp_path, meta(), *prompt(), *lines, count(used(250, 90, 30, 5), used(999, 0, 999)))
    assert usages(tmp_path) == [[100, 0, 10, 0], [150, 90, 20, 5]]


def test_a_total_that_is_shown_again_counts_once(tmp_path: Path) -> None:
    total = used(225, 0, 10)
    lines = [answer(), count(total, total), count(total, used(225_513)), *prompt("again?"), count(total, total)]
    write(tmp_path, meta(), *prompt(), *lines)
    assert usages(tmp_path) == [[225, 0, 10, 0]]


def test_a_count_without_info_is_none(tmp_path: Path) -> None:
    write(tmp_path, meta(), *prompt(), count(None), answer(), count(used(5, 0, 1)), count(None))
    assert usages(tmp_path) == [[5, 0, 1, 0]]


def test_a_total_of_nothing_begins_a_new_epoch(tmp_path: Path) -> None:
    full = {"total_tokens": 272_000}
    lines = [answer("1"), count(used(100, 0, 10)), count(used(0) | full), *prompt(), answer("2")]
    write(tmp_path, meta(), *prompt(), *lines, count(used(100, 0, 10)))
    assert usages(tmp_path) == [[100, 0, 10, 0], [100, 0, 10, 0]]
    assert problems(tmp_path) == []


def test_a_total_that_falls_counts_what_the_last_response_used_and_is_a_problem(tmp_path: Path) -> None:
    lines = [answer("1"), count(used(300, 0, 30)), *prompt(), answer("2"), count(used(250, 0, 25), used(10, 0, 5))]
    write(tmp_path, meta(), *prompt(), *lines, *prompt(), answer("3"), count(used(270, 0, 26)))
    assert usages(tmp_path) == [[300, 0, 30, 0], [10, 0, 5, 0], [20, 0, 1, 0]]
    reason = "the total fell without beginning anew; what the last response used was taken"
    assert problems(tmp_path) == [("line 9", reason)]


def test_a_resume_of_2025_counts_from_nothing_again_behind_a_count_without_info(tmp_path: Path) -> None:
    first, again = used(1400, 1152, 90, 64), used(1500, 1280, 100, 64)  # no number of them fell
    lines = [count(first, first), answer("1"), *prompt(), count(None), count(again, again), answer("2")]
    write(tmp_path, meta(), *prompt(), count(None), *lines)
    assert usages(tmp_path) == [[1400, 1152, 90, 64], [1500, 1280, 100, 64]]
    assert problems(tmp_path) == []


def test_cached_and_reasoning_tokens_are_parts_of_input_and_output(tmp_path: Path) -> None:
    total = used(1000, 600, 200, 80, cache_write_input_tokens=100)
    write(tmp_path, meta(), context(), *prompt(), answer(), count(total))
    tokens = frame(tmp_path, "token_usage").set_index("token_type").tokens.to_dict()
    assert tokens == {"uncached_input": 300, "cache_read": 600, "cache_creation": 100, "output": 120, "reasoning": 80}


def test_without_a_count_between_responses_the_last_has_it_and_the_others_are_missing(tmp_path: Path) -> None:
    lines = [call("c1"), output("c1"), call("c2"), output("c2"), answer("done"), count(used(90, 0, 9))]
    write(tmp_path, meta(), *prompt(), *lines)
    assert usages(tmp_path) == [[None] * 4, [None] * 4, [90, 0, 9, 0]]
    assert frame(tmp_path, "turns").usage_quality.tolist() == ["missing", "missing", "final"]


def test_calls_reasoning_and_text_of_one_response_are_one_turn(tmp_path: Path) -> None:
    thought = item("reasoning", summary=[{"type": "summary_text", "text": "Why?"}], encrypted_content="c2VhbGVk")
    lines = [thought, answer("Let me look."), answer("Twice."), call("c1"), call("c2"), count(used(90, 0, 9))]
    write(tmp_path, meta(), *prompt(), *lines, output("c1"), output("c2"))
    turn = frame(tmp_path, "turns").iloc[0]
    assert (turn.response, turn.reasoning, turn.tool_call_count) == ("Let me look.\n\nTwice.", "Why?", 2)
    assert turn.finish_reason == "tool_call"


def test_encrypted_reasoning_without_a_summary_has_no_text(tmp_path: Path) -> None:
    write(tmp_path, meta(), *prompt(), item("reasoning", summary=[], encrypted_content="c2VhbGVk"), answer("a"))
    assert frame(tmp_path, "turns").reasoning.isna().tolist() == [True]


def test_tokens_of_which_no_item_is_there_are_a_turn_without_text(tmp_path: Path) -> None:
    total = used(90, 0, 9)
    write(tmp_path, meta(), context(), *prompt(), answer("1"), count(total), count(used(190, 0, 19), used(100, 0, 10)))
    assert usages(tmp_path) == [[90, 0, 9, 0], [100, 0, 10, 0]]
    assert frame(tmp_path, "turns").response.fillna("").tolist() == ["1", ""]


@pytest.mark.parametrize(
    "broken", [{"input_tokens": "many"}, {"input_tokens": -5}, "none", 7, [], {"input_tokens": {}}]
)
def test_counts_that_are_no_numbers_count_nothing(tmp_path: Path, broken: Any) -> None:
    write(tmp_path, meta(), *prompt(), answer(), event("token_count", info={"total_token_usage": broken}))
    assert frame(tmp_path, "turns").input_tokens.fillna(0).tolist() in ([0], [0, 0])


# Copies


def parent_lines() -> list[dict[str, Any]]:
    first = [context(turn_id="t1"), *prompt("one"), answer("1"), count(used(100, 0, 10), used(100, 0, 10))]
    second = [context(turn_id="t2"), *prompt("two"), answer("2"), count(used(250, 50, 30), used(150, 50, 20))]
    return [*first, *second]


def own_lines(total: int = 400, turn_id: str = "t3") -> list[dict[str, Any]]:
    counted = count(used(total, 50, 40), used(total - 250, 0, 10))
    return [event("task_started", turn_id=turn_id), context(turn_id=turn_id), *prompt("three"), answer("3"), counted]


def sums(folder: Path | str) -> dict[str, int]:
    found = frame(folder, "sessions").dropna(subset="input_tokens")
    return dict(zip(found.session_id, found.input_tokens, strict=True))


def test_what_a_fork_repeats_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, meta(), *parent_lines())
    write(tmp_path, meta(SECOND, forked_from_id=FIRST), meta(), *parent_lines(), *own_lines(), name=SECOND)
    assert sums(tmp_path) == {FIRST: 250, SECOND: 150}
    messages = frame(tmp_path, "messages").groupby("session_id", sort=False).content.agg(list).to_dict()
    assert messages == {FIRST: ["one", "1", "two", "2"], SECOND: ["three", "3"]}
    assert frame(tmp_path, "sessions").parent_session_id.fillna("").tolist() == ["", FIRST]


def test_a_fork_from_the_middle_repeats_only_that(tmp_path: Path) -> None:
    write(tmp_path, meta(), *parent_lines())
    own = [context(turn_id="t3"), *prompt("other"), answer("4"), count(used(180, 0, 15), used(80, 0, 5))]
    write(tmp_path, meta(SECOND, forked_from_id=FIRST), meta(), *parent_lines()[:5], *own, name=SECOND)
    assert sums(tmp_path) == {FIRST: 250, SECOND: 80}


def test_an_agent_that_begins_with_what_its_parent_said_counts_only_its_own(tmp_path: Path) -> None:
    write(tmp_path, meta(), *parent_lines())
    write(tmp_path, spawned(SECOND, FIRST), meta(), *parent_lines(), *own_lines(), name=SECOND)
    assert sums(tmp_path) == {FIRST: 250, SECOND: 150}
    assert frame(tmp_path, "sessions").parent_session_id.fillna("").tolist() == ["", FIRST]


def test_an_agent_is_known_by_totals_where_contexts_and_calls_were_not_copied(tmp_path: Path) -> None:
    write(tmp_path, meta(), *parent_lines())
    kept = [one for one in parent_lines() if one["type"] == "event_msg" or one["payload"].get("role") == "user"]
    write(tmp_path, spawned(SECOND, FIRST), meta(), *kept, *own_lines(), name=SECOND)
    assert sums(tmp_path) == {FIRST: 250, SECOND: 150}


def test_copied_lines_have_new_times_and_are_known_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, meta(), *parent_lines())
    stamped = [{**one, "timestamp": TIME.format(59)} for one in [meta(), *parent_lines()]]
    write(tmp_path, meta(SECOND, forked_from_id=FIRST), *stamped, *own_lines(), name=SECOND)
    assert sums(tmp_path) == {FIRST: 250, SECOND: 150}


def test_a_fork_whose_parent_is_not_there_counts_all_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, meta(SECOND, forked_from_id=FIRST), meta(), *parent_lines(), *own_lines(), name=SECOND)
    assert sums(tmp_path) == {SECOND: 400}
    assert [record for record, _ in problems(tmp_path)] == [f"session {SECOND}"]


def test_of_two_forks_of_a_parent_that_is_not_there_the_first_has_its_tokens(tmp_path: Path) -> None:
    for number, name in enumerate((SECOND, THIRD)):
        own = own_lines(400 + 100 * number, f"t{3 + number}")
        write(tmp_path, meta(name, forked_from_id=FIRST), meta(), *parent_lines(), *own, name=name)
    assert sums(tmp_path) == {SECOND: 400, THIRD: 250}


def test_a_fork_of_a_fork_counts_once_though_the_one_between_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, meta(), *parent_lines())
    lines = [meta(THIRD, forked_from_id=SECOND), meta(SECOND, forked_from_id=FIRST), meta(), *parent_lines()]
    between = [context(turn_id="t3"), *prompt(), answer("3"), count(used(400, 50, 40), used(150, 0, 10))]
    own = [context(turn_id="t4"), *prompt(), answer("4"), count(used(460, 50, 46), used(60, 0, 6))]
    write(tmp_path, *lines, *between, *own, name=THIRD)
    assert sums(tmp_path) == {FIRST: 250, THIRD: 210}


def test_a_file_with_two_first_lines_begins_with_what_its_parent_said(tmp_path: Path) -> None:
    write(tmp_path, meta(), *parent_lines())
    write(tmp_path, meta(SECOND), meta(), *parent_lines(), *own_lines(), name=SECOND)  # nothing else names the parent
    write(tmp_path, meta(), *parent_lines(), meta(THIRD), *own_lines(500, "t4"), name=THIRD)
    assert sums(tmp_path) == {FIRST: 250, SECOND: 150, THIRD: 250}


def test_a_copied_result_goes_with_its_copied_call(tmp_path: Path) -> None:
    copied = [*prompt("one"), call(), count(used(100, 0, 10)), output()]
    write(tmp_path, meta(), *copied, answer("1"), count(used(250, 0, 30)))
    own = [*prompt("two"), answer("2"), count(used(180, 0, 15))]
    write(tmp_path, meta(SECOND, forked_from_id=FIRST), meta(), *copied, *own, name=SECOND)
    messages = frame(tmp_path, "messages").groupby("session_id", sort=False).content.count().to_dict()
    assert messages == {FIRST: 3, SECOND: 2}
    assert len(frame(tmp_path, "tool_calls")) == 1
    assert problems(tmp_path) == []


def test_a_fork_that_names_its_parents_file_goes_on_from_its_total(tmp_path: Path) -> None:
    write(tmp_path, meta(), *parent_lines())
    base = {"thread_id": FIRST, "end_ordinal_exclusive": 9, "end_byte_offset": 999}
    write(tmp_path, meta(SECOND, forked_from_id=FIRST, history_base=base), *own_lines(), name=SECOND)
    assert sums(tmp_path) == {FIRST: 250, SECOND: 150}


def test_two_agents_that_used_the_same_in_turns_of_their_own_count_both(tmp_path: Path) -> None:
    write(tmp_path, meta(), *parent_lines())
    for number, name in enumerate((SECOND, THIRD)):
        lines = [context(turn_id=f"a{number}"), *prompt(), answer(), count(used(70, 0, 7), used(70, 0, 7))]
        write(tmp_path, spawned(name, FIRST), *lines, name=name)
    assert sums(tmp_path) == {FIRST: 250, SECOND: 70, THIRD: 70}


def test_equal_totals_of_sessions_that_have_nothing_to_do_with_each_other_count_both(tmp_path: Path) -> None:
    for name in (FIRST, SECOND):
        write(tmp_path, meta(name), *prompt(), answer(), count(used(70, 0, 7), used(70, 0, 7)), name=name)
    assert sums(tmp_path) == {FIRST: 70, SECOND: 70}


def test_sessions_that_go_on_from_each_other_in_a_circle_are_read(tmp_path: Path) -> None:
    write(tmp_path, meta(FIRST, forked_from_id=SECOND), *parent_lines())
    write(tmp_path, meta(SECOND, forked_from_id=FIRST), *parent_lines(), name=SECOND)
    assert sum(sums(tmp_path).values()) == 250


# Configurations


def test_the_model_and_the_effort_of_a_turn_are_those_of_the_context_before_it(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = []
    for model, effort in (("gpt-5.3-codex", "low"), ("gpt-5.5", "low"), ("gpt-5.5", "high"), (None, None)):
        lines += [context(model, effort), *prompt(), answer()]
    write(tmp_path, meta(), *lines)
    turns = frame(tmp_path, "turns").merge(
        frame(tmp_path, "model_configs"), on=["source", "model_config_id"], suffixes=("", "_of_config")
    )
    assert turns.request_model.fillna("").tolist() == ["gpt-5.3-codex", "gpt-5.5", "gpt-5.5", ""]
    assert turns.reasoning_effort.fillna("").tolist() == ["low", "low", "high", ""]
    assert turns.model_config_status.tolist() == ["recorded"] * 4


def test_without_any_context_the_configuration_is_not_known(tmp_path: Path) -> None:
    write(tmp_path, meta(), *prompt(), answer())
    assert frame(tmp_path, "turns").model_config_status.tolist() == ["unknown"]


# Messages


def test_what_a_human_said_is_one_message_though_it_is_there_twice(tmp_path: Path) -> None:
    write(
        tmp_path,
        meta(),
        *prompt("one"),
        answer(),
        *reversed(prompt("two")),
        answer(),
        event("user_message", message="3"),
    )
    messages = frame(tmp_path, "messages")
    assert messages[messages.role == "user"].content.tolist() == ["one", "two", "3"]
    assert frame(tmp_path, "turns").exchange_index.tolist() == [0, 1]
    assert frame(tmp_path, "turns").prompt.tolist() == ["one", "two"]


def test_what_the_tool_says_in_the_users_name_is_no_prompt(tmp_path: Path) -> None:
    envelopes = [
        "<environment_context>\n  <cwd>/work</cwd>\n</environment_context>",
        "# AGENTS.md instructions for /work\n\n<INSTRUCTIONS>",
        "<user_instructions>\n\nBe brief.\n\n</user_instructions>",
    ]
    write(tmp_path, meta(), *map(told, envelopes), told("q"), answer())
    messages = frame(tmp_path, "messages")
    assert messages.kind.tolist() == ["context", "context", "context", "message", "message"]
    assert frame(tmp_path, "turns").prompt.tolist() == ["q"]


def test_a_message_of_the_user_that_no_event_repeats_is_no_prompt(tmp_path: Path) -> None:
    write(tmp_path, meta(), told("<a_new_kind> of envelope"), *prompt("q"), answer())
    assert frame(tmp_path, "messages").kind.tolist() == ["context", "message", "message"]


def test_a_message_of_a_file_that_says_what_it_is_is_taken_at_its_word(tmp_path: Path) -> None:
    lines = []
    for text, kind in (("what?", "user.text"), ("<note>", "multi_agent.subagent_notification")):
        one = told(text)
        one["payload"]["internal_chat_message_metadata_passthrough"] = {"content_item_kinds": [kind]}
        lines.append(one)
    said = {"type": "UserMessage", "id": "u1", "content": [{"type": "text", "text": "what?"}]}
    write(tmp_path, meta(), lines[0], event("item_completed", item=said), answer(), lines[1], answer())
    assert frame(tmp_path, "messages").kind.tolist() == ["message", "message", "context", "message"]
    assert frame(tmp_path, "messages").content.tolist()[0] == "what?"


def test_a_developers_message_is_the_systems(tmp_path: Path) -> None:
    write(tmp_path, meta(), told("Be brief.", "developer"), *prompt(), answer())
    messages = frame(tmp_path, "messages")
    assert (messages.role[0], messages.kind[0], messages.content[0]) == ("system", "context", "Be brief.")


def test_a_picture_is_named_in_the_text(tmp_path: Path) -> None:
    content = [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": "data:,"}]
    write(tmp_path, meta(), item("message", role="user", content=content), answer())
    assert frame(tmp_path, "messages").content[0] == "What is it?\n\n[image]"


def test_a_prompt_that_is_a_picture_alone_is_one_message(tmp_path: Path) -> None:
    picture = item("message", role="user", content=[{"type": "input_image", "image_url": "data:,"}])
    write(tmp_path, meta(), picture, event("user_message", message="", images=["data:,"]), answer())
    messages = frame(tmp_path, "messages")
    assert (messages.kind.tolist(), messages.content[0]) == (["message", "message"], "[image]")


def test_an_abort_is_a_note_and_an_error_a_message_of_its_kind(tmp_path: Path) -> None:
    failed = event("task_complete", error={"message": "too large", "codex_error_info": "other"})
    lines = [event("error", message="no network"), event("turn_aborted", reason="interrupted"), failed]
    write(tmp_path, meta(), *prompt(), *lines, event("task_complete", last_agent_message=None, error=None))
    messages = frame(tmp_path, "messages")
    assert messages.kind.tolist() == ["message", "error", "note", "error"]
    assert messages.content.tolist()[1:] == ["no network", "interrupted", "too large"]
    assert len(frame(tmp_path, "turns")) == 0


def test_a_compaction_is_one_boundary_and_what_it_repeats_is_no_message(tmp_path: Path) -> None:
    history = [told("q")["payload"], answer("a")["payload"]]
    lines = [line("compacted", {"message": "So far: q.", "replacement_history": history}), event("context_compacted")]
    write(tmp_path, meta(), *prompt("q"), answer("a"), *lines, *prompt("r"), answer("b"))
    messages = frame(tmp_path, "messages")
    assert messages.kind.tolist() == ["message", "message", "boundary", "message", "message"]
    assert messages.content[2] == "So far: q."


def test_a_compaction_that_only_an_event_tells_of_is_a_boundary(tmp_path: Path) -> None:
    write(tmp_path, meta(), *prompt("q"), answer("a"), event("context_compacted"))
    assert frame(tmp_path, "messages").kind.tolist() == ["message", "message", "boundary"]


def test_answers_that_only_events_tell_of_are_turns(tmp_path: Path) -> None:
    lines = [event("user_message", message="q"), event("agent_message", message="a"), count(used(10, 0, 1))]
    write(tmp_path, meta(), *lines)
    assert frame(tmp_path, "turns")[["prompt", "response", "input_tokens"]].to_numpy().tolist() == [["q", "a", 10]]


def test_the_newest_name_of_a_thread_is_its_sessions(tmp_path: Path) -> None:
    names = [event("thread_name_updated", thread_id=FIRST, thread_name=name) for name in ("old", "new")]
    write(tmp_path, meta(), *names)
    assert frame(tmp_path, "sessions").name.tolist() == ["new"]


# Tools


def calls(folder: Path | str) -> pd.DataFrame:
    return frame(folder, "tool_calls")


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("plain", "plain"),
        ({"content": "of an object", "success": True}, "of an object"),
        ([{"type": "input_text", "text": "of"}, {"type": "input_image", "image_url": "data:,"}], "of\n\n[image]"),
        ({"other": 1}, '{"other":1}'),
        ("", None),
    ],
)
def test_a_result_is_a_text_an_object_or_a_list(tmp_path: Path, result: Any, text: str | None) -> None:
    write(tmp_path, meta(), *prompt(), call(), output("c1", result))
    found = calls(tmp_path).result[0]
    assert found == text or (text is None and not isinstance(found, str))
    assert calls(tmp_path).status.tolist() == ["ok"]


def test_each_kind_of_call_has_its_name_and_arguments(tmp_path: Path) -> None:
    action = {"type": "exec", "command": ["ls"]}
    lines = [
        call("c1", "mcp__tides__next", '{"place": "quay"}'),
        item("custom_tool_call", name="apply_patch", input="*** Begin Patch", call_id="c2", status="completed"),
        item("local_shell_call", action=action, call_id="c3", status="completed"),
        item("web_search_call", action={"type": "search", "query": "crabs"}, status="completed"),
    ]
    write(tmp_path, meta(), *prompt(), *lines, output("c2", "Done!", "custom_tool_call_output"), output("c3"))
    found = calls(tmp_path)
    assert found.tool_name.tolist() == ["mcp__tides__next", "apply_patch", "local_shell", "web_search"]
    assert found.arguments.tolist()[:2] == ['{"place": "quay"}', "*** Begin Patch"]
    assert [json.loads(text) for text in found.arguments[2:]] == [action, {"type": "search", "query": "crabs"}]
    assert found.status.tolist() == ["unanswered", "ok", "ok", "ok"]
    assert frame(tmp_path, "turns").tool_call_count.tolist() == [4]


ENDED: list[tuple[dict[str, Any] | None, Any, tuple[str, int | None, float | None]]] = [
    ({"exit_code": 1, "duration": {"secs": 2, "nanos": 500_000_000}}, "x", ("error", 1, 2.5)),
    ({"exit_code": 0, "duration": {"secs": 0, "nanos": 1000}, "status": "completed"}, "x", ("ok", 0, 1e-6)),
    ({"exit_code": -1, "status": "declined"}, "x", ("denied", -1, None)),
    (None, "Process exited with code 3\nOutput:\n", ("error", 3, None)),
    (None, "Exit code: 0\nWall time: 1.5 seconds\nOutput:\nExit code: 9", ("ok", 0, 1.5)),
    (None, '{"output":"x","metadata":{"exit_code":2,"duration_seconds":0.3}}', ("error", 2, 0.3)),
    (None, "exec command rejected by user", ("denied", None, None)),
    (None, "aborted by user after 1.2s", ("cancelled", None, None)),
    (None, "command timed out after 10000 milliseconds", ("timeout", None, None)),
    (None, {"content": "x", "success": False}, ("error", None, None)),
]


@pytest.mark.parametrize(("ended", "result", "expected"), ENDED)
def test_how_a_call_ended_is_told_by_its_event_or_its_result(
    tmp_path: Path, ended: dict[str, Any] | None, result: Any, expected: tuple[str, int | None, float | None]
) -> None:
    events = [] if ended is None else [event("exec_command_end", call_id="c1", **ended)]
    write(tmp_path, meta(), *prompt(), call(), *events, output("c1", result))
    found = calls(tmp_path).astype(object).iloc[0]
    seen = [None if pd.isna(value) else value for value in (found.status, found.exit_code, found.duration_s)]
    assert tuple(seen) == expected
    assert found.is_error == (expected[0] != "ok")


@pytest.mark.parametrize(
    "ended",
    [
        event("patch_apply_end", call_id="c1", success=False),
        event("mcp_tool_call_end", call_id="c1", result={"Err": "no tides"}),
        event("mcp_tool_call_end", call_id="c1", result={"Ok": {"content": [], "isError": True}}),
        event("item_completed", item={"type": "CommandExecution", "id": "c1", "status": "failed", "exit_code": 1}),
        event(
            "item_completed",
            item={"type": "McpToolCall", "id": "c1", "status": "completed", "result": {"isError": True}},
        ),
        event("item_completed", item={"type": "FileChange", "id": "c1", "status": "failed"}),
    ],
)
def test_a_failure_that_an_event_tells_of_is_an_error(tmp_path: Path, ended: dict[str, Any]) -> None:
    write(tmp_path, meta(), *prompt(), call(), ended, output("c1", "x"))
    assert calls(tmp_path).status.tolist() == ["error"]


def test_calls_of_the_same_id_have_each_their_own_result(tmp_path: Path) -> None:
    write(tmp_path, meta(), *prompt(), call("c1"), output("c1", "1"), call("c1"), output("c1", "2"))
    assert calls(tmp_path).result.tolist() == ["1", "2"]


def test_a_result_of_no_call_is_a_message_and_a_problem(tmp_path: Path) -> None:
    write(tmp_path, meta(), *prompt(), output("c9", "lost"))
    assert frame(tmp_path, "messages").content.tolist() == ["q", "lost"]
    assert [reason.partition(",")[0] for _, reason in problems(tmp_path)] == ["it is the result of the call c9"]


# What is broken or not known


def test_a_broken_line_is_a_problem_and_the_others_are_read(tmp_path: Path) -> None:
    write(tmp_path, meta(), *prompt(), b'{"timestamp": \n', answer("a"), b"[1, 2]\n")
    assert frame(tmp_path, "turns").response.tolist() == ["a"]
    reasons = [("line 4", "it is no JSON; it is left out"), ("line 6", "it is no object; it is left out")]
    assert problems(tmp_path) == reasons


def test_a_last_line_that_was_cut_off_is_a_problem_once_the_tool_is_gone(tmp_path: Path) -> None:
    cut = json.dumps(answer("b")).encode()[:-9]
    write(tmp_path, meta(), *prompt(), answer("a"), cut)
    assert frame(tmp_path, "turns").response.tolist() == ["a"]
    assert problems(tmp_path) == [("the last line", "the file is cut off in it; it is left out")]


def test_a_last_line_that_is_being_written_is_none(tmp_path: Path) -> None:
    write(tmp_path, meta(), *prompt(), answer("a"), json.dumps(answer("b")).encode()[:-9], settled=False)
    assert problems(tmp_path) == []


def test_types_that_are_not_known_pass_and_are_counted(tmp_path: Path) -> None:
    state = line("world_state", {"full": True, "state": {}})
    lines = [line("hologram", {"depth": 3}), state, event("hologram"), item("hologram"), line("hologram", None)]
    write(tmp_path, meta(), *prompt(), *lines, answer("a"))
    assert frame(tmp_path, "turns").response.tolist() == ["a"]
    assert problems(tmp_path) == [("type hologram", "2 of this type, which is not known, left out")]


def test_a_time_that_is_none_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path, meta(), *prompt(), {**answer("a"), "timestamp": "2026"})
    assert frame(tmp_path, "turns").started_at.isna().tolist() == [True]
    assert problems(tmp_path) == [("line 4", "timestamp is no time; it is NULL")]


def test_limits_and_empty_sessions_give_no_turns(tmp_path: Path) -> None:
    write(tmp_path, meta(), count(None))
    assert len(frame(tmp_path, "sessions")) == 1
    assert len(frame(tmp_path, "turns")) == len(frame(tmp_path, "token_usage")) == 0


def test_what_a_session_says_more_is_read_when_it_has_said_it(tmp_path: Path) -> None:
    write(tmp_path, meta(), context(), *prompt("one"), answer("1"), count(used(100, 0, 10)))
    assert usages(tmp_path) == [[100, 0, 10, 0]]
    path = next(tmp_path.rglob("*.jsonl"))
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(one) + "\n" for one in [*prompt("two"), answer("2"), count(used(250, 0, 30))])
    assert usages(tmp_path) == [[100, 0, 10, 0], [150, 0, 20, 0]]
    assert frame(tmp_path, "messages").content.tolist() == ["one", "1", "two", "2"]


def test_when_the_parent_is_deleted_the_fork_has_its_tokens(tmp_path: Path) -> None:
    write(tmp_path, meta(), *parent_lines())
    write(tmp_path, meta(SECOND, forked_from_id=FIRST), meta(), *parent_lines(), *own_lines(), name=SECOND)
    assert sums(tmp_path) == {FIRST: 250, SECOND: 150}
    os.remove(next(path for path in tmp_path.rglob("*.jsonl") if path.stem.endswith(FIRST)))
    assert sums(tmp_path) == {SECOND: 400}


# The token usage alone, for which less is read


def test_the_token_usage_is_the_same_when_nothing_else_is_asked_for() -> None:
    with sessionlab.open(SAMPLE) as lab:
        alone = lab.frame("token_usage")
        frame(SAMPLE, "messages")
        pd.testing.assert_frame_equal(alone, frame(SAMPLE, "token_usage"))


# The sample


def test_the_sample_is_counted_as_those_who_made_it_know(maker: Any) -> None:
    known: dict[str, dict[str, int]] = maker.expected()
    names = {"turns": "turn_count", "cached_input_tokens": "cache_read_input_tokens"}
    sessions = frame(SAMPLE, "sessions").fillna(dict.fromkeys((*TOKENS, "turn_count"), 0))
    found = {session["session_id"]: session for session in sessions.to_dict("records")}
    for session_id, counts in known.items():
        assert {name: found[session_id][names.get(name, name)] for name in counts} == counts


@pytest.mark.parametrize(
    ("version", "tokens"),
    [
        ("codex_0_55", [8870, 1716, 5288]),
        ("codex_0_128", [12210, 5026, 2548, 1658, 3988]),
        ("codex", [12210, 1490, 5026, 2548, 1658, 3988]),
    ],
)
def test_what_the_program_itself_wrote_counts_what_its_server_said(version: str, tokens: list[int]) -> None:
    sessions = frame(os.path.join(REAL, version, "sessions"), "sessions")
    assert (sessions.input_tokens + sessions.output_tokens).tolist() == tokens
    assert problems(os.path.join(REAL, version, "sessions")) == []
