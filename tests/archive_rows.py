"""What tests of the archive compare, frames without their order and rows of its tables; and transcripts for them."""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pandas.testing import assert_frame_equal

if TYPE_CHECKING:
    import pandas as pd

    import sessionlab

SAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sample_data")
KEYS = {
    "sessions": ["source", "session_id"],
    "turns": ["source", "session_id", "turn_index"],
    "messages": ["source", "session_id", "message_index"],
    "tool_calls": ["source", "session_id", "tool_call_index"],
    "token_usage": ["source", "session_id", "turn_id", "token_type"],
    "model_configs": ["source", "model_config_id"],
}


def frames_of(lab: sessionlab.Lab, sources: Sequence[str] | None = None) -> dict[str, pd.DataFrame]:
    """Return all frames with all columns, each by its key; of some tools only, if any are named."""
    chosen: dict[str, Any] = {} if sources is None else {"source": list(sources)}
    return {name: lab.frame(name, **chosen).sort_values(key).reset_index(drop=True) for name, key in KEYS.items()}


def assert_same_frames(found: Mapping[str, pd.DataFrame], expected: Mapping[str, pd.DataFrame]) -> None:
    for name, frame in expected.items():
        assert_frame_equal(found[name], frame, obj=name)


def query(path: str, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def archived_rows(path: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table of the archive."""
    tables = query(path, "select name from sqlite_schema where type = 'table' and name like 'archive%' order by name")
    return {table: query(path, f"select * from {table} order by 1, 2") for (table,) in tables}


def aged(folder: str) -> str:
    """Make all files of a folder an hour old, so that they count as settled; return the folder."""
    hour_ago = time.time() - 3600
    for at, _, names in os.walk(folder):
        for name in names:
            os.utime(os.path.join(at, name), (hour_ago, hour_ago))
    return folder


def _line(session_id: str, number: int, before: str | None, message: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": message["role"],
        "uuid": str(uuid.UUID(int=number)),
        "parentUuid": before,
        "sessionId": session_id,
        "timestamp": f"2026-11-01T10:{number // 60:02}:{number % 60:02}.000Z",
        "cwd": "/home/ada/projects/tidepool",
        "version": "2.1.0",
        "isSidechain": False,
        "userType": "external",
        "message": message,
        **more,
    }


def transcript(
    session_id: str, exchanges: int, *, first: int = 0, after: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return lines of a Claude Code session: a prompt and a response of 10 tokens for each exchange.

    Args:
        session_id: Of the session.
        exchanges: How many.
        first: The number of the first; equal numbers are the same prompts and responses.
        after: The lines that they follow.
    """
    lines: list[dict[str, Any]] = []
    before = after[-1]["uuid"] if after else None
    for exchange in range(first, first + exchanges):
        prompt = _line(session_id, 2 * exchange, before, {"role": "user", "content": f"question {exchange}"})
        usage = {"input_tokens": 100, "output_tokens": 10}
        answer = {
            "id": f"msg_{exchange}",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": [{"type": "text", "text": f"answer {exchange}"}],
            "stop_reason": "end_turn",
            "usage": usage,
        }
        lines.append(prompt)
        lines.append(_line(session_id, 2 * exchange + 1, prompt["uuid"], answer, requestId=f"req_{exchange}"))
        before = lines[-1]["uuid"]
    return lines


def write_transcript(folder: str, session_id: str, lines: Sequence[Mapping[str, Any]]) -> str:
    """Write the lines as the file of a session, an hour ago, and return its path."""
    path = os.path.join(folder, "projects", "-home-ada-projects-tidepool", f"{session_id}.jsonl")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({**one, "sessionId": session_id}) + "\n" for one in lines)
    aged(folder)
    return path
