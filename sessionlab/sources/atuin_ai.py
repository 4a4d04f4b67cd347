"""atuin-ai, the assistant in the shell: one session for a folder, in which one run after the other appends events."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import Any

from sessionlab.sources import WholeSource, sections

_NAME = "ai_sessions.db"


def default_paths() -> list[str]:
    """Return the file that atuin uses: the one that is configured, or the one in its folder of data."""
    settings = _settings(os.path.join(_folder("ATUIN_CONFIG_DIR", "XDG_CONFIG_HOME", ".config"), "config.toml"))
    ai = settings.get("ai")
    named = [os.environ.get("ATUIN_AI__DB_PATH"), ai.get("db_path") if isinstance(ai, dict) else None]
    folders = [os.environ.get("ATUIN_DATA_DIR"), settings.get("data_dir")]
    found = [
        *(_absolute(path) for path in named),
        *(_absolute(folder, _NAME) for folder in folders),
        os.path.join(_folder("", "XDG_DATA_HOME", ".local", "share"), _NAME),
    ]
    return list(dict.fromkeys(path for path in found if path is not None))


def _folder(own: str, base: str, *beside_home: str) -> str:
    """Return the folder that a variable of atuin's own names, else its folder in the user's; also macOS has those."""
    return (
        _absolute(os.environ.get(own))
        or _absolute(os.environ.get(base), "atuin")
        or os.path.join(os.path.expanduser("~"), *beside_home, "atuin")
    )


def _absolute(path: Any, *names: str) -> str | None:
    """Return a path that a setting names; None where it names none."""
    if not isinstance(path, str) or not path or "\0" in path:
        return None
    return os.path.abspath(os.path.join(os.path.expanduser(path), *names))


def _settings(config: str) -> Mapping[str, Any]:
    try:
        with open(config, "rb") as file:
            return tomllib.load(file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):  # atuin itself would not start
        return {}


SOURCE = WholeSource(
    name="atuin_ai",
    default_paths=default_paths,
    fingerprints=[
        {
            "sessions": frozenset({"id", "head_id", "server_session_id", "directory", "git_root", "archived_at"}),
            "session_events": frozenset({"id", "session_id", "parent_id", "invocation_id", "event_type", "event_data"}),
        }
    ],
    # `usage` is not among them: it holds the account's credits, which no session and no answer has used alone.
    tables={
        "sessions": (
            "id",
            "server_session_id",
            "directory",
            "git_root",
            "created_at",
            "updated_at",
            "archived_at",
        ),
        "session_events": (
            "id",
            "session_id",
            "parent_id",
            "invocation_id",
            "event_type",
            "event_data",
            "created_at",
        ),
        "session_metadata": ("session_id", "key", "value"),
    },
    statements=sections(__file__),
)
