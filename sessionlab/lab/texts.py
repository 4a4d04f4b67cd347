"""Texts by key, held as Arrow in recording order and put beside the facts by position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Texts:
    """Texts by rising keys: the wide texts of messages or tool calls, or the names that other rows refer to.

    Attributes:
        columns: Their names, without the key.
        until: For wide texts, the key up to which they are loaded; -1 while nothing is.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self.until = -1
        self._parts: list[pa.Table] = []
        self._keys: NDArray[np.int64] = np.empty(0, np.int64)  # of all rows, and room for more
        self._count = 0
        self._whole: pa.Table | None = None

    def __len__(self) -> int:
        return self._count

    def append(self, part: pa.Table) -> None:
        """Add rows with larger keys. Small parts are joined now and then, so that there are never many."""
        if part.num_rows == 0:
            return
        self._whole = None
        self._note_keys(part.column(0).to_numpy())
        self._parts.append(part)
        while len(self._parts) > 1 and self._parts[-2].num_rows <= self._parts[-1].num_rows:
            last = self._parts.pop()
            self._parts[-1] = pa.concat_tables([self._parts[-1], last]).combine_chunks()

    @property
    def last_key(self) -> int:
        """The largest key that is held; -1 while nothing is."""
        return int(self._parts[-1].column(0)[-1].as_py()) if self._parts else -1

    @property
    def table(self) -> pa.Table | None:
        """All rows: key and texts; None while there are none."""
        if self._whole is None and self._parts:
            self._whole = pa.concat_tables(self._parts)
        return self._whole

    def name(self, column: str, keys: NDArray[np.int64], known: NDArray[np.bool_] | None) -> pa.DictionaryArray:
        """Return what `pick` does, with each text once and its number for every key: for few texts and many keys."""
        table = self.table
        if table is None:
            none = pa.nulls(len(keys), pa.int64())
            return pa.DictionaryArray.from_arrays(none, pa.array([], pa.large_string()))
        positions, found = self._places(keys, known)
        numbers = pa.array(positions, mask=None if found.all() else ~found)
        return pa.DictionaryArray.from_arrays(numbers, table.column(column).combine_chunks())

    def pick(self, column: str, keys: NDArray[np.int64], known: NDArray[np.bool_] | None) -> pa.ChunkedArray:
        """Return a column's texts for some keys; NULL where a key is not `known`.

        Args:
            column: One of `columns`.
            keys: The keys, in any order.
            known: Where there is a key at all; None means everywhere.
        """
        table = self.table
        if table is None:
            return pa.chunked_array([pa.nulls(len(keys), pa.large_string())])
        own = self._own_keys()
        if known is None and len(keys) == len(own) and (len(keys) == 0 or bool((keys == own).all())):
            return table.column(column)
        return take(table.column(column), *self._places(keys, known))

    def _note_keys(self, keys: NDArray[np.int64]) -> None:
        """Add keys behind those that are there, which are not copied for a few more."""
        count = self._count + len(keys)
        if count > len(self._keys):
            room = np.empty(max(count, len(self._keys) * 3 // 2), np.int64)
            room[: self._count] = self._own_keys()
            self._keys = room
        self._keys[self._count : count] = keys
        self._count = count

    def _own_keys(self) -> NDArray[np.int64]:
        return self._keys[: self._count]

    def _places(
        self, keys: NDArray[np.int64], known: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return at which row each key stands, and which of them are there at all."""
        own = self._own_keys()
        positions: Any = np.searchsorted(own, keys)
        found = positions < len(own)
        found[found] = own[positions[found]] == keys[found]
        if known is not None:
            found &= known
        return np.where(found, positions, 0), found


def take(column: pa.ChunkedArray, positions: NDArray[np.int64], found: NDArray[np.bool_]) -> pa.ChunkedArray:
    """Return what stands at some positions of a column, NULL where nothing was `found`.

    Arrow joins all chunks to one before it takes from them, which for texts copies gigabytes. So each chunk is asked
    for its own, which needs rising positions.
    """
    rising = np.maximum.accumulate(np.where(found, positions, 0)) if len(positions) else positions
    if bool((rising[found] == positions[found]).all()):
        return _take_rising(column, rising, found)
    somewhere = np.where(found, positions, 0)
    order = np.argsort(somewhere, kind="stable")
    taken = _take_rising(column, somewhere[order], found[order])
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return pa.chunked_array([taken.combine_chunks().take(pa.array(back))], taken.type)


def _take_rising(column: pa.ChunkedArray, positions: NDArray[np.int64], found: NDArray[np.bool_]) -> pa.ChunkedArray:
    ends = np.cumsum([len(chunk) for chunk in column.chunks])
    cuts = np.searchsorted(positions, ends)
    parts, start, offset = [], 0, 0
    for chunk, cut, end in zip(column.chunks, cuts, ends, strict=True):
        if cut > start:
            indices = pa.array(positions[start:cut] - offset, mask=~found[start:cut])
            parts.append(chunk.take(indices))
        start, offset = int(cut), int(end)
    return pa.chunked_array(parts, column.type)


def in_order(table: pa.Table, key: str) -> pa.Table:
    """Return the rows in the order of their keys, which is that of recording; mostly they are, and nothing is done."""
    keys = table.column(key).to_numpy()
    if len(keys) > 1 and not bool((keys[1:] > keys[:-1]).all()):
        return table.take(pa.array(np.argsort(keys, kind="stable")))
    return table
