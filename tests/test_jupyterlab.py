"""The notebooks and the session browser in a real JupyterLab: what a reader sees and does there."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from in_browser import Watch
from in_jupyterlab import Notebook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from in_jupyterlab import JupyterLab
    from playwright.sync_api import Browser, Locator, Page

ROOT = Path(__file__).parent.parent
CHARTS = {
    "01_record_and_read": 0,
    "02_tokens_and_cost": 4,
    "03_failing_tools": 4,
    "04_settings_and_answers": 2,
    "05_browse": 0,
}
DRAWN = "[...document.querySelectorAll('.js-plotly-plot')].filter((plot) => plot.querySelector('.main-svg')).length"


@pytest.fixture(scope="module")
def watched(chromium: Browser) -> Iterator[tuple[Page, Watch]]:
    """Open one page for all tests here: the first visit is the slow one."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1100})
    context.set_default_timeout(30_000)
    watch = Watch(context, with_console=False)  # JupyterLab writes of its own extensions' versions there
    yield context.new_page(), watch
    context.close()


@pytest.fixture
def page(watched: tuple[Page, Watch]) -> Iterator[Page]:
    page, watch = watched
    yield page
    watch.check()


@pytest.fixture
def folder(jupyterlab: JupyterLab) -> Iterator[Path]:
    """Return a folder that JupyterLab shows, with the sample beside it."""
    shutil.copytree(ROOT / "sample_data", jupyterlab.root / "sample_data")
    folder = jupyterlab.root / "notebooks"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)
    shutil.rmtree(jupyterlab.root / "sample_data")


@contextlib.contextmanager
def run(name: str, page: Page, lab: JupyterLab, folder: Path) -> Iterator[Notebook]:
    """Run one of the notebooks in the page; at its start and at its end there is nothing to complain of."""
    shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", folder)
    with Notebook(page, lab, f"notebooks/{name}.ipynb") as notebook:
        notebook.run_all()
        assert notebook.complaints() == []
        page.wait_for_function(f"{DRAWN} === {CHARTS[name]}")
        yield notebook
        assert notebook.complaints() == []


@pytest.mark.parametrize("name", sorted(CHARTS.keys() - {"03_failing_tools"}))
def test_notebook_runs_in_the_page_and_draws_what_it_promises(
    name: str, jupyterlab: JupyterLab, folder: Path, page: Page
) -> None:
    with run(name, page, jupyterlab, folder) as notebook:
        assert notebook.cell_count() > 5


def test_notebook_runs_and_a_control_draws_its_chart_anew(jupyterlab: JupyterLab, folder: Path, page: Page) -> None:
    with run("03_failing_tools", page, jupyterlab, folder):
        chart = page.locator(".js-plotly-plot").first
        chart.get_by_text("web_search", exact=True).wait_for()
        page.get_by_role("button", name="coder", exact=True).click()
        chart.get_by_text("web_search", exact=True).wait_for(state="detached")
        chart.get_by_text("edit", exact=True).wait_for()


def test_every_notebook_is_run() -> None:
    assert sorted(CHARTS) == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


SHOW = """
import sessionlab
lab = sessionlab.open("../sample_data/history.db")
browser = lab.browse()
browser
"""
OPENED = 'print(lab.frame("sessions", session_id=browser.session_id)["name"].to_list())'
TICKED = 'print(sorted(lab.frame("sessions", session_id=browser.selected)["name"]))'
SET = """
named = lab.frame("sessions").set_index("name")["session_id"]
browser.selected = [named["slow startup"], named["retry uploads"]]
browser.session_id = named["slow startup"]
"""


@pytest.fixture
def browsing(jupyterlab: JupyterLab, folder: Path, page: Page) -> Iterator[Notebook]:
    """Open a notebook whose first cell shows the session browser; the others are run by the test."""
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]  # has no types
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook.cells = [nbformat.v4.new_code_cell(text.strip()) for text in (SHOW, OPENED, TICKED, SET)]  # type: ignore[no-untyped-call]  # has no types
    nbformat.write(notebook, folder / "browsing.ipynb")  # type: ignore[no-untyped-call]  # has no types
    with Notebook(page, jupyterlab, "notebooks/browsing.ipynb") as opened:
        opened.run(0)
        sessions(opened).get_by_role("row").nth(5).wait_for()
        yield opened
        assert opened.complaints() == []


def sessions(notebook: Notebook) -> Locator:
    return notebook.output(0).get_by_role("grid", name="Sessions")


def row(notebook: Notebook, name: str) -> Locator:
    return (
        sessions(notebook).get_by_role("row").filter(has=notebook.page.get_by_role("gridcell", name=name, exact=True))
    )


def test_a_session_is_found_and_opened_with_the_mouse_and_is_there_in_python(browsing: Notebook) -> None:
    browsing.output(0).get_by_role("searchbox").fill("uploads")
    row(browsing, "slow startup").wait_for(state="detached")
    row(browsing, "retry uploads").click()
    browsing.output(0).get_by_role("feed", name="Transcript").get_by_role("article").first.wait_for()
    assert browsing.run(1) == "['retry uploads']"
    assert browsing.run(2) == "[]"


def test_sessions_are_opened_and_ticked_with_keys_alone_and_jupyterlab_takes_none(browsing: Notebook) -> None:
    page = browsing.page
    cells = browsing.cell_count()
    browsing.output(0).get_by_role("searchbox").focus()
    while not sessions(browsing).evaluate("grid => grid === document.activeElement"):
        page.keyboard.press("Tab")
    for key in ("Home", "ArrowDown", "a", "b", "m", "y", "x", "c", "v", "z", "d", "d", "0", "0", "1", "Shift+M", "End"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    sessions(browsing).locator('[aria-selected="true"]').nth(1).wait_for()
    names = [one.get_by_role("gridcell").nth(2).inner_text() for one in ticked(browsing)]
    opened = sessions(browsing).locator('[aria-current="true"]').get_by_role("gridcell").nth(2).inner_text()
    assert browsing.cell_count() == cells
    assert browsing.run(1) == str([opened])
    assert browsing.run(2) == str(sorted(names))


def test_what_python_sets_is_seen_in_the_page(browsing: Notebook) -> None:
    browsing.run(3)
    sessions(browsing).locator('[aria-selected="true"]').nth(1).wait_for()
    assert {one.get_by_role("gridcell").nth(2).inner_text() for one in ticked(browsing)} == {
        "slow startup",
        "retry uploads",
    }
    browsing.output(0).get_by_role("feed", name="Transcript").get_by_role("article").first.wait_for()
    assert row(browsing, "slow startup").get_attribute("aria-current") == "true"


def ticked(notebook: Notebook) -> list[Locator]:
    return sessions(notebook).locator('[aria-selected="true"]').all()
