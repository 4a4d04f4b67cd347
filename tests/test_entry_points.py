"""Each fault of a file at each way into it: right rows or an error that names the file and a remedy, and no harm."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from entry_points import ENTRIES, LOOKING_AFTER, READING, WORDS
from helper_process import helper
from test_attach import listing

import sessionlab
from sessionlab import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ODD = "it's \"100%41\"?mode=ro&x=#f'; drop table session;-- größe \N{HEBREW LETTER ALEF} 日本.db"
READS = {*READING, *LOOKING_AFTER}
ALL = set(ENTRIES)


def nothing(path: str) -> None:
    pass


def read_only_file(path: str) -> None:
    os.chmod(path, 0o444)


def read_only_folder(path: str) -> None:
    os.remove(path + ".lock")
    os.chmod(os.path.dirname(path), 0o555)


def another_users(path: str) -> None:
    os.chmod(path, 0o600 if os.getuid() == 0 else 0)
    if os.getuid() == 0:
        os.chown(path, 65534, 65534)


def another_users_folder(path: str) -> None:
    os.chmod(os.path.dirname(path), 0o700 if os.getuid() == 0 else 0)
    if os.getuid() == 0:
        os.chown(os.path.dirname(path), 65534, 65534)


def no_folder(path: str) -> None:
    shutil.rmtree(os.path.dirname(path))
    if os.getuid() == 0:  # nor may it be made anew
        os.chown(os.path.dirname(os.path.dirname(path)), 65534, 65534)
    os.chmod(os.path.dirname(os.path.dirname(path)), 0o555)


def newer(path: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("insert into migration values (99, 'of the future', 0)")
        db.execute("alter table session add column mood text")
        db.commit()


def newer_with_other_tables(path: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("insert into migration values (99, 'of the future', 0)")
        db.execute("alter table message rename to utterance")
        db.commit()


def no_index(path: str) -> None:
    os.remove(path + "-shm")


# Which entry points give right rows; of all others an error is expected.
FAULTS: dict[str, tuple[Callable[[str], None], set[str]]] = {
    "an odd path and a WAL left by a killed process": (nothing, ALL),
    "a WAL without its index": (no_index, ALL),
    "a read-only file": (read_only_file, READS),
    "a read-only folder": (read_only_folder, set(READING)),
    "another user's file": (another_users, set()),
    "another user's folder": (another_users_folder, set()),
    "a folder that has gone": (no_folder, set()),
    "a newer version": (newer, set(READING)),  # what it has as before is read
    "a newer version with other tables": (newer_with_other_tables, set()),
}
CELLS = [(fault, entry) for fault in FAULTS for entry in ENTRIES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a store with each fault for each entry point."""
    folder = tmp_path_factory.mktemp("cells")
    whole = folder / "whole"
    whole.mkdir()
    with Recorder(whole / "history.db") as recorder, recorder.session("kept") as s:
        s.user(WORDS)
    left = folder / "left"
    left.mkdir()
    with helper(str(left / "history.db")) as ask:
        ask("open kept")
        ask(f"record {WORDS}")
        ask("die")
    for fault, (make, _) in FAULTS.items():
        for entry in ENTRIES:
            path = path_of(folder, fault, entry)
            os.makedirs(os.path.dirname(os.path.dirname(path)))
            shutil.copytree(left if "WAL" in fault else whole, os.path.dirname(path))
            for name in os.listdir(os.path.dirname(path)):
                inside = os.path.join(os.path.dirname(path), name)
                os.rename(inside, inside.replace("history.db", os.path.basename(path)))
            make(path)
    yield folder
    for at, folders, names in os.walk(folder):
        for name in (*folders, *names):
            if not os.path.islink(os.path.join(at, name)):
                os.chmod(os.path.join(at, name), 0o700)


def path_of(folder: Path, fault: str, entry: str) -> str:
    name = ODD if "odd path" in fault else "history.db"
    return str(folder / fault / entry / name.removesuffix(".db") / name)


@pytest.fixture(scope="module")
def ask(folder: Path) -> Iterator[Callable[[str, str], tuple[str, str]]]:
    """Start the process that permissions stop, and hand out what it makes of an entry point and a path."""
    scratch = folder / "scratch"
    scratch.mkdir()
    root = os.path.dirname(os.path.dirname(os.path.abspath(sessionlab.__file__)))
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "entry_points.py")
    with subprocess.Popen(
        [sys.executable, "-W", "error", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": root, "HOME": str(scratch), "PYTHONUTF8": "1"},
    ) as process:  # fmt: skip

        def send(entry: str, path: str) -> tuple[str, str]:
            assert process.stdin is not None
            assert process.stdout is not None
            print(json.dumps((entry, path)), file=process.stdin, flush=True)
            how, said = json.loads(process.stdout.readline())
            return how, said

        yield send


@pytest.mark.skipif(os.name == "nt", reason="permissions and names are others there")
@pytest.mark.parametrize(("fault", "entry"), CELLS)
def test_it_gives_right_rows_or_an_error_that_names_the_file_and_a_remedy(
    fault: str, entry: str, folder: Path, ask: Callable[[str, str], tuple[str, str]]
) -> None:
    path = path_of(folder, fault, entry)
    before = shape(path)
    how, said = ask(entry, path)
    assert how != "crash", said
    if entry == "sessionlab db path":
        assert path in said
        assert shape(path) == before
        return
    assert how == ("rows" if entry in FAULTS[fault][1] else "error"), said
    if how == "error":
        assert os.path.basename(path) in said or os.path.dirname(path) in said, said
        assert REMEDY.search(said), said
        assert shape(path) == before
    elif entry in READING:
        assert shape(path) == before
    if how == "rows" and entry in SAID:
        assert SAID[entry] in said


# What else is right than the words of the message.
SAID: dict[str, str] = {
    **dict.fromkeys(READING, WORDS),
    "Recorder": f"{WORDS} recorded",
    "Recorder that warns": "recorded",
    "sessionlab search": WORDS.replace("needle", "«needle»"),
    "sessionlab sources": "sessionlab",
    "sessionlab import from": "1 session, ",
    "sessionlab import into": "3 sessions, ",
    "sessionlab db check": "sound",
    "sessionlab db backup": " bytes",
    "sessionlab db migrate": "the newest already",
    "sessionlab db vacuum": " after",
    "sessionlab db prune": "nothing to delete",
    "sessionlab db reset": "1 session deleted",
}
# How a sentence begins that says what to do.
REMEDY = re.compile(r"\b(change|check|choose|close|make|name|recording makes one|see that|update|use)\b", re.IGNORECASE)


def shape(path: str) -> Any:
    """Return what lies at a path and beside it, as root sees it."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return None
    return {name: value for name, value in listing(folder).items() if not name.endswith(".lock")}
