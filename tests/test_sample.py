"""The sample histories: the same every time, sound, and with every odd kind of session in them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import uuid
from datetime import UTC, datetime
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
AJ = os.path.join(FOLDER, "awful_aj", "aj.db")
SECOND_AJ = os.path.join(FOLDER, "awful_aj", "second.db")
ATUIN = os.path.join(FOLDER, "atuin_ai", "ai_sessions.db")
APPAM = os.path.join(FOLDER, "appam", "data", "sessions.db")
LOGS = os.path.join(FOLDER, "appam", "logs")


def make(path: Path, *arguments: str) -> str:
    script = os.path.join(FOLDER, "make_sample.py")
    subprocess.run(
        [sys.executable, script, "--output", str(path), *arguments], check=True, capture_output=True, text=True
    )
    return str(path)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = os.path.join(FOLDER, "make_sample.py")
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)


def query(path: str, sql: str) -> list[tuple[Any, ...]]:
    # An ordinary connection to a file in WAL mode would leave two files beside it.
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def rows(path: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    tables = [name for (name,) in query(path, "select name from sqlite_schema where type = 'table'")]
    return {table: query(path, f"select * from {table} order by 1") for table in tables}


def one(path: str, sql: str) -> Any:
    return query(path, sql)[0][0]


def values(path: str, sql: str) -> set[Any]:
    return {row[0] for row in query(path, sql)}


def files(folder: str | Path) -> list[str]:
    """Return the names of all files below a folder."""
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


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


@pytest.mark.parametrize("tool", ["awful_aj", "atuin_ai", "appam", "claude_code"])
def test_the_history_of_another_tool_is_the_same_every_time_and_the_committed_one(tool: str, tmp_path: Path) -> None:
    assert run("--tool", tool, "--folder", str(tmp_path)).returncode == 0
    made, committed = os.path.join(tmp_path, tool), os.path.join(FOLDER, tool)
    assert os.listdir(tmp_path) == [tool]
    # What readers leave (-wal, -shm, -journal) would be in one of the two only.
    assert files(made) == files(committed)
    for name in files(made):
        first, second = os.path.join(made, name), os.path.join(committed, name)
        if name.endswith(".db"):
            assert rows(first) == rows(second), name
            assert query(first, "select sql from sqlite_schema") == query(second, "select sql from sqlite_schema")
        else:
            with open(first, "rb") as one_file, open(second, "rb") as other:
                assert one_file.read() == other.read(), name


def test_each_file_is_in_the_journal_mode_of_its_tool_and_small() -> None:
    for path, mode in {AJ: 1, SECOND_AJ: 1, ATUIN: 2, APPAM: 1}.items():
        with open(path, "rb") as file:
            assert file.read(20)[18:] == bytes([mode, mode]), path
        assert one(path, "pragma integrity_check") == "ok"
        assert os.path.getsize(path) < 250_000
    for path, sql in {
        AJ: "select count(*) from messages",
        ATUIN: "select count(*) from session_events",
        APPAM: "select sum(json_array_length(messages)) from session_history where json_valid(messages)",
    }.items():
        assert 100 <= one(path, sql) <= 400


_ORPHANS = "select count(*) from {0} where conversation_id not in (select id from conversations)"
_ODD_AJ = {
    "NULL conversation of a message": "select count(*) from messages where conversation_id is null",
    "NULL conversation of a configuration": "select count(*) from awful_configs where conversation_id is null",
    "a message of no conversation": _ORPHANS.format("messages"),
    "a configuration of no conversation": _ORPHANS.format("awful_configs"),
    "empty stop words": "select count(*) from awful_configs where stop_words = ''",
    "stop words with a newline": "select count(*) from awful_configs where stop_words like char(10) || '%'",
    "stop words with a comma": "select count(*) from awful_configs"
    " where stop_words = 'Yours, Ada,' || char(10, 10) || ',END'",
    "a negative number": "select count(*) from awful_configs where context_max_tokens < 0",
    "a key": "select count(*) from awful_configs where api_key like 'sk-aj-invented-%'",
    "a password": "select count(*) from awful_configs where api_base like '%ada:invented-password@%'",
    "two prompts in a row": "select count(*) from (select role, lead(role) over"
    " (partition by conversation_id order by id) as next from messages) where role = 'user' and next = 'user'",
    "an unknown role": "select count(*) from messages where role = 'narrator'",
    "a preamble": "select count(*) from messages where content like 'Below is a JSON representation%{\"about\":%'",
    "a preamble in the other order": 'select count(*) from messages where content like \'%{"memories":[],"about":%\'',
    "documents": "select count(*) from messages m where content like 'Below is supplementary documentation that may%'"
    " and exists (select 1 from messages n where n.id = m.id + 1 and n.content like 'I have reviewed%')",
    "messages of a template": "select count(*) from messages where content = 'Wait 30 seconds for an answer'",
    "thoughts": "select count(*) from messages where content like '<think>%</think>%'",
    "a session without messages": "select count(*) from conversations c where exists (select 1 from awful_configs"
    " where conversation_id = c.id) and not exists (select 1 from messages where conversation_id = c.id)",
    "a name alone": "select count(*) from conversations c where not exists (select 1 from awful_configs"
    " where conversation_id = c.id) and not exists (select 1 from messages where conversation_id = c.id)",
    "a dynamic message": "select count(*) from messages where dynamic = 1",
    "an empty answer": "select count(*) from messages where content = ''",
    "long text": "select count(*) from messages where length(content) > 5000",
    "bookkeeping": "select count(*) from __diesel_schema_migrations where version = '20231017221421'",
}
_RESULTS = "select count(*) from session_events where event_type = 'tool_result' and json_valid(event_data)"
_PAIRS = (
    "select count(*) from session_events c {join} session_events r on r.event_type = 'tool_result'"
    " and json_valid(r.event_data) and json_extract(r.event_data, '$.tool_use_id') = json_extract(c.event_data, '$.id')"
    " where c.event_type = 'tool_call' and {where}"
)
_ODD_ATUIN = {
    "an unknown type": "select count(*) from session_events where event_type = 'plan_update'",
    "data that is not JSON": "select count(*) from session_events where not json_valid(event_data)",
    "data that is no object": "select count(*) from session_events where json_valid(event_data)"
    " and json_type(event_data) <> 'object'",
    "a missing member": f"{_RESULTS} and json_type(event_data, '$.remote') is null",
    "a large remote result": f"{_RESULTS} and json_extract(event_data, '$.remote')"
    " and json_extract(event_data, '$.content_length') > 0",
    "a result before its call": _PAIRS.format(join="join", where="r.rowid < c.rowid"),
    "a suggestion without result": _PAIRS.format(
        join="left join", where="r.id is null and json_extract(c.event_data, '$.name') = 'suggest_command'"
    ),
    "another call without result": _PAIRS.format(
        join="left join", where="r.id is null and json_extract(c.event_data, '$.name') = 'upgrade_everything'"
    ),
    "two results": "select count(*) from (select 1 from session_events where event_type = 'tool_result'"
    " and event_data like '%\"srv_two_results\"%' group by session_id having count(*) = 2)",
    "a result without call": f"{_RESULTS} and json_extract(event_data, '$.tool_use_id') = 'toolu_without_call'",
    "inputs that are no objects": "select count(distinct json_type(event_data, '$.input')) = 4 from session_events"
    " where event_type = 'tool_call'",
    "a fork by two runs": "select count(*) from (select 1 from session_events group by session_id, parent_id"
    " having count(distinct invocation_id) > 1)",
    "runs that interleave": "select count(*) from (select invocation_id, lag(invocation_id) over s as before,"
    " lag(invocation_id, 2) over s as earlier from session_events window s as (partition by session_id order by rowid))"
    " where invocation_id <> before and invocation_id = earlier",
    "notes alone": "select count(*) from (select 1 from session_events group by session_id"
    " having min(event_type) = 'out_of_band_output' and max(event_type) = 'out_of_band_output')",
    "an answer right after a note": "select count(*) from session_events e join session_events p on p.id = e.parent_id"
    " where e.event_type = 'text' and p.event_data like '%\"/new\"%'",
    "archived sessions": "select count(*) > 1 from sessions where archived_at is not null",
    "a session without events": "select count(*) from sessions where head_id is null and id not in"
    " (select session_id from session_events)",
    "no place": "select count(*) from sessions where directory is null and git_root is null",
    "no session of the server": "select count(*) from sessions where server_session_id is null",
    "a boundary": "select count(*) from session_events where event_data like '%started a new invocation of Atuin AI%'",
    "a cancelled turn": "select count(*) from session_events where event_data like '%The user cancelled the previous%'",
    "a cut answer": "select count(*) from session_events where event_type = 'text'"
    " and event_data like '%[User cancelled this generation]\"}'",
    "an unsigned number": "select count(*) from session_metadata m, json_each(m.value, '$.reads') r"
    " where typeof(json_extract(r.value, '$.content_hash')) = 'real'",
    "a grant": "select count(*) from session_metadata where key = 'edit_permissions' and value <> '{\"grants\":{}}'",
    "no metadata": "select count(*) from sessions where id not in (select session_id from session_metadata)",
    "credits": "select count(*) from usage where json_extract(snapshot, '$.requests.limit') = -1",
    "three migrations": "select count(*) = 3 from _sqlx_migrations where length(checksum) = 48",
}
_ODD_ATUIN |= {
    text: f"{_RESULTS} and json_extract(event_data, '$.content') like '{text}'"
    for text in (
        "Permission denied on the user''s system",
        "Permission denied by the user",
        "Error: user cancelled this operation",
        "Tool not enabled: capability %",
        "Error: Unknown tool call: %",
        "Error: Missing %",
        "Duration: %[Timed out after 30s]",
        "Duration: %[Interrupted by user]",
        "Exit code: 2%",
    )
}
_ODD_ATUIN |= {
    command: "select count(*) from session_events where event_type = 'out_of_band_output'"
    f" and json_extract(event_data, '$.command') = '{command}'"
    for command in ("/new", "/model", "/help", "/reload")
}
_EACH = "from session_history h, json_each(case when json_valid(messages) then messages else '[]' end) m where"
_BLOCK = (
    "select count(*) from session_history h, json_tree(case when json_valid(messages) then messages else '[]' end) b"
    " where b.key = 'type' and b.atom = '{}'"
)
_ODD_APPAM = {
    "a broken row": "select count(*) from session_history where not json_valid(messages)",
    "a session without messages": "select count(*) from session_history where messages = '[]'",
    "no usage": "select count(*) from session_history where usage is null",
    "usage that is not JSON": "select count(*) from session_history where not json_valid(usage)",
    "usage of an older version": "select count(*) from session_history where json_valid(usage)"
    " and json_type(usage, '$.total_compaction_input_tokens') is null",
    "more read than put in": "select count(*) from session_history where json_valid(usage) and model like 'claude%'"
    " and json_extract(usage, '$.total_cache_read_tokens') > json_extract(usage, '$.total_input_tokens')",
    "reasoning": "select count(*) from session_history where json_valid(usage) and model like 'gpt%'"
    " and json_extract(usage, '$.total_reasoning_tokens') > 0",
    "compaction": "select count(*) from session_history where json_valid(usage)"
    " and json_extract(usage, '$.total_compaction_input_tokens') > 0",
    "wrong counts": "select count(*) from session_history where turn_count = 41 and tool_call_count = 0",
    "no counts": "select count(*) from session_history where turn_count is null",
    "not ended": "select count(*) from session_history where ended_at is null",
    "metadata of a tool": f"select count(*) {_EACH} json_extract(m.value, '$.tool_metadata.duration_ms') > 0",
    "a failed call": f"select count(*) {_EACH}"
    ' json_extract(m.value, \'$.content\') like \'{"error":"%","success":false}\'',
    "results of other types": f"select count(distinct json_extract(m.value, '$.content')) = 4"
    f" {_EACH} json_extract(m.value, '$.role') = 'tool'"
    " and json_extract(m.value, '$.content') in ('null', '512', '[]', 'false')",
    "arguments that are not JSON": f"select count(*) {_EACH}"
    " json_extract(m.value, '$.tool_calls[1].function.arguments') = '{\"path\": \"/etc/hos'",
    "several calls at once": f"select count(*) {_EACH} json_array_length(m.value, '$.tool_calls') > 2",
    "text in blocks only": f"select count(*) {_EACH} json_extract(m.value, '$.content') is null"
    " and json_extract(m.value, '$.role') = 'assistant'"
    " and json_extract(m.value, '$.raw_content_blocks') like '%{\"type\":\"text\",%'",
    "a prompt in blocks only": f"select count(*) {_EACH} json_extract(m.value, '$.content') is null"
    " and json_extract(m.value, '$.role') = 'user'"
    " and json_extract(m.value, '$.raw_content_blocks') is not null",
    "hidden thoughts": f"select count(*) {_EACH} json_extract(m.value, '$.raw_content_blocks[0].redacted')"
    " and json_extract(m.value, '$.raw_content_blocks[0].encrypted_content') is not null",
    "one response in two messages": "select count(*) from"
    f" (select 1 {_EACH} json_extract(m.value, '$.provider_response_id') is not null"
    " group by json_extract(m.value, '$.provider_response_id') having count(*) = 2)",
    "the developer's role": f"select count(*) {_EACH} json_extract(m.value, '$.role') = 'developer'",
    "a prompt of the runtime": "select count(*)"
    f" {_EACH} json_extract(m.value, '$.content') like 'Continue your task. Please call%'",
    "unknown members": f"select count(*) {_EACH} json_extract(m.value, '$.mood') is not null",
    "a message without a time": f"select count(*) {_EACH} json_extract(m.value, '$.timestamp') is null",
    "nanoseconds in JSON": f"select count(*) {_EACH} json_extract(m.value, '$.timestamp') glob '*.?????????Z'",
    "nanoseconds in a column": "select count(*) from session_history where started_at glob '*.?????????+00:00'",
    "every length of a fraction": "select count(distinct length(started_at)) = 4 from session_history",
    "the older table": "select count(*) from sessions where json_array_length(messages) > 2",
    "the older table, empty": "select count(*) from sessions where messages = '[]'",
    "another day": "select count(*) from session_history where model like 'claude%' and agent_name = 'planner'"
    " and substr(started_at, 1, 10) < substr(ended_at, 1, 10)",
}
_ODD_APPAM |= {
    f"a block of type {kind}": _BLOCK.format(kind)
    for kind in ("text", "image", "document", "tool_use", "thinking", "compaction", "hologram")
}
_ODD = [
    (path, *item) for path, odd in ((AJ, _ODD_AJ), (ATUIN, _ODD_ATUIN), (APPAM, _ODD_APPAM)) for item in odd.items()
]


@pytest.mark.parametrize(("path", "what", "sql"), _ODD, ids=[f"{os.path.basename(odd[0])}: {odd[1]}" for odd in _ODD])
def test_the_histories_of_other_tools_hold_every_odd_case(path: str, what: str, sql: str) -> None:
    assert one(path, sql) > 0, what


def test_snapshots_and_names_come_more_than_once_as_in_life() -> None:
    models = "select group_concat(model) from awful_configs where conversation_id ="
    name = "(select id from conversations where session_name = '{}')"
    small, large = "workshop-7b", "atelier-70b"
    assert one(AJ, f"{models} {name.format('harbor')}") == ",".join([small, large, large, large])
    assert one(AJ, f"{models} {name.format('tidepool')}") == small
    assert one(SECOND_AJ, "select count(*) from conversations where session_name = 'groceries'") == 2


def test_every_known_event_is_there_in_the_order_of_writing_with_ids_that_tell_the_time() -> None:
    known = "user_message text tool_call tool_result out_of_band_output system_context skill_invocation"
    assert set(known.split()) < values(ATUIN, "select event_type from session_events")
    events = query(ATUIN, "select id, created_at, invocation_id from session_events order by rowid")
    assert [event[0] for event in events] == sorted(event[0] for event in events)
    for event_id, created_at, invocation_id in events:
        for text in (event_id, invocation_id):
            found = uuid.UUID(text)
            assert (str(found), found.version, found.variant) == (text, 7, uuid.RFC_4122)
        assert (uuid.UUID(event_id).int >> 80) // 1000 == created_at
    ((first, last),) = query(ATUIN, "select min(created_at), max(updated_at) from sessions")
    assert datetime(2026, 8, 31, tzinfo=UTC).timestamp() < first < last < datetime(2026, 11, 10, tzinfo=UTC).timestamp()
    ids = values(APPAM, "select id from session_history union select id from sessions")
    assert {uuid.UUID(text).version for text in ids} == {4}


def test_traces_add_up_to_what_is_stored_except_one() -> None:
    stored = {
        session: (json.loads(usage), [m for m in json.loads(messages) if m["role"] == "assistant"])
        for session, usage, messages in query(
            APPAM, "select id, usage, messages from session_history where json_valid(usage) and json_valid(messages)"
        )
    }
    found = []
    for name in sorted(name for name in os.listdir(LOGS) if name.endswith(".jsonl")):
        with open(os.path.join(LOGS, name), encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        updates = [line["data"] for line in lines if line["type"] == "usage_update"]
        assert [update["request_count"] for update in updates] == list(range(1, len(updates) + 1))
        session = name.removeprefix("session-").removesuffix(".jsonl")
        if session not in stored:
            assert lines[-1]["type"] == "error"
            found.append("failed")
            continue
        usage, responses = stored[session]
        equal = all(usage[key] == count for key, count in updates[-1].items() if key in usage)
        assert equal == (len(updates) == len(responses))
        found.append("equal" if equal else "short")
    assert sorted(found) == ["equal", "equal", "equal", "failed", "short"]


def test_the_log_of_a_session_names_the_last_model_and_its_row_the_first() -> None:
    (name,) = [name for name in os.listdir(LOGS) if name.endswith(".json")]
    with open(os.path.join(LOGS, name), encoding="utf-8") as file:
        log = json.load(file)
    ((model, messages),) = query(APPAM, f"select model, messages from session_history where id = '{log['session_id']}'")
    assert (model, log["model"]) == ("claude-sonnet-5", "gpt-5.5")
    assert json.loads(messages) == log["messages"]


@pytest.mark.parametrize(
    ("tool", "count", "average"),
    [
        ("awful_aj", "select count(*) from messages", "select avg(length(content)) from messages"),
        ("atuin_ai", "select count(*) from session_events", "select avg(length(event_data)) from session_events"),
        (
            "appam",
            "select sum(json_array_length(messages)) from session_history",
            "select sum(length(messages)) / sum(json_array_length(messages)) from session_history",
        ),
    ],
)
def test_a_large_file_of_another_tool_is_sound_and_has_lifelike_texts(
    tool: str, count: str, average: str, tmp_path: Path
) -> None:
    path = ""
    for size in (1, 20_011):
        path = make(tmp_path / f"{size}.db", "--tool", tool, "--scale", str(size))
        assert one(path, count) == size
        assert one(path, "pragma integrity_check") == "ok"
        assert query(path, "pragma foreign_key_check") == []
    assert 250 < one(path, average) < 450
    assert sorted(os.listdir(tmp_path)) == ["1.db", "20011.db"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--scale", "10"], "--scale needs --output"),
        (["--scale", "0", "--output", "x.db"], "1 or more"),
        (["--output", "x.db", "--tool", "appam"], "--folder instead of --output"),
        (["--output", "x.db", "--tool", "appam", "--tool", "awful_aj", "--scale", "5"], "one --tool"),
        (["--output", "x.db", "--folder", "y"], "choose one"),
        (["--output", COMMITTED, "--scale", "5"], "stays small"),
        (["--tool", "another"], "invalid choice"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())


def test_files_of_another_tool_are_not_written_over_unless_asked(tmp_path: Path) -> None:
    old = tmp_path / "appam" / "logs" / "session-old.jsonl"
    mine = tmp_path / "appam" / "data" / "sessions.db"
    for path in (old, mine):
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    arguments = ("--tool", "appam", "--folder", str(tmp_path))
    done = run(*arguments)
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert (old.read_text(), mine.read_text()) == ("mine", "mine")
    assert len(files(tmp_path)) == 2
    assert run(*arguments, "--force").returncode == 0
    assert files(tmp_path / "appam") == files(os.path.join(FOLDER, "appam"))


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
    assert "--scale 1000000 --tool awful_aj --output" in done.stdout
