//! What operators can ask of migrations: each is checked, stored once, and left to the manager.
//!
//! A command writes what is wished, pokes, and answers with what is stored; what is observed follows in the
//! migration's record.

use std::collections::BTreeSet;
use std::time::Duration;

use proto::domain::compiled::CompiledPlan;
use proto::domain::failure::Failure;
use proto::domain::frame::{DatabaseIdentity, DestinationState};
use proto::domain::plan::{self, Plan, Problems};
use proto::domain::preflight::Preflight;
use proto::domain::record::{EntityMigrationStatus, MigrationOrchestration, MigrationStatus};
use proto::domain::state::Command;
use proto::lease::LeaseStore;
use tracing::{Instrument, info_span};
use uuid::Uuid;

use crate::app::{check_known, type_of};
use crate::crew::Crew;
use crate::entity_command::EntityCommand;
use crate::manager::Realm;
use crate::placement::Demand;
use crate::plan::{PlanError, compile_plan, connections, plan_rows};
use crate::preflight::{self, look_at_lease, refuse_start};
use crate::prepare::{check_start, identify, read_state};
use crate::store::{
    CommandCall, ErrorFilter, Found, NewMigration, PlanRows, Retry, Store, StoreError, Target,
};

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The plan is wrong.
    #[error(transparent)]
    Plan(#[from] Problems),
    /// No migration of that name or id.
    #[error("there is no migration {wanted:?}")]
    NoMigration {
        /// What was asked for.
        wanted: String,
    },
    /// Several migrations have an id that begins so.
    #[error("{wanted:?} means more than one migration")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Their ids and names.
        candidates: Vec<(Uuid, String)>,
    },
    /// The name was not given once more.
    #[error("{given:?} is not {wanted:?}: nothing was done")]
    NotConfirmed {
        /// What was given.
        given: String,
        /// What it should be.
        wanted: String,
    },
    /// The plan has no such entity.
    #[error("the plan has no entity {entity:?}")]
    NoEntity {
        /// What was asked for.
        entity: String,
    },
    /// Migrations still need what was to be removed.
    #[error("{} still need the drover schema there: finalize or delete them first", .needed_by.join(", "))]
    StillNeeded {
        /// Their names.
        needed_by: Vec<String>,
    },
    /// No error, or more than one, of a migration has an id that begins so.
    #[error("{count} errors have an id that begins with {wanted:?}")]
    NoError {
        /// What was asked for.
        wanted: String,
        /// How many there are.
        count: usize,
    },
    /// The metadata refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something else failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Invalid(problems) => Self::Plan(problems),
            PlanError::Failed(failure) => Self::Failed(failure),
        }
    }
}

/// A plan that was compiled against both databases.
pub struct Checked {
    /// What came of it.
    pub compiled: CompiledPlan,
    /// The source behind its connection.
    pub source: DatabaseIdentity,
    /// The destination behind its connection.
    pub destination: DatabaseIdentity,
    /// What the destination knows of a migration of its name.
    pub state: Option<DestinationState>,
    rows: PlanRows,
}

/// What may be said about a command beside the migration.
pub struct Asked {
    /// Its number, verb, hash and asker.
    pub call: CommandCall,
    /// The migration's etag as last seen.
    pub etag: Option<String>,
    /// The edited plan.
    pub plan: Option<String>,
}

impl<L: LeaseStore> Realm<L> {
    /// Compiles a plan; stores nothing.
    pub async fn check_plan(
        &self,
        text: &str,
        regions: BTreeSet<String>,
    ) -> Result<Checked, CommandError> {
        let plan = plan::parse(text)?;
        let crew = self.crew_of(&plan, regions.clone());
        let (source, destination) = identify(&crew).await?;
        let compiled = compile_plan(&crew, &plan)
            .instrument(info_span!("plan"))
            .await?;
        let state = read_state(&crew, &compiled.name).await?;
        if let Some(state) = &state {
            check_start(state, &compiled, &source, &destination)?;
        }
        let mut rows = plan_rows(text, &compiled)?;
        rows.configuration["regions"] = regions.into_iter().collect();
        Ok(Checked {
            compiled,
            source,
            destination,
            state,
            rows,
        })
    }

