//! What is shown of a run while it goes on.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proto::domain::record::EntityStatus;
use uuid::Uuid;

use crate::schedule::{EntityWork, Hold, Moment, RunWork, Step};

/// Throughput is the mean over this time.
const WINDOW: Duration = Duration::from_secs(60);

/// A run at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProgressView {
    /// The plan's name.
    pub name: String,
    /// The migration, once it is created.
    pub migration_id: Option<Uuid>,
    /// What is being done, in one word.
    pub phase: &'static str,
    /// 0 to 100.
    pub progress_percentage: f64,
    /// Every entity.
    pub entities: Vec<EntityProgress>,
    /// Things to be said once each, in order.
    pub notes: Vec<String>,
    /// What it cannot go on without, in words, while it waits for that.
    pub waits_for: Option<String>,
    /// What holds it up although it goes on, in words: a limit of the plan.
    pub throttled: Option<String>,
}

/// An entity at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityProgress {
    /// Its name.
    pub entity: String,
    /// Its status.
    pub status: EntityStatus,
    /// What is being done with it, in one word.
    pub step: &'static str,
    /// Rows it has or is thought to have.
    pub records_total: i64,
    /// They were counted.
    pub is_exact: bool,
    /// Rows that are written or skipped.
    pub records_processed: i64,
    /// Rows that failed, held ones included.
    pub records_failed: i64,
    /// Rows that `where` leaves out.
    pub records_filtered: i64,
    /// Rows read beyond the last batch.
    pub in_flight: i64,
    /// Rows per second over the last minute.
    pub throughput_per_second: Option<f64>,
    /// Seconds to go at that rate.
    pub eta_seconds: Option<i64>,
    /// Entities it waits for.
    pub waits_on: Vec<String>,
}

/// Rows per entity over the last minute.
#[derive(Debug, Default)]
pub struct Throughput {
    seen: BTreeMap<String, VecDeque<(Moment, i64)>>,
}

impl Throughput {
    /// Notes how many rows an entity has by now.
    pub fn observe(&mut self, entity: &str, rows: i64, now: Moment) {
        let seen = self.seen.entry(entity.to_owned()).or_default();
        seen.push_back((now, rows));
        while seen.len() > 2 && seen.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            seen.pop_front();
        }
    }

    /// Rows per second, once there are two moments to compare.
    pub fn rate(&self, entity: &str) -> Option<f64> {
        let seen = self.seen.get(entity)?;
        let ((from, before), (to, after)) = (seen.front()?, seen.back()?);
        let seconds = (*to - *from).as_secs_f64();
        (seconds > 0.0).then(|| (after - before) as f64 / seconds)
    }

    /// Rates of entities that move.
    pub fn rates(&self) -> Vec<(String, f64)> {
        self.seen
            .keys()
            .filter_map(|entity| Some((entity.clone(), self.rate(entity)?.max(0.0))))
            .collect()
    }
}

/// The entities of a run for the view; skipped ones are added by the caller.
pub fn entities(run: &RunWork, throughput: &Throughput) -> Vec<EntityProgress> {
    run.entities
        .iter()
        .map(|entity| {
            let totals = entity.totals();
            let done = totals.written + totals.skipped + totals.failed;
            let status = status(entity);
            let rate = match status {
                EntityStatus::Running => throughput.rate(&entity.entity),
                EntityStatus::Pending
                | EntityStatus::Completed
                | EntityStatus::Failed
                | EntityStatus::Skipped => None,
            };
            let left = (entity.records_total - done).max(0);
            EntityProgress {
                entity: entity.entity.clone(),
                status,
                step: step(run, entity),
                records_total: entity.records_total,
                is_exact: entity.is_exact,
                records_processed: totals.written + totals.skipped,
                records_failed: totals.failed,
                records_filtered: totals.filtered,
                in_flight: entity.all().map(|part| part.in_flight).sum(),
                throughput_per_second: rate,
                eta_seconds: rate
                    .filter(|rate| *rate > 0.0)
                    .map(|rate| (left as f64 / rate) as i64),
                waits_on: run.waits_on(entity),
            }
        })
        .collect()
}

/// Share of all rows that are accounted for; at most 99.9 until the run is finished.
pub fn percentage(run: &RunWork) -> f64 {
    if run.is_finished() {
        return 100.0;
    }
    let (mut done, mut total) = (0, 0);
    for entity in run.entities.iter().filter(|it| it.hold != Hold::Skipped) {
        let totals = entity.totals();
        let accounted = totals.written + totals.skipped + totals.failed;
        done += accounted;
        total += if entity.is_copied() {
            accounted
        } else {
            entity.records_total.max(accounted)
        };
    }
    if total == 0 {
        99.9
    } else {
        (done as f64 * 100.0 / total as f64).min(99.9)
    }
}

fn status(entity: &EntityWork) -> EntityStatus {
    let has_begun = entity
        .all()
        .any(|part| part.step != Step::OPEN || part.totals.read > 0);
    if entity.is_settled() && entity.hold == Hold::Skipped {
        EntityStatus::Skipped
    } else if entity.is_settled() {
        EntityStatus::Completed
    } else if has_begun {
        EntityStatus::Running
    } else {
        EntityStatus::Pending
    }
}

fn step(run: &RunWork, entity: &EntityWork) -> &'static str {
    if entity.hold == Hold::Skipped {
        "skipped"
    } else if entity.hold == Hold::Paused && !entity.is_copied() {
        "paused"
    } else if entity.is_complete() {
        "done"
    } else if entity.is_settled() {
        "rebuilding"
    } else if entity.is_copied() {
        "settling"
    } else if run.waits_on(entity).is_empty() {
        "copying"
    } else {
        "waiting"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_mean_over_the_last_minute() {
        let mut throughput = Throughput::default();
        for second in 0..=120 {
            throughput.observe(
                "e",
                second * 100,
                Duration::from_secs(second.unsigned_abs()),
            );
        }
        assert_eq!(throughput.rate("e"), Some(100.0));
        assert_eq!(throughput.rate("other"), None);
    }
}
