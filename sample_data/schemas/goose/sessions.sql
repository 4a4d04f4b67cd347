-- The tables of goose 1.50, version 16 of its schema.
create table schema_version (
    version integer primary key,
    applied_at timestamp default current_timestamp
);
create table sessions (
    id text primary key,
    name text not null default '',
    description text not null default '',
    user_set_name boolean default false,
    session_type text not null default 'user',
    working_dir text not null,
    created_at timestamp default current_timestamp,
    updated_at timestamp default current_timestamp,
    extension_data text default '{}',
    total_tokens integer,
    input_tokens integer,
    output_tokens integer,
    cache_read_tokens integer,
    cache_write_tokens integer,
    accumulated_total_tokens integer,
    accumulated_input_tokens integer,
    accumulated_output_tokens integer,
    accumulated_cache_read_tokens integer,
    accumulated_cache_write_tokens integer,
    accumulated_cost real,
    schedule_id text,
    recipe_json text,
    user_recipe_values_json text,
    provider_name text,
    model_config_json text,
    goose_mode text not null default 'auto',
    archived_at timestamp,
    project_id text,
    parent_session_id text
);
create table messages (
    id integer primary key autoincrement,
    message_id text,
    session_id text not null references sessions(id),
    role text not null,
    content_json text not null,
    created_timestamp integer not null,
    timestamp timestamp default current_timestamp,
    tokens integer,
    metadata_json text
);
create table usage_ledger (
    id integer primary key autoincrement,
    session_id text not null references sessions(id) on delete cascade,
    created_timestamp integer not null,
    model text,
    input_tokens integer,
    output_tokens integer,
    total_tokens integer,
    cache_read_tokens integer,
    cache_write_tokens integer,
    cost real,
    cost_source text,
    is_compaction integer default 0
);
create index idx_messages_session on messages(session_id);
create index idx_messages_message_id on messages(message_id);
create index idx_usage_ledger_session on usage_ledger(session_id);
