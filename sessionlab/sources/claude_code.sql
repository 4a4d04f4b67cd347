-- Claude Code: a response of the model has a line for each of its blocks, and each repeats the tokens, as far as they
-- were counted when it was written. What a session was resumed or forked from is copied into the new file.

-- name: usage_line
-- One row for each response of a file, with the largest count and of equal ones the last, and one for all other lines.
case when type = 'assistant' then type end as type,
case when type = 'assistant' then message.id end as message_id,
case when type = 'assistant' then "requestId" end as request_id,
case when type = 'assistant' and message.id is null then coalesce(uuid, "timestamp", '') end as alone,
type = 'assistant' and coalesce("isSidechain", false) as is_sidechain,
coalesce("forkedFrom"::varchar, 'null') <> 'null' as is_copy,
any_value(uuid) as uuid,
arg_min("sessionId", "timestamp") as session_id,
arg_min(cwd, "timestamp") as cwd,
epoch_us(try_cast(min("timestamp") as timestamptz)) as "at",
epoch_us(try_cast(max("timestamp") as timestamptz)) as last_at,
case when type = 'assistant' then message.model end as model,
arg_max(
    struct_pack(usage := message.usage, stop_reason := message.stop_reason, cost_usd := "costUSD"),
    row(message.usage is not null, coalesce(message.usage.output_tokens, -1), coalesce("timestamp", ''))
) as counted,
null::bigint as duration_ms

-- name: line
type,
subtype,
uuid,
coalesce("logicalParentUuid", "parentUuid") as parent_uuid,
"sessionId" as session_id,
epoch_us(try_cast("timestamp" as timestamptz)) as "at",
"timestamp" is not null and try_cast("timestamp" as timestamptz) is null as has_odd_time,
cwd,
coalesce("isSidechain", false) as is_sidechain,
coalesce("isMeta", false) as is_meta,
coalesce("isCompactSummary", false) as is_summary,
coalesce("isApiErrorMessage", false) as is_error,
"promptSource" as prompt_source,
"sessionKind" as session_kind,
"gitBranch" as git_branch,
version,
coalesce("forkedFrom"::varchar, 'null') <> 'null' as is_copy,
"requestId" as request_id,
message.id as message_id,
message.model as model,
struct_pack(usage := message.usage, stop_reason := message.stop_reason, cost_usd := "costUSD") as counted,
"durationMs" as duration_ms,
-- What a person or the program said begins with what it is.
left(case
    when left(message.content::varchar, 1) = '"' then message.content ->> '$'
    when message.content is null then coalesce(content, error)
end, 80) as head,
case when left(message.content::varchar, 1) = '[' then list_transform(
    from_json(message.content, '[{"type":"VARCHAR","id":"VARCHAR","name":"VARCHAR","tool_use_id":"VARCHAR","is_error":"BOOLEAN","text":"VARCHAR","content":"VARCHAR"}]'),
    lambda b: {
        'type': b.type,
        'id': b.id,
        'name': b.name,
        'tool_use_id': b.tool_use_id,
        'is_error': b.is_error,
        'head': left(coalesce(b.text, b.content), 120)
    }
) end as blocks,
attachment.type as attached,
attachment."commandMode" as command_mode,
coalesce("toolUseResult"."durationMs", "toolUseResult"."totalDurationMs", "toolUseResult"."durationSeconds" * 1000)
    as result_ms,
coalesce("toolUseResult".interrupted, false) as is_interrupted,
"customTitle" as custom_title,
"aiTitle" as ai_title,
summary,
"leafUuid" as leaf_uuid,
"agentType" as agent_type,
description

-- name: text_line
type,
case
    when left(message.content::varchar, 1) = '"' then message.content ->> '$'
    when message.content is null and left(attachment.prompt::varchar, 1) = '"' then attachment.prompt ->> '$'
    when message.content is null then coalesce(content, error)
end as said,
case
    when left(message.content::varchar, 1) = '[' then message.content
    when left(attachment.prompt::varchar, 1) = '[' then attachment.prompt
end as blocks

