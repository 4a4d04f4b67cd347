"""The public face: the names, the errors, and how little an import loads."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import sessionlab
from sessionlab import errors

HEAVY = ("pandas", "duckdb", "plotly", "ipywidgets", "pyarrow", "numpy", "click", "rich", "anywidget", "genai_prices")


def loaded_after(code: str) -> set[str]:
    listing = f"{code}\nimport sys\nprint(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout
    return set(printed.split())


@pytest.mark.parametrize("code", ["import sessionlab", "import sessionlab; sessionlab.Recorder(enabled=False)"])
def test_import_and_recorder_load_no_heavy_package(code: str) -> None:
    assert not loaded_after(code) & set(HEAVY)


def test_import_alone_loads_no_module_of_ours() -> None:
    assert not [name for name in loaded_after("import sessionlab") if name.startswith("sessionlab.")]


def test_every_public_name_is_there_and_listed() -> None:
    assert sorted(sessionlab.__all__) == list(sessionlab.__all__)
    assert set(dir(sessionlab)) == set(sessionlab.__all__)
    for name in sessionlab.__all__:
        assert getattr(sessionlab, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        sessionlab.no_such_name  # noqa: B018 -- the access is what is tested


def test_every_error_has_the_one_root_and_stands_in_the_drawing() -> None:
    found = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    raised = [c for c in found if not issubclass(c, Warning)]
    assert all(issubclass(c, sessionlab.SessionLabError) for c in raised)
    drawn = set(re.findall(r"\b\w+Error\b", errors.__doc__ or ""))
    assert drawn == {c.__name__ for c in raised}
    assert drawn <= set(sessionlab.__all__)


def test_the_version_is_the_one_of_the_package() -> None:
    from importlib.metadata import version

    assert sessionlab.__version__ == version("sessionlab")
