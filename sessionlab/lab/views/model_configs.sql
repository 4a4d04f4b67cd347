with
uses as (
    select
        model_config_key,
        session_key,
        started_at,
        1 as turns
    from facts.turn
    where model_config_key is not null
    union all
    select
        model_config_key,
        session_key,
        null,
        0
    from facts.session_config
),
used as (
    select
        model_config_key,
        min(started_at) as first_used_at,
        max(started_at) as last_used_at,
        count(distinct session_key) as session_count,
        sum(turns)::bigint as turn_count
    from uses
    group by model_config_key
)
select
    k.model_config_key as _key,
    k.model_config_key as _model_config_key,
    u.first_used_at as _time,
    facts.source() as source,
    k.model_config_id,
    k.provider_name,
    k.api_base,
    k.request_model,
    k.temperature,
    k.top_p,
    k.max_tokens,
    k.context_max_tokens,
    k.assistant_minimum_context_tokens,
    k.stop_sequences,
    k.reasoning_effort,
    k.system_instructions_hash,
    k.extra,
    make_timestamp(u.first_used_at) as first_used_at,
    make_timestamp(u.last_used_at) as last_used_at,
    coalesce(u.session_count, 0) as session_count,
    coalesce(u.turn_count, 0) as turn_count
from facts.model_config k
left join used u using (model_config_key)
