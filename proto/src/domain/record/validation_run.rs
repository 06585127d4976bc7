//! A validation: checks of one migration that were asked for together. Beside the data model, whose results
//! ([`super::DataValidationResult`]) are what it leaves behind.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DataValidationResult, ValidationStatus, text_enum};

text_enum! {
    /// How far a validation is. Stored; a restart goes on with one that is running.
    pub enum ValidationRunStatus {
        /// Pieces of it are left.
        Running = "running",
        /// Its results are stored.
        Completed = "completed",
        /// It could not be brought to its end.
        Failed = "failed",
        /// Somebody ended it, or the migration is no longer what was being checked.
        Cancelled = "cancelled",
    }
}

/// One validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationRun {
    /// This validation.
    pub id: Uuid,
    /// The migration.
    pub migration_id: Uuid,
    /// How far it is.
    pub status: ValidationRunStatus,
    /// The worst of its results, once they are stored.
    pub outcome: Option<ValidationStatus>,
    /// Level that was asked for; none: as the plan says, else full.
    pub level: Option<String>,
    /// Entities that were asked for; none: all.
    pub entities: Vec<String>,
    /// User or system that asked.
    pub created_by: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// Why it failed or was cancelled.
    pub reason: Option<String>,
    /// Pieces that are known so far.
    pub units_total: i64,
    /// Pieces that are done.
    pub units_done: i64,
    /// Attempt of the migration that is checked.
    pub attempt: i32,
}

impl ValidationRun {
    /// The worst status among results; none where there are none.
    pub fn worst(results: &[DataValidationResult]) -> Option<ValidationStatus> {
        let weight = |status: ValidationStatus| match status {
            ValidationStatus::Passed => 0,
            ValidationStatus::Warning => 1,
            ValidationStatus::Failed => 2,
        };
        let all = results.iter().map(|result| result.status);
        all.max_by_key(|status| weight(*status))
    }
}
