-- The data model of Drover's metadata: eight entities, one table each, every attribute under its own
-- name (MigrationMapping, the ninth, lives beside the data in the destination).
--
-- Runs with search_path set to the metadata schema; names are unqualified on purpose. This file holds
-- types, tables and what a CHECK can say; 0002_rules.sql holds what needs a trigger.
-- Counts are rows unless a comment says otherwise. All times are this database's clock.

create type migration_type as enum ('full_migration', 'incremental', 'schema_cleanup');
create type migration_status as enum ('pending', 'running', 'completed', 'failed', 'rolling_back');
create type migration_activity as enum ('running', 'pausing', 'paused', 'blocked');
create type entity_status as enum ('pending', 'running', 'completed', 'failed', 'skipped');
create type checkpoint_type as enum ('batch_completion', 'entity_completion', 'error_recovery');
create type batch_status as enum ('pending', 'processing', 'completed', 'failed', 'retrying');
create type error_type as enum
    ('connection_error', 'data_validation', 'constraint_violation', 'timeout', 'unknown');
create type schema_operation_type as enum
    ('drop_column', 'add_column', 'modify_column', 'create_backup',
     'drop_constraint', 'add_constraint', 'drop_index', 'create_index');
create type schema_operation_status as enum ('pending', 'completed', 'failed', 'rolled_back');
create type risk_level as enum ('low', 'medium', 'high', 'critical');
create type validation_type as enum
    ('referential_integrity', 'data_completeness', 'business_rules', 'performance');
create type validation_status as enum ('passed', 'failed', 'warning');
create type validation_severity as enum ('low', 'medium', 'high', 'critical');

-- The documents operators handed in. Not an entity of the data model, but each orchestration runs one.
create table plan (
    id            uuid        primary key default gen_random_uuid(),
    name          text        not null check (name <> ''),
    document      text        not null check (document <> ''),
    document_hash text        not null check (document_hash <> ''),
    namespace     uuid        not null,
    compiled      jsonb       check (jsonb_typeof(compiled) = 'object'),
    created_at    timestamptz not null default clock_timestamp(),
    unique (name, document_hash)
);

create table legacy_entity_mapping (
    id                   uuid        primary key default gen_random_uuid(),
    plan_name            text        not null check (plan_name <> ''),
    entity               text        not null check (entity ~ '^[A-Za-z0-9_]+$'),
    source_entity        text        not null check (source_entity <> ''),
    destination_entity   text        not null check (destination_entity <> ''),
    entity_type          text        not null check (entity_type <> ''),
    transformation_rules jsonb       not null
        check (jsonb_typeof(transformation_rules) = 'object' and transformation_rules <> '{}'),
    dependency_entities  text[]      not null default '{}'
        check (array_position(dependency_entities, null) is null),
    validation_rules     jsonb       not null default '[]'
        check (jsonb_typeof(validation_rules) in ('array', 'object')),
    is_active            boolean     not null default true,
    version              text        not null check (version <> ''),
    entity_hash          text        not null check (entity_hash <> ''),
    created_at           timestamptz not null default clock_timestamp(),
    updated_at           timestamptz not null default clock_timestamp(),
    unique (plan_name, entity, version)
);

-- One version of an entity is in use at a time.
create unique index legacy_entity_mapping_active
    on legacy_entity_mapping (plan_name, entity) where is_active;

