//! `Batch` and its failed rows on the wire.

use prost::Message;
use serde_json::json;
use uuid::Uuid;

use crate::domain::frame::{BatchReport, Counts, RowError};
use crate::pb::agent_stream as pb;
use crate::wire::{WireError, read_time, read_uuid, required, write_time};

use super::hello::given;
use super::value::{read_key, read_object_text, write_key, write_object_text};
use super::{MAX_ERRORS, MAX_PIECE_BYTES};

/// A batch, and the messages with its failed rows that go before it.
pub(super) fn write_batch(
    migration_id: Uuid,
    report: BatchReport,
) -> Result<(Vec<pb::BatchErrors>, pb::Batch), WireError> {
    let field = "Batch.error_count";
    let error_count = u32::try_from(report.errors.len()).map_err(|_| WireError::TooLarge {
        field,
        limit: u32::MAX as usize,
    })?;
    let errors = write_errors(report.partition_id, report.seq, report.errors)?;
    let batch = pb::Batch {
        migration_id: migration_id.to_string(),
        partition_id: report.partition_id.to_string(),
        entity: report.entity,
        attempt: report.attempt,
        seq: report.seq,
        token: report.token,
        cursor: report.cursor.map(write_key),
        counts: Some(write_counts(report.counts)),
        totals: Some(write_counts(report.totals)),
        retry_count: report.retry_count,
        started_at: Some(write_time(report.started_at)),
        written_at: Some(write_time(report.written_at)),
        error_count,
        was_bisected: report.was_bisected,
        is_last: report.is_last,
    };
    Ok((errors, batch))
}

/// The batch with the failed rows that came before it.
pub(super) fn read_batch(
    message: pb::Batch,
    errors: Vec<RowError>,
) -> Result<(Uuid, BatchReport), WireError> {
    if usize::try_from(message.error_count) != Ok(errors.len()) {
        return Err(WireError::Malformed {
            field: "Batch.error_count",
            what: "count of the failed rows before it",
        });
    }
    let cursor = message.cursor.map(|key| read_key("Batch.cursor", key));
    let report = BatchReport {
        partition_id: read_uuid("Batch.partition_id", &message.partition_id)?,
        entity: given("Batch.entity", message.entity)?,
        attempt: message.attempt,
        seq: message.seq,
        token: message.token,
        cursor: cursor.transpose()?,
        counts: read_counts(required("Batch.counts", message.counts)?),
        totals: read_counts(required("Batch.totals", message.totals)?),
        retry_count: message.retry_count,
        started_at: read_time(
            "Batch.started_at",
            required("Batch.started_at", message.started_at)?,
        )?,
        written_at: read_time(
            "Batch.written_at",
            required("Batch.written_at", message.written_at)?,
        )?,
        errors,
        was_bisected: message.was_bisected,
        is_last: message.is_last,
    };
    Ok((
        read_uuid("Batch.migration_id", &message.migration_id)?,
        report,
    ))
}

/// Failed rows in messages of at most [`MAX_ERRORS`] and about [`MAX_PIECE_BYTES`].
fn write_errors(
    partition_id: Uuid,
    seq: i64,
    errors: Vec<RowError>,
) -> Result<Vec<pb::BatchErrors>, WireError> {
    let mut messages: Vec<pb::BatchErrors> = Vec::new();
    let mut size = 0;
    for error in errors {
        let error = write_error(error)?;
        let bytes = error.encoded_len();
        let is_full = |message: &pb::BatchErrors| {
            message.errors.len() >= MAX_ERRORS || size + bytes > MAX_PIECE_BYTES
        };
        match messages.last_mut().filter(|message| !is_full(message)) {
            Some(message) => {
                message.errors.push(error);
                size += bytes;
            }
            None => {
                messages.push(pb::BatchErrors {
                    partition_id: partition_id.to_string(),
                    seq,
                    errors: vec![error],
                });
                size = bytes;
            }
        }
    }
    Ok(messages)
}

/// A row whose snapshot alone would fill a message goes without: the destination keeps it whole.
fn write_error(error: RowError) -> Result<pb::RowError, WireError> {
    let field = "RowError.source_data";
    let mut source_data = write_object_text(field, &error.source_data)?;
    if source_data.len() > MAX_PIECE_BYTES {
        let left_out = json!({ "left_out_bytes": source_data.len() });
        source_data = write_object_text(field, &left_out)?;
    }
    Ok(pb::RowError {
        id: error.id.to_string(),
        source_record_id: error.source_record_id,
        error_code: error.error_code,
        error_message: error.error_message,
        source_data,
        context: write_object_text("RowError.context", &error.context)?,
        is_held: error.is_held,
        occurred_at: Some(write_time(error.occurred_at)),
    })
}

pub(super) fn read_error(message: pb::RowError) -> Result<RowError, WireError> {
    Ok(RowError {
        id: read_uuid("RowError.id", &message.id)?,
        source_record_id: message.source_record_id,
        error_code: given("RowError.error_code", message.error_code)?,
        error_message: message.error_message,
        source_data: read_object_text("RowError.source_data", &message.source_data)?,
        context: read_object_text("RowError.context", &message.context)?,
        is_held: message.is_held,
        occurred_at: read_time(
            "RowError.occurred_at",
            required("RowError.occurred_at", message.occurred_at)?,
        )?,
    })
}

fn write_counts(counts: Counts) -> pb::Counts {
    pb::Counts {
        read: counts.read,
        written: counts.written,
        failed: counts.failed,
        held: counts.held,
        filtered: counts.filtered,
        skipped: counts.skipped,
    }
}

fn read_counts(message: pb::Counts) -> Counts {
    Counts {
        read: message.read,
        written: message.written,
        failed: message.failed,
        held: message.held,
        filtered: message.filtered,
        skipped: message.skipped,
    }
}
