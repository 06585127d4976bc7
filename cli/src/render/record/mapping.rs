//! An old and a new id as a line of a list.

use chrono::{DateTime, Utc};
use proto::domain::record::MigrationMapping;
use serde::Serialize;
use serde_json::Value;

use super::{short, yes};
use crate::render::{Column, Row, human, left, right};

/// A mapping, and the plan's name of its entity.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct NamedMapping<'a> {
    /// The mapping.
    pub mapping: &'a MigrationMapping,
    /// The entity.
    #[serde(skip)]
    pub entity: &'a str,
}

impl<'a> NamedMapping<'a> {
    /// A mapping whose entity was asked for, or is told by the mapping itself.
    pub fn of(mapping: &'a MigrationMapping, asked: Option<&'a str>) -> Self {
        let told = || {
            mapping
                .mapping_metadata
                .get("entity")
                .and_then(Value::as_str)
        };
        Self {
            mapping,
            entity: asked.or_else(told).unwrap_or_default(),
        }
    }
}

impl Row for NamedMapping<'_> {
    const COLUMNS: &'static [Column] = &[
        left("entity"),
        left("source"),
        left("legacy-key"),
        left("destination"),
        left("new-id"),
        left("key"),
        left("migration").wide(),
        left("type").wide(),
        left("active").wide(),
        right("age").wide(),
    ];

    fn cells(&self, now: DateTime<Utc>) -> Vec<String> {
        let mapping = self.mapping;
        vec![
            self.entity.to_owned(),
            mapping.source_table.clone(),
            mapping.source_id.clone(),
            mapping.destination_table.clone(),
            mapping.destination_id.to_string(),
            real_key(&mapping.mapping_metadata),
            short(mapping.migration_id),
            mapping.entity_type.clone(),
            yes(mapping.is_active),
            human::age(mapping.created_at, now),
        ]
    }

    fn name(&self) -> String {
        self.mapping.destination_id.to_string()
    }
}

/// The row's own key in the destination, where it is not the new id: a kept one, or several columns.
fn real_key(metadata: &Value) -> String {
    match metadata.get("destination_key") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(key)) => key.clone(),
        Some(Value::Object(columns)) => columns
            .iter()
            .map(|(column, key)| match key {
                Value::String(key) => format!("{column}={key}"),
                other => format!("{column}={other}"),
            })
            .collect::<Vec<_>>()
            .join(" "),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_the_new_id_is_shown_beside_it() {
        let key = |metadata| real_key(&metadata);
        assert_eq!(key(serde_json::json!({"entity": "offices"})), "");
        assert_eq!(key(serde_json::json!({"destination_key": "1"})), "1");
        assert_eq!(
            key(serde_json::json!({"destination_key": {"a": "x", "b": 2}})),
            "a=x b=2"
        );
    }
}
