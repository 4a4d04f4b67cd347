"""A session's transcript as lines of text for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from sessionlab.cli.screen import counted, seen, seen_lines

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
        for label, value in _facts(session):
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
        notes = [message["kind"]] if message["kind"] != "message" else []
        notes += ["preamble"] if message["is_preamble"] else []
        notes += ["sidechain"] if message["is_sidechain"] else []
        if turn is not None:
            model = turn["response_model"] or turn["request_model"]
            notes += [model] if model else []
            notes += [turn["error_type"]] if turn["error_type"] else []
            notes += [turn["finish_reason"]] if turn["finish_reason"] in ("length", "content_filter") else []
        head = self._styled(message["role"], fg=_ROLE_COLORS.get(message["role"]), bold=True)
        rest = [f"#{message['message_index']}", self._when(message["created_at"]), *notes]
        return f"{head}  {self._styled(seen('  '.join(part for part in rest if part)), dim=True)}"

    def _when(self, at: datetime | None) -> str:
        if at is None:
            return ""
        local = at.astimezone()
        day, self._day = self._day, f"{local:%Y-%m-%d}"
        return f"{local:%H:%M:%S}" if day == self._day else f"{local:%Y-%m-%d %H:%M:%S}"

    def _tool_call(self, call: Row) -> Iterator[str]:
        notes = [call["status"]]
        notes += [] if call["exit_code"] is None else [f"exit code {call['exit_code']}"]
        notes += [] if call["duration_s"] is None else [_duration(call["duration_s"])]
        is_error = bool(call["is_error"])
        name = self._styled(seen(call["tool_name"] or "(no name)"), fg="yellow", bold=True)
        yield f"  {name}: {self._styled(', '.join(notes), **({'fg': 'red'} if is_error else {'dim': True}))}"
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


def _facts(session: Row) -> Iterator[tuple[str, str]]:
    """Yield what is told of a session before its messages; an empty text where nothing is known."""
    native = session["native_id"]
    yield (
        "session",
        session["session_id"] + (f" (native id {native})" if native not in (None, session["session_id"]) else ""),
    )
    yield "source", f"{session['source']}, {session['origin']}"
    yield "agent", session["agent_name"] or ""
    yield "directory", session["directory"] or ""
    yield "when", _period(session)
    yield "archived", _moment(session["archived_at"])
    yield "parent", session["parent_session_id"] or ""
    yield "models", ", ".join(session["models"] or [])
    calls = counted(session["tool_call_count"], "tool call")
    failed = f", {session['tool_error_count']:,} with an error" if session["tool_error_count"] else ""
    yield (
        "did",
        f"{counted(session['message_count'], 'message')}, {counted(session['turn_count'], 'turn')}, {calls}{failed}",
    )
    yield "tokens", _tokens(session)
    yield (
        "cost",
        "" if session["cost_usd"] is None else f"{session['cost_usd']:,.4g} US dollars ({session['cost_status']})",
    )


def _period(session: Row) -> str:
    """Return from when to when, in local time, and which zone that is."""
    start, end = session["started_at"], session["ended_at"] or session["updated_at"]
    if start is None:
        return _moment(end)
    local = start.astimezone()
    offset = f"{local:%z}"
    zone = "UTC" if local.tzname() == "UTC" else f"{local.tzname()}, UTC{offset[:3]}:{offset[3:5]}"
    if end is None:
        return f"{_moment(start)} ({zone})"
    until = end.astimezone()
    shown = f"{until:%H:%M:%S}" if until.date() == local.date() else _moment(end)
    lasted = "" if session["duration_s"] is None else f", {_duration(session['duration_s'])}"
    return f"{_moment(start)} to {shown}{lasted} ({zone}){'' if session['ended_at'] else ', not ended'}"


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def _duration(seconds: float) -> str:
    """Return a duration as people say it.

    >>> [_duration(s) for s in (0.034, 12.3, 131, 3_900)]
    ['0.034 s', '12.3 s', '2 min 11 s', '1 h 5 min']
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def _tokens(session: Row) -> str:
    parts = [
        f"{session[name]:,} {what}"
        for name, what in (
            ("input_tokens", "in"),
            ("cache_read_input_tokens", "of it from the cache"),
            ("output_tokens", "out"),
            ("reasoning_output_tokens", "of it reasoning"),
        )
        if session[name] is not None and (session[name] or what in ("in", "out"))
    ]
    return ", ".join(parts)


def _arguments(text: str | None) -> list[str]:
    """Return the lines of a call's arguments: of a JSON object a line for each name, anything else as it is."""
    if not text:
        return []
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return seen_lines(text)
    lines: list[str] = []
    for name, value in given.items():
        first, *rest = seen_lines(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        lines += [f"{seen(name)}: {first}", *(f"  {line}" for line in rest)]
    return lines
