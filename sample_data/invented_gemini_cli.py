"""An invented history of the Gemini CLI: sessions of its versions, resumed, rewound and compressed ones, odd files."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING, Any

from gemini_cli_chat import FLASH, PRO, Call, Chat, Totals, dumps, project_hash
from vocabulary import HOME, PROJECTS, SEED, microseconds, moment, tasks, text_pool, told

if TYPE_CHECKING:
    from collections.abc import Callable

_DENIED = "[Operation Cancelled] Reason: User denied execution."
_STOPPED = "[Operation Cancelled] User cancelled tool execution."
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class _Folder:
    """The files that are being made, and what is true of them."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.chance = random.Random(SEED)
        self.names: list[str] = []
        self.totals: dict[str, Totals] = {}

    def chat(self, project: str, **more: Any) -> Chat:
        return Chat(self.chance, project, microseconds(moment(self.chance)) // 1000, **more)

    def save(self, chat: Chat, *, folder: str | None = None) -> None:
        """Keep a session as lines."""
        self.totals[chat.session_id] = chat.totals
        self.write(_name_of(chat, folder or chat.project, "jsonl"), "\n".join([*chat.lines, ""]))

    def save_whole(self, chat: Chat) -> None:
        """Keep a session as older versions did."""
        self.totals[chat.session_id] = chat.totals
        self.write(_name_of(chat, project_hash(chat.project), "json"), chat.whole())

    def write(self, name: str, text: str) -> None:
        self.names.append(os.path.join("tmp", *name.split("/")))
        if self.path is None:
            return
        path = os.path.join(self.path, self.names[-1])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)


def _name_of(chat: Chat, folder: str, extension: str) -> str:
    minute = chat.metadata["startTime"][:16].replace(":", "-")
    return f"{folder}/chats/session-{minute}-{chat.session_id[:8]}.{extension}"


def make(folder: str) -> list[str]:
    """Write the files into the folder and return their names."""
    return _made(folder).names


def expected() -> dict[str, Totals]:
    """Return what is true of each session, by its id."""
    return _made(None).totals


def _made(folder: str | None) -> _Folder:
    made = _Folder(folder)
    _ordinary(made)
    for tell in _ODD:
        tell(made)
    return made


def _ordinary(made: _Folder) -> None:
    """Do the known tasks, every third of them as older versions recorded it."""
    for number, (kind, place) in enumerate((("coder", 0), ("reviewer", 0), ("ops", 1), ("coder", 2), ("ops", 0))):
        task = tasks(kind)[place]
        project = PROJECTS[number % 3]
        is_old = number % 3 == 2
        chat = made.chat(project, model=(PRO, FLASH)[number % 2], kind=None if is_old else "main")
        chat.begin()
        for exchange in told(task["exchanges"], task, project):
            chat.prompt(exchange["prompt"])
            for at, step in enumerate(exchange.get("steps", ())):
                thoughts = (exchange["reasoning"],) if at == 0 and "reasoning" in exchange else ()
                chat.respond("", _call(step), thoughts=thoughts)
            chat.respond(exchange["answer"])
        if is_old:
            made.save_whole(chat)
        else:
            chat.set(summary=task["name"].capitalize() + ".")
            made.save(chat)


def _call(step: dict[str, Any]) -> Call:
    """Return a step of a task as a call."""
    if step["tool"] != "bash":
        return Call(tool=step["tool"], arguments=step["arguments"], output=step["result"])
    exit_code = step.get("exit_code", 0)
    lines = [
        f"Output: {step['result']}",
        *([f"Exit Code: {exit_code}"] if exit_code else []),
        "Process Group PGID: 48211",
    ]
    output = "\n".join(["<untrusted_context>", *lines, "</untrusted_context>"])
    return Call(tool="bash", arguments={"command": step["arguments"]["cmd"]}, output=output)


def _resumed(made: _Folder) -> None:
    """Go on the next day, twice: the tool writes all messages again, without their tokens."""
    chat = made.chat("harbor")
    chat.begin()
    chat.prompt("How many berths are free?")
    look = Call(tool="read_file", arguments={"absolute_path": f"{HOME}/harbor/berths.toml"}, output="free = 3")
    chat.respond("", look, thoughts=("The file of berths says so.",))
    chat.respond("Three.")
    chat.resume()
    chat.prompt("And tomorrow?")
    chat.respond("Four: one ship leaves.", thoughts=("One leaves.", "None comes."))
    chat.resume()
    chat.prompt("Thank you.")
    chat.respond("You are welcome.")
    made.save(chat)


