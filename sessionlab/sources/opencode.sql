-- opencode: a message holds what is known of an answer, and its parts what was said. The database and the older files
-- (opencode_storage.sql) are brought to the same tables: chat, entry and what was heard. All that follows is the same
-- for both, but for the sections that opencode_storage.sql has as well.

-- name: macros
-- Milliseconds since 1970, before the year 10000, as microseconds.
create macro raw.moment(given) as
    case when try_cast(given as double) between 0 and 253402300799999
        then round(try_cast(given as double) * 1000)::bigint end;

create macro raw.readable(text) as
    case when (contains(text, '\ud') or contains(text, '\uD')) and not json_valid(text)
        then coalesce(raw.mended(text), text) else text end;

-- What cannot be a number of tokens, or a sum of money, is NULL.
create macro raw.tokens(given) as
    case when regexp_full_match(given, '\d{1,15}(\.0+)?') then try_cast(try_cast(given as double) as bigint) end;
create macro raw.dollars(given) as
    case when try_cast(given as double) between 0 and 1e12 then try_cast(given as double) end;

create macro raw.provider(id) as
    case id
        when 'google' then 'gcp.gemini'
        when 'google-vertex' then 'gcp.vertex_ai'
        when 'google-vertex-anthropic' then 'gcp.vertex_ai'
        when 'amazon-bedrock' then 'aws.bedrock'
        when 'azure' then 'azure.ai.openai'
        when 'azure-cognitive-services' then 'azure.ai.openai'
        when 'mistral' then 'mistral_ai'
        when 'xai' then 'x_ai'
        else id
    end;

-- Ids that the tool makes are unique in the world, others need not be.
create macro raw.session_name(id, store) as
    case
        when id is null then store || '#nameless'
        when regexp_full_match(id, 'ses_[0-9a-f]{12}[0-9A-Za-z]{14}') then id
        else store || ':' || id
    end;

-- A tool call that failed says why in its text alone.
create macro raw.outcome(tool, status, error, is_interrupted, ending, exit_code) as
    case
        when status = 'error' then case
            when is_interrupted or error = 'Tool execution aborted' then 'cancelled'
            when contains(error, 'rejected permission') or contains(error, 'specified a rule')
                or contains(error, 'QuestionRejectedError') or contains(error, 'user dismissed') then 'denied'
            else 'error'
        end
        when status = 'completed' then case
            when tool = 'invalid' then 'error'
            -- A command that was stopped has no exit code; what it printed may look like these lines.
            when exit_code is null and contains(ending, 'terminated command after exceeding timeout')
                then 'timeout'
            when exit_code is null and contains(ending, 'User aborted the command') then 'cancelled'
            when exit_code <> 0 then 'error'
            else 'ok'
        end
    end;

create macro raw.part(json) as from_json(
    json,
    '{"type":"VARCHAR","text":"VARCHAR","synthetic":"VARCHAR","tool":"VARCHAR","callID":"VARCHAR","state":{"status":"VARCHAR","input":"VARCHAR","output":"VARCHAR","error":"VARCHAR","metadata":{"exit":"VARCHAR","interrupted":"VARCHAR"},"time":{"start":"VARCHAR","end":"VARCHAR"}},"filename":"VARCHAR","mime":"VARCHAR","prompt":"VARCHAR","command":"VARCHAR","auto":"VARCHAR","error":{"name":"VARCHAR","data":{"message":"VARCHAR"}},"tokens":{"total":"VARCHAR","input":"VARCHAR","output":"VARCHAR","reasoning":"VARCHAR","cache":{"read":"VARCHAR","write":"VARCHAR"}},"cost":"VARCHAR","reason":"VARCHAR"}'
);

-- What a part says. What is no text is named, and its data left out.
create macro raw.text_of(p) as
    case p.type
        when 'text' then p.text
        when 'reasoning' then p.text
        when 'file' then '[' || coalesce(p.filename, p.mime, 'file') || ']'
        when 'subtask' then concat_ws(' ', '/' || p.command, p.prompt)
        when 'compaction' then case p.auto when 'true' then 'auto' when 'false' then 'manual' end
        when 'retry' then coalesce(p.error.data.message, p.error.name)
    end;

