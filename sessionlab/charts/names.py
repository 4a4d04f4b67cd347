"""What sessions are called in figures."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pandas as pd

from sessionlab.charts.texts import cut, text
from sessionlab.mining.columns import KEY, needed

if TYPE_CHECKING:
    from typing import Any


def session_names(rows: pd.DataFrame, sessions: pd.DataFrame | None, function: str) -> list[str]:
    """Return a name for each row's session, not escaped: its own where `sessions` has one, else source and id.

    An id is cut to eight characters where that still tells the sessions of `rows` apart.

    Raises:
        FrameError: `sessions` lacks a column; the error names the `function` that asked.
    """
    ids = [text(value) for value in rows["session_id"]]
    pairs = list(zip(rows["source"], ids, strict=True))
    brief = {(source, one): one[:8] for source, one in pairs}
    is_brief = len(set(brief.values())) == len(brief)
    own = _own_names(sessions, function)
    often = Counter(own.get(pair) for pair in pairs)
    made = []
    for source, one in pairs:
        name, number = own.get((source, one)), brief[source, one] if is_brief else one
        if name is None:
            made.append(f"{text(source)} {number}")
        else:
            made.append(name if often[name] == 1 else f"{cut(name, 20)} {number}")
    return made


def _own_names(sessions: pd.DataFrame | None, function: str) -> dict[tuple[Any, str], str]:
    if sessions is None:
        return {}
    sessions = needed(sessions, function, "sessions", (*KEY, "name"))
    named = sessions[sessions["name"].notna()]
    ids = (text(value) for value in named["session_id"])
    return {(source, one): text(name) for source, one, name in zip(named["source"], ids, named["name"], strict=True)}
