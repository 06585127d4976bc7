//! A whole run of a plan, in order: compile, create, prepare, reconcile, end.

use std::sync::Arc;

use proto::domain::compiled::CompiledPlan;
use proto::domain::failure::{Failure, FailureKind, policy};
use proto::domain::frame::{DatabaseIdentity, DestinationState};
use proto::domain::plan::{self, Plan, Problems};
use proto::domain::record::{Activity, MigrationOrchestration, MigrationStatus, MigrationType};
use proto::domain::state::Command;
use proto::domain::token::era_of;
use proto::lease::MemoryLeaseStore;
use proto::runtime::clock;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};
use uuid::Uuid;

use crate::plan::{PlanError, compile_plan, connections, plan_rows};
use crate::prepare::{Job, check_start, identify, read_state};
use crate::progress::ProgressView;
use crate::reconcile::{Ending, Reconciler};
use crate::registry::{Agent, AgentLink};
use crate::store::{Found, MigrationLock, NewMigration, Store, StoreError};

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

/// Compiles a plan against its databases and runs nothing.
pub async fn check(plan_text: &str, link: AgentLink) -> Result<CompiledPlan, RunError> {
    let plan = plan::parse(plan_text)?;
    let (agent, _frames) = Agent::greet(link).await?;
    Ok(compile_plan(&agent, &plan)
        .instrument(info_span!("plan"))
        .await?)
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
    let (agent, frames) = Agent::greet(link).await?;
    let (source, destination) = identify(&agent, &connections(&plan)).await?;
    let compiled = compile_plan(&agent, &plan)
        .instrument(info_span!("plan"))
        .await?;
    let store = Store::connect(request.metadata.clone(), &request.schema).await?;
    let lock = store.lock_migration(&compiled.name).await?;
    let state = read_state(&agent, &connections(&plan), &compiled.name).await?;
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
    view.send_modify(|view| view.migration_id = Some(migration.id));
    if migration.status == MigrationStatus::Completed {
        let quarantined = failed_rows(&store, migration.id).await?;
        release(lock).await?;
        return Ok(RunOutcome::Completed {
            migration_id: migration.id,
            already: true,
            quarantined,
        });
    }
    let mut job = Job {
        agent,
        store,
        connections: connections(&plan),
        compiled,
        migration,
        run_now: state
            .as_ref()
            .map_or_else(clock::now, |state| state.run_now),
    };
    start(&mut job).await?;
    view.send_modify(|view| view.phase = "preparing");
    let prepared = tokio::select! {
        biased;
        () = shutdown.cancelled() => {
            // Every step of it is done or not; the next start looks again.
            return Ok(RunOutcome::Interrupted { migration_id: job.migration.id });
        }
        prepared = prepare(&mut job, &lease, &view) => prepared,
    };
    let migration_id = job.migration.id;
    let ending = match prepared {
        Ok(run) => {
            let reconciler = Reconciler::new(job, lease, run, view.clone());
            match Box::pin(reconciler.run(frames, shutdown)).await {
                Ok((ending, returned)) => {
                    job = returned;
                    ending
                }
                // The metadata itself is out of reach or full: nothing can be stored, but the run
                // stands still all the same, and goes on when it is started again.
                Err(failure) => {
                    return Ok(RunOutcome::Blocked {
                        migration_id,
                        failure,
                    });
                }
            }
        }
        Err(failure) => Ending::Blocked {
            entity: None,
            failure,
        },
    };
    let outcome = finish(&mut job, ending, &view).await?;
    // It ends with its session, if not before.
    let _ = release(lock).await;
    Ok(outcome)
}

async fn release(lock: MigrationLock) -> Result<(), StoreError> {
    lock.release().await
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
        return Ok(store.update_plan(known.id, &rows).await?);
    }
    let new = NewMigration {
        id: state.map_or_else(Uuid::now_v7, |state| state.migration_id),
        attempt: state.map_or(1, |state| state.attempt),
        migration_type: MigrationType::FullMigration,
        created_by: request.created_by.clone(),
        source_identity: source.clone(),
        destination_identity: destination.clone(),
        rows_estimate: 0,
        plan: rows,
    };
    Ok(store.create_migration(&new).await?)
}

