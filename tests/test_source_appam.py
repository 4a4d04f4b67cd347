"""appam: sessions saved as one row with all messages in a JSON text, an older table of a web server, and traces."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opened import frame, lab_of, problems

import sessionlab
from sessionlab.sources import all_sources
from sessionlab.sources.appam import default_paths, read_traces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

HISTORY = """
create table if not exists session_history (
    id text primary key, agent_name text not null, model text not null, messages text not null, metadata text,
    started_at text not null, updated_at text not null, ended_at text, turn_count integer default 0,
    tool_call_count integer default 0
);
create index if not exists idx_history_updated on session_history(updated_at desc);
"""
USAGE = "alter table session_history add column usage text"
WEB = """
create table if not exists sessions (
    id text primary key, agent_name text not null, model text not null, messages text not null,
    created_at text not null, updated_at text not null
);
"""
# Without these constraints a file can hold what no tool writes.
LOOSE = """
create table session_history (
    id, agent_name, model, messages, metadata, started_at, updated_at, ended_at, tool_call_count, usage
)
"""
ID = "0b8f2d5e-8a54-4f0e-9d1c-00000000000{}"
FIRST_ID = ID.format(1)
SETTLED = 1_700_000_000  # what was written just now is read again each time
START = "2026-07-09T08:00:00.000000001+00:00"
END = "2026-07-09T08:01:00+00:00"
SONNET = "claude-sonnet-4-5"
TOTALS = {
    "total_input_tokens": 1000,
    "total_output_tokens": 145,
    "total_cache_creation_tokens": 0,
    "total_cache_read_tokens": 0,
    "total_reasoning_tokens": 0,
    "total_compaction_input_tokens": 0,
    "total_compaction_output_tokens": 0,
    "total_cost_usd": 0.00731,
    "request_count": 2,
}
CONTINUE = "Continue your task. Please call one of the required completion tools to finish this session."


def user(content: Any = "q", **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def said(content: Any = "a", **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def call(call_id: str | None = "c1", name: str = "stat_file", arguments: Any = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def called(*calls: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": list(calls), **more}


def result(call_id: str | None = "c1", content: Any = "done", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "name": "stat_file", "tool_call_id": call_id, "content": content, **more}


def as_text(value: Any) -> Any:
    return value if isinstance(value, (str, bytes, int, float)) or value is None else json.dumps(value)


def row(messages: Any = (), session_id: Any = FIRST_ID, **columns: Any) -> dict[str, Any]:
    """Return a row of the history."""
    messages = as_text(list(messages) if isinstance(messages, tuple) else messages)
    given = {"id": session_id, "agent_name": "coder", "model": SONNET, "messages": messages, "metadata": None}
    return {**given, "started_at": START, "updated_at": END, "ended_at": END, "usage": None} | columns


def write(path: str, *rows: Mapping[str, Any], web: Sequence[Any] | None = None, script: str = HISTORY + USAGE) -> str:
    """Write a file with these rows and return its path."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
        for values in rows:
            there = {name: as_text(value) for name, value in values.items()}
            if "usage" not in script:
                del there["usage"]
            names, marks = ", ".join(there), ", ".join("?" * len(there))
            connection.execute(f"insert into session_history ({names}) values ({marks})", list(there.values()))
        if web is not None:
            connection.executescript(WEB)
            connection.executemany("insert into sessions values (?, ?, ?, ?, ?, ?)", web)
    connection.close()
    os.utime(path, (SETTLED, SETTLED))
    return path


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "project" / "data" / "sessions.db")


def one(path: str, name: str, *messages: Any, **columns: Any) -> pd.DataFrame:
    """Return a frame of a file with one session of these messages."""
    return frame(write(path, row(messages, **columns)), name)


# The file


def test_a_file_is_recognised_by_either_table_and_a_sessions_table_of_another_tool_is_not() -> None:
    source = next(source for source in all_sources() if source.name == "appam")
    history = frozenset({"id", "agent_name", "model", "messages", "started_at", "tool_call_count"})
    assert source.recognises({"session_history": history})
    assert source.recognises({"sessions": frozenset({"id", "agent_name", "model", "messages", "created_at"})})
    assert not source.recognises({"sessions": frozenset({"id", "head_id", "directory", "created_at", "updated_at"})})


def test_both_tables_are_read_and_a_session_in_both_is_that_of_the_history(path: str) -> None:
    both, old = FIRST_ID, ID.format(2)
    web = [(i, "guide", "gpt-5", json.dumps([user("old"), said()]), START, END) for i in (both, old)]
    write(path, row((user("new"), said()), both), web=web)
    sessions = frame(path, "sessions")
    assert sessions.session_id.tolist() == [both, old]
    assert sessions.native_id.tolist() == [both, old]
    assert sessions.agent_name.tolist() == ["coder", "guide"]
    assert sessions.first_prompt.tolist() == ["new", "old"]
    assert sessions.name.isna().all()
    assert sessions.ended_at.isna().tolist() == [False, True]
    [(record, reason)] = problems(path)
    assert record == f"sessions {both}"
    assert "session_history row 1" in reason


def test_the_web_table_alone_is_a_history(path: str) -> None:
    write(path, script="", web=[(FIRST_ID, "guide", "gpt-5", json.dumps([user(), said()]), START, END)])
    assert frame(path, "turns").request_model.tolist() == ["gpt-5"]
    assert frame(path, "sessions").started_at.tolist() == [pd.Timestamp("2026-07-09T08:00:00Z")]


