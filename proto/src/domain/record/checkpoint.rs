//! `MigrationCheckpoint`: a position that was reached. The destination's fence row decides where a
//! partition resumes; this is the record of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::text_enum;

text_enum! {
    /// What a checkpoint stands behind. Stored; set when a report is persisted, never changed.
    pub enum CheckpointType {
        /// A batch that went through as it was read.
        BatchCompletion = "batch_completion",
        /// The last row of an entity.
        EntityCompletion = "entity_completion",
        /// A batch that was taken apart to find its bad rows.
        ErrorRecovery = "error_recovery",
    }
}

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationCheckpoint {
    /// This checkpoint.
    pub id: Uuid,
    /// The migration.
    pub migration_id: Uuid,
    /// The plan's name of the entity. Beside the data model.
    pub entity: String,
    /// Source entity (table).
    pub entity_name: String,
    /// What it stands behind.
    pub checkpoint_type: CheckpointType,
    /// Number of the batch that reached it; 0 for an entity without a batch.
    pub batch_number: i64,
    /// Last source key of the batch; a composite key as a JSON array.
    pub last_source_id: Option<String>,
    /// Rows of the entity processed when it was reached.
    pub records_processed: i64,
    /// A [`SystemState`] as a JSON object.
    pub system_state: Value,
    /// Strictly later than the migration's checkpoint before.
    pub created_at: DateTime<Utc>,
    /// False after undo or reset of the entity.
    pub is_resumable: bool,
}

/// What `system_state` must hold for a resume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemState {
    /// The partition.
    pub partition: Uuid,
    /// Attempt of the migration.
    pub attempt: i32,
    /// Batches committed in that partition and attempt.
    pub seq: i64,
    /// Last key that is accounted for.
    pub cursor: Option<Value>,
    /// Fencing token that wrote it.
    pub token: i64,
    /// Hash of the entity's rules.
    pub entity_hash: String,
}
