"""The registry of frames: each frame's grain, key, columns, types and units, and what is made from them.

A column's type decides its dtype in every form; an empty frame has the same ones. NULL means "not reported".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Type = Literal["text", "integer", "number", "boolean", "time", "list"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Where a column of wide text comes from: a column of the texts, picked by a key that the frame's view gives."""

    of: Literal["message", "tool_call"]
    column: str
    key: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a frame."""

    name: str
    type: Type
    description: str
    unit: str = ""
    text: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame: what a row stands for, what tells rows apart, and its columns in order.

    `leading` are the columns that are worth the room where not all fit, the most important first.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    time: str
    leading: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return one column by its name."""
        return next(column for column in self.columns if column.name == name)

    def view_sql(self, schema: str) -> str:
        """Return the frame's SELECT over the fact tables of one history."""
        with open(os.path.join(os.path.dirname(__file__), "views", f"{self.name}.sql"), encoding="utf-8") as file:
            return file.read().replace("facts.", f"{schema}.")


def _text(name: str, description: str, of: Literal["message", "tool_call"], column: str, key: str = "_key") -> Column:
    return Column(name, "text", description, text=Text(of=of, column=column, key=key))


_SOURCE = Column("source", "text", "the tool: `sessionlab`, `awful_aj`, `claude_code`, …")
_SESSION_ID = Column("session_id", "text", "the session")
_TOKENS = (
    Column("input_tokens", "integer", "all input, cached included", "tokens"),
    Column("output_tokens", "integer", "all output, reasoning included", "tokens"),
    Column("cache_read_input_tokens", "integer", "of the input: read from the cache", "tokens"),
    Column("cache_creation_input_tokens", "integer", "of the input: written to the cache", "tokens"),
    Column("reasoning_output_tokens", "integer", "of the output: reasoning", "tokens"),
)
_PROVIDER = Column("provider_name", "text", "OpenTelemetry's spelling: `anthropic`, `openai`, `gcp.gemini`, …")
_REQUEST_MODEL = Column("request_model", "text", "the model that was asked for")
_CONFIG_ID = Column("model_config_id", "text", "the configuration; joins with `model_configs`")
_TURN_ID = Column("turn_id", "text", "the turn it belongs to; joins with `turns`")
_INVOCATION = Column("invocation_id", "text", "the run of the program that recorded it")
_SIDECHAIN = Column("is_sidechain", "boolean", "beside the main conversation (a subagent's, say)")
_REPORTED = Column("reported_cost_usd", "number", "what the tool or provider said it cost", "US dollars")
_QUALITY = Column("usage_quality", "text", "`final`, `partial` or `missing`")

