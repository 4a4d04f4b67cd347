"""The copy of a history that is read as a whole, and again when its file has changed."""

from __future__ import annotations

import fnmatch
import os
import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from sessionlab.errors import HistoryFileError
from sessionlab.lab.attach import Signature, signature_of
from sessionlab.lab.configs import identified
from sessionlab.lab.copying import Copy
from sessionlab.lab.incoming import INCOMING, PROBLEM, TEXTS, Kind
from sessionlab.lab.raw import RawTables
from sessionlab.lab.texts import Texts, in_order
from sessionlab.model import storable
from sessionlab.sources import Problem

if TYPE_CHECKING:
    from sessionlab.lab.attach import Attachment
    from sessionlab.lab.engine import Engine
    from sessionlab.sources import WholeSource

# Within so long after a change another one can leave a file's size and time as they are.
_UNSETTLED_S = 2.0


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
        self._kinds: set[Kind] = set()
        self._found: Sequence[Problem] = ()
        attachment.is_as_text = True
        super().__init__(engine, path, schema, attachment)

    @property
    def problems(self) -> list[Mapping[str, Any]]:
        """What could not be read of this history, so far as it was asked for."""
        found = [
            {
                "source": self.source.name,
                "origin": storable(problem.origin or self.path),
                "line": problem.line,
                "record": storable(problem.record),
                "reason": storable(problem.reason),
            }
            for problem in self._found
        ]
        return [*found, *super().problems]

    def refresh(self) -> None:
        """Read the file again if it may have changed.

        Raises:
            HistoryFileError: The file cannot be read.
        """
        if not self._is_current():
            self._read_all()

    def load_texts(self, kind: Kind, *, is_held: bool = False) -> None:
        """Read the texts of the messages or tool calls that the facts are of.

        Where the file has changed since the facts were read, those are read anew as well, unless they are held.

        Raises:
            HistoryFileError: The file cannot be read, or has changed although the facts are held.
        """
        if self.texts[kind].until >= 0:
            return
        self._kinds.add(kind)
        if self._is_current():
            _, texts, _ = self._fetch((), {kind})
            if self._is_current():
                self._keep(texts)
                self.version += 1
                return
        if is_held:
            self._kinds.discard(kind)
            raise HistoryFileError(
                f"{self.path!r} has changed since the snapshot was taken, so its texts cannot be had. "
                "Take another snapshot, or ask for texts before it."
            )
        self._read_all()

    def _is_current(self) -> bool:
        return self._signature is not None and self._signature == self._signature_now()

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

    def _read_all(self) -> None:
        """Read the facts, and the texts of the kinds that were asked for."""
        signature = self._signature_now()
        facts, texts, problems = self._fetch(INCOMING, self._kinds)
        self._create()
        for table, rows in facts.items():
            self._remember(table, rows)
            if table != "invocation" and rows.num_rows:
                self._engine.ingest(table, self.schema, self._named(table, rows))
        self._keep(texts)
        self._found = problems
        self._until = max([0, *(_last_key(facts[table]) for table in ("message", "turn", "session_usage"))])
        self.version += 1
        # What has just been written can be written again without a trace.
        self._signature = signature if _age_s(signature) > _UNSETTLED_S else None

    def _keep(self, texts: Mapping[Kind, pa.Table]) -> None:
        for kind, rows in texts.items():
            self.texts[kind] = Texts(self.texts[kind].columns)
            self.texts[kind].append(rows)
            self.texts[kind].until = max(0, self._until)

    def _fetch(
        self, facts: Collection[str], kinds: Collection[Kind]
    ) -> tuple[dict[str, pa.Table], dict[Kind, pa.Table], list[Problem]]:
        """Return rows of the file as of one moment."""
        try:
            with self._attachment:
                try:
                    return self._fetch_from(facts, kinds, patiently=False)
                except (duckdb.Error, pa.ArrowException):  # one value that it cannot take stops DuckDB
                    return self._fetch_from(facts, kinds, patiently=True)
        except (duckdb.Error, sqlite3.Error, pa.ArrowException) as error:
            raise HistoryFileError(
                f"{self.path!r} cannot be read: {str(error).splitlines()[0]} See that it is whole, and that no other "
                "program holds a lock on it."
            ) from error
        finally:
            self._attachment.leave()

    def _fetch_from(
        self, facts: Collection[str], kinds: Collection[Kind], *, patiently: bool
    ) -> tuple[dict[str, pa.Table], dict[Kind, pa.Table], list[Problem]]:
        statements = self.source.statements
        with RawTables(self._engine.reader, self._attachment, self.source, patiently=patiently) as raw:
            problems = [*raw.problems, *self._read_side_files(raw)]
            raw.prepare()
            texts = {kind: in_order(raw.fetch(f"{kind}_text", TEXTS[kind]), f"{kind}_key") for kind in kinds}
            tables = {}
            for table in facts:
                columns = INCOMING[table]
                if table in statements:
                    rows = raw.fetch(table, columns)
                    tables[table] = in_order(identified(rows) if table == "model_config" else rows, columns[0][0])
                else:
                    tables[table] = _empty(columns)
            if facts and "problem" in statements:
                problems += [Problem(**row) for row in raw.fetch("problem", PROBLEM).to_pylist()]
            return tables, texts, problems

    def _read_side_files(self, raw: RawTables) -> Sequence[Problem]:
        side = self.source.side_files
        if side is None:
            return ()
        rows, problems = side.read(self._side_paths())
        raw.side(side.tables, rows)
        return problems


def _last_key(rows: pa.Table) -> int:
    return int(rows.column(0)[-1].as_py()) if rows.num_rows else 0


def _age_s(signature: Signature) -> float:
    """Return for how long a file and those beside it have not changed."""
    times = [part[2] for file in signature for part in file if part is not None]
    return time.time() - max(times, default=0) / 1e9


def _empty(columns: Sequence[tuple[str, str]]) -> pa.Table:
    kinds = {"bigint": pa.int64(), "double": pa.float64(), "varchar": pa.large_string()}
    return pa.table({name: pa.array([], kinds[kind]) for name, kind in columns})
