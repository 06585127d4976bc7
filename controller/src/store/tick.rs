//! Everything that arrived since the last tick, stored in one transaction.
//!
//! Batches and errors are lossless: a partition's batches are taken in order of their seq, each once,
//! and what was stored is acknowledged; the rest is sent again out of the destination's ledger.
//! Counters are recomputed from absolute numbers, so nothing counts twice.

use std::collections::BTreeMap;

use proto::domain::frame::BatchReport;
use proto::domain::record::{
    CheckpointType, EntityMigrationStatus, MigrationOrchestration, checkpoint::SystemState,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::StoreError;
use super::query::batch_processing_status::NewBatch;
use super::query::migration_checkpoint::NewCheckpoint;
use super::query::migration_error::NewError;
use super::query::outbox::NewEvent;
use super::query::partition_progress::{PartitionProgress, PartitionUpdate, Position};
use super::query::{
    batch_processing_status, entity_migration_status, migration_checkpoint, migration_error,
    migration_orchestration, outbox, partition_progress,
};

/// What arrived.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tick {
    /// `limits.max_retries` in force.
    pub max_retries: i32,
    /// Committed batches, in order of arrival.
    pub batches: Vec<BatchReport>,
    /// Changes of who works on a partition, in order; applied after the batches.
    pub partitions: Vec<PartitionUpdate>,
    /// Rows per second of running entities.
    pub throughput: Vec<(String, f64)>,
    /// Events to be delivered.
    pub events: Vec<NewEvent>,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct TickOutcome {
    /// The migration afterwards.
    pub migration: MigrationOrchestration,
    /// The entities that the tick touched, afterwards.
    pub entities: Vec<EntityMigrationStatus>,
    /// Acknowledged seq of each partition that reported; agents may forget reports up to it.
    pub acked: Vec<(Uuid, i64)>,
    /// Partitions whose reports have a gap: their batches after this seq are in the ledger.
    pub behind: Vec<(Uuid, i64)>,
    /// Partitions that are not known here; the destination has to be asked for them.
    pub unknown: Vec<Uuid>,
    /// Errors that were new.
    pub new_error_count: i64,
}

/// Stores a tick.
pub(super) async fn apply(
    conn: &mut PgConnection,
    migration_id: Uuid,
    tick: &Tick,
) -> Result<TickOutcome, StoreError> {
    migration_orchestration::lock(conn, migration_id)
        .await?
        .ok_or(StoreError::NoMigration { id: migration_id })?;

    let partition_ids: Vec<Uuid> = tick
        .batches
        .iter()
        .map(|batch| batch.partition_id)
        .collect();
    let partitions = partition_progress::lock(conn, migration_id, &partition_ids).await?;
    let mut names: Vec<&str> = partitions.iter().map(|part| part.entity.as_str()).collect();
    names.extend(tick.throughput.iter().map(|(entity, _)| entity.as_str()));
    let entities = entity_migration_status::lock(conn, migration_id, &names).await?;

    let accepted = Accepted::of(tick, &partitions, &entities);
    batch_processing_status::insert(conn, migration_id, tick.max_retries, &accepted.batches)
        .await?;
    let new_error_count = migration_error::insert(conn, migration_id, &accepted.errors).await?;
    migration_checkpoint::insert(conn, migration_id, &accepted.checkpoints).await?;
    partition_progress::advance(conn, &accepted.positions).await?;
    partition_progress::update(conn, migration_id, &tick.partitions).await?;
    entity_migration_status::set_throughput(conn, migration_id, &tick.throughput).await?;
    entity_migration_status::recount(conn, migration_id, &names).await?;
    migration_orchestration::recount(conn, migration_id, new_error_count).await?;
    outbox::insert(conn, migration_id, &tick.events).await?;

    Ok(TickOutcome {
        migration: migration_orchestration::lock(conn, migration_id)
            .await?
            .ok_or(StoreError::NoMigration { id: migration_id })?,
        entities: entity_migration_status::lock(conn, migration_id, &names).await?,
        acked: accepted.acked,
        behind: accepted.behind,
        unknown: accepted.unknown,
        new_error_count,
    })
}

/// The reports that are next in their partition, as rows.
#[derive(Debug, Default)]
struct Accepted {
    batches: Vec<NewBatch>,
    errors: Vec<NewError>,
    checkpoints: Vec<NewCheckpoint>,
    positions: Vec<Position>,
    acked: Vec<(Uuid, i64)>,
    behind: Vec<(Uuid, i64)>,
    unknown: Vec<Uuid>,
}

impl Accepted {
    fn of(
        tick: &Tick,
        partitions: &[PartitionProgress],
        entities: &[EntityMigrationStatus],
    ) -> Self {
        let mut partitions: BTreeMap<Uuid, PartitionProgress> = partitions
            .iter()
            .map(|part| (part.partition_id, part.clone()))
            .collect();
        let mut entities: BTreeMap<String, EntityMigrationStatus> = entities
            .iter()
            .map(|entity| (entity.entity.clone(), entity.clone()))
            .collect();
        let mut accepted = Self::default();
        for report in &tick.batches {
            let known = partitions
                .get_mut(&report.partition_id)
                .and_then(|part| entities.get_mut(&part.entity).map(|entity| (part, entity)));
            match known {
                None => push_once(&mut accepted.unknown, report.partition_id),
                // An attempt that was undone, or a report that is stored already.
                Some((part, _))
                    if report.attempt != part.attempt || report.seq <= part.acked_seq => {}
                Some((part, _)) if report.seq > part.acked_seq + 1 => {
                    push_once(&mut accepted.behind, (part.partition_id, part.acked_seq));
                }
                Some((part, entity)) => {
                    part.acked_seq = report.seq;
                    accepted.take(report, entity);
                }
            }
        }
        for report in &tick.batches {
            if let Some(part) = partitions.get(&report.partition_id) {
                push_once(&mut accepted.acked, (part.partition_id, part.acked_seq));
            }
        }
        // A gap that a later report of the same tick closed is none.
        accepted
            .behind
            .retain(|(id, seq)| accepted.acked.contains(&(*id, *seq)));
        accepted
    }

    /// One report becomes a batch, its errors, a checkpoint and a position.
    fn take(&mut self, report: &BatchReport, entity: &mut EntityMigrationStatus) {
        entity.last_batch_number += 1;
        entity.records_processed += report.counts.written + report.counts.skipped;
        let batch = new_batch(report, entity);
        for (ordinal, error) in (0..).zip(&report.errors) {
            self.errors.push(NewError {
                id: error.id,
                entity_status_id: entity.id,
                batch_id: batch.id,
                entity: entity.entity.clone(),
                error_code: error.error_code.clone(),
                error_message: error.error_message.clone(),
                source_record_id: error.source_record_id.clone(),
                source_data: error.source_data.clone(),
                context: error.context.clone(),
                occurred_at: error.occurred_at,
                partition_id: report.partition_id,
                attempt: report.attempt,
                seq: report.seq,
                ordinal,
            });
        }
        self.checkpoints.push(new_checkpoint(report, entity));
        self.positions.push(Position {
            partition_id: report.partition_id,
            seq: report.seq,
            cursor: report.cursor.clone(),
            token: report.token,
            is_done: report.is_last,
            totals: report.totals,
        });
        self.batches.push(batch);
    }
}

fn new_batch(report: &BatchReport, entity: &EntityMigrationStatus) -> NewBatch {
    let errors = i64::try_from(report.errors.len()).unwrap_or(i64::MAX);
    let duration = (report.written_at - report.started_at).num_milliseconds();
    NewBatch {
        id: Uuid::now_v7(),
        entity_status_id: entity.id,
        batch_number: entity.last_batch_number,
        // A settling batch takes rows back: its own rows are those that failed.
        records_successful: (report.counts.written + report.counts.skipped).max(0),
        // A retry moves rows from failed to written; those that failed again are its own.
        records_failed: report.counts.failed.max(errors).max(0),
        processing_duration_ms: duration.max(0),
        retry_count: report.retry_count,
        error_summary: error_summary(report),
        partition_id: report.partition_id,
        attempt: report.attempt,
        seq: report.seq,
        entity_hash: entity.entity_hash.clone(),
    }
}

fn new_checkpoint(report: &BatchReport, entity: &EntityMigrationStatus) -> NewCheckpoint {
    let state = SystemState {
        partition: report.partition_id,
        attempt: report.attempt,
        seq: report.seq,
        cursor: report
            .cursor
            .as_ref()
            .map(|cursor| cursor.0.as_slice().into()),
        token: report.token,
        entity_hash: entity.entity_hash.clone(),
    };
    NewCheckpoint {
        entity: entity.entity.clone(),
        entity_name: entity.entity_name.clone(),
        checkpoint_type: if report.was_bisected {
            CheckpointType::ErrorRecovery
        } else {
            CheckpointType::BatchCompletion
        },
        batch_number: entity.last_batch_number,
        last_source_id: report.cursor.as_ref().map(|cursor| cursor.to_record_id()),
        records_processed: entity.records_processed.max(0),
        system_state: serde_json::to_value(state)
            .expect("invariant: a struct with text keys is JSON"),
    }
}

/// `3 rows failed: 23502 (2), DROVER_EMAIL_INVALID (1)`.
fn error_summary(report: &BatchReport) -> Option<String> {
    if report.errors.is_empty() {
        return None;
    }
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    for error in &report.errors {
        *codes.entry(&error.error_code).or_default() += 1;
    }
    let codes: Vec<String> = codes
        .iter()
        .map(|(code, count)| format!("{code} ({count})"))
        .collect();
    Some(format!(
        "{} rows failed: {}",
        report.errors.len(),
        codes.join(", ")
    ))
}

fn push_once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
