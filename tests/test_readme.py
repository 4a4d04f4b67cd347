"""What the README shows works, and what it lists is what there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sessionlab.lab import frames

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """A folder and a home of its own, in which there is no history."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SESSIONLAB_", "XDG_"))}
    return {**kept, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "PYTHONPATH": str(ROOT)}


def test_the_first_screen_names_both_commands() -> None:
    first = TEXT[: TEXT.index("## ", TEXT.index("## ") + 3)]
    assert "make demo" in first
    assert "make test" in first


def test_all_python_of_the_readme_runs_in_its_order(tmp_path: Path, elsewhere: dict[str, str]) -> None:
    assert len(PYTHON) >= 4
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    code = "\n".join(PYTHON)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_table_of_frames_is_the_registry() -> None:
    between = TEXT.split("<!-- frames -->")[1].split("<!-- /frames -->")[0]
    assert between.strip() == frames.markdown(), "write it anew with: python scripts/write_frames_table.py"


def test_the_page_of_columns_is_the_registry() -> None:
    page = (ROOT / "docs" / "frames.md").read_text(encoding="utf-8")
    assert page == frames.described(), "write it anew with: python scripts/write_frames_table.py"


def test_every_file_that_the_readme_links_to_is_there() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", TEXT):
        assert (ROOT / target).exists(), target


def test_every_test_that_the_security_page_names_is_there() -> None:
    named = re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    assert named
    assert [name for name in named if f"def {name}(" not in tests] == []
