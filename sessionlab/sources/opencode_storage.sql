-- opencode before version 1.2: a file for each session, one for each message, and a folder of parts for each message,
-- which are read with it. What is made of them is in opencode.sql.

-- name: line
record,
store,
id,
session_id,
worktree,
case when try_cast(json ->> '$.time.created' as double) between 0 and 253402300799999
    then round(try_cast(json ->> '$.time.created' as double) * 1000)::bigint end as "at",
case when record = 'session' then from_json(
    json,
    '{"parentID":"VARCHAR","directory":"VARCHAR","title":"VARCHAR","version":"VARCHAR","revert":"JSON","time":{"created":"VARCHAR","updated":"VARCHAR","archived":"VARCHAR"}}'
) end as session,
case when record = 'message' then from_json(
    json,
    '{"role":"VARCHAR","time":{"created":"VARCHAR","completed":"VARCHAR"},"parentID":"VARCHAR","providerID":"VARCHAR","modelID":"VARCHAR","variant":"VARCHAR","model":{"providerID":"VARCHAR","modelID":"VARCHAR","variant":"VARCHAR"},"summary":"VARCHAR","finish":"VARCHAR","cost":"VARCHAR","tokens":{"total":"VARCHAR","input":"VARCHAR","output":"VARCHAR","reasoning":"VARCHAR","cache":{"read":"VARCHAR","write":"VARCHAR"}},"error":{"name":"VARCHAR"}}'
) end as message,
case when record = 'part' then from_json(
    json,
    '{"type":"VARCHAR","synthetic":"VARCHAR","tool":"VARCHAR","callID":"VARCHAR","state":{"status":"VARCHAR","metadata":{"exit":"VARCHAR","interrupted":"VARCHAR"},"time":{"start":"VARCHAR","end":"VARCHAR"}},"filename":"VARCHAR","mime":"VARCHAR","time":{"start":"VARCHAR","created":"VARCHAR"},"tokens":{"total":"VARCHAR","input":"VARCHAR","output":"VARCHAR","reasoning":"VARCHAR","cache":{"read":"VARCHAR","write":"VARCHAR"}},"cost":"VARCHAR","reason":"VARCHAR"}'
) end as part,
record = 'part' and coalesce(json ->> '$.text', json ->> '$.prompt', '') <> '' as has_text,
record = 'part' and coalesce((json ->> '$.text') = 'The following tool was executed by the user', false) as is_by_hand,
case when record = 'part' then left(json ->> '$.state.error', 400) end as failure,
case when record = 'part' then right(coalesce(json ->> '$.state.output', json ->> '$.state.error'), 400) end as ending

-- name: text_line
record,
json

-- name: gathered
-- A session that lies in two places is one, and the one that was written last tells of it.
create table raw.chat as
select
    row_number() over (order by created_at nulls last, line_key) as session_key,
    *
from (
    select
        line_key,
        file_key,
        store,
        id,
        session,
        worktree,
        raw.moment(session.time.created) as created_at,
        true as is_there
    from raw.line
    where record = 'session'
    qualify row_number() over (
        partition by raw.session_name(id, store)
        order by raw.moment(session.time.updated) desc nulls last, line_key
    ) = 1
    union all
    select
        min(line_key),
        arg_min(file_key, line_key),
        any_value(store),
        any_value(session_id),
        null,
        null,
        min("at"),
        false
    from raw.line
    where
        record = 'message'
        and raw.session_name(session_id, store) not in (
            select raw.session_name(id, store) from raw.line where record = 'session'
        )
    group by raw.session_name(session_id, store)
);

create table raw.entry as
select
    l.line_key as entry_key,
    l.file_key,
    c.session_key,
    l.id,
    true as is_object,
    false as is_mended,
    coalesce(message.role, '') as role,
    raw.moment(message.time.created) as given_at,
    raw.moment(message.time.created) as created_at,
    raw.moment(message.time.completed) as completed_at,
    message."parentID" as parent_id,
    coalesce(message."providerID", message.model."providerID") as provider_id,
    coalesce(message."modelID", message.model."modelID") as model_id,
    nullif(coalesce(message.variant, message.model.variant), 'default') as variant,
    coalesce(message.summary = 'true', false) as is_summary,
    message.finish as finish,
    message.cost as cost,
    message.tokens as tokens,
    message.error.name as error_name
