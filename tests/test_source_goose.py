"""goose: a database of sessions and messages, in newer versions with a ledger, and the JSON lines from before it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opened import frame, lab_of, listed, problems

import sessionlab
from sessionlab.sources import all_sources
from sessionlab.sources.goose import default_folders, default_paths, recognises_file

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAMPLE = os.path.join(ROOT, "sample_data", "goose")
# As the first version with a database made them.
OLD = """
create table sessions (
    id text primary key, description text not null default '', working_dir text not null, created_at timestamp,
    updated_at timestamp, extension_data text default '{}', total_tokens integer, input_tokens integer,
    output_tokens integer, accumulated_total_tokens integer, accumulated_input_tokens integer,
    accumulated_output_tokens integer, schedule_id text, recipe_json text
);
create table messages (
    id integer primary key autoincrement, session_id text not null, role text not null, content_json text not null,
    created_timestamp integer not null, timestamp timestamp, tokens integer
);
"""
NEW = (
    OLD
    + """
alter table sessions add column name text default '';
alter table sessions add column session_type text not null default 'user';
alter table sessions add column provider_name text;
alter table sessions add column model_config_json text;
alter table sessions add column archived_at timestamp;
alter table sessions add column parent_session_id text;
alter table sessions add column accumulated_cache_read_tokens integer;
alter table sessions add column accumulated_cache_write_tokens integer;
alter table sessions add column accumulated_cost real;
alter table messages add column message_id text;
alter table messages add column metadata_json text;
create table usage_ledger (
    id integer primary key autoincrement, session_id text not null, created_timestamp integer not null, model text,
    input_tokens integer, output_tokens integer, total_tokens integer, cache_read_tokens integer,
    cache_write_tokens integer, cost real, cost_source text, is_compaction integer default 0
);
"""
)
# Without these constraints a file can hold what no tool writes.
LOOSE = """
create table sessions (id, name, description, session_type, working_dir, created_at, updated_at, archived_at,
    extension_data, accumulated_total_tokens, accumulated_input_tokens, accumulated_output_tokens,
    accumulated_cache_read_tokens, accumulated_cache_write_tokens, accumulated_cost, provider_name, model_config_json,
    parent_session_id);
create table messages (session_id, message_id, role, content_json, created_timestamp, metadata_json);
create table usage_ledger (session_id, created_timestamp, model, input_tokens, output_tokens, cache_read_tokens,
    cache_write_tokens, cost, cost_source, is_compaction);
