//! Reads a partition: one COPY in key order under the run's snapshot, cut into batches.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt;
use proto::domain::catalog::quote_literal;
use proto::domain::compiled::RowAction;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::{KeyRange, KeyValue};
use sqlx::postgres::PgConnection;
use tokio::sync::mpsc;
use tracing::{Instrument, info_span, warn};

use super::isolate::{BadRow, Reading, first_bad_row};
use super::parents;
use super::tuple::{Tuple, TupleReader};
use crate::batch::{Batch, RowFailure};
use crate::connect::{Purpose, close, open, run_sql};
use crate::failure::{During, from_sqlx, read_refusal, sqlstate};
use crate::patience::{InTime, Patience, READ};
use crate::run::{EntityContext, RunContext};
use crate::sizer::BatchSizer;
use crate::spares::LARGE;
use crate::transform::presence::Presence;
use crate::transform::row::{HeldKeys, Scratch};

/// Rows that cannot be read, until they are reported.
const REPORT_AT: usize = 100;

/// What to read, and where to put it.
pub struct ReadJob {
    /// The run.
    pub run: Arc<RunContext>,
    /// The entity.
    pub entity: Arc<EntityContext>,
    /// Keys that are left of the partition.
    pub range: KeyRange,
    /// All keys of the partition.
    pub whole: KeyRange,
    /// Rows of the partition that were read before, here or by an earlier holder.
    pub rows_read: i64,
    /// Keys of failed parents.
    pub held: Arc<HeldKeys>,
    /// Present batch size, moved by the writer.
    pub sizer: Arc<Mutex<BatchSizer>>,
    /// Where batches go; its capacity of one bounds what is in memory.
    pub batches: mpsc::Sender<Batch>,
}

/// How a pass over the stream ended.
enum Pass {
    Ended,
    /// The statement failed on a row behind the batch in hand, with this SQLSTATE.
    RowFault,
}

/// Opens a read-only transaction, under the run's snapshot where there is one. Rows are read in the
/// entity's time zone, keys alone in UTC (`zone` is none).
///
/// # Errors
/// `SnapshotLost` when nobody holds the snapshot any more.
pub async fn begin(run: &RunContext, zone: Option<&str>) -> Result<PgConnection, Failure> {
    let mut connection = open(&run.source, Purpose::Read).await?;
    run.know_source(&mut connection).await?;
    begin_on(&mut connection, run, zone).await?;
    Ok(connection)
}

async fn begin_on(
    connection: &mut PgConnection,
    run: &RunContext,
    zone: Option<&str>,
) -> Result<(), Failure> {
    let mut sql = match &run.order.snapshot {
        Some(snapshot) => format!(
            "begin transaction isolation level repeatable read read only; \
             set transaction snapshot {}",
            quote_literal(snapshot)
        ),
        None => "begin transaction isolation level read committed read only".to_owned(),
    };
    if let Some(zone) = zone {
        sql.push_str(&format!("; set local time zone {}", quote_literal(zone)));
    }
    run_sql(connection, &sql)
        .in_time(READ)
        .await
        .map_err(|error| {
            // An unknown snapshot is class 22 or 42 depending on the server's version, never a row.
            match sqlstate(&error) {
                Some(code) if code.starts_with("22") || code.starts_with("42") => Failure::new(
                    FailureKind::SnapshotLost,
                    "the run's snapshot is gone from the source",
                ),
                _ => from_sqlx("begin to read", &error),
            }
        })
}

