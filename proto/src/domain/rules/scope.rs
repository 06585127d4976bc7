//! What a rule can see: one row of one source table.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::ty::Ty;
use crate::domain::catalog::{Column, Probe, Probed, Table, TableName, quote_ident};
use crate::domain::plan::{ProblemLog, Sql, Unfit, suggest};

/// The surroundings of an entity's rules.
#[derive(Debug)]
pub struct Scope<'a> {
    /// The source table, under the alias `src`.
    pub table: &'a Table,
    /// Key columns, for `source_meta: pk`.
    pub key: &'a [String],
    /// What naive timestamps mean, if anything says so.
    pub timezone: Option<&'a str>,
    /// What happens to a row where a rule says nothing.
    pub on_row_error: &'a Unfit,
    /// Types of free SQL, as the source told.
    pub expressions: &'a BTreeMap<Probe, Probed>,
    /// `server_version_num` of the source.
    pub server_version: u32,
    /// Where problems go.
    pub log: &'a ProblemLog,
}

impl<'a> Scope<'a> {
    /// Notes a problem.
    pub fn problem<T>(&self, path: &str, message: impl Into<String>) -> Option<T> {
        self.log.add(path, message);
        None
    }

    /// The value of a problem in words.
    pub fn noted<T>(&self, path: &str, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => self.problem(path, message),
        }
    }

    /// A column of the source row.
    pub fn column(&self, name: &str, path: &str) -> Option<&'a Column> {
        if let Some(column) = self.table.column(name) {
            return Some(column);
        }
        if let Some((alias, _)) = name.split_once('.') {
            let message = format!("not supported yet: \"{alias}\" would be a join");
            return self.problem(path, message);
        }
        let names = self.table.columns.iter().map(|column| column.name.as_str());
        let hint = suggest::hint(name, names);
        let table = &self.table.name;
        self.problem(
            path,
            format!("source table {table} has no column \"{name}\"{hint}"),
        )
    }

    /// A column as a value.
    pub fn column_value(&self, name: &str, path: &str) -> Option<Draft> {
        let column = self.column(name, path)?;
        let mut draft = Draft::new(column_sql(name), Ty::of(&column.ty));
        draft.is_deterministic = column.ty.is_deterministic;
        draft.columns.insert(name.to_owned());
        draft.direct = Some(name.to_owned());
        Some(draft)
    }

    /// A free expression as a value.
    pub fn sql_value(&self, sql: &Sql, path: &str) -> Option<Draft> {
        let probe = Probe {
            table: self.table.name.clone(),
            sql: sql.0.clone(),
        };
        let ty = match self.expressions.get(&probe) {
            Some(Probed::Type(ty)) => ty,
            Some(Probed::Refused(words)) => {
                return self.problem(path, format!("the source refuses it: {words}"));
            }
            None => return self.problem(path, "the source has not told its type"),
        };
        let mut draft = Draft::new(free_sql(&self.table.name, sql), Ty::of(ty));
        draft.is_deterministic = ty.is_deterministic;
        draft.mentioned = self.mentioned(sql);
        Some(draft)
    }

    /// A free condition.
    pub fn condition(&self, sql: &Sql, path: &str) -> Option<Draft> {
        let draft = self.sql_value(sql, path)?;
        if draft.ty != Ty::Bool {
            return self.problem(
                path,
                format!("a condition is boolean, this is {}", draft.ty),
            );
        }
        Some(draft)
    }

    /// Columns whose names appear as words in free SQL.
    pub fn mentioned(&self, sql: &str) -> std::collections::BTreeSet<String> {
        let names = self.table.columns.iter().map(|column| &column.name);
        names.filter(|name| mentions(sql, name)).cloned().collect()
    }
}

/// `src."name"`.
pub fn column_sql(name: &str) -> String {
    format!("src.{}", quote_ident(name))
}

/// A free expression of the plan over the row `src` of a table, as one scalar.
///
/// Columns may be written bare, behind `src.` or behind the table's own name. The line end keeps a
/// trailing comment from swallowing the parenthesis. Whoever describes a [`Probe`] writes
/// `SELECT {free_sql} FROM {table} AS src`.
pub fn free_sql(table: &TableName, sql: &str) -> String {
    if mentions(sql, &table.name) {
        let own_name = quote_ident(&table.name);
        format!("(SELECT ({sql}\n) FROM (SELECT src.*) AS {own_name})")
    } else {
        format!("({sql}\n)")
    }
}

/// Whether a name appears as a whole word, whatever its case.
pub fn mentions(sql: &str, name: &str) -> bool {
    let (sql, name) = (sql.to_lowercase(), name.to_lowercase());
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
    let mut rest = 0;
    while let Some(found) = sql[rest..].find(&name) {
        let (start, end) = (rest + found, rest + found + name.len());
        let before = sql[..start].chars().next_back().is_some_and(is_word);
        let after = sql[end..].chars().next().is_some_and(is_word);
        if !before && !after {
            return true;
        }
        rest = end;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whole() {
        assert!(mentions("lower(Name) = 'x'", "name"));
        assert!(mentions("\"name\"", "name"));
        assert!(!mentions("first_name || names", "name"));
        assert!(mentions("names, name", "name"));
    }

    #[test]
    fn free_sql_sees_the_table_under_its_own_name() {
        let table = TableName::parse("office");
        assert_eq!(free_sql(&table, "name -- x"), "(name -- x\n)");
        assert_eq!(
            free_sql(&table, "office.name"),
            "(SELECT (office.name\n) FROM (SELECT src.*) AS \"office\")"
        );
    }
}
