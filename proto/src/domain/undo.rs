//! Undo: what is asked of an agent when rows of a migration are taken back, and what it tells.
//!
//! Everything is done by what the destination itself has recorded; the plan only tells how an entity's rows
//! are known. Nothing here holds a row's values: keys and counts only.

use serde::{Deserialize, Serialize};

use super::catalog::TableName;
use super::compiled::{CompiledEntity, ConflictRule, IdRule, ValueRule};

/// Keys that are listed of one kind of conflict; the number of all stands beside them.
pub const LISTED: usize = 20;

/// What becomes of rows that others changed since, or that rows which stay refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictPolicy {
    /// They stay as they are.
    Keep,
    /// They are undone like the others; a row that refers to one follows its foreign key's own rule.
    Force,
}

impl ConflictPolicy {
    /// The word that operators use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Force => "force",
        }
    }

    /// The policy of a word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Keep, Self::Force]
            .into_iter()
            .find(|policy| policy.as_str() == word)
    }
}

/// What a rollback takes back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoScope {
    /// These entities and all that depend on them; empty: the whole migration.
    pub entities: Vec<String>,
    /// What becomes of conflicts; none: they block it.
    pub conflicts: Option<ConflictPolicy>,
}

/// An entity whose rows are taken back, as far as that needs its rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UndoTarget {
    /// The entity.
    pub entity: String,
    /// Its table.
    pub destination: TableName,
    /// How its rows are known.
    pub id: IdRule,
    /// Of a join table's columns, those that the id map has.
    pub known: Vec<String>,
    /// Columns that it changes in a row that was there.
    pub changed: Vec<String>,
}

impl UndoTarget {
    /// The target of a compiled entity.
    pub fn of(entity: &CompiledEntity) -> Self {
        let is_id = |name: &String| {
            entity.columns.iter().any(|column| {
                column.name == *name
                    && matches!(column.value, ValueRule::Id(_) | ValueRule::FirstId(_))
            })
        };
        let known = match &entity.id {
            IdRule::Uuid5 { .. } | IdRule::Keep { .. } => Vec::new(),
            IdRule::None { columns } => columns.iter().filter(|it| is_id(it)).cloned().collect(),
        };
        Self {
            entity: entity.entity.clone(),
            destination: entity.destination.clone(),
            id: entity.id.clone(),
            known,
            changed: changed(entity),
        }
    }
}

/// Columns that a batch changes in a row that is there.
fn changed(entity: &CompiledEntity) -> Vec<String> {
    match &entity.on_conflict {
        ConflictRule::Error | ConflictRule::Skip => Vec::new(),
        ConflictRule::Merge(names) => names.clone(),
        ConflictRule::Overwrite => {
            let key = entity.id.columns();
            let names = entity.columns.iter().map(|column| &column.name);
            names.filter(|name| !key.contains(name)).cloned().collect()
        }
    }
}

/// One question about an undo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UndoOrder {
    /// Attempt that is undone.
    pub attempt: i32,
    /// The controller's own token; 0 where nothing is changed.
    pub token: i64,
    /// What becomes of conflicts.
    pub conflicts: Option<ConflictPolicy>,
    /// What is to be done.
    pub step: UndoStep,
}

/// A step of an undo; each is done again without harm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoStep {
    /// Tell what an undo would do; nothing is changed.
    Effects {
        /// What would be undone.
        targets: Vec<UndoTarget>,
    },
    /// Seal the partitions, look for conflicts, and drop the foreign keys that are put back at the end.
    Begin {
        /// What is undone.
        targets: Vec<UndoTarget>,
    },
    /// Take back batches of an entity for a while, newest first.
    Rows {
        /// The entity.
        target: UndoTarget,
    },
    /// Put back definitions and sequences, compare with the start, close the books.
    Finish {
        /// What is undone.
        targets: Vec<UndoTarget>,
        /// Other entities of the migration stay.
        is_partial: bool,
    },
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoAnswer {
    /// To `Effects`.
    Effects(Vec<UndoEffect>),
    /// To `Begin`.
    Begun {
        /// Everything that stands in the way; where the policy does not settle it nothing was changed but
        /// the seal.
        conflicts: Vec<UndoConflict>,
        /// These keep it from going on.
        is_blocked: bool,
        /// Rows of each entity that are still to be taken back.
        rows_left: Vec<(String, i64)>,
    },
    /// To `Rows`.
    Rows(UndoProgress),
    /// To `Finish`.
    Finished(UndoReport),
}

/// What an undo does, or would do, to one entity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UndoEffect {
    /// The entity.
    pub entity: String,
    /// Its table.
    pub table: String,
    /// Batches to be undone.
    pub batches: i64,
    /// Rows to be deleted.
    pub rows_to_delete: i64,
    /// Rows to be put back as they were before they were changed.
    pub rows_to_restore: i64,
    /// Rows that others have deleted already.
    pub rows_gone: i64,
    /// Rows of it that stand in the way.
    pub conflicts: Vec<UndoConflict>,
    /// Constraints and indexes that the load dropped and that are put back.
    pub constraints: Vec<String>,
    /// Sequences that are set back.
    pub sequences: Vec<String>,
}

