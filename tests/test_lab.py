"""The lab: fresh, held by a snapshot, in threads, after fork(), of folders, of nothing, closed."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import traceback
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from helper_process import helper
from test_frames import COLUMNS, SAMPLE, check_frames, record_all

import sessionlab
from sessionlab import (
    FrameError,
    HistoryFileError,
    Message,
    Recorder,
    Session,
    SessionLabError,
    SessionLabWarning,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def contents(lab: sessionlab.Lab) -> list[str]:
    return [str(text) for text in lab.frame("messages", kind="message")["content"]]


def test_a_frame_sees_what_was_just_recorded_by_anybody(path: str) -> None:
    with Recorder(path) as recorder, sessionlab.open(path) as lab, helper(path) as ask:
        s = recorder.session("mine")
        for number in range(5):
            s.user(f"mine {number}")
            assert contents(lab)[-1] == f"mine {number}"
            ask(f"visit theirs {number}")
            assert contents(lab)[-1] == f"theirs {number}"
            assert lab.sql("select count(*) as n from messages where kind = 'message'").pandas()["n"].tolist() == [
                2 * number + 2
            ]


@pytest.mark.parametrize("is_settled", [False, True])
@pytest.mark.parametrize("command", ["visit", "record"])
def test_no_commit_of_another_process_is_missed_where_this_one_records_nothing(
    path: str, command: str, *, is_settled: bool
) -> None:
    """`visit` leaves no WAL and `record` keeps one; a settled file is known by its size and times alone."""
    with helper(path) as ask:
        ask("visit first" if command == "visit" else "open theirs")
        with sessionlab.open(path) as lab:
            for number in range(30):
                if is_settled:
                    os.utime(path, (number, number))  # its other time, which cannot be set, is that of now
                ask(f"{command} text {number}")
                for _ in range(2):
                    assert contents(lab)[-1] == f"text {number}"
                    assert lab.frame("sessions").message_count.sum() == len(lab.frame("messages"))


def test_a_snapshot_holds_one_view_while_others_record(path: str) -> None:
    with Recorder(path) as recorder, sessionlab.open(path) as lab, helper(path) as ask:
        s = recorder.session("mine")
        s.user("before")
        with lab.snapshot() as held:
            s.user("later")
            ask("visit later")
            recorder.history.rename(s.session_id, "renamed")
            assert contents(held) == ["before"]  # read only now
            assert held.frame("sessions").name.tolist() == ["mine"]
            assert held.sql("select count(*) as n from messages").pandas()["n"].tolist() == [1]
            with lab.snapshot():
                assert contents(lab) == ["before"]
            assert contents(lab) == ["before"]
        assert contents(lab) == ["before", "later", "later"]
        assert lab.frame("sessions").name.tolist() == ["renamed", "visits"]


def test_a_snapshot_keeps_the_texts_that_are_deleted_meanwhile(path: str, recorder: Recorder) -> None:
    s = recorder.session("gone")
    s.user("before")
    with sessionlab.open(path) as lab:
        assert contents(lab) == ["before"]
        s.user("and after")
        with lab.snapshot():
            recorder.history.delete(s.session_id)
            assert contents(lab) == ["before", "and after"]
            assert len(lab.frame("sessions")) == 1
        assert lab.frame("messages").empty


def test_a_snapshot_says_so_where_texts_were_deleted_before_they_were_read(path: str, recorder: Recorder) -> None:
    s = recorder.session("gone")
    s.user("before")
    with sessionlab.open(path) as lab:
        with lab.snapshot():
            recorder.history.delete(s.session_id)
            with pytest.raises(HistoryFileError, match="since the snapshot was taken"):
                lab.frame("messages")
            assert len(lab.frame("messages", columns=["role"])) == 1
        assert lab.frame("messages").empty


def test_a_refresh_reads_only_what_is_new(path: str, recorder: Recorder) -> None:
    s = recorder.session("long")
    with s.batch():
        for number in range(2000):
            s.user(f"{number}")
    with sessionlab.open(path) as lab:
        assert len(lab.frame("messages")) == 2000
        engine = lab._engine
        assert engine is not None
        read: list[int] = []
        fetch = engine.fetch

        def counting(*arguments: object, **options: object) -> object:
            table = fetch(*arguments, **options)  # type: ignore[arg-type]  # handed through
            read.append(table.num_rows)
            return table

        engine.fetch = counting  # type: ignore[method-assign]  # to look on, not to replace
        s.user("new")
        assert len(lab.frame("messages")) == 2001
        assert sum(read) < 20
        read.clear()
        lab.frame("messages")
        assert sum(read) <= 1  # the bound


def delete(recorder: Recorder, path: str) -> None:
    recorder.history.delete(recorder.history.list()[0].session_id)


def save_in_place(recorder: Recorder, path: str) -> None:
    found = recorder.history.list()[0]
    recorder.history.save(Session(session_id=found.session_id, messages=[Message(message_id="x", role="user")]))


def vacuum(recorder: Recorder, path: str) -> None:
    delete(recorder, path)
    assert recorder._database is not None
    recorder._database.vacuum()


def restore_another(recorder: Recorder, path: str) -> None:
    recorder.close()
    shutil.copyfile(SAMPLE, path)


def put_another_in_place(recorder: Recorder, path: str) -> None:
    recorder.close()
    shutil.copyfile(SAMPLE, path + ".new")
    os.replace(path + ".new", path)


def go_back_to_a_backup(recorder: Recorder, path: str) -> None:
    assert recorder._database is not None
    backup = os.path.join(os.path.dirname(path), "copy.of")
    recorder._database.backup(backup)
    recorder.session("after the backup").user("lost")
    recorder.close()
    os.replace(backup, path)


def make_anew(recorder: Recorder, path: str) -> None:
    recorder.close()
    for part in ("", "-wal", "-shm", ".lock"):
        if os.path.exists(path + part):
            os.remove(path + part)
    with Recorder(path) as other:
        record_all(other)
        record_all(other)


@pytest.mark.parametrize(
    "change", [delete, save_in_place, vacuum, restore_another, put_another_in_place, go_back_to_a_backup, make_anew]
)
def test_what_takes_rows_away_or_the_file_is_noticed(path: str, change: Callable[[Recorder, str], None]) -> None:
    with sessionlab.open(SAMPLE) as sample:
        assert len(sample.frame("messages")) > 0
    recorder = Recorder(path)
    for _ in range(3):
        record_all(recorder)
    with sessionlab.open(path) as lab:
        check_frames(lab)
        if change is go_back_to_a_backup:
            recorder.session("seen").user("and kept")
            check_frames(lab)
        change(recorder, path)
        check_frames(lab)
        with sessionlab.open(path) as fresh:
            for name in COLUMNS:
                pd.testing.assert_frame_equal(lab.frame(name), fresh.frame(name), rtol=1e-12)
    recorder.close()


def test_a_deletion_between_facts_and_texts_tears_no_read(path: str, recorder: Recorder) -> None:
    kept = recorder.session("kept")
    kept.user("kept")
    gone = recorder.session("gone")
    gone.user("gone")
    with sessionlab.open(path) as lab:
        with lab.snapshot():  # facts only
            recorder.history.delete(gone.session_id)
        assert contents(lab) == ["kept"]


def test_many_threads_read_one_lab_while_one_records(path: str, recorder: Recorder) -> None:
    failures: list[str] = []
    done = threading.Event()

    def read(name: str) -> None:
        try:
            while not done.is_set():
                frame = lab.frame(name)
                assert list(frame.columns) == COLUMNS[name].split()
                assert lab.sql(f"select count(*) as n from {name}").pandas()["n"].iloc[0] >= len(frame)
                assert len(lab.problems) >= 0
        except BaseException:
            failures.append(traceback.format_exc())

    with sessionlab.open(path) as lab:
        threads = [threading.Thread(target=read, args=(name,)) for name in ("turns", "messages", "tool_calls") * 2]
        for thread in threads:
            thread.start()
        for _ in range(15):
            record_all(recorder)
        done.set()
        for thread in threads:
            thread.join()
        assert failures == []
        check_frames(lab)


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked child that ends as a program does, and return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            import atexit

            atexit._run_exitfuncs()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_parent_and_child_go_on_reading_after_a_fork(path: str) -> None:
    with Recorder(path) as recorder:
        record_all(recorder)
        lab = sessionlab.open(path)
        assert len(lab.frame("messages")) > 0
        before = len(lab.frame("messages"))

        def read() -> None:
            check_frames(lab)
            recorder.session("child").user("from the child")
            assert contents(lab)[-1] == "from the child"
            assert sessionlab.frame("sessions", path).name.tolist()[-1] == "child"
            lab.close()

        assert in_child(read) == 0
        assert in_child(lambda: None) == 0  # nothing of the parent's is removed at the child's end
        recorder.session("parent").user("from the parent")
        check_frames(lab)
        assert len(lab.frame("messages")) == before + 2
        assert contents(lab)[-2:] == ["from the child", "from the parent"]
        lab.sql("select content from messages order by content")
        lab.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_reads_although_a_thread_of_the_parent_was_reading(path: str) -> None:
    with Recorder(path) as recorder:
        record_all(recorder)
    lab = sessionlab.open(path)
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with lab._lock:
            inside.set()
            go_on.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    try:
        assert in_child(lambda: check_frames(lab)) == 0
    finally:
        go_on.set()
        thread.join()
    check_frames(lab)
    lab.close()


def test_a_closed_lab_says_so_and_closing_again_does_nothing(path: str, recorder: Recorder) -> None:
    lab = sessionlab.open(path)
    lab.close()
    lab.close()
    for work in (lab.frame, lambda: lab.sql("select 1"), lambda: lab.problems, lab._repr_html_):
        with pytest.raises(SessionLabError, match=r"closed\. sessionlab\.open"):
            work()
    assert lab.sources == []


def test_frame_keeps_its_lab_and_uses_it_again(path: str, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    from sessionlab.lab import lab as module

    recorder.session("a").user("q")
    assert len(sessionlab.frame("sessions", path)) == 1
    kept = dict(module._labs)
    monkeypatch.chdir(os.path.dirname(path))
    assert len(sessionlab.frame("messages", os.path.basename(path))) == 1
    assert module._labs == kept
    recorder.session("b")
    assert sessionlab.frame("sessions", path, columns=["name"]).name.tolist() == ["a", "b"]


def test_no_history_at_all_warns_once_and_gives_empty_frames_until_there_is_one() -> None:
    with pytest.warns(SessionLabWarning, match="No history was found") as caught:
        lab = sessionlab.open()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    for name in COLUMNS:
        frame = lab.frame(name)
        assert list(frame.columns) == COLUMNS[name].split()
        assert frame.empty
    assert lab.problems.empty
    with Recorder(enabled=True) as recorder:
        recorder.session("now").user("q")
        assert lab.frame("sessions").name.tolist() == ["now"]
        os.remove(recorder.path)
    assert lab.frame("sessions").empty
    lab.close()


def test_a_folder_gives_what_is_in_it_now_and_its_bad_files_as_problems(tmp_path: Path) -> None:
    with pytest.raises(HistoryFileError, match="holds no history"):
        sessionlab.open(tmp_path)
    with Recorder(tmp_path / "a.db") as recorder:
        recorder.session("a")
    (tmp_path / "bad.db").write_text("no SQLite at all")
    (tmp_path / "deep").mkdir()
    with sessionlab.open(tmp_path) as lab:
        assert lab.frame("sessions").name.tolist() == ["a"]
        assert lab.problems.origin.tolist() == [str(tmp_path / "bad.db")]
        assert [str(t) for t in lab.problems.dtypes] == ["str", "str", "Int64", "str", "str"]
        with Recorder(tmp_path / "deep" / "b.sqlite") as recorder:
            recorder.session("b")
        assert lab.frame("sessions").name.tolist() == ["a", "b"]
        os.remove(tmp_path / "bad.db")
        with Recorder(tmp_path / "bad.db") as recorder:
            recorder.session("was bad")
        assert lab.frame("sessions").name.tolist() == ["a", "was bad", "b"]
        assert lab.problems.empty
        (tmp_path / "a.db").write_bytes(b"\0" * 5000)
        assert lab.frame("sessions").name.tolist() == ["was bad", "b"]
        assert lab.problems.origin.tolist() == [str(tmp_path / "a.db")]
        os.remove(tmp_path / "a.db")
        assert lab.problems.empty
        check_frames(lab)


def test_a_path_in_place_of_the_name_gets_an_error_that_says_so(path: str, tmp_path: Path) -> None:
    for wrong in (path, tmp_path / "history.db", "history.sqlite", "some/where"):
        with pytest.raises(FrameError, match="A path comes after the frame's name"):
            sessionlab.frame(wrong)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(FrameError, match="There is no frame 'turn'; there are 'sessions'"):
        sessionlab.frame("turn", SAMPLE)
    with pytest.raises(FrameError, match="to='csv'"):
        sessionlab.open(SAMPLE).frame("turns", to="csv")  # type: ignore[call-overload]  # on purpose
    with pytest.raises(FrameError, match=r"no column 'turnid'.*Did you mean 'turn_id'"):
        sessionlab.frame("turns", SAMPLE, columns=["turnid"])
    with pytest.raises(FrameError, match="twice"):
        sessionlab.frame("turns", SAMPLE, columns=["turn_id", "turn_id"])
    assert list(sessionlab.frame("turns", SAMPLE, columns="turn_id").columns) == ["turn_id"]
    with pytest.raises(FrameError, match="no column"):
        sessionlab.frame("turns", SAMPLE, columns=[])


def test_a_frame_of_numbers_loads_no_message_text() -> None:
    with sessionlab.open(SAMPLE) as lab:
        numbers = [c for c in COLUMNS["turns"].split() if c not in ("prompt", "response", "reasoning", "error_message")]
        lab.frame("turns", columns=numbers)
        lab.frame("token_usage")
        lab.frame("model_configs")
        lab.frame("messages", columns=["role", "created_at"], role="user")
        assert lab._histories is not None
        texts = lab._histories.copies[0].texts
        assert [kind.until for kind in texts.values()] == [-1, -1]
        lab.frame("tool_calls", columns=["arguments"])
        assert texts["message"].until == -1
        assert texts["tool_call"].until > 0


def test_the_private_folder_goes_with_the_lab(path: str, recorder: Recorder) -> None:
    recorder.session("a").assistant("b", usage=Usage(input_tokens=1, output_tokens=1))
    lab = sessionlab.open(path)
    assert lab._engine is not None
    folder = lab._engine.folder
    assert os.stat(folder).st_mode & 0o777 == 0o700
    del lab
    import gc

    gc.collect()
    assert not os.path.exists(folder)
