"""Counting tokens in a large folder of Claude Code's files: whole processes, ours beside ccusage, on the same files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping

from benchmarks.aims import Aim
from benchmarks.memory import of_processes
from benchmarks.processes import make, run
from benchmarks.timing import Line

_CCUSAGE = "ccusage@20.0.24"
_OURS = """
import json, sys
import sessionlab
frame = sessionlab.open(sys.argv[1]).frame("token_usage")
print(json.dumps(frame.groupby("token_type").tokens.sum().to_dict()))
"""
_NAMES = {
    "inputTokens": "uncached_input",
    "outputTokens": "output",
    "cacheCreationTokens": "cache_creation",
    "cacheReadTokens": "cache_read",
}


def lines(folder: str, *, line_count: int, runs: int) -> Iterator[Line]:
    """Make the files, have both count them in turn, and yield the lines; both must find the same.

    Raises:
        SystemExit: npm is not there, or the sums differ.
    """
    history = os.path.join(folder, "claude")
    make("claude_code", line_count, history)
    size = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(history) for name in names)
    ccusage = _installed(os.path.join(folder, "npm"))
    environment = {**os.environ, "HOME": folder, "CLAUDE_CONFIG_DIR": history}
    ours = [sys.executable, "-c", _OURS, os.path.join(history, "projects")]
    theirs = [*ccusage, "claude", "daily", "--json", "--offline"]
    mine, others = [], []
    for _ in range(runs + 1):  # the first is to warm up
        mine.append(run(ours, environment))
        others.append(run(theirs, environment))
        _same(json.loads(mine[-1].output), json.loads(others[-1].output)["totals"])
    del mine[0], others[0]
    yield of_processes(
        f"tokens in {size / 1e9:.2f} GB of Claude Code ({line_count:,} lines), a whole process",
        mine,
        f"{_CCUSAGE} claude daily --json --offline",
        others,
        aim=Aim(least_ratio=1),
    )
    shutil.rmtree(history)


def _same(ours: Mapping[str, int], theirs: Mapping[str, int]) -> None:
    for name, token_type in _NAMES.items():
        if ours[token_type] != theirs[name]:
            raise SystemExit(f"{token_type}: {ours[token_type]:,} here, {theirs[name]:,} by {_CCUSAGE}")


def _installed(folder: str) -> list[str]:
    """Return how to call ccusage, installed into a folder of its own; its native program where there is one."""
    if shutil.which("npm") is None:
        raise SystemExit("npm is not there; install Node.js, or choose other parts with --part.")
    command = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", folder, _CCUSAGE]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    packages = os.path.join(folder, "node_modules")
    for at, _, names in os.walk(os.path.join(packages, "@ccusage")):
        if "ccusage" in names:
            program = os.path.join(at, "ccusage")
            os.chmod(program, 0o755)
            return [program]
    return ["node", os.path.join(packages, "ccusage", "src", "cli.js")]
