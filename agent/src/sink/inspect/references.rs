//! Follows the references of an entity's table, and looks whether the id map gives one id to two rows.

use std::collections::BTreeMap;

use proto::domain::catalog::{TableName, quote_ident};
use proto::domain::compiled::{CompiledPlan, RefShape};
use proto::domain::failure::Failure;
use proto::domain::frame::{CheckOutcome, Finding, FindingKind};
use proto::domain::json_rows;
use serde_json::{Value, json};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use super::{TOLD, key_text};
use crate::failure::During;
use crate::patience::{InTime, READ};
use crate::run::{EntityContext, RunContext};

const FOLLOWING: &str = "follow foreign keys";

/// A reference from the table `t`, and the rows that it may lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    columns: Vec<String>,
    /// What stands between `from table t` and the joins: elements of an array or of JSON, as `r(v)`.
    unnested: String,
    /// There is something to follow.
    is_given: String,
    /// Tables with the condition that a row of them, `p0`, `p1` …, is the one.
    targets: Vec<(String, String)>,
    /// How a row shows that it is there.
    shown: Vec<String>,
    name: String,
}

/// Every reference of the entity's table: its constraints, and what the plan declares.
pub async fn foreign_keys(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
) -> Result<CheckOutcome, Failure> {
    let constraints = constraints(&mut *connection, &entity.compiled.destination).await?;
    let declared = declared(run.plan(), entity);
    // What a constraint says already is followed once.
    let is_new = |reference: &Reference| {
        !constraints.iter().any(|known| {
            known.columns == reference.columns
                && known.targets.len() == 1
                && reference.targets.len() == 1
                && known.targets[0].0 == reference.targets[0].0
        })
    };
    let declared: Vec<Reference> = declared.into_iter().filter(is_new).collect();
    let mut outcome = CheckOutcome::default();
    let mut figures = Vec::new();
    for reference in constraints.iter().chain(&declared) {
        let (followed, orphans) = follow(&mut *connection, entity, reference).await?;
        outcome.records_validated += followed;
        outcome.issues_found += orphans;
        figures.push(
            json!({ "reference": reference.name, "columns": reference.columns,
                             "followed": followed, "orphans": orphans }),
        );
        if orphans > 0 {
            let keys = orphan_keys(&mut *connection, entity, reference).await?;
            outcome.findings.extend(keys.into_iter().map(|key| Finding {
                kind: FindingKind::Orphan,
                source_id: None,
                destination_id: Some(key),
                columns: reference.columns.clone(),
                note: format!("{}: the row it refers to is not there", reference.name),
                is_warning: false,
            }));
        }
    }
    outcome.figures = json!({ "references": Value::Array(figures) });
    Ok(outcome)
}

async fn follow(
    connection: &mut PgConnection,
    entity: &EntityContext,
    reference: &Reference,
) -> Result<(i64, i64), Failure> {
    let missing: Vec<String> = reference
        .shown
        .iter()
        .map(|shown| format!("{shown} is null"))
        .collect();
    let sql = format!(
        "select count(*), count(*) filter (where {}) {}",
        missing.join(" and "),
        rows(entity, reference)
    );
    sqlx::query_as(&sql)
        .fetch_one(connection)
        .in_time(READ)
        .await
        .during(FOLLOWING)
}

async fn orphan_keys(
    connection: &mut PgConnection,
    entity: &EntityContext,
    reference: &Reference,
) -> Result<Vec<String>, Failure> {
    let missing: Vec<String> = reference
        .shown
        .iter()
        .map(|shown| format!("{shown} is null"))
        .collect();
    let sql = format!(
        "select {} {} and {} limit {TOLD}",
        key_text(&entity.compiled, "t"),
        rows(entity, reference),
        missing.join(" and ")
    );
    sqlx::query_scalar(&sql)
        .fetch_all(connection)
        .in_time(READ)
        .await
        .during(FOLLOWING)
}

/// The references, each with the row that it leads to where that is there.
fn rows(entity: &EntityContext, reference: &Reference) -> String {
    let joins: Vec<String> = (0..)
        .zip(&reference.targets)
        .map(|(at, (table, test))| {
            let at: usize = at;
            format!(" left join {table} p{at} on {test}")
        })
        .collect();
    format!(
        "from {} t{}{} where {}",
        entity.compiled.destination.quoted(),
        reference.unnested,
        joins.concat(),
        reference.is_given
    )
}

#[derive(FromRow)]
struct Constraint {
    name: String,
    columns: Vec<String>,
    schema: String,
    table: String,
    keys: Vec<String>,
}

/// The foreign keys of a table, whether or not they are in force.
async fn constraints(
    connection: &mut PgConnection,
    table: &TableName,
) -> Result<Vec<Reference>, Failure> {
    let found: Vec<Constraint> = sqlx::query_as(
        "select c.conname::text as name, n.nspname::text as schema, r.relname::text as table, \
                array(select a.attname::text from unnest(c.conkey) with ordinality k(no, at) \
                      join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.no order by k.at) as columns, \
                array(select a.attname::text from unnest(c.confkey) with ordinality k(no, at) \
                      join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.no order by k.at) as keys \
         from pg_constraint c join pg_class r on r.oid = c.confrelid join pg_namespace n on n.oid = r.relnamespace \
         where c.contype = 'f' and c.conrelid = $1::regclass and c.conparentid = 0 order by c.conname",
    )
    .bind(table.quoted())
    .fetch_all(connection)
    .in_time(READ)
    .await
    .during(FOLLOWING)?;
    Ok(found.into_iter().map(of_constraint).collect())
}

