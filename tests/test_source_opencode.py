"""opencode: a database of sessions, messages and parts in two forms, and the JSON files that came before it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opened import frame, listed, problems

import sessionlab
from sessionlab.sources import all_sources
from sessionlab.sources.opencode import default_folders, default_paths, recognises_file, records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAMPLE = os.path.join(ROOT, "sample_data", "opencode")
# As version 1.2 made them; later ones have more columns and the newer table.
OLD = """
create table project (id text primary key, worktree text not null);
create table session (
    id text primary key, project_id text not null, parent_id text, slug text not null, directory text not null,
    title text not null, version text not null, revert text, time_created integer not null,
    time_updated integer not null, time_archived integer
);
create table message (
    id text primary key, session_id text not null, time_created integer not null, time_updated integer not null,
    data text not null
);
create table part (
    id text primary key, message_id text not null, session_id text not null, time_created integer not null,
    time_updated integer not null, data text not null
);
"""
NEW = (
    OLD
    + """
alter table session add column agent text;
create table session_message (
    id text primary key, session_id text not null, type text not null, seq integer not null,
    time_created integer not null, time_updated integer not null, data text not null
);
"""
)
# Without these constraints a file can hold what no tool writes.
LOOSE = """
create table project (id, worktree);
create table session (id, project_id, parent_id, title, directory, version, agent, revert, time_created, time_updated,
    time_archived);
create table message (id, session_id, time_created, data);
create table part (id, message_id, session_id, time_created, data);
create table session_message (id, session_id, type, seq, time_created, data);
"""
ID = "ses_f36c61882ffe00000000000{:03d}"
FIRST, SECOND = ID.format(1), ID.format(2)
START = 1_783_584_000_000
SETTLED = 1_700_000_000  # what was written just now is read again each time
TOKENS = {"total": 2100, "input": 300, "output": 40, "reasoning": 60, "cache": {"read": 1500, "write": 200}}
NOTHING = {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
BY_HAND = "The following tool was executed by the user"

Told = tuple[dict[str, Any], tuple[dict[str, Any], ...]]


def text(value: str = "q", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def user(*parts: dict[str, Any], **data: Any) -> Told:
    model = {"providerID": "anthropic", "modelID": "claude-sonnet-5"}
    return {"role": "user", "agent": "build", "model": model, **data}, parts or (text(),)


def said(*parts: dict[str, Any], **data: Any) -> Told:
    """Return an answer of one step; the program repeats its tokens and cost in the step's end."""
    given = {"providerID": "anthropic", "modelID": "claude-sonnet-5", "cost": 0.01, "tokens": TOKENS, "finish": "stop"}
    answer = {"role": "assistant", **given, **data}
    if not parts:
        parts = (text("a"),)
    ends = {"type": "step-finish", "reason": answer["finish"], "tokens": answer["tokens"], "cost": answer["cost"]}
    return answer, ({"type": "step-start"}, *parts, ends) if answer["finish"] else parts


def tool(status: str = "completed", name: str = "bash", **state: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"status": status, "input": {"command": "ls"}, "time": {"start": START, "end": START + 250}}
    if status == "completed":
        given |= {"output": "done", "metadata": {"exit": 0}}
    return {"type": "tool", "tool": name, "callID": "c1", "state": {**given, **state}}


def session(session_id: Any = FIRST, **columns: Any) -> dict[str, Any]:
    """Return the row of a session."""
    given = {"id": session_id, "project_id": "p", "title": "Tides", "directory": "/home/ada/harbor", "slug": "s"}
    times = {"time_created": START, "time_updated": START + 60_000}
    return {**given, "version": "1.18.33", "parent_id": None, **times, **columns}


class Database:
    """A file that is being written."""

    def __init__(self, path: str, script: str = NEW) -> None:
        self.path = path
        self.count = 0
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.connection = sqlite3.connect(path)
        self.connection.executescript(script)

    def add(self, table: str, **values: Any) -> None:
        """Add a row; what is a list or an object becomes JSON."""
        there = {row[1]: row for row in self.connection.execute(f"pragma table_info({table})")}
        for name in ("time_updated",):
            if name in there and name not in values:
                values[name] = START
        values = {name: value for name, value in values.items() if name in there}
        given = [json.dumps(v) if isinstance(v, (dict, list)) else v for v in values.values()]
        self.connection.execute(
            f"insert into {table} ({', '.join(values)}) values ({', '.join('?' * len(given))})", given
        )

    def tell(self, session_id: Any, *messages: Told, start: int = START) -> None:
        """Add messages with their parts, a second apart."""
        for data, parts in messages:
            self.count += 1
            at = start + self.count * 1000
            message_id = f"msg_{self.count:04d}"
            data = {"time": {"created": at, **({"completed": at + 500} if data["role"] == "assistant" else {})}, **data}
            self.add("message", id=message_id, session_id=session_id, time_created=at, data=data)
            for place, part in enumerate(parts):
                part_id = f"prt_{self.count:04d}_{place}"
                row = {"id": part_id, "message_id": message_id, "session_id": session_id}
                self.add("part", **row, time_created=at + place, data=part)

    def done(self) -> str:
        """Close the file and return its path."""
        self.connection.commit()
        self.connection.close()
        os.utime(self.path, (SETTLED, SETTLED))
        return self.path


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "opencode.db")


def told(path: str, *messages: Told, script: str = NEW, **columns: Any) -> str:
    """Write a file with one session of these messages."""
    database = Database(path, script)
    database.add("project", id="p", worktree="/home/ada/harbor")
    database.add("session", **session(**columns))
    database.tell(FIRST, *messages)
    return database.done()


