//! How results look: tables for people, JSON with the data model's names for machines.

pub mod explanation;
pub mod human;
pub mod migration;
pub mod table;

use serde::Serialize;
use serde_json::{Value, json};

use crate::stop::Stop;

/// `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people
    Table,
    /// One JSON document
    Json,
    /// One JSON object per line
    Jsonl,
}

/// One object as JSON.
pub fn object(format: Format, value: &impl Serialize) -> Result<String, Stop> {
    let text = match format {
        Format::Jsonl => serde_json::to_string(value),
        Format::Json | Format::Table => serde_json::to_string_pretty(value),
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
        Format::Json | Format::Table => {
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
