"""Tell an invented session step by step and return it as a sessionlab.Session."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sessionlab import Message, ModelConfig, Session, ToolCall, Usage
from sessionlab.model import Kind, Role, Status, normal_finish_reason, to_json

if TYPE_CHECKING:
    import random

# US dollars for a million tokens in and out: for the costs that some invented agents report themselves.
_RATES = {"claude-sonnet-5": (2.0, 10.0), "claude-opus-5": (5.0, 25.0), "claude-haiku-4-5": (1.0, 5.0)}
# What the provider calls the model that answered.
_SERVED = {"claude-haiku-4-5": "claude-haiku-4-5-20251001"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One tool call of a task and what comes of it."""

    tool: str
    arguments: Any
    result: str | None
    status: Status = "ok"
    exit_code: int | None = None
    seconds: float | None = None


class Story:
    """One session that is being invented; all chance comes from `chance`, all times from `start`."""

    def __init__(
        self,
        chance: random.Random,
        start: datetime,
        *,
        config: ModelConfig | None,
        reports_cost: bool = False,
        **session: Any,
    ) -> None:
        self.chance = chance
        self.now = start
        self.config = config
        self.reports_cost = reports_cost
        self.head: str | None = None
        self.messages: list[Message] = []
        self.calls: list[ToolCall] = []
        self.run = self._uuid()
        self._context = chance.randint(1800, 4200)  # the tools' descriptions
        self._cached = 0
        self._session = Session(session_id=self._uuid(), started_at=start, **session)

    @property
    def session_id(self) -> str:
        """The session's id, known from the start."""
        return self._session.session_id

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(microseconds=round(seconds * 1_000_000))

    def add(
        self,
        role: Role,
        content: str | None,
        *,
        kind: Kind = "message",
        reasoning: str | None = None,
        **turn: Any,
    ) -> str:
        """Add a message after the newest one and return its id."""
        message_id = f"msg_{self.chance.getrandbits(48):012x}"
        self.messages.append(
            Message(
                message_id=message_id,
                role=role,
                kind=kind,
                content=content,
                reasoning=reasoning,
                parent_message_id=self.head,
                invocation_id=self.run,
                created_at=self.now,
                **turn,
            )
        )
        self.head = message_id
        self._context += _tokens(content) + _tokens(reasoning)
        return message_id

    def system(self, text: str) -> str:
        """Add a system prompt."""
        return self.add("system", text)

    def user(self, text: str) -> str:
        """Add a prompt."""
        self.wait(self.chance.uniform(4, 90))
        return self.add("user", text)

    def note(self, text: str, kind: Kind = "note") -> str:
        """Add what is never sent to a model."""
        self.wait(self.chance.uniform(0.1, 2))
        return self.add("system", text, kind=kind)

    def answer(
        self,
        text: str | None,
        *,
        reasoning: str | None = None,
        finish: str | None = "stop",
        usage: Usage | str | None = "counted",
        config: ModelConfig | str | None = "current",
        error_type: str | None = None,
        timed: bool = True,
    ) -> str:
        """Add a model response and return its id."""
        in_force = self.config if isinstance(config, str) else config
        counted = self._count(text, reasoning, in_force) if isinstance(usage, str) else usage
        output = counted.output_tokens if counted is not None and counted.output_tokens is not None else 40
        duration = round(self.chance.uniform(0.6, 1.9) + output / self.chance.uniform(45, 110), 3)
        started = self.now + timedelta(milliseconds=3)
        self.wait(duration + 0.003)
        model = None if in_force is None else in_force.request_model
        return self.add(
            "assistant",
            text,
            kind="message" if error_type is None else "error",
            reasoning=reasoning,
            is_turn=True,
            usage=counted,
            finish_reason=normal_finish_reason(finish),
            finish_reason_raw=finish,
            response_model=_SERVED.get(model or "", model) if error_type is None else None,
            reported_cost_usd=self._cost(counted, model) if self.reports_cost else None,
            started_at=started,
            duration_s=duration if timed else None,
            error_type=error_type,
            config=in_force,
        )

    def failure(self, error_type: str, text: str) -> str:
        """Add a model call that failed."""
        return self.answer(text, finish="error", error_type=error_type, usage=None)

    def call(self, turn_id: str | None, step: Step, *, call_id: str | None = None) -> None:
        """Add a tool call of a turn and, unless the step stays unanswered, its result."""
        started = self.now
        seconds = step.seconds if step.seconds is not None else round(self.chance.uniform(0.02, 4.0), 3)
        result_id = None
        if step.status != "unanswered":
            self.wait(seconds)
            result_id = self.add("tool", step.result)
        self.calls.append(
            ToolCall(
                tool_call_id=call_id or f"toolu_{self.chance.getrandbits(64):016x}",
                tool_name=step.tool,
                arguments=step.arguments if isinstance(step.arguments, str | None) else to_json(step.arguments),
                turn_id=turn_id,
                result_message_id=result_id,
                status=step.status,
                is_error=None if result_id is None else step.status != "ok",
                exit_code=step.exit_code,
                started_at=started,
                duration_s=None if result_id is None else seconds,
            )
        )

    def use(self, *steps: Step, text: str | None = None, reasoning: str | None = None) -> str:
        """Add a response that calls tools, the calls and their results."""
        finish = "tool_use" if self._provider() == "anthropic" else "tool_calls"
        turn_id = self.answer(text, reasoning=reasoning, finish=finish)
        for step in steps:
            self.call(turn_id, step)
        return turn_id

    def resume(self, after: timedelta) -> None:
        """Go on later with another run of the program."""
        self.now += after
        self.run = self._uuid()
        self._cached = 0  # the provider has forgotten by then
        self.add("system", "A new invocation continues the session.", kind="boundary")

    def fork(self, message_id: str) -> None:
        """Go on from an earlier message, as a branch."""
        self.wait(self.chance.uniform(20, 200))
        self.head = message_id

    def done(self, *, ended: bool = True, **changes: Any) -> Session:
        """Return the session."""
        self.wait(0.2)
        return replace(
            self._session,
            ended_at=self.now if ended else None,
            messages=tuple(self.messages),
            tool_calls=tuple(self.calls),
            **changes,
        )

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def _provider(self) -> str | None:
        return None if self.config is None else self.config.provider_name

    def _count(self, text: str | None, reasoning: str | None, config: ModelConfig | None) -> Usage:
        """Return inclusive counts, with those parts that this provider reports."""
        provider = None if config is None else config.provider_name
        entire = self._context + self.chance.randint(3, 40)
        spoken = _tokens(text) + self.chance.randint(12, 70)
        thought = _tokens(reasoning) * 3 + (self.chance.randint(20, 260) if reasoning else 0)
        read, self._cached = min(self._cached, entire), entire
        if provider == "anthropic":
            created = entire - read - self.chance.randint(0, min(8, entire - read))
            return Usage(
                input_tokens=entire,
                output_tokens=spoken + thought,
                cache_read_input_tokens=read,
                cache_creation_input_tokens=created,
            )
        if provider in ("openai", "gcp.gemini"):
            read = read // 128 * 128 if read >= 1024 else 0
            return Usage(
                input_tokens=entire,
                output_tokens=spoken + thought,
                cache_read_input_tokens=read,
                reasoning_output_tokens=thought,
            )
        return Usage(input_tokens=entire, output_tokens=spoken + thought)

    def _cost(self, usage: Usage | None, model: str | None) -> float | None:
        if usage is None or model not in _RATES:
            return None
        rate_in, rate_out = _RATES[model]
        read, created = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        paid = (usage.input_tokens or 0) - 0.9 * read + 0.25 * created
        return round((paid * rate_in + (usage.output_tokens or 0) * rate_out) / 1e6, 6)


def _tokens(text: str | None) -> int:
    return 0 if text is None else len(text.encode(errors="replace")) // 4 + 1
