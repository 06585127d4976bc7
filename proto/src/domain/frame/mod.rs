//! The frames between controller and agent.
//!
//! In one process they travel through a bounded channel, over the network as `drover.agent.v1`;
//! what they mean is the same. Everything that touches a source or destination is work an agent
//! does: an assignment of a partition, or a [`Query`] with a deadline.

mod query;
mod schema;
mod validate;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::catalog::TableName;
use super::compiled::{CompiledPlan, Consistency};
use super::failure::{Failure, FailureKind};
use super::key::{KeyRange, KeyValue};

pub use query::{
    Connections, NewPartition, PrepareOrder, Query, QueryAnswer, QueryCall, Resolved, Retried,
    RetriedFate, RetryOrder,
};
pub use schema::{SchemaAnswer, SchemaQuery};
pub use validate::{
    Ask, CheckOutcome, Comparison, Finding, FindingCounts, FindingKind, Sketched, Survey, Suspect,
    ValidateAnswer, ValidateQuestion,
};

/// Which end of the migration a query is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The legacy database.
    Source,
    /// The new database.
    Destination,
}

/// What travels from a controller to an agent: a frame, and the epoch of the leadership behind it. An
/// agent obeys no lower epoch than the highest it has seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Epoch of the controller's leadership; 0 in one process.
    pub epoch: i64,
    /// The frame.
    pub frame: ControllerFrame,
}

/// From the controller to an agent.
#[derive(Debug, Clone, PartialEq)]
pub enum ControllerFrame {
    /// First frame: the agent is taken, and may send so many batches before the first acknowledgement.
    Welcome {
        /// The controller's process.
        controller_id: Uuid,
        /// Batches.
        credits: u32,
    },
    /// What following assignments of its migration have in common; replaces an earlier one.
    Run(Box<RunOrder>),
    /// Work on a partition; taken up by claiming its lease.
    Assign(Assignment),
    /// Finish the batches in hand and release partitions: those of one migration, or all.
    Drain {
        /// The migration; all of them where there is none.
        migration_id: Option<Uuid>,
    },
    /// A migration is over: nothing of it is held or kept any more.
    Forget {
        /// The migration.
        migration_id: Uuid,
    },
    /// Something to look up or do now.
    Query(QueryCall),
    /// So many batches more may be sent.
    Acknowledge {
        /// Batches.
        credits: u32,
    },
}

/// From an agent to the controller.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentFrame {
    /// First frame of every connection: who this is and what it holds.
    Hello(Hello),
    /// The partition's fence is taken; work begins at this position.
    Claimed {
        /// The migration.
        migration_id: Uuid,
        /// The partition.
        partition_id: Uuid,
        /// Generation of the assignment that was taken up.
        generation: i64,
        /// Fencing token of this holder.
        token: i64,
        /// Position read after fencing.
        seq: i64,
    },
    /// Rows read and sent in the batch that is under way; lossy, coalesced.
    Progress {
        /// The migration.
        migration_id: Uuid,
        /// The partition.
        partition_id: Uuid,
        /// Rows read beyond the last batch.
        rows_in_flight: i64,
        /// What holds it up at this moment, in words: a limit of the plan.
        throttle: Option<String>,
    },
    /// A batch that is committed at the destination; lossless, costs a credit.
    Batch {
        /// The migration.
        migration_id: Uuid,
        /// The batch.
        report: Box<BatchReport>,
    },
    /// The agent no longer works on the partition.
    Released {
        /// The migration.
        migration_id: Uuid,
        /// The partition.
        partition_id: Uuid,
        /// Generation of the assignment that ends; a later one of the partition stands.
        generation: i64,
        /// Why.
        reason: Release,
    },
    /// The answer to a query.
    QueryResult {
        /// Id of the call.
        query_id: u64,
        /// What came of it.
        result: Result<Box<QueryAnswer>, Failure>,
    },
}

