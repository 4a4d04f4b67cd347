"""The session browser in marimo: the list is in the real page, and what is filtered there is so in Python."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from in_jupyterlab import free_port, own_environment, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

PROGRAM = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    import sessionlab

    lab = sessionlab.open({sample!r})
    browser = mo.ui.anywidget(lab.browse())
    browser
    return browser, mo


@app.cell
def _(browser, mo):
    mo.md("selected in Python: " + str(browser.frame("sessions")["name"].to_list()) if browser.filters else "all")
    return


if __name__ == "__main__":
    app.run()
"""


@pytest.fixture
def marimo(tmp_path: Path, sample: str) -> Iterator[str]:
    """Run a small marimo app over the sample, and return its address."""
    program = tmp_path / "app.py"
    program.write_text(PROGRAM.format(sample=sample))
    home = tmp_path / "home"
    home.mkdir()
    port = str(free_port())
    options = ["--headless", "--host", "127.0.0.1", "--port", port, "--no-token"]
    command = [sys.executable, "-m", "marimo", "run", str(program), *options]
    with serving(command, f"http://127.0.0.1:{port}/health", own_environment(home), tmp_path):
        yield f"http://127.0.0.1:{port}"


def test_sessions_are_listed_filtered_and_opened_in_a_marimo_app(marimo: str, page: Page) -> None:
    page.goto(marimo)
    grid = page.get_by_role("grid", name="Sessions")
    grid.get_by_role("row").filter(has=page.get_by_role("gridcell", name="slow startup", exact=True)).click()
    page.get_by_role("feed", name="Transcript").get_by_role("article").first.wait_for()
    page.get_by_role("searchbox").fill("uploads")
    page.get_by_text("selected in Python: ['retry uploads (tidepool)', 'retry uploads']").wait_for()
