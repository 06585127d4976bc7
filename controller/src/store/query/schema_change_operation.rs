//! Table `schema_change_operation`: changes of schemas, with their way back.

use proto::domain::record::{SchemaChangeOperation, SchemaOperationStatus};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{parsed, parsed_option};

/// Stores an operation as its journal has it; `created_at` and `updated_at` are given here. What happened
/// between two looks at the journal is caught up with: an operation that was pending and is rolled back
/// was completed.
pub async fn upsert(
    conn: &mut PgConnection,
    operation: &SchemaChangeOperation,
) -> Result<(), sqlx::Error> {
    let known: Option<(String, String)> = sqlx::query_as(
        "select status::text, operation_sql from schema_change_operation where id = $1 for update",
    )
    .bind(operation.id)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((status, sql)) = known else {
        return insert(conn, operation).await;
    };
    let status: SchemaOperationStatus = status
        .parse()
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    for status in path(status, operation.status, sql != operation.operation_sql) {
        update(conn, operation, status).await?;
    }
    Ok(())
}

/// The states from where it is known to be to where it is, that one included.
fn path(
    from: SchemaOperationStatus,
    to: SchemaOperationStatus,
    is_other: bool,
) -> Vec<SchemaOperationStatus> {
    use SchemaOperationStatus::{Completed, Failed, Pending, RolledBack};
    let to_pending = match from {
        Pending => vec![],
        Failed | RolledBack => vec![Pending],
        Completed => vec![RolledBack, Pending],
    };
    let anew = |end: &[SchemaOperationStatus]| to_pending.iter().chain(end).copied().collect();
    match (from, to) {
        (_, Pending) if from == Pending => vec![Pending],
        (_, Pending) => to_pending,
        // Another operation took its place meanwhile.
        (_, Completed) if is_other => anew(&[Completed]),
        (_, Failed) if is_other => anew(&[Failed]),
        (_, RolledBack) if is_other => anew(&[Completed, RolledBack]),
        (Pending | Failed | Completed, Completed) => vec![Completed],
        (RolledBack, Completed) => anew(&[Completed]),
        (Pending | Failed, Failed) => vec![Failed],
        (Completed | RolledBack, Failed) => anew(&[Failed]),
        (Completed | RolledBack, RolledBack) => vec![RolledBack],
        (Pending | Failed, RolledBack) => vec![Completed, RolledBack],
    }
}

async fn update(
    conn: &mut PgConnection,
    operation: &SchemaChangeOperation,
    status: SchemaOperationStatus,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update schema_change_operation set
             position = $2, operation_type = $3::schema_operation_type, table_name = $4, column_name = $5,
             object_name = $6, operation_sql = case when $8 = 'pending' or status = 'pending' then $7 else operation_sql end,
             status = $8::schema_operation_status,
             executed_at = case when $8 <> 'pending' then coalesce($9, executed_at, clock_timestamp()) end,
             is_reversible = $10, rollback_sql = $11, backup_table_name = $12, risk_level = $13::risk_level,
             validation_results = $14, error_message = $15
         where id = $1",
    )
    .bind(operation.id)
    .bind(operation.position)
    .bind(operation.operation_type.as_str())
    .bind(&operation.table_name)
    .bind(&operation.column_name)
    .bind(&operation.object_name)
    .bind(&operation.operation_sql)
    .bind(status.as_str())
    .bind(operation.executed_at)
    .bind(operation.is_reversible)
    .bind(&operation.rollback_sql)
    .bind(&operation.backup_table_name)
    .bind(operation.risk_level.map(|level| level.as_str()))
    .bind(&operation.validation_results)
    .bind(&operation.error_message)
    .execute(conn)
    .await
    .map(drop)
}

async fn insert(
    conn: &mut PgConnection,
    operation: &SchemaChangeOperation,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into schema_change_operation
             (id, migration_id, position, operation_type, table_name, column_name, object_name,
              operation_sql, status, executed_at, is_reversible, rollback_sql, backup_table_name,
              risk_level, validation_results, error_message)
         values ($1, $2, $3, $4::schema_operation_type, $5, $6, $7, $8,
                 $9::schema_operation_status, $10, $11, $12, $13, $14::risk_level, $15, $16)",
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
