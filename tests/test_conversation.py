"""What is sent to a model: both APIs take it, and the budget is kept."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from anthropic.types import MessageParam
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from sessionlab import Recorder, RecordingError
from sessionlab.model import to_json
from sessionlab.store.conversation import NO_PROMPT, NO_RESULT, estimated_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessionlab.store.session import RecordedSession

openai_type = TypeAdapter(ChatCompletionMessageParam)
anthropic_type = TypeAdapter(MessageParam)


def exhaust(value: Any) -> None:
    """Walk through what pydantic validates only when it is walked through."""
    if isinstance(value, dict):
        for inner in value.values():
            exhaust(inner)
    elif not isinstance(value, str) and hasattr(value, "__iter__"):
        for inner in value:
            exhaust(inner)


def assert_openai_takes(messages: list[dict[str, Any]]) -> None:
    waiting: list[str] = []
    seen: set[str] = set()
    for message in messages:
        exhaust(openai_type.validate_python(message, strict=True))
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
            continue
        assert waiting == []
        if message["role"] == "assistant":
            assert message["content"] or message.get("tool_calls")
            waiting = [call["id"] for call in message.get("tool_calls", [])]
            for call in message.get("tool_calls", []):
                assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", call["function"]["name"])
            assert not seen & set(waiting)
            assert len(set(waiting)) == len(waiting)
            assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", call_id) for call_id in waiting)
            seen.update(waiting)
    assert waiting == []
    json.dumps(messages).encode()


def assert_anthropic_takes(whole: dict[str, Any]) -> None:
    assert set(whole) <= {"system", "messages"}
    assert whole.get("system", "x").strip()
    messages = whole["messages"]
    if messages:
        assert messages[0]["role"] == "user"
    seen: set[str] = set()
    for number, message in enumerate(messages):
        exhaust(anthropic_type.validate_python(message, strict=True))
        assert message["role"] == ("user" if number % 2 == 0 else "assistant")
        assert message["content"]
        for part in message["content"]:
            if part["type"] == "text":
                assert part["text"].strip()
            if part["type"] == "tool_result" and part["is_error"]:
                assert part["content"].strip()
        asked = [part["id"] for part in message["content"] if part["type"] == "tool_use"]
        assert not seen & set(asked)
        assert len(set(asked)) == len(asked)
        seen.update(asked)
        answers = messages[number + 1]["content"] if asked else []
        assert [part.get("tool_use_id") for part in answers[: len(asked)]] == asked
        if message["role"] == "user":
            kinds = [part["type"] for part in message["content"]]
            assert kinds == sorted(kinds, key=lambda kind: kind != "tool_result")
            before = [p["id"] for p in messages[number - 1]["content"] if p["type"] == "tool_use"] if number else []
            assert [p["tool_use_id"] for p in message["content"] if p["type"] == "tool_result"] == before
    if messages and messages[-1]["role"] == "assistant" and messages[-1]["content"][-1]["type"] == "text":
        text = messages[-1]["content"][-1]["text"]
        assert text == text.rstrip()
    json.dumps(whole).encode()


texts = st.sampled_from(["", " ", "\n", "hello", "trailing \n", "x" * 50, "\ud800", "é\0"]) | st.text(max_size=8)
call_ids = st.none() | st.sampled_from(["a", "call_0", "call_1", "ü", "", "x" * 50, "a b"])
arguments = st.sampled_from([None, "", "{", "[1]", '{"a": 1}', "null"]) | st.dictionaries(
    st.text(max_size=3), st.integers()
)
steps = st.one_of(
    st.tuples(st.just("user"), texts),
    st.tuples(st.just("system"), texts),
    st.tuples(st.just("note"), texts),
    st.tuples(st.just("error"), texts),
    st.tuples(st.just("assistant"), st.none() | texts),
    st.tuples(st.just("call"), st.sampled_from(["bash", "my tool", "ünï", "n" * 70]), call_ids, arguments),
    st.tuples(st.just("turn's call"), st.sampled_from(["bash", "."]), call_ids, arguments),
    st.tuples(st.just("result"), texts, st.booleans(), st.integers(0, 3)),
    st.tuples(st.just("fork"), st.integers(0, 20)),
    st.tuples(st.just("resume")),
)


def play(recorder: Recorder, script: list[tuple[Any, ...]]) -> RecordedSession:
    """Record what a script says."""
    s = recorder.session()
    turn, calls, messages = None, [], []
    for word, *given_ in script:
        if word in ("user", "system", "note", "error"):
            messages.append(getattr(s, word)(*given_))
        elif word == "assistant":
            turn = s.assistant(*given_)
            messages.append(turn)
        elif word == "call" or (word == "turn's call" and turn is None):
            calls.append(s.tool_call(given_[0], given_[2], tool_call_id=given_[1]))
        elif word == "turn's call" and turn is not None:
            calls.append(turn.tool_call(given_[0], given_[2], tool_call_id=given_[1]))
        elif word == "result" and calls:
            text, is_error, number = given_
            calls.pop(number % len(calls)).result(text, is_error=is_error)
        elif word == "fork" and messages:
            s = s.fork(messages[given_[0] % len(messages)])
        elif word == "resume":
            s = recorder.resume(s)
    return s


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    with Recorder(tmp_path_factory.mktemp("store") / "history.db") as opened:
        yield opened


@given(script=st.lists(steps, max_size=25))
@settings(max_examples=150)
def test_both_apis_take_any_recorded_session(shared: Recorder, script: list[tuple[Any, ...]]) -> None:
    s = play(shared, script)
    assert_openai_takes(s.messages(format="openai"))
    assert_anthropic_takes(s.messages(format="anthropic"))


@given(script=st.lists(steps, max_size=30), budget=st.integers(0, 300), reserve=st.integers(0, 50))
@settings(max_examples=150)
def test_a_budget_is_kept_and_the_newest_exchange_and_the_system_prompt_stay(
    shared: Recorder, script: list[tuple[Any, ...]], budget: int, reserve: int
) -> None:
    s = play(shared, script)
    stored = s.messages()
    all_openai, all_anthropic = s.messages(format="openai"), s.messages(format="anthropic")
    openai = s.messages(format="openai", max_tokens=budget, reserve_tokens=reserve)
    anthropic = s.messages(format="anthropic", max_tokens=budget, reserve_tokens=reserve)
    assert_openai_takes(openai)
    assert_anthropic_takes(anthropic)
    system = [m for m in all_openai if m["role"] == "system"]
    assert openai[: len(system)] == system
    kept, every = openai[len(system) :], all_openai[len(system) :]
    assert every[len(every) - len(kept) :] == kept  # the newest, and nothing from the middle left out
    assert anthropic.get("system") == all_anthropic.get("system")
    assert bool(anthropic["messages"]) == bool(all_anthropic["messages"])
    cost = sum(estimated_tokens(m["content"]) for m in system) + sum(estimated_tokens(to_json(m)) for m in kept)
    prompts = [m for m in kept if m["role"] == "user"]
    if cost > budget - reserve:
        assert len(prompts) <= 1  # the newest exchange alone
    if every and not kept:
        raise AssertionError("the newest exchange was left out")
    if kept != every and every[0]["role"] == "user":
        assert kept[0]["role"] == "user"  # exchanges are left out as a whole
    cost = estimated_tokens(anthropic.get("system", ""))
    cost += sum(estimated_tokens(to_json(m)) for m in anthropic["messages"])
    if anthropic["messages"] and cost > budget - reserve + 2:  # joined system texts have two more characters each
        said = [p for m in anthropic["messages"] if m["role"] == "user" for p in m["content"] if p["type"] == "text"]
        assert len(said) <= 1 or len(system) > 1
    assert s.messages() == stored  # the store loses nothing


def test_the_two_forms_are_what_their_documentation_shows(recorder: Recorder) -> None:
    s = recorder.session()
    s.system("be kind")
    s.user("hi")
    turn = s.assistant("I look", finish_reason="tool_use")
    turn.tool_call("bash", {"cmd": "ls"}, tool_call_id="c1").result("files", exit_code=0)
    turn.tool_call("bash", "broken {", tool_call_id="c2")
    s.note("never sent")
    s.error("nor this")
    s.assistant("done ")
    assert s.messages(format="openai") == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "I look",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"cmd":"ls"}'}},
                {"id": "c2", "type": "function", "function": {"name": "bash", "arguments": "broken {"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "files"},
        {"role": "tool", "tool_call_id": "c2", "content": NO_RESULT},
        {"role": "assistant", "content": "done "},
    ]
    assert s.messages(format="anthropic") == {
        "system": "be kind",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I look"},
                    {"type": "tool_use", "id": "c1", "name": "bash", "input": {"cmd": "ls"}},
                    {"type": "tool_use", "id": "c2", "name": "bash", "input": {"arguments": "broken {"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "files", "is_error": False},
                    {"type": "tool_result", "tool_use_id": "c2", "content": NO_RESULT, "is_error": True},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "done"}]},
        ],
    }


def test_a_conversation_that_begins_with_an_answer_gets_a_prompt_for_anthropic(recorder: Recorder) -> None:
    s = recorder.session()
    s.assistant("hello")
    first = s.messages(format="anthropic")["messages"][0]
    assert first == {"role": "user", "content": [{"type": "text", "text": NO_PROMPT}]}


def test_the_oldest_exchanges_go_first_and_the_callers_count_is_used(recorder: Recorder) -> None:
    s = recorder.session()
    s.system("rules")
    for number in range(5):
        s.user(f"prompt {number}")
        s.assistant(f"answer {number}")

    def sent(**budget: Any) -> list[str]:
        found = s.messages(format="openai", count=lambda _: 1, **budget)
        assert found[0]["content"] == "rules"
        return [m["content"] for m in found[1:]]

    assert sent(max_tokens=5) == ["prompt 3", "answer 3", "prompt 4", "answer 4"]
    assert sent(max_tokens=6) == sent(max_tokens=5)
    assert sent(max_tokens=6, reserve_tokens=2) == ["prompt 4", "answer 4"]
    assert sent(max_tokens=0) == ["prompt 4", "answer 4"]
    assert len(sent(max_tokens=11)) == len(sent()) == 10


@pytest.mark.parametrize(
    "wrong",
    [{"format": "gemini"}, {"max_tokens": -1}, {"max_tokens": 1.5}, {"reserve_tokens": -1}, {"max_tokens": True}],
)
def test_a_format_or_budget_that_makes_no_sense_is_refused(recorder: Recorder, wrong: dict[str, Any]) -> None:
    s = recorder.session()
    s.user("a")
    with pytest.raises(RecordingError):
        s.messages(**({"format": "openai"} | wrong))
