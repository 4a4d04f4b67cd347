-- atuin-ai: sessions, and events in the order in which they were written. The events of an exchange are written at its
-- end, so their times are those of writing. No event says which model answered, or what it used.

-- name: prepare
-- A cast alone would round 1.5 to 2.
create macro raw.whole(given) as
    case when try_cast(given as double) = try_cast(given as bigint) then try_cast(given as bigint) end;

-- Seconds since 1970, before the year 10000, as microseconds.
create macro raw.moment(given) as
    case when raw.whole(given) between 0 and 253402300799 then raw.whole(given) * 1000000 end;

-- The time with which a UUID of version 7 begins.
create macro raw.moment_of(id) as
    case when uuid_extract_version(try_cast(id as uuid)) = 7
        then epoch_us(uuid_extract_timestamp(try_cast(id as uuid))) end;

create macro raw.readable(text) as
    case when (contains(text, '\ud') or contains(text, '\uD')) and not json_valid(text)
        then coalesce(raw.mended(text), text) else text end;

-- What an event is. One whose data lacks what it takes is odd: a message with the data as its text.
-- The types are those of the data, and of its members content, id, name, tool_use_id and is_error.
create macro raw.sort_of(event_type, types) as
    case
        when types[1] is distinct from 'OBJECT' then 'odd'
        when event_type = 'tool_call' and coalesce(types[3], types[4]) is not null then 'call'
        when event_type = 'tool_result' and coalesce(types[2], types[5]) is not null then 'result'
        when types[2] is null then 'odd'
        when event_type = 'user_message' then 'prompt'
        when event_type = 'text' then 'text'
        when event_type = 'system_context' then 'context'
        when event_type = 'out_of_band_output' then 'aside'
        when event_type = 'skill_invocation' then 'skill'
        else 'odd'
    end;
create macro raw.doubt_of(event_type, event_data, types, sort) as
    case
        when event_type is null then 'event_type is NULL; its data is there as text'
        when event_type not in (
            'user_message', 'text', 'tool_call', 'tool_result', 'out_of_band_output', 'system_context', 'skill_invocation'
        ) then 'the type ' || event_type || ' is not known; its data is there as text'
        when event_data is null then 'event_data is NULL'
        when types[1] is null then 'event_data is no JSON; it is there as text'
        when types[1] <> 'OBJECT' then 'event_data is no JSON object; it is there as text'
        when sort = 'odd' then 'event_data lacks what makes a ' || event_type || '; it is there as text'
        when sort = 'call' then nullif(concat_ws(', ',
            case when types[3] is distinct from 'VARCHAR' then 'id is no text' end,
            case when types[4] is distinct from 'VARCHAR' then 'name is no text' end), '')
        when sort = 'result' then nullif(concat_ws(', ',
            case when types[5] is distinct from 'VARCHAR' then 'tool_use_id is no text' end,
            case when types[2] is distinct from 'VARCHAR' then 'content is no text' end,
            case when types[6] is distinct from 'BOOLEAN' then 'is_error is neither true nor false' end), '')
        when types[2] <> 'VARCHAR' then 'content is no text'
    end;

-- Of sessions with the same id the first is read. Events whose session is gone have one all the same.
create table raw.session as
select
    row_number() over (order by written_at nulls last, is_there desc, _row) as session_key,
    id,
    _row,
    written_at,
    is_there
from (
    select
        id,
        _row,
        raw.moment(created_at) as written_at,
        true as is_there
    from raw.sessions
    qualify row_number() over (partition by id order by _row) = 1
    union all
    select
        session_id,
        min(_row),
        min(raw.moment(created_at)),
        false
    from raw.session_events e
    where not exists (select 1 from raw.sessions s where s.id is not distinct from e.session_id)
    group by session_id
);

create table raw.run as
select
    row_number() over (order by invocation_id) as invocation_key,
    invocation_id
from (select distinct invocation_id from raw.session_events where invocation_id is not null);

create table raw.event as
select
    row_number() over (order by written_at nulls last, _row) as event_key,
    _row,
    session_key,
    invocation_key,
    sort,
    doubt,
    is_mended
