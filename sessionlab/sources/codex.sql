-- Codex CLI: a rollout is what went to the model and came from it, what happened, and running totals of tokens. The
-- items of a response stand before the total that counts them; those of 2025 stand after it. A fork, or an agent that a
-- session started, begins with a copy of the other session's lines or goes on from its totals.

-- name: kinds
case when payload is null then "type" else payload.type end as kind,
case when regexp_full_match("timestamp", '\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)')
    then epoch_us(try_cast("timestamp" as timestamptz)) end as "at"
-- then
case
    when "type" = 'session_meta' or ("type" is null and id is not null and "timestamp" is not null) then 'meta'
    when "type" = 'turn_context' then 'context'
    when "type" = 'compacted' then 'compacted'
    when "type" = 'token_usage_record' or kind in ('token_count', 'turn.completed') then 'count'
    when "type" = 'response_item' or payload is null then case
        when kind = 'message' then case coalesce(payload.role, role)
            when 'assistant' then 'answer' when 'user' then 'user' else 'system' end
        when kind = 'reasoning' then 'reasoning'
        when kind in (
            'function_call', 'custom_tool_call', 'local_shell_call', 'web_search_call', 'tool_search_call',
            'image_generation_call'
        ) then 'call'
        when kind in ('function_call_output', 'custom_tool_call_output', 'local_shell_call_output', 'tool_search_output')
            then 'output'
    end
    when "type" = 'event_msg' then case
        when kind = 'user_message' or (kind = 'item_completed' and payload.item.type = 'UserMessage') then 'said'
        when kind = 'agent_message' then 'agent_said'
        when kind in ('task_started', 'turn_started') then 'task'
        when kind = 'error' or (kind in ('task_complete', 'turn_complete') and payload.error is not null
            and payload.error::varchar <> 'null') then 'error'
        when kind = 'turn_aborted' then 'aborted'
        when kind = 'context_compacted' then 'shortened'
        when kind = 'thread_name_updated' then 'name'
        when kind in ('exec_command_end', 'patch_apply_end', 'mcp_tool_call_end')
            or (kind = 'item_completed' and payload.item.type in ('CommandExecution', 'FileChange', 'McpToolCall'))
            then 'ended'
    end
end as sort
-- then
case when sort = 'count' then coalesce(payload.thread_token_usage, payload.info.total_token_usage) end as total,
case when sort = 'count' then coalesce(
    payload.usage,
    usage,
    payload.info.last_token_usage,
    case when payload.info.prompt is not null then {
        'input_tokens': payload.info.prompt,
        'cached_input_tokens': null::varchar,
        'cache_write_input_tokens': null::varchar,
        'output_tokens': payload.info.completion,
        'reasoning_output_tokens': null::varchar
    } end
) end as last

-- name: shared
"type" as line_type,
kind,
"at",
"timestamp" is not null and "at" is null as has_odd_time,
sort,
coalesce(payload.id, id) as id,
payload.turn_id as turn_id,
payload.timestamp as given_at,
payload.session_id as given_session,
coalesce(
    payload.forked_from_id,
    payload.source ->> '$.subagent.thread_spawn.parent_thread_id',
    payload.parent_thread_id,
    payload.history_base.thread_id
) as parent_id,
payload.history_base.thread_id is not null as goes_on,
coalesce(payload.model, payload.collaboration_mode.settings.model) as model,
coalesce(payload.effort, payload.collaboration_mode.settings.reasoning_effort) as effort,
payload.model_provider as model_provider,
total,
last,
-- The total as one text, to tell it from the one before it.
case when coalesce((total).input_tokens, (total).cached_input_tokens, (total).output_tokens, (total).reasoning_output_tokens)
    is not null then concat_ws(' ', coalesce((total).input_tokens, '0'), coalesce((total).cached_input_tokens, '0'),
    coalesce((total).output_tokens, '0'), coalesce((total).reasoning_output_tokens, '0')) end as figures

-- name: usage_line
{kinds}
-- then
{shared}

-- name: line
{kinds},
coalesce(payload.content, content) as given_content,
coalesce(payload.output, output) as given_output
-- then
{shared},
coalesce(payload.call_id, call_id, payload.item.id) as call_id,
coalesce(payload.name, name) as name,
coalesce(payload.status, payload.item.status, status) as status,
payload.phase as phase,
payload.cwd as cwd,
case when sort = 'meta' then nullif(json_merge_patch('{}', json_object(
    'cli_version', payload.cli_version,
    'originator', payload.originator,
    'source', payload.source,
    'agent_nickname', payload.agent_nickname,
    'agent_role', payload.agent_role,
    'git', coalesce(payload.git, git)
))::varchar, '{}') end as metadata,
payload.thread_name as thread_name,
payload.internal_chat_message_metadata_passthrough.content_item_kinds as content_kinds,
-- What a message or a result begins with.
trim(left(ltrim(case sort
    when 'said' then coalesce(payload.message, (payload.item.content ->> '$[*].text')[1])
    when 'user' then coalesce(
        (given_content ->> '$[*].text')[1],
        case when json_type(given_content) = 'VARCHAR' then given_content ->> '$' end)
    when 'output' then coalesce(
        given_output ->> '$[0].text',
        given_output ->> '$.content',
        given_output ->> '$')
end), 200)) as head,
-- A result of 2025 is JSON in a text, and how it ended stands at its end.
case when sort = 'output' and left(given_output ->> '$', 1) = '{'
    then right(given_output ->> '$', 160) end as tail,