-- The newer table has an answer's parts in it, and other messages are one text. They are given the form of parts.
create macro raw.newer_parts(type, data) as
    case type
        when 'assistant' then coalesce(from_json(data, '{"content":["JSON"]}').content, [])
        when 'user' then [json_object('type', 'text', 'text', data ->> '$.text')] || coalesce(list_transform(
            from_json(data, '{"files":[{"name":"VARCHAR","mime":"VARCHAR"}]}').files,
            lambda f: json_object('type', 'text', 'text', '[' || coalesce(f.name, f.mime, 'file') || ']')
        ), [])
        when 'synthetic' then [json_object('type', 'text', 'text', data ->> '$.text')]
        when 'system' then [json_object('type', 'text', 'text', data ->> '$.text')]
        when 'compaction' then [json_object('type', 'text', 'text', data ->> '$.summary')]
        when 'agent-switched' then [json_object('type', 'text', 'text', data ->> '$.agent')]
        when 'model-switched' then [json_object(
            'type', 'text', 'text', concat_ws('/', data ->> '$.model.providerID', data ->> '$.model.id'))]
        when 'shell' then [json_object(
            'type', 'tool', 'name', 'shell', 'id', data ->> '$.callID',
            'state', json_object(
                'status', case when data ->> '$.time.completed' is not null then 'completed' else 'running' end,
                'input', json_object('command', data ->> '$.command'),
                'output', data ->> '$.output'),
            'time', data -> '$.time')]
    end;

create macro raw.is_used(t) as
    coalesce(raw.tokens(t.input), 0) + coalesce(raw.tokens(t.output), 0) + coalesce(raw.tokens(t.reasoning), 0)
        + coalesce(raw.tokens(t.cache.read), 0) + coalesce(raw.tokens(t.cache.write), 0) > 0;

-- The input leaves out what was read from or written to the cache, and the output the reasoning. Older versions left
-- the reasoning in it where the provider did; of those that give the total it is that which tells.
create macro raw.output_of(t) as
    raw.tokens(t.output) + case
        when raw.tokens(t.reasoning) <= raw.tokens(t.output)
            and raw.tokens(t.total) = raw.tokens(t.input) + raw.tokens(t.output)
                + coalesce(raw.tokens(t.cache.read), 0) + coalesce(raw.tokens(t.cache.write), 0) then 0
        else coalesce(raw.tokens(t.reasoning), 0)
    end;

-- All zero is what the tool writes before it knows, or where the provider does not say.
create macro raw.used(list) as
    case when len(list_filter(list, lambda t: raw.is_used(t))) > 0 then {
        'input_tokens': list_sum(list_transform(list, lambda t: raw.tokens(t.input)
            + coalesce(raw.tokens(t.cache.read), 0) + coalesce(raw.tokens(t.cache.write), 0))),
        'output_tokens': list_sum(list_transform(list, lambda t: raw.output_of(t))),
        'cache_read_input_tokens': list_sum(list_transform(list, lambda t: raw.tokens(t.cache.read))),
        'cache_creation_input_tokens': list_sum(list_transform(list, lambda t: raw.tokens(t.cache.write))),
        'reasoning_output_tokens': list_sum(list_transform(list, lambda t: raw.tokens(t.reasoning)))
    } end;

create macro raw.odd_tokens(t) as
    'tokens holds numbers that nobody can have used: ' || nullif(concat_ws(', ',
        case when raw.tokens(t.input) is null then 'input ' || t.input end,
        case when raw.tokens(t.output) is null then 'output ' || t.output end,
        case when raw.tokens(t.reasoning) is null then 'reasoning ' || t.reasoning end,
        case when raw.tokens(t.cache.read) is null then 'cache.read ' || t.cache.read end,
        case when raw.tokens(t.cache.write) is null then 'cache.write ' || t.cache.write end), '') || '; they are NULL';

-- JSON that can be read; NULL where it cannot.
create macro raw.checked(text) as case when json_valid(raw.readable(text)) then raw.readable(text) end;

-- name: gathered
-- Of sessions with the same id the first is read. Messages whose session is gone have one all the same.
create table raw.chat as
select
    row_number() over (order by created_at nulls last, is_there desc, _row) as session_key,
    raw.file_id() as store,
    *
