//! What the plan compiler makes: per entity one SELECT and a short list of agent-side steps.
//!
//! The same compiled entity serves the load, the incremental mode and verification. It is pure
//! data: it is stored, hashed and sent to agents as it is. Its [`CODEC_VERSION`] is part of every
//! entity hash, so that an agent which would read it differently refuses it.

mod checks;
mod consistency;
mod target;
mod warnings;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::schema_change::DeclaredChange;

pub use super::agent_op::{Digest, REDACTED};
use super::catalog::TableName;
pub use checks::{CheckRule, CompiledCheck, Level, NoLevel};
pub use consistency::{Consistency, ConsistencyHeld};
pub use target::{ConflictRule, IdRule, MatchRule};

mod shapes;

pub use shapes::*;
pub use target::{Warning, WriteColumn};
pub use warnings::in_short;

/// Version of what a compiled entity means; raise it when the same value would write other bytes.
pub const CODEC_VERSION: u32 = 5;

/// A whole migration, ready to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompiledPlan {
    /// The plan's name, unique in one metadata database.
    pub name: String,
    /// Namespace of every deterministic id.
    pub namespace: Uuid,
    /// Name of the source connection.
    pub source: String,
    /// Name of the destination connection.
    pub destination: String,
    /// What the reads of one run have in common.
    pub consistency: Consistency,
    /// Limits of the whole migration; in no hash.
    pub limits: Limits,
    /// Every entity in topological order (`dependency_order` = index + 1), inactive ones included.
    pub entities: Vec<CompiledEntity>,
    /// What is checked once the data is copied, as far as the plan says; in no hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CompiledCheck>,
    /// `validations` is part of the plan: nothing is checked that it does not name.
    #[serde(default)]
    pub has_own_checks: bool,
    /// Schema changes alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cleanup: bool,
    /// Changes of a schema in order, in no hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schema_changes: Vec<DeclaredChange>,
    /// What the operator should know before rows are written, in no hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// `limits` of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Partitions that are worked on at the same time.
    pub parallel_partitions: u32,
    /// Tries of one batch before its partition blocks.
    pub max_retries: u32,
    /// Rows that are read a second, by all agents together.
    #[serde(default)]
    pub max_rows_per_second: Option<u32>,
    /// Seconds that the source's replicas may lag behind.
    #[serde(default)]
    pub source_max_lag_seconds: Option<u32>,
}

/// One entity: how its rows are read, changed and written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompiledEntity {
    /// The plan's name; part of every id.
    pub entity: String,
    /// Business type, for instance `profile`.
    pub entity_type: String,
    /// `version` of the mapping.
    pub version: String,
    /// False: skipped.
    pub is_active: bool,
    /// Entities that must be completed or skipped first: explicit ones and those behind foreign
    /// keys; never the entity itself. In plan order, without repeats.
    pub dependencies: Vec<String>,
    /// How rows are read.
    pub read: ReadRule,
    /// Destination table.
    pub destination: TableName,
    /// Destination columns that are written, in `attnum` order, each with its value.
    pub columns: Vec<WriteColumn>,
    /// What the id map stores for a row.
    pub id: IdRule,
    /// Rows that are there already and give their ids, computed once before the first row is written.
    pub matches: Option<MatchRule>,
    /// What happens where the destination already has a row of that key.
    pub on_conflict: ConflictRule,
    /// Verdicts that the SELECT gives as bits of the fault field, index = bit; those of `orphans` the
    /// agent gives.
    pub faults: Vec<Fault>,
    /// Parents whose presence the agent knows by their keys, in the order of the rules.
    pub orphans: Vec<OrphanCheck>,
    /// Parents whose quarantined rows hold this entity's rows; those that come before it.
    pub parents: Vec<ParentRef>,
    /// References whose rows come later or may fail later: looked at again after the load.
    pub late: Vec<LateReference>,
    /// Entities that are settled together after the load, this one among them, in plan order; none where
    /// nothing is to be settled.
    pub knot: Vec<String>,
    /// Source columns of the redacted snapshot of a failed row (the agent reads the row again by its
    /// key). Values of sensitive columns are masked before they leave the agent.
    pub snapshot: Vec<SnapshotColumn>,
    /// What happens to a row that fails in the agent where its step says nothing else, or at the
    /// destination.
    pub on_row_error: RowAction,
    /// Settings that are in no hash.
    pub settings: EntitySettings,
    /// sha256 (hex) of everything above `settings` and of [`CODEC_VERSION`].
    pub hash: String,
}

