"""What is selected in the browser, for Python: rows of any frame, and values that are there to be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from sessionlab.lab.lab import Lab

# Of more sessions all rows are read, and those of others left out: so many values are slow to bind.
_MOST_BOUND = 1_000


def rows_of(
    lab: Lab,
    name: str,
    keys: Sequence[tuple[str, str]] | None,
    *,
    columns: Sequence[str] | str | None,
    filters: Mapping[str, Any],
) -> pa.Table:
    """Return the rows of a frame that are of some sessions, given by source and id; None: of all.

    Raises:
        FrameError: There is no such frame, column or filter, or a value does not fit.
        HistoryFileError: A history cannot be read.
    """
    if keys is None:
        return lab.frame(name, columns=columns, to="arrow", **filters)
    ids = list(dict.fromkeys(session_id for _, session_id in keys))
    if name == "model_configs" or len(ids) <= _MOST_BOUND:
        filters = {"session_id": ids, **filters}
    if name == "model_configs":
        sources = list(dict.fromkeys(source for source, _ in keys))
        return lab.frame(name, columns=columns, to="arrow", **{"source": sources, **filters})
    wanted = [columns] if isinstance(columns, str) else columns
    more = None if wanted is None else [*wanted, *(n for n in ("source", "session_id") if n not in wanted)]
    table = lab.frame(name, columns=more, to="arrow", **filters)
    table = table.filter(_is_one_of(table, keys))
    return table if wanted is None else table.select(list(wanted))


def _is_one_of(table: pa.Table, keys: Iterable[tuple[str, str]]) -> Any:
    """Return which rows are of one of some sessions."""
    by_source: dict[str, list[str]] = {}
    for source, session_id in keys:
        by_source.setdefault(source, []).append(session_id)
    mask: Any = pa.array(np.zeros(table.num_rows, dtype=bool))
    for source, ids in by_source.items():
        is_it = pc.is_in(table.column("session_id"), value_set=pa.array(ids, pa.large_string()))
        mask = pc.or_(mask, pc.and_(pc.equal(table.column("source"), source), is_it))
    return mask


def _fixed(*_: Any, **__: Any) -> Any:
    raise TypeError("What a browser holds is not changed in place. Set the whole: browser.filters = {…}, or selected.")


class FixedDict(dict[str, Any]):
    """Filters that are there to be read: a change in place would be seen by nobody."""

    __setitem__ = __delitem__ = __ior__ = update = pop = popitem = clear = setdefault = _fixed


class FixedList(list[str]):
    """Ids that are there to be read."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = extend = insert = remove = pop = clear = _fixed
    sort = reverse = _fixed
