//! Begins what the schedule says, and takes in how it ended.

use std::time::Duration;

use proto::domain::compiled::{CompiledPlan, ConsistencyHeld};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{Assignment, Query, QueryAnswer};
use proto::domain::schema_change::{Consent, Moment};
use proto::lease::{Assigned, LeaseError, LeaseStore, PartitionKey};
use tracing::{Instrument, info_span, warn};
use uuid::Uuid;

use super::{Ending, Reconciler, Wish};
use crate::era::lease_failure;
use crate::intake::{Consequence, consequence};
use crate::retry::Ask;
use crate::schedule::{Action, Step};
use crate::schema::{self, SchemaWork};

/// How often it is looked whether the agent that held the snapshot is back.
const RETURNS: Duration = Duration::from_millis(500);
/// Rebuilds of large tables take their time.
const REBUILD_DEADLINE: Duration = Duration::from_secs(12 * 3600);

impl<L: LeaseStore> Reconciler<L> {
    /// Begins everything that can begin now.
    pub(super) async fn begin_work(&mut self) -> Result<(), Failure> {
        if self.ending.is_some() {
            return Ok(());
        }
        self.run.lanes = self
            .job
            .crew
            .lanes(self.job.compiled.limits.parallel_partitions);
        if self.run.lanes == 0 {
            return Ok(());
        }
        if self.renewal != Step::Done && !self.renew_snapshot().await? {
            return Ok(());
        }
        for action in self.run.next_actions(self.begun.elapsed()) {
            if let Some(step) = self.run.step_mut(&action) {
                step.begin();
            }
            self.begin(action).await?;
        }
        Ok(())
    }

    /// Has a snapshot held again, once nothing runs under the old one; true when work can go on.
    async fn renew_snapshot(&mut self) -> Result<bool, Failure> {
        let now = self.begun.elapsed();
        if self.run.running() > 0 || !self.renewal.can_begin(now) {
            return Ok(false);
        }
        if self.may_return().await {
            self.renewal = Step::Open {
                tries: self.renewal.tries(),
                not_before: now + RETURNS,
            };
            return Ok(false);
        }
        let is_read = self.is_read();
        let mut wishes = self.links.wishes.clone();
        let ordered = tokio::select! {
            biased;
            // It is heeded first; what was ordered is ordered again then.
            _ = wishes.wait_for(|wish| *wish != Wish::Run) => return Ok(false),
            ordered = self.job.order_run(is_read) => ordered,
        };
        match ordered {
            Ok(ordered) => {
                self.renewal = Step::Done;
                self.former_holder = None;
                self.snapshot_holder = ordered.snapshot_holder;
                self.note(ordered.note);
                if ordered.is_new_snapshot {
                    self.run.forget_counts();
                }
                return Ok(true);
            }
            Err(failure) => {
                warn!(reason = %failure, "the source's snapshot cannot be held yet");
                let delay = self.backoff.delay(4, rand::random());
                let tries = self.renewal.fail(now + delay);
                let can_wait = match failure.kind {
                    FailureKind::NoAgent => true,
                    FailureKind::Unreachable => tries <= self.job.compiled.limits.max_retries,
                    _ => false,
                };
                if !can_wait {
                    self.stop(Ending::Blocked {
                        entity: None,
                        failure,
                    })
                    .await?;
                }
            }
        }
        Ok(false)
    }

    /// Whether the agent that held the snapshot lives and only lost its stream: another snapshot would not
    /// show the same rows.
    async fn may_return(&mut self) -> bool {
        let Some(former) = self.former_holder else {
            return false;
        };
        if !self.job.crew.snapshot_holders().is_empty() {
            return false;
        }
        match self.links.lease.agents().await {
            Ok(alive) => alive.iter().any(|agent| agent.holder == former),
            Err(_) => true,
        }
    }

