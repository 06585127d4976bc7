//! Generated from `drover/v1/*.proto` and `drover/agent/v1/*.proto`: the operator API and the agent
//! stream. Only `wire` and the doors of servers and clients use them.
#![allow(missing_docs, clippy::all)]

/// Descriptors of all messages and services, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/drover.bin"));

include!(concat!(env!("OUT_DIR"), "/drover.v1.rs"));

/// The agent stream, `drover.agent.v1`.
pub mod agent_stream {
    include!(concat!(env!("OUT_DIR"), "/drover.agent.v1.rs"));
}
