"""One session, span by span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sessionlab.errors import FrameError
from sessionlab.mining.columns import (
    KEY,
    NO_TIME,
    at,
    is_true,
    lengths,
    microseconds,
    needed,
    result,
    say_without_time,
    session_codes,
)

if TYPE_CHECKING:
    from sessionlab.lab.frames import Type
    from sessionlab.mining.columns import Truth

_TIMELINE: dict[str, Type] = {
    "lane": "text",
    "label": "text",
    "start": "time",
    "end": "time",
    "duration_s": "number",
    "is_error": "boolean",
    "turn_index": "integer",
}
_OF_TURNS = (
    "turn_id",
    "turn_index",
    "started_at",
    "duration_s",
    "request_model",
    "response_model",
    "error_type",
    "is_sidechain",
)
_OF_CALLS = ("turn_id", "tool_call_index", "tool_name", "is_error", "started_at", "duration_s")
_OF_MESSAGES = ("message_index", "role", "kind", "content", "created_at", "is_sidechain")
_LANES = ("prompt", "model", "tools", "subagents")


def timeline(turns: pd.DataFrame, tool_calls: pd.DataFrame, messages: pd.DataFrame | None = None) -> pd.DataFrame:
    """Lay out what happened in one session: one row per prompt, turn and tool call, by their start.

    Needs of `turns` source, session_id, turn_id, turn_index, started_at, duration_s, request_model, response_model,
    error_type and is_sidechain; of `tool_calls` source, session_id, turn_id, tool_call_index, tool_name, is_error,
    started_at and duration_s; of `messages` source, session_id, message_index, role, kind, content, created_at and
    is_sidechain.

    | column | unit | meaning |
    |---|---|---|
    | `lane` | | `prompt`, `model`, `tools`, or `subagents` for the turns and calls of sidechains |
    | `label` | | the prompt's text, the model that answered (or else was asked for), or the tool |
    | `start`, `end` | | UTC; `end` is NULL where it is not known, and of a prompt |
    | `duration_s` | seconds | NULL: a moment |
    | `is_error` | | NULL of a prompt, and of a call that nobody answered |
    | `turn_index` | | the turn, or that of the call; NULL of a prompt |

    Args:
        turns: Those of one session.
        tool_calls: Those of the same session.
        messages: Those of the same session; without them there are no prompts.

    Raises:
        FrameError: A needed column is missing, or the rows are of more than one session.

    >>> from sessionlab.lab.frames import empty
    >>> len(timeline(empty("turns"), empty("tool_calls")))
    0
    """
    asked = needed(turns, "timeline", "turns", (*KEY, *_OF_TURNS))
    called = needed(tool_calls, "timeline", "tool_calls", (*KEY, *_OF_CALLS))
    frames = [asked, called]
    if messages is not None:
        frames.append(needed(messages, "timeline", "messages", (*KEY, *_OF_MESSAGES)))
    _of_one_session(frames)
    beside = is_true(asked["is_sidechain"])
    turn_of = asked.drop_duplicates("turn_id").set_index("turn_id")["turn_index"]
    beside_ids = asked["turn_id"][beside]
    rows = [
        _rows(asked, np.where(beside, "subagents", "model"), asked["response_model"].fillna(asked["request_model"])),
        _rows(called, np.where(called["turn_id"].isin(beside_ids), "subagents", "tools"), called["tool_name"]),
    ]
    rows[0]["is_error"], rows[0]["turn_index"] = asked["error_type"].notna().astype("boolean"), asked["turn_index"]
    rows[1]["is_error"] = called["is_error"]
    rows[1]["turn_index"] = turn_of.reindex(called["turn_id"]).reset_index(drop=True)
    rows[0]["place"], rows[1]["place"] = asked["turn_index"], called["tool_call_index"]
    if messages is not None:
        rows.append(_prompts(frames[2]))
    found = pd.concat(rows, ignore_index=True)
    missing = found["start"] == NO_TIME
    say_without_time(int(missing.sum()), "prompts, turns and tool calls")
    found = found[~missing]
    found = found.sort_values(["start", "lane_number", "place"], kind="stable", ignore_index=True)
    values = {name: found[name] for name in _TIMELINE}
    return result(_TIMELINE, {**values, "start": at(found["start"].to_numpy()), "end": at(found["end"].to_numpy())})


def _of_one_session(frames: list[pd.DataFrame]) -> None:
    _, sessions = session_codes(*frames)
    if len(sessions) > 1:
        raise FrameError(
            f"mining.timeline got rows of {len(sessions)} sessions and shows one. "
            'Take those of one: lab.frame("turns", session_id=…), and the other frames likewise.'
        )


def _rows(frame: pd.DataFrame, lane: Any, label: pd.Series[str]) -> pd.DataFrame:
    """Return the spans of turns or calls; those without a duration have no end."""
    start = microseconds(frame["started_at"])
    length, known = lengths(frame["duration_s"])
    return _laid_out(lane, label, start, np.where(known & (start != NO_TIME), start + length, NO_TIME), known)


def _prompts(messages: pd.DataFrame) -> pd.DataFrame:
    """Return the prompts as moments."""
    asks = (messages["role"] == "user") & (messages["kind"] == "message") & ~is_true(messages["is_sidechain"])
    asked = messages[asks.to_numpy(bool)].reset_index(drop=True)
    start = microseconds(asked["created_at"])
    none = np.zeros(len(asked), dtype=bool)
    rows = _laid_out(np.full(len(asked), "prompt"), asked["content"], start, np.full(len(asked), NO_TIME), none)
    rows["is_error"] = pd.Series(pd.NA, index=asked.index, dtype="boolean")
    rows["turn_index"] = pd.Series(pd.NA, index=asked.index, dtype="Int64")
    rows["place"] = asked["message_index"]
    return rows


def _laid_out(lane: Any, label: pd.Series[str], start: Any, end: Any, known: Truth) -> pd.DataFrame:
    number = pd.Series(lane, dtype=object).map({name: number for number, name in enumerate(_LANES)})
    rows = pd.DataFrame({"label": label.reset_index(drop=True), "start": start, "end": end})
    rows["lane"] = pd.Series(lane, dtype=label.dtype)
    rows["lane_number"] = number.astype("int64")
    rows["duration_s"] = np.where(known & (end != NO_TIME), (end - start) / 1e6, np.nan)
    return rows