"""
FIRST, SECOND = "20260709_1", "20260709_2"
START = 1_783_584_000
SETTLED = 1_700_000_000  # what was written just now is read again each time
MODEL = {"provider": "anthropic", "requestedModel": "claude-sonnet-5"}
DECLINED = "The user has declined to run this tool. DO NOT attempt to call this tool again."
HIDDEN = {"userVisible": False, "agentVisible": True}

Said = tuple[str, list[Any], dict[str, Any] | None]


def text(value: Any = "q", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def user(*blocks: Any, **metadata: Any) -> Said:
    return "user", list(blocks) or [text()], metadata or None


def said(*blocks: Any, **metadata: Any) -> Said:
    return "assistant", list(blocks) or [text("a")], metadata or None


def used(tokens: int = 1000, output: int = 40, **more: Any) -> dict[str, Any]:
    """Return what a message says of its model and of what it used."""
    usage = {"inputTokens": tokens, "outputTokens": output, "cacheReadTokens": 800, "cost": 0.25, "elapsedMs": 2140}
    return {"inference": MODEL, "usage": {**usage, **more}}


def asks(call_id: str = "c1", name: str = "shell", **more: Any) -> dict[str, Any]:
    call = {"status": "success", "value": {"name": name, "arguments": {"command": "ls"}}}
    return {"type": "toolRequest", "id": call_id, "toolCall": call, **more}


def gives(call_id: str = "c1", *, value: Any = None, error: str | None = None) -> dict[str, Any]:
    result = {"status": "error", "error": error} if error is not None else {"status": "success", "value": value}
    return {"type": "toolResponse", "id": call_id, "toolResult": result}


def contents(*texts: str, **more: Any) -> dict[str, Any]:
    return {"content": [text(value) for value in texts], "isError": False, **more}


def moment(seconds: int) -> str:
    return f"2026-07-09 08:{seconds // 60:02d}:{seconds % 60:02d}"


def session(session_id: Any = FIRST, **columns: Any) -> dict[str, Any]:
    """Return the row of a session."""
    given = {"id": session_id, "name": "Tides", "working_dir": "/home/ada/harbor", "session_type": "user"}
    return {**given, "created_at": moment(0), "updated_at": moment(90), **columns}


class Database:
    """A file that is being written."""

    def __init__(self, path: str, script: str = NEW) -> None:
        self.path = path
        self.count = 0
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.connection = sqlite3.connect(path)
        self.connection.executescript(script)

    def add(self, table: str, **values: Any) -> None:
        """Add a row; what is a list or an object becomes JSON, and what the table lacks is left out."""
        there = {row[1] for row in self.connection.execute(f"pragma table_info({table})")}
        values = {name: value for name, value in values.items() if name in there}
        given = [json.dumps(v) if isinstance(v, (dict, list)) else v for v in values.values()]
        self.connection.execute(
            f"insert into {table} ({', '.join(values)}) values ({', '.join('?' * len(given))})", given
        )

    def tell(self, session_id: Any, *messages: Said, **more: Any) -> None:
        """Add messages, a second apart."""
        for role, content, metadata in messages:
            self.count += 1
            known = {"message_id": f"m{self.count}", "created_timestamp": START + self.count, "metadata_json": metadata}
            self.add("messages", session_id=session_id, role=role, content_json=content, **{**known, **more})

    def note(self, session_id: Any, at: int, tokens: int = 1000, output: int = 40, **more: Any) -> None:
        """Add a row to the ledger."""
        known = {"model": "claude-sonnet-5", "input_tokens": tokens, "output_tokens": output, "cache_read_tokens": 800}
        known |= {"cost": 0.25, "cost_source": "estimated", "is_compaction": 0, **more}
        self.add("usage_ledger", session_id=session_id, created_timestamp=START + at, **known)

    def done(self) -> str:
        """Close the file and return its path."""
        self.connection.commit()
        self.connection.close()
        os.utime(self.path, (SETTLED, SETTLED))
        return self.path


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "sessions.db")


def told(path: str, *messages: Said, script: str = NEW, **columns: Any) -> str:
    """Write a file with one session of these messages."""
    database = Database(path, script)
    database.add("sessions", **session(**columns))
    database.tell(FIRST, *messages)
    return database.done()


# The file


def test_a_database_is_recognised_by_its_tables_and_those_of_other_tools_are_not() -> None:
    source = next(source for source in all_sources() if source.name == "goose" and source.fingerprints)
    there = {
        "sessions": frozenset({"id", "working_dir", "extension_data", "accumulated_total_tokens"}),
        "messages": frozenset({"session_id", "role", "content_json", "created_timestamp"}),
    }
    assert source.recognises(there)
    assert not source.recognises({"sessions": frozenset({"id", "agent_name", "model", "messages"})})
    assert not source.recognises({**there, "messages": frozenset({"session_id", "role", "content"})})


def test_default_places_are_the_configured_ones_and_the_tools_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GOOSE_PATH_ROOT", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert default_paths() == [str(tmp_path / "goose" / "sessions" / "sessions.db")]
    assert default_folders() == [str(tmp_path / "goose" / "sessions")]
    monkeypatch.setenv("GOOSE_PATH_ROOT", str(tmp_path / "root"))
    assert default_paths() == [str(tmp_path / "root" / "data" / "sessions" / "sessions.db")]
    monkeypatch.delenv("GOOSE_PATH_ROOT")
    monkeypatch.setenv("APPDATA", str(tmp_path / "Roaming"))
    monkeypatch.setattr(sys, "platform", "win32")
    assert default_folders() == [str(tmp_path / "Roaming" / "Block" / "goose" / "data" / "sessions")]


def test_a_database_of_the_first_version_lacks_most_columns_and_is_read(path: str) -> None:
    told(
        path, user(), said(), script=OLD, description="Old", accumulated_input_tokens=900, accumulated_output_tokens=30
    )
    [found] = frame(path, "sessions").to_dict("records")
    assert (found["name"], found["input_tokens"], found["output_tokens"]) == ("Old", 900, 30)
    assert frame(path, "turns").response.tolist() == ["a"]
    assert problems(path) == []


# Sessions


def test_a_session_has_its_name_folder_and_times_which_are_utc(path: str) -> None:
    archived = "2026-07-10T10:00:00.5+02:00"
    told(path, user(), said(), archived_at=archived)
    [found] = frame(path, "sessions").to_dict("records")
    assert (found["name"], found["directory"], found["agent_name"]) == ("Tides", "/home/ada/harbor", "goose")
    assert found["started_at"] == pd.Timestamp("2026-07-09T08:00:00Z")
    assert found["archived_at"] == pd.Timestamp("2026-07-10T08:00:00.5Z")
    assert json.loads(found["metadata"]) == {"session_type": "user"}


def test_ids_are_numbers_of_a_day_and_so_are_qualified_by_their_file(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        database = Database(str(tmp_path / name / "sessions.db"))
        database.add("sessions", **session(FIRST))
        database.add("sessions", **session(SECOND, parent_session_id=FIRST, session_type="sub_agent"))
        sessions = frame(database.done(), "sessions")
        assert sessions.native_id.tolist() == [FIRST, SECOND]
        assert listed(sessions.parent_session_id) == [None, sessions.session_id[0]]
        found += sessions.session_id.tolist()
    assert len(set(found)) == 4


def test_a_copied_session_counts_nothing_again_and_names_where_it_comes_from(path: str) -> None:
    database = Database(path)
    database.add("sessions", **session(FIRST, accumulated_input_tokens=1000, accumulated_output_tokens=40))
    database.tell(FIRST, user(text("first")), said(**used()))
    database.note(FIRST, 2)
    database.add("sessions", **session(SECOND, created_at=moment(60)))
    database.count = 0
    database.tell(SECOND, user(text("first")), said(**used()))
    database.count = 100
    database.tell(SECOND, user(text("second")), said(text("b"), **used(500, 20)))
    database.note(SECOND, 102, 500, 20)
    sessions = frame(database.done(), "sessions")
    assert sessions.output_tokens.tolist() == [40, 20]
    assert sessions.turn_count.tolist() == [1, 1]
    assert sessions.first_prompt.tolist() == ["first", "second"]
    assert listed(sessions.parent_session_id) == [None, sessions.session_id[0]]
    assert json.loads(sessions.metadata[1])["copied_from"] == FIRST


# What was used


def test_without_a_ledger_the_sums_are_the_sessions_and_the_counts_of_the_last_request_are_not(path: str) -> None:
    sums: dict[str, Any] = {
        "accumulated_input_tokens": 5000,
        "accumulated_output_tokens": 300,
        "accumulated_cache_read_tokens": 4000,
    }
    told(
        path,
        user(),
        said(),
        said(),
        input_tokens=1200,
        output_tokens=20,
        total_tokens=1220,
        accumulated_cost=0.5,
        **sums,
    )
    usage = frame(path, "token_usage")
    assert set(usage.scope) == {"session"}
    assert usage.set_index("token_type").tokens.to_dict() == {"uncached_input": 1000, "cache_read": 4000, "output": 300}
    assert frame(path, "sessions").reported_cost_usd.tolist() == [0.5]
    assert set(frame(path, "turns").usage_quality) == {"missing"}


def test_a_cache_that_is_larger_than_the_input_is_no_part_of_it(path: str) -> None:
    sums: dict[str, Any] = {
        "accumulated_input_tokens": 100,
        "accumulated_output_tokens": 9,
        "accumulated_cache_read_tokens": 4000,
    }
    told(path, user(), said(), **sums)
    assert frame(path, "sessions").input_tokens.tolist() == [4100]


def test_an_answer_that_says_what_it_used_has_it_where_all_adds_up(path: str) -> None:
    sums: dict[str, Any] = {"accumulated_input_tokens": 1500, "accumulated_output_tokens": 60}
    told(path, user(), said(**used()), user(), said(text("b"), **used(500, 20, cacheReadTokens=0)), **sums)
    turns = frame(path, "turns")
    assert turns.input_tokens.tolist() == [1000, 500]
    assert turns.cache_read_input_tokens.tolist() == [800, 0]
    assert turns.reported_cost_usd.tolist() == [0.25, 0.25]
    assert turns.duration_s.tolist() == [2.14, 2.14]
    assert set(frame(path, "token_usage").scope) == {"turn"}


def test_where_messages_say_less_than_the_session_there_is_the_total_alone(path: str) -> None:
    sums: dict[str, Any] = {"accumulated_input_tokens": 9000, "accumulated_output_tokens": 60}
    told(path, user(), said(**used()), **sums)
    assert frame(path, "turns").input_tokens.isna().all()
    assert frame(path, "sessions").input_tokens.tolist() == [9000]
    [model] = frame(path, "token_usage").model.unique()
    assert model == "claude-sonnet-5"


def test_the_rows_of_the_ledger_are_those_of_the_answers_where_that_is_sure(path: str) -> None:
    database = Database(path)
    database.add("sessions", **session(provider_name="anthropic", model_config_json={"model_name": "claude-sonnet-5"}))
    database.tell(FIRST, user(), said(), user(), said(text("b")))
    database.note(FIRST, 3)
    database.note(FIRST, 5, 700, 9)
    turns = frame(database.done(), "turns")
    assert turns.input_tokens.tolist() == [1000, 1500]  # the cache of the second is larger than its input
    assert turns.output_tokens.tolist() == [40, 9]
    assert turns.model_config_status.tolist() == ["only", "only"]


@pytest.mark.parametrize(
    "rows",
    [
        [(3, {}), (4, {}), (5, {})],  # one more than answers
        [(5, {}), (6, {})],  # the first is later than the second answer
        [(1, {}), (5, {})],  # the first is earlier than its answer
        [(3, {"cost_source": "carried_forward", "model": None}), (5, {})],
        [(3, {"is_compaction": 1}), (5, {})],
    ],
)
def test_where_it_is_not_sure_the_sum_of_the_ledger_is_the_sessions(path: str, rows: list[tuple[int, Any]]) -> None:
    database = Database(path)
    database.add("sessions", **session())
    database.tell(FIRST, user(), said(), user(), said(text("b")))
    for at, more in rows:
        database.note(FIRST, at, **more)
    turns = frame(database.done(), "turns")
    assert turns.input_tokens.isna().all()
    assert frame(path, "sessions").input_tokens.tolist() == [1000 * len(rows)]
    assert set(frame(path, "token_usage").scope) == {"session"}


def test_the_larger_of_ledger_and_sums_is_what_was_used(path: str) -> None:
    database = Database(path)
    sums: dict[str, Any] = {
        "accumulated_input_tokens": 4000,
        "accumulated_output_tokens": 10,
        "accumulated_cost": 0.125,
    }
    database.add("sessions", **session(**sums))
    database.tell(FIRST, user(), said(), user(), said())
    database.note(FIRST, 3, 1000, 90)
    sessions = frame(database.done(), "sessions")
    assert (sessions.input_tokens[0], sessions.output_tokens[0]) == (4000, 90)
    assert sessions.reported_cost_usd.tolist() == [0.25]


def test_a_compaction_is_a_turn_and_what_it_used_counts(path: str) -> None:
    database = Database(path)
    database.add("sessions", **session())
    database.tell(
        FIRST,
        user(text("Plan."), userVisible=True, agentVisible=False),
        said(**{**used(), "userVisible": True, "agentVisible": False}),
        user(text("So far: a plan."), **HIDDEN),
        said(text("Your context was compacted."), **HIDDEN),
        user(text("/compact"), userVisible=True, agentVisible=False),
        said(text("Compaction complete"), userVisible=True, agentVisible=False),
        user(text("On."), userVisible=True, agentVisible=True),
        said(text("b"), **used(500, 20)),
    )
    database.note(FIRST, 2)
    database.note(FIRST, 3, 9000, 70, is_compaction=1)
    database.note(FIRST, 8, 500, 20)
    turns = frame(database.done(), "turns")
    assert turns.response.tolist() == ["a", "So far: a plan.", "b"]
    assert turns.output_tokens.tolist() == [40, 70, 20]
    assert turns.prompt.tolist() == ["Plan.", "Plan.", "On."]
    kinds = frame(path, "messages").kind.tolist()
    assert kinds == ["message", "message", "context", "context", "out_of_band", "note", "message", "message"]


@pytest.mark.parametrize("wrong", [-5, 1.5, "many", b"\xff", 10**18])
def test_numbers_that_nobody_can_have_used_are_null_with_a_problem(path: str, wrong: Any) -> None:
    database = Database(path, LOOSE)
    database.add("sessions", **session(accumulated_input_tokens=wrong, accumulated_output_tokens=7))
    database.tell(FIRST, user(), said())
    sessions = frame(database.done(), "sessions")
    assert listed(sessions.output_tokens) in ([7], [None])
    assert sessions.input_tokens.isna().all()
    assert any("accumulated_input_tokens" in reason for _, reason in problems(path))


# Models


def test_each_answer_has_the_model_that_it_names(path: str) -> None:
    other = {"provider": "google", "requestedModel": "auto", "resolvedModel": "gemini-3.1-pro-preview"}
    told(path, user(), said(inference=MODEL), user(), said(inference=other))
    turns = frame(path, "turns")
    assert turns.request_model.tolist() == ["claude-sonnet-5", "auto"]
    assert listed(turns.response_model) == [None, "gemini-3.1-pro-preview"]
    assert turns.provider_name.tolist() == ["anthropic", "gcp.gemini"]
    assert set(turns.model_config_status) == {"recorded"}


def test_the_sessions_configuration_is_that_of_its_answers_only_where_there_is_one_prompt(path: str) -> None:
    config = {"model_name": "gpt-5.5", "temperature": 0.5, "max_tokens": 16384, "context_limit": 128000}
    database = Database(path)
    for number, session_id in enumerate((FIRST, SECOND), 1):
        database.add("sessions", **session(session_id, provider_name="openai", model_config_json=config))
        for _ in range(number):
            database.tell(session_id, user(), said())
    turns = frame(database.done(), "turns")
    assert turns.model_config_status.tolist() == ["only", "unknown", "unknown"]
    assert listed(turns.request_model) == ["gpt-5.5", None, None]
    [found] = frame(path, "model_configs").to_dict("records")
    assert (found["provider_name"], found["temperature"], found["max_tokens"]) == ("openai", 0.5, 16384)
    assert (found["context_max_tokens"], found["session_count"]) == (128000, 2)


# Responses, calls and results


def test_text_and_calls_in_several_messages_are_one_response(path: str) -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    index: dict[str, Any] = {"_meta": {"goose.toolCall.providerIndex": 1}}
    told(
        path,
        user(),
        said(thought, text("I look."), **used()),
        said(thought, asks("c1"), inference=MODEL),
        user(gives("c1", value=contents("one"))),
        said(thought, asks("c2", **index), inference=MODEL),
        user(gives("c2", value=contents("two"))),
        said(text("Done."), **used(500, 20, cacheReadTokens=0)),
    )
    turns, calls = frame(path, "turns"), frame(path, "tool_calls")
    assert turns.response.tolist() == ["I look.", "Done."]
    assert listed(turns.reasoning) == ["Hm.", None]
    assert turns.input_tokens.tolist() == [1000, 500]
    assert listed(turns.finish_reason) == ["tool_call", None]
    assert calls.turn_id.tolist() == ["m2", "m2"]
    assert calls.result.tolist() == ["one", "two"]
    assert frame(path, "messages").role.tolist() == ["user", "assistant", "tool", "tool", "assistant"]


def test_answers_one_after_the_other_are_two_where_each_says_what_it_used(path: str) -> None:
    told(path, user(), said(**used()), said(text("b"), **used()), said(text("c"), inference=MODEL))
    assert frame(path, "turns").response.tolist() == ["a", "b\n\nc"]


@pytest.mark.parametrize(
    ("block", "status", "exit_code", "result"),
    [
        (gives(value=contents("x", structuredContent={"exit_code": 0})), "ok", 0, "x"),
        (gives(value=contents("x", structuredContent={"exit_code": 2})), "error", 2, "x"),
        (gives(value={**contents("x"), "isError": True}), "error", None, "x"),
        (gives(error="-32600: no such tool"), "error", None, "-32600: no such tool"),
        (gives(value=contents(DECLINED)), "denied", None, DECLINED),
        (gives(value=[text("old")]), "ok", None, "old"),
        (gives(value=contents("a", "b")), "ok", None, "a\nb"),
        (
            gives(value={"content": [{"type": "image", "mimeType": "image/png", "data": "AA"}]}),
            "ok",
            None,
            "[image/png]",
        ),
        (gives(value={"content": [{"type": "resource", "resource": {"uri": "x://y", "text": "t"}}]}), "ok", None, "t"),
    ],
)
def test_how_a_call_ended(path: str, block: Any, status: str, exit_code: int | None, result: str) -> None:
    told(path, user(), said(asks()), user(block))
    [call] = frame(path, "tool_calls").to_dict("records")
    assert (call["status"], call["is_error"], call["result"]) == (status, status != "ok", result)
    assert (None if pd.isna(call["exit_code"]) else call["exit_code"]) == exit_code
    assert (call["tool_name"], json.loads(call["arguments"])) == ("shell", {"command": "ls"})


def test_of_a_result_for_the_model_and_the_same_for_the_user_the_models_is_it(path: str) -> None:
    both = [text("short", annotations={"audience": ["assistant"]}), text("long", annotations={"audience": ["user"]})]
    told(path, user(), said(asks()), user(gives(value=both)))
    assert frame(path, "tool_calls").result.tolist() == ["short"]


def test_a_call_that_could_not_be_parsed_and_one_that_nothing_answered(path: str) -> None:
    broken = {"type": "toolRequest", "id": "c2", "toolCall": {"status": "error", "error": "no JSON"}}
    told(path, user(), said(asks("c1"), broken), user(gives("c2", error="no JSON")))
    calls = frame(path, "tool_calls")
    assert calls.status.tolist() == ["unanswered", "error"]
    assert calls.tool_name.tolist() == ["shell", ""]
    assert listed(calls.arguments)[1] is None


def test_an_id_that_comes_twice_gives_each_call_its_own_result(path: str) -> None:
    told(path, user(), said(asks()), user(gives(value=[text("1")])), said(asks()), user(gives(value=[text("2")])))
    assert frame(path, "tool_calls").result.tolist() == ["1", "2"]


def test_a_result_without_a_call_is_a_message_and_a_problem(path: str) -> None:
    told(path, user(), user(gives("c9", value=[text("lost")])))
    assert frame(path, "messages").content.tolist() == ["q", "lost"]
    assert ["c9" in reason for _, reason in problems(path)] == [True]


# Messages that are neither prompts nor answers


@pytest.mark.parametrize(
    ("message", "role", "kind", "content"),
    [
        (user(text("<turn-context>"), turnContext=True, **HIDDEN), "system", "context", "<turn-context>"),
        (user(text("Keep working."), **HIDDEN), "system", "context", "Keep working."),
        (said(text("Ran into this error: 503.")), "system", "error", "Ran into this error: 503."),
        (said({"type": "error", "message": "no key"}), "system", "error", "no key"),
        (said({"type": "systemNotification", "msg": "Compacting"}), "system", "note", "Compacting"),
        (said({"type": "toolConfirmationRequest", "toolName": "ls", "prompt": "Run?"}), "system", "note", "ls Run?"),
        (said({"type": "actionRequired", "data": {"message": "Who?"}}), "system", "note", "Who?"),
        (user(text("/compact"), userVisible=True, agentVisible=False), "user", "out_of_band", "/compact"),
    ],
)  # fmt: skip
def test_what_the_program_says_is_no_prompt_and_no_answer(
    path: str, message: Said, role: str, kind: str, content: str
) -> None:
    told(path, user(), said(), message)
    last = frame(path, "messages").iloc[-1]
    assert (last.role, last.kind, last.content) == (role, kind, content)
    assert len(frame(path, "turns")) == 1
    assert frame(path, "turns").exchange_index.tolist() == [0]


def test_once_answers_name_their_model_a_text_without_one_is_the_programs(path: str) -> None:
    told(
        path, user(), said(text("old")), user(), said(text("new"), inference=MODEL), user(), said(text("Goal cleared."))
    )
    assert frame(path, "turns").response.tolist() == ["old", "new"]
    assert frame(path, "messages").kind.tolist()[-1] == "note"


def test_pictures_are_named_and_unknown_blocks_counted(path: str) -> None:
    told(
        path,
        user(text("See."), {"type": "image", "mimeType": "image/png", "data": "AAAA"}),
        said(text("a"), {"type": "hologram"}),
    )
    assert frame(path, "messages").content.tolist() == ["See.\n\n[image/png]", "a"]
    assert problems(path) == [("type hologram", "1 of this type, which is not known, left out")]


# What cannot be read


def test_what_is_broken_is_named_and_hides_nothing_else(path: str) -> None:
    database = Database(path, LOOSE)
    database.add("sessions", **session(created_at="soon"))
    database.add("sessions", **session(None))
    database.tell(FIRST, user(text("kept")), said())
    database.add(
        "messages", session_id=FIRST, message_id="m8", role="user", content_json="[{", created_timestamp=START + 8
    )
    database.add(
        "messages", session_id="gone", message_id="m9", role="pirate", content_json="[]", created_timestamp="now"
    )
    database.note("nowhere", 3)
    database.note(FIRST, 4, input_tokens="many")
    database.done()
    assert "kept" in frame(path, "messages").content.tolist()
    found = {record for record, _ in problems(path)}
    assert found == {
        f"sessions {FIRST}", "sessions row 2", "sessions gone", "messages m8", "messages m9", "usage_ledger row 1",
        "usage_ledger row 2",
    }  # fmt: skip
    assert frame(path, "turns").response.tolist() == ["a"]


def test_halves_of_characters_are_replaced(path: str) -> None:
    database = Database(path)
    database.add("sessions", **session())
    broken = r'[{"type":"text","text":"\ud800 \uD83D\uDE00 \\ud800"}]'
    database.add(
        "messages", session_id=FIRST, message_id="m1", role="user", content_json=broken, created_timestamp=START
    )
    assert frame(database.done(), "messages").content.tolist() == ["\ufffd \U0001f600 \\ud800"]
    assert ["halves of characters" in reason for _, reason in problems(path)] == [True]


# The files of before


def lines(folder: Path, *messages: Said, name: str = FIRST, head: Mapping[str, Any] | None = None) -> str:
    """Write a session as lines and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sums: dict[str, Any] = {
        "accumulated_total_tokens": 1040,
        "accumulated_input_tokens": 1000,
        "accumulated_output_tokens": 40,
    }
    first = {"working_dir": "/home/ada/harbor", "description": "Tides", "message_count": 2, "total_tokens": 9, **sums}
    told = [
        {"role": role, "created": START + number, "content": content, **({"metadata": metadata} if metadata else {})}
        for number, (role, content, metadata) in enumerate(messages, 1)
    ]
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [first if head is None else head, *told]))
    os.utime(path, (SETTLED, SETTLED))
    return str(folder)


