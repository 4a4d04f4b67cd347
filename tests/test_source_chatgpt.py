"""ChatGPT: exports as archives or lists of conversations, each a tree with branches, calls, thoughts and odd nodes."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opened import frame, lab_of, listed, problems

import sessionlab
from sessionlab.errors import HistoryFileError
from sessionlab.lab.files import first_records
from sessionlab.sources import Problem
from sessionlab.sources.chatgpt import default_paths, recognises_file, records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAMPLE = os.path.join(ROOT, "sample_data", "chatgpt")
ID = "0b8f2d5e-8a54-4f0e-9d1c-00000000000{}"
START = 1_783_584_000.25  # 2026-07-09T08:00:00.25Z
SETTLED = 1_700_000_000


def text(*parts: Any) -> dict[str, Any]:
    return {"content_type": "text", "parts": list(parts)}


def node(
    node_id: str, parent: str | None, role: str, content: Any, *, at: Any = None, **more: Any
) -> tuple[str, dict[str, Any]]:
    """Return a node; its time is that of the number in its id."""
    name = more.pop("name", None)
    time = START + int(node_id[1:]) if at is None else at
    message = {"id": node_id, "author": {"role": role, "name": name, "metadata": {}}, "create_time": time}
    given = {"content": text(content) if isinstance(content, str) else content, "recipient": "all", "metadata": {}}
    return node_id, {"id": node_id, "parent": parent, "children": [], "message": {**message, **given, **more}}


def user(node_id: str, parent: str | None, content: Any = "q", **more: Any) -> tuple[str, dict[str, Any]]:
    return node(node_id, parent, "user", content, **more)


def said(node_id: str, parent: str | None, content: Any = "a", **more: Any) -> tuple[str, dict[str, Any]]:
    return node(node_id, parent, "assistant", content, **{"metadata": {"model_slug": "gpt-5-2"}, **more})


def called(node_id: str, parent: str, tool: str = "python", content: Any = "1 + 1") -> tuple[str, dict[str, Any]]:
    code = {"content_type": "code", "language": "python", "text": content} if isinstance(content, str) else content
    return said(node_id, parent, code, recipient=tool)


def gave(node_id: str, parent: str, content: Any = "2", **more: Any) -> tuple[str, dict[str, Any]]:
    output = {"content_type": "execution_output", "text": content} if isinstance(content, str) else content
    return node(node_id, parent, "tool", output, **{"name": "python", **more})


def thought(node_id: str, parent: str, content: str = "hm") -> tuple[str, dict[str, Any]]:
    thoughts = [{"summary": "Think", "content": content, "chunks": [], "finished": True}]
    return said(node_id, parent, {"content_type": "thoughts", "thoughts": thoughts})


def recap(node_id: str, parent: str) -> tuple[str, dict[str, Any]]:
    return said(node_id, parent, {"content_type": "reasoning_recap", "content": "Thought for 4s"})


def conversation(*nodes: tuple[str, Any], current: Any = ..., **more: Any) -> dict[str, Any]:
    """Return a conversation of nodes below an empty root; the last one is the current one."""
    root: dict[str, Any] = {"n0": {"id": "n0", "parent": None, "children": [], "message": None}}
    mapping = root | dict(nodes)
    given = {"conversation_id": ID.format(1), "title": "Talk", "create_time": START, "update_time": START + 60}
    shown = list(mapping)[-1] if current is ... else current
    return {**given, "mapping": mapping, "current_node": shown, "default_model_slug": "auto", **more}


def write(path: str, *conversations: Any, end: str = "") -> str:
    """Write a list of conversations and return its path."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(list(conversations)) + end)
    os.utime(path, (SETTLED, SETTLED))
    return path


def write_archive(path: str, members: Mapping[str, Any]) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content if isinstance(content, (str, bytes)) else json.dumps(content))
    os.utime(path, (SETTLED, SETTLED))
    return path


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "export" / "conversations.json")


def one(path: str, name: str, *nodes: tuple[str, Any], **more: Any) -> pd.DataFrame:
    """Return a frame of one conversation."""
    return frame(write(path, conversation(*nodes, **more)), name)


# Whose file it is


