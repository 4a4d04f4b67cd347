-- goose: messages hold blocks, and one response of the model may be several messages. What it used is told by a ledger,
-- by the messages themselves, or only by the sums of the session. The database and the older files (goose_files.sql) are
-- brought to the same tables: chat, entry, ledger and what was heard. All that follows is the same for both, but for the
-- sections that goose_files.sql has as well.

-- name: macros
-- Seconds since 1970, before the year 10000, as microseconds; some have written milliseconds.
create macro raw.moment(given) as
    case
        when try_cast(given as double) between 0 and 99999999999 then round(try_cast(given as double) * 1000000)::bigint
        when try_cast(given as double) between 0 and 253402300799999
            then round(try_cast(given as double) * 1000)::bigint
    end;

-- A time of SQLite, which is UTC, or one of RFC 3339, as microseconds since 1970.
create macro raw.stamp(text) as
    case
        when regexp_full_match(text, '\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?')
            then epoch_us(try_cast(text || '+00:00' as timestamptz))
        when regexp_full_match(text, '\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( ?UTC|Z|[+-]\d\d:\d\d)')
            then epoch_us(try_cast(regexp_replace(text, ' ?UTC$', '+00:00') as timestamptz))
    end;

create macro raw.readable(text) as
    case when (contains(text, '\ud') or contains(text, '\uD')) and not json_valid(text)
        then coalesce(raw.mended(text), text) else text end;
create macro raw.checked(text) as case when json_valid(raw.readable(text)) then raw.readable(text) end;

-- What cannot be a number of tokens, or a sum of money, is NULL.
create macro raw.tokens(given) as
    case when regexp_full_match(given, '\d{1,15}(\.0+)?') then try_cast(try_cast(given as double) as bigint) end;
create macro raw.dollars(given) as
    case when try_cast(given as double) between 0 and 1e12 then try_cast(given as double) end;

create macro raw.provider(name) as
    case name
        when 'google' then 'gcp.gemini'
        when 'gcp_vertex_ai' then 'gcp.vertex_ai'
        when 'aws_bedrock' then 'aws.bedrock'
        when 'azure_openai' then 'azure.ai.openai'
        when 'xai' then 'x_ai'
        when 'mistral' then 'mistral_ai'
        else name
    end;

-- Ids are numbers of a day, and so unique only within the tool's folder.
create macro raw.session_name(id, store) as coalesce(store || ':' || id, store || '#nameless');

-- The input holds what was read from or written to the cache. What is larger than the whole is surely no part of it.
create macro raw.input_of(input, cache_read, cache_write) as
    raw.tokens(input) + case
        when coalesce(raw.tokens(cache_read), 0) + coalesce(raw.tokens(cache_write), 0) > raw.tokens(input)
            then coalesce(raw.tokens(cache_read), 0) + coalesce(raw.tokens(cache_write), 0)
        else 0
    end;

create macro raw.blocks(json) as from_json(
    json,
    '[{"type":"VARCHAR","text":"VARCHAR","thinking":"VARCHAR","msg":"VARCHAR","message":"VARCHAR","prompt":"VARCHAR","toolName":"VARCHAR","mimeType":"VARCHAR","id":"VARCHAR","toolCall":{"status":"VARCHAR","value":{"name":"VARCHAR","arguments":"VARCHAR"},"error":"VARCHAR"},"toolResult":{"status":"VARCHAR","value":"JSON","error":"VARCHAR"},"data":{"actionType":"VARCHAR","toolName":"VARCHAR","prompt":"VARCHAR","message":"VARCHAR"},"_meta":{"goose.toolCall.providerIndex":"VARCHAR"}}]'
);

create macro raw.metadata(json) as from_json(
    json,
    '{"userVisible":"VARCHAR","agentVisible":"VARCHAR","turnContext":"VARCHAR","outputTokenLimitReached":"VARCHAR","inference":{"provider":"VARCHAR","requestedModel":"VARCHAR","resolvedModel":"VARCHAR"},"usage":{"inputTokens":"VARCHAR","outputTokens":"VARCHAR","cacheReadTokens":"VARCHAR","cacheWriteTokens":"VARCHAR","cost":"VARCHAR","elapsedMs":"VARCHAR"}}'
);

