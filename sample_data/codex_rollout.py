"""Play a session of Codex CLI: the lines that a run of it leaves in a rollout file, in each age of the format."""

from __future__ import annotations

import json
import os
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from vocabulary import HOME, microseconds, uuid4, uuid7

if TYPE_CHECKING:
    import random
    from datetime import datetime

# The members of a usage, and how its total is called.
_PARTS = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")
_WINDOW = 272_000
_INSTRUCTIONS = "You are a coding agent that runs in a terminal. Be brief, and test what you change."
_RULES = "<permissions instructions>\nFilesystem sandboxing is `workspace-write`.\n</permissions instructions>"

# The ages of the format, by the version that wrote them.
BARE = "0.20.0"  # a bare first line, and bare items
EARLY = "0.34.0"  # lines with a payload; a total stands before what it counts, and a context does not say the model
WRAPPED = "0.118.0"
PAGED = "0.169.0"  # lines are numbered, what is complete is said once, and each response has a usage of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One call of a tool and what comes of it; without an output nothing answers it."""

    kind: str = "function"  # or custom, shell, search, mcp
    name: str = "exec_command"
    arguments: Any = None
    output: Any = None
    exit_code: int | None = None
    seconds: float = 0.4


def dumps(value: Any) -> str:
    """Return compact JSON, as it is written."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def usage(input_tokens: int, cached: int, output: int, reasoning: int = 0) -> dict[str, int]:
    """Return what one response used; cached tokens are of the input, and reasoning of the output."""
    counts = dict(zip(_PARTS, (input_tokens, cached, output, reasoning), strict=True))
    return {**counts, "total_tokens": input_tokens + output}


class Rollout:
    """One session in one file; all chance comes from `chance`."""

    def __init__(
        self,
        chance: random.Random,
        start: datetime,
        *,
        version: str = WRAPPED,
        project: str = "harbor",
        model: str | None = "gpt-5.3-codex",
        effort: str | None = "medium",
        archived: bool = False,
        source: Any = "cli",
    ) -> None:
        self.chance = chance
        self.version = version
        self.cwd = f"{HOME}/{project}"
        self.model = model
        self.effort = effort
        self.archived = archived
        self.source = source
        self.started = self.now = start.replace(microsecond=start.microsecond // 1000 * 1000)
        self.id = uuid4(chance) if version == BARE else uuid7(chance, microseconds(start) // 1000)
        self.lines: list[dict[str, Any] | str] = []
        self.totals = usage(0, 0, 0)
        self.turn_id: str | None = None
        self.own: Counter[str] = Counter()  # what a reader should find
        self.has_end = True
        self.has_told = True
        self.first_ordinal = 0

    @property
    def name(self) -> str:
        """Where the file lies in the tool's folder."""
        file = f"rollout-{self.started:%Y-%m-%dT%H-%M-%S}-{self.id}.jsonl"
        return os.path.join("archived_sessions", file) if self.archived else os.path.join(self._day, file)

    @property
    def _day(self) -> str:
        return os.path.join("sessions", f"{self.started:%Y}", f"{self.started:%m}", f"{self.started:%d}")

    @property
    def is_paged(self) -> bool:
        """Whether lines are numbered."""
        return self.version == PAGED

    def text(self) -> str:
        """Return the file."""
        told = [line if isinstance(line, str) else dumps(line) for line in self.lines]
        return "\n".join(told) + ("\n" if self.has_end else "")

    # What is written

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(milliseconds=round(seconds * 1000))

    def stamp(self) -> str:
        """Return the time as lines have it."""
        return f"{self.now:%Y-%m-%dT%H:%M:%S}.{self.now.microsecond // 1000:03d}Z"

    def write(self, line_type: str, payload: dict[str, Any]) -> None:
        """Write one line; the oldest files have the items alone."""
        if self.version == BARE:
            if line_type == "response_item":
                self.lines.append(payload)
            return
        number = {"ordinal": self.first_ordinal + len(self.lines)} if self.is_paged else {}
        self.lines.append({"timestamp": self.stamp(), **number, "type": line_type, "payload": payload})

    def event(self, event_type: str, **members: Any) -> None:
        """Write what happened."""
        self.write("event_msg", {"type": event_type, **members})

    def item(self, item_type: str, *, kind: str | None = None, **members: Any) -> None:
        """Write what went to the model or came from it; the newest age says of what kind it is."""
        kinds = {} if kind is None else {"content_item_kinds": [kind]}
        told = {"internal_chat_message_metadata_passthrough": {"turn_id": self.turn_id, **kinds}}
        self.write("response_item", {"type": item_type, **members, **(told if self.is_paged else {})})

    def completed(self, item_type: str, **members: Any) -> None:
        """Write what is complete, as the newest age says it."""
        item = {"type": item_type, **members}
        at = microseconds(self.now) // 1000
        self.event("item_completed", thread_id=self.id, turn_id=self.turn_id, item=item, completed_at_ms=at)

    def begin(self, **members: Any) -> None:
        """Write the first line, and what the tool tells the model before any prompt."""
        self.write_meta(**members)
        if self.is_paged:
            self.has_told = False  # it does so when a task has begun
        else:
            self.write_envelopes()

    def write_meta(self, **members: Any) -> None:
        """Write the first line."""
        meta: dict[str, Any] = {"id": self.id, "timestamp": self.stamp()}
        git = {"commit_hash": "3f1c0de", "branch": "main", "repository_url": "https://git.example/ada/harbor.git"}
        if self.version == BARE:
            self.lines += [{**meta, "instructions": _INSTRUCTIONS, "git": git, **members}, {"record_type": "state"}]
            return
        if self.is_paged:
            meta = {"session_id": self.id, **meta}
        meta |= {"cwd": self.cwd, "originator": "codex_cli_rs", "cli_version": self.version}
        if self.version == EARLY:
            meta |= {"instructions": _INSTRUCTIONS}
        else:
            meta |= {"source": self.source, "model_provider": "openai", "base_instructions": {"text": _INSTRUCTIONS}}
        if self.is_paged:
            meta |= {"thread_source": "user", "history_mode": "paginated", "memory_mode": "enabled"}
        self.write("session_meta", {**meta, **members, "git": git})

    def write_envelopes(self) -> None:
        """Write what the tool says in the user's and the developer's name."""
        if self.version == BARE:
            self._tell("user", f"<user_instructions>\n\n{_INSTRUCTIONS}\n\n</user_instructions>")
        else:
            if self.version != EARLY:
                self._tell("developer", _RULES, kind="permissions.instructions")
            rules = f"# AGENTS.md instructions for {self.cwd}\n\n<INSTRUCTIONS>\nBe kind.\n</INSTRUCTIONS>"
            self._tell("user", rules, kind="agents_md.instructions")
        place = f"<environment_context>\n  <cwd>{self.cwd}</cwd>\n  <shell>bash</shell>\n</environment_context>"
        self._tell("user", place, kind="environments.environment_context")

    def _tell(self, role: str, text: str, kind: str = "unknown") -> None:
        content = [{"type": "output_text" if role == "assistant" else "input_text", "text": text}]
        named: dict[str, Any] = {"id": None} if self.version == BARE else {}
        self.item("message", kind=kind, **named, role=role, content=content)

    def context(self) -> None:
        """Write what the coming responses are asked with."""
        told: dict[str, Any] = {} if self.version == EARLY else {"turn_id": self.turn_id}
        told |= {"cwd": self.cwd, "approval_policy": "on-request", "sandbox_policy": {"type": "workspace-write"}}
        if self.model is not None and self.version != EARLY:
            told["model"] = self.model
        if self.effort is not None:
            told["effort"] = self.effort
        self.write("turn_context", {**told, "summary": "auto"})

    def prompt(self, text: str, *, seconds: float = 20) -> None:
        """Say what a human says; the text is there twice."""
        self.wait(seconds)
        self.turn_id = uuid7(self.chance, microseconds(self.now) // 1000)
        if self.version != EARLY:
            self.event("task_started", turn_id=self.turn_id, model_context_window=_WINDOW)
        if self.is_paged:
            if not self.has_told:
                self.write_envelopes()
                self.write("world_state", {"full": True, "state": {"agents_md": {}, "model": self.model}})
                self.has_told = True
            self.context()
            self._tell("user", text, kind="user.text")
            said = [{"type": "text", "text": text, "text_elements": []}]
            self.completed("UserMessage", id=uuid4(self.chance), content=said)
        elif self.version == EARLY:
            self._tell("user", text)
            self.event("user_message", message=text, kind="plain")
            self.context()
        else:
            self.context()
            self._tell("user", text)
            self.event("user_message", message=text, images=[], local_images=[], text_elements=[])

    def respond(
        self,
        text: str | None,
        *uses: Use,
        reasoning: str | None = None,
        used: dict[str, int] | None = None,
        counted: bool = True,
        seconds: float = 6,
    ) -> None:
        """Let the model respond, then run what it asks for; a response that is not counted leaves no numbers."""
        self.wait(seconds)
        self.own["turns"] += 1
        numbers = used if used is not None else self._used(text or "")
        is_counted = counted and self.version != BARE
        if self.version in (EARLY, WRAPPED):
            self._say_at_once(text, reasoning)
        if is_counted and self.version == EARLY:
            self.count(numbers)
        if reasoning is not None:
            self._reason(reasoning)
        if text is not None:
            self._say(text, is_last=not uses)
        if self.version == EARLY:
            for use in uses:  # a call is written with its result
                self._answer(use, self._ask(use))
            return
        call_ids = [self._ask(use) for use in uses]
        if is_counted:
            self.count(numbers)
        for use, call_id in zip(uses, call_ids, strict=True):
            self._answer(use, call_id)
        if is_counted and self.is_paged:
            self.show_count(numbers)

    def _say_at_once(self, text: str | None, reasoning: str | None) -> None:
        """Show what comes from the model before it is written as an item."""
        if reasoning:
            self.event("agent_reasoning", text=reasoning)
        if text is not None:
            self.event("agent_message", message=text)

    def _reason(self, reasoning: str) -> None:
        summary = [{"type": "summary_text", "text": reasoning}] if reasoning else []
        named = {"id": f"rs_{self.chance.getrandbits(64):x}"} if self.version in (BARE, PAGED) else {}
        if self.is_paged:
            self.completed("Reasoning", **named, summary_text=[reasoning], raw_content=[])
        sealed = "aW52ZW50ZWQ" + "A" * 60
        self.item("reasoning", **named, summary=summary, content=None, encrypted_content=sealed)

    def _say(self, text: str, *, is_last: bool) -> None:
        if self.is_paged:
            said = [{"type": "Text", "text": text}]
            phase = "final_answer" if is_last else "commentary"
            self.completed("AgentMessage", id=f"msg_{self.chance.getrandbits(64):x}", phase=phase, content=said)
        self._tell("assistant", text)

    def _ask(self, use: Use) -> str:
        call_id = f"call_{self.chance.getrandbits(96):024x}"
        if use.kind == "custom":
            self.item("custom_tool_call", status="completed", call_id=call_id, name=use.name, input=use.arguments)
        elif use.kind == "shell":
            action = {"type": "exec", "command": use.arguments, "timeout_ms": 10_000, "working_directory": self.cwd}
            self.item("local_shell_call", call_id=call_id, status="completed", action=action)
        elif use.kind == "search":
            self.item("web_search_call", status="completed", action={"type": "search", "query": use.arguments})
        else:
            arguments = use.arguments if isinstance(use.arguments, str) else dumps(use.arguments)
            self.item("function_call", name=use.name, arguments=arguments, call_id=call_id)
        return call_id

    def _answer(self, use: Use, call_id: str) -> None:
        if use.output is None:
            return
        self.wait(use.seconds)
        took = {"secs": int(use.seconds), "nanos": round(use.seconds % 1 * 1e9)}
        if use.kind in ("function", "shell") and use.name == "exec_command":
            self._tell_end(use, call_id, took)
        if self.version == WRAPPED and use.name == "apply_patch":
            worked = not use.exit_code
            status = "completed" if worked else "failed"
            self.event("patch_apply_end", call_id=call_id, stdout="", stderr="", success=worked, status=status)
        if self.version == WRAPPED and use.kind == "mcp":
            server, tool = use.name.removeprefix("mcp__").split("__")
            result = {"Err" if use.exit_code else "Ok": {"content": [{"type": "text", "text": str(use.output)}]}}
            invocation = {"server": server, "tool": tool, "arguments": use.arguments}
            self.event("mcp_tool_call_end", call_id=call_id, invocation=invocation, duration=took, result=result)
        kind = "custom_tool_call_output" if use.kind == "custom" else "function_call_output"
        self.item(kind, call_id=call_id, output=use.output)

    def _tell_end(self, use: Use, call_id: str, took: dict[str, int]) -> None:
        """Say how a command ended."""
        text = use.output if isinstance(use.output, str) else dumps(use.output)
        status = "failed" if use.exit_code else "completed"
        ended: dict[str, Any] = {
            "command": ["bash", "-lc", "true"],
            "cwd": self.cwd,
            "aggregated_output": text,
            "status": status,
        }
        ended["exit_code"] = use.exit_code or 0
        if self.is_paged:
            self.completed("CommandExecution", id=call_id, **ended, duration=took)
        elif self.version == WRAPPED:
            self.event("exec_command_end", call_id=call_id, turn_id=self.turn_id, **ended, duration=took)

    def _used(self, text: str) -> dict[str, int]:
        """Return what a response may have used: all that was said before, most of it cached."""
        said = 3_000 + len(self.text()) // 4
        cached = min(said, self.own["turns"] * 640) // 128 * 128
        reasoning = self.chance.choice((0, 64, 128, 192))
        return usage(said, cached, reasoning + 12 + len(text) // 4, reasoning)

    def count(self, used: dict[str, int]) -> None:
        """Note what a response used."""
        for part in _PARTS:
            self.own[part] += used[part]
        self.totals = {part: self.totals[part] + used[part] for part in self.totals}
        if self.is_paged:
            record = {
                "session_id": self.id,
                "thread_id": self.id,
                "turn_id": self.turn_id,
                "root_turn_id": self.turn_id,
            }
            record["response_id"] = f"resp_{self.chance.getrandbits(96):024x}"
            told = {"usage": used, "turn_token_usage": used, "thread_token_usage": dict(self.totals)}
            self.write("token_usage_record", {**record, **told})
        else:
            self.show_count(used)

    def show_count(self, last: dict[str, int] | None) -> None:
        """Show the running total, which may be the same one as before; without numbers there are the limits alone."""
        day = microseconds(self.now) // 86_400_000_000 * 86_400
        limits = {
            "primary": {"used_percent": 12.0, "window_minutes": 299, "resets_at": day + 86_400},
            "secondary": None,
        }
        info = {"total_token_usage": dict(self.totals), "last_token_usage": last, "model_context_window": _WINDOW}
        self.event("token_count", info=None if last is None else info, rate_limits=limits)

    def reset(self) -> None:
        """Let the counter begin anew, as after a context that did not fit."""
        self.totals = usage(0, 0, 0)
        info = {"total_token_usage": {**self.totals, "total_tokens": _WINDOW}, "last_token_usage": usage(0, 0, 0)}
        self.event("token_count", info={**info, "model_context_window": _WINDOW}, rate_limits=None)

    def end(self, answer: str | None = None) -> None:
        """End the task that a prompt began."""
        self.wait(0.1)
        if self.version != EARLY:
            timing = {"duration_ms": 9_400, "time_to_first_token_ms": 812}
            self.event("task_complete", turn_id=self.turn_id, last_agent_message=answer, **timing)

    def compact(self, summary: str, *, replaced: bool) -> None:
        """Put a summary in the place of what was said."""
        self.wait(3)
        history = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": summary}]}]
        self.write("compacted", {"message": summary, **({"replacement_history": history} if replaced else {})})
        if self.is_paged:
            self.completed("ContextCompaction", id=uuid4(self.chance))
        else:
            self.event("context_compacted")

    # What is copied

    def follow(self, parent: Rollout) -> None:
        """Go on from another file where it ends, without a copy of it."""
        self.first_ordinal = parent.first_ordinal + len(parent.lines)
        base = {"thread_id": parent.id, "end_ordinal_exclusive": self.first_ordinal}
        base["end_byte_offset"] = len(parent.text().encode())
        self.write_meta(forked_from_id=parent.id, forked_from_ordinal_exclusive=self.first_ordinal, history_base=base)
        self.totals = dict(parent.totals)

    def replay(self, parent: Rollout, *, until: int | None = None, filtered: bool = False) -> None:
        """Begin with what another file holds: its first line, then everything, with new times.

        Args:
            parent: The other session.
            until: The number of its lines that are copied; all without it.
            filtered: Leave out what an agent's agent is not told, as calls and contexts.
        """
        for line in parent.lines[:until]:
            if isinstance(line, str) or (filtered and not _is_for_agents(line)):
                continue
            copy = {**deepcopy(line), "timestamp": self.stamp()}
            self.lines.append(copy)
            if line["type"] == "event_msg" and line["payload"]["type"] == "token_count" and line["payload"]["info"]:
                self.totals = dict(line["payload"]["info"]["total_token_usage"])


def _is_for_agents(line: dict[str, Any]) -> bool:
    payload = line["payload"]
    if line["type"] == "response_item":
        return bool(payload["type"] == "message" and payload["role"] != "assistant")
    return line["type"] not in ("turn_context", "token_usage_record", "world_state")
