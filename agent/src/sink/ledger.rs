//! Reads back what batches left at the destination: ledger, totals, failed rows.

use std::collections::HashSet;

use proto::domain::catalog::quote_texts;
use proto::domain::compiled::ParentRef;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{BatchReport, Counts, RowError};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{FromRow, Row};
use uuid::Uuid;

use super::state::key;
use crate::connect::fetch_sql;
use crate::failure::During;
use crate::patience::{InTime, WRITE};
use crate::transform::row::HeldKeys;

/// Counters out of a row with columns `n_read … n_skipped`.
pub fn counts_of(row: &PgRow) -> Result<Counts, sqlx::Error> {
    Ok(Counts {
        read: row.try_get("n_read")?,
        written: row.try_get("n_written")?,
        failed: row.try_get("n_failed")?,
        held: row.try_get("n_held")?,
        filtered: row.try_get("n_filtered")?,
        skipped: row.try_get("n_skipped")?,
    })
}

/// Totals of a partition so far.
pub async fn read_totals(
    connection: &mut PgConnection,
    partition_id: Uuid,
) -> Result<Counts, Failure> {
    let sql = format!(
        "select rows_read as n_read, rows_written as n_written, rows_failed as n_failed, \
                rows_held as n_held, rows_filtered as n_filtered, rows_skipped as n_skipped \
         from drover.partition where partition_id = '{partition_id}'"
    );
    let rows = fetch_sql(connection, &sql).in_time(WRITE).await;
    let rows = rows.during("read a partition's totals")?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound);
    row.and_then(counts_of).during("read a partition's totals")
}

/// Keys of unresolved failed rows of the given parents; parents without any are left out.
pub async fn take_held_keys(
    connection: &mut PgConnection,
    migration_id: Uuid,
    parents: &[ParentRef],
) -> Result<HeldKeys, Failure> {
    let mut held = HeldKeys::default();
    let names: HashSet<&str> = parents
        .iter()
        .map(|parent| parent.entity.as_str())
        .collect();
    if names.is_empty() {
        return Ok(held);
    }
    let sql = format!(
        "select n.entity, e.source_record_id from drover.error e join drover.entity n using (entity_no) \
         where n.migration_id = '{migration_id}' and n.entity = any({}) and not e.is_resolved",
        quote_texts(names.into_iter())
    );
    let rows = fetch_sql(connection, &sql).in_time(WRITE).await;
    for row in rows.during("read the parents' failed rows")? {
        let found = <(String, String)>::from_row(&row);
        let (entity, key) = found.during("read the parents' failed rows")?;
        held.entry(entity).or_default().insert(key);
    }
    Ok(held)
}

/// Batches of a partition behind `after_seq`, in order, with their failed rows.
pub async fn read_batches(
    connection: &mut PgConnection,
    partition_id: Uuid,
    after_seq: i64,
    limit: u32,
) -> Result<Vec<BatchReport>, Failure> {
    let sql = format!(
        "select e.entity, l.attempt, l.seq, l.token, l.hi, l.n_read, l.n_written, l.n_failed, l.n_held, \
                l.n_filtered, l.n_skipped, l.retry_count, l.was_bisected, l.is_last, l.started_at, l.written_at, \
                p.number < -1 as is_retry \
         from drover.ledger l join drover.partition p using (partition_id) join drover.entity e using (entity_no) \
         where l.partition_id = '{partition_id}' and l.attempt = p.attempt order by l.seq"
    );
    let rows = fetch_sql(&mut *connection, &sql).in_time(WRITE).await;
    let rows = rows.during("read the ledger")?;
    let mut totals = Counts::default();
    let mut cursor = None;
    let mut reports = Vec::new();
    for row in rows {
        let mut report = batch_report(&row, partition_id).during("read the ledger")?;
        totals = totals.plus(&report.counts);
        report.totals = totals;
        cursor = report.cursor.take().or(cursor);
        report.cursor.clone_from(&cursor);
        if report.seq > after_seq && reports.len() < limit as usize {
            // A row that fails again is counted already.
            let is_retry: bool = row.try_get("is_retry").during("read the ledger")?;
            if report.counts.failed != 0 || is_retry {
                report.errors =
                    read_errors(connection, partition_id, report.attempt, report.seq).await?;
            }
            reports.push(report);
        }
    }
    Ok(reports)
}

/// The batch of that seq.
pub async fn read_batch(
    connection: &mut PgConnection,
    partition_id: Uuid,
    seq: i64,
) -> Result<BatchReport, Failure> {
    read_batches(connection, partition_id, seq - 1, 1)
        .await?
        .pop()
        .ok_or_else(|| {
            Failure::new(
                FailureKind::Internal,
                "the ledger has no row for a committed batch",
            )
        })
}

fn batch_report(row: &PgRow, partition_id: Uuid) -> Result<BatchReport, sqlx::Error> {
    let counts = counts_of(row)?;
    Ok(BatchReport {
        partition_id,
        entity: row.try_get("entity")?,
        attempt: row.try_get("attempt")?,
        seq: row.try_get("seq")?,
        token: row.try_get("token")?,
        cursor: key(row, "hi")?,
        counts,
        totals: counts,
        retry_count: row.try_get("retry_count")?,
        started_at: row.try_get("started_at")?,
        written_at: row.try_get("written_at")?,
        errors: Vec::new(),
        was_bisected: row.try_get("was_bisected")?,
        is_last: row.try_get("is_last")?,
    })
}

async fn read_errors(
    connection: &mut PgConnection,
    partition_id: Uuid,
    attempt: i32,
    seq: i64,
) -> Result<Vec<RowError>, Failure> {
    let rows = sqlx::query(
        "select id, source_record_id, error_code, error_message, source_data, context, is_held, occurred_at \
         from drover.error where partition_id = $1 and attempt = $2 and seq = $3 order by ordinal",
    )
    .bind(partition_id)
    .bind(attempt)
    .bind(seq)
    .fetch_all(connection)
    .in_time(WRITE)
    .await
    .during("read failed rows")?;
    rows.iter()
        .map(row_error)
        .collect::<Result<_, _>>()
        .during("read failed rows")
}

fn row_error(row: &PgRow) -> Result<RowError, sqlx::Error> {
    Ok(RowError {
        id: row.try_get("id")?,
        source_record_id: row.try_get("source_record_id")?,
        error_code: row.try_get("error_code")?,
        error_message: row.try_get("error_message")?,
        source_data: row.try_get("source_data")?,
        context: row.try_get("context")?,
        is_held: row.try_get("is_held")?,
        occurred_at: row.try_get("occurred_at")?,
    })
}
