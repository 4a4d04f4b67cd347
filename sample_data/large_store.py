"""Write a large store quickly: the rows that the recorder would write, in one transaction."""

from __future__ import annotations

import random
import sqlite3
from typing import TYPE_CHECKING, Any

from sessionlab import ModelConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SEED = 20_261_121
_START_US = 1_767_225_600_000_000  # 2026-01-01
_CHUNK = 50_000

_CONFIGS = (
    ModelConfig(provider_name="anthropic", request_model="claude-sonnet-5", temperature=0.2, max_tokens=8192),
    ModelConfig(provider_name="anthropic", request_model="claude-haiku-4-5", temperature=0.0, max_tokens=4096),
    ModelConfig(provider_name="openai", request_model="gpt-5.5", reasoning_effort="medium"),
    ModelConfig(provider_name="openai", request_model="gpt-5.4-mini", reasoning_effort="low"),
    ModelConfig(provider_name="gcp.gemini", request_model="gemini-3.5-flash", temperature=1.0),
    ModelConfig(provider_name="ollama", request_model="workshop-coder-12b", api_base="http://localhost:11434/v1"),
)
_TOOLS = ("bash", "read_file", "edit", "grep", "web_search")
_WORDS = (
    "the build fails because a fixture is missing and the test cannot find its folder so we move it one level up "
    "then run everything again with a clean cache which shows that the parser reads an empty line as a record "
    "return value error line module import path index session message token branch commit naïve café größe 数据 "
)
_COLUMNS = {
    "session": 13,
    "invocation": 4,
    "configuration": 5,
    "message": 13,
    "message_text": 3,
    "turn": 20,
    "tool_call": 8,
    "tool_call_text": 2,
    "tool_result": 7,
}


