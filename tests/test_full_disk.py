"""A disk that is full in the middle of the work: an error that names the file, a sound store, and it goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="there are neither limits nor mounts"),
    pytest.mark.parametrize("how", ["tmpfs", "limit"]),
]


def run(how: str, folder: Path, work: str) -> None:
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "full_disk.py")
    small = folder / "small"
    small.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", program, how, str(small), work],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout in (("limited\n",) if how == "limit" else ("small\n", "limited\n"))


def test_recording_on_a_full_disk_is_an_error_and_goes_on_when_there_is_room(how: str, tmp_path: Path) -> None:
    run(how, tmp_path, "record")


def test_closing_a_recorder_on_a_full_disk_loses_nothing(how: str, tmp_path: Path) -> None:
    run(how, tmp_path, "close")


def test_a_store_that_had_no_room_to_be_made_is_made_when_there_is(how: str, tmp_path: Path) -> None:
    run(how, tmp_path, "begin")


def test_an_import_into_a_full_disk_is_an_error_and_ends_when_there_is_room(how: str, tmp_path: Path) -> None:
    run(how, tmp_path, "import_into")


def test_a_backup_to_a_full_disk_leaves_nothing_half_made(how: str, tmp_path: Path) -> None:
    run(how, tmp_path, "backup")


def test_a_lab_without_room_for_copies_and_spilling_says_so_and_goes_on(how: str, tmp_path: Path) -> None:
    run(how, tmp_path, "read")
