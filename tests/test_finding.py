"""Without a path, every tool's own places are looked at; what lies there is read, and what cannot be is a problem."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

import sessionlab
from sessionlab import Recorder, SessionLabWarning
from sessionlab.lab.finding import find_session, whole_ids
from sessionlab.sources import awful_aj

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sample_data")
FILES = {
    "awful_aj": os.path.join(SAMPLES, "awful_aj", "aj.db"),
    "atuin_ai": os.path.join(SAMPLES, "atuin_ai", "ai_sessions.db"),
    "appam": os.path.join(SAMPLES, "appam", "data", "sessions.db"),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be at home in an empty folder, with no environment that says otherwise."""
    folder = tmp_path / "home"
    (folder / "project").mkdir(parents=True)
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.chdir(folder / "project")
    return folder


def put(tool: str, path: Path | str) -> str:
    """Copy a tool's sample to where the tool would keep it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return str(shutil.copyfile(FILES[tool], path))


def aj_folder(home: Path) -> Path:
    """Return where `aj` keeps its files on this platform."""
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "com.awful-sec.aj"
    return home / "awful-sec" / "aj" / "config" if sys.platform == "win32" else home / ".config" / "aj"


def test_the_histories_of_all_tools_are_found_and_come_by_tool_and_path(home: Path) -> None:
    expected = [
        ("appam", put("appam", home / "project" / "data" / "sessions.db")),
        ("atuin_ai", put("atuin_ai", home / ".local" / "share" / "atuin" / "ai_sessions.db")),
        ("awful_aj", put("awful_aj", aj_folder(home) / "aj.db")),
    ]
    with Recorder() as recorder:
        recorder.session("mine").user("q")
        expected.append(("sessionlab", recorder.path))
    with sessionlab.open() as lab:
        assert [(tool, os.path.realpath(path)) for tool, path in lab.sources] == [
            (tool, os.path.realpath(path)) for tool, path in expected
        ]
        sessions = lab.frame("sessions")
        assert sessions["source"].drop_duplicates().tolist() == [tool for tool, _ in expected]
        assert set(lab.frame("messages", columns=["source"])["source"]) == {tool for tool, _ in expected}


def test_the_overview_says_of_each_history_what_is_in_it(home: Path) -> None:
    path = put("awful_aj", aj_folder(home) / "aj.db")
    store = home / "history.db"
    with Recorder(str(store)) as recorder, recorder.session("mine") as session:
        session.user("q")
        session.assistant("a")
    broken = home / "broken.db"
    broken.write_bytes(b"not a database")
    with sessionlab.open(str(home)) as lab:
        overview = lab.overview()
        problems = lab.problems
    assert overview["source"].tolist()[:2] == ["awful_aj", "sessionlab"]
    assert overview["origin"].tolist() == [path, str(store), str(broken)]
    assert overview["size_bytes"].tolist()[0] == os.path.getsize(path)
    assert overview["session_count"].tolist()[1] == 1
    assert overview["turn_count"].tolist()[1] == 1
    assert overview["last_activity_at"].isna().tolist() == [True, False, True]
    assert overview["problem_count"].tolist() == [(problems["origin"] == path).sum(), 0, 1]
    assert overview["source"].isna().tolist() == [False, False, True]


def test_a_folder_that_was_named_is_looked_through_again_at_each_call(home: Path) -> None:
    put("awful_aj", home / "a" / "aj.db")
    with sessionlab.open(str(home)) as lab:
        assert set(lab.frame("sessions")["source"]) == {"awful_aj"}
        put("appam", home / "b" / "sessions.db")
        assert set(lab.frame("sessions")["source"]) == {"awful_aj", "appam"}
        os.remove(home / "a" / "aj.db")
        assert set(lab.frame("sessions")["source"]) == {"appam"}


def test_an_unrelated_file_in_a_default_place_is_a_problem_and_hides_nothing(home: Path) -> None:
    import sqlite3

    (home / "project" / "data").mkdir()
    connection = sqlite3.connect(home / "project" / "data" / "sessions.db")
    connection.execute("create table sessions (id text primary key, cart text)")
    connection.close()
    put("awful_aj", aj_folder(home) / "aj.db")
    with sessionlab.open() as lab:
        assert set(lab.frame("sessions")["source"]) == {"awful_aj"}
        assert lab.problems["reason"].str.contains("of no known tool").sum() == 1


def test_nothing_found_gives_empty_frames_and_says_so_once(home: Path) -> None:
    with pytest.warns(SessionLabWarning, match="No history was found") as caught:
        lab = sessionlab.open()
    assert len(caught) == 1
    with lab:
        assert len(lab.frame("turns")) == 0
        assert len(lab.overview()) == 0


def test_the_file_that_the_configuration_of_aj_names_comes_first(home: Path) -> None:
    folder = aj_folder(home)
    elsewhere = put("awful_aj", home / "elsewhere" / "talks.db")
    usual = put("awful_aj", folder / "aj.db")
    (folder / "config.yaml").write_text(f'model: "m"\nsession_db_url: {json.dumps(elsewhere)}\n')
    assert awful_aj.default_paths()[:2] == [elsewhere, usual]
    for text in ("session_db_url: null\n", "session_db_url: ''\n", "- a list\n", "{ not: [yaml", "session_db_url: 7\n"):
        (folder / "config.yaml").write_text(text)
        assert awful_aj.default_paths()[0] == usual


def test_the_beginning_of_an_id_means_the_session_and_not_its_subagents() -> None:
    with sessionlab.open(os.path.join(SAMPLES, "claude_code")) as lab:
        ids = lab.frame("sessions").session_id
        parent = next(one for one in ids if any(other.startswith(f"{one}/") for other in ids))
        assert find_session(lab, parent[:8])["session_id"] == parent
        assert whole_ids(lab, [parent[:8]]) == [parent]
