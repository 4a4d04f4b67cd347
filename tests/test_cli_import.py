"""The command `import`: what it says, as text and as JSON, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from archive_rows import SAMPLES, aged
from command_line import at_terminal, run

import sessionlab

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> str:
    shutil.copytree(os.path.join(SAMPLES, "awful_aj"), tmp_path / "histories")
    return aged(str(tmp_path / "histories"))


def test_import_says_in_a_line_what_it_did_and_below_what_it_could_not_read(folder: str, home: Path) -> None:
    store = str(home / "store.db")
    first = run("import", folder, "--into", store)
    assert first.stdout == f"{store}: 2 files, 23 sessions, 56 turns added, 0 unchanged, 5 problems\n"
    assert "messages 140: the role narrator is not known" in first.stderr
    again = run("import", folder, "--into", store)
    assert again.stdout == f"{store}: 2 files, 23 sessions, 0 turns added, 23 unchanged, 0 problems\n"
    assert again.stderr == ""


def test_import_without_a_store_named_goes_to_that_of_the_settings(folder: str, home: Path) -> None:
    run("import", folder)
    shutil.rmtree(folder)
    rows = json.loads(run("sources", "--format", "json").stdout)
    store = str(home / "data" / "sessionlab" / "history.db")
    assert [(row["source"], row["origin"], row["session_count"]) for row in rows] == [
        ("sessionlab", store, 0),
        ("awful_aj", store, 23),
    ]


def test_the_report_for_programs_is_json_with_every_problem(folder: str, home: Path) -> None:
    report = json.loads(run("import", folder, "--json").stdout)
    assert {name: report[name] for name in ("files", "sessions", "turns_added", "unchanged")} == {
        "files": 2,
        "sessions": 23,
        "turns_added": 56,
        "unchanged": 0,
    }
    assert len(report["problems"]) == 5
    assert set(report["problems"][0]) == {"source", "origin", "line", "record", "reason"}


def test_a_path_without_a_history_is_an_error_in_a_line(home: Path) -> None:
    result = run("import", str(home / "nothing.db"), code=1)
    assert "is not there" in result.stderr
    assert not os.path.exists(home / "data")


def test_a_store_that_is_no_store_is_refused(folder: str, home: Path) -> None:
    other = os.path.join(folder, "second.db")
    result = run("import", os.path.join(folder, "aj.db"), "--into", other, code=1)
    assert "another program" in result.stderr


def test_at_a_terminal_a_bar_shows_how_far_each_tool_is(folder: str, home: Path) -> None:
    code, got = at_terminal("import", folder, "--into", str(home / "store.db"))
    assert code == 0
    assert "awful_aj" in got
    assert "56 turns added" in got
    with sessionlab.open(str(home / "store.db")) as lab:
        assert len(lab.frame("sessions")) == 23


def test_help_shows_examples(home: Path) -> None:
    shown = run("import", "--help").stdout
    assert "sessionlab import ~/.claude/projects --into ~/archive.db" in shown
