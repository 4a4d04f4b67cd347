"""A session's transcript as lines of text for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from sessionlab.cli.screen import seen, seen_lines
from sessionlab.exporting.telling import arguments, call_notes, counted, facts, message_notes

if TYPE_CHECKING:
    from sessionlab.lab.transcript import Row, Step, Transcript

_SHOWN_LINES = 20
_SHOWN_WIDTH = 1_000
_ROLE_COLORS = {"user": "green", "assistant": "blue", "tool": "yellow", "system": "magenta"}


def told(transcript: Transcript, *, is_colored: bool, is_full: bool) -> Iterator[str]:
    """Yield the lines of a transcript: its head, then each message with its tool calls."""
    return _Teller(is_colored=is_colored, is_full=is_full).told(transcript)


class _Teller:
    """Tells a session. Times are local; a day is said where it is another than before."""

    def __init__(self, *, is_colored: bool, is_full: bool) -> None:
        self._is_colored = is_colored
        self._is_full = is_full
        self._day = ""

    def told(self, transcript: Transcript) -> Iterator[str]:
        yield from self._head(transcript.session)
        for step in transcript.steps:
            yield ""
            yield from self._step(step)

    def _styled(self, text: str, **style: Any) -> str:
        return click.style(text, **style) if self._is_colored and text else text

    def _head(self, session: Row) -> Iterator[str]:
        yield self._styled(seen(session["name"] or "(no name)"), bold=True)
        for label, value in facts(session):
            if value:
                yield f"{self._styled(f'{label:<11}', dim=True)}{seen(value)}"

    def _step(self, step: Step) -> Iterator[str]:
        message = step.message
        if message is not None:
            if step.follows is not None:
                yield self._styled(f"(goes on from message {step.follows})", dim=True)
            yield self._who(message, step.turn)
            is_aside = bool(message["is_preamble"]) or message["kind"] != "message"
            if message["reasoning"]:
                yield from (self._styled(f"  {line}".rstrip(), dim=True) for line in seen_lines(message["reasoning"]))
            if message["content"]:
                is_error = message["kind"] == "error"
                style: dict[str, Any] = {"fg": "red"} if is_error else {"dim": True} if is_aside else {}
                yield from (self._styled(line, **style) for line in seen_lines(message["content"]))
        for call in step.tool_calls:
            yield from self._tool_call(call)

    def _who(self, message: Row, turn: Row | None) -> str:
        head = self._styled(message["role"], fg=_ROLE_COLORS.get(message["role"]), bold=True)
        rest = [f"#{message['message_index']}", self._when(message["created_at"]), *message_notes(message, turn)]
        return f"{head}  {self._styled(seen('  '.join(part for part in rest if part)), dim=True)}"

    def _when(self, at: datetime | None) -> str:
        if at is None:
            return ""
        local = at.astimezone()
        day, self._day = self._day, f"{local:%Y-%m-%d}"
        return f"{local:%H:%M:%S}" if day == self._day else f"{local:%Y-%m-%d %H:%M:%S}"

    def _tool_call(self, call: Row) -> Iterator[str]:
        is_error = bool(call["is_error"])
        name = self._styled(seen(call["tool_name"] or "(no name)"), fg="yellow", bold=True)
        yield f"  {name}: {self._styled(', '.join(call_notes(call)), **({'fg': 'red'} if is_error else {'dim': True}))}"
        yield from (f"    {line}".rstrip() for line in self._cut(_arguments(call["arguments"])))
        if call["result"] is not None:
            yield from (f"    | {line}".rstrip() for line in self._cut(seen_lines(call["result"])))

    def _cut(self, lines: list[str]) -> list[str]:
        """Return so many of the lines as are shown, and a note of how many more there are."""
        if self._is_full:
            return lines
        shown = [
            f"{line[:_SHOWN_WIDTH]} … {counted(len(line) - _SHOWN_WIDTH, 'character')} more"
            if len(line) > _SHOWN_WIDTH
            else line
            for line in lines[:_SHOWN_LINES]
        ]
        more = len(lines) - _SHOWN_LINES
        return [*shown, f"… {counted(more, 'line')} more (--full shows all)"] if more > 0 else shown


def _arguments(text: str | None) -> list[str]:
    """Return the lines of a call's arguments: of a JSON object a line for each name, anything else as it is."""
    lines: list[str] = []
    for name, value in arguments(text):
        first, *rest = seen_lines(value)
        lines += [f"{seen(name)}: {first}", *(f"  {line}" for line in rest)] if name else [first, *rest]
    return lines