-- What a block says. What is no text is named, and its data left out.
create macro raw.text_of(b) as
    case b.type
        when 'text' then b.text
        when 'thinking' then b.thinking
        when 'reasoning' then b.text
        when 'redactedThinking' then '[redacted thinking]'
        when 'image' then '[' || coalesce(b.mimeType, 'image') || ']'
        when 'systemNotification' then b.msg
        when 'error' then b.message
        when 'toolConfirmationRequest' then concat_ws(' ', b.toolName, b.prompt)
        when 'actionRequired' then concat_ws(' ', b.data.toolName, coalesce(b.data.prompt, b.data.message))
        when 'toolRequest' then null
        when 'frontendToolRequest' then null
        when 'toolResponse' then null
        else '[' || b.type || ']'
    end;

-- A result is a list of contents, now within an object. Of contents for the user alone and for the model alone, the
-- model's are the result.
create macro raw.contents_of(result) as from_json(
    case when left(ltrim(result.value::varchar), 1) = '[' then result.value else result.value -> '$.content' end,
    '[{"type":"VARCHAR","text":"VARCHAR","mimeType":"VARCHAR","annotations":{"audience":["VARCHAR"]},"resource":{"text":"VARCHAR","uri":"VARCHAR"}}]'
);
create macro raw.content_text(c) as
    case c.type
        when 'text' then c.text
        when 'resource' then coalesce(c.resource.text, '[' || c.resource.uri || ']')
        else '[' || coalesce(c.mimeType, c.type, 'content') || ']'
    end;
create macro raw.for_model(contents) as
    case
        when len(list_filter(contents, lambda c: list_contains(c.annotations.audience, 'assistant'))) > 0
            then list_filter(contents, lambda c:
                c.annotations.audience is null or list_contains(c.annotations.audience, 'assistant'))
        else contents
    end;
create macro raw.result_of(result) as
    case
        when result.status = 'error' then result.error
        else coalesce(
            array_to_string(
                list_transform(raw.for_model(raw.contents_of(result)), lambda c: coalesce(raw.content_text(c), '')),
                chr(10)),
            result.value::varchar)
    end;

-- name: gathered
-- Of sessions with the same id the first is read. Messages whose session is gone have one all the same.
create table raw.chat as
select
    row_number() over (order by created_at nulls last, is_there desc, _row) as session_key,
    raw.file_id() as store,
    case when is_there then created_at end as made_at,
    *
from (
    select
        id,
        _row,
        true as is_there,
        coalesce(nullif(name, ''), nullif(description, '')) as name,
        session_type,
        working_dir as directory,
        nullif(parent_session_id, '') as parent_id,
        schedule_id,
        raw.stamp(created_at) as created_at,
        raw.stamp(updated_at) as updated_at,
        raw.stamp(archived_at) as archived_at,
        provider_name,
        from_json(
            raw.checked(model_config_json),
            '{"model_name":"VARCHAR","temperature":"VARCHAR","max_tokens":"VARCHAR","context_limit":"VARCHAR"}'
        ) as model,
        accumulated_input_tokens,
        accumulated_output_tokens,
        accumulated_cache_read_tokens,
        accumulated_cache_write_tokens,
        accumulated_cost
    from raw.sessions
    qualify row_number() over (partition by id order by _row) = 1
    union all by name
    select
        session_id as id,
        min(_row) as _row,
        false as is_there,
        min(raw.moment(created_timestamp)) as created_at
    from raw.messages m
    where not exists (select 1 from raw.sessions s where s.id is not distinct from m.session_id)
    group by session_id
);

create table raw.entry as
select
    row_number() over (order by session_key, created_at nulls last, _row) * 65536 as entry_key,
    *
from (
    select
        c.session_key,
        m._row,
        m.message_id as id,
        coalesce(m.role, '') as role,
        raw.moment(m.created_timestamp) as created_at,
        coalesce(left(ltrim(raw.checked(m.content_json)), 1) = '[', false) as is_list,
        coalesce(raw.checked(m.content_json) <> m.content_json, false) as is_mended,
        hash(m.content_json) as fingerprint,
        raw.metadata(raw.checked(m.metadata_json)) as metadata
    from raw.messages m
    join raw.chat c on c.id is not distinct from m.session_id
);

create table raw.ledger as
select
    l._row as place,
    c.session_key,
    raw.moment(l.created_timestamp) as written_at,
    nullif(l.model, '') as model,
    raw.input_of(l.input_tokens, l.cache_read_tokens, l.cache_write_tokens) as input_tokens,
    raw.tokens(l.output_tokens) as output_tokens,
    raw.tokens(l.cache_read_tokens) as cache_read_tokens,
    raw.tokens(l.cache_write_tokens) as cache_write_tokens,
    raw.dollars(l.cost) as cost,
    coalesce(l.is_compaction = '1', false) as is_compaction,
    coalesce(l.cost_source = 'carried_forward', false) as is_carried,
    l.input_tokens as given_input,
    l.output_tokens as given_output
