//! What operators wish of a run while it goes on: of single entities, of settings, of rows that failed. It is read
//! again every moment, so that it does not matter who wrote it, or when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto::domain::compiled::CompiledPlan;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{Counts, PartitionState, Query, QueryAnswer, Retried};
use proto::domain::key::KeyRange;
use proto::domain::record::{EntityIntent, EntityMigrationStatus, EntityStatus};
use proto::domain::settings::Overrides;
use proto::lease::LeaseStore;
use tracing::{info, warn};
use uuid::Uuid;

use super::Reconciler;
use crate::fleet::misfit;
use crate::intake::{Consequence, judge};
use crate::prepare::{SHORT, hold_of, partition_work};
use crate::quiesce::within;
use crate::retry;
use crate::schedule::{Hold, Moment, Step};
use crate::store::{Retry, Wishes};

/// How often it is looked what operators wish.
const LOOK: Duration = Duration::from_millis(500);

/// What was seen of operators' wishes.
#[derive(Debug, Default)]
pub(super) struct Seen {
    next: Moment,
    /// Settings in force; none before the first look.
    overrides: Option<Overrides>,
    /// Retries of the run, by partition.
    retries: BTreeMap<Uuid, Retry>,
    /// Entities that are being drained, and since when.
    draining: BTreeMap<String, Moment>,
}

impl<L: LeaseStore> Reconciler<L> {
    /// Looks what operators wish, now and then, and brings the run in line with it.
    pub(super) async fn heed_operator(&mut self) -> Result<(), Failure> {
        let now = self.begun.elapsed();
        if now < self.operator.next {
            return Ok(());
        }
        self.operator.next = now + LOOK;
        let wishes = self.job.store.wishes(self.job.migration.id).await;
        let wishes = wishes.map_err(|error| error.failure())?;
        if self.ending.is_some() {
            self.drained_by = self.stopping_since + within(wishes.drain_seconds);
            return Ok(());
        }
        self.heed_settings(&wishes).await?;
        for row in &wishes.entities {
            self.heed_entity(row).await?;
        }
        self.heed_retries(wishes.retries);
        Ok(())
    }

    /// How long agents may take to give back what they hold.
    pub(super) async fn drain_within(&self) -> Result<Duration, Failure> {
        let seconds = self.job.store.drain_seconds(self.job.migration.id).await;
        Ok(within(seconds.map_err(|error| error.failure())?))
    }

    /// Settings take effect at the next batch: what agents hold they give back, and get again under the new ones.
    async fn heed_settings(&mut self, wishes: &Wishes) -> Result<(), Failure> {
        let is_first = self.operator.overrides.is_none();
        if self.operator.overrides.as_ref() == Some(&wishes.overrides) {
            return Ok(());
        }
        self.operator.overrides = Some(wishes.overrides.clone());
        if is_first && Overrides::stored(&self.job.migration.configuration) == wishes.overrides {
            // What agents hold already may be from before they were changed.
            if wishes.overrides != Overrides::default() && self.run.running() > 0 {
                self.job.crew.drain();
            }
            return Ok(());
        }
        let Some(mut plan) = self.plan().await? else {
            return Ok(());
        };
        wishes.overrides.apply(&mut plan);
        info!(settings = ?wishes.overrides.describe(), "settings are changed");
        let must_drain = concerns_agents(&self.job.compiled, &plan);
        self.job.compiled = plan;
        for entity in &mut self.run.entities {
            if let Some(compiled) = self.job.compiled.entity(&entity.entity) {
                entity.max_quarantined = compiled.settings.max_quarantined;
            }
        }
        self.note(Some(format!(
            "settings: {}",
            match wishes.overrides.describe().as_slice() {
                [] => "as the plan says".to_owned(),
                lines => lines.join(", "),
            }
        )));
        if must_drain {
            self.job.crew.rebrief(&self.job.compiled);
            self.job.crew.drain();
        }
        let names: Vec<String> = self
            .run
            .entities
            .iter()
            .map(|it| it.entity.clone())
            .collect();
        for entity in names {
            let consequence = judge(&self.run, &entity);
            self.follow(consequence).await?;
        }
        Ok(())
    }

    /// The plan without any operator's settings.
    async fn plan(&self) -> Result<Option<CompiledPlan>, Failure> {
        let stored = self.job.store.plan(self.job.migration.id).await;
        let stored = stored.map_err(|error| error.failure())?;
        Ok(stored.and_then(|plan| plan.compiled))
    }