@pytest.mark.parametrize(
    ("content", "is_ours"),
    [
        (json.dumps([conversation(user("n1", "n0"))]), True),
        (json.dumps({"conversations": [conversation(user("n1", "n0"))]}), True),
        (json.dumps(conversation(user("n1", "n0"))), True),
        ("\ufeff " + json.dumps([conversation()]), True),
        ('[{"uuid": "x", "name": "Talk", "chat_messages": []}]', False),
        ("[]", False),
        ("", False),
    ],
)
def test_a_list_of_conversations_is_recognised_by_their_trees(path: str, content: str, is_ours: bool) -> None:
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)
    assert recognises_file(path, first_records(path)) is is_ours
    archive = write_archive(path.replace("conversations.json", "x.zip"), {"folder/conversations.json": content})
    assert recognises_file(archive, []) is is_ours


def test_an_archive_of_something_else_is_not_recognised(tmp_path: Path) -> None:
    archive = write_archive(str(tmp_path / "a" / "x.zip"), {"notes.json": [conversation()], "conversations.txt": "[]"})
    assert recognises_file(archive, []) is False
    with pytest.raises(HistoryFileError):
        sessionlab.open(archive)


def test_an_export_has_no_place_of_its_own() -> None:
    assert default_paths() == []


# The files


def test_an_archive_is_read_with_all_its_lists_and_nothing_else(tmp_path: Path) -> None:
    first, second, third = (
        conversation(user("n1", "n0", text), conversation_id=ID.format(n), create_time=START - n)
        for n, text in enumerate(("one", "two", "three"))
    )
    members = {"conversations-000.json": [first, second], "user.json": {"email": "ada@harbor.example"}}
    members |= {"conversations-001.json": [third], "shared_conversations.json": [conversation(user("n1", "n0", "no"))]}
    path = write_archive(str(tmp_path / "x.zip"), members)
    # An export begins with the newest conversation.
    assert frame(path, "sessions").first_prompt.tolist() == ["three", "two", "one"]
    assert "ada@harbor" not in frame(path, "messages").to_csv()
    assert problems(path) == []


@pytest.mark.parametrize("is_wrapped", [True, False])
def test_a_list_may_be_a_member_of_an_object_and_a_conversation_may_be_alone(path: str, is_wrapped: bool) -> None:
    talk = conversation(user("n1", "n0"), said("n2", "n1"))
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"conversations": [talk]} if is_wrapped else talk, file, indent=2)
    assert frame(path, "turns").response.tolist() == ["a"]
    assert problems(path) == []


def test_a_conversation_in_several_exports_counts_once_as_the_newest_has_it(tmp_path: Path) -> None:
    nodes = [user("n1", "n0"), said("n2", "n1"), user("n3", "n2"), said("n4", "n3", "b")]
    write_archive(str(tmp_path / "a.zip"), {"conversations.json": [conversation(*nodes, update_time=START + 99)]})
    write(str(tmp_path / "old" / "conversations.json"), conversation(*nodes[:2]))
    assert frame(str(tmp_path), "turns").response.tolist() == ["a", "b"]
    [session] = frame(str(tmp_path), "sessions").to_dict("records")
    assert (session["message_count"], os.path.basename(session["origin"])) == (4, "a.zip")
    assert problems(str(tmp_path)) == []


def test_a_conversation_is_a_session(path: str) -> None:
    [session] = one(path, "sessions", user("n1", "n0"), gizmo_id="g-1", is_archived=True).to_dict("records")
    assert (session["session_id"], session["name"], session["agent_name"]) == (ID.format(1), "Talk", "chatgpt")
    assert session["started_at"] == pd.Timestamp("2026-07-09T08:00:00.25Z")
    assert session["updated_at"] == pd.Timestamp("2026-07-09T08:01:00.25Z")
    assert json.loads(session["metadata"]) == {"default_model_slug": "auto", "gizmo_id": "g-1", "is_archived": True}
    assert frame(path, "token_usage").empty


def test_the_id_may_be_in_either_place_and_one_is_made_where_it_is_missing(path: str) -> None:
    talks = [conversation(user("n1", "n0"), title=title) for title in "abcd"]
    talks[0] |= {"conversation_id": None, "id": "one"}
    del talks[1]["conversation_id"]
    talks[2]["conversation_id"] = 5
    sessions = frame(write(path, *talks), "sessions")
    assert sessions.native_id.fillna("-").tolist() == ["one", "-", "-", ID.format(1)]
    assert sessions.session_id.nunique() == 4
    assert [reason for _, reason in problems(path)] == ["the conversation has no id; it has a made one"] * 2


