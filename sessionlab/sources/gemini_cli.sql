-- The Gemini CLI: records are what is left of a session and its messages after all changes, each message once.
-- A session that is resumed, rewound or compressed loses messages, and the tokens of those that it keeps. The model
-- answered all the same, so every answer stays a turn with the tokens that were recorded with it; what was taken back
-- by a rewind is a sidechain.

-- name: line
record,
"sessionId" as session_id,
"projectHash" as project_hash,
kind,
summary,
stem,
project,
parent,
directory,
case when regexp_full_match(updated, '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)')
    then epoch_us(try_cast(updated as timestamptz)) end as updated_at,
line,
id,
follows,
"timestamp" as given_time,
case when regexp_full_match("timestamp", '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)')
    then epoch_us(try_cast("timestamp" as timestamptz)) end as "at",
type,
is_own,
is_rewound,
is_result,
is_strange_result,
is_injected,
is_command,
has_text,
model,
has_thoughts,
has_tokens,
has_odd_tokens,
tokens,
list_transform(calls, lambda c: {
    'id': c.id,
    'name': c.name,
    'status': case
        when c.status = 'cancelled' and c.is_denied then 'denied'
        when c.status in ('cancelled', 'error') then c.status
        -- The tool calls it a success that the command ran, and tells the model that it failed.
        when c.exit_code <> 0 then 'error'
        when c.status = 'success' or c.has_result then 'ok'
    end,
    'at': case when regexp_full_match(c.time, '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)')
        then epoch_us(try_cast(c.time as timestamptz)) end,
    'exit_code': c.exit_code
}) as calls

-- name: text_line
record,
content,
reasoning,
arguments,
results

-- name: prepare_facts
-- A session may lie in two files, the older JSON and the lines in which a newer version went on. What both have is
-- taken from the one that goes on longer.
create table raw.place as
select
    *,
    first_value(line_key) over of_session as session_key,
    row_number() over of_session as rank
from (
    select
        l.file_key,
        l.line_key,
        f.path,
        f.ended_at,
        l.session_id as native_id,
        case
            when regexp_full_match(l.session_id, '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}') then l.session_id
            else l.project || ':' || coalesce(l.session_id, l.stem)
        end as session_id,
        l.project_hash,
        l.kind,
        l.summary,
        l.parent,
        l.directory,
        l.updated_at
    from raw.line l
    join raw.file f using (file_key)
    where l.record = 'session'
)
window of_session as (
    partition by session_id
    order by greatest(ended_at, updated_at) desc nulls last, path like '%.jsonl' desc, file_key
);

create table raw.kept as
select
    l.*,
    p.session_key
from raw.line l
join raw.place p using (file_key)
where l.record = 'message'
qualify row_number() over (partition by p.session_id, l.id order by p.rank) = 1;

-- What the tool itself puts among the messages, or knows from elsewhere, is context. Of its own commands only those
-- that it made a prompt of reach the model.
create table raw.sorted as
select
    *,
    case type
        when 'gemini' then
            case when model is not null or has_tokens or len(calls) > 0 or (has_thoughts and is_own) then 'response'
                else 'context' end
        when 'user' then
            case
                when is_result and has_text then 'note'
                when is_result then null
                when is_injected or is_strange_result or not has_text or not is_own then 'context'
                when is_command and not is_answered then 'out_of_band'
                else 'prompt'
            end
        when 'info' then 'note'
        when 'warning' then 'note'
        when 'error' then 'error'
    end as sort
from (
    select
        *,
        coalesce(lead(type = 'gemini') over (
            partition by session_key, type in ('user', 'gemini')
            order by line_key
        ), false) as is_answered
    from raw.kept
);

create table raw.call as
select
    line_key + place as tool_call_key,
    line_key as turn_key,
    session_key,
    id,
    is_rewound,
    place,
    "at",
    call
from (
    select
        line_key,
        session_key,
        id,
        is_rewound,
        "at",
        unnest(calls) as call,
        generate_subscripts(calls, 1) as place
    from raw.sorted
    where sort = 'response' and len(calls) > 0
);

create table raw.told as
select
    *,
    row_number() over told - 1 as message_index,
    count(*) filter (where sort = 'response') over told - 1 as turn_index,
    count(*) filter (where sort = 'prompt') over told - 1 as prompt_index,
    max(case when sort = 'prompt' then message_key end) over told as prompt_key
from (
    select
        line_key as message_key,
        session_key,
        id as given_id,
        follows,
        sort,
        case when is_strange_result then 'tool' when type = 'user' then 'user' when type = 'gemini' then 'assistant'
            else 'system' end as role,
        is_rewound,
        "at",
        case when sort = 'response' then line_key end as turn_key
    from raw.sorted
    where sort is not null
    union all
    select
        tool_call_key,
        session_key,
        id || '#' || place,
        id,
        'result',
        'tool',
        is_rewound,
        call.at,
        turn_key
    from raw.call
    where call.status is not null
)
window told as (partition by session_key order by message_key rows between unbounded preceding and current row);