create table migration_orchestration (
    id                   uuid             primary key default gen_random_uuid(),
    name                 text             not null check (name <> ''),
    plan_id              uuid             not null references plan (id),
    migration_type       migration_type   not null,
    status               migration_status not null default 'pending',
    activity             migration_activity,
    activity_reason      text             check (activity_reason <> ''),
    activity_hint        text             check (activity_hint <> ''),
    attempt              integer          not null default 1 check (attempt >= 1),
    generation           bigint           not null default 1 check (generation >= 1),
    started_at           timestamptz,
    completed_at         timestamptz,
    finalized_at         timestamptz,
    progress_percentage  numeric(6, 3)    not null default 0
        check (progress_percentage between 0 and 100),
    total_entities       bigint           not null default 0 check (total_entities >= 0),
    completed_entities   bigint           not null default 0 check (completed_entities >= 0),
    error_count          bigint           not null default 0 check (error_count >= 0),
    configuration        jsonb            not null default '{}'
        check (jsonb_typeof(configuration) = 'object'),
    created_by           text             not null check (created_by <> ''),
    source_identity      jsonb            check (jsonb_typeof(source_identity) = 'object'),
    destination_identity jsonb            check (jsonb_typeof(destination_identity) = 'object'),
    created_at           timestamptz      not null default clock_timestamp(),
    updated_at           timestamptz      not null default clock_timestamp(),
    deleted_at           timestamptz,

    constraint orchestration_completed_entities check (completed_entities <= total_entities),
    constraint orchestration_times check (started_at < completed_at),
    constraint orchestration_started check ((started_at is null) = (status = 'pending')),
    constraint orchestration_ended
        check ((completed_at is not null) = (status in ('completed', 'failed'))),
    constraint orchestration_activity
        check ((activity is not null) = (status in ('running', 'rolling_back'))),
    constraint orchestration_blocked_reason
        check (activity is distinct from 'blocked' or activity_reason is not null),
    constraint orchestration_reason
        check (status not in ('pending', 'completed') or activity_reason is null),
    constraint orchestration_failed_is_cancelled
        check (status <> 'failed' or activity_reason is not distinct from 'cancelled'),
    constraint orchestration_progress_open
        check (progress_percentage <= 99.9 or status in ('completed', 'rolling_back')),
    constraint orchestration_progress_done
        check (status <> 'completed' or progress_percentage = 100),
    constraint orchestration_finalized
        check (finalized_at is null or status in ('completed', 'failed')),
    constraint orchestration_deleted_at_rest
        check (deleted_at is null or status not in ('running', 'rolling_back'))
);

create unique index migration_orchestration_name
    on migration_orchestration (name) where deleted_at is null;
create index migration_orchestration_created_at on migration_orchestration (created_at desc, id);
create index migration_orchestration_plan on migration_orchestration (plan_id);

create table entity_migration_status (
    id                       uuid             primary key default gen_random_uuid(),
    migration_id             uuid             not null
        references migration_orchestration (id) on delete cascade,
    legacy_entity_mapping_id uuid             not null references legacy_entity_mapping (id),
    entity                   text             not null check (entity ~ '^[A-Za-z0-9_]+$'),
    entity_name              text             not null check (entity_name <> ''),
    target_entity            text             not null check (target_entity <> ''),
    entity_type              text             not null check (entity_type <> ''),
    entity_hash              text             not null check (entity_hash <> ''),
    dependency_order         integer          not null check (dependency_order >= 1),
    status                   entity_status    not null default 'pending',
    blocked_reason           text             check (blocked_reason <> ''),
    records_total            bigint           not null default 0 check (records_total >= 0),
    records_total_exact      boolean          not null default false,
    records_read             bigint           not null default 0 check (records_read >= 0),
    records_processed        bigint           not null default 0 check (records_processed >= 0),
    records_failed           bigint           not null default 0 check (records_failed >= 0),
    records_held             bigint           not null default 0 check (records_held >= 0),
    records_skipped          bigint           not null default 0 check (records_skipped >= 0),
    records_filtered         bigint           not null default 0 check (records_filtered >= 0),
    records_written          bigint           not null
        generated always as (records_processed - records_skipped) stored,
    max_quarantined          text             not null default '0'
        check (max_quarantined ~ '^[0-9]+$|^[0-9]+(\.[0-9]+)?%$'),
    started_at               timestamptz,
    completed_at             timestamptz,
    last_processed_id        text,
    last_batch_number        bigint           not null default 0 check (last_batch_number >= 0),
    batch_size               bigint           not null check (batch_size > 0),
    throughput_per_second    double precision not null default 0
        check (throughput_per_second >= 0 and throughput_per_second < 'infinity'),
    created_at               timestamptz      not null default clock_timestamp(),
    updated_at               timestamptz      not null default clock_timestamp(),

    unique (migration_id, entity),
    unique (migration_id, dependency_order) deferrable initially immediate,
    unique (migration_id, id),
    constraint entity_records_within_total
        check (records_processed + records_failed <= records_total),
    constraint entity_records_read
        check (records_read = records_processed + records_failed),
    constraint entity_records_skipped check (records_skipped <= records_processed),
    constraint entity_records_held check (records_held <= records_failed),
    constraint entity_records_complete
        check (status <> 'completed'
               or (records_total_exact and records_processed + records_failed = records_total)),
    constraint entity_records_untouched
        check (status not in ('pending', 'skipped') or (records_read = 0 and records_filtered = 0)),
    constraint entity_times check (started_at < completed_at),
    constraint entity_started
        check ((started_at is not null) = (status in ('running', 'completed', 'failed'))),
    constraint entity_ended
        check ((completed_at is not null) = (status in ('completed', 'failed'))),
    constraint entity_blocked check (blocked_reason is null or status in ('running', 'failed'))
);