from (
    select
        id,
        _row,
        raw.moment(time_created) as created_at,
        true as is_there
    from raw.session
    qualify row_number() over (partition by id order by _row) = 1
    union all
    select
        session_id,
        min(_row),
        min(raw.moment(time_created)),
        false
    from (
        select session_id, _row, time_created from raw.message
        union all
        select session_id, _row, time_created from raw.session_message
    ) m
    where not exists (select 1 from raw.session s where s.id is not distinct from m.session_id)
    group by session_id
);

-- The newer table is read of sessions that the older one does not have: for a while both are written.
create table raw.keyed as
select
    row_number() over (order by session_key, written_at nulls last, seq nulls first, id, is_newer, _row) * 65536
        as entry_key,
    session_key,
    id,
    is_newer,
    _row,
    written_at
from (
    select c.session_key, m.id, false as is_newer, m._row, raw.moment(m.time_created) as written_at, null as seq
    from raw.message m
    join raw.chat c on c.id is not distinct from m.session_id
    union all
    select c.session_key, m.id, true, m._row, raw.moment(m.time_created), try_cast(m.seq as bigint)
    from raw.session_message m
    join raw.chat c on c.id is not distinct from m.session_id
    where not exists (select 1 from raw.message o where o.session_id is not distinct from m.session_id)
);

create table raw.entry as
select
    entry_key,
    session_key,
    id,
    is_newer,
    _row,
    coalesce(json_type(data) = 'OBJECT', false) as is_object,
    coalesce(data <> given, false) as is_mended,
    coalesce(type, d.role, '') as role,
    raw.moment(d.time.created) as given_at,
    coalesce(raw.moment(d.time.created), written_at) as created_at,
    raw.moment(d.time.completed) as completed_at,
    d."parentID" as parent_id,
    coalesce(d."providerID", d.model."providerID") as provider_id,
    coalesce(d."modelID", d.model."modelID", d.model.id) as model_id,
    nullif(coalesce(d.variant, d.model.variant), 'default') as variant,
    coalesce(d.summary = 'true', false) as is_summary,
    d.finish,
    d.cost,
    d.tokens,
    coalesce(d.error.name, d.error.type) as error_name
from (
    select
        p.*,
        e.type,
        e.given,
        e.data,
        from_json(
            e.data,
            '{"role":"VARCHAR","time":{"created":"VARCHAR","completed":"VARCHAR"},"parentID":"VARCHAR","providerID":"VARCHAR","modelID":"VARCHAR","variant":"VARCHAR","model":{"id":"VARCHAR","providerID":"VARCHAR","modelID":"VARCHAR","variant":"VARCHAR"},"summary":"VARCHAR","finish":"VARCHAR","cost":"VARCHAR","tokens":{"total":"VARCHAR","input":"VARCHAR","output":"VARCHAR","reasoning":"VARCHAR","cache":{"read":"VARCHAR","write":"VARCHAR"}},"error":{"name":"VARCHAR","type":"VARCHAR"}}'
        ) as d
    from raw.keyed p
    join (
        select false as is_newer, _row, null as type, data as given, raw.checked(data) as data
        from raw.message
        union all
        select true, _row, coalesce(type, ''), data, raw.checked(data)
        from raw.session_message
    ) e on e.is_newer = p.is_newer and e._row = p._row
);

create table raw.slot as
select
    p._row,
    e.entry_key,
    row_number() over (partition by e.entry_key order by p.id, p._row) as n
from raw.part p
join (
    select id, min(entry_key) as entry_key
    from raw.entry
    where not is_newer
    group by id
) e on e.id = p.message_id
qualify n < 65535;

create view raw.said as
select
    entry_key,
    entry_key + n as piece_key,
    part_id,
    written_at,
    is_object,
    is_mended,
    p.type,
    coalesce(p.synthetic = 'true', false) as is_synthetic,
    raw.text_of(p) as text,
    p.tool,
    p."callID" as call_id,
    p.state.status,
    p.state.input as arguments,
    coalesce(p.state.output, p.state.error) as result,
    p.state.error as failure,
    try_cast(p.state.metadata.exit as bigint) as exit_code,
    coalesce(p.state.metadata.interrupted = 'true', false) as is_interrupted,
    raw.moment(p.state.time.start) as started_at,
    raw.moment(p.state.time.end) as ended_at,
    p.tokens,
    p.cost,
    p.reason
