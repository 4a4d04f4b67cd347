-- llm: until 0.31 a response is a row with its prompt, now a turn is a row that names two messages of a chain: the one
-- it was given and the one it ended with. Messages are shared by all turns that hold the same, so they have no time.
-- A file may hold both; an id that is in both is one answer, and the turn tells more of it.

-- name: prepare
-- A cast alone would round 1.5 to 2.
create macro raw.whole(given) as
    case when try_cast(given as double) = try_cast(given as bigint) then try_cast(given as bigint) end;

-- ISO 8601 with a blank or a T as microseconds since 1970, UTC where it names no other zone. What is no such time is
-- NULL: DuckDB's own reading takes a bare year for a time.
create macro raw.moment(text) as
    case
        when regexp_full_match(text, '\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)') then
            epoch_us(try_cast(regexp_replace(text, '(\.\d{6})\d+', '\1') as timestamptz))
        when regexp_full_match(text, '\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?') then
            epoch_us(try_cast(regexp_replace(text, '(\.\d{6})\d+', '\1') || '+00:00' as timestamptz))
    end;

-- JSON that can be read, and that is an object; NULL where there is none.
create macro raw.json_of(text) as
    case when json_valid(text) then text when json_valid(raw.mended(text)) then raw.mended(text) end;
create macro raw.object_of(text) as
    case
        when json_valid(text) then case when json_type(text) = 'OBJECT' then text end
        when json_valid(raw.mended(text)) then case when json_type(raw.mended(text)) = 'OBJECT' then raw.mended(text) end
    end;

-- What of an attachment is told in a text: its data is left out.
create macro raw.mention(type, path, url) as '[' || concat_ws(' ', 'attachment', type, coalesce(url, path)) || ']';

create table raw.node as
select
    m.node,
    m.hash,
    m.role,
    m.parent_hash,
    -- A message comes after the one that it follows, so no chain can lead to itself.
    case when p.node < m.node then p.node end as parent
from (
    select
        min(_row) as node,
        hash,
        arg_min(role, _row) as role,
        arg_min(parent_hash, _row) as parent_hash
    from raw.messages
    where hash is not null
    group by hash
) m
left join (
    select
        min(_row) as node,
        hash
    from raw.messages
    group by hash
) p on p.hash = m.parent_hash;

create table raw.part as
select
    p._row,
    x.node,
    coalesce(raw.whole(p.position), 0) as position,
    p.type,
    p.tool_name,
    p.text,
    p.payload,
    raw.object_of(p.payload) as data
from raw.parts p
join raw.node x on x.hash = p.message_hash;

-- Both generations take their ids from the same clock, so an id says which came first.
create table raw.answer as
select
    row_number() over (order by id nulls last, place, _row) as n,
    place,
    _row,
    id,
    native_id,
    parent_hash,
    tip_hash
from (
    select
        'turns' as place,
        _row,
        id,
        coalesce(thread_id, id, '') as native_id,
        parent_message_hash as parent_hash,
        tip_message_hash as tip_hash
    from raw.turns
    union all
    select
        'responses',
        _row,
        id,
        coalesce(conversation_id, id, ''),
        null,
        null
    from raw.responses
)
qualify row_number() over (partition by coalesce(id, place || ' ' || _row), id is null order by place desc, _row) = 1;

create table raw.session as
select
    row_number() over (order by min(n) nulls last, native_id) as session_key,
    native_id,
    coalesce(min(name) filter (where place = 'conversations'), min(name)) as name,
    min(forked_from) as forked_from,
    min(created) as created,
    coalesce(bool_or(place in ('threads', 'conversations')), false) as is_there,
    coalesce(bool_or(place = 'responses'), false) as has_responses
from (
    select 'threads' as place, id as native_id, nullif(name, '') as name, forked_from, datetime_utc as created, null as n
    from raw.threads
    where id is not null
    union all
    select 'conversations', id, nullif(name, ''), null, null, null
    from raw.conversations
    where id is not null
    union all
    select place, native_id, null, null, null, n
    from raw.answer
)
group by native_id;

-- What a turn has added: from its last message up to the one that it was given.
create table raw.output as
with recursive up as (
    select
        a.n,
        t.node,
        t.parent,
        coalesce(p.node, -1) as floor
    from raw.answer a
    join raw.node t on t.hash = a.tip_hash
    left join raw.node p on p.hash = a.parent_hash
    where t.node > coalesce(p.node, -1)
    union all
    select
        u.n,
        x.node,
        x.parent,
        u.floor
    from up u
    join raw.node x on x.node = u.parent
    where x.node > u.floor
)
select
    n,
    node
from up;

create table raw.place as
select
    x.node,
    x.parent,
    x.role,
    o.node is not null as is_output
from raw.node x
left join (select distinct node from raw.output) o using (node);

