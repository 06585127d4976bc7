//! A family of cases as its file has it: `tests/corpus/rows/*.toml`.
//!
//! An outcome is written in a few signs: `-` is left out by `where`, `~` is held for its parent, `!CODE` is
//! one error row of that code (with more words behind it: `read` or `write` for where it was found,
//! `unreadable` for a row without a snapshot, `match` where no rule of the column is at fault, `constraint=…`,
//! `column=…`), `=` leaves the row that is there as it is, with this value. Anything else is the value that
//! the destination has, `NULL` for none and `*` for whatever it is.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// A family.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// SQL at the source before its tables are made.
    #[serde(default)]
    pub source: String,
    /// SQL at the destination before its tables are made.
    #[serde(default)]
    pub destination: String,
    /// SQL at the source after its rows were inserted.
    #[serde(default)]
    pub spoil: String,
    /// What stands in `defaults` beside the limit of bad rows.
    #[serde(default)]
    pub defaults: String,
    /// More lines of the entities that are made of columns, by name.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Cases that share a table: one column each, and rows that hold a value in that column only.
    #[serde(default)]
    pub column: Vec<Column>,
    /// Tables of their own.
    #[serde(default)]
    pub table: Vec<Table>,
}

/// A column of the source, its rule and its column of the destination.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Name of both columns.
    pub name: String,
    /// The entity it stands in.
    #[serde(default = "main")]
    pub table: String,
    /// Type at the source.
    pub source: String,
    /// Type and constraints at the destination.
    pub destination: String,
    /// The pipeline; `$v` is the column.
    pub rule: String,
    /// End of the rule's path in the error rows.
    pub at: Option<String>,
    /// Listed in `sensitive`.
    #[serde(default)]
    pub sensitive: bool,
    /// SQL of a value, and its outcome.
    pub rows: Vec<(String, String)>,
}

fn main() -> String {
    "main".to_owned()
}

/// An entity with tables of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name; the tables are `src_NAME` and `dst_NAME`.
    pub entity: String,
    /// SQL that makes and fills the source table.
    pub source: String,
    /// SQL that makes the destination table.
    pub destination: String,
    /// The rest of the entity in the plan.
    pub plan: String,
    /// SQL over a row of the destination: the legacy key.
    #[serde(default = "number")]
    pub key: String,
    /// SQL over a row of the destination: what is compared.
    #[serde(default = "row")]
    pub show: String,
    /// Rows of the destination that were there before, as SQL condition.
    pub foreign: Option<String>,
    /// Legacy key, and its outcome.
    pub rows: Vec<(String, String)>,
}

fn number() -> String {
    "n::text".to_owned()
}

fn row() -> String {
    "'row'".to_owned()
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The destination has it, with this value.
    Written(String),
    /// The destination has another, with this value, and keeps it.
    Skipped(String),
    /// Left out by `where`.
    Filtered,
    /// Its parent failed.
    Held,
    /// One error row.
    Failed(Fault),
}

/// What its error row must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// SQLSTATE or `DROVER_…`.
    pub code: String,
    /// More of it.
    pub words: Vec<String>,
}

impl Fault {
    /// The value of `name=value`.
    pub fn named(&self, name: &str) -> Option<&str> {
        let mut words = self.words.iter().filter_map(|word| word.split_once('='));
        words.find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Whether a word stands there.
    pub fn says(&self, word: &str) -> bool {
        self.words.iter().any(|known| known == word)
    }
}

impl Outcome {
    /// Reads an outcome.
    pub fn parse(text: &str) -> Self {
        match text {
            "-" => Self::Filtered,
            "~" => Self::Held,
            _ => match (text.strip_prefix('!'), text.strip_prefix('=')) {
                (Some(fault), _) => {
                    let mut words = fault.split(' ').map(str::to_owned);
                    let code = words.next().unwrap_or_default();
                    Self::Failed(Fault {
                        code,
                        words: words.collect(),
                    })
                }
                (None, Some(kept)) => Self::Skipped(kept.to_owned()),
                (None, None) => Self::Written(text.to_owned()),
            },
        }
    }
}

impl Family {
    /// Reads a family's file.
    pub fn read(name: &str) -> Result<Self> {
        let path = format!("{}/corpus/rows/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        toml::from_str(&text).with_context(|| path)
    }

    /// How many cases it has.
    pub fn cases(&self) -> usize {
        let columns = self.column.iter().map(|column| column.rows.len());
        let tables = self.table.iter().map(|table| table.rows.len());
        columns.chain(tables).sum()
    }
}
