"""The facts and texts of a history as the rows of an archive, session by session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sessionlab.lab.engine import in_pieces, script, show_as
from sessionlab.lab.incoming import TEXTS, Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sessionlab.lab.copying import Copy
    from sessionlab.lab.engine import Engine

KINDS: tuple[Kind, ...] = ("message", "tool_call")
_TABLES = ("message", "turn", "tool_call", "session_usage", "session_config")
# How many messages with their texts are Python objects at a time.
_GROUP = 20_000

SessionRows = Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedSession:
    """A session that could be archived.

    Attributes:
        session_key: Its key in the facts.
        columns: What `archive_session` holds of it, without key and revision. Its `digest` is another one whenever
            anything of the session is.
        last_number: How many of its rows have a key.
    """

    session_key: int
    columns: Mapping[str, Any]
    last_number: int


class Export:
    """The sessions of one history, whose facts and texts are loaded; a context manager."""

    def __init__(self, engine: Engine, copy: Copy) -> None:
        self._engine = engine
        self._copy = copy

    def __enter__(self) -> Export:
        self._run("prepare")
        for kind in KINDS:
            texts = self._copy.texts[kind].table
            shown = _no_texts(kind) if texts is None else in_pieces(texts)
            show_as(self._engine.narrow, f"{kind}_text", shown)
        self._run("prepare_texts")
        return self

    def __exit__(self, *_: object) -> None:
        for kind in KINDS:
            self._engine.narrow.unregister(f"{kind}_text")
        for table in ("numbered", "hashed"):
            self._engine.narrow.execute(f"drop table if exists temp.{table}")

    def sessions(self) -> list[ExportedSession]:
        """Return all sessions, in the order of their keys."""
        hashes = [
            f"select session_key, hash('{table}', *columns(* exclude (session_key))) as row_hash from ({rows})"
            for table in ("session", *_TABLES)
            for rows in [self._with_hashes(table) if table in TEXTS else self._sql(table)]
        ]
        digests = self._fetch(self._sql("digest").replace("{rows}", " union all ".join(hashes)))
        columns = self._fetch(f"{self._sql('session')} order by session_key").drop_columns("session_key")
        found = []
        for row, given in zip(digests.to_pylist(), columns.to_pylist(), strict=True):
            counted = {name: row[name] for name in ("digest", "message_count", "turn_count")}
            found.append(
                ExportedSession(
                    session_key=row["session_key"], columns={**given, **counted}, last_number=row["last_number"]
                )
            )
        return found

    def configs(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Return the model configurations: the names of the columns, and the rows."""
        table = self._fetch(f"{self._sql('model_config')} order by model_config_key").drop_columns("model_config_key")
        return table.column_names, _tuples(table)

    def rows(self, sessions: Sequence[ExportedSession]) -> Iterator[tuple[ExportedSession, SessionRows]]:
        """Yield some sessions with their rows, in the order given."""
        group: list[ExportedSession] = []
        size = 0
        for session in sessions:
            group.append(session)
            size += session.columns["message_count"]
            if size >= _GROUP:
                yield from self._rows_of(group)
                group, size = [], 0
        if group:
            yield from self._rows_of(group)

    def _rows_of(self, sessions: Sequence[ExportedSession]) -> Iterator[tuple[ExportedSession, SessionRows]]:
        keys = ", ".join(str(session.session_key) for session in sessions)
        tables: dict[str, tuple[NDArray[np.int64], pa.Table]] = {}
        for table in _TABLES:
            rows = self._fetch(
                f"select * from ({self._sql(table)}) where session_key in ({keys}) order by session_key, 2"
            )
            owners = rows.column("session_key").to_numpy()
            if table in TEXTS:
                tables[f"{table}_text"] = owners, self._texts(table, rows)
                rows = rows.drop_columns("key")
            tables[table] = owners, rows.drop_columns("session_key")
        for session in sessions:
            found = {}
            for table, (owners, rows) in tables.items():
                start, end = np.searchsorted(owners, [session.session_key, session.session_key + 1])
                found[table] = rows.column_names, _tuples(rows.slice(start, end - start))
            yield session, found

    def _with_hashes(self, kind: str) -> str:
        """Return the SELECT of messages or tool calls with a hash of their texts in the place of the tool's key."""
        return f"""select r.* exclude (key), h.text_hash
            from ({self._sql(kind)}) r
            left join hashed h on h.kind = '{kind}' and h.key = r.key"""

    def _texts(self, kind: Kind, rows: pa.Table) -> pa.Table:
        key, *columns = (name for name, _ in TEXTS[kind])
        keys = rows.column("key").to_numpy()
        texts = {name: self._copy.texts[kind].pick(name, keys, None) for name in columns}
        return pa.table({key: rows.column(key), **texts})

    def _sql(self, section: str) -> str:
        return script("archivable")[section].strip().replace("facts.", f"{self._copy.schema}.")

    def _run(self, section: str) -> None:
        self._engine.narrow.execute(self._sql(section))

    def _fetch(self, sql: str) -> pa.Table:
        return self._engine.narrow.execute(sql).to_arrow_table()


def counts_of(engine: Engine, copy: Copy) -> list[tuple[str, int, int]]:
    """Return the ids of a history's sessions, each with its turns and messages."""
    rows = engine.narrow.execute(script("archivable")["counts"].replace("facts.", f"{copy.schema}.")).fetchall()
    return [(session_id, turns, messages) for session_id, messages, turns in rows]


def _tuples(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _no_texts(kind: Kind) -> pa.Table:
    kinds = {"bigint": pa.int64(), "varchar": pa.large_string()}
    return pa.schema([(name, kinds[kind]) for name, kind in TEXTS[kind]]).empty_table()
