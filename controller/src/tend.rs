//! One migration of a cluster, looked after once: wait for agents that can work on it, look whether it is
//! still the same migration, supervise it, store how it ended.

use std::time::Duration;

use chrono::{DateTime, Utc};
use proto::domain::compiled::CompiledPlan;
use proto::domain::failure::{Failure, FailureKind, Policy, policy};
use proto::domain::frame::{DatabaseIdentity, DestinationState};
use proto::domain::plan;
use proto::domain::record::{MigrationOrchestration, MigrationStatus};
use proto::lease::LeaseStore;
use proto::runtime::clock;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{Instrument, info, info_span};

use crate::app::check_known;
use crate::crew::Crew;
use crate::manager::Realm;
use crate::placement::Demand;
use crate::plan::{PlanError, compile_plan, connections};
use crate::prepare::{Job, check_start, read_state};
use crate::progress::ProgressView;
use crate::reconcile::{Ending, Wish};
use crate::retry;
use crate::store::MigrationLock;
use crate::supervise::{Surroundings, conclude, supervise};
use crate::undo;

/// Times that a passing failure is tried again before the migration blocks.
const TRIES: u32 = 5;
/// How long a fitting agent may take to come after one that does not fit.
const PATIENCE: Duration = Duration::from_secs(5);
/// Agents that do not fit are looked at again this often.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How looking after a migration ended.
#[derive(Debug)]
pub enum Tended {
    /// It is done, blocked, paused, or somebody else's.
    Ended,
    /// Something passing; nothing is stored of it.
    Failed(Failure),
}

/// Looks after a migration until it ends or something fails. `tries` counts failures before this.
pub async fn tend<L: LeaseStore>(
    realm: Realm<L>,
    migration: MigrationOrchestration,
    (wishes, view): (watch::Receiver<Wish>, watch::Sender<ProgressView>),
    tries: u32,
) -> Tended {
    let span = info_span!("migration", migration_id = %migration.id, name = %migration.name);
    let tended = tend_locked(&realm, migration, (wishes, view), tries)
        .instrument(span)
        .await;
    // What follows is not waited for.
    realm.poke.notify_one();
    match tended {
        Ok(()) => Tended::Ended,
        Err(failure) => Tended::Failed(failure),
    }
}

