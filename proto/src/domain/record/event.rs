//! `Event`: something worth telling, in the event schema of the data model.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// `entity` of an event about the whole migration.
pub const WHOLE_MIGRATION: &str = "*";

/// One event, stored in the transaction of what it tells about. Its JSON is the event schema's, with
/// `id` beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the order of all events, from 1. Beside the event schema.
    pub id: i64,
    /// What kind of event, in snake case: `migration_progress` and so on.
    pub event_type: String,
    /// The migration.
    pub migration_id: Uuid,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    /// What it tells.
    pub data: EventData,
}

/// What an event tells; these three keys are always there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventData {
    /// The plan's name of the entity, or [`WHOLE_MIGRATION`].
    pub entity: String,
    /// Progress, 0 to 100.
    pub progress_percentage: f64,
    /// Rows per second.
    pub throughput: f64,
}
