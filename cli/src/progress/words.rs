//! What progress looks like in words: pure functions of what the controller shows.

use controller::progress::{EntityProgress, ProgressView};
use proto::domain::record::EntityStatus;

use crate::render::human;

/// The line for the whole migration: phase, share, rows, rate, errors, ETA.
pub fn overall(view: &ProgressView) -> String {
    let totals = Totals::of(&view.entities);
    let mut parts = vec![
        view.name.clone(),
        view.phase.to_owned(),
        format!("{:.1}%", view.progress_percentage),
        format!("{}/{}{} rows", totals.done, totals.mark(), totals.total),
        human::rate(totals.rate),
    ];
    if totals.failed > 0 {
        parts.push(format!("{} failed", totals.failed));
    }
    if totals.running > 0 || totals.waiting > 0 {
        parts.push(format!(
            "{} running, {} waiting",
            totals.running, totals.waiting
        ));
    }
    if let Some(words) = &view.throttled {
        parts.push(format!("throttled: {words}"));
    }
    parts.push(format!(
        "ETA {}",
        totals.eta().map_or("-".to_owned(), human::seconds)
    ));
    parts.join("  ")
}

/// The line for an entity that has just ended, if it has.
pub fn ended(entity: &EntityProgress) -> Option<String> {
    let name = &entity.entity;
    match entity.status {
        EntityStatus::Completed => {
            let mut line = format!(
                "{name} completed: {} rows written",
                entity.records_processed
            );
            for (count, word) in [
                (entity.records_failed, "set aside"),
                (entity.records_filtered, "filtered"),
            ] {
                if count > 0 {
                    line.push_str(&format!(", {count} {word}"));
                }
            }
            Some(line)
        }
        EntityStatus::Skipped => Some(format!("{name} skipped")),
        EntityStatus::Failed => Some(format!("{name} failed")),
        EntityStatus::Pending | EntityStatus::Running => None,
    }
}

/// What stands beside an entity's bar.
pub(super) fn state(entity: &EntityProgress) -> String {
    let done = done(entity);
    match entity.status {
        EntityStatus::Pending if entity.waits_on.is_empty() => "waiting".to_owned(),
        EntityStatus::Pending => format!("waits on {}", entity.waits_on.join(", ")),
        EntityStatus::Skipped => "skipped".to_owned(),
        EntityStatus::Failed => "failed".to_owned(),
        EntityStatus::Completed => format!("{} rows{}", done, failed(entity)),
        EntityStatus::Running => {
            let mark = if entity.is_exact { "" } else { "~" };
            let percent = human::percent(done, entity.records_total);
            let rate = human::rate(entity.throughput_per_second);
            let eta = entity.eta_seconds.map_or("-".to_owned(), human::seconds);
            let step = match entity.step {
                "" | "copying" => String::new(),
                step => format!("  {step}"),
            };
            format!(
                "{done}/{mark}{}  {percent}  {rate}  ETA {eta}{}{step}",
                entity.records_total,
                failed(entity)
            )
        }
    }
}

/// Position and length of an entity's bar; full only when it is completed.
pub(super) fn position(entity: &EntityProgress) -> (u64, u64) {
    let total = unsigned(entity.records_total).max(1);
    match entity.status {
        EntityStatus::Completed | EntityStatus::Skipped => (total, total),
        EntityStatus::Pending => (0, total),
        EntityStatus::Running | EntityStatus::Failed => {
            (unsigned(done(entity) + entity.in_flight).min(total), total)
        }
    }
}

fn failed(entity: &EntityProgress) -> String {
    match entity.records_failed {
        0 => String::new(),
        count => format!("  {count} failed"),
    }
}