# The file


def test_a_database_is_recognised_by_its_tables_and_those_of_other_tools_are_not() -> None:
    source = next(source for source in all_sources() if source.name == "opencode" and source.fingerprints)
    there = {
        "session": frozenset({"id", "project_id", "parent_id", "directory", "time_created", "title"}),
        "message": frozenset({"id", "session_id", "time_created", "data"}),
        "part": frozenset({"id", "message_id", "session_id", "data"}),
    }
    assert source.recognises(there)
    assert not source.recognises({**there, "part": frozenset({"id", "data"})})
    assert not source.recognises({"session": frozenset({"id", "directory"}), "message": there["message"]})


def test_default_places_are_the_configured_ones_and_those_of_every_release(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("OPENCODE_DB", "OPENCODE_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    own = tmp_path / "opencode"
    assert default_paths() == [str(own / "opencode.db")]
    assert default_folders() == [str(own / "storage")]
    own.mkdir()
    (own / "opencode-dev.db").touch()
    assert default_paths() == [str(own / "opencode.db"), str(own / "opencode-dev.db")]
    monkeypatch.setenv("OPENCODE_DB", "mine.db")
    assert default_paths()[0] == str(own / "mine.db")
    monkeypatch.setenv("OPENCODE_DB", ":memory:")
    assert default_paths()[0] == str(own / "opencode.db")
    monkeypatch.setenv("OPENCODE_DATA_DIR", str(tmp_path / "other"))
    assert default_paths() == [str(tmp_path / "other" / "opencode.db")]


def test_a_database_from_before_version_1_16_lacks_columns_and_a_table_and_is_read(path: str) -> None:
    told(path, user(), said(), script=OLD)
    assert frame(path, "turns").output_tokens.tolist() == [100]
    assert json.loads(frame(path, "sessions").metadata[0]) == {"version": "1.18.33"}
    assert problems(path) == []


def test_a_database_in_wal_mode_is_read_with_what_is_only_in_the_wal(path: str) -> None:
    database = Database(path)
    database.connection.execute("pragma journal_mode = wal")
    database.connection.execute("pragma wal_autocheckpoint = 0")
    database.add("session", **session())
    database.tell(FIRST, user(), said())
    database.connection.commit()
    try:
        assert os.path.getsize(path + "-wal") > 0
        assert frame(path, "turns").response.tolist() == ["a"]
        database.tell(FIRST, user(text("more")), said(text("b")))
        database.connection.commit()
        assert frame(path, "turns").response.tolist() == ["a", "b"]
    finally:
        database.connection.close()


# Sessions


def test_a_session_has_its_title_and_folder_and_the_root_is_no_repository(path: str) -> None:
    database = Database(path)
    database.add("project", id="global", worktree="/")
    database.add("project", id="p", worktree="/home/ada/harbor")
    database.add("session", **session(FIRST, time_archived=START + 90_000, agent="plan"))
    database.add("session", **session(SECOND, project_id="global", time_created=START + 1))
    database.tell(FIRST, user())
    sessions = frame(database.done(), "sessions")
    assert listed(sessions.git_root) == ["/home/ada/harbor", None]
    assert sessions.name.tolist() == ["Tides"] * 2
    assert sessions.agent_name.tolist() == ["opencode"] * 2
    assert sessions.started_at[0] == pd.Timestamp(START, unit="ms", tz="UTC")
    assert sessions.archived_at[0] == pd.Timestamp(START + 90_000, unit="ms", tz="UTC")
    assert json.loads(sessions.metadata[0]) == {"agent": "plan", "version": "1.18.33"}


def test_a_child_names_its_parent_and_ids_that_others_may_have_too_are_qualified(path: str) -> None:
    database = Database(path, LOOSE)
    database.add("session", **session(FIRST))
    database.add("session", **session(SECOND, parent_id=FIRST))
    database.add("session", **session("mine", parent_id="other", time_created=START + 2))
    database.add("session", **session(None, time_created=START + 3))
    sessions = frame(database.done(), "sessions")
    store = sessions.session_id[3].removesuffix("#nameless")
    assert sessions.session_id.tolist() == [FIRST, SECOND, f"{store}:mine", f"{store}#nameless"]
    assert listed(sessions.parent_session_id) == [None, FIRST, f"{store}:other", None]
    assert listed(sessions.native_id) == [FIRST, SECOND, "mine", None]
    assert [reason for _, reason in problems(path)] == ["id is NULL; the session has a made one"]


def test_a_fork_counts_nothing_again_and_names_where_it_comes_from(path: str) -> None:
    database = Database(path)
    database.add("session", **session(FIRST))
    messages = [user(text("first")), said()]
    database.tell(FIRST, *messages)
    database.add("session", **session(SECOND, time_created=START + 500_000))
    # Copies have new ids; all else is the same, their times too.
    database.count = 0
    for number, (data, parts) in enumerate(messages, 1):
        at = START + number * 1000
        data = {"time": {"created": at, **({"completed": at + 500} if data["role"] == "assistant" else {})}, **data}
        database.add("message", id=f"msg_copy_{number}", session_id=SECOND, time_created=at, data=data)
        for place, part in enumerate(parts):
            row = {"id": f"prt_copy_{number}_{place}", "message_id": f"msg_copy_{number}", "session_id": SECOND}
            database.add("part", **row, time_created=START + 500_000, data=part)
    database.count = 600
    database.tell(SECOND, user(text("second")), said(text("b")))
    database.done()
    sessions = frame(path, "sessions")
    assert sessions.input_tokens.tolist() == [2000, 2000]
    assert sessions.first_prompt.tolist() == ["first", "second"]
    assert listed(sessions.parent_session_id) == [None, FIRST]
    assert json.loads(sessions.metadata[1])["forked_from"] == FIRST
    assert frame(path, "turns").response.tolist() == ["a", "b"]
    assert problems(path) == []


def test_answers_of_the_same_moment_in_two_sessions_are_no_copies(path: str) -> None:
    database = Database(path)
    for session_id in (FIRST, SECOND):
        database.add("session", **session(session_id))
        database.count = {FIRST: 0, SECOND: 0}[session_id]
        for number, (data, parts) in enumerate([user(), said()], 1):
            at = START + number * 1000
            data = {"time": {"created": at}, **data}
            message_id = f"msg_{session_id}_{number}"
            database.add("message", id=message_id, session_id=session_id, time_created=at, data=data)
            for place, part in enumerate(parts):
                row = {"id": f"{message_id}_{place}", "message_id": message_id, "session_id": session_id}
                database.add("part", **row, time_created=at, data=part)
    assert frame(database.done(), "sessions").input_tokens.tolist() == [2000, 2000]


def test_a_reverted_session_keeps_what_was_used_and_says_where_it_was_taken_back(path: str) -> None:
    told(path, user(), said(), user(), said(), revert={"messageID": "msg_0003"})
    assert json.loads(frame(path, "sessions").metadata[0])["revert"] == {"messageID": "msg_0003"}
    assert frame(path, "sessions").output_tokens.tolist() == [200]


# Tokens


def test_input_gets_the_cache_and_output_the_reasoning(path: str) -> None:
    told(path, user(), said())
    [turn] = frame(path, "turns").to_dict("records")
    assert (turn["input_tokens"], turn["output_tokens"]) == (2000, 100)
    assert (turn["cache_read_input_tokens"], turn["cache_creation_input_tokens"]) == (1500, 200)
    assert (turn["reasoning_output_tokens"], turn["usage_quality"]) == (60, "final")
    usage = frame(path, "token_usage").set_index("token_type").tokens.to_dict()
    assert usage == {"uncached_input": 300, "cache_read": 1500, "cache_creation": 200, "output": 40, "reasoning": 60}


def test_reasoning_that_is_in_the_output_by_the_total_is_not_added_again(path: str) -> None:
    within = {**TOKENS, "output": 100, "total": 2100}
    unknown = {name: value for name, value in TOKENS.items() if name != "total"}
    told(path, user(), said(tokens=within), said(tokens=unknown))
    assert frame(path, "turns").output_tokens.tolist() == [100, 100]
    assert frame(path, "turns").reasoning_output_tokens.tolist() == [60, 60]


def test_the_end_of_a_step_repeats_the_tokens_of_the_message_and_adds_nothing(path: str) -> None:
    told(path, user(), said())
    assert frame(path, "sessions").input_tokens.tolist() == [2000]
    assert frame(path, "sessions").reported_cost_usd.tolist() == [0.01]


def test_an_older_answer_of_several_steps_is_a_turn_for_each_with_its_own_tokens(path: str) -> None:
    def ends(output: int, cost: float) -> dict[str, Any]:
        return {
            "type": "step-finish",
            "reason": "stop",
            "tokens": {**NOTHING, "input": 10, "output": output},
            "cost": cost,
        }

    start = {"type": "step-start"}
    parts = (start, text("one"), tool(), ends(5, 0.25), start, text("two"), ends(7, 0.5), start, text("cut"))
    # The message has the tokens of the last whole step, and the cost of all.
    answer = {**said()[0], "tokens": {**NOTHING, "input": 10, "output": 7}, "cost": 0.75}
    told(path, user(), (answer, parts))
    turns = frame(path, "turns")
    assert turns.turn_id.tolist() == ["msg_0002", "prt_0002_4", "prt_0002_7"]
    assert turns.response.tolist() == ["one", "two", "cut"]
    assert listed(turns.output_tokens) == [5, 7, None]
    assert listed(turns.reported_cost_usd) == [0.25, 0.5, None]
    assert turns.usage_quality.tolist() == ["final", "final", "missing"]
    assert frame(path, "tool_calls").turn_id.tolist() == ["msg_0002"]
    assert frame(path, "messages").message_id.tolist() == [
        "msg_0001",
        "msg_0002",
        "prt_0002_2",
        "prt_0002_4",
        "prt_0002_7",
    ]


def test_tokens_that_are_all_zero_are_not_reported_and_a_cost_of_zero_is_no_price(path: str) -> None:
    told(path, user(), said(tokens=NOTHING, cost=0), said(cost=0))
    turns = frame(path, "turns")
    assert listed(turns.input_tokens) == [None, 2000]
    assert turns.usage_quality.tolist() == ["missing", "final"]
    assert turns.reported_cost_usd.isna().all()


@pytest.mark.parametrize("wrong", [-5, 1.5, "many", [], {}, True, 10**18])
def test_numbers_that_nobody_can_have_used_are_null_with_a_problem(path: str, wrong: Any) -> None:
    told(path, user(), said(tokens={**TOKENS, "output": wrong}))
    assert frame(path, "turns").output_tokens.isna().all()
    assert frame(path, "turns").input_tokens.tolist() == [2000]
    assert {record for record, _ in problems(path)} == {"message msg_0002", "part prt_0002_2"}
    assert all("output" in reason and "NULL" in reason for _, reason in problems(path))


# Models


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("google", "gcp.gemini"),
        ("google-vertex", "gcp.vertex_ai"),
        ("google-vertex-anthropic", "gcp.vertex_ai"),
        ("amazon-bedrock", "aws.bedrock"),
        ("azure", "azure.ai.openai"),
        ("mistral", "mistral_ai"),
        ("xai", "x_ai"),
        ("openrouter", "openrouter"),
    ],
)
def test_providers_have_the_names_that_opentelemetry_gives_them(path: str, provider: str, name: str) -> None:
    told(path, user(), said(providerID=provider))
    assert frame(path, "turns").provider_name.tolist() == [name]


