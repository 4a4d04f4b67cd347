-- goose before it had a database: a file of JSON lines for each session. The first line tells of the session, the others
-- are its messages. What is made of them is in goose.sql.

-- name: line
role,
id,
case
    when try_cast(created as double) between 0 and 99999999999 then round(try_cast(created as double) * 1000000)::bigint
    when try_cast(created as double) between 0 and 253402300799999 then round(try_cast(created as double) * 1000)::bigint
end as "at",
coalesce(left(ltrim(content::varchar), 1) = '[', false) as is_list,
hash(content::varchar) as fingerprint,
from_json(
    metadata,
    '{"userVisible":"VARCHAR","agentVisible":"VARCHAR","turnContext":"VARCHAR","outputTokenLimitReached":"VARCHAR","inference":{"provider":"VARCHAR","requestedModel":"VARCHAR","resolvedModel":"VARCHAR"},"usage":{"inputTokens":"VARCHAR","outputTokens":"VARCHAR","cacheReadTokens":"VARCHAR","cacheWriteTokens":"VARCHAR","cost":"VARCHAR","elapsedMs":"VARCHAR"}}'
) as metadata,
case when left(ltrim(content::varchar), 1) = '[' then list_transform(
    from_json(
        content,
        '[{"type":"VARCHAR","text":"VARCHAR","thinking":"VARCHAR","msg":"VARCHAR","message":"VARCHAR","id":"VARCHAR","toolCall":{"status":"VARCHAR","value":{"name":"VARCHAR"}},"toolResult":{"status":"VARCHAR","value":"JSON","error":"VARCHAR"},"_meta":{"goose.toolCall.providerIndex":"VARCHAR"}}]'
    ),
    lambda b: {
        'type': b.type,
        'call_id': b.id,
        'has_text': coalesce(b.text, b.thinking, b.msg, b.message, case when b.type = 'image' then b.type end, '') <> '',
        'head': left(ltrim(coalesce(b.text, b.thinking, b.msg, b.message)), 60),
        'tool': b.toolCall.value.name,
        'call_status': b.toolCall.status,
        'provider_index': try_cast(b._meta."goose.toolCall.providerIndex" as bigint),
        'status': b.toolResult.status,
        'is_error': b.toolResult.value ->> '$.isError',
        'exit_code': try_cast(b.toolResult.value ->> '$.structuredContent.exit_code' as bigint),
        'result_head': left(coalesce(
            b.toolResult.error, b.toolResult.value ->> '$[0].text', b.toolResult.value ->> '$.content[0].text'), 60)
    }
) end as blocks,
working_dir,
coalesce(nullif(name, ''), nullif(description, '')) as name,
schedule_id,
accumulated_input_tokens,
accumulated_output_tokens,
accumulated_total_tokens

-- name: text_line
role,
content

-- name: gathered
create table raw.chat as
select
    f.file_key as session_key,
    f.file_key,
    -- The short name of the database beside the files: what is in both has the same id.
    left(sha256(regexp_replace(f.path, '[^/\\]*$', '') || 'sessions.db'), 8) as store,
    regexp_extract(f.path, '([^/\\]*?)(\.jsonl)?$', 1) as id,
    null::bigint as made_at,
    true as is_there,
    h.line_key is not null as has_head,
    h.name,
    null::varchar as session_type,
    h.working_dir as directory,
    null::varchar as parent_id,
    h.schedule_id,
    f.started_at as created_at,
    f.ended_at as updated_at,
    null::bigint as archived_at,
    null::varchar as provider_name,
    null::struct(model_name varchar, temperature varchar, max_tokens varchar, context_limit varchar) as model,
    h.accumulated_input_tokens,
    h.accumulated_output_tokens,
    null::varchar as accumulated_cache_read_tokens,
    null::varchar as accumulated_cache_write_tokens,
    null::varchar as accumulated_cost
from raw.file f
left join (
    select *
    from raw.line
    where role is null and working_dir is not null
    qualify row_number() over (partition by file_key order by line_no) = 1
) h using (file_key);

create table raw.entry as
select
    l.line_key as entry_key,
    l.file_key as session_key,
    l.file_key,
    l.line_no,
    coalesce(l.id, 'line ' || l.line_no) as id,
    l.role,
    l."at" as created_at,
    l.is_list,
    false as is_mended,
    l.fingerprint,
    l.metadata
from raw.line l
where l.role is not null;

create table raw.ledger (
    place bigint,
    session_key bigint,
    written_at bigint,
    model varchar,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_write_tokens bigint,
    cost double,
    is_compaction boolean,
    is_carried boolean
);

create view raw.heard as
select
    entry_key,
    piece_key,
    b.*
from (
    select
        line_key as entry_key,
        line_key + generate_subscripts(blocks, 1) as piece_key,
        unnest(blocks) as b
    from raw.line
    where role is not null and len(blocks) < 65535
);

-- name: texts
said as (
    select
        line_key as entry_key,
        line_key + n as piece_key,
        b
    from (
        select
            line_key,
            unnest(raw.blocks(content)) as b,
            generate_subscripts(raw.blocks(content), 1) as n
        from raw.text
        where role is not null and left(ltrim(content::varchar), 1) = '['
    )
)

-- name: session
select
    c.session_key,
    raw.session_name(c.id, c.store) as session_id,
    c.id as native_id,
    c.name,
    'goose' as agent_name,
    c.directory,
    case when f.session_key is not null then raw.session_name(f.id, f.store) end as parent_session_id,
    c.created_at as started_at,
    c.updated_at,
    nullif(json_merge_patch('{}', json_object('schedule_id', c.schedule_id, 'copied_from', f.id)), '{}') as metadata,
    d.path as origin
from raw.chat c
join raw.file d using (file_key)
left join raw.origin o using (session_key)
left join raw.chat f on f.session_key = o.parent_key
order by c.session_key

-- name: problem
select
    k.file_key,
    k.line_no as line,
    'message ' || k.id as record,
    d.reason
from raw.doubt d
join raw.known k using (entry_key)
union all
select
    file_key,
    1,
    'the first line',
    'it does not tell of the session; only the messages do'
from raw.chat
where not has_head
union all
select
    c.file_key,
    1,
    'the first line',
    'it has sums that nobody can have used; they are NULL'
from raw.chat c
where
    (c.accumulated_input_tokens is not null and raw.tokens(c.accumulated_input_tokens) is null)
    or (c.accumulated_output_tokens is not null and raw.tokens(c.accumulated_output_tokens) is null)
union all
select
    null,
    null,
    'type ' || type,
    blocks || ' of this type, which is not known, left out'
from raw.unknown_type
