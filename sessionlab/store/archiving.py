"""Write sessions of other tools to the archive in the store, and know which are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sessionlab.store.database import next_keys

if TYPE_CHECKING:
    import sqlite3

KEY_BITS = 24
"""A session's rows have the keys from `archive_key << KEY_BITS` on, and so many bits for their numbers."""

Rows = Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]
"""The rows of a session by their tables: the names of the columns, and the values. Keys are numbers from 1, and
configurations are named by their ids."""

_TABLES = ("message", "message_text", "turn", "tool_call", "tool_call_text", "session_usage")
_KEYS = {
    "message": "message_key",
    "message_text": "message_key",
    "turn": "turn_key",
    "tool_call": "tool_call_key",
    "tool_call_text": "tool_call_key",
    "session_usage": "session_usage_key",
}
_NUMBERS = frozenset({*_KEYS.values(), "prompt_key", "result_key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """A session that the archive has, as far as that decides whether it is written again."""

    archive_key: int
    digest: str
    message_count: int
    turn_count: int


def archived_sessions(connection: sqlite3.Connection, source: str) -> dict[str, Archived]:
    """Return the sessions of a tool by their ids."""
    sql = "select session_id, archive_key, digest, message_count, turn_count from archive_session where source = ?"
    return {
        row[0]: Archived(archive_key=row[1], digest=row[2], message_count=row[3], turn_count=row[4])
        for row in connection.execute(sql, (source,))
    }


def own_sessions(connection: sqlite3.Connection) -> set[str]:
    """Return the ids of the sessions that were recorded to the store itself."""
    return {row[0] for row in connection.execute("select session_id from session")}


def write_configs(
    connection: sqlite3.Connection, source: str, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> dict[str, int]:
    """Add what model configurations of a tool are new, and return the keys of all by their ids."""
    sql = "select model_config_id, model_config_key from archive_model_config where source = ?"
    known: dict[str, int] = dict(connection.execute(sql, (source,)).fetchall())
    place = names.index("model_config_id")
    columns = ("source", "revision", *names)
    insert = _insert("archive_model_config", columns)
    for row in rows:
        if row[place] not in known:
            added = connection.execute(insert, (source, next_keys(connection, 1), *row))
            known[row[place]] = int(added.lastrowid or 0)
    return known


def write_session(
    connection: sqlite3.Connection, source: str, session: Mapping[str, Any], rows: Rows, configs: Mapping[str, int]
) -> int | None:
    """Write a session in the place of what the archive has of it; return how many turns it has more than before.

    None means that nothing was written, since messages would be lost that the archive has.

    Args:
        connection: In a transaction.
        source: The tool.
        session: The columns of `archive_session`, without key and revision.
        rows: Its rows.
        configs: The keys of model configurations by their ids.
    """
    row = connection.execute(
        "select archive_key, turn_count, digest from archive_session where source = ? and session_id = ?",
        (source, session["session_id"]),
    ).fetchone()
    if row is not None and row[2] == session["digest"]:  # another process was faster
        return 0
    if row is not None and _would_lose(connection, int(row[0]), rows):
        return None
    values = {"source": source, "revision": next_keys(connection, 1), **session}
    if row is None:
        archive_key = int(connection.execute(_insert("archive_session", [*values]), [*values.values()]).lastrowid or 0)
        turns_before = 0
    else:
        archive_key, turns_before = int(row[0]), int(row[1])
        changes = ", ".join(f"{name} = ?" for name in values)
        connection.execute(
            f"update archive_session set {changes} where archive_key = ?", (*values.values(), archive_key)
        )
        _delete_rows(connection, archive_key)
    base = archive_key << KEY_BITS
    for table in _TABLES:
        names, given = rows[table]
        if given:
            connection.executemany(_insert(f"archive_{table}", _stored(names)), _with_keys(names, given, base, configs))
    keys = sorted({configs[config_id] for (config_id,) in rows["session_config"][1]})
    connection.executemany(
        _insert("archive_session_config", ("archive_key", "model_config_key")), [(archive_key, key) for key in keys]
    )
    return int(session["turn_count"]) - turns_before


def _would_lose(connection: sqlite3.Connection, archive_key: int, rows: Rows) -> bool:
    """Return whether an archived message is not among the rows, or has lost its text there."""
    names, texts = rows["message_text"]
    key, *wide = (names.index(name) for name in ("message_key", "content", "reasoning"))
    with_text = {row[key] for row in texts if any(row[place] is not None for place in wide)}
    names, messages = rows["message"]
    key, given_id = names.index("message_key"), names.index("message_id")
    has_text = {row[given_id]: row[key] in with_text for row in messages}
    before = connection.execute(
        """select message_id, content is not null or reasoning is not null
        from archive_message
        left join archive_message_text using (message_key)
        where message_key > ? and message_key < ?""",
        (archive_key << KEY_BITS, (archive_key + 1) << KEY_BITS),
    )
    # An id of digits was made for a message that has none of its own, and may be another one's by now.
    return any(
        not message_id.isdigit() and (message_id not in has_text or (had_text and not has_text[message_id]))
        for message_id, had_text in before
    )


def known_roots(connection: sqlite3.Connection, source: str) -> dict[str, tuple[str, int]]:
    """Return what was imported of a tool as a whole: the signature of each file or folder, and its sessions."""
    sql = "select root, signature, session_count from archive_history where source = ?"
    return {row[0]: (row[1], row[2]) for row in connection.execute(sql, (source,))}


def note_roots(connection: sqlite3.Connection, source: str, roots: Sequence[tuple[str, str, int]]) -> None:
    """Note that files or folders were imported as a whole: name, signature, number of sessions."""
    connection.executemany("insert or replace into archive_history values (?, ?, ?, ?)", [(source, *r) for r in roots])


def _delete_rows(connection: sqlite3.Connection, archive_key: int) -> None:
    span = (archive_key << KEY_BITS, (archive_key + 1) << KEY_BITS)
    for table in reversed(_TABLES):
        connection.execute(f"delete from archive_{table} where {_KEYS[table]} > ? and {_KEYS[table]} < ?", span)
    connection.execute("delete from archive_session_config where archive_key = ?", (archive_key,))


def _stored(names: Sequence[str]) -> list[str]:
    return ["model_config_key" if name == "model_config_id" else name for name in names]


def _with_keys(
    names: Sequence[str], rows: Sequence[Sequence[Any]], base: int, configs: Mapping[str, int]
) -> list[list[Any]]:
    """Return rows with keys in place of numbers and ids."""
    numbers = [place for place, name in enumerate(names) if name in _NUMBERS]
    ids = [place for place, name in enumerate(names) if name == "model_config_id"]
    found = []
    for row in rows:
        values = list(row)
        for place in numbers:
            if values[place] is not None:
                values[place] += base
        for place in ids:
            values[place] = configs.get(values[place])
        found.append(values)
    return found


def _insert(table: str, names: Sequence[str]) -> str:
    return f"insert into {table} ({', '.join(names)}) values ({', '.join('?' * len(names))})"