async fn tend_locked<L: LeaseStore>(
    realm: &Realm<L>,
    migration: MigrationOrchestration,
    (mut wishes, view): (watch::Receiver<Wish>, watch::Sender<ProgressView>),
    tries: u32,
) -> Result<(), Failure> {
    // `drover run` of the same migration, or a deposed leader that has not noticed yet.
    let lock = realm
        .store
        .lock_migration(&migration.name)
        .await
        .map_err(|error| error.failure())?;
    view.send_modify(|view| {
        view.name.clone_from(&migration.name);
        view.migration_id = Some(migration.id);
        view.phase = "waiting for an agent";
    });
    let outcome = async {
        let gathered = gather(realm, &migration, &mut wishes, &view).await?;
        let crew = match gathered {
            Gathered::Crew(crew) => crew,
            Gathered::Unfit(failure) => return Ok(Some((blocked(failure), migration))),
            Gathered::CalledOff => return Ok(None),
        };
        let job = job(realm, migration, crew).await?;
        let around = Surroundings {
            lease: realm.lease.clone(),
            leadership: realm.leadership.clone(),
            wishes: wishes.clone(),
            view: view.clone(),
        };
        if job.migration.status == MigrationStatus::RollingBack {
            let (ending, job) = Box::pin(undo::supervise(job, around)).await?;
            return Ok(Some((ending, job.migration)));
        }
        // What stands in the way of a run keeps nobody from stopping it.
        let is_stopping = *wishes.borrow() == Wish::Pause;
        let checked = match is_stopping {
            true => Ok(()),
            false => check(&job).await,
        };
        match checked {
            Ok(()) => {
                let (ending, job) = Box::pin(supervise(job, around)).await?;
                Ok(Some((ending, job.migration)))
            }
            Err(failure) => Ok(Some((blocked(failure), job.migration))),
        }
    }
    .await;
    let concluded = match outcome {
        Ok(Some((Ending::Blocked { failure, .. }, _))) if is_passing(&failure, tries) => {
            Err(failure)
        }
        Ok(Some((ending, mut migration))) => {
            info!(?ending, "a run ended");
            // Rolled back or cancelled meanwhile: how the run ended no longer matters.
            let now = realm.store.migration(migration.id).await;
            let is_same = now.is_ok_and(|now| now.status == migration.status);
            let stored = match migration.status {
                _ if !is_same => Ok(()),
                MigrationStatus::RollingBack => {
                    undo::conclude(&realm.store, &mut migration, &ending).await
                }
                _ => conclude(&realm.store, &mut migration, &ending).await,
            };
            if ending == Ending::Finished || migration.status == MigrationStatus::Failed {
                // What is left in the lease store is of no use; it is removed with the next chance, too.
                let _ = realm.lease.forget(&realm.leadership, migration.id).await;
            }
            stored.map_err(|error| error.failure())
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    end_lock(lock).await;
    concluded
}

fn blocked(failure: Failure) -> Ending {
    Ending::Blocked {
        entity: None,
        failure,
    }
}

/// It ends with its session, if not before.
async fn end_lock(lock: MigrationLock) {
    let _ = lock.release().await;
}

/// Whether a block is put off: the same again may work in a while.
fn is_passing(failure: &Failure, tries: u32) -> bool {
    match failure.kind {
        FailureKind::NoAgent => true,
        kind => policy(kind).0 == Policy::Retry && tries < TRIES,
    }
}

/// What came of waiting for agents.
enum Gathered {
    /// Somebody can work on it.
    Crew(Crew),
    /// Whoever is there cannot, all for the same reason, and that is the operator's to mend.
    Unfit(Failure),
    /// Something else is wished.
    CalledOff,
}

/// Waits until an agent is there that can work on the migration.
async fn gather<L: LeaseStore>(
    realm: &Realm<L>,
    migration: &MigrationOrchestration,
    wishes: &mut watch::Receiver<Wish>,
    view: &watch::Sender<ProgressView>,
) -> Result<Gathered, Failure> {
    let crew = crew(realm, migration)?;
    let mut changes = realm.fleet.changes();
    let patience = Instant::now() + PATIENCE;
    let partitions = realm.store.partitions(migration.id).await;
    let has_begun = !partitions.map_err(|error| error.failure())?.is_empty();
    let complete_by = Instant::now() + realm.times.agent;
    loop {
        crew.vet().await;
        let waits_for = crew.want();
        let is_ready = waits_for.is_none();
        view.send_if_modified(|view| {
            std::mem::replace(&mut view.waits_for, waits_for.clone()) != waits_for
        });
        if is_ready
            && (!has_begun || is_complete(realm, &crew).await || Instant::now() >= complete_by)
        {
            return Ok(Gathered::Crew(crew));
        }
        let fault = crew
            .common_fault()
            .filter(|fault| policy(fault.kind).0 == Policy::Operator);
        if let Some(fault) = fault
            && Instant::now() >= patience
        {
            return Ok(Gathered::Unfit(fault));
        }
        match *wishes.borrow_and_update() {
            Wish::Stop | Wish::Abandon => return Ok(Gathered::CalledOff),
            Wish::Run | Wish::Pause => {}
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Ok(Gathered::CalledOff) },
            changed = wishes.changed() => if changed.is_err() { return Ok(Gathered::CalledOff) },
            // What was wrong with an agent may be mended.
            () = tokio::time::sleep(ASK_AGAIN) => {}
        }
    }
}

/// Whether everybody who is alive and could work on it has dialled: one of them may hold its snapshot.
async fn is_complete<L: LeaseStore>(realm: &Realm<L>, crew: &Crew) -> bool {
    let Ok(alive) = realm.lease.agents().await else {
        return false;
    };
    let connections = &crew.demand().connections;
    alive
        .iter()
        .filter(|agent| agent.connections.contains(&connections.source))
        .all(|agent| realm.fleet.line(agent.holder).is_some())
}

/// The agents that can work on a migration, as far as their connections lead where it was created.
///
/// # Errors
/// `Internal` where what is stored of it cannot be read.
pub fn crew<L: LeaseStore>(
    realm: &Realm<L>,
    migration: &MigrationOrchestration,
) -> Result<Crew, Failure> {
    let malformed = |what: &str| {
        Failure::new(
            FailureKind::Internal,
            format!("the migration's stored {what} cannot be read"),
        )
    };
    let demand =
        Demand::stored(&migration.configuration).ok_or_else(|| malformed("configuration"))?;
    let crew = Crew::new(realm.fleet.clone(), Some(migration.id), demand);
    let identity =
        |stored: &Option<serde_json::Value>, what| -> Result<DatabaseIdentity, Failure> {
            serde_json::from_value(stored.clone().unwrap_or_default()).map_err(|_| malformed(what))
        };
    crew.require(
        identity(&migration.source_identity, "source identity")?,
        identity(&migration.destination_identity, "destination identity")?,
    );
    Ok(crew)
}

pub(crate) async fn job<L: LeaseStore>(
    realm: &Realm<L>,
    migration: MigrationOrchestration,
    crew: Crew,
) -> Result<Job, Failure> {
    let compiled = compiled(realm, &migration, &crew).await?;
    let state = read_state(&crew, &compiled.name).await?;
    // It may have been commanded while agents were waited for.
    let migration = realm
        .store
        .migration(migration.id)
        .await
        .map_err(|error| error.failure())?;
    let mut job = Job {
        crew,
        store: realm.store.clone(),
        compiled,
        migration,
        run_now: run_now(state.as_ref()),
        snapshot: None,
        rounds: Default::default(),
    };
    job.heed_overrides();
    Ok(job)
}

/// Tries rows again of a migration that does not run: it is completed, or blocked.
pub async fn tend_retries<L: LeaseStore>(
    realm: Realm<L>,
    migration: MigrationOrchestration,
    (mut wishes, view): (watch::Receiver<Wish>, watch::Sender<ProgressView>),
) -> Tended {
    let span = info_span!("retry", migration_id = %migration.id, name = %migration.name);
    let tending = async {
        let lock = realm
            .store
            .lock_migration(&migration.name)
            .await
            .map_err(|error| error.failure())?;
        let worked = async {
            let crew = match gather(&realm, &migration, &mut wishes, &view).await? {
                Gathered::Crew(crew) => crew,
                Gathered::Unfit(failure) => return Err(failure),
                Gathered::CalledOff => return Ok(()),
            };
            let job = job(&realm, migration, crew).await?;
            let worked = retry::work_off(&job, &*realm.lease, &realm.leadership).await;
            if job.migration.status == MigrationStatus::Completed {
                job.crew.fleet().forget(job.migration.id);
            }
            worked
        }
        .await;
        end_lock(lock).await;
        worked
    };
    let tended = tending.instrument(span).await;
    realm.poke.notify_one();
    match tended {
        Ok(()) => Tended::Ended,
        Err(failure) => Tended::Failed(failure),
    }
}

/// What `now` means: the start of the run, until the first partition is stored this moment.
pub(crate) fn run_now(state: Option<&DestinationState>) -> DateTime<Utc> {
    let begun = state.filter(|state| !state.partitions.is_empty());
    begun.map_or_else(clock::now, |state| state.run_now)
}

/// The compiled plan that was stored; compiled anew where it was stored by another version.
pub(crate) async fn compiled<L: LeaseStore>(
    realm: &Realm<L>,
    migration: &MigrationOrchestration,
    crew: &Crew,
) -> Result<CompiledPlan, Failure> {
    let stored = realm
        .store
        .plan(migration.id)
        .await
        .map_err(|error| error.failure())?
        .ok_or_else(|| Failure::new(FailureKind::Internal, "the migration has no plan"))?;
    if let Some(compiled) = stored.compiled {
        return Ok(compiled);
    }
    let plan = plan::parse(&stored.document)
        .map_err(|problems| Failure::new(FailureKind::SchemaDrift, problems.to_string()))?;
    debug_assert_eq!(connections(&plan), crew.demand().connections);
    compile_plan(crew, &plan)
        .await
        .map_err(|error| match error {
            PlanError::Failed(failure) => failure,
            PlanError::Invalid(problems) => {
                Failure::new(FailureKind::SchemaDrift, problems.to_string())
            }
        })
}

/// The destination still speaks of this migration, started with these rules on these servers.
async fn check(job: &Job) -> Result<(), Failure> {
    let state = read_state(&job.crew, &job.compiled.name).await?;
    let partitions = job.store.partitions(job.migration.id).await;
    let has_begun = !partitions.map_err(|error| error.failure())?.is_empty();
    check_known(&job.migration, state.as_ref(), has_begun)?;
    match &state {
        Some(state) => check_start(state, &job.compiled, &state.source, &state.destination),
        None => Ok(()),
    }
}