def test_a_sessions_table_of_another_tool_beside_the_history_gives_no_sessions(path: str) -> None:
    script = HISTORY + USAGE + "; create table sessions (id text, head_id text, updated_at integer)"
    write(path, row((user(),)), script=script + "; insert into sessions values ('x', 'y', 1)")
    assert frame(path, "sessions").session_id.tolist() == [FIRST_ID]
    assert problems(path) == []


def test_a_file_from_before_the_usage_column_has_no_usage(path: str) -> None:
    write(path, row((user(), said())), script=HISTORY)
    assert frame(path, "token_usage").empty
    assert frame(path, "turns").usage_quality.tolist() == ["missing"]


def test_a_file_without_rows_gives_empty_frames(path: str) -> None:
    write(path, web=[])
    assert all(frame(path, name).empty for name in ("sessions", "turns", "messages", "tool_calls", "token_usage"))


def test_default_places_are_the_configured_ones_and_the_tools_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APPAM_HISTORY_DB_PATH", raising=False)
    own = [str(tmp_path / "data" / name) for name in ("sessions.db", "appam_sessions.db")]
    assert default_paths() == own
    (tmp_path / "appam.toml").write_text("[history]\ndb_path = 'mine.db'\n")
    monkeypatch.setenv("APPAM_HISTORY_DB_PATH", "/var/lib/agent.db")
    assert default_paths() == ["/var/lib/agent.db", str(tmp_path / "mine.db"), *own]
    for text in ("[history", "history = 1", "[history]\ndb_path = 5", "[history]\ndb_path = ''"):
        (tmp_path / "appam.toml").write_text(text)
        assert default_paths() == ["/var/lib/agent.db", *own]


# Sessions


def test_ids_that_are_not_unique_in_the_world_are_qualified_and_a_missing_one_is_made(tmp_path: Path) -> None:
    ids = set()
    for name in ("a.db", "b.db"):
        path = write(str(tmp_path / name), row((user(),), None), row((user(),), "mine"), row((), FIRST_ID))
        sessions = frame(path, "sessions")
        assert sessions.native_id.fillna("-").tolist() == ["-", "mine", FIRST_ID]
        assert sessions.session_id[2] == FIRST_ID
        ids |= set(sessions.session_id)
        assert [reason for _, reason in problems(path)] == ["id is NULL; the session has a made one"]
    assert len(ids) == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-09T08:00:00Z", "2026-07-09T08:00:00Z"),
        ("2026-07-09T08:00:00.123+00:00", "2026-07-09T08:00:00.123Z"),
        ("2026-07-09T08:00:00.123456Z", "2026-07-09T08:00:00.123456Z"),
        ("2026-07-09T08:00:00.123456999+00:00", "2026-07-09T08:00:00.123456Z"),
        ("2026-07-09T10:00:00.5+02:00", "2026-07-09T08:00:00.5Z"),
        *[(text, None) for text in ("2026", "", "2026-07-09", "1783584000", "2026-07-09T08:00:00", "soon")],
        *[(text, None) for text in ("2026-02-30T00:00:00Z", "2026-07-09T25:00:00Z", "infinity", "2026-07-09 08:00:00")],
    ],
)
def test_a_time_is_read_to_the_microsecond_and_what_is_none_is_null_with_a_problem(
    path: str, text: str, expected: str | None
) -> None:
    write(path, row((user(timestamp=text),), started_at=text))
    found = [frame(path, "sessions").started_at[0], frame(path, "messages").created_at[0]]
    if expected is None:
        assert pd.isna(found[0])
        assert pd.isna(found[1])
        assert sorted(reason.split()[0] for _, reason in problems(path)) == ["started_at", "timestamp"]
    else:
        assert found == [pd.Timestamp(expected)] * 2
        assert problems(path) == []


def test_updated_at_is_the_latest_that_is_known_although_the_tool_writes_an_old_end(path: str) -> None:
    late = "2026-07-10T09:00:00Z"
    sessions = one(path, "sessions", user(timestamp=late), updated_at=END, ended_at=END)
    assert sessions.updated_at.tolist() == [pd.Timestamp(late)]
    assert sessions.ended_at.tolist() == [pd.Timestamp(END)]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ('[{"role":"user","content":"cut o', "messages is no JSON"),
        ("", "messages is no JSON"),
        ('{"role":"user"}', "messages is no JSON array"),
        ("7", "messages is no JSON array"),
        ("null", "messages is no JSON array"),
        (None, "messages is NULL"),
        (b"\xff\xfe", "messages is no JSON"),
    ],
)
def test_a_broken_row_is_a_session_without_messages_and_hides_nothing_else(
    path: str, messages: Any, reason: str
) -> None:
    rows = row(messages, FIRST_ID, usage=TOTALS), row((user("kept"), said()), ID.format(2))
    write(path, *rows, script=LOOSE)
    sessions = frame(path, "sessions")
    assert sessions.message_count.tolist() == [0, 2]
    assert sessions.output_tokens.fillna(-1).tolist() == [145, -1]
    assert frame(path, "messages").content.tolist() == ["kept", "a"]
    found = [p for p in problems(path) if p[0] == f"session_history {FIRST_ID}"]
    assert [text.split(";")[0] for _, text in found] == [reason]


def test_halves_of_characters_are_replaced_and_nothing_else_changes(path: str) -> None:
    text = r'[{"role":"user","content":"\ud800 \uD83D\uDE00 \\ud800 \\\ud800 \"\u005c"}]'
    write(path, row(text))
    assert frame(path, "messages").content.tolist() == ['\ufffd \U0001f600 \\ud800 \\\ufffd "\\']
    [(record, reason)] = problems(path)
    assert record == f"session_history {FIRST_ID}"
    assert "halves of characters" in reason


# Messages