case
    when sort = 'output' then given_output ->> '$.success'
    when sort <> 'ended' then null
    when payload.success is not null then payload.success
    when payload.item.result."isError" = 'true' or json_exists(payload.result, '$.Err')
        or (payload.result ->> '$.Ok.isError') = 'true' then 'false'
end as success,
coalesce(payload.exit_code, payload.item.exit_code) as exit_code,
case when sort = 'ended' then coalesce(payload.duration, payload.item.duration)::varchar end as duration,
coalesce(payload.duration_ms, payload.item.duration_ms) as duration_ms

-- name: text_line
coalesce(payload.output, output) as given_output,
coalesce(payload.content, content, payload.item.content) as given_content
-- then
coalesce(payload.type, "type") as kind,
case
    when given_output is not null then case json_type(given_output)
        when 'VARCHAR' then given_output ->> '$'
        when 'ARRAY' then array_to_string(list_transform(
            from_json(given_output, '[{"type":"VARCHAR","text":"VARCHAR"}]'),
            lambda b: coalesce(b.text, '[' || replace(b.type, 'input_', '') || ']')), chr(10) || chr(10))
        else coalesce(given_output ->> '$.content', given_output::varchar)
    end
    when given_content is not null
        then case json_type(given_content)
        when 'ARRAY' then array_to_string(list_transform(
            from_json(given_content, '[{"type":"VARCHAR","text":"VARCHAR"}]'),
            lambda b: coalesce(b.text, '[' || replace(b.type, 'input_', '') || ']')), chr(10) || chr(10))
        when 'VARCHAR' then given_content ->> '$'
    end
    when payload.message is not null then payload.message
    when payload.error is not null then coalesce(payload.error ->> '$.message', payload.error::varchar)
    else payload.reason
end as content,
array_to_string(coalesce(payload.summary, summary) ->> '$[*].text', chr(10) || chr(10)) as summary,
coalesce(payload.arguments, payload.input, payload.action::varchar, arguments, input, action::varchar) as arguments

-- name: runs
-- What comes from the model without anything between is one response. Where totals stand before what they count, a
-- result does not end it: a call and its result were written together.
figure as (
    select
        line_key,
        file_key,
        sort,
        coalesce(figures, case when not has_totals and last is not null then line_key::varchar end) as figures,
        has_answers
    from (
        select
            *,
            bool_or(figures is not null) over file as has_totals,
            bool_or(sort = 'answer') over file as has_answers
        from raw.line
        where sort in ('reasoning', 'answer', 'call', 'agent_said', 'output', 'user', 'system', 'said', 'count')
        window file as (partition by file_key)
    )
),
mark as (
    select *
    from (
        select
            line_key,
            file_key,
            case
                when sort in ('reasoning', 'answer', 'call') or (sort = 'agent_said' and not has_answers) then 'made'
                when sort = 'output' then 'output'
                when sort in ('user', 'system', 'said') then 'told'
                when figures is distinct from lag(figures) over (partition by file_key, figures is null order by line_key)
                    and figures <> '0 0 0 0' then 'count'
            end as mark
        from figure
    )
    where mark is not null
),
part as (
    select
        file_key,
        min(line_key) filter (where mark = 'made') < min(line_key) filter (where mark = 'count') as is_late,
        min(line_key) filter (where mark = 'count') < min(line_key) filter (where mark = 'made')
            and max(line_key) filter (where mark = 'made') > max(line_key) filter (where mark = 'count') as is_early
    from (
        select
            *,
            count(case when mark = 'told' then 1 end) over (
                partition by file_key order by line_key rows between unbounded preceding and current row
            ) as part
        from mark
    )
    group by file_key, part
),
layout as (
    select
        file_key,
        count(*) filter (where is_early) > count(*) filter (where is_late) as is_early
    from part
    group by file_key
),
placed as (
    select
        *,
        mark = 'made' and before is distinct from 'made'
            and not (is_early and before = 'output' and coalesce(before_output = 'made', false)) as is_start
    from (
        select
            m.line_key,
            m.file_key,
            m.mark,
            l.is_early,
            lag(m.mark) over file as before,
            lag(m.mark) over (partition by m.file_key, m.mark = 'output' order by m.line_key) as before_output
        from mark m
        join layout l using (file_key)
        window file as (partition by m.file_key order by m.line_key)
    )
)

