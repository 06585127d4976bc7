//! What the preflight must know of the targets: rights, row level security, keys, locks.

use std::collections::BTreeSet;

use proto::domain::catalog::TableName;
use proto::domain::failure::Failure;
use proto::domain::preflight::WriteFacts;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;

use crate::failure::During;
use crate::source::catalog::have_rows;

/// A target as JSON of [`WriteFacts`].
const TARGET: &str = r"
select jsonb_build_object(
    'table', jsonb_build_object('schema', n.nspname, 'name', c.relname),
    'owner', pg_get_userbyid(c.relowner),
    'can_use', has_schema_privilege(n.oid, 'usage'),
    'can_index', has_schema_privilege(n.oid, 'create'),
    'is_owner', pg_has_role(c.relowner, 'usage'),
    'rights', to_jsonb(array(select p.name from unnest(array['select', 'insert', 'update', 'delete']) p(name)
                             where has_table_privilege(c.oid, p.name))),
    'is_filtered', row_security_active(c.oid),
    'has_rls', c.relrowsecurity,
    'is_forced', c.relrowsecurity and c.relforcerowsecurity,
    'has_rows', false,
    'bytes', pg_table_size(c.oid),
    'indexes', (select count(*) from pg_index i where i.indrelid = c.oid),
    'refers_to', coalesce((
        select jsonb_agg(jsonb_build_object(
                   'table', jsonb_build_object('schema', fn.nspname, 'name', f.relname),
                   'can_reference', has_table_privilege(f.oid, 'references')
                       or not exists (select from unnest(k.confkey) a(attnum)
                                      where not has_column_privilege(f.oid, a.attnum, 'references'))) order by k.conname)
        from pg_constraint k join pg_class f on f.oid = k.confrelid join pg_namespace fn on fn.oid = f.relnamespace
        where k.conrelid = c.oid and k.contype = 'f' and k.conparentid = 0), '[]'),
    'sequences', coalesce((
        select jsonb_agg(jsonb_build_object(
                   'column', a.attname,
                   'sequence', jsonb_build_object('schema', sn.nspname, 'name', s.relname),
                   'can_set', has_sequence_privilege(s.oid, 'update') and has_sequence_privilege(s.oid, 'select'))
                   order by a.attnum, s.oid)
        from pg_attribute a
        join lateral (
            select d.objid as oid from pg_depend d
            where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
              and d.refobjid = c.oid and d.refobjsubid = a.attnum and d.deptype in ('a', 'i')
            union
            select d.refobjid from pg_attrdef f
            join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
                            and d.refclassid = 'pg_class'::regclass
            where f.adrelid = c.oid and f.adnum = a.attnum
              and pg_get_expr(f.adbin, f.adrelid) ~ '^nextval\(''.*''::regclass\)$') feeding on true
        join pg_class s on s.oid = feeding.oid and s.relkind = 'S' join pg_namespace sn on sn.oid = s.relnamespace
        join pg_type y on y.oid = a.atttypid
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          and coalesce(nullif(y.typbasetype, 0), y.oid)
              in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)), '[]'),
    'locks', coalesce((
        select jsonb_agg(jsonb_build_object('pid', l.pid, 'mode', l.mode,
                   'seconds', extract(epoch from clock_timestamp() - coalesce(v.xact_start, x.prepared))::bigint)
                   order by l.pid, l.mode)
        from pg_locks l
        left join pg_stat_activity v on v.pid = l.pid
        left join pg_prepared_xacts x on l.pid is null and l.virtualtransaction = '-1/' || x.transaction::text
        where l.locktype = 'relation' and l.relation = c.oid and l.granted
          and l.database = (select oid from pg_database where datname = current_database())
          and l.pid is distinct from pg_backend_pid() and coalesce(v.application_name, '') not like 'drover %'
          and coalesce(v.backend_type, 'client backend') = 'client backend'), '[]'))
from unnest($1::text[], $2::text[]) with ordinality t(schema, name, at)
join pg_namespace n on n.nspname = t.schema
join pg_class c on c.relnamespace = n.oid and c.relname = t.name
order by t.at";

/// Facts of the targets.
pub async fn read_targets(
    destination: &mut PgConnection,
    tables: &BTreeSet<&TableName>,
) -> Result<Vec<WriteFacts>, Failure> {
    let (schemas, names): (Vec<&str>, Vec<&str>) = tables
        .iter()
        .map(|table| (table.schema.as_str(), table.name.as_str()))
        .unzip();
    let found: Vec<Json<WriteFacts>> = sqlx::query_scalar(TARGET)
        .bind(schemas)
        .bind(names)
        .fetch_all(&mut *destination)
        .await
        .during("check the rights at the destination")?;
    let mut found: Vec<WriteFacts> = found.into_iter().map(|Json(facts)| facts).collect();
    let names = found.iter().map(|facts| &facts.table);
    let have_rows = have_rows(destination, names).await?;
    for (facts, has_rows) in found.iter_mut().zip(have_rows) {
        facts.has_rows = has_rows;
    }
    Ok(found)
}
