"""An invented history of agents made with appam: ordinary sessions, every odd one, and traces of some."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from typing import TYPE_CHECKING, Any

from appam_agent import Agent, Model, Use, column_time, dumps, json_time
from vocabulary import PROJECTS, SEED, create_tables, moment, tasks, told

if TYPE_CHECKING:
    from collections.abc import Callable

SONNET = Model(name="claude-sonnet-5", provider="anthropic", rates=(2.0, 10.0))
GPT = Model(name="gpt-5.5", provider="openai", rates=(1.25, 10.0))
GEMINI = Model(name="gemini-3.1-pro-preview", provider="vertex", rates=(2.0, 12.0), blocks=False)
LOCAL = Model(name="workshop-coder-12b", provider="openai", blocks=False)
_CONTINUE = "Continue your task. Please call one of the required completion tools to finish this session."
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


# What a tool may give, other than a text and an object with something in it.
_VALUES: tuple[Any, ...] = (None, 512, 0.5, False, [], {})


class _Folder:
    """The files that are being made."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.chance = random.Random(SEED)
        self.names = [os.path.join("data", "sessions.db")]
        self.rows: list[tuple[Any, ...]] = []
        self.web: list[tuple[Any, ...]] = []

    def agent(self, name: str, model: Model, **more: Any) -> Agent:
        return Agent(self.chance, moment(self.chance), name=name, model=model, **more)

    def save(self, agent: Agent, **changes: Any) -> None:
        """Keep the row and the trace of a session."""
        self.rows.append(agent.row(**changes))
        self.save_trace(agent)

    def save_trace(self, agent: Agent) -> None:
        if agent.lines:
            self.write(f"session-{agent.session_id}.jsonl", "\n".join([*agent.lines, ""]))

    def save_log(self, agent: Agent) -> None:
        """Keep the session as one JSON text; its model is that of the last run."""
        session = {
            "session_id": agent.session_id,
            "agent_name": agent.agent_name,
            "model": agent.model.name,
            "messages": agent.messages,
            "started_at": json_time(agent.started_ns),
            "ended_at": None if agent.ended_ns is None else json_time(agent.ended_ns),
            "usage": agent.usage,
        }
        self.write(f"session-{agent.session_id}.json", json.dumps(session, ensure_ascii=False, indent=2))

    def write(self, name: str, text: str) -> None:
        self.names.append(os.path.join("logs", name))
        with open(os.path.join(self.path, "logs", name), "w", encoding="utf-8", newline="\n") as file:
            file.write(text)


def make(folder: str) -> list[str]:
    """Write the files into the folder and return their names."""
    os.makedirs(os.path.join(folder, "data"))
    os.makedirs(os.path.join(folder, "logs"))
    made = _Folder(folder)
    _ordinary(made)
    for tell in _ODD:
        tell(made)
    connection = sqlite3.connect(os.path.join(folder, made.names[0]))
    create_tables(connection, "appam/session_history.sql", "appam/sessions.sql")
    made.rows.sort(key=lambda row: row[6])  # a session is saved when its last run ends
    connection.executemany("insert into session_history values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", made.rows)
    connection.executemany("insert into sessions values (?, ?, ?, ?, ?, ?)", made.web)
    connection.commit()
    connection.close()
    return made.names


def _ordinary(made: _Folder) -> None:
    """Let agents do the known tasks; the first two leave traces that add up to what is stored."""
    agents = (
        ("coder", tasks("coder")[0], SONNET, "detailed"),
        ("researcher", tasks("researcher")[0], GPT, "compact"),
        ("coder", tasks("coder")[4], SONNET, None),
        ("reviewer", tasks("reviewer")[0], GPT, None),
        ("reviewer", tasks("reviewer")[1], GEMINI, None),
        ("ops", tasks("ops")[0], LOCAL, None),
        ("ops", tasks("ops")[2], GEMINI, None),
        ("coder", tasks("coder")[2], LOCAL, None),
        ("coder", tasks("coder")[3], SONNET, None),
        ("researcher", tasks("researcher")[2], GPT, None),
    )
    for number, (name, task, model, trace) in enumerate(agents):
        agent = made.agent(name, model, trace=trace, clock_ns=1 if number % 3 else 1000)
        agent.say("system", f"You are the {name}. Say what you did, in few words.")
        for place, exchange in enumerate(told(task["exchanges"], task, PROJECTS[number % 3])):
            if place:
                agent.go_on(agent.chance.uniform(20, 300), trace=trace)
            agent.say("user", exchange["prompt"])
            for at, step in enumerate(exchange.get("steps", ())):
                thought = exchange.get("reasoning") if at == 0 else None
                agent.respond("Let me look." if at == 0 else None, _use(step), reasoning=thought)
            agent.respond(exchange["answer"])
            agent.end_run()
        made.save(agent)


