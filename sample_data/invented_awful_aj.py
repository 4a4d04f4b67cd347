"""An invented history of the awful_aj command line: named conversations, without any time of day."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vocabulary import SEED, create_tables, tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

BRAIN = (
    "Below is a JSON representation of our conversation leading up to this point. "
    'Please only respond to this message with "Ok.":\n'
)
ABOUT = (
    "This JSON object is a representation of our conversation leading up to this point. "
    "This object represents your memories."
)
_DOCUMENTS = "Below is supplementary documentation that may be relevant to answering the user's question:\n\n"
_READ = "I have reviewed the supplementary documentation."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Config:
    """What the user's configuration file says."""

    model: str
    api_base: str = "http://localhost:5001/v1"
    api_key: str = "CHANGEME"
    context_max_tokens: int = 8192
    assistant_minimum_context_tokens: int = 2048
    stop_words: tuple[str, ...] = ("\n<|im_start|>", "<|im_end|>")

    def row(self) -> tuple[str, str, str, int, int, str]:
        """Return the columns that are stored; a number beyond 31 bits wraps, as it does there."""
        wrapped = (self.context_max_tokens + 2**31) % 2**32 - 2**31
        at_least = self.assistant_minimum_context_tokens
        return self.api_base, self.api_key, self.model, wrapped, at_least, ",".join(self.stop_words)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    """What a conversation begins with."""

    system: str
    messages: tuple[tuple[str, str], ...] = ()


SMALL = _Config(model="workshop-7b")
LARGE = _Config(
    model="atelier-70b",
    api_base="https://models.example/v1",
    api_key="sk-aj-invented-5f0c2b7e9d41a836",
    context_max_tokens=32_768,
    assistant_minimum_context_tokens=4096,
)
PLAIN = _Template(system="You are Awful Jade, a helpful AI assistant.")
_COMMITS = _Template(
    system="You write commit messages: one line, in the imperative, at most 60 characters.",
    messages=(
        ("user", "-timeout = 5\n+timeout = 30"),
        ("assistant", "Wait 30 seconds for an answer"),
        ("user", "-import os\n-import re\n+import re"),
        ("assistant", "Remove an import that nothing uses"),
    ),
)


class _File:
    """A file that is written by the rules by which the tool itself writes."""

    def __init__(self, path: str, schema: str) -> None:
        self.chance = random.Random(SEED)
        self.connection = sqlite3.connect(path)
        # Rows that point nowhere are among what has to be read.
        self.connection.execute("pragma foreign_keys = off")
        create_tables(self.connection, schema)

    def conversation(self, name: str) -> int:
        """Return the conversation of that name; make it if there is none."""
        found = self.connection.execute("select min(id) from conversations where session_name = ?", (name,)).fetchone()
        return found[0] or self._insert("conversations", session_name=name)

    def config(self, conversation: int | None, config: _Config) -> int:
        """Add a configuration, whatever is there already."""
        columns = "api_base", "api_key", "model", "context_max_tokens", "assistant_minimum_context_tokens", "stop_words"
        return self._insert(
            "awful_configs", **dict(zip(columns, config.row(), strict=True)), conversation_id=conversation
        )

    def message(self, conversation: int | None, role: str, content: str, **more: int) -> int:
        """Add a message; the tool itself always says that it is not dynamic."""
        return self._insert(
            "messages", role=role, content=content, **{"dynamic": 0} | more, conversation_id=conversation
        )

    def begin(self, name: str, config: _Config, template: _Template = PLAIN, documents: str | None = None) -> int:
        """Do what a run does before the question: note the configuration, and the preamble the first time."""
        key = self.conversation(name)
        # Compared is the first row only, so each run with another configuration adds one more of the same.
        first = self.connection.execute(
            "select api_base, api_key, model, context_max_tokens, assistant_minimum_context_tokens"
            " from awful_configs where conversation_id = ? order by id limit 1",
            (key,),
        ).fetchone()
        if first != config.row()[:5]:
            self.config(key, config)
        if not self.connection.execute("select 1 from messages where conversation_id = ?", (key,)).fetchone():
            self.message(key, "system", template.system)
            if documents is not None:
                self.message(key, "user", _DOCUMENTS + documents)
                self.message(key, "assistant", _READ)
            members = [("about", ABOUT), ("memories", [])]
            self.chance.shuffle(members)  # the order of a hash map
            self.message(key, "user", BRAIN + json.dumps(dict(members), separators=(",", ":")))
            self.message(key, "assistant", "Ok")
            for role, content in template.messages:
                self.message(key, role, content)
        return key

    def ask(self, key: int, prompt: str, answer: str | None) -> None:
        """Add a question and, unless the request failed, its answer."""
        self.message(key, "user", prompt)
        if answer is not None:
            self.message(key, "assistant", answer)

    def close(self) -> None:
        """Finish the file."""
        self.connection.commit()
        self.connection.close()

    def _insert(self, table: str, **columns: object) -> int:
        sql = f"insert into {table} ({', '.join(columns)}) values ({', '.join('?' * len(columns))})"
        key = self.connection.execute(sql, tuple(columns.values())).lastrowid
        assert key is not None
        return key


