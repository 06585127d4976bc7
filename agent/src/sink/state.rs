//! What the destination knows of a migration: the truth about position.

use chrono::{DateTime, Utc};
use proto::domain::failure::Failure;
use proto::domain::frame::{DatabaseIdentity, DestinationState, PartitionState};
use proto::domain::key::{KeyRange, KeyValue};
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use super::ledger::counts_of;
use crate::failure::{During, from_sqlx, sqlstate};

type MigrationRow = (
    Uuid,
    i32,
    DateTime<Utc>,
    Json<DatabaseIdentity>,
    Json<DatabaseIdentity>,
    bool,
);

/// The state of the migration of that name, if the schema is installed and knows it.
pub async fn read_state(
    connection: &mut PgConnection,
    name: &str,
) -> Result<Option<DestinationState>, Failure> {
    let is_installed: bool =
        sqlx::query_scalar("select to_regclass('drover.migration') is not null")
            .fetch_one(&mut *connection)
            .await
            .during("look for the drover schema")?;
    if !is_installed {
        return Ok(None);
    }
    let row: Option<MigrationRow> = sqlx::query_as(
        "select migration_id, attempt, run_now, source, destination, is_finished \
         from drover.migration where name = $1",
    )
    .bind(name)
    .fetch_optional(&mut *connection)
    .await
    .during("read the migration's state")?;
    let Some((migration_id, attempt, run_now, source, destination, is_finished)) = row else {
        return Ok(None);
    };
    let entity_hashes = sqlx::query_as(
        "select entity, entity_hash from drover.entity where migration_id = $1 order by entity_no",
    )
    .bind(migration_id)
    .fetch_all(&mut *connection)
    .await
    .during("read the migration's state")?;
    let highest_token = sqlx::query_scalar("select coalesce(max(token), 0) from drover.partition")
        .fetch_one(&mut *connection)
        .await
        .during("read the migration's state")?;
    Ok(Some(DestinationState {
        migration_id,
        attempt,
        run_now,
        source: source.0,
        destination: destination.0,
        entity_hashes,
        is_finished,
        highest_token,
        partitions: read_partitions(connection, migration_id, attempt).await?,
    }))
}

async fn read_partitions(
    connection: &mut PgConnection,
    migration_id: Uuid,
    attempt: i32,
) -> Result<Vec<PartitionState>, Failure> {
    let rows = sqlx::query(
        "select p.partition_id, e.entity, p.number, p.after, p.upto, p.seq, p.cursor, p.done, p.mode = 'closed' as is_closed, p.token, \
                p.rows_read as n_read, p.rows_written as n_written, p.rows_failed as n_failed, \
                p.rows_held as n_held, p.rows_filtered as n_filtered, p.rows_skipped as n_skipped \
         from drover.partition p join drover.entity e using (entity_no) \
         where e.migration_id = $1 and p.attempt = $2 order by e.entity_no, p.number",
    )
    .bind(migration_id)
    .bind(attempt)
    .fetch_all(connection)
    .await
    .during("read the partitions")?;
    rows.iter()
        .map(partition_state)
        .collect::<Result<_, _>>()
        .during("read the partitions")
}

fn partition_state(row: &sqlx::postgres::PgRow) -> Result<PartitionState, sqlx::Error> {
    Ok(PartitionState {
        partition_id: row.try_get("partition_id")?,
        entity: row.try_get("entity")?,
        number: row.try_get("number")?,
        range: KeyRange {
            after: key(row, "after")?,
            upto: key(row, "upto")?,
        },
        seq: row.try_get("seq")?,
        cursor: key(row, "cursor")?,
        is_done: row.try_get("done")?,
        is_closed: row.try_get("is_closed")?,
        token: row.try_get("token")?,
        totals: counts_of(row)?,
    })
}

/// A key column of Drover's own tables.
pub fn key(row: &sqlx::postgres::PgRow, column: &str) -> Result<Option<KeyValue>, sqlx::Error> {
    Ok(row
        .try_get::<Option<Json<KeyValue>>, _>(column)?
        .map(|json| json.0))
}

/// Which database this is; the control data is left empty where it may not be read.
pub async fn identify(connection: &mut PgConnection) -> Result<DatabaseIdentity, Failure> {
    #[derive(FromRow)]
    struct Control {
        system_identifier: String,
        timeline: i64,
    }
    let database: String = sqlx::query_scalar("select current_database()::text")
        .fetch_one(&mut *connection)
        .await
        .during("identify the server")?;
    let control: Result<Control, _> = sqlx::query_as(
        "select (select system_identifier::text from pg_control_system()) as system_identifier, \
                (select timeline_id::bigint from pg_control_checkpoint()) as timeline",
    )
    .fetch_one(connection)
    .await;
    match control {
        Ok(control) => Ok(DatabaseIdentity {
            system_identifier: control.system_identifier,
            database,
            timeline: control.timeline,
        }),
        Err(error) if matches!(sqlstate(&error), Some("42501" | "42883")) => Ok(DatabaseIdentity {
            system_identifier: String::new(),
            database,
            timeline: 0,
        }),
        Err(error) => Err(from_sqlx("identify the server", &error)),
    }
}

/// Marks the attempt as finished: every partition done, everything put back.
///
/// # Errors
/// `Internal` when that is not so.
pub async fn finish(connection: &mut PgConnection, migration_id: Uuid) -> Result<(), Failure> {
    let finished = sqlx::query(
        "update drover.migration m set is_finished = true where m.migration_id = $1 \
         and not exists (select from drover.partition p join drover.entity e using (entity_no) \
                         where e.migration_id = m.migration_id and p.attempt = m.attempt and not p.done \
                           and p.mode <> 'closed' and p.number >= -1) \
         and not exists (select from drover.ddl d where d.migration_id = m.migration_id and d.state = 'dropped')",
    )
    .bind(migration_id)
    .execute(connection)
    .await
    .during("finish the run")?;
    if finished.rows_affected() == 1 {
        return Ok(());
    }
    Err(proto::domain::failure::Failure::new(
        proto::domain::failure::FailureKind::Internal,
        "the destination still has partitions to copy or definitions to put back",
    ))
}
