"""Our own store, as a history to read."""

from __future__ import annotations

from sessionlab import settings
from sessionlab.sources import KeyedSource, sections

_SQL = sections(__file__)

SOURCE = KeyedSource(
    name="sessionlab",
    default_paths=lambda: [settings.db_path().value],
    fingerprints=[
        {
            "store": frozenset({"store_id", "last_key", "deletions"}),
            "session": frozenset({"session_key", "revision", "session_id"}),
            "message": frozenset({"message_key", "session_key", "message_index"}),
            "turn": frozenset({"turn_key", "first_call_key"}),
        }
    ],
    facts={
        name: _SQL[name]
        for name in ("session", "invocation", "model_config", "message", "turn", "tool_call", "tool_result")
    },
    texts={"message": _SQL["message_text"], "tool_call": _SQL["tool_call_text"]},
    given=_SQL["given"],
    state=_SQL["state"],
    range=_SQL["range"],
)