def make(folder: str) -> list[str]:
    """Write the files into the folder and return their names."""
    file = _File(os.path.join(folder, "aj.db"), "awful_aj/migration.sql")
    file.connection.execute(
        "insert into __diesel_schema_migrations (version, run_on) values ('20231017221421', '2026-08-31 07:41:05')"
    )
    # Each yields after a run, so that the conversations take turns, as they do in life.
    going = [*_talks(file), *(tell(file) for tell in _ODD)]
    while going:
        tale = file.chance.choice(going[:5])
        if next(tale, "end") == "end":
            going.remove(tale)
    file.close()
    second = _File(os.path.join(folder, "second.db"), "awful_aj/by_hand.sql")
    _second(second)
    second.close()
    return ["aj.db", "second.db"]


def _talks(file: _File) -> list[Iterator[None]]:
    def tell(name: str, exchanges: list[list[str]], configs: list[_Config]) -> Iterator[None]:
        for number, (prompt, answer) in enumerate(exchanges):
            file.ask(file.begin(name, configs[number % len(configs)]), prompt, answer)
            yield

    # Seven runs with two models; what is stored of them is A, B, B, B.
    configs = {"harbor": [SMALL, SMALL, LARGE, LARGE, LARGE, SMALL, SMALL]}
    configs["lantern: the release notes"] = [replace(LARGE, stop_words=())]
    return [tell(talk["name"], talk["exchanges"], configs.get(talk["name"], [SMALL])) for talk in tasks("talk")]


def _commits(file: _File) -> Iterator[None]:
    for diff, answer in (
        ("-retries = 1\n+retries = 3", "Try three times before giving up"),
        ("+def close(self):\n+    self.file.close()", "Close the file of the log"),
        ("-# TODO\n+raise NotImplementedError", "Say that export is missing instead of doing nothing"),
    ):
        file.ask(file.begin("commit messages", SMALL, _COMMITS), diff, answer)
        yield


def _documents(file: _File) -> Iterator[None]:
    text = "Berths 1 to 8 are for ships of up to 40 m.\n\nBerth 9 has no crane.\n\nNobody moors after 22:00."
    for number, (prompt, answer) in enumerate(
        (
            ("Where does a ship of 38 m with a heavy load go?", "To one of berths 1 to 8; berth 9 has no crane."),
            ("And at 23:00?", "Nowhere: the handbook says that nobody moors after 22:00."),
        )
    ):
        # Only the first run can leave the documents' preamble.
        key = file.begin("harbor handbook", LARGE, documents=None if number else text)
        file.ask(key, prompt, answer)
        yield


def _thinking(file: _File) -> Iterator[None]:
    config = replace(SMALL, model="ponder-14b", stop_words=("Yours, Ada", "\n\n", "END"))
    for prompt, answer in (
        ("How many berths are free?", "<think>\nEight in all, five taken.\n8 - 5 = 3\n</think>\n\nThree."),
        ("Are you sure?", "<think></think>Yes."),
        ("Write to the harbor master.", "<think>Short, polite, and then the answer was cut"),
    ):
        file.ask(file.begin("letters", config), prompt, answer)
        yield


