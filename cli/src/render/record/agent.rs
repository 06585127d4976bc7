//! An agent as a line of a list.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{age, short};
use crate::render::details::Details;
use crate::render::{Column, Row, left, right};

/// One agent that the controller knows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agent {
    /// New for every process.
    pub id: Uuid,
    /// Its configured name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Names of the connections it can open.
    pub connections: Vec<String>,
    /// Partitions it works on at the same time, at most.
    pub capacity: i32,
    /// Partitions it works on now.
    pub partitions: i32,
    /// Whether it gets work: `active`, `cordoned`, `draining` or `disconnected`.
    pub state: &'static str,
    /// Version of its build.
    pub version: String,
    /// Version of its codec.
    pub codec_version: i32,
    /// When the controller first saw this process.
    pub connected_at: Option<DateTime<Utc>>,
    /// When the controller last heard of it.
    pub last_seen_at: Option<DateTime<Utc>>,
}

impl Agent {
    /// Nothing is left to be done before it can be stopped.
    pub fn is_drained(&self) -> bool {
        self.state == "draining" && self.partitions == 0
    }

    fn labels(&self) -> String {
        let labels = self.labels.iter();
        labels
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// Everything about it.
    pub fn details(&self) -> String {
        let time = |time: Option<DateTime<Utc>>| {
            time.map_or_else(String::new, |time| {
                time.to_rfc3339_opts(SecondsFormat::Secs, true)
            })
        };
        let mut details = Details::default();
        details
            .add("name", &self.name)
            .add("id", self.id)
            .add("region", &self.region)
            .add("state", self.state.to_uppercase())
            .add("partitions", format!("{}/{}", self.partitions, self.capacity))
            .add("connections", self.connections.join(", "))
            .add("labels", self.labels())
            .add("version", &self.version)
            .add("codec", self.codec_version)
            .add("connected", time(self.connected_at))
            .add("last-seen", time(self.last_seen_at));
        details.render()
    }
}

impl Row for Agent {
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
            self.state.to_uppercase(),
            format!("{}/{}", self.partitions, self.capacity),
            self.connections.join(","),
            self.version.clone(),
            age(self.last_seen_at, now),
            age(self.connected_at, now),
            short(self.id),
            self.labels(),
            self.codec_version.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}
