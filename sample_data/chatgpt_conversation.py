"""Play ChatGPT: the tree of messages that an export holds of a conversation, in the shapes of its years."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vocabulary import uuid4

if TYPE_CHECKING:
    import random

_STOPS = {"text": 200002, "code": 200012}


@dataclass(slots=True, kw_only=True)
class Totals:
    """What is true of a conversation."""

    prompts: int = 0
    turns: int = 0
    calls: int = 0
    answered: int = 0


@dataclass(slots=True)
class Conversation:
    """A conversation while it goes on; all chance comes from `chance`.

    Attributes:
        now: The time, in seconds.
        at: The node after which the next message comes.
        mapping: The nodes.
        totals: What is true of it.
    """

    chance: random.Random
    title: str
    now: float
    model: str = "gpt-5-2-thinking"
    effort: str | None = None
    at: str = "client-created-root"
    mapping: dict[str, Any] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    conversation_id: str = ""
    started: float = 0

    def __post_init__(self) -> None:
        self.conversation_id = uuid4(self.chance)
        self.started = self.now
        self.mapping[self.at] = {"id": self.at, "message": None, "parent": None, "children": []}
        self.put("system", {"content_type": "text", "parts": [""]}, when=None, weight=0.0, hidden=True)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now = round(self.now + seconds + self.chance.random(), 6)

    def put(
        self,
        role: str,
        content: Any,
        *,
        name: str | None = None,
        recipient: str = "all",
        when: Any = ...,
        weight: float = 1.0,
        hidden: bool = False,
        status: str = "finished_successfully",
        end_turn: bool | None = None,
        channel: str | None = None,
        **metadata: Any,
    ) -> str:
        """Add a message after the newest one; return its id."""
        node = uuid4(self.chance)
        more = {"is_visually_hidden_from_conversation": True} if hidden else {}
        message = {
            "id": node,
            "author": {"role": role, "name": name, "metadata": {}},
            "create_time": self.now if when is ... else when,
            "update_time": None,
            "content": content,
            "status": status,
            "end_turn": end_turn,
            "weight": weight,
            "metadata": more | metadata,
            "recipient": recipient,
            "channel": channel,
        }
        self.mapping[node] = {"id": node, "message": message, "parent": self.at, "children": []}
        self.mapping[self.at]["children"].append(node)
        self.at = node
        return node

    def instruct(self, about: str, how: str) -> None:
        """Tell what the user has set down about themselves and about answers."""
        content = {"content_type": "user_editable_context", "user_profile": about, "user_instructions": how}
        told = {"about_user_message": about, "about_model_message": how}
        self.put("user", content, when=None, hidden=True, is_user_system_message=True, user_context_message_data=told)

    def user(self, *parts: Any, **metadata: Any) -> str:
        """Ask something; what is no text is an attachment."""
        self.wait(30)
        self.totals.prompts += 1
        kind = "text" if all(isinstance(part, str) for part in parts) else "multimodal_text"
        return self.put("user", {"content_type": kind, "parts": list(parts)}, **metadata)

    def think(self, *thoughts: tuple[str, str], seconds: int = 0) -> None:
        """Think aloud, and say how long that took."""
        self.wait(4)
        told = [{"summary": s, "content": c, "chunks": [], "finished": True} for s, c in thoughts]
        content = {"content_type": "thoughts", "thoughts": told, "source_analysis_msg_id": uuid4(self.chance)}
        self.put("assistant", content, end_turn=False, **self._meant(reasoning_status="is_reasoning"))
        if seconds:
            recap = {"content_type": "reasoning_recap", "content": f"Thought for {seconds}s"}
            ended = self._meant(reasoning_status="reasoning_ended", finished_duration_sec=seconds)
            self.put("assistant", recap, end_turn=False, **ended)

    def answer(self, *parts: Any, stop: str | None = "stop", **more: Any) -> str:
        """Answer."""
        self.wait(3)
        self.totals.turns += 1
        details = {} if stop is None else {"finish_details": {"type": stop, "stop_tokens": [_STOPS["text"]]}}
        kind = "text" if all(isinstance(part, str) for part in parts) else "multimodal_text"
        return self.put(
            "assistant", {"content_type": kind, "parts": list(parts)}, end_turn=True, **self._meant(**details), **more
        )

    def call(self, recipient: str, text: str, *, language: str | None = "unknown") -> str:
        """Call a tool; a language says that it is code."""
        self.wait(2)
        self.totals.turns += 1
        self.totals.calls += 1
        content: dict[str, Any] = {"content_type": "text", "parts": [text]}
        if language is not None:
            content = {"content_type": "code", "language": language, "response_format_name": None, "text": text}
        details = {"type": "stop", "stop_tokens": [_STOPS["code"]]}
        return self.put(
            "assistant", content, recipient=recipient, end_turn=False, **self._meant(finish_details=details)
        )

    def result(self, name: str, content: Any, *, is_first: bool = True, **metadata: Any) -> str:
        """Let a tool answer; it may do so in several messages."""
        self.wait(1)
        self.totals.answered += is_first
        body = {"content_type": "text", "parts": [content]} if isinstance(content, str) else content
        return self.put("tool", body, name=name, **metadata)

    def ran(self, code: str, output: str, *, status: str = "success", seconds: float = 0.75) -> str:
        """Run Python for the last call."""
        aggregate = {
            "status": status,
            "run_id": uuid4(self.chance),
            "start_time": self.now,
            "end_time": self.now + seconds,
            "code": code,
            "in_kernel_exception": {"name": "ValueError"} if status == "failed_with_in_kernel_exception" else None,
            "system_exception": None,
            "timeout_triggered": None,
            "messages": [],
            "jupyter_messages": [],
        }
        content = {"content_type": "execution_output", "text": output}
        return self.result("python", content, aggregate_result=aggregate, is_complete=True)

    def as_exported(self, **changes: Any) -> dict[str, Any]:
        """Return the conversation as the export holds it; its nodes are in no order."""
        nodes = list(self.mapping)
        self.chance.shuffle(nodes)
        return {
            "title": self.title,
            "create_time": self.started,
            "update_time": self.now,
            "mapping": {node: self.mapping[node] for node in nodes},
            "moderation_results": [],
            "current_node": self.at,
            "plugin_ids": None,
            "conversation_id": self.conversation_id,
            "conversation_template_id": None,
            "gizmo_id": None,
            "gizmo_type": None,
            "is_archived": False,
            "is_starred": None,
            "safe_urls": [],
            "blocked_urls": [],
            "default_model_slug": self.model,
            "conversation_origin": None,
            "voice": None,
            "async_status": None,
            "id": self.conversation_id,
        } | changes

    def _meant(self, **more: Any) -> dict[str, Any]:
        meant = {"model_slug": self.model, "default_model_slug": "auto", "message_type": "next", "parent_id": self.at}
        return meant | ({} if self.effort is None else {"thinking_effort": self.effort}) | more


def dumps(value: Any) -> str:
    """Return JSON as the export has it."""
    return json.dumps(value, ensure_ascii=True)
