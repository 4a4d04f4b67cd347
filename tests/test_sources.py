"""A source is one module of sessionlab/sources: found by itself, and recognised by its tables and columns."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pytest

import sessionlab
from sessionlab import Recorder
from sessionlab.lab.incoming import INCOMING, PROBLEM, STATE, TEXTS
from sessionlab.lab.selecting import fetch_given, no_rows
from sessionlab.sources import KeyedSource, Source, TreeSource, WholeSource, all_sources, sections, source_names

if TYPE_CHECKING:
    from pathlib import Path


# What a tool may have nothing of, or keep as it is.
MAY_LACK = {
    "message_text",
    "tool_call_text",
    "invocation",
    "model_config",
    "session_config",
    "session_usage",
    "tool_call",
    "tool_result",
}


def test_every_module_with_a_source_is_found_under_its_name() -> None:
    assert {"sessionlab", "claude_code"} <= set(source_names())
    assert all(isinstance(source, Source) for source in all_sources())


@pytest.mark.parametrize("source", all_sources(), ids=lambda source: source.name)
def test_a_file_is_recognised_by_its_tables_and_columns_and_not_by_some_of_them(source: Source) -> None:
    for fingerprint in source.fingerprints:
        tables = {table: columns | {"more"} for table, columns in fingerprint.items()}
        assert source.recognises({**tables, "another": frozenset()})
        for table, columns in tables.items():
            assert not source.recognises({name: value for name, value in tables.items() if name != table})
            lacking = columns - {next(iter(fingerprint[table]))}
            assert not source.recognises({**tables, table: lacking})


def test_our_store_is_looked_for_where_the_settings_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SESSIONLAB_DB", str(tmp_path / "mine.db"))
    with Recorder(enabled=True) as recorder:
        recorder.session("found").user("q")
    with sessionlab.open() as lab:
        assert lab.sources == [("sessionlab", str(tmp_path / "mine.db"))]
        assert lab.frame("sessions").name.tolist() == ["found"]
    assert sessionlab.frame("messages").content.tolist() == ["q"]


NEVER_NULL = {
    "session": {"session_key", "session_id"},
    "message": {"message_key", "session_key", "message_index", "role", "kind", "is_sidechain"},
    "turn": {"turn_key", "session_key", "turn_index", "model_config_status", "is_sidechain", "usage_quality"},
    "tool_call": {"tool_call_key", "session_key", "tool_call_index", "tool_name"},
    "tool_result": {"tool_result_key", "tool_call_key", "status", "is_error"},
    "session_usage": {"session_usage_key", "session_key", "usage_quality"},
}


@pytest.mark.parametrize("source", all_sources(), ids=lambda source: source.name)
def test_a_source_hands_out_the_columns_that_no_row_can_lack(source: Source) -> None:
    texts = {f"{kind}_text": columns for kind, columns in TEXTS.items()}
    problem = {"problem": PROBLEM} if isinstance(source, WholeSource) else {}
    for name, columns in {**INCOMING, **texts, **problem}.items():
        text = _statement(source, name)
        if text is None:
            assert name in MAY_LACK, name
            continue
        listed = re.split(r"\nfrom ", text)[0]
        for column in NEVER_NULL.get(name, {column for column, _ in columns[:1]}):
            assert re.search(rf"\b{column}\b", listed), (name, column)


def test_what_a_select_leaves_out_is_null_and_what_it_gives_too_much_is_refused() -> None:
    columns = [("key", "bigint"), ("name", "varchar"), ("share", "double")]
    with duckdb.connect(config={"arrow_large_buffer_size": True}) as connection:
        for text in ("select 'a' as name, '7' as key", "select 8 as key where false"):
            rows = fetch_given(connection, text, f"({text})", columns)
            assert rows.schema.equals(no_rows(columns).schema)
            assert rows.to_pylist() == ([{"key": 7, "name": "a", "share": None}] if "7" in text else [])
        with pytest.raises(pa.ArrowInvalid, match=r"\['nmae'\]"):
            fetch_given(connection, "select 1 as key, 'a' as nmae", "(select 1 as key, 'a' as nmae)", columns)
        with pytest.raises(pa.ArrowInvalid, match="'key' is not among"):
            fetch_given(connection, "select 'a' as name", "(select 'a' as name)", columns)


def _statement(source: Source, name: str) -> str | None:
    if isinstance(source, TreeSource):
        return source.statements.get(name)
    if isinstance(source, WholeSource):
        if name.endswith("_text") and name.removesuffix("_text") in source.plain_texts:
            return None
        return source.statements.get(name)
    assert isinstance(source, KeyedSource)
    assert all(column in source.state for column, _ in STATE)
    return source.texts[name.removesuffix("_text")] if name.endswith("_text") else source.facts.get(name)


def test_statements_of_a_file_are_told_apart_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_text("-- about\n\n-- name: one\nselect 1;\n\n-- name: two\n-- why\nselect 2\n")
    found = sections(os.path.join(tmp_path, "x.py"))
    assert found == {"one": "select 1", "two": "-- why\nselect 2"}
