"""Work on a disk that fills up, run as a program: `python full_disk.py tmpfs|limit FOLDER WORK`.

`tmpfs` mounts a small file system that only this process sees; where that is not permitted, or with `limit`, no file
may become larger than it is allowed to.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import pytest

import sessionlab
from sessionlab.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SMALL = os.path.join(ROOT, "sample_data", "awful_aj", "second.db")


def mount_small(folder: str, size: str) -> bool:
    """Mount a file system of that size for this process alone; return False where that is not permitted."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    new_mounts, private = 0x0002_0000, 0x0004_4000  # CLONE_NEWNS; MS_REC | MS_PRIVATE
    if libc.unshare(new_mounts) != 0 or libc.mount(b"none", b"/", None, private, None) != 0:
        return False
    return bool(libc.mount(b"none", folder.encode(), b"tmpfs", 0, f"size={size}".encode()) == 0)


class Disk:
    """A folder whose room can be taken and given back."""

    def __init__(self, how: str, folder: str, size: str = "4m") -> None:
        self.folder = folder
        self.is_small = how == "tmpfs" and mount_small(folder, size)
        self._hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    @contextlib.contextmanager
    def full(self, *, but_bytes: int) -> Iterator[None]:
        """Leave only so much room."""
        if not self.is_small:
            sizes = [os.path.getsize(os.path.join(self.folder, name)) for name in os.listdir(self.folder)]
            resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes, default=0) + but_bytes, self._hard))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (self._hard, self._hard))
            return
        filler = os.path.join(self.folder, "filler")
        left = os.statvfs(self.folder)
        with open(filler, "wb") as file:
            file.write(bytes(max(0, left.f_bavail * left.f_frsize - but_bytes)))
        try:
            yield
        finally:
            os.remove(filler)


def refused(kind: type[Exception], path: str, work: Callable[[], object]) -> None:
    """Check that it ends with an error that names the file and says to make room."""
    with pytest.raises(kind) as caught:  # noqa: PT012 -- it fits some times before it does not
        for _ in range(200):
            work()
    assert isinstance(caught.value, sessionlab.SessionLabError)
    assert os.path.basename(path) in str(caught.value) or kind is sessionlab.QueryError
    assert "room" in str(caught.value)


