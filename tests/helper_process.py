"""Another process that uses a store on command: `with helper(path) as ask: ask("record x")`."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PROGRAM = """
import os, sqlite3, sys
from sessionlab import Recorder
path, connection, recorder, session = sys.argv[1], None, None, None
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "visit":  # open, write and close
        with Recorder(path) as visitor:
            visitor.session("visits").user(rest)
    elif word == "open":
        recorder = Recorder(path)
        session = recorder.session(rest)
    elif word == "record":
        session.user(rest)
    elif word == "die":
        os._exit(9)
    elif word == "hold":  # the lock between processes
        recorder = Recorder(path)
        recorder._database.gate._lock.acquire(5)
    elif word == "begin":  # a plain connection's write transaction
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("begin immediate")
    elif word == "let":
        if connection is not None:
            connection.execute("rollback")
            connection.close()
            connection = None
        else:
            recorder._database.gate._lock.release()
    print("done", word, flush=True)
"""


@contextlib.contextmanager
def helper(path: str) -> Iterator[Callable[[str], None]]:
    """Start the process and hand out what sends it a command and waits until it is carried out."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def ask(command: str) -> None:
        print(command, file=stdin, flush=True)
        answer = stdout.readline()
        if command == "die":
            process.wait()
        else:
            assert answer.startswith("done"), answer

    try:
        yield ask
    finally:
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        process.wait(timeout=30)
        stdout.close()
