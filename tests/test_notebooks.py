"""Every notebook runs from top to bottom in a real kernel: on the sample, on another tool's history, and on none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# Of the kernel's own packages.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def quiet_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(home))
    for name in [name for name in os.environ if name.startswith(("XDG_", "SESSIONLAB_"))]:
        monkeypatch.delenv(name)
    return home


@pytest.fixture
def folder(tmp_path: Path, quiet_home: Path) -> Path:
    """Return a folder for a notebook, with the sample where it is in the checkout."""
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks"


def read(path: Path) -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # has no types
    return notebook


def all_in_one() -> nbformat.NotebookNode:
    """Return the notebooks one after the other as one, which has to import everything only once."""
    first, *others = [read(path) for path in NOTEBOOKS]
    first.cells += [cell for notebook in others for cell in notebook.cells]
    return first


def run(notebook: nbformat.NotebookNode, folder: Path) -> list[Any]:
    """Run a notebook in a folder and return its outputs, those that its controls hold included."""
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    states = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    held = [output for one in states.values() for output in one["state"].get("outputs", ())]
    return [*outputs, *held]


def errors(outputs: list[Any]) -> list[str]:
    return [f"{output['ename']}: {output['evalue']}" for output in outputs if output["output_type"] == "error"]


def complaints(outputs: list[Any]) -> list[str]:
    return [*errors(outputs), *(output["text"] for output in outputs if output.get("name") == "stderr")]


def texts(outputs: list[Any]) -> list[str]:
    return [output.get("data", {}).get("text/plain") or "" for output in outputs]


def charts(outputs: list[Any]) -> list[Any]:
    kind = "application/vnd.plotly.v1+json"
    return [output["data"][kind] for output in outputs if kind in output.get("data", {})]


@every_notebook
def test_notebook_runs_without_an_error_and_changes_nothing_beside_it(path: Path, folder: Path) -> None:
    before = sorted(os.listdir(folder.parent / "sample_data"))
    outputs = run(read(path), folder)
    assert complaints(outputs) == []
    assert any("text/html" in output.get("data", {}) for output in outputs)
    drawn = charts(outputs)
    assert sum(bool(chart["data"]) for chart in drawn) >= len(drawn) - 1  # one may say that there is nothing to show
    assert sorted(os.listdir(folder.parent / "sample_data")) == before
    assert os.listdir(folder) == []


def test_the_notebooks_run_on_histories_of_several_tools(
    folder: Path, quiet_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "sample_data" / "claude_code", quiet_home / ".claude")
    shutil.copytree(ROOT / "sample_data" / "codex", quiet_home / ".codex")
    monkeypatch.setenv("SESSIONLAB_NOTEBOOK_DATA", "own")
    outputs = run(all_in_one(), folder)
    assert errors(outputs) == []
    overviews = [text for text in texts(outputs) if "claude_code" in text and "codex" in text and "origin" in text]
    assert len(overviews) >= 2
    assert os.listdir(folder) == []


def test_the_notebooks_run_where_there_is_no_history_yet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONLAB_NOTEBOOK_DATA", "own")
    outputs = run(all_in_one(), folder)
    assert errors(outputs) == []
    assert len(charts(outputs)) == 10
    said = "".join(output["text"] for output in outputs if output.get("name") == "stderr")
    assert "no history" in said.lower()
    assert said.count("Warning: ") == said.count("SessionLabWarning: ")


@every_notebook
def test_notebook_is_committed_without_outputs(path: Path) -> None:
    notebook = read(path)
    assert all(not c.outputs and c.execution_count is None for c in notebook.cells if c.cell_type == "code")
    assert "widgets" not in notebook.metadata


@every_notebook
def test_notebook_uses_public_names_only_and_begins_with_its_question(path: Path) -> None:
    notebook = read(path)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert "FigureWidget" not in code
    assert not [line for line in code.splitlines() if "sessionlab." in line and "import" in line]
    assert "._" not in code
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert "?" in first.source


def test_there_are_five() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]