from raw.line l
join raw.chat c on raw.session_name(c.id, c.store) = raw.session_name(l.session_id, l.store)
where l.record = 'message'
qualify row_number() over (partition by c.session_key, l.id order by l.line_key) = 1;

create view raw.heard as
select
    e.entry_key,
    l.line_key as piece_key,
    l.id as part_id,
    raw.moment(coalesce(part.time.created, part.time.start)) as written_at,
    true as is_object,
    false as is_mended,
    part.type as type,
    coalesce(part.synthetic = 'true', false) as is_synthetic,
    part.tool as tool,
    part."callID" as call_id,
    part.state.status as status,
    l.failure,
    try_cast(part.state.metadata.exit as bigint) as exit_code,
    coalesce(part.state.metadata.interrupted = 'true', false) as is_interrupted,
    raw.moment(part.state.time.start) as started_at,
    raw.moment(part.state.time.end) as ended_at,
    part.tokens as tokens,
    part.cost as cost,
    part.reason as reason,
    l.has_text or coalesce(part.type = 'file', false) as has_text,
    l.is_by_hand,
    l.ending
from raw.line l
join raw.entry e using (file_key)
where l.record = 'part';

create table raw.taken as
select distinct
    regexp_replace(claim, ':\d+$', '') as name,
    session_id
from raw.claimed;

-- name: wanted
-- What a file's texts are must not hang on other files, so there may be more than the facts ask for.
create view raw.wanted as
select *
from raw.post;

create view raw.wanted_entry as
select entry_key
from raw.known;

-- name: texts
said as (
    select
        e.entry_key,
        t.line_key as piece_key,
        p.type,
        coalesce(p.synthetic = 'true', false) as is_synthetic,
        raw.text_of(p) as text,
        p.state.input as arguments,
        coalesce(p.state.output, p.state.error) as result
    from (
        select
            line_key,
            file_key,
            raw.part(json) as p
        from raw.text
        where record = 'part'
    ) t
    join raw.entry e using (file_key)
),
failure as (
    select
        line_key as entry_key,
        coalesce(json ->> '$.error.data.message', json ->> '$.error.name') as message
    from raw.text
    where record = 'message'
)

-- name: session
select
    c.session_key,
    raw.session_name(c.id, c.store) as session_id,
    c.id as native_id,
    c.session.title as name,
    'opencode' as agent_name,
    c.session.directory as directory,
    nullif(c.worktree, '/') as git_root,
    case
        when coalesce(c.session."parentID", '') <> '' then raw.session_name(c.session."parentID", c.store)
        when f.session_key is not null then raw.session_name(f.id, f.store)
    end as parent_session_id,
    c.created_at as started_at,
    raw.moment(c.session.time.updated) as updated_at,
    raw.moment(c.session.time.archived) as archived_at,
    nullif(json_merge_patch('{}', json_object(
        'version', c.session.version,
        'revert', c.session.revert,
        'forked_from', f.id
    )), '{}') as metadata,
    d.path as origin
from raw.chat c
join raw.file d using (file_key)
left join raw.origin o using (session_key)
left join raw.chat f on f.session_key = o.parent_key
order by c.session_key

-- name: problem
select
    coalesce(p.file_key, k.file_key) as file_key,
    null as line,
    case when d.piece_key is not null then 'part ' || p.id else 'message ' || k.id end as record,
    d.reason
from raw.doubt d
join raw.known k using (entry_key)
left join raw.line p on p.line_key = d.piece_key
union all
select
    file_key,
    null,
    'session ' || coalesce(id, 'NULL'),
    case when is_there then 'time.created is no time; it is NULL'
        else 'messages are of this session, but its file is not there; only they tell of it' end
from raw.chat
where not is_there or created_at is null
union all
select
    null,
    null,
    'type ' || type,
    parts || ' of this type, which is not known, left out'
from raw.unknown_type
