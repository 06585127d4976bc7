-- What a CHECK cannot say: state machines, counters that only grow, order in time, graphs.
--
-- Every refusal is SQLSTATE 23514 (check_violation) with the rule's name as constraint name, so callers
-- match on the name and never on the text. Functions pin the schema they were created in, so that the
-- rules hold for a psql session with any search_path.

create function refuse(rule text, message text) returns void
    language plpgsql as $$
begin
    raise exception '%', message using errcode = 'check_violation', constraint = rule;
end $$;

create function touch_updated_at() returns trigger
    language plpgsql as $$
begin
    new.updated_at := greatest(clock_timestamp(), old.updated_at);
    return new;
end $$;

-- ---------------------------------------------------------------------------------------------------
-- migration_orchestration: status and its times, attempt, progress
--
--   pending -> running -> completed | failed         running -> rolling_back -> pending
--   failed | completed -> rolling_back               until finalized_at is set
--
-- The trigger stamps started_at and completed_at itself. Back in pending both are null, progress starts
-- anew and the attempt is one higher.

create function guard_orchestration() returns trigger
    language plpgsql set search_path from current as $$
declare
    step text := old.status || '->' || new.status;
begin
    if old.finalized_at is not null
       and (new.finalized_at is distinct from old.finalized_at or new.status <> old.status) then
        perform refuse('orchestration_finalized', 'a finalized migration does not change its status');
    end if;

    if new.status <> old.status then
        if step not in ('pending->running', 'running->completed', 'running->failed',
                        'running->rolling_back', 'failed->rolling_back',
                        'completed->rolling_back', 'rolling_back->pending') then
            perform refuse('orchestration_transition',
                           format('a migration cannot go from %s to %s', old.status, new.status));
        end if;
        case new.status
            when 'running' then
                new.started_at := clock_timestamp();
            when 'completed', 'failed' then
                new.completed_at :=
                    greatest(clock_timestamp(), new.started_at + interval '1 microsecond');
            when 'rolling_back' then
                new.completed_at := null;
            when 'pending' then
                new.started_at := null;
                new.completed_at := null;
        end case;
    else
        new.started_at := old.started_at;
        new.completed_at := old.completed_at;
    end if;

    if new.attempt <> old.attempt + (step = 'rolling_back->pending')::int then
        perform refuse('orchestration_attempt',
                       'the attempt rises by one when a rollback is done, and only then');
    end if;

    if new.attempt = old.attempt then
        if new.progress_percentage < old.progress_percentage then
            perform refuse('orchestration_progress_falls',
                           'progress_percentage never falls within an attempt');
        elsif new.status = 'rolling_back'
              and new.progress_percentage > old.progress_percentage then
            perform refuse('orchestration_progress_rollback',
                           'progress_percentage does not rise while rolling back');
        end if;
    elsif new.progress_percentage <> 0 then
        perform refuse('orchestration_progress_attempt',
                       'a new attempt starts with progress_percentage 0');
    end if;

    if new.activity = 'paused' and old.activity is distinct from 'paused'
       and old.activity is distinct from 'pausing' then
        perform refuse('orchestration_paused', 'only a pausing migration becomes paused');
    end if;

    if new.status = 'completed' and old.status <> 'completed'
       and exists (select from entity_migration_status e
                   where e.migration_id = new.id and e.status not in ('completed', 'skipped')) then
        perform refuse('orchestration_open_entities',
                       'a migration completes when every entity is completed or skipped');
    end if;

    if (new.status, new.activity, new.attempt, new.plan_id)
       is distinct from (old.status, old.activity, old.attempt, old.plan_id) then
        new.generation := old.generation + 1;
    else
        new.generation := old.generation;
    end if;
    return new;
end $$;

create function guard_orchestration_insert() returns trigger
    language plpgsql set search_path from current as $$
begin
    if new.status <> 'pending' or new.progress_percentage <> 0 then
        perform refuse('orchestration_transition', 'a migration starts as pending');
    end if;
    return new;
end $$;

create trigger a_guard_insert before insert on migration_orchestration
    for each row execute function guard_orchestration_insert();
create trigger a_guard before update on migration_orchestration
    for each row execute function guard_orchestration();
create trigger b_touch before update on migration_orchestration
    for each row execute function touch_updated_at();

-- ---------------------------------------------------------------------------------------------------
-- entity_migration_status: names from the mapping, status and its times, dependencies
--
--   pending -> running                  its dependencies are completed or skipped
--   pending -> skipped, skipped -> pending
--   running -> completed | failed
--   running | completed | failed -> pending    undone or reset: every counter is 0 again
--   completed -> running                quarantined rows are tried again
--   failed -> running                   resumed

