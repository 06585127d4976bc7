//! Rows that were taken away because a row they refer to failed: they wait until that one is there, and are not
//! tried before.

use std::collections::{BTreeMap, HashSet};

use proto::domain::catalog::quote_ident;
use proto::domain::compiled::IdRule;
use proto::domain::failure::Failure;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::failure::During;
use crate::patience::{InTime, WRITE};
use crate::run::RunContext;

const LOOK: &str = "look for the rows that others wait for";

/// A row that was taken away, and what it refers to.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Waiting {
    /// Its record id.
    pub source_record_id: String,
    /// Its id at the destination.
    pub row_key: Option<String>,
    /// The entity of the row that failed.
    pub parent_entity: String,
    /// The id at the destination that it has or would have.
    pub parent_key: String,
}

/// An entity, and an id of a row of it.
type Place = (String, String);

/// Record ids of the rows, among those with these errors, that still wait for another one.
///
/// # Errors
/// The destination's.
pub async fn still_waiting(
    connection: &mut PgConnection,
    run: &RunContext,
    (entity, error_ids): (&str, &[Uuid]),
) -> Result<HashSet<String>, Failure> {
    let rows: Vec<Waiting> = sqlx::query_as(
        "select e.source_record_id, i.row_key #>> '{}' as row_key, \
                e.context ->> 'parent_entity' as parent_entity, \
                e.context ->> 'parent_destination_id' as parent_key \
         from drover.error e \
         left join drover.pre_image i using (partition_id, attempt, seq, ordinal) \
         where e.id = any($1) and e.context ->> 'parent_destination_id' is not null \
           and e.context ->> 'parent_entity' is not null",
    )
    .bind(error_ids)
    .fetch_all(&mut *connection)
    .in_time(WRITE)
    .await
    .during(LOOK)?;
    let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in &rows {
        wanted
            .entry(&row.parent_entity)
            .or_default()
            .push(&row.parent_key);
    }
    let mut there = HashSet::new();
    for (parent, keys) in wanted {
        let found = present(connection, run, (parent, &keys)).await?;
        there.extend(found.into_iter().map(|key| (parent.to_owned(), key)));
    }
    Ok(without_parent(entity, rows, there))
}

/// Those of a parent's ids that are at the destination.
async fn present(
    connection: &mut PgConnection,
    run: &RunContext,
    (parent, keys): (&str, &[&str]),
) -> Result<Vec<String>, Failure> {
    let Some(parent) = run.plan().entity(parent) else {
        return Ok(Vec::new());
    };
    let table = parent.destination.quoted();
    let sql = match &parent.id {
        IdRule::Uuid5 { column, .. } => {
            let column = quote_ident(column);
            format!("select {column}::text from {table} where {column} = any($1::uuid[])")
        }
        IdRule::Keep { column } => {
            let column = quote_ident(column);
            format!("select {column}::text from {table} where {column}::text = any($1)")
        }
        IdRule::None { .. } => return Ok(Vec::new()),
    };
    sqlx::query_scalar(&sql)
        .bind(keys)
        .fetch_all(connection)
        .in_time(WRITE)
        .await
        .during(LOOK)
}

/// Rows whose parent is neither there nor comes with them.
fn without_parent(entity: &str, rows: Vec<Waiting>, mut there: HashSet<Place>) -> HashSet<String> {
    let mut waiting = rows;
    loop {
        let (ready, left): (Vec<Waiting>, Vec<Waiting>) = waiting
            .into_iter()
            .partition(|row| there.contains(&(row.parent_entity.clone(), row.parent_key.clone())));
        waiting = left;
        if ready.is_empty() {
            return waiting
                .into_iter()
                .map(|row| row.source_record_id)
                .collect();
        }
        let arriving = ready.into_iter().filter_map(|row| row.row_key);
        there.extend(arriving.map(|key| (entity.to_owned(), key)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(key: &str, parent: &str) -> Waiting {
        Waiting {
            source_record_id: key.to_owned(),
            row_key: Some(format!("id-{key}")),
            parent_entity: "nodes".to_owned(),
            parent_key: format!("id-{parent}"),
        }
    }

    #[test]
    fn a_row_comes_in_with_its_parent_and_waits_without_it() {
        let rows = vec![
            waiting("12", "6"),
            waiting("6", "3"),
            waiting("36", "18"),
            waiting("18", "9"),
        ];
        let there = |keys: &[&str]| -> HashSet<Place> {
            let places = keys
                .iter()
                .map(|key| ("nodes".to_owned(), format!("id-{key}")));
            places.collect()
        };
        let left = |keys: &[&str]| {
            let mut left: Vec<String> = without_parent("nodes", rows.clone(), there(keys))
                .into_iter()
                .collect();
            left.sort();
            left
        };
        assert_eq!(left(&["3"]), ["18", "36"]);
        assert_eq!(left(&["3", "9"]), Vec::<String>::new());
        assert_eq!(left(&[]), ["12", "18", "36", "6"]);
    }
}
