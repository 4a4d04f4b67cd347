"""Where the time of a session goes."""

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
    seconds,
    session_codes,
)

if TYPE_CHECKING:
    from sessionlab.lab.frames import Type
    from sessionlab.mining.columns import Truth, Whole

_SPENT: dict[str, Type] = {
    "source": "text",
    "session_id": "text",
    "started_at": "time",
    "model_s": "number",
    "tools_s": "number",
    "waiting_s": "number",
    "idle_s": "number",
    "other_s": "number",
    "total_s": "number",
    "untimed_count": "integer",
}


def time_spent(
    turns: pd.DataFrame, tool_calls: pd.DataFrame, messages: pd.DataFrame, *, idle_after_s: float = 900
) -> pd.DataFrame:
    """Part the time of each session: one row per session of which a time is known, by source and session.

    Time in which several things ran at once (parallel calls, subagents) counts once, and where a tool ran beside a
    model it counts as the tool's. From the end of an exchange, the last known sign of the model or a tool, to the next
    prompt (a message of the user on the main line) the agent waits; while a subagent is still at work it does not. A
    prompt that follows another without such a sign ends no wait.

    The parts add up to `total_s`. A part of which nothing is known is NULL, and what it took is in `other_s`: many
    tools do not note how long the model took.

    Needs of `turns` source, session_id, turn_index, started_at and duration_s, of `tool_calls` the same with
    tool_call_index; of `messages` source, session_id, created_at, role, kind and is_sidechain.

    | column | unit | meaning |
    |---|---|---|
    | `source`, `session_id` | | the session |
    | `started_at` | | the first time that is known of it; UTC |
    | `model_s` | seconds | a model answered and no tool ran; NULL where there are turns, and no duration is known |
    | `tools_s` | seconds | a tool ran; NULL where there are calls, and no duration is known |
    | `waiting_s` | seconds | waits of up to `idle_after_s`; NULL where no time of a prompt is known |
    | `idle_s` | seconds | longer waits, each as a whole; NULL likewise |
    | `other_s` | seconds | the rest, such as what the agent itself did, and what was not noted |
    | `total_s` | seconds | from the first to the last time that is known |
    | `untimed_count` | turns and calls | those without start or duration, so not in `model_s` and `tools_s` |

    Raises:
        FrameError: A needed column is missing, or `idle_after_s` is no number of 0 or more.

    >>> from sessionlab.lab.frames import empty
    >>> len(time_spent(empty("turns"), empty("tool_calls"), empty("messages")))
    0
    """
    if isinstance(idle_after_s, bool) or not isinstance(idle_after_s, (int, float, np.number)) or not idle_after_s >= 0:
        raise FrameError(f"idle_after_s={idle_after_s!r}: expected a number of 0 or more.")
    asked = needed(turns, "time_spent", "turns", (*KEY, "turn_index", "started_at", "duration_s"))
    called = needed(tool_calls, "time_spent", "tool_calls", (*KEY, "tool_call_index", "started_at", "duration_s"))
    said = needed(messages, "time_spent", "messages", (*KEY, "created_at", "role", "kind", "is_sidechain"))
    (of_turn, of_call, of_message), sessions = session_codes(asked, called, said)
    count = len(sessions)
    model, model_timed, model_missing = _spans(asked, of_turn)
    tools, tools_timed, tools_missing = _spans(called, of_call)
    said_at, untimed = _moments(said, of_message)
    say_without_time(model_missing + tools_missing + untimed, "turns, tool calls and messages")

    prompt = ((said["role"] == "user") & (said["kind"] == "message")).to_numpy(bool) & ~is_true(said["is_sidechain"])
    prompts, _ = _moments(said[prompt], of_message[prompt])
    answer = said["role"].isin(("assistant", "tool")).to_numpy(bool)
    answers, _ = _moments(said[answer], of_message[answer])
    waits, idles = _waits(prompts, _joined(model, tools, answers), count, idle_after_s)
    in_tools, busy = _covered(tools, count), _covered(_joined(model, tools), count)
    starts, total, kept = _extents(_joined(model, tools, said_at), count)
    asked_of = np.bincount(prompts[0], minlength=count) > 0
    parts = {
        "model_s": (busy - in_tools, _known(of_turn, model_timed, count)),
        "tools_s": (in_tools, _known(of_call, tools_timed, count)),
        "waiting_s": (waits, asked_of),
        "idle_s": (idles, asked_of),
        "other_s": (total - busy - waits - idles, kept),
        "total_s": (total, kept),
    }
    values: dict[str, Any] = {name: sessions[name][kept] for name in KEY}
    values["started_at"] = at(starts[kept])
    values |= {name: seconds(part, known)[kept] for name, (part, known) in parts.items()}
    missing = np.bincount(of_turn[~model_timed], minlength=count) + np.bincount(of_call[~tools_timed], minlength=count)
    return result(_SPENT, {**values, "untimed_count": missing[kept]})


