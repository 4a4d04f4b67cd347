"""The command `lab`: JupyterLab on a copy of the notebooks that come with sessionlab."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click

from sessionlab.cli.screen import seen
from sessionlab.exporting.telling import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_DATA = "SESSIONLAB_NOTEBOOK_DATA"  # what the first cell of each notebook goes by
# Nothing leaves the machine: JupyterLab would ask its project for news and for a newer release.
_JUPYTERLAB = (
    "--ServerApp.answer_yes=True",
    "--LabApp.news_url=",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)
_STOP_S = 15


@click.command(
    "lab",
    short_help="Open the notebooks in JupyterLab, on your own histories.",
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  sessionlab lab
  sessionlab lab --sample
  sessionlab lab --folder ~/notebooks --port 9000
  sessionlab lab --no-browser --ServerApp.ip=127.0.0.1""",
)
@click.option("--folder", default=".", metavar="FOLDER", help="Where the copies go. Without it: the current folder.")
@click.option("--sample", "is_sample", is_flag=True, help="Use the sample history instead of your own.")
@click.option("--port", type=click.IntRange(1, 65535), help="Where JupyterLab listens, if it is free.")
@click.option("--no-browser", is_flag=True, help="Start JupyterLab and only print its address.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[JUPYTERLAB_ARGUMENT]...")
def lab_command(folder: str, is_sample: bool, port: int | None, no_browser: bool, arguments: tuple[str, ...]) -> None:
    """Copy the notebooks into a folder and open JupyterLab there; Ctrl-C ends it.

    A file that is there is never written over: a copy that was changed is kept, and said to be. The notebooks read
    every history found on this machine. What is not an option here goes to JupyterLab.
    """
    folder = os.path.abspath(os.path.expanduser(folder))
    sample = _part("sample_data", "history.db") if is_sample else None
    copy_notebooks(folder)
    command = [sys.executable, "-m", "jupyterlab", *_JUPYTERLAB, f"--ServerApp.root_dir={folder}"]
    command += [f"--ServerApp.port={port}"] if port else []
    command += ["--no-browser"] if no_browser else []
    code = _run([*command, *arguments], {**os.environ, _DATA: sample or "own"}, folder)
    if code:
        raise click.ClickException(
            f"JupyterLab ended with exit code {code}; what it said is above. The notebooks are in {seen(folder)}."
        )


def copy_notebooks(folder: str) -> None:
    """Copy the notebooks to a folder, without writing over anything; say what was copied, and what was not and why."""
    os.makedirs(folder, exist_ok=True)
    source = _part("notebooks")
    copied = 0
    for name in sorted(name for name in os.listdir(source) if name.endswith(".ipynb")):
        path = os.path.join(folder, name)
        try:
            with open(path, "xb") as target, open(os.path.join(source, name), "rb") as original:
                shutil.copyfileobj(original, target)
            copied += 1
        except FileExistsError:
            if _cells(path) != _cells(os.path.join(source, name)):
                click.echo(f"{seen(path)} was changed, so it is kept. To have it anew, rename or remove it.", err=True)
    if copied:
        click.echo(f"{counted(copied, 'notebook')} copied to {seen(folder)}.", err=True)


def _cells(path: str) -> Any:
    """Return what was written into a notebook's cells, without what running it adds; None where it is no notebook."""
    try:
        with open(path, encoding="utf-8") as file:
            cells = json.load(file)["cells"]
        return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _part(*names: str) -> str:
    """Return the path of something that the wheel brings inside the package, and a checkout has beside it."""
    for root in (_PACKAGE, os.path.dirname(_PACKAGE)):
        path = os.path.join(root, *names)
        if os.path.exists(path):
            return path
    raise click.ClickException(
        f"{'/'.join(names)} is not in {seen(_PACKAGE)}, where sessionlab is installed. Install sessionlab anew."
    )


def _run(command: list[str], environment: dict[str, str], folder: str) -> int:
    """Run JupyterLab to its end, or until this program is told to end; return its exit code."""
    with _terminating(), subprocess.Popen(command, env=environment, cwd=folder) as process:  # noqa: S603 -- no shell
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let JupyterLab end its kernels and itself; one that does not is killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()


@contextlib.contextmanager
def _terminating() -> Iterator[None]:
    """Let SIGTERM be what Ctrl-C is, so that JupyterLab never stays behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
