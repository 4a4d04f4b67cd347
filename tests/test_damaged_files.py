"""Other tools' files that are damaged or hold what nobody expects: what can be read is read, the rest is told."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import time
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from soaking import sizes, sizes_of, tell
from test_foreign_files import (
    ROOT,
    SAMPLES,
    big_table,
    check_whole,
    copy_of,
    drop_what_is_no_table,
    every_tool,
    source_of,
)
from test_frames import COLUMNS

import sessionlab
from sessionlab import HistoryFileError, Recorder, SessionLabError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

SMALL = os.path.join(ROOT, "sample_data", "awful_aj", "second.db")


class Shelf:
    """A folder with one sound history, opened as one lab, into which other files are put for a moment."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        shutil.copyfile(SMALL, os.path.join(folder, "sound.db"))
        os.utime(os.path.join(folder, "sound.db"), (1_700_000_000, 1_700_000_000))
        self.lab = sessionlab.open(folder)
        self.count = 0
        self._read("none")

    def read(self, data: bytes) -> tuple[dict[str, pd.DataFrame] | None, list[str]]:
        """Put a file there, read all and return its frames and problems; no frames where it could not be read."""
        self.count += 1
        path = os.path.join(self.folder, f"{self.count}.db")
        with open(path, "wb") as file:
            file.write(data)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        try:
            frames, reasons = self._read(path)
            if frames is None:
                assert path in reasons[0]  # it is the text of the error that naming it raises
                if self.count % 5 == 0:
                    with pytest.raises(HistoryFileError) as caught, sessionlab.open(path) as lab:
                        lab.frame("messages")
                    assert path in str(caught.value)
            assert sorted(os.listdir(self.folder)) == sorted(["sound.db", f"{self.count}.db"])
            return frames, reasons
        finally:
            os.remove(path)

    def _read(self, path: str) -> tuple[dict[str, pd.DataFrame] | None, list[str]]:
        messages = self.lab.frame("messages")
        with self.lab.snapshot():
            frames = {name: self.lab.frame(name) for name in COLUMNS} | {"messages": messages}
            counted = self.lab.sql("select count(*) as n, count(content) as c from messages").pandas()
            problems = self.lab.problems
        assert counted["n"].iloc[0] == len(messages)
        assert counted["c"].iloc[0] == messages.content.notna().sum()
        check_whole(frames)
        assert (frames["sessions"].origin.str.endswith("sound.db")).sum() == 3
        of_file = problems[problems.origin == path]
        if (path, False) in [(origin, source is None) for source, origin in self.lab.sources]:
            ids = frames["sessions"][frames["sessions"].origin == path].session_id
            of_path = {
                name: frame[frame.session_id.isin(ids)] if "session_id" in frame.columns else frame
                for name, frame in frames.items()
            }
            return of_path, (of_file.record.fillna("") + ": " + of_file.reason).tolist()
        if path != "none":
            assert len(of_file) == 1
        return None, of_file.reason.tolist()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    opened = Shelf(str(tmp_path_factory.mktemp("shelf")))
    yield opened
    opened.lab.close()


def bytes_of(tool: str) -> bytes:
    """Return the sample of a tool, as it lies there."""
    with open(SAMPLES[tool], "rb") as file:
        return file.read()


@sizes_of("tool,count", dict.fromkeys(SAMPLES, 12), 60)
def test_a_file_that_is_cut_off_anywhere_is_an_error_or_frames_that_fit_together_and_a_problem(
    shelf: Shelf, tool: str, count: int
) -> None:
    data, start = bytes_of(tool), time.monotonic()

    @settings(max_examples=count)
    @given(st.integers(0, len(data) - 1))
    def cut(length: int) -> None:
        frames, reasons = shelf.read(data[:length])
        if frames is None:
            assert len(reasons) == 1
        else:
            assert any("the file is cut off" in reason for reason in reasons)

    cut()
    tell(f"{tool}: database cut off", attempts=count, acknowledged=0, lost=0, seconds=time.monotonic() - start)


