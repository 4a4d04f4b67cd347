"""llm: what the rows of both generations become, alone and in one file, and what is done with broken ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opened import column
from test_foreign_files import check_whole
from test_frames import COLUMNS, check_frames
from test_frames_golden import copied

import sessionlab
from sessionlab.sources.llm import default_paths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sample_data", "llm")
BOTH, OLD = os.path.join(SAMPLES, "logs.db"), os.path.join(SAMPLES, "old", "logs.db")
AT = "2026-10-05T08:30:40.023694+00:00"
TIME = datetime(2026, 10, 5, 8, 30, 40, 23694, UTC)
Frames = dict[str, pd.DataFrame]
Part = dict[str, Any]
Message = tuple[str, list[Part]]


def ulid(number: int) -> str:
    """Return an id as llm makes them."""
    return f"01m45jzewh{number:016d}"


THREAD = ulid(1)


def make(path: Path, sample: str = BOTH, *, any_values: bool = False) -> sqlite3.Connection:
    """Return a connection to a new file with the tables that the program has made in a sample."""
    with closing(sqlite3.connect(f"file:{sample}?mode=ro&immutable=1", uri=True)) as made:
        wanted = "type = 'table' and name not like '%fts%' and name not like 'sqlite%'"
        schemas = [sql for (sql,) in made.execute(f"select sql from sqlite_schema where {wanted}")]
    db = sqlite3.connect(path, isolation_level=None)
    for sql in schemas:
        # Made by hand: without keys and types.
        db.execute(re.sub(r" (TEXT|INTEGER)( PRIMARY KEY)?|,\s*PRIMARY KEY \([^)]*\)", "", sql) if any_values else sql)
    return db


def put(db: sqlite3.Connection, table: str, **row: Any) -> int:
    """Add a row and return its number."""
    names = ", ".join(f'"{name}"' for name in row)
    added = db.execute(f"insert into {table} ({names}) values ({', '.join('?' * len(row))})", tuple(row.values()))
    return int(added.lastrowid or 0)


def text(value: str) -> Part:
    return {"type": "text", "text": value}


def call(name: str = "berth", call_id: str | None = "c", **more: Any) -> Part:
    return {"type": "tool_call", "name": name, "arguments": {"n": 1}, "tool_call_id": call_id, **more}


def result(output: Any = "free", call_id: str | None = "c", name: str = "berth", **more: Any) -> Part:
    return {"type": "tool_result", "name": name, "output": output, "tool_call_id": call_id, **more}


def user(value: str = "q") -> Message:
    return "user", [text(value)]


def said(value: str = "a", *parts: Part) -> Message:
    return "assistant", [text(value), *parts]


def add_chain(db: sqlite3.Connection, parent: str | None, *messages: Message) -> str | None:
    """Add messages that follow each other, those that are there already once, and return the last one's hash."""
    for role, parts in messages:
        given = f"b2:{hash((parent, role, json.dumps(parts))) & (1 << 64) - 1:016x}x"
        if not db.execute("select 1 from messages where hash = ?", [given]).fetchone():
            put(db, "messages", hash=given, parent_hash=parent, role=role)
            for place, part in enumerate(parts):
                add_part(db, given, place, part)
        parent = given
    return parent


def add_part(db: sqlite3.Connection, message: str, place: int, part: Part) -> None:
    payload = {key: value for key, value in part.items() if key not in ("type", "text")}
    put(
        db,
        "parts",
        message_hash=message,
        position=place,
        type=part["type"],
        tool_name=part.get("name"),
        text=part.get("text"),
        payload=json.dumps(payload) if payload else None,
    )


def add_thread(db: sqlite3.Connection, thread: str = THREAD, **more: Any) -> None:
    put(db, "threads", **({"id": thread, "name": "harbor", "datetime_utc": AT.replace("T", " ")} | more))


def add_turn(
    db: sqlite3.Connection,
    number: int,
    before: str | None,
    given: Sequence[Message],
    answers: Sequence[Message],
    **more: Any,
) -> str | None:
    """Add a turn that was given messages after one, and return the last message of its answer."""
    parent = add_chain(db, before, *given)
    tip = add_chain(db, parent, *answers)
    row = {
        "id": ulid(number),
        "thread_id": THREAD,
        "parent_message_hash": parent,
        "tip_message_hash": tip,
        "model": "gpt-4o-mini",
        "datetime_utc": AT,
    }
    put(db, "turns", **(row | more))
    return tip


def add_response(db: sqlite3.Connection, number: int, prompt: str | None = "q", **more: Any) -> str:
    """Add a response of the older generation and return its id."""
    row = {
        "id": ulid(number),
        "model": "gpt-4o-mini",
        "prompt": prompt,
        "response": "a",
        "options_json": "{}",
        "conversation_id": THREAD,
        "datetime_utc": AT,
    } | more
    put(db, "responses", **row)
    return str(row["id"])


def add_conversation(db: sqlite3.Connection, conversation: str = THREAD) -> None:
    put(db, "conversations", id=conversation, name="harbor", model="gpt-4o-mini")


def read(path: Path) -> tuple[Frames, list[tuple[str, str]]]:
    """Return all frames and the problems, after a check that they fit together."""
    with sessionlab.open(path) as lab, lab.snapshot():
        # First without any text, which must give the same facts.
        alone = {name: lab.frame(name, columns=["session_id"]) for name in ("messages", "turns", "tool_calls")}
        finished = lab.frame("turns", columns=["finish_reason", "tool_call_count"])
        frames = {name: lab.frame(name) for name in COLUMNS}
        problems = [(row["record"], row["reason"]) for row in lab.problems.to_dict("records")]
    for name, rows in alone.items():
        assert rows.session_id.tolist() == frames[name].session_id.tolist()
    pd.testing.assert_frame_equal(finished, frames["turns"][["finish_reason", "tool_call_count"]])
    check_whole(frames)
    return frames, [problem for problem in problems if "no price is known" not in problem[1]]


