"""Fixtures that many tests share."""

from __future__ import annotations

import importlib
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from opened import close_labs

from sessionlab import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from in_jupyterlab import JupyterLab
    from playwright.sync_api import Browser, Page

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


@pytest.fixture(autouse=True)
def _close_labs() -> Iterator[None]:
    """Close the labs that the test opened by `opened.py`."""
    yield
    close_labs()


@pytest.fixture
def maker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module that made the sample of the tool that the tests are of, and knows what is in it."""
    monkeypatch.syspath_prepend(os.path.join(ROOT, "sample_data"))
    return importlib.import_module(request.module.__name__.replace("test_source", "invented"))


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


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start the Chromium that `make test` found, for the tests of one module."""
    from in_browser import running_chromium

    with running_chromium(str(tmp_path_factory.mktemp("chromium"))) as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """Return a page that cannot leave this machine; the test fails if it tried, or had an error."""
    from in_browser import Watch

    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(20_000)
    watch = Watch(context)
    yield context.new_page()
    context.close()
    watch.check()


@pytest.fixture(scope="session")
def jupyterlab() -> Iterator[JupyterLab]:
    """Start one JupyterLab for all tests."""
    from in_jupyterlab import running_jupyterlab

    with running_jupyterlab() as lab:
        yield lab


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """End a soak with its table."""
    from soaking import told

    if config.getoption("markexpr") == "soak":
        terminalreporter.section("what the faults cost")
        for line in told():
            terminalreporter.write_line(line)