create index entity_migration_status_name
    on entity_migration_status (entity_name, dependency_order);
create index entity_migration_status_mapping
    on entity_migration_status (legacy_entity_mapping_id);

create table migration_checkpoint (
    id                uuid            primary key default gen_random_uuid(),
    migration_id      uuid            not null
        references migration_orchestration (id) on delete cascade,
    entity            text            not null,
    entity_name       text            not null check (entity_name <> ''),
    checkpoint_type   checkpoint_type not null,
    batch_number      bigint          not null check (batch_number >= 0),
    last_source_id    text,
    records_processed bigint          not null check (records_processed >= 0),
    system_state      jsonb           not null,
    created_at        timestamptz     not null default clock_timestamp(),
    is_resumable      boolean         not null default true,

    foreign key (migration_id, entity)
        references entity_migration_status (migration_id, entity) on delete cascade,
    constraint checkpoint_system_state check (
        jsonb_typeof(system_state) = 'object'
        and system_state ? 'cursor'
        and jsonb_typeof(system_state -> 'partition')   is not distinct from 'string'
        and jsonb_typeof(system_state -> 'attempt')     is not distinct from 'number'
        and jsonb_typeof(system_state -> 'seq')         is not distinct from 'number'
        and jsonb_typeof(system_state -> 'token')       is not distinct from 'number'
        and jsonb_typeof(system_state -> 'entity_hash') is not distinct from 'string')
);

create index migration_checkpoint_created_at on migration_checkpoint (migration_id, created_at);
create index migration_checkpoint_batch_number
    on migration_checkpoint (migration_id, entity, batch_number);
-- A report that arrives twice makes one checkpoint.
create unique index migration_checkpoint_position on migration_checkpoint (
    migration_id, entity, (system_state ->> 'partition'), (system_state ->> 'attempt'),
    (system_state ->> 'seq'), checkpoint_type);

create table batch_processing_status (
    id                     uuid         not null default gen_random_uuid(),
    migration_id           uuid         not null
        references migration_orchestration (id) on delete cascade,
    entity_status_id       uuid         not null,
    batch_number           bigint       check (batch_number >= 1),
    batch_size             bigint       not null default 0 check (batch_size >= 0),
    status                 batch_status not null,
    records_successful     bigint       not null default 0 check (records_successful >= 0),
    records_failed         bigint       not null default 0 check (records_failed >= 0),
    started_at             timestamptz,
    completed_at           timestamptz,
    processing_duration_ms bigint       not null default 0 check (processing_duration_ms >= 0),
    retry_count            integer      not null default 0 check (retry_count >= 0),
    max_retries            integer      not null default 5 check (max_retries >= 0),
    error_summary          text         check (error_summary <> ''),
    partition_id           uuid         not null,
    attempt                integer      not null check (attempt >= 1),
    seq                    bigint       not null check (seq >= 1),
    entity_hash            text         not null check (entity_hash <> ''),

    primary key (id, migration_id),
    unique (migration_id, partition_id, attempt, seq),
    unique (migration_id, entity_status_id, batch_number),
    foreign key (migration_id, entity_status_id)
        references entity_migration_status (migration_id, id) on delete cascade,
    constraint batch_rows check (
        status not in ('completed', 'failed')
        or records_successful + records_failed = batch_size),
    constraint batch_retries check (retry_count <= max_retries),
    constraint batch_numbered check (status not in ('completed', 'failed') or batch_number is not null),
    constraint batch_times check (started_at < completed_at),
    constraint batch_started check (status = 'pending' or started_at is not null),
    constraint batch_ended
        check ((completed_at is not null) = (status in ('completed', 'failed')))
) partition by list (migration_id);

create table batch_processing_status_default partition of batch_processing_status default;

create index batch_processing_status_completed_at
    on batch_processing_status (migration_id, completed_at);

