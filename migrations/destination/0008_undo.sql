-- Undo: batches are taken back newest first, by the destination's own records alone. What is undone is marked in
-- the transaction that undoes it.

alter table ledger add column undone_xid xid8;
alter table ledger add check ((undone_at is null) = (undone_xid is null));
comment on column ledger.undone_at is 'When its rows were taken back: its mappings are no longer active.';
comment on column ledger.undone_xid is 'Transaction that undid it: a row that it put back is as we wrote it, too.';

alter table pre_image add column exact jsonb;
comment on column pre_image.exact is 'The columns that were changed, each as text: to the byte, where JSON is not.';

-- What a dropped foreign key said: rows are looked for that it would refuse.
alter table ddl add column fk_columns text[], add column fk_schema text, add column fk_table text,
                add column fk_parent_columns text[], add column fk_on_delete text;
comment on column ddl.fk_columns is 'Of a foreign key: its columns; then the table it points at, and the columns there.';
comment on column ddl.fk_on_delete is 'pg_constraint.confdeltype.';

-- What a table was before the first row of a migration: compared with what an undo leaves.
create table start_state (
    migration_id       uuid not null references migration,
    destination_schema text not null,
    destination_table  text not null,
    attempt            integer not null,
    row_count          bigint not null,
    row_hash           numeric not null,
    definitions        text[] not null,
    taken_at           timestamptz not null default clock_timestamp(),
    primary key (migration_id, destination_schema, destination_table)
);
comment on column start_state.row_hash is 'Sum of a 64-bit hash of each row''s text: the order of rows does not matter.';
comment on column start_state.definitions is 'Its constraints, indexes and triggers, as the catalog words them, in order.';

create table start_sequence (
    migration_id       uuid not null references migration,
    sequence_sql       text not null,
    destination_schema text not null,
    destination_table  text not null,
    column_name        text not null,
    is_rising          boolean not null,
    last_value         bigint not null,
    is_called          boolean not null,
    attempt            integer not null,
    primary key (migration_id, sequence_sql)
);
comment on table start_sequence is 'Sequences behind the columns of target tables as they were before the first row.';

alter table entity add column attempt integer not null default 1;
comment on column entity.attempt is 'Attempt that it was recorded for: what it says of an earlier one is void.';
alter table entity add column round integer not null default 0;
comment on column entity.round is 'How often it was undone alone within its attempt; its partitions are of one round.';
alter table partition add column round integer not null default 0;
alter table partition drop constraint partition_entity_no_attempt_number_key;
alter table partition add constraint partition_entity_no_attempt_round_number_key
    unique (entity_no, attempt, round, number);

alter table migration add column undo_report jsonb;
comment on column migration.undo_report is 'What the last undo came to: {"attempt", "tables"}.';

-- Rows that an undo leaves alone, or takes back only where it is told to.
create table undo_conflict (
    entity_no integer not null references entity,
    row_key   jsonb not null,
    kind      text not null check (kind in ('changed', 'referred')),
    primary key (entity_no, row_key)
);
comment on table undo_conflict is
    'changed: others wrote the row after us; referred: a row that stays refers to it. Of the undo under way.';

-- Seals partitions for an undo: nothing of an earlier token commits any more, nobody takes them over, and whoever
-- worked on them, built keys or undid under another token is ended. Returns how many are not sealed: somebody has a
-- token as high.
create function seal_undo(p_migration uuid, p_attempt integer, p_entities text[], p_token bigint) returns bigint
    language plpgsql set search_path = drover, pg_catalog as
$$
declare
    v_open bigint;
begin
    perform end_undone(p_migration, p_attempt, p_token);
    update partition p set token = p_token, holder = null, mode = 'undo'
    from entity e
    where e.entity_no = p.entity_no and e.migration_id = p_migration and e.entity = any (p_entities)
      and p.attempt = p_attempt and p.token < p_token;
    perform end_undone(p_migration, p_attempt, p_token);
    select count(*) into v_open
    from partition p join entity e using (entity_no)
    where e.migration_id = p_migration and e.entity = any (p_entities) and p.attempt = p_attempt
      and (p.token <> p_token or p.mode <> 'undo');
    return v_open;
end
$$;
comment on function seal_undo is 'First act of every undo, and of whoever goes on with one.';

-- Ends whoever works on a migration's partitions or keys, or undoes it under another token.
create function end_undone(p_migration uuid, p_attempt integer, p_token bigint) returns bigint
    language sql set search_path = drover, pg_catalog as
$$
    select count(pg_terminate_backend(a.pid, 5000))
    from pg_stat_activity a
    where a.datname = current_database() and a.pid <> pg_backend_pid()
      and (a.application_name like format('drover build %s %%', p_migration)
           or (a.application_name like format('drover undo %s %%', p_migration)
               and a.application_name <> format('drover undo %s %s', p_migration, p_token))
           or exists (select from partition p join entity e using (entity_no)
                      where e.migration_id = p_migration and p.attempt = p_attempt
                        and starts_with(a.application_name, format('drover %s ', p.partition_id))))
$$;
comment on function end_undone is 'A client frozen inside a COPY would hold locks in the way of an undo.';

-- Proves the right to undo an entity and holds it until the transaction ends; raises DR001 where another has it.
create function hold_undo(p_entity_no integer, p_attempt integer, p_token bigint) returns void
    language plpgsql set search_path = drover, pg_catalog as