create function guard_entity() returns trigger
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

create trigger a_guard before insert or update on entity_migration_status
    for each row execute function guard_entity();
create trigger b_touch before update on entity_migration_status
    for each row execute function touch_updated_at();

-- ---------------------------------------------------------------------------------------------------
-- migration_checkpoint: in chronological order per migration, batch_number increments within entity
--
-- created_at is greatest(now, the migration's last + 1 microsecond). An entity_completion closes the
-- last batch instead of starting one, so it may bear that batch's number. After insert only
-- is_resumable changes.

create function guard_checkpoint() returns trigger
    language plpgsql set search_path from current as $$
declare
    last_at timestamptz;
    last_number bigint;
begin
    if tg_op = 'UPDATE' then
        if to_jsonb(new) - 'is_resumable' is distinct from to_jsonb(old) - 'is_resumable' then
            perform refuse('checkpoint_immutable', 'a checkpoint changes only in is_resumable');
        end if;
        return new;
    end if;

    -- One writer per migration at a time: the order below is then the order of commits.
    perform from migration_orchestration where id = new.migration_id for no key update;

    perform from entity_migration_status e
    where e.migration_id = new.migration_id and e.entity = new.entity
      and e.entity_name = new.entity_name;
    if not found then
        perform refuse('checkpoint_entity',
                       format('entity %s (%s) is not of this migration', new.entity, new.entity_name));
    end if;

    select max(created_at) into last_at
    from migration_checkpoint where migration_id = new.migration_id;
    new.created_at := greatest(clock_timestamp(), last_at + interval '1 microsecond');

    select max(batch_number) into last_number
    from migration_checkpoint where migration_id = new.migration_id and entity = new.entity;
    if new.batch_number < last_number
       or (new.batch_number = last_number and new.checkpoint_type <> 'entity_completion') then
        perform refuse('checkpoint_batch_number',
                       format('checkpoint %s of entity %s does not follow %s',
                              new.batch_number, new.entity, last_number));
    end if;
    return new;
end $$;

create trigger a_guard before insert or update on migration_checkpoint
    for each row execute function guard_checkpoint();

-- ---------------------------------------------------------------------------------------------------
-- batch_processing_status: gapless numbers per entity, states
--
-- A batch gets its number when it is first stored as completed or failed (earlier is allowed): the one
-- after its entity's last_batch_number, which this trigger moves on. Its own identity is
-- (partition_id, attempt, seq).
--
--   pending -> processing | retrying | completed | failed        processing <-> retrying
--   processing | retrying -> completed | failed
--   failed -> processing | retrying | completed      resumed: the same seq again
--   completed                                        is final

create function guard_batch_update() returns trigger
    language plpgsql set search_path from current as $$
declare
    step text := old.status || '->' || new.status;
begin
    if (new.id, new.migration_id, new.entity_status_id, new.partition_id, new.attempt, new.seq)
       is distinct from
       (old.id, old.migration_id, old.entity_status_id, old.partition_id, old.attempt, old.seq) then
        perform refuse('batch_identity', 'a batch keeps its identity');
    end if;
    if old.batch_number is not null and new.batch_number is distinct from old.batch_number then
        perform refuse('batch_number_changes', 'a batch keeps its number');
    end if;
    if new.retry_count < old.retry_count then
        perform refuse('batch_retry_falls', 'retry_count never falls');
    end if;
    if new.status <> old.status
       and step not in ('pending->processing', 'pending->retrying', 'pending->completed',
                        'pending->failed', 'processing->retrying', 'processing->completed',
                        'processing->failed', 'retrying->processing', 'retrying->completed',
                        'retrying->failed', 'failed->processing', 'failed->retrying',
                        'failed->completed') then
        perform refuse('batch_transition',
                       format('a batch cannot go from %s to %s', old.status, new.status));
    end if;
    return new;
end $$;

create function number_batch() returns trigger
    language plpgsql set search_path from current as $$
begin
    if new.batch_number is null then
        return null;
    end if;
    if tg_op = 'UPDATE' then
        if old.batch_number is not null then
            return null;
        end if;
    end if;
    update entity_migration_status
    set last_batch_number = new.batch_number
    where id = new.entity_status_id and last_batch_number = new.batch_number - 1;
    if not found then
        perform refuse('batch_number_sequential',
                       format('batch_number %s is not the next of its entity', new.batch_number));
    end if;
    return null;
end $$;

create trigger a_guard before update on batch_processing_status
    for each row execute function guard_batch_update();
create trigger b_number after insert or update of batch_number on batch_processing_status
    for each row execute function number_batch();

-- ---------------------------------------------------------------------------------------------------
-- migration_error: its batch exists when it is stored (no foreign key: batches are dropped sooner)

create function guard_error() returns trigger
    language plpgsql set search_path from current as $$
begin
    if tg_op = 'UPDATE' then
        if to_jsonb(new) - '{is_resolved,resolution_notes}'::text[]
           is distinct from to_jsonb(old) - '{is_resolved,resolution_notes}'::text[] then
            perform refuse('error_immutable',
                           'an error changes only in is_resolved and resolution_notes');
        end if;
        return new;
    end if;

    if new.batch_id is not null then
        perform from batch_processing_status b
        where b.id = new.batch_id and b.migration_id = new.migration_id
          and b.entity_status_id = new.entity_status_id;
        if not found then
            perform refuse('error_batch', 'batch_id is no batch of this migration and entity');
        end if;
    end if;
    if new.entity_status_id is not null then
        perform from entity_migration_status e
        where e.id = new.entity_status_id and e.migration_id = new.migration_id
          and e.entity = new.entity;
        if not found then
            perform refuse('error_entity_name', 'entity is not the entity of entity_status_id');
        end if;
    end if;
    return new;
end $$;

create trigger a_guard before insert or update on migration_error
    for each row execute function guard_error();

-- ---------------------------------------------------------------------------------------------------
-- schema_change_operation: states
--
--   pending -> completed | failed      failed -> completed | pending
--   completed -> rolled_back           rolled_back -> pending        the next attempt

create function guard_schema_change() returns trigger
    language plpgsql set search_path from current as $$
begin
    if new.status <> old.status then
        if old.status || '->' || new.status not in
           ('pending->completed', 'pending->failed', 'failed->completed', 'failed->pending',
            'completed->rolled_back', 'rolled_back->pending') then
            perform refuse('schema_change_transition',
                           format('an operation cannot go from %s to %s', old.status, new.status));
        end if;
    end if;
    if old.status <> 'pending' and new.status <> 'pending'
       and new.operation_sql is distinct from old.operation_sql then
        perform refuse('schema_change_immutable', 'the SQL of an executed operation does not change');
    end if;
    return new;
end $$;

create trigger a_guard before update on schema_change_operation
    for each row execute function guard_schema_change();
create trigger b_touch before update on schema_change_operation
    for each row execute function touch_updated_at();

-- ---------------------------------------------------------------------------------------------------
-- legacy_entity_mapping: one hash per version once rows were copied by it; an acyclic graph
--
-- dependency_entities holds the edges an entity waits for. Self edges are ignored, deferred edges are
-- not stored here. The graph is looked at when the transaction commits, over the versions in use.

create function guard_mapping() returns trigger
    language plpgsql set search_path from current as $$
begin
    if (new.id, new.plan_name, new.entity, new.version)
       is distinct from (old.id, old.plan_name, old.entity, old.version) then
        perform refuse('mapping_identity', 'plan_name, entity and version never change');
    end if;
    if new.entity_hash <> old.entity_hash
       and exists (select from entity_migration_status e
                   where e.legacy_entity_mapping_id = old.id and e.last_batch_number > 0) then
        perform refuse('mapping_hash_written',
                       format('rows of entity %s were copied by version %s with other rules',
                              old.entity, old.version));
    end if;
    return new;
end $$;

create function guard_mapping_graph() returns trigger
    language plpgsql set search_path from current as $$
declare
    missing text;
    looped boolean;
begin
    select string_agg(d, ', ' order by d) into missing
    from unnest(new.dependency_entities) d
    where not exists (select from legacy_entity_mapping m
                      where m.plan_name = new.plan_name and m.entity = d);
    if missing is not null then
        perform refuse('mapping_dependency_unknown',
                       format('entity %s depends on unknown %s', new.entity, missing));
    end if;

    with recursive edge as (
        select m.entity, d.name as needs
        from legacy_entity_mapping m, unnest(m.dependency_entities) as d (name)
        where m.plan_name = new.plan_name and m.is_active and d.name <> m.entity
    ), reached (entity) as (
        select e.needs from edge e where e.entity = new.entity
        union
        select e.needs from reached r join edge e on e.entity = r.entity
    )
    select exists (select from reached where entity = new.entity) into looped;
    if looped then
        perform refuse('mapping_dependency_cycle',
                       format('the dependencies of entity %s form a cycle', new.entity));
    end if;
    return null;
end $$;

create trigger a_guard before update on legacy_entity_mapping
    for each row execute function guard_mapping();
create trigger b_touch before update on legacy_entity_mapping
    for each row execute function touch_updated_at();
create constraint trigger c_graph
    after insert or update of dependency_entities, is_active on legacy_entity_mapping
    deferrable initially deferred
    for each row execute function guard_mapping_graph();