def _failed(file: _File) -> Iterator[None]:
    key = file.begin("first try", replace(SMALL, model="not-there-yet"))
    file.ask(key, "Are you there?", None)
    yield
    key = file.begin("a bad line", LARGE)
    file.ask(key, "Summarise the minutes of Monday.", None)
    yield
    file.ask(key, "Summarise the minutes of Monday.", None)
    file.ask(key, "Summarise the minutes of Monday, please.", "Two decisions: the crane is ordered; the fee stays.")
    yield
    file.ask(key, "Who was there?", "")


def _two_windows(file: _File) -> Iterator[None]:
    key = file.begin("two windows", SMALL)
    file.ask(key, "In the left window: what is a fathom?", None)
    file.begin("two windows", LARGE)
    file.ask(key, "In the right window: what is a knot?", None)
    yield
    file.message(key, "assistant", "One nautical mile an hour.")
    file.message(key, "assistant", "Six feet, or 1.8288 metres.")


def _numbers(file: _File) -> Iterator[None]:
    config = replace(LARGE, model="endless-context", context_max_tokens=3_000_000_000)
    file.ask(file.begin("as much context as there is", config), "How long may I be?", "As long as you like.")
    yield


def _proxy(file: _File) -> Iterator[None]:
    config = replace(
        LARGE, api_base="http://ada:invented-password@proxy.example:8080/v1", api_key="sk-aj-invented-0a1b2c3d4e5f"
    )
    file.ask(file.begin("through the proxy", config), "Can you hear me?", "Loud and clear.")
    yield


def _nearly_nothing(file: _File) -> Iterator[None]:
    file.config(file.conversation("opened and left"), SMALL)  # stopped before the preamble
    file.conversation("only a name")
    yield


def _by_a_script(file: _File) -> Iterator[None]:
    key = file.conversation("written by a script")
    file.message(key, "narrator", "It was a dark and stormy night.", dynamic=1)
    file.message(key, "user", "Who speaks?", dynamic=1)
    file.message(key, "tool", '{"speaker":"nobody"}', dynamic=1)
    file.message(key, "Assistant", "Nobody does.", dynamic=1)
    yield
    file.config(None, replace(SMALL, api_key="sk-aj-invented-of-no-conversation"))
    file.message(None, "system", "You belong to no conversation.")
    file.message(None, "user", "Where am I?", dynamic=1)
    file.message(None, "assistant", "Nowhere yet.", dynamic=1)


def _thrown_away(file: _File) -> Iterator[None]:
    key = file.begin("thrown away", LARGE)
    file.ask(key, "Forget this.", "Forgotten.")
    yield
    file.connection.execute("delete from conversations where id = ?", (key,))


def _odd_text(file: _File) -> Iterator[None]:
    key = file.begin('Grüße, 世界 & <b>"quotes"</b>', SMALL)
    file.ask(key, "Say good morning: שלום, 👨‍👩‍👧‍👦", "בוקר טוב · おはようございます · <script>alert('hello')</script>")
    yield
    log = "\n".join(f"12:{n // 60:02d}:{n % 60:02d} lamp {n % 7} on" for n in range(400))
    file.ask(key, f"Which lamp is never on?\n\n{log}", "Each of them is on at some time.\r\nLamp 0 is the first.")


def _second(file: _File) -> None:
    """Fill a file that was made by hand from the manual: a name may stand there twice."""
    for day, words in enumerate((("bread", "salt"), ("tea", "candles"))):
        key = file._insert("conversations", session_name="groceries")
        file.config(key, SMALL if day == 0 else LARGE)
        file.message(key, "system", "You keep lists.")
        for word in words:
            file.ask(key, f"Put {word} on the list.", f"The list now ends with {word}.")
    key = file.begin("lantern", SMALL)
    for prompt, answer in (("What is a mantle?", "The part of a lamp that glows."), ("Which gas?", None)):
        file.ask(key, prompt, answer)


_ODD = (
    _commits,
    _documents,
    _thinking,
    _failed,
    _two_windows,
    _numbers,
    _proxy,
    _nearly_nothing,
    _by_a_script,
    _thrown_away,
    _odd_text,
)  # fmt: skip
