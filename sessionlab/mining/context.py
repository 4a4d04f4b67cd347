"""How the context of a conversation grows, where it is cut, and what the cache saves of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sessionlab.mining.columns import KEY, is_true, needed, places, result, session_codes

if TYPE_CHECKING:
    from sessionlab.lab.frames import Type
    from sessionlab.mining.columns import Truth, Whole

_GROWTH: dict[str, Type] = {
    "source": "text",
    "session_id": "text",
    "turn_id": "text",
    "turn_index": "integer",
    "started_at": "time",
    "context_tokens": "integer",
    "cache_read_input_tokens": "integer",
    "output_tokens": "integer",
    "added_tokens": "integer",
    "is_after_compaction": "boolean",
}
_COMPACTIONS: dict[str, Type] = {
    "source": "text",
    "session_id": "text",
    "message_id": "text",
    "created_at": "time",
    "turn_index": "integer",
    "tokens_before": "integer",
    "tokens_after": "integer",
    "dropped_share": "number",
}
_MESSAGES = (*KEY, "message_id", "message_index", "kind", "invocation_id", "created_at", "is_sidechain")


def context_growth(turns: pd.DataFrame, messages: pd.DataFrame | None = None) -> pd.DataFrame:
    """Follow the context of each conversation: one row per turn of its main line whose input tokens are known.

    The context of a turn is its whole input, cached or not. Turns of subagents are left out: they have a context of
    their own. The rows come by source, session and turn.

    Needs source, session_id, turn_id, turn_index, started_at, is_sidechain, input_tokens, cache_read_input_tokens and
    output_tokens; of all messages of the sessions source, session_id, message_id, message_index, kind, invocation_id,
    created_at and is_sidechain.

    | column | unit | meaning |
    |---|---|---|
    | `source`, `session_id`, `turn_id`, `turn_index`, `started_at` | | the turn |
    | `context_tokens` | tokens | its input |
    | `cache_read_input_tokens` | tokens | of these: read from the cache |
    | `output_tokens` | tokens | what it answered |
    | `added_tokens` | tokens | more input than in the session's row before; below 0 after a cut; NULL in its first |
    | `is_after_compaction` | | the context was compacted since the row before; NULL without the turn's message |

    Raises:
        FrameError: A needed column is missing.

    >>> from sessionlab.lab.frames import empty
    >>> len(context_growth(empty("turns")))
    0
    """
    columns = [*KEY, "turn_id", "turn_index", "started_at", "is_sidechain"]
    columns += ["input_tokens", "cache_read_input_tokens", "output_tokens"]
    rows = needed(turns, "context_growth", "turns", columns)
    if messages is None:
        (session,), _ = session_codes(rows)
        after: pd.Series[bool] | None = None
    else:
        said = needed(messages, "context_growth", "messages", _MESSAGES)
        (session, of), _ = session_codes(rows, said)
        kept = is_true(rows["is_sidechain"]) | rows["input_tokens"].isna().to_numpy(bool)
        after = _after_compaction(rows, session, said, of, ~kept)
    order = _main_line(rows, session)
    order = order[rows["input_tokens"].notna().to_numpy(bool)[order]]
    rows, session = rows.iloc[order], session[order]
    same = np.diff(session, prepend=-1) == 0
    values = {name: rows[name] for name in (*KEY, "turn_id", "turn_index", "started_at")}
    values["context_tokens"] = rows["input_tokens"]
    values["cache_read_input_tokens"] = rows["cache_read_input_tokens"]
    values["output_tokens"] = rows["output_tokens"]
    values["added_tokens"] = rows["input_tokens"].diff().where(same)
    values["is_after_compaction"] = (
        pd.Series(pd.NA, index=rows.index, dtype="boolean") if after is None else after.iloc[order]
    )
    return result(_GROWTH, values)


def compactions(turns: pd.DataFrame, messages: pd.DataFrame) -> pd.DataFrame:
    """Find where a tool cut a conversation's context down: one row per such boundary, by source, session and place.

    A compaction is a message of kind `boundary` on the main line. One with which a new invocation goes on with the
    session is a boundary too, but cuts nothing, and is left out.

    Needs source, session_id, turn_id, turn_index, is_sidechain and input_tokens; of all messages of the sessions
    source, session_id, message_id, message_index, kind, invocation_id, created_at and is_sidechain.

    | column | unit | meaning |
    |---|---|---|
    | `source`, `session_id`, `message_id`, `created_at` | | the boundary |
    | `turn_index` | | the first turn of the main line after it; NULL where none followed |
    | `tokens_before` | tokens | input of the last turn before it whose input is known; NULL where there is none |
    | `tokens_after` | tokens | likewise of the first turn after it, and before the next compaction |
    | `dropped_share` | share | of the tokens before: how many fewer there were after; below 0 where there were more |

    Raises:
        FrameError: A needed column is missing.

    >>> from sessionlab.lab.frames import empty
    >>> len(compactions(empty("turns"), empty("messages")))
    0
    """
    columns = (*KEY, "turn_id", "turn_index", "is_sidechain", "input_tokens")
    rows = needed(turns, "compactions", "turns", columns)
    said = needed(messages, "compactions", "messages", _MESSAGES)
    (session, of), _ = session_codes(rows, said)
    place, wide = _places_of_turns(rows, session, said, of), _wide(said)
    keys = session * wide + place
    main = ~is_true(rows["is_sidechain"]) & (place >= 0)
    known = main & rows["input_tokens"].notna().to_numpy(bool)
    cut = _compaction_rows(said, of)
    boundary = of[cut] * wide + places(said["message_index"])[cut]
    before, after = _beside(keys, known, boundary, wide)
    _, following = _beside(keys, main, boundary, wide)
    # What came after the next compaction says nothing of this one.
    until = np.append(boundary[1:], np.iinfo(np.int64).max)
    after = np.where(np.append(keys, -1)[after] < until, after, -1)
    values: dict[str, Any] = {name: said[name].iloc[cut] for name in (*KEY, "message_id", "created_at")}
    values["turn_index"] = rows["turn_index"].reindex(following)
    tokens = rows["input_tokens"]
    values |= {"tokens_before": tokens.reindex(before), "tokens_after": tokens.reindex(after)}
    ahead, behind = (values[f"tokens_{side}"].to_numpy("float64", na_value=np.nan) for side in ("before", "after"))
    values["dropped_share"] = 1 - behind / np.where(ahead > 0, ahead, np.nan)
    return result(_COMPACTIONS, values)


def _beside(keys: Whole, which: Truth, boundary: Whole, wide: int) -> tuple[Whole, Whole]:
    """Return the rows of the turns right before and after each boundary in its session, -1 where there is none.

    Args:
        keys: Of each turn `session * wide + place`.
        which: The turns that count.
        boundary: The key of each boundary.
        wide: More than any place.
    """
    found = np.flatnonzero(which)
    found = found[np.argsort(keys[found], kind="stable")]
    step = np.searchsorted(keys[found], boundary)
    rows, session = np.append(found, -1), np.append(keys // wide, -1)
    before, after = rows[step - 1], rows[step]
    here = boundary // wide
    return np.where(session[before] == here, before, -1), np.where(session[after] == here, after, -1)


def _wide(messages: pd.DataFrame) -> int:
    """Return more than any place of a message in its session."""
    return int(places(messages["message_index"]).max(initial=0)) + 1


def _main_line(turns: pd.DataFrame, session: Whole) -> Whole:
    """Return the rows of the turns that are not known to be a subagent's, by session and place."""
    order = np.lexsort((places(turns["turn_index"]), session))
    return order[~is_true(turns["is_sidechain"])[order]]


