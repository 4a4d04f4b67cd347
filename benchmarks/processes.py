"""Whole processes: how long one takes, and the most memory that it holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MAKE = os.path.join(ROOT, "sample_data", "make_sample.py")
_LAUNCH = os.path.join(ROOT, "benchmarks", "launch.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A process that has ended.

    Attributes:
        output: What it printed.
        elapsed_s: How long it took, its start included.
        peak_mb: The most memory that it held, in megabytes; None where the system does not tell.
    """

    output: str
    elapsed_s: float
    peak_mb: float | None


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end.

    Raises:
        SystemExit: It failed.
    """
    done = subprocess.run(
        [sys.executable, "-S", _LAUNCH, *command], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:200]!r} ended with {done.returncode}")
    return Ended(**json.loads(done.stdout))


def make(tool: str, size: int, path: str) -> None:
    """Make a large history of a tool."""
    command = [sys.executable, MAKE, "--tool", tool, "--scale", str(size), "--output", path]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
