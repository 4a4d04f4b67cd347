-- ChatGPT: records are conversations and their messages, each message after the one that it follows. An export counts
-- no tokens. What is not on the branch that is shown is a sidechain.

-- name: line
record,
conversation,
id,
made_id,
title,
"time" as "at",
updated,
more,
role,
sort,
parent,
prompt,
asked,
is_current,
tool,
model,
effort,
stop,
finish,
duration,
status

-- name: text_line
record,
content,
reasoning,
arguments

-- name: prepare_facts
-- A conversation may be in several exports; the newest one has all of it.
create table raw.place as
select
    *,
    row_number() over (
        partition by session_id
        order by updated desc nulls last, file_key desc, conversation desc
    ) = 1 as is_read
from (
    select
        l.line_key as session_key,
        l.file_key,
        l.conversation,
        f.path,
        l.id as native_id,
        coalesce(l.id, l.made_id) as session_id,
        l.title,
        l.at as started_at,
        l.updated,
        l.more
    from raw.line l
    join raw.file f using (file_key)
    where l.record = 'conversation'
);

create table raw.told as
select
    *,
    role = 'user' and sort = 'said' as is_prompt,
    row_number() over told - 1 as message_index,
    count(*) filter (where sort = 'response') over told - 1 as turn_index,
    count(*) filter (where role = 'user' and sort = 'said') over told - 1 as prompt_index
from (
    select
        l.line_key as message_key,
        p.session_key,
        l.id,
        l.at,
        l.role,
        l.sort,
        l.line_key - (l.line_no - l.parent) * 65536 as parent_key,
        l.line_key - (l.line_no - l.prompt) * 65536 as prompt_key,
        l.line_key - (l.line_no - l.asked) * 65536 as asked_key,
        not l.is_current as is_sidechain,
        l.tool,
        l.model,
        l.effort,
        l.stop,
        l.finish,
        l.duration,
        l.status
    from raw.line l
    join raw.place p using (file_key, conversation)
    where l.record = 'message' and p.is_read
)
window told as (partition by session_key order by message_key rows between unbounded preceding and current row);

create table raw.config as
select
    row_number() over (order by min(message_key)) as model_config_key,
    effort
from raw.told
where sort = 'response'
group by effort;

-- name: session
select
    p.session_key,
    p.session_id,
    p.native_id,
    p.title as name,
    'chatgpt' as agent_name,
    p.native_id as conversation_id,
    coalesce(p.started_at, t.started_at) as started_at,
    coalesce(p.updated, t.updated_at) as updated_at,
    nullif(p.more::varchar, '{}') as metadata,
    p.path as origin
from raw.place p
left join (
    select
        session_key,
        min("at") as started_at,
        max("at") as updated_at
    from raw.told
    group by session_key
) t using (session_key)
where p.is_read

-- name: message
select
    message_key,
    session_key,
    message_index,
    id as given_id,
    parent_key,
    prompt_key,
    case when sort = 'response' then message_key else asked_key end as turn_key,
    role,
    case when sort in ('said', 'response') then 'message' else sort end as kind,
    0 as is_preamble,
    is_sidechain::bigint as is_sidechain,
    "at" as created_at
from raw.told

-- name: model_config
select
    model_config_key,
    'openai' as provider_name,
    effort as reasoning_effort
from raw.config

-- name: turn
select
    t.message_key as turn_key,
    t.session_key,
    t.turn_index,
    p.prompt_index as exchange_index,
    c.model_config_key,
    'recorded' as model_config_status,
    t.prompt_key,
    t.is_sidechain::bigint as is_sidechain,
    t.at as started_at,
    t.model as response_model,
    t.finish as finish_reason,
    t.stop as finish_reason_raw,
    'missing' as usage_quality
from raw.told t
join raw.config c on c.effort is not distinct from t.effort
left join raw.told p on p.message_key = t.prompt_key
where t.sort = 'response'

-- name: tool_call
select
    message_key as tool_call_key,
    session_key,
    row_number() over (partition by session_key order by message_key) - 1 as tool_call_index,
    id as tool_call_id,
    message_key as turn_key,
    tool as tool_name,
    "at" as started_at
from raw.told
where tool is not null

-- name: tool_result
-- A tool may say more after its result; that is a message as well.
select
    message_key as tool_result_key,
    asked_key as tool_call_key,
    status,
    (status <> 'ok')::bigint as is_error,
    duration as duration_us
from raw.told
where asked_key is not null
qualify row_number() over (partition by asked_key order by message_key) = 1

-- name: message_text
select
    line_key as message_key,
    content,
    reasoning
from raw.text
where record = 'message'

-- name: tool_call_text
select
    line_key as tool_call_key,
    arguments
from raw.text
where record = 'message' and arguments is not null
