"""The Gemini CLI: a file for each session and subagent; older ones are one JSON text, newer ones lines of changes.

What is left of a session is found by doing its changes one after the other, so that is done here, and the rest in SQL.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sessionlab.sources import Problem, TreeSource, sections

_HEAD_BYTES = 1 << 14
# A tool that has written within so long may still be about to end its last line.
_LIVE_S = 60.0
_TYPES = ("user", "gemini", "info", "warning", "error")
_INJECTED = ("<session_context>", "<hook_context>")
_DIRECTORY = re.compile(r"(?:Workspace Directories:\*\*\s+- |working in the directory: )([^\n]+)")
# Only the shell's own words come after it; commands may print it as well.
_EXIT_CODE = re.compile(
    r"^Exit Code: (-?\d{1,9})\s*"
    r"(?:(?:Signal: |Background PIDs: |Process Group PGID: |</untrusted_context>)[^\n]*\s*)*\Z",
    re.MULTILINE,
)
# What stays as it was where a message is written again without it: a copy for the model has none of these.
_LASTING = ("model", "tokens", "thoughts", "toolCalls")
_TOKENS = ("input", "output", "cached", "thoughts", "tool", "total")


def default_paths() -> list[str]:
    """Return the folder that the Gemini CLI writes to."""
    home = os.environ.get("GEMINI_CLI_HOME") or os.path.expanduser("~")
    return [os.path.abspath(os.path.join(home, ".gemini", "tmp"))]


def recognises_file(path: str, records: Sequence[Mapping[str, Any]]) -> bool | None:
    """Return whether a file is of a session of the Gemini CLI; None where its beginning does not say."""
    for record in records:
        if "$set" in record or "$rewindTo" in record or {"sessionId", "projectHash"} <= record.keys():
            return True
        if record.get("type") in _TYPES and {"id", "timestamp", "content"} <= record.keys():
            return True
    if records:
        return False
    if not path.endswith(".json"):
        return None
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    is_in_place = os.path.basename(os.path.dirname(path)) == "chats"
    if b'"sessionId"' in head and (is_in_place or b'"projectHash"' in head):
        return True
    return None if is_in_place else False


@dataclass(slots=True)
class _Message:
    """A message of a session.

    Attributes:
        given: It as it was last written.
        line: Where it stands first.
        before: The message after which it came.
        is_own: It has a line of its own, and is not only in a list that took the place of all messages.
        is_rewound: It was taken back.
    """

    given: dict[str, Any]
    line: int
    before: _Message | None
    is_own: bool
    is_rewound: bool = False


@dataclass(slots=True)
class _Session:
    """What the changes of a file amount to.

    Attributes:
        metadata: What is known of the session.
        messages: All messages that there ever were, by their ids.
        shown: Those that the tool still has, in its order.
    """

    metadata: dict[str, Any] = field(default_factory=dict)
    messages: dict[str, _Message] = field(default_factory=dict)
    shown: dict[str, _Message] = field(default_factory=dict)

    def change(self, record: Mapping[str, Any], line: int) -> list[Problem]:
        """Do what a record says; return what of it cannot be done."""
        changes = record.get("$set")
        if isinstance(record.get("$rewindTo"), str):
            self._rewind(record["$rewindTo"])
        elif isinstance(record.get("id"), str):
            return self._put(record, line, is_own=True)
        elif isinstance(changes, dict):
            return self._know(changes, line, is_own=False)
        elif "sessionId" in record:
            return self._know(record, line, is_own=True)
        return []

    def _know(self, changes: Mapping[str, Any], line: int, *, is_own: bool) -> list[Problem]:
        """Take metadata, and the list of messages that may be among it."""
        started = self.metadata.get("startTime")
        self.metadata |= {name: value for name, value in changes.items() if name != "messages" and value is not None}
        if started is not None:
            self.metadata["startTime"] = started  # a session that is resumed is told to begin again
        messages = changes.get("messages")
        if messages is None:
            return []
        if not isinstance(messages, list):
            return [Problem(record=f"line {line}", reason="messages is no list; it is left out", line=line)]
        self.shown = {}
        problems = []
        for place, message in enumerate(messages):
            if isinstance(message, dict) and isinstance(message.get("id"), str):
                problems += self._put(message, line, is_own=is_own)
            else:
                reason = "it is no object with an id; it is left out"
                problems.append(Problem(record=f"line {line}, message {place}", reason=reason, line=line))
        return problems

    def _put(self, given: Mapping[str, Any], line: int, *, is_own: bool) -> list[Problem]:
        """Add a message, or write it again; a copy of one that has a line of its own says nothing new."""
        message_id = given["id"]
        if not isinstance(given.get("type"), str):
            return [Problem(record=f"message {message_id}", reason="it has no type; it is left out", line=line)]
        known = self.messages.get(message_id)
        if known is None:
            before = next(reversed(self.shown.values()), None)
            known = self.messages[message_id] = _Message(dict(given), line, before, is_own)
        elif is_own or not known.is_own:
            lasting = {name: known.given[name] for name in _LASTING if known.given.get(name) and not given.get(name)}
            known.given = {**given, **lasting}
            known.is_own = is_own
        known.is_rewound = False
        self.shown.setdefault(message_id, known)
        return []

    def _rewind(self, message_id: str) -> None:
        """Take back a message and all after it; all where it is not known."""
        ids = list(self.shown)
        for gone in ids[ids.index(message_id) if message_id in self.shown else 0 :]:
            self.shown.pop(gone).is_rewound = True


def records(path: str) -> Iterator[str | Problem]:
    """Yield what is known of a session and then each of its messages, without what was written again."""
    session = _Session()
    with open(path, "rb") as file:
        data = file.read()
    if path.endswith(".json"):
        yield from _read_whole(session, data)
    else:
        yield from _read_lines(session, data, is_live=time.time() - os.stat(path).st_mtime < _LIVE_S)
    if session.metadata or session.messages:
        yield json.dumps(_about(session, path), ensure_ascii=False)
    results = _results(session)
    calls = {str(call.get("id")) for m in session.messages.values() for call in _list(m.given.get("toolCalls"))}
    for message in session.messages.values():
        yield json.dumps(_told(message, results, calls), ensure_ascii=False)


def _read_whole(session: _Session, data: bytes) -> Iterator[Problem]:
    whole = _parsed(data)
    if isinstance(whole, dict):
        yield from session.change({"sessionId": None} | whole, 1)
    else:
        yield Problem(record="the file", reason="it is no JSON object, or cut off; it is left out", line=1)


def _read_lines(session: _Session, data: bytes, *, is_live: bool) -> Iterator[Problem]:
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = _parsed(line)
        if isinstance(record, dict):
            yield from session.change(record, number)
        elif number < len(lines):
            reason = "it is no JSON; it is left out" if record is None else "it is no object; it is left out"
            yield Problem(record=f"line {number}", reason=reason, line=number)
        elif not is_live:
            yield Problem(record="the last line", reason="the file is cut off in it; it is left out", line=number)


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8", "replace").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None


def _about(session: _Session, path: str) -> dict[str, Any]:
    """Return what is known of a session; a subagent lies in a folder that is called like its parent."""
    folder = os.path.dirname(path)
    is_subagent = os.path.basename(os.path.dirname(folder)) == "chats"
    directories = session.metadata.get("directories")
    first = directories[0] if isinstance(directories, list) and directories else None
    contexts = (_text(m.given.get("content")) for m in session.messages.values() if m.given["type"] == "user")
    named = _DIRECTORY.search(next((text for text in contexts if text.startswith(_INJECTED[0])), ""))
    known = {name: session.metadata.get(name) for name in ("sessionId", "projectHash", "kind", "summary")}
    return {
        "record": "session",
        **{name: value if isinstance(value, str) else None for name, value in known.items()},
        "stem": os.path.splitext(os.path.basename(path))[0],
        "project": os.path.basename(os.path.dirname(os.path.dirname(folder) if is_subagent else folder)),
        "parent": os.path.basename(folder) if is_subagent else None,
        "directory": first if isinstance(first, str) else named[1].strip() if named and not is_subagent else None,
        "timestamp": _as_text(session.metadata.get("startTime")),
        "updated": _as_text(session.metadata.get("lastUpdated")),
    }


def _results(session: _Session) -> dict[str, list[Any]]:
    """Return what tools gave, by the ids of their calls, where only the message for the model has it."""
    found: dict[str, list[Any]] = {}
    for message in session.messages.values():
        for response in _responses(_parts(message.given.get("content"))):
            if isinstance(response.get("id"), str):
                found.setdefault(response["id"], [{"functionResponse": response}])
    return found


def _is_result(given: Mapping[str, Any]) -> bool:
    return bool(_responses(_parts(given.get("content"))))


def _told(message: _Message, results: Mapping[str, list[Any]], known: Collection[str]) -> dict[str, Any]:
    """Return a message with its texts apart from what is counted."""
    given = message.given
    before = message.before
    while before is not None and _is_result(before.given):
        before = before.before
    kind = given["type"]
    parts = _parts(given.get("content"))
    shown = _text(given.get("displayContent")) if kind == "user" else ""
    calls = _list(given.get("toolCalls")) if kind == "gemini" else []
    thoughts = _thoughts(given.get("thoughts"), parts) if kind == "gemini" else ""
    tokens = given.get("tokens") if kind == "gemini" else None
    responses = _responses(parts)
    is_known = bool(responses) and all(response.get("id") in known for response in responses)
    text = shown or _text(given.get("content"))
    if responses and not is_known:
        text = "\n".join([*filter(None, [text]), *(_answer(response.get("response")) for response in responses)])
    gave = [_gave(call, results) for call in calls]
    return {
        "record": "message",
        "line": message.line,
        "id": given["id"],
        "follows": None if before is None else before.given["id"],
        "timestamp": _as_text(given.get("timestamp")),
        "type": kind,
        "is_own": message.is_own,
        "is_rewound": message.is_rewound,
        "is_result": is_known,
        "is_strange_result": bool(responses) and not is_known,
        "is_injected": text.startswith(_INJECTED),
        "is_command": text.startswith(("/", "?")),
        "has_text": text != "",
        "model": given["model"] if isinstance(given.get("model"), str) else None,
        "has_thoughts": kind == "gemini" and bool(_list(given.get("thoughts"))),
        "has_tokens": tokens is not None,
        "has_odd_tokens": _are_odd(tokens),
        "tokens": {name: _count(tokens.get(name)) for name in _TOKENS} if isinstance(tokens, dict) else None,
        "calls": [
            {
                "id": _as_text(call.get("id")),
                "name": _as_text(call.get("name")),
                "status": _as_text(call.get("status")),
                "time": _as_text(call.get("timestamp")),
                "has_result": result is not None,
                "is_denied": (result or "").startswith("[Operation Cancelled] Reason: User denied"),
                "exit_code": _exit_code(call.get("name"), result),
            }
            for call, result in zip(calls, gave, strict=True)
        ],
        "content": text or None,
        "reasoning": thoughts or None,
        "arguments": [None if call.get("args") is None else _as_text(call["args"]) for call in calls],
        "results": gave,
    }


def _parts(content: Any) -> list[dict[str, Any]]:
    """Return what a message is made of: it may be a text, a part or a list of both."""
    given = content if isinstance(content, list) else [content]
    return [{"text": part} if isinstance(part, str) else part for part in given if isinstance(part, (str, dict))]


def _text(content: Any) -> str:
    """Return the text of a message; what is none is named, and its data left out."""
    return "".join(_text_of(part) for part in _parts(content))


def _text_of(part: Mapping[str, Any]) -> str:
    if isinstance(part.get("text"), str):
        return "" if part.get("thought") else str(part["text"])
    for name in ("inlineData", "fileData"):
        data = part.get(name)
        if isinstance(data, dict):
            return (
                " ".join(filter(None, ("[file", _as_text(data.get("mimeType")), _as_text(data.get("fileUri"))))) + "]"
            )
    return ""


def _thoughts(thoughts: Any, parts: Sequence[Mapping[str, Any]]) -> str:
    """Return what the model thought: what was recorded of it, else what was told to the model again."""
    told = [
        "\n".join(str(thought[name]) for name in ("subject", "description") if thought.get(name))
        for thought in _list(thoughts)
    ]
    again = [str(part.get("text", "")) for part in parts if part.get("thought")]
    return "\n\n".join(filter(None, told)) or "\n\n".join(filter(None, again))


def _gave(call: Mapping[str, Any], results: Mapping[str, list[Any]]) -> str | None:
    """Return what a call gave; several at once may each have the answers of all."""
    given = call.get("result")
    parts = _parts(given if given is not None else results.get(str(call.get("id"))))
    responses = _responses(parts)
    own = [response for response in responses if response.get("id") == call.get("id")] or responses
    if own:
        return "\n".join(_answer(response.get("response")) for response in own)
    return _text(given) if given is not None else None


def _responses(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [part["functionResponse"] for part in parts if isinstance(part.get("functionResponse"), dict)]


def _answer(response: Any) -> str:
    if not isinstance(response, dict) or not set(response) & {"output", "error"}:
        return _as_text(response) or ""
    return "\n".join(_as_text(response[name]) or "" for name in ("error", "output") if name in response)


def _exit_code(name: Any, result: str | None) -> int | None:
    """Return what the shell said; newer versions say it only where it is not 0."""
    if name != "run_shell_command" or result is None:
        return None
    said = _EXIT_CODE.search(result)
    return int(said[1]) if said else None


def _list(given: Any) -> list[dict[str, Any]]:
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _are_odd(tokens: Any) -> bool:
    if tokens is None or not isinstance(tokens, dict):
        return tokens is not None
    return any(tokens.get(name) is not None and _count(tokens[name]) is None for name in _TOKENS)


def _count(value: Any) -> int | None:
    """Return a number of tokens; what cannot be one is none."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15
    return value if is_count else None


