"""Tests that `make test` runs at a small size and `make soak` at a large one, and the table of what the soak found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

SCALE = float(os.environ.get("SOAK_SCALE", "1"))
"""How long the soak is, as a part of the whole one."""

_found: list[tuple[str, int, int, int, float]] = []
_more: list[str] = []


def sizes(name: str, few: int, soak: int) -> pytest.MarkDecorator:
    """Return what runs a test with a small number, and in the soak with a large one."""
    return pytest.mark.parametrize(name, list(_both(few, soak)))


def sizes_of(names: str, few: dict[str, int], soak: int) -> pytest.MarkDecorator:
    """Return the same for a test that is run for each of some things, each with a small number of its own."""
    cases = [
        pytest.param(thing, *case.values, id=f"{thing}-{case.id}", marks=case.marks)
        for thing, small in few.items()
        for case in _both(small, soak)
    ]
    return pytest.mark.parametrize(names, cases)


def _both(few: int, soak: int) -> Sequence[pytest.ParameterSet]:
    large = max(1, round(soak * SCALE))
    return [pytest.param(few, id="few"), pytest.param(large, id="soak", marks=pytest.mark.soak)]


def tell(fault: str, *, attempts: int, acknowledged: int, lost: int, seconds: float, more: str = "") -> None:
    """Put a fault into the table; the test itself checks that nothing is lost."""
    _found.append((fault, attempts, acknowledged, lost, seconds))
    if more:
        _more.append(more)


def told() -> list[str]:
    """Return the lines of the table."""
    if not _found:
        return []
    head = f"{'fault':<44}{'attempts':>10}{'acknowledged':>14}{'lost':>8}{'seconds':>10}"
    rows = [f"{fault:<44}{n:>10,}{kept:>14,}{lost:>8,}{s:>10.1f}" for fault, n, kept, lost, s in _found]
    return [head, *rows, *_more]