/// Metadata and destination must speak of the same migration.
fn check_known(
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

/// Destination, era, snapshot, partitions, and the metadata brought up to all of it.
async fn prepare(
    job: &mut Job,
    lease: &MemoryLeaseStore,
    view: &watch::Sender<ProgressView>,
) -> Result<crate::schedule::RunWork, Failure> {
    let state = job.prepare_destination().await?;
    let floor = era_of(state.highest_token);
    let era = job
        .store
        .next_era(floor)
        .await
        .map_err(|error| error.failure())?;
    lease.begin_era(era);
    let lanes = job
        .agent
        .hello
        .capacity
        .min(job.compiled.limits.parallel_partitions)
        .max(1);
    let is_read = !state.partitions.is_empty() && state.partitions.iter().all(|part| part.is_done);
    let ordered = job.order_run(is_read).await?;
    view.send_modify(|view| view.notes.extend(ordered.note));
    let were_counted_before = ordered.is_new_snapshot && !state.partitions.is_empty();
    let partitions = job.begin_load(state.partitions, lanes).await?;
    job.catch_up(&partitions).await?;
    let mut run = job.work(&partitions, lanes).await?;
    if were_counted_before {
        run.forget_counts();
    }
    Ok(run)
}

/// Stores how the run ended.
async fn finish(
    job: &mut Job,
    ending: Ending,
    view: &watch::Sender<ProgressView>,
) -> Result<RunOutcome, RunError> {
    let migration_id = job.migration.id;
    match ending {
        Ending::Interrupted => Ok(RunOutcome::Interrupted { migration_id }),
        Ending::Finished => {
            job.migration = job.store.command(migration_id, &Command::Complete).await?;
            let quarantined = failed_rows(&job.store, migration_id).await?;
            view.send_modify(|view| {
                view.phase = "completed";
                view.progress_percentage = 100.0;
            });
            Ok(RunOutcome::Completed {
                migration_id,
                already: false,
                quarantined,
            })
        }
        Ending::Blocked { entity, failure } => {
            view.send_modify(|view| view.phase = "blocked");
            // The metadata may suffer from the same thing: what blocked the run is what counts.
            if let Err(error) = store_block(job, entity.as_deref(), &failure).await {
                warn!(reason = %error.failure(), "the block could not be stored");
            }
            Ok(RunOutcome::Blocked {
                migration_id,
                failure,
            })
        }
    }
}

/// Stores why the run stands still and what can be done.
async fn store_block(
    job: &mut Job,
    entity: Option<&str>,
    failure: &Failure,
) -> Result<(), StoreError> {
    let id = job.migration.id;
    let code = failure
        .sqlstate
        .clone()
        .unwrap_or_else(|| fault_code(failure.kind));
    let hint = policy(failure.kind).1.to_owned();
    let block = Command::Block {
        reason: failure.message.clone(),
        hint,
    };
    job.migration = job.store.command(id, &block).await?;
    if let Some(entity) = entity {
        job.store
            .set_entity_blocked(id, entity, Some(&failure.message))
            .await?;
    }
    job.store
        .add_fault(id, entity, &code, &failure.message)
        .await
        .map(drop)
}

fn fault_code(kind: FailureKind) -> String {
    let name = serde_json::to_value(kind)
        .ok()
        .and_then(|name| name.as_str().map(str::to_uppercase));
    format!("DROVER_{}", name.unwrap_or_else(|| "INTERNAL".to_owned()))
}

async fn failed_rows(store: &Store, migration_id: Uuid) -> Result<i64, StoreError> {
    let entities = store.entities(migration_id).await?;
    Ok(entities.iter().map(|entity| entity.records_failed).sum())
}

/// The plan's destination connection: where the metadata is unless something else is said.
pub fn destination_of(plan: &Plan) -> String {
    connections(plan).destination
}
