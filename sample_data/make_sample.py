"""Make the sample store: invented sessions, the same ones every time."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
import time

from invented_sessions import SEED, invented_sessions
from large_store import write_large

from sessionlab import Recorder
from sessionlab.store.database import Database

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_OUTPUT = os.path.join(HERE, "history.db")
EXAMPLES = """\
examples:
  python sample_data/make_sample.py
      make sample_data/history.db anew; the same rows every time
  python sample_data/make_sample.py --output /tmp/sample.db
      the same store elsewhere
  python sample_data/make_sample.py --scale 1000000 --output /tmp/large.db
      a store of a million messages, for measuring
"""
# A saved session has every call linked to its turn; a call that was recorded before its turn waits for it.
_CALLS_THAT_WAIT = (
    """update turn set first_call_key = (
        select min(tool_call_key) from tool_call c
        where c.turn_key = turn.turn_key and c.tool_call_key < c.turn_key)""",
    "update tool_call set turn_key = null where turn_key > tool_call_key",
    """update message set turn_key = null where message_key in (
        select tool_result_key from tool_result join tool_call using (tool_call_key) where turn_key is null)""",
)


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and make the store."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", default=DEFAULT_OUTPUT, metavar="PATH", help="the file (%(default)s)")
    parser.add_argument("--scale", type=int, metavar="N", help="instead: about N messages; needs --output")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    given = parser.parse_args(arguments)
    output = os.path.abspath(given.output)
    if given.scale is not None and given.scale < 1:
        parser.error("--scale needs a number of 1 or more")
    if given.scale is not None and os.path.exists(DEFAULT_OUTPUT) and os.path.realpath(output) == DEFAULT_OUTPUT:
        parser.error("--scale needs --output: the committed sample stays small")
    if os.path.exists(output) and output != DEFAULT_OUTPUT and not given.force:
        parser.error(f"{output!r} is there already; choose another name, or say --force")
    started = time.monotonic()
    if given.scale is None:
        make_sample(output)
    else:
        make_large(output, given.scale)
    size = os.path.getsize(output)
    print(f"{output}: {size:,} bytes in {time.monotonic() - started:.1f} s")
    return 0


def make_sample(output: str) -> None:
    """Write the invented sessions to a store in rollback mode, so that reading it leaves nothing behind."""
    with _Workshop(output) as path:
        with Recorder(path, enabled=True, journal="rollback") as recorder:
            for session in invented_sessions():
                recorder.history.save(session)
        _check(path)
        connection = sqlite3.connect(path)
        try:
            # What a store notes by chance or by the clock, so that the same rows come out every time.
            connection.execute("update counter set store_id = ?", (f"{SEED:032x}",))
            connection.execute("update migration set applied_at = (select min(started_at) from session)")
            connection.execute(
                "update invocation set started_at = coalesce("
                "(select min(created_at) from message m where m.invocation_key = invocation.invocation_key),"
                "(select started_at from session s where s.session_key = invocation.session_key))"
            )
            for sql in _CALLS_THAT_WAIT:
                connection.execute(sql)
            connection.commit()
            connection.execute("vacuum")
        finally:
            connection.close()


def make_large(output: str, message_count: int) -> None:
    """Write a store of about `message_count` messages, in the shape in which the recorder writes."""
    with _Workshop(output) as path:
        Recorder(path, enabled=True).close()
        write_large(path, message_count)
        _check(path)


def _check(path: str) -> None:
    database = Database(path, as_it_is=True)
    try:
        wrong = database.check()
    finally:
        database.close()
    if wrong:
        raise SystemExit(f"the store is not sound: {wrong}")


class _Workshop:
    """A folder beside the output in which a store is made; a finished one is put in place in one step."""

    def __init__(self, output: str) -> None:
        self._output = output
        os.makedirs(os.path.dirname(output), exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(dir=os.path.dirname(output), prefix=".making-")

    def __enter__(self) -> str:
        return os.path.join(self._folder.name, "history.db")

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        with self._folder as folder:
            if error is None:
                os.replace(os.path.join(folder, "history.db"), self._output)


if __name__ == "__main__":
    sys.exit(main())
