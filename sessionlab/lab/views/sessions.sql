with
messages as (
    select
        session_key,
        count(*) as message_count,
        min(case when is_prompt then message_key end) as first_prompt_key,
        max(created_at) as updated_at
    from facts.message
    group by session_key
),
turns as (
    select
        session_key,
        count(*) as turn_count,
        list(distinct coalesce(response_model, request_model) order by coalesce(response_model, request_model))
            filter (where coalesce(response_model, request_model) is not null) as models,
        sum(input_tokens)::bigint as input_tokens,
        sum(output_tokens)::bigint as output_tokens,
        sum(cache_read_input_tokens)::bigint as cache_read_input_tokens,
        sum(cache_creation_input_tokens)::bigint as cache_creation_input_tokens,
        sum(reasoning_output_tokens)::bigint as reasoning_output_tokens,
        sum(coalesce(computed_cost_usd, reported_cost_usd)) as cost_usd,
        sum(reported_cost_usd) as reported_cost_usd,
        -- the weakest of the turns that used tokens or were charged
        max(case
            when computed_cost_usd is not null then 1
            when reported_cost_usd is not null then 2
            when usage_quality <> 'missing' then 3
            else 0
        end) as cost_rank
    from facts.turn
    group by session_key
),
calls as (
    select
        session_key,
        count(*) as tool_call_count,
        count(*) filter (where is_error) as tool_error_count,
        max(started_at) as updated_at
    from facts.tool_call
    group by session_key
),
totals as (
    select
        *,
        case when computed_cost_usd is not null then 1 when reported_cost_usd is not null then 2 else 3 end as cost_rank
    from facts.session_usage
)
select
    s.session_key as _key,
    s.session_key as _session_key,
    s.started_at as _time,
    m.first_prompt_key as _first_prompt_key,
    facts.source() as source,
    s.session_id,
    s.name,
    s.native_id,
    s.conversation_id,
    s.agent_name,
    s.directory,
    s.git_root,
    s.parent_session_id,
    make_timestamp(s.started_at) as started_at,
    make_timestamp(greatest(s.started_at, s.updated_at, m.updated_at, c.updated_at)) as updated_at,
    make_timestamp(s.ended_at) as ended_at,
    make_timestamp(s.archived_at) as archived_at,
    case
        when s.ended_at is null
            then (greatest(s.started_at, s.updated_at, m.updated_at, c.updated_at) - s.started_at) / 1e6
        when s.ended_at >= s.started_at then (s.ended_at - s.started_at) / 1e6
    end as duration_s,  -- NULL where the clock was set back meanwhile
    coalesce(m.message_count, 0) as message_count,
    coalesce(t.turn_count, 0) as turn_count,
    coalesce(c.tool_call_count, 0) as tool_call_count,
    coalesce(c.tool_error_count, 0) as tool_error_count,
    case when t.models is null and u.model is not null then [u.model] else t.models end as models,
    coalesce(u.input_tokens, t.input_tokens) as input_tokens,
    coalesce(u.output_tokens, t.output_tokens) as output_tokens,
    coalesce(u.cache_read_input_tokens, t.cache_read_input_tokens) as cache_read_input_tokens,
    coalesce(u.cache_creation_input_tokens, t.cache_creation_input_tokens) as cache_creation_input_tokens,
    coalesce(u.reasoning_output_tokens, t.reasoning_output_tokens) as reasoning_output_tokens,
    coalesce(u.computed_cost_usd, u.reported_cost_usd, t.cost_usd) as cost_usd,
    coalesce(u.reported_cost_usd, t.reported_cost_usd) as reported_cost_usd,
    case coalesce(u.cost_rank, t.cost_rank) when 1 then 'computed' when 2 then 'reported' when 3 then 'unpriced' when 0 then 'unpriced' end
        as cost_status,
    s.metadata,
    coalesce(s.origin, facts.origin()) as origin
from facts.session s
left join messages m using (session_key)
left join turns t using (session_key)
left join calls c using (session_key)
left join totals u using (session_key)
