//! `DataValidationResult` on the wire.

use crate::domain::record::{
    DataValidationResult, ValidationSeverity, ValidationStatus, ValidationType,
};
use crate::pb;

use super::{
    WireError, read_json, read_object, read_time, read_uuid, required, wire_enum, write_json,
    write_object, write_time,
};

wire_enum!(
    ValidationType,
    pb::ValidationType,
    read_validation_type,
    [
        ReferentialIntegrity,
        DataCompleteness,
        BusinessRules,
        Performance
    ]
);

wire_enum!(
    ValidationStatus,
    pb::ValidationStatus,
    read_validation_status,
    [Passed, Failed, Warning]
);

/// The outcome of a whole validation.
pub(super) fn read_outcome(field: &'static str, value: i32) -> Result<ValidationStatus, WireError> {
    read_validation_status(field, value)
}

wire_enum!(
    ValidationSeverity,
    pb::ValidationSeverity,
    read_validation_severity,
    [Low, Medium, High, Critical]
);

impl TryFrom<DataValidationResult> for pb::DataValidationResult {
    type Error = WireError;

    fn try_from(record: DataValidationResult) -> Result<Self, WireError> {
        Ok(Self {
            id: record.id.to_string(),
            migration_id: record.migration_id.to_string(),
            validation_type: pb::ValidationType::from(record.validation_type).into(),
            entity: record.entity,
            entity_name: record.entity_name,
            status: pb::ValidationStatus::from(record.status).into(),
            severity: pb::ValidationSeverity::from(record.severity).into(),
            records_validated: record.records_validated,
            issues_found: record.issues_found,
            issue_details: record.issue_details.map(write_json),
            validation_criteria: Some(write_object(
                "DataValidationResult.validation_criteria",
                record.validation_criteria,
            )?),
            executed_at: Some(write_time(record.executed_at)),
            execution_duration_ms: record.execution_duration_ms,
            attempt: record.attempt,
        })
    }
}

impl TryFrom<pb::DataValidationResult> for DataValidationResult {
    type Error = WireError;

    fn try_from(message: pb::DataValidationResult) -> Result<Self, WireError> {
        Ok(Self {
            id: read_uuid("DataValidationResult.id", &message.id)?,
            migration_id: read_uuid("DataValidationResult.migration_id", &message.migration_id)?,
            validation_type: read_validation_type(
                "DataValidationResult.validation_type",
                message.validation_type,
            )?,
            entity: message.entity,
            entity_name: message.entity_name,
            status: read_validation_status("DataValidationResult.status", message.status)?,
            severity: read_validation_severity("DataValidationResult.severity", message.severity)?,
            records_validated: message.records_validated,
            issues_found: message.issues_found,
            issue_details: message
                .issue_details
                .map(|value| read_json("DataValidationResult.issue_details", value))
                .transpose()?,
            validation_criteria: read_object(
                "DataValidationResult.validation_criteria",
                required(
                    "DataValidationResult.validation_criteria",
                    message.validation_criteria,
                )?,
            )?,
            executed_at: read_time(
                "DataValidationResult.executed_at",
                required("DataValidationResult.executed_at", message.executed_at)?,
            )?,
            execution_duration_ms: message.execution_duration_ms,
            attempt: message.attempt,
        })
    }
}
