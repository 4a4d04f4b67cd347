"""awful_aj, the command `aj`: named conversations without any times, its configurations beside them."""

from __future__ import annotations

import os
import sys

from sessionlab.sources import WholeSource, sections


def default_paths() -> list[str]:
    """Return the files that `aj` uses: the one that its configuration names, and the ones it makes by itself."""
    found = []
    for folder in _config_folders():
        named = _named_in(os.path.join(folder, "config.yaml"))
        found += [*([named] if named else []), os.path.join(folder, "aj.db")]
    return list(dict.fromkeys(found))


def _config_folders() -> list[str]:
    from platformdirs import user_config_path

    if sys.platform == "darwin":
        return [os.path.expanduser("~/Library/Application Support/com.awful-sec.aj")]
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or os.path.expanduser("~/AppData/Roaming")
        return [os.path.join(base, *names) for names in (("awful-sec", "aj", "config"), ("awful-sec", "aj"))] + [
            os.path.join(base, "com.awful-sec", "aj")
        ]
    return [str(user_config_path("aj", appauthor=False))]


def _named_in(config: str) -> str | None:
    """Return the file that a configuration names; a relative one is of the folder where `aj` runs."""
    import yaml

    try:
        with open(config, encoding="utf-8") as file:
            settings = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):  # `aj` itself would not start
        return None
    named = settings.get("session_db_url") if isinstance(settings, dict) else None
    return os.path.abspath(named) if isinstance(named, str) and named and "\0" not in named else None


SOURCE = WholeSource(
    name="awful_aj",
    default_paths=default_paths,
    fingerprints=[
        {
            "conversations": frozenset({"id", "session_name"}),
            "messages": frozenset({"id", "role", "content", "conversation_id"}),
            "awful_configs": frozenset({"model", "stop_words", "conversation_id"}),
        }
    ],
    # awful_configs.api_key is not among them: it holds the user's key in clear text.
    tables={
        "conversations": ("id", "session_name"),
        "messages": ("role", "content", "conversation_id"),
        "awful_configs": (
            "api_base",
            "model",
            "context_max_tokens",
            "assistant_minimum_context_tokens",
            "stop_words",
            "conversation_id",
        ),
    },
    # Of the texts, the facts need only the fixed ones of the preamble.
    narrow={
        "messages": {
            "content": "case when starts_with(content, 'Below is ') or content is null"
            " or content in ('Ok', 'I have reviewed the supplementary documentation.') then left(content, 200)"
            " else '' end"
        }
    },
    plain_texts={"message": ("messages", "content", None)},
    statements=sections(__file__),
)
