//! One record of each kind, and the data model's attributes, typed in from the data model.

use serde_json::{Value, json};

const ID: &str = "0195b4c2-5b1e-7d3a-9c55-6f1f0a2b8e44";
const AT: &str = "2026-11-22T09:00:00.000001Z";

/// The data model's attributes per entity.
pub(crate) const ATTRIBUTES: &[(&str, &[&str])] = &[
    (
        "MigrationOrchestration",
        &[
            "id",
            "migration_type",
            "status",
            "started_at",
            "completed_at",
            "progress_percentage",
            "total_entities",
            "completed_entities",
            "error_count",
            "configuration",
            "created_by",
        ],
    ),
    (
        "EntityMigrationStatus",
        &[
            "id",
            "migration_id",
            "entity_name",
            "target_entity",
            "dependency_order",
            "status",
            "records_total",
            "records_processed",
            "records_failed",
            "started_at",
            "completed_at",
            "last_processed_id",
            "batch_size",
            "throughput_per_second",
        ],
    ),
    (
        "MigrationCheckpoint",
        &[
            "id",
            "migration_id",
            "entity_name",
            "checkpoint_type",
            "batch_number",
            "last_source_id",
            "records_processed",
            "system_state",
            "created_at",
            "is_resumable",
        ],
    ),
    (
        "MigrationMapping",
        &[
            "id",
            "migration_id",
            "source_table",
            "source_id",
            "destination_table",
            "destination_id",
            "entity_type",
            "mapping_metadata",
            "created_at",
            "is_active",
        ],
    ),
    (
        "BatchProcessingStatus",
        &[
            "id",
            "entity_status_id",
            "batch_number",
            "batch_size",
            "status",
            "records_successful",
            "records_failed",
            "started_at",
            "completed_at",
            "processing_duration_ms",
            "retry_count",
            "error_summary",
        ],
    ),
    (
        "MigrationError",
        &[
            "id",
            "migration_id",
            "entity_status_id",
            "batch_id",
            "error_type",
            "error_code",
            "error_message",
            "source_record_id",
            "source_data",
            "context",
            "stack_trace",
            "occurred_at",
            "is_resolved",
            "resolution_notes",
        ],
    ),
    (
        "SchemaChangeOperation",
        &[
            "id",
            "migration_id",
            "operation_type",
            "table_name",
            "column_name",
            "operation_sql",
            "status",
            "executed_at",
            "rollback_sql",
            "backup_table_name",
            "risk_level",
            "validation_results",
        ],
    ),
    (
        "LegacyEntityMapping",
        &[
            "id",
            "source_entity",
            "destination_entity",
            "transformation_rules",
            "dependency_entities",
            "validation_rules",
            "is_active",
            "version",
            "created_at",
            "updated_at",
        ],
    ),
    (
        "DataValidationResult",
        &[
            "id",
            "migration_id",
            "validation_type",
            "entity_name",
            "status",
            "records_validated",
            "issues_found",
            "issue_details",
            "validation_criteria",
            "executed_at",
            "execution_duration_ms",
        ],
    ),
];

pub(crate) fn migration_orchestration() -> Value {
    json!({
        "id": ID, "name": "clinic", "plan_id": ID, "migration_type": "full_migration",
        "status": "rolling_back", "activity": "blocked", "activity_reason": "r",
        "activity_hint": null, "attempt": 1, "generation": 3, "started_at": AT,
        "completed_at": null, "finalized_at": null, "progress_percentage": 12.5,
        "total_entities": 10, "completed_entities": 1, "error_count": 3, "configuration": {},
        "created_by": "ann", "source_identity": null, "destination_identity": null,
        "created_at": AT, "updated_at": AT,
    })
}

