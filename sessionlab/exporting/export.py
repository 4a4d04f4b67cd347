"""Export histories to a folder: frames for other programs, transcripts for people."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from sessionlab import settings
from sessionlab.errors import ExportError, FrameError
from sessionlab.exporting import documents, tables
from sessionlab.exporting.destination import Destination
from sessionlab.exporting.telling import counted
from sessionlab.lab.engine import ctrl_c
from sessionlab.lab.filters import GENERAL
from sessionlab.lab.frames import FRAMES
from sessionlab.lab.histories import Path
from sessionlab.lab.lab import Lab
from sessionlab.lab.redacting import Redaction

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["parquet", "jsonl", "markdown", "html"]
FORMATS: tuple[Format, ...] = get_args(Format)

Progress = Callable[[str, int, int], None]
"""Called with what is written, how many of its rows or sessions are done, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExportReport:
    """What an export wrote.

    Attributes:
        folder: Where to, as an absolute path.
        format: `parquet`, `jsonl`, `markdown` or `html`.
        files: How many files.
        size_bytes: How large they are together.
        rows: How many rows of each frame; of transcripts how many `sessions`.
        replaced: How many different secrets of each kind were replaced; None where nothing was to be.
    """

    folder: str
    format: Format
    files: int
    size_bytes: int
    rows: Mapping[str, int]
    replaced: Mapping[str, int] | None = None

    def __repr__(self) -> str:
        return f"<ExportReport: {self.told()}>"

    def told(self) -> str:
        """Return it as one line for people."""
        rows = ", ".join(_rows(count, name) for name, count in self.rows.items())
        text = f"{self.folder}: {counted(self.files, 'file')}, {_size(self.size_bytes)}, {rows}"
        if self.replaced is None:
            return text
        found = [counted(count, _KIND_NAMES.get(kind, kind)) for kind, count in self.replaced.items() if count]
        return f"{text}; replaced: {', '.join(found) or 'nothing, since nothing was found'}"


def export(
    *histories: Path | Lab | Redaction,
    into: str | os.PathLike[str],
    format: Format = "parquet",
    by_day: bool = False,
    redact: bool = False,
    force: bool = False,
    on_progress: Progress | None = None,
    **filters: Any,
) -> ExportReport:
    """Write histories to a folder, as frames for other programs or as transcripts for people.

    `parquet` and `jsonl` make one file for each frame, named after it; times in JSON are ISO in UTC. `markdown` and
    `html` make one file for each session in `sessions/`, and an index; times are UTC. An HTML page holds no script and
    loads nothing. What was said is as private as the history, so files are made with mode 0600.

    Everything appears when it is whole: an export that fails or is interrupted leaves nothing under its name.

    Args:
        *histories: Files and folders; none means every history found on this machine. Or one opened lab or redaction.
        into: The folder. It is made if it is not there.
        format: `parquet`, `jsonl`, `markdown` or `html`.
        by_day: For `parquet` and `jsonl`: a folder `day=2026-01-31` for each day in UTC of the frame's time column,
            as Hive names them; rows without a time are in `day=__HIVE_DEFAULT_PARTITION__`. DuckDB and polars read them
            as one; pandas by `read_parquet(folder, partitioning=pyarrow.dataset.partitioning(flavor="hive"))`.
        redact: Replace keys, tokens, passwords, e-mail addresses and home folders, as `Lab.redact` does.
        force: Write over what an export left in the folder, as `.sessionlab-export.json` there lists it with its
            size. Nothing else is written over.
        on_progress: Called with what is written (a frame, or `sessions`), and how many are done and there are.
        **filters: Those that every frame has: `since`, `until`, `session_id`, `source`, `agent_name`, `directory`,
            `model`, `limit`. They choose rows of each frame, each for itself; for transcripts, sessions.

    Raises:
        ExportError: The folder cannot be written, or holds what must stay; or the filters choose nothing.
        FrameError: There is no such format or filter, or a value does not fit.
        HistoryFileError: A history cannot be read.

    Example:
        >>> import os, tempfile
        >>> from sessionlab import Recorder, export
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Recorder(f"{folder}/history.db") as recorder, recorder.session("first") as session:
        ...         turn = session.assistant("Done.")
        ...     report = export(f"{folder}/history.db", into=f"{folder}/out")
        ...     report.rows["turns"], sorted(os.listdir(f"{folder}/out"))[:2]
        (1, ['.sessionlab-export.json', 'messages.parquet'])
    """
    if format not in FORMATS:
        raise FrameError(f"format={format!r}: expected one of {', '.join(map(repr, FORMATS))}.")
    if by_day and format not in tables.WRITERS:
        raise FrameError(
            f"by_day=True goes with 'parquet' and 'jsonl'; {format!r} has one file a session. Leave it out."
        )
    for name in filters:
        if name not in GENERAL:
            close = difflib.get_close_matches(name, GENERAL, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(GENERAL)}."
            raise FrameError(f"An export has no filter {name!r}. {hint}")
    with _opened(histories) as opened, ctrl_c():
        lab = opened.lab if isinstance(opened, Redaction) else opened
        redaction = opened if isinstance(opened, Redaction) else lab.redact() if redact else None
        lab.refresh()
        is_table = format in tables.WRITERS
        _check_that_it_finds_something(lab, filters, list(FRAMES) if is_table else ["sessions"])
        with (
            Destination(
                os.fspath(into),
                entries=tables.entries(format, by_day=by_day) if is_table else documents.entries(format),
                force=force,
                histories=[*(path for _, path in lab.sources), settings.db_path().value],
            ) as destination,
            lab.snapshot(),
        ):
            work = _Work(lab, redaction, destination, on_progress, filters)
            rows = work.frames(format, by_day=by_day) if is_table else work.sessions(format)
        return ExportReport(
            folder=destination.folder,
            format=format,
            files=destination.files,
            size_bytes=destination.size_bytes,
            rows=rows,
            replaced=None if redaction is None else redaction.replaced,
        )


