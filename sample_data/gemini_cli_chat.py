"""Play the Gemini CLI: the lines that it appends to the file of a session, in the shapes of its versions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from vocabulary import HOME, uuid4

if TYPE_CHECKING:
    import random

PRO, FLASH = "gemini-3.1-pro-preview", "gemini-3-flash-preview"
_CONTEXT_ID = "d04923d38bb0f6017037e74183378ef4"  # the tool's own, the same in every session
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TOOLS = {
    "bash": ("run_shell_command", "Shell"),
    "edit": ("replace", "Edit"),
    "grep": ("search_file_content", "SearchText"),
    "list_folder": ("list_directory", "ReadFolder"),
    "read_file": ("read_file", "ReadFile"),
    "web_search": ("google_web_search", "GoogleSearch"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a tool and what comes of it; a call without `output` and `error` is never answered."""

    tool: str
    arguments: dict[str, Any]
    output: str | None = None
    error: str | None = None
    status: str = "success"
    agent: str | None = None


@dataclass(slots=True, kw_only=True)
class Totals:
    """What is true of a session, however often its records are written again."""

    prompts: int = 0
    turns: int = 0
    calls: int = 0
    answered: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(slots=True, kw_only=True)
class _Message:
    """A message as it was last written, and whether the tool still has it."""

    record: dict[str, Any]
    has_gone: bool = False


