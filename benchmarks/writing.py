"""One of several processes that write to a store at once: `python -m benchmarks.writing WAY PATH SECONDS`.

It prints a line when it is ready, begins when it reads one, and prints how many messages it wrote in how many seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import sessionlab
from benchmarks.by_hand import ByHand

TEXT = "hello world " * 20


def main(way: str, path: str, for_s: float) -> None:
    """Write until the time is up."""
    if way == "sessionlab":
        with sessionlab.Recorder(path) as recorder:
            session = recorder.session()
            _write(lambda: session.user(TEXT), for_s)
        return
    hand = ByHand(path, is_alone=False)
    hand.session("together")
    _write(lambda: hand.user(TEXT), for_s)
    hand.close()


def _write(one: Callable[[], object], for_s: float) -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    count, start = 0, time.perf_counter()
    until = start + for_s
    while (now := time.perf_counter()) < until:
        one()
        count += 1
    print(json.dumps({"count": count, "elapsed_s": now - start}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
