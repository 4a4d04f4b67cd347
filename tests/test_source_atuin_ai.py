"""atuin-ai: what its events become, how runs, calls and results are told apart, and what is done with broken ones."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import tempfile
import uuid
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opened import column
from test_foreign_files import check_whole
from test_frames import COLUMNS

import sessionlab
from sessionlab.sources.atuin_ai import default_paths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCHEMAS = os.path.join(ROOT, "sample_data", "schemas", "atuin_ai")
FIRST, METADATA, USAGE = (
    "20260413000000_create_ai_sessions.sql",
    "20260417000000_add_session_metadata.sql",
    "20260707000000_create_ai_usage.sql",
)
BOUNDARY = (
    "[Note: The user has started a new invocation of Atuin AI. "
    "Prior messages from this session are from an earlier invocation.]"
)
CANCELLED = "The user cancelled the previous generation. Tool calls that were in progress have been aborted."
AT = 1_790_000_000
TYPES = ("user_message", "text", "tool_call", "tool_result", "out_of_band_output", "system_context", "skill_invocation")
Event = tuple[str | None, Any]


def uuid7(milliseconds: int, number: int = 0) -> str:
    """Return an id as atuin makes them."""
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | 0b10 << 62 | number))


SESSION, RUN = uuid7(AT * 1000 - 90_000, 1), uuid7(AT * 1000 - 90_000, 2)


def user(text: Any = "q") -> Event:
    return "user_message", {"content": text}


def text(content: Any = "a") -> Event:
    return "text", {"content": content}


def call(call_id: Any = "c", name: Any = "read_file", given: Any = None) -> Event:
    return "tool_call", {"id": call_id, "name": name, "input": given}


def result(call_id: Any = "c", content: Any = "ok", is_error: Any = False, remote: Any = False) -> Event:
    data = {"tool_use_id": call_id, "content": content, "is_error": is_error, "remote": remote, "content_length": None}
    return "tool_result", data


def context(content: str) -> Event:
    return "system_context", {"content": content}


def aside(command: str | None, content: str) -> Event:
    return "out_of_band_output", {"name": "System", "command": command, "content": content}


def make(path: str | Path, *, later: bool = True, any_values: bool = False) -> sqlite3.Connection:
    """Return a connection to a new file in the state in which atuin makes it."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("pragma journal_mode = wal")
    for schema in (FIRST, METADATA, USAGE) if later else (FIRST,):
        with open(os.path.join(SCHEMAS, schema), encoding="utf-8") as file:
            script = file.read()
        if any_values:  # made by hand: without keys, types and conditions
            script = re.sub(r",\s*(FOREIGN|PRIMARY) KEY \([^)]*\)( REFERENCES \w+\(\w+\))?", "", script)
            script = re.sub(r" (TEXT|INTEGER)( PRIMARY KEY)?( NOT NULL)?", "", script)
        db.executescript(script)
    return db


def add_session(db: sqlite3.Connection, session_id: Any = SESSION, **more: Any) -> None:
    row = {
        "id": session_id,
        "head_id": None,
        "server_session_id": "server",
        "directory": "/home/ada/harbor",
        "git_root": "/home/ada",
        "created_at": AT,
        "updated_at": AT + 60,
        "archived_at": None,
    } | more
    db.execute(f"insert into sessions values ({', '.join('?' * len(row))})", tuple(row.values()))


def add(db: sqlite3.Connection, *events: Event, session_id: Any = SESSION, run: Any = RUN) -> list[str]:
    """Add events, each a second after the former, and return their ids."""
    ids = []
    count = db.execute("select count(*) from session_events").fetchone()[0]
    parent = db.execute("select id from session_events where invocation_id = ? order by rowid desc", [run]).fetchone()
    parent_id = None if parent is None else parent[0]
    for number, (event_type, data) in enumerate(events, count):
        event_id = uuid7((AT + number) * 1000 + 123, number)
        given = data if isinstance(data, (str, bytes)) or data is None else json.dumps(data)
        add_event(db, event_id, session_id, parent_id, run, event_type, given, AT + number)
        ids.append(event_id)
        parent_id = event_id
    return ids


def add_event(db: sqlite3.Connection, *row: Any) -> None:
    db.execute("insert into session_events values (?, ?, ?, ?, ?, ?, ?)", row)


def read(path: str | Path) -> tuple[dict[str, pd.DataFrame], list[tuple[str, str]]]:
    """Return all frames and the problems, after a check that they fit together."""
    with sessionlab.open(path) as lab, lab.snapshot():
        # First without any text, which must give the same facts.
        alone = lab.frame("turns", columns=["turn_id", "prompt"])
        frames = {name: lab.frame(name) for name in COLUMNS}
        problems = [(row["record"], row["reason"]) for row in lab.problems.to_dict("records")]
    assert alone.turn_id.tolist() == frames["turns"].turn_id.tolist()
    check_whole(frames)
    return frames, problems