-- What a turn was given and no turn has added. Its own input is what comes after the last answer; a history that was
-- handed in with it lies above that.
create table raw.given as
with recursive up as (
    select
        a.n,
        x.node,
        x.parent,
        x.role in ('user', 'tool') as is_own
    from raw.answer a
    join raw.node t on t.hash = a.parent_hash
    join raw.place x on x.node = t.node and not x.is_output
    union all
    select
        u.n,
        x.node,
        x.parent,
        u.is_own and x.role in ('user', 'tool')
    from up u
    join raw.place x on x.node = u.parent and not x.is_output
)
select
    min(u.n) as n,
    s.session_key,
    u.node,
    arg_min(u.is_own, u.n) as is_own
from up u
join raw.answer a using (n)
join raw.session s using (native_id)
-- Of a conversation that an older release began, the rows of that tell what was before.
where u.is_own or not s.has_responses
group by s.session_key, u.node;

create table raw.has_words as
select
    node,
    bool_or(type = 'text') as has_text
from raw.part
group by node;

-- What a response of the older release had for a system prompt.
create table raw.instructions as
select
    a.n,
    a.native_id,
    concat_ws(' ', f.fragments, r.system) as told
from raw.responses r
join raw.answer a on a.place = 'responses' and a._row = r._row
left join (
    select
        response_id,
        string_agg(fragment_id, ' ' order by raw.whole("order")) as fragments
    from raw.system_fragments
    group by response_id
) f on f.response_id = r.id
where f.response_id is not null or trim(r.system, e' \t\r\n') <> '';

-- What a session tells, in order. Of a system prompt that is the same as before, only the first is a message.
create table raw.piece as
select
    row_number() over (order by n, stage, node, position, _row) as message_key,
    *
from (
    select
        g.n,
        g.session_key,
        case when x.role = 'system' then 0 else 1 end as stage,
        g.node,
        coalesce(p.position, 0) as position,
        p._row,
        case
            when x.role = 'system' then 'system'
            when p._row is not null then 'result'
            when x.role not in ('user', 'assistant', 'tool') or x.role is null or not g.is_own then 'context'
            when x.role = 'tool' then 'result'
            when b.role = 'tool' and not coalesce(w.has_text, false) then 'context'
            else 'prompt'
        end as sort,
        coalesce(case when x.role in ('user', 'assistant', 'tool') then x.role end, 'system') as role
    from raw.given g
    join raw.place x using (node)
    left join raw.place b on b.node = x.parent
    left join raw.has_words w on w.node = g.node
    left join raw.part p on p.node = case when x.role = 'tool' then g.node end and p.type = 'tool_result'
    union all
    select
        n,
        session_key,
        0,
        null,
        0,
        null,
        'system',
        'system'
    from (
        select
            i.n,
            s.session_key,
            i.told,
            lag(i.told) over (partition by s.session_key order by i.n) as before
        from raw.instructions i
        join raw.session s using (native_id)
    )
    where told is distinct from before
    union all
    select
        a.n,
        s.session_key,
        1,
        null,
        0,
        r._row,
        'result',
        'tool'
    from raw.tool_results r
    join raw.answer a on a.id = r.response_id and a.place = 'responses'
    join raw.session s using (native_id)
    union all
    select
        a.n,
        s.session_key,
        2,
        null,
        0,
        r._row,
        -- What comes after the results of tools is what these have handed out.
        case when r.prompt <> '' or f.response_id is not null or t.response_id is null then 'prompt' else 'context' end,
        'user'
    from raw.responses r
    join raw.answer a on a.place = 'responses' and a._row = r._row
    join raw.session s using (native_id)
    left join (select distinct response_id from raw.prompt_fragments) f on f.response_id = r.id
    left join (select distinct response_id from raw.prompt_attachments) h on h.response_id = r.id
    left join (select distinct response_id from raw.tool_results) t on t.response_id = r.id
    where r.prompt <> '' or f.response_id is not null or h.response_id is not null
    union all
    select
        a.n,
        s.session_key,
        3,
        null,
        0,
        a._row,
        'answer',
        'assistant'
    from raw.answer a
    join raw.session s using (native_id)
    union all
    -- A tool of the provider's ran while the answer was made.
    select
        o.n,
        s.session_key,
        4,
        o.node,
        p.position,
        p._row,
        'result',
        'tool'
    from raw.output o
    join raw.part p on p.node = o.node and p.type = 'tool_result'
    join raw.answer a using (n)
    join raw.session s using (native_id)
);

create table raw.call as
select
    row_number() over (order by n, node, position, _row) as tool_call_key,
    *
from (
    select
        a.n,
        s.session_key,
        null as node,
        0 as position,
        c._row,
        c.tool_call_id as call_id,
        c.name,
        false as is_remote
    from raw.tool_calls c
    join raw.answer a on a.id = c.response_id and a.place = 'responses'
    join raw.session s using (native_id)
    union all
    select
        a.n,
        s.session_key,
        o.node,
        p.position,
        p._row,
        json_extract_string(p.data, '$.tool_call_id'),
        coalesce(p.tool_name, json_extract_string(p.data, '$.name')),
        coalesce(json_extract_string(p.data, '$.server_executed') = 'true', false)
    from raw.output o
    join raw.part p on p.node = o.node and p.type = 'tool_call'
    join raw.answer a using (n)
    join raw.session s using (native_id)
);

