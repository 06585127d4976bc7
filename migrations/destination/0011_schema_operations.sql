-- Changes of a schema: their journal, in the database that they change, and where backups are kept.

create table schema_operation (
    operation_id   uuid primary key,
    migration_id   uuid not null,
    migration_name text not null,
    position       integer not null check (position >= 1),
    change         jsonb not null,
    operation      jsonb not null,
    status         text not null default 'pending' check (status in ('pending', 'completed', 'failed', 'rolled_back')),
    is_undoing     boolean not null default false,
    step           integer not null default 0 check (step >= 0),
    batch          bigint not null default 0,
    executed_at    timestamptz,
    checks         jsonb not null default '[]',
    error_message  text,
    created_at     timestamptz not null default clock_timestamp(),
    updated_at     timestamptz not null default clock_timestamp(),
    unique (migration_id, position),
    check ((status = 'pending') = (executed_at is null)),
    check (status in ('pending', 'completed') or (step = 0 and not is_undoing)),
    check (not is_undoing or status = 'completed')
);
comment on table schema_operation is
    'SchemaChangeOperations: each step commits together with its mark here, so that a crash repeats nothing.';
comment on column schema_operation.step is
    'Steps that are done: of the operation while it is pending, of its way back while it is undone.';
comment on column schema_operation.batch is 'Highest number of a backup''s rows that the step in hand is done with.';
comment on column schema_operation.is_undoing is 'The way back has begun.';

-- A step is done; fails the caller's transaction unless the operation stands where the caller believes.
create function schema_step(p_operation uuid, p_step integer, p_is_undoing boolean, p_is_last boolean, p_checks jsonb)
    returns void
    language plpgsql set search_path = drover, pg_catalog as
$$
begin
    update schema_operation
    set step = case when p_is_last then 0 else step + 1 end,
        batch = 0,
        status = case when not p_is_last then status when p_is_undoing then 'rolled_back' else 'completed' end,
        is_undoing = p_is_undoing and not p_is_last,
        executed_at = case when p_is_last then clock_timestamp() else executed_at end,
        checks = checks || p_checks,
        error_message = null,
        updated_at = clock_timestamp()
    where operation_id = p_operation and step = p_step and is_undoing = p_is_undoing
      and status = case when p_is_undoing then 'completed' else 'pending' end;
    if not found then
        raise exception 'operation % is in other hands', p_operation using errcode = 'DR001';
    end if;
end
$$;
comment on function schema_step is 'Last statement of every step of a schema operation, or DR001.';

create view rewritten_table as
select o.migration_id, o.operation -> 'table' ->> 'schema' as table_schema, o.operation -> 'table' ->> 'name' as table_name,
       max(o.updated_at) as rewritten_at
from schema_operation o
where ((o.status = 'completed' or o.step > 0) and (o.operation ->> 'rewrites')::boolean)
   or (o.status = 'rolled_back' and ((o.operation ->> 'undo_rewrites')::boolean or (o.operation ->> 'rewrites')::boolean))
   or (o.is_undoing and (o.operation ->> 'undo_rewrites')::boolean)
group by 1, 2, 3;
comment on view rewritten_table is
    'Tables whose rows a schema operation wrote anew: xmin no longer tells that a row is as its batch wrote it.';

-- Never exposed by an API: it holds copies of what applications may not show.
create schema if not exists drover_backup;
revoke all on schema drover_backup from public;
comment on schema drover_backup is 'Backups that Drover makes before a column goes or changes.';
