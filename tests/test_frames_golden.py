"""Every frame of the sample store is, row by row, what tests/golden holds.

To write the golden files anew after a change that is meant: `python tests/test_frames_golden.py`. Costs are not in
them, since the prices of the genai-prices package change; test_pricing.py tests those.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

import sessionlab

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = os.path.join(os.path.dirname(HERE), "sample_data", "history.db")
FRAMES = ("sessions", "turns", "messages", "tool_calls", "token_usage", "model_configs")
# What depends on the prices of the day, and on where the checkout lies.
LEFT_OUT = {"cost_usd", "cost_status", "origin"}


def golden_path(name: str) -> str:
    """Return where a frame's golden file lies."""
    return os.path.join(HERE, "golden", f"{name}.jsonl")


def lines_of(lab: sessionlab.Lab, name: str) -> list[str]:
    """Return a frame as JSON lines: one row each, without what was not reported."""
    rows: list[dict[str, Any]] = lab.frame(name, to="arrow").to_pylist()
    return [
        json.dumps(
            {column: value for column, value in row.items() if column not in LEFT_OUT and value is not None},
            ensure_ascii=False,
            default=str,
        )
        for row in rows
    ]


@pytest.mark.parametrize("name", FRAMES)
def test_the_sample_store_gives_the_golden_rows(name: str) -> None:
    with open(golden_path(name), encoding="utf-8") as file:
        expected = file.read().splitlines()
    with sessionlab.open(SAMPLE) as lab:
        assert lines_of(lab, name) == expected, "if that is meant: python tests/test_frames_golden.py"


def test_reading_the_sample_leaves_it_as_it_is() -> None:
    folder = os.path.dirname(SAMPLE)
    before = sorted(os.listdir(folder)), os.stat(SAMPLE).st_mtime_ns, os.stat(SAMPLE).st_size
    with sessionlab.open(SAMPLE) as lab:
        lab.frame("messages")
    assert (sorted(os.listdir(folder)), os.stat(SAMPLE).st_mtime_ns, os.stat(SAMPLE).st_size) == before


if __name__ == "__main__":
    os.makedirs(os.path.join(HERE, "golden"), exist_ok=True)
    with sessionlab.open(SAMPLE) as sample:
        for frame in FRAMES:
            with open(golden_path(frame), "w", encoding="utf-8", newline="\n") as golden:
                golden.writelines(line + "\n" for line in lines_of(sample, frame))
