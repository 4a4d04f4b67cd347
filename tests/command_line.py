"""The command line as tests use it: in this process, or as the real program, also at a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from sessionlab.cli import main

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.join(os.path.dirname(sys.executable), "sessionlab")


def run(*arguments: str, code: int = 0, stdin: str | None = None, env: Mapping[str, str] | None = None) -> Result:
    """Run a command in this process and check how it ends."""
    result = CliRunner().invoke(main, list(arguments), input=stdin, env=env)
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


def at_terminal(*arguments: str, said: bytes = b"", env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run the program at a terminal, type something, and return its exit code and what the terminal got."""
    import pty  # where there is none, no test asks for a terminal

    here, there = pty.openpty()
    try:
        with subprocess.Popen(
            [PROGRAM, *arguments], stdin=there, stdout=there, stderr=there, env={**os.environ, **(env or {})}
        ) as process:
            os.close(there)
            os.write(here, said)
            got = b""
            try:
                while part := os.read(here, 65_536):
                    got += part
            except OSError:  # how Linux says that the other end is closed
                pass
            return process.wait(timeout=60), got.decode()
    finally:
        os.close(here)
