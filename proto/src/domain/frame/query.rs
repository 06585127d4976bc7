//! Questions that an agent answers: everything at a source or destination that is no partition.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    BatchReport, DatabaseIdentity, DestinationState, HeldSnapshot, SchemaAnswer, SchemaQuery, Side,
    ValidateAnswer, ValidateQuestion,
};
use crate::domain::catalog::{Catalog, Probe, TableName};
use crate::domain::compiled::CompiledPlan;
use crate::domain::key::{KeyRange, KeyValue};
use crate::domain::preflight::{Facts, Trial, TrialAsk};
use crate::domain::record::MigrationMapping;
use crate::domain::undo::{UndoAnswer, UndoOrder};

/// A query with its number and deadline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryCall {
    /// Number that the answer carries.
    pub query_id: u64,
    /// The migration it is about; none before there is one.
    pub migration_id: Option<Uuid>,
    /// The agent gives up after this many milliseconds.
    pub deadline_ms: u64,
    /// Connections it is about.
    pub connections: Connections,
    /// What is asked.
    pub query: Query,
}

/// The two connection names of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Name of the source connection.
    pub source: String,
    /// Name of the destination connection.
    pub destination: String,
}

/// Work at a source or destination that is no partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// Which servers are behind the two connections.
    Identify,
    /// Tables of one side, and types of free expressions.
    ReadCatalog {
        /// The side.
        side: Side,
        /// Tables to describe; those that do not exist are left out of the answer.
        tables: Vec<TableName>,
        /// Expressions to type (source only).
        probes: Vec<Probe>,
    },
    /// Prepares every SELECT without running it, and checks that row level security hides nothing.
    CheckPlan(Box<CompiledPlan>),
    /// What is to be known of both databases before the plan is run; nothing is judged, nothing written.
    Preflight {
        /// The plan.
        plan: Box<CompiledPlan>,
        /// Only what every start looks at: servers, sessions, rights.
        is_quick: bool,
    },
    /// Takes a sample of an entity's rows through its rules into a table like the target that is gone after.
    TryRows(Box<TrialAsk>),
    /// What the destination's `drover` schema knows of a migration of that name.
    ReadState {
        /// The plan's name.
        name: String,
    },
    /// Installs or upgrades the `drover` schema and records the start state; idempotent.
    Prepare(Box<PrepareOrder>),
    /// Exports a snapshot on the source and holds it, checking that nothing was written since the
    /// snapshot of an earlier process where there was one.
    HoldSnapshot {
        /// The migration.
        migration_id: Uuid,
        /// Tables whose writes matter.
        tables: Vec<TableName>,
    },
    /// Joins a snapshot that another agent holds and holds it, too: the end of either ends nothing.
    ShareSnapshot {
        /// The migration.
        migration_id: Uuid,
        /// The snapshot, as the source exported it.
        snapshot_id: String,
    },
    /// Looks whether the source's tables were written to since the run began; the first look notes how
    /// they are.
    WatchSource {
        /// The migration.
        migration_id: Uuid,
        /// Tables whose writes matter.
        tables: Vec<TableName>,
        /// Every row is read: no write may be overlooked any more.
        is_end: bool,
    },
    /// Bounds that cut an entity into about `parts` partitions, and its number of rows.
    Sample {
        /// The entity.
        entity: String,
        /// Wished number of partitions, at least 1.
        parts: u32,
    },
    /// Stores every partition of a run in one transaction, and drops what is rebuilt after the load.
    BeginLoad {
        /// The migration.
        migration_id: Uuid,
        /// Attempt.
        attempt: i32,
        /// All partitions of all active entities.
        partitions: Vec<NewPartition>,
    },
    /// Settles the late references of a knot whose rows are all there; this entity stands for it.
    Settle {
        /// The entity.
        entity: String,
        /// Its settling partition.
        partition_id: Uuid,
        /// Token for it.
        token: i64,
    },
    /// Rebuilds primary, unique and other indexes of an entity's table, and its id map's key.
    RebuildKeys {
        /// The entity.
        entity: String,
    },
    /// Puts back and validates the foreign keys, checks that nothing is left to put back, ANALYZE.
    RebuildForeignKeys,
    /// Batches of a partition after a position, out of the ledger.
    ReadLedger {
        /// The partition.
        partition_id: Uuid,
        /// Batches with a higher seq are returned.
        after_seq: i64,
        /// At most so many.
        limit: u32,
    },
    /// Marks the migration's attempt as completed in the destination.
    FinishRun {
        /// The migration.
        migration_id: Uuid,
    },
    /// Fences partitions whose holder is gone under the controller's own token, so that nothing can
    /// commit any more.
    Seal {
        /// The partitions.
        partitions: Vec<Uuid>,
        /// Attempt.
        attempt: i32,
        /// A token higher than any they have.
        token: i64,
    },
    /// A step of taking rows back.
    Undo(Box<UndoOrder>),
    /// Removes everything of Drover's from the destination, once no migration needs it.
    Uninstall,
    /// Reads rows that failed again, by key and as the source is now, and writes those that are good.
    Retry(Box<RetryOrder>),
    /// Closes the partitions of an entity that are not done, so that nothing of it commits any more and the
    /// run can end without it; or opens them again.
    CloseEntity {
        /// The entity.
        entity: String,
        /// Attempt.
        attempt: i32,
        /// Open again instead.
        is_open: bool,
    },
    /// The new id of a legacy row.
    LookupMapping {
        /// The migration.
        migration_id: Uuid,
        /// The entity.
        entity: String,
        /// The key.
        key: KeyValue,
    },
    /// The legacy rows of a new id.
    ReverseMapping {
        /// The migration.
        migration_id: Uuid,
        /// The entity; all of them where there is none.
        entity: Option<String>,
        /// The new id, or the kept key.
        destination_id: String,
    },
    /// A piece of a validation.
    Validate(Box<ValidateQuestion>),
    /// About schema changes.
    Schema(Box<SchemaQuery>),
}