from (
    select
        e._row,
        raw.moment(e.created_at) as written_at,
        s.session_key,
        r.invocation_key,
        e.sort,
        raw.doubt_of(e.event_type, e.event_data, e.types, e.sort) as doubt,
        e.sort <> 'odd' and e.data <> e.event_data as is_mended
    from (
        select
            *,
            raw.sort_of(event_type, types) as sort
        from (
            select
                *,
                try(json_type(data, ['$', '$.content', '$.id', '$.name', '$.tool_use_id', '$.is_error'])) as types
            from (
                select
                    *,
                    raw.readable(event_data) as data
                from raw.session_events
            )
        )
    ) e
    join raw.session s on s.id is not distinct from e.session_id
    left join raw.run r on r.invocation_id = e.invocation_id
);

-- A response is stored as its text and its calls, in a row. Two runs may go on with one session at the same time, so
-- only within a run one event follows another. A response without text has the place of its first call.
create table raw.step as
select
    event_key,
    _row,
    session_key,
    invocation_key,
    sort,
    is_turn,
    sort <> 'call' or is_turn as is_message
from (
    select
        *,
        sort = 'text' or (sort = 'call' and coalesce(before not in ('text', 'call'), true)) as is_turn
    from (
        select
            event_key,
            _row,
            session_key,
            invocation_key,
            sort,
            lag(sort) over (partition by session_key, invocation_key order by event_key) as before
        from raw.event
    )
);

-- name: prepare_facts
create table raw.counted as
select
    *,
    count(*) filter (where is_message) over told - 1 as message_index,
    count(*) filter (where is_turn) over told - 1 as turn_index,
    count(*) filter (where sort = 'call') over told - 1 as tool_call_index,
    count(*) filter (where sort = 'prompt') over told - 1 as prompt_index,
    coalesce(
        max(case when sort = 'prompt' then event_key end) over run,
        max(case when sort = 'prompt' then event_key end) over told
    ) as prompt_key,
    case when sort in ('text', 'call') then max(case when is_turn then event_key end) over run end as turn_key
from raw.step
window
    told as (partition by session_key order by event_key rows between unbounded preceding and current row),
    run as (
        partition by session_key, invocation_key order by event_key rows between unbounded preceding and current row
    );

create table raw.line as
select
    * exclude (data, written_at, id_at),
    -- The time in an id is finer than a second, where it is that of writing.
    case
        when written_at is null then case when id_at between 0 and 253402300799999999 then id_at end
        when id_at between written_at - 1000000 and written_at + 1999999 then id_at
        else written_at
    end as created_at,
    case sort when 'call' then data.id when 'result' then data.tool_use_id end as call_id,
    data.name as tool_name,
    data.is_error,
    coalesce(data.remote = 'true', false) as is_remote,
    case
        when sort = 'odd' then 'context'
        when sort = 'skill' then 'skill'
        when sort = 'aside' then case when data.command = '/model' then 'note' else 'out_of_band' end
        when sort <> 'context' then 'message'
        when data.content = '[Note: The user has started a new invocation of Atuin AI. Prior messages from this session are from an earlier invocation.]' then 'boundary'
        when data.content = 'The user cancelled the previous generation. Tool calls that were in progress have been aborted.' then 'note'
        else 'context'
    end as kind,
    case
        when sort <> 'result' or data.is_error is distinct from 'true' then null
        when data.content = 'Error: user cancelled this operation' then 'cancelled'
        when data.content = 'Permission denied on the user''s system' then 'denied'
        when data.content = 'Permission denied by the user' then 'denied'
    end as outcome,
    -- What a command printed comes after these lines, and may look like them.
    case when sort = 'result' then regexp_extract(
        data.content,
        '^(?:Exit code: (-?\d{1,10})(?:\n+|$))?(?:Duration: (\d{1,15})ms(?:\n|$))?',
        ['exit_code', 'milliseconds']
    ) end as head,
    case when sort = 'result' then regexp_extract(
        right(data.content, 99), '\n\n\[(Timed out after|Interrupted by user)[^\n\]]*\]\s*$', 1
    ) end as ending
