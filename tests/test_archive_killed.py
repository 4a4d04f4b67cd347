"""An import that is killed at any moment and run again ends with the rows of one run."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from archive_rows import SAMPLES, aged, archived_rows, assert_same_frames, frames_of, query

import sessionlab
from sessionlab import import_histories

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """
import sys
from sessionlab import import_histories
def show(source, done, total):
    print(source, done, flush=True)
print("begin", flush=True)
import_histories(*sys.argv[2:], into=sys.argv[1], on_progress=show)
print("end", flush=True)
"""


def killed_after(lines: int, store: str, *paths: str) -> bool:
    """Run an import in a process of its own and kill it once it has said so many lines; return False if it ended."""
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM, store, *paths], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = []
    with process.stdout:
        for line in process.stdout:
            said.append(line)
            if len(said) >= lines:
                process.kill()
                break
    assert process.wait(timeout=60) in (0, -signal.SIGKILL)
    return "end\n" not in said


@pytest.fixture
def files(tmp_path: Path) -> str:
    folder = str(tmp_path / "files")
    for tool in ("appam", "awful_aj", "claude_code"):
        shutil.copytree(os.path.join(SAMPLES, tool), os.path.join(folder, tool))
    return aged(folder)


@pytest.mark.parametrize("seed", range(3))
def test_an_import_that_is_killed_at_random_moments_and_run_again_ends_as_one_run(
    seed: int, files: str, tmp_path: Path
) -> None:
    once, killed = str(tmp_path / "once.db"), str(tmp_path / "killed.db")
    whole = import_histories(files, into=once)
    moments = random.Random(seed)
    count = sum(killed_after(moments.randint(1, whole.sessions), killed, files) for _ in range(3))
    assert count >= 1
    report = import_histories(files, into=killed)
    assert report.sessions == whole.sessions
    assert query(killed, "pragma integrity_check") == [("ok",)]
    assert archived_rows(killed) == archived_rows(once)
    with sessionlab.open(files) as live, sessionlab.open(killed) as archived, sessionlab.open(files, killed) as both:
        expected = frames_of(live)
        assert_same_frames(frames_of(archived), expected)
        assert_same_frames(frames_of(both), expected)


def test_a_session_is_replaced_as_a_whole_or_not_at_all(files: str, tmp_path: Path) -> None:
    store = str(tmp_path / "history.db")
    import_histories(files, into=store)
    before = archived_rows(store)
    connection = sqlite3.connect(os.path.join(files, "awful_aj", "aj.db"))
    connection.execute("update messages set content = content || ' (edited)' where role = 'assistant'")
    connection.commit()
    connection.close()
    aged(files)
    killed_after(5, store, files)
    changed = {row[0] for row in query(store, "select archive_key from archive_session where revision > 0")}
    old = {row[0]: row for row in before["archive_session"]}
    new = {row[0]: row for row in archived_rows(store)["archive_session"]}
    assert set(new) == set(old) == changed
    texts = query(store, "select message_key >> 24, content from archive_message_text")
    for archive_key in changed:
        is_new = new[archive_key] != old[archive_key]
        edited = [str(text).endswith(" (edited)") for key, text in texts if key == archive_key and text is not None]
        assert is_new == any(edited)
