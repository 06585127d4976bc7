-- Rolling back: what is undone, what became of conflicts, and what it came to.

alter table migration_orchestration
    add column rollback_scope  jsonb check (jsonb_typeof(rollback_scope) = 'object'),
    add column rollback_report jsonb check (jsonb_typeof(rollback_report) = 'object');
comment on column migration_orchestration.rollback_scope is
    'Of the rollback under way or the last one: {"entities": [] for all, "conflicts": "keep", "force" or null}.';
comment on column migration_orchestration.rollback_report is
    'What the last rollback came to: each table at the start and after it.';

-- A rollback of some entities alone ends in running, paused: the others stay, and progress starts lower.
--
--   rolling_back -> running          some entities are undone
create or replace function guard_orchestration() returns trigger
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
                        'completed->rolling_back', 'rolling_back->pending', 'rolling_back->running') then
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

    if step = 'rolling_back->running' then
        if new.progress_percentage > old.progress_percentage then
            perform refuse('orchestration_progress_rollback',
                           'progress_percentage does not rise while rolling back');
        end if;
    elsif new.attempt = old.attempt then
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
       and old.activity is distinct from 'pausing' and step <> 'rolling_back->running' then
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
