"""The house is built as it is described: imports point down, and only one part knows DuckDB."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPT = os.path.join(ROOT, "scripts", "check_imports.py")
check = runpy.run_path(SCRIPT)["check"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    package = tmp_path / "sessionlab"
    shutil.copytree(os.path.join(ROOT, "sessionlab"), package, ignore=shutil.ignore_patterns("__pycache__"))
    return package


def plant(package: Path, module: str, text: str) -> list[str]:
    """Add a text to the end of a module, or make it, and return what the check says."""
    path = package / module
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + text)
    found: list[str] = check(str(package))
    return found


def test_the_imports_point_down_the_floors() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("module", "text", "said"),
    [
        ("errors.py", "from sessionlab.store.gate import Gate", "store stands above"),
        ("store/gate.py", "def f() -> None:\n    import sessionlab.lab.lab", "lab stands above"),
        ("store/gate.py", "from ..sources import anything", "sources stands above"),
        ("store/gate.py", "from .. import cli", "cli stands above"),
        ("store/gate.py", "from .database import Database\nfrom ..lab import lab", "lab stands above"),
        ("store/gate.py", "if TYPE_CHECKING:\n    from sessionlab.lab.lab import Lab", "lab stands above"),
        ("model.py", "import sessionlab\n\nx = sessionlab.Recorder", "store stands above"),
        ("settings.py", "from sessionlab import Recorder", "store stands above"),
        ("sources/other.py", "import importlib\nimportlib.import_module('sessionlab.cli')", "cli stands above"),
        ("store/database.py", "import pandas", "standard library only"),
        ("__init__.py", "import sessionlab.model", "when first used"),
        ("__init__.py", "import pandas", "standard library only"),
        ("sources/other.py", "import duckdb", "only sessionlab/lab does"),
        ("cli/reading.py", "from duckdb import connect", "only sessionlab/lab does"),
        ("lab/other.py", "def f() -> None:\n    from sessionlab.browser import browser", "browser stands above"),
        ("lab/lab.py", "from sessionlab.browser import browser", "browser stands above"),
        ("plots.py", "import os", "stands on no floor"),
        ("model.py", "from sessionlab.nowhere import x", "no part of sessionlab"),
    ],
)
def test_a_planted_import_is_found_with_file_and_line(copy: Path, module: str, text: str, said: str) -> None:
    before = check(str(copy))
    found = [line for line in plant(copy, module, text) if line not in before]
    assert found
    assert all(line.startswith(f"sessionlab/{module}:") and said in line for line in found), found


def test_browse_may_step_up_and_nothing_else_in_it_may(copy: Path) -> None:
    before = check(str(copy))
    step = "class Lab:\n    def browse(self) -> None:\n        from sessionlab.browser import browser\n"
    assert plant(copy, "lab/lab.py", step) == before
    further = [line for line in plant(copy, "lab/lab.py", step.replace("browser", "cli")) if line not in before]
    assert len(further) == 1
    assert "cli stands above" in further[0]
