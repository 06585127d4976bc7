//! A validation on the wire.

use crate::domain::record::{ValidationRun, ValidationRunStatus, ValidationStatus};
use crate::pb;

use super::validation::read_outcome;
use super::{WireError, read_time, read_uuid, required, wire_enum, write_time};

wire_enum!(
    ValidationRunStatus,
    pb::ValidationRunStatus,
    read_run_status,
    [Running, Completed, Failed, Cancelled]
);

impl From<ValidationRun> for pb::Validation {
    fn from(record: ValidationRun) -> Self {
        let outcome = record.outcome.map(pb::ValidationStatus::from);
        Self {
            id: record.id.to_string(),
            migration_id: record.migration_id.to_string(),
            status: pb::ValidationRunStatus::from(record.status).into(),
            outcome: outcome.unwrap_or_default().into(),
            level: record.level.unwrap_or_default(),
            entities: record.entities,
            created_by: record.created_by,
            created_at: Some(write_time(record.created_at)),
            completed_at: record.completed_at.map(write_time),
            reason: record.reason,
            units_total: record.units_total,
            units_done: record.units_done,
            attempt: record.attempt,
        }
    }
}

impl TryFrom<pb::Validation> for ValidationRun {
    type Error = WireError;

    fn try_from(message: pb::Validation) -> Result<Self, WireError> {
        let outcome: Option<ValidationStatus> = match message.outcome {
            0 => None,
            value => Some(read_outcome("Validation.outcome", value)?),
        };
        let completed_at = message
            .completed_at
            .map(|time| read_time("Validation.completed_at", time));
        Ok(Self {
            id: read_uuid("Validation.id", &message.id)?,
            migration_id: read_uuid("Validation.migration_id", &message.migration_id)?,
            status: read_run_status("Validation.status", message.status)?,
            outcome,
            level: (!message.level.is_empty()).then_some(message.level),
            entities: message.entities,
            created_by: message.created_by,
            created_at: read_time(
                "Validation.created_at",
                required("Validation.created_at", message.created_at)?,
            )?,
            completed_at: completed_at.transpose()?,
            reason: message.reason,
            units_total: message.units_total,
            units_done: message.units_done,
            attempt: message.attempt,
        })
    }
}
