"""llm, the command for language models: conversations in `logs.db`, in the tables of either generation or of both."""

from __future__ import annotations

import os
import sys

from sessionlab.sources import WholeSource, sections

_ANSWER = (
    "id",
    "model",
    "resolved_model",
    "options_json",
    "schema_id",
    "input_tokens",
    "output_tokens",
    "token_details",
    "duration_ms",
    "datetime_utc",
    "response_json",
)
# What is asked of a call or a result while no text is: not what it was given, and not what it gave.
_NARROW_PAYLOAD = """case
    when type in ('tool_call', 'tool_result') and json_valid(payload) then json_object(
        'tool_call_id', json_extract(payload, '$.tool_call_id'),
        'exception', json_extract(payload, '$.exception'),
        'server_executed', json_extract(payload, '$.server_executed'))
    else payload
end"""


def default_paths() -> list[str]:
    """Return the file that `llm logs path` names."""
    folder = os.environ.get("LLM_USER_PATH") or os.path.join(_applications_folder(), "io.datasette.llm")
    return [os.path.abspath(os.path.join(folder, "logs.db"))]


def _applications_folder() -> str:
    """Return the folder of settings as click finds it, which `llm` asks."""
    if sys.platform == "win32":
        return os.environ.get("APPDATA", os.path.expanduser("~"))
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support")
    return os.path.expanduser(os.environ.get("XDG_CONFIG_HOME", "~/.config"))


SOURCE = WholeSource(
    name="llm",
    default_paths=default_paths,
    fingerprints=[
        {
            "conversations": frozenset({"id", "name", "model"}),
            "responses": frozenset({"id", "model", "prompt", "system", "response", "conversation_id", "datetime_utc"}),
        },
        {
            "threads": frozenset({"id", "name", "tip_message_hash"}),
            "turns": frozenset({"id", "thread_id", "parent_message_hash", "tip_message_hash", "model"}),
        },
    ],
    tables={
        "conversations": ("id", "name"),
        "responses": (*_ANSWER, "conversation_id", "prompt", "system", "response", "reasoning"),
        "tool_calls": ("response_id", "name", "arguments", "tool_call_id"),
        "tool_results": ("response_id", "name", "output", "tool_call_id", "exception"),
        "tool_results_attachments": ("tool_result_id", "attachment_id", "order"),
        "prompt_attachments": ("response_id", "attachment_id", "order"),
        "prompt_fragments": ("response_id", "fragment_id", "order"),
        "system_fragments": ("response_id", "fragment_id", "order"),
        "fragments": ("content",),
        "attachments": ("id", "type", "path", "url"),
        "threads": ("id", "name", "forked_from", "datetime_utc"),
        "turns": (*_ANSWER, "thread_id", "parent_message_hash", "tip_message_hash"),
        "messages": ("hash", "parent_hash", "role"),
        "parts": ("message_hash", "position", "type", "tool_name", "text", "payload"),
        "logs": ("prompt",),
    },
    narrow={
        "responses": {
            **{name: f"left({name}, 1)" for name in ("prompt", "response", "reasoning")},
            # Whether it is the same as before is asked.
            "system": "case when trim(system, e' \\t\\r\\n') <> '' then md5(system) end",
        },
        "tool_calls": {"arguments": "left(arguments, 1)"},
        "tool_results": {"output": "left(output, 1)"},
        "parts": {"text": "left(text, 1)", "payload": _NARROW_PAYLOAD},
        "logs": {"prompt": "left(prompt, 1)"},
    },
    statements=sections(__file__),
)
