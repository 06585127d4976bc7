//! The SELECT that reads a table with everything that hangs on it, as JSON of `TableFacts`.

/// `$1`, `$2` are schema and name; `$written` is an array of names of migrations.
pub(super) const TABLE: &str = r"
with t as (
    select c.oid, c.relname, c.relkind, c.relispartition, n.nspname, format('%I.%I', n.nspname, c.relname) as sql
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')
), column_of as (
    select a.attnum, a.attname from t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
)
select jsonb_build_object(
    'name', jsonb_build_object('schema', t.nspname, 'name', t.relname),
    'is_plain', t.relkind = 'r' and not t.relispartition
        and not exists (select from pg_inherits i where t.oid in (i.inhrelid, i.inhparent)),
    'rows', 0,
    'bytes', pg_total_relation_size(t.oid),
    'columns', coalesce((select jsonb_agg($column order by a.attnum) from pg_attribute a
                         join pg_type y on y.oid = a.atttypid
                         left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
                         where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped), '[]'),
    'constraints', coalesce((select jsonb_agg($constraint order by k.conname)
                             from pg_constraint k join pg_class kt on kt.oid = k.conrelid
                             join pg_namespace kn on kn.oid = kt.relnamespace
                             where (k.conrelid = t.oid or k.contype = 'f' and k.confrelid = t.oid)
                               and k.contype in ('p', 'u', 'f', 'c', 'x') and k.conparentid = 0), '[]'),
    'indexes', coalesce((select jsonb_agg($index order by i.relname)
                         from pg_index x join pg_class i on i.oid = x.indexrelid
                         where x.indrelid = t.oid and x.indisvalid
                           and not exists (select from pg_constraint k where k.conindid = i.oid and k.conrelid = t.oid
                                           and k.contype in ('p', 'u', 'x'))), '[]'),
    'objects', coalesce((select jsonb_agg(o order by o ->> 'kind', o ->> 'name') from (
        select $policy as o from pg_policy p where p.polrelid = t.oid
        union all select $trigger from pg_trigger g where g.tgrelid = t.oid and not g.tgisinternal
        union all select $statistics from pg_statistic_ext e join pg_namespace en on en.oid = e.stxnamespace
                  where e.stxrelid = t.oid) objects), '[]'),
    'dependants', coalesce((select jsonb_agg(distinct $dependant)
                            from pg_depend d join column_of a on a.attnum = d.refobjsubid
                            where d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid
                              and $is_dependant), '[]'),
    'update_triggers', coalesce((select jsonb_agg(jsonb_build_object('name', g.tgname,
            'off', format('alter table %s disable trigger %I', t.sql, g.tgname),
            'on', format('alter table %s enable %strigger %I', t.sql, case when g.tgenabled = 'A' then 'always ' end, g.tgname))
            order by g.tgname)
        from pg_trigger g where g.tgrelid = t.oid and not g.tgisinternal and g.tgtype & 16 <> 0
          and g.tgenabled in ('O', 'A')), '[]'),
    'publications', to_jsonb(array(select p.pubname::text from pg_publication_tables p
                                   where p.schemaname = t.nspname and p.tablename = t.relname order by 1)),
    'has_long_transactions', exists (select from pg_stat_activity s
        where s.datname = current_database() and s.pid <> pg_backend_pid() and s.backend_type = 'client backend'
          and s.xact_start < now() - interval '1 minute'),
    'written_by', to_jsonb($written),
    'refusal', null, 'ty', null, 'offenders', null, 'values', null)
from t";

/// One column.
pub(super) const COLUMN: &str = r"jsonb_build_object(
    'name', a.attname,
    'ty', format_type(a.atttypid, a.atttypmod),
    'collation', (select format('%I.%I', cn.nspname, co.collname) from pg_collation co
                  join pg_namespace cn on cn.oid = co.collnamespace
                  where co.oid = a.attcollation and a.attcollation <> y.typcollation),
    'not_null', a.attnotnull,
    'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
    'generated', case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end,
    'sequence', (select jsonb_build_object(
            'name', format('%I.%I', sn.nspname, s.relname),
            'identity', case a.attidentity when 'a' then 'always' when 'd' then 'by default' end,
            'options', format('start with %s increment by %s minvalue %s maxvalue %s cache %s%s cycle', q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache,
                              case when not q.seqcycle then ' no' end),
            'last_value', pg_sequence_last_value(s.oid))
        from pg_depend p join pg_class s on s.oid = p.objid and s.relkind = 'S'
        join pg_sequence q on q.seqrelid = s.oid join pg_namespace sn on sn.oid = s.relnamespace
        where p.classid = 'pg_class'::regclass and p.refclassid = 'pg_class'::regclass and p.refobjid = t.oid
          and p.refobjsubid = a.attnum and p.deptype in ('a', 'i') order by s.oid limit 1),
    'extras', to_jsonb(array_remove(array[
        case when col_description(t.oid, a.attnum) is not null
             then format('comment on column %s.%I is %L', t.sql, a.attname, col_description(t.oid, a.attnum)) end,
        case when a.attstorage <> y.typstorage
             then format('alter table %s alter column %I set storage %s', t.sql, a.attname,
                         case a.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end) end,
        case when a.attcompression <> ''
             then format('alter table %s alter column %I set compression %s', t.sql, a.attname,
                         case a.attcompression when 'l' then 'lz4' else 'pglz' end) end,
        case when coalesce(a.attstattarget, -1) >= 0
             then format('alter table %s alter column %I set statistics %s', t.sql, a.attname, a.attstattarget) end,
        case when a.attoptions is not null
             then format('alter table %s alter column %I set (%s)', t.sql, a.attname, array_to_string(a.attoptions, ', ')) end],
        null) || array(
            select format('grant %s on table %s to %s%s',
                          string_agg(format('%s (%I)', lower(x.privilege_type), a.attname), ', ' order by x.privilege_type), t.sql,
                          case when x.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end,
                          case when x.is_grantable then ' with grant option' end)
            from aclexplode(a.attacl) x group by x.grantee, x.is_grantable order by 1)))";