-- name: made
    select
        line_key,
        file_key,
        max(case when is_start then line_key end) over (
            partition by file_key order by line_key rows between unbounded preceding and current row
        ) as run_key
    from placed
    where mark = 'made'

-- name: configs
select
    model_config_key,
    provider_name,
    model as request_model,
    effort as reasoning_effort
from raw.config

-- name: counted
create macro raw.tokens(text) as case when regexp_full_match(text, '\d{1,15}') then try_cast(text as bigint) end;

-- A file that begins with another session's line names its own in its file name, or says which it goes on from.
create table raw.meta as
select
    *,
    row_number() over (
        partition by file_key
        order by not contains(path, id), list_contains(parents, id), line_key
    ) = 1 as is_own
from (
    select
        l.file_key,
        l.line_key,
        l.id,
        l.parent_id,
        l.given_session,
        l.goes_on,
        f.path,
        coalesce(list(l.parent_id) over (partition by l.file_key), []) as parents
    from raw.line l
    join raw.file f using (file_key)
    where l.sort = 'meta' and l.id is not null
);

create table raw.rollout as
select
    *,
    min(file_key) over (partition by id) as session_key
from (
    select
        f.file_key,
        f.path,
        f.started_at,
        m.line_key as meta_key,
        coalesce(m.goes_on, false) as goes_on,
        coalesce(m.id, nullif(named, ''), left(sha256(f.path), 8) || ':' || stem) as id,
        coalesce(m.id, nullif(named, '')) as native_id
    from (
        select
            *,
            regexp_extract(path, '([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})[^/\\]*$', 1) as named,
            regexp_extract(path, '([^/\\]*?)(\.jsonl?)?$', 1) as stem
        from raw.file
        where file_key in (select file_key from raw.line where sort is not null)
    ) f
    left join raw.meta m on m.file_key = f.file_key and m.is_own
);

-- From which session each goes on, as far as any file says: a copy holds the first lines of all before it.
create table raw.link as
select
    id,
    arg_min(parent_id, line_key) as parent_id
from (
    select
        m.line_key,
        m.id,
        coalesce(
            m.parent_id,
            case when m.is_own then coalesce(m.next_id, m.before_id) when m.next_id <> r.id then m.next_id end,
            m.given_session
        ) as parent_id
    from (
        select
            *,
            lead(id) over file as next_id,
            lag(id) over file as before_id
        from raw.meta
        window file as (partition by file_key order by line_key)
    ) m
    join raw.rollout r using (file_key)
)
where parent_id <> id
group by id;

create table raw.root as
with recursive up as (
    select distinct
        id,
        id as root,
        0 as depth
    from raw.rollout
    union all
    select
        u.id,
        l.parent_id,
        u.depth + 1
    from up u
    join raw.link l on l.id = u.root
    where u.depth < 1000
)
select
    id,
    case when max(depth) < 1000 then arg_max(root, depth) else min(root) end as root,
    max(depth) as depth
from up
group by id;

create table raw.placed as
with {runs}
from placed;

create table raw.made as
with placed as (from raw.placed)
{made};

-- What the totals show of the responses that they count: the one before them since the former total, or the one after.
create table raw.shown as
with around as (
    select
        line_key,
        mark,
        is_early,
        max(case when mark = 'count' then line_key end) over before as former_count,
        max(case when is_start then line_key end) over before as former_run,
        min(case when mark = 'count' then line_key end) over after as next_count,
        min(case when mark = 'told' then line_key end) over after as next_told,
        min(case when is_start then line_key end) over after as next_run
    from raw.placed
    window
        before as (partition by file_key order by line_key rows between unbounded preceding and 1 preceding),
        after as (partition by file_key order by line_key desc rows between unbounded preceding and 1 preceding)
)
select
    line_key,
    case
        when is_early then case when next_run < coalesce(least(next_count, next_told), next_run + 1) then next_run end
        when former_run > coalesce(former_count, -1) then former_run
    end as run_key
from around
where mark = 'count';

-- After which turn of the tool's own counting, and after which context, a line stands. A copy keeps the turn's name.
create table raw.since as
select
    line_key,
    max(case when turn_id is not null then line_key end) over before as task_key,
    max(case when sort = 'context' then line_key end) over before as context_key
from (
    select
        line_key,
        file_key,
        sort,
        case when sort in ('task', 'context') then turn_id end as turn_id
    from raw.line
    where sort in ('task', 'context', 'count', 'reasoning', 'answer', 'call', 'agent_said')
)
window before as (partition by file_key order by line_key rows between unbounded preceding and current row);

create table raw.task as
select
    line_key as task_key,
    file_key,
    turn_id
