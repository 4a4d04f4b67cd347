"""Every way into a store, tried on files at fault; run as a program, as somebody whom permissions do stop.

The folder given holds one folder for each fault and entry point, made by `test_entry_points.py`. One line of JSON for
each says how it ended.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OTHER = os.path.join(ROOT, "sample_data", "awful_aj", "second.db")
WORDS = "the needle in it"  # the message of the store, in a session called "kept"


def give_up_power_over_permissions() -> None:
    """Let permissions stop this process, also where root runs it."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or sys.platform != "linux":
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, and again of those above 31
    if libc.capget(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    for number in range(3):
        sets[number] &= ~0b1110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def record(path: str) -> str:
    import sessionlab

    with sessionlab.Recorder(path) as recorder:
        s = recorder.session("new")
        s.user("recorded")
        kept = [m.content for summary in recorder.history.list(name="kept") for m in _messages(recorder, summary)]
        return " ".join([*kept, *(str(m.content) for m in s.messages())])


def _messages(recorder: Any, summary: Any) -> Any:
    return recorder.history.get(summary.session_id).messages


def record_and_warn(path: str) -> str:
    import sessionlab

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with sessionlab.Recorder(path, on_error="warn") as recorder:
            s = recorder.session("new")
            s.user("recorded")
            said = [str(warning.message) for warning in caught]
            if recorder.lost:
                assert len(said) == 1, said
                assert recorder.lost == 2, recorder.lost
                raise sessionlab.SessionLabError(said[0])
            assert said == [], said
            return " ".join(str(m.content) for m in s.messages())


def open_and_frame(path: str) -> str:
    import sessionlab

    with sessionlab.open(path) as lab:
        assert len(lab.overview()) == 1
        assert list(lab.problems.reason) == []
        return " ".join(lab.frame("messages").content)


def frame(path: str) -> str:
    import sessionlab

    return " ".join(sessionlab.frame("messages", path).content)


def sql(path: str) -> str:
    import sessionlab

    with sessionlab.open(path) as lab:
        return str(lab.sql("select string_agg(content, ' ') as all from messages").pandas()["all"].iloc[0])


def search(path: str) -> str:
    import sessionlab

    with sessionlab.open(path) as lab:
        return " ".join(lab.search("needle").snippet.str.replace("[«»]", "", regex=True))


def browse(path: str) -> str:
    import sessionlab

    with sessionlab.open(path) as lab:
        return " ".join(lab.browse().frame("messages").content)


def found_in_a_folder(path: str) -> str:
    import sessionlab

    with sessionlab.open(os.path.dirname(path)) as lab:
        texts = list(lab.frame("messages").content)
        reasons = list(lab.problems.reason)
        assert bool(texts) != bool(reasons), (texts, reasons)
        if reasons:
            raise sessionlab.SessionLabError(" ".join(reasons))
        return " ".join(texts)


def import_from(path: str) -> str:
    import sessionlab

    into = os.path.join(os.environ["TMPDIR"], f"{len(os.listdir(os.environ['TMPDIR']))}-into.db")
    sessionlab.import_histories(path, into=into)
    with sessionlab.open(into) as lab:
        return " ".join(lab.frame("messages").content)


def import_into(path: str) -> str:
    import sessionlab

    report = sessionlab.import_histories(OTHER, into=path)
    assert report.sessions == 3
    assert sessionlab.import_histories(OTHER, into=path).unchanged == 3
    with sessionlab.open(path) as lab:
        return " ".join(lab.frame("messages", source="sessionlab").content)


def command(*words: str) -> Callable[[str], str]:
    """Return what runs a command on a store and returns what it says; PATH stands for the store, NEW for a new file."""

    def run(path: str) -> str:
        from click.testing import CliRunner

        import sessionlab
        from sessionlab.cli import main

        new = os.path.join(os.environ["TMPDIR"], f"{len(os.listdir(os.environ['TMPDIR']))}-new.db")
        arguments = [{"PATH": path, "NEW": new, "OTHER": OTHER}.get(word, word) for word in words]
        found = CliRunner().invoke(main, arguments, env={"COLUMNS": "1000"})
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        assert "Traceback" not in found.output
        if found.exit_code:
            assert found.exit_code == 1, (found.exit_code, found.output)
            raise sessionlab.SessionLabError(found.output)
        return found.output

    return run


READING: dict[str, Callable[[str], str]] = {
    "open": open_and_frame,
    "frame": frame,
    "sql": sql,
    "search": search,
    "browse": browse,
    "a folder": found_in_a_folder,
    "import from": import_from,
    "sessionlab frame": command("frame", "messages", "PATH", "--format", "csv"),
    "sessionlab sql": command("sql", "select content from messages", "PATH"),
    "sessionlab search": command("search", "needle", "PATH"),
    "sessionlab show": command("show", "kept", "PATH"),
    "sessionlab sources": command("sources", "PATH"),
    "sessionlab import from": command("import", "PATH", "--into", "NEW"),
}
LOOKING_AFTER: dict[str, Callable[[str], str]] = {
    "sessionlab db check": command("db", "check", "--db", "PATH"),
    "sessionlab db backup": command("db", "backup", "NEW", "--db", "PATH"),
}
WRITING: dict[str, Callable[[str], str]] = {
    "Recorder": record,
    "Recorder that warns": record_and_warn,
    "import into": import_into,
    "sessionlab import into": command("import", "OTHER", "--into", "PATH"),
    "sessionlab db migrate": command("db", "migrate", "--db", "PATH"),
    "sessionlab db vacuum": command("db", "vacuum", "--db", "PATH"),
    "sessionlab db prune": command("db", "prune", "--max-sessions", "9", "--yes", "--db", "PATH"),
    "sessionlab db reset": command("db", "reset", "--yes", "--db", "PATH"),
}
ENTRIES = {**READING, **LOOKING_AFTER, **WRITING, "sessionlab db path": command("db", "path", "--db", "PATH")}


def outcome(entry: str, path: str) -> tuple[str, str]:
    """Return how using a file ended: `rows`, `error` or `crash`; and what was returned or said."""
    import sessionlab

    try:
        return "rows", ENTRIES[entry](path)
    except sessionlab.SessionLabError as error:
        return "error", str(error)
    except BaseException:
        return "crash", traceback.format_exc()


def main() -> None:
    give_up_power_over_permissions()
    for line in sys.stdin:
        entry, path = json.loads(line)
        print(json.dumps(outcome(entry, path)), flush=True)


if __name__ == "__main__":
    main()
