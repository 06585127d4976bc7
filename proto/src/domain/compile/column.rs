//! One rule: a destination column and the pipeline that fills it.

use std::collections::BTreeSet;

use super::super::catalog::{Column, Table};
use super::super::compiled::{IdRule, RowAction};
use super::super::plan::{ArrayAgg, Fk, Pipeline, PolymorphicPart, Step, StepEntry, suggest};
use super::super::rules::{Draft, DraftFault, Fit, Scope, Ty, continued, convert, value_of};
use super::document::{self, Document};
use super::gather::{self, Gathered};
use super::polymorphic;
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
    /// A reference whose target differs by row.
    Polymorphic(Box<polymorphic::Reference>),
    /// An array of child rows.
    Array(Box<Gathered>),
    /// JSON in which references stand.
    Document(Box<Document>),
}

impl Rule<'_> {
    /// Checks of the row.
    pub(super) fn faults(&self) -> &[DraftFault] {
        match &self.value {
            RuleValue::Draft(draft) => &draft.faults,
            RuleValue::Reference(reference) => &reference.faults,
            RuleValue::Polymorphic(reference) => &reference.faults,
            RuleValue::Array(gathered) => &gathered.draft.faults,
            RuleValue::Document(document) => &document.draft.faults,
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
    if let Step::Fk(Fk { path: Some(_), .. }) = &last.step {
        return document(scope, parents, pipeline, target);
    }
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
        if fk.each == Some(true) {
            return each(scope, parents, &rule, target);
        }
        let reference = reference::compile(scope, child, parents, &rule)?;
        for part in &reference.parts {
            may_be_null(scope, part, target.column)?;
        }
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
    if let Some((first, rest)) = pipeline.0.split_first()
        && let Step::Polymorphic(name) = &first.step
    {
        return polymorphic_part(scope, (child, parents), (first, &name.0, rest), target);
    }
    if let [only] = pipeline.0.as_slice()
        && let Step::ArrayAgg(rule) = &only.step
    {
        return gathered(scope, parents, (only, rule), target);
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

/// A rule whose last steps are `fk` with `path`.
fn document<'a>(
    scope: &Scope<'_>,
    all: &[Resolved<'_>],
    pipeline: &Pipeline,
    target: &Target<'a>,
) -> Option<Rule<'a>> {
    let mut inner = Vec::new();
    let mut before = pipeline.0.as_slice();
    while let Some((last, rest)) = before.split_last()
        && let Step::Fk(fk) = &last.step
        && let Some(json_path) = &fk.path
    {
        let item = format!("{}[{}]", target.path, rest.len());
        if last.on_error.is_some() {
            return scope.problem(&format!("{item}.on_error"), "fk has orphan instead");
        }
        inner.push((fk, json_path.as_str(), format!("{item}.fk")));
        before = rest;
    }
    inner.reverse();
    let path = inner.first().map(|(.., path)| path.clone())?;
    let place = document::Place {
        all,
        column: target.column,
        pipeline_path: &target.path,
    };
    let document = document::compile(scope, &place, before, &inner)?;
    Some(Rule {
        column: target.column,
        columns: document.draft.columns.clone(),
        mentioned: document.draft.mentioned.clone(),
        path,
        value: RuleValue::Document(Box::new(document)),
    })
}

/// A rule that ends in `fk` with `each`.
fn each<'a>(
    scope: &Scope<'_>,
    all: &[Resolved<'_>],
    rule: &FkRule<'_>,
    target: &Target<'a>,
) -> Option<Rule<'a>> {
    let draft = value_of(scope, rule.steps, rule.pipeline_path)?;
    if let Some(step) = draft.agent.first() {
        let words = "runs in the agent; fk needs a value of the source before it";
        return scope.problem(&step.path, words);
    }
    let place = gather::Place {
        all,
        column: target.column,
        path: rule.path.clone(),
    };
    let gathered = gather::each(scope, &place, (draft, rule.fk))?;
    Some(Rule {
        column: target.column,
        columns: gathered.draft.columns.clone(),
        mentioned: gathered.draft.mentioned.clone(),
        path: place.path,
        value: RuleValue::Array(Box::new(gathered)),
    })
}

/// A rule that begins with a part of a polymorphic reference.
fn polymorphic_part<'a>(
    scope: &Scope<'_>,
    (entity, all): (&Resolved<'_>, &[Resolved<'_>]),
    (first, name, rest): (&StepEntry, &str, &[StepEntry]),
    target: &Target<'a>,
) -> Option<Rule<'a>> {
    let place = polymorphic::Place {
        entity,
        all,
        column: target.column,
        path: format!("{}[0].polymorphic", target.path),
    };
    if first.on_error.is_some() {
        let words = "polymorphic has orphan instead, where it is declared";
        return scope.problem(&format!("{}[0].on_error", target.path), words);
    }
    let reference = polymorphic::compile(scope, &place, name)?;
    let (columns, mentioned) = (reference.kind.columns.clone(), BTreeSet::new());
    let value = match (&first.part, rest) {
        (Some(PolymorphicPart::Id), []) => {
            let reference = polymorphic::id(scope, &place, reference)?;
            RuleValue::Polymorphic(Box::new(reference))
        }
        (Some(PolymorphicPart::Id), _) => {
            return scope.problem(&place.path, "the id must be the last step");
        }
        (Some(PolymorphicPart::Type), _) => {
            let draft = continued(scope, Some(reference.kind), rest, (&target.path, 1))??;
            let last = rest.last().unwrap_or(first);
            let path = format!("{}[{}].{}", target.path, rest.len(), last.step.word());
            RuleValue::Draft(Box::new(assign(scope, draft, target, last, &path)?))
        }
        (None, _) => {
            return scope.problem(&format!("{}[0].part", target.path), "missing: id or type");
        }
    };
    Some(Rule {
        column: target.column,
        columns,
        mentioned,
        path: place.path,
        value,
    })
}