from (
    select
        s.entry_key,
        s.n,
        p.id as part_id,
        raw.moment(p.time_created) as written_at,
        coalesce(json_type(raw.checked(p.data)) = 'OBJECT', false) as is_object,
        coalesce(raw.checked(p.data) <> p.data, false) as is_mended,
        raw.part(raw.checked(p.data)) as p
    from raw.part p
    join raw.slot s using (_row)
)
union all
select
    entry_key,
    entry_key + n,
    p.id,
    raw.moment(p.time.created),
    true,
    false,
    p.type,
    false,
    p.text,
    p.name,
    p.id,
    p.state.status,
    p.state.input,
    coalesce(
        p.state.error.message,
        p.state.output,
        array_to_string(list_filter(list_transform(p.state.content, lambda c: c.text), lambda t: t is not null), chr(10))
    ),
    p.state.error.message,
    try_cast(p.state.structured.exit as bigint),
    false,
    raw.moment(coalesce(p.time.ran, p.time.created)),
    raw.moment(p.time.completed),
    null,
    null,
    null
from (
    select
        entry_key,
        unnest(parts) as given,
        generate_subscripts(parts, 1) as n,
        from_json(
            given,
            '{"type":"VARCHAR","id":"VARCHAR","text":"VARCHAR","name":"VARCHAR","state":{"status":"VARCHAR","input":"VARCHAR","output":"VARCHAR","content":[{"type":"VARCHAR","text":"VARCHAR"}],"structured":{"exit":"VARCHAR"},"error":{"message":"VARCHAR"}},"time":{"created":"VARCHAR","ran":"VARCHAR","completed":"VARCHAR"}}'
        ) as p
    from (
        select
            e.entry_key,
            raw.newer_parts(e.role, raw.checked(m.data)) as parts
        from raw.session_message m
        join raw.entry e on e.is_newer and e._row = m._row
        where e.is_object
    )
);

-- The same without the texts.
create view raw.heard as
select
    * exclude (text, arguments, result),
    coalesce(text, '') <> '' as has_text,
    coalesce(text = 'The following tool was executed by the user', false) as is_by_hand,
    right(result, 400) as ending
from raw.said;

-- What an archive holds is told of files alone.
create table raw.taken (name varchar, session_id varchar);

create view raw.failure as
select
    e.entry_key,
    coalesce(d.error.data.message, d.error.message, d.error.name, d.error.type) as message
from raw.entry e
join (
    select
        is_newer,
        _row,
        from_json(
            raw.checked(data),
            '{"error":{"name":"VARCHAR","type":"VARCHAR","message":"VARCHAR","data":{"message":"VARCHAR"}}}'
        ) as d
    from (
        select false as is_newer, _row, data
        from raw.message
        union all
        select true, _row, data
        from raw.session_message
    )
    where contains(data, '"error"')
) d on d.is_newer = e.is_newer and d._row = e._row;

-- name: posted
create table raw.piece as
select
    * exclude (failure, ending),
    raw.outcome(tool, status, failure, is_interrupted, ending, exit_code) as outcome,
    greatest(1, count(*) filter (where type = 'step-start') over (partition by entry_key order by piece_key)) as step
from raw.heard;

-- A fork begins with copies of another session's messages, which are older than itself. They belong to the session that
-- had them first. A copy has new ids, and is otherwise the same to the millisecond.
create table raw.known as
select
    k.*,
    coalesce(k.first_key <> k.entry_key and k.created_at < k.chat_at, false) or t.name is not null as is_copy
from (
    select
        *,
        case when given_at is not null then first_value(entry_key) over (
            partition by role, given_at, completed_at, provider_id, model_id, cost, tokens
            order by chat_at nulls first, session_key, entry_key
        ) end as first_key
    from (
        select
            e.*,
            c.created_at as chat_at,
            raw.session_name(c.id, c.store) as session_id,
            coalesce(e.provider_id || '/' || e.model_id || ':' || e.given_at || ':' || e.completed_at, e.id) as name
        from raw.entry e
        join raw.chat c using (session_key)
    )
) k
left join raw.taken t on t.name = k.name and t.session_id <> k.session_id
qualify row_number() over (partition by k.entry_key) = 1;

-- A command that a user ran is told to the model as if it had asked for it.
create table raw.by_hand as
select k.session_key, k.id
from raw.known k
join raw.piece p using (entry_key)
where k.role = 'user'
group by k.session_key, k.id
having bool_and(p.is_by_hand);