def _check_that_it_finds_something(lab: Lab, filters: Mapping[str, Any], frames: Sequence[str]) -> None:
    """Refuse filters that choose nothing although there are sessions: mostly a name is wrong."""
    if not filters or not lab.frame("sessions", columns=["source"], to="arrow", limit=1).num_rows:
        return
    for name in frames:
        if lab.frame(name, columns=["source"], to="arrow", **filters).num_rows:
            return
    told = ", ".join(f"{name}={value!r}" for name, value in filters.items())
    raise ExportError(f"Nothing matches {told}, so nothing is exported. Leave a filter out, or look at `lab.frame`.")


@contextlib.contextmanager
def _opened(histories: tuple[Path | Lab | Redaction, ...]) -> Iterator[Lab | Redaction]:
    """Open the paths, or take what is open already, which stays open."""
    opened = [history for history in histories if isinstance(history, Lab | Redaction)]
    if not opened:
        with Lab(*(path for path in histories if not isinstance(path, Lab | Redaction))) as lab:
            yield lab
        return
    if len(histories) > 1:
        raise FrameError(
            f"export(…) takes paths, or one lab or redaction; these are {len(histories)} things. Open them as one."
        )
    yield opened[0]


class _Work:
    """One export under way."""

    def __init__(
        self,
        lab: Lab,
        redaction: Redaction | None,
        destination: Destination,
        on_progress: Progress | None,
        filters: Mapping[str, Any],
    ) -> None:
        self._lab = lab
        self._read_from = lab if redaction is None else redaction
        self._destination = destination
        self._on_progress = on_progress or (lambda *_: None)
        self._filters = filters

    def frames(self, form: str, *, by_day: bool) -> dict[str, int]:
        rows: Counter[str] = Counter()
        for frame in FRAMES.values():
            rows[frame.name] = 0
            total = self._lab.frame(frame.name, columns=["source"], to="arrow", **self._filters).num_rows
            pieces: Iterator[pa.Table] = self._read_from.pieces(frame.name, **self._filters)
            for count in tables.write_frame(self._destination, frame, pieces, form, by_day=by_day):
                rows[frame.name] += count
                self._on_progress(frame.name, rows[frame.name], total)
        return dict(rows)

    def sessions(self, form: str) -> dict[str, int]:
        count = 0
        written = documents.write_sessions(self._destination, self._lab, self._read_from, form, self._filters)
        for count, total in written:
            self._on_progress("sessions", count, total)
        return {"sessions": count}


def _rows(count: int, frame: str) -> str:
    """Return how many rows of a frame there are.

    >>> [_rows(1, "sessions"), _rows(2_010, "token_usage"), _rows(2, "tool_calls")]
    ['1 session', '2,010 rows of token_usage', '2 tool calls']
    """
    if not frame.endswith("s"):
        return f"{counted(count, 'row')} of {frame}"
    return counted(count, frame.removesuffix("s").replace("_", " "))


_KIND_NAMES = {"api-key": "API key", "private-key": "private key", "email": "e-mail address", "home": "home folder"}


def _size(size_bytes: int) -> str:
    """Return a size as people say it.

    >>> [_size(n) for n in (812, 12_300, 4_560_000_000)]
    ['812 bytes', '12.3 kB', '4.56 GB']
    """
    if size_bytes < 1_000:
        return f"{size_bytes} bytes"
    for unit, one in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if size_bytes < 1_000 * one or unit == "GB":
            return f"{size_bytes / one:,.3g} {unit}"
    raise AssertionError
