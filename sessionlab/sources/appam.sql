-- appam: a session is a row, its messages are one JSON text. The table of the web server has the same ones and fewer
-- columns. A message's key is its session's key and its place in it, so facts and texts find the same one apart.

-- name: prepare
-- RFC 3339 as microseconds since 1970. What is finer is cut off, and what is no such time is NULL: DuckDB's own
-- reading takes a bare year for a time.
create macro raw.moment(text) as
    case when regexp_full_match(text, '\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)')
        then epoch_us(try_cast(regexp_replace(text, '(\.\d{6})\d+', '\1') as timestamptz)) end;

-- The calls that a message asks for: those of tool_calls, and without any the tool_use blocks.
create macro raw.calls_of(tool_calls, blocks) as
    case
        when json_array_length(tool_calls) > 0 then list_filter(
            list_transform(
                from_json(tool_calls, '[{"id":"VARCHAR","name":"VARCHAR","arguments":"VARCHAR","function":{"name":"VARCHAR","arguments":"VARCHAR"}}]'),
                lambda c: {
                    'id': c.id,
                    'name': coalesce(c.function.name, c.name),
                    'arguments': coalesce(c.function.arguments, c.arguments)
                }),
            lambda c: coalesce(c.id, c.name, c.arguments) is not null)
        else list_transform(
            list_filter(blocks, lambda b: b.type = 'tool_use'),
            lambda b: {'id': b.id, 'name': b.name, 'arguments': b.input})
    end;

-- What cannot be a number of tokens, or a sum of money, is NULL.
create macro raw.tokens(text) as case when regexp_full_match(text, '\d{1,15}') then try_cast(text as bigint) end;
create macro raw.dollars(text) as
    case when try_cast(text as double) between 0 and 1e12 then try_cast(text as double) end;

-- The row of the history stands before that of the web server, so it is the one that is kept of an id.
create table raw.key as
select
    row_number() over (order by place, _row) as session_key,
    place,
    _row,
    id
from (
    select 'session_history' as place, _row, id
    from raw.session_history
    union all
    select 'sessions', _row, id
    from raw.sessions
    -- Another tool's table of that name lacks these columns.
    where exists (select 1 from raw.sessions where coalesce(agent_name, model, messages) is not null)
)
qualify row_number() over (partition by coalesce(id, place || ' ' || _row), id is null order by place, _row) = 1;

-- `case` because `or` would ask for both sides, and each look at a transcript takes as long as reading it.
create view raw.told as
select
    session_key,
    not is_valid and is_readable as is_mended,
    case when is_readable then text end as text
from (
    select
        *,
        case when is_valid then true else coalesce(json_valid(text), false) end as is_readable
    from (
        select
            session_key,
            is_valid,
            case when is_valid then messages else raw.mended(messages) end as text
        from (
            select
                k.session_key,
                coalesce(json_valid(s.messages), false) as is_valid,
                s.messages
            from raw.session_history s
            join raw.key k on k.place = 'session_history' and k._row = s._row
            union all
            select
                k.session_key,
                coalesce(json_valid(s.messages), false),
                s.messages
            from raw.sessions s
            join raw.key k on k.place = 'sessions' and k._row = s._row
        )
    )
);

-- name: prepare_facts
create table raw.row as
select
    k.session_key,
    k.place,
    coalesce(k.place || ' ' || k.id, k.place || ' row ' || k._row) as record,
    k.id,
    -- Ids that the tool makes are unique in the world, others need not be.
    case
        when k.id is null then raw.file_id() || '#' || k.place || ' ' || k._row
        when regexp_full_match(k.id, '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}') then k.id
        else raw.file_id() || ':' || k.id
    end as session_id,
    h.agent_name,
    nullif(h.model, '') as model,
    h.metadata,
    raw.moment(h.started_at) as started_at,
    raw.moment(h.updated_at) as updated_at,
    raw.moment(h.ended_at) as ended_at,
    {'started_at': h.started_at, 'updated_at': h.updated_at, 'ended_at': h.ended_at} as given_times,
    h.usage,
    h.is_null
