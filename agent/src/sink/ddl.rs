//! The inventory of what may be dropped for the load: foreign keys, primary and unique keys, indexes.
//!
//! A key stays when it is the replica identity of a published table, when a foreign key that is not
//! dropped too points at it, or when something else (a view, a function) depends on it.

use proto::domain::failure::Failure;
use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::connect::fetch_sql;
use crate::failure::During;

/// Something that is dropped before and put back after the load.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct Droppable {
    /// Entity whose table it belongs to; the first of several.
    pub entity_no: i32,
    /// `foreign_key`, `primary_key`, `unique` or `index`.
    pub kind: String,
    /// Schema of its table.
    pub table_schema: String,
    /// Its table.
    pub table_name: String,
    /// Its name.
    pub object_name: String,
    /// Columns of a primary or unique key.
    pub key_columns: Option<Vec<String>>,
    /// Drops it.
    pub drop_sql: String,
    /// Puts it back, statement by statement.
    pub create_sql: Vec<String>,
    /// SELECT of `tableoid` and `ctid` of the rows that it would refuse.
    pub breach_sql: Option<String>,
    /// Of a foreign key: its columns.
    pub fk_columns: Option<Vec<String>>,
    /// Schema of the table it points at.
    pub fk_schema: Option<String>,
    /// The table it points at.
    pub fk_table: Option<String>,
    /// The columns there.
    pub fk_parent_columns: Option<Vec<String>>,
    /// What follows when a row there is deleted (`pg_constraint.confdeltype`).
    pub fk_on_delete: Option<String>,
}

/// The tables of a migration, each once: several entities may write one.
const TARGETS: &str = r"(
    select min(entity_no) as entity_no, destination_schema, destination_table, bool_and(is_rebuilt) as is_rebuilt
    from drover.entity join drover.migration m using (migration_id, attempt)
    where migration_id = $1 group by destination_schema, destination_table)";

/// Foreign keys whose rows come later, or are settled later: of a table to itself, and within a knot.
const LATE: &str = r"(c.confrelid = c.conrelid or exists (
    select from drover.entity k
    join drover.entity f on f.migration_id = k.migration_id and f.entity = any (k.late_parents)
    where k.migration_id = $1 and (k.destination_schema, k.destination_table) = (n.nspname, t.relname)
      and exists (select from pg_class ft join pg_namespace fn on fn.oid = ft.relnamespace
                  where ft.oid = c.confrelid
                    and (fn.nspname, ft.relname) = (f.destination_schema, f.destination_table))))";

/// Foreign keys of tables that are rebuilt, and late references of all others.
const FOREIGN_KEYS: &str = r"
select e.entity_no, 'foreign_key' as kind, n.nspname::text as table_schema, t.relname::text as table_name,
       c.conname::text as object_name, null::text[] as key_columns,
       format('alter table %I.%I drop constraint %I', n.nspname, t.relname, c.conname) as drop_sql,
       array_remove(array[
           format('alter table %I.%I add constraint %I %s%s', n.nspname, t.relname, c.conname,
                  regexp_replace(pg_get_constraintdef(c.oid), ' NOT VALID$', ''),
                  -- A partitioned table takes no key that is not valid, and a key that refers to one and is
                  -- validated later leaves those below it as they are.
                  case when 'p' not in (t.relkind, r.relkind) then ' not valid' end),
           case when c.convalidated and 'p' not in (t.relkind, r.relkind)
                then format('alter table %I.%I validate constraint %I', n.nspname, t.relname, c.conname) end,
           case when obj_description(c.oid, 'pg_constraint') is not null
                then format('comment on constraint %I on %I.%I is %L', c.conname, n.nspname, t.relname,
                            obj_description(c.oid, 'pg_constraint')) end], null) as create_sql,
       case when c.convalidated then (
           select format('select c.tableoid, c.ctid from %I.%I c where %s and not exists (select from %s p where %s)',
                         n.nspname, t.relname, string_agg(format('c.%I is not null', a.attname), ' and '),
                         c.confrelid::regclass, string_agg(format('p.%I = c.%I', b.attname, a.attname), ' and '))
           from unnest(c.conkey, c.confkey) k(here, there)
           join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.here
           join pg_attribute b on b.attrelid = c.confrelid and b.attnum = k.there) end as breach_sql,
       (select array_agg(a.attname::text order by k.at) from unnest(c.conkey) with ordinality k(num, at)
        join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.num) as fk_columns,
       rn.nspname::text as fk_schema, r.relname::text as fk_table,
       (select array_agg(a.attname::text order by k.at) from unnest(c.confkey) with ordinality k(num, at)
        join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.num) as fk_parent_columns,
       c.confdeltype::text as fk_on_delete