/// Reads every row of the job's range and sends it on in batches; the last one is marked.
///
/// The connection is given back when the stream ended cleanly, so that a lane can use it again.
pub async fn read_partition(
    mut job: ReadJob,
    mut connection: Option<PgConnection>,
) -> Result<Option<PgConnection>, Failure> {
    let presence = parents::presence(&job.run, &job.entity).await?;
    let mut position = job.range.after.clone();
    let mut batch = Batch {
        lo: position.clone(),
        ..job.run.spares.take()
    };
    // A row that cannot be read, once all rows before it were.
    let mut pending: Option<BadRow> = None;
    loop {
        let upto = match &pending {
            Some(bad) => bad.before.clone(),
            None => job.range.upto.clone(),
        };
        let range = KeyRange {
            after: position.clone(),
            upto,
        };
        let mut current = begin_again(&job, connection.take()).await?;
        match stream_range(&mut job, &mut current, (&range, &presence), &mut batch).await? {
            Pass::Ended => {
                if pending.is_none() {
                    finish(&mut job, &mut current, batch).await?;
                    run_sql(&mut current, "commit")
                        .in_time(READ)
                        .await
                        .during("end the read")?;
                    return Ok(Some(current));
                }
                run_sql(&mut current, "commit")
                    .in_time(READ)
                    .await
                    .during("end the read")?;
                connection = Some(current);
            }
            Pass::RowFault => {
                close(current).await;
                // A sort fails before it gives a row: what stands before the bad one is still to read.
                position = batch.hi.clone().or(batch.lo.clone());
                let rest = KeyRange {
                    after: position.clone(),
                    upto: range.upto,
                };
                let reading = Reading {
                    run: &job.run,
                    rule: &job.entity.compiled.read,
                    more: parents::more_fields(&job.entity, &presence),
                };
                let bad = first_bad_row(&reading, &rest).await?;
                let has_rows_before = bad.before.is_some() && bad.before != position;
                pending = Some(bad);
                if has_rows_before {
                    continue;
                }
            }
        }
        if let Some(bad) = pending.take() {
            position = Some(bad.failure.key.clone());
            refuse_if_told(&job, &bad.failure)?;
            push_bad(&mut batch, bad.failure);
            // Where most rows cannot be read, they are reported and judged soon.
            if batch.failures.len() >= REPORT_AT || is_full(&job.sizer, &batch) {
                send(&mut job, &mut batch).await?;
            }
        }
    }
}

/// A transaction on a kept connection, or on a new one where that is gone.
async fn begin_again(job: &ReadJob, kept: Option<PgConnection>) -> Result<PgConnection, Failure> {
    let zone = job.entity.compiled.read.time_zone.as_deref();
    let Some(mut kept) = kept else {
        return begin(&job.run, zone).await;
    };
    match begin_on(&mut kept, &job.run, zone).await {
        Ok(()) => Ok(kept),
        Err(failure) if failure.kind == FailureKind::SnapshotLost => Err(failure),
        Err(_) => begin(&job.run, zone).await,
    }
}

/// `on_row_error: fail` stops at a row that cannot be read, as at any other.
fn refuse_if_told(job: &ReadJob, failure: &RowFailure) -> Result<(), Failure> {
    if *job.entity.transform.default_action() != RowAction::Fail {
        return Ok(());
    }
    let (key, code) = (failure.key.to_record_id(), &failure.code);
    let words = format!("row {key} is refused ({code}): {}", failure.message);
    Err(Failure::new(FailureKind::RowRefused, words))
}

fn push_bad(batch: &mut Batch, bad: RowFailure) {
    batch.hi = Some(bad.key.clone());
    batch.failures.push(RowFailure {
        at: batch.rows.len(),
        ..bad
    });
}

async fn stream_range(
    job: &mut ReadJob,
    connection: &mut PgConnection,
    (range, presence): (&KeyRange, &Presence),
    batch: &mut Batch,
) -> Result<Pass, Failure> {
    let more = parents::more_fields(&job.entity, presence);
    let select = job
        .entity
        .compiled
        .read
        .select_with(range, &job.run.constants, &more);
    let copy = format!("copy ({select}\n) to stdout (format binary)");
    let mut stream = match connection.copy_out_raw(&copy).in_time(READ).await {
        Ok(stream) => stream,
        Err(error) => return row_fault(&error),
    };
    let mut patience = Patience::new(READ);
    let mut reader = TupleReader::default();
    let mut tuple = Tuple::default();
    let mut scratch = Scratch::default();
    let mut limits = limits(&job.sizer);
    let transform = info_span!("transform", entity = %job.entity.compiled.entity);
    let mut is_large = false;
    loop {
        if is_large && batch.large.is_none() {
            batch.large = job.run.spares.large_permit().await;
        }
        let chunk: Bytes = match patience.wait(stream.try_next()).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) => {
                batch.hi = scratch.last_key().or(batch.hi.take());
                return row_fault(&error);
            }
        };
        reader.push(chunk);
        while reader.next(&mut tuple)? {
            let append = || {
                job.entity
                    .transform
                    .append(&mut tuple, (&job.held, presence), &mut scratch, batch)
            };
            transform.in_scope(append)?;
            if tuple.bytes() >= LARGE {
                is_large = true;
                tuple.release();
            }
            if batch.read() >= limits.0 || batch.bytes() >= limits.1 {
                batch.hi = scratch.last_key();
                send(job, batch).await?;
                limits = self::limits(&job.sizer);
            }
        }
    }
    if !reader.has_ended() {
        return Err(Failure::new(
            FailureKind::Unreachable,
            "the source's answer was cut short",
        ));
    }
    batch.hi = scratch
        .last_key()
        .filter(|_| batch.read() > 0)
        .or(batch.hi.take());
    Ok(Pass::Ended)
}