def test_a_transcript_is_read_as_it_stands(path: str) -> None:
    messages = [
        {"role": "system", "content": "Be terse.", "timestamp": "2026-07-09T08:00:00.000000001Z"},
        {"role": "developer", "content": "Really."},
        user("How big?", timestamp="2026-07-09T08:00:01Z", mood="curious"),
        called(
            call("call_a1", arguments='{"path": "notes.md" }'),
            reasoning="I need the size.",
            raw_content_blocks=[
                {"type": "thinking", "thinking": "I need the size.", "redacted": False},
                {"type": "text", "text": "Checking."},
                {"type": "tool_use", "id": "call_a1", "name": "stat_file", "input": {"path": "notes.md"}},
            ],
            timestamp="2026-07-09T08:00:02.250000000Z",
            id="msg_1",
            status="completed",
        ),
        result("call_a1", '{"bytes":512}', tool_metadata={"success": True, "duration_ms": 3.75}),
        said("512 bytes.", id="msg_2", status="completed"),
        {"role": "system", "content": "Late."},
    ]
    write(path, row(messages))
    f = frame(path, "messages")
    assert f.role.tolist() == ["system", "developer", "user", "assistant", "tool", "assistant", "system"]
    assert f.content.tolist()[:4] == ["Be terse.", "Really.", "How big?", "Checking."]
    assert f.reasoning.fillna("-").tolist() == ["-", "-", "-", "I need the size.", "-", "-", "-"]
    assert f.message_id.tolist() == ["0", "1", "2", "msg_1", "4", "msg_2", "6"]
    assert f.parent_message_id.fillna("-").tolist() == ["-", "0", "1", "2", "msg_1", "4", "msg_2"]
    assert f.turn_id.fillna("-").tolist() == ["-", "-", "-", "msg_1", "msg_1", "msg_2", "-"]
    assert f.is_preamble.tolist() == [True, True, False, False, False, False, False]
    assert set(f.kind) == {"message"}
    turns = frame(path, "turns")
    assert turns.response.tolist() == ["Checking.", "512 bytes."]
    assert turns.prompt.tolist() == ["How big?", "How big?"]
    assert turns.finish_reason.fillna("-").tolist() == ["tool_call", "-"]
    assert turns.finish_reason_raw.tolist() == ["completed", "completed"]
    [tool_call] = frame(path, "tool_calls").to_dict("records")
    assert tool_call["arguments"] == '{"path": "notes.md" }'
    assert (tool_call["result"], tool_call["status"], tool_call["duration_s"]) == ('{"bytes":512}', "ok", 0.00375)
    assert tool_call["started_at"] == pd.Timestamp("2026-07-09T08:00:02.25Z")
    assert problems(path) == []


@pytest.mark.parametrize(
    ("blocks", "content", "expected"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], None, "a\nb"),
        ([{"type": "text", "text": "blocks"}], "content", "blocks"),
        ([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}], None,
         "[image image/png]"),
        ([{"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}}], "Look:",
         "Look:\n[image https://x.example/a.png]"),
        ([{"type": "image", "source": {"type": "url", "url": "data:image/png;base64,AAAA"}}], None, "[image]"),
        ([{"type": "document", "source": {"type": "base64_pdf", "media_type": "application/pdf", "data": "AAAA"},
           "title": "Plan"}], None, "[document application/pdf Plan]"),
        ([{"type": "compaction", "content": "So far."}, {"type": "compaction", "encrypted_content": "AAAA"}], None,
         "[compaction] So far.\n[compaction]"),
        ([{"type": "hologram", "depth": 3}, 5, {}], None, "[hologram]\n[block]\n[block]"),
        ([{"type": "tool_result", "tool_use_id": "c", "content": "r"}], None, "r"),
        ([{"type": "thinking", "thinking": "t"}, {"type": "tool_use", "name": "n"}], None, None),
        ([], "content", "content"),
        ({"type": "text"}, "content", "content"),
        ({"type": "text"}, None, '{"type":"text"}'),
    ],
)  # fmt: skip
def test_raw_blocks_are_the_text_and_what_is_no_text_leaves_its_name(
    path: str, blocks: Any, content: str | None, expected: str | None
) -> None:
    found = one(path, "messages", said(content, raw_content_blocks=blocks)).content.tolist()
    assert found == [expected] if expected is not None else pd.isna(found[0])
    assert "AAAA" not in str(found)


def test_thinking_blocks_are_the_reasoning_where_there_is_no_other(path: str) -> None:
    blocks = [{"type": "thinking", "thinking": text} for text in ("first", "", "second")]
    found = one(path, "messages", said(raw_content_blocks=blocks), said(reasoning="own", raw_content_blocks=blocks))
    assert found.reasoning.tolist() == ["first\nsecond", "own"]


def test_content_that_is_no_text_is_its_json(path: str) -> None:
    found = one(path, "messages", user({"a": [1, 2]}), user(5), user(True), user(None), user(""))
    assert found.content.fillna("-").tolist() == ['{"a":[1,2]}', "5", "true", "-", ""]


def test_what_is_no_message_is_kept_as_json_and_named(path: str) -> None:
    write(path, row((user(), 7, None, "text", ["x"], {}, {"role": 5}, said())))
    f = frame(path, "messages")
    assert f.content.fillna("-").tolist() == ["q", "7", "null", '"text"', '["x"]', "-", "-", "a"]
    assert f.kind.tolist() == ["message", *["context"] * 4, *["message"] * 3]
    assert f.role.tolist() == ["user", "", "", "", "", "", "5", "assistant"]
    reasons = dict(problems(path))
    assert len(reasons) == 6
    assert reasons[f"session_history {FIRST_ID} message 1"] == "it is no JSON object; its JSON is there as text"
    assert reasons[f"session_history {FIRST_ID} message 6"].startswith("the role 5 is not known")


