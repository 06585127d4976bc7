//! Gets a batch committed, come what may: retries, halves, isolates rows, learns lost outcomes.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::domain::compiled::RowAction;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{BatchReport, Counts, RowError};
use proto::domain::key::KeyValue;
use proto::runtime::backoff::Backoff;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use tokio::time::Instant;
use tracing::{Instrument, info_span, warn};
use uuid::Uuid;

use super::fence::{Fate, Fence, Position, fate_of_batch};
use super::isolate::find_bad_rows;
use super::ledger::read_batch;
use super::retry::Retrying;
use super::write::{BatchWrite, WriteFault, Written, write};
use crate::batch::Batch;
use crate::connect::{Purpose, open, run_sql};
use crate::failure::{from_sqlx, is_connection_loss};
use crate::patience::{InTime, READ};
use crate::run::{EntityContext, RunContext};
use crate::sizer::BatchSizer;
use crate::source::redact::read_snapshots;

/// Writes the batches of one partition in order.
pub struct PartitionWriter {
    run: Arc<RunContext>,
    entity: Arc<EntityContext>,
    fence: Fence,
    /// Key before the partition's first row.
    after: Option<KeyValue>,
    position: Position,
    totals: Counts,
    sizer: Arc<Mutex<BatchSizer>>,
    connection: Option<PgConnection>,
    inspector: Option<PgConnection>,
    backoff: Backoff,
    /// The rows failed before and are tried again.
    retrying: Option<Retrying>,
}

impl PartitionWriter {
    /// A writer at the position that was read after fencing, over the connection that read it.
    pub fn new(
        run: Arc<RunContext>,
        entity: Arc<EntityContext>,
        (fence, after): (Fence, Option<KeyValue>),
        position: Position,
        totals: Counts,
        sizer: Arc<Mutex<BatchSizer>>,
        connection: PgConnection,
    ) -> Self {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        Self {
            run,
            entity,
            fence,
            after,
            position,
            totals,
            sizer,
            connection: Some(connection),
            inspector: None,
            backoff,
            retrying: None,
        }
    }

    /// The same for rows that failed before; what they hold is looked at over this connection.
    #[must_use]
    pub fn retrying(self, retrying: Retrying, inspector: PgConnection) -> Self {
        Self {
            retrying: Some(retrying),
            inspector: Some(inspector),
            ..self
        }
    }

    /// Where the partition stands.
    pub const fn position(&self) -> &Position {
        &self.position
    }

    /// Somebody else of this process moved the partition on.
    pub fn moved_to(&mut self, position: Position) {
        self.position = position;
    }

    /// Whether a row's error stands.
    pub fn is_open(&self, record_id: &str) -> bool {
        let retrying = self.retrying.as_ref();
        retrying.is_some_and(|retrying| retrying.is_open(record_id))
    }

    /// Notes rows that are tried again and were read.
    pub fn note_read(&mut self, batch: &Batch) {
        if let Some(retrying) = &mut self.retrying {
            retrying.note_read(batch);
        }
    }

    /// Ends between two batches: what it used can be used again.
    pub async fn end(self) {
        if let Some(connection) = self.connection {
            let destination = &self.run.destination;
            destination.give_back(Purpose::Write, connection).await;
        }
        if let Some(mut inspector) = self.inspector
            && run_sql(&mut inspector, "commit")
                .in_time(READ)
                .await
                .is_ok()
        {
            self.run.source.give_back(Purpose::Read, inspector).await;
        }
    }

    /// Commits a batch, in parts where it must be; one report for each part.
    ///
    /// # Errors
    /// What ends the work on the partition: `Fenced`, or a failure that retries did not mend.
    pub async fn persist(&mut self, batch: Batch) -> Result<(Vec<BatchReport>, Batch), Failure> {
        let mut reports = Vec::new();
        let mut queue = VecDeque::from([batch]);
        let mut used = Batch::default();
        while let Some(part) = queue.pop_front() {
            match self.commit(part).await? {
                Committed::Whole(report, part) => {
                    self.advance(&report);
                    reports.push(*report);
                    used = part;
                }
                Committed::TooLarge(part) => {
                    self.sizer
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .shrink();
                    let (first, second) = part.split()?;
                    queue.push_front(second);
                    queue.push_front(first);
                }
            }
        }
        Ok((reports, used))
    }

