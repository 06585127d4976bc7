//! Table `batch_processing_status`: the batches. Its trigger keeps the numbers gapless.

use proto::domain::record::BatchProcessingStatus;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::parsed;

/// A batch that is committed at the destination.
#[derive(Debug, Clone, PartialEq)]
pub struct NewBatch {
    /// The row's id.
    pub id: Uuid,
    /// The entity's record.
    pub entity_status_id: Uuid,
    /// The next number of its entity.
    pub batch_number: i64,
    /// Rows written or skipped.
    pub records_successful: i64,
    /// Rows that failed.
    pub records_failed: i64,
    /// Milliseconds it took.
    pub processing_duration_ms: i64,
    /// Tries beyond the first.
    pub retry_count: i32,
    /// The errors in a few words.
    pub error_summary: Option<String>,
    /// The partition.
    pub partition_id: Uuid,
    /// Attempt of the migration.
    pub attempt: i32,
    /// Position in the partition.
    pub seq: i64,
    /// Hash of the rules it was written by.
    pub entity_hash: String,
}

/// Adds completed batches in this order. They end now, and began their duration ago.
pub async fn insert(
    conn: &mut PgConnection,
    migration_id: Uuid,
    max_retries: i32,
    batches: &[NewBatch],
) -> Result<(), sqlx::Error> {
    if batches.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&NewBatch) -> i64| -> Vec<i64> { batches.iter().map(value).collect() };
    let uuids = |value: fn(&NewBatch) -> Uuid| -> Vec<Uuid> { batches.iter().map(value).collect() };
    sqlx::query(
        "insert into batch_processing_status
             (migration_id, id, entity_status_id, batch_number, batch_size, status,
              records_successful, records_failed, started_at, completed_at,
              processing_duration_ms, retry_count, max_retries, error_summary, partition_id,
              attempt, seq, entity_hash)
         select $1, b.id, b.entity_status_id, b.batch_number, b.successful + b.failed, 'completed',
                b.successful, b.failed,
                statement_timestamp() - make_interval(secs => greatest(b.duration, 1) / 1000.0),
                statement_timestamp(),
                b.duration, least(b.retries, $2), $2, b.summary, b.partition_id,
                b.attempt, b.seq, b.entity_hash
         from unnest($3::uuid[], $4::uuid[], $5::int8[], $6::int8[], $7::int8[], $8::int8[],
                     $9::int4[], $10::text[], $11::uuid[], $12::int4[], $13::int8[], $14::text[])
              as b (id, entity_status_id, batch_number, successful, failed, duration, retries,
                    summary, partition_id, attempt, seq, entity_hash)
         order by b.entity_status_id, b.batch_number",
    )
    .bind(migration_id)
    .bind(max_retries)
    .bind(uuids(|batch| batch.id))
    .bind(uuids(|batch| batch.entity_status_id))
    .bind(column(|batch| batch.batch_number))
    .bind(column(|batch| batch.records_successful))
    .bind(column(|batch| batch.records_failed))
    .bind(column(|batch| batch.processing_duration_ms))
    .bind(
        batches
            .iter()
            .map(|batch| batch.retry_count)
            .collect::<Vec<i32>>(),
    )
    .bind(
        batches
            .iter()
            .map(|batch| batch.error_summary.as_deref())
            .collect::<Vec<_>>(),
    )
    .bind(uuids(|batch| batch.partition_id))
    .bind(
        batches
            .iter()
            .map(|batch| batch.attempt)
            .collect::<Vec<i32>>(),
    )
    .bind(column(|batch| batch.seq))
    .bind(
        batches
            .iter()
            .map(|batch| batch.entity_hash.as_str())
            .collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An entity's numbered batches with a higher number than `after`, in order.
pub async fn list(
    conn: &mut PgConnection,
    entity_status_id: Uuid,
    limit: i64,
    after: i64,
) -> Result<Vec<BatchProcessingStatus>, sqlx::Error> {
    let rows = sqlx::query(
        "select id, migration_id, entity_status_id, batch_number, batch_size, status::text,
                records_successful, records_failed, started_at, completed_at,
                processing_duration_ms, retry_count, max_retries, error_summary, partition_id,
                attempt, seq, entity_hash
         from batch_processing_status
         where migration_id = (select migration_id from entity_migration_status where id = $1)
           and entity_status_id = $1 and batch_number > $3
         order by batch_number limit $2",
    )
    .bind(entity_status_id)
    .bind(limit)
    .bind(after)
    .fetch_all(conn)
    .await?;
    rows.iter().map(record).collect()
}

fn record(row: &PgRow) -> Result<BatchProcessingStatus, sqlx::Error> {
    Ok(BatchProcessingStatus {
        id: row.try_get("id")?,
        migration_id: row.try_get("migration_id")?,
        entity_status_id: row.try_get("entity_status_id")?,
        batch_number: row.try_get("batch_number")?,
        batch_size: row.try_get("batch_size")?,
        status: parsed(row, "status")?,
        records_successful: row.try_get("records_successful")?,
        records_failed: row.try_get("records_failed")?,
        started_at: row.try_get("started_at")?,
        completed_at: row.try_get("completed_at")?,
        processing_duration_ms: row.try_get("processing_duration_ms")?,
        retry_count: row.try_get("retry_count")?,
        max_retries: row.try_get("max_retries")?,
        error_summary: row.try_get("error_summary")?,
        partition_id: row.try_get("partition_id")?,
        attempt: row.try_get("attempt")?,
        seq: row.try_get("seq")?,
        entity_hash: row.try_get("entity_hash")?,
    })
}
