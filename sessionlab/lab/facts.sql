-- The fact tables of one history, in a schema of its own. Rows lie in recording order and stay where they are.
-- What the views of a big frame need stands in its own table, since a join does not keep the order of rows.
-- Times are microseconds since 1970, UTC.

create table facts.session (
    session_key bigint,
    session_id varchar,
    native_id varchar,
    name varchar,
    agent_name varchar,
    directory varchar,
    git_root varchar,
    parent_session_id varchar,
    conversation_id varchar,
    started_at bigint,
    updated_at bigint,
    ended_at bigint,
    archived_at bigint,
    metadata varchar,
    -- of a history of several files: the one it was read from
    origin varchar
);

create table facts.model_config (
    model_config_key bigint,
    model_config_id varchar,
    provider_name varchar,
    api_base varchar,
    request_model varchar,
    temperature double,
    top_p double,
    max_tokens bigint,
    context_max_tokens bigint,
    assistant_minimum_context_tokens bigint,
    stop_sequences varchar[],
    reasoning_effort varchar,
    system_instructions_hash varchar,
    extra varchar
);

create table facts.message (
    message_key bigint,
    session_key bigint,
    session_id varchar,
    message_id varchar,
    message_index bigint,
    parent_message_id varchar,
    is_prompt boolean,
    turn_key bigint,
    turn_id varchar,
    invocation_id varchar,
    role varchar,
    kind varchar,
    is_preamble boolean,
    is_sidechain boolean,
    created_at bigint
);

create table facts.turn (
    turn_key bigint,
    session_key bigint,
    session_id varchar,
    turn_id varchar,
    turn_index bigint,
    exchange_index bigint,
    invocation_key bigint,
    invocation_id varchar,
    provider_name varchar,
    request_model varchar,
    response_model varchar,
    model_config_key bigint,
    model_config_id varchar,
    model_config_status varchar,
    prompt_key bigint,
    first_call_key bigint,
    is_sidechain boolean,
    started_at bigint,
    duration_us bigint,
    tool_call_count bigint,
    finish_reason varchar,
    finish_reason_raw varchar,
    error_type varchar,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_input_tokens bigint,
    cache_creation_input_tokens bigint,
    cache_creation_1h_input_tokens bigint,
    reasoning_output_tokens bigint,
    usage_quality varchar,
    reported_cost_usd double,
    -- filled when a cost is first asked for
    uncached_input_usd double,
    cache_read_usd double,
    cache_creation_usd double,
    output_usd double,
    reasoning_usd double,
    computed_cost_usd double,
    -- by what name the turn is the same in another file
    claim varchar
);

create table facts.tool_call (
    tool_call_key bigint,
    session_key bigint,
    session_id varchar,
    tool_call_index bigint,
    tool_call_id varchar,
    turn_key bigint,
    turn_id varchar,
    invocation_key bigint,
    tool_name varchar,
    started_at bigint,
    result_key bigint,
    status varchar,
    is_error boolean,
    exit_code bigint,
    duration_us bigint
);

-- The configurations that a session used, where its turns do not say.
create table facts.session_config (
    session_key bigint,
    model_config_key bigint
);

-- The totals of sessions whose turns do not say what they used.
create table facts.session_usage (
    session_usage_key bigint,
    session_key bigint,
    session_id varchar,
    started_at bigint,
    provider_name varchar,
    model varchar,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_input_tokens bigint,
    cache_creation_input_tokens bigint,
    cache_creation_1h_input_tokens bigint,
    reasoning_output_tokens bigint,
    usage_quality varchar,
    reported_cost_usd double,
    -- filled when a cost is first asked for
    uncached_input_usd double,
    cache_read_usd double,
    cache_creation_usd double,
    output_usd double,
    reasoning_usd double,
    computed_cost_usd double
);