def test_an_id_is_that_of_the_message_only_where_it_is_unique(path: str) -> None:
    messages = [said(id=i) for i in ("x", "twice", "twice", "0", "", None, {"a": 1})]
    f = one(path, "messages", *messages)
    assert f.message_id.tolist() == ["x", "1", "2", "3", "4", "5", '{"a":1}']
    assert frame(path, "turns").turn_id.tolist() == f.message_id.tolist()


def test_the_text_that_the_tool_puts_in_opens_no_exchange(path: str) -> None:
    write(path, row((user(), said(), user(CONTINUE), said(), user("next"), said())))
    assert frame(path, "messages").kind.tolist() == ["message", "message", "note", "message", "message", "message"]
    turns = frame(path, "turns")
    assert turns.exchange_index.tolist() == [0, 0, 1]
    assert turns.prompt.tolist() == ["q", "q", "next"]
    assert turns.model_config_status.tolist() == ["only", "only", "unknown"]


# Turns


@pytest.mark.parametrize(
    ("text", "calls", "turns"),
    [
        ({}, {}, 1),
        ({"provider_response_id": "r"}, {"provider_response_id": "r"}, 1),
        ({"provider_response_id": "r"}, {"provider_response_id": "s"}, 2),
        ({"provider_response_id": "r"}, {}, 2),
        ({}, {"content": ""}, 1),
        ({}, {"content": "more"}, 2),
        ({}, {"raw_content_blocks": [{"type": "text", "text": "t"}]}, 2),
        ({"raw_content_blocks": [{"type": "text", "text": "t"}]}, {}, 2),
        ({"content": None}, {}, 2),
        ({"tool_calls": [call("c0")]}, {}, 2),
        ({}, {"tool_calls": []}, 2),
    ],
)
def test_text_and_the_calls_that_follow_at_once_are_one_response(
    path: str, text: dict[str, Any], calls: dict[str, Any], turns: int
) -> None:
    write(path, row((user(), {**said("Let me see.", id="m1"), **text}, {**called(call(), id="m2"), **calls})))
    found = frame(path, "turns")
    assert len(found) == turns
    if turns == 1:
        assert found.turn_id.tolist() == ["m1"]
        assert found.response.tolist() == ["Let me see."]
        assert found.finish_reason.tolist() == ["tool_call"]
        assert frame(path, "messages").turn_id.fillna("-").tolist() == ["-", "m1", "m1"]
    assert found.tool_call_count.sum() == len(frame(path, "tool_calls"))


def test_only_text_and_calls_make_one_response_and_a_third_message_does_not_join(path: str) -> None:
    write(path, row((said("a"), said("b"), called(call("1")), called(call("2")))))
    assert frame(path, "turns").response.fillna("-").tolist() == ["a", "b", "-"]
    assert frame(path, "turns").tool_call_count.tolist() == [0, 1, 1]


def test_counts_are_those_of_the_rows_and_not_the_stored_ones(path: str) -> None:
    counts = {"turn_count": 41, "tool_call_count": 17}
    sessions = one(path, "sessions", user(), called(call("1"), call("2")), result("1"), said(), **counts)
    assert sessions[["message_count", "turn_count", "tool_call_count"]].values.tolist() == [[4, 2, 2]]


def test_a_response_that_failed_says_so_and_another_status_proves_nothing(path: str) -> None:
    statuses = ("failed", "incomplete", "completed", None)
    turns = one(path, "turns", user(), *(said(status=status) for status in statuses))
    assert turns.finish_reason.fillna("-").tolist() == ["error", "-", "-", "-"]
    assert turns.finish_reason_raw.fillna("-").tolist() == ["failed", "incomplete", "completed", "-"]


def test_the_model_is_known_until_the_second_prompt(path: str) -> None:
    write(path, row((said(), user(), said(), said(), user(), said())), row((user(), said()), ID.format(2), model=""))
    turns = frame(path, "turns")
    assert turns.model_config_status.tolist() == ["only"] * 3 + ["unknown"] * 2
    assert turns.request_model.fillna("-").tolist() == [SONNET] * 3 + ["-"] * 2
    assert turns.model_config_id.isna().tolist() == [False] * 3 + [True] * 2
    configs = frame(path, "model_configs")
    assert configs[["request_model", "session_count", "turn_count"]].values.tolist() == [[SONNET, 1, 3]]
    assert configs.provider_name.isna().all()
    assert frame(path, "sessions").models.tolist() == [[SONNET], None]
    assert problems(path) == [(f"session_history {ID.format(2)}", "model is empty; its turns have none")]


# Tool calls


@pytest.mark.parametrize("text", ['{"a" : 1.10,\n "b":"\\u00e9"}', "not JSON", "", '{"cut', "\u05d0\U0001f600", "null"])
def test_arguments_are_the_text_that_the_model_wrote(path: str, text: str) -> None:
    assert one(path, "tool_calls", called(call(arguments=text))).arguments.tolist() == [text]