from pg_constraint c
join pg_class t on t.oid = c.conrelid
join pg_class r on r.oid = c.confrelid
join pg_namespace rn on rn.oid = r.relnamespace
join pg_namespace n on n.oid = t.relnamespace
join $targets e on e.destination_schema = n.nspname and e.destination_table = t.relname
where c.contype = 'f' and c.conparentid = 0 and t.relkind in ('r', 'p') and (e.is_rebuilt or $late)
order by e.entity_no, c.conname";

/// Keys and indexes of tables that are rebuilt.
const KEYS: &str = r"
with recursive dropped(oid) as (
    select c.oid from pg_constraint c
    join pg_class t on t.oid = c.conrelid
    join pg_namespace n on n.oid = t.relnamespace
    join $targets e on e.destination_schema = n.nspname and e.destination_table = t.relname
    where c.contype = 'f' and c.conparentid = 0 and t.relkind in ('r', 'p') and (e.is_rebuilt or $late)
    -- Those of its partitions go with it.
    union select c.oid from pg_constraint c join dropped d on c.conparentid = d.oid
), published as (
    select schemaname, tablename from pg_publication_tables
)
select e.entity_no,
       case c.contype when 'p' then 'primary_key' when 'u' then 'unique' else 'index' end as kind,
       n.nspname::text as table_schema, t.relname::text as table_name, i.relname::text as object_name,
       case when x.indisunique and x.indpred is null and x.indexprs is null then
           (select array_agg(a.attname::text order by k.ord) from unnest(x.indkey) with ordinality k(attnum, ord)
            join pg_attribute a on a.attrelid = t.oid and a.attnum = k.attnum where k.ord <= x.indnkeyatts)
       end as key_columns,
       case when c.oid is null then format('drop index %I.%I', n.nspname, i.relname)
            else format('alter table %I.%I drop constraint %I', n.nspname, t.relname, c.conname) end as drop_sql,
       array_remove(array[
           format('set local default_tablespace = %L',
                  coalesce((select spcname from pg_tablespace where oid = i.reltablespace), '')),
           pg_get_indexdef(i.oid),
           case when c.oid is not null
                then format('alter table %I.%I add constraint %I %s using index %I%s', n.nspname, t.relname, c.conname,
                            case c.contype when 'p' then 'primary key' else 'unique' end, i.relname,
                            case when c.condeferrable then ' deferrable' else '' end
                            || case when c.condeferred then ' initially deferred' else '' end) end,
           case when x.indisclustered then format('alter table %I.%I cluster on %I', n.nspname, t.relname, i.relname) end,
           case when x.indisreplident
                then format('alter table %I.%I replica identity using index %I', n.nspname, t.relname, i.relname) end,
           case when obj_description(c.oid, 'pg_constraint') is not null
                then format('comment on constraint %I on %I.%I is %L', c.conname, n.nspname, t.relname,
                            obj_description(c.oid, 'pg_constraint')) end,
           case when obj_description(i.oid, 'pg_class') is not null
                then format('comment on index %I.%I is %L', n.nspname, i.relname, obj_description(i.oid, 'pg_class')) end]
           || array(select format('alter index %I.%I alter column %s set statistics %s', n.nspname, i.relname,
                                  a.attnum, a.attstattarget)
                    from pg_attribute a where a.attrelid = i.oid and a.attnum > 0 and a.attstattarget >= 0
                    order by a.attnum), null) as create_sql,
       case when x.indisunique then (
           select format('select tableoid, ctid from (select t.tableoid, t.ctid, count(*) over (partition by %s) as alike from %I.%I t%s) d '
                         'where alike > 1',
                         string_agg(k.sql, ', ' order by k.at), n.nspname, t.relname,
                         ' where ' || nullif(concat_ws(' and ', '(' || pg_get_expr(x.indpred, x.indrelid) || ')',
                             case when pg_get_indexdef(i.oid) !~ 'NULLS NOT DISTINCT'
                                  then string_agg(format('(%s) is not null', k.sql), ' and ' order by k.at) end), ''))
           from (select at, pg_get_indexdef(i.oid, at, true) as sql from generate_series(1, x.indnkeyatts::integer) at) k
       ) end as breach_sql,
       null::text[] as fk_columns, null::text as fk_schema, null::text as fk_table,
       null::text[] as fk_parent_columns, null::text as fk_on_delete
