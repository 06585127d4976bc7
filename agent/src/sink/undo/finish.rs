//! The end of an undo: definitions and sequences as they were, a comparison with the start, the books closed.

use std::collections::BTreeSet;

use proto::domain::catalog::TableName;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::undo::{TableComparison, UndoReport};
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::rows::rows_left;
use super::site::Site;
use super::survey::KEPT;
use crate::connect::run_sql;
use crate::failure::During;
use crate::sink::rebuild::put_back;
use crate::sink::start_state::{Current, TableState, read, sequences};

const CLOSING: &str = "close the books of an undo";

/// Which undo is closed: migration and attempt, the right to, and whether other entities stay.
type Which = ((Uuid, i32), i64, bool);

/// What is recorded of a table's start.
type Recorded = (String, String, i64, String, Vec<String>);

/// Puts back what the load dropped, and tells how the tables compare with the start. Repeated after it is done,
/// it tells the same.
///
/// # Errors
/// `ConstraintBroken` where rows that stay break a definition; `Fenced`.
pub async fn finish(
    connection: &mut PgConnection,
    sites: &[Site],
    which: Which,
) -> Result<UndoReport, Failure> {
    let ((migration_id, attempt), _, is_partial) = which;
    if let Some(report) = earlier(connection, (migration_id, attempt)).await? {
        return Ok(report);
    }
    for site in sites {
        if open_batches(connection, site).await? > 0 {
            let left = rows_left(connection, site).await?;
            let words = format!("{left} rows of {} are still to be taken back", site.entity);
            return Err(Failure::new(FailureKind::Internal, words));
        }
    }
    let tables: BTreeSet<TableName> = sites.iter().map(|site| site.table.clone()).collect();
    let restored = tables.iter().filter(|_| is_partial);
    let restored: Vec<TableName> = restored.cloned().collect();
    put_back(connection, migration_id, &restored).await?;
    let mut report = UndoReport {
        attempt,
        ..UndoReport::default()
    };
    for table in &tables {
        set_back(connection, migration_id, (table, &mut report)).await?;
    }
    // Schema operations of the plan are taken back here, before the comparison.
    for table in &tables {
        let compared = compare(connection, migration_id, (table, sites)).await?;
        report.tables.extend(compared);
    }
    close(connection, sites, (which, &report)).await?;
    Ok(report)
}

/// The report of an undo whose answer was lost.
async fn earlier(
    connection: &mut PgConnection,
    (migration_id, attempt): (Uuid, i32),
) -> Result<Option<UndoReport>, Failure> {
    let report: Option<Option<Json<UndoReport>>> = sqlx::query_scalar(
        "select undo_report from drover.migration where migration_id = $1 and attempt > $2",
    )
    .bind(migration_id)
    .bind(attempt)
    .fetch_optional(connection)
    .await
    .during(CLOSING)?;
    Ok(report.map(|report| report.map(|json| json.0).unwrap_or_default()))
}

async fn open_batches(connection: &mut PgConnection, site: &Site) -> Result<i64, Failure> {
    sqlx::query_scalar(
        "select count(*) from drover.ledger l join drover.partition p using (partition_id) \
         where p.entity_no = $1 and l.attempt = $2 and l.undone_at is null",
    )
    .bind(site.entity_no)
    .bind(site.attempt)
    .fetch_one(connection)
    .await
    .during(CLOSING)
}

/// Sets a table's sequences back, unless a row that stays has used them.
async fn set_back(
    connection: &mut PgConnection,
    migration_id: Uuid,
    (table, report): (&TableName, &mut UndoReport),
) -> Result<(), Failure> {
    for sequence in sequences(connection, migration_id, table).await? {
        let Current { value, is_called } = sequence.current(connection).await?;
        if (value, is_called) == (sequence.last_value, sequence.is_called) {
            continue;
        }
        match sequence.is_used(connection, "true").await? {
            false => sequence.set_back(connection).await?,
            true => report.notes.push(format!(
                "sequence {} stays: rows of {table} that stay have its values",
                sequence.sequence_sql
            )),
        }
    }
    Ok(())
}

