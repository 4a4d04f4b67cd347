"""What the frames promise: names, order and dtypes of columns, keys, joins, counts and sums, NULL and order of rows."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sessionlab
from sessionlab import Message, ModelConfig, Recorder, Session, ToolCall, Usage
from sessionlab.lab.frames import FRAMES, empty, markdown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessionlab import Lab

SAMPLE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sample_data", "history.db")

# Written down here a second time on purpose: these are the names that users rely on.
COLUMNS = {
    "sessions": """source session_id name native_id conversation_id agent_name directory git_root parent_session_id
        started_at updated_at ended_at archived_at duration_s message_count turn_count tool_call_count tool_error_count
        models input_tokens output_tokens cache_read_input_tokens cache_creation_input_tokens reasoning_output_tokens
        cost_usd reported_cost_usd cost_status first_prompt metadata origin""",
    "turns": """source session_id turn_id turn_index exchange_index invocation_id started_at duration_s provider_name
        request_model response_model model_config_id model_config_status is_sidechain prompt response reasoning
        tool_call_count finish_reason finish_reason_raw error_type error_message input_tokens output_tokens
        cache_read_input_tokens cache_creation_input_tokens reasoning_output_tokens usage_quality cost_usd
        reported_cost_usd cost_status""",
    "messages": """source session_id message_id message_index parent_message_id turn_id invocation_id role kind content
        reasoning created_at is_preamble is_sidechain""",
    "tool_calls": """source session_id tool_call_id turn_id tool_call_index tool_name arguments result status is_error
        exit_code started_at duration_s""",
    "token_usage": """source session_id turn_id started_at provider_name model token_type tokens cost_usd cost_status
        usage_quality scope""",
    "model_configs": """source model_config_id provider_name api_base request_model temperature top_p max_tokens
        context_max_tokens assistant_minimum_context_tokens stop_sequences reasoning_effort system_instructions_hash
        extra first_used_at last_used_at session_count turn_count""",
}
TIMES = {
    "sessions": "started_at",
    "turns": "started_at",
    "messages": "created_at",
    "tool_calls": "started_at",
    "token_usage": "started_at",
    "model_configs": "first_used_at",
}
KEYS = {
    "sessions": ["source", "session_id"],
    "turns": ["source", "session_id", "turn_id"],
    "messages": ["source", "session_id", "message_id"],
    "tool_calls": ["source", "session_id", "tool_call_index"],
    "token_usage": ["source", "session_id", "turn_id", "token_type"],
    "model_configs": ["source", "model_config_id"],
}
# What is there in every row, however little was reported.
NEVER_NULL = {
    "sessions": """source session_id native_id started_at updated_at duration_s message_count turn_count tool_call_count
        tool_error_count metadata origin""",
    "turns": """source session_id turn_id turn_index invocation_id started_at model_config_status is_sidechain
        tool_call_count usage_quality cost_status""",
    "messages": """source session_id message_id message_index invocation_id role kind created_at is_preamble
        is_sidechain""",
    "tool_calls": "source session_id tool_call_id tool_call_index tool_name status started_at",
    "token_usage": "source session_id turn_id started_at token_type tokens cost_status usage_quality scope",
    "model_configs": "source model_config_id session_count turn_count",
}
WHOLE = {"exit_code", "turn_index", "exchange_index", "message_index", "tool_call_index", "tokens", "max_tokens"}
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
names = pytest.mark.parametrize("name", list(COLUMNS))


def dtype_of(column: str) -> str:
    """Return the dtype that a column has by its name."""
    if column.endswith("_at"):
        return "datetime64[us, UTC]"
    if column.startswith("is_"):
        return "boolean"
    if column.endswith(("_s", "_usd")) or column in ("temperature", "top_p"):
        return "float64"
    if column.endswith(("_tokens", "_count")) or column in WHOLE:
        return "Int64"
    return "object" if column in ("models", "stop_sequences") else "str"


def record_all(recorder: Recorder) -> None:
    """Record one of everything."""
    config = ModelConfig(provider_name="anthropic", request_model="claude-sonnet-4-5", stop_sequences=["END"])
    with recorder.session("all", agent="coder", directory=".", config=config, metadata={"a": 1}) as s:
        s.system("Be brief.")
        first = s.user("Why does CI fail?")
        turn = s.assistant(
            "Let me see.", reasoning="Hm.", usage=Usage(input_tokens=100, output_tokens=20), duration_s=2
        )
        turn.tool_call("bash", {"cmd": "pytest"}).result("1 failed", exit_code=1)
        s.error("overloaded", error_type="Overloaded")
        s.note("a remark")
        branch = s.fork(first)
        branch.tool_call("read", "a.py").result("…")
        branch.assistant(
            "Done.",
            response_model="unknown-model",
            usage=Usage(
                input_tokens=100,
                output_tokens=20,
                cache_read_input_tokens=30,
                cache_creation_input_tokens=20,
                reasoning_output_tokens=5,
            ),
            reported_cost_usd=0.25,
        )
        branch.tool_call("never", None)


def bare_session() -> Session:
    """Return a session of which nothing is known that need not be known."""
    return Session(
        session_id="bare",
        messages=[Message(message_id="a", role="assistant", is_turn=True, config=ModelConfig())],
        tool_calls=[ToolCall(tool_call_id="c", tool_name="t")],
    )


# Copied, since one of them is in WAL mode, and a reader that is killed would leave the index of a WAL beside it.
OTHERS = {"awful_aj": "awful_aj", "atuin_ai": "atuin_ai", "appam": "appam", "together": ""}


@pytest.fixture(scope="module", params=["none", "bare", "all", "sample", *OTHERS])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab of a store with no rows, one with every field NULL, one with one of everything, and of the samples."""
    path = SAMPLE
    if request.param in OTHERS:
        path = str(tmp_path_factory.mktemp("samples") / "samples")
        shutil.copytree(os.path.join(os.path.dirname(SAMPLE), OTHERS[request.param]), path)
    elif request.param != "sample":
        path = str(tmp_path_factory.mktemp("store") / "history.db")
        with Recorder(path) as recorder:
            if request.param == "bare":
                recorder.history.save(bare_session())
            elif request.param == "all":
                record_all(recorder)
    with sessionlab.open(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def sample() -> Iterator[Lab]:
    with sessionlab.open(SAMPLE) as opened:
        yield opened


def check_frames(lab: Lab) -> None:
    """Check what holds in every lab: keys, joins, indexes, tokens, counts and sums."""
    with lab.snapshot():
        f = {name: lab.frame(name) for name in COLUMNS}
    for name, frame in f.items():
        assert list(frame.columns) == COLUMNS[name].split()
        assert {c: str(t) for c, t in frame.dtypes.items()} == {c: dtype_of(str(c)) for c in frame.columns}
        assert not frame.duplicated(KEYS[name]).any(), name
    sessions, turns, messages, calls, usage, configs = f.values()
    check_joins(sessions, turns, messages, calls, usage, configs)
    for frame, column in ((turns, "turn_index"), (messages, "message_index"), (calls, "tool_call_index")):
        places = frame.groupby(["source", "session_id"], sort=False)[column]
        assert (places.cumcount().to_numpy() == frame[column].to_numpy(dtype="int64")).all(), column
    exchanges = turns.dropna(subset="exchange_index").groupby(["source", "session_id"])["exchange_index"]
    prompts = messages[is_prompt(messages)].groupby(["source", "session_id"]).size().to_dict()
    assert all(values.max() < prompts[key] for key, values in exchanges)
    check_tokens(turns, usage)
    check_counts(sessions, turns, messages, calls, usage, configs)
    check_totals(sessions, turns, usage)


def is_prompt(messages: pd.DataFrame) -> pd.Series[bool]:
    preamble = messages.is_preamble.fillna(False).astype(bool)
    return (messages.role == "user") & (messages.kind == "message") & ~preamble


def check_joins(*frames: pd.DataFrame) -> None:
    sessions, turns, messages, calls, usage, configs = frames
    session_key = ["source", "session_id"]
    turn_key = [*session_key, "turn_id"]
    known_sessions = set(zip(*(sessions[c] for c in session_key), strict=True))
    known_turns = set(zip(*(turns[c] for c in turn_key), strict=True))
    known_messages = set(zip(*(messages[c] for c in (*session_key, "message_id")), strict=True))
    for frame in (turns, messages, calls, usage):
        assert set(zip(*(frame[c] for c in session_key), strict=True)) <= known_sessions
        of_turn = frame.dropna(subset="turn_id")
        assert set(zip(*(of_turn[c] for c in turn_key), strict=True)) <= known_turns
    assert known_turns <= known_messages  # a turn has the id of its message
    parents = messages.dropna(subset="parent_message_id")
    assert set(zip(*(parents[c] for c in (*session_key, "parent_message_id")), strict=True)) <= known_messages
    own = messages.merge(turns[[*turn_key, "response"]], left_on=[*session_key, "message_id"], right_on=turn_key)
    assert (own["turn_id_x"] == own["message_id"]).all()
    assert len(own) == len(turns)
    config_key = ["source", "model_config_id"]
    known_configs = set(zip(*(configs[c] for c in config_key), strict=True))
    linked = turns.dropna(subset="model_config_id")
    assert set(zip(*(linked[c] for c in config_key), strict=True)) <= known_configs
    per_turn = calls.dropna(subset="turn_id").groupby(turn_key).size()
    counted = turns.set_index(turn_key)["tool_call_count"].to_dict()
    assert sum(counted.values()) == per_turn.sum()
    assert all(counted[key] == count for key, count in per_turn.items())
    results = messages[(messages.role == "tool") & (messages.kind == "message")].groupby("source").size().to_dict()
    is_answered = ~calls.status.isin(["unanswered", "suggested"])
    answered = calls[is_answered].groupby("source").size().to_dict()
    assert answered.get("sessionlab", 0) == results.get("sessionlab", 0)
    # Other tools also keep results without a call, several of one call, and of some calls only that they went well.
    with_result = calls[is_answered & calls.result.notna()].groupby("source").size().to_dict()
    assert all(count <= results[source] for source, count in with_result.items())
    assert calls.is_error.isna().equals(~is_answered)


def check_tokens(turns: pd.DataFrame, usage: pd.DataFrame) -> None:
    keys = ["source", "session_id", "turn_id"]
    assert (usage.turn_id.isna() == (usage["scope"] == "session")).all()
    assert (usage.groupby(keys[:2])["scope"].nunique() == 1).all()
    assert (usage.tokens >= 0).all()
    usage = usage[usage["scope"] == "turn"]
    wide = usage.pivot_table(index=keys, columns="token_type", values="tokens", aggfunc="sum", dropna=False)
    wide = wide.reindex(columns=["uncached_input", "cache_read", "cache_creation", "output", "reasoning"])
    wide = wide.reindex(pd.MultiIndex.from_frame(turns[keys])).fillna(0).astype("int64")
    known_input, known_output = turns.input_tokens.notna().to_numpy(), turns.output_tokens.notna().to_numpy()
    summed = wide[["uncached_input", "cache_read", "cache_creation"]].sum(axis=1).to_numpy()
    assert (summed[known_input] == turns.input_tokens.dropna().to_numpy(dtype="int64")).all()
    summed = wide[["output", "reasoning"]].sum(axis=1).to_numpy()
    assert (summed[known_output] == turns.output_tokens.dropna().to_numpy(dtype="int64")).all()
    costs = usage.groupby(keys)["cost_usd"].sum(min_count=1).reindex(pd.MultiIndex.from_frame(turns[keys])).to_numpy()
    computed = (turns.cost_status == "computed").to_numpy()
    np.testing.assert_allclose(costs[computed], turns.cost_usd[computed], rtol=1e-9, atol=1e-15)
    assert np.isnan(costs[~computed]).all()


def check_counts(*frames: pd.DataFrame) -> None:
    sessions, turns, messages, calls, usage, configs = frames
    keys = ["source", "session_id"]
    index = pd.MultiIndex.from_frame(sessions[keys])
    for column, frame in (
        ("message_count", messages),
        ("turn_count", turns),
        ("tool_call_count", calls),
        ("tool_error_count", calls[calls.is_error.fillna(False).astype(bool)]),
    ):
        counted = frame.groupby(keys).size().reindex(index, fill_value=0)
        assert counted.tolist() == sessions[column].tolist(), column
    named = turns.assign(model=turns.response_model.fillna(turns.request_model))
    named = pd.concat([named, usage[usage["scope"] == "session"]]).dropna(subset="model")
    models = {key: sorted(set(values)) for key, values in named.groupby(keys)["model"]}
    assert [models.get(key) for key in index] == sessions["models"].tolist()
    firsts = messages[is_prompt(messages)].groupby(keys).first()["content"]
    assert firsts.reindex(index).fillna("-").tolist() == sessions.first_prompt.fillna("-").tolist()
    used = turns.dropna(subset="model_config_id").groupby(["source", "model_config_id"])
    known = pd.MultiIndex.from_frame(configs[["source", "model_config_id"]])
    assert used.size().reindex(known, fill_value=0).tolist() == configs.turn_count.tolist()
    of_sessions = used["session_id"].nunique().reindex(known, fill_value=0)
    # A tool may say that a session used a configuration, and not for which answers.
    is_own = (configs.source == "sessionlab").to_numpy()
    assert of_sessions[is_own].tolist() == configs.session_count[is_own].tolist()
    assert (of_sessions.to_numpy() <= configs.session_count.to_numpy()).all()
    for column, times in (("first_used_at", used["started_at"].min()), ("last_used_at", used["started_at"].max())):
        assert times.reindex(known).fillna(AT).tolist() == configs[column].fillna(AT).tolist()


def check_totals(sessions: pd.DataFrame, turns: pd.DataFrame, usage: pd.DataFrame) -> None:
    """Check that a session has what its turns used, or else what its tool keeps of it as a whole."""
    keys = ["source", "session_id"]
    as_a_whole = pd.MultiIndex.from_frame(usage.loc[usage["scope"] == "session", keys])
    sums = sessions[~pd.MultiIndex.from_frame(sessions[keys]).isin(as_a_whole)]
    index = pd.MultiIndex.from_frame(sums[keys])
    for column in (c for c in sessions.columns if c.endswith("_tokens")):
        summed = turns.groupby(keys)[column].sum(min_count=1).reindex(index)
        assert summed.isna().tolist() == sums[column].isna().tolist(), column
        assert summed.dropna().tolist() == sums[column].dropna().tolist(), column
    for column in ("cost_usd", "reported_cost_usd"):
        summed = turns.groupby(keys)[column].sum(min_count=1).reindex(index)
        np.testing.assert_allclose(summed.to_numpy(), sums[column].to_numpy(), rtol=1e-9)
    tokens = usage[usage["scope"] == "session"].groupby(keys)["tokens"].sum()
    whole = sessions.set_index(keys).reindex(tokens.index)
    assert (whole.input_tokens + whole.output_tokens).tolist() == tokens.tolist()


@names
def test_columns_dtypes_and_keys_are_the_promised_ones_whatever_the_rows(lab: Lab, name: str) -> None:
    frame = lab.frame(name)
    assert list(frame.columns) == COLUMNS[name].split()
    assert {c: str(t) for c, t in frame.dtypes.items()} == {c: dtype_of(str(c)) for c in frame.columns}
    text = [c for c in frame.columns if dtype_of(str(c)) == "str"]
    assert all(frame[c].dtype == pd.StringDtype("pyarrow", na_value=float("nan")) for c in text)
    assert not frame.duplicated(KEYS[name]).any()


@names
def test_any_choice_of_columns_gives_the_same_columns_as_the_whole_frame(lab: Lab, name: str) -> None:
    whole, listed = lab.frame(name), COLUMNS[name].split()
    for chosen in ([listed[-1]], listed[::-1], listed[1::3], *[[c] for c in listed]):
        part = lab.frame(name, columns=chosen)
        assert list(part.columns) == chosen
        pd.testing.assert_frame_equal(part, whole[chosen])


def test_a_column_that_was_null_throughout_is_read_again_when_rows_have_come(path: str, recorder: Recorder) -> None:
    s = recorder.session("one")
    s.user("q")
    s.assistant("a")
    with sessionlab.open(path) as lab:
        before = {name: [lab.frame(name, to="arrow") for _ in range(2)] for name in COLUMNS}
        for first, again in before.values():
            again.validate(full=True)
            assert again.equals(first)
        assert before["turns"][1]["finish_reason"].null_count == 1
        s.assistant("b", finish_reason="length", usage=Usage(input_tokens=1, output_tokens=2))
        assert lab.frame("turns", to="arrow")["finish_reason"].to_pylist() == [None, "length"]
        assert lab.frame("turns", turn_index=1)["output_tokens"].tolist() == [2]
        assert lab.frame("sessions")["output_tokens"].tolist() == [2]


@names
def test_polars_and_arrow_have_the_same_rows_and_types(lab: Lab, name: str) -> None:
    table = lab.frame(name, to="arrow")
    assert isinstance(table, pa.Table)
    assert table.schema.equals(empty_schema(name))
    assert len(table) == len(lab.frame(name))
    polars = lab.frame(name, to="polars")
    assert polars.columns == table.column_names
    assert polars.to_arrow().to_pylist() == table.to_pylist()


def empty_schema(name: str) -> pa.Schema:
    kinds = {
        "datetime64[us, UTC]": pa.timestamp("us", tz="UTC"),
        "boolean": pa.bool_(),
        "float64": pa.float64(),
        "Int64": pa.int64(),
        "object": pa.list_(pa.large_string()),
        "str": pa.large_string(),
    }
    return pa.schema([(column, kinds[dtype_of(column)]) for column in COLUMNS[name].split()])


def test_keys_joins_indexes_tokens_counts_and_sums_fit_together(lab: Lab) -> None:
    check_frames(lab)


@names
def test_the_registry_says_what_is_written_down_here(name: str) -> None:
    assert list(FRAMES) == list(COLUMNS)
    assert list(FRAMES[name].column_names) == COLUMNS[name].split()
    assert FRAMES[name].time == TIMES[name]
    assert list(FRAMES[name].key) == KEYS[name]
    assert {c: str(t) for c, t in empty(name).dtypes.items()} == {c: dtype_of(c) for c in COLUMNS[name].split()}
    assert f"`{TIMES[name]}`†" in markdown()


def test_what_was_not_reported_is_null_and_never_zero(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "history.db")
    with Recorder(path) as recorder:
        recorder.history.save(bare_session())
    with sessionlab.open(path) as lab:
        for name, listed in COLUMNS.items():
            frame = lab.frame(name)
            assert len(frame) == (0 if name == "token_usage" else 1)
            present = [c for c in listed.split() if frame[c].notna().any()]
            expected = set(NEVER_NULL[name].split()) if len(frame) else set()
            # What follows from there being a turn: its configuration, when that was used, and that nothing has a price.
            known = {
                "sessions": {"cost_status"},
                "turns": {"model_config_id"},
                "messages": {"turn_id"},
                "model_configs": {"first_used_at", "last_used_at"},
            }
            assert set(present) == expected | known.get(name, set()), name


def test_zero_is_zero_and_not_null(path: str, recorder: Recorder) -> None:
    s = recorder.session("zero")
    turn = s.assistant("", usage=Usage(input_tokens=0, output_tokens=0), duration_s=0)
    turn.tool_call("t", "").result("", exit_code=0, duration_s=0)
    with sessionlab.open(path) as lab:
        row = lab.frame("turns").iloc[0]
        assert (row.input_tokens, row.output_tokens, row.duration_s, row.response) == (0, 0, 0.0, "")
        assert row.cache_read_input_tokens is pd.NA
        call = lab.frame("tool_calls").iloc[0]
        assert (call.arguments, call.result, call.exit_code, call.duration_s) == ("", "", 0, 0.0)
        assert lab.frame("token_usage").tokens.tolist() == [0, 0]


@names
def test_rows_come_in_recording_order_with_any_columns_filter_or_limit(sample: Lab, name: str) -> None:
    whole = sample.frame(name)
    key = KEYS[name]
    order = {values: place for place, values in enumerate(whole[key].itertuples(index=False, name=None))}
    for options in (
        {"columns": key},
        {"source": "sessionlab"},
        {"limit": 7},
        {"limit": 3, "columns": key},
        {"model": ["claude-sonnet-4-5", "gpt-5", "gemini-3.5-flash"]},
    ):
        places = [order[values] for values in sample.frame(name, **options)[key].itertuples(index=False, name=None)]
        assert places == sorted(places), options


def test_several_histories_come_in_the_order_given(tmp_path: os.PathLike[str]) -> None:
    paths = [os.path.join(tmp_path, name) for name in ("b.db", "a.db", "c.db")]
    for number, path in enumerate(paths):
        with Recorder(path) as recorder:
            for place in range(3):
                s = recorder.session(f"{number}.{place}")
                s.user("q")
                s.assistant(str(place), usage=Usage(input_tokens=1, output_tokens=1)).tool_call("t")
    for order in ([0, 1, 2], [2, 0, 1]):
        with sessionlab.open(*[paths[n] for n in order]) as lab:
            sessions = lab.frame("sessions")
            assert sessions.name.tolist() == [f"{n}.{place}" for n in order for place in range(3)]
            assert sessions.origin.tolist() == [paths[n] for n in order for _ in range(3)]
            check_frames(lab)
            for name in ("turns", "messages", "tool_calls", "token_usage"):
                ids = list(dict.fromkeys(lab.frame(name).session_id))
                assert ids == sessions.session_id.tolist()
    with sessionlab.open(str(tmp_path)) as lab:
        assert lab.sources == [("sessionlab", path) for path in sorted(paths)]


def test_the_newest_configurations_of_several_histories_are_those_of_the_whole_frame(
    tmp_path: os.PathLike[str],
) -> None:
    paths = [os.path.join(tmp_path, name) for name in ("a.db", "b.db")]
    shared, only = (ModelConfig(provider_name="openai", request_model=name) for name in ("shared", "only"))
    for path, configs in zip(paths, [[shared], [only, shared]], strict=True):
        with Recorder(path) as recorder:
            for config in configs:
                s = recorder.session(config.request_model, config=config)
                s.user("q")
                s.assistant("a")
    with sessionlab.open(*paths) as lab:
        whole = lab.frame("model_configs")
        assert whole.set_index("request_model").turn_count.to_dict() == {"shared": 2, "only": 1}
        for limit in (1, 2, 3):
            expected = whole.nlargest(limit, "first_used_at").sort_index().reset_index(drop=True)
            pd.testing.assert_frame_equal(lab.frame("model_configs", limit=limit), expected)


def test_one_file_named_twice_or_by_another_name_counts_once(tmp_path: os.PathLike[str], path: str) -> None:
    with Recorder(path) as recorder:
        record_all(recorder)
    link = os.path.join(tmp_path, "link.db")
    os.symlink(path, link)
    with sessionlab.open(path, link, str(tmp_path), path) as lab:
        assert len(lab.frame("sessions")) == 1
        assert len(lab.sources) == 1
