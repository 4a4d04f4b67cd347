"""Make the README's picture anew: what `make demo` shows of the sample store, as SVG."""

from __future__ import annotations

import io
import os
import re

from demo import ROOT, WIDTH, show
from rich.console import Console
from rich.terminal_theme import TerminalTheme

OUTPUT = os.path.join(ROOT, "docs", "demo.svg")
# Dark on light, readable on a page of either kind.
THEME = TerminalTheme((250, 250, 252), (36, 41, 47), [(36, 41, 47)] * 8, [(36, 41, 47)] * 8)


def main() -> None:
    """Write the picture."""
    os.chdir(ROOT)
    console = Console(width=WIDTH, highlight=False, markup=False, emoji=False, record=True, file=io.StringIO())
    show(console, leave_out=("turns", "model_configs"))
    picture = console.export_svg(title="make demo", theme=THEME, unique_id="demo")
    # The fonts that Rich names would be fetched from elsewhere; any fixed-width font will do.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    with open(OUTPUT, "w", encoding="utf-8") as file:
        file.write(picture)


if __name__ == "__main__":
    main()
