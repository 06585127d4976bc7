//! Works on one partition: the page to read first.
//!
//! Two tasks overlap: one reads and transforms, the other writes, checkpoints and reports. Between
//! them stands a channel of one batch, so a slow destination slows the reader and nothing piles up.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{AgentFrame, Assignment, BatchReport, Release};
use sqlx::postgres::PgConnection;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use crate::batch::{Batch, count};
use crate::connect::{Purpose, open};
use crate::outbox::Outbox;
use crate::pipe::{ReadPipe, Wanted};
use crate::run::{EntityContext, RunContext};
use crate::sink::fence::{Fence, Position, take_over};
use crate::sink::ledger::{read_batch, read_totals, take_held_keys};
use crate::sink::matches::know_overrides;
use crate::sink::persist::PartitionWriter;
use crate::sizer::BatchSizer;
use crate::throttle::{lock, pace};
use crate::transform::row::HeldKeys;

/// A claimed partition.
pub struct Claim {
    /// What the controller asked for.
    pub assignment: Assignment,
    /// Token minted with the lease.
    pub token: i64,
}

/// Works on a partition until it is done, drained or failed; says why it ended.
pub async fn work(
    run: &Arc<RunContext>,
    claim: &Claim,
    outbox: &Outbox,
    drain: &CancellationToken,
) -> Release {
    let span = info_span!("partition", entity = %claim.assignment.entity,
        partition_id = %claim.assignment.partition_id, token = claim.token);
    match move_rows(run, claim, outbox, drain).instrument(span).await {
        Ok(true) => Release::Done,
        Ok(false) => Release::Drained,
        Err(failure) if failure.kind == FailureKind::Fenced => Release::Stale,
        Err(failure) => Release::Failed(failure),
    }
}

/// True when the partition has no row left, false when it was drained before that.
async fn move_rows(
    run: &Arc<RunContext>,
    claim: &Claim,
    outbox: &Outbox,
    drain: &CancellationToken,
) -> Result<bool, Failure> {
    let entity = run.entity(&claim.assignment.entity)?;
    let fence = fence(run, claim);
    let mut destination = open(&run.destination, Purpose::Write).await?;
    let position = take_over(&mut destination, &fence)
        .instrument(info_span!("lease"))
        .await?;
    report_claim(outbox, claim, &position).await;
    if position.is_done {
        // Its last report may have been lost with its holder; reports are taken once.
        let last = read_batch(&mut destination, fence.partition_id, position.seq).await?;
        report(outbox, claim, vec![last]).await;
        run.destination.give_back(Purpose::Write, destination).await;
        return Ok(true);
    }
    let totals = read_totals(&mut destination, fence.partition_id).await?;
    let held = held_keys(run, &entity, &mut destination).await?;
    know_overrides(run, &entity, &fence, &mut destination).await?;
    lock(&run.throttle).set_rate(claim.assignment.max_rows_per_second);
    let sizer = sizer(run, &entity);
    let wanted = Wanted {
        whole: claim.assignment.range.clone(),
        cursor: position.cursor.clone(),
        rows_read: totals.read,
        held,
        sizer: sizer.clone(),
    };
    let mut pipe = ReadPipe::start(run, &entity, wanted);
    let mut writer = PartitionWriter::new(
        run.clone(),
        entity,
        (fence, claim.assignment.range.after.clone()),
        position,
        totals,
        sizer,
        destination,
    );
    while let Some(batch) = next_batch(&mut pipe, drain).await? {
        report_progress(outbox, claim, batch.read(), None);
        let tell = |words| report_progress(outbox, claim, batch.read(), Some(words));
        tokio::select! {
            biased;
            () = drain.cancelled() => break,
            paced = pace(run, batch.read(), tell) => paced?,
        }
        let (reports, used) = writer.persist(batch).await?;
        run.spares.give_back(used);
        if report(outbox, claim, reports).await {
            writer.end().await;
            if let Some(source) = pipe.finish().await? {
                run.source.give_back(Purpose::Read, source).await;
            }
            return Ok(true);
        }
    }
    writer.end().await;
    Ok(false)
}

/// The entity's sizes of batches: as the plan says at first, no larger than the throttle lets through in a
/// second, and at once as large as others have become because the destination is far.
fn sizer(run: &RunContext, entity: &EntityContext) -> Arc<Mutex<BatchSizer>> {
    let size = entity.compiled.settings.batch_size;
    let new = || {
        let cap = lock(&run.throttle).rate().unwrap_or(u32::MAX);
        let growth = run.growth.load(Ordering::Relaxed);
        Arc::new(Mutex::new(BatchSizer::capped(size, cap).grown(growth)))
    };
    entity.sizer.get_or_init(new).clone()
}

fn fence(run: &RunContext, claim: &Claim) -> Fence {
    Fence {
        partition_id: claim.assignment.partition_id,
        attempt: run.order.attempt,
        token: claim.token,
        holder: run.holder,
        entity_hash: claim.assignment.entity_hash.clone(),
    }
}

/// The next batch; none when the lane is to drain.
async fn next_batch(
    pipe: &mut ReadPipe,
    drain: &CancellationToken,
) -> Result<Option<Batch>, Failure> {
    tokio::select! {
        biased;
        () = drain.cancelled() => Ok(None),
        batch = pipe.next() => batch.map(Some),
    }
}

/// Keys of the parents' failed rows: loaded once per entity, since its parents are complete.
async fn held_keys(
    run: &RunContext,
    entity: &EntityContext,
    destination: &mut PgConnection,
) -> Result<Arc<HeldKeys>, Failure> {
    if let Some(held) = entity.held.get() {
        return Ok(held.clone());
    }
    let parents = &entity.compiled.parents;
    let held = Arc::new(take_held_keys(destination, run.order.migration_id, parents).await?);
    // Another lane may have loaded the same keys meanwhile.
    Ok(entity.held.get_or_init(|| async { held }).await.clone())
}

/// Tells how much is under way; lost when the channel is full, since a batch will tell more.
fn report_progress(outbox: &Outbox, claim: &Claim, rows: usize, throttle: Option<String>) {
    let partition_id = claim.assignment.partition_id;
    let progress = AgentFrame::Progress {
        migration_id: claim.assignment.migration_id,
        partition_id,
        rows_in_flight: count(rows),
        throttle,
    };
    outbox.progress(partition_id, progress);
}

async fn report_claim(outbox: &Outbox, claim: &Claim, position: &Position) {
    let claimed = AgentFrame::Claimed {
        migration_id: claim.assignment.migration_id,
        partition_id: claim.assignment.partition_id,
        generation: claim.assignment.generation,
        token: claim.token,
        seq: position.seq,
    };
    outbox.send(claimed).await;
}

/// Reports batches; true when one of them was the partition's last.
async fn report(outbox: &Outbox, claim: &Claim, reports: Vec<BatchReport>) -> bool {
    let mut is_last = false;
    for report in reports {
        is_last |= report.is_last;
        let batch = AgentFrame::Batch {
            migration_id: claim.assignment.migration_id,
            report: Box::new(report),
        };
        outbox.send(batch).instrument(info_span!("report")).await;
    }
    is_last
}
