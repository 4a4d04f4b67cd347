-- awful_aj: conversations, messages in the order of their ids, and configurations that belong to a conversation.
-- No row has a time, no answer says which configuration it was given with.

-- name: prepare_facts
-- A cast alone would round 1.5 to 2, which is another conversation.
create macro raw.whole(given) as
    case when try_cast(given as double) = try_cast(given as bigint) then try_cast(given as bigint) end;

create table raw.line as
select
    _row as id,
    raw.whole(conversation_id) as conversation_id,
    conversation_id as given_conversation_id,
    role,
    -- The fixed texts of the preamble; the template's own messages that follow them look like any other.
    case
        when role = 'user' and starts_with(content, 'Below is a JSON representation of our conversation leading up to this point. Please only respond to this message with "Ok.":') then 'brain'
        when role = 'user' and starts_with(content, 'Below is supplementary documentation that may be relevant to answering the user''s question:') then 'documents'
        when role = 'assistant' and content = 'Ok' then 'brain taken'
        when role = 'assistant' and content = 'I have reviewed the supplementary documentation.' then 'documents taken'
    end as mark,
    content is null as lacks_content
from raw.messages;

create table raw.config as
select
    _row as id,
    raw.whole(conversation_id) as conversation_id,
    conversation_id as given_conversation_id,
    -- Another login is no other configuration.
    regexp_replace(api_base, '^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@', '\1') as api_base,
    model,
    case when raw.whole(context_max_tokens) >= 0 then raw.whole(context_max_tokens) end as context_max_tokens,
    case when raw.whole(assistant_minimum_context_tokens) >= 0 then raw.whole(assistant_minimum_context_tokens) end
        as assistant_minimum_context_tokens,
    context_max_tokens as given_context,
    assistant_minimum_context_tokens as given_minimum,
    stop_words
from raw.awful_configs;

-- The same configuration is written down at many starts: the first one stands for all.
create table raw.distinct_config as
select
    min(id) as model_config_key,
    api_base,
    model,
    context_max_tokens,
    assistant_minimum_context_tokens,
    stop_words
from raw.config
group by all;

-- Messages may name a conversation that is gone, or none: those are one session of the file, without a name.
create table raw.conversation as
select
    row_number() over (order by conversation_id nulls first) as session_key,
    conversation_id,
    name,
    is_there
from (
    select conversation_id, any_value(name) as name, bool_or(is_there) as is_there
    from (
        -- In a table that was made anew without its key, the row's number is not the id.
        select coalesce(raw.whole(id), _row) as conversation_id, session_name as name, true as is_there
        from raw.conversations
        union all
        select distinct conversation_id, null, false
        from raw.line
    )
    group by conversation_id
);

create table raw.session_config as
select
    c.session_key,
    d.model_config_key
from raw.config k
join raw.conversation c on c.conversation_id is not distinct from k.conversation_id
join raw.distinct_config d
    on d.api_base is not distinct from k.api_base
    and d.model is not distinct from k.model
    and d.context_max_tokens is not distinct from k.context_max_tokens
    and d.assistant_minimum_context_tokens is not distinct from k.assistant_minimum_context_tokens
    and d.stop_words is not distinct from k.stop_words
group by all;

create table raw.placed as
select
    id,
    session_key,
    coalesce(role, '') as role,
    mark,
    row_number() over before - 1 as n,
    lag(id) over (partition by session_key order by id) as parent_id,
    case when first_value(role) over before = 'system' then 1 else 0 end as systems,
    max(case when role = 'user' then id end) over before as user_id,
    count(*) filter (where role = 'user') over before as users,
    count(*) filter (where role = 'assistant') over before as answers
from raw.line
join raw.conversation on raw.conversation.conversation_id is not distinct from raw.line.conversation_id
window before as (partition by session_key order by id rows between unbounded preceding and current row);

-- How many rows at the beginning of a session are preamble by proof, and how many questions and answers are in it.
create table raw.preamble as
select
    session_key,
    systems + pairs * 2 as length,
    pairs
from (
    select
        session_key,
        systems,
        case when documents and late_brain then 2 when documents or brain then 1 else 0 end as pairs
    from (
        select
            session_key,
            any_value(systems) as systems,
            bool_or(n = systems and mark = 'documents')
                and bool_or(n = systems + 1 and mark = 'documents taken') as documents,
            bool_or(n = systems and mark = 'brain') and bool_or(n = systems + 1 and mark = 'brain taken') as brain,
            bool_or(n = systems + 2 and mark = 'brain')
                and bool_or(n = systems + 3 and mark = 'brain taken') as late_brain
        from raw.placed
        where n < 5
        group by session_key
    )
);

