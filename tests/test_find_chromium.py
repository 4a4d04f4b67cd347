"""The browser that tests need is one that starts; where there is none, Playwright's own is installed."""

from __future__ import annotations

import io
import os
import runpy
import shutil
import stat
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from in_browser import chromium_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scripts", "find_chromium.py")
script = runpy.run_path(SCRIPT)


def find(venv: Path, *, named: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SESSIONLAB_CHROMIUM": named}
    command = [sys.executable, SCRIPT, "--venv", str(venv), "--no-install"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def wrapper(path: Path, command: str) -> str:
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
    return str(path)


def test_one_that_does_not_start_counts_as_missing_and_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = wrapper(tmp_path / "chromium", "echo cannot open a library >&2; exit 1")
    assert script["first"]([str(tmp_path / "nothing"), broken, chromium_path()]) == chromium_path()
    assert f"{broken} is there, but does not start" in capfd.readouterr().err


def test_the_one_that_is_named_is_noted_for_the_tests(tmp_path: Path) -> None:
    done = find(tmp_path, named=chromium_path())
    assert (done.returncode, done.stdout) == (0, f"{chromium_path()}\n"), done.stderr
    assert (tmp_path / "chromium-path").read_text() == chromium_path()


def test_a_named_one_that_does_not_start_is_an_error_and_no_other_is_taken(tmp_path: Path) -> None:
    shown = shutil.which("true")
    done = find(tmp_path, named=str(shown))
    assert done.returncode == 1
    assert f"SESSIONLAB_CHROMIUM names {shown!r}" in done.stderr
    assert "Correct or unset it." in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.fixture
def download_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in for the host that Playwright downloads from; its Chromium is the one that is here."""

    class Host(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            folder = os.path.basename(self.path).removesuffix(".zip")
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w") as archive:
                entry = zipfile.ZipInfo(f"{folder}/chrome")
                entry.external_attr = (stat.S_IFREG | 0o755) << 16
                archive.writestr(entry, f'#!/bin/sh\nexec "{chromium_path()}" "$@"\n')
            self.send_response(200)
            self.send_header("Content-Length", str(len(stream.getvalue())))
            self.end_headers()
            self.wfile.write(stream.getvalue())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Host) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("PLAYWRIGHT_DOWNLOAD_HOST", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


def test_playwrights_own_is_installed_into_the_virtual_environment(tmp_path: Path, download_host: None) -> None:
    found = script["install_playwrights"](str(tmp_path))
    assert found.startswith(str(tmp_path / "browsers" / "chromium-"))
    assert list(script["places"](str(tmp_path)))[-1] == found