from (
    select
        c.*,
        e.id,
        e.parent_id,
        e.event_type,
        raw.moment(e.created_at) as written_at,
        raw.moment_of(e.id) as id_at,
        case when c.sort in ('call', 'result', 'context', 'aside') then from_json(
            raw.readable(e.event_data),
            '{"content":"VARCHAR","id":"VARCHAR","name":"VARCHAR","tool_use_id":"VARCHAR","is_error":"VARCHAR","remote":"VARCHAR","command":"VARCHAR"}'
        ) end as data
    from raw.session_events e
    join raw.counted c using (_row)
);

create table raw.known as
select
    session_key,
    id,
    min(event_key) as event_key,
    count(*) as events
from raw.line
where id is not null
group by session_key, id;

-- Of events with the same id the first has it, another one gets a made id.
create table raw.twin as
select l.event_key
from raw.line l
join raw.known k using (session_key, id)
where k.events > 1 and l.event_key <> k.event_key;

-- The parent of a call or result is the message that holds it. What comes later is none: no chain may lead to itself.
create table raw.parent as
select
    l.event_key,
    p.event_key as found_key,
    case
        when p.event_key >= l.event_key then null
        when p.is_message then p.event_key
        else p.turn_key
    end as parent_key
from raw.line l
left join raw.known k on k.session_key = l.session_key and k.id = l.parent_id
left join raw.counted p on p.event_key = k.event_key
where l.parent_id is not null;

-- A result is that of the oldest call before it with its id that has none yet; further ones take the place of the last.
-- Where none is before it, it is that of the first call.
create table raw.answer as
select
    r.event_key,
    c.event_key as tool_call_key,
    c.turn_key,
    c.tool_name,
    -- What the server has is what the model was told in the end.
    row_number() over (partition by c.event_key order by r.is_remote desc, r.event_key desc) = 1 as is_chosen
from (
    select
        event_key,
        session_key,
        call_id,
        is_remote,
        place + least(0, min(greatest(1, calls) - place) over (partition by session_key, call_id order by event_key))
            as rank
    from (
        select
            event_key,
            session_key,
            call_id,
            is_remote,
            sort,
            count(*) filter (where sort = 'result') over told as place,
            count(*) filter (where sort = 'call') over told as calls
        from raw.line
        where call_id is not null
        window told as (
            partition by session_key, call_id order by event_key rows between unbounded preceding and current row
        )
    )
    where sort = 'result'
) r
join (
    select
        event_key,
        session_key,
        call_id,
        turn_key,
        tool_name,
        row_number() over (partition by session_key, call_id order by event_key) as rank
    from raw.line
    where sort = 'call' and call_id is not null
) c using (session_key, call_id, rank);

create table raw.outcome as
select
    event_key,
    tool_call_key,
    turn_key,
    is_remote,
    case
        when outcome is not null then outcome
        -- A command that was stopped has no exit code.
        when head.exit_code = '' and ending = 'Timed out after' then 'timeout'
        when head.exit_code = '' and ending = 'Interrupted by user' then 'cancelled'
        when is_error = 'true' then 'error'
        else 'ok'
    end as status,
    case
        when is_error in ('true', 'false') then is_error = 'true'
        else coalesce(try_cast(head.exit_code as bigint) <> 0, false)
    end as is_error,
    try_cast(head.exit_code as bigint) as exit_code,
    try_cast(head.milliseconds as bigint) * 1000 as duration_us
from (
    select
        a.event_key,
        a.tool_call_key,
        a.turn_key,
        l.is_remote,
        l.is_error,
        l.outcome,
        coalesce(a.tool_name = 'execute_shell_command' and not l.is_remote, false) as is_command,
        case when is_command then l.head end as head,
        case when is_command then l.ending end as ending
    from raw.answer a
    join raw.line l using (event_key)
    where a.is_chosen
);

-- An answer that was made on this machine shows that the model had stopped to wait for it.
create table raw.stopped as
select distinct turn_key
from raw.outcome
where not is_remote and status <> 'cancelled';

