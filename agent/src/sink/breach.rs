//! Which rows stand in the way of a key that is put back: their keys and nothing else of them.

use proto::domain::catalog::quote_ident;
use proto::domain::compiled::IdRule;
use proto::domain::failure::{Failure, FailureKind};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use crate::connect::run_sql;
use crate::failure::During;
use crate::run::{EntityContext, RunContext};

/// Keys that are listed.
const LISTED: usize = 10;

/// A definition that the destination refused.
pub struct Refused<'a> {
    /// Schema and name of its table.
    pub table: (&'a str, &'a str),
    /// SELECT of the places of the rows in the way.
    pub breach_sql: Option<&'a str>,
}

#[derive(Debug, FromRow)]
struct InTheWay {
    total: i64,
    row_key: String,
    source_id: Option<String>,
}

/// Adds the keys of the rows in the way to a failure that they caused. Another failure stays as it is, and
/// so does one whose rows cannot be found any more.
pub async fn name_rows(
    connection: &mut PgConnection,
    run: &RunContext,
    refused: Refused<'_>,
    failure: Failure,
) -> Failure {
    if failure.kind != FailureKind::ConstraintBroken {
        return failure;
    }
    match find(connection, run, &refused).await {
        Ok(rows) if !rows.is_empty() => Failure {
            message: format!("{}; {}", failure.message, words(&rows)),
            ..failure
        },
        Ok(_) | Err(_) => failure,
    }
}

async fn find(
    connection: &mut PgConnection,
    run: &RunContext,
    refused: &Refused<'_>,
) -> Result<Vec<InTheWay>, Failure> {
    let action = "look for the rows in the way";
    run_sql(&mut *connection, "rollback").await.during(action)?;
    let writers: Vec<&EntityContext> = run.entities_of(refused.table).collect();
    let (Some(first), Some(breach)) = (writers.first(), refused.breach_sql) else {
        return Ok(Vec::new());
    };
    let sql = statement(first, &writers, breach);
    sqlx::query_as(&sql)
        .fetch_all(connection)
        .await
        .during(action)
}

/// The first rows in the way, with the legacy keys that the id maps of the table's entities have.
fn statement(first: &EntityContext, writers: &[&EntityContext], breach: &str) -> String {
    let texts: Vec<String> = first
        .compiled
        .id
        .columns()
        .iter()
        .map(|name| format!("t.{}::text", quote_ident(name)))
        .collect();
    let legacy: Vec<String> = writers
        .iter()
        .filter_map(|entity| match entity.compiled.id {
            IdRule::Uuid5 { .. } => Some(format!(
                "(select min(m.k::text) from drover.id_map_{} m where m.id::text = b.row_key)",
                entity.entity_no
            )),
            IdRule::Keep { .. } | IdRule::None { .. } => None,
        })
        .collect();
    let legacy = match legacy.is_empty() {
        true => "null::text".to_owned(),
        false => format!("coalesce({})", legacy.join(", ")),
    };
    format!(
        "with b as materialized ( \
             select count(*) over () as total, concat_ws(' ', {}) as row_key from {} t \
             where (t.tableoid, t.ctid) in ({breach}) order by 2 limit {LISTED}) \
         select total, row_key, {legacy} as source_id from b order by source_id, row_key",
        texts.join(", "),
        first.compiled.destination.quoted(),
    )
}

fn words(rows: &[InTheWay]) -> String {
    let total = rows.first().map_or(0, |row| row.total);
    let keys: Vec<String> = rows
        .iter()
        .map(|row| match &row.source_id {
            Some(source_id) => format!("{} (legacy key {source_id})", row.row_key),
            None => row.row_key.clone(),
        })
        .collect();
    let more = match total > i64::try_from(rows.len()).unwrap_or(i64::MAX) {
        true => " and others",
        false => "",
    };
    format!("{total} rows are in the way: {}{more}", keys.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(total: i64, row_key: &str, source_id: Option<&str>) -> InTheWay {
        InTheWay {
            total,
            row_key: row_key.to_owned(),
            source_id: source_id.map(str::to_owned),
        }
    }

    #[test]
    fn rows_are_named_by_their_keys_and_the_rest_is_counted() {
        let two = [row(2, "u", Some("7")), row(2, "v", None)];
        assert_eq!(words(&two), "2 rows are in the way: u (legacy key 7), v");
        assert_eq!(
            words(&[row(9, "u", None)]),
            "9 rows are in the way: u and others"
        );
    }
}
