//! Table `schema_change_operation`: changes of schemas, with their way back.

use chrono::DateTime;
use proto::domain::record::{SchemaChangeOperation, SchemaOperationStatus};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{parsed, parsed_option};

/// Stores operations as their journals have them; `created_at` and `updated_at` are given here. What happened
/// between two looks at a journal is caught up with: an operation that was pending and is rolled back was
/// completed. Planned ones that a journal does not have any more are forgotten.
pub async fn save(
    conn: &mut PgConnection,
    migration_id: Uuid,
    operations: &[SchemaChangeOperation],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = operations.iter().map(|one| one.id).collect();
    sqlx::query(
        "delete from schema_change_operation
         where migration_id = $1 and id <> all($2) and status in ('pending', 'failed')",
    )
    .bind(migration_id)
    .bind(ids)
    .execute(&mut *conn)
    .await?;
    let known = list(conn, migration_id).await?;
    let known = |id: Uuid| known.iter().find(|one| one.id == id);
    let new = operations.iter().filter(|one| known(one.id).is_none());
    insert(conn, new.map(|one| (one, one.status)).collect()).await?;
    let paths: Vec<(&SchemaChangeOperation, Vec<SchemaOperationStatus>)> = operations
        .iter()
        .filter_map(|one| Some((one, known(one.id)?)))
        .filter(|(one, known)| !is_same(one, known))
        .map(|(one, known)| {
            let is_other = known.operation_sql != one.operation_sql;
            (one, path(known.status, one.status, is_other))
        })
        .collect();
    let rounds = paths.iter().map(|(_, path)| path.len()).max().unwrap_or(0);
    for round in 0..rounds {
        let now = paths.iter();
        let now = now.filter_map(|(one, path)| Some((*one, *path.get(round)?)));
        update(conn, now.collect()).await?;
    }
    Ok(())
}

fn is_same(one: &SchemaChangeOperation, known: &SchemaChangeOperation) -> bool {
    let moments =
        |record: &SchemaChangeOperation| record.executed_at.map(|moment| moment.timestamp_micros());
    let rest = |record: &SchemaChangeOperation| SchemaChangeOperation {
        executed_at: None,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
        ..record.clone()
    };
    moments(one) == moments(known) && rest(one) == rest(known)
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

/// Fields of operations that are given as JSON, each with the state to be stored.
const FIELDS: &str = "(o ->> 'id')::uuid as id, (o ->> 'migration_id')::uuid as migration_id, (o ->> 'position')::integer as position,
     (o ->> 'operation_type')::schema_operation_type as operation_type, o ->> 'table_name' as table_name,
     o ->> 'column_name' as column_name, o ->> 'object_name' as object_name, o ->> 'operation_sql' as operation_sql,
     (o ->> 'status')::schema_operation_status as status, (o ->> 'executed_at')::timestamptz as executed_at,
     (o ->> 'is_reversible')::boolean as is_reversible, o ->> 'rollback_sql' as rollback_sql,
     o ->> 'backup_table_name' as backup_table_name, (o ->> 'risk_level')::risk_level as risk_level,
     nullif(o -> 'validation_results', 'null') as validation_results, o ->> 'error_message' as error_message";

fn json(operations: Vec<(&SchemaChangeOperation, SchemaOperationStatus)>) -> Json<Vec<Value>> {
    let values = operations.into_iter().map(|(one, status)| {
        let mut value = serde_json::to_value(one).unwrap_or_default();
        value["status"] = Value::from(status.as_str());
        value
    });
    Json(values.collect())
}

async fn update(
    conn: &mut PgConnection,
    operations: Vec<(&SchemaChangeOperation, SchemaOperationStatus)>,
) -> Result<(), sqlx::Error> {
    let sql = format!(
        "update schema_change_operation k set
             position = n.position, operation_type = n.operation_type, table_name = n.table_name,
             column_name = n.column_name, object_name = n.object_name,
             operation_sql = case when 'pending' in (n.status, k.status) then n.operation_sql else k.operation_sql end,
             status = n.status,
             executed_at = case when n.status <> 'pending' then coalesce(n.executed_at, k.executed_at, clock_timestamp()) end,
             is_reversible = n.is_reversible, rollback_sql = n.rollback_sql, backup_table_name = n.backup_table_name,
             risk_level = n.risk_level, validation_results = n.validation_results, error_message = n.error_message
         from (select {FIELDS} from jsonb_array_elements($1) o) n where n.id = k.id"
    );
    sqlx::query(&sql)
        .bind(json(operations))
        .execute(conn)
        .await
        .map(drop)
}

async fn insert(
    conn: &mut PgConnection,
    operations: Vec<(&SchemaChangeOperation, SchemaOperationStatus)>,
) -> Result<(), sqlx::Error> {
    if operations.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "insert into schema_change_operation
             (id, migration_id, position, operation_type, table_name, column_name, object_name, operation_sql,
              status, executed_at, is_reversible, rollback_sql, backup_table_name, risk_level,
              validation_results, error_message)
         select {FIELDS} from jsonb_array_elements($1) o"
    );
    sqlx::query(&sql)
        .bind(json(operations))
        .execute(conn)
        .await
        .map(drop)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the table's trigger lets happen.
    fn is_legal(from: SchemaOperationStatus, to: SchemaOperationStatus) -> bool {
        use SchemaOperationStatus::{Completed, Failed, Pending, RolledBack};
        from == to
            || matches!(
                (from, to),
                (Pending, Completed | Failed)
                    | (Failed, Completed | Pending)
                    | (Completed, RolledBack)
                    | (RolledBack, Pending)
            )
    }

    #[test]
    fn every_state_is_reached_by_steps_that_the_table_allows() {
        for from in SchemaOperationStatus::ALL.iter().copied() {
            for to in SchemaOperationStatus::ALL.iter().copied() {
                for is_other in [false, true] {
                    let path = path(from, to, is_other);
                    assert_eq!(path.last(), Some(&to), "{from} {to} {is_other}");
                    let mut at = from;
                    let mut was_pending = from == SchemaOperationStatus::Pending;
                    for next in path {
                        assert!(is_legal(at, next), "{from} {to} {is_other}: {at} {next}");
                        at = next;
                        was_pending |= next == SchemaOperationStatus::Pending;
                    }
                    assert!(
                        was_pending || !is_other,
                        "{from} {to}: the SQL could not change"
                    );
                }
            }
        }
    }
}