-- The values stay as they are: a hash in them has more digits than a number may keep.
create table raw.metadata as
select
    s.session_key,
    '{' || string_agg(to_json(coalesce(m.key, '')) || ':' || case
        when m.value is null then 'null'
        when json_valid(m.value) then m.value
        else to_json(m.value)::varchar
    end, ',' order by m._row) || '}' as metadata
from raw.session_metadata m
join raw.session s on s.id is not distinct from m.session_id
group by s.session_key;

-- name: session
select
    k.session_key,
    -- Ids that the tool makes are unique in the world, others need not be.
    case
        when k.id is null then raw.file_id() || '#nameless'
        when length(k.id) = 36 and try_cast(k.id as uuid) is not null then k.id
        else raw.file_id() || ':' || k.id
    end as session_id,
    k.id as native_id,
    'atuin' as agent_name,
    s.directory,
    s.git_root,
    s.server_session_id as conversation_id,
    -- The id is made when the program is opened, the row is written at the end of the first exchange.
    case
        when k.written_at is null then case when k.id_at between 0 and 253402300799999999 then k.id_at end
        when k.id_at between k.written_at - 86400000000 and k.written_at + 1999999 then k.id_at
        else k.written_at
    end as started_at,
    raw.moment(s.updated_at) as updated_at,
    raw.moment(s.archived_at) as archived_at,
    m.metadata
from (
    select
        *,
        raw.moment_of(id) as id_at
    from raw.session
) k
left join raw.sessions s on s._row = case when k.is_there then k._row end
left join raw.metadata m using (session_key)
order by session_key

-- name: invocation
select
    invocation_key,
    invocation_id
from raw.run
order by invocation_key

-- name: message
select
    l.event_key as message_key,
    l.session_key,
    l.message_index,
    -- An id of digits might be the made one of another event.
    case when t.event_key is null and not regexp_full_match(l.id, '\d*') then l.id end as given_id,
    p.parent_key,
    l.prompt_key,
    coalesce(l.turn_key, a.turn_key) as turn_key,
    l.invocation_key,
    -- What only the program says is of the system, even where the model is told it as if by the user.
    case
        when l.event_type in ('user_message', 'skill_invocation') then 'user'
        when l.event_type in ('text', 'tool_call') then 'assistant'
        when l.event_type = 'tool_result' then 'tool'
        else 'system'
    end as role,
    l.kind,
    0 as is_preamble,
    0 as is_sidechain,
    l.created_at
from raw.line l
left join raw.parent p using (event_key)
left join raw.answer a using (event_key)
left join raw.twin t using (event_key)
where l.is_message

-- name: turn
select
    l.event_key as turn_key,
    l.session_key,
    l.turn_index,
    q.prompt_index as exchange_index,
    l.invocation_key,
    'unknown' as model_config_status,
    l.prompt_key,
    0 as is_sidechain,
    l.created_at as started_at,
    case when f.turn_key is not null then 'tool_call' end as finish_reason,
    'missing' as usage_quality
from raw.line l
left join raw.counted q on q.event_key = l.prompt_key
left join raw.stopped f on f.turn_key = l.event_key
where l.is_turn

-- name: tool_call
select
    event_key as tool_call_key,
    session_key,
    tool_call_index,
    call_id as tool_call_id,
    turn_key,
    invocation_key,
    coalesce(tool_name, '') as tool_name,
    created_at as started_at
from raw.line
where sort = 'call'

-- name: tool_result
select
    event_key as tool_result_key,
    tool_call_key,
    status,
    is_error::bigint as is_error,
    exit_code,
    duration_us
from raw.outcome
union all
-- What the model suggests is for the user to run, and no result of that is ever written.
select
    null,
    l.event_key,
    'suggested',
    null,
    null,
    null
from raw.line l
left join raw.outcome o on o.tool_call_key = l.event_key
where l.sort = 'call' and l.tool_name = 'suggest_command' and o.tool_call_key is null

-- name: message_text
select
    event_key as message_key,
    case sort
        when 'odd' then event_data
        -- What was typed comes first: without it nothing says what the text is of.
        when 'aside' then concat_ws(
            chr(10), nullif(concat_ws(' ', nullif(data.name, 'System'), data.command), ''), data.content)
        when 'skill' then concat_ws(chr(10), '/' || concat_ws(' ', data.name, data.arguments), data.content)
        else data.content
    end as content,
    null as reasoning
