"""ChatGPT: an export, which is an archive with all conversations as one JSON text or several, or one of these alone.

The messages of a conversation are a tree. Its branches are walked here, since each message needs what came before it on
its own branch; the rest is done in SQL.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sessionlab.sources import Problem, TreeSource, sections

_NAMES = ("conversations.json", "conversations-*.json")
_HEAD_BYTES = 1 << 16
_ARCHIVE = b"PK\3\4"
_UNREADABLE = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, ValueError, struct.error)
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[\s,]*")
# Some exports have the list as a member of an object.
_WRAPPED = re.compile(r'\{\s*"conversations"\s*:\s*\[')
_MORE = ("default_model_slug", "gizmo_id", "is_archived", "voice", "conversation_origin")
_ROLES = ("system", "user", "assistant", "tool")
# What belongs to the answer that comes after it.
_THINKING = ("thoughts", "reasoning_recap")
_CONTEXTS = ("user_editable_context", "model_editable_context")
_STOPS = {"stop": "stop", "max_tokens": "length", "content_filter": "content_filter", "error": "error"}


def default_paths() -> list[str]:
    """Return nothing: an export lies where its owner has put it."""
    return []


def recognises_file(path: str, records: Sequence[Mapping[str, Any]]) -> bool | None:
    """Return whether a file is an export of ChatGPT, or one of its lists of conversations."""
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head.startswith(_ARCHIVE):
        return path.endswith(".json") and (any("mapping" in record for record in records) or _is_of_chatgpt(head))
    try:
        with zipfile.ZipFile(path) as archive:
            return any(_is_of_chatgpt(_head(archive, name)) for name in _lists_in(archive))
    except _UNREADABLE:
        # The names of its members are there even where the archive is cut off.
        return b"conversations.json" in head or b"conversations-0" in head


def _lists_in(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the lists of conversations in an archive, in order."""
    names = {name for name in archive.namelist() if _is_list(name)}
    return sorted(names)


def _is_list(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name.rpartition("/")[2], pattern) for pattern in _NAMES)