def _rewound(made: _Folder) -> None:
    """Take a question back; and ask another session to go back to a message that it does not know."""
    chat = made.chat("tidepool")
    chat.begin()
    chat.prompt("Name the tides.")
    chat.respond("Ebb and flow.")
    second = chat.prompt("Draw them.")
    chat.respond("I cannot draw.", Call(tool="edit", arguments={"file_path": "tides.svg"}, output="Created."))
    chat.respond("Here they are, as a file.")
    chat.rewind(second)
    chat.prompt("Describe them in one word.")
    chat.respond("Regular.")
    made.save(chat)
    chat = made.chat("tidepool", model=FLASH)
    chat.begin()
    chat.prompt("Forget this.")
    chat.respond("Gladly.")
    chat.rewind("00000000-0000-4000-8000-000000000000")
    chat.prompt("What was it?")
    chat.respond("I do not know.")
    made.save(chat)


def _compressed(made: _Folder) -> None:
    """Put a summary in the place of what was said; the answers before it were made all the same."""
    chat = made.chat("lantern")
    chat.begin()
    chat.prompt("Fix the build.")
    chat.respond("", Call(tool="bash", arguments={"command": "make"}, output="Output: ok"))
    chat.respond("It is fixed.")
    chat.prompt("Good. Now the docs.")
    chat.respond("", Call(tool="read_file", arguments={"absolute_path": "README.md"}, output="# lantern"))
    chat.compress(keep=3)
    chat.note("info", "Chat history compressed from 21044 to 3120 tokens.")
    chat.respond("The docs are up to date.")
    made.save(chat)


def _subagent(made: _Folder) -> None:
    """Ask a subagent; it has a file of its own in the folder that is called like its parent."""
    chat = made.chat("harbor")
    chat.begin()
    chat.prompt("Where is the tide computed?")
    helper = Chat(
        made.chance, "harbor", chat.now_ms + 3000, model=FLASH, kind="subagent", directories=[f"{HOME}/harbor"]
    )
    helper.begin()
    helper.prompt("Find the code that computes the tide.")
    helper.respond("", Call(tool="grep", arguments={"pattern": "def tide"}, output="src/tide.py:12: def tide(t):"))
    helper.respond("In `src/tide.py`.")
    output = "Subagent 'codebase_investigator' finished.\nTermination Reason: GOAL\nResult:\nIn `src/tide.py`."
    asked = {"agent_name": "codebase_investigator", "prompt": "Find the code that computes the tide."}
    chat.wait(40)
    chat.respond("", Call(tool="invoke_agent", arguments=asked, output=output, agent=helper.session_id))
    chat.respond("It is computed in `src/tide.py`.")
    made.save(chat)
    made.totals[helper.session_id] = helper.totals
    made.write(f"harbor/chats/{chat.session_id}/{helper.session_id}.jsonl", "\n".join([*helper.lines, ""]))


def _moved(made: _Folder) -> None:
    """Go on in a newer version: the lines have what the older file has, and more; both are there."""
    chat = made.chat("tidepool", kind=None)
    chat.prompt("Is the water warm?")
    chat.respond("No: 9 degrees.", thoughts=("The sensor says so.",))
    made.save_whole(chat)
    chat.lines = [dumps(chat.metadata), *(dumps(message.record) for message in chat.messages)]
    chat.wait(3600)
    chat.set(sessionId=chat.session_id)
    chat.prompt("And now?")
    chat.respond("Still 9 degrees.")
    made.save(chat, folder=project_hash(chat.project))