# Branches


def test_branches_are_kept_and_what_is_not_shown_is_a_sidechain(path: str) -> None:
    nodes = [user("n1", "n0"), said("n2", "n1", "first"), said("n3", "n1", "again"), user("n4", "n3", "old"),
             said("n5", "n4", "x"), user("n6", "n3", "new"), said("n7", "n6", "y")]  # fmt: skip
    turns = one(path, "turns", *nodes)
    assert turns.response.tolist() == ["first", "again", "x", "y"]
    assert turns.is_sidechain.tolist() == [True, False, True, False]
    assert turns.prompt.tolist() == ["q", "q", "old", "new"]
    assert turns.exchange_index.tolist() == [0, 0, 1, 2]
    f = frame(path, "messages")
    assert listed(f.parent_message_id) == [None, "n1", "n1", "n3", "n4", "n3", "n6"]
    assert f.is_sidechain.tolist() == [False, True, False, True, True, False, False]


def test_an_answer_is_of_the_prompt_on_its_own_branch(path: str) -> None:
    nodes = [user("n1", "n0", "first"), user("n2", "n0", "changed"), said("n3", "n1", "a"), said("n4", "n2", "b")]
    turns = one(path, "turns", *nodes)
    assert turns.prompt.tolist() == ["first", "changed"]
    assert turns.exchange_index.tolist() == [0, 1]


@pytest.mark.parametrize("current", [None, "gone", 5])
def test_without_a_current_message_no_branch_is_told_apart(path: str, current: Any) -> None:
    turns = one(path, "turns", user("n1", "n0"), said("n2", "n1"), said("n3", "n1"), current=current)
    assert turns.is_sidechain.tolist() == [False, False]
    assert len(problems(path)) == (current is not None)


def test_messages_come_by_their_times_and_none_before_the_one_that_it_follows(path: str) -> None:
    nodes = [said("n4", "n1", "late"), user("n3", "n2", "third"), said("n2", "n1", "second", at=START + 99),
             user("n1", "n0", "first"), user("n5", "n4", "by its parent's time", at=False)]  # fmt: skip
    nodes[-1][1]["message"]["create_time"] = None
    f = one(path, "messages", *nodes)
    assert f.content.tolist() == ["first", "late", "by its parent's time", "second", "third"]
    assert listed(f.parent_message_id) == [None, "n1", "n4", "n1", "n2"]
    assert f.created_at.isna().tolist() == [False, False, True, False, False]
    assert problems(path) == []


def test_nodes_without_a_message_pass_their_parent_on(path: str) -> None:
    empty: tuple[str, Any] = ("n2", {"id": "n2", "parent": "n1", "children": [], "message": None})
    f = one(path, "messages", user("n1", "n0"), empty, said("n3", "n2"))
    assert listed(f.parent_message_id) == [None, "n1"]
    assert problems(path) == []


# Messages


def test_hidden_messages_and_instructions_are_context(path: str) -> None:
    hidden = {"is_visually_hidden_from_conversation": True}
    instructions = {"content_type": "user_editable_context", "user_profile": "I am Ada.", "user_instructions": "Brief."}
    memory = {"content_type": "model_editable_context", "model_set_context": "1. Likes tides."}
    nodes = [node("n1", "n0", "system", "", metadata=hidden), user("n2", "n1", instructions), said("n3", "n2", memory),
             user("n4", "n3", "hint", metadata=hidden), user("n5", "n4"), said("n6", "n5")]  # fmt: skip
    f = one(path, "messages", *nodes)
    assert f.kind.tolist() == ["context"] * 4 + ["message"] * 2
    assert f.role.tolist() == ["system", "user", "assistant", "user", "user", "assistant"]
    assert listed(f.content) == [None, "I am Ada.\nBrief.", "1. Likes tides.", "hint", "q", "a"]
    assert frame(path, "turns").exchange_index.tolist() == [0]


