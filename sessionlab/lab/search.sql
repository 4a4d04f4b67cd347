-- What is known of the places of a search's hits, registered as `hits`: one row for each.
-- `_after` and `_rank` put them in order: a call stands after the message that asked for it, and its result may have come before that message was recorded.

with
message_hits as (
    select
        h._text,
        h._key,
        m.session_key as _session_key,
        m.turn_key as _turn_key,
        m.session_id,
        case
            when h._text = 'reasoning' then 'reasoning'
            when c.tool_call_key is not null then 'result'
            else 'content'
        end as place,
        m.message_id,
        m.message_index,
        m.turn_id,
        c.tool_call_id,
        c.tool_call_index,
        c.tool_name,
        m.role,
        make_timestamp(m.created_at) as created_at,
        m.message_key as _after
    from hits h
    join facts.message m on m.message_key = h._key
    left join facts.tool_call c on c.result_key = case when h._text = 'content' then m.message_key end
    where h._text <> 'arguments'
),
argument_hits as (
    select
        h._text,
        h._key,
        c.session_key as _session_key,
        c.turn_key as _turn_key,
        c.session_id,
        'arguments' as place,
        m.message_id,
        m.message_index,
        c.turn_id,
        c.tool_call_id,
        c.tool_call_index,
        c.tool_name,
        'assistant' as role,
        make_timestamp(c.started_at) as created_at,
        coalesce(least(c.turn_key, c.result_key), c.tool_call_key) as _after
    from hits h
    join facts.tool_call c on c.tool_call_key = h._key
    left join facts.message m on m.message_key = c.turn_key
    where h._text = 'arguments'
),
all_hits as (
    from message_hits
    union all
    from argument_hits
)
select
    h._text,
    h._key,
    facts.source() as source,
    h.session_id,
    s.name as session_name,
    h.place,
    h.message_id,
    h.message_index,
    h.turn_id,
    h.tool_call_id,
    h.tool_call_index,
    h.tool_name,
    h.role,
    h.created_at,
    facts.origin() as origin,
    h._session_key,
    h._turn_key,
    h._after,
    list_position(['reasoning', 'content', 'arguments', 'result'], h.place) as _rank
from all_hits h
left join facts.session s on s.session_key = h._session_key

-- name: sessions
-- The sessions that the hits are in.
select distinct
    facts.source() as source,
    session_id
from (
    select m.session_id
    from hits h
    join facts.message m on m.message_key = h._key
    where h._text <> 'arguments'
    union all
    select c.session_id
    from hits h
    join facts.tool_call c on c.tool_call_key = h._key
    where h._text = 'arguments'
)
