//! What the new rows are called, and which destination column says so.

use super::super::catalog::{Column, Table};
use super::super::compiled::IdRule;
use super::super::plan::{Entity, IdKind};
use super::super::rules::Ty;
use super::Context;

/// The id rule of an entity. `None` with problems noted.
pub(super) fn resolve(
    context: &Context<'_>,
    entity: &Entity,
    table: &Table,
    path: &str,
) -> Option<IdRule> {
    let root = root(context, entity, path)?;
    let kind = kind_of(root);
    match kind {
        IdKind::None => none(context, entity, table, path),
        IdKind::Keep => {
            let column = id_column(context, entity, table, path)?;
            Some(IdRule::Keep {
                column: column.name.clone(),
            })
        }
        IdKind::Uuid5 | IdKind::NaturalKey => {
            let column = id_column(context, entity, table, path)?;
            if Ty::of(&column.ty) != Ty::Uuid {
                let message = format!(
                    "destination column \"{}\" is {}, an id of kind uuid5 is uuid; change it, or \
                     use kind: keep",
                    column.name, column.ty.sql
                );
                context.log.add(format!("{path}.id"), message);
                return None;
            }
            Some(IdRule::Uuid5 {
                column: column.name.clone(),
                entity: root.entity.to_string(),
            })
        }
    }
}

/// Where the ids of an entity come from, by its own words.
fn kind_of(entity: &Entity) -> &IdKind {
    let kind = entity.id.as_ref().and_then(|id| id.kind.as_ref());
    kind.unwrap_or(&IdKind::Uuid5)
}

/// The entity whose ids an entity has, behind every `like`: itself where there is none.
fn root<'a>(context: &Context<'a>, entity: &'a Entity, path: &str) -> Option<&'a Entity> {
    let like = |one: &'a Entity| one.id.as_ref().and_then(|id| id.like.as_ref());
    let path = format!("{path}.id.like");
    let mut seen = vec![&*entity.entity];
    let mut root = entity;
    while let Some(name) = like(root) {
        if seen.contains(&&*name.0) {
            seen.push(&name.0);
            let message = format!("goes in a circle: {}", seen.join(" → "));
            context.log.add(path, message);
            return None;
        }
        seen.push(&name.0);
        // A name that the plan does not have is noted by its reader.
        root = context
            .plan
            .entities
            .iter()
            .find(|other| *other.entity == *name.0)?;
    }
    if std::ptr::eq(root, entity) {
        return Some(root);
    }
    let own = entity.id.as_ref().and_then(|id| id.kind.as_ref());
    let message = match (kind_of(root), own) {
        (IdKind::None, _) => format!("rows of {} have no id (kind none)", &*root.entity),
        (kind, Some(own)) if own != kind => format!(
            "ids of {} are of kind {}; leave the kind out here",
            &*root.entity,
            kind.word()
        ),
        _ => return Some(root),
    };
    context.log.add(path, message);
    None
}

/// The column that holds the id: the plan's, else the single-column primary key.
fn id_column<'a>(
    context: &Context<'_>,
    entity: &Entity,
    table: &'a Table,
    path: &str,
) -> Option<&'a Column> {
    let named = entity.id.as_ref().and_then(|id| id.column.as_ref());
    let (name, path) = match (named, table.primary_key.as_slice()) {
        (Some(name), _) => (name.0.as_str(), format!("{path}.id.column")),
        (None, [one]) => (one.as_str(), format!("{path}.id")),
        (None, key) => {
            let message = match key.len() {
                0 => format!("destination table {} has no primary key", table.name),
                _ => format!("the primary key of {} has several columns", table.name),
            };
            let advice = "name the id's column, or use kind: none for a join table";
            context
                .log
                .add(format!("{path}.id"), format!("{message}; {advice}"));
            return None;
        }
    };
    let Some(column) = table.column(name) else {
        let message = format!("destination table {} has no column \"{name}\"", table.name);
        context.log.add(path, message);
        return None;
    };
    let is_unique = |key: &Vec<String>| key.len() == 1 && key[0] == name;
    if !table
        .unique_keys
        .iter()
        .chain([&table.primary_key])
        .any(is_unique)
    {
        context.log.add(
            path,
            format!("destination column \"{name}\" is no unique key"),
        );
        return None;
    }
    if column.is_generated {
        context
            .log
            .add(path, format!("destination column \"{name}\" is generated"));
        return None;
    }
    Some(column)
}

/// A join table: its primary key is its identity, and rules write all of it.
fn none(context: &Context<'_>, entity: &Entity, table: &Table, path: &str) -> Option<IdRule> {
    let path = format!("{path}.id");
    if entity.id.as_ref().is_some_and(|id| id.column.is_some()) {
        context
            .log
            .add(format!("{path}.column"), "kind none has no id column");
        return None;
    }
    if table.primary_key.is_empty() {
        let message = format!(
            "destination table {} has no primary key, which kind none takes as identity",
            table.name
        );
        context.log.add(path, message);
        return None;
    }
    let is_written = |name: &&String| {
        entity
            .transformation_rules
            .iter()
            .any(|(column, _)| column == name.as_str())
    };
    let unwritten: Vec<&str> = table
        .primary_key
        .iter()
        .filter(|name| !is_written(name))
        .map(String::as_str)
        .collect();
    if !unwritten.is_empty() {
        let message = format!(
            "kind none takes the destination's primary key as identity, but no rule writes {}",
            unwritten.join(", ")
        );
        context.log.add(path, message);
        return None;
    }
    Some(IdRule::None {
        columns: table.primary_key.clone(),
    })
}
