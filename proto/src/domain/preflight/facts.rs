//! What an agent says of both databases; nothing in here is judged yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::catalog::TableName;

/// Facts of both databases.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The source's server, session and role.
    pub source: ServerFacts,
    /// The destination's.
    pub destination: ServerFacts,
    /// Tables that are read.
    pub reads: Vec<ReadFacts>,
    /// Tables that are written.
    pub writes: Vec<WriteFacts>,
    /// SELECTs that the source refuses to prepare, and time zones that it does not know.
    pub refusals: Vec<PlanRefusal>,
    /// Environment variables with the keys of steps that the agent lacks, in words.
    pub keys: Vec<String>,
}

/// What a server has against an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRefusal {
    /// The entity.
    pub entity: String,
    /// What is wrong, in words.
    pub message: String,
}

/// A server as a session of Drover's sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// `server_version_num`.
    pub version: u32,
    /// `server_encoding`.
    pub encoding: String,
    /// Database of the session.
    pub database: String,
    /// Role of the session.
    pub role: String,
    /// It bypasses every right.
    pub is_superuser: bool,
    /// It bypasses row level security.
    pub bypasses_rls: bool,
    /// Timeouts in force in the session, in milliseconds, by setting; those that the version has.
    pub timeouts: BTreeMap<String, i64>,
    /// The settings that the session asked for at its login are in force.
    pub keeps_login: bool,
    /// A setting made in one transaction was in force in the next, on the same backend, while a second
    /// session was in a transaction.
    pub keeps_session: bool,
    /// `max_connections`.
    pub max_connections: i64,
    /// Places that only superusers and some roles may take.
    pub reserved_connections: i64,
    /// Places that are taken.
    pub used_connections: i64,
    /// Connections that the role may have; -1 for any number.
    pub role_connections: i64,
    /// Connections that the database may have; -1 for any number.
    pub database_connections: i64,
    /// Other roles' sessions and transactions can be seen.
    pub sees_activity: bool,
    /// Transactions that last, oldest first.
    pub long_transactions: Vec<LongTransaction>,
    /// Prepared transactions of the database, oldest first.
    pub prepared: Vec<Prepared>,
    /// It is a replica.
    pub replica: Option<ReplicaFacts>,
    /// The role may make temporary tables.
    pub can_stage: bool,
    /// The role may make schemas.
    pub can_create: bool,
    /// Schema `drover`: whether the role owns it; none where it is not there.
    pub owns_drover: Option<bool>,
    /// Size of the database.
    pub bytes: i64,
}

/// A transaction of another session that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongTransaction {
    /// Its backend.
    pub pid: i32,
    /// Its role.
    pub role: String,
    /// `application_name`.
    pub application: String,
    /// Seconds since it began.
    pub seconds: i64,
}

/// A prepared transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Its name.
    pub gid: String,
    /// Seconds since it was prepared.
    pub seconds: i64,
}

/// What matters of a replica.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaFacts {
    /// `hot_standby_feedback`.
    pub has_feedback: bool,
    /// `max_standby_streaming_delay` in milliseconds; -1 waits for ever.
    pub cancel_after_ms: i64,
    /// Seconds it is behind its primary.
    pub lag_seconds: i64,
}

/// A table that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFacts {
    /// Its name.
    pub table: TableName,
    /// The role may use its schema.
    pub can_use: bool,
    /// The role may select every column of it.
    pub can_select: bool,
    /// Row level security would hide rows from the role.
    pub is_filtered: bool,
    /// Its policies bind the owner too.
    pub is_forced: bool,
    /// `reltuples` with those of its partitions; -1 where nobody ever analyzed.
    pub rows: i64,
    /// Bytes of its rows, oversized ones included.
    pub bytes: i64,
}

/// A table that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteFacts {
    /// Its name.
    pub table: TableName,
    /// Its owner.
    pub owner: String,
    /// The role may use its schema.
    pub can_use: bool,
    /// The role may make indexes in its schema.
    pub can_index: bool,
    /// The role is its owner, or has the owner's rights.
    pub is_owner: bool,
    /// Rights that the role has, in lower case.
    pub rights: Vec<String>,
    /// Row level security binds the role.
    pub is_filtered: bool,
    /// It has row level security.
    pub has_rls: bool,
    /// Its policies bind the owner too.
    pub is_forced: bool,
    /// It has rows; not known, and false, where it may not be read.
    pub has_rows: bool,
    /// Bytes of its rows.
    pub bytes: i64,
    /// Indexes it has, those of keys included.
    pub indexes: i64,
    /// Tables that its foreign keys refer to.
    pub refers_to: Vec<ForeignTarget>,
    /// Sequences behind its columns.
    pub sequences: Vec<SequenceFact>,
    /// Strong locks that other transactions hold on it.
    pub locks: Vec<LockFact>,
}

/// A table that a foreign key refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignTarget {
    /// The table.
    pub table: TableName,
    /// The role may make foreign keys to it.
    pub can_reference: bool,
}

/// A sequence behind a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceFact {
    /// Its column, unquoted.
    pub column: String,
    /// The sequence.
    pub sequence: TableName,
    /// The role may read and set it.
    pub can_set: bool,
}

/// A lock that a transaction of somebody else holds on a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFact {
    /// The backend; none for a prepared transaction.
    pub pid: Option<i32>,
    /// `mode` of the lock.
    pub mode: String,
    /// Seconds since its transaction began; none where that cannot be seen.
    pub seconds: Option<i64>,
}

/// The lease store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseFacts {
    /// One process: nobody else works.
    OneProcess,
    /// It answered in so many microseconds.
    Answered(u64),
    /// It did not answer: why.
    Silent(String),
}

impl Facts {
    /// A table that is read.
    pub fn read(&self, table: &TableName) -> Option<&ReadFacts> {
        self.reads.iter().find(|facts| &facts.table == table)
    }

    /// A table that is written.
    pub fn write(&self, table: &TableName) -> Option<&WriteFacts> {
        self.writes.iter().find(|facts| &facts.table == table)
    }
}

impl WriteFacts {
    /// Whether the role has a right on it.
    pub fn may(&self, right: &str) -> bool {
        self.rights.iter().any(|has| has == right)
    }
}