-- name: prepare
-- Counts that no model can have had would hide all others: a sum of them is no number that can be held.
create macro raw.is_possible(usage) as
    least(
        coalesce(usage.input_tokens, 0),
        coalesce(usage.output_tokens, 0),
        coalesce(usage.cache_creation_input_tokens, 0),
        coalesce(usage.cache_read_input_tokens, 0),
        coalesce(usage.cache_creation.ephemeral_1h_input_tokens, 0)
    ) >= 0
    and greatest(
        coalesce(usage.input_tokens, 0),
        coalesce(usage.output_tokens, 0),
        coalesce(usage.cache_creation_input_tokens, 0),
        coalesce(usage.cache_read_input_tokens, 0),
        coalesce(usage.cache_creation.ephemeral_1h_input_tokens, 0)
    ) < 1000000000000;

create table raw.file_session as
select
    file_key,
    path,
    ended_at,
    started_at,
    given,
    directory,
    is_agent,
    is_meta,
    case
        when is_agent then coalesce(given || '/', '') || stem
        when regexp_full_match(stem, '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}') then stem
        else coalesce(given, stem)
    end as session_id
from (
    select
        file_key,
        path,
        ended_at,
        started_at,
        directory,
        stem,
        stem like 'agent-%' as is_agent,
        path like '%.meta.json' as is_meta,
        links,
        -- What is told of a subagent beside its file is of the session of that.
        first_value(given) over (
            partition by regexp_replace(path, '(\.meta\.json|\.jsonl)$', '')
            order by path
            rows between unbounded preceding and unbounded following
        ) as given
    from (
        select
            *,
            regexp_extract(path, '([^/\\]*?)(\.meta\.json|\.jsonl?)?$', 1) as stem
        from raw.file
    )
    join (
        select
            file_key,
            min(line_key) filter (where session_id is not null) as given_at,
            min(line_key) filter (where cwd is not null) as directory_at,
            count(uuid) as links
        from raw.line
        group by file_key
    ) using (file_key)
    left join (select line_key as given_at, session_id as given from raw.line) using (given_at)
    left join (select line_key as directory_at, cwd as directory from raw.line) using (directory_at)
)
where links > 0 or is_agent;

-- Files of the same session are one, wherever they lie.
create table raw.session as
select
    min(file_key) as session_key,
    session_id,
    arg_min(given, file_key) as given,
    bool_or(is_agent) as is_agent,
    arg_min(directory, file_key) filter (where directory is not null) as directory,
    arg_min(path, file_key) filter (where not is_meta) as path,
    min(started_at) as started_at
from raw.file_session
group by session_id
having bool_or(not is_meta);

create table raw.place as
select
    f.file_key,
    row_number() over (order by f.ended_at, f.file_key) as ended_rank,
    f.ended_at,
    s.session_key,
    s.session_id,
    s.is_agent
from raw.file_session f
join raw.session s using (session_id);

-- Lines of responses. What the program says in the model's place is none. Of all lines of a response the largest count is
-- right, in the file that does not say that it is a copy and that ended first, and of its lines the last: `rank` is the
-- least for that.
create table raw.answer as
select
    l.line_key,
    p.session_key,
    l.is_sidechain,
    l.message_id,
    l.request_id,
    coalesce(l.message_id, l.uuid, l.line_key::varchar) as given_id,
    (8388607 - least(greatest(coalesce(l.counted.usage.output_tokens, -1), -1), 8388606)) * 549755813888
        + l.is_copy::bigint * 274877906944
        + least(p.ended_rank, 262143) * 1048576
        + 1048575 - least(l.line_no, 1048575) as rank
from raw.line l
join raw.place p using (file_key)
where l.type = 'assistant' and l.model is distinct from '<synthetic>' and (l.counted.usage is not null or l.message_id is not null);

-- A response is known by its message and request; where a line has no request, by its message alone. A sidechain that
-- has the message of the main chain under a request of its own replays it.
create table raw.asked as
select
    message_id,
    coalesce(min(request_id) filter (where not is_sidechain), min(request_id)) as request_id,
    list(distinct request_id) filter (where not is_sidechain and request_id is not null) as main_requests,
    bool_or(not is_sidechain) as is_main
from raw.answer
where message_id in (
    select message_id
    from raw.answer
    group by message_id
    having min(request_id) is distinct from max(request_id) or count(request_id) < count(*)
)
group by message_id;

create table raw.keyed as
select
    a.line_key,
    a.session_key,
    a.is_sidechain,
    a.rank,
    concat_ws(':', a.given_id, coalesce(a.request_id, k.request_id)) as claim
