"""Settings that change inside sessions, and the difference of two configurations."""

from __future__ import annotations

import pandas as pd
import pytest
from mining_frames import frame, rows_of

import sessionlab
from sessionlab import mining


@pytest.fixture
def configs() -> pd.DataFrame:
    return frame(
        "model_configs",
        {"model_config_id": "aa1", "request_model": "m", "temperature": 0.2, "max_tokens": 8192, "turn_count": 5},
        {"model_config_id": "bb2", "request_model": "m", "temperature": 1.0, "extra": '{"seed": 7, "tier": "x"}'},
        {"model_config_id": "cc3", "request_model": "m", "temperature": 1.0, "extra": '{"tier": "x", "seed": 8}'},
        {"model_config_id": "cc4", "request_model": "n", "stop_sequences": ["</a>", "\n"], "extra": "not JSON"},
        {"model_config_id": "ee5", "source": "codex", "request_model": "m"},
    )


def test_two_configurations_differ_in_these_settings(configs: pd.DataFrame) -> None:
    assert rows_of(mining.config_difference(configs, "aa1", "bb2")) == [
        ("temperature", "0.2", "1"),
        ("max_tokens", "8192", None),
        ("extra.seed", None, "7"),
        ("extra.tier", None, "x"),
    ]
    assert rows_of(mining.config_difference(configs, "bb2", "cc3")) == [("extra.seed", "7", "8")]
    assert rows_of(mining.config_difference(configs, "cc3", "cc4")) == [
        ("request_model", "m", "n"),
        ("temperature", "1", None),
        ("stop_sequences", None, '["</a>", "\\n"]'),
        ("extra.seed", "8", None),
        ("extra.tier", "x", None),
        ("extra", None, "not JSON"),
    ]
    assert rows_of(mining.config_difference(configs, "aa1", "aa1")) == []


def test_an_id_may_be_cut_short_where_it_stays_clear(configs: pd.DataFrame) -> None:
    assert rows_of(mining.config_difference(configs, "bb", "cc3")) == [("extra.seed", "7", "8")]
    with pytest.raises(sessionlab.FrameError, match="'cc' may mean 2 model configurations"):
        mining.config_difference(configs, "bb2", "cc")
    with pytest.raises(sessionlab.FrameError, match="no model configuration 'dd'"):
        mining.config_difference(configs, "dd", "cc3")
    with pytest.raises(sessionlab.FrameError, match="needs the column 'model_config_id'"):
        mining.config_difference(configs.drop(columns="model_config_id"), "bb", "cc3")


def test_a_change_is_seen_at_the_first_turn_with_other_settings(configs: pd.DataFrame) -> None:
    turns = frame(
        "turns",
        {"model_config_id": "bb2"},
        {"model_config_id": "bb2"},
        {"model_config_id": "aa1", "is_sidechain": True},
        {"model_config_id": None},
        {"model_config_id": "cc3", "started_at": "2026-05-01"},
        {"model_config_id": "cc3"},
        {"model_config_id": "aa1", "session_id": "t"},
    )
    assert rows_of(mining.config_changes(turns, configs)) == [
        ("sessionlab", "s", "t4", 4, "2026-05-01T00:00:00+00:00", "extra.seed", "7", "8", "bb2", "cc3")
    ]


def test_several_settings_change_at_once_and_back_again(configs: pd.DataFrame) -> None:
    turns = frame("turns", *({"model_config_id": config} for config in ("aa1", "bb2", "aa1")))
    found = mining.config_changes(turns, configs)
    assert rows_of(found, "turn_index", "setting", "before", "after") == [
        (1, "temperature", "0.2", "1"),
        (1, "max_tokens", "8192", None),
        (1, "extra.seed", None, "7"),
        (1, "extra.tier", None, "x"),
        (2, "temperature", "1", "0.2"),
        (2, "max_tokens", None, "8192"),
        (2, "extra.seed", "7", None),
        (2, "extra.tier", "x", None),
    ]


def test_a_configuration_that_is_not_there_changes_as_a_whole(configs: pd.DataFrame) -> None:
    turns = frame("turns", *({"model_config_id": config, "source": "codex"} for config in ("ee5", "bb2")))
    found = mining.config_changes(turns, configs)
    assert rows_of(found, "source", "setting", "before", "after") == [("codex", "model_config_id", "ee5", "bb2")]


def test_an_id_with_other_settings_in_another_source_is_refused(configs: pd.DataFrame) -> None:
    same, other = configs.assign(source="goose"), configs.assign(source="goose", request_model="z")
    both = pd.concat([configs, same], ignore_index=True)
    assert rows_of(mining.config_difference(both, "bb2", "cc3")) == [("extra.seed", "7", "8")]
    both = pd.concat([configs, other], ignore_index=True)
    with pytest.raises(sessionlab.FrameError, match="'bb2' has other settings in another source"):
        mining.config_difference(both, "bb2", "cc3")


def test_only_the_settings_that_are_there_are_compared(configs: pd.DataFrame) -> None:
    few = configs[["source", "model_config_id", "temperature"]]
    assert rows_of(mining.config_difference(few, "aa1", "bb2")) == [("temperature", "0.2", "1")]
    assert rows_of(mining.config_difference(few, "bb2", "cc3")) == []
