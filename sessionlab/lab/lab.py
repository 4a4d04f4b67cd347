"""The Lab: several histories, of several tools, as one set of frames."""

from __future__ import annotations

import contextlib
import difflib
import html
import os
import threading
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import duckdb
import pyarrow as pa

from sessionlab.errors import FrameError, QueryError, SessionLabError, warn
from sessionlab.lab import queries
from sessionlab.lab.copying import unpriced_problems
from sessionlab.lab.engine import Engine, ctrl_c
from sessionlab.lab.filters import Query, chosen_columns, query_for
from sessionlab.lab.frames import FRAMES, Column, Frame, schema_of, to_pandas
from sessionlab.lab.histories import SUFFIXES, Histories, Path, absolute
from sessionlab.lab.overview import overview_of
from sessionlab.lab.redacting import Redaction
from sessionlab.lab.repricing import Repricing
from sessionlab.lab.result import Result, to_polars
from sessionlab.lab.rows import (
    count_without_time,
    merged_configs,
    need_of,
    needed_texts,
    needs_costs,
    newest,
    read_pieces,
    read_rows,
)
from sessionlab.lab.search import Search, search, sessions_with

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from sessionlab.browser import SessionBrowser
    from sessionlab.lab.copying import Copy, Need
    from sessionlab.lab.incoming import Kind

To = Literal["pandas", "polars", "arrow"]