def frames_of(tmp_path: Path, *events: Event) -> dict[str, pd.DataFrame]:
    """Return the frames of one session with some events, which have no problem."""
    frames, problems = frames_and_problems_of(tmp_path, *events)
    assert problems == []
    return frames


def frames_and_problems_of(tmp_path: Path, *events: Event) -> tuple[dict[str, pd.DataFrame], list[str]]:
    path = tmp_path / f"{len(os.listdir(tmp_path))}.db"
    with closing(make(path)) as db:
        add_session(db)
        add(db, *events)
    frames, problems = read(path)
    return frames, [reason for _, reason in problems]


def test_a_session_has_what_its_row_says(tmp_path: Path) -> None:
    with closing(make(tmp_path / "a.db")) as db:
        add_session(db, archived_at=AT + 100)
        add_session(db, "by hand", directory=None, git_root=None, server_session_id=None, updated_at=AT)
        add(db, user("first"), text(), user("second"))
    frames, problems = read(tmp_path / "a.db")
    assert problems == []
    sessions = frames["sessions"]
    first, second = (sessions.iloc[place] for place in (0, 1))
    assert (first.session_id, first.native_id, first.conversation_id) == (SESSION, SESSION, "server")
    assert (first.directory, first.git_root, first.agent_name) == ("/home/ada/harbor", "/home/ada", "atuin")
    assert first.started_at == datetime.fromtimestamp(AT - 90, UTC)
    assert first.updated_at == datetime.fromtimestamp(AT + 60, UTC)
    assert first.archived_at == datetime.fromtimestamp(AT + 100, UTC)
    assert (first.first_prompt, first.turn_count, first.message_count) == ("first", 1, 3)
    assert second.session_id.endswith(":by hand")
    assert (second.native_id, second.message_count) == ("by hand", 0)
    assert second.started_at == datetime.fromtimestamp(AT, UTC)
    assert column(sessions, "archived_at")[1] is None


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (AT * 1000 - 3_600_250, AT - 3600.25),
        (AT * 1000 + 999, AT + 0.999),
        (AT * 1000 - 90_000_000_000, AT),
        (AT * 1000 + 5_000, AT),
    ],
)
def test_the_time_in_a_sessions_id_counts_where_the_row_was_written_soon_after(
    tmp_path: Path, milliseconds: int, expected: float
) -> None:
    with closing(make(tmp_path / "a.db")) as db:
        add_session(db, uuid7(milliseconds))
    assert read(tmp_path / "a.db")[0]["sessions"].started_at[0].timestamp() == expected


def test_times_of_events_are_those_of_their_ids_where_these_are_of_the_same_second(tmp_path: Path) -> None:
    with closing(make(tmp_path / "a.db")) as db:
        add_session(db)
        for number, (event_id, seconds) in enumerate(
            (
                (uuid7(AT * 1000 + 250, 1), AT),
                (uuid7(AT * 1000 - 500, 2), AT),
                (uuid7(AT * 1000 + 77_000, 3), AT),
                (uuid7(AT * 1000 - 77_000, 4), AT),
                (str(uuid.UUID(int=5, version=4)), AT),
                ("by hand", AT),
            )
        ):
            add_event(db, event_id, SESSION, None, RUN, "text", json.dumps({"content": str(number)}), seconds)
    messages = read(tmp_path / "a.db")[0]["messages"]
    assert messages.content.tolist() == ["0", "1", "2", "3", "4", "5"]
    assert [time.timestamp() - AT for time in messages.created_at] == [0.25, -0.5, 0, 0, 0, 0]


