-- The five token types come from unnest and not from a join, which would not keep the order of rows.
select
    key * 5 + n as _key,
    session_key as _session_key,
    started_at as _time,
    turn_key as _turn_key,
    facts.source() as source,
    session_id,
    turn_id,
    make_timestamp(started_at) as started_at,
    provider_name,
    model,
    case n
        when 0 then 'uncached_input'
        when 1 then 'cache_read'
        when 2 then 'cache_creation'
        when 3 then 'output'
        else 'reasoning'
    end as token_type,
    tokens,
    case n
        when 0 then uncached_input_usd
        when 1 then cache_read_usd
        when 2 then cache_creation_usd
        when 3 then output_usd
        else reasoning_usd
    end as cost_usd,
    case when computed_cost_usd is null then 'unpriced' else 'computed' end as cost_status,
    usage_quality,
    scope
from (
    select
        *,
        case n
            when 0 then input_tokens - coalesce(cache_read_input_tokens, 0) - coalesce(cache_creation_input_tokens, 0)
            when 1 then cache_read_input_tokens
            when 2 then cache_creation_input_tokens
            when 3 then output_tokens - coalesce(reasoning_output_tokens, 0)
            else reasoning_output_tokens
        end as tokens
    from (
        select
            *,
            unnest([0, 1, 2, 3, 4]) as n
        from (
            select
                'turn' as scope,
                turn_key as key,
                session_key,
                session_id,
                turn_key,
                turn_id,
                started_at,
                provider_name,
                coalesce(response_model, request_model) as model,
                input_tokens,
                output_tokens,
                cache_read_input_tokens,
                cache_creation_input_tokens,
                reasoning_output_tokens,
                usage_quality,
                uncached_input_usd,
                cache_read_usd,
                cache_creation_usd,
                output_usd,
                reasoning_usd,
                computed_cost_usd
            from facts.turn
            union all
            select
                'session',
                session_usage_key,
                session_key,
                session_id,
                null,
                null,
                started_at,
                provider_name,
                model,
                input_tokens,
                output_tokens,
                cache_read_input_tokens,
                cache_creation_input_tokens,
                reasoning_output_tokens,
                usage_quality,
                uncached_input_usd,
                cache_read_usd,
                cache_creation_usd,
                output_usd,
                reasoning_usd,
                computed_cost_usd
            from facts.session_usage
        )
        where usage_quality <> 'missing'
    )
)
where tokens is not null
