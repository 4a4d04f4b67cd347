"""The command `sources`: which histories there are, and what is in them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

import sessionlab
from sessionlab.cli.output import check_output, format_of, output_options, write
from sessionlab.cli.running import interruptible
from sessionlab.cli.screen import print_text, seen, unread
from sessionlab.exporting.telling import counted

if TYPE_CHECKING:
    import pandas as pd

_HEADS = ("tool", "size", "sessions", "turns", "last activity", "problems", "file")


@click.command(
    short_help="List the histories that are found, and what is in them.",
    epilog="""\b
Examples:
  sessionlab sources
  sessionlab sources ~/backups old.db
  sessionlab sources --problems
  sessionlab sources --format json | jq -r '.[].origin'""",
)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--problems", "is_of_problems", is_flag=True, help="List instead what could not be read.")
@output_options
def sources(paths: tuple[str, ...], is_of_problems: bool, form: str | None, output: str | None, force: bool) -> None:
    """List the histories at PATH, or every history found on this machine: tool, size, sessions, turns, last activity.

    A problem is something that could not be read; what was found and cannot be read at all comes last.
    """
    import pyarrow as pa

    form = format_of(form, output)
    check_output(output, force, paths)
    lab = sessionlab.open(*paths)
    if is_of_problems:
        _list_problems(unread(interruptible(lambda: lab.problems)), form, output, force)
        return
    overview = interruptible(lab.overview)
    if form != "table":
        write(pa.Table.from_pandas(overview, preserve_index=False), form, output, force)
    elif len(overview):
        print_text(_table(overview), is_colored=False)
    if not paths and form == "table":
        _say_where_nothing_is(overview)


def _list_problems(problems: pd.DataFrame, form: str, output: str | None, force: bool) -> None:
    import pyarrow as pa

    if form != "table":
        write(pa.Table.from_pandas(problems, preserve_index=False), form, output, force)
        return
    before = None
    for row in problems.astype(object).where(problems.notna(), None).to_dict("records"):
        if row["origin"] != before:
            click.echo(seen(str(row["origin"])))
            before = row["origin"]
        line = f"line {row['line']}" if row["line"] is not None else ""
        places = [line, row["record"] or ""] if row["record"] != line else [line]
        place = ", ".join(place for place in places if place)
        click.echo(f"  {seen(place)}{': ' if place else ''}{seen(str(row['reason']))}")
    click.echo(f"{counted(len(problems), 'problem')}.")


def _table(overview: pd.DataFrame) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for head in _HEADS:
        grid.add_column(head, justify="left" if head in ("tool", "last activity", "file") else "right", no_wrap=True)
    rows = overview.astype(object).where(overview.notna(), None).to_dict("records")
    for row in rows:
        at = row["last_activity_at"]
        cells = (
            row["source"] or "not readable",
            "" if row["size_bytes"] is None else _size(row["size_bytes"]),
            *("" if row[name] is None else f"{row[name]:,}" for name in ("session_count", "turn_count")),
            "" if at is None else f"{at.to_pydatetime().astimezone():%Y-%m-%d %H:%M}",
            f"{row['problem_count']:,}",
            str(row["origin"]),
        )
        grid.add_row(*(Text(seen(cell)) for cell in cells))
    # A path that is cut could not be copied, so the file comes last and may be as long as it is.
    console = Console(highlight=False, markup=False, emoji=False, width=10_000, color_system=None)
    with console.capture() as printed:
        console.print(grid)
    total: dict[str, Any] = {name: int(overview[name].sum()) for name in ("session_count", "turn_count")}
    found = "1 history" if len(rows) == 1 else f"{len(rows)} histories"
    end = f"{found}: {counted(total['session_count'], 'session')}, {counted(total['turn_count'], 'turn')}."
    return "\n".join(line.rstrip() for line in printed.get().splitlines()) + f"\n{end}\n"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def _say_where_nothing_is(overview: pd.DataFrame) -> None:
    """Say which places were looked at and hold nothing."""
    from sessionlab.sources import all_sources

    found = {os.path.realpath(path) for path in overview["origin"]}
    places = [
        (source.name, path)
        for source in all_sources()
        for path in source.default_paths()
        if os.path.realpath(path) not in found
    ]
    if places:
        click.echo("Looked at as well, and nothing is there:")
        for name, path in places:
            click.echo(f"  {name:<12} {seen(path)}")