def told(messages: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(zip(messages.role, messages.kind, column(messages, "content"), strict=True))


@pytest.fixture
def db(tmp_path: Path) -> Any:
    """Return a connection to a file with the tables of both generations and one thread."""
    with closing(make(tmp_path / "logs.db")) as connection:
        add_thread(connection)
        yield connection


@pytest.fixture
def old(tmp_path: Path) -> Any:
    """Return a connection to a file of the older generation with one conversation."""
    with closing(make(tmp_path / "logs.db", OLD)) as connection:
        add_conversation(connection)
        yield connection


def frames_of(tmp_path: Path) -> Frames:
    frames, problems = read(tmp_path / "logs.db")
    assert problems == []
    return frames


def problems_of(tmp_path: Path) -> list[tuple[str, str]]:
    return read(tmp_path / "logs.db")[1]


# Where it is.


def test_the_file_is_where_llm_logs_path_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LLM_USER_PATH", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert default_paths() == [str(tmp_path / ".config" / "io.datasette.llm" / "logs.db")]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    assert default_paths() == [str(tmp_path / "settings" / "io.datasette.llm" / "logs.db")]
    monkeypatch.setattr(sys, "platform", "darwin")
    folder = tmp_path / "Library" / "Application Support"
    assert default_paths() == [str(folder / "io.datasette.llm" / "logs.db")]
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("APPDATA", str(tmp_path / "Roaming"))
    assert default_paths() == [str(tmp_path / "Roaming" / "io.datasette.llm" / "logs.db")]
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "own"))
    assert default_paths() == [str(tmp_path / "own" / "logs.db")]


