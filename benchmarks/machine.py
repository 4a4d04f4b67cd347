"""What the measuring was done on."""

from __future__ import annotations

import datetime
import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("sessionlab", "duckdb", "pandas", "pyarrow", "polars", "adbc-driver-sqlite", "llm", "openai-agents")


def machine() -> dict[str, Any]:
    """Return the cores, the memory, the versions and the date, for the JSON file."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "cores": _cores(),
        "memory_gb": _memory_gb(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: _version(name) for name in _PACKAGES},
    }


def shown(found: dict[str, Any]) -> str:
    """Return it as one line."""
    memory = "" if found["memory_gb"] is None else f", {found['memory_gb']:.0f} GB"
    names = ("python", "sqlite", "duckdb", "pandas", "polars")
    versions = ", ".join(f"{name} {found[name]}" for name in names if found[name])
    return f"{found['cores']} cores{memory}; {versions}; {found['date'][:10]}"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gb() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):  # not on Windows
        return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