from raw.usage_ledger l
join raw.chat c on c.id is not distinct from l.session_id;

create view raw.said as
select
    entry_key,
    entry_key + n as piece_key,
    b
from (
    select
        e.entry_key,
        unnest(raw.blocks(raw.checked(m.content_json))) as b,
        generate_subscripts(raw.blocks(raw.checked(m.content_json)), 1) as n
    from raw.messages m
    join raw.entry e using (_row)
    where e.is_list
)
where n < 65535;

-- The same without the texts.
create view raw.heard as
select
    entry_key,
    piece_key,
    b.type as type,
    b.id as call_id,
    coalesce(raw.text_of(b), '') <> '' as has_text,
    left(ltrim(raw.text_of(b)), 60) as head,
    b.toolCall.value.name as tool,
    b.toolCall.status as call_status,
    try_cast(b._meta."goose.toolCall.providerIndex" as bigint) as provider_index,
    b.toolResult.status as status,
    b.toolResult.value ->> '$.isError' as is_error,
    try_cast(b.toolResult.value ->> '$.structuredContent.exit_code' as bigint) as exit_code,
    left(raw.result_of(b.toolResult), 60) as result_head
from raw.said;

-- name: posted
create table raw.piece as
select *
from raw.heard;

-- A copied session begins with the other's messages, which are older than itself. They belong to the session that had
-- them first.
create table raw.known as
select
    e.* exclude (first_key, made_at),
    coalesce(e.id is not null and e.first_key <> e.entry_key and e.created_at <= e.made_at, false) as is_copy,
    coalesce(p.has_results, false) as has_results,
    coalesce(p.has_calls, false) as has_calls,
    coalesce(p.has_thoughts, false) as has_thoughts,
    coalesce(p.has_words, false) as has_words,
    coalesce(p.is_failure, false) as is_failure,
    p.head,
    p.provider_index,
    e.metadata.usage is not null as has_usage,
    e.metadata.inference is not null as has_inference
from (
    select
        *,
        first_value(entry_key) over (
            partition by id, created_at, role, fingerprint
            order by made_at, session_key, entry_key
        ) as first_key
    from (
        select
            e.*,
            c.made_at
        from raw.entry e
        join raw.chat c using (session_key)
    )
) e
left join (
    select
        entry_key,
        bool_or(type = 'toolResponse') as has_results,
        bool_or(type in ('toolRequest', 'frontendToolRequest')) as has_calls,
        bool_or(type in ('thinking', 'redactedThinking', 'reasoning')) as has_thoughts,
        bool_or(type in ('text', 'image') and has_text) as has_words,
        bool_or(type = 'error') as is_failure,
        arg_min(head, piece_key) filter (where type = 'text') as head,
        min(provider_index) as provider_index
    from raw.piece
    group by entry_key
) p using (entry_key);

-- What each message is. Since answers are noted with their model, a text without one is what the program says.
create table raw.sorted as
select
    *,
    case
        when sort = 'context' and role = 'user' and not is_turn_context
            and lead(sort = 'context' and role = 'assistant') over told then true
        else false
    end as may_be_summary
from (
    select
        *,
        coalesce(metadata.turnContext = 'true', false) as is_turn_context,
        case
            when role = 'assistant' then case
                when has_inference or has_usage or has_calls or has_thoughts then 'response'
                when is_failure or head like 'Ran into this error%' then 'error'
                when metadata.userVisible = 'false' then 'context'
                when not has_words then 'note'
                when bool_or(has_inference) over (partition by session_key order by entry_key) then 'note'
                else 'response'
            end
            when role <> 'user' then 'context'
            when has_results and not has_words then 'results'
            when metadata.turnContext = 'true' or metadata.userVisible = 'false' or has_results then 'context'
            when not is_list then 'context'
            when not has_words then 'note'
            when metadata.agentVisible = 'false' and regexp_matches(head, '^/[a-z][a-z-]*(\s|$)') then 'out_of_band'
            else 'prompt'
        end as sort
    from raw.known
    where not is_copy
)
window told as (partition by session_key order by entry_key);

