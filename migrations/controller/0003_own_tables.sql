-- Drover's own tables beside the data model: progress cache, commands, events, who is alive.

-- A cache of the destination's fence and checkpoint rows, rebuilt from there at any time. Its counters
-- are absolute per partition, so a report that arrives twice changes nothing.
create table partition_progress (
    partition_id  uuid        primary key,
    migration_id  uuid        not null,
    entity        text        not null,
    number        integer     not null check (number >= -1),
    after         jsonb,
    upto          jsonb,
    state         text        not null default 'pending'
        check (state in ('pending', 'assigned', 'running', 'done', 'blocked')),
    attempt       integer     not null default 1 check (attempt >= 1),
    seq           bigint      not null default 0 check (seq >= 0),
    acked_seq     bigint      not null default 0 check (acked_seq >= 0),
    cursor        jsonb,
    token         bigint      not null default 0 check (token >= 0),
    holder        uuid,
    rows_read     bigint      not null default 0 check (rows_read >= 0),
    rows_written  bigint      not null default 0 check (rows_written >= 0 or number = -1),
    rows_failed   bigint      not null default 0 check (rows_failed >= 0),
    rows_held     bigint      not null default 0 check (rows_held >= 0),
    rows_filtered bigint      not null default 0 check (rows_filtered >= 0),
    rows_skipped  bigint      not null default 0 check (rows_skipped >= 0),
    updated_at    timestamptz not null default clock_timestamp(),

    unique (migration_id, entity, number),
    foreign key (migration_id, entity)
        references entity_migration_status (migration_id, entity) on delete cascade,
    constraint partition_rows_read check (rows_read = rows_written + rows_failed + rows_skipped),
    constraint partition_rows_held check (rows_held <= rows_failed),
    constraint partition_acked check (acked_seq <= seq),
    constraint partition_holder check (state not in ('assigned', 'running') or holder is not null)
);

create function guard_partition() returns trigger
    language plpgsql set search_path from current as $$
begin
    if new.attempt < old.attempt
       or (new.attempt = old.attempt
           and (new.seq < old.seq or new.token < old.token or new.acked_seq < old.acked_seq)) then
        perform refuse('partition_goes_back',
                       'seq, acked_seq and token never fall within an attempt');
    end if;
    return new;
end $$;

create trigger a_guard before update on partition_progress
    for each row execute function guard_partition();
create trigger b_touch before update on partition_progress
    for each row execute function touch_updated_at();

-- Single rows.
create table era (
    only_row   boolean     primary key default true check (only_row),
    era        integer     not null default 0 check (era between 0 and 1048575),
    cluster_id text,
    revision   bigint      check (revision >= 0),
    raised_at  timestamptz not null default clock_timestamp()
);
insert into era default values;

create table leader_epoch (
    only_row boolean     primary key default true check (only_row),
    epoch    bigint      not null default 0 check (epoch >= 0),
    holder   uuid,
    address  text,
    since    timestamptz not null default clock_timestamp()
);
insert into leader_epoch default values;

create function guard_single_row() returns trigger
    language plpgsql set search_path from current as $$
begin
    if tg_op = 'DELETE' then
        perform refuse('single_row', format('the row of %s stays', tg_table_name));
    elsif tg_table_name = 'era' then
        if new.era < old.era then
            perform refuse('era_falls', 'the era never falls');
        end if;
    elsif new.epoch < old.epoch then
        perform refuse('leader_epoch_falls', 'the leader epoch never falls');
    end if;
    return new;
end $$;

create trigger a_guard before update or delete on era
    for each row execute function guard_single_row();
create trigger a_guard before update or delete on leader_epoch
    for each row execute function guard_single_row();

create table command (
    id           uuid        primary key,
    migration_id uuid        references migration_orchestration (id) on delete cascade,
    verb         text        not null check (verb <> ''),
    body_hash    text        not null check (body_hash <> ''),
    result       jsonb,
    actor        text        not null check (actor <> ''),
    created_at   timestamptz not null default clock_timestamp()
);
create index command_migration on command (migration_id, created_at);

create table outbox (
    id           bigint      primary key generated always as identity,
    event_type   text        not null check (event_type ~ '^[a-z][a-z_]*$'),
    migration_id uuid        not null references migration_orchestration (id) on delete cascade,
    "timestamp"  timestamptz not null default clock_timestamp(),
    data         jsonb       not null,
    delivered_at timestamptz,
    constraint outbox_data check (
        jsonb_typeof(data) = 'object'
        and jsonb_typeof(data -> 'entity') is not distinct from 'string'
        and jsonb_typeof(data -> 'progress_percentage') is not distinct from 'number'
        and jsonb_typeof(data -> 'throughput') is not distinct from 'number')
);
create index outbox_undelivered on outbox (id) where delivered_at is null;
create index outbox_migration on outbox (migration_id, id);

create table agent (
    holder       uuid        primary key,
    agent_id     text        not null check (agent_id <> ''),
    region       text        not null default '',
    version      text        not null default '',
    capabilities jsonb       not null default '{}' check (jsonb_typeof(capabilities) = 'object'),
    first_seen   timestamptz not null default clock_timestamp(),
    last_seen    timestamptz not null default clock_timestamp()
);
create index agent_last_seen on agent (last_seen);