def _calls(made: _Folder) -> None:
    """Call tools at once that fail, are refused or stopped, or never end; one says more than it may."""
    chat = made.chat("lantern")
    chat.begin()
    chat.prompt("Clean up.")
    cut = (
        "Output too large. Showing first 8,000 and last 32,000 characters. "
        f"For full output see: {HOME}/lantern/out.txt\n"
        "begin\n\n... [61,044 characters omitted] ...\n\nend"
    )
    chat.respond(
        "I look around.",
        Call(tool="bash", arguments={"command": "make clean"}, output="Output: (empty)\nExit Code: 2"),
        Call(tool="read_file", arguments={"absolute_path": "nowhere"}, error="File not found: nowhere", status="error"),
        Call(tool="bash", arguments={"command": "rm -rf /"}, error=_DENIED, status="cancelled"),
        Call(tool="bash", arguments={"command": "sleep 99"}, output="half", error=_STOPPED, status="cancelled"),
        Call(tool="bash", arguments={"command": "cat log"}, output=cut),
    )
    chat.respond("", Call(tool="bash", arguments={"command": "top"}, status="executing"))
    chat.note("error", "[API Error: You have exhausted your capacity on this model.]")
    chat.note("warning", "This request was stopped.")
    made.save(chat)


def _said(made: _Folder) -> None:
    """Say things in other ways: files and pictures in a prompt, the tool's own commands, hooks, tools of the server."""
    chat = made.chat("harbor", model=FLASH)
    chat.begin()
    chat.note("info", 'Authenticated via "Login with Google".')
    files = [
        {"text": "What is in @harbor.png?"},
        {"text": "\n--- Content from referenced files ---"},
        {"inlineData": {"mimeType": "image/png", "data": _PIXEL}},
        {"text": "\n--- End of content ---"},
    ]
    chat.prompt(files, display="What is in @harbor.png?")
    chat.respond("A single pixel.")
    chat.user("/stats")
    chat.user("<hook_context>The linter found nothing.</hook_context>")
    chat.prompt("Which ships are due? <script>alert('ships')</script>")
    chat.respond("Two, says the web.", tool=640)
    chat.prompt("Go on.")
    chat.answer("The third", tokens=None)  # it was stopped before its usage came
    chat.prompt("Go on, please.")
    chat.say_for_the_model([])
    made.save(chat)


def _broken(made: _Folder) -> None:
    """Hold lines that nobody can read, records that nobody knows, and files that end too soon."""
    chat = made.chat("tidepool")
    chat.begin()
    chat.prompt("Hello?")
    chat.respond("Hello.")
    chat.lines += [
        '{"id":"x","type":"user","content":[{"te',
        '["no object"]',
        dumps({"id": "3f0c", "timestamp": "yesterday", "type": "user", "content": "When was this?"}),
        dumps({"id": "3f0d", "timestamp": chat.clock(), "type": "hologram", "content": "new"}),
        dumps({"id": "3f0e", "timestamp": chat.clock(), "content": "of no type"}),
        dumps({"$patch": {"removeIds": ["3f0c"]}}),
    ]
    chat.totals.prompts += 1
    chat.answer("I cannot say.", tokens={"input": "many", "output": -1, "total": None})
    made.save(chat)
    made.write(
        f"{project_hash('lantern')}/chats/session-2026-09-01T10-00-0badc0de.json", '{"sessionId": "0badc0de", "me'
    )
    logs = [
        {"sessionId": chat.session_id, "messageId": 0, "type": "user", "message": "Hello?", "timestamp": chat.clock()}
    ]
    made.write(f"{project_hash('tidepool')}/logs.json", json.dumps(logs, indent=2))


_ODD: tuple[Callable[[_Folder], None], ...] = (
    _resumed,
    _rewound,
    _compressed,
    _subagent,
    _moved,
    _calls,
    _said,
    _broken,
)


def write_gemini_cli(folder: str, message_count: int) -> None:
    """Write a folder of sessions with about so many messages."""
    made = _Folder(folder)
    texts = text_pool(made.chance)
    while message_count > 0:
        chat = made.chat(PROJECTS[len(made.names) % 3])
        chat.begin()
        while len(chat.messages) < 300:
            chat.prompt(made.chance.choice(texts))
            call = Call(tool="bash", arguments={"command": "make"}, output=made.chance.choice(texts))
            chat.respond("", call, thoughts=(made.chance.choice(texts),))
            chat.respond(made.chance.choice(texts))
        message_count -= len(chat.messages)
        made.save(chat)
