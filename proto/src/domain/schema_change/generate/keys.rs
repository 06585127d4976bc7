//! Constraints and indexes: added without holding writers up, dropped with the way back written down.

use super::super::declared::NewConstraint;
use super::super::facts::{ConstraintFacts, ConstraintKind, IndexFacts};
use super::super::planned::{Operation, Run, SchemaStep};
use super::super::risk::{Escalation, Risk};
use super::{Draft, Refusals};
use crate::domain::catalog::{TableName, quote_ident};
use crate::domain::record::{RiskLevel, SchemaOperationType};

impl Draft<'_> {
    /// A constraint as it is declared: not valid first, then validated; a key by its index.
    pub(super) fn add_constraint(
        &self,
        name: &str,
        constraint: &NewConstraint,
    ) -> Result<Operation, Refusals> {
        let table = &self.change.table;
        if self
            .facts
            .constraints
            .iter()
            .any(|one| one.table == *table && one.name == name)
        {
            return Err(vec![format!("{table} has a constraint {name} already")]);
        }
        self.no_offenders(match constraint {
            NewConstraint::Unique { .. } => "rows have the same values as others",
            NewConstraint::Check { .. } => "rows break the condition",
            NewConstraint::ForeignKey { .. } => "rows refer to rows that are not there",
        })?;
        let drop = drop_constraint(table, name);
        let named = |what: &str| {
            let relation = table.quoted();
            format!(
                "alter table {relation} add constraint {} {what}",
                quote_ident(name)
            )
        };
        let validate = format!(
            "alter table {} validate constraint {}",
            table.quoted(),
            quote_ident(name)
        );
        let checked = |definition: &str| {
            vec![
                SchemaStep::instant([named(&format!("{definition} not valid"))])
                    .or_abandon([drop.clone()]),
                SchemaStep::long([validate.clone()]),
            ]
        };
        let (steps, risk) = match constraint {
            NewConstraint::Unique { columns } => (
                vec![
                    self.index_step(name, columns, true),
                    SchemaStep::instant([named(&format!(
                        "unique using index {}",
                        quote_ident(name)
                    ))]),
                ],
                Risk::new(
                    RiskLevel::Medium,
                    "its index is built beside writers, who may break it meanwhile",
                ),
            ),
            NewConstraint::Check { condition } => (
                checked(&format!("check ({condition})")),
                Risk::low("rows are looked at without holding anybody up"),
            ),
            NewConstraint::ForeignKey {
                columns,
                references,
                referenced,
            } => (
                checked(&format!(
                    "foreign key ({}) references {} ({})",
                    list(columns),
                    references.quoted(),
                    list(referenced)
                )),
                Risk::low("rows are looked at without holding anybody up"),
            ),
        };
        let by = Escalation {
            is_heavy: true,
            takes_lock: true,
            ..Escalation::default()
        };
        let undo = vec![SchemaStep::instant([drop])];
        Ok(Operation {
            object: Some(name.to_owned()),
            ..self.operation(
                SchemaOperationType::AddConstraint,
                (steps, Some(undo)),
                (risk, by),
            )
        })
    }

    /// A constraint that is dropped because the plan says so; references to a key go first.
    pub(super) fn drop_declared_constraint(&self, name: &str) -> Result<Vec<Operation>, Refusals> {
        let table = &self.change.table;
        let known = |one: &&ConstraintFacts| one.table == *table && one.name == name;
        let Some(constraint) = self.facts.constraints.iter().find(known) else {
            return Err(vec![format!("{table} has no constraint {name}")]);
        };
        let is_key = matches!(
            constraint.kind,
            ConstraintKind::Primary | ConstraintKind::Unique
        );
        let referring = self.facts.constraints.iter().filter(|one| {
            is_key
                && one.kind == ConstraintKind::ForeignKey
                && one.references.as_ref() == Some(table)
                && one.referenced == constraint.columns
        });
        let referring: Vec<String> = referring
            .map(|one| {
                format!(
                    "{} of {} refers to it: drop that first",
                    one.name, one.table
                )
            })
            .collect();
        match referring.is_empty() {
            true => Ok(vec![self.drop_constraint(constraint)]),
            false => Err(referring),
        }
    }

    /// Drops a constraint; the way back does not hold writers up.
    pub(super) fn drop_constraint(&self, constraint: &ConstraintFacts) -> Operation {
        let (table, name) = (&constraint.table, &constraint.name);
        let step = SchemaStep::instant([drop_constraint(table, name)]);
        let risk = match constraint.kind {
            ConstraintKind::Primary | ConstraintKind::Unique | ConstraintKind::Exclusion => {
                Risk::new(RiskLevel::High, "rows are no longer kept apart")
            }
            ConstraintKind::ForeignKey => Risk::new(
                RiskLevel::Medium,
                "rows may lose what they refer to; both tables are locked for a moment",
            ),
            ConstraintKind::Check => Risk::new(RiskLevel::Medium, "rows may break the condition"),
        };
        let by = Escalation {
            takes_lock: true,
            ..Escalation::default()
        };
        Operation {
            table: table.clone(),
            object: Some(name.clone()),
            ..self.operation(
                SchemaOperationType::DropConstraint,
                (vec![step], Some(constraint_again(constraint))),
                (risk, by),
            )
        }
    }

    /// An index as it is declared.
    pub(super) fn create_index(
        &self,
        name: &str,
        columns: &[String],
        is_unique: bool,
    ) -> Result<Operation, Refusals> {
        if self.facts.indexes.iter().any(|one| one.name == name) {
            return Err(vec![format!(
                "{} has an index {name} already",
                self.change.table
            )]);
        }
        self.no_offenders("rows have the same values as others")?;
        let step = self.index_step(name, columns, is_unique);
        let undo = SchemaStep::new(
            Run::Concurrently {
                index: self.index_name(name),
            },
            [drop_index(&self.index_name(name))],
        );
        let risk = match is_unique {
            true => Risk::new(
                RiskLevel::Medium,
                "it is built beside writers, who may break it meanwhile",
            ),
            false => Risk::low("it is built beside readers and writers"),
        };
        let by = Escalation {
            is_heavy: true,
            ..Escalation::default()
        };
        Ok(Operation {
            object: Some(name.to_owned()),
            ..self.operation(
                SchemaOperationType::CreateIndex,
                (vec![step], Some(vec![undo])),
                (risk, by),
            )
        })
    }

    /// An index that is dropped because the plan says so.
    pub(super) fn drop_declared_index(&self, name: &str) -> Result<Operation, Refusals> {
        let known = self.facts.indexes.iter().find(|one| one.name == name);
        let index = known.ok_or_else(|| {
            vec![format!(
                "{} has no index {name}, or it is a constraint's",
                self.change.table
            )]
        })?;
        Ok(self.drop_index(index))
    }

    /// Drops an index; the way back builds it beside writers.
    pub(super) fn drop_index(&self, index: &IndexFacts) -> Operation {
        let name = self.index_name(&index.name);
        let run = Run::Concurrently {
            index: name.clone(),
        };
        let step = SchemaStep::new(run.clone(), [drop_index(&name)]);
        let mut undo = vec![
            SchemaStep::new(run, [concurrently(&index.definition)]).or_abandon([drop_index(&name)]),
        ];
        if !index.extras.is_empty() {
            undo.push(SchemaStep::instant(index.extras.clone()));
        }
        let risk =
            Risk::low("it is dropped beside readers and writers; who searched by it gets slower");
        Operation {
            object: Some(index.name.clone()),
            ..self.operation(
                SchemaOperationType::DropIndex,
                (vec![step], Some(undo)),
                (risk, Escalation::default()),
            )
        }
    }

    fn index_step(&self, name: &str, columns: &[String], is_unique: bool) -> SchemaStep {
        let unique = if is_unique { "unique " } else { "" };
        let sql = format!(
            "create {unique}index concurrently {} on {} ({})",
            quote_ident(name),
            self.relation(),
            list(columns)
        );
        let index = self.index_name(name);
        let drop = drop_index(&index);
        SchemaStep::new(Run::Concurrently { index }, [sql]).or_abandon([drop])
    }

    fn index_name(&self, name: &str) -> TableName {
        TableName {
            schema: self.change.table.schema.clone(),
            name: name.to_owned(),
        }
    }

    fn no_offenders(&self, words: &str) -> Result<(), Refusals> {
        match self.facts.offenders {
            Some(count) if count > 0 => Err(vec![format!("{count} {words}")]),
            Some(_) | None => Ok(()),
        }
    }
}