PIECE_ROWS = 20_000
"""How many rows a piece of a frame has unless another number is asked for."""

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

    Every `frame`, `search` and `sql` first reads what has come since the last one. Nothing is written to the histories.
    """

    def __init__(self, *paths: Path) -> None:
        self._lock = threading.RLock()
        self._paths = [absolute(path) for path in paths]
        self._snapshots = 0
        self._is_forked = False
        self._engine: Engine | None = None
        self._histories: Histories | None = None
        self._views: dict[bool, list[tuple[str, int]]] = {}
        self._state: list[tuple[str, int]] = []
        self._revision = 0
        self._open()
        _living.add(self)

    def __repr__(self) -> str:
        paths = list(dict.fromkeys(path for _, path in self.sources))
        return f"<Lab of {len(paths)} {'history' if len(paths) == 1 else 'histories'}: {', '.join(paths) or 'none'}>"

    def _repr_html_(self) -> str:
        with self._lock, ctrl_c():
            table = self._overview()
            problems = len(self._all_problems())
        rows = []
        for row in table.to_pylist():
            counts = ["" if row[name] is None else f"{row[name]:,}" for name in ("session_count", "turn_count")]
            cells = [row["source"] or "not readable", row["origin"], *counts]
            rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
        head = "<tr><th>source</th><th>file</th><th>sessions</th><th>turns</th></tr>"
        return (
            f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
            f"<p>{len(rows)} histories, {problems} problems (<code>lab.problems</code>). "
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
            if self._engine is not None and not self._is_forked:
                self._engine.close()
            self._engine = self._histories = None

    @property
    def sources(self) -> list[tuple[str, str]]:
        """The tool and the file or folder of each history, in the order of their rows in the frames."""
        histories = self._histories
        copies = [] if histories is None else histories.copies
        return [(copy.source.name, path) for copy in copies for path, _ in copy.places()]

    @property
    def problems(self) -> pd.DataFrame:
        """What could not be read: source, origin (file), line (or NULL), record, reason; one row for each.

        A model that has no price is there once for each provider, at the end; `source` and `origin` are NULL there
        where several tools or histories used it.
        """
        with self._lock, ctrl_c():
            for copy in self._refreshed()[1]:
                copy.price()
            return to_pandas(pa.Table.from_pylist(self._all_problems(), schema=_PROBLEM_SCHEMA))

    def overview(self) -> pd.DataFrame:
        """Return a row for each history: what it is, how much is in it, and when something last happened.

        Columns: source (the tool; NULL where the file cannot be read), origin (the file), size_bytes (with its WAL),
        session_count, turn_count, last_activity_at (UTC; NULL where the tool keeps no times), problem_count (rows of
        `problems`, without models that have no price). What was found and cannot be read comes last.

        Raises:
            HistoryFileError: A history that was named cannot be read.
        """
        with self._lock, ctrl_c():
            return to_pandas(self._overview())

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Self]:
        """Hold one view over all calls inside: they do not see what is recorded meanwhile.

        The texts of what is deleted meanwhile can be had only if texts were asked for before; else asking for them
        raises a `HistoryFileError`.
        """
        with self._lock, ctrl_c():
            _, copies = self._refreshed()
            with self._no_change(copies):
                for copy in copies:
                    for kind in copy.kinds_to_hold():
                        copy.load_texts(kind, is_held=self._snapshots > 0)
            self._snapshots += 1
        try:
            yield self
        finally:
            with self._lock:
                self._snapshots = max(0, self._snapshots - 1)  # a forked child begins without

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
        with self._lock, ctrl_c():
            kinds = needed_texts(frame, chosen, query)
            engine, copies = self._refreshed(kinds, need=need_of(frame, chosen, query))
            # Texts first: reading them can show that rows went, and then the facts are copied anew.
            self._load(copies, kinds, costs=needs_costs(chosen, query))
            is_shared = frame.name == "model_configs" and len(copies) > 1
            wanted = frame.columns if is_shared else chosen
            of_each = replace(query, limit=None) if is_shared else query
            parts = [read_rows(engine, copy, frame, wanted, of_each) for copy in copies]
            if is_shared:
                merged = merged_configs(pa.concat_tables(parts))
                parts = [merged.append_column("_time", merged.column(frame.time))]
            missing = sum(count_without_time(engine, copy, frame, query) for copy in copies) if query.times else 0
        if missing:
            _warn_without_time(frame, missing)
        if query.limit is not None and len(copies) > 1:
            parts = [newest(pa.concat_tables(parts), query.limit)]
        schema = schema_of(chosen)
        parts = [part.select(schema.names).cast(schema) for part in parts]
        table = pa.concat_tables(parts) if parts else schema.empty_table()
        if to == "arrow":
            return table
        return to_polars(table) if to == "polars" else to_pandas(table)

    def pieces(
        self,
        name: str = "turns",
        /,
        *,
        columns: Sequence[str] | str | None = None,
        row_count: int = PIECE_ROWS,
        **filters: Any,
    ) -> Iterator[pa.Table]:
        """Yield a frame piece by piece as Arrow, of one moment: for what would not fit into memory a second time.

        Together the pieces are `frame(name, to="arrow", …)`. Each is made when it is asked for; with `limit`, or a
        filter on a column of wide text, the frame is made at once.

        Args:
            name: The frame.
            columns: Only these columns, in this order.
            row_count: How many rows a piece has at most.
            **filters: Those of `frame`.

        Raises:
            FrameError: There is no such frame, column or filter, or a value does not fit.
            HistoryFileError: A history cannot be read.
        """
        frame = _frame_called(name)
        chosen = chosen_columns(frame, columns)
        query = query_for(frame, filters)
        if isinstance(row_count, bool) or not isinstance(row_count, int) or row_count < 1:
            raise FrameError(f"row_count={row_count!r}: expected a whole number of 1 or more.")
        if query.limit is not None or query.text_conditions or frame.name == "model_configs":
            whole = self.frame(name, columns=columns, to="arrow", **filters)
            return (whole.slice(start, row_count) for start in range(0, whole.num_rows, row_count))
        return self._pieces(frame, chosen, query, row_count)

    def _pieces(self, frame: Frame, chosen: tuple[Column, ...], query: Query, row_count: int) -> Iterator[pa.Table]:
        schema = schema_of(chosen)
        kinds = needed_texts(frame, chosen, query)
        with self.snapshot():
            with self._lock, ctrl_c():
                engine, copies = self._refreshed(kinds)
                self._load(copies, kinds, costs=needs_costs(chosen, query))
                missing = sum(count_without_time(engine, copy, frame, query) for copy in copies) if query.times else 0
            if missing:
                _warn_without_time(frame, missing)
            small: list[pa.Table] = []  # histories of a few rows go together into one piece
            for copy in copies:
                pieces = read_pieces(engine, copy, frame, chosen, query, row_count)
                while True:
                    with self._lock, ctrl_c():
                        piece = next(pieces, None)
                    if piece is None:
                        break
                    if small and sum(part.num_rows for part in small) + piece.num_rows > row_count:
                        yield pa.concat_tables(small)
                        small = []
                    small.append(piece.select(schema.names).cast(schema))
            if small:
                yield pa.concat_tables(small)

    def redact(self) -> Redaction:
        """Return a copy of the frames without secrets: keys, tokens, passwords, e-mail addresses and home folders.

        It has the same `frame` and `pieces` as the lab, and `counts` says what was replaced. Nothing is written.

        Example:
            >>> import tempfile
            >>> from sessionlab import Recorder, open
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = f"{folder}/history.db"
            ...     with Recorder(path) as recorder, recorder.session("first") as session:
            ...         message = session.user("Write to ada@example.com, and to ada@example.com again.")
            ...     with open(path) as lab:
            ...         lab.redact().frame("messages")["content"].to_list()
            ['Write to <email-1>, and to <email-1> again.']
        """
        return Redaction(self)

    @overload
    def search(
        self, text: str, *, regex: bool = ..., limit: int | None = ..., to: Literal["pandas"] = ..., **filters: Any
    ) -> pd.DataFrame: ...
    @overload
    def search(
        self, text: str, *, regex: bool = ..., limit: int | None = ..., to: Literal["polars"], **filters: Any
    ) -> pl.DataFrame: ...
    @overload
    def search(
        self, text: str, *, regex: bool = ..., limit: int | None = ..., to: Literal["arrow"], **filters: Any
    ) -> pa.Table: ...

    def search(
        self, text: str, *, regex: bool = False, limit: int | None = None, to: To = "pandas", **filters: Any
    ) -> pd.DataFrame | pl.DataFrame | pa.Table:
        """Return where a text stands in the messages, reasoning, tool arguments and tool results of all histories.

        One row for each place with a hit: a message's `content` or `reasoning`, a call's `arguments` or `result`. Upper
        and lower case are one. `hit_count` says how often the text is there, `snippet` shows the first hit on one line
        as `«hit»`, and in it no other « or ». Rows come in the order of the messages, histories in the order given; a
        call comes after the message that made it.

        Args:
            text: What is sought, as it stands.
            regex: Take it as a pattern in RE2's words; `(?-i:…)` in it tells upper from lower case.
            limit: Only the newest so many.
            to: `pandas`, `polars` or `arrow`.
            **filters: Those of `frame`, by the columns of the result except `hit_count` and `snippet`.

        Raises:
            FrameError: The text is empty, the pattern is none, or a filter does not fit.
            HistoryFileError: A history cannot be read.
            MissingPartError: A package that is needed is not installed.

        Example:
            >>> import tempfile
            >>> from sessionlab import Recorder, open
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = f"{folder}/history.db"
            ...     with Recorder(path) as recorder, recorder.session("first") as session:
            ...         message = session.user("Why does CI fail?")
            ...     with open(path) as lab:
            ...         lab.search("ci")[["role", "snippet"]].values.tolist()
            [['user', 'Why does «CI» fail?']]
        """
        if to not in ("pandas", "polars", "arrow"):
            raise FrameError(f"to={to!r}: expected 'pandas', 'polars' or 'arrow'.")
        sought = Search.of(text, regex, {**filters, "limit": limit})
        with self._lock, ctrl_c():
            engine, copies = self._refreshed()
            self._load(copies, ("message", "tool_call"), costs=False)
            table = search(engine, copies, sought)
        if to == "arrow":
            return table
        return to_polars(table) if to == "polars" else to_pandas(table)

    def search_sessions(self, text: str) -> pa.Table:
        """Return which sessions have a text in their messages, reasoning, tool arguments or tool results.

        One row for each session, in no order: source, session_id, as Arrow. Upper and lower case are one. It is quicker
        than `search`, which tells the places.

        Raises:
            FrameError: The text is empty.
            HistoryFileError: A history cannot be read.
        """
        sought = Search.of(text, False, {})
        with self._lock, ctrl_c():
            engine, copies = self._refreshed()
            self._load(copies, ("message", "tool_call"), costs=False)
            return sessions_with(engine, copies, sought)

    @overload
    def reprice(
        self,
        model: str,
        *,
        provider_name: str | None = ...,
        instead_of: str | Sequence[str] | None = ...,
        to: Literal["pandas"] = ...,
        **filters: Any,
    ) -> pd.DataFrame: ...
    @overload
    def reprice(
        self,
        model: str,
        *,
        provider_name: str | None = ...,
        instead_of: str | Sequence[str] | None = ...,
        to: Literal["polars"],
        **filters: Any,
    ) -> pl.DataFrame: ...
    @overload
    def reprice(
        self,
        model: str,
        *,
        provider_name: str | None = ...,
        instead_of: str | Sequence[str] | None = ...,
        to: Literal["arrow"],
        **filters: Any,
    ) -> pa.Table: ...

    def reprice(
        self,
        model: str,
        *,
        provider_name: str | None = None,
        instead_of: str | Sequence[str] | None = None,
        to: To = "pandas",
        **filters: Any,
    ) -> pd.DataFrame | pl.DataFrame | pa.Table:
        """Return what the same tokens would have cost with another model, beside what they did cost.

        One row for each turn, or session's total where a tool keeps only that (`scope`), that used tokens or was
        charged; key: source, session_id, turn_id. Columns: source, session_id, turn_id, started_at, provider_name and
        model (those that answered), cost_usd, cost_status, scope, repriced_model, repriced_cost_usd. Rows come in the
        order of `turns`.

        It is arithmetic on the tokens that were counted: another model would have split the text into other tokens,
        and answered at another length. Tokens that were read from or written to a cache stay so, at the other model's
        prices for that; where it has none they cost what input does. Prices are those of the turn's own day; where the
        model was not there yet, its first ones. `repriced_cost_usd` is NULL where tokens are not known, where a turn
        has no time and the price has changed, and for a total that does not say which of several prices its requests
        had. `cost_usd` may be NULL as well, so compare sums of the rows that have both.

        Args:
            model: The model that is asked about.
            provider_name: Whose prices; None: of the provider whose models are called so.
            instead_of: Only the turns that this model, or one of these, answered.
            to: `pandas`, `polars` or `arrow`.
            **filters: Those of `frame`: `since`, `until`, `session_id`, `source`, `agent_name`, `directory`, `limit`,
                and equality on `turn_id`, `started_at`, `cost_usd`, `cost_status` and `scope`.

        Raises:
            FrameError: No price is known for the model, or a filter does not fit.
            HistoryFileError: A history cannot be read.
            MissingPartError: A package that is needed is not installed.

        Example:
            >>> import tempfile
            >>> from sessionlab import ModelConfig, Recorder, Usage, open
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = f"{folder}/history.db"
            ...     config = ModelConfig(provider_name="anthropic", request_model="claude-sonnet-4-5")
            ...     with Recorder(path) as recorder, recorder.session("first", config=config) as session:
            ...         turn = session.assistant("Done.", usage=Usage(input_tokens=100_000, output_tokens=10_000))
            ...     with open(path) as lab:
            ...         costs = lab.reprice(model="claude-haiku-4-5")[["cost_usd", "repriced_cost_usd"]]
            >>> costs.round(2).values.tolist()
            [[0.45, 0.15]]
        """
        if to not in ("pandas", "polars", "arrow"):
            raise FrameError(f"to={to!r}: expected 'pandas', 'polars' or 'arrow'.")
        repricing = Repricing(model, provider_name, instead_of, filters)
        with self._lock, ctrl_c():
            engine, copies = self._refreshed()
            self._load(copies, (), costs=True)
            table = repricing.rows(engine, copies)
            missing = repricing.count_without_time(engine, copies)
        if missing:
            warn(f"{missing} turns have no time (started_at), so since and until leave them out.")
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
        with self._lock, ctrl_c():
            engine, copies = self._refreshed()
            try:
                asked = queries.understand(engine.narrow, text, FRAMES)
                self._load(copies, {"message", "tool_call"} if asked.needs_texts else (), costs=asked.needs_costs)
                self._make_views(engine, copies, with_texts=asked.needs_texts)
                return queries.run(engine.full if asked.needs_texts else engine.narrow, text, params)
            except QueryError as error:
                if isinstance(error.__cause__, duckdb.FatalException | duckdb.InternalException):
                    engine.close()  # DuckDB refuses every further query of an instance that has failed so
                    self._open()
                raise

    def refresh(self) -> int:
        """Read what has come since the last time, as every `frame`, `search` and `sql` does by itself.

        Returns:
            A number that is a higher one than before whenever the frames may have changed.

        Raises:
            HistoryFileError: A history cannot be read.
        """
        with self._lock, ctrl_c():
            state = _state_of(self._refreshed()[1])
            if state != self._state:
                self._state = state
                self._revision += 1
            return self._revision

    def browse(self, **filters: Any) -> SessionBrowser:
        """Return a session browser: a widget that shows itself at the end of a notebook's cell.

        Args:
            **filters: What it shows at first: those of `SessionBrowser.filters` (`text`, `source`, `agent_name`,
                `model`, `directory`, `since`, `until`, `has_errors`), `session_id` to open one, and `height_px`.

        Raises:
            FrameError: There is no such filter or session, or a value does not fit.
            HistoryFileError: A history cannot be read.
        """
        from sessionlab.browser import SessionBrowser

        return SessionBrowser(self, **filters)

    # How it is done

    def _open(self) -> None:
        self._views = {}
        self._engine = engine = Engine()
        try:
            with ctrl_c():
                self._histories = Histories(engine, self._paths)
        except BaseException:
            engine.close()
            self._engine = None
            raise

    def _refreshed(self, kinds: Collection[Kind] = (), *, need: Need = "facts") -> tuple[Engine, list[Copy]]:
        """Bring every history up to date, unless a snapshot is held, and return them.

        Args:
            kinds: The texts that will be asked for.
            need: What else will be asked for.
        """
        if self._is_forked:
            self._is_forked, self._snapshots = False, 0
            self._open()
        if self._engine is None or self._histories is None:
            raise SessionLabError("The lab is closed. sessionlab.open() makes another.")
        if not self._snapshots:
            self._histories.refresh(kinds, need=need)
        return self._engine, self._histories.copies

    def _load(self, copies: Sequence[Copy], kinds: Collection[Kind], *, costs: bool) -> None:
        with self._no_change(copies):
            for copy in copies:
                for kind in kinds:
                    copy.load_texts(kind, is_held=self._snapshots > 0)
                if costs:
                    copy.price()

    @contextlib.contextmanager
    def _no_change(self, copies: Sequence[Copy]) -> Iterator[None]:
        """Let `refresh` know that what is loaded inside is no change of the histories."""
        is_known = _state_of(copies) == self._state
        yield
        if is_known:
            self._state = _state_of(copies)

    def _make_views(self, engine: Engine, copies: Sequence[Copy], *, with_texts: bool) -> None:
        """Let users' SQL see the frames of all histories by their names."""
        state = _state_of(copies)
        if self._views.get(with_texts) != state:
            connection = engine.full if with_texts else engine.narrow
            queries.make_views(connection, copies, FRAMES, with_texts=with_texts)
            self._views[with_texts] = state

    def _overview(self) -> pa.Table:
        engine, copies = self._refreshed()
        return overview_of(engine, copies, self._unread())

    def _unread(self) -> list[Mapping[str, Any]]:
        histories = self._histories
        return [] if histories is None else [*histories.problems, *(p for c in histories.copies for p in c.problems)]

    def _all_problems(self) -> list[Mapping[str, Any]]:
        histories = self._histories
        return [] if histories is None else [*self._unread(), *unpriced_problems(histories.copies)]

    def _after_fork_in_child(self) -> None:
        """The threads of DuckDB are gone, and one of this process may have held the lock: begin anew when asked."""
        self._lock = threading.RLock()
        self._is_forked = self._engine is not None
        self._histories = None