def test_each_answer_has_the_model_that_it_was_asked_of_and_its_variant(path: str) -> None:
    told(path, user(), said(), said(modelID="gpt-5.5", providerID="openai", variant="high"), said(variant="mine"))
    turns, configs = frame(path, "turns"), frame(path, "model_configs").set_index("model_config_id")
    assert turns.request_model.tolist() == ["claude-sonnet-5", "gpt-5.5", "claude-sonnet-5"]
    assert set(turns.model_config_status) == {"recorded"}
    assert turns.response_model.isna().all()
    assert listed(configs.loc[turns.model_config_id].reasoning_effort) == [None, "high", None]
    assert listed(configs.loc[turns.model_config_id].extra) == [None, None, '{"variant":"mine"}']


@pytest.mark.parametrize(
    ("finish", "expected"),
    [("stop", "stop"), ("tool-calls", "tool_call"), ("length", "length"), ("content-filter", "content_filter"),
     ("error", "error"), ("unknown", None)],
)  # fmt: skip
def test_reasons_to_finish_have_one_word_each(path: str, finish: str, expected: str | None) -> None:
    told(path, user(), said(finish=finish))
    assert listed(frame(path, "turns").finish_reason) == [expected]
    assert frame(path, "turns").finish_reason_raw.tolist() == [finish]