-- The summary that a compaction made is an answer of the model. It is told as if by the user, so only where there are as
-- many in the ledger it is sure which messages these are.
create table raw.compacted as
select session_key
from (
    select session_key, count(*) as compactions
    from raw.ledger
    where is_compaction
    group by session_key
)
join (
    select session_key, count(*) as compactions
    from raw.sorted
    where may_be_summary
    group by session_key
) using (session_key, compactions);

-- A response is one message, or several: its text first, and one for each of its calls, behind each of which stands
-- the result.
create table raw.answer as
select
    * exclude (is_new),
    min(entry_key) over (partition by session_key, turn) as turn_key
from (
    select
        *,
        sum(is_new::integer) over (partition by session_key order by entry_key) as turn
    from (
        select
            *,
            not coalesce(provider_index > 0, false)
                and not coalesce(
                    former = 'response' and not is_compaction and not former_is_compaction
                        and not (has_usage and former_has_usage),
                    false) as is_new
        from (
            select
                * replace (case when is_compaction then 'response' else sort end as sort),
                lag(case when is_compaction then 'response' else sort end) over told as former,
                lag(has_usage) over told as former_has_usage,
                lag(is_compaction) over told as former_is_compaction
            from (
                select
                    s.*,
                    s.may_be_summary and c.session_key is not null as is_compaction
                from raw.sorted s
                left join raw.compacted c using (session_key)
            )
            -- What the user or the program says to the model ends a response, what it says to the user does not.
            where is_compaction or role <> 'assistant' or sort not in ('context', 'note')
            window told as (partition by session_key order by entry_key)
        )
    )
    where sort = 'response'
);

create table raw.turn as
select
    turn_key,
    any_value(session_key) as session_key,
    min(created_at) as started_at,
    arg_min(id, entry_key) as id,
    bool_or(has_calls) as has_calls,
    bool_or(is_compaction) as is_compaction,
    bool_or(has_usage) as has_usage,
    bool_or(coalesce(metadata.outputTokenLimitReached = 'true', false)) as is_at_limit,
    arg_min(metadata.inference, entry_key) filter (where has_inference) as inference,
    sum(raw.input_of(metadata.usage.inputTokens, metadata.usage.cacheReadTokens, metadata.usage.cacheWriteTokens))
        as input_tokens,
    sum(raw.tokens(metadata.usage.outputTokens)) as output_tokens,
    sum(raw.tokens(metadata.usage.cacheReadTokens)) as cache_read_tokens,
    sum(raw.tokens(metadata.usage.cacheWriteTokens)) as cache_write_tokens,
    sum(raw.dollars(metadata.usage.cost)) as cost,
    max(case when try_cast(metadata.usage.elapsedMs as double) between 0 and 1e12
        then round(try_cast(metadata.usage.elapsedMs as double) * 1000)::bigint end) as duration_us
from raw.answer
group by turn_key;

create table raw.call as
select
    p.piece_key as tool_call_key,
    a.session_key,
    a.turn_key,
    a.created_at,
    p.call_id,
    p.tool,
    row_number() over (partition by a.session_key, p.call_id order by p.piece_key) as rank
from raw.piece p
join raw.answer a using (entry_key)
where p.type in ('toolRequest', 'frontendToolRequest');

-- A result is that of the oldest call with its id that has none yet.
create table raw.result as
select
    r.*,
    c.tool_call_key,
    c.turn_key
from (
    select
        p.piece_key,
        k.session_key,
        k.id || case
            when k.has_words or row_number() over (partition by k.entry_key order by p.piece_key) > 1
                then '#' || (p.piece_key - k.entry_key)
            else ''
        end as id,
        k.created_at,
        p.call_id,
        p.status,
        p.is_error,
        p.exit_code,
        p.result_head,
        row_number() over (partition by k.session_key, p.call_id order by p.piece_key) as rank
    from raw.piece p
    join raw.known k using (entry_key)
    where p.type = 'toolResponse' and not k.is_copy
) r
left join raw.call c
    on c.session_key = r.session_key
    and c.call_id = r.call_id
    and c.rank = r.rank;

create table raw.post as
select
    entry_key as message_key,
    session_key,
    id as given_id,
    'said' as form,
    case when sort in ('prompt', 'out_of_band') then 'user' else 'system' end as role,
    case when sort = 'prompt' then 'message' else sort end as kind,
    created_at,
    null::bigint as turn_key
from raw.sorted
where sort not in ('response', 'results') and entry_key not in (select entry_key from raw.answer)
union all
select
    turn_key,
    session_key,
    id,
    'response',
    'assistant',
    case when is_compaction then 'context' else 'message' end,
    started_at,
    turn_key
