//! Rows at the destination whose parent failed after they were written.

use std::collections::{HashMap, HashSet};

use proto::domain::catalog::{quote_ident, quote_texts};
use proto::domain::compiled::{CompiledEntity, IdRule, LateReference, RefShape};
use proto::domain::failure::Failure;
use proto::domain::id::IdMaker;
use proto::domain::json_rows;
use serde_json::Value;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use super::{Member, SETTLING, parse_key};
use crate::connect::fetch_sql;
use crate::failure::During;
use crate::patience::{InTime, WRITE};
use crate::run::{EntityContext, RunContext};
use crate::transform::row::named;

/// Rows of one round.
const ROUND: i64 = 5000;

/// Record ids of failed rows, by entity.
pub(super) type Failed = HashMap<String, Vec<String>>;

/// A row whose parent failed.
#[derive(Debug, FromRow)]
pub(super) struct Orphan {
    /// Its record id.
    pub source_id: String,
    /// Its id at the destination, as text.
    pub row_key: String,
    /// The row as it is.
    pub image: Value,
    /// What the reference to the parent holds.
    pub parent: Option<String>,
    /// The column of the reference.
    pub reference: String,
    /// The parent's entity.
    pub parent_entity: String,
    /// Where the row was a moment ago.
    pub row_place: String,
    /// Where its mapping was.
    pub map_place: String,
    /// It was there before this migration, which only changed it.
    pub is_foreign: bool,
}

/// Record ids of all rows that failed, of every entity that the knot refers to.
pub(super) async fn failed_keys(
    connection: &mut PgConnection,
    run: &RunContext,
    members: &[Member],
) -> Result<Failed, Failure> {
    let late = members.iter().flat_map(|it| &it.entity.compiled.late);
    let names: HashSet<&str> = late.map(|late| late.entity.as_str()).collect();
    let sql = format!(
        "select n.entity, r.source_record_id from drover.error r join drover.partition p using (partition_id) \
         join drover.entity n on n.entity_no = r.entity_no \
         where n.migration_id = '{}' and n.entity = any({}) and p.attempt = {} and not r.is_resolved",
        run.order.migration_id,
        quote_texts(names.into_iter()),
        run.order.attempt,
    );
    let rows = fetch_sql(connection, &sql).in_time(WRITE).await;
    let mut failed = Failed::new();
    for row in rows.during("read failed rows")? {
        let (entity, key) = <(String, String)>::from_row(&row).during("read failed rows")?;
        failed.entry(entity).or_default().push(key);
    }
    Ok(failed)
}

/// Rows of an entity that refer to a failed row by one of its references.
pub(super) async fn find_orphans(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
    failed: &Failed,
) -> Result<Vec<Orphan>, Failure> {
    for reference in &entity.compiled.late {
        let keys = failed.get(&reference.entity).map_or(&[][..], Vec::as_slice);
        let parent = run.plan().entity(&reference.entity);
        let (Some(parent), false) = (parent, keys.is_empty()) else {
            continue;
        };
        let targets = target_ids(connection, run, parent, keys).await?;
        let Some(sql) = select(entity, parent, reference) else {
            continue;
        };
        let orphans: Vec<Orphan> = sqlx::query_as(&sql)
            .bind(&targets)
            .bind(&reference.column)
            .bind(&reference.entity)
            .fetch_all(&mut *connection)
            .in_time(WRITE)
            .await
            .during("look for rows without their parent")?;
        if !orphans.is_empty() {
            return Ok(orphans);
        }
    }
    Ok(Vec::new())
}