/// Rows that others changed, or that rows which stay refer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoConflict {
    /// The entity whose rows are meant.
    pub entity: String,
    /// Its table.
    pub table: String,
    /// What is with them.
    pub kind: ConflictKind,
    /// The foreign key by which they are referred to.
    pub constraint: Option<String>,
    /// The table that refers to them.
    pub referrer: Option<String>,
    /// All of them.
    pub count: i64,
    /// Keys of the first ones at the destination.
    pub keys: Vec<String>,
}

/// What is with rows that cannot simply be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// Somebody else wrote them after this migration did.
    Changed,
    /// Rows that stay refer to them.
    Referred,
}

/// How far the undo of an entity is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoProgress {
    /// Batches undone by this question.
    pub batches: i64,
    /// Rows it deleted.
    pub deleted: i64,
    /// Rows it put back as they were.
    pub restored: i64,
    /// Rows that are left for the next one.
    pub rows_left: i64,
    /// Nothing is left.
    pub is_done: bool,
    /// Rows that others changed since the undo began: the conflicts are looked for again.
    pub changed_meanwhile: i64,
}

/// How the tables are after an undo, compared with the start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UndoReport {
    /// Attempt that was undone.
    pub attempt: i32,
    /// Every table of the migration.
    pub tables: Vec<TableComparison>,
    /// Sequences that could not be set back, and why.
    pub notes: Vec<String>,
}

impl UndoReport {
    /// Every table is as it was.
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(TableComparison::is_equal) && self.notes.is_empty()
    }

    /// The outcome in words.
    pub fn describe(&self) -> String {
        let differ: Vec<String> = self
            .tables
            .iter()
            .filter(|table| !table.is_equal())
            .map(TableComparison::describe)
            .chain(self.notes.iter().cloned())
            .collect();
        match differ.as_slice() {
            [] => format!(
                "all {} tables are as they were at the start",
                self.tables.len()
            ),
            differ => format!("not as at the start: {}", differ.join("; ")),
        }
    }
}

/// A table before a migration and after its undo.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableComparison {
    /// The table.
    pub table: String,
    /// Rows at the start.
    pub rows_before: i64,
    /// Rows now.
    pub rows_after: i64,
    /// Sum of row hashes at the start.
    pub hash_before: String,
    /// The same now.
    pub hash_after: String,
    /// Rows that this undo left alone.
    pub rows_kept: i64,
    /// Definitions of constraints, indexes and triggers that are there now and were not, or the other way round.
    pub definitions: Vec<String>,
}

impl TableComparison {
    /// Rows and definitions are the same.
    pub fn is_equal(&self) -> bool {
        self.rows_before == self.rows_after
            && self.hash_before == self.hash_after
            && self.definitions.is_empty()
    }

    fn describe(&self) -> String {
        let mut words = Vec::new();
        if self.rows_before != self.rows_after {
            words.push(format!(
                "{} rows, {} at the start",
                self.rows_after, self.rows_before
            ));
        } else if self.hash_before != self.hash_after {
            words.push("rows were changed".to_owned());
        }
        if self.rows_kept > 0 {
            words.push(format!("{} rows were kept", self.rows_kept));
        } else if !words.is_empty() {
            words.push("others wrote to it".to_owned());
        }
        if !self.definitions.is_empty() {
            words.push(format!("definitions: {}", self.definitions.join(", ")));
        }
        format!("{} ({})", self.table, words.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows_after: i64, hash_after: &str) -> TableComparison {
        TableComparison {
            table: "public.orders".to_owned(),
            rows_before: 3,
            rows_after,
            hash_before: "17".to_owned(),
            hash_after: hash_after.to_owned(),
            ..TableComparison::default()
        }
    }

    fn report(tables: Vec<TableComparison>) -> UndoReport {
        UndoReport {
            attempt: 1,
            tables,
            notes: Vec::new(),
        }
    }

    #[test]
    fn equal_tables_are_told_as_equal() {
        let report = report(vec![table(3, "17"), table(3, "17")]);
        assert!(report.is_equal());
        assert_eq!(
            report.describe(),
            "all 2 tables are as they were at the start"
        );
    }

    #[test]
    fn a_difference_names_the_table_and_who_made_it() {
        let kept = TableComparison {
            rows_kept: 2,
            ..table(5, "20")
        };
        for (found, expected) in [
            (
                table(4, "18"),
                "public.orders (4 rows, 3 at the start; others wrote to it)",
            ),
            (
                table(3, "18"),
                "public.orders (rows were changed; others wrote to it)",
            ),
            (
                kept,
                "public.orders (5 rows, 3 at the start; 2 rows were kept)",
            ),
        ] {
            let report = report(vec![found]);
            assert!(!report.is_equal());
            let words = format!("not as at the start: {expected}");
            assert_eq!(report.describe(), words);
        }
    }

    #[test]
    fn the_words_for_conflicts_are_read_back() {
        for policy in [ConflictPolicy::Keep, ConflictPolicy::Force] {
            assert_eq!(ConflictPolicy::parse(policy.as_str()), Some(policy));
        }
        assert_eq!(ConflictPolicy::parse("ignore"), None);
    }
}