FRAMES: Mapping[str, Frame] = {
    frame.name: frame
    for frame in (
        Frame(
            name="sessions",
            grain="session",
            key=("source", "session_id"),
            time="started_at",
            leading=(
                "name",
                "started_at",
                "agent_name",
                "turn_count",
                "cost_usd",
                "tool_error_count",
                "session_id",
                "models",
                "first_prompt",
            ),
            columns=(
                _SOURCE,
                _SESSION_ID,
                Column("name", "text", "what it is called"),
                Column("native_id", "text", "the tool's own id"),
                Column("conversation_id", "text", "the id that the server or provider gave it"),
                Column("agent_name", "text", "the program that was recorded"),
                Column("directory", "text", "where it ran"),
                Column("git_root", "text", "the repository of that directory"),
                Column("parent_session_id", "text", "the session that started it"),
                Column("started_at", "time", "when it began"),
                Column("updated_at", "time", "its newest event"),
                Column("ended_at", "time", "when it was ended"),
                Column("archived_at", "time", "when it was put away"),
                Column(
                    "duration_s",
                    "number",
                    "from its start to its end, or else to its newest event; NULL where it ends before it starts",
                    "seconds",
                ),
                Column("message_count", "integer", "its messages, of every kind", "messages"),
                Column("turn_count", "integer", "its turns", "turns"),
                Column("tool_call_count", "integer", "its tool calls", "calls"),
                Column("tool_error_count", "integer", "of these: with an error", "calls"),
                Column("models", "list", "the models that answered, or else were asked for, by name"),
                *_TOKENS,
                Column("cost_usd", "number", "the sum of what is known: of its turns, or of its total", "US dollars"),
                _REPORTED,
                Column(
                    "cost_status",
                    "text",
                    "the weakest of its turns with usage or a reported cost: `computed`, `reported`, `unpriced`",
                ),
                _text("first_prompt", "the first prompt", "message", "content", "_first_prompt_key"),
                Column("metadata", "text", "what else was noted, JSON"),
                Column("origin", "text", "the file it was read from"),
            ),
        ),
        Frame(
            name="turns",
            grain="model response, or failed model call that the tool records as one",
            key=("source", "session_id", "turn_id"),
            time="started_at",
            leading=(
                "started_at",
                "prompt",
                "response",
                "request_model",
                "output_tokens",
                "cost_usd",
                "error_type",
                "tool_call_count",
                "input_tokens",
            ),
            columns=(
                _SOURCE,
                _SESSION_ID,
                Column("turn_id", "text", "unique within the session; the id of its message"),
                Column("turn_index", "integer", "its place in the session, from 0"),
                Column("exchange_index", "integer", "which prompt it answers, from 0; NULL before the first"),
                _INVOCATION,
                Column("started_at", "time", "when the model was asked; where that is not known, when it was recorded"),
                Column("duration_s", "number", "how long it took", "seconds"),
                _PROVIDER,
                _REQUEST_MODEL,
                Column("response_model", "text", "the model that answered"),
                _CONFIG_ID,
                Column("model_config_status", "text", "`recorded`, `only` or `unknown`; never a guess"),
                _SIDECHAIN,
                _text("prompt", "the prompt that opened the exchange", "message", "content", "_prompt_key"),
                _text("response", "what the model said", "message", "content", "_response_key"),
                _text("reasoning", "what the model thought", "message", "reasoning"),
                Column("tool_call_count", "integer", "the tool calls it asked for", "calls"),
                Column("finish_reason", "text", "`stop`, `length`, `content_filter`, `tool_call` or `error`"),
                Column("finish_reason_raw", "text", "the provider's own word"),
                Column("error_type", "text", "of a failed call; NULL means that it did not fail"),
                _text("error_message", "of a failed call", "message", "content", "_error_key"),
                *_TOKENS,
                _QUALITY,
                Column("cost_usd", "number", "computed, else as reported, else NULL", "US dollars"),
                _REPORTED,
                Column("cost_status", "text", "`computed`, `reported` or `unpriced`"),
            ),
        ),
        Frame(
            name="messages",
            grain="message",
            key=("source", "session_id", "message_id"),
            time="created_at",
            leading=("created_at", "role", "content", "kind", "session_id"),
            columns=(
                _SOURCE,
                _SESSION_ID,
                Column("message_id", "text", "unique within the session"),
                Column("message_index", "integer", "its place in the session, from 0"),
                Column("parent_message_id", "text", "the message it follows; NULL for the first"),
                _TURN_ID,
                _INVOCATION,
                Column("role", "text", "`system`, `user`, `assistant` or `tool`"),
                Column(
                    "kind",
                    "text",
                    "`message`, `boundary`, `note`, `context`, `out_of_band`, `skill` or `error`",
                ),
                _text("content", "the text", "message", "content"),
                _text("reasoning", "what the model thought", "message", "reasoning"),
                Column("created_at", "time", "when it was recorded"),
                Column("is_preamble", "boolean", "before the first prompt; NULL where that cannot be told"),
                _SIDECHAIN,
            ),
        ),
        Frame(
            name="tool_calls",
            grain="tool call, joined with its result",
            key=("source", "session_id", "tool_call_index"),
            time="started_at",
            leading=("started_at", "tool_name", "arguments", "result", "status", "duration_s", "exit_code"),
            columns=(
                _SOURCE,
                _SESSION_ID,
                Column("tool_call_id", "text", "the tool's own id, which may repeat"),
                _TURN_ID,
                Column("tool_call_index", "integer", "its place in the session, from 0"),
                Column("tool_name", "text", "the tool"),
                _text("arguments", "JSON, or the raw text where it is none", "tool_call", "arguments"),
                _text("result", "JSON, or the raw text where it is none", "message", "content", "_result_key"),
                Column(
                    "status", "text", "`ok`, `error`, `denied`, `cancelled`, `timeout`, `unanswered` or `suggested`"
                ),
                Column("is_error", "boolean", "NULL while unanswered"),
                Column("exit_code", "integer", "of a command"),
                Column("started_at", "time", "when the call was made"),
                Column("duration_s", "number", "how long it took", "seconds"),
            ),
        ),
        Frame(
            name="token_usage",
            grain="turn (or session) and token type; the types are disjoint, so tokens add up",
            key=("source", "session_id", "turn_id", "token_type"),
            time="started_at",
            leading=("started_at", "model", "token_type", "tokens", "cost_usd", "session_id"),
            columns=(
                _SOURCE,
                _SESSION_ID,
                Column("turn_id", "text", "the turn; NULL for a session's total"),
                Column("started_at", "time", "that of the turn or session"),
                _PROVIDER,
                Column("model", "text", "the model that answered, or else was asked for"),
                Column(
                    "token_type",
                    "text",
                    "`uncached_input`, `cache_read`, `cache_creation`, `output` (without reasoning) or `reasoning`",
                ),
                Column("tokens", "integer", "so many; a type that was not reported has no row", "tokens"),
                Column("cost_usd", "number", "computed; NULL where model or price is not known", "US dollars"),
                Column("cost_status", "text", "`computed` or `unpriced`"),
                _QUALITY,
                Column("scope", "text", "`turn`, or `session` where a tool keeps only a session's total"),
            ),
        ),
        Frame(
            name="model_configs",
            grain="distinct model configuration",
            key=("source", "model_config_id"),
            time="first_used_at",
            leading=("request_model", "provider_name", "temperature", "reasoning_effort", "turn_count", "last_used_at"),
            columns=(
                _SOURCE,
                Column("model_config_id", "text", "its name by its content"),
                _PROVIDER,
                Column("api_base", "text", "the address of the service, without login"),
                _REQUEST_MODEL,
                Column("temperature", "number", "sampling temperature"),
                Column("top_p", "number", "nucleus sampling share"),
                Column("max_tokens", "integer", "output allowed", "tokens"),
                Column("context_max_tokens", "integer", "what the context may hold", "tokens"),
                Column("assistant_minimum_context_tokens", "integer", "kept free for the answer", "tokens"),
                Column("stop_sequences", "list", "texts at which the model stops"),
                Column("reasoning_effort", "text", "`low`, `medium`, `high`, …"),
                Column("system_instructions_hash", "text", "SHA-256 of the system prompt"),
                Column("extra", "text", "other settings, JSON"),
                Column("first_used_at", "time", "its first turn"),
                Column("last_used_at", "time", "its newest turn"),
                Column("session_count", "integer", "sessions that used it", "sessions"),
                Column("turn_count", "integer", "turns that used it", "turns"),
            ),
        ),
    )
}


