//! A batch as a line of a list.

use chrono::{DateTime, Utc};
use proto::domain::record::BatchProcessingStatus;

use super::{age, short};
use crate::render::{Column, Row, human, left, right};

impl Row for BatchProcessingStatus {
    const COLUMNS: &'static [Column] = &[
        right("number"),
        left("state"),
        right("rows"),
        right("ok"),
        right("failed"),
        right("took"),
        right("retries"),
        right("age"),
        left("id").wide(),
        left("partition").wide(),
        right("seq").wide(),
        right("attempt").wide(),
        left("errors").wide(),
    ];

    fn cells(&self, now: DateTime<Utc>) -> Vec<String> {
        vec![
            self.batch_number
                .map_or_else(String::new, |number| number.to_string()),
            self.status.as_str().to_uppercase(),
            self.batch_size.to_string(),
            self.records_successful.to_string(),
            self.records_failed.to_string(),
            human::milliseconds(self.processing_duration_ms),
            self.retry_count.to_string(),
            age(self.completed_at.or(self.started_at), now),
            short(self.id),
            short(self.partition_id),
            self.seq.to_string(),
            self.attempt.to_string(),
            human::clip(self.error_summary.as_deref().unwrap_or_default(), 60),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}
