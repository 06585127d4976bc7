//! `MigrationError`: a row that could not be migrated, or a fault of the run.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::text_enum;

text_enum! {
    /// Class of an error; follows from its code ([`crate::domain::failure::error_type`]), stored with it.
    pub enum ErrorType {
        /// SQLSTATE class 08 or 57P.
        ConnectionError = "connection_error",
        /// SQLSTATE class 22, or a rule that a row does not meet.
        DataValidation = "data_validation",
        /// SQLSTATE class 23.
        ConstraintViolation = "constraint_violation",
        /// SQLSTATE 57014 or 55P03.
        Timeout = "timeout",
        /// Everything else.
        Unknown = "unknown",
    }
}

/// One error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationError {
    /// Given by the reporter: the same each time the error is sent again.
    pub id: Uuid,
    /// The migration.
    pub migration_id: Uuid,
    /// The entity's record.
    pub entity_status_id: Option<Uuid>,
    /// The batch; it may have been dropped since.
    pub batch_id: Option<Uuid>,
    /// The plan's name of the entity. Beside the data model.
    pub entity: Option<String>,
    /// Class of the error.
    pub error_type: ErrorType,
    /// SQLSTATE or `DROVER_*`.
    pub error_code: String,
    /// What is wrong, without row values.
    pub error_message: String,
    /// Source key; a composite key as a JSON array.
    pub source_record_id: Option<String>,
    /// The source row, sensitive values masked: a JSON object.
    pub source_data: Value,
    /// Rule path, column, constraint and the like: a JSON object.
    pub context: Value,
    /// Technical stack trace.
    pub stack_trace: Option<String>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Retried with success, or skipped.
    pub is_resolved: bool,
    /// How it was resolved.
    pub resolution_notes: Option<String>,
    /// The partition. Beside the data model.
    pub partition_id: Option<Uuid>,
    /// Attempt of the migration. Beside the data model.
    pub attempt: Option<i32>,
    /// The batch's position in the partition. Beside the data model.
    pub seq: Option<i64>,
    /// Position among the errors of its batch, from 0. Beside the data model.
    pub ordinal: Option<i64>,
}
