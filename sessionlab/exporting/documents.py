"""Sessions as files for people: one file each in `sessions/`, and an index of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from sessionlab.exporting.naming import file_names
from sessionlab.exporting.telling import heading
from sessionlab.lab.redacting import Redaction
from sessionlab.lab.transcript import read_transcripts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sessionlab.exporting.destination import Destination
    from sessionlab.lab.lab import Lab
    from sessionlab.lab.transcript import Row, Transcript

ENDINGS = {"markdown": ".md", "html": ".html"}

# Of the sessions, what the index and the names of the files are made of.
_LISTED = [
    "source",
    "session_id",
    "name",
    "agent_name",
    "parent_session_id",
    "started_at",
    "updated_at",
    "message_count",
    "tool_call_count",
    "tool_error_count",
    "models",
    "cost_usd",
    "first_prompt",
]
_PROMPT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A session as the index lists it, with the name of its file."""

    session: Row
    file: str

    @property
    def title(self) -> str:
        """What it is called, or else how it began."""
        return heading(self.session)

    @property
    def last_at(self) -> datetime | None:
        """When something last happened in it."""
        at: datetime | None = self.session["updated_at"] or self.session["started_at"]
        return at


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The sessions of an export that one belongs together with."""

    parent: Entry | None
    children: Sequence[Entry]


class Form(Protocol):
    """How a session and the index become text."""

    def session(self, transcript: Transcript, family: Family) -> Iterator[str]:
        """Yield the text of a session's file in pieces."""

    def index(self, entries: Sequence[Entry]) -> Iterator[str]:
        """Yield the text of the index in pieces."""


def entries(form: str) -> list[str]:
    """Return the names that an export of sessions puts into its folder."""
    return [f"index{ENDINGS[form]}", "sessions"]


def write_sessions(
    destination: Destination, lab: Lab, read_from: Lab | Redaction, form: str, filters: Mapping[str, Any]
) -> Iterator[tuple[int, int]]:
    """Write the sessions that the filters choose, and yield after each how many are done and how many there are."""
    known = lab.frame("sessions", columns=["source", "session_id", "message_count"], to="arrow", **filters).to_pylist()
    listed = _listed(read_from, filters, ENDINGS[form])
    of_key = {_key(entry.session): entry for entry in listed}
    children: dict[tuple[str, str], list[Entry]] = {}
    for entry in listed:
        if entry.session["parent_session_id"] is not None:
            children.setdefault((entry.session["source"], entry.session["parent_session_id"]), []).append(entry)
    written = _form(form)
    transcripts = read_transcripts(lab, read_from, known)
    for count, (entry, transcript) in enumerate(zip(listed, transcripts, strict=True), start=1):
        if isinstance(read_from, Redaction):
            transcript = _without_folders(transcript)
        parent = of_key.get((entry.session["source"], entry.session["parent_session_id"] or ""))
        family = Family(parent=parent, children=children.get(_key(entry.session), []))
        _write(destination, f"sessions/{entry.file}", written.session(transcript, family))
        yield count, len(listed)
    _write(destination, f"index{ENDINGS[form]}", written.index(_newest_first(listed)))
    if not listed:
        destination.make_folder("sessions")


def _form(form: str) -> Form:
    if form == "markdown":
        from sessionlab.exporting.markdown import Markdown

        return Markdown()
    from sessionlab.exporting.pages import Pages

    return Pages()


def _write(destination: Destination, name: str, parts: Iterator[str]) -> None:
    with destination.create(name) as file, destination.failing():
        for part in parts:
            file.write(part.encode("utf-8"))


def _listed(read_from: Lab | Redaction, filters: Mapping[str, Any], ending: str) -> list[Entry]:
    rows = read_from.frame("sessions", columns=_LISTED, to="arrow", **filters).to_pylist()
    for row in rows:
        row["first_prompt"] = row["first_prompt"] and row["first_prompt"][:_PROMPT]
    names = file_names(rows, ending)
    return [Entry(session=row, file=name) for row, name in zip(rows, names, strict=True)]


def _without_folders(transcript: Transcript) -> Transcript:
    """Return a transcript that tells of its history the file's name only, and not where it lies."""
    origin = re.split(r"[/\\]", transcript.session["origin"] or "")[-1]
    return replace(transcript, session={**transcript.session, "origin": origin})


def _newest_first(entries: Sequence[Entry]) -> list[Entry]:
    """Return sessions by when they began, those without a time last; in the order of recording where that is equal."""
    timed = [entry for entry in entries if entry.session["started_at"] is not None]
    return [
        *sorted(timed, key=lambda entry: entry.session["started_at"], reverse=True),
        *(entry for entry in entries if entry.session["started_at"] is None),
    ]


def _key(session: Row) -> tuple[str, str]:
    return session["source"], session["session_id"]