    /// Everything that can be known before a plan is run; stores nothing.
    pub async fn preflight(
        &self,
        text: &str,
        regions: BTreeSet<String>,
        asked: &preflight::Asked,
    ) -> Result<(CompiledPlan, Preflight), CommandError> {
        let plan = plan::parse(text)?;
        let crew = self.crew_of(&plan, regions);
        let lease = look_at_lease(&*self.lease).await;
        Ok(preflight::preflight(&crew, &plan, &lease, asked).await?)
    }

    /// Looks at the databases of a migration that was never started, as far as a question to one agent goes.
    async fn look_before_start(
        &self,
        migration: &MigrationOrchestration,
    ) -> Result<(), CommandError> {
        if migration.status != MigrationStatus::Pending {
            return Ok(());
        }
        let stored = self.store.plan(migration.id).await?;
        let Some((stored, compiled)) = stored.and_then(|mut stored| {
            let compiled = stored.compiled.take()?;
            Some((stored, compiled))
        }) else {
            return Ok(());
        };
        let plan = plan::parse(&stored.document)?;
        let regions = Demand::stored(&migration.configuration)
            .map(|demand| demand.regions)
            .unwrap_or_default();
        Ok(refuse_start(&self.crew_of(&plan, regions), &compiled).await?)
    }

    /// Stores a checked plan as a new migration, pending; one that the destination knows keeps its id.
    pub async fn create(
        &self,
        call: &CommandCall,
        checked: Checked,
    ) -> Result<MigrationOrchestration, CommandError> {
        let state = checked.state.as_ref();
        let new = NewMigration {
            id: state.map_or_else(Uuid::now_v7, |state| state.migration_id),
            attempt: state.map_or(1, |state| state.attempt),
            migration_type: type_of(&checked.compiled),
            created_by: call.actor.clone(),
            source_identity: checked.source,
            destination_identity: checked.destination,
            rows_estimate: 0,
            plan: checked.rows,
        };
        Ok(self.store.create_once(call, &new).await?)
    }

    /// Starts or resumes a migration, with an edited plan where there is one.
    pub async fn go_on(
        &self,
        wanted: &str,
        command: Command,
        asked: Asked,
    ) -> Result<MigrationOrchestration, CommandError> {
        let migration = self.find(wanted).await?;
        let plan = match &asked.plan {
            Some(text) => Some(self.edited(&migration, text).await?),
            None => {
                if command == Command::Start {
                    self.look_before_start(&migration).await?;
                }
                None
            }
        };
        let target = Target {
            migration_id: migration.id,
            etag: asked.etag,
        };
        let after = self
            .store
            .command_once(&asked.call, &target, &command, plan.as_ref())
            .await?;
        self.poke.notify_one();
        Ok(after)
    }

