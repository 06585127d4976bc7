//! One migration's run, from wherever it stands to its end: prepare, reconcile, store how it ended.
//!
//! Each step is idempotent, so a supervisor can begin anew at any time: after a crash, under another
//! leader, or beside agents that never stopped.

use std::sync::Arc;

use proto::domain::failure::{Failure, FailureKind, policy};
use proto::domain::frame::DestinationState;
use proto::domain::record::MigrationOrchestration;
use proto::domain::schema_change::{Consent, Moment};
use proto::domain::state::Command;
use proto::lease::{Leadership, LeaseStore};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use crate::era;
use crate::fleet::News;
use crate::prepare::{Job, read_state};
use crate::progress::ProgressView;
use crate::quiesce::quiesce;
use crate::reconcile::{Ending, Links, Reconciler, Wish};
use crate::schedule::RunWork;
use crate::schema::{self, SchemaWork};
use crate::store::{Store, StoreError};

/// What a run needs beside its job.
pub struct Surroundings<L> {
    /// The lease store.
    pub lease: Arc<L>,
    /// This controller's leadership.
    pub leadership: Leadership,
    /// What is wished.
    pub wishes: watch::Receiver<Wish>,
    /// Where the run shows how far it is.
    pub view: watch::Sender<ProgressView>,
}

/// A run that is prepared.
struct Prepared {
    run: RunWork,
    snapshot_holder: Option<uuid::Uuid>,
}

/// Runs a migration whose state is running until it ends one way or another; the job comes back with what
/// was learned.
///
/// # Errors
/// The metadata's and the lease store's failures: nothing could be stored of it, and the run can be begun
/// again.
pub async fn supervise<L: LeaseStore>(
    mut job: Job,
    around: Surroundings<L>,
) -> Result<(Ending, Job), Failure> {
    // Heard from the beginning: an agent may come or go while the run is prepared.
    let (mut inbox, members) = job.crew.fleet().subscribe(job.migration.id);
    around.view.send_modify(|view| {
        view.name.clone_from(&job.migration.name);
        view.migration_id = Some(job.migration.id);
        view.phase = "preparing";
    });
    let mut wishes = around.wishes.clone();
    let prepared = tokio::select! {
        biased;
        wish = called_off(&mut wishes) => {
            // Every step of it is done or not; the next start looks again.
            let ending = match wish {
                Wish::Pause => stand_still(&job, &around, &mut inbox).await?,
                Wish::Run | Wish::Stop => Ending::Interrupted,
                Wish::Abandon => Ending::Abandoned,
            };
            return Ok((ending, job));
        }
        prepared = prepare(&mut job, &around) => prepared,
    };
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => {
            let entity = None;
            return Ok((Ending::Blocked { entity, failure }, job));
        }
    };
    let links = Links {
        lease: around.lease,
        leadership: around.leadership,
        inbox,
        members,
        wishes: around.wishes,
        view: around.view,
    };
    let reconciler = Reconciler::new(job, prepared.run, links, prepared.snapshot_holder);
    Box::pin(reconciler.run()).await
}

/// Returns when the preparation is to be left.
async fn called_off(wishes: &mut watch::Receiver<Wish>) -> Wish {
    loop {
        match *wishes.borrow_and_update() {
            Wish::Run => {}
            wish => return wish,
        }
        if wishes.changed().await.is_err() {
            return Wish::Abandon;
        }
    }
}

/// A pause of what has not begun to run, or would not: nothing is prepared for it.
async fn stand_still<L: LeaseStore>(
    job: &Job,
    around: &Surroundings<L>,
    inbox: &mut mpsc::Receiver<News>,
) -> Result<Ending, Failure> {
    around.view.send_modify(|view| view.phase = "pausing");
    match quiesce(job, around, inbox).await {
        Ok(ending) => Ok(ending),
        Err(failure) if failure.kind == FailureKind::Fenced => Err(failure),
        Err(failure) => Ok(Ending::Blocked {
            entity: None,
            failure: failure.during("stop what is under way"),
        }),
    }
}

/// Destination, era, snapshot, partitions, and the metadata brought up to all of it.
async fn prepare<L: LeaseStore>(
    job: &mut Job,
    around: &Surroundings<L>,
) -> Result<Prepared, Failure> {
    let state = job.prepare_destination().await?;
    era::settle(
        &job.store,
        &*around.lease,
        &around.leadership,
        state.highest_token,
    )
    .await?;
    job.open_again(&state.partitions).await?;
    let limit = job.compiled.limits.parallel_partitions;
    let lanes = u32::try_from(job.crew.lanes(limit)).unwrap_or(limit).max(1);
    let is_read = job.is_read(&state.partitions);
    if state.partitions.is_empty() {
        let work = SchemaWork::of(job);
        schema::apply(&work, &[Moment::Before], &Consent::default()).await?;
    }
    let has_rows = !job.compiled.is_cleanup;
    let ordered = job.order_run(is_read || !has_rows).await?;
    around
        .view
        .send_modify(|view| view.notes.extend(ordered.note));
    let were_counted_before = ordered.is_new_snapshot && !state.partitions.is_empty();
    let partitions = job.begin_load(state.partitions, lanes).await?;
    job.catch_up(&partitions).await?;
    let mut run = job.work(&partitions, lanes).await?;
    if were_counted_before {
        run.forget_counts();
    }
    Ok(Prepared {
        run,
        snapshot_holder: ordered.snapshot_holder,
    })
}

/// Stores how a run ended; the migration is as it is then.
pub async fn conclude(
    store: &Store,
    migration: &mut MigrationOrchestration,
    ending: &Ending,
) -> Result<(), StoreError> {
    let command = match ending {
        Ending::Finished => Command::Complete,
        Ending::Paused => Command::Paused,
        Ending::Interrupted | Ending::Abandoned => return Ok(()),
        Ending::Blocked { entity, failure } => {
            return store_block(store, migration, (entity.as_deref(), failure)).await;
        }
    };
    *migration = store.command(migration.id, &command).await?;
    Ok(())
}

/// As [`conclude`], where what blocked the run may keep the metadata from storing it, too: what blocked it
/// is what counts then.
pub async fn conclude_as_possible(job: &mut Job, ending: &Ending) -> Result<(), StoreError> {
    match (
        conclude(&job.store, &mut job.migration, ending).await,
        ending,
    ) {
        (Err(error), Ending::Blocked { .. }) => {
            warn!(reason = %error.failure(), "the block could not be stored");
            Ok(())
        }
        (outcome, _) => outcome,
    }
}

/// Stores why the run stands still and what can be done.
pub(crate) async fn store_block(
    store: &Store,
    migration: &mut MigrationOrchestration,
    (entity, failure): (Option<&str>, &Failure),
) -> Result<(), StoreError> {
    let id = migration.id;
    let code = failure
        .sqlstate
        .clone()
        .unwrap_or_else(|| fault_code(failure.kind));
    let block = Command::Block {
        reason: failure.message.clone(),
        hint: policy(failure.kind).1.to_owned(),
    };
    *migration = store.command(id, &block).await?;
    if let Some(entity) = entity {
        store
            .set_entity_blocked(id, entity, Some(&failure.message))
            .await?;
    }
    store
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

/// What the destination knows of a job's migration.
pub async fn destination_state(job: &Job) -> Result<Option<DestinationState>, Failure> {
    read_state(&job.crew, &job.compiled.name).await
}
