"""One session as it went: its messages in order, each with its turn and the tool calls that it asked for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sessionlab.lab.frames import FRAMES

if TYPE_CHECKING:
    import pyarrow as pa

    from sessionlab.lab.lab import Lab
    from sessionlab.lab.redacting import Redaction

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One message with the tool calls that it asked for, or tool calls that no message asked for.

    Attributes:
        message: A row of `messages`, or None.
        turn: The row of `turns` where the message is a model's response.
        tool_calls: Rows of `tool_calls`.
        follows: The `message_index` of the message that it follows, where that is not the one before.
    """

    message: Row | None = None
    turn: Row | None = None
    tool_calls: tuple[Row, ...] = ()
    follows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One session: its row of `sessions`, its rows of the other frames, and the steps that they make."""

    session: Row
    messages: Sequence[Row]
    turns: Sequence[Row]
    tool_calls: Sequence[Row]

    @property
    def steps(self) -> list[Step]:
        """The messages in order. One that is a tool call's result is no step; the call has it."""
        ids = {message["message_id"]: message["message_index"] for message in self.messages}
        turns = {turn["turn_id"]: turn for turn in self.turns}
        asked: dict[str, list[Row]] = defaultdict(list)
        waiting: list[Row] = []
        for call in self.tool_calls:
            (asked[call["turn_id"]] if call["turn_id"] in ids else waiting).append(call)
        results = Counter(_result(call) for call in self.tool_calls if call["status"] != "unanswered")
        steps: list[Step] = []
        before: str | None = None
        for message in self.messages:
            parent = message["parent_message_id"]
            follows = ids[parent] if parent in ids and before is not None and parent != before else None
            before = message["message_id"]
            if message["role"] == "tool" and results[_as_result(message)]:
                results[_as_result(message)] -= 1
                calls = [call for call in waiting if _result(call) == _as_result(message)][:1]
                waiting = [call for call in waiting if call not in calls]
                steps.extend(Step(tool_calls=(call,)) for call in calls)
                continue
            steps.append(
                Step(
                    message=message,
                    turn=turns.get(message["message_id"]),
                    tool_calls=tuple(asked[message["message_id"]]),
                    follows=follows,
                )
            )
        return [*steps, *(Step(tool_calls=(call,)) for call in waiting)]


def _result(call: Row) -> tuple[Any, Any]:
    return call["turn_id"], call["result"]


def _as_result(message: Row) -> tuple[Any, Any]:
    return message["turn_id"], message["content"]


# How many messages of several sessions are read at a time.
_MESSAGES = 20_000


def read_transcripts(lab: Lab, read_from: Lab | Redaction, sessions: Sequence[Row]) -> Iterator[Transcript]:
    """Yield sessions one by one, reading those that are small together.

    Args:
        lab: The lab.
        read_from: Where the frames are taken from: the lab, or a redaction of it.
        sessions: Rows of the lab's `sessions`, at least with source, session_id and message_count.

    Raises:
        HistoryFileError: A history cannot be read.
    """
    without_texts = [column.name for column in FRAMES["turns"].columns if column.text is None]
    with lab.snapshot():
        for group in _groups(sessions):
            asked: dict[str, Any] = {
                "source": list(dict.fromkeys(row["source"] for row in group)),
                "session_id": [row["session_id"] for row in group],
            }
            # By the rows' places: what stands in the place of an id is not the id.
            keys = lab.frame("sessions", columns=["source", "session_id"], to="arrow", **asked).to_pylist()
            rows = read_from.frame("sessions", to="arrow", **asked).to_pylist()
            found = {_key(key): row for key, row in zip(keys, rows, strict=True)}
            told = {
                name: _by_session(read_from.frame(name, columns=columns, to="arrow", **asked))
                for name, columns in (("messages", None), ("turns", without_texts), ("tool_calls", None))
            }
            for row in group:
                session = found[_key(row)]
                yield Transcript(
                    session=session,
                    messages=told["messages"].get(_key(session), []),
                    turns=told["turns"].get(_key(session), []),
                    tool_calls=told["tool_calls"].get(_key(session), []),
                )


def _groups(sessions: Sequence[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    count = 0
    for session in sessions:
        if group and count + session["message_count"] > _MESSAGES:
            yield group
            group, count = [], 0
        group.append(session)
        count += session["message_count"]
    if group:
        yield group


def _by_session(table: pa.Table) -> dict[tuple[str, str], list[Row]]:
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in table.to_pylist():
        rows[_key(row)].append(row)
    return rows


def _key(row: Row) -> tuple[str, str]:
    return row["source"], row["session_id"]


def read_transcript(lab: Lab, source: str, session_id: str, session: Row | None = None) -> Transcript:
    """Return one session, all of one moment.

    Args:
        lab: The lab.
        source: The session's tool.
        session_id: Its id.
        session: Its row of `sessions` where somebody has it already: finding one among many takes a while.

    Raises:
        HistoryFileError: A history cannot be read.
    """
    one: dict[str, Any] = {"source": source, "session_id": session_id}
    without_texts = [column.name for column in FRAMES["turns"].columns if column.text is None]
    with lab.snapshot():
        return Transcript(
            session=session or lab.frame("sessions", to="arrow", **one).to_pylist()[0],
            messages=lab.frame("messages", to="arrow", **one).to_pylist(),
            turns=lab.frame("turns", columns=without_texts, to="arrow", **one).to_pylist(),
            tool_calls=lab.frame("tool_calls", to="arrow", **one).to_pylist(),
        )
