"""Reading the SQLite files of other tools: what lies there stays as it is, and odd files are read all the same."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from test_attach import UNPRIVILEGED, listing
from test_frames import COLUMNS, KEYS

import sessionlab
from sessionlab import HistoryFileError
from sessionlab.lab.histories import SUFFIXES
from sessionlab.sources import WholeSource, all_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pandas as pd

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAMPLE_DATA = os.path.join(ROOT, "sample_data")


def sample_of(source: str) -> str | None:
    """Return the first sample history of a tool, None where there is none."""
    for folder, folders, names in os.walk(os.path.join(SAMPLE_DATA, source)):
        folders.sort()
        for name in sorted(names):
            if name.endswith(SUFFIXES):
                return os.path.join(folder, name)
    return None


SAMPLES = {
    source.name: path
    for source in all_sources()
    if isinstance(source, WholeSource) and (path := sample_of(source.name)) is not None
}
every_tool = pytest.mark.parametrize("tool", SAMPLES)


def source_of(tool: str) -> WholeSource:
    """Return a tool's source."""
    source = next(source for source in all_sources() if source.name == tool)
    assert isinstance(source, WholeSource)
    return source


def drop_what_is_no_table(db: sqlite3.Connection) -> None:
    """Drop views, triggers and full-text tables, so that the tables can be made anew."""
    sql = "select case when sql like 'create virtual%' then 'table' else type end, name from sqlite_schema "
    kinds = "where type in ('view', 'trigger') or sql like 'create virtual%'"
    for kind, name in db.execute(sql + kinds).fetchall():
        db.execute(f'drop {kind} if exists "{name}"')
    db.commit()


def copy_of(tool: str, path: str | Path, journal: str = "delete") -> str:
    """Write a tool's sample to a path, in one file of the given journal mode, and return the path."""
    with closing(sqlite3.connect(SAMPLES[tool])) as sample, closing(sqlite3.connect(path)) as copy:
        sample.backup(copy)
        assert copy.execute(f"pragma journal_mode = {journal}").fetchone() == (journal,)
    return str(path)


def check_whole(frames: Mapping[str, pd.DataFrame]) -> None:
    """Check that frames of one moment fit together: keys, sessions, turns, counts, and numbers without gaps."""
    for name, frame in frames.items():
        assert not frame.duplicated(KEYS[name]).any(), name
        if "session_id" in frame.columns:
            assert set(frame.session_id) <= set(frames["sessions"].session_id), name
    turns, messages, calls = frames["turns"], frames["messages"], frames["tool_calls"]
    assert set(messages.turn_id.dropna()) <= set(turns.turn_id)
    assert set(calls.turn_id.dropna()) <= set(turns.turn_id)
    for frame, kind in ((turns, "turn"), (messages, "message"), (calls, "tool_call")):
        counted = frame.groupby("session_id", sort=False)[f"{kind}_index"]
        assert (counted.cumcount().to_numpy() == frame[f"{kind}_index"].to_numpy(dtype="int64")).all(), kind
        counts = frames["sessions"].set_index("session_id")[f"{kind}_count"]
        assert counted.size().reindex(counts.index, fill_value=0).tolist() == counts.tolist(), kind


@cache
def contents_of_sample(tool: str) -> dict[str, Any]:
    """Read everything in a tool's sample."""
    return contents(SAMPLES[tool])


def contents(*paths: str | Path) -> dict[str, Any]:
    """Read everything and return what does not depend on where the files lie."""
    with sessionlab.open(*paths) as lab, lab.snapshot():
        frames = {name: lab.frame(name) for name in COLUMNS}
        counted = lab.sql("select count(*) as n, count(content) as c from messages").pandas()
        check_whole(frames)
        repr(lab), lab._repr_html_()
        problems = lab.problems
    assert counted["n"].iloc[0] == len(frames["messages"])
    found: dict[str, Any] = {name: len(frame) for name, frame in frames.items()}
    found["texts"] = frames["messages"].content.tolist()
    found["names"] = frames["sessions"].name.fillna("").tolist()
    found["reasons"] = problems.reason.tolist()
    return found


def big_table(tool: str, path: str) -> str:
    """Return the table with the most rows of those that are read."""
    with closing(sqlite3.connect(path)) as db:
        there = {name for (name,) in db.execute("select name from sqlite_schema where type = 'table'")}
        tables = [table for table in source_of(tool).tables if table in there]
        return max(tables, key=lambda table: int(db.execute(f'select count(*) from "{table}"').fetchone()[0]))