from raw.answer a
left join raw.asked k using (message_id)
where not coalesce(
    a.is_sidechain and k.is_main and a.request_id is not null
        and not coalesce(list_contains(k.main_requests, a.request_id), false),
    false
);

-- A response in a session, and which session it belongs to: the others have copies. What an archive has belongs to the
-- session that has it there.
create table raw.response as
select
    claim,
    session_key,
    min(line_key) as turn_key,
    min(rank) as rank,
    arg_min(line_key, rank) as counted_key,
    bool_or(is_sidechain) as is_sidechain
from raw.keyed
group by claim, session_key;

create table raw.owned as
select
    claim,
    r.session_key,
    turn_key,
    is_sidechain,
    -- The largest count, also where another session has the rest of the response.
    counted_key
from (
    select
        claim,
        arg_min(session_key, rank) as session_key,
        arg_min(turn_key, rank) as turn_key,
        arg_min(is_sidechain, rank) as is_sidechain,
        arg_min(counted_key, rank) as counted_key
    from raw.response
    group by claim
) r
where claim not in (select claim from raw.claimed)
union all
select
    r.claim,
    r.session_key,
    r.turn_key,
    r.is_sidechain,
    r.counted_key
from raw.response r
join raw.claimed c using (claim)
join raw.session s on s.session_key = r.session_key and s.session_id = c.session_id;

create table raw.turn as
select
    o.turn_key,
    o.session_key,
    o.claim,
    case when count(*) over (partition by l.message_id) = 1 then coalesce(l.message_id, o.claim) else o.claim end
        as given_id,
    f.at as started_at,
    o.is_sidechain,
    case when raw.is_possible(l.counted.usage) then l.counted.usage end as usage,
    l.counted.stop_reason,
    l.model,
    l.message_id,
    l.counted.cost_usd,
    case when l.duration_ms between 0 and 1000000000000 then l.duration_ms end as duration_ms,
    case
        when l.model not like 'claude%' and l.model not like 'anthropic%' then null
        when l.message_id like 'msg\_bdrk%' escape '\' then 'aws.bedrock'
        when l.message_id like 'msg\_vrtx%' escape '\' then 'gcp.vertex_ai'
        when l.model is not null then 'anthropic'
    end as provider_name
from raw.owned o
join raw.line l on l.line_key = o.counted_key
join (select line_key, "at" from raw.line) f on f.line_key = o.turn_key;

create table raw.config as
select
    row_number() over (order by first_key) as model_config_key,
    provider_name,
    service_tier,
    speed
from (
    select
        provider_name,
        usage.service_tier as service_tier,
        usage.speed as speed,
        min(turn_key) as first_key
    from raw.turn
    group by all
);

-- name: usage_session
select
    session_key,
    session_id,
    session_id as native_id,
    'claude-code' as agent_name,
    directory,
    given as conversation_id,
    started_at,
    path as origin
from raw.session

-- name: usage_message
-- Turns are called alike in all frames.
select
    turn_key as message_key,
    session_key,
    given_id,
    turn_key,
    'assistant' as role,
    'message' as kind,
    0 as is_preamble,
    is_sidechain,
    started_at as created_at
from raw.turn

-- name: configs
select
    model_config_key,
    provider_name,
    case when service_tier is not null or speed is not null then
        json_merge_patch('{}', json_object('service_tier', service_tier, 'speed', speed)) end as extra
from raw.config

-- name: turn_columns
-- What a turn has both among all facts and for the token usage alone.
t.turn_key,
t.session_key,
c.model_config_key,
'recorded' as model_config_status,
t.is_sidechain,
t.started_at,
t.model as response_model,
t.stop_reason as finish_reason_raw,
t.usage.input_tokens + coalesce(t.usage.cache_creation_input_tokens, 0)
    + coalesce(t.usage.cache_read_input_tokens, 0) as input_tokens,
t.usage.output_tokens as output_tokens,
t.usage.cache_read_input_tokens as cache_read_input_tokens,
t.usage.cache_creation_input_tokens as cache_creation_input_tokens,
t.usage.cache_creation.ephemeral_1h_input_tokens as cache_creation_1h_input_tokens,
case
    when t.usage.input_tokens is null and t.usage.output_tokens is null then 'missing'
    when t.stop_reason is null then 'partial'
    else 'final'
