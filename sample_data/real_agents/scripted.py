"""What the scripted model says: the answer to a question, and the arguments of the tool it calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The tokens of one model call: `input` holds the cached ones, `output` those of the reasoning."""

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model says in one call: a text, a tool call, or an error."""

    text: str = ""
    thought: str = ""
    tool: str = ""  # one of the keys of _TOOL_NAMES
    said: str = ""  # what the tool is told
    forked: bool = False  # whether a helper begins with the session so far
    error: int = 0  # an HTTP status
    usage: Usage = Usage(input=60, output=4)


TITLE = Answer(text="Count the harbor tests")
SUMMARY = Answer(text="So far: two test files, counted.", usage=Usage(input=1800, output=30, cached=1536))
_SUMMARY_WORDS = "CONTEXT CHECKPOINT"  # what an agent says when it asks for one

# A question's words, and the answers to it in order: each tool result asks for the next one.
STORY: dict[str, tuple[Answer, ...]] = {
    "How many test files": (
        Answer(
            thought="**Counting the files**\n\nA listing tells.",
            tool="shell",
            said="ls tests",
            usage=Usage(input=1200, output=48, cached=0, reasoning=16),
        ),
        Answer(text="There are two test files.", usage=Usage(input=1280, output=20, cached=1024, reasoning=0)),
    ),
    "What does the berth module do": (
        Answer(
            thought="**Reading from memory**\n\nThe name says it.",
            text="It assigns a berth to each ship.",
            usage=Usage(input=1400, output=90, cached=1152, reasoning=64),
        ),
    ),
    "Run the missing check": (
        Answer(
            tool="shell",
            said="cat tests/test_missing.py",
            usage=Usage(input=1500, output=24, cached=1280),
        ),
        Answer(text="That file does not exist.", usage=Usage(input=1560, output=12, cached=1408)),
    ),
    "Ask a helper": (
        Answer(
            tool="helper",
            said="How many test files are in tests?",
            usage=Usage(input=1600, output=40, cached=1408),
        ),
        Answer(
            tool="wait",
            usage=Usage(input=1650, output=20, cached=1536),
        ),
        Answer(text="The helper counted two test files.", usage=Usage(input=1700, output=16, cached=1536)),
    ),
    "Let a fork count": (
        Answer(
            tool="helper",
            said="Which test files did you see?",
            forked=True,
            usage=Usage(input=1620, output=40, cached=1408),
        ),
        Answer(tool="wait", usage=Usage(input=1660, output=20, cached=1536)),
        Answer(text="The fork saw the same two.", usage=Usage(input=1720, output=16, cached=1536)),
    ),
    "Which test files did you see": (
        Answer(text="Berths and tides.", usage=Usage(input=1640, output=18, cached=1408)),
    ),
    "Ask for too much": (Answer(error=400),),
    "So far: two test files": (Answer(text="As counted: two.", usage=Usage(input=900, output=10, cached=512)),),
}

# What agents call the same tool.
_TOOL_NAMES = {
    "": ("complete_task",),  # how one agent's helpers hand over their answer
    "shell": ("exec_command", "shell_command", "shell", "local_shell", "bash", "run_shell_command", "developer__shell"),
    "helper": ("spawn_agent", "task", "delegate", "invoke_agent"),
    "wait": ("wait_agent", "wait"),
}


# Where the command, the question or the answer goes.
_PLACES = {"": ("result", "response"), "shell": ("command", "cmd"), "helper": ("message", "prompt", "instructions")}
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def answer_to(texts: list[tuple[str, str]], tools: dict[str, Json]) -> tuple[Answer, str]:
    """Choose the answer to a conversation, and the name of the tool that it calls.

    Args:
        texts: (kind, text) of each message, kind being `user`, `tool` or `other`.
        tools: The parameters' schema of each tool on offer, by name.
    """
    last = next((text for kind, text in reversed(texts) if kind == "user"), "")
    if _SUMMARY_WORDS in last:
        return SUMMARY, ""
    if not tools:
        return TITLE, ""
    steps: tuple[Answer, ...] = (TITLE,)
    results = 0
    for kind, text in texts:
        if kind == "tool":
            results += 1
        found = max(STORY, key=text.rfind)
        if kind == "user" and found in text:
            steps, results = STORY[found], 0
    for answer in steps[results:]:
        named = [name for name in _TOOL_NAMES[answer.tool] if name in tools]
        if named or not answer.tool:
            return answer, named[0] if named else ""
    return steps[-1], ""


def arguments_for(answer: Answer, schema: Json, texts: list[tuple[str, str]]) -> Json:
    """Give the arguments the names and the shapes that the tool's schema asks for."""
    made: Json = {}
    results = [text for kind, text in texts if kind == "tool"]
    value = answer.said or answer.text
    for name, about in (schema.get("properties") or {}).items():
        if name in _PLACES.get(answer.tool, ()):
            made[name] = _value(value, answer, about, texts)
        elif name == "fork_context":
            made[name] = answer.forked
        elif name in ("targets", "ids"):
            made[name] = re.findall(_UUID, results[-1])[:1] if results else []
        elif name in (schema.get("required") or ()):
            made[name] = filler(name, about)
    return made


def _value(value: str, answer: Answer, about: Json, texts: list[tuple[str, str]]) -> Any:
    if str(about.get("type")).lower() == "object":
        return arguments_for(answer, about, texts)
    return ["bash", "-c", value] if about.get("type") == "array" else value


def filler(name: str, about: Json) -> Any:
    """Give some value of the type that a schema asks for."""
    if about.get("enum"):
        return about["enum"][0]
    plain: Json = {"array": [], "object": {}, "boolean": False, "integer": 30, "number": 30}
    text = {"subagent_type": "general", "agent_name": "generalist", "description": "Count the test files"}
    return plain.get(str(about.get("type")).lower(), text.get(name, "count"))
