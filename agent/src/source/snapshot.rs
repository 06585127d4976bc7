//! Holds the run's snapshot on the source, and tells whether a new one still shows the same rows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proto::domain::catalog::{TableName, quote_literal};
use proto::domain::failure::Failure;
use proto::domain::frame::{Continuity, HeldSnapshot};
use sqlx::postgres::PgConnection;
use tokio::sync::Mutex;
use tracing::warn;
use uuid::Uuid;

use super::activity::{SourceActivity, read_activity, wait_for_reports};
use super::baseline::{Taken, note, noted};
use crate::connect::{Purpose, close, open, run_sql};
use crate::failure::During;
use crate::pool::Server;

/// How often the holding session shows that it is alive.
pub const PING: Duration = Duration::from_secs(30);

/// The snapshot that this process holds for a migration.
#[derive(Default)]
pub struct SnapshotHolder {
    held: Mutex<Option<Held>>,
    /// As `held`, to be read while that is locked.
    is_held: AtomicBool,
}

struct Held {
    migration_id: Uuid,
    snapshot_id: String,
    connection: PgConnection,
}

impl Held {
    fn described(&self) -> HeldSnapshot {
        HeldSnapshot {
            snapshot_id: self.snapshot_id.clone(),
            continuity: Continuity::Held,
        }
    }
}

impl SnapshotHolder {
    /// The snapshot of the migration: the one that is held, or a new one compared with the last.
    pub async fn hold(
        &self,
        source: &Server,
        destination: &Server,
        migration_id: Uuid,
        tables: &[TableName],
    ) -> Result<HeldSnapshot, Failure> {
        let mut slot = self.held.lock().await;
        let held = self.alive(&mut slot, migration_id).await;
        let mut journal = open(destination, Purpose::Write).await?;
        let noted = noted(&mut journal, migration_id).await?;
        // Where none is noted it is of an attempt that was rolled back since, while this agent was away.
        if let Some(held) = held.filter(|_| noted.has_snapshot) {
            destination.give_back(Purpose::Write, journal).await;
            return Ok(held);
        }
        *slot = None;
        let earlier = noted.binding();
        // Counters first, snapshot second: a write in between shows as a change, never as none.
        let mut watch = open(source, Purpose::Read).await?;
        let baseline = read_activity(&mut watch, tables).await?;
        let mut connection = open(source, Purpose::Read).await?;
        let snapshot_id = export(&mut connection, None).await?;
        let continuity = match &earlier {
            None => Continuity::First,
            Some(earlier) => compare(&mut watch, tables, earlier).await?,
        };
        if !matches!(continuity, Continuity::Changed { .. }) {
            let sees = match continuity {
                Continuity::First => Some(sees(&mut connection).await?),
                // The rows are those of the first one.
                Continuity::Held | Continuity::Unchanged | Continuity::Changed { .. } => None,
            };
            let taken = Taken {
                snapshot_id: &snapshot_id,
                sees: sees.as_deref(),
            };
            let baseline = earlier.unwrap_or(baseline);
            note(&mut journal, migration_id, Some(taken), &baseline).await?;
            *slot = Some(Held {
                migration_id,
                snapshot_id: snapshot_id.clone(),
                connection,
            });
            self.is_held.store(true, Ordering::SeqCst);
        }
        source.give_back(Purpose::Read, watch).await;
        destination.give_back(Purpose::Write, journal).await;
        Ok(HeldSnapshot {
            snapshot_id,
            continuity,
        })
    }

    /// Joins a snapshot that another agent holds: this one outlives that agent.
    pub async fn share(
        &self,
        source: &Server,
        migration_id: Uuid,
        snapshot_id: &str,
    ) -> Result<HeldSnapshot, Failure> {
        let mut slot = self.held.lock().await;
        if let Some(held) = self.alive(&mut slot, migration_id).await {
            return Ok(held);
        }
        let mut connection = open(source, Purpose::Read).await?;
        let snapshot_id = export(&mut connection, Some(snapshot_id)).await?;
        let held = Held {
            migration_id,
            snapshot_id,
            connection,
        };
        let described = held.described();
        *slot = Some(held);
        self.is_held.store(true, Ordering::SeqCst);
        Ok(described)
    }

    /// What is held of the migration and still alive; the slot is empty otherwise.
    async fn alive(&self, slot: &mut Option<Held>, migration_id: Uuid) -> Option<HeldSnapshot> {
        if let Some(held) = slot.as_mut()
            && held.migration_id == migration_id
            && ping(&mut held.connection).await
        {
            return Some(held.described());
        }
        *slot = None;
        self.is_held.store(false, Ordering::SeqCst);
        None
    }

    /// Shows the holding session that it is needed; done every [`PING`].
    pub async fn keep_alive(&self) {
        let mut slot = self.held.lock().await;
        if let Some(held) = slot.as_mut()
            && !ping(&mut held.connection).await
        {
            warn!(migration_id = %held.migration_id, "the session that held the snapshot is gone");
            *slot = None;
            self.is_held.store(false, Ordering::SeqCst);
        }
    }

    /// Whether a snapshot is held; one that is just being taken counts as not yet.
    pub fn is_held(&self) -> bool {
        self.is_held.load(Ordering::SeqCst)
    }

    /// Lets the snapshot go.
    pub async fn let_go(&self) {
        self.is_held.store(false, Ordering::SeqCst);
        if let Some(held) = self.held.lock().await.take() {
            close(held.connection).await;
        }
    }
}

async fn ping(connection: &mut PgConnection) -> bool {
    let answer = tokio::time::timeout(PING, run_sql(connection, "select 1")).await;
    matches!(answer, Ok(Ok(())))
}

/// Exports a new snapshot, or once more the one that is joined.
async fn export(connection: &mut PgConnection, joined: Option<&str>) -> Result<String, Failure> {
    let mut begin = "begin transaction isolation level repeatable read read only".to_owned();
    if let Some(snapshot_id) = joined {
        begin.push_str("; set transaction snapshot ");
        begin.push_str(&quote_literal(snapshot_id));
    }
    run_sql(&mut *connection, &begin)
        .await
        .during("export a snapshot")?;
    sqlx::query_scalar("select pg_export_snapshot()")
        .fetch_one(connection)
        .await
        .during("export a snapshot")
}

/// Which transactions the connection's snapshot sees.
async fn sees(connection: &mut PgConnection) -> Result<String, Failure> {
    sqlx::query_scalar("select txid_current_snapshot()::text")
        .fetch_one(connection)
        .await
        .during("describe a snapshot")
}

async fn compare(
    watch: &mut PgConnection,
    tables: &[TableName],
    earlier: &SourceActivity,
) -> Result<Continuity, Failure> {
    let is_certain = wait_for_reports(watch).await?;
    let now = read_activity(watch, tables).await?;
    let changed = now.changed_since(earlier);
    Ok(if !changed.is_empty() {
        let reason = "they were written to since the snapshot was taken".to_owned();
        Continuity::Changed {
            tables: changed,
            reason,
        }
    } else if !is_certain {
        let reason =
            "other sessions of the source may not have reported their writes yet".to_owned();
        Continuity::Changed {
            tables: tables.to_vec(),
            reason,
        }
    } else {
        Continuity::Unchanged
    })
}
