-- The operator's hand: what is wished of single entities, rows that are to be tried again, how long a pause may drain.

alter table migration_orchestration
    add column drain_seconds integer check (drain_seconds >= 0),
    add column command_count bigint not null default 0;
comment on column migration_orchestration.drain_seconds is
    'How long agents may take to give partitions back before what they hold is sealed; none: the default.';
comment on column migration_orchestration.command_count is
    'Commands that change no state of the migration itself: each raises the generation, and so the etag.';

-- Runs after a_guard, which keeps the generation.
create function guard_commands() returns trigger
    language plpgsql as $$
begin
    if new.command_count <> old.command_count and new.generation = old.generation then
        new.generation := old.generation + 1;
    end if;
    return new;
end $$;

create trigger a_guard_commands before update on migration_orchestration
    for each row execute function guard_commands();

-- What an operator wishes of one entity. It is reached once nothing of the entity can commit any more.
alter table entity_migration_status
    add column intent            text check (intent in ('paused', 'skipped')),
    add column intent_reason     text check (intent_reason <> ''),
    add column intent_by         text check (intent_by <> ''),
    add column intent_reached_at timestamptz,
    add constraint entity_intent
        check (intent is not null
               or (intent_reason is null and intent_by is null and intent_reached_at is null)),
    -- One that was begun can be skipped: its rows stay, and its counters tell of them.
    drop constraint entity_records_untouched,
    add constraint entity_records_untouched
        check (status <> 'pending' or (records_read = 0 and records_filtered = 0));
comment on column entity_migration_status.intent is
    'paused: nothing of it is handed out; skipped: it is left out, and others go on without it.';

-- As in 0002, with running -> skipped, failed -> skipped and skipped -> running beside the others.
create or replace function guard_entity() returns trigger
    language plpgsql set search_path from current as $$
declare
    step text;
    unmet text;
begin
    if tg_op = 'INSERT' then
        if new.status not in ('pending', 'skipped') then
            perform refuse('entity_transition', 'an entity starts as pending or skipped');
        end if;
    else
        if (new.id, new.migration_id, new.entity)
           is distinct from (old.id, old.migration_id, old.entity) then
            perform refuse('entity_identity', 'id, migration_id and entity never change');
        end if;
        if new.last_batch_number < old.last_batch_number then
            perform refuse('entity_batch_number_falls', 'last_batch_number never falls');
        end if;
    end if;

    if tg_op = 'INSERT'
       or (new.entity_name, new.target_entity, new.entity_type, new.entity_hash,
           new.legacy_entity_mapping_id)
          is distinct from
          (old.entity_name, old.target_entity, old.entity_type, old.entity_hash,
           old.legacy_entity_mapping_id) then
        perform 1
        from legacy_entity_mapping m
        join migration_orchestration o on o.id = new.migration_id
        join plan p on p.id = o.plan_id and p.name = m.plan_name
        where m.id = new.legacy_entity_mapping_id
          and (m.entity, m.source_entity, m.destination_entity, m.entity_type, m.entity_hash)
            = (new.entity, new.entity_name, new.target_entity, new.entity_type, new.entity_hash);
        if not found then
            perform refuse('entity_mapping_match',
                           format('entity %s is not as its legacy_entity_mapping says', new.entity));
        end if;
    end if;

    if tg_op = 'INSERT' then
        return new;
    end if;

    if new.status = old.status then
        new.started_at := old.started_at;
        new.completed_at := old.completed_at;
        return new;
    end if;

    step := old.status || '->' || new.status;
    if step not in ('pending->running', 'pending->skipped', 'skipped->pending',
                    'running->completed', 'running->failed', 'running->pending',
                    'running->skipped', 'failed->skipped', 'skipped->running',
                    'completed->pending', 'completed->running',
                    'failed->running', 'failed->pending') then
        perform refuse('entity_transition',
                       format('an entity cannot go from %s to %s', old.status, new.status));
    end if;

    if step = 'pending->running' then
        select string_agg(d.entity, ', ' order by d.entity) into unmet
        from legacy_entity_mapping m
        join entity_migration_status d
          on d.migration_id = new.migration_id and d.entity = any (m.dependency_entities)
        where m.id = new.legacy_entity_mapping_id
          and d.entity <> new.entity
          and d.status not in ('completed', 'skipped');
        if unmet is not null then
            perform refuse('entity_dependencies',
                           format('entity %s waits for %s', new.entity, unmet));
        end if;
    end if;

    case new.status
        when 'running' then
            new.started_at := coalesce(old.started_at, clock_timestamp());
            new.completed_at := null;
        when 'completed', 'failed' then
            new.completed_at :=
                greatest(clock_timestamp(), new.started_at + interval '1 microsecond');
        when 'pending', 'skipped' then
            new.started_at := null;
            new.completed_at := null;
    end case;
    return new;
end $$;

-- A retry is a partition of its own, numbered from -2 downwards: it moves rows from failed to written, so its own
-- counters may be negative. Those of an entity never are.
alter table partition_progress
    drop constraint partition_progress_number_check,
    drop constraint partition_progress_check,
    drop constraint partition_progress_rows_failed_check,
    drop constraint partition_progress_rows_held_check,
    drop constraint partition_rows_held,
    add constraint partition_rows_signs
        check (number <= -2 or (rows_failed >= 0 and rows_held >= 0 and rows_held <= rows_failed
                                and (rows_written >= 0 or number = -1)));

-- Rows that are to be read and written again, by key.
create table retry (
    retry_id     uuid        primary key,
    migration_id uuid        not null,
    entity       text        not null,
    attempt      integer     not null check (attempt >= 1),
    number       integer     not null check (number <= -2),
    keys         jsonb       not null check (jsonb_typeof(keys) = 'array' and keys <> '[]'),
    asked_by     text        not null check (asked_by <> ''),
    root_id      uuid,
    state        text        not null default 'pending' check (state in ('pending', 'done', 'failed')),
    tries        integer     not null default 0 check (tries >= 0),
    problem      text        check (problem <> ''),
    rows_written bigint      not null default 0 check (rows_written >= 0),
    rows_failed  bigint      not null default 0 check (rows_failed >= 0),
    rows_gone    bigint      not null default 0 check (rows_gone >= 0),
    created_at   timestamptz not null default clock_timestamp(),
    ended_at     timestamptz,

    unique (migration_id, entity, attempt, number),
    foreign key (migration_id, entity)
        references entity_migration_status (migration_id, entity) on delete cascade,
    constraint retry_ended check ((ended_at is not null) = (state <> 'pending')),
    constraint retry_problem check (state <> 'failed' or problem is not null)
);
comment on column retry.root_id is
    'The retry that it follows from, directly or not: its rows were held because of rows that are written now.';
comment on table retry is 'Quarantined rows that an operator wants tried again, some hundred keys each.';
create index retry_pending on retry (migration_id, created_at) where state = 'pending';
