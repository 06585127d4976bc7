//! Everything that a database's catalog says of its tables, as lines that do not depend on the order of
//! columns: two databases, or one at two moments, are the same when the lines are.

use anyhow::Result;

use crate::pg::TestDatabase;

/// One line per column, constraint, index, policy, trigger, view, grant, statistics object and sequence of the
/// schemas that are not the server's and not Drover's.
pub const CATALOG: &str = r"
with s as (
    select oid, nspname from pg_namespace where nspname !~ '^(pg_|information_schema$|drover)'
), t as (
    select c.*, c.oid::regclass::text as called, s.nspname from pg_class c join s on s.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm')
), acl as (
    select o.kind, o.called, x.privilege_type, x.is_grantable, case when x.grantee = 0 then 'public' else pg_get_userbyid(x.grantee)::text end as grantee
    from (select 'table' as kind, called, coalesce(relacl, acldefault('r', relowner)) as acl from t
          union all
          select 'column', called || '.' || attname, attacl from t join pg_attribute a on a.attrelid = t.oid
          where attnum > 0 and not attisdropped) o, aclexplode(o.acl) x
)
select line from (
    select format('column %s.%s %s not null=%s default=%s generated=%s identity=%s collation=%s storage=%s compression=%s statistics=%s options=%s comment=%s',
                  t.called, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attgenerated,
                  a.attidentity, a.attcollation::regcollation, a.attstorage, a.attcompression, a.attstattarget, a.attoptions, col_description(t.oid, a.attnum)) as line
    from t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
    union all
    select format('constraint %s.%s %s valid=%s comment=%s', t.called, k.conname, pg_get_constraintdef(k.oid), k.convalidated, obj_description(k.oid, 'pg_constraint'))
    from t join pg_constraint k on k.conrelid = t.oid
    union all
    select format('index %s valid=%s clustered=%s replica=%s comment=%s', pg_get_indexdef(x.indexrelid), x.indisvalid, x.indisclustered, x.indisreplident,
                  obj_description(x.indexrelid, 'pg_class'))
    from t join pg_index x on x.indrelid = t.oid
    union all
    select format('policy %s.%s %s %s %s using=%s check=%s comment=%s', t.called, p.polname, p.polcmd, p.polpermissive, p.polroles::regrole[]::text,
                  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid), obj_description(p.oid, 'pg_policy'))
    from t join pg_policy p on p.polrelid = t.oid
    union all
    select format('trigger %s enabled=%s comment=%s', pg_get_triggerdef(g.oid), g.tgenabled, obj_description(g.oid, 'pg_trigger'))
    from t join pg_trigger g on g.tgrelid = t.oid and not g.tgisinternal
    union all
    select format('table %s kind=%s security=%s forced=%s replica=%s comment=%s', t.called, t.relkind, t.relrowsecurity, t.relforcerowsecurity, t.relreplident,
                  obj_description(t.oid, 'pg_class')) from t
    union all
    select format('view %s %s', t.called, pg_get_viewdef(t.oid)) from t where t.relkind in ('v', 'm')
    union all
    select format('grant %s %s on %s to %s %s', kind, privilege_type, called, grantee, is_grantable) from acl
    union all
    select format('statistics %s target=%s comment=%s', -- By name: the definition lists columns as they stand in the table.
                  (select string_agg(a.attname, ', ' order by a.attname) from pg_attribute a
                   where a.attrelid = e.stxrelid and a.attnum = any(e.stxkeys))
                  || ' of ' || regexp_replace(pg_get_statisticsobjdef(e.oid), ' ON .* FROM ', ' FROM '), e.stxstattarget, obj_description(e.oid, 'pg_statistic_ext'))
    from t join pg_statistic_ext e on e.stxrelid = t.oid
    union all
    select format('sequence %s %s start=%s by=%s min=%s max=%s cycle=%s owner=%s', c.oid::regclass, format_type(q.seqtypid, null), q.seqstart, q.seqincrement,
                  q.seqmin, q.seqmax, q.seqcycle, (select format('%s.%s', o.oid::regclass, a.attname) from pg_depend p
                      join pg_class o on o.oid = p.refobjid join pg_attribute a on a.attrelid = o.oid and a.attnum = p.refobjsubid
                      where p.classid = 'pg_class'::regclass and p.objid = c.oid and p.refclassid = 'pg_class'::regclass and p.deptype in ('a', 'i')))
    from s join pg_class c on c.relnamespace = s.oid and c.relkind = 'S' join pg_sequence q on q.seqrelid = c.oid
    union all
    select 'schema ' || nspname from s
) lines order by line";

/// The lines of a database's catalog.
pub async fn catalog(database: &TestDatabase) -> Result<Vec<String>> {
    database.texts(CATALOG).await
}

/// Number and hash of every table's rows, whatever the order of its columns.
pub async fn contents(database: &TestDatabase) -> Result<Vec<String>> {
    let tables = database
        .texts(
            "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where c.relkind = 'r' and n.nspname !~ '^(pg_|information_schema$|drover)' order by 1",
        )
        .await?;
    let mut lines = Vec::new();
    for table in tables {
        let sql = format!(
            "select count(*) || ' ' || coalesce(sum(hashtextextended(to_jsonb(t)::text, 0)), 0) from {table} t"
        );
        for line in database.texts(&sql).await? {
            lines.push(format!("{table} {line}"));
        }
    }
    Ok(lines)
}

/// Lines that only one of two has, marked `-` and `+`.
pub fn differences(before: &[String], after: &[String]) -> Vec<String> {
    let gone = before.iter().filter(|line| !after.contains(line));
    let come = after.iter().filter(|line| !before.contains(line));
    gone.map(|line| format!("- {line}"))
        .chain(come.map(|line| format!("+ {line}")))
        .collect()
}
