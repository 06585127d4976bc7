-- Validations: what was asked for, the pieces of each, and which of them are done. A restart goes on with what is left.

create type validation_run_status as enum ('running', 'completed', 'failed', 'cancelled');

create table validation_run (
    id           uuid                  primary key,
    migration_id uuid                  not null references migration_orchestration (id) on delete cascade,
    attempt      integer               not null check (attempt >= 1),
    status       validation_run_status not null default 'running',
    outcome      validation_status,
    level        text                  check (level <> ''),
    entities     text[]                not null default '{}',
    created_by   text                  not null check (created_by <> ''),
    created_at   timestamptz           not null default clock_timestamp(),
    completed_at timestamptz,
    reason       text                  check (reason <> ''),

    constraint validation_run_ended check ((status = 'running') = (completed_at is null)),
    constraint validation_run_reason check ((status in ('failed', 'cancelled')) = (reason is not null)),
    constraint validation_run_outcome check (status = 'completed' or outcome is null)
);

create unique index validation_run_running on validation_run (migration_id) where status = 'running';
create index validation_run_migration on validation_run (migration_id, created_at);

create table validation_unit (
    run_id      uuid        not null references validation_run (id) on delete cascade,
    number      integer     not null check (number >= 0),
    question    jsonb       not null check (jsonb_typeof(question) = 'object'),
    answer      jsonb,
    duration_ms bigint      not null default 0 check (duration_ms >= 0),
    done_at     timestamptz,
    primary key (run_id, number),

    constraint validation_unit_done check ((answer is null) = (done_at is null))
);

create table validation_sketch (
    run_id    uuid    not null references validation_run (id) on delete cascade,
    entity    text    not null check (entity <> ''),
    is_source boolean not null,
    sketch    text    not null,
    primary key (run_id, entity, is_source)
);

alter table data_validation_result
    add column validation_run_id uuid references validation_run (id) on delete cascade;
create index data_validation_result_run on data_validation_result (validation_run_id);

comment on type validation_run_status is
    'Added: how far a validation is. completed: its results are stored, whatever they say.';
comment on table validation_run is 'Validations: checks of a migration that were asked for together.';
comment on column validation_run.outcome is 'The worst of its results.';
comment on column validation_run.level is 'Level that was asked for; null: as the plan says, else full.';
comment on column validation_run.entities is 'Entities that were asked for; none: all.';
comment on column validation_run.reason is 'Why it failed or was cancelled.';
comment on table validation_unit is
    'Pieces of a validation: a question to an agent each, and its answer. They read only, and any of them can be asked again.';
comment on table validation_sketch is
    'Sums of the sketches of an entity''s rows, one for each side; a piece is added in the transaction that makes it done.';
comment on column data_validation_result.validation_run_id is 'The validation that it is a result of. Beside the data model.';