# Messages and their parts


def test_parts_become_one_message_and_only_what_the_user_said_is_the_prompt(path: str) -> None:
    parts = (
        text("Look at @a.py"),
        text("Called the Read tool", synthetic=True),
        text("1: import os", synthetic=True),
        {"type": "file", "mime": "image/png", "filename": "quay.png", "url": "data:image/png;base64,AAAA"},
        {"type": "agent", "name": "plan"},
    )
    thought = {"type": "reasoning", "text": "Hm.", "time": {"start": START}}
    told(path, user(*parts), said(thought, text("One."), text("Two."), {"type": "hologram"}))
    messages = frame(path, "messages")
    assert messages.content.tolist() == [
        "Look at @a.py\n\n[quay.png]", "Called the Read tool\n\n1: import os", "One.\n\nTwo.",
    ]  # fmt: skip
    assert messages.role.tolist() == ["user", "system", "assistant"]
    assert messages.kind.tolist() == ["message", "context", "message"]
    assert listed(messages.reasoning) == [None, None, "Hm."]
    assert frame(path, "turns").prompt.tolist() == ["Look at @a.py\n\n[quay.png]"]
    assert problems(path) == [("type hologram", "1 of this type, which is not known, left out")]


def test_a_compaction_is_a_boundary_its_summary_a_turn_and_going_on_no_prompt(path: str) -> None:
    told(
        path,
        user(text("Plan.")),
        said(),
        user({"type": "compaction", "auto": True}),
        said(text("So far: a plan."), summary=True),
        user(text("Continue if you have next steps", synthetic=True)),
        said(text("On.")),
    )
    messages, turns = frame(path, "messages"), frame(path, "turns")
    assert messages.kind.tolist() == ["message", "message", "boundary", "context", "context", "message"]
    assert messages.content.tolist()[2] == "auto"
    assert turns.prompt.tolist() == ["Plan."] * 3
    assert turns.exchange_index.tolist() == [0, 0, 0]
    assert turns.output_tokens.sum() == 300


def test_a_command_that_a_user_gives_to_a_helper_is_a_prompt(path: str) -> None:
    told(path, user({"type": "subtask", "prompt": "Review.", "agent": "plan", "command": "review"}), said())
    assert frame(path, "turns").prompt.tolist() == ["/review Review."]


def test_a_command_that_a_user_ran_is_no_turn_and_no_prompt(path: str) -> None:
    shell = said(tool(), tokens=NOTHING, cost=0, finish=None, parentID="msg_0001")
    told(path, user(text(BY_HAND, synthetic=True)), shell, user(), said())
    assert frame(path, "turns").turn_id.tolist() == ["msg_0004"]
    messages = frame(path, "messages")
    assert messages.kind.tolist() == ["context", "out_of_band", "message", "message", "message"]
    [call] = frame(path, "tool_calls").to_dict("records")
    assert (call["turn_id"] is None or pd.isna(call["turn_id"]), call["status"], call["result"]) == (True, "ok", "done")


def test_a_failed_call_is_a_turn_with_its_error_and_uses_nothing(path: str) -> None:
    error = {"name": "APIError", "data": {"message": "Overloaded", "statusCode": 529, "responseBody": "sk-secret"}}
    failed, _ = said(tokens=NOTHING, cost=0, finish=None, error=error)
    told(path, user(), (failed, ()))
    [turn] = frame(path, "turns").to_dict("records")
    assert (turn["error_type"], turn["error_message"]) == ("APIError", "Overloaded")
    assert (turn["finish_reason"], turn["usage_quality"]) == ("error", "missing")
    assert frame(path, "messages").kind.tolist() == ["message", "error"]
    assert "secret" not in frame(path, "messages").to_csv()


