"""Whatever is written, forked, deleted and imported in whatever order: each response counts once, and none is lost."""

from __future__ import annotations

import os
import tempfile
import uuid
from typing import Any

from archive_rows import aged, transcript, write_transcript
from hypothesis import given, settings
from hypothesis import strategies as st

import sessionlab
from sessionlab import import_histories

_STEPS = st.sampled_from(["new", "grow", "grow", "fork", "fork", "delete", "import", "import"])


@settings(max_examples=8, deadline=None)
@given(steps=st.lists(st.tuples(_STEPS, st.integers(0, 99), st.integers(1, 3)), min_size=5, max_size=10))
def test_each_response_counts_once_in_files_and_archive_together(steps: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files, store = os.path.join(folder, "claude"), os.path.join(folder, "history.db")
        live: dict[str, list[dict[str, Any]]] = {}
        paths: dict[str, str] = {}
        archived: set[str] = set()
        for number, (step, choice, exchanges) in enumerate(steps):
            if step == "import":
                if live:
                    import_histories(aged(files), into=store)
                    archived |= _responses(live)
                continue
            chosen = sorted(live)[choice % len(live)] if live else None
            if step == "delete":
                if chosen is not None:
                    del live[chosen]
                    os.remove(paths.pop(chosen))
                continue
            before = [] if step == "new" or chosen is None else live[chosen]
            is_same = step == "grow" and chosen is not None
            session_id = str(chosen) if is_same else str(uuid.UUID(int=number + 1, version=4))
            live[session_id] = [*before, *transcript(session_id, exchanges, first=3 * number, after=before)]
            paths[session_id] = write_transcript(files, session_id, live[session_id])
        expected = archived | _responses(live)
        opened = [path for path in (files if live else "", store) if path and os.path.exists(path)]
        if not opened:
            return
        with sessionlab.open(*opened) as lab:
            assert int(lab.frame("turns")["output_tokens"].sum()) == 10 * len(expected)
            assert len(lab.frame("messages")) == 2 * len(expected)


def _responses(live: dict[str, list[dict[str, Any]]]) -> set[str]:
    return {line["uuid"] for lines in live.values() for line in lines if line["type"] == "assistant"}
