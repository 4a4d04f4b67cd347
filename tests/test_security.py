"""What SECURITY.md promises: its tests exist, nothing leaves the machine, files are private, nothing is deleted."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from helper_process import helper

import sessionlab
from sessionlab import Recorder
from sessionlab.store.database import Database

if TYPE_CHECKING:
    from pathlib import Path

TESTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TESTS)


def test_every_test_that_security_md_names_exists_and_every_promise_names_one() -> None:
    there: set[str] = set()
    for name in os.listdir(TESTS):
        if name.startswith("test_") and name.endswith(".py"):
            with open(os.path.join(TESTS, name), encoding="utf-8") as file:
                there.update(re.findall(r"^(?:async )?def (test_\w+)\(", file.read(), flags=re.MULTILINE))
    with open(os.path.join(ROOT, "SECURITY.md"), encoding="utf-8") as file:
        rows = [line for line in file if line.startswith("| ") and not line.startswith(("| promise", "| where"))]
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert set(named) <= there, row


# Records, reads by every way, draws and imports, where no connection can be made and every attempt is counted.
_QUIET = """
import ctypes, os, socket, sys
attempts = []
def listen(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind",
                 "urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect"):
        attempts.append((event, repr(arguments)[:200]))
        raise PermissionError(event)
sys.addaudithook(listen)
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except PermissionError:
    pass
assert len(attempts) == 1  # the hook does hear of it
attempts.clear()
# Where that is permitted, in a network of its own, without any way out for code that Python does not see either.
alone = sys.platform == "linux" and ctypes.CDLL(None).unshare(0x40000000) == 0
import sessionlab
from click.testing import CliRunner
from sessionlab.cli import main
path, samples = sys.argv[1:]
config = sessionlab.ModelConfig(provider_name="anthropic", request_model="claude-sonnet-4-5")
with sessionlab.Recorder(path) as recorder, recorder.session("a", config=config, directory=".") as s:
    s.user("see http://localhost:9/ and //example.invalid/x.png")
    turn = s.assistant("b", usage=sessionlab.Usage(input_tokens=10, output_tokens=5))
    turn.tool_call("t", {"url": "http://localhost:9/"}).result("c")
    s.messages(format="openai")
sessionlab.import_histories(samples, into=path)
with sessionlab.open(path, samples) as lab:
    for name in ("sessions", "turns", "messages", "tool_calls", "token_usage", "model_configs"):
        assert len(lab.frame(name))
    assert lab.frame("turns", source="sessionlab").cost_usd.notna().all()
    lab.sql("select count(*) from turns").pandas()
    lab.search("http")
    lab.problems, lab.overview(), lab._repr_html_()
    figure = sessionlab.charts.tokens_over_time(lab.frame("token_usage"))
    figure.to_html()
    browser = lab.browse()
    browser.session_id = browser.frame("sessions").session_id.iloc[0]
for words in (["frame", "turns", path], ["show", "last", path], ["sources", path], ["db", "check", "--db", path]):
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 0, found.output
assert attempts == [], attempts
print("quiet", alone)
"""


def test_nothing_leaves_the_machine_while_sessions_are_recorded_read_drawn_and_imported(path: str) -> None:
    samples = os.path.join(ROOT, "sample_data", "claude_code")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _QUIET, path, samples],
        capture_output=True, text=True, check=False, timeout=120, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("quiet")


@pytest.mark.skipif(os.name == "nt", reason="files have no such modes there")
def test_store_wal_lock_backup_and_archive_are_the_owners_alone_in_a_folder_of_everybody(tmp_path: Path) -> None:
    folder = tmp_path / "everybody"
    folder.mkdir()
    folder.chmod(0o777)
    path = str(folder / "history.db")
    before = os.umask(0)
    try:
        with helper(path) as ask:
            ask("open kept")
            ask("record said")
            with sessionlab.open(path) as lab:
                assert len(lab.frame("messages")) == 1
            with closing(Database(path)) as database:
                database.backup(str(folder / "backup.db"))
            sessionlab.import_histories(folder / "backup.db", into=folder / "archive.db")
            modes = {name: stat.S_IMODE(os.stat(folder / name).st_mode) for name in os.listdir(folder)}
    finally:
        os.umask(before)
    assert {"history.db", "history.db-wal", "history.db-shm", "history.db.lock", "backup.db", "archive.db"} <= set(
        modes
    )
    assert set(modes.values()) == {0o600}, modes


def test_a_limit_of_sessions_deletes_nothing_but_in_an_explicit_prune(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSIONLAB_MAX_SESSIONS", "1")
    with Recorder(path) as recorder:
        for name in ("a", "b", "c"):
            with recorder.session(name) as s:
                s.user(name)
    sessionlab.import_histories(os.path.join(ROOT, "sample_data", "awful_aj", "second.db"), into=path)
    with Recorder(path) as recorder, sessionlab.open(path) as lab:
        assert lab.frame("sessions", source="sessionlab").name.tolist() == ["a", "b", "c"]
        assert recorder.history.prune() == 2
        assert lab.frame("sessions", source="sessionlab").name.tolist() == ["c"]
        assert len(lab.frame("sessions", source="awful_aj")) == 3
