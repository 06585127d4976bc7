//! What operators can ask of a migration's schema.

use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::record::{
    EntityStatus, MigrationOrchestration, MigrationStatus, MigrationType, SchemaChangeOperation,
};
use proto::domain::schema_change::{Consent, Moment};
use proto::domain::state::Command;
use proto::lease::LeaseStore;
use tokio::sync::watch;

use super::due::{Standing, due};
use super::jobs::Ended;
use super::plan::{Drafted, draft, draft_plan};
use super::{SchemaWork, apply, undo_all};
use crate::commands::CommandError;
use crate::crew::Crew;
use crate::fleet::misfit;
use crate::manager::Realm;
use crate::placement::Demand;
use crate::store::{CommandCall, Store, Target};

/// How long a call waits for work that may be short.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A command about schema changes.
pub struct SchemaAsked {
    /// Its number, verb, hash and asker.
    pub call: CommandCall,
    /// The migration's etag as last seen.
    pub etag: Option<String>,
    /// What was agreed to.
    pub consent: Consent,
}

/// Where a migration's schema changes stand.
#[derive(Debug, Clone)]
pub struct SchemaState {
    /// Every operation by position.
    pub operations: Vec<SchemaChangeOperation>,
    /// They are being worked on.
    pub is_working: bool,
    /// Why the last work ended early.
    pub failure: Option<Failure>,
}

impl<L: LeaseStore> Realm<L> {
    /// What a migration's changes come to.
    pub async fn plan_schema(&self, wanted: &str) -> Result<Vec<Drafted>, CommandError> {
        let work = self.schema_work(self.find(wanted).await?).await?;
        Ok(draft(&work).await?)
    }

    /// What the changes of a plan come to.
    pub async fn plan_schema_of(
        &self,
        text: &str,
        regions: std::collections::BTreeSet<String>,
    ) -> Result<Vec<Drafted>, CommandError> {
        let plan = proto::domain::plan::parse(text)?;
        let crew = self.crew_of(&plan, regions);
        Ok(draft_plan(&crew, &plan).await?)
    }

    /// Where the changes stand: from the journals, or as they were last known.
    pub async fn schema_state(&self, wanted: &str) -> Result<SchemaState, CommandError> {
        let migration = self.find(wanted).await?;
        let id = migration.id;
        let work = self.schema_work(migration).await?;
        let operations = match work.sync().await {
            Ok(operations) => operations,
            Err(failure) if failure.is_passing() => self.store.schema_changes(id).await?,
            Err(failure) => return Err(failure.into()),
        };
        let last = self.schema.last(id);
        Ok(SchemaState {
            operations,
            is_working: matches!(last, Some(None)),
            failure: last.flatten().and_then(Result::err),
        })
    }

    /// Makes what is due, behind the call where it takes long.
    pub async fn apply_schema(
        &self,
        wanted: &str,
        asked: SchemaAsked,
    ) -> Result<SchemaState, CommandError> {
        let migration = self.find(wanted).await?;
        if self.is_first(&migration, &asked).await? {
            let work = self.schema_work(migration.clone()).await?;
            let moments = due_moments(&work).await?;
            let consent = asked.consent;
            let ended = self.schema.begin(migration.id, async move {
                locked(&work, apply(&work, &moments, &consent)).await
            })?;
            answer(ended).await?;
        }
        self.schema_state(wanted).await
    }

    /// Takes everything back, behind the call where it takes long.
    pub async fn rollback_schema(
        &self,
        wanted: &str,
        asked: SchemaAsked,
    ) -> Result<SchemaState, CommandError> {
        let migration = self.find(wanted).await?;
        if self.is_first(&migration, &asked).await? {
            let work = self.schema_work(migration.clone()).await?;
            due_moments(&work).await?;
            let ended = self.schema.begin(migration.id, async move {
                locked(&work, roll_back(&work)).await
            })?;
            answer(ended).await?;
        }
        self.schema_state(wanted).await
    }