/// Who an agent is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// New for every process: the holder of leases and fences.
    pub holder: Uuid,
    /// The agent's configured name.
    pub agent_id: String,
    /// Its region.
    pub region: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Names of the connections it can open.
    pub connections: Vec<String>,
    /// Partitions that can be worked on at the same time.
    pub capacity: u32,
    /// [`super::compiled::CODEC_VERSION`] of its build.
    pub codec_version: u32,
    /// Version of its build.
    pub version: String,
    /// Partitions it works on, or was told to.
    pub held: Vec<HeldPartition>,
    /// Migrations whose snapshot it holds.
    pub snapshots: Vec<Uuid>,
}

/// A partition in an agent's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeldPartition {
    /// The migration.
    pub migration_id: Uuid,
    /// The partition.
    pub partition_id: Uuid,
    /// Generation of its assignment.
    pub generation: i64,
}

/// What a run has in common for all its assignments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOrder {
    /// The migration.
    pub migration_id: Uuid,
    /// Attempt number, from 1.
    pub attempt: i32,
    /// Start of the run: what the step `now` yields.
    pub run_now: DateTime<Utc>,
    /// The compiled plan.
    pub plan: CompiledPlan,
    /// The source as it was when the migration was created.
    pub source: DatabaseIdentity,
    /// The destination as it was when the migration was created.
    pub destination: DatabaseIdentity,
    /// Snapshot to read under; none with `consistency: none`.
    pub snapshot: Option<String>,
}

/// A partition to work on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The migration.
    pub migration_id: Uuid,
    /// The partition.
    pub partition_id: Uuid,
    /// Its entity.
    pub entity: String,
    /// Hash the entity must have.
    pub entity_hash: String,
    /// Keys it covers.
    pub range: KeyRange,
    /// Rises with every assignment of this partition.
    pub generation: i64,
    /// The agent's share of `limits.max_rows_per_second`, for all its partitions of the migration.
    pub max_rows_per_second: Option<u32>,
}

/// Why an agent let a partition go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// Every row of its range is accounted for.
    Done,
    /// Told to drain.
    Drained,
    /// Another holder has it.
    Stale,
    /// It cannot go on.
    Failed(Failure),
}

/// One batch as the destination's ledger has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchReport {
    /// The partition.
    pub partition_id: Uuid,
    /// The entity.
    pub entity: String,
    /// Attempt of the migration.
    pub attempt: i32,
    /// Position after the batch; the first batch of a partition is 1.
    pub seq: i64,
    /// Token that wrote it.
    pub token: i64,
    /// Last key of the batch; unchanged where it read no row.
    pub cursor: Option<KeyValue>,
    /// Rows and their fates in this batch.
    pub counts: Counts,
    /// Totals of the partition after this batch: absolute, so a repeated report is harmless.
    pub totals: Counts,
    /// Tries beyond the first.
    pub retry_count: i32,
    /// When the batch began to be written, by the destination's clock.
    pub started_at: DateTime<Utc>,
    /// When it was written, by the destination's clock.
    pub written_at: DateTime<Utc>,
    /// The rows that failed.
    pub errors: Vec<RowError>,
    /// A bisected batch: its checkpoint is an `error_recovery`.
    pub was_bisected: bool,
    /// The partition has no row left.
    pub is_last: bool,
}

/// Rows and their fates. Always: read = written + failed + skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows of the source that the filter let through.
    pub read: i64,
    /// Rows in the destination.
    pub written: i64,
    /// Rows that became a `MigrationError`, held ones included.
    pub failed: i64,
    /// Failed rows whose parent was quarantined.
    pub held: i64,
    /// Rows that `where` left out; not part of `read`.
    pub filtered: i64,
    /// Rows that `on_conflict: skip` left as they were.
    pub skipped: i64,
}