def test_an_aborted_answer_keeps_what_was_said_and_the_reason_stands_behind_it(path: str) -> None:
    aborted = {"name": "MessageAbortedError", "data": {"message": "The operation was aborted."}}
    told(path, user(), said(text("I beg"), tokens=NOTHING, cost=0, finish=None, error=aborted))
    [turn] = frame(path, "turns").to_dict("records")
    assert (turn["response"], turn["finish_reason_raw"]) == ("I beg", "MessageAbortedError")
    assert pd.isna(turn["error_type"])
    assert pd.isna(turn["finish_reason"])
    messages = frame(path, "messages")
    assert messages.kind.tolist() == ["message", "message", "error"]
    assert messages.content.tolist()[2] == "The operation was aborted."
    assert listed(messages.turn_id) == [None, "msg_0002", "msg_0002"]


def test_an_attempt_that_was_made_again_leaves_an_error_and_no_turn(path: str) -> None:
    retry = {"type": "retry", "attempt": 1, "error": {"name": "APIError", "data": {"message": "Overloaded"}}}
    told(path, user(), said(retry, text("At last.")))
    assert frame(path, "turns").response.tolist() == ["At last."]
    errors = frame(path, "messages").query("kind == 'error'")
    assert errors.content.tolist() == ["Overloaded"]


# Tool calls


@pytest.mark.parametrize(
    ("part", "status", "exit_code"),
    [
        (tool(), "ok", 0),
        (tool(metadata={"exit": 1}), "error", 1),
        (tool(name="invalid", metadata={}), "error", None),
        (tool(name="harbor_tides", metadata={}), "ok", None),
        (tool("error", error="File not found"), "error", None),
        (tool("error", error="Tool execution aborted"), "cancelled", None),
        (tool("error", error="gone", metadata={"interrupted": True}), "cancelled", None),
        (tool("error", error="The user rejected permission to use this specific tool call."), "denied", None),
        (tool("error", error="The user has specified a rule which prevents you"), "denied", None),
        (tool(output="x\nshell tool terminated command after exceeding timeout 9 ms.", metadata={}), "timeout", None),
        (tool(output="x\nUser aborted the command", metadata={}), "cancelled", None),
        (tool(output="echo User aborted the command"), "ok", 0),
        (tool("running"), "unanswered", None),
        (tool("pending"), "unanswered", None),
    ],
)
def test_how_a_call_ended(path: str, part: dict[str, Any], status: str, exit_code: int | None) -> None:
    told(path, user(), said(part, finish="tool-calls"))
    [call] = frame(path, "tool_calls").to_dict("records")
    assert (call["status"], None if pd.isna(call["exit_code"]) else call["exit_code"]) == (status, exit_code)
    assert pd.isna(call["is_error"]) if status == "unanswered" else call["is_error"] == (status != "ok")
    results = frame(path, "messages").query("role == 'tool'")
    assert len(results) == (status != "unanswered")


def test_a_call_has_its_arguments_result_times_and_turn(path: str) -> None:
    told(path, user(), said(tool(), finish="tool-calls"), said(text("b")))
    [call] = frame(path, "tool_calls").to_dict("records")
    assert (call["tool_call_id"], call["tool_name"], call["turn_id"]) == ("c1", "bash", "msg_0002")
    assert (json.loads(call["arguments"]), call["result"]) == ({"command": "ls"}, "done")
    assert (call["started_at"], call["duration_s"]) == (pd.Timestamp(START, unit="ms", tz="UTC"), 0.25)
    turns = frame(path, "turns")
    assert turns.tool_call_count.tolist() == [1, 0]
    # How long an answer took is not known where tools ran meanwhile.
    assert listed(turns.duration_s) == [None, 0.5]


# The newer table


def newer(path: str, *rows: tuple[str, dict[str, Any]], beside: Sequence[Told] = ()) -> str:
    database = Database(path)
    database.add("session", **session())
    for seq, (kind, data) in enumerate(rows):
        at = START + seq * 1000
        row = {"id": f"msg_new_{seq}", "session_id": FIRST, "type": kind, "seq": seq, "time_created": at}
        database.add("session_message", **row, data={"time": {"created": at, "completed": at + 500}, **data})
    database.tell(FIRST, *beside)
    return database.done()


ANSWER = {
    "agent": "build",
    "model": {"id": "gpt-5.5", "providerID": "openai", "variant": "high"},
    "finish": "stop",
    "cost": 0.02,
    "tokens": {name: value for name, value in TOKENS.items() if name != "total"},
}


