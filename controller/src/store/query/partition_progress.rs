//! Table `partition_progress`: a cache of the destination's fence rows, and the partitions' bounds.

use std::str::FromStr;

use proto::domain::frame::{Counts, NewPartition, PartitionState};
use proto::domain::key::{KeyRange, KeyValue};
use proto::domain::record::UnknownValue;
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::parsed;

/// What the controller knows of a partition's work. A cache: after a restart the destination is
/// asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartitionPhase {
    /// Nobody works on it.
    Pending,
    /// Handed to an agent that has not claimed it yet.
    Assigned,
    /// Claimed: the agent holds its fence.
    Running,
    /// No row is left.
    Done,
    /// It cannot go on without the operator.
    Blocked,
}

impl PartitionPhase {
    /// Its text in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Done => "done",
            Self::Blocked => "blocked",
        }
    }
}

impl FromStr for PartitionPhase {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, UnknownValue> {
        match text {
            "pending" => Ok(Self::Pending),
            "assigned" => Ok(Self::Assigned),
            "running" => Ok(Self::Running),
            "done" => Ok(Self::Done),
            "blocked" => Ok(Self::Blocked),
            _ => Err(UnknownValue {
                kind: "PartitionPhase",
                value: text.to_owned(),
            }),
        }
    }
}

/// One partition as it is known here.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionProgress {
    /// The partition.
    pub partition_id: Uuid,
    /// The migration.
    pub migration_id: Uuid,
    /// Its entity.
    pub entity: String,
    /// Number in the entity, in key order; -1 for the settling partition.
    pub number: i32,
    /// Keys it covers.
    pub range: KeyRange,
    /// What is being done with it.
    pub phase: PartitionPhase,
    /// Attempt of the migration.
    pub attempt: i32,
    /// Batches committed, as far as is known.
    pub seq: i64,
    /// Batches whose reports are stored.
    pub acked_seq: i64,
    /// Last key that is accounted for.
    pub cursor: Option<KeyValue>,
    /// Highest fencing token known.
    pub token: i64,
    /// Agent process that has it.
    pub holder: Option<Uuid>,
    /// Totals of its rows.
    pub totals: Counts,
}

/// A change of who works on a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionUpdate {
    /// The partition.
    pub partition_id: Uuid,
    /// What is being done with it now.
    pub phase: PartitionPhase,
    /// Agent process that has it; needed where assigned or running.
    pub holder: Option<Uuid>,
    /// Fencing token; none keeps the one known.
    pub token: Option<i64>,
}

/// A position after a batch that is committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The partition.
    pub partition_id: Uuid,
    /// Batches committed, and stored here.
    pub seq: i64,
    /// Last key that is accounted for.
    pub cursor: Option<KeyValue>,
    /// Token that wrote the batch.
    pub token: i64,
    /// No row is left.
    pub is_done: bool,
    /// Totals of its rows.
    pub totals: Counts,
}

