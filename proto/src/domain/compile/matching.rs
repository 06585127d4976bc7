//! Rows that are at the destination already and match by a natural key: their ids are taken.

use std::collections::BTreeSet;

use super::super::catalog::{Column, Table, quote_ident};
use super::super::compiled::{KeyColumn, MatchRule, RowAction, ValueRule, WriteColumn};
use super::super::plan::{Entity, Id, IdKind, Ordered, Pipeline, Unfit, suggest};
use super::super::rules::{Draft, Fit, Scope, Ty, convert, value_of};
use super::fields::Fields;
use super::key;
use super::resolve::Resolved;

/// The match of an entity, where its plan has one.
pub(super) fn pipelines(entity: &Entity) -> Option<&Ordered<Pipeline>> {
    entity.id.as_ref()?.matched.as_ref()
}

/// Whether rows that are there already are looked for by a natural key.
pub(super) fn is_natural(entity: &Entity) -> bool {
    entity.id.as_ref().and_then(|id| id.kind.as_ref()) == Some(&IdKind::NaturalKey)
}

/// What an entity's rows are matched by.
#[derive(Default)]
pub(super) struct Matching {
    /// The rule; none where nothing is matched.
    pub rule: Option<MatchRule>,
    /// Source columns that it reads, or names in its free SQL.
    pub columns: BTreeSet<String>,
}

/// The matching of an entity. `None` with problems noted.
pub(super) fn compile(scope: &Scope<'_>, entity: &Resolved<'_>, table: &Table) -> Option<Matching> {
    let path = format!("{}.id", entity.path);
    let Some(id) = entity.entity.id.as_ref() else {
        return Some(Matching::default());
    };
    if !is_natural(entity.entity) {
        let is_bare = id.matched.is_none() && id.duplicates.is_none() && id.otherwise.is_none();
        if is_bare {
            return Some(Matching::default());
        }
        let message = "match, duplicates and else belong to kind natural_key";
        return scope.problem(&path, message);
    }
    let Some(matched) = &id.matched else {
        return scope.problem(&path, "kind natural_key needs match: {column: pipeline}");
    };
    let duplicates = duplicates(scope, id, &path)?;
    let mut fields = Fields::default();
    for column in entity.key.as_ref()? {
        let (_, sql): (KeyColumn, String) = key::column(column);
        fields.push(sql);
    }
    let mut used = BTreeSet::new();
    let columns: Vec<Option<WriteColumn>> = matched
        .iter()
        .map(|(name, pipeline)| {
            let path = format!("{path}.match.{name}");
            let (column, draft) = column(scope, table, (name, pipeline), &path)?;
            used.extend(draft.columns.into_iter().chain(draft.mentioned));
            let field = fields.index(&draft.sql);
            let value = match draft.agent.is_empty() {
                true => ValueRule::Field(field),
                false => ValueRule::Steps {
                    field,
                    steps: draft.agent,
                },
            };
            Some(WriteColumn::new(&column.name, value))
        })
        .collect();
    let rule = MatchRule {
        columns: columns.into_iter().collect::<Option<_>>()?,
        fields: fields.into_vec(),
        duplicates,
        path,
    };
    Some(Matching {
        rule: Some(rule),
        columns: used,
    })
}

/// What becomes of source rows that match the same row, and of those that match none.
fn duplicates(scope: &Scope<'_>, id: &Id, path: &str) -> Option<RowAction> {
    if !matches!(id.otherwise, None | Some(IdKind::Uuid5)) {
        let message = "a row that matches nothing gets a uuid5; no other kind is known here";
        return scope.problem(&format!("{path}.else"), message);
    }
    match id.duplicates.as_ref().unwrap_or(scope.on_row_error) {
        Unfit::Quarantine => Some(RowAction::Quarantine),
        Unfit::Fail => Some(RowAction::Fail),
        Unfit::SetNull | Unfit::Default(_) => scope.problem(
            &format!("{path}.duplicates"),
            "an id is never NULL; say quarantine or fail",
        ),
    }
}

/// A destination column that is compared; a value that does not fit it matches nothing.
fn column<'a>(
    scope: &Scope<'_>,
    table: &'a Table,
    (name, pipeline): (&str, &Pipeline),
    path: &str,
) -> Option<(&'a Column, Draft)> {
    let Some(column) = table.column(name) else {
        let names = table.columns.iter().map(|column| column.name.as_str());
        let hint = suggest::hint(name, names);
        let message = format!(
            "destination table {} has no column {}{hint}",
            table.name,
            quote_ident(name)
        );
        return scope.problem(path, message);
    };
    let ty = Ty::of(&column.ty);
    if matches!(ty, Ty::Json | Ty::User(_)) {
        let message = format!("values of type {} are not compared", column.ty.sql);
        return scope.problem(path, message);
    }
    let draft = value_of(scope, &pipeline.0, path)?;
    let fit = Fit {
        unfit: &Unfit::SetNull,
        path,
        is_asked: false,
    };
    let draft = scope.noted(path, convert(draft, &ty, &fit))?;
    Some((column, draft))
}
