//! Rolling back: the command, once; what is stored while it goes on.

use proto::domain::record::{Activity, MigrationOrchestration, MigrationStatus};
use proto::domain::state::Command;
use proto::domain::undo::{UndoReport, UndoScope};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Store;
use super::commands::{Target, check_etag, earlier, keep, read_answer};
use super::error::StoreError;
use super::migration;
use super::query::command::CommandCall;
use super::query::{migration_orchestration, rollback};
use super::transact::transact;

impl Store {
    /// Asks for a rollback, once. One that is under way takes over what becomes of conflicts, and goes on.
    ///
    /// # Errors
    /// `EtagMismatch`; `Illegal` where the state does not allow it; `RequestIdReused`; `Deposed`.
    pub async fn rollback_once(
        &self,
        call: &CommandCall,
        target: &Target,
        scope: &UndoScope,
    ) -> Result<MigrationOrchestration, StoreError> {
        transact!(self => "roll a migration back", |conn| {
            if let Some(answer) = earlier(conn, call).await? {
                return read_answer(answer);
            }
            check_etag(conn, target).await?;
            let after = begin(conn, target.migration_id, scope).await?;
            keep(conn, call, &after).await?;
            Ok(after)
        })
    }

    /// As [`Store::rollback_once`], by the one process that works on the migration.
    pub async fn rollback(
        &self,
        migration_id: Uuid,
        scope: &UndoScope,
    ) -> Result<MigrationOrchestration, StoreError> {
        transact!(self => "roll a migration back", |conn| {
            begin(conn, migration_id, scope).await
        })
    }

    /// What the rollback of a migration takes back.
    pub async fn rollback_scope(&self, migration_id: Uuid) -> Result<UndoScope, StoreError> {
        transact!(&self.pool, "read what is rolled back", |conn| {
            Ok(rollback::scope(conn, migration_id).await?)
        })
    }

    /// Stores what a rollback came to.
    pub async fn set_rollback_report(
        &self,
        migration_id: Uuid,
        report: &UndoReport,
    ) -> Result<(), StoreError> {
        transact!(self => "store what a rollback came to", |conn| {
            Ok(rollback::set_report(conn, migration_id, report).await?)
        })
    }

    /// What the last rollback came to.
    pub async fn rollback_report(
        &self,
        migration_id: Uuid,
    ) -> Result<Option<UndoReport>, StoreError> {
        transact!(&self.pool, "read what a rollback came to", |conn| {
            Ok(rollback::report(conn, migration_id).await?)
        })
    }

    /// Says how far a rollback is.
    pub async fn note_rollback(&self, migration_id: Uuid, words: &str) -> Result<(), StoreError> {
        transact!(self => "note how far a rollback is", |conn| {
            Ok(rollback::note(conn, migration_id, words).await?)
        })
    }
}

async fn begin(
    conn: &mut PgConnection,
    id: Uuid,
    scope: &UndoScope,
) -> Result<MigrationOrchestration, StoreError> {
    let before = migration_orchestration::lock(conn, id)
        .await?
        .ok_or(StoreError::NoMigration { id })?;
    if before.status != MigrationStatus::RollingBack {
        rollback::set_scope(conn, id, scope).await?;
        return migration::command(conn, id, &Command::Rollback).await;
    }
    let mut known = rollback::scope(conn, id).await?;
    known.conflicts = scope.conflicts.or(known.conflicts);
    rollback::set_scope(conn, id, &known).await?;
    match before.activity {
        Some(Activity::Paused | Activity::Blocked) => {
            migration::command(conn, id, &Command::Resume).await
        }
        Some(Activity::Running | Activity::Pausing) | None => {
            migration::command(conn, id, &Command::Rollback).await
        }
    }
}