@sizes("count", 5, 150)
def test_a_store_of_our_own_that_is_cut_or_changed_anywhere_is_an_error_or_frames_that_fit_together(
    tmp_path: Path, count: int
) -> None:
    path, start = str(tmp_path / "history.db"), time.monotonic()
    with Recorder(path) as recorder, recorder.session("a") as session:
        for number in range(40):
            session.user(f"prompt {number} " + "x" * 700)
            session.assistant("answer").tool_call("t", {"n": number}).result("done")
    with open(path, "rb") as file:
        data = file.read()
    places = st.integers(0, len(data) - 1)

    @settings(max_examples=count)
    @given(st.lists(st.tuples(places, st.binary(min_size=1, max_size=600)), max_size=8), st.none() | places)
    def damage(changes: list[tuple[int, bytes]], length: int | None) -> None:
        damaged = bytearray(data)
        for place, changed in changes:
            damaged[place : place + len(changed)] = changed
        with open(path, "wb") as file:
            file.write(damaged[: len(data) if length is None else length])
        before = sorted(os.listdir(tmp_path))
        try:
            with sessionlab.open(path) as lab, lab.snapshot():
                messages = lab.frame("messages")
                check_whole({name: lab.frame(name) for name in COLUMNS})
        except SessionLabError as error:
            assert "history.db" in str(error)  # noqa: PT017 -- both ends are right
        else:
            assert len(messages) <= 120
        assert sorted(os.listdir(tmp_path)) == before

    damage()
    tell("sessionlab: store cut or damaged", attempts=count, acknowledged=0, lost=0, seconds=time.monotonic() - start)


@given(data=st.binary(max_size=3000), is_sqlite=st.booleans())
@settings(max_examples=12)
def test_any_bytes_are_an_error_when_named_and_a_problem_when_found(shelf: Shelf, data: bytes, is_sqlite: bool) -> None:
    frames, reasons = shelf.read((b"SQLite format 3\0" if is_sqlite else b"") + data)
    assert frames is None
    assert len(reasons) == 1


@sizes_of("tool,count", dict.fromkeys(SAMPLES, 10), 60)
def test_bytes_that_changed_anywhere_give_an_error_or_frames_that_fit_together(
    shelf: Shelf, tool: str, count: int
) -> None:
    data, start = bytes_of(tool), time.monotonic()
    places = st.integers(0, len(data) - 1)

    @settings(max_examples=count)
    @given(st.lists(st.tuples(places, st.binary(min_size=1, max_size=600)), min_size=1, max_size=12))
    def flip(changes: list[tuple[int, bytes]]) -> None:
        damaged = bytearray(data)
        for place, changed in changes:
            damaged[place : place + len(changed)] = changed
        shelf.read(bytes(damaged[: len(data)]))

    flip()
    tell(f"{tool}: database damaged", attempts=count, acknowledged=0, lost=0, seconds=time.monotonic() - start)


def sound_rows(path: str, table: str) -> set[int]:
    """Return the rows that SQLite can read one by one, by their number."""
    found = set()
    with closing(sqlite3.connect(path)) as db:
        for row in range(1, 400):
            try:
                if db.execute(f"select * from {table} where rowid = ?", [row]).fetchone():
                    found.add(row)
            except sqlite3.Error:
                continue
    return found


def spans(reasons: list[str], table: str) -> list[tuple[float, float]]:
    """Return between which rows some cannot be read, by the problems."""
    found = []
    for reason in reasons:
        match = re.match(rf"{table}: rows between (?:the beginning|row (-?\d+)) and (?:the end|row (\d+)) ", reason)
        if match:
            first, last = match.groups()
            found.append((float(first or "-inf"), float(last or "inf")))
    return found


