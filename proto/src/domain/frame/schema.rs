//! Questions about schema changes, and their answers.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Side;
use crate::domain::catalog::Catalog;
use crate::domain::schema_change::{DeclaredChange, JournalEntry, LoadedDefinition, TableFacts};

/// What is asked of a schema, or done to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaQuery {
    /// What the catalog and the rows say of a table that is to be changed.
    Facts(DeclaredChange),
    /// The destination's tables as they will be after these changes, tried on empty copies; those that the
    /// migration of that name has made already are left out.
    Rehearse {
        /// The plan's name.
        name: String,
        /// In order.
        changes: Vec<DeclaredChange>,
    },
    /// Keeps planned operations in the journal; those that were begun stay as they are.
    Record {
        /// Where.
        side: Side,
        /// The plan's name.
        name: String,
        /// The operations.
        entries: Vec<JournalEntry>,
    },
    /// Executes an operation, from wherever it stands.
    Apply {
        /// Where.
        side: Side,
        /// The operation.
        operation_id: Uuid,
    },
    /// Takes an operation back, from wherever it stands.
    Undo {
        /// Where.
        side: Side,
        /// The operation.
        operation_id: Uuid,
    },
    /// Every operation of a migration.
    Journal {
        /// The migration.
        migration_id: Uuid,
        /// The source is looked at, too.
        has_source: bool,
    },
}

/// Answers to [`SchemaQuery`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaAnswer {
    /// To `Facts`: none where there is no such table.
    Facts(Option<Box<TableFacts>>),
    /// To `Rehearse`: only tables and their columns count.
    Rehearsed(Catalog),
    /// To `Apply` and `Undo`.
    Operation(Box<JournalEntry>),
    /// To `Record` and `Journal`: by position.
    Journal {
        /// Operations of the plan.
        entries: Vec<JournalEntry>,
        /// What was dropped for the load.
        loaded: Vec<LoadedDefinition>,
    },
}
