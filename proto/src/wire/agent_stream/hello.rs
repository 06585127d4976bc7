//! `Hello` on the wire.

use uuid::Uuid;

use crate::domain::frame::{HeldPartition, Hello};
use crate::pb::agent_stream as pb;
use crate::wire::{WireError, read_uuid};

use super::PROTOCOL_VERSION;

pub(super) fn write_hello(hello: Hello) -> pb::Hello {
    pb::Hello {
        protocol_version: PROTOCOL_VERSION,
        codec_version: hello.codec_version,
        holder: hello.holder.to_string(),
        agent_id: hello.agent_id,
        region: hello.region,
        labels: hello.labels.into_iter().collect(),
        connections: hello.connections,
        capacity: hello.capacity,
        version: hello.version,
        held: hello.held.into_iter().map(write_held).collect(),
        snapshots: hello.snapshots.iter().map(Uuid::to_string).collect(),
    }
}

/// The protocol's version comes first: what follows may mean something else in another one.
pub(super) fn read_hello(message: pb::Hello) -> Result<Hello, WireError> {
    check_version("Hello.protocol_version", message.protocol_version)?;
    let held: Result<Vec<HeldPartition>, WireError> =
        message.held.into_iter().map(read_held).collect();
    let snapshots: Result<Vec<Uuid>, WireError> = message
        .snapshots
        .iter()
        .map(|id| read_uuid("Hello.snapshots", id))
        .collect();
    Ok(Hello {
        holder: read_uuid("Hello.holder", &message.holder)?,
        agent_id: given("Hello.agent_id", message.agent_id)?,
        region: given("Hello.region", message.region)?,
        labels: message.labels.into_iter().collect(),
        connections: message.connections,
        capacity: message.capacity,
        codec_version: message.codec_version,
        version: message.version,
        held: held?,
        snapshots: snapshots?,
    })
}

pub(super) fn check_version(field: &'static str, theirs: u32) -> Result<(), WireError> {
    match theirs {
        0 => Err(WireError::Missing { field }),
        PROTOCOL_VERSION => Ok(()),
        theirs => Err(WireError::Version {
            field,
            theirs,
            ours: PROTOCOL_VERSION,
        }),
    }
}

/// A text that may not be empty.
pub(super) fn given(field: &'static str, text: String) -> Result<String, WireError> {
    if text.is_empty() {
        return Err(WireError::Missing { field });
    }
    Ok(text)
}

fn write_held(held: HeldPartition) -> pb::HeldPartition {
    pb::HeldPartition {
        migration_id: held.migration_id.to_string(),
        partition_id: held.partition_id.to_string(),
        generation: held.generation,
    }
}

fn read_held(message: pb::HeldPartition) -> Result<HeldPartition, WireError> {
    Ok(HeldPartition {
        migration_id: read_uuid("HeldPartition.migration_id", &message.migration_id)?,
        partition_id: read_uuid("HeldPartition.partition_id", &message.partition_id)?,
        generation: message.generation,
    })
}