def test_every_type_of_event_has_its_role_and_kind(tmp_path: Path) -> None:
    frames = frames_of(
        tmp_path,
        user(),
        text(),
        call(),
        result(),
        context(BOUNDARY),
        context(CANCELLED),
        context("something else"),
        aside("/help", "Commands: …"),
        aside("/model", "Model set to Demo Large for this and future sessions."),
        aside(None, "without"),
        ("out_of_band_output", {"name": "Updater", "command": "/x", "content": "y"}),
        ("skill_invocation", {"name": "tidy", "arguments": "now", "content": "# Tidy"}),
        ("skill_invocation", {"name": "tidy", "arguments": None, "content": "# Tidy"}),
    )
    messages = frames["messages"]
    assert list(zip(messages.role, messages.kind, messages.content, strict=True)) == [
        ("user", "message", "q"),
        ("assistant", "message", "a"),
        ("tool", "message", "ok"),
        ("system", "boundary", BOUNDARY),
        ("system", "note", CANCELLED),
        ("system", "context", "something else"),
        ("system", "out_of_band", "/help\nCommands: …"),
        ("system", "note", "/model\nModel set to Demo Large for this and future sessions."),
        ("system", "out_of_band", "without"),
        ("system", "out_of_band", "Updater /x\ny"),
        ("user", "skill", "/tidy now\n# Tidy"),
        ("user", "skill", "/tidy\n# Tidy"),
    ]
    assert frames["turns"].exchange_index.tolist() == [0]
    assert column(frames["turns"], "request_model") == column(frames["turns"], "response_model") == [None]
    assert frames["turns"].model_config_status.tolist() == ["unknown"]
    assert frames["turns"].usage_quality.tolist() == ["missing"]
    assert not messages.is_preamble.any()


def test_a_turn_is_a_response_with_its_text_and_calls(tmp_path: Path) -> None:
    frames = frames_of(
        tmp_path,
        user("one"),
        text("I look."),
        call("a"),
        call("b"),
        result("a"),
        result("b"),
        call("c"),
        result("c"),
        text("Here."),
        text("And more."),
        call("d", "suggest_command"),
        text("after a call"),
        user("two"),
        text("Yes."),
    )
    turns, calls, messages = frames["turns"], frames["tool_calls"], frames["messages"]
    assert column(turns, "response") == ["I look.", None, "Here.", "And more.", "after a call", "Yes."]
    assert turns.tool_call_count.tolist() == [2, 1, 0, 1, 0, 0]
    assert turns.exchange_index.tolist() == [0, 0, 0, 0, 0, 1]
    assert turns.prompt.tolist() == [*["one"] * 5, "two"]
    assert column(turns, "finish_reason") == ["tool_call", "tool_call", None, None, None, None]
    assert column(turns, "finish_reason_raw") == [None] * 6
    ids = turns.turn_id.tolist()
    assert calls.turn_id.tolist() == [ids[0], ids[0], ids[1], ids[3]]
    assert set(ids) == set(messages.message_id[messages.role == "assistant"])
    assert messages.turn_id[messages.role == "tool"].tolist() == [ids[0], ids[0], ids[1]]


def test_a_response_without_text_is_a_message_under_the_id_of_its_first_call(tmp_path: Path) -> None:
    with closing(make(tmp_path / "a.db")) as db:
        add_session(db)
        ids = add(db, user(), call("a"), call("b"), result("a"))
    frames = read(tmp_path / "a.db")[0]
    assert frames["turns"].turn_id.tolist() == [ids[1]]
    messages = frames["messages"]
    assert messages.message_id.tolist() == [ids[0], ids[1], ids[3]]
    assert column(messages, "content") == ["q", None, "ok"]
    # The result follows the second call, which is part of the message of the first.
    assert column(messages, "parent_message_id") == [None, ids[0], ids[1]]


def test_a_cancelled_response_keeps_its_text_and_its_calls_wherever_they_are_stored(tmp_path: Path) -> None:
    cancelled = "Error: user cancelled this operation"
    partial = "So far\n\n[User cancelled this generation]"
    frames = frames_of(
        tmp_path, user(), call("a"), result("a", cancelled, True), text(partial), context(CANCELLED), user("x"), text()
    )
    assert column(frames["turns"], "response") == [None, partial, "a"]
    assert column(frames["turns"], "finish_reason") == column(frames["turns"], "error_type") == [None] * 3
    assert frames["tool_calls"].status.tolist() == ["cancelled"]
    assert frames["turns"].exchange_index.tolist() == [0, 0, 1]


def test_two_runs_that_go_on_with_one_session_keep_their_prompts_and_turns_apart(tmp_path: Path) -> None:
    left, right = "left", "right"
    with closing(make(tmp_path / "a.db")) as db:
        add_session(db)
        begin = add(db, user("start"), text("started"))
        for event, run in (
            (user("l"), left),
            (user("r"), right),
            (text("to l"), left),
            (text("to r"), right),
            (call("x"), left),
            (call("x"), right),
            (result("x", "of l"), left),
            (result("x", "of r"), right),
        ):
            add(db, event, run=run)
        add(db, context(BOUNDARY), text("without a prompt of its own"), run="third")
        db.execute("update session_events set parent_id = ? where parent_id is null and rowid > 2", [begin[1]])
    frames, problems = read(tmp_path / "a.db")
    assert problems == []
    turns = frames["turns"]
    assert turns.response.tolist() == ["started", "to l", "to r", "without a prompt of its own"]
    assert turns.prompt.tolist() == ["start", "l", "r", "r"]
    assert turns.exchange_index.tolist() == [0, 1, 2, 2]
    assert turns.invocation_id.tolist() == [RUN, left, right, "third"]
    assert turns.tool_call_count.tolist() == [0, 1, 1, 0]
    assert frames["tool_calls"].result.tolist() == ["of l", "of r"]
    messages = frames["messages"]
    assert (messages.parent_message_id == begin[1]).sum() == 3


