//! Operations as they are executed, one step after the other.

use serde::{Deserialize, Serialize};

use super::backup::Backup;
use super::check::SchemaCheck;
use super::declared::DeclaredChange;
use super::risk::Risk;
use crate::domain::catalog::TableName;
use crate::domain::record::{RiskLevel, SchemaOperationType};

/// How a step is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// A transaction that takes a moment once it has its lock.
    Instant,
    /// A transaction that may take long.
    Long,
    /// Outside of any transaction; what a broken try left of the index is dropped first.
    Concurrently {
        /// The index.
        index: TableName,
    },
    /// Transactions over ranges of a backup's numbers; the statement ends in a condition.
    Batches {
        /// The backup.
        backup: TableName,
        /// Alias of the backup in the statement.
        alias: String,
        /// Its numbers.
        number: String,
        /// In each transaction before the statement.
        before: Vec<String>,
        /// In each transaction after the statement.
        after: Vec<String>,
    },
}

/// A step of an operation: committed with its mark in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaStep {
    /// Its statements.
    pub sql: Vec<String>,
    /// How it is run.
    pub run: Run,
    /// Tables that are locked against writers before the checks of `guards` are made.
    pub lock: Option<TableName>,
    /// Checks in the same transaction, before the statements.
    pub guards: Vec<SchemaCheck>,
    /// Takes this step alone back, where a later one of the operation fails.
    pub abandon: Vec<String>,
}

impl SchemaStep {
    /// A transaction that takes a moment.
    pub fn instant(sql: impl IntoIterator<Item = String>) -> Self {
        Self::new(Run::Instant, sql)
    }

    /// A transaction that may take long.
    pub fn long(sql: impl IntoIterator<Item = String>) -> Self {
        Self::new(Run::Long, sql)
    }

    /// A step.
    pub fn new(run: Run, sql: impl IntoIterator<Item = String>) -> Self {
        Self {
            sql: sql.into_iter().collect(),
            run,
            lock: None,
            guards: Vec::new(),
            abandon: Vec::new(),
        }
    }

    /// The same step, taken back by these statements where a later one fails.
    #[must_use]
    pub fn or_abandon(mut self, sql: impl IntoIterator<Item = String>) -> Self {
        self.abandon = sql.into_iter().collect();
        self
    }

    /// The same step, under a lock with checks.
    #[must_use]
    pub fn guarded(mut self, table: &TableName, guards: Vec<SchemaCheck>) -> Self {
        self.lock = Some(table.clone());
        self.guards = guards;
        self
    }
}

/// One `SchemaChangeOperation` before it has an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What it does.
    pub operation_type: SchemaOperationType,
    /// The table.
    pub table: TableName,
    /// The column.
    pub column: Option<String>,
    /// The constraint or index.
    pub object: Option<String>,
    /// Does it.
    pub steps: Vec<SchemaStep>,
    /// Takes it back; none where nothing can.
    pub undo: Option<Vec<SchemaStep>>,
    /// The backup that it makes or relies on.
    pub backup: Option<Backup>,
    /// What it may break.
    pub risk: Risk,
    /// Checks before and after.
    pub checks: Vec<SchemaCheck>,
    /// Checks before and after the way back.
    pub undo_checks: Vec<SchemaCheck>,
    /// Rows are written anew: their `xmin` no longer tells who wrote them.
    pub rewrites: bool,
    /// Likewise on the way back.
    pub undo_rewrites: bool,
}

impl Operation {
    /// `operation_sql` of the record.
    pub fn operation_sql(&self) -> String {
        sql_of(&self.steps)
    }

    /// `rollback_sql` of the record.
    pub fn rollback_sql(&self) -> Option<String> {
        self.undo.as_deref().map(sql_of)
    }
}

/// The statements of steps as one script.
fn sql_of(steps: &[SchemaStep]) -> String {
    let mut text = String::new();
    for step in steps {
        for sql in &step.sql {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(sql);
            text.push(';');
        }
    }
    text
}

/// A declared change with the operations that it comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// What was declared.
    pub change: DeclaredChange,
    /// In order; empty where it is refused.
    pub operations: Vec<Operation>,
    /// Why it cannot be done; empty where it can.
    pub refusals: Vec<String>,
}

impl PlannedChange {
    /// The highest risk of its operations.
    pub fn risk(&self) -> Option<RiskLevel> {
        let levels = self.operations.iter().map(|one| one.risk.level);
        levels.max_by_key(|level| super::risk::rank(*level))
    }
}