def contents(path: str) -> set[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {row[0] for row in connection.execute("select content from message_text")}


def check(path: str) -> None:
    with contextlib.closing(Database(path)) as database:
        assert database.check() == []


def record(disk: Disk, path: str) -> None:
    """Record until nothing fits any more, again and again, event by event and in batches."""
    acknowledged: set[str] = set()
    number = 0

    def note() -> None:
        nonlocal number
        number += 1
        text = f"{number} " + "x" * 20_000
        s.user(text)
        acknowledged.add(text)

    def note_many() -> None:
        nonlocal number
        number += 1
        texts = [f"{number} of a batch {n} " + "x" * 30_000 for n in range(40)]
        with s.batch():
            for text in texts:
                s.user(text)
        acknowledged.update(texts)

    with sessionlab.Recorder(path) as recorder:
        s = recorder.session("kept")
        for work in (note, note_many):
            for room in (0, 50_000, 300_000):
                with disk.full(but_bytes=room):
                    refused(sessionlab.StoreError, path, work)
                    assert {m.content for m in s.messages()} == acknowledged
                    assert recorder._database is not None
                    assert recorder._database.check() == []
                s.user(f"there is room {number}")
                acknowledged.add(f"there is room {number}")
        with disk.full(but_bytes=0):
            refused(sessionlab.StoreError, path, note)
        s.assistant("at the end")
        acknowledged.add("at the end")
    assert contents(path) == acknowledged
    check(path)


def close(disk: Disk, path: str) -> None:
    """Close a recorder on a full disk: what it recorded stays in the WAL, or is in the file."""
    recorder = sessionlab.Recorder(path)
    s = recorder.session("kept")
    texts = {f"{n} " + "x" * 20_000 for n in range(20)}
    for text in texts:
        s.user(text)
    with disk.full(but_bytes=0):
        recorder.close()
        assert contents(path) == texts
    with sessionlab.Recorder(path) as again:
        again.session("kept").user("there is room")
    assert {"there is room", *texts} <= contents(path)
    check(path)


def begin(disk: Disk, path: str) -> None:
    """Make a store where there is no room for one."""
    with disk.full(but_bytes=8192):
        refused(sessionlab.StoreError, path, lambda: sessionlab.Recorder(path).close())
    with sessionlab.Recorder(path) as recorder:
        recorder.session("kept").user("there is room")
    assert contents(path) == {"there is room"}
    check(path)


def import_into(disk: Disk, path: str) -> None:
    """Import where there is no room, and again where there is."""
    with sessionlab.Recorder(path) as recorder:
        recorder.session("kept").user("before")
    large = os.path.join(os.path.dirname(disk.folder), "large.db")
    shutil.copyfile(SMALL, large)
    with contextlib.closing(sqlite3.connect(large)) as connection, connection:
        connection.execute("update messages set content = content || ?", ["x" * 5_000])
    with disk.full(but_bytes=-80_000 if not disk.is_small else 100_000):
        refused(sessionlab.StoreError, path, lambda: sessionlab.import_histories(large, into=path))
        check(path)
    report = sessionlab.import_histories(large, into=path)
    assert report.sessions == 3
    check(path)
    with sessionlab.open(path) as lab, sessionlab.open(large) as live:
        archived = lab.frame("messages", source="awful_aj").content
        assert sorted(archived) == sorted(live.frame("messages").content)


def backup(disk: Disk, path: str) -> None:
    """Back up to where there is no room, and again where there is; nothing half made stays."""
    with contextlib.closing(Database(path)) as database, sessionlab.Recorder(path) as recorder:
        s = recorder.session("kept")
        s.user("x" * 600_000)
        database.vacuum()
        target = os.path.join(disk.folder, "kept.backup")
        names = sorted(os.listdir(disk.folder))
        with disk.full(but_bytes=0 if disk.is_small else -400_000):
            refused(sessionlab.StoreError, target, lambda: database.backup(target))
            refused(sessionlab.StoreError, path, database.vacuum) if disk.is_small else None
        assert sorted(os.listdir(disk.folder)) == names
        database.backup(target)
        s.user("goes on")
    assert contents(target) == {"x" * 600_000}
    check(target)
    check(path)


def read(disk: Disk, path: str) -> None:
    """Read where neither a private copy nor what DuckDB spills has room, and again where there is."""
    import duckdb

    with sessionlab.Recorder(path) as recorder:
        s = recorder.session("kept")
        with s.batch():
            for number in range(300):
                s.user(f"{number} " + "x" * 3_000)
    temporary = os.path.join(disk.folder, "temporary")
    os.mkdir(temporary)
    os.environ["TMPDIR"] = temporary
    left = os.path.join(os.path.dirname(disk.folder), "left.db")  # a WAL without its index is read from a copy
    shutil.copyfile(path, left)
    with contextlib.closing(sqlite3.connect(left)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("update message_text set content = content || 'y'")
        connection.commit()
        for part in ("", "-wal"):
            shutil.copyfile(left + part, left + ".copy" + part)
    left += ".copy"
    with sessionlab.open(path) as lab:
        with disk.full(but_bytes=100_000 if disk.is_small else -600_000):
            refused(sessionlab.HistoryFileError, left, lambda: sessionlab.open(left).close())
            assert len(lab.frame("messages")) == 300
        with sessionlab.open(left) as other:
            assert other.frame("messages").content.str.endswith("y").all()
    connect: Any = duckdb.connect

    def connect_to_little(config: dict[str, Any]) -> Any:  # as on a small machine
        return connect(config={**config, "memory_limit": "50MB", "threads": 1})

    duckdb.connect = connect_to_little  # type: ignore[assignment]  # the program ends with this
    spilling = "select max(c) from (select content || n as c from messages, range(100) a(n) order by c)"
    with sessionlab.open(path) as lab:
        with disk.full(but_bytes=100_000):
            refused(sessionlab.QueryError, "messages", lambda: lab.sql(spilling))
            assert len(lab.frame("messages")) == 300
        assert len(lab.sql("select content from messages").pandas()) == 300


if __name__ == "__main__":
    disk = Disk(sys.argv[1], sys.argv[2], "8m" if sys.argv[3] == "read" else "4m")
    globals()[sys.argv[3]](disk, os.path.join(sys.argv[2], "history.db"))
    print("small" if disk.is_small else "limited")
