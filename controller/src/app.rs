//! A whole run of a plan in one process, in order: compile, create, supervise, end. The controller of a
//! cluster is in [`crate::manager`]; both run the same supervisor.

use std::sync::Arc;
use std::time::Duration;

use proto::domain::compiled::{CompiledPlan, in_short};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{Connections, DatabaseIdentity, DestinationState, Query, QueryAnswer};
use proto::domain::plan::{self, Plan, Problems};
use proto::domain::preflight::{LeaseFacts, Preflight};
use proto::domain::record::{Activity, MigrationOrchestration, MigrationStatus, MigrationType};
use proto::domain::state::Command;
use proto::lease::{Candidate, LeaseStore, MemoryLeaseStore};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};
use uuid::Uuid;

use crate::crew::Crew;
use crate::era::lease_failure;
use crate::fleet::{AgentLink, Fleet, misfit};
use crate::placement::Demand;
use crate::plan::{PlanError, compile_plan, connections, plan_rows};
use crate::preflight::{self, Asked};
use crate::prepare::{Job, SHORT, check_start, identify, read_state};
use crate::progress::ProgressView;
use crate::reconcile::{Ending, Wish};
use crate::store::{Found, NewMigration, Store, StoreError};
use crate::supervise::{Surroundings, conclude_as_possible, supervise};
use crate::tend::run_now;

/// How often a run looks what is wished of it.
const HEED: Duration = Duration::from_millis(500);

/// What to run, and where its metadata is.
pub struct RunRequest {
    /// The plan file's text.
    pub plan_text: String,
    /// User and host.
    pub created_by: String,
    /// Metadata database.
    pub metadata: PgConnectOptions,
    /// Schema of the metadata.
    pub schema: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RunOutcome {
    /// Everything is migrated.
    Completed {
        /// The migration.
        migration_id: Uuid,
        /// It was so before this run.
        already: bool,
        /// Rows that failed, held ones included.
        quarantined: i64,
    },
    /// It waits for the operator.
    Blocked {
        /// The migration.
        migration_id: Uuid,
        /// Why.
        failure: Failure,
    },
    /// An operator paused it.
    Paused {
        /// The migration.
        migration_id: Uuid,
    },
    /// An operator cancelled it.
    Cancelled {
        /// The migration.
        migration_id: Uuid,
    },
    /// It was told to stop.
    Interrupted {
        /// The migration.
        migration_id: Uuid,
    },
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plan is wrong.
    #[error(transparent)]
    Plan(#[from] Problems),
    /// Something else failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<PlanError> for RunError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Invalid(problems) => Self::Plan(problems),
            PlanError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.failure())
    }
}

/// The one agent of this process, and the fleet it makes.
pub(crate) struct Company {
    fleet: Fleet,
    pub(crate) stay: JoinHandle<()>,
}

impl Company {
    pub(crate) async fn meet(link: AgentLink) -> Result<Self, Failure> {
        let fleet = Fleet::new(Uuid::new_v4(), 0);
        let stay = fleet
            .greet(link)
            .await
            .map_err(|refusal| Failure::new(FailureKind::NoAgent, refusal.to_string()))?;
        Ok(Self {
            fleet,
            stay: tokio::spawn(stay.serve()),
        })
    }

    /// The fleet of one.
    pub(crate) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    pub(crate) fn crew(&self, plan: &Plan) -> Crew {
        let demand = Demand {
            connections: connections(plan),
            regions: Default::default(),
        };
        Crew::new(self.fleet.clone(), None, demand)
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        self.stay.abort();
    }
}

/// Compiles a plan against its databases and runs nothing.
pub async fn check(plan_text: &str, link: AgentLink) -> Result<CompiledPlan, RunError> {
    let plan = plan::parse(plan_text)?;
    let company = Company::meet(link).await?;
    Ok(compile_plan(&company.crew(&plan), &plan)
        .instrument(info_span!("plan"))
        .await?)
}

/// Looks at everything that can be known before a plan is run, in one process.
pub async fn preflight(
    plan_text: &str,
    link: AgentLink,
    asked: &Asked,
) -> Result<(CompiledPlan, Preflight), RunError> {
    let plan = plan::parse(plan_text)?;
    let company = Company::meet(link).await?;
    let crew = company.crew(&plan);
    Ok(preflight::preflight(&crew, &plan, &LeaseFacts::OneProcess, asked).await?)
}

/// Removes schema `drover` from a destination, through the agent of this process; names what still needs it.
pub async fn uninstall(connection: &str, link: AgentLink) -> Result<Vec<String>, Failure> {
    let company = Company::meet(link).await?;
    let demand = Demand {
        connections: Connections {
            source: connection.to_owned(),
            destination: connection.to_owned(),
        },
        regions: Default::default(),
    };
    let crew = Crew::new(company.fleet.clone(), None, demand);
    match crew.ask(Query::Uninstall, SHORT).await? {
        QueryAnswer::Uninstalled { needed_by } => Ok(needed_by),
        _ => Err(misfit()),
    }
}

