"""Ctrl-C while a frame is read is a KeyboardInterrupt, and recorder and lab go on after it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

_PROGRAM = """
import sys
import sessionlab
recorder = sessionlab.Recorder(sys.argv[1])
session = recorder.session("x")
session.user("before")
lab = sessionlab.open(sys.argv[1])
lab.frame("turns")
print("ready", flush=True)
try:
    while True:
        lab.frame("messages")
        lab.sql("select count(*) from turns")
except BaseException as error:
    print(type(error).__name__, flush=True)
session.user("after")
assert list(lab.frame("messages")["content"].tail(1)) == ["after"]
print("sound")
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGINT reaches a program in another way there")
def test_ctrl_c_while_reading_is_a_keyboard_interrupt_and_leaves_recorder_and_lab_sound(path: str) -> None:
    chance = random.Random(7)
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.random() * 0.1)  # when it strikes is what varies
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (out, process.returncode) == ("KeyboardInterrupt\nsound\n", 0), err
