//! `MigrationMapping`: which row of the source became which row of the destination. Lives in the
//! destination, view `drover.migration_mapping`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// One row's old and new id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationMapping {
    /// This mapping, deterministic.
    pub id: Uuid,
    /// The migration.
    pub migration_id: Uuid,
    /// Source table; `table#entity` for a second entity of one table.
    pub source_table: String,
    /// Source key; a composite key as a JSON array.
    pub source_id: String,
    /// Destination table.
    pub destination_table: String,
    /// New id; where the row's key is no uuid, the uuid5 of its source key.
    pub destination_id: Uuid,
    /// Business type, one of those the plan declares.
    pub entity_type: String,
    /// The real key where it is no uuid, and marks of merged rows: a JSON object.
    pub mapping_metadata: Value,
    /// When the row was written.
    pub created_at: DateTime<Utc>,
    /// False after undo or reset of the entity.
    pub is_active: bool,
}