def _use(step: dict[str, Any]) -> Use:
    """Return a step of a task as a call; tools give texts or any other JSON."""
    if step.get("status") == "error":
        return Use(tool=step["tool"], arguments=step["arguments"], failure=step["result"])
    if step["tool"] == "bash":
        result: Any = {"exit_code": step.get("exit_code", 0), "stdout": step["result"]}
    elif step["tool"] in ("grep", "list_folder", "web_search"):
        result = step["result"].split("\n")
    else:
        result = step["result"]
    return Use(tool=step["tool"], arguments=step["arguments"], result=result)


def _continued(made: _Folder) -> None:
    """Go on the next day with another model; the column keeps the first, the trace has both runs."""
    agent = made.agent("planner", SONNET, trace="detailed")
    agent.say("system", "You plan work. Call `finish` when the plan stands.")
    agent.say("user", "Plan the move of tidepool to the new server.")
    agent.respond(
        "Five steps.", Use(tool="note", arguments={"text": "five steps"}, result=5), reasoning="DNS goes last."
    )
    agent.respond("Five steps: copy, compare, switch, wait, remove.")
    agent.end_run()
    agent.go_on(20 * 3600, model=GPT, trace="detailed")
    agent.say("user", "Which of them can be undone?")
    agent.respond("All but the last.", reasoning="Removing is the only one that destroys.")
    agent.say("user", _CONTINUE)
    agent.respond(None, Use(tool="finish", arguments={"steps": 5}, result=True))
    agent.end_run()
    made.save(agent)
    made.save_log(agent)


def _untraced_run(made: _Folder) -> None:
    """Leave a trace of the first run only, so that it does not add up to what is stored."""
    agent = made.agent("researcher", GPT, trace="detailed")
    agent.say("developer", "You look things up and say where you found them.")
    agent.say("user", "How deep is the harbor?")
    agent.respond("I look.", Use(tool="web_search", arguments={"query": "harbor depth"}, result=["chart 12"]))
    agent.respond("12 metres at the northern quay (chart 12).")
    agent.end_run()
    agent.go_on(600)
    agent.say("user", "And at low tide?")
    agent.respond("8.5 metres, by the same chart.", reasoning="The tide there is 3.5 metres.")
    agent.end_run()
    made.save(agent)


