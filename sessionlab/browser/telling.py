"""A session's transcript as the page shows it: items of plain values, long texts cut, what changed marked."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

from sessionlab.browser.listing import short
from sessionlab.errors import FrameError
from sessionlab.lab.transcript import read_transcript

if TYPE_CHECKING:
    from sessionlab.lab.lab import Lab
    from sessionlab.lab.transcript import Row, Step, Transcript

CUT = 6_000
"""How many characters of a text go to the page before somebody asks for all of it."""

_OF_TURN = (
    "turn_index",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "reasoning_output_tokens",
    "cost_usd",
    "duration_s",
    "finish_reason",
    "error_type",
)
_OF_CALL = ("tool_name", "status", "exit_code", "duration_s")
# What is no setting of a configuration.
_NO_SETTINGS = {"source", "model_config_id", "first_used_at", "last_used_at", "session_count", "turn_count"}
_SETTING_SHOWN = 120


class Telling:
    """One session as the page shows it; immutable.

    Attributes:
        head: What is told of the session itself, with its parent and the sessions that it started.
        errors: The places of the items in which something failed.
    """

    def __init__(self, transcript: Transcript, configs: Mapping[str, Row], family: Sequence[Row]) -> None:
        self.head = _head(transcript.session, family)
        self._steps = transcript.steps
        self._changes = _changes(self._steps, configs)
        self._place_of = {
            step.message["message_index"]: place for place, step in enumerate(self._steps) if step.message is not None
        }
        # Where a branch begins, the message that it follows says so too; a call's result is no item of its own.
        self._branches: dict[int, list[int]] = defaultdict(list)
        for place, step in enumerate(self._steps):
            if step.follows in self._place_of:
                self._branches[self._place_of[step.follows]].append(place)
        self.errors = [place for place, step in enumerate(self._steps) if _is_error(step)]

    def __len__(self) -> int:
        return len(self._steps)

    @classmethod
    def of(cls, lab: Lab, session: Row, family: Sequence[Row]) -> Telling:
        """Read one session, of which its row is known, and rows of the one that started it and of those it started.

        Raises:
            HistoryFileError: A history cannot be read.
        """
        source, session_id = session["source"], session["session_id"]
        with lab.snapshot():
            transcript = read_transcript(lab, source, session_id, session)
            configs: list[Row] = []
            if len({turn["model_config_id"] for turn in transcript.turns} - {None}) > 1:
                configs = lab.frame("model_configs", source=source, session_id=session_id, to="arrow").to_pylist()
        return cls(transcript, {row["model_config_id"]: row for row in configs}, family)

    def items(self, start: int, end: int) -> list[dict[str, Any]]:
        """Return the messages and tool calls at some places."""
        return [self._item(place) for place in range(start, min(end, len(self)))]

    def _item(self, place: int) -> dict[str, Any]:
        step = self._steps[place]
        return {
            "place": place,
            "message": None if step.message is None else _message(step.message),
            "turn": None if step.turn is None else _turn(step.turn),
            "calls": [_call(call) for call in step.tool_calls],
            "changes": self._changes.get(place, []),
            "follows": None if step.follows is None else self._place_of.get(step.follows),
            "branches": self._branches.get(place, []),
            "is_error": _is_error(step),
        }

    def places_of(self, text: str | None) -> list[int]:
        """Return the places of the items in which a text stands, in any case."""
        if not text:
            return []
        has = re.compile(re.escape(text), re.IGNORECASE).search
        return [place for place, step in enumerate(self._steps) if any(has(part) for part in _texts(step) if part)]

    def whole(self, place: int, part: str) -> str:
        """Return one text whole: `content`, `reasoning`, or of a tool call `arguments:N` or `result:N`."""
        step = self._steps[place]
        name, _, number = part.partition(":")
        row = step.tool_calls[int(number)] if number else step.message
        if row is None or name not in ("content", "reasoning", "arguments", "result"):
            raise FrameError(f"There is no text {part!r} in this message.")
        return str(row[name] or "")

    def copied(self, place: int) -> str:
        """Return what somebody wants who copies a message: its text, or else its tool calls."""
        step = self._steps[place]
        if step.message is not None and step.message["content"]:
            return str(step.message["content"])
        calls = [[call["tool_name"], call["arguments"], call["result"]] for call in step.tool_calls]
        return "\n\n".join("\n".join(part for part in call if part) for call in calls)

    def first_change(self, other: Telling) -> int:
        """Return the first place at which something else is shown there."""
        pairs = enumerate(zip(self._steps, other._steps, strict=False))
        steps = next((place for place, (a, b) in pairs if a != b), min(len(self), len(other)))
        places = self._branches.keys() | other._branches.keys()
        branched = [place for place in places if self._branches.get(place) != other._branches.get(place)]
        return min([steps, *branched])


def _texts(step: Step) -> Iterator[str | None]:
    if step.message is not None:
        yield step.message["content"]
        yield step.message["reasoning"]
    for call in step.tool_calls:
        yield call["tool_name"]
        yield call["arguments"]
        yield call["result"]


def _head(session: Row, family: Sequence[Row]) -> dict[str, Any]:
    names = ("source", "session_id", "agent_name", "directory", "origin", "turn_count", "tool_call_count")
    more = ("tool_error_count", "models", "input_tokens", "output_tokens", "cost_usd", "cost_status", "duration_s")
    head = {name: _plain(session[name]) for name in (*names, *more)}
    head["started_at"] = _plain(session["started_at"])
    head["ended_at"] = _plain(session["ended_at"])
    parent_id = session["parent_session_id"]
    head["label"] = _label(session)
    head["parent"] = None
    if parent_id is not None:
        found = [row for row in family if row["session_id"] == parent_id]
        label = _label(found[0]) if found else parent_id
        head["parent"] = {"session_id": parent_id, "label": label, "is_there": bool(found)}
    head["children"] = [
        {"session_id": row["session_id"], "label": _label(row), "turn_count": row["turn_count"]}
        for row in family
        if row["session_id"] != parent_id
    ]
    return head


def _label(session: Row) -> str:
    """Return what a session is called, or what it began with."""
    return short(session["name"]) or short(session["first_prompt"]) or str(session["session_id"])


def _message(row: Row) -> dict[str, Any]:
    return {
        "index": row["message_index"],
        "role": row["role"],
        "kind": row["kind"],
        "is_preamble": bool(row["is_preamble"]),
        "is_sidechain": bool(row["is_sidechain"]),
        "created_at": _plain(row["created_at"]),
        "content": _cut(row["content"]),
        "reasoning": _cut(row["reasoning"]),
    }


def _turn(row: Row) -> dict[str, Any]:
    return {"model": _model(row), **{name: _plain(row[name]) for name in _OF_TURN}}


def _call(row: Row) -> dict[str, Any]:
    return {
        **{name: _plain(row[name]) for name in _OF_CALL},
        "is_error": bool(row["is_error"]),
        "started_at": _plain(row["started_at"]),
        "arguments": _cut(row["arguments"]),
        "result": _cut(row["result"]),
    }


def _is_error(step: Step) -> bool:
    if any(call["is_error"] for call in step.tool_calls):
        return True
    if step.turn is not None and step.turn["error_type"]:
        return True
    return step.message is not None and step.message["kind"] == "error"


def _changes(steps: Sequence[Step], configs: Mapping[str, Row]) -> dict[int, list[str]]:
    """Return at which places the model that answers, or its settings, are others than in the turn before."""
    found: dict[int, list[str]] = {}
    last: dict[bool, Row] = {}
    for place, step in enumerate(steps):
        if step.turn is not None:
            lane = bool(step.turn["is_sidechain"])  # a subagent has a model of its own
            if lane in last and (changes := list(_changes_between(last[lane], step.turn, configs))):
                found[place] = changes
            last[lane] = step.turn
    return found


def _changes_between(before: Row, now: Row, configs: Mapping[str, Row]) -> Iterator[str]:
    models = _model(before), _model(now)
    if None not in models and models[0] != models[1]:
        yield f"model: {models[0]} → {models[1]}"
    old, new = configs.get(before["model_config_id"]), configs.get(now["model_config_id"])
    if old is None or new is None or old is new:
        return
    for name in new:
        is_told = name == "request_model" and models == (old[name], new[name])
        if name not in _NO_SETTINGS and old[name] != new[name] and not is_told:
            yield f"{name}: {_setting(old[name])} → {_setting(new[name])}"


def _model(turn: Row) -> str | None:
    model: str | None = turn["response_model"] or turn["request_model"]
    return model


def _setting(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= _SETTING_SHOWN else text[: _SETTING_SHOWN - 1] + "…"


def _cut(text: str | None) -> list[Any] | None:
    """Return a text as far as it goes to the page, how long it is, and whether there is more."""
    return None if text is None else [text[:CUT], len(text), len(text) > CUT]


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; times as milliseconds."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
