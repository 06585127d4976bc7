//! A checkpoint as a line of a list.

use chrono::{DateTime, Utc};
use proto::domain::record::MigrationCheckpoint;

use super::{short, yes};
use crate::render::{Column, Row, human, left, right};

impl Row for MigrationCheckpoint {
    const COLUMNS: &'static [Column] = &[
        left("id"),
        left("entity"),
        left("type"),
        right("batch"),
        right("rows"),
        left("last-key"),
        left("resumable"),
        right("age"),
        left("source").wide(),
        left("state").wide(),
    ];

    fn cells(&self, now: DateTime<Utc>) -> Vec<String> {
        vec![
            short(self.id),
            self.entity.clone(),
            self.checkpoint_type.to_string(),
            self.batch_number.to_string(),
            self.records_processed.to_string(),
            human::clip(self.last_source_id.as_deref().unwrap_or_default(), 40),
            yes(self.is_resumable),
            human::age(self.created_at, now),
            self.entity_name.clone(),
            self.system_state.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}
