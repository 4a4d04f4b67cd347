select
    turn_key as _key,
    session_key as _session_key,
    turn_key as _turn_key,
    prompt_key as _prompt_key,
    case when error_type is null then turn_key end as _response_key,
    case when error_type is not null then turn_key end as _error_key,
    facts.source() as source,
    session_id,
    turn_id,
    turn_index,
    exchange_index,
    invocation_id,
    make_timestamp(started_at) as started_at,
    duration_us / 1e6 as duration_s,
    provider_name,
    request_model,
    response_model,
    model_config_id,
    model_config_status,
    is_sidechain,
    tool_call_count,
    finish_reason,
    finish_reason_raw,
    error_type,
    input_tokens,
    output_tokens,
    cache_read_input_tokens,
    cache_creation_input_tokens,
    reasoning_output_tokens,
    usage_quality,
    coalesce(computed_cost_usd, reported_cost_usd) as cost_usd,
    reported_cost_usd,
    case
        when computed_cost_usd is not null then 'computed'
        when reported_cost_usd is not null then 'reported'
        else 'unpriced'
    end as cost_status
from facts.turn
