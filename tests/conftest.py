"""What all tests share: no test sees the real home folder or the user's settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from sessionlab import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Shared runners stall now and then, which says nothing about the code.
settings.register_profile("sessionlab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sessionlab")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
    for name in [n for n in os.environ if n.startswith(("SESSIONLAB_", "XDG_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "history.db")


@pytest.fixture
def recorder(path: str) -> Iterator[Recorder]:
    with Recorder(path) as opened:
        yield opened
        if os.path.exists(path) and opened._database is not None:
            assert opened._database.check() == []
