"""The archive: what other tools recorded, copied into the store, is there as it is in their files and counts once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from archive_rows import (
    SAMPLES,
    aged,
    archived_rows,
    assert_same_frames,
    frames_of,
    query,
    transcript,
    write_transcript,
)
from test_source_claude_code import FIRST, said, user, write

import sessionlab
from sessionlab import HistoryFileError, Recorder, import_histories
from sessionlab.sources import source_names
from sessionlab.store import database as database_module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOOLS = [name for name in source_names() if os.path.isdir(os.path.join(SAMPLES, name))]


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store" / "history.db")


@pytest.fixture
def files(tmp_path: Path) -> str:
    """Return a folder with the files of one tool of each kind, as they were an hour ago."""
    folder = str(tmp_path / "files")
    for tool in ("awful_aj", "claude_code"):
        shutil.copytree(os.path.join(SAMPLES, tool), os.path.join(folder, tool))
    return aged(folder)


A, B = (str(uuid.UUID(int=number, version=4)) for number in (1, 2))


def output_tokens(*paths: str) -> int:
    with sessionlab.open(*paths) as lab:
        return int(lab.frame("turns")["output_tokens"].sum())


# The same as in the files


@pytest.mark.parametrize("tool", TOOLS)
def test_the_archive_gives_the_frames_of_the_files(tool: str, tmp_path: Path, store: str) -> None:
    folder = str(tmp_path / "files")
    shutil.copytree(os.path.join(SAMPLES, tool), folder)
    aged(folder)
    with sessionlab.open(folder) as lab:
        expected = frames_of(lab)
    report = import_histories(folder, into=store)
    assert report.sessions == len(expected["sessions"]) > 0
    assert report.turns_added == len(expected["turns"]) > 0
    assert report.unchanged == 0
    with sessionlab.open(store) as lab:
        assert_same_frames(frames_of(lab), expected)
    with sessionlab.open(folder, store) as lab:  # nothing counts twice
        assert_same_frames(frames_of(lab), expected)
    shutil.rmtree(folder)
    with sessionlab.open(store) as lab:  # and it needs no file of the tool
        assert_same_frames(frames_of(lab), expected)


def test_the_archive_gives_costs_search_and_sql_as_the_files_do(files: str, store: str) -> None:
    import_histories(files, into=store)
    with sessionlab.open(files) as live, sessionlab.open(store) as archived:
        for lab_sql in (
            "select source, count(*), sum(cost_usd) from turns group by all order by all",
            "select session_id, message_index, content from messages order by all",
            "select t.response, m.content from turns t join messages m on t.turn_id = m.message_id order by all",
        ):
            assert live.sql(lab_sql).pandas().equals(archived.sql(lab_sql).pandas())
        found = [
            sorted(map(tuple, lab.search("the")[["source", "session_id", "message_id", "snippet"]].values.tolist()))
            for lab in (live, archived)
        ]
        assert found[0] == found[1] != []


def test_a_sessions_rows_come_in_the_order_in_which_they_were_recorded(files: str, store: str) -> None:
    import_histories(files, into=store)
    with sessionlab.open(store) as lab:
        for name, index in (("messages", "message_index"), ("turns", "turn_index"), ("tool_calls", "tool_call_index")):
            frame = lab.frame(name)
            assert frame.groupby("session_id", sort=False)[index].is_monotonic_increasing.all()
            assert lab.sql(f"select {index} from {name}").pandas()[index].tolist() == frame[index].tolist()


def test_keys_of_awful_aj_are_nowhere_in_the_store(tmp_path: Path, store: str) -> None:
    folder = str(tmp_path / "files")
    shutil.copytree(os.path.join(SAMPLES, "awful_aj"), folder)
    path = os.path.join(folder, "aj.db")
    keys = [key for (key,) in query(path, "select distinct api_key from awful_configs") if key]
    assert keys
    import_histories(folder, into=store)
    with open(store, "rb") as file:
        held = file.read()
    assert b"awful_aj" in held
    assert [key for key in keys if key.encode() in held] == []


# Again


def test_importing_again_adds_nothing(files: str, store: str) -> None:
    first = import_histories(files, into=store)
    before = archived_rows(store)
    again = import_histories(files, into=store)
    assert (again.files, again.sessions) == (first.files, first.sessions)
    assert (again.turns_added, again.unchanged) == (0, first.sessions)
    assert archived_rows(store) == before


def test_files_that_are_as_they_were_are_not_even_read(files: str, store: str) -> None:
    first = import_histories(files, into=store)
    assert query(store, "select count(*) from archive_history") == [(3,)]
    folder = os.path.join(files, "claude_code", "projects")
    path = next(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)
    status = os.stat(path)
    with open(path, "r+b") as file:  # nobody could notice this
        file.write(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = import_histories(files, into=store)
    assert again.problems == ()
    assert again.unchanged == first.sessions


def test_files_that_were_just_written_are_read_again_and_their_sessions_compared(files: str, store: str) -> None:
    path = os.path.join(files, "awful_aj", "aj.db")
    soon = time.time() + 3600  # so that it is not settled, however slow this machine is
    os.utime(path, (soon, soon))
    import_histories(path, into=store)
    assert query(store, "select count(*) from archive_history") == [(0,)]
    before = archived_rows(store)
    again = import_histories(path, into=store)
    assert again.unchanged == again.sessions > 0
    assert archived_rows(store) == before


def test_of_sessions_that_changed_only_those_are_written(tmp_path: Path, store: str) -> None:
    folder = str(tmp_path / "claude")
    write_transcript(folder, A, transcript(A, 3))
    write_transcript(folder, B, transcript(B, 2, first=10))
    import_histories(folder, into=store)
    revisions = dict(query(store, "select session_id, revision from archive_session"))
    write_transcript(folder, A, transcript(A, 5))
    report = import_histories(folder, into=store)
    assert (report.sessions, report.turns_added, report.unchanged) == (2, 2, 1)
    after = dict(query(store, "select session_id, revision from archive_session"))
    assert after[B] == revisions[B]
    assert after[A] > max(revisions.values())
    shutil.rmtree(folder)
    assert output_tokens(store) == 70


def test_a_text_that_was_edited_is_taken_over(files: str, store: str) -> None:
    path = os.path.join(files, "awful_aj", "aj.db")
    import_histories(path, into=store)
    connection = sqlite3.connect(path)
    number = connection.execute("select max(id) from messages where role = 'assistant'").fetchone()[0]
    connection.execute("update messages set content = 'Something else.' where id = ?", (number,))
    connection.commit()
    connection.close()
    report = import_histories(path, into=store)
    assert report.sessions - report.unchanged == 1
    assert report.turns_added == 0
    with sessionlab.open(store) as lab:
        assert "Something else." in lab.frame("messages")["content"].tolist()


def test_a_session_that_has_lost_rows_is_kept_as_it_was_and_said(tmp_path: Path, store: str) -> None:
    folder = str(tmp_path / "claude")
    write_transcript(folder, A, transcript(A, 4))
    import_histories(folder, into=store)
    before = archived_rows(store)
    path = write_transcript(folder, A, transcript(A, 1))
    for _ in range(2):  # and said again
        report = import_histories(folder, into=store)
        problem = report.problems[-1]
        assert (problem["source"], problem["origin"], problem["record"]) == ("claude_code", path, f"session {A}")
        assert "1 turns now and 4 in the archive" in problem["reason"]
        assert (report.turns_added, report.unchanged) == (0, 0)
    assert {**archived_rows(store), "archive_history": []} == {**before, "archive_history": []}


# Nothing twice


def test_what_a_tool_has_deleted_is_there_from_the_archive(tmp_path: Path, store: str) -> None:
    folder = str(tmp_path / "claude")
    path = write_transcript(folder, A, transcript(A, 3))
    write_transcript(folder, B, transcript(B, 2, first=10))
    import_histories(folder, into=store)
    with sessionlab.open(folder, store) as lab:
        assert [len(lab.frame("sessions")), len(lab.frame("turns"))] == [2, 5]
        os.remove(path)  # while it is open
        assert [len(lab.frame("sessions")), len(lab.frame("turns"))] == [2, 5]
        assert lab.frame("sessions").set_index("session_id").loc[A, "origin"] == path
        assert lab.frame("turns", session_id=A)["response"].tolist() == ["answer 0", "answer 1", "answer 2"]
        write_transcript(folder, A, transcript(A, 4))  # and back again
        assert [len(lab.frame("sessions")), len(lab.frame("turns"))] == [2, 6]
    import_histories(folder, into=store)
    shutil.rmtree(folder)
    assert output_tokens(store) == 60


def test_a_fork_whose_parent_is_only_in_the_archive_does_not_count_what_it_copied(tmp_path: Path, store: str) -> None:
    folder = str(tmp_path / "claude")
    path = write_transcript(folder, A, transcript(A, 3))
    import_histories(folder, into=store)
    os.remove(path)
    write_transcript(folder, B, transcript(B, 5))  # the three of A, and two of its own
    assert output_tokens(folder, store) == 50
    with sessionlab.open(folder, store) as lab:
        assert lab.frame("turns").groupby("session_id").size().to_dict() == {A: 3, B: 2}
        assert lab.frame("messages")["content"].is_unique
    report = import_histories(folder, into=store)
    assert report.turns_added == 2
    shutil.rmtree(folder)
    assert output_tokens(store) == 50


def test_a_fork_that_was_imported_before_its_parent_keeps_what_it_had(tmp_path: Path, store: str) -> None:
    parents, forks = str(tmp_path / "parents"), str(tmp_path / "forks")
    write_transcript(parents, A, transcript(A, 3))
    write_transcript(forks, B, transcript(B, 5))
    assert import_histories(forks, into=store).turns_added == 5
    assert import_histories(parents, into=store).turns_added == 0
    assert output_tokens(store) == 50
    for paths in ((parents, store), (forks, store), (parents, forks, store), (parents, forks)):
        assert output_tokens(*paths) == 50
    report = import_histories(parents, forks, into=store)
    assert report.turns_added == 0
    assert output_tokens(store) == 50


def test_two_files_with_the_same_session_give_the_archive_the_one_that_has_more(tmp_path: Path, store: str) -> None:
    old, new = str(tmp_path / "old.db"), str(tmp_path / "new.db")
    with Recorder(old) as recorder, recorder.session("s") as session:
        session.assistant("one")
    shutil.copy(old, new)
    with Recorder(new) as recorder:
        recorder.resume(session.session_id).assistant("two")
    for _ in range(2):
        report = import_histories(old, new, into=store)
        assert (report.sessions, report.problems) == (1, ())
    assert report.unchanged == 1
    with sessionlab.open(store) as lab:
        assert lab.frame("turns")["response"].tolist() == ["one", "two"]


# The store


def test_the_store_itself_is_never_imported_into_itself(tmp_path: Path) -> None:
    store, other = str(tmp_path / "store.db"), str(tmp_path / "other.db")
    for path in (store, other):
        with Recorder(path) as recorder, recorder.session("mine") as session:
            session.assistant("mine")
    report = import_histories(str(tmp_path), into=store)
    assert (report.files, report.sessions, report.turns_added) == (1, 1, 1)
    with sessionlab.open(store) as lab:
        assert len(lab.frame("sessions")) == 2
    with sessionlab.open(store, other) as lab:
        assert len(lab.frame("sessions")) == 2


def test_a_backup_of_the_store_adds_only_what_the_store_has_lost(tmp_path: Path) -> None:
    store, backup = str(tmp_path / "store.db"), str(tmp_path / "backup.db")
    with Recorder(store) as recorder:
        for name in ("kept", "lost"):
            recorder.session(name).assistant(name)
    shutil.copy(store, backup)
    with Recorder(store) as recorder:
        recorder.history.delete(next(s.session_id for s in recorder.history.list() if s.name == "lost"))
    report = import_histories(backup, into=store)
    assert (report.sessions, report.turns_added, report.unchanged) == (2, 1, 1)
    with sessionlab.open(store) as lab:
        assert sorted(lab.frame("turns")["response"]) == ["kept", "lost"]


def test_the_archive_of_another_store_is_imported_with_it(tmp_path: Path, files: str, store: str) -> None:
    old = str(tmp_path / "old.db")
    with Recorder(old) as recorder, recorder.session("mine") as session:
        session.assistant("mine")
    import_histories(files, into=old)
    with sessionlab.open(old) as lab:
        expected = frames_of(lab)
    shutil.rmtree(files)
    aged(str(tmp_path))
    first = import_histories(old, into=store)
    assert (first.files, first.turns_added) == (1, len(expected["turns"]))
    for paths in ((store,), (old, store), (store, old)):
        with sessionlab.open(*paths) as lab:
            found = frames_of(lab)
        origins = found["sessions"].pop("origin")
        assert_same_frames(found, {**expected, "sessions": expected["sessions"].drop(columns="origin")})
        assert set(origins) <= {*expected["sessions"]["origin"], store}
    again = import_histories(old, into=store)
    assert (again.sessions, again.unchanged, again.turns_added) == (first.sessions, first.sessions, 0)


def test_a_store_of_the_older_schema_is_read_as_it_is_and_gets_its_archive_by_an_import(
    tmp_path: Path, files: str, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = tmp_path / "schema"
    schema.mkdir()
    shutil.copy(os.path.join(database_module._SCHEMA_FOLDER, "0001_sessions.sql"), schema)
    with monkeypatch.context() as patch:
        patch.setattr(database_module, "_SCHEMA_FOLDER", str(schema))
        with Recorder(store) as recorder, recorder.session("old") as session:
            session.assistant("old")
    with sessionlab.open(store) as lab:
        assert lab.frame("turns")["response"].tolist() == ["old"]
        assert query(store, "select count(*) from migration") == [(1,)]
        report = import_histories(files, into=store)
        assert query(store, "select count(*) from migration") == [(2,)]
        assert len(lab.frame("turns")) == 1 + report.turns_added


def test_recording_and_reading_go_on_while_histories_are_imported(files: str, store: str) -> None:
    with Recorder(store) as recorder, recorder.session("mine") as session, sessionlab.open(store) as lab:
        seen: list[int] = []

        def record(source: str, done: int, total: int) -> None:
            session.user(f"{source} {done} of {total}")
            if done % 5 == 0:
                seen.append(len(lab.frame("sessions", columns=["session_id"])))

        report = import_histories(os.path.join(files, "awful_aj"), into=store, on_progress=record)
        assert seen == sorted(seen)
        assert len(set(seen)) > 1
        session.user("and after it")
        assert len(lab.frame("messages", session_id=session.session_id)) == report.sessions + 1
        assert len(lab.frame("sessions")) == report.sessions + 1


def test_another_store_that_takes_the_place_of_one_shows_its_own_archive(
    tmp_path: Path, files: str, store: str
) -> None:
    other, empty = str(tmp_path / "other.db"), str(tmp_path / "empty.db")
    folder = str(tmp_path / "claude")
    write_transcript(folder, A, transcript(A, 2))
    import_histories(os.path.join(files, "awful_aj"), into=store)
    import_histories(folder, into=other)
    Recorder(empty).close()
    with sessionlab.open(store) as lab:
        assert set(lab.frame("sessions")["source"]) == {"awful_aj"}
        os.replace(other, store)
        assert lab.frame("sessions")["session_id"].tolist() == [A]
        os.replace(empty, store)
        assert len(lab.frame("sessions")) == 0


def test_a_snapshot_holds_although_sessions_are_replaced(tmp_path: Path, store: str) -> None:
    folder = str(tmp_path / "claude")
    write_transcript(folder, A, transcript(A, 2))
    import_histories(folder, into=store)
    write_transcript(folder, A, transcript(A, 3))
    with sessionlab.open(store) as lab:
        with lab.snapshot():
            import_histories(folder, into=store)
            assert len(lab.frame("turns", columns=["session_id"])) == 2
            with pytest.raises(HistoryFileError, match=r"archive in .* has changed since the snapshot was taken"):
                lab.frame("messages")
        assert lab.frame("turns")["response"].tolist() == ["answer 0", "answer 1", "answer 2"]


def test_histories_in_folders_that_can_only_be_read_are_imported_and_left_as_they_are(files: str, store: str) -> None:
    def state() -> list[tuple[str, int, int]]:
        paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(files) for name in names)
        return [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in paths]

    before = state()
    for folder, _, _ in os.walk(files):
        os.chmod(folder, 0o500)
    try:
        assert import_histories(files, into=store).turns_added > 100
    finally:
        for folder, _, _ in os.walk(files):
            os.chmod(folder, 0o700)
    assert state() == before


def test_what_cannot_be_read_is_a_problem_and_looked_at_again_the_next_time(files: str, store: str) -> None:
    torn = os.path.join(files, "torn.db")
    with open(torn, "wb") as file:
        file.write(b"SQLite format 3\0 and nothing after it")
    aged(files)
    for _ in range(2):
        report = import_histories(files, into=store)
        assert [problem["origin"] for problem in report.problems if problem["source"] is None] == [torn]
    with pytest.raises(HistoryFileError, match="is not there"):
        import_histories(os.path.join(files, "nothing.db"), into=store)


def test_a_path_without_a_history_makes_no_store(tmp_path: Path, store: str) -> None:
    with pytest.raises(HistoryFileError, match="is not there"):
        import_histories(str(tmp_path / "nothing.db"), into=store)
    assert not os.path.exists(store)


def test_without_paths_everything_that_is_found_is_imported_into_the_store_of_the_settings(
    home: Path, files: str
) -> None:
    shutil.copytree(os.path.join(files, "claude_code"), home / ".claude")
    report = import_histories()
    with sessionlab.open() as lab:
        assert {source for source, _ in lab.sources} == {"claude_code", "sessionlab"}
        before = len(lab.frame("turns"))
        shutil.rmtree(home / ".claude")
        assert len(lab.frame("turns")) == before == report.turns_added > 10


@pytest.fixture(autouse=True)
def sound(store: str) -> Iterator[None]:
    """Check each store that a test leaves."""
    yield
    if os.path.exists(store):
        assert query(store, "pragma integrity_check") == [("ok",)]
        assert query(store, "pragma foreign_key_check") == []


def test_an_archive_is_listed_where_its_sessions_count(tmp_path: Path) -> None:
    live = str(tmp_path / "aj.db")
    shutil.copyfile(os.path.join(SAMPLES, "awful_aj", "aj.db"), live)
    store = str(tmp_path / "archive.db")
    sessionlab.import_histories(live, into=store)
    with sessionlab.open(live, store) as lab:
        assert lab.overview().source.tolist() == ["awful_aj", "sessionlab"]
    with sessionlab.open(store) as lab:
        found = lab.overview()
    assert found.source.tolist() == ["sessionlab", "awful_aj"]
    assert found.session_count.tolist() == [0, 20]


def test_a_session_with_other_messages_than_the_archive_has_takes_none_away(tmp_path: Path) -> None:
    path = str(tmp_path / "claude" / f"{FIRST}.jsonl")
    store = str(tmp_path / "archive.db")
    write(path, user("u1"), said("u2", "m2"), said("u3", "m3"))
    sessionlab.import_histories(path, into=store)
    write(path, user("u1"), said("u4", "m4"), said("u5", "m5"), said("u6", "m6"))
    report = sessionlab.import_histories(path, into=store)
    assert report.turns_added == 0
    (problem,) = report.problems
    assert "not in it any more" in problem["reason"]
    write(path, user("u1"), said("u2", "m2"), said("u3", "m3"), said("u4", "m4"))
    assert sessionlab.import_histories(path, into=store).turns_added == 1
    with sessionlab.open(store) as lab:
        assert lab.frame("turns").turn_id.tolist() == ["m2", "m3", "m4"]


def test_a_text_that_is_gone_stays_in_the_archive(tmp_path: Path) -> None:
    path = str(tmp_path / "claude" / f"{FIRST}.jsonl")
    store = str(tmp_path / "archive.db")
    write(path, user("u1", "a question"), said("u2"))
    sessionlab.import_histories(path, into=store)
    write(path, user("u1", []), said("u2"))
    sessionlab.import_histories(path, into=store)
    with sessionlab.open(store) as lab:
        assert lab.frame("messages").content.tolist() == ["a question", "a"]


def test_an_empty_file_becomes_the_store_that_is_imported_into(files: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.write_bytes(b"")
    assert import_histories(files, into=empty).sessions > 0
    assert import_histories(files, into=empty).turns_added == 0
