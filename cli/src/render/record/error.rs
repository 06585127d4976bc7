//! An error as a line of a list, and with all it says.

use chrono::{DateTime, SecondsFormat, Utc};
use proto::domain::record::MigrationError;

use super::{short, yes};
use crate::render::details::Details;
use crate::render::{Column, Row, human, left, right};

impl Row for MigrationError {
    const COLUMNS: &'static [Column] = &[
        left("id"),
        left("entity"),
        left("type"),
        left("code"),
        left("key"),
        left("message"),
        right("age").wide(),
        right("attempt").wide(),
        left("batch").wide(),
        left("resolved").wide(),
    ];

    fn cells(&self, now: DateTime<Utc>) -> Vec<String> {
        vec![
            short(self.id),
            self.entity.clone().unwrap_or_default(),
            self.error_type.to_string(),
            self.error_code.clone(),
            human::clip(self.source_record_id.as_deref().unwrap_or_default(), 40),
            human::clip(&self.error_message, 60),
            human::age(self.occurred_at, now),
            self.attempt
                .map_or_else(String::new, |attempt| attempt.to_string()),
            self.batch_id.map_or_else(String::new, short),
            yes(self.is_resolved),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

/// Everything about one error.
pub fn details(error: &MigrationError) -> String {
    let mut details = Details::default();
    details
        .add("id", error.id)
        .add("migration", error.migration_id)
        .add("entity", error.entity.as_deref().unwrap_or_default())
        .add("type", error.error_type)
        .add("code", &error.error_code)
        .add("message", &error.error_message)
        .add("key", error.source_record_id.as_deref().unwrap_or_default())
        .add(
            "occurred",
            error
                .occurred_at
                .to_rfc3339_opts(SecondsFormat::Millis, true),
        )
        .add(
            "batch",
            error.batch_id.map_or_else(String::new, |id| id.to_string()),
        )
        .add("resolved", yes(error.is_resolved))
        .add(
            "notes",
            error.resolution_notes.as_deref().unwrap_or_default(),
        )
        .json("row", &error.source_data)
        .json("context", &error.context);
    details.render()
}
