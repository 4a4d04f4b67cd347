"""The command `sources`: what is found, what is in it, and what could not be read."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from command_line import run

from sessionlab import Recorder

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sample_data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a history of `aj`, a store, and a file that is neither."""
    found = tmp_path / "histories"
    found.mkdir()
    shutil.copyfile(os.path.join(SAMPLES, "awful_aj", "aj.db"), found / "aj.db")
    with Recorder(str(found / "store.db")) as recorder, recorder.session("mine") as session:
        session.user("q")
        session.assistant("a")
    (found / "torn.db").write_bytes(b"SQLite format 3\0 and nothing after it")
    return found


def test_sources_lists_tool_size_counts_last_activity_and_problems_of_each_file(folder: Path, home: Path) -> None:
    shown = run("sources", str(folder)).stdout.splitlines()
    rows = {line.split()[-1]: line.split() for line in shown if line.rstrip().endswith(".db")}
    assert rows[str(folder / "aj.db")] == ["awful_aj", "57", "kB", "20", "51", "5", str(folder / "aj.db")]
    store = rows[str(folder / "store.db")]
    assert (store[0], store[3:5]) == ("sessionlab", ["1", "1"])
    assert store[-2] == "0"
    assert rows[str(folder / "torn.db")][:2] == ["not", "readable"]
    assert shown[-1] == "3 histories: 21 sessions, 52 turns."


def test_a_path_is_never_cut_however_narrow_the_terminal(folder: Path, home: Path) -> None:
    shown = run("sources", str(folder), env={"COLUMNS": "40"}).stdout
    assert str(folder / "aj.db") in shown


def test_sources_for_programs_are_json(folder: Path, home: Path) -> None:
    rows = json.loads(run("sources", str(folder), "--format", "json").stdout)
    assert [row["source"] for row in rows] == ["awful_aj", "sessionlab", None]
    assert [row["session_count"] for row in rows] == [20, 1, None]


def test_without_paths_sources_says_where_it_looked_in_vain(home: Path) -> None:
    result = run("sources")
    assert "No history was found" in result.stderr
    looked = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert {"appam", "atuin_ai", "awful_aj", "sessionlab"} <= set(looked)


def test_problems_are_listed_by_file_and_record(folder: Path, home: Path) -> None:
    shown = run("sources", str(folder), "--problems").stdout
    assert "messages 140: the role narrator is not known" in shown
    assert "torn.db" in shown
    assert shown.splitlines()[-1] == "6 problems."
    rows = json.loads(run("sources", str(folder), "--problems", "--format", "json").stdout)
    assert len(rows) == 6
    assert {"source", "origin", "line", "record", "reason"} == set(rows[0])


def test_other_commands_say_in_a_line_that_there_are_problems_and_name_what_cannot_be_read(
    folder: Path, home: Path
) -> None:
    said = run("frame", "sessions", str(folder)).stderr.splitlines()
    assert (
        said[0] == "Warning: 6 problems while reading; `sessionlab sources --problems` with the same paths lists them."
    )
    assert len(said) == 2
    assert "torn.db" in said[1]
