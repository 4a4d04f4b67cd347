"""The values that are recorded and read back: frozen, without I/O."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal

from sessionlab.errors import RecordingError, warn

if TYPE_CHECKING:
    from datetime import datetime

Role = Literal["system", "user", "assistant", "tool"]
Kind = Literal["message", "boundary", "note", "context", "out_of_band", "skill", "error"]
FinishReason = Literal["stop", "length", "content_filter", "tool_call", "error"]
Status = Literal["ok", "error", "denied", "cancelled", "timeout", "unanswered", "suggested"]

ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")
KINDS: tuple[Kind, ...] = ("message", "boundary", "note", "context", "out_of_band", "skill", "error")
FINISH_REASONS: tuple[FinishReason, ...] = ("stop", "length", "content_filter", "tool_call", "error")
RESULT_STATUSES: tuple[Status, ...] = ("ok", "error", "denied", "cancelled", "timeout")

REMOVED = "[removed]"

# Spellings of the providers' own finish reasons; what is not here is kept as it is in `finish_reason_raw` alone.
_FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
    "safety": "content_filter",
    "refusal": "content_filter",
    "recitation": "content_filter",
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "function_call": "tool_call",
    "failed": "error",
}

# Compiled when first used, since that takes some milliseconds.
# Names that hold a secret. Plural `tokens` is a count, so it must not match.
_SENSITIVE_NAME = (
    r"(^|[^a-z])(api_?key|access_?key|secret|password|passwd|authorization|credentials?|bearer|private_?key|cookie"
    r"|key|token|auth)([^a-z]|$)"
)
# Values that are a secret whatever they are called: the providers' own prefixes, web tokens, bearer headers.
_SENSITIVE_VALUE = (
    r"\b(sk-[A-Za-z0-9_-]{8,}|(?:gh[pousr]|github_pat)_[A-Za-z0-9_]{16,}|xox[abprs]-[A-Za-z0-9-]{8,}|AKIA[0-9A-Z]{12,}"
    r"|AIza[0-9A-Za-z_-]{20,}|hf_[A-Za-z0-9]{16,}|gsk_[A-Za-z0-9]{16,}|xai-[A-Za-z0-9]{16,}|pplx-[A-Za-z0-9]{16,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)|(?i:\bbearer\s+\S{8,})"
)


def normal_finish_reason(raw: str | None) -> FinishReason | None:
    """Return the field's standard word for a provider's finish reason, or None where there is none.

    >>> normal_finish_reason("end_turn"), normal_finish_reason("pause_turn")
    ('stop', None)
    """
    if raw is None:
        return None
    word = raw.lower()
    for known in FINISH_REASONS:
        if word == known:
            return known
    return _FINISH_REASONS.get(word)


def _sha256(text: str) -> str:
    import hashlib  # 5 ms, and only a configuration needs it

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def without_secrets(value: Any, name: str = "") -> Any:
    """Return `value` with everything that looks like a secret replaced, however deep it lies."""
    if isinstance(value, Mapping):
        return {str(key): without_secrets(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner, name) for inner in value]
    if isinstance(value, str):
        if value and re.search(_SENSITIVE_NAME, _snake(name)):
            return REMOVED
        return re.sub(_SENSITIVE_VALUE, REMOVED, value)
    if isinstance(value, bytes | bytearray):
        return REMOVED
    return value


def _without_login(api_base: str) -> str:
    """Return the address without user name, password, and secrets in its path, query or fragment."""
    from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit  # 10 ms, seldom needed

    has_scheme = "://" in api_base
    try:
        parts = urlsplit(api_base if has_scheme else f"//{api_base}")
        host = parts.netloc.rpartition("@")[2]
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:  # not an address at all, for example an unclosed [
        return REMOVED
    query = urlencode([(name, without_secrets(value, name)) for name, value in pairs], quote_via=quote, safe="[]")
    address = urlunsplit((parts.scheme, host, parts.path, query, ""))
    return re.sub(_SENSITIVE_VALUE, REMOVED, address if has_scheme else address.removeprefix("//"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The settings that a model was asked with; equal contents are one configuration.

    Every field is None where it was not set. There is no field for an API key: a value in `extra` that looks like
    a secret is replaced by `[removed]` with a `SessionLabWarning`, and `api_base` loses user name and secrets.

    Attributes:
        provider_name: OpenTelemetry's spelling, for example `anthropic`, `openai`, `gcp.gemini`.
        api_base: The address of the service.
        request_model: The model that was asked for.
        temperature: Sampling temperature.
        top_p: Nucleus sampling share.
        max_tokens: Output tokens allowed.
        context_max_tokens: Tokens that the context may hold.
        assistant_minimum_context_tokens: Tokens kept free in the context for the answer.
        stop_sequences: Texts at which the model stops.
        reasoning_effort: For example `low`, `medium`, `high`.
        system_instructions: The system prompt; frames show its hash.
        extra: Anything else that can be written as JSON.

    Example:
        >>> a = ModelConfig(request_model="m", temperature=0.2)
        >>> a.model_config_id == ModelConfig(temperature=0.2, request_model="m").model_config_id
        True
    """

    provider_name: str | None = None
    api_base: str | None = None
    request_model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    context_max_tokens: int | None = None
    assistant_minimum_context_tokens: int | None = None
    stop_sequences: Sequence[str] | None = None
    reasoning_effort: str | None = None
    system_instructions: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Cut secrets, bring numbers and lists to one form, and refuse what cannot be stored."""
        for name in ("temperature", "top_p"):
            number = getattr(self, name)
            if number is not None:
                try:
                    found = math.nan if isinstance(number, bool | str) else float(number)
                except (TypeError, ValueError):
                    found = math.nan
                if not math.isfinite(found):
                    raise RecordingError(f"ModelConfig({name}={number!r}): expected a finite number. Leave it out.")
                object.__setattr__(self, name, found)
        for name in ("max_tokens", "context_max_tokens", "assistant_minimum_context_tokens"):
            number = getattr(self, name)
            if number is not None:
                object.__setattr__(self, name, whole_number(f"ModelConfig({name}=…)", number, least=-(2**63)))
        if self.stop_sequences is not None:
            given = [self.stop_sequences] if isinstance(self.stop_sequences, str) else self.stop_sequences
            object.__setattr__(self, "stop_sequences", tuple(str(text) for text in given))
        if self.api_base is not None:
            object.__setattr__(self, "api_base", _without_login(self.api_base))
        if self.extra is not None:
            clean = without_secrets(self.extra)
            text = to_json(clean)
            if REMOVED in text and text != to_json(dict(self.extra)):
                warn("ModelConfig(extra=…) held what looks like a secret; it was replaced by '[removed]'.")
            object.__setattr__(self, "extra", json.loads(text))

    @property
    def system_instructions_hash(self) -> str | None:
        """SHA-256 of the system prompt as 64 hexadecimal digits, or None without one."""
        if self.system_instructions is None:
            return None
        return _sha256(self.system_instructions)

    @property
    def model_config_id(self) -> str:
        """The configuration's name by its content: 32 hexadecimal digits, the same in every store."""
        content = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        if "system_instructions" in content:
            content["system_instructions"] = self.system_instructions_hash
        return _sha256(to_json(content))[:32]

    def __hash__(self) -> int:
        """Hash by content; `extra` is a dictionary, so the fields themselves cannot be hashed."""
        return hash(self.model_config_id)


