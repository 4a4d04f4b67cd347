"""Make the sample histories: invented sessions, the same ones every time."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import invented_appam
import invented_atuin_ai
import invented_awful_aj
import invented_chatgpt
import invented_claude_code
import invented_codex
import invented_gemini_cli
import invented_goose
import invented_opencode
from invented_sessions import invented_sessions
from large_claude_code import write_claude_code
from large_histories import write_appam, write_atuin_ai, write_awful_aj
from large_store import write_large
from vocabulary import HERE, SEED

from sessionlab import Recorder
from sessionlab.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = """\
examples:
  python sample_data/make_sample.py
      make all sample histories anew; the same rows every time
  python sample_data/make_sample.py --tool awful_aj --tool appam
      only those of two tools
  python sample_data/make_sample.py --folder /tmp/samples
      the same files elsewhere
  python sample_data/make_sample.py --output /tmp/sample.db
      only our own store, elsewhere
  python sample_data/make_sample.py --scale 1000000 --output /tmp/large.db
      a store of a million messages, for measuring
  python sample_data/make_sample.py --scale 1000000 --tool awful_aj --output /tmp/large_aj.db
      a file of another tool with a million messages
  python sample_data/make_sample.py --scale 400000 --tool claude_code --output /tmp/large_claude
      a folder of transcripts with 400,000 lines, about a gigabyte
  python sample_data/write_llm.py
      the history of llm, which that program itself writes; it comes from the package index
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


def make_store(folder: str) -> list[str]:
    """Write the invented sessions to a store in rollback mode, so that reading it leaves nothing behind."""
    path = os.path.join(folder, "history.db")
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
    return ["history.db"]


def make_large_store(path: str, message_count: int) -> None:
    """Write a store of about `message_count` messages, in the shape in which the recorder writes."""
    Recorder(path, enabled=True).close()
    write_large(path, message_count)
    _check(path)


# How each tool's files are made: the small history in a folder, and a large file.
_TOOLS: dict[str, tuple[Callable[[str], list[str]], Callable[[str, int], None]]] = {
    "sessionlab": (make_store, make_large_store),
    "awful_aj": (invented_awful_aj.make, write_awful_aj),
    "atuin_ai": (invented_atuin_ai.make, write_atuin_ai),
    "appam": (invented_appam.make, write_appam),
    "goose": (invented_goose.make, invented_goose.write_goose),
    "opencode": (invented_opencode.make, invented_opencode.write_opencode),
    "claude_code": (invented_claude_code.make, write_claude_code),
    "codex": (invented_codex.make, invented_codex.write_large),
    "gemini_cli": (invented_gemini_cli.make, invented_gemini_cli.write_gemini_cli),
    "chatgpt": (invented_chatgpt.make, invented_chatgpt.write_chatgpt),
}


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and make the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tool", action="append", choices=_TOOLS, help="whose history; may be repeated (all; sessionlab with --output)"
    )
    parser.add_argument("--folder", metavar="PATH", help=f"where the files of all tools go ({HERE})")
    parser.add_argument("--output", metavar="PATH", help="one file: our own store, or what --scale makes")
    parser.add_argument("--scale", type=int, metavar="N", help="instead: about N messages; needs --output")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    given = parser.parse_args(arguments)
    tools = list(
        dict.fromkeys(given.tool or (_TOOLS if given.output is None and given.scale is None else ["sessionlab"]))
    )
    if given.scale is not None and given.scale < 1:
        parser.error("--scale needs a number of 1 or more")
    if given.scale is not None and given.output is None:
        parser.error("--scale needs --output: the committed sample stays small")
    if given.output is not None and given.folder is not None:
        parser.error("--output names one file and --folder a place for several; choose one of them")
    if given.output is not None and len(tools) > 1:
        parser.error("--output names one file, so it goes with one --tool")
    if given.output is not None and given.scale is None and tools != ["sessionlab"]:
        parser.error(f"the history of {tools[0]} may have several files; say --folder instead of --output")
    try:
        if given.output is None:
            for tool in tools:
                folder = os.path.abspath(given.folder or HERE)
                _make(tool, folder, replace=given.force or folder == HERE)
        else:
            _make_one(tools[0], os.path.abspath(given.output), given.scale, replace=given.force)
    except FileExistsError as error:
        parser.error(str(error))
    return 0


def _make(tool: str, folder: str, *, replace: bool) -> None:
    """Make a tool's small history in the folder; the other tools have a folder of their own in it."""
    target = folder if tool == "sessionlab" else os.path.join(folder, tool)
    os.makedirs(target, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".making-") as room:
        started = time.monotonic()
        names = _TOOLS[tool][0](room)
        if not replace:
            _refuse_what_is_there(*(os.path.join(target, name) for name in names))
        _put_in_place(room, target, names, started)


def _make_one(tool: str, output: str, scale: int | None, *, replace: bool) -> None:
    """Make one file: our own store, or a large one of any tool; of some tools it is a folder."""
    committed = os.path.join(HERE, "history.db")
    if scale is not None and os.path.realpath(output) == committed:
        raise FileExistsError(f"{output!r} is the committed sample, which stays small; choose another --output")
    if os.path.isdir(output):
        raise FileExistsError(f"{output!r} is a folder, which is not replaced; choose another name")
    if not replace and output != committed:
        _refuse_what_is_there(output)
    os.makedirs(os.path.dirname(output), exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=os.path.dirname(output), prefix=".making-") as room:
        made = os.path.join(room, "history.db")
        if scale is None:
            make_store(room)
        else:
            _TOOLS[tool][1](made, scale)
        _replace(made, output, started)


def _refuse_what_is_there(*paths: str) -> None:
    for path in paths:
        if os.path.exists(path):
            raise FileExistsError(f"{path!r} is there already; choose another name, or say --force")


def _put_in_place(room: str, target: str, names: list[str], started: float) -> None:
    """Move what was made to its place, and take away traces that are no longer made."""
    logs = os.path.join(target, "logs")
    for name in os.listdir(logs) if os.path.isdir(logs) else ():
        if name.startswith("session-") and os.path.join("logs", name) not in names:
            os.remove(os.path.join(logs, name))
    for name in names:
        os.makedirs(os.path.dirname(os.path.join(target, name)), exist_ok=True)
        _replace(os.path.join(room, name), os.path.join(target, name), started)


def _replace(made: str, output: str, started: float) -> None:
    """Put a finished file in place in one step, without what a reader of the former one left beside it."""
    for suffix in ("-wal", "-shm", "-journal"):
        if os.path.exists(output + suffix):
            os.remove(output + suffix)
    os.replace(made, output)
    print(f"{output}: {_size(output):,} bytes in {time.monotonic() - started:.1f} s")


def _size(path: str) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    below = [os.path.join(at, name) for at, _, names in os.walk(path) for name in names]
    return sum(map(os.path.getsize, below or [path]))


def _check(path: str) -> None:
    database = Database(path, as_it_is=True)
    try:
        wrong = database.check()
    finally:
        database.close()
    if wrong:
        raise SystemExit(f"the store is not sound: {wrong}")


if __name__ == "__main__":
    sys.exit(main())