def test_thoughts_and_their_recap_are_the_reasoning_of_the_answer_after_them(path: str) -> None:
    nodes = [user("n1", "n0"), thought("n2", "n1", "one"), thought("n3", "n2", "two"), recap("n4", "n3"),
             said("n5", "n4"), said("n6", "n4", "again")]  # fmt: skip
    turns = one(path, "turns", *nodes)
    assert turns.response.tolist() == ["a", "again"]
    assert turns.reasoning.tolist() == ["Think\none\n\nThink\ntwo\n\nThought for 4s"] * 2
    f = frame(path, "messages")
    assert f.message_id.tolist() == ["n1", "n5", "n6"]
    assert listed(f.parent_message_id) == [None, "n1", "n1"]


def test_thoughts_after_which_nothing_came_are_a_turn_without_an_answer(path: str) -> None:
    turns = one(path, "turns", user("n1", "n0"), thought("n2", "n1", "one"), thought("n3", "n2", "two"))
    assert turns.response.isna().tolist() == [True]
    assert turns.reasoning.tolist() == ["Think\none\n\nThink\ntwo"]


def test_an_empty_answer_before_a_call_is_no_turn(path: str) -> None:
    f = one(path, "messages", user("n1", "n0"), said("n2", "n1", ""), called("n3", "n2"), gave("n4", "n3"))
    assert f.kind.tolist() == ["message", "note", "message", "message"]
    assert len(frame(path, "turns")) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (text("a", "b"), "a\nb"),
        (text("a", None, 5, {"text": "c"}), "a\nc"),
        (
            {"content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}, "see"]},
            "[image]\nsee",
        ),
        ({"content_type": "multimodal_text", "parts": [{"content_type": "audio_transcription", "text": "hi"}]}, "hi"),
        ({"content_type": "code", "language": "python", "text": "1 + 1"}, "1 + 1"),
        (
            {"content_type": "tether_quote", "url": "https://x.example", "title": "X", "text": "t"},
            "X\nhttps://x.example\nt",
        ),
        ({"content_type": "tether_browsing_display", "result": "r", "summary": None}, "r"),
        ({"content_type": "system_error", "name": "E", "text": "t"}, "E\nt"),
        ({"content_type": "hologram", "depth": 3}, "[hologram]"),
        (text("\ud800"), "\ufffd"),
    ],
)
def test_each_kind_of_content_has_its_text(path: str, content: Any, expected: str) -> None:
    f = one(path, "messages", user("n1", "n0", content), said("n2", "n1", content))
    assert f.content.tolist() == [expected] * 2
    assert frame(path, "turns").response.tolist() == [expected]


def test_each_answer_has_its_own_model_and_effort(path: str) -> None:
    first = {"model_slug": "gpt-4o"}
    second = {"model_slug": "auto", "resolved_model_slug": "gpt-5-3-mini", "thinking_effort": "extended"}
    nodes = [
        user("n1", "n0"),
        said("n2", "n1", metadata=first),
        said("n3", "n2", metadata=second),
        said("n4", "n3", metadata=5),
    ]
    turns = one(path, "turns", *nodes)
    assert listed(turns.response_model) == ["gpt-4o", "gpt-5-3-mini", None]
    assert turns.request_model.isna().all()
    assert set(turns.provider_name) == {"openai"}
    assert set(turns.usage_quality) == {"missing"}
    configs = frame(path, "model_configs").set_index("model_config_id")
    assert listed(configs.loc[turns.model_config_id].reasoning_effort) == [None, "extended", None]


@pytest.mark.parametrize(
    ("stop", "expected"),
    [("stop", "stop"), ("max_tokens", "length"), ("interrupted", None), (None, None), (5, None)],
)
def test_the_reason_to_stop_is_told_in_common_words_and_in_its_own(path: str, stop: Any, expected: str | None) -> None:
    turns = one(path, "turns", user("n1", "n0"), said("n2", "n1", metadata={"finish_details": {"type": stop}}))
    assert listed(turns.finish_reason) == [expected]
    assert listed(turns.finish_reason_raw) == [stop if isinstance(stop, str) else None]


# Tools


