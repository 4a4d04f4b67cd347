-- The first schema of a store.
--
-- Every row that is written takes the next number of one counter, store.last_key, inside its write transaction.
-- So keys rise in the order of commits through all tables, and a reader that knows a key finds what came after it.
-- Rows are only added; a session is the one thing that changes, and then takes a new number as its revision.
-- Times are microseconds since 1970, UTC. NULL means "not reported".
-- Wide text lies apart from the narrow facts, one row for one row and in the same order.

create table counter (
    only_row integer primary key check (only_row = 1),
    store_id text not null,
    last_key integer not null,  -- at least: see the view `store`
    deletions integer not null  -- rises when rows go; who holds a copy then starts over
) strict;

insert into counter values (1, lower(hex(randomblob(16))), 0, 0);

create table session (
    session_key integer primary key,
    revision integer not null,
    session_id text not null unique,
    name text,
    agent_name text,
    directory text,
    git_root text,
    parent_session_id text,  -- no foreign key: the parent may lie in another store
    conversation_id text,
    started_at integer not null,
    ended_at integer,
    archived_at integer,
    metadata text not null
) strict;

create index session_revision on session (revision);
create index session_name on session (name) where name is not null;
create index session_directory on session (directory) where directory is not null;
create index session_git_root on session (git_root) where git_root is not null;

-- One run of a program on a session.
create table invocation (
    invocation_key integer primary key,
    session_key integer not null references session,
    invocation_id text not null,
    started_at integer not null
) strict;

create index invocation_session on invocation (session_key);

create table model_config (
    model_config_key integer primary key,
    model_config_id text not null unique,
    provider_name text,
    api_base text,
    request_model text,
    temperature real,
    top_p real,
    max_tokens integer,
    context_max_tokens integer,
    assistant_minimum_context_tokens integer,
    stop_sequences text,  -- JSON array
    reasoning_effort text,
    system_instructions_hash text,
    extra text  -- JSON object
) strict;

create table model_config_text (
    model_config_key integer primary key references model_config,
    system_instructions text
) strict;

-- From here on a session's answers are given with this configuration.
create table configuration (
    configuration_key integer primary key,
    session_key integer not null references session,
    invocation_key integer not null,
    model_config_key integer not null references model_config,
    configured_at integer not null
) strict;

create index configuration_session on configuration (session_key);

-- parent_key, prompt_key, turn_key and invocation_key have no foreign keys: each would need an index, and a session's
-- rows only ever go together. `sessionlab db check` looks after them.
create table message (
    message_key integer primary key,
    session_key integer not null references session,
    message_index integer not null,
    given_id text,  -- the caller's own; without one the key is the id
    parent_key integer,
    prompt_key integer,  -- the user's message that opened the exchange; itself for that one
    exchange_index integer,
    turn_key integer,  -- of a response itself, of a result the one that asked
    invocation_key integer,
    role text not null check (role in ('system', 'user', 'assistant', 'tool')),
    kind text not null,
    is_preamble integer not null check (is_preamble in (0, 1)),
    created_at integer not null
) strict;

create unique index message_session on message (session_key, message_index);
create unique index message_given on message (session_key, given_id) where given_id is not null;
create unique index message_prompt on message (session_key, exchange_index) where prompt_key = message_key;

create table message_text (
    message_key integer primary key references message,
    content text,
    reasoning text
) strict;

-- A model response or failed model call; its key is that of its message.
create table turn (
    turn_key integer primary key references message,
    session_key integer not null references session,
    turn_index integer not null,
    model_config_key integer references model_config,
    first_call_key integer,  -- calls of this invocation from this key on that had no turn belong to this one
    invocation_key integer not null,
    prompt_key integer,
    exchange_index integer,
    started_at integer not null,
    duration_us integer,
    response_model text,
    finish_reason text,
    finish_reason_raw text,
    error_type text,
    input_tokens integer,
    output_tokens integer,
    cache_read_input_tokens integer,
    cache_creation_input_tokens integer,
    reasoning_output_tokens integer,
    reported_cost_usd real
) strict;

create unique index turn_session on turn (session_key, turn_index);
create index turn_model_config on turn (model_config_key) where model_config_key is not null;

create table tool_call (
    tool_call_key integer primary key,
    session_key integer not null references session,
    tool_call_index integer not null,
    tool_call_id text not null,
    turn_key integer,
    invocation_key integer not null,
    tool_name text not null,
    started_at integer not null
) strict;

create unique index tool_call_session on tool_call (session_key, tool_call_index);

create table tool_call_text (
    tool_call_key integer primary key references tool_call,
    arguments text
) strict;

-- The result's text is the message of role 'tool' with the same key.
create table tool_result (
    tool_result_key integer primary key references message,
    tool_call_key integer not null unique references tool_call,
    session_key integer not null references session,
    status text not null,
    is_error integer not null check (is_error in (0, 1)),
    exit_code integer,
    duration_us integer
) strict;

create index tool_result_session on tool_result (session_key);

-- What readers and writers go by. A message or tool call that has the newest key is itself the record of it: writing
-- the counter too would be one page more in each commit, a fifth of the time that recording a message takes.
create view store as
select
    store_id,
    max(
        last_key,
        coalesce((select max(message_key) from message), 0),
        coalesce((select max(tool_call_key) from tool_call), 0)
    ) as last_key,
    deletions
from counter;
