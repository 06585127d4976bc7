//! `Agent`: a process that reads, transforms and writes rows, as the controller sees it. Not stored:
//! the controller knows the agents that are alive.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::text_enum;

text_enum! {
    /// Whether an agent gets work. Set by the operator, apart from the last; a restarted agent is active.
    pub enum AgentState {
        /// It gets work.
        Active = "active",
        /// It keeps what it has and gets nothing new.
        Cordoned = "cordoned",
        /// It finishes the batches in hand, gives everything back and gets nothing new.
        Draining = "draining",
        /// Its stream is gone; it is waited for until its lease ends.
        Disconnected = "disconnected",
    }
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// New for every process: the holder of leases and fences.
    pub id: Uuid,
    /// Its configured name, unique among the agents that are alive.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Names of the connections it can open.
    pub connections: Vec<String>,
    /// Partitions it works on at the same time, at most.
    pub capacity: u32,
    /// Partitions it works on now.
    pub partitions: u32,
    /// Whether it gets work.
    pub state: AgentState,
    /// Version of its build.
    pub version: String,
    /// Version of its codec.
    pub codec_version: u32,
    /// When the controller first saw this process.
    pub connected_at: DateTime<Utc>,
    /// When the controller last heard of it.
    pub last_seen_at: DateTime<Utc>,
}
