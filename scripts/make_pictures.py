"""Make the README's pictures anew: what `make demo` shows, the session browser, and two charts, all of sample data."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile

from chart_pictures import write_readme_pictures
from demo import ROOT, WIDTH, show
from rich.console import Console
from rich.terminal_theme import TerminalTheme

import sessionlab

sys.path.insert(0, os.path.join(ROOT, "tests"))

from in_browser import Bridge, running_chromium

DOCS = os.path.join(ROOT, "docs")
# Dark on light, readable on a page of either kind.
THEME = TerminalTheme((250, 250, 252), (36, 41, 47), [(36, 41, 47)] * 8, [(36, 41, 47)] * 8)
BROWSER_WIDTH = 1240
SEARCHED = "pytest"


def write_demo() -> None:
    """Write what `make demo` shows of the sample histories."""
    os.chdir(ROOT)
    console = Console(width=WIDTH, highlight=False, markup=False, emoji=False, record=True, file=io.StringIO())
    show(console, leave_out=("turns", "model_configs"))
    picture = console.export_svg(title="make demo", theme=THEME, unique_id="demo")
    # The fonts that Rich names would be fetched from elsewhere; any fixed-width font will do.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    with open(os.path.join(DOCS, "demo.svg"), "w", encoding="utf-8") as file:
        file.write(picture)


def write_browser() -> None:
    """Write the session browser with a session that was searched for."""
    paths = [os.path.join(ROOT, "sample_data", name) for name in ("history.db", "goose", "llm", "opencode")]
    with sessionlab.open(*paths) as lab, tempfile.TemporaryDirectory() as home, running_chromium(home) as chromium:
        context = chromium.new_context(
            viewport={"width": BROWSER_WIDTH + 16, "height": 720}, device_scale_factor=1.5, timezone_id="Europe/Berlin"
        )
        page = context.new_page()
        with Bridge(page) as bridge:
            browser = bridge.show(lab.browse(text=SEARCHED), width=f"{BROWSER_WIDTH}px")
            page.locator("[aria-rowindex='10']").wait_for()
            found = browser.frame("sessions").sort_values("started_at")
            found = found[(found["tool_error_count"] > 0) & (found["source"] == "sessionlab")]
            browser.session_id = found["session_id"].iloc[-1]
            bridge.flush()
            page.locator("article.slb-current mark").first.wait_for()
            page.locator(".slb").screenshot(path=os.path.join(DOCS, "browser.png"))
        context.close()


def main() -> None:
    """Write the pictures."""
    write_demo()
    write_browser()
    write_readme_pictures(DOCS)


if __name__ == "__main__":
    main()
