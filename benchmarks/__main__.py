"""Measure sessionlab beside what people use today, and print medians, ratios and whether the aims are met."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import click
from rich.console import Console

from benchmarks import report
from benchmarks.growth import flat_lines, growths
from benchmarks.machine import machine, shown
from benchmarks.processes import make
from benchmarks.timing import Line

PARTS = ("importing", "recording", "reading", "memory", "foreign", "transcripts", "browsing")
SIZES = (10_000, 100_000, 1_000_000)
QUICK = ("importing", "recording", "reading", "memory", "foreign")


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="A minute or two: 10,000 messages, three runs, no transcripts, no browser.")
@click.option("--messages", "sizes", multiple=True, type=int, help=f"Size of a store; repeat it. {SIZES}")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(PARTS),
    help="Only this part; repeat it. `foreign` is awful_aj's file, `transcripts` Claude Code's, `browsing` the session "
    "browser in JupyterLab. [all]",
)
@click.option("--events", default=None, type=int, help="Events of a run of recording. [5000]")
@click.option(
    "--lines",
    "line_count",
    default=400_000,
    show_default=True,
    help="Lines of Claude Code's transcripts that are made and read; as many as that are 1 GB.",
)
@click.option("--runs", default=None, type=int, help="Runs of each; three where they take long. [5]")
@click.option(
    "--json",
    "json_path",
    type=click.Path(),
    default=os.path.join("build", "bench.json"),
    show_default=True,
    help="Where every figure is written, with the machine.",
)
def main(
    quick: bool,
    sizes: tuple[int, ...],
    parts: tuple[str, ...],
    events: int | None,
    line_count: int,
    runs: int | None,
    json_path: str,
) -> None:
    """Measure everything, write the JSON as it goes, and print the tables."""
    began = time.perf_counter()
    sizes = sizes or ((SIZES[0],) if quick else SIZES)
    parts = parts or (QUICK if quick else PARTS)
    events, runs = events or (1_000 if quick else 5_000), runs or (3 if quick else 5)
    about = {"machine": machine(), "sizes": sizes, "runs": runs, "events": events, "parts": parts}
    found: list[Line] = []
    failed: list[str] = []

    def tell(text: str) -> None:
        print(f"{time.perf_counter() - began:6.0f} s  {text}", file=sys.stderr, flush=True)

    def add(line: Line) -> None:
        found.append(line)
        report.write_json(json_path, {**about, "failed": failed}, found, growths(found))
        tell(report.one_line(line))

    with tempfile.TemporaryDirectory(prefix="sessionlab-bench-") as folder:
        for part, size, work in _works(folder, parts, sizes, events=events, line_count=line_count, runs=runs):
            tell(f"measuring {part}" + (f" of {size:,} messages …" if size else " …"))
            try:
                for line in work():
                    add(replace(line, part=part))
            except (Exception, SystemExit) as error:  # the other parts are worth their time all the same
                failed.append(f"{part}: {error or type(error).__name__}")
                tell(f"{part} failed: {error!r}")
        for line in list(flat_lines(found)):
            add(line)
    report.write_json(json_path, {**about, "failed": failed}, found, growths(found))
    console = Console(width=None if sys.stdout.isatty() else 190)
    grown = report.growth_table(growths(found))
    for table in (report.main_table(found), report.reading_table(found), grown, report.aims_table(found)):
        if table.row_count:
            console.print(table)
    console.print(f"{shown(machine())}; {time.perf_counter() - began:.0f} s; {json_path}", highlight=False)
    if failed:
        raise click.ClickException("\n".join(failed))


def _works(
    folder: str, parts: tuple[str, ...], sizes: tuple[int, ...], *, events: int, line_count: int, runs: int
) -> Iterator[tuple[str, int, Callable[[], Iterator[Line]]]]:
    """Yield the parts, each with its size or 0 and what measures it; a part is imported when its turn comes."""
    if "importing" in parts:
        from benchmarks import importing

        yield "importing", 0, lambda: importing.lines(folder, runs=2 * runs)
    if "recording" in parts:
        from benchmarks import recording

        yield "recording", 0, lambda: recording.lines(folder, events=events, runs=runs)
    for size in sizes:
        path = os.path.join(folder, f"{size}.db")
        if "reading" in parts or "memory" in parts:
            make("sessionlab", size, path)
        if "reading" in parts:
            from benchmarks import reading

            yield "reading", size, lambda: reading.lines(path, folder, size=size, runs=runs)  # noqa: B023 -- called at once
        if "memory" in parts:
            from benchmarks import memory

            yield "memory", size, lambda: memory.lines(path, folder, size=size)  # noqa: B023 -- called at once
        if "foreign" in parts:
            from benchmarks import foreign

            yield "foreign", size, lambda: foreign.lines(folder, size=size, runs=runs)  # noqa: B023 -- called at once
        if os.path.exists(path):
            os.remove(path)
    if "transcripts" in parts:
        from benchmarks import transcripts

        yield "transcripts", 0, lambda: transcripts.lines(folder, line_count=line_count, runs=runs)
    if "browsing" in parts:
        from benchmarks import browsing

        yield "browsing", 0, lambda: browsing.lines(folder, runs=runs)


if __name__ == "__main__":
    main()