from raw.key k
join (
    select 'session_history' as place, _row, agent_name, model, metadata, started_at, updated_at, ended_at, usage,
        messages is null as is_null
    from raw.session_history
    union all
    select 'sessions', _row, agent_name, model, null, created_at, updated_at, null, null, messages is null
    from raw.sessions
) h on h.place = k.place and h._row = k._row;

create table raw.piece as
select
    session_key,
    n,
    is_broken,
    is_mended,
    m is not null and (given is null or json_type(given) = 'OBJECT') as is_object,
    m.role,
    coalesce(m.content, '') <> '' as has_content,
    -- The tool's own text where the model forgets to finish; it is told apart by exactly this text there as well.
    m.content = 'Continue your task. Please call one of the required completion tools to finish this session.'
        as is_continuation,
    case when m.role = 'tool' and starts_with(m.content, '{') and json_valid(m.content)
        then json_extract_string(m.content, '$.success') = 'false' and json_exists(m.content, '$.error')
    end as says_error,
    m.id,
    m.provider_response_id as response_id,
    m.status,
    m.timestamp,
    m.tool_call_id,
    m.tool_calls,
    m.tool_metadata,
    m.raw_content_blocks as blocks
from (
    select
        session_key,
        list is null as is_broken,
        is_mended,
        unnest(coalesce(list, [null])) as m,
        generate_subscripts(coalesce(list, [null]), 1) - 1 as n,
        unnest(case when len(list_filter(list, lambda m: m.role is null)) > 0 then from_json(text, '["JSON"]') end)
            as given
    from (
        select
            session_key,
            is_mended,
            text,
            from_json(text, '[{"role":"VARCHAR","content":"VARCHAR","id":"VARCHAR","provider_response_id":"VARCHAR","status":"VARCHAR","timestamp":"VARCHAR","tool_call_id":"VARCHAR","tool_calls":"JSON","tool_metadata":{"success":"VARCHAR","duration_ms":"VARCHAR"},"raw_content_blocks":[{"type":"VARCHAR","id":"VARCHAR","name":"VARCHAR","input":"VARCHAR","tool_use_id":"VARCHAR","is_error":"VARCHAR"}]}]') as list
        from raw.told
    )
);

create table raw.line as
select
    session_key * 2147483648 + n as message_key,
    session_key,
    n,
    is_object,
    is_mended,
    role as given_role,
    coalesce(role, '') as role,
    coalesce(is_continuation, false) as is_continuation,
    has_content,
    coalesce(len(blocks), 0) > 0 as has_blocks,
    nullif(id, '') as own_id,
    response_id,
    status,
    timestamp,
    raw.moment(timestamp) as created_at,
    tool_calls,
    coalesce(raw.calls_of(tool_calls, blocks), []) as calls,
    case when role = 'tool' then coalesce(tool_call_id, blocks[1].tool_use_id) end as answers,
    case
        when tool_metadata.success in ('true', 'false') then tool_metadata.success = 'false'
        else coalesce(says_error, blocks[1].is_error = 'true', false)
    end as is_error,
    case when try_cast(tool_metadata.duration_ms as double) between 0 and 1e12
        then round(try_cast(tool_metadata.duration_ms as double) * 1000)::bigint end as duration_us
from raw.piece
where not is_broken;

-- Text that streamed without raw blocks is stored as a message of its own before the one with the calls. Nobody can
-- come between the two, so they are one response, unless their response ids say otherwise.
create table raw.second as
select l.message_key
from raw.line l
join raw.line p on p.message_key = l.message_key - 1
where
    l.n > 0
    and l.role = 'assistant'
    and len(l.calls) > 0
    and not l.has_content
    and not l.has_blocks
    and p.role = 'assistant'
    and len(p.calls) = 0
    and p.has_content
    and not p.has_blocks
    and p.response_id is not distinct from l.response_id;

