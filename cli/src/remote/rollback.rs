//! Rollbacks: asked for, or only looked at.

use proto::domain::record::MigrationOrchestration;
use proto::domain::undo::{ConflictKind, ConflictPolicy, UndoConflict, UndoEffect};
use proto::pb;

use super::migration::client;
use super::{Remote, record};
use crate::stop::Stop;

/// A rollback as it is asked for.
#[derive(Debug, Clone, Default)]
pub struct Rollback {
    /// Name, id or beginning of the id.
    pub name: String,
    /// The migration's etag as last seen; empty: whatever it is.
    pub etag: String,
    /// These and all that depend on them; empty: all.
    pub entities: Vec<String>,
    /// What becomes of conflicts.
    pub conflicts: Option<ConflictPolicy>,
    /// The migration's name once more.
    pub confirm: String,
}

impl Remote {
    /// Begins a rollback; the migration, and the entities that are taken back.
    pub async fn rollback(
        &self,
        wanted: Rollback,
    ) -> Result<(MigrationOrchestration, Vec<String>), Stop> {
        let answer = self.send_rollback(wanted, false).await?;
        Ok((record(answer.migration)?, answer.entities))
    }

    /// What a rollback would do.
    pub async fn rollback_effects(&self, wanted: Rollback) -> Result<Vec<UndoEffect>, Stop> {
        let answer = self.send_rollback(wanted, true).await?;
        Ok(answer.effects.into_iter().map(effect).collect())
    }

    async fn send_rollback(
        &self,
        wanted: Rollback,
        dry_run: bool,
    ) -> Result<pb::RollbackMigrationResponse, Stop> {
        let conflicts = match wanted.conflicts {
            None => pb::ConflictPolicy::Unspecified,
            Some(ConflictPolicy::Keep) => pb::ConflictPolicy::Keep,
            Some(ConflictPolicy::Force) => pb::ConflictPolicy::Force,
        };
        let request = pb::RollbackMigrationRequest {
            name: wanted.name,
            request_id: self.request_id(),
            etag: wanted.etag,
            entities: wanted.entities,
            dry_run,
            conflicts: conflicts.into(),
            confirm: wanted.confirm,
        };
        self.connection
            .call(
                "RollbackMigration",
                request,
                |channel, request| async move { client(channel).rollback_migration(request).await },
            )
            .await
    }

    /// Removes what is Drover's own from a destination.
    pub async fn uninstall(&self, connection: String, confirm: String) -> Result<(), Stop> {
        let request = pb::UninstallDestinationRequest {
            connection,
            request_id: self.request_id(),
            confirm,
        };
        self.connection
            .call("UninstallDestination", request, |channel, request| async move {
                client(channel).uninstall_destination(request).await
            })
            .await
            .map(|_| ())
    }
}

fn effect(message: pb::RollbackEffect) -> UndoEffect {
    UndoEffect {
        entity: message.entity,
        table: message.target_entity,
        batches: message.batches,
        rows_to_delete: message.rows_to_delete,
        rows_to_restore: message.rows_to_restore,
        rows_gone: message.rows_gone,
        conflicts: message.conflicts.into_iter().map(conflict).collect(),
        constraints: message.constraints,
        sequences: message.sequences,
    }
}

fn conflict(message: pb::RollbackConflict) -> UndoConflict {
    let given = |text: String| (!text.is_empty()).then_some(text);
    UndoConflict {
        entity: message.entity,
        table: message.target_entity,
        kind: match message.kind.as_str() {
            "referred" => ConflictKind::Referred,
            _ => ConflictKind::Changed,
        },
        constraint: given(message.constraint),
        referrer: given(message.referrer),
        count: message.count,
        keys: message.keys,
    }
}
