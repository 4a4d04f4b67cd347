"""The command line: frames, SQL, search and transcripts, and the upkeep of a store."""

from __future__ import annotations

import click

import sessionlab
from sessionlab.cli.exporting import export
from sessionlab.cli.importing import import_command
from sessionlab.cli.looking import search, show
from sessionlab.cli.notebooks import lab_command
from sessionlab.cli.reading import frame, sql
from sessionlab.cli.running import Commands
from sessionlab.cli.sources import sources
from sessionlab.cli.upkeep import db


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(sessionlab.__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Read the histories of AI agents as tables, and look after the store that sessions are recorded to."""


for _command in (sources, import_command, frame, sql, search, show, export, lab_command, db):
    main.add_command(_command)
