"""The commands `frame` and `sql`: rows as tables or files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

import sessionlab
from sessionlab.cli.filters import asked_filters, filter_options
from sessionlab.cli.output import check_output, format_of, output_options, write
from sessionlab.cli.running import interruptible
from sessionlab.cli.screen import say_problems, show_table

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN_ROWS = 20


class _FrameCommand(click.Command):
    """A command whose help lists the frames that there are."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from sessionlab.lab.frames import FRAMES

        with formatter.section("Frames"):
            formatter.write_dl([(frame.name, f"one row per {frame.grain}") for frame in FRAMES.values()])
        super().format_epilog(ctx, formatter)


@click.command(
    cls=_FrameCommand,
    short_help="Print a frame: sessions, turns, tool calls and so on.",
    epilog="""\b
Examples:
  sessionlab frame sessions
  sessionlab frame turns history.db --since 7d --columns started_at,response_model,output_tokens
  sessionlab frame tool_calls --where tool_name=bash --where is_error=true
  sessionlab frame messages --session 4f1c… --format json | jq -r '.[].content'
  sessionlab frame token_usage -o usage.parquet""",
)
@click.argument("name")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@filter_options
@click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Only equal ones; the same column again: or.")
@click.option("--columns", metavar="A,B", help="Only these columns, in this order.")
@output_options
def frame(
    name: str,
    paths: tuple[str, ...],
    where: tuple[str, ...],
    limit: int | None,
    columns: str | None,
    form: str | None,
    output: str | None,
    force: bool,
    **filters: Any,
) -> None:
    """Print a frame of the histories at PATH, or of every history found on this machine.

    A table shows the newest rows that fit the screen; the other formats write everything.
    """
    form = format_of(form, output)
    check_output(output, force, paths)
    lab = sessionlab.open(*paths)
    asked = asked_filters(lab, filters)
    for condition in where:
        column, equals, value = condition.partition("=")
        if not equals:
            raise click.BadParameter(f"{condition!r} is no COLUMN=VALUE.", param_hint="--where")
        asked.setdefault(column.strip(), []).append(value)
    chosen = None if columns is None else [column.strip() for column in columns.split(",")]
    if form != "table":
        table = interruptible(lambda: lab.frame(name, to="arrow", columns=chosen, limit=limit, **asked))
        write(table, form, output, force)
    else:

        def newest() -> tuple[pa.Table, int]:
            shown = _SHOWN_ROWS if limit is None else limit
            with lab.snapshot():
                table = lab.frame(name, to="arrow", columns=chosen, limit=shown, **asked)
                if table.num_rows < shown:
                    return table, table.num_rows
                return table, lab.frame(name, to="arrow", columns=["source"], **asked).num_rows

        table, total = interruptible(newest)
        more = "--limit N shows more, --format csv writes all"
        from sessionlab.lab.frames import FRAMES

        kept = FRAMES[name].leading if chosen is None else tuple(table.column_names)
        show_table(table, total, more, "--columns", kept)
    say_problems(lab)


@click.command(
    short_help="Run one SELECT over the frames.",
    epilog="""\b
Examples:
  sessionlab sql "select response_model, sum(cost_usd) as cost_usd from turns group by all"
  sessionlab sql "select tool_name, count(*) as calls from tool_calls group by all" history.db
  sessionlab sql "from sessions" -o sessions.csv
  sessionlab sql - < query.sql""",
)
@click.argument("query")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@output_options
def sql(query: str, paths: tuple[str, ...], form: str | None, output: str | None, force: bool) -> None:
    """Run one SELECT over the frames of the histories at PATH, or of every history found on this machine.

    QUERY is DuckDB's SQL; - reads it from standard input.
    """
    form = format_of(form, output)
    check_output(output, force, paths)
    text = sys.stdin.read() if query == "-" else query
    lab = sessionlab.open(*paths)
    table = interruptible(lambda: lab.sql(text).arrow())
    if form == "table":
        shown = table.slice(0, _SHOWN_ROWS)
        show_table(shown, table.num_rows, "--format csv writes all", "the SELECT", tuple(table.column_names))
    else:
        write(table, form, output, force)
    say_problems(lab)
