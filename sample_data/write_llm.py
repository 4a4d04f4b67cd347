"""Write the sample history of `llm` with the program itself: both of its releases, with models that follow a script.

It needs a network for the package index, so `make_sample.py` leaves these files alone and this is run by hand:

    python sample_data/write_llm.py

The newer release has upgraded one of the two files, so that one holds the tables of both.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import venv

from vocabulary import HERE, HOME

# The older release imports what only an older `openai` brings.
RELEASES = {"old": ("llm==0.27.1", "openai<2"), "new": ("llm==0.36",)}
# Which release does what, and in which file it ends up.
PARTS = (
    ("former", "old", os.path.join("old", "logs.db")),
    ("before", "old", "logs.db"),
    ("after", "new", "logs.db"),
)
# What SQLite itself or the clock of this machine wrote down, and where the files of a prompt lay.
_SETTLED = (
    "update fragments set datetime_utc = (select substr(min(datetime_utc), 1, 10) || ' 12:00:00' from {answers}),"
    " source = replace(source, ?, ?)",
    "update attachments set path = replace(path, ?, ?)",
)


def main(folder: str = os.path.join(HERE, "llm")) -> int:
    """Make both files anew."""
    with tempfile.TemporaryDirectory() as room:
        work = os.path.realpath(room)
        pythons = {name: _install(os.path.join(work, name), *wanted) for name, wanted in RELEASES.items()}
        for part, release, name in PARTS:
            target = os.path.join(work, "made", os.path.dirname(name))
            files = os.path.join(work, "files")
            for made in (target, files):
                os.makedirs(made, exist_ok=True)
            script = os.path.join(HERE, "scripted_llm.py")
            environment = {**os.environ, "LLM_USER_PATH": target, "PYTHONDONTWRITEBYTECODE": "1"}
            subprocess.run([pythons[release], script, files, part], check=True, env=environment)
        for name in dict.fromkeys(name for *_, name in PARTS):
            path = os.path.join(work, "made", name)
            _settle(path, files)
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            shutil.copyfile(path, os.path.join(folder, name))
            print(f"{os.path.join(folder, name)}: {os.path.getsize(path):,} bytes")
    return 0


def _install(folder: str, *wanted: str) -> str:
    """Make an environment with some packages and return its Python."""
    venv.create(folder, with_pip=True)
    python = os.path.join(folder, "Scripts" if os.name == "nt" else "bin", "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


def _settle(path: str, files: str) -> None:
    """Take out of a file what differs from run to run, and leave nothing beside it."""
    connection = sqlite3.connect(path)
    try:
        tables = {name for (name,) in connection.execute("select name from sqlite_schema where type = 'table'")}
        places = (files, os.path.join(HOME, "harbor"))
        for sql in _SETTLED:
            connection.execute(sql.format(answers="turns" if "turns" in tables else "responses"), places)
        connection.commit()
        connection.execute("pragma journal_mode = delete")
        connection.execute("vacuum")
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