def run(program: str, *arguments: str) -> int:
    """Run a program in another process and return its exit code."""
    return subprocess.run([sys.executable, "-c", program, *arguments], check=False).returncode


@every_tool
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_reading_a_file_that_nobody_has_open_leaves_all_as_it_was(tmp_path: Path, tool: str, journal: str) -> None:
    path = copy_of(tool, tmp_path / "a.db", journal)
    os.utime(path, ns=(1_700_000_000_000_000_001, 1_700_000_000_000_000_001))
    before = listing(str(tmp_path))
    assert list(before) == ["a.db"]
    assert contents(path)["messages"] > 5
    assert listing(str(tmp_path)) == before


# Deletes a row, so that what is only in the WAL can be told from the file.
_WRITER = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("pragma wal_autocheckpoint = 0")
db.execute(f"delete from {sys.argv[2]} where rowid = (select max(rowid) from {sys.argv[2]})")
if sys.argv[3] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
print("ready", flush=True)
sys.stdin.readline()
"""


@every_tool
def test_reading_beside_a_live_writer_sees_its_wal_and_changes_nothing(tmp_path: Path, tool: str) -> None:
    path = copy_of(tool, tmp_path / "a.db", "wal")
    arguments = [sys.executable, "-c", _WRITER, path, big_table(tool, path), "live"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        before = listing(str(tmp_path))
        assert before["a.db-wal"][0] > 0
        found = contents(path)
        assert listing(str(tmp_path)) == before
        writer.communicate("\n")
    assert listing(str(tmp_path)).keys() == {"a.db"}
    assert found == contents(path)


@every_tool
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("index", ["there", "gone"])
def test_the_wal_of_a_killed_process_is_read_and_kept(tmp_path: Path, tool: str, index: str) -> None:
    path = copy_of(tool, tmp_path / "a.db", "wal")
    assert run(_WRITER, path, big_table(tool, path), "die") == -signal.SIGKILL
    if index == "gone":
        os.remove(path + "-shm")
    before = listing(str(tmp_path))
    assert before["a.db-wal"][0] > 0
    found = contents(path)
    assert listing(str(tmp_path)) == before
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma journal_mode = delete")
    assert found == contents(path)
    assert found != contents_of_sample(tool)


_HOT = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("pragma cache_size = 1")
db.execute("begin immediate")
for column, in db.execute(f"select name from pragma_table_info('{sys.argv[2]}') where type = 'TEXT' and not pk"):
    db.execute(f"update {sys.argv[2]} set {column} = 'never committed' || {column}")
os.kill(os.getpid(), signal.SIGKILL)
"""


@every_tool
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_hot_journal_is_not_read_as_if_committed_and_kept(tmp_path: Path, tool: str) -> None:
    path = copy_of(tool, tmp_path / "a.db")
    assert run(_HOT, path, big_table(tool, path)) == -signal.SIGKILL
    before = listing(str(tmp_path))
    assert before["a.db-journal"][0] > 0
    assert contents(path) == contents_of_sample(tool)
    assert listing(str(tmp_path)) == before


@pytest.mark.skipif(os.name == "nt", reason="permissions are others there")
def test_an_unprivileged_user_reads_read_only_files_and_folders(tmp_path: Path) -> None:
    paths, expected = [], []
    for tool in SAMPLES:
        messages = contents_of_sample(tool)["messages"]
        for journal in ("delete", "wal"):
            for mode, folder_mode in ((0o444, 0o555), (0o444, 0o777), (0o666, 0o555), (0o000, 0o555)):
                folder = tmp_path / f"{tool} {journal} {mode} {folder_mode}"
                folder.mkdir()
                paths.append(copy_of(tool, folder / "a.db", journal))
                os.chmod(paths[-1], mode)
                os.chmod(folder, folder_mode)
                expected.append("HistoryFileError True" if mode == 0 else f"{messages} True")
    for parent in (tmp_path, *tmp_path.parents):  # pytest's folders are private
        if parent.stat().st_uid == os.getuid() and str(parent).startswith("/tmp/"):
            os.chmod(parent, 0o755)
    first = next(iter(SAMPLES.values()))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNPRIVILEGED, first, *paths],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.stdout.splitlines() == expected, done.stderr


