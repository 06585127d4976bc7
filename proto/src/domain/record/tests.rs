//! The data model's names against what serde makes of the records.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::samples::{self, ATTRIBUTES};
use super::*;

fn assert_attributes<T: DeserializeOwned + Serialize>(entity: &str, sample: Value) {
    let record: T = serde_json::from_value(sample.clone()).expect("the sample is a record");
    let written = serde_json::to_value(record).expect("a record is plain data");
    assert_eq!(written, sample, "{entity}");
    let (_, attributes) = ATTRIBUTES
        .iter()
        .find(|(name, _)| *name == entity)
        .expect("an entity of the data model");
    for attribute in *attributes {
        assert!(written.get(attribute).is_some(), "{entity}.{attribute}");
    }
}

#[test]
fn every_record_has_every_attribute() {
    assert_eq!(ATTRIBUTES.len(), 9);
    assert_attributes::<MigrationOrchestration>(
        "MigrationOrchestration",
        samples::migration_orchestration(),
    );
    assert_attributes::<EntityMigrationStatus>(
        "EntityMigrationStatus",
        samples::entity_migration_status(),
    );
    assert_attributes::<MigrationCheckpoint>(
        "MigrationCheckpoint",
        samples::migration_checkpoint(),
    );
    assert_attributes::<MigrationMapping>("MigrationMapping", samples::migration_mapping());
    assert_attributes::<BatchProcessingStatus>(
        "BatchProcessingStatus",
        samples::batch_processing_status(),
    );
    assert_attributes::<MigrationError>("MigrationError", samples::migration_error());
    assert_attributes::<SchemaChangeOperation>(
        "SchemaChangeOperation",
        samples::schema_change_operation(),
    );
    assert_attributes::<LegacyEntityMapping>(
        "LegacyEntityMapping",
        samples::legacy_entity_mapping(),
    );
    assert_attributes::<DataValidationResult>(
        "DataValidationResult",
        samples::data_validation_result(),
    );
}

#[test]
fn enumerations_are_the_data_models() {
    macro_rules! values {
        ($name:ident, $($text:literal),+) => {
            let texts: Vec<&str> = $name::ALL.iter().map(|value| value.as_str()).collect();
            assert_eq!(texts, [$($text),+], stringify!($name));
            for value in $name::ALL {
                assert_eq!(value.as_str().parse::<$name>().as_ref(), Ok(value));
                assert_eq!(serde_json::to_value(value).ok(), Some(json!(value.as_str())));
            }
            assert!("nonsense".parse::<$name>().is_err());
        };
    }
    values!(
        MigrationType,
        "full_migration",
        "incremental",
        "schema_cleanup"
    );
    values!(
        MigrationStatus,
        "pending",
        "running",
        "completed",
        "failed",
        "rolling_back"
    );
    values!(Activity, "running", "pausing", "paused", "blocked");
    values!(
        EntityStatus,
        "pending",
        "running",
        "completed",
        "failed",
        "skipped"
    );
    values!(
        CheckpointType,
        "batch_completion",
        "entity_completion",
        "error_recovery"
    );
    values!(
        BatchStatus,
        "pending",
        "processing",
        "completed",
        "failed",
        "retrying"
    );
    values!(
        ErrorType,
        "connection_error",
        "data_validation",
        "constraint_violation",
        "timeout",
        "unknown"
    );
    values!(
        SchemaOperationType,
        "drop_column",
        "add_column",
        "modify_column",
        "create_backup",
        "drop_constraint",
        "add_constraint",
        "drop_index",
        "create_index"
    );
    values!(
        SchemaOperationStatus,
        "pending",
        "completed",
        "failed",
        "rolled_back"
    );
    values!(RiskLevel, "low", "medium", "high", "critical");
    values!(
        ValidationType,
        "referential_integrity",
        "data_completeness",
        "business_rules",
        "performance"
    );
    values!(ValidationStatus, "passed", "failed", "warning");
    values!(ValidationSeverity, "low", "medium", "high", "critical");
}