    async fn begin(&mut self, action: Action) -> Result<(), Failure> {
        let query = match &action {
            Action::Assign(partition_id) => return self.assign(*partition_id).await,
            Action::Settle(entity) => {
                let part = self
                    .run
                    .entity(entity)
                    .and_then(|work| work.settling.as_ref());
                let Some(partition_id) = part.map(|part| part.partition_id) else {
                    return Ok(());
                };
                let minted = self.links.lease.mint(&self.links.leadership).await;
                Query::Settle {
                    entity: entity.clone(),
                    partition_id,
                    token: minted.map_err(|error| lease_failure(&error))?,
                }
            }
            Action::Retry(partition_id) => return self.begin_retry(*partition_id).await,
            Action::Close(entity) => Query::CloseEntity {
                entity: entity.clone(),
                attempt: self.job.migration.attempt,
                is_open: false,
            },
            Action::RebuildKeys(entity) => Query::RebuildKeys {
                entity: entity.clone(),
            },
            Action::WatchSource => Query::WatchSource {
                migration_id: self.job.migration.id,
                tables: self.job.source_tables(),
                is_end: true,
            },
            Action::RebuildForeignKeys => Query::RebuildForeignKeys,
            Action::ChangeSchema => {
                self.change_schema();
                return Ok(());
            }
            Action::Finish => Query::FinishRun {
                migration_id: self.job.migration.id,
            },
        };
        let crew = self.job.crew.clone();
        let span = info_span!("step", action = ?action);
        let migration_id = self.job.migration.id;
        let is_end = matches!(query, Query::FinishRun { .. });
        let step = async move {
            let answer = crew.ask_someone(query, REBUILD_DEADLINE).await;
            if is_end && answer.is_ok() {
                // Whoever holds the snapshot lets it go, too.
                crew.fleet().forget(migration_id);
            }
            (action, answer.map(|(_, answer)| answer))
        };
        self.steps.spawn(step.instrument(span));
        Ok(())
    }

    /// Makes the schema changes whose moment has come; whatever needs the operator's word blocks the run.
    fn change_schema(&mut self) {
        let work = SchemaWork::of(&self.job);
        let moments = after_the_data(&self.job.compiled);
        self.steps.spawn(async move {
            let made = async {
                schema::apply(&work, moments, &Consent::default()).await?;
                work.sync().await
            };
            (Action::ChangeSchema, made.await.map(|_| QueryAnswer::Done))
        });
    }

    /// Has an agent try rows again that failed.
    async fn begin_retry(&mut self, partition_id: Uuid) -> Result<(), Failure> {
        let minted = self.links.lease.mint(&self.links.leadership).await;
        let token = minted.map_err(|error| lease_failure(&error))?;
        let Some(retry) = self.retry_of(partition_id) else {
            return Ok(());
        };
        let (ask, crew) = (Ask::new(retry, token), self.job.crew.clone());
        let action = Action::Retry(partition_id);
        let span = info_span!("step", action = ?action);
        let step = async move { (action, ask.put(&crew).await) };
        self.steps.spawn(step.instrument(span));
        Ok(())
    }

    /// Assigns a partition to the least busy agent: in the lease store first, then over its stream.
    async fn assign(&mut self, partition_id: Uuid) -> Result<(), Failure> {
        let migration_id = self.job.migration.id;
        let holder = self.job.crew.next_holder();
        let Some(entity) = self.run.entity_of(partition_id) else {
            return Ok(());
        };
        let limits = &self.job.compiled.limits;
        let rate = share_of_rate(limits.max_rows_per_second, self.job.crew.workers());
        let (name, entity_hash) = (entity.entity.clone(), entity.entity_hash.clone());
        let Some(partition) = self.run.partition_mut(partition_id) else {
            return Ok(());
        };
        let Some(holder) = holder else {
            partition.step.reopen();
            return Ok(());
        };
        partition.generation += 1;
        partition.holder = Some(holder);
        let generation = partition.generation;
        let assignment = Assignment {
            migration_id,
            partition_id,
            entity: name,
            entity_hash,
            range: partition.range.clone(),
            generation,
            max_rows_per_second: rate,
        };
        let key = PartitionKey {
            migration_id,
            partition_id,
        };
        let assigned = Assigned { holder, generation };
        let stored = self
            .links
            .lease
            .assign(&self.links.leadership, key, assigned)
            .await;
        let sent = match stored {
            Ok(()) => self.job.crew.assign(holder, assignment),
            Err(error @ LeaseError::Deposed) => return Err(lease_failure(&error)),
            Err(error) => Err(lease_failure(&error)),
        };
        if let Err(failure) = sent {
            warn!(%partition_id, %holder, reason = %failure, "a partition cannot be assigned yet");
            let delay = self.backoff.delay(3, rand::random());
            let not_before = self.begun.elapsed() + delay;
            if let Some(partition) = self.run.partition_mut(partition_id) {
                partition.holder = None;
                partition.step.postpone(not_before);
            }
        }
        Ok(())
    }

