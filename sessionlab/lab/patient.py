"""Reads a table of another tool's file row by row, past what is damaged, and notes what could not be read."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from sessionlab.lab.attach import is_busy
from sessionlab.lab.engine import quoted
from sessionlab.sources import Problem

_FIRST, _LAST = -(2**63), 2**63 - 1


def read_patiently(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], problems: list[Problem]
) -> pa.Table:
    """Return what can be read of a table: `_row` and the columns as text, NULL where the table lacks one.

    Raises:
        sqlite3.Error: The file is locked, or is none.
    """
    there = [str(row[1], "utf-8", "replace") for row in connection.execute(f"pragma table_xinfo({quoted(table)})")]
    chosen = [column for column in columns if column in there]
    reading = _PatientReading(connection, table, chosen, _row_number(connection, table, there))
    rows = list(reading.rows()) if there else []
    problems += reading.problems
    data: dict[str, pa.Array] = {"_row": pa.array([row[0] for row in rows], pa.int64())}
    for column in columns:
        place = chosen.index(column) + 1 if column in chosen else None
        values = [None] * len(rows) if place is None else [row[place] for row in rows]
        data[column] = pa.array(values, pa.large_string())
    return pa.table(data)


class _PatientReading:
    """Reads a table row by row, past damaged pages, and notes what could not be read.

    Attributes:
        problems: What could not be read so far.
    """

    def __init__(self, connection: sqlite3.Connection, table: str, columns: Sequence[str], number: str | None) -> None:
        self.problems: list[Problem] = []
        self._connection = connection
        self._table = table
        self._columns = columns
        self._number = number
        listed = ", ".join(map(quoted, columns)) or "null"
        self._select = f"select {number or 'null'}, {listed} from {quoted(table)}"

    def rows(self) -> Iterator[list[Any]]:
        """Yield the row's number and its values as text, by rising number."""
        if self._number is None:
            yield from self._unnumbered()
            return
        after = _FIRST
        while True:
            last: Any = None  # held back until the next one shows that its number can be true
            is_out_of_order = False
            failed: object = "rows are out of order"
            try:
                for row in self._connection.execute(
                    f"{self._select} where {self._number} > ? order by {self._number}", [after]
                ):
                    if is_out_of_order := row[0] <= (after if last is None else last[0]):
                        break
                    if last is not None:
                        after = last[0]
                        yield self._decoded(last)
                    last = row
            except sqlite3.Error as error:
                if is_busy(error):  # it is not damaged
                    raise
                failed = error
            else:
                if not is_out_of_order:
                    if last is not None:
                        yield self._decoded(last)
                    return
            if last is not None and self._is_there(last[0]):
                after = last[0]
                yield self._decoded(last)
            if not is_out_of_order:
                for row in self._one_by_one(after, _LAST):
                    after = row[0]
                    yield self._decoded(row)
            found, rescued = self._beyond(after)
            until = "the end" if found is None else f"row {found + 1}"
            if rescued:
                until = f"row {rescued[-1][0]}"
            since = "the beginning" if after == _FIRST else f"row {after}"
            self._note(f"rows between {since} and {until} cannot be read: {failed}")
            for row in reversed(rescued):
                yield self._decoded(row)
            if found is None:
                return
            after = found

    def _unnumbered(self) -> Iterator[list[Any]]:
        """Yield the rows of a view, or of a table without row numbers, numbered as they come."""
        number = 0
        try:
            for row in self._connection.execute(self._select):
                number += 1
                yield self._decoded([number, *row[1:]])
        except sqlite3.Error as error:
            if is_busy(error):
                raise
            self._note(f"rows after the first {number} cannot be read: {error}")

    def _beyond(self, after: int) -> tuple[int | None, list[Any]]:
        """Return a row from which reading goes on, and what can be read from it back to the damage, the last first.

        Where all that follows is damaged, or nothing follows, there is no such row.
        """
        distance, base = 0, 0 if after == _FIRST else after  # numbers begin with 1 almost everywhere
        largest = next(self._one_by_one(after, _LAST, is_back=True), [_LAST])[0]
        while (start := base + distance) < _LAST:
            try:
                row = self._connection.execute(
                    f"select {self._number} from {quoted(self._table)} where {self._number} > ?"
                    f" order by {self._number} limit 1",
                    [start],
                ).fetchone()
                # A damaged page without rows looks like the end, and one with rows may give any number.
                is_known = largest <= start if row is None else row[0] > start and self._is_there(row[0])
            except sqlite3.Error:
                is_known = False
            if not is_known:
                # Small steps near by, so that no page that is sound is leapt over; rows may be far apart, though.
                distance += max(1, distance // 256)
                continue
            found = None if row is None else int(row[0])
            return found, self._backwards(start if found is None else found, after)
        return None, []

    def _backwards(self, start: int, after: int) -> list[Any]:
        """Return the rows from `start` back to the damage, the last first."""
        found: list[Any] = []
        with contextlib.suppress(sqlite3.Error):
            for row in self._connection.execute(
                f"{self._select} where {self._number} <= ? and {self._number} > ? order by {self._number} desc",
                [start, after],
            ):
                if not after < row[0] <= start or (found and row[0] >= found[-1][0]):
                    break
                found.append(row)
        found += self._one_by_one(after, found[-1][0] if found else start, is_back=True)
        return found

    def _one_by_one(self, after: int, before: int, *, is_back: bool = False) -> Iterator[Any]:
        """Yield the rows between two numbers, up or down, until one cannot be read.

        A cursor fetches one row ahead, and where that fails it does not give the row before the damage either.
        """
        number, order = self._number, "desc" if is_back else "asc"
        sql = f"{self._select} where {number} > ? and {number} < ? order by {number} {order} limit 1"
        with contextlib.suppress(sqlite3.Error):
            while (row := self._connection.execute(sql, [after, before]).fetchone()) and after < row[0] < before:
                if not self._is_there(row[0]):
                    return
                yield row
                after, before = (after, row[0]) if is_back else (row[0], before)

    def _is_there(self, number: int) -> bool:
        """Return whether a row is where its number belongs; on a damaged page it may have any number."""
        try:
            sql = f"select 1 from {quoted(self._table)} where {self._number} = ?"
            return self._connection.execute(sql, [number]).fetchone() is not None
        except sqlite3.Error:
            return False

    def _note(self, reason: str) -> None:
        more = "The file is damaged; all rows that can be read are there"
        self.problems.append(Problem(record=self._table, reason=f"{reason}. {more}"))

    def _decoded(self, row: Sequence[Any]) -> list[Any]:
        values: list[Any] = [row[0]]
        for column, value in zip(self._columns, row[1:], strict=False):
            if isinstance(value, bytes):
                try:
                    values.append(value.decode())
                except UnicodeDecodeError:
                    values.append(value.decode("utf-8", "replace"))
                    self.problems.append(
                        Problem(
                            record=f"{self._table} row {row[0]}",
                            reason=f"{column} is not UTF-8; what is not was replaced by \N{REPLACEMENT CHARACTER}",
                        )
                    )
            else:
                values.append(None if value is None else str(value))
        return values


def _row_number(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> str | None:
    """Return by what name a table's row number can be had; None where it has none, as a view."""
    kinds = connection.execute(f"pragma main.table_list({quoted(table)})").fetchall()
    if not kinds or kinds[0][2] != b"table" or kinds[0][4]:
        return None
    taken = {column.lower() for column in columns}
    return next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)
