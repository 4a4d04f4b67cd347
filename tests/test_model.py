"""The values: configurations by content and without secrets, usage that can be, JSON for anything."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlab import ModelConfig, Recorder, RecordingError, SessionLabWarning, Usage
from sessionlab.model import normal_finish_reason, storable, to_json

SECRETS = [
    "sk-ant-REDACTED",
    "sk-proj-0123456789abcdef",
    "ghp_0123456789abcdef0123456789",
    "AKIA0123456789ABCDEF",
    "AIzaSyA0123456789abcdefghijklmnop",
    "Bearer abcdefghijkl",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize(
    "extra",
    [
        *({"innocent": secret} for secret in SECRETS),
        {"headers": {"Authorization": "hunter2-hunter2"}},
        {"headers": [{"x-api-key": "hunter2-hunter2"}]},
        {"apiKey": "hunter2-hunter2"},
        {"api_key": ["hunter2-hunter2"]},
        {"OPENAI_API_KEY": "hunter2-hunter2"},
        {"client": {"secret": "hunter2-hunter2", "password": "hunter2-hunter2"}},
        {"access-token": "hunter2-hunter2"},
        {"blob": b"hunter2-hunter2"},
    ],
)
def test_a_secret_in_extra_is_never_stored_nor_shown(path: str, extra: dict[str, Any]) -> None:
    with pytest.warns(SessionLabWarning, match="secret") as caught:
        config = ModelConfig(extra=extra)
    assert caught[0].filename == __file__
    with Recorder(path) as recorder:
        recorder.session(config=config).assistant("a")
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # reading it back warns of nothing
            recorder.history.get(recorder.history.list()[0].session_id)
    with open(path, "rb") as file:
        stored = file.read()
    for secret in ["hunter2-hunter2", *SECRETS]:
        assert secret.encode() not in stored
        assert secret not in repr(config)
    assert "[removed]" in repr(config)


def test_names_that_only_look_like_secrets_are_left_alone() -> None:
    extra = {
        "max_tokens": 5,
        "tokens": "many",
        "tokenizer": "cl100k",
        "max_completion_tokens": "100",
        "keyboard": "qwerty",
        "author": "me",
        "token_limit": 5,
        "stop": ["skip-this"],
        "monkey": "x",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ModelConfig(extra=extra).extra == extra


@pytest.mark.parametrize(
    ("given_", "stored"),
    [
        ("https://user:hunter2@example.org/v1", "https://example.org/v1"),
        ("user:hunter2@example.org/v1", "example.org/v1"),
        (
            "https://example.org/v1?api_key=hunter2&api-version=2",
            "https://example.org/v1?api_key=[removed]&api-version=2",
        ),
        ("https://example.org/sk-0123456789abcdef/v1", "https://example.org/[removed]/v1"),
        ("https://example.org/v1#token=hunter2", "https://example.org/v1"),
        ("http://localhost:11434/v1", "http://localhost:11434/v1"),
        ("localhost:11434/v1", "localhost:11434/v1"),
        ("https://[broken", "[removed]"),
        ("https://a:b@c:hunter2@example.org", "https://example.org"),
    ],
)
def test_an_address_loses_its_login_and_secrets(given_: str, stored: str) -> None:
    assert ModelConfig(api_base=given_).api_base == stored


def test_equal_contents_are_one_configuration() -> None:
    a = ModelConfig(request_model="m", temperature=1, stop_sequences=["x"], extra={"b": 1, "a": (2,)})
    b = ModelConfig(extra={"a": [2], "b": 1}, stop_sequences=("x",), temperature=1.0, request_model="m")
    assert a == b
    assert hash(a) == hash(b)
    assert a.model_config_id == b.model_config_id
    assert len(a.model_config_id) == 32
    assert len({a, b}) == 1
    others = [ModelConfig(), ModelConfig(top_p=1), ModelConfig(temperature=1), ModelConfig(system_instructions="x")]
    assert len({c.model_config_id for c in others}) == 4


def test_the_system_prompt_is_known_by_its_hash_and_not_shown() -> None:
    config = ModelConfig(system_instructions="private words")
    assert config.system_instructions_hash is not None
    assert len(config.system_instructions_hash) == 64
    assert "private" not in repr(config)
    assert ModelConfig().system_instructions_hash is None
    assert ModelConfig(system_instructions="\ud800").model_config_id


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": float("nan")},
        {"top_p": float("inf")},
        {"temperature": "hot"},
        {"temperature": True},
        {"max_tokens": 1.5},
        {"max_tokens": 2**63},
        {"context_max_tokens": "8k"},
    ],
)
def test_a_configuration_that_cannot_be_stored_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecordingError):
        ModelConfig(**wrong)


def test_usage_says_what_does_not_add_up() -> None:
    Usage(input_tokens=3, cache_read_input_tokens=1, cache_creation_input_tokens=2).check()
    Usage(cache_read_input_tokens=5).check()
    with pytest.raises(RecordingError, match="add the cache counts"):
        Usage(input_tokens=3, cache_read_input_tokens=2, cache_creation_input_tokens=2).check()


def test_finish_reasons_get_the_fields_word() -> None:
    assert [normal_finish_reason(word) for word in ("stop", "END_TURN", "max_tokens", "tool_calls", "odd", None)] == [
        "stop", "stop", "length", "tool_call", None, None,
    ]  # fmt: skip


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.sampled_from(["\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner, max_size=3)
        | st.frozensets(st.integers() | st.text(), max_size=3)
    ),
    max_leaves=10,
)


@given(value=json_values)
def test_json_text_of_anything_is_json_that_utf8_can_hold(value: Any) -> None:
    text = to_json(value)
    text.encode()

    def refuse(word: str) -> None:
        raise AssertionError(word)

    json.loads(text, parse_constant=refuse)
    assert "\\ud8" not in text.replace("\\\\", "")


@given(text=st.text(st.characters()) | st.text(st.characters(categories=["Cs"])))
def test_a_stored_text_is_the_text_unless_it_has_lone_surrogates(text: str) -> None:
    stored = storable(text)
    stored.encode()
    assert storable(stored) == stored
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert stored == text
