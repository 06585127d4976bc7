//! What a catalog says of a table that is to be changed, and of the change itself.
//!
//! Statements in here were written by the server (`pg_get_constraintdef` and its kin) and are repeated as
//! they are.

use serde::{Deserialize, Serialize};

use crate::domain::catalog::TableName;

/// A table with everything that hangs on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFacts {
    /// Its name.
    pub name: TableName,
    /// It is an ordinary table: not partitioned, no partition, no parent and no child.
    pub is_plain: bool,
    /// Rows, estimated; exact where the table is small.
    pub rows: i64,
    /// Size with indexes, in bytes.
    pub bytes: i64,
    /// Its columns in order.
    pub columns: Vec<ColumnFacts>,
    /// Its constraints, and foreign keys of others that point at it.
    pub constraints: Vec<ConstraintFacts>,
    /// Its indexes, those of constraints apart.
    pub indexes: Vec<IndexFacts>,
    /// Policies, triggers and statistics that name columns.
    pub objects: Vec<ObjectFacts>,
    /// What nothing of Drover's can put back: views, functions, generated columns, rules.
    pub dependants: Vec<Dependant>,
    /// Triggers that fire on an update.
    pub update_triggers: Vec<UpdateTrigger>,
    /// Publications that it is part of.
    pub publications: Vec<String>,
    /// Somebody's transaction has been open for more than a minute.
    pub has_long_transactions: bool,
    /// Migrations, by name, whose rows are in it and can still be undone.
    pub written_by: Vec<String>,
    /// What the server has against the change, in its own words.
    pub refusal: Option<String>,
    /// What was found out about the change: its type, where it has one.
    pub ty: Option<TypeFacts>,
    /// Rows that the change would trip over: NULLs, doubles, orphans, broken conditions.
    pub offenders: Option<i64>,
    /// Rows with a value in the column that is dropped.
    pub values: Option<i64>,
}

impl TableFacts {
    /// A column.
    pub fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Constraints that involve a column, foreign keys first, those of others before its own.
    pub fn constraints_of(&self, column: &str) -> Vec<&ConstraintFacts> {
        let mut all: Vec<&ConstraintFacts> = self
            .constraints
            .iter()
            .filter(|one| one.involves(&self.name, column))
            .collect();
        all.sort_by_key(|one| {
            (
                one.kind != ConstraintKind::ForeignKey,
                one.table == self.name,
                one.name.clone(),
            )
        });
        all
    }

    /// Columns that tell rows apart, without this one: the primary key, else a unique key of columns
    /// that are never NULL.
    pub fn key_without(&self, column: Option<&str>) -> Option<&[String]> {
        let is_key = |one: &&ConstraintFacts| {
            one.table == self.name
                && matches!(one.kind, ConstraintKind::Primary | ConstraintKind::Unique)
                && !one.columns.iter().any(|name| Some(name.as_str()) == column)
                && one
                    .columns
                    .iter()
                    .all(|name| self.column(name).is_some_and(|column| column.not_null))
        };
        let mut keys: Vec<&ConstraintFacts> = self.constraints.iter().filter(is_key).collect();
        keys.sort_by_key(|one| (one.kind != ConstraintKind::Primary, one.name.clone()));
        keys.first().map(|one| one.columns.as_slice())
    }

    /// Other tables refer to it by this column.
    pub fn is_referenced_by(&self, column: &str) -> bool {
        self.constraints.iter().any(|one| {
            one.kind == ConstraintKind::ForeignKey
                && one.table != self.name
                && one.referenced.iter().any(|name| name == column)
        })
    }
}

/// A column with everything that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// SQL of its type.
    pub ty: String,
    /// Quoted name of its collation, where it is not its type's.
    pub collation: Option<String>,
    /// It must have a value.
    pub not_null: bool,
    /// SQL of its default.
    pub default: Option<String>,
    /// SQL of what it is made of.
    pub generated: Option<String>,
    /// The sequence of its identity, or one that it owns.
    pub sequence: Option<SequenceFacts>,
    /// Statements that give it everything else: comment, grants, storage, compression, statistics target,
    /// options.
    pub extras: Vec<String>,
}

/// A sequence that goes with a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceFacts {
    /// Its quoted name.
    pub name: String,
    /// `always` or `by default` for an identity; none for a sequence that the column only owns.
    pub identity: Option<String>,
    /// Its options, as they stand in `CREATE SEQUENCE`.
    pub options: String,
    /// The last number it gave.
    pub last_value: Option<i64>,
}

/// What kind of constraint it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConstraintKind {
    /// PRIMARY KEY.
    Primary,
    /// UNIQUE.
    Unique,
    /// FOREIGN KEY.
    ForeignKey,
    /// CHECK.
    Check,
    /// EXCLUDE.
    Exclusion,
}

/// A constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConstraintFacts {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: ConstraintKind,
    /// Its table.
    pub table: TableName,
    /// Its columns.
    pub columns: Vec<String>,
    /// The table that a foreign key refers to.
    pub references: Option<TableName>,
    /// The columns that a foreign key refers to.
    pub referenced: Vec<String>,
    /// `pg_get_constraintdef`, without `NOT VALID`.
    pub definition: String,
    /// Every row was looked at.
    pub is_valid: bool,
    /// `CREATE UNIQUE INDEX`, for a key.
    pub index: Option<String>,
    /// What stands behind `USING INDEX name`: deferrable or not.
    pub timing: String,
    /// Statements that give it everything else.
    pub extras: Vec<String>,
}

impl ConstraintFacts {
    fn involves(&self, table: &TableName, column: &str) -> bool {
        let has = |names: &[String]| names.iter().any(|name| name == column);
        (self.table == *table && has(&self.columns))
            || (self.references.as_ref() == Some(table) && has(&self.referenced))
    }
}

/// An index that no constraint has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexFacts {
    /// Its name, in its table's schema.
    pub name: String,
    /// Columns that it names anywhere.
    pub columns: Vec<String>,
    /// `pg_get_indexdef`.
    pub definition: String,
    /// Statements that give it everything else.
    pub extras: Vec<String>,
}

/// Something that can be dropped and made again by one statement each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectFacts {
    /// `policy`, `trigger` or `statistics`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Columns that it names.
    pub columns: Vec<String>,
    /// Drops it.
    pub drop_sql: String,
    /// Makes it again.
    pub create_sql: Vec<String>,
}

/// A trigger that is kept still while values are brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateTrigger {
    /// Its name.
    pub name: String,
    /// Switches it off.
    pub off: String,
    /// Switches it on as it was.
    pub on: String,
}

/// Something that depends on a column and cannot be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependant {
    /// The column.
    pub column: String,
    /// What it is, in the server's words.
    pub words: String,
}

/// What the server made of the new type, tried on an empty table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeFacts {
    /// The type as the server names it.
    pub ty: String,
    /// The change writes every row anew, or builds its indexes anew.
    pub rewrites: bool,
    /// Values are converted without being told how.
    pub is_automatic: bool,
    /// How the values that are there fit.
    pub fit: Fit,
}

/// How values fit a new type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fit {
    /// Values that the new type cannot hold at all.
    pub impossible: i64,
    /// Values that do not come back as they were.
    pub lossy: i64,
}
