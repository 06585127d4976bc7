//! Table `schema_change_operation`: changes of schemas, with their way back.

use proto::domain::record::SchemaChangeOperation;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{parsed, parsed_option};

/// Stores an operation as the destination's journal has it; `created_at` and `updated_at` are given
/// here.
pub async fn upsert(
    conn: &mut PgConnection,
    operation: &SchemaChangeOperation,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into schema_change_operation
             (id, migration_id, position, operation_type, table_name, column_name, object_name,
              operation_sql, status, executed_at, is_reversible, rollback_sql, backup_table_name,
              risk_level, validation_results, error_message)
         values ($1, $2, $3, $4::schema_operation_type, $5, $6, $7, $8,
                 $9::schema_operation_status, $10, $11, $12, $13, $14::risk_level, $15, $16)
         on conflict (id) do update set
             status = excluded.status, executed_at = excluded.executed_at,
             risk_level = excluded.risk_level, validation_results = excluded.validation_results,
             error_message = excluded.error_message",
    )
    .bind(operation.id)
    .bind(operation.migration_id)
    .bind(operation.position)
    .bind(operation.operation_type.as_str())
    .bind(&operation.table_name)
    .bind(&operation.column_name)
    .bind(&operation.object_name)
    .bind(&operation.operation_sql)
    .bind(operation.status.as_str())
    .bind(operation.executed_at)
    .bind(operation.is_reversible)
    .bind(&operation.rollback_sql)
    .bind(&operation.backup_table_name)
    .bind(operation.risk_level.map(|level| level.as_str()))
    .bind(&operation.validation_results)
    .bind(&operation.error_message)
    .execute(conn)
    .await?;
    Ok(())
}

/// The migration's operations in order.
pub async fn list(
    conn: &mut PgConnection,
    migration_id: Uuid,
) -> Result<Vec<SchemaChangeOperation>, sqlx::Error> {
    let rows = sqlx::query(
        "select id, migration_id, position, operation_type::text, table_name, column_name,
                object_name, operation_sql, status::text, executed_at, is_reversible,
                rollback_sql, backup_table_name, risk_level::text, validation_results,
                error_message, created_at, updated_at
         from schema_change_operation where migration_id = $1 order by position",
    )
    .bind(migration_id)
    .fetch_all(conn)
    .await?;
    rows.iter().map(record).collect()
}

fn record(row: &PgRow) -> Result<SchemaChangeOperation, sqlx::Error> {
    Ok(SchemaChangeOperation {
        id: row.try_get("id")?,
        migration_id: row.try_get("migration_id")?,
        position: row.try_get("position")?,
        operation_type: parsed(row, "operation_type")?,
        table_name: row.try_get("table_name")?,
        column_name: row.try_get("column_name")?,
        object_name: row.try_get("object_name")?,
        operation_sql: row.try_get("operation_sql")?,
        status: parsed(row, "status")?,
        executed_at: row.try_get("executed_at")?,
        is_reversible: row.try_get("is_reversible")?,
        rollback_sql: row.try_get("rollback_sql")?,
        backup_table_name: row.try_get("backup_table_name")?,
        risk_level: parsed_option(row, "risk_level")?,
        validation_results: row.try_get("validation_results")?,
        error_message: row.try_get("error_message")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