def test_what_is_for_a_tool_is_a_call_and_what_the_tool_says_its_result(path: str) -> None:
    run = {"status": "success", "start_time": START, "end_time": START + 0.5}
    nodes = [user("n1", "n0"), called("n2", "n1"), gave("n3", "n2", metadata={"aggregate_result": run}),
             called("n4", "n3", "bio", text("Likes tides.")), gave("n5", "n4", text("Saved."), name="bio"),
             said("n6", "n5")]  # fmt: skip
    calls = one(path, "tool_calls", *nodes)
    assert calls.tool_name.tolist() == ["python", "bio"]
    assert calls.tool_call_id.tolist() == ["n2", "n4"]
    assert calls.arguments.tolist() == ["1 + 1", "Likes tides."]
    assert calls.result.tolist() == ["2", "Saved."]
    assert calls.status.tolist() == ["ok", "ok"]
    assert listed(calls.duration_s) == [0.5, None]
    turns = frame(path, "turns")
    assert listed(turns.response) == [None, None, "a"]
    assert listed(turns.finish_reason) == ["tool_call", "tool_call", None]
    assert listed(frame(path, "messages").turn_id) == [None, "n2", "n2", "n4", "n4", "n6"]


@pytest.mark.parametrize(
    ("content", "more", "expected"),
    [
        ("2", {}, "ok"),
        ("2", {"metadata": {"aggregate_result": {"status": "failed_with_in_kernel_exception"}}}, "error"),
        ("2", {"metadata": {"aggregate_result": {"status": "cancelled", "timeout_triggered": 60.0}}}, "timeout"),
        ("2", {"metadata": {"finish_details": {"type": "interrupted"}}}, "cancelled"),
        ("2", {"status": "error"}, "error"),
        ({"content_type": "system_error", "name": "E", "text": "t"}, {}, "error"),
        ("2", {"metadata": {"aggregate_result": "odd", "finish_details": 5}}, "ok"),
    ],
)
def test_a_result_says_whether_the_tool_failed(path: str, content: Any, more: dict[str, Any], expected: str) -> None:
    calls = one(path, "tool_calls", user("n1", "n0"), called("n2", "n1"), gave("n3", "n2", content, **more))
    assert calls.status.tolist() == [expected]
    assert calls.is_error.tolist() == [expected != "ok"]


def test_the_first_of_several_results_counts_and_a_call_may_have_none(path: str) -> None:
    nodes = [
        user("n1", "n0"),
        called("n2", "n1"),
        gave("n3", "n2", "one"),
        gave("n4", "n3", "two"),
        called("n5", "n4", "web"),
    ]
    calls = one(path, "tool_calls", *nodes)
    assert listed(calls.result) == ["one", None]
    assert calls.status.tolist() == ["ok", "unanswered"]
    assert listed(frame(path, "messages").turn_id) == [None, "n2", "n2", "n2", "n5"]


def test_a_tool_that_nobody_asked_is_a_message_without_a_turn(path: str) -> None:
    f = one(path, "messages", user("n1", "n0"), gave("n2", "n1", "unasked"), said("n3", "n2"))
    assert listed(f.turn_id) == [None, None, "n3"]
    assert frame(path, "tool_calls").empty


# What is broken


def test_broken_conversations_are_problems_and_hide_nothing(path: str) -> None:
    whole = conversation(user("n1", "n0"), said("n2", "n1"))
    write(path, None, "text", {"title": "no tree"}, {"mapping": []}, whole)
    assert frame(path, "turns").response.tolist() == ["a"]
    assert [record for record, _ in problems(path)] == [f"conversations.json {n}" for n in range(4)]


def test_broken_messages_are_problems_and_hide_nothing(path: str) -> None:
    odd: list[tuple[str, Any]] = [("n3", "text"), ("n4", {"parent": "n2", "message": 5})]
    nodes = [user("n1", "n0"), said("n2", "n1"), *odd,
             node("n5", "n2", "critic", "c"), node("n6", "n2", "assistant", None), user("n7", "n2", at="noon"),
             said("n8", "gone"), said("n9", "n9", "round")]  # fmt: skip
    f = one(path, "messages", *nodes, current="n2")
    assert sorted(f.message_id) == ["n1", "n2", "n7", "n8", "n9"]
    assert len(problems(path)) == 7
    assert {record for record, _ in problems(path)} == {f"conversation {ID.format(1)}"}


@pytest.mark.parametrize("author", [None, "user", {}, {"role": None}, {"role": ["user"]}])
def test_a_message_of_nobody_is_a_problem(path: str, author: Any) -> None:
    assert one(path, "messages", user("n1", "n0"), user("n2", "n1", author=author)).message_id.tolist() == ["n1"]
    assert len(problems(path)) == 1


