"""A session as Markdown that people read: what was said stands in fences, so that none of it is markup."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from sessionlab.exporting.telling import arguments, call_notes, counted, facts, heading, message_notes, moment, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sessionlab.exporting.documents import Entry, Family
    from sessionlab.lab.transcript import Row, Step, Transcript

# What begins something within a line of CommonMark or of GitHub's; the rest means itself there.
_MARKUP = re.compile(r"([\\`*_\[\]<>&#|~@!$])")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp)(:)(?=//)|\bwww(\.)")
_TITLE = 120


class Markdown:
    """Tells sessions in Markdown. Times are UTC."""

    def session(self, transcript: Transcript, family: Family) -> Iterator[str]:
        """Yield the text of a session's file in pieces."""
        session = transcript.session
        yield f"# {_inline(heading(session))}\n\n"
        for name, value in facts(session, UTC):
            if value:
                yield f"- {name}: {_code(value)}\n"
        if family.parent is not None:
            yield f"- started by: {_link(family.parent, '')}\n"
        for child in family.children:
            yield f"- started: {_link(child, '')}\n"
        for step in transcript.steps:
            yield from _step(step)

    def index(self, entries: Sequence[Entry]) -> Iterator[str]:
        """Yield the text of the index in pieces."""
        yield f"# {counted(len(entries), 'session')}\n\nTimes are UTC.\n\n"
        for entry in entries:
            session = entry.session
            failed = f", {counted(session['tool_error_count'], 'error')}" if session["tool_error_count"] else ""
            notes = [moment(session["started_at"], UTC), session["source"], session["agent_name"] or ""]
            told = ", ".join(_inline(note) for note in notes if note)
            counts = f"{counted(session['message_count'], 'message')}{failed}"
            yield f"- {_link(entry, 'sessions/')} {told}, {counts}\n"


def _step(step: Step) -> Iterator[str]:
    message = step.message
    if message is not None:
        if step.follows is not None:
            yield f"\nGoes on from message {step.follows}.\n"
        notes = [moment(message["created_at"], UTC), *message_notes(message, step.turn)]
        told = "".join(f", {_inline(note)}" for note in notes if note)
        yield f"\n## {_inline(message['role'] or 'message')} {message['message_index']}{told}\n"
        if message["reasoning"]:
            yield f"\n> Reasoning:\n>\n{_fenced(message['reasoning'], '> ')}"
        if message["content"]:
            yield f"\n{_fenced(message['content'])}"
    for call in step.tool_calls:
        yield from _call(call)


def _call(call: Row) -> Iterator[str]:
    mark = "Failed: " if call["is_error"] else ""
    told = ", ".join(_inline(note) for note in call_notes(call) if note)
    yield f"\n### {mark}{_inline(call['tool_name'] or '(no name)')}, {told}\n"
    for name, value in arguments(call["arguments"]):
        yield f"\n{_inline(name) or 'Arguments'}:\n\n{_fenced(value)}"
    if call["result"] is not None:
        yield f"\nResult:\n\n{_fenced(call['result'])}"


def _fenced(text: str, before: str = "") -> str:
    """Return a text in a fence that is longer than any run of backticks in it; each line begins with `before`."""
    shown = visible(text)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    lines = [f"{fence}text", *shown.split("\n"), fence]
    return "".join(f"{before}{line}".rstrip(" ") + "\n" if not line else f"{before}{line}\n" for line in lines)


def _code(text: str) -> str:
    """Return a text as code within a line."""
    shown = " ".join(visible(text).split()) or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown}{fence}"


def _inline(text: str) -> str:
    """Return a text within a line, in which nothing is markup."""
    shown = " ".join(visible(text[: 2 * _TITLE]).split())
    shown = shown if len(shown) <= _TITLE else f"{shown[:_TITLE]}…"
    shown = _MARKUP.sub(r"\\\1", shown)
    return _ADDRESS.sub(lambda match: match[0].replace(":", r"\:").replace("www.", r"www\."), shown)


def _link(entry: Entry, folder: str) -> str:
    return f"[{_inline(entry.title)}]({folder}{entry.file})"
