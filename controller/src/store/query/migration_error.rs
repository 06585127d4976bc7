//! Table `migration_error`: rows that failed, and faults of the run.

use chrono::{DateTime, Utc};
use proto::domain::failure::error_type;
use proto::domain::record::MigrationError;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::parsed;

pub(super) const COLUMNS: &str = "id, migration_id, entity_status_id, batch_id, entity, error_type::text, \
     error_code, error_message, source_record_id, source_data, context, stack_trace, occurred_at, \
     is_resolved, resolution_notes, partition_id, attempt, seq, ordinal";

/// A row that failed, out of the destination's ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct NewError {
    /// The same each time it is sent.
    pub id: Uuid,
    /// The entity's record.
    pub entity_status_id: Uuid,
    /// Its batch.
    pub batch_id: Uuid,
    /// The plan's name of the entity.
    pub entity: String,
    /// SQLSTATE or `DROVER_*`.
    pub error_code: String,
    /// What is wrong.
    pub error_message: String,
    /// Source key.
    pub source_record_id: String,
    /// The source row, masked: a JSON object.
    pub source_data: Value,
    /// More about it: a JSON object.
    pub context: Value,
    /// The ledger's time.
    pub occurred_at: DateTime<Utc>,
    /// The partition.
    pub partition_id: Uuid,
    /// Attempt of the migration.
    pub attempt: i32,
    /// The batch's position.
    pub seq: i64,
    /// Position among the errors of its batch.
    pub ordinal: i64,
}

/// Errors of rows that were undone, of these entities or of all: the rows come again, if they do.
pub async fn resolve_undone(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entities: Option<&[String]>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update migration_error set is_resolved = true, resolution_notes = 'rolled back'
         where migration_id = $1 and not is_resolved and partition_id is not null
           and ($2::text[] is null or entity = any($2))",
    )
    .bind(migration_id)
    .bind(entities)
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds errors and returns how many are new: one that was sent before is left as it is.
pub async fn insert(
    conn: &mut PgConnection,
    migration_id: Uuid,
    errors: &[NewError],
) -> Result<i64, sqlx::Error> {
    if errors.is_empty() {
        return Ok(0);
    }
    let uuids = |value: fn(&NewError) -> Uuid| -> Vec<Uuid> { errors.iter().map(value).collect() };
    let texts = |value: fn(&NewError) -> &str| -> Vec<&str> { errors.iter().map(value).collect() };
    let done = sqlx::query(
        "insert into migration_error
             (migration_id, id, entity_status_id, batch_id, entity, error_type, error_code,
              error_message, source_record_id, source_data, context, occurred_at, partition_id,
              attempt, seq, ordinal)
         select $1, e.id, e.entity_status_id, e.batch_id, e.entity, e.error_type::error_type,
                e.error_code, e.error_message, e.source_record_id, e.source_data, e.context,
                e.occurred_at, e.partition_id, e.attempt, e.seq, e.ordinal
         from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::text[], $10::jsonb[], $11::jsonb[], $12::timestamptz[],
                     $13::uuid[], $14::int4[], $15::int8[], $16::int8[])
              as e (id, entity_status_id, batch_id, entity, error_type, error_code, error_message,
                    source_record_id, source_data, context, occurred_at, partition_id, attempt,
                    seq, ordinal)
         on conflict (id, occurred_at) do nothing",
    )
    .bind(migration_id)
    .bind(uuids(|error| error.id))
    .bind(uuids(|error| error.entity_status_id))
    .bind(uuids(|error| error.batch_id))
    .bind(texts(|error| &error.entity))
    .bind(texts(|error| error_type(&error.error_code)))
    .bind(texts(|error| &error.error_code))
    .bind(texts(|error| &error.error_message))
    .bind(texts(|error| &error.source_record_id))
    .bind(
        errors
            .iter()
            .map(|error| &error.source_data)
            .collect::<Vec<_>>(),
    )
    .bind(
        errors
            .iter()
            .map(|error| &error.context)
            .collect::<Vec<_>>(),
    )
    .bind(
        errors
            .iter()
            .map(|error| error.occurred_at)
            .collect::<Vec<_>>(),
    )
    .bind(uuids(|error| error.partition_id))
    .bind(errors.iter().map(|error| error.attempt).collect::<Vec<_>>())
    .bind(errors.iter().map(|error| error.seq).collect::<Vec<_>>())
    .bind(errors.iter().map(|error| error.ordinal).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}

/// Adds a fault of the run, outside of any batch; it occurs now.
pub async fn insert_fault(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entity: Option<&str>,
    error_code: &str,
    error_message: &str,
) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar(
        "insert into migration_error
             (id, migration_id, entity_status_id, entity, error_type, error_code, error_message,
              occurred_at)
         select gen_random_uuid(), $1, e.id, e.entity, $3::error_type, $4, $5, clock_timestamp()
         from (select 1) as one
         left join entity_migration_status e on e.migration_id = $1 and e.entity = $2
         returning id",
    )
    .bind(migration_id)
    .bind(entity)
    .bind(error_type(error_code))
    .bind(error_code)
    .bind(error_message)
    .fetch_one(conn)
    .await
}

/// Those whose id is this or begins with it (4 characters or more), of one migration or of all; at most 20.
pub async fn find(
    conn: &mut PgConnection,
    wanted: &str,
    migration_id: Option<Uuid>,
) -> Result<Vec<MigrationError>, sqlx::Error> {
    let sql = format!(
        "select {COLUMNS} from migration_error
         where ($2::uuid is null or migration_id = $2)
           and (id::text = lower($1) or (length($1) >= 4 and starts_with(id::text, lower($1))))
         order by occurred_at, id limit 20"
    );
    let rows = sqlx::query(&sql)
        .bind(wanted)
        .bind(migration_id)
        .fetch_all(conn)
        .await?;
    rows.iter().map(record).collect()
}

/// The error of that id.
pub async fn get(conn: &mut PgConnection, id: Uuid) -> Result<Option<MigrationError>, sqlx::Error> {
    let sql = format!("select {COLUMNS} from migration_error where id = $1 limit 1");
    let row = sqlx::query(&sql).bind(id).fetch_optional(conn).await?;
    row.as_ref().map(record).transpose()
}

pub(super) fn record(row: &PgRow) -> Result<MigrationError, sqlx::Error> {
    Ok(MigrationError {
        id: row.try_get("id")?,
        migration_id: row.try_get("migration_id")?,
        entity_status_id: row.try_get("entity_status_id")?,
        batch_id: row.try_get("batch_id")?,
        entity: row.try_get("entity")?,
        error_type: parsed(row, "error_type")?,
        error_code: row.try_get("error_code")?,
        error_message: row.try_get("error_message")?,
        source_record_id: row.try_get("source_record_id")?,
        source_data: row.try_get("source_data")?,
        context: row.try_get("context")?,
        stack_trace: row.try_get("stack_trace")?,
        occurred_at: row.try_get("occurred_at")?,
        is_resolved: row.try_get("is_resolved")?,
        resolution_notes: row.try_get("resolution_notes")?,
        partition_id: row.try_get("partition_id")?,
        attempt: row.try_get("attempt")?,
        seq: row.try_get("seq")?,
        ordinal: row.try_get("ordinal")?,
    })
}
