"""Record sessions: the Recorder hands out sessions, and these what happens in them."""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Literal, Self

from sessionlab import settings
from sessionlab.errors import RecordingError, SettingsError, warn
from sessionlab.model import ModelConfig, Session, SessionSummary, storable, to_json
from sessionlab.store.convert import text_of
from sessionlab.store.database import Database, Journal, Synchronous
from sessionlab.store.folders import absolute, git_root_of
from sessionlab.store.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from sessionlab.store.history import History
    from sessionlab.store.session import RecordedSession

_RETRY_S = 5.0  # a store that could not be opened is tried again after so long
_FORK_WAIT_S = 10.0


class Recorder:
    """Records sessions to a store, one SQLite file. A context manager; several threads may use it.

    When a recording call returns, its event is committed: killing the process loses no acknowledged event.

    Args:
        path: The store. None: the settings decide (`sessionlab db path` shows how).
        enabled: False: every call is accepted, nothing is written, no file is made. None: the settings decide.
        timeout_s: Seconds to wait for another process that holds the store.
        on_error: `raise`: a call that cannot be recorded raises. `warn`: it warns once, counts in `lost`, and the
            program that is recorded goes on; there a call that returned acknowledges nothing.
        journal: `rollback` for file systems that cannot do WAL (network folders).
        synchronous: `full` also survives a power cut, for a slower commit.

    Raises:
        SettingsError: A setting makes no sense.
        StoreError: The store cannot be opened (with `on_error="raise"`).

    Example:
        >>> with Recorder(enabled=False) as recorder:
        ...     with recorder.session("fix the build") as s:
        ...         s.user("Why does CI fail?")
        <message of user, not recorded>
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        enabled: bool | None = None,
        timeout_s: float = 10,
        on_error: Literal["raise", "warn"] = "raise",
        journal: Journal = "wal",
        synchronous: Synchronous = "normal",
    ) -> None:
        if on_error not in ("raise", "warn"):
            raise SettingsError(f"on_error={on_error!r}: expected 'raise' or 'warn'.")
        self._on_error = on_error
        self._lock = threading.RLock()  # of all its sessions: they share one connection anyway
        self._database: Database | None = None
        self._ledger = Ledger()
        self._closed = False
        self._warned = False
        self._next_try = 0.0
        self.enabled: bool = settings.enabled(enabled).value
        self.path: str = settings.db_path(path).value
        self.lost = 0
        """How many events could not be recorded, with `on_error="warn"`."""
        self._open: Callable[[], Database] = lambda: Database(
            self.path, timeout_s=timeout_s, journal=journal, synchronous=synchronous
        )
        self._history: History | None = None
        if self.enabled:
            self._guarded(self._opened, count=0)
        _recorders[id(self)] = self

    def __repr__(self) -> str:
        state = "" if self.enabled else ", disabled"
        lost = f", {self.lost} lost" if self.lost else ""
        return f"<Recorder of {self.path!r}{state}{', closed' if self._closed else ''}{lost}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def history(self) -> History:
        """The sessions of the store: list, find, get, save, rename, archive, delete, prune."""
        if self._history is None:
            # Here and not above: whoever only records need not wait for what looking back takes.
            from sessionlab.store.history import History

            self._history = History(self._opened, lambda error: self._lose(error, 0))
        return self._history

    def close(self) -> None:
        """Let go of the store; calling it again does nothing."""
        self._closed = True
        if self._database is not None:
            database = self._database
            self._guarded(database.close, count=0)

    def session(
        self,
        name: str | None = None,
        *,
        agent: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        config: ModelConfig | None = None,
        parent: RecordedSession | SessionSummary | Session | str | None = None,
        new: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> RecordedSession:
        """Begin a session, or go on with the one of that name.

        Args:
            name: One that exists and is not archived is continued: a new invocation and a `boundary` message.
            agent: The program that is recorded.
            directory: Where it runs; the git repository is noted with it.
            config: The model configuration in force from here on.
            parent: The session that started this one.
            new: Archive the session of that name and begin another.
            metadata: What else to note, as JSON.

        Raises:
            RecordingError: A value cannot be recorded.
            StoreError: The store refused.
        """
        # Here and not above: whoever only looks at the history need not wait for what recording takes.
        from sessionlab.store.opening import Opening
        from sessionlab.store.session import RecordedSession

        def opening() -> Opening:
            folder = None if directory is None else absolute(directory)
            return Opening(
                name=text_of(name, "name"),
                agent_name=text_of(agent, "agent"),
                directory=folder,
                git_root=None if folder is None else git_root_of(folder),
                parent_session_id=None if parent is None else _session_id_of(parent),
                new=new,
                metadata=to_json(dict(metadata or {})),
            )

        return RecordedSession(self, opening, config)

    def resume(self, session: RecordedSession | SessionSummary | Session | str) -> RecordedSession:
        """Go on with a session: a new invocation, and a `boundary` message that says so.

        Args:
            session: The session or its id.

        Raises:
            RecordingError: There is no such session, or it is archived.
            StoreError: The store refused.
        """
        from sessionlab.store.opening import Opening
        from sessionlab.store.session import RecordedSession

        return RecordedSession(self, lambda: Opening(session_id=_session_id_of(session)), None)

    def _opened(self) -> Database | None:
        """Return the store, opening it where that failed before; None for a disabled recorder."""
        database = self._database
        if database is not None or not self.enabled:
            return database
        with self._lock:
            if self._database is None:
                if self._closed:
                    raise RecordingError(f"The recorder of {self.path!r} is closed. Make a new one to go on.")
                if time.monotonic() < self._next_try:
                    raise RecordingError(f"The store {self.path!r} could not be opened; it is tried again soon.")
                self._next_try = time.monotonic() + _RETRY_S
                self._database = self._open()
            return self._database

    def _guarded(self, work: Callable[[], Any], *, count: int) -> bool:
        """Run `work` and return True; where that fails, raise, or warn and count as the user chose."""
        try:
            work()
        except BaseException as error:
            self._lose(error, count)
            return False
        return True

    def _lose(self, error: BaseException, count: int) -> None:
        """Raise the error, or warn once and count what it cost."""
        if self._on_error == "raise" or not isinstance(error, Exception):
            raise error
        with self._lock:
            self.lost += count
            is_first, self._warned = not self._warned, True
        if is_first:
            warn(f"Something could not be recorded or read back: {error} This is said once; recorder.lost counts on.")


def _session_id_of(session: Any) -> str:
    found = session if isinstance(session, str) else getattr(session, "session_id", None)
    if not isinstance(found, str):
        raise RecordingError(f"{session!r} is no session; expected one that a recorder handed out, or its id.")
    return storable(found)


# A thread that is in the middle of a call does not live on in a forked child, but its lock would stay taken there.

_recorders: weakref.WeakValueDictionary[int, Recorder] = weakref.WeakValueDictionary()
_locked_by_fork: list[Recorder] = []


def _known_recorders() -> list[Recorder]:
    return [recorder for reference in _recorders.valuerefs() if (recorder := reference()) is not None]


def _before_fork() -> None:
    _locked_by_fork.extend(r for r in _known_recorders() if r._lock.acquire(timeout=_FORK_WAIT_S))


def _after_fork_in_parent() -> None:
    for recorder in _locked_by_fork:
        recorder._lock.release()
    _locked_by_fork.clear()


def _after_fork_in_child() -> None:
    _locked_by_fork.clear()
    for recorder in _known_recorders():
        recorder._lock = threading.RLock()
        recorder._ledger.forget()


if hasattr(os, "register_at_fork"):
    # Called before the gate's, which was registered earlier: a call takes its recorder's lock first, then the gate.
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
