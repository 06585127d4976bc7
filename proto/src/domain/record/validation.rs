//! `DataValidationResult`: one check of the copied data.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::text_enum;

text_enum! {
    /// What is checked. Stored, fixed.
    pub enum ValidationType {
        /// References lead to rows that exist.
        ReferentialIntegrity = "referential_integrity",
        /// Every row arrived, with its content.
        DataCompleteness = "data_completeness",
        /// The plan's own conditions.
        BusinessRules = "business_rules",
        /// Queries are fast enough.
        Performance = "performance",
    }
}

text_enum! {
    /// What came of a check. Stored, fixed; a restart runs the check again as a new result.
    pub enum ValidationStatus {
        /// No issue.
        Passed = "passed",
        /// Issues that matter.
        Failed = "failed",
        /// Issues that were tolerated or explained.
        Warning = "warning",
    }
}

text_enum! {
    /// How much a failed check matters. Stored, from the plan.
    pub enum ValidationSeverity {
        /// Worth knowing.
        Low = "low",
        /// Worth mending.
        Medium = "medium",
        /// The default.
        High = "high",
        /// The migration is not good.
        Critical = "critical",
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataValidationResult {
    /// This result.
    pub id: Uuid,
    /// The migration.
    pub migration_id: Uuid,
    /// What was checked.
    pub validation_type: ValidationType,
    /// The plan's name of the entity, `*` for all. Beside the data model.
    pub entity: String,
    /// Source entity (table), `*` for all.
    pub entity_name: String,
    /// What came of it.
    pub status: ValidationStatus,
    /// How much it matters. Beside the data model.
    pub severity: ValidationSeverity,
    /// Rows checked; samples for performance.
    pub records_validated: i64,
    /// Rows, or samples, with an issue; never more than validated.
    pub issues_found: i64,
    /// The issues: a JSON object or array; present unless passed.
    pub issue_details: Option<Value>,
    /// The check and its arguments: a JSON object.
    pub validation_criteria: Value,
    /// When it was run.
    pub executed_at: DateTime<Utc>,
    /// Milliseconds it took.
    pub execution_duration_ms: i64,
    /// Attempt of the migration that was checked. Beside the data model.
    pub attempt: i32,
}
