"""What goes to a screen: tables that fit it, text that cannot steer it, and colours where it has some."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any, Literal

import click

from sessionlab.exporting.telling import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    import pyarrow as pa

    from sessionlab.lab.lab import Lab

_CELL_WIDTH = 48
_NARROW = 16
# What would move the cursor, change colours or turn the reading direction: text of a session is never a command.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]+")


def seen(text: str) -> str:
    """Return a text of a session on one line, with a blank in place of what would steer the terminal."""
    return _UNSEEN.sub(" ", text)


def seen_lines(text: str) -> list[str]:
    """Return the lines of a text of a session, each safe for the terminal."""
    return [seen(line.expandtabs(4)) for line in text.replace("\r\n", "\n").split("\n")]


def color_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --color and --no-color; without either the terminal decides."""
    option = click.option(
        "--color/--no-color", "color", default=None, help="Colours; without it only on a terminal, unless NO_COLOR."
    )
    return option(command)


def has_color(asked: bool | None) -> bool:
    """Return whether to print colours: what was asked for, or else whether a terminal is there that has some."""
    if asked is not None:
        return asked
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_text(text: str, *, is_colored: bool) -> None:
    """Print a text; what the terminal has no letters for is written as a number."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if is_colored:
        click.echo(text, nl=False, color=True)  # which makes an old Windows console understand them
    else:
        sys.stdout.write(text)


def print_long(text: str, *, is_colored: bool, has_pager: bool) -> None:
    """Print a text, through the pager where a terminal is there and the text is longer than it is high."""
    if not has_pager or not sys.stdout.isatty() or text.count("\n") < shutil.get_terminal_size().lines:
        print_text(text, is_colored=is_colored)
        return
    os.environ.setdefault("LESS", "-R")  # less shows colours only so
    click.echo_via_pager(text, color=is_colored)


def show_table(table: pa.Table, total: int, more: str, choose: str, kept: Sequence[str]) -> None:
    """Print rows as a table that fits the screen, and say what it does not show."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    names = [_cell(name) for name in table.column_names]
    columns = [column.to_pylist() for column in table.columns]
    cells = [[_cell(value) for value in column] for column in columns]
    widths = _widths(names, cells, console.width, kept)
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, width in widths.items():
        is_number = any(isinstance(v, int | float) and not isinstance(v, bool) for v in columns[number])
        justify: Literal["left", "right"] = "right" if is_number else "left"
        grid.add_column(Text(names[number]), justify=justify, no_wrap=True, overflow="ellipsis", width=width)
    for row in range(table.num_rows):
        grid.add_row(*(Text(cells[number][row]) for number in widths))
    is_all = table.num_rows == total
    hidden = [name for number, name in enumerate(names) if number not in widths]
    with console.capture() as printed:  # rich has an end of its own for a reader that has gone
        if widths:
            console.print(grid)
        rows = counted(total, "row")
        console.print(f"{rows}." if is_all else f"{table.num_rows:,} of {rows}; {more}.")
        if hidden:
            console.print(f"Not shown, choose with {choose}: {', '.join(hidden)}.")
    print_text(printed.get(), is_colored=False)


def _widths(names: list[str], cells: list[list[str]], room: int, kept: Sequence[str]) -> dict[int, int]:
    """Return the columns that fit the screen, and how wide each may be.

    Where not all fit, those go first that hold nothing; then those that hold the same everywhere; then the ids; then
    the last ones; and then those in `kept`, from its end.
    """
    from rich.cells import cell_len

    wide = [min(max(map(cell_len, (name, *column))), _CELL_WIDTH) for name, column in zip(names, cells, strict=True)]
    shown = list(range(len(names)))

    def needed() -> int:
        return sum(min(wide[number], _NARROW) + 3 for number in shown) - 3

    def rank(number: int) -> tuple[int, int]:
        if names[number] in kept:
            return 0, kept.index(names[number])
        if not any(cells[number]):
            return 4, number
        if len(cells[number]) > 1 and len(set(cells[number])) == 1:
            return 3, number
        return (2 if names[number].endswith(("_id", "_hash")) else 1), number

    while len(shown) > 1 and needed() > room:
        shown.remove(max(shown, key=rank))
    left = max(0, room - needed())
    widths = {}
    for number in sorted(shown, key=lambda number: names[number].endswith("_id")):  # an id may be cut rather than text
        widths[number] = min(wide[number], _NARROW + left)
        left -= max(0, widths[number] - _NARROW)
    return dict(sorted(widths.items()))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%d %H:%M"))
    if isinstance(value, list):
        value = ", ".join(_cell(inner) for inner in value)
    text = str(value)
    return seen(text[: 4 * _CELL_WIDTH])


def unread(problems: pd.DataFrame) -> pd.DataFrame:
    """Return the problems without the models that have no price: their costs are empty, which is seen."""
    from sessionlab.lab.copying import NO_PRICE

    return problems[~problems["reason"].str.startswith(NO_PRICE)]


def say_problems(lab: Lab) -> None:
    """Say on standard error what could not be read: files by their names, and how much of the others."""
    problems = unread(lab.problems)
    if not len(problems):
        return
    click.echo(
        f"Warning: {counted(len(problems), 'problem')} while reading; "
        "`sessionlab sources --problems` with the same paths lists them.",
        err=True,
    )
    unreadable = problems[problems["source"].isna()]
    for row in unreadable.head(3).to_dict("records"):
        click.echo(f"  {seen(str(row['reason']))}", err=True)
    if len(unreadable) > 3:
        click.echo(f"  … and {counted(len(unreadable) - 3, 'file')} more", err=True)
