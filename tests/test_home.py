"""A home folder that holds the histories of all tools, each where its tool keeps it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import run

import sessionlab
from sessionlab.sources import source_names

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sample_data")
# The sample of each tool, and where its tool keeps such files on Linux, as seen from the home folder.
PLACES = {
    "sessionlab": ("history.db", ".local/share/sessionlab/history.db"),
    "claude_code": ("claude_code/projects", ".claude/projects"),
    "codex": ("codex/sessions", ".codex/sessions"),
    "llm": ("llm", ".config/io.datasette.llm"),
    "opencode": ("opencode", ".local/share/opencode"),
    "gemini_cli": ("gemini_cli/tmp", ".gemini/tmp"),
    "goose": ("goose/sessions", ".local/share/goose/sessions"),
    "awful_aj": ("awful_aj/aj.db", ".config/aj/aj.db"),
    "atuin_ai": ("atuin_ai", ".local/share/atuin"),
    "appam": ("appam/data", "work/data"),
}


@pytest.fixture
def full_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder with every tool's history in it; what is run has its folder `work` for its own."""
    home = tmp_path / "full home"
    for given, place in PLACES.values():
        target = home / place
        target.parent.mkdir(parents=True, exist_ok=True)
        source = os.path.join(SAMPLES, given)
        if os.path.isdir(source):
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ".local" / "share"))
    monkeypatch.chdir(home / "work")
    return home


@pytest.mark.skipif(sys.platform != "linux", reason="the places are those of Linux")
def test_open_without_a_path_finds_the_histories_of_all_tools_in_a_home_folder(full_home: Path) -> None:
    with sessionlab.open() as lab:
        found = lab.overview()
        sessions = lab.frame("sessions")
    assert set(found.source.dropna()) == set(PLACES)
    assert set(sessions.source) == set(PLACES)
    assert set(source_names()) - set(PLACES) == {"chatgpt"}  # an export lies where its owner has put it
    assert all(str(origin).startswith(str(full_home)) for origin in found.origin)


@pytest.mark.skipif(sys.platform != "linux", reason="the places are those of Linux")
def test_the_command_sources_lists_each_with_path_size_sessions_and_last_activity(full_home: Path) -> None:
    rows = json.loads(run("sources", "--format", "json", env={"HOME": str(full_home)}).stdout)
    by_tool = {row["source"]: row for row in rows if row["source"]}
    assert set(by_tool) == set(PLACES)
    for tool, row in by_tool.items():
        assert row["origin"].startswith(str(full_home)), tool
        assert row["size_bytes"] > 0, tool
        assert row["session_count"] > 0, tool
        assert (row["last_activity_at"] is None) == (tool == "awful_aj"), tool  # which keeps no times