def test_the_lines_give_the_same_rows_as_the_database(tmp_path: Path) -> None:
    messages = [
        user(text("Look.")),
        said({"type": "thinking", "thinking": "Hm."}, asks()),
        user(gives(value=contents("x", structuredContent={"exit_code": 2}))),
        said(text("Done.")),
    ]
    folder = lines(tmp_path / "files", *messages)
    sums: dict[str, Any] = {"accumulated_input_tokens": 1000, "accumulated_output_tokens": 40}
    database = told(str(tmp_path / "sessions.db"), *messages, created_at=moment(1), **sums)
    for name in ("turns", "messages", "tool_calls", "token_usage"):
        some, other = frame(folder, name), frame(database, name)
        unlike = [c for c in some.columns if c.endswith("_id") and c != "tool_call_id"]
        pd.testing.assert_frame_equal(some.drop(columns=unlike), other.drop(columns=unlike))
    assert frame(folder, "sessions").name.tolist() == ["Tides"]
    assert frame(folder, "sessions").origin[0].endswith(f"{FIRST}.jsonl")
    assert problems(folder) == []


def test_a_session_in_lines_and_database_counts_once(tmp_path: Path) -> None:
    lines(tmp_path, user(), said())
    told(str(tmp_path / "sessions.db"), user(), said(), accumulated_input_tokens=1000, accumulated_output_tokens=40)
    assert frame(str(tmp_path), "sessions").native_id.tolist() == [FIRST]
    assert frame(str(tmp_path), "token_usage").tokens.sum() == 1040


