"""Ways to write down a prompt and its answer: ours, llm, the OpenAI Agents SDK, and all as one JSON value."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sessionlab
from benchmarks.peers import INSTALL, is_installed

PROMPT = "Why does the build fail? " * 4
ANSWER = "A fixture is missing, so the test cannot find its folder. " * 6
LONGEST = {"llm, log_to_db": 1_000}
"""How many messages a way is asked to hold; making a longer session by it takes minutes."""


@dataclass(frozen=True, slots=True)
class Exchanges:
    """A session that is written down.

    Attributes:
        one: Writes down one more prompt with its answer and returns how many seconds only that took.
        many: Makes the session longer by so many, as quickly as it can be done.
    """

    one: Callable[[], float]
    many: Callable[[int], None]


@contextlib.contextmanager
def ours(folder: str) -> Iterator[Exchanges]:
    """Record to a store, each of the two events committed."""
    with sessionlab.Recorder(os.path.join(folder, "ours.db")) as recorder:
        session = recorder.session()

        def exchange() -> None:
            session.user(PROMPT)
            session.assistant(ANSWER, usage=sessionlab.Usage(input_tokens=812, output_tokens=95))

        def many(count: int) -> None:
            with session.batch():
                for _ in range(count):
                    exchange()

        yield Exchanges(lambda: _timed(exchange), many)


@contextlib.contextmanager
def as_json(folder: str) -> Iterator[Exchanges]:
    """Rewrite the whole conversation as one JSON value, as appam does it; what it holds in memory it need not read."""
    with contextlib.closing(sqlite3.connect(os.path.join(folder, "json.db"), isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        connection.execute(
            "create table session_history (id text primary key, agent_name text not null, model text not null,"
            " messages text not null, metadata text, started_at text not null, updated_at text not null,"
            " ended_at text, turn_count integer default 0, tool_call_count integer default 0)"
        )
        session_id, now = str(uuid.uuid4()), _now()
        values = (session_id, "coder", "gpt-5.5", now, now)
        connection.execute(
            "insert into session_history (id, agent_name, model, messages, started_at, updated_at)"
            " values (?, ?, ?, '[]', ?, ?)",
            values,
        )
        messages: list[dict[str, str]] = []

        def many(count: int) -> None:
            for _ in range(count):
                for role, content in (("user", PROMPT), ("assistant", ANSWER)):
                    messages.append({"role": role, "content": content, "timestamp": _now()})

        def exchange() -> None:
            many(1)
            connection.execute(
                "update session_history set messages = ?, updated_at = ?, turn_count = ? where id = ?",
                (json.dumps(messages), _now(), len(messages) // 2, session_id),
            )

        yield Exchanges(lambda: _timed(exchange), many)


@contextlib.contextmanager
def by_agents(folder: str) -> Iterator[Exchanges]:
    """Add the two items to the SQLite session of the OpenAI Agents SDK, which writes in a thread of its own."""
    from agents import SQLiteSession

    session = SQLiteSession("speed", os.path.join(folder, "agents.db"))
    items: list[Any] = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": ANSWER}]
    with asyncio.Runner() as runner:

        async def added(count: int) -> float:
            start = time.perf_counter()
            await session.add_items(items * count)
            return time.perf_counter() - start

        def many(count: int) -> None:
            runner.run(added(count))

        yield Exchanges(lambda: runner.run(added(1)), many)
    session.close()


@contextlib.contextmanager
def by_llm(folder: str) -> Iterator[Exchanges]:
    """Let llm log a response of a model that follows a script to its logs.db; the model's part is not counted."""
    import llm
    import sqlite_utils

    class Scripted(llm.Model):  # type: ignore[misc]  # its type is not known here
        model_id = "scripted"

        def execute(self, *_: Any, response: Any, **__: Any) -> Iterator[str]:
            response.set_usage(input=812, output=95)
            yield ANSWER

    database = sqlite_utils.Database(os.path.join(folder, "logs.db"))
    conversation = llm.Conversation(model=Scripted())

    def exchange() -> float:
        response = conversation.prompt(PROMPT)
        response.text()
        return _timed(lambda: response.log_to_db(database))

    def many(count: int) -> None:
        for _ in range(count):
            exchange()

    many(1)  # makes the tables
    yield Exchanges(exchange, many)
    database.close()


RECORDERS: dict[str, Callable[[str], contextlib.AbstractContextManager[Exchanges]]] = {
    "llm, log_to_db": by_llm,
    "OpenAI Agents SDK, SQLiteSession": by_agents,
    "the conversation as one JSON value": as_json,
}
_NEEDS = {"llm, log_to_db": "llm", "OpenAI Agents SDK, SQLiteSession": "agents"}


def missing(name: str) -> str:
    """Return why a way cannot be measured; empty where it can."""
    module = _NEEDS.get(name)
    return f"{module} {INSTALL}" if module is not None and not is_installed(module) else ""


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()