pub(crate) fn entity_migration_status() -> Value {
    json!({
        "id": ID, "migration_id": ID, "legacy_entity_mapping_id": ID, "entity": "offices",
        "entity_name": "dispatch_office", "target_entity": "offices", "entity_type": "office",
        "entity_hash": "h", "dependency_order": 1, "status": "skipped", "blocked_reason": null,
        "intent": "skipped", "intent_reason": "r", "intent_by": "ann", "intent_reached_at": AT,
        "records_total": 0, "records_total_exact": false, "records_read": 0,
        "records_processed": 0, "records_failed": 0, "records_held": 0, "records_skipped": 0,
        "records_filtered": 0, "records_written": 0, "max_quarantined": "0.1%",
        "started_at": null, "completed_at": null, "last_processed_id": null,
        "last_batch_number": 0, "batch_size": 20000, "throughput_per_second": 0.0,
        "created_at": AT, "updated_at": AT,
    })
}

pub(crate) fn migration_checkpoint() -> Value {
    json!({
        "id": ID, "migration_id": ID, "entity": "offices", "entity_name": "dispatch_office",
        "checkpoint_type": "error_recovery", "batch_number": 3, "last_source_id": "42",
        "records_processed": 42, "system_state": {"partition": ID, "attempt": 1, "seq": 3, "cursor": ["42"], "token": i64::MAX, "entity_hash": "h"}, "created_at": AT, "is_resumable": true,
    })
}

pub(crate) fn migration_mapping() -> Value {
    json!({
        "id": ID, "migration_id": ID, "source_table": "dispatch_office", "source_id": "42",
        "destination_table": "offices", "destination_id": ID, "entity_type": "office",
        "mapping_metadata": {}, "created_at": AT, "is_active": true,
    })
}

pub(crate) fn batch_processing_status() -> Value {
    json!({
        "id": ID, "migration_id": ID, "entity_status_id": ID, "batch_number": 1,
        "batch_size": 10, "status": "retrying", "records_successful": 9, "records_failed": 1,
        "started_at": AT, "completed_at": null, "processing_duration_ms": 12,
        "retry_count": 1, "max_retries": 5, "error_summary": "1 × 23502", "partition_id": ID,
        "attempt": 1, "seq": 1, "entity_hash": "h",
    })
}

pub(crate) fn migration_error() -> Value {
    json!({
        "id": ID, "migration_id": ID, "entity_status_id": ID, "batch_id": ID,
        "entity": "offices", "error_type": "constraint_violation", "error_code": "23502",
        "error_message": "name is null", "source_record_id": "42", "source_data": {"id": 42, "rate": 0.5, "tags": [null, true, -7], "sub": {"a": "b"}},
        "context": {}, "stack_trace": null, "occurred_at": AT, "is_resolved": false,
        "resolution_notes": null, "partition_id": ID, "attempt": 1, "seq": 1, "ordinal": 0,
    })
}

pub(crate) fn schema_change_operation() -> Value {
    json!({
        "id": ID, "migration_id": ID, "position": 1, "operation_type": "drop_index",
        "table_name": "offices", "column_name": null, "object_name": "offices_name",
        "operation_sql": "drop index offices_name", "status": "rolled_back",
        "executed_at": AT, "is_reversible": true, "rollback_sql": "create index …",
        "backup_table_name": null, "risk_level": "low", "validation_results": null,
        "error_message": null, "created_at": AT, "updated_at": AT,
    })
}

pub(crate) fn legacy_entity_mapping() -> Value {
    json!({
        "id": ID, "plan_name": "clinic", "entity": "offices",
        "source_entity": "dispatch_office", "destination_entity": "offices",
        "entity_type": "office", "transformation_rules": {"name": [{"col": "name"}]},
        "dependency_entities": [], "validation_rules": [], "is_active": true,
        "version": "1", "entity_hash": "h", "created_at": AT, "updated_at": AT,
    })
}

pub(crate) fn data_validation_result() -> Value {
    json!({
        "id": ID, "migration_id": ID, "validation_type": "business_rules", "entity": "offices",
        "entity_name": "dispatch_office", "status": "warning", "severity": "high",
        "records_validated": 10, "issues_found": 1, "issue_details": {"duplicates": 1},
        "validation_criteria": {"check": "unique"}, "executed_at": AT,
        "execution_duration_ms": 3, "attempt": 1,
    })
}