/// Runs a plan to its end; a migration that was begun goes on where it stopped.
pub async fn run(
    request: RunRequest,
    lease: Arc<MemoryLeaseStore>,
    link: AgentLink,
    view: watch::Sender<ProgressView>,
    shutdown: CancellationToken,
) -> Result<RunOutcome, RunError> {
    let plan = plan::parse(&request.plan_text)?;
    view.send_modify(|view| {
        view.name = plan.name.to_string();
        view.phase = "checking";
    });
    let mut company = Company::meet(link).await?;
    let crew = company.crew(&plan);
    let (source, destination) = identify(&crew).await?;
    let compiled = compile_plan(&crew, &plan)
        .instrument(info_span!("plan"))
        .await?;
    for words in in_short(&compiled.warnings) {
        warn!("{words}");
    }
    let store = Store::connect(request.metadata.clone(), &request.schema).await?;
    let lock = store.lock_migration(&compiled.name).await?;
    let state = read_state(&crew, &compiled.name).await?;
    if let Some(state) = &state {
        check_start(state, &compiled, &source, &destination)?;
    }
    let migration = enlist(
        &store,
        &request,
        &compiled,
        state.as_ref(),
        (&source, &destination),
    )
    .await?;
    let migration_id = migration.id;
    view.send_modify(|view| view.migration_id = Some(migration_id));
    if migration.status == MigrationStatus::Completed {
        let quarantined = failed_rows(&store, migration_id).await?;
        lock.release().await?;
        return Ok(RunOutcome::Completed {
            migration_id,
            already: true,
            quarantined,
        });
    }
    let mut job = Job {
        crew: crew.of_migration(migration_id),
        store,
        compiled,
        migration,
        run_now: run_now(state.as_ref()),
        snapshot: None,
        rounds: Default::default(),
    };
    start(&mut job).await?;
    job.heed_overrides();
    let outcome = tokio::select! {
        outcome = drive(job, lease, view, shutdown) => outcome?,
        // The agent of this process ends only after the controller.
        _ = &mut company.stay => return Err(agent_gone().into()),
    };
    // It ends with its session, if not before.
    let _ = lock.release().await;
    Ok(outcome)
}

/// Supervises a migration under a leadership of its own, and stores how it ended.
async fn drive(
    job: Job,
    lease: Arc<MemoryLeaseStore>,
    view: watch::Sender<ProgressView>,
    shutdown: CancellationToken,
) -> Result<RunOutcome, RunError> {
    let migration_id = job.migration.id;
    let candidate = Candidate {
        controller_id: Uuid::new_v4(),
        address: String::new(),
    };
    let leadership = lease
        .campaign(candidate, shutdown.clone())
        .await
        .map_err(|error| lease_failure(&error))?;
    let (wish, wishes) = watch::channel(Wish::Run);
    let heeding = heed(job.store.clone(), migration_id, wish, shutdown);
    let stopper = tokio::spawn(heeding);
    let around = Surroundings {
        lease,
        leadership,
        wishes,
        view: view.clone(),
    };
    let supervised = Box::pin(supervise(job, around)).await;
    stopper.abort();
    let (ending, mut job) = match supervised {
        Ok(ended) => ended,
        // The metadata itself is out of reach or full: nothing can be stored, but the run stands
        // still all the same, and goes on when it is started again.
        Err(failure) => {
            return Ok(RunOutcome::Blocked {
                migration_id,
                failure,
            });
        }
    };
    conclude_as_possible(&mut job, &ending).await?;
    Ok(match ending {
        Ending::Finished => {
            view.send_modify(|view| {
                view.phase = "completed";
                view.progress_percentage = 100.0;
            });
            RunOutcome::Completed {
                migration_id,
                already: false,
                quarantined: failed_rows(&job.store, migration_id).await?,
            }
        }
        Ending::Blocked { failure, .. } => {
            view.send_modify(|view| view.phase = "blocked");
            RunOutcome::Blocked {
                migration_id,
                failure,
            }
        }
        Ending::Paused if job.migration.status == MigrationStatus::Failed => {
            RunOutcome::Cancelled { migration_id }
        }
        Ending::Paused => RunOutcome::Paused { migration_id },
        Ending::Interrupted | Ending::Abandoned => RunOutcome::Interrupted { migration_id },
    })
}