    async fn schema_work(
        &self,
        migration: MigrationOrchestration,
    ) -> Result<SchemaWork, CommandError> {
        let demand = Demand::stored(&migration.configuration).ok_or_else(misfit)?;
        let crew = Crew::new(self.fleet.clone(), Some(migration.id), demand);
        require(&crew, &migration)?;
        crew.vet().await;
        Ok(SchemaWork::stored(crew, self.store.clone(), migration).await?)
    }

    async fn is_first(
        &self,
        migration: &MigrationOrchestration,
        asked: &SchemaAsked,
    ) -> Result<bool, CommandError> {
        let target = Target {
            migration_id: migration.id,
            etag: asked.etag.clone(),
        };
        Ok(self.store.note_once(&asked.call, &target).await?)
    }
}

/// Only agents whose connections lead where the migration was created.
fn require(crew: &Crew, migration: &MigrationOrchestration) -> Result<(), Failure> {
    let identity = |stored: &Option<serde_json::Value>| {
        serde_json::from_value(stored.clone().unwrap_or_default()).map_err(|_| {
            Failure::new(
                FailureKind::Internal,
                "the migration's stored identities cannot be read",
            )
        })
    };
    crew.require(
        identity(&migration.source_identity)?,
        identity(&migration.destination_identity)?,
    );
    Ok(())
}

/// Waits for work that may be short; its failure, where it failed by then.
async fn answer(mut ended: watch::Receiver<Ended>) -> Result<(), Failure> {
    let wait = ended.wait_for(Option::is_some);
    match tokio::time::timeout(ANSWER_WITHIN, wait).await {
        Ok(Ok(outcome)) => outcome.clone().unwrap_or(Ok(())),
        Ok(Err(_)) => Err(Failure::new(
            FailureKind::Internal,
            "the work on the schema ended by itself",
        )),
        Err(_) => Ok(()),
    }
}

/// Works while nobody runs the migration.
pub(super) async fn locked(
    work: &SchemaWork,
    what: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let lock = work.store.lock_migration(&work.migration.name).await;
    let lock = lock.map_err(|error| error.failure())?;
    let outcome = what.await;
    // It ends with its session, if not before.
    let _ = lock.release().await;
    outcome
}

/// The moments whose changes may be made now.
pub(super) async fn due_moments(work: &SchemaWork) -> Result<Vec<Moment>, Failure> {
    let migration = &work.migration;
    let failed = |error: crate::store::StoreError| error.failure();
    let entities = work.store.entities(migration.id).await.map_err(failed)?;
    let partitions = work.store.partitions(migration.id).await.map_err(failed)?;
    let is_settled = entities
        .iter()
        .all(|one| matches!(one.status, EntityStatus::Completed | EntityStatus::Skipped));
    let is_restored = match migration.status == MigrationStatus::Running && is_settled {
        true => work
            .journal()
            .await?
            .loaded
            .iter()
            .all(|one| one.is_restored),
        false => true,
    };
    let standing = Standing {
        status: migration.status,
        activity: migration.activity,
        is_cleanup: migration.migration_type == MigrationType::SchemaCleanup,
        has_begun: !partitions.is_empty(),
        is_loaded: is_settled && is_restored,
    };
    due(standing).map_err(|why| {
        Failure::new(
            FailureKind::AlreadyRunning,
            format!(
                "schema changes of {} cannot be made now: {why}",
                migration.name
            ),
        )
    })
}

/// Takes everything back. A migration that has schema changes alone is pending again then.
pub(super) async fn roll_back(work: &SchemaWork) -> Result<(), Failure> {
    let is_over = work.migration.migration_type == MigrationType::SchemaCleanup
        && work.migration.status == MigrationStatus::Completed;
    if is_over {
        command(&work.store, work, Command::Rollback).await?;
    }
    let undone = undo_all(work, &Moment::ALL).await;
    if is_over {
        let next = match &undone {
            Ok(()) => Command::RollbackDone,
            Err(failure) => Command::Block {
                reason: failure.message.clone(),
                hint: proto::domain::failure::policy(failure.kind).1.to_owned(),
            },
        };
        command(&work.store, work, next).await?;
    }
    undone
}

async fn command(store: &Store, work: &SchemaWork, what: Command) -> Result<(), Failure> {
    let done = store.command(work.migration.id, &what).await;
    done.map(drop).map_err(|error| error.failure())
}
