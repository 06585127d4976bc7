//! References inside JSON: the source says which rows are there, the agent puts their new ids in place.

use super::super::catalog::Column;
use super::super::compiled::{DocumentReference, IdRule, KeyText, RowAction};
use super::super::json_rows;
use super::super::plan::{Fk, StepEntry, Unfit};
use super::super::rules::{Draft, Scope, Ty, json_path, literal, value_of};
use super::resolve::Resolved;
use super::{by, key, orphan, reference};

/// A compiled document.
pub(super) struct Document {
    /// The JSON as text.
    pub draft: Draft,
    /// The destination's type is jsonb.
    pub is_jsonb: bool,
    /// What stands in it, in the order of the steps.
    pub references: Vec<Inner>,
}

/// References at one path.
pub(super) struct Inner {
    /// The parent entity.
    pub parent: String,
    /// What the agent does; its field is yet to be numbered.
    pub reference: DocumentReference,
    /// SQL of the field: an object of the references whose rows are there, each with the row's key.
    pub found: String,
    /// The parent may come later.
    pub is_deferred: bool,
}

/// Where a document is written.
pub(super) struct Place<'a> {
    pub all: &'a [Resolved<'a>],
    pub column: &'a Column,
    /// Path of the pipeline.
    pub pipeline_path: &'a str,
}

/// Compiles steps that end in one or more `fk` with `path`. `None` with problems noted.
pub(super) fn compile(
    scope: &Scope<'_>,
    place: &Place<'_>,
    before: &[StepEntry],
    inner: &[(&Fk, &str, String)],
) -> Option<Document> {
    let (_, _, first) = inner.first()?;
    if before.is_empty() {
        return scope.problem(first, "fk needs a value before it, like {col: name}");
    }
    let draft = value_of(scope, before, place.pipeline_path)?;
    if let Some(step) = draft.agent.first() {
        let words = "runs in the agent; fk needs a value of the source before it";
        return scope.problem(&step.path, words);
    }
    let is_jsonb = match (&draft.ty, Ty::of(&place.column.ty)) {
        (Ty::Json | Ty::Jsonb, Ty::Jsonb) => true,
        (Ty::Json | Ty::Jsonb, Ty::Json) => false,
        (from, _) => {
            let words = format!(
                "with path, fk stands behind JSON in a column of JSON; here is {from} for a column that is {}",
                place.column.ty.sql
            );
            return scope.problem(first, words);
        }
    };
    let document = match draft.ty {
        Ty::Json => format!("({})::jsonb", draft.sql),
        _ => draft.sql.clone(),
    };
    let mut references: Vec<Inner> = Vec::new();
    for (fk, json_path, path) in inner {
        let found = one(scope, place, (fk, json_path, path), &document)?;
        if references
            .iter()
            .any(|other| other.reference.path == found.reference.path)
        {
            return scope.problem(&format!("{path}.path"), "named twice");
        }
        references.push(found);
    }
    let draft = draft.becomes(format!("({document})::text"), Ty::Text(None));
    Some(Document {
        draft,
        is_jsonb,
        references,
    })
}

