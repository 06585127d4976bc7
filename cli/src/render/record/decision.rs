//! Groups of errors, and retries, as lines of lists.

use chrono::{DateTime, Utc};
use proto::domain::record::{ErrorGroup, RetryProgress};

use super::short;
use crate::render::{Column, Row, human, left, right};

impl Row for ErrorGroup {
    const COLUMNS: &'static [Column] = &[
        left("entity"),
        left("code"),
        left("place"),
        right("count"),
        right("open"),
        left("example"),
        left("key"),
        left("message"),
        left("type").wide(),
        right("first").wide(),
        right("last").wide(),
    ];

    fn cells(&self, now: DateTime<Utc>) -> Vec<String> {
        vec![
            self.entity.clone().unwrap_or_default(),
            self.error_code.clone(),
            human::clip(self.place.as_deref().unwrap_or_default(), 40),
            self.count.to_string(),
            self.open.to_string(),
            short(self.example_id),
            human::clip(self.example_key.as_deref().unwrap_or_default(), 30),
            human::clip(&self.example_message, 60),
            self.error_type.to_string(),
            human::age(self.first_at, now),
            human::age(self.last_at, now),
        ]
    }

    fn name(&self) -> String {
        self.example_id.to_string()
    }
}

impl Row for RetryProgress {
    const COLUMNS: &'static [Column] = &[
        left("id"),
        left("entity"),
        left("state"),
        right("rows"),
        right("written"),
        right("failed"),
        right("gone"),
        left("problem"),
    ];

    fn cells(&self, _now: DateTime<Utc>) -> Vec<String> {
        vec![
            short(self.id),
            self.entity.clone(),
            self.state.to_string(),
            self.row_count.to_string(),
            self.rows_written.to_string(),
            self.rows_failed.to_string(),
            self.rows_gone.to_string(),
            human::clip(self.problem.as_deref().unwrap_or_default(), 60),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}
