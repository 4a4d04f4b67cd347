-- Some columns of the turns, none of them wide text.
select
    s.session_id,
    t.started_at,
    t.response_model,
    t.input_tokens,
    t.output_tokens
from turn t
join session s using (session_key)
