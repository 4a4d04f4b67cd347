"""Copy other tools' histories into the user's own store, so that they outlive the tools' own deletion."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sessionlab import __version__, settings
from sessionlab.lab.archivable import KINDS, Export, ExportedSession, counts_of
from sessionlab.lab.attach import UNSETTLED_S
from sessionlab.lab.copying import problem_row
from sessionlab.lab.engine import Engine, ctrl_c
from sessionlab.lab.histories import Histories, Path, absolute
from sessionlab.model import storable
from sessionlab.store.archiving import (
    KEY_BITS,
    Archived,
    archived_sessions,
    known_roots,
    note_roots,
    own_sessions,
    write_configs,
    write_session,
)
from sessionlab.store.database import Database

if TYPE_CHECKING:
    from sessionlab.lab.copying import Copy

Progress = Callable[[str, int, int], None]
"""Called with the tool, how many of its sessions are done, and how many it has."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ImportReport:
    """What an import did.

    Attributes:
        files: The files that were found.
        sessions: The sessions in them.
        turns_added: How many turns the archive has more than before.
        unchanged: The sessions that the archive had already as they are.
        problems: What could not be read or was not taken over, as rows of `lab.problems`.
    """

    files: int
    sessions: int
    turns_added: int
    unchanged: int
    problems: Sequence[Mapping[str, Any]]

    def __repr__(self) -> str:
        return (
            f"<ImportReport: {self.files:,} files, {self.sessions:,} sessions, {self.turns_added:,} turns added, "
            f"{self.unchanged:,} unchanged, {len(self.problems):,} problems>"
        )


def import_histories(
    *paths: Path, into: str | os.PathLike[str] | None = None, on_progress: Progress | None = None
) -> ImportReport:
    """Copy what other tools recorded into the archive of a store.

    Done again it copies what is new: files that are as they were are not read, sessions that are as they were are not
    written. A session that has changed is replaced as a whole, in one transaction; one that has lost messages or turns
    is kept as it was. Nothing is ever deleted.

    Args:
        *paths: Files and folders; none means every history found on this machine.
        into: The store. None: the settings decide.
        on_progress: Called after each session with the tool, and how many of its sessions are done and there are.

    Raises:
        HistoryFileError: A path that was named holds no history.
        StoreError: The store cannot be written.

    Example:
        >>> import tempfile
        >>> from sessionlab import Recorder, import_histories, open
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Recorder(f"{folder}/old.db") as recorder, recorder.session("first") as session:
        ...         turn = session.assistant("Done.")
        ...     report = import_histories(f"{folder}/old.db", into=f"{folder}/history.db")
        ...     with open(f"{folder}/history.db") as lab:
        ...         print(report.sessions, report.turns_added, lab.frame("turns")["response"].to_list())
        1 1 ['Done.']
    """
    named = [absolute(path) for path in paths]
    store = settings.db_path(into).value
    with ctrl_c(), Engine() as engine:
        histories = Histories(engine, named, [store] if _holds_something(store) else [])
        with contextlib.closing(Database(store)) as database:
            return _Import(engine, histories, database, on_progress).run()


def _holds_something(path: str) -> bool:
    """Return whether a file may hold a store; an empty one becomes a store, as one that is not there."""
    try:
        return os.path.getsize(path) > 0
    except OSError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Root:
    """A file or folder that was found, as its files were before they were read.

    Attributes:
        path: Its name.
        inside: The files in it; of a database itself.
        signature: Changes when a file does.
        is_settled: None of them has just been written, which could happen again without a trace.
    """

    path: str
    inside: frozenset[str]
    signature: str
    is_settled: bool