def test_calls_are_those_of_tool_calls_and_without_any_those_of_the_blocks(path: str) -> None:
    use = {"type": "tool_use", "id": "block", "name": "n", "input": {"a": 1}}
    messages = [
        called(call("own", arguments={"a": [1]}), raw_content_blocks=[use]),
        called(raw_content_blocks=[use, use]),
        {"role": "assistant", "raw_content_blocks": [use]},
    ]
    calls = one(path, "tool_calls", *messages, result("own"))
    assert calls.tool_call_id.tolist() == ["own", "block", "block", "block"]
    assert calls.tool_call_index.tolist() == [0, 1, 2, 3]
    assert calls.tool_name.tolist() == ["stat_file", "n", "n", "n"]
    assert calls.arguments.tolist() == ['{"a":[1]}', *['{"a":1}'] * 3]
    assert calls.status.tolist() == ["ok", *["unanswered"] * 3]
    assert frame(path, "turns").tool_call_count.tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("given", "status", "duration_s"),
    [
        ({"tool_metadata": {"success": True, "duration_ms": 3.75}}, "ok", 0.00375),
        ({"tool_metadata": {"success": False, "duration_ms": 0}}, "error", 0.0),
        ({"content": '{"error":"no such file","success":false}'}, "error", None),
        ({"content": '{"success":false}'}, "ok", None),
        ({"content": '{"error":"x","success":true}'}, "ok", None),
        ({"content": '{"error":"x","success":false}', "tool_metadata": {"success": True}}, "ok", None),
        ({"content": "{cut"}, "ok", None),
        ({"tool_metadata": {"success": "maybe", "duration_ms": -1}}, "ok", None),
        ({"tool_metadata": [1], "content": None}, "ok", None),
        ({"tool_metadata": {"duration_ms": 1e300}}, "ok", None),
        ({"tool_call_id": None,
          "raw_content_blocks": [{"type": "tool_result", "tool_use_id": "c1", "content": "x", "is_error": True}]},
         "error", None),
    ],
)  # fmt: skip
def test_a_result_says_whether_it_is_an_error_and_how_long_it_took(
    path: str, given: dict[str, Any], status: str, duration_s: float | None
) -> None:
    calls = one(path, "tool_calls", called(call()), {**result(), **given})
    assert calls.status.tolist() == [status]
    assert calls.is_error.tolist() == [status == "error"]
    assert calls.duration_s.tolist() == [duration_s] if duration_s is not None else calls.duration_s.isna().all()


@pytest.mark.parametrize(
    ("messages", "results"),
    [
        ("c", "-"),
        ("c0", "0"),
        ("0c", "0"),
        ("c01", "1"),
        ("0c1", "1"),
        ("c0c1", "0 1"),
        ("cc01", "0 1"),
        ("cc0", "0 -"),
        ("c01c", "1 -"),
        ("c01c2", "1 2"),
        ("cc012", "0 2"),
        ("c0c", "0 -"),
    ],
)
def test_calls_of_one_id_get_their_results_in_order_and_the_last_one_wins(
    path: str, messages: str, results: str
) -> None:
    told = [called(call()) if letter == "c" else result(content=letter) for letter in messages]
    write(path, row(told))
    assert frame(path, "tool_calls").result.fillna("-").tolist() == results.split()
    f = frame(path, "messages")
    assert len(f) == len(messages)
    assert f[f.role == "tool"].turn_id.notna().all()
    assert problems(path) == []


def test_a_result_without_a_call_stays_a_message_and_is_a_problem(path: str) -> None:
    write(path, row((user(), called(call("a")), result("b"), result(None), result("a"))))
    assert frame(path, "messages").turn_id.notna().tolist() == [False, True, False, False, True]
    assert frame(path, "tool_calls").result.tolist() == ["done"]
    assert [reason.split(";")[0] for _, reason in problems(path)] == [
        "it is the result of the call b, which is not there",
        "it is a result and names no call",
    ]


@pytest.mark.parametrize("calls", [5, "x", {"id": "c"}, [5], [{}], [call(), None], [[]]])
def test_what_is_no_call_is_left_out_and_named(path: str, calls: Any) -> None:
    write(path, row((user(), {"role": "assistant", "tool_calls": calls})))
    assert len(frame(path, "tool_calls")) == (len(calls) == 2 if isinstance(calls, list) else 0)
    assert [reason for _, reason in problems(path)] == ["tool_calls holds what is no call; it is left out"]


# Usage


def tokens(path: str) -> dict[str, int]:
    usage = frame(path, "token_usage")
    assert not usage.duplicated(["session_id", "turn_id", "token_type"]).any()
    return dict(zip(usage.token_type, usage.tokens, strict=True))


CACHED = {"total_cache_read_tokens": 600, "total_cache_creation_tokens": 300, "total_reasoning_tokens": 40}


@pytest.mark.parametrize("older", [False, True])
def test_a_sessions_usage_is_one_total_in_both_versions(path: str, older: bool) -> None:
    usage = {name: n for name, n in TOTALS.items() if not (older and "compaction" in name)}
    write(path, row((user(), said(), said()), usage=usage))
    rows = frame(path, "token_usage")
    assert set(rows.scope) == {"session"}
    assert set(rows.usage_quality) == {"final"}
    assert rows.turn_id.isna().all()
    assert set(rows.model) == {SONNET}
    assert tokens(path) == {"uncached_input": 1000, "cache_read": 0, "cache_creation": 0, "output": 145, "reasoning": 0}
    assert frame(path, "turns").usage_quality.tolist() == ["missing", "missing"]
    [session] = frame(path, "sessions").to_dict("records")
    assert (session["input_tokens"], session["output_tokens"]) == (1000, 145)
    assert session["reported_cost_usd"] == 0.00731
    assert session["cost_usd"] == pytest.approx((1000 * 3 + 145 * 15) / 1e6)
    assert session["cost_status"] == "computed"
    assert session["metadata"] == '{"request_count":2}'