@dataclass(slots=True)
class Chat:
    """Plays the tool in one session; all chance comes from `chance`."""

    chance: random.Random
    project: str
    now_ms: int
    model: str = PRO
    kind: str | None = "main"  # older versions did not tell
    session_id: str = ""
    directories: list[str] | None = None
    lines: list[str] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)
    messages: list[_Message] = field(default_factory=list)
    context: int = 7000
    cached: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session_id = self.session_id or uuid4(self.chance)
        self.metadata = self._metadata()

    def begin(self) -> None:
        """Write the first lines of a file."""
        self.append(self.metadata)
        if self.kind == "main":
            self.set_messages([self._told_about_the_session()])

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += round(seconds * 1000) + self.chance.randint(1, 60)

    def append(self, record: dict[str, Any]) -> None:
        """Add a line."""
        self.lines.append(dumps(record))

    def set(self, **members: Any) -> None:
        """Change what is known of the session."""
        self.append({"$set": members})

    def user(self, content: Any, *, display: str | None = None) -> str:
        """Say something, or run one of the tool's own commands; return the message's id."""
        self.wait(self.chance.uniform(5, 40))
        is_plain = not isinstance(content, str) or self.kind is None
        parts = content if is_plain else [{"text": content}]
        more = {} if display is None else {"displayContent": [{"text": display}]}
        return self._push({"type": "user", "content": parts} | more)

    def prompt(self, content: Any, *, display: str | None = None) -> str:
        """Ask the model something."""
        self.totals.prompts += 1
        return self.user(content, display=display)

    def note(self, kind: str, content: Any) -> str:
        """Tell the user something: `info`, `warning` or `error`."""
        self.wait(0.2)
        return self._push({"type": kind, "content": content})

    def respond(self, text: str, *calls: Call, thoughts: tuple[str, ...] = (), tool: int = 0) -> None:
        """Answer, and call tools: the message is written, and again with its calls when they are done."""
        used = self._used(text, len(calls), thoughts, tool)
        self.totals.input_tokens += used["input"] + used["tool"]
        self.totals.output_tokens += used["output"] + used["thoughts"]
        self.totals.cached_tokens += used["cached"]
        self.totals.reasoning_tokens += used["thoughts"]
        self.answer(text, tokens=used, thoughts=thoughts)
        if calls:
            self.call(*calls)

    def answer(self, text: str, *, tokens: Any, thoughts: tuple[str, ...] = ()) -> None:
        """Answer, with whatever is to be recorded as its usage."""
        self.wait(self.chance.uniform(1, 6))
        thinking = [self._thought(number, thought) for number, thought in enumerate(thoughts)]
        body = {"type": "gemini", "content": text, "thoughts": thinking, "tokens": tokens, "model": self.model}
        self._push(body)
        self.totals.turns += 1

    def say_for_the_model(self, content: Any) -> None:
        """Record what stands in the place of an answer that never came."""
        self._push({"type": "gemini", "content": content, "thoughts": [], "tokens": None})

    def call(self, *calls: Call) -> None:
        """Run tools for the last message and tell the model what they gave."""
        made = [self._called(call) for call in calls]
        self.append(self.messages[-1].record | {"toolCalls": made})
        self.messages[-1].record["toolCalls"] = made
        self.totals.calls += len(made)
        self.totals.answered += sum(record["result"] is not None for record in made)
        parts = [part for record in made for part in record["result"] or ()]
        if parts and self.kind is not None:
            self._push({"type": "user", "content": parts})

    def rewind(self, message_id: str) -> None:
        """Take back everything from a message on; the tool forgets all if it does not know it."""
        self.wait(20)
        ids = [message.record["id"] for message in self.messages]
        for message in self.messages[ids.index(message_id) if message_id in ids else 0 :]:
            message.has_gone = True
        self.messages = [message for message in self.messages if not message.has_gone]
        self.append({"$rewindTo": message_id})

    def resume(self) -> None:
        """Go on the next day: everything is written once more as the model sees it, without what it cost."""
        self.wait(20 * 3600)
        self.append(self._metadata())
        self.set_messages([self._told_about_the_session()])
        self.set(sessionId=self.session_id)
        history = [self._told_about_the_session()]
        for message in self.messages:
            record = message.record
            if record["type"] not in ("user", "gemini") or record["id"] == _CONTEXT_ID:
                continue
            history.append({name: record[name] for name in ("id", "timestamp", "type", "content")})
            if record["type"] == "gemini":
                history[-1]["content"] = self._as_parts(record)
                results = [part for call in record.get("toolCalls", ()) for part in call["result"] or ()]
                if results:
                    again = f"{record['id']}_response"
                    history.append({"id": again, "timestamp": "", "type": "user", "content": results})
        self.set_messages([record | {"timestamp": self.clock()} for record in history])

    def compress(self, keep: int) -> None:
        """Put a summary in the place of all but the newest messages; what was there is in no later list."""
        self.wait(8)
        first = {"type": "user", "content": [{"text": "<state_snapshot>\nThe build is fixed.\n</state_snapshot>"}]}
        second = {"type": "gemini", "content": [{"text": "Got it. Thanks for the additional context!"}]}
        made = [{"id": uuid4(self.chance), "timestamp": self.clock()} | body for body in (first, second)]
        kept = [dict(message.record) for message in self.messages[-keep:]]
        for record in kept:
            # What tools gave is hidden from the model later on, and so in this copy of it.
            record["toolCalls"] = [_masked(call) for call in record.pop("toolCalls", ())]
        self.set_messages([*made, *kept])

    def set_messages(self, messages: list[dict[str, Any]]) -> None:
        """Write a list that takes the place of all messages."""
        self.set(messages=messages, lastUpdated=self.clock())

    def clock(self) -> str:
        """Return the time as the tool writes it."""
        return clock(self.now_ms)

    def whole(self) -> str:
        """Return the session as older versions wrote it: one JSON text, written anew each time."""
        session = self.metadata | {"lastUpdated": self.clock(), "messages": [m.record for m in self.messages]}
        return json.dumps({name: value for name, value in session.items() if value is not None}, indent=2)

    def _metadata(self) -> dict[str, Any]:
        known = {
            "sessionId": self.session_id,
            "projectHash": project_hash(self.project),
            "startTime": self.clock(),
            "lastUpdated": self.clock(),
            "kind": self.kind,
            "directories": self.directories,
        }
        return {name: value for name, value in known.items() if value is not None}

    def _told_about_the_session(self) -> dict[str, Any]:
        text = (
            "<session_context>\nThis is the Gemini CLI. We are setting up the context for our chat.\n"
            f"Today's date is Monday.\n- **Workspace Directories:**\n  - {HOME}/{self.project}\n</session_context>"
        )
        return {"id": _CONTEXT_ID, "timestamp": self.clock(), "type": "user", "content": [{"text": text}]}

    def _push(self, body: dict[str, Any]) -> str:
        record = {"id": uuid4(self.chance), "timestamp": self.clock()} | body
        self.messages.append(_Message(record=record))
        self.append(record)
        self.set(lastUpdated=self.clock())
        return str(record["id"])

    def _thought(self, number: int, text: str) -> dict[str, Any]:
        return {"subject": f"Step {number + 1}", "description": text, "timestamp": self.clock()}

    def _used(self, text: str, call_count: int, thoughts: tuple[str, ...], tool: int) -> dict[str, int]:
        output = 12 + len(text) // 4 + 18 * call_count
        thinking = sum(60 + len(thought) for thought in thoughts)
        used = {"input": self.context, "output": output, "cached": self.cached, "thoughts": thinking, "tool": tool}
        self.cached = self.context // 1024 * 1024
        self.context += output + 90 + self.chance.randint(0, 400)
        return used | {"total": used["input"] + output + thinking + tool}

    def _called(self, call: Call) -> dict[str, Any]:
        self.wait(self.chance.uniform(0.1, 3))
        name, shown = _TOOLS.get(call.tool, (call.tool, call.tool))
        call_id = f"{name}_{self.now_ms}_{self.totals.calls}"
        given: dict[str, Any] = {} if call.output is None else {"output": call.output}
        if call.error is not None:
            given["error"] = call.error
        response: dict[str, Any] = {"functionResponse": {"id": call_id, "name": name, "response": given}}
        record: dict[str, Any] = {"id": call_id, "name": name, "args": call.arguments}
        record |= {"result": [response] if given else None, "status": call.status, "timestamp": self.clock()}
        if call.agent is not None:
            record["agentId"] = call.agent
        return record | {"resultDisplay": call.output or "", "description": "", "displayName": shown}

    def _as_parts(self, record: dict[str, Any]) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = [
            {"text": f"**{t['subject']}** {t['description']}", "thought": True} for t in record["thoughts"]
        ]
        if record["content"]:
            parts.append({"text": record["content"]})
        for call in record.get("toolCalls", ()):
            parts.append({"functionCall": {name: call[name] for name in ("id", "name", "args")}})
        return parts


def _masked(call: dict[str, Any]) -> dict[str, Any]:
    response = {"id": call["id"], "name": call["name"], "response": {"output": "<tool_output_masked>"}}
    return call | {"result": [{"functionResponse": response}]}


def dumps(value: Any) -> str:
    """Return JSON as the tool writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def clock(milliseconds: int) -> str:
    """Return a time as the tool writes it."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]}.{rest:03d}Z"


def project_hash(project: str) -> str:
    """Return what older versions call a project's folder."""
    return hashlib.sha256(f"{HOME}/{project}".encode()).hexdigest()
