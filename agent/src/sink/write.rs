//! The batch transaction: rows, id map, errors and fence commit together or not at all.

use std::time::Duration;

use chrono::{DateTime, Utc};
use proto::domain::catalog::quote_literal;
use proto::domain::failure::{Failure, SqlAction};
use proto::domain::frame::{Counts, RowError};
use proto::domain::key::KeyValue;
use sqlx::Row;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;
use tracing::{Instrument, info_span};
use uuid::Uuid;

use super::copy::copy_rows;
use super::fence::{Fence, Position};
use super::retry::Retrying;
use crate::batch::Batch;
use crate::connect::{fetch_sql, run_sql};
use crate::failure::{database_error, from_sqlx, is_connection_loss};
use crate::patience::{InTime, WRITE};
use crate::run::EntityContext;

/// A batch that is committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// When its transaction began, by the destination's clock.
    pub started_at: DateTime<Utc>,
    /// When the fence was passed.
    pub written_at: DateTime<Utc>,
    /// One round trip to the destination.
    pub round_trip: Duration,
    /// What became of the rows.
    pub counts: Counts,
}

/// Why a batch is not committed, or not known to be.
#[derive(Debug)]
pub enum WriteFault {
    /// A row is at fault; nothing was written.
    Row,
    /// Nothing was written; the same may work later.
    Retry(Failure),
    /// Nothing was written; fewer rows may work.
    Smaller,
    /// The connection broke after COMMIT was sent.
    Unknown,
    /// Nothing was written, and no retry helps.
    Refused(Failure),
}

/// What is written along with a batch.
pub struct BatchWrite<'a> {
    /// The entity.
    pub entity: &'a EntityContext,
    /// Proof of ownership.
    pub fence: &'a Fence,
    /// Position before the batch.
    pub position: &'a Position,
    /// Key before the batch's own first row; none where that is the partition's first.
    pub lo: Option<&'a KeyValue>,
    /// The rows.
    pub batch: &'a Batch,
    /// Rows that failed, with ids for this position.
    pub errors: &'a [RowError],
    /// Tries beyond the first.
    pub retry_count: i32,
    /// Rows were rejected by the destination.
    pub was_bisected: bool,
    /// The rows failed before: their errors are resolved with them.
    pub retrying: Option<&'a Retrying>,
}

/// Writes a batch in one transaction. After a fault the connection is of no use any more, unless it
/// is `Row` or `Smaller`: those leave a failed transaction that was rolled back.
///
/// # Errors
/// See [`WriteFault`].
pub async fn write(
    connection: &mut PgConnection,
    write: &BatchWrite<'_>,
) -> Result<Written, WriteFault> {
    let staged = match stage(connection, write).await {
        Ok(staged) if staged.is_whole => staged,
        Ok(_) => return Err(rolled_back(connection, WriteFault::Row).await),
        Err(error) => return Err(definite(connection, write, &error).await),
    };
    match commit(connection, write, staged.counts).await {
        Ok((started_at, written_at)) => Ok(Written {
            started_at,
            written_at,
            round_trip: staged.round_trip,
            counts: staged.counts,
        }),
        Err(error) if is_connection_loss(&error) => Err(WriteFault::Unknown),
        Err(error) => Err(definite(connection, write, &error).await),
    }
}

/// A batch before the message that ends its transaction.
struct Staged {
    /// The round trip of the first message.
    round_trip: Duration,
    /// What becomes of the rows.
    counts: Counts,
    /// False: the target dropped rows without an error.
    is_whole: bool,
}

/// Everything before the message that ends the transaction.
async fn stage(
    connection: &mut PgConnection,
    write: &BatchWrite<'_>,
) -> Result<Staged, sqlx::Error> {
    let begun = Instant::now();
    let mut begin = format!(
        "begin isolation level read committed; set local application_name = '{}'",
        write.fence.marker()
    );
    let copy = &write.entity.copy;
    if let Some(make) = copy.make_stages() {
        begin.push_str("; ");
        begin.push_str(make);
    }
    run_sql(&mut *connection, &begin).in_time(WRITE).await?;
    let round_trip = begun.elapsed();
    let mut counts = write.batch.counts();
    let mut is_whole = true;
    if !write.batch.rows.is_empty() {
        let kept = copy_rows(connection, &copy.rows, &write.batch.rows.bytes)
            .in_time(WRITE)
            .instrument(info_span!("write.rows", rows = write.batch.rows.len()))
            .await?;
        is_whole = kept == write.batch.rows.len() as u64;
        copy_rows(connection, &copy.map, &write.batch.map.bytes)
            .in_time(WRITE)
            .instrument(info_span!("write.id_map"))
            .await?;
        if let Some(stage) = &copy.stage {
            let put = stage
                .put(connection)
                .instrument(info_span!("write.stage"))
                .await?;
            is_whole &= put == write.batch.rows.len() as u64;
        }
        if let Some(conflict) = &copy.conflict {
            let skipped = conflict
                .apply(connection, write.fence, write.position.seq + 1)
                .instrument(info_span!("write.conflicts"))
                .await?;
            counts.written -= skipped;
            counts.skipped += skipped;
            is_whole &= skipped == 0 || conflict.dropped(connection).await? == 0;
        }
    }
    if !write.errors.is_empty() {
        insert_errors(connection, write).await?;
    }
    if let Some(retrying) = write.retrying {
        let of_batch = (write.fence, write.batch);
        counts = retrying.resolve(connection, of_batch, counts).await?;
    }
    Ok(Staged {
        round_trip,
        counts,
        is_whole,
    })
}