@pytest.mark.parametrize(
    ("model", "changes", "input_tokens", "output_tokens"),
    [
        ("claude-opus-4-1", CACHED, 1900, 145),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", CACHED, 1900, 145),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", CACHED, 1900, 145),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5", CACHED, 1900, 145),
        ("anthropic/claude-sonnet-4.5", CACHED, 1000, 145),
        ("gpt-5", CACHED, 1000, 145),
        ("openai/gpt-5", CACHED, 1000, 145),
        ("gpt-5", {**CACHED, "total_cache_read_tokens": 1001}, 2301, 145),
        ("gemini-2.5-pro", CACHED, 1000, 185),
        ("google/gemini-2.5-pro", CACHED, 1000, 145),
        ("gpt-5", {"total_reasoning_tokens": 146}, 1000, 291),
        (SONNET, {"total_compaction_input_tokens": 50, "total_compaction_output_tokens": 5}, 1050, 150),
    ],
)
def test_input_holds_all_that_was_cached_and_output_all_reasoning_whoever_counted(
    path: str, model: str, changes: dict[str, int], input_tokens: int, output_tokens: int
) -> None:
    write(path, row((user(), said()), model=model, usage=TOTALS | changes))
    [session] = frame(path, "sessions").to_dict("records")
    assert (session["input_tokens"], session["output_tokens"]) == (input_tokens, output_tokens)
    found = tokens(path)
    assert sum(found.values()) == input_tokens + output_tokens
    assert all(n >= 0 for n in found.values())


def test_a_session_of_several_prompts_has_no_certain_model_and_the_reported_cost(path: str) -> None:
    write(path, row((user(), said(), user(), said()), usage=TOTALS))
    assert frame(path, "token_usage").model.isna().all()
    [session] = frame(path, "sessions").to_dict("records")
    assert session["cost_usd"] == session["reported_cost_usd"] == 0.00731
    assert session["cost_status"] == "reported"


@pytest.mark.parametrize("usage", ["not JSON", "[]", "5", b"\xff"])
def test_usage_that_cannot_be_read_is_a_problem(path: str, usage: Any) -> None:
    write(path, row((user(), said()), usage=usage))
    assert frame(path, "token_usage").empty
    assert "usage is no JSON object; the session has none" in [reason for _, reason in problems(path)]


def test_numbers_that_nobody_can_have_used_are_null_and_named(path: str) -> None:
    odd = {"total_input_tokens": 2**64 - 1, "total_reasoning_tokens": -1, "total_cost_usd": "NaN", "request_count": 2.5}
    write(path, row((user(), said()), usage=TOTALS | odd))
    assert tokens(path) == {"cache_read": 0, "cache_creation": 0, "output": 145}
    [(_, reason)] = problems(path)
    assert all(f"{name} {value}" in reason for name, value in odd.items())


def test_stored_metadata_is_kept_beside_the_number_of_requests(path: str) -> None:
    rows = [row((), ID.format(n), metadata=m, usage=TOTALS) for n, m in enumerate(['{"a":1}', "text", None])]
    write(path, *rows, row((), ID.format(9), metadata='{"a":1}'))
    assert [json.loads(text) for text in frame(path, "sessions").metadata] == [
        {"a": 1, "request_count": 2},
        {"metadata": "text", "request_count": 2},
        {"request_count": 2},
        {"a": 1},
    ]


# Traces


def line(kind: str = "usage_update", /, **data: Any) -> str:
    return json.dumps({"timestamp": START, "elapsed_ms": 1.5, "type": kind, "data": data})


def trace(path: str, *lines: str, session_id: str = FIRST_ID, end: str = "\n") -> str:
    """Write a trace beside a history and return the folder of both."""
    folder = os.path.dirname(os.path.dirname(path))
    os.makedirs(os.path.join(folder, "logs"), exist_ok=True)
    name = os.path.join(folder, "logs", f"session-{session_id}.jsonl")
    with open(name, "w", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(lines) + end)
    os.utime(name, (SETTLED, SETTLED))
    return folder


FIRST = TOTALS | {"total_input_tokens": 400, "total_output_tokens": 45, "total_cost_usd": 0.0025, "request_count": 1}


def test_a_trace_that_adds_up_gives_each_turn_its_usage_and_the_session_no_total(path: str) -> None:
    write(path, row((user(), called(call()), result(), said()), usage=TOTALS))
    folder = trace(path, line("session_started"), line(**FIRST), line("content", content="x"), line(**TOTALS))
    turns = frame(folder, "turns")
    assert turns[["input_tokens", "output_tokens"]].values.tolist() == [[400, 45], [600, 100]]
    assert turns.reported_cost_usd.tolist() == [0.0025, 0.00481]
    assert turns.usage_quality.tolist() == ["final", "final"]
    usage = frame(folder, "token_usage")
    assert set(usage.scope) == {"turn"}
    assert usage.tokens.sum() == 1145
    [session] = frame(folder, "sessions").to_dict("records")
    assert (session["input_tokens"], session["output_tokens"]) == (1000, 145)
    assert session["reported_cost_usd"] == pytest.approx(0.00731)
    assert session["metadata"] == '{"request_count":2}'
    assert problems(folder) == []
    assert set(frame(path, "token_usage").scope) == {"session"}  # nobody opened the folder


