//! What is decided about errors: groups of them, and rows that are tried again. Beside the data model.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ErrorType, text_enum};

text_enum! {
    /// How far a retry is. Stored; set by the controller. A restart does what is pending.
    pub enum RetryState {
        /// It is still to be done.
        Pending = "pending",
        /// Its rows were tried.
        Done = "done",
        /// It was given up; its rows' errors are as before.
        Failed = "failed",
    }
}

/// Where a migration's configuration tells how many rows were read at a later moment than the others, since they
/// were tried again.
pub const RETRIED_ROWS: &str = "retried_rows";

/// Rows of one entity that are tried again together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryProgress {
    /// The retry.
    pub id: Uuid,
    /// The plan's name of the entity.
    pub entity: String,
    /// How many rows it is about.
    pub row_count: i64,
    /// How far it is.
    pub state: RetryState,
    /// Rows that are at the destination now.
    pub rows_written: i64,
    /// Rows that failed again: each has a new error.
    pub rows_failed: i64,
    /// Rows that are no longer at the source, or that `where` leaves out now.
    pub rows_gone: i64,
    /// Why it did not work, if it did not.
    pub problem: Option<String>,
}

/// Errors that have entity, code, type and column in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorGroup {
    /// The entity; none for faults of the run.
    pub entity: Option<String>,
    /// SQLSTATE or `DROVER_*`.
    pub error_code: String,
    /// Class of the code.
    pub error_type: ErrorType,
    /// The column or rule at fault, where it is known.
    pub place: Option<String>,
    /// How many there are.
    pub count: i64,
    /// How many of them are not resolved.
    pub open: i64,
    /// One of them; an open one where there is one.
    pub example_id: Uuid,
    /// The key of its row.
    pub example_key: Option<String>,
    /// What it says.
    pub example_message: String,
    /// The first of them.
    pub first_at: DateTime<Utc>,
    /// The last of them.
    pub last_at: DateTime<Utc>,
}
