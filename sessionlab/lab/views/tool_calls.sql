select
    tool_call_key as _key,
    session_key as _session_key,
    started_at as _time,
    turn_key as _turn_key,
    result_key as _result_key,
    facts.source() as source,
    session_id,
    tool_call_id,
    turn_id,
    tool_call_index,
    tool_name,
    coalesce(status, 'unanswered') as status,
    is_error,
    exit_code,
    make_timestamp(started_at) as started_at,
    duration_us / 1e6 as duration_s
from facts.tool_call
