//! `BatchProcessingStatus` on the wire.

use crate::domain::record::{BatchProcessingStatus, BatchStatus};
use crate::pb;

use super::{WireError, read_time, read_uuid, wire_enum, write_time};

wire_enum!(
    BatchStatus,
    pb::BatchStatus,
    read_batch_status,
    [Pending, Processing, Completed, Failed, Retrying]
);

impl TryFrom<BatchProcessingStatus> for pb::BatchProcessingStatus {
    type Error = WireError;

    fn try_from(record: BatchProcessingStatus) -> Result<Self, WireError> {
        Ok(Self {
            id: record.id.to_string(),
            migration_id: record.migration_id.to_string(),
            entity_status_id: record.entity_status_id.to_string(),
            batch_number: record.batch_number,
            batch_size: record.batch_size,
            status: pb::BatchStatus::from(record.status).into(),
            records_successful: record.records_successful,
            records_failed: record.records_failed,
            started_at: record.started_at.map(write_time),
            completed_at: record.completed_at.map(write_time),
            processing_duration_ms: record.processing_duration_ms,
            retry_count: record.retry_count,
            max_retries: record.max_retries,
            error_summary: record.error_summary,
            partition_id: record.partition_id.to_string(),
            attempt: record.attempt,
            seq: record.seq,
            entity_hash: record.entity_hash,
        })
    }
}

impl TryFrom<pb::BatchProcessingStatus> for BatchProcessingStatus {
    type Error = WireError;

    fn try_from(message: pb::BatchProcessingStatus) -> Result<Self, WireError> {
        Ok(Self {
            id: read_uuid("BatchProcessingStatus.id", &message.id)?,
            migration_id: read_uuid("BatchProcessingStatus.migration_id", &message.migration_id)?,
            entity_status_id: read_uuid(
                "BatchProcessingStatus.entity_status_id",
                &message.entity_status_id,
            )?,
            batch_number: message.batch_number,
            batch_size: message.batch_size,
            status: read_batch_status("BatchProcessingStatus.status", message.status)?,
            records_successful: message.records_successful,
            records_failed: message.records_failed,
            started_at: message
                .started_at
                .map(|time| read_time("BatchProcessingStatus.started_at", time))
                .transpose()?,
            completed_at: message
                .completed_at
                .map(|time| read_time("BatchProcessingStatus.completed_at", time))
                .transpose()?,
            processing_duration_ms: message.processing_duration_ms,
            retry_count: message.retry_count,
            max_retries: message.max_retries,
            error_summary: message.error_summary,
            partition_id: read_uuid("BatchProcessingStatus.partition_id", &message.partition_id)?,
            attempt: message.attempt,
            seq: message.seq,
            entity_hash: message.entity_hash,
        })
    }
}