from raw.line
where sort in ('task', 'context') and turn_id is not null;

create table raw.task_file as
select
    t.turn_id,
    t.file_key,
    min(t.task_key) as first_key,
    row_number() over (partition by t.turn_id order by any_value(o.depth), t.file_key) as place
from raw.task t
join raw.rollout r using (file_key)
join raw.root o using (id)
group by t.turn_id, t.file_key;

-- Running totals that are not those before them. A total of nothing begins a new epoch, and so does one that fell.
create table raw.step as
select
    * exclude (is_new),
    row_number() over (partition by file_key order by line_key) as step_no,
    sum(md5_number_lower(figures)) over (
        partition by file_key order by line_key rows between unbounded preceding and current row
    ) as path
from (
    select
        *,
        case
            when is_zero then null
            when not is_total then 'last'
            when is_begun then 'last'
            when least(input - before_input, cached - before_cached, output - before_output,
                reasoning - before_reasoning) < 0 then case when last.input is null then 'fell' else 'last' end
            else 'rose'
        end as what,
        is_total and not is_zero and not is_begun and least(input - before_input, cached - before_cached, output - before_output,
            reasoning - before_reasoning) < 0 as has_fallen
    from (
        select
            *,
            coalesce(lag(input) over file, inherited.input, 0) as before_input,
            coalesce(lag(cached) over file, inherited.cached, 0) as before_cached,
            coalesce(lag(output) over file, inherited.output, 0) as before_output,
            coalesce(lag(reasoning) over file, inherited.reasoning, 0) as before_reasoning,
            coalesce(lag(written) over (partition by file_key, written is null order by line_key), 0) as before_written,
            not is_total or figures is distinct from lag(figures) over file as is_new,
            -- In 2025 a session that was resumed counted from nothing again, behind a count without numbers.
            coalesce(blanks > lag(blanks) over file and input = last.input and output = last.output, false) as is_begun
        from (
            select
                *,
                -- A session that goes on from another one begins with the other's total; nothing else does.
                case when number = 1 and is_child and is_total and last.input <= input and last.output <= output
                    and (last.input < input or last.output < output) then {
                    'input': input - last.input,
                    'cached': greatest(0, cached - coalesce(last.cached, 0)),
                    'output': output - last.output,
                    'reasoning': greatest(0, reasoning - coalesce(last.reasoning, 0))
                } end as inherited
            from (
                select
                    l.line_key,
                    l.file_key,
                    l.at,
                    l.figures is not null as is_total,
                    coalesce(l.figures, l.last::varchar) as figures,
                    coalesce(l.figures = '0 0 0 0', false) as is_zero,
                    coalesce(raw.tokens(l.total.input_tokens), 0) as input,
                    coalesce(raw.tokens(l.total.cached_input_tokens), 0) as cached,
                    raw.tokens(l.total.cache_write_input_tokens) as written,
                    coalesce(raw.tokens(l.total.output_tokens), 0) as output,
                    coalesce(raw.tokens(l.total.reasoning_output_tokens), 0) as reasoning,
                    l.total,
                    l.blanks,
                    {
                        'input': raw.tokens(l.last.input_tokens),
                        'cached': raw.tokens(l.last.cached_input_tokens),
                        'written': raw.tokens(l.last.cache_write_input_tokens),
                        'output': raw.tokens(l.last.output_tokens),
                        'reasoning': raw.tokens(l.last.reasoning_output_tokens)
                    } as last,
                    k.parent_id is not null as is_child,
                    row_number() over (partition by l.file_key order by l.line_key) as number
                from (
                    select
                        *,
                        bool_or(figures is not null) over (partition by file_key) as has_totals,
                        count(case when figures is null and last is null then 1 end) over (
                            partition by file_key order by line_key rows between unbounded preceding and current row
                        ) as blanks
                    from raw.line
                    where sort = 'count'
                ) l
                join raw.rollout r using (file_key)
                left join raw.link k on k.id = r.id
                where l.figures is not null or (not l.has_totals and l.last is not null)
            )
        )
        window file as (partition by file_key order by line_key)
    )
)
where is_new;

-- Equal beginnings of totals in one family are copies, of which the session that others go on from has the first. What
-- stands in turns of other names is not the same. A total that an earlier session ended with may be shown once more.
create table raw.spent as
select
    * exclude (is_first, is_known, is_elsewhere, is_base),
    case when is_first then claim else claim || ':' || turn_id end as name,
    is_known and not is_elsewhere and not is_base as is_own