/// A data error of one row is isolated; everything else ends the read.
fn row_fault(error: &sqlx::Error) -> Result<Pass, Failure> {
    match read_refusal(error) {
        Some(_) => Ok(Pass::RowFault),
        None => Err(from_sqlx("read rows", error)),
    }
}

/// Rows and bytes at which a batch is full now.
fn limits(sizer: &Mutex<BatchSizer>) -> (usize, usize) {
    let sizer = sizer.lock().unwrap_or_else(PoisonError::into_inner);
    sizer.limits()
}

fn is_full(sizer: &Mutex<BatchSizer>, batch: &Batch) -> bool {
    let (rows, bytes) = limits(sizer);
    batch.read() >= rows || batch.bytes() >= bytes
}

/// Sends the batch on; what is left in `batch` is empty and starts behind it.
async fn send(job: &mut ReadJob, batch: &mut Batch) -> Result<(), Failure> {
    let lo: Option<KeyValue> = batch.hi.clone();
    let next = Batch {
        lo,
        ..job.run.spares.take()
    };
    let full = std::mem::replace(batch, next);
    tell_dropped(job, &full);
    job.rows_read += full.counts().read;
    // The writer is gone only when it failed, and then its failure is the one that counts.
    let slot = job.batches.reserve().await.map_err(|_| writer_gone())?;
    slot.send(full);
    // The next batch is read once the writer has taken this one: two in memory, no more.
    job.batches
        .reserve()
        .await
        .map(drop)
        .map_err(|_| writer_gone())
}

async fn finish(
    job: &mut ReadJob,
    connection: &mut PgConnection,
    mut batch: Batch,
) -> Result<(), Failure> {
    if let Some(count) = job
        .entity
        .compiled
        .read
        .count_filtered(&job.whole, &job.run.constants)
    {
        // Once, at the end and for the whole partition: an earlier holder counted none of it.
        let filtered = sqlx::query_scalar(&count)
            .fetch_one(&mut *connection)
            .in_time(READ)
            .instrument(info_span!("read.filtered"))
            .await;
        batch.filtered = match filtered {
            Ok(filtered) => filtered,
            // It fails for a row that is set aside: what was neither read nor set aside was left out.
            Err(error) if read_refusal(&error).is_some() => {
                *connection = begin(&job.run, None).await?;
                let all = job.entity.compiled.read.count_all(&job.whole);
                let all: i64 = sqlx::query_scalar(&all)
                    .fetch_one(&mut *connection)
                    .in_time(READ)
                    .await
                    .during("count the rows of a partition")?;
                (all - job.rows_read - batch.counts().read).max(0)
            }
            Err(error) => return Err(error).during("count the rows that `where` leaves out"),
        };
    }
    batch.is_last = true;
    tell_dropped(job, &batch);
    job.batches.send(batch).await.map_err(|_| writer_gone())
}

/// Says how many elements of arrays a batch leaves out: they are no error of a row, and not lost unseen.
fn tell_dropped(job: &ReadJob, batch: &Batch) {
    if batch.dropped > 0 {
        let (entity, elements) = (&job.entity.compiled.entity, batch.dropped);
        warn!(%entity, elements, "references in arrays are left out: the rows they mean are not there");
    }
}

fn writer_gone() -> Failure {
    Failure::new(FailureKind::Fenced, "the writer stopped")
}
