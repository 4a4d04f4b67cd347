"""An invented history of goose: a database with a ledger, sessions of older versions in it, and files of before it."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vocabulary import (
    FIRST_DAY,
    HOME,
    PROJECTS,
    SEED,
    create_tables,
    microseconds,
    moment,
    tasks,
    text_pool,
    told,
    uuid4,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
SONNET = ("anthropic", "claude-sonnet-5")
GPT = ("openai", "gpt-5.5")
GEMINI = ("google", "gemini-3.1-pro-preview")
LOCAL = ("ollama", "workshop-coder-12b")
_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "turns")
_CONTINUE = (
    "Your context was compacted. The previous message contains a summary of the conversation so far.\n"
    "Do not mention that you read a summary or that conversation summarization occurred.\n"
    "Continue calling tools as necessary to complete the task."
)
_DECLINED = (
    "The user has declined to run this tool. DO NOT attempt to call this tool again. If there are no alternative "
    "methods to proceed, clearly explain the situation and STOP."
)


class Use:
    """A call that the model asks for, and what it gave."""

    def __init__(self, tool: str, arguments: Json, result: str, **more: Any) -> None:
        self.tool = tool
        self.arguments = arguments
        self.result = result
        self.more = more  # exit_code, is_error, failure, or value as it is


class Session:
    """A session that is being told, as the tool would write it down.

    Attributes:
        id: Its id: the day, and a number on that day.
        version: That of the tables. 16 notes with answers their model and usage, 15 has a ledger, 9 has neither.
        messages: Its messages.
        own: What a reader should count for it.
    """

    def __init__(
        self,
        chance: random.Random,
        start: datetime,
        number: int,
        *,
        model: tuple[str, str],
        name: str,
        version: int = 16,
        parent: Session | None = None,
    ) -> None:
        self.chance = chance
        self.now = microseconds(start) // 1_000_000
        self.created = self.now
        self.id = f"{start:%Y%m%d}_{number}"
        self.model = model
        self.name = name
        self.version = version
        self.parent_id = None if parent is None else parent.id
        self.directory = os.path.join(HOME, chance.choice(PROJECTS))
        self.messages: list[Json] = []
        self.ledger: list[Json] = []
        self.own = dict.fromkeys(_COUNTS, 0)
        self.cost: float | None = None
        self.columns: Json = {}
        self.calls = 0

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.now += round(seconds)

    def add(self, role: str, *content: Json, message_id: str | None = None, **metadata: Any) -> Json:
        """Add a message."""
        message: Json = {"id": message_id or f"msg_{uuid4(self.chance)}", "role": role, "created": self.now}
        message["content"] = list(content)
        message["metadata"] = {"userVisible": True, "agentVisible": True, **metadata}
        self.messages.append(message)
        return message

    def prompt(self, text: str, *content: Json) -> None:
        """Say something as the user; the newest version adds the time and the folder."""
        self.wait(self.chance.uniform(5, 200))
        self.add("user", text_block(text), *content)
        if self.version >= 16:
            context = f"<turn-context>\n<working-directory>{self.directory}</working-directory>\n</turn-context>"
            self.add("user", text_block(context), userVisible=False, turnContext=True)

    def respond(self, text: str | None, *uses: Use, thought: str | None = None, used: Json | None = None) -> None:
        """Answer: a message with the text, and one for each call, each before its result."""
        self.wait(self.chance.uniform(1, 9))
        used = used or self.chance_usage()
        self.note(used)
        provider, model = self.model
        metadata: Json = {"inference": {"provider": provider, "requestedModel": model}} if self.version >= 16 else {}
        usage: Json = {"usage": {**_camel(used), "elapsedMs": 2140}} if self.version >= 16 else {}
        thoughts = [{"type": "thinking", "thinking": thought, "signature": ""}] if thought is not None else []
        response_id: str | None = f"gen-{self.chance.getrandbits(40):010x}"
        if text is not None or not uses:
            said = [text_block(text)] if text is not None else []
            self.add("assistant", *thoughts, *said, message_id=response_id, **metadata, **usage)
            thoughts, usage, response_id = ([] if self.version < 16 else thoughts), {}, None
        for index, use in enumerate(uses):
            self.calls += 1
            call_id = f"call_{self.id}_{self.calls}"
            request: Json = {"type": "toolRequest", "id": call_id, "toolCall": _call_of(use)}
            if self.version >= 16:
                request["_meta"] = {"goose.toolCall.providerIndex": index, "goose_extension": "developer"}
            more = {**metadata, **usage}
            self.add("assistant", *thoughts, request, message_id=response_id, **more)
            usage, response_id = {}, None
            self.wait(self.chance.uniform(0, 4))
            self.add("user", {"type": "toolResponse", "id": call_id, "toolResult": _result_of(use, self.version)})
        self.own["turns"] += 1

    def chance_usage(self) -> Json:
        """Return what a call used, by chance; the input holds what came from the cache."""
        read = self.chance.randrange(0, 30) * 256
        write = self.chance.randrange(0, 4) * 128 if self.model is SONNET else None
        plain = self.chance.randrange(40, 2500)
        return usage(
            plain + read + (write or 0), self.chance.randrange(8, 600), read, write, cost=round(plain / 1e6, 6)
        )

    def note(self, used: Json, *, is_compaction: bool = False) -> None:
        """Count what was used."""
        self.ledger.append({**used, "created": self.now, "model": self.model[1], "is_compaction": is_compaction})
        self.own["input_tokens"] += used["input_tokens"]
        self.own["output_tokens"] += used["output_tokens"]
        self.own["cache_read_input_tokens"] += used["cache_read_tokens"] or 0
        self.own["cache_creation_input_tokens"] += used["cache_write_tokens"] or 0
        if used["cost"] is not None:
            self.cost = round((self.cost or 0) + used["cost"], 9)

    def compact(self, summary: str) -> None:
        """Sum up what was said, as the user wishes: what the model has seen is no more visible to it."""
        self.wait(20)
        for message in self.messages:
            message["metadata"]["agentVisible"] = False
        self.note(usage(21_400, 310, 20_480, None, cost=0.0042), is_compaction=True)
        self.add("user", text_block(summary), message_id=f"gen-{self.chance.getrandbits(40):010x}", userVisible=False)
        self.add("assistant", text_block(_CONTINUE), userVisible=False)
        self.add("user", text_block("/compact"), agentVisible=False)
        self.add("assistant", text_block("Compaction complete"), agentVisible=False)
        self.own["turns"] += 1


def text_block(text: str) -> Json:
    """Return a block of text."""
    return {"type": "text", "text": text}


def usage(input_tokens: int, output_tokens: int, read: int | None, write: int | None, *, cost: float | None) -> Json:
    """Return what a call used."""
    used: Json = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    return {**used, "cache_read_tokens": read, "cache_write_tokens": write, "cost": cost}


def _camel(used: Json) -> Json:
    names = {"input_tokens": "inputTokens", "output_tokens": "outputTokens", "cache_read_tokens": "cacheReadTokens"}
    names |= {"cache_write_tokens": "cacheWriteTokens", "cost": "cost"}
    told = {camel: used[name] for name, camel in names.items() if used[name] is not None}
    return {**told, "totalTokens": used["input_tokens"] + used["output_tokens"], "costSource": "estimated"}


def _call_of(use: Use) -> Json:
    if "unparseable" in use.more:
        return {"status": "error", "error": use.more["unparseable"]}
    return {"status": "success", "value": {"name": use.tool, "arguments": use.arguments}}


def _result_of(use: Use, version: int) -> Json:
    if "failure" in use.more:
        return {"status": "error", "error": use.more["failure"]}
    content: list[Json] = [{**text_block(use.result), "annotations": {"priority": 0.0}}]
    if version < 9:
        # The same twice: for the model, and for the user.
        shown = [{**text_block(use.result), "annotations": {"audience": [who]}} for who in ("assistant", "user")]
        return {"status": "success", "value": shown}
    value: Json = {"content": content, "isError": use.more.get("is_error", False)}
    if "exit_code" in use.more:
        value["structuredContent"] = {"stdout": use.result, "stderr": "", "exit_code": use.more["exit_code"]}
    return {"status": "success", "value": value}


class _History:
    """The sessions that are being made, and which of them lie in files of the older form."""

    def __init__(self) -> None:
        self.chance = random.Random(SEED)
        self.database: list[Session] = []
        self.files: list[Session] = []
        self.numbers: dict[str, int] = {}

    def session(self, name: str, model: tuple[str, str], *, start: datetime | None = None, **more: Any) -> Session:
        """Return a new session of the database."""
        start = start or moment(self.chance)
        day = f"{start:%Y%m%d}"
        self.numbers[day] = self.numbers.get(day, 0) + 1
        session = Session(self.chance, start, self.numbers[day], name=name, model=model, **more)
        self.database.append(session)
        return session


def make(folder: str) -> list[str]:
    """Write the files into the folder and return their names."""
    made = _made()
    names = [os.path.join("sessions", "sessions.db")]
    os.makedirs(os.path.join(folder, "sessions"))
    connection = sqlite3.connect(os.path.join(folder, names[0]))
    connection.execute("pragma journal_mode = wal")  # as the tool has it; the last close leaves one file
    create_tables(connection, "goose/sessions.sql")
    connection.execute(
        "insert into schema_version values (16, ?)", (_column_time(microseconds(FIRST_DAY) // 1_000_000),)
    )
    for session in made.database:
        write_session(connection, session)
    connection.commit()
    connection.close()
    for session in made.files:
        names.append(os.path.join("sessions", f"{session.id}.jsonl"))
        with open(os.path.join(folder, names[-1]), "w", encoding="utf-8", newline="\n") as file:
            file.write(file_text(session))
    return names


def expected() -> dict[str, dict[str, int]]:
    """Return what a reader should count for each session: its own turns, and what they used."""
    made = _made()
    return {session.id: session.own for session in (*made.database, *made.files)}


def write_goose(path: str, message_count: int) -> None:
    """Write a database of about `message_count` messages."""
    chance = random.Random(SEED)
    pool = text_pool(chance)
    connection = sqlite3.connect(path)
    create_tables(connection, "goose/sessions.sql")
    for number, start in enumerate(range(0, message_count, 2000), 1):
        session = Session(chance, FIRST_DAY, number, name=pool[start % len(pool)][:40], model=SONNET)
        for at in range(start, min(start + 2000, message_count), 5):
            session.prompt(pool[at % len(pool)])
            session.respond(None, Use("shell", {"command": "make"}, pool[(at + 1) % len(pool)], exit_code=0))
            session.respond(pool[(at + 2) % len(pool)])
        write_session(connection, session)
    connection.commit()
    connection.close()


def write_session(connection: sqlite3.Connection, session: Session) -> None:
    """Write a session to the tables."""
    provider, model = session.model
    last = session.ledger[-1] if session.ledger else usage(0, 0, None, None, cost=None)
    config = {"model_name": model, "temperature": None, "max_tokens": 16384, "toolshim": False}
    row: Json = {
        "id": session.id,
        "name": session.name,
        "session_type": "user" if session.parent_id is None else "sub_agent",
        "working_dir": session.directory,
        "created_at": _column_time(session.created),
        "updated_at": _column_time(session.now),
        # Those of the last request alone.
        "total_tokens": last["input_tokens"] + last["output_tokens"],
        "input_tokens": last["input_tokens"],
        "output_tokens": last["output_tokens"],
        "accumulated_total_tokens": session.own["input_tokens"] + session.own["output_tokens"],
        "accumulated_input_tokens": session.own["input_tokens"],
        "accumulated_output_tokens": session.own["output_tokens"],
        "accumulated_cache_read_tokens": session.own["cache_read_input_tokens"],
        "accumulated_cache_write_tokens": session.own["cache_creation_input_tokens"],
        "accumulated_cost": session.cost,
        "provider_name": provider,
        "model_config_json": _dumps(config),
        "parent_session_id": session.parent_id,
        **session.columns,
    }
    connection.execute(f"insert into sessions ({', '.join(row)}) values ({_marks(row)})", list(row.values()))
    for message in session.messages:
        metadata = _dumps(message["metadata"]) if session.version >= 9 else None
        said = message["id"], session.id, message["role"], _dumps(message["content"]), message["created"], metadata
        connection.execute(
            "insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json,"
            " timestamp) values (?, ?, ?, ?, ?, ?, ?)",
            (*said, _column_time(message["created"])),
        )
    for call in session.ledger if session.version >= 15 else ():
        columns = {
            name: call[name] for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
        }
        columns |= {"session_id": session.id, "created_timestamp": call["created"], "model": call["model"]}
        columns |= {"cost": call["cost"], "cost_source": call.get("source", "estimated")}
        columns["is_compaction"] = int(call["is_compaction"])
        names = ", ".join(columns)
        connection.execute(f"insert into usage_ledger ({names}) values ({_marks(columns)})", list(columns.values()))


def file_text(session: Session) -> str:
    """Return a session as lines of JSON: first what is known of it, then its messages, which had no ids."""
    last = session.ledger[-1]
    total = session.own["input_tokens"] + session.own["output_tokens"]
    first = {
        "working_dir": session.directory,
        "description": session.name,
        "schedule_id": None,
        "message_count": len(session.messages),
        "total_tokens": last["input_tokens"] + last["output_tokens"],
        "input_tokens": last["input_tokens"],
        "output_tokens": last["output_tokens"],
        "accumulated_total_tokens": total,
        "accumulated_input_tokens": session.own["input_tokens"],
        "accumulated_output_tokens": session.own["output_tokens"],
    }
    lines = [first, *({name: m[name] for name in ("role", "created", "content")} for m in session.messages)]
    return "".join(_dumps(line) + "\n" for line in lines)


def _marks(row: Json) -> str:
    return ", ".join("?" * len(row))


def _column_time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _made() -> _History:
    made = _History()
    _ordinary(made)
    for tell in _ODD:
        tell(made)
    return made


def _ordinary(made: _History) -> None:
    """Let the agent do the known tasks; the last two with older versions."""
    chosen = (("coder", 0, SONNET, 16), ("researcher", 0, GPT, 16), ("ops", 0, GEMINI, 15), ("coder", 4, LOCAL, 9))
    for kind, place, model, version in chosen:
        task = tasks(kind)[place]
        project = PROJECTS[version % 3]
        session = made.session(told(task["name"], task, project), model, version=version)
        for exchange in told(task["exchanges"], task, project):
            session.prompt(exchange["prompt"])
            for at, step in enumerate(exchange.get("steps", ())):
                session.respond("Let me look." if at == 0 else None, _use(step), thought=exchange.get("reasoning"))
            session.respond(exchange["answer"])


def _use(step: Json) -> Use:
    if step["tool"] == "bash":
        code = step.get("exit_code", 0)
        arguments = {"command": step["arguments"]["cmd"]}
        return Use("shell", arguments, step["result"], exit_code=code, is_error=code != 0)
    return Use(step["tool"], step["arguments"], step["result"], is_error=step.get("status") == "error")


def _helped(made: _History) -> None:
    """Ask for several things at once, and for help, which is a session of its own; then copy the session and go on."""
    session = made.session("Count the tests", GPT, start=FIRST_DAY)
    session.prompt("How many tests are there?")
    listed = Use("shell", {"command": "ls tests"}, "test_a.py\ntest_b.py", exit_code=0)
    counted = Use("shell", {"command": "ls tests | wc -l"}, "2", exit_code=0)
    session.respond("I look in two ways.", listed, counted, thought="Twice is better.")
    child = made.session("Delegated task", GPT, start=FIRST_DAY, parent=session)
    child.now = child.created = session.now
    child.prompt("Count the fixtures.")
    child.respond("One.")
    session.respond(None, Use("delegate", {"instructions": "Count the fixtures."}, "One."))
    session.respond("Two files of tests, one fixture.")
    copy = made.session("Copy of Count the tests", GPT, start=FIRST_DAY)
    copy.now = copy.created = session.now + 600
    copy.messages = [dict(message) for message in session.messages]
    copy.prompt("And how many lines?")
    copy.respond("Ninety.")


def _compacted(made: _History) -> None:
    """Sum up a session: by the user's wish, and one whose answers are only in the sum of the ledger."""
    session = made.session("Move to the new server", SONNET)
    session.prompt("Plan the move.")
    session.respond("Five steps: copy, compare, switch, wait, remove.")
    session.compact("The user plans a move in five steps.")
    session.prompt("Which can be undone?")
    session.respond("All but the last.")
    carried = made.session("An older session", SONNET, version=15)
    carried.prompt("Good morning.")
    carried.respond("Good morning.")
    carried.ledger[-1] |= {"source": "carried_forward", "model": None}
    carried.prompt("And now?")
    carried.respond("Now there is a ledger.")