/// `advance` and COMMIT in one message, so that a frozen client cannot sit on the fence's lock.
async fn commit(
    connection: &mut PgConnection,
    write: &BatchWrite<'_>,
    counts: Counts,
) -> Result<(DateTime<Utc>, DateTime<Utc>), sqlx::Error> {
    let call = advance_call(&Advance {
        fence: write.fence,
        position: write.position,
        lo: write.lo,
        hi: write.batch.hi.as_ref(),
        counts,
        is_last: write.batch.is_last,
        retry_count: write.retry_count,
        was_bisected: write.was_bisected,
    });
    let message = format!("select started_us, written_us from {call}; commit");
    let rows = fetch_sql(connection, &message)
        .in_time(WRITE)
        .instrument(info_span!("checkpoint", seq = write.position.seq + 1))
        .await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok((micros(row.try_get(0)?), micros(row.try_get(1)?)))
}

/// The arguments of `drover.advance`.
pub struct Advance<'a> {
    /// Proof of ownership.
    pub fence: &'a Fence,
    /// Position before the batch.
    pub position: &'a Position,
    /// Where its own rows begin: compared with where the partition stands.
    pub lo: Option<&'a KeyValue>,
    /// Last key of the batch.
    pub hi: Option<&'a KeyValue>,
    /// Its counters.
    pub counts: Counts,
    /// No row is left behind it.
    pub is_last: bool,
    /// Tries beyond the first.
    pub retry_count: i32,
    /// Rows were rejected by the destination.
    pub was_bisected: bool,
}

/// The call with literals only: the simple protocol takes it together with COMMIT.
pub fn advance_call(advance: &Advance<'_>) -> String {
    let key = |key: Option<&KeyValue>| match key {
        Some(key) => format!(
            "{}::jsonb",
            quote_literal(&serde_json::Value::from(key.0.clone()).to_string())
        ),
        None => "null".to_owned(),
    };
    let (fence, counts) = (advance.fence, &advance.counts);
    format!(
        "drover.advance('{}', {}, {}, '{}', {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})",
        fence.partition_id,
        fence.attempt,
        fence.token,
        fence.holder,
        advance.position.seq,
        key(advance.lo),
        key(advance.hi),
        quote_literal(&fence.entity_hash),
        counts.read,
        counts.written,
        counts.failed,
        counts.held,
        counts.filtered,
        counts.skipped,
        advance.is_last,
        advance.retry_count,
        advance.was_bisected,
    )
}

/// Microseconds since 1970 as a time.
pub fn micros(us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(us).unwrap_or(DateTime::UNIX_EPOCH)
}

/// An error that came before COMMIT was sent, or as the server's answer to it: nothing was written.
async fn definite(
    connection: &mut PgConnection,
    write: &BatchWrite<'_>,
    error: &sqlx::Error,
) -> WriteFault {
    let failure = from_sqlx("write a batch", error);
    let Some(code) = database_error(error).map(|error| error.code().to_owned()) else {
        return WriteFault::Retry(failure);
    };
    let fault = match write.entity.copy.action(&code) {
        SqlAction::Row => WriteFault::Row,
        SqlAction::SmallerBatch => WriteFault::Smaller,
        SqlAction::Retry | SqlAction::UnknownOutcome => return WriteFault::Retry(failure),
        SqlAction::BlockRun(_) | SqlAction::BlockEntity(_) | SqlAction::Fenced => {
            return WriteFault::Refused(failure);
        }
    };
    rolled_back(connection, fault).await
}

/// The fault, once its transaction is gone.
async fn rolled_back(connection: &mut PgConnection, fault: WriteFault) -> WriteFault {
    match run_sql(connection, "rollback").in_time(WRITE).await {
        Ok(_) => fault,
        Err(error) => WriteFault::Retry(from_sqlx("roll back a batch", &error)),
    }
}

async fn insert_errors(
    connection: &mut PgConnection,
    write: &BatchWrite<'_>,
) -> Result<(), sqlx::Error> {
    let errors = write.errors;
    let ids: Vec<Uuid> = errors.iter().map(|error| error.id).collect();
    let ordinals: Vec<i32> = (0..).take(errors.len()).collect();
    let keys: Vec<&str> = errors
        .iter()
        .map(|error| error.source_record_id.as_str())
        .collect();
    let codes: Vec<&str> = errors
        .iter()
        .map(|error| error.error_code.as_str())
        .collect();
    let messages: Vec<&str> = errors
        .iter()
        .map(|error| error.error_message.as_str())
        .collect();
    let data: Vec<&serde_json::Value> = errors.iter().map(|error| &error.source_data).collect();
    let contexts: Vec<&serde_json::Value> = errors.iter().map(|error| &error.context).collect();
    let held: Vec<bool> = errors.iter().map(|error| error.is_held).collect();
    sqlx::query(
        "insert into drover.error (id, partition_id, entity_no, attempt, seq, ordinal, \
             source_record_id, error_code, error_message, source_data, context, is_held, occurred_at) \
         select e.id, $1, $2, $3, $4, e.ordinal, e.key, e.code, e.message, e.data, e.context, e.held, now() \
         from unnest($5::uuid[], $6::integer[], $7::text[], $8::text[], $9::text[], $10::jsonb[], \
                     $11::jsonb[], $12::boolean[]) \
              as e (id, ordinal, key, code, message, data, context, held)",
    )
    .bind(write.fence.partition_id)
    .bind(write.entity.entity_no)
    .bind(write.fence.attempt)
    .bind(write.position.seq + 1)
    .bind(ids)
    .bind(ordinals)
    .bind(keys)
    .bind(codes)
    .bind(messages)
    .bind(data)
    .bind(contexts)
    .bind(held)
    .execute(connection)
    .in_time(WRITE)
    .await
    .map(drop)
}
