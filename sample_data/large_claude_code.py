"""Write large folders in the format of Claude Code, quickly: lines are put together from ready texts."""

from __future__ import annotations

import json
import os
import random
import sys
from dataclasses import dataclass, field
from typing import Any

from claude_transcript import agent_name, clock, dumps, folder_name, version_4
from vocabulary import FIRST_DAY, HOME, PROJECTS, SEED, microseconds, text_pool

_MODELS = ("claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5-20251001")
_TOOLS = (
    ("Bash", '{"command":"%s","description":"Run it"}'),
    ("Read", '{"file_path":"/home/ada/projects/harbor/src/%s"}'),
    ("Edit", '{"file_path":"/home/ada/projects/harbor/src/store.py","old_string":"%s","new_string":"pass"}'),
    ("Grep", '{"pattern":"%s","output_mode":"content"}'),
)
_LARGEST_CONTEXT = 160_000
_FIRST_FORK = 4  # so many sessions are there before one is forked
_TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
_CREATED = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


@dataclass(slots=True, kw_only=True)
class _Transcript:
    """One file while it is written; lines are without their ends."""

    session_id: str
    cwd: str
    model: str
    agent_id: str | None = None
    now_ms: int
    lines: list[str] = field(default_factory=list)
    parent: str | None = None
    context: int = 18_000
    cached: int = 0


def write_claude_code(folder: str, line_count: int) -> None:
    """Write a folder of so many lines, two and a half kilobytes each on average, in files of 100 to 3,000."""
    _Writer(folder, line_count).write()