_TOKEN_PARTS = ("cache_read_input_tokens", "cache_creation_input_tokens", "reasoning_output_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The tokens of one model response. None means "not reported", 0 means zero.

    Counts are inclusive, as OpenTelemetry and OpenAI have them: `input_tokens` holds what was read from and written
    to the cache, `output_tokens` holds the reasoning. Anthropic's `input_tokens` leaves the cache out: add the two
    cache counts to it.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None

    def __post_init__(self) -> None:
        """Take whole numbers of any kind (NumPy's, say) as int; `check` refuses the rest when it is recorded."""
        for name in ("input_tokens", "output_tokens", *_TOKEN_PARTS):
            value = getattr(self, name)
            if type(value) is not int and hasattr(value, "__index__") and not isinstance(value, bool):
                object.__setattr__(self, name, value.__index__())

    def check(self) -> None:
        """Refuse counts that cannot be.

        Raises:
            RecordingError: A count is negative or no whole number, or a part is larger than its whole.
        """
        for f in fields(self):
            if getattr(self, f.name) is not None:
                whole_number(f"Usage({f.name}=…)", getattr(self, f.name))
        cached = (self.cache_read_input_tokens or 0) + (self.cache_creation_input_tokens or 0)
        if self.input_tokens is not None and cached > self.input_tokens:
            raise RecordingError(
                f"{self!r}: {cached} cached tokens are more than all {self.input_tokens} input tokens. "
                "input_tokens holds all input, cached included; add the cache counts to what Anthropic reports."
            )
        if self.output_tokens is not None and (self.reasoning_output_tokens or 0) > self.output_tokens:
            raise RecordingError(
                f"{self!r}: more reasoning tokens than output tokens. "
                "output_tokens holds all output, reasoning included; add the two where they are reported apart."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One tool call with its result. Times are UTC; None means "not reported".

    Attributes:
        tool_call_id: The caller's own; may repeat within a session.
        tool_name: The tool.
        arguments: Text, raw where it is not JSON.
        turn_id: The `message_id` of the model response that asked for it, or None where no response did.
        result_message_id: The message of role `tool` that holds the result, or None while unanswered.
        status: `ok`, `error`, `denied`, `cancelled`, `timeout` or `unanswered`.
        is_error: None while unanswered.
        exit_code: Of a command.
        started_at: When the call was made.
        duration_s: Seconds.
    """

    tool_call_id: str
    tool_name: str
    arguments: str | None = None
    turn_id: str | None = None
    result_message_id: str | None = None
    status: Status = "unanswered"
    is_error: bool | None = None
    exit_code: int | None = None
    started_at: datetime | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, and where it is a model response, the facts of that turn. Times are UTC.

    Attributes:
        message_id: Unique within the session.
        role: `system`, `user`, `assistant` or `tool`.
        kind: `message` for what belongs to the conversation; `boundary`, `note`, `error` and so on for the rest.
        content: The text, or None (a response that only calls tools).
        reasoning: What the model thought, where it says.
        parent_message_id: The message it follows; None for the first.
        invocation_id: The run of the program that recorded it.
        created_at: When it was recorded.
        is_turn: True for a model response and for a failed model call.
        usage, finish_reason, finish_reason_raw, response_model, reported_cost_usd, started_at, duration_s,
        error_type, config: Of the turn; None elsewhere.
    """

    message_id: str
    role: Role
    kind: Kind = "message"
    content: str | None = None
    reasoning: str | None = None
    parent_message_id: str | None = None
    invocation_id: str | None = None
    created_at: datetime | None = None
    is_turn: bool = False
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    finish_reason_raw: str | None = None
    response_model: str | None = None
    reported_cost_usd: float | None = None
    started_at: datetime | None = None
    duration_s: float | None = None
    error_type: str | None = None
    config: ModelConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """One session without its messages. Times are UTC; `updated_at` is its newest event."""

    session_id: str
    name: str | None = None
    agent_name: str | None = None
    directory: str | None = None
    git_root: str | None = None
    parent_session_id: str | None = None
    conversation_id: str | None = None
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    archived_at: datetime | None = None
    message_count: int = 0
    turn_count: int = 0
    tool_call_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One whole session as a value: what `history.get` returns and `history.save` takes. Times are UTC.

    Attributes:
        session_id: Unique in the world.
        name: What it is called.
        agent_name: The program that recorded it.
        directory: Where it ran.
        git_root: The repository that the directory belongs to.
        parent_session_id: The session that started it.
        conversation_id: The server's own name of it.
        started_at: When it began; None in a new value means now.
        ended_at: When it was ended, or None.
        archived_at: When it was archived, or None.
        metadata: Anything that can be written as JSON.
        messages: In recording order.
        tool_calls: In recording order.
    """

    session_id: str
    name: str | None = None
    agent_name: str | None = None
    directory: str | None = None
    git_root: str | None = None
    parent_session_id: str | None = None
    conversation_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    archived_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Message] = ()
    tool_calls: Sequence[ToolCall] = ()


def whole_number(what: str, value: Any, *, least: int = 0) -> int:
    """Return `value` as an int that SQLite can hold.

    Raises:
        RecordingError: It is none, or less than `least`, or too large.
    """
    try:
        number = int(value.__index__())
    except (AttributeError, TypeError):
        number = None
    if number is None or isinstance(value, bool) or not least <= number < 2**63:
        raise RecordingError(f"{what} got {value!r}; expected a whole number of at least {least}. None means unknown.")
    return number


def storable(text: str) -> str:
    """Return a text that UTF-8 can hold: each lone surrogate becomes U+FFFD and its number in plain letters."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(f"\N{REPLACEMENT CHARACTER}\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)
    return text


def to_json(value: Any) -> str:
    """Return `value` as compact JSON text with sorted keys; what JSON or UTF-8 has no form for becomes its text.

    Raises:
        RecordingError: It holds itself, or is nested too deeply.
    """
    try:
        text = _dumps(value)
        if text.isascii() or storable(text) is text:
            return text
    except (TypeError, ValueError):  # keys that are no text, numbers that are not finite, or a circle
        pass
    except RecursionError as error:
        raise RecordingError("A value is nested too deeply for JSON. Give its text instead.") from error
    try:
        return _dumps(_jsonable(value))
    except RecursionError as error:
        raise RecordingError("A value holds itself, so it has no JSON. Give its text instead.") from error


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain, allow_nan=False)


def _plain(value: Any) -> Any:
    """Return what JSON has a form for in place of what it has none for."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return value.tolist()
    return str(value)


def _jsonable(value: Any) -> Any:
    """Return `value` with every key as text and every number that JSON does not know as text."""
    if isinstance(value, Mapping):
        return {storable(str(key)): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(inner) for inner in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
    if hasattr(value, "tolist"):
        return _jsonable(value.tolist())
    return str(value) if isinstance(value, float) and value - value != 0 else value
