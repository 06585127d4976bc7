//! Table `validation_run`: validations that were asked for.

use proto::domain::record::{ValidationRun, ValidationRunStatus, ValidationStatus};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{parsed, parsed_option};

const COLUMNS: &str = "r.id, r.migration_id, r.attempt, r.status::text, r.outcome::text, r.level, r.entities, \
    r.created_by, r.created_at, r.completed_at, r.reason, \
    (select count(*) from validation_unit u where u.run_id = r.id) as units_total, \
    (select count(*) from validation_unit u where u.run_id = r.id and u.done_at is not null) as units_done";

/// A validation to be stored.
#[derive(Debug)]
pub struct NewRow<'a> {
    /// Its id.
    pub id: Uuid,
    /// The migration.
    pub migration_id: Uuid,
    /// Level that was asked for.
    pub level: Option<&'a str>,
    /// Entities that were asked for.
    pub entities: &'a [String],
    /// Who asked.
    pub created_by: &'a str,
}

/// Stores a validation of the migration's present attempt.
pub async fn insert(conn: &mut PgConnection, new: NewRow<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into validation_run (id, migration_id, attempt, level, entities, created_by)
         select $1, o.id, o.attempt, $3, $4, $5 from migration_orchestration o where o.id = $2",
    )
    .bind(new.id)
    .bind(new.migration_id)
    .bind(new.level)
    .bind(new.entities)
    .bind(new.created_by)
    .execute(conn)
    .await
    .map(drop)
}

/// The validation of that id.
pub async fn get(conn: &mut PgConnection, id: Uuid) -> Result<Option<ValidationRun>, sqlx::Error> {
    let row = sqlx::query(&format!(
        "select {COLUMNS} from validation_run r where r.id = $1"
    ))
    .bind(id)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(record).transpose()
}

/// The migration's validation that is under way.
pub async fn running(
    conn: &mut PgConnection,
    migration_id: Uuid,
) -> Result<Option<ValidationRun>, sqlx::Error> {
    let row = sqlx::query(&format!(
        "select {COLUMNS} from validation_run r where r.migration_id = $1 and r.status = 'running'"
    ))
    .bind(migration_id)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(record).transpose()
}

/// Every validation that is under way, oldest first.
pub async fn list_running(conn: &mut PgConnection) -> Result<Vec<ValidationRun>, sqlx::Error> {
    let rows = sqlx::query(&format!(
        "select {COLUMNS} from validation_run r where r.status = 'running' order by r.created_at"
    ))
    .fetch_all(conn)
    .await?;
    rows.iter().map(record).collect()
}

/// The migration's validations, newest first, behind the one with id `after`.
pub async fn list(
    conn: &mut PgConnection,
    migration_id: Uuid,
    (limit, after): (i64, Option<Uuid>),
) -> Result<Vec<ValidationRun>, sqlx::Error> {
    let rows = sqlx::query(&format!(
        "select {COLUMNS} from validation_run r where r.migration_id = $1
           and ($3::uuid is null or (r.created_at, r.id) <
                (select b.created_at, b.id from validation_run b where b.id = $3))
         order by r.created_at desc, r.id desc limit $2"
    ))
    .bind(migration_id)
    .bind(limit)
    .bind(after)
    .fetch_all(conn)
    .await?;
    rows.iter().map(record).collect()
}

/// Ends a validation that is under way; false where it was ended before.
pub async fn end(
    conn: &mut PgConnection,
    id: Uuid,
    (status, outcome, reason): (ValidationRunStatus, Option<ValidationStatus>, Option<&str>),
) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query(
        "update validation_run set status = $2::validation_run_status, outcome = $3::validation_status,
             reason = $4, completed_at = greatest(clock_timestamp(), created_at)
         where id = $1 and status = 'running'",
    )
    .bind(id)
    .bind(status.as_str())
    .bind(outcome.map(ValidationStatus::as_str))
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Ends the migration's validation that is under way, where there is one.
pub async fn cancel_of(
    conn: &mut PgConnection,
    migration_id: Uuid,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update validation_run set status = 'cancelled', reason = $2,
             completed_at = greatest(clock_timestamp(), created_at)
         where migration_id = $1 and status = 'running'",
    )
    .bind(migration_id)
    .bind(reason)
    .execute(conn)
    .await
    .map(drop)
}

fn record(row: &PgRow) -> Result<ValidationRun, sqlx::Error> {
    Ok(ValidationRun {
        id: row.try_get("id")?,
        migration_id: row.try_get("migration_id")?,
        status: parsed(row, "status")?,
        outcome: parsed_option(row, "outcome")?,
        level: row.try_get("level")?,
        entities: row.try_get("entities")?,
        created_by: row.try_get("created_by")?,
        created_at: row.try_get("created_at")?,
        completed_at: row.try_get("completed_at")?,
        reason: row.try_get("reason")?,
        units_total: row.try_get("units_total")?,
        units_done: row.try_get("units_done")?,
        attempt: row.try_get("attempt")?,
    })
}