from (
    select
        s.* exclude (first_turn),
        turn_id is not distinct from coalesce(first_turn, turn_id) or turn_id is null as is_first,
        row_number() over (partition by claim, coalesce(turn_id, first_turn) order by place) = 1 as is_known
    from (
        select
            *,
            first_value(turn_id) over (partition by claim order by place) as first_turn
        from (
            select
                s.*,
                r.id,
                o.depth,
                o.root || ':' || s.step_no || ':' || s.path as claim,
                t.turn_id,
                coalesce(c.session_id <> r.id, false) as is_elsewhere,
                row_number() over (order by r.id is distinct from c.session_id, o.depth, s.line_key) as place,
                s.inherited is not null and min(o.depth) over (partition by o.root, s.figures) < o.depth as is_base
            from raw.step s
            join raw.rollout r using (file_key)
            join raw.root o using (id)
            left join raw.since b using (line_key)
            left join raw.task t using (task_key)
            left join raw.claimed c on c.claim = o.root || ':' || s.step_no || ':' || s.path
        )
    ) s
);

-- Up to which line a file repeats another one: its last total that is a copy with its response, or its last turn that
-- another file had before it.
create table raw.prefix as
select
    file_key,
    max(end_key) as end_key
from (
    select
        s.file_key,
        greatest(s.line_key, coalesce(max(m.line_key), 0)) as end_key
    from raw.spent s
    left join raw.shown w using (line_key)
    left join raw.made m using (run_key)
    where not s.is_own
    group by s.file_key, s.line_key
    union all
    select
        file_key,
        coalesce(min(first_key) filter (where place = 1), 9223372036854775807) - 1
    from raw.task_file
    group by file_key
    having min(first_key) filter (where place > 1) < coalesce(min(first_key) filter (where place = 1), 9223372036854775807)
)
group by file_key;

create table raw.turn as
select
    t.*,
    r.session_key,
    c.model,
    c.effort,
    b.context_key is not null as has_context
from (
    select
        m.run_key as turn_key,
        m.file_key,
        s.line_key as step_key
    from (select distinct file_key, run_key from raw.made) m
    left join raw.shown w using (run_key)
    left join raw.spent s on s.line_key = w.line_key
    left join raw.prefix p on p.file_key = m.file_key
    where coalesce(s.is_own, m.run_key > coalesce(p.end_key, -1))
    union all
    -- A response of which nothing else is there.
    select
        s.line_key,
        s.file_key,
        s.line_key
    from raw.spent s
    left join raw.shown w using (line_key)
    where s.is_own and s.what is not null and w.run_key is null
) t
join raw.rollout r using (file_key)
left join raw.since b on b.line_key = t.turn_key
left join raw.line c on c.line_key = b.context_key and c.sort = 'context';

create table raw.usage as
select
    line_key as step_key,
    name as claim,
    case what when 'last' then last.input when 'fell' then raw.tokens(total.input_tokens)
        else raw.tokens(total.input_tokens) - before_input end as input_tokens,
    case what when 'last' then last.cached when 'fell' then raw.tokens(total.cached_input_tokens)
        else raw.tokens(total.cached_input_tokens) - before_cached end as cached_tokens,
    case
        when what = 'last' then last.written
        when what = 'fell' or written < before_written then written
        else written - before_written end as written_tokens,
    case what when 'last' then last.output when 'fell' then raw.tokens(total.output_tokens)
        else raw.tokens(total.output_tokens) - before_output end as output_tokens,
    case what when 'last' then last.reasoning when 'fell' then raw.tokens(total.reasoning_output_tokens)
        else raw.tokens(total.reasoning_output_tokens) - before_reasoning end as reasoning_tokens
from raw.spent
where is_own and what is not null;

create table raw.asked as
select
    t.turn_key,
    case p.model_provider
        when 'azure' then 'azure.ai.openai'
        when 'amazon-bedrock' then 'aws.bedrock'
        when 'gemini' then 'gcp.gemini'
        when 'mistral' then 'mistral_ai'
        when 'xai' then 'x_ai'
        else p.model_provider
    end as provider_name,
    t.model,
    t.effort
from raw.turn t
left join raw.rollout r using (file_key)
left join (
    select line_key, model_provider
    from raw.line
    where sort = 'meta'
) p on p.line_key = r.meta_key
where t.has_context;

create table raw.config as
select
    min(turn_key) as model_config_key,
    provider_name,
    model,
    effort
from raw.asked
group by provider_name, model, effort;

-- name: usage_session
select
    session_key,
    id as session_id,
    native_id,
    'codex' as agent_name,
    started_at,
    path as origin
from raw.rollout
where file_key = session_key

-- name: usage_message
-- Turns are called alike in all frames.
select
    t.turn_key as message_key,
    t.session_key,
    t.turn_key,
    'assistant' as role,
    'message' as kind,
    0 as is_preamble,
    0 as is_sidechain,
    l.at as created_at
from raw.turn t
join raw.line l on l.line_key = t.turn_key

-- name: usage_model_config
{configs}

