//! `MigrationMapping` on the wire.

use crate::domain::record::MigrationMapping;
use crate::pb;

use super::{WireError, read_object, read_time, read_uuid, required, write_object, write_time};

impl TryFrom<MigrationMapping> for pb::MigrationMapping {
    type Error = WireError;

    fn try_from(record: MigrationMapping) -> Result<Self, WireError> {
        Ok(Self {
            id: record.id.to_string(),
            migration_id: record.migration_id.to_string(),
            source_table: record.source_table,
            source_id: record.source_id,
            destination_table: record.destination_table,
            destination_id: record.destination_id.to_string(),
            entity_type: record.entity_type,
            mapping_metadata: Some(write_object(
                "MigrationMapping.mapping_metadata",
                record.mapping_metadata,
            )?),
            created_at: Some(write_time(record.created_at)),
            is_active: record.is_active,
        })
    }
}

impl TryFrom<pb::MigrationMapping> for MigrationMapping {
    type Error = WireError;

    fn try_from(message: pb::MigrationMapping) -> Result<Self, WireError> {
        Ok(Self {
            id: read_uuid("MigrationMapping.id", &message.id)?,
            migration_id: read_uuid("MigrationMapping.migration_id", &message.migration_id)?,
            source_table: message.source_table,
            source_id: message.source_id,
            destination_table: message.destination_table,
            destination_id: read_uuid("MigrationMapping.destination_id", &message.destination_id)?,
            entity_type: message.entity_type,
            mapping_metadata: read_object(
                "MigrationMapping.mapping_metadata",
                required(
                    "MigrationMapping.mapping_metadata",
                    message.mapping_metadata,
                )?,
            )?,
            created_at: read_time(
                "MigrationMapping.created_at",
                required("MigrationMapping.created_at", message.created_at)?,
            )?,
            is_active: message.is_active,
        })
    }
}