    async fn heed_entity(&mut self, row: &EntityMigrationStatus) -> Result<(), Failure> {
        let wanted = hold_of(row);
        let Some(work) = self.run.entity_mut(&row.entity) else {
            return Ok(());
        };
        let before = std::mem::replace(&mut work.hold, wanted);
        if before != wanted {
            info!(entity = %row.entity, ?wanted, "an operator wishes something of an entity");
            if before == Hold::Skipped {
                work.hold = before;
                return self.bring_back(row, wanted).await;
            }
            work.closing = match wanted {
                Hold::Skipped => Step::OPEN,
                Hold::None | Hold::Paused => Step::Done,
            };
        }
        if wanted == Hold::None {
            self.operator.draining.remove(&row.entity);
            return Ok(());
        }
        self.drain_entity(&row.entity, before != wanted);
        let is_idle = self
            .run
            .entity(&row.entity)
            .is_some_and(|work| work.is_idle());
        if wanted == Hold::Paused && is_idle && row.intent_reached_at.is_none() {
            self.reach_pause(&row.entity).await?;
        }
        Ok(())
    }

    /// Has agents give an entity's partitions back; what they keep too long is taken from them, and fenced after
    /// that. Others of theirs come back with them and are handed out again.
    fn drain_entity(&mut self, entity: &str, is_new: bool) {
        let now = self.begun.elapsed();
        let since = *self
            .operator
            .draining
            .entry(entity.to_owned())
            .or_insert(now);
        let Some(work) = self.run.entity_mut(entity) else {
            return;
        };
        let running = work
            .partitions
            .iter_mut()
            .filter(|part| part.step.is_running());
        let is_late = now >= since + within(None);
        let mut holders = BTreeSet::new();
        for partition in running {
            holders.extend(partition.holder);
            if is_late {
                partition.step.reopen();
                partition.in_flight = 0;
                if let Some(holder) = partition.holder.take() {
                    self.job.crew.take_from(holder, partition.partition_id);
                }
            }
        }
        if is_new {
            holders
                .iter()
                .for_each(|holder| self.job.crew.drain_holder(*holder));
        }
    }

    /// Nobody works on the entity: whoever thinks so is fenced off, then it is paused.
    async fn reach_pause(&mut self, entity: &str) -> Result<(), Failure> {
        let Some(work) = self.run.entity(entity) else {
            return Ok(());
        };
        let open = work
            .partitions
            .iter()
            .filter(|part| part.step != Step::Done);
        let open: Vec<Uuid> = open.map(|part| part.partition_id).collect();
        match self.seal_some(open).await {
            Ok(()) => {
                let id = self.job.migration.id;
                let reached = self
                    .job
                    .store
                    .reach_intent(id, entity, EntityIntent::Paused);
                reached.await.map_err(|error| error.failure())
            }
            Err(failure) if failure.kind == FailureKind::Fenced => Err(failure),
            Err(failure) => {
                warn!(entity, reason = %failure, "the entity cannot be paused yet");
                Ok(())
            }
        }
    }

    /// An entity that was skipped comes in again: its partitions are opened first.
    async fn bring_back(
        &mut self,
        row: &EntityMigrationStatus,
        wanted: Hold,
    ) -> Result<(), Failure> {
        let query = Query::CloseEntity {
            entity: row.entity.clone(),
            attempt: self.job.migration.attempt,
            is_open: true,
        };
        match self.job.ask(query, SHORT).await {
            Ok(QueryAnswer::Done) => {
                if let Some(work) = self.run.entity_mut(&row.entity) {
                    work.hold = wanted;
                    work.closing = Step::Done;
                }
                let all = EntityStatus::ALL.iter();
                for status in all {
                    self.status.remove(&(row.entity.clone(), *status));
                }
                Ok(())
            }
            Ok(_) => Err(misfit()),
            Err(failure) => {
                // The next look tries it again.
                warn!(entity = %row.entity, reason = %failure, "the entity cannot come in yet");
                Ok(())
            }
        }
    }

    /// What is left of a skipped entity is closed.
    pub(super) async fn closed(&mut self, entity: &str) -> Result<(), Failure> {
        self.operator.draining.remove(entity);
        let id = self.job.migration.id;
        let reached = self
            .job
            .store
            .reach_intent(id, entity, EntityIntent::Skipped);
        reached.await.map_err(|error| error.failure())
    }

    /// Rows to be tried again become steps of the run.
    fn heed_retries(&mut self, retries: Vec<Retry>) {
        for retry in retries {
            let Some(work) = self.run.entity_mut(&retry.entity) else {
                continue;
            };
            let is_known = self.operator.retries.contains_key(&retry.retry_id);
            if is_known {
                continue;
            }
            work.retries
                .retain(|part| part.partition_id != retry.retry_id);
            work.retries.push(partition_work(&PartitionState {
                partition_id: retry.retry_id,
                entity: retry.entity.clone(),
                number: retry.number,
                range: KeyRange::default(),
                seq: 0,
                cursor: None,
                is_done: false,
                is_closed: false,
                token: 0,
                totals: Counts::default(),
            }));
            self.operator.retries.insert(retry.retry_id, retry);
        }
    }