    /// One batch until it is committed or found too large.
    async fn commit(&mut self, mut batch: Batch) -> Result<Committed, Failure> {
        let mut retry_count = 0;
        let mut was_bisected = false;
        let mut was_unknown = false;
        let mut snapshots = HashMap::new();
        loop {
            let errors = self.row_errors(&batch, &mut snapshots).await?;
            let fault = match self
                .attempt(&batch, &errors, retry_count, was_bisected)
                .await
            {
                Ok(written) => {
                    let report = self.report(&batch, errors, retry_count, was_bisected, &written);
                    return Ok(Committed::Whole(Box::new(report), batch));
                }
                Err(fault) => fault,
            };
            // An earlier try whose answer was lost may have come through meanwhile: its rows are what is
            // in the way then, and no row is at fault.
            if was_unknown && matches!(fault, WriteFault::Row | WriteFault::Smaller) {
                match self.learn_fate().await? {
                    Fate::Committed => return self.adopt(batch).await,
                    Fate::NotCommitted => was_unknown = false,
                }
            }
            let failure = match fault {
                WriteFault::Row => {
                    self.reject_rows(&mut batch).await?;
                    was_bisected = true;
                    continue;
                }
                WriteFault::Smaller if batch.rows.len() > 1 => {
                    return Ok(Committed::TooLarge(batch));
                }
                WriteFault::Smaller => {
                    Failure::new(FailureKind::Timeout, "one row alone takes too long")
                }
                WriteFault::Refused(failure) => return Err(failure),
                WriteFault::Unknown => {
                    self.connection = None;
                    was_unknown = true;
                    match self.learn_fate().await? {
                        Fate::Committed => return self.adopt(batch).await,
                        Fate::NotCommitted => Failure::new(
                            FailureKind::Unreachable,
                            "the connection broke while a batch was committed",
                        ),
                    }
                }
                WriteFault::Retry(failure) => {
                    self.connection = None;
                    failure
                }
            };
            retry_count += 1;
            self.wait(retry_count, failure).await?;
        }
    }

