"""The rows of a store written by hand: the same INSERTs as sessionlab's, in plain sqlite3, with nothing around them."""

from __future__ import annotations

import sqlite3
import time
import uuid

import sessionlab

_MESSAGE = (
    "insert into message (message_key, session_key, message_index, parent_key, prompt_key, exchange_index, turn_key,"
    " invocation_key, role, kind, is_preamble, created_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'message', 0, ?)"
)
_TEXT = "insert into message_text (message_key, content) values (?, ?)"
_TURN = (
    "insert into turn (turn_key, session_key, turn_index, invocation_key, prompt_key, exchange_index, started_at,"
    " input_tokens, output_tokens) values (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_CALL = (
    "insert into tool_call (tool_call_key, session_key, tool_call_index, tool_call_id, turn_key, invocation_key,"
    " tool_name, started_at) values (?, ?, ?, ?, ?, ?, ?, ?)"
)
_ARGUMENTS = "insert into tool_call_text (tool_call_key, arguments) values (?, ?)"
_RESULT = (
    "insert into tool_result (tool_result_key, tool_call_key, session_key, status, is_error, exit_code)"
    " values (?, ?, ?, 'ok', 0, 0)"
)
_NEWEST = "select coalesce(max(message_key), 0) from message"


class ByHand:
    """Writes to a store; each method is one event and one transaction, unless `begin` was called before."""

    def __init__(self, path: str, *, is_alone: bool = True) -> None:
        with sessionlab.Recorder(path):
            pass  # the tables
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        self.connection.execute("pragma synchronous = normal")
        self.connection.execute("pragma foreign_keys = on")
        self._is_alone = is_alone  # then it knows the next key, and else it must look
        self._key = self.connection.execute("select last_key from counter").fetchone()[0]
        self._session = self._run = 0
        self._index = self._turns = self._calls = self._exchanges = 0
        self._parent: int | None = None
        self._prompt: int | None = None
        self._turn: int | None = None
        self._call: int | None = None
        self._is_in_batch = False

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def begin(self) -> None:
        """Begin a transaction that `commit` ends."""
        self.connection.execute("begin immediate")
        self._is_in_batch = True

    def commit(self) -> None:
        """End it."""
        self._is_in_batch = False
        self.connection.execute("commit")

    def session(self, name: str) -> None:
        """Begin a session."""
        self.connection.execute("begin immediate")
        if not self._is_alone:
            newest = self.connection.execute("select coalesce(max(session_key), 0) + 2 from session").fetchone()[0]
            self._key = max(self._next(), newest)
        self._session, self._run = self._key + 1, self._key + 2
        self._key += 3
        values = (self._session, self._key, uuid.uuid4().hex, name, _now_us())
        self.connection.execute(
            "insert into session (session_key, revision, session_id, name, started_at, metadata)"
            " values (?, ?, ?, ?, ?, '{}')",
            values,
        )
        self.connection.execute(
            "insert into invocation values (?, ?, ?, ?)", (self._run, self._session, uuid.uuid4().hex, _now_us())
        )
        self.connection.execute("commit")
        self._index = self._turns = self._calls = self._exchanges = 0
        self._parent = self._prompt = self._turn = self._call = None

    def end(self) -> None:
        """End the session."""
        self._key += 1
        self.connection.execute("begin immediate")
        self.connection.execute(
            "update session set ended_at = ?, revision = ? where session_key = ?",
            (_now_us(), self._key, self._session),
        )
        self.connection.execute("commit")

    def user(self, text: str) -> None:
        """Write a prompt."""
        self._begin()
        self._prompt = self._next()
        self._turn = None
        self._message(self._prompt, "user", text)
        self._exchanges += 1
        self._commit()

    def assistant(self, text: str, input_tokens: int, output_tokens: int) -> None:
        """Write an answer and its turn."""
        self._begin()
        self._turn = self._next()
        self._message(self._turn, "assistant", text)
        self.connection.execute(
            _TURN,
            (
                self._turn,
                self._session,
                self._turns,
                self._run,
                self._prompt,
                self._exchanges - 1,
                _now_us(),
                input_tokens,
                output_tokens,
            ),
        )
        self._turns += 1
        self._commit()

    def tool_call(self, tool_name: str, arguments: str) -> None:
        """Write a call of the newest turn."""
        self._begin()
        self._call = key = self._next()
        values = (key, self._session, self._calls, f"call_{key}", self._turn, self._run, tool_name, _now_us())
        self.connection.execute(_CALL, values)
        self.connection.execute(_ARGUMENTS, (key, arguments))
        self._calls += 1
        self._commit()

    def result(self, text: str) -> None:
        """Write the result of the newest call."""
        self._begin()
        key = self._next()
        self._message(key, "tool", text)
        self.connection.execute(_RESULT, (key, self._call, self._session))
        self._commit()

    def _message(self, key: int, role: str, text: str) -> None:
        exchange = self._exchanges - (role != "user")
        values = (key, self._session, self._index, self._parent, self._prompt, exchange, self._turn, self._run)
        self.connection.execute(_MESSAGE, (*values, role, _now_us()))
        self.connection.execute(_TEXT, (key, text))
        self._index += 1
        self._parent = key

    def _next(self) -> int:
        if not self._is_alone:
            self._key = max(self._key, self.connection.execute(_NEWEST).fetchone()[0])
        self._key += 1
        return int(self._key)

    def _begin(self) -> None:
        if not self._is_in_batch:
            self.connection.execute("begin immediate")

    def _commit(self) -> None:
        if not self._is_in_batch:
            self.connection.execute("commit")


def _now_us() -> int:
    return time.time_ns() // 1_000
