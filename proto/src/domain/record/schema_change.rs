//! `SchemaChangeOperation`: one change of a schema, with its way back.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::text_enum;

text_enum! {
    /// What an operation does. Stored, fixed. The last four are beside the data model: what a rebuild
    /// drops before the load and puts back after it.
    pub enum SchemaOperationType {
        /// Removes a column.
        DropColumn = "drop_column",
        /// Adds a column.
        AddColumn = "add_column",
        /// Changes a column's type or properties.
        ModifyColumn = "modify_column",
        /// Copies a table aside.
        CreateBackup = "create_backup",
        /// Drops a constraint.
        DropConstraint = "drop_constraint",
        /// Adds a constraint.
        AddConstraint = "add_constraint",
        /// Drops an index.
        DropIndex = "drop_index",
        /// Makes an index.
        CreateIndex = "create_index",
    }
}

text_enum! {
    /// Where an operation stands. Stored; set from the destination's journal. A restart reads the
    /// journal again.
    pub enum SchemaOperationStatus {
        /// Planned, not executed.
        Pending = "pending",
        /// Executed.
        Completed = "completed",
        /// Executed without success; nothing of it remains.
        Failed = "failed",
        /// Undone by its `rollback_sql`.
        RolledBack = "rolled_back",
    }
}

text_enum! {
    /// What an operation may break. Stored; assessed before execution.
    pub enum RiskLevel {
        /// Nothing is lost and nobody waits.
        Low = "low",
        /// Others may wait for a lock.
        Medium = "medium",
        /// Data is rewritten.
        High = "high",
        /// Data is removed.
        Critical = "critical",
    }
}

/// One schema change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchemaChangeOperation {
    /// This operation.
    pub id: Uuid,
    /// The migration.
    pub migration_id: Uuid,
    /// Order in the migration, from 1. Beside the data model.
    pub position: i32,
    /// What it does.
    pub operation_type: SchemaOperationType,
    /// Table it is about.
    pub table_name: String,
    /// Column it is about.
    pub column_name: Option<String>,
    /// Constraint or index it is about. Beside the data model.
    pub object_name: Option<String>,
    /// The statement.
    pub operation_sql: String,
    /// Where it stands.
    pub status: SchemaOperationStatus,
    /// When it was executed.
    pub executed_at: Option<DateTime<Utc>>,
    /// `rollback_sql` brings the state before back. Beside the data model.
    pub is_reversible: bool,
    /// The way back; present whenever reversible.
    pub rollback_sql: Option<String>,
    /// Table that holds the backup.
    pub backup_table_name: Option<String>,
    /// What it may break; present once executed.
    pub risk_level: Option<RiskLevel>,
    /// Checks before and after: a JSON object; present once a critical operation is executed.
    pub validation_results: Option<Value>,
    /// Why it failed. Beside the data model.
    pub error_message: Option<String>,
    /// When the record was made. Beside the data model.
    pub created_at: DateTime<Utc>,
    /// When the record last changed. Beside the data model.
    pub updated_at: DateTime<Utc>,
}
