"""What is told of a session, a message and a tool call beside their texts, in words for people."""

from __future__ import annotations

import json
import re
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessionlab.lab.transcript import Row


def counted(count: int, what: str) -> str:
    """Return a number with its noun: `1 row`, `2,000 rows`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def facts(session: Row, zone: tzinfo | None = None) -> Iterator[tuple[str, str]]:
    """Yield what is told of a session before its messages, each with its name; an empty text where nothing is known.

    Args:
        session: A row of `sessions`.
        zone: In which times are told; None means local.
    """
    native = session["native_id"]
    yield (
        "session",
        session["session_id"] + (f" (native id {native})" if native not in (None, session["session_id"]) else ""),
    )
    yield "source", f"{session['source']}, {session['origin']}"
    yield "agent", session["agent_name"] or ""
    yield "directory", session["directory"] or ""
    yield "when", _period(session, zone)
    yield "archived", moment(session["archived_at"], zone)
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


def heading(session: Row) -> str:
    """Return what a session is called, or else how it began."""
    return str(session["name"] or (session["first_prompt"] or "").strip() or "(no name)")


def message_notes(message: Row, turn: Row | None) -> list[str]:
    """Return what is special about a message: its kind, the model that wrote it, how it ended."""
    notes = [message["kind"]] if message["kind"] != "message" else []
    notes += ["preamble"] if message["is_preamble"] else []
    notes += ["sidechain"] if message["is_sidechain"] else []
    if turn is not None:
        model = turn["response_model"] or turn["request_model"]
        notes += [model] if model else []
        notes += [turn["error_type"]] if turn["error_type"] else []
        notes += [turn["finish_reason"]] if turn["finish_reason"] in ("length", "content_filter") else []
    return notes


def call_notes(call: Row) -> list[str]:
    """Return how a tool call went."""
    notes = [call["status"]]
    notes += [] if call["exit_code"] is None else [f"exit code {call['exit_code']}"]
    notes += [] if call["duration_s"] is None else [duration(call["duration_s"])]
    return notes


def arguments(text: str | None) -> list[tuple[str, str]]:
    """Return the arguments of a call by their names; those that are no JSON object are one without a name."""
    if not text:
        return []
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return [("", text)]
    return [(name, value if isinstance(value, str) else as_json(value)) for name, value in given.items()]


def as_json(value: Any) -> str:
    """Return a value as JSON on one line; half letters, which no file can hold, stay escapes."""
    text = json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if any("\ud800" <= letter <= "\udfff" for letter in text) else text


# Longer and deeper JSON is read by no person, and deep JSON would become many times as long.
_MOST_LAID_OUT, _MOST_DEEP = 200_000, 20
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]\s*[\]}]|[{}\[\],:]|[^\s{}\[\],:"]+')


def laid_out(text: str) -> str:
    """Return JSON with its members on lines of their own, its numbers and names as they are written; or any other text.

    >>> print(laid_out('{"size": 1e3, "tags": [], "at": [1.0, null]}'))
    {
      "size": 1e3,
      "tags": [],
      "at": [
        1.0,
        null
      ]
    }
    """
    if text[:1] not in ("{", "[") or len(text) > _MOST_LAID_OUT:
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    parts: list[str] = []
    depth = 0
    for piece in _PIECE.findall(text):
        if piece in ("{", "["):
            depth += 1
            if depth > _MOST_DEEP:
                return text
        elif piece in ("}", "]"):
            depth -= 1
        new_line = f"\n{'  ' * depth}"
        if piece in ("{", "[", ","):
            parts += (piece, new_line)
        elif piece in ("}", "]"):
            parts += (new_line, piece)
        elif piece == ":":
            parts.append(": ")
        else:
            parts.append("".join(piece.split()) if piece[0] in "{[" else piece)
    return "".join(parts)


# Letters that have no form of their own, or that turn the reading direction of what follows them.
_COLOURS = re.compile("\x1b\\[[0-9;:]*m")
_CONTROLS = [code for code in range(0x20) if chr(code) not in "\t\n"]
_STEERING = (*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_UNSEEN = {
    **{code: chr(0x2400 + code) for code in _CONTROLS},
    0x7F: "\u2421",
    **{code: f"⟨U+{code:04X}⟩" for code in _STEERING},
}


def visible(text: str) -> str:
    """Return a text in which everything can be seen; colours of a terminal are left out, line ends are one.

    >>> visible("a" + chr(0) + "b" + chr(13) + "c" + chr(0x202E) + "d").splitlines()
    ['a␀b', 'c⟨U+202E⟩d']
    """
    text = re.sub("\r\n?|\x85|\u2028|\u2029", "\n", _COLOURS.sub("", text))
    return text.translate(_UNSEEN)


def moment(at: datetime | None, zone: tzinfo | None = None) -> str:
    """Return a time to the second in a zone, or in the local one; an empty text for None."""
    return "" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    """Return a duration as people say it.

    >>> [duration(s) for s in (0.034, 12.3, 131, 3_900)]
    ['0.034 s', '12.3 s', '2 min 11 s', '1 h 5 min']
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def _period(session: Row, zone: tzinfo | None) -> str:
    """Return from when to when, and which zone that is."""
    start, end = session["started_at"], session["ended_at"] or session["updated_at"]
    if start is None:
        return moment(end, zone)
    local = start.astimezone(zone)
    offset = f"{local:%z}"
    told = "UTC" if local.tzname() == "UTC" else f"{local.tzname()}, UTC{offset[:3]}:{offset[3:5]}"
    if end is None:
        return f"{moment(start, zone)} ({told})"
    until = end.astimezone(zone)
    shown = f"{until:%H:%M:%S}" if until.date() == local.date() else moment(end, zone)
    lasted = "" if session["duration_s"] is None else f", {duration(session['duration_s'])}"
    return f"{moment(start, zone)} to {shown}{lasted} ({told}){'' if session['ended_at'] else ', not ended'}"


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