def test_lines_are_recognised_by_what_they_say() -> None:
    assert recognises_file("x.jsonl", [{"working_dir": "/", "message_count": 1}])
    assert recognises_file("x.jsonl", [{"role": "user", "created": 1, "content": [text()]}])
    assert recognises_file("x.jsonl", [{"type": "user", "sessionId": "x", "message": {}}]) is False
    assert recognises_file("x.jsonl", []) is None


def test_a_file_without_its_first_line_is_its_messages(tmp_path: Path) -> None:
    folder = lines(tmp_path, said(text("b")), head={"role": "user", "created": START, "content": [text()]})
    assert frame(folder, "turns").response.tolist() == ["b"]
    assert frame(folder, "token_usage").empty
    assert [record for record, _ in problems(folder)] == ["the first line"]


def test_lines_that_come_later_are_read_and_broken_ones_named(tmp_path: Path) -> None:
    folder = lines(tmp_path, user(), said())
    assert frame(folder, "turns").response.tolist() == ["a"]
    with open(tmp_path / f"{FIRST}.jsonl", "a") as file:
        file.write('{"role": "user", "crea\n')
        file.write(json.dumps({"role": "user", "created": START + 9, "content": "plain"}) + "\n")
        file.write(json.dumps({"role": "assistant", "created": START + 9, "content": [text("b")]}) + "\n")
    assert frame(folder, "turns").response.tolist() == ["a", "b"]
    assert lab_of(folder).problems.line.tolist() == [4, 5]


