"""What SQLite and the system refuse, in our words."""

from __future__ import annotations

import sqlite3

from sessionlab.errors import SessionLabError, StoreBusyError, StoreError

_LOCKED = "another program keeps it locked. Close that program or allow more time with timeout_s."
_DENIED = "access was denied. Check the file's permissions."
_REMEDIES = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_FULL: "the disk is full. Nothing of this call was written; make room and go on.",
    sqlite3.SQLITE_IOERR: "the disk or the folder refused. Nothing of this call was written; see that there is room "
    "and the folder is there.",
    sqlite3.SQLITE_READONLY: "the file or its folder cannot be written to. Change its permissions or use another path.",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened. Check its path, its folder and its permissions.",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite file. Use another path.",
    sqlite3.SQLITE_CORRUPT: "the file is damaged. Keep a copy and run `sessionlab db check`; restore a backup or save "
    "what `sqlite3 FILE .recover` finds.",
    sqlite3.SQLITE_AUTH: _DENIED,
    sqlite3.SQLITE_PERM: _DENIED,
    sqlite3.SQLITE_TOOBIG: "a text is larger than SQLite takes (1,000,000,000 bytes). Record it in parts.",
}


def in_our_words(path: str, error: Exception) -> Exception:
    """Return the error of ours that says what was refused, or the same error where it is ours or a bug."""
    if isinstance(error, SessionLabError):
        return error
    if isinstance(error, sqlite3.Error):
        if not hasattr(error, "sqlite_errorcode"):
            return error
        code = error.sqlite_errorcode & 0xFF
        kind = StoreBusyError if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) else StoreError
        return kind(f"The store {path!r} refused: {error}; {_REMEDIES.get(code, 'see the cause above.')}")
    if isinstance(error, OSError):
        return StoreError(f"The store {path!r} cannot be used: {error}. Check that its folder is there and writable.")
    return error
