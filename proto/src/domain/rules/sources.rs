//! Steps that yield a value: columns, constants, several columns as one, facts about the row.

use super::decimal::shape;
use super::draft::Draft;
use super::literal::literal;
use super::scope::{Scope, column_sql};
use super::ty::Ty;
use super::values::unify;
use crate::domain::catalog::quote_literal;
use crate::domain::key::{MIGRATION_ID, RUN_NOW};
use crate::domain::plan::{Concat, Name, SourceMeta, Template, TemplatePart, Value};

/// `const`.
pub(super) fn constant(value: &Value) -> Result<Draft, String> {
    let ty = constant_type(value);
    if ty == Ty::Null {
        return Ok(Draft::new("NULL", ty));
    }
    let mut draft = Draft::new(literal(value, &ty)?, ty);
    if let Value::Text(text) = value {
        draft.known = Some([text.clone()].into());
    }
    Ok(draft)
}

/// The narrowest type that holds a value of the plan.
pub(super) fn constant_type(value: &Value) -> Ty {
    match value {
        Value::Null => Ty::Null,
        Value::Bool(_) => Ty::Bool,
        Value::Integer(number) if i16::try_from(*number).is_ok() => Ty::Int2,
        Value::Integer(number) if i32::try_from(*number).is_ok() => Ty::Int4,
        Value::Integer(_) => Ty::Int8,
        Value::Number(text) => {
            let shape = shape(text);
            let precision = u16::try_from(shape.digits.max(0) + shape.scale);
            let bounds = precision.ok().zip(i16::try_from(shape.scale).ok());
            Ty::Numeric(bounds.filter(|(precision, _)| *precision > 0))
        }
        Value::Text(text) => Ty::Text(u32::try_from(text.chars().count()).ok()),
    }
}

/// `now`: the start of the run, put in by the agent.
pub(super) fn now() -> Draft {
    Draft::new(
        format!("CAST({RUN_NOW} AS timestamptz)"),
        Ty::Timestamptz(None),
    )
}

/// `source_meta`.
pub(super) fn source_meta(scope: &Scope<'_>, meta: &SourceMeta) -> Draft {
    match meta {
        SourceMeta::Table => {
            let name = scope.table.name.to_string();
            Draft::new(format!("{}::text", quote_literal(&name)), Ty::Text(None))
        }
        SourceMeta::Pk => Draft::new(key_text(scope.key), Ty::Text(None)),
        SourceMeta::MigrationId => Draft::new(format!("CAST({MIGRATION_ID} AS uuid)"), Ty::Uuid),
    }
}

/// The key as one text; parts of a composite one escaped and joined as in an id's name.
fn key_text(key: &[String]) -> String {
    let texts: Vec<String> = key
        .iter()
        .map(|name| format!("({})::text", column_sql(name)))
        .collect();
    match texts.as_slice() {
        [one] => one.clone(),
        _ => {
            let escaped: Vec<String> = texts
                .iter()
                .map(|text| {
                    format!("replace(replace({text}, E'\\\\', E'\\\\\\\\'), ':', E'\\\\:')")
                })
                .collect();
            format!("({})", escaped.join(" || ':' || "))
        }
    }
}

/// `coalesce`, also behind a value: the first that is not NULL.
pub(super) fn coalesce(
    scope: &Scope<'_>,
    first: Option<Draft>,
    columns: &[Name],
    path: &str,
) -> Option<Draft> {
    let mut drafts: Vec<Draft> = first.into_iter().collect();
    for (index, name) in columns.iter().enumerate() {
        drafts.push(scope.column_value(name, &format!("{path}[{index}]"))?);
    }
    let drafts = scope.noted(path, unify(drafts))?;
    join(&drafts, |sqls| format!("COALESCE({})", sqls.join(", ")))
}

/// One draft of several of one type.
fn join(drafts: &[Draft], sql: impl Fn(&[String]) -> String) -> Option<Draft> {
    let first = drafts.first()?;
    let sqls: Vec<String> = drafts.iter().map(|draft| draft.sql.clone()).collect();
    let mut joined = Draft::new(sql(&sqls), first.ty.clone());
    joined.is_deterministic = drafts.iter().all(|draft| draft.is_deterministic);
    drafts.iter().for_each(|draft| joined.absorb(draft));
    Some(joined)
}

/// `concat`.
pub(super) fn concat(scope: &Scope<'_>, concat: &Concat, path: &str) -> Option<Draft> {
    let separator = concat.sep.clone().unwrap_or_default();
    let mut parts = Vec::new();
    for (index, name) in concat.cols.iter().enumerate() {
        if index > 0 && !separator.is_empty() {
            parts.push(Part::Text(separator.clone()));
        }
        parts.push(Part::Column(
            name.0.clone(),
            format!("{path}.cols[{index}]"),
        ));
    }
    text_of_parts(scope, &parts)
}

/// `template`.
pub(super) fn template(scope: &Scope<'_>, template: &Template, path: &str) -> Option<Draft> {
    let part = |part: &TemplatePart| match part {
        TemplatePart::Text(text) => Part::Text(text.clone()),
        TemplatePart::Column(name) => Part::Column(name.clone(), path.to_owned()),
    };
    let parts: Vec<Part> = template.0.iter().map(part).collect();
    text_of_parts(scope, &parts)
}

/// A piece of a text: itself, or a column and the path that names it.
enum Part {
    Text(String),
    Column(String, String),
}

/// NULL reads as the empty text, all NULL gives NULL.
fn text_of_parts(scope: &Scope<'_>, parts: &[Part]) -> Option<Draft> {
    let mut joined = Draft::new("", Ty::Text(None));
    let (mut texts, mut columns) = (Vec::new(), Vec::new());
    let mut can_be_null = true;
    for part in parts {
        match part {
            Part::Text(text) => texts.push(format!("{}::text", quote_literal(text))),
            Part::Column(name, path) => {
                let draft = scope.column_value(name, path)?;
                if scope.column(name, path)?.not_null {
                    can_be_null = false;
                    texts.push(draft.text_sql());
                } else {
                    texts.push(format!("COALESCE({}, '')", draft.text_sql()));
                }
                columns.push(draft.sql.clone());
                joined.absorb(&draft);
            }
        }
    }
    let text = texts.join(" || ");
    joined.sql = if can_be_null {
        format!(
            "(CASE WHEN num_nonnulls({}) > 0 THEN {text} END)",
            columns.join(", ")
        )
    } else {
        format!("({text})")
    };
    Some(joined)
}
