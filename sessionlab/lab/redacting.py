"""A copy of a lab's frames without secrets: the same rows, with placeholders in their texts."""

from __future__ import annotations

import html
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import pyarrow as pa
import pyarrow.compute as pc

from sessionlab.errors import FrameError
from sessionlab.lab.frames import FRAMES, to_pandas
from sessionlab.lab.result import to_polars
from sessionlab.lab.secrets import (
    KINDS,
    Finder,
    canonical,
    hint_pattern,
    kinds_in,
    known_homes,
    name_pattern,
    placeholder,
)

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from sessionlab.lab.lab import Lab

# Texts that come again, as a prompt does in several frames, are redacted once while no more than so many are kept.
_KEPT_CHARACTERS = 32_000_000
# Arrow compiles the pattern anew for each chunk, which takes as long as looking through a megabyte.
_JOINED_BYTES = 32_000_000
# Where a session's own folders are told; the home folders in them are found wherever they stand.
_PATHS = ("directory", "git_root", "origin")

_COUNTS = pa.schema([("kind", pa.large_string()), ("secret_count", pa.int64()), ("cell_count", pa.int64())])


class Redaction:
    """A lab's frames without secrets; get it from `Lab.redact`.

    In every text of every frame a key, token, password, e-mail address or home folder is replaced by a placeholder
    such as `<api-key-1>` or `<home-2>`. The same secret has the same placeholder in all frames that this object hands
    out; the number says in which order they were found and nothing of the secret. Rows, keys, numbers, times and dtypes
    are those of the lab, and JSON stays JSON. An id that holds a secret is another one, the same in all frames.

    Found is what looks like one (`sessionlab/lab/secrets.toml`): a password in plain prose and a person's name are not.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._lock = threading.RLock()
        self._names: dict[str, str] = {}
        self._numbers: Counter[str] = Counter()
        self._ids: dict[str, str] = {}
        self._kept: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._kept_characters = 0
        self._homes: frozenset[str] = frozenset()
        self._revision: int | None = None
        self._finder = Finder(self._name)
        self._hints = hint_pattern()
        self._named_hints = name_pattern()

    def __repr__(self) -> str:
        return f"<Redaction of {self.lab!r}: {self._summary()}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(kind)}</td><td>{secrets:,}</td><td>{cells:,}</td></tr>"
            for kind, secrets, cells in self._rows()
        )
        return (
            "<table><thead><tr><th>kind</th><th>different ones</th><th>cells</th></tr></thead>"
            f"<tbody>{rows}</tbody></table><p>Replaced in the frames of {html.escape(repr(self.lab))}.</p>"
        )

    def _summary(self) -> str:
        found = [f"{secrets:,} {kind}" for kind, secrets, _ in self._rows() if secrets]
        return f"{', '.join(found)} replaced" if found else "nothing to replace was found"

    def _rows(self) -> list[tuple[str, int, int]]:
        return [tuple(row.values()) for row in self._counted().to_pylist()]

    @property
    def counts(self) -> pd.DataFrame:
        """What is replaced, looking through all frames: one row for each kind of secret.

        Columns: kind; secret_count, how many different ones; cell_count, in how many cells of all frames. A text that
        is in two frames, as a prompt is, counts in both.
        """
        return to_pandas(self._counted())

    def _counted(self) -> pa.Table:
        cells: Counter[str] = Counter()
        with self.lab.snapshot():
            for name in FRAMES:
                for piece in self.lab.pieces(name):
                    self.redacted(piece, cells)
        return self.counts_of(cells)

    @property
    def replaced(self) -> dict[str, int]:
        """How many different secrets of each kind have been replaced in what was handed out so far."""
        return {kind: self._numbers[kind] for kind in KINDS}

    def counts_of(self, cells: Counter[str]) -> pa.Table:
        """Return the table of `counts` for cells that were counted by `redacted`."""
        rows = [{"kind": kind, "secret_count": self._numbers[kind], "cell_count": cells[kind]} for kind in KINDS]
        return pa.Table.from_pylist(rows, schema=_COUNTS)

    @contextmanager
    def snapshot(self) -> Iterator[Self]:
        """Hold one view over all calls inside, as `Lab.snapshot` does."""
        with self.lab.snapshot():
            yield self

    @overload
    def frame(
        self,
        name: str = ...,
        /,
        *,
        columns: Sequence[str] | str | None = ...,
        to: Literal["pandas"] = ...,
        **filters: Any,
    ) -> pd.DataFrame: ...
    @overload
    def frame(
        self, name: str = ..., /, *, columns: Sequence[str] | str | None = ..., to: Literal["polars"], **filters: Any
    ) -> pl.DataFrame: ...
    @overload
    def frame(
        self, name: str = ..., /, *, columns: Sequence[str] | str | None = ..., to: Literal["arrow"], **filters: Any
    ) -> pa.Table: ...

    def frame(
        self,
        name: str = "turns",
        /,
        *,
        columns: Sequence[str] | str | None = None,
        to: Literal["pandas", "polars", "arrow"] = "pandas",
        **filters: Any,
    ) -> pd.DataFrame | pl.DataFrame | pa.Table:
        """Return a frame as `Lab.frame` does, with placeholders for secrets.

        The filters are those of the lab and go by what stands there, before anything is replaced.

        Raises:
            FrameError: There is no such frame, column or filter, or a value does not fit.
            HistoryFileError: A history cannot be read.
            MissingPartError: A package that is needed is not installed.
        """
        if to not in ("pandas", "polars", "arrow"):
            raise FrameError(f"to={to!r}: expected 'pandas', 'polars' or 'arrow'.")
        table = self.redacted(self.lab.frame(name, columns=columns, to="arrow", **filters))
        if to == "arrow":
            return table
        return to_polars(table) if to == "polars" else to_pandas(table)

    def pieces(
        self,
        name: str = "turns",
        /,
        *,
        columns: Sequence[str] | str | None = None,
        row_count: int | None = None,
        **filters: Any,
    ) -> Iterator[pa.Table]:
        """Yield a frame piece by piece as `Lab.pieces` does, with placeholders for secrets.

        Raises:
            FrameError: There is no such frame, column or filter, or a value does not fit.
            HistoryFileError: A history cannot be read.
        """
        size = {} if row_count is None else {"row_count": row_count}
        pieces = self.lab.pieces(name, columns=columns, **size, **filters)
        return (self.redacted(piece) for piece in pieces)

    def redacted(self, table: pa.Table, cells: Counter[str] | None = None) -> pa.Table:
        """Return rows of one of the lab's frames with placeholders, and count the cells by kind of what was in them."""
        cells = Counter() if cells is None else cells
        with self._lock:
            self._know_homes()
            columns = [
                self._column(column, cells, is_id=name.endswith("_id"))
                for name, column in zip(table.column_names, table.columns, strict=True)
            ]
        return pa.table(columns, schema=table.schema)

    def _know_homes(self) -> None:
        revision = self.lab.refresh()
        if revision == self._revision:
            return
        sessions = self.lab.frame("sessions", columns=_PATHS, to="arrow")
        homes = known_homes(path for name in _PATHS for path in sessions.column(name).unique().to_pylist() if path)
        if homes != self._homes or self._revision is None:
            self._homes = homes
            self._finder = Finder(self._name, homes)
            self._hints = hint_pattern(homes)
            self._kept.clear()
            self._kept_characters = 0
        self._revision = revision

    def _column(self, column: pa.ChunkedArray, cells: Counter[str], *, is_id: bool) -> pa.ChunkedArray:
        if pa.types.is_list(column.type):
            return pa.chunked_array([self._lists(chunk, cells) for chunk in column.chunks], column.type)
        if not pa.types.is_large_string(column.type):
            return column
        if column.num_chunks > 1 and column.nbytes < _JOINED_BYTES:
            column = pa.chunked_array([column.combine_chunks()], column.type)
        return pa.chunked_array([self._texts(chunk, cells, is_id=is_id) for chunk in column.chunks], column.type)

    def _lists(self, lists: pa.Array, cells: Counter[str]) -> pa.Array:
        texts = self._texts(lists.values, cells, is_id=False)
        return pa.ListArray.from_arrays(
            lists.offsets, texts, type=lists.type, mask=lists.is_null() if lists.null_count else None
        )

    def _texts(self, texts: pa.Array, cells: Counter[str], *, is_id: bool) -> pa.Array:
        """Return a column with its secrets replaced; texts without any hint of one are not even looked at."""
        hinted = pc.fill_null(pc.match_substring_regex(texts, self._hints), False)
        if not pc.any(hinted).as_py():
            return texts
        changed = []
        seen = texts.filter(hinted)
        named = pc.match_substring_regex(seen, self._named_hints).to_pylist()
        for text, has_names in zip(seen.to_pylist(), named, strict=True):
            result, kinds = self._text(text, has_names)
            if is_id and result != text:
                result = self._id(text, result)
            cells.update(kinds)
            changed.append(result)
        return pc.replace_with_mask(texts, hinted, pa.array(changed, texts.type))

    def _text(self, text: str, has_names: bool) -> tuple[str, tuple[str, ...]]:
        known = self._kept.get(text)
        if known is None:
            result = self._finder.redacted(text, has_names=has_names)
            known = result, (kinds_in(result) if result != text else ())
            if self._kept_characters > _KEPT_CHARACTERS:
                self._kept.clear()
                self._kept_characters = 0
            self._kept[text] = known
            self._kept_characters += len(text)
        return known

    def _id(self, text: str, result: str) -> str:
        """Return a redacted id that no other id has: two may differ only in how a home folder is written."""
        unique, number = result, 2
        while self._ids.setdefault(unique, text) != text:
            unique, number = f"{result}-{number}", number + 1
        return unique

    def _name(self, kind: str, secret: str) -> str:
        key = canonical(kind, secret)
        if key not in self._names:
            self._numbers[kind] += 1
            self._names[key] = placeholder(kind, self._numbers[kind])
        return self._names[key]