class _Import:
    """One run of the import."""

    def __init__(self, engine: Engine, histories: Histories, database: Database, on_progress: Progress | None) -> None:
        self._engine = engine
        self._histories = histories
        self._database = database
        self._on_progress = on_progress
        self._sessions = self._turns_added = self._unchanged = 0
        self._files: set[str] = set()
        self._problems: list[Mapping[str, Any]] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._incomplete: set[str] = set()

    def run(self) -> ImportReport:
        """Import everything, tool by tool."""
        for source in dict.fromkeys(copy.source.name for copy in self._live()):
            self._tool(source)
        return ImportReport(
            files=len(self._files),
            sessions=self._sessions,
            turns_added=self._turns_added,
            unchanged=self._unchanged,
            problems=(*self._histories.problems, *self._problems),
        )

    def _live(self, source: str | None = None) -> list[Copy]:
        """Return the copies of histories, of one tool or all; what the store itself holds is none."""
        return [
            copy
            for copy in self._histories.copies
            if source in (None, copy.source.name)
            and not (os.path.exists(copy.path) and os.path.samefile(copy.path, self._database.path))
        ]

    def _tool(self, source: str) -> None:
        """Import the histories of one tool, unless all of them are as they were."""
        roots_of = {id(copy): list(_roots_of(copy)) for copy in self._live(source)}
        roots = [root for found in roots_of.values() for root in found]
        self._files.update(path for root in roots for path in root.inside)
        known = self._database.read(lambda connection: known_roots(connection, source))
        if all(known.get(root.path, ("", 0))[0] == root.signature for root in roots):
            count = sum(known[root.path][1] for root in roots)
            self._sessions += count
            self._unchanged += count
            return
        self._histories.read(source, KINDS)
        copies = self._live(source)
        chosen = self._chosen(copies)
        self._sessions += len(chosen)
        done = 0
        for copy in copies:
            for kind in KINDS:
                copy.load_texts(kind)
            with Export(self._engine, copy) as export:
                for _ in self._sessions_of(copy, export, chosen):
                    done += 1
                    if self._on_progress is not None:
                        self._on_progress(source, done, len(chosen))
            self._problems += copy.problems
        self._note(source, [root for copy in copies for root in roots_of.get(id(copy), ())], copies)
        self._histories.forget(source)

    def _chosen(self, copies: Sequence[Copy]) -> dict[str, Copy]:
        """Return which copy each session is taken from: the one that has most of it, of equal ones the first."""
        best: dict[str, tuple[tuple[int, int], Copy]] = {}
        for copy in copies:
            for session_id, *size in counts_of(self._engine, copy):
                if session_id not in best or best[session_id][0] < tuple(size):
                    best[session_id] = ((size[0], size[1]), copy)
        return {session_id: copy for session_id, (_, copy) in best.items()}

    def _sessions_of(self, copy: Copy, export: Export, chosen: Mapping[str, Copy]) -> Iterator[None]:
        """Write what is new of a history; yield after each session."""
        source = copy.source.name
        archived = self._database.read(lambda connection: archived_sessions(connection, source))
        own = self._database.read(own_sessions) if source == "sessionlab" else set()
        is_many_files = any(files is not None for _, files in copy.places())
        changed = []
        files = {}
        for session in export.sessions():
            session_id = session.columns["session_id"]
            if chosen.get(session_id, copy) is not copy:
                continue
            file = files[session.session_key] = session.columns["origin"] if is_many_files else storable(copy.path)
            self._counts[source, file] += 1
            before = archived.get(session_id)
            if session_id in own or (before is not None and before.digest == session.columns["digest"]):
                self._unchanged += 1
                yield
            elif reason := _why_not(session, before):
                self._leave(source, session, file, reason)
                yield
            else:
                changed.append(session)
        names, rows = export.configs()
        configs = self._database.write(lambda connection: write_configs(connection, source, names, rows))
        for session, tables in export.rows(changed):
            added = self._database.write(
                partial(write_session, source=source, session=session.columns, rows=tables, configs=configs)
            )
            if added is None:
                reason = "messages that the archive has are not in it any more; the archive keeps it as it was"
                self._leave(source, session, files[session.session_key], reason)
            else:
                self._turns_added += added
            yield

    def _leave(self, source: str, session: ExportedSession, file: str, reason: str) -> None:
        """Leave a session as the archive has it, and say why; its file is read again the next time."""
        record = f"session {session.columns['session_id']}"
        self._problems.append(problem_row(source, session.columns["origin"], reason, record=record))
        self._incomplete.add(file)

    def _note(self, source: str, roots: Sequence[_Root], copies: Sequence[Copy]) -> None:
        """Note which files need not be read again while they are as they were."""
        problems = [*self._histories.problems, *(problem for copy in copies for problem in copy.problems)]
        incomplete = {problem["origin"] for problem in problems if problem["source"] is None} | self._incomplete
        done = []
        for root in roots:
            if root.is_settled and incomplete.isdisjoint({root.path, *root.inside}):
                done.append((root.path, root.signature, sum(self._counts[source, path] for path in root.inside)))
        self._database.write(lambda connection: note_roots(connection, source, done))


def _roots_of(copy: Copy) -> Iterator[_Root]:
    for path, files in copy.places():
        stamps = []
        for file in sorted(copy.database_files() if files is None else files):
            with contextlib.suppress(OSError):
                status = os.stat(file)
                stamps.append((storable(file), status.st_size, status.st_mtime_ns))
        # Another sessionlab may read more in the same files.
        text = json.dumps([__version__, stamps])
        newest = max((time_ns for _, _, time_ns in stamps), default=0)
        yield _Root(
            path=storable(path),
            inside=frozenset(map(storable, [path] if files is None else files)),
            signature=hashlib.sha256(text.encode()).hexdigest(),
            is_settled=time.time() - newest / 1e9 > UNSETTLED_S,
        )


def _why_not(session: ExportedSession, before: Archived | None) -> str | None:
    """Return why a session is not taken over; None where it is."""
    if session.last_number >= 1 << KEY_BITS:
        return f"it has {session.last_number:,} messages and tool calls, more than the archive can number"
    if before is None:
        return None
    for what, now, then in (
        ("turns", session.columns["turn_count"], before.turn_count),
        ("messages", session.columns["message_count"], before.message_count),
    ):
        if now < then:
            return f"it has {now:,} {what} now and {then:,} in the archive, where it is kept as it was"
    return None
