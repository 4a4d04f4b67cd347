-- What a store holds of other tools' histories, for SQLite: columns as the tables of facts have them.
-- :chosen stands for the keys of some sessions, whose rows are ranges of keys.
-- real(x) is put in place by the engine: DuckDB's sqlite_query would cut real numbers to 15 digits.

-- name: is_there
select count(*) as tables
from sqlite_schema
where type = 'table' and name = 'archive_session'

-- name: newest
select
    max(
        coalesce((select max(revision) from archive_session), 0),
        coalesce((select max(revision) from archive_model_config), 0)
    ) as revision

-- name: session
select
    archive_key,
    source,
    revision,
    message_count,
    session_id,
    native_id,
    name,
    agent_name,
    directory,
    git_root,
    parent_session_id,
    conversation_id,
    started_at,
    updated_at,
    ended_at,
    archived_at,
    metadata,
    origin
from archive_session

-- name: model_config
select
    model_config_key,
    source,
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
from archive_model_config

-- name: claim
select
    s.revision,
    t.claim,
    s.session_id
from archive_session s
cross join archive_turn t on t.turn_key > s.archive_key << 24 and t.turn_key < (s.archive_key + 1) << 24
where s.archive_key in (:chosen) and t.claim is not null
union all
select
    s.revision,
    m.message_id,
    s.session_id
from archive_session s
cross join archive_message m on m.message_key > s.archive_key << 24 and m.message_key < (s.archive_key + 1) << 24
where s.archive_key in (:chosen)

-- name: message
select
    s.revision,
    m.message_key,
    m.message_id,
    m.message_index,
    m.parent_message_id,
    m.is_prompt,
    m.turn_key,
    m.turn_id,
    m.invocation_id,
    m.role,
    m.kind,
    m.is_preamble,
    m.is_sidechain,
    m.created_at
from archive_session s
cross join archive_message m on m.message_key > s.archive_key << 24 and m.message_key < (s.archive_key + 1) << 24
where s.archive_key in (:chosen)

-- name: turn
select
    s.revision,
    t.turn_key,
    t.turn_id,
    t.turn_index,
    t.exchange_index,
    t.invocation_id,
    t.model_config_key,
    t.model_config_status,
    t.prompt_key,
    t.is_sidechain,
    t.started_at,
    t.duration_us,
    t.tool_call_count,
    t.response_model,
    t.finish_reason,
    t.finish_reason_raw,
    t.error_type,
    t.input_tokens,
    t.output_tokens,
    t.cache_read_input_tokens,
    t.cache_creation_input_tokens,
    t.cache_creation_1h_input_tokens,
    t.reasoning_output_tokens,
    t.usage_quality,
    real(reported_cost_usd) as reported_cost_usd,
    t.claim
from archive_session s
cross join archive_turn t on t.turn_key > s.archive_key << 24 and t.turn_key < (s.archive_key + 1) << 24
where s.archive_key in (:chosen)

-- name: tool_call
select
    s.revision,
    c.tool_call_key,
    c.tool_call_index,
    c.tool_call_id,
    c.turn_key,
    c.turn_id,
    c.tool_name,
    c.started_at,
    c.result_key,
    c.status,
    c.is_error,
    c.exit_code,
    c.duration_us
from archive_session s
cross join archive_tool_call c
    on c.tool_call_key > s.archive_key << 24 and c.tool_call_key < (s.archive_key + 1) << 24
where s.archive_key in (:chosen)

-- name: session_config
select
    s.revision,
    s.archive_key as session_key,
    c.model_config_key
from archive_session s
join archive_session_config c using (archive_key)
where s.archive_key in (:chosen)

-- name: session_usage
select
    s.revision,
    u.session_usage_key,
    u.started_at,
    u.provider_name,
    u.model,
    u.input_tokens,
    u.output_tokens,
    u.cache_read_input_tokens,
    u.cache_creation_input_tokens,
    u.cache_creation_1h_input_tokens,
    u.reasoning_output_tokens,
    u.usage_quality,
    real(reported_cost_usd) as reported_cost_usd
from archive_session s
cross join archive_session_usage u
    on u.session_usage_key > s.archive_key << 24 and u.session_usage_key < (s.archive_key + 1) << 24
where s.archive_key in (:chosen)

-- name: message_text
select
    s.revision,
    t.message_key,
    t.content,
    t.reasoning
from archive_session s
cross join archive_message_text t on t.message_key > s.archive_key << 24 and t.message_key < (s.archive_key + 1) << 24
where s.archive_key in (:chosen)

-- name: tool_call_text
select
    s.revision,
    t.tool_call_key,
    t.arguments
from archive_session s
cross join archive_tool_call_text t
    on t.tool_call_key > s.archive_key << 24 and t.tool_call_key < (s.archive_key + 1) << 24
where s.archive_key in (:chosen)