create table raw.placed as
select
    *,
    count(*) filter (where role not in ('system', 'developer')) over before = 0 as is_preamble,
    max(case when is_prompt then message_key end) over before as prompt_key,
    count(*) filter (where is_prompt) over before as prompts,
    count(*) filter (where is_turn) over before as turns,
    case when role = 'assistant' then max(case when is_turn then message_key end) over before end as turn_key
from (
    select
        l.message_key,
        l.session_key,
        l.n,
        l.role,
        l.is_object,
        l.is_continuation,
        l.own_id,
        l.status,
        l.created_at,
        len(l.calls) > 0 as has_calls,
        l.role = 'user' and not l.is_continuation as is_prompt,
        l.role = 'assistant' and s.message_key is null as is_turn
    from raw.line l
    left join raw.second s using (message_key)
)
window before as (partition by session_key order by n rows between unbounded preceding and current row);

create table raw.call as
select
    c.session_key * 2147483648 + c.tool_call_index as tool_call_key,
    c.*,
    p.turn_key,
    p.created_at
from (
    select
        session_key,
        message_key,
        n,
        given.id as tool_call_id,
        given.name as tool_name,
        row_number() over (partition by session_key order by n, place) - 1 as tool_call_index
    from (
        select
            session_key,
            message_key,
            n,
            unnest(calls) as given,
            generate_subscripts(calls, 1) as place
        from raw.line
        where len(calls) > 0
    )
) c
join raw.placed p using (message_key);

-- A result is that of the oldest call before it with its id that has none yet; further ones take the place of the last.
-- Where none is before it, it is that of the first call.
create table raw.answer as
select
    r.message_key,
    c.tool_call_key,
    c.turn_key,
    r.message_key = max(r.message_key) over (partition by c.tool_call_key) as is_last
from (
    select
        message_key,
        session_key,
        tool_call_id,
        place + least(0, min(greatest(1, calls) - place) over (partition by session_key, tool_call_id order by place))
            as rank
    from (
        select
            *,
            count(*) filter (where not is_call) over (partition by session_key, tool_call_id order by n, is_call
                rows between unbounded preceding and current row) as place,
            count(*) filter (where is_call) over (partition by session_key, tool_call_id order by n, is_call
                rows between unbounded preceding and current row) as calls
        from (
            select message_key, session_key, n, tool_call_id, true as is_call
            from raw.call
            where tool_call_id is not null
            union all
            select message_key, session_key, n, answers, false
            from raw.line
            where answers is not null
        )
    )
    where not is_call
) r
join (
    select
        tool_call_key,
        session_key,
        tool_call_id,
        turn_key,
        row_number() over (partition by session_key, tool_call_id order by tool_call_key) as rank
    from raw.call
) c
    on c.session_key = r.session_key
    and c.tool_call_id = r.tool_call_id
    and c.rank = r.rank;

create table raw.config as
select
    min(session_key) as model_config_key,
    model
from raw.row
where model is not null
group by model;

create table raw.told_usage as
select
    session_key,
    u is null as is_broken,
    raw.tokens(u.total_input_tokens) as input_tokens,
    raw.tokens(u.total_output_tokens) as output_tokens,
    raw.tokens(u.total_cache_read_tokens) as cache_read_tokens,
    raw.tokens(u.total_cache_creation_tokens) as cache_creation_tokens,
    raw.tokens(u.total_reasoning_tokens) as reasoning_tokens,
    raw.tokens(u.total_compaction_input_tokens) as compaction_input_tokens,
    raw.tokens(u.total_compaction_output_tokens) as compaction_output_tokens,
    raw.dollars(u.total_cost_usd) as cost_usd,
    try_cast(u.total_cost_usd as decimal(38, 18)) as exact_cost_usd,
    raw.tokens(u.request_count) as request_count,
    u
