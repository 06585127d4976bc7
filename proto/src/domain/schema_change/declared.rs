//! What a plan declares, with names resolved and every aspect an own change.

use serde::{Deserialize, Serialize};

use crate::domain::catalog::TableName;
use crate::domain::frame::Side;
use crate::domain::plan::{
    self, ChangeMoment, DatabaseSide, IdentityWord, OperationType, Plan, SchemaChange,
};

/// The plan's word for a side.
pub(super) const fn side_word(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Destination => "destination",
    }
}

/// When a change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before the first row.
    Before,
    /// After the last one, with every key in its place.
    After,
    /// By `drover schema apply`.
    Cleanup,
}

impl Moment {
    /// Every moment in order.
    pub const ALL: [Self; 3] = [Self::Before, Self::After, Self::Cleanup];

    /// The plan's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Cleanup => "cleanup",
        }
    }
}

/// One change of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredChange {
    /// Its number in the plan, from 1.
    pub number: u32,
    /// Where.
    pub side: Side,
    /// When.
    pub moment: Moment,
    /// The table.
    pub table: TableName,
    /// What.
    pub change: Change,
}

impl DeclaredChange {
    /// The column, constraint or index it is about.
    pub fn object(&self) -> Option<&str> {
        match &self.change {
            Change::CreateBackup => None,
            Change::AddColumn(column) => Some(&column.name),
            Change::DropColumn { column }
            | Change::SetType { column, .. }
            | Change::SetDefault { column, .. }
            | Change::SetNotNull { column, .. }
            | Change::RenameColumn { column, .. } => Some(column),
            Change::AddConstraint { name, .. }
            | Change::DropConstraint { name }
            | Change::CreateIndex { name, .. }
            | Change::DropIndex { name } => Some(name),
        }
    }

    /// How the operator names it: `table.column`.
    pub fn label(&self) -> String {
        match self.object() {
            Some(object) => format!("{}.{object}", self.table),
            None => self.table.to_string(),
        }
    }
}

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A copy of the table in `drover_backup`.
    CreateBackup,
    /// A column comes.
    AddColumn(NewColumn),
    /// A column goes, with what hangs on it.
    DropColumn {
        /// The column.
        column: String,
    },
    /// A column changes its type.
    SetType {
        /// The column.
        column: String,
        /// The type.
        ty: ColumnType,
    },
    /// A column gets another default, or none.
    SetDefault {
        /// The column.
        column: String,
        /// SQL of the default; none takes it away.
        default: Option<String>,
    },
    /// A column must, or need not, have a value.
    SetNotNull {
        /// The column.
        column: String,
        /// It must.
        not_null: bool,
    },
    /// A column gets another name.
    RenameColumn {
        /// The column.
        column: String,
        /// Its new name.
        to: String,
    },
    /// A constraint comes.
    AddConstraint {
        /// Its name.
        name: String,
        /// What it demands.
        constraint: NewConstraint,
    },
    /// A constraint goes.
    DropConstraint {
        /// Its name.
        name: String,
    },
    /// An index comes.
    CreateIndex {
        /// Its name.
        name: String,
        /// Its columns in order.
        columns: Vec<String>,
        /// No two rows have the same values.
        is_unique: bool,
    },
    /// An index goes.
    DropIndex {
        /// Its name.
        name: String,
    },
}

/// A type as a plan names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnType {
    /// SQL of the type.
    pub sql: String,
    /// What the stored local times mean, from and to timestamps with a time zone; UTC where none is
    /// named.
    pub time_zone: Option<String>,
}

/// A new column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewColumn {
    /// Its name.
    pub name: String,
    /// SQL of its type.
    pub ty: String,
    /// It must have a value.
    pub not_null: bool,
    /// SQL of its default.
    pub default: Option<String>,
    /// SQL of what it is made of.
    pub generated: Option<String>,
    /// It numbers rows.
    pub identity: Option<IdentityKind>,
}

/// How a column numbers rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// No row brings its own number.
    Always,
    /// A row may bring its own number.
    ByDefault,
}

impl IdentityKind {
    /// As it stands behind `GENERATED`.
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::ByDefault => "by default",
        }
    }
}

