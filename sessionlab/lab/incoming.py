"""What a source hands out: the columns of each table of facts and of the wide texts, with their DuckDB types."""

from __future__ import annotations

from typing import Literal

from sessionlab.lab.selecting import Columns

Kind = Literal["message", "tool_call"]

_KEY = "bigint"
_TOKENS: Columns = [
    (f"{name}_tokens", "bigint")
    for name in (
        "input", "output", "cache_read_input", "cache_creation_input", "cache_creation_1h_input", "reasoning_output")
]  # fmt: skip
# What a source leaves out is NULL in every row.
# origin: the file of a session, where a history is of several. claim: by what name a turn is the same in another file.
# cache_creation_1h_input_tokens: of what was written to the cache, what was for an hour; NULL where that is not told
# apart.
INCOMING: dict[str, Columns] = {
    "session": [
        ("session_key", _KEY),
        *((name, "varchar") for name in (
            "session_id", "native_id", "name", "agent_name", "directory", "git_root", "parent_session_id",
            "conversation_id")),
        *((name, "bigint") for name in ("started_at", "updated_at", "ended_at", "archived_at")),
        *((name, "varchar") for name in ("metadata", "origin")),
    ],
    "invocation": [("invocation_key", _KEY), ("invocation_id", "varchar")],
    "model_config": [
        ("model_config_key", _KEY),
        *((name, "varchar") for name in ("model_config_id", "provider_name", "api_base", "request_model")),
        *((name, "double") for name in ("temperature", "top_p")),
        *((name, "bigint") for name in ("max_tokens", "context_max_tokens", "assistant_minimum_context_tokens")),
        *((name, "varchar") for name in (
            "stop_sequences", "reasoning_effort", "system_instructions_hash", "extra")),
    ],
    "message": [
        *((name, _KEY) for name in ("message_key", "session_key", "message_index")),
        ("given_id", "varchar"),
        *((name, _KEY) for name in ("parent_key", "prompt_key", "turn_key", "invocation_key")),
        *((name, "varchar") for name in ("role", "kind")),
        *((name, "bigint") for name in ("is_preamble", "is_sidechain", "created_at")),
    ],
    "turn": [
        *((name, _KEY) for name in (
            "turn_key", "session_key", "turn_index", "exchange_index", "invocation_key", "model_config_key")),
        ("model_config_status", "varchar"),
        *((name, "bigint") for name in ("prompt_key", "first_call_key", "is_sidechain", "started_at", "duration_us")),
        *((name, "varchar") for name in ("response_model", "finish_reason", "finish_reason_raw", "error_type")),
        *_TOKENS,
        ("usage_quality", "varchar"),
        ("reported_cost_usd", "double"),
        ("claim", "varchar"),
    ],
    "tool_call": [
        *((name, _KEY) for name in ("tool_call_key", "session_key", "tool_call_index")),
        ("tool_call_id", "varchar"),
        *((name, _KEY) for name in ("turn_key", "invocation_key")),
        ("tool_name", "varchar"),
        ("started_at", "bigint"),
    ],
    "tool_result": [
        *((name, _KEY) for name in ("tool_result_key", "tool_call_key")),
        ("status", "varchar"),
        *((name, "bigint") for name in ("is_error", "exit_code", "duration_us")),
    ],
    # What only some tools have: the configurations that a session used where its turns do not say, and its total usage.
    "session_config": [("session_key", _KEY), ("model_config_key", _KEY)],
    "session_usage": [
        ("session_usage_key", _KEY),
        ("session_key", _KEY),
        ("started_at", "bigint"),
        *((name, "varchar") for name in ("provider_name", "model")),
        *_TOKENS,
        ("usage_quality", "varchar"),
        ("reported_cost_usd", "double"),
    ],
}  # fmt: skip
TEXTS: dict[Kind, Columns] = {
    "message": [("message_key", _KEY), ("content", "varchar"), ("reasoning", "varchar")],
    "tool_call": [("tool_call_key", _KEY), ("arguments", "varchar")],
}
# What rows name by a key and are given as well: column -> (the key, the names, the column there).
NAMED: dict[str, dict[str, tuple[str, str, str]]] = {
    "message": {
        "session_id": ("session_key", "session", "session_id"),
        "invocation_id": ("invocation_key", "invocation", "invocation_id"),
        "parent_given_id": ("parent_key", "given_id", "given_id"),
        "turn_given_id": ("turn_key", "given_id", "given_id"),
    },
    "turn": {
        "session_id": ("session_key", "session", "session_id"),
        "invocation_id": ("invocation_key", "invocation", "invocation_id"),
        "model_config_id": ("model_config_key", "model_config", "model_config_id"),
        "provider_name": ("model_config_key", "model_config", "provider_name"),
        "request_model": ("model_config_key", "model_config", "request_model"),
        "turn_given_id": ("turn_key", "given_id", "given_id"),
    },
    "session_usage": {"session_id": ("session_key", "session", "session_id")},
    "tool_call": {
        "session_id": ("session_key", "session", "session_id"),
        "turn_given_id": ("turn_key", "given_id", "given_id"),
    },
}
NAMES = {
    "session": ("session_id",),
    "invocation": ("invocation_id",),
    "model_config": ("model_config_id", "provider_name", "request_model"),
    "given_id": ("given_id",),
}
GIVEN: Columns = [("message_key", _KEY), ("given_id", "varchar")]
STATE: Columns = [("store_id", "varchar"), ("last_key", "bigint"), ("deletions", "bigint")]
PROBLEM: Columns = [("record", "varchar"), ("reason", "varchar"), ("line", "bigint")]