_NAMES = [
    "it's.db",
    'a "quote".db',
    "a b  c.db",
    "100%.db",
    "%41?mode=memory&x=#frag.db",
    "größe 日本 🙂.db",
    "'; drop table messages; --.db",
    "a;b|c*[d]?{e}.db",
    "file:x.db",
    "new\nline.db",
    "back\\slash.db",
    "not-utf8-\udcff.db",
]


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be there")
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_path_may_have_any_characters(tmp_path: Path, journal: str) -> None:
    paths = [copy_of("awful_aj", tmp_path / name, journal) for name in _NAMES]
    before = listing(str(tmp_path))
    sample = contents_of_sample("awful_aj")
    with sessionlab.open(*paths) as lab:
        origins = lab.frame("sessions").origin
        each = sample["sessions"]
        assert origins.value_counts(sort=False).tolist() == [each] * len(paths)
        for name, origin in zip(_NAMES, origins.unique(), strict=True):
            assert origin.endswith(name.replace("\udcff", "\N{REPLACEMENT CHARACTER}\\udcff"))
        assert len(lab.frame("messages")) == sample["messages"] * len(paths)
        repr(lab), lab._repr_html_(), lab.problems
    assert listing(str(tmp_path)) == before


@every_tool
def test_encoding_and_page_size_of_a_file_make_no_difference(tmp_path: Path, tool: str) -> None:
    expected = contents_of_sample(tool)
    with closing(sqlite3.connect(copy_of(tool, tmp_path / "bare.db"))) as sample:
        drop_what_is_no_table(sample)
        script = "\n".join(line for line in sample.iterdump() if "sqlite_sequence" not in line)
    for encoding, page_size in (("UTF-16le", 512), ("UTF-8", 65536)):
        path = tmp_path / f"{encoding} {page_size}.db"
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"pragma encoding = '{encoding}'")
            db.execute(f"pragma page_size = {page_size}")
            db.executescript(script)
        assert contents(path) == expected, (encoding, page_size)


def _made_anew(db: sqlite3.Connection, table: str, definition: str, columns: str = "*") -> None:
    db.execute(f"alter table {table} rename to old")
    db.execute(f"create {definition}")
    if not definition.startswith("view"):
        db.execute(f"insert into {table} ({columns}) select {columns} from old order by id desc")
        db.execute("drop table old")


_TYPELESS = "id, role, content, dynamic, conversation_id"
ODD: dict[str, Callable[[sqlite3.Connection], None]] = {
    "a broken view": lambda db: _tampered(db, "create view v as select 1", "create view v as select * from nowhere"),
    "a module that is not there": lambda db: _tampered(
        db, "create table v (a)", "create virtual table v using nosuchmodule(a)"
    ),
    "a table's name that is not UTF-8": lambda db: _tampered(
        db, "create table v (a)", b"create table v\xff (b)", b"v\xff"
    ),
    "a column's name that is not UTF-8": lambda db: _tampered(db, "create table v (a)", b"create table v (b\xff)"),
    "names to be quoted": lambda db: _run(db, """create table "a""b'c;--" ("x y", "select", "é", "")"""),
    "views": lambda db: _made_anew(db, "messages", "view messages as select * from old"),
    "a table without row numbers": lambda db: _made_anew(
        db,
        "messages",
        "table messages (id integer primary key, role, content, dynamic, conversation_id) without rowid",
        _TYPELESS,
    ),
    "a column called rowid": lambda db: _run(
        db, "alter table messages add column rowid text; update messages set rowid = 'x' || id"
    ),
    "generated columns": lambda db: _run(
        db,
        """alter table messages rename column content to body;
        alter table messages add column content text generated always as (body || '') virtual""",
    ),
    "ids that are no row numbers": lambda db: _made_anew(
        db, "conversations", "table conversations (id, session_name)", "id, session_name"
    ),
}


def _run(db: sqlite3.Connection, script: str) -> None:
    db.executescript(script)


def _tampered(db: sqlite3.Connection, sql: str, written: str | bytes, name: bytes = b"v") -> None:
    """Let the schema hold an entry that SQLite itself would not write."""
    db.execute(sql)
    db.execute("pragma writable_schema = on")
    db.execute(
        "update sqlite_schema set sql = cast(? as text), name = cast(? as text), tbl_name = cast(? as text),"
        " rootpage = iif(instr(?, 'virtual'), 0, rootpage) where name = 'v'",
        [written.encode() if isinstance(written, str) else written, name, name, str(written)],
    )


