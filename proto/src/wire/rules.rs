//! `LegacyEntityMapping` on the wire.

use crate::domain::record::LegacyEntityMapping;
use crate::pb;

use super::{
    WireError, read_json, read_object, read_time, read_uuid, required, write_json, write_object,
    write_time,
};

impl TryFrom<LegacyEntityMapping> for pb::LegacyEntityMapping {
    type Error = WireError;

    fn try_from(record: LegacyEntityMapping) -> Result<Self, WireError> {
        Ok(Self {
            id: record.id.to_string(),
            plan_name: record.plan_name,
            entity: record.entity,
            source_entity: record.source_entity,
            destination_entity: record.destination_entity,
            entity_type: record.entity_type,
            transformation_rules: Some(write_object(
                "LegacyEntityMapping.transformation_rules",
                record.transformation_rules,
            )?),
            dependency_entities: record.dependency_entities,
            validation_rules: Some(write_json(record.validation_rules)),
            is_active: record.is_active,
            version: record.version,
            entity_hash: record.entity_hash,
            created_at: Some(write_time(record.created_at)),
            updated_at: Some(write_time(record.updated_at)),
        })
    }
}

impl TryFrom<pb::LegacyEntityMapping> for LegacyEntityMapping {
    type Error = WireError;

    fn try_from(message: pb::LegacyEntityMapping) -> Result<Self, WireError> {
        Ok(Self {
            id: read_uuid("LegacyEntityMapping.id", &message.id)?,
            plan_name: message.plan_name,
            entity: message.entity,
            source_entity: message.source_entity,
            destination_entity: message.destination_entity,
            entity_type: message.entity_type,
            transformation_rules: read_object(
                "LegacyEntityMapping.transformation_rules",
                required(
                    "LegacyEntityMapping.transformation_rules",
                    message.transformation_rules,
                )?,
            )?,
            dependency_entities: message.dependency_entities,
            validation_rules: read_json(
                "LegacyEntityMapping.validation_rules",
                required(
                    "LegacyEntityMapping.validation_rules",
                    message.validation_rules,
                )?,
            )?,
            is_active: message.is_active,
            version: message.version,
            entity_hash: message.entity_hash,
            created_at: read_time(
                "LegacyEntityMapping.created_at",
                required("LegacyEntityMapping.created_at", message.created_at)?,
            )?,
            updated_at: read_time(
                "LegacyEntityMapping.updated_at",
                required("LegacyEntityMapping.updated_at", message.updated_at)?,
            )?,
        })
    }
}
