"""Histories that a test has opened: a lab each, its frames, its problems. `conftest.py` closes them after the test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import sessionlab

if TYPE_CHECKING:
    import pandas as pd

_open: dict[str, sessionlab.Lab] = {}


def lab_of(path: str | os.PathLike[str]) -> sessionlab.Lab:
    """Return the lab of a file or folder, the same one throughout a test."""
    path = os.fspath(path)
    if path not in _open:
        _open[path] = sessionlab.open(path)
    return _open[path]


def frame(path: str | os.PathLike[str], name: str) -> pd.DataFrame:
    """Return a frame of a file or folder."""
    return lab_of(path).frame(name)


def problems(path: str | os.PathLike[str]) -> list[tuple[Any, str]]:
    """Return the record and the reason of each problem but of prices that are not known."""
    found = lab_of(path).problems
    return [(r, why) for r, why in zip(found.record, found.reason, strict=True) if "price" not in why]


def listed(values: pd.Series) -> list[Any]:
    """Return the values of a column with None for what was not reported."""
    return values.astype(object).where(values.notna(), None).tolist()


def column(rows: pd.DataFrame, name: str) -> list[Any]:
    """Return the values of one column of a frame, like `listed`."""
    return listed(rows[name])


def close_labs() -> None:
    """Close all that are open."""
    while _open:
        _open.popitem()[1].close()