def test_the_turns_of_a_trace_are_converted_by_the_run_that_they_are_of(path: str) -> None:
    steps = [
        {"total_input_tokens": 10, "total_cache_read_tokens": 5},  # of the named model: beside the input
        {"total_input_tokens": 100, "total_reasoning_tokens": 7},  # of another one, which counts reasoning
        {"total_input_tokens": 100, "total_cache_read_tokens": 50},
    ]
    totals = dict.fromkeys(TOTALS, 0)
    lines = []
    for step in steps:
        totals = {name: n + step.get(name, 0) for name, n in totals.items()}
        totals["total_output_tokens"] += 20
        lines.append(line(**totals))
    write(path, row((user(), said(), user(), said(), said()), usage=totals))
    turns = frame(trace(path, *lines), "turns")
    assert turns.input_tokens.tolist() == [15, 100, 100]
    assert turns.output_tokens.tolist() == [20, 20, 20]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([FIRST], None),  # a trace of one of the runs
        ([FIRST, TOTALS, TOTALS], None),  # a request that is no turn
        ([FIRST, TOTALS | {"total_output_tokens": 146}], "does not add up"),
        ([TOTALS | {"total_input_tokens": 1001}, TOTALS], "does not add up"),
        ([FIRST, TOTALS | {"total_cost_usd": 0.5}], "does not add up"),
        ([{"total_input_tokens": "x"}, TOTALS], "does not add up"),
        ([], None),
    ],
)
def test_a_trace_that_does_not_add_up_leaves_the_total_of_the_session(
    path: str, lines: list[dict[str, Any]], reason: str | None
) -> None:
    write(path, row((user(), said(), said()), usage=TOTALS))
    folder = trace(path, *(line(**data) for data in lines))
    usage = frame(folder, "token_usage")
    assert set(usage.scope) == {"session"}
    assert usage.tokens.sum() == 1145
    found = problems(folder)
    assert [reason in text for _, text in found] == [True] if reason else found == []


def test_a_broken_line_of_a_trace_is_a_problem_with_its_place_and_hides_nothing(path: str) -> None:
    write(path, row((user(), said(), said()), usage=TOTALS))
    folder = trace(path, line(**FIRST), "", "[1]", line(**TOTALS), line("content", content="\ud83d")[:-9], end="")
    assert set(frame(folder, "token_usage").scope) == {"turn"}
    found = lab_of(folder).problems
    assert found.line.tolist() == [3, 5]
    assert {os.path.basename(origin) for origin in found.origin} == {f"session-{FIRST_ID}.jsonl"}


def test_a_file_of_another_tool_that_is_called_like_a_trace_is_none_of_appams(path: str) -> None:
    write(path, row((user(), said()), usage=TOTALS))
    records = ('{"sessionId":"x","kind":"main"}', "not JSON", '{"id":"m","type":"user","content":"Hello"}')
    assert len(lab_of(trace(path, *records)).problems) == 0


def test_secrets_of_failed_requests_are_in_no_frame(path: str) -> None:
    write(path, row((user(), said()), usage=TOTALS))
    payload = json.dumps({"headers": {"x-api-key": "sk-ant-invented-93e1"}})
    folder = trace(path, line("error", message="429", request_payload=payload, total_input_tokens=5))
    for name in ("sessions", "turns", "messages", "tool_calls", "token_usage"):
        assert "invented-93e1" not in frame(folder, name).to_csv()
    assert "invented-93e1" not in lab_of(folder).problems.to_csv()


def test_traces_are_read_whatever_bytes_are_in_them(tmp_path: Path) -> None:
    found = tmp_path / "session-x.jsonl"
    huge = json.dumps({"type": "tool_call_completed", "data": "x" * (3 << 20)}).encode()
    lines = [b"\xff\xfe", huge, b'{"type":"content","data":"\xff"}', b"[" * 100_000, b"9" * 5000, b"\0", b"  "]
    counts = b'{"type":"usage_update","data":{"total_input_tokens":5,"total_output_tokens":true,"total_cost_usd":1e-7}}'
    found.write_bytes(b"\r\n".join([*lines, counts]))
    rows, wrong = read_traces([str(found), str(tmp_path / "session-gone.jsonl")])
    [[session_id, path, number, *totals]] = rows["usage_update"]
    assert (session_id, path, number) == ("x", str(found), "8")
    assert totals == ["5", *[None] * 6, "1e-07"]
    assert [problem.line for problem in wrong] == [1, 4, 5, 6, None]


# Whatever is in the file

JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 2**63, 2**64 - 1, 10**30, 1e308, -0.5, "", "x", "\0", "\ud800", "c1", "2026", START]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "type"]), inner, max_size=2),
    max_leaves=4,
)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, strategy, JUNK)