@pytest.mark.parametrize("time", ["2026-07-09", True, -1, 1e300, [], "1783584000"])
def test_a_time_that_is_none_is_null(path: str, time: Any) -> None:
    f = one(path, "messages", user("n1", "n0", at=time), create_time=time, update_time=time)
    assert f.created_at.isna().tolist() == [True]
    assert frame(path, "sessions").started_at.isna().tolist() == [True]
    assert len(problems(path)) == 1


def test_a_cut_list_gives_what_comes_before_the_cut(path: str) -> None:
    talks = [conversation(user("n1", "n0"), conversation_id=ID.format(n)) for n in range(3)]
    write(path, *talks)
    with open(path, "r+", encoding="utf-8") as file:
        file.truncate(os.path.getsize(path) - 20)
    assert len(frame(path, "sessions")) == 2
    assert problems(path) == [("conversations.json 2", "it is no JSON, or cut off; all from here on is left out")]


def test_an_archive_that_is_cut_or_damaged_is_a_problem(tmp_path: Path) -> None:
    path = write_archive(str(tmp_path / "x.zip"), {"conversations.json": [conversation(user("n1", "n0"))]})
    with open(path, "rb") as file:
        data = file.read()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(data[: len(data) // 2])
    assert recognises_file(str(cut), []) is True
    assert [type(record) for record in records(str(cut))] == [Problem]
    damaged = bytearray(data)
    damaged[len(data) // 3] ^= 0xFF
    cut.write_bytes(bytes(damaged))
    assert any(isinstance(record, Problem) for record in records(str(cut)))


def test_a_new_export_in_the_place_of_the_old_one_is_read(path: str) -> None:
    assert one(path, "turns", user("n1", "n0"), said("n2", "n1")).response.tolist() == ["a"]
    write(path, conversation(user("n1", "n0"), said("n2", "n1"), user("n3", "n2", "lighthouse"), said("n4", "n3", "b")))
    assert frame(path, "turns").response.tolist() == ["a", "b"]
    assert lab_of(path).search("lighthouse").message_id.tolist() == ["n3"]


def check(f: Mapping[str, pd.DataFrame]) -> None:
    """Check what the frames promise."""
    sessions, turns, messages, calls = f.values()
    for keys, some in (
        (["session_id"], sessions),
        (["session_id", "turn_id"], turns),
        (["session_id", "message_id"], messages),
        (["session_id", "tool_call_index"], calls),
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
    places = {(s, m): n for n, (s, m) in enumerate(zip(messages.session_id, messages.message_id, strict=True))}
    parents = messages.dropna(subset="parent_message_id")
    for session_id, message_id, parent_id in zip(
        parents.session_id, parents.message_id, parents.parent_message_id, strict=True
    ):
        assert places[session_id, parent_id] < places[session_id, message_id]
    of_turns = set(zip(turns.session_id, turns.turn_id, strict=True))
    named = messages.dropna(subset="turn_id")
    assert set(zip(named.session_id, named.turn_id, strict=True)) <= of_turns
    assert calls.is_error.isna().tolist() == (calls.status == "unanswered").tolist()
    prompts = messages[(messages.role == "user") & (messages.kind == "message")].groupby("session_id").size()
    highest = turns.groupby("session_id").exchange_index.max().dropna()
    assert (highest < prompts.reindex(highest.index)).all()


def check_all(path: str) -> None:
    with sessionlab.open(path) as lab:
        check({name: lab.frame(name) for name in ("sessions", "turns", "messages", "tool_calls")})
        assert lab.frame("token_usage").empty
        assert lab.frame("model_configs") is not None
        assert len(lab.problems) >= 0


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, -1, 2**63, 1e308, -0.5, "", "x", "\0", "\ud800", "n1", START]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["role", "text"]), inner, max_size=2),
    max_leaves=4,
)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, strategy, JUNK)