-- name: turn_columns
-- What a turn has both among all facts and for the token usage alone.
t.turn_key,
t.session_key,
c.model_config_key,
case when c.model_config_key is null then 'unknown' else 'recorded' end as model_config_status,
0 as is_sidechain,
u.input_tokens,
u.output_tokens,
u.cached_tokens as cache_read_input_tokens,
u.written_tokens as cache_creation_input_tokens,
u.reasoning_tokens as reasoning_output_tokens,
case when u.step_key is null then 'missing' else 'final' end as usage_quality,
u.claim

-- name: turn_usage
left join raw.usage u on u.step_key = t.step_key
left join raw.asked a on a.turn_key = t.turn_key
left join raw.config c
    on c.provider_name is not distinct from a.provider_name
    and c.model is not distinct from a.model
    and c.effort is not distinct from a.effort
    and a.turn_key is not null

-- name: usage_turn
select
    l.at as started_at,
    {turn_columns}
from raw.turn t
join raw.line l on l.line_key = t.turn_key
{turn_usage}

-- name: prepare_usage
{counted}

-- name: prepare_facts
{counted};

-- What a human said is there twice, as what happened and as an item; so an item alone is none where others are there
-- twice. New files say of each item what it is.
create table raw.heard as
select
    h.line_key,
    h.file_key,
    h.sort,
    case
        when h.sort = 'said' then true
        when h.content_kinds is not null then len(list_filter(h.content_kinds, lambda k: starts_with(k, 'user.'))) > 0
        when h.has_said then h.is_twice
        else not regexp_matches(coalesce(h.head, ''),
            '^(<(environment_context|user_instructions|INSTRUCTIONS|permissions|turn_aborted|user_shell_command|skill|subagent_notification|hook_prompt|collaboration_mode|model_switch|user_action|recommended_plugins)|# AGENTS\.md instructions)')
    end as is_prompt
from (
    select
        *,
        (before_sort <> sort and before_sort in ('user', 'said') and is_same_before)
            or (after_sort <> sort and after_sort in ('user', 'said') and is_same_after) as is_twice
    from (
        select
            *,
            bool_or(sort = 'said') over (partition by file_key) as has_said,
            lag(sort) over file as before_sort,
            lead(sort) over file as after_sort,
            coalesce(lag(head) over file, '') = coalesce(head, '') or head like '<image%' or lag(head) over file like '<image%'
                as is_same_before,
            coalesce(lead(head) over file, '') = coalesce(head, '') or head like '<image%' or lead(head) over file like '<image%'
                as is_same_after
        from raw.line
        where sort in ('user', 'said', 'reasoning', 'answer', 'call')
        window file as (partition by file_key order by line_key)
    )
) h
where h.sort = 'user' or (h.sort = 'said' and not coalesce(h.is_twice, false));

create table raw.call as
select
    l.line_key as tool_call_key,
    l.file_key,
    t.session_key,
    t.turn_key,
    l.call_id,
    case l.kind
        when 'local_shell_call' then 'local_shell'
        when 'web_search_call' then 'web_search'
        when 'tool_search_call' then 'tool_search'
        when 'image_generation_call' then 'image_generation'
        else coalesce(l.name, '')
    end as tool_name,
    l.status,
    l.kind in ('web_search_call', 'tool_search_call', 'image_generation_call') as is_remote,
    l.at
from raw.line l
join raw.made m using (line_key)
join raw.turn t on t.turn_key = m.run_key
where l.sort = 'call';

-- What comes of a call is told of the last one before it with its id.
create table raw.outcome as
select
    * exclude (call_key),
    call_key as tool_call_key
from (
    select
        line_key,
        file_key,
        sort,
        call_id,
        status,
        success,
        head,
        tail,
        exit_code,
        duration,
        duration_ms,
        "at",
        max(case when sort = 'call' then line_key end) over (
            partition by file_key, call_id order by line_key rows between unbounded preceding and current row
        ) as call_key
    from raw.line
    where sort in ('call', 'output', 'ended')
)
where sort <> 'call';

create table raw.result as
select
    o.line_key,
    o.file_key,
    r.session_key,
    c.tool_call_key,
    c.turn_key,
    o.call_id,
    o.head,
    o.tail,
    o.success,
    o.at,
    row_number() over (partition by c.tool_call_key order by o.line_key desc) = 1 as is_last
from raw.outcome o
join raw.rollout r using (file_key)
left join raw.prefix p on p.file_key = o.file_key
left join raw.call c on c.tool_call_key = o.tool_call_key and o.call_id is not null
where
    o.sort = 'output'
    and (c.tool_call_key is not null or least(o.line_key, o.tool_call_key) > coalesce(p.end_key, -1));