end as usage_quality,
t.cost_usd as reported_cost_usd,
t.claim

-- name: turn_config
join raw.config c
    on c.provider_name is not distinct from t.provider_name
    and c.service_tier is not distinct from t.usage.service_tier
    and c.speed is not distinct from t.usage.speed

-- name: usage_model_config
{configs}

-- name: usage_turn
select
    {turn_columns}
from raw.turn t
{turn_config}

-- name: prepare_facts
-- Lines other than those of responses, each in the file that had it first: resumed and forked sessions begin with copies.
create table raw.other as
select
    l.*,
    p.session_key,
    p.is_agent
from raw.line l
join raw.place p using (file_key)
where l.line_key in (
    select arg_min(l.line_key, l.is_copy::bigint * 1099511627776 + p.ended_rank * 1048576 + least(l.line_no, 1048575))
    from raw.line l
    join raw.place p using (file_key)
    left join raw.claimed c on c.claim = l.uuid
    where l.uuid is not null
        and (l.type <> 'assistant' or l.model = '<synthetic>')
        and (c.session_id is null or c.session_id = p.session_id)
    group by l.uuid
    union all
    -- What has no uuid is never copied by the tool.
    select min(l.line_key)
    from raw.line l
    join raw.place p using (file_key)
    where l.uuid is null and l.attached = 'queued_command'
    group by p.session_id, l.at, l.type
);

-- What each line is. A line of results may have several, and words beside them.
create table raw.sorted as
select
    *,
    case
        when type = 'attachment' and attached = 'queued_command' then
            case when prompt_source = 'system' or command_mode = 'task-notification' then 'context' else 'prompt' end
        when type = 'system' then
            case
                when subtype = 'compact_boundary' then 'boundary'
                when subtype = 'api_error' then 'error'
                when subtype = 'turn_duration' then null
                when head is null then null
                when subtype = 'local_command' then 'out_of_band'
                else 'note'
            end
        when type = 'assistant' then case when is_error then 'error' else 'note' end
        when type <> 'user' then null
        when has_results and not has_words then null
        when is_summary or is_meta or prompt_source = 'system' or words like '<task-notification>%' then 'context'
        when words like '[Request interrupted by user%' then 'note'
        when words like '<command-%' or words like '<local-command-%' or words like '<bash-%' then 'out_of_band'
        when words like '<ide\_%' escape '\' or words like '<system-reminder>%' then
            case when list_any_value(list_filter(blocks, lambda b: b.type = 'text' and b.head not like '<ide\_%' escape '\'
                and b.head not like '<system-reminder>%')) is null then 'context' else 'prompt' end
        when is_sidechain and not is_agent then 'message'
        else 'prompt'
    end as sort
from (
    select
        *,
        coalesce(len(list_filter(blocks, lambda b: b.type = 'tool_result')) > 0, false) as has_results,
        coalesce(len(list_filter(blocks, lambda b: b.type <> 'tool_result')) > 0, false) as has_words,
        ltrim(coalesce(head, list_filter(blocks, lambda b: b.type = 'text')[1].head, '')) as words
    from raw.other
);

-- Messages: what lines say, results, and responses, of which every line is one message.
create table raw.message as
select
    line_key as message_key,
    session_key,
    case when has_results then uuid || '#text' else uuid end as given_id,
    uuid,
    parent_uuid,
    sort,
    case when type = 'system' then 'system' when type = 'assistant' then 'assistant' else 'user' end as role,
    is_sidechain,
    "at",
    null::bigint as turn_key
from raw.sorted
where sort is not null
union all
select
    turn_key,
    session_key,
    given_id,
    null,
    null,
    'response',
    'assistant',
    is_sidechain,
    started_at,
    turn_key
from raw.turn;

create table raw.call as
select
    line_key + place as tool_call_key,
    session_key,
    turn_key,
    line_key,
    block.id as call_id,
    block.name as tool_name,
    "at"
