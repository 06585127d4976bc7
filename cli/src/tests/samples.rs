//! Records that tests make up.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use proto::domain::record::{
    Activity, AgentState, AgentStatus, EntityMigrationStatus, EntityStatus, MigrationOrchestration,
    MigrationStatus, MigrationType,
};
use serde_json::json;
use uuid::Uuid;

const TIME: DateTime<Utc> = DateTime::from_timestamp(1_795_500_000, 0).unwrap();

/// A migration named `clinic`.
pub fn migration(status: MigrationStatus, activity: Option<Activity>) -> MigrationOrchestration {
    MigrationOrchestration {
        id: Uuid::from_u128(0x0193_94c2_5b1e_7d3a_9c55_6f1f_0a2b_8e44),
        name: "clinic".to_owned(),
        plan_id: Uuid::from_u128(2),
        migration_type: MigrationType::FullMigration,
        status,
        activity,
        activity_reason: None,
        activity_hint: None,
        attempt: 1,
        generation: 3,
        started_at: Some(TIME),
        completed_at: None,
        finalized_at: None,
        progress_percentage: 41.3,
        total_entities: 2,
        completed_entities: 1,
        error_count: 3,
        configuration: json!({}),
        created_by: "me@here".to_owned(),
        source_identity: None,
        destination_identity: None,
        created_at: TIME,
        updated_at: TIME,
    }
}

/// An entity of it, half done.
pub fn entity(name: &str, status: EntityStatus) -> EntityMigrationStatus {
    EntityMigrationStatus {
        id: Uuid::from_u128(3),
        migration_id: migration(MigrationStatus::Running, None).id,
        legacy_entity_mapping_id: Uuid::from_u128(4),
        entity: name.to_owned(),
        entity_name: format!("legacy.{name}"),
        target_entity: format!("public.{name}"),
        entity_type: "thing".to_owned(),
        entity_hash: "h1".to_owned(),
        dependency_order: 1,
        status,
        blocked_reason: None,
        intent: None,
        intent_reason: None,
        intent_by: None,
        intent_reached_at: None,
        records_total: 100,
        records_total_exact: true,
        records_read: 50,
        records_processed: 47,
        records_failed: 3,
        records_held: 0,
        records_skipped: 0,
        records_filtered: 0,
        records_written: 47,
        max_quarantined: "10".to_owned(),
        started_at: Some(TIME),
        completed_at: None,
        last_processed_id: Some("47".to_owned()),
        last_batch_number: 1,
        batch_size: 50,
        throughput_per_second: 10.0,
        created_at: TIME,
        updated_at: TIME,
    }
}

/// An agent named `eu-1`.
pub fn agent() -> AgentStatus {
    AgentStatus {
        id: Uuid::from_u128(5),
        name: "eu-1".to_owned(),
        region: "eu".to_owned(),
        labels: BTreeMap::from([("zone".to_owned(), "a".to_owned())]),
        connections: vec!["legacy".to_owned()],
        capacity: 16,
        partitions: 2,
        state: AgentState::Active,
        version: "0.1.0".to_owned(),
        codec_version: 1,
        connected_at: TIME,
        last_seen_at: TIME,
    }
}