/// What `Prepare` needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrepareOrder {
    /// The migration.
    pub migration_id: Uuid,
    /// Attempt.
    pub attempt: i32,
    /// Start of the run; kept when the destination already has one for this attempt.
    pub run_now: DateTime<Utc>,
    /// The plan.
    pub plan: CompiledPlan,
}

/// A partition to be stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewPartition {
    /// Deterministic per migration, attempt, entity and number.
    pub partition_id: Uuid,
    /// The entity.
    pub entity: String,
    /// Number within the entity, from 0, in key order.
    pub number: i32,
    /// Keys it covers.
    pub range: KeyRange,
    /// Hash of the entity.
    pub entity_hash: String,
}

/// Rows that failed and are to be tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryOrder {
    /// The entity.
    pub entity: String,
    /// Partition of the retry.
    pub partition_id: Uuid,
    /// Its number, -2 or lower.
    pub number: i32,
    /// Token for it.
    pub token: i64,
    /// Record ids of the rows.
    pub keys: Vec<String>,
    /// Try them now; else their partition is stored only, so that it can be sealed.
    pub is_work: bool,
}

/// What came of a retry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retried {
    /// The batches it made.
    pub batches: Vec<BatchReport>,
    /// The errors that stand no more as they were.
    pub resolved: Vec<Resolved>,
}

/// An error that was tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The error.
    pub error_id: Uuid,
    /// Key of its row.
    pub source_record_id: String,
    /// What became of the row.
    pub fate: RetriedFate,
}

/// What became of a row that was tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetriedFate {
    /// It is at the destination now.
    Written,
    /// It failed again: another error tells why.
    Superseded,
    /// It is no longer at the source, or `where` leaves it out.
    Gone,
}

impl RetriedFate {
    /// Its text in the destination.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Superseded => "superseded",
            Self::Gone => "gone",
        }
    }

    /// The fate of that text.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Written, Self::Superseded, Self::Gone];
        all.into_iter().find(|fate| fate.as_str() == text)
    }
}

/// Answers, variant by variant as in [`Query`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryAnswer {
    /// To `Identify`.
    Identities {
        /// The source's.
        source: DatabaseIdentity,
        /// The destination's.
        destination: DatabaseIdentity,
    },
    /// To `ReadCatalog`.
    Catalog(Catalog),
    /// To `CheckPlan`: problems as (entity, words); empty when all is well.
    PlanProblems(Vec<(String, String)>),
    /// To `Preflight`.
    Facts(Box<Facts>),
    /// To `TryRows`.
    Tried(Trial),
    /// To `ReadState` and `Prepare`: none where the destination knows nothing.
    State(Option<Box<DestinationState>>),
    /// To `HoldSnapshot` and `ShareSnapshot`.
    Snapshot(HeldSnapshot),
    /// To `WatchSource`: nothing was written.
    Unwritten {
        /// It was the first look.
        is_first: bool,
    },
    /// To `Sample`.
    Sampled {
        /// Inner bounds in key order; n bounds make n + 1 partitions.
        bounds: Vec<KeyValue>,
        /// Rows that the filter lets through.
        records_total: i64,
        /// It was counted, not estimated.
        is_exact: bool,
    },
    /// To `Settle`: the batches it made.
    Settled(Vec<BatchReport>),
    /// To `ReadLedger`.
    Ledger(Vec<BatchReport>),
    /// To `Undo`.
    Undone(Box<UndoAnswer>),
    /// To `Uninstall`: migrations that still need it; none where it is removed.
    Uninstalled {
        /// Their names.
        needed_by: Vec<String>,
    },
    /// To `Retry`.
    Retried(Box<Retried>),
    /// To `LookupMapping` and `ReverseMapping`.
    Mappings(Vec<MigrationMapping>),
    /// To `Validate`.
    Validated(Box<ValidateAnswer>),
    /// To `Schema`.
    Schema(Box<SchemaAnswer>),
    /// To everything that only has to happen.
    Done,
}
