//! `add_column`.

use super::super::check::{Phase, SchemaCheck};
use super::super::declared::NewColumn;
use super::super::planned::{Operation, SchemaStep};
use super::super::risk::{Escalation, Risk};
use super::rehearse::new_column;
use super::{Draft, Refusals};
use crate::domain::catalog::quote_ident;
use crate::domain::record::{RiskLevel, SchemaOperationType};

/// Rows up to which a rewrite is of medium risk.
const FEW_ROWS: i64 = 100_000;

impl Draft<'_> {
    pub(super) fn add_column(&self, column: &NewColumn) -> Result<Operation, Refusals> {
        let (table, name) = (&self.change.table, &column.name);
        if self.facts.column(name).is_some() {
            return Err(vec![format!("{table} has a column {name} already")]);
        }
        let Some(ty) = &self.facts.ty else {
            return Err(vec![format!("the type {} is not known", column.ty)]);
        };
        let fills =
            column.default.is_some() || column.generated.is_some() || column.identity.is_some();
        if column.not_null && !fills && self.facts.rows > 0 {
            return Err(vec![format!(
                "{table} has rows, and {name} would be NOT NULL without a value for them: give a default, or add it \
                 without NOT NULL first"
            )]);
        }
        if ty.rewrites {
            self.may_rewrite()?;
        }
        let definition = new_column(column, &ty.ty);
        let add = format!("alter table {} add column {definition}", self.relation());
        let drop = format!(
            "alter table {} drop column {}",
            self.relation(),
            quote_ident(name)
        );
        let step = match ty.rewrites {
            true => SchemaStep::long([add]),
            false => SchemaStep::instant([add]),
        };
        let risk = match (ty.rewrites, self.facts.rows > FEW_ROWS) {
            (false, _) => Risk::low("the column is added without touching a row"),
            (true, false) => Risk::new(
                RiskLevel::Medium,
                "every row is written anew under a lock that blocks readers; there are few",
            ),
            (true, true) => Risk::new(
                RiskLevel::High,
                "every row is written anew under a lock that blocks readers, and needs twice the table's size on disk",
            ),
        };
        let by = Escalation {
            is_heavy: ty.rewrites,
            takes_lock: true,
            is_published: true,
            is_rewritten: ty.rewrites,
            ..Escalation::default()
        };
        let undo = vec![SchemaStep::instant([drop])];
        Ok(Operation {
            column: Some(name.clone()),
            checks: vec![self.row_count(Phase::Pre), self.row_count(Phase::Post)],
            undo_checks: vec![SchemaCheck::note(
                "values_that_go",
                Phase::Pre,
                self.value_count(name),
            )],
            rewrites: ty.rewrites,
            ..self.operation(
                SchemaOperationType::AddColumn,
                (vec![step], Some(undo)),
                (risk, by),
            )
        })
    }
}
