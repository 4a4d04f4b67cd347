-- What reprice works on: turns, and sessions' totals, that used tokens or were charged.

-- name: rows
select
    key as _key,
    session_key as _session_key,
    started_us as _started_us,
    facts.source() as source,
    session_id,
    turn_id,
    make_timestamp(started_us) as started_at,
    provider_name,
    model,
    coalesce(computed_cost_usd, reported_cost_usd) as cost_usd,
    case
        when computed_cost_usd is not null then 'computed'
        when reported_cost_usd is not null then 'reported'
        else 'unpriced'
    end as cost_status,
    scope,
    input_tokens,
    output_tokens,
    cache_read_input_tokens,
    cache_creation_input_tokens,
    cache_creation_1h_input_tokens,
    reasoning_output_tokens
from (
    select
        'turn' as scope,
        turn_key as key,
        session_key,
        session_id,
        turn_id,
        started_at as started_us,
        provider_name,
        coalesce(response_model, request_model) as model,
        input_tokens,
        output_tokens,
        cache_read_input_tokens,
        cache_creation_input_tokens,
        cache_creation_1h_input_tokens,
        reasoning_output_tokens,
        usage_quality,
        reported_cost_usd,
        computed_cost_usd
    from facts.turn
    union all
    select
        'session',
        session_usage_key,
        session_key,
        session_id,
        null,
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
        computed_cost_usd
    from facts.session_usage
)
where usage_quality <> 'missing' or reported_cost_usd is not null

-- name: repriced
-- A table that the section `price` of ingest.sql takes: the same tokens, of the model that is asked about.
create or replace table facts.repriced as
select
    _key,
    source,
    session_id,
    turn_id,
    started_at as own_started_at,
    provider_name as own_provider_name,
    model,
    cost_usd,
    cost_status,
    scope,
    ?::varchar as repriced_model,
    ?::varchar as provider_name,
    _started_us as started_at,
    input_tokens,
    output_tokens,
    cache_read_input_tokens,
    cache_creation_input_tokens,
    cache_creation_1h_input_tokens,
    reasoning_output_tokens,
    null::double as uncached_input_usd,
    null::double as cache_read_usd,
    null::double as cache_creation_usd,
    null::double as output_usd,
    null::double as reasoning_usd,
    null::double as computed_cost_usd
from ({rows})
where {conditions}
