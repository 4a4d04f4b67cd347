"""The Gemini CLI: sessions as one JSON text or as lines of changes; what was taken back, copied or compressed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opened import frame, lab_of, problems

import sessionlab
from sessionlab.lab.files import first_records
from sessionlab.sources import Problem
from sessionlab.sources.gemini_cli import default_paths, recognises_file, records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAMPLE = os.path.join(ROOT, "sample_data", "gemini_cli")
ID = "0b8f2d5e-8a54-4f0e-9d1c-00000000000{}"
SESSION = ID.format(0)
SETTLED = 1_700_000_000
NAME = "tmp/harbor/chats/session-2026-07-09T08-00-0b8f2d5e.jsonl"
TOKENS = {"input": 1000, "output": 40, "cached": 800, "thoughts": 60, "tool": 0, "total": 1100}


def clock(second: int) -> str:
    return f"2026-07-09T08:00:{second:02d}.250Z"


def about(session_id: Any = SESSION, **more: Any) -> dict[str, Any]:
    times = {"startTime": clock(0), "lastUpdated": clock(0)}
    return {"sessionId": session_id, "projectHash": "a1b2", **times, "kind": "main", **more}


def message(number: int, kind: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"id": f"m{number}", "timestamp": clock(number), "type": kind, "content": content, **more}


def user(number: int, text: Any = "q", **more: Any) -> dict[str, Any]:
    return message(number, "user", [{"text": text}] if isinstance(text, str) else text, **more)


def said(number: int, text: Any = "a", **more: Any) -> dict[str, Any]:
    given = {"thoughts": [], "tokens": TOKENS, "model": "gemini-3.1-pro-preview", **more}
    return message(number, "gemini", text, **given)


def response(call_id: str, **given: Any) -> dict[str, Any]:
    return {"functionResponse": {"id": call_id, "name": "read_file", "response": given}}


def call(call_id: str = "c1", status: Any = "success", result: Any = ..., **more: Any) -> dict[str, Any]:
    parts = [response(call_id, output="done")] if result is ... else result
    given = {"id": call_id, "name": "read_file", "args": {"path": "x"}, "result": parts, "status": status}
    return {**given, "timestamp": clock(9), **more}


def write(folder: str, *lines: Any, name: str = NAME, end: str = "\n", age: int = SETTLED) -> str:
    """Write a file of lines, or of one JSON text, and return the folder."""
    path = os.path.join(folder, *name.split("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(texts) + end)
    os.utime(path, (age, age))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / ".gemini")


def one(folder: str, name: str, *lines: Any, **more: Any) -> pd.DataFrame:
    """Return a frame of a session of these lines."""
    return frame(write(folder, about(), *lines, **more), name)


# Whose file it is


@pytest.mark.parametrize(
    ("name", "text", "is_ours"),
    [
        ("session-1.jsonl", json.dumps(about()), True),
        ("x.jsonl", json.dumps({"$set": {"lastUpdated": clock(1)}}), True),
        ("x.jsonl", json.dumps(user(1)), True),
        ("session-1.json", json.dumps(about(), indent=2), True),
        ("session-1.json", '{"sessionId": "0badc0de", "me', False),
        ("chats/session-1.json", '{"sessionId": "0badc0de", "me', True),
        ("x.jsonl", json.dumps({"type": "user", "uuid": "u", "sessionId": "s", "message": {}}), False),
        ("x.jsonl", json.dumps({"type": "user", "id": "x", "parent": "y"}), False),
        ("chats/session-1.json", '{"id": "ses_1"}', False),
        ("chats/session-1.json", "{", None),
        ("session-1.json", "{", False),
        ("x.jsonl", "", None),
    ],
)
def test_a_file_is_recognised_by_what_only_this_tool_writes(
    tmp_path: Path, name: str, text: str, is_ours: bool | None
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert recognises_file(str(path), first_records(str(path))) is is_ours


def test_the_prompts_that_lie_beside_the_sessions_are_no_session(folder: str) -> None:
    logs = [{"sessionId": SESSION, "messageId": 0, "type": "user", "message": "q", "timestamp": clock(1)}]
    write(folder, json.dumps(logs, indent=2), name="tmp/harbor/logs.json")
    assert len(one(folder, "messages", user(1), said(2))) == 2
    assert problems(folder) == []


def test_the_place_is_that_of_the_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GEMINI_CLI_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert default_paths() == [str(tmp_path / ".gemini" / "tmp")]
    monkeypatch.setenv("GEMINI_CLI_HOME", str(tmp_path / "elsewhere"))
    assert default_paths() == [str(tmp_path / "elsewhere" / ".gemini" / "tmp")]


# What is written again


def test_a_message_that_is_written_again_is_one_and_the_last_one_is_right(folder: str) -> None:
    lines = [user(1), said(2, "", tokens=None), said(2, "", toolCalls=[call()]), said(2, "Done.", toolCalls=[call()])]
    turns = one(folder, "turns", *lines)
    assert turns.response.tolist() == ["Done."]
    assert turns.input_tokens.tolist() == [1000]
    assert turns.tool_call_count.tolist() == [1]
    assert frame(folder, "messages").message_id.tolist() == ["m1", "m2", "m2#1"]


def test_a_resumed_session_keeps_the_tokens_that_its_copy_for_the_model_lacks(folder: str) -> None:
    thought = {"subject": "Look", "description": "There.", "timestamp": clock(2)}
    lines = [user(1), said(2, "Hi.", thoughts=[thought]), about(startTime=clock(30), lastUpdated=clock(30))]
    copies = [
        user(1) | {"timestamp": clock(31)},
        message(2, "gemini", [{"text": "**Look** There.", "thought": True}, {"text": "Hi."}])
        | {"timestamp": clock(31)},
    ]
    lines += [{"$set": {"messages": []}}, {"$set": {"messages": copies}}, user(33, "more"), said(34, "Bye.")]
    turns = one(folder, "turns", *lines)
    assert turns.response.tolist() == ["Hi.", "Bye."]
    assert turns.reasoning.fillna("-").tolist() == ["Look\nThere.", "-"]
    assert turns.output_tokens.tolist() == [100, 100]
    assert turns.started_at.tolist() == [pd.Timestamp(clock(2)), pd.Timestamp(clock(34))]
    sessions = frame(folder, "sessions")
    assert sessions.message_count.tolist() == [4]
    assert sessions.started_at.tolist() == [pd.Timestamp(clock(0))]
    assert frame(folder, "messages").parent_message_id.fillna("-").tolist() == ["-", "m1", "m2", "m33"]


def test_answers_that_a_summary_takes_the_place_of_were_made_all_the_same(folder: str) -> None:
    summary = [user(5, "<state_snapshot>"), message(6, "gemini", [{"text": "Got it."}]), user(3, "again")]
    lines = [user(1), said(2, "first"), user(3, "again"), {"$set": {"messages": summary}}, said(7, "second")]
    turns = one(folder, "turns", *lines)
    assert turns.response.tolist() == ["first", "second"]
    assert turns.exchange_index.tolist() == [0, 1]
    assert turns.is_sidechain.tolist() == [False, False]
    f = frame(folder, "messages")
    assert f.kind.tolist() == ["message", "message", "message", "context", "context", "message"]
    assert f.message_id.tolist() == ["m1", "m2", "m3", "m5", "m6", "m7"]
    assert f.parent_message_id.tolist()[-1] == "m3"


def test_a_rewind_makes_a_sidechain_of_what_was_paid_for_and_taken_back(folder: str) -> None:
    lines = [user(1), said(2), user(3, "no"), said(4, "x", toolCalls=[call()]), {"$rewindTo": "m3"}, user(5), said(6)]
    f = one(folder, "messages", *lines)
    assert f.message_id.tolist() == ["m1", "m2", "m3", "m4", "m4#1", "m5", "m6"]
    assert f.is_sidechain.tolist() == [False, False, True, True, True, False, False]
    assert f.parent_message_id.fillna("-").tolist() == ["-", "m1", "m2", "m3", "m4", "m2", "m5"]
    turns = frame(folder, "turns")
    assert turns.is_sidechain.tolist() == [False, True, False]
    assert turns.input_tokens.sum() == 3000
    assert turns.exchange_index.tolist() == [0, 1, 2]


def test_a_rewind_to_a_message_that_is_not_known_takes_all_back(folder: str) -> None:
    turns = one(folder, "turns", user(1), said(2), {"$rewindTo": "gone"}, user(3), said(4))
    assert turns.is_sidechain.tolist() == [True, False]
    assert frame(folder, "messages").parent_message_id.fillna("-").tolist() == ["-", "m1", "-", "m3"]


def test_what_comes_back_after_a_rewind_is_no_sidechain(folder: str) -> None:
    restored = {"$set": {"messages": [user(1), message(2, "gemini", "a")]}}
    turns = one(folder, "turns", user(1), said(2), {"$rewindTo": "m1"}, restored)
    assert turns.is_sidechain.tolist() == [False]
    assert turns.usage_quality.tolist() == ["final"]


def test_both_files_of_a_session_that_moved_to_lines_are_one_session(folder: str) -> None:
    whole = about(kind=None) | {"messages": [message(1, "user", "q"), said(2)]}
    write(folder, json.dumps(whole, indent=2), name=NAME.removesuffix("l"), end="")
    sessions = one(folder, "sessions", message(1, "user", "q"), said(2), user(3), said(4))
    assert sessions.message_count.tolist() == [4]
    assert sessions.input_tokens.tolist() == [2000]
    assert frame(folder, "messages").content.tolist() == ["q", "a", "q", "a"]
    assert sessions.origin.tolist() == [os.path.join(folder, *NAME.split("/"))]


def test_a_copy_of_a_file_elsewhere_counts_nothing_twice(folder: str) -> None:
    write(folder, about(), user(1), said(2), name="backup/chats/session-1.jsonl")
    sessions = one(folder, "sessions", user(1), said(2), user(3), said(4))
    assert sessions.turn_count.tolist() == [2]
    assert frame(folder, "messages").content.tolist() == ["q", "a", "q", "a"]


@settings(max_examples=12)
@given(st.data())
def test_however_often_messages_are_written_again_the_sums_stay_the_same(data: st.DataObject) -> None:
    messages = [user(1), said(2, toolCalls=[call("c1")]), said(3), user(4), said(5, thoughts=[{"subject": "s"}])]
    lines: list[Any] = [about()]
    for number, given_message in enumerate(messages):
        lines.append(given_message)
        for _ in range(data.draw(st.integers(0, 2))):
            kind = data.draw(st.sampled_from(["again", "copies", "known", "resumed"]))
            bare = [{n: m[n] for n in ("id", "timestamp", "type", "content")} for m in messages[: number + 1]]
            lines += {
                "again": [given_message],
                "copies": [{"$set": {"messages": bare[data.draw(st.integers(0, number)) :]}}],
                "known": [{"$set": {"lastUpdated": clock(50)}}],
                "resumed": [about(startTime=clock(51)), {"$set": {"messages": bare}}],
            }[kind]
    with tempfile.TemporaryDirectory() as folder, sessionlab.open(write(folder, *lines)) as lab:
        [session] = lab.frame("sessions").to_dict("records")
        assert (session["message_count"], session["turn_count"], session["tool_call_count"]) == (6, 3, 1)
        assert (session["input_tokens"], session["output_tokens"]) == (3000, 300)
        assert lab.frame("messages").message_id.tolist() == ["m1", "m2", "m2#1", "m3", "m4", "m5"]


# Tokens


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (TOKENS, (1000, 100, 800, 60, "final")),
        ({"input": 10, "output": 2, "cached": 0, "thoughts": 0, "tool": 0, "total": 12}, (10, 2, 0, 0, "final")),
        ({"input": 10, "output": 2, "cached": 0, "thoughts": 3, "tool": 5, "total": 20}, (15, 5, 0, 3, "final")),
        ({"input": 10, "output": 2, "cached": 0, "thoughts": 3, "tool": 5, "total": 15}, (10, 5, 0, 3, "final")),
        ({"input": 10, "output": 2, "cached": 4, "total": 12}, (10, 2, 4, None, "final")),
        (None, (None, None, None, None, "missing")),
    ],
)
def test_input_holds_what_was_cached_and_output_what_was_thought(
    folder: str, tokens: Any, expected: tuple[Any, ...]
) -> None:
    [turn] = one(folder, "turns", user(1), said(2, tokens=tokens)).astype(object).to_dict("records")
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "reasoning_output_tokens", "usage_quality")
    assert tuple(None if pd.isna(turn[name]) else turn[name] for name in names) == expected
    assert problems(folder) == []


@pytest.mark.parametrize(
    "tokens", [5, "many", [], {"input": "1", "output": 2}, {"input": -1}, {"input": 1.5}, {"total": True}]
)
def test_tokens_that_are_no_numbers_are_a_problem_and_not_zero(folder: str, tokens: Any) -> None:
    turns = one(folder, "turns", user(1), said(2, tokens=tokens))
    assert turns.input_tokens.isna().all()
    assert problems(folder) == [("message m2", "tokens are no numbers of tokens; those are NULL")]


def test_more_cached_tokens_than_there_are_is_a_problem(folder: str) -> None:
    usage = one(folder, "token_usage", user(1), said(2, tokens=TOKENS | {"cached": 1001}))
    assert dict(zip(usage.token_type, usage.tokens, strict=True)) == {
        "uncached_input": 1000, "output": 40, "reasoning": 60
    }  # fmt: skip
    assert problems(folder) == [("message m2", "more tokens are cached than there are; how many is NULL")]


def test_the_model_is_the_one_that_answered_and_nothing_says_what_was_asked_for(folder: str) -> None:
    [turn] = one(folder, "turns", user(1), said(2)).astype(object).to_dict("records")
    assert (turn["provider_name"], turn["response_model"]) == ("gcp.gemini", "gemini-3.1-pro-preview")
    assert pd.isna(turn["request_model"])
    assert turn["model_config_status"] == "recorded"
    assert frame(folder, "model_configs").turn_count.tolist() == [1]


# Messages


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("text", "text"),
        ({"text": "one part"}, "one part"),
        (["a", {"text": "b"}], "ab"),
        ([{"text": "see "}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}], "see [file image/png]"),
        ([{"fileData": {"mimeType": "text/plain", "fileUri": "gs://x"}}], "[file text/plain gs://x]"),
        ([{"text": "hidden", "thought": True}, {"text": "shown"}, None, 5], "shown"),
        ("\ud800 half", "\ufffd half"),
    ],
)
def test_content_is_a_text_a_part_or_a_list_of_both(folder: str, content: Any, expected: str) -> None:
    f = one(folder, "messages", message(1, "user", content), said(2, content))
    assert f.content.tolist() == [expected] * 2
    assert frame(folder, "turns").prompt.tolist() == [expected]


def test_a_prompt_is_what_the_user_typed_and_not_what_was_made_of_it(folder: str) -> None:
    expanded = [{"text": "Read @notes.md"}, {"text": "\n--- Content from referenced files ---\nsecret plans"}]
    f = one(folder, "messages", user(1, expanded, displayContent=[{"text": "Read @notes.md"}]), said(2))
    assert f.content.tolist() == ["Read @notes.md", "a"]


def test_thoughts_are_the_reasoning_of_the_answer(folder: str) -> None:
    thoughts = [{"subject": "One", "description": "first"}, {"subject": "Two"}, "odd", {"description": "third"}]
    assert one(folder, "turns", user(1), said(2, thoughts=thoughts)).reasoning.tolist() == [
        "One\nfirst\n\nTwo\n\nthird"
    ]


def test_what_the_tool_puts_among_the_messages_is_no_prompt(folder: str) -> None:
    context = {"$set": {"messages": [user(1, "<session_context>\nhello\n</session_context>")]}}
    lines = [context, user(2, "<hook_context>linted</hook_context>"), user(3, "/stats"), user(4, []), user(5), said(6)]
    f = one(folder, "messages", *lines)
    assert f.kind.tolist() == ["context", "context", "out_of_band", "context", "message", "message"]
    assert frame(folder, "turns").exchange_index.tolist() == [0]
    assert frame(folder, "sessions").first_prompt.tolist() == ["q"]


def test_a_command_that_the_model_answered_is_a_prompt(folder: str) -> None:
    turns = one(folder, "turns", user(1, "/home/ada/notes.md says what?"), message(2, "info", "i"), said(3))
    assert turns.prompt.tolist() == ["/home/ada/notes.md says what?"]


def test_what_stands_in_the_place_of_an_answer_is_no_turn(folder: str) -> None:
    lines = [user(1), message(2, "gemini", [{"text": "Binary", "thought": True}]), message(3, "gemini", ""), said(4)]
    assert one(folder, "turns", *lines).response.tolist() == ["a"]
    assert frame(folder, "messages").kind.tolist() == ["message", "context", "context", "message"]


def test_notes_and_errors_are_told_by_the_tool_and_are_no_turns(folder: str) -> None:
    lines = [user(1), *(message(n, kind, kind) for n, kind in enumerate(("info", "warning", "error"), 2))]
    f = one(folder, "messages", *lines)
    assert f.role.tolist() == ["user", "system", "system", "system"]
    assert f.kind.tolist() == ["message", "note", "note", "error"]
    assert frame(folder, "turns").empty


# Tools


@pytest.mark.parametrize(
    ("status", "given", "expected", "is_error"),
    [
        ("success", {"output": "ok"}, "ok", False),
        ("error", {"error": "no"}, "error", True),
        ("cancelled", {"error": "[Operation Cancelled] Reason: User denied execution."}, "denied", True),
        ("cancelled", {"error": "[Operation Cancelled] User cancelled tool execution."}, "cancelled", True),
        (None, {"output": "ok"}, "ok", False),
    ],
)
def test_a_call_has_the_status_that_the_tool_gave_it(
    folder: str, status: Any, given: dict[str, Any], expected: str, is_error: bool
) -> None:
    calls = one(folder, "tool_calls", user(1), said(2, toolCalls=[call("c1", status, [response("c1", **given)])]))
    assert calls.status.tolist() == [expected]
    assert calls.is_error.tolist() == [is_error]
    assert calls.result.tolist() == list(given.values())
    assert calls.arguments.tolist() == ['{"path": "x"}']
    assert frame(folder, "turns").finish_reason.tolist() == ["tool_call"]


@pytest.mark.parametrize("status", ["executing", "scheduled", "awaiting_approval", None])
def test_a_call_without_a_result_is_unanswered(folder: str, status: str | None) -> None:
    calls = one(folder, "tool_calls", user(1), said(2, toolCalls=[call("c1", status, None)]))
    assert calls.status.tolist() == ["unanswered"]
    assert len(frame(folder, "messages")) == 2


@pytest.mark.parametrize(
    ("output", "exit_code", "status"),
    [
        ("Output: x\nExit Code: 2\nProcess Group PGID: 7", 2, "error"),
        ("<untrusted_context>\nOutput: x\nExit Code: 1\nProcess Group PGID: 7\n</untrusted_context>", 1, "error"),
        ("Command: ls\nOutput: x\nError: (none)\nExit Code: 0\nSignal: (none)\nBackground PIDs: (none)", 0, "ok"),
        ("Output: Exit Code: 3\nExit Code: 3\nand more", None, "ok"),
        ("Output: x", None, "ok"),
    ],
)
def test_a_command_that_failed_is_an_error_although_it_ran(
    folder: str, output: str, exit_code: int | None, status: str
) -> None:
    made = call("c1", "success", [response("c1", output=output)], name="run_shell_command")
    calls = one(folder, "tool_calls", user(1), said(2, toolCalls=[made]))
    assert calls.exit_code.fillna(-1).tolist() == [-1 if exit_code is None else exit_code]
    assert calls.status.tolist() == [status]


def test_results_for_the_model_are_no_prompts_and_say_what_the_call_does_not(folder: str) -> None:
    both = [response("c1", output="one"), response("c2", error="two", output="half")]
    # After a while the tool gives each of the calls the answers of all.
    lines = [user(1), said(2, toolCalls=[call("c1", result=both), call("c2", "error", None)]), user(3, both), said(4)]
    calls = one(folder, "tool_calls", *lines)
    assert calls.result.tolist() == ["one", "two\nhalf"]
    assert calls.status.tolist() == ["ok", "error"]
    f = frame(folder, "messages")
    assert f.role.tolist() == ["user", "assistant", "tool", "tool", "assistant"]
    assert f.parent_message_id.fillna("-").tolist() == ["-", "m1", "m2", "m2", "m2#2"]
    assert f.turn_id.fillna("-").tolist() == ["-", "m2", "m2", "m2", "m4"]
    assert frame(folder, "turns").exchange_index.tolist() == [0, 0]


def test_a_result_of_a_call_that_is_not_there_is_context(folder: str) -> None:
    f = one(folder, "messages", user(1, [response("gone", output="found")]), user(2), said(3))
    assert f[["role", "kind", "content"]].values[0].tolist() == ["tool", "context", "found"]


def test_a_result_that_the_tool_cut_is_given_as_it_was_recorded(folder: str) -> None:
    cut = "Output too large. Showing first 8,000 characters.\nbegin\n\n... [61,044 characters omitted] ...\n\nend"
    calls = one(folder, "tool_calls", user(1), said(2, toolCalls=[call("c1", result=[response("c1", output=cut)])]))
    assert calls.result.tolist() == [cut]


# Sessions


def test_a_subagent_is_a_session_of_its_own_that_knows_its_parent(folder: str) -> None:
    child = ID.format(1)
    lines = [about(child, kind="subagent", directories=["/home/ada/harbor"]), user(1, "find it"), said(2)]
    write(folder, *lines, name=f"tmp/harbor/chats/{SESSION}/{child}.jsonl")
    sessions = one(folder, "sessions", user(1), said(2, toolCalls=[call("c1", agentId=child)]))
    assert dict(zip(sessions.session_id, sessions.parent_session_id.fillna("-"), strict=True)) == {
        SESSION: "-", child: SESSION
    }  # fmt: skip
    assert sessions.set_index("session_id").directory[child] == "/home/ada/harbor"
    assert len(frame(folder, "turns")) == 2


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        ("<session_context>\n- **Workspace Directories:**\n  - /home/ada/harbor\n  - /x\n", "/home/ada/harbor"),
        ("<session_context>\nI'm currently working in the directory: /home/ada/harbor\n", "/home/ada/harbor"),
        ("<session_context>\nNothing of the kind.", None),
        ("Workspace Directories:**\n  - /not/told/by/the/tool", None),
    ],
)
def test_the_folder_is_the_one_that_the_model_was_told(folder: str, text: str, directory: str | None) -> None:
    found = one(folder, "sessions", {"$set": {"messages": [user(1, text)]}}, user(2), said(3)).directory
    assert found.isna().all() if directory is None else found.tolist() == [directory]


def test_a_summary_is_the_name_and_a_later_one_takes_its_place(folder: str) -> None:
    lines = [
        user(1),
        said(2),
        {"$set": {"summary": "First"}},
        {"$set": {"summary": "Fix it"}},
        {"$set": {"summary": None}},
    ]
    sessions = one(folder, "sessions", *lines)
    assert sessions.name.tolist() == ["Fix it"]
    assert json.loads(sessions.metadata[0]) == {"project_hash": "a1b2", "kind": "main"}
    assert sessions.agent_name.tolist() == ["gemini-cli"]


def test_ids_that_are_not_unique_in_the_world_are_qualified_and_a_missing_one_is_made(folder: str) -> None:
    for project in ("harbor", "lantern"):
        write(folder, about("mine"), user(1), name=f"tmp/{project}/chats/session-1.jsonl")
        write(folder, user(1), name=f"tmp/{project}/chats/session-2.jsonl")
    sessions = frame(folder, "sessions")
    assert sorted(sessions.session_id) == ["harbor:mine", "harbor:session-2", "lantern:mine", "lantern:session-2"]
    assert sessions.native_id.fillna("-").value_counts().to_dict() == {"mine": 2, "-": 2}
    assert problems(folder) == [("the session", "sessionId is missing; the session has a made one")] * 2


@pytest.mark.parametrize(
    "text", ["2026", "", "yesterday", "2026-07-09", "1783584000", "2026-02-30T00:00:00Z", "infinity"]
)
def test_a_time_that_is_none_is_null_with_a_problem(folder: str, text: str) -> None:
    f = one(folder, "messages", user(1) | {"timestamp": text}, said(2))
    assert f.created_at.isna().tolist() == [True, False]
    assert [record for record, _ in problems(folder)] == ["message m1"]


# Files that are broken, and files that grow


def test_broken_lines_are_problems_with_their_places_and_hide_nothing(folder: str) -> None:
    broken = [
        '{"id":"x',
        "[1]",
        {"id": "m3", "content": "?"},
        {"$set": {"messages": 5}},
        {"$set": {"messages": [1, {}]}},
    ]
    write(folder, about(), user(1), *broken, {"$patch": {}}, said(2), user(9) | {"type": "hologram"})
    assert frame(folder, "messages").message_id.tolist() == ["m1", "m2"]
    found = lab_of(folder).problems
    assert found.line.fillna(0).tolist() == [3, 4, 5, 6, 7, 7, 0]
    assert found.reason.tolist()[-1] == "1 of this type, which is not known, left out"


def test_a_last_line_that_is_cut_off_is_a_problem_unless_the_file_is_being_written(folder: str) -> None:
    path = os.path.join(write(folder, about(), user(1), '{"id":"m2","ti', end=""), *NAME.split("/"))
    assert [p.line for p in records(path) if isinstance(p, Problem)] == [3]
    os.utime(path)
    assert [p for p in records(path) if isinstance(p, Problem)] == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"sessionId": 5, "messages": {}}', '{"messages": [null, {}]}']
)
def test_a_broken_json_text_is_a_problem(folder: str, text: str) -> None:
    write(folder, text, name="tmp/harbor/chats/session-1.json", end="")
    path = os.path.join(folder, "tmp", "harbor", "chats", "session-1.json")
    assert any(isinstance(record, Problem) for record in records(path))


def test_a_file_that_grows_is_read_on_and_one_that_is_gone_is_forgotten(folder: str) -> None:
    assert one(folder, "turns", user(1), said(2), age=SETTLED).response.tolist() == ["a"]
    path = os.path.join(folder, *NAME.split("/"))
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(said(2, "b", toolCalls=[call()])) + "\n" + json.dumps(user(3, "lighthouse")) + "\n")
    assert frame(folder, "turns").response.tolist() == ["b"]
    assert frame(folder, "turns").tool_call_count.tolist() == [1]
    assert lab_of(folder).search("lighthouse").message_id.tolist() == ["m3"]
    write(folder, about(ID.format(1)), user(1), name="tmp/harbor/chats/session-2.jsonl")
    assert len(frame(folder, "sessions")) == 2
    os.remove(path)
    assert frame(folder, "sessions").session_id.tolist() == [ID.format(1)]


def check(f: Mapping[str, pd.DataFrame]) -> None:
    """Check what the frames promise."""
    sessions, turns, messages, calls, usage = f.values()
    for keys, some in (
        (["session_id"], sessions),
        (["session_id", "turn_id"], turns),
        (["session_id", "message_id"], messages),
        (["session_id", "tool_call_index"], calls),
        (["session_id", "turn_id", "token_type"], usage),
    ):
        assert not some.duplicated(keys).any()
        assert set(some.session_id) <= set(sessions.session_id)
    for some, column in ((turns, "turn_index"), (messages, "message_index"), (calls, "tool_call_index")):
        assert some.groupby("session_id", sort=False).cumcount().tolist() == some[column].tolist()
    for column, some in (("message_count", messages), ("turn_count", turns), ("tool_call_count", calls)):
        counted = some.groupby("session_id").size().reindex(sessions.session_id, fill_value=0)
        assert counted.tolist() == sessions[column].tolist()
    own = messages.merge(turns, left_on=["session_id", "message_id"], right_on=["session_id", "turn_id"])
    assert len(own) == len(turns)
    assert (own.role == "assistant").all()
    known = set(zip(messages.session_id, messages.message_id, strict=True))
    parents = messages.dropna(subset="parent_message_id")
    assert set(zip(parents.session_id, parents.parent_message_id, strict=True)) <= known
    assert calls.is_error.isna().tolist() == (calls.status == "unanswered").tolist()
    assert (calls.status != "unanswered").sum() <= (messages.role == "tool").sum()
    prompts = messages[(messages.role == "user") & (messages.kind == "message")].groupby("session_id").size()
    highest = turns.groupby("session_id").exchange_index.max().dropna()
    assert (highest < prompts.reindex(highest.index)).all()
    assert (usage.tokens >= 0).all()


def check_all(path: str) -> None:
    with sessionlab.open(path) as lab:
        names = ("sessions", "turns", "messages", "tool_calls", "token_usage")
        check({name: lab.frame(name) for name in names})
        assert lab.frame("model_configs") is not None
        assert len(lab.problems) >= 0


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, -1, 2**63, 1e308, -0.5, "", "x", "\0", "\ud800", "m1", clock(1)]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "text"]), inner, max_size=2),
    max_leaves=4,
)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, strategy, JUNK)


IDS = st.sampled_from(["m1", "m2", "m3", "m4"])
PARTS = st.lists(
    st.sampled_from([{"text": "hi"}, {"text": "t", "thought": True}, response("c1", output="o"), {"inlineData": {}}])
    | JUNK,
    max_size=3,
)
CALL = st.fixed_dictionaries(
    {"id": _maybe(st.sampled_from(["c1", "c2"])), "name": _maybe(st.just("run_shell_command"))},
    optional={
        "args": JUNK,
        "result": _maybe(PARTS),
        "status": _maybe(st.sampled_from(["success", "error", "cancelled"])),
    },
)
MESSAGE = st.fixed_dictionaries(
    {"id": _maybe(IDS), "type": _maybe(st.sampled_from(["user", "gemini", "gemini", "info", "error"]))},
    optional={
        "timestamp": _maybe(st.just(clock(1))), "content": _maybe(PARTS), "displayContent": JUNK,
        "thoughts": _maybe(st.lists(st.just({"subject": "s"}), max_size=2)), "tokens": _maybe(st.just(TOKENS)),
        "model": _maybe(st.just("gemini-3-flash-preview")), "toolCalls": _maybe(st.lists(_maybe(CALL), max_size=3)),
    },
)  # fmt: skip
LINE = st.one_of(
    MESSAGE,
    MESSAGE,
    MESSAGE,
    st.builds(lambda i: {"$rewindTo": i}, _maybe(IDS)),
    st.builds(lambda m: {"$set": {"messages": m}}, _maybe(st.lists(_maybe(MESSAGE), max_size=4))),
    st.builds(lambda value: {"$set": {"summary": value, "directories": value, "startTime": value}}, JUNK),
    st.builds(about, _maybe(st.just(SESSION))),
    JUNK,
)


@settings(max_examples=20)
@given(st.lists(LINE, max_size=12), st.booleans())
@example([{"id": "m1", "type": "gemini", "content": "[" * 50_000, "tokens": {"input": 2**70}}], True)
@example([{"id": "m1", "type": "user", "content": [[[[]]]]}, {"$rewindTo": "m1"}, {"$rewindTo": "m1"}], False)
def test_whatever_the_lines_hold_the_frames_keep_what_they_promise(lines: list[Any], is_whole: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(folder, about(ID.format(1)), user(1), said(2), name="tmp/harbor/chats/session-1.jsonl")
        if is_whole:
            text = json.dumps(about() | {"messages": lines}, indent=1)
            write(folder, text, name="tmp/harbor/chats/session-2.json", end="")
        else:
            write(folder, about(), *map(json.dumps, lines), name="tmp/harbor/chats/session-2.jsonl")
        check_all(folder)


FILES = [os.path.join(at, name) for at, _, names in os.walk(SAMPLE) for name in sorted(names) if name != "logs.json"]


@settings(max_examples=20)
@given(st.sampled_from(sorted(FILES)), st.floats(0, 1))
def test_a_sample_file_that_is_cut_anywhere_gives_frames_or_problems(path: str, share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(folder, about(ID.format(1)), user(1), said(2), name="chats/session-1.jsonl")
        copy = os.path.join(folder, "chats", os.path.basename(path))
        with open(path, "rb") as file:
            data = file.read()
        with open(copy, "wb") as file:
            file.write(data[: round(len(data) * share)])
        os.utime(copy, (SETTLED, SETTLED))
        check_all(folder)
        has_problem = any(isinstance(record, Problem) for record in records(copy))
        assert has_problem or copy.endswith(".jsonl") or round(len(data) * share) == len(data) or "0badc0de" in copy


# The sample


def test_the_sample_adds_up_to_what_its_maker_knows(maker: Any, tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "copy")
    with sessionlab.open(str(tmp_path / "copy")) as lab:
        sessions = lab.frame("sessions").set_index("session_id")
        messages, calls = lab.frame("messages"), lab.frame("tool_calls")
        usage = lab.frame("token_usage").groupby(["session_id", "token_type"]).tokens.sum()
        totals = maker.expected()
        assert set(totals) == set(sessions.index)
        for session_id, expected in totals.items():
            session = sessions.loc[session_id]
            prompts = messages[(messages.session_id == session_id) & (messages.role == "user")]
            own = calls[calls.session_id == session_id]
            assert (session.turn_count, session.tool_call_count) == (expected.turns, expected.calls)
            assert (prompts.kind == "message").sum() == expected.prompts
            assert (own.status != "unanswered").sum() == expected.answered
            assert (session.input_tokens, session.output_tokens) == (expected.input_tokens, expected.output_tokens)
            assert usage[session_id, "cache_read"] == expected.cached_tokens
            assert usage[session_id, "reasoning"] == expected.reasoning_tokens


def test_the_sample_is_made_the_same_each_time(maker: Any, tmp_path: Path) -> None:
    names = maker.make(str(tmp_path))
    for name in names:
        with open(os.path.join(SAMPLE, name), "rb") as file:
            assert (tmp_path / name).read_bytes() == file.read()
    assert len(names) == len(FILES) + 1
