//! What the destination knows of a migration: the truth about position.

use chrono::{DateTime, Utc};
use proto::domain::catalog::quote_literal;
use proto::domain::failure::Failure;
use proto::domain::frame::{DatabaseIdentity, DestinationState, PartitionState};
use proto::domain::key::{KeyRange, KeyValue};
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use super::ledger::counts_of;
use crate::connect::fetch_sql;
use crate::failure::{During, sqlstate};

/// SQLSTATE of a table that is not there; of its schema, too.
pub const UNDEFINED_TABLE: &str = "42P01";
/// SQLSTATE of a column that is not there.
pub const UNDEFINED_COLUMN: &str = "42703";

#[derive(FromRow)]
struct Migration {
    migration_id: Uuid,
    attempt: i32,
    run_now: DateTime<Utc>,
    source: Json<DatabaseIdentity>,
    destination: Json<DatabaseIdentity>,
    is_finished: bool,
    entity_hashes: Json<Vec<(String, String)>>,
    rounds: Json<Vec<(String, i32)>>,
    highest_token: i64,
}

/// The migration, if there is one, and then its partitions: one message, since the destination may be far.
/// What was undone is void: it may come back by other rules.
fn state_sql(name: &str) -> String {
    format!(
        "select m.migration_id, m.attempt, m.run_now, m.source, m.destination, m.is_finished, \
                coalesce((select jsonb_agg(jsonb_build_array(e.entity, e.entity_hash) order by e.entity_no) \
                          from drover.entity e where e.migration_id = m.migration_id and e.attempt = m.attempt), \
                         '[]') as entity_hashes, \
                coalesce((select jsonb_agg(jsonb_build_array(e.entity, e.round) order by e.entity_no) \
                          from drover.entity e where e.migration_id = m.migration_id and e.round > 0), \
                         '[]') as rounds, \
                coalesce((select max(token) from drover.partition), 0) as highest_token \
         from drover.migration m where m.name = {name}; \
         select p.partition_id, e.entity, p.number, p.after, p.upto, p.seq, p.cursor, p.done, p.mode = 'closed' as is_closed, p.token, \
                p.rows_read as n_read, p.rows_written as n_written, p.rows_failed as n_failed, \
                p.rows_held as n_held, p.rows_filtered as n_filtered, p.rows_skipped as n_skipped \
         from drover.migration m join drover.entity e using (migration_id) join drover.partition p using (entity_no) \
         where m.name = {name} and p.attempt = m.attempt and p.round = e.round order by e.entity_no, p.number",
        name = quote_literal(name)
    )
}

/// The state of the migration of that name, if the schema is installed and knows it.
pub async fn read_state(
    connection: &mut PgConnection,
    name: &str,
) -> Result<Option<DestinationState>, Failure> {
    let rows = match fetch_sql(connection, &state_sql(name)).await {
        Err(error) if sqlstate(&error) == Some(UNDEFINED_TABLE) => return Ok(None),
        other => other.during("read the migration's state")?,
    };
    let Some((first, partitions)) = rows.split_first() else {
        return Ok(None);
    };
    let found = Migration::from_row(first).during("read the migration's state")?;
    let partitions: Result<Vec<PartitionState>, sqlx::Error> =
        partitions.iter().map(partition_state).collect();
    Ok(Some(DestinationState {
        migration_id: found.migration_id,
        attempt: found.attempt,
        run_now: found.run_now,
        source: found.source.0,
        destination: found.destination.0,
        entity_hashes: found.entity_hashes.0,
        is_finished: found.is_finished,
        rounds: found.rounds.0,
        highest_token: found.highest_token,
        partitions: partitions.during("read the partitions")?,
    }))
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
        database: String,
        system_identifier: String,
        timeline: i64,
    }
    let whole = "select current_database()::text as database, \
            (select system_identifier::text from pg_control_system()) as system_identifier, \
            (select timeline_id::bigint from pg_control_checkpoint()) as timeline";
    let less = "select current_database()::text as database, '' as system_identifier, 0::bigint as timeline";
    let rows = match fetch_sql(connection, whole).await {
        Err(error) if matches!(sqlstate(&error), Some("42501" | "42883")) => {
            fetch_sql(connection, less).await
        }
        other => other,
    };
    let rows = rows.during("identify the server")?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound);
    let control = row.and_then(Control::from_row);
    let control = control.during("identify the server")?;
    Ok(DatabaseIdentity {
        system_identifier: control.system_identifier,
        database: control.database,
        timeline: control.timeline,
    })
}

/// Marks the attempt as finished: every partition done, everything put back.
///
/// # Errors
/// `Internal` when that is not so.
pub async fn finish(connection: &mut PgConnection, migration_id: Uuid) -> Result<(), Failure> {
    let finished = sqlx::query(
        "update drover.migration m set is_finished = true where m.migration_id = $1 \
         and not exists (select from drover.partition p join drover.entity e using (entity_no) \
                         where e.migration_id = m.migration_id and p.attempt = m.attempt and p.round = e.round \
                           and not p.done and p.mode <> 'closed' and p.number >= -1) \
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
