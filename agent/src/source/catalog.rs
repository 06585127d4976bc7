//! Reads what the plan compiler must know of a database: tables, and types of free expressions.

use std::collections::BTreeMap;

use proto::domain::catalog::{Catalog, ColumnType, Probe, Probed, Table, TableName, quote_texts};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::rules::free_sql;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use sqlx::{Executor, Row, Statement};

use crate::connect::fetch_sql;
use crate::failure::{During, database_error};

/// SQLSTATE of a constant that a function has no use for: a time zone, a unit.
const BAD_PARAMETER: &str = "22023";
/// SQLSTATE of a pattern that is no regular expression.
const BAD_REGEX: &str = "2201B";

/// A type, below any domain, as JSON of [`ColumnType`]; `$oid`, `$typmod`, `$collation` are replaced.
const TYPE: &str = r"(
    with recursive base(oid, typmod) as (
        select t.oid, $typmod::integer from pg_type t where t.oid = $oid
        union all
        select t.typbasetype, t.typtypmod from base b join pg_type t on t.oid = b.oid where t.typtype = 'd'
    )
    select jsonb_build_object(
        'sql', format_type($oid, $typmod),
        'base', format_type(t.oid, null),
        'typmod', b.typmod,
        'kind', case when t.typtype = 'e' then 'enum'
                     when tn.nspname <> 'pg_catalog' then 'other'
                     when t.typcategory = 'A'
                          then case when exists (select from pg_type el join pg_namespace en on en.oid = el.typnamespace
                                                 where el.oid = t.typelem and en.nspname = 'pg_catalog'
                                                   and el.typtype in ('b', 'r', 'm')) then 'builtin_array' else 'other' end
                     when t.typtype in ('b', 'r', 'm') then 'builtin'
                     else 'other' end,
        'enum_labels', coalesce((select jsonb_agg(en.enumlabel order by en.enumsortorder)
                                 from pg_enum en where en.enumtypid = t.oid), '[]'),
        'is_deterministic', t.typname not in ('citext', 'float4', 'float8', 'interval', 'timetz')
            and (t.typname <> 'numeric' or b.typmod <> -1)
            and coalesce((select collisdeterministic from pg_collation where oid = $collation), true))
    from base b join pg_type t on t.oid = b.oid join pg_namespace tn on tn.oid = t.typnamespace
    where t.typtype <> 'd')";

