//! Tries rows again that failed: read by key as the source is now, by the same rules, written in fenced batches of
//! a partition of their own. What becomes of their errors commits with the rows.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{Counts, Resolved, Retried, RetriedFate, RetryOrder};
use proto::domain::key::KeyValue;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use tracing::{Instrument, info_span};
use uuid::Uuid;

use super::fence::{Fence, Position, take_over};
use super::ledger::{read_batches, read_totals, take_held_keys};
use super::matches::know_overrides;
use super::persist::PartitionWriter;
use super::sequences::move_sequences;
use super::settle::settle_retried;
use super::waiting::still_waiting;
use crate::batch::Batch;
use crate::connect::{Purpose, open};
use crate::failure::During;
use crate::patience::{InTime, WRITE};
use crate::run::{EntityContext, RunContext};
use crate::sizer::BatchSizer;
use crate::source::again::{Again, begin_now};

/// Rows of one batch: whatever their size, they fit into memory.
const TOGETHER: usize = 100;

/// An error of a row that is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    error_id: Uuid,
    is_held: bool,
}

/// The errors that a retry is about, as long as it is written.
#[derive(Debug, Default)]
pub struct Retrying {
    /// By record id.
    open: HashMap<String, Vec<Open>>,
    /// Rows that were read: the others are gone.
    seen: HashSet<String>,
}

/// Tries rows again; where that was done before, tells what came of it.
///
/// # Errors
/// `Fenced` where somebody else tries them; what the source or the destination refuses.
pub async fn retry(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
    order: &RetryOrder,
) -> Result<Retried, Failure> {
    let mut destination = open(&run.destination, Purpose::Write).await?;
    store_partition(&mut destination, run, entity, order).await?;
    if !order.is_work {
        run.destination.give_back(Purpose::Write, destination).await;
        return Ok(Retried {
            batches: Vec::new(),
            resolved: Vec::new(),
        });
    }
    let fence = Fence {
        partition_id: order.partition_id,
        attempt: run.order.attempt,
        token: order.token,
        holder: run.holder,
        entity_hash: entity.compiled.hash.clone(),
    };
    let position = take_over(&mut destination, &fence).await?;
    if !position.is_done {
        let span = info_span!("retry", entity = %entity.compiled.entity, rows = order.keys.len());
        write(run, entity, (&fence, position, order))
            .instrument(span)
            .await?;
        finish(&mut destination, run, entity).await?;
    }
    let found = Retried {
        batches: read_batches(&mut destination, order.partition_id, 0, u32::MAX).await?,
        resolved: read_resolved(&mut destination, order.partition_id).await?,
    };
    run.destination.give_back(Purpose::Write, destination).await;
    Ok(found)
}

/// Every batch from where the partition stands.
async fn write(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
    (fence, position, order): (&Fence, Position, &RetryOrder),
) -> Result<(), Failure> {
    let mut destination = open(&run.destination, Purpose::Write).await?;
    let keys = keys(entity, order)?;
    let retrying = read_open(&mut destination, entity, (run.order.attempt, &order.keys)).await?;
    let waiting = still_waiting(
        &mut destination,
        run,
        (&entity.compiled.entity, &retrying.ids()),
    )
    .await?;
    let retrying = retrying.without(&waiting);
    let parents = &entity.compiled.parents;
    let held = take_held_keys(&mut destination, run.order.migration_id, parents).await?;
    know_overrides(run, entity, fence, &mut destination).await?;
    let totals = read_totals(&mut destination, fence.partition_id).await?;
    let after = position.cursor.clone();
    let sizer = Arc::new(Mutex::new(BatchSizer::capped(u32::MAX, u32::MAX)));
    let mut writer = PartitionWriter::new(
        run.clone(),
        entity.clone(),
        (fence.clone(), None),
        position,
        totals,
        sizer,
        destination,
    )
    .retrying(retrying, begin_now(run, None).await?);
    let again = Again {
        run,
        entity,
        held: &held,
    };
    let mut lo = after.clone();
    let mut source = None;
    let mut chunks = left(&keys, after.as_ref()).chunks(TOGETHER).peekable();
    // One batch at least, so that the partition ends.
    loop {
        let chunk = chunks.next().unwrap_or_default();
        let open: Vec<KeyValue> = chunk
            .iter()
            .filter(|key| writer.is_open(&key.to_record_id()))
            .cloned()
            .collect();
        let mut batch = Batch {
            lo: lo.clone(),
            ..Batch::default()
        };
        if !open.is_empty() {
            source = Some(again.read(&open, source.take(), &mut batch).await?);
        }
        batch.hi = chunk.last().cloned().or(lo.take());
        let is_end = chunks.peek().is_none();
        // What refers to later rows is looked at before the end.
        batch.is_last = is_end && entity.compiled.late.is_empty();
        lo.clone_from(&batch.hi);
        writer.note_read(&batch);
        writer.persist(batch).await?;
        if is_end {
            break;
        }
    }
    if !entity.compiled.late.is_empty() {
        let mut looking = open(&run.destination, Purpose::Write).await?;
        let at = (fence, writer.position().clone());
        let position = settle_retried(&mut looking, run, entity, at).await?;
        run.destination.give_back(Purpose::Write, looking).await;
        writer.moved_to(position);
        let end = Batch {
            lo: lo.clone(),
            hi: lo,
            is_last: true,
            ..Batch::default()
        };
        writer.persist(end).await?;
    }
    writer.end().await;
    if let Some(source) = source {
        crate::connect::close(source).await;
    }
    Ok(())
}

