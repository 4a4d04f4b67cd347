"""Play what somebody does with atuin-ai in a terminal, and keep the rows that come of it."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vocabulary import create_tables, microseconds, moment, schema_text, uuid4, uuid7

if TYPE_CHECKING:
    import random

BOUNDARY = (
    "[Note: The user has started a new invocation of Atuin AI. "
    "Prior messages from this session are from an earlier invocation.]"
)
CANCELLED = "The user cancelled the previous generation. Tool calls that were in progress have been aborted."
_MIGRATIONS = (
    "20260413000000_create_ai_sessions.sql",
    "20260417000000_add_session_metadata.sql",
    "20260707000000_create_ai_usage.sql",
)
_INSTALLED = ("2026-08-30 19:02:11", "2026-08-30 19:02:11", "2026-08-31 06:58:40")


def shell_result(exit_code: int | None, milliseconds: int, stdout: str = "", stderr: str = "", end: str = "") -> str:
    """Return the text that a command gives; a killed one has no exit code."""
    blocks = [] if exit_code is None else [f"Exit code: {exit_code}"]
    blocks.append(f"Duration: {milliseconds}ms")
    blocks += [
        f"{name}:\n{text}" if text else f"{name}: (empty)" for name, text in (("stdout", stdout), ("stderr", stderr))
    ]
    return "\n\n".join([*blocks, end] if end else blocks)


@dataclass(slots=True, kw_only=True)
class Chat:
    """One session and what is kept beside its events."""

    session_id: str
    server_session_id: str | None
    directory: str | None
    git_root: str | None
    created_ms: int | None = None
    updated_ms: int | None = None
    archived_ms: int | None = None
    head_id: str | None = None
    reads: dict[str, dict[str, int]] = field(default_factory=dict)
    grants: dict[str, int] = field(default_factory=dict)
    metadata_ms: int | None = None
    with_metadata: bool = True


class Window:
    """One run of the program on one session: what happens waits until the turn ends, and is then written at once."""

    def __init__(self, history: History, chat: Chat, now_ms: int, head_id: str | None = None) -> None:
        self.history = history
        self.chat = chat
        self.now_ms = now_ms
        self.head_id = head_id
        self.invocation_id = uuid7(history.chance, now_ms)
        self.pending: list[tuple[str, str]] = []

    def add(self, event_type: str, **members: Any) -> None:
        """Note an event."""
        self.raw(event_type, json.dumps(members, ensure_ascii=False, separators=(",", ":")))

    def raw(self, event_type: str, data: str) -> None:
        """Note an event whose data may be anything."""
        self.pending.append((event_type, data))

    def user(self, text: str) -> None:
        """Type a prompt."""
        self.now_ms += self.history.chance.randrange(4_000, 60_000)
        self.add("user_message", content=text)

    def text(self, text: str) -> None:
        """Let the model say something."""
        self.now_ms += self.history.chance.randrange(900, 6_000)
        self.add("text", content=text)

    def call(self, name: str, call_input: Any, call_id: str | None = None) -> str:
        """Let the model call a tool; return the call's id."""
        call_id = call_id or f"toolu_{self.history.chance.getrandbits(64):016x}"
        self.add("tool_call", id=call_id, name=name, input=call_input)
        return call_id

    def result(
        self, call_id: str, content: str, *, is_error: bool = False, remote: bool = False, length: int | None = None
    ) -> None:
        """Answer a call."""
        self.now_ms += self.history.chance.randrange(5, 3_000)
        self.add(
            "tool_result", tool_use_id=call_id, content=content, is_error=is_error, remote=remote, content_length=length
        )

    def shell(self, command: str, exit_code: int, stdout: str = "", stderr: str = "", **more: Any) -> None:
        """Let the model run a command."""
        call_id = self.call("execute_shell_command", {"command": command, "shell": "zsh"} | more)
        took = self.history.chance.randrange(4, 9_000)
        self.result(call_id, shell_result(exit_code, took, stdout, stderr), is_error=exit_code != 0)

    def note(self, command: str | None, content: str) -> None:
        """Show what the model never sees."""
        self.now_ms += self.history.chance.randrange(300, 2_000)
        self.add("out_of_band_output", name="System", command=command, content=content)

    def read(self, path: str) -> None:
        """Remember that a file was read: an unsigned hash of 64 bits, and the file's time."""
        chance = self.history.chance
        file = {"content_hash": chance.getrandbits(64), "mtime_ms": self.now_ms - chance.randrange(10**10)}
        self.chat.reads[path] = file

    def persist(self, count: int | None = None) -> None:
        """Write what waits, or only so many of them, in a row; events of one turn share a second or two."""
        chat = self.chat
        writing, self.pending = self.pending[:count], self.pending[count or len(self.pending) :]
        if chat.created_ms is None:
            chat.created_ms = self.now_ms
            self.history.chats.append(chat)
        for event_type, data in writing:
            self.now_ms += self.history.chance.randrange(1, 9)
            event_id = uuid7(self.history.chance, self.now_ms)
            row = (event_id, chat.session_id, self.head_id, self.invocation_id, event_type, data, self.now_ms // 1000)
            self.history.events.append((self.now_ms, row))
            self.head_id = chat.head_id = event_id
        chat.updated_ms = chat.metadata_ms = self.now_ms

    def later(self, minutes: float) -> Window:
        """Return the run that goes on with the session some minutes later."""
        window = Window(self.history, self.chat, self.now_ms + round(minutes * 60_000), self.chat.head_id)
        window.add("system_context", content=BOUNDARY)
        return window

    def new(self) -> Window:
        """Say `/new`: this session is archived, and another one begins in the same program."""
        self.now_ms += 1_500
        self.chat.archived_ms = self.now_ms
        chat = self.history.chat(self.now_ms, self.chat.directory, self.chat.git_root)
        window = Window(self.history, chat, self.now_ms)
        window.note("/new", "Started a new session.")
        window.persist()
        return window


class History:
    """All sessions of one user."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.chats: list[Chat] = []
        self.events: list[tuple[int, tuple[str | int | None, ...]]] = []

    def chat(self, now_ms: int, directory: str | None, git_root: str | None) -> Chat:
        """Return a session that nothing was written of yet."""
        return Chat(
            session_id=uuid7(self.chance, now_ms),
            server_session_id=uuid4(self.chance),
            directory=directory,
            git_root=git_root,
        )

    def open(self, directory: str | None, git_root: str | None) -> Window:
        """Open the program at some time."""
        now_ms = microseconds(moment(self.chance)) // 1000
        return Window(self, self.chat(now_ms, directory, git_root), now_ms)

    def write(self, path: str) -> None:
        """Write the file as the tool leaves it: in WAL mode, and only for its owner."""
        connection = create_file(path)
        connection.executemany(
            "insert into sessions values (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    chat.session_id,
                    chat.head_id,
                    chat.server_session_id,
                    chat.directory,
                    chat.git_root,
                    (chat.created_ms or 0) // 1000,
                    (chat.updated_ms or 0) // 1000,
                    None if chat.archived_ms is None else chat.archived_ms // 1000,
                )
                for chat in sorted(self.chats, key=lambda chat: chat.created_ms or 0)
            ),
        )
        # Written in the order of time, since the hidden row number breaks ties.
        events = (row for _, row in sorted(self.events, key=lambda event: event[0]))
        connection.executemany("insert into session_events values (?, ?, ?, ?, ?, ?, ?)", events)
        for chat in self.chats:
            if chat.with_metadata:
                for key, value in (
                    ("file_read_tracker", {"reads": chat.reads}),
                    ("edit_permissions", {"grants": chat.grants}),
                ):
                    text = json.dumps(value, separators=(",", ":"))
                    row = (chat.session_id, key, text, (chat.metadata_ms or 0) // 1000)
                    connection.execute("insert into session_metadata values (?, ?, ?, ?)", row)
        snapshot = {
            "period": "calendar_monthly",
            "resets_at": "2026-12-01T00:00:00Z",
            "requests": {"used": 214, "limit": -1},
            "input": {"used": 1_482_113, "limit": 5_000_000},
            "output": {"used": 61_904, "limit": 1_000_000},
        }
        last = max(time for time, _ in self.events) // 1000
        usage = (f"{self.chance.getrandbits(64):016x}", json.dumps(snapshot, separators=(",", ":")), last)
        connection.execute("insert into usage values (?, ?, ?)", usage)
        close_file(connection)
        os.chmod(path, 0o600)


def create_file(path: str) -> sqlite3.Connection:
    """Return a connection to a new file with all tables, in a transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    # Nobody else has the file yet, and one that was cut off is thrown away.
    connection.execute("pragma synchronous = off")
    connection.execute("pragma cache_size = -262144")
    connection.execute("pragma foreign_keys = on")
    create_tables(connection, "atuin_ai/bookkeeping.sql", *(f"atuin_ai/{name}" for name in _MIGRATIONS))
    connection.execute("begin")
    for number, (name, installed_on) in enumerate(zip(_MIGRATIONS, _INSTALLED, strict=True)):
        version, _, description = name.removesuffix(".sql").partition("_")
        checksum = hashlib.sha384(schema_text(f"atuin_ai/{name}").encode()).digest()
        row = (int(version), description.replace("_", " "), installed_on, checksum, 1_204_377 + 88_101 * number)
        connection.execute("insert into _sqlx_migrations values (?, ?, ?, 1, ?, ?)", row)
    return connection


def close_file(connection: sqlite3.Connection) -> None:
    """Commit and close; the last connection takes the write-ahead log with it."""
    connection.execute("commit")
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