# Whatever there is


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, strategy, JUNK)


COUNT = st.integers(0, 10**6)
RESULT = st.fixed_dictionaries(
    {"status": _maybe(st.sampled_from(["success", "error"]))},
    optional={"error": JUNK, "value": st.one_of(JUNK, st.just(contents("x")), st.just([text("x")]))},
)
BLOCK = st.fixed_dictionaries(
    {
        "type": _maybe(
            st.sampled_from(["text", "thinking", "toolRequest", "toolResponse", "image", "error", "reasoning"])
        )
    },
    optional={
        "text": _maybe(st.sampled_from(["", "a", "/compact", "\u05d0", "\0"])),
        "thinking": _maybe(st.just("hm")),
        "id": _maybe(st.sampled_from(["c1", "c2"])),
        "toolCall": _maybe(st.just({"status": "success", "value": {"name": "shell", "arguments": {}}})),
        "toolResult": _maybe(RESULT),
        "_meta": _maybe(st.just({"goose.toolCall.providerIndex": 1})),
    },
)
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "userVisible": _maybe(st.booleans()),
        "agentVisible": _maybe(st.booleans()),
        "inference": _maybe(st.just(MODEL)),
        "usage": _maybe(st.fixed_dictionaries({"inputTokens": _maybe(COUNT), "outputTokens": _maybe(COUNT)})),
    },
)
ROLE = _maybe(st.sampled_from(["user", "assistant"]))
CONTENT = _maybe(st.lists(_maybe(BLOCK), max_size=4))
COLUMN = st.none() | st.sampled_from([START, -1, "2026", b"\xff\0", b"", 1.5, "\0", "x", 2**63 - 1])
ROWS = st.fixed_dictionaries(
    {
        "sessions": st.lists(st.tuples(st.sampled_from([FIRST, SECOND]) | COLUMN, COLUMN, COUNT | COLUMN), max_size=3),
        "messages": st.lists(
            st.tuples(
                st.sampled_from([FIRST, SECOND]) | COLUMN,
                st.sampled_from(["user", "assistant"]) | COLUMN,
                CONTENT.map(json.dumps) | COLUMN,
                METADATA.map(json.dumps) | COLUMN,
                st.just(START) | COLUMN,
            ),
            max_size=8,
        ),
        "ledger": st.lists(st.tuples(st.sampled_from([FIRST, SECOND]) | COLUMN, COUNT | COLUMN, COLUMN), max_size=4),
    }
)
DEEP: dict[str, list[Any]] = {
    "sessions": [],
    "messages": [(None, "user", "[" * 50_000 + "]" * 50_000, "[" * 50_000, START)],
    "ledger": [],
}


