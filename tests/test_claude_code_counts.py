"""However Claude Code spreads its responses over lines and copies them into other files, each counts once."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

import sessionlab

if TYPE_CHECKING:
    import pandas as pd

SETTLED = 1_700_000_000
START = datetime(2026, 5, 1, 10, 0, tzinfo=UTC)
TYPES = ("uncached_input", "cache_read", "cache_creation", "output")


@dataclass(frozen=True, kw_only=True)
class Response:
    """A response: how many lines it has, what each says of the output, and the rest of the counts."""

    outputs: tuple[int, ...]
    uncached: int
    read: int
    created: int
    has_request: bool
    has_stop: bool


@dataclass(frozen=True, kw_only=True)
class File:
    """A session: what it copies from an earlier one, and what is new in it."""

    name: UUID
    folder: str
    copied_from: int
    copied_share: float
    seconds: int
    responses: tuple[Response, ...]


counts = st.integers(0, 100_000)
responses = st.builds(
    Response,
    outputs=st.lists(st.integers(1, 5000), min_size=1, max_size=5).map(tuple),
    uncached=counts,
    read=counts,
    created=counts,
    has_request=st.booleans(),
    has_stop=st.booleans(),
)
files = st.builds(
    File,
    name=st.uuids(version=4),
    folder=st.sampled_from(("-a", "-b", "-b/deeper")),
    copied_from=st.integers(-1, 5),
    copied_share=st.floats(0, 1),
    seconds=st.integers(1, 300),
    responses=st.lists(responses, max_size=4).map(tuple),
)


class Story:
    """The lines of some files, and what is true of them."""

    def __init__(self, told: list[File]) -> None:
        self.lines: list[list[dict[str, Any]]] = []
        self.turns = 0
        self.totals = dict.fromkeys(TYPES, 0)
        self._number = 0
        for at, file in enumerate(told):
            source = self.lines[file.copied_from % at] if at and file.copied_from >= 0 else []
            copied = source[: round(len(source) * file.copied_share)]
            self.lines.append([dict(line) for line in copied])
            self._go_on(self.lines[-1], file)

    def _go_on(self, lines: list[dict[str, Any]], file: File) -> None:
        now = datetime.fromisoformat(lines[-1]["timestamp"]) if lines else START
        now += timedelta(seconds=file.seconds)
        self._add(lines, now, {"type": "user", "message": {"role": "user", "content": "q"}})
        for response in file.responses:
            self.turns += 1
            self.totals["uncached_input"] += response.uncached
            self.totals["cache_read"] += response.read
            self.totals["cache_creation"] += response.created
            self.totals["output"] += max(response.outputs)
            name = f"msg_{self.turns}"
            for at, output in enumerate(response.outputs, 1):
                now += timedelta(milliseconds=700)
                usage = {
                    "input_tokens": response.uncached,
                    "cache_read_input_tokens": response.read,
                    "cache_creation_input_tokens": response.created,
                    "output_tokens": output,
                }
                message = {
                    "id": name,
                    "model": "claude-sonnet-4-5",
                    "content": [{"type": "text", "text": f"{name} {at}"}],
                    "stop_reason": "end_turn" if response.has_stop and at == len(response.outputs) else None,
                    "usage": usage,
                }
                request = {"requestId": f"req_{self.turns}"} if response.has_request else {}
                self._add(lines, now, {"type": "assistant", "message": message, **request})

    def _add(self, lines: list[dict[str, Any]], now: datetime, body: dict[str, Any]) -> None:
        self._number += 1
        parent = lines[-1]["uuid"] if lines else None
        lines.append(
            {"parentUuid": parent, "isSidechain": False, "uuid": f"line {self._number}", "timestamp": now.isoformat()}
            | body
        )


def write(root: str, told: list[File], story: Story) -> None:
    """Write the files; in those of a copy, each line names the session that it was copied to."""
    for file, lines in zip(told, story.lines, strict=True):
        path = os.path.join(root, file.folder, f"{file.name}.jsonl")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as target:
            target.writelines(json.dumps(line | {"sessionId": str(file.name)}) + "\n" for line in lines)
        os.utime(path, (SETTLED, SETTLED))


def sums(usage: pd.DataFrame) -> dict[str, int]:
    """Return the tokens of each type."""
    return {kind: int(usage[usage.token_type == kind].tokens.sum()) for kind in TYPES}


@settings(max_examples=30, deadline=None)
@given(st.lists(files, min_size=1, max_size=6, unique_by=lambda file: file.name))
def test_each_response_counts_once_with_its_largest_count_however_it_is_split_and_copied(told: list[File]) -> None:
    story = Story(told)
    with tempfile.TemporaryDirectory() as root:
        write(root, told, story)
        with sessionlab.open(root) as lab:
            quick = lab.frame("token_usage")
            turns, sessions = lab.frame("turns"), lab.frame("sessions")
            assert lab.frame("token_usage").equals(quick)
    assert sums(quick) == story.totals
    assert len(turns) == sessions.turn_count.sum() == story.turns
    assert turns.output_tokens.sum() == sessions.output_tokens.sum() == story.totals["output"]
    assert turns.input_tokens.sum() == sum(story.totals[kind] for kind in TYPES if kind != "output")
    assert sorted(sessions.session_id) == sorted(str(file.name) for file in told)
    assert turns.turn_id.is_unique


@settings(max_examples=6, deadline=None)
@given(told=st.lists(files, min_size=2, max_size=5, unique_by=lambda file: file.name), share=st.floats(0, 1))
def test_files_that_grow_between_two_frames_count_as_if_they_had_been_read_at_once(
    told: list[File], share: float
) -> None:
    story = Story(told)
    with tempfile.TemporaryDirectory() as root:
        write(root, told, story)
        paths = [os.path.join(root, file.folder, f"{file.name}.jsonl") for file in told]
        rests = []
        for path in paths:
            with open(path, "rb+") as file:
                content = file.read()
                cut = max(content.index(b"\n") + 1, round(len(content) * share))
                file.truncate(cut)
                rests.append(content[cut:])
        with sessionlab.open(root) as lab, sessionlab.open(root) as usage_lab:
            lab.frame("messages")
            usage_lab.frame("token_usage")
            for path, rest in zip(paths, rests, strict=True):
                with open(path, "ab") as grown:
                    grown.write(rest)
            with sessionlab.open(root) as fresh:
                usage = fresh.frame("token_usage")
                assert sums(usage) == story.totals
                assert usage_lab.frame("token_usage").equals(usage)
                for name in ("sessions", "turns", "messages"):
                    assert lab.frame(name).equals(fresh.frame(name)), name
