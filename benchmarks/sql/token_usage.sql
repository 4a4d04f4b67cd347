-- The tokens by type, without their cost: prices are in no table.
with
used as (
    select
        s.session_id,
        cast(t.turn_key as text) as turn_id,
        t.started_at,
        c.provider_name,
        coalesce(t.response_model, c.request_model) as model,
        t.input_tokens - coalesce(t.cache_read_input_tokens, 0) - coalesce(t.cache_creation_input_tokens, 0)
            as uncached_input,
        t.cache_read_input_tokens as cache_read,
        t.cache_creation_input_tokens as cache_creation,
        t.output_tokens - coalesce(t.reasoning_output_tokens, 0) as output,
        t.reasoning_output_tokens as reasoning
    from turn t
    join session s using (session_key)
    left join model_config c using (model_config_key)
)
select
    'sessionlab' as source,
    u.session_id,
    u.turn_id,
    u.started_at,
    u.provider_name,
    u.model,
    k.token_type,
    case k.token_type
        when 'uncached_input' then u.uncached_input
        when 'cache_read' then u.cache_read
        when 'cache_creation' then u.cache_creation
        when 'output' then u.output
        else u.reasoning
    end as tokens,
    'final' as usage_quality,
    'turn' as scope
from used u
cross join (
    select 'uncached_input' as token_type
    union all select 'cache_read'
    union all select 'cache_creation'
    union all select 'output'
    union all select 'reasoning'
) k
where
    case k.token_type
        when 'uncached_input' then u.uncached_input
        when 'cache_read' then u.cache_read
        when 'cache_creation' then u.cache_creation
        when 'output' then u.output
        else u.reasoning
    end is not null