-- A response is one step. Older answers hold several; the message then has the tokens of the last and the cost of all.
create table raw.step as
select
    *,
    max(step) over (partition by entry_key) as steps
from (
    select
        k.entry_key,
        coalesce(p.step, 1) as step,
        case when coalesce(p.step, 1) = 1 then k.entry_key else min(p.piece_key) end as turn_key,
        min(p.written_at) as written_at,
        arg_min(p.part_id, p.piece_key) as part_id,
        coalesce(bool_or(p.has_text and p.type in ('text', 'reasoning') or p.type = 'tool'), false) as has_answer,
        coalesce(bool_or(p.type = 'tool'), false) as has_calls,
        count(*) filter (where p.type = 'step-finish') as finishes,
        list(p.tokens order by p.piece_key) filter (where p.type = 'step-finish') as finished,
        sum(raw.dollars(p.cost)) filter (where p.type = 'step-finish') as cost,
        arg_max(p.reason, p.piece_key) filter (where p.type = 'step-finish') as reason
    from raw.known k
    left join raw.piece p using (entry_key)
    where k.role = 'assistant'
    group by k.entry_key, coalesce(p.step, 1)
);

create table raw.turn as
select
    s.turn_key,
    s.entry_key,
    k.session_key,
    -- A copy has another id, so that is no name by which it is known.
    concat_ws(':', k.name, s.step) as claim,
    k.is_copy,
    k.first_key,
    s.step,
    s.steps,
    case when s.step > 1 then s.part_id else k.id end as given_id,
    case when s.step > 1 then s.written_at else k.created_at end as started_at,
    case when s.steps = 1 and not s.has_calls and k.completed_at >= k.created_at then k.completed_at - k.created_at end
        as duration_us,
    k.provider_id,
    k.model_id,
    k.variant,
    k.is_summary,
    s.has_answer,
    s.has_calls,
    case when s.step = s.steps then k.error_name end as error_name,
    coalesce(case when s.step = s.steps then k.finish end, s.reason) as finish,
    raw.used(case
        when s.steps > 1 or s.finishes > 1 then s.finished
        when raw.is_used(k.tokens) then [k.tokens]
        else s.finished
    end) as used,
    -- The tool writes 0 also where it knows no price.
    nullif(case when s.steps > 1 or s.finishes > 1 then s.cost else coalesce(raw.dollars(k.cost), s.cost) end, 0) as cost
from raw.step s
join raw.known k using (entry_key)
left join raw.by_hand h on h.session_key = k.session_key and h.id = k.parent_id
where h.id is null;

-- Messages: what each entry is, the results of its tools, and what went wrong on the way.
create table raw.post as
select
    e.entry_key as message_key,
    e.entry_key,
    1 as step,
    e.session_key,
    e.is_copy,
    e.id as given_id,
    'entry' as form,
    case
        when e.role = 'assistant' then 'system'
        when e.role = 'user' and (s.says_something or s.is_empty) and not s.is_compaction then 'user'
        else 'system'
    end as role,
    case
        when e.role in ('assistant', 'shell') then 'out_of_band'
        when e.role = 'user' and s.is_compaction or e.role = 'compaction' then 'boundary'
        when e.role = 'user' and s.says_something then 'message'
        when e.role in ('agent-switched', 'model-switched') then 'note'
        else 'context'
    end as kind,
    e.created_at,
    null::bigint as turn_key
from raw.known e
join (
    select
        k.entry_key,
        coalesce(bool_or(p.type in ('text', 'file', 'subtask') and p.has_text and not p.is_synthetic), false)
            as says_something,
        count(p.piece_key) = 0 as is_empty,
        coalesce(bool_or(p.type = 'compaction'), false) as is_compaction
    from raw.known k
    left join raw.piece p using (entry_key)
    group by k.entry_key
) s using (entry_key)
where not exists (select 1 from raw.turn t where t.entry_key = e.entry_key)
union all
select
    turn_key,
    entry_key,
    step,
    session_key,
    is_copy,
    given_id,
    'response',
    'assistant',
    case when error_name is not null and not has_answer then 'error' when is_summary then 'context' else 'message' end,
    started_at,
    turn_key
