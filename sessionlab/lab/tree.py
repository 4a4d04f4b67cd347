"""The copy of a history that is many files of JSON records, of which only what is new is read again."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sessionlab.errors import HistoryFileError
from sessionlab.lab.configs import name_configs
from sessionlab.lab.copying import Copy, Need, problem_row
from sessionlab.lab.engine import literal, refuse_interrupt
from sessionlab.lab.files import Piece, RecordsFile, piece_of
from sessionlab.lab.incoming import INCOMING, PROBLEM, TEXTS, Kind
from sessionlab.lab.statements import Statements
from sessionlab.lab.texts import Texts, in_order
from sessionlab.model import storable
from sessionlab.sources import Problem

if TYPE_CHECKING:
    from sessionlab.lab.engine import Engine
    from sessionlab.sources import TreeSource

Level = Literal["", "usage", "facts"]

# A key is the file's, the line's and a number within the line, so that keys rise as records were written; five of
# them, one for each type of tokens, still are a whole number of 64 bits.
_PER_LINE = 1 << 16
_PER_FILE = 1 << 40
# Of how many bytes of files the texts are read at a time: so much is held twice.
_BATCH_BYTES = 128 << 20
# How many files are read at a time: while they are, each takes room, however small it is.
_FILES = 400
# How long a line may be.
_ROOMS = (1 << 24, 1 << 27, 1 << 31)
_FOUND = [("file_key", "bigint"), *PROBLEM]


class TreeCopy(Copy):
    """The copy of the files of a `TreeSource`.

    Attributes:
        files: Those that were read.
        claimed: What an archive that is open beside them holds: claim, session_id.
    """

    def __init__(self, engine: Engine, source: TreeSource, schema: str) -> None:
        self.source: TreeSource = source
        self.files: dict[str, RecordsFile] = {}
        self.claimed: pa.Table | None = None
        self._numbers = count()
        self._room = _ROOMS[0]
        self._level: Level = ""
        self._made_of: object = None
        self._unreadable: dict[str, str] = {}
        self._found: Sequence[Problem] = ()
        self._pieces_of_text: dict[Kind, dict[int, tuple[int, pa.Table]]] = {kind: {} for kind in TEXTS}
        self._file_keys: dict[int, int] = {}
        self._lines = f"{schema}_line"
        super().__init__(engine, "", schema)

    @property
    def roots(self) -> list[str]:
        """The folders or files that were named to find these files, in the order in which they were."""
        return list(dict.fromkeys(file.root for file in self.files.values()))

    def places(self) -> list[tuple[str, list[str] | None]]:
        """Return each folder or file that was named, with the files in it."""
        return [(root, [file.path for file in self.files.values() if file.root == root]) for root in self.roots]

    @property
    def problems(self) -> list[Mapping[str, Any]]:
        """What could not be read, so far as it was asked for."""
        of_files = [replace(p, origin=file.path) for file in self.files.values() for p in file.all_problems]
        unreadable = [problem_row(None, path, reason) for path, reason in self._unreadable.items()]
        return [*self._told([*of_files, *self._found]), *unreadable, *super().problems]

    def begin(self) -> None:
        """Nothing is read before a frame is asked for."""

    def look_at(self, files: Mapping[str, str]) -> None:
        """Take note of which files there are now: their paths, and the folder or file that was named to find each.

        What is gone is forgotten at the next refresh.
        """
        gone = [path for path in self.files if path not in files]
        for path in gone:
            self._drop_lines([self.files.pop(path)])
            self._made_of = None
        for path, root in files.items():
            if path in self.files:
                self.files[path].root = root
            else:
                self.files[path] = RecordsFile(path, root, next(self._numbers))
        if list(self.files) != list(files):
            self.files = {path: self.files[path] for path in files}
        self.path = next(iter(self.files.values())).root if self.files else ""
        self._unreadable = {path: reason for path, reason in self._unreadable.items() if path in files}

    def drop(self) -> None:
        """Free the facts."""
        super().drop()
        self._engine.reader.execute(f"drop table if exists {self._lines}")

    def refresh(self, kinds: Collection[Kind] = (), *, need: Need = "facts") -> None:  # noqa: ARG002 - texts wait
        """Read what the files hold more since the last time.

        Args:
            kinds: The texts that will be asked for; they are read when they are.
            need: What else will be asked for.

        Raises:
            HistoryFileError: A file that was named cannot be read.
        """
        has_usage = "usage_turn" in self.source.statements
        level: Level = "usage" if need == "usage" and has_usage and self._level != "facts" else "facts"
        try:
            if self._level != level:
                self._start_over(level)
            self._read_on()
            made_of = (level, self.hidden, id(self.claimed), tuple((f.number, f.generation) for f in self._ordered()))
            if self._made_of != made_of:
                self._make_facts()
                self._made_of = made_of
        except (duckdb.Error, pa.ArrowException) as error:
            self._level = ""
            refuse_interrupt(error)
            raise HistoryFileError(
                f"The history of {self.source.name} in {self.path!r} cannot be read: {str(error).splitlines()[0]}"
            ) from error
        except BaseException:
            self._level = ""  # what was cut off in the middle begins anew
            raise

    def kinds_to_hold(self) -> list[Kind]:
        """Return of what kinds texts a snapshot needs: those that were asked for before."""
        return [kind for kind, held in self._pieces_of_text.items() if held]

    def load_texts(self, kind: Kind, *, is_held: bool = False) -> None:
        """Read the texts of the messages or tool calls that the facts are of.

        Raises:
            HistoryFileError: A file is gone or was replaced since the facts were read, and these are held.
        """
        if self.texts[kind].until >= 0:
            return
        if self._level != "facts":
            self.refresh()
        held = self._pieces_of_text[kind]
        missing = [f for f in self._ordered() if f.line_count and held.get(f.number, (-1,))[0] != f.generation]
        try:
            if missing:
                with self._statements() as statements:
                    self._show_lines(statements)
                    statements.run("prepare")
                    for batch in _batches(missing):
                        self._read_texts(statements, kind, batch)
        except (OSError, duckdb.Error, pa.ArrowException) as error:
            refuse_interrupt(error)
            raise HistoryFileError(
                f"The texts of {self.source.name} in {self.path!r} cannot be read: {str(error).splitlines()[0]} "
                + ("Take another snapshot." if is_held else "Try again.")
            ) from error
        self._join_texts(kind)
        self.version += 1

    # Records

    def _ordered(self) -> list[RecordsFile]:
        return sorted(self.files.values(), key=lambda file: file.number)

    def _start_over(self, level: Level) -> None:
        """Forget all records, and keep others of them from now on."""
        run = self._engine.reader.execute
        run(f"drop table if exists {self._lines}")
        columns, kept = self._columns_of(level)
        nothing = ", ".join(f"null::{kind} as {name}" for name, kind in columns.items())
        groups = " group by all" if self._is_grouped(level) else ""
        selected = _select("0 as file_no, 0::bigint as line_no", kept, f"(select {nothing} where false)")
        run(f"create table {self._lines} as {selected}{groups}")
        for file in self.files.values():
            file.forget()
        self._unreadable = {}
        self._made_of = None
        self._level = level

    def _columns_of(self, level: Level) -> tuple[Mapping[str, str], str]:
        """Return what is read of a record, and what is kept of it."""
        if level == "usage":
            return self.source.usage_columns or self.source.columns, self.source.statements["usage_line"]
        return self.source.columns, self.source.statements["line"]

    def _is_grouped(self, level: Level) -> bool:
        return level == "usage" and self.source.groups_usage

    def _read_on(self) -> None:
        """Read what is new in all files."""
        new: list[RecordsFile] = []
        again: list[RecordsFile] = []
        for file in self.files.values():
            if file.stamp is None:
                new.append(file)
            elif file.has_changed():
                new.append(file)
                if self.source.converts(file.path) or not file.has_grown_only():
                    again.append(file)
        if again:
            self._drop_lines(again)
            for file in again:
                file.forget()
        while new:
            refused = [file for group in _groups(new) for file in self._read(group)]
            self._drop_lines(refused)
            for file in refused:
                mends = file.needs_mending
                file.forget()
                file.needs_mending = mends
            new = refused

    def _drop_lines(self, files: Sequence[RecordsFile]) -> None:
        if files and self._level:
            numbers = ", ".join(str(file.number) for file in files)
            self._engine.reader.execute(f"delete from {self._lines} where file_no in ({numbers})")

    def _read(self, files: Sequence[RecordsFile]) -> list[RecordsFile]:
        """Read the rest of some files; return those that must be read again, since they changed or must be mended."""
        columns, kept = self._columns_of(self._level)
        refused = " and ".join(f"{name} is null" for name in columns)
        is_grouped = self._is_grouped(self._level)
        pieces = self._pieces(files)
        try:
            if not pieces:
                return []
            try:
                if is_grouped:
                    told = f"_piece, bool_or({refused}) as _is_refused, count(*) as _count"
                else:
                    told = f"_piece, {refused} as _is_refused, 1 as _count"
                self._scan(pieces, columns, told, kept, is_grouped=is_grouped)
            except duckdb.IOException:
                if all(piece.is_sound() for piece in pieces):
                    raise
                return [piece.file for piece in pieces]  # one was taken away meanwhile
            except duckdb.InvalidInputException as error:
                # Some lines DuckDB refuses as a file, such as the halves of one record.
                whole = [piece for piece in pieces if not piece.file.needs_mending]
                named = [piece for piece in whole if piece.path in str(error)] or whole
                if not named:
                    raise
                for piece in named:
                    piece.file.needs_mending = True
                return [piece.file for piece in pieces]
            found = self._engine.reader.execute(
                "select _piece, sum(_count)::bigint, bool_or(_is_refused) from scan group by all"
            ).fetchall()
            counts = {piece: (records, is_refused) for piece, records, is_refused in found}
            again = []
            for place, piece in enumerate(pieces):
                records, is_refused = counts.get(place, (0, False))
                must_mend = is_refused and not piece.file.needs_mending and not self.source.converts(piece.file.path)
                if must_mend:
                    piece.file.needs_mending = True
                if must_mend or not piece.is_sound():
                    again.append(piece.file)
                else:
                    piece.note(records)
            numbers = ", ".join(f"({place}, {piece.file.number}, {piece.before})" for place, piece in enumerate(pieces))
            # Groups have no order of their own.
            order = 'row_number() over (partition by _piece order by "at", rowid)' if is_grouped else "rowid"
            self._engine.reader.execute(
                f"""insert into {self._lines}
                select p._number, p._before + s._place - f._first + 1, s.* exclude (_piece, _is_refused, _count, _place)
                from (select *, {order} as _place from scan) s
                join (
                    select _piece, {"1" if is_grouped else "min(rowid)"} as _first from scan group by _piece
                ) f using (_piece)
                join (values {numbers}) p(_piece, _number, _before) using (_piece);
                drop table scan"""
            )
            return again
        finally:
            for piece in pieces:
                piece.remove()

    def _pieces(self, files: Sequence[RecordsFile]) -> list[Piece]:
        """Return what is to be read of some files; one that cannot be is a problem, or an error where it was named."""
        pieces = []
        for file in files:
            self._unreadable.pop(file.path, None)
            try:
                pieces.append(piece_of(file, self.source, self._engine.folder))
            except OSError as error:
                reason = f"{file.path!r} cannot be read: {error.strerror}. Check its permissions."
                if file.root == file.path:
                    raise HistoryFileError(reason) from error
                self._unreadable[file.path] = reason
        return pieces

    def _scan(
        self,
        pieces: Sequence[Piece],
        columns: Mapping[str, str],
        told: str,
        kept: str,
        *,
        is_grouped: bool = False,
    ) -> None:
        """Read pieces into the table `scan`: all records in their order, or groups of them."""
        types = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items())
        largest = max(piece.stamp[1] for piece in pieces)
        # An error would end the transaction in which texts are read; by then the facts have shown what room is needed.
        for room in [room for room in _ROOMS if room >= self._room]:
            records = f"""(
                select file_index::integer as _piece, *
                from read_json($1, format = 'newline_delimited', columns = {{{types}}}, ignore_errors = true,
                    hive_partitioning = false, compression = 'uncompressed',
                    maximum_object_size = {min(room, max(largest, 1 << 24))})
            )"""
            try:
                self._engine.reader.execute(
                    f"""create or replace temp table scan as
                    {_select(told, kept, records)}
                    {"group by all" if is_grouped else ""}""",
                    [[piece.path for piece in pieces]],
                )
            except duckdb.Error as error:
                refuse_interrupt(error)
                if "maximum_object_size" not in str(error) or room >= largest:
                    raise
            else:
                self._room = room
                return

    # Facts

    def _statements(self) -> Statements:
        return Statements(self._engine.reader, self.source, self.path)

    def _show_lines(self, statements: Statements) -> None:
        """Let the statements see the records, and the files in the order of their first ones."""
        run = self._engine.reader.execute
        last = "last_at" if self._is_grouped(self._level) else '"at"'
        claimed = self.claimed if self.claimed is not None else pa.table({"claim": [], "session_id": []}, _CLAIMED)
        files = self._ordered()
        given = {
            "number": pa.array([file.number for file in files], pa.int32()),
            "path": pa.array([storable(file.path) for file in files], pa.large_string()),
            "root": pa.array([storable(file.root) for file in files], pa.large_string()),
        }
        statements.add({"given_file": pa.table(given), "claimed": claimed})
        run(
            f"""create table raw.file as
            select
                row_number() over (order by started_at nulls last, path) - 1 as file_key,
                number,
                path,
                root,
                started_at,
                ended_at
            from raw.given_file
            left join (
                select file_no as number, min("at") as started_at, max({last}) as ended_at
                from {self._lines}
                group by file_no
            ) using (number)"""
        )
        run(
            f"""create view raw.line as
            select file_key * {_PER_FILE} + line_no * {_PER_LINE} as line_key, file_key, l.* exclude (file_no)
            from {self._lines} l
            join (select file_key, number as file_no from raw.file) using (file_no)"""
        )

    def _make_facts(self) -> None:
        """Make all facts anew from the records that are held."""
        is_usage = self._level == "usage"
        with self._statements() as statements:
            self._show_lines(statements)
            statements.run("prepare")
            statements.run("prepare_usage" if is_usage else "prepare_facts")
            tables = {}
            for table, columns in INCOMING.items():
                section = f"usage_{table}" if is_usage else table
                tables[table] = in_order(statements.fetch(section, columns), columns[0][0])
            files = self._engine.reader.execute("select number, file_key, path from raw.file").fetchall()
            paths = {file_key: path for _, file_key, path in files}
            self._found = [] if is_usage else self._problems(statements, paths)
        name_configs(tables)
        tables["message"] = _with_ids(tables["message"])
        self._file_keys = {number: file_key for number, file_key, _ in files}
        self._replace(tables)

    def _problems(self, statements: Statements, paths: Mapping[int, str]) -> list[Problem]:
        found = statements.fetch("problem", _FOUND).to_pylist()
        return [
            Problem(record=row["record"], reason=row["reason"], line=row["line"], origin=paths.get(row["file_key"]))
            for row in found
        ]

    # Texts

    def _read_texts(self, statements: Statements, kind: Kind, files: Sequence[RecordsFile]) -> None:
        """Read the texts of some files, as far as their facts were read."""
        reader = self._engine.reader
        pieces: list[Piece] = []
        try:
            for file in files:
                whole = RecordsFile(file.path, file.root, file.number, needs_mending=file.needs_mending)
                if not self.source.converts(file.path) and not file.has_grown_only():
                    raise HistoryFileError(f"{file.path!r} was replaced while it was read.")
                until = None if self.source.converts(file.path) else file.offset
                pieces.append(piece_of(whole, self.source, self._engine.folder, until=until))
            self._scan(pieces, self.source.text_columns, "_piece", self.source.statements["text_line"])
            numbers = ", ".join(
                f"({place}, {self._file_keys[file.number]}, {file.line_count})" for place, file in enumerate(files)
            )
            reader.execute(
                f"""create or replace table raw.text as
                select file_key * {_PER_FILE} + line_no * {_PER_LINE} as line_key, * exclude (_last)
                from (
                    select p.file_key, s._place - f._first + 1 as line_no, p._last, s.* exclude (_piece, _place)
                    from (select *, rowid as _place from scan) s
                    join (select _piece, min(rowid) as _first from scan group by _piece) f using (_piece)
                    join (values {numbers}) p(_piece, file_key, _last) using (_piece)
                )
                where line_no <= _last;
                drop table scan"""
            )
            rows = in_order(statements.fetch(f"{kind}_text", TEXTS[kind]), TEXTS[kind][0][0])
        finally:
            for piece in pieces:
                piece.remove()
        keys = rows.column(0).to_numpy()
        for file in files:
            base = self._file_keys[file.number] * _PER_FILE
            start, end = np.searchsorted(keys, [base, base + _PER_FILE])
            piece = rows.slice(start, end - start)
            relative = pa.array(keys[start:end] - base)
            self._pieces_of_text[kind][file.number] = file.generation, piece.set_column(0, rows.schema[0], relative)

    def _join_texts(self, kind: Kind) -> None:
        """Put the texts of all files behind each other, as the facts are."""
        key = TEXTS[kind][0][0]
        known = self._engine.narrow.execute(f"select {key} from {self.schema}.{kind} order by {key}").fetchnumpy()[key]
        held = self._pieces_of_text[kind]
        parts = []
        for number, file_key in sorted(self._file_keys.items(), key=lambda item: item[1]):
            if number not in held:
                continue
            rows = held[number][1]
            keys = rows.column(0).to_numpy() + file_key * _PER_FILE
            rows = rows.set_column(0, rows.schema[0], pa.array(keys))
            has_facts = np.isin(keys, known, assume_unique=True)
            parts.append(rows if bool(has_facts.all()) else rows.filter(pa.array(has_facts)))
        texts = Texts(self.texts[kind].columns)
        if parts:
            texts.append(pa.concat_tables(parts))
        texts.until = max(0, self._until)
        self.texts[kind] = texts
        for number in set(held) - set(self._file_keys):
            del held[number]


_THEN = re.compile(r"^-- then\n", re.MULTILINE)


def _select(told: str, kept: str, records: str) -> str:
    """Return the SELECT of what is kept of records, after what is told of them.

    Each step is a SELECT of its own: what is named in the same one DuckDB works out again for each mention.
    """
    *steps, last = _THEN.split(kept)
    for step in steps:
        records = f"(select *, {step}\nfrom {records})"
    return f"select {told}, {last}\nfrom {records} "


_CLAIMED = pa.schema([("claim", pa.large_string()), ("session_id", pa.large_string())])


def _with_ids(rows: pa.Table) -> pa.Table:
    """Return messages with ids for those to which the tool gave none: their lines, which other files do not change."""
    ids = rows.column("given_id")
    if ids.null_count == 0:
        return rows
    keys, sessions = rows.column("message_key").to_numpy(), rows.column("session_key").to_numpy()
    lacking = ids.is_null().to_numpy()
    pairs = np.unique(np.stack([sessions[lacking], keys[lacking] // _PER_FILE]), axis=1)
    of_files, counts = np.unique(pairs[0], return_counts=True)
    lacking &= ~np.isin(sessions, of_files[counts > 1])  # lines of several files may have the same numbers
    lines, parts = keys % _PER_FILE // _PER_LINE, keys % _PER_LINE
    whole = pc.binary_join_element_wise("line", pc.cast(pa.array(lines), pa.string()), " ")
    part = pc.binary_join_element_wise(whole, pc.cast(pa.array(parts), pa.string()), ".")
    made = pc.if_else(pa.array(parts > 0), part, whole).cast(ids.type)
    place = rows.schema.get_field_index("given_id")
    return rows.set_column(place, "given_id", pc.if_else(pa.array(lacking), made, ids))


def _groups(files: Sequence[RecordsFile]) -> Iterator[Sequence[RecordsFile]]:
    for start in range(0, len(files), _FILES):
        yield files[start : start + _FILES]


def _batches(files: Sequence[RecordsFile]) -> Iterator[list[RecordsFile]]:
    """Return files in groups, each of about so many bytes as are read at a time."""
    batch: list[RecordsFile] = []
    size = 0
    for file in files:
        batch.append(file)
        size += file.stamp[1] if file.stamp is not None else 0
        if size >= _BATCH_BYTES or len(batch) >= _FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
