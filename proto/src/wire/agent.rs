//! `Agent` on the wire.

use crate::domain::record::{AgentState, AgentStatus};
use crate::pb;

use super::{WireError, read_time, read_uuid, required, wire_enum, write_time};

wire_enum!(
    AgentState,
    pb::AgentState,
    read_agent_state,
    [Active, Cordoned, Draining, Disconnected]
);

impl TryFrom<AgentStatus> for pb::Agent {
    type Error = WireError;

    fn try_from(record: AgentStatus) -> Result<Self, WireError> {
        Ok(Self {
            id: record.id.to_string(),
            name: record.name,
            region: record.region,
            labels: record.labels.into_iter().collect(),
            connections: record.connections,
            capacity: write_count("Agent.capacity", record.capacity)?,
            partitions: write_count("Agent.partitions", record.partitions)?,
            state: pb::AgentState::from(record.state).into(),
            version: record.version,
            codec_version: write_count("Agent.codec_version", record.codec_version)?,
            connected_at: Some(write_time(record.connected_at)),
            last_seen_at: Some(write_time(record.last_seen_at)),
        })
    }
}

impl TryFrom<pb::Agent> for AgentStatus {
    type Error = WireError;

    fn try_from(message: pb::Agent) -> Result<Self, WireError> {
        Ok(Self {
            id: read_uuid("Agent.id", &message.id)?,
            name: message.name,
            region: message.region,
            labels: message.labels.into_iter().collect(),
            connections: message.connections,
            capacity: read_count("Agent.capacity", message.capacity)?,
            partitions: read_count("Agent.partitions", message.partitions)?,
            state: read_agent_state("Agent.state", message.state)?,
            version: message.version,
            codec_version: read_count("Agent.codec_version", message.codec_version)?,
            connected_at: read_time(
                "Agent.connected_at",
                required("Agent.connected_at", message.connected_at)?,
            )?,
            last_seen_at: read_time(
                "Agent.last_seen_at",
                required("Agent.last_seen_at", message.last_seen_at)?,
            )?,
        })
    }
}

fn write_count(field: &'static str, count: u32) -> Result<i32, WireError> {
    i32::try_from(count).map_err(|_| not_a_count(field))
}

fn read_count(field: &'static str, count: i32) -> Result<u32, WireError> {
    u32::try_from(count).map_err(|_| not_a_count(field))
}

fn not_a_count(field: &'static str) -> WireError {
    WireError::Malformed {
        field,
        what: "count",
    }
}