-- name: prepare_facts
-- A model of the built-in plugin, or one of a plugin that puts its provider before the name.
create macro raw.provider_of(model) as
    case
        when regexp_full_match(model, '(openai/)?(gpt-(3\.5|4|5)([.o-][A-Za-z0-9.-]*)?|chatgpt-4o-latest|o[134](-[a-z0-9-]+)?)')
            then 'openai'
        when regexp_full_match(model, '(anthropic/)?claude-[A-Za-z0-9.-]+') then 'anthropic'
        when starts_with(model, 'gemini/') then 'gcp.gemini'
        when starts_with(model, 'mistral/') then 'mistral_ai'
        when starts_with(model, 'groq/') then 'groq'
        when starts_with(model, 'openrouter/') then 'openrouter'
    end;

-- What cannot be a number of tokens is NULL.
create macro raw.tokens(text) as case when regexp_full_match(text, '\d{1,15}') then try_cast(text as bigint) end;

create table raw.row as
select
    a.n,
    a.place,
    a.place || ' ' || coalesce(a.id, 'row ' || a._row) as record,
    a.id,
    s.session_key,
    r.model,
    r.resolved_model,
    r.schema_id,
    {
        'datetime_utc': r.datetime_utc,
        'duration_ms': r.duration_ms,
        'input_tokens': r.input_tokens,
        'output_tokens': r.output_tokens
    } as given,
    r.options_json is not null and raw.object_of(r.options_json) is null as has_odd_options,
    r.token_details is not null and raw.object_of(r.token_details) is null as has_odd_details,
    -- A plugin may keep what it likes there, so long as it is JSON.
    r.response_json is not null and raw.json_of(r.response_json) is null as has_odd_reply,
    raw.moment(r.datetime_utc) as started_at,
    case when raw.whole(r.duration_ms) between 0 and 1000000000000 then raw.whole(r.duration_ms) * 1000 end as duration_us,
    coalesce(raw.object_of(r.options_json), '{}') as options,
    raw.object_of(r.token_details) as details,
    raw.object_of(r.response_json) as reply,
    raw.tokens(r.input_tokens) as input_tokens,
    raw.tokens(r.output_tokens) as output_tokens
from raw.answer a
join raw.session s using (native_id)
join (
    select 'turns' as place, _row, model, resolved_model, options_json, schema_id, input_tokens, output_tokens,
        token_details, duration_ms, datetime_utc, response_json
    from raw.turns
    union all
    select 'responses', _row, model, resolved_model, options_json, schema_id, input_tokens, output_tokens,
        token_details, duration_ms, datetime_utc, response_json
    from raw.responses
) r on r.place = a.place and r._row = a._row;

create table raw.spent as
select
    n,
    -- Anthropic leaves what the cache took out of the input, and names it so.
    case when is_apart then input_tokens + coalesce(read, 0) + coalesce(written, 0) else input_tokens end as input_tokens,
    -- Older releases of the plugin for Gemini left the thoughts out of the output, and its count out of the details.
    case when thoughts > 0 and candidates is null and output_tokens is distinct from thoughts
        then coalesce(output_tokens, 0) + thoughts else output_tokens end as output_tokens,
    case when is_apart then read else cached end as cache_read_input_tokens,
    case when is_apart then written end as cache_creation_input_tokens,
    coalesce(reasoning, thoughts) as reasoning_output_tokens
from (
    select
        n,
        input_tokens,
        output_tokens,
        raw.tokens(d.cache_read_input_tokens) as read,
        raw.tokens(d.cache_creation_input_tokens) as written,
        coalesce(read, written) is not null and d.prompt_tokens_details is null as is_apart,
        coalesce(
            raw.tokens(d.prompt_tokens_details.cached_tokens),
            raw.tokens(d.input_tokens_details.cached_tokens),
            raw.tokens(d.cachedContentTokenCount)
        ) as cached,
        coalesce(
            raw.tokens(d.completion_tokens_details.reasoning_tokens),
            raw.tokens(d.output_tokens_details.reasoning_tokens),
            raw.tokens(d.output_tokens_details.thinking_tokens)
        ) as reasoning,
        raw.tokens(d.thoughtsTokenCount) as thoughts,
        raw.tokens(d.candidatesTokenCount) as candidates
    from (
        select
            n,
            input_tokens,
            output_tokens,
            from_json(details, '{"cache_read_input_tokens":"VARCHAR","cache_creation_input_tokens":"VARCHAR","prompt_tokens_details":{"cached_tokens":"VARCHAR"},"input_tokens_details":{"cached_tokens":"VARCHAR"},"completion_tokens_details":{"reasoning_tokens":"VARCHAR"},"output_tokens_details":{"reasoning_tokens":"VARCHAR","thinking_tokens":"VARCHAR"},"cachedContentTokenCount":"VARCHAR","candidatesTokenCount":"VARCHAR","thoughtsTokenCount":"VARCHAR"}') as d
        from raw.row
    )
);