IDS = st.sampled_from([f"n{n}" for n in range(6)])
KINDS = ["text", "code", "thoughts", "reasoning_recap", "execution_output", "user_editable_context", "multimodal_text"]
CONTENT = st.fixed_dictionaries(
    {"content_type": _maybe(st.sampled_from(KINDS))},
    optional={
        "parts": _maybe(st.lists(_maybe(st.just("hi")), max_size=2)),
        "text": _maybe(st.just("t")),
        "thoughts": JUNK,
    },
)
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "model_slug": _maybe(st.just("gpt-5-2")), "finish_details": _maybe(st.just({"type": "stop"})),
        "is_visually_hidden_from_conversation": JUNK, "thinking_effort": JUNK,
        "aggregate_result": _maybe(st.just({"status": "success", "start_time": 1.0, "end_time": 2.0})),
    },
)  # fmt: skip
MESSAGE = st.fixed_dictionaries(
    {
        "author": _maybe(st.builds(lambda r: {"role": r}, st.sampled_from(["user", "assistant", "tool", "system"]))),
        "content": _maybe(CONTENT),
    },
    optional={
        "create_time": _maybe(st.floats(START, START + 9)), "recipient": _maybe(st.sampled_from(["all", "python"])),
        "metadata": _maybe(METADATA), "status": JUNK,
    },
)  # fmt: skip
NODE = st.fixed_dictionaries({"parent": _maybe(IDS)}, optional={"message": _maybe(MESSAGE), "children": JUNK})
CONVERSATION = st.fixed_dictionaries(
    {"mapping": _maybe(st.dictionaries(IDS, _maybe(NODE), max_size=6))},
    optional={
        "conversation_id": _maybe(st.sampled_from([ID.format(1), ID.format(2)])), "current_node": _maybe(IDS),
        "create_time": JUNK, "update_time": JUNK, "title": JUNK, "gizmo_id": JUNK,
    },
)  # fmt: skip


@settings(max_examples=20)
@given(st.lists(_maybe(CONVERSATION), max_size=4))
@example([{"mapping": {"n1": {"parent": "n2", "message": None}, "n2": {"parent": "n1", "message": None}}}])
@example([[[[[]]]], {"mapping": {"": {"message": {"author": {"role": "user"}, "content": {"parts": [{}]}}}}}])
def test_whatever_the_conversations_hold_the_frames_keep_what_they_promise(conversations: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole = conversation(user("n1", "n0"), conversation_id=ID.format(3))
        check_all(write(os.path.join(folder, "conversations.json"), whole, *conversations))


@settings(max_examples=20)
@given(st.sampled_from(sorted(os.listdir(SAMPLE))), st.floats(0, 1))
def test_a_sample_file_that_is_cut_anywhere_gives_frames_or_problems(name: str, share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(os.path.join(folder, "whole", "conversations.json"), conversation(user("n1", "n0")))
        with open(os.path.join(SAMPLE, name), "rb") as file:
            data = file.read()
        cut = os.path.join(folder, name)
        with open(cut, "wb") as file:
            file.write(data[: round(len(data) * share)])
        check_all(folder)
        assert share == 1 or any(isinstance(record, Problem) for record in records(cut))


def test_a_long_branch_is_walked_without_recursion(path: str) -> None:
    nodes = [(user if n % 2 else said)(f"n{n}", f"n{n - 1}") for n in range(1, 3001)]
    f = one(path, "messages", *reversed(nodes), current="n3000")
    assert f.message_id.tolist() == [f"n{n}" for n in range(1, 3001)]
    assert not f.is_sidechain.any()


# The sample


def test_the_sample_adds_up_to_what_its_maker_knows(maker: Any, tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "copy")
    with sessionlab.open(str(tmp_path / "copy")) as lab:
        sessions = lab.frame("sessions").set_index("session_id")
        messages, calls = lab.frame("messages"), lab.frame("tool_calls")
        for session_id, expected in maker.expected().items():
            session = sessions.loc[session_id]
            prompts = messages[(messages.session_id == session_id) & (messages.role == "user")]
            own = calls[calls.session_id == session_id]
            assert (session.turn_count, session.tool_call_count) == (expected.turns, expected.calls)
            assert (prompts.kind == "message").sum() == expected.prompts
            assert (own.status != "unanswered").sum() == expected.answered


def test_the_sample_is_made_the_same_each_time(maker: Any, tmp_path: Path) -> None:
    for name in maker.make(str(tmp_path)):
        with open(os.path.join(SAMPLE, name), "rb") as file:
            assert (tmp_path / name).read_bytes() == file.read()
