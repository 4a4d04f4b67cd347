"""The command `export`: histories written to a folder."""

from __future__ import annotations

from typing import Any

import click

import sessionlab
from sessionlab.cli.filters import asked_filters, filter_options
from sessionlab.cli.progress import progress
from sessionlab.cli.screen import say_problems, seen

_FORMATS = ("parquet", "jsonl", "markdown", "html")


@click.command(
    short_help="Write frames or transcripts to a folder.",
    epilog="""\b
Examples:
  sessionlab export -o everything
  sessionlab export history.db -o usage --by-day --since 30d
  sessionlab export -o rows --format jsonl --source codex
  sessionlab export ~/.claude/projects -o pages --format html --redact
  sessionlab export -o one --format markdown --session 4f1c… --force""",
)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Where to; it is made if it is not there.")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="parquet",
    show_default=True,
    help="parquet and jsonl: a file for each frame. markdown and html: a file for each session.",
)
@click.option("--by-day", is_flag=True, help="With parquet and jsonl: a folder day=2026-01-31 for each day, in UTC.")
@click.option("--redact", is_flag=True, help="Replace keys, tokens, passwords, e-mail addresses and home folders.")
@filter_options
@click.option("--force", is_flag=True, help="Write over what an export has left there, and nothing else.")
def export(
    paths: tuple[str, ...], output: str, form: Any, by_day: bool, redact: bool, force: bool, **filters: Any
) -> None:
    """Write the histories at PATH, or every history found on this machine, to a FOLDER.

    The filters choose rows of each frame, and for markdown and html sessions. Without --redact the files hold what was
    said as it is; they are made for their owner alone. An export that fails or is interrupted leaves nothing there.
    """
    if by_day and form not in ("parquet", "jsonl"):
        raise click.UsageError(f"--by-day goes with parquet and jsonl; {form} has a file for each session.")
    with sessionlab.open(*paths) as lab:
        asked = asked_filters(lab, filters)
        with progress() as on_progress:
            report = sessionlab.export(
                lab,
                into=output,
                format=form,
                by_day=by_day,
                redact=redact,
                force=force,
                on_progress=on_progress,
                **asked,
            )
        click.echo(seen(report.told()))
        say_problems(lab)
