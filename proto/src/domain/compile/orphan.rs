//! Whether the row that a foreign key refers to is there.

use super::super::catalog::{Column, Table, quote_ident};
use super::super::rules::{Draft, Ty};
use super::joins;
use super::resolve::Resolved;

/// A condition that holds where the parent row is there; `None` where it always is.
pub(super) fn exists(
    child: &Table,
    parent: &Resolved<'_>,
    key: &[&Column],
    parts: &[Draft],
) -> Option<String> {
    if is_guaranteed(child, parent, key, parts) {
        return None;
    }
    // The filter sees its own row as `src`; this row's `src` is not visible in there.
    let keys: Vec<String> = key
        .iter()
        .enumerate()
        .map(|(at, column)| format!("src.{} AS k{at}", quote_ident(&column.name)))
        .collect();
    let rows = format!(
        "(SELECT {} FROM {}) AS p",
        keys.join(", "),
        joins::rows(parent)?
    );
    // A part that is no plain column is evaluated outside: a bare name in its SQL must not meet a
    // column of the parent.
    let is_plain = parts.iter().all(|part| part.direct.is_some());
    let part = |at: usize| match is_plain {
        true => parts[at].sql.clone(),
        false => format!("v.x{at}"),
    };
    let tests: Vec<String> = key
        .iter()
        .enumerate()
        .map(|(at, column)| match Ty::of(&column.ty) {
            Ty::Enum(_) => format!("p.k{at}::text = ({})::text", part(at)),
            _ => format!("p.k{at} = {}", part(at)),
        })
        .collect();
    let exists = format!(
        "EXISTS (SELECT 1 FROM {rows} WHERE {})",
        tests.join(" AND ")
    );
    if is_plain {
        return Some(exists);
    }
    let values: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(at, part)| format!("{} AS x{at}", part.sql))
        .collect();
    Some(format!(
        "(SELECT {exists} FROM (SELECT {} OFFSET 0) AS v)",
        values.join(", ")
    ))
}

/// SELECT of all keys of the parent, where they and the reference are one integer each: then the agent can
/// know them.
pub(super) fn keys(parent: &Resolved<'_>, key: &[&Column], parts: &[Draft]) -> Option<String> {
    let ([column], [part]) = (key, parts) else {
        return None;
    };
    if !Ty::of(&column.ty).is_integer() || !part.ty.is_integer() {
        return None;
    }
    Some(format!(
        "SELECT (src.{})::int8 FROM {}",
        quote_ident(&column.name),
        joins::rows(parent)?
    ))
}

/// What the error row of an orphan says.
pub(super) fn words(parent: &Resolved<'_>) -> String {
    let filtered = if joins::leaves_out(parent.entity) {
        " or is filtered out"
    } else {
        ""
    };
    let name = parent.name();
    format!("refers to a row of {name} that does not exist{filtered}")
}

/// A validated foreign key of the source from these very columns to the parent's key, with no
/// filter on the parent.
pub(super) fn is_guaranteed(
    child: &Table,
    parent: &Resolved<'_>,
    key: &[&Column],
    parts: &[Draft],
) -> bool {
    let Some(target) = parent.source else {
        return false;
    };
    let columns: Option<Vec<&str>> = parts.iter().map(|part| part.direct.as_deref()).collect();
    let Some(columns) = columns else { return false };
    !joins::leaves_out(parent.entity)
        && child.foreign_keys.iter().any(|foreign| {
            let pairs: Vec<(&str, &str)> = foreign
                .columns
                .iter()
                .map(String::as_str)
                .zip(foreign.target_columns.iter().map(String::as_str))
                .collect();
            foreign.is_validated
                && foreign.target == target.name
                && pairs.len() == columns.len()
                && columns
                    .iter()
                    .zip(key)
                    .all(|(column, key)| pairs.contains(&(*column, key.name.as_str())))
        })
}