from (
    select
        session_key,
        case when json_valid(usage) and json_type(usage) = 'OBJECT' then from_json(usage, '{"total_input_tokens":"VARCHAR","total_output_tokens":"VARCHAR","total_cache_read_tokens":"VARCHAR","total_cache_creation_tokens":"VARCHAR","total_reasoning_tokens":"VARCHAR","total_compaction_input_tokens":"VARCHAR","total_compaction_output_tokens":"VARCHAR","total_cost_usd":"VARCHAR","request_count":"VARCHAR"}') end as u
    from raw.row
    where usage is not null
);

-- A trace has the session's running total after each request, so what a request used is the difference to the former.
create table raw.update as
select
    r.session_key,
    t.path,
    row_number() over trace - 1 as turn_index,
    row_number() over (partition by r.session_key, t.path order by t.line::bigint desc) = 1 as is_newest,
    raw.tokens(t.input_tokens) as total_input_tokens,
    raw.tokens(t.output_tokens) as total_output_tokens,
    coalesce(raw.tokens(t.cache_read_tokens), 0) as total_cache_read_tokens,
    coalesce(raw.tokens(t.cache_creation_tokens), 0) as total_cache_creation_tokens,
    coalesce(raw.tokens(t.reasoning_tokens), 0) as total_reasoning_tokens,
    coalesce(raw.tokens(t.compaction_input_tokens), 0) as total_compaction_input_tokens,
    coalesce(raw.tokens(t.compaction_output_tokens), 0) as total_compaction_output_tokens,
    try_cast(t.cost_usd as decimal(38, 18)) as total_cost_usd,
    total_input_tokens - coalesce(lag(total_input_tokens) over trace, 0) as input_tokens,
    total_output_tokens - coalesce(lag(total_output_tokens) over trace, 0) as output_tokens,
    total_cache_read_tokens - coalesce(lag(total_cache_read_tokens) over trace, 0) as cache_read_tokens,
    total_cache_creation_tokens - coalesce(lag(total_cache_creation_tokens) over trace, 0) as cache_creation_tokens,
    total_reasoning_tokens - coalesce(lag(total_reasoning_tokens) over trace, 0) as reasoning_tokens,
    total_compaction_input_tokens - coalesce(lag(total_compaction_input_tokens) over trace, 0)
        as compaction_input_tokens,
    total_compaction_output_tokens - coalesce(lag(total_compaction_output_tokens) over trace, 0)
        as compaction_output_tokens,
    total_cost_usd - coalesce(lag(total_cost_usd) over trace, 0) as cost_usd
from raw.usage_update t
join raw.row r on r.id = t.session_id
window trace as (partition by r.session_key, t.path order by t.line::bigint);

create table raw.turn_count as
select
    session_key,
    count(*) as turns,
    bool_or(prompts > 1) as has_unknown
from raw.placed
where is_turn
group by session_key;

-- A trace with one request for each turn; where it ends with what the session has, it says what each turn used.
create table raw.trace as
select
    d.session_key,
    d.path,
    d.is_rising
        and d.input_tokens = u.input_tokens
        and d.output_tokens = u.output_tokens
        and d.cache_read_tokens = coalesce(u.cache_read_tokens, 0)
        and d.cache_creation_tokens = coalesce(u.cache_creation_tokens, 0)
        and d.reasoning_tokens = coalesce(u.reasoning_tokens, 0)
        and d.compaction_input_tokens = coalesce(u.compaction_input_tokens, 0)
        and d.compaction_output_tokens = coalesce(u.compaction_output_tokens, 0)
        and abs(d.cost_usd - coalesce(u.exact_cost_usd, 0)) < 0.000000001 as adds_up
from (
    select
        session_key,
        path,
        count(*) as updates,
        coalesce(bool_and(least(input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens,
            reasoning_tokens, compaction_input_tokens, compaction_output_tokens) >= 0
            and input_tokens is not null and output_tokens is not null
            and coalesce(cost_usd, 0) >= 0), false) as is_rising,
        max(total_input_tokens) filter (where is_newest) as input_tokens,
        max(total_output_tokens) filter (where is_newest) as output_tokens,
        max(total_cache_read_tokens) filter (where is_newest) as cache_read_tokens,
        max(total_cache_creation_tokens) filter (where is_newest) as cache_creation_tokens,
        max(total_reasoning_tokens) filter (where is_newest) as reasoning_tokens,
        max(total_compaction_input_tokens) filter (where is_newest) as compaction_input_tokens,
        max(total_compaction_output_tokens) filter (where is_newest) as compaction_output_tokens,
        coalesce(max(total_cost_usd) filter (where is_newest), 0) as cost_usd
    from raw.update
    group by session_key, path
) d
join raw.turn_count t on t.session_key = d.session_key and t.turns = d.updates
join raw.told_usage u on u.session_key = d.session_key and not u.is_broken;

