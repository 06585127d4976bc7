//! `MigrationOrchestration` on the wire.

use crate::domain::record::{Activity, MigrationOrchestration, MigrationStatus, MigrationType};
use crate::pb;

use super::{
    WireError, read_object, read_time, read_uuid, required, wire_enum, write_object, write_time,
};

wire_enum!(
    MigrationType,
    pb::MigrationType,
    read_migration_type,
    [FullMigration, Incremental, SchemaCleanup]
);

wire_enum!(
    MigrationStatus,
    pb::MigrationStatus,
    read_migration_status,
    [Pending, Running, Completed, Failed, RollingBack]
);

wire_enum!(
    Activity,
    pb::MigrationActivity,
    read_activity,
    [Running, Pausing, Paused, Blocked]
);

impl TryFrom<MigrationOrchestration> for pb::MigrationOrchestration {
    type Error = WireError;

    fn try_from(record: MigrationOrchestration) -> Result<Self, WireError> {
        Ok(Self {
            etag: record.etag(),
            id: record.id.to_string(),
            name: record.name,
            plan_id: record.plan_id.to_string(),
            migration_type: pb::MigrationType::from(record.migration_type).into(),
            status: pb::MigrationStatus::from(record.status).into(),
            activity: record
                .activity
                .map(|value| pb::MigrationActivity::from(value).into()),
            activity_reason: record.activity_reason,
            activity_hint: record.activity_hint,
            attempt: record.attempt,
            generation: record.generation,
            started_at: record.started_at.map(write_time),
            completed_at: record.completed_at.map(write_time),
            finalized_at: record.finalized_at.map(write_time),
            progress_percentage: record.progress_percentage,
            total_entities: record.total_entities,
            completed_entities: record.completed_entities,
            error_count: record.error_count,
            configuration: Some(write_object(
                "MigrationOrchestration.configuration",
                record.configuration,
            )?),
            created_by: record.created_by,
            source_identity: record
                .source_identity
                .map(|value| write_object("MigrationOrchestration.source_identity", value))
                .transpose()?,
            destination_identity: record
                .destination_identity
                .map(|value| write_object("MigrationOrchestration.destination_identity", value))
                .transpose()?,
            created_at: Some(write_time(record.created_at)),
            updated_at: Some(write_time(record.updated_at)),
        })
    }
}

impl TryFrom<pb::MigrationOrchestration> for MigrationOrchestration {
    type Error = WireError;

    fn try_from(message: pb::MigrationOrchestration) -> Result<Self, WireError> {
        Ok(Self {
            id: read_uuid("MigrationOrchestration.id", &message.id)?,
            name: message.name,
            plan_id: read_uuid("MigrationOrchestration.plan_id", &message.plan_id)?,
            migration_type: read_migration_type(
                "MigrationOrchestration.migration_type",
                message.migration_type,
            )?,
            status: read_migration_status("MigrationOrchestration.status", message.status)?,
            activity: message
                .activity
                .map(|value| read_activity("MigrationOrchestration.activity", value))
                .transpose()?,
            activity_reason: message.activity_reason,
            activity_hint: message.activity_hint,
            attempt: message.attempt,
            generation: message.generation,
            started_at: message
                .started_at
                .map(|time| read_time("MigrationOrchestration.started_at", time))
                .transpose()?,
            completed_at: message
                .completed_at
                .map(|time| read_time("MigrationOrchestration.completed_at", time))
                .transpose()?,
            finalized_at: message
                .finalized_at
                .map(|time| read_time("MigrationOrchestration.finalized_at", time))
                .transpose()?,
            progress_percentage: message.progress_percentage,
            total_entities: message.total_entities,
            completed_entities: message.completed_entities,
            error_count: message.error_count,
            configuration: read_object(
                "MigrationOrchestration.configuration",
                required(
                    "MigrationOrchestration.configuration",
                    message.configuration,
                )?,
            )?,
            created_by: message.created_by,
            source_identity: message
                .source_identity
                .map(|value| read_object("MigrationOrchestration.source_identity", value))
                .transpose()?,
            destination_identity: message
                .destination_identity
                .map(|value| read_object("MigrationOrchestration.destination_identity", value))
                .transpose()?,
            created_at: read_time(
                "MigrationOrchestration.created_at",
                required("MigrationOrchestration.created_at", message.created_at)?,
            )?,
            updated_at: read_time(
                "MigrationOrchestration.updated_at",
                required("MigrationOrchestration.updated_at", message.updated_at)?,
            )?,
        })
    }
}