def _places_of_turns(turns: pd.DataFrame, session: Whole, messages: pd.DataFrame, of: Whole) -> Whole:
    """Return the place of each turn among its session's messages, -1 where its own message is not there.

    A turn's id is that of its message. Times would not do: many tools write several messages in one moment.
    """
    ids = pd.factorize(pd.concat([turns["turn_id"], messages["message_id"]], ignore_index=True))[0].astype("int64")
    wide = ids.max(initial=0) + 2
    wanted, have = session * wide + ids[: len(turns)] + 1, of * wide + ids[len(turns) :] + 1
    order = np.argsort(have, kind="stable")
    step = np.searchsorted(have[order], wanted)
    row = np.append(order, 0)[step]
    found = np.append(have, -1)[np.where(step < len(order), row, -1)] == wanted
    found &= turns["turn_id"].notna().to_numpy(bool)
    index = np.append(places(messages["message_index"]), -1)
    place: Whole = np.where(found, index[np.where(found, row, -1)], -1)
    return place


def _compaction_rows(messages: pd.DataFrame, of: Whole) -> Whole:
    """Return the rows of the boundaries that cut the context, by session and place."""
    order = np.lexsort((places(messages["message_index"]), of))
    invocation = pd.factorize(messages["invocation_id"])[0][order]
    # The first message of an invocation goes on with a session; a boundary inside one cuts it.
    goes_on = (np.diff(invocation, prepend=-2) != 0) & (invocation >= 0) & (np.diff(of[order], prepend=-1) == 0)
    cut = (messages["kind"] == "boundary").to_numpy(bool) & ~is_true(messages["is_sidechain"])
    found: Whole = order[cut[order] & ~goes_on]
    return found


def _after_compaction(
    turns: pd.DataFrame, session: Whole, messages: pd.DataFrame, of: Whole, kept: Truth
) -> pd.Series[bool]:
    """Return which turns of those kept are the first after a compaction; NULL where a turn's message is not there."""
    place = _places_of_turns(turns, session, messages, of)
    cut = _compaction_rows(messages, of)
    wide = _wide(messages)
    boundaries = of[cut] * wide + places(messages["message_index"])[cut]
    rows = np.flatnonzero(kept & (place >= 0))
    rows = rows[np.lexsort((place[rows], session[rows]))]
    keys = session[rows] * wide + place[rows]
    # How many compactions lie between the turn before (or the session's begin) and this one.
    passed = np.searchsorted(boundaries, keys)
    first = np.diff(session[rows], prepend=-1) != 0
    before = np.where(first, np.searchsorted(boundaries, session[rows] * wide), np.append(0, passed[:-1]))
    after = pd.Series(pd.NA, index=turns.index, dtype="boolean")
    after.iloc[rows] = passed > before
    return after
