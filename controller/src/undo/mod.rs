//! Rolling back: a supervisor for migrations that are rolling back, as [`crate::supervise`] is for running ones.
//!
//! [`schedule`] decides what is next; this folder asks agents and waits. The destination records what is undone,
//! so a supervisor begins anew at any time and finds what is left.

pub mod ask;
mod drive;
pub mod here;
pub mod schedule;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{DestinationState, Query, QueryAnswer};
use proto::domain::record::MigrationOrchestration;
use proto::domain::state::Command;
use proto::domain::undo::{
    ConflictKind, UndoAnswer, UndoConflict, UndoOrder, UndoReport, UndoScope, UndoStep, UndoTarget,
};
use proto::lease::{Control, LeaseStore};
use uuid::Uuid;

use crate::era::{lease_failure, settle};
use crate::fleet::misfit;
use crate::prepare::{Job, LONG, read_state};
use crate::reconcile::{Ending, Wish};
use crate::schedule::Step;
use crate::store::{Store, StoreError};
use crate::supervise::{Surroundings, store_block};

use drive::Undo;
use schedule::{UndoWork, closure};

/// Takes a migration back until it is done, blocks, or something else is wished.
///
/// # Errors
/// The metadata's and the lease store's failures, and a lost fence: it can be begun again.
pub async fn supervise<L: LeaseStore>(
    job: Job,
    around: Surroundings<L>,
) -> Result<(Ending, Job), Failure> {
    around.view.send_modify(|view| {
        view.name.clone_from(&job.migration.name);
        view.migration_id = Some(job.migration.id);
        view.phase = "rolling back";
    });
    let mut wishes = around.wishes.clone();
    let prepared = tokio::select! {
        biased;
        _ = wishes.wait_for(|wish| *wish == Wish::Abandon) => return Ok((Ending::Abandoned, job)),
        prepared = prepare(&job, &around) => prepared,
    };
    let work = match prepared {
        Ok(Some(work)) => work,
        Ok(None) => return Ok((Ending::Finished, job)),
        Err(failure) if failure.kind == FailureKind::Fenced => return Err(failure),
        Err(failure) => {
            return Ok((
                Ending::Blocked {
                    entity: None,
                    failure,
                },
                job,
            ));
        }
    };
    Box::pin(work.run(job, around)).await
}

/// What is to be undone, under a token of its own; none where the destination knows of nothing.
async fn prepare<L: LeaseStore>(
    job: &Job,
    around: &Surroundings<L>,
) -> Result<Option<Undo>, Failure> {
    let id = job.migration.id;
    let scope = job.store.rollback_scope(id).await;
    let scope = scope.map_err(|error| error.failure())?;
    let Some(state) = read_state(&job.crew, &job.compiled.name).await? else {
        return match job.store.partitions(id).await {
            Ok(known) if known.is_empty() => Ok(None),
            Ok(_) => Err(unknown()),
            Err(error) => Err(error.failure()),
        };
    };
    if state.migration_id != id {
        return Err(unknown());
    }
    let entities = closure(&job.compiled, &scope.entities).map_err(|name| {
        let words = format!("the plan has no entity {name} any more");
        Failure::new(FailureKind::PlanChanged, words)
    })?;
    settle(
        &job.store,
        &*around.lease,
        &around.leadership,
        state.highest_token,
    )
    .await?;
    let control = Control {
        generation: job.migration.generation,
        attempt: job.migration.attempt,
        is_open: false,
    };
    around
        .lease
        .set_control(&around.leadership, id, control)
        .await
        .map_err(|error| lease_failure(&error))?;
    job.crew.drain();
    let token = around.lease.mint(&around.leadership).await;
    let token = token.map_err(|error| lease_failure(&error))?;
    seal_others(job, &state, (&entities, token)).await?;
    let limit = job.compiled.limits.parallel_partitions;
    let lanes = job.crew.lanes(limit).max(1);
    let mut work = UndoWork::new(&job.compiled, &entities, lanes);
    if state.attempt > job.migration.attempt {
        // Only the answer to the last step was lost.
        work.begin = Step::Done;
        work.entities.clear();
    }
    Ok(Some(Undo {
        work,
        targets: targets(job, &entities),
        is_partial: !scope.entities.is_empty(),
        scope,
        token,
    }))
}