/// Puts a constraint back as it was.
fn constraint_again(constraint: &ConstraintFacts) -> Vec<SchemaStep> {
    let (table, name) = (&constraint.table, &constraint.name);
    let named = |what: &str| {
        let relation = table.quoted();
        format!(
            "alter table {relation} add constraint {} {what}",
            quote_ident(name)
        )
    };
    let drop = drop_constraint(table, name);
    let mut steps = match (constraint.kind, &constraint.index) {
        (ConstraintKind::Primary | ConstraintKind::Unique, Some(definition)) => {
            let index = TableName {
                schema: table.schema.clone(),
                name: name.clone(),
            };
            let is_primary = constraint.kind == ConstraintKind::Primary;
            let kind = if is_primary { "primary key" } else { "unique" };
            let using = format!(
                "{kind} using index {}{}",
                quote_ident(name),
                constraint.timing
            );
            let undo = drop_index(&index);
            vec![
                SchemaStep::new(Run::Concurrently { index }, [concurrently(definition)])
                    .or_abandon([undo]),
                SchemaStep::instant([named(&using)]),
            ]
        }
        (ConstraintKind::ForeignKey | ConstraintKind::Check, _) => {
            let add = named(&format!("{} not valid", constraint.definition));
            let mut steps = vec![SchemaStep::instant([add]).or_abandon([drop])];
            if constraint.is_valid {
                steps.push(SchemaStep::long([format!(
                    "alter table {} validate constraint {}",
                    table.quoted(),
                    quote_ident(name)
                )]));
            }
            steps
        }
        (ConstraintKind::Primary | ConstraintKind::Unique, None)
        | (ConstraintKind::Exclusion, _) => {
            vec![SchemaStep::long([named(&constraint.definition)])]
        }
    };
    if !constraint.extras.is_empty() {
        steps.push(SchemaStep::instant(constraint.extras.clone()));
    }
    steps
}

fn drop_constraint(table: &TableName, name: &str) -> String {
    format!(
        "alter table {} drop constraint {}",
        table.quoted(),
        quote_ident(name)
    )
}

fn drop_index(index: &TableName) -> String {
    format!("drop index concurrently {}", index.quoted())
}

/// The server's `CREATE INDEX`, beside writers.
fn concurrently(definition: &str) -> String {
    definition.replacen("INDEX ", "INDEX CONCURRENTLY ", 1)
}

fn list(columns: &[String]) -> String {
    let names = columns.iter().map(|name| quote_ident(name));
    names.collect::<Vec<_>>().join(", ")
}
