-- The tables of opencode 1.18 that hold sessions; there are more.
create table project (
    id text primary key,
    worktree text not null,
    vcs text,
    name text,
    time_created integer not null,
    time_updated integer not null,
    time_initialized integer,
    sandboxes text not null,
    commands text
);
create table session (
    id text primary key,
    project_id text not null,
    workspace_id text,
    parent_id text,
    slug text not null,
    directory text not null,
    path text,
    title text not null,
    version text not null,
    share_url text,
    summary_additions integer,
    summary_deletions integer,
    summary_files integer,
    summary_diffs text,
    metadata text,
    cost real default 0 not null,
    tokens_input integer default 0 not null,
    tokens_output integer default 0 not null,
    tokens_reasoning integer default 0 not null,
    tokens_cache_read integer default 0 not null,
    tokens_cache_write integer default 0 not null,
    revert text,
    permission text,
    agent text,
    model text,
    time_created integer not null,
    time_updated integer not null,
    time_compacting integer,
    time_archived integer,
    foreign key (project_id) references project(id) on delete cascade
);
create table message (
    id text primary key,
    session_id text not null,
    time_created integer not null,
    time_updated integer not null,
    data text not null,
    foreign key (session_id) references session(id) on delete cascade
);
create table part (
    id text primary key,
    message_id text not null,
    session_id text not null,
    time_created integer not null,
    time_updated integer not null,
    data text not null,
    foreign key (message_id) references message(id) on delete cascade
);
create table session_message (
    id text primary key,
    session_id text not null,
    type text not null,
    seq integer not null,
    time_created integer not null,
    time_updated integer not null,
    data text not null,
    foreign key (session_id) references session(id) on delete cascade
);
create table todo (
    session_id text not null,
    content text not null,
    status text not null,
    priority text not null,
    position integer not null,
    time_created integer not null,
    time_updated integer not null,
    primary key (session_id, position),
    foreign key (session_id) references session(id) on delete cascade
);
create index message_session_time_created_id_idx on message (session_id, time_created, id);
create index part_message_id_id_idx on part (message_id, id);
create index part_session_idx on part (session_id);
create unique index session_message_session_seq_idx on session_message (session_id, seq);
