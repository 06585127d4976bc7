//! One connection to a controller: hello with everything that is held, then orders in and frames out.
//!
//! Works over any pair of channels: a pipe in one process, a gRPC stream between two. What is held goes on
//! when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proto::domain::compiled::CODEC_VERSION;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{AgentFrame, ControllerFrame, Hello, Order, QueryCall};
use proto::lease::{AgentEntry, LeaseStore};
use proto::runtime::pipe::End;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::desk::Desk;
use crate::lanes::Lanes;
use crate::outbox::Outbox;

/// Who an agent is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its configured name.
    pub agent_id: String,
    /// Its region.
    pub region: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Lanes.
    pub capacity: u32,
}

/// What a session works with; the same for every connection of a process.
pub struct Session<L> {
    /// Who this is.
    pub identity: Identity,
    /// Connections, runs and snapshots.
    pub desk: Arc<Desk>,
    /// The lanes.
    pub lanes: Arc<Lanes<L>>,
    /// What they have to tell.
    pub outbox: Arc<Outbox>,
    epoch: AtomicI64,
}

impl<L: LeaseStore> Session<L> {
    /// A process without a connection yet.
    pub fn new(
        identity: Identity,
        desk: Arc<Desk>,
        lanes: Arc<Lanes<L>>,
        outbox: Arc<Outbox>,
    ) -> Self {
        Self {
            identity,
            desk,
            lanes,
            outbox,
            epoch: AtomicI64::new(i64::MIN),
        }
    }

    /// How the process is known in the lease store.
    pub fn entry(&self) -> AgentEntry {
        AgentEntry {
            holder: self.desk.holder,
            agent_id: self.identity.agent_id.clone(),
            region: self.identity.region.clone(),
            labels: self.identity.labels.clone(),
            connections: self.desk.connections.keys().cloned().collect(),
            capacity: self.identity.capacity,
            codec_version: CODEC_VERSION,
        }
    }

    /// What is said first on every connection.
    pub fn hello(&self) -> Hello {
        let entry = self.entry();
        Hello {
            holder: entry.holder,
            agent_id: entry.agent_id,
            region: entry.region,
            labels: entry.labels,
            connections: entry.connections,
            capacity: entry.capacity,
            codec_version: entry.codec_version,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            held: self.lanes.held(),
            snapshots: self.desk.snapshots(),
        }
    }

    /// Serves a controller, whose welcome is still to come, until one of the two hangs up or `stop` is
    /// cancelled. Answers that were not sent by then are dropped: they will be asked for again.
    ///
    /// # Errors
    /// `Fenced` when the controller's epoch is over.
    pub async fn serve(
        &self,
        link: &mut End<AgentFrame, Order>,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let hello = AgentFrame::Hello(self.hello());
        if link.tx.send(hello).await.is_err() {
            return Ok(());
        }
        // Until a welcome says otherwise, nobody takes batches.
        self.outbox.set_credits(0);
        let mut answers = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                order = link.rx.recv() => {
                    let Some(order) = order else { return Ok(()) };
                    self.take(order, &link.tx, &mut answers).await?;
                }
                Some(_) = answers.join_next() => {}
                permit = self.ready(&link.tx) => match permit {
                    Some((permit, frame)) => permit.send(frame),
                    None => return Ok(()),
                },
            }
        }
    }

    /// Says what waits to be told, over a link that is no longer served.
    pub async fn say_the_rest(&self, tx: &mpsc::Sender<AgentFrame>) {
        while let Ok(permit) = tx.reserve().await {
            match self.outbox.next_now() {
                Some(frame) => permit.send(frame),
                None => return,
            }
        }
    }

    /// Room in the link, then a frame for it: nothing is taken out of the outbox that could get lost here.
    async fn ready<'a>(
        &self,
        tx: &'a mpsc::Sender<AgentFrame>,
    ) -> Option<(mpsc::Permit<'a, AgentFrame>, AgentFrame)> {
        let permit = tx.reserve().await.ok()?;
        let frame = tokio::select! {
            frame = self.outbox.next() => frame,
            () = tx.closed() => return None,
        };
        Some((permit, frame))
    }

    async fn take(
        &self,
        order: Order,
        tx: &mpsc::Sender<AgentFrame>,
        answers: &mut JoinSet<()>,
    ) -> Result<(), Failure> {
        let highest = self.epoch.fetch_max(order.epoch, Ordering::Relaxed);
        if order.epoch < highest {
            warn!(
                epoch = order.epoch,
                highest, "a controller whose epoch is over"
            );
            let words = "the controller's epoch is over";
            return Err(Failure::new(FailureKind::Fenced, words));
        }
        match order.frame {
            ControllerFrame::Welcome { credits, .. } => {
                self.outbox.set_draining(false);
                self.outbox.set_credits(credits);
            }
            ControllerFrame::Acknowledge { credits } => self.outbox.add_credits(credits),
            ControllerFrame::Run(order) => self.desk.begin_run(*order),
            ControllerFrame::Assign(assignment) => self.lanes.assign(assignment).await,
            ControllerFrame::Drain { migration_id } => self.lanes.drain(migration_id),
            ControllerFrame::Forget { migration_id } => {
                self.lanes.drain(Some(migration_id));
                // Forgotten at once: what is ordered next of it is new.
                if let Some(snapshot) = self.desk.forget_run(migration_id) {
                    answers.spawn(async move { snapshot.let_go().await });
                }
            }
            ControllerFrame::Query(call) => {
                answers.spawn(answer(self.desk.clone(), call, tx.clone()));
            }
        }
        Ok(())
    }
}

async fn answer(desk: Arc<Desk>, call: QueryCall, tx: mpsc::Sender<AgentFrame>) {
    let query_id = call.query_id;
    let result = Box::pin(desk.answer(call)).await;
    let _ = tx.send(AgentFrame::QueryResult { query_id, result }).await;
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