fn of_constraint(found: Constraint) -> Reference {
    let target = TableName {
        schema: found.schema,
        name: found.table,
    };
    let given: Vec<String> = found
        .columns
        .iter()
        .map(|column| format!("t.{} is not null", quote_ident(column)))
        .collect();
    let tests: Vec<String> = found
        .columns
        .iter()
        .zip(&found.keys)
        .map(|(column, key)| format!("p0.{} = t.{}", quote_ident(key), quote_ident(column)))
        .collect();
    let first = found
        .keys
        .first()
        .map_or_else(String::new, |key| quote_ident(key));
    Reference {
        columns: found.columns,
        unnested: String::new(),
        is_given: given.join(" and "),
        targets: vec![(target.quoted(), tests.join(" and "))],
        shown: vec![format!("p0.{first}")],
        name: found.name,
    }
}

/// What the plan declares: one reference for each column and place, to any of its parents.
fn declared(plan: &CompiledPlan, entity: &EntityContext) -> Vec<Reference> {
    let compiled = &entity.compiled;
    let parents = compiled
        .parents
        .iter()
        .map(|parent| (&parent.column, &parent.shape, parent.entity.as_str()));
    let late = compiled
        .late
        .iter()
        .map(|late| (&late.column, &late.shape, late.entity.as_str()));
    let mut places: BTreeMap<String, (&String, &RefShape, Vec<&str>)> = BTreeMap::new();
    // Rows of an entity that is left out are somebody else's.
    let is_active = |name: &str| plan.entity(name).is_some_and(|parent| parent.is_active);
    let references = parents
        .chain(late)
        .filter(|(_, _, parent)| is_active(parent));
    for (column, shape, parent) in references {
        let place =
            places
                .entry(format!("{column} {shape:?}"))
                .or_insert((column, shape, Vec::new()));
        if !place.2.contains(&parent) {
            place.2.push(parent);
        }
    }
    let references = places.into_values().filter_map(|(column, shape, names)| {
        let parents = names.iter().map(|name| plan.entity(name));
        let parents: Option<Vec<_>> = parents.collect();
        let mut targets = Vec::new();
        let mut shown = Vec::new();
        for (at, parent) in parents?.into_iter().enumerate() {
            let [key] = parent.id.columns() else {
                return None;
            };
            let key = quote_ident(key);
            // By text: a column may hold keys of several types, each as its text.
            let test = match shape {
                RefShape::Row => format!("p{at}.{key}::text = t.{}::text", quote_ident(column)),
                RefShape::Each => format!("p{at}.{key}::text = r.v::text"),
                RefShape::Document(_) => format!("p{at}.{key}::text = r.v"),
            };
            targets.push((parent.destination.quoted(), test));
            shown.push(format!("p{at}.{key}"));
        }
        let name = quote_ident(column);
        let (unnested, is_given) = match shape {
            RefShape::Row => (String::new(), format!("t.{name} is not null")),
            RefShape::Each => (
                format!(" cross join lateral unnest(t.{name}) r(v)"),
                "r.v is not null".to_owned(),
            ),
            RefShape::Document(path) => (
                format!(
                    " cross join lateral {} r",
                    json_rows::texts(&format!("t.{name}::jsonb"), path)
                ),
                "r.v is not null".to_owned(),
            ),
        };
        Some(Reference {
            columns: vec![column.clone()],
            unnested,
            is_given,
            targets,
            shown,
            name: format!("{column} to {}", names.join(" or ")),
        })
    });
    references.collect()
}

/// Ids that several rows have, over all entities that write the table, but for rows that were merged.
pub async fn id_map(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
) -> Result<CheckOutcome, Failure> {
    let action = "check the id map";
    let table = &entity.compiled.destination;
    let mut numbers: Vec<i32> = run
        .entities_of((&table.schema, &table.name))
        .map(|writer| writer.entity_no)
        .collect();
    numbers.sort_unstable();
    let own = entity.entity_no;
    let rows = sqlx::query_scalar(&format!(
        "select count(*) from drover.id_map_{own} m where m.is_active"
    ))
    .fetch_one(&mut *connection)
    .in_time(READ)
    .await
    .during(action)?;
    let unmarked = |number: &i32| {
        format!(
            "select m.id from drover.id_map_{number} m where m.is_active and (m.meta is null \
             or not m.meta ? 'on_conflict') and not exists (select from drover.override o \
             where o.entity_no = {number} and o.kind = 'manual' and o.id = m.id)"
        )
    };
    // Each entity tells of its own ids; one that two of them have is told twice.
    let all: Vec<String> = numbers.iter().map(unmarked).collect();
    let own_only = match numbers.as_slice() {
        [_] => String::new(),
        _ => format!("where id in (select id from drover.id_map_{own} where is_active)"),
    };
    let repeated = format!(
        "select id, count(*) - 1 as more from ({}) a {own_only} group by id having count(*) > 1",
        all.join(" union all ")
    );
    let (issues, ids): (i64, Vec<String>) = sqlx::query_as(&format!(
        "with repeated as materialized ({repeated}) \
         select coalesce((select sum(more) from repeated), 0)::bigint, \
                array(select id::text from repeated order by id limit {TOLD})"
    ))
    .fetch_one(connection)
    .in_time(READ)
    .await
    .during(action)?;
    let finding = |id: String| Finding {
        kind: FindingKind::Duplicate,
        source_id: None,
        destination_id: Some(id),
        columns: Vec::new(),
        note: "several source rows have this id, and none says that they were merged".to_owned(),
        is_warning: false,
    };
    Ok(CheckOutcome {
        records_validated: std::cmp::max(rows, issues),
        issues_found: issues,
        figures: json!({ "mappings": rows, "repeated": issues }),
        findings: ids.into_iter().map(finding).collect(),
        ..CheckOutcome::default()
    })
}
