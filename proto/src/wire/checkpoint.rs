//! `MigrationCheckpoint` on the wire.

use prost_types::Struct;
use serde_json::Value;

use crate::domain::record::{CheckpointType, MigrationCheckpoint};
use crate::pb;

use super::{
    WireError, read_object, read_time, read_uuid, required, wire_enum, write_object, write_time,
};

wire_enum!(
    CheckpointType,
    pb::CheckpointType,
    read_checkpoint_type,
    [BatchCompletion, EntityCompletion, ErrorRecovery]
);

impl TryFrom<MigrationCheckpoint> for pb::MigrationCheckpoint {
    type Error = WireError;

    fn try_from(record: MigrationCheckpoint) -> Result<Self, WireError> {
        Ok(Self {
            id: record.id.to_string(),
            migration_id: record.migration_id.to_string(),
            entity: record.entity,
            entity_name: record.entity_name,
            checkpoint_type: pb::CheckpointType::from(record.checkpoint_type).into(),
            batch_number: record.batch_number,
            last_source_id: record.last_source_id,
            records_processed: record.records_processed,
            system_state: Some(write_state(
                "MigrationCheckpoint.system_state",
                record.system_state,
            )?),
            created_at: Some(write_time(record.created_at)),
            is_resumable: record.is_resumable,
        })
    }
}

impl TryFrom<pb::MigrationCheckpoint> for MigrationCheckpoint {
    type Error = WireError;

    fn try_from(message: pb::MigrationCheckpoint) -> Result<Self, WireError> {
        Ok(Self {
            id: read_uuid("MigrationCheckpoint.id", &message.id)?,
            migration_id: read_uuid("MigrationCheckpoint.migration_id", &message.migration_id)?,
            entity: message.entity,
            entity_name: message.entity_name,
            checkpoint_type: read_checkpoint_type(
                "MigrationCheckpoint.checkpoint_type",
                message.checkpoint_type,
            )?,
            batch_number: message.batch_number,
            last_source_id: message.last_source_id,
            records_processed: message.records_processed,
            system_state: read_state(
                "MigrationCheckpoint.system_state",
                required("MigrationCheckpoint.system_state", message.system_state)?,
            )?,
            created_at: read_time(
                "MigrationCheckpoint.created_at",
                required("MigrationCheckpoint.created_at", message.created_at)?,
            )?,
            is_resumable: message.is_resumable,
        })
    }
}

/// The fencing token has 63 bits and does not fit a double: on the wire it is decimal text.
fn write_state(field: &'static str, mut state: Value) -> Result<Struct, WireError> {
    if let Some(token) = state.get_mut("token") {
        let number = token.as_i64().ok_or(WireError::Malformed {
            field,
            what: "token",
        })?;
        *token = Value::from(number.to_string());
    }
    write_object(field, state)
}

fn read_state(field: &'static str, state: Struct) -> Result<Value, WireError> {
    let mut state = read_object(field, state)?;
    if let Some(token) = state.get_mut("token") {
        let number: Option<i64> = token.as_str().and_then(|text| text.parse().ok());
        *token = Value::from(number.ok_or(WireError::Malformed {
            field,
            what: "token",
        })?);
    }
    Ok(state)
}
