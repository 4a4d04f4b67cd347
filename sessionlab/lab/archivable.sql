-- The facts of one history as the rows of the archive; `facts.` stands for its schema.
-- Its wide texts are the tables message_text and tool_call_text. `key` is the tool's own key of a text.
-- Keys are numbers from 1 within a session here, in the order of the tool's own keys.

-- name: prepare
create or replace temp table numbered as
select
    session_key,
    key,
    row_number() over (partition by session_key order by key) as number
from (
    select session_key, message_key as key from facts.message
    union
    select session_key, turn_key from facts.turn
    union
    select session_key, tool_call_key from facts.tool_call
    union
    select session_key, session_usage_key from facts.session_usage
)

-- name: prepare_texts
create or replace temp table hashed as
select
    'message' as kind,
    message_key as key,
    hash(content, reasoning) as text_hash
from message_text
union all
select
    'tool_call',
    tool_call_key,
    hash(arguments)
from tool_call_text

-- name: digest
select
    s.session_key,
    s.session_id,
    coalesce(m.rows, 0) as message_count,
    coalesce(t.rows, 0) as turn_count,
    coalesce(n.last_number, 0) as last_number,
    d.digest
from facts.session s
left join (select session_key, count(*) as rows from facts.message group by session_key) m using (session_key)
left join (select session_key, count(*) as rows from facts.turn group by session_key) t using (session_key)
left join (select session_key, max(number) as last_number from numbered group by session_key) n using (session_key)
left join (select session_key, sum(row_hash)::varchar as digest from ({rows}) group by session_key) d using (session_key)
order by s.session_key

-- name: session
select
    session_key,
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
    coalesce(origin, facts.origin()) as origin
from facts.session

-- name: model_config
select
    model_config_key,
    model_config_id,
    provider_name,
    api_base,
    request_model,
    temperature,
    top_p,
    max_tokens,
    context_max_tokens,
    assistant_minimum_context_tokens,
    to_json(stop_sequences)::varchar as stop_sequences,
    reasoning_effort,
    system_instructions_hash,
    extra
from facts.model_config

-- name: counts
select
    s.session_id,
    coalesce(m.rows, 0) as message_count,
    coalesce(t.rows, 0) as turn_count
from facts.session s
left join (select session_key, count(*) as rows from facts.message group by session_key) m using (session_key)
left join (select session_key, count(*) as rows from facts.turn group by session_key) t using (session_key)
order by s.session_key

-- name: message
select
    m.session_key,
    m.message_key as key,
    n.number as message_key,
    m.message_id,
    m.message_index,
    m.parent_message_id,
    m.is_prompt::integer as is_prompt,
    t.number as turn_key,
    m.turn_id,
    m.invocation_id,
    m.role,
    m.kind,
    m.is_preamble::integer as is_preamble,
    m.is_sidechain::integer as is_sidechain,
    m.created_at
from facts.message m
join numbered n on n.session_key = m.session_key and n.key = m.message_key
left join numbered t on t.session_key = m.session_key and t.key = m.turn_key

-- name: turn
select
    u.session_key,
    n.number as turn_key,
    u.turn_id,
    u.turn_index,
    u.exchange_index,
    u.invocation_id,
    u.model_config_id,
    u.model_config_status,
    p.number as prompt_key,
    u.is_sidechain::integer as is_sidechain,
    u.started_at,
    u.duration_us,
    u.tool_call_count,
    u.response_model,
    u.finish_reason,
    u.finish_reason_raw,
    u.error_type,
    u.input_tokens,
    u.output_tokens,
    u.cache_read_input_tokens,
    u.cache_creation_input_tokens,
    u.cache_creation_1h_input_tokens,
    u.reasoning_output_tokens,
    u.usage_quality,
    u.reported_cost_usd,
    u.claim
from facts.turn u
join numbered n on n.session_key = u.session_key and n.key = u.turn_key
left join numbered p on p.session_key = u.session_key and p.key = u.prompt_key

-- name: tool_call
select
    c.session_key,
    c.tool_call_key as key,
    n.number as tool_call_key,
    c.tool_call_index,
    c.tool_call_id,
    t.number as turn_key,
    c.turn_id,
    c.tool_name,
    c.started_at,
    r.number as result_key,
    c.status,
    c.is_error::integer as is_error,
    c.exit_code,
    c.duration_us
from facts.tool_call c
join numbered n on n.session_key = c.session_key and n.key = c.tool_call_key
left join numbered t on t.session_key = c.session_key and t.key = c.turn_key
left join numbered r on r.session_key = c.session_key and r.key = c.result_key

-- name: session_usage
select
    u.session_key,
    n.number as session_usage_key,
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
    u.reported_cost_usd
from facts.session_usage u
join numbered n on n.session_key = u.session_key and n.key = u.session_usage_key

-- name: session_config
select distinct
    u.session_key,
    k.model_config_id
from facts.session_config u
join facts.model_config k using (model_config_key)
