//! An entity as a line of a list.

use chrono::{DateTime, Utc};
use proto::domain::record::{EntityMigrationStatus, EntityStatus};

use crate::render::migration::entity_state;
use crate::render::{Column, Row, human, left, right};

impl Row for EntityMigrationStatus {
    const COLUMNS: &'static [Column] = &[
        left("entity"),
        left("state"),
        right("done/total"),
        right("%"),
        right("rate"),
        right("errors"),
        right("eta"),
        left("source").wide(),
        left("destination").wide(),
        right("filtered").wide(),
        right("skipped").wide(),
        right("held").wide(),
        right("batches").wide(),
        left("last-key").wide(),
        left("blocked").wide(),
    ];

    fn cells(&self, _now: DateTime<Utc>) -> Vec<String> {
        let done = self.records_processed + self.records_failed;
        let mark = if self.records_total_exact { "" } else { "~" };
        vec![
            self.entity.clone(),
            entity_state(self),
            format!("{done}/{mark}{}", self.records_total),
            human::percent(done, self.records_total),
            human::rate(Some(self.throughput_per_second)),
            self.records_failed.to_string(),
            eta_seconds(self).map_or_else(String::new, human::seconds),
            self.entity_name.clone(),
            self.target_entity.clone(),
            self.records_filtered.to_string(),
            self.records_skipped.to_string(),
            self.records_held.to_string(),
            self.last_batch_number.to_string(),
            human::clip(self.last_processed_id.as_deref().unwrap_or_default(), 40),
            human::clip(self.blocked_reason.as_deref().unwrap_or_default(), 60),
        ]
    }

    fn name(&self) -> String {
        self.entity.clone()
    }
}

/// Seconds to go at the rate of the last minute, while it is copied.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "an estimate"
)]
pub(crate) fn eta_seconds(entity: &EntityMigrationStatus) -> Option<i64> {
    let rate = entity.throughput_per_second;
    let is_moving = entity.status == EntityStatus::Running && rate.is_finite() && rate > 0.0;
    let left = entity.records_total - entity.records_processed - entity.records_failed;
    is_moving.then(|| (left.max(0) as f64 / rate).ceil() as i64)
}