/// A row that failed, as it is stored in the destination's `drover.error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowError {
    /// Deterministic: the same row error has the same id when it is sent again.
    pub id: Uuid,
    /// Key of the source row ([`KeyValue::to_record_id`]).
    pub source_record_id: String,
    /// SQLSTATE or `DROVER_*`.
    pub error_code: String,
    /// What is wrong, without row values.
    pub error_message: String,
    /// The source row, sensitive values masked.
    pub source_data: serde_json::Value,
    /// Rule path, column, constraint and the like.
    pub context: serde_json::Value,
    /// Failed because its parent failed.
    pub is_held: bool,
    /// By the destination's clock.
    pub occurred_at: DateTime<Utc>,
}

/// Which server and database a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseIdentity {
    /// `pg_control_system().system_identifier`, or empty where it may not be read.
    pub system_identifier: String,
    /// Database name.
    pub database: String,
    /// Timeline of the server; 0 where it may not be read.
    pub timeline: i64,
}

/// What the destination knows of a migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DestinationState {
    /// The migration.
    pub migration_id: Uuid,
    /// Attempt.
    pub attempt: i32,
    /// Start of the run.
    pub run_now: DateTime<Utc>,
    /// Identity of the source when it was started.
    pub source: DatabaseIdentity,
    /// Identity of the destination when it was started.
    pub destination: DatabaseIdentity,
    /// Hash per entity when it was started.
    pub entity_hashes: Vec<(String, String)>,
    /// Every row was written, every constraint put back.
    pub is_finished: bool,
    /// Entities that were undone alone within the attempt, and how often.
    #[serde(default)]
    pub rounds: Vec<(String, i32)>,
    /// Highest fencing token ever seen here.
    pub highest_token: i64,
    /// The partitions with their positions.
    pub partitions: Vec<PartitionState>,
}

/// The fence row of a partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartitionState {
    /// The partition.
    pub partition_id: Uuid,
    /// Its entity.
    pub entity: String,
    /// Number within the entity; -1 for the settling partition.
    pub number: i32,
    /// Keys it covers.
    pub range: KeyRange,
    /// Position.
    pub seq: i64,
    /// Last key that is accounted for.
    pub cursor: Option<KeyValue>,
    /// No row is left.
    pub is_done: bool,
    /// Nobody may write it: its entity was skipped.
    #[serde(default)]
    pub is_closed: bool,
    /// Highest token.
    pub token: i64,
    /// Totals.
    pub totals: Counts,
}

/// A snapshot that an agent holds on the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldSnapshot {
    /// For `SET TRANSACTION SNAPSHOT`.
    pub snapshot_id: String,
    /// How it relates to the one before.
    pub continuity: Continuity,
}

/// Whether rows read under an earlier snapshot and this one belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Continuity {
    /// There was none before, or no row was written under it.
    First,
    /// It is held already, by this agent or another.
    Held,
    /// The source shows no write to the plan's tables since.
    Unchanged,
    /// These tables were written to, or it cannot be proved that they were not.
    Changed {
        /// Tables, or all of them.
        tables: Vec<TableName>,
        /// What was seen, in words.
        reason: String,
    },
}

impl Counts {
    /// The sum, figure by figure.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            read: self.read + other.read,
            written: self.written + other.written,
            failed: self.failed + other.failed,
            held: self.held + other.held,
            filtered: self.filtered + other.filtered,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl DatabaseIdentity {
    /// A connection must lead where it led when the migration was created.
    ///
    /// # Errors
    /// `IdentityChanged` when `found` is another server, database or timeline.
    pub fn must_be(&self, what: &str, found: &Self) -> Result<(), Failure> {
        if self == found {
            return Ok(());
        }
        let words = |it: &Self| {
            let (system, database) = (&it.system_identifier, &it.database);
            format!(
                "system {system} database {database} timeline {}",
                it.timeline
            )
        };
        Err(Failure::new(
            FailureKind::IdentityChanged,
            format!(
                "the {what} was {} when the migration was started, now it is {}",
                words(self),
                words(found)
            ),
        ))
    }
}

impl RunOrder {
    /// Whether reads need the snapshot.
    pub fn needs_snapshot(&self) -> bool {
        matches!(self.plan.consistency, Consistency::Snapshot)
    }
}
