"""Play Claude Code: the lines that it appends to the file of a session, in the shapes of its versions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from vocabulary import microseconds

if TYPE_CHECKING:
    import random

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DENIED = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the "
    "new_string was NOT written to the file). STOP what you are doing and wait for the user to tell you how to proceed."
)


def dumps(value: Any) -> str:
    """Return JSON as the tool writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def clock(milliseconds: int) -> str:
    """Return a time as lines have it."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]}.{rest:03d}Z"


def folder_name(cwd: str) -> str:
    """Return the name of the folder for the sessions of a working folder."""
    return re.sub("[^A-Za-z0-9-]", "-", cwd)


def version_4(bits: int) -> str:
    """Return 128 bits as an id; by hand, since large files need millions of them."""
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def agent_name(bits: int) -> str:
    """Return the id of a subagent."""
    return f"a{bits:016x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One call of a tool and what comes of it; a call without `result` is never answered."""

    tool: str
    input: dict[str, Any]
    result: Any = None  # a text, or a list of blocks
    is_error: bool = False
    is_denied: bool = False
    more: Any = None  # `toolUseResult`
    seconds: float = 0.4

    @property
    def is_answered(self) -> bool:
        """Whether there is a result, be it that the call was not allowed."""
        return self.is_denied or self.result is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What is true of one response of the model, however many lines and copies it has."""

    message_id: str
    request_id: str | None
    model: str
    usage: dict[str, Any]
    uses: tuple[Use, ...] = ()
    asked: tuple[tuple[str, str], ...] = ()  # the id of each call, and the uuid of its line
    cost_usd: float | None = None
    is_partial: bool = False
    is_sidechain: bool = False

    @property
    def key(self) -> tuple[str, str | None]:
        """What tells a response from all others."""
        return self.message_id, self.request_id


@dataclass(slots=True, kw_only=True)
class Style:
    """What versions and ways of starting the tool have in common on each line."""

    cwd: str
    version: str = "2.1.220"
    branch: str = "main"
    is_old: bool = False  # the common members came first
    has_request_ids: bool = True
    has_split_cache: bool = True
    more: dict[str, Any] = field(default_factory=dict)  # `slug`, `sessionKind`


class Transcript:
    """The file of one session, or of one subagent in it; all chance comes from `chance`."""

    def __init__(
        self,
        chance: random.Random,
        start: datetime,
        style: Style,
        *,
        model: str,
        session_id: str | None = None,
        agent_id: str | None = None,
    ) -> None:
        self.chance = chance
        self.style = style
        self.model = model
        self.session_id = session_id or version_4(chance.getrandbits(128))
        self.agent_id = agent_id
        self.is_sidechain = agent_id is not None
        self.lines: list[str] = []
        self.parent: str | None = None
        self.now_ms = microseconds(start) // 1000
        self.last_ms = 0
        self.context, self.cached = chance.randint(14_000, 19_000), 0
        # What is true of the file, for `expected`.
        self.responses: list[Response] = []
        self.prompts: list[str] = []
        self.copied_prompts: list[str] = []
        self.web_searches = 0

    def wait(self, seconds: float) -> None:
        """Let time pass, and some milliseconds more."""
        self.now_ms += round(seconds * 1000) + self.chance.randint(1, 90)

    def bare(self, **members: Any) -> None:
        """Add a line that is no part of the chain."""
        self.lines.append(dumps(members))

    def chain(self, body: dict[str, Any], after: dict[str, Any] | None = None) -> str:
        """Add a line of the chain and return its uuid."""
        self.wait(0.02)
        uuid = version_4(self.chance.getrandbits(128))
        common: dict[str, Any] = {"userType": "external"}
        if not self.style.is_old:
            common["entrypoint"] = "cli"
        common |= {"cwd": self.style.cwd, "sessionId": self.session_id, "version": self.style.version}
        common |= {"gitBranch": self.style.branch} | self.style.more
        head: dict[str, Any] = {"parentUuid": self.parent, "isSidechain": self.is_sidechain}
        if self.agent_id:
            head["agentId"] = self.agent_id
        own = body | {"uuid": uuid, "timestamp": clock(self.now_ms)} | (after or {})
        self.lines.append(dumps(head | common | own if self.style.is_old else head | own | common))
        self.parent, self.last_ms = uuid, self.now_ms
        return uuid

    def prompt(self, content: str | list[dict[str, Any]], *, source: str | None = "typed", text: str = "") -> str:
        """Add what a person said; `text` is what of it counts, if that is not all."""
        self.wait(self.chance.uniform(20, 200))
        if self.agent_id is None:
            self.snapshot()
        said = text or (content if isinstance(content, str) else content[-1]["text"])
        if not self.is_sidechain:
            self.prompts.append(said)
        self.context += len(said) // 4 + 20
        has_source = source and not self.style.is_old and self.agent_id is None
        return self.user(content, **({"promptSource": source} if has_source else {}))

    def user(self, content: Any, **after: Any) -> str:
        """Add a line of type user, which need not be a person's."""
        return self.chain({"type": "user", "message": {"role": "user", "content": content}}, after)

    def snapshot(self) -> None:
        """Add what the tool notes of files before a prompt."""
        message_id = version_4(self.chance.getrandbits(128))
        found = {"messageId": message_id, "trackedFileBackups": {}, "timestamp": clock(self.now_ms)}
        self.bare(type="file-history-snapshot", messageId=message_id, snapshot=found, isSnapshotUpdate=False)

    def system(self, subtype: str, **more: Any) -> str:
        """Add a line of type system."""
        return self.chain({"type": "system", "subtype": subtype} | more)

    def attach(self, attachment: dict[str, Any], *, has_uuid: bool = True) -> None:
        """Add something that was handed to the model with a prompt or a result."""
        if has_uuid:
            self.chain({"type": "attachment", "attachment": attachment})
            return
        when = {"timestamp": clock(self.now_ms), "sessionId": self.session_id}
        self.bare(type="attachment", attachment=attachment, **when)

    def end_turn(self, seconds: float) -> None:
        """Add what newer versions note when the model has stopped."""
        self.system("turn_duration", durationMs=round(seconds * 1000), isMeta=False)

    def respond(
        self,
        text: str | None = None,
        *uses: Use,
        thinking: str | None = None,
        blocks: list[dict[str, Any]] | None = None,
        output: int | None = None,
        written: list[int] | None = None,
        stop_reason: str | None = "",
        usage: dict[str, Any] | None = None,
        model: str | None = None,
        message_id: str | None = None,
        cost_usd: float | None = None,
        is_waiting: bool = False,
    ) -> Response:
        """Add a response, a line for each block, and the results of its calls unless they are waited for.

        The counts are repeated on each line; that of the output is what had been `written` then.
        """
        self.wait(self.chance.uniform(1, 6))
        ids = [f"toolu_01{self._base(22)}" for _ in uses]
        shown = list(blocks or [])
        if thinking is not None:
            shown.append({"type": "thinking", "thinking": thinking, "signature": f"Er{self._base(90)}=="})
        if text is not None:
            shown.append({"type": "text", "text": text})
        shown += [
            {"type": "tool_use", "id": call_id, "name": use.tool, "input": use.input}
            for call_id, use in zip(ids, uses, strict=True)
        ]
        total = output if output is not None else 12 + len(dumps(shown)) // 4
        written = written or [*(min(n * 3 + 1, total) for n in range(len(shown) - 1)), total]
        stop = ("tool_use" if uses else "end_turn") if stop_reason == "" else stop_reason
        response = Response(
            message_id=message_id or f"msg_01{self._base(22)}",
            request_id=f"req_011C{self._base(20)}" if self.style.has_request_ids else None,
            model=model or self.model,
            usage=self._usage(max(written)) | (usage or {}),
            uses=uses,
            cost_usd=cost_usd,
            is_partial=stop is None,
            is_sidechain=self.is_sidechain,
        )
        uuids = []
        for at, (block, count) in enumerate(zip(shown, written, strict=True), 1):
            is_last = at == len(shown) or self.style.is_old
            uuids.append(self._answer(response, block, count, stop if is_last else None))
        self.context += total
        asked = zip(ids, uuids[len(shown) - len(uses) :], strict=True)
        self.responses.append(replace(response, asked=tuple(asked)))
        if not is_waiting:
            self.answer(self.responses[-1], *uses)
        return self.responses[-1]

    def answer(self, response: Response, *uses: Use) -> None:
        """Add the results of the calls of a response, which may be known later than the calls."""
        for use, (call_id, uuid) in zip(uses, response.asked, strict=True):
            if use.is_answered:
                self._result(use, call_id, uuid)

    def replay(self, response: Response, block: dict[str, Any]) -> None:
        """Add a response of the session that this subagent was begun in; another request brought it here."""
        self._answer(
            replace(response, request_id=f"req_011C{self._base(20)}"), block, response.usage["output_tokens"], None
        )

    def synthetic(self, text: str, **more: Any) -> None:
        """Add what the tool says in the model's place."""
        self.wait(0.1)
        usage = {
            "input_tokens": 0,
            "output_tokens": 0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
            "service_tier": None,
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
        }
        message = {
            "id": version_4(self.chance.getrandbits(128)),
            "container": None,
            "model": "<synthetic>",
            "role": "assistant",
            "stop_reason": "stop_sequence",
            "stop_sequence": "",
            "type": "message",
            "usage": usage,
            "content": [{"type": "text", "text": text}],
            "context_management": None,
        }
        self.chain({"type": "assistant", "message": message}, more)

    def _usage(self, output: int) -> dict[str, Any]:
        """Return the counts of a response that reads the whole context."""
        created, read = self.context - self.cached, self.cached
        self.cached = self.context
        plain = self.chance.randint(3, 12)
        found: dict[str, Any] = {
            "input_tokens": plain,
            "cache_creation_input_tokens": created,
            "cache_read_input_tokens": read,
        }
        if self.style.has_split_cache:
            hour = created if self.chance.random() < 0.5 else 0
            found["cache_creation"] = {
                "ephemeral_5m_input_tokens": created - hour,
                "ephemeral_1h_input_tokens": hour,
            }
        return found | {"output_tokens": output, "service_tier": "standard"}

    def _answer(self, response: Response, block: dict[str, Any], output: int, stop_reason: str | None) -> str:
        """Add a line of a response."""
        message = {
            "model": response.model,
            "id": response.message_id,
            "type": "message",
            "role": "assistant",
            "content": [block],
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": response.usage | {"output_tokens": output},
        }
        body: dict[str, Any] = {"message": message}
        if response.request_id:
            body["requestId"] = response.request_id
        cost = {} if response.cost_usd is None else {"costUSD": response.cost_usd, "durationMs": 4120}
        return self.chain(cost | body | {"type": "assistant"})

    def _result(self, use: Use, call_id: str, asked: str) -> None:
        """Add the answer to a call."""
        self.wait(use.seconds)
        content = _DENIED if use.is_denied else use.result
        block = {"tool_use_id": call_id, "type": "tool_result", "content": content}
        if use.is_error or use.is_denied:
            block["is_error"] = True
        more: Any = use.more
        if use.is_denied:
            more = "User rejected tool use"
        elif more is None:
            more = f"Error: {content}" if use.is_error else {"stdout": content, "stderr": "", "interrupted": False}
        self.parent = asked
        after = {"toolUseResult": more}
        self.user([block], **(after if self.style.is_old else after | {"sourceToolAssistantUUID": asked}))
        self.context += len(dumps(content)) // 4

    def copy(self, session_id: str, *, until: int | None = None) -> Transcript:
        """Return a session that begins with lines of this one, which differ in the session's id alone.

        Lines without a uuid are not copied.
        """
        found = Transcript(self.chance, _EPOCH, replace(self.style), model=self.model, session_id=session_id)
        old, new = f'"sessionId":"{self.session_id}"', f'"sessionId":"{session_id}"'
        found.lines = [line.replace(old, new) for line in self.lines[:until] if '"uuid":"' in line]
        last = json.loads(found.lines[-1])
        found.parent, found.now_ms = last["uuid"], self.now_ms
        found.context, found.cached = self.context, 0
        text = "\n".join(found.lines)
        found.responses = [response for response in self.responses if f'"id":"{response.message_id}"' in text]
        found.copied_prompts = [said for said in (*self.copied_prompts, *self.prompts) if dumps(said) in text]
        return found

    def _base(self, length: int) -> str:
        """Return letters and digits by chance."""
        return "".join(self.chance.choices("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", k=length))

    def content(self) -> bytes:
        """Return the file."""
        return "".join(f"{line}\n" for line in self.lines).encode()