from pg_index x
join pg_class i on i.oid = x.indexrelid
join pg_class t on t.oid = x.indrelid
join pg_namespace n on n.oid = t.relnamespace
join $targets e on e.destination_schema = n.nspname and e.destination_table = t.relname
left join pg_constraint c on c.conindid = i.oid and c.contype in ('p', 'u', 'x') and c.conrelid = t.oid
where e.is_rebuilt and t.relkind = 'r' and x.indisvalid and not x.indisexclusion
  and not t.relispartition
  -- Nobody else's foreign key points at it.
  and not exists (select from pg_constraint f where f.contype = 'f' and f.conindid = i.oid
                  and f.oid not in (select oid from dropped))
  -- Nothing else depends on the constraint or index (views that group by a primary key, functions).
  and not exists (select from pg_depend d
                  where d.refobjid in (i.oid, coalesce(c.oid, 0)) and d.deptype = 'n'
                    and d.refclassid in ('pg_class'::regclass, 'pg_constraint'::regclass)
                    and d.objid not in (select oid from dropped))
  -- It is not how a published table tells its rows apart.
  and not (exists (select from published p where p.schemaname = n.nspname and p.tablename = t.relname)
           and (x.indisreplident or coalesce(c.contype = 'p', false) and t.relreplident = 'd'))
order by e.entity_no, (c.contype is distinct from 'p'), i.relname";

/// Everything that is dropped for the load of a migration, foreign keys first; listed behind a statement
/// that returns no rows, in one message with it.
pub async fn inventory(
    connection: &mut PgConnection,
    before: &str,
    migration_id: Uuid,
) -> Result<Vec<Droppable>, Failure> {
    let lists = [FOREIGN_KEYS, KEYS].map(|sql| list_sql(migration_id, sql));
    list(connection, &format!("{before}; {}", lists.join("; "))).await
}

/// The foreign keys among them.
pub async fn foreign_keys(
    connection: &mut PgConnection,
    migration_id: Uuid,
) -> Result<Vec<Droppable>, Failure> {
    list(connection, &list_sql(migration_id, FOREIGN_KEYS)).await
}

fn list_sql(migration_id: Uuid, sql: &str) -> String {
    sql.replace("$targets", TARGETS)
        .replace("$late", LATE)
        .replace("$1", &format!("'{migration_id}'"))
}

async fn list(connection: &mut PgConnection, sql: &str) -> Result<Vec<Droppable>, Failure> {
    let rows = fetch_sql(connection, sql).await;
    let found: Result<Vec<Droppable>, sqlx::Error> = rows
        .during("list keys and indexes")?
        .iter()
        .map(Droppable::from_row)
        .collect();
    found.during("list keys and indexes")
}
