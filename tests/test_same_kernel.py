"""Recording and reading in one process, beside others that record: nothing is lost, torn or refused."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import pandas as pd

import sessionlab
from sessionlab import Recorder, Usage

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 15
# Acknowledges each event after its call returned; the same words as `record_until` below.
OTHER = """
import sys, time
from sessionlab import Recorder, Usage
path, name, until = sys.argv[1], sys.argv[2], float(sys.argv[3])
with Recorder(path) as recorder:
    s = recorder.session(name)
    number = 0
    while time.time() < until:
        s.user(f"{name} {number} " + "x" * (number % 500) + " end")
        turn = s.assistant(f"{name} {number} answer", usage=Usage(input_tokens=number, output_tokens=1))
        turn.tool_call("t", {"n": number}).result(f"{name} {number} result")
        number += 1
print(number)
"""


def record_until(path: str, name: str, until: float, counts: dict[str, int]) -> None:
    with Recorder(path) as recorder:
        s = recorder.session(name)
        while time.time() < until:
            number = counts[name]
            s.user(f"{name} {number} " + "x" * (number % 500) + " end")
            turn = s.assistant(f"{name} {number} answer", usage=Usage(input_tokens=number, output_tokens=1))
            turn.tool_call("t", {"n": number}).result(f"{name} {number} result")
            counts[name] += 1


def check_read(lab: sessionlab.Lab) -> int:
    """Check that one view is whole, and return how many messages it has."""
    with lab.snapshot():
        messages, turns, calls = lab.frame("messages"), lab.frame("turns"), lab.frame("tool_calls")
        sessions = lab.frame("sessions")
        counted = lab.sql("select count(*) as n, count(content) as c from messages").pandas()
    assert counted.to_numpy().tolist() == [[len(messages), len(messages)]]
    assert set(messages.session_id) <= set(sessions.session_id)
    assert set(turns.turn_id) <= set(messages.message_id)
    assert set(calls.turn_id) <= set(turns.turn_id)
    answered = calls[calls.status == "ok"]
    assert answered.result.notna().all()
    assert len(answered) == (messages.role == "tool").sum()
    assert (turns.response.str.contains("answer")).all()
    assert (turns.prompt.str.extract(r" (\d+) ")[0] == turns.response.str.extract(r" (\d+) ")[0]).all()
    assert sessions.message_count.sum() == len(messages)
    for session_id, of_session in messages.groupby("session_id", sort=False):
        name = sessions.set_index("session_id").name[session_id]
        numbers = of_session.content.str.extract(rf"^{name} (\d+) (?:(x*) end|answer|result)$")
        assert numbers[0].notna().all()
        for role in ("user", "assistant", "tool"):
            of_role = pd.to_numeric(numbers[0][of_session.role == role])
            assert of_role.tolist() == list(range(len(of_role))), (name, role)
        lengths = numbers[1][of_session.role == "user"].str.len()
        assert lengths.tolist() == [n % 500 for n in range(len(lengths))]
        assert of_session.message_index.tolist() == list(range(len(of_session)))
    return len(messages)


def test_recording_and_reading_in_one_process_beside_two_others(path: str) -> None:
    Recorder(path).close()
    until = time.time() + SECONDS
    others = [
        subprocess.Popen(
            [sys.executable, "-c", OTHER, path, name, str(until)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("second", "third")
    ]
    counts = {"first": 0}
    failures: list[str] = []

    def record() -> None:
        try:
            record_until(path, "first", until, counts)
        except BaseException:
            failures.append(traceback.format_exc())

    thread = threading.Thread(target=record)
    thread.start()
    reads, last = 0, 0
    with sessionlab.open(path) as lab:
        try:
            while time.time() < until:
                found = check_read(lab)
                assert found >= last
                reads, last = reads + 1, found
        finally:
            thread.join()
            answers = [process.communicate(timeout=60) for process in others]
        counts |= {name: int(out or -1) for name, (out, _) in zip(("second", "third"), answers, strict=True)}
        said = f"{counts} rounds of 4 events acknowledged, {reads} whole reads, the last of {last} messages"
        assert failures == [], said
        assert [error for _, error in answers] == ["", ""], said
        check_read(lab)
        users = lab.sql(
            "select split_part(content, ' ', 1) as name, count(*) as n from messages where role = 'user' group by all"
        ).pandas()
        assert dict(zip(users["name"], users["n"], strict=True)) == counts, said
    assert reads >= 5, said
    assert counts["first"] >= sum(counts.values()) / 3 / 10, said
    connection = sqlite3.connect(path)
    assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    connection.close()


CELLS = [
    "import sys, threading, time; sys.path.insert(0, TESTS)\n"
    "import sessionlab\n"
    "from test_same_kernel import check_read, record_until\n"
    "counts = {'kernel': 0}; until = time.time() + 4",
    "thread = threading.Thread(target=record_until, args=(PATH, 'kernel', until, counts)); thread.start()\n"
    "lab = sessionlab.open(PATH); reads = 0",
    "while time.time() < until or reads < 3:\n    check_read(lab); reads += 1",
    "thread.join(); found = check_read(lab)\nlab.frame('messages').tail(2)",
    "recorder = sessionlab.Recorder(PATH); s = recorder.session('cell')\n"
    "for n in range(5):\n"
    "    s.user(f'cell {n} ' + 'x' * n + ' end')\n"
    "    assert sessionlab.frame('messages', PATH, session_id=s.session_id).content.iloc[-1].startswith(f'cell {n}')\n"
    "recorder.close(); lab",
    "mine = lab.frame('sessions', name='kernel').message_count.sum()\n"
    "print('counted', counts['kernel'] * 3 == mine, counts['kernel'] > 5, reads > 2)",
]


def test_recording_and_reading_in_the_cells_of_one_notebook(path: str, tmp_path: Path) -> None:
    import os

    import nbformat
    from nbclient import NotebookClient

    Recorder(path).close()
    until = str(time.time() + 8)
    other = subprocess.Popen([sys.executable, "-c", OTHER, path, "other", until], stdout=subprocess.PIPE)
    v4: Any = nbformat.v4
    notebook = v4.new_notebook()
    setup = f"TESTS = {os.path.dirname(os.path.abspath(__file__))!r}; PATH = {path!r}"
    notebook.cells = [v4.new_code_cell(source) for source in (setup, *CELLS)]
    try:
        resources = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    finally:
        other.communicate(timeout=60)
    outputs = "".join(str(cell.outputs) for cell in notebook.cells)
    assert "counted True True True" in outputs
    assert re.search(r"<table", outputs)
