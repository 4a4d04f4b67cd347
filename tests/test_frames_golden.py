"""Every frame of every sample history is, row by row, what tests/golden holds.

To write the golden files anew after a change that is meant: `python tests/test_frames_golden.py`. Costs are not in
them, since the prices of the genai-prices package change; test_pricing.py tests those.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import sessionlab
from sessionlab.lab.statements import file_id

if TYPE_CHECKING:
    from pathlib import Path

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLES = os.path.join(os.path.dirname(HERE), "sample_data")
# What is opened for each tool: a file, or the folder with all of its files.
HISTORIES = {
    "sessionlab": "history.db",
    "awful_aj": "awful_aj",
    "atuin_ai": "atuin_ai",
    "appam": "appam",
    "claude_code": "claude_code",
    "llm": "llm",
    "codex": "codex",
    "opencode": "opencode",
    "goose": "goose",
    "gemini_cli": "gemini_cli",
    "chatgpt": "chatgpt",
}
# What real programs wrote, of several tools.
REAL = "real_agents"
FRAMES = ("sessions", "turns", "messages", "tool_calls", "token_usage", "model_configs")
# What depends on the prices of the day.
PRICED = {"cost_usd", "cost_status"}


def golden_path(tool: str, name: str) -> str:
    """Return where a frame's golden file lies."""
    return os.path.join(HERE, "golden", tool, f"{name}.jsonl")


def lines_of(lab: sessionlab.Lab, name: str, root: str) -> list[str]:
    """Return a frame or the problems as JSON lines: one row each, without what was not reported."""
    if name == "problems":
        rows: Any = lab.problems.astype(object).to_dict("records")
    else:
        rows = lab.frame(name, to="arrow").to_pylist()
    texts = []
    for row in rows:
        given = {key: value for key, value in row.items() if key not in PRICED and _is_told(value)}
        texts.append(json.dumps(given, ensure_ascii=False, default=str))
    return [_without_places(text, [path for _, path in lab.sources], root) for text in texts]


def _is_told(value: Any) -> bool:
    return isinstance(value, list) or not pd.isna(value)


def _without_places(text: str, paths: list[str], root: str) -> str:
    """Return a line with files named by where they lie in the sample; ids that hold a file's short name likewise."""
    for path in paths:
        text = text.replace(file_id(path), f"<{os.path.basename(path)}>")
    return text.replace(json.dumps(root)[1:-1] + os.sep, "")


def copied(folder: str) -> str:
    """Return a copy of the sample histories, so that the committed ones stay untouched whatever is tested."""
    return _copied(SAMPLES, os.path.join(folder, "samples"))


def copied_real(folder: str) -> str:
    """Return a copy of what real programs wrote."""
    return _copied(os.path.join(HERE, REAL), os.path.join(folder, REAL))


def _copied(given: str, target: str) -> str:
    left_out = shutil.ignore_patterns("*.py", "*.toml", "__pycache__", "schemas", REAL)
    shutil.copytree(given, target, ignore=left_out)
    # Of what was written just now it is not known yet whether it is whole.
    for at, _, names in os.walk(target):
        for name in names:
            os.utime(os.path.join(at, name), (1_700_000_000, 1_700_000_000))
    return os.path.realpath(target)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> str:
    return copied(str(tmp_path_factory.mktemp("golden")))


@pytest.mark.parametrize("tool", HISTORIES)
def test_a_sample_history_gives_the_golden_rows(tool: str, samples: str) -> None:
    with sessionlab.open(os.path.join(samples, HISTORIES[tool])) as lab:
        for name in (*FRAMES, "problems"):
            with open(golden_path(tool, name), encoding="utf-8") as file:
                expected = file.read().splitlines()
            assert lines_of(lab, name, samples) == expected, (
                f"{name} differs; if that is meant: python tests/test_frames_golden.py"
            )


def test_what_real_agents_wrote_gives_the_golden_rows(tmp_path: Path) -> None:
    root = copied_real(str(tmp_path))
    with sessionlab.open(root) as lab:
        for name in (*FRAMES, "problems"):
            with open(golden_path(REAL, name), encoding="utf-8") as file:
                assert lines_of(lab, name, root) == file.read().splitlines(), name


def test_all_sample_histories_opened_together_give_the_rows_of_each_told_apart_by_source(samples: str) -> None:
    with sessionlab.open(samples) as lab:
        assert {tool for tool, _ in lab.sources} == set(HISTORIES)
        together = {name: lines_of(lab, name, samples) for name in FRAMES}
    # Found files come by source and path; each of them has its rows one after the other.
    for name in FRAMES:
        expected = []
        for tool in sorted(HISTORIES):
            with open(golden_path(tool, name), encoding="utf-8") as file:
                expected += file.read().splitlines()
        assert together[name] == expected


def test_reading_the_samples_leaves_them_as_they_are(tmp_path: Path) -> None:
    root = copied(str(tmp_path))

    def state() -> list[tuple[str, int, int]]:
        paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
        return [(path, os.stat(path).st_mtime_ns, os.stat(path).st_size) for path in paths]

    before = state()
    with sessionlab.open(root) as lab:
        lab.frame("messages")
        lab.frame("tool_calls")
    assert state() == before


def write_golden() -> None:
    """Write the golden files anew."""
    with tempfile.TemporaryDirectory() as folder:
        root = copied(folder)
        opened = {tool: (os.path.join(root, history), root) for tool, history in HISTORIES.items()}
        opened[REAL] = (copied_real(folder),) * 2
        for tool, (path, above) in opened.items():
            os.makedirs(os.path.dirname(golden_path(tool, "")), exist_ok=True)
            with sessionlab.open(path) as lab:
                for name in (*FRAMES, "problems"):
                    with open(golden_path(tool, name), "w", encoding="utf-8", newline="\n") as golden:
                        golden.writelines(line + "\n" for line in lines_of(lab, name, above))


if __name__ == "__main__":
    write_golden()