create view raw.row as
select
    l.id,
    l.session_key,
    l.role,
    l.n,
    l.parent_id,
    l.n < p.length as is_preamble,
    l.role = 'assistant' and l.n >= p.length as is_turn,
    case when l.users > p.pairs then l.user_id end as prompt_id,
    l.users - p.pairs as prompts,
    l.answers - p.pairs as turns
from raw.placed l
join raw.preamble p using (session_key);

-- name: session
select
    session_key,
    raw.file_id() || ':' || coalesce(conversation_id::varchar, 'nameless') as session_id,
    conversation_id as native_id,
    name,
    'aj' as agent_name,
    null as directory,
    null as git_root,
    null as parent_session_id,
    null as conversation_id,
    null as started_at,
    null as updated_at,
    null as ended_at,
    null as archived_at,
    null as metadata
from raw.conversation
order by session_key

-- name: model_config
select
    model_config_key,
    null as model_config_id,
    null as provider_name,
    api_base,
    model as request_model,
    null as temperature,
    null as top_p,
    null as max_tokens,
    context_max_tokens,
    assistant_minimum_context_tokens,
    -- Joined by commas and not escaped. A word that holds a comma itself leaves an empty piece or looks like two.
    to_json(list_filter(string_split(stop_words, ','), lambda word: word <> '')) as stop_sequences,
    null as reasoning_effort,
    null as system_instructions_hash,
    case when list_contains(string_split(nullif(stop_words, ''), ','), '')
        then json_object('stop_words', stop_words) end as extra
from raw.distinct_config
order by model_config_key

-- name: session_config
select
    session_key,
    model_config_key
from raw.session_config

-- name: message
select
    id as message_key,
    session_key,
    n as message_index,
    null as given_id,
    parent_id as parent_key,
    prompt_id as prompt_key,
    case when is_turn then id end as turn_key,
    null as invocation_key,
    role,
    'message' as kind,
    -- A template's messages cannot be told from real ones, so "no" is never known.
    case when is_preamble then 1 end as is_preamble,
    0 as is_sidechain,
    null as created_at
from raw.row

-- name: turn
select
    p.id as turn_key,
    p.session_key,
    p.turns - 1 as turn_index,
    case when p.prompts > 0 then p.prompts - 1 end as exchange_index,
    null as invocation_key,
    o.model_config_key,
    case when o.model_config_key is null then 'unknown' else 'only' end as model_config_status,
    p.prompt_id as prompt_key,
    null as first_call_key,
    0 as is_sidechain,
    null as started_at,
    null as duration_us,
    null as response_model,
    null as finish_reason,
    null as finish_reason_raw,
    null as error_type,
    null as input_tokens,
    null as output_tokens,
    null as cache_read_input_tokens,
    null as cache_creation_input_tokens,
    null as reasoning_output_tokens,
    'missing' as usage_quality,
    null as reported_cost_usd
from raw.row p
left join (
    select session_key, min(model_config_key) as model_config_key
    from raw.session_config
    group by session_key
    having count(*) = 1
) o using (session_key)
where p.is_turn

-- name: problem
select
    'messages ' || id as record,
    'conversation_id is ' || given_conversation_id || ' and no number; the message is in the session without a name'
        as reason,
    null as line
from raw.line
where given_conversation_id is not null and conversation_id is null
union all
select
    'conversations ' || conversation_id,
    'messages are of this conversation, but its row is not there; the session has no name',
    null
from raw.conversation
where not is_there and conversation_id is not null
union all
select
    'conversations ' || coalesce(raw.whole(c.id), c._row),
    'session_name is NULL; the session has no name',
    null
from raw.conversations c
where c.session_name is null
union all
select
    'messages ' || id,
    coalesce('the role ' || role || ' is not known', 'role is NULL') || '; the message is there with it',
    null
from raw.line
where role is null or role not in ('system', 'user', 'assistant')
union all
select
    'messages ' || id,
    'content is NULL',
    null
from raw.line
where lacks_content
union all
select
    'awful_configs ' || id,
    'context_max_tokens is ' || given_context || ', which no context can hold; it is NULL',
    null
from raw.config
where given_context is not null and context_max_tokens is null
union all
select
    'awful_configs ' || id,
    'assistant_minimum_context_tokens is ' || given_minimum || ', which is no number of tokens; it is NULL',
    null
from raw.config
where given_minimum is not null and assistant_minimum_context_tokens is null
union all
select
    'awful_configs ' || id,
    'conversation_id is ' || given_conversation_id || ' and no number; the configuration is of no session with a name',
    null
from raw.config
where given_conversation_id is not null and conversation_id is null