/// Wishes of the run what is stored of it, since others command it through the metadata, until it shall stop.
async fn heed(
    store: Store,
    migration_id: Uuid,
    wish: watch::Sender<Wish>,
    shutdown: CancellationToken,
) {
    let mut ticks = tokio::time::interval(HEED);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            _ = ticks.tick() => {}
        }
        // What cannot be read now is read a moment later.
        let Ok(migration) = store.migration(migration_id).await else {
            continue;
        };
        let wanted = match migration.activity {
            Some(Activity::Pausing) => Wish::Pause,
            Some(Activity::Running) => Wish::Run,
            Some(Activity::Paused | Activity::Blocked) | None => continue,
        };
        wish.send_if_modified(|wish| std::mem::replace(wish, wanted) != wanted);
    }
    let _ = wish.send(Wish::Stop);
    // Kept: a closed channel would wish nothing any more.
    std::future::pending::<()>().await;
}

/// The migration of the plan's name: found, adopted from the destination, or created.
async fn enlist(
    store: &Store,
    request: &RunRequest,
    compiled: &CompiledPlan,
    state: Option<&DestinationState>,
    (source, destination): (&DatabaseIdentity, &DatabaseIdentity),
) -> Result<MigrationOrchestration, RunError> {
    let rows = plan_rows(&request.plan_text, compiled)?;
    let known = match store.find_migration(&compiled.name).await? {
        Found::One(known) if known.name == compiled.name => Some(*known),
        Found::One(_) | Found::None | Found::Ambiguous(_) => None,
    };
    if let Some(known) = known {
        let has_begun = !store.partitions(known.id).await?.is_empty();
        check_known(&known, state, has_begun)?;
        if known.status == MigrationStatus::Completed {
            return Ok(known);
        }
        if known.status == MigrationStatus::RollingBack {
            let words = format!(
                "the migration is rolling back: end that with `drover migration rollback {} --local`",
                known.name
            );
            return Err(Failure::new(FailureKind::AlreadyRunning, words).into());
        }
        return Ok(store.update_plan(known.id, &rows).await?);
    }
    let new = NewMigration {
        id: state.map_or_else(Uuid::now_v7, |state| state.migration_id),
        attempt: state.map_or(1, |state| state.attempt),
        migration_type: type_of(compiled),
        created_by: request.created_by.clone(),
        source_identity: source.clone(),
        destination_identity: destination.clone(),
        rows_estimate: 0,
        plan: rows,
    };
    Ok(store.create_migration(&new).await?)
}

/// What a plan is for.
pub fn type_of(compiled: &CompiledPlan) -> MigrationType {
    match compiled.is_cleanup {
        true => MigrationType::SchemaCleanup,
        false => MigrationType::FullMigration,
    }
}

/// Metadata and destination must speak of the same migration.
pub fn check_known(
    known: &MigrationOrchestration,
    state: Option<&DestinationState>,
    has_begun: bool,
) -> Result<(), Failure> {
    match (known.status, state) {
        (MigrationStatus::Failed, _) => Err(Failure::new(
            FailureKind::PlanChanged,
            "the migration was cancelled; migrate under another name into a fresh destination",
        )),
        (_, Some(state)) if state.migration_id != known.id => Err(Failure::new(
            FailureKind::IdentityChanged,
            "the destination holds another migration of this name",
        )),
        (MigrationStatus::Pending, None) => Ok(()),
        // Stopped before the start was recorded at the destination: nothing was written.
        (MigrationStatus::Running, None) if !has_begun => Ok(()),
        (_, None) => Err(Failure::new(
            FailureKind::IdentityChanged,
            "the destination knows nothing of this migration, which was started before: it is not \
             the database that it was. Migrate into another one under another name",
        )),
        (_, Some(_)) => Ok(()),
    }
}

/// Brings the migration's state to running.
async fn start(job: &mut Job) -> Result<(), StoreError> {
    let command = match (job.migration.status, job.migration.activity) {
        (MigrationStatus::Pending, _) => Some(Command::Start),
        (_, Some(Activity::Blocked | Activity::Paused | Activity::Pausing)) => {
            Some(Command::Resume)
        }
        (_, Some(Activity::Running) | None) => None,
    };
    if let Some(command) = command {
        job.migration = job.store.command(job.migration.id, &command).await?;
    }
    Ok(())
}

async fn failed_rows(store: &Store, migration_id: Uuid) -> Result<i64, StoreError> {
    let entities = store.entities(migration_id).await?;
    Ok(entities.iter().map(|entity| entity.records_failed).sum())
}

/// The destination connection: where the metadata is unless something else is said.
pub fn destination_of(plan: &Plan) -> String {
    connections(plan).destination
}

pub(crate) fn agent_gone() -> Failure {
    Failure::new(FailureKind::NoAgent, "the agent hung up")
}