-- What the counts mean depends on who counted. Anthropic and Bedrock, whose models these names are, leave what was
-- read from or written to the cache out of the input, and Google leaves reasoning out of the output. Others hold it,
-- and so does a model of theirs that is had through OpenRouter, which has a slash in its name. What is larger than the
-- whole is surely no part of it. What compaction took is in no provider's input and output.
create table raw.counted as
select
    session_key,
    turn_index,
    input_tokens + coalesce(compaction_input_tokens, 0) + case when is_beside then cached_tokens else 0 end
        as input_tokens,
    output_tokens + coalesce(compaction_output_tokens, 0)
        + case when is_thought_beside then reasoning_tokens else 0 end as output_tokens,
    cache_read_tokens as cache_read_input_tokens,
    cache_creation_tokens as cache_creation_input_tokens,
    reasoning_tokens as reasoning_output_tokens,
    cost_usd
from (
    select
        *,
        -- The turns after one prompt are of one model. After a later prompt it may be another than the session's, and
        -- what reports reasoning is none of Anthropic's.
        coalesce(
            max(cached_tokens > input_tokens) over run
                or (is_anthropic and (coalesce(prompts, 0) < 2 or not max(coalesce(reasoning_tokens, 0) > 0) over run)),
            false) as is_beside,
        coalesce(is_google or max(reasoning_tokens > output_tokens) over run, false) and reasoning_tokens is not null
            as is_thought_beside
    from (
        select
            x.*,
            p.prompts,
            coalesce(x.cache_read_tokens, 0) + coalesce(x.cache_creation_tokens, 0) as cached_tokens,
            coalesce(regexp_matches(r.model, '^(claude[-0-9]|arn:aws[^ ]*anthropic\.|([a-z-]+\.)?anthropic\.)'), false)
                as is_anthropic,
            coalesce(regexp_matches(r.model, '^((publishers/google/|projects/[^ ]*/)?models/)?gemini-'), false)
                as is_google
        from (
            select
                session_key,
                null as turn_index,
                input_tokens,
                output_tokens,
                cache_read_tokens,
                cache_creation_tokens,
                reasoning_tokens,
                compaction_input_tokens,
                compaction_output_tokens,
                cost_usd
            from raw.told_usage
            where session_key not in (select session_key from raw.trace where adds_up)
            union all
            select
                session_key,
                turn_index,
                input_tokens,
                output_tokens,
                cache_read_tokens,
                cache_creation_tokens,
                reasoning_tokens,
                compaction_input_tokens,
                compaction_output_tokens,
                cost_usd::double
            from raw.update
            join (
                select session_key, min(path) as path
                from raw.trace
                where adds_up
                group by session_key
            ) using (session_key, path)
        ) x
        join raw.row r using (session_key)
        left join raw.placed p on p.session_key = x.session_key and p.is_turn and p.turns - 1 = x.turn_index
    )
    window run as (partition by session_key, prompts)
);

-- name: session
select
    r.session_key,
    r.session_id,
    r.id as native_id,
    r.agent_name,
    r.started_at,
    -- An update of an ended session writes its old end, so the later of the two it is.
    greatest(r.updated_at, r.ended_at) as updated_at,
    r.ended_at,
    case
        when u.request_count is null then r.metadata
        when r.metadata is null then json_object('request_count', u.request_count)::varchar
        when json_valid(r.metadata) and json_type(r.metadata) = 'OBJECT'
            then json_merge_patch(json_object('request_count', u.request_count), r.metadata)::varchar
        else json_object('request_count', u.request_count, 'metadata', r.metadata)::varchar
    end as metadata
