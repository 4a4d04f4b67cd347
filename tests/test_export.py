"""`sessionlab.export`: frames as Parquet and JSON lines, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars
import pyarrow.parquet as pq
import pytest
from opened import lab_of
from pyarrow.dataset import partitioning
from test_redact import SECRETS, record

import sessionlab
from sessionlab import ExportError, FrameError, Recorder
from sessionlab.exporting.destination import MANIFEST
from sessionlab.lab.frames import FRAMES, schema_of

if TYPE_CHECKING:
    from pathlib import Path

    from sessionlab import Lab

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FORMS: tuple[Any, ...] = ("parquet", "html")
NO_DAY = "__HIVE_DEFAULT_PARTITION__"


@pytest.fixture
def out(tmp_path: Path) -> str:
    return str(tmp_path / "out")


def sample(name: str = "claude_code") -> Lab:
    return lab_of(os.path.join(ROOT, "sample_data", name))


def same(read: pd.DataFrame, plain: pd.DataFrame, name: str) -> None:
    """Check that rows and dtypes are the same; lists come from Parquet as arrays."""
    for column in FRAMES[name].columns:
        if column.type == "list":
            lists = [None if value is None else list(value) for value in read[column.name]]
            read[column.name] = pd.Series(lists, dtype=object)
    pd.testing.assert_frame_equal(read, plain)


@pytest.mark.parametrize("name", ["history.db", "claude_code"])
def test_parquet_reads_back_through_pandas_as_the_frames_of_the_lab(name: str, out: str) -> None:
    lab = sample(name)
    report = sessionlab.export(lab, into=out)
    assert sorted(os.listdir(out)) == [MANIFEST, *sorted(f"{frame}.parquet" for frame in FRAMES)]
    for frame in FRAMES:
        same(pd.read_parquet(os.path.join(out, f"{frame}.parquet")), lab.frame(frame), frame)
        assert report.rows[frame] == len(lab.frame(frame))
    assert (report.files, report.format, report.replaced) == (6, "parquet", None)
    assert report.size_bytes == sum(
        os.path.getsize(os.path.join(out, file)) for file in os.listdir(out) if file != MANIFEST
    )


@pytest.mark.parametrize("by_day", [False, True])
def test_a_history_without_rows_has_the_declared_schema(by_day: bool, path: str, out: str) -> None:
    Recorder(path).close()
    sessionlab.export(path, into=out, by_day=by_day)
    for name, frame in FRAMES.items():
        file = (
            os.path.join(out, name, f"day={NO_DAY}", "part-0.parquet")
            if by_day
            else os.path.join(out, f"{name}.parquet")
        )
        assert pq.read_schema(file).equals(schema_of(frame.columns))
        assert pd.read_parquet(file).dtypes.equals(lab_of(path).frame(name).dtypes)


@pytest.mark.parametrize("name", ["claude_code", "awful_aj"])
def test_days_are_partitions_that_duckdb_pandas_and_polars_read_back(name: str, out: str) -> None:
    lab = sample(name)
    sessionlab.export(lab, into=out, by_day=True)
    for frame_name, frame in FRAMES.items():
        plain = lab.frame(frame_name)
        days = plain[frame.time].dt.strftime("%Y-%m-%d").fillna(NO_DAY)
        folder = os.path.join(out, frame_name)
        wanted = {f"day={day}" for day in days} or {f"day={NO_DAY}"}
        assert set(os.listdir(folder)) == wanted
        pattern = os.path.join(folder, "*", "*.parquet")
        found = duckdb.sql(f"select count(*), count(day) from read_parquet('{pattern}', hive_partitioning = true)")
        assert found.fetchall() == [(len(plain), int((days != NO_DAY).sum()))]
        if (days != NO_DAY).any():  # where all are NULL, pandas and polars cannot tell what a day is
            assert len(pd.read_parquet(folder)) == len(plain)
            read = polars.scan_parquet(pattern, hive_partitioning=True, missing_columns="insert").collect()
            assert (read.height, read["day"].null_count()) == (len(plain), int((days == NO_DAY).sum()))
        for day in days.unique():
            rows = pd.read_parquet(os.path.join(folder, f"day={day}", "part-0.parquet"))
            same(rows, plain[days == day].reset_index(drop=True), frame_name)


def test_json_lines_are_one_object_a_row_with_iso_times_and_lists(out: str) -> None:
    lab = sample()
    sessionlab.export(lab, into=out, format="jsonl")
    for name, frame in FRAMES.items():
        with open(os.path.join(out, f"{name}.jsonl"), encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        plain = lab.frame(name, to="arrow").to_pylist()
        assert len(rows) == len(plain)
        for row, expected in zip(rows, plain, strict=True):
            assert list(row) == list(frame.column_names)
            for column in frame.columns:
                value = expected[column.name]
                if column.type == "time" and value is not None:
                    assert row[column.name].endswith("Z")
                    assert pd.Timestamp(row[column.name]) == pd.Timestamp(value)
                else:
                    assert row[column.name] == value


def test_json_lines_by_day_hold_every_row_once(out: str) -> None:
    lab = sample()
    report = sessionlab.export(lab, into=out, format="jsonl", by_day=True)
    read = duckdb.sql(f"select count(*) from read_json('{out}/messages/*/*.jsonl', hive_partitioning = true)")
    assert read.fetchall() == [(report.rows["messages"],)]


def test_a_day_that_comes_again_when_many_are_open_gets_a_second_file(path: str, out: str) -> None:
    from datetime import timedelta

    with Recorder(path) as recorder, recorder.session("long") as session:
        for day in [*range(60), *range(60)]:
            session.user("again", at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day))
    lab = lab_of(path)
    from sessionlab.exporting import tables
    from sessionlab.exporting.destination import Destination

    frame = FRAMES["messages"]
    with Destination(out, entries=["messages"], force=False, histories=[]) as destination:
        pieces = lab.pieces("messages", row_count=60)
        assert sum(tables.write_frame(destination, frame, pieces, "parquet", by_day=True)) == 120
    parts = {file for day in os.listdir(f"{out}/messages") for file in os.listdir(f"{out}/messages/{day}")}
    assert parts == {"part-0.parquet", "part-1.parquet"}
    assert len(pd.read_parquet(f"{out}/messages")) == 120


@pytest.mark.parametrize("form", ["parquet", "jsonl", "markdown", "html"])
def test_no_planted_secret_is_in_any_file_of_a_redacted_export(form: Any, path: str, out: str) -> None:
    record(path)
    report = sessionlab.export(path, into=out, format=form, redact=True)
    assert report.replaced is not None
    assert report.replaced["private-key"] == 2
    texts = []
    for folder, _, files in os.walk(out):
        for file in files:
            whole = os.path.join(folder, file)
            texts.append(file)
            if form == "parquet" and file != MANIFEST:
                texts.append(repr(pq.read_table(whole).to_pylist()))
            else:
                with open(whole, encoding="utf-8") as opened:
                    texts.append(opened.read())
    text = "\n".join(texts)
    assert "<email-1>" in text or "&lt;email-1&gt;" in text
    for name, (_, secret) in SECRETS.items():
        for line in secret.split("\n"):
            assert line not in text or line.startswith("-----"), name


def test_filters_choose_the_rows_as_they_do_on_the_lab(out: str) -> None:
    lab = sample()
    filters: dict[str, Any] = {"since": "2026-11-01", "source": "claude_code", "limit": 5}
    sessionlab.export(lab, into=out, **filters)
    for name in FRAMES:
        same(pd.read_parquet(os.path.join(out, f"{name}.parquet")), lab.frame(name, **filters), name)


def test_an_opened_lab_stays_open_and_a_redaction_keeps_its_placeholders(path: str, out: str) -> None:
    record(path)
    redaction = lab_of(path).redact()
    content = redaction.frame("messages").content.dropna().iloc[0]
    sessionlab.export(redaction, into=out)
    assert pd.read_parquet(f"{out}/messages.parquet").content.dropna().iloc[0] == content
    assert len(lab_of(path).frame("sessions")) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"format": "csv"}, "'csv'.*'parquet'"),
        ({"format": "html", "by_day": True}, "by_day"),
        ({"sinse": "7d"}, "Did you mean 'since'"),
        ({"tool_name": "bash"}, "no filter 'tool_name'"),
        ({"since": "soon"}, "since='soon'"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    arguments: dict[str, Any], said: str, path: str, out: str, tmp_path: Path
) -> None:
    record(path)
    with pytest.raises(FrameError, match=said):
        sessionlab.export(path, into=out, **arguments)
    assert [name for name in os.listdir(tmp_path) if "export" in name or name == "out"] == []


def test_a_lab_goes_alone(path: str, out: str) -> None:
    record(path)
    with pytest.raises(FrameError, match="2 things"):
        sessionlab.export(lab_of(path), path, into=out)


# What is there already, and what goes wrong


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_files_are_their_owners_alone(path: str, out: str) -> None:
    record(path)
    before = os.umask(0o022)
    try:
        for form in FORMS:
            sessionlab.export(path, into=f"{out}/{form}", format=form, by_day=form == "parquet")
    finally:
        os.umask(before)
    for form in ("parquet", "html"):
        for folder, folders, files in os.walk(f"{out}/{form}"):
            assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
            assert all(stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) == 0o600 for name in files)
            assert folders or files


def test_nothing_is_written_over_unless_forced_and_then_only_what_an_export_left(path: str, out: str) -> None:
    other = f"{path}-other"
    with Recorder(other) as recorder, recorder.session("old") as session:
        session.assistant("Old.", at=datetime(2001, 1, 1, tzinfo=UTC))
    record(path)
    sessionlab.export(other, into=out, by_day=True)
    with open(f"{out}/mine.txt", "w", encoding="utf-8") as file:
        file.write("mine")
    with pytest.raises(ExportError, match=r"sessions.*is there already.*--force"):
        sessionlab.export(path, into=out, by_day=True)
    stale = f"{out}/turns/day=2001-01-01"
    assert os.path.exists(stale)
    sessionlab.export(path, into=out, by_day=True, force=True)
    assert not os.path.exists(stale)
    assert os.path.exists(f"{out}/mine.txt")
    with open(f"{out}/turns/notes.parquet", "w", encoding="utf-8") as file:
        file.write("mine")
    with pytest.raises(ExportError, match=r"notes.parquet.*not as an export left it"):
        sessionlab.export(path, into=out, by_day=True, force=True)
    assert os.path.exists(f"{out}/turns/notes.parquet")
    assert [name for name in os.listdir(out) if name.startswith(".")] == [MANIFEST]


def test_a_history_is_never_written_over(tmp_path: Path, out: str) -> None:
    os.mkdir(out)
    history = f"{out}/sessions"
    record(history)
    with open(history, "rb") as file:
        before = file.read()
    for force in (False, True):
        with pytest.raises(ExportError, match="is a history"):
            sessionlab.export(history, into=out, by_day=True, force=force)
    with open(history, "rb") as file:
        assert file.read() == before
    folder = shutil.copytree(os.path.join(ROOT, "sample_data", "claude_code"), tmp_path / "claude_code")
    with pytest.raises(ExportError, match="would be read as one"):
        sessionlab.export(folder, into=folder / "projects" / "out", format="jsonl")


def test_a_file_is_no_folder_to_export_to(path: str, out: str) -> None:
    record(path)
    with open(out, "w", encoding="utf-8") as file:
        file.write("mine")
    with pytest.raises(ExportError, match="is a file"):
        sessionlab.export(path, into=out)


@pytest.mark.parametrize("form", ["parquet", "html"])
def test_a_failure_in_the_middle_leaves_everything_as_it_was(form: Any, path: str, out: str) -> None:
    record(path, sessions=3)
    sessionlab.export(path, into=out, format=form)
    before = {(f, n): os.stat(os.path.join(f, n)).st_mtime_ns for f, _, names in os.walk(out) for n in names}

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sessionlab.export(path, into=out, format=form, force=True, on_progress=fail)
    after = {(f, n): os.stat(os.path.join(f, n)).st_mtime_ns for f, _, names in os.walk(out) for n in names}
    assert after == before
    with pytest.raises(KeyboardInterrupt):
        sessionlab.export(path, into=f"{out}-new", format=form, on_progress=fail)
    assert not [name for name in os.listdir(os.path.dirname(out)) if "export" in name or name.endswith("-new")]


def test_a_move_that_fails_is_taken_back(path: str, out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record(path)
    sessionlab.export(path, into=out)
    before = {name: os.stat(os.path.join(out, name)).st_mtime_ns for name in os.listdir(out)}
    rename, moves = os.rename, []

    def failing(source: str, target: str) -> None:
        moves.append(target)
        if len(moves) == 6:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", failing)
        with pytest.raises(ExportError, match="Input/output error"):
            sessionlab.export(path, into=out, force=True)
    assert {name: os.stat(os.path.join(out, name)).st_mtime_ns for name in os.listdir(out)} == before


_LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import sessionlab
lab = sessionlab.open(sys.argv[1])
lab.search("x")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
try:
    sessionlab.export(lab, into=sys.argv[2], format=sys.argv[3])
except sessionlab.ExportError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("form", ["jsonl", "html"])
def test_a_full_disk_is_said_and_leaves_nothing(form: str, path: str, out: str, tmp_path: Path) -> None:
    with Recorder(path) as recorder, recorder.session("quotes") as session:
        session.user('"' * 400_000)  # which are more in every file than in the store
        for _ in range(3):
            session.assistant("Yes.")
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": ROOT}
    command = [sys.executable, "-c", _LIMITED, path, out, form]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert "File too large" in done.stdout, done.stderr
    assert "Nothing was changed there" in done.stdout
    assert done.stderr == ""
    assert not os.path.exists(out)
    assert [name for name in os.listdir(tmp_path) if name.startswith(".sessionlab")] == []


def test_a_folder_that_cannot_be_made_is_said(path: str, tmp_path: Path) -> None:
    record(path)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(ExportError, match=r"file' is a file, so "):
        sessionlab.export(path, into=tmp_path / "file" / "out")
    with pytest.raises(ExportError, match="empty text"):
        sessionlab.export(path, into="")


def test_a_failed_export_leaves_no_folder_that_it_made(path: str, tmp_path: Path) -> None:
    record(path)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sessionlab.export(path, into=tmp_path / "a" / "b" / "out", on_progress=fail)
    assert not (tmp_path / "a").exists()


def test_what_the_user_wrote_is_never_replaced(path: str, tmp_path: Path) -> None:
    record(path)
    out = tmp_path / "out"
    (out / "sessions").mkdir(parents=True)
    for name in ("index.md", "sessions/notes.md"):
        (out / name).write_text("mine", encoding="utf-8")
    with pytest.raises(ExportError, match="not as an export left it"):
        sessionlab.export(path, into=out, format="markdown", force=True)
    assert (out / "index.md").read_text(encoding="utf-8") == "mine"
    sessionlab.export(path, into=out / "own", format="markdown")
    (out / "own" / "index.md").write_text("changed by hand", encoding="utf-8")
    with pytest.raises(ExportError, match=r"index.md.*not as an export left it"):
        sessionlab.export(path, into=out / "own", format="markdown", force=True)


@pytest.mark.parametrize("form", FORMS)
def test_filters_that_choose_nothing_are_told_and_nothing_is_written(form: Any, path: str, out: str) -> None:
    record(path)
    with pytest.raises(ExportError, match="Nothing matches session_id='nope'"):
        sessionlab.export(path, into=out, format=form, session_id="nope")
    assert not os.path.exists(out)


def test_days_with_and_without_rows_that_have_a_time_are_read_by_pandas(out: str) -> None:
    paths = [os.path.join(ROOT, "sample_data", name) for name in ("claude_code", "awful_aj")]
    report = sessionlab.export(*paths, into=out, by_day=True)
    for name, count in report.rows.items():
        read = pd.read_parquet(f"{out}/{name}", partitioning=partitioning(flavor="hive"))
        assert len(read) == count
    days = [os.listdir(f"{out}/{name}") for name in FRAMES]
    assert any(f"day={NO_DAY}" in names and len(names) > 1 for names in days)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_export_leaves_no_half_file_under_its_name(path: str, tmp_path: Path) -> None:
    record(path, sessions=3)
    code = (
        "import os, signal, sys, sessionlab\n"
        "def kill(what, done, total):\n"
        "    if what == 'messages': os.kill(os.getpid(), signal.SIGKILL)\n"
        "sessionlab.export(sys.argv[1], into=sys.argv[2], on_progress=kill)"
    )
    out = str(tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-c", code, path, out],
        check=False,
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": ROOT},
    )
    assert done.returncode == -signal.SIGKILL
    assert not os.path.exists(out)
    sessionlab.export(path, into=out)
    assert len(os.listdir(out)) == 7


def test_progress_counts_up_to_all(path: str, out: str) -> None:
    record(path, sessions=2)
    told: dict[str, tuple[int, int]] = {}
    sessionlab.export(path, into=out, on_progress=lambda what, done, total: told.update({what: (done, total)}))
    assert told == {name: (n, n) for name, n in ((n, len(lab_of(path).frame(n))) for n in FRAMES)}


def test_the_report_can_be_read(path: str, out: str) -> None:
    record(path)
    report = sessionlab.export(path, into=out, format="markdown", redact=True)
    assert repr(report).startswith(f"<ExportReport: {out}: 2 files, ")
    assert "1 session; replaced: " in repr(report)
