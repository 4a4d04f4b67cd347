"""The command `export`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from command_line import PROGRAM, ROOT, at_terminal, run
from test_redact import record

import sessionlab

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")


def test_an_export_says_what_it_wrote_and_where(sample: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    said = run("export", sample, "-o", out).stdout
    with sessionlab.open(sample) as lab:
        turns = lab.frame("turns")
    assert said.startswith(f"{out}: 6 files, ")
    assert f"{len(turns):,} turns" in said
    assert len(pd.read_parquet(f"{out}/turns.parquet")) == len(turns)


def test_the_filters_are_those_of_frame(sample: str, tmp_path: Path) -> None:
    with sessionlab.open(sample) as lab:
        session = lab.frame("sessions", limit=1).session_id.iloc[0]
    out = str(tmp_path / "out")
    run("export", sample, "-o", out, "--format", "markdown", "--session", session[:8], "--since", "2000-01-01")
    (file,) = os.listdir(f"{out}/sessions")
    with open(f"{out}/sessions/{file}", encoding="utf-8") as opened:
        assert session in opened.read()


def test_by_day_and_redact_do_what_they_say(path: str, tmp_path: Path) -> None:
    record(path)
    out = str(tmp_path / "out")
    said = run("export", path, "-o", out, "--by-day", "--redact").stdout
    assert "replaced: " in said
    assert "2 private keys" in said
    assert all(day.startswith("day=") for day in os.listdir(f"{out}/turns"))
    assert "<email-1>" in pd.read_parquet(f"{out}/messages").content.dropna().iloc[0]


def test_an_export_that_is_there_stays_unless_forced(sample: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    run("export", sample, "-o", out, "--format", "html")
    assert "is there already" in run("export", sample, "-o", out, "--format", "html", code=1).stderr
    run("export", sample, "-o", out, "--format", "html", "--force")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing option '-o'"),
        (("-o", "x", "--format", "csv"), "'csv' is not one of"),
        (("-o", "x", "--format", "html", "--by-day"), "--by-day goes with parquet and jsonl"),
        (("-o", "x", "--limit", "-1"), "-1"),
    ],
)
def test_a_wrong_call_ends_with_2(arguments: tuple[str, ...], said: str, sample: str) -> None:
    assert said in run("export", sample, *arguments, code=2).stderr


def test_a_history_that_is_not_there_ends_with_1_and_writes_nothing(tmp_path: Path) -> None:
    assert "nowhere" in run("export", str(tmp_path / "nowhere"), "-o", str(tmp_path / "out"), code=1).stderr
    assert not os.path.exists(tmp_path / "out")


def test_help_has_examples() -> None:
    assert "sessionlab export history.db -o usage --by-day --since 30d" in run("export", "--help").stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_at_a_terminal_a_bar_is_shown(sample: str, tmp_path: Path) -> None:
    code, said = at_terminal("export", sample, "-o", str(tmp_path / "out"), "--format", "html")
    assert code == 0
    assert "sessions" in said
    assert "━" in said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_leaves_nothing_behind(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(os.path.join(ROOT, "sample_data"))
    from large_store import write_large

    sessionlab.Recorder(path).close()
    write_large(path, 12_000, [4] * 3_000)
    out = str(tmp_path / "out")
    command = [PROGRAM, "export", path, "-o", out, "--format", "html"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob(".sessionlab-export-*/sessions/*")):  # until it is in the middle of writing
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in said
    assert not os.path.exists(out)
    assert list(tmp_path.glob(".sessionlab-*")) == []