from raw.turn
union all
select
    piece_key,
    session_key,
    id,
    'result',
    'tool',
    'message',
    created_at,
    turn_key
from raw.result;

-- name: prepare
{macros};
{gathered};
{posted}

-- name: prepare_facts
create table raw.told as
select
    *,
    count(*) over told - 1 as message_index,
    lag(message_key) over (partition by session_key order by message_key) as parent_key,
    max(case when kind = 'message' and role = 'user' then message_key end) over told as prompt_key,
    count(*) filter (where kind = 'message' and role = 'user') over told - 1 as prompt_index,
    count(*) filter (where form = 'response') over told - 1 as turn_index,
    row_number() over (partition by session_key, given_id order by message_key) = 1 as is_first
from raw.post
window told as (partition by session_key order by message_key rows between unbounded preceding and current row);

-- What a session used is the larger of its own sums and those of the ledger: either may lack what the other has.
create table raw.total as
select
    *,
    input_tokens + output_tokens > 0 as is_told
from (
    select
        c.session_key,
        greatest(
            raw.input_of(c.accumulated_input_tokens, c.accumulated_cache_read_tokens, c.accumulated_cache_write_tokens),
            l.input_tokens) as input_tokens,
        greatest(raw.tokens(c.accumulated_output_tokens), l.output_tokens) as output_tokens,
        case when l.session_key is null or raw.tokens(c.accumulated_cache_read_tokens) > l.cache_read_tokens
            then raw.tokens(c.accumulated_cache_read_tokens) else l.cache_read_tokens end as cache_read_tokens,
        case when l.session_key is null or raw.tokens(c.accumulated_cache_write_tokens) > l.cache_write_tokens
            then raw.tokens(c.accumulated_cache_write_tokens) else l.cache_write_tokens end as cache_write_tokens,
        greatest(raw.dollars(c.accumulated_cost), l.cost) as cost,
        coalesce(l.calls, 0) as calls,
        coalesce(l.is_complete, false) as is_complete,
        l.models
    from raw.chat c
    left join (
        select
            session_key,
            count(*) as calls,
            bool_and(model is not null and not is_carried) as is_complete,
            list(distinct model) filter (where model is not null) as models,
            sum(input_tokens)::bigint as input_tokens,
            sum(output_tokens)::bigint as output_tokens,
            sum(cache_read_tokens)::bigint as cache_read_tokens,
            sum(cache_write_tokens)::bigint as cache_write_tokens,
            sum(cost) as cost
        from raw.ledger
        group by session_key
    ) l using (session_key)
);

-- What the messages say is used where it is all that was used, and the ledger's rows where they are surely one for each
-- answer: as many, in the order of their times. Else there is the total alone.
create table raw.ordered as
select
    *,
    row_number() over (partition by session_key order by turn_key) as turn_no,
    row_number() over (partition by session_key, is_compaction order by turn_key) as turn_no_of_sort,
    lead(started_at) over (partition by session_key order by turn_key) as next_at
from raw.turn;

create table raw.ranked as
select
    *,
    row_number() over (partition by session_key order by place) as call_no,
    row_number() over (partition by session_key, is_compaction order by place) as call_no_of_sort
from raw.ledger;

create table raw.told_by_message as
select
    o.turn_key,
    o.session_key,
    coalesce(o.input_tokens, r.input_tokens) as input_tokens,
    coalesce(o.output_tokens, r.output_tokens) as output_tokens,
    coalesce(o.cache_read_tokens, r.cache_read_tokens) as cache_read_tokens,
    coalesce(o.cache_write_tokens, r.cache_write_tokens) as cache_write_tokens,
    coalesce(o.cost, r.cost) as cost,
    o.duration_us
from raw.ordered o
left join raw.ranked r
    on o.is_compaction and r.is_compaction
    and r.session_key = o.session_key
    and r.call_no_of_sort = o.turn_no_of_sort
where o.has_usage or r.place is not null;

create table raw.told_by_ledger as
select
    o.turn_key,
    o.session_key,
    r.input_tokens,
    r.output_tokens,
    r.cache_read_tokens,
    r.cache_write_tokens,
    r.cost,
    null::bigint as duration_us,
    r.is_compaction = o.is_compaction
        and not r.is_carried
        and o.started_at <= r.written_at
        and coalesce(r.written_at <= o.next_at, true) as is_sure
from raw.ordered o
join raw.ranked r on r.session_key = o.session_key and r.call_no = o.turn_no;