fn done(entity: &EntityProgress) -> i64 {
    entity.records_processed + entity.records_failed
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Sums over every entity that is not skipped.
#[derive(Debug, Default, PartialEq)]
struct Totals {
    done: i64,
    total: i64,
    failed: i64,
    running: usize,
    waiting: usize,
    is_estimate: bool,
    rate: Option<f64>,
}

impl Totals {
    fn of(entities: &[EntityProgress]) -> Self {
        let mut totals = Self::default();
        for entity in entities
            .iter()
            .filter(|entity| entity.status != EntityStatus::Skipped)
        {
            totals.done += done(entity);
            totals.total += entity.records_total;
            totals.failed += entity.records_failed;
            totals.is_estimate |= !entity.is_exact;
            match entity.status {
                EntityStatus::Running => {
                    totals.running += 1;
                    if let Some(rate) = entity.throughput_per_second {
                        totals.rate = Some(totals.rate.unwrap_or(0.0) + rate);
                    }
                }
                EntityStatus::Pending => totals.waiting += 1,
                EntityStatus::Completed | EntityStatus::Failed | EntityStatus::Skipped => {}
            }
        }
        totals
    }

    fn mark(&self) -> &'static str {
        if self.is_estimate { "~" } else { "" }
    }

    /// What is left, at the rate of now.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "an estimate"
    )]
    fn eta(&self) -> Option<i64> {
        let rate = self.rate.filter(|rate| *rate > 0.0)?;
        Some(((self.total - self.done).max(0) as f64 / rate).ceil() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(
        status: EntityStatus,
        total: i64,
        processed: i64,
        rate: Option<f64>,
    ) -> EntityProgress {
        EntityProgress {
            entity: "orders".to_owned(),
            status,
            step: "copying",
            records_total: total,
            is_exact: true,
            records_processed: processed,
            records_failed: 0,
            records_filtered: 0,
            in_flight: 0,
            throughput_per_second: rate,
            eta_seconds: Some(10),
            waits_on: Vec::new(),
        }
    }

    #[test]
    fn the_whole_counts_every_entity_but_the_skipped_ones() {
        let entities = [
            entity(EntityStatus::Running, 100, 40, Some(10.0)),
            entity(EntityStatus::Running, 100, 0, None),
            entity(EntityStatus::Pending, 50, 0, None),
            entity(EntityStatus::Skipped, 999, 0, None),
        ];
        let totals = Totals::of(&entities);
        assert_eq!((totals.done, totals.total), (40, 250));
        assert_eq!((totals.running, totals.waiting), (2, 1));
        assert_eq!(totals.eta(), Some(21));
        let view = ProgressView {
            name: "clinic".to_owned(),
            phase: "copying",
            progress_percentage: 16.04,
            entities: entities.to_vec(),
            ..ProgressView::default()
        };
        assert_eq!(
            overall(&view),
            "clinic  copying  16.0%  40/250 rows  10/s  2 running, 1 waiting  ETA 21s"
        );
    }

    #[test]
    fn nothing_known_is_a_dash_and_never_a_zero() {
        let totals = Totals::of(&[entity(EntityStatus::Pending, 50, 0, None)]);
        assert_eq!((totals.rate, totals.eta()), (None, None));
        assert_eq!(
            Totals {
                rate: Some(0.0),
                total: 5,
                ..Totals::default()
            }
            .eta(),
            None
        );
    }

    #[test]
    fn a_waiting_entity_says_on_what() {
        let mut waiting = entity(EntityStatus::Pending, 50, 0, None);
        waiting.waits_on = vec!["profiles".to_owned(), "offices".to_owned()];
        assert_eq!(state(&waiting), "waits on profiles, offices");
        assert_eq!(position(&waiting), (0, 50));
    }

    #[test]
    fn a_running_entity_has_rows_rate_and_eta() {
        let mut running = entity(EntityStatus::Running, 120_000, 71_204, Some(5_100.0));
        assert_eq!(state(&running), "71204/120000  59.3%  5.1k/s  ETA 10s");
        running.records_failed = 3;
        running.is_exact = false;
        running.step = "settling";
        assert_eq!(
            state(&running),
            "71207/~120000  59.3%  5.1k/s  ETA 10s  3 failed  settling"
        );
    }

    #[test]
    fn a_bar_never_runs_over_its_end() {
        let mut running = entity(EntityStatus::Running, 10, 9, None);
        running.in_flight = 5;
        assert_eq!(position(&running), (10, 10));
        assert_eq!(
            position(&entity(EntityStatus::Completed, 0, 0, None)),
            (1, 1)
        );
        assert_eq!(
            position(&entity(EntityStatus::Running, -1, -1, None)),
            (0, 1)
        );
    }

    #[test]
    fn only_an_end_is_worth_a_line() {
        let mut done = entity(EntityStatus::Completed, 10, 7, None);
        done.records_failed = 3;
        assert_eq!(
            ended(&done).as_deref(),
            Some("orders completed: 7 rows written, 3 set aside")
        );
        assert_eq!(ended(&entity(EntityStatus::Running, 10, 7, None)), None);
    }
}
