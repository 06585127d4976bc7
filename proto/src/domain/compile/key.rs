//! The key of a source table: order of the read, bounds of partitions, input of ids.

use super::super::catalog::quote_ident;
use super::super::catalog::{Column, Table};
use super::super::compiled::{KeyColumn, KeyText};
use super::super::plan::{Entity, suggest};
use super::super::rules::{Draft, Ty};
use super::Context;

/// A moment as PostgreSQL shows it in UTC: the era stands behind the zone, and infinity has neither.
const MOMENT: &str = "(CASE WHEN isfinite(\u{1}) THEN \
     replace((\u{1} AT TIME ZONE 'UTC')::text || '+00', ' BC+00', '+00 BC') ELSE (\u{1})::text END)";

/// The key columns: those the plan names, else the primary key. `None` with problems noted.
pub(super) fn resolve<'a>(
    context: &Context<'_>,
    entity: &Entity,
    table: &'a Table,
    path: &str,
) -> Option<Vec<&'a Column>> {
    let path = format!("{path}.key");
    if entity.key.is_empty() && table.primary_key.is_empty() {
        let message = format!(
            "source table {} has no primary key; name columns that are NOT NULL and unique \
             together: {}",
            table.name,
            choices(table)
        );
        context.log.add(path, message);
        return None;
    }
    let mut columns = Vec::new();
    let mut is_whole = true;
    for (index, name) in entity.key.iter().enumerate() {
        is_whole &= match table.column(name) {
            Some(column) => {
                columns.push(column);
                is_sound(
                    context,
                    column,
                    &entity.key[..index],
                    &format!("{path}[{index}]"),
                )
            }
            None => {
                let names = table.columns.iter().map(|column| column.name.as_str());
                let hint = suggest::hint(name, names);
                let message = format!(
                    "source table {} has no column \"{}\"{hint}",
                    table.name, name.0
                );
                context.log.add(format!("{path}[{index}]"), message);
                false
            }
        };
    }
    if entity.key.is_empty() {
        columns = table
            .primary_key
            .iter()
            .filter_map(|name| table.column(name))
            .collect();
    }
    if !is_whole {
        return None;
    }
    let is_covered = table
        .unique_keys
        .iter()
        .chain([&table.primary_key])
        .any(|unique| {
            !unique.is_empty()
                && unique
                    .iter()
                    .all(|name| columns.iter().any(|column| column.name == *name))
        });
    if !is_covered {
        let message = "no unique key of the source covers these columns; rows could share an id";
        context.log.add(path, message);
        return None;
    }
    Some(columns)
}

/// What can be done about a table without a primary key.
fn choices(table: &Table) -> String {
    let is_set = |name: &String| table.column(name).is_some_and(|column| column.not_null);
    let (usable, others): (Vec<_>, Vec<_>) = table
        .unique_keys
        .iter()
        .partition(|names| names.iter().all(is_set));
    let shown = |keys: Vec<&Vec<String>>| {
        let keys = keys.iter().map(|names| format!("[{}]", names.join(", ")));
        keys.collect::<Vec<_>>().join(" or ")
    };
    match (usable.is_empty(), others.is_empty()) {
        (false, _) => format!("key: {}", shown(usable)),
        (true, false) => format!(
            "key: [...]. {} is unique but may hold NULL: set it NOT NULL at the source, or add a key there",
            shown(others)
        ),
        (true, true) => {
            "key: [...]. It has no unique key either: add one at the source, or leave the table out"
                .to_owned()
        }
    }
}

/// A key column is never NULL and named once.
fn is_sound(
    context: &Context<'_>,
    column: &Column,
    before: &[super::super::plan::Name],
    path: &str,
) -> bool {
    if before.iter().any(|name| name.0 == column.name) {
        context.log.add(path, "named twice");
        return false;
    }
    if !column.not_null {
        context.log.add(
            path,
            format!("column \"{}\" may be NULL; a key may not", column.name),
        );
        return false;
    }
    true
}

/// How a key value reads as text: the field's SQL and what the agent does with it.
pub(super) fn text_of(draft: &Draft) -> (String, KeyText) {
    match draft.ty {
        Ty::Int2 => (draft.sql.clone(), KeyText::Int2),
        Ty::Int4 => (draft.sql.clone(), KeyText::Int4),
        Ty::Int8 => (draft.sql.clone(), KeyText::Int8),
        Ty::Uuid => (draft.sql.clone(), KeyText::Uuid),
        // Whatever the session's time zone, the text of a moment is in UTC.
        Ty::Timestamptz(_) => (draft.fill(MOMENT), KeyText::Text),
        _ => (draft.text_sql(), KeyText::Text),
    }
}

/// SQL of the record id of a key of several columns: a JSON array of their texts.
pub(super) fn record_id(parts: &[Draft]) -> String {
    let texts: Vec<String> = parts
        .iter()
        .map(|part| match text_of(part) {
            (sql, KeyText::Text) => format!("to_json({sql})::text"),
            (sql, _) => format!("to_json(({sql})::text)::text"),
        })
        .collect();
    format!("('[' || {} || ']')", texts.join(" || ',' || "))
}

/// A key column as the reader has it, and the SQL of its field.
pub(super) fn column(column: &Column) -> (KeyColumn, String) {
    let sql = format!("src.{}", quote_ident(&column.name));
    let (field, text) = text_of(&Draft::new(sql.clone(), Ty::of(&column.ty)));
    let key = KeyColumn {
        name: column.name.clone(),
        sql,
        type_sql: column.ty.sql.clone(),
        text,
    };
    (key, field)
}