def test_a_session_may_begin_without_a_question_or_hold_only_notes(tmp_path: Path) -> None:
    frames = frames_of(tmp_path, aside("/new", "Started a new session."), text("lost"), user("q"), text("a"))
    assert column(frames["turns"], "exchange_index") == [None, 0]
    assert column(frames["turns"], "prompt") == [None, "q"]
    only = frames_of(tmp_path, aside("/new", "Started a new session."))
    assert (len(only["messages"]), len(only["turns"])) == (1, 0)
    assert column(only["sessions"], "first_prompt") == [None]
    assert len(frames_of(tmp_path)["sessions"]) == 1


def shell(content: str, is_error: bool = True, name: str = "execute_shell_command") -> tuple[Event, Event]:
    return call("c", name), result("c", content, is_error)


OUTCOMES: Mapping[str, tuple[tuple[Event, ...], tuple[Any, ...]]] = {
    "ok": (shell("Exit code: 0\n\nDuration: 42ms\n\nstdout:\nx\n\nstderr: (empty)", False), ("ok", False, 0, 0.042)),
    "error": (shell("Exit code: 2\n\nDuration: 3ms\n\nstdout: (empty)\n\nstderr:\nno"), ("error", True, 2, 0.003)),
    "signal": (shell("Exit code: -9\n\nDuration: 3ms\n\nstdout: (empty)"), ("error", True, -9, 0.003)),
    "timeout": (
        shell("Duration: 30006ms\n\nstdout:\nx\n\nstderr: (empty)\n\n[Timed out after 30s]"),
        ("timeout", True, None, 30.006),
    ),
    "interrupted": (
        shell("Duration: 8211ms\n\nstdout: (empty)\n\nstderr: (empty)\n\n[Interrupted by user]"),
        ("cancelled", True, None, 8.211),
    ),
    "output that looks like an outcome": (
        shell("Exit code: 0\n\nDuration: 5ms\n\nstdout:\nExit code: 3\nDuration: 9ms\n\n[Timed out after 3s]", False),
        ("ok", False, 0, 0.005),
    ),
    "output alone": (shell("stdout:\nExit code: 3\n\nDuration: 9ms", False), ("ok", False, None, None)),
    "a number too large": (shell("Exit code: 99999999999999\n\nDuration: 9ms"), ("error", True, None, None)),
    "another tool": (shell("Exit code: 3\n\nDuration: 9ms", False, "read_file"), ("ok", False, None, None)),
    "a remote one": (
        (call("c", "execute_shell_command"), result("c", "Exit code: 3\n\nDuration: 9ms", remote=True)),
        ("ok", False, None, None),
    ),
    "cancelled": (shell("Error: user cancelled this operation"), ("cancelled", True, None, None)),
    "denied by a rule": (shell("Permission denied on the user's system"), ("denied", True, None, None)),
    "denied by the user": (shell("Permission denied by the user", name="x"), ("denied", True, None, None)),
    "a file with that text": (shell("Permission denied by the user", False, "read_file"), ("ok", False, None, None)),
    "not enabled": (
        shell("Tool not enabled: capability 'x' was not advertised by this client"),
        ("error", True, None, None),
    ),
    "unknown": (shell("Error: Unknown tool call: x", name="x"), ("error", True, None, None)),
    "unanswered": ((call("c"),), ("unanswered", None, None, None)),
    "suggested": ((call("c", "suggest_command"),), ("suggested", None, None, None)),
    "a suggestion that failed": (shell("Error: Missing command", name="suggest_command"), ("error", True, None, None)),
    "from before there was `remote`": (
        (call("c"), ("tool_result", {"tool_use_id": "c", "content": "x", "is_error": False})),
        ("ok", False, None, None),
    ),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_status_exit_code_and_duration_come_from_the_results_text(tmp_path: Path, outcome: str) -> None:
    events, expected = OUTCOMES[outcome]
    calls = frames_of(tmp_path, user(), *events)["tool_calls"]
    found = tuple(column(calls, name)[0] for name in ("status", "is_error", "exit_code", "duration_s"))
    assert found == expected


@pytest.mark.parametrize(
    ("events", "results"),
    [
        ([call("a"), call("b"), result("b", "B"), result("a", "A")], ["A", "B"]),
        ([result("a", "early"), call("a")], ["early"]),
        ([call("a"), result("a", "first"), result("a", "last")], ["last"]),
        ([call("a"), result("a", "ref", remote=True), result("a", "local")], ["ref"]),
        ([call("a"), call("a"), result("a", "1"), result("a", "2")], ["1", "2"]),
        ([call("a"), result("a", "1"), result("a", "2"), call("a"), result("a", "3")], ["2", "3"]),
        ([call("a"), result("a", "1"), call("a")], ["1", None]),
        ([result("a", "1"), call("a"), call("a"), result("a", "2")], ["1", "2"]),
        ([call("a"), call("a"), result("a", "1")], ["1", None]),
    ],
)
def test_each_call_has_the_result_that_is_its_own(
    tmp_path: Path, events: Sequence[Event], results: list[str | None]
) -> None:
    frames = frames_of(tmp_path, user(), *events)
    assert column(frames["tool_calls"], "result") == results
    assert (frames["messages"].role == "tool").sum() == sum(event_type == "tool_result" for event_type, _ in events)


def test_calls_with_the_same_id_in_two_sessions_are_not_mixed_up(tmp_path: Path) -> None:
    with closing(make(tmp_path / "a.db")) as db:
        for name in ("a", "b"):
            add_session(db, name)
            add(db, user(), call("same"), session_id=name, run=name)
        add(db, result("same", "of b"), session_id="b", run="b")
    frames, problems = read(tmp_path / "a.db")
    assert problems == []
    assert column(frames["tool_calls"], "result") == [None, "of b"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('{"z": 1, "a": {"c": [1, 2], "b": null}}', '{"z":1,"a":{"c":[1,2],"b":null}}'),
        ('{"hash":18446744073709551615}', '{"hash":18446744073709551615}'),
        ('"pip install"', '"pip install"'),
        ("[1]", "[1]"),
        ("null", "null"),
        ("5", "5"),
        ("[" * 2000 + "]" * 2000, "[" * 2000 + "]" * 2000),
    ],
)
def test_arguments_are_the_json_that_was_stored(tmp_path: Path, given: str, expected: str) -> None:
    frames = frames_of(tmp_path, user(), ("tool_call", f'{{"id":"a","name":"b","input":{given}}}'))
    assert frames["tool_calls"].arguments.tolist() == [expected]


