//! The step `lookup`: a value of a small table, found by a unique column.

use super::convert::{Check, Fit, checked};
use super::draft::{Draft, INPUT};
use super::scope::Scope;
use super::ty::Ty;
use crate::domain::catalog::{Column, Table, TableName, quote_ident};
use crate::domain::plan::{Lookup, Unfit, suggest};

/// Rows that rules can look at beside their own.
#[derive(Debug)]
pub struct Others<'a> {
    /// Tables of the source.
    pub tables: &'a [Table],
    /// Entities of the plan.
    pub entities: Vec<EntityRows<'a>>,
}

/// The rows that an entity reads.
#[derive(Debug)]
pub struct EntityRows<'a> {
    /// The entity.
    pub name: &'a str,
    /// Its source table.
    pub table: &'a Table,
    /// What stands behind FROM; the table's row is `src`.
    pub rows: String,
}

impl<'a> Others<'a> {
    /// A source table by its name in the plan.
    pub fn table(&self, name: &str) -> Option<&'a Table> {
        let name = TableName::parse(name);
        self.tables.iter().find(|table| table.name == name)
    }
}

/// Applies a lookup. NULL stays NULL.
pub(super) fn apply(
    scope: &Scope<'_>,
    draft: Draft,
    rule: &Lookup,
    unfit: &Unfit,
    path: &str,
) -> Option<Draft> {
    let (table, rows) = rows(scope, rule, path)?;
    let by = named(scope, table, &rule.by, &format!("{path}.by"))?;
    let take = named(scope, table, &rule.take, &format!("{path}.take"))?;
    if !table
        .unique_keys
        .iter()
        .any(|key| *key == [by.name.clone()])
    {
        let message = format!(
            "column \"{}\" of {} is not unique, so that a value could find several rows",
            by.name, table.name
        );
        return scope.problem(&format!("{path}.by"), message);
    }
    let tests = equal(&Ty::of(&by.ty), &draft.ty).map(|cast| format!("l.k{cast} = v.x{cast}"));
    let Some(test) = tests else {
        let message = format!(
            "{} is not compared with column \"{}\" of {}, which is {}; cast it before",
            draft.ty, by.name, table.name, by.ty.sql
        );
        return scope.problem(path, message);
    };
    // The value is evaluated outside: a bare name in its SQL must not meet a column of the table.
    // An entity's joins may repeat a row; what is taken is the row's own.
    let found = |what: &str| {
        format!(
            "(SELECT {what} FROM (SELECT src.{} AS k, src.{} AS t FROM {rows}) AS l WHERE {test} LIMIT 1)",
            quote_ident(&by.name),
            quote_ident(&take.name),
        )
    };
    let over_value =
        |sql: String| format!("(SELECT {sql} FROM (SELECT {INPUT} AS x OFFSET 0) AS v)");
    let check = Check {
        value: over_value(found("l.t")),
        fault: over_value(format!("v.x IS NOT NULL AND {} IS NULL", found("true"))),
        code: "DROVER_LOOKUP",
        message: format!("finds no row of {} by {}", table.name, by.name),
        is_raw: false,
    };
    let fit = Fit {
        unfit,
        path,
        is_asked: true,
    };
    let draft = scope.noted(path, checked(draft, &Ty::of(&take.ty), &fit, &check))?;
    Some(Draft {
        is_deterministic: take.ty.is_deterministic,
        ..draft
    })
}

/// The table that is looked at, and its rows.
fn rows<'a>(scope: &Scope<'a>, rule: &Lookup, path: &str) -> Option<(&'a Table, String)> {
    match (&rule.table, &rule.entity) {
        (Some(name), None) => match scope.others.table(name) {
            Some(table) => Some((table, format!("{} AS src", table.name.quoted()))),
            None => scope.problem(&format!("{path}.table"), missing(name)),
        },
        (None, Some(name)) => {
            // What is wrong with the entity itself is noted there.
            let mut all = scope.others.entities.iter();
            let found = all.find(|entity| entity.name == name.0)?;
            Some((found.table, found.rows.clone()))
        }
        (Some(_), Some(_)) => scope.problem(path, "table or entity, not both"),
        (None, None) => scope.problem(path, "needs a table or an entity"),
    }
}

/// The words for a table that the source does not have.
pub fn missing(name: &str) -> String {
    let TableName { schema, name } = TableName::parse(name);
    format!("no table \"{name}\" in schema \"{schema}\" there")
}

/// A column of another table.
pub fn named<'a>(
    scope: &Scope<'_>,
    table: &'a Table,
    name: &str,
    path: &str,
) -> Option<&'a Column> {
    let found = table.column(name);
    if found.is_none() {
        let names = table.columns.iter().map(|column| column.name.as_str());
        let hint = suggest::hint(name, names);
        scope.log.add(
            path,
            format!("table {} has no column \"{name}\"{hint}", table.name),
        );
    }
    found
}

/// The cast that both sides of a comparison need; `None` where they cannot be compared.
pub fn equal(a: &Ty, b: &Ty) -> Option<&'static str> {
    let is_exact = |ty: &Ty| ty.is_integer() || matches!(ty, Ty::Numeric(_));
    match (a, b) {
        (Ty::Json | Ty::Jsonb | Ty::Array(_) | Ty::User(_) | Ty::Null, _) => None,
        (a, b) if is_exact(a) && is_exact(b) => Some(""),
        (Ty::Text(_), Ty::Text(_)) => Some(""),
        (a, b) if a.is_text() && b.is_text() => Some("::text"),
        (Ty::Timestamp(_), Ty::Timestamp(_)) | (Ty::Timestamptz(_), Ty::Timestamptz(_)) => Some(""),
        (a, b) => (a == b).then_some(""),
    }
}
