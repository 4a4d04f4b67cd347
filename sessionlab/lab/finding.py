"""Which session a person means: by its id, the beginning of it, its name, or as the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from sessionlab.errors import FrameError
from sessionlab.model import storable

if TYPE_CHECKING:
    from sessionlab.lab.lab import Lab

LAST = "last"
_COLUMNS = ("source", "session_id", "native_id", "name", "started_at", "archived_at", "origin")
_LISTED = 8


def find_session(lab: Lab, wanted: str) -> Mapping[str, Any]:
    """Return the one session that is meant, as a row of the frame `sessions` with what tells sessions apart.

    What fits first counts: the whole id, the tool's own id, the name, the beginning of either id. A name that several
    sessions have means the one that is not archived. `last` is the session that began last.

    Raises:
        FrameError: No session fits, or several do.
    """
    wanted = _without_ellipsis(wanted)
    if wanted == LAST:
        newest: list[dict[str, Any]] = lab.frame("sessions", columns=_COLUMNS, limit=1, to="arrow").to_pylist()
        if not newest:
            raise FrameError("There is no session in these histories. Record one, or name another PATH.")
        return newest[0]
    found = _fitting(lab.frame("sessions", columns=_COLUMNS, to="arrow"), storable(wanted))
    if not found:
        raise FrameError(
            f"There is no session {wanted!r}: no id begins so, and none is named so. "
            "`sessionlab frame sessions` lists all; 'last' is the newest."
        )
    if len(found) > 1:
        raise FrameError(f"{wanted!r} may mean {len(found)} sessions: {_listed(found)}. Give more of the id.")
    return found[0]


def whole_ids(lab: Lab, wanted: Sequence[str]) -> list[str]:
    """Return whole session ids for those of which only the beginning may be given; what fits nothing stays as it is.

    Raises:
        FrameError: Several sessions have an id that begins so.
    """
    table = lab.frame("sessions", columns=_COLUMNS, to="arrow")
    return [_whole_id(table, storable(_without_ellipsis(text))) for text in wanted]


def _without_ellipsis(text: str) -> str:
    """Return an id without the mark that it was cut by, where it was copied from a table."""
    return text.removesuffix("…") or text


def _whole_id(table: pa.Table, text: str) -> str:
    ids = table.column("session_id")
    if not text or pc.any(pc.equal(ids, text)).as_py():
        return text
    found = _without_subagents(table.filter(pc.starts_with(ids, text)).to_pylist())
    if len({row["session_id"] for row in found}) > 1:
        raise FrameError(f"{text!r} may mean {len(found)} sessions: {_listed(found)}. Give more of the id.")
    return str(found[0]["session_id"]) if found else text


def _fitting(table: pa.Table, text: str) -> list[dict[str, Any]]:
    if not text:
        return []
    for column in ("session_id", "native_id", "name"):
        found: list[dict[str, Any]] = table.filter(pc.equal(table.column(column), text)).to_pylist()
        if column == "name" and len(found) > 1:
            found = [row for row in found if row["archived_at"] is None] or found
        if found:
            return found
    begins = [pc.fill_null(pc.starts_with(table.column(name), text), False) for name in ("session_id", "native_id")]
    return _without_subagents(table.filter(pc.or_(*begins)).to_pylist())


def _without_subagents(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a session alone where the ids of all others begin with its own whole one."""
    for row in rows:
        if all(other is row or other["session_id"].startswith(f"{row['session_id']}/") for other in rows):
            return [row]
    return rows


def _listed(found: Sequence[Mapping[str, Any]]) -> str:
    """Return what tells some sessions apart: the id, the name, and the file where the id does not."""
    ids = [row["session_id"] for row in found]
    texts = []
    for row in found[:_LISTED]:
        name = f" ({row['name']})" if row["name"] else ""
        where = f" in {row['origin']!r}" if ids.count(row["session_id"]) > 1 else ""
        texts.append(f"{row['session_id']!r}{name}{where}")
    return ", ".join(texts) + (", …" if len(found) > _LISTED else "")
