-- The archive: other tools' sessions, copied into the store so that they outlive the tools' own deletion.
--
-- Rows are as the frames show them, ids included. A session that has changed is replaced as a whole, in one transaction,
-- and takes a new number of the store's counter as its revision; archived sessions never go.
-- The keys of a session's rows are archive_key * 2^24 plus a number from 1 in the order of the tool's own keys, which
-- messages, turns, tool calls and totals share: so a session is a range of keys, and a turn has the key of its message.

create table archive_session (
    archive_key integer primary key,
    source text not null,
    session_id text not null,
    revision integer not null,
    digest text not null,  -- of all rows of the session: another one means that it has changed
    message_count integer not null,
    turn_count integer not null,
    native_id text,
    name text,
    agent_name text,
    directory text,
    git_root text,
    parent_session_id text,
    conversation_id text,
    started_at integer,
    updated_at integer,
    ended_at integer,
    archived_at integer,
    metadata text,
    origin text,  -- the tool's file
    unique (source, session_id)
) strict;

create index archive_session_revision on archive_session (revision);

create table archive_model_config (
    model_config_key integer primary key,
    source text not null,
    model_config_id text not null,
    revision integer not null,
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
    extra text,  -- JSON object
    unique (source, model_config_id)
) strict;

create index archive_model_config_revision on archive_model_config (revision);

create table archive_message (
    message_key integer primary key,
    message_id text not null,
    message_index integer,
    parent_message_id text,
    is_prompt integer,
    turn_key integer,
    turn_id text,
    invocation_id text,
    role text,
    kind text,
    is_preamble integer,
    is_sidechain integer,
    created_at integer
) strict;

create table archive_message_text (
    message_key integer primary key references archive_message,
    content text,
    reasoning text
) strict;

create table archive_turn (
    turn_key integer primary key,
    turn_id text not null,
    turn_index integer,
    exchange_index integer,
    invocation_id text,
    model_config_key integer references archive_model_config,
    model_config_status text,
    prompt_key integer,
    is_sidechain integer,
    started_at integer,
    duration_us integer,
    tool_call_count integer,
    response_model text,
    finish_reason text,
    finish_reason_raw text,
    error_type text,
    input_tokens integer,
    output_tokens integer,
    cache_read_input_tokens integer,
    cache_creation_input_tokens integer,
    cache_creation_1h_input_tokens integer,
    reasoning_output_tokens integer,
    usage_quality text,
    reported_cost_usd real,
    claim text  -- by what name the turn is the same in another file
) strict;

create table archive_tool_call (
    tool_call_key integer primary key,
    tool_call_index integer,
    tool_call_id text,
    turn_key integer,
    turn_id text,
    tool_name text,
    started_at integer,
    result_key integer,
    status text,
    is_error integer,
    exit_code integer,
    duration_us integer
) strict;

create table archive_tool_call_text (
    tool_call_key integer primary key references archive_tool_call,
    arguments text
) strict;

-- The configurations that a session used, where its turns do not say.
create table archive_session_config (
    archive_key integer not null references archive_session,
    model_config_key integer not null references archive_model_config,
    primary key (archive_key, model_config_key)
) strict, without rowid;

-- The totals of sessions whose turns do not say what they used.
create table archive_session_usage (
    session_usage_key integer primary key,
    started_at integer,
    provider_name text,
    model text,
    input_tokens integer,
    output_tokens integer,
    cache_read_input_tokens integer,
    cache_creation_input_tokens integer,
    cache_creation_1h_input_tokens integer,
    reasoning_output_tokens integer,
    usage_quality text,
    reported_cost_usd real
) strict;

-- What was imported as a whole, and is not read again while its files are as they were.
create table archive_history (
    source text not null,
    root text not null,  -- the file, or the folder that was named
    signature text not null,
    session_count integer not null,
    primary key (source, root)
) strict, without rowid;