BROKEN: Mapping[str, tuple[Event, str, str]] = {
    "an unknown type": (("plan_update", '{"steps": [1]}'), "system", "the type plan_update is not known"),
    "cut off": (("text", '{"content":"cut o'), "assistant", "event_data is no JSON"),
    "empty": (("user_message", ""), "user", "event_data is no JSON"),
    "a list": (("text", '["a"]'), "assistant", "event_data is no JSON object"),
    "null": (("tool_result", "null"), "tool", "event_data is no JSON object"),
    "an empty object": (("tool_call", "{}"), "assistant", "event_data lacks what makes a tool_call"),
    "another member": (("system_context", '{"text":"x"}'), "system", "event_data lacks what makes a system_context"),
    "too deep and cut off": (("text", "[" * 100_000), "assistant", "event_data is no JSON"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_an_event_that_cannot_be_read_is_context_with_its_data_as_text_and_a_problem(
    tmp_path: Path, broken: str
) -> None:
    event, role, reason = BROKEN[broken]
    frames, problems = frames_and_problems_of(tmp_path, user(), event, text())
    message = frames["messages"].iloc[1]
    assert (message.role, message.kind, message.content) == (role, "context", event[1])
    assert len(problems) == 1
    assert problems[0].startswith(reason)
    assert frames["turns"].response.tolist() == ["a"]
    assert frames["sessions"].first_prompt.tolist() == ["q"]


ODD_MEMBERS: Mapping[str, tuple[Event, str | None, str]] = {
    "content null": (text(None), None, "content is no text"),
    "content a number": (text(5), "5", "content is no text"),
    "content an object": (user({"a": 1}), '{"a":1}', "content is no text"),
    "half a character": (
        ("text", r'{"content":"x \ud800 \\ud800 \ud83d\ude00"}'),
        "x \N{REPLACEMENT CHARACTER} \\ud800 \N{GRINNING FACE}",
        "event_data holds halves of characters",
    ),
}


@pytest.mark.parametrize("odd", ODD_MEMBERS)
def test_an_event_with_an_odd_member_is_what_it_is_and_a_problem(tmp_path: Path, odd: str) -> None:
    event, content, reason = ODD_MEMBERS[odd]
    frames, problems = frames_and_problems_of(tmp_path, event)
    assert frames["messages"].kind.tolist() == ["message"]
    assert column(frames["messages"], "content") == [content]
    assert len(problems) == 1
    assert problems[0].startswith(reason)


def test_texts_may_hold_any_character(tmp_path: Path) -> None:
    texts = ["a\0b", "\x01 \x02", "Grüße 世界 👩‍🚀", '"quoted" \\ud800', "", "\r\n\t", "x" * 1_000_000]
    frames = frames_of(tmp_path, *map(user, texts))
    assert frames["messages"].content.tolist() == texts


def test_calls_and_results_without_an_id_are_there_and_a_problem(tmp_path: Path) -> None:
    frames, problems = frames_and_problems_of(
        tmp_path,
        user(),
        ("tool_call", {"name": "read_file", "input": {}}),
        ("tool_call", {"id": "x", "input": {}}),
        ("tool_result", {"content": "whose?", "is_error": False}),
        result("gone", "of nothing"),
        result("x", "ok", is_error=None),
    )
    calls = frames["tool_calls"]
    assert column(calls, "tool_call_id") == [None, "x"]
    assert calls.tool_name.tolist() == ["read_file", ""]
    assert calls.status.tolist() == ["unanswered", "ok"]
    assert frames["messages"].content.dropna().tolist() == ["q", "whose?", "of nothing", "ok"]
    assert sorted(problems) == [
        "id is no text",
        "is_error is neither true nor false",
        "it is the result of the call gone, which is not there; it is a message all the same",
        "it names no call; it is a message all the same",
        "name is no text",
        "tool_use_id is no text",
    ]


def test_metadata_keep_every_digit_and_what_is_no_json_is_text(tmp_path: Path) -> None:
    reads = '{"reads":{"/a":{"content_hash":18446744073709551615,"mtime_ms":1767225600123}}}'
    with closing(make(tmp_path / "a.db")) as db:
        add_session(db)
        add_session(db, "bare")
        for row in (
            (SESSION, "file_read_tracker", reads, AT),
            (SESSION, "edit_permissions", '{"grants":{}}', AT),
            (SESSION, 'by "hand"', "no JSON", AT),
            ("gone", "edit_permissions", "{}", AT),
        ):
            db.execute("pragma foreign_keys = off")
            db.execute("insert into session_metadata values (?, ?, ?, ?)", row)
    frames, problems = read(tmp_path / "a.db")
    metadata = column(frames["sessions"], "metadata")
    assert metadata[1] is None
    assert reads in metadata[0]
    assert json.loads(metadata[0]) == {
        "file_read_tracker": json.loads(reads),
        "edit_permissions": {"grants": {}},
        'by "hand"': "no JSON",
    }
    assert problems == [
        ("session_metadata " + SESSION + ' by "hand"', "value is no JSON; it is there as text"),
        ("session_metadata gone edit_permissions", "its session is not there; it is left out"),
    ]


def test_later_tables_may_be_missing_and_credits_are_no_usage(tmp_path: Path) -> None:
    for later in (False, True):
        path = tmp_path / f"{later}.db"
        with closing(make(path, later=later)) as db:
            add_session(db)
            add(db, user(), text())
            if later:
                snapshot = {"period": "calendar_monthly", "input": {"used": 48211, "limit": 5000000}}
                db.execute("insert into usage values ('k', ?, ?)", [json.dumps(snapshot), AT])
        frames, problems = read(path)
        assert problems == []
        assert (len(frames["messages"]), len(frames["token_usage"]), len(frames["model_configs"])) == (2, 0, 0)
        assert column(frames["sessions"], "input_tokens") == [None]


def test_events_whose_session_is_gone_have_one_of_their_own(tmp_path: Path) -> None:
    with closing(make(tmp_path / "a.db")) as db:
        db.execute("pragma foreign_keys = off")
        add(db, user("left"), text())
    frames, problems = read(tmp_path / "a.db")
    session = frames["sessions"].iloc[0]
    assert (session.session_id, session.message_count, session.first_prompt) == (SESSION, 2, "left")
    assert session.started_at == datetime.fromtimestamp(AT - 90, UTC)
    assert problems == [
        ("sessions " + SESSION, "events are of this session, but its row is not there; only they tell of it")
    ]


def test_events_come_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    with closing(make(tmp_path / "a.db")) as db:
        add_session(db)
        for number, seconds in enumerate((AT + 1, AT, AT, AT + 1, None, 10**15)):
            data = json.dumps({"content": str(number)})
            db.execute("create table if not exists _ (x)")
            add_event(db, uuid7(0, number), SESSION, None, RUN, "text", data, AT if seconds is None else seconds)
    frames, problems = read(tmp_path / "a.db")
    assert frames["messages"].content.tolist() == ["1", "2", "4", "0", "3", "5"]
    assert problems == [("session_events " + uuid7(0, 5), f"created_at is {10**15}, which is no time")]


def test_an_id_that_is_not_one_makes_a_problem_and_a_made_id(tmp_path: Path) -> None:
    with closing(make(tmp_path / "a.db", any_values=True)) as db:
        add_session(db)
        for number, event_id in enumerate(("x", "x", None, None, 1, "2", b"\xff", "")):
            add_event(db, event_id, SESSION, "x" if number else None, RUN, "text", '{"content":"a"}', AT + number)
    frames, problems = read(tmp_path / "a.db")
    messages = frames["messages"]
    assert messages.message_id.is_unique
    assert messages.message_id[0] == "x"
    assert column(messages, "parent_message_id") == [None, *["x"] * 7]
    found = [(record, reason.split(";")[0]) for record, reason in problems]
    assert ("session_events x", "an event before it has the same id") in found
    for record, shown in (("row 3", "NULL"), ("row 4", "NULL"), ("1", "'1'"), ("2", "'2'"), ("", "''")):
        assert (f"session_events {record}", f"id is {shown}") in found


def test_a_parent_that_is_not_there_or_not_before_is_none(tmp_path: Path) -> None:
    with closing(make(tmp_path / "a.db")) as db:
        add_session(db)
        for event_id, parent_id in (("a", "c"), ("b", "b"), ("c", "nowhere"), ("d", "c")):
            add_event(db, event_id, SESSION, parent_id, RUN, "text", '{"content":"a"}', AT)
    frames, problems = read(tmp_path / "a.db")
    assert column(frames["messages"], "parent_message_id") == [None, None, None, "c"]
    assert sorted(problems) == [
        ("session_events a", "its parent c is not before it; it has none"),
        ("session_events b", "its parent b is not before it; it has none"),
        ("session_events c", "its parent nowhere is not there; it has none"),
    ]


def test_sessions_with_one_id_or_none_are_read_once_and_said(tmp_path: Path) -> None:
    with closing(make(tmp_path / "a.db", any_values=True)) as db:
        for session_id in (SESSION, SESSION, None, None):
            add_session(db, session_id, created_at="yesterday")
        add(db, user("a"))
        add(db, user("b"), session_id=None, run=None)
    frames, problems = read(tmp_path / "a.db")
    sessions = frames["sessions"]
    assert sessions.message_count.tolist() == [1, 1]
    assert column(sessions, "native_id") == [SESSION, None]
    reasons = [reason for _, reason in problems]
    assert sum("which is read" in reason for reason in reasons) == 2
    assert sum("created_at is yesterday, which is no time" in reason for reason in reasons) == 2
    assert "invocation_id is NULL" in reasons


ids = st.sampled_from([None, "a", "b", "", "7", 7, 2.5, b"\x00\xff", "\ud7ff", uuid7(AT * 1000, 9), uuid7(2**47, 9)])
call_ids = st.sampled_from(["a", "b", "", None, 5])
contents: st.SearchStrategy[Any] = st.sampled_from(
    [None, "x", 5, {}, ["a"], "a\0b", BOUNDARY, CANCELLED, "Exit code: 3\n\nDuration: 9ms"]
)
data = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "content": contents,
            "id": call_ids,
            "tool_use_id": call_ids,
            "name": st.sampled_from(["execute_shell_command", "suggest_command", None, 1]),
            "input": st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=4),
            "is_error": st.sampled_from([True, False, None, "true", 1]),
            "remote": st.sampled_from([True, False, None, "true"]),
            "command": st.sampled_from([None, "/model", 1]),
            "arguments": st.sampled_from([None, "x", {}]),
        },
    ).map(json.dumps),
    st.sampled_from([None, "", "null", "[]", "{", '"\\ud800"', '{"content":"\\ud800"}', b"\xff\xfe", 5, 1e300, "NaN"]),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
