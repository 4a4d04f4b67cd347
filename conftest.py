"""What holds for all tests and doctests: a home of their own, and in CI no test that skips."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator

# Shared runners stall now and then, which says nothing about the code.
settings.register_profile(
    "sessionlab",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),  # there the same examples each time, elsewhere others each time
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("sessionlab")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
    own = ("SESSIONLAB_", "XDG_", "ATUIN_", "APPAM_", "CLAUDE_", "CODEX_", "GEMINI_", "GOOSE_", "LLM_", "OPENCODE_")
    for name in [n for n in os.environ if n.startswith(own)]:
        monkeypatch.delenv(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where CI=true."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} would skip, and in CI no test may: {report.longrepr}"
    return report
