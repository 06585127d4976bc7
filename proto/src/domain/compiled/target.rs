//! How a row is known at the destination, and what happens where it is there already.

use serde::{Deserialize, Serialize};

use super::{ReadRule, RowAction, ValueRule};

/// Something of the destination that a load sets off or meets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The entity that writes the table.
    pub entity: String,
    /// The table, and what it has.
    pub message: String,
}

/// A destination column and its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteColumn {
    /// Column name, unquoted.
    pub name: String,
    /// Where its value comes from.
    pub value: ValueRule,
    /// The value travels as text, and the destination makes this type of it: one that has another
    /// binary form in every database, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cast: Option<String>,
}

impl WriteColumn {
    /// A value in the binary form of its column.
    pub fn new(name: impl Into<String>, value: ValueRule) -> Self {
        Self {
            name: name.into(),
            value,
            cast: None,
        }
    }
}

/// What the id map stores, and which destination column holds the row's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdRule {
    /// `column` is `uuid5` of the source key.
    Uuid5 {
        /// Destination column.
        column: String,
        /// Entity that names the ids: this one, or the one whose ids it shares.
        entity: String,
    },
    /// `column` keeps the source key; the id map holds its uuid5 and the key as metadata.
    Keep {
        /// Destination column.
        column: String,
    },
    /// A join table: identity is its key columns; the id map holds the uuid5 of the source key.
    None {
        /// Destination columns that identify a row.
        columns: Vec<String>,
    },
}

/// What happens where the destination already has a row of that key; but for `Error` its constraints
/// stay in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictRule {
    /// The row is an error.
    Error,
    /// The row that is there stays.
    Skip,
    /// Every column that is written takes the place of what is there.
    Overwrite,
    /// These columns are filled where they are NULL.
    Merge(Vec<String>),
}

/// Rows that are at the destination already are looked for by other columns than their key; a row that
/// is found gives its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatchRule {
    /// Fields of a SELECT of its own: the key columns as the entity reads them, then the rest.
    pub fields: Vec<String>,
    /// Destination columns that are compared, each with its value; NULL equals nothing.
    pub columns: Vec<WriteColumn>,
    /// What happens to source rows that match the same row: `Quarantine` or `Fail`.
    pub duplicates: RowAction,
    /// Path of the rule in the plan.
    pub path: String,
}

impl MatchRule {
    /// How the values are read that are compared, given how the entity's rows are.
    pub fn read(&self, rows: &ReadRule) -> ReadRule {
        ReadRule {
            fields: self.fields.clone(),
            fault_field: None,
            ..rows.clone()
        }
    }
}

impl IdRule {
    /// Destination columns that identify a row.
    pub fn columns(&self) -> &[String] {
        match self {
            Self::Uuid5 { column, .. } | Self::Keep { column } => std::slice::from_ref(column),
            Self::None { columns } => columns,
        }
    }
}
