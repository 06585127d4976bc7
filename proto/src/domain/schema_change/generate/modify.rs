//! `modify_column`: defaults, NOT NULL, names.

use super::super::check::{Phase, SchemaCheck};
use super::super::column::{alter, set_not_null};
use super::super::planned::{Operation, SchemaStep};
use super::super::risk::{Escalation, Risk};
use super::{Draft, Refusals};
use crate::domain::catalog::quote_ident;
use crate::domain::record::{RiskLevel, SchemaOperationType};

impl Draft<'_> {
    pub(super) fn set_default(
        &self,
        name: &str,
        default: Option<&str>,
    ) -> Result<Operation, Refusals> {
        let column = self.known(name)?;
        let is_identity = column
            .sequence
            .as_ref()
            .is_some_and(|one| one.identity.is_some());
        if column.generated.is_some() || is_identity {
            return Err(vec![format!(
                "{name} makes its values itself: it has no default to change"
            )]);
        }
        let set = |default: Option<&str>| {
            let what = default.map_or_else(
                || "drop default".to_owned(),
                |sql| format!("set default {sql}"),
            );
            vec![SchemaStep::instant([alter(
                &self.change.table,
                name,
                &what,
            )])]
        };
        let risk = Risk::low("rows that are there stay as they are");
        Ok(self.modify(
            name,
            (set(default), Some(set(column.default.as_deref()))),
            (risk, lock(None)),
        ))
    }

    pub(super) fn set_not_null(&self, name: &str, not_null: bool) -> Result<Operation, Refusals> {
        let column = self.known(name)?;
        let table = &self.change.table;
        if column.not_null == not_null {
            let state = if not_null { "NOT NULL" } else { "nullable" };
            return Err(vec![format!("{table}.{name} is {state} already")]);
        }
        let drop = vec![SchemaStep::instant([alter(table, name, "drop not null")])];
        let no_nulls = |check| SchemaCheck::none(check, Phase::Pre, self.null_count(name));
        if !not_null {
            let is_key = self.facts.constraints.iter().any(|one| {
                one.kind == super::super::facts::ConstraintKind::Primary
                    && one.table == *table
                    && one.columns.iter().any(|column| column == name)
            });
            if is_key {
                return Err(vec![format!("{name} is part of the primary key")]);
            }
            let risk = Risk::new(
                RiskLevel::Medium,
                "clients may meet NULLs that they did not expect",
            );
            let undo = set_not_null(table, name);
            return Ok(Operation {
                undo_checks: vec![no_nulls("null_count")],
                ..self.modify(name, (drop, Some(undo)), (risk, lock(Some(name))))
            });
        }
        if let Some(count) = self.facts.offenders.filter(|count| *count > 0) {
            return Err(vec![format!("{count} rows of {table} have no {name}")]);
        }
        let risk = Risk::low("a validated check proves it before the lock is taken");
        let by = Escalation {
            is_heavy: true,
            ..lock(None)
        };
        Ok(Operation {
            checks: vec![no_nulls("null_count")],
            ..self.modify(name, (set_not_null(table, name), Some(drop)), (risk, by))
        })
    }

    pub(super) fn rename(&self, name: &str, to: &str) -> Result<Operation, Refusals> {
        self.known(name)?;
        let table = &self.change.table;
        if self.facts.column(to).is_some() {
            return Err(vec![format!("{table} has a column {to} already")]);
        }
        let rename = |from: &str, to: &str| {
            vec![SchemaStep::instant([format!(
                "alter table {} rename column {} to {}",
                table.quoted(),
                quote_ident(from),
                quote_ident(to)
            )])]
        };
        let risk = Risk::new(
            RiskLevel::High,
            "clients and APIs that know the old name break at once; views go on",
        );
        Ok(self.modify(
            name,
            (rename(name, to), Some(rename(to, name))),
            (
                risk,
                Escalation {
                    is_published: true,
                    ..lock(None)
                },
            ),
        ))
    }

    /// A `modify_column` without further checks.
    pub(super) fn modify(
        &self,
        column: &str,
        steps: (Vec<SchemaStep>, Option<Vec<SchemaStep>>),
        risk: (Risk, Escalation<'_>),
    ) -> Operation {
        Operation {
            column: Some(column.to_owned()),
            ..self.operation(SchemaOperationType::ModifyColumn, steps, risk)
        }
    }
}

/// It takes a lock for a moment.
fn lock(column: Option<&str>) -> Escalation<'_> {
    Escalation {
        takes_lock: true,
        column,
        ..Escalation::default()
    }
}
