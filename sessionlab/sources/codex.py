"""Codex CLI: a rollout for each session, a file of JSON lines; before that one JSON text, or lines of bare items."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sessionlab.sources import Problem, TreeSource, sections

_NAME = re.compile(r"rollout-.*\.jsonl?")
# What only lines of rollouts are, with all that they say in their payload.
_TYPES = {
    "session_meta",
    "turn_context",
    "response_item",
    "event_msg",
    "compacted",
    "world_state",
    "token_usage_record",
}
_HEAD_BYTES = 4096


def default_paths() -> list[str]:
    """Return the folders in which Codex keeps sessions, and those that were put away."""
    home = os.path.expanduser(os.environ.get("CODEX_HOME") or os.path.join("~", ".codex"))
    return [os.path.abspath(os.path.join(home, name)) for name in ("sessions", "archived_sessions")]


def recognises_file(path: str, records: Sequence[Mapping[str, Any]]) -> bool | None:
    """Return whether a file is a rollout; None where its beginning does not say."""
    name = os.path.basename(path)
    if name.endswith(".json"):
        return bool(_NAME.fullmatch(name)) and _is_document(path)
    for record in records:
        if isinstance(record.get("payload"), dict) and record.get("type") in _TYPES:
            return True
        if record.get("record_type") == "state" or {"id", "timestamp", "instructions"} <= record.keys():
            return True
    if _NAME.fullmatch(name):
        return True if records else None
    return False if records else None


def _is_document(path: str) -> bool:
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    return b'"session"' in head and b'"timestamp"' in head


def read_document(path: str) -> Iterator[str | Problem]:
    """Yield a rollout that is one JSON text as the lines that later ones have: the session, then its items."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        rollout = json.loads(content.decode("utf-8", "replace").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        yield Problem(record=os.path.basename(path), reason="the file is no JSON; it is left out")
        return
    session = rollout.get("session") if isinstance(rollout, dict) else None
    items = rollout.get("items") if isinstance(rollout, dict) else None
    if not isinstance(session, dict) or not isinstance(items, list):
        yield Problem(record=os.path.basename(path), reason="the file has no session with items; it is left out")
        return
    yield json.dumps(session, ensure_ascii=False)
    for number, item in enumerate(items, 2):
        if isinstance(item, dict):
            yield json.dumps(item, ensure_ascii=False)
        else:
            yield Problem(record=f"item {number - 2}", reason="it is no object; it is left out")


_USAGE = (
    "STRUCT(input_tokens VARCHAR, cached_input_tokens VARCHAR, cache_write_input_tokens VARCHAR, "
    "output_tokens VARCHAR, reasoning_output_tokens VARCHAR)"
)
_LINE = {"timestamp": "VARCHAR", "type": "VARCHAR", "record_type": "VARCHAR", "instructions": "VARCHAR"}
# Members of an item; the oldest files have them in the line itself.
_ITEM = {
    "id": "VARCHAR",
    "role": "VARCHAR",
    "name": "VARCHAR",
    "call_id": "VARCHAR",
    "status": "VARCHAR",
    "content": "JSON",
    "output": "JSON",
    "usage": _USAGE,
}
# What the token usage needs of a payload.
_COUNTED = {
    "type": "VARCHAR",
    "id": "VARCHAR",
    "role": "VARCHAR",
    "usage": _USAGE,
    # of a session
    "timestamp": "VARCHAR",
    "session_id": "VARCHAR",
    "forked_from_id": "VARCHAR",
    "parent_thread_id": "VARCHAR",
    "history_base": "STRUCT(thread_id VARCHAR)",
    "source": "JSON",
    "model_provider": "VARCHAR",
    # of what the responses are asked with
    "turn_id": "VARCHAR",
    "model": "VARCHAR",
    "effort": "VARCHAR",
    "collaboration_mode": "STRUCT(settings STRUCT(model VARCHAR, reasoning_effort VARCHAR))",
    # of counts and of what happened
    "info": f"STRUCT(total_token_usage {_USAGE}, last_token_usage {_USAGE}, prompt VARCHAR, completion VARCHAR)",
    "thread_token_usage": _USAGE,
    "error": "JSON",
}
_PAYLOAD = {
    **_COUNTED,
    **_ITEM,
    "cwd": "VARCHAR",
    "originator": "VARCHAR",
    "cli_version": "VARCHAR",
    "agent_nickname": "VARCHAR",
    "agent_role": "VARCHAR",
    "git": "JSON",
    "phase": "VARCHAR",
    "internal_chat_message_metadata_passthrough": "STRUCT(content_item_kinds VARCHAR[])",
    "message": "VARCHAR",
    "thread_name": "VARCHAR",
    "exit_code": "VARCHAR",
    "success": "VARCHAR",
    "duration": "JSON",
    "duration_ms": "VARCHAR",
    "result": "JSON",
    "item": (
        "STRUCT(type VARCHAR, id VARCHAR, status VARCHAR, content JSON, exit_code VARCHAR, duration JSON, "
        "duration_ms VARCHAR, result STRUCT(isError VARCHAR))"
    ),
}
_TEXTS = {
    "content": "JSON",
    "summary": "JSON",
    "arguments": "VARCHAR",
    "input": "VARCHAR",
    "action": "JSON",
    "output": "JSON",
}
_TEXT_PAYLOAD = {
    "type": "VARCHAR",
    "message": "VARCHAR",
    "item": "STRUCT(type VARCHAR, content JSON)",
    "reason": "VARCHAR",
    "error": "JSON",
    **_TEXTS,
}


def _struct(members: Mapping[str, str]) -> str:
    return "STRUCT(" + ", ".join(f'"{name}" {kind}' for name, kind in members.items()) + ")"


SOURCE = TreeSource(
    name="codex",
    default_paths=default_paths,
    names=("*.jsonl", "rollout-*.json"),
    recognises_file=recognises_file,
    usage_columns={
        **_LINE,
        "id": "VARCHAR",
        "role": "VARCHAR",
        "usage": _USAGE,
        "payload": _struct({**_COUNTED, "item": "STRUCT(type VARCHAR)"}),
    },
    columns={
        **_LINE,
        "git": "JSON",
        **_ITEM,
        "payload": _struct(_PAYLOAD),
    },
    text_columns={"type": "VARCHAR", **_TEXTS, "payload": _struct(_TEXT_PAYLOAD)},
    statements=sections(__file__),
    records=read_document,
    record_names=("*.json",),
)