/// A rule that is nothing but `array_agg`.
fn gathered<'a>(
    scope: &Scope<'_>,
    all: &[Resolved<'_>],
    (entry, rule): (&StepEntry, &ArrayAgg),
    target: &Target<'a>,
) -> Option<Rule<'a>> {
    if entry.on_error.is_some() {
        let words = "array_agg cannot fail; the steps of its value can";
        return scope.problem(&format!("{}[0].on_error", target.path), words);
    }
    let place = gather::Place {
        all,
        column: target.column,
        path: format!("{}[0].array_agg", target.path),
    };
    let gathered = gather::compile(scope, &place, rule)?;
    Some(Rule {
        column: target.column,
        columns: gathered.draft.columns.clone(),
        mentioned: BTreeSet::new(),
        path: place.path,
        value: RuleValue::Array(Box::new(gathered)),
    })
}

/// An array of texts as the destination's own: `text[]` and `varchar[]` differ in their binary form.
fn of_element(draft: Draft, column: &Column) -> Draft {
    match &draft.ty {
        Ty::Array(element) if matches!(**element, Ty::Text(_)) && draft.agent.is_empty() => {
            let (sql, ty) = (
                format!("({})::{}", draft.sql, column.ty.base),
                draft.ty.clone(),
            );
            draft.becomes(sql, ty)
        }
        _ => draft,
    }
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
    let draft = of_element(scope.noted(&target.path, result.map_err(named))?, column);
    let sets_null = |step: &super::super::compiled::AgentStep| step.on_error == RowAction::SetNull;
    if column.not_null
        && let Some(step) = draft.agent.iter().find(|step| sets_null(step))
    {
        let message = format!("column \"{}\" is NOT NULL", column.name);
        return scope.problem(&format!("{}.on_error", step.path), message);
    }
    may_be_null(scope, &draft, column)?;
    Some(draft)
}

/// What becomes NULL where it does not fit has no place in a column that must have a value.
fn may_be_null(scope: &Scope<'_>, draft: &Draft, column: &Column) -> Option<()> {
    match &draft.nulled {
        Some(path) if column.not_null => {
            let message = format!(
                "sets NULL where a value does not fit, and column \"{}\" is NOT NULL; \
                 give a default, or quarantine the row",
                column.name
            );
            scope.problem(path, message)
        }
        Some(_) | None => Some(()),
    }
}