@pytest.mark.parametrize("oddity", ODD)
def test_what_else_a_file_holds_and_how_its_tables_were_made_makes_no_difference(tmp_path: Path, oddity: str) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as db:
        ODD[oddity](db)
        db.commit()
    before = listing(str(tmp_path))
    expected, found = contents_of_sample("awful_aj"), contents(path)
    assert {**found, "names": sorted(found["names"])} == {**expected, "names": sorted(expected["names"])}
    assert listing(str(tmp_path)) == before


@every_tool
def test_a_file_without_rows_gives_empty_frames_and_no_problems(tmp_path: Path, tool: str) -> None:
    path = copy_of(tool, tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as db:
        for (table,) in db.execute("select name from sqlite_schema where type = 'table'").fetchall():
            db.execute(f'delete from "{table}"')
        db.commit()
    found = contents(path)
    assert {name: found[name] for name in COLUMNS} == dict.fromkeys(COLUMNS, 0)
    assert found["reasons"] == []


@every_tool
@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_file_opened_by_its_links_counts_once_and_two_copies_are_two(tmp_path: Path, tool: str) -> None:
    path = copy_of(tool, tmp_path / "a.db")
    os.symlink("a.db", tmp_path / "link.db")
    os.symlink("link.db", tmp_path / "link of a link.db")
    os.symlink("loop.db", tmp_path / "loop.db")
    with pytest.raises(HistoryFileError):
        sessionlab.open(tmp_path / "loop.db")
    os.remove(tmp_path / "loop.db")
    once = contents(path)
    with sessionlab.open(tmp_path) as lab, sessionlab.open(tmp_path / "link of a link.db") as link:
        assert len(lab.sources) == 1
        assert len(lab.frame("messages")) == len(link.frame("messages")) == once["messages"]
        assert link.frame("sessions").session_id.tolist() == lab.frame("sessions").session_id.tolist()


def test_two_files_with_the_same_conversations_keep_their_sessions_apart(tmp_path: Path) -> None:
    paths = [copy_of("awful_aj", tmp_path / name) for name in ("a.db", "b.db")]
    once = contents(paths[0])
    with sessionlab.open(*paths) as lab:
        check_whole({name: lab.frame(name) for name in COLUMNS})
        sessions = lab.frame("sessions")
        assert len(sessions) == 2 * once["sessions"]
        assert sessions.session_id.is_unique
        assert len(lab.frame("model_configs")) == once["model_configs"]


@every_tool
def test_a_file_that_is_replaced_while_it_is_open_is_read_anew(tmp_path: Path, tool: str) -> None:
    path = copy_of(tool, tmp_path / "a.db")
    other = copy_of(tool, tmp_path / "b")
    with closing(sqlite3.connect(other)) as db:
        table = big_table(tool, other)
        db.execute(f'delete from "{table}" where rowid > (select min(rowid) from "{table}")')
        db.commit()
    long_ago = (1_700_000_000, 1_700_000_000)
    os.utime(path, long_ago)
    os.utime(other, long_ago)
    with sessionlab.open(path) as lab:
        all_of_it = len(lab.frame("messages"))
        os.replace(other, path)
        fewer = len(lab.frame("messages"))
        assert fewer < all_of_it
        assert fewer == contents(path)["messages"]
        os.remove(path)
        with pytest.raises(HistoryFileError):
            lab.frame("messages")


def test_a_file_written_over_with_its_old_time_and_size_is_read_anew(tmp_path: Path) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    long_ago = (1_700_000_000, 1_700_000_000)
    os.utime(path, long_ago)
    with sessionlab.open(path) as lab:
        assert "Forgotten." in lab.frame("messages").content.tolist()
        with closing(sqlite3.connect(path)) as db:
            db.execute("update messages set content = 'forgotten.' where content = 'Forgotten.'")
            db.commit()
        os.utime(path, long_ago)
        assert "forgotten." in lab.frame("messages").content.tolist()


def test_a_text_of_200_megabytes_is_read(tmp_path: Path) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma journal_mode = off")
        db.execute("update messages set content = replace(hex(zeroblob(100000000)), '0', 'x') where id = 4")
        db.commit()
    with sessionlab.open(path) as lab:
        assert lab.frame("messages", to="arrow")["content"].combine_chunks()[3].as_buffer().size == 200_000_000


@every_tool
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_reads_for_itself_and_the_parent_goes_on(tmp_path: Path, tool: str) -> None:
    path = copy_of(tool, tmp_path / "a.db", "wal")
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORK, path],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout == "child True\nparent True\n", done.stderr
    assert os.listdir(tmp_path) == ["a.db"]