def test_the_newer_table_is_read_where_the_older_one_has_nothing(path: str) -> None:
    called = {
        "type": "tool", "id": "c1", "name": "shell", "time": {"created": START, "completed": START + 100},
        "state": {"status": "completed", "input": {"command": "ls"}, "structured": {"exit": 2},
                  "content": [{"type": "text", "text": "a.py"}]},
    }  # fmt: skip
    failed = {
        "type": "tool",
        "id": "c2",
        "name": "edit",
        "state": {"status": "error", "input": {}, "error": {"message": "no"}},
    }
    newer(
        path,
        ("user", {"text": "Look.", "files": [{"name": "a.png", "mime": "image/png"}]}),
        ("model-switched", {"model": {"id": "gpt-5.5", "providerID": "openai"}}),
        ("assistant", {**ANSWER, "content": [{"type": "reasoning", "text": "Hm."}, called, failed]}),
        ("synthetic", {"text": "By the program."}),
        ("shell", {"callID": "c3", "command": "git status", "output": "clean"}),
        ("compaction", {"reason": "auto", "summary": "So far."}),
        ("assistant", {**ANSWER, "content": [{"type": "text", "text": "Done."}]}),
    )
    messages = frame(path, "messages")
    assert messages.kind.tolist() == [
        "message", "note", "message", "message", "message", "context", "out_of_band", "message", "boundary", "message",
    ]  # fmt: skip
    assert listed(messages.content) == [
        "Look.\n\n[a.png]", "openai/gpt-5.5", None, "a.py", "no", "By the program.", None, "clean", "So far.", "Done.",
    ]  # fmt: skip
    turns = frame(path, "turns")
    assert turns.input_tokens.tolist() == [2000, 2000]
    assert turns.request_model.tolist() == ["gpt-5.5"] * 2
    assert listed(turns.reasoning) == ["Hm.", None]
    calls = frame(path, "tool_calls")
    assert calls.status.tolist() == ["error", "error", "ok"]
    assert listed(calls.exit_code) == [2, None, None]
    assert json.loads(calls.arguments[2]) == {"command": "git status"}
    assert problems(path) == []


def test_a_session_that_is_in_both_tables_counts_once(path: str) -> None:
    newer(path, ("user", {"text": "q"}), ("assistant", {**ANSWER, "content": []}), beside=[user(), said()])
    assert frame(path, "sessions").input_tokens.tolist() == [2000]
    assert frame(path, "turns").turn_id.tolist() == ["msg_0002"]


# What cannot be read


def test_what_is_broken_is_named_and_hides_nothing_else(path: str) -> None:
    database = Database(path, LOOSE)
    database.add("session", **session(time_created="soon", time_archived=-4))
    database.tell(FIRST, user(text("kept")), said())
    database.add("message", id="msg_1000", session_id=FIRST, time_created=START + 10**6, data='{"role": "user", "ti')
    database.add("message", id="msg_1001", session_id="gone", time_created=START, data={"role": "pirate"})
    database.add("part", id="prt_1000", message_id="msg_0001", session_id=FIRST, time_created=START, data="[1]")
    database.add("part", id="prt_1001", message_id="nowhere", session_id=FIRST, time_created=START, data=text())
    database.done()
    assert "kept" in frame(path, "messages").content.tolist()
    found = dict(problems(path))
    assert set(found) == {
        f"session {FIRST}", "message msg_1000", "message msg_1001", "part prt_1000", "part prt_1001", "session gone",
    }  # fmt: skip
    assert "no JSON object" in found["message msg_1000"]
    assert "is not there" in found["part prt_1001"]
    assert frame(path, "sessions").native_id.tolist() == ["gone", FIRST]
    assert frame(path, "turns").response.tolist() == ["a"]


def test_halves_of_characters_are_replaced(path: str) -> None:
    database = Database(path)
    database.add("session", **session())
    database.tell(FIRST, user())
    broken = r'{"type":"text","text":"\ud800 \uD83D\uDE00 \\ud800"}'
    database.add("part", id="prt_9", message_id="msg_0001", session_id=FIRST, time_created=START, data=broken)
    assert frame(database.done(), "messages").content.tolist() == ["q\n\n\ufffd \U0001f600 \\ud800"]
    assert ["halves of characters" in reason for _, reason in problems(path)] == [True]


# The files of before


def store(
    folder: Path, *messages: tuple[Any, Sequence[Any]], session_id: str = FIRST, head: Mapping[str, Any] | None = None
) -> str:
    """Write a session in the older form and return the folder of all."""
    storage = folder / "storage"

    def write(name: str, value: Any) -> None:
        target = storage / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(value if isinstance(value, str) else json.dumps(value, indent=2))
        os.utime(target, (SETTLED, SETTLED))

    times = {"created": START, "updated": START + 60_000}
    info = {"id": session_id, "version": "0.9.1", "projectID": "p", "directory": "/home/ada/harbor", "title": "Tides"}
    write("project/p.json", {"id": "p", "worktree": "/home/ada/harbor"})
    write(f"session/p/{session_id}.json", {**info, "time": times, **(head or {})})
    for number, (data, parts) in enumerate(messages, 1):
        at, message_id = START + number * 1000, f"msg_{number:04d}"
        done = {"completed": at + 500} if data.get("role") == "assistant" else {}
        given = {"id": message_id, "sessionID": session_id, "time": {"created": at, **done}}
        write(f"message/{session_id}/{message_id}.json", {**given, **data})
        for place, part in enumerate(parts):
            part_id = f"prt_{number:04d}_{place}"
            own = {"id": part_id, "sessionID": session_id, "messageID": message_id}
            write(f"part/{message_id}/{part_id}.json", {**own, **part})
    return str(folder)


