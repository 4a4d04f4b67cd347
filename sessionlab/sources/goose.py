"""goose, an agent for any task: a database of sessions and messages, and the JSON lines that came before it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from sessionlab.sources import TreeSource, WholeSource, sections

_NAME = "sessions.db"


def default_paths() -> list[str]:
    """Return the database that goose uses."""
    return [os.path.join(_folder(), _NAME)]


def default_folders() -> list[str]:
    """Return the folder in which goose had a file for each session before it had a database."""
    return [_folder()]


def _folder() -> str:
    """Return the folder of goose's sessions: in the one that is configured, or in the user's own."""
    root = os.environ.get("GOOSE_PATH_ROOT")
    if root:
        return os.path.abspath(os.path.join(os.path.expanduser(root), "data", "sessions"))
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or os.path.join("~", "AppData", "Roaming")
        return os.path.abspath(os.path.join(os.path.expanduser(base), "Block", "goose", "data", "sessions"))
    base = os.environ.get("XDG_DATA_HOME") or os.path.join("~", ".local", "share")
    return os.path.abspath(os.path.join(os.path.expanduser(base), "goose", "sessions"))


def recognises_file(path: str, records: Sequence[Mapping[str, Any]]) -> bool | None:  # noqa: ARG001 - any name will do
    """Return whether a file is a session of goose; None where there is nothing in it."""
    for record in records:
        if "working_dir" in record and "role" not in record:
            return True
        content = record.get("content")
        if record.get("role") in ("user", "assistant") and "created" in record and isinstance(content, list):
            return True
    return False if records else None


SOURCES = [
    WholeSource(
        name="goose",
        default_paths=default_paths,
        fingerprints=[
            {
                "sessions": frozenset({"id", "working_dir", "extension_data", "accumulated_total_tokens"}),
                "messages": frozenset({"session_id", "role", "content_json", "created_timestamp"}),
            }
        ],
        # The other counts of a session are not among them: they are those of its last request.
        tables={
            "sessions": (
                "id",
                "name",
                "description",
                "session_type",
                "working_dir",
                "created_at",
                "updated_at",
                "archived_at",
                "accumulated_input_tokens",
                "accumulated_output_tokens",
                "accumulated_cache_read_tokens",
                "accumulated_cache_write_tokens",
                "accumulated_cost",
                "schedule_id",
                "provider_name",
                "model_config_json",
                "parent_session_id",
            ),
            "messages": ("session_id", "message_id", "role", "content_json", "created_timestamp", "metadata_json"),
            "usage_ledger": (
                "session_id",
                "created_timestamp",
                "model",
                "input_tokens",
                "output_tokens",
                "cache_read_tokens",
                "cache_write_tokens",
                "cost",
                "cost_source",
                "is_compaction",
            ),
        },
        statements=sections(__file__),
    ),
    TreeSource(
        name="goose",
        default_paths=default_folders,
        names=("*.jsonl",),
        recognises_file=recognises_file,
        columns={
            "role": "VARCHAR",
            "id": "VARCHAR",
            "created": "VARCHAR",
            "content": "JSON",
            "metadata": "JSON",
            "working_dir": "VARCHAR",
            "name": "VARCHAR",
            "description": "VARCHAR",
            "schedule_id": "VARCHAR",
            "accumulated_input_tokens": "VARCHAR",
            "accumulated_output_tokens": "VARCHAR",
            "accumulated_total_tokens": "VARCHAR",
        },
        text_columns={"role": "VARCHAR", "content": "JSON"},
        statements=sections(__file__, "goose_files.sql"),
    ),
]
