//! `SchemaChangeOperation` on the wire.

use crate::domain::record::{
    RiskLevel, SchemaChangeOperation, SchemaOperationStatus, SchemaOperationType,
};
use crate::pb;

use super::{
    WireError, read_object, read_time, read_uuid, required, wire_enum, write_object, write_time,
};

wire_enum!(
    SchemaOperationType,
    pb::SchemaOperationType,
    read_schema_operation_type,
    [
        DropColumn,
        AddColumn,
        ModifyColumn,
        CreateBackup,
        DropConstraint,
        AddConstraint,
        DropIndex,
        CreateIndex
    ]
);

wire_enum!(
    SchemaOperationStatus,
    pb::SchemaOperationStatus,
    read_schema_operation_status,
    [Pending, Completed, Failed, RolledBack]
);

wire_enum!(
    RiskLevel,
    pb::RiskLevel,
    read_risk_level,
    [Low, Medium, High, Critical]
);

impl TryFrom<SchemaChangeOperation> for pb::SchemaChangeOperation {
    type Error = WireError;

    fn try_from(record: SchemaChangeOperation) -> Result<Self, WireError> {
        Ok(Self {
            id: record.id.to_string(),
            migration_id: record.migration_id.to_string(),
            position: record.position,
            operation_type: pb::SchemaOperationType::from(record.operation_type).into(),
            table_name: record.table_name,
            column_name: record.column_name,
            object_name: record.object_name,
            operation_sql: record.operation_sql,
            status: pb::SchemaOperationStatus::from(record.status).into(),
            executed_at: record.executed_at.map(write_time),
            is_reversible: record.is_reversible,
            rollback_sql: record.rollback_sql,
            backup_table_name: record.backup_table_name,
            risk_level: record
                .risk_level
                .map(|value| pb::RiskLevel::from(value).into()),
            validation_results: record
                .validation_results
                .map(|value| write_object("SchemaChangeOperation.validation_results", value))
                .transpose()?,
            error_message: record.error_message,
            created_at: Some(write_time(record.created_at)),
            updated_at: Some(write_time(record.updated_at)),
        })
    }
}

impl TryFrom<pb::SchemaChangeOperation> for SchemaChangeOperation {
    type Error = WireError;

    fn try_from(message: pb::SchemaChangeOperation) -> Result<Self, WireError> {
        Ok(Self {
            id: read_uuid("SchemaChangeOperation.id", &message.id)?,
            migration_id: read_uuid("SchemaChangeOperation.migration_id", &message.migration_id)?,
            position: message.position,
            operation_type: read_schema_operation_type(
                "SchemaChangeOperation.operation_type",
                message.operation_type,
            )?,
            table_name: message.table_name,
            column_name: message.column_name,
            object_name: message.object_name,
            operation_sql: message.operation_sql,
            status: read_schema_operation_status("SchemaChangeOperation.status", message.status)?,
            executed_at: message
                .executed_at
                .map(|time| read_time("SchemaChangeOperation.executed_at", time))
                .transpose()?,
            is_reversible: message.is_reversible,
            rollback_sql: message.rollback_sql,
            backup_table_name: message.backup_table_name,
            risk_level: message
                .risk_level
                .map(|value| read_risk_level("SchemaChangeOperation.risk_level", value))
                .transpose()?,
            validation_results: message
                .validation_results
                .map(|value| read_object("SchemaChangeOperation.validation_results", value))
                .transpose()?,
            error_message: message.error_message,
            created_at: read_time(
                "SchemaChangeOperation.created_at",
                required("SchemaChangeOperation.created_at", message.created_at)?,
            )?,
            updated_at: read_time(
                "SchemaChangeOperation.updated_at",
                required("SchemaChangeOperation.updated_at", message.updated_at)?,
            )?,
        })
    }
}
