"""Run a command and print, as JSON, what it printed, how long it took, and the most memory that it held.

A script of its own, without anything large: a process that is started counts what the one that started it has held.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main() -> int:
    """Run the command line's rest."""
    start = time.perf_counter()
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    peak_mb = None
    if hasattr(os, "wait4"):  # not on Windows
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        peak_mb = used.ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
    else:
        process.wait()
    elapsed_s = time.perf_counter() - start
    print(json.dumps({"output": output, "elapsed_s": elapsed_s, "peak_mb": peak_mb}))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