from raw.row r
left join raw.told_usage u using (session_key)
order by session_key

-- name: model_config
select
    model_config_key,
    model as request_model
from raw.config
order by model_config_key

-- name: session_config
select
    r.session_key,
    c.model_config_key
from raw.row r
join raw.config c using (model)

-- name: session_usage
select
    c.session_key * 2147483648 as session_usage_key,
    c.session_key,
    r.started_at,
    case when not coalesce(t.has_unknown, false) then r.model end as model,
    c.input_tokens,
    c.output_tokens,
    c.cache_read_input_tokens,
    c.cache_creation_input_tokens,
    c.reasoning_output_tokens,
    'final' as usage_quality,
    c.cost_usd as reported_cost_usd
from raw.counted c
join raw.row r using (session_key)
left join raw.turn_count t using (session_key)
where
    c.turn_index is null
    and coalesce(c.input_tokens, c.output_tokens, c.cache_read_input_tokens, c.cache_creation_input_tokens,
                 c.reasoning_output_tokens, c.cost_usd) is not null
order by session_usage_key

-- name: message
select
    p.message_key,
    p.session_key,
    p.n as message_index,
    -- An id of digits might be the place of another message.
    case when o.own_id is null and not regexp_full_match(p.own_id, '\d+') then p.own_id else p.n::varchar end
        as given_id,
    case when p.n > 0 then p.message_key - 1 end as parent_key,
    p.prompt_key,
    coalesce(p.turn_key, a.turn_key) as turn_key,
    p.role,
    case when not p.is_object then 'context' when p.is_continuation and p.role = 'user' then 'note' else 'message' end
        as kind,
    p.is_preamble::bigint as is_preamble,
    0 as is_sidechain,
    p.created_at
from raw.placed p
left join raw.answer a using (message_key)
left join (
    select session_key, own_id
    from raw.line
    where own_id is not null
    group by session_key, own_id
    having count(*) > 1
) o on o.session_key = p.session_key and o.own_id = p.own_id
order by p.message_key

-- name: turn
select
    p.message_key as turn_key,
    p.session_key,
    p.turns - 1 as turn_index,
    case when p.prompts > 0 then p.prompts - 1 end as exchange_index,
    -- Another run may have used another model, and nothing says so.
    case when p.prompts < 2 then k.model_config_key end as model_config_key,
    case when p.prompts < 2 and k.model_config_key is not null then 'only' else 'unknown' end as model_config_status,
    p.prompt_key,
    0 as is_sidechain,
    p.created_at as started_at,
    case when p.has_calls or s.has_calls then 'tool_call' when coalesce(s.status, p.status) = 'failed' then 'error' end
        as finish_reason,
    coalesce(s.status, p.status) as finish_reason_raw,
    c.input_tokens,
    c.output_tokens,
    c.cache_read_input_tokens,
    c.cache_creation_input_tokens,
    c.reasoning_output_tokens,
    case when c.session_key is null then 'missing' else 'final' end as usage_quality,
    c.cost_usd as reported_cost_usd
from raw.placed p
join raw.row r using (session_key)
left join raw.config k on k.model = r.model
left join raw.placed s on s.turn_key = p.message_key and s.message_key = p.message_key + 1 and not s.is_turn
left join raw.counted c on c.session_key = p.session_key and c.turn_index = p.turns - 1
where p.is_turn
order by p.message_key

-- name: tool_call
select
    tool_call_key,
    session_key,
    tool_call_index,
    tool_call_id,
    turn_key,
    coalesce(tool_name, '') as tool_name,
    created_at as started_at
from raw.call
order by tool_call_key

-- name: tool_result
select
    a.message_key as tool_result_key,
    a.tool_call_key,
    case when l.is_error then 'error' else 'ok' end as status,
    l.is_error::bigint as is_error,
    l.duration_us
