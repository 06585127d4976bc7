//! A migration as a line of a list.

use chrono::{DateTime, Utc};
use proto::domain::record::MigrationOrchestration;
use serde::Serialize;

use super::{age, short};
use crate::render::migration::state;
use crate::render::{Column, Row, human, left, right};

impl Row for MigrationOrchestration {
    const COLUMNS: &'static [Column] = &[
        left("name"),
        left("id"),
        left("state"),
        right("progress"),
        right("entities"),
        right("errors"),
        right("age"),
        right("attempt").wide(),
        right("started").wide(),
        left("created-by").wide(),
        left("reason").wide(),
    ];

    fn cells(&self, now: DateTime<Utc>) -> Vec<String> {
        vec![
            self.name.clone(),
            short(self.id),
            state(self),
            format!("{:.1}%", self.progress_percentage),
            format!("{}/{}", self.completed_entities, self.total_entities),
            self.error_count.to_string(),
            human::age(self.created_at, now),
            self.attempt.to_string(),
            age(self.started_at, now),
            self.created_by.clone(),
            human::clip(self.activity_reason.as_deref().unwrap_or_default(), 60),
        ]
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// A migration that was read out of a database, and which one.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct ReadMigration<'a> {
    /// The migration.
    pub migration: &'a MigrationOrchestration,
    /// Name of the connection it was found through.
    #[serde(skip)]
    pub place: &'a str,
}

impl Row for ReadMigration<'_> {
    const COLUMNS: &'static [Column] = &[
        left("name"),
        left("id"),
        left("state"),
        right("progress"),
        right("entities"),
        right("errors"),
        right("age"),
        left("connection"),
    ];

    fn cells(&self, now: DateTime<Utc>) -> Vec<String> {
        let mut cells = self.migration.cells(now);
        cells.truncate(Self::COLUMNS.len() - 1);
        cells.push(self.place.to_owned());
        cells
    }

    fn name(&self) -> String {
        self.migration.name.clone()
    }
}