fn keys(entity: &EntityContext, order: &RetryOrder) -> Result<Vec<KeyValue>, Failure> {
    let width = entity.compiled.read.key.len();
    let keys = order
        .keys
        .iter()
        .map(|id| KeyValue::from_record_id(id, width));
    keys.collect::<Option<_>>()
        .ok_or_else(|| Failure::new(FailureKind::Internal, "a stored key cannot be read"))
}

/// The keys behind the one that was accounted for last.
fn left<'a>(keys: &'a [KeyValue], after: Option<&KeyValue>) -> &'a [KeyValue] {
    let done = after.and_then(|after| keys.iter().position(|key| key == after));
    keys.get(done.map_or(0, |at| at + 1)..).unwrap_or_default()
}

async fn store_partition(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
    order: &RetryOrder,
) -> Result<(), Failure> {
    sqlx::query(
        "insert into drover.partition (partition_id, entity_no, attempt, round, number, entity_hash, keys) \
         select $1, e.entity_no, $3, e.round, $4, $5, $6 from drover.entity e where e.entity_no = $2 \
         on conflict (partition_id) do nothing",
    )
    .bind(order.partition_id)
    .bind(entity.entity_no)
    .bind(run.order.attempt)
    .bind(order.number)
    .bind(&entity.compiled.hash)
    .bind(Json(&order.keys))
    .execute(connection)
    .in_time(WRITE)
    .await
    .map(drop)
    .during("store the partition of a retry")
}

/// The errors of these rows that stand.
async fn read_open(
    connection: &mut PgConnection,
    entity: &EntityContext,
    (attempt, keys): (i32, &[String]),
) -> Result<Retrying, Failure> {
    let rows: Vec<(String, Uuid, bool)> = sqlx::query_as(
        "select source_record_id, id, is_held from drover.error \
         where entity_no = $1 and attempt = $2 and source_record_id = any($3) and not is_resolved",
    )
    .bind(entity.entity_no)
    .bind(attempt)
    .bind(keys)
    .fetch_all(connection)
    .in_time(WRITE)
    .await
    .during("read the errors of a retry")?;
    let mut retrying = Retrying::default();
    for (key, error_id, is_held) in rows {
        let open = Open { error_id, is_held };
        retrying.open.entry(key).or_default().push(open);
    }
    Ok(retrying)
}

async fn read_resolved(
    connection: &mut PgConnection,
    partition_id: Uuid,
) -> Result<Vec<Resolved>, Failure> {
    let rows: Vec<(Uuid, String, String)> = sqlx::query_as(
        "select id, source_record_id, resolution from drover.error \
         where resolved_by = $1 and resolution is not null order by source_record_id, id",
    )
    .bind(partition_id)
    .fetch_all(connection)
    .in_time(WRITE)
    .await
    .during("read what became of a retry")?;
    let resolved = rows.into_iter().map(|(error_id, source_record_id, fate)| {
        let fate = RetriedFate::parse(&fate)?;
        Some(Resolved {
            error_id,
            source_record_id,
            fate,
        })
    });
    resolved
        .collect::<Option<_>>()
        .ok_or_else(|| Failure::new(FailureKind::Internal, "what became of a row cannot be read"))
}