_FORK = """
import os, sys
import sessionlab
lab = sessionlab.open(sys.argv[1])
count = len(lab.frame("messages"))
if os.fork() == 0:
    print("child", len(lab.frame("messages")) == count, flush=True)
    os._exit(0)
os.wait()
print("parent", len(lab.frame("messages")) == count)
"""

_INTERRUPTED = """
import os, signal, sys, threading
import sessionlab
lab = sessionlab.open(sys.argv[1])
lab.frame("messages")
def strike():
    os.kill(os.getpid(), signal.SIGINT)
for delay in range(20):
    os.utime(sys.argv[1])  # so that all is read again
    try:
        threading.Timer(delay / 200, strike).start()
        for _ in range(100):
            lab.frame("messages")
    except KeyboardInterrupt:
        continue
    print("read on")
print(len(lab.frame("messages")), len(lab.problems), flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGINT reaches a program in another way there")
def test_ctrl_c_during_a_whole_read_is_a_keyboard_interrupt_and_the_lab_goes_on(tmp_path: Path) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    expected = contents(path)
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, path], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.stdout == f"{expected['messages']} {len(expected['reasons'])}\n", done.stderr
    assert os.listdir(tmp_path) == ["a.db"]


_MADE_UP_SQL = """
-- name: session
select
    _row as session_key,
    raw.file_id() || ':' || _row as session_id,
    null as native_id,
    title as name,
    'made up' as agent_name,
    null as directory,
    null as git_root,
    null as parent_session_id,
    null as conversation_id,
    null as started_at,
    null as updated_at,
    null as ended_at,
    null as archived_at,
    null as metadata
from raw.chat
order by _row

-- name: message
select
    _row as message_key,
    try_cast(chat as bigint) as session_key,
    row_number() over (partition by chat order by _row) - 1 as message_index,
    null as given_id,
    null as parent_key,
    null as prompt_key,
    null as turn_key,
    null as invocation_key,
    who as role,
    'message' as kind,
    0 as is_preamble,
    0 as is_sidechain,
    null as created_at
from raw.line
order by _row

-- name: model_config
select
    null as model_config_key,
    null as model_config_id,
    null as provider_name,
    null as api_base,
    null as request_model,
    null as temperature,
    null as top_p,
    null as max_tokens,
    null as context_max_tokens,
    null as assistant_minimum_context_tokens,
    null as stop_sequences,
    null as reasoning_effort,
    null as system_instructions_hash,
    null as extra
where false

-- name: turn
TURNS
-- name: message_text
select
    _row as message_key,
    what as content,
    null as reasoning
from raw.line
order by _row

-- name: tool_call_text
select
    null as tool_call_key,
    null as arguments
where false

-- name: problem
select
    'chat ' || _row as record,
    'title is NULL' as reason,
    null as line
from raw.chat
where title is null
"""
_MADE_UP = """
from sessionlab.sources import WholeSource, sections
SOURCE = WholeSource(
    name="made_up",
    default_paths=lambda: [],
    fingerprints=[{"chat": frozenset({"title"}), "line": frozenset({"chat", "who", "what"})}],
    tables={"chat": ("title",), "line": ("chat", "who", "what")},
    statements=sections(__file__),
)
"""
_USE_MADE_UP = """
import sys
import sessionlab.sources
sessionlab.sources.__path__.append(sys.argv[1])
import sessionlab
with sessionlab.open(sys.argv[2]) as lab:
    print(lab.sources[0][0], lab.frame("sessions").name.tolist(), lab.frame("messages").content.tolist())
    print(lab.frame("sessions").message_count.tolist(), lab.problems.reason.tolist(), len(lab.frame("turns")))
"""


def test_a_tool_is_added_by_one_module_and_one_sql_file_and_nothing_else(tmp_path: Path) -> None:
    from sessionlab.lab.incoming import INCOMING

    turns = "select\n" + ",\n".join(f"    null as {name}" for name, _ in INCOMING["turn"]) + "\nwhere false\n"
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "made_up.py").write_text(_MADE_UP)
    (sources / "made_up.sql").write_text(_MADE_UP_SQL.replace("TURNS", turns))
    path = str(tmp_path / "x.db")
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            """create table chat (title);
            create table line (chat, who, what);
            insert into chat values ('first'), (null);
            insert into line values (1, 'user', 'hello'), (2, 'user', 'there'), (1, 'assistant', 'you')"""
        )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _USE_MADE_UP, str(sources), path],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "made_up ['first', nan] ['hello', 'there', 'you']",
        "[2, 1] ['title is NULL'] 0",
    ], done.stderr
