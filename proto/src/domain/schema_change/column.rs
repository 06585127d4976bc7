//! Statements about one column that several operations share.

use uuid::Uuid;

use super::facts::{ColumnFacts, SequenceFacts};
use super::planned::SchemaStep;
use crate::domain::catalog::{TableName, quote_ident, quote_literal};

/// `alter table t alter column c …`.
pub(super) fn alter(table: &TableName, column: &str, what: &str) -> String {
    format!(
        "alter table {} alter column {} {what}",
        table.quoted(),
        quote_ident(column)
    )
}

/// Name, type and collation, as they stand in a definition.
pub(super) fn definition(column: &ColumnFacts) -> String {
    let collation = column
        .collation
        .as_ref()
        .map_or_else(String::new, |name| format!(" collate {name}"));
    format!("{} {}{collation}", quote_ident(&column.name), column.ty)
}

/// Makes a column NOT NULL without a long lock: a check that is validated first proves it.
pub(super) fn set_not_null(table: &TableName, column: &str) -> Vec<SchemaStep> {
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, column.as_bytes())
        .simple()
        .to_string();
    let name = quote_ident(&format!("drover_not_null_{}", &hash[..8]));
    let relation = table.quoted();
    let drop = format!("alter table {relation} drop constraint {name}");
    let add = format!(
        "alter table {relation} add constraint {name} check ({} is not null) not valid",
        quote_ident(column)
    );
    vec![
        SchemaStep::instant([add.clone()]).or_abandon([drop.clone()]),
        SchemaStep::long([format!("alter table {relation} validate constraint {name}")]),
        // Taken back, it leaves the check to the steps before it.
        SchemaStep::instant([alter(table, column, "set not null"), drop])
            .or_abandon([alter(table, column, "drop not null"), add]),
    ]
}

/// Gives a column that has its values back everything but NOT NULL.
pub(super) fn dress(table: &TableName, column: &ColumnFacts) -> Vec<String> {
    let mut sql = Vec::new();
    if let Some(default) = &column.default {
        sql.push(alter(
            table,
            &column.name,
            &format!("set default {default}"),
        ));
    }
    if let Some(sequence) = &column.sequence
        && sequence.identity.is_none()
    {
        sql.push(own(sequence, Some((table, &column.name))));
    }
    sql.extend(column.extras.iter().cloned());
    sql
}

/// Makes an identity of a column that has its values and is NOT NULL.
pub(super) fn identify(table: &TableName, column: &ColumnFacts) -> Vec<String> {
    let Some(sequence) = &column.sequence else {
        return Vec::new();
    };
    let Some(kind) = &sequence.identity else {
        return Vec::new();
    };
    let what = format!(
        "add generated {kind} as identity (sequence name {} {})",
        sequence.name, sequence.options
    );
    let mut sql = vec![alter(table, &column.name, &what)];
    if let Some(last) = sequence.last_value {
        sql.push(format!(
            "select pg_catalog.setval({}, greatest({last}, (select max({}) from {})))",
            quote_literal(&sequence.name),
            quote_ident(&column.name),
            table.quoted()
        ));
    }
    sql
}

/// A sequence belongs to a column, or to nobody.
pub(super) fn own(sequence: &SequenceFacts, owner: Option<(&TableName, &str)>) -> String {
    let owner = owner.map_or_else(
        || "none".to_owned(),
        |(table, column)| format!("{}.{}", table.quoted(), quote_ident(column)),
    );
    format!("alter sequence {} owned by {owner}", sequence.name)
}
