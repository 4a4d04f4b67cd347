"""Starting: the import, and a Recorder made, over bare Python; the time, and the modules that are loaded."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.aims import Aim
from benchmarks.peers import INSTALL, is_installed
from benchmarks.timing import LEAST_RUNS, Line

_BESIDE = {"import sqlite3": "sqlite3", "import llm": "llm", "import agents": "agents"}


def lines(folder: str, *, runs: int) -> Iterator[Line]:
    """Measure starting and yield the lines; the first of the runs is to warm up."""
    path = os.path.join(folder, "started.db")
    ours = {
        "import sessionlab": ("import sessionlab", Aim(most_s=0.03)),
        "import sessionlab and make a Recorder": (
            f"import sessionlab; sessionlab.Recorder({path!r})",
            Aim(most_s=0.06),
        ),
    }
    codes = {"bare": "pass", **{name: code for name, (code, _) in ours.items()}}
    codes |= {name: name for name, module in _BESIDE.items() if is_installed(module)}
    times: dict[str, list[float]] = {name: [] for name in codes}
    for number in range(runs + 1):
        for name, code in codes.items():
            if name in _BESIDE and number > LEAST_RUNS:  # some take seconds
                continue
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=_environment())
            if number:
                times[name].append(time.perf_counter() - start)
    over = {name: [a - b for a, b in zip(times[name], times["bare"], strict=False)] for name in codes}
    modules = {name: _modules(code) for name, code in codes.items()}
    for name, (_, aim) in ours.items():
        yield Line(
            work=f"{name}, over bare Python",
            ours_s=statistics.median(over[name]),
            ours_modules=modules[name] - modules["bare"],
            runs=runs,
            aim=aim,
        )
    work, base = "import sessionlab, over bare Python", over["import sessionlab"]
    for name, module in _BESIDE.items():
        if name not in codes:
            yield Line(work=work, other=name, note=f"{module} {INSTALL}")
            continue
        yield Line(
            work=work,
            ours_s=statistics.median(base),
            other=name,
            other_s=statistics.median(over[name]),
            ratio=statistics.median(over[name]) / statistics.median(base),
            ours_modules=modules["import sessionlab"] - modules["bare"],
            other_modules=modules[name] - modules["bare"],
            runs=len(over[name]),
        )


def _environment() -> dict[str, str]:
    """Return an environment in which bytecode is kept, as that of installed packages is."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _modules(code: str) -> int:
    """Return how many modules Python has loaded after some code."""
    command = [sys.executable, "-c", f"{code}\nimport sys; print(len(sys.modules))"]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
