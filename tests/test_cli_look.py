"""The commands `search` and `show`: what people read, what programs read, and how a session is named."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from command_line import PROGRAM, at_terminal, run

import sessionlab
from sessionlab import ModelConfig, Recorder, Usage
from sessionlab.lab.search import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")
needs_a_terminal = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")
ESCAPE = "\x1b["


@pytest.fixture
def store(path: str) -> str:
    """Return a store with two sessions: a short one, and one with everything that a transcript tells."""
    config = ModelConfig(provider_name="anthropic", request_model="claude-sonnet-4-5")
    with Recorder(path) as recorder:
        with recorder.session("greeting", agent="chat") as s:
            s.user("Hello, needle")
        with recorder.session("fix the build", agent="coder", directory="/somewhere/else", config=config) as s:
            s.system("You are careful.")
            s.user("Why does CI fail?\nSay it shortly.")
            turn = s.assistant(
                "Let me look.", reasoning="Perhaps a needle.", usage=Usage(input_tokens=12, output_tokens=3)
            )
            call = turn.tool_call("bash", {"cmd": "pytest -x\necho", "n": 2})
            call.result("\n".join(f"line {n}" for n in range(50)), exit_code=1, is_error=True, duration_s=4.6)
            turn.tool_call("grep", "needle")
            s.error("too many requests", error_type="rate_limit")
            s.note("Stopped here.")
    return path


def ids(path: str) -> dict[str, str]:
    rows = sessionlab.frame("sessions", path, columns=["name", "session_id"], to="arrow").to_pylist()
    return {row["name"]: row["session_id"] for row in rows}


def shown(*arguments: str) -> list[str]:
    return run("show", *arguments).stdout.splitlines()


def test_search_tells_hits_by_session(store: str) -> None:
    lines = run("search", "NEEDLE", store).stdout.splitlines()
    found = ids(store)
    assert lines[0].startswith(f"greeting  {found['greeting']}  sessionlab  20")
    assert lines[1].split() == ["0", "user", "Hello,", "«needle»"]
    assert lines[2] == ""
    assert lines[3].startswith(f"fix the build  {found['fix the build']}  sessionlab  20")
    assert [line.split(maxsplit=3) for line in lines[4:6]] == [
        ["2", "assistant", "reasoning", "Perhaps a «needle»."],
        ["2", "grep", "arguments", "«needle»"],
    ]
    assert re.fullmatch(r"3 places; times are local \(.+\)\.", lines[-1])


def test_search_shows_the_newest_places_and_says_so(path: str) -> None:
    with Recorder(path) as recorder, recorder.session("s") as s, s.batch():
        for number in range(60):
            s.user(f"needle needle {number}")
    lines = run("search", "needle", path).stdout.splitlines()
    assert lines[-1].startswith("The newest 40 places; --limit N shows more, --format csv writes all; ")
    assert lines[1].split() == ["20", "user", "«needle»", "needle", "20", "(+1)"]
    assert len(run("search", "needle", path, "--limit", "3").stdout.splitlines()) == 6


def test_search_writes_every_place_in_every_format(store: str, tmp_path: Path) -> None:
    rows = json.loads(run("search", "needle", store, "--format", "json").stdout)
    table = list(csv.DictReader(io.StringIO(run("search", "needle", store, "--format", "csv").stdout)))
    target = tmp_path / "hits.parquet"
    run("search", "needle", store, "-o", str(target))
    names = [column.name for column in COLUMNS]
    assert list(rows[0]) == list(table[0]) == pq.read_table(target).column_names == names
    assert [row["snippet"] for row in rows] == [row["snippet"] for row in table] == [
        "Hello, «needle»", "Perhaps a «needle».", "«needle»",
    ]  # fmt: skip


def test_search_exits_with_1_and_a_line_where_nothing_was_found(store: str) -> None:
    result = run("search", "nowhere", store, code=1)
    assert (result.stdout, result.stderr) == ("", "'nowhere' was not found.\n")
    result = run("search", "nowhere", store, "--format", "json", code=1)
    assert (result.stdout, result.stderr) == ("[]\n", "'nowhere' was not found.\n")


def test_search_takes_patterns_and_filters(store: str) -> None:
    assert "«CI fail»" in run("search", "--regex", "ci (fail|work)", store).stdout
    assert "missing )" in run("search", "--regex", "(", store, code=1).stderr
    assert "not empty" in run("search", "", store, code=1).stderr
    assert len(json.loads(run("search", "needle", store, "--agent", "chat", "--format", "json").stdout)) == 1
    for name, value, count in (("--model", "claude-sonnet-4-5", 2), ("--since", "1d", 3), ("--session", "", 0)):
        if name == "--session":
            value, count = ids(store)["greeting"][:8], 1
        assert len(json.loads(run("search", "needle", store, name, value, "--format", "json").stdout)) == count


def test_the_beginning_of_an_id_is_enough_where_it_is_the_only_one(sample: str) -> None:
    whole = json.loads(run("frame", "sessions", sample, "--format", "json").stdout)
    first = whole[0]["session_id"]
    assert json.loads(run("frame", "sessions", sample, "--session", first[:9], "--format", "json").stdout) == whole[:1]
    letters = [row["session_id"][0] for row in whole]
    twice = next(letter for letter in letters if letters.count(letter) > 1)
    for command in (("frame", "turns"), ("search", "the")):
        said = run(*command, sample, "--session", twice, code=1).stderr
        assert f"{twice!r} may mean {letters.count(twice)} sessions" in said
        assert next(row["session_id"] for row in whole if row["session_id"][0] == twice) in said
    assert json.loads(run("frame", "sessions", sample, "--session", "nobody", "--format", "json").stdout) == []


def test_show_tells_a_session(store: str) -> None:
    lines = shown("fix the build", store)
    assert lines[0] == "fix the build"
    head = {line[:11].strip(): line[11:] for line in lines[1 : lines.index("")]}
    assert head["session"] == ids(store)["fix the build"]
    assert head["source"] == f"sessionlab, {store}"
    assert head["agent"] == "coder"
    assert head["directory"] == "/somewhere/else"
    assert head["models"] == "claude-sonnet-4-5"
    assert head["did"] == "6 messages, 2 turns, 2 tool calls, 1 with an error"
    assert head["tokens"] == "12 in, 3 out"
    assert head["cost"].endswith(" US dollars (computed)")
    text = "\n".join(lines)
    assert re.search(r"\nsystem  #0  [-\d]+ [\d:]+  preamble\nYou are careful\.\n", text)
    assert re.search(r"\nuser  #1  [\d:]+\nWhy does CI fail\?\nSay it shortly\.\n", text)
    assert re.search(
        r"\nassistant  #2  [\d:]+  claude-sonnet-4-5\n  Perhaps a needle\.\nLet me look\.\n  bash: error, ", text
    )
    assert re.search(
        r"  bash: error, exit code 1, 4\.6 s\n    cmd: pytest -x\n      echo\n    n: 2\n    \| line 0\n", text
    )
    assert "\n    | line 19\n    | … 30 lines more (--full shows all)\n  grep: unanswered\n    needle\n" in text
    assert re.search(r"\nassistant  #4  [\d:]+  error  claude-sonnet-4-5  rate_limit\ntoo many requests\n", text)
    assert re.search(r"\n\w+  #5  [\d:]+  note\nStopped here\.$", text)
    assert sum("line 0" in line for line in lines) == 1
    assert "    | line 49" in shown("fix the build", store, "--full")


@pytest.mark.parametrize("wanted", ["last", "-1"])
def test_show_knows_the_last_session(store: str, wanted: str) -> None:
    assert shown(wanted, store)[0] == "fix the build"


def test_show_takes_an_id_the_beginning_of_one_or_a_name(store: str) -> None:
    whole = ids(store)["greeting"]
    for wanted in (whole, whole[:10], "greeting"):
        assert shown(wanted, store)[0] == "greeting"
    assert "There is no session 'nobody'" in run("show", "nobody", store, code=1).stderr
    assert "There is no session ''" in run("show", "", store, code=1).stderr


def test_a_name_means_the_session_that_is_not_archived(store: str) -> None:
    old = ids(store)["greeting"]
    with Recorder(store) as recorder, recorder.session("greeting", new=True) as s:
        s.user("the new one")
    assert shown("greeting", store)[-1] == "the new one"
    assert any(line.startswith("archived   20") for line in shown(old, store))


def test_show_lists_the_sessions_that_may_be_meant(tmp_path: Path, store: str) -> None:
    copy = tmp_path / "copy.db"
    run("db", "backup", str(copy), "--db", store)
    said = run("show", "greeting", store, str(copy), code=1).stderr
    assert "'greeting' may mean 2 sessions" in said
    assert store in said
    assert str(copy) in said
    assert "no session in these histories" in run("show", "last", empty(tmp_path), code=1).stderr


def empty(folder: Path) -> str:
    path = str(folder / "empty.db")
    Recorder(path).close()
    return path


def test_a_branch_says_where_it_goes_on(path: str) -> None:
    with Recorder(path) as recorder, recorder.session("s") as s:
        first = s.user("first")
        s.assistant("second")
        branch = s.fork(first)
        branch.assistant("another second")
    lines = shown("last", path)
    assert lines[lines.index("another second") - 2] == "(goes on from message 0)"
    assert sum("goes on from" in line for line in lines) == 1


def test_a_call_without_a_turn_is_told_where_its_result_came(path: str) -> None:
    with Recorder(path) as recorder, recorder.session("s") as s:
        s.user("first")
        s.tool_call("bash", "ls").result("a file")
        s.user("second")
        s.tool_call("bash", "later")
    lines = [line for line in shown("last", path) if line.startswith(("first", "second", "    "))]
    assert lines == ["first", "    ls", "    | a file", "second", "    later"]


def test_json_has_the_rows_of_the_frames(store: str) -> None:
    told = json.loads(run("show", "last", store, "--format", "json").stdout)
    assert list(told) == ["session", "messages", "turns", "tool_calls"]
    assert told["session"]["name"] == "fix the build"
    assert [len(told[name]) for name in ("messages", "turns", "tool_calls")] == [6, 2, 2]
    assert told["messages"][0]["created_at"].endswith("Z")


def test_text_of_a_session_cannot_steer_the_terminal(path: str) -> None:
    evil = "\x1b]0;title\x07\x1b[31m\x9b31m\u202egnp.exe\rX"
    with Recorder(path) as recorder, recorder.session(evil, agent=evil, directory="/" + evil) as s:
        s.user(evil + "\nsecond line")
        turn = s.assistant(evil, reasoning=evil)
        turn.tool_call(evil, {evil: evil}).result(evil)
        turn.tool_call("plain", evil)
        s.error(evil, error_type=evil)
    for arguments in (("show", "last", path), ("search", "title", path), ("show", "last", path, "--full")):
        text = run(*arguments).stdout
        assert "title" in text
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r"} & set(text), text
    assert "second line" in shown("last", path)


def test_colors_come_when_asked_and_not_into_a_pipe(store: str) -> None:
    for command in (("search", "needle", store), ("show", "last", store)):
        plain = subprocess.run([PROGRAM, *command], capture_output=True, text=True, check=True).stdout
        colored = subprocess.run([PROGRAM, *command, "--color"], capture_output=True, text=True, check=True).stdout
        assert ESCAPE not in plain
        assert ESCAPE in colored
        assert re.sub(r"\x1b\[[\d;]*m", "", colored) == plain.replace("«", "").replace("»", "")


@needs_a_terminal
def test_a_terminal_has_colors_unless_they_are_not_wanted(store: str) -> None:
    for command in (("search", "needle", store), ("show", "greeting", store)):
        for extra, env, has_color in (
            ((), {"TERM": "xterm", "NO_COLOR": ""}, True),
            ((), {"TERM": "xterm", "NO_COLOR": "1"}, False),
            ((), {"TERM": "dumb", "NO_COLOR": ""}, False),
            (("--no-color",), {"TERM": "xterm", "NO_COLOR": ""}, False),
            (("--color",), {"TERM": "xterm", "NO_COLOR": "1"}, True),
        ):
            code, text = at_terminal(*command, *extra, env={**env, "PAGER": "cat", "LINES": "24"})
            assert code == 0, text
            assert (ESCAPE in text) == has_color, (command, extra, env)


@needs_a_terminal
def test_a_pager_shows_what_is_longer_than_the_terminal(store: str, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho PAGED\ncat\n")
    pager.chmod(0o755)
    env = {"PAGER": str(pager), "LINES": "10", "TERM": "xterm"}
    assert "PAGED" in at_terminal("show", "fix the build", store, env=env)[1]
    assert "PAGED" not in at_terminal("show", "fix the build", store, "--no-pager", env=env)[1]
    assert "PAGED" not in at_terminal("show", "greeting", store, env={**env, "LINES": "100"})[1]
    done = subprocess.run([PROGRAM, "show", "last", store], env={**os.environ, **env}, capture_output=True, check=True)
    assert b"PAGED" not in done.stdout


@needs_a_terminal
def test_a_pager_that_is_left_early_is_no_error(store: str) -> None:
    with Recorder(store) as recorder, recorder.session("long") as s:
        s.user("a line of text\n" * 50_000)
    code, text = at_terminal("show", "long", store, env={"PAGER": "head -n 1", "LINES": "10", "NO_COLOR": "1"})
    assert (code, text.strip()) == (0, "long")


@needs_a_terminal
@pytest.mark.parametrize("command", ["search needle", "show last"])
def test_a_reader_that_goes_early_is_no_error(store: str, command: str) -> None:
    done = subprocess.run(
        f"{PROGRAM} {command} {store} | head -c 1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout[1:] == "0\n"
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["the", "last"])
def test_every_session_of_the_sample_can_be_shown(sample: str, name: str) -> None:
    if name == "the":
        with sessionlab.open(sample) as lab:
            found: list[Any] = lab.frame("sessions", columns="session_id")["session_id"].to_list()
        for session_id in found[::7]:
            assert shown(session_id, sample)[1].endswith(session_id)
    else:
        assert len(shown(name, sample)) > 10
