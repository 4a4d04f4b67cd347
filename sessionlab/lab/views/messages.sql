select
    message_key as _key,
    session_key as _session_key,
    created_at as _time,
    turn_key as _turn_key,
    facts.source() as source,
    session_id,
    message_id,
    message_index,
    parent_message_id,
    turn_id,
    invocation_id,
    role,
    kind,
    make_timestamp(created_at) as created_at,
    is_preamble,
    is_sidechain
from facts.message
