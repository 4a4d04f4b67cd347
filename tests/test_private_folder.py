"""The folder that a lab spills into is its own, and goes also where its process was killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

import sessionlab
from sessionlab import HistoryFileError, Recorder
from sessionlab.lab.private import LOCK_NAME

if TYPE_CHECKING:
    from pathlib import Path

_READER = """
import sys
import sessionlab
lab = sessionlab.open(sys.argv[1])
lab.frame("messages")
with open(lab._engine.folder + "/spilled", "w") as file:
    file.write("what somebody said")
print(lab._engine.folder, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> str:
    """Return the temporary folder of this process and of those that it starts, beside a store."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with Recorder(path) as recorder:
        recorder.session("a").user("b")
    return str(folder)


def reader(path: str) -> tuple[subprocess.Popen[str], str]:
    """Start another process that reads, and return it with its folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", _READER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    folder = process.stdout.readline().strip()
    assert os.path.exists(os.path.join(folder, "spilled"))
    return process, folder


def end(process: subprocess.Popen[str], *, is_killed: bool) -> None:
    if is_killed:
        process.kill()
    process.communicate("\n", timeout=60)


def test_what_killed_readers_left_behind_is_removed_by_the_next_one_and_what_is_in_use_is_not(
    path: str, temporary: str
) -> None:
    living, folder_in_use = reader(path)
    killed, folder_left = reader(path)
    end(killed, is_killed=True)
    assert sorted(os.listdir(temporary)) == sorted(map(os.path.basename, (folder_in_use, folder_left)))
    with sessionlab.open(path) as lab, sessionlab.open(path) as second:
        assert lab._engine is not None
        assert second._engine is not None
        own = (lab._engine.folder, second._engine.folder)
        assert sorted(os.listdir(temporary)) == sorted(map(os.path.basename, (folder_in_use, *own)))
        assert os.path.exists(os.path.join(folder_in_use, "spilled"))
        assert len(lab.frame("messages")) == 1
    end(living, is_killed=False)
    assert living.returncode == 0
    assert os.listdir(temporary) == []


def test_folders_of_the_same_name_that_are_not_ours_are_left_alone(path: str, temporary: str, tmp_path: Path) -> None:
    mine = os.path.join(temporary, "sessionlab-project")
    os.mkdir(mine)
    with open(os.path.join(mine, "notes.txt"), "w") as file:
        file.write("precious")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK_NAME).write_text("")
    if os.name == "posix":
        os.symlink(elsewhere, os.path.join(temporary, "sessionlab-link"))
        other = os.path.join(temporary, "sessionlab-others")
        os.mkdir(other)
        with open(os.path.join(other, LOCK_NAME), "w"):
            pass
        if os.getuid() == 0:
            os.chown(other, 65534, 65534)
        else:
            shutil.rmtree(other)
    before = sorted(os.listdir(temporary))
    with sessionlab.open(path):
        pass
    assert sorted(os.listdir(temporary)) == before
    assert os.path.exists(os.path.join(mine, "notes.txt"))
    assert (elsewhere / LOCK_NAME).exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_that_ends_leaves_the_parents_folder_in_use(path: str, temporary: str) -> None:
    with sessionlab.open(path) as lab:
        assert lab._engine is not None
        folder = lab._engine.folder
        child = os.fork()
        if child == 0:
            os._exit(0 if len(lab.frame("messages")) == 1 else 1)
        assert os.waitpid(child, 0)[1] == 0
        other, its_folder = reader(path)  # the child's own, which ended without cleaning up, goes with this
        assert sorted(os.listdir(temporary)) == sorted(map(os.path.basename, (folder, its_folder)))
        end(other, is_killed=False)
        assert len(lab.frame("messages")) == 1


def test_where_no_private_folder_can_be_made_the_error_says_what_to_do(
    path: str, temporary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", os.path.join(temporary, "gone"))
    with pytest.raises(HistoryFileError, match=r"gone.*TMPDIR"):
        sessionlab.open(path)
