"""The copy of a history that is read as a whole, and again when its file has changed."""

from __future__ import annotations

import fnmatch
import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from sessionlab.errors import HistoryFileError
from sessionlab.lab.attach import UNSETTLED_S, Signature, age_s, signature_of
from sessionlab.lab.configs import name_configs
from sessionlab.lab.copying import BESIDE_MESSAGES, Copy, Need
from sessionlab.lab.engine import refuse_interrupt
from sessionlab.lab.incoming import INCOMING, PROBLEM, TEXTS, Kind
from sessionlab.lab.raw import read_raw, see_one_table
from sessionlab.lab.statements import Statements
from sessionlab.lab.texts import Texts, in_order
from sessionlab.sources import Problem

if TYPE_CHECKING:
    from sessionlab.lab.attach import Attachment
    from sessionlab.lab.engine import Engine
    from sessionlab.sources import WholeSource


# A tool that has written within so long may go on.
_IN_USE_S = 60.0


class WholeCopy(Copy):
    """The copy of a history of a `WholeSource`.

    Attributes:
        folder: The folder that a user named to find it, where files beside it are looked for.
    """

    def __init__(
        self,
        engine: Engine,
        source: WholeSource,
        path: str,
        schema: str,
        attachment: Attachment,
        folder: str | None = None,
    ) -> None:
        self.source: WholeSource = source
        self.folder = folder
        self._signature: Signature | None = None
        self._is_settled = False
        self._commits: tuple[bytes, bytes] | None = None
        self._kinds: set[Kind] = set()
        self._found: Sequence[Problem] = ()
        self._attachment = attachment
        attachment.is_foreign = True
        super().__init__(engine, path, schema)

    @property
    def problems(self) -> list[Mapping[str, Any]]:
        """What could not be read of this history, so far as it was asked for."""
        return [*self._told(self._found), *super().problems]

    def begin(self) -> None:
        """See that something can be read; all is read when a frame is asked for, with its texts if it has some.

        Raises:
            HistoryFileError: Nothing can be read.
        """
        try:
            with self._attachment:
                see_one_table(self._attachment, self.source)
        finally:
            self._attachment.leave()

    def refresh(self, kinds: Collection[Kind] = (), *, need: Need = "facts") -> None:
        """Read the file again if it may have changed.

        Args:
            kinds: The texts that will be asked for, so that they come with the facts.
            need: What else will be asked for.

        Raises:
            HistoryFileError: The file cannot be read.
        """
        self._kinds.update(kinds)
        if not self._is_current():
            self._read_all(BESIDE_MESSAGES if need == "messages" else ())
        elif need != "messages":
            self._bring_all()

    def _bring_all(self) -> None:
        """Ingest what has waited, since it is needed now."""
        if self._waiting:
            signature, self._signature = self._signature, None  # what is cut off in the middle is read again
            for table in list(self._waiting):
                self._bring(table)
            self._signature = signature
            self.version += 1

    def load_texts(self, kind: Kind, *, is_held: bool = False) -> None:
        """Read the texts of the messages or tool calls that the facts are of.

        Where the file has changed since the facts were read, those are read anew as well, unless they are held.

        Raises:
            HistoryFileError: The file cannot be read, or has changed although the facts are held.
        """
        if self.texts[kind].until >= 0:
            return
        if kind == "tool_call":
            self._bring_all()
        if self._signature is not None and not self._count(kind):
            self._kinds.add(kind)  # none can be missing, whatever has become of the file
            self.texts[kind].until = max(0, self._until)
            return
        # Held facts need texts of the same size and times: that these are a little newer is better than none.
        if self._is_current() or (is_held and self._is_unchanged()):
            _, texts, _ = self._fetch((), {kind})
            if self._is_unchanged() and len(texts[kind]) == self._count(kind):
                self._kinds.add(kind)
                self._keep(texts)
                self.version += 1
                return
        if is_held:
            raise HistoryFileError(
                f"{self.path!r} has changed since the snapshot was taken, so its texts cannot be had. "
                "Take another snapshot, or ask for texts before it."
            )
        self._kinds.add(kind)
        self._read_all()

    def database_files(self) -> list[str]:
        """Return the files that are read: the database, and what the tool keeps beside it."""
        return [*super().database_files(), *self._side_paths()]

    def kinds_to_hold(self) -> list[Kind]:
        """Return of what kinds texts a snapshot needs: of a file that is in use all, since it may change at once."""
        signature = self._signature_now()
        is_in_use = age_s(*signature) < _IN_USE_S or signature[0][1] is not None
        return list(TEXTS) if is_in_use else super().kinds_to_hold()

    def _is_current(self) -> bool:
        """Return whether what was read is what is there.

        Of a file that has just been written its size and time do not say that, but SQLite's own count of commits does.
        """
        if not self._is_unchanged():
            return False
        return self._is_settled or (self._commits is not None and self._commits == self._attachment.commits())

    def _is_unchanged(self) -> bool:
        return self._signature is not None and self._signature == self._signature_now()

    def _count(self, kind: Kind) -> int:
        return int(self._engine.narrow.execute(f"select count(*) from {self.schema}.{kind}").fetchall()[0][0])

    def _signature_now(self) -> Signature:
        return (signature_of(self.path), *(signature_of(path) for path in self._side_paths()))

    def _side_paths(self) -> Sequence[str]:
        side = self.source.side_files
        if side is None or self.folder is None:
            return ()
        return sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(self.folder)
            for name in fnmatch.filter(names, side.pattern)
        )

    def _read_all(self, waiting: Collection[str] = ()) -> None:
        """Read the facts, and the texts of the kinds that were asked for.

        Args:
            waiting: The tables that are not needed yet.
        """
        signature = self._signature_now()
        # What has just been written can be written again without a trace, also while it is being read.
        self._is_settled = False
        commits = self._attachment.commits()
        is_settled = age_s(*signature) > UNSETTLED_S
        facts, texts, problems = self._fetch(INCOMING, self._kinds)
        self._replace(facts, waiting)
        self._keep(texts)
        self._found = problems
        self._signature, self._is_settled, self._commits = signature, is_settled, commits

    def _keep(self, texts: Mapping[Kind, pa.Table]) -> None:
        for kind, rows in texts.items():
            self.texts[kind] = Texts(self.texts[kind].columns)
            self.texts[kind].append(rows)
            self.texts[kind].until = max(0, self._until)

    def _fetch(
        self, facts: Collection[str], kinds: Collection[Kind]
    ) -> tuple[dict[str, pa.Table], dict[Kind, pa.Table], list[Problem]]:
        """Return rows of the file as of one moment; it is let go of before anything is made from them."""
        reader, attachment = self._engine.reader, self._attachment
        attachment.is_quiet = True
        try:
            try:
                with attachment:
                    raw, problems = read_raw(reader, attachment, self.source, with_texts=bool(kinds))
                    if attachment.damage is not None:
                        problems.insert(0, Problem(record="the file", reason=attachment.damage))
            finally:
                attachment.is_quiet = False
                attachment.leave()
            side_tables, side_problems = self._read_side_files() if facts else ({}, ())
            with Statements(reader, self.source, self.path) as statements:
                statements.add({**raw, **side_tables})
                statements.run("prepare")
                texts = {kind: self._texts(kind, raw, statements) for kind in kinds}
                if not facts:
                    return {}, texts, []
                tables, found = self._facts(facts, statements)
                return tables, texts, [*problems, *side_problems, *found]
        except (duckdb.Error, sqlite3.Error, pa.ArrowException, UnicodeDecodeError) as error:
            refuse_interrupt(error)
            raise HistoryFileError(
                f"{self.path!r} cannot be read: {str(error).splitlines()[0]} See that it is whole, and that no other "
                "program holds a lock on it."
            ) from error

    def _texts(self, kind: Kind, raw: Mapping[str, pa.Table], statements: Statements) -> pa.Table:
        """Return the texts of a kind; the fewer times they are copied, the better."""
        names = [name for name, _ in TEXTS[kind]]
        if kind in self.source.plain_texts:
            table, *columns = self.source.plain_texts[kind]
            rows = raw[table]
            nothing = pa.nulls(rows.num_rows, pa.large_string())
            given = ["_row", *columns]
            texts = pa.table([nothing if c is None else rows.column(c) for c in given], names)
        else:
            texts = statements.fetch(f"{kind}_text", TEXTS[kind])
        return in_order(texts, names[0])

    def _facts(self, facts: Collection[str], statements: Statements) -> tuple[dict[str, pa.Table], list[Problem]]:
        """Return the facts, and what the source could not make facts of."""
        statements.run("prepare_facts")
        tables = {}
        for table in facts:
            columns = INCOMING[table]
            tables[table] = in_order(statements.fetch(table, columns), columns[0][0])
        name_configs(tables)
        return tables, [Problem(**row) for row in statements.fetch("problem", PROBLEM).to_pylist()]

    def _read_side_files(self) -> tuple[dict[str, pa.Table], Sequence[Problem]]:
        side = self.source.side_files
        if side is None:
            return {}, ()
        rows, problems = side.read(self._side_paths())
        return {name: _as_text(columns, rows.get(name, ())) for name, columns in side.tables.items()}, problems


def _as_text(columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> pa.Table:
    values = {column: [row[place] for row in rows] for place, column in enumerate(columns)}
    return pa.table({column: pa.array(listed, pa.large_string()) for column, listed in values.items()})