create table raw.ending as
select
    n,
    case when json_type(d.model) = 'VARCHAR' then d.model->>'$' end as model,
    coalesce(
        d.finish_reason,
        d.stop_reason,
        d.choices[1].finish_reason,
        d.candidates[1].finishReason,
        d.done_reason,
        d.incomplete_details.reason,
        d.status
    ) as reason
from (
    select
        n,
        from_json(reply, '{"model":"JSON","finish_reason":"VARCHAR","stop_reason":"VARCHAR","choices":[{"finish_reason":"VARCHAR"}],"candidates":[{"finishReason":"VARCHAR"}],"done_reason":"VARCHAR","incomplete_details":{"reason":"VARCHAR"},"status":"VARCHAR"}') as d
    from raw.row
    where reply is not null
);

create table raw.setting as
select
    * exclude (odd),
    nullif(json_merge_patch(odd, case when schema_id is null then '{}' else json_object('schema_id', schema_id) end)::varchar, '{}')
        as extra
from (
    select
        n,
        raw.provider_of(r.model) as provider_name,
        r.model,
        r.schema_id,
        case when isfinite(try_cast(o.temperature as double)) then try_cast(o.temperature as double) end as temperature,
        case when isfinite(try_cast(o.top_p as double)) then try_cast(o.top_p as double) end as top_p,
        coalesce(raw.tokens(o.max_tokens), raw.tokens(o.max_output_tokens)) as max_tokens,
        case
            when json_type(o.stop_sequences) = 'ARRAY' then o.stop_sequences::varchar
            when json_type(coalesce(o.stop, o.stop_sequences)) = 'VARCHAR'
                then to_json([coalesce(o.stop, o.stop_sequences)->>'$'])::varchar
        end as stop_sequences,
        o.reasoning_effort,
        -- What has a column of its own is taken out.
        json_merge_patch(r.options, '{' || concat_ws(',',
            case when temperature is not null then '"temperature":null' end,
            case when top_p is not null then '"top_p":null' end,
            case when raw.tokens(o.max_tokens) is not null then '"max_tokens":null' end,
            case when max_tokens is not null and raw.tokens(o.max_tokens) is null then '"max_output_tokens":null' end,
            case when stop_sequences is not null then '"stop":null,"stop_sequences":null' end,
            case when o.reasoning_effort is not null then '"reasoning_effort":null' end) || '}') as odd
    from (
        select
            *,
            from_json(options, '{"temperature":"VARCHAR","top_p":"VARCHAR","max_tokens":"VARCHAR","max_output_tokens":"VARCHAR","stop":"JSON","stop_sequences":"JSON","reasoning_effort":"VARCHAR"}') as o
        from raw.row
    ) r
);

create table raw.config as
select
    min(n) as model_config_key,
    provider_name,
    model,
    temperature,
    top_p,
    max_tokens,
    stop_sequences,
    reasoning_effort,
    extra
from raw.setting
group by all;

create table raw.counted as
select
    p.*,
    r.started_at,
    row_number() over told - 1 as message_index,
    count(*) filter (where sort = 'answer') over told - 1 as turn_index,
    count(*) filter (where sort = 'prompt') over told as prompts,
    max(case when sort = 'prompt' then message_key end) over told as prompt_key,
    lag(message_key) over (partition by p.session_key order by message_key) as before_key,
    row_number() over (partition by p.session_key, p.n, stage, node order by message_key) as place_in_node
from raw.piece p
join raw.row r using (n)
window told as (partition by p.session_key order by message_key rows between unbounded preceding and current row);

-- Where a message of a chain stands in a session.
create table raw.spot as
select
    session_key,
    node,
    max(message_key) as message_key
from (
    select session_key, node, message_key
    from raw.piece
    where stage < 3 and node is not null
    union all
    select p.session_key, o.node, p.message_key
    from raw.output o
    join raw.piece p on p.n = o.n and p.sort = 'answer'
)
group by session_key, node;

create table raw.parent as
select
    c.message_key,
    case
        when c.stage = 4 then k.message_key
        when c.node is not null and c.place_in_node > 1 then c.message_key - 1
        when a.place = 'responses' then c.before_key
        when t.message_key < c.message_key then t.message_key
        when s.has_responses then c.before_key
    end as parent_key
from raw.counted c
join raw.answer a using (n)
join raw.session s on s.session_key = c.session_key
join raw.piece k on k.n = c.n and k.sort = 'answer'
left join raw.node x on x.node = c.node
left join raw.node g on g.hash = a.parent_hash
left join raw.spot t
    on t.session_key = c.session_key
    and t.node = case when c.sort = 'answer' then g.node else x.parent end;

create table raw.reply as
select
    c.message_key,
    c.session_key,
    c.n,
    case
        when c.stage = 1 and c.node is null then r.tool_call_id
        else json_extract_string(p.data, '$.tool_call_id')
    end as call_id,
    case
        when c.stage = 1 and c.node is null then r.name
        else coalesce(p.tool_name, json_extract_string(p.data, '$.name'))
    end as name,
    case
        when c.stage = 1 and c.node is null then r.exception
        else json_extract_string(p.data, '$.exception')
    end as exception,
    -- A result is of a call before it. Those of the provider's tools came in the same answer.
    case when c.stage = 4 then 2 * c.n + 1 else 2 * c.n - 1 end as at
