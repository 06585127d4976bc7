//! Rows that failed are tried again: an agent reads them by key, as the source is now, and writes them under the
//! fence of a partition of their own. While the migration runs that is one more step of it; where it is completed
//! or blocked, it is done here.

use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind, Policy, policy};
use proto::domain::frame::{Query, QueryAnswer, Retried, RetryOrder};
use proto::domain::record::MigrationStatus;
use proto::lease::{Leadership, LeaseStore};
use tracing::{info, warn};
use uuid::Uuid;

use crate::crew::Crew;
use crate::era;
use crate::era::lease_failure;
use crate::fleet::misfit;
use crate::prepare::{Job, SHORT, read_state};
use crate::schedule::{RunWork, Step};
use crate::store::{Retry, Tick};

/// How long some hundred rows may take to be read and written.
const RETRY_WITHIN: Duration = Duration::from_secs(600);

/// A retry as an agent is asked for it: in two steps, so that it can be sealed before it writes anything.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The rows.
    pub order: RetryOrder,
}

impl Ask {
    /// The question for a retry, under this token.
    pub fn new(retry: &Retry, token: i64) -> Self {
        Self {
            order: RetryOrder {
                entity: retry.entity.clone(),
                partition_id: retry.retry_id,
                number: retry.number,
                token,
                keys: retry.keys.clone(),
                is_work: false,
            },
        }
    }

    /// Asks any agent of the crew.
    ///
    /// # Errors
    /// The agent's.
    pub async fn put(self, crew: &Crew) -> Result<QueryAnswer, Failure> {
        let store = Query::Retry(Box::new(self.order.clone()));
        crew.ask(store, SHORT).await?;
        let work = RetryOrder {
            is_work: true,
            ..self.order
        };
        crew.ask(Query::Retry(Box::new(work)), RETRY_WITHIN).await
    }
}

/// When the rows were read, in words: it is another moment than the rest of the migration.
pub fn read_at(retried: &Retried) -> String {
    match retried.batches.first() {
        Some(batch) => format!(
            "from the source as it was at {}",
            batch.started_at.format("%Y-%m-%dT%H:%M:%SZ")
        ),
        None => "from the source as it was then".to_owned(),
    }
}

/// Whether a failed try was the last one.
pub fn is_last_try(failure: &Failure, tries: u32, max_retries: u32) -> bool {
    let can_pass = match policy(failure.kind).0 {
        Policy::Retry | Policy::Stop => true,
        Policy::Operator => false,
    };
    !can_pass || tries > max_retries
}

/// Works off every retry of a migration that does not run, until none is left that can be done now.
///
/// # Errors
/// The metadata's and the lease store's failures, and the first of an agent's; what was done is stored.
pub async fn work_off<L: LeaseStore>(
    job: &Job,
    lease: &L,
    leadership: &Leadership,
) -> Result<(), Failure> {
    let state = read_state(&job.crew, &job.compiled.name).await?;
    let state = state.ok_or_else(|| {
        Failure::new(
            FailureKind::IdentityChanged,
            "the destination knows nothing of this migration",
        )
    })?;
    era::settle(&job.store, lease, leadership, state.highest_token).await?;
    job.brief(None)?;
    job.catch_up(&state.partitions).await?;
    let mut run = job.work(&state.partitions, 1).await?;
    if job.migration.status == MigrationStatus::Completed {
        run.foreign_keys = Step::Done;
        run.finish = Step::Done;
    }
    while let Some(retry) = next(job, &run).await? {
        let token = lease
            .mint(leadership)
            .await
            .map_err(|error| lease_failure(&error))?;
        let answered = Ask::new(&retry, token).put(&job.crew).await;
        match answered {
            Ok(QueryAnswer::Retried(retried)) => settle(job, &retry, *retried).await?,
            Ok(_) => return Err(misfit()),
            Err(failure) => {
                warn!(entity = %retry.entity, reason = %failure, "rows cannot be tried again");
                let tries = u32::try_from(retry.tries).unwrap_or_default() + 1;
                let is_last = is_last_try(&failure, tries, job.compiled.limits.max_retries);
                let noted = job
                    .store
                    .fail_retry(retry.retry_id, &failure.message, is_last)
                    .await;
                noted.map_err(|error| error.failure())?;
                if !is_last {
                    return Err(failure);
                }
            }
        }
    }
    Ok(())
}

/// The next retry that can be done as things are.
async fn next(job: &Job, run: &RunWork) -> Result<Option<Retry>, Failure> {
    let open = job.store.retries(job.migration.id, None).await;
    let open = open.map_err(|error| error.failure())?;
    let can = |retry: &Retry| {
        let entity = run.entity(&retry.entity);
        entity.is_some_and(|entity| run.can_retry(entity))
    };
    Ok(open.into_iter().find(can))
}

/// Stores what came of a retry: its batches first, then what became of the errors.
async fn settle(job: &Job, retry: &Retry, retried: Retried) -> Result<(), Failure> {
    let words = read_at(&retried);
    let tick = Tick {
        max_retries: job.max_retries(),
        batches: retried.batches,
        ..Tick::default()
    };
    if !tick.batches.is_empty() {
        job.persist(&tick).await.map_err(|error| error.failure())?;
    }
    end(job, retry, (&retried.resolved, &words)).await.map(drop)
}

/// Stores what became of a retry's errors, once its batches are stored; ids of retries that follow from it.
pub async fn end(
    job: &Job,
    retry: &Retry,
    (resolved, words): (&[proto::domain::frame::Resolved], &str),
) -> Result<Vec<Uuid>, Failure> {
    let ended = job.store.end_retry(retry, (resolved, words)).await;
    let ended = ended.map_err(|error| error.failure())?;
    info!(entity = %retry.entity, written = ended.written, released = ended.released.len(), "rows were tried again");
    Ok(ended.released.iter().map(|retry| retry.retry_id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_given_up_where_only_the_operator_can_help_or_too_often() {
        let failure = |kind| Failure::new(kind, "");
        assert!(is_last_try(&failure(FailureKind::Denied), 1, 5));
        assert!(!is_last_try(&failure(FailureKind::Unreachable), 5, 5));
        assert!(is_last_try(&failure(FailureKind::Unreachable), 6, 5));
        assert!(!is_last_try(&failure(FailureKind::Fenced), 1, 5));
    }
}