from (
    select
        l.line_key,
        t.session_key,
        t.turn_key,
        l.at,
        unnest(l.blocks) as block,
        generate_subscripts(l.blocks, 1) as place
    from raw.keyed k
    join raw.turn t using (claim, session_key)
    join raw.line l using (line_key)
    where l.blocks is not null
)
where block.type in ('tool_use', 'server_tool_use', 'mcp_tool_use')
-- A line may repeat the blocks of the lines before it.
qualify row_number() over (partition by session_key, turn_key, coalesce(block.id, line_key::varchar || place) order by line_key) = 1;

create table raw.result as
select
    r.*,
    c.tool_call_key,
    c.turn_key,
    row_number() over (partition by c.tool_call_key order by r.result_key) = 1 as is_first
from (
    select
        line_key + place as result_key,
        session_key,
        case when place = 1 and block.type = 'tool_result' then uuid else uuid || '#' || place end as given_id,
        case when block.type = 'tool_result' then uuid end as uuid,
        parent_uuid,
        is_sidechain,
        is_interrupted,
        result_ms,
        "at",
        block.tool_use_id as call_id,
        block.is_error as is_error,
        block.head as head
    from (
        select
            line_key,
            session_key,
            uuid,
            parent_uuid,
            is_sidechain,
            is_interrupted,
            result_ms,
            "at",
            unnest(blocks) as block,
            generate_subscripts(blocks, 1) as place
        from raw.sorted
        where has_results
        union all
        -- What the provider's own tools gave stands in the response.
        select
            l.line_key,
            t.session_key,
            l.uuid,
            null,
            l.is_sidechain,
            false,
            null,
            l.at,
            unnest(l.blocks),
            generate_subscripts(l.blocks, 1)
        from raw.keyed k
        join raw.turn t using (claim, session_key)
        join raw.line l using (line_key)
    )
    where block.type like '%tool\_result' escape '\'
) r
left join (
    select *
    from raw.call
    where call_id is not null
    qualify row_number() over (partition by session_key, call_id order by tool_call_key) = 1
) c using (session_key, call_id);

insert into raw.message
select
    result_key,
    session_key,
    given_id,
    uuid,
    parent_uuid,
    'result',
    'tool',
    is_sidechain,
    "at",
    turn_key
from raw.result;

-- Which message each line is part of. What is no message passes its parent on.
create table raw.known as
select
    uuid,
    max(message_key) as message_key
from raw.message
where uuid is not null
group by uuid
union all
select
    l.uuid,
    any_value(t.turn_key)
from raw.keyed k
join raw.turn t using (claim)
join raw.line l on l.line_key = k.line_key
where l.uuid is not null
group by l.uuid;

-- In as many steps as a way of them can be halved, since what a subagent tells on its way may be thousands of lines.
create table raw.passing as
with recursive passing(uuid, up, step) using key (uuid) as (
    select
        uuid,
        any_value(parent_uuid),
        0
    from raw.line
    where uuid is not null and parent_uuid is not null and uuid not in (select uuid from raw.known)
    group by uuid
    union all
    select
        p.uuid,
        q.up,
        p.step + 1
    from recurring.passing p
    join recurring.passing q on q.uuid = p.up
    where p.step < 30
)
select
    uuid,
    up as parent_uuid
from passing;

create table raw.parent as
select
    a.message_key,
    k.message_key as parent_key
from (
    select
        message_key,
        parent_uuid
    from raw.message
    where parent_uuid is not null
    union all
    select
        t.turn_key,
        l.parent_uuid
    from raw.turn t
    join raw.line l on l.line_key = t.turn_key
    where l.parent_uuid is not null
) a
left join raw.passing p on p.uuid = a.parent_uuid
join raw.known k on k.uuid = coalesce(p.parent_uuid, a.parent_uuid)
where k.message_key <> a.message_key;

create table raw.told as
select
    m.*,
    -- What was said before a fork is another session's.
    case when o.session_key = m.session_key then p.parent_key end as parent_key,
    row_number() over told - 1 as message_index,
    count(*) filter (where sort = 'response') over told - 1 as turn_index,
    count(*) filter (where sort = 'prompt') over told - 1 as prompt_index,
    max(case when sort = 'prompt' then message_key end) over told as prompt_key
from raw.message m
left join raw.parent p using (message_key)
left join (select message_key as parent_key, session_key from raw.message) o using (parent_key)
window told as (partition by m.session_key order by message_key rows between unbounded preceding and current row);