/// Settings of an entity that may change between two starts of the same migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntitySettings {
    /// Rows a batch starts with.
    pub batch_size: u32,
    /// Bad rows that are let through before the entity blocks.
    pub max_quarantined: MaxQuarantined,
    /// What happens to the destination's constraints during the load.
    pub constraints: ConstraintMode,
}

/// `max_quarantined`: a number of rows or a share of `records_total`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxQuarantined {
    /// So many rows.
    Rows(u64),
    /// This share of `records_total`, 0.0 to 1.0; judged from 1,000 rows on and at the end.
    Share(f64),
}

/// `constraints` of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConstraintMode {
    /// Rebuild when the target is empty at the start, keep otherwise.
    Auto,
    /// Drop before, rebuild after the load.
    Rebuild,
    /// Leave them in force.
    Keep,
}

/// The SELECT of an entity. Field `n` is written `cN+1` in SQL.
///
/// Fields stand in this order: the key columns (`0..key.len()`), then everything else in any order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadRule {
    /// Table that is read, under the alias `src`.
    pub source: TableName,
    /// Tables beside it, under aliases of their own.
    pub joins: Option<JoinRule>,
    /// Every table that the SELECT reads beside the source, in order, without repeats.
    pub also: Vec<TableName>,
    /// Key columns: order of the read, partition bounds, input of the id.
    pub key: Vec<KeyColumn>,
    /// One scalar SQL expression over `src` per field.
    pub fields: Vec<String>,
    /// Index of the field that carries the fault bits as `int8`, if there is any fault.
    pub fault_field: Option<usize>,
    /// The plan's `where`, an SQL condition over `src`.
    pub filter: Option<String>,
    /// Session time zone while the entity's rows are read; UTC where the plan names none.
    pub time_zone: Option<String>,
}

/// One column of an entity's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// Column name, unquoted.
    pub name: String,
    /// `src."name"`.
    pub sql: String,
    /// Type to write behind `::` when a bound is given as text.
    pub type_sql: String,
    /// How its field is turned into canonical text.
    pub text: KeyText,
}

/// How the canonical text of a key value is made from its binary field.
///
/// Types without a shorter way are selected as `::text`, so `Text` serves them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyText {
    /// Two-byte integer.
    Int2,
    /// Four-byte integer.
    Int4,
    /// Eight-byte integer.
    Int8,
    /// UTF-8 text as it is.
    Text,
    /// 16 bytes, shown in lower case with dashes.
    Uuid,
}

/// Where a destination value comes from. Every field named here has the destination's binary form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueRule {
    /// The field's bytes, untouched.
    Field(usize),
    /// `uuid5(namespace, entity ":" key)`; NULL when any part is NULL.
    Id(IdCall),
    /// The id of the first of these keys that is whole; NULL where none is.
    FirstId(Vec<IdCall>),
    /// The ids of the rows whose keys stand in an array.
    Ids(IdsCall),
    /// Every element of an array goes through typed steps in the agent.
    EachSteps(EachCall),
    /// JSON with the ids of the rows that it refers to.
    Document(DocumentCall),
    /// The field goes through typed steps in the agent.
    Steps {
        /// The first step's input.
        field: usize,
        /// Steps in order.
        steps: Vec<AgentStep>,
    },
}

/// The deterministic id of a key of some entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdCall {
    /// Entity whose id it is (the prefix of the name).
    pub entity: String,
    /// Key fields in that entity's key order.
    pub parts: Vec<KeyPart>,
}