    async fn attempt(
        &mut self,
        batch: &Batch,
        errors: &[RowError],
        retry_count: i32,
        was_bisected: bool,
    ) -> Result<Written, WriteFault> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => open(&self.run.destination, Purpose::Write)
                .await
                .map_err(|failure| match failure.is_passing() {
                    true => WriteFault::Retry(failure),
                    false => WriteFault::Refused(failure),
                })?,
        };
        let begun = Instant::now();
        let order = BatchWrite {
            entity: &self.entity,
            fence: &self.fence,
            position: &self.position,
            lo: batch
                .lo
                .as_ref()
                .filter(|lo| Some(*lo) != self.after.as_ref()),
            batch,
            errors,
            retry_count,
            was_bisected,
            retrying: self.retrying.as_ref(),
        };
        let span = info_span!("write", entity = %self.entity.compiled.entity,
            partition_id = %self.fence.partition_id, seq = self.position.seq + 1, rows = batch.rows.len());
        let outcome = write(&mut connection, &order).instrument(span).await;
        match &outcome {
            Ok(written) => {
                self.connection = Some(connection);
                let mut sizer = self.sizer.lock().unwrap_or_else(PoisonError::into_inner);
                let (rows, bytes) = (batch.read(), batch.bytes());
                sizer.observe(rows, bytes, begun.elapsed(), written.round_trip);
                self.run.growth.fetch_max(sizer.growth(), Ordering::Relaxed);
            }
            Err(WriteFault::Row | WriteFault::Smaller) => self.connection = Some(connection),
            // Dropped, not reused: replies of a broken exchange may still be under way.
            Err(WriteFault::Retry(_) | WriteFault::Unknown | WriteFault::Refused(_)) => {}
        }
        outcome
    }

    /// The destination refused rows: they become failures of the batch.
    async fn reject_rows(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        let mut retry_count = 0;
        let bad = loop {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => open(&self.run.destination, Purpose::Write).await?,
            };
            let span = info_span!("write.isolate", rows = batch.rows.len());
            let found = find_bad_rows(&mut connection, &self.entity, &self.fence, batch);
            match found.instrument(span).await {
                Ok(bad) => {
                    self.connection = Some(connection);
                    break bad;
                }
                Err(error) => {
                    let failure = from_sqlx("isolate a bad row", &error);
                    if !is_connection_loss(&error) {
                        return Err(failure);
                    }
                    retry_count += 1;
                    self.wait(retry_count, failure).await?;
                }
            }
        };
        if bad.is_empty() {
            // Neither the rows nor their absence explain the refusal: a fault of the id map or ours.
            return Err(Failure::new(
                FailureKind::Internal,
                "the destination refused a batch and then took each of its rows",
            ));
        }
        if *self.entity.transform.default_action() == RowAction::Fail {
            let (place, code, message, _) = &bad[0];
            return Err(Failure::new(
                FailureKind::RowRefused,
                format!(
                    "row {} is refused ({code}): {message}",
                    batch.keys.get(*place).to_record_id()
                ),
            ));
        }
        batch.reject(bad);
        Ok(())
    }

    async fn wait(&self, retry_count: i32, failure: Failure) -> Result<(), Failure> {
        let limit = i32::try_from(self.run.plan().limits.max_retries).unwrap_or(i32::MAX);
        if retry_count > limit {
            return Err(failure);
        }
        warn!(partition_id = %self.fence.partition_id, retry_count, reason = %failure, "batch is tried again");
        let attempt = u32::try_from(retry_count).unwrap_or(u32::MAX);
        tokio::time::sleep(self.backoff.delay(attempt, rand::random())).await;
        Ok(())
    }

    async fn learn_fate(&self) -> Result<Fate, Failure> {
        let mut retry_count = 0;
        loop {
            match fate_of_batch(&self.run.destination, &self.fence, self.position.seq).await {
                Err(failure) if failure.is_passing() => {
                    retry_count += 1;
                    self.wait(retry_count, failure).await?;
                }
                other => return other,
            }
        }
    }

    /// Takes over what a try whose answer was lost has committed. Where it is not this batch but an
    /// earlier cut of the same rows, everything in hand is of no use: the partition is taken over again.
    async fn adopt(&self, batch: Batch) -> Result<Committed, Failure> {
        let report = self.read_back().await?;
        let hi = batch.hi.as_ref().or(self.position.cursor.as_ref());
        if report.cursor.as_ref() != hi {
            return Err(Failure::new(
                FailureKind::Busy,
                "an earlier try of the same rows came through late",
            ));
        }
        Ok(Committed::Whole(Box::new(report), batch))
    }

    /// The report of a batch whose answer was lost, out of the ledger.
    async fn read_back(&self) -> Result<BatchReport, Failure> {
        let seq = self.position.seq + 1;
        let destination = &self.run.destination;
        let mut connection = open(destination, Purpose::Write).await?;
        let report = read_batch(&mut connection, self.fence.partition_id, seq).await?;
        destination.give_back(Purpose::Write, connection).await;
        Ok(report)
    }

    /// Error rows with their redacted snapshots and ids for the batch's place in the ledger.
    async fn row_errors(
        &mut self,
        batch: &Batch,
        snapshots: &mut HashMap<String, Value>,
    ) -> Result<Vec<RowError>, Failure> {
        let missing: Vec<KeyValue> = batch
            .failures
            .iter()
            .filter(|failure| !snapshots.contains_key(&failure.key.to_record_id()))
            .map(|failure| failure.key.clone())
            .collect();
        if !missing.is_empty() {
            let found =
                read_snapshots(&self.run, &self.entity, &missing, &mut self.inspector).await?;
            snapshots.extend(found);
        }
        let seq = self.position.seq + 1;
        let errors = batch.failures.iter().enumerate().map(|(ordinal, failure)| {
            let name = format!("{}:{seq}:{ordinal}", self.fence.attempt);
            let record_id = failure.key.to_record_id();
            RowError {
                id: Uuid::new_v5(&self.fence.partition_id, name.as_bytes()),
                source_data: snapshots
                    .get(&record_id)
                    .cloned()
                    .unwrap_or_else(|| json!({})),
                source_record_id: record_id,
                error_code: failure.code.clone(),
                error_message: failure.message.clone(),
                context: failure.context.clone(),
                is_held: failure.is_held,
                occurred_at: chrono::DateTime::UNIX_EPOCH,
            }
        });
        Ok(errors.collect())
    }

    fn report(
        &self,
        batch: &Batch,
        mut errors: Vec<RowError>,
        retry_count: i32,
        was_bisected: bool,
        written: &Written,
    ) -> BatchReport {
        for error in &mut errors {
            error.occurred_at = written.started_at;
        }
        let counts = written.counts;
        BatchReport {
            partition_id: self.fence.partition_id,
            entity: self.entity.compiled.entity.clone(),
            attempt: self.fence.attempt,
            seq: self.position.seq + 1,
            token: self.fence.token,
            cursor: batch.hi.clone().or_else(|| self.position.cursor.clone()),
            counts,
            totals: self.totals.plus(&counts),
            retry_count,
            started_at: written.started_at,
            written_at: written.written_at,
            errors,
            was_bisected,
            is_last: batch.is_last,
        }
    }

    fn advance(&mut self, report: &BatchReport) {
        self.position.seq = report.seq;
        self.position.cursor = report.cursor.clone();
        self.position.is_done = report.is_last;
        self.totals = report.totals;
    }
}

enum Committed {
    Whole(Box<BatchReport>, Batch),
    TooLarge(Batch),
}
