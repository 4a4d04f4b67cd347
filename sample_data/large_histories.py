"""Write large files in the formats of the other tools, quickly: generated rows, in one transaction."""

from __future__ import annotations

import json
import random
import sqlite3
from typing import TYPE_CHECKING, Any

from appam_agent import column_time, dumps, json_time
from atuin_terminal import close_file, create_file
from invented_appam import GEMINI, GPT, LOCAL, SONNET
from invented_awful_aj import ABOUT, BRAIN, LARGE, PLAIN, SMALL
from vocabulary import FIRST_DAY, HOME, SEED, create_tables, microseconds, text_pool, uuid4, uuid7

if TYPE_CHECKING:
    from collections.abc import Iterator


def write_awful_aj(path: str, message_count: int) -> None:
    """Write a file of so many messages, about fifty to a conversation."""
    connection = sqlite3.connect(path, isolation_level=None)
    chance = random.Random(SEED)
    texts = text_pool(chance)
    create_tables(connection, "awful_aj/migration.sql")
    connection.execute("pragma synchronous = off")
    connection.execute("begin")
    per = 51  # the preamble and 24 exchanges
    count = -(-message_count // per)
    connection.executemany(
        "insert into conversations (id, session_name) values (?, ?)", ((n, f"talk {n}") for n in range(1, count + 1))
    )
    connection.executemany(
        "insert into awful_configs values (null, ?, ?, ?, ?, ?, ?, ?)",
        ((*(SMALL, LARGE)[n % 2].row(), n) for n in range(1, count + 1)),
    )
    brain = BRAIN + json.dumps({"memories": [], "about": ABOUT}, separators=(",", ":"))
    preamble = (("system", PLAIN.system), ("user", brain), ("assistant", "Ok"))

    def messages() -> Iterator[tuple[str, str, int]]:
        for number in range(message_count):
            key, at = number // per + 1, number % per
            role, text = preamble[at] if at < 3 else (("assistant", "user")[at % 2], texts[chance.getrandbits(12)])
            yield role, text, key

    connection.executemany(
        "insert into messages (role, content, dynamic, conversation_id) values (?, ?, 0, ?)", messages()
    )
    connection.execute("commit")
    connection.close()


def write_atuin_ai(path: str, event_count: int) -> None:
    """Write a file of so many events, fifty to a session."""
    chance = random.Random(SEED)
    connection = create_file(path)
    rows = _atuin_sessions(chance, event_count, text_pool(chance))
    for session, events in rows:
        connection.execute("insert into sessions values (?, ?, ?, ?, ?, ?, ?, null)", session)
        connection.executemany("insert into session_events values (?, ?, ?, ?, ?, ?, ?)", events)
    close_file(connection)


def _atuin_sessions(
    chance: random.Random, event_count: int, texts: list[str]
) -> Iterator[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]:
    now_ms = microseconds(FIRST_DAY) // 1000
    folder = f"{HOME}/harbor"
    # The words need no escapes, so the JSON can be put together without an encoder.
    kinds = (
        ("user_message", '{"content":"%s"}'),
        ("text", '{"content":"%s"}'),
        ("tool_call", '{"id":"toolu_%d","name":"read_file","input":{"file_path":"%s"}}'),
        (
            "tool_result",
            '{"tool_use_id":"toolu_%d","content":"%s","is_error":false,"remote":false,"content_length":null}',
        ),
        ("text", '{"content":"%s"}'),
    )
    for first in range(0, event_count, 50):
        session_id, invocation_id, parent = uuid7(chance, now_ms), uuid7(chance, now_ms), None
        events: list[tuple[Any, ...]] = []
        began = now_ms // 1000
        for number in range(first, min(first + 50, event_count)):
            event_type, shape = kinds[number % 5]
            now_ms += 1 + chance.getrandbits(14)
            text = "/home/ada/projects/harbor/src" if event_type == "tool_call" else texts[chance.getrandbits(12)]
            data = shape % ((number // 5, text) if "%d" in shape else text)
            event_id = uuid7(chance, now_ms)
            events.append((event_id, session_id, parent, invocation_id, event_type, data, now_ms // 1000))
            parent = event_id
        yield (session_id, parent, uuid4(chance), folder, folder, began, now_ms // 1000), events


def write_appam(path: str, message_count: int) -> None:
    """Write a file of so many messages, fifty to a session."""
    connection = sqlite3.connect(path)
    create_tables(connection, "appam/session_history.sql")
    connection.execute("pragma synchronous = off")
    chance = random.Random(SEED)
    texts = [dumps(text) for text in text_pool(chance)]
    marks = ", ".join("?" * 11)
    connection.executemany(f"insert into session_history values ({marks})", _appam_rows(chance, message_count, texts))
    connection.commit()
    connection.close()


def _appam_rows(chance: random.Random, message_count: int, texts: list[str]) -> Iterator[tuple[Any, ...]]:
    now_ns = microseconds(FIRST_DAY) * 1000
    for first in range(0, message_count, 50):
        began, messages = now_ns, []
        count = min(50, message_count - first)
        for number in range(count):
            now_ns += chance.getrandbits(33)
            text, time = texts[chance.getrandbits(12)], json_time(now_ns)
            call_id = f"call_{first + number - number % 4:012x}"
            if number % 4 == 0:
                message = f'{{"role":"user","content":{text},"timestamp":"{time}"}}'
            elif number % 4 == 2:
                message = (
                    f'{{"role":"tool","name":"read_file","tool_call_id":"{call_id}","content":{text},"tool_metadata":'
                    f'{{"success":true,"duration_ms":3.75,"tool_name":"read_file","arguments":"{{}}"}},"timestamp":"{time}"}}'
                )
            else:
                function = '"type":"function","function":{"name":"read_file","arguments":"{}"}'
                said = f'"tool_calls":[{{"id":"{call_id}",{function}}}]' if number % 4 == 1 else f'"content":{text}'
                message_id = f"msg_{chance.getrandbits(128):032x}"
                about = f'"timestamp":"{time}","id":"{message_id}","status":"completed"'
                message = f'{{"role":"assistant",{said},{about}}}'
            messages.append(message)
        usage = {
            f"total_{part}_tokens": chance.getrandbits(15)
            for part in ("input", "output", "cache_creation", "cache_read", "reasoning")
        }
        usage |= {"total_compaction_input_tokens": 0, "total_compaction_output_tokens": 0}
        cost = {"total_cost_usd": chance.getrandbits(12) / 1e4, "request_count": count // 2}
        ended, model = column_time(now_ns), (SONNET, GPT, GEMINI, LOCAL)[first // 50 % 4].name
        text = f"[{','.join(messages)}]"
        head = (uuid4(chance), ("coder", "ops")[first // 50 % 2], model, text, None, column_time(began))
        yield (*head, ended, ended, count // 4, (count + 2) // 4, dumps(usage | cost))