def check(lab: sessionlab.Lab) -> None:
    """Check what the frames promise."""
    names = ("sessions", "turns", "messages", "tool_calls", "token_usage")
    sessions, turns, messages, calls, usage = (lab.frame(name) for name in names)
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
        numbers = some.sort_values(["session_id", column])
        assert numbers.groupby("session_id", sort=False).cumcount().tolist() == numbers[column].tolist()
    own = messages.merge(turns, left_on=["session_id", "message_id"], right_on=["session_id", "turn_id"])
    assert len(own) == len(turns)
    assert (own.role == "assistant").all()
    assert set(messages.role) <= {"system", "user", "assistant", "tool"}
    assert (calls.status != "unanswered").sum() <= (messages.role == "tool").sum()
    assert calls.is_error.isna().tolist() == (calls.status == "unanswered").tolist()
    assert (usage.tokens >= 0).all()
    assert (usage.groupby("session_id").scope.nunique() == 1).all()
    summed = usage.groupby("session_id").tokens.sum()
    counted = sessions.set_index("session_id")[["input_tokens", "output_tokens"]].dropna().sum(axis=1)
    assert summed.reindex(counted.index).tolist() == counted.tolist()
    assert lab.frame("model_configs") is not None
    assert len(lab.problems) >= 0


@settings(max_examples=15)
@given(rows=ROWS)
@example(rows=DEEP)
def test_whatever_the_rows_hold_the_frames_keep_what_they_promise(rows: dict[str, list[Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(os.path.join(folder, "x.db"), LOOSE)
        for session_id, created, count in rows["sessions"]:
            sums = {"accumulated_input_tokens": count, "accumulated_output_tokens": count}
            database.add("sessions", **session(session_id, created_at=created, **sums))
        for number, (session_id, role, content, metadata, created) in enumerate(rows["messages"]):
            row = {"session_id": session_id, "message_id": f"m{number}", "role": role, "content_json": content}
            database.add("messages", **row, metadata_json=metadata, created_timestamp=created)
        for session_id, count, model in rows["ledger"]:
            database.note(session_id, 3, input_tokens=count, output_tokens=count, model=model, cache_read_tokens=None)
        with sessionlab.open(database.done()) as lab:
            check(lab)


@settings(max_examples=15)
@given(
    messages=st.lists(st.tuples(ROLE, CONTENT, METADATA), max_size=6),
    head=st.fixed_dictionaries(
        {"working_dir": st.just("/")}, optional={"description": JUNK, "accumulated_input_tokens": _maybe(COUNT)}
    ),
)
def test_whatever_the_lines_hold_the_frames_keep_what_they_promise(messages: list[Any], head: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, sessionlab.open(lines(Path(folder), *messages, head=head)) as lab:
        check(lab)


# The sample


@settings(max_examples=12)
@given(name=st.sampled_from(["20260904_113426.jsonl", "sessions.db"]), share=st.floats(0, 1))
def test_a_file_that_was_cut_anywhere_gives_frames_or_a_problem_or_an_error_of_ours(name: str, share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        shutil.copy(os.path.join(SAMPLE, "sessions", name), path)
        os.truncate(path, round(os.path.getsize(path) * share))
        os.utime(path, (SETTLED, SETTLED))
        try:
            with sessionlab.open(path) as lab:
                check(lab)
        except sessionlab.SessionLabError:
            assert share < 1


def test_the_sample_adds_up_to_what_its_maker_knows(maker: Any, tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "copy")
    expected = maker.expected()
    sessions = frame(str(tmp_path / "copy"), "sessions").set_index("native_id")
    assert set(sessions.index) == set(expected)
    for native_id, totals in expected.items():
        found = sessions.loc[native_id]
        for name in ("input_tokens", "output_tokens"):
            assert found[name] == totals[name], (native_id, name)
        assert found.turn_count == totals["turns"], native_id
        if pd.notna(found.cache_read_input_tokens):  # the files of before do not say
            assert found.cache_read_input_tokens == totals["cache_read_input_tokens"], native_id
    assert problems(str(tmp_path / "copy")) == []