def _warn_without_time(frame: Frame, missing: int) -> None:
    warn(f"{missing} rows of {frame.name!r} have no time ({frame.time}), so since and until leave them out.")


def _state_of(copies: Sequence[Copy]) -> list[tuple[str, int]]:
    return [(copy.schema, copy.version) for copy in copies]


_living: weakref.WeakSet[Lab] = weakref.WeakSet()


def _frame_called(name: Any) -> Frame:
    frame = FRAMES.get(name) if isinstance(name, str) else None
    if frame is None:
        looks_like_path = isinstance(name, os.PathLike) or (
            isinstance(name, str) and (os.sep in name or "/" in name or name.endswith(SUFFIXES))
        )
        hint = (
            f" A path comes after the frame's name: sessionlab.frame('turns', {os.fspath(name)!r})."
            if looks_like_path
            else ""
        )
        close = difflib.get_close_matches(name.lower(), FRAMES, n=1) if isinstance(name, str) else []
        hint = hint or (f" Did you mean {close[0]!r}?" if close else "")
        raise FrameError(f"There is no frame {name!r}; there are {', '.join(map(repr, FRAMES))}.{hint}")
    return frame


_labs: dict[tuple[str, ...], Lab] = {}
_labs_lock = threading.Lock()


def open(*paths: Path) -> Lab:
    """Open histories as one: files or folders, of one tool or several. Without paths: every one on this machine.

    Raises:
        HistoryFileError: A path that was named is not there, is empty, cannot be read or is of no known tool.

    Example:
        >>> import tempfile
        >>> from sessionlab import Recorder
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/history.db"
        ...     with Recorder(path) as recorder, recorder.session("first") as session:
        ...         message = session.user("Why does CI fail?")
        ...     with open(path) as lab:
        ...         lab.frame("messages")["content"].to_list()
        ['Why does CI fail?']
    """
    return Lab(*paths)


def frame(
    name: str = "turns", /, *paths: Path, columns: Sequence[str] | str | None = None, to: To = "pandas", **filters: Any
) -> Any:
    """Return a frame of some histories: `sessionlab.open(*paths).frame(name, …)`, with the opened lab kept.

    The arguments are those of `Lab.frame`, and so are the errors.
    """
    _frame_called(name)
    key = tuple(absolute(path) for path in paths)
    with _labs_lock:
        lab = _labs.get(key)
        if lab is None:
            lab = _labs[key] = Lab(*paths)
    to_any: Any = to
    return lab.frame(name, columns=columns, to=to_any, **filters)


def _after_fork_in_child() -> None:
    global _labs_lock
    _labs_lock = threading.Lock()
    for lab in list(_living):
        lab._after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
