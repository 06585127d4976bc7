//! What a rule can see: one row of one source table.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::lookup::Others;
use super::ty::Ty;
use crate::domain::catalog::{Column, Probe, Probed, Table, quote_ident};
use crate::domain::plan::{ProblemLog, Sql, Unfit, suggest};

/// The surroundings of an entity's rules.
#[derive(Debug)]
pub struct Scope<'a> {
    /// The source table, under the alias `src`.
    pub table: &'a Table,
    /// Tables that are joined to it.
    pub joined: &'a [Joined<'a>],
    /// What stands behind `FROM table AS src` for them.
    pub joins: &'a str,
    /// Rows beside its own.
    pub others: &'a Others<'a>,
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

/// A table that is joined to the source.
#[derive(Debug)]
pub struct Joined<'a> {
    /// Its name in rules.
    pub alias: &'a str,
    /// The table.
    pub table: &'a Table,
    /// Its columns are NULL where it has no row.
    pub is_left: bool,
}

/// A column that a rule names.
#[derive(Debug)]
pub struct Found<'a> {
    /// The column.
    pub column: &'a Column,
    /// It is never NULL here.
    pub not_null: bool,
    /// The alias of its table, if that is a joined one.
    alias: Option<&'a str>,
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

    /// A column of the source row, or `alias.column` of a joined one.
    pub fn column(&self, name: &str, path: &str) -> Option<Found<'a>> {
        if let Some(column) = self.table.column(name) {
            return Some(Found {
                column,
                not_null: column.not_null,
                alias: None,
            });
        }
        let (alias, table, inner) = match name.split_once('.') {
            None => (None, self.table, name),
            Some((alias, inner)) => match self.joined.iter().find(|join| join.alias == alias) {
                Some(join) => (Some(join), join.table, inner),
                None => {
                    let hint = suggest::hint(alias, self.joined.iter().map(|join| join.alias));
                    return self.problem(path, format!("no join has the alias \"{alias}\"{hint}"));
                }
            },
        };
        if let (Some(join), Some(column)) = (alias, table.column(inner)) {
            return Some(Found {
                column,
                not_null: column.not_null && !join.is_left,
                alias: Some(join.alias),
            });
        }
        let names = table.columns.iter().map(|column| column.name.as_str());
        let hint = suggest::hint(inner, names);
        let kind = if alias.is_some() { "joined" } else { "source" };
        let message = format!(
            "{kind} table {} has no column \"{inner}\"{hint}",
            table.name
        );
        self.problem(path, message)
    }

    /// A column as a value.
    pub fn column_value(&self, name: &str, path: &str) -> Option<Draft> {
        let found = self.column(name, path)?;
        let sql = match found.alias {
            None => column_sql(name),
            Some(alias) => format!("{}.{}", quote_ident(alias), quote_ident(&found.column.name)),
        };
        let mut draft = Draft::new(sql, Ty::of(&found.column.ty));
        draft.is_deterministic = found.column.ty.is_deterministic;
        if found.alias.is_none() {
            draft.columns.insert(name.to_owned());
            draft.direct = Some(name.to_owned());
        }
        Some(draft)
    }

    /// The probe of a free expression over the row.
    fn probe(&self, sql: &str) -> Probe {
        Probe {
            table: self.table.name.clone(),
            joins: self.joins.to_owned(),
            sql: sql.to_owned(),
        }
    }

    /// A free expression as a value.
    pub fn sql_value(&self, sql: &Sql, path: &str) -> Option<Draft> {
        let probe = self.probe(sql);
        let ty = match self.expressions.get(&probe) {
            Some(Probed::Type(ty)) => ty,
            Some(Probed::Refused(words)) => {
                return self.problem(path, format!("the source refuses it: {words}"));
            }
            None => return self.problem(path, "the source has not told its type"),
        };
        let mut draft = Draft::new(free_sql(&probe), Ty::of(ty));
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
/// Columns may be written bare, behind `src.` or behind the table's own name. Beside joined tables a
/// bare name is the source's first: it is never ambiguous. The line end keeps a trailing comment from
/// swallowing the parenthesis. Whoever describes a [`Probe`] writes
/// `SELECT {free_sql} FROM {rows}`.
pub fn free_sql(probe: &Probe) -> String {
    let (table, sql) = (&probe.table, &probe.sql);
    if !probe.joins.is_empty() || mentions(sql, &table.name) {
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
    use crate::domain::catalog::TableName;

    #[test]
    fn words_are_found_whole() {
        assert!(mentions("lower(Name) = 'x'", "name"));
        assert!(mentions("\"name\"", "name"));
        assert!(!mentions("first_name || names", "name"));
        assert!(mentions("names, name", "name"));
    }

    #[test]
    fn free_sql_sees_the_table_under_its_own_name() {
        let probe = |sql: &str| Probe::new(TableName::parse("office"), sql);
        assert_eq!(free_sql(&probe("name -- x")), "(name -- x\n)");
        let own = "(SELECT (office.name\n) FROM (SELECT src.*) AS \"office\")";
        assert_eq!(free_sql(&probe("office.name")), own);
        let joined = Probe {
            joins: " LEFT JOIN \"public\".\"region\" AS \"r\" ON (true\n)".to_owned(),
            ..probe("name")
        };
        let bare = "(SELECT (name\n) FROM (SELECT src.*) AS \"office\")";
        assert_eq!(free_sql(&joined), bare);
    }
}