@cache
def arrow_type(kind: Type) -> pa.DataType:
    """Return the Arrow type of a column type."""
    import pyarrow as pa

    return {
        "text": pa.large_string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "list": pa.list_(pa.large_string()),
    }[kind]


def schema_of(columns: tuple[Column, ...]) -> pa.Schema:
    """Return the Arrow schema of some columns."""
    import pyarrow as pa

    return pa.schema([(column.name, arrow_type(column.type)) for column in columns])


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as a dataframe whose dtypes follow from its schema alone, never from its rows."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    def dtype(kind: Any) -> Any:
        if pa.types.is_integer(kind):
            return pd.Int64Dtype()
        if pa.types.is_boolean(kind):
            return pd.BooleanDtype()
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return pd.StringDtype(storage="pyarrow", na_value=float("nan"))
        return None

    frame: pd.DataFrame = table.to_pandas(types_mapper=dtype, date_as_object=True)
    for number, field in enumerate(table.schema):
        # Lists come as NumPy arrays, which compare and print badly in a cell.
        if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
            lists = np.empty(table.num_rows, dtype=object)
            lists[:] = table.column(number).to_pylist()
            frame.isetitem(number, lists)
    return frame


def empty(name: str) -> pd.DataFrame:
    """Return a frame without rows."""
    return to_pandas(schema_of(FRAMES[name].columns).empty_table())


def markdown() -> str:
    """Return the table of all frames for the README."""
    lines = ["| frame | one row per | columns |", "|---|---|---|"]
    for frame in FRAMES.values():
        names = ", ".join(f"`{c.name}`{'†' if c.name == frame.time else ''}" for c in frame.columns)
        lines.append(f"| `{frame.name}` | {frame.grain} | {names} |")
    return "\n".join(lines)


def described() -> str:
    """Return what each column of each frame means, as Markdown."""
    lines = ["# The frames", "", 'NULL means "not reported", and 0 means zero. Times are UTC.', ""]
    for frame in FRAMES.values():
        key = ", ".join(f"`{name}`" for name in frame.key)
        lines += [f"## {frame.name}", "", f"One row per {frame.grain}.", f"Key: {key}.", ""]
        lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
        for column in frame.columns:
            mark = "†" if column.name == frame.time else ""
            lines.append(f"| `{column.name}`{mark} | {column.type} | {column.unit} | {column.description} |")
        lines.append("")
    lines.append("† is the column that `since`, `until` and `limit` go by.")
    return "\n".join(lines) + "\n"
