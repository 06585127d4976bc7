-- The id map: MigrationMapping of the data model in compact form, one leaf per entity, no index while it loads.
-- Its primary key (the legacy key) is built after the load; the destination table's own key proves the ids unique.

create table id_map_int8 (
    id        uuid not null,
    k         bigint not null,
    entity_no integer not null,
    is_active boolean not null default true,
    meta      jsonb
) partition by list (entity_no);
comment on table id_map_int8 is 'Id map of entities whose legacy key is one integer.';

create table id_map_text (
    id        uuid not null,
    k         text not null,
    entity_no integer not null,
    is_active boolean not null default true,
    meta      jsonb
) partition by list (entity_no);
comment on table id_map_text is 'Id map of all other entities; a composite key is a JSON array.';

-- Makes the leaf of an entity; idempotent.
create function create_id_map(p_entity_no integer) returns void
    language plpgsql set search_path = drover, pg_catalog as
$$
declare
    v_shape text;
    v_leaf  text := format('id_map_%s', p_entity_no);
begin
    select key_shape into strict v_shape from entity where entity_no = p_entity_no;
    if to_regclass(format('drover.%I', v_leaf)) is not null then
        return;
    end if;
    execute format('create table %I (like %I including defaults)', v_leaf, 'id_map_' || v_shape);
    execute format('alter table %I alter entity_no set default %s', v_leaf, p_entity_no);
    execute format('alter table %I attach partition %I for values in (%s)', 'id_map_' || v_shape, v_leaf, p_entity_no);
end
$$;

-- Ledger times by transaction: when a mapping was made.
create view batch_time as
select p.entity_no, l.xid::xid as xid, min(l.written_at) as written_at
from ledger l join partition p using (partition_id)
group by p.entity_no, l.xid::xid;

create view mapping_int8 as
select m.entity_no, m.k, m.id, m.is_active, m.meta, m.xmin as xid, m.k::text as source_id from id_map_int8 m;

create view mapping_text as
select m.entity_no, m.k, m.id, m.is_active, m.meta, m.xmin as xid, m.k as source_id from id_map_text m;

-- MigrationMapping with every attribute of the data model.
create view migration_mapping as
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
       m.is_active
from (select entity_no, id, is_active, meta, xid, source_id from mapping_int8
      union all
      select entity_no, id, is_active, meta, xid, source_id from mapping_text) m
join entity e using (entity_no)
left join batch_time t on t.entity_no = m.entity_no and t.xid = m.xid;
comment on view migration_mapping is 'Legacy id to new id, one row per migrated row: MigrationMapping of the data model.';
comment on view batch_time is 'When each transaction of an entity was committed.';

-- All mappings of one source row: p_table is a source table or an entity, p_id the legacy key (JSON array for a composite one).
create function mapping_lookup(p_table text, p_id text) returns setof migration_mapping
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
                   coalesce((select t.written_at from batch_time t
                             where t.entity_no = v_entity.entity_no and t.xid = m.xid), v_entity.created_at),
                   m.is_active
            from (select i.entity_no, i.id, i.is_active, i.meta, i.xid, i.source_id
                  from mapping_int8 i
                  where v_entity.key_shape = 'int8' and i.entity_no = v_entity.entity_no
                    and i.k = case when p_id ~ '^-?[0-9]{1,19}$' then
                              case when p_id::numeric between -9223372036854775808 and 9223372036854775807
                                   then p_id::bigint end end
                  union all
                  select x.entity_no, x.id, x.is_active, x.meta, x.xid, x.source_id
                  from mapping_text x
                  where v_entity.key_shape = 'text' and x.entity_no = v_entity.entity_no and x.k = p_id) m;
    end loop;
end
$$;
comment on function mapping_lookup(text, text) is 'Mappings of a legacy row, found by its source table or entity and its key.';
