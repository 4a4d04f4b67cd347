"""Load a whole session from the store as a value."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sessionlab.model import Message, ModelConfig, Session, ToolCall, Usage
from sessionlab.store.convert import from_us, json_object

if TYPE_CHECKING:
    import sqlite3

TIMES = {"started_at", "updated_at", "ended_at", "archived_at"}
_SESSION_COLUMNS = """
    session_id, name, agent_name, directory, git_root, parent_session_id, conversation_id, started_at, ended_at,
    archived_at, metadata
"""
_MESSAGES = """
select
    m.message_key, m.given_id, m.parent_key, m.role, m.kind, m.created_at, i.invocation_id, x.content, x.reasoning,
    t.turn_key, t.started_at, t.duration_us, t.response_model, t.finish_reason, t.finish_reason_raw, t.error_type,
    t.input_tokens, t.output_tokens, t.cache_read_input_tokens, t.cache_creation_input_tokens,
    t.reasoning_output_tokens, t.reported_cost_usd, t.model_config_key
from message m
join message_text x using (message_key)
left join turn t on t.turn_key = m.message_key
left join invocation i on i.invocation_key = m.invocation_key
where m.session_key = ?
order by m.message_index
"""
_CALLS = """
select
    c.tool_call_key, c.tool_call_id, c.tool_name, x.arguments, c.turn_key, c.invocation_key, c.started_at,
    r.tool_result_key, r.status, r.is_error, r.exit_code, r.duration_us
from tool_call c
join tool_call_text x using (tool_call_key)
left join tool_result r using (tool_call_key)
where c.session_key = ?
order by c.tool_call_index
"""
_COUNTS = [f.name for f in fields(Usage)]
_ADOPTING = """
select turn_key, first_call_key, invocation_key from turn where session_key = ? and first_call_key is not null
order by turn_key
"""


def load_session(connection: sqlite3.Connection, session_key: int) -> Session | None:
    """Return one whole session as a value, all of one moment, or None if it is not there."""
    if connection.in_transaction:
        return _load(connection, session_key)
    connection.execute("begin")
    try:
        return _load(connection, session_key)
    finally:
        connection.execute("rollback")


def _load(connection: sqlite3.Connection, session_key: int) -> Session | None:
    cursor = connection.execute(f"select {_SESSION_COLUMNS} from session where session_key = ?", (session_key,))
    row = cursor.fetchone()
    if row is None:
        return None
    values = {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
    values.update({name: from_us(values[name]) for name in TIMES & set(values)})
    values["metadata"] = json_object(values["metadata"])
    ids: dict[int, str] = {}
    messages = _messages(connection, session_key, ids)
    return Session(**values, messages=messages, tool_calls=_calls(connection, session_key, ids))


def _messages(connection: sqlite3.Connection, session_key: int, ids: dict[int, str]) -> tuple[Message, ...]:
    """Return the messages, and note their ids by their keys."""
    configs: dict[int, ModelConfig] = {}
    found = []
    for row in connection.execute(_MESSAGES, (session_key,)).fetchall():
        message = _message(connection, row, ids, configs)
        ids[row[0]] = message.message_id
        found.append(message)
    return tuple(found)


def _calls(connection: sqlite3.Connection, session_key: int, ids: dict[int, str]) -> tuple[ToolCall, ...]:
    adopting = connection.execute(_ADOPTING, (session_key,)).fetchall()
    found = []
    for row in connection.execute(_CALLS, (session_key,)):
        key, call_id, name, arguments, turn_key, run, started, result_key, status, is_error, code, duration = row
        if turn_key is None:
            turn_key = next((turn for turn, first, of in adopting if of == run and first <= key < turn), None)
        found.append(
            ToolCall(
                tool_call_id=call_id,
                tool_name=name,
                arguments=arguments,
                turn_id=None if turn_key is None else ids[turn_key],
                result_message_id=None if result_key is None else ids[result_key],
                status="unanswered" if status is None else status,
                is_error=None if is_error is None else bool(is_error),
                exit_code=code,
                started_at=from_us(started),
                duration_s=None if duration is None else duration / 1e6,
            )
        )
    return tuple(found)


def _message(
    connection: sqlite3.Connection, row: tuple[Any, ...], ids: dict[int, str], configs: dict[int, ModelConfig]
) -> Message:
    key, given_id, parent_key, role, kind, created, invocation_id, content, reasoning, turn_key, *facts = row
    common: dict[str, Any] = {
        "message_id": str(key) if given_id is None else given_id,
        "role": role,
        "kind": kind,
        "content": content,
        "reasoning": reasoning,
        "parent_message_id": None if parent_key is None else ids.get(parent_key),
        "invocation_id": invocation_id,
        "created_at": from_us(created),
    }
    if turn_key is None:
        return Message(**common)
    started, duration, response_model, reason, raw, error_type, *counts, cost, config_key = facts
    if config_key is not None and config_key not in configs:
        configs[config_key] = load_config(connection, config_key)
    is_used = any(count is not None for count in counts)
    usage = Usage(**dict(zip(_COUNTS, counts, strict=True))) if is_used else None
    return Message(
        **common,
        is_turn=True,
        usage=usage,
        finish_reason=reason,
        finish_reason_raw=raw,
        response_model=response_model,
        reported_cost_usd=cost,
        started_at=from_us(started),
        duration_s=None if duration is None else duration / 1e6,
        error_type=error_type,
        config=None if config_key is None else configs[config_key],
    )


def load_config(connection: sqlite3.Connection, config_key: int) -> ModelConfig:
    """Return one stored configuration as a value."""
    cursor = connection.execute(
        "select k.*, x.system_instructions from model_config k join model_config_text x using (model_config_key)"
        " where model_config_key = ?",
        (config_key,),
    )
    names = [column[0] for column in cursor.description]
    values = dict(zip(names, cursor.fetchone(), strict=True))
    stop, extra = values["stop_sequences"], values["extra"]
    values["stop_sequences"] = None if stop is None else tuple(json.loads(stop))
    values["extra"] = None if extra is None else json.loads(extra)
    known = {f.name for f in fields(ModelConfig)}
    return ModelConfig(**{name: value for name, value in values.items() if name in known})
