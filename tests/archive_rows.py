"""What tests of the archive compare: frames without their order, and the rows of its tables."""

from __future__ import annotations

import os
import sqlite3
import time
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
