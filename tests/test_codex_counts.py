"""Codex CLI: whatever is copied into other files, shown again or lost, each response counts once."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import sessionlab

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAMPLE = os.path.join(ROOT, "sample_data", "codex")
SETTLED = 1_700_000_000
PARTS = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")
FRAMES = ("sessions", "turns", "messages", "tool_calls", "token_usage", "model_configs")


@dataclass
class Session:
    """One session: its lines behind the first one, and which response each count of them is of."""

    number: int
    metas: list[dict[str, Any]]
    lines: list[dict[str, Any]] = field(default_factory=list)
    responses: dict[int, tuple[int, ...]] = field(default_factory=dict)
    total: tuple[int, ...] = (0, 0, 0, 0)

    @property
    def id(self) -> str:
        return f"01a0ec3c-18b7-7ef3-b3ac-{self.number:012d}"


def line(line_type: str, payload: Any) -> dict[str, Any]:
    return {"timestamp": "2026-09-29T08:00:00.000Z", "type": line_type, "payload": payload}


def meta(number: int, parent: Session | None, *, is_agent: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"id": f"01a0ec3c-18b7-7ef3-b3ac-{number:012d}", "cwd": "/work"}
    if parent is not None and is_agent:
        told["source"] = {"subagent": {"thread_spawn": {"parent_thread_id": parent.id}}}
    elif parent is not None:
        told["forked_from_id"] = parent.id
    return line("session_meta", told)


def count(total: tuple[int, ...], last: tuple[int, ...], response: int | None) -> dict[str, Any]:
    info = {
        "total_token_usage": dict(zip(PARTS, total, strict=True)),
        "last_token_usage": dict(zip(PARTS, last, strict=True)),
    }
    return {**line("event_msg", {"type": "token_count", "info": info}), "response": response}


# What a response uses: few numbers, so that equal ones come up in different places.
USES = st.tuples(st.integers(1, 3), st.integers(0, 1), st.integers(0, 2), st.integers(0, 1)).map(
    lambda n: (n[0] * 100, n[1] * 50, n[2] * 10 + n[3], n[3])
)
# A response, with what it uses, whether the counter begins anew before it, and how often its count is shown again.
RESPONSES = st.lists(st.tuples(USES, st.booleans(), st.integers(0, 2)), min_size=1, max_size=3)
# A session: whose lines it begins with, how many of them, how they are copied, and what it says itself.
SESSIONS = st.lists(
    st.tuples(
        st.integers(0, 9), st.floats(0, 1), st.sampled_from(("fork", "agent", "filtered", "follow", "new")), RESPONSES
    ),
    min_size=1,
    max_size=5,
)


def family(plan: list[Any]) -> list[Session]:
    """Play the sessions of a plan."""
    sessions: list[Session] = []
    next_response = 0
    for number, (whose, share, way, responses) in enumerate(plan):
        parent = sessions[whose % len(sessions)] if sessions and way != "new" else None
        session = Session(number, [meta(number, parent, is_agent=way in ("agent", "filtered"))])
        if parent is not None and way == "follow":
            told = session.metas[0]["payload"]
            told["history_base"] = {"thread_id": parent.id}
            session.total = parent.total
        elif parent is not None:
            copied = parent.lines[: round(share * len(parent.lines))]
            if way == "filtered":
                copied = [one for one in copied if one["type"] == "event_msg"]
            session.metas += parent.metas
            session.lines = list(copied)
            for one in copied:
                if one["payload"].get("type") == "token_count":
                    session.total = tuple(one["payload"]["info"]["total_token_usage"].values())
                    if one["response"] is not None:
                        session.responses[one["response"]] = parent.responses[one["response"]]
        for at, (used, is_reset, shows) in enumerate(responses):
            add_response(
                session, next_response, used, is_reset=is_reset and way != "follow", shows=shows, turn=f"{number}.{at}"
            )
            next_response += 1
        sessions.append(session)
    return sessions


def add_response(
    session: Session, response: int, used: tuple[int, ...], *, is_reset: bool, shows: int, turn: str
) -> None:
    if is_reset:
        session.total = (0, 0, 0, 0)
        session.lines.append(count(session.total, session.total, None))
    session.total = tuple(a + b for a, b in zip(session.total, used, strict=True))
    session.responses[response] = used
    shown = [count(session.total, used, None)] * shows
    text = [{"type": "input_text", "text": f"question {response}"}]
    answer = [{"type": "output_text", "text": f"answer {response}"}]
    session.lines += [
        line("event_msg", {"type": "task_started", "turn_id": turn}),
        line("turn_context", {"turn_id": turn, "model": "gpt-5.5"}),
        line("response_item", {"type": "message", "role": "user", "content": text}),
        line("event_msg", {"type": "user_message", "message": f"question {response}"}),
        line("response_item", {"type": "message", "role": "assistant", "content": answer}),
        count(session.total, used, response),
        *shown,
        line("event_msg", {"type": "task_complete", "turn_id": turn}),
        *shown,
    ]


def write(folder: str, session: Session, *, second: int) -> None:
    """Write a session's file; its lines have the time at which it was made, as copies have."""
    path = os.path.join(folder, f"rollout-2026-09-29T08-00-{second:02d}-{session.id}.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        for one in [*session.metas, *session.lines]:
            told = {name: value for name, value in one.items() if name != "response"}
            file.write(json.dumps({**told, "timestamp": f"2026-09-29T08:00:{second:02d}.000Z"}) + "\n")
    os.utime(path, (SETTLED, SETTLED))


@given(SESSIONS, st.permutations(range(5)), st.sets(st.integers(0, 4), max_size=2))
@settings(max_examples=25)
def test_each_response_counts_once_however_it_is_copied_shown_again_or_lost(
    plan: list[Any], order: list[int], lost: set[int]
) -> None:
    sessions = family(plan)
    kept = [session for session in sessions if session.number not in lost] or sessions
    responses = {number: used for session in kept for number, used in session.responses.items()}
    expected = [sum(used[part] for used in responses.values()) for part in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        for session in kept:
            write(folder, session, second=order[session.number])
        with sessionlab.open(folder) as lab:
            turns = lab.frame("turns")
            tokens = lab.frame("token_usage").tokens.sum()
    names = ("input_tokens", "cache_read_input_tokens", "output_tokens", "reasoning_output_tokens")
    assert [int(turns[name].fillna(0).sum()) for name in names] == expected
    assert int(tokens) == expected[0] + expected[2]
    assert int(turns.input_tokens.notna().sum()) == len(responses)


def sample_files() -> list[str]:
    return sorted(os.path.join(at, name) for at, _, names in os.walk(SAMPLE) for name in names)


@given(st.sampled_from(sample_files()), st.floats(0, 1))
@settings(max_examples=15)
def test_a_file_that_is_cut_anywhere_gives_frames_or_problems(path: str, share: float) -> None:
    whole = next(one for one in sample_files() if one != path)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy2(whole, folder)
        cut = shutil.copy2(path, folder)
        os.truncate(cut, round(share * os.path.getsize(cut)))
        os.utime(cut, (SETTLED, SETTLED))
        with sessionlab.open(folder) as lab:
            frames = {name: lab.frame(name) for name in FRAMES}
            assert os.path.basename(whole) in {os.path.basename(origin) for origin in frames["sessions"].origin}
            assert set(frames["turns"].session_id) <= set(frames["sessions"].session_id)
            assert lab.problems.reason.notna().all()
