-- Our own store, for SQLite. Rows only come; sessions are revised and then take a new number as revision.
-- real(x) is put in place by the engine: DuckDB's sqlite_query would cut real numbers to 15 digits.

-- name: state
select store_id, last_key, deletions
from store

-- name: range
select max(message_key) as last_key
from (
    select message_key
    from message
    where message_key > :after
    order by message_key
    limit :count
)

-- name: session
select
    session_key,
    session_id,
    session_id as native_id,
    name,
    agent_name,
    directory,
    git_root,
    parent_session_id,
    conversation_id,
    started_at,
    ended_at,
    archived_at,
    metadata
from session
where revision > :after

-- name: invocation
select
    invocation_key,
    invocation_id
from invocation
where invocation_key > :after and invocation_key <= :until

-- name: model_config
select
    model_config_key,
    model_config_id,
    provider_name,
    api_base,
    request_model,
    real(temperature) as temperature,
    real(top_p) as top_p,
    max_tokens,
    context_max_tokens,
    assistant_minimum_context_tokens,
    stop_sequences,
    reasoning_effort,
    system_instructions_hash,
    extra
from model_config
where model_config_key > :after and model_config_key <= :until

-- name: message
select
    message_key,
    session_key,
    message_index,
    given_id,
    parent_key,
    prompt_key,
    turn_key,
    invocation_key,
    role,
    kind,
    is_preamble,
    0 as is_sidechain,
    created_at
from message
where message_key > :after and message_key <= :until

-- name: given
-- Mostly there are few, and the index holds nothing else; SQLite would go through all messages.
select
    message_key,
    given_id
from message indexed by message_given
where given_id is not null and message_key > :after and message_key <= :until

-- name: turn
select
    turn_key,
    session_key,
    turn_index,
    exchange_index,
    invocation_key,
    model_config_key,
    case when model_config_key is null then 'unknown' else 'recorded' end as model_config_status,
    prompt_key,
    first_call_key,
    0 as is_sidechain,
    started_at,
    duration_us,
    response_model,
    finish_reason,
    finish_reason_raw,
    error_type,
    input_tokens,
    output_tokens,
    cache_read_input_tokens,
    cache_creation_input_tokens,
    reasoning_output_tokens,
    case
        when coalesce(input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens,
                      reasoning_output_tokens) is null then 'missing'
        else 'final'
    end as usage_quality,
    real(reported_cost_usd) as reported_cost_usd
from turn
where turn_key > :after and turn_key <= :until

-- name: tool_call
select
    tool_call_key,
    session_key,
    tool_call_index,
    tool_call_id,
    turn_key,
    invocation_key,
    tool_name,
    started_at
from tool_call
where tool_call_key > :after and tool_call_key <= :until

-- name: tool_result
select
    tool_result_key,
    tool_call_key,
    status,
    is_error,
    exit_code,
    duration_us
from tool_result
where tool_result_key > :after and tool_result_key <= :until

-- name: message_text
select
    message_key,
    content,
    reasoning
from message_text
where message_key > :after and message_key <= :until

-- name: tool_call_text
select
    tool_call_key,
    arguments
from tool_call_text
where tool_call_key > :after and tool_call_key <= :until