from (
    select
        s.event_key,
        s.sort,
        e.event_data,
        case when s.sort not in ('odd', 'call') then from_json(
            raw.readable(e.event_data),
            '{"content":"VARCHAR","name":"VARCHAR","command":"VARCHAR","arguments":"VARCHAR"}'
        ) end as data
    from raw.session_events e
    join raw.step s using (_row)
    where s.is_message
)

-- name: tool_call_text
select
    s.event_key as tool_call_key,
    case when s.sort = 'call' then json_extract(raw.readable(e.event_data), '$.input')::varchar end as arguments
from raw.session_events e
join raw.step s using (_row)
where s.sort = 'call'

-- name: problem
with
odd as (
    select
        event_key,
        doubt as reason
    from raw.event
    where doubt is not null
    union all
    select
        event_key,
        'event_data holds halves of characters that no text can hold; they were replaced by ' || chr(65533)
    from raw.event
    where is_mended
    union all
    select
        event_key,
        'id is ' || coalesce('''' || id || '''', 'NULL') || '; it has a made one'
    from raw.line
    where id is null or regexp_full_match(id, '\d*')
    union all
    select
        event_key,
        'an event before it has the same id; it has a made one'
    from raw.twin
    union all
    select
        event_key,
        'invocation_id is NULL'
    from raw.line
    where invocation_key is null
    union all
    select
        e.event_key,
        'created_at is ' || coalesce(g.created_at, 'NULL') || ', which is no time'
    from raw.session_events g
    join raw.event e using (_row)
    where raw.moment(g.created_at) is null
    union all
    select
        p.event_key,
        'its parent ' || l.parent_id || case when p.found_key is null then ' is not there' else ' is not before it' end
            || '; it has none'
    from raw.parent p
    join raw.line l using (event_key)
    where p.parent_key is null
    union all
    select
        l.event_key,
        coalesce('it is the result of the call ' || l.call_id || ', which is not there', 'it names no call')
            || '; it is a message all the same'
    from raw.line l
    left join raw.answer a using (event_key)
    where l.sort = 'result' and a.event_key is null
)
select
    'session_events ' || coalesce(l.id, 'row ' || l._row) as record,
    o.reason,
    null as line
from odd o
join raw.line l using (event_key)
union all
select
    'sessions ' || coalesce(id, 'NULL'),
    'events are of this session, but its row is not there; only they tell of it',
    null
from raw.session
where not is_there
union all
select
    'sessions row ' || _row,
    'id is NULL; the session has a made one',
    null
from raw.session
where is_there and id is null
union all
select
    'sessions ' || coalesce(s.id, 'row ' || s._row),
    'the id is that of row ' || k._row || ' as well, which is read; row ' || s._row || ' is not',
    null
from raw.sessions s
join raw.session k on k.id is not distinct from s.id and k.is_there
where k._row <> s._row
union all
select
    'sessions ' || coalesce(k.id, 'row ' || k._row),
    name || ' is ' || coalesce(given, 'NULL') || ', which is no time; it is NULL',
    null
from (
    select _row, 'created_at' as name, created_at as given, false as may_lack
    from raw.sessions
    union all
    select _row, 'updated_at', updated_at, false
    from raw.sessions
    union all
    select _row, 'archived_at', archived_at, true
    from raw.sessions
)
join raw.session k using (_row)
where k.is_there and raw.moment(given) is null and not (may_lack and given is null)
union all
select
    'session_metadata ' || coalesce(m.session_id, 'NULL') || ' ' || coalesce(m.key, 'NULL'),
    case
        when s.session_key is null then 'its session is not there; it is left out'
        when m.key is null then 'key is NULL; its value has an empty one'
        when m.value is null then 'value is NULL'
        else 'value is no JSON; it is there as text'
    end,
    null
from raw.session_metadata m
left join raw.session s on s.id is not distinct from m.session_id
where s.session_key is null or m.key is null or not coalesce(json_valid(m.value), false)