/// After the load the application's next INSERT must not meet a row of ours; before, the rebuild sees to that.
async fn finish(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
) -> Result<(), Failure> {
    let is_finished: Option<bool> =
        sqlx::query_scalar("select is_finished from drover.migration where migration_id = $1")
            .bind(run.order.migration_id)
            .fetch_optional(&mut *connection)
            .in_time(WRITE)
            .await
            .during("look whether the load is over")?;
    match is_finished {
        Some(true) => move_sequences(connection, &entity.compiled).await,
        Some(false) | None => Ok(()),
    }
}

impl Retrying {
    /// Whether the row's error stands.
    pub fn is_open(&self, record_id: &str) -> bool {
        self.open.contains_key(record_id)
    }

    /// The errors.
    fn ids(&self) -> Vec<Uuid> {
        let open = self.open.values().flatten();
        open.map(|one| one.error_id).collect()
    }

    /// Leaves rows out: their errors stay as they are.
    fn without(mut self, waiting: &HashSet<String>) -> Self {
        self.open
            .retain(|record_id, _| !waiting.contains(record_id));
        self
    }

    /// Notes the rows of a batch: they are there.
    pub fn note_read(&mut self, batch: &Batch) {
        self.seen.extend(written(batch));
        self.seen.extend(failed(batch));
    }

    /// In the batch's transaction: what becomes of the errors, and of the counters. A row that is there now moves
    /// from failed to written; one that failed again stays where it is.
    ///
    /// # Errors
    /// The destination's.
    pub async fn resolve(
        &self,
        connection: &mut PgConnection,
        (fence, batch): (&Fence, &Batch),
        counts: Counts,
    ) -> Result<Counts, sqlx::Error> {
        let (mut ids, mut fates, mut were_held) = (Vec::new(), Vec::new(), 0);
        let mut mark = |record_id: &str, fate: RetriedFate| {
            let open = self.open.get(record_id).map_or(&[][..], Vec::as_slice);
            for one in open {
                ids.push(one.error_id);
                fates.push(fate.as_str());
            }
            open.iter().any(|one| one.is_held)
        };
        for record_id in written(batch) {
            were_held += i64::from(mark(&record_id, RetriedFate::Written));
        }
        for record_id in failed(batch) {
            were_held += i64::from(mark(&record_id, RetriedFate::Superseded));
        }
        if batch.is_last {
            let gone = self.open.keys().filter(|key| !self.seen.contains(*key));
            for record_id in gone {
                mark(record_id, RetriedFate::Gone);
            }
        }
        sqlx::query(
            "update drover.error e set is_resolved = true, resolution = r.fate, resolved_by = $1 \
             from unnest($2::uuid[], $3::text[]) as r (id, fate) where e.id = r.id and not e.is_resolved",
        )
        .bind(fence.partition_id)
        .bind(&ids)
        .bind(&fates)
        .execute(connection)
        .in_time(WRITE)
        .await?;
        let arrived = counts.written + counts.skipped;
        Ok(Counts {
            read: 0,
            failed: -arrived,
            held: counts.held - were_held,
            filtered: 0,
            ..counts
        })
    }
}

/// Record ids of the rows of a batch that are good so far.
fn written(batch: &Batch) -> impl Iterator<Item = String> + '_ {
    (0..batch.rows.len()).map(|row| batch.keys.get(row).to_record_id())
}

/// Record ids of the rows of a batch that failed.
fn failed(batch: &Batch) -> impl Iterator<Item = String> + '_ {
    batch
        .failures
        .iter()
        .map(|failure| failure.key.to_record_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_goes_on_behind_the_key_that_was_accounted_for_last() {
        let key = |text: &str| KeyValue(vec![text.to_owned()]);
        let keys = ["9", "2", "5"].map(key);
        assert_eq!(left(&keys, None), keys);
        assert_eq!(left(&keys, Some(&key("2"))), [key("5")]);
        assert!(left(&keys, Some(&key("5"))).is_empty());
        assert_eq!(left(&keys, Some(&key("7"))).len(), 3);
    }
}
