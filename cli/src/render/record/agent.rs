//! An agent as a line of a list, and with all it says.

use chrono::{DateTime, SecondsFormat, Utc};
use proto::domain::record::AgentStatus;

use super::short;
use crate::render::details::Details;
use crate::render::{Column, Row, human, left, right};

impl Row for AgentStatus {
    const COLUMNS: &'static [Column] = &[
        left("name"),
        left("region"),
        left("state"),
        right("partitions"),
        left("connections"),
        left("version"),
        right("seen"),
        right("age"),
        left("id").wide(),
        left("labels").wide(),
        right("codec").wide(),
    ];

    fn cells(&self, now: DateTime<Utc>) -> Vec<String> {
        vec![
            self.name.clone(),
            self.region.clone(),
            self.state.as_str().to_uppercase(),
            format!("{}/{}", self.partitions, self.capacity),
            self.connections.join(","),
            self.version.clone(),
            human::age(self.last_seen_at, now),
            human::age(self.connected_at, now),
            short(self.id),
            labels(self),
            self.codec_version.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// Everything about one agent.
pub fn details(agent: &AgentStatus) -> String {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut details = Details::default();
    details
        .add("name", &agent.name)
        .add("id", agent.id)
        .add("region", &agent.region)
        .add("state", agent.state.as_str().to_uppercase())
        .add(
            "partitions",
            format!("{}/{}", agent.partitions, agent.capacity),
        )
        .add("connections", agent.connections.join(", "))
        .add("labels", labels(agent))
        .add("version", &agent.version)
        .add("codec", agent.codec_version)
        .add("connected", time(agent.connected_at))
        .add("last-seen", time(agent.last_seen_at));
    details.render()
}

fn labels(agent: &AgentStatus) -> String {
    let labels = agent.labels.iter();
    labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}
