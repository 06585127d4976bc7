//! What a change does to an empty copy of its table, where its types and columns are read from.

use super::super::declared::{Change, DeclaredChange, NewColumn};
use crate::domain::catalog::{quote_ident, quote_literal};

/// Statements that make the change on an empty table `relation`; none for what shows in no column.
pub fn rehearsal(change: &DeclaredChange, relation: &str, is_automatic: bool) -> Vec<String> {
    let alter = |column: &str, what: &str| {
        format!(
            "alter table {relation} alter column {} {what}",
            quote_ident(column)
        )
    };
    match &change.change {
        Change::AddColumn(column) => vec![format!(
            "alter table {relation} add column {}",
            new_column(column, &column.ty)
        )],
        Change::DropColumn { column } => vec![format!(
            "alter table {relation} drop column {}",
            quote_ident(column)
        )],
        Change::SetType { column, ty } => {
            let value = quote_ident(column);
            let using = match (is_automatic, &ty.time_zone) {
                (true, None) => String::new(),
                (true, Some(zone)) => {
                    format!(" using {value} at time zone {}", quote_literal(zone))
                }
                (false, _) => format!(" using {value}::{}", ty.sql),
            };
            vec![alter(column, &format!("type {}{using}", ty.sql))]
        }
        Change::SetDefault { column, default } => vec![match default {
            Some(sql) => alter(column, &format!("set default {sql}")),
            None => alter(column, "drop default"),
        }],
        Change::SetNotNull { column, not_null } => {
            let what = if *not_null {
                "set not null"
            } else {
                "drop not null"
            };
            vec![alter(column, what)]
        }
        Change::RenameColumn { column, to } => vec![format!(
            "alter table {relation} rename column {} to {}",
            quote_ident(column),
            quote_ident(to)
        )],
        Change::CreateBackup
        | Change::AddConstraint { .. }
        | Change::DropConstraint { .. }
        | Change::CreateIndex { .. }
        | Change::DropIndex { .. } => Vec::new(),
    }
}

/// A column as it stands behind `ADD COLUMN`, of the type as the server names it.
pub(super) fn new_column(column: &NewColumn, ty: &str) -> String {
    let mut sql = format!("{} {ty}", quote_ident(&column.name));
    if let Some(expression) = &column.generated {
        sql.push_str(&format!(" generated always as ({expression}) stored"));
    }
    if let Some(kind) = column.identity {
        sql.push_str(&format!(" generated {} as identity", kind.sql()));
    }
    if let Some(default) = &column.default {
        sql.push_str(&format!(" default {default}"));
    }
    if column.not_null {
        sql.push_str(" not null");
    }
    sql
}
