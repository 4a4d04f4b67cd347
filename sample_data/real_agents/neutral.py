"""Takes the machine and other people's texts out of what an agent wrote, and leaves the shape."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any

HOME = "/home/ada"
PROJECT = "/home/ada/projects/harbor"
# Agents keep the instructions that they give a model. Those belong to their authors; nothing of ours is that long.
LONGEST = 160
SENTENCE = 40
LEFT_OUT = "A long text of the agent's own, left out."


@dataclass(frozen=True, slots=True, kw_only=True)
class Neutral:
    """What to replace: the words of this machine, by those of an invented one."""

    words: dict[str, str]
    keep: tuple[str, ...] = ()  # texts that stay where a long text ends with them

    @classmethod
    def of(cls, *, home: str, project: str, base: str, keep: tuple[str, ...]) -> Neutral:
        """Replace two folders, the hash of one, and the server's address."""
        hashed = {_hash(project): _hash(PROJECT)}
        folders = {
            project: PROJECT,
            home: HOME,
            project.lstrip("/"): PROJECT.lstrip("/"),
            home.lstrip("/"): HOME.lstrip("/"),
        }
        return cls(words={**hashed, **folders, base: "http://127.0.0.1:8765"}, keep=keep)

    def text(self, text: str) -> str:
        """Make one text neutral; one that holds JSON stays JSON."""
        for word, new in self.words.items():
            text = text.replace(word, new)
        if text[:1] in ("{", "["):
            try:
                value = json.loads(text)
            except ValueError:
                return self._short(text)
            if isinstance(value, dict | list):
                return json.dumps(self.value(value), ensure_ascii=False, separators=(",", ":"))
        return self._short(text)

    def value(self, value: Any) -> Any:
        """Make every text in a JSON value neutral."""
        if isinstance(value, str):
            return self.text(value) if len(value) > LONGEST else self._replaced(value)
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if isinstance(value, dict):
            return {self._replaced(key): self._entry(key, one) for key, one in value.items()}
        return value

    def _entry(self, key: str, value: Any) -> Any:
        # What a tool or an extension is for is said in a sentence, which is its authors' too.
        if key == "description" and isinstance(value, str) and len(value) > SENTENCE:
            return LEFT_OUT
        return self.value(value)

    def _replaced(self, text: str) -> str:
        for word, new in self.words.items():
            text = text.replace(word, new)
        return text

    def _short(self, text: str) -> str:
        if len(text) <= LONGEST:
            return text
        ending = next((f"\n{end}" for end in self.keep if text.endswith(end)), "")
        tag = re.match(r"\s*<([\w-]+)(?: instructions)?>", text)
        if tag:
            return f"{tag[0].strip()}\n{LEFT_OUT}\n</{tag[0].strip()[1:]}{ending}"
        return LEFT_OUT + ending

    def lines(self, source: str, target: str) -> None:
        """Copy a file of JSON lines, or of one JSON value."""
        with open(source, encoding="utf-8") as file, _new(target) as copy:
            copy.writelines(self.text(line.rstrip("\n")) + "\n" for line in file if line.strip())

    def whole(self, source: str, target: str) -> None:
        """Copy a file that is one JSON value over many lines."""
        with open(source, encoding="utf-8") as file, _new(target) as copy:
            copy.write(json.dumps(self.value(json.load(file)), ensure_ascii=False, indent=2) + "\n")

    def database(self, source: str, target: str, *, emptied: tuple[str, ...] = ()) -> None:
        """Copy a SQLite file, with what still lies in its WAL; some tables may be left empty."""
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with closing(sqlite3.connect(source)) as old:
            old.execute("vacuum into ?", (target,))
        with closing(sqlite3.connect(target, isolation_level=None)) as new:
            new.create_function("neutral", 1, self.text, deterministic=True)
            tables = new.execute(
                "select name from sqlite_schema where type = 'table' and name not like 'sqlite~_%' escape '~'"
            )
            for (table,) in tables.fetchall():
                for column in new.execute("select name from pragma_table_info(?)", (table,)).fetchall():
                    quoted = '"' + column[0].replace('"', '""') + '"'
                    new.execute(
                        f'update "{table}" set {quoted} = neutral({quoted})'
                        f" where typeof({quoted}) = 'text' and neutral({quoted}) <> {quoted}"
                    )
            for table in emptied:
                new.execute(f'delete from "{table}"')
            new.execute("pragma page_size = 512")
            new.execute("vacuum")


def _hash(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def _new(path: str) -> Any:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return open(path, "w", encoding="utf-8", newline="\n")
