"""A store that is replaced, or whose folder goes, while it is open: an error that names it, and no harm to the new."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from test_attach import listing

import sessionlab
from sessionlab import HistoryFileError, Recorder, SessionLabError, StoreReplacedError
from sessionlab.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OTHER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sample_data", "awful_aj")


@contextlib.contextmanager
def recording(path: str) -> Iterator[Callable[[], Any]]:
    with Recorder(path) as recorder:
        s = recorder.session("kept")
        yield lambda: s.user("recorded meanwhile").message_id


@contextlib.contextmanager
def looking_back(path: str) -> Iterator[Callable[[], Any]]:
    with Recorder(path) as recorder:
        s = recorder.session("kept")
        yield lambda: [m.content for m in s.messages()]


@contextlib.contextmanager
def listing_sessions(path: str) -> Iterator[Callable[[], Any]]:
    with Recorder(path) as recorder:
        yield lambda: [summary.name for summary in recorder.history.list()]


@contextlib.contextmanager
def looking_after(path: str, word: str) -> Iterator[Callable[[], Any]]:
    database = Database(path)
    targets = (os.path.join(os.path.dirname(os.path.dirname(path)), f"{n}.backup") for n in itertools.count())
    with contextlib.closing(database):
        yield {
            "check": database.check,
            "vacuum": database.vacuum,
            "backup": lambda: database.backup(next(targets)),
        }[word]


WRITERS: dict[str, Callable[[str], contextlib.AbstractContextManager[Callable[[], Any]]]] = {
    "record": recording,
    "messages": looking_back,
    "history": listing_sessions,
    "check": lambda path: looking_after(path, "check"),
    "vacuum": lambda path: looking_after(path, "vacuum"),
    "backup": lambda path: looking_after(path, "backup"),
}


def texts(frame: Any) -> list[str]:
    return [text for text in frame.content if "A new invocation" not in text]


READERS: dict[str, Callable[[sessionlab.Lab, str], list[str]]] = {
    "frame": lambda lab, _: texts(lab.frame("messages")),
    "sql": lambda lab, _: texts(lab.sql("select content from messages").pandas()),
    "search": lambda lab, _: lab.search("words").snippet.str.replace("[«»]", "", regex=True).tolist(),
    "browse": lambda lab, _: texts(lab.browse().frame("messages")),
    "sessionlab.frame": lambda _, path: texts(sessionlab.frame("messages", path)),
}


def store_with(path: str, words: str) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with Recorder(path) as recorder:
        recorder.session("kept").user(words)
    return path


@pytest.fixture
def store(tmp_path: Path) -> str:
    return store_with(str(tmp_path / "folder" / "history.db"), "old words")


def replace(store: str) -> None:
    new = store_with(store + ".new", "new words")
    os.replace(new, store)
    for ending in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(store + ending)


@pytest.mark.skipif(os.name == "nt", reason="a file that is open cannot be replaced there")
@pytest.mark.parametrize("use", WRITERS)
def test_a_recorder_does_nothing_to_the_store_that_takes_the_place_of_its_own(use: str, store: str) -> None:
    with WRITERS[use](store) as work:
        work()
        replace(store)
        before = listing(os.path.dirname(store))
        with pytest.raises(StoreReplacedError, match=r"history\.db.*new"):
            work()
    assert listing(os.path.dirname(store)) == before
    with sessionlab.open(store) as lab:
        assert READERS["frame"](lab, store) == ["new words"]


@pytest.mark.skipif(os.name == "nt", reason="a folder with an open file cannot be moved there")
@pytest.mark.parametrize("use", WRITERS)
def test_a_recorder_whose_folder_goes_says_so_and_goes_on_when_it_is_back(use: str, store: str, tmp_path: Path) -> None:
    away = tmp_path / "away"
    with WRITERS[use](store) as work:
        work()
        os.rename(os.path.dirname(store), away)
        for _ in range(2):
            with pytest.raises(SessionLabError, match=r"history\.db"):
                work()
        assert not os.path.exists(os.path.dirname(store))
        os.rename(away, os.path.dirname(store))
        work()
    database = Database(store)
    assert database.check() == []
    database.close()


@pytest.mark.parametrize("use", READERS)
def test_a_lab_reads_the_store_that_takes_the_place_of_another_and_says_so_when_the_folder_is_gone(
    use: str, store: str, tmp_path: Path
) -> None:
    read = READERS[use]
    with sessionlab.open(store) as lab:
        assert read(lab, store) == ["old words"]
        replace(store)
        assert read(lab, store) == ["new words"]
        away = tmp_path / "away"
        os.rename(os.path.dirname(store), away)
        for _ in range(2):
            with pytest.raises(HistoryFileError, match=r"history\.db.* Check"):
                read(lab, store)
        assert not os.path.exists(os.path.dirname(store))
        os.rename(away, os.path.dirname(store))
        assert read(lab, store) == ["new words"]


@pytest.mark.skipif(os.name == "nt", reason="a file that is open cannot be replaced there")
@pytest.mark.parametrize("fault", ["replaced", "gone"])
def test_an_import_whose_store_is_replaced_or_goes_ends_with_an_error_and_writes_nothing_to_the_new_one(
    fault: str, store: str, tmp_path: Path
) -> None:
    done: list[int] = []

    def strike(source: str, count: int, total: int) -> None:
        if not done:
            replace(store) if fault == "replaced" else os.rename(os.path.dirname(store), tmp_path / "away")
        done.append(count)

    with pytest.raises(StoreReplacedError, match=r"history\.db"):
        sessionlab.import_histories(OTHER, into=store, on_progress=strike)
    assert done
    if fault == "gone":
        os.rename(tmp_path / "away", os.path.dirname(store))
    with sessionlab.open(store) as lab:
        assert texts(lab.frame("messages", source="sessionlab")) == [f"{'new' if fault == 'replaced' else 'old'} words"]
        assert lab.frame("sessions", source="awful_aj").empty == (fault == "replaced")
    report = sessionlab.import_histories(OTHER, into=store)
    with sessionlab.open(store) as lab:
        assert len(lab.frame("sessions", source="awful_aj")) == report.sessions


@pytest.mark.skipif(os.name == "nt", reason="a file that is open cannot be removed there")
def test_a_source_that_goes_while_it_is_imported_leaves_what_was_imported_and_is_taken_the_next_time(
    store: str, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    shutil.copytree(OTHER, files)
    strikes: list[str] = []

    def strike(source: str, count: int, total: int) -> None:
        if not strikes:
            strikes.append(source)
            os.rename(files, tmp_path / "away")

    with contextlib.suppress(HistoryFileError):  # it may have been read as a whole by then
        sessionlab.import_histories(files, into=store, on_progress=strike)
    assert strikes
    with pytest.raises(HistoryFileError, match="files"):
        sessionlab.import_histories(files, into=store)
    os.rename(tmp_path / "away", files)
    with sessionlab.open(files) as live:
        expected = len(live.frame("messages"))
    sessionlab.import_histories(files, into=store)
    with sessionlab.open(store) as lab:
        assert len(lab.frame("messages", source="awful_aj")) == expected
