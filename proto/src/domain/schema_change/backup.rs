//! Backups: copies of a key and some columns in a schema that no API exposes.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::check::{Phase, SchemaCheck};
use super::facts::UpdateTrigger;
use super::planned::{Run, SchemaStep};
use crate::domain::catalog::{TableName, quote_ident, quote_literal};

/// Schema of the backups.
pub const BACKUP_SCHEMA: &str = "drover_backup";

/// Longest name that PostgreSQL keeps, in bytes.
const MAX_NAME: usize = 63;

/// A copy of some columns of a table, row by row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The copy.
    pub table: TableName,
    /// What it is a copy of.
    pub of: TableName,
    /// Columns that tell rows apart; empty for a copy that is only looked at.
    pub key: Vec<String>,
    /// The other columns.
    pub columns: Vec<String>,
    /// Column that numbers the copy's rows.
    pub number: String,
}

impl Backup {
    /// A backup of some columns, named after them and the migration.
    pub fn new(of: &TableName, key: &[String], columns: &[String], tag: &str) -> Self {
        let about = match columns {
            [one] => format!("{}_{one}", of.name),
            _ => of.name.clone(),
        };
        // Other tables and columns may share the beginning of the name.
        let whole = format!(
            "{}\u{1f}{}\u{1f}{}",
            of.schema,
            of.name,
            columns.join("\u{1f}")
        );
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, whole.as_bytes())
            .simple()
            .to_string();
        let end = format!("_{tag}_{}", &hash[..6]);
        let taken = |name: &String| key.iter().chain(columns).any(|column| column == name);
        let mut number = "drover_number".to_owned();
        while taken(&number) {
            number.push('_');
        }
        Self {
            table: TableName {
                schema: BACKUP_SCHEMA.to_owned(),
                name: format!("{}{end}", clip(&about, MAX_NAME - end.len())),
            },
            of: of.clone(),
            key: key.to_vec(),
            columns: columns.to_vec(),
            number,
        }
    }

    /// Makes the copy.
    pub fn create(&self) -> Vec<String> {
        let table = self.table.quoted();
        let number = quote_ident(&self.number);
        let mut sql = vec![
            format!(
                "create table {table} as select row_number() over () as {number}, {} from {} as t",
                self.list("t"),
                self.of.quoted()
            ),
            format!("alter table {table} add primary key ({number})"),
            format!("alter table {table} enable row level security"),
            format!(
                "comment on table {table} is {}",
                quote_literal(&format!("Backup of {} by Drover", self.of))
            ),
        ];
        if !self.key.is_empty() {
            let key: Vec<String> = self.key.iter().map(|name| quote_ident(name)).collect();
            sql.push(format!(
                "create unique index on {table} ({})",
                key.join(", ")
            ));
        }
        sql
    }

    /// Removes the copy.
    pub fn remove(&self) -> Vec<String> {
        vec![format!("drop table {}", self.table.quoted())]
    }

    /// The copy has as many rows as the table, with the same hash.
    pub fn is_true(&self, check: &str, phase: Phase) -> SchemaCheck {
        SchemaCheck::same(
            check,
            phase,
            self.digest(&self.table),
            self.digest(&self.of),
        )
    }

    /// Number and hash of the rows of the copy, or of what it is a copy of.
    pub fn digest(&self, table: &TableName) -> String {
        format!(
            "select count(*) || ':' || coalesce(sum(hashtextextended(row({})::text, 0)), 0) from {} as t",
            self.list("t"),
            table.quoted()
        )
    }

    /// `t` and `b` are the same row.
    pub fn join(&self) -> String {
        let pairs = self.key.iter().map(|name| {
            let name = quote_ident(name);
            format!("t.{name} = b.{name}")
        });
        pairs.collect::<Vec<_>>().join(" and ")
    }

    /// A step that brings the values of a column back, in ranges; where `condition` holds.
    pub fn fill(
        &self,
        column: &str,
        condition: Option<&str>,
        triggers: &[&UpdateTrigger],
    ) -> SchemaStep {
        let column = quote_ident(column);
        let condition = condition.map_or_else(String::new, |sql| format!(" and {sql}"));
        let sql = format!(
            "update {} as t set {column} = b.{column} from {} as b where {}{condition}",
            self.of.quoted(),
            self.table.quoted(),
            self.join()
        );
        let run = Run::Batches {
            backup: self.table.clone(),
            alias: "b".to_owned(),
            number: self.number.clone(),
            before: triggers.iter().map(|one| one.off.clone()).collect(),
            after: triggers.iter().map(|one| one.on.clone()).collect(),
        };
        SchemaStep::new(run, [sql])
    }

    /// Rows whose value in the table is not the copy's.
    pub fn differences(&self, column: &str) -> String {
        let column = quote_ident(column);
        format!(
            "select count(*)::text from {} as t join {} as b on {} where t.{column}::text is distinct from b.{column}::text",
            self.of.quoted(),
            self.table.quoted(),
            self.join()
        )
    }

    /// Rows of the table that the copy does not have: they came later.
    pub fn newcomers(&self) -> String {
        format!(
            "select count(*)::text from {} as t where not exists (select from {} as b where {})",
            self.of.quoted(),
            self.table.quoted(),
            self.join()
        )
    }

    fn list(&self, alias: &str) -> String {
        let names = self.key.iter().chain(&self.columns);
        let names = names.map(|name| format!("{alias}.{}", quote_ident(name)));
        names.collect::<Vec<_>>().join(", ")
    }
}

/// The beginning of a name that fits into so many bytes.
fn clip(name: &str, bytes: usize) -> &str {
    let mut end = name.len().min(bytes);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}
