//! What operators can ask about taking rows back: a rollback, what it would do, and an end of Drover's own schema.

use std::collections::BTreeSet;

use proto::domain::failure::Failure;
use proto::domain::frame::{Connections, Query, QueryAnswer};
use proto::domain::record::{MigrationOrchestration, MigrationStatus};
use proto::domain::state::{self, Command, State};
use proto::domain::undo::{ConflictPolicy, UndoEffect, UndoScope};
use proto::lease::LeaseStore;

use crate::commands::CommandError;
use crate::crew::Crew;
use crate::fleet::misfit;
use crate::manager::Realm;
use crate::placement::Demand;
use crate::prepare::SHORT;
use crate::store::{CommandCall, StoreError, Target};
use crate::tend;
use crate::undo::ask::effects;
use crate::undo::schedule::closure;

/// Migrations that are read at a time.
const PAGE: i64 = 500;

/// A rollback as it is asked for.
#[derive(Debug, Clone)]
pub struct Rollback {
    /// Name, id or beginning of the id.
    pub name: String,
    /// These and all that depend on them; empty: all.
    pub entities: Vec<String>,
    /// What becomes of conflicts.
    pub conflicts: Option<ConflictPolicy>,
    /// The migration's etag as last seen.
    pub etag: Option<String>,
    /// The migration's name once more.
    pub confirm: String,
}

impl<L: LeaseStore> Realm<L> {
    /// Begins a rollback; the entities that are taken back, children first.
    pub async fn rollback(
        &self,
        call: &CommandCall,
        wanted: Rollback,
    ) -> Result<(MigrationOrchestration, Vec<String>), CommandError> {
        let migration = self.find(&wanted.name).await?;
        must_be(&wanted.confirm, &migration.name)?;
        let job = self.job(&migration).await?;
        let mut entities = entities_of(&job.compiled, &wanted.entities)?;
        let scope = UndoScope {
            entities: match wanted.entities.is_empty() {
                true => Vec::new(),
                false => entities.clone(),
            },
            conflicts: wanted.conflicts,
        };
        let target = Target {
            migration_id: migration.id,
            etag: wanted.etag,
        };
        let after = self.store.rollback_once(call, &target, &scope).await?;
        self.poke.notify_one();
        entities.reverse();
        Ok((after, entities))
    }

    /// What a rollback would do; refused where a rollback would be.
    pub async fn rollback_effects(
        &self,
        wanted: Rollback,
    ) -> Result<(MigrationOrchestration, Vec<UndoEffect>), CommandError> {
        let migration = self.find(&wanted.name).await?;
        may_roll_back(&migration)?;
        let job = self.job(&migration).await?;
        job.crew.vet().await;
        let entities = match migration.status {
            MigrationStatus::RollingBack => self.store.rollback_scope(migration.id).await?.entities,
            _ => wanted.entities,
        };
        let entities = entities_of(&job.compiled, &entities)?;
        let effects = effects(&job, &entities, wanted.conflicts).await?;
        Ok((migration, effects))
    }

    /// Removes everything of Drover's from a destination that no migration needs any more.
    pub async fn uninstall(&self, connection: &str, confirm: &str) -> Result<(), CommandError> {
        must_be(confirm, connection)?;
        let needed_by = self.needed_by(connection).await?;
        if !needed_by.is_empty() {
            return Err(CommandError::StillNeeded { needed_by });
        }
        let demand = Demand {
            connections: Connections {
                source: connection.to_owned(),
                destination: connection.to_owned(),
            },
            regions: BTreeSet::new(),
        };
        let crew = Crew::new(self.fleet.clone(), None, demand);
        match crew.ask(Query::Uninstall, SHORT).await? {
            QueryAnswer::Uninstalled { needed_by } if needed_by.is_empty() => Ok(()),
            QueryAnswer::Uninstalled { needed_by } => Err(CommandError::StillNeeded { needed_by }),
            _ => Err(misfit().into()),
        }
    }

    /// Migrations that write to a destination and are not finalized.
    async fn needed_by(&self, connection: &str) -> Result<Vec<String>, CommandError> {
        let mut needed = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.list_migrations(PAGE, after).await?;
            after = page.last().map(|migration| migration.id);
            let is_last = i64::try_from(page.len()).is_ok_and(|count| count < PAGE);
            needed.extend(still_need(page, connection));
            if is_last {
                return Ok(needed);
            }
        }
    }

    async fn job(
        &self,
        migration: &MigrationOrchestration,
    ) -> Result<crate::prepare::Job, Failure> {
        let crew = tend::crew(self, migration)?;
        let compiled = tend::compiled(self, migration, &crew).await?;
        Ok(crate::prepare::Job {
            crew,
            store: self.store.clone(),
            compiled,
            run_now: migration.created_at,
            migration: migration.clone(),
            snapshot: None,
            rounds: Default::default(),
        })
    }
}

/// Names of those that write to a destination and may be undone still.
pub fn still_need(
    migrations: Vec<MigrationOrchestration>,
    connection: &str,
) -> impl Iterator<Item = String> {
    let writes = move |migration: &MigrationOrchestration| {
        Demand::stored(&migration.configuration)
            .is_some_and(|demand| demand.connections.destination == connection)
    };
    migrations
        .into_iter()
        .filter(move |migration| migration.finalized_at.is_none() && writes(migration))
        .map(|migration| migration.name)
}

/// The entities that a rollback takes back, in the plan's order.
pub fn entities_of(
    compiled: &proto::domain::compiled::CompiledPlan,
    named: &[String],
) -> Result<Vec<String>, CommandError> {
    closure(compiled, named).map_err(|entity| CommandError::NoEntity { entity })
}

fn must_be(given: &str, wanted: &str) -> Result<(), CommandError> {
    match given == wanted {
        true => Ok(()),
        false => Err(CommandError::NotConfirmed {
            given: given.to_owned(),
            wanted: wanted.to_owned(),
        }),
    }
}

/// Whether its state allows a rollback; one that is rolling back can always be looked at.
pub fn may_roll_back(migration: &MigrationOrchestration) -> Result<(), StoreError> {
    if migration.status == MigrationStatus::RollingBack {
        return Ok(());
    }
    let state = State {
        status: migration.status,
        activity: migration.activity,
        is_finalized: migration.finalized_at.is_some(),
    };
    state::next(state, &Command::Rollback)?;
    Ok(())
}