from raw.piece c
left join raw.tool_results r on r._row = case when c.node is null then c._row end
left join raw.part p on p._row = case when c.node is not null then c._row end
where c.sort = 'result';

-- A result is that of the newest call with its id. Providers count their ids anew, and older plugins gave none: such
-- calls and results are told apart by the tool's name and their order.
create table raw.matched as
select
    r.message_key,
    c.tool_call_key,
    c.n,
    r.message_key = max(r.message_key) over (partition by c.tool_call_key) as is_last
from (
    select
        r.message_key,
        r.session_key,
        r.name_of_call,
        a.at as asked_at,
        a.calls,
        row_number() over (partition by r.session_key, r.name_of_call, r.at order by r.message_key) as place
    from (
        select
            *,
            coalesce('id ' || call_id, 'name ' || name) as name_of_call
        from raw.reply
    ) r
    asof join (
        select
            session_key,
            coalesce('id ' || call_id, 'name ' || name) as name_of_call,
            2 * n as at,
            count(*) as calls
        from raw.call
        group by all
    ) a on a.session_key = r.session_key and a.name_of_call = r.name_of_call and r.at > a.at
) r
join (
    select
        tool_call_key,
        session_key,
        n,
        coalesce('id ' || call_id, 'name ' || name) as name_of_call,
        row_number() over (
            partition by session_key, coalesce('id ' || call_id, 'name ' || name), n order by tool_call_key) as place
    from raw.call
) c
    on c.session_key = r.session_key
    and c.name_of_call = r.name_of_call
    and 2 * c.n = r.asked_at
    and c.place = least(r.place, r.calls);

-- name: session
select
    s.session_key,
    -- Ids that the tool makes are unique in the world, others need not be.
    case
        when s.native_id = '' then raw.file_id() || '#nameless'
        when regexp_full_match(s.native_id, '[0-9a-hjkmnp-tv-zA-HJKMNP-TV-Z]{26}') then s.native_id
        else raw.file_id() || ':' || s.native_id
    end as session_id,
    nullif(s.native_id, '') as native_id,
    s.name,
    'llm' as agent_name,
    -- A thread is written down when its first answer is there.
    coalesce(t.started_at, raw.moment(s.created)) as started_at,
    greatest(t.updated_at, raw.moment(s.created)) as updated_at,
    case when s.forked_from is not null then json_object('forked_from', s.forked_from)::varchar end as metadata
from raw.session s
left join (
    select
        session_key,
        min(started_at) as started_at,
        max(started_at + coalesce(duration_us, 0)) as updated_at
    from raw.row
    group by session_key
) t using (session_key)
order by s.session_key

-- name: model_config
select
    model_config_key,
    provider_name,
    model as request_model,
    temperature,
    top_p,
    max_tokens,
    stop_sequences,
    reasoning_effort,
    extra
from raw.config
order by model_config_key

-- name: message
select
    c.message_key,
    c.session_key,
    c.message_index,
    -- An id of digits might be the made one of another message.
    case
        when regexp_full_match(coalesce(a.id, ''), '\d*') and c.sort = 'answer' then null
        when c.sort = 'answer' then a.id
        when c.stage < 3 and c.place_in_node = 1 and not regexp_full_match(x.hash, '\d*') then x.hash
    end as given_id,
    p.parent_key,
    c.prompt_key,
    case
        when c.sort = 'answer' then c.message_key
        when c.sort = 'result' then k.message_key
    end as turn_key,
    c.role,
    case when c.sort = 'context' then 'context' else 'message' end as kind,
    (c.sort = 'system' and c.prompts = 0)::bigint as is_preamble,
    0 as is_sidechain,
    -- A history that was handed in is older, and nobody knows how much.
    case when c.sort <> 'context' or c.node is null or b.role = 'tool' then c.started_at end as created_at
from raw.counted c
join raw.answer a using (n)
join raw.parent p using (message_key)
left join raw.node x on x.node = c.node
left join raw.node b on b.node = x.parent
left join raw.matched m using (message_key)
left join raw.piece k on k.n = m.n and k.sort = 'answer'

