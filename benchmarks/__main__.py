"""Run the benchmarks and print a table of medians and ratios."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.console import Console
from rich.status import Status
from rich.table import Table

from benchmarks import browsing, foreign, importing, reading, recording, transcripts
from benchmarks.timing import Line

_MAKE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sample_data", "make_sample.py")


_PARTS = ("importing", "recording", "reading", "foreign", "transcripts", "browsing")


@click.command(help=__doc__)
@click.option("--messages", "sizes", multiple=True, type=int, help="Size of a store; repeat it. [10000 and 1000000]")
@click.option("--part", "parts", multiple=True, type=click.Choice(_PARTS), help="Only this part; repeat it. [all]")
@click.option("--lines", "line_count", default=400_000, show_default=True, help="Size of the transcripts; 1 GB.")
@click.option("--runs", default=5, show_default=True, help="Runs of each.")
@click.option("--json", "json_path", type=click.Path(), help="Also write the lines to this file.")
def main(sizes: tuple[int, ...], parts: tuple[str, ...], line_count: int, runs: int, json_path: str | None) -> None:
    """Measure everything and print the table."""
    console = Console(width=None if sys.stdout.isatty() else 180)
    table = Table(
        "work", "sessionlab", "beside", "takes", "times faster", "aim", title="Medians of one run, peak memory"
    )
    found: list[Line] = []

    def add(line: Line) -> None:
        found.append(line)
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
        ours, other = _shown(line.ours_s, line.ours_mb), _shown(line.other_s, line.other_mb)
        table.add_row(line.work, ours, line.other or "", other, ratio, line.aim)

    with tempfile.TemporaryDirectory(prefix="sessionlab-bench-") as folder, console.status("measuring …") as status:
        for part in parts or _PARTS:
            status.update(f"measuring {part} …")
            if part == "transcripts":
                found_lines = transcripts.lines(folder, line_count=line_count, runs=runs)
            else:
                found_lines = _lines(part, sizes or (10_000, 1_000_000), folder, runs, status)
            for line in found_lines:
                add(line)
    console.print(table)
    if json_path:
        with open(json_path, "w", encoding="utf-8") as file:
            json.dump([asdict(line) for line in found], file, indent=1)


def _lines(part: str, sizes: tuple[int, ...], folder: str, runs: int, status: Status) -> Iterator[Line]:
    if part == "importing":
        yield from importing.lines(folder, runs=runs)
    elif part == "recording":
        yield from recording.lines(folder, runs=runs)
    elif part == "browsing":
        yield from browsing.lines(folder, runs=runs)
    for size in sizes if part in ("reading", "foreign") else ():
        status.update(f"{part}: {size:,} messages …")
        if part == "foreign":
            yield from foreign.lines(folder, size=size, runs=runs)
            continue
        path = os.path.join(folder, f"{size}.db")
        command = [sys.executable, _MAKE, "--scale", str(size), "--output", path]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        yield from reading.lines(path, folder, runs=runs)
        os.remove(path)


def _shown(seconds: float | None, megabytes: float | None = None) -> str:
    if seconds is None:
        return ""
    if megabytes is not None:
        return f"{_shown(seconds)}, {megabytes:,.0f} MB"
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


if __name__ == "__main__":
    main()