    /// The retry behind a partition.
    pub(super) fn retry_of(&self, partition_id: Uuid) -> Option<&Retry> {
        self.operator.retries.get(&partition_id)
    }

    /// Takes in what came of a retry: its batches are stored first.
    pub(super) async fn retried(
        &mut self,
        partition_id: Uuid,
        retried: Retried,
    ) -> Result<(), Failure> {
        let words = retry::read_at(&retried);
        for report in retried.batches {
            let consequence = self.intake.batch(&mut self.run, report);
            self.follow(consequence).await?;
        }
        self.tick().await?;
        let Some(known) = self.operator.retries.get(&partition_id).cloned() else {
            return Ok(());
        };
        let released = retry::end(&self.job, &known, (&retried.resolved, &words)).await?;
        if !released.is_empty() || self.has_children(&known.entity) {
            // Children that are being copied know of parents that failed and no longer do.
            self.job.crew.rebrief(&self.job.compiled);
            self.job.crew.drain();
        }
        self.operator.next = Moment::ZERO;
        self.judge_again(&known.entity).await
    }

    /// Every row of an entity is there: those that were held by a batch that was under way while their parent was
    /// tried again are tried, too.
    pub(super) async fn release_late(&mut self, entity: &str) -> Result<(), Failure> {
        let retries: Vec<Uuid> = self.operator.retries.keys().copied().collect();
        if retries.is_empty() {
            return Ok(());
        }
        let id = self.job.migration.id;
        let released = self.job.store.release_late(id, entity, &retries).await;
        if released.map_err(|error| error.failure())? > 0 {
            self.operator.next = Moment::ZERO;
        }
        Ok(())
    }

    /// A retry did not work; it is tried again, or given up: that is no reason to stop the run.
    pub(super) async fn retry_failed(
        &mut self,
        partition_id: Uuid,
        failure: &Failure,
        tries: u32,
    ) -> Result<Consequence, Failure> {
        let is_last = retry::is_last_try(failure, tries, self.job.compiled.limits.max_retries);
        let noted = self
            .job
            .store
            .fail_retry(partition_id, &failure.message, is_last)
            .await;
        noted.map_err(|error| error.failure())?;
        if !is_last {
            return Ok(Consequence::None);
        }
        if let Some(partition) = self.run.partition_mut(partition_id) {
            partition.step = Step::Done;
        }
        let entity = self
            .retry_of(partition_id)
            .map(|retry| retry.entity.clone());
        if let Some(entity) = entity {
            self.judge_again(&entity).await?;
        }
        Ok(Consequence::None)
    }

    /// An entity whose judgement waited for its retries is judged once they are done.
    async fn judge_again(&mut self, entity: &str) -> Result<(), Failure> {
        let consequence = judge(&self.run, entity);
        self.follow(consequence).await
    }

    /// Entities that are not copied yet refer to this one.
    fn has_children(&self, parent: &str) -> bool {
        let mut entities = self.run.entities.iter();
        entities.any(|entity| {
            !entity.is_copied() && entity.dependencies.iter().any(|name| name == parent)
        })
    }
}

/// Whether agents work by what has changed: limits of quarantined rows, and more lanes, are the controller's.
fn concerns_agents(before: &CompiledPlan, after: &CompiledPlan) -> bool {
    let (old, new) = (&before.limits, &after.limits);
    let sizes = |plan: &CompiledPlan| -> Vec<u32> {
        let entities = plan.entities.iter();
        entities.map(|entity| entity.settings.batch_size).collect()
    };
    old.max_rows_per_second != new.max_rows_per_second
        || old.max_retries != new.max_retries
        || new.parallel_partitions < old.parallel_partitions
        || sizes(before) != sizes(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::domain::compiled::{Consistency, Limits};

    #[test]
    fn agents_are_drained_only_for_what_they_work_by() {
        let plan = CompiledPlan {
            name: "p".to_owned(),
            namespace: Uuid::nil(),
            source: "s".to_owned(),
            destination: "d".to_owned(),
            consistency: Consistency::Snapshot,
            limits: Limits {
                parallel_partitions: 4,
                max_retries: 5,
                max_rows_per_second: None,
                source_max_lag_seconds: None,
            },
            entities: Vec::new(),
            checks: Vec::new(),
            has_own_checks: false,
            is_cleanup: false,
            schema_changes: Vec::new(),
            warnings: Vec::new(),
        };
        let with = |change: fn(&mut Limits)| {
            let mut other = plan.clone();
            change(&mut other.limits);
            concerns_agents(&plan, &other)
        };
        assert!(!with(|_| {}));
        assert!(!with(|limits| limits.parallel_partitions = 8));
        assert!(with(|limits| limits.parallel_partitions = 2));
        assert!(with(|limits| limits.max_rows_per_second = Some(100)));
        assert!(with(|limits| limits.max_retries = 1));
    }
}