from raw.turn
union all
-- What the program adds to a prompt is none of it.
select
    min(p.piece_key),
    p.entry_key,
    1,
    any_value(k.session_key),
    any_value(k.is_copy),
    arg_min(p.part_id, p.piece_key),
    'added',
    'system',
    'context',
    any_value(k.created_at),
    null
from raw.piece p
join raw.known k using (entry_key)
where k.role = 'user' and p.type = 'text' and p.has_text and p.is_synthetic
group by p.entry_key
having p.entry_key in (
    select entry_key from raw.piece where type in ('text', 'file', 'subtask') and has_text and not is_synthetic
)
union all
select
    p.piece_key,
    p.entry_key,
    p.step,
    k.session_key,
    k.is_copy,
    p.part_id,
    'result',
    'tool',
    'message',
    coalesce(p.ended_at, p.started_at, p.written_at),
    t.turn_key
from raw.piece p
join raw.known k using (entry_key)
left join raw.turn t on t.entry_key = p.entry_key and t.step = p.step
where p.type = 'tool' and p.outcome is not null
union all
select
    p.piece_key,
    p.entry_key,
    p.step,
    k.session_key,
    k.is_copy,
    p.part_id,
    'retry',
    'system',
    'error',
    p.written_at,
    t.turn_key
from raw.piece p
join raw.known k using (entry_key)
left join raw.turn t on t.entry_key = p.entry_key and t.step = p.step
where p.type = 'retry'
union all
-- An answer that broke off is an answer, and what broke it stands behind it.
select
    t.entry_key + 65535,
    t.entry_key,
    t.step,
    t.session_key,
    t.is_copy,
    k.id || '#error',
    'failure',
    'system',
    'error',
    coalesce(k.completed_at, k.created_at),
    t.turn_key
from raw.turn t
join raw.known k using (entry_key)
where t.error_name is not null and t.has_answer;

-- name: wanted
create view raw.wanted as
select *
from raw.post
where not is_copy;

create view raw.wanted_entry as
select entry_key
from raw.known
where not is_copy;

-- name: prepare
{macros};
{gathered};
{posted};
{wanted}

-- name: prepare_facts
create table raw.told as
select
    *,
    count(*) over told - 1 as message_index,
    lag(message_key) over (partition by session_key order by message_key) as parent_key,
    max(case when role = 'user' and kind = 'message' then message_key end) over told as prompt_key,
    count(*) filter (where role = 'user' and kind = 'message') over told - 1 as prompt_index,
    count(*) filter (where form = 'response') over told - 1 as turn_index,
    row_number() over (partition by session_key, given_id order by message_key) = 1 as is_first
from raw.post
where not is_copy
window told as (partition by session_key order by message_key rows between unbounded preceding and current row);

create table raw.config as
select
    min(turn_key) as model_config_key,
    provider_id,
    model_id,
    variant
from raw.turn
where not is_copy and coalesce(provider_id, model_id) is not null
group by provider_id, model_id, variant;

create table raw.origin as
select
    k.session_key,
    arg_max(o.session_key, k.entry_key) as parent_key
from raw.known k
join raw.known o on o.entry_key = k.first_key
where k.is_copy
group by k.session_key;

create table raw.doubt as
select
    entry_key,
    null::bigint as piece_key,
    unnest(list_filter([
        case when not is_object then 'it is no JSON object; the message is there without what it says' end,
        case when is_mended then 'it holds halves of characters that no text can hold; they were replaced by '
            || chr(65533) end,
        case when is_object and role not in ('user', 'assistant', 'synthetic', 'system', 'shell', 'compaction',
                'agent-switched', 'model-switched')
            then 'its role ' || role || ' is not known; it is there as context' end,
        case when is_object and given_at is null then 'time.created is no time' end,
        raw.odd_tokens(tokens),
        case when raw.dollars(cost) is null and cost is not null then 'cost is ' || cost || ', which is no sum' end
    ], lambda r: r is not null)) as reason
from raw.known
where not is_copy
union all
select
    p.entry_key,
    p.piece_key,
    unnest(list_filter([
        case when not p.is_object then 'it is no JSON object; it is left out' end,
        case when p.is_mended then 'it holds halves of characters that no text can hold; they were replaced by '
            || chr(65533) end,
        raw.odd_tokens(p.tokens)
    ], lambda r: r is not null))
from raw.piece p
join raw.known k using (entry_key)
where not k.is_copy;

