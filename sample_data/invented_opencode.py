"""An invented history of opencode: ordinary sessions, every odd one, and the JSON files from before the database."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import string
from typing import TYPE_CHECKING, Any

from vocabulary import FIRST_DAY, HOME, PROJECTS, SEED, create_tables, microseconds, moment, tasks, text_pool, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

Json = dict[str, Any]
SONNET = ("anthropic", "claude-sonnet-5")
GPT = ("openai", "gpt-5.5")
GEMINI = ("google", "gemini-3.1-pro-preview")
LOCAL = ("workshop", "workshop-coder-12b")
_LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "turns")


class Session:
    """A session that is being told, as the tool would write it down.

    Attributes:
        id: Its id.
        messages: Its messages, each with its parts.
        own: What a reader should count for it.
    """

    def __init__(
        self,
        chance: random.Random,
        start: datetime,
        *,
        model: tuple[str, str],
        title: str,
        directory: str,
        project_id: str = "global",
        parent: Session | None = None,
        agent: str = "build",
        variant: str | None = None,
    ) -> None:
        self.chance = chance
        self.now_ms = microseconds(start) // 1000
        self.count = 0
        self.model = model
        self.variant = variant
        self.agent = agent
        self.title = title
        self.directory = directory
        self.project_id = project_id
        self.parent_id = None if parent is None else parent.id
        self.created_ms = self.now_ms
        self.id: str = self._new_id("ses", descending=True)
        self.revert: Json | None = None
        self.archived_ms: int | None = None
        self.messages: list[tuple[Json, list[Json]]] = []
        self.own = dict.fromkeys(_COUNTS, 0)

    def _new_id(self, kind: str, *, descending: bool = False) -> str:
        """Return an id that begins with the time, as far as 48 bits hold it."""
        self.count += 1
        number = self.now_ms * 0x1000 + self.count % 0x1000
        number = (~number if descending else number) & (1 << 48) - 1
        return f"{kind}_{number:012x}" + "".join(self.chance.choices(_LETTERS, k=14))

    def wait(self, seconds: float) -> int:
        """Let time go by; return the time."""
        self.now_ms += round(seconds * 1000)
        return self.now_ms

    def message(self, **data: Any) -> Json:
        """Add a message without parts."""
        data = {"id": self._new_id("msg"), "sessionID": self.id, "time": {"created": self.now_ms}} | data
        self.messages.append((data, []))
        return data

    def part(self, kind: str, **data: Any) -> Json:
        """Add a part to the last message."""
        message, parts = self.messages[-1]
        data = {"id": self._new_id("prt"), "sessionID": self.id, "messageID": message["id"], "type": kind} | data
        parts.append(data)
        return data

    def prompt(self, *texts: str, synthetic: tuple[str, ...] = ()) -> Json:
        """Say something as the user, and what the program adds."""
        self.wait(self.chance.uniform(5, 90))
        provider, model = self.model
        chosen = {"providerID": provider, "modelID": model} | ({"variant": self.variant} if self.variant else {})
        message = self.message(role="user", agent=self.agent, model=chosen, summary={"diffs": []})
        for text in texts:
            self.part("text", text=text)
        for text in synthetic:
            self.part("text", text=text, synthetic=True)
        return message

    def begin(self, **data: Any) -> Json:
        """Begin an answer."""
        self.wait(0.2)
        parents = [message["id"] for message, _ in self.messages if message["role"] == "user"]
        provider, model = self.model
        known: Json = {"parentID": parents[-1], "role": "assistant", "mode": self.agent, "agent": self.agent}
        known |= {"path": {"cwd": self.directory, "root": "/" if self.project_id == "global" else self.directory}}
        known |= {"cost": 0, "tokens": _tokens(0, 0), "modelID": model, "providerID": provider}
        if self.variant:
            known["variant"] = self.variant
        message = self.message(**known | data)
        self.own["turns"] += 1
        return message

    def step(
        self,
        text: str | None,
        *uses: Json,
        tokens: Json,
        reasoning: str | None = None,
        cost: float = 0.0,
    ) -> None:
        """Add a step to the answer: what was thought and said, and the calls, and what it took."""
        message = self.messages[-1][0]
        self.part("step-start")
        start = self.wait(self.chance.uniform(0.4, 3))
        if reasoning is not None:
            self.part("reasoning", text=reasoning, time={"start": start, "end": self.wait(0.5)})
        if text is not None:
            self.part("text", text=text, time={"start": self.now_ms, "end": self.wait(1.5)})
        for use in uses:
            self.part("tool", **use)
        finish = "tool-calls" if uses else "stop"
        self.part("step-finish", reason=finish, tokens=tokens, cost=cost)
        # The message has the last step's tokens, and the cost of all.
        message |= {"tokens": tokens, "cost": message["cost"] + cost, "finish": finish}
        self._count(tokens)

    def _count(self, tokens: Json) -> None:
        cache = tokens["cache"]
        self.own["input_tokens"] += tokens["input"] + cache["read"] + cache["write"]
        self.own["output_tokens"] += tokens["output"] + tokens["reasoning"]
        self.own["cache_read_input_tokens"] += cache["read"]
        self.own["cache_creation_input_tokens"] += cache["write"]

    def end(self, **data: Any) -> None:
        """End the answer."""
        message = self.messages[-1][0]
        message["time"] = {**message["time"], "completed": self.wait(0.1)}
        message |= data

    def respond(self, text: str | None, *uses: Json, **more: Any) -> None:
        """Answer in one step, with tokens by chance where none are given."""
        more.setdefault("tokens", self.chance_tokens())
        self.begin()
        self.step(text, *uses, **more)
        self.end()

    def chance_tokens(self) -> Json:
        """Return tokens as this provider reports them."""
        read = self.chance.randrange(0, 40) * 256
        write = self.chance.randrange(0, 6) * 128 if self.model[0] == "anthropic" else 0
        reasoning = self.chance.randrange(0, 200) if self.model[0] != "anthropic" else 0
        return _tokens(self.chance.randrange(20, 3000), self.chance.randrange(10, 700), reasoning, read, write)

    def use(self, tool: str, arguments: Json, result: str, *, seconds: float = 0.3, **metadata: Any) -> Json:
        """Return a call with what it gave."""
        start = self.wait(0.1)
        times = {"start": start, "end": self.wait(seconds)}
        state = {"status": "completed", "input": arguments, "output": result, "title": tool}
        return self._call(tool, {**state, "metadata": {"truncated": False} | metadata, "time": times})

    def failed_use(self, tool: str, arguments: Json, error: str, **metadata: Any) -> Json:
        """Return a call that the program says has failed."""
        start = self.wait(0.1)
        state = {"status": "error", "input": arguments, "error": error, "time": {"start": start, "end": self.wait(0.2)}}
        return self._call(tool, {**state, "metadata": metadata} if metadata else state)

    def _call(self, tool: str, state: Json) -> Json:
        return {"tool": tool, "callID": f"toolu_{self.chance.getrandbits(64):016x}", "state": state}

    def fork(self, until: int, *, seconds: float) -> Session:
        """Return a session that begins with copies of the first messages of this one."""
        other = Session.__new__(Session)
        other.__dict__ |= self.__dict__ | {"messages": [], "own": dict.fromkeys(_COUNTS, 0), "revert": None}
        other.wait(seconds)
        other.created_ms = other.now_ms
        other.id = other._new_id("ses", descending=True)
        other.title = f"{self.title} (fork #1)"
        ids: dict[str, str] = {}
        for message, parts in self.messages[:until]:
            copy = message | {"id": other._new_id("msg"), "sessionID": other.id}
            ids[message["id"]] = copy["id"]
            if "parentID" in copy:
                copy["parentID"] = ids[copy["parentID"]]
            changed = {"sessionID": other.id, "messageID": copy["id"]}
            other.messages.append((copy, [part | changed | {"id": other._new_id("prt")} for part in parts]))
        return other


def _tokens(plain: int, output: int, reasoning: int = 0, read: int = 0, write: int = 0, *, total: bool = True) -> Json:
    tokens: Json = {"total": plain + output + reasoning + read + write} if total and plain else {}
    return tokens | {"input": plain, "output": output, "reasoning": reasoning, "cache": {"read": read, "write": write}}


class _History:
    """The sessions that are being made, and which of them lie in files of the older form."""

    def __init__(self) -> None:
        self.chance = random.Random(SEED)
        self.database: list[Session] = []
        self.newer: list[Session] = []
        self.files: list[Session] = []

    def session(self, title: str, model: tuple[str, str] = SONNET, **more: Any) -> Session:
        more.setdefault("directory", os.path.join(HOME, self.chance.choice(PROJECTS)))
        return Session(self.chance, moment(self.chance), title=title, model=model, **more)

    def add(self, *sessions: Session) -> None:
        self.database += sessions


def make(folder: str) -> list[str]:
    """Write the files into the folder and return their names."""
    made = _made()
    names = ["opencode.db"]
    connection = sqlite3.connect(os.path.join(folder, names[0]))
    connection.execute("pragma journal_mode = wal")  # as the tool has it; the last close leaves one file
    create_tables(connection, "opencode/opencode.sql")
    write_database(connection, made.database, made.newer)
    connection.close()
    for session in made.files:
        names += write_files(folder, session)
    return list(dict.fromkeys(names))


def expected() -> dict[str, dict[str, int]]:
    """Return what a reader should count for each session: its own turns, and what they used."""
    made = _made()
    return {session.id: session.own for session in (*made.database, *made.newer, *made.files)}


def write_opencode(path: str, message_count: int) -> None:
    """Write a database of about `message_count` messages."""
    chance = random.Random(SEED)
    pool = text_pool(chance)
    connection = sqlite3.connect(path)
    create_tables(connection, "opencode/opencode.sql")
    for start in range(0, message_count, 2000):
        session = Session(chance, FIRST_DAY, title=pool[start % len(pool)][:40], model=SONNET, directory=HOME)
        for number in range(start, min(start + 2000, message_count), 3):
            session.prompt(pool[number % len(pool)])
            session.respond(None, session.use("bash", {"command": "make"}, pool[(number + 1) % len(pool)], exit=0))
            session.respond(pool[(number + 2) % len(pool)])
        write_database(connection, [session])
    connection.close()


def write_database(connection: sqlite3.Connection, sessions: list[Session], newer: list[Session] | None = None) -> None:
    """Write sessions to the tables; some of them to the newer one."""
    for session in (*sessions, *(newer or ())):
        _write_session(connection, session)
    for session in sessions:
        for message, parts in session.messages:
            row = message["id"], session.id, message["time"]["created"], session.now_ms, _data(message)
            connection.execute("insert into message values (?, ?, ?, ?, ?)", row)
            connection.executemany(
                "insert into part values (?, ?, ?, ?, ?, ?)",
                [(p["id"], message["id"], session.id, _time_of(p, message), session.now_ms, _data(p)) for p in parts],
            )
    for session in newer or ():
        rows = [
            (message["id"], session.id, kind, seq, message["time"]["created"], session.now_ms, _dumps(data))
            for seq, (message, kind, data) in enumerate(_newer_rows(session))
        ]
        connection.executemany("insert into session_message values (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.commit()


def _write_session(connection: sqlite3.Connection, session: Session) -> None:
    worktree = "/" if session.project_id == "global" else session.directory
    times = session.created_ms, session.created_ms
    connection.execute(
        "insert or ignore into project (id, worktree, time_created, time_updated, sandboxes) values (?, ?, ?, ?, '[]')",
        (session.project_id, worktree, *times),
    )
    provider, model = session.model
    row = {
        "id": session.id,
        "project_id": session.project_id,
        "parent_id": session.parent_id,
        "slug": "quiet-harbor",
        "directory": session.directory,
        "title": session.title,
        "version": "1.18.33",
        "agent": session.agent,
        "model": _dumps({"id": model, "providerID": provider, "variant": session.variant or "default"}),
        "revert": None if session.revert is None else _dumps(session.revert),
        "time_created": session.created_ms,
        "time_updated": session.now_ms,
        "time_archived": session.archived_ms,
    }
    marks = ", ".join("?" * len(row))
    connection.execute(f"insert into session ({', '.join(row)}) values ({marks})", list(row.values()))


def _time_of(part: Json, message: Json) -> int:
    times = part.get("time") or part.get("state", {}).get("time") or {}
    return int(times.get("start") or times.get("created") or message["time"]["created"])


def _data(record: Json) -> str:
    return _dumps({name: value for name, value in record.items() if name not in ("id", "sessionID", "messageID")})


def _newer_rows(session: Session) -> list[tuple[Json, str, Json]]:
    """Return the messages in the form of the newer table, in which an answer holds its parts."""
    rows = []
    for message, parts in session.messages:
        if message["role"] == "user":
            texts = "\n".join(part["text"] for part in parts)
            rows.append((message, message.get("kind", "user"), {"time": message["time"], "text": texts}))
            continue
        content: list[Json] = []
        for part in parts:
            if part["type"] in ("text", "reasoning"):
                content.append({"type": part["type"], "id": part["id"], "text": part["text"]})
            elif part["type"] == "tool":
                state = part["state"]
                told = {"status": state["status"], "input": state["input"], "structured": state["metadata"]}
                told["content"] = [{"type": "text", "text": state["output"]}]
                times = {"created": state["time"]["start"], "completed": state["time"]["end"]}
                content.append(
                    {"type": "tool", "id": part["callID"], "name": part["tool"], "state": told, "time": times}
                )
        data: Json = {name: message[name] for name in ("time", "agent", "finish", "cost", "tokens")}
        data["model"] = {"id": message["modelID"], "providerID": message["providerID"]}
        rows.append((message, "assistant", {**data, "content": content}))
    return rows


def write_files(folder: str, session: Session) -> list[str]:
    """Write a session in the older form, a file for everything; return their names."""
    info: Json = {"id": session.id, "version": "0.15.7", "projectID": session.project_id}
    info |= {"directory": session.directory, "title": session.title}
    if session.parent_id is not None:
        info["parentID"] = session.parent_id
    info["time"] = {"created": session.created_ms, "updated": session.now_ms}
    worktree = "/" if session.project_id == "global" else session.directory
    project = {"id": session.project_id, "worktree": worktree, "vcs": "git", "time": {"created": session.created_ms}}
    records = {
        f"project/{session.project_id}.json": project,
        f"session/{session.project_id}/{session.id}.json": info,
    }
    for message, parts in session.messages:
        records[f"message/{session.id}/{message['id']}.json"] = message
        records |= {f"part/{message['id']}/{part['id']}.json": part for part in parts}
    names = []
    for name, record in records.items():
        names.append(os.path.join("storage", *name.split("/")))
        path = os.path.join(folder, names[-1])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            json.dump(record, file, ensure_ascii=False, indent=2)
    return names


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _made() -> _History:
    made = _History()
    _ordinary(made)
    for tell in _ODD:
        tell(made)
    return made


def _ordinary(made: _History) -> None:
    """Let the agent do the known tasks."""
    chosen = (("coder", 0, SONNET), ("researcher", 0, GPT), ("ops", 0, GEMINI), ("coder", 4, LOCAL))
    for number, (kind, place, model) in enumerate(chosen):
        task = tasks(kind)[place]
        project = PROJECTS[number % 3]
        more = {"project_id": f"{number:040x}"} if number else {}
        session = made.session(told(task["name"], task, project), model, directory=os.path.join(HOME, project), **more)
        for exchange in told(task["exchanges"], task, project):
            session.prompt(exchange["prompt"])
            for at, step in enumerate(exchange.get("steps", ())):
                more = {"reasoning": exchange["reasoning"]} if at == 0 and "reasoning" in exchange else {}
                session.respond("Let me look." if at == 0 else None, _use(session, step), **more)
            session.respond(exchange["answer"], cost=0.0125 if model is SONNET else 0.0)
        made.add(session)


def _use(session: Session, step: Json) -> Json:
    tool, result = step["tool"], step["result"]
    if tool == "bash":
        return session.use(
            tool, {"command": step["arguments"]["cmd"]}, result, output=result, exit=step.get("exit_code", 0)
        )
    if step.get("status") == "error":
        return session.failed_use(tool, step["arguments"], result)
    return session.use(tool, step["arguments"], result)


def _helped(made: _History) -> None:
    """Give a task to a helper, which is a session of its own; fork the session afterwards, and go on in the fork."""
    session = made.session("Count the tests", GPT, variant="high")
    session.prompt("How many tests are there? Ask a helper.")
    child = Session(
        made.chance,
        FIRST_DAY,
        model=GPT,
        title="Count test files (@general subagent)",
        directory=session.directory,
        parent=session,
        agent="general",
    )
    child.now_ms = child.created_ms = session.wait(2)
    child.id = child._new_id("ses", descending=True)
    child.prompt("Count the files in tests.")
    child.respond(None, child.use("glob", {"pattern": "tests/*.py"}, "tests/test_a.py\ntests/test_b.py"))
    child.respond("Two.")
    arguments = {"description": "Count test files", "prompt": "Count the files in tests.", "subagent_type": "general"}
    found = f'<task id="{child.id}" state="completed">\n<task_result>\nTwo.\n</task_result>\n</task>'
    session.respond("I ask one.", session.use("task", arguments, found, seconds=9, sessionId=child.id))
    session.respond("There are two files of tests.", reasoning="The helper said two.")
    fork = session.fork(len(session.messages), seconds=600)
    fork.prompt("And how many fixtures?")
    fork.respond("One, in conftest.py.")
    made.add(session, child, fork)


def _failures(made: _History) -> None:
    """Let calls of the model fail: at once, in the middle, because the user stopped it, and on the second attempt."""
    session = made.session("Rewrite everything", SONNET)
    session.prompt("Rewrite everything.")
    session.begin()
    data = {"message": "prompt is too long: 214133 tokens > 200000 maximum", "statusCode": 400, "isRetryable": False}
    session.end(error={"name": "APIError", "data": data})
    session.prompt("Then only the parser.")
    session.begin()
    session.part("step-start")
    session.part("text", text="I begin with the", time={"start": session.now_ms, "end": session.wait(1)})
    session.end(error={"name": "MessageAbortedError", "data": {"message": "The operation was aborted."}})
    session.prompt("Go on.")
    session.begin()
    session.part("step-start")
    session.part("text", text="The lexer first.", time={"start": session.now_ms, "end": session.wait(1)})
    session.end(error={"name": "UnknownError", "data": {"message": "socket hang up"}})
    session.prompt("Again.")
    session.begin()
    overloaded = {"name": "APIError", "data": {"message": "Overloaded", "statusCode": 529, "isRetryable": True}}
    session.part("retry", attempt=1, error=overloaded, time={"created": session.now_ms})
    session.step("The lexer is rewritten.", tokens=_tokens(41, 96, 0, 18_944, 512), cost=0.0107)
    session.end()
    made.add(session)


def _calls(made: _History) -> None:
    """Call tools in every way that may end badly, and tools of a server."""
    session = made.session("Try the tools", GPT)
    session.prompt("Try all of them.")
    unknown = "Model tried to call unavailable tool 'levitate'."
    invalid = f"The arguments provided to the tool are invalid: {unknown}"
    rejected = "The user rejected permission to use this specific tool call."
    ruled = "The user has specified a rule which prevents you from using this specific tool call."
    late = _stopped("shell tool terminated command after exceeding timeout 120000 ms.")
    session.respond(
        "All at once.",
        session.use("bash", {"command": "false"}, "", output="", exit=1),
        session.use("bash", {"command": "sleep 900"}, late, exit=None),
        session.use("bash", {"command": "cat"}, _stopped("User aborted the command"), exit=None),
        session.use("invalid", {"tool": "levitate", "error": unknown}, invalid),
        session.failed_use("edit", {"filePath": "a.py"}, rejected),
        session.failed_use("read", {"filePath": ".env"}, ruled),
        session.failed_use("read", {"filePath": "b.py"}, "File not found: b.py"),
        session.failed_use("webfetch", {"url": "https://harbor.example"}, "Tool execution aborted", interrupted=True),
        session.use("harbor_tides", {"quay": 3}, '{"high":"06:12"}'),
    )
    session.begin()
    session.part("step-start")
    session.part("tool", tool="bash", callID="toolu_running", state={"status": "running", "input": {"command": "make"}})
    session.part("tool", tool="edit", callID="toolu_pending", state={"status": "pending", "input": {}, "raw": '{"fi'})
    made.add(session)


def _stopped(why: str) -> str:
    return f"partial\n\n<shell_metadata>\n{why}\n</shell_metadata>"


def _compacted(made: _History) -> None:
    """Let a session be summed up, and go on by itself."""
    session = made.session("Move to the new server", GEMINI)
    session.prompt("Plan the move.")
    session.respond("Five steps.", tokens=_tokens(190_000, 300, 80))
    session.prompt()
    session.part("compaction", auto=True)
    session.agent = "compaction"
    session.begin(summary=True)
    session.step("So far: a plan of five steps.", tokens=_tokens(190_400, 120))
    session.end()
    session.agent = "build"
    session.prompt(synthetic=("Continue if you have next steps",))
    session.respond("Step one is done.")
    session.archived_ms = session.wait(86_400)
    made.add(session)


def _parts(made: _History) -> None:
    """Say what is no plain text: files, pictures, other agents, commands; and take back the last answer."""
    session = made.session("What is in the picture", SONNET)
    session.prompt(
        "What is in this picture? And in @notes.md?",
        synthetic=('Called the Read tool with the following input: {"filePath":"notes.md"}', "1: low tide at six"),
    )
    session.part("file", mime="image/png", filename="quay.png", url="data:image/png;base64,iVBORw0KGgo=")
    session.part("file", mime="text/plain", url="file:///home/ada/notes.md")
    session.part("agent", name="plan", source={"value": "@plan", "start": 0, "end": 5})
    session.respond("A quay. The notes tell of the tide.", reasoning="One picture, one note.")
    session.part("patch", hash="5d1c", files=["notes.md"])
    session.part("snapshot", snapshot="5d1c")
    session.part("hologram", depth=3)
    session.prompt()
    session.part("subtask", prompt="Review the notes.", description="review", agent="plan", command="review")
    session.respond("They are fine.", tokens=_tokens(12, 9, 0, 4096))
    session.prompt(synthetic=("The following tool was executed by the user",))
    session.begin()
    session.own["turns"] -= 1
    session.part("tool", **session.use("bash", {"command": "git status"}, "clean", output="clean", exit=0))
    session.end()
    last = session.prompt("Now paint it. <script>alert('tide')</script>")
    session.respond("Painted. \N{ARTIST PALETTE}")
    session.revert = {"messageID": last["id"], "snapshot": "5d1c"}
    made.add(session)


def _newer(made: _History) -> None:
    """Talk as the newer table has it."""
    session = made.session("Tides", GPT)
    session.prompt("When is high tide?")
    session.respond("I look.", session.use("bash", {"command": "tide"}, "06:12", exit=0), reasoning="A table tells.")
    session.respond("At 06:12.")
    summed = session.prompt("High tide is at 06:12.")
    summed["kind"] = "synthetic"
    session.respond("Low tide is at noon.")
    made.newer.append(session)


def _older(made: _History) -> None:
    """Leave files of before: an answer of several steps in one message, and a session that the database has as well."""
    session = made.session("Steps", SONNET, project_id="b" * 40)
    session.prompt("Do two things.")
    session.begin()
    listed = session.use("bash", {"command": "ls"}, "a.py", output="a.py", exit=0)
    session.step("First this.", listed, tokens=_tokens(3100, 60, total=False), cost=0.0102)
    session.step("Then that.", tokens=_tokens(40, 30, 0, 3100, 90, total=False), cost=0.0017)
    session.own["turns"] += 1
    session.end()
    made.files.append(session)
    both = made.session("In both", GPT, project_id="c" * 40)
    both.prompt("Are you in both?")
    both.respond("I am.")
    made.files.append(both)
    made.add(both)


_ODD: tuple[Callable[[_History], None], ...] = (_helped, _failures, _compacted, _parts, _newer, _older, _calls)
