//! One metadata transaction a tick for everything that was reported; entities follow from their rows.

use std::time::Duration;

use proto::domain::compiled::CompiledEntity;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::record::EntityStatus;
use proto::lease::LeaseStore;
use tracing::{Instrument, info_span};

use super::{Ending, Reconciler};
use crate::progress::{self, EntityProgress};
use crate::schedule::{EntityWork, Hold};

/// What holds an agent up is told every second; it counts as long as it may be said again.
const THROTTLE_STANDS: Duration = Duration::from_secs(5);

impl<L: LeaseStore> Reconciler<L> {
    /// Persists what was reported and shows where the run stands.
    pub(super) async fn tick(&mut self) -> Result<(), Failure> {
        self.job.crew.vet_newcomers();
        self.block_where_nobody_fits().await?;
        self.give_up_expected().await?;
        self.catch_up().await?;
        self.observe();
        self.begin_entities().await?;
        if !self.intake.is_empty() {
            let mut tick = self.intake.take(self.job.max_retries());
            tick.throughput = self.rates();
            let span = info_span!("persist", batches = tick.batches.len());
            let outcome = self.job.persist(&tick).instrument(span).await;
            let outcome = outcome.map_err(|error| error.failure())?;
            for (partition_id, acked) in outcome.behind {
                self.job.replay(partition_id, acked, i64::MAX).await?;
            }
        }
        for (holder, batches) in std::mem::take(&mut self.intake.received) {
            self.job.crew.acknowledge(holder, batches);
        }
        for entity in std::mem::take(&mut self.intake.touched) {
            self.complete_entity(&entity).await?;
        }
        self.begin_entities().await?;
        self.share_snapshot();
        self.show();
        Ok(())
    }

    fn observe(&mut self) {
        let now = self.begun.elapsed();
        for entity in &self.run.entities {
            let totals = entity.totals();
            let rows = totals.written + totals.failed + totals.skipped;
            if rows > 0 && !entity.is_copied() {
                self.throughput.observe(&entity.entity, rows, now);
            }
        }
    }

    fn rates(&self) -> Vec<(String, f64)> {
        let mut rates = self.throughput.rates();
        rates.retain(|(entity, _)| self.intake.touched.contains(entity));
        rates
    }

    /// Entities that have begun are running in the metadata before their first batch is stored. In
    /// dependency order, and what is settled and stored is completed at once: a child may only be
    /// running when its parents are complete.
    async fn begin_entities(&mut self) -> Result<(), Failure> {
        let begun: Vec<EntityProgress> = progress::entities(&self.run, &self.throughput)
            .into_iter()
            .filter(|entity| entity.status != EntityStatus::Pending)
            .collect();
        for entity in begun {
            // One that is left out never begins, or not again.
            if entity.status != EntityStatus::Skipped {
                self.set_status(&entity.entity, EntityStatus::Running)
                    .await?;
            }
            if !self.intake.touched.contains(&entity.entity) {
                self.complete_entity(&entity.entity).await?;
            }
        }
        Ok(())
    }

    /// Marks an entity as completed, with its exact number of rows, once its rows are settled. Where
    /// they were counted under the same snapshot, as many must have been read.
    async fn complete_entity(&mut self, entity: &str) -> Result<(), Failure> {
        if self.has_status(entity, EntityStatus::Completed) {
            return Ok(());
        }
        let Some(work) = self.run.entity_mut(entity).filter(|work| work.is_settled()) else {
            return Ok(());
        };
        if work.hold == Hold::Skipped {
            return self.set_status(entity, EntityStatus::Skipped).await;
        }
        let read = work.totals().read;
        if work.is_exact && work.records_total != read && self.job.is_point_in_time() {
            let words = format!(
                "{entity} has {} rows in the snapshot, {read} were read",
                work.records_total
            );
            let failure = Failure::new(FailureKind::Internal, words);
            return self
                .stop(Ending::Blocked {
                    entity: Some(entity.to_owned()),
                    failure,
                })
                .await;
        }
        (work.records_total, work.is_exact) = (read, true);
        let id = self.job.migration.id;
        let total = self
            .job
            .store
            .set_entity_total(id, entity, read, true)
            .await;
        total.map_err(|error| error.failure())?;
        self.set_status(entity, EntityStatus::Completed).await?;
        self.release_late(entity).await
    }

    async fn set_status(&mut self, entity: &str, status: EntityStatus) -> Result<(), Failure> {
        if self.status.insert((entity.to_owned(), status)) {
            self.job
                .store
                .set_entity_status(self.job.migration.id, entity, status)
                .await
                .map_err(|error| error.failure())?;
        }
        Ok(())
    }

    /// What holds agents up, while they say so.
    fn throttled(&self) -> Option<String> {
        let (words, said) = self.intake.throttle.as_ref()?;
        (self.begun.elapsed() < *said + THROTTLE_STANDS).then(|| words.clone())
    }

    fn show(&self) {
        let mut entities = progress::entities(&self.run, &self.throughput);
        let skipped = self
            .job
            .compiled
            .entities
            .iter()
            .filter(|entity| !entity.is_active);
        entities.extend(skipped.map(skipped_progress));
        let is_rebuilding = self.run.entities.iter().all(EntityWork::is_settled);
        let phase = match (self.run.lanes, is_rebuilding) {
            (0, _) => "waiting for an agent",
            (_, true) => "rebuilding",
            (_, false) => "copying",
        };
        let waits_for = self.job.crew.want();
        let throttled = self.throttled();
        self.links.view.send_modify(|view| {
            view.phase = phase;
            view.waits_for = waits_for;
            if let (Some(words), None) = (&throttled, &view.throttled) {
                view.notes.push(format!("throttled: {words}"));
            }
            view.throttled = throttled;
            view.progress_percentage = progress::percentage(&self.run);
            view.entities = entities;
        });
    }
}

fn skipped_progress(entity: &CompiledEntity) -> EntityProgress {
    EntityProgress {
        entity: entity.entity.clone(),
        status: EntityStatus::Skipped,
        step: "skipped",
        records_total: 0,
        is_exact: true,
        records_processed: 0,
        records_failed: 0,
        records_filtered: 0,
        in_flight: 0,
        throughput_per_second: None,
        eta_seconds: None,
        waits_on: Vec::new(),
    }
}