/// Nothing of the entities that stay commits any more, either: the migration is paused afterwards.
async fn seal_others(
    job: &Job,
    state: &DestinationState,
    (entities, token): (&[String], i64),
) -> Result<(), Failure> {
    let open = state
        .partitions
        .iter()
        .filter(|part| part.token > 0 && !part.is_done && !entities.contains(&part.entity));
    let partitions: Vec<Uuid> = open.map(|part| part.partition_id).collect();
    if partitions.is_empty() {
        return Ok(());
    }
    let query = Query::Seal {
        partitions,
        attempt: job.migration.attempt,
        token,
    };
    job.ask(query, LONG).await.map(drop)
}

/// What an agent needs of these entities.
pub(crate) fn targets(job: &Job, entities: &[String]) -> Vec<UndoTarget> {
    let of = |name: &String| job.compiled.entity(name);
    entities.iter().filter_map(of).map(UndoTarget::of).collect()
}

fn unknown() -> Failure {
    Failure::new(
        FailureKind::IdentityChanged,
        "the destination knows nothing of this migration, which was started before: it is not the database that it was",
    )
}

/// Stores how a rollback ended; the migration is as it is then.
pub async fn conclude(
    store: &Store,
    migration: &mut MigrationOrchestration,
    ending: &Ending,
) -> Result<(), StoreError> {
    let command = match ending {
        Ending::Finished => {
            let scope = store.rollback_scope(migration.id).await?;
            match scope.entities.is_empty() {
                true => Command::RollbackDone,
                false => Command::ResetDone,
            }
        }
        Ending::Paused => Command::Paused,
        Ending::Interrupted | Ending::Abandoned => return Ok(()),
        Ending::Blocked { failure, .. } => {
            return store_block(store, migration, (None, failure)).await;
        }
    };
    *migration = store.command(migration.id, &command).await?;
    Ok(())
}

/// Asks an agent for a step.
pub(crate) async fn step(
    crew: &crate::crew::Crew,
    order: UndoOrder,
    deadline: std::time::Duration,
) -> Result<UndoAnswer, Failure> {
    match crew.ask(Query::Undo(Box::new(order)), deadline).await? {
        QueryAnswer::Undone(answer) => Ok(*answer),
        _ => Err(misfit()),
    }
}

/// What stands in the way, as a failure that the operator decides on.
pub(crate) fn conflict(conflicts: &[UndoConflict], scope: &UndoScope) -> Failure {
    let words: Vec<String> = conflicts.iter().map(describe).collect();
    let forced = match scope.conflicts {
        Some(proto::domain::undo::ConflictPolicy::Force) => {
            "; a foreign key without a rule of its own forbids it, even with force: delete or change the rows that refer"
        }
        Some(proto::domain::undo::ConflictPolicy::Keep) | None => "",
    };
    Failure::new(
        FailureKind::UndoConflict,
        format!("rows stand in the way: {}{forced}", words.join("; ")),
    )
}

fn describe(conflict: &UndoConflict) -> String {
    let keys = conflict.keys.iter().take(5).cloned().collect::<Vec<_>>();
    let more = match usize::try_from(conflict.count).is_ok_and(|count| count <= keys.len()) {
        true => "",
        false => ", …",
    };
    let keys = keys.join(", ");
    match (conflict.kind, &conflict.referrer) {
        (ConflictKind::Referred, Some(referrer)) => format!(
            "{} rows of {} are referred to by rows of {referrer} that stay ({keys}{more})",
            conflict.count, conflict.table
        ),
        (ConflictKind::Referred, None) | (ConflictKind::Changed, _) => format!(
            "{} rows of {} were changed by others ({keys}{more})",
            conflict.count, conflict.table
        ),
    }
}

/// An order of this attempt.
pub(crate) fn order(job: &Job, token: i64, scope: &UndoScope, step: UndoStep) -> UndoOrder {
    UndoOrder {
        attempt: job.migration.attempt,
        token,
        conflicts: scope.conflicts,
        step,
    }
}

/// Where there was nothing to undo.
pub(crate) fn nothing(attempt: i32) -> UndoReport {
    UndoReport {
        attempt,
        ..UndoReport::default()
    }
}