/// One part of a key: a field and how it reads as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPart {
    /// Field index.
    pub field: usize,
    /// Its canonical text.
    pub text: KeyText,
}

/// A step that can fail for one row and therefore runs in the agent. NULL passes every step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentStep {
    /// What is done.
    pub op: AgentOp,
    /// Path of the rule in the plan, for the error row.
    pub path: String,
    /// What happens to a row that does not fit.
    pub on_error: RowAction,
}

/// The typed operations of the agent: input and output are binary fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentOp {
    /// text → text: trim, NFC, lower case, exactly one `@` with something on both sides.
    Email,
    /// text → date (`YYYY-MM-DD`).
    ParseDate,
    /// text → timestamp without time zone (ISO 8601, `T` or space, up to 6 fraction digits).
    ParseTimestamp,
    /// text → timestamptz (ISO 8601 with an offset or `Z`).
    ParseTimestamptz,
    /// text → json.
    ParseJson,
    /// text → jsonb (refuses `\u0000`, which PostgreSQL cannot hold).
    ParseJsonb,
    /// text → text: Unicode normal form C.
    Nfc,
    /// text → text: a valid telephone number as `+` and digits.
    Phone {
        /// Country of a number without a country code.
        region: Option<String>,
    },
    /// text → text: the hash of its UTF-8 form in hexadecimal digits.
    Hash(Digest),
    /// text → text: likewise keyed.
    Hmac {
        /// The hash.
        digest: Digest,
        /// Where the agent finds the key (`env:NAME`); the key itself is in no plan.
        key_from: String,
    },
    /// text → text: `*` for every character but the last ones.
    Mask {
        /// How many characters stay.
        keep_last: u32,
    },
    /// anything → text: [`REDACTED`].
    Redact,
    /// json → text, as `#>>` reads it: names of members and numbers of elements; NULL where nothing is.
    JsonGet(Vec<String>),
}

/// The one vocabulary for what does not fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowAction {
    /// Block the run.
    Fail,
    /// The row becomes a `MigrationError`, the rest goes on.
    Quarantine,
    /// NULL is written.
    SetNull,
    /// This text takes the value's place: the step's own operation turns it into the binary form.
    Default(String),
}

/// A verdict of the SELECT on a row: one bit of the fault field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// `DROVER_…` code of the error row.
    pub code: String,
    /// Path of the rule in the plan.
    pub path: String,
    /// What is wrong, in words without row values.
    pub message: String,
    /// `Quarantine` or `Fail`; the other two are resolved inside the SELECT.
    pub action: RowAction,
}

/// A reference whose row may not be there: one integer that the agent looks up among the parent's keys.
///
/// References of other types are looked up in the SELECT and stand in `faults` alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrphanCheck {
    /// The parent entity.
    pub entity: String,
    /// The reference; NULL refers to nothing.
    pub part: KeyPart,
    /// SELECT of all keys of the parent, filtered, as `int8`.
    pub keys: String,
    /// SQL condition over `src` that says the same, for parents with too many keys to know.
    pub exists: String,
    /// What becomes of an orphan.
    pub action: OrphanAction,
}

/// What becomes of a reference to a row that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanAction {
    /// It is NULL.
    SetNull,
    /// The row has this verdict: index in `faults`.
    Fault(usize),
}

/// A source column in the snapshot of a failed row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotColumn {
    /// Source column name.
    pub name: String,
    /// Sensitive: only its presence and length leave the agent.
    pub is_sensitive: bool,
}

impl CompiledPlan {
    /// Entities by name.
    pub fn by_name(&self) -> BTreeMap<&str, &CompiledEntity> {
        self.entities
            .iter()
            .map(|entity| (entity.entity.as_str(), entity))
            .collect()
    }

    /// The entity of that name.
    pub fn entity(&self, name: &str) -> Option<&CompiledEntity> {
        self.entities.iter().find(|entity| entity.entity == name)
    }
}