/// A new constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewConstraint {
    /// No two rows have the same values.
    Unique {
        /// Its columns.
        columns: Vec<String>,
    },
    /// A condition over the row.
    Check {
        /// SQL of the condition.
        condition: String,
    },
    /// A row of another table must be there.
    ForeignKey {
        /// Its columns.
        columns: Vec<String>,
        /// The other table.
        references: TableName,
        /// The other table's columns.
        referenced: Vec<String>,
    },
}

/// Every change that a plan declares, in order; entries of several aspects are several changes.
pub fn declared(plan: &Plan) -> Vec<DeclaredChange> {
    let mut number = 0;
    let mut all = Vec::new();
    for entry in &plan.schema_changes {
        for change in changes(entry) {
            number += 1;
            all.push(DeclaredChange {
                number,
                side: match entry.on {
                    Some(DatabaseSide::Source) => Side::Source,
                    Some(DatabaseSide::Destination) | None => Side::Destination,
                },
                moment: match entry.when {
                    ChangeMoment::Before => Moment::Before,
                    ChangeMoment::After => Moment::After,
                    ChangeMoment::Cleanup => Moment::Cleanup,
                },
                table: TableName::parse(&entry.table_name),
                change,
            });
        }
    }
    all
}

fn changes(entry: &SchemaChange) -> Vec<Change> {
    let text = |name: &Option<plan::Name>| name.as_ref().map(|name| name.to_string());
    let sql = |sql: &Option<plan::Sql>| sql.as_ref().map(|sql| sql.to_string());
    let column = text(&entry.column_name).unwrap_or_default();
    let name = text(&entry.object_name).unwrap_or_default();
    let columns = || -> Vec<String> {
        let names = entry.columns.iter().flatten();
        names.map(|name| name.to_string()).collect()
    };
    match entry.operation_type {
        OperationType::CreateBackup => vec![Change::CreateBackup],
        OperationType::DropColumn => vec![Change::DropColumn { column }],
        OperationType::AddColumn => vec![Change::AddColumn(NewColumn {
            name: column,
            ty: text(&entry.ty).unwrap_or_default(),
            not_null: entry.not_null.unwrap_or(false),
            default: sql(&entry.default),
            generated: sql(&entry.generated),
            identity: entry.identity.as_ref().map(|word| match word {
                IdentityWord::Always => IdentityKind::Always,
                IdentityWord::ByDefault => IdentityKind::ByDefault,
            }),
        })],
        OperationType::ModifyColumn => aspects(entry, &column),
        OperationType::AddConstraint => {
            let constraint = match (&entry.check, &entry.references) {
                (Some(condition), _) => NewConstraint::Check {
                    condition: condition.to_string(),
                },
                (None, Some(references)) => NewConstraint::ForeignKey {
                    columns: columns(),
                    references: TableName::parse(&references.table_name),
                    referenced: references
                        .columns
                        .iter()
                        .map(|name| name.0.clone())
                        .collect(),
                },
                (None, None) => NewConstraint::Unique { columns: columns() },
            };
            vec![Change::AddConstraint { name, constraint }]
        }
        OperationType::DropConstraint => vec![Change::DropConstraint { name }],
        OperationType::CreateIndex => vec![Change::CreateIndex {
            name,
            columns: columns(),
            is_unique: entry.unique.unwrap_or(false),
        }],
        OperationType::DropIndex => vec![Change::DropIndex { name }],
    }
}

/// What a `modify_column` modifies: its type first, its name last.
fn aspects(entry: &SchemaChange, column: &str) -> Vec<Change> {
    let column = || column.to_owned();
    let mut all = Vec::new();
    if let Some(ty) = &entry.ty {
        all.push(Change::SetType {
            column: column(),
            ty: ColumnType {
                sql: ty.to_string(),
                time_zone: entry.time_zone.as_ref().map(|zone| zone.to_string()),
            },
        });
    }
    if let Some(default) = &entry.default {
        all.push(Change::SetDefault {
            column: column(),
            default: Some(default.to_string()),
        });
    }
    if entry.drop_default == Some(true) {
        all.push(Change::SetDefault {
            column: column(),
            default: None,
        });
    }
    if let Some(not_null) = entry.not_null {
        all.push(Change::SetNotNull {
            column: column(),
            not_null,
        });
    }
    if let Some(to) = &entry.rename_to {
        all.push(Change::RenameColumn {
            column: column(),
            to: to.to_string(),
        });
    }
    all
}
