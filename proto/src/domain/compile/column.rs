//! One rule: a destination column and the pipeline that fills it.

use std::collections::BTreeSet;

use super::super::catalog::{Column, Table};
use super::super::compiled::{IdRule, RowAction};
use super::super::plan::{Pipeline, Step, StepEntry, suggest};
use super::super::rules::{Draft, DraftFault, Fit, Scope, Ty, convert, value_of};
use super::reference::{self, FkRule, Reference};
use super::resolve::Resolved;

/// A compiled rule.
pub(super) struct Rule<'a> {
    /// The destination column.
    pub column: &'a Column,
    /// What fills it.
    pub value: RuleValue,
    /// Source columns that it is made of.
    pub columns: BTreeSet<String>,
    /// Source columns that its free SQL names.
    pub mentioned: BTreeSet<String>,
    /// Path of the step that decides, for messages.
    pub path: String,
}

/// What fills a column.
pub(super) enum RuleValue {
    /// A value of the destination's type.
    Draft(Box<Draft>),
    /// A reference.
    Reference(Box<Reference>),
}

impl Rule<'_> {
    /// Checks of the row.
    pub(super) fn faults(&self) -> &[DraftFault] {
        match &self.value {
            RuleValue::Draft(draft) => &draft.faults,
            RuleValue::Reference(reference) => &reference.faults,
        }
    }
}

/// Compiles every rule of an entity; rules with problems are left out.
pub(super) fn compile_all<'a>(
    scope: &Scope<'_>,
    child: &Resolved<'_>,
    parents: &[Resolved<'_>],
    table: &'a Table,
) -> Vec<Rule<'a>> {
    let mut rules = Vec::new();
    for (name, pipeline) in child.entity.transformation_rules.iter() {
        let path = format!("{}.transformation_rules.{name}", child.path);
        let Some(column) = writable(scope, child, table, name, &path) else {
            continue;
        };
        let rule = Target { column, path };
        rules.extend(compile(scope, child, parents, pipeline, &rule));
    }
    // In the table's order, so that the order of the document changes no hash.
    rules.sort_by_key(|rule| {
        table
            .columns
            .iter()
            .position(|column| column == rule.column)
    });
    rules
}

/// Where a pipeline leads.
struct Target<'a> {
    column: &'a Column,
    path: String,
}

/// The destination column of a rule, if it may be written.
fn writable<'a>(
    scope: &Scope<'_>,
    child: &Resolved<'_>,
    table: &'a Table,
    name: &str,
    path: &str,
) -> Option<&'a Column> {
    let Some(column) = table.column(name) else {
        let hint = suggest::hint(
            name,
            table.columns.iter().map(|column| column.name.as_str()),
        );
        let message = format!(
            "destination table {} has no column \"{name}\"{hint}",
            table.name
        );
        return scope.problem(path, message);
    };
    if column.is_generated {
        let message = format!("destination column \"{name}\" is generated; it cannot be written");
        return scope.problem(path, message);
    }
    match &child.id {
        Some(IdRule::Uuid5 { column: id, .. } | IdRule::Keep { column: id }) if id == name => scope
            .problem(
                path,
                "is the id, which is written by itself; leave the rule out",
            ),
        Some(IdRule::Uuid5 { .. } | IdRule::Keep { .. } | IdRule::None { .. }) | None => {
            Some(column)
        }
    }
}

fn compile<'a>(
    scope: &Scope<'_>,
    child: &Resolved<'_>,
    parents: &[Resolved<'_>],
    pipeline: &Pipeline,
    target: &Target<'a>,
) -> Option<Rule<'a>> {
    let (last, before) = pipeline.0.split_last()?;
    let last_path = format!("{}[{}].{}", target.path, before.len(), last.step.word());
    if let Step::Fk(fk) = &last.step {
        if last.on_error.is_some() {
            let path = format!("{}[{}].on_error", target.path, before.len());
            return scope.problem(&path, "fk has orphan instead");
        }
        let rule = FkRule {
            steps: before,
            fk,
            pipeline_path: &target.path,
            path: last_path,
            column: target.column,
        };
        let reference = reference::compile(scope, child, parents, &rule)?;
        return Some(Rule {
            column: target.column,
            columns: reference
                .parts
                .iter()
                .flat_map(|part| part.columns.clone())
                .collect(),
            mentioned: reference
                .parts
                .iter()
                .flat_map(|part| part.mentioned.clone())
                .collect(),
            path: rule.path,
            value: RuleValue::Reference(Box::new(reference)),
        });
    }
    let draft = value_of(scope, &pipeline.0, &target.path)?;
    let draft = assign(scope, draft, target, last, &last_path)?;
    Some(Rule {
        column: target.column,
        columns: draft.columns.clone(),
        mentioned: draft.mentioned.clone(),
        path: last_path,
        value: RuleValue::Draft(Box::new(draft)),
    })
}

/// Brings a value to the destination's type; the last step's `on_error` covers it.
fn assign(
    scope: &Scope<'_>,
    draft: Draft,
    target: &Target<'_>,
    last: &StepEntry,
    path: &str,
) -> Option<Draft> {
    let unfit = last.on_error.as_ref().unwrap_or(scope.on_row_error);
    let fit = Fit {
        unfit,
        path,
        is_asked: false,
    };
    let column = target.column;
    let result = convert(draft, &Ty::of(&column.ty), &fit);
    let named = |message| format!("destination column is {}: {message}", column.ty.sql);
    let draft = scope.noted(&target.path, result.map_err(named))?;
    let sets_null = |step: &super::super::compiled::AgentStep| step.on_error == RowAction::SetNull;
    if column.not_null
        && let Some(step) = draft.agent.iter().find(|step| sets_null(step))
    {
        let message = format!("column \"{}\" is NOT NULL", column.name);
        return scope.problem(&format!("{}.on_error", step.path), message);
    }
    Some(draft)
}
