//! Table `retry`: quarantined rows that an operator wants tried again, some hundred keys each.

use proto::domain::frame::Resolved;
use proto::domain::record::{RETRIED_ROWS, RetryProgress, RetryState};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::parsed;

/// Rows of one entity that are tried again together: a partition of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The retry, and the id of its partition.
    pub retry_id: Uuid,
    /// The migration.
    pub migration_id: Uuid,
    /// The entity.
    pub entity: String,
    /// Attempt of the migration.
    pub attempt: i32,
    /// Number of the partition, -2 or lower.
    pub number: i32,
    /// Record ids of the rows.
    pub keys: Vec<String>,
    /// Who asked.
    pub asked_by: String,
    /// The retry that it follows from, directly or not.
    pub root_id: Option<Uuid>,
    /// How far it is.
    pub state: RetryState,
    /// Failed tries so far.
    pub tries: i32,
    /// Why it did not work, if it did not.
    pub problem: Option<String>,
    /// Rows that are at the destination now.
    pub rows_written: i64,
    /// Rows that failed again.
    pub rows_failed: i64,
    /// Rows that are no longer there.
    pub rows_gone: i64,
}

impl From<Retry> for RetryProgress {
    fn from(retry: Retry) -> Self {
        Self {
            id: retry.retry_id,
            entity: retry.entity,
            row_count: i64::try_from(retry.keys.len()).unwrap_or(i64::MAX),
            state: retry.state,
            rows_written: retry.rows_written,
            rows_failed: retry.rows_failed,
            rows_gone: retry.rows_gone,
            problem: retry.problem,
        }
    }
}

/// Adds retries.
pub async fn insert(conn: &mut PgConnection, retries: &[Retry]) -> Result<(), sqlx::Error> {
    for retry in retries {
        sqlx::query(
            "insert into retry
                 (retry_id, migration_id, entity, attempt, number, keys, asked_by, root_id)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(retry.retry_id)
        .bind(retry.migration_id)
        .bind(&retry.entity)
        .bind(retry.attempt)
        .bind(retry.number)
        .bind(Json(&retry.keys))
        .bind(&retry.asked_by)
        .bind(retry.root_id)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The lowest number of an entity's partitions and retries.
pub async fn lowest_number(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entity: &str,
    attempt: i32,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar(
        "select least(-1,
             (select min(number) from retry
              where migration_id = $1 and entity = $2 and attempt = $3),
             (select min(number) from partition_progress
              where migration_id = $1 and entity = $2 and attempt = $3))",
    )
    .bind(migration_id)
    .bind(entity)
    .bind(attempt)
    .fetch_one(conn)
    .await
}

/// A migration's retries that are still to be done, oldest first, or those of these ids, with what follows from
/// them, whatever became of them.
pub async fn list(
    conn: &mut PgConnection,
    migration_id: Uuid,
    ids: Option<&[Uuid]>,
) -> Result<Vec<Retry>, sqlx::Error> {
    let rows = sqlx::query(
        "select * from retry
         where migration_id = $1
           and case when $2::uuid[] is null then state = 'pending'
                    else retry_id = any ($2) or root_id = any ($2) end
         order by created_at, entity, number desc",
    )
    .bind(migration_id)
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.iter().map(record).collect()
}

/// Record ids of an entity's rows that wait for a retry already.
pub async fn pending_keys(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entity: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select jsonb_array_elements_text(keys) from retry
         where migration_id = $1 and entity = $2 and state = 'pending'",
    )
    .bind(migration_id)
    .bind(entity)
    .fetch_all(conn)
    .await
}

/// Ends a retry that is pending; false where it was ended before.
pub async fn end(
    conn: &mut PgConnection,
    retry_id: Uuid,
    (written, failed, gone): (i64, i64, i64),
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update retry set state = 'done', problem = null, ended_at = clock_timestamp(),
             rows_written = $2, rows_failed = $3, rows_gone = $4
         where retry_id = $1 and state = 'pending'",
    )
    .bind(retry_id)
    .bind(written)
    .bind(failed)
    .bind(gone)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes a failed try; the last one ends the retry without success.
pub async fn fail(
    conn: &mut PgConnection,
    retry_id: Uuid,
    problem: &str,
    is_last: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update retry set tries = tries + 1, problem = $2,
             state = case when $3 then 'failed' else state end,
             ended_at = case when $3 then clock_timestamp() end
         where retry_id = $1 and state = 'pending'",
    )
    .bind(retry_id)
    .bind(problem)
    .bind(is_last)
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks errors as no longer open, with words that say how.
pub async fn resolve_errors(
    conn: &mut PgConnection,
    migration_id: Uuid,
    resolved: &[(&Resolved, String)],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = resolved.iter().map(|(one, _)| one.error_id).collect();
    let notes: Vec<&str> = resolved.iter().map(|(_, notes)| notes.as_str()).collect();
    sqlx::query(
        "update migration_error m set is_resolved = true, resolution_notes = r.notes
         from unnest($2::uuid[], $3::text[]) as r (id, notes)
         where m.migration_id = $1 and m.id = r.id",
    )
    .bind(migration_id)
    .bind(ids)
    .bind(notes)
    .execute(conn)
    .await?;
    Ok(())
}

/// Rows that are held because of a parent, as (entity, record id): the parent is one of these rows of an entity, or
/// is not told by its key.
pub async fn held_children(
    conn: &mut PgConnection,
    migration_id: Uuid,
    parent: &str,
    keys: &[&str],
) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(
        "select distinct entity, source_record_id from migration_error
         where migration_id = $1 and not is_resolved and error_code = 'DROVER_PARENT_QUARANTINED'
           and entity is not null and source_record_id is not null
           and context ->> 'parent_entity' = $2
           and (context ->> 'parent_id' is null or context ->> 'parent_id' = any ($3))
         order by entity, source_record_id",
    )
    .bind(migration_id)
    .bind(parent)
    .bind(keys)
    .fetch_all(conn)
    .await
}

