"""Write the README's table of frames and docs/frames.md anew from the registry."""

from __future__ import annotations

import re
from pathlib import Path

from sessionlab.lab import frames

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def main() -> None:
    """Put the table between its two marks, and write the page of all columns."""
    (ROOT / "docs" / "frames.md").write_text(frames.described(), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    table = f"<!-- frames -->\n{frames.markdown()}\n<!-- /frames -->"
    README.write_text(re.sub(r"<!-- frames -->.*<!-- /frames -->", lambda _: table, text, flags=re.S), encoding="utf-8")


if __name__ == "__main__":
    main()
