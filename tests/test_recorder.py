"""What every recording call stores, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from sessionlab import (
    Message,
    ModelConfig,
    Recorder,
    RecordingError,
    Session,
    SessionLabWarning,
    SettingsError,
    StoreError,
    Usage,
)

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def stored(recorder: Recorder, session_id: str) -> Session:
    session = recorder.history.get(session_id)
    assert session is not None
    return session


def rows(path: str, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_every_argument_of_a_message_is_stored(recorder: Recorder) -> None:
    s = recorder.session()
    assert s.user("hello", at=AT, message_id="first").message_id == "first"
    s.system("be kind", at=AT, message_id="second")
    s.note("remark", at=AT, message_id="third")
    user, system, note = stored(recorder, s.session_id).messages
    expected = Message(message_id="first", role="user", content="hello", created_at=AT, invocation_id=s.invocation_id)
    assert user == expected
    assert (system.role, system.kind, system.content, system.parent_message_id) == (
        "system", "message", "be kind", "first",
    )  # fmt: skip
    assert (note.role, note.kind, note.content, note.parent_message_id) == ("system", "note", "remark", "second")


def test_every_argument_of_an_answer_is_stored(recorder: Recorder) -> None:
    usage = Usage(
        input_tokens=10,
        output_tokens=20,
        cache_read_input_tokens=3,
        cache_creation_input_tokens=4,
        reasoning_output_tokens=5,
    )
    s = recorder.session(config=ModelConfig(request_model="asked"))
    turn = s.assistant(
        "text",
        reasoning="thought",
        finish_reason="end_turn",
        response_model="answered",
        usage=usage,
        reported_cost_usd=0.25,
        started_at=AT - timedelta(seconds=9),
        duration_s=1.5,
        at=AT,
        message_id="m",
    )
    assert turn.message_id == "m"
    (message,) = stored(recorder, s.session_id).messages
    assert message == Message(
        message_id="m",
        role="assistant",
        content="text",
        reasoning="thought",
        invocation_id=s.invocation_id,
        created_at=AT,
        is_turn=True,
        usage=usage,
        finish_reason="stop",
        finish_reason_raw="end_turn",
        response_model="answered",
        reported_cost_usd=0.25,
        started_at=AT - timedelta(seconds=9),
        duration_s=1.5,
        config=ModelConfig(request_model="asked"),
    )


def test_a_start_that_is_not_given_is_the_end_less_the_duration(recorder: Recorder) -> None:
    s = recorder.session()
    s.assistant("a", at=AT, duration_s=2.5)
    s.assistant("b", at=AT)
    first, second = stored(recorder, s.session_id).messages
    assert (first.started_at, second.started_at) == (AT - timedelta(seconds=2.5), AT)


def test_a_failed_call_is_a_turn_with_its_type_and_message(recorder: Recorder) -> None:
    s = recorder.session()
    s.error(ValueError("bad key"), at=AT, duration_s=1, usage=Usage(input_tokens=1), response_model="m")
    s.error("overloaded", error_type="overloaded_error", reported_cost_usd=0.5, message_id="e", started_at=AT)
    s.error("plain")
    first, second, third = stored(recorder, s.session_id).messages
    assert (first.kind, first.is_turn, first.content, first.error_type) == ("error", True, "bad key", "ValueError")
    assert (first.finish_reason, first.usage, first.response_model) == ("error", Usage(input_tokens=1), "m")
    assert (second.message_id, second.error_type, second.reported_cost_usd) == ("e", "overloaded_error", 0.5)
    assert second.started_at == AT
    assert third.error_type == "error"


def test_every_argument_of_a_tool_call_and_its_result_is_stored(recorder: Recorder) -> None:
    s = recorder.session()
    turn = s.assistant()
    call = turn.tool_call("bash", {"b": 1, "a": [1, None]}, tool_call_id="given", at=AT)
    assert call.tool_call_id == "given"
    call.result({"out": "x"}, exit_code=3, duration_s=0.125, at=AT)
    raw = turn.tool_call("edit", "not { json").result("done", status="denied")
    session = stored(recorder, s.session_id)
    first, second = session.tool_calls
    assert (first.tool_call_id, first.tool_name, first.arguments) == ("given", "bash", '{"a":[1,null],"b":1}')
    assert (first.status, first.is_error, first.exit_code, first.duration_s) == ("error", True, 3, 0.125)
    assert (first.turn_id, first.started_at) == (turn.message_id, AT)
    assert (second.tool_call_id, second.arguments, second.status, second.is_error) == (
        raw.tool_call_id, "not { json", "denied", True,
    )  # fmt: skip
    results = [m for m in session.messages if m.role == "tool"]
    assert [m.content for m in results] == ['{"out":"x"}', "done"]
    assert [m.message_id for m in results] == [first.result_message_id, second.result_message_id]


@pytest.mark.parametrize(
    ("given", "status", "is_error"),
    [
        ({}, "ok", False),
        ({"exit_code": 0}, "ok", False),
        ({"exit_code": 1}, "error", True),
        ({"is_error": True}, "error", True),
        ({"exit_code": 1, "is_error": False}, "ok", False),
        ({"status": "timeout"}, "timeout", True),
        ({"status": "ok", "exit_code": 1}, "ok", False),
        ({"status": "cancelled", "is_error": False}, "cancelled", False),
    ],
)
def test_a_result_is_an_error_by_what_is_said_most_directly(
    recorder: Recorder, given: dict[str, Any], status: str, is_error: bool
) -> None:
    s = recorder.session()
    s.assistant().tool_call("t").result("x", **given)
    (call,) = stored(recorder, s.session_id).tool_calls
    assert (call.status, call.is_error) == (status, is_error)


def test_a_call_as_context_manager_measures_and_records_an_exception(recorder: Recorder) -> None:
    s = recorder.session()
    turn = s.assistant()
    with pytest.raises(KeyError), turn.tool_call("a"):
        raise KeyError("gone")
    with turn.tool_call("b") as call:
        call.result("fine")
    with pytest.raises(KeyError), turn.tool_call("c") as call:  # noqa: PT012 -- the block is what is tested
        call.result("answered before")
        raise KeyError("later")
    with turn.tool_call("d"):
        pass
    a, b, c, d = stored(recorder, s.session_id).tool_calls
    assert (a.status, b.status, c.status, d.status) == ("error", "ok", "ok", "ok")
    assert a.duration_s is not None
    assert b.duration_s is not None
    contents = [m.content for m in stored(recorder, s.session_id).messages if m.role == "tool"]
    assert contents == ["KeyError: 'gone'", "fine", "answered before", None]


def test_calls_before_the_first_turn_of_an_exchange_belong_to_the_next_turn(recorder: Recorder) -> None:
    s = recorder.session()
    s.user("one")
    early = s.tool_call("early")
    early.result("r")
    first = s.assistant("a")
    later = s.tool_call("later")
    s.user("two")
    waiting = s.tool_call("waiting")
    second = s.assistant("b")
    calls = {c.tool_call_id: c.turn_id for c in stored(recorder, s.session_id).tool_calls}
    assert calls == {
        early.tool_call_id: first.message_id,
        later.tool_call_id: first.message_id,
        waiting.tool_call_id: second.message_id,
    }
    assert recorder.history.list()[0].turn_count == 2


def test_a_call_that_no_turn_follows_has_none(recorder: Recorder) -> None:
    s = recorder.session()
    s.user("one")
    s.tool_call("t")
    assert stored(recorder, s.session_id).tool_calls[0].turn_id is None
    again = recorder.resume(s)
    again.assistant("of another run")
    assert stored(recorder, s.session_id).tool_calls[0].turn_id is None


def test_an_exchange_is_counted_by_prompts_and_the_preamble_has_none(recorder: Recorder, path: str) -> None:
    s = recorder.session()
    s.system("be kind")
    s.user("one")
    s.assistant("a")
    s.system("and brief")
    s.user("two")
    sql = "select role, exchange_index, is_preamble from message order by message_index"
    assert rows(path, sql) == [
        ("system", None, 1), ("user", 0, 0), ("assistant", 0, 0), ("system", 0, 0), ("user", 1, 0),
    ]  # fmt: skip


def test_each_message_follows_the_one_before(recorder: Recorder) -> None:
    s = recorder.session()
    s.user("a")
    s.assistant("b").tool_call("t").result("c")
    s.error("d")
    s.note("e")
    messages = stored(recorder, s.session_id).messages
    assert [m.parent_message_id for m in messages] == [None, *(m.message_id for m in messages[:-1])]


def test_a_configuration_is_stored_once_and_linked_to_the_answers_given_with_it(recorder: Recorder, path: str) -> None:
    cold, hot = ModelConfig(request_model="m", temperature=0), ModelConfig(request_model="m", temperature=1)
    s = recorder.session(config=cold)
    s.assistant("1")
    s.configure(hot)
    s.assistant("2")
    s.configure(ModelConfig(temperature=0.0, request_model="m"))
    s.assistant("3")
    other = recorder.session(config=hot)
    other.assistant("4")
    assert [m.config for m in stored(recorder, s.session_id).messages] == [cold, hot, cold]
    assert stored(recorder, other.session_id).messages[0].config == hot
    assert rows(path, "select count(*) from model_config") == [(2,)]


def test_every_field_of_a_configuration_comes_back(recorder: Recorder) -> None:
    config = ModelConfig(
        provider_name="openai",
        api_base="https://example.org/v1?version=2",
        request_model="m",
        temperature=0.1,
        top_p=0.2,
        max_tokens=3,
        context_max_tokens=4,
        assistant_minimum_context_tokens=5,
        stop_sequences=["a", "b"],
        reasoning_effort="low",
        system_instructions="be kind",
        extra={"seed": 7, "nested": {"x": [1.5, None]}},
    )
    s = recorder.session(config=config)
    s.assistant("a")
    assert stored(recorder, s.session_id).messages[0].config == config


def test_a_continued_session_keeps_its_configuration(recorder: Recorder) -> None:
    config = ModelConfig(request_model="m")
    recorder.session("n", config=config).assistant("1")
    s = recorder.session("n")
    s.assistant("2")
    assert stored(recorder, s.session_id).messages[-1].config == config


def test_the_session_keeps_what_it_was_begun_with(recorder: Recorder, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    (repository / "deep").mkdir()
    parent = recorder.session()
    s = recorder.session("n", agent="coder", directory=repository / "deep", parent=parent, metadata={"a": [1]})
    session = stored(recorder, s.session_id)
    assert (session.name, session.agent_name, session.parent_session_id) == ("n", "coder", parent.session_id)
    assert session.directory == os.path.realpath(repository / "deep")
    assert session.git_root == os.path.realpath(repository)
    assert session.metadata == {"a": [1]}
    for other in (parent.session_id, recorder.history.summary(parent.session_id)):
        assert other is not None
        child = recorder.session(parent=other)
        assert stored(recorder, child.session_id).parent_session_id == parent.session_id


def test_a_name_is_continued_with_a_boundary_and_a_new_invocation(recorder: Recorder) -> None:
    first = recorder.session("n", metadata={"a": 1, "b": 1})
    first.user("hello")
    first.end()
    second = recorder.session("n", metadata={"b": 2})
    assert second.session_id == first.session_id
    assert second.invocation_id != first.invocation_id
    second.user("again")
    session = stored(recorder, first.session_id)
    assert [m.kind for m in session.messages] == ["message", "boundary", "message"]
    assert [m.invocation_id for m in session.messages] == [first.invocation_id, *[second.invocation_id] * 2]
    assert session.messages[2].parent_message_id == session.messages[1].message_id
    assert session.ended_at is None
    assert session.metadata == {"a": 1, "b": 2}


def test_new_archives_the_old_session_of_the_name(recorder: Recorder) -> None:
    first = recorder.session("n")
    second = recorder.session("n", new=True)
    assert first.session_id != second.session_id
    assert stored(recorder, first.session_id).archived_at is not None
    assert recorder.session("n").session_id == second.session_id
    recorder.history.archive(second.session_id)
    assert recorder.session("n").session_id not in (first.session_id, second.session_id)


def test_a_session_without_name_is_always_a_new_one(recorder: Recorder) -> None:
    assert recorder.session().session_id != recorder.session().session_id


def test_resume_goes_on_after_the_newest_message(recorder: Recorder) -> None:
    s = recorder.session()
    s.user("a")
    turn = s.assistant("b")
    s.end()
    again = recorder.resume(s.session_id)
    call = again.tool_call("t")
    assert again.session_id == s.session_id
    session = stored(recorder, s.session_id)
    assert [m.kind for m in session.messages] == ["message", "message", "boundary"]
    assert session.tool_calls[0].tool_call_id == call.tool_call_id
    assert session.tool_calls[0].turn_id == turn.message_id
    assert session.ended_at is None


def test_resume_refuses_what_is_not_there_or_archived(recorder: Recorder) -> None:
    with pytest.raises(RecordingError, match="no session 'x'"):
        recorder.resume("x")
    s = recorder.session()
    recorder.history.archive(s.session_id)
    with pytest.raises(RecordingError, match="unarchive"):
        recorder.resume(s)
    with pytest.raises(RecordingError, match="is no session"):
        recorder.resume(3)  # type: ignore[arg-type]  # what is tested


def test_an_ended_session_refuses_events_and_ending_twice_is_fine(recorder: Recorder) -> None:
    with recorder.session() as s:
        s.user("a")
    ended = stored(recorder, s.session_id).ended_at
    assert ended is not None
    s.end()
    with pytest.raises(RecordingError, match="has ended"):
        s.user("b")
    assert stored(recorder, s.session_id).ended_at == ended
    assert "ended" in repr(s)


def test_fork_branches_from_an_earlier_message(recorder: Recorder) -> None:
    s = recorder.session()
    one = s.user("one")
    s.assistant("a")
    two = s.user("two", message_id="given")
    s.assistant("b")
    branch = s.fork(one)
    branch.assistant("other a")
    assert [m.content for m in branch.messages()] == ["one", "other a"]
    from_id = s.fork("given")
    from_id.assistant("other b")
    assert [m.content for m in from_id.messages()] == ["one", "a", "two", "other b"]
    s.user("three")
    assert [m.content for m in s.messages()] == ["one", "a", "two", "b", "three"]
    session = stored(recorder, s.session_id)
    assert {m.content: m.parent_message_id for m in session.messages}["other b"] == two.message_id
    assert branch.session_id == s.session_id
    with pytest.raises(RecordingError, match="no message 'nowhere'"):
        s.fork("nowhere")


def test_fork_knows_the_exchange_and_turn_it_goes_on_from(recorder: Recorder, path: str) -> None:
    s = recorder.session()
    s.user("one")
    turn = s.assistant("a")
    s.user("two")
    s.assistant("b")
    call = s.fork(turn).tool_call("t")
    s.fork(turn).user("other two")
    calls = {c.tool_call_id: c.turn_id for c in stored(recorder, s.session_id).tool_calls}
    assert calls[str(call.tool_call_id)] == turn.message_id
    assert rows(path, "select exchange_index from message order by message_key") == [(0,), (0,), (1,), (1,), (2,)]


def test_an_id_is_given_once_in_a_session(recorder: Recorder) -> None:
    s = recorder.session()
    s.user("a", message_id="m")
    with pytest.raises(RecordingError, match="'m' already"):
        s.user("b", message_id="m")
    made = s.user("c")
    with pytest.raises(RecordingError, match="already"):
        s.user("d", message_id=made.message_id)
    recorder.session().user("another session's", message_id="m")
    assert [m.content for m in s.messages()] == ["a", "c"]


def test_a_given_id_that_reads_like_a_key_is_never_made_for_another_message(recorder: Recorder) -> None:
    s = recorder.session()
    number = int(str(s.user("a").message_id))
    with s.batch():
        s.user("b", message_id=str(number + 3))
        later = [s.user("c") for _ in range(5)]
    later += [s.user("d") for _ in range(5)]
    s.user("e", message_id="9" * 40)
    ids = [m.message_id for m in stored(recorder, s.session_id).messages]
    assert len(set(ids)) == len(ids)
    assert {str(m.message_id) for m in later} <= set(ids)


def test_a_call_has_one_result(recorder: Recorder) -> None:
    call = recorder.session().assistant().tool_call("t")
    call.result("a")
    with pytest.raises(RecordingError, match="result already"):
        call.result("b")


@pytest.mark.parametrize(
    "text",
    ["", "a\0b", "\ud800 lone", "tail \udfff", "\U0001f600 é \u202e", "x" * 1_000_000, "'; drop table message; --"],
    ids=["empty", "nul", "surrogate", "low surrogate", "astral", "long", "sql"],
)
def test_any_text_can_be_recorded(recorder: Recorder, text: str) -> None:
    s = recorder.session(text[:100], agent=text[:100], metadata={"k": text[:100]})
    s.user(text, message_id=text[:50])
    s.assistant(text, reasoning=text, finish_reason=text[:9], response_model=text[:9])
    s.tool_call("t" + text[:9], {"a": text}, tool_call_id=text[:9]).result(text)
    session = stored(recorder, s.session_id)
    expected = "".join(f"\N{REPLACEMENT CHARACTER}\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert session.messages[0].content == session.messages[1].reasoning == session.messages[2].content == expected
    assert json.loads(str(session.tool_calls[0].arguments))["a"] == expected


def test_arguments_without_json_form_are_recorded_as_text(recorder: Recorder) -> None:
    s = recorder.session()
    turn = s.assistant()
    turn.tool_call("t", {"path": os, 1: float("nan"), "set": {2, 1}, "inf": [float("inf")], "b": b"x"})
    (call,) = stored(recorder, s.session_id).tool_calls
    assert call.arguments is not None
    assert json.loads(call.arguments) == {"path": str(os), "1": "nan", "set": [1, 2], "inf": ["inf"], "b": "b'x'"}
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(RecordingError, match="holds itself"):
        turn.tool_call("t", circle)


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.user(None),
        lambda s: s.user(3),
        lambda s: s.user("x", at="yesterday"),
        lambda s: s.user("x", message_id=5),
        lambda s: s.assistant(duration_s=-1),
        lambda s: s.assistant(duration_s=float("nan")),
        lambda s: s.assistant(duration_s=True),
        lambda s: s.assistant(reported_cost_usd=-0.1),
        lambda s: s.assistant(reported_cost_usd="free"),
        lambda s: s.assistant(usage=Usage(input_tokens=-1)),
        lambda s: s.assistant(usage=Usage(input_tokens=cast("int", 1.5))),
        lambda s: s.assistant(usage=Usage(input_tokens=1, cache_read_input_tokens=2)),
        lambda s: s.assistant(usage=Usage(output_tokens=1, reasoning_output_tokens=2)),
        lambda s: s.assistant(usage=Usage(output_tokens=2**63)),
        lambda s: s.tool_call(""),
        lambda s: s.tool_call("t").result("x", status="unanswered"),
        lambda s: s.tool_call("t").result("x", exit_code="0"),
        lambda s: s.configure("gpt"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_session_goes_on(recorder: Recorder, call: Any) -> None:
    s = recorder.session()
    s.user("before")
    with pytest.raises(RecordingError):
        call(s)
    s.user("after")
    assert [m.content for m in s.messages()] == ["before", "after"]


def test_times_are_kept_to_the_microsecond_in_utc(recorder: Recorder) -> None:
    s = recorder.session()
    s.user("a", at=AT.astimezone(timezone(timedelta(hours=-7))))
    s.user("b", at=AT.astimezone().replace(tzinfo=None))  # without a zone it is local
    s.user("c", at=datetime(1900, 1, 1, tzinfo=UTC))
    a, b, c = stored(recorder, s.session_id).messages
    assert a.created_at == b.created_at == AT
    assert c.created_at == datetime(1900, 1, 1, tzinfo=UTC)


def test_a_disabled_recorder_accepts_everything_and_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "no" / "history.db"
    with Recorder(path, enabled=False) as recorder:
        assert "disabled" in repr(recorder)
        with recorder.session("n", directory=".", config=ModelConfig(request_model="m"), metadata={"a": 1}) as s:
            message = s.user("a")
            turn = s.assistant("b", usage=Usage(input_tokens=1))
            turn.tool_call("t").result("x")
            s.tool_call("t").result("x")
            s.error("e")
            s.note("n")
            s.system("s")
            s.configure(ModelConfig())
            with s.batch():
                s.user("c")
            fork = s.fork(message)
            fork.user("d")
            assert message.message_id is None
            assert s.messages() == []
            assert s.messages(format="openai") == []
            assert s.messages(format="anthropic") == {"messages": []}
        recorder.resume("nowhere").user("x")
        history = recorder.history
        history.save(Session(session_id="x"))
        history.rename("x", "y")
        history.archive("x")
        history.unarchive("x")
        history.append("x", [])
        history.set_metadata("x", "a", 1)
        history.set_conversation_id("x", "c")
        assert history.list() == []
        assert history.count() == 0
        assert history.get("x") is None
        assert history.summary("x") is None
        assert history.find_resumable() is None
        assert history.delete("x") is False
        assert history.prune(max_sessions=0, older_than=timedelta(0)) == 0
        assert history.metadata("x") == {}
    assert not path.parent.exists()


def test_the_environment_disables(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONLAB_ENABLED", "off")
    with Recorder(path) as recorder:
        recorder.session().user("a")
    assert not os.path.exists(path)
    with Recorder(path, enabled=True) as recorder:
        recorder.session().user("a")
    assert os.path.exists(path)


def test_a_closed_recorder_says_so(path: str) -> None:
    recorder = Recorder(path)
    s = recorder.session()
    s.user("a")
    recorder.close()
    recorder.close()
    for call in (lambda: s.user("a"), recorder.session, recorder.history.list, lambda: s.messages()):
        with pytest.raises(StoreError, match="is closed"):
            call() if call is not recorder.session else call("x")
    assert "closed" in repr(recorder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_error": "ignore"},
        {"journal": "off"},
        {"synchronous": "off"},
        {"timeout_s": -1},
        {"timeout_s": "1"},
        {"timeout_s": True},
        {"enabled": "perhaps"},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(path: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        Recorder(path, **wrong)
    assert not os.path.exists(path)


def test_the_store_is_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Recorder(tmp_path / "new" / "history.db") as recorder:
            recorder.session().user("a")
            for name in os.listdir(tmp_path / "new"):
                assert stat.S_IMODE(os.stat(tmp_path / "new" / name).st_mode) == 0o600, name
    finally:
        os.umask(before)


def test_rollback_journal_writes_no_wal(path: str) -> None:
    with Recorder(path, journal="rollback") as recorder:
        recorder.session("n").user("a")
        assert not os.path.exists(path + "-wal")
    with Recorder(path) as recorder:  # a store stays in the mode that it has
        recorder.session("n").user("b")
        assert not os.path.exists(path + "-wal")
        assert recorder.history.list()[0].message_count == 3


def test_rollback_turns_a_store_that_was_in_wal(path: str) -> None:
    with Recorder(path) as recorder:
        recorder.session().user("a")
        assert os.path.exists(path + "-wal")
    with Recorder(path, journal="rollback") as recorder:
        recorder.session().user("b")
        assert not os.path.exists(path + "-wal")
    assert rows(path, "pragma journal_mode") == [("delete",)]


def test_synchronous_is_what_was_asked_for_even_on_a_shared_connection(path: str) -> None:
    with Recorder(path) as normal, Recorder(path, synchronous="full") as full:
        assert full._database is not None
        assert normal._database is not None
        level = "pragma synchronous"
        assert full._database.write(lambda c: c.execute(level).fetchone()) == (2,)
        assert normal._database.write(lambda c: c.execute(level).fetchone()) == (1,)
        full.session().user("a")
        normal.session().user("b")


def test_the_settings_decide_where_no_path_is_given(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONLAB_DB", path)
    with Recorder() as recorder:
        assert recorder.path == path
        recorder.session().user("a")
    assert os.path.exists(path)


def test_two_recorders_on_one_file_share_the_connection_through_a_link_too(path: str, tmp_path: Path) -> None:
    with Recorder(path) as first:
        link = tmp_path / "link.db"
        link.symlink_to(path)
        with Recorder(link) as second:
            assert first._database is not None
            assert second._database is not None
            assert first._database.gate is second._database.gate
            a, b = first.session("a"), second.session("b")
            for number in range(20):
                a.user(f"a{number}")
                b.user(f"b{number}")
        a.user("the second one is closed")
        assert {s.name: s.message_count for s in first.history.list()} == {"a": 21, "b": 20}
        assert first._database.check() == []


def test_a_store_through_a_dangling_link_is_made_where_it_points(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "folder" / "real.db")
    with Recorder(tmp_path / "link.db") as recorder:
        recorder.session().user("a")
    assert (tmp_path / "folder" / "real.db").exists()


def test_git_root_of_a_worktree_is_the_main_repository(recorder: Recorder, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True, capture_output=True
        )

    main, tree = tmp_path / "main", tmp_path / "tree"
    git("init", str(main))
    git("-C", str(main), "commit", "--allow-empty", "-m", "x")
    git("-C", str(main), "worktree", "add", str(tree))
    session = stored(recorder, recorder.session(directory=tree).session_id)
    assert session.git_root == os.path.realpath(main)


def test_handles_say_what_they_are(recorder: Recorder) -> None:
    s = recorder.session()
    with s.batch():
        turn = s.assistant("a")
        call = turn.tool_call("bash")
        assert repr(turn) == "<turn not recorded>"
        assert "not recorded" in repr(call)
    assert repr(turn) == f"<turn {turn.message_id}>"
    assert str(call.tool_call_id) in repr(call)
    assert s.session_id in repr(s)
    assert repr(recorder.history) == "<History of 1 sessions>"


def test_a_session_deleted_or_saved_anew_meanwhile_refuses_to_go_on(recorder: Recorder) -> None:
    s, other = recorder.session(), recorder.session()
    turn = s.assistant("a")
    other.user("x")
    value = stored(recorder, s.session_id)
    recorder.history.save(value)
    with pytest.raises(RecordingError, match="resume"):
        s.user("b")
    with pytest.raises(RecordingError, match="resume"):
        turn.tool_call("t")
    other.user("not concerned")
    recorder.resume(s).user("c")
    recorder.history.delete(s.session_id)
    with pytest.raises(RecordingError, match="deleted"):
        s.user("d")
    with pytest.raises(RecordingError, match="deleted"):
        s.messages()


@pytest.mark.parametrize(
    ("error", "status"),
    [(TimeoutError("late"), "timeout"), (KeyboardInterrupt(), "cancelled"), (asyncio.CancelledError(), "cancelled")],
)
def test_a_call_that_timed_out_or_was_cancelled_says_so(recorder: Recorder, error: BaseException, status: str) -> None:
    s = recorder.session()
    with pytest.raises(type(error)), s.assistant().tool_call("slow"):
        raise error
    (call,) = stored(recorder, s.session_id).tool_calls
    assert (call.status, call.is_error) == (status, True)
    assert call.duration_s is not None


def test_an_exception_given_as_a_result_is_an_error(recorder: Recorder) -> None:
    s = recorder.session()
    s.assistant().tool_call("x").result(ValueError("no such file"))
    whole = stored(recorder, s.session_id)
    assert (whole.tool_calls[0].status, whole.messages[-1].content) == ("error", "ValueError: no such file")


@pytest.mark.parametrize(("status", "is_error"), [("ok", True), ("error", False)])
def test_a_result_that_contradicts_itself_is_refused(recorder: Recorder, status: Any, is_error: bool) -> None:
    with pytest.raises(RecordingError, match="opposite"):
        recorder.session().assistant().tool_call("x").result("y", status=status, is_error=is_error)


def test_numbers_of_other_libraries_are_recorded_as_numbers(recorder: Recorder) -> None:
    s = recorder.session(config=ModelConfig(temperature=np.float32(0.5)))  # type: ignore[arg-type]  # it is a number
    turn = s.assistant("x", usage=Usage(input_tokens=np.int64(3), output_tokens=1))  # type: ignore[arg-type]  # as above
    turn.tool_call("y", {"n": np.int64(4), "list": np.array([1.5, 2.5])})
    whole = stored(recorder, s.session_id)
    assert whole.messages[0].usage == Usage(input_tokens=3, output_tokens=1)
    assert whole.messages[0].config == ModelConfig(temperature=0.5)
    assert whole.tool_calls[0].arguments == '{"list":[1.5,2.5],"n":4}'


def test_a_usage_of_another_kind_is_an_error_that_says_what_is_expected(recorder: Recorder) -> None:
    with pytest.raises(RecordingError, match=r"sessionlab\.Usage"):
        recorder.session().assistant("x", usage={"input_tokens": 3})  # type: ignore[arg-type]  # what is tested


def test_warn_also_keeps_looking_back_from_breaking_the_program(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.warns(SessionLabWarning, match="could not be recorded"):
        recorder = Recorder(tmp_path / "file" / "history.db", on_error="warn")
    s = recorder.session("x")
    s.user("hello")
    assert s.messages() == []
    assert s.messages(format="openai") == []
    assert recorder.history.find_resumable(".") is None
    assert recorder.history.list() == []
    assert recorder.history.get("x") is None
    assert recorder.history.delete("x") is False
    assert recorder.lost == 2