/// Rows of an entity that are held because of rows that were tried again by these retries and have no open error any
/// more: their batch was under way meanwhile.
pub async fn held_late(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entity: &str,
    retries: &[Uuid],
) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(
        "select distinct c.entity, c.source_record_id
         from migration_error c
         join retry r on r.migration_id = c.migration_id and r.retry_id = any ($3)
             and r.state = 'done' and r.entity = c.context ->> 'parent_entity'
             and r.keys ? (c.context ->> 'parent_id')
         where c.migration_id = $1 and c.entity = $2 and not c.is_resolved
           and c.error_code = 'DROVER_PARENT_QUARANTINED'
           and not exists (select from migration_error p
                           where p.migration_id = $1 and p.entity = r.entity and not p.is_resolved
                             and p.source_record_id = c.context ->> 'parent_id')
         order by c.entity, c.source_record_id",
    )
    .bind(migration_id)
    .bind(entity)
    .bind(retries)
    .fetch_all(conn)
    .await
}

/// Migrations that stand still, completed or blocked, and have retries to be done; oldest first.
pub async fn migrations(conn: &mut PgConnection) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select o.id from migration_orchestration o
         where o.deleted_at is null
           and (o.status = 'completed' or (o.status = 'running' and o.activity = 'blocked'))
           and exists (select from retry r where r.migration_id = o.id and r.state = 'pending')
         order by o.created_at, o.id",
    )
    .fetch_all(conn)
    .await
}

/// Notes that rows were read at a later moment than the others.
pub async fn note_written(
    conn: &mut PgConnection,
    migration_id: Uuid,
    rows: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update migration_orchestration set configuration = configuration || jsonb_build_object(
             $2::text, coalesce((configuration ->> $2)::bigint, 0) + $3)
         where id = $1",
    )
    .bind(migration_id)
    .bind(RETRIED_ROWS)
    .bind(rows)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets every retry: what they wrote was undone.
pub async fn delete_all(conn: &mut PgConnection, migration_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("delete from retry where migration_id = $1")
        .bind(migration_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "update migration_orchestration set configuration = configuration - $2 where id = $1",
    )
    .bind(migration_id)
    .bind(RETRIED_ROWS)
    .execute(conn)
    .await?;
    Ok(())
}

fn record(row: &PgRow) -> Result<Retry, sqlx::Error> {
    let keys: Json<Vec<String>> = row.try_get("keys")?;
    Ok(Retry {
        retry_id: row.try_get("retry_id")?,
        migration_id: row.try_get("migration_id")?,
        entity: row.try_get("entity")?,
        attempt: row.try_get("attempt")?,
        number: row.try_get("number")?,
        keys: keys.0,
        asked_by: row.try_get("asked_by")?,
        root_id: row.try_get("root_id")?,
        state: parsed(row, "state")?,
        tries: row.try_get("tries")?,
        problem: row.try_get("problem")?,
        rows_written: row.try_get("rows_written")?,
        rows_failed: row.try_get("rows_failed")?,
        rows_gone: row.try_get("rows_gone")?,
    })
}
