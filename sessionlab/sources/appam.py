"""appam, a framework for agents: a session is saved as one row at its end, and traces of its runs lie beside it."""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sessionlab.sources import Problem, SideFiles, WholeSource, sections

_DEFAULTS = ("data/sessions.db", "data/appam_sessions.db")  # the tool's own, and the one that its manual names
_TRACE = re.compile(r"session-(.+)\.jsonl")
# A line with counts has some hundred bytes; only the result of a tool is ever as long.
_LONGEST_BYTES = 1 << 20
# The columns of a table of running totals, and the members of a `usage_update`.
_TOTALS = {
    "input_tokens": "total_input_tokens",
    "output_tokens": "total_output_tokens",
    "cache_read_tokens": "total_cache_read_tokens",
    "cache_creation_tokens": "total_cache_creation_tokens",
    "reasoning_tokens": "total_reasoning_tokens",
    "compaction_input_tokens": "total_compaction_input_tokens",
    "compaction_output_tokens": "total_compaction_output_tokens",
    "cost_usd": "total_cost_usd",
}


def default_paths() -> list[str]:
    """Return the files that an agent in this folder uses: the ones that are configured, and those of its own."""
    named = (os.environ.get("APPAM_HISTORY_DB_PATH"), _named_in("appam.toml"))
    found = [path for path in (*named, *_DEFAULTS) if path and "\0" not in path]
    return list(dict.fromkeys(os.path.abspath(path) for path in found))


def _named_in(config: str) -> str | None:
    """Return the file that a configuration names."""
    try:
        with open(config, "rb") as file:
            settings = tomllib.load(file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):  # the tool itself would not start
        return None
    history = settings.get("history")
    named = history.get("db_path") if isinstance(history, dict) else None
    return named if isinstance(named, str) else None


def read_traces(paths: Sequence[str]) -> tuple[Mapping[str, Sequence[Sequence[str | None]]], Sequence[Problem]]:
    """Return the running totals of traces, and their lines that cannot be read.

    Other tools have files of such names too, so one that holds records and no event of a trace is none of appam's.
    Nothing else of a trace is kept: an `error` in it holds what was sent to the provider, and that may be a secret.
    """
    rows: list[Sequence[str | None]] = []
    problems: list[Problem] = []
    for path in paths:
        named = _TRACE.fullmatch(os.path.basename(path))
        if named is None:
            continue
        broken: list[Problem] = []
        kinds: set[bool] = set()
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait
                continue
            for number, line in _lines(path):
                try:
                    event = _object_of(line)
                except (ValueError, RecursionError):
                    reason = "the line is no JSON object; it is left out"
                    broken.append(Problem(record=f"line {number}", reason=reason, line=number, origin=path))
                    continue
                kinds.add("type" in event and "data" in event)
                totals = _totals_of(event)
                if totals is not None:
                    rows.append([named[1], path, str(number), *totals])
            if kinds != {False}:
                problems += broken
        except OSError as error:
            reason = f"the trace cannot be read: {error.strerror}. Check its permissions"
            problems.append(Problem(record=os.path.basename(path), reason=reason, origin=path))
    return {"usage_update": rows}, problems


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers, without those that are empty or too long to be counts."""
    with open(path, "rb") as file:
        number, is_within = 1, False
        while piece := file.readline(_LONGEST_BYTES):
            is_end = piece.endswith(b"\n")
            if is_end and not is_within and piece.strip():
                yield number, piece
            elif not is_end and not is_within and len(piece) < _LONGEST_BYTES and piece.strip():
                yield number, piece  # the last line
            number += is_end
            is_within = not is_end


def _object_of(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        ValueError: It is none.
    """
    event = json.loads(line.decode("utf-8", "replace"))
    if not isinstance(event, dict):
        raise ValueError(f"{type(event)} is no event")
    return event


def _totals_of(event: Mapping[str, Any]) -> list[str | None] | None:
    """Return the running totals of an event; None where it has none."""
    data = event.get("data")
    if event.get("type") != "usage_update" or not isinstance(data, dict):
        return None
    return [_as_text(data.get(member)) for member in _TOTALS.values()]


def _as_text(number: Any) -> str | None:
    return repr(number) if isinstance(number, (int, float)) and not isinstance(number, bool) else None


SOURCE = WholeSource(
    name="appam",
    default_paths=default_paths,
    fingerprints=[
        {"session_history": frozenset({"id", "agent_name", "model", "messages", "tool_call_count"})},
        {"sessions": frozenset({"id", "agent_name", "model", "messages"})},
    ],
    # The stored counts of turns and calls are not among them: they leave out what has no text.
    tables={
        "session_history": (
            "id",
            "agent_name",
            "model",
            "messages",
            "metadata",
            "started_at",
            "updated_at",
            "ended_at",
            "usage",
        ),
        "sessions": ("id", "agent_name", "model", "messages", "created_at", "updated_at"),
    },
    statements=sections(__file__),
    side_files=SideFiles(
        pattern="session-*.jsonl",
        tables={"usage_update": ("session_id", "path", "line", *_TOTALS)},
        read=read_traces,
    ),
)
