"""The commands `frame` and `sql`: what they print, what they write, and how they fail."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from command_line import PROGRAM, run

from sessionlab import Recorder, Usage, __version__
from sessionlab.lab.frames import FRAMES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")


def records(*arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run(*arguments, "--format", "json").stdout)
    return found


@pytest.mark.parametrize(
    "command", [(), ("frame",), ("sql",), ("search",), ("show",), ("db",), ("db", "reset"), ("db", "prune")]
)
def test_help_says_what_a_command_does_without_loading_pandas_or_duckdb(command: tuple[str, ...]) -> None:
    code = (
        "import sys; sys.argv[0] = 'sessionlab'; from sessionlab.cli import main\n"
        "try: main()\nfinally:\n"
        "    assert not {'pandas', 'duckdb', 'pyarrow', 'rich', 'plotly'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: {' '.join(('sessionlab', *command))} ")
    if command not in [(), ("db",)]:
        assert "Example" in done.stdout


def test_the_help_of_frame_lists_every_frame() -> None:
    text = run("frame", "--help").stdout
    assert all(f"\n  {name} " in text for name in FRAMES)


def test_the_program_says_its_version() -> None:
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"sessionlab {__version__}\n"


@pytest.mark.parametrize("name", list(FRAMES))
def test_json_and_csv_and_parquet_hold_every_row_and_column(sample: str, tmp_path: Path, name: str) -> None:
    as_json = records("frame", name, sample)
    rows = list(csv.DictReader(io.StringIO(run("frame", name, sample, "--format", "csv").stdout_bytes.decode())))
    target = tmp_path / "out.parquet"
    run("frame", name, sample, "-o", str(target))
    table = pq.read_table(target)
    assert as_json
    assert list(as_json[0]) == list(rows[0]) == table.column_names == list(FRAMES[name].column_names)
    assert len(as_json) == len(rows) == table.num_rows
    for record, row in zip(as_json, rows, strict=True):
        for column in FRAMES[name].columns:
            value = record[column.name]
            if value is None:
                assert row[column.name] == ""
            elif column.type in ("text", "time"):
                assert row[column.name] == value
            elif column.type == "list":
                assert json.loads(row[column.name]) == value


def test_times_are_iso_and_utc_and_null_is_not_an_empty_text(sample: str) -> None:
    row = records("frame", "turns", sample, "--columns", "started_at,error_type", "--limit", "1")[0]
    assert str(row["started_at"]).endswith("Z")
    assert str(row["started_at"])[10] == "T"
    assert row["error_type"] is None
    text = run("sql", "select '' as empty, null as missing", sample, "--format", "csv").stdout
    assert text.splitlines()[1] == '"",'


def test_a_table_shows_some_rows_and_says_how_many_there_are(sample: str) -> None:
    lines = run("frame", "messages", sample).stdout.splitlines()
    total = len(records("frame", "messages", sample, "--columns", "source"))
    assert f"20 of {total} rows; --limit N shows more, --format csv writes all." in lines
    assert lines[-1].startswith("Not shown, choose with --columns: ")
    assert len(lines) == 24
    assert all(len(line) <= 100 for line in lines[:-1])
    assert lines[0].startswith("session_id ")
    assert "created_at" in lines[0]
    lines = run("frame", "messages", sample, "--limit", "3").stdout.splitlines()
    assert f"3 of {total} rows; --limit N shows more, --format csv writes all." in lines


def test_a_table_shows_the_columns_that_were_chosen(sample: str) -> None:
    lines = run("frame", "sessions", sample, "--columns", "agent_name,turn_count", "--agent", "ops").stdout.splitlines()
    assert lines[0].split() == ["agent_name", "turn_count"]
    assert all(line.split()[0] == "ops" for line in lines[2:-1])
    assert lines[-1] == f"{len(lines) - 3} rows."


def test_null_is_an_empty_cell_and_long_cells_are_cut(sample: str) -> None:
    text = run("sql", "select null as a, repeat('x', 500) as b, true as c, 12.5 as d", sample).stdout
    assert "None" not in text
    assert "…" in text
    assert "true" in text
    assert max(map(len, text.splitlines())) < 100


def test_text_of_a_session_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    with Recorder(path) as recorder, recorder.session("\x1b]0;title\x07\x1b[31m") as s:
        s.user("\x1b[2J\x9b31m\u202egnp.exe\r\n[bold]markup[/bold] :smile:")
    for arguments in (
        ("frame", "messages", path, "--columns", "content"),
        ("frame", "sessions", path, "--columns", "name"),
        ("sql", 'select 1 as "\x1b[31mred"', path),
    ):
        text = run(*arguments).stdout
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r"} & set(text), text
    assert "[bold]markup[/bold] :smile:" in run("frame", "messages", path, "--columns", "content").stdout


def test_filters_reach_the_frame(sample: str) -> None:
    bash = records("frame", "tool_calls", sample, "--where", "tool_name=bash", "--where", "is_error=true")
    assert bash
    assert {(row["tool_name"], row["is_error"]) for row in bash} == {("bash", True)}
    either = records("frame", "tool_calls", sample, "--where", "status=denied", "--where", "status=timeout")
    assert sorted(str(row["status"]) for row in either) == ["denied", "timeout"]
    one = str(bash[0]["session_id"])
    assert {row["session_id"] for row in records("frame", "turns", sample, "--session", one)} == {one}
    october = records("frame", "sessions", sample, "--since", "2026-10-01T00:00Z", "--until", "2026-11-01T00:00Z")
    assert october
    assert all("2026-10-01" <= str(row["started_at"]) < "2026-11-01" for row in october)
    models = {row["response_model"] for row in records("frame", "turns", sample, "--model", "gpt-5.5")}
    assert models == {"gpt-5.5"}
    folders = records("frame", "sessions", sample, "--directory", "/home/ada/projects/harbor")
    assert {row["directory"] for row in folders} == {"/home/ada/projects/harbor"}
    assert records("frame", "sessions", sample, "--source", "awful_aj") == []


def test_sql_reads_the_query_from_standard_input(sample: str) -> None:
    result = run("sql", "-", sample, "--format", "csv", stdin="select count(*) as sessions from sessions")
    assert result.stdout.splitlines() == ['"sessions"', "56"]


def test_sql_keeps_columns_of_one_name_apart(sample: str) -> None:
    assert list(records("sql", "select 1 as a, 2 as a", sample)[0].values()) == [1, 2]


def test_the_default_store_is_read_without_a_path() -> None:
    with Recorder() as recorder, recorder.session("here") as s:
        s.user("Hello")
        s.assistant("Hello to you", usage=Usage(input_tokens=3, output_tokens=4))
    assert [row["name"] for row in records("frame", "sessions")] == ["here"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("frame", "turnz", "{sample}"), "'turnz'"),
        (("frame", "turns", "nowhere.db"), "nowhere.db"),
        (("frame", "turns", "{sample}", "--columns", "nonsense"), "'nonsense'"),
        (("frame", "turns", "{sample}", "--where", "nonsense=1"), "'nonsense'"),
        (("frame", "tool_calls", "{sample}", "--where", "is_error=perhaps"), "'perhaps'"),
        (("frame", "turns", "{sample}", "--since", "yesterday"), "'yesterday'"),
        (("sql", "delete from turns", "{sample}"), "SELECT"),
        (("sql", "select nonsense from turns", "{sample}"), "nonsense"),
    ],
)
def test_an_error_is_a_line_or_two_on_standard_error(sample: str, arguments: tuple[str, ...], said: str) -> None:
    result = run(*(word.format(sample=sample) for word in arguments), code=1)
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert said in errors[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("frame",),
        ("nonsense",),
        ("frame", "turns", "{sample}", "--limit", "-1"),
        ("frame", "turns", "{sample}", "--limit", "many"),
        ("frame", "turns", "{sample}", "--where", "status"),
        ("frame", "turns", "{sample}", "--format", "xml"),
        ("frame", "turns", "{sample}", "-o", "out.xml"),
        ("frame", "turns", "{sample}", "-o", "out.csv", "--format", "table"),
    ],
)
def test_wrong_usage_exits_with_2(sample: str, arguments: tuple[str, ...]) -> None:
    assert run(*(word.format(sample=sample) for word in arguments), code=2).stdout == ""


def test_a_file_that_is_there_is_not_written_over_unless_forced(sample: str, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("mine")
    assert "--force" in run("frame", "sessions", sample, "-o", str(target), code=1).stderr
    assert target.read_text() == "mine"
    run("frame", "sessions", sample, "-o", str(target), "--force")
    assert target.read_text().startswith('"source","session_id"')
    assert sorted(os.listdir(tmp_path)) == ["home", "out.csv", "sample.db"]


def test_a_history_is_never_written_over(sample: str) -> None:
    before = os.stat(sample).st_mtime_ns
    said = run("frame", "sessions", sample, "-o", sample, "--format", "csv", "--force", code=1).stderr
    assert "is a history" in said
    assert os.stat(sample).st_mtime_ns == before


def test_a_failed_query_leaves_no_file(sample: str, tmp_path: Path) -> None:
    run("sql", "select 1/0 as a from nonsense", sample, "-o", str(tmp_path / "out.json"), code=1)
    assert sorted(os.listdir(tmp_path)) == ["home", "sample.db"]


def test_a_folder_that_is_not_there_is_said(sample: str, tmp_path: Path) -> None:
    assert "No such file" in run("frame", "sessions", sample, "-o", str(tmp_path / "no" / "out.csv"), code=1).stderr


def test_reading_leaves_nothing_beside_the_history(sample: str, tmp_path: Path) -> None:
    before = os.stat(sample).st_mtime_ns
    run("frame", "messages", sample, "--format", "json")
    assert sorted(os.listdir(tmp_path)) == ["home", "sample.db"]
    assert os.stat(sample).st_mtime_ns == before


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet"])
def test_a_reader_that_goes_early_is_no_error(sample: str, form: str) -> None:
    done = subprocess.run(
        f"{PROGRAM} frame messages {sample} --limit 400 --format {form} | head -c 1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=True,
        errors="replace",
    )
    assert done.stdout[1:] == "0\n"
    assert "Error" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_full_disk_is_a_line(sample: str) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    for form in ("table", "csv", "json", "parquet"):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [PROGRAM, "frame", "messages", sample, "--limit", "400", "--format", form],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert done.returncode == 1
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr


def test_ctrl_c_ends_a_query_at_once_and_leaves_nothing(sample: str, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    query = "select count(*) from range(1000000) a, range(100000000) b where a.range * b.range = 7"
    with subprocess.Popen(
        [PROGRAM, "sql", query, sample],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            while not os.listdir(temporary):  # until the histories are being opened
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(timeout=0.05)
            with pytest.raises(subprocess.TimeoutExpired):  # it runs for hours, so by then it is at work
                process.wait(timeout=3)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 1
    assert (stdout, stderr.strip()) == ("", "Aborted!")
    assert os.listdir(temporary) == []


def test_the_program_runs_as_a_module_too() -> None:
    done = subprocess.run([sys.executable, "-m", "sessionlab", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"sessionlab {__version__}\n"


def test_duckdb_writes_no_progress_bar_where_python_runs_no_script() -> None:
    code = (
        "from sessionlab.lab.engine import Engine\n"
        "sql = \"select current_setting('enable_progress_bar')\"\n"
        "with Engine() as engine:\n"
        "    for connection in (engine.narrow, engine.full, engine.reader):\n"
        "        print(connection.execute(sql).fetchone()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 3


def test_parquet_is_not_sent_to_a_screen(sample: str) -> None:
    here, there = pty.openpty()
    try:
        done = subprocess.run(
            [PROGRAM, "frame", "turns", sample, "--format", "parquet"],
            stdout=there,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(there)
        os.close(here)
    assert done.returncode == 2
    assert "-o FILE" in done.stderr


def test_a_terminal_without_unicode_gets_a_table_all_the_same(sample: str) -> None:
    done = subprocess.run(
        [PROGRAM, "sql", "select '世界' as world", sample],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\\u4e16" in done.stdout
