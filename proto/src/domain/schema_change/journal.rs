//! What a journal holds of operations, and the record that is made of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::check::CheckOutcome;
use super::declared::{DeclaredChange, Moment, side_word};
use super::planned::Operation;
use crate::domain::catalog::TableName;
use crate::domain::frame::Side;
use crate::domain::record::{
    RiskLevel, SchemaChangeOperation, SchemaOperationStatus, SchemaOperationType,
};

/// Operations of one change, at most.
const OPERATIONS: i32 = 1000;
/// Positions of one moment.
const MOMENT: i32 = 10_000_000;

/// Position of an operation in its migration: those before the load, the load's own, those after it.
pub fn position(change: &DeclaredChange, place: usize) -> i32 {
    let base = match change.moment {
        Moment::Before => 0,
        Moment::After => 2 * MOMENT,
        Moment::Cleanup => 3 * MOMENT,
    };
    let number = i32::try_from(change.number).unwrap_or(i32::MAX / OPERATIONS - 1);
    let place = i32::try_from(place).unwrap_or(OPERATIONS - 1);
    base + number.min(MOMENT / OPERATIONS - 1) * OPERATIONS + place + 1
}

/// An operation in the journal of the database that it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// The operation's id.
    pub id: Uuid,
    /// Its migration.
    pub migration_id: Uuid,
    /// Its position.
    pub position: i32,
    /// What was declared.
    pub change: DeclaredChange,
    /// What is done.
    pub operation: Operation,
    /// Where it stands.
    pub status: SchemaOperationStatus,
    /// The way back has begun.
    pub is_undoing: bool,
    /// Steps that are done, of the way it goes.
    pub step: i32,
    /// When it was executed.
    pub executed_at: Option<DateTime<Utc>>,
    /// Its checks so far.
    pub checks: Vec<CheckOutcome>,
    /// Why it failed, or was not done yet.
    pub error_message: Option<String>,
}

impl JournalEntry {
    /// A new entry; the id is the same whenever the same is planned.
    pub fn new(migration_id: Uuid, change: &DeclaredChange, place: usize, what: Operation) -> Self {
        let position = position(change, place);
        Self {
            id: id_of(migration_id, change.side, position),
            migration_id,
            position,
            change: change.clone(),
            operation: what,
            status: SchemaOperationStatus::Pending,
            is_undoing: false,
            step: 0,
            executed_at: None,
            checks: Vec::new(),
            error_message: None,
        }
    }

    /// Nothing of it is at the database.
    pub fn is_untouched(&self) -> bool {
        match self.status {
            SchemaOperationStatus::Pending | SchemaOperationStatus::Failed => self.step == 0,
            SchemaOperationStatus::RolledBack => true,
            SchemaOperationStatus::Completed => false,
        }
    }

    /// The record of it, for the metadata.
    pub fn record(&self) -> SchemaChangeOperation {
        let operation = &self.operation;
        SchemaChangeOperation {
            id: self.id,
            migration_id: self.migration_id,
            position: self.position,
            operation_type: operation.operation_type,
            table_name: operation.table.to_string(),
            column_name: operation.column.clone(),
            object_name: operation.object.clone(),
            operation_sql: operation.operation_sql(),
            status: self.status,
            executed_at: self.executed_at,
            is_reversible: operation.undo.is_some(),
            rollback_sql: operation.rollback_sql(),
            backup_table_name: operation.backup.as_ref().map(|one| one.table.to_string()),
            risk_level: Some(operation.risk.level),
            validation_results: Some(json!({
                "on": side_word(self.change.side),
                "when": self.change.moment.word(),
                "reasons": operation.risk.reasons,
                "checks": self.checks,
            })),
            error_message: self.error_message.clone(),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }
}

fn id_of(migration_id: Uuid, side: Side, position: i32) -> Uuid {
    let name = format!("schema:{}:{position}", side_word(side));
    Uuid::new_v5(&migration_id, name.as_bytes())
}

/// A key or index that was dropped for a load, out of the destination's `drover.ddl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedDefinition {
    /// Its migration.
    pub migration_id: Uuid,
    /// Its number in the journal.
    pub number: i64,
    /// Its place among the migration's, from 0.
    pub place: i64,
    /// `foreign_key`, `primary_key`, `unique` or `index`.
    pub kind: String,
    /// Its table.
    pub table: TableName,
    /// Its name.
    pub object: String,
    /// Drops it.
    pub drop_sql: String,
    /// Puts it back.
    pub create_sql: Vec<String>,
    /// It is back.
    pub is_restored: bool,
    /// When it was dropped.
    pub dropped_at: DateTime<Utc>,
}

impl LoadedDefinition {
    /// The record of it: dropped for the load, rolled back when it is put back.
    pub fn record(&self) -> SchemaChangeOperation {
        let place = i32::try_from(self.place).unwrap_or(MOMENT - 1);
        let position = MOMENT + place.min(MOMENT - 2) + 1;
        let operation_type = match self.kind.as_str() {
            "index" => SchemaOperationType::DropIndex,
            _ => SchemaOperationType::DropConstraint,
        };
        let reasons: Value = json!([
            "dropped for the load and put back after it: the table was empty, or the plan says rebuild"
        ]);
        SchemaChangeOperation {
            id: Uuid::new_v5(
                &self.migration_id,
                format!("ddl:{}", self.number).as_bytes(),
            ),
            migration_id: self.migration_id,
            position,
            operation_type,
            table_name: self.table.to_string(),
            column_name: None,
            object_name: Some(self.object.clone()),
            operation_sql: format!("{};", self.drop_sql),
            status: match self.is_restored {
                true => SchemaOperationStatus::RolledBack,
                false => SchemaOperationStatus::Completed,
            },
            executed_at: Some(self.dropped_at),
            is_reversible: true,
            rollback_sql: Some(format!("{};", self.create_sql.join(";\n"))),
            backup_table_name: None,
            risk_level: Some(RiskLevel::Low),
            validation_results: Some(json!({
                "on": "destination", "when": "load", "reasons": reasons, "checks": [],
            })),
            error_message: None,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }
}