def _failures(made: _History) -> None:
    """Let calls fail, ask before calling, and hold blocks that are no text."""
    session = made.session("Try the tools", GPT)
    session.prompt("Try all of them.", {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"})
    session.respond(
        None,
        Use("shell", {"command": "false"}, "Command exited with code 1", exit_code=1, is_error=True),
        Use("unparseable_tool_call", {}, "", failure="-32600: Tool 'levitate' was not advertised for this model turn"),
        Use("edit", {"path": "a.py"}, _DECLINED),
        Use("tides__high", {"quay": 3}, "06:12"),
    )
    request = {"actionType": "toolConfirmation", "id": "call_x", "toolName": "shell", "prompt": "Run it?"}
    session.add("assistant", {"type": "actionRequired", "data": {**request, "arguments": {"command": "rm -r x"}}})
    notice = {"type": "systemNotification", "notificationType": "inlineMessage", "msg": "Context limit reached."}
    session.add("assistant", notice)
    session.respond("That is all.")
    failed = made.session("Fails", LOCAL, version=9)
    failed.prompt("Say hello.")
    wrong = (
        "Ran into this error: Server error: 503.\n\nPlease retry if you think this is a transient or recoverable error."
    )
    failed.add("assistant", text_block(wrong))
    failed.prompt("Again.")
    failed.respond("Hello. \N{DUCK}", used=usage(640, 9, None, None, cost=None))
    running = made.session("Still running", LOCAL)
    running.prompt("Run the tests.")
    running.respond(None, Use("shell", {"command": "make test"}, ""))
    del running.messages[-1]


def _older(made: _History) -> None:
    """Leave files of before; one of them is in the database as well."""
    for number, is_in_both in enumerate((False, True)):
        start = moment(made.chance)
        session = Session(made.chance, start, 1, name="Say it twice", model=SONNET, version=5)
        session.id = f"{start:%Y%m%d_%H%M%S}"
        session.prompt("What does the parser do?")
        read = Use("developer__shell", {"command": "cat parser.py"}, "def parse(text): ...")
        session.respond(None, read)
        session.respond(f"It parses. ({number})")
        made.files.append(session)
        if is_in_both:
            session.columns = {"provider_name": None, "model_config_json": None, "accumulated_cost": None}
            made.database.append(session)


_ODD: tuple[Callable[[_History], None], ...] = (_helped, _compacted, _failures, _older)
