//! What a database says about its tables: the input of the plan compiler.
//!
//! An agent reads it (`agent::source::catalog`), the controller hands it to
//! `compile`, nothing here touches a database.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A table's schema and name, unquoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// Schema, for instance `public`.
    pub schema: String,
    /// Table name inside the schema.
    pub name: String,
}

impl TableName {
    /// Splits `schema.table`; a bare name means schema `public`.
    pub fn parse(text: &str) -> Self {
        match text.split_once('.') {
            Some((schema, name)) => Self {
                schema: schema.to_owned(),
                name: name.to_owned(),
            },
            None => Self {
                schema: "public".to_owned(),
                name: text.to_owned(),
            },
        }
    }

    /// `"schema"."name"`, safe to put into SQL.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.schema == "public" {
            f.write_str(&self.name)
        } else {
            write!(f, "{}.{}", self.schema, self.name)
        }
    }
}

/// An identifier in double quotes, with inner quotes doubled.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string as an SQL literal, safe whatever `standard_conforming_strings` says.
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// An array of texts.
pub fn quote_texts<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = texts.map(quote_literal).collect();
    format!("array[{}]::text[]", quoted.join(", "))
}

/// One side's tables, as far as the plan names them, and the types of its free SQL expressions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// `server_version_num`, for instance 150018.
    pub server_version: u32,
    /// The tables that were asked for and exist.
    pub tables: Vec<Table>,
    /// What the source answered when asked for the type of an expression over a table.
    pub expressions: BTreeMap<Probe, Probed>,
}

impl Catalog {
    /// The table of that name, if the database has it.
    pub fn table(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|table| &table.name == name)
    }
}

/// A free SQL expression over one source row whose type only the source can tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "ProbeText", try_from = "ProbeText")]
pub struct Probe {
    /// The table whose row the expression sees, under the alias `src` and under its own name.
    pub table: TableName,
    /// What stands behind `FROM table AS src`: further tables that the expression sees.
    pub joins: String,
    /// The expression as the plan has it.
    pub sql: String,
}

impl Probe {
    /// An expression over the row of one table.
    pub fn new(table: TableName, sql: impl Into<String>) -> Self {
        Self {
            table,
            joins: String::new(),
            sql: sql.into(),
        }
    }

    /// What the expression sees, as it stands behind FROM.
    pub fn rows(&self) -> String {
        format!("{} AS src{}", self.table.quoted(), self.joins)
    }
}

/// A probe as one string, so that it can be a map key in JSON.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct ProbeText(String);

impl From<Probe> for ProbeText {
    fn from(probe: Probe) -> Self {
        Self(format!(
            "{}\u{1f}{}\u{1f}{}\u{1f}{}",
            probe.table.schema, probe.table.name, probe.joins, probe.sql
        ))
    }
}

impl TryFrom<ProbeText> for Probe {
    type Error = String;

    fn try_from(text: ProbeText) -> Result<Self, Self::Error> {
        let mut parts = text.0.splitn(4, '\u{1f}');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(schema), Some(name), Some(joins), Some(sql)) => Ok(Self {
                table: TableName {
                    schema: schema.to_owned(),
                    name: name.to_owned(),
                },
                joins: joins.to_owned(),
                sql: sql.to_owned(),
            }),
            _ => Err("a probe needs schema, table, joins and expression".to_owned()),
        }
    }
}

/// The answer to a [`Probe`]: its type, or why the source refuses it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probed {
    /// The expression is one scalar of this type and is not volatile.
    Type(ColumnType),
    /// The source's own words (no row values: nothing was executed).
    Refused(String),
}

/// A base table (or partitioned table) with what the compiler must know of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Schema and name.
    pub name: TableName,
    /// Live columns in order of `attnum`.
    pub columns: Vec<Column>,
    /// Columns of the primary key in key order; empty where there is none.
    pub primary_key: Vec<String>,
    /// Column sets of valid, non-partial, non-deferrable unique indexes, the primary key included.
    pub unique_keys: Vec<Vec<String>>,
    /// Foreign keys that leave this table.
    pub foreign_keys: Vec<ForeignKey>,
    /// `reltuples`, or 0 where never analyzed; an estimate.
    pub estimated_rows: i64,
    /// `pg_table_size` in bytes.
    pub bytes: i64,
    /// Whether any row is there now.
    pub has_rows: bool,
    /// What a row that is written sets off, or is hidden by, in words: triggers, row level security,
    /// publications.
    #[serde(default)]
    pub hazards: Vec<String>,
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A column as `pg_attribute` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, unquoted.
    pub name: String,
    /// Its type.
    pub ty: ColumnType,
    /// `NOT NULL`, of the column or of its domain.
    pub not_null: bool,
    /// A default, a serial or an identity fills it when it is left out.
    pub has_default: bool,
    /// `GENERATED ALWAYS AS (…) STORED`: cannot be written.
    pub is_generated: bool,
}

/// A type as far as conversion needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnType {
    /// `format_type(oid, typmod)`, for instance `numeric(12,2)`, `character varying(40)`,
    /// `public.order_status`, `text[]`; can be written behind `::` in the database it came from.
    pub sql: String,
    /// `format_type(oid, NULL)` of the type below any domain: `numeric`, `character varying`.
    pub base: String,
    /// Type modifier of the type below any domain, -1 for none (`atttypmod`).
    pub typmod: i32,
    /// What kind of type it is.
    pub kind: TypeKind,
    /// Labels in order, for an enum.
    pub enum_labels: Vec<String>,
    /// Equality is equality of canonical text (false for citext and non-deterministic collations).
    pub is_deterministic: bool,
}

/// `pg_type.typtype`, with arrays told apart and built-in types marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeKind {
    /// A base type of `pg_catalog`: the same in every database.
    Builtin,
    /// An array of a built-in base type.
    BuiltinArray,
    /// An enum.
    Enum,
    /// Anything else: composite, range of a user type, extension type, array of these.
    Other,
}

/// A foreign key that leaves a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Constraint name.
    pub name: String,
    /// Referencing columns in order.
    pub columns: Vec<String>,
    /// Referenced table.
    pub target: TableName,
    /// Referenced columns in the same order.
    pub target_columns: Vec<String>,
    /// `convalidated`, and enforced: every row that is not NULL has its parent.
    pub is_validated: bool,
}
