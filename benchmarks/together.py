"""Several processes that write to one store at once."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.processes import ROOT
from benchmarks.timing import Line

PROCESSES = 4
_OTHER = "the same INSERTs by hand in sqlite3"


@dataclass(frozen=True, slots=True)
class _Written:
    """What the processes did: seconds for one event of all, and the slowest one's part of its fair share."""

    event_s: float
    share: float


def lines(folder: str, *, for_s: float, runs: int) -> Iterator[Line]:
    """Measure both ways in turn and yield the line."""
    found: dict[str, list[_Written]] = {"sessionlab": [], "by hand": []}
    for number in range(runs):
        for way, written in found.items():
            written.append(_together(way, os.path.join(folder, f"together {way} {number}.db"), for_s))
    ours, others = found["sessionlab"], found["by hand"]
    yield Line(
        work=f"one message, committed, of {PROCESSES} processes at once",
        ours_s=statistics.median(one.event_s for one in ours),
        other=_OTHER,
        other_s=statistics.median(one.event_s for one in others),
        ratio=statistics.median(b.event_s / a.event_s for a, b in zip(ours, others, strict=True)),
        runs=runs,
        is_per_event=True,
        ours_share=statistics.median(one.share for one in ours),
        other_share=statistics.median(one.share for one in others),
    )


def _together(way: str, path: str, for_s: float) -> _Written:
    command = [sys.executable, "-m", "benchmarks.writing", way, path, str(for_s)]
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(PROCESSES)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"One of {PROCESSES} processes that wrote at once ({way}) failed.")
    rates = [one["count"] / one["elapsed_s"] for one in map(json.loads, told)]
    return _Written(event_s=1 / sum(rates), share=min(rates) / (sum(rates) / PROCESSES))
