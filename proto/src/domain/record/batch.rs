//! `BatchProcessingStatus`: one batch of an entity.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::text_enum;

text_enum! {
    /// Where a batch stands. Set from the agent's reports; of a restart's batches only `completed`
    /// ones count, the rest is tried again under the same seq.
    pub enum BatchStatus {
        /// Known, not begun.
        Pending = "pending",
        /// Begun; the report is lossy, so it may never be stored.
        Processing = "processing",
        /// Committed at the destination, as its ledger says. Final.
        Completed = "completed",
        /// Given up after the last try; nothing of it was committed.
        Failed = "failed",
        /// A passing fault; it is tried again after a while.
        Retrying = "retrying",
    }
}

/// One batch, identified by (`partition_id`, `attempt`, `seq`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchProcessingStatus {
    /// This record.
    pub id: Uuid,
    /// The migration. Beside the data model.
    pub migration_id: Uuid,
    /// The entity's record.
    pub entity_status_id: Uuid,
    /// Gapless per entity, in the order batches were stored; absent until completed or failed.
    pub batch_number: Option<i64>,
    /// Rows: `records_successful` + `records_failed` once completed or failed.
    pub batch_size: i64,
    /// Where it stands.
    pub status: BatchStatus,
    /// Rows written, or skipped by `on_conflict: skip`.
    pub records_successful: i64,
    /// Rows that failed.
    pub records_failed: i64,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// Milliseconds of work, measured at the destination.
    pub processing_duration_ms: i64,
    /// Tries beyond the first.
    pub retry_count: i32,
    /// Most tries beyond the first that were allowed. Beside the data model.
    pub max_retries: i32,
    /// The errors in a few words.
    pub error_summary: Option<String>,
    /// The partition. Beside the data model.
    pub partition_id: Uuid,
    /// Attempt of the migration. Beside the data model.
    pub attempt: i32,
    /// Position in the partition, from 1. Beside the data model.
    pub seq: i64,
    /// Hash of the rules it was written by. Beside the data model.
    pub entity_hash: String,
}