/// Names of the columns behind an array of numbers.
const NAMES: &str = r"coalesce((select jsonb_agg(n.attname order by u.place)
    from unnest($numbers) with ordinality u(number, place)
    join pg_attribute n on n.attrelid = $table and n.attnum = u.number), '[]')";

/// Columns of the table that an object names, wherever it does.
const NAMED: &str = r"coalesce((select jsonb_agg(distinct named.attname)
    from pg_depend dep join column_of named on named.attnum = dep.refobjsubid
    where dep.classid = '$class'::regclass and dep.objid = $oid and dep.refclassid = 'pg_class'::regclass
      and dep.refobjid = t.oid), '[]')";

const CONSTRAINT: &str = r"jsonb_build_object(
    'name', k.conname,
    'kind', case k.contype when 'p' then 'primary' when 'u' then 'unique' when 'f' then 'foreign_key'
                           when 'c' then 'check' else 'exclusion' end,
    'table', jsonb_build_object('schema', kn.nspname, 'name', kt.relname),
    'columns', $columns,
    'references', (select jsonb_build_object('schema', fn.nspname, 'name', ft.relname)
                   from pg_class ft join pg_namespace fn on fn.oid = ft.relnamespace where ft.oid = k.confrelid),
    'referenced', $referenced,
    'definition', regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''),
    'is_valid', k.convalidated,
    'index', case when k.contype in ('p', 'u') then pg_get_indexdef(k.conindid) end,
    'timing', case when k.condeferrable then ' deferrable' else '' end
              || case when k.condeferred then ' initially deferred' else '' end,
    'extras', to_jsonb(array_remove(array[
        case when obj_description(k.oid, 'pg_constraint') is not null
             then format('comment on constraint %I on %I.%I is %L', k.conname, kn.nspname, kt.relname,
                         obj_description(k.oid, 'pg_constraint')) end,
        (select format('alter table %I.%I cluster on %I', kn.nspname, kt.relname, k.conname)
         from pg_index x where x.indexrelid = k.conindid and k.contype in ('p', 'u') and x.indisclustered),
        (select format('alter table %I.%I replica identity using index %I', kn.nspname, kt.relname, k.conname)
         from pg_index x where x.indexrelid = k.conindid and k.contype in ('p', 'u') and x.indisreplident),
        case when k.contype in ('p', 'u') and obj_description(k.conindid, 'pg_class') is not null
             then format('comment on index %I.%I is %L', kn.nspname, k.conname, obj_description(k.conindid, 'pg_class')) end],
        null)))";

const INDEX: &str = r"jsonb_build_object(
    'name', i.relname,
    'columns', $columns,
    'definition', pg_get_indexdef(i.oid),
    'extras', to_jsonb(array_remove(array[
        case when x.indisclustered then format('alter table %s cluster on %I', t.sql, i.relname) end,
        case when x.indisreplident then format('alter table %s replica identity using index %I', t.sql, i.relname) end,
        case when obj_description(i.oid, 'pg_class') is not null
             then format('comment on index %I.%I is %L', t.nspname, i.relname, obj_description(i.oid, 'pg_class')) end],
        null) || array(
            select format('alter index %I.%I alter column %s set statistics %s', t.nspname, i.relname, s.attnum, s.attstattarget)
            from pg_attribute s where s.attrelid = i.oid and s.attnum > 0 and coalesce(s.attstattarget, -1) >= 0
            order by s.attnum)))";

const POLICY: &str = r"jsonb_build_object(
    'kind', 'policy', 'name', p.polname, 'columns', $columns,
    'drop_sql', format('drop policy %I on %s', p.polname, t.sql),
    'create_sql', to_jsonb(array_remove(array[
        format('create policy %I on %s as %s for %s to %s%s%s', p.polname, t.sql,
               case when p.polpermissive then 'permissive' else 'restrictive' end,
               case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
               (select string_agg(case when r = 0 then 'public' else quote_ident(pg_get_userbyid(r)) end, ', ' order by r)
                from unnest(p.polroles) r),
               ' using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
               ' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
        case when obj_description(p.oid, 'pg_policy') is not null
             then format('comment on policy %I on %s is %L', p.polname, t.sql, obj_description(p.oid, 'pg_policy')) end], null)))";