    /// Asks for a pause or a cancel: what is under way may take so long to be given back before it is sealed.
    pub async fn stop(
        &self,
        wanted: &str,
        (command, within): (Command, Option<Duration>),
        asked: Asked,
    ) -> Result<MigrationOrchestration, CommandError> {
        let target = self.target(wanted, asked.etag).await?;
        let seconds = within.map(|within| within.as_millis().div_ceil(1000));
        let seconds = seconds.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX));
        let after = self
            .store
            .stop_once(&asked.call, &target, (&command, seconds))
            .await?;
        self.poke.notify_one();
        Ok(after)
    }

    /// Rules a rollback out.
    pub async fn finalize(
        &self,
        wanted: &str,
        asked: Asked,
    ) -> Result<MigrationOrchestration, CommandError> {
        self.go_on(wanted, Command::Finalize, asked).await
    }

    /// Changes settings, of one entity or of all.
    pub async fn set(
        &self,
        wanted: &str,
        (entity, changes): (Option<&str>, &[(String, String)]),
        asked: Asked,
    ) -> Result<MigrationOrchestration, CommandError> {
        let target = self.target(wanted, asked.etag).await?;
        let after = self
            .store
            .set_once(&asked.call, &target, (entity, changes))
            .await?;
        self.poke.notify_one();
        Ok(after)
    }

    /// Wishes something of one entity.
    pub async fn command_entity(
        &self,
        wanted: &str,
        (entity, command, reason): (&str, EntityCommand, Option<&str>),
        asked: Asked,
    ) -> Result<EntityMigrationStatus, CommandError> {
        let target = self.target(wanted, asked.etag).await?;
        let after = self
            .store
            .entity_once(&asked.call, &target, (entity, command, reason))
            .await?;
        self.poke.notify_one();
        Ok(after)
    }

    /// Has rows tried again that failed.
    pub async fn retry_errors(
        &self,
        wanted: &str,
        filter: &ErrorFilter,
        asked: Asked,
    ) -> Result<Vec<Retry>, CommandError> {
        let target = self.target(wanted, asked.etag).await?;
        let made = self.store.retry_once(&asked.call, &target, filter).await?;
        self.poke.notify_one();
        Ok(made)
    }

    /// Marks errors as resolved by a decision.
    pub async fn skip_errors(
        &self,
        wanted: &str,
        (filter, reason): (&ErrorFilter, &str),
        asked: Asked,
    ) -> Result<u64, CommandError> {
        let target = self.target(wanted, asked.etag).await?;
        let skipped = self
            .store
            .skip_errors_once(&asked.call, &target, (filter, reason))
            .await?;
        Ok(skipped)
    }

    /// Ids of errors by what they begin with.
    ///
    /// # Errors
    /// `NoError` where none does, or several do.
    pub async fn error_ids(
        &self,
        migration_id: Uuid,
        wanted: &[String],
    ) -> Result<Option<Vec<Uuid>>, CommandError> {
        error_ids(&self.store, migration_id, wanted).await
    }

    async fn target(&self, wanted: &str, etag: Option<String>) -> Result<Target, CommandError> {
        let migration_id = self.find(wanted).await?.id;
        Ok(Target { migration_id, etag })
    }

    /// Forgets a migration that is not under way, in the metadata first.
    pub async fn delete(&self, wanted: &str, asked: Asked) -> Result<(), CommandError> {
        // A repeated request finds nothing by name any more, and is answered by its number.
        if self.store.was_done(&asked.call).await? {
            return Ok(());
        }
        let migration = self.find(wanted).await?;
        let target = Target {
            migration_id: migration.id,
            etag: asked.etag,
        };
        self.store.delete_once(&asked.call, &target).await?;
        // What stays in the lease store names nothing that exists.
        let _ = self.lease.forget(&self.leadership, migration.id).await;
        self.fleet.forget(migration.id);
        self.poke.notify_one();
        Ok(())
    }

    /// The migration that a name, an id or the beginning of an id means.
    pub async fn find(&self, wanted: &str) -> Result<MigrationOrchestration, CommandError> {
        find(&self.store, wanted).await
    }

    /// The agents that can work on a plan that is no migration yet.
    pub fn crew_of(&self, plan: &Plan, regions: BTreeSet<String>) -> Crew {
        let demand = Demand {
            connections: connections(plan),
            regions,
        };
        Crew::new(self.fleet.clone(), None, demand)
    }

    async fn edited(
        &self,
        migration: &MigrationOrchestration,
        text: &str,
    ) -> Result<PlanRows, CommandError> {
        let regions = Demand::stored(&migration.configuration)
            .map(|demand| demand.regions)
            .unwrap_or_default();
        let checked = self.check_plan(text, regions).await?;
        if checked.compiled.name != migration.name {
            let words = format!("the plan is named {:?}", checked.compiled.name);
            return Err(
                Failure::new(proto::domain::failure::FailureKind::PlanChanged, words).into(),
            );
        }
        let has_begun = !self.store.partitions(migration.id).await?.is_empty();
        check_known(migration, checked.state.as_ref(), has_begun)?;
        Ok(checked.rows)
    }
}

/// The migration that a name, an id or the beginning of an id means.
pub async fn find(store: &Store, wanted: &str) -> Result<MigrationOrchestration, CommandError> {
    match store.find_migration(wanted).await? {
        Found::One(migration) => Ok(*migration),
        Found::None => Err(CommandError::NoMigration {
            wanted: wanted.to_owned(),
        }),
        Found::Ambiguous(found) => Err(CommandError::Ambiguous {
            wanted: wanted.to_owned(),
            candidates: found.into_iter().map(|one| (one.id, one.name)).collect(),
        }),
    }
}

/// Ids of a migration's errors by what they begin with; none where nothing is asked for.
///
/// # Errors
/// `NoError` where none does, or several do.
pub async fn error_ids(
    store: &Store,
    migration_id: Uuid,
    wanted: &[String],
) -> Result<Option<Vec<Uuid>>, CommandError> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut ids = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let found = store.find_errors(wanted, Some(migration_id)).await?;
        match found.as_slice() {
            [one] => ids.push(one.id),
            others => {
                return Err(CommandError::NoError {
                    wanted: wanted.clone(),
                    count: others.len(),
                });
            }
        }
    }
    Ok(Some(ids))
}