_CALLS = (
    "STRUCT(id VARCHAR, name VARCHAR, status VARCHAR, time VARCHAR, has_result BOOLEAN, is_denied BOOLEAN, "
    "exit_code BIGINT)[]"
)

SOURCE = TreeSource(
    name="gemini_cli",
    default_paths=default_paths,
    names=("session-*.json", "*.jsonl"),
    recognises_file=recognises_file,
    records=records,
    columns={
        "record": "VARCHAR",
        "sessionId": "VARCHAR",
        "projectHash": "VARCHAR",
        "kind": "VARCHAR",
        "summary": "VARCHAR",
        "stem": "VARCHAR",
        "project": "VARCHAR",
        "parent": "VARCHAR",
        "directory": "VARCHAR",
        "updated": "VARCHAR",
        "line": "BIGINT",
        "id": "VARCHAR",
        "follows": "VARCHAR",
        "timestamp": "VARCHAR",
        "type": "VARCHAR",
        "is_own": "BOOLEAN",
        "is_rewound": "BOOLEAN",
        "is_result": "BOOLEAN",
        "is_strange_result": "BOOLEAN",
        "is_injected": "BOOLEAN",
        "is_command": "BOOLEAN",
        "has_text": "BOOLEAN",
        "model": "VARCHAR",
        "has_thoughts": "BOOLEAN",
        "has_tokens": "BOOLEAN",
        "has_odd_tokens": "BOOLEAN",
        "tokens": "STRUCT(input BIGINT, output BIGINT, cached BIGINT, thoughts BIGINT, tool BIGINT, total BIGINT)",
        "calls": _CALLS,
    },
    text_columns={
        "record": "VARCHAR",
        "content": "VARCHAR",
        "reasoning": "VARCHAR",
        "arguments": "VARCHAR[]",
        "results": "VARCHAR[]",
    },
    statements=sections(__file__),
)