def _failed(made: _Folder) -> None:
    """Fail: there is no row, and the trace is all that is left."""
    agent = made.agent("coder", SONNET, trace="detailed")
    agent.say("user", "Rewrite everything.")
    agent.respond("I begin.", Use(tool="bash", arguments={"cmd": "ls"}, failure="No such tool: bash"))
    agent.fail(
        message="the provider said 429",
        failure_kind="provider_token_rate_limit",
        provider="anthropic",
        model=SONNET.name,
        http_status=429,
        request_payload=dumps({"headers": {"x-api-key": "sk-ant-invented-93e1"}, "body": {"max_tokens": 64000}}),
        response_payload=dumps({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down."}}),
        provider_response_id=None,
    )
    made.save_trace(agent)


def _only_blocks(made: _Folder) -> None:
    """Say things in raw blocks alone: text, pictures, what was thought, what was compacted."""
    agent = made.agent("painter", SONNET)
    agent.say("system", "You describe pictures.")
    agent.wait(4)
    picture = {"type": "base64", "media_type": "image/png", "data": _PIXEL}
    blocks: list[dict[str, Any]] = [
        {"type": "text", "text": "What is in these pictures?"},
        {"type": "image", "source": picture, "detail": "low"},
        {"type": "image", "source": {"type": "url", "url": "https://pictures.example/lighthouse.png"}},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Not one."},
            "title": "Hint",
        },
    ]
    agent.messages.append({"role": "user", "raw_content_blocks": blocks, "timestamp": json_time(agent.now_ns)})
    hidden = {"type": "thinking", "thinking": "", "encrypted_content": "aW52ZW50ZWQ=", "redacted": True}
    shown = {"type": "thinking", "thinking": "One pixel.", "signature": "invented00ff", "redacted": False}
    agent.respond(
        blocks=[
            hidden,
            shown,
            {"type": "text", "text": "A single pixel, "},
            {"type": "text", "text": "and a lighthouse."},
        ]
    )
    agent.say("user", "Thank you. Paint it.")
    summary = {"type": "compaction", "content": "So far: two pictures were described.", "id": "cmp_1"}
    sealed = {"type": "compaction", "encrypted_content": "aW52ZW50ZWQgdG9v", "id": "cmp_2"}
    agent.respond(blocks=[summary, sealed, {"type": "image", "source": picture}])
    agent.usage |= {"total_compaction_input_tokens": 2410, "total_compaction_output_tokens": 188}
    agent.respond(blocks=[{"type": "hologram", "depth": 3}, {"type": "text", "text": "Here it is."}])
    agent.end_run()
    made.save(agent)


def _calls(made: _Folder) -> None:
    """Call two tools at once, with arguments that are not JSON, and get every kind of result."""
    agent = made.agent("ops", LOCAL)
    agent.say("user", "What is wrong with web-1?")
    agent.respond(
        "Several things at once.",
        Use(tool="bash", arguments={"cmd": "uptime"}, result="load average: 31.02, 24.11, 9.87"),
        Use(tool="read_file", arguments='{"path": "/etc/hos', failure="EOF while parsing a string at line 1 column 18"),
    )
    agent.respond(None, *(Use(tool="probe", arguments={"n": n}, result=value) for n, value in enumerate(_VALUES)))
    agent.respond(None, Use(tool="clock", arguments="", result="2026-10-01T12:00:00Z"))
    del agent.messages[-1]  # a call that nothing answered
    agent.respond("Its load is three times what it was.")
    agent.end_run()
    made.save(agent, turn_count=41, tool_call_count=0)


def _members(made: _Folder) -> None:
    """Hold members that nobody knows, messages without times, and only what a message must have."""
    agent = made.agent("translator", GPT, clock_ns=1_000_000)
    agent.messages += [
        {"role": "developer", "name": "house_rules", "content": "Be brief.", "refusal": None},
        {
            "role": "user",
            "content": "Good morning in Hebrew? <script>alert('hello')</script>",
            "annotations": [{"n": 1}],
        },
        {"role": "assistant", "content": "בוקר טוב 👋", "status": "incomplete", "mood": "fine"},
        {"role": "user"},
        {"role": "assistant", "content": "", "id": "msg_00000000000000000000000000000000", "status": "failed"},
    ]
    agent.end_run()
    made.save(agent, usage=None, turn_count=None, tool_call_count=None)


def _columns(made: _Folder) -> None:
    """Hold rows of older versions, and rows that cannot be read as a whole."""
    agent = made.agent("coder", SONNET, clock_ns=1_000_000_000)
    agent.say("user", "Say hello.")
    agent.respond("Hello.")
    agent.respond("Hello again, out of the cache.")
    agent.end_run()
    older = {name: count for name, count in agent.usage.items() if "compaction" not in name}
    made.save(agent, usage=dumps(older))
    agent = made.agent("coder", GPT)
    agent.say("user", "This row was cut off.")
    agent.respond("It was.")
    agent.end_run()
    made.save(agent, messages=dumps(agent.messages)[:-70])
    agent = made.agent("nobody", LOCAL)
    agent.now_ns += 500_000_000
    made.save(agent)
    agent = made.agent("coder", GPT)
    agent.say("user", "Is anybody there?")  # saved by hand while it was going on
    made.save(agent, usage="not JSON")


def _web(made: _Folder) -> None:
    """Fill the older table of the web server, which has the same messages and fewer columns."""
    for number, model in enumerate((SONNET, GPT, GEMINI)):
        agent = made.agent("guide", model)
        agent.say("system", "You guide visitors of the harbor.")
        for prompt, answer in (("Where do the ferries leave?", "At quay 3."), ("When?", "Each hour, until 22:00."))[
            : number + 1
        ]:
            agent.wait(40)
            agent.say("user", prompt)
            agent.respond("One moment.", Use(tool="timetable", arguments={"quay": 3}, result={"until": "22:00"}))
            agent.respond(answer)
        times = column_time(agent.started_ns), column_time(agent.now_ns)
        messages = "[]" if number == 2 else dumps(agent.messages)
        made.web.append((agent.session_id, agent.agent_name, model.name, messages, *times))


_ODD: tuple[Callable[[_Folder], None], ...] = (
    _continued,
    _untraced_run,
    _failed,
    _only_blocks,
    _calls,
    _members,
    _columns,
    _web,
)
