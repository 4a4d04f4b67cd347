"""opencode, a coding agent: a database of sessions, messages and parts, and the JSON files that came before it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sessionlab.sources import Problem, TreeSource, WholeSource, sections

_NAME = "opencode.db"


def default_paths() -> list[str]:
    """Return the databases that opencode uses: the one that is configured, and that of each release in its folder."""
    folder = _folder()
    named = os.environ.get("OPENCODE_DB")
    found = [os.path.join(folder, os.path.expanduser(named))] if named and named != ":memory:" else []
    found.append(os.path.join(folder, _NAME))
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        names = []
    found += [os.path.join(folder, name) for name in names if name.startswith("opencode-") and name.endswith(".db")]
    return list(dict.fromkeys(path for path in found if "\0" not in path))


def default_folders() -> list[str]:
    """Return the folder of the JSON files that opencode wrote before it had a database."""
    return [os.path.join(_folder(), "storage")]


def _folder() -> str:
    """Return the folder of opencode's data; macOS and Windows have the same one."""
    own = os.environ.get("OPENCODE_DATA_DIR")
    if own:
        return os.path.abspath(os.path.expanduser(own))
    base = os.environ.get("XDG_DATA_HOME") or os.path.join("~", ".local", "share")
    return os.path.abspath(os.path.join(os.path.expanduser(base), "opencode"))


def recognises_file(path: str, records: Sequence[Mapping[str, Any]]) -> bool | None:  # noqa: ARG001 - they are no lines
    """Return whether a file is of a session or a message of opencode, which its name and its folders say."""
    folder, name = os.path.split(os.path.abspath(path))
    folders = folder.split(os.sep)
    if name.startswith("ses_"):
        return "session" in folders[-3:]
    return name.startswith("msg_") and folders[-2:-1] == ["message"] and folders[-1].startswith("ses_")


def records(path: str) -> Iterator[str | Problem]:
    """Yield the record of a session's file; of a message's file its own, and one for each of its parts."""
    folder, name = os.path.split(os.path.abspath(path))
    own = name.removesuffix(".json")
    try:
        value = _read(path)
    except ValueError:
        yield Problem(record=name, reason="the file is no JSON object; it is left out", origin=path)
        return
    store = {"store": _store(folder)}
    if name.startswith("ses_"):
        yield _record(value, record="session", id=value.get("id") or own, worktree=_worktree(folder, value), **store)
        return
    session_id = value.get("sessionID") or os.path.basename(folder)
    yield _record(value, record="message", id=value.get("id") or own, session_id=session_id, **store)
    for part_path in _parts(folder, own):
        try:
            part = _read(part_path)
        except ValueError:
            part_name = os.path.basename(part_path)
            yield Problem(record=part_name, reason="the file is no JSON object; it is left out", origin=part_path)
        except OSError as error:
            reason = f"the part cannot be read: {error.strerror}. Check its permissions"
            yield Problem(record=os.path.basename(part_path), reason=reason, origin=part_path)
        else:
            part_id = part.get("id") or os.path.basename(part_path).removesuffix(".json")
            yield _record(part, record="part", id=part_id, **store)


def _read(path: str) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        OSError: The file cannot be read.
        ValueError: There is none.
    """
    with open(path, "rb") as file:
        text = file.read().decode("utf-8", "replace")
    try:
        value = json.loads(text.removeprefix("\ufeff"), parse_constant=lambda _: None)
    except RecursionError as error:
        raise ValueError(f"{path!r} is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path!r} holds no object")
    return value


def _record(value: Mapping[str, Any], **members: Any) -> str:
    """Return a record: the whole as a text of its own, so that no odd member of it hides another."""
    return json.dumps({**members, "json": json.dumps(value, ensure_ascii=False)}, ensure_ascii=False)


def _parts(folder: str, message_id: str) -> list[str]:
    """Return the files of a message's parts, by rising ids."""
    storage, session_id = os.path.dirname(os.path.dirname(folder)), os.path.basename(folder)
    found = []
    for parts in (("part", message_id), ("part", session_id, message_id)):
        place = os.path.join(storage, *parts)
        if os.path.isdir(place):
            found += [os.path.join(place, name) for name in os.listdir(place) if name.endswith(".json")]
    return sorted(found, key=os.path.basename)


def _worktree(folder: str, session: Mapping[str, Any]) -> str | None:
    """Return the folder of the session's project, which has a file of its own."""
    project_id = session.get("projectID")
    if not isinstance(project_id, str) or os.path.basename(project_id) != project_id:
        return None
    try:
        project = _read(os.path.join(os.path.dirname(os.path.dirname(folder)), "project", project_id + ".json"))
    except (OSError, ValueError):
        return None
    worktree = project.get("worktree")
    return worktree if isinstance(worktree, str) else None


def _store(folder: str) -> str:
    """Return the short name that the database beside the files has: what is in both then has the same id."""
    data = folder
    while os.path.basename(data) not in ("storage", ""):
        data = os.path.dirname(data)
    database = os.path.realpath(os.path.join(os.path.dirname(data), _NAME))
    return hashlib.sha256(os.fsencode(database)).hexdigest()[:8]


SOURCES = [
    WholeSource(
        name="opencode",
        default_paths=default_paths,
        fingerprints=[
            {
                "session": frozenset({"id", "project_id", "parent_id", "directory", "time_created"}),
                "message": frozenset({"id", "session_id", "time_created", "data"}),
                "part": frozenset({"id", "message_id", "session_id", "data"}),
            }
        ],
        # The sums of a session are not among them: its messages say more.
        tables={
            "project": ("id", "worktree"),
            "session": (
                "id",
                "project_id",
                "parent_id",
                "title",
                "directory",
                "version",
                "agent",
                "revert",
                "time_created",
                "time_updated",
                "time_archived",
            ),
            "message": ("id", "session_id", "time_created", "data"),
            "part": ("id", "message_id", "time_created", "data"),
            "session_message": ("id", "session_id", "type", "seq", "time_created", "data"),
        },
        statements=sections(__file__),
    ),
    TreeSource(
        name="opencode",
        default_paths=default_folders,
        names=("ses_*.json", "msg_*.json"),
        recognises_file=recognises_file,
        records=records,
        columns=dict.fromkeys(("record", "store", "id", "session_id", "worktree", "json"), "VARCHAR"),
        text_columns={"record": "VARCHAR", "json": "VARCHAR"},
        statements=sections(__file__, "opencode_storage.sql"),
    ),
]
