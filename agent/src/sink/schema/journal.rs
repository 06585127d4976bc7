//! Table `drover.schema_operation`: what is planned, begun, done and taken back.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use proto::domain::catalog::TableName;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::record::SchemaOperationStatus;
use proto::domain::schema_change::{
    CheckOutcome, DeclaredChange, JournalEntry, LoadedDefinition, Operation,
};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use super::probe::exists;
use crate::connect::run_sql;
use crate::failure::During;

const COLUMNS: &str = "operation_id, migration_id, position, change, operation, status, is_undoing, step, \
     executed_at, checks, error_message";

/// An entry with what only execution needs.
pub(super) struct Stored {
    pub entry: JournalEntry,
    /// Rows of a backup that the step in hand is done with.
    pub batch: i64,
}

/// Whether the journal is there.
pub(super) async fn is_installed(connection: &mut PgConnection) -> Result<bool, Failure> {
    exists(connection, "drover.schema_operation").await
}

/// Keeps operations; one of which nothing is at the database takes what is planned now.
pub(super) async fn record(
    connection: &mut PgConnection,
    name: &str,
    entries: &[JournalEntry],
) -> Result<(), Failure> {
    run_sql(connection, "begin")
        .await
        .during("keep planned operations")?;
    if let Some(first) = entries.first() {
        // What was planned before, and is not any more.
        sqlx::query(
            "delete from drover.schema_operation where migration_id = $1 and (change ->> 'number')::bigint = $2 \
             and operation_id <> all($3) and step = 0 and status <> 'completed'",
        )
        .bind(first.migration_id)
        .bind(i64::from(first.change.number))
        .bind(entries.iter().map(|entry| entry.id).collect::<Vec<Uuid>>())
        .execute(&mut *connection)
        .await
        .during("keep planned operations")?;
    }
    for entry in entries {
        sqlx::query(
            "insert into drover.schema_operation as o \
                 (operation_id, migration_id, migration_name, position, change, operation) \
             values ($1, $2, $3, $4, $5, $6) \
             on conflict (operation_id) do update set \
                 change = excluded.change, operation = excluded.operation, status = 'pending', executed_at = null, \
                 checks = '[]', error_message = null, updated_at = clock_timestamp() \
             where o.step = 0 and o.status <> 'completed'",
        )
        .bind(entry.id)
        .bind(entry.migration_id)
        .bind(name)
        .bind(entry.position)
        .bind(Json(&entry.change))
        .bind(Json(&entry.operation))
        .execute(&mut *connection)
        .await
        .during("keep planned operations")?;
    }
    run_sql(connection, "commit")
        .await
        .during("keep planned operations")
}

/// Every operation of a migration.
pub(super) async fn read(
    connection: &mut PgConnection,
    migration_id: Uuid,
) -> Result<Vec<JournalEntry>, Failure> {
    let sql = format!(
        "select {COLUMNS}, batch from drover.schema_operation where migration_id = $1 order by position"
    );
    let rows = sqlx::query(&sql)
        .bind(migration_id)
        .fetch_all(connection)
        .await
        .during("read the journal of schema operations")?;
    let entries = rows
        .iter()
        .map(|row| stored(row).map(|stored| stored.entry));
    entries.collect()
}

/// One operation.
pub(super) async fn get(connection: &mut PgConnection, id: Uuid) -> Result<Stored, Failure> {
    let sql =
        format!("select {COLUMNS}, batch from drover.schema_operation where operation_id = $1");
    let row = sqlx::query(&sql)
        .bind(id)
        .fetch_optional(connection)
        .await
        .during("read the journal of schema operations")?;
    let row = row.ok_or_else(|| {
        Failure::new(
            FailureKind::Internal,
            "the journal knows nothing of this operation",
        )
    })?;
    stored(&row)
}

fn stored(row: &PgRow) -> Result<Stored, Failure> {
    let read = || -> Result<(JournalEntry, i64, String), sqlx::Error> {
        let Json(change): Json<DeclaredChange> = row.try_get("change")?;
        let Json(operation): Json<Operation> = row.try_get("operation")?;
        let Json(checks): Json<Vec<CheckOutcome>> = row.try_get("checks")?;
        let entry = JournalEntry {
            id: row.try_get("operation_id")?,
            migration_id: row.try_get("migration_id")?,
            position: row.try_get("position")?,
            change,
            operation,
            status: SchemaOperationStatus::Pending,
            is_undoing: row.try_get("is_undoing")?,
            step: row.try_get("step")?,
            executed_at: row.try_get("executed_at")?,
            checks,
            error_message: row.try_get("error_message")?,
        };
        Ok((entry, row.try_get("batch")?, row.try_get("status")?))
    };
    let (entry, batch, status) = read().during("read the journal of schema operations")?;
    let status = status.parse().map_err(|_| {
        Failure::new(
            FailureKind::SchemaDrift,
            "the journal holds an unknown status",
        )
    })?;
    Ok(Stored {
        entry: JournalEntry { status, ..entry },
        batch,
    })
}

/// Numbers of changes, of the migration of that name, that are made.
pub(super) async fn made(
    connection: &mut PgConnection,
    name: &str,
) -> Result<BTreeSet<u32>, Failure> {
    if !is_installed(connection).await? {
        return Ok(BTreeSet::new());
    }
    let numbers: Vec<i32> = sqlx::query_scalar(
        "select (change ->> 'number')::integer from drover.schema_operation where migration_name = $1 \
         group by 1 having bool_and(status = 'completed')",
    )
    .bind(name)
    .fetch_all(connection)
    .await
    .during("read the journal of schema operations")?;
    Ok(numbers.into_iter().map(i32::unsigned_abs).collect())
}

