"""The sessions of a store: list, find, get, save, rename, archive, delete, prune."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionlab import Message, ModelConfig, Recorder, RecordingError, Session, SettingsError, ToolCall, Usage
from sessionlab.model import FINISH_REASONS, KINDS, RESULT_STATUSES, storable
from sessionlab.store import history as history_module

if TYPE_CHECKING:
    from pathlib import Path


def at(minutes: float) -> datetime:
    """Return a time so many minutes ago."""
    return datetime.now(UTC) - timedelta(minutes=minutes)


def saved(recorder: Recorder, session_id: str, minutes: float, **more: Any) -> None:
    message = Message(message_id="m", role="user", content="x", created_at=at(minutes))
    recorder.history.save(Session(session_id=session_id, started_at=at(minutes), messages=[message], **more))


def ids(found: list[Any]) -> list[str]:
    return [summary.session_id for summary in found]


def test_list_is_by_newest_activity(recorder: Recorder) -> None:
    for name, minutes in (("b", 20), ("a", 10), ("c", 30)):
        saved(recorder, name, minutes)
    assert ids(recorder.history.list()) == ["a", "b", "c"]
    recorder.history.append("c", [Message(message_id="n", role="user", content="y")])
    assert ids(recorder.history.list()) == ["c", "a", "b"]
    assert ids(recorder.history.list(limit=2)) == ["c", "a"]
    assert recorder.history.list(limit=0) == []


def test_list_and_count_select_by_agent_name_and_archive(recorder: Recorder) -> None:
    saved(recorder, "1", 1, agent_name="coder", name="x")
    saved(recorder, "2", 2, agent_name="coder", archived_at=at(0))
    saved(recorder, "3", 3, agent_name="writer", name="x\ud800")
    history = recorder.history
    assert ids(history.list(agent_name="coder")) == ["1", "2"]
    assert ids(history.list(agent_name="coder", archived=False)) == ["1"]
    assert ids(history.list(archived=True)) == ["2"]
    assert ids(history.list(name="x")) == ["1"]
    assert ids(history.list(name="x\ud800")) == ["3"]
    assert (history.count(), history.count(agent_name="coder"), history.count(archived=False)) == (3, 2, 2)
    assert history.count(name="nobody") == 0


def test_a_summary_counts_and_knows_its_times(recorder: Recorder) -> None:
    s = recorder.session("n", agent="a", metadata={"x": 1})
    s.user("a")
    s.assistant("b").tool_call("t").result("c")
    s.end()
    summary = recorder.history.summary(s.session_id)
    assert summary is not None
    assert (summary.name, summary.agent_name) == ("n", "a")
    assert (summary.message_count, summary.turn_count, summary.tool_call_count) == (3, 1, 1)
    assert summary.started_at <= summary.updated_at
    assert summary.ended_at is not None
    assert summary.updated_at <= summary.ended_at
    assert recorder.history.summary("nowhere") is None
    assert recorder.history.get("nowhere") is None


def test_summaries_read_no_text(recorder: Recorder, path: str) -> None:
    recorder.session("n").user("a")
    read: set[str] = set()

    def note(action: int, table: str | None, *_: Any) -> int:
        if action == sqlite3.SQLITE_READ and table:
            read.add(table)
        return sqlite3.SQLITE_OK

    connection = sqlite3.connect(path)
    connection.set_authorizer(note)
    connection.execute(history_module._SUMMARY).fetchall()
    connection.close()
    assert "session" in read
    assert "message" in read
    assert not {table for table in read if table.endswith("_text")}


def test_append_goes_on_at_the_end(recorder: Recorder, path: str) -> None:
    s = recorder.session()
    prompt = s.user("a")
    s.assistant("b").tool_call("t").result("r")
    before = recorder.history.get(s.session_id)
    assert before is not None
    last = before.messages[-1].message_id
    recorder.history.append(
        s.session_id,
        [
            Message(
                message_id="x",
                role="assistant",
                content="c",
                parent_message_id=last,
                is_turn=True,
                created_at=datetime.now(UTC),
            ),
            Message(message_id="y", role="user", content="d", parent_message_id="x", created_at=datetime.now(UTC)),
        ],
    )
    after = recorder.history.get(s.session_id)
    assert after is not None
    assert after.messages[:3] == before.messages
    assert after.tool_calls == before.tool_calls
    assert [m.content for m in after.messages[3:]] == ["c", "d"]
    connection = sqlite3.connect(path)
    sql = "select exchange_index, prompt_key from message order by message_key"
    assert connection.execute(sql).fetchall()[3] == (0, int(str(prompt.message_id)))
    connection.close()
    with pytest.raises(RecordingError, match="twice"):
        recorder.history.append(s.session_id, [Message(message_id="x", role="user")])
    with pytest.raises(RecordingError, match="no session"):
        recorder.history.append("nowhere", [])


@pytest.mark.parametrize(
    "session",
    [
        Session(session_id="s", messages=[Message(message_id="a", role="user"), Message(message_id="a", role="user")]),
        Session(session_id="s", messages=[Message(message_id="a", role="user", parent_message_id="b")]),
        Session(session_id="s", messages=[Message(message_id="a", role="robot")]),  # type: ignore[arg-type]  # tested
        Session(session_id="s", messages=[Message(message_id="a", role="user", kind="x")]),  # type: ignore[arg-type]  # tested
        Session(session_id="s", messages=[Message(message_id="a", role="user", is_turn=True)]),
        Session(session_id="s", messages=[Message(message_id="a", role="user", usage=Usage(input_tokens=-1))]),
        Session(session_id="s", tool_calls=[ToolCall(tool_call_id="c", tool_name="t", turn_id="nowhere")]),
        Session(session_id="s", tool_calls=[ToolCall(tool_call_id="c", tool_name="t", result_message_id="nowhere")]),
        Session(
            session_id="s",
            messages=[Message(message_id="r", role="tool")],
            tool_calls=[ToolCall(tool_call_id="c", tool_name="t", result_message_id="r")],
        ),
        Session(session_id="s", messages=[Message(message_id="a", role="assistant", is_turn=True, duration_s=-1)]),
    ],
)
def test_a_session_value_that_does_not_fit_together_changes_nothing(recorder: Recorder, session: Session) -> None:
    saved(recorder, "s", 5)
    before = recorder.history.get("s")
    with pytest.raises(RecordingError):
        recorder.history.save(session)
    assert recorder.history.get("s") == before


def test_save_puts_a_changed_session_in_place_of_the_old_one(recorder: Recorder) -> None:
    s = recorder.session("n", config=ModelConfig(request_model="m"))
    s.user("a")
    s.assistant("b")
    value = recorder.history.get(s.session_id)
    assert value is not None
    import dataclasses

    changed = dataclasses.replace(value, name="other", messages=value.messages[:1], metadata={"k": 1})
    recorder.history.save(changed)
    assert recorder.history.get(s.session_id) == changed
    assert recorder.history.count() == 1
    again = recorder.resume(s)
    again.user("c")
    assert [m.content for m in again.messages() if m.kind == "message"] == ["a", "c"]


def test_rename_refuses_a_name_that_is_taken(recorder: Recorder) -> None:
    saved(recorder, "1", 1, name="taken")
    saved(recorder, "2", 2)
    with pytest.raises(RecordingError, match="taken"):
        recorder.history.rename("2", "taken")
    recorder.history.archive("1")
    recorder.history.rename("2", "taken")
    assert recorder.session("taken").session_id == "2"
    recorder.history.rename("2", None)
    assert recorder.history.summary("2").name is None  # type: ignore[union-attr]  # it is there
    recorder.history.rename("2", None)
    with pytest.raises(RecordingError, match="no session"):
        recorder.history.rename("nowhere", "x")


def test_archive_unarchive_and_delete(recorder: Recorder, path: str) -> None:
    s = recorder.session("n", config=ModelConfig(request_model="m"))
    s.assistant("a").tool_call("t").result("b")
    history = recorder.history
    history.archive(s.session_id)
    assert ids(history.list(archived=True)) == [s.session_id]
    history.unarchive(s.session_id)
    assert history.list(archived=True) == []
    assert history.delete(s.session_id) is True
    assert history.delete(s.session_id) is False
    connection = sqlite3.connect(path)
    for (table,) in connection.execute("select name from sqlite_schema where type = 'table'").fetchall():
        if table not in ("counter", "migration"):
            assert connection.execute(f"select count(*) from {table}").fetchone() == (0,), table
    connection.close()
    for call in (history.archive, history.unarchive):
        with pytest.raises(RecordingError, match="no session"):
            call("nowhere")


def test_unarchive_refuses_a_name_that_is_taken_meanwhile(recorder: Recorder) -> None:
    first = recorder.session("n")
    recorder.session("n", new=True)
    with pytest.raises(RecordingError, match="'n' already"):
        recorder.history.unarchive(first.session_id)


def test_prune_without_limits_deletes_nothing(recorder: Recorder) -> None:
    saved(recorder, "1", 10_000_000)
    assert recorder.history.prune() == 0
    assert recorder.history.count() == 1


def test_prune_deletes_archived_and_oldest_first(recorder: Recorder) -> None:
    for name, minutes, archived in (("a", 40, None), ("b", 30, None), ("c", 20, at(1)), ("d", 10, None)):
        saved(recorder, name, minutes, archived_at=archived)
    history = recorder.history
    assert history.prune(max_sessions=3) == 1
    assert ids(history.list()) == ["d", "b", "a"]
    assert history.prune(max_sessions=2) == 1
    assert ids(history.list()) == ["d", "b"]
    assert history.prune(max_sessions=5) == 0
    assert history.prune(older_than=timedelta(minutes=20)) == 1
    assert ids(history.list()) == ["d"]
    assert history.prune(max_sessions=0) == 1


def test_prune_takes_its_limit_from_the_settings(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        saved(recorder, str(number), number)
    monkeypatch.setenv("SESSIONLAB_MAX_SESSIONS", "2")
    assert recorder.history.prune() == 1
    with pytest.raises(SettingsError):
        recorder.history.prune(max_sessions=-1)


def test_metadata_and_conversation_id(recorder: Recorder) -> None:
    s = recorder.session(metadata={"a": 1})
    history = recorder.history
    history.set_metadata(s.session_id, "b", {"deep": [1, None]})
    history.set_metadata(s.session_id, "a", None)
    history.set_conversation_id(s.session_id, "server's")
    assert history.metadata(s.session_id) == {"b": {"deep": [1, None]}}
    assert history.metadata("nowhere") == {}
    assert history.summary(s.session_id).conversation_id == "server's"  # type: ignore[union-attr]  # it is there
    with pytest.raises(RecordingError):
        history.set_metadata("nowhere", "a", 1)


def test_find_resumable_looks_and_changes_nothing(
    recorder: Recorder, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, deep, elsewhere = tmp_path / "r", tmp_path / "r" / "deep", tmp_path / "elsewhere"
    for folder in (repository / ".git", deep, elsewhere):
        folder.mkdir(parents=True)
    history = recorder.history

    def found(folder: Path, within: timedelta | None = None) -> str | None:
        summary = history.find_resumable(folder, within)
        return None if summary is None else summary.session_id

    root = str(repository.resolve())
    saved(recorder, "old", 90, directory=root, git_root=root)
    assert found(repository) is None
    assert found(repository, timedelta(hours=2)) == "old"
    monkeypatch.setenv("SESSIONLAB_CONTINUE_MINUTES", "100")
    assert found(deep) == "old"
    saved(recorder, "new", 5, directory=str(deep.resolve()), git_root=root)
    saved(recorder, "archived", 1, directory=root, git_root=root, archived_at=at(0))
    saved(recorder, "elsewhere", 0, directory=str(elsewhere.resolve()))
    connection = sqlite3.connect(path)
    before = list(connection.iterdump())
    assert found(repository) == "new"  # by its repository
    assert found(deep) == "new"
    assert found(elsewhere) == "elsewhere"
    assert found(tmp_path) is None
    monkeypatch.chdir(elsewhere)
    assert history.find_resumable().session_id == "elsewhere"  # type: ignore[union-attr]  # it is there
    assert list(connection.iterdump()) == before
    connection.close()


# Any session value comes back as it was saved

texts = st.text(max_size=30) | st.sampled_from(["", "a\0b", "\ud800", "x\udfff", "<b>", "'; --", "7", "007", "9" * 30])
optional = st.none() | texts
times = st.none() | st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
counts = st.none() | st.integers(0, 2**40)
seconds = st.none() | st.integers(0, 10**12).map(lambda microseconds: microseconds / 1e6)
configs = st.none() | st.builds(
    ModelConfig,
    request_model=optional.map(lambda text: None if text is None else storable(text)),
    temperature=st.none() | st.floats(0, 2),
    max_tokens=counts,
    stop_sequences=st.none() | st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=2),
    system_instructions=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    cached, created, reasoning = draw(counts), draw(counts), draw(counts)
    total = draw(st.none() | st.just((cached or 0) + (created or 0) + 5))
    output = draw(st.none() | st.just((reasoning or 0) + 7))
    return Usage(
        input_tokens=total,
        output_tokens=output,
        cache_read_input_tokens=cached,
        cache_creation_input_tokens=created,
        reasoning_output_tokens=reasoning,
    )


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """Draw any session: branches, odd ids, calls that wait for a later turn, repeated ids, answers missing."""
    names = draw(st.lists(texts, max_size=8, unique_by=storable))
    runs = draw(st.lists(texts, min_size=1, max_size=2))
    messages: list[Message] = []
    for name in names:
        is_turn = draw(st.booleans())
        facts: dict[str, Any] = {}
        if is_turn:
            facts = {
                "usage": draw(st.none() | usages()),
                "finish_reason": draw(st.none() | st.sampled_from(FINISH_REASONS)),
                "finish_reason_raw": draw(optional),
                "response_model": draw(optional),
                "reported_cost_usd": draw(st.none() | st.floats(0, 1e6)),
                "started_at": draw(times),
                "duration_s": draw(seconds),
                "error_type": draw(optional),
                "config": draw(configs),
            }
        messages.append(
            Message(
                message_id=name,
                role="assistant" if is_turn else draw(st.sampled_from(["user", "system", "tool", "assistant"])),
                kind=draw(st.sampled_from(KINDS)),
                content=draw(optional),
                reasoning=draw(optional),
                parent_message_id=draw(st.none() | st.sampled_from([m.message_id for m in messages]))
                if messages
                else None,
                invocation_id=draw(st.sampled_from(runs)),
                created_at=draw(times),
                is_turn=is_turn,
                **facts,
            )
        )
    turns = [m.message_id for m in messages if m.is_turn]
    results = draw(st.permutations([m.message_id for m in messages if m.role == "tool"]))
    calls: list[ToolCall] = []
    for number in range(draw(st.integers(0, 6))):
        result = results[number] if number < len(results) and draw(st.booleans()) else None
        answer: dict[str, Any] = {}
        if result is not None:
            answer = {
                "result_message_id": result,
                "status": draw(st.sampled_from(RESULT_STATUSES)),
                "is_error": draw(st.booleans()),
                "exit_code": draw(st.none() | st.integers(-(2**31), 2**31)),
                "duration_s": draw(seconds),
            }
        calls.append(
            ToolCall(
                tool_call_id=draw(st.sampled_from(["a", "b"]) | texts),
                tool_name=draw(texts.filter(bool)),
                arguments=draw(optional),
                turn_id=draw(st.none() | st.sampled_from(turns)) if turns else None,
                started_at=draw(times),
                **answer,
            )
        )
    return Session(
        session_id=draw(texts.filter(bool)),
        name=draw(optional),
        agent_name=draw(optional),
        directory=draw(optional),
        git_root=draw(optional),
        parent_session_id=draw(optional),
        conversation_id=draw(optional),
        started_at=draw(times),
        ended_at=draw(times),
        archived_at=draw(times),
        metadata=draw(
            st.dictionaries(texts, st.none() | st.integers() | texts | st.lists(texts, max_size=2), max_size=2)
        ),
        messages=tuple(messages),
        tool_calls=tuple(calls),
    )


def as_stored(value: Any, known: Any) -> Any:
    """Return what was saved as it must come back: texts as UTF-8 can hold them, and times that the store chose."""
    import dataclasses

    if isinstance(value, str):
        return storable(value)
    if isinstance(value, ModelConfig):
        return value
    if isinstance(value, dict):
        return {storable(key): as_stored(inner, None) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(as_stored(a, b) for a, b in zip(value, known or value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        values = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        for name, inner in values.items():
            other = getattr(known, name, None)
            is_chosen = name in ("started_at", "created_at") and inner is None and getattr(value, "is_turn", True)
            if inner is None and (is_chosen or name == "created_at"):
                values[name] = other
            elif isinstance(value, Message) and name == "usage" and inner == Usage():
                values[name] = None  # nothing was reported, whichever way it is said
            else:
                values[name] = as_stored(inner, other)
        return dataclasses.replace(value, **values)
    return value


@given(first=sessions(), second=sessions())
@settings(max_examples=80)
def test_any_session_comes_back_as_it_was_saved(
    tmp_path_factory: pytest.TempPathFactory, first: Session, second: Session
) -> None:
    import dataclasses

    with Recorder(tmp_path_factory.mktemp("store") / "history.db") as recorder:
        replacement = dataclasses.replace(second, session_id=first.session_id)
        for value in (first, replacement):
            recorder.history.save(value)
            found = recorder.history.get(value.session_id)
            assert found is not None
            assert found == as_stored(value, found)
            recorder.history.save(found)
            assert recorder.history.get(value.session_id) == found
        assert recorder.history.count() == 1
        assert recorder._database is not None
        assert recorder._database.check() == []
        summary = recorder.history.summary(first.session_id)
        assert summary is not None
        assert (summary.message_count, summary.tool_call_count) == (len(second.messages), len(second.tool_calls))
