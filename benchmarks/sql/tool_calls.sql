-- The tool calls, each with its result.
select
    'sessionlab' as source,
    s.session_id,
    c.tool_call_id,
    cast(c.turn_key as text) as turn_id,
    c.tool_call_index,
    c.tool_name,
    a.arguments,
    x.content as result,
    coalesce(r.status, 'unanswered') as status,
    r.is_error,
    r.exit_code,
    c.started_at,
    r.duration_us / 1e6 as duration_s
from tool_call c
join tool_call_text a using (tool_call_key)
join session s on s.session_key = c.session_key
left join tool_result r using (tool_call_key)
left join message_text x on x.message_key = r.tool_result_key