-- name: turn
select
    c.message_key as turn_key,
    c.session_key,
    c.turn_index,
    case when c.prompts > 0 then c.prompts - 1 end as exchange_index,
    f.model_config_key,
    'recorded' as model_config_status,
    c.prompt_key,
    0 as is_sidechain,
    r.started_at,
    r.duration_us,
    coalesce(r.resolved_model, e.model) as response_model,
    case
        when q.n is not null and coalesce(lower(e.reason) in ('stop', 'completed'), true) then 'tool_call'
        when lower(e.reason) in ('stop', 'end_turn', 'stop_sequence', 'completed') then 'stop'
        when lower(e.reason) in ('length', 'max_tokens', 'max_output_tokens', 'model_length') then 'length'
        when lower(e.reason) in (
            'content_filter', 'refusal', 'safety', 'recitation', 'blocklist', 'prohibited_content', 'spii'
        ) then 'content_filter'
        when lower(e.reason) in ('tool_calls', 'tool_use', 'function_call') then 'tool_call'
        when lower(e.reason) in ('error', 'failed', 'malformed_function_call') then 'error'
    end as finish_reason,
    e.reason as finish_reason_raw,
    u.input_tokens,
    u.output_tokens,
    case when u.cache_read_input_tokens <= u.input_tokens then u.cache_read_input_tokens end as cache_read_input_tokens,
    u.cache_creation_input_tokens,
    case when u.reasoning_output_tokens <= u.output_tokens then u.reasoning_output_tokens end
        as reasoning_output_tokens,
    case when coalesce(u.input_tokens, u.output_tokens) is null then 'missing' else 'final' end as usage_quality
from raw.counted c
join raw.row r using (n)
join raw.spent u using (n)
join raw.setting g using (n)
join raw.config f
    on f.provider_name is not distinct from g.provider_name
    and f.model is not distinct from g.model
    and f.temperature is not distinct from g.temperature
    and f.top_p is not distinct from g.top_p
    and f.max_tokens is not distinct from g.max_tokens
    and f.stop_sequences is not distinct from g.stop_sequences
    and f.reasoning_effort is not distinct from g.reasoning_effort
    and f.extra is not distinct from g.extra
left join raw.ending e using (n)
left join (select distinct n from raw.call where not is_remote) q using (n)
where c.sort = 'answer'

-- name: tool_call
select
    l.tool_call_key,
    l.session_key,
    row_number() over (partition by l.session_key order by l.tool_call_key) - 1 as tool_call_index,
    l.call_id as tool_call_id,
    k.message_key as turn_key,
    coalesce(l.name, '') as tool_name,
    r.started_at
from raw.call l
join raw.piece k on k.n = l.n and k.sort = 'answer'
join raw.row r on r.n = l.n

-- name: tool_result
select
    m.message_key as tool_result_key,
    m.tool_call_key,
    case
        when r.exception is null then 'ok'
        when starts_with(r.exception, 'CancelToolCall:') then 'cancelled'
        else 'error'
    end as status,
    (r.exception is not null)::bigint as is_error
from raw.matched m
join raw.reply r using (message_key)
where m.is_last

-- name: message_text
with
fragment_text as (
    select
        p._row,
        string_agg(coalesce(piece.literal, f.content, ''), '' order by i) as text
    from (
        select
            _row,
            unnest(pieces) as piece,
            generate_subscripts(pieces, 1) as i
        from (
            select
                _row,
                from_json(json_extract(data, '$.text_ref'), '[{"literal":"VARCHAR","fragment":"VARCHAR"}]') as pieces
            from raw.part
            where text is null and json_type(data, '$.text_ref') = 'ARRAY'
        )
    ) p
    left join raw.fragments f on f._row = raw.whole(piece.fragment)
    group by p._row
),
attachment as (
    select
        a.id,
        raw.mention(a.type, a.path, a.url) as text
    from raw.attachments a
    qualify row_number() over (partition by a.id order by a._row) = 1
),
block as (
    select
        p.node,
        p.position,
        p._row,
        p.type,
        case
            when p.type in ('text', 'reasoning') then coalesce(p.text, f.text)
            when p.type = 'attachment' then coalesce(h.text, '[attachment]')
            when p.type not in ('tool_call', 'tool_result') then '[' || p.type || ']'
        end as text
    from raw.part p
    left join fragment_text f on f._row = p._row
    left join attachment h on h.id = case when p.type = 'attachment' then json_extract_string(p.data, '$.attachment.id') end
),
result as (
    select
        p._row,
        string_agg(h.text, e'\n' order by i) as attachments
    from (
        select
            _row,
            unnest(ids) as given,
            generate_subscripts(ids, 1) as i
        from (
            select
                _row,
                from_json(json_extract(data, '$.attachments'), '[{"id":"VARCHAR"}]') as ids
            from raw.part
            where type = 'tool_result' and json_type(data, '$.attachments') = 'ARRAY'
        )
    ) p
    join attachment h on h.id = p.given.id
    group by p._row
),
prompt as (
    select
        response_id,
        concat_ws(e'\n\n', string_agg(text, e'\n' order by place, i) filter (where place < 3),
            string_agg(text, e'\n\n' order by i) filter (where place = 3)) as text
    from (
        select g.response_id, 1 as place, raw.whole(g."order") as i, f.content as text
        from raw.prompt_fragments g
        join raw.fragments f on f._row = raw.whole(g.fragment_id)
        union all
        select id, 2, 0, nullif(prompt, '')
        from raw.responses
        union all
        select g.response_id, 3, raw.whole(g."order"), h.text
        from raw.prompt_attachments g
        join attachment h on h.id = g.attachment_id
    )
    group by response_id
),
instructions as (
    select
        response_id,
        string_agg(trim(text, e' \t\r\n'), e'\n\n' order by place, i) as text
    from (
        select g.response_id, 1 as place, raw.whole(g."order") as i, f.content as text
        from raw.system_fragments g
        join raw.fragments f on f._row = raw.whole(g.fragment_id)
        union all
        select id, 2, 0, system
        from raw.responses
    )
    where trim(text, e' \t\r\n') <> ''
    group by response_id
)
-- Of the older release.
select
    c.message_key,
    case
        when c.sort = 'system' then i.text
        when c.sort = 'result' then nullif(concat_ws(e'\n', nullif(t.output, ''), h.attachments), '')
        when c.sort = 'answer' then nullif(r.response, '')
        else coalesce(q.text, r.prompt)
    end as content,
    case when c.sort = 'answer' then nullif(r.reasoning, '') end as reasoning