$$
begin
    perform from partition where entity_no = p_entity_no and attempt = p_attempt order by number for no key update;
    if exists (select from partition
               where entity_no = p_entity_no and attempt = p_attempt and (token <> p_token or mode <> 'undo')) then
        raise exception 'entity % is fenced', p_entity_no using errcode = 'DR001';
    end if;
end
$$;

-- Marks the batches of table drover_undo (partition_id, seq) as undone by this transaction, with everything that was
-- counted and noted of them. Returns how many rows they had written.
create function mark_undone(p_attempt integer) returns bigint
    language plpgsql set search_path = drover, pg_catalog, pg_temp as
$$
declare
    v_rows bigint;
begin
    with marked as (
        update ledger l set undone_at = clock_timestamp(), undone_xid = pg_current_xact_id()
        from pg_temp.drover_undo u
        where l.partition_id = u.partition_id and l.attempt = p_attempt and l.seq = u.seq and l.undone_at is null
        returning l.partition_id, l.n_read, l.n_written, l.n_failed, l.n_held, l.n_filtered, l.n_skipped
    ), summed as (
        select partition_id, sum(n_read) as n_read, sum(n_written) as n_written, sum(n_failed) as n_failed,
               sum(n_held) as n_held, sum(n_filtered) as n_filtered, sum(n_skipped) as n_skipped
        from marked group by partition_id
    ), counted as (
        update partition p
        set rows_read = rows_read - n_read, rows_written = rows_written - n_written,
            rows_failed = rows_failed - n_failed, rows_held = rows_held - n_held,
            rows_filtered = rows_filtered - n_filtered, rows_skipped = rows_skipped - n_skipped
        from summed s where s.partition_id = p.partition_id
    ), resolved as (
        update error e set is_resolved = true
        from pg_temp.drover_undo u
        where e.partition_id = u.partition_id and e.attempt = p_attempt and e.seq = u.seq and not e.is_resolved
    )
    select coalesce(sum(n_written), 0) into v_rows from summed;
    return v_rows;
end
$$;

-- A mapping is active as long as its batch is not undone.
create or replace view batch_time as
select p.entity_no, l.xid::xid as xid, min(l.written_at) as written_at, bool_and(l.undone_at is null) as is_active
from ledger l join partition p using (partition_id)
group by p.entity_no, l.xid::xid;

create or replace view migration_mapping as
select md5(e.migration_id::text || ':' || e.entity || ':' || m.source_id)::uuid as id,
       e.migration_id,
       e.source_table,
       m.source_id,
       e.destination_table,
       m.id as destination_id,
       e.entity_type,
       jsonb_build_object('entity', e.entity, 'id_kind', e.id_kind)
           || case when e.id_kind = 'keep' then jsonb_build_object('destination_key', m.source_id) else '{}' end
           || coalesce(m.meta, '{}') as mapping_metadata,
       coalesce(t.written_at, e.created_at) as created_at,
       m.is_active and coalesce(t.is_active, true) as is_active
from (select entity_no, id, is_active, meta, xid, source_id from mapping_int8
      union all
      select entity_no, id, is_active, meta, xid, source_id from mapping_text) m
join entity e using (entity_no)
left join batch_time t on t.entity_no = m.entity_no and t.xid = m.xid;
comment on view migration_mapping is 'Legacy id to new id, one row per migrated row: MigrationMapping of the data model.';
comment on view batch_time is 'When each transaction of an entity was committed, and whether it is not undone.';

create or replace function mapping_lookup(p_table text, p_id text) returns setof migration_mapping
    language plpgsql stable set search_path = drover, pg_catalog as
$$
declare
    v_entity entity;
begin
    for v_entity in
        select * from entity where p_table in (entity.source_table, entity.entity) order by entity_no
    loop
        return query
            select md5(v_entity.migration_id::text || ':' || v_entity.entity || ':' || m.source_id)::uuid,
                   v_entity.migration_id, v_entity.source_table, m.source_id, v_entity.destination_table, m.id,
                   v_entity.entity_type,
                   jsonb_build_object('entity', v_entity.entity, 'id_kind', v_entity.id_kind)
                       || case when v_entity.id_kind = 'keep'
                               then jsonb_build_object('destination_key', m.source_id) else '{}' end
                       || coalesce(m.meta, '{}'),
                   coalesce(t.written_at, v_entity.created_at),
                   m.is_active and coalesce(t.is_active, true)
            from (select i.entity_no, i.id, i.is_active, i.meta, i.xid, i.source_id
                  from mapping_int8 i
                  where v_entity.key_shape = 'int8' and i.entity_no = v_entity.entity_no
                    and i.k = case when p_id ~ '^-?[0-9]{1,19}$' then
                              case when p_id::numeric between -9223372036854775808 and 9223372036854775807
                                   then p_id::bigint end end
                  union all
                  select x.entity_no, x.id, x.is_active, x.meta, x.xid, x.source_id
                  from mapping_text x
                  where v_entity.key_shape = 'text' and x.entity_no = v_entity.entity_no and x.k = p_id) m
            left join lateral (select b.written_at, b.is_active from batch_time b
                               where b.entity_no = v_entity.entity_no and b.xid = m.xid) t on true;
    end loop;
end
$$;
comment on function mapping_lookup(text, text) is 'Mappings of a legacy row, found by its source table or entity and its key.';

-- Begins an entity anew in a later attempt or round: its mappings of before are void and leave, its leaf is made again.
create function renew_id_map(p_entity_no integer) returns void
    language plpgsql set search_path = drover, pg_catalog as
$$
begin
    execute format('drop table if exists %I', format('id_map_%s', p_entity_no));
    perform create_id_map(p_entity_no);
end
$$;
