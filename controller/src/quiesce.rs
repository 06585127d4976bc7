//! Has a migration stand still whatever it stands for: agents give back what they hold, and what they keep is
//! sealed. Nothing is prepared and nothing is read, so that it works where a run would block.

use std::time::Duration;

use proto::domain::failure::Failure;
use proto::domain::frame::{AgentFrame, DestinationState, Query, QueryAnswer};
use proto::lease::{Control, LeaseStore};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::info;
use uuid::Uuid;

use crate::era::{self, lease_failure};
use crate::fleet::{News, misfit};
use crate::prepare::{Job, SHORT, read_state};
use crate::reconcile::{Ending, Wish};
use crate::supervise::Surroundings;

/// How long agents may take to give back what they hold; what they keep is sealed then.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(60);
/// Partitions that are sealed by one question.
pub const SEALED_TOGETHER: usize = 100;
/// How often it is looked who still holds something.
const LOOK: Duration = Duration::from_millis(100);

/// Drains and seals a migration; `Paused` once nothing can commit any more, or what was wished meanwhile.
///
/// # Errors
/// The metadata's, the lease store's, and the agents': it may be tried again.
pub async fn quiesce<L: LeaseStore>(
    job: &Job,
    around: &Surroundings<L>,
    inbox: &mut mpsc::Receiver<News>,
) -> Result<Ending, Failure> {
    let id = job.migration.id;
    let Some(state) = read_state(&job.crew, &job.compiled.name).await? else {
        return Ok(Ending::Paused);
    };
    era::settle(
        &job.store,
        &*around.lease,
        &around.leadership,
        state.highest_token,
    )
    .await?;
    let control = Control {
        generation: job.migration.generation,
        attempt: job.migration.attempt,
        is_open: false,
    };
    around
        .lease
        .set_control(&around.leadership, id, control)
        .await
        .map_err(|error| lease_failure(&error))?;
    job.crew.drain();
    if let Some(ending) = drained(job, around, inbox).await? {
        return Ok(ending);
    }
    let state = read_state(&job.crew, &job.compiled.name).await?;
    let state = state.ok_or_else(misfit)?;
    seal(job, around, &state).await?;
    job.catch_up(&state.partitions).await?;
    info!("nothing can commit any more");
    Ok(Ending::Paused)
}

/// Waits until nobody holds a partition, or the time for it is over; an ending where something else is wished.
async fn drained<L: LeaseStore>(
    job: &Job,
    around: &Surroundings<L>,
    inbox: &mut mpsc::Receiver<News>,
) -> Result<Option<Ending>, Failure> {
    let begun = Instant::now();
    let mut wishes = around.wishes.clone();
    loop {
        match *wishes.borrow_and_update() {
            Wish::Pause => {}
            Wish::Run | Wish::Stop => return Ok(Some(Ending::Interrupted)),
            Wish::Abandon => return Ok(Some(Ending::Abandoned)),
        }
        let owners = around.lease.owners(job.migration.id).await;
        let owners = owners.map_err(|error| lease_failure(&error))?;
        let seconds = job.store.drain_seconds(job.migration.id).await;
        let seconds = seconds.map_err(|error| error.failure())?;
        if (owners.is_empty() && !is_held(job)) || begun.elapsed() >= within(seconds) {
            return Ok(None);
        }
        tokio::select! {
            Some(news) = inbox.recv() => hear(job, news),
            _ = wishes.changed() => {}
            () = sleep(LOOK) => {}
        }
    }
}

/// How long agents may take.
pub fn within(seconds: Option<i32>) -> Duration {
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(DRAIN_WITHIN, Duration::from_secs)
}

fn is_held(job: &Job) -> bool {
    let id = job.migration.id;
    let members = job.crew.fleet().members();
    members
        .iter()
        .any(|member| member.is_connected && member.held.iter().any(|held| held.migration_id == id))
}

/// What agents report meanwhile is in the ledger; they may go on reporting.
fn hear(job: &Job, news: News) {
    if let News::Frame { holder, frame } = news
        && matches!(frame, AgentFrame::Batch { .. })
    {
        job.crew.acknowledge(holder, 1);
    }
}

async fn seal<L: LeaseStore>(
    job: &Job,
    around: &Surroundings<L>,
    state: &DestinationState,
) -> Result<(), Failure> {
    let open: Vec<Uuid> = state
        .partitions
        .iter()
        .filter(|part| !part.is_done)
        .map(|part| part.partition_id)
        .collect();
    // One question at least: it ends what a lost agent left building, too.
    let chunks = open.chunks(SEALED_TOGETHER).map(<[Uuid]>::to_vec);
    for partitions in chunks.chain(open.is_empty().then(Vec::new)) {
        let token = around
            .lease
            .mint(&around.leadership)
            .await
            .map_err(|error| lease_failure(&error))?;
        let query = Query::Seal {
            partitions,
            attempt: job.migration.attempt,
            token,
        };
        match job.ask(query, SHORT).await? {
            QueryAnswer::Done => {}
            _ => return Err(misfit()),
        }
    }
    Ok(())
}