create table raw.counted as
with
by_message as (
    select session_key
    from (
        select
            session_key,
            sum(input_tokens) as input_tokens,
            sum(output_tokens) as output_tokens
        from raw.told_by_message
        group by session_key
    ) m
    join raw.total t using (session_key)
    where not coalesce(t.is_told, false) or (t.input_tokens = m.input_tokens and t.output_tokens = m.output_tokens)
),
by_ledger as (
    select session_key
    from raw.told_by_ledger l
    join raw.total t using (session_key)
    join (
        select session_key, count(*) as turns
        from raw.turn
        group by session_key
    ) n using (session_key)
    where session_key not in (select session_key from by_message)
    group by session_key
    having
        bool_and(coalesce(l.is_sure, false))
        and any_value(t.calls) = any_value(n.turns)
        and sum(l.input_tokens) = any_value(t.input_tokens)
        and sum(l.output_tokens) = any_value(t.output_tokens)
)
select *
from raw.told_by_message
join by_message using (session_key)
union all by name
select * exclude (is_sure)
from raw.told_by_ledger
join by_ledger using (session_key);

-- The session's row has the configuration that it used last. It is that of all its answers where there is but one
-- prompt, or where all that the ledger tells of has this model.
create table raw.setting as
select
    c.session_key,
    nullif(c.provider_name, '') as provider_name,
    c.model.model_name as model,
    try_cast(c.model.temperature as double) as temperature,
    raw.tokens(c.model.max_tokens) as max_tokens,
    raw.tokens(c.model.context_limit) as context_limit,
    case when t.calls > 0 and t.is_complete then t.models = [c.model.model_name] else coalesce(p.prompts, 0) < 2 end
        as is_only
from raw.chat c
join raw.total t using (session_key)
left join (
    select session_key, count(*) as prompts
    from raw.told
    where kind = 'message' and role = 'user'
    group by session_key
) p using (session_key)
where c.model.model_name is not null;

create table raw.used_config as
select
    t.turn_key,
    t.session_key,
    coalesce(t.inference.provider, s.provider_name) as provider_name,
    coalesce(t.inference.requestedModel, s.model) as model,
    case when t.inference.requestedModel is null then s.temperature end as temperature,
    case when t.inference.requestedModel is null then s.max_tokens end as max_tokens,
    case when t.inference.requestedModel is null then s.context_limit end as context_limit,
    case when t.inference.requestedModel is not null then 'recorded' else 'only' end as status
from raw.turn t
left join raw.setting s on s.session_key = t.session_key and s.is_only
where coalesce(t.inference.requestedModel, s.model) is not null;

create table raw.config as
select
    row_number() over (order by first_key) as model_config_key,
    *
from (
    select
        provider_name,
        model,
        temperature,
        max_tokens,
        context_limit,
        min(turn_key) as first_key
    from (
        select provider_name, model, temperature, max_tokens, context_limit, turn_key
        from raw.used_config
        union all
        select provider_name, model, temperature, max_tokens, context_limit, null
        from raw.setting
    )
    group by provider_name, model, temperature, max_tokens, context_limit
);

create table raw.origin as
select
    k.session_key,
    arg_max(o.session_key, k.entry_key) as parent_key
from raw.known k
join raw.known o using (id, created_at, role, fingerprint)
where k.is_copy and not o.is_copy
group by k.session_key;

create table raw.doubt as
select
    entry_key,
    unnest(list_filter([
        case when not is_list then 'its content is no JSON list; the message is there without what it says' end,
        case when is_mended then 'it holds halves of characters that no text can hold; they were replaced by '
            || chr(65533) end,
        case when role not in ('user', 'assistant') then 'its role ' || role || ' is not known; it is there as context' end,
        case when created_at is null then 'its time is none; it is NULL' end
    ], lambda r: r is not null)) as reason
from raw.known
where not is_copy
union all
select
    piece_key // 65536 * 65536,
    coalesce('it holds the result of the call ' || call_id || ', which is not there', 'it holds a result that names no call')
        || '; it is a message all the same'
from raw.result
where tool_call_key is null;

create table raw.unknown_type as
select
    coalesce(p.type, 'NULL') as type,
    count(*) as blocks
