"""The command line as `python -m sessionlab`."""

from sessionlab.cli import main

main(prog_name="sessionlab")
