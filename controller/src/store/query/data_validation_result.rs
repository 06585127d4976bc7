//! Table `data_validation_result`: checks of the copied data.

use proto::domain::record::{
    DataValidationResult, ValidationSeverity, ValidationStatus, ValidationType,
};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::parsed;

/// The outcome of a check, to be stored as executed now.
#[derive(Debug, Clone, PartialEq)]
pub struct NewResult {
    /// What was checked.
    pub validation_type: ValidationType,
    /// The plan's name of the entity, `*` for all.
    pub entity: String,
    /// Source entity, `*` for all.
    pub entity_name: String,
    /// What came of it.
    pub status: ValidationStatus,
    /// How much it matters.
    pub severity: ValidationSeverity,
    /// Rows checked.
    pub records_validated: i64,
    /// Rows with an issue.
    pub issues_found: i64,
    /// The issues; needed unless passed.
    pub issue_details: Option<Value>,
    /// The check and its arguments.
    pub validation_criteria: Value,
    /// Milliseconds it took.
    pub execution_duration_ms: i64,
}

/// Adds a result of the migration's current attempt.
pub async fn insert(
    conn: &mut PgConnection,
    migration_id: Uuid,
    result: &NewResult,
) -> Result<Uuid, sqlx::Error> {
    insert_of(conn, (migration_id, None), result).await
}

/// Likewise, of a validation.
pub async fn insert_of(
    conn: &mut PgConnection,
    (migration_id, run_id): (Uuid, Option<Uuid>),
    result: &NewResult,
) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar(
        "insert into data_validation_result
             (migration_id, validation_type, entity, entity_name, status, severity,
              records_validated, issues_found, issue_details, validation_criteria,
              execution_duration_ms, attempt, validation_run_id)
         select o.id, $2::validation_type, $3, $4, $5::validation_status, $6::validation_severity,
                $7, $8, $9, $10, $11, o.attempt, $12
         from migration_orchestration o where o.id = $1
         returning id",
    )
    .bind(migration_id)
    .bind(result.validation_type.as_str())
    .bind(&result.entity)
    .bind(&result.entity_name)
    .bind(result.status.as_str())
    .bind(result.severity.as_str())
    .bind(result.records_validated)
    .bind(result.issues_found)
    .bind(&result.issue_details)
    .bind(&result.validation_criteria)
    .bind(result.execution_duration_ms)
    .bind(run_id)
    .fetch_one(conn)
    .await
}

/// The migration's results, oldest first.
pub async fn list(
    conn: &mut PgConnection,
    migration_id: Uuid,
) -> Result<Vec<DataValidationResult>, sqlx::Error> {
    let rows = sqlx::query(
        "select id, migration_id, validation_type::text, entity, entity_name, status::text,
                severity::text, records_validated, issues_found, issue_details,
                validation_criteria, executed_at, execution_duration_ms, attempt
         from data_validation_result where migration_id = $1 order by executed_at, id",
    )
    .bind(migration_id)
    .fetch_all(conn)
    .await?;
    rows.iter().map(record).collect()
}

/// A validation's results, in the order in which they were stored.
pub async fn list_of(
    conn: &mut PgConnection,
    run_id: Uuid,
) -> Result<Vec<DataValidationResult>, sqlx::Error> {
    let rows = sqlx::query(
        "select id, migration_id, validation_type::text, entity, entity_name, status::text,
                severity::text, records_validated, issues_found, issue_details,
                validation_criteria, executed_at, execution_duration_ms, attempt
         from data_validation_result where validation_run_id = $1 order by executed_at, id",
    )
    .bind(run_id)
    .fetch_all(conn)
    .await?;
    rows.iter().map(record).collect()
}

fn record(row: &PgRow) -> Result<DataValidationResult, sqlx::Error> {
    Ok(DataValidationResult {
        id: row.try_get("id")?,
        migration_id: row.try_get("migration_id")?,
        validation_type: parsed(row, "validation_type")?,
        entity: row.try_get("entity")?,
        entity_name: row.try_get("entity_name")?,
        status: parsed(row, "status")?,
        severity: parsed(row, "severity")?,
        records_validated: row.try_get("records_validated")?,
        issues_found: row.try_get("issues_found")?,
        issue_details: row.try_get("issue_details")?,
        validation_criteria: row.try_get("validation_criteria")?,
        executed_at: row.try_get("executed_at")?,
        execution_duration_ms: row.try_get("execution_duration_ms")?,
        attempt: row.try_get("attempt")?,
    })
}