create table raw.unknown_type as
select
    coalesce(p.type, 'NULL') as type,
    count(*) as parts
from raw.piece p
join raw.known k using (entry_key)
where
    not k.is_copy
    and p.is_object
    and coalesce(p.type, '') not in (
        'text', 'reasoning', 'tool', 'step-start', 'step-finish', 'patch', 'compaction', 'file', 'snapshot', 'agent',
        'subtask', 'retry'
    )
group by p.type;

-- name: session
select
    c.session_key,
    raw.session_name(c.id, c.store) as session_id,
    c.id as native_id,
    s.title as name,
    'opencode' as agent_name,
    s.directory,
    -- The project of folders that are in no repository has the root as its own.
    nullif(p.worktree, '/') as git_root,
    case
        when coalesce(s.parent_id, '') <> '' then raw.session_name(s.parent_id, c.store)
        when f.session_key is not null then raw.session_name(f.id, f.store)
    end as parent_session_id,
    c.created_at as started_at,
    raw.moment(s.time_updated) as updated_at,
    raw.moment(s.time_archived) as archived_at,
    nullif(json_merge_patch('{}', json_object(
        'agent', s.agent,
        'version', s.version,
        'revert', case when json_valid(s.revert) then s.revert::json end,
        'forked_from', f.id
    )), '{}') as metadata
from raw.chat c
left join raw.session s on c.is_there and s._row = c._row
left join raw.project p on p.id = s.project_id
left join raw.origin o using (session_key)
left join raw.chat f on f.session_key = o.parent_key
order by c.session_key

-- name: model_config
select
    model_config_key,
    raw.provider(provider_id) as provider_name,
    model_id as request_model,
    case when variant in ('none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max') then variant end
        as reasoning_effort,
    case when variant not in ('none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max')
        then json_object('variant', variant)::varchar end as extra
from raw.config
order by model_config_key

-- name: message
select
    message_key,
    session_key,
    message_index,
    -- An id of digits might be the made one of another message.
    case when is_first and not regexp_full_match(given_id, '\d*') then given_id end as given_id,
    parent_key,
    prompt_key,
    turn_key,
    role,
    kind,
    0 as is_preamble,
    0 as is_sidechain,
    created_at
from raw.told
order by message_key

-- name: turn
select
    t.turn_key,
    t.session_key,
    m.turn_index,
    case when m.prompt_key is not null then m.prompt_index end as exchange_index,
    c.model_config_key,
    case when c.model_config_key is null then 'unknown' else 'recorded' end as model_config_status,
    m.prompt_key,
    0 as is_sidechain,
    t.started_at,
    t.duration_us,
    case
        when t.error_name = 'MessageOutputLengthError' or t.finish in ('length', 'max_tokens') then 'length'
        when t.error_name is not null and t.error_name <> 'MessageAbortedError' then 'error'
        when t.finish in ('stop', 'end_turn') then 'stop'
        when t.finish in ('tool-calls', 'tool_use') then 'tool_call'
        when t.finish in ('content-filter', 'content_filter') then 'content_filter'
        when t.finish = 'error' then 'error'
    end as finish_reason,
    coalesce(t.finish, t.error_name) as finish_reason_raw,
    case when not t.has_answer then t.error_name end as error_type,
    t.used.input_tokens as input_tokens,
    t.used.output_tokens as output_tokens,
    t.used.cache_read_input_tokens as cache_read_input_tokens,
    t.used.cache_creation_input_tokens as cache_creation_input_tokens,
    t.used.reasoning_output_tokens as reasoning_output_tokens,
    case
        when coalesce(t.used.input_tokens, t.used.output_tokens) is null then 'missing'
        else 'final'
    end as usage_quality,
    t.cost as reported_cost_usd,
    t.claim
from raw.turn t
join raw.told m on m.message_key = t.turn_key
left join raw.config c
    on c.provider_id is not distinct from t.provider_id
    and c.model_id is not distinct from t.model_id
    and c.variant is not distinct from t.variant
where not t.is_copy
order by t.turn_key

-- name: tool_call
select
    p.piece_key as tool_call_key,
    k.session_key,
    row_number() over (partition by k.session_key order by p.piece_key) - 1 as tool_call_index,
    p.call_id as tool_call_id,
    t.turn_key,
    coalesce(p.tool, '') as tool_name,
    coalesce(p.started_at, p.written_at) as started_at