-- How a tool says that a call ended.
create table raw.ended as
select
    tool_call_key,
    arg_max(status, line_key) as status,
    arg_max(success, line_key) as success,
    arg_max(try_cast(exit_code as bigint), line_key) as exit_code,
    arg_max(case
        when try_cast(try(duration::json ->> '$.secs') as double) is not null then
            (try_cast(duration::json ->> '$.secs' as double) * 1000000
            + coalesce(try_cast(duration::json ->> '$.nanos' as double), 0) / 1000)::bigint
        when try_cast(duration_ms as double) between 0 and 1e12
            then round(try_cast(duration_ms as double) * 1000)::bigint
    end, line_key) as duration_us
from raw.outcome
where sort = 'ended' and tool_call_key is not null and call_id is not null
group by tool_call_key;

create table raw.message as
select
    t.turn_key as message_key,
    t.session_key,
    t.turn_key,
    'assistant' as role,
    'response' as sort,
    l.at as created_at
from raw.turn t
join raw.line l on l.line_key = t.turn_key
union all
select
    line_key,
    session_key,
    turn_key,
    'tool',
    'result',
    "at"
from raw.result
union all
select
    l.line_key,
    r.session_key,
    null,
    case when l.sort in ('user', 'said') then 'user' else 'system' end,
    case
        when h.is_prompt then 'prompt'
        when l.sort in ('user', 'system') then 'context'
        when l.sort in ('compacted', 'shortened') then 'boundary'
        when l.sort = 'aborted' then 'note'
        else 'error'
    end,
    l.at
from raw.line l
join raw.rollout r using (file_key)
left join raw.prefix p on p.file_key = l.file_key
left join raw.heard h using (line_key)
where
    l.line_key > coalesce(p.end_key, -1)
    and case
        when l.sort = 'said' then h.line_key is not null
        when l.sort = 'shortened' then l.file_key not in (select file_key from raw.line where sort = 'compacted')
        else l.sort in ('user', 'system', 'compacted', 'aborted', 'error')
    end;

create table raw.told as
select
    *,
    row_number() over told - 1 as message_index,
    count(case when sort = 'response' then 1 end) over told - 1 as turn_index,
    count(case when sort = 'prompt' then 1 end) over told - 1 as prompt_index,
    max(case when sort = 'prompt' then message_key end) over told as prompt_key
from raw.message
window told as (partition by session_key order by message_key rows between unbounded preceding and current row);

-- name: session
select
    r.session_key,
    r.id as session_id,
    r.native_id,
    n.name,
    'codex' as agent_name,
    coalesce(m.cwd, n.cwd) as directory,
    k.parent_id as parent_session_id,
    coalesce(m.given_session, r.native_id) as conversation_id,
    coalesce(m.started_at, n.started_at) as started_at,
    n.updated_at,
    m.metadata,
    r.path as origin
from raw.rollout r
left join raw.link k using (id)
left join (
    select
        line_key,
        cwd,
        given_session,
        metadata,
        case when regexp_full_match(given_at, '\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)')
            then epoch_us(try_cast(given_at as timestamptz)) end as started_at
    from raw.line
    where sort = 'meta'
) m on m.line_key = r.meta_key
left join (
    select
        o.session_key,
        arg_max(l.thread_name, l.line_key) filter (where l.sort = 'name') as name,
        -- The oldest files say it to the model only.
        coalesce(
            arg_min(l.cwd, l.line_key) filter (where l.sort = 'context' and l.cwd is not null),
            arg_min(nullif(regexp_extract(l.head, '^<environment_context>\s*<cwd>([^<]+)</cwd>', 1), ''), l.line_key)
                filter (where l.sort = 'user' and starts_with(l.head, '<environment_context>'))
        ) as cwd,
        min(l.at) as started_at,
        max(l.at) as updated_at
    from raw.line l
    join raw.rollout o using (file_key)
    group by o.session_key
) n on n.session_key = r.session_key
where r.file_key = r.session_key

-- name: message
select
    message_key,
    session_key,
    message_index,
    prompt_key,
    turn_key,
    role,
    case when sort in ('prompt', 'response', 'result') then 'message' else sort end as kind,
    0 as is_preamble,
    0 as is_sidechain,
    created_at
from raw.told

-- name: model_config
{configs}

-- name: turn
select
    m.turn_index,
    case when m.prompt_key is not null then m.prompt_index end as exchange_index,
    m.prompt_key,
    m.created_at as started_at,
    case when f.calls > 0 then 'tool_call' when f.has_ended then 'stop' end as finish_reason,
    {turn_columns}
from raw.turn t
join raw.told m on m.message_key = t.turn_key
{turn_usage}
left join (
    select
        m.run_key as turn_key,
        count(*) filter (where l.sort = 'call') as calls,
        coalesce(bool_or(l.phase = 'final_answer' or (l.sort = 'answer' and l.status = 'completed')), false) as has_ended
    from raw.made m
    join raw.line l using (line_key)
    group by m.run_key
) f on f.turn_key = t.turn_key