_Spans = tuple["Whole", "Whole", "Whole"]  # session, start and end


def _joined(*spans: _Spans) -> _Spans:
    session, start, end = (np.concatenate([one[part] for one in spans]) for part in range(3))
    return session, start, end


def _moments(messages: pd.DataFrame, session: Whole) -> tuple[_Spans, int]:
    """Return the messages that have a time as spans without length, and how many have none."""
    moment = microseconds(messages["created_at"])
    placed = moment != NO_TIME
    return (session[placed], moment[placed], moment[placed]), int((~placed).sum())


def _extents(spans: _Spans, count: int) -> tuple[Whole, Whole, Truth]:
    """Return each session's first time, how long it is from there to its last, and which sessions have a time."""
    session, start, end = spans
    starts, ends = np.full(count, np.iinfo(np.int64).max), np.full(count, NO_TIME)
    np.minimum.at(starts, session, start)
    np.maximum.at(ends, session, end)
    kept = ends != NO_TIME
    return starts, np.where(kept, ends, 0) - np.where(kept, starts, 0), kept


def _spans(rows: pd.DataFrame, session: Whole) -> tuple[_Spans, Truth, int]:
    """Return session, start and end of each row with a start, which rows have both, and how many have no start.

    A row whose duration is not known is a moment.
    """
    start = microseconds(rows["started_at"])
    length, known = lengths(rows["duration_s"])
    placed = start != NO_TIME
    return (session[placed], start[placed], (start + length)[placed]), known & placed, int((~placed).sum())


def _known(session: Whole, timed: Truth, count: int) -> Truth:
    """Return of which sessions a part is known: there is nothing of it, or the duration of something."""
    known: Truth = (np.bincount(session, minlength=count) == 0) | (np.bincount(session[timed], minlength=count) > 0)
    return known


def _covered(spans: _Spans, count: int) -> Whole:
    """Return how much time each session's spans cover together."""
    session, start, end = spans
    order = np.lexsort((start, session))
    session, start, end = session[order], start[order], end[order]
    before = _reached(session, end)
    fresh = np.where(end > before, end - np.maximum(start, before), 0)
    covered = np.zeros(count, dtype="int64")
    np.add.at(covered, session, fresh)
    return covered


def _waits(prompts: _Spans, work: _Spans, count: int, idle_after_s: float) -> tuple[Whole, Whole]:
    """Return how long each session waited for prompts in short waits, and in long ones.

    A wait ends at a prompt and begins where all work that had begun before it had ended. After a prompt without any
    sign of work nobody knows who waited.
    """
    session, start, end = _joined(prompts, work)
    is_prompt = np.arange(len(session)) < len(prompts[0])
    # What begins in the moment of the prompt comes after it.
    order = np.lexsort((~is_prompt, start, session))
    session, start, end, is_prompt = session[order], start[order], end[order], is_prompt[order]
    worked = _reached(session, np.where(is_prompt, NO_TIME, end))
    asked = _reached(session, np.where(is_prompt, end, NO_TIME))
    ends_wait = is_prompt & (worked != NO_TIME) & (worked >= asked) & (worked < start)
    wait = start[ends_wait] - worked[ends_wait]
    long = wait > idle_after_s * 1e6
    waits, idles = np.zeros(count, dtype="int64"), np.zeros(count, dtype="int64")
    np.add.at(waits, session[ends_wait][~long], wait[~long])
    np.add.at(idles, session[ends_wait][long], wait[long])
    return waits, idles


def _reached(session: Whole, end: Whole) -> Whole:
    """Return the latest end among the rows before each row in its session, `NO_TIME` for the first."""
    latest = pd.Series(end).groupby(session).cummax().to_numpy("int64")
    return np.where(np.diff(session, prepend=-1) == 0, np.append(NO_TIME, latest[:-1]), NO_TIME)
