"""A real JupyterLab for tests: own home and settings, on loopback, driven through the page that people use."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]  # has no types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from playwright.sync_api import Locator, Page

_FOREIGN = ("JUPYTER", "IPYTHON", "PLOTLY", "XDG_", "SESSIONLAB_")
_SETTINGS: dict[str, dict[str, Any]] = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page, seen or not
    "docmanager-extension/plugin": {"autosave": False},
}
_ARGUMENTS = (
    "--no-browser",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--ServerApp.allow_root=True",
    "--ServerApp.terminals_enabled=False",
    "--IdentityProvider.token=",
    "--LabApp.expose_app_in_browser=True",
    "--LabApp.extension_manager=readonly",
    "--LabApp.news_url=",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)
# A kernel on sockets in a folder opens no port that others on the machine could reach.
_TRANSPORT = () if os.name == "nt" else ("--KernelManager.transport=ipc",)
_STOP_S = 20

_IS_IDLE = """() => {
    const kernel = window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel;
    return kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""
# A cell that raises stops the queue, so those after it never get a number.
_IS_DONE = """() => {
    const { content, sessionContext } = window.jupyterapp.shell.currentWidget;
    const cells = content.widgets.filter((cell) => cell.model.type === "code");
    const outputs = cells.flatMap((cell) => cell.model.sharedModel.getOutputs());
    return sessionContext.session.kernel.status === "idle" &&
        (cells.every((cell) => cell.model.executionCount) || outputs.some((one) => one.output_type === "error"));
}"""
_BAD = ", ".join(
    f'.jp-Notebook [data-mime-type="application/vnd.jupyter.{kind}"]' for kind in ("stderr", "error", "stdin")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JupyterLab:
    """A server that runs: where it is, and the folder that it shows."""

    url: str
    root: Path


@contextlib.contextmanager
def running_jupyterlab() -> Iterator[JupyterLab]:
    """Start JupyterLab in a home of its own, and see at the end that no process of it is left."""
    # A kernel's socket is a path of at most about 100 letters.
    home = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp" if os.path.isdir("/tmp") else None))
    root = home / "notebooks"
    root.mkdir()
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "jupyterlab", *_ARGUMENTS, *_TRANSPORT, f"--ServerApp.root_dir={root}"]
    try:
        with serving([*command, f"--ServerApp.port={url.rpartition(':')[2]}"], f"{url}/api/status", _own(home), root):
            yield JupyterLab(url=url, root=root)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def serving(command: Sequence[str], url: str, environment: dict[str, str], folder: Path) -> Iterator[psutil.Process]:
    """Run a server until it answers at a URL, end it by SIGTERM, and see that it takes all its processes with it."""
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        ) as server,
    ):
        process = psutil.Process(server.pid)
        try:
            until(lambda: server.poll() is not None or _answers(url), timeout_s=60)
            if server.poll() is not None:
                log.seek(0)
                raise RuntimeError(f"the server ended with {server.returncode}:\n{log.read()[-4000:]}")
            yield process
        finally:
            all_of_it = [*process.children(recursive=True), process] if process.is_running() else []
            server.terminate()
            _, left = psutil.wait_procs(all_of_it, timeout=_STOP_S)
            for one in left:
                one.kill()
        assert not left, f"did not end within {_STOP_S} s: {left}"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def until(condition: Callable[[], object], *, timeout_s: float) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"was not true within {timeout_s} s"
        time.sleep(0.05)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def own_environment(home: Path) -> dict[str, str]:
    """Return the environment of somebody who has never used Jupyter or sessionlab."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        environment[name] = str(home)
    return environment


def _own(home: Path) -> dict[str, str]:
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "run",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }
    for name, values in _SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    return {**own_environment(home), **{name: str(home / folder) for name, folder in folders.items()}}


class Notebook:
    """A notebook that is open in JupyterLab's page, with its kernel; a context manager that shuts the kernel down."""

    def __init__(self, page: Page, lab: JupyterLab, name: str) -> None:
        self.page = page
        self._lab = lab
        self._name = name

    def __enter__(self) -> Notebook:
        if not self.page.url.startswith(self._lab.url):
            self.page.goto(f"{self._lab.url}/lab?reset", wait_until="domcontentloaded")
            self.page.wait_for_function("() => window.jupyterapp?.restored !== undefined")
            self.page.evaluate("async () => { await window.jupyterapp.restored }")
        self.command("docmanager:open", path=self._name)
        self.page.wait_for_function(_IS_IDLE, timeout=60_000)
        return self

    def __exit__(self, *_: object) -> None:
        self.command("kernelmenu:shutdown")
        self.page.evaluate(
            """() => {
                const { context } = window.jupyterapp.shell.currentWidget;
                context.model.dirty = false;  // it would ask whether to save
                window.jupyterapp.shell.currentWidget.close();
            }"""
        )

    def command(self, name: str, **arguments: Any) -> None:
        """Carry out a command of JupyterLab."""
        self.page.evaluate(
            "async ([name, options]) => { await window.jupyterapp.commands.execute(name, options) }", [name, arguments]
        )

    def run_all(self) -> None:
        """Run every cell, and wait until all have run or one has raised."""
        self.command("notebook:run-all-cells")
        self.page.wait_for_function(_IS_DONE, timeout=120_000)

    def run(self, index: int) -> str:
        """Run one cell, and return the text below it."""
        self.page.evaluate(
            """async (index) => {
                const { content } = window.jupyterapp.shell.currentWidget;
                content.activeCellIndex = index;
                content.deselectAll();
                await window.jupyterapp.commands.execute("notebook:run-cell");
            }""",
            index,
        )
        self.page.wait_for_function(_IS_IDLE)
        return self.output(index).inner_text().strip()

    def output(self, index: int) -> Locator:
        """Return what is below a cell; to be searched, since the rest of the page has names of its own."""
        return (
            self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell")
            .nth(index)
            .locator(".jp-OutputArea")
            .first
        )

    def complaints(self) -> list[str]:
        """Return what was written to stderr or raised, also inside of an Output widget."""
        return self.page.locator(_BAD).all_inner_texts()

    def cell_count(self) -> int:
        """Return how many cells there are."""
        return int(self.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length"))
