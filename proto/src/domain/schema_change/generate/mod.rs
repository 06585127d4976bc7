//! From a declared change and the facts of its table to ordered operations, or to refusals.

mod add;
mod drop;
mod keys;
mod measure;
mod modify;
mod rehearse;
mod retype;

pub use measure::{FitQuestions, fit_questions, offenders};
pub use rehearse::rehearsal;

use super::backup::Backup;
use super::check::{Phase, SchemaCheck};
use super::declared::{Change, DeclaredChange};
use super::facts::TableFacts;
use super::planned::{Operation, PlannedChange, SchemaStep};
use super::risk::{Escalation, Risk};
use crate::domain::catalog::quote_ident;
use crate::domain::record::SchemaOperationType;

/// What operations of one change are made of.
struct Draft<'a> {
    change: &'a DeclaredChange,
    facts: &'a TableFacts,
    /// Begin of the migration's id, in names of backups.
    tag: &'a str,
    /// The migration's name.
    migration: &'a str,
}

/// Why a change cannot be made.
type Refusals = Vec<String>;

/// Plans a change. `tag` goes into the names of backups, `migration` is the plan's name.
pub fn generate(
    change: &DeclaredChange,
    facts: Option<&TableFacts>,
    (tag, migration): (&str, &str),
) -> PlannedChange {
    let planned = match facts {
        None => Err(vec![format!("there is no table {}", change.table)]),
        Some(facts) => {
            let draft = Draft {
                change,
                facts,
                tag,
                migration,
            };
            draft.operations()
        }
    };
    let (operations, refusals) = match planned {
        Ok(operations) => (operations, Vec::new()),
        Err(refusals) => (Vec::new(), refusals),
    };
    PlannedChange {
        change: change.clone(),
        operations,
        refusals,
    }
}

impl Draft<'_> {
    fn operations(&self) -> Result<Vec<Operation>, Refusals> {
        if let Some(words) = &self.facts.refusal {
            return Err(vec![words.clone()]);
        }
        if !self.facts.is_plain && self.change.change != Change::CreateBackup {
            return Err(vec![format!(
                "{} is partitioned or inherits: such tables are changed by hand",
                self.change.table
            )]);
        }
        match &self.change.change {
            Change::CreateBackup => Ok(vec![self.whole_backup()]),
            Change::AddColumn(column) => self.add_column(column).map(|one| vec![one]),
            Change::DropColumn { column } => self.drop_column(column),
            Change::SetType { column, ty } => self.set_type(column, ty),
            Change::SetDefault { column, default } => self
                .set_default(column, default.as_deref())
                .map(|one| vec![one]),
            Change::SetNotNull { column, not_null } => {
                self.set_not_null(column, *not_null).map(|one| vec![one])
            }
            Change::RenameColumn { column, to } => self.rename(column, to).map(|one| vec![one]),
            Change::AddConstraint { name, constraint } => {
                self.add_constraint(name, constraint).map(|one| vec![one])
            }
            Change::DropConstraint { name } => self.drop_declared_constraint(name),
            Change::CreateIndex {
                name,
                columns,
                is_unique,
            } => self
                .create_index(name, columns, *is_unique)
                .map(|one| vec![one]),
            Change::DropIndex { name } => self.drop_declared_index(name).map(|one| vec![one]),
        }
    }

    /// An operation on the change's table, without checks and backup.
    fn operation(
        &self,
        operation_type: SchemaOperationType,
        (steps, undo): (Vec<SchemaStep>, Option<Vec<SchemaStep>>),
        (risk, by): (Risk, Escalation<'_>),
    ) -> Operation {
        Operation {
            operation_type,
            table: self.change.table.clone(),
            column: None,
            object: None,
            steps,
            undo,
            backup: None,
            risk: risk.escalated(self.change, self.facts, by),
            checks: Vec::new(),
            undo_checks: Vec::new(),
            rewrites: false,
            undo_rewrites: false,
        }
    }

    /// A copy of every column.
    fn whole_backup(&self) -> Operation {
        let key = self.facts.key_without(None).unwrap_or_default();
        let others = self.facts.columns.iter().map(|column| column.name.clone());
        let others: Vec<String> = others.filter(|name| !key.contains(name)).collect();
        self.back_up(Backup::new(&self.change.table, key, &others, self.tag))
    }

    /// The operation that makes a backup and proves it.
    fn back_up(&self, backup: Backup) -> Operation {
        let steps = vec![SchemaStep::long(backup.create())];
        let undo = vec![SchemaStep::instant(backup.remove())];
        let risk = Risk::low("a copy is made in a schema that no API exposes");
        let by = Escalation::default();
        Operation {
            checks: vec![backup.is_true("backup_count_and_hash", Phase::Post)],
            backup: Some(backup),
            ..self.operation(
                SchemaOperationType::CreateBackup,
                (steps, Some(undo)),
                (risk, by),
            )
        }
    }

    /// A column that must be there.
    fn known(&self, name: &str) -> Result<&super::facts::ColumnFacts, Refusals> {
        self.facts
            .column(name)
            .ok_or_else(|| vec![format!("{} has no column {name}", self.change.table)])
    }

    /// Rows of the table.
    fn row_count(&self, phase: Phase) -> SchemaCheck {
        SchemaCheck::note(
            "row_count",
            phase,
            format!("select count(*)::text from {}", self.relation()),
        )
    }

    /// Rows without a value.
    fn null_count(&self, column: &str) -> String {
        format!(
            "select count(*)::text from {} where {} is null",
            self.relation(),
            quote_ident(column)
        )
    }

    /// Rows with a value.
    fn value_count(&self, column: &str) -> String {
        format!(
            "select count(*)::text from {} where {} is not null",
            self.relation(),
            quote_ident(column)
        )
    }

    fn relation(&self) -> String {
        self.change.table.quoted()
    }

    /// A rewrite loses what tells that rows of this very migration are as it wrote them.
    fn may_rewrite(&self) -> Result<(), Refusals> {
        let is_own = self
            .facts
            .written_by
            .iter()
            .any(|name| name == self.migration);
        match is_own {
            true => Err(vec![format!(
                "it writes every row of {} anew, and a rollback could no longer tell rows of this migration from \
                 others: make it before the data (`when: before`)",
                self.change.table
            )]),
            false => Ok(()),
        }
    }
}
