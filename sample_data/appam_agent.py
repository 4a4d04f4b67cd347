"""Play an agent made with appam: the transcript, the counts and the trace that a run of it leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from vocabulary import microseconds, uuid4

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model, how its provider counts, and US dollars for a million tokens in and out."""

    name: str
    provider: str
    rates: tuple[float, float] = (3.0, 15.0)  # what the tool takes for a model that it does not know
    blocks: bool = True  # whether raw content blocks come with the text


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One call of a tool and what comes of it; a text in `failure` is the tool's error."""

    tool: str
    arguments: Any
    result: Any = None
    failure: str | None = None


def dumps(value: Any) -> str:
    """Return compact JSON, as it is stored."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def written_time(nanoseconds: int, suffix: str) -> str:
    """Return a time with as many digits as it needs: none, three, six or nine."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    whole = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{whole}.{digits}{suffix}" if digits else f"{whole}{suffix}"


def column_time(nanoseconds: int) -> str:
    """Return a time as columns and traces have it."""
    return written_time(nanoseconds, "+00:00")


def json_time(nanoseconds: int) -> str:
    """Return a time as the JSON of messages has it."""
    return written_time(nanoseconds, "Z")


class Agent:
    """One session of an agent, over one or more runs; all chance comes from `chance`."""

    def __init__(
        self,
        chance: random.Random,
        start: datetime,
        *,
        name: str,
        model: Model,
        trace: str | None = None,
        clock_ns: int = 1,
    ) -> None:
        self.chance = chance
        self.clock_ns = clock_ns  # some clocks tick in microseconds only
        self.session_id = uuid4(chance)
        self.agent_name = name
        self.model = self.first_model = model
        self.trace = trace
        self.lines: list[str] = []
        self.messages: list[dict[str, Any]] = []
        self.now_ns = microseconds(start) * 1000
        self.wait(0.0)
        self.started_ns = self.run_ns = self.now_ns
        self.ended_ns: int | None = None
        self.usage: dict[str, Any] = {
            f"total_{part}_tokens": 0 for part in ("input", "output", "cache_creation", "cache_read", "reasoning")
        } | {
            "total_compaction_input_tokens": 0,
            "total_compaction_output_tokens": 0,
            "total_cost_usd": 0.0,
            "request_count": 0,
        }
        self._context, self._cached = chance.randint(900, 2400), 0
        self._event("session_started", session_id=self.session_id)

    def wait(self, seconds: float) -> None:
        """Let time pass, by some nanoseconds more than asked."""
        self.now_ns += round(seconds * 1_000_000_000) + self.chance.randrange(1_000_000)
        self.now_ns -= self.now_ns % self.clock_ns

    def say(self, role: str, content: str, **more: Any) -> None:
        """Add a message that the model did not write."""
        self.messages.append({"role": role, "content": content} | more | {"timestamp": json_time(self.now_ns)})
        self._context += len(content) // 4 + 4

    def respond(
        self,
        text: str | None = None,
        *uses: Use,
        reasoning: str | None = None,
        blocks: list[dict[str, Any]] | None = None,
    ) -> None:
        """Add a response of the model, the calls in it, and their results."""
        self.wait(self.chance.uniform(0.5, 3.0))
        for kind, words in (("reasoning", reasoning), ("content", text)):
            for chunk in self._chunks(words or ""):
                if kind == "content" or self.trace == "detailed":
                    self._event(kind, content=chunk)
        calls = [self._call(use) for use in uses]
        for call in calls:
            self._event(
                "tool_call_started", tool_name=call["function"]["name"], arguments=call["function"]["arguments"]
            )
        self.wait(0.02)
        self._count(text, reasoning, calls)
        raw = blocks if blocks is not None else self._blocks(text, reasoning, calls)
        answer = {"id": f"resp_{self.chance.getrandbits(64):016x}"}
        if calls and text and not raw:  # such a response becomes two messages
            self._answer(answer["id"], content=text, reasoning=reasoning)
            text = None
        self._answer(
            answer["id"],
            content=text if not calls else None,  # then the text is in the raw blocks only
            tool_calls=calls or None,
            reasoning=reasoning,
            raw_content_blocks=raw or None,
        )
        for use, call in zip(uses, calls, strict=True):
            self._result(use, call)

    def end_run(self) -> None:
        """End the run: it is saved now, as a whole."""
        self.wait(0.01)
        self.ended_ns = self.now_ns
        self._event("done", total_elapsed_ms=self._elapsed_ms())

    def go_on(self, seconds: float, *, model: Model | None = None, trace: str | None = None) -> None:
        """Begin another run of the same session."""
        self.wait(seconds)
        self.model, self.trace, self.run_ns, self._cached = model or self.model, trace, self.now_ns, 0
        self._event("session_started", session_id=self.session_id)

    def fail(self, **data: Any) -> None:
        """Let the run fail: nothing of it is saved except its trace."""
        self._event("error", **data)

    def row(self, **changes: Any) -> tuple[Any, ...]:
        """Return the row of the history."""
        ended = None if self.ended_ns is None else column_time(self.ended_ns)
        answers = [message for message in self.messages if message["role"] == "assistant"]
        row = {
            "id": self.session_id,
            "agent_name": self.agent_name,
            "model": self.first_model.name,
            "messages": dumps(self.messages),
            "metadata": None,
            "started_at": column_time(self.started_ns),
            "updated_at": ended or column_time(self.now_ns),
            "ended_at": ended,
            "turn_count": sum("content" in message for message in answers),
            "tool_call_count": sum(len(message.get("tool_calls", ())) for message in answers),
            "usage": dumps(self.usage),
        }
        return tuple((row | changes).values())

    def _answer(self, response_id: str, **members: Any) -> None:
        present = {key: value for key, value in members.items() if value is not None}
        about = {
            "timestamp": json_time(self.now_ns),
            "id": f"msg_{uuid4(self.chance).replace('-', '')}",
            "provider_response_id": response_id,
            "status": "completed",
        }
        self.messages.append({"role": "assistant"} | present | about)

    def _call(self, use: Use) -> dict[str, Any]:
        prefix = {"anthropic": "toolu", "openai": "call"}.get(self.model.provider, "function-call")
        text = use.arguments if isinstance(use.arguments, str) else dumps(use.arguments)
        call_id = f"{prefix}_{self.chance.getrandbits(64):016x}"
        return {"id": call_id, "type": "function", "function": {"name": use.tool, "arguments": text}}

    def _result(self, use: Use, call: dict[str, Any]) -> None:
        milliseconds = round(self.chance.uniform(0.2, 1800), 6)
        self.wait(milliseconds / 1000)
        if use.failure is None:
            result, more = use.result, {"result": use.result} if self.trace == "detailed" else {}
            data = {"tool_name": use.tool} | more | {"success": True, "duration_ms": milliseconds}
            self._event("tool_call_completed", **data)
        else:
            result = {"error": use.failure, "success": False}
            self._event("tool_call_failed", tool_name=use.tool, error=use.failure)
        about = {"success": use.failure is None, "duration_ms": milliseconds, "tool_name": use.tool}
        text = result if isinstance(result, str) else dumps(result)
        self.messages.append(
            {
                "role": "tool",
                "name": use.tool,
                "tool_call_id": call["id"],
                "content": text,
                "tool_metadata": about | {"arguments": call["function"]["arguments"]},
                "timestamp": json_time(self.now_ns),
            }
        )
        self._context += len(text) // 4 + 4

    def _blocks(self, text: str | None, reasoning: str | None, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not self.model.blocks:
            return []
        found: list[dict[str, Any]] = []
        if reasoning and self.model.provider == "openai":
            block_id = f"rs_{self.chance.getrandbits(48):012x}"
            found.append({"type": "thinking", "id": block_id, "thinking": reasoning, "redacted": False})
        elif reasoning:
            signature = f"invented{self.chance.getrandbits(128):032x}"
            found.append({"type": "thinking", "thinking": reasoning, "signature": signature, "redacted": False})
        if text:
            found.append({"type": "text", "text": text})
        for call in calls:
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            found.append({"type": "tool_use", "id": call["id"], "name": name, "input": json.loads(arguments)})
        return found

    def _count(self, text: str | None, reasoning: str | None, calls: list[dict[str, Any]]) -> None:
        """Add the counts of a response to the session's, in the way of its provider."""
        spoken = sum(len(part) // 4 + 1 for part in (text, dumps(calls)) if part) + self.chance.randint(8, 40)
        thought = len(reasoning) // 2 + self.chance.randint(20, 200) if reasoning else 0
        entire = self._context + self.chance.randint(2, 30)
        read, self._cached = self._cached // 128 * 128, entire
        counts = {"request_count": 1, "total_cache_read_tokens": read}
        if self.model.provider == "anthropic":
            created = max(0, entire - read - 6)  # what is read or written is not part of the input
            output = spoken + thought
            counts |= {"total_input_tokens": entire - read - created, "total_cache_creation_tokens": created}
        else:
            # The one provider counts what was thought as output, the other beside it.
            output = spoken + thought if self.model.provider == "openai" else spoken
            counts |= {"total_input_tokens": entire, "total_reasoning_tokens": thought}
        counts["total_output_tokens"] = output
        for name, count in counts.items():
            self.usage[name] += count
        rate_in, rate_out = self.model.rates
        # The tool takes what was read from the input of every provider, even where it never was part of it.
        cost = max(0, counts["total_input_tokens"] - read) * rate_in + read * rate_in / 10 + output * rate_out
        self.usage["total_cost_usd"] = round(self.usage["total_cost_usd"] + cost / 1e6, 9)
        self._context += spoken
        total = self.usage["total_input_tokens"] + self.usage["total_output_tokens"]
        names = (
            "total_cost_usd",
            "request_count",
            "total_input_tokens",
            "total_output_tokens",
            "total_cache_creation_tokens",
            "total_cache_read_tokens",
            "total_reasoning_tokens",
        )
        self._event("usage_update", total_tokens=total, **{name: self.usage[name] for name in names})

    def _chunks(self, text: str) -> Iterator[str]:
        """Yield a text as it streams in, while time passes."""
        while text:
            size = self.chance.randint(12, 60)
            self.wait(size / 300)
            yield text[:size]
            text = text[size:]

    def _elapsed_ms(self) -> float:
        return (self.now_ns - self.run_ns) / 1_000_000

    def _event(self, kind: str, **data: Any) -> None:
        if self.trace is not None:
            about = {"timestamp": column_time(self.now_ns), "elapsed_ms": self._elapsed_ms(), "type": kind}
            self.lines.append(dumps(about | {"data": data}))