def test_the_files_give_the_same_rows_as_the_database(tmp_path: Path) -> None:
    messages = [
        user(text("Look."), text("Called", synthetic=True)),
        said({"type": "reasoning", "text": "Hm."}, tool(metadata={"exit": 1}), text("b"), finish="tool-calls"),
        said(
            text("I beg"), tokens=NOTHING, cost=0, finish=None, error={"name": "UnknownError", "data": {"message": "x"}}
        ),
    ]
    folder = store(tmp_path / "files", *messages)
    database = told(str(tmp_path / "opencode.db"), *messages)
    for name in ("turns", "messages", "tool_calls", "token_usage", "model_configs"):
        some, other = frame(folder, name), frame(database, name)
        pd.testing.assert_frame_equal(some, other)
    some, other = frame(folder, "sessions"), frame(database, "sessions")
    assert some.origin[0].endswith(f"{FIRST}.json")
    unlike = ["origin", "metadata"]
    pd.testing.assert_frame_equal(some.drop(columns=unlike), other.drop(columns=unlike))
    assert problems(folder) == []


def test_a_session_in_files_and_database_counts_once(tmp_path: Path) -> None:
    store(tmp_path, user(), said())
    told(str(tmp_path / "opencode.db"), user(), said())
    assert frame(str(tmp_path), "sessions").session_id.tolist() == [FIRST]
    assert frame(str(tmp_path), "token_usage").tokens.sum() == 2100


def test_odd_ids_are_the_same_in_files_and_database(tmp_path: Path) -> None:
    store(tmp_path, user(), said(), session_id="ses_old")
    database = Database(str(tmp_path / "opencode.db"))
    database.add("session", **session("ses_old"))
    database.tell("ses_old", user(), said())
    database.done()
    assert len(frame(str(tmp_path), "sessions")) == 1


def test_only_files_of_sessions_and_messages_are_asked_for() -> None:
    assert recognises_file(f"/x/storage/session/p/{FIRST}.json", ())
    assert recognises_file(f"/x/storage/session/info/{FIRST}.json", ())
    assert recognises_file(f"/x/storage/message/{FIRST}/msg_1.json", ())
    assert recognises_file(f"/x/storage/session/message/{FIRST}/msg_1.json", ())
    assert not recognises_file(f"/x/storage/session_share/{FIRST}.json", ())
    assert not recognises_file("/x/other/msg_1.json", ())


def test_a_file_alone_is_read_too(tmp_path: Path) -> None:
    store(tmp_path, user(), said())
    path = str(tmp_path / "storage" / "message" / FIRST / "msg_0002.json")
    assert frame(path, "turns").response.tolist() == ["a"]
    assert ["only they tell of it" in reason for _, reason in problems(path)] == [True]


def test_files_that_are_no_json_are_named_and_the_others_read(tmp_path: Path) -> None:
    folder = store(tmp_path, user(), said(), user(text("kept")))
    storage = tmp_path / "storage"
    (storage / "message" / FIRST / "msg_0002.json").write_text('{"id": "msg')
    (storage / "part" / "msg_0001" / "prt_0001_0.json").write_text("[" * 100_000)
    (storage / "part" / "msg_0003" / "prt_0003_1.json").write_text("7")
    assert "kept" in frame(folder, "messages").content.tolist()
    assert {record for record, _ in problems(folder)} == {"msg_0002.json", "prt_0001_0.json", "prt_0003_1.json"}


def test_files_that_come_later_are_read_when_they_are_there(tmp_path: Path) -> None:
    folder = store(tmp_path, user(), said())
    assert frame(folder, "turns").response.tolist() == ["a"]
    store(tmp_path, user(), said(), user(), said(text("b")))
    assert frame(folder, "turns").response.tolist() == ["a", "b"]
    shutil.rmtree(tmp_path / "storage" / "message" / FIRST)
    assert frame(folder, "turns").empty


# Whatever there is


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, strategy, JUNK)


