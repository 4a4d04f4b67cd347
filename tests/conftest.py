"""Fixtures that many tests share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sessionlab import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "history.db")


@pytest.fixture
def recorder(path: str) -> Iterator[Recorder]:
    with Recorder(path) as opened:
        yield opened
        if os.path.exists(path) and opened._database is not None:
            assert opened._database.check() == []