-- name: tool_call
select
    tool_call_key,
    session_key,
    row_number() over (partition by session_key order by tool_call_key) - 1 as tool_call_index,
    call_id as tool_call_id,
    turn_key,
    tool_name,
    "at" as started_at
from raw.call

-- name: tool_result
select
    result_key as tool_result_key,
    tool_call_key,
    status,
    (status <> 'ok')::bigint as is_error,
    exit_code,
    duration_us
from (
    select
        *,
        case
            when ended_status = 'declined' or head like '%rejected by user%' then 'denied'
            when head like 'aborted%' then 'cancelled'
            when head like '%command timed out after%' or exit_code = 124 then 'timeout'
            when exit_code <> 0 or success = 'false' or ended_status = 'failed' then 'error'
            else 'ok'
        end as status
    from (
        select
            r.line_key as result_key,
            c.tool_call_key,
            r.head,
            coalesce(e.status, case when r.line_key is null then c.status end) as ended_status,
            coalesce(e.success, r.success) as success,
            coalesce(
                e.exit_code,
                try_cast(nullif(regexp_extract(r.head, '(?:^Exit code: |(?:^|\n)Process exited with code )(-?\d{1,9})', 1), '') as bigint),
                try_cast(nullif(regexp_extract(r.tail, '"exit_code":\s*(-?\d{1,9})', 1), '') as bigint)
            ) as exit_code,
            coalesce(
                e.duration_us,
                round(try_cast(nullif(regexp_extract(r.tail, '"duration_seconds":\s*(\d+(?:\.\d+)?)', 1), '') as double)
                    * 1000000)::bigint,
                round(try_cast(nullif(regexp_extract(r.head, '(?:^|\n)Wall time: (\d+(?:\.\d+)?) seconds', 1), '') as double)
                    * 1000000)::bigint
            ) as duration_us
        from raw.call c
        left join raw.result r on r.tool_call_key = c.tool_call_key and r.is_last
        left join raw.ended e on e.tool_call_key = c.tool_call_key
        where r.line_key is not null or e.tool_call_key is not null or (c.is_remote and c.status is not null)
    )
)

-- name: message_text
with {runs},
made as (
{made}
),
words as (
    select
        t.line_key,
        coalesce(m.run_key, t.line_key) as message_key,
        m.run_key is not null as is_made,
        t.kind,
        t.content,
        t.summary
    from raw.text t
    left join made m using (line_key)
)
select
    message_key,
    string_agg(content, chr(10) || chr(10) order by line_key)
        filter (where content <> '' and (not is_made or kind in ('message', 'agent_message'))) as content,
    string_agg(coalesce(nullif(summary, ''), content), chr(10) || chr(10) order by line_key)
        filter (where kind = 'reasoning' and coalesce(nullif(summary, ''), content) <> '') as reasoning
from words
group by message_key

-- name: tool_call_text
select
    line_key as tool_call_key,
    arguments
from raw.text
where kind in (
    'function_call', 'custom_tool_call', 'local_shell_call', 'web_search_call', 'tool_search_call', 'image_generation_call'
)

-- name: problem
select
    file_key,
    line,
    record,
    reason
from (
    select
        file_key,
        line_no as line,
        'line ' || line_no as record,
        'timestamp is no time; it is NULL' as reason
    from raw.line
    where has_odd_time
    union all
    select
        s.file_key,
        l.line_no,
        'line ' || l.line_no,
        'the total fell without beginning anew; ' || case s.what when 'fell' then 'it was taken as a new one'
            else 'what the last response used was taken' end
    from raw.step s
    join raw.line l using (line_key)
    where s.has_fallen
    union all
    select
        r.file_key,
        null,
        'session ' || r.id,
        case when r.goes_on then 'it goes on from session ' || k.parent_id || ', whose file is not there'
            else 'it begins with what session ' || k.parent_id || ' said, whose file is not there; the first that does counts it'
        end
    from raw.rollout r
    join raw.link k using (id)
    where
        k.parent_id not in (select id from raw.rollout)
        and (r.goes_on or (select count(distinct m.id) from raw.meta m where m.file_key = r.file_key) > 1)
    union all
    select
        o.file_key,
        l.line_no,
        'line ' || l.line_no,
        'it is the result of the call ' || coalesce(o.call_id, 'NULL') || ', which is not there; it is a message all the same'
    from raw.result o
    join raw.line l using (line_key)
    where o.tool_call_key is null
    union all
    select
        null,
        null,
        'type ' || line_type,
        count(*) || ' of this type, which is not known, left out'
    from raw.line
    where sort is null and line_type is not null and line_type not in (
        'session_meta', 'response_item', 'event_msg', 'world_state', 'inter_agent_communication',
        'inter_agent_communication_metadata', 'security_risk_score', 'retained_context', 'realtime_item'
    )
    group by line_type
)
order by file_key nulls last, line, record
