-- What somebody types who wants the messages of a store without sessionlab; SQLite and DuckDB both run it.
select
    'sessionlab' as source,
    s.session_id,
    cast(m.message_key as text) as message_id,
    m.message_index,
    cast(m.parent_key as text) as parent_message_id,
    cast(m.turn_key as text) as turn_id,
    i.invocation_id,
    m.role,
    m.kind,
    x.content,
    x.reasoning,
    m.created_at,
    m.is_preamble,
    0 as is_sidechain
from message m
join message_text x using (message_key)
join session s using (session_key)
left join invocation i using (invocation_key)
