"""Search in the texts of all histories: where a text or pattern stands, with a snippet around its first hit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sessionlab.errors import FrameError, warn
from sessionlab.lab.engine import Engine, script, show_as
from sessionlab.lab.filters import Query, query_for
from sessionlab.lab.frames import FRAMES, Column, Frame, schema_of
from sessionlab.lab.rows import newest, run
from sessionlab.model import storable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sessionlab.lab.copying import Copy
    from sessionlab.lab.incoming import Kind

PLACES = Frame(
    name="search",
    grain="message content, reasoning, tool call's arguments or tool call's result with a hit",
    key=("source", "session_id", "place", "message_id", "tool_call_index"),
    time="created_at",
    leading=("session_name", "created_at", "role", "tool_name", "place"),
    columns=(
        Column("source", "text", "the tool whose history it is"),
        Column("session_id", "text", "the session"),
        Column("session_name", "text", "what the session is called"),
        Column("place", "text", "`content`, `reasoning`, `arguments` or `result`"),
        Column("message_id", "text", "the message; for arguments the one that made the call"),
        Column("message_index", "integer", "its place in the session, from 0"),
        Column("turn_id", "text", "the turn it belongs to; joins with `turns`"),
        Column("tool_call_id", "text", "of arguments and results: the tool's own id, which may repeat"),
        Column("tool_call_index", "integer", "of arguments and results: the call's place in the session, from 0"),
        Column("tool_name", "text", "of arguments and results: the tool"),
        Column("role", "text", "`system`, `user`, `assistant` or `tool`"),
        Column("created_at", "time", "when it was recorded; for arguments, when the call was made"),
        Column("origin", "text", "the file it was read from"),
    ),
)
"""What is known of a hit without its text; by these columns hits can be filtered."""

COLUMNS = (
    *PLACES.columns,
    Column("hit_count", "integer", "how often it is there, without overlaps", "hits"),
    Column("snippet", "text", "on one line, the text around the first hit, which is marked: «hit»; … where it was cut"),
)

# The texts that are searched: the name of the column, and whose it is.
_TEXTS: Mapping[str, Kind] = {"reasoning": "message", "content": "message", "arguments": "tool_call"}
_PIECE = 50_000
_SHOWN = 80
_MOST = 4 * _SHOWN  # bytes of so many characters
# A mark stands for nothing but the hit, so those of the text itself become single ones.
_OTHER_MARKS = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
_LEAST_AROUND = 20
# What ends a line, moves a cursor or turns the reading direction becomes a blank.
_BLANK = re.compile("[\\s\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]+")


@dataclass(frozen=True, slots=True)
class Search:
    """What is sought: a pattern in RE2's words, and where."""

    pattern: str
    query: Query

    @classmethod
    def of(cls, text: Any, regex: bool, filters: Mapping[str, Any]) -> Search:
        """Return the search for a text or, with `regex`, for a pattern.

        Raises:
            FrameError: The text is empty, the pattern is none, or a filter does not fit.
        """
        if not isinstance(text, str) or not text:
            raise FrameError(f"search({text!r}): expected a text that is not empty.")
        # A hit's model is that of its turn, as a message's is.
        of_turn = query_for(FRAMES["messages"], {"model": filters.get("model")})
        query = query_for(PLACES, {name: value for name, value in filters.items() if name != "model"})
        query.conditions += of_turn.conditions
        query.values += of_turn.values
        pattern = storable(text) if regex else re.escape(storable(text))
        try:
            finds_nothing = _matches(pa.array([""], pa.large_string()), pattern)[0].as_py()
        except pa.ArrowInvalid as error:
            reason = str(error).removeprefix("Invalid regular expression: ")
            raise FrameError(
                f"search({text!r}, regex={regex}): RE2, which has no look-around and no back-references, "
                f"understands no such pattern: {reason}. Mend it, or search for a plain text."
            ) from error
        if finds_nothing:
            raise FrameError(
                f"search({text!r}, regex=True): the pattern fits an empty text, so it would be found everywhere. "
                "Let it ask for one character at least."
            )
        return cls(pattern, query)


def search(engine: Engine, copies: Sequence[Copy], sought: Search) -> pa.Table:
    """Return the hits in the texts of some histories, which must be there.

    Raises:
        FrameError: DuckDB refused a value, or is out of memory.
    """
    parts: list[pa.Table] = []
    timeless = 0
    for number, copy in enumerate(copies):
        found, without_time = _places(engine, copy, sought)
        timeless += without_time
        parts.append(found.append_column("_copy", pa.array(np.full(found.num_rows, number))))
    if timeless:
        warn(f"{timeless} hits have no time (created_at), so since and until leave them out.")
    if not parts:
        return schema_of(COLUMNS).empty_table()
    places = pa.concat_tables(parts)
    if sought.query.limit is not None:
        places = newest(places.append_column("_time", places.column("created_at")), sought.query.limit)
    counts, snippets = _read(copies, places, sought.pattern)
    places = places.append_column("hit_count", counts).append_column("snippet", snippets)
    schema = schema_of(COLUMNS)
    return places.select(schema.names).cast(schema)


def sessions_with(engine: Engine, copies: Sequence[Copy], sought: Search) -> pa.Table:
    """Return source and session_id of the sessions that have a hit in a text, whatever else the search asks for."""
    parts = [pa.table({name: pa.array([], pa.large_string()) for name in ("source", "session_id")})]
    for copy in copies:
        show_as(engine.narrow, "hits", _all_hits(copy, sought))
        try:
            found = run(engine, script("search")["sessions"].replace("facts.", f"{copy.schema}."))
        finally:
            engine.narrow.unregister("hits")
        parts.append(found.cast(parts[0].schema))
    return pa.concat_tables(parts)


