//! `LegacyEntityMapping`: the rules of one entity of a plan, one record per version.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// How one source entity becomes one destination entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LegacyEntityMapping {
    /// This record.
    pub id: Uuid,
    /// Name of the plan. Beside the data model.
    pub plan_name: String,
    /// The plan's name of the entity. Beside the data model.
    pub entity: String,
    /// Source table.
    pub source_entity: String,
    /// Destination table.
    pub destination_entity: String,
    /// Business type. Beside the data model.
    pub entity_type: String,
    /// Destination column to pipeline, as in the plan file: a JSON object.
    pub transformation_rules: Value,
    /// Entities to be completed or skipped first; deferred edges are left out.
    pub dependency_entities: Vec<String>,
    /// The entity's validations, as in the plan file: a JSON array.
    pub validation_rules: Value,
    /// False: a version no longer in use, or an entity the plan skips.
    pub is_active: bool,
    /// The plan's version of these rules.
    pub version: String,
    /// Hash of the compiled rules; fixed for a version once a batch was written by it. Beside the
    /// data model.
    pub entity_hash: String,
    /// When the record was made.
    pub created_at: DateTime<Utc>,
    /// When the record last changed.
    pub updated_at: DateTime<Utc>,
}