def test_a_file_with_tables_of_these_names_that_is_not_llms_is_not_taken(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("create table turns (id, model)")
        other.execute("create table threads (id, name)")
        other.execute("create table responses (id, model, prompt)")
        other.execute("create table conversations (id, name, model)")
    with pytest.raises(sessionlab.SessionLabError):
        sessionlab.open(tmp_path / "other.db")


# The newer generation.


def test_a_turns_text_is_walked_from_its_last_message_to_the_one_it_was_given(
    tmp_path: Path, db: sqlite3.Connection
) -> None:
    tip = add_turn(db, 2, None, [user("one")], [said("first"), said("second", text("third"))])
    add_turn(db, 3, tip, [user("two")], [said("fourth")])
    frames = frames_of(tmp_path)
    assert column(frames["turns"], "response") == ["first\n\nsecond\n\nthird", "fourth"]
    assert column(frames["turns"], "prompt") == ["one", "two"]
    assert frames["turns"].exchange_index.tolist() == [0, 1]
    messages = frames["messages"]
    assert messages.role.tolist() == ["user", "assistant", "user", "assistant"]
    assert messages.message_id[1::2].tolist() == messages.turn_id.dropna().tolist() == [ulid(2), ulid(3)]
    assert messages.message_id[0].startswith("b2:")
    assert column(messages, "parent_message_id") == [None, *messages.message_id[:3]]


def test_text_that_borrows_fragments_is_put_together(tmp_path: Path, db: sqlite3.Connection) -> None:
    fragment = put(db, "fragments", hash="x", content="A whole book.")
    pieces = [{"literal": "Read: "}, {"fragment": fragment}, {"literal": "\nWho did it?"}]
    add_turn(db, 2, None, [("user", [{"type": "text", "text_ref": pieces}])], [said()])
    assert frames_of(tmp_path)["turns"]["prompt"].tolist() == ["Read: A whole book.\nWho did it?"]


def test_a_fragment_that_is_gone_is_a_problem_and_the_rest_is_there(tmp_path: Path, db: sqlite3.Connection) -> None:
    pieces = [{"fragment": 77}, {"literal": "Who?"}]
    add_turn(db, 2, None, [("user", [{"type": "text", "text_ref": pieces}])], [said()])
    frames, problems = read(tmp_path / "logs.db")
    assert frames["turns"]["prompt"].tolist() == ["Who?"]
    assert problems == [("parts 1", "the fragment 77 is not there; its text is missing")]


_TIMES: list[tuple[Any, datetime | None]] = [
    ("2026-10-05 08:30:40.023694+00:00", TIME),
    ("2026-10-05T08:30:40.023694+00:00", TIME),
    ("2026-10-05T10:30:40.0236949+02:00", TIME),
    ("2026-10-05 08:30:40.023694", TIME),
    ("2026-10-05T08:30:40Z", TIME.replace(microsecond=0)),
    ("2026", None),
    ("2026-02-30T00:00:00Z", None),
    ("", None),
    (1_790_000_000, None),
    (None, None),
]


def test_times_are_read_with_a_blank_or_a_t_and_what_is_none_is_a_problem(
    tmp_path: Path, db: sqlite3.Connection
) -> None:
    for number, (written, _) in enumerate(_TIMES, 10):
        add_thread(db, ulid(number), datetime_utc=None)
        add_turn(db, 100 + number, None, [user()], [said()], thread_id=ulid(number), datetime_utc=written)
    frames, problems = read(tmp_path / "logs.db")
    expected = [time for _, time in _TIMES]
    assert column(frames["turns"], "started_at") == expected
    assert column(frames["messages"], "created_at")[::2] == expected
    # A thread is written down after its first answer; this one has none.
    assert column(frames["sessions"], "started_at") == [*expected, TIME]
    assert [record for record, _ in problems] == [f"turns {ulid(number)}" for number in range(115, 120)]


def test_messages_have_the_time_of_their_turn_since_shared_ones_have_none(
    tmp_path: Path, db: sqlite3.Connection
) -> None:
    add_turn(db, 2, None, [user("same")], [said("other")], duration_ms=1500)
    add_thread(db, ulid(9))
    add_turn(db, 10, None, [user("same")], [said("answer")], thread_id=ulid(9), datetime_utc="2026-10-06T00:00:00Z")
    frames = frames_of(tmp_path)
    assert db.execute("select count(*) from messages").fetchone() == (3,)
    assert told(frames["messages"])[::2] == [("user", "message", "same")] * 2
    assert frames["messages"].created_at.dt.day.tolist() == [5, 5, 6, 6]
    assert frames["messages"].message_id[0] == frames["messages"].message_id[2]
    assert frames["turns"].duration_s.tolist()[0] == 1.5
    assert (frames["sessions"].updated_at - frames["sessions"].started_at)[0].total_seconds() == 1.5


def test_two_threads_with_the_same_question_and_answer_have_a_turn_each(tmp_path: Path, db: sqlite3.Connection) -> None:
    add_turn(db, 2, None, [user()], [said()], input_tokens=5, output_tokens=1)
    add_thread(db, ulid(9))
    add_turn(db, 10, None, [user()], [said()], thread_id=ulid(9), input_tokens=5, output_tokens=1)
    frames = frames_of(tmp_path)
    assert frames["sessions"].message_count.tolist() == [2, 2]
    assert frames["sessions"].input_tokens.tolist() == [5, 5]


def test_a_fork_counts_only_what_is_its_own(tmp_path: Path, db: sqlite3.Connection) -> None:
    tip = add_turn(db, 2, None, [("system", [text("Be brief.")]), user("one")], [said("first")])
    add_turn(db, 3, tip, [user("two")], [said("second")])
    add_thread(db, ulid(9), name="the fork", forked_from=THREAD)
    add_thread(db, ulid(99), name="never used", forked_from=THREAD)
    add_turn(db, 10, tip, [user("another two")], [said("third")], thread_id=ulid(9))
    frames = frames_of(tmp_path)
    sessions = frames["sessions"]
    assert sessions.name.tolist() == ["harbor", "the fork", "never used"]
    assert sessions.turn_count.tolist() == [2, 1, 0]
    assert sessions.message_count.tolist() == [5, 2, 0]
    assert column(sessions, "metadata") == [None, *[json.dumps({"forked_from": THREAD}, separators=(",", ":"))] * 2]
    assert frames["turns"]["prompt"].tolist() == ["one", "two", "another two"]


def test_a_history_that_was_handed_in_is_context_and_no_turn(tmp_path: Path, db: sqlite3.Connection) -> None:
    history = [("system", [text("Be brief.")]), user("old"), said("old answer"), user("new")]
    add_turn(db, 2, None, history, [said("new answer")])
    messages = frames_of(tmp_path)["messages"]
    assert told(messages) == [
        ("system", "message", "Be brief."),
        ("user", "context", "old"),
        ("assistant", "context", "old answer"),
        ("user", "message", "new"),
        ("assistant", "message", "new answer"),
    ]
    assert messages.is_preamble.tolist() == [True, False, False, False, False]
    assert column(messages, "created_at")[1:3] == [None, None]
    assert messages.turn_id.notna().tolist() == [False, False, False, False, True]


def test_a_client_that_sends_everything_again_counts_nothing_twice(tmp_path: Path, db: sqlite3.Connection) -> None:
    chain: list[Message] = []
    before = None
    for number in range(4):
        thread = THREAD if number == 0 else ulid(100 + number)
        if number:
            add_thread(db, thread)
        asked = [user(f"q{number}")]
        before = add_turn(db, 2 + number, before, asked, [said(f"a{number}")], thread_id=thread, output_tokens=1)
        chain += [*asked, said(f"a{number}")]
        assert add_chain(db, None, *chain) == before
    frames = frames_of(tmp_path)
    assert frames["messages"].content.tolist() == ["q0", "a0", "q1", "a1", "q2", "a2", "q3", "a3"]
    assert frames["sessions"].output_tokens.tolist() == [1, 1, 1, 1]


def test_an_answer_without_anything_is_a_turn_all_the_same(tmp_path: Path, db: sqlite3.Connection) -> None:
    tip = add_turn(db, 2, None, [user("one")], [])
    add_turn(db, 3, tip, [user("two")], [said("second")])
    frames = frames_of(tmp_path)
    assert column(frames["turns"], "response") == [None, "second"]
    assert frames["turns"].usage_quality.tolist() == ["missing", "missing"]
    assert frames["messages"].role.tolist() == ["user", "assistant", "user", "assistant"]


def test_reasoning_is_apart_from_the_text_and_may_be_hidden(tmp_path: Path, db: sqlite3.Connection) -> None:
    shown = ("assistant", [{"type": "reasoning", "text": "Hm."}, text("Yes."), {"type": "reasoning", "text": "Ah."}])
    hidden = ("assistant", [{"type": "reasoning", "text": "", "redacted": True}, text("No.")])
    tip = add_turn(db, 2, None, [user()], [shown])
    add_turn(db, 3, tip, [user()], [hidden])
    turns = frames_of(tmp_path)["turns"]
    assert column(turns, "reasoning") == ["Hm.\n\nAh.", None]
    assert column(turns, "response") == ["Yes.", "No."]


def test_attachments_are_mentioned_and_their_data_is_left_out(tmp_path: Path, db: sqlite3.Connection) -> None:
    put(db, "attachments", id="p", type="image/png", path="/quay.png", content=b"\x89PNG\xff")
    put(db, "attachments", id="u", type="application/pdf", url="https://example.com/map.pdf")
    parts = [text("Look."), *({"type": "attachment", "attachment": {"id": name}} for name in "pux")]
    add_turn(db, 2, None, [("user", parts)], [said()])
    assert frames_of(tmp_path)["turns"]["prompt"].tolist() == [
        "Look.\n\n[attachment image/png /quay.png]\n\n"
        "[attachment application/pdf https://example.com/map.pdf]\n\n[attachment]"
    ]


def test_tool_results_are_messages_of_the_turn_that_asked(tmp_path: Path, db: sqlite3.Connection) -> None:
    asked = said("I look.", call(call_id="a"), call(call_id="b"), call(call_id="c"))
    tip = add_turn(db, 2, None, [user("where?")], [asked])
    failed = result("Error: no", "b", exception="ValueError: no")
    refused = result("Cancelled: no", "c", exception="CancelToolCall: no")
    add_turn(db, 3, tip, [("tool", [result("free", "a"), failed, refused])], [said("There.")])
    frames = frames_of(tmp_path)
    calls, messages = frames["tool_calls"], frames["messages"]
    assert calls.status.tolist() == ["ok", "error", "cancelled"]
    assert calls.is_error.tolist() == [False, True, True]
    assert calls.result.tolist() == ["free", "Error: no", "Cancelled: no"]
    assert [json.loads(given) for given in calls.arguments] == [{"n": 1}] * 3
    assert messages.turn_id[messages.role == "tool"].tolist() == [ulid(2)] * 3
    assert column(frames["turns"], "finish_reason") == ["tool_call", None]
    assert frames["turns"].exchange_index.tolist() == [0, 0]
    assert frames["turns"]["prompt"].tolist() == ["where?", "where?"]
    assert frames["sessions"].tool_error_count.tolist() == [2]


def test_a_chain_that_waits_has_a_call_without_an_answer(tmp_path: Path, db: sqlite3.Connection) -> None:
    tip = add_turn(db, 2, None, [user()], [said("a", call(call_id="c"))])
    # The provider counts its ids anew: the result is that of the newer call.
    tip = add_turn(db, 3, tip, [user()], [said("b", call(call_id="c"))])
    add_turn(db, 4, tip, [("tool", [result("free", "c")])], [said("c")])
    frames = frames_of(tmp_path)
    assert frames["tool_calls"].status.tolist() == ["unanswered", "ok"]
    assert frames["messages"].turn_id[frames["messages"].role == "tool"].tolist() == [ulid(3)]


def test_a_providers_own_tool_ran_within_the_answer(tmp_path: Path, db: sqlite3.Connection) -> None:
    own = {"server_executed": True}
    parts = [text("I search."), call("web", "s", **own), result("1 page", "s", "web", **own), text("Found.")]
    add_turn(db, 2, None, [user()], [("assistant", parts)])
    frames = frames_of(tmp_path)
    assert told(frames["messages"])[1:] == [
        ("assistant", "message", "I search.\n\nFound."),
        ("tool", "message", "1 page"),
    ]
    assert frames["tool_calls"].status.tolist() == ["ok"]
    assert column(frames["turns"], "finish_reason") == [None]


def test_what_a_tool_hands_out_besides_is_no_prompt(tmp_path: Path, db: sqlite3.Connection) -> None:
    put(db, "attachments", id="p", type="image/png", content=b"x")
    tip = add_turn(db, 2, None, [user("photo")], [said("a", call())])
    handed = ("user", [{"type": "attachment", "attachment": {"id": "p"}}])
    shown = result("taken", attachments=[{"id": "p"}])
    tip = add_turn(db, 3, tip, [("tool", [shown]), handed], [said("b", call(call_id="d"))])
    add_turn(db, 4, tip, [("tool", [result("free", "d")]), user("and now?")], [said("c")])
    frames = frames_of(tmp_path)
    assert told(frames["messages"])[2:4] == [
        ("tool", "message", "taken\n[attachment image/png]"),
        ("user", "context", "[attachment image/png]"),
    ]
    assert frames["turns"]["prompt"].tolist() == ["photo", "photo", "and now?"]


def test_a_result_without_its_call_is_a_message_and_a_problem(tmp_path: Path, db: sqlite3.Connection) -> None:
    add_turn(db, 2, None, [user(), said(), ("tool", [result("free", "gone"), result("free", None, "x")])], [said("b")])
    frames, problems = read(tmp_path / "logs.db")
    assert told(frames["messages"])[2:4] == [("tool", "message", "free")] * 2
    assert problems == [
        (
            f"turns {ulid(2)}",
            "it was given the result of the call gone, which is not there; that is a message all the same",
        ),
        (f"turns {ulid(2)}", "it was given a result that names no call; that is a message all the same"),
    ]


# The older generation.


def test_a_response_has_its_prompt_system_and_fragments(tmp_path: Path, old: sqlite3.Connection) -> None:
    first = add_response(old, 2, "Which?", system=" Be brief.\n", response="Berth 7.")
    for table, content in (("prompt_fragments", "Notes."), ("system_fragments", "House style.\n")):
        fragment = put(old, "fragments", hash=content, content=content)
        put(old, table, response_id=first, fragment_id=fragment, order=0)
    add_response(old, 3, "And?", system="Be long.")
    add_response(old, 4, "So?", system="Be long.")
    add_response(old, 5, "Well?", system=" ")
    frames = frames_of(tmp_path)
    assert told(frames["messages"])[:4] == [
        ("system", "message", "House style.\n\nBe brief."),
        ("user", "message", "Notes.\nWhich?"),
        ("assistant", "message", "Berth 7."),
        ("system", "message", "Be long."),
    ]
    assert frames["messages"].role.tolist().count("system") == 2
    assert frames["messages"].is_preamble.tolist()[:4] == [True, False, False, False]
    assert frames["turns"]["prompt"].tolist() == ["Notes.\nWhich?", "And?", "So?", "Well?"]
    assert frames["sessions"].name.tolist() == ["harbor"]


def test_reasoning_and_resolved_model_of_a_response(tmp_path: Path, db: sqlite3.Connection) -> None:
    add_conversation(db)
    add_response(db, 2, reasoning="Hm.", resolved_model="gpt-4o-mini-2024-07-18")
    turns = frames_of(tmp_path)["turns"]
    assert turns.reasoning.tolist() == ["Hm."]
    assert (turns.request_model[0], turns.response_model[0]) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")


def test_calls_of_a_response_are_answered_in_the_next_one_with_or_without_ids(
    tmp_path: Path, old: sqlite3.Connection
) -> None:
    first = add_response(old, 2, "two of one name", response="")
    for arguments in ("1", "2"):
        put(old, "tool_calls", response_id=first, name="berth", arguments=arguments, tool_call_id=None)
    put(old, "tool_calls", response_id=first, name="tide", arguments="not JSON", tool_call_id="t")
    second = add_response(old, 3, "", response="done")
    put(old, "tool_results", response_id=second, name="berth", output="one", exception="KeyError: 'x'")
    put(old, "tool_results", response_id=second, name="berth", output="two")
    put(old, "tool_results", response_id=second, name="tide", output="", tool_call_id="t")
    frames = frames_of(tmp_path)
    assert frames["tool_calls"].arguments.tolist() == ["1", "2", "not JSON"]
    assert column(frames["tool_calls"], "result") == ["one", "two", None]
    assert frames["tool_calls"].status.tolist() == ["error", "ok", "ok"]
    assert frames["tool_calls"].turn_id.tolist() == [first] * 3
    assert frames["messages"].role.tolist() == ["user", "assistant", "tool", "tool", "tool", "assistant"]
    assert frames["turns"].exchange_index.tolist() == [0, 0]
    assert column(frames["turns"], "response") == [None, "done"]


def test_attachments_of_a_prompt_and_of_a_tool(tmp_path: Path, old: sqlite3.Connection) -> None:
    put(old, "attachments", id="p", type="image/png", content=b"\xff")
    first = add_response(old, 2, "Look.")
    put(old, "prompt_attachments", response_id=first, attachment_id="p", order=0)
    put(old, "tool_calls", response_id=first, name="photo", arguments="{}", tool_call_id="c")
    second = add_response(old, 3, "")
    number = put(old, "tool_results", response_id=second, name="photo", output="taken", tool_call_id="c")
    put(old, "tool_results_attachments", tool_result_id=number, attachment_id="p", order=0)
    put(old, "prompt_attachments", response_id=second, attachment_id="p", order=0)
    only = add_response(old, 4, "")
    put(old, "prompt_attachments", response_id=only, attachment_id="p", order=0)
    mention = "[attachment image/png]"
    assert [row for row in told(frames_of(tmp_path)["messages"]) if row[0] != "assistant"] == [
        ("user", "message", f"Look.\n\n{mention}"),
        ("tool", "message", f"taken\n{mention}"),
        ("user", "context", mention),
        ("user", "message", mention),
    ]


def test_a_response_without_a_conversation_is_a_session_of_its_own(tmp_path: Path, old: sqlite3.Connection) -> None:
    add_response(old, 2, conversation_id=None)
    add_response(old, 3, conversation_id=None)
    add_response(old, 4, conversation_id=ulid(50))
    frames, problems = read(tmp_path / "logs.db")
    assert frames["sessions"].session_id.tolist() == [ulid(2), ulid(3), ulid(50), THREAD]
    assert column(frames["sessions"], "name") == [None, None, None, "harbor"]
    assert problems == [
        (f"conversations {ulid(50)}", "answers are of it, but its row is not there; the session has no name")
    ]


def test_an_id_that_is_no_ulid_is_told_apart_by_its_file(tmp_path: Path, old: sqlite3.Connection) -> None:
    add_conversation(old, "mine")
    add_response(old, 2, conversation_id="mine")
    sessions = frames_of(tmp_path)["sessions"]
    assert sessions.native_id.tolist() == ["mine", THREAD]
    assert re.fullmatch(r"[0-9a-f]{8}:mine", sessions.session_id[0])


# The tables of releases before those of the samples.
_FIRST = {
    "conversations": "id text primary key, name text, model text",
    "responses": "id text primary key, model text, prompt text, system text, prompt_json text, options_json text,"
    " response text, response_json text, conversation_id text, duration_ms integer, datetime_utc text",
}


def test_a_file_of_the_first_releases_has_no_tokens_no_tools_and_no_reasoning(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "logs.db", isolation_level=None)) as db:
        for table, columns in _FIRST.items():
            db.execute(f"create table {table} ({columns})")
        add_conversation(db)
        add_response(db, 2, system="Be brief.", options_json='{"temperature": 0.5}', duration_ms=250)
    frames = frames_of(tmp_path)
    assert told(frames["messages"]) == [
        ("system", "message", "Be brief."),
        ("user", "message", "q"),
        ("assistant", "message", "a"),
    ]
    turns = frames["turns"]
    assert (turns.usage_quality[0], turns.duration_s[0]) == ("missing", 0.25)
    assert column(turns, "input_tokens") == column(turns, "response_model") == [None]
    assert frames["model_configs"].temperature.tolist() == [0.5]
    assert len(frames["token_usage"]) == len(frames["tool_calls"]) == 0


