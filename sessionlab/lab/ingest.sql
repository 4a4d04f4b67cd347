-- How rows of a source, registered as `incoming`, become facts. Each run adds one range of keys.
-- What they name by key (session_id, provider_name, …) is put beside them before: a join would not keep their order.

-- name: session
delete from facts.session
where session_key in (select session_key from incoming);

insert into facts.session
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
    origin
from incoming;

-- name: model_config
insert into facts.model_config
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
    from_json(stop_sequences, '["varchar"]'),
    reasoning_effort,
    system_instructions_hash,
    extra
from incoming;

-- name: session_config
insert into facts.session_config
select
    session_key,
    model_config_key
from incoming;

-- name: session_usage
insert into facts.session_usage
select
    session_usage_key,
    session_key,
    session_id,
    started_at,
    provider_name,
    model,
    input_tokens,
    output_tokens,
    cache_read_input_tokens,
    cache_creation_input_tokens,
    cache_creation_1h_input_tokens,
    reasoning_output_tokens,
    usage_quality,
    reported_cost_usd,
    null,
    null,
    null,
    null,
    null,
    null
from incoming;

-- name: message
insert into facts.message
select
    message_key,
    session_key,
    session_id,
    coalesce(given_id, message_key::varchar),
    message_index,
    coalesce(parent_given_id, parent_key::varchar),
    message_key is not distinct from prompt_key,
    turn_key,
    coalesce(turn_given_id, turn_key::varchar),
    invocation_id,
    role,
    kind,
    is_preamble = 1,
    is_sidechain = 1,
    created_at
from incoming;

-- name: turn
insert into facts.turn
select
    turn_key,
    session_key,
    session_id,
    coalesce(turn_given_id, turn_key::varchar),
    turn_index,
    exchange_index,
    invocation_key,
    invocation_id,
    provider_name,
    request_model,
    response_model,
    model_config_key,
    model_config_id,
    model_config_status,
    prompt_key,
    first_call_key,
    is_sidechain = 1,
    started_at,
    duration_us,
    0,
    finish_reason,
    finish_reason_raw,
    error_type,
    input_tokens,
    output_tokens,
    cache_read_input_tokens,
    cache_creation_input_tokens,
    cache_creation_1h_input_tokens,
    reasoning_output_tokens,
    usage_quality,
    reported_cost_usd,
    null,
    null,
    null,
    null,
    null,
    null,
    claim
from incoming;

-- name: tool_call
insert into facts.tool_call
select
    tool_call_key,
    session_key,
    session_id,
    tool_call_index,
    tool_call_id,
    turn_key,
    coalesce(turn_given_id, turn_key::varchar),
    invocation_key,
    tool_name,
    started_at,
    null,
    null,
    null,
    null,
    null
from incoming;

update facts.turn
set tool_call_count = tool_call_count + n.calls
from (select turn_key, count(*) as calls from incoming where turn_key is not null group by turn_key) n
where facts.turn.turn_key = n.turn_key;

-- name: tool_result
update facts.tool_call
set
    result_key = r.tool_result_key,
    status = r.status,
    is_error = r.is_error = 1,
    exit_code = r.exit_code,
    duration_us = r.duration_us
from incoming r
where facts.tool_call.tool_call_key = r.tool_call_key;

-- name: adopt
-- Tool calls that had no turn yet belong to the next one of their invocation.
-- Two branches of a session share an invocation, so two turns may claim one call: the earlier has it.
create or replace temp table adopted as
select
    c.tool_call_key,
    any_value(c.result_key) as result_key,
    min(t.turn_key) as turn_key,
    arg_min(t.turn_id, t.turn_key) as turn_id
from facts.tool_call c
join facts.turn t
    on t.invocation_key = c.invocation_key
    and c.tool_call_key >= t.first_call_key
    and c.tool_call_key < t.turn_key
where c.turn_key is null and t.first_call_key is not null and t.turn_key > {after}
group by c.tool_call_key;

update facts.tool_call
set turn_key = a.turn_key, turn_id = a.turn_id
from adopted a
where facts.tool_call.tool_call_key = a.tool_call_key;