from raw.answer a
join raw.line l using (message_key)
where a.is_last
order by tool_result_key

-- name: message_text
select
    session_key * 2147483648 + n as message_key,
    -- Where there are raw blocks they are the message; what is no text is named, and its data left out.
    case when len(blocks) > 0 then nullif(array_to_string(list_filter(
            case when len(list_filter(blocks, lambda b: b.type = 'text' and b.text <> '')) > 0 then [] else [content] end
            || list_transform(blocks, lambda b: case
                when b.type = 'text' then b.text
                when b.type in ('thinking', 'tool_use') then null
                when b.type = 'tool_result' then case when content is null then b.content end
                when b.type in ('image', 'document') then '[' || concat_ws(' ', b.type, b.source.media_type, b.title,
                    case when regexp_matches(b.source.url, '^https?://') then b.source.url end) || ']'
                when b.type = 'compaction' then concat_ws(' ', '[compaction]', nullif(b.content, ''))
                else '[' || coalesce(b.type, 'block') || ']'
            end),
            lambda piece: piece <> ''), chr(10)), '')
        else coalesce(content, odd_blocks)
    end as content,
    coalesce(
        nullif(reasoning, ''),
        nullif(array_to_string(list_filter(
            list_transform(blocks, lambda b: case when b.type = 'thinking' then b.thinking end),
            lambda piece: piece <> ''), chr(10)), '')
    ) as reasoning
from (
    select
        session_key,
        n,
        case when m is null then 'null' when given is not null and json_type(given) <> 'OBJECT' then given::varchar
            else m.content end as content,
        m.reasoning,
        case when m.raw_content_blocks is not null and json_type(m.raw_content_blocks) <> 'ARRAY'
            then m.raw_content_blocks::varchar end as odd_blocks,
        case when m.raw_content_blocks is not null then from_json(m.raw_content_blocks, '[{"type":"VARCHAR","text":"VARCHAR","thinking":"VARCHAR","content":"VARCHAR","title":"VARCHAR","source":{"media_type":"VARCHAR","url":"VARCHAR"}}]') end as blocks
    from (
        select
            session_key,
            unnest(list) as m,
            generate_subscripts(list, 1) - 1 as n,
            unnest(case when len(list_filter(list, lambda m: m.role is null)) > 0 then from_json(text, '["JSON"]') end)
                as given
        from (
            select
                session_key,
                text,
                from_json(text, '[{"role":"VARCHAR","content":"VARCHAR","reasoning":"VARCHAR","raw_content_blocks":"JSON"}]') as list
            from raw.told
        )
    )
)

-- name: tool_call_text
select
    session_key * 2147483648 + row_number() over (partition by session_key order by n, place) - 1 as tool_call_key,
    given.arguments as arguments
from (
    select
        session_key,
        n,
        unnest(calls) as given,
        generate_subscripts(calls, 1) as place
    from (
        select
            session_key,
            n,
            raw.calls_of(m.tool_calls, m.raw_content_blocks) as calls
        from (
            select
                session_key,
                unnest(list) as m,
                generate_subscripts(list, 1) as n
            from (
                select
                    session_key,
                    from_json(text, '[{"tool_calls":"JSON","raw_content_blocks":[{"type":"VARCHAR","id":"VARCHAR","name":"VARCHAR","input":"VARCHAR"}]}]') as list
                from raw.told
            )
        )
    )
)
order by tool_call_key

-- name: problem
select
    r.record,
    case when r.is_null then 'messages is NULL' when t.text is not null then 'messages is no JSON array'
        else 'messages is no JSON' end || '; the session is there without messages' as reason,
    null as line
from raw.piece b
join raw.row r using (session_key)
join raw.told t using (session_key)
where b.is_broken
union all
select distinct
    r.record,
    'messages holds halves of characters that no text can hold; they were replaced by ' || chr(65533),
    null
from raw.line l
join raw.row r using (session_key)
where l.is_mended
union all
select
    record,
    'id is NULL; the session has a made one',
    null
