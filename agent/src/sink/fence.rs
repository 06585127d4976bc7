//! The fence of a partition: taking it over, and learning an outcome that got lost.

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::KeyValue;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::connect::{Purpose, fetch_sql, open, run_sql};
use crate::failure::{During, from_sqlx, sqlstate};
use crate::patience::{InTime, WRITE};
use crate::pool::Server;

/// Who works on a partition, as every write must prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The partition.
    pub partition_id: Uuid,
    /// Attempt of the migration.
    pub attempt: i32,
    /// Fencing token.
    pub token: i64,
    /// This process.
    pub holder: Uuid,
    /// Hash of the entity.
    pub entity_hash: String,
}

impl Fence {
    /// `application_name` of a backend that works on the partition: how a successor finds it.
    pub fn marker(&self) -> String {
        format!("drover {} {}", self.partition_id, self.token)
    }
}

/// Where a partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Batches that are committed.
    pub seq: i64,
    /// Last key that is accounted for.
    pub cursor: Option<KeyValue>,
    /// No row is left.
    pub is_done: bool,
}

type PositionRow = (i64, Option<Json<KeyValue>>, bool, String);

/// Fences, then reads: takes the partition over and ends whoever works on it under another token.
/// After an error the connection is of no use any more.
///
/// # Errors
/// `Fenced` when a holder with the same or a higher token is there; `PlanChanged` when the
/// partition was made for another version of the entity's rules.
pub async fn take_over(connection: &mut PgConnection, fence: &Fence) -> Result<Position, Failure> {
    let position = match try_take_over(connection, fence).await {
        // The row itself is locked: its holder is about to commit or hangs. End it, then ask again.
        Err(error) if sqlstate(&error) == Some("55P03") => {
            run_sql(connection, "rollback")
                .in_time(WRITE)
                .await
                .during("roll back")?;
            refuse_if_overtaken(connection, fence).await?;
            end_workers(connection, fence).await?;
            try_take_over(connection, fence).await
        }
        other => other,
    };
    let row = position.map_err(|error| from_sqlx("take over a partition", &error))?;
    let Some((seq, cursor, is_done, hash)) = row else {
        return Err(overtaken());
    };
    if hash != fence.entity_hash {
        return Err(Failure::new(
            FailureKind::PlanChanged,
            "the entity's rules are not those the partition was made for",
        ));
    }
    Ok(Position {
        seq,
        cursor: cursor.map(|json| json.0),
        is_done,
    })
}

async fn try_take_over(
    connection: &mut PgConnection,
    fence: &Fence,
) -> Result<Option<PositionRow>, sqlx::Error> {
    let take = format!(
        "begin isolation level read committed; set local lock_timeout = '2s'; \
         set local application_name = '{}'; \
         select seq, cursor, done, entity_hash from drover.take_over('{}', {}, {}, '{}')",
        fence.marker(),
        fence.partition_id,
        fence.attempt,
        fence.token,
        fence.holder,
    );
    let rows = fetch_sql(&mut *connection, &take).in_time(WRITE).await?;
    let row = rows.first().map(PositionRow::from_row).transpose()?;
    // Whoever would work by other rules must not fence out the one who does not.
    let is_other = row
        .as_ref()
        .is_some_and(|(.., hash)| *hash != fence.entity_hash);
    run_sql(connection, if is_other { "rollback" } else { "commit" })
        .in_time(WRITE)
        .await?;
    Ok(row)
}

/// A later holder is to be left alone.
async fn refuse_if_overtaken(connection: &mut PgConnection, fence: &Fence) -> Result<(), Failure> {
    let token: Option<i64> =
        sqlx::query_scalar("select token from drover.partition where partition_id = $1")
            .bind(fence.partition_id)
            .fetch_optional(connection)
            .in_time(WRITE)
            .await
            .during("look at a partition's holder")?;
    if token.is_some_and(|token| token >= fence.token) {
        return Err(overtaken());
    }
    Ok(())
}

fn overtaken() -> Failure {
    Failure::new(FailureKind::Fenced, "the partition has another holder")
}

async fn end_workers(connection: &mut PgConnection, fence: &Fence) -> Result<(), Failure> {
    sqlx::query("select drover.end_workers($1, $2)")
        .bind(fence.partition_id)
        .bind(fence.token)
        .execute(connection)
        .in_time(WRITE)
        .await
        .map(drop)
        .during("end the former holder of a partition")
}

/// What came of a batch whose COMMIT was sent and not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is committed.
    Committed,
    /// It is not, or not yet: trying again is safe, the compare-and-set lets one of the two in.
    NotCommitted,
}

/// Locks the partition row, which waits for a commit that is under way, and reads the position.
///
/// # Errors
/// `Fenced` when somebody else holds the partition by now.
pub async fn fate_of_batch(
    destination: &Server,
    fence: &Fence,
    seq_before: i64,
) -> Result<Fate, Failure> {
    let mut connection = open(destination, Purpose::Write).await?;
    let row: Option<(i64, i64, Option<Uuid>)> = sqlx::query_as(
        "select seq, token, holder from drover.partition where partition_id = $1 for no key update",
    )
    .bind(fence.partition_id)
    .fetch_optional(&mut connection)
    .in_time(WRITE)
    .await
    .during("learn the outcome of a batch")?;
    destination.give_back(Purpose::Write, connection).await;
    match row {
        Some((seq, token, holder)) if token == fence.token && holder == Some(fence.holder) => {
            Ok(if seq > seq_before {
                Fate::Committed
            } else {
                Fate::NotCommitted
            })
        }
        _ => Err(overtaken()),
    }
}
