//! An event of the outbox, in the event schema of the data model.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the order of all events, from 1.
    pub id: i64,
    /// What kind of event, in snake case.
    pub event_type: String,
    /// The migration.
    pub migration_id: Uuid,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    /// What it tells.
    pub data: EventData,
}

/// What an event tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventData {
    /// The plan's name of the entity; `*` where it is about the whole migration.
    pub entity: String,
    /// Progress of the migration, 0 to 100.
    pub progress_percentage: f64,
    /// Rows per second.
    pub throughput: f64,
}
