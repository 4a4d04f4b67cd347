"""What the invented histories share: their days and projects, the tasks, ids that chance makes, text by the metre."""

from __future__ import annotations

import os
import sqlite3
import tomllib
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

SEED = 20_261_121
HERE = os.path.dirname(os.path.abspath(__file__))
FIRST_DAY = datetime(2026, 8, 31, 8, 0, tzinfo=UTC)
DAYS = 70
PROJECTS = ("harbor", "tidepool", "lantern")
HOME = "/home/ada/projects"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORDS = (
    "the build fails because a fixture is missing and the test cannot find its folder so we move it one level up "
    "then run everything again with a clean cache which shows that the parser reads an empty line as a record "
    "return value error line module import path index session message token branch commit naïve café größe 数据 "
)
# Most texts are short and a few are very long; 300 characters on average.
_LENGTHS = (40, 60, 80, 100, 120, 140, 160, 180, 200, 220, 240, 280, 320, 360, 420, 480, 560, 640, 760, 820)
_LONG = 9000


def moment(chance: random.Random) -> datetime:
    """Return a time on a working day."""
    while True:
        found = FIRST_DAY + timedelta(days=chance.randrange(DAYS), seconds=chance.randrange(10 * 3600))
        if found.weekday() < 5:
            return found + timedelta(microseconds=chance.randrange(1_000_000))


def microseconds(time: datetime) -> int:
    """Return the microseconds since 1970, exactly."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def tasks(kind: str) -> list[dict[str, Any]]:
    """Return the tasks of one kind, with their placeholders."""
    with open(os.path.join(HERE, "tasks.toml"), "rb") as file:
        found: list[dict[str, Any]] = tomllib.load(file)[kind]
    return found


def told(value: Any, task: dict[str, Any], project: str) -> Any:
    """Return a part of a task with the names in place of the placeholders."""
    if isinstance(value, dict):
        return {key: told(inner, task, project) for key, inner in value.items()}
    if isinstance(value, list):
        return [told(inner, task, project) for inner in value]
    return value.replace("{project}", project).replace("{name}", task["name"]) if isinstance(value, str) else value


def uuid4(chance: random.Random) -> str:
    """Return an id made by chance alone."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def uuid7(chance: random.Random, milliseconds: int) -> str:
    """Return an id that begins with its time."""
    version_and_chance = 7 << 76 | chance.getrandbits(12) << 64
    variant_and_chance = 0b10 << 62 | chance.getrandbits(62)
    # By hand, since large files need millions of them.
    digits = f"{milliseconds << 80 | version_and_chance | variant_and_chance:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def create_tables(connection: sqlite3.Connection, *schemas: str) -> None:
    """Run schema files, named from the folder of the schemas."""
    for schema in schemas:
        connection.executescript(schema_text(schema))


def schema_text(schema: str) -> str:
    """Return the text of a schema file."""
    with open(os.path.join(HERE, "schemas", schema), encoding="utf-8") as file:
        return file.read()


def text_pool(chance: random.Random, count: int = 4096) -> list[str]:
    """Return texts of lifelike lengths for large files."""
    pool = " ".join(chance.choices(_WORDS.split(), k=200_000))
    lengths = [_LONG if number % 512 == 0 else chance.choice(_LENGTHS) for number in range(count)]
    return [pool[at : at + length] for at, length in zip(chance.choices(range(900_000), k=count), lengths, strict=True)]
