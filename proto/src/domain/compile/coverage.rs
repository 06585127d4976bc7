//! Nothing forgotten: every destination column that needs a value has one, every source column is
//! mapped or left behind on purpose, and what is sensitive stays so.

use std::collections::BTreeSet;

use super::super::catalog::Table;
use super::super::compiled::{IdRule, SnapshotColumn};
use super::super::plan::suggest;
use super::super::rules::{Scope, mentions};
use super::column::Rule;
use super::resolve::Resolved;

/// NOT NULL columns without a default that nothing writes.
pub(super) fn check_destination(scope: &Scope<'_>, entity: &Resolved<'_>, table: &Table) {
    let id = match &entity.id {
        Some(IdRule::Uuid5 { column, .. } | IdRule::Keep { column }) => Some(column.as_str()),
        Some(IdRule::None { .. }) | None => None,
    };
    for column in &table.columns {
        let is_written = entity
            .entity
            .transformation_rules
            .iter()
            .any(|(name, _)| name == column.name)
            || id == Some(&column.name);
        if column.not_null && !column.has_default && !column.is_generated && !is_written {
            let path = format!("{}.transformation_rules", entity.path);
            let message = format!(
                "destination column \"{}\" is NOT NULL without a default, and no rule writes it",
                column.name
            );
            scope.log.add(path, message);
        }
    }
}

/// Source columns that are neither mapped nor dropped, and drops that make no sense.
///
/// `matched` are columns that a natural key is made of.
pub(super) fn check_source(
    scope: &Scope<'_>,
    entity: &Resolved<'_>,
    rules: &[Rule<'_>],
    matched: &BTreeSet<String>,
) {
    let dropped = &entity.entity.drop_source_columns;
    let used: BTreeSet<&str> = rules
        .iter()
        .flat_map(|rule| rule.columns.iter().map(String::as_str))
        .collect();
    for (index, name) in dropped.iter().enumerate() {
        let path = format!("{}.drop_source_columns[{index}]", entity.path);
        if scope.table.column(name).is_none() {
            let names = scope
                .table
                .columns
                .iter()
                .map(|column| column.name.as_str());
            let hint = suggest::hint(name, names);
            let message = format!(
                "source table {} has no column \"{}\"{hint}",
                scope.table.name, name.0
            );
            scope.log.add(path, message);
        } else if let Some(rule) = rules.iter().find(|rule| rule.columns.contains(&name.0)) {
            let message = format!("is used by the rule of \"{}\"", rule.column.name);
            scope.log.add(path, message);
        } else if matched.contains(&name.0) {
            scope.log.add(path, "is used by the natural key");
        }
    }
    if entity.is_unmapped_ignored || rules.len() < entity.entity.transformation_rules.iter().count()
    {
        // A rule with a problem of its own may be the one that uses a column.
        return;
    }
    for column in &scope.table.columns {
        let name = column.name.as_str();
        let is_known = used.contains(name)
            || matched.contains(name)
            || scope.key.iter().any(|key| key == name)
            || dropped.iter().any(|dropped| dropped.0 == name)
            || rules.iter().any(|rule| rule.mentioned.contains(name))
            || entity
                .entity
                .filter
                .as_ref()
                .is_some_and(|filter| mentions(filter, name))
            || entity
                .entity
                .joins
                .iter()
                .any(|join| mentions(&join.on, name));
        if !is_known {
            let path = format!("{}.transformation_rules", entity.path);
            let message = format!(
                "source column \"{name}\" is neither mapped nor in drop_source_columns \
                 (unmapped_columns: ignore leaves it behind)"
            );
            scope.log.add(path, message);
        }
    }
}

/// Source columns of the snapshot of a failed row; dropped ones never leave the source.
pub(super) fn snapshot(
    scope: &Scope<'_>,
    entity: &Resolved<'_>,
    rules: &[Rule<'_>],
    table: &Table,
) -> Vec<SnapshotColumn> {
    let sensitive = &entity.entity.sensitive;
    for (index, name) in sensitive.iter().enumerate() {
        if scope.table.column(name).is_none() && table.column(name).is_none() {
            let names = scope.table.columns.iter().chain(&table.columns);
            let hint = suggest::hint(name, names.map(|column| column.name.as_str()));
            let path = format!("{}.sensitive[{index}]", entity.path);
            scope.log.add(
                path,
                format!("neither table has a column \"{}\"{hint}", name.0),
            );
        }
    }
    let is_listed = |name: &str| sensitive.iter().any(|listed| listed.0 == name);
    let feeds_sensitive = |name: &String| {
        rules.iter().any(|rule| {
            is_listed(&rule.column.name)
                && (rule.columns.contains(name) || rule.mentioned.contains(name))
        })
    };
    let dropped = &entity.entity.drop_source_columns;
    scope
        .table
        .columns
        .iter()
        .filter(|column| !dropped.iter().any(|name| name.0 == column.name))
        .map(|column| SnapshotColumn {
            name: column.name.clone(),
            is_sensitive: is_listed(&column.name) || feeds_sensitive(&column.name),
        })
        .collect()
}
