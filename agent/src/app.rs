//! Builds an agent from its settings: for one controller in the same process, or for a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::domain::failure::Failure;
use proto::domain::frame::{AgentFrame, Order};
use proto::lease::{LeaseStore, Membership};
use proto::runtime::pipe::End;
use proto::runtime::settings::Environment;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::desk::Desk;
use crate::lanes::Lanes;
use crate::membership::take_part;
use crate::outbox::Outbox;
use crate::session::{Identity, Session};

/// What an agent is configured with. Not printable: its connections hold passwords.
#[derive(Clone)]
pub struct AgentSettings {
    /// Who it is.
    pub identity: Identity,
    /// Connections by the name that plans use.
    pub connections: BTreeMap<String, PgConnectOptions>,
    /// Where steps of a plan find the keys that it names.
    pub environment: Environment,
}

/// An agent's process at work, connected or not. Dropped, everything in hand is let go as by a kill.
pub struct Agent<L> {
    /// What serves connections.
    pub session: Arc<Session<L>>,
    /// The present membership of the lease store.
    pub present: watch::Receiver<Option<Membership>>,
    leave: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    membership: JoinHandle<()>,
}

impl<L: LeaseStore> Agent<L> {
    /// Starts lanes, upkeep, and the membership of the lease store.
    pub fn start(settings: AgentSettings, lease: Arc<L>) -> Self {
        let desk = Desk::new(Uuid::new_v4(), settings.connections);
        let desk = Arc::new(desk.with_environment(settings.environment));
        let outbox = Arc::new(Outbox::default());
        let (present, membership) = watch::channel(None);
        let lanes = Lanes::new(
            desk.clone(),
            lease.clone(),
            outbox.clone(),
            membership.clone(),
        );
        let lanes = Arc::new(lanes);
        let capacity = settings.identity.capacity;
        let session = Session::new(settings.identity, desk.clone(), lanes.clone(), outbox);
        let leave = CancellationToken::new();
        let taking_part = take_part(lease, session.entry(), present, leave.clone());
        let keep = async move { desk.keep().await };
        Self {
            session: Arc::new(session),
            present: membership,
            leave,
            tasks: vec![tokio::spawn(lanes.run(capacity)), tokio::spawn(keep)],
            membership: tokio::spawn(taking_part),
        }
    }

    /// Leaves the lease store and ends. What is still held is let go as by a kill.
    pub async fn end(mut self) {
        self.leave.cancel();
        let _ = (&mut self.membership).await;
        for task in self.tasks.drain(..) {
            task.abort();
            let _ = task.await;
        }
        self.session.desk.close_idle().await;
    }
}

impl<L> Drop for Agent<L> {
    fn drop(&mut self) {
        self.leave.cancel();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Serves the one controller at the other end of the link until it hangs up, then drains and ends.
///
/// # Errors
/// `Fenced` when the controller's epoch is over.
pub async fn serve<L: LeaseStore>(
    settings: AgentSettings,
    lease: Arc<L>,
    mut link: End<AgentFrame, Order>,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let agent = Agent::start(settings, lease);
    let served = agent.session.serve(&mut link, &shutdown).await;
    agent.session.lanes.drain(None);
    drop(link);
    // Nobody takes what the lanes still have to say.
    let outbox = agent.session.outbox.clone();
    outbox.set_credits(u32::MAX);
    tokio::select! {
        () = agent.session.lanes.are_idle() => {}
        () = async { loop { outbox.next().await; } } => {}
    }
    agent.end().await;
    served
}
