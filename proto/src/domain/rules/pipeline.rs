//! A pipeline, step by step.

use super::convert::{Fit, convert};
use super::draft::Draft;
use super::scope::Scope;
use super::texts::TextStep;
use super::ty::Ty;
use super::{edits, jsons, lookup, map, phone, pii, sources, texts, tz, unit, values, when};
use crate::domain::plan::{Step, StepEntry, Unfit};

/// What a list of steps makes of the source row. `path` is the pipeline's. `None` with problems
/// noted.
pub fn value_of(scope: &Scope<'_>, steps: &[StepEntry], path: &str) -> Option<Draft> {
    match continued(scope, None, steps, (path, 0))? {
        Some(draft) => Some(draft),
        None => scope.problem(path, "no value: start with a step like {col: name}"),
    }
}

/// What further steps make of a value; `at` is the path of the pipeline and the index of the first of
/// them. The inner `None`: no value and no step.
pub fn continued(
    scope: &Scope<'_>,
    draft: Option<Draft>,
    steps: &[StepEntry],
    (path, from): (&str, usize),
) -> Option<Option<Draft>> {
    let mut draft = draft;
    for (index, entry) in steps.iter().enumerate() {
        let place = Place {
            item: format!("{path}[{}]", from + index),
            is_last: index + 1 == steps.len(),
        };
        draft = Some(next(scope, draft, entry, &place)?);
    }
    Some(draft)
}

/// Where a step stands.
struct Place {
    item: String,
    is_last: bool,
}

fn next(
    scope: &Scope<'_>,
    draft: Option<Draft>,
    entry: &StepEntry,
    place: &Place,
) -> Option<Draft> {
    let path = format!("{}.{}", place.item, entry.step.word());
    if entry.on_error.is_some() && !place.is_last && !can_fail(&entry.step) {
        let message = format!(
            "{} cannot fail; on_error has no meaning here",
            entry.step.word()
        );
        return scope.problem(&format!("{}.on_error", place.item), message);
    }
    match (draft, is_first(&entry.step)) {
        (None, true) => first(scope, entry, &path, &place.item),
        (Some(draft), true) => behind_value(scope, draft, entry, &path),
        (None, false) => {
            let message = format!(
                "{} needs a value before it, like {{col: name}}",
                entry.step.word()
            );
            scope.problem(&path, message)
        }
        (Some(draft), false) => {
            let unfit = entry.on_error.as_ref().unwrap_or(scope.on_row_error);
            if !draft.agent.is_empty() && !is_agent(&draft, &entry.step) {
                let message = "runs in the source, behind a step that runs in the agent; \
                               move it before that step";
                return scope.problem(&path, message);
            }
            then(scope, draft, entry, unfit, &path)
        }
    }
}

/// Steps that yield a value by themselves.
fn is_first(step: &Step) -> bool {
    match step {
        Step::Col(_)
        | Step::Const(_)
        | Step::Now
        | Step::SourceMeta(_)
        | Step::Coalesce(_)
        | Step::Concat(_)
        | Step::Template(_)
        | Step::When(_)
        | Step::Sql(_)
        | Step::Polymorphic(_)
        | Step::JsonBuild(_)
        | Step::ArrayAgg(_) => true,
        Step::Cast(_)
        | Step::Default(_)
        | Step::NullIf(_)
        | Step::Trim
        | Step::Lower
        | Step::Upper
        | Step::CollapseWs
        | Step::Nfc
        | Step::Pad(_)
        | Step::Truncate(_)
        | Step::Replace(_)
        | Step::Regex(_)
        | Step::Email
        | Step::Phone(_)
        | Step::Split(_)
        | Step::Map(_)
        | Step::Lookup(_)
        | Step::Fk(_)
        | Step::Tz(_)
        | Step::Unit(_)
        | Step::JsonGet(_)
        | Step::JsonParse
        | Step::Hash(_)
        | Step::Hmac(_)
        | Step::Mask(_)
        | Step::Redact => false,
    }
}

/// Steps whose `on_error` is their own; the last step's also covers the destination's type.
fn can_fail(step: &Step) -> bool {
    matches!(
        step,
        Step::Cast(_)
            | Step::Email
            | Step::Unit(_)
            | Step::Lookup(_)
            | Step::Phone(_)
            | Step::JsonParse
    )
}