def write_large(path: str, message_count: int, sizes: Iterable[int] = ()) -> None:
    """Fill an empty store with `message_count` messages, in sessions of these sizes and then of any."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # Nobody else has the file yet, and a store that was cut off is thrown away.
        connection.execute("pragma journal_mode = off")
        connection.execute("pragma synchronous = off")
        connection.execute("pragma cache_size = -262144")
        connection.execute("begin exclusive")
        inserts = {t: f"insert into {t} values ({', '.join('?' * n)})" for t, n in _COLUMNS.items()}
        writer = _Writer(message_count, sizes)
        _write_configs(connection)
        for rows in writer.chunks():
            for table, sql in inserts.items():
                connection.executemany(sql, rows[table])
        connection.execute("update counter set last_key = ?", (writer.last_key,))
        connection.execute("commit")
        connection.execute("pragma journal_mode = wal")
    finally:
        connection.close()


def _write_configs(connection: sqlite3.Connection) -> None:
    for key, config in enumerate(_CONFIGS, start=1):
        connection.execute(
            "insert into model_config (model_config_key, model_config_id, provider_name, api_base, request_model,"
            " temperature, max_tokens, reasoning_effort) values (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                config.model_config_id,
                config.provider_name,
                config.api_base,
                config.request_model,
                config.temperature,
                config.max_tokens,
                config.reasoning_effort,
            ),
        )
        connection.execute("insert into model_config_text values (?, null)", (key,))


class _Writer:
    """Makes the rows of all tables, session after session."""

    def __init__(self, message_count: int, sizes: Iterable[int]) -> None:
        self.last_key = len(_CONFIGS)
        self._left = message_count
        self._sizes = iter(sizes)
        self._random = random.Random(SEED)
        self._now = _START_US
        pool = " ".join(self._random.choices(_WORDS.split(), k=200_000))
        # About 400 bytes each, as many lengths as there are in life.
        self._texts = [
            pool[at : at + self._random.choice((120, 200, 300, 400, 500, 850))]
            for at in self._random.choices(range(len(pool) - 1000), k=20_000)
        ]
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _COLUMNS}

    def chunks(self) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
        """Yield the rows of each table, about `_CHUNK` messages at a time, until all are made."""
        number = 0
        while self._left > 0:
            size = next(self._sizes, None) or int(100 * 200 ** self._random.random())  # from 100 to 20,000
            size = min(self._left, size)
            yield from self._session(number, size)
            number += 1
        yield self._take()

    def _take(self) -> dict[str, list[tuple[Any, ...]]]:
        rows, self._rows = self._rows, {table: [] for table in _COLUMNS}
        return rows

    def _session(self, number: int, size: int) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
        chance, rows = self._random, self._rows
        key = self.last_key + 1
        run = key + 1
        config = number % len(_CONFIGS)
        directory = f"/home/ada/projects/{('harbor', 'tidepool', 'lantern')[number % 3]}"
        agent = ("coder", "reviewer", "researcher", "ops")[number % 4]
        session_id = f"{chance.getrandbits(128):032x}"
        began = self._now
        rows["invocation"].append((run, key, f"{chance.getrandbits(128):032x}", began))
        # The recorder takes three keys to begin a session and two for its configuration.
        rows["configuration"].append((key + 4, key, run, config + 1, began))
        next_key = key + 5
        message_index = turn_index = call_index = 0
        exchange = -1
        parent: int | None = None
        prompt: int | None = None
        rounds = -1  # tool rounds left in this exchange; -1: a prompt comes next
        row: tuple[Any, ...]
        while message_index < size:
            if len(rows["message"]) >= _CHUNK:
                yield self._take()
                rows = self._rows
            self._now += 1_000_000 + chance.getrandbits(22)
            now, text = self._now, self._texts[chance.getrandbits(14)]
            if rounds < 0 or prompt is None:
                exchange += 1
                prompt = next_key
                row = (
                    next_key,
                    key,
                    message_index,
                    None,
                    parent,
                    prompt,
                    exchange,
                    None,
                    run,
                    "user",
                    "message",
                    0,
                    now,
                )
                rows["message"].append(row)
                rows["message_text"].append((next_key, text, None))
                parent, next_key, message_index = next_key, next_key + 1, message_index + 1
                rounds = (0, 1, 1, 2)[chance.getrandbits(2)]
                continue
            turn = next_key
            calls = rounds > 0
            row = (turn, key, message_index, None, parent, prompt, exchange, turn, run, "assistant", "message", 0, now)
            rows["message"].append(row)
            rows["message_text"].append((turn, text, None))
            rows["turn"].append(self._turn(turn, key, turn_index, config, run, prompt, exchange, now, calls))
            parent, next_key, message_index, turn_index = turn, next_key + 1, message_index + 1, turn_index + 1
            rounds -= 1
            if not calls:
                continue
            call, next_key = next_key, next_key + 1
            tool = _TOOLS[chance.getrandbits(8) % len(_TOOLS)]
            rows["tool_call"].append((call, key, call_index, f"call_{call}", turn, run, tool, now))
            rows["tool_call_text"].append((call, f'{{"path":"src/part_{call % 97}.py"}}'))
            call_index += 1
            if message_index < size:
                failed = chance.getrandbits(4) == 0
                row = (
                    next_key,
                    key,
                    message_index,
                    None,
                    parent,
                    prompt,
                    exchange,
                    turn,
                    run,
                    "tool",
                    "message",
                    0,
                    now,
                )
                rows["message"].append(row)
                rows["message_text"].append((next_key, self._texts[chance.getrandbits(14)], None))
                state = "error" if failed else "ok"
                rows["tool_result"].append((next_key, call, key, state, failed, int(failed), chance.getrandbits(21)))
                parent, next_key, message_index = next_key, next_key + 1, message_index + 1
        about = (session_id, f"session {number}", agent, directory, directory, None, None)
        rows["session"].append((key, next_key, *about, began, self._now, None, "{}"))
        self.last_key = next_key
        self._left -= size

    def _turn(
        self, turn: int, key: int, index: int, config: int, run: int, prompt: int, exchange: int, now: int, calls: bool
    ) -> tuple[Any, ...]:
        chance = self._random
        duration = 500_000 + chance.getrandbits(23)
        read, fresh, output = chance.getrandbits(15), 50 + chance.getrandbits(10), 20 + chance.getrandbits(10)
        provider = _CONFIGS[config].provider_name
        if provider == "anthropic":
            created: int | None = fresh // 2
            reasoning = None
        else:
            created, reasoning = None, output // 3
        finish = ("tool_call", "tool_use") if calls else ("stop", "end_turn")
        facts = (turn, key, index, config + 1, None, run, prompt, exchange, now - duration, duration)
        counts = (read + fresh, output, None if provider == "ollama" else read, created, reasoning, None)
        return (*facts, _CONFIGS[config].request_model, *finish, None, *counts)
