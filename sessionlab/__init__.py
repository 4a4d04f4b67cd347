"""Record AI agent sessions to SQLite and explore them as dataframes in Jupyter.

Names are imported when they are first used, so `import sessionlab` is quick and loads no other package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sessionlab import charts, mining
    from sessionlab.archive import ImportReport, import_histories
    from sessionlab.browser import SessionBrowser
    from sessionlab.errors import (
        ExportError,
        FrameError,
        HistoryFileError,
        MissingPartError,
        QueryError,
        RecordingError,
        SessionLabError,
        SessionLabWarning,
        SettingsError,
        StoreBusyError,
        StoreError,
        StoreReplacedError,
        StoreVersionError,
    )
    from sessionlab.exporting.export import ExportReport, export
    from sessionlab.lab.lab import Lab, frame, open  # noqa: A004 -- the name that users type
    from sessionlab.lab.redacting import Redaction
    from sessionlab.model import Message, ModelConfig, Session, SessionSummary, ToolCall, Usage
    from sessionlab.store.handles import RecordedMessage, RecordedToolCall, RecordedTurn
    from sessionlab.store.recorder import Recorder
    from sessionlab.store.session import RecordedSession

_HOMES = {
    "sessionlab.archive": ("ImportReport", "import_histories"),
    "sessionlab.browser": ("SessionBrowser",),
    "sessionlab.errors": (
        "ExportError",
        "FrameError",
        "HistoryFileError",
        "MissingPartError",
        "QueryError",
        "RecordingError",
        "SessionLabError",
        "SessionLabWarning",
        "SettingsError",
        "StoreBusyError",
        "StoreError",
        "StoreReplacedError",
        "StoreVersionError",
    ),
    "sessionlab.exporting.export": ("ExportReport", "export"),
    "sessionlab.lab.lab": ("Lab", "frame", "open"),
    "sessionlab.lab.redacting": ("Redaction",),
    "sessionlab.model": ("Message", "ModelConfig", "Session", "SessionSummary", "ToolCall", "Usage"),
    "sessionlab.store.handles": ("RecordedMessage", "RecordedToolCall", "RecordedTurn"),
    "sessionlab.store.recorder": ("Recorder",),
    "sessionlab.store.session": ("RecordedSession",),
}
_MODULES = ("charts", "mining")
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ExportError",
    "ExportReport",
    "FrameError",
    "HistoryFileError",
    "ImportReport",
    "Lab",
    "Message",
    "MissingPartError",
    "ModelConfig",
    "QueryError",
    "RecordedMessage",
    "RecordedSession",
    "RecordedToolCall",
    "RecordedTurn",
    "Recorder",
    "RecordingError",
    "Redaction",
    "Session",
    "SessionBrowser",
    "SessionLabError",
    "SessionLabWarning",
    "SessionSummary",
    "SettingsError",
    "StoreBusyError",
    "StoreError",
    "StoreReplacedError",
    "StoreVersionError",
    "ToolCall",
    "Usage",
    "__version__",
    "charts",
    "export",
    "frame",
    "import_histories",
    "mining",
    "open",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"sessionlab.{name}")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'sessionlab' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
