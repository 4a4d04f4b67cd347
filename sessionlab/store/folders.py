"""The folders that sessions ran in, and the repositories that these belong to."""

from __future__ import annotations

import os

from sessionlab.model import storable


def absolute(directory: str | os.PathLike[str]) -> str:
    """Return the absolute path of a folder without links, as it is stored."""
    return storable(os.path.realpath(os.path.expanduser(os.fspath(directory))))


def git_root_of(directory: str) -> str | None:
    """Return the main repository that a folder belongs to, or None; no program is run."""
    folder = directory
    while True:
        marker = os.path.join(folder, ".git")
        if os.path.isdir(marker):
            return folder
        if os.path.isfile(marker):
            return _main_repository(marker) or folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _main_repository(marker: str) -> str | None:
    """Return the folder of the main repository that a worktree's `.git` file leads to."""
    try:
        with open(marker, encoding="utf-8") as file:
            first = file.readline().strip()
    except (OSError, UnicodeDecodeError):
        return None
    target = os.path.join(os.path.dirname(marker), first.removeprefix("gitdir:").strip())
    above, name = os.path.split(os.path.dirname(os.path.abspath(target)))
    return os.path.dirname(above) if name == "worktrees" and os.path.basename(above) == ".git" else None