class _Writer:
    """Makes session after session until there are enough lines."""

    def __init__(self, folder: str, line_count: int) -> None:
        self.folder = os.path.join(folder, "projects")
        self.left = line_count
        self.chance = chance = random.Random(SEED)
        self.bits = chance.getrandbits
        self.texts = [dumps(text)[1:-1] for text in text_pool(chance)]
        self.results = [self._result(number) for number in range(1024)]
        self.signatures = [f"{self.bits(2400):0600x}" for _ in range(64)]
        self.now_ms = microseconds(FIRST_DAY) // 1000
        self.earlier: list[_Transcript] = []

    def _result(self, number: int) -> str:
        """Return what a tool gives: mostly some lines, at times some tens of kilobytes."""
        count = 1 + self.bits(2) if number % 4 else 130 if number % 64 == 0 else 4 + self.bits(3)
        return "\\n".join(self.texts[self.bits(12)] for _ in range(count))

    def write(self) -> None:
        number = 0
        os.makedirs(self.folder)
        while self.left > 0:
            self.now_ms += 600_000 + self.bits(22)
            origin = self.earlier[self.bits(8) % len(self.earlier)] if number % 10 == 9 else None
            found = self._fork(origin) if origin else self._begin(number)
            size = min(100 + int(2900 * self.chance.random() ** 2.2), self.left)
            while len(found.lines) < size:
                self._exchange(found, size)
            del found.lines[min(size, self.left) :]  # subagents have taken some
            self._save(found, f"{found.session_id}.jsonl")
            if origin is None:
                self.earlier = [*self.earlier, found][-_FIRST_FORK:]
            self.now_ms = max(self.now_ms, found.now_ms - 3_600_000)
            number += 1

    def _begin(self, number: int) -> _Transcript:
        cwd, model = f"{HOME}/{PROJECTS[number % 3]}", _MODELS[number % 5 % 3]
        return _Transcript(session_id=self._uuid(), cwd=cwd, model=model, now_ms=self.now_ms)

    def _fork(self, origin: _Transcript) -> _Transcript:
        """Begin with a copy of an earlier session's first lines; lines without a uuid are not copied."""
        self.now_ms = max(self.now_ms, origin.now_ms + 60_000)
        found = _Transcript(session_id=self._uuid(), cwd=origin.cwd, model=origin.model, now_ms=self.now_ms)
        old, new = f'"sessionId":"{origin.session_id}"', f'"sessionId":"{found.session_id}"'
        count = min(int(len(origin.lines) * self.chance.uniform(0.2, 0.8)), self.left)
        found.lines = [line.replace(old, new, 1) for line in origin.lines[:count] if '"uuid":"' in line]
        if found.lines:
            found.parent = json.loads(found.lines[-1])["uuid"]
        return found

    def _save(self, transcript: _Transcript, *names: str) -> None:
        path = os.path.join(self.folder, folder_name(transcript.cwd), *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write("\n".join([*transcript.lines, ""]))
        self.left -= len(transcript.lines)

    def _uuid(self) -> str:
        return version_4(self.bits(128))

    def _add(self, to: _Transcript, body: str, after: str = "") -> str:
        """Add a line of the chain and return its uuid."""
        uuid = self._uuid()
        to.now_ms += 5 + self.bits(9)
        parent = f'"{to.parent}"' if to.parent else "null"
        side = f'true,"agentId":"{to.agent_id}"' if to.agent_id else "false"
        to.lines.append(
            f'{{"parentUuid":{parent},"isSidechain":{side},{body},"uuid":"{uuid}","timestamp":"{clock(to.now_ms)}"{after},'
            f'"userType":"external","entrypoint":"cli","cwd":"{to.cwd}","sessionId":"{to.session_id}",'
            '"version":"2.1.220","gitBranch":"main"}'
        )
        to.parent = uuid
        return uuid

    def _exchange(self, to: _Transcript, size: int) -> None:
        """Add a prompt and what follows: some steps with tools, an answer, the time it took."""
        began = to.now_ms = to.now_ms + 1000 + self.bits(16)
        if not to.agent_id:
            snapshot = (
                f'"snapshot":{{"messageId":"{self._uuid()}","trackedFileBackups":{{}},"timestamp":"{clock(began)}"}}'
            )
            to.lines.append(
                f'{{"type":"file-history-snapshot","messageId":"{self._uuid()}",{snapshot},"isSnapshotUpdate":false}}'
            )
        self._add(
            to, f'"type":"user","message":{{"role":"user","content":"{self._text()}"}}', ',"promptSource":"typed"'
        )
        for _ in range(6 + self.bits(3)):
            if to.context > _LARGEST_CONTEXT and not to.agent_id:
                self._compact(to)
            self._step(to, size)
        self._respond(to, [self._text_block()], "end_turn")
        if to.agent_id:
            return
        self._add(to, f'"type":"system","subtype":"turn_duration","durationMs":{to.now_ms - began}', ',"isMeta":false')

    def _step(self, to: _Transcript, size: int) -> None:
        """Add a response that calls one to three tools, and their results."""
        count = (1, 1, 1, 1, 1, 2, 2, 3)[self.bits(3)]
        ids = [f"toolu_01{self.bits(88):022x}" for _ in range(count)]
        has_agent = to.agent_id is None and self.bits(6) == 0 and size - len(to.lines) > 80
        blocks = [self._thinking_block()] if self.bits(1) else []
        if self.bits(2) == 0:
            blocks.append(self._text_block())
        for at, call_id in enumerate(ids):
            name, arguments = _TOOLS[self.bits(2)]
            if has_agent and at == 0:
                name, arguments = "Task", '{"description":"Look","prompt":"%s","subagent_type":"Explore"}'
            blocks.append(f'{{"type":"tool_use","id":"{call_id}","name":"{name}","input":{arguments % self._text()}}}')
        asked = self._respond(to, blocks, "tool_use")[-count:]
        for at, (call_id, uuid) in enumerate(zip(ids, asked, strict=True)):
            to.now_ms += self.bits(12)
            text = self.results[self.bits(10)]
            more = f'{{"stdout":"{text}","stderr":"","interrupted":false,"isImage":false}}'
            if has_agent and at == 0:
                agent_id = self._agent(to)
                content = f'[{{"type":"text","text":"{text}"}}]'
                more = f'{{"status":"completed","prompt":"","agentId":"{agent_id}","content":{content}}}'
            to.parent, to.context = uuid, to.context + len(text) // 4
            result = f'{{"tool_use_id":"{call_id}","type":"tool_result","content":"{text}","is_error":false}}'
            self._add(
                to,
                f'"type":"user","message":{{"role":"user","content":[{result}]}}',
                f',"toolUseResult":{more},"sourceToolAssistantUUID":"{uuid}"',
            )

    def _agent(self, of: _Transcript) -> str:
        """Write the file of a subagent and return its id."""
        agent = _Transcript(
            session_id=of.session_id,
            cwd=of.cwd,
            model=_MODELS[2],
            agent_id=agent_name(self.bits(64)),
            now_ms=of.now_ms,
            context=6_000,
        )
        while len(agent.lines) < 20:
            self._exchange(agent, 0)
        # The session that asked must still have room.
        del agent.lines[max(1, min(60, self.left - len(of.lines) - 40)) :]
        self._save(agent, of.session_id, "subagents", f"agent-{agent.agent_id}.jsonl")
        meta = os.path.join(
            self.folder, folder_name(of.cwd), of.session_id, "subagents", f"agent-{agent.agent_id}.meta.json"
        )
        with open(meta, "w", encoding="utf-8") as file:
            file.write('{"agentType":"Explore","description":"Look"}')
        of.now_ms = agent.now_ms
        return str(agent.agent_id)

    def _compact(self, to: _Transcript) -> None:
        """Begin the chain anew with a summary of what was said."""
        before = f'"logicalParentUuid":"{to.parent}",' if to.parent else ""
        to.parent, tokens = None, to.context
        self._add(
            to,
            f'{before}"type":"system","subtype":"compact_boundary","content":"Conversation compacted","isMeta":false,'
            f'"level":"info","compactMetadata":{{"trigger":"auto","preTokens":{tokens}}}',
        )
        said = f"This session is being continued from a previous conversation. {self.results[self.bits(10)][:4000]}"
        # A cut in the middle of an escape would not be JSON.
        self._add(
            to,
            f'"type":"user","message":{{"role":"user","content":"{said.rstrip(chr(92))}"}}',
            ',"isVisibleInTranscriptOnly":true,"isCompactSummary":true',
        )
        to.context, to.cached = 24_000, 0

    def _respond(self, to: _Transcript, blocks: list[str], stop_reason: str) -> list[str]:
        """Add a response, a line for each block: the counts are repeated, and that of the output grows."""
        output = 40 + self.bits(8) + (self.bits(12) if self.bits(2) == 0 else 0) + 60 * len(blocks)
        created, to.cached = max(to.context - to.cached, 0), to.context
        read = to.context - created
        hour = created if self.bits(1) else 0
        plain = 1 + self.bits(4)
        message_id, request_id = f"msg_01{self.bits(88):022x}", f"req_011C{self.bits(80):020x}"
        uuids = []
        for at, block in enumerate(blocks, 1):
            is_last = at == len(blocks)
            written = output if is_last else 1 + self.bits(3) if at == 1 else output * at // (len(blocks) + 1)
            stop = f'"{stop_reason}"' if is_last else "null"
            message = (
                f'"message":{{"model":"{to.model}","id":"{message_id}","type":"message","role":"assistant",'
                f'"content":[{block}],"stop_reason":{stop},"stop_sequence":null,"usage":{{"input_tokens":{plain},'
                f'"cache_creation_input_tokens":{created},"cache_read_input_tokens":{read},"output_tokens":{written},'
                f'"server_tool_use":{{"web_search_requests":0,"web_fetch_requests":0}},"service_tier":"standard",'
                f'"cache_creation":{{"ephemeral_1h_input_tokens":{hour},"ephemeral_5m_input_tokens":{created - hour}}},'
                f'"speed":"standard"}}}},"requestId":"{request_id}","type":"assistant"'
            )
            uuids.append(self._add(to, message))
        to.context += output
        return uuids

    def _text(self) -> str:
        return self.texts[self.bits(12)]

    def _text_block(self) -> str:
        return f'{{"type":"text","text":"{self._text()}"}}'

    def _thinking_block(self) -> str:
        signature = self.signatures[self.bits(6)]
        return f'{{"type":"thinking","thinking":"{self._text()}","signature":"{signature}"}}'


def true_totals(folder: str) -> dict[str, Any]:
    """Return what the responses below a folder used, each counted once, by plain Python.

    A response is known by the ids of its message and its request; of its lines the one with most output counts.
    """
    best: dict[tuple[str, str | None], dict[str, Any]] = {}
    lines = size = files = 0
    for at, _, names in os.walk(folder):
        for name in names:
            if not name.endswith(".jsonl"):
                continue
            files += 1
            with open(os.path.join(at, name), "rb") as file:
                for line in file:
                    lines, size = lines + 1, size + len(line)
                    if b'"type":"assistant"' in line:
                        _keep_largest(best, json.loads(line))
    totals = dict.fromkeys((*_TOKENS, *_CREATED), 0)
    for usage in best.values():
        for token in _TOKENS:
            totals[token] += usage[token]
        for token in _CREATED:
            totals[token] += usage["cache_creation"][token]
    return {"files": files, "lines": lines, "bytes": size, "responses": len(best), **totals}


def _keep_largest(best: dict[tuple[str, str | None], dict[str, Any]], line: dict[str, Any]) -> None:
    """Note the usage of a line if no other line of its response had more output."""
    if line["type"] != "assistant":
        return
    message = line["message"]
    key, usage = (message["id"], line.get("requestId")), message["usage"]
    if key not in best or usage["output_tokens"] > best[key]["output_tokens"]:
        best[key] = usage


if __name__ == "__main__":
    print(json.dumps(true_totals(sys.argv[1]), indent=2))
