//! The point in time that all rows are read at: taken by one agent, held by two where there are two.

use proto::domain::catalog::TableName;
use proto::domain::compiled::ConsistencyHeld;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{Continuity, HeldSnapshot, Query, QueryAnswer};
use uuid::Uuid;

use super::{Job, LONG, Ordered, SHORT};
use crate::fleet::misfit;

impl Job {
    /// Tables whose writes matter.
    pub fn source_tables(&self) -> Vec<TableName> {
        // Skipped ones too: orphan checks look at their rows.
        let mut tables: Vec<_> = self
            .compiled
            .entities
            .iter()
            .flat_map(|entity| [&entity.read.source].into_iter().chain(&entity.read.also))
            .cloned()
            .collect();
        tables.sort();
        tables.dedup();
        tables
    }

    /// Stores what the reads have in common, as far as it is known.
    pub async fn held(&self, held: ConsistencyHeld) -> Result<(), Failure> {
        let stored = self.store.set_consistency_held(self.migration.id, held);
        stored.await.map_err(|error| error.failure())
    }

    /// Looks whether the source was written to since the run began: `consistency: frozen`.
    pub(super) async fn watch_source(&mut self) -> Result<Ordered, Failure> {
        self.held(ConsistencyHeld::Unverified).await?;
        let query = Query::WatchSource {
            migration_id: self.migration.id,
            tables: self.source_tables(),
            is_end: false,
        };
        let is_first = match self.ask(query, LONG).await? {
            QueryAnswer::Unwritten { is_first } => is_first,
            _ => return Err(misfit()),
        };
        let note =
            (!is_first).then(|| "the source was not written to since the run began".to_owned());
        Ok(Ordered {
            note,
            ..Ordered::default()
        })
    }

    /// `consistency: none`: what is read from now on is of another moment. Where everything is read, what
    /// held before is what holds, unless that was never verified.
    pub(super) async fn mix_moments(&self, is_read: bool) -> Result<(), Failure> {
        let before = ConsistencyHeld::stored(&self.migration.configuration);
        let is_kept = is_read && !matches!(before, None | Some(ConsistencyHeld::Unverified));
        match is_kept {
            true => Ok(()),
            false => self.held(ConsistencyHeld::None).await,
        }
    }

    pub(super) async fn hold_snapshot(&mut self) -> Result<(String, Ordered), Failure> {
        let tables = self.source_tables();
        let query = Query::HoldSnapshot {
            migration_id: self.migration.id,
            tables,
        };
        let (holder, held) = self.ask_for_snapshot(query).await?;
        self.crew.fleet().note_snapshot(holder, self.migration.id);
        self.snapshot = Some(held.snapshot_id.clone());
        match held.continuity {
            Continuity::First => self.held(ConsistencyHeld::Snapshot).await?,
            Continuity::Unchanged => self.held(ConsistencyHeld::RenewedSnapshot).await?,
            // As before.
            Continuity::Held | Continuity::Changed { .. } => {}
        }
        match held.continuity {
            Continuity::Held => Ok((
                held.snapshot_id,
                Ordered {
                    note: None,
                    is_new_snapshot: false,
                    snapshot_holder: Some(holder),
                },
            )),
            Continuity::First => Ok((
                held.snapshot_id,
                Ordered {
                    note: None,
                    is_new_snapshot: true,
                    snapshot_holder: Some(holder),
                },
            )),
            Continuity::Unchanged => {
                let note = "going on under a new snapshot: the source's tables show no write since the last one";
                Ok((
                    held.snapshot_id,
                    Ordered {
                        note: Some(note.to_owned()),
                        is_new_snapshot: false,
                        snapshot_holder: Some(holder),
                    },
                ))
            }
            Continuity::Changed { tables, reason } => {
                let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
                Err(Failure::new(
                    FailureKind::SnapshotLost,
                    format!(
                        "the snapshot is lost and cannot be continued for {}: {reason}",
                        names.join(", ")
                    ),
                ))
            }
        }
    }

    /// From whoever holds it already, else from anybody: a holder that lost it may not be the only one.
    async fn ask_for_snapshot(&self, query: Query) -> Result<(Uuid, HeldSnapshot), Failure> {
        let mut lost = None;
        for holder in self.crew.snapshot_holders() {
            match self.crew.ask_holder(holder, query.clone(), LONG).await {
                Ok(QueryAnswer::Snapshot(held)) => match held.continuity {
                    Continuity::Changed { .. } => lost = Some((holder, held)),
                    Continuity::First | Continuity::Held | Continuity::Unchanged => {
                        return Ok((holder, held));
                    }
                },
                Ok(_) => return Err(misfit()),
                Err(failure) => {
                    tracing::warn!(%holder, reason = %failure, "a snapshot's holder does not answer");
                }
            }
        }
        if let Some(lost) = lost {
            return Ok(lost);
        }
        match self.crew.ask_someone(query, LONG).await? {
            (holder, QueryAnswer::Snapshot(held)) => Ok((holder, held)),
            _ => Err(misfit()),
        }
    }

    /// Has one more agent hold the snapshot, where only one does and another is there, best in another
    /// region: what is returned does it.
    pub fn share_snapshot(&self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let snapshot_id = self.snapshot.clone()?;
        let holder = self.crew.further_snapshot_holder()?;
        let query = Query::ShareSnapshot {
            migration_id: self.migration.id,
            snapshot_id,
        };
        let (crew, migration_id) = (self.crew.clone(), self.migration.id);
        Some(async move {
            match crew.ask_holder(holder, query, SHORT).await {
                Ok(_) => crew.fleet().note_snapshot(holder, migration_id),
                Err(failure) => {
                    tracing::warn!(%holder, reason = %failure, "the snapshot is not shared yet");
                }
            }
        })
    }
}
