"""The errors that sessionlab raises, all under one root.

SessionLabError
 ├── SettingsError         a setting, here or in the environment or in a file, that makes no sense
 ├── MissingPartError      a package that the call needs is not installed or cannot be loaded
 ├── StoreError            a store that cannot be used
 │    ├── StoreBusyError       locked by another process for longer than `timeout_s`
 │    ├── StoreVersionError    made by a newer sessionlab
 │    └── StoreReplacedError   another file lies at the store's path since it was opened
 ├── RecordingError        an event that cannot be recorded as it is
 ├── HistoryFileError      a file of a history that is missing, unreadable or of no known tool
 ├── FrameError            a frame, column or filter that does not exist or does not fit
 ├── QueryError            an SQL text that was refused or that failed
 └── ExportError           a folder that cannot be exported to, or that holds what must stay
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings


class SessionLabError(Exception):
    """The root of all errors that sessionlab raises on purpose."""


class SettingsError(SessionLabError, ValueError):
    """A setting that makes no sense."""


class MissingPartError(SessionLabError, ImportError):
    """A package that the call needs is not installed or cannot be loaded."""


class StoreError(SessionLabError):
    """A store that cannot be used as it is."""


class StoreBusyError(StoreError, TimeoutError):
    """A store that another process kept locked for longer than `timeout_s`."""


class StoreVersionError(StoreError):
    """A store that a newer sessionlab has made."""


class StoreReplacedError(StoreError):
    """A store whose path leads to another file since it was opened."""


class RecordingError(SessionLabError, ValueError):
    """An event that cannot be recorded as it is."""


class HistoryFileError(SessionLabError, OSError):
    """A file of a history that is missing, unreadable or of no known tool."""


class FrameError(SessionLabError, ValueError):
    """A frame, column or filter that does not exist or does not fit."""


class QueryError(SessionLabError, ValueError):
    """An SQL text that was refused or that failed."""


class ExportError(SessionLabError, OSError):
    """A folder that cannot be exported to, or that holds what must stay."""


class SessionLabWarning(UserWarning):
    """What a caller should know although the call went on."""


_OUR_FILES = (os.path.dirname(__file__) + os.sep, contextlib.__file__)


def warn(message: str) -> None:
    """Give a `SessionLabWarning` that points at the caller's line, however deep in the package this is called."""
    depth, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith((*_OUR_FILES, "<string>")):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, SessionLabWarning, stacklevel=depth)