    /// An answer that was lost told of batches that the one after it does not repeat.
    async fn check_settled(&mut self, action: &Action) -> Result<(), Failure> {
        let Action::Settle(first) = action else {
            return Ok(());
        };
        let Some(first) = self.run.entity(first) else {
            return Ok(());
        };
        let settling = self.run.knot(first).filter_map(|it| it.settling.as_ref());
        let unseen = settling.filter(|part| !part.is_last_seen);
        let unseen: Vec<Uuid> = unseen.map(|part| part.partition_id).collect();
        for partition_id in unseen {
            self.follow(Consequence::CatchUp(partition_id)).await?;
        }
        Ok(())
    }

    pub(super) async fn step_ended(
        &mut self,
        done: Result<(Action, Result<QueryAnswer, Failure>), tokio::task::JoinError>,
    ) -> Result<(), Failure> {
        let (action, answer) = done.map_err(|error| {
            Failure::new(
                FailureKind::Internal,
                format!("a step ended by itself: {error}"),
            )
        })?;
        let answer = match answer {
            Ok(answer) => {
                if let Some(step) = self.run.step_mut(&action) {
                    *step = Step::Done;
                }
                match (&action, answer) {
                    (Action::WatchSource, _) => {
                        return self.job.held(ConsistencyHeld::Frozen).await;
                    }
                    (Action::Close(entity), _) => return self.closed(&entity.clone()).await,
                    (Action::Retry(partition_id), QueryAnswer::Retried(retried)) => {
                        return self.retried(*partition_id, *retried).await;
                    }
                    (_, answer) => answer,
                }
            }
            Err(failure) => {
                return self.step_failed(action, failure).await;
            }
        };
        let QueryAnswer::Settled(reports) = answer else {
            return Ok(());
        };
        if let Action::Settle(first) = &action {
            self.run.knot_settled(first);
        }
        for report in reports {
            let consequence = self.intake.batch(&mut self.run, report);
            self.follow(consequence).await?;
        }
        self.check_settled(&action).await
    }

    async fn step_failed(&mut self, action: Action, failure: Failure) -> Result<(), Failure> {
        let now = self.begun.elapsed();
        warn!(?action, reason = %failure, "a step failed");
        let entity = match &action {
            Action::Settle(entity) | Action::RebuildKeys(entity) | Action::Close(entity) => {
                Some(entity.clone())
            }
            Action::Assign(_)
            | Action::Retry(_)
            | Action::WatchSource
            | Action::RebuildForeignKeys
            | Action::ChangeSchema
            | Action::Finish => None,
        };
        let failed = self.run.step_mut(&action).map_or(0, |step| step.tries()) + 1;
        let delay = self.backoff.delay(failed, rand::random());
        let tries = self
            .run
            .step_mut(&action)
            .map_or(0, |step| step.fail(now + delay));
        let limit = self.job.compiled.limits.max_retries;
        let consequence = match action {
            Action::Retry(partition_id) => self.retry_failed(partition_id, &failure, tries).await?,
            _ => consequence(entity, failure, tries, limit),
        };
        self.follow(consequence).await
    }
}

/// Moments that come before the end of a run; a clean-up leaves nothing for later.
fn after_the_data(plan: &CompiledPlan) -> &'static [Moment] {
    match plan.is_cleanup {
        true => &Moment::ALL,
        false => &[Moment::After],
    }
}

/// A worker's share of the rows a second; never none.
fn share_of_rate(limit: Option<u32>, workers: usize) -> Option<u32> {
    let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
    limit.map(|limit| (limit / workers).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_the_rate_and_none_is_left_without() {
        assert_eq!(share_of_rate(None, 3), None);
        assert_eq!(share_of_rate(Some(1000), 0), Some(1000));
        assert_eq!(share_of_rate(Some(1000), 3), Some(333));
        assert_eq!(share_of_rate(Some(2), 3), Some(1));
    }
}
