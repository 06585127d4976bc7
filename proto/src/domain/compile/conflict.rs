//! What happens where the destination already has a row of that key.

use super::super::catalog::Table;
use super::super::compiled::{ConflictRule, IdRule, WriteColumn};
use super::super::plan::{Entity, Name, OnConflict, suggest};
use super::super::rules::Scope;
use super::matching;
use super::resolve::Resolved;

/// Whether rows that are already there are looked for.
pub(super) fn has_policy(entity: &Entity) -> bool {
    !matches!(policy(entity), OnConflict::Error)
}

/// What the plan says, or means: a row that matched is there, and stays unless the plan says otherwise.
fn policy(entity: &Entity) -> &OnConflict {
    let usual = match matching::is_natural(entity) {
        true => &OnConflict::Skip,
        false => &OnConflict::Error,
    };
    entity.on_conflict.as_ref().unwrap_or(usual)
}

/// The rule of an entity. `None` with problems noted.
pub(super) fn compile(
    scope: &Scope<'_>,
    entity: &Resolved<'_>,
    id: &IdRule,
    (table, columns): (&Table, &[WriteColumn]),
) -> Option<ConflictRule> {
    let path = format!("{}.on_conflict", entity.path);
    if has_policy(entity.entity) {
        let key = id.columns();
        let is_key = |unique: &Vec<String>| {
            unique.len() == key.len() && unique.iter().all(|name| key.contains(name))
        };
        if !table.unique_keys.iter().any(is_key) {
            let message = format!(
                "{} has no unique key that is checked at once (not deferrable) on {}",
                table.name,
                key.join(", ")
            );
            return scope.problem(&path, message);
        }
    }
    match policy(entity.entity) {
        OnConflict::Error if matching::is_natural(entity.entity) => {
            let message = "a row that matches is there already; say skip, overwrite or merge";
            scope.problem(&path, message)
        }
        OnConflict::Error => Some(ConflictRule::Error),
        OnConflict::Skip => Some(ConflictRule::Skip),
        OnConflict::Overwrite => {
            let is_key = |column: &WriteColumn| id.columns().contains(&column.name);
            if columns.iter().all(is_key) {
                let message = "every column that is written belongs to the key; say skip";
                return scope.problem(&path, message);
            }
            Some(ConflictRule::Overwrite)
        }
        OnConflict::Merge(names) => {
            let merged: Vec<Option<String>> = names
                .iter()
                .enumerate()
                .map(|(at, name)| {
                    let path = format!("{path}.merge[{at}]");
                    merged(scope, id, (table, columns), name, &path)
                })
                .collect();
            let mut merged: Vec<String> = merged.into_iter().collect::<Option<_>>()?;
            merged.sort();
            merged.dedup();
            Some(ConflictRule::Merge(merged))
        }
    }
}

/// A column that can be filled where it is NULL.
fn merged(
    scope: &Scope<'_>,
    id: &IdRule,
    (table, columns): (&Table, &[WriteColumn]),
    name: &Name,
    path: &str,
) -> Option<String> {
    let Some(column) = table.column(name) else {
        let names = table.columns.iter().map(|column| column.name.as_str());
        let hint = suggest::hint(name, names);
        let message = format!(
            "destination table {} has no column \"{}\"{hint}",
            table.name, name.0
        );
        return scope.problem(path, message);
    };
    let is_key = id.columns().contains(&name.0);
    if is_key || column.not_null {
        let message = format!("column \"{}\" is never NULL", name.0);
        return scope.problem(path, message);
    }
    if !columns.iter().any(|column| column.name == name.0) {
        return scope.problem(path, format!("no rule writes column \"{}\"", name.0));
    }
    Some(name.0.clone())
}
