//! Commands of operators: each is done once, however often it is asked, and only to the migration that the
//! operator has seen.

use std::collections::BTreeSet;

use proto::domain::record::MigrationOrchestration;
use proto::domain::state::Command;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Store;
use super::error::StoreError;
use super::migration::{self, NewMigration, PlanRows};
use super::query::command::{self, CommandCall, Earlier};
use super::query::migration_orchestration;
use super::transact::transact;

/// The migration that a command is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The migration.
    pub migration_id: Uuid,
    /// Its etag as the operator has seen it; none: whatever it is.
    pub etag: Option<String>,
}

impl Store {
    /// As [`Store::create_migration`], once.
    ///
    /// # Errors
    /// `NameTaken`; `RequestIdReused`; `Deposed`.
    pub async fn create_once(
        &self,
        call: &CommandCall,
        new: &NewMigration,
    ) -> Result<MigrationOrchestration, StoreError> {
        transact!(self => "create a migration", |conn| {
            if let Some(answer) = earlier(conn, call).await? {
                return read_answer(answer);
            }
            let created = migration::create(conn, new).await?;
            keep(conn, call, &created).await?;
            Ok(created)
        })
    }

    /// Applies a command to a migration's state, with an edited plan where there is one, once.
    ///
    /// # Errors
    /// `EtagMismatch`; `Illegal` where the state does not allow it; `PlanChanged`; `RequestIdReused`;
    /// `Deposed`.
    pub async fn command_once(
        &self,
        call: &CommandCall,
        target: &Target,
        what: &Command,
        plan: Option<&PlanRows>,
    ) -> Result<MigrationOrchestration, StoreError> {
        transact!(self => "command a migration", |conn| {
            if let Some(answer) = earlier(conn, call).await? {
                return read_answer(answer);
            }
            check_etag(conn, target).await?;
            if let Some(rows) = plan {
                migration::update_plan(conn, target.migration_id, rows).await?;
            }
            let after = migration::command(conn, target.migration_id, what).await?;
            keep(conn, call, &after).await?;
            Ok(after)
        })
    }

    /// Asks for a pause or a cancel, once: what is under way may take so many seconds to be given back before it
    /// is sealed.
    ///
    /// # Errors
    /// As [`Store::command_once`].
    pub async fn stop_once(
        &self,
        call: &CommandCall,
        target: &Target,
        (what, drain_seconds): (&Command, Option<i32>),
    ) -> Result<MigrationOrchestration, StoreError> {
        transact!(self => "stop a migration", |conn| {
            if let Some(answer) = earlier(conn, call).await? {
                return read_answer(answer);
            }
            check_etag(conn, target).await?;
            migration_orchestration::set_drain(conn, target.migration_id, drain_seconds).await?;
            let after = migration::command(conn, target.migration_id, what).await?;
            keep(conn, call, &after).await?;
            Ok(after)
        })
    }

    /// Hides a migration that is not under way, once; its name is free again.
    ///
    /// # Errors
    /// `EtagMismatch`; `UnderWay`; `RequestIdReused`; `Deposed`.
    pub async fn delete_once(&self, call: &CommandCall, target: &Target) -> Result<(), StoreError> {
        transact!(self => "delete a migration", |conn| {
            if earlier(conn, call).await?.is_some() {
                return Ok(());
            }
            check_etag(conn, target).await?;
            if !migration_orchestration::delete(conn, target.migration_id).await? {
                return Err(StoreError::UnderWay { id: target.migration_id });
            }
            command::insert(conn, call, Some(target.migration_id), &json!({})).await?;
            Ok(())
        })
    }

    /// Notes that something is asked of a migration beside its state; false where the very same was asked
    /// before.
    ///
    /// # Errors
    /// `EtagMismatch`; `RequestIdReused`; `Deposed`.
    pub async fn note_once(&self, call: &CommandCall, target: &Target) -> Result<bool, StoreError> {
        transact!(self => "note a command", |conn| {
            if earlier(conn, call).await?.is_some() {
                return Ok(false);
            }
            check_etag(conn, target).await?;
            command::insert(conn, call, Some(target.migration_id), &json!({})).await?;
            Ok(true)
        })
    }

    /// Whether exactly this was asked and done before.
    ///
    /// # Errors
    /// `RequestIdReused`.
    pub async fn was_done(&self, call: &CommandCall) -> Result<bool, StoreError> {
        transact!(self => "look for an earlier request", |conn| {
            Ok(earlier(conn, call).await?.is_some())
        })
    }

    /// Migrations that somebody has to look after, oldest first.
    pub async fn active_migrations(&self) -> Result<Vec<MigrationOrchestration>, StoreError> {
        transact!(&self.pool, "list active migrations", |conn| {
            Ok(migration_orchestration::list_active(conn).await?)
        })
    }

    /// Migrations that may go on, also those that are paused or blocked.
    pub async fn under_way(&self) -> Result<BTreeSet<Uuid>, StoreError> {
        transact!(&self.pool, "list migrations under way", |conn| {
            let ids = migration_orchestration::list_under_way(conn).await?;
            Ok(ids.into_iter().collect())
        })
    }
}

pub(super) async fn earlier(
    conn: &mut PgConnection,
    call: &CommandCall,
) -> Result<Option<Value>, StoreError> {
    match command::find(conn, call).await? {
        None => Ok(None),
        Some(Earlier::Same(answer)) => Ok(Some(answer)),
        Some(Earlier::Other) => Err(StoreError::RequestIdReused),
    }
}

pub(super) fn read_answer(answer: Value) -> Result<MigrationOrchestration, StoreError> {
    serde_json::from_value(answer).map_err(|_| StoreError::RequestIdReused)
}

pub(super) async fn keep(
    conn: &mut PgConnection,
    call: &CommandCall,
    after: &MigrationOrchestration,
) -> Result<(), StoreError> {
    let answer = serde_json::to_value(after).expect("invariant: a record is JSON");
    Ok(command::insert(conn, call, Some(after.id), &answer).await?)
}

/// The migration, locked, where it is as the operator has seen it.
pub(super) async fn check_etag(
    conn: &mut PgConnection,
    target: &Target,
) -> Result<MigrationOrchestration, StoreError> {
    let id = target.migration_id;
    let now = migration_orchestration::lock(conn, id)
        .await?
        .ok_or(StoreError::NoMigration { id })?;
    match &target.etag {
        Some(etag) if *etag != now.etag() => Err(StoreError::EtagMismatch { etag: now.etag() }),
        Some(_) | None => Ok(now),
    }
}