@cache
def pages(folder: str) -> tuple[bytes, list[int]]:
    """Return a history of many small pages, and which of them are leaves of the table of messages."""
    path = os.path.join(folder, "pages")
    with closing(sqlite3.connect(SMALL)) as db, closing(sqlite3.connect(path)) as copy:
        copy.execute("pragma page_size = 512")
        copy.executescript("\n".join(line for line in db.iterdump() if "sqlite_sequence" not in line))
        copy.execute("delete from messages")
        copy.executemany(
            "insert into messages (id, role, content, conversation_id) values (?, 'user', ?, 1)",
            [(n + 1, "0123456789" * (1 + 300 * (n % 40 == 39) + n % 7)) for n in range(300)],
        )
        copy.commit()
    with open(path, "rb") as file:
        data = file.read()
    leaves = [at for at in range(0, len(data), 512) if data[at] == 13 and data[at : at + 512].count(b"01234567") > 4]
    assert len(leaves) > 20
    os.remove(path)
    return data, leaves


@given(chosen=st.sets(st.integers(0, 10**6), min_size=1, max_size=6))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_rows_around_damaged_pages_are_there_and_a_problem_names_what_is_not(
    shelf: Shelf, chosen: set[int]
) -> None:
    data, leaves = pages(shelf.folder)
    damaged = bytearray(data)
    for number in chosen:
        leaf = leaves[number % len(leaves)]
        damaged[leaf : leaf + 512] = b"\xff" * 512
    path = os.path.join(os.path.dirname(shelf.folder), "looked into.db")
    with open(path, "wb") as file:
        file.write(damaged)
    expected = sound_rows(path, "messages")
    frames, reasons = shelf.read(bytes(damaged))
    assert frames is not None
    found = set(frames["messages"].message_id.astype(int))
    assert found == expected
    for row in set(range(1, 301)) - found:
        assert any(first < row < last for first, last in spans(reasons, "messages")), (row, reasons)
    for row in found:
        assert not any(first < row < last for first, last in spans(reasons, "messages")), (row, reasons)


@given(share=st.floats(0.1, 1))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_lost_its_end_gives_what_sqlite_can_still_read(shelf: Shelf, share: float) -> None:
    data, _ = pages(shelf.folder)
    kept = int(share * len(data) / 512)
    cut = bytearray(data[: kept * 512])
    cut[28:32] = kept.to_bytes(4, "big")  # else SQLite reads nothing of it
    path = os.path.join(os.path.dirname(shelf.folder), "looked into.db")
    with open(path, "wb") as file:
        file.write(cut)
    expected = sound_rows(path, "messages")
    frames, reasons = shelf.read(bytes(cut))
    found = set() if frames is None else set(frames["messages"].message_id.astype(int))
    named = [(float("-inf"), float("inf"))] if frames is None else spans(reasons, "messages")
    assert found <= expected
    for row in set(range(1, 301)) - found:
        assert any(first < row < last for first, last in named), (row, reasons)
    assert len(expected - found) <= len(expected) // 10


VALUES: list[Any] = [0, -1, 7, 2**63 - 1, -(2**63), 1.5, 1e300, float("inf"), "", "text", "1", "1.5", "null",
                     "{}", "[]", '{"a":', "\0", "a\0b", "9" * 400, "2026-02-30T99:00:00Z",
                     b"", b"\x00\xff", b"text", None]  # fmt: skip


def without_constraints(tool: str, path: Path) -> list[tuple[str, str]]:
    """Write a tool's sample with tables that take any value, and return the columns that are read."""
    copy_of(tool, path)
    columns = []
    with closing(sqlite3.connect(path)) as db:
        drop_what_is_no_table(db)
        for table in source_of(tool).tables:
            names = [name for (name,) in db.execute("select name from pragma_table_info(?)", [table])]
            if not names:
                continue
            listed = ", ".join(f'"{name}"' for name in names)
            db.execute(f"create table made_anew ({listed})")
            db.execute(f"insert into made_anew (rowid, {listed}) select rowid, {listed} from {table}")
            db.execute(f"drop table {table}")
            db.execute(f"alter table made_anew rename to {table}")
            columns += [(table, name) for name in names]
        db.commit()
    return columns