times = st.one_of(
    st.integers(AT, AT + 3), st.sampled_from([None, "", "x", 1.5, -1, 2**63 - 1, b"\xff", "1e3", float("inf")])
)
events = st.tuples(ids, ids, ids, ids, st.sampled_from([*TYPES, "plan", "", None, 3]), data, times)


@settings(max_examples=40)
@given(
    rows=st.lists(events, max_size=25),
    sessions=st.lists(st.tuples(ids, times, times, times), max_size=4),
    metadata=st.lists(st.tuples(ids, ids, data), max_size=3),
)
def test_whatever_is_in_the_file_gives_frames_that_fit_together_and_holds_every_event(
    rows: list[tuple[Any, ...]], sessions: list[tuple[Any, ...]], metadata: list[tuple[Any, ...]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.db")
        with closing(make(path, any_values=True)) as db:
            for session_id, *given_times in sessions:
                names = ("created_at", "updated_at", "archived_at")
                add_session(db, session_id, **dict(zip(names, given_times, strict=True)))
            for row in rows:
                add_event(db, *row)
            for entry in metadata:
                db.execute("insert into session_metadata values (?, ?, ?, 0)", entry)
        frames, problems = read(path)
    check_all_is_there(frames, problems, len(rows))


def check_all_is_there(frames: Mapping[str, pd.DataFrame], problems: list[tuple[str, str]], count: int) -> None:
    messages, turns, calls = frames["messages"], frames["turns"], frames["tool_calls"]
    both = int(((messages.role == "assistant") & (messages.kind == "message") & messages.content.isna()).sum())
    assert len(messages) <= count <= len(messages) + len(calls)
    assert count >= len(messages) + len(calls) - both
    assert set(messages.role) <= {"system", "user", "assistant", "tool"}
    # A turn has the id of a message of the assistant.
    own = messages[messages.message_id == messages.turn_id]
    assert sorted(zip(own.session_id, own.message_id, strict=True)) == sorted(
        zip(turns.session_id, turns.turn_id, strict=True)
    )
    assert set(own.role) <= {"assistant"}
    assert calls.turn_id.notna().all()
    assert turns.tool_call_count.sum() == len(calls)
    answered = calls[~calls.status.isin(["unanswered", "suggested"])]
    assert len(answered) <= ((messages.role == "tool") & (messages.kind == "message")).sum()
    parents = dict(zip(zip(messages.session_id, messages.message_id, strict=True), messages.message_index, strict=True))
    for row in messages.dropna(subset="parent_message_id").itertuples():
        assert parents[row.session_id, row.parent_message_id] < row.message_index
    prompts = messages[(messages.role == "user") & (messages.kind == "message")].groupby("session_id").size().to_dict()
    for session_id, exchange in turns.dropna(subset="exchange_index").groupby("session_id")["exchange_index"]:
        assert exchange.max() < prompts[session_id]
    assert all(record and reason for record, reason in problems)


@settings(max_examples=15)
@given(
    events=st.lists(
        st.tuples(
            st.sampled_from([user(), text(), call("a"), call("b"), result("a"), result("b"), aside("/help", "x")]),
            st.sampled_from(["left", "right"]),
        ),
        max_size=30,
    )
)
def test_a_run_has_the_same_turns_whatever_another_one_writes_between(events: list[tuple[Event, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        mixed, alone = os.path.join(folder, "mixed.db"), os.path.join(folder, "alone.db")
        with closing(make(mixed)) as first, closing(make(alone)) as second:
            for db in (first, second):
                add_session(db)
            for event, run in events:
                add(first, event, run=run)
            for run in ("left", "right"):
                add(second, *(event for event, of in events if of == run), run=run)
        found = [read(path)[0]["turns"] for path in (mixed, alone)]
    for run in ("left", "right"):
        one, other = (turns[turns.invocation_id == run] for turns in found)
        for name in ("response", "tool_call_count"):
            assert column(one, name) == column(other, name)


def test_the_file_is_where_atuin_is_told_to_keep_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ATUIN_AI__DB_PATH", "ATUIN_DATA_DIR", "ATUIN_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    data, config = home / "data" / "atuin", home / "config" / "atuin"
    assert default_paths() == [str(data / "ai_sessions.db")]
    config.mkdir(parents=True)
    (config / "config.toml").write_text('data_dir = "~/elsewhere"\n[ai]\ndb_path = "/srv/ai.db"\n')
    found = ["/srv/ai.db", str(home / "elsewhere" / "ai_sessions.db"), str(data / "ai_sessions.db")]
    assert default_paths() == found
    monkeypatch.setenv("ATUIN_AI__DB_PATH", str(home / "mine.db"))
    assert default_paths() == [str(home / "mine.db"), *found]
    monkeypatch.setenv("ATUIN_CONFIG_DIR", str(home / "other"))
    assert default_paths() == [str(home / "mine.db"), found[-1]]
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_paths()[-1] == str(home / ".local" / "share" / "atuin" / "ai_sessions.db")


@pytest.mark.parametrize("written", [b"[ai\n", b"\xff", b'ai = "x"', b"[ai]\ndb_path = 5\n", b'data_dir = ""'])
def test_a_configuration_that_atuin_would_refuse_names_no_file(home: Path, written: bytes) -> None:
    folder = home / "config" / "atuin"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_bytes(written)
    assert default_paths() == [str(home / "data" / "atuin" / "ai_sessions.db")]
