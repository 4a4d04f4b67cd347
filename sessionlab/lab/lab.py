"""The Lab: several histories, of several tools, as one set of frames."""

from __future__ import annotations

import contextlib
import html
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sessionlab.errors import FrameError, HistoryFileError, QueryError, SessionLabError, SessionLabWarning
from sessionlab.lab import queries
from sessionlab.lab.attach import Attachment
from sessionlab.lab.copying import Copy
from sessionlab.lab.engine import Engine
from sessionlab.lab.filters import Query, chosen_columns, query_for
from sessionlab.lab.frames import FRAMES, Column, Frame, schema_of, to_pandas
from sessionlab.lab.result import Result, to_polars
from sessionlab.lab.texts import in_order
from sessionlab.sources import Source, all_sources

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from numpy.typing import NDArray

Path = str | os.PathLike[str]
To = Literal["pandas", "polars", "arrow"]

_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_COST_COLUMNS = {"cost_usd", "cost_status"}
_PROBLEM_SCHEMA = pa.schema(
    [
        ("source", pa.large_string()),
        ("origin", pa.large_string()),
        ("line", pa.int64()),
        ("record", pa.large_string()),
        ("reason", pa.large_string()),
    ]
)


class Lab:
    """Histories opened as one; get it from `sessionlab.open`. A context manager; several threads may use it.

    Every `frame` and `sql` first reads what has come since the last one. Nothing is written to the histories.
    """

    def __init__(self, *paths: Path) -> None:
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._paths = [_absolute(path) for path in paths]
        self._snapshots = 0
        self._engine: Engine | None = None
        self._copies: list[Copy] = []
        self._problems: list[dict[str, Any]] = []
        self._views: Any = None
        self._open()

    def __repr__(self) -> str:
        return f"<Lab of {len(self._copies)} histories: {', '.join(copy.path for copy in self._copies) or 'none'}>"

    def _repr_html_(self) -> str:
        rows = []
        with self.snapshot():
            for copy in self._copies:
                counts = self._run(
                    f"select (select count(*) from {copy.schema}.session), (select count(*) from {copy.schema}.turn)"
                ).to_pydict()
                cells = [copy.source.name, copy.path, *(f"{values[0]:,}" for values in counts.values())]
                rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
            problems = len(self._all_problems())
        head = "<tr><th>source</th><th>file</th><th>sessions</th><th>turns</th></tr>"
        return (
            f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
            f"<p>{len(self._copies)} histories, {problems} problems (<code>lab.problems</code>). "
            f"Frames: {', '.join(f'<code>{name}</code>' for name in FRAMES)}.</p>"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the memory; calling it again does nothing."""
        with self._lock:
            if self._engine is not None:
                self._engine.close()
            self._engine = None
            self._copies = []

    @property
    def sources(self) -> list[tuple[str, str]]:
        """The tool and the file of each history, in the order of their rows in the frames."""
        return [(copy.source.name, copy.path) for copy in self._copies]

    @property
    def problems(self) -> pd.DataFrame:
        """What could not be read: source, origin (file), line (or NULL), record, reason; one row for each."""
        with self._lock:
            self._refresh()
            for copy in self._copies:
                copy.price()
            return to_pandas(pa.Table.from_pylist(self._all_problems(), schema=_PROBLEM_SCHEMA))

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Self]:
        """Hold one view over all calls inside: they do not see what is recorded meanwhile."""
        with self._lock:
            self._refresh()
            self._snapshots += 1
        try:
            yield self
        finally:
            with self._lock:
                self._snapshots -= 1

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
        self, name: str = "turns", /, *, columns: Sequence[str] | str | None = None, to: To = "pandas", **filters: Any
    ) -> pd.DataFrame | pl.DataFrame | pa.Table:
        """Return a frame: `sessions`, `turns`, `messages`, `tool_calls`, `token_usage` or `model_configs`.

        Rows come in recording order within a history, histories in the order given. Times are UTC, `_s` seconds,
        `_usd` US dollars; NULL means "not reported". dtypes never depend on the rows. Leave out the columns of wide
        text (`columns=`) where they are not needed: they are then not even read.

        Args:
            name: The frame.
            columns: Only these columns, in this order.
            to: `pandas`, `polars` or `arrow`.
            **filters: `since`, `until` (datetime, ISO text, or an age such as `"7d"`; half-open; without a zone
                local), `session_id`, `source`, `agent_name`, `directory`, `model`, `limit` (the newest rows), and
                equality on any column. A list means "one of"; on a column of lists, "contains one of"; None on a
                column means NULL.

        Raises:
            FrameError: There is no such frame, column or filter, or a value does not fit.
            HistoryFileError: A history cannot be read.
            MissingPartError: A package that is needed is not installed.
        """
        if to not in ("pandas", "polars", "arrow"):
            raise FrameError(f"to={to!r}: expected 'pandas', 'polars' or 'arrow'.")
        frame = _frame_called(name)
        chosen = chosen_columns(frame, columns)
        query = query_for(frame, filters)
        with self._lock:
            self._refresh()
            parts = [self._rows(copy, frame, chosen, query) for copy in self._copies]
            self._warn_of_missing_times(frame, query)
        if query.limit is not None and len(parts) > 1:
            parts = [_newest(pa.concat_tables(parts), query.limit)]
        schema = schema_of(chosen)
        parts = [part.select(schema.names).cast(schema) for part in parts]
        table = pa.concat_tables(parts) if parts else schema.empty_table()
        if to == "arrow":
            return table
        return to_polars(table) if to == "polars" else to_pandas(table)

    def sql(self, text: str, params: Sequence[Any] | dict[str, Any] | None = None) -> Result:
        """Run one SELECT over the frames, which are views by their names.

        Args:
            text: DuckDB's SQL. It can read nothing but the frames, and change nothing.
            params: Values for `?` or `$name`.

        Raises:
            QueryError: It is no single SELECT, or DuckDB refused it.
            HistoryFileError: A history cannot be read.
        """
        if not isinstance(text, str):
            raise QueryError(f"sql({text!r}): expected the text of one SELECT.")
        with self._lock:
            engine = self._refresh()
            asked = queries.understand(engine.narrow, text, FRAMES)
            if asked.needs_costs:
                for copy in self._copies:
                    copy.price()
            self._make_views(engine, with_texts=False)
            if not asked.needs_texts:
                try:
                    return queries.run(engine.narrow, text, params)
                except QueryError as error:
                    # A name that is not in the narrow views may be a column of wide text.
                    if not isinstance(error.__cause__, duckdb.BinderException | duckdb.CatalogException):
                        raise
            self._load_all_texts()
            self._make_views(engine, with_texts=True)
            return queries.run(engine.full, text, params)

    # Opening

    def _open(self) -> None:
        self._engine = engine = Engine()
        try:
            if self._paths:
                for path in self._paths:
                    self._add_named(engine, path)
            else:
                self._add_found(engine)
        except BaseException:
            engine.close()
            raise

    def _add_named(self, engine: Engine, path: str) -> None:
        if not os.path.isdir(path):
            self._add(engine, path)
            return
        before = len(self._copies)
        for folder, folders, files in os.walk(path):
            folders.sort()
            for name in sorted(files):
                if name.endswith(_SUFFIXES):
                    self._try_to_add(engine, os.path.join(folder, name))
        if len(self._copies) == before and not self._problems:
            raise HistoryFileError(
                f"The folder {path!r} holds no history: no file in it ends in {', '.join(_SUFFIXES)}. Check the path."
            )

    def _add_found(self, engine: Engine) -> None:
        looked = []
        for source in all_sources().values():
            for path in source.default_paths():
                looked.append(path)
                if os.path.exists(path):
                    self._try_to_add(engine, path)
        if not self._copies:
            warnings.warn(
                f"No history was found, so the frames are empty. Looked at: {', '.join(looked)}. "
                "Name a file: sessionlab.open('history.db').",
                SessionLabWarning,
                stacklevel=5,
            )

    def _try_to_add(self, engine: Engine, path: str) -> None:
        try:
            self._add(engine, path)
        except HistoryFileError as error:
            self._problems.append({"source": None, "origin": path, "line": None, "record": None, "reason": str(error)})

    def _add(self, engine: Engine, path: str) -> None:
        if any(copy.path == path for copy in self._copies):
            return
        attachment = Attachment(engine.reader, path, engine.folder) if os.path.exists(path) else None
        if attachment is None:
            raise HistoryFileError(f"{path!r} is not there. Check the path; sessionlab.open() finds what is.")
        with attachment:
            source = _source_of(attachment, path)
        copy = Copy(engine, source, path, f"h{len(self._copies)}", attachment)
        copy.refresh()
        self._copies.append(copy)

    # Reading

    def _refresh(self) -> Engine:
        """Bring every history up to date, unless a snapshot is held."""
        if self._pid != os.getpid():
            self._start_anew_in_child()
        if self._engine is None:
            raise SessionLabError("The lab is closed. sessionlab.open() makes another.")
        if not self._snapshots:
            for copy in self._copies:
                copy.refresh()
        return self._engine

    def _start_anew_in_child(self) -> None:
        """After a fork the threads of DuckDB are gone, so the child reads its histories anew."""
        queries.never_free(self._engine)
        self._lock = threading.RLock()
        self._lock.acquire()
        self._pid = os.getpid()
        self._copies, self._problems, self._views, self._snapshots = [], [], None, 0
        self._open()

    def _run(self, sql: str, values: Sequence[Any] = ()) -> pa.Table:
        engine = self._engine
        assert engine is not None  # noqa: S101 -- for the type checker
        try:
            return engine.narrow.execute(sql, list(values)).to_arrow_table()
        except duckdb.Error as error:
            raise FrameError(f"The frame cannot be made: {str(error).splitlines()[0]}") from error

    def _rows(self, copy: Copy, frame: Frame, chosen: tuple[Column, ...], query: Query) -> pa.Table:
        """Return the rows of one history, in recording order, with their texts."""
        if _COST_COLUMNS & ({column.name for column in chosen} | set(_words(query))):
            copy.price()
        texts = {column.name: column.text for column in frame.columns if column.text is not None}
        needed = {name for name in texts if name in query.text_conditions or any(c.name == name for c in chosen)}
        keys = sorted({texts[name].key for name in needed} - {"_key"})
        narrow = [column.name for column in chosen if column.text is None]
        where, values = _where(copy, query)
        order = ""
        if query.limit is not None:
            narrow.append(f"{frame.time} as _time")
            if not query.text_conditions:
                order = f" order by _time desc nulls last, _key desc limit {query.limit}"
        columns = ", ".join(["_key", *keys, *(f'"{name}"' if " " not in name else name for name in narrow)])
        table = in_order(self._run(f"select {columns} from {copy.schema}.{frame.name}{where}{order}", values), "_key")
        for name in sorted(needed):
            spec = texts[name]
            copy.load_texts(spec.of)
            wanted, known = _keys_of(table, spec.key)
            table = table.append_column(name, copy.texts[spec.of].pick(spec.column, wanted, known))
        for name, sought in query.text_conditions.items():
            table = table.filter(_is_one_of(table.column(name), sought))
        if query.limit is not None:
            table = _newest(table, query.limit)
        return table.drop_columns(["_key", *keys])

    def _warn_of_missing_times(self, frame: Frame, query: Query) -> None:
        if not query.times:
            return
        missing = 0
        for copy in self._copies:
            conditions = [*(c.replace("facts.", f"{copy.schema}.") for c in query.conditions), f"{frame.time} is null"]
            sql = f"select count(*) as n from {copy.schema}.{frame.name} where {' and '.join(conditions)}"
            missing += self._run(sql, query.values).column(0)[0].as_py()
        if missing:
            warnings.warn(
                f"{missing} rows of {frame.name!r} have no time ({frame.time}), so since and until leave them out.",
                SessionLabWarning,
                stacklevel=3,
            )

    def _load_all_texts(self) -> None:
        for copy in self._copies:
            for kind in copy.texts:
                copy.load_texts(kind)

    def _make_views(self, engine: Engine, *, with_texts: bool) -> None:
        """Let users' SQL see the frames of all histories by their names."""
        state = (with_texts, [copy.version for copy in self._copies])
        connection = engine.full if with_texts else engine.narrow
        if self._views is None:
            self._views = {}
        if self._views.get(with_texts) == state:
            return
        queries.make_views(connection, self._copies, FRAMES, with_texts=with_texts)
        self._views[with_texts] = state

    def _all_problems(self) -> list[dict[str, Any]]:
        unpriced = [
            {
                "source": copy.source.name,
                "origin": copy.path,
                "line": None,
                "record": model,
                "reason": f"no price is known for the model {model!r} of provider {provider or 'unknown'!r}; its "
                "cost_usd is NULL where the tool reported none",
            }
            for copy in self._copies
            for provider, model in sorted(copy.unpriced, key=str)
        ]
        return [*self._problems, *unpriced]


def _frame_called(name: Any) -> Frame:
    frame = FRAMES.get(name) if isinstance(name, str) else None
    if frame is None:
        looks_like_path = isinstance(name, os.PathLike) or (
            isinstance(name, str) and (os.sep in name or "/" in name or name.endswith(_SUFFIXES))
        )
        hint = (
            f" A path comes after the frame's name: sessionlab.frame('turns', {os.fspath(name)!r})."
            if looks_like_path
            else ""
        )
        raise FrameError(f"There is no frame {name!r}; there are {', '.join(map(repr, FRAMES))}.{hint}")
    return frame


def _source_of(attachment: Attachment, path: str) -> Source:
    rows = attachment.rows(
        "select s.name, c.name as column_name from sqlite_schema s join pragma_table_info(s.name) c"
        " where s.type in ('table', 'view')"
    ).fetchall()
    tables: dict[str, set[str]] = {}
    for table, column in rows:
        tables.setdefault(table, set()).add(column)
    for source in all_sources().values():
        if source.recognises({table: frozenset(columns) for table, columns in tables.items()}):
            return source
    shown = ", ".join(sorted(tables)[:5]) or "none"
    raise HistoryFileError(
        f"{path!r} is a SQLite file of no known tool (its tables: {shown}). "
        f"Known are: {', '.join(all_sources())}. Check the path."
    )


def _absolute(path: Path) -> str:
    try:
        given = os.fspath(path)
    except TypeError:
        given = None
    if not isinstance(given, str) or not given or "\0" in given:
        raise HistoryFileError(f"{path!r} is no path of a file. Give a path, for example 'history.db'.")
    return os.path.abspath(os.path.expanduser(given))


def _where(copy: Copy, query: Query) -> tuple[str, list[Any]]:
    conditions = [c.replace("facts.", f"{copy.schema}.") for c in query.conditions]
    both = [*conditions, *query.times]
    return (f" where {' and '.join(both)}" if both else ""), [*query.values, *query.time_values]


def _words(query: Query) -> Iterator[str]:
    for condition in query.conditions:
        yield from condition.replace("(", " ").split()


def _newest(table: pa.Table, limit: int) -> pa.Table:
    """Return the newest rows by their column `_time`, ties and missing times by their order, in their order."""
    if table.num_rows <= limit:
        return table
    keyed = pa.table({"time": table.column("_time"), "row": pa.array(np.arange(table.num_rows))})
    rows = pc.sort_indices(keyed, sort_keys=[("time", "descending"), ("row", "descending")])
    return table.take(pa.array(np.sort(rows.to_numpy()[:limit])))


def _keys_of(table: pa.Table, name: str) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    column = table.column(name)
    if column.null_count == 0:
        return column.to_numpy(), None
    return column.fill_null(-1).to_numpy(), column.is_valid().to_numpy()


def _is_one_of(column: pa.ChunkedArray, sought: list[str | None]) -> Any:
    found = pc.is_in(column, value_set=pa.array([v for v in sought if v is not None], pa.large_string()))
    found = pc.and_(found, column.is_valid())
    return pc.or_(found, column.is_null()) if None in sought else found


_labs: dict[tuple[str, ...], Lab] = {}
_labs_lock = threading.Lock()


def open(*paths: Path) -> Lab:
    """Open histories as one: files or folders, of one tool or several. Without paths: every one on this machine.

    Raises:
        HistoryFileError: A path that was named is not there, is empty, cannot be read or is of no known tool.

    Example:
        >>> lab = open("sample_data/history.db")  # doctest: +SKIP
        >>> lab.frame("turns", since="7d")  # doctest: +SKIP
    """
    return Lab(*paths)


def frame(
    name: str = "turns", /, *paths: Path, columns: Sequence[str] | str | None = None, to: To = "pandas", **filters: Any
) -> Any:
    """Return a frame of some histories: `sessionlab.open(*paths).frame(name, …)`, with the opened lab kept.

    The arguments are those of `Lab.frame`, and so are the errors.
    """
    _frame_called(name)
    key = tuple(_absolute(path) for path in paths)
    with _labs_lock:
        lab = _labs.get(key)
        if lab is None:
            lab = _labs[key] = Lab(*paths)
    to_any: Any = to
    return lab.frame(name, columns=columns, to=to_any, **filters)
