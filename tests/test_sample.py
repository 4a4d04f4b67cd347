"""The sample store: the same every time, sound, and with every odd kind of session in it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import sessionlab
from sessionlab import Recorder
from sessionlab.model import KINDS, RESULT_STATUSES, ROLES
from sessionlab.store.database import Database

if TYPE_CHECKING:
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "sample_data")
COMMITTED = os.path.join(FOLDER, "history.db")


def make(path: Path, *arguments: str) -> str:
    script = os.path.join(FOLDER, "make_sample.py")
    subprocess.run(
        [sys.executable, script, "--output", str(path), *arguments], check=True, capture_output=True, text=True
    )
    return str(path)


def rows(path: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        tables = [name for (name,) in connection.execute("select name from sqlite_schema where type = 'table'")]
        return {table: connection.execute(f"select * from {table} order by 1").fetchall() for table in tables}
    finally:
        connection.close()


def one(path: str, sql: str) -> Any:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchone()[0]
    finally:
        connection.close()


def values(path: str, sql: str) -> set[Any]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return {row[0] for row in connection.execute(sql)}
    finally:
        connection.close()


def test_the_sample_is_the_same_every_time_and_the_committed_one(tmp_path: Path) -> None:
    first, second = make(tmp_path / "first.db"), make(tmp_path / "second.db")
    assert rows(first) == rows(second)
    # A migration that comes later changes the schema, so what is committed must be made anew with it.
    assert rows(first) == rows(COMMITTED)
    assert sorted(os.listdir(tmp_path)) == ["first.db", "second.db"]


def test_the_committed_sample_is_small_and_alone() -> None:
    assert os.path.getsize(COMMITTED) < 700_000
    assert one(COMMITTED, "pragma journal_mode") == "delete"
    assert not [name for name in os.listdir(FOLDER) if name.startswith(("history.db-", "history.db."))]


def test_the_sample_holds_every_odd_kind(tmp_path: Path) -> None:
    path = COMMITTED
    assert 40 <= one(path, "select count(*) from session") <= 60
    assert values(path, "select distinct role from message") == set(ROLES)
    assert values(path, "select distinct kind from message") == set(KINDS)
    assert values(path, "select distinct status from tool_result") == set(RESULT_STATUSES)
    for what, sql in {
        "a fork": "select count(*) from (select 1 from message where parent_key is not null"
        " group by parent_key having count(*) > 1)",
        "a session without messages": "select count(*) from session where session_key not in"
        " (select session_key from message)",
        "a child": "select count(*) from session where parent_session_id in (select session_id from session)",
        "an archived one": "select count(*) from session where archived_at is not null",
        "one that was not ended": "select count(*) from session where ended_at is null",
        "several runs": "select count(*) from (select 1 from invocation group by session_key having count(*) > 1)",
        "several configurations": "select count(*) from (select 1 from turn group by session_key"
        " having count(distinct model_config_key) > 2)",
        "a turn without configuration": "select count(*) from turn where model_config_key is null",
        "a failed model call": "select count(*) from turn where error_type is not null",
        "a call without result": "select count(*) from tool_call where tool_call_key not in"
        " (select tool_call_key from tool_result)",
        "a call that waited for its turn": "select count(*) from turn where first_call_key is not null",
        "a reported cost": "select count(*) from turn where reported_cost_usd is not null",
        "a prompt without answer": "select count(*) from message m where role = 'user' and not exists"
        " (select 1 from turn t where t.prompt_key = m.message_key)",
        "a script": "select count(*) from message_text where content like '%<script>%'",
        "right to left": "select count(*) from message_text where content like '%שלום%' or content like '%בוקר%'",
        "long text": "select count(*) from message_text where length(content) > 10000",
    }.items():
        assert one(path, sql), what


def test_every_session_of_the_sample_can_be_got_and_saved_again(tmp_path: Path) -> None:
    path = shutil.copy(COMMITTED, tmp_path / "copy.db")
    with Recorder(path) as recorder:
        for summary in recorder.history.list():
            session = recorder.history.get(summary.session_id)
            assert session is not None
            recorder.history.save(session)
            assert recorder.history.get(summary.session_id) == session


def test_reading_the_committed_sample_leaves_nothing_behind() -> None:
    before = sorted(os.listdir(FOLDER)), os.stat(COMMITTED).st_mtime_ns
    frame = sessionlab.frame("messages", COMMITTED)
    assert len(frame) == one(COMMITTED, "select count(*) from message")
    assert (sorted(os.listdir(FOLDER)), os.stat(COMMITTED).st_mtime_ns) == before


@pytest.mark.parametrize("count", [1, 99, 30_000])
def test_a_large_store_has_as_many_messages_as_asked_and_is_sound(tmp_path: Path, count: int) -> None:
    path = make(tmp_path / "large.db", "--scale", str(count))
    assert one(path, "select count(*) from message") == count
    database = Database(path, as_it_is=True)
    assert database.check() == []
    database.close()
    if count > 1000:
        turns, calls = one(path, "select count(*) from turn"), one(path, "select count(*) from tool_call")
        assert 0.4 < turns / count < 0.6
        assert 0.1 < calls / count < 0.4
        assert 350 < one(path, "select avg(length(cast(content as blob))) from message_text") < 450
    with Recorder(path) as recorder:
        newest = recorder.history.list(limit=1)[0]
        s = recorder.resume(newest)
        s.user("It goes on.")
        s.assistant("It does.")
        stored = recorder.history.get(newest.session_id)
        assert stored is not None
        assert len(stored.messages) == newest.message_count + 3
        assert stored.messages[-1].parent_message_id == stored.messages[-2].message_id


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    target = tmp_path / "mine.db"
    target.write_text("mine")
    with pytest.raises(subprocess.CalledProcessError):
        make(target)
    assert target.read_text() == "mine"


def test_help_has_examples() -> None:
    script = os.path.join(FOLDER, "make_sample.py")
    done = subprocess.run([sys.executable, script, "--help"], check=True, capture_output=True, text=True)
    assert "--scale 1000000 --output" in done.stdout