/// Whether a step can follow a step of the agent: it is one itself.
fn is_agent(draft: &Draft, step: &Step) -> bool {
    match step {
        Step::Email
        | Step::Phone(_)
        | Step::Nfc
        | Step::JsonParse
        | Step::Hash(_)
        | Step::Hmac(_)
        | Step::Mask(_) => matches!(draft.ty, Ty::Text(_)),
        Step::JsonGet(_) => matches!(draft.ty, Ty::Json | Ty::Jsonb),
        Step::Redact => true,
        _ => false,
    }
}

fn first(scope: &Scope<'_>, entry: &StepEntry, path: &str, item: &str) -> Option<Draft> {
    match &entry.step {
        Step::Col(name) => scope.column_value(name, path),
        Step::Const(value) => scope.noted(path, sources::constant(&value.0)),
        Step::Now => Some(sources::now()),
        Step::SourceMeta(meta) => Some(sources::source_meta(scope, meta)),
        Step::Coalesce(columns) => sources::coalesce(scope, None, columns, path),
        Step::Concat(concat) => sources::concat(scope, concat, path),
        Step::Template(template) => sources::template(scope, template, path),
        Step::When(cases) => when::apply(scope, cases, entry.otherwise.as_ref(), item),
        Step::Sql(sql) => scope.sql_value(sql, path),
        Step::JsonBuild(members) => jsons::build(scope, members, path),
        Step::ArrayAgg(_) => {
            let message = "array_agg must be the only step of its rule, and not inside another";
            scope.problem(path, message)
        }
        Step::Polymorphic(_) => {
            let message = "polymorphic must be the first step of its rule, and not inside another";
            scope.problem(path, message)
        }
        _ => scope.problem(path, "not supported yet"),
    }
}

fn behind_value(scope: &Scope<'_>, draft: Draft, entry: &StepEntry, path: &str) -> Option<Draft> {
    match &entry.step {
        Step::Coalesce(columns) => sources::coalesce(scope, Some(draft), columns, path),
        step => {
            let message = format!(
                "{} yields a value: it can only be the first step",
                step.word()
            );
            scope.problem(path, message)
        }
    }
}

fn then(
    scope: &Scope<'_>,
    draft: Draft,
    entry: &StepEntry,
    unfit: &Unfit,
    path: &str,
) -> Option<Draft> {
    match &entry.step {
        Step::Cast(cast) => {
            let fit = Fit {
                unfit,
                path,
                is_asked: true,
            };
            scope.noted(path, convert(draft, &Ty::of_cast(cast.to), &fit))
        }
        Step::Default(value) => values::default(scope, draft, value, path),
        Step::NullIf(list) => values::null_if(scope, draft, list, path),
        Step::Trim => texts::apply(scope, draft, TextStep::Trim, path),
        Step::Lower => texts::apply(scope, draft, TextStep::Lower, path),
        Step::Upper => texts::apply(scope, draft, TextStep::Upper, path),
        Step::CollapseWs => texts::apply(scope, draft, TextStep::CollapseWs, path),
        Step::Nfc => texts::nfc(scope, draft, path),
        Step::Pad(rule) => edits::pad(scope, draft, rule, path),
        Step::Truncate(to) => edits::truncate(scope, draft, *to, path),
        Step::Replace(rule) => edits::replace(scope, draft, rule, path),
        Step::Regex(rule) => edits::regex(scope, draft, rule, path),
        Step::Split(rule) => edits::split(scope, draft, rule, path),
        Step::Email => texts::email(scope, draft, unfit, path),
        Step::Phone(rule) => phone::apply(scope, draft, (rule, unfit), path),
        Step::JsonGet(json_path) => jsons::get(scope, draft, (json_path, unfit), path),
        Step::JsonParse => jsons::parse(scope, draft, unfit, path),
        Step::Hash(rule) => pii::hash(scope, draft, rule.algorithm.as_ref(), path),
        Step::Hmac(rule) => pii::hmac(scope, draft, rule, path),
        Step::Mask(rule) => pii::mask(scope, draft, rule.keep_last, path),
        Step::Redact => Some(pii::redact(draft, path)),
        Step::Map(rule) => map::apply(scope, draft, rule, path),
        Step::Tz(rule) => tz::apply(scope, draft, rule, path),
        Step::Unit(rule) => unit::apply(scope, draft, rule, unfit, path),
        Step::Lookup(rule) => match (&rule.otherwise, &entry.on_error) {
            (Some(_), Some(_)) => scope.problem(path, "else and on_error say the same; give one"),
            (own, _) => lookup::apply(scope, draft, rule, own.as_ref().unwrap_or(unfit), path),
        },
        Step::Fk(_) => scope.problem(path, "fk must be the last step, and not inside when"),
        _ => scope.problem(path, "not supported yet"),
    }
}