update facts.message
set turn_key = a.turn_key, turn_id = a.turn_id
from adopted a
where facts.message.message_key = a.result_key;

update facts.turn
set tool_call_count = tool_call_count + n.calls
from (select turn_key, count(*) as calls from adopted group by turn_key) n
where facts.turn.turn_key = n.turn_key;

drop table adopted;

-- name: late_results
-- A result whose call had no turn when it was made, and was given one by now.
update facts.message
set turn_key = c.turn_key, turn_id = c.turn_id
from facts.tool_call c
where
    facts.message.message_key = c.result_key
    and facts.message.message_key > {after}
    and facts.message.turn_key is null
    and c.turn_key is not null;

-- name: later_turns
-- A session that was saved as a whole may have calls before their turns; those came in an earlier range.
create or replace temp table later as
select
    c.tool_call_key,
    c.result_key,
    t.turn_key,
    t.turn_id
from facts.tool_call c
join facts.turn t using (turn_key)
where c.tool_call_key > {after} and t.turn_key > c.tool_call_key;

update facts.tool_call
set turn_id = l.turn_id
from later l
where facts.tool_call.tool_call_key = l.tool_call_key;

update facts.message
set turn_id = l.turn_id
from later l
where facts.message.message_key = l.result_key;

update facts.turn
set tool_call_count = n.calls
from (
    select turn_key, count(*) as calls
    from facts.tool_call
    where turn_key in (select turn_key from later)
    group by turn_key
) n
where facts.turn.turn_key = n.turn_key;

drop table later;

-- name: price
-- The periods, times of day and tiers of a price do not overlap, so a turn or a session's total finds one row or none.
-- Of a turn without a time the price is known where it never changed. Tokens that exceed what they are part of are none.
-- What was written to the cache for an hour has a price of its own where it is told apart.
update facts.{table} t
set
    uncached_input_usd = (
        t.input_tokens - coalesce(t.cache_read_input_tokens, 0)
        - coalesce(t.cache_creation_input_tokens, 0)) * p.uncached_input,
    cache_read_usd = t.cache_read_input_tokens * p.cache_read,
    cache_creation_usd =
        (t.cache_creation_input_tokens - coalesce(t.cache_creation_1h_input_tokens, 0)) * p.cache_creation
        + coalesce(t.cache_creation_1h_input_tokens, 0) * p.cache_creation_1h,
    output_usd = (t.output_tokens - coalesce(t.reasoning_output_tokens, 0)) * p.output,
    reasoning_usd = t.reasoning_output_tokens * p.reasoning,
    computed_cost_usd =
        p.request
        + (t.input_tokens - coalesce(t.cache_read_input_tokens, 0)
        - coalesce(t.cache_creation_input_tokens, 0)) * p.uncached_input
        + coalesce(t.cache_read_input_tokens, 0) * p.cache_read
        + (coalesce(t.cache_creation_input_tokens, 0) - coalesce(t.cache_creation_1h_input_tokens, 0))
        * p.cache_creation
        + coalesce(t.cache_creation_1h_input_tokens, 0) * p.cache_creation_1h
        + (t.output_tokens - coalesce(t.reasoning_output_tokens, 0)) * p.output
        + coalesce(t.reasoning_output_tokens, 0) * p.reasoning
from incoming p
where
    {which}
    and t.input_tokens >= coalesce(t.cache_read_input_tokens, 0) + coalesce(t.cache_creation_input_tokens, 0)
    and t.output_tokens >= coalesce(t.reasoning_output_tokens, 0)
    and coalesce(t.cache_creation_input_tokens, 0) >= coalesce(t.cache_creation_1h_input_tokens, 0)
    and {model} = p.model
    and t.provider_name is not distinct from p.provider_name
    and (
        t.started_at is null and p.is_constant
        or t.started_at >= p.from_us
        and t.started_at < p.until_us
        and (t.started_at // 1000000) % 86400 >= p.from_second
        and (t.started_at // 1000000) % 86400 < p.until_second
    )
    and t.input_tokens >= p.from_tokens
    and t.input_tokens < p.until_tokens;
