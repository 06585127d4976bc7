//! How results look: tables for people, JSON with the data model's names for machines.

pub mod details;
pub mod explanation;
pub mod human;
pub mod migration;
pub mod preflight;
pub mod record;
pub mod table;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use crate::stop::Stop;
use table::{Align, Table};

/// `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people
    Table,
    /// More columns for people
    Wide,
    /// One JSON document
    Json,
    /// One JSON object per line
    Jsonl,
    /// Names only, one per line
    Name,
}

impl Format {
    /// Whether a program reads it.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    name: &'static str,
    align: Align,
    is_wide: bool,
}

/// A column of words.
pub const fn left(name: &'static str) -> Column {
    Column {
        name,
        align: Align::Left,
        is_wide: false,
    }
}

/// A column of numbers.
pub const fn right(name: &'static str) -> Column {
    Column {
        name,
        align: Align::Right,
        is_wide: false,
    }
}

impl Column {
    /// The same, shown by `-o wide` only.
    pub const fn wide(mut self) -> Self {
        self.is_wide = true;
        self
    }
}

/// Something that can be a line of a list; its JSON is the data model's.
pub trait Row: Serialize {
    /// The columns, those of `-o wide` included.
    const COLUMNS: &'static [Column];

    /// One text per column; an empty one is not known.
    fn cells(&self, now: DateTime<Utc>) -> Vec<String>;

    /// What other commands call it.
    fn name(&self) -> String;
}

/// How lists are printed.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// `-o`.
    pub format: Format,
    /// Without `--no-headers`.
    pub has_headers: bool,
}

/// A list in any format.
pub fn rows<R: Row>(style: Style, items: &[R], now: DateTime<Utc>) -> Result<String, Stop> {
    match style.format {
        Format::Json | Format::Jsonl => list(style.format, items),
        Format::Name => Ok(names(items)),
        Format::Table | Format::Wide => Ok(columns(style, items, now)),
    }
}

/// One item in any format: as a list of one for people, as an object for programs.
pub fn row<R: Row>(style: Style, item: &R, now: DateTime<Utc>) -> Result<String, Stop> {
    match style.format {
        Format::Json | Format::Jsonl => object(style.format, item),
        Format::Name => Ok(names(std::slice::from_ref(item))),
        Format::Table | Format::Wide => Ok(columns(style, std::slice::from_ref(item), now)),
    }
}

fn names<R: Row>(items: &[R]) -> String {
    items
        .iter()
        .map(|item| format!("{}\n", item.name()))
        .collect()
}

/// A list as a table for people.
pub fn columns<R: Row>(style: Style, items: &[R], now: DateTime<Utc>) -> String {
    let is_shown = |column: &Column| style.format == Format::Wide || !column.is_wide;
    let shown: Vec<(&str, Align)> = R::COLUMNS
        .iter()
        .filter(|column| is_shown(column))
        .map(|column| (column.name, column.align))
        .collect();
    let mut table = Table::new(&shown);
    for item in items {
        let cells = item.cells(now).into_iter().zip(R::COLUMNS);
        table.row(
            cells
                .filter(|(_, column)| is_shown(column))
                .map(|(cell, _)| cell),
        );
    }
    match style.has_headers {
        true => table.render(),
        false => table.render_body(),
    }
}

/// One object as JSON.
pub fn object(format: Format, value: &impl Serialize) -> Result<String, Stop> {
    let text = match format {
        Format::Jsonl => serde_json::to_string(value),
        Format::Json | Format::Table | Format::Wide | Format::Name => {
            serde_json::to_string_pretty(value)
        }
    };
    text.map_err(internal)
}

/// A list as JSON: one object with `items`, or one line per item.
pub fn list(format: Format, items: &[impl Serialize]) -> Result<String, Stop> {
    let items: Vec<Value> = items
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()
        .map_err(internal)?;
    match format {
        Format::Jsonl => Ok(items.iter().map(|item| format!("{item}\n")).collect()),
        Format::Json | Format::Table | Format::Wide | Format::Name => {
            object(format, &json!({"items": items, "next_page_token": ""}))
        }
    }
}

fn internal(error: serde_json::Error) -> Stop {
    Stop::new(
        crate::exit::Code::Failed,
        "INTERNAL",
        format!("cannot print as JSON: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Cow(&'static str, &'static str);

    impl Row for Cow {
        const COLUMNS: &'static [Column] = &[left("name"), right("legs").wide()];

        fn cells(&self, _now: DateTime<Utc>) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_owned()]
        }

        fn name(&self) -> String {
            self.0.to_owned()
        }
    }

    #[test]
    fn a_list_looks_as_it_is_asked_for() {
        let cows = [Cow("berta", "4"), Cow("lisl", "")];
        for (format, has_headers, expected) in [
            (Format::Table, true, "NAME\nberta\nlisl\n"),
            (
                Format::Wide,
                true,
                "NAME   LEGS\nberta     4\nlisl      -\n",
            ),
            (Format::Wide, false, "berta  4\nlisl   -\n"),
            (Format::Name, true, "berta\nlisl\n"),
            (Format::Jsonl, true, "[\"berta\",\"4\"]\n[\"lisl\",\"\"]\n"),
        ] {
            let style = Style {
                format,
                has_headers,
            };
            assert_eq!(
                rows(style, &cows, proto::runtime::clock::now()).unwrap(),
                expected
            );
        }
    }

    #[test]
    fn a_list_is_one_document_or_one_line_per_item() {
        let items = [json!({"name": "a"}), json!({"name": "b"})];
        let document: Value = serde_json::from_str(&list(Format::Json, &items).unwrap()).unwrap();
        assert_eq!(document["items"].as_array().unwrap().len(), 2);
        assert_eq!(
            list(Format::Jsonl, &items).unwrap(),
            "{\"name\":\"a\"}\n{\"name\":\"b\"}\n"
        );
        assert_eq!(list(Format::Jsonl, &[] as &[Value]).unwrap(), "");
    }
}
