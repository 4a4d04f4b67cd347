"""What a recorded session hands out: messages, turns and tool calls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

    from sessionlab.model import Role, Status
    from sessionlab.store.ledger import Place
    from sessionlab.store.session import RecordedSession


class RecordedMessage:
    """A message that was recorded."""

    __slots__ = ("_place", "_session", "role")

    def __init__(self, session: RecordedSession, place: Place, role: Role) -> None:
        self._session = session
        self._place = place
        self.role = role

    @property
    def message_id(self) -> str | None:
        """Its id within the session; None where it is not committed (inside a batch, disabled, or lost)."""
        return self._place.id

    def __repr__(self) -> str:
        return f"<message of {self.role}, {'not recorded' if self.message_id is None else self.message_id}>"


class RecordedTurn(RecordedMessage):
    """A model response that was recorded; it hands out its tool calls."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<turn {'not recorded' if self.message_id is None else self.message_id}>"

    def tool_call(
        self, tool_name: str, arguments: Any = None, *, tool_call_id: str | None = None, at: datetime | None = None
    ) -> RecordedToolCall:
        """Record a tool call that this response asked for; the arguments are those of `session.tool_call`."""
        return self._session._tool_call(self._place, tool_name, arguments, tool_call_id, at)


class RecordedToolCall:
    """A tool call that was recorded; `result` records what came of it.

    As a context manager it measures `duration_s`. A block that ends without calling `result` is a result without text;
    an exception in it is one with status `error`, `timeout` (TimeoutError) or `cancelled` (Ctrl-C, a cancelled task).
    """

    __slots__ = ("_answered", "_place", "_session", "_started", "_turn", "tool_name")

    def __init__(self, session: RecordedSession, place: Place, tool_name: str) -> None:
        self._session = session
        self._place = place
        self._turn: Place | None = None
        self._started: float | None = None
        self._answered = False
        self.tool_name = tool_name

    @property
    def tool_call_id(self) -> str | None:
        """The given id, or the one that was made; None where the call is not committed."""
        if self._place.key is None:
            return None
        return self._place.given_id if self._place.given_id is not None else f"call_{self._place.key}"

    def __repr__(self) -> str:
        return f"<call of {self.tool_name}, {'not recorded' if self.tool_call_id is None else self.tool_call_id}>"

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._answered:
            return
        if error is None:
            self.result()
        elif isinstance(error, TimeoutError):
            self.result(error, status="timeout")
        elif isinstance(error, Exception):
            self.result(error, is_error=True)
        else:  # Ctrl-C, a task that was cancelled, the end of the program
            self.result(error, status="cancelled")

    def result(
        self,
        result: Any = None,
        *,
        is_error: bool | None = None,
        exit_code: int | None = None,
        status: Status | None = None,
        duration_s: float | None = None,
        at: datetime | None = None,
    ) -> Self:
        """Record what came of the call: a message of role `tool`, and its facts. A call has one result.

        Args:
            result: Text is kept as it is; an exception becomes its class and message; anything else JSON text.
            is_error: None: by `status`, else by `exit_code`, else whether `result` is an exception.
            exit_code: Of a command.
            status: `ok`, `error`, `denied`, `cancelled` or `timeout`. None: by `is_error`.
            duration_s: In seconds. None: not known, or measured since `with` began.
            at: When. None: now.

        Raises:
            RecordingError, StoreError: It could not be recorded.
        """
        if duration_s is None and self._started is not None:
            duration_s = time.monotonic() - self._started
        self._session._result(self, result, status, is_error, exit_code, duration_s, at)
        self._answered = True
        return self
