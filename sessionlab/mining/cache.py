"""What the cache saved of the input, and what was paid again although it had been sent before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sessionlab.mining.columns import KEY, free_name, groups, is_true, needed, places, result, session_codes

if TYPE_CHECKING:
    from sessionlab.lab.frames import Type
    from sessionlab.mining.columns import Number, Whole

_ECONOMICS: dict[str, Type] = {
    "turn_count": "integer",
    "unmeasured_turn_count": "integer",
    "input_tokens": "integer",
    "uncached_tokens": "integer",
    "cache_read_tokens": "integer",
    "cache_creation_tokens": "integer",
    "unknown_cache_tokens": "integer",
    "read_share": "number",
    "creation_share": "number",
    "paid_again_tokens": "integer",
    "paid_again_share": "number",
    "uncached_cost_usd": "number",
    "cache_read_cost_usd": "number",
    "cache_creation_cost_usd": "number",
    "unpriced_tokens": "integer",
}
_TYPES = {
    "uncached_input": "uncached_cost_usd",
    "cache_read": "cache_read_cost_usd",
    "cache_creation": "cache_creation_cost_usd",
}


def cache_economics(turns: pd.DataFrame, token_usage: pd.DataFrame | None = None, by: str = "model") -> pd.DataFrame:
    """Add up how much input the cache gave and took, by the values of a column: one row per value, NULL last.

    The cache counts of a turn are known where it reported how much it read; what was written and not reported counts as
    none, for many providers write without saying so. Turns of subagents count too.

    What was paid again is looked for between two turns of a main line that follow each other, with the same model, with
    known input and cache counts of the second, and with no less input than before (less: the context was cut).
    The first turn's input was sent already; what of it the second did not read from the cache was paid again.

    Needs source, session_id, turn_id, turn_index, is_sidechain, response_model, request_model, input_tokens,
    cache_read_input_tokens, cache_creation_input_tokens and `by`; of `token_usage` source, session_id, turn_id,
    token_type, tokens and cost_usd.

    | column | unit | meaning |
    |---|---|---|
    | the name of `by` | | `model`: the model that answered, or else was asked for; NULL where it is not known |
    | `turn_count` | turns | |
    | `unmeasured_turn_count` | turns | of these: without input tokens |
    | `input_tokens` | tokens | the sum of the four after it; NULL where no turn is measured |
    | `uncached_tokens`, `cache_read_tokens`, `cache_creation_tokens` | tokens | of turns with known cache counts |
    | `unknown_cache_tokens` | tokens | the input of the other turns |
    | `read_share`, `creation_share` | share | of the input of turns with known cache counts |
    | `paid_again_tokens` | tokens | see above; NULL where no two turns could be compared |
    | `paid_again_share` | share | of the input of turns with known cache counts |
    | `uncached_cost_usd`, `cache_read_cost_usd`, `cache_creation_cost_usd` | US dollars | NULL: nothing has a price |
    | `unpriced_tokens` | tokens | input of these types without a price; NULL without `token_usage` |

    Raises:
        FrameError: A needed column is missing, or `by` cannot be grouped by.

    >>> from sessionlab.lab.frames import empty
    >>> len(cache_economics(empty("turns"), empty("token_usage")))
    0
    """
    free_name(by, _ECONOMICS, "cache_economics")
    counts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    columns = [*KEY, "turn_id", "turn_index", "is_sidechain", "response_model", "request_model", *counts]
    rows = needed(turns, "cache_economics", "turns", columns if by == "model" else [*columns, by])
    rows["model"] = rows["response_model"].fillna(rows["request_model"])
    group, names = groups(rows[by], "cache_economics")
    total, read = rows["input_tokens"], rows["cache_read_input_tokens"]
    known = total.notna() & read.notna()
    creation = rows["cache_creation_input_tokens"].fillna(0).where(known)
    sums = (
        pd.DataFrame(
            {
                "input_tokens": total,
                "uncached_tokens": (total - read - creation).where(known),
                "cache_read_tokens": read.where(known),
                "cache_creation_tokens": creation,
                "unknown_cache_tokens": total.where(~known),
                "paid_again_tokens": _paid_again(rows),
            }
        )
        .groupby(group)
        .sum(min_count=1)
    )
    measured = sums["input_tokens"].notna()
    sums["unknown_cache_tokens"] = sums["unknown_cache_tokens"].fillna(0).where(measured)
    of = (sums["input_tokens"] - sums["unknown_cache_tokens"]).to_numpy("float64", na_value=np.nan)
    values: dict[str, Any] = {str(name): column for name, column in sums.items()}
    values[by] = names
    values["turn_count"] = np.bincount(group, minlength=len(names))
    values["unmeasured_turn_count"] = np.bincount(group, total.isna().to_numpy("float64"), minlength=len(names))
    for name in ("read", "creation", "paid_again"):
        part = sums[f"{name}_tokens" if name == "paid_again" else f"cache_{name}_tokens"]
        values[f"{name}_share"] = part.to_numpy("float64", na_value=np.nan) / np.where(of > 0, of, np.nan)
    values |= _costs(rows, group, len(names), token_usage)
    return result(_ECONOMICS, {name: values[name] for name in (by, *_ECONOMICS)})


def _paid_again(rows: pd.DataFrame) -> pd.Series[int]:
    """Return how much of the context of the turn before each turn was paid again; NULL where that cannot be told."""
    (session,), _ = session_codes(rows)
    main = ~is_true(rows["is_sidechain"]) & rows["input_tokens"].notna().to_numpy(bool)
    order = np.lexsort((places(rows["turn_index"]), session))
    order = order[main[order]]
    model = pd.factorize(rows["model"])[0][order]
    sent = rows["input_tokens"].iloc[order]
    before = sent.shift()
    follows = (np.diff(session[order], prepend=-1) == 0) & (np.diff(model, prepend=-2) == 0) & (model >= 0)
    again = (before - rows["cache_read_input_tokens"].iloc[order]).clip(lower=0)
    return again.where(follows & (sent >= before).fillna(False)).reindex(rows.index)


def _costs(
    turns: pd.DataFrame, group: Whole, count: int, token_usage: pd.DataFrame | None
) -> dict[str, Number | pd.Series[Any]]:
    """Return what the input of each group cost by token type; NULL without token usage."""
    empty = np.full(count, np.nan)
    if token_usage is None:
        return dict.fromkeys((*_TYPES.values(), "unpriced_tokens"), empty)
    columns = (*KEY, "turn_id", "token_type", "tokens", "cost_usd")
    usage = needed(token_usage, "cache_economics", "token_usage", columns)
    usage = usage[usage["turn_id"].notna() & usage["token_type"].isin(_TYPES)].reset_index(drop=True)
    (wanted, have), _ = session_codes(usage, turns)
    ids = pd.factorize(pd.concat([usage["turn_id"], turns["turn_id"]], ignore_index=True))[0].astype("int64")
    wide = ids.max(initial=0) + 1
    of, keys = wanted * wide + ids[: len(usage)], have * wide + ids[len(usage) :]
    order = np.argsort(keys, kind="stable")
    step = np.searchsorted(keys[order], of)
    row = np.append(order, -1)[step]
    found = np.append(keys, -1)[row] == of
    usage, of = usage[found], group[row[found]]
    made: dict[str, Number | pd.Series[Any]] = {}
    for kind, name in _TYPES.items():
        which = (usage["token_type"] == kind).to_numpy(bool)
        made[name] = usage["cost_usd"][which].groupby(of[which]).sum(min_count=1).reindex(range(count))
    tokens = usage["tokens"].where(usage["cost_usd"].isna(), 0).groupby(of).sum(min_count=1)
    return {**made, "unpriced_tokens": tokens.reindex(range(count)).fillna(0)}
