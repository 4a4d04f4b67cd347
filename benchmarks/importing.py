"""Starting: the import, and a Recorder made, beside bare Python."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.timing import Line


def lines(folder: str, *, runs: int) -> Iterator[Line]:
    """Measure starting and yield the lines."""
    path = os.path.join(folder, "started.db")
    works = {
        "bare": "pass",
        "import sessionlab": "import sessionlab",
        "import sessionlab and make a Recorder": f"import sessionlab; sessionlab.Recorder({path!r})",
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(max(runs, 7)):
        for name, code in works.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times[name].append(time.perf_counter() - start)
    bare = statistics.median(times["bare"])
    for name, aim in (("import sessionlab", "30 ms"), ("import sessionlab and make a Recorder", "60 ms")):
        yield Line(work=f"{name}, over bare Python", ours_s=statistics.median(times[name]) - bare, aim=aim)
