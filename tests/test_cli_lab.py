"""The command `lab`: copies that are never written over, and a JupyterLab that leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # has no types
import pytest
from command_line import PROGRAM, run
from in_jupyterlab import free_port, own_environment, until

from sessionlab.cli.notebooks import copy_notebooks

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_the_help_says_what_it_does_with_examples() -> None:
    said = run("lab", "--help").output
    assert "sessionlab lab --sample" in said
    assert "never written over" in said


def test_the_notebooks_are_copied_and_copied_again_only_where_they_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    copy_notebooks(str(folder))
    assert capsys.readouterr().err == f"{len(NOTEBOOKS)} notebooks copied to {folder}.\n"
    assert sorted(os.listdir(folder)) == NOTEBOOKS
    assert all((folder / name).read_bytes() == (ROOT / "notebooks" / name).read_bytes() for name in NOTEBOOKS)
    (folder / NOTEBOOKS[1]).unlink()
    copy_notebooks(str(folder))
    assert capsys.readouterr().err == f"1 notebook copied to {folder}.\n"
    copy_notebooks(str(folder))
    assert capsys.readouterr().err == ""


def test_a_copy_that_was_changed_is_kept_and_named_and_one_that_was_only_run_is_used_quietly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_notebooks(str(tmp_path))
    changed, was_run, foreign = (tmp_path / name for name in NOTEBOOKS[:3])
    for path, text in ((changed, "my_own_line = 1\n"), (was_run, "")):
        notebook = json.loads(path.read_text())
        cell = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
        cell["source"] = text + "".join(cell["source"])  # as JupyterLab writes it, or as one text
        cell["execution_count"] = 7
        path.write_text(json.dumps(notebook))
    foreign.write_text("a note of mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    copy_notebooks(str(tmp_path))
    assert capsys.readouterr().err == "".join(
        f"{path} was changed, so it is kept. To have it anew, rename or remove it.\n" for path in (changed, foreign)
    )
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_is_an_error_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "file" in run("lab", "--folder", str(tmp_path / "file" / "below"), code=1).output


def test_a_jupyterlab_that_cannot_start_is_an_error_that_says_where_to_look(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "lab", "--no-browser", "--ServerApp.ip=no-such-address", "--ServerApp.allow_root=True"],
        env=own_environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: JupyterLab ended with exit code ")
    assert "what it said is above" in done.stderr


@contextlib.contextmanager
def lab_running(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start the command in a folder and wait until JupyterLab has said where it is; what it prints goes to `log`."""
    port = free_port()
    command = [*command, "--no-browser", "--port", str(port), "--ServerApp.allow_root=True", "--ServerApp.ip=127.0.0.1"]
    log = folder / "log"
    with (
        log.open("w") as file,
        subprocess.Popen(command, env=environment, cwd=folder, stdout=file, stderr=file, text=True) as lab,
    ):
        try:
            until(lambda: lab.poll() is not None or f":{port}/lab?token=" in log.read_text(), timeout_s=60)
            assert lab.poll() is None, log.read_text()
            yield lab
        finally:
            if lab.poll() is None:
                lab.terminate()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_on_the_copies_and_a_signal_ends_it_with_all_its_processes(
    by: signal.Signals, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    with lab_running([PROGRAM, "lab"], work, own_environment(home)) as lab:
        assert sorted(os.listdir(work)) == [*NOTEBOOKS, "log"]
        children = psutil.Process(lab.pid).children(recursive=True)
        assert children
        assert children[0].environ()["SESSIONLAB_NOTEBOOK_DATA"] == "own"
        lab.send_signal(by)
        assert lab.wait(timeout=30) == 0, (work / "log").read_text()
        _, left = psutil.wait_procs(children, timeout=10)
        assert not left
    assert "Traceback" not in (work / "log").read_text()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel unpacked by pip, as it would be in somebody's environment."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir"]
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run(
        [*offline, "install", "-q", "--no-deps", "--no-index", "--target", folder / "site", wheel], check=True
    )
    return folder


def test_the_wheel_brings_the_notebooks_and_the_sample_and_nothing_of_the_workshop(installed: Path) -> None:
    (wheel,) = installed.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert sorted(name for name in names if name.startswith("sessionlab/notebooks/")) == [
        f"sessionlab/notebooks/{name}" for name in NOTEBOOKS
    ]
    assert [name for name in names if name.startswith("sessionlab/sample_data/")] == [
        "sessionlab/sample_data/history.db"
    ]
    assert {name.split("/")[0] for name in names} == {
        "sessionlab",
        next(n for n in names if "METADATA" in n).split("/")[0],
    }
    assert {os.path.splitext(name)[1] for name in names if name.startswith("sessionlab/browser/")} >= {
        ".py",
        ".js",
        ".css",
    }
    assert wheel.stat().st_size < 600_000


def test_an_installed_wheel_opens_its_own_notebooks_on_its_own_sample(installed: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {**own_environment(home), "PYTHONPATH": str(installed / "site")}
    work = tmp_path / "work"
    work.mkdir()
    program = [sys.executable, "-c", "from sessionlab.cli import main; main(prog_name='sessionlab')"]
    with lab_running([*program, "lab", "--sample"], work, environment) as lab:
        child = psutil.Process(lab.pid).children()[0]
        sample = str(installed / "site" / "sessionlab" / "sample_data" / "history.db")
        assert child.environ()["SESSIONLAB_NOTEBOOK_DATA"] == sample
        assert sorted(os.listdir(work)) == [*NOTEBOOKS, "log"]
        lab.send_signal(signal.SIGINT)
        assert lab.wait(timeout=30) == 0