def test_answers_of_the_releases_before_all_that_are_counted_as_a_problem(
    tmp_path: Path, old: sqlite3.Connection
) -> None:
    old.execute("create table logs (id integer primary key, model text, prompt text, response text)")
    put(old, "logs", model="gpt-3.5-turbo", prompt="q", response="a")
    add_response(old, 2)
    frames, problems = read(tmp_path / "logs.db")
    assert len(frames["turns"]) == 1
    assert problems == [("logs", "1 answers of releases before 0.5 are not read")]


# Both in one file.


def test_an_id_that_is_in_both_generations_counts_once_as_the_turn(tmp_path: Path, db: sqlite3.Connection) -> None:
    add_conversation(db)
    response = add_response(db, 2, "q", response="older", input_tokens=7, output_tokens=1)
    put(db, "tool_calls", response_id=response, name="berth", arguments="{}", tool_call_id="c")
    add_turn(db, 2, None, [user()], [said("newer", call())], input_tokens=7, output_tokens=1)
    frames = frames_of(tmp_path)
    assert frames["turns"].response.tolist() == ["newer"]
    assert frames["sessions"].input_tokens.tolist() == [7]
    assert len(frames["tool_calls"]) == 1


def test_a_conversation_that_goes_on_after_the_upgrade_is_one_session(tmp_path: Path, db: sqlite3.Connection) -> None:
    add_conversation(db)
    first = add_response(db, 2, "one", response="first", system="Be brief.")
    put(db, "tool_calls", response_id=first, name="berth", arguments="{}", tool_call_id="c")
    # The program writes what was before as messages, of no turn, and goes on from there.
    before = [("system", [text("Be brief.")]), user("one"), said("first", call())]
    add_turn(db, 3, None, [*before, ("tool", [result("free")]), user("two")], [said("second")])
    frames = frames_of(tmp_path)
    assert told(frames["messages"]) == [
        ("system", "message", "Be brief."),
        ("user", "message", "one"),
        ("assistant", "message", "first"),
        ("tool", "message", "free"),
        ("user", "message", "two"),
        ("assistant", "message", "second"),
    ]
    assert frames["turns"].turn_id.tolist() == [ulid(2), ulid(3)]
    assert frames["turns"].exchange_index.tolist() == [0, 1]
    assert frames["tool_calls"].status.tolist() == ["ok"]
    messages = frames["messages"]
    assert column(messages, "parent_message_id") == [None, *messages.message_id[:5]]
    assert len(frames["sessions"]) == 1


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["old", "new", "both"]), st.integers(0, 2)), min_size=1, max_size=12))
def test_however_answers_are_spread_over_the_generations_each_counts_once(
    tmp_path_factory: pytest.TempPathFactory, spread: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("spread") / "logs.db"
    tips: dict[int, str | None] = {}
    with closing(make(path)) as db:
        for thread in {thread for _, thread in spread}:
            add_thread(db, ulid(1 + thread))
            add_conversation(db, ulid(1 + thread))
        for number, (place, thread) in enumerate(spread, 10):
            session, tokens = ulid(1 + thread), {"input_tokens": 1 << number % 40, "output_tokens": number}
            if place != "new":
                add_response(db, number, f"q{number}", conversation_id=session, **tokens)
            asked, answer = [user(f"q{number}")], [said(f"a{number}")]
            if place != "old":
                tips[thread] = add_turn(db, number, tips.get(thread), asked, answer, thread_id=session, **tokens)
            else:  # the program copies such an answer when it goes on
                tips[thread] = add_chain(db, tips.get(thread), *asked, *answer)
    frames, problems = read(path)
    assert problems == []
    assert sorted(frames["turns"].turn_id) == [ulid(number) for number, _ in enumerate(spread, 10)]
    assert frames["turns"].input_tokens.sum() == sum(1 << number % 40 for number, _ in enumerate(spread, 10))
    prompts = frames["messages"][frames["messages"].kind == "message"]
    assert sorted(prompts.content[prompts.role == "user"]) == [f"q{number}" for number, _ in enumerate(spread, 10)]


# What both generations keep alike.


def test_options_are_the_configuration(tmp_path: Path, db: sqlite3.Connection) -> None:
    options = {"temperature": 0.2, "top_p": 0.9, "max_tokens": 20, "stop": "END", "reasoning_effort": "low", "seed": 7}
    tip = add_turn(db, 2, None, [user()], [said()], options_json=json.dumps(options), schema_id="5c4e")
    other = {"max_output_tokens": 30, "stop_sequences": ["A", "B"], "temperature": "warm"}
    tip = add_turn(db, 3, tip, [user()], [said()], options_json=json.dumps(other))
    tip = add_turn(db, 4, tip, [user()], [said()], options_json=None)
    add_turn(db, 5, tip, [user()], [said()], options_json="{}")
    frames = frames_of(tmp_path)
    configs = frames["model_configs"]
    assert column(configs, "temperature") == [0.2, None, None]
    assert column(configs, "top_p") == [0.9, None, None]
    assert column(configs, "max_tokens") == [20, 30, None]
    assert [None if given is None else list(given) for given in configs.stop_sequences] == [["END"], ["A", "B"], None]
    assert column(configs, "reasoning_effort") == ["low", None, None]
    assert [given and json.loads(given) for given in column(configs, "extra")] == [
        {"seed": 7, "schema_id": "5c4e"},
        {"temperature": "warm"},
        None,
    ]
    assert configs.turn_count.tolist() == [1, 1, 2]
    assert frames["turns"].model_config_status.tolist() == ["recorded"] * 4


_PROVIDERS = {
    "gpt-4o-mini": "openai",
    "gpt-3.5-turbo-instruct": "openai",
    "gpt-5": "openai",
    "gpt-5.1-codex": "openai",
    "o3": "openai",
    "o1-preview": "openai",
    "chatgpt-4o-latest": "openai",
    "openai/gpt-4.1": "openai",
    "anthropic/claude-sonnet-4-5": "anthropic",
    "claude-3-opus-20240229": "anthropic",
    "gemini/gemini-2.5-flash": "gcp.gemini",
    "mistral/mistral-small": "mistral_ai",
    "groq/llama3-8b": "groq",
    "openrouter/anthropic/claude-sonnet-4": "openrouter",
    "gpt-oss:20b": None,
    "openai/gpt-oss-20b": None,
    "gpt4all-13b-snoozy": None,
    "workshop-7b": None,
    "claude:latest": None,
    "llama3.2:latest": None,
    "": None,
    None: None,
}


def test_the_provider_is_named_only_where_the_model_says_it(tmp_path: Path, old: sqlite3.Connection) -> None:
    for number, model in enumerate(_PROVIDERS, 10):
        add_response(old, number, model=model)
    frames, problems = read(tmp_path / "logs.db")
    turns = frames["turns"]
    assert column(turns, "request_model") == list(_PROVIDERS)
    assert dict(zip(_PROVIDERS, column(turns, "provider_name"), strict=True)) == _PROVIDERS
    assert [reason for _, reason in problems] == ["model is NULL; nobody knows which answered"]


_USED: list[tuple[tuple[Any, Any], Any, tuple[Any, ...]]] = [
    # Input, output, cached, put into the cache, reasoning.
    ((10, 5), None, (10, 5, None, None, None)),
    ((0, 0), None, (0, 0, None, None, None)),
    (
        (100, 50),
        {
            "prompt_tokens_details": {"cached_tokens": 80},
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
        (100, 50, 80, None, 30),
    ),
    (
        (100, 50),
        {"input_tokens_details": {"cached_tokens": 64}, "output_tokens_details": {"reasoning_tokens": 20}},
        (100, 50, 64, None, 20),
    ),
    # Anthropic leaves what the cache took out of the input.
    (
        (7, 50),
        {"cache_read_input_tokens": 900, "cache_creation_input_tokens": 40, "service_tier": "standard"},
        (947, 50, 900, 40, None),
    ),
    ((7, 50), {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 40}, (47, 50, 0, 40, None)),
    ((7, 50), {"output_tokens_details": {"thinking_tokens": 9}}, (7, 50, None, None, 9)),
    # The plugin for Gemini adds the thoughts to the output; older releases of it did not.
    (
        (100, 54),
        {"candidatesTokenCount": 33, "thoughtsTokenCount": 21, "cachedContentTokenCount": 60},
        (100, 54, 60, None, 21),
    ),
    ((100, 21), {"thoughtsTokenCount": 21}, (100, 21, None, None, 21)),
    ((100, 33), {"thoughtsTokenCount": 21}, (100, 54, None, None, 21)),
    ((None, None), {"prompt_tokens_details": {"cached_tokens": 3}}, (None, None, None, None, None)),
]


def test_tokens_are_those_of_every_provider_in_one_convention(tmp_path: Path, db: sqlite3.Connection) -> None:
    for number, ((given_input, given_output), details, _) in enumerate(_USED, 10):
        told_details = None if details is None else json.dumps(details)
        tokens = {"input_tokens": given_input, "output_tokens": given_output, "token_details": told_details}
        add_turn(db, number, None, [user(str(number))], [said()], **tokens)
    turns = frames_of(tmp_path)["turns"]
    names = ("input", "output", "cache_read_input", "cache_creation_input", "reasoning_output")
    found = zip(*(column(turns, f"{name}_tokens") for name in names), strict=True)
    assert list(found) == [expected for *_, expected in _USED]
    assert turns.usage_quality.tolist() == ["missing" if used[0][0] is None else "final" for used in _USED]


_ENDINGS: list[tuple[Any, str | None]] = [
    ({"finish_reason": "stop", "content": {"$": "0.0.text"}}, "stop"),
    ({"finish_reason": "tool_calls"}, "tool_call"),
    ({"choices": [{"finish_reason": "length"}]}, "length"),
    ({"stop_reason": "end_turn", "model": "claude-x"}, "stop"),
    ({"stop_reason": "tool_use"}, "tool_call"),
    ({"stop_reason": "refusal"}, "content_filter"),
    ({"candidates": [{"finishReason": "MAX_TOKENS"}]}, "length"),
    ({"candidates": [{"finishReason": "SAFETY"}]}, "content_filter"),
    ({"status": "completed"}, "stop"),
    ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
    ({"done_reason": "stop"}, "stop"),
    ({"finish_reason": "elsewhere"}, None),
    ({"choices": "odd", "model": {"$": "m.x"}}, None),
    ([], None),
    (None, None),
]


def test_why_an_answer_ended_is_in_what_the_provider_sent(tmp_path: Path, db: sqlite3.Connection) -> None:
    for number, (reply, _) in enumerate(_ENDINGS, 10):
        given = None if reply is None else json.dumps(reply)
        add_turn(db, number, None, [user(str(number))], [said()], response_json=given)
    turns = frames_of(tmp_path)["turns"]
    assert column(turns, "finish_reason") == [expected for _, expected in _ENDINGS]
    named = [reply.get("model") if isinstance(reply, dict) else None for reply, _ in _ENDINGS]
    assert column(turns, "response_model") == [name if isinstance(name, str) else None for name in named]


# What nobody expects.


def test_values_that_are_none_are_null_and_problems(tmp_path: Path, db: sqlite3.Connection) -> None:
    tip = add_turn(
        db,
        2,
        None,
        [user()],
        [said()],
        input_tokens="many",
        output_tokens=-1,
        duration_ms="long",
        options_json="{",
        token_details="[]",
        response_json="no JSON",
    )
    add_turn(
        db,
        3,
        tip,
        [user()],
        [said()],
        input_tokens=5,
        output_tokens=5,
        token_details=json.dumps(
            {"prompt_tokens_details": {"cached_tokens": 9}, "completion_tokens_details": {"reasoning_tokens": 9}}
        ),
    )
    frames, problems = read(tmp_path / "logs.db")
    assert column(frames["turns"], "input_tokens") == [None, 5]
    assert column(frames["turns"], "cache_read_input_tokens") == [None, None]
    assert sorted(reason for record, reason in problems if record == f"turns {ulid(2)}") == [
        "duration_ms is long, which is no duration; it is NULL",
        "input_tokens is many, which is no number of tokens; it is NULL",
        "options_json is no JSON object; it is not read",
        "output_tokens is -1, which is no number of tokens; it is NULL",
        "response_json is no JSON; it is not read",
        "token_details is no JSON object; it is not read",
    ]
    assert sorted(reason for record, reason in problems if record == f"turns {ulid(3)}") == [
        "the number of cached tokens is more than the whole of which it is a part; it is NULL",
        "the number of reasoning tokens is more than the whole of which it is a part; it is NULL",
    ]
    assert len(problems) == 8


def test_a_chain_that_leads_to_itself_or_nowhere_ends(tmp_path: Path, db: sqlite3.Connection) -> None:
    tip = add_turn(db, 2, None, [user()], [said("b")])
    parent = db.execute("select parent_message_hash from turns").fetchone()[0]
    db.execute("update messages set parent_hash = ? where hash = ?", [tip, parent])
    add_turn(db, 3, tip, [user("c")], [said("d")])
    add_turn(db, 4, None, [user("e")], [said("f")], parent_message_hash="gone", tip_message_hash="gone too")
    frames, problems = read(tmp_path / "logs.db")
    assert len(frames["turns"]) == 3
    assert frames["messages"].content.dropna().tolist() == ["q", "b", "c", "d"]
    assert sorted(reason for _, reason in problems) == [
        f"its parent {tip} is not there or not before it; it has none",
        "the message gone too, which it names, is not there; what it holds is missing",
        "the message gone, which it names, is not there; what it holds is missing",
    ]


def test_a_last_message_that_does_not_follow_the_one_it_was_given_is_a_problem(
    tmp_path: Path, db: sqlite3.Connection
) -> None:
    given = add_chain(db, None, user("one"))
    other = add_chain(db, None, user("two"), said("elsewhere"))
    add_turn(db, 2, None, [], [], parent_message_hash=given, tip_message_hash=other)
    assert [reason for _, reason in problems_of(tmp_path)] == [
        "its last message does not lead to the one that it was given; what lies between may be missing"
    ]


def test_parts_that_cannot_be_read_are_problems_and_the_others_are_there(
    tmp_path: Path, db: sqlite3.Connection
) -> None:
    tip = add_turn(db, 2, None, [user()], [said("a"), ("narrator", [text("aside")])])
    assert tip is not None
    answer = db.execute("select hash from messages where role = 'assistant'").fetchone()[0]
    put(db, "parts", message_hash=answer, position=1, type="hologram")
    put(db, "parts", message_hash=answer, position=2, type="tool_call", tool_name="x", payload="{no JSON")
    put(db, "parts", message_hash="gone", position=0, type="text", text="lost")
    lone = '{"name": "y", "arguments": {"a": "\\ud83d"}, "tool_call_id": "y"}'
    put(db, "parts", message_hash=answer, position=3, type="tool_call", tool_name="y", payload=lone)
    frames, problems = read(tmp_path / "logs.db")
    assert frames["turns"].response.tolist() == ["a\n\n[hologram]\n\naside"]
    assert frames["tool_calls"].tool_name.tolist() == ["x", "y"]
    assert column(frames["tool_calls"], "arguments") == [None, '{"a":"\ufffd"}']
    assert {record for record, _ in problems} == {"parts 4", "parts 5", "parts 6", "parts 7", f"messages {tip}"}
    assert "the type hologram is not known; only its name is there" in [reason for _, reason in problems]


def test_rows_made_by_hand_without_ids_or_twice(tmp_path: Path) -> None:
    with closing(make(tmp_path / "logs.db", any_values=True)) as db:
        add_thread(db)
        add_thread(db, None)  # type: ignore[arg-type]  # made by hand
        add_turn(db, 2, None, [user("one")], [said("first")])
        add_turn(db, 2, None, [user("one")], [said("not read")])
        add_turn(db, 3, None, [user("two")], [said("second")], id=None)
        add_turn(db, 3, None, [user("three")], [said("third")], id="42", thread_id=None)
        add_turn(db, 4, None, [user("four")], [said("fourth")], id=None, thread_id=None)
        put(db, "tool_calls", response_id="gone", name="x")
    frames, problems = read(tmp_path / "logs.db")
    assert sorted(frames["turns"].response) == ["first", "fourth", "second", "third"]
    assert any(session.endswith("#nameless") for session in frames["sessions"].session_id)
    reasons = [reason for _, reason in problems]
    assert sum("it has a made one" in reason for reason in reasons) == 3
    assert "the id is that of row 1 as well, which is read; row 2 is not" in reasons
    assert ("threads row 2", "id is NULL; it is left out") in problems
    assert ("tool_calls 1", "its response gone is not there; it is left out") in problems


_KEYS = {"turns": "id", "responses": "id", "messages": "hash", "threads": "id", "fragments": "id", "parts": "id"}
_VALUES = st.one_of(
    st.none(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(["{}", "[]", '{"text_ref": 1}', '{"text_ref": [1]}', '{"tool_call_id": {}}', "\x00"]),
)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_whatever_a_column_holds_there_are_frames_and_problems(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("odd") / "logs.db"
    shutil.copyfile(BOTH, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for (trigger,) in db.execute("select name from sqlite_schema where type = 'trigger'").fetchall():
            db.execute(f'drop trigger "{trigger}"')
        table = data.draw(st.sampled_from(sorted(_KEYS)))
        names = [row[1] for row in db.execute(f"pragma table_info({table})") if row[1] != _KEYS[table]]
        rows = [row for (row,) in db.execute(f"select rowid from {table}")]
        for _ in range(data.draw(st.integers(1, 4))):
            name, number = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(rows))
            db.execute(f'update or ignore {table} set "{name}" = ? where rowid = ?', [data.draw(_VALUES), number])
    frames, _ = read(path)
    assert len(frames["turns"]) == 29


# What the program itself has written.


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> str:
    return os.path.join(copied(str(tmp_path_factory.mktemp("samples"))), "llm")


def test_what_the_program_has_written_has_no_problem_and_fits_together(samples: str) -> None:
    with sessionlab.open(samples) as lab:
        check_frames(lab)
        assert [reason for reason in lab.problems.reason if "no price is known" not in reason] == []
        assert {source for source, _ in lab.sources} == {"llm"}
        assert len(lab.sources) == 2


def test_each_answer_that_the_program_has_logged_is_a_turn_with_its_tokens(samples: str) -> None:
    logged: Mapping[str, tuple[int | None, int | None]] = {}
    for path in (os.path.join(samples, "logs.db"), os.path.join(samples, "old", "logs.db")):
        with closing(sqlite3.connect(path)) as db:
            tables = {name for (name,) in db.execute("select name from sqlite_schema")} & {"turns", "responses"}
            for table in sorted(tables):
                query = f"select id, output_tokens from {table}"
                logged = {**logged, **{row[0]: row[1] for row in db.execute(query)}}
    with sessionlab.open(samples) as lab:
        turns = lab.frame("turns")
    assert dict(zip(turns.turn_id, column(turns, "output_tokens"), strict=True)) == logged
    assert len(logged) == 48


def test_what_both_releases_were_asked_reads_the_same(samples: str) -> None:
    with sessionlab.open(samples) as lab:
        turns, calls, messages = (lab.frame(name) for name in ("turns", "tool_calls", "messages"))
    in_old = turns.session_id.isin(sessions_of(os.path.join(samples, "old", "logs.db")))
    compared = ["prompt", "response", "request_model", "response_model", "finish_reason", "exchange_index"]
    tokens = [name for name in turns.columns if name.endswith("_tokens")]
    older = turns[in_old][compared + tokens].reset_index(drop=True)
    newer = turns[~in_old].iloc[2 : 2 + len(older)][compared + tokens].reset_index(drop=True)
    pd.testing.assert_frame_equal(older, newer)
    of_calls = ["tool_name", "status", "is_error"]
    in_old = calls.session_id.isin(sessions_of(os.path.join(samples, "old", "logs.db")))
    older = calls[in_old][of_calls].reset_index(drop=True)
    pd.testing.assert_frame_equal(older, calls[~in_old][of_calls].head(len(older)).reset_index(drop=True))
    systems = messages[messages.role == "system"].content
    assert systems.value_counts().to_dict() == {
        "Answer in one word.": 3,
        "House style: short sentences.\nNo word that a reader must look up.\n\nYou are a harbour master.": 2,
    }


def sessions_of(path: str) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("select id from conversations")]


_HELD = {
    "an answer of the older release, gone on with in the newer": "select count(*) from turns join responses"
    " on conversation_id = thread_id",
    "tools that fail": 'select count(*) from parts where payload like \'%"exception": "ValueError%\'',
    "a tool that is refused": "select count(*) from parts where payload like '%CancelToolCall%'",
    "a tool of the provider's": "select count(*) from parts where payload like '%server_executed%'",
    "hidden thoughts": "select count(*) from parts where payload like '%redacted%'",
    "thoughts": "select count(*) from parts where type = 'reasoning' and text <> ''",
    "fragments": "select count(*) from parts where payload like '%text_ref%'",
    "attachments": "select count(*) from parts where type = 'attachment'",
    "a schema": "select count(*) from turns where schema_id is not null",
    "options": "select count(*) from turns where options_json is not null",
    "no tokens": "select count(*) from turns where input_tokens is null",
    "two models in one thread": "select count(*) from (select 1 from turns group by thread_id"
    " having count(distinct model) > 1)",
    "a condensed reply": "select count(*) from turns where response_json like '%{\"$\":%'",
    "a fork": "select count(*) from turns join threads on threads.id = thread_id where forked_from is not null",
    "a message that several threads go on from": "select count(*) from (select 1 from messages group by parent_hash"
    " having count(*) > 1 and parent_hash is not null)",
    "an answer with nothing in it": "select count(*) from turns where tip_message_hash = parent_message_hash",
    "a call that waits": "select count(*) from parts where tool_name = 'wait_for_somebody'",
}


@pytest.mark.parametrize("what", _HELD)
def test_the_sample_holds_every_odd_case(what: str) -> None:
    with closing(sqlite3.connect(f"file:{BOTH}?mode=ro&immutable=1", uri=True)) as db:
        assert db.execute(_HELD[what]).fetchone()[0] > 0


@pytest.mark.parametrize("path", [BOTH, OLD], ids=["both", "old"])
def test_the_samples_leave_nothing_beside_them(path: str) -> None:
    with open(path, "rb") as file:
        assert file.read(20)[18:20] == b"\x01\x01"  # not in WAL mode
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
