//! `EntityMigrationStatus`: one entity of one migration.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::text_enum;

text_enum! {
    /// Where an entity stands. Stored; set by the controller.
    pub enum EntityStatus {
        /// Set when created, and after undo or reset: every counter is 0. A restart starts it in turn.
        Pending = "pending",
        /// Set when its dependencies are completed or skipped. A restart goes on with it.
        Running = "running",
        /// Set when every row in scope is accounted for. A restart leaves it alone.
        Completed = "completed",
        /// Set when it was given up: by cancel, or alone. A restart takes it up only with the migration.
        Failed = "failed",
        /// Set when the plan says `is_active: false` or the operator skips it. A restart leaves it alone.
        Skipped = "skipped",
    }
}

text_enum! {
    /// What an operator wishes of one entity. Stored; set and taken back by commands. A restart heeds it.
    pub enum EntityIntent {
        /// Nothing of it is handed out.
        Paused = "paused",
        /// It is left out; others go on without it.
        Skipped = "skipped",
    }
}

/// Progress of one entity. Always: `records_read` = `records_processed` + `records_failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntityMigrationStatus {
    /// This record.
    pub id: Uuid,
    /// The migration.
    pub migration_id: Uuid,
    /// The rules it is copied by. Beside the data model.
    pub legacy_entity_mapping_id: Uuid,
    /// The plan's name, unique in the migration. Beside the data model.
    pub entity: String,
    /// Source entity (table).
    pub entity_name: String,
    /// Destination entity (table).
    pub target_entity: String,
    /// Business type, for instance `profile`. Beside the data model.
    pub entity_type: String,
    /// Hash of the compiled rules. Beside the data model.
    pub entity_hash: String,
    /// 1..n, a topological order; for display and rollback.
    pub dependency_order: i32,
    /// Where it stands.
    pub status: EntityStatus,
    /// Why it alone stands still. Beside the data model.
    pub blocked_reason: Option<String>,
    /// What an operator wishes of it. Beside the data model.
    pub intent: Option<EntityIntent>,
    /// Why, in the operator's words. Beside the data model.
    pub intent_reason: Option<String>,
    /// Who wished it. Beside the data model.
    pub intent_by: Option<String>,
    /// Since when nothing of it can commit any more because of that. Beside the data model.
    pub intent_reached_at: Option<DateTime<Utc>>,
    /// Rows of the source in scope; an estimate until `records_total_exact`.
    pub records_total: i64,
    /// `records_total` was counted. Beside the data model.
    pub records_total_exact: bool,
    /// Rows read by committed batches. Beside the data model.
    pub records_read: i64,
    /// Rows processed successfully: written, or skipped by `on_conflict: skip`.
    pub records_processed: i64,
    /// Rows quarantined, held ones included.
    pub records_failed: i64,
    /// Part of failed: their parent is quarantined. Beside the data model.
    pub records_held: i64,
    /// Part of processed: left as they were by `on_conflict: skip`. Beside the data model.
    pub records_skipped: i64,
    /// Rows that `where` left out; in no other counter. Beside the data model.
    pub records_filtered: i64,
    /// `records_processed` - `records_skipped`. Beside the data model.
    pub records_written: i64,
    /// As in the plan: rows, or a percentage like `0.1%`. Beside the data model.
    pub max_quarantined: String,
    /// When it started, in this attempt.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended, in this attempt.
    pub completed_at: Option<DateTime<Utc>>,
    /// End of the gapless prefix of processed keys; a composite key as a JSON array.
    pub last_processed_id: Option<String>,
    /// Number of the newest batch. Beside the data model.
    pub last_batch_number: i64,
    /// Rows a batch starts with.
    pub batch_size: i64,
    /// Rows per second: over 60 s while running, the mean afterwards.
    pub throughput_per_second: f64,
    /// When the record was made. Beside the data model.
    pub created_at: DateTime<Utc>,
    /// When the record last changed. Beside the data model.
    pub updated_at: DateTime<Utc>,
}
