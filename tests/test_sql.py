"""lab.sql takes one SELECT over the frames: it reads them all, and nothing else; it changes nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import duckdb
import pandas as pd
import pytest
from test_frames import COLUMNS, SAMPLE, record_all

import sessionlab
from sessionlab import QueryError, Recorder, SessionLabError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sessionlab import Lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with sessionlab.open(SAMPLE) as opened:
        yield opened


def loaded(lab: Lab) -> bool:
    """Return whether message text was read."""
    assert lab._histories is not None
    return any(texts.until >= 0 for copy in lab._histories.copies for texts in copy.texts.values())


REFUSED = [
    "",
    ";",
    "-- nothing",
    "select 1; select 2",
    "select 1; drop view turns",
    "insert into turns values (1)",
    "update h0.turn set input_tokens = 0",
    "delete from h0.turn",
    "drop table h0.turn",
    "create table t as select 1",
    "create view v as select 1",
    "create macro m() as 1",
    "create or replace temp view turns as select 1",
    "alter table h0.turn add column x int",
    "truncate h0.turn",
    "copy (select 1) to '{out}'",
    "copy turns to '{out}' (format parquet)",
    "copy h0.turn from '{secret}'",
    "export database '{out}'",
    "import database '{out}'",
    "attach '{store}' as other (type sqlite)",
    "attach '{out}'",
    "detach memory",
    "use h0",
    "select * from sqlite_scan('{store}', 'message')",
    "select * from sqlite_query('x', 'select 1')",
    "install sqlite",
    "load sqlite",
    "install httpfs from 'http://localhost'",
    "load '{out}'",
    "set threads = 1",
    "set global memory_limit = '1GB'",
    "set session TimeZone = 'Europe/Berlin'",
    "reset threads",
    "set variable x = 1",
    "pragma threads = 1",
    "pragma version",
    "pragma table_info('turns')",
    "pragma enable_profiling",
    "pragma database_list",
    "call pragma_version()",
    "call enable_logging()",
    "call query('select 1')",
    "checkpoint",
    "vacuum",
    "analyze",
    "begin",
    "commit",
    "rollback",
    "explain select 1",
    "explain analyze select 1",
    "prepare p as select 1",
    "execute p",
    "deallocate p",
    "show tables",
    "show databases",
    "kill 1",
    "select * from read_csv('{secret}')",
    "select * from read_csv_auto('{secret}')",
    "select * from READ_TEXT('{secret}')",
    "select * from read_blob('{secret}')",
    "select * from read_json('{secret}')",
    "select * from read_json_auto('{secret}')",
    "select * from read_ndjson('{secret}')",
    "select * from read_parquet('{secret}')",
    "select * from parquet_scan('{secret}')",
    "select * from parquet_metadata('{secret}')",
    "select * from read_duckdb('{secret}')",
    "select * from sniff_csv('{secret}')",
    "select * from glob('/etc/*')",
    "select * from '{secret}'",
    "select * from '/etc/passwd'",
    "from '{secret}'",
    'select * from "{secret}"',
    "with x as (select * from read_text('{secret}')) select * from x",
    "select (select content from read_text('{secret}'))",
    "select * from turns where turn_id in (select content from read_text('{secret}'))",
    "select * from turns, lateral (select * from read_text('{secret}'))",
    "select * from query('select * from read_text(''{secret}'')')",
    "select * from query_table('turns')",
    "select * from pragma_version()",
    "select * from pragma_table_info('turns')",
    "select * from pragma_storage_info('h0.turn')",
    "select * from duckdb_settings()",
    "select * from duckdb_secrets()",
    "select * from duckdb_logs()",
    "select * from enable_logging()",
    "select * from disable_logging()",
    "select * from enable_profiling()",
    "select * from truncate_duckdb_logs()",
    "select * from force_checkpoint()",
    "select * from checkpoint()",
    "select * from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "select * from arrow_scan(1, 2, 3)",
    "select * from pandas_scan(1)",
    "select * from python_map_function(1)",
    "select * from seq_scan('turns')",
    "select * from which_secret('{secret}', 's3')",
    "select * from test_all_types()",
    "select write_log('x')",
    "select setseed(0.5)",
    "select nextval('s')",
    "select currval('s')",
    "select * from a_python_variable",
    "select * from h0.turn",
    "select * from memory.h0.turn",
    "select * from h0.turns",
    "select * from main.turns",
    "select * from information_schema.tables",
    "select * from duckdb_views",
    "select * from sqlite_master",
    "select * from pg_catalog.pg_class",
    "summarize '{secret}'",
    "describe '{secret}'",
    "pivot '{secret}' on x",
    "select getenv('HOME')",
    "select nothing_like_this from turns",
    "select * from turn",
    "select 1 +",
    "select error('no')",
    "select 'x'::int",
    "select sum(9223372036854775807 + turn_index) from turns",
    "select \0 from turns",
    "\ud800",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file and a store that no query may read."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "secret.csv").write_text("content\nsecret words\n")
    with Recorder(folder / "store.db") as recorder:
        record_all(recorder)
    return folder


@pytest.mark.parametrize("text", REFUSED)
def test_it_is_refused_and_nothing_changes(text: str, place: Path, lab: Lab) -> None:
    secret, out, store = place / "secret.csv", place / "out", place / "store.db"
    a_python_variable = pd.DataFrame({"content": ["secret words"]})
    before = sorted(os.listdir(place)), secret.read_bytes(), store.read_bytes()
    setting = "select current_setting('threads'), current_setting('TimeZone'), current_setting('memory_limit')"
    settings = lab.sql(setting).pandas().values.tolist()
    with pytest.raises(SessionLabError) as caught:
        lab.sql(text.format(secret=secret, out=out, store=store) if "{" in text else text)
    assert "secret words" not in str(caught.value)
    assert (sorted(os.listdir(place)), secret.read_bytes(), store.read_bytes()) == before
    assert len(a_python_variable) == 1
    # The lab works on, in each of its parts, with the settings it had.
    assert lab.sql("select count(*) as n from turns").pandas()["n"].tolist() == [207]
    assert lab.sql("select count(content) as n from messages").pandas()["n"].iloc[0] == 373
    assert len(lab.frame("tool_calls")) == 132
    assert lab.sql(setting).pandas().values.tolist() == settings


def test_values_are_bound_and_not_part_of_the_text(lab: Lab) -> None:
    model = lab.frame("turns")["response_model"].dropna().iloc[0]
    expected = len(lab.frame("turns", response_model=model))
    for text, params in (
        ("select count(*) as n from turns where response_model = ?", [model]),
        ("select count(*) as n from turns where response_model = $model", {"model": model}),
        ("select count(*) as n from turns where response_model in ($1, $2)", (model, "' or 1 = 1 --")),
    ):
        assert lab.sql(text, params).pandas()["n"].tolist() == [expected]
    for wrong in ([], [1, 2], {"other": 1}, [object()]):
        with pytest.raises(QueryError):
            lab.sql("select count(*) as n from turns where response_model = ?", wrong)
    with pytest.raises(QueryError, match="expected the text"):
        lab.sql(5)  # type: ignore[arg-type]  # on purpose


def test_sums_of_whole_numbers_are_whole_numbers_even_large_ones(lab: Lab) -> None:
    frame = lab.sql(
        "select sum(input_tokens) as a, count(*) as b, sum(epoch_us(started_at)) as c, avg(input_tokens) as d,"
        ' sum(cost_usd) as e, max(turn_index) as f, sum(epoch_us(started_at)) as "c", 1::utinyint as g from turns;'
    ).pandas()
    assert [str(t) for t in frame.dtypes] == ["Int64"] * 3 + ["float64"] * 2 + ["Int64"] * 3
    turns = lab.frame("turns")
    assert frame["a"].tolist() == [turns.input_tokens.sum()]
    exact = sum(turns.started_at.astype("int64").tolist())
    assert frame.iloc[0, 2] == exact == frame.iloc[0, 6]


TEXTS = [
    ("select content from messages where message_index = 0 order by session_id", "content"),
    ("select CONTENT from messages where message_index = 0 order by session_id", "content"),
    ("select * from messages where message_index = 0 order by session_id", "content"),
    ("from messages where message_index = 0 order by session_id", "content"),
    ("select m from messages m where message_index = 0 order by session_id", "m"),
    ("select messages as m from messages where message_index = 0 order by session_id", "m"),
    ("select model as m from messages model where message_index = 0 order by session_id", "m"),
    ("with x as (select * from messages) select content from x where message_index = 0 order by session_id", "content"),
    (
        "select c from (select content as c, message_index as i, session_id as s from messages) where i = 0 order by s",
        "c",
    ),
    ("select columns('con.*') from messages where message_index = 0 order by session_id", "content"),
    ("select * exclude (role, kind) from messages where message_index = 0 order by session_id", "content"),
    ("select * replace (upper(role) as role) from messages where message_index = 0 order by session_id", "content"),
    ("select x.j as content from messages x(a,b,c,d,e,f,g,h,i,j,k) where d = 0 order by b", "content"),
    ("select #10 as content from messages where message_index = 0 order by session_id", "content"),
    (
        "select content from messages semi join sessions using (session_id) where message_index = 0 "
        "order by session_id",
        "content",
    ),
    (
        "select content from messages where message_index = 0 and false union all by name (select "
        "content from messages where message_index = 0 order by session_id)",
        "content",
    ),
    (
        "select any_value(content) as content from messages where message_index = 0 group by session_id "
        "order by session_id",
        "content",
    ),
    (
        "select content from messages natural join (select session_id from sessions) where message_index "
        "= 0 order by session_id",
        "content",
    ),
    (
        "with m as (select 'wrong' as content, session_id as id from sessions) select (select "
        "max(content) from messages t where t.session_id = m.id and message_index = 0) as content from m "
        "where content is not null and id in (select session_id from messages) order by id",
        "content",
    ),
]


@pytest.mark.parametrize(("text", "column"), TEXTS)
def test_text_is_there_however_a_query_names_it(lab: Lab, text: str, column: str) -> None:
    found = lab.sql(text).pandas()[column]
    values = [value["content"] if isinstance(value, dict) else value for value in found]
    messages = lab.frame("messages", message_index=0)
    expected = messages.sort_values("session_id", kind="stable")["content"]
    assert [None if pd.isna(v) else v for v in values] == [None if pd.isna(v) else v for v in expected]


def test_a_name_means_the_texts_column_and_not_an_alias_or_an_outer_name(lab: Lab) -> None:
    turns = lab.frame("turns")
    frame = lab.sql("select 'x' as response, count(*) as n from turns where response is not null").pandas()
    assert frame["n"].tolist() == [turns.response.notna().sum()]
    shared = lab.sql("select count(*) as n from messages natural join turns").pandas()["n"].iloc[0]
    both = lab.frame("messages").merge(
        turns, on=["source", "session_id", "turn_id", "invocation_id", "is_sidechain", "reasoning"]
    )
    assert shared == both["reasoning"].notna().sum()


@pytest.mark.parametrize("name", COLUMNS)
def test_every_frame_has_the_same_rows_in_sql(lab: Lab, name: str) -> None:
    key = COLUMNS[name].split()[1] if name == "model_configs" else "source, session_id, " + {
        "sessions": "name",
        "turns": "turn_index",
        "messages": "message_index",
        "tool_calls": "tool_call_index",
        "token_usage": "turn_id, token_type",
    }[name]  # fmt: skip
    by = [part.strip() for part in key.split(",")]
    ours = lab.sql(f"select * from {name} order by {key}").pandas()
    frame = lab.frame(name).sort_values(by, kind="stable", ignore_index=True)
    assert [str(t) for t in ours.dtypes] == [str(t) for t in frame.dtypes]
    pd.testing.assert_frame_equal(ours, frame, rtol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "select count(*) as n from messages",
        "select role, count(*) as total from messages group by all order by total desc",
        "select response_model, sum(cost_usd) as cost_usd from turns group by all",
        "select t.turn_index, m.role from turns t join messages m using (source, session_id, turn_id)",
        "select sum(tokens) as tokens from token_usage where token_type = 'reasoning'",
        "select source from turns where finish_reason = 'content' or error_type = 'result'",
        "with x as (select session_id, count(*) as n from turns group by all) select max(n) as n from x",
        "select model, unnest(range(2)) as i from token_usage limit 3",
        "select unnest(models) as m from sessions",
    ],
)
def test_a_query_that_names_no_text_reads_none(text: str) -> None:
    with sessionlab.open(SAMPLE) as fresh:
        fresh.sql(text)
        assert not loaded(fresh)
        fresh.sql("select max(content) as c from messages")
        assert loaded(fresh)


def test_results_have_the_same_types_with_and_without_rows(lab: Lab) -> None:
    text = (
        "select *, sum(input_tokens) over () as s, started_at::date as d, cost_usd::decimal(10, 4) as c, [1, 2] as l,"
        " {'a': 1} as st, 'a'::enum('a', 'b') as en, uuid() as u, null as nothing,"
        " input_tokens / 2 as half, 1.5::float as fl, true as tr, 'b'::blob as bl from turns where {}"
    )
    full, none = lab.sql(text.replace("{}", "true")), lab.sql(text.replace("{}", "false"))
    assert full.arrow().schema == none.arrow().schema
    assert len(full) == 207
    assert {c: str(t) for c, t in full.pandas().dtypes.items()} == {c: str(t) for c, t in none.pandas().dtypes.items()}
    assert str(full.pandas()["en"].dtype) == "str"
    assert len(full.polars()) == len(none.polars()) + 207


def test_html_shows_markup_as_text_and_says_how_much_it_leaves_out(path: str, recorder: Recorder) -> None:
    s = recorder.session("<script>alert(1)</script>")
    for number in range(70):
        s.user(f"<img src=x onerror=alert({number})>")
    with sessionlab.open(path) as lab:
        result = lab.sql("select content, 'x' as \"<b>head</b>\" from messages order by message_index")
        html = result._repr_html_()
        assert "<img" not in html
        assert "<b>head" not in html
        assert "&lt;img" in html
        assert "70 rows (the first 60 shown)" in html
        assert "<script>" not in lab.sql("select name from sessions")._repr_html_()
        assert "<script>" not in lab._repr_html_()
        assert "<Result of 70 rows: content" in repr(result)
    with sessionlab.open(SAMPLE) as other:
        assert "207" in other._repr_html_()


def test_a_lab_of_nothing_has_every_frame_in_sql() -> None:
    with pytest.warns(sessionlab.SessionLabWarning, match="No history was found"):
        lab = sessionlab.open()
    for name in COLUMNS:
        frame = lab.sql(f"select * from {name}").pandas()
        assert list(frame.columns) == COLUMNS[name].split()
        assert {c: str(t) for c, t in frame.dtypes.items()} == {c: str(t) for c, t in lab.frame(name).dtypes.items()}
    assert lab.sql("select count(*) as n from turns").pandas()["n"].tolist() == [0]
    lab.close()


def test_the_querying_instance_never_gains_the_extension_nor_external_access(place: Path) -> None:
    with sessionlab.open(SAMPLE) as lab:
        lab.frame("messages")
        assert lab._engine is not None
        connection = lab._engine.narrow
        for text in (
            "set enable_external_access = true",
            "load sqlite_scanner",
            f"attach '{place / 'store.db'}' as x (type sqlite)",
            f"attach '{place / 'out'}'",
            f"select * from sqlite_scan('{place / 'store.db'}', 'message')",
            "select * from '/etc/passwd'",
            f"copy (select 1) to '{place / 'out'}'",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(text)
        spill = connection.execute("select current_setting('temp_directory')").fetchall()[0][0]
        assert os.stat(os.path.dirname(spill)).st_mode & 0o777 == 0o700
    assert not os.path.exists(os.path.dirname(spill))