@every_tool
def test_a_value_of_any_type_in_any_column_leaves_the_other_rows(shelf: Shelf, tool: str, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    columns = without_constraints(tool, path)
    sound, _ = shelf.read(path.read_bytes())
    assert sound is not None
    cells = st.tuples(st.sampled_from(columns), st.sampled_from(VALUES), st.integers(0, 10**6))

    @settings(max_examples=10)
    @given(st.lists(cells, min_size=1, max_size=12))
    def place(cells: list[tuple[tuple[str, str], Any, int]]) -> None:
        changed = tmp_path / "changed.db"
        shutil.copyfile(path, changed)
        with closing(sqlite3.connect(changed)) as db:
            for (table, column), value, number in cells:
                rows = [row for (row,) in db.execute(f"select rowid from {table} order by rowid")]
                if rows:
                    chosen = rows[number % len(rows)]
                    db.execute(f'update {table} set "{column}" = ? where rowid = ?', [value, chosen])
            db.commit()
        frames, _ = shelf.read(changed.read_bytes())
        assert frames is not None
        lost = len(sound["messages"]) - len(frames["messages"])
        assert lost <= len(sound["messages"]) // 2

    place()


@every_tool
def test_text_that_is_not_utf_8_is_replaced_and_named_in_every_column(shelf: Shelf, tool: str, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    without_constraints(tool, path)
    dirty = []
    with closing(sqlite3.connect(path)) as db:
        for table, columns in source_of(tool).tables.items():
            there = {name for (name,) in db.execute("select name from pragma_table_info(?)", [table])}
            rows = [row for (row,) in db.execute(f"select rowid from {table}")] if there else []
            for number, column in enumerate(there.intersection(columns) if rows else ()):
                row = rows[number % len(rows)]
                text = f"{table} {column}".encode() + b"\xff"  # another one each, so that ids stay apart
                db.execute(f"""update {table} set "{column}" = cast(x'{text.hex()}' as text) where rowid = {row}""")
                dirty.append(f"{table} row {row}: {column} is not UTF-8")
        db.commit()
    sound, _ = shelf.read(bytes_of(tool))
    frames, reasons = shelf.read(path.read_bytes())
    assert sound is not None
    assert frames is not None
    for words in dirty:
        assert any(reason.startswith(words) for reason in reasons), words
    assert len(frames["messages"]) > len(sound["messages"]) // 2


def test_a_schema_that_contradicts_itself_is_an_error_of_ours(shelf: Shelf, tmp_path: Path) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table v (a)")
        db.execute("pragma writable_schema = on")
        db.execute("update sqlite_schema set name = cast(x'ff' as text) where name = 'v'")
        db.commit()
    with open(path, "rb") as file:
        frames, reasons = shelf.read(file.read())
    assert frames is None
    assert "malformed" in reasons[0]


def test_ten_thousand_problems_are_all_told(tmp_path: Path) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as db:
        db.executemany(
            "insert into messages (role, content, conversation_id) values (cast(x'ff' as text), ?, 1)",
            [(str(number),) for number in range(10_000)],
        )
        db.commit()
    with sessionlab.open(path) as lab, lab.snapshot():
        assert len(lab.frame("messages")) == 10_160
        assert lab.problems.reason.str.startswith("role is not UTF-8").sum() == 10_000
        assert "problems" in lab._repr_html_()


def test_a_file_that_goes_bad_while_it_is_open_is_an_error_and_reads_again_when_mended(tmp_path: Path) -> None:
    path = copy_of("awful_aj", tmp_path / "a.db")
    with open(path, "rb") as file:
        sound = file.read()
    with sessionlab.open(path) as lab:
        count = len(lab.frame("messages"))
        for bad in (b"", sound[:5000], b"\xff" * len(sound), sound[:100] + b"\xff" * (len(sound) - 100)):
            with open(path, "wb") as file:
                file.write(bad)
            with pytest.raises(SessionLabError):
                lab.frame("messages")
        with open(path, "wb") as file:
            file.write(sound)
        assert len(lab.frame("messages")) == count


@every_tool
def test_a_table_that_goes_from_a_file_that_is_open_is_empty_or_an_error_of_ours(tmp_path: Path, tool: str) -> None:
    path = copy_of(tool, tmp_path / "a.db")
    with sessionlab.open(path) as lab:
        lab.frame("messages")
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"drop table {big_table(tool, path)}")
            db.commit()
        with contextlib.suppress(SessionLabError):
            lab.frame("messages")