from raw.piece p
join raw.known k using (entry_key)
where
    not k.is_copy
    and coalesce(p.type, '') not in (
        'text', 'image', 'document', 'thinking', 'redactedThinking', 'reasoning', 'toolRequest', 'frontendToolRequest',
        'toolResponse', 'toolConfirmationRequest', 'toolConfirmationResponse', 'actionRequired', 'systemNotification',
        'error', 'contextLengthExceeded', 'summarizationRequested', 'conversationCompacted'
    )
group by p.type;

-- name: model_config
select
    model_config_key,
    raw.provider(provider_name) as provider_name,
    model as request_model,
    temperature,
    max_tokens,
    context_limit as context_max_tokens
from raw.config
order by model_config_key

-- name: session_config
select
    s.session_key,
    c.model_config_key
from raw.setting s
join raw.config c
    on c.provider_name is not distinct from s.provider_name
    and c.model = s.model
    and c.temperature is not distinct from s.temperature
    and c.max_tokens is not distinct from s.max_tokens
    and c.context_limit is not distinct from s.context_limit
order by s.session_key

-- name: session_usage
select
    t.session_key as session_usage_key,
    t.session_key,
    c.created_at as started_at,
    case when m.model = s.model then raw.provider(s.provider_name) else raw.provider(u.provider_name) end as provider_name,
    m.model,
    t.input_tokens,
    t.output_tokens,
    t.cache_read_tokens as cache_read_input_tokens,
    t.cache_write_tokens as cache_creation_input_tokens,
    'final' as usage_quality,
    t.cost as reported_cost_usd
from raw.total t
join raw.chat c using (session_key)
left join raw.setting s using (session_key)
left join (
    select
        session_key,
        case when count(distinct model) = 1 then any_value(model) end as model,
        case when count(distinct provider_name) = 1 then any_value(provider_name) end as provider_name
    from raw.used_config
    where status = 'recorded'
    group by session_key
) u using (session_key)
cross join lateral (
    select case
        when t.calls > 0 then case when t.is_complete and len(t.models) = 1 then t.models[1] end
        when u.session_key is not null then u.model
        when s.is_only then s.model
    end as model
) m
where t.is_told and t.session_key not in (select session_key from raw.counted)
order by t.session_key

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
    coalesce(u.status, 'unknown') as model_config_status,
    m.prompt_key,
    0 as is_sidechain,
    t.started_at,
    t.duration_us,
    t.inference.resolvedModel as response_model,
    case when t.is_at_limit then 'length' when t.has_calls then 'tool_call' end as finish_reason,
    n.input_tokens,
    n.output_tokens,
    n.cache_read_tokens as cache_read_input_tokens,
    n.cache_write_tokens as cache_creation_input_tokens,
    case when coalesce(n.input_tokens, n.output_tokens) is null then 'missing' else 'final' end as usage_quality,
    n.cost as reported_cost_usd,
    t.id || ':' || t.started_at as claim
from raw.turn t
join raw.told m on m.message_key = t.turn_key
left join raw.used_config u on u.turn_key = t.turn_key
left join raw.config c
    on c.provider_name is not distinct from u.provider_name
    and c.model = u.model
    and c.temperature is not distinct from u.temperature
    and c.max_tokens is not distinct from u.max_tokens
    and c.context_limit is not distinct from u.context_limit
left join raw.counted n on n.turn_key = t.turn_key
order by t.turn_key

-- name: tool_call
select
    tool_call_key,
    session_key,
    row_number() over (partition by session_key order by tool_call_key) - 1 as tool_call_index,
    call_id as tool_call_id,
    turn_key,
    coalesce(tool, '') as tool_name,
    created_at as started_at
from raw.call
order by tool_call_key

-- name: tool_result
select
    piece_key as tool_result_key,
    tool_call_key,
    status,
    (status <> 'ok')::bigint as is_error,
    exit_code
from (
    select
        * replace (case
            when result_head like 'The user has declined to run this tool%'
                or result_head like 'Let the user know the tool call was skipped in goose chat mode%' then 'denied'
            when status = 'error' or is_error = 'true' or exit_code <> 0 then 'error'
            else 'ok'
        end as status)
    from raw.result
)
where tool_call_key is not null
order by tool_result_key

-- name: texts
said as (select * from raw.said)

-- name: message_text
with {texts}
select
    m.message_key,
    raw.result_of(s.b.toolResult) as content,
    null as reasoning
from raw.post m
left join said s on s.piece_key = m.message_key
where m.form = 'result'
union all
select
    m.message_key,
    string_agg(s.text, chr(10) || chr(10) order by s.piece_key)
        filter (where m.form = 'said' or s.type in ('text', 'image')),
    string_agg(s.text, chr(10) || chr(10) order by s.piece_key)
        filter (where m.form = 'response' and s.is_thought and s.is_first)
