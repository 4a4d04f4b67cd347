"""A session as one HTML page that needs nothing else: no script, and nothing that is loaded.

Every text of a history goes in through Jinja's escaping, and a Content-Security-Policy forbids whatever would run or
load in spite of that; the one style sheet is allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from datetime import UTC
from functools import cache
from typing import TYPE_CHECKING, Any

from sessionlab.exporting.telling import (
    arguments,
    call_notes,
    counted,
    duration,
    facts,
    heading,
    laid_out,
    message_notes,
    moment,
    visible,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jinja2 import Environment

    from sessionlab.exporting.documents import Entry, Family
    from sessionlab.lab.transcript import Row, Step, Transcript

_FOLDER = os.path.join(os.path.dirname(__file__), "templates")
# Longer texts than this are folded; a browser's own search opens what is folded.
_OPEN_LINES, _OPEN_CHARACTERS = 16, 1_600
_TITLE = 160
# What begins a fence of Markdown, also within a list; behind backticks there may be none.
_FENCE = re.compile(r"[ \t]*(`{3,}(?=[^`]*$)|~{3,})")


class Pages:
    """Tells sessions in HTML. Times are UTC."""

    def session(self, transcript: Transcript, family: Family) -> Iterator[str]:
        """Yield the text of a session's file in pieces."""
        session = transcript.session
        steps = transcript.steps
        failed = [(number, name) for number, step in enumerate(steps) for name in _failed(step)]
        return _rendered(
            "session.html",
            title=_title(heading(session)),
            facts=[(name, value) for name, value in facts(session, UTC) if value],
            family=family,
            failed=failed,
            steps=steps,
        )

    def index(self, entries: Sequence[Entry]) -> Iterator[str]:
        """Yield the text of the index in pieces."""
        return _rendered("index.html", title=counted(len(entries), "session"), entries=entries)


def _rendered(template: str, **values: Any) -> Iterator[str]:
    stream = _environment().get_template(template).stream(values)
    stream.enable_buffering(64)
    return iter(stream)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    with open(os.path.join(_FOLDER, "page.css"), encoding="utf-8") as file:
        style = file.read()
    environment.globals.update(
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        arguments=arguments,
        call_notes=call_notes,
        message_notes=message_notes,
        passages=passages,
        counted=counted,
        turn_notes=_turn_notes,
        is_short=_is_short,
        line_count=_line_count,
    )
    environment.filters.update(visible=visible, laid_out=laid_out, moment=lambda at: moment(at, UTC), title=_title)
    return environment


def passages(text: str) -> list[tuple[bool, str]]:
    r"""Return a text in passages, each with whether it is code in a fence, which stays around it.

    >>> passages("So:\n```sh\nls\n```\nDone.")
    [(False, 'So:\n'), (True, '```sh\nls\n```\n'), (False, 'Done.')]
    """
    if "```" not in text and "~~~" not in text:
        return [(False, text)]
    found: list[tuple[bool, str]] = []
    lines: list[str] = []
    fence = ""

    def end(*, is_code: bool) -> None:
        if lines:
            found.append((is_code, "".join(lines)))
            lines.clear()

    for line in re.split(r"(?<=\n)", text):
        if fence:
            lines.append(line)
            if line.strip().startswith(fence) and not line.strip(f" \t\n{fence[0]}"):
                end(is_code=True)
                fence = ""
        else:
            if begin := _FENCE.match(line):
                end(is_code=False)
                fence = begin[1]
            lines.append(line)
    end(is_code=bool(fence))  # one that is not closed goes on to the end
    return found


def _title(text: str | None) -> str:
    """Return a text on one line."""
    shown = " ".join(visible((text or "")[: 2 * _TITLE]).split()) or "(no name)"
    return shown if len(shown) <= _TITLE else f"{shown[:_TITLE]}…"


def _is_short(text: str) -> bool:
    return len(text) <= _OPEN_CHARACTERS and text.count("\n") < _OPEN_LINES


def _line_count(text: str) -> str:
    return counted(visible(text).count("\n") + 1, "line")


def _failed(step: Step) -> list[str]:
    """Return what failed in a step: the names of its tool calls, and the model call itself."""
    message = step.message
    model = [message["content"] or "model call"] if message is not None and message["kind"] == "error" else []
    return [*model, *(call["tool_name"] or "(no name)" for call in step.tool_calls if call["is_error"])]


def _turn_notes(turn: Row | None) -> list[str]:
    """Return what a model response took."""
    if turn is None:
        return []
    notes = [
        f"{turn[name]:,} {what}"
        for name, what in (("input_tokens", "tokens in"), ("output_tokens", "out"))
        if turn[name] is not None
    ]
    notes += [] if turn["duration_s"] is None else [duration(turn["duration_s"])]
    return notes + ([] if turn["cost_usd"] is None else [f"{turn['cost_usd']:,.2g} US dollars"])