IDS = st.sampled_from(["c1", "c2", "", None])
TEXT = st.sampled_from(["", "hello", CONTINUE, '{"error":"x","success":false}', "\0", "\u05d0"])
BLOCK = st.fixed_dictionaries(
    {"type": _maybe(st.sampled_from(["text", "image", "tool_use", "tool_result", "thinking", "compaction"]))},
    optional={
        "text": _maybe(TEXT), "thinking": _maybe(TEXT), "id": _maybe(IDS), "name": _maybe(TEXT), "input": JUNK,
        "source": _maybe(st.just({"type": "base64", "media_type": "image/png", "data": "AAAA"})), "content": JUNK,
        "tool_use_id": _maybe(IDS), "is_error": _maybe(st.booleans()),
    },
)  # fmt: skip
CALLS = st.lists(
    _maybe(st.builds(call, _maybe(IDS), _maybe(TEXT), _maybe(TEXT))),
    max_size=3,
)
MESSAGE = st.fixed_dictionaries(
    {"role": _maybe(st.sampled_from(["assistant", "assistant", "user", "tool", "system", "developer"]))},
    optional={
        "content": _maybe(TEXT), "reasoning": _maybe(TEXT), "id": _maybe(st.sampled_from(["m1", "m2", "3"])),
        "tool_call_id": _maybe(IDS), "tool_calls": _maybe(CALLS),
        "raw_content_blocks": _maybe(st.lists(BLOCK, max_size=3)),
        "tool_metadata": _maybe(st.just({"success": True, "duration_ms": 3.75})), "timestamp": _maybe(st.just(START)),
        "provider_response_id": _maybe(st.sampled_from(["r1", "r2"])), "status": _maybe(st.just("completed")),
    },
)  # fmt: skip
USAGES = st.none() | _maybe(st.dictionaries(st.sampled_from(list(TOTALS)), _maybe(st.integers(0, 10**6))))
COLUMN = st.none() | st.sampled_from(["2026", START, b"\xff\0", b"", 5, 2**63 - 1, 1.5, "\0", "x"])
ROW = st.fixed_dictionaries(
    {
        "id": st.sampled_from([ID.format(n) for n in range(4)]) | COLUMN,
        "agent_name": COLUMN,
        "model": st.sampled_from([SONNET, "gpt-5", "gemini-2.5-pro"]) | COLUMN,
        "messages": st.one_of(*[st.lists(_maybe(MESSAGE), max_size=8).map(json.dumps)] * 4, COLUMN),
        "metadata": COLUMN,
        "started_at": COLUMN,
        "updated_at": COLUMN,
        "ended_at": COLUMN,
        "usage": USAGES.map(lambda value: value if value is None else json.dumps(value)) | COLUMN,
    }
)


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
        assert (
            some.groupby("session_id").size().reindex(sessions.session_id, fill_value=0).tolist()
            == sessions[column].tolist()
        )
    of_turns = set(zip(turns.session_id, turns.turn_id, strict=True))
    for some in (messages, calls, usage):
        named = some.dropna(subset="turn_id")
        assert set(zip(named.session_id, named.turn_id, strict=True)) <= of_turns
    own = messages.merge(turns, left_on=["session_id", "message_id"], right_on=["session_id", "turn_id"])
    assert len(own) == len(turns)
    assert (own.role == "assistant").all()
    assert turns.tool_call_count.sum() == calls.turn_id.notna().sum()
    assert calls.is_error.isna().tolist() == (calls.status == "unanswered").tolist()
    assert (calls.status != "unanswered").sum() <= (messages.role == "tool").sum()
    assert messages.parent_message_id.isna().tolist() == (messages.message_index == 0).tolist()
    prompts = messages[(messages.role == "user") & (messages.kind == "message")].groupby("session_id").size()
    highest = turns.groupby("session_id").exchange_index.max().dropna()
    assert (highest < prompts.reindex(highest.index)).all()
    assert (usage.tokens >= 0).all()
    summed = usage.groupby("session_id").tokens.sum()
    counted = sessions.set_index("session_id")[["input_tokens", "output_tokens"]].dropna().sum(axis=1)
    assert summed.reindex(counted.index).tolist() == counted.tolist()
    assert set(usage.scope) <= {"session"}


@settings(max_examples=20)
@given(rows=st.lists(ROW, max_size=6))
@example(rows=[{"id": None, "messages": "[" * 50_000 + "]" * 50_000, "model": SONNET, "usage": "[" * 50_000}])
@example(rows=[{"id": "1", "messages": json.dumps([{"role": [[[[]]]] * 3, "content": {"a": {"b": {}}}}])}] * 2)
def test_whatever_the_rows_hold_the_frames_keep_what_they_promise(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(os.path.join(folder, "x.db"), *({"usage": None, **r} for r in rows), script=LOOSE)
        with sessionlab.open(path) as lab:
            names = ("sessions", "turns", "messages", "tool_calls", "token_usage")
            check({name: lab.frame(name) for name in names})
            assert lab.frame("model_configs") is not None
            assert len(lab.problems) >= 0


@given(
    st.lists(
        st.sampled_from(
            [user(), said(), called(call("1")), called(call("2")), result("1"), result("2"), user(CONTINUE)]
        ),
        max_size=12,
    )
)
@settings(max_examples=12)
def test_every_assistant_message_is_of_one_turn_and_every_answered_call_has_the_last_result(
    messages: list[dict[str, Any]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(os.path.join(folder, "x.db"), row([m | {"timestamp": START} for m in messages]))
        with sessionlab.open(path) as lab:
            found, turns, calls = (lab.frame(name) for name in ("messages", "turns", "tool_calls"))
    pairs = sum("content" in a and a["role"] == "assistant" and "tool_calls" in b for a, b in pairwise(messages))
    assert len(turns) == sum(m["role"] == "assistant" for m in messages) - pairs
    assert found[found.role == "assistant"].turn_id.notna().all()
    for call_id in ("1", "2"):
        made = sum(call_id == c["id"] for m in messages for c in m.get("tool_calls", ()))
        results = sum(call_id == m.get("tool_call_id") for m in messages)
        answered = calls[(calls.tool_call_id == call_id) & (calls.status == "ok")]
        assert len(answered) <= min(made, results)
        assert bool(len(answered)) == bool(made and results)


@pytest.fixture(scope="module")
def sample() -> Iterator[sessionlab.Lab]:
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with sessionlab.open(os.path.join(root, "sample_data", "appam")) as lab:
        yield lab


def test_the_sample_has_turns_with_their_own_usage_and_sessions_with_a_total(sample: sessionlab.Lab) -> None:
    usage = sample.frame("token_usage")
    scopes = usage.groupby("session_id").scope.nunique()
    assert set(usage.scope) == {"turn", "session"}
    assert (scopes == 1).all()
    summed = usage.groupby("session_id").tokens.sum()
    sessions = sample.frame("sessions").set_index("session_id").dropna(subset="input_tokens")
    assert summed.to_dict() == (sessions.input_tokens + sessions.output_tokens).to_dict()