def _head(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        return member.read(_HEAD_BYTES)


def _is_of_chatgpt(head: bytes) -> bool:
    """Return whether this begins a list of conversations; other tools call theirs so too."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return start in (b"[", b"{") and b'"mapping"' in head


def records(path: str) -> Iterator[str | Problem]:
    """Yield each conversation and then its messages; each message knows what came before it by its number."""
    found: list[_Listed] = []
    with open(path, "rb") as file:
        is_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
    if is_archive:
        yield from _read_archive(path, found)
    else:
        with open(path, "rb") as file:
            yield from _read_list(file.read(), os.path.basename(path), found)
    # An export begins with the newest one.
    found.sort(key=lambda listed: listed.time)
    count = 0
    for number, listed in enumerate(found, 1):
        told = list(_conversation(listed, number, count))
        count += sum(not isinstance(record, Problem) for record in told)
        yield from told


@dataclass(frozen=True, slots=True)
class _Listed:
    """A conversation of a list, as text, since all of them at once take much room."""

    time: float
    record: str
    text: str


def _read_archive(path: str, found: list[_Listed]) -> Iterator[Problem]:
    """Add the conversations of an archive; yield what cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in _lists_in(archive):
                try:
                    data = archive.read(name)
                except _UNREADABLE as error:
                    yield Problem(record=name, reason=f"it cannot be read from the archive: {error}")
                else:
                    yield from _read_list(data, name, found)
    except _UNREADABLE as error:
        yield Problem(record="the archive", reason=f"it cannot be read: {error}")


def _read_list(data: bytes, name: str, found: list[_Listed]) -> Iterator[Problem]:
    """Add the conversations of a list; yield what is none."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    for place, (given, conversation, line) in enumerate(_listed(text)):
        record = f"{name} {place}"
        if line is not None:
            yield Problem(record=record, reason="it is no JSON, or cut off; all from here on is left out", line=line)
        elif not isinstance(conversation, dict):
            yield Problem(record=record, reason="it is no conversation; it is left out")
        elif not isinstance(conversation.get("mapping"), dict):
            yield Problem(record=record, reason="the conversation has no mapping; it is left out")
        else:
            time = _microseconds(conversation.get("create_time"))
            found.append(_Listed(-math.inf if time is None else time, record, given))


def _listed(text: str) -> Iterator[tuple[str, Any, int | None]]:
    """Yield each conversation of a list, as far as they can be read, as text and as what it says.

    The line is that of the first one that cannot be read, after which nothing comes.
    """
    at = _after_space(text, 0)
    begins_with = text[at : at + 1]
    if begins_with == "{":
        member = _WRAPPED.match(text, at)
        if member is not None:
            at, begins_with = member.end() - 1, "["
    at += begins_with == "["
    while True:
        at = start = _after_space(text, at)
        if begins_with == "[" and text[at : at + 1] == "]":
            return
        try:
            if begins_with not in ("[", "{"):
                raise ValueError(f"{begins_with!r} begins no list")
            conversation, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            yield "", None, text.count("\n", 0, at) + 1
            return
        yield text[start:at], conversation, None
        if begins_with == "{":
            return


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()


@dataclass(slots=True)
class _Node:
    """A message of a conversation.

    Attributes:
        id: Its own.
        message: It as it was exported.
        parent: The message before it on its branch that is more than a thought.
        thoughts: What was thought before it.
        number: The number of its record.
        is_current: It is on the branch that is shown.
    """

    id: str
    message: Mapping[str, Any]
    parent: _Node | None = None
    thoughts: tuple[str, ...] = ()
    number: int = 0
    is_current: bool = False

    @property
    def role(self) -> str:
        """Who says it."""
        author = self.message.get("author")
        return str(author.get("role")) if isinstance(author, dict) else ""

    @property
    def content(self) -> Mapping[str, Any]:
        """What is said."""
        content = self.message.get("content")
        return content if isinstance(content, dict) else {}

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What is told of it."""
        metadata = self.message.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    @property
    def kind(self) -> str:
        """The kind of its content."""
        return str(self.content.get("content_type"))

    @property
    def recipient(self) -> str:
        """Whom it is for."""
        return str(self.message.get("recipient") or "all")

    @property
    def is_call(self) -> bool:
        """Whether it asks for a tool."""
        return self.role == "assistant" and self.recipient != "all"

    @property
    def is_thought(self) -> bool:
        """Whether it is what an answer begins with."""
        return self.role == "assistant" and not self.is_call and self.kind in _THINKING

    @property
    def is_context(self) -> bool:
        """Whether it is what neither a person nor the model said."""
        is_hidden = self.metadata.get("is_visually_hidden_from_conversation") is True
        return self.kind in _CONTEXTS or self.role == "system" or (self.role == "user" and is_hidden)


def _conversation(listed: _Listed, number: int, count: int) -> Iterator[str | Problem]:
    """Yield a conversation and its messages, after so many records of the file."""
    given: Mapping[str, Any] = json.loads(listed.text)
    own_id = _text_or_none(given.get("conversation_id")) or _text_or_none(given.get("id"))
    if own_id is None:
        yield Problem(record=listed.record, reason="the conversation has no id; it has a made one")
    yield _as_line(
        record="conversation",
        conversation=number,
        id=own_id,
        made_id=hashlib.sha256(listed.text.encode("utf-8", "replace")).hexdigest()[:16],
        title=_text_or_none(given.get("title")),
        time=_microseconds(given.get("create_time")),
        updated=_microseconds(given.get("update_time")),
        more={name: given[name] for name in _MORE if given.get(name) not in (None, False)},
    )
    tree = _Tree(given)
    for reason in tree.problems:
        yield Problem(record=f"conversation {own_id or listed.record}", reason=reason)
    for place, node in enumerate(tree.nodes, count + 2):
        node.number = place
        yield _as_line(record="message", conversation=number, **_told(node))


class _Tree:
    """The messages of a conversation in the order of their times, each after the one that it follows."""

    def __init__(self, conversation: Mapping[str, Any]) -> None:
        self.mapping: Mapping[str, Any] = conversation["mapping"]
        self.problems: list[str] = []
        self.nodes: list[_Node] = []
        current = conversation.get("current_node")
        if current is not None and not (isinstance(current, str) and current in self.mapping):
            self.problems.append(f"the current message {current!r} is not there; no branch is told apart")
        self._add_all(self._path(current))

    def _path(self, current: Any) -> set[str] | None:
        """Return the branch that is shown; None where that is not known."""
        if not isinstance(current, str) or current not in self.mapping:
            return None
        path: set[str] = set()
        at: str | None = current
        while at is not None and at in self.mapping and at not in path:
            path.add(at)
            at = self._parent_of(at)
        return path

    def _parent_of(self, node_id: str) -> str | None:
        node = self.mapping[node_id]
        parent = node.get("parent") if isinstance(node, dict) else None
        return parent if isinstance(parent, str) else None

    def _add_all(self, path: set[str] | None) -> None:
        """Make the nodes; a thought goes on into what follows it."""
        made: dict[str | None, tuple[_Node | None, tuple[str, ...]]] = {}
        # After these the model says more.
        continued = {self._parent_of(node_id) for node_id in self.mapping if self._is_by_model(node_id)}
        for node_id in self._in_order():
            parent, thoughts = made.get(self._parent_of(node_id), (None, ()))
            message = self._message_of(node_id)
            if message is None:
                made[node_id] = parent, thoughts
                continue
            node = _Node(node_id, message, parent, thoughts, is_current=path is None or node_id in path)
            if node.is_thought and node_id in continued:
                made[node_id] = parent, (*thoughts, _text(node.content))
            else:
                self.nodes.append(node)
                made[node_id] = node, ()

    def _is_by_model(self, node_id: str) -> bool:
        node = self.mapping[node_id]
        message = node.get("message") if isinstance(node, dict) else None
        author = message.get("author") if isinstance(message, dict) else None
        return isinstance(author, dict) and author.get("role") == "assistant"

    def _message_of(self, node_id: str) -> Mapping[str, Any] | None:
        node = self.mapping[node_id]
        if not isinstance(node, dict):
            self.problems.append(f"message {node_id!r} is no object; it is left out")
            return None
        message = node.get("message")
        if message is None:
            return None
        if not isinstance(message, dict):
            self.problems.append(f"message {node_id!r} is no object; it is left out")
            return None
        author = message.get("author")
        role = author.get("role") if isinstance(author, dict) else None
        if role not in _ROLES:
            self.problems.append(f"message {node_id!r} is by {role!r}, who is not known; it is left out")
            return None
        if not isinstance(message.get("content"), dict):
            self.problems.append(f"message {node_id!r} has no content; it is left out")
            return None
        if message.get("create_time") is not None and _microseconds(message["create_time"]) is None:
            self.problems.append(f"create_time of message {node_id!r} is no time; it is NULL")
        return message

    def _in_order(self) -> list[str]:
        """Return the nodes by their times, none before its parent; one without a time comes with its parent."""
        times: dict[str | None, tuple[float, int]] = {}
        for node_id in self.mapping:
            branch: dict[str, None] = {}
            at: str | None = node_id
            while at is not None and at in self.mapping and at not in times and at not in branch:
                branch[at] = None
                at = self._parent_of(at)
            if at in branch:
                self.problems.append(f"message {at!r} follows itself; where its branch begins is not known")
            elif at is not None and at not in self.mapping:
                first = next(reversed(branch))
                self.problems.append(f"message {first!r} follows {at!r}, which is not there; a branch begins with it")
            time, depth = times.get(at, (-math.inf, 0))
            for below in reversed(branch):
                node = self.mapping[below]
                message = node.get("message") if isinstance(node, dict) else None
                own = _microseconds(message.get("create_time")) if isinstance(message, dict) else None
                time, depth = max(time, -math.inf if own is None else own), depth + 1
                times[below] = time, depth
        return sorted(self.mapping, key=times.__getitem__)


def _told(node: _Node) -> dict[str, Any]:
    """Return a message with its texts apart from what is counted."""
    text = _text(node.content)
    is_turn = node.role == "assistant" and not node.is_context and (node.is_call or node.is_thought or text != "")
    asked = _asked(node)
    sort = "context" if node.is_context else "response" if is_turn else "note" if node.role == "assistant" else "said"
    details = node.metadata.get("finish_details")
    stop = _text_or_none(details.get("type")) if isinstance(details, dict) else None
    thoughts = [*node.thoughts, text] if node.is_thought else node.thoughts
    return {
        "id": node.id,
        "time": _microseconds(node.message.get("create_time")),
        "role": node.role,
        "sort": sort,
        "parent": None if node.parent is None else node.parent.number,
        "prompt": _prompt(node),
        "asked": None if asked is None else asked.number,
        "is_current": node.is_current,
        "tool": node.recipient if node.is_call else None,
        "model": _model(node.metadata),
        "effort": _text_or_none(node.metadata.get("thinking_effort")),
        "stop": stop,
        "finish": "tool_call" if node.is_call else _STOPS.get(stop or ""),
        "duration": _duration(node.metadata.get("aggregate_result")),
        "status": _status(node) if node.role == "tool" else None,
        "content": None if node.is_call or node.is_thought else text or None,
        "reasoning": "\n\n".join(filter(None, thoughts)) or None,
        "arguments": text if node.is_call else None,
    }


def _asked(node: _Node) -> _Node | None:
    """Return the call that a tool answers."""
    if node.role != "tool":
        return None
    before = node.parent
    while before is not None and before.role in ("tool", "system"):
        before = before.parent
    return before if before is not None and before.is_call else None


def _prompt(node: _Node) -> int | None:
    """Return what a person said last on the branch."""
    at: _Node | None = node
    while at is not None and (at.role != "user" or at.is_context):
        at = at.parent
    return None if at is None else at.number


def _model(metadata: Mapping[str, Any]) -> str | None:
    """Return the model that answered, which may be another one than was chosen."""
    return _text_or_none(metadata.get("resolved_model_slug")) or _text_or_none(metadata.get("model_slug"))


def _status(node: _Node) -> str:
    run = node.metadata.get("aggregate_result")
    run = run if isinstance(run, dict) else {}
    details = node.metadata.get("finish_details")
    if run.get("timeout_triggered") is not None:
        return "timeout"
    if isinstance(details, dict) and details.get("type") == "interrupted":
        return "cancelled"
    if (
        node.kind == "system_error"
        or run.get("status") not in (None, "success")
        or node.message.get("status") == "error"
    ):
        return "error"
    return "ok"


def _duration(run: Any) -> int | None:
    """Return how long a run took, in microseconds."""
    times = [_microseconds(run.get(name)) for name in ("start_time", "end_time")] if isinstance(run, dict) else [None]
    if None in times:
        return None
    start, end = (time for time in times if time is not None)
    return end - start if end >= start else None


def _text(content: Mapping[str, Any]) -> str:
    """Return the text of a message; what is none is named, and its data left out."""
    kind = content.get("content_type")
    if kind == "thoughts":
        return "\n\n".join(filter(None, map(_thought, _list(content.get("thoughts")))))
    if kind == "user_editable_context":
        return _lines(content.get("user_profile"), content.get("user_instructions"))
    if kind == "model_editable_context":
        return _lines(content.get("model_set_context"))
    if kind == "tether_quote":
        return _lines(content.get("title"), content.get("url"), content.get("text"))
    if kind == "tether_browsing_display":
        return _lines(content.get("summary"), content.get("result"))
    if kind == "system_error":
        return _lines(content.get("name"), content.get("text"))
    if isinstance(content.get("parts"), list):
        return "\n".join(filter(None, map(_part, content["parts"])))
    return _lines(content.get("text"), content.get("content")) or ("" if kind in ("text", "code") else f"[{kind}]")


def _thought(thought: Any) -> str:
    return _lines(thought.get("summary"), thought.get("content")) if isinstance(thought, dict) else _lines(thought)


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    if isinstance(part.get("text"), str):
        return str(part["text"])
    kind = _text_or_none(part.get("content_type")) or "part"
    return f"[{kind.removesuffix('_asset_pointer')}]"


def _lines(*texts: Any) -> str:
    return "\n".join(text for text in texts if isinstance(text, str) and text)


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _microseconds(seconds: Any) -> int | None:
    """Return a time; what cannot be one is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 10**11:
        return None
    return round(seconds * 1_000_000)


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _as_line(**members: Any) -> str:
    return json.dumps(members, ensure_ascii=False)


SOURCE = TreeSource(
    name="chatgpt",
    default_paths=default_paths,
    names=(*_NAMES, "*.zip"),
    recognises_file=recognises_file,
    records=records,
    columns={
        "record": "VARCHAR",
        "conversation": "BIGINT",
        "id": "VARCHAR",
        "made_id": "VARCHAR",
        "title": "VARCHAR",
        "time": "BIGINT",
        "updated": "BIGINT",
        "more": "JSON",
        "role": "VARCHAR",
        "sort": "VARCHAR",
        "parent": "BIGINT",
        "prompt": "BIGINT",
        "asked": "BIGINT",
        "is_current": "BOOLEAN",
        "tool": "VARCHAR",
        "model": "VARCHAR",
        "effort": "VARCHAR",
        "stop": "VARCHAR",
        "finish": "VARCHAR",
        "duration": "BIGINT",
        "status": "VARCHAR",
    },
    text_columns={
        "record": "VARCHAR",
        "content": "VARCHAR",
        "reasoning": "VARCHAR",
        "arguments": "VARCHAR",
    },
    statements=sections(__file__),
)