create table raw.title as
select
    session_key,
    coalesce(
        arg_max(custom_title, line_key) filter (where custom_title is not null),
        arg_max(ai_title, line_key) filter (where ai_title is not null),
        arg_max(summary, line_key) filter (where summary is not null)
    ) as name
from (
    select
        p.session_key,
        l.line_key,
        l.custom_title,
        l.ai_title,
        null as summary
    from raw.line l
    join raw.place p using (file_key)
    where l.custom_title is not null or l.ai_title is not null
    union all
    -- A summary is of the session that has its last line, wherever it stands.
    select
        m.session_key,
        l.line_key,
        null,
        null,
        l.summary
    from raw.line l
    join raw.known k on k.uuid = l.leaf_uuid
    join raw.message m on m.message_key = k.message_key
    where l.summary is not null
)
group by session_key;

-- The session from which another one was resumed or forked has the last line that was copied into it.
create table raw.origin as
select
    p.session_key,
    arg_max(m.session_key, l.line_key) as parent_key
from raw.line l
join raw.place p using (file_key)
join raw.known k on k.uuid = l.uuid
join raw.message m on m.message_key = k.message_key
where m.session_key <> p.session_key
group by p.session_key;

-- name: session
select
    s.session_key,
    s.session_id,
    s.session_id as native_id,
    coalesce(t.name, a.description) as name,
    'claude-code' as agent_name,
    s.directory,
    case when s.is_agent then s.given else o.session_id end as parent_session_id,
    s.given as conversation_id,
    l.started_at,
    l.updated_at,
    nullif(json_merge_patch('{}', json_object(
        'git_branch', l.git_branch,
        'version', l.version,
        'session_kind', l.session_kind,
        'agent_type', a.agent_type
    )), '{}') as metadata,
    s.path as origin
from raw.session s
left join raw.title t using (session_key)
left join raw.origin f using (session_key)
left join raw.session o on o.session_key = f.parent_key
left join (
    select
        p.session_key,
        coalesce(
            min("at") filter (where o.line_key is not null),
            min("at")
        ) as started_at,
        coalesce(
            max("at") filter (where o.line_key is not null),
            max("at")
        ) as updated_at,
        arg_min(git_branch, l.line_key) filter (where git_branch is not null) as git_branch,
        arg_max(version, l.line_key) filter (where version is not null) as version,
        arg_min(session_kind, l.line_key) filter (where session_kind is not null) as session_kind
    from raw.line l
    join raw.place p using (file_key)
    left join (
        select line_key, session_key
        from raw.other
        union all
        select k.line_key, k.session_key
        from raw.keyed k
        join raw.turn using (claim, session_key)
    ) o using (line_key, session_key)
    group by p.session_key
) l using (session_key)
left join (
    select
        p.session_key,
        any_value(agent_type) as agent_type,
        any_value(description) as description
    from raw.line l
    join raw.place p using (file_key)
    where agent_type is not null
    group by p.session_key
) a using (session_key)

-- name: message
select
    message_key,
    session_key,
    message_index,
    given_id,
    parent_key,
    prompt_key,
    turn_key,
    role,
    case when sort in ('prompt', 'response', 'result', 'message') then 'message' else sort end as kind,
    0 as is_preamble,
    is_sidechain,
    "at" as created_at
from raw.told

-- name: model_config
{configs}

-- name: turn
select
    m.turn_index,
    case when m.prompt_key is not null then m.prompt_index end as exchange_index,
    m.prompt_key,
    t.duration_ms * 1000 as duration_us,
    case t.stop_reason
        when 'end_turn' then 'stop'
        when 'stop_sequence' then 'stop'
        when 'max_tokens' then 'length'
        when 'model_context_window_exceeded' then 'length'
        when 'tool_use' then 'tool_call'
        when 'refusal' then 'content_filter'
    end as finish_reason,
    {turn_columns}
from raw.turn t
join raw.told m on m.message_key = t.turn_key
{turn_config}

-- name: tool_call
select
    tool_call_key,
    session_key,
    row_number() over (partition by session_key order by tool_call_key) - 1 as tool_call_index,
    call_id as tool_call_id,
    turn_key,
    coalesce(tool_name, '') as tool_name,
    "at" as started_at
from raw.call