create table migration_error (
    id               uuid        not null,
    migration_id     uuid        not null
        references migration_orchestration (id) on delete cascade,
    entity_status_id uuid,
    batch_id         uuid,
    entity           text,
    error_type       error_type  not null,
    error_code       text        not null
        check (error_code ~ '^([0-9A-Z]{5}|DROVER_[0-9A-Z_]+)$'),
    error_message    text        not null check (error_message ~ '[^[:space:]]'),
    source_record_id text,
    source_data      jsonb       not null default '{}' check (jsonb_typeof(source_data) = 'object'),
    context          jsonb       not null default '{}' check (jsonb_typeof(context) = 'object'),
    stack_trace      text,
    occurred_at      timestamptz not null,
    is_resolved      boolean     not null default false,
    resolution_notes text        check (resolution_notes <> ''),
    partition_id     uuid,
    attempt          integer     check (attempt >= 1),
    seq              bigint      check (seq >= 1),
    ordinal          bigint      check (ordinal >= 0),

    primary key (id, occurred_at),
    foreign key (migration_id, entity_status_id)
        references entity_migration_status (migration_id, id) on delete cascade,
    constraint error_position check (num_nulls(partition_id, attempt, seq, ordinal) in (0, 4)),
    constraint error_entity check ((entity is null) = (entity_status_id is null)),
    constraint error_batch_has_entity check (batch_id is null or entity_status_id is not null),
    constraint error_resolution check (not is_resolved or resolution_notes is not null)
) partition by range (occurred_at);

create table migration_error_default partition of migration_error default;

create index migration_error_type on migration_error (error_type, occurred_at);
create index migration_error_migration on migration_error (migration_id, occurred_at, id);
create index migration_error_entity on migration_error (entity_status_id);
create index migration_error_batch on migration_error (batch_id);

create table schema_change_operation (
    id                 uuid                    primary key default gen_random_uuid(),
    migration_id       uuid                    not null
        references migration_orchestration (id) on delete cascade,
    position           integer                 not null check (position >= 1),
    operation_type     schema_operation_type   not null,
    table_name         text                    not null check (table_name <> ''),
    column_name        text                    check (column_name <> ''),
    object_name        text                    check (object_name <> ''),
    operation_sql      text                    not null check (operation_sql ~ '[^[:space:]]'),
    status             schema_operation_status not null default 'pending',
    executed_at        timestamptz,
    is_reversible      boolean                 not null default true,
    rollback_sql       text                    check (rollback_sql ~ '[^[:space:]]'),
    backup_table_name  text                    check (backup_table_name <> ''),
    risk_level         risk_level,
    validation_results jsonb                   check (jsonb_typeof(validation_results) = 'object'),
    error_message      text                    check (error_message <> ''),
    created_at         timestamptz             not null default clock_timestamp(),
    updated_at         timestamptz             not null default clock_timestamp(),

    unique (migration_id, position),
    constraint schema_change_column
        check (operation_type not in ('drop_column', 'add_column', 'modify_column')
               or column_name is not null),
    constraint schema_change_object
        check (operation_type not in
                   ('drop_constraint', 'add_constraint', 'drop_index', 'create_index')
               or object_name is not null),
    constraint schema_change_backup
        check (operation_type <> 'create_backup' or backup_table_name is not null),
    constraint schema_change_rollback_sql check (not is_reversible or rollback_sql is not null),
    constraint schema_change_executed check ((executed_at is null) = (status = 'pending')),
    constraint schema_change_risk check (status = 'pending' or risk_level is not null),
    constraint schema_change_validated
        check (risk_level is distinct from 'critical' or status = 'pending'
               or (validation_results is not null and validation_results <> '{}')),
    constraint schema_change_undone check (status <> 'rolled_back' or is_reversible)
);

create table data_validation_result (
    id                    uuid                primary key default gen_random_uuid(),
    migration_id          uuid                not null
        references migration_orchestration (id) on delete cascade,
    validation_type       validation_type     not null,
    entity                text                not null check (entity <> ''),
    entity_name           text                not null check (entity_name <> ''),
    status                validation_status   not null,
    severity              validation_severity not null default 'high',
    records_validated     bigint              not null check (records_validated >= 0),
    issues_found          bigint              not null check (issues_found >= 0),
    issue_details         jsonb
        check (jsonb_typeof(issue_details) in ('object', 'array')),
    validation_criteria   jsonb               not null
        check (jsonb_typeof(validation_criteria) = 'object' and validation_criteria <> '{}'),
    executed_at           timestamptz         not null default clock_timestamp(),
    execution_duration_ms bigint              not null check (execution_duration_ms >= 0),
    attempt               integer             not null default 1 check (attempt >= 1),

    constraint validation_issues check (issues_found <= records_validated),
    constraint validation_details
        check (status = 'passed'
               or (issue_details is not null and issue_details not in ('{}', '[]')))
);

create index data_validation_result_migration
    on data_validation_result (migration_id, executed_at);