from raw.piece c
join raw.answer a on a.n = c.n and a.place = 'responses'
join raw.responses r on r._row = a._row
left join instructions i on i.response_id = case when c.sort = 'system' then a.id end
left join raw.tool_results t on t._row = case when c.sort = 'result' then c._row end
left join (
    select raw.whole(g.tool_result_id) as _row, string_agg(h.text, e'\n' order by raw.whole(g."order")) as attachments
    from raw.tool_results_attachments g
    join attachment h on h.id = g.attachment_id
    group by all
) h on h._row = case when c.sort = 'result' then c._row end
left join prompt q on q.response_id = case when c.role = 'user' then a.id end
union all
select
    c.message_key,
    case
        when c.sort = 'result' and c._row is not null then nullif(concat_ws(e'\n', nullif(case
            when json_type(p.data, '$.output') = 'VARCHAR' then json_extract_string(p.data, '$.output')
            else json_extract(p.data, '$.output')::varchar
        end, ''), h.attachments), '')
        when c.sort = 'answer' then w.text
        else b.text
    end as content,
    case when c.sort = 'answer' then w.reasoning when c.sort = 'context' then b.reasoning end as reasoning
from raw.piece c
join raw.answer a on a.n = c.n and a.place = 'turns'
left join raw.part p on p._row = case when c.sort = 'result' then c._row end
left join result h on h._row = case when c.sort = 'result' then c._row end
left join (
    select
        node,
        nullif(string_agg(nullif(text, ''), e'\n\n' order by position) filter (where type <> 'reasoning'), '') as text,
        nullif(string_agg(nullif(text, ''), e'\n\n' order by position) filter (where type = 'reasoning'), '') as reasoning
    from block
    group by node
) b on b.node = case when c.sort <> 'answer' then c.node end
left join (
    select
        o.n,
        nullif(string_agg(nullif(k.text, ''), e'\n\n' order by k.node, k.position) filter (where type <> 'reasoning'), '')
            as text,
        nullif(string_agg(nullif(k.text, ''), e'\n\n' order by k.node, k.position) filter (where type = 'reasoning'), '')
            as reasoning
    from raw.output o
    join block k using (node)
    group by o.n
) w on w.n = case when c.sort = 'answer' then c.n end

-- name: tool_call_text
select
    l.tool_call_key,
    case
        when l.node is null then c.arguments
        when json_type(p.data, '$.arguments') = 'VARCHAR' then json_extract_string(p.data, '$.arguments')
        else json_extract(p.data, '$.arguments')::varchar
    end as arguments
from raw.call l
left join raw.tool_calls c on c._row = case when l.node is null then l._row end
left join raw.part p on p._row = case when l.node is not null then l._row end

-- name: problem
select
    record,
    name || ' is ' || coalesce(given, 'NULL') || ', which is ' || what || '; it is NULL' as reason,
    null as line
from (
    select record, 'datetime_utc' as name, given.datetime_utc as given, 'no time' as what
    from raw.row
    where started_at is null
    union all
    select record, 'duration_ms', given.duration_ms, 'no duration'
    from raw.row
    where given.duration_ms is not null and duration_us is null
    union all
    select record, 'input_tokens', given.input_tokens, 'no number of tokens'
    from raw.row
    where given.input_tokens is not null and input_tokens is null
    union all
    select record, 'output_tokens', given.output_tokens, 'no number of tokens'
    from raw.row
    where given.output_tokens is not null and output_tokens is null
)
union all
select
    record,
    name || '; it is not read',
    null
from (
    select record, 'options_json is no JSON object' as name
    from raw.row
    where has_odd_options
    union all
    select record, 'token_details is no JSON object'
    from raw.row
    where has_odd_details
    union all
    select record, 'response_json is no JSON'
    from raw.row
    where has_odd_reply
)
union all
select
    r.record,
    name || ' is more than the whole of which it is a part; it is NULL',
    null
from (
    select n, 'the number of cached tokens' as name
    from raw.spent
    where cache_read_input_tokens > input_tokens
    union all
    select n, 'the number of reasoning tokens'
    from raw.spent
    where reasoning_output_tokens > output_tokens
)
join raw.row r using (n)
union all
select
    record,
    'model is NULL; nobody knows which answered',
    null
