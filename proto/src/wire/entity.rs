//! `EntityMigrationStatus` on the wire.

use crate::domain::record::{EntityIntent, EntityMigrationStatus, EntityStatus};
use crate::pb;

use super::{WireError, read_time, read_uuid, required, wire_enum, write_time};

wire_enum!(
    EntityStatus,
    pb::EntityStatus,
    read_entity_status,
    [Pending, Running, Completed, Failed, Skipped]
);

wire_enum!(
    EntityIntent,
    pb::EntityIntent,
    read_entity_intent,
    [Paused, Skipped]
);

/// The status behind a number; `field` names where it stands.
pub fn entity_status(field: &'static str, value: i32) -> Result<EntityStatus, WireError> {
    read_entity_status(field, value)
}

impl TryFrom<EntityMigrationStatus> for pb::EntityMigrationStatus {
    type Error = WireError;

    fn try_from(record: EntityMigrationStatus) -> Result<Self, WireError> {
        Ok(Self {
            id: record.id.to_string(),
            migration_id: record.migration_id.to_string(),
            legacy_entity_mapping_id: record.legacy_entity_mapping_id.to_string(),
            entity: record.entity,
            entity_name: record.entity_name,
            target_entity: record.target_entity,
            entity_type: record.entity_type,
            entity_hash: record.entity_hash,
            dependency_order: record.dependency_order,
            status: pb::EntityStatus::from(record.status).into(),
            blocked_reason: record.blocked_reason,
            intent: record.intent.map(|one| pb::EntityIntent::from(one).into()),
            intent_reason: record.intent_reason,
            intent_by: record.intent_by,
            intent_reached_at: record.intent_reached_at.map(write_time),
            records_total: record.records_total,
            records_total_exact: record.records_total_exact,
            records_read: record.records_read,
            records_processed: record.records_processed,
            records_failed: record.records_failed,
            records_held: record.records_held,
            records_skipped: record.records_skipped,
            records_filtered: record.records_filtered,
            records_written: record.records_written,
            max_quarantined: record.max_quarantined,
            started_at: record.started_at.map(write_time),
            completed_at: record.completed_at.map(write_time),
            last_processed_id: record.last_processed_id,
            last_batch_number: record.last_batch_number,
            batch_size: record.batch_size,
            throughput_per_second: record.throughput_per_second,
            created_at: Some(write_time(record.created_at)),
            updated_at: Some(write_time(record.updated_at)),
        })
    }
}

impl TryFrom<pb::EntityMigrationStatus> for EntityMigrationStatus {
    type Error = WireError;

    fn try_from(message: pb::EntityMigrationStatus) -> Result<Self, WireError> {
        Ok(Self {
            id: read_uuid("EntityMigrationStatus.id", &message.id)?,
            migration_id: read_uuid("EntityMigrationStatus.migration_id", &message.migration_id)?,
            legacy_entity_mapping_id: read_uuid(
                "EntityMigrationStatus.legacy_entity_mapping_id",
                &message.legacy_entity_mapping_id,
            )?,
            entity: message.entity,
            entity_name: message.entity_name,
            target_entity: message.target_entity,
            entity_type: message.entity_type,
            entity_hash: message.entity_hash,
            dependency_order: message.dependency_order,
            status: read_entity_status("EntityMigrationStatus.status", message.status)?,
            blocked_reason: message.blocked_reason,
            intent: message
                .intent
                .map(|one| read_entity_intent("EntityMigrationStatus.intent", one))
                .transpose()?,
            intent_reason: message.intent_reason,
            intent_by: message.intent_by,
            intent_reached_at: message
                .intent_reached_at
                .map(|time| read_time("EntityMigrationStatus.intent_reached_at", time))
                .transpose()?,
            records_total: message.records_total,
            records_total_exact: message.records_total_exact,
            records_read: message.records_read,
            records_processed: message.records_processed,
            records_failed: message.records_failed,
            records_held: message.records_held,
            records_skipped: message.records_skipped,
            records_filtered: message.records_filtered,
            records_written: message.records_written,
            max_quarantined: message.max_quarantined,
            started_at: message
                .started_at
                .map(|time| read_time("EntityMigrationStatus.started_at", time))
                .transpose()?,
            completed_at: message
                .completed_at
                .map(|time| read_time("EntityMigrationStatus.completed_at", time))
                .transpose()?,
            last_processed_id: message.last_processed_id,
            last_batch_number: message.last_batch_number,
            batch_size: message.batch_size,
            throughput_per_second: message.throughput_per_second,
            created_at: read_time(
                "EntityMigrationStatus.created_at",
                required("EntityMigrationStatus.created_at", message.created_at)?,
            )?,
            updated_at: read_time(
                "EntityMigrationStatus.updated_at",
                required("EntityMigrationStatus.updated_at", message.updated_at)?,
            )?,
        })
    }
}
