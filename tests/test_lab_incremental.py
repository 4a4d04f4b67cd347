"""Whatever is recorded in whatever order: reading it step by step gives what reading it at once gives."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule
from test_frames import COLUMNS, check_frames

import sessionlab
from sessionlab import Message, ModelConfig, Recorder, RecordingError, Session, ToolCall, Usage
from sessionlab.store.handles import RecordedToolCall, RecordedTurn
from sessionlab.store.session import RecordedSession

TEXT = st.text(max_size=12)
COUNT = st.none() | st.integers(0, 1000)
CONFIGS = st.builds(
    ModelConfig,
    provider_name=st.sampled_from([None, "anthropic", "openai"]),
    request_model=st.sampled_from([None, "claude-sonnet-4-5", "gpt-5", "of-nobody"]),
    temperature=st.sampled_from([None, 0.1, 1 / 3]),
    stop_sequences=st.sampled_from([None, ("a", "b")]),
)
USAGES = st.none() | st.builds(
    lambda uncached, read, output, reasoning: Usage(
        input_tokens=None if uncached is None else uncached + (read or 0),
        cache_read_input_tokens=read,
        output_tokens=None if output is None else output + (reasoning or 0),
        reasoning_output_tokens=reasoning,
    ),
    COUNT,
    COUNT,
    COUNT,
    COUNT,
)
IDS = st.none() | st.sampled_from(["m1", "m2", "7", "zwölf"])


class Recording(RuleBasedStateMachine):
    """Record at random; after each step read a part with one lab; at the end compare with another."""

    sessions: Bundle[RecordedSession] = Bundle("sessions")
    turns: Bundle[RecordedTurn] = Bundle("turns")
    calls: Bundle[RecordedToolCall] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.path = os.path.join(self.folder, "history.db")
        self.recorder = Recorder(self.path)
        self.lab = sessionlab.open(self.path)
        self.steps = 0

    def teardown(self) -> None:
        try:
            self.compare()
            self.recorder.close()
            self.compare_what_is_read_at_once()
        finally:
            self.lab.close()
            self.recorder.close()
            shutil.rmtree(self.folder)

    def compare_what_is_read_at_once(self) -> None:
        """Nobody records any more, so a lab reads whole tables; which ones first makes no difference."""
        with sessionlab.open(self.path) as turns_first, sessionlab.open(self.path) as texts_first:
            turns_first.frame("token_usage")
            texts_first.frame("tool_calls")
            for name in COLUMNS:
                for lab in (turns_first, texts_first):
                    pd.testing.assert_frame_equal(self.lab.frame(name), lab.frame(name), rtol=1e-12, obj=name)

    def compare(self) -> None:
        check_frames(self.lab)
        with sessionlab.open(self.path) as fresh:
            for name in COLUMNS:
                # Sums of prices may differ in their last digit by the order in which they were added.
                pd.testing.assert_frame_equal(self.lab.frame(name), fresh.frame(name), rtol=1e-12, obj=name)
                text = f"select * from {name} order by all"
                with self.lab.snapshot(), fresh.snapshot():
                    ours, other = self.lab.sql(text).pandas(), fresh.sql(text).pandas()
                pd.testing.assert_frame_equal(ours, other, rtol=1e-12, obj=name)

    def attempt(self, work: Any, *arguments: Any, **options: Any) -> Any:
        """Do what the recorder may refuse: the session was deleted, archived or ended, or an id is taken."""
        try:
            return work(*arguments, **options)
        except RecordingError:
            return multiple()

    @invariant()
    def read(self) -> None:
        """Read more or less, so that texts and costs are loaded at different moments."""
        self.steps += 1
        options: list[dict[str, Any]] = [{"columns": ["session_id"]}, {}, {"limit": 1}, {"columns": ["source"]}]
        name = list(COLUMNS)[self.steps % 6]
        if name != "model_configs":
            self.lab.frame(name, **options[self.steps % 4])

    @rule(target=sessions, name=st.sampled_from([None, "a", "b"]), new=st.booleans(), config=st.none() | CONFIGS)
    def begin(self, name: str | None, new: bool, config: ModelConfig | None) -> Any:
        return self.attempt(self.recorder.session, name, agent="x", new=new, config=config)

    @rule(s=sessions, text=TEXT, given=IDS)
    def user(self, s: RecordedSession, text: str, given: str | None) -> None:
        self.attempt(s.user, text, message_id=given)

    @rule(s=sessions, text=TEXT)
    def note(self, s: RecordedSession, text: str) -> None:
        self.attempt(s.note, text)

    @rule(s=sessions, text=TEXT)
    def system(self, s: RecordedSession, text: str) -> None:
        self.attempt(s.system, text)

    @rule(target=turns, s=sessions, text=st.none() | TEXT, usage=USAGES, given=IDS, cost=st.sampled_from([None, 0.5]))
    def assistant(
        self, s: RecordedSession, text: str | None, usage: Usage | None, given: str | None, cost: float | None
    ) -> Any:
        return self.attempt(
            s.assistant, text, reasoning=text, usage=usage, message_id=given, reported_cost_usd=cost, duration_s=0.5
        )

    @rule(target=turns, s=sessions, text=TEXT)
    def fail(self, s: RecordedSession, text: str) -> Any:
        return self.attempt(s.error, text)

    @rule(target=calls, s=sessions, text=TEXT)
    def call(self, s: RecordedSession, text: str) -> Any:
        return self.attempt(s.tool_call, "t", {"text": text})

    @rule(target=calls, turn=turns, text=TEXT)
    def call_of_turn(self, turn: RecordedTurn, text: str) -> Any:
        return self.attempt(turn.tool_call, "u", text, tool_call_id="same")

    @rule(call=consumes(calls), text=TEXT, code=st.sampled_from([None, 0, 1]))
    def result(self, call: RecordedToolCall, text: str, code: int | None) -> None:
        self.attempt(call.result, text, exit_code=code)

    @rule(s=sessions, config=CONFIGS)
    def configure(self, s: RecordedSession, config: ModelConfig) -> None:
        self.attempt(s.configure, config)

    @rule(target=sessions, s=sessions, turn=turns)
    def fork(self, s: RecordedSession, turn: RecordedTurn) -> Any:
        return self.attempt(s.fork, turn)

    @rule(s=sessions, texts=st.lists(TEXT, max_size=3))
    def batch(self, s: RecordedSession, texts: list[str]) -> None:
        def work() -> None:
            with s.batch():
                for text in texts:
                    s.tool_call("before", text)
                    s.assistant(text).tool_call("after").result(text)

        self.attempt(work)

    @rule(s=sessions)
    def end(self, s: RecordedSession) -> None:
        self.attempt(s.end)

    @rule(target=sessions, s=sessions)
    def resume(self, s: RecordedSession) -> Any:
        return self.attempt(self.recorder.resume, s)

    @rule(s=sessions, name=st.none() | TEXT)
    def rename(self, s: RecordedSession, name: str | None) -> None:
        self.attempt(self.recorder.history.rename, s.session_id, name)

    @rule(s=sessions)
    def archive(self, s: RecordedSession) -> None:
        self.attempt(self.recorder.history.archive, s.session_id)

    @precondition(lambda self: self.steps > 6)
    @rule(s=sessions)
    def delete(self, s: RecordedSession) -> None:
        self.recorder.history.delete(s.session_id)

    @rule(s=sessions, text=TEXT)
    def save(self, s: RecordedSession, text: str) -> None:
        value = self.recorder.history.get(s.session_id)
        if value is not None:
            messages = [replace(m, content=text if m.role == "user" else m.content) for m in value.messages]
            self.attempt(self.recorder.history.save, replace(value, messages=messages, metadata={"text": text}))

    @rule(s=sessions, text=TEXT)
    def note_metadata(self, s: RecordedSession, text: str) -> None:
        self.attempt(self.recorder.history.set_metadata, s.session_id, "text", text)

    @precondition(lambda self: self.steps % 5 == 0)
    @rule()
    def vacuum(self) -> None:
        assert self.recorder._database is not None
        self.recorder._database.vacuum()


TestStepByStepGivesWhatAtOnceGives = Recording.TestCase
TestStepByStepGivesWhatAtOnceGives.settings = settings(
    max_examples=10, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_two_branches_with_waiting_calls_read_the_same_step_by_step_and_at_once(path: str, recorder: Recorder) -> None:
    s = recorder.session("branches")
    first = s.user("q")
    other = s.fork(first)
    with sessionlab.open(path) as lab:
        s.tool_call("one")
        other.tool_call("two")
        lab.frame("tool_calls")
        s.assistant("a")
        lab.frame("tool_calls")
        other.assistant("b")
        ours = lab.frame("tool_calls")
        assert lab.frame("turns").tool_call_count.sum() == 2
    with sessionlab.open(path) as fresh:
        pd.testing.assert_frame_equal(ours, fresh.frame("tool_calls"))
    value = recorder.history.get(s.session_id)
    assert value is not None
    assert [call.turn_id for call in value.tool_calls] == ours.turn_id.tolist()


def test_calls_long_before_their_turn_in_a_saved_value_find_it(path: str, recorder: Recorder) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    between = [Message(message_id=f"m{n}", role="user", content="q", created_at=at) for n in range(25_000)]
    value = Session(
        session_id="long",
        messages=[
            Message(message_id="result", role="tool", content="r", created_at=at),
            *between,
            Message(message_id="turn", role="assistant", is_turn=True, created_at=at),
        ],
        tool_calls=[ToolCall(tool_call_id="c", tool_name="t", turn_id="turn", result_message_id="result", status="ok")],
    )
    with sessionlab.open(path) as lab:
        recorder.history.save(value)  # read in ranges, since a recorder of this process has the file
        assert lab.frame("tool_calls").turn_id.tolist() == ["turn"]
        assert lab.frame("turns").tool_call_count.tolist() == [1]
        assert lab.frame("messages", role="tool").turn_id.tolist() == ["turn"]
        recorder.history.delete("long")
        assert lab.frame("messages").empty
