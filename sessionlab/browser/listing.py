"""The sessions of a lab as a list: which ones the filters leave, in which order, and what they add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sessionlab.browser.filtering import TEXTS, Filters
from sessionlab.lab.texts import take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sessionlab.lab.lab import Lab

COLUMNS = (
    "source",
    "session_id",
    "name",
    "agent_name",
    "directory",
    "parent_session_id",
    "started_at",
    "ended_at",
    "duration_s",
    "turn_count",
    "tool_call_count",
    "tool_error_count",
    "models",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "cost_status",
    "first_prompt",
    "origin",
)
ROW = (
    "source",
    "session_id",
    "started_at",
    "name",
    "agent_name",
    "directory",
    "models",
    "turn_count",
    "tool_call_count",
    "error_count",
    "tokens",
    "cost_usd",
    "duration_s",
    "cost_status",
    "first_prompt",
)
"""The values of a row as the page shows it; the key comes first."""
SORTABLE = tuple(name for name in ROW if name not in ("session_id", "cost_status", "first_prompt"))
_SHOWN_TEXT = 160
_PIECE = 25_000
_MOST_CHOICES = 500
# The width of the chart's bars, and the longest time for which it is taken.
_WIDTHS = (("h", 3), ("D", 150), ("W-SUN", 1_100), ("M", 6_000))


class Listing:
    """All sessions of one moment, as columns; immutable."""

    def __init__(self, sessions: pa.Table, failed_turns: Mapping[tuple[str, str], int], zone: str) -> None:
        self.table = sessions
        self._failed_turns = failed_turns
        self._zone = zone
        self.error_count = self._numbers("tool_error_count", 0).astype(np.int64)
        for key, count in failed_turns.items():
            if (row := self._rows_by_key.get(key)) is not None:
                self.error_count[row] += count
        self.turn_count = self._numbers("turn_count", 0).astype(np.int64)
        tokens = np.stack([self._numbers("input_tokens"), self._numbers("output_tokens")])
        self.tokens = np.where(np.isnan(tokens).all(axis=0), np.nan, np.nansum(tokens, axis=0))
        self.cost_usd = self._numbers("cost_usd")
        self.is_unpriced = pc.equal(sessions.column("cost_status"), "unpriced").fill_null(False).to_numpy()
        times = sessions.column("started_at").cast(pa.int64())
        self.has_time = times.is_valid().to_numpy()
        self.started_us: NDArray[np.int64] = times.fill_null(0).to_numpy()
        self._lowered: list[Any] = []
        self._orders: dict[str, NDArray[np.int64]] = {}
        self._bins = _Bins(self.started_us, self.has_time, zone)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def keys(self) -> list[tuple[str, str]]:
        """The source and id of each session."""
        return list(zip(*(self.table.column(name).to_pylist() for name in ("source", "session_id")), strict=True))

    @cached_property
    def _rows_by_id(self) -> dict[str, int]:
        return {key[1]: len(self) - row for row, key in enumerate(reversed(self.keys), start=1)}

    @cached_property
    def _rows_by_key(self) -> dict[tuple[str, str], int]:
        return {key: row for row, key in enumerate(self.keys)}

    @classmethod
    def of(cls, lab: Lab, zone: str) -> Listing:
        """Return the sessions of a lab.

        Raises:
            HistoryFileError: A history cannot be read.
        """
        failed = lab.sql(
            "select source, session_id, count(*) as n from turns where error_type is not null group by all"
        )
        counts = {(row["source"], row["session_id"]): row["n"] for row in failed.arrow().to_pylist()}
        return cls(lab.frame("sessions", columns=COLUMNS, to="arrow"), counts, zone)

    def in_zone(self, zone: str) -> Listing:
        """Return the same sessions with the chart's bars of a time zone."""
        if zone == self._zone:
            return self
        return Listing(self.table, self._failed_turns, zone)

    def row_of(self, session_id: str, source: str | None = None) -> int | None:
        """Return the row of a session; without a source the first one of that id."""
        if source is not None:
            return self._rows_by_key.get((source, session_id))
        return self._rows_by_id.get(session_id)

    def session(self, row: int) -> dict[str, Any]:
        """Return what is told of one session, by the names of the frame's columns."""
        found: dict[str, Any] = self.table.slice(row, 1).to_pylist()[0]
        return found

    def family(self, row: int) -> list[dict[str, Any]]:
        """Return what is told of the session that started one, if it is here, and of those that it started."""
        source, session_id = self.keys[row]
        parent_id = self.table.column("parent_session_id")[row].as_py()
        is_child = pc.equal(self.table.column("parent_session_id"), session_id).fill_null(False).to_numpy()
        rows = [] if parent_id is None else [self.row_of(parent_id, source)]
        rows += [one for one in np.flatnonzero(is_child).tolist() if self.keys[one][0] == source and one != row]
        names = ("session_id", "name", "first_prompt", "turn_count")
        columns = self._values(names, [one for one in rows if one is not None])
        return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def choices(self) -> dict[str, list[tuple[str, int]]]:
        """Return for each filter with choices its values, each with how many sessions have it; the most used ones."""
        columns = {name: self.table.column(name) for name in ("source", "agent_name", "directory")}
        columns["model"] = pc.list_flatten(self.table.column("models"))
        found = {}
        for name, column in columns.items():
            counts = Counter({row["values"]: row["counts"] for row in column.drop_null().value_counts().to_pylist()})
            found[name] = sorted(counts.most_common(_MOST_CHOICES))
        return found

    def mask(self, filters: Filters, with_text: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Return which sessions pass, whatever their time.

        Args:
            filters: What is asked for.
            with_text: Which sessions have the text in their messages and tool calls; None where nobody looked.
        """
        passing: NDArray[np.bool_] = np.ones(len(self), dtype=bool)
        if filters.text is not None:
            hits = self._has_text(filters.text)
            passing &= hits if with_text is None else hits | with_text
        for name in ("source", "agent_name", "directory"):
            if (value := getattr(filters, name)) is not None:
                passing &= pc.equal(self.table.column(name), value).fill_null(False).to_numpy()
        if filters.model is not None:
            passing &= self._has_model(filters.model)
        if filters.has_errors:
            passing &= self.error_count > 0
        return passing

    def in_time(self, filters: Filters) -> NDArray[np.bool_]:
        """Return which sessions began in the time that is asked for."""
        passing: NDArray[np.bool_] = np.ones(len(self), dtype=bool)
        if filters.since is not None:
            passing &= self.has_time & (self.started_us >= round(filters.since.timestamp() * 1e6))
        if filters.until is not None:
            passing &= self.has_time & (self.started_us < round(filters.until.timestamp() * 1e6))
        return passing

    def order(self, sort: str) -> NDArray[np.int64]:
        """Return all rows in the order of a column; `-` before its name turns it round. What is unknown comes last."""
        if sort not in self._orders:
            name = sort.removeprefix("-")
            values = self._sortable(name)
            direction = "descending" if sort.startswith("-") else "ascending"
            keyed = pa.table({"value": values, "row": pa.array(np.arange(len(self)))})
            rows = pc.sort_indices(keyed, sort_keys=[("value", direction), ("row", direction)])
            self._orders[sort] = rows.to_numpy().astype(np.int64)
        return self._orders[sort]

    def totals(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Return what some sessions add up to; NULL where nothing is known of any of them."""
        tokens, costs = self.tokens[rows], self.cost_usd[rows]
        return {
            "sessions": len(rows),
            "turns": int(self.turn_count[rows].sum()),
            "errors": int(self.error_count[rows].sum()),
            "tokens": None if np.isnan(tokens).all() else int(np.nansum(tokens)),
            "cost_usd": None if np.isnan(costs).all() else float(np.nansum(costs)),
            "unpriced": int(self.is_unpriced[rows].sum()),
        }

    def chart(self, passing: NDArray[np.bool_]) -> dict[str, Any]:
        """Return the chart's bars of the sessions that pass: starts and the last end (ms), tokens and US dollars."""
        rows = np.flatnonzero(passing & self.has_time)
        bins, count = self._bins.of_row[rows], len(self._bins.edges_ms) - 1
        if count < 1:
            return {"edges": [], "tokens": [], "cost_usd": [], "sessions": []}
        sums = {
            name: np.bincount(bins, np.nan_to_num(values[rows]), minlength=count)
            for name, values in (("tokens", self.tokens), ("cost_usd", self.cost_usd))
        }
        return {
            "edges": self._bins.edges_ms,
            "tokens": sums["tokens"].tolist(),
            "cost_usd": sums["cost_usd"].round(6).tolist(),
            "sessions": np.bincount(bins, minlength=count).tolist(),
        }

    def shown(self, rows: Sequence[int]) -> list[list[Any]]:
        """Return rows as the page shows them: the values of `ROW`, times in ms, long texts cut."""
        columns = self._values([name for name in ROW if name in COLUMNS], rows)
        columns["started_at"] = [int(self.started_us[row]) // 1000 if self.has_time[row] else None for row in rows]
        columns["models"] = [", ".join(models or []) or None for models in columns["models"]]
        columns["error_count"] = self.error_count[list(rows)].tolist()
        columns["tokens"] = [None if np.isnan(tokens) else int(tokens) for tokens in self.tokens[list(rows)]]
        for name in ("name", "first_prompt"):
            columns[name] = [short(text) for text in columns[name]]
        return [list(values) for values in zip(*(columns[name] for name in ROW), strict=True)]

    def _values(self, names: Sequence[str], rows: Sequence[int]) -> dict[str, list[Any]]:
        """Return what stands in some columns of a few rows."""
        places = np.array(rows, dtype=np.int64)
        everywhere = np.ones(len(places), dtype=bool)
        return {name: take(self.table.column(name), places, everywhere).to_pylist() for name in names}

    def _numbers(self, name: str, unknown: float = np.nan) -> NDArray[np.float64]:
        numbers: NDArray[np.float64] = self.table.column(name).cast(pa.float64()).fill_null(unknown).to_numpy().copy()
        return numbers

    def prepare_search(self) -> None:
        """Make names, prompts and ids ready to be searched; the first search does it where nobody did."""
        if not self._lowered:
            self._lowered = [pc.utf8_lower(self.table.column(name)) for name in TEXTS]

    def _has_text(self, text: str) -> NDArray[np.bool_]:
        self.prepare_search()
        sought = pc.utf8_lower(pa.scalar(text, pa.large_string())).as_py()
        hits: NDArray[np.bool_] = np.zeros(len(self), dtype=bool)
        starts = range(0, len(self), _PIECE)
        with ThreadPoolExecutor(pa.cpu_count()) as pool:  # Arrow itself works on one core here
            for column in self._lowered:
                found = pool.map(lambda start, column=column: _has(column.slice(start, _PIECE), sought), starts)
                hits |= np.concatenate([*found, hits[:0]])
        return hits

    def _has_model(self, model: str) -> NDArray[np.bool_]:
        lists = self.table.column("models").combine_chunks()
        parents = pc.list_parent_indices(lists).to_numpy()
        found: NDArray[np.bool_] = np.zeros(len(self), dtype=bool)
        found[parents[pc.equal(pc.list_flatten(lists), model).fill_null(False).to_numpy(zero_copy_only=False)]] = True
        return found

    def _sortable(self, name: str) -> Any:
        if name == "tokens":
            return pa.array(self.tokens, from_pandas=True)
        if name == "error_count":
            return pa.array(self.error_count)
        if name == "models":
            return pa.array(
                [", ".join(models or []).lower() or None for models in self.table.column("models").to_pylist()]
            )
        column = self.table.column(name)
        if name == "name":  # what has no name is shown by its first prompt
            column = pc.coalesce(column, self.table.column("first_prompt"))
        if not pa.types.is_large_string(column.type):
            return column
        column = pc.utf8_lower(pc.utf8_slice_codeunits(column, 0, _SHOWN_TEXT))
        return pc.if_else(pc.equal(column, ""), None, column)


class _Bins:
    """The bars of the chart: hours, days, weeks or months of a zone, as the whole time asks for."""

    def __init__(self, started_us: NDArray[np.int64], has_time: NDArray[np.bool_], zone: str) -> None:
        self.of_row: NDArray[np.int64] = np.zeros(len(started_us), dtype=np.int64)
        self.edges_ms: list[int] = []
        if not has_time.any():
            return
        local = pd.DatetimeIndex(started_us[has_time].astype("datetime64[us]"), tz="UTC").tz_convert(ZoneInfo(zone))
        naive = local.tz_localize(None)
        days = (naive.max() - naive.min()).days
        unit = next((unit for unit, most in _WIDTHS if days <= most), "Y")
        periods = naive.to_period(unit)
        first = periods.min()
        self.of_row[has_time] = periods.astype("int64") - first.ordinal
        edges = pd.period_range(first, periods.max() + 1, freq=unit).to_timestamp()
        instants = edges.tz_localize(ZoneInfo(zone), ambiguous=np.ones(len(edges), bool), nonexistent="shift_forward")
        self.edges_ms = (instants.tz_convert("UTC").as_unit("ms").astype("int64")).tolist()


def _has(column: Any, sought: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.match_substring(column, sought).fill_null(False).to_numpy()
    return found


def short(text: str | None) -> str | None:
    """Return the beginning of a text on one line."""
    if text is None:
        return None
    line = " ".join(text[: 4 * _SHOWN_TEXT].split())
    return line if len(line) <= _SHOWN_TEXT else line[: _SHOWN_TEXT - 1] + "…"