/// A step of the way back, or of the operation, was taken back, or all begins anew.
pub(super) async fn set_step(
    connection: &mut PgConnection,
    id: Uuid,
    (from, to): (i32, i32),
    is_undoing: bool,
) -> Result<(), Failure> {
    let changed = sqlx::query(
        "update drover.schema_operation set step = $3, batch = 0, is_undoing = is_undoing and ($3 > 0 or not $4), \
             updated_at = clock_timestamp() \
         where operation_id = $1 and step = $2 and is_undoing = $4",
    )
    .bind(id)
    .bind(from)
    .bind(to)
    .bind(is_undoing)
    .execute(connection)
    .await
    .during("note a step")?;
    match changed.rows_affected() {
        1 => Ok(()),
        _ => Err(in_other_hands()),
    }
}

/// The operation begins, or its way back does.
pub(super) async fn begin(
    connection: &mut PgConnection,
    id: Uuid,
    is_undoing: bool,
    checks: &[CheckOutcome],
) -> Result<(), Failure> {
    let sql = match is_undoing {
        false => {
            "update drover.schema_operation set status = 'pending', executed_at = null, checks = $2, \
                 error_message = null, batch = 0, updated_at = clock_timestamp() \
             where operation_id = $1 and step = 0 and status <> 'completed'"
        }
        true => {
            "update drover.schema_operation set is_undoing = true, checks = checks || $2, error_message = null, \
                 batch = 0, updated_at = clock_timestamp() \
             where operation_id = $1 and step = 0 and status = 'completed'"
        }
    };
    let changed = sqlx::query(sql)
        .bind(id)
        .bind(Json(checks))
        .execute(connection)
        .await
        .during("begin an operation")?;
    match changed.rows_affected() {
        1 => Ok(()),
        _ => Err(in_other_hands()),
    }
}

/// The operation failed and nothing of it remains; or, on the way back, it stands as it stood.
pub(super) async fn fail(
    connection: &mut PgConnection,
    id: Uuid,
    words: &str,
    checks: &[CheckOutcome],
) -> Result<(), Failure> {
    sqlx::query(
        "update drover.schema_operation set \
             status = case when status = 'completed' then status else 'failed' end, \
             executed_at = coalesce(executed_at, clock_timestamp()), is_undoing = false, batch = 0, \
             checks = checks || $3, error_message = $2, updated_at = clock_timestamp() \
         where operation_id = $1 and step = 0",
    )
    .bind(id)
    .bind(words)
    .bind(Json(checks))
    .execute(connection)
    .await
    .map(drop)
    .during("note a failure")
}

/// Why it is not done yet; it is tried again.
pub(super) async fn note(
    connection: &mut PgConnection,
    id: Uuid,
    words: &str,
) -> Result<(), Failure> {
    sqlx::query("update drover.schema_operation set error_message = $2 where operation_id = $1")
        .bind(id)
        .bind(words)
        .execute(connection)
        .await
        .map(drop)
        .during("note a failure")
}

/// The backup that an operation relies on is not true any more: it is made anew before the operation is
/// tried again.
pub(super) async fn forget_backup(
    connection: &mut PgConnection,
    entry: &JournalEntry,
    table: &TableName,
) -> Result<(), Failure> {
    let sql = format!(
        "begin; drop table {}; \
         update drover.schema_operation set status = 'pending', executed_at = null, step = 0, checks = '[]', \
             error_message = 'rows were changed since: it is made anew', updated_at = clock_timestamp() \
         where migration_id = '{}' and operation ->> 'operation_type' = 'create_backup' \
           and (change ->> 'number')::integer = {} and status = 'completed' and not is_undoing; commit",
        table.quoted(),
        entry.migration_id,
        entry.change.number
    );
    run_sql(connection, &sql).await.during("forget a backup")
}

pub(super) fn in_other_hands() -> Failure {
    Failure::new(
        FailureKind::Busy,
        "the operation is in other hands: somebody else went on with it",
    )
}

#[derive(FromRow)]
struct Loaded {
    ddl_id: i64,
    place: i64,
    kind: String,
    table_schema: String,
    table_name: String,
    object_name: String,
    drop_sql: String,
    create_sql: Vec<String>,
    state: String,
    dropped_at: DateTime<Utc>,
}

/// What was dropped for the migration's load.
pub(super) async fn read_loaded(
    connection: &mut PgConnection,
    migration_id: Uuid,
) -> Result<Vec<LoadedDefinition>, Failure> {
    let rows: Vec<Loaded> = sqlx::query_as(
        "select ddl_id, row_number() over (order by ddl_id) - 1 as place, kind, table_schema, table_name, object_name, \
                drop_sql, create_sql, state, dropped_at \
         from drover.ddl where migration_id = $1 order by ddl_id",
    )
    .bind(migration_id)
    .fetch_all(connection)
    .await
    .during("read what was dropped for the load")?;
    let loaded = rows.into_iter().map(|row| LoadedDefinition {
        migration_id,
        number: row.ddl_id,
        place: row.place,
        kind: row.kind,
        table: TableName {
            schema: row.table_schema,
            name: row.table_name,
        },
        object: row.object_name,
        drop_sql: row.drop_sql,
        create_sql: row.create_sql,
        is_restored: row.state == "restored",
        dropped_at: row.dropped_at,
    });
    Ok(loaded.collect())
}
