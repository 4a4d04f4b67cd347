"""Reading a store changes nothing near it, and a file that cannot be read is an error of ours that names it."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from helper_process import helper
from hypothesis import given, settings
from hypothesis import strategies as st

import sessionlab

SAMPLE = Path(__file__).parent.parent / "sample_data" / "history.db"
LAB_FRAMES = ("sessions", "turns", "messages", "tool_calls", "token_usage", "model_configs")
ODD_NAMES = [
    "it's here.db",
    "a b.db",
    "100%25.db",
    "what?.db",
    "#1.db",
    "größe-数据.db",
    "'; drop table session; --.db",
]


def record(path: str, count: int = 3, journal: str = "wal") -> None:
    with sessionlab.Recorder(path, journal=journal) as recorder:  # type: ignore[arg-type]  # one of the two
        session = recorder.session("one")
        for number in range(count):
            session.user(f"question {number}")
            session.assistant(f"answer {number}")


def listing(folder: Path) -> dict[str, tuple[str, int]]:
    """Return every file of a folder with the hash of its bytes and its time."""
    return {
        p.name: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in folder.iterdir()
        if p.is_file()
    }


def prompts(path: str) -> list[str]:
    with sessionlab.open(path) as lab:
        messages = lab.frame("messages")
    return list(messages[messages["role"] == "user"]["content"])


@pytest.mark.parametrize("journal", ["wal", "rollback"])
def test_reading_an_idle_store_leaves_the_folder_as_it_was(tmp_path: Path, path: str, journal: str) -> None:
    record(path, journal=journal)
    before = listing(tmp_path)
    with sessionlab.open(path) as lab:
        for name in LAB_FRAMES:
            lab.frame(name)
        assert listing(tmp_path) == before
    assert listing(tmp_path) == before


def test_reading_beside_a_live_writer_leaves_its_files_in_place(tmp_path: Path, path: str) -> None:
    record(path)
    with helper(path) as ask:
        ask("open other")
        ask("record from another process")
        names = set(os.listdir(tmp_path))
        assert {"history.db-wal", "history.db-shm"} <= names
        assert "from another process" in prompts(path)
        assert set(os.listdir(tmp_path)) == names
        ask("record once more")
        assert "once more" in prompts(path)


def killed_in_the_middle(path: str, code: str) -> None:
    """Run a program that kills itself with SIGKILL."""
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_what_a_killed_recorder_has_left_in_its_wal_is_read(tmp_path: Path, path: str) -> None:
    killed_in_the_middle(
        path,
        "import os, signal, sys, sessionlab\n"
        "s = sessionlab.Recorder(sys.argv[1]).session('killed')\n"
        "s.user('before the end')\n"
        "os.kill(os.getpid(), signal.SIGKILL)",
    )
    before = listing(tmp_path)
    assert before["history.db-wal"][0] != hashlib.sha256(b"").hexdigest()
    assert prompts(path) == ["before the end"]
    after = listing(tmp_path)
    assert {name: after[name] for name in ("history.db", "history.db-wal")} == {
        name: before[name] for name in ("history.db", "history.db-wal")
    }
    assert set(after) == set(before)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_a_wal_without_its_index_is_read_from_a_private_copy(tmp_path: Path, path: str) -> None:
    killed_in_the_middle(
        path,
        "import os, signal, sys, sessionlab\n"
        "s = sessionlab.Recorder(sys.argv[1]).session('killed')\n"
        "s.user('only in the WAL')\n"
        "os.kill(os.getpid(), signal.SIGKILL)",
    )
    os.remove(path + "-shm")
    before = listing(tmp_path)
    assert prompts(path) == ["only in the WAL"]
    assert listing(tmp_path) == before


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_a_hot_journal_is_rolled_back_in_a_private_copy_only(tmp_path: Path, path: str) -> None:
    record(path, count=40, journal="rollback")
    # A small cache makes SQLite write pages into the file before the commit, so that the journal is needed.
    killed_in_the_middle(
        path,
        "import os, signal, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('pragma cache_size = 1'); c.execute('pragma cache_spill = 1'); c.execute('begin immediate')\n"
        "c.execute(\"update message_text set content = 'torn' || hex(zeroblob(3000))\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)",
    )
    assert os.path.getsize(path + "-journal") > 0
    before = listing(tmp_path)
    assert prompts(path) == [f"question {n}" for n in range(40)]
    assert listing(tmp_path) == before


_AS_NOBODY = """
import os, sys
import sessionlab
sessionlab.open(sys.argv[2]).frame("messages")  # loads every module while its files can be read
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
messages = sessionlab.open(sys.argv[1]).frame("messages")
print(list(messages[messages["role"] == "user"]["content"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="the permissions are POSIX")
@pytest.mark.parametrize("journal", ["wal", "rollback"])
def test_a_store_in_a_folder_that_cannot_be_written_to_is_read(journal: str, tmp_path: Path) -> None:
    # pytest's own folders let nobody else in.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        os.chmod(folder, 0o755)
    closed = tmp_path / "closed"
    closed.mkdir()
    path = str(closed / "history.db")
    record(path, journal=journal)
    os.chmod(path, 0o444)
    os.chmod(closed, 0o555)
    try:
        before = listing(closed)
        environment = {**os.environ, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
        printed = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, path, str(SAMPLE)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert printed.stdout.strip() == str([f"question {n}" for n in range(3)]), printed.stderr
        assert listing(closed) == before
    finally:
        os.chmod(closed, 0o755)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_path_with_any_characters_is_recorded_to_and_read(tmp_path: Path, name: str) -> None:
    if os.name == "nt" and set(name) & set('?":*<>|'):
        name = name.translate({ord(c): "_" for c in '?":*<>|'})
    folder = tmp_path / name.removesuffix(".db")
    folder.mkdir()
    path = str(folder / name)
    record(path)
    assert prompts(path) == [f"question {n}" for n in range(3)]
    with sessionlab.open(path) as lab:
        assert set(lab.frame("sessions")["origin"]) == {path}
        assert len(lab.sql("select * from messages")) == 6
    assert set(os.listdir(folder)) == {name, f"{name}.lock"}


def test_a_missing_path_is_an_error_and_is_not_created(tmp_path: Path) -> None:
    for missing in (tmp_path / "no.db", tmp_path / "no" / "folder.db"):
        with pytest.raises(sessionlab.HistoryFileError, match=str(missing.name)):
            sessionlab.open(missing)
        assert not missing.exists()
    assert list(tmp_path.iterdir()) == []


def write_unknown(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table sessions (id text, messages text)")
    connection.commit()
    connection.close()


UNREADABLE = {
    "empty.db": lambda path: path.write_bytes(b""),
    "short.db": lambda path: path.write_bytes(b"SQLite"),
    "text.db": lambda path: path.write_text("hello, this is no database\n" * 99),
    "random.db": lambda path: path.write_bytes(hashlib.sha256(b"x").digest() * 500),
    "header.db": lambda path: path.write_bytes(SAMPLE.read_bytes()[:100]),
    "half.db": lambda path: path.write_bytes(SAMPLE.read_bytes()[:4096]),
    "unknown.db": write_unknown,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_named_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    UNREADABLE[name](path)
    before = listing(tmp_path)
    with pytest.raises(sessionlab.HistoryFileError, match=name) as caught:
        sessionlab.open(path)
    assert isinstance(caught.value, sessionlab.SessionLabError)
    assert listing(tmp_path) == before


def test_in_a_folder_what_cannot_be_read_is_a_problem_and_the_rest_is_read(tmp_path: Path) -> None:
    for name, write in UNREADABLE.items():
        write(tmp_path / name)
    record(str(tmp_path / "good.db"))
    with sessionlab.open(tmp_path) as lab:
        assert lab.sources == [("sessionlab", str(tmp_path / "good.db"))]
        problems = lab.problems
        assert {Path(origin).name for origin in problems["origin"]} == set(UNREADABLE)
        assert all(Path(o).name in r for o, r in zip(problems["origin"], problems["reason"], strict=True))
        assert len(lab.frame("messages")) == 6


def test_a_folder_without_histories_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(sessionlab.HistoryFileError, match="no history"):
        sessionlab.open(tmp_path)


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_store_gives_frames_or_an_error_of_ours(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(SAMPLE.read_bytes())
    if data.draw(st.booleans(), label="cut"):
        del content[data.draw(st.integers(0, len(content) - 1), label="at") :]
    else:
        for _ in range(data.draw(st.integers(1, 20), label="changes")):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "history.db"
    path.write_bytes(bytes(content))
    try:
        with sessionlab.open(path) as lab:
            for name in LAB_FRAMES:
                lab.frame(name)
            lab.sql("select * from messages").pandas()
    except sessionlab.SessionLabError as error:
        said = str(error)
        assert "history.db" in said, said
    finally:
        assert path.read_bytes() == bytes(content)
        shutil.rmtree(folder)