const TABLE: &str = r"
select jsonb_build_object(
    'name', jsonb_build_object('schema', n.nspname, 'name', c.relname),
    'columns', coalesce((
        select jsonb_agg(jsonb_build_object(
                   'name', a.attname,
                   'ty', $type,
                   'not_null', a.attnotnull or (select d.typnotnull from pg_type d where d.oid = a.atttypid),
                   'has_default', a.atthasdef or a.attidentity <> '',
                   'is_generated', a.attgenerated <> '') order by a.attnum)
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '[]'),
    'primary_key', coalesce((
        select jsonb_agg(a.attname order by k.ord)
        from pg_index i cross join unnest(i.indkey) with ordinality k(attnum, ord)
        join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
        where i.indrelid = c.oid and i.indisprimary and k.ord <= i.indnkeyatts), '[]'),
    'unique_keys', coalesce((
        select jsonb_agg(columns) from (
            select jsonb_agg(a.attname order by k.ord) as columns
            from pg_index i cross join unnest(i.indkey) with ordinality k(attnum, ord)
            join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
            where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null
              and i.indexprs is null and k.ord <= i.indnkeyatts
            group by i.indexrelid order by i.indexrelid) keys), '[]'),
    'foreign_keys', coalesce((
        select jsonb_agg(jsonb_build_object(
                   'name', f.conname,
                   'columns', (select jsonb_agg(a.attname order by k.ord) from unnest(f.conkey) with ordinality k(attnum, ord)
                               join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.attnum),
                   'target', jsonb_build_object('schema', rn.nspname, 'name', r.relname),
                   'target_columns', (select jsonb_agg(a.attname order by k.ord) from unnest(f.confkey) with ordinality k(attnum, ord)
                                      join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.attnum),
                   'is_validated', f.convalidated) order by f.conname)
        from pg_constraint f join pg_class r on r.oid = f.confrelid join pg_namespace rn on rn.oid = r.relnamespace
        where f.conrelid = c.oid and f.contype = 'f'), '[]'),
    'estimated_rows', greatest(c.reltuples, 0)::bigint,
    'bytes', pg_table_size(c.oid),
    'hazards', to_jsonb(array_remove(array[
        (select 'its triggers fire for every row: ' || string_agg(g.tgname, ', ' order by g.tgname)
         from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal and g.tgenabled in ('O', 'A')
           and g.tgtype & 4 <> 0),
        case when c.relrowsecurity then 'row level security is on: rows are written past its policies' end,
        (select 'every row is published by ' || string_agg(p.pubname, ', ' order by p.pubname)
         from pg_publication_tables p where p.schemaname = n.nspname and p.tablename = c.relname)], null)),
    'has_rows', false)
from unnest($schemas, $tables) with ordinality wanted(schema, name, at)
join pg_namespace n on n.nspname = wanted.schema
join pg_class c on c.relnamespace = n.oid and c.relname = wanted.name
where c.relkind in ('r', 'p')
order by wanted.at";

/// Reads the tables that exist out of `tables`, and answers the probes.
pub async fn read_catalog(
    connection: &mut PgConnection,
    tables: &[TableName],
    probes: &[Probe],
) -> Result<Catalog, Failure> {
    let mut catalog = Catalog {
        server_version: connection.server_version_num().unwrap_or_default(),
        ..Catalog::default()
    };
    catalog.tables = read_tables(connection, tables).await?;
    must_use(connection, probes).await?;
    let mut expressions = BTreeMap::new();
    for probe in probes {
        expressions.insert(probe.clone(), answer(connection, probe).await?);
    }
    catalog.expressions = expressions;
    Ok(catalog)
}

/// An expression over a table of a schema that the role may not use has no type: the plan would get the blame.
async fn must_use(connection: &mut PgConnection, probes: &[Probe]) -> Result<(), Failure> {
    let schemas: Vec<&str> = probes.iter().map(|it| it.table.schema.as_str()).collect();
    if schemas.is_empty() {
        return Ok(());
    }
    let denied: Vec<(String, String)> = sqlx::query_as(
        "select nspname::text, format('grant usage on schema %I to %I', nspname, current_user) \
         from pg_namespace where nspname = any($1) and not has_schema_privilege(oid, 'usage') order by 1",
    )
    .bind(schemas)
    .fetch_all(connection)
    .await
    .during("look at the schemas")?;
    if denied.is_empty() {
        return Ok(());
    }
    let (names, grants): (Vec<String>, Vec<String>) = denied.into_iter().unzip();
    let words = format!(
        "the source's role may not use schema {}: {}",
        names.join(", "),
        grants.join("; ")
    );
    Err(Failure::new(FailureKind::Denied, words))
}

async fn read_tables(
    connection: &mut PgConnection,
    names: &[TableName],
) -> Result<Vec<Table>, Failure> {
    let column_type = type_sql("a.atttypid", "a.atttypmod", "a.attcollation");
    let schemas = quote_texts(names.iter().map(|name| name.schema.as_str()));
    let tables = quote_texts(names.iter().map(|name| name.name.as_str()));
    let sql = TABLE
        .replace("$type", &column_type)
        .replace("$schemas", &schemas)
        .replace("$tables", &tables);
    let rows = fetch_sql(&mut *connection, &sql)
        .await
        .during("read the catalog")?;
    let found: Result<Vec<Json<Table>>, sqlx::Error> =
        rows.iter().map(|row| row.try_get(0)).collect();
    let found = found.during("read the catalog")?;
    let mut found: Vec<Table> = found.into_iter().map(|Json(table)| table).collect();
    let have_rows = have_rows(connection, found.iter().map(|table| &table.name)).await?;
    for (table, has_rows) in found.iter_mut().zip(have_rows) {
        table.has_rows = has_rows;
    }
    Ok(found)
}

/// Whether each of these tables has a row; those that the role may not read count as empty, and are told with
/// the rights that it lacks.
pub async fn have_rows(
    connection: &mut PgConnection,
    tables: impl Iterator<Item = &TableName>,
) -> Result<Vec<bool>, Failure> {
    let tables: Vec<&TableName> = tables.collect();
    let (schemas, names): (Vec<&str>, Vec<&str>) = tables
        .iter()
        .map(|table| (table.schema.as_str(), table.name.as_str()))
        .unzip();
    let readable: Vec<bool> = sqlx::query_scalar(
        "select coalesce(has_schema_privilege(n.oid, 'usage') and (has_table_privilege(c.oid, 'select') \
                         or has_any_column_privilege(c.oid, 'select')), true) \
         from unnest($1::text[], $2::text[]) with ordinality t(schema, name, at) \
         left join pg_namespace n on n.nspname = t.schema \
         left join pg_class c on c.relnamespace = n.oid and c.relname = t.name order by t.at",
    )
    .bind(schemas)
    .bind(names)
    .fetch_all(&mut *connection)
    .await
    .during("look whether tables can be read")?;
    let looks: Vec<String> = tables
        .iter()
        .zip(readable)
        .map(|(table, is_readable)| match is_readable {
            true => format!("exists (select from {})", table.quoted()),
            false => "false".to_owned(),
        })
        .collect();
    let sql = format!("select array[{}]::boolean[]", looks.join(", "));
    let rows = fetch_sql(connection, &sql).await;
    let rows = rows.during("look whether tables are empty")?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound);
    row.and_then(|row| row.try_get(0))
        .during("look whether tables are empty")
}

