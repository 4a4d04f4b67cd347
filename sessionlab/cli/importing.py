"""The command `import`: other tools' histories copied into the store."""

from __future__ import annotations

import dataclasses
import json

import click

import sessionlab
from sessionlab import settings
from sessionlab.cli.progress import progress
from sessionlab.cli.screen import seen
from sessionlab.exporting.records import plain
from sessionlab.exporting.telling import counted

_SHOWN = 5


@click.command(
    "import",
    short_help="Copy other tools' histories into the store.",
    epilog="""\b
Examples:
  sessionlab import
  sessionlab import ~/.claude/projects --into ~/archive.db
  sessionlab import --json | jq .turns_added""",
)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--into", metavar="FILE", help="The store. Without it the settings decide.")
@click.option("--json", "is_json", is_flag=True, help="Print the report as JSON, with every problem.")
def import_command(paths: tuple[str, ...], into: str | None, is_json: bool) -> None:
    """Copy the histories at PATH, or every history found on this machine, into the store.

    There they outlive the tools' own deletion. Run again it copies what is new; nothing is ever deleted. What is in the
    store and in its tool's own file counts once.
    """
    with progress() as on_progress:
        report = sessionlab.import_histories(*paths, into=into, on_progress=on_progress)
    if is_json:
        click.echo(json.dumps(plain(dataclasses.asdict(report)), ensure_ascii=False))
        return
    store = settings.db_path(into).value
    click.echo(
        f"{seen(store)}: {counted(report.files, 'file')}, {counted(report.sessions, 'session')}, "
        f"{counted(report.turns_added, 'turn')} added, {report.unchanged:,} unchanged, "
        f"{counted(len(report.problems), 'problem')}"
    )
    for problem in report.problems[:_SHOWN]:
        place = ", ".join(seen(str(problem[name])) for name in ("origin", "record") if problem[name] is not None)
        click.echo(f"  {place}: {seen(problem['reason'])}", err=True)
    if len(report.problems) > _SHOWN:
        left = len(report.problems) - _SHOWN
        click.echo(f"  … and {left:,} more; --json has all, `sessionlab sources --problems` lists them.", err=True)
