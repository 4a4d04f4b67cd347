"""What the file of a session is called: safe on every platform, and no two alike."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionlab.lab.transcript import Row

_WORDS = 48
_DIGITS = 10


def file_names(sessions: Sequence[Row], ending: str) -> list[str]:
    """Return a file name for each session: its day, the words of its name, and some digits that tell it apart.

    It holds nothing but a to z, 0 to 9 and -, so that it means the same on every platform, whatever the id is; and it
    ends in digits, so that it is none of the names that Windows keeps for itself. The same session has the same name
    in every export.

    Args:
        sessions: Rows with source, session_id, name, first_prompt and started_at.
        ending: With its point.
    """
    taken: set[str] = set()
    names = []
    for session in sessions:
        key = f"{session['source']}\0{session['session_id']}"
        day = "undated" if session["started_at"] is None else f"{session['started_at']:%Y-%m-%d}"
        words = _words(session["name"] or session["first_prompt"] or "")
        stem = "-".join(part for part in (day, words) if part)
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        name, number = f"{stem}-{digest[:_DIGITS]}{ending}", 2
        while name in taken:
            name, number = f"{stem}-{digest[:_DIGITS]}-{number}{ending}", number + 1
        taken.add(name)
        names.append(name)
    return names


def _words(text: str) -> str:
    """Return a text as words with - between them.

    >>> _words("Größe: CON/../x  数据")
    'grosse-con-x'
    """
    plain = unicodedata.normalize("NFKD", text[: 4 * _WORDS].casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", "-", plain)[:_WORDS].strip("-")