from raw.piece p
join raw.known k using (entry_key)
left join raw.turn t on t.entry_key = p.entry_key and t.step = p.step
where p.type = 'tool' and not k.is_copy
order by p.piece_key

-- name: tool_result
select
    p.piece_key as tool_result_key,
    p.piece_key as tool_call_key,
    p.outcome as status,
    (p.outcome <> 'ok')::bigint as is_error,
    p.exit_code,
    case when p.ended_at >= p.started_at then p.ended_at - p.started_at end as duration_us
from raw.piece p
join raw.known k using (entry_key)
where p.type = 'tool' and p.outcome is not null and not k.is_copy
order by p.piece_key

-- name: texts
said as (select * from raw.said),
failure as (select * from raw.failure)

-- name: message_text
with {texts}
select
    m.message_key,
    case when m.form = 'result' then s.result else s.text end as content,
    null as reasoning
from raw.wanted m
left join said s on s.piece_key = m.message_key
where m.form in ('result', 'retry')
union all
select
    m.message_key,
    case
        when m.form in ('failure', 'response') and m.kind = 'error' then any_value(f.message)
        else string_agg(s.text, chr(10) || chr(10) order by s.piece_key) filter (where s.text <> '' and case m.form
            when 'response' then s.type = 'text'
            when 'added' then s.type = 'text' and s.is_synthetic
            else s.type in ('text', 'file', 'subtask', 'compaction') and (m.kind <> 'message' or not s.is_synthetic)
        end)
    end,
    string_agg(s.text, chr(10) || chr(10) order by s.piece_key)
        filter (where m.form = 'response' and s.type = 'reasoning' and s.text <> '')
from raw.wanted m
left join failure f using (entry_key)
left join (
    select
        s.entry_key,
        s.piece_key,
        s.type,
        s.is_synthetic,
        s.text,
        p.step
    from said s
    join raw.piece p using (entry_key, piece_key)
    where s.type not in ('tool', 'retry')
) s on s.entry_key = m.entry_key and s.step = m.step
where m.form not in ('result', 'retry')
group by m.message_key, m.form, m.kind
order by message_key

-- name: tool_call_text
with {texts}
select
    s.piece_key as tool_call_key,
    s.arguments
from said s
join raw.piece p using (entry_key, piece_key)
join raw.wanted_entry k using (entry_key)
where p.type = 'tool'
order by s.piece_key

-- name: problem
select
    coalesce(
        case when d.piece_key is not null then 'part ' || p.part_id end,
        case when k.is_newer then 'session_message ' else 'message ' end || coalesce(k.id, 'row ' || k._row)
    ) as record,
    d.reason,
    null as line
from raw.doubt d
join raw.known k using (entry_key)
left join raw.piece p on p.piece_key = d.piece_key
union all
select
    'part ' || coalesce(p.id, 'row ' || p._row),
    'its message ' || coalesce(p.message_id, 'NULL') || ' is not there; it is left out',
    null
from raw.part p
left join raw.slot s using (_row)
where s.entry_key is null
union all
select
    'session ' || coalesce(id, 'NULL'),
    'messages are of this session, but its row is not there; only they tell of it',
    null
from raw.chat
where not is_there
union all
select
    'session row ' || _row,
    'id is NULL; the session has a made one',
    null
from raw.chat
where is_there and id is null
union all
select
    'session ' || coalesce(s.id, 'row ' || s._row),
    'the id is that of row ' || c._row || ' as well, which is read; row ' || s._row || ' is not',
    null
from raw.session s
join raw.chat c on c.id is not distinct from s.id and c.is_there
where c._row <> s._row
union all
select
    'session ' || coalesce(c.id, 'row ' || c._row),
    name || ' is ' || coalesce(given, 'NULL') || ', which is no time; it is NULL',
    null
from (
    select _row, 'time_created' as name, time_created as given, false as may_lack
    from raw.session
    union all
    select _row, 'time_updated', time_updated, false
    from raw.session
    union all
    select _row, 'time_archived', time_archived, true
    from raw.session
)
join raw.chat c using (_row)
where c.is_there and raw.moment(given) is null and not (may_lack and given is null)
union all
select
    'type ' || type,
    parts || ' of this type, which is not known, left out',
    null
from raw.unknown_type
