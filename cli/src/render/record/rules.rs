//! The rules of an entity as a line of a list, and with all they say.

use chrono::{DateTime, SecondsFormat, Utc};
use proto::domain::record::LegacyEntityMapping;
use serde_json::Value;

use super::yes;
use crate::render::details::Details;
use crate::render::{Column, Row, human, left, right};

impl Row for LegacyEntityMapping {
    const COLUMNS: &'static [Column] = &[
        left("plan"),
        left("entity"),
        left("version"),
        left("source"),
        left("destination"),
        right("columns"),
        left("active"),
        right("age"),
        left("type").wide(),
        left("waits-on").wide(),
        left("hash").wide(),
        left("id").wide(),
    ];

    fn cells(&self, now: DateTime<Utc>) -> Vec<String> {
        let columns = self
            .transformation_rules
            .as_object()
            .map(|rules| rules.len());
        vec![
            self.plan_name.clone(),
            self.entity.clone(),
            self.version.clone(),
            self.source_entity.clone(),
            self.destination_entity.clone(),
            columns.map_or_else(String::new, |count| count.to_string()),
            yes(self.is_active),
            human::age(self.updated_at, now),
            self.entity_type.clone(),
            self.dependency_entities.join(","),
            human::clip(&self.entity_hash, 13),
            self.id.to_string(),
        ]
    }

    fn name(&self) -> String {
        format!("{} {} {}", self.plan_name, self.entity, self.version)
    }
}

/// Everything about one version of an entity's rules.
pub fn details(rules: &LegacyEntityMapping) -> String {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut details = Details::default();
    details
        .add("plan", &rules.plan_name)
        .add("entity", &rules.entity)
        .add("version", &rules.version)
        .add("active", yes(rules.is_active))
        .add("source", &rules.source_entity)
        .add("destination", &rules.destination_entity)
        .add("type", &rules.entity_type)
        .add("waits-on", rules.dependency_entities.join(", "))
        .add("hash", &rules.entity_hash)
        .add("created", time(rules.created_at))
        .add("updated", time(rules.updated_at))
        .json("rules", &rules.transformation_rules);
    if rules.validation_rules != Value::Null {
        details.json("validations", &rules.validation_rules);
    }
    details.render()
}