-- After a message with calls comes the last of their results.
create table raw.link as
select
    session_key,
    follows,
    max(message_key) as message_key,
    max(message_key) filter (where sort <> 'result') as own_key
from (
    select session_key, given_id as follows, message_key, sort
    from raw.told
    where sort <> 'result'
    union all
    select session_key, follows, message_key, sort
    from raw.told
    where sort = 'result'
)
group by session_key, follows;

-- name: session
select
    p.session_key,
    p.session_id,
    p.native_id,
    s.summary as name,
    'gemini-cli' as agent_name,
    s.directory,
    p.parent as parent_session_id,
    p.native_id as conversation_id,
    s.started_at,
    s.updated_at,
    nullif(json_merge_patch('{}', json_object('project_hash', p.project_hash, 'kind', p.kind)), '{}') as metadata,
    p.path as origin
from raw.place p
join (
    select
        p.session_key,
        arg_min(p.summary, p.rank) filter (where p.summary is not null) as summary,
        arg_min(p.directory, p.rank) filter (where p.directory is not null) as directory,
        min(l.at) as started_at,
        greatest(max(l.at), max(l.updated_at)) as updated_at
    from raw.place p
    join raw.line l using (file_key)
    group by p.session_key
) s using (session_key)
where p.rank = 1

-- name: message
select
    t.message_key,
    t.session_key,
    t.message_index,
    t.given_id,
    case when t.sort = 'result' then t.turn_key else coalesce(l.message_key, l.own_key) end as parent_key,
    t.prompt_key,
    t.turn_key,
    t.role,
    case when t.sort in ('prompt', 'response', 'result') then 'message' else t.sort end as kind,
    0 as is_preamble,
    t.is_rewound::bigint as is_sidechain,
    t.at as created_at
from raw.told t
left join raw.link l on l.session_key = t.session_key and l.follows = t.follows and l.message_key <> t.message_key

-- name: model_config
select
    1 as model_config_key,
    'gcp.gemini' as provider_name
where exists (select 1 from raw.told where sort = 'response')

-- name: turn
select
    t.message_key as turn_key,
    t.session_key,
    t.turn_index,
    case when t.prompt_key is not null then t.prompt_index end as exchange_index,
    1 as model_config_key,
    'recorded' as model_config_status,
    t.prompt_key,
    t.is_rewound::bigint as is_sidechain,
    t.at as started_at,
    s.model as response_model,
    case when len(s.calls) > 0 then 'tool_call' end as finish_reason,
    -- What tools of the server put into the prompt is told apart from it, unless the total says that it is in it.
    s.tokens.input + case when s.tokens.total = s.tokens.input + s.tokens.output + coalesce(s.tokens.thoughts, 0) then 0
        else coalesce(s.tokens.tool, 0) end as input_tokens,
    -- Thoughts are paid for as output and not counted in it.
    s.tokens.output + coalesce(s.tokens.thoughts, 0) as output_tokens,
    case when s.tokens.cached <= s.tokens.input then s.tokens.cached end as cache_read_input_tokens,
    case when s.tokens.output is not null then s.tokens.thoughts end as reasoning_output_tokens,
    case when s.tokens.input is null and s.tokens.output is null then 'missing' else 'final' end as usage_quality
from raw.told t
join raw.sorted s on s.line_key = t.message_key
where t.sort = 'response'

-- name: tool_call
select
    tool_call_key,
    session_key,
    row_number() over (partition by session_key order by tool_call_key) - 1 as tool_call_index,
    call.id as tool_call_id,
    turn_key,
    coalesce(call.name, '') as tool_name,
    "at" as started_at
from raw.call

-- name: tool_result
select
    tool_call_key as tool_result_key,
    tool_call_key,
    call.status as status,
    (call.status <> 'ok')::bigint as is_error,
    call.exit_code as exit_code
from raw.call
where call.status is not null

-- name: message_text
select
    line_key as message_key,
    content,
    reasoning
from raw.text
where record = 'message'
union all
select
    line_key + generate_subscripts(results, 1),
    unnest(results),
    null
from raw.text
where len(results) > 0

-- name: tool_call_text
select
    line_key + generate_subscripts(arguments, 1) as tool_call_key,
    unnest(arguments) as arguments
from raw.text
where len(arguments) > 0

-- name: problem
select
    file_key,
    line,
    'message ' || id as record,
    'timestamp is ' || given_time || ', which is no time; it is NULL' as reason
from raw.line
where record = 'message' and given_time is not null and "at" is null
union all
select
    file_key,
    line,
    'message ' || id,
    'tokens are no numbers of tokens; those are NULL'
from raw.line
where has_odd_tokens
union all
select
    file_key,
    line,
    'message ' || id,
    'more tokens are cached than there are; how many is NULL'
from raw.line
where tokens.cached > tokens.input
union all
select
    file_key,
    null,
    'the session',
    'sessionId is missing; the session has a made one'
from raw.line
where record = 'session' and session_id is null
union all
select
    null,
    null,
    'type ' || type,
    count(*) || ' of this type, which is not known, left out'
from raw.line
where record = 'message' and type not in ('user', 'gemini', 'info', 'warning', 'error')
group by type
