"""Fixtures that many tests share."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from sessionlab import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make everything that belongs to a user lie in tmp_path, and a terminal be 100 wide."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("data", "config", "cache"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(folder / name))
    monkeypatch.setenv("COLUMNS", "100")
    return folder


@pytest.fixture
def sample(tmp_path: Path) -> str:
    """Return a copy of the sample store."""
    return shutil.copy(os.path.join(ROOT, "sample_data", "history.db"), str(tmp_path / "sample.db"))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "history.db")


@pytest.fixture
def recorder(path: str) -> Iterator[Recorder]:
    with Recorder(path) as opened:
        yield opened
        if os.path.exists(path) and opened._database is not None:
            assert opened._database.check() == []