from raw.row
where model is null
union all
select
    record,
    'id is ' || coalesce('''' || id || '''', 'NULL') || '; it has a made one',
    null
from raw.row
where regexp_full_match(coalesce(id, ''), '\d*')
union all
select
    g.place || ' ' || g.id,
    'the id is that of row ' || a._row || ' as well, which is read; row ' || g._row || ' is not',
    null
from (
    select 'turns' as place, _row, id
    from raw.turns
    union all
    select 'responses', _row, id
    from raw.responses
) g
join raw.answer a on a.id = g.id and a.place = g.place
where a._row <> g._row
union all
select
    case when has_responses then 'conversations ' else 'threads ' end || native_id,
    'answers are of it, but its row is not there; the session has no name',
    null
from raw.session
where not is_there and native_id not in (select coalesce(id, '') from raw.answer)
union all
select
    'threads ' || native_id,
    'datetime_utc is ' || created || ', which is no time; it is NULL',
    null
from raw.session
where created is not null and raw.moment(created) is null
union all
select
    place || ' row ' || _row,
    'id is NULL; it is left out',
    null
from (
    select 'threads' as place, _row, id
    from raw.threads
    union all
    select 'conversations', _row, id
    from raw.conversations
)
where id is null
union all
select
    r.record,
    'the message ' || g.hash || ', which it names, is not there; what it holds is missing',
    null
from (
    select n, parent_hash as hash
    from raw.answer
    where parent_hash is not null
    union all
    select n, tip_hash
    from raw.answer
    where tip_hash is not null and tip_hash is distinct from parent_hash
) g
join raw.row r using (n)
left join raw.node x using (hash)
where x.node is null
union all
select
    r.record,
    'its last message does not lead to the one that it was given; what lies between may be missing',
    null
from raw.answer a
join raw.row r using (n)
join raw.node p on p.hash = a.parent_hash
join raw.node t on t.hash = a.tip_hash
where
    t.node <> p.node
    and not exists (
        select 1
        from raw.output o
        join raw.node x using (node)
        where o.n = a.n and x.parent = p.node
    )
union all
select
    'messages ' || hash,
    'its parent ' || parent_hash || ' is not there or not before it; it has none',
    null
from raw.node
where parent_hash is not null and parent is null
union all
select
    'messages ' || x.hash,
    'the role ' || coalesce(x.role, 'NULL') || ' is not known; the message is there as context',
    null
from raw.node x
where coalesce(x.role, '') not in ('system', 'user', 'assistant', 'tool')
union all
select
    'parts ' || p._row,
    'its message ' || coalesce(p.message_hash, 'NULL') || ' is not there; it is left out',
    null
from raw.parts p
left join raw.node x on x.hash = p.message_hash
where x.node is null
union all
select
    'parts ' || _row,
    'payload is no JSON object; what it holds is missing',
    null
from raw.part
where payload is not null and data is null
union all
select
    'parts ' || _row,
    'payload holds halves of characters that no text can hold; they were replaced by ' || chr(65533),
    null
from raw.part
where data <> payload
union all
select
    'parts ' || _row,
    'the type ' || coalesce(type, 'NULL') || ' is not known; only its name is there',
    null
from raw.part
where coalesce(type, '') not in ('text', 'reasoning', 'tool_call', 'tool_result', 'attachment')
union all
select
    'parts ' || p._row,
    'the fragment ' || piece.fragment || ' is not there; its text is missing',
    null
from (
    select
        _row,
        unnest(from_json(json_extract(data, '$.text_ref'), '[{"fragment":"VARCHAR"}]')) as piece
    from raw.part
    where json_type(data, '$.text_ref') = 'ARRAY'
) p
left join raw.fragments f on f._row = raw.whole(p.piece.fragment)
where p.piece.fragment is not null and f._row is null
union all
select
    place || ' row ' || g._row,
    'the fragment ' || coalesce(g.fragment_id, 'NULL') || ' is not there; its text is missing',
    null
from (
    select 'prompt_fragments' as place, _row, fragment_id
    from raw.prompt_fragments
    union all
    select 'system_fragments', _row, fragment_id
    from raw.system_fragments
) g
left join raw.fragments f on f._row = raw.whole(g.fragment_id)
where f._row is null
union all
select
    g.place || ' ' || g._row,
    'its response ' || coalesce(g.response_id, 'NULL') || ' is not there; it is left out',
    null
from (
    select 'tool_calls' as place, _row, response_id
    from raw.tool_calls
    union all
    select 'tool_results', _row, response_id
    from raw.tool_results
) g
left join raw.answer a on a.id = g.response_id
where a.n is null
union all
select
    r.record,
    coalesce('it was given the result of the call ' || p.call_id || ', which is not there', 'it was given a result that names no call')
        || '; that is a message all the same',
    null
from raw.reply p
join raw.row r using (n)
left join raw.matched m using (message_key)
where m.message_key is null
union all
select
    'logs',
    count(*) || ' answers of releases before 0.5 are not read',
    null
from raw.logs
having count(*) > 0
