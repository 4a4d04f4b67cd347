"""What a session's messages are for a model: the branch so far, in the form of an API, within a budget."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sessionlab.errors import RecordingError
from sessionlab.model import Message, Session, ToolCall, to_json

Format = Literal["openai", "anthropic"]
Count = Callable[[str], int]

NO_RESULT = "[no result was recorded]"
NO_OUTPUT = "[no output]"
NO_PROMPT = "[no prompt was recorded]"
_GOOD_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")  # OpenAI takes 40 characters, Anthropic 64


def branch(session: Session, head: str | None) -> list[Message]:
    """Return the messages from the first one to `head`, each the parent of the next."""
    by_id = {message.message_id: message for message in session.messages}
    found = []
    while head is not None:
        found.append(by_id[head])
        head = by_id[head].parent_message_id
    return found[::-1]


@dataclass(slots=True)
class _Exchange:
    """A prompt and what was answered to it, as messages of an API."""

    messages: list[dict[str, Any]] = field(default_factory=list)


def for_api(
    session: Session,
    messages: Sequence[Message],
    form: Format,
    *,
    max_tokens: int | None,
    reserve_tokens: int,
    count: Count | None,
) -> Any:
    """Return what to send to a model: a list for `openai`, a dictionary with `system` and `messages` for `anthropic`.

    Raises:
        RecordingError: The format or the budget makes no sense.
    """
    if form not in ("openai", "anthropic"):
        raise RecordingError(f"format={form!r}: expected 'openai', 'anthropic', or None for the messages as recorded.")
    for name, value in (("max_tokens", max_tokens), ("reserve_tokens", reserve_tokens)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise RecordingError(f"{name}={value!r}: expected a whole number of 0 or more.")
    spoken = [m for m in messages if m.kind in ("message", "skill", "context")]
    system = [m.content for m in spoken if m.role == "system" and m.content and m.content.strip()]
    write = _openai if form == "openai" else _anthropic
    exchanges: list[_Exchange] = []
    # A branch may leave a turn before its results, so these are looked up in the whole session.
    results = {m.message_id: m for m in session.messages if m.role == "tool"}
    calls_of = _calls_by_turn(session, results)
    for message in spoken:
        if message.role in ("system", "tool"):
            continue  # results stand with their calls
        if message.role == "user" or not exchanges:
            exchanges.append(_Exchange())
        exchanges[-1].messages.extend(write(message, calls_of.get(message.message_id, [])))
    exchanges = [e for e in exchanges if e.messages]
    if max_tokens is not None:
        exchanges = _newest(exchanges, system, max_tokens - reserve_tokens, count or estimated_tokens, form)
    listed = [m for exchange in exchanges for m in exchange.messages]
    if form == "openai":
        return [{"role": "system", "content": text} for text in system] + listed
    whole: dict[str, Any] = {"messages": _alternating(listed)}
    return {"system": "\n\n".join(system), **whole} if system else whole


def estimated_tokens(text: str) -> int:
    """Return a count that is rather too high than too low: one token for three bytes.

    >>> estimated_tokens("seven bytes")
    4
    """
    return (len(text.encode("utf-8", "replace")) + 2) // 3


def _newest(exchanges: list[_Exchange], system: list[str], budget: int, count: Count, form: Format) -> list[_Exchange]:
    """Return as many of the newest exchanges as fit, and the newest one in any case."""
    left = budget - sum(count(text) for text in system)
    kept: list[_Exchange] = []
    for exchange in reversed(exchanges):
        messages = _alternating(exchange.messages) if form == "anthropic" else exchange.messages
        left -= sum(count(to_json(message)) for message in messages)
        if kept and left < 0:
            break
        kept.append(exchange)
    return kept[::-1]


@dataclass(frozen=True, slots=True)
class _Call:
    id: str
    name: str
    arguments: str
    result: str
    is_error: bool


def _calls_by_turn(session: Session, results: dict[str, Message]) -> dict[str, list[_Call]]:
    """Return each turn's calls, their ids made unique and good for both APIs."""
    taken: set[str] = set()
    found: dict[str, list[_Call]] = {}
    for number, call in enumerate(session.tool_calls):
        if call.turn_id is None:
            continue
        call_id = call.tool_call_id
        if call_id in taken or not _GOOD_CALL_ID.fullmatch(call_id):
            call_id = f"call_{number}"
            while call_id in taken:
                call_id += "_"
        taken.add(call_id)
        found.setdefault(call.turn_id, []).append(_call(call, call_id, results))
    return found


def _call(call: ToolCall, call_id: str, results: dict[str, Message]) -> _Call:
    result = None if call.result_message_id is None else results.get(call.result_message_id)
    # Both APIs refuse a call without its result, so an unanswered one (a run that was killed) says so in words.
    text = NO_RESULT if result is None else result.content or ""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", call.tool_name)[:64] or "_"
    return _Call(call_id, name, call.arguments or "{}", text, result is None or bool(call.is_error))


def _openai(message: Message, calls: list[_Call]) -> list[dict[str, Any]]:
    if message.role == "user":
        return [{"role": "user", "content": message.content or ""}]
    if not calls:
        return [{"role": "assistant", "content": message.content}] if message.content else []
    asked = [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls]
    answered = [{"role": "tool", "tool_call_id": c.id, "content": c.result} for c in calls]
    return [{"role": "assistant", "content": message.content or None, "tool_calls": asked}, *answered]


def _anthropic(message: Message, calls: list[_Call]) -> list[dict[str, Any]]:
    said = [{"type": "text", "text": message.content}] if message.content and message.content.strip() else []
    if message.role == "user":
        return [{"role": "user", "content": said}] if said else []
    asked = [{"type": "tool_use", "id": c.id, "name": c.name, "input": _as_object(c.arguments)} for c in calls]
    found = [{"role": "assistant", "content": [*said, *asked]}] if said or asked else []
    if calls:
        found.append({"role": "user", "content": [_tool_result(c) for c in calls]})
    return found


def _tool_result(call: _Call) -> dict[str, Any]:
    # Anthropic refuses an error without words.
    text = NO_OUTPUT if call.is_error and not call.result.strip() else call.result
    return {"type": "tool_result", "tool_use_id": call.id, "content": text, "is_error": call.is_error}


def _as_object(arguments: str) -> dict[str, Any]:
    try:
        value = json.loads(arguments)
    except ValueError:
        return {"arguments": arguments}
    return value if isinstance(value, dict) else {"arguments": value}


def _alternating(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return Anthropic's form: it begins with the user, and neighbours of one role are one message."""
    found: list[dict[str, Any]] = []
    if messages and messages[0]["role"] != "user":
        found.append({"role": "user", "content": [{"type": "text", "text": NO_PROMPT}]})
    for message in messages:
        if found and found[-1]["role"] == message["role"]:
            found[-1] = {"role": message["role"], "content": [*found[-1]["content"], *message["content"]]}
        else:
            found.append(message)
    if found and found[-1]["role"] == "assistant":
        found[-1] = {"role": "assistant", "content": [_without_trailing_space(p) for p in found[-1]["content"]]}
    return found


def _without_trailing_space(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part as Anthropic takes it where the assistant has the last word."""
    return part | {"text": part["text"].rstrip()} if part["type"] == "text" else part
