//! An agent that holds a lease in etcd and a stream to a controller as a real one does, and does no work.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::SinkExt;
use futures::channel::mpsc;
use proto::domain::compiled::CODEC_VERSION;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{AgentFrame, ControllerFrame, Hello, Release};
use proto::lease::{AgentEntry, EtcdLeaseStore, LeaseStore};
use proto::pb::agent_stream::SessionRequest;
use proto::pb::agent_stream::agent_session_service_client::AgentSessionServiceClient;
use proto::wire::agent_stream::{read_order, write_frame};
use tokio::time::{Instant, interval_at};
use tonic::transport::Channel;
use uuid::Uuid;

/// A real agent at work tells progress once a batch, and sizes batches to take below two seconds.
const PROGRESS: Duration = Duration::from_secs(1);
/// Frames that may be under way.
const LINK: usize = 64;

/// The agent of that number, from 0: a new process.
pub fn entry(at: usize) -> AgentEntry {
    let region = ["eu", "us", "ap"][at % 3];
    let zone = format!("{region}-{}", at % 2);
    AgentEntry {
        holder: Uuid::new_v4(),
        agent_id: format!("load-{:04}", at + 1),
        region: region.to_owned(),
        labels: BTreeMap::from([("zone".to_owned(), zone)]),
        connections: vec!["app".to_owned(), "legacy".to_owned()],
        capacity: 2,
        codec_version: CODEC_VERSION,
    }
}

fn hello(entry: AgentEntry) -> AgentFrame {
    AgentFrame::Hello(Hello {
        holder: entry.holder,
        agent_id: entry.agent_id,
        region: entry.region,
        labels: entry.labels,
        connections: entry.connections,
        capacity: entry.capacity,
        codec_version: entry.codec_version,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        held: Vec::new(),
        snapshots: Vec::new(),
    })
}

/// Takes part until the stream or the lease is lost.
///
/// # Errors
/// Always: why it ended.
pub async fn attend(
    mut client: AgentSessionServiceClient<Channel>,
    lease: &EtcdLeaseStore,
    entry: AgentEntry,
) -> Result<Infallible> {
    let membership = lease.join(entry.clone()).await.context("join")?;
    let (mut frames, outgoing) = mpsc::channel(LINK);
    say(&mut frames, hello(entry)).await?;
    let opened = client.session(outgoing).await.context("open a stream")?;
    let mut orders = opened.into_inner();
    let (migration_id, partition_id) = (Uuid::new_v4(), Uuid::new_v4());
    let start = Instant::now() + PROGRESS.mul_f64(rand::random());
    let mut ticks = interval_at(start, PROGRESS);
    let mut rows_in_flight = 0;
    loop {
        tokio::select! {
            () = membership.lost.cancelled() => bail!("the lease is lost"),
            _ = ticks.tick() => {
                rows_in_flight += 1000;
                let progress = AgentFrame::Progress { migration_id, partition_id, rows_in_flight, throttle: None };
                say(&mut frames, progress).await?;
            }
            order = orders.message() => {
                let order = order.context("the stream broke")?.context("the stream ended")?;
                if let Some(frame) = answer(read_order(order)?.frame) {
                    say(&mut frames, frame).await?;
                }
            }
        }
    }
}

/// What follows from an order: no work is done here.
fn answer(order: ControllerFrame) -> Option<AgentFrame> {
    let failure = Failure::new(FailureKind::Internal, "a simulated agent does no work");
    match order {
        ControllerFrame::Assign(assignment) => Some(AgentFrame::Released {
            migration_id: assignment.migration_id,
            partition_id: assignment.partition_id,
            generation: assignment.generation,
            reason: Release::Failed(failure),
        }),
        ControllerFrame::Query(call) => Some(AgentFrame::QueryResult {
            query_id: call.query_id,
            result: Err(failure),
        }),
        ControllerFrame::Welcome { .. }
        | ControllerFrame::Run(_)
        | ControllerFrame::Drain { .. }
        | ControllerFrame::Forget { .. }
        | ControllerFrame::Acknowledge { .. } => None,
    }
}

async fn say(frames: &mut mpsc::Sender<SessionRequest>, frame: AgentFrame) -> Result<()> {
    for message in write_frame(frame)? {
        frames.send(message).await.context("the stream is closed")?;
    }
    Ok(())
}
