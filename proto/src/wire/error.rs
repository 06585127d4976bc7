//! `MigrationError` on the wire.

use crate::domain::record::{ErrorType, MigrationError};
use crate::pb;

use super::{
    WireError, read_object, read_time, read_uuid, required, wire_enum, write_object, write_time,
};

wire_enum!(
    ErrorType,
    pb::ErrorType,
    read_error_type,
    [
        ConnectionError,
        DataValidation,
        ConstraintViolation,
        Timeout,
        Unknown
    ]
);

/// The type behind a number; `field` names where it stands.
pub fn error_type(field: &'static str, value: i32) -> Result<ErrorType, WireError> {
    read_error_type(field, value)
}

impl TryFrom<MigrationError> for pb::MigrationError {
    type Error = WireError;

    fn try_from(record: MigrationError) -> Result<Self, WireError> {
        Ok(Self {
            id: record.id.to_string(),
            migration_id: record.migration_id.to_string(),
            entity_status_id: record.entity_status_id.map(|id| id.to_string()),
            batch_id: record.batch_id.map(|id| id.to_string()),
            entity: record.entity,
            error_type: pb::ErrorType::from(record.error_type).into(),
            error_code: record.error_code,
            error_message: record.error_message,
            source_record_id: record.source_record_id,
            source_data: Some(write_object(
                "MigrationError.source_data",
                record.source_data,
            )?),
            context: Some(write_object("MigrationError.context", record.context)?),
            stack_trace: record.stack_trace,
            occurred_at: Some(write_time(record.occurred_at)),
            is_resolved: record.is_resolved,
            resolution_notes: record.resolution_notes,
            partition_id: record.partition_id.map(|id| id.to_string()),
            attempt: record.attempt,
            seq: record.seq,
            ordinal: record.ordinal,
        })
    }
}

impl TryFrom<pb::MigrationError> for MigrationError {
    type Error = WireError;

    fn try_from(message: pb::MigrationError) -> Result<Self, WireError> {
        Ok(Self {
            id: read_uuid("MigrationError.id", &message.id)?,
            migration_id: read_uuid("MigrationError.migration_id", &message.migration_id)?,
            entity_status_id: message
                .entity_status_id
                .map(|id| read_uuid("MigrationError.entity_status_id", &id))
                .transpose()?,
            batch_id: message
                .batch_id
                .map(|id| read_uuid("MigrationError.batch_id", &id))
                .transpose()?,
            entity: message.entity,
            error_type: read_error_type("MigrationError.error_type", message.error_type)?,
            error_code: message.error_code,
            error_message: message.error_message,
            source_record_id: message.source_record_id,
            source_data: read_object(
                "MigrationError.source_data",
                required("MigrationError.source_data", message.source_data)?,
            )?,
            context: read_object(
                "MigrationError.context",
                required("MigrationError.context", message.context)?,
            )?,
            stack_trace: message.stack_trace,
            occurred_at: read_time(
                "MigrationError.occurred_at",
                required("MigrationError.occurred_at", message.occurred_at)?,
            )?,
            is_resolved: message.is_resolved,
            resolution_notes: message.resolution_notes,
            partition_id: message
                .partition_id
                .map(|id| read_uuid("MigrationError.partition_id", &id))
                .transpose()?,
            attempt: message.attempt,
            seq: message.seq,
            ordinal: message.ordinal,
        })
    }
}
