"""The session browser in a real JupyterLab and Chromium: from the run of the cell or the key to the painted page."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import nbformat

from benchmarks.aims import Aim
from benchmarks.timing import Line
from sessionlab import Recorder

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(_ROOT, "tests"), os.path.join(_ROOT, "sample_data")]

from in_browser import running_chromium  # noqa: E402 -- the rooms in which the tests run as well
from in_jupyterlab import Notebook, running_jupyterlab  # noqa: E402
from large_store import write_large  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

SESSIONS = 100_000
MESSAGES = 5_000
_CELLS = (
    "import sessionlab\nlab = sessionlab.open({path!r})\nlab.frame('sessions')['session_id'].size",
    "browser = lab.browse()\nbrowser",
    "counts = lab.frame('sessions', columns=['session_id', 'message_count']).set_index('session_id')\n"
    "long = counts['message_count'].idxmax()",
    "browser.session_id = long",
    "browser.session_id = ''",
)
# Do something, wait until what is looked for is there and a frame has been drawn, and return the milliseconds.
_TIME = """async ([act, is_there]) => {
    const start = performance.now(), there = eval(is_there);
    eval(act)();
    while (!there()) {
        if (performance.now() - start > 60_000) throw new Error(`not there after 60 s: ${is_there}`);
        await new Promise((done) => requestAnimationFrame(done));
    }
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
    return performance.now() - start;
}"""
_RUN = """() => {{
    const {{ content }} = window.jupyterapp.shell.currentWidget;
    content.activeCellIndex = {cell};
    content.deselectAll();
    window.jupyterapp.commands.execute("notebook:run-cell");
}}"""
_SEARCH = """() => {{
    const search = document.querySelector(".slb-search");
    search.value = {text!r};
    search.dispatchEvent(new Event("input"));
}}"""
_TOTALS = "document.querySelector('.slb-totals strong')?.textContent"
_FIRST = "document.querySelector('.slb-space [aria-rowindex=\"2\"]')?.children[2].textContent"
_JUMP = "() => {{ document.querySelector('.slb-grid').scrollTop = {row} * 28 }}"
_HAS_ROW = "() => document.querySelector('.slb-space [aria-rowindex=\"{index}\"]')?.children[2].textContent.length > 1"


def lines(folder: str, *, runs: int) -> Iterator[Line]:
    """Measure a list of `SESSIONS` sessions and a transcript of `MESSAGES` messages, and yield the lines."""
    path = os.path.join(folder, "browsing.db")
    Recorder(path).close()
    write_large(path, MESSAGES + 6 * (SESSIONS - 1), [MESSAGES] + [6] * (SESSIONS - 1))
    with (
        tempfile.TemporaryDirectory(prefix="chromium-") as home,
        running_jupyterlab() as lab,
        running_chromium(home) as chromium,
    ):
        notebook: Any = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]  # has no types
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
        notebook.cells = [nbformat.v4.new_code_cell(text.format(path=path)) for text in _CELLS]  # type: ignore[no-untyped-call]  # has no types
        nbformat.write(notebook, lab.root / "browsing.ipynb")  # type: ignore[no-untyped-call]  # has no types
        page = chromium.new_context(viewport={"width": 1500, "height": 1100}).new_page()
        page.set_default_timeout(180_000)
        with Notebook(page, lab, "browsing.ipynb") as opened:
            opened.run(0)
            yield from _measured(page, opened, runs=runs)


def _measured(page: Page, notebook: Notebook, *, runs: int) -> Iterator[Line]:
    shown = f"() => {_TOTALS} === '{SESSIONS:,} sessions' && {_FIRST}"
    firsts = []
    for _ in range(runs + 1):
        firsts.append(page.evaluate(_TIME, [_RUN.format(cell=1), shown]) / 1_000)
        page.evaluate("() => document.querySelector('.slb').remove()")
    label = f"browser: {SESSIONS:,} sessions, run to paint"
    yield Line(work=f"{label}, for the first time", ours_s=firsts[0], aim=Aim(most_s=0.5))
    yield Line(work=f"{label}, again", ours_s=statistics.median(firsts[1:]), aim=Aim(most_s=0.5))
    notebook.run(1)
    page.wait_for_function(shown)
    places = [SESSIONS // (runs + 1) * n for n in range(1, runs + 1)]
    jumps = [page.evaluate(_TIME, [_JUMP.format(row=row), _HAS_ROW.format(index=row + 2)]) / 1_000 for row in places]
    yield Line(work="browser: jump in the list", ours_s=statistics.median(jumps), aim=Aim(most_s=0.2))
    everything = f"() => {_TOTALS} === '{SESSIONS:,} sessions'"
    filtered, cleared = [], []
    for n in range(runs):
        text = f"session {7_000 + n}"
        some = f"() => {_TOTALS}?.includes(' of ') && {_FIRST}?.startsWith('{text}')"
        filtered.append(page.evaluate(_TIME, [_SEARCH.format(text=text), some]) / 1_000)
        cleared.append(page.evaluate(_TIME, [_SEARCH.format(text=""), everything]) / 1_000)
    yield Line(work="browser: filter by text", ours_s=statistics.median(filtered), aim=Aim(most_s=0.3))
    yield Line(work="browser: take the filter back", ours_s=statistics.median(cleared), aim=Aim(most_s=0.3))
    heads = "document.querySelectorAll('.slb-head [role=columnheader] button')"
    serial = "Number(document.querySelector('.slb-grid').dataset.serial)"
    sorts = []
    for column in (1 + n % 5 for n in range(1, runs + 1)):
        before = page.evaluate(serial)
        act = [f"() => {heads}[{column}].click()", f"() => {serial} > {before} && {_FIRST}"]
        sorts.append(page.evaluate(_TIME, act) / 1_000)
    yield Line(work="browser: sort by another column", ours_s=statistics.median(sorts), aim=Aim(most_s=0.3))
    notebook.run(2)
    opened = []
    for _ in range(runs):
        has_items = "() => document.querySelector('.slb-feed article pre')?.textContent.length > 1"
        opened.append(page.evaluate(_TIME, [_RUN.format(cell=3), has_items]) / 1_000)
        page.evaluate(_TIME, [_RUN.format(cell=4), "() => document.querySelector('.slb-feed').hidden"])
    yield Line(
        work=f"browser: transcript of {MESSAGES:,} messages", ours_s=statistics.median(opened), aim=Aim(most_s=0.6)
    )
