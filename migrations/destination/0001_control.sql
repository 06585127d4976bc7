-- Drover's own tables at the destination, in schema "drover" (the search_path while this runs).
-- The destination is right about position: rows, id map, ledger and fence commit in one transaction here.
-- Nothing in here refers to the metadata database: the id map outlives it.

create table migration (
    migration_id    uuid primary key,
    name            text not null unique,
    namespace       uuid not null,
    attempt         integer not null check (attempt >= 1),
    run_now         timestamptz not null,
    source          jsonb not null,
    destination     jsonb not null,
    snapshot        text,
    source_activity jsonb,
    is_finished     boolean not null default false,
    created_at      timestamptz not null default clock_timestamp()
);
comment on table migration is 'Start state of every migration that writes here.';
comment on column migration.run_now is 'What the rule step "now" yields: the same when a run is repeated.';
comment on column migration.source is 'System identifier, database and timeline of the source at the start.';
comment on column migration.source_activity is
    'Write counters of the source tables, read before the snapshot: tells whether a later snapshot sees the same rows.';

create table entity (
    entity_no           integer generated always as identity primary key,
    migration_id        uuid not null references migration,
    entity              text not null,
    entity_type         text not null,
    source_table        text not null,
    destination_schema  text not null,
    destination_table   text not null,
    entity_hash         text not null,
    id_kind             text not null check (id_kind in ('uuid5', 'keep', 'none')),
    key_shape           text not null check (key_shape in ('int8', 'text')),
    is_rebuilt          boolean not null,
    had_rows            boolean not null,
    created_at          timestamptz not null default clock_timestamp(),
    unique (migration_id, entity)
);
comment on column entity.key_shape is 'How its id map stores the legacy key: one integer, or one text (a JSON array for a composite key).';
comment on column entity.is_rebuilt is 'Keys and indexes of its table are dropped before the load and put back after it.';
comment on column entity.had_rows is 'The destination table was not empty at the start.';

create table partition (
    partition_id  uuid primary key,
    entity_no     integer not null references entity,
    attempt       integer not null,
    number        integer not null check (number >= -1),
    after         jsonb,
    upto          jsonb,
    token         bigint not null default 0,
    holder        uuid,
    mode          text not null default 'run' check (mode in ('run', 'paused', 'undo', 'closed')),
    seq           bigint not null default 0 check (seq >= 0),
    cursor        jsonb,
    done          boolean not null default false,
    entity_hash   text not null,
    rows_read     bigint not null default 0,
    rows_written  bigint not null default 0,
    rows_failed   bigint not null default 0,
    rows_held     bigint not null default 0,
    rows_filtered bigint not null default 0,
    rows_skipped  bigint not null default 0,
    unique (entity_no, attempt, number),
    check (rows_read = rows_written + rows_failed + rows_skipped),
    check (rows_held <= rows_failed)
) with (fillfactor = 50);
comment on table partition is 'Fence and checkpoint of a partition are one row. Number -1 settles self references after the load.';
comment on column partition.token is 'Fencing token, era << 43 | revision; only a strictly higher one takes over.';
comment on column partition.cursor is 'Key of the last row that is accounted for; null at the start.';

create table ledger (
    partition_id uuid not null references partition,
    attempt      integer not null,
    seq          bigint not null check (seq >= 1),
    token        bigint not null,
    lo           jsonb,
    hi           jsonb,
    n_read       bigint not null,
    n_written    bigint not null,
    n_failed     bigint not null,
    n_held       bigint not null,
    n_filtered   bigint not null,
    n_skipped    bigint not null,
    entity_hash  text not null,
    xid          xid8 not null,
    retry_count  integer not null default 0,
    was_bisected boolean not null default false,
    is_last      boolean not null default false,
    started_at   timestamptz not null,
    written_at   timestamptz not null,
    undone_at    timestamptz,
    primary key (partition_id, attempt, seq),
    check (n_read = n_written + n_failed + n_skipped)
);
comment on table ledger is 'One row per committed batch, written in its transaction.';
comment on column ledger.xid is 'A destination row is still as we wrote it while its xmin is the xid of its batch.';

create table error (
    id               uuid primary key,
    partition_id     uuid not null references partition,
    entity_no        integer not null references entity,
    attempt          integer not null,
    seq              bigint not null,
    ordinal          integer not null,
    source_record_id text not null,
    error_code       text not null,
    error_message    text not null check (error_message <> ''),
    source_data      jsonb not null,
    context          jsonb not null,
    is_held          boolean not null default false,
    is_resolved      boolean not null default false,
    occurred_at      timestamptz not null
);
create index on error (partition_id, attempt, seq);
create index on error (entity_no, source_record_id);
comment on table error is 'Rows that failed, redacted, written in the transaction of their batch.';
comment on column error.is_held is 'Failed because its parent failed: goes with the parent when that is mended.';

create table pre_image (
    partition_id uuid not null references partition,
    attempt      integer not null,
    seq          bigint not null,
    ordinal      integer not null,
    row_key      jsonb not null,
    image        jsonb not null,
    primary key (partition_id, attempt, seq, ordinal)
);
comment on table pre_image is 'Rows as they were before a batch changed or removed them.';

create table ddl (
    ddl_id       bigint generated always as identity primary key,
    migration_id uuid not null references migration,
    entity_no    integer not null references entity,
    attempt      integer not null,
    kind         text not null check (kind in ('primary_key', 'unique', 'index', 'foreign_key')),
    table_schema text not null,
    table_name   text not null,
    object_name  text not null,
    key_columns  text[],
    drop_sql     text not null,
    create_sql   text[] not null,
    state        text not null default 'dropped' check (state in ('dropped', 'restored')),
    dropped_at   timestamptz not null default clock_timestamp(),
    restored_at  timestamptz
);
comment on table ddl is 'Definitions of what was dropped for the load, inserted in the transaction that dropped it.';
comment on column ddl.key_columns is 'Columns of a dropped primary or unique key: a plan is still compiled against them.';
comment on column ddl.create_sql is 'Statements that put it back, in order, each a transaction of its own or with its journal entry.';

create table override (
    entity_no  integer not null references entity,
    source_id  text not null,
    id         uuid not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (entity_no, source_id)
);
comment on table override is 'Rows whose id is not their uuid5: natural-key matches and manual merges.';
