"""Read one frame in one way, in a process of its own: `python -m benchmarks.once WAY FRAME PATH`.

It prints the number of rows, so that the caller can compare.
"""

from __future__ import annotations

import sys

from benchmarks.peers import NUMBERS, PEERS, text_of


def main(way: str, name: str, path: str) -> None:
    """Read, and print the number of rows."""
    if way == "sessionlab":
        import sessionlab

        with sessionlab.open(path) as lab:
            # A frame of another name is one of ours with columns of its own.
            frame = lab.frame("turns", columns=list(NUMBERS)) if name == "turn_numbers" else lab.frame(name)
            print(len(frame))
        return
    with PEERS[way](path) as peer:
        print(len(peer.read(text_of(name))))


if __name__ == "__main__":
    main(*sys.argv[1:])