/// Adds partitions of an attempt; those that are there stay as they are, those of earlier attempts go.
pub async fn insert(
    conn: &mut PgConnection,
    migration_id: Uuid,
    attempt: i32,
    partitions: &[NewPartition],
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from partition_progress where migration_id = $1 and attempt < $2")
        .bind(migration_id)
        .bind(attempt)
        .execute(&mut *conn)
        .await?;
    for partition in partitions {
        sqlx::query(
            "insert into partition_progress
                 (partition_id, migration_id, entity, number, after, upto, attempt)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (partition_id) do nothing",
        )
        .bind(partition.partition_id)
        .bind(migration_id)
        .bind(&partition.entity)
        .bind(partition.number)
        .bind(partition.range.after.as_ref().map(Json))
        .bind(partition.range.upto.as_ref().map(Json))
        .bind(attempt)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Takes over what the destination says of partitions: it is right about position. What was
/// acknowledged is what is stored here.
pub async fn upsert_states(
    conn: &mut PgConnection,
    migration_id: Uuid,
    attempt: i32,
    states: &[PartitionState],
) -> Result<(), sqlx::Error> {
    let states: Vec<Value> = states.iter().map(state_row).collect();
    sqlx::query(
        "insert into partition_progress as p
             (partition_id, migration_id, entity, number, after, upto, attempt, state, seq, cursor,
              token, rows_read, rows_written, rows_failed, rows_held, rows_filtered, rows_skipped,
              acked_seq)
         select s.partition_id, $2, s.entity, s.number, s.after, s.upto, $3, s.state, s.seq, s.cursor,
                s.token, s.rows_read, s.rows_written, s.rows_failed, s.rows_held, s.rows_filtered,
                s.rows_skipped,
                coalesce((select max(b.seq) from batch_processing_status b
                          where b.migration_id = $2 and b.partition_id = s.partition_id
                            and b.attempt = $3 and b.status = 'completed'), 0)
         from jsonb_to_recordset($1) as s
              (partition_id uuid, entity text, number integer, after jsonb, upto jsonb, state text,
               seq bigint, cursor jsonb, token bigint, rows_read bigint, rows_written bigint,
               rows_failed bigint, rows_held bigint, rows_filtered bigint, rows_skipped bigint)
         on conflict (partition_id) do update set
             state = excluded.state, holder = null, seq = excluded.seq, cursor = excluded.cursor,
             token = excluded.token, rows_read = excluded.rows_read,
             rows_written = excluded.rows_written, rows_failed = excluded.rows_failed,
             rows_held = excluded.rows_held, rows_filtered = excluded.rows_filtered,
             rows_skipped = excluded.rows_skipped
         where p.attempt = excluded.attempt and p.seq <= excluded.seq
           and p.token <= excluded.token",
    )
    .bind(Json(states))
    .bind(migration_id)
    .bind(attempt)
    .execute(conn)
    .await?;
    Ok(())
}

fn state_row(state: &PartitionState) -> Value {
    let phase = if state.is_done {
        PartitionPhase::Done
    } else {
        PartitionPhase::Pending
    };
    json!({
        "partition_id": state.partition_id,
        "entity": state.entity,
        "number": state.number,
        "after": state.range.after,
        "upto": state.range.upto,
        "state": phase.as_str(),
        "seq": state.seq,
        "cursor": state.cursor,
        "token": state.token,
        "rows_read": state.totals.read,
        "rows_written": state.totals.written,
        "rows_failed": state.totals.failed,
        "rows_held": state.totals.held,
        "rows_filtered": state.totals.filtered,
        "rows_skipped": state.totals.skipped,
    })
}

/// The migration's partitions, by entity and number.
pub async fn list(
    conn: &mut PgConnection,
    migration_id: Uuid,
) -> Result<Vec<PartitionProgress>, sqlx::Error> {
    let rows = sqlx::query(
        "select * from partition_progress where migration_id = $1 order by entity, number",
    )
    .bind(migration_id)
    .fetch_all(conn)
    .await?;
    rows.iter().map(record).collect()
}

/// These partitions; nobody else changes them until the transaction ends.
pub async fn lock(
    conn: &mut PgConnection,
    migration_id: Uuid,
    partition_ids: &[Uuid],
) -> Result<Vec<PartitionProgress>, sqlx::Error> {
    let rows = sqlx::query(
        "select * from partition_progress
         where migration_id = $1 and partition_id = any ($2) order by partition_id for update",
    )
    .bind(migration_id)
    .bind(partition_ids)
    .fetch_all(conn)
    .await?;
    rows.iter().map(record).collect()
}

/// Moves partitions forward; a position behind the one known changes nothing but what was
/// acknowledged.
pub async fn advance(conn: &mut PgConnection, positions: &[Position]) -> Result<(), sqlx::Error> {
    for position in positions {
        let moved = sqlx::query(
            "update partition_progress set
                 acked_seq = greatest(acked_seq, $2), seq = $2, cursor = coalesce($3, cursor),
                 token = greatest(token, $4),
                 state = case when $5 then 'done' else state end,
                 rows_read = $6, rows_written = $7, rows_failed = $8, rows_held = $9,
                 rows_filtered = $10, rows_skipped = $11
             where partition_id = $1 and seq <= $2",
        )
        .bind(position.partition_id)
        .bind(position.seq)
        .bind(position.cursor.as_ref().map(Json))
        .bind(position.token)
        .bind(position.is_done)
        .bind(position.totals.read)
        .bind(position.totals.written)
        .bind(position.totals.failed)
        .bind(position.totals.held)
        .bind(position.totals.filtered)
        .bind(position.totals.skipped)
        .execute(&mut *conn)
        .await?;
        if moved.rows_affected() > 0 {
            continue;
        }
        sqlx::query(
            "update partition_progress set acked_seq = $2
             where partition_id = $1 and acked_seq < $2",
        )
        .bind(position.partition_id)
        .bind(position.seq)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Stores who works on partitions. A lower token than the one known is old news and changes nothing;
/// what is done stays done.
pub async fn update(
    conn: &mut PgConnection,
    migration_id: Uuid,
    updates: &[PartitionUpdate],
) -> Result<(), sqlx::Error> {
    for update in updates {
        sqlx::query(
            "update partition_progress set
                 state = $3, holder = $4, token = coalesce($5, token)
             where migration_id = $1 and partition_id = $2 and state <> 'done'
               and token <= coalesce($5, token)",
        )
        .bind(migration_id)
        .bind(update.partition_id)
        .bind(update.phase.as_str())
        .bind(update.holder)
        .bind(update.token)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Forgets every partition: what they hold was undone.
pub async fn delete_all(conn: &mut PgConnection, migration_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("delete from partition_progress where migration_id = $1")
        .bind(migration_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets the partitions of some entities.
pub async fn delete_of(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entities: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from partition_progress where migration_id = $1 and entity = any($2)")
        .bind(migration_id)
        .bind(entities)
        .execute(conn)
        .await?;
    Ok(())
}

fn record(row: &PgRow) -> Result<PartitionProgress, sqlx::Error> {
    let key = |column: &str| -> Result<Option<KeyValue>, sqlx::Error> {
        let key: Option<Json<KeyValue>> = row.try_get(column)?;
        Ok(key.map(|json| json.0))
    };
    Ok(PartitionProgress {
        partition_id: row.try_get("partition_id")?,
        migration_id: row.try_get("migration_id")?,
        entity: row.try_get("entity")?,
        number: row.try_get("number")?,
        range: KeyRange {
            after: key("after")?,
            upto: key("upto")?,
        },
        phase: parsed(row, "state")?,
        attempt: row.try_get("attempt")?,
        seq: row.try_get("seq")?,
        acked_seq: row.try_get("acked_seq")?,
        cursor: key("cursor")?,
        token: row.try_get("token")?,
        holder: row.try_get("holder")?,
        totals: Counts {
            read: row.try_get("rows_read")?,
            written: row.try_get("rows_written")?,
            failed: row.try_get("rows_failed")?,
            held: row.try_get("rows_held")?,
            filtered: row.try_get("rows_filtered")?,
            skipped: row.try_get("rows_skipped")?,
        },
    })
}
