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

create table raw.sorted as
select
    id,
    session_key,
    coalesce(role, '') as role,
    mark
from raw.line
join raw.conversation on raw.conversation.conversation_id is not distinct from raw.line.conversation_id
order by session_key, id;

-- Counts run through all sessions, which needs no second sorting; what comes before a session is taken off below.
create table raw.placed as
select
    *,
    row_number() over () as place,
    lag(session_key) over () as session_before,
    lag(id) over () as id_before,
    last_value(case when role = 'user' then id end ignore nulls) over before as user_id,
    count(*) filter (where role = 'user') over before as users,
    count(*) filter (where role = 'assistant') over before as answers
from raw.sorted
window before as (rows between unbounded preceding and current row);

create table raw.start as
select
    session_key,
    place,
    (role = 'system')::bigint as systems,
    users - (role = 'user')::bigint as users,
    answers - (role = 'assistant')::bigint as answers
from raw.placed
where session_before is distinct from session_key;

-- How many rows at the beginning of a session are preamble by proof, and how many questions and answers are in it.
create table raw.preamble as
select
    session_key,
    place,
    systems + pairs * 2 as length,
    users + pairs as users,
    answers + pairs as answers
from (
    select
        session_key,
        place,
        systems,
        users,
        answers,
        case when documents and late_brain then 2 when documents or brain then 1 else 0 end as pairs
    from (
        select
            session_key,
            bool_or(n = systems and mark = 'documents')
                and bool_or(n = systems + 1 and mark = 'documents taken') as documents,
            bool_or(n = systems and mark = 'brain') and bool_or(n = systems + 1 and mark = 'brain taken') as brain,
            bool_or(n = systems + 2 and mark = 'brain')
                and bool_or(n = systems + 3 and mark = 'brain taken') as late_brain
        from (
            select
                session_key,
                mark,
                l.place - s.place as n,
                systems
            from raw.placed l
            join raw.start s using (session_key)
            where mark is not null
        )
        group by session_key
    )
    right join raw.start using (session_key)
);

create view raw.row as
select
    id,
    session_key,
    role,
    l.place - p.place as n,
    case when l.place > p.place then id_before end as parent_id,
    l.place - p.place < length as is_preamble,
    role = 'assistant' and l.place - p.place >= length as is_turn,
    case when l.users > p.users then user_id end as prompt_id,
    l.users - p.users as prompts,
    l.answers - p.answers as turns
from raw.placed l
join raw.preamble p using (session_key);

-- name: session
select
    session_key,
    raw.file_id() || ':' || coalesce(conversation_id::varchar, 'nameless') as session_id,
    conversation_id as native_id,
    name,
    'aj' as agent_name
from raw.conversation
order by session_key

-- name: model_config
select
    model_config_key,
    api_base,
    model as request_model,
    context_max_tokens,
    assistant_minimum_context_tokens,
    -- Joined by commas and not escaped. A word that holds a comma itself leaves an empty piece or looks like two.
    to_json(list_filter(string_split(stop_words, ','), lambda word: word <> '')) as stop_sequences,
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
    parent_id as parent_key,
    prompt_id as prompt_key,
    case when is_turn then id end as turn_key,
    role,
    'message' as kind,
    -- A template's messages cannot be told from real ones, so "no" is never known.
    case when is_preamble then 1 end as is_preamble,
    0 as is_sidechain
from raw.row

-- name: turn
select
    p.id as turn_key,
    p.session_key,
    p.turns - 1 as turn_index,
    case when p.prompts > 0 then p.prompts - 1 end as exchange_index,
    o.model_config_key,
    case when o.model_config_key is null then 'unknown' else 'only' end as model_config_status,
    p.prompt_id as prompt_key,
    0 as is_sidechain,
    'missing' as usage_quality
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
