"""The prompts that are typed again and again, and the sessions and turns that cost most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sessionlab.mining.columns import (
    KEY,
    NO_TIME,
    at,
    distinct,
    is_true,
    microseconds,
    needed,
    places,
    result,
    session_codes,
    whole,
)

if TYPE_CHECKING:
    from sessionlab.lab.frames import Type
    from sessionlab.mining.columns import Truth, Whole

_REPEATED: dict[str, Type] = {
    "prompt": "text",
    "count": "integer",
    "session_count": "integer",
    "first_at": "time",
    "last_at": "time",
    "cost_usd": "number",
    "unpriced_turn_count": "integer",
}
_EXPENSIVE: dict[str, Type] = {
    "rank": "integer",
    "source": "text",
    "session_id": "text",
    "name": "text",
    "session_cost_usd": "number",
    "session_share": "number",
    "turn_rank": "integer",
    "turn_id": "text",
    "turn_index": "integer",
    "prompt": "text",
    "model": "text",
    "turn_cost_usd": "number",
    "turn_share": "number",
}


def repeated_prompts(turns: pd.DataFrame, *, at_least: int = 2, limit: int | None = None) -> pd.DataFrame:
    """Find prompts that were typed more than once: one row per prompt, the most frequent first.

    Prompts are the same where they differ in nothing but case and blanks (also line ends, and those at both ends). Each
    exchange counts once, however many turns it took. Prompts that only a subagent got, and blank ones, do not count.

    Needs source, session_id, turn_index, exchange_index, started_at, is_sidechain, prompt and cost_usd.

    | column | unit | meaning |
    |---|---|---|
    | `prompt` | | as it was typed first |
    | `count` | exchanges | how often it was typed |
    | `session_count` | sessions | in how many sessions |
    | `first_at`, `last_at` | | the first turn of the first and of the last of these exchanges; UTC |
    | `cost_usd` | US dollars | of all turns of these exchanges; NULL where none is known |
    | `unpriced_turn_count` | turns | of these turns: without a cost |

    Raises:
        FrameError: A needed column is missing, or `at_least` or `limit` is no whole number of 1 or more.

    >>> from sessionlab.lab.frames import empty
    >>> len(repeated_prompts(empty("turns")))
    0
    """
    whole(at_least, 1, "at_least")
    whole(limit, 1, "limit", or_none=True)
    columns = (*KEY, "turn_index", "exchange_index", "started_at", "is_sidechain", "prompt", "cost_usd")
    rows = needed(turns, "repeated_prompts", "turns", columns)
    rows = rows[rows["exchange_index"].notna()].reset_index(drop=True)
    exchange, session, first_at = _exchanges(rows)
    main = np.bincount(exchange[~is_true(rows["is_sidechain"])], minlength=len(session)) > 0
    # Turn by turn, so that an exchange has the prompt of its first turn that has one.
    order = np.lexsort((places(rows["turn_index"]), exchange))
    order = order[rows["prompt"].notna().to_numpy(bool)[order]]
    having, first = np.unique(exchange[order], return_index=True)
    row = order[first][main[having]]
    having = having[main[having]]
    texts = rows["prompt"].iloc[row].reset_index(drop=True)
    codes, shown = _same_texts(texts)
    having, texts, codes = having[shown], texts[shown].reset_index(drop=True), codes[shown]
    codes = np.unique(codes, return_inverse=True)[1].astype("int64")
    # By time, those without one last; the same for any order of the rows.
    order = np.lexsort((having, np.where(first_at[having] == NO_TIME, np.iinfo(np.int64).max, first_at[having])))
    earliest = order[np.unique(codes[order], return_index=True)[1]]
    count = np.bincount(codes)
    known = first_at[having] != NO_TIME
    last_at = np.full(len(count), NO_TIME)
    np.maximum.at(last_at, codes[known], first_at[having][known])
    wide = session.max(initial=0) + 1
    of_turn = np.full(len(session), -1)
    of_turn[having] = codes
    prompt_of = of_turn[exchange]
    counted, costs = prompt_of >= 0, rows["cost_usd"]
    values = {
        "prompt": texts.iloc[earliest],
        "count": count,
        "session_count": np.bincount(distinct(codes * wide + session[having]) // wide, minlength=len(count)),
        "first_at": at(first_at[having][earliest]),
        "last_at": at(last_at),
        "cost_usd": costs[counted].groupby(prompt_of[counted]).sum(min_count=1).reindex(range(len(count))),
        "unpriced_turn_count": np.bincount(prompt_of[counted & costs.isna().to_numpy(bool)], minlength=len(count)),
    }
    found = result(_REPEATED, values)
    found = found[found["count"] >= at_least]
    found = found.sort_values(["count", "first_at", "prompt"], ascending=[False, True, True], ignore_index=True)
    return found if limit is None else found.head(limit)


def expensive_sessions(
    sessions: pd.DataFrame, turns: pd.DataFrame, *, limit: int = 10, turns_each: int = 3
) -> pd.DataFrame:
    """Name the sessions that cost most and their most expensive turns: one row per such turn, by rank.

    A session whose turns have no known cost has one row, with NULL in the columns of the turn. Sessions without a known
    cost are left out. A subagent with a session of its own is a session like any other.

    Needs of `sessions` source, session_id, name and cost_usd; of `turns` source, session_id, turn_id, turn_index,
    prompt, response_model, request_model and cost_usd.

    | column | unit | meaning |
    |---|---|---|
    | `rank` | | the session's place, from 1 |
    | `source`, `session_id`, `name` | | the session |
    | `session_cost_usd` | US dollars | what is known of its cost |
    | `session_share` | share | of all known cost of `sessions`; NULL where that is 0 |
    | `turn_rank` | | the turn's place in the session, from 1 |
    | `turn_id`, `turn_index`, `prompt` | | the turn |
    | `model` | | that answered, or else was asked for |
    | `turn_cost_usd` | US dollars | its cost |
    | `turn_share` | share | of the session's cost; NULL where that is 0 |

    Raises:
        FrameError: A needed column is missing, or `limit` or `turns_each` is no whole number of 1 or more.

    >>> from sessionlab.lab.frames import empty
    >>> len(expensive_sessions(empty("sessions"), empty("turns")))
    0
    """
    whole(limit, 1, "limit")
    whole(turns_each, 1, "turns_each")
    kept = needed(sessions, "expensive_sessions", "sessions", (*KEY, "name", "cost_usd"))
    columns = (*KEY, "turn_id", "turn_index", "prompt", "response_model", "request_model", "cost_usd")
    rows = needed(turns, "expensive_sessions", "turns", columns)
    (session, of), _ = session_codes(kept, rows)
    total = kept["cost_usd"].sum()
    top = np.lexsort((session, -kept["cost_usd"].to_numpy("float64", na_value=np.nan)))
    top = top[kept["cost_usd"].notna().to_numpy(bool)[top]][:limit]
    priced = np.flatnonzero(rows["cost_usd"].notna().to_numpy(bool) & np.isin(of, session[top]))
    costs = rows["cost_usd"].to_numpy("float64")[priced]
    priced = priced[np.lexsort((places(rows["turn_index"])[priced], -costs, of[priced]))]
    place = pd.Series(of[priced]).groupby(of[priced]).cumcount().to_numpy()
    picked = pd.DataFrame({"session": of[priced], "row": priced, "turn_rank": place + 1})[place < turns_each]
    found = pd.DataFrame({"session": session[top], "rank": np.arange(len(top)) + 1, "top": top})
    found = found.merge(picked, on="session", how="left").sort_values(["rank", "turn_rank"], ignore_index=True)
    head = kept.iloc[found["top"].to_numpy()].reset_index(drop=True)
    turn = rows.reindex(found["row"].fillna(-1).astype("int64")).reset_index(drop=True)
    turn["model"] = turn["response_model"].fillna(turn["request_model"])
    values = {
        "rank": found["rank"],
        **{name: head[name] for name in (*KEY, "name")},
        "session_cost_usd": head["cost_usd"],
        "session_share": head["cost_usd"] / (total if total > 0 else np.nan),
        "turn_rank": found["turn_rank"],
        **{name: turn[name] for name in ("turn_id", "turn_index", "prompt", "model")},
        "turn_cost_usd": turn["cost_usd"],
        "turn_share": turn["cost_usd"] / head["cost_usd"].where(head["cost_usd"] > 0),
    }
    return result(_EXPENSIVE, values)


def _same_texts(texts: pd.Series[str]) -> tuple[Whole, Truth]:
    """Return a number for each text, the same where texts differ in case and blanks alone, and which are not blank."""
    given = pa.array(texts, type=pa.large_string())
    if isinstance(given, pa.ChunkedArray):  # pandas keeps some columns in pieces
        given = given.combine_chunks()
    typed = given.dictionary_encode()
    plain = pc.utf8_trim(pc.replace_substring_regex(pc.utf8_lower(typed.dictionary), r"[\s\p{Z}]+", " "), " ")
    number, of = plain.dictionary_encode().indices.to_numpy(), typed.indices.to_numpy()
    return number.astype("int64")[of], pc.not_equal(plain, "").to_numpy(zero_copy_only=False)[of]


def _exchanges(turns: pd.DataFrame) -> tuple[Whole, Whole, Whole]:
    """Return each turn's exchange as a number, and each exchange's session and first time (`NO_TIME` if not known)."""
    (session,), _ = session_codes(turns)
    index = places(turns["exchange_index"])
    wide = index.max(initial=0) + 1
    known, exchange = np.unique(session * wide + index, return_inverse=True)
    start = microseconds(turns["started_at"])
    first = np.full(len(known), np.iinfo(np.int64).max)
    timed = start != NO_TIME
    np.minimum.at(first, exchange[timed], start[timed])
    return exchange.astype("int64"), known // wide, np.where(first == np.iinfo(np.int64).max, NO_TIME, first)