TIMES = st.fixed_dictionaries(
    {},
    optional={
        "start": _maybe(st.just(START)),
        "end": _maybe(st.just(START + 5)),
        "created": _maybe(st.just(START)),
        "completed": _maybe(st.just(START + 9)),
    },
)
SOME = st.integers(0, 10**6)
CACHE = st.fixed_dictionaries({"read": _maybe(SOME), "write": _maybe(SOME)})
COUNTS = st.fixed_dictionaries(
    {},
    optional={
        "input": _maybe(SOME),
        "output": _maybe(SOME),
        "reasoning": _maybe(SOME),
        "total": JUNK,
        "cache": _maybe(CACHE),
    },
)
STATE = st.fixed_dictionaries(
    {"status": _maybe(st.sampled_from(["completed", "error", "running", "pending"]))},
    optional={
        "input": JUNK,
        "output": JUNK,
        "error": JUNK,
        "metadata": _maybe(st.just({"exit": 1})),
        "time": _maybe(TIMES),
    },
)
PART = st.fixed_dictionaries(
    {"type": _maybe(st.sampled_from(["text", "reasoning", "tool", "step-start", "step-finish", "compaction", "file",
                                     "subtask", "retry", "patch"]))},
    optional={"text": _maybe(st.sampled_from(["", "a", BY_HAND, "\u05d0", "\0"])), "synthetic": _maybe(st.booleans()),
              "tool": _maybe(st.sampled_from(["bash", "invalid"])), "callID": _maybe(st.just("c1")),
              "state": _maybe(STATE), "tokens": _maybe(COUNTS), "cost": _maybe(st.just(0.5)), "time": _maybe(TIMES),
              "error": JUNK, "prompt": JUNK},
)  # fmt: skip
MESSAGE = st.fixed_dictionaries(
    {"role": _maybe(st.sampled_from(["user", "assistant", "assistant"]))},
    optional={"time": _maybe(TIMES), "tokens": _maybe(COUNTS), "cost": _maybe(st.just(0.5)), "error": JUNK,
              "finish": _maybe(st.just("stop")), "summary": JUNK, "providerID": _maybe(st.just("openai")),
              "model": JUNK, "modelID": _maybe(st.just("gpt-5.5")), "parentID": _maybe(st.just("m0"))},
)  # fmt: skip
COLUMN = st.none() | st.sampled_from([START, -1, "2026", b"\xff\0", b"", 1.5, "\0", "x", 2**63 - 1])
MESSAGES = MESSAGE.map(json.dumps) | COLUMN
ROWS = st.fixed_dictionaries(
    {
        "session": st.lists(st.tuples(st.sampled_from([FIRST, SECOND, "x"]) | COLUMN, COLUMN), max_size=3),
        "message": st.lists(st.tuples(st.sampled_from([FIRST, SECOND]) | COLUMN, MESSAGES), max_size=6),
        "part": st.lists(
            st.tuples(st.sampled_from(["m0", "m1", "m2"]) | COLUMN, PART.map(json.dumps) | COLUMN), max_size=10
        ),
        "newer": st.lists(st.tuples(st.sampled_from(["user", "assistant", "shell"]) | COLUMN, MESSAGES), max_size=3),
    }
)
DEEP: dict[str, list[tuple[Any, Any]]] = {
    "session": [],
    "message": [(None, "[" * 50_000)],
    "part": [("m0", "[" * 50_000 + "]" * 50_000)],
    "newer": [],
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
    assert (calls.status != "unanswered").sum() == (messages.role == "tool").sum()
    assert calls.is_error.isna().tolist() == (calls.status == "unanswered").tolist()
    assert (usage.tokens >= 0).all()
    summed = usage.groupby("session_id").tokens.sum()
    counted = sessions.set_index("session_id")[["input_tokens", "output_tokens"]].dropna().sum(axis=1)
    assert summed.reindex(counted.index).tolist() == counted.tolist()
    assert lab.frame("model_configs") is not None
    assert len(lab.problems) >= 0


@settings(max_examples=15)
@given(rows=ROWS)
@example(rows=DEEP)
def test_whatever_the_rows_hold_the_frames_keep_what_they_promise(rows: dict[str, list[tuple[Any, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(os.path.join(folder, "x.db"), LOOSE)
        for session_id, created in rows["session"]:
            database.add("session", **session(session_id, time_created=created))
        for number, (session_id, data) in enumerate(rows["message"]):
            database.add("message", id=f"m{number}", session_id=session_id, time_created=START + number, data=data)
        for number, (message_id, data) in enumerate(rows["part"]):
            database.add(
                "part", id=f"p{number}", message_id=message_id, session_id=FIRST, time_created=START, data=data
            )
        for number, (kind, data) in enumerate(rows["newer"]):
            row = {"id": f"n{number}", "session_id": SECOND, "type": kind, "seq": number, "time_created": START}
            database.add("session_message", **row, data=data)
        with sessionlab.open(database.done()) as lab:
            check(lab)


@settings(max_examples=10)
@given(
    messages=st.lists(st.tuples(MESSAGE, st.lists(PART, max_size=5)), max_size=4),
    head=st.fixed_dictionaries({}, optional={"time": _maybe(TIMES), "parentID": JUNK, "projectID": JUNK, "id": JUNK}),
)
def test_whatever_the_files_hold_the_frames_keep_what_they_promise(
    messages: list[tuple[dict[str, Any], list[dict[str, Any]]]], head: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder, sessionlab.open(store(Path(folder), *messages, head=head)) as lab:
        check(lab)


# The sample


STORAGE = os.path.join(SAMPLE, "storage")
FILES = sorted(
    os.path.relpath(os.path.join(at, name), STORAGE)
    for at, _, names in os.walk(STORAGE)
    for name in names
    if name.startswith(("ses_", "msg_", "prt_"))
)


@settings(max_examples=12)
@given(name=st.sampled_from(FILES), share=st.floats(0, 1))
def test_a_file_that_was_cut_anywhere_gives_frames_or_a_problem(name: str, share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(STORAGE, os.path.join(folder, "storage"))
        path = os.path.join(folder, "storage", name)
        size = os.path.getsize(path)
        os.truncate(path, round(size * share))
        with sessionlab.open(folder) as lab:
            check(lab)
            is_whole = round(size * share) >= size
            assert is_whole or not lab.problems.empty


@settings(max_examples=8)
@given(share=st.floats(0, 1))
def test_a_database_that_was_cut_anywhere_gives_frames_or_an_error_of_ours(share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "opencode.db")
        shutil.copy(os.path.join(SAMPLE, "opencode.db"), path)
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
    sessions = frame(str(tmp_path / "copy"), "sessions").set_index("session_id")
    assert set(sessions.index) == set(expected)
    for session_id, totals in expected.items():
        found = sessions.loc[session_id]
        assert found.turn_count == totals["turns"], session_id
        for name in set(totals) - {"turns"}:
            assert found[name] == totals[name], (session_id, name)


def test_every_file_of_the_sample_can_be_read(tmp_path: Path) -> None:
    for name in FILES:
        if not os.path.basename(name).startswith("prt_"):
            assert all(isinstance(record, str) for record in records(os.path.join(STORAGE, name)))
    shutil.copytree(SAMPLE, tmp_path / "copy")
    frame(str(tmp_path / "copy"), "messages")
    assert [record for record, _ in problems(str(tmp_path / "copy"))] == ["type hologram"]
