"""Claude Code: a file of JSON lines for each session and each subagent, in a folder for each working folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from sessionlab.sources import TreeSource, sections


def default_paths() -> list[str]:
    """Return the folders that Claude Code writes to: the configured ones, or the two that it has had."""
    configured = [part.strip() for part in os.environ.get("CLAUDE_CONFIG_DIR", "").split(",")]
    homes = [part for part in configured if part]
    if not homes:
        config = os.environ.get("XDG_CONFIG_HOME") or os.path.join("~", ".config")
        homes = [os.path.join("~", ".claude"), os.path.join(config, "claude")]
    return [os.path.abspath(os.path.join(os.path.expanduser(home), "projects")) for home in homes]


def recognises_file(path: str, records: Sequence[Mapping[str, Any]]) -> bool | None:
    """Return whether a file is of a session or subagent of Claude Code; None where its beginning does not say."""
    name = os.path.basename(path)
    if name == "journal.jsonl":
        return False
    if name.endswith(".meta.json"):
        return os.path.exists(path.removesuffix(".meta.json") + ".jsonl")
    if any("sessionId" in record and ("uuid" in record or "leafUuid" in record) for record in records):
        return True
    if any("type" in record and ("sessionId" in record or "leafUuid" in record) for record in records):
        return True
    if any(record.get("type") == "file-history-snapshot" for record in records):
        return True
    return False if records else None


_USAGE = (
    "STRUCT(input_tokens BIGINT, output_tokens BIGINT, cache_creation_input_tokens BIGINT, "
    "cache_read_input_tokens BIGINT, cache_creation STRUCT(ephemeral_1h_input_tokens BIGINT), service_tier VARCHAR, "
    "speed VARCHAR)"
)
_OF_A_TURN = {
    "type": "VARCHAR",
    "uuid": "VARCHAR",
    "sessionId": "VARCHAR",
    "timestamp": "VARCHAR",
    "cwd": "VARCHAR",
    "isSidechain": "BOOLEAN",
    "requestId": "VARCHAR",
    "costUSD": "DOUBLE",
    "forkedFrom": "JSON",
}

SOURCE = TreeSource(
    name="claude_code",
    default_paths=default_paths,
    names=("*.jsonl", "agent-*.meta.json"),
    recognises_file=recognises_file,
    usage_columns={
        **_OF_A_TURN,
        "agentType": "VARCHAR",
        "message": f"STRUCT(id VARCHAR, model VARCHAR, stop_reason VARCHAR, usage {_USAGE})",
    },
    columns={
        **_OF_A_TURN,
        "message": f"STRUCT(id VARCHAR, model VARCHAR, stop_reason VARCHAR, content JSON, usage {_USAGE})",
        "subtype": "VARCHAR",
        "parentUuid": "VARCHAR",
        "logicalParentUuid": "VARCHAR",
        "isMeta": "BOOLEAN",
        "isCompactSummary": "BOOLEAN",
        "isApiErrorMessage": "BOOLEAN",
        "promptSource": "VARCHAR",
        "sessionKind": "VARCHAR",
        "gitBranch": "VARCHAR",
        "version": "VARCHAR",
        "durationMs": "BIGINT",
        "content": "VARCHAR",
        "error": "VARCHAR",
        "attachment": "STRUCT(type VARCHAR, prompt JSON, commandMode VARCHAR)",
        "toolUseResult": (
            "STRUCT(durationMs DOUBLE, totalDurationMs DOUBLE, durationSeconds DOUBLE, interrupted BOOLEAN)"
        ),
        "customTitle": "VARCHAR",
        "aiTitle": "VARCHAR",
        "summary": "VARCHAR",
        "leafUuid": "VARCHAR",
        "agentType": "VARCHAR",
        "description": "VARCHAR",
    },
    text_columns={
        "type": "VARCHAR",
        "message": "STRUCT(content JSON)",
        "content": "VARCHAR",
        "error": "VARCHAR",
        "attachment": "STRUCT(prompt JSON)",
    },
    groups_usage=True,
    statements=sections(__file__),
)