/// A table now and at the start; none where nothing was recorded, as by an earlier version.
async fn compare(
    connection: &mut PgConnection,
    migration_id: Uuid,
    (table, sites): (&TableName, &[Site]),
) -> Result<Option<TableComparison>, Failure> {
    let recorded: Option<Recorded> = sqlx::query_as(
        "select destination_schema, destination_table, row_count, row_hash::text, definitions \
         from drover.start_state where migration_id = $1 and destination_schema = $2 and destination_table = $3",
    )
    .bind(migration_id)
    .bind(&table.schema)
    .bind(&table.name)
    .fetch_optional(&mut *connection)
    .await
    .during("compare a table with its start")?;
    let Some((.., rows_before, hash_before, definitions)) = recorded else {
        return Ok(None);
    };
    run_sql(&mut *connection, "begin isolation level repeatable read")
        .await
        .during("compare a table with its start")?;
    let now = read(connection, table, true).await?;
    run_sql(&mut *connection, "commit")
        .await
        .during("compare a table with its start")?;
    let numbers: Vec<i32> = sites
        .iter()
        .filter(|site| site.table == *table)
        .map(|site| site.entity_no)
        .collect();
    let sql = format!("select count(distinct row_key) from {KEPT} where entity_no = any($1)");
    let rows_kept: i64 = sqlx::query_scalar(&sql)
        .bind(numbers)
        .fetch_one(connection)
        .await
        .during("compare a table with its start")?;
    Ok(Some(comparison(
        table,
        (rows_before, hash_before, definitions),
        (now, rows_kept),
    )))
}

fn comparison(
    table: &TableName,
    (rows_before, hash_before, definitions): (i64, String, Vec<String>),
    (now, rows_kept): (TableState, i64),
) -> TableComparison {
    let lost = definitions
        .iter()
        .filter(|it| !now.definitions.contains(it))
        .map(|it| format!("lost {it}"));
    let new = now
        .definitions
        .iter()
        .filter(|it| !definitions.contains(it))
        .map(|it| format!("new {it}"));
    TableComparison {
        table: table.to_string(),
        rows_before,
        rows_after: now.row_count,
        hash_before,
        hash_after: now.row_hash.clone(),
        rows_kept,
        definitions: lost.chain(new).collect(),
    }
}

/// A load that began meanwhile, asked by a controller of before, has dropped definitions: look again.
async fn still_closed(
    connection: &mut PgConnection,
    (migration_id, attempt): (Uuid, i32),
    is_partial: bool,
) -> Result<(), Failure> {
    let is_at: bool = sqlx::query_scalar(
        "select attempt = $2 from drover.migration where migration_id = $1 for update",
    )
    .bind(migration_id)
    .bind(attempt)
    .fetch_one(&mut *connection)
    .await
    .during(CLOSING)?;
    let away: i64 = sqlx::query_scalar(
        "select count(*) from drover.ddl where migration_id = $1 and state = 'dropped'",
    )
    .bind(migration_id)
    .fetch_one(connection)
    .await
    .during(CLOSING)?;
    if is_at && (is_partial || away == 0) {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Busy,
        "definitions were dropped while the undo was finished",
    ))
}

/// One transaction: partitions closed, entities void, the next attempt or round open.
async fn close(
    connection: &mut PgConnection,
    sites: &[Site],
    (((migration_id, attempt), token, is_partial), report): (Which, &UndoReport),
) -> Result<(), Failure> {
    let numbers: Vec<i32> = sites.iter().map(|site| site.entity_no).collect();
    run_sql(&mut *connection, "begin").await.during(CLOSING)?;
    still_closed(connection, (migration_id, attempt), is_partial).await?;
    for number in &numbers {
        sqlx::query("select drover.hold_undo($1, $2, $3)")
            .bind(number)
            .bind(attempt)
            .bind(token)
            .execute(&mut *connection)
            .await
            .during(CLOSING)?;
    }
    let round = match is_partial {
        true => "attempt = 0, round = round + 1",
        false => "attempt = 0, round = 0",
    };
    let close = format!(
        "with closed as ( \
             update drover.partition set mode = 'closed' where entity_no = any($1) and attempt = $2), \
         forgotten as (delete from {KEPT} where entity_no = any($1)) \
         update drover.entity e set {round}, matched_attempt = null \
         where e.entity_no = any($1) and e.attempt = $2"
    );
    sqlx::query(&close)
        .bind(&numbers)
        .bind(attempt)
        .execute(&mut *connection)
        .await
        .during(CLOSING)?;
    let next = match is_partial {
        true => "is_finished = false, undo_report = $3",
        false => {
            "is_finished = false, undo_report = $3, attempt = attempt + 1, snapshot = null, source_activity = null"
        }
    };
    sqlx::query(&format!(
        "update drover.migration set {next} where migration_id = $1 and attempt = $2"
    ))
    .bind(migration_id)
    .bind(attempt)
    .bind(Json(report))
    .execute(&mut *connection)
    .await
    .during(CLOSING)?;
    run_sql(connection, "commit").await.during(CLOSING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_that_is_not_back_is_told() {
        let table = TableName::parse("orders");
        let now = TableState {
            row_count: 0,
            row_hash: "0".to_owned(),
            definitions: vec!["b".to_owned(), "c".to_owned()],
        };
        let before = (0, "0".to_owned(), vec!["a".to_owned(), "b".to_owned()]);
        let compared = comparison(&table, before, (now, 0));
        assert_eq!(compared.definitions, ["lost a", "new c"]);
        assert!(!compared.is_equal());
    }
}