-- name: tool_result
select
    result_key as tool_result_key,
    tool_call_key,
    case
        when head like 'The user doesn''t want to %' then 'denied'
        when head like 'Permission to use % has been denied%' then 'denied'
        when is_interrupted or head like '[Request interrupted by user%' then 'cancelled'
        when not coalesce(is_error, false) then 'ok'
        when head like '%timed out after%' then 'timeout'
        else 'error'
    end as status,
    coalesce(is_error, false)::bigint as is_error,
    try_cast(nullif(regexp_extract(head, '^(?:Error: )?Exit code (-?\d+)', 1), '') as bigint) as exit_code,
    case when result_ms between 0 and 1000000000000 then (result_ms * 1000)::bigint end as duration_us
from raw.result
where tool_call_key is not null and is_first

-- name: message_text
with
-- The lines of a response are one message, with the key of the first of them in the file.
part as (
    select
        t.line_key,
        coalesce(min(k.line_key) over (partition by t.file_key, k.claim), t.line_key) as message_key,
        t.type,
        t.said,
        t.blocks
    from raw.text t
    left join raw.keyed k using (line_key)
),
block as (
    select
        line_key,
        message_key,
        type,
        unnest(from_json(blocks, '[{"type":"VARCHAR","text":"VARCHAR","thinking":"VARCHAR","content":"JSON"}]')) as b,
        generate_subscripts(from_json(blocks, '["JSON"]'), 1) as place
    from part
    where blocks is not null
),
words as (
    select
        line_key,
        message_key,
        place,
        b.type as kind,
        case
            when b.type = 'thinking' then b.thinking
            when b.type = 'text' then b.text
            when b.type = 'redacted_thinking' then '[redacted thinking]'
            when b.type in ('image', 'document') then '[' || b.type || ']'
        end as text
    from block
    where b.type not like '%tool\_result' escape '\'
)
select
    message_key,
    string_agg(text, chr(10) || chr(10) order by line_key, place) filter (where kind not in ('thinking', 'redacted_thinking'))
        as content,
    string_agg(text, chr(10) || chr(10) order by line_key, place) filter (where kind in ('thinking', 'redacted_thinking'))
        as reasoning
from words
group by message_key
union all
select
    message_key,
    said,
    null
from part
where said is not null
union all
select
    line_key + place,
    case
        when left(b.content::varchar, 1) = '"' then b.content ->> '$'
        when b.type = 'tool_result' and left(b.content::varchar, 1) = '[' then (
            select string_agg(
                case c ->> 'type' when 'text' then c ->> 'text' else '[' || coalesce(c ->> 'type', '?') || ']' end,
                chr(10))
            from (select unnest(from_json(b.content, '["JSON"]')) as c)
        )
        else b.content::varchar
    end,
    null
from block
where b.type like '%tool\_result' escape '\'

-- name: tool_call_text
select
    line_key + place as tool_call_key,
    b.input::varchar as arguments
from (
    select
        line_key,
        unnest(from_json(blocks, '[{"type":"VARCHAR","input":"JSON"}]')) as b,
        generate_subscripts(from_json(blocks, '["JSON"]'), 1) as place
    from raw.text
    where blocks is not null and type = 'assistant'
)
where b.type in ('tool_use', 'server_tool_use', 'mcp_tool_use')

-- name: problem
select
    file_key,
    line_no as line,
    'line ' || line_no as record,
    'timestamp is no time; it is NULL' as reason
from raw.line
where has_odd_time
union all
select
    file_key,
    line_no,
    'line ' || line_no,
    'its counts of tokens are none that can be; they are NULL'
from raw.line
where counted.usage is not null and not raw.is_possible(counted.usage)
union all
select
    null,
    null,
    'type ' || type,
    count(*) || ' of this type, which is not known, left out'
from raw.line
where type not in (
    'user', 'assistant', 'system', 'summary', 'progress', 'attachment', 'queue-operation', 'file-history-snapshot',
    'custom-title', 'ai-title', 'agent-name', 'agent-setting', 'agent-color', 'pr-link', 'permission-mode', 'mode',
    'last-prompt', 'worktree-state', 'bridge-session', 'tag', 'task-summary', 'speculation-accept', 'content-replacement',
    'marble-origami-commit', 'marble-origami-snapshot'
)
group by type
order by file_key nulls last, line, record