/// The references at one path.
fn one(
    scope: &Scope<'_>,
    place: &Place<'_>,
    (fk, text, path): (&Fk, &str, &str),
    document: &str,
) -> Option<Inner> {
    let parent = place
        .all
        .iter()
        .find(|entity| entity.name() == &*fk.entity)?;
    if fk.each == Some(true) || fk.cols.is_some() {
        let words = "with path, fk takes neither cols nor each; a path leads into arrays by [*]";
        return scope.problem(path, words);
    }
    let steps = scope.noted(&format!("{path}.path"), json_path(text))?;
    // What is wrong with the parent itself is noted there.
    let (keys, id) = (parent.key.as_ref()?, parent.id.as_ref()?);
    let named = match id {
        IdRule::Uuid5 { entity, .. } => Some(entity.clone()),
        IdRule::Keep { .. } => None,
        IdRule::None { .. } => {
            let words = format!("rows of {} have no id (kind none)", parent.name());
            return scope.problem(path, words);
        }
    };
    let target = target(scope, parent, keys, (fk, path))?;
    let given = |sql: &str| -> Option<Draft> {
        let (sql, ty) = typed(sql, &target.ty)?;
        let mut draft = Draft::new(sql, ty);
        draft.is_deterministic = true;
        Some(draft)
    };
    let Some(value) = given("d.v") else {
        let words = format!(
            "in JSON, fk refers by integers, texts and uuids; column \"{}\" of {} is {}",
            target.name,
            parent.name(),
            target.ty.sql
        );
        return scope.problem(path, words);
    };
    if fk.by.is_empty() {
        scope.noted(path, reference::same_text(&value, target, parent.name()))?;
    }
    let row = |given: Draft| key_of(scope, parent, keys, (fk, target), given, path);
    let mut found = row(value)?;
    let orphan = match fk.orphan.as_ref().unwrap_or(scope.on_row_error) {
        Unfit::SetNull => RowAction::SetNull,
        Unfit::Fail => RowAction::Fail,
        Unfit::Quarantine => RowAction::Quarantine,
        Unfit::Default(value) => {
            let value = scope.noted(
                &format!("{path}.orphan"),
                literal(value, &Ty::of(&target.ty)),
            )?;
            let other = row(Draft::new(value, Ty::of(&target.ty)))?;
            found = format!("COALESCE({found}, {other})");
            RowAction::Quarantine
        }
    };
    let found = format!(
        "(SELECT jsonb_object_agg(x.v, x.k) FROM (SELECT d.v, {found} AS k FROM (SELECT DISTINCT t.v FROM {} AS t \
         WHERE t.v IS NOT NULL) AS d) AS x WHERE x.k IS NOT NULL)::text",
        json_rows::texts(document, &steps)
    );
    let is_number = matches!(keys.as_slice(), [only] if Ty::of(&only.ty).is_integer());
    Some(Inner {
        parent: parent.name().to_owned(),
        reference: DocumentReference {
            entity: named,
            is_number,
            path: steps,
            found: 0,
            orphan,
            rule: path.to_owned(),
            message: orphan::words(parent),
        },
        found,
        is_deferred: fk.deferred == Some(true),
    })
}

/// The column of the parent that is compared.
fn target<'a>(
    scope: &Scope<'_>,
    parent: &Resolved<'a>,
    keys: &[&'a Column],
    (fk, path): (&Fk, &str),
) -> Option<&'a Column> {
    match (fk.by.as_slice(), keys) {
        ([], [key]) => Some(key),
        ([], _) => scope.problem(
            path,
            "one value in JSON cannot refer to a key of several columns; name a unique column: by",
        ),
        ([name], _) => {
            let column = parent.source?.column(name);
            match column {
                Some(column) => Some(column),
                // With the words that a reference of one row has.
                None => {
                    by::columns(scope, parent.source?, &[], (&fk.by, path))?;
                    None
                }
            }
        }
        _ => scope.problem(&format!("{path}.by"), "one value in JSON is one column"),
    }
}

/// SQL of the key of the row that a value names: one text or, for a key of several columns, an array of texts;
/// NULL where there is none.
fn key_of(
    scope: &Scope<'_>,
    parent: &Resolved<'_>,
    keys: &[&Column],
    (fk, target): (&Fk, &Column),
    given: Draft,
    path: &str,
) -> Option<String> {
    let by = match fk.by.is_empty() {
        true => vec![super::super::plan::Name(target.name.clone())],
        false => fk.by.clone(),
    };
    let parts = by::find(scope, parent, keys, &[given], (&by, path))?;
    let texts: Vec<String> = parts
        .iter()
        .map(|part| match key::text_of(part) {
            (sql, KeyText::Text) => sql,
            (sql, _) => format!("({sql})::text"),
        })
        .collect();
    match texts.as_slice() {
        [one] => Some(format!("to_jsonb({one})")),
        [first, ..] => Some(format!(
            "(CASE WHEN {first} IS NOT NULL THEN jsonb_build_array({}) END)",
            texts.join(", ")
        )),
        [] => None,
    }
}

/// A text of JSON as a value that is compared with a column, NULL where it can be none; only the one way that
/// the value itself is written counts, so that equal texts are equal keys.
fn typed(text: &str, target: &super::super::catalog::ColumnType) -> Option<(String, Ty)> {
    match Ty::of(target) {
        Ty::Int2 | Ty::Int4 | Ty::Int8 => Some((
            format!(
                "(CASE WHEN {text} ~ '^(0|-?[1-9][0-9]{{0,18}})$' THEN (CASE WHEN {text}::numeric BETWEEN \
                 -9223372036854775808 AND 9223372036854775807 THEN {text}::int8 END) END)"
            ),
            Ty::Int8,
        )),
        Ty::Uuid => Some((
            format!(
                "(CASE WHEN {text} ~* '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' THEN {text}::uuid END)"
            ),
            Ty::Uuid,
        )),
        Ty::Text(_) | Ty::Char(_) | Ty::Citext => Some((text.to_owned(), Ty::Text(None))),
        _ => None,
    }
}
