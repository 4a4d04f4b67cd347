"""Histories that are many files of JSON records: what is new is read on, what is odd is told, nothing is changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from soaking import sizes_of, tell
from test_foreign_files import check_whole
from test_frames import COLUMNS
from test_source_claude_code import FIRST, SECOND, SETTLED, THIRD, answer, said, text, use, user, write

import sessionlab
from sessionlab import HistoryFileError
from sessionlab.lab.tree import TreeCopy
from sessionlab.sources import all_sources

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sessionlab.lab.files import RecordsFile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAMPLE_DATA = os.path.join(ROOT, "sample_data")
# The folder of each tool's sample, whose files are damaged here.
SAMPLES = {
    "claude_code": "claude_code",
    "codex": "codex",
    "gemini_cli": "gemini_cli",
    "goose": "goose",
    "opencode": os.path.join("opencode", "storage"),
    "chatgpt": "chatgpt",
    "appam": "appam",
}
every_tool = sizes_of("tool,count", {tool: 15 if tool == "claude_code" else 3 for tool in SAMPLES}, 25)
# Here a session is in several files, and one of them alone says nothing.
TOGETHER = {"opencode", "appam"}


def add(path: str, *lines: Any, end: str = "\n") -> None:
    """Append lines to a file, as a tool does that is at work."""
    with open(path, "a", encoding="utf-8") as file:
        for line in lines:
            file.write(line if isinstance(line, str) else json.dumps({"sessionId": FIRST} | line))
            file.write(end)


def file_of(lab: sessionlab.Lab, path: str) -> RecordsFile:
    """Return what a lab knows of a file."""
    assert lab._histories is not None
    (tree,) = [copy for copy in lab._histories.copies if isinstance(copy, TreeCopy)]
    return tree.files[path]


def texts(lab: sessionlab.Lab) -> list[str]:
    content: list[str] = lab.frame("messages").content.fillna("").tolist()
    return content


def reasons(lab: sessionlab.Lab) -> list[tuple[int | None, str]]:
    found = lab.problems
    found = found[~found.reason.str.contains("price")]
    lines = [None if pd.isna(line) else int(line) for line in found.line]
    return list(zip(lines, found.reason, strict=True))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "history" / f"{FIRST}.jsonl")


# Tokens alone, which need less of the files


@pytest.mark.parametrize(
    "source", [source.name for source in all_sources() if "usage_turn" in getattr(source, "statements", {})]
)
@pytest.mark.parametrize("name", ["directory", "agent_name", "model"])
def test_the_first_token_usage_can_be_filtered_by_what_is_told_of_sessions(source: str, name: str) -> None:
    path = os.path.join(SAMPLE_DATA, source)
    with sessionlab.open(path) as lab:
        values = (
            (lab.frame("turns").response_model if name == "model" else lab.frame("sessions")[name]).dropna().unique()
        )
        expected = [lab.frame("token_usage", **{name: value}) for value in values]
    assert name != "directory" or any(len(rows) for rows in expected)
    for value, rows in zip(values, expected, strict=True):
        with sessionlab.open(path) as lab:
            pd.testing.assert_frame_equal(lab.frame("token_usage", **{name: value}), rows)


# Growth


def test_what_was_read_is_not_read_again_when_a_file_grows(path: str) -> None:
    write(path, user("u1", "first"), said("a2", "m1", output=11), user("u3", "x" * 400))
    with sessionlab.open(path) as lab:
        assert lab.frame("turns").output_tokens.tolist() == [11]
        file = file_of(lab, path)
        before = file.offset
        assert (before, file.line_count) == (os.path.getsize(path), 3)
        # Another count at its place shows whether it is looked at again.
        with open(path, "rb+") as opened:
            content = opened.read()
            opened.seek(content.index(b'"output_tokens": 11') + 17)
            opened.write(b"99")
        add(path, said("a4", "m2", output=5))
        assert lab.frame("turns").output_tokens.tolist() == [11, 5]
        assert (file.offset, file.line_count) == (os.path.getsize(path), 4)
        assert lab.frame("token_usage").tokens.tolist() == [3, 11, 3, 5]


def test_files_that_did_not_change_are_left_alone_when_another_grows(tmp_path: Path) -> None:
    paths = [
        write(str(tmp_path / f"{name}.jsonl"), user(f"u{n}", "first"), said(f"a{n + 5}", f"m{n}"), session_id=name)
        for n, name in enumerate((FIRST, SECOND))
    ]
    with sessionlab.open(tmp_path) as lab:
        assert texts(lab) == ["first", "a", "first", "a"]
        assert lab._histories is not None
        (tree,) = [copy for copy in lab._histories.copies if isinstance(copy, TreeCopy)]
        generations = [tree.files[path].generation for path in paths]
        held = [tree._pieces_of_text["message"][tree.files[path].number][1] for path in paths]
        add(paths[1], user("u20", "more") | {"sessionId": SECOND})
        assert texts(lab) == ["first", "a", "first", "a", "more"]
        assert tree.files[paths[0]].generation == generations[0]
        assert tree.files[paths[1]].generation > generations[1]
        assert tree._pieces_of_text["message"][tree.files[paths[0]].number][1] is held[0]


def test_nothing_is_read_where_nothing_changed(path: str) -> None:
    write(path, user("u1", "first"), said("a2", "m1"))
    with sessionlab.open(path) as lab:
        lab.frame("messages")
        file = file_of(lab, path)
        generation = file.generation
        for name in COLUMNS:
            lab.frame(name)
        lab.search("first")
        assert file.generation == generation


def test_a_response_whose_lines_come_one_by_one_is_one_turn_at_each_time(path: str) -> None:
    write(path, user("u1", "first"), said("a2", "m1", text("one"), output=1, stop=None))
    with sessionlab.open(path) as lab, sessionlab.open(path) as quick:
        for more, output, words in (
            (None, 1, "one"),
            (said("a3", "m1", text("two"), output=40, stop=None), 40, "one\n\ntwo"),
            (said("a4", "m1", use(), output=96, stop="tool_use"), 96, "one\n\ntwo"),
        ):
            if more:
                add(path, more)
            turns = lab.frame("turns")
            assert turns.output_tokens.tolist() == [output]
            assert turns.response.tolist() == [words]
            assert quick.frame("token_usage").tokens.tolist() == [3, output]
        assert lab.frame("tool_calls").status.tolist() == ["unanswered"]
        add(path, user("u5", [answer("t1", "done")]))
        calls = lab.frame("tool_calls")
        assert (calls.status.tolist(), calls.result.tolist()) == (["ok"], ["done"])
        assert lab.frame("turns").usage_quality.tolist() == ["final"]


def test_a_half_written_last_line_waits_for_its_end(path: str) -> None:
    write(path, user("u1", "first"))
    line = json.dumps({"sessionId": FIRST} | user("u2", "größer"), ensure_ascii=False).encode()
    middle = line.index("ö".encode()) + 1
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["first"]
        for part in (line[:30], line[30:middle], line[middle:-1]):
            with open(path, "ab") as file:
                file.write(part)
            assert texts(lab) == ["first"]
            assert reasons(lab) == []  # somebody may be at work on it
        with open(path, "ab") as file:
            file.write(line[-1:])
        assert texts(lab) == ["first", "größer"]  # whole, though nobody has ended the line
        add(path, "", user("u3", "third"))
        assert texts(lab) == ["first", "größer", "third"]


def test_a_last_line_that_nobody_will_end_is_a_problem(path: str) -> None:
    write(path, user("u1", "first"))
    add(path, '{"type":"user","uuid":"u2","mess', end="")
    os.utime(path, (SETTLED, SETTLED))
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["first"]
        assert reasons(lab) == [(2, "the file is cut off in it; it is left out")]


# Files that come and go


def test_a_file_that_was_replaced_is_read_anew(path: str) -> None:
    write(path, user("u1", "first"), said("a2", "m1"))
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["first", "a"]
        other = write(path + ".new", user("u1", "other"), said("a2", "m1"), user("u3", "and more"))
        os.replace(other, path)
        assert texts(lab) == ["other", "a", "and more"]


def test_a_file_that_was_written_anew_in_place_is_read_anew_whatever_its_length(path: str) -> None:
    write(path, user("u1", "first"), said("a2", "m1"))
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["first", "a"]
        for words in ("other", "longer than before", "short"):
            with open(path, "r+", encoding="utf-8") as file:
                file.truncate()
                file.write(json.dumps({"sessionId": FIRST} | user("u1", words)) + "\n")
                file.write(json.dumps({"sessionId": FIRST} | said("a2", "m1", text(words))) + "\n")
            assert texts(lab) == [words, words]


def test_a_file_that_was_cut_loses_what_was_cut(path: str) -> None:
    write(path, user("u1", "first"), user("u2", "second"), user("u3", "third"))
    with sessionlab.open(path) as lab:
        assert len(texts(lab)) == 3
        with open(path, "rb+") as file:
            content = file.read()
            file.truncate(content.index(b"\n") + 1)
        assert texts(lab) == ["first"]
        add(path, user("u4", "fourth"))
        assert texts(lab) == ["first", "fourth"]


def test_files_are_found_and_forgotten_as_they_come_go_and_are_renamed(tmp_path: Path) -> None:
    first = write(str(tmp_path / "a" / f"{FIRST}.jsonl"), user("u1", "first"))
    with sessionlab.open(tmp_path) as lab:
        assert texts(lab) == ["first"]
        second = write(str(tmp_path / "b" / "deep" / f"{SECOND}.jsonl"), user("u2", "second"), session_id=SECOND)
        assert texts(lab) == ["first", "second"]
        assert len(lab.search("second")) == 1
        os.remove(first)
        assert texts(lab) == ["second"]
        assert lab.frame("sessions").origin.tolist() == [second]
        moved = str(tmp_path / "c.jsonl")
        os.rename(second, moved)
        assert texts(lab) == ["second"]
        assert lab.frame("sessions").origin.tolist() == [moved]
        os.remove(moved)
        assert texts(lab) == []
        assert lab.frame("token_usage").empty
        write(first, user("u1", "back"))
        assert texts(lab) == ["back"]
        assert reasons(lab) == []


def test_a_named_file_that_goes_is_an_error_and_is_read_when_it_is_back(path: str) -> None:
    write(path, user("u1", "first"))
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["first"]
        os.rename(path, path + ".away")
        with pytest.raises(HistoryFileError, match=r"is not there"):
            lab.frame("messages")
        os.rename(path + ".away", path)
        assert texts(lab) == ["first"]


def test_an_empty_file_is_read_when_it_has_lines(tmp_path: Path) -> None:
    write(str(tmp_path / f"{FIRST}.jsonl"), user("u1", "first"))
    second = write(str(tmp_path / f"{SECOND}.jsonl"))
    with sessionlab.open(tmp_path) as lab:
        assert texts(lab) == ["first"]
        add(second, user("u2", "second") | {"sessionId": SECOND})
        assert texts(lab) == ["first", "second"]


def test_a_snapshot_holds_while_files_grow_and_go(tmp_path: Path) -> None:
    paths = [
        write(str(tmp_path / f"{name}.jsonl"), user(f"u{n}", f"q{n}"), session_id=name)
        for n, name in enumerate((FIRST, SECOND, THIRD))
    ]
    with sessionlab.open(tmp_path) as lab:
        lab.search("q0")  # what a snapshot holds must have been asked for
        with lab.snapshot():
            add(paths[0], user("u9", "later"))
            os.remove(paths[1])
            write(str(tmp_path / "new.jsonl"), user("u10", "new"), session_id="new")
            assert texts(lab) == ["q0", "q1", "q2"]
            assert len(lab.frame("sessions")) == 3
            assert lab.search("later").empty
        assert sorted(texts(lab)) == ["later", "new", "q0", "q2"]


# Odd lines


def test_lines_that_are_no_records_are_problems_with_their_number_and_the_others_are_read(path: str) -> None:
    write(
        path,
        user("u1", "first"),
        '{"type":"user","uuid":"u2","message":',
        "[1, 2]",
        "5",
        "null",
        "no JSON at all",
        user("u7", "last"),
    )
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["first", "last"]
        expected = [
            (2, "it is no JSON; it is left out"),
            (3, "it is no object; it is left out"),
            (4, "it is no object; it is left out"),
            (5, "it is no JSON; it is left out"),
            (6, "it is no JSON; it is left out"),
        ]
        assert reasons(lab) == expected
        add(path, "also none", user("u9", "after"))
        assert texts(lab) == ["first", "last", "after"]
        assert reasons(lab) == [*expected, (8, "it is no JSON; it is left out")]


def test_a_line_that_the_reader_refuses_is_mended(path: str) -> None:
    half = json.dumps({"sessionId": FIRST} | user("u2", "half \ud83d."))
    assert "\\ud83d" in half
    write(path, user("u1", "first"), half, said("a3", "m1"))
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["first", "half \ufffd.", "a"]
        add(path, half.replace("u2", "u4"), user("u5", "last"))
        assert texts(lab) == ["first", "half \ufffd.", "a", "half \ufffd.", "last"]
        assert lab.frame("turns").output_tokens.tolist() == [5]
        assert lab.search("last").message_id.tolist() == ["u5"]


def test_bytes_that_are_not_utf8_are_replaced_and_told(path: str) -> None:
    write(path, user("u1", "first"), user("u2", "caf@@"), user("u3", "last"))
    with open(path, "rb+") as file:
        content = file.read().replace(b"caf@@", b"caf\xe9\xff")
        file.seek(0)
        file.write(content)
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["first", "caf\ufffd\ufffd", "last"]
        assert reasons(lab) == [(2, "it has bytes that are not UTF-8; they were replaced by \ufffd")]


@pytest.mark.parametrize("is_settled", [True, False], ids=["settled", "just written"])
@pytest.mark.parametrize(
    ("start", "end", "between"),
    [("", "\r\n", ""), ("\ufeff", "\n", ""), ("", "\n", "\n\n \n"), ("\ufeff", "\r\n", "\r\n"), ("\n\n", "\n", "\t\n")],
    ids=["CRLF", "BOM", "blank lines", "BOM, CRLF and blank lines", "blank at first"],
)
def test_ends_of_lines_blank_lines_and_a_mark_at_the_beginning_make_no_difference(
    path: str, start: str, end: str, between: str, is_settled: bool
) -> None:
    os.makedirs(os.path.dirname(path))
    lines = [user("u1", "first"), said("a2", "m1"), user("u3", "last")]
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(start + "".join(json.dumps({"sessionId": FIRST} | line) + end + between for line in lines))
    if is_settled:
        os.utime(path, (SETTLED, SETTLED))
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["first", "a", "last"]
        assert reasons(lab) == []
        with open(path, "a", encoding="utf-8", newline="") as file:
            file.write(json.dumps({"sessionId": FIRST} | user("u4", "more")) + end + "broken" + end)
        assert texts(lab) == ["first", "a", "last", "more"]
        assert reasons(lab) == [(5, "it is no JSON; it is left out")]


def test_numbers_that_json_does_not_know_and_characters_that_texts_seldom_have_are_read(path: str) -> None:
    odd = "nul \0, escape \x1b, separator \u2028, smile \U0001f600, mark \ufeff"
    line = json.dumps({"sessionId": FIRST, "x": float("nan"), "y": [float("inf")]} | user("u1", odd))
    assert "NaN" in line
    write(path, line, said("a2", "m1", text(odd)))
    add(path, json.dumps({"sessionId": FIRST} | user("u3", odd), ensure_ascii=False))
    with sessionlab.open(path) as lab:
        assert texts(lab) == [odd] * 3
        assert reasons(lab) == []


def test_a_block_of_zeros_as_a_crash_leaves_it_costs_only_what_stood_there(path: str) -> None:
    write(path, user("u1", "first"), "\0" * 5000, user("u3", "last"))
    add(path, "\0" * 5000, end="")
    os.utime(path, (SETTLED, SETTLED))
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["first", "last"]
        assert [line for line, _ in reasons(lab)] == [2, 4]


def test_lines_of_many_megabytes_are_read(path: str) -> None:
    long = "0123456789" * 3_000_000
    write(path, user("u1", "first"), said("a2", "m1", use()), user("u3", [answer("t1", long)]), user("u4", "last"))
    assert os.path.getsize(path) > 30_000_000
    with sessionlab.open(path) as lab:
        assert lab.frame("token_usage").tokens.tolist() == [3, 5]
        assert lab.frame("tool_calls").result.str.len().tolist() == [len(long)]
        add(path, user("u5", "after"))
        assert texts(lab) == ["first", "", long, "last", "after"]
        assert reasons(lab) == []


def test_deep_nesting_stops_nothing(path: str) -> None:
    deep = json.dumps({"sessionId": FIRST} | user("u2") | {"x": "here"}).replace(
        '"here"', "[" * 100_000 + "]" * 100_000
    )
    write(path, user("u1", "first"), deep, user("u3", "last"))
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["first", "q", "last"]


# Paths


_NAMES = [
    "it's.jsonl",
    'a "quote".jsonl',
    "a b  c.jsonl",
    "100%.jsonl",
    "größe 日本 🙂.jsonl",
    "a;b|c*[d]?{e}.jsonl",
    "**.jsonl",
    "[a-z].jsonl",
    "hive=1.jsonl",
    "http:x.jsonl",
    "new\nline.jsonl",
    "back\\slash.jsonl",
    "not-utf8-\udcff.jsonl",
]


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be there")
def test_a_path_may_have_any_characters(tmp_path: Path) -> None:
    root = tmp_path / "od'd [x] *\n\udcfe"
    paths = [str(root / name.removesuffix(".jsonl") / name) for name in _NAMES]
    for number, path in enumerate(paths):
        name = f"{FIRST[:-2]}{number:02d}"
        write(path, user(f"u{number}", f"q{number}"), said(f"a{number + 100}", f"m{number}"), session_id=name)
    expected = {f"q{number}" for number in range(len(paths))}
    for named in ([str(root)], paths):
        with sessionlab.open(*named) as lab:
            assert len(lab.frame("token_usage")) == 2 * len(paths)
            assert set(texts(lab)) == expected | {"a"}
            assert reasons(lab) == []
            for number, path in enumerate(paths):
                os.utime(path, (SETTLED + 5 + number, SETTLED + 5 + number))
            assert set(texts(lab)) == expected | {"a"}


def test_a_single_file_that_is_named_is_a_history_of_its_own(path: str) -> None:
    write(path, user("u1", "first"), said("a2"))
    write(os.path.join(os.path.dirname(path), f"{SECOND}.jsonl"), user("u5", "beside"), session_id=SECOND)
    with sessionlab.open(path) as lab:
        assert lab.sources == [("claude_code", path)]
        assert texts(lab) == ["first", "a"]
        assert lab.overview().problem_count.tolist() == [0]
    assert sessionlab.frame("turns", path).output_tokens.tolist() == [5]


def test_a_file_that_is_named_beside_its_folder_counts_once(path: str) -> None:
    write(path, user("u1", "first"), said("a2"))
    folder = os.path.dirname(path)
    for named in ((path, folder), (folder, path), (path, path)):
        with sessionlab.open(*named) as lab:
            assert texts(lab) == ["first", "a"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_to_a_file_is_read_as_the_file(path: str, tmp_path: Path) -> None:
    write(path, user("u1", "first"), said("a2"))
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    with sessionlab.open(link) as lab:
        assert texts(lab) == ["first", "a"]
        add(path, user("u3", "more"))
        assert texts(lab) == ["first", "a", "more"]


def test_a_folder_with_files_of_several_tools_gives_the_rows_of_each(tmp_path: Path) -> None:
    shutil.copyfile(os.path.join(SAMPLE_DATA, "history.db"), tmp_path / "history.db")
    shutil.copyfile(os.path.join(SAMPLE_DATA, "awful_aj", "second.db"), tmp_path / "second.db")
    write(str(tmp_path / f"{FIRST}.jsonl"), user("u1", "first"), said("a2"))
    (tmp_path / "notes.txt").write_text("no history")
    (tmp_path / "other.jsonl").write_text('{"text": "of no tool"}\n')
    (tmp_path / "settings.json").write_text('{"theme": "dark"}')
    with sessionlab.open(tmp_path) as lab:
        assert {source for source, _ in lab.sources} == {"awful_aj", "claude_code", "sessionlab"}
        assert set(lab.frame("sessions").source) == {"awful_aj", "claude_code", "sessionlab"}
        assert lab.frame("turns", source="claude_code").output_tokens.tolist() == [5]
        assert reasons(lab) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", b'{"text": "of no tool"}\n'),
        ("x.jsonl", b"[1, 2]\n"),
        ("x.jsonl", b"\x00\xff\xfe" * 1000),
        ("notes.txt", b"no history\n"),
        ("x.json", b'{"theme": "dark"}'),
        ("x", b"%PDF-1.7"),
    ],
)
def test_a_file_of_no_tool_is_an_error_that_names_it(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(HistoryFileError, match="known tool") as caught:
        sessionlab.open(path)
    assert repr(str(path)) in str(caught.value)
    with pytest.raises(HistoryFileError, match="holds no history of a known tool"):
        sessionlab.open(tmp_path)


def test_a_named_file_of_0_bytes_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").touch()
    with pytest.raises(HistoryFileError, match=r"x\.jsonl"):
        sessionlab.open(tmp_path / "x.jsonl")


# What lies there stays as it is


def state(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return the names, times and contents of all files and folders."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in (root, *root.rglob("*"))
    }


def test_reading_changes_nothing_near_the_files(tmp_path: Path) -> None:
    shutil.copytree(os.path.join(SAMPLE_DATA, "claude_code"), tmp_path / "claude")
    before = state(tmp_path)
    assert len(before) > 30
    with sessionlab.open(tmp_path) as lab:
        for name in COLUMNS:
            lab.frame(name)
        lab.search("the")
        assert len(lab.problems) > 0
    assert state(tmp_path) == before


# The rights are given up after opening, while Python and DuckDB's extension can be read.
_UNPRIVILEGED = """
import os, sys
import sessionlab
lab = sessionlab.open(sys.argv[1])
lab.frame("messages"), lab.problems
if os.getuid() == 0:
    os.chown(lab._engine.folder, 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
from sessionlab.lab.histories import Histories
for path in sys.argv[2:]:
    try:
        lab._histories = Histories(lab._engine, [path])
        print(lab.frame("messages").content.tolist(), lab.problems.reason.str.contains("Check its permissions").sum())
    except sessionlab.HistoryFileError as error:
        print("HistoryFileError", path in str(error), "Check its permissions" in str(error))
"""


@pytest.mark.skipif(os.name == "nt", reason="permissions are others there")
def test_an_unprivileged_user_reads_what_may_be_read_and_is_told_of_the_rest() -> None:
    # pytest's own folders are private, and made so again whenever it begins.
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        folder = os.path.join(root, "history")
        readable = write(os.path.join(folder, f"{FIRST}.jsonl"), user("u1", "first"), said("a2"))
        closed = write(os.path.join(folder, f"{SECOND}.jsonl"), user("u5", "secret"), session_id=SECOND)
        write(os.path.join(folder, "closed", f"{THIRD}.jsonl"), user("u6", "secret"), session_id=THIRD)
        os.chmod(readable, 0o444)
        os.chmod(closed, 0)
        os.chmod(os.path.join(folder, "closed"), 0)
        os.chmod(folder, 0o555)
        sample = os.path.join(SAMPLE_DATA, "history.db")
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", _UNPRIVILEGED, sample, folder, readable, closed],
            capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        for path in (folder, os.path.join(folder, "closed")):
            os.chmod(path, 0o755)
    expected = ["['first', 'a'] 2", "['first', 'a'] 0", "HistoryFileError True True"]
    assert done.stdout.splitlines() == expected, done.stderr


# As a tool does it: lines are appended one by one, at times a half of one first.
_WRITER = """
import json, os, sys, time
path, session, until = sys.argv[1], sys.argv[2], time.time() + float(sys.argv[3])
number = 0
with open(path, "ab", buffering=0) as file:
    while time.time() < until:
        message = {"id": f"m{number // 3}", "model": "claude-sonnet-4-5", "stop_reason": None,
                   "content": [{"type": "text", "text": f"live {number}"}],
                   "usage": {"input_tokens": 1, "output_tokens": number % 3 + 1}}
        line = {"type": "assistant", "uuid": f"w{number}", "sessionId": session, "requestId": f"r{number // 3}",
                "timestamp": "2026-05-01T11:00:00Z", "message": message}
        content = json.dumps(line).encode() + b"\\n"
        if number % 5 == 0:
            file.write(content[:40])
            time.sleep(0.003)
            content = content[40:]
        file.write(content)
        number += 1
        time.sleep(0.002)
print(number)
"""


def test_beside_a_live_writer_every_frame_is_whole_and_in_the_end_all_is_there(path: str) -> None:
    write(path, user("u1", "first"))
    with sessionlab.open(path) as lab:
        lab.frame("messages")
        arguments = [sys.executable, "-c", _WRITER, path, FIRST, "5"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writer:
            reads = last = 0
            while writer.poll() is None:
                with lab.snapshot():
                    turns, messages = lab.frame("turns"), lab.frame("messages")
                    usage = lab.frame("token_usage")
                    assert lab.problems.empty or lab.problems.reason.str.contains("price").all()
                # Of no response a line is missing before one that is there.
                lines = "\n\n".join(turns.response).split("\n\n") if len(turns) else []
                assert lines == [f"live {number}" for number in range(len(lines))]
                assert len(messages) == len(turns) + 1
                assert usage.tokens.sum() == turns.input_tokens.sum() + turns.output_tokens.sum()
                assert len(lines) >= last
                reads, last = reads + 1, len(lines)
            out, err = writer.communicate()
        assert err == ""
        count = int(out)
        turns = lab.frame("turns")
        assert "\n\n".join(turns.response).split("\n\n") == [f"live {number}" for number in range(count)]
        assert turns.output_tokens.tolist() == [3] * (count // 3) + ([count % 3] if count % 3 else [])
    assert reads >= 2
    assert count > 100


# Damage


@cache
def files_of(tool: str) -> Sequence[tuple[str, bytes]]:
    """Return the files of a sample that are not empty, by their names below its folder."""
    root = os.path.join(SAMPLE_DATA, SAMPLES[tool])
    found = []
    for folder, _, names in sorted(os.walk(root)):
        for name in sorted(names):
            with open(os.path.join(folder, name), "rb") as file:
                content = file.read()
            if content and not name.endswith((".db", ".sqlite", ".txt")):
                found.append((os.path.relpath(os.path.join(folder, name), root), content))
    return found


def read_all(path: str) -> None:
    """Read everything: frames that fit together, or no tool is known that it is of."""
    try:
        lab = sessionlab.open(path)
    except HistoryFileError:
        return
    with lab:
        lab.search("the")
        with lab.snapshot():
            check_whole({name: lab.frame(name) for name in COLUMNS})
        assert not lab.problems.reason.str.contains("history of").any()


def read_damaged(tool: str, name: str, content: bytes, settled: bool) -> None:
    """Read a damaged file in its folder, and one named."""
    with tempfile.TemporaryDirectory() as above:
        root = os.path.join(above, "root")
        if tool in TOGETHER:
            shutil.copytree(os.path.join(SAMPLE_DATA, SAMPLES[tool]), root)
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        if settled:
            os.utime(path, (SETTLED, SETTLED))
        read_all(root)
        if tool == "claude_code":
            read_all(path)


@every_tool
def test_a_file_that_is_cut_off_anywhere_gives_frames_that_fit_together_or_an_error_of_ours(
    tool: str, count: int
) -> None:
    start = time.monotonic()

    @settings(max_examples=count, deadline=None)
    @given(st.sampled_from(files_of(tool)), st.floats(0, 1), st.booleans())
    def cut(file: tuple[str, bytes], share: float, settled: bool) -> None:
        name, content = file
        read_damaged(tool, name, content[: int(len(content) * share)], settled)

    cut()
    tell(f"{tool}: record file cut off", attempts=count, acknowledged=0, lost=0, seconds=time.monotonic() - start)


@every_tool
def test_bytes_that_changed_anywhere_give_frames_that_fit_together_or_an_error_of_ours(tool: str, count: int) -> None:
    start = time.monotonic()
    changes = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=40)), min_size=1, max_size=12)

    @settings(max_examples=count, deadline=None)
    @given(st.sampled_from(files_of(tool)), changes, st.booleans())
    def change(file: tuple[str, bytes], changes: list[tuple[float, bytes]], settled: bool) -> None:
        name, content = file
        damaged = bytearray(content)
        for share, changed in changes:
            place = int(share * (len(content) - 1))
            damaged[place : place + len(changed)] = changed
        read_damaged(tool, name, bytes(damaged), settled)

    change()
    tell(f"{tool}: record file damaged", attempts=count, acknowledged=0, lost=0, seconds=time.monotonic() - start)


def test_a_lab_takes_any_change_of_its_files(tmp_path: Path) -> None:
    """What a kept lab has after any changes is what a new one has."""
    contents = [content for name, content in files_of("claude_code") if name.endswith(".jsonl")][:4]
    sound = write(str(tmp_path / "sound.jsonl"), user("u1", "sound"), said("a2", "m1"))
    path = str(tmp_path / "changing.jsonl")
    with sessionlab.open(tmp_path) as lab:

        @settings(max_examples=15, deadline=None)
        @given(st.sampled_from(contents), st.floats(0, 1), st.sampled_from(("write", "append", "replace", "remove")))
        def change(content: bytes, share: float, how: str) -> None:
            part = content[: int(len(content) * share)]
            if how == "remove" and os.path.exists(path):
                os.remove(path)
            elif how == "replace":
                with open(path + ".new", "wb") as file:
                    file.write(part)
                os.replace(path + ".new", path)
            else:
                with open(path, "ab" if how == "append" else "wb") as file:
                    file.write(part)
            with sessionlab.open(sound, *([path] if _is_readable(path) else [])) as fresh:
                for name in COLUMNS:
                    assert lab.frame(name).equals(fresh.frame(name)), (name, how)

        change()


def _is_readable(path: str) -> bool:
    try:
        with sessionlab.open(path):
            return True
    except HistoryFileError:
        return False


@pytest.mark.parametrize("packed", ["tar", "zip"])
def test_a_packed_folder_is_no_history_and_not_taken_for_one_session(packed: str, tmp_path: Path) -> None:
    name = shutil.make_archive(str(tmp_path / "claude"), packed, os.path.join(SAMPLE_DATA, "claude_code"))
    with pytest.raises(sessionlab.HistoryFileError, match="nor a history of a known tool"):
        sessionlab.open(name)


def test_of_a_zip_the_error_says_to_unpack_it(tmp_path: Path) -> None:
    name = shutil.make_archive(str(tmp_path / "claude"), "zip", os.path.join(SAMPLE_DATA, "claude_code"))
    with pytest.raises(sessionlab.HistoryFileError, match="Unpack it, and name the folder"):
        sessionlab.open(name)


def test_lines_that_are_half_a_record_hide_neither_their_file_nor_others(path: str) -> None:
    write(path, user("u1"), said("u2"), "{", "}", said("u3", "m2"))
    beside = write(
        os.path.join(os.path.dirname(path), f"{SECOND}.jsonl"), user("u11"), '{"type":"user",', '"uuid":"u12"}'
    )
    with sessionlab.open(os.path.dirname(beside)) as lab:
        assert len(lab.frame("messages")) == 4
        assert len(reasons(lab)) == 4


def test_a_line_of_40_mb_has_its_text_and_so_have_those_beside_it(path: str) -> None:
    long = "x" * 40_000_000
    write(path, user("u1", "first"), user("u2", long), said("u3"))
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["first", long, "a"]


@pytest.mark.parametrize("name", ["type=user", "message=1/uuid=2", "timestamp=1"])
def test_a_folder_whose_name_looks_like_a_column_and_its_value_adds_none(name: str, tmp_path: Path) -> None:
    write(str(tmp_path / name / f"{FIRST}.jsonl"), user("u1"), said("u2"))
    with sessionlab.open(str(tmp_path)) as lab:
        assert len(lab.frame("messages")) == 2
        assert len(lab.frame("turns")) == 1


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such files in folders")
def test_pipes_and_devices_named_like_files_are_not_opened(path: str) -> None:
    write(path, user("u1"), said("u2"))
    folder = os.path.dirname(path)
    os.mkfifo(os.path.join(folder, "pipe.jsonl"))
    os.symlink("/dev/zero", os.path.join(folder, "zero.jsonl"))
    with sessionlab.open(folder) as lab:
        assert len(lab.frame("messages")) == 2
        os.remove(path)
        os.mkfifo(path)
        assert len(lab.frame("messages")) == 0


def test_what_is_rewritten_in_the_same_size_with_its_time_set_back_is_read_again(path: str) -> None:
    write(path, user("u1", "old"), said("u2"))
    with sessionlab.open(path) as lab:
        assert texts(lab) == ["old", "a"]
        write(path, user("u1", "new"), said("u2"))
        assert texts(lab) == ["new", "a"]


def test_many_small_files_are_read_in_groups(tmp_path: Path) -> None:
    for number in range(900):
        session_id = f"0b8f2d5e-8a54-4f0e-9d1c-{number:012d}"
        write(str(tmp_path / f"{session_id}.jsonl"), user(f"u{number}"), session_id=session_id)
    with sessionlab.open(str(tmp_path)) as lab:
        assert sorted(lab.frame("messages").message_id) == sorted(f"u{number}" for number in range(900))
