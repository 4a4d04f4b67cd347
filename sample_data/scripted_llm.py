"""Runs inside an environment that has `llm`: its own commands, with models that answer from a script, offline.

`write_llm.py` calls it. The clock and chance are fixed, so that the same rows come out every time.
"""

from __future__ import annotations

import datetime
import os
import random
import sqlite3
import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import llm
import llm.migrations
import llm.models
import llm.plugins
import llm.utils
import sqlite_utils
from click.testing import CliRunner
from llm.cli import cli

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

IS_NEW = hasattr(llm, "Message")
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf50"
    "0f00038601805a347d6b0000000049454e44ae426082"
)
GUIDE = "House style: short sentences.\nNo word that a reader must look up.\n"
NOTES = "Harbour notes\n\nThe crane on quay 3 is out of use until Friday.\nBerth 7 is free.\n"
FUNCTIONS = """
def berth_state(number: int) -> str:
    "Say what lies at a berth."
    if number > 9:
        raise ValueError(f"there is no berth {number}")
    return "free" if number == 7 else "taken"

def tide(day: str) -> dict:
    "Return the times of high water."
    return {"day": day, "high": ["04:12", "16:40"]}
"""


class Clock:
    """A clock that goes on with each look at it."""

    def __init__(self, chance: random.Random, start: datetime.datetime) -> None:
        self.chance = chance
        self.now = start

    def look(self) -> datetime.datetime:
        """Return the time, which is never the same twice."""
        self.now += datetime.timedelta(microseconds=self.chance.randrange(900, 4_000))
        return self.now

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += datetime.timedelta(seconds=seconds)

    def nanoseconds(self) -> int:
        """Return the nanoseconds since 1970."""
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        return (self.look() - epoch) // datetime.timedelta(microseconds=1) * 1000

    def put_in(self) -> None:
        """Let `llm` look at this clock, and take its chance from here too."""
        told = self

        class Fixed(datetime.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime.datetime:  # type: ignore[override]  # it gives no Fixed
                return told.look().astimezone(tz)

        days = types.SimpleNamespace(datetime=Fixed, timezone=datetime.timezone)
        times = types.SimpleNamespace(time_ns=self.nanoseconds, monotonic=lambda: self.nanoseconds() / 1e9)
        named = [llm.models, llm.utils, llm.migrations, *([sys.modules["llm.logs"]] if IS_NEW else [])]
        for module in named:
            if hasattr(module, "datetime"):
                module.datetime = days
            if hasattr(module, "time"):
                module.time = times
        os.urandom = self.chance.randbytes


CLOCK = Clock(random.Random(0), datetime.datetime(2026, 9, 1, tzinfo=datetime.UTC))


@dataclass(kw_only=True)
class Reply:
    """What a model says in one call, and what its provider tells of it."""

    text: str = ""
    reasoning: str = ""
    is_hidden: bool = False  # it has thought, and does not show what
    calls: list[tuple[str | None, str, dict[str, Any]]] = field(default_factory=list)
    usage: tuple[int | None, int | None, dict[str, Any] | None] | None = None
    resolved: str | None = None
    json: dict[str, Any] | None = None
    on_server: tuple[str, dict[str, Any], str] | None = None  # a tool of the provider's, and what it gave
    seconds: float = 1.5
    error: str | None = None


REPLIES: list[Reply] = []


def answer(response: Any) -> Iterator[Any]:
    """Take the next reply and give it to the program as a plugin does."""
    reply = REPLIES.pop(0)
    CLOCK.wait(reply.seconds)
    if reply.error is not None:
        raise llm.ModelError(reply.error)
    if IS_NEW:
        from llm.parts import StreamEvent

        if reply.is_hidden:
            yield StreamEvent(type="reasoning", chunk="", redacted=True)
        for piece in reply.reasoning.partition(". "):
            yield StreamEvent(type="reasoning", chunk=piece)
        if reply.on_server is not None:
            name, arguments, result = reply.on_server
            same: dict[str, Any] = {"tool_call_id": "srv_1", "server_executed": True, "tool_name": name}
            yield StreamEvent(type="text", chunk="I search.")
            yield StreamEvent(type="tool_call_name", chunk=name, **same)
            yield StreamEvent(type="tool_call_args", chunk=llm.models.json.dumps(arguments), **same)
            yield StreamEvent(type="tool_result", chunk=result, **same)
    if reply.text:
        yield from reply.text.partition(" ")
    for call_id, name, arguments in reply.calls:
        response.add_tool_call(llm.ToolCall(tool_call_id=call_id, name=name, arguments=arguments))
    if reply.usage is not None:
        response.set_usage(input=reply.usage[0], output=reply.usage[1], details=reply.usage[2])
    if reply.resolved is not None:
        response.set_resolved_model(reply.resolved)
    response.response_json = reply.json


class Options(llm.Options):  # type: ignore[misc]  # its type is not known here
    """What a person can set."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: str | None = None
    reasoning_effort: str | None = None
    cache: bool | None = None


class _Shared:
    can_stream = True
    supports_tools = True
    supports_schema = True
    attachment_types = types.MappingProxyType({"image/png": 1, "application/pdf": 1})

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id


class Scripted(_Shared, llm.Model):  # type: ignore[misc]  # its type is not known here
    """A model that is waited for."""

    Options = Options

    def execute(self, *_: Any, response: Any, **__: Any) -> Iterator[Any]:
        """Answer."""
        yield from answer(response)


class AsyncScripted(_Shared, llm.AsyncModel):  # type: ignore[misc]  # its type is not known here
    """The same for `--async`."""

    Options = Options

    async def execute(self, *_: Any, response: Any, **__: Any) -> AsyncIterator[Any]:
        """Answer."""
        for event in answer(response):
            yield event


class Plugin:
    """Takes the place of the built-in models."""

    @llm.hookimpl  # type: ignore[untyped-decorator]  # its type is not known here
    def register_models(self, register: Any) -> None:
        """Name the models."""
        for model_id in (GPT, O3, CLAUDE, GEMINI, LOCAL):
            register(Scripted(model_id), AsyncScripted(model_id))


GPT, O3, CLAUDE, GEMINI, LOCAL = (
    "gpt-4o-mini",
    "o3",
    "anthropic/claude-sonnet-4-5",
    "gemini/gemini-2.5-flash",
    "workshop-7b",
)


def gpt(text: str = "", **more: Any) -> Reply:
    """Return an answer as OpenAI's chat completions tell it."""
    given, made, cached, thought = more.pop("tokens", (310, 42, 0, 0))
    inner = {"cached_tokens": cached} if cached else {}
    outer = {"reasoning_tokens": thought} if thought else {}
    names = {"prompt_tokens_details": inner, "completion_tokens_details": outer}
    details = {name: value for name, value in names.items() if value}
    finish = more.pop("finish", "tool_calls" if more.get("calls") else "stop")
    payload = {"content": text, "role": "assistant", "finish_reason": finish, "model": f"{GPT}-2024-07-18"}
    return Reply(text=text, usage=(given, made, details), json=payload, **more)


def claude(text: str = "", *, read: int = 0, written: int = 0, **more: Any) -> Reply:
    """Return an answer as Anthropic tells it: what the cache took is not in the input."""
    given, made = more.pop("tokens", (57, 61))
    details = None
    if read or written:
        details = {
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": written},
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "service_tier": "standard",
        }
    stop = more.pop("finish", "tool_use" if more.get("calls") else "end_turn")
    payload = {"id": "msg_01", "model": "claude-sonnet-4-5-20250929", "role": "assistant", "stop_reason": stop}
    return Reply(text=text, usage=(given, made, details), json=payload, **more)


def gemini(text: str = "", *, thought: int = 0, **more: Any) -> Reply:
    """Return an answer as Gemini tells it: the program adds the thoughts to the output."""
    details: dict[str, Any] = {"candidatesTokenCount": 33}
    if thought:
        details["thoughtsTokenCount"] = thought
    payload = {
        "candidates": [{"finishReason": more.pop("finish", "STOP"), "index": 0}],
        "modelVersion": "gemini-2.5-flash",
    }
    return Reply(text=text, usage=(240, 33 + thought, details), json=payload, resolved="gemini-2.5-flash", **more)


class Person:
    """Somebody who uses the program, in one folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.database = os.path.join(os.environ["LLM_USER_PATH"], "logs.db")

    def file(self, name: str, data: bytes | str) -> str:
        """Write a file that a prompt can name, and return its path."""
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return path

    def run(self, *arguments: str, replies: list[Reply], pause_s: float = 40, fails: bool = False) -> None:
        """Run a command; each reply is one call of the model."""
        CLOCK.wait(pause_s)
        REPLIES[:] = replies
        done = CliRunner().invoke(cli, list(arguments))
        if (done.exit_code != 0) != fails or REPLIES:
            raise SystemExit(f"llm {arguments} ended with {done.exit_code}:\n{done.output}") from done.exception

    def newest(self, table: str = "threads") -> str:
        """Return the id of the newest conversation, or thread as it is called now."""
        connection = sqlite3.connect(self.database)
        try:
            return str(connection.execute(f"select max(id) from {table}").fetchone()[0])
        finally:
            connection.close()

    def log(self, response: Any, pause_s: float = 40) -> None:
        """Write down what a program that uses the library got."""
        CLOCK.wait(pause_s)
        database = sqlite_utils.Database(self.database)
        llm.migrations.migrate(database)
        response.log_to_db(database)
        database.conn.close()


def usual(person: Person) -> None:
    """Do what both releases can."""
    person.run(
        "-m", GPT, "Name a colour of the sea.", "-s", "Answer in one word.", "-o", "temperature", "0.2",
        "-o", "max_tokens", "20", "-o", "seed", "7",
        replies=[gpt("Teal.", tokens=(24, 3, 0, 0))],
    )  # fmt: skip
    person.run("-c", "Another one.", replies=[gpt("Slate.", tokens=(36, 3, 0, 0), seconds=0.8)])
    person.run("-c", "-m", CLAUDE, "And why?", replies=[claude("Both are colours of deep water.", tokens=(48, 12))])

    CLOCK.wait(4_000)
    calls = [("call_1", "berth_state", {"number": 7}), ("call_2", "berth_state", {"number": 12})]
    person.run(
        "-m", GPT, "--functions", FUNCTIONS, "Is berth 7 free, and berth 12? And the tide on Friday?",
        replies=[
            gpt("I look.", calls=calls, tokens=(180, 38, 0, 0)),
            gpt(calls=[("call_3", "tide", {"day": "Friday"})], tokens=(260, 17, 128, 0)),
            gpt("Berth 7 is free, there is no berth 12. High water is at 04:12 and 16:40.", tokens=(330, 31, 256, 0)),
        ],
    )  # fmt: skip
    person.run("-m", GPT, "--functions", FUNCTIONS, "Ask the lighthouse.", replies=[
        gpt(calls=[("call_1", "lighthouse", {})], tokens=(170, 11, 0, 0)),
        gpt("I have no such tool.", tokens=(200, 8, 0, 0)),
    ])  # fmt: skip

    CLOCK.wait(7_000)
    notes = person.file("notes.txt", NOTES)
    guide = person.file("guide.txt", GUIDE)
    person.run(
        "-m", CLAUDE, "-f", notes, "--sf", guide, "-s", "You are a harbour master.", "Which berth can I take?",
        "-o", "cache", "1",
        replies=[claude("Berth 7.", written=1_204)],
    )  # fmt: skip
    person.run("-c", "And the crane?", "-o", "cache", "1", replies=[claude("Out of use.", read=1_204, written=63)])

    CLOCK.wait(60_000)
    picture = person.file("quay.png", PIXEL)
    person.run("-m", GEMINI, "What is on this picture?", "-a", picture, "--at", "https://example.com/map.pdf",
               "application/pdf", replies=[gemini("One pixel, blue.", thought=21)])  # fmt: skip
    person.run("-m", GEMINI, "Tell me the long story.", replies=[gemini("It was a dark", finish="MAX_TOKENS")])
    person.run("-m", GPT, "--schema", "name, berth int", "Invent a ship.", replies=[gpt('{"name": "Ada", "berth": 7}')])

    CLOCK.wait(90_000)
    person.run("-m", LOCAL, "Größe? 数据 🚢", replies=[Reply(text="Groß. 大 🌊")])
    person.run("-m", LOCAL, "Say nothing.", replies=[Reply()])
    person.run("-m", LOCAL, "This one fails.", replies=[Reply(error="the model is not there")], fails=True)
    person.run("-m", GPT, "--async", "Do it beside.", replies=[gpt("Done beside.", tokens=(15, 4, 0, 0))])
    person.run("-m", GPT, "-n", "This is not logged.", replies=[gpt("It is not.")])


def by_library(person: Person) -> None:
    """Do what only programs that use the library can, with both releases."""
    model = llm.get_model(GPT)
    REPLIES[:] = [gpt("Alone.", tokens=(12, 2, 0, 0))]
    alone = model.prompt("Without a conversation.")
    alone.text()
    person.log(alone)

    def refuse(_: Any, call: Any) -> None:
        if call.name == "sink":
            raise llm.CancelToolCall("not at sea")

    def sink(name: str) -> str:
        """Sink a ship."""
        return name

    def photo() -> Any:
        """Take a photo."""
        return llm.ToolOutput(output="taken", attachments=[llm.Attachment(type="image/png", content=PIXEL)])

    REPLIES[:] = [
        gpt(calls=[(None, "sink", {"name": "Ada"}), (None, "photo", {})], tokens=(90, 24, 0, 0)),
        gpt("I may not; here is a photo.", tokens=(140, 9, 0, 0)),
    ]
    chain = model.conversation().chain("Sink the Ada and take a photo.", tools=[sink, photo], before_call=refuse)
    chain.text()
    person.log(chain)


def only_new(person: Person, continued: str) -> None:
    """Do what the newer release alone can."""
    from llm.logs import LogStore
    from llm.parts import assistant, user

    person.run("--cid", continued, "Once more, after the upgrade.", replies=[gpt("Azure.", tokens=(70, 3, 0, 0))])
    person.run(
        "-m", O3, "Think first.", "-o", "reasoning_effort", "high",
        replies=[
            Reply(
                text="Forty-two berths.",
                is_hidden=True,
                usage=(40, 220, {"output_tokens_details": {"reasoning_tokens": 192}}),
                json={"status": "completed", "model": "o3-2025-04-16"},
            )
        ],
    )  # fmt: skip
    person.run("-m", CLAUDE, "Think aloud.", replies=[
        claude("Seven.", reasoning="Berth 7 is free. So it is seven."),
    ])  # fmt: skip
    aloud = person.newest()
    person.run("-c", "-o", "stop", "END", "Are you sure?", replies=[claude("Quite sure.", reasoning="I am. Yes.")])
    person.run("-m", CLAUDE, "Search for the harbour.", replies=[
        claude("It is in the north.", on_server=("web_search", {"query": "harbour"}, "1 page: harbour.example")),
    ])  # fmt: skip

    CLOCK.wait(5_000)
    database = sqlite_utils.Database(person.database)
    store = LogStore(database)
    tip = next(iter(database.query("select tip_message_hash as tip from turns where thread_id = ?", [aloud])))["tip"]
    fork = store.fork(tip, name="Another way", forked_from=aloud)
    store.fork(tip, name="Never taken", forked_from=aloud)
    conversation = llm.Conversation(model=llm.get_model(CLAUDE), id=fork)
    conversation.loaded_messages = store.thread_messages(fork)
    database.conn.close()
    REPLIES[:] = [claude("Berth 3.")]
    second = conversation.prompt("Which is the second best?")
    second.text()
    person.log(second)

    def wait_for_somebody() -> str:
        """Ask the harbour master."""
        raise llm.PauseChain("not now")

    model = llm.get_model(GPT)
    REPLIES[:] = [gpt(calls=[("call_9", "wait_for_somebody", {})], tokens=(60, 10, 0, 0))]
    chain = model.conversation().chain("Ask the harbour master.", tools=[wait_for_somebody])
    try:
        chain.text()
    except llm.PauseChain:
        person.log(chain)
    REPLIES[:] = [gpt("Because it is deep.", tokens=(55, 6, 0, 0))]
    history = [user("Which berth?"), assistant("Berth 7."), user("Why that one?")]
    told = model.prompt(messages=history)
    told.text()
    person.log(told)


def main(folder: str, part: str) -> None:
    """Do one part of the sample: `former`, `before` or `after` the upgrade."""
    start = {"former": (2026, 9, 1), "before": (2026, 9, 14), "after": (2026, 10, 5)}[part]
    CLOCK.chance.seed(f"20261121 {part}")
    CLOCK.now = datetime.datetime(*start, 8, 30, tzinfo=datetime.UTC)
    CLOCK.put_in()
    llm.plugins.load_plugins()
    llm.plugins.pm.unregister(name="llm.default_plugins.openai_models")
    llm.plugins.pm.register(Plugin())
    person = Person(folder)
    if part == "before":
        person.run("-m", GPT, "Name a colour of the sea.", "-s", "Answer in one word.", replies=[
            gpt("Teal.", tokens=(24, 3, 0, 0)),
        ])  # fmt: skip
        person.run("-c", "Another one.", replies=[gpt("Slate.", tokens=(36, 3, 0, 0))])
    else:
        continued = "" if part == "former" else person.newest("conversations")
        usual(person)
        by_library(person)
        if part == "after":
            only_new(person, continued)


if __name__ == "__main__":
    main(*sys.argv[1:])