from raw.row
where id is null
union all
select
    h.place || ' ' || h.id,
    'the id is that of ' || r.place || ' row ' || k._row || ' as well, which is read; this row is not',
    null
from (
    select 'session_history' as place, _row, id
    from raw.session_history
    union all
    select 'sessions', _row, id
    from raw.sessions
    where exists (select 1 from raw.sessions where coalesce(agent_name, model, messages) is not null)
) h
join raw.key k on k.id = h.id and (k.place, k._row) <> (h.place, h._row)
join raw.row r using (session_key)
union all
select
    record,
    name || ' is ' || given || ', which is no time; it is NULL',
    null
from (
    select record, 'started_at' as name, given_times.started_at as given, started_at as found
    from raw.row
    union all
    select record, 'updated_at', given_times.updated_at, updated_at
    from raw.row
    union all
    select record, 'ended_at', given_times.ended_at, ended_at
    from raw.row
)
where given is not null and found is null
union all
select
    record,
    'model is empty; its turns have none',
    null
from raw.row
where model is null
union all
select
    r.record || ' message ' || l.n,
    'it is no JSON object; its JSON is there as text',
    null
from raw.line l
join raw.row r using (session_key)
where not l.is_object
union all
select
    r.record || ' message ' || l.n,
    coalesce('the role ' || l.given_role || ' is not known', 'it has no role') || '; the message is there with it',
    null
from raw.line l
join raw.row r using (session_key)
where l.is_object and l.role not in ('system', 'user', 'assistant', 'developer', 'tool')
union all
select
    r.record || ' message ' || l.n,
    'timestamp is ' || l.timestamp || ', which is no time; it is NULL',
    null
from raw.line l
join raw.row r using (session_key)
where l.timestamp is not null and l.created_at is null
union all
select
    r.record || ' message ' || l.n,
    'tool_calls holds what is no call; it is left out',
    null
from raw.line l
join raw.row r using (session_key)
where
    l.tool_calls is not null
    and (json_type(l.tool_calls) <> 'ARRAY'
        or (json_array_length(l.tool_calls) > 0 and json_array_length(l.tool_calls) <> len(l.calls)))
union all
select
    r.record || ' message ' || l.n,
    coalesce('it is the result of the call ' || l.answers || ', which is not there', 'it is a result and names no call')
        || '; the message is there',
    null
from raw.line l
join raw.row r using (session_key)
left join raw.answer a using (message_key)
where l.role = 'tool' and a.message_key is null
union all
select
    r.record,
    'usage is no JSON object; the session has none',
    null
from raw.told_usage u
join raw.row r using (session_key)
where u.is_broken
union all
select
    r.record,
    'usage holds numbers that nobody can have used: ' || odd || '; they are NULL',
    null
from (
    select
        session_key,
        concat_ws(', ',
            case when input_tokens is null then 'total_input_tokens ' || u.total_input_tokens end,
            case when output_tokens is null then 'total_output_tokens ' || u.total_output_tokens end,
            case when cache_read_tokens is null then 'total_cache_read_tokens ' || u.total_cache_read_tokens end,
            case when cache_creation_tokens is null
                then 'total_cache_creation_tokens ' || u.total_cache_creation_tokens end,
            case when reasoning_tokens is null then 'total_reasoning_tokens ' || u.total_reasoning_tokens end,
            case when compaction_input_tokens is null
                then 'total_compaction_input_tokens ' || u.total_compaction_input_tokens end,
            case when compaction_output_tokens is null
                then 'total_compaction_output_tokens ' || u.total_compaction_output_tokens end,
            case when cost_usd is null then 'total_cost_usd ' || u.total_cost_usd end,
            case when request_count is null then 'request_count ' || u.request_count end) as odd
    from raw.told_usage
)
join raw.row r using (session_key)
where odd <> ''
union all
select
    r.record,
    'the trace ' || t.path || ' has one request for each turn and does not add up to usage; only the session''s total is read',
    null
from raw.trace t
join raw.row r using (session_key)
where not t.adds_up
