"""One process records in a thread and reads in a loop, beside other processes that record, as notebooks do."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import threading
import time

import nbformat
import pandas as pd
from nbclient import NotebookClient

import sessionlab

SECONDS = 15
_OTHER = """
import sys, time
import sessionlab
path, name, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
recorder = sessionlab.Recorder(path)
session = recorder.session(name)
end, done = time.monotonic() + seconds, 0
while time.monotonic() < end:
    session.user(f"{name} {done} " + "x" * 200)
    turn = session.assistant(f"{name} {done} answers", usage=sessionlab.Usage(input_tokens=done, output_tokens=1))
    turn.tool_call("count", {"n": done}).result(f"{name} {done} result")
    done += 1
    print(done, flush=True)
recorder.close()
"""


class _Recording(threading.Thread):
    """Records rounds of prompt, answer, call and result until it is told to stop."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.recorder = sessionlab.Recorder(path)
        self.rounds = 0
        self.stop = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            session = self.recorder.session("mine")
            while not self.stop.is_set():
                session.user(f"mine {self.rounds} " + "x" * 200)
                usage = sessionlab.Usage(input_tokens=self.rounds, output_tokens=1)
                turn = session.assistant(f"mine {self.rounds} answers", usage=usage)
                turn.tool_call("count", {"n": self.rounds}).result(f"mine {self.rounds} result")
                self.rounds += 1
        except BaseException as error:
            self.error = error


def torn(lab: sessionlab.Lab) -> list[str]:
    """Return what does not fit together in one view of the store; empty means that all does."""
    with lab.snapshot():
        sessions, messages = lab.frame("sessions"), lab.frame("messages")
        turns, calls = lab.frame("turns"), lab.frame("tool_calls")
        counted = lab.sql("select count(*) as n, count(content) as texts from messages").pandas()
    found = []
    if not set(messages["session_id"]) <= set(sessions["session_id"]):
        found.append("a message without its session")
    if not set(turns["turn_id"]) <= set(messages["message_id"]):
        found.append("a turn without its message")
    if not set(calls["turn_id"].dropna()) <= set(turns["turn_id"]):
        found.append("a call without its turn")
    results = messages[messages["role"] == "tool"]
    if calls["result"].notna().sum() != len(results) or (calls["status"] == "ok").sum() != len(results):
        found.append("a result without its call")
    if int(counted["n"][0]) != len(messages) or int(counted["texts"][0]) != messages["content"].notna().sum():
        found.append("frames and SQL disagree")
    names = sessions.set_index("session_id")["name"]
    prompts = messages[messages["role"] == "user"]
    for session_id, group in prompts.groupby("session_id"):
        said = [f"{names[session_id]} {number} " + "x" * 200 for number in range(len(group))]
        if list(group["content"]) != said:
            found.append(f"prompts of {names[session_id]} are not all and in order")
    for frame in (messages.rename(columns={"message_index": "index"}), turns.rename(columns={"turn_index": "index"})):
        if not (frame["index"] == frame.groupby("session_id").cumcount()).all():
            found.append("an index has a gap")
    return found


def test_recording_and_reading_in_one_process_beside_two_others_loses_and_tears_nothing(path: str) -> None:
    mine = _Recording(path)
    arguments = [sys.executable, "-c", _OTHER, path]
    others = {
        name: subprocess.Popen([*arguments, name, str(SECONDS)], stdout=subprocess.PIPE, text=True)
        for name in ("first", "second")
    }
    lab = sessionlab.open(path)
    mine.start()
    reads, problems = 0, []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        problems += torn(lab)
        reads += 1
    mine.stop.set()
    mine.join()
    mine.recorder.close()
    acknowledged = {"mine": mine.rounds}
    for name, process in others.items():
        output = process.communicate()[0]
        assert process.returncode == 0
        acknowledged[name] = int(output.split()[-1])
    assert mine.error is None
    assert problems == []
    assert reads > 3

    messages = lab.frame("messages")
    names = lab.frame("sessions").set_index("session_id")["name"]
    found = messages[messages["role"] == "tool"]["session_id"].map(names).value_counts().to_dict()
    assert found == acknowledged
    assert torn(lab) == []
    connection = sqlite3.connect(path)
    assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()
    print(f"{reads} reads of 4 frames and SQL, rounds of 4 events: {acknowledged}")
    fair = sum(acknowledged.values()) / 3
    assert mine.rounds >= fair / 10, f"the recording thread starved beside {reads} reads: {acknowledged}"


def test_a_kernel_records_in_one_cell_and_reads_in_the_next(path: str) -> None:
    record = (
        f"import sessionlab\nrecorder = sessionlab.Recorder({path!r})\nlab = sessionlab.open({path!r})\n"
        "session = recorder.session('notebook')"
    )
    rounds = [
        f"session.user('question {n}'); session.assistant('answer {n}')\nprint(list(lab.frame('turns')['response']))"
        for n in range(5)
    ]
    texts = (record, *rounds, "lab")
    cells = [nbformat.v4.new_code_cell(text) for text in texts]  # type: ignore[no-untyped-call]  # has no types
    notebook = nbformat.v4.new_notebook(cells=cells)  # type: ignore[no-untyped-call]  # has no types
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    for n in range(5):
        printed = notebook.cells[n + 1].outputs[0]["text"]
        assert re.findall(r"answer \d", printed) == [f"answer {i}" for i in range(n + 1)]
    assert "notebook" not in notebook.cells[-1].outputs[0]["data"]["text/html"]
    assert "history.db" in notebook.cells[-1].outputs[0]["data"]["text/html"]
    assert pd.notna(sessionlab.open(path).frame("turns")["prompt"]).all()
