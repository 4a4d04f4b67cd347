-- The turns, without their computed cost: prices are in no table.
select
    'sessionlab' as source,
    s.session_id,
    cast(t.turn_key as text) as turn_id,
    t.turn_index,
    t.exchange_index,
    i.invocation_id,
    t.started_at,
    t.duration_us / 1e6 as duration_s,
    c.provider_name,
    c.request_model,
    t.response_model,
    c.model_config_id,
    case when c.model_config_id is null then 'unknown' else 'recorded' end as model_config_status,
    0 as is_sidechain,
    p.content as prompt,
    case when t.error_type is null then x.content end as response,
    x.reasoning,
    coalesce(k.tool_call_count, 0) as tool_call_count,
    t.finish_reason,
    t.finish_reason_raw,
    t.error_type,
    case when t.error_type is not null then x.content end as error_message,
    t.input_tokens,
    t.output_tokens,
    t.cache_read_input_tokens,
    t.cache_creation_input_tokens,
    t.reasoning_output_tokens,
    case when coalesce(t.input_tokens, t.output_tokens) is null then 'missing' else 'final' end as usage_quality,
    t.reported_cost_usd
from turn t
join message_text x on x.message_key = t.turn_key
join session s using (session_key)
left join message_text p on p.message_key = t.prompt_key
left join invocation i using (invocation_key)
left join model_config c using (model_config_key)
left join (
    select
        turn_key,
        count(*) as tool_call_count
    from tool_call
    group by turn_key
) k on k.turn_key = t.turn_key