const TRIGGER: &str = r"jsonb_build_object(
    'kind', 'trigger', 'name', g.tgname, 'columns', $columns,
    'drop_sql', format('drop trigger %I on %s', g.tgname, t.sql),
    'create_sql', to_jsonb(array_remove(array[
        pg_get_triggerdef(g.oid),
        case g.tgenabled when 'D' then format('alter table %s disable trigger %I', t.sql, g.tgname)
                         when 'R' then format('alter table %s enable replica trigger %I', t.sql, g.tgname)
                         when 'A' then format('alter table %s enable always trigger %I', t.sql, g.tgname) end,
        case when obj_description(g.oid, 'pg_trigger') is not null
             then format('comment on trigger %I on %s is %L', g.tgname, t.sql, obj_description(g.oid, 'pg_trigger')) end], null)))";

const STATISTICS: &str = r"jsonb_build_object(
    'kind', 'statistics', 'name', e.stxname, 'columns', $columns,
    'drop_sql', format('drop statistics %I.%I', en.nspname, e.stxname),
    'create_sql', to_jsonb(array_remove(array[
        pg_get_statisticsobjdef(e.oid),
        case when coalesce(e.stxstattarget, -1) >= 0
             then format('alter statistics %I.%I set statistics %s', en.nspname, e.stxname, e.stxstattarget) end,
        case when obj_description(e.oid, 'pg_statistic_ext') is not null
             then format('comment on statistics %I.%I is %L', en.nspname, e.stxname, obj_description(e.oid, 'pg_statistic_ext')) end], null)))";

/// What nothing of Drover's can put back, in words.
const DEPENDANT: &str = r"jsonb_build_object('column', a.attname, 'words', coalesce(
    (select format('%s %s', case v.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'a rule of' end, v.oid::regclass)
     from pg_rewrite w join pg_class v on v.oid = w.ev_class
     where d.classid = 'pg_rewrite'::regclass and w.oid = d.objid),
    (select format('generated column %s', o.attname)
     from pg_attrdef f join pg_attribute o on o.attrelid = f.adrelid and o.attnum = f.adnum
     where d.classid = 'pg_attrdef'::regclass and f.oid = d.objid),
    pg_describe_object(d.classid, d.objid, d.objsubid)))";

/// Everything but what the other lists hold: own defaults and sequences, constraints, indexes, triggers,
/// statistics and policies of the table itself.
const IS_DEPENDANT: &str = r"(
    d.classid in ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_publication_rel'::regclass)
    or d.classid = 'pg_attrdef'::regclass and exists (select from pg_attrdef f
        where f.oid = d.objid and not (f.adrelid = t.oid and f.adnum = a.attnum))
    or d.classid = 'pg_policy'::regclass and exists (select from pg_policy p where p.oid = d.objid and p.polrelid <> t.oid)
    or d.classid = 'pg_trigger'::regclass and exists (select from pg_trigger g where g.oid = d.objid and g.tgrelid <> t.oid))";

/// Migrations whose rows are in the table and were not undone.
pub(super) const WRITTEN: &str = r"array(
    select distinct m.name from drover.migration m join drover.entity e using (migration_id)
    where e.destination_schema = t.nspname and e.destination_table = t.relname
      and exists (select from drover.partition p join drover.ledger l using (partition_id)
                  where p.entity_no = e.entity_no and l.undone_at is null and l.n_written > 0) order by 1)";

/// The whole SELECT.
pub(super) fn table_sql(is_installed: bool) -> String {
    let named = |class: &str, oid: &str| NAMED.replace("$class", class).replace("$oid", oid);
    let names =
        |numbers: &str, table: &str| NAMES.replace("$numbers", numbers).replace("$table", table);
    let constraint = CONSTRAINT
        .replace("$columns", &names("k.conkey", "k.conrelid"))
        .replace("$referenced", &names("k.confkey", "k.confrelid"));
    TABLE
        .replace("$column", COLUMN)
        .replace("$constraint", &constraint)
        .replace(
            "$index",
            &INDEX.replace("$columns", &named("pg_class", "i.oid")),
        )
        .replace(
            "$policy",
            &POLICY.replace("$columns", &named("pg_policy", "p.oid")),
        )
        .replace(
            "$trigger",
            &TRIGGER.replace("$columns", &named("pg_trigger", "g.oid")),
        )
        .replace(
            "$statistics",
            &STATISTICS.replace("$columns", &named("pg_statistic_ext", "e.oid")),
        )
        .replace("$dependant", DEPENDANT)
        .replace("$is_dependant", IS_DEPENDANT)
        .replace(
            "$written",
            if is_installed {
                WRITTEN
            } else {
                "'{}'::text[]"
            },
        )
}