def _places(engine: Engine, copy: Copy, sought: Search) -> tuple[pa.Table, int]:
    """Return where the hits of one history are, and how many more have no time that could be tested."""
    query = sought.query
    hits = _all_hits(copy, sought)
    conditions = [condition.replace("facts.", f"{copy.schema}.") for condition in query.conditions]
    select = f"select * from ({script('search')[''].replace('facts.', f'{copy.schema}.')})"
    show_as(engine.narrow, "hits", hits)
    try:
        where = " and ".join(["true", *conditions, *query.times])
        found = run(engine, f"{select} where {where} order by _after, _rank, _key", [*query.values, *query.time_values])
        if not query.times:
            return found, 0
        where = " and ".join(["created_at is null", *conditions])
        return found, run(engine, f"{select} where {where}", query.values).num_rows
    finally:
        engine.narrow.unregister("hits")


def _all_hits(copy: Copy, sought: Search) -> pa.Table:
    return pa.concat_tables([_hits(copy, name, kind, sought.pattern) for name, kind in _TEXTS.items()])


def _hits(copy: Copy, name: str, kind: Kind, pattern: str) -> pa.Table:
    """Return the keys of one column's texts that have a hit."""
    table = copy.texts[kind].table
    keys: Any = pa.chunked_array([], pa.int64())
    if table is not None:
        column = table.column(name)
        starts = range(0, table.num_rows, _PIECE)
        with ThreadPoolExecutor(pa.cpu_count()) as pool:  # Arrow itself works on one core here, and lets others run
            found = list(pool.map(lambda start: _matches(column.slice(start, _PIECE), pattern), starts))
        mask = pa.chunked_array([chunk for piece in found for chunk in piece.chunks], pa.bool_())
        keys = table.column(0).filter(mask)
    return pa.table({"_key": keys, "_text": pa.repeat(pa.scalar(name), len(keys))})


def _matches(texts: Any, pattern: str) -> Any:
    if texts.null_count == len(texts):
        return pa.chunked_array([pa.nulls(len(texts), pa.bool_())])
    return pc.match_substring_regex(texts, pattern, ignore_case=True)


def _read(copies: Sequence[Copy], places: pa.Table, pattern: str) -> tuple[pa.Array, pa.Array]:
    """Return how often what is sought stands at each place, and a snippet of it."""
    counts = np.zeros(places.num_rows, dtype=np.int64)
    snippets = np.empty(places.num_rows, dtype=object)
    of_copy, keys = places.column("_copy").to_numpy(), places.column("_key").to_numpy()
    of_text = places.column("_text")
    for name, kind in _TEXTS.items():
        is_text = pc.equal(of_text, name).to_numpy(zero_copy_only=False)
        for number, copy in enumerate(copies):
            rows: NDArray[np.int64] = np.flatnonzero(is_text & (of_copy == number))
            for piece in (rows[start : start + _PIECE] for start in range(0, len(rows), _PIECE)):
                texts = copy.texts[kind].pick(name, keys[piece], None).combine_chunks()
                counts[piece] = pc.count_substring_regex(texts, pattern, ignore_case=True).to_numpy()
                snippets[piece] = list(_snippets(texts, pattern))
    return pa.array(counts), pa.array(snippets, pa.large_string())


def _snippets(texts: pa.LargeStringArray, pattern: str) -> Iterator[str]:
    """Yield a snippet of each text; the pattern has a hit in every one.

    RE2 alone says where the hit is. Splitting there once gives what stands before and after it.
    """
    split = pc.split_pattern_regex(texts, f"(?i){pattern}", max_splits=1)
    sides = pc.binary_length(split.flatten()).to_numpy()
    lengths = pc.binary_length(texts).to_numpy()
    starts = np.frombuffer(texts.buffers()[1], dtype=np.int64)[texts.offset :]
    data = memoryview(texts.buffers()[2])
    starts = starts[: len(texts)]
    ends = starts + lengths
    places = (starts, starts + sides[0::2], ends - sides[1::2], ends)
    for start, hit, hit_end, end in zip(*(place.tolist() for place in places), strict=True):
        yield _snippet(data, start, hit, hit_end, end)


def _snippet(data: memoryview, start: int, hit: int, hit_end: int, end: int) -> str:
    """Return the characters around a hit, all given in bytes of UTF-8; no more are decoded than may be shown."""
    middle = _decoded(data[hit : min(hit_end, hit + _MOST)])
    if len(middle) > _SHOWN or hit_end - hit > _MOST:
        middle = middle[: _SHOWN - 1] + "…"
    before, after = _decoded(data[max(start, hit - _MOST) : hit]), _decoded(data[hit_end : min(end, hit_end + _MOST)])
    left, right = _one_line(before[-_SHOWN:]).lstrip(), _one_line(after[:_SHOWN]).rstrip()
    room = max(_SHOWN - len(middle), _LEAST_AROUND)
    of_left, of_right = max(room // 2, room - len(right)), max(room // 2, room - len(left))
    is_cut_left = len(left) > of_left or len(before) > _SHOWN or hit - start > _MOST
    is_cut_right = len(right) > of_right or len(after) > _SHOWN or end - hit_end > _MOST
    around = f"{left[-of_left:]}«{_one_line(middle)}»{right[:of_right]}"
    return f"{'…' * is_cut_left}{around}{'…' * is_cut_right}"


def _decoded(data: memoryview) -> str:
    return str(data, "utf-8", "ignore")  # a character at the edge may be cut in two


def _one_line(text: str) -> str:
    if not text.isprintable() or "  " in text:
        text = _BLANK.sub(" ", text)
    return text if text.isascii() else text.replace("«", _OTHER_MARKS[0]).replace("»", _OTHER_MARKS[1])
