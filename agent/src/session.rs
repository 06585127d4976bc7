//! An agent's conversation with a controller: frames in, work out.
//!
//! Assignments go to lanes through a bounded queue, each query gets a task of its own, and one
//! channel carries everything back in order.

use std::sync::Arc;

use proto::domain::compiled::CODEC_VERSION;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{AgentFrame, Assignment, ControllerFrame, Hello, Release};
use proto::lease::LeaseStore;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::query::Desk;
use crate::worker::{Claim, work};

/// Assignments that wait for a lane.
const QUEUE: usize = 256;

/// What a session works with.
pub struct Session<L> {
    /// Connections, snapshot and run.
    pub desk: Arc<Desk>,
    /// Lease store.
    pub lease: Arc<L>,
    /// Lanes.
    pub capacity: u32,
    /// Name and region, for the greeting.
    pub agent_id: String,
    /// Region.
    pub region: String,
}

type Queue = Arc<Mutex<mpsc::Receiver<Assignment>>>;

impl<L: LeaseStore> Session<L> {
    /// Serves a controller until it hangs up or `shutdown` is cancelled and the lanes have drained.
    ///
    /// # Errors
    /// `Unreachable` when the controller is gone before it could be greeted.
    pub async fn serve(
        self,
        frames: mpsc::Sender<AgentFrame>,
        mut orders: mpsc::Receiver<ControllerFrame>,
        shutdown: CancellationToken,
    ) -> Result<(), Failure> {
        let hello = AgentFrame::Hello(self.hello());
        frames.send(hello).await.map_err(|_| {
            Failure::new(
                FailureKind::Unreachable,
                "the controller hung up before it was greeted",
            )
        })?;
        let drain = shutdown.child_token();
        let (queue, assignments) = mpsc::channel(QUEUE);
        let assignments: Queue = Arc::new(Mutex::new(assignments));
        let mut tasks = JoinSet::new();
        for _ in 0..self.capacity.max(1) {
            tasks.spawn(lane(
                self.desk.clone(),
                self.lease.clone(),
                assignments.clone(),
                frames.clone(),
                drain.clone(),
            ));
        }
        let desk = self.desk.clone();
        let pings = tokio::spawn(async move { desk.keep().await });
        loop {
            let order = tokio::select! {
                biased;
                order = orders.recv() => order,
                () = shutdown.cancelled() => None,
            };
            let Some(order) = order else { break };
            self.take(order, &queue, &frames, &mut tasks, &drain).await;
        }
        drain.cancel();
        drop(queue);
        while tasks.join_next().await.is_some() {}
        pings.abort();
        self.desk.close_idle().await;
        Ok(())
    }

    fn hello(&self) -> Hello {
        Hello {
            holder: self.desk.holder,
            agent_id: self.agent_id.clone(),
            region: self.region.clone(),
            connections: self.desk.connections.keys().cloned().collect(),
            capacity: self.capacity,
            codec_version: CODEC_VERSION,
            held: Vec::new(),
        }
    }

    async fn take(
        &self,
        order: ControllerFrame,
        queue: &mpsc::Sender<Assignment>,
        frames: &mpsc::Sender<AgentFrame>,
        tasks: &mut JoinSet<()>,
        drain: &CancellationToken,
    ) {
        match order {
            ControllerFrame::Run(order) => self.desk.begin_run(*order).await,
            ControllerFrame::Assign(assignment) => {
                let _ = queue.send(assignment).await;
            }
            ControllerFrame::Drain => drain.cancel(),
            ControllerFrame::Query(call) => {
                let desk = self.desk.clone();
                let frames = frames.clone();
                tasks.spawn(async move {
                    let query_id = call.query_id;
                    let result = Box::pin(desk.answer(call)).await;
                    let _ = frames
                        .send(AgentFrame::QueryResult { query_id, result })
                        .await;
                });
            }
        }
    }
}

/// Takes assignments one after the other.
async fn lane<L: LeaseStore>(
    desk: Arc<Desk>,
    lease: Arc<L>,
    assignments: Queue,
    frames: mpsc::Sender<AgentFrame>,
    drain: CancellationToken,
) {
    loop {
        // The queue ends when the session does; until then what is drained is given back.
        let Some(assignment) = assignments.lock().await.recv().await else {
            break;
        };
        let partition_id = assignment.partition_id;
        if drain.is_cancelled() {
            let reason = Release::Drained;
            let _ = frames
                .send(AgentFrame::Released {
                    partition_id,
                    reason,
                })
                .await;
            continue;
        }
        let reason = hold(&desk, &*lease, assignment, &frames, &drain).await;
        if frames
            .send(AgentFrame::Released {
                partition_id,
                reason,
            })
            .await
            .is_err()
        {
            break;
        }
    }
}

/// Claims a partition, works on it, and lets it go.
async fn hold<L: LeaseStore>(
    desk: &Desk,
    lease: &L,
    assignment: Assignment,
    frames: &mpsc::Sender<AgentFrame>,
    drain: &CancellationToken,
) -> Release {
    let run = match desk.run().await {
        Ok(run) => run,
        Err(failure) => return Release::Failed(failure),
    };
    let (partition_id, generation) = (assignment.partition_id, assignment.generation);
    let Ok(token) = lease.claim(partition_id, desk.holder, generation).await else {
        return Release::Stale;
    };
    let claim = Claim { assignment, token };
    let reason = Box::pin(work(&run, &claim, frames, drain)).await;
    if lease.release(partition_id, desk.holder).await.is_err() {
        warn!(%partition_id, "a lease could not be released; it will expire");
    }
    reason
}