fn type_sql(oid: &str, typmod: &str, collation: &str) -> String {
    TYPE.replace("$oid", oid)
        .replace("$typmod", typmod)
        .replace("$collation", collation)
}

/// The type of a free expression, or why it is refused. Nothing of it is executed.
async fn answer(connection: &mut PgConnection, probe: &Probe) -> Result<Probed, Failure> {
    let (sql, rows) = (free_sql(probe), probe.rows());
    let select = format!("select {sql} as x from {rows}");
    // Aggregates, window functions and sets are refused in a WHERE: what passes is one scalar a row.
    let scalar = format!("select from {rows} where {sql} is null");
    // Between other words than parentheses it must be whole too: not `a) or (b`.
    let between = Probe {
        sql: format!("case when true then {}\n end", probe.sql),
        ..probe.clone()
    };
    let whole = format!("select {} as x from {rows}", free_sql(&between));
    for sql in [&whole, &scalar, &select] {
        match (&mut *connection).prepare(sql).await {
            Ok(statement) if sql == &select => {
                let Some(oid) = statement.columns().first().and_then(type_oid) else {
                    return Ok(Probed::Refused("its type is not known".to_owned()));
                };
                if let Some(words) = refusal_of_planner(connection, &select).await? {
                    return Ok(Probed::Refused(words));
                }
                return type_of(connection, oid).await.map(Probed::Type);
            }
            Ok(_) => {}
            Err(error) => match database_error(&error) {
                // Words about the statement itself; there is no row in it.
                Some(refusal) if !refusal.code().starts_with("08") => {
                    return Ok(Probed::Refused(refusal.message().to_owned()));
                }
                _ => return Err(error).during("ask for the type of an expression"),
            },
        }
    }
    Err(Failure::new(
        FailureKind::Internal,
        "the type of an expression stayed unknown",
    ))
}

fn type_oid(column: &sqlx::postgres::PgColumn) -> Option<u32> {
    use sqlx::Column;
    column.type_info().oid().map(|oid| oid.0)
}

async fn type_of(connection: &mut PgConnection, oid: u32) -> Result<ColumnType, Failure> {
    let sql = format!("select {}", type_sql(&oid.to_string(), "-1", "0"));
    let Json(ty): Json<ColumnType> = sqlx::query_scalar(&sql)
        .fetch_one(connection)
        .await
        .during("read a type")?;
    Ok(ty)
}

/// What the planned statement has against it: a regular expression that is none, or a function of which
/// every overload is volatile.
async fn refusal_of_planner(
    connection: &mut PgConnection,
    select: &str,
) -> Result<Option<String>, Failure> {
    let explain = format!("explain (verbose, costs off, format text) {select}");
    let lines: Vec<String> = match sqlx::query_scalar(&explain)
        .fetch_all(&mut *connection)
        .await
    {
        Ok(lines) => lines,
        Err(error) => match database_error(&error) {
            Some(refusal) if [BAD_REGEX, BAD_PARAMETER].contains(&refusal.code()) => {
                return Ok(Some(refusal.message().to_owned()));
            }
            // Constant folding may raise (1/0): a row will tell, if one is read.
            Some(_) => return Ok(None),
            None => return Err(error).during("explain an expression"),
        },
    };
    let names: Vec<String> = lines.iter().flat_map(|line| called_names(line)).collect();
    let volatile: Option<String> = sqlx::query_scalar(
        "select proname::text from pg_proc where proname = any($1) group by proname \
         having bool_and(provolatile = 'v') order by proname limit 1",
    )
    .bind(names)
    .fetch_optional(connection)
    .await
    .during("look up functions")?;
    Ok(
        volatile
            .map(|name| format!("{name}() is volatile: a repeated read would give another row")),
    )
}

/// Identifiers that stand right before an opening parenthesis.
fn called_names(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices('(') {
        let before = &line[..at];
        let start = before
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map_or(0, |at| {
                at + before[at..].chars().next().map_or(1, char::len_utf8)
            });
        if start < at {
            names.push(before[start..].to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_in_a_planned_line() {
        let line = "  Output: (lower(src.name) || public.f_x((src.id + random())))";
        assert_eq!(called_names(line), ["lower", "f_x", "random"]);
    }
}