/// SELECT of the rows whose reference is among the texts `$1`. Tables have no index and no statistics now:
/// each side is found by one pass over it, with the other in a hash table; `= any` of an array that is no
/// constant would compare every row with every element.
fn select(
    entity: &EntityContext,
    parent: &CompiledEntity,
    reference: &LateReference,
) -> Option<String> {
    let (id, key, cast) = match &entity.compiled.id {
        IdRule::Uuid5 { column, .. } => (quote_ident(column), "m.id", "uuid"),
        IdRule::Keep { column } => (quote_ident(column), "m.k::text", "text"),
        IdRule::None { .. } => return None,
    };
    let (test, found) = matching(&parent.id, &reference.column, &reference.shape);
    Some(format!(
        "with failed (k) as materialized (select distinct unnest($1::text[])), \
         orphan as materialized ( \
             select t.{id}::text as row_key, {found} as parent, t.ctid as place from {target} t where {test}), \
         known as materialized ( \
             select m.k::text as source_id, {key}::text as row_key, m.ctid::text as map_place, \
                    m.meta ? 'on_conflict' as is_foreign \
             from drover.id_map_{number} m where {key} in (select row_key::{cast} from orphan) \
               and coalesce(m.meta ->> 'on_conflict', '') <> 'skip') \
         select k.source_id, k.row_key, to_jsonb(t) as image, o.parent, $2::text as reference, \
                $3::text as parent_entity, o.place::text as row_place, k.map_place, \
                coalesce(k.is_foreign, false) as is_foreign \
         from known k join orphan o using (row_key) join {target} t on t.ctid = o.place \
         order by k.source_id limit {ROUND}",
        target = entity.compiled.destination.quoted(),
        number = entity.entity_no,
    ))
}

/// The condition that a reference is among the `failed`, and the first that is, both over the row `t`.
fn matching(parent: &IdRule, column: &str, shape: &RefShape) -> (String, String) {
    let column = format!("t.{}", quote_ident(column));
    match shape {
        RefShape::Row => {
            let cast = match parent {
                IdRule::Uuid5 { .. } => "uuid",
                IdRule::Keep { .. } | IdRule::None { .. } => "text",
            };
            let test = format!("{column}::{cast} in (select k::{cast} from failed)");
            (test, format!("{column}::text"))
        }
        RefShape::Each => {
            let found = format!(
                "(select x from unnest({column}::text[]) as x where {} limit 1)",
                is_failed("x")
            );
            (format!("{found} is not null"), found)
        }
        RefShape::Document(path) => {
            let values = json_rows::texts(&format!("{column}::jsonb"), path);
            let found = format!(
                "(select x.v from {values} as x where {} limit 1)",
                is_failed("x.v")
            );
            (format!("{found} is not null"), found)
        }
    }
}

/// Asked for every element of a row: no join, which would be begun anew for each row, but one hash table.
fn is_failed(value: &str) -> String {
    format!("({value} in (select k from failed)) is true")
}

/// What references to failed rows hold: uuids, those of rows that matched too, or kept keys.
async fn target_ids(
    connection: &mut PgConnection,
    run: &RunContext,
    parent: &CompiledEntity,
    failed: &[String],
) -> Result<Vec<String>, Failure> {
    if matches!(parent.id, IdRule::Keep { .. }) {
        return Ok(failed.to_vec());
    }
    let maker = IdMaker::new(run.plan().namespace, named(parent));
    let mut targets: Vec<String> = sqlx::query_scalar(
        "select o.id::text from drover.override o join drover.entity n using (entity_no) \
         where n.migration_id = $1 and n.entity = $2 and o.id is not null and o.source_id = any($3)",
    )
    .bind(run.order.migration_id)
    .bind(named(parent))
    .bind(failed)
    .fetch_all(connection)
    .in_time(WRITE)
    .await
    .during(SETTLING)?;
    for record_id in failed {
        let key = parse_key(record_id, parent.read.key.len())?;
        let mut builder = maker.start();
        for part in &key.0 {
            builder.push_part(part.as_bytes());
        }
        targets.push(builder.finish().to_string());
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_is_compared_with_every_failed_one() {
        // At 4 million rows and 7,000 failed ones a list ran for hours: only a constant array is hashed.
        let parent = IdRule::None {
            columns: Vec::new(),
        };
        for shape in [
            RefShape::Row,
            RefShape::Each,
            RefShape::Document(Vec::new()),
        ] {
            let (test, found) = matching(&parent, "c", &shape);
            for sql in [test, found] {
                assert!(!sql.contains("any(") && !sql.contains("&&"), "{sql}");
            }
        }
    }
}