from raw.post m
left join (
    -- What was thought before several calls stands before each of them.
    select
        *,
        row_number() over (partition by message_key, is_thought, text order by piece_key) = 1 as is_first
    from (
        select
            coalesce(a.turn_key, s.entry_key) as message_key,
            s.piece_key,
            s.b.type as type,
            s.b.type in ('thinking', 'reasoning', 'redactedThinking') as is_thought,
            raw.text_of(s.b) as text
        from said s
        left join raw.answer a using (entry_key)
    )
    where text <> ''
) s using (message_key)
where m.form <> 'result'
group by m.message_key
order by message_key

-- name: tool_call_text
with {texts}
select
    s.piece_key as tool_call_key,
    s.b.toolCall.value.arguments as arguments
from said s
join raw.call c on c.tool_call_key = s.piece_key
order by s.piece_key

-- name: session
select
    c.session_key,
    raw.session_name(c.id, c.store) as session_id,
    c.id as native_id,
    c.name,
    'goose' as agent_name,
    c.directory,
    case
        when c.parent_id is not null then raw.session_name(c.parent_id, c.store)
        when f.session_key is not null then raw.session_name(f.id, f.store)
    end as parent_session_id,
    c.created_at as started_at,
    c.updated_at,
    c.archived_at,
    nullif(json_merge_patch('{}', json_object(
        'session_type', c.session_type,
        'schedule_id', c.schedule_id,
        'copied_from', f.id
    )), '{}') as metadata
from raw.chat c
left join raw.origin o using (session_key)
left join raw.chat f on f.session_key = o.parent_key
order by c.session_key

-- name: problem
select
    'messages ' || coalesce(k.id, 'row ' || k._row) as record,
    d.reason,
    null as line
from raw.doubt d
join raw.known k using (entry_key)
union all
select
    'sessions ' || coalesce(id, 'NULL'),
    'messages are of this session, but its row is not there; only they tell of it',
    null
from raw.chat
where not is_there
union all
select
    'sessions row ' || _row,
    'id is NULL; the session has a made one',
    null
from raw.chat
where is_there and id is null
union all
select
    'sessions ' || coalesce(s.id, 'row ' || s._row),
    'the id is that of row ' || c._row || ' as well, which is read; row ' || s._row || ' is not',
    null
from raw.sessions s
join raw.chat c on c.id is not distinct from s.id and c.is_there
where c._row <> s._row
union all
select
    'sessions ' || coalesce(c.id, 'row ' || c._row),
    t.name || ' is ' || coalesce(t.given, 'NULL') || ', which is no time; it is NULL',
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
) t
join raw.chat c using (_row)
where c.is_there and raw.stamp(t.given) is null and not (t.may_lack and t.given is null)
union all
select
    'sessions ' || coalesce(c.id, 'row ' || c._row),
    'it has sums that nobody can have used: ' || odd || '; they are NULL',
    null
from (
    select
        _row,
        concat_ws(', ',
            case when raw.tokens(accumulated_input_tokens) is null
                then 'accumulated_input_tokens ' || accumulated_input_tokens end,
            case when raw.tokens(accumulated_output_tokens) is null
                then 'accumulated_output_tokens ' || accumulated_output_tokens end,
            case when raw.tokens(accumulated_cache_read_tokens) is null
                then 'accumulated_cache_read_tokens ' || accumulated_cache_read_tokens end,
            case when raw.tokens(accumulated_cache_write_tokens) is null
                then 'accumulated_cache_write_tokens ' || accumulated_cache_write_tokens end,
            case when raw.dollars(accumulated_cost) is null then 'accumulated_cost ' || accumulated_cost end) as odd
    from raw.sessions
)
join raw.chat c using (_row)
where odd <> '' and c.is_there
union all
select
    'usage_ledger row ' || l._row,
    'its session ' || coalesce(l.session_id, 'NULL') || ' is not there; it is left out',
    null
from raw.usage_ledger l
where not exists (select 1 from raw.chat c where c.id is not distinct from l.session_id)
union all
select
    'usage_ledger row ' || place,
    'it has numbers that nobody can have used; they are NULL',
    null
from raw.ledger
where (input_tokens is null and given_input is not null) or (output_tokens is null and given_output is not null)
union all
select
    'type ' || type,
    blocks || ' of this type, which is not known, left out',
    null
from raw.unknown_type
