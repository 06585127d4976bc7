//! The agents that said hello: who is there, what each holds, how to reach it.
//!
//! A stream that ends makes its agent "gone" after a short grace, in which it may dial again. What an
//! agent holds is taken from its hello and kept up to date by orders and reports, also while nobody
//! looks after a migration, so that a supervisor that starts later adopts the truth.

mod agent;
mod greet;
mod member;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::domain::failure::Failure;
use proto::domain::frame::{AgentFrame, ControllerFrame, HeldPartition};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

pub use agent::{AgentLink, Line, Question, misfit};
pub use greet::{Refusal, Stay};
pub use member::{Duty, MemberView};

use member::Member;

/// How long an agent whose stream ended may take to dial again before its work goes to others.
pub const GRACE: Duration = Duration::from_secs(2);
/// Batches that an agent may send before the first acknowledgement.
pub const CREDITS: u32 = 64;
/// News that wait for a supervisor. Nothing waits for room: what agents may send is bounded by credits and
/// capacity, and an agent whose news find none is hung up on, so that its next hello and the ledger tell.
pub const INBOX: usize = 1 << 16;
/// Progress is dropped when so much waits already: the next tells the same, only later.
const BUSY: usize = 1024;

/// What a migration's supervisor hears of the fleet.
#[derive(Debug, PartialEq)]
pub enum News {
    /// An agent's report about the migration.
    Frame {
        /// The agent.
        holder: Uuid,
        /// The report.
        frame: AgentFrame,
    },
    /// An agent is there, again or for the first time, and holds this of the migration.
    Joined {
        /// The agent.
        holder: Uuid,
        /// Its partitions of the migration.
        held: Vec<HeldPartition>,
    },
    /// An agent is gone; what it held is nobody's.
    Left {
        /// The agent.
        holder: Uuid,
    },
}

/// The agents. Clones are the same fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    controller_id: Uuid,
    epoch: i64,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    members: BTreeMap<Uuid, Member>,
    inboxes: HashMap<Uuid, mpsc::Sender<News>>,
    /// What operators wanted of processes, also of those that are away for a while.
    duties: HashMap<Uuid, Duty>,
    connections: u64,
}

impl Fleet {
    /// A fleet of nobody, under the epoch of this controller's leadership (0 in one process).
    pub fn new(controller_id: Uuid, epoch: i64) -> Self {
        let inner = Inner {
            controller_id,
            epoch,
            state: Mutex::default(),
            changes: watch::channel(0).0,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A number that rises whenever an agent comes, goes, or changes what it may do.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Everybody, by region and name.
    pub fn members(&self) -> Vec<MemberView> {
        let mut members: Vec<MemberView> = self.lock().members.values().map(Member::view).collect();
        members.sort_by(|a, b| (&a.region, &a.name).cmp(&(&b.region, &b.name)));
        members
    }

    /// The way to a connected agent.
    pub fn line(&self, holder: Uuid) -> Option<Line> {
        self.lock().members.get(&holder).and_then(Member::line)
    }

    /// Hears of a migration from now on, until the receiver is dropped; with it who holds what already.
    pub fn subscribe(&self, migration_id: Uuid) -> (mpsc::Receiver<News>, Vec<MemberView>) {
        let (tx, rx) = mpsc::channel(INBOX);
        let mut state = self.lock();
        state.inboxes.insert(migration_id, tx.clone());
        let fleet = self.clone();
        tokio::spawn(async move {
            tx.closed().await;
            fleet.unsubscribe(migration_id, &tx);
        });
        (rx, state.members.values().map(Member::view).collect())
    }

    /// A supervisor is no more. What it did not acknowledge it never will: whoever looks after the
    /// migration next reads the ledger, and agents get their credits back.
    fn unsubscribe(&self, migration_id: Uuid, inbox: &mpsc::Sender<News>) {
        let mut state = self.lock();
        let current = state.inboxes.get(&migration_id);
        if current.is_some_and(|current| current.same_channel(inbox)) {
            state.inboxes.remove(&migration_id);
        }
        for member in state.members.values_mut() {
            member.acknowledge(migration_id, u32::MAX);
        }
    }

    /// Lets an agent send more batches: so many of a migration were stored.
    pub fn acknowledge(&self, holder: Uuid, migration_id: Uuid, credits: u32) {
        if let Some(member) = self.lock().members.get_mut(&holder) {
            member.acknowledge(migration_id, credits);
        }
    }

    /// Sends an assignment and notes that the agent holds the partition.
    pub fn assign(
        &self,
        holder: Uuid,
        frame: ControllerFrame,
        held: HeldPartition,
    ) -> Result<(), Failure> {
        let line = {
            let mut state = self.lock();
            let member = state.members.get_mut(&holder);
            let line = member.as_ref().and_then(|member| member.line());
            if let (Some(member), Some(_)) = (member, &line) {
                member.hold(held);
            }
            line
        };
        let sent = line.map_or_else(|| Err(member::gone()), |line| line.order(frame));
        if sent.is_err() {
            self.lock()
                .members
                .get_mut(&holder)
                .into_iter()
                .for_each(|member| {
                    member.let_go(&held);
                });
        }
        sent
    }

    /// Notes that an agent no longer holds a partition, whatever it says.
    pub fn take_from(&self, holder: Uuid, migration_id: Uuid, partition_id: Uuid) {
        if let Some(member) = self.lock().members.get_mut(&holder) {
            member.drop_held(migration_id, partition_id);
        }
    }

    /// Notes that an agent holds a migration's snapshot.
    pub fn note_snapshot(&self, holder: Uuid, migration_id: Uuid) {
        if let Some(member) = self.lock().members.get_mut(&holder) {
            member.snapshots.insert(migration_id);
        }
    }

    /// A migration is over: whoever is there keeps nothing of it.
    pub fn forget(&self, migration_id: Uuid) {
        for member in self.lock().members.values_mut() {
            member.forget(migration_id);
        }
    }

    /// Has agents let go what they still have of migrations that nobody looks after: they were away when
    /// those ended.
    pub fn tidy(&self, active: &BTreeSet<Uuid>) {
        for member in self.lock().members.values_mut() {
            for migration_id in member.known() {
                if !active.contains(&migration_id) {
                    member.forget(migration_id);
                }
            }
        }
    }

    /// Sets whether an agent gets work. Draining has it give back everything at once.
    pub fn set_duty(&self, holder: Uuid, duty: Duty) -> Option<MemberView> {
        let (view, line) = {
            let mut state = self.lock();
            let member = state.members.get_mut(&holder)?;
            member.duty = duty;
            state.duties.insert(holder, duty);
            let member = state.members.get_mut(&holder)?;
            (member.view(), member.line())
        };
        if let (Duty::Draining, Some(line)) = (duty, line) {
            let _ = line.order(ControllerFrame::Drain { migration_id: None });
        }
        self.bump();
        Some(view)
    }

    /// Hangs up on an agent: its lease is gone.
    pub fn expel(&self, holder: Uuid) {
        let connection = {
            let mut state = self.lock();
            state.members.get_mut(&holder).map(|member| {
                member.hang_up();
                member.connection
            })
        };
        if let Some(connection) = connection {
            self.gone(holder, connection);
        }
    }

    /// An agent's stream is over and its grace is too: unless it dialled again, it is gone.
    fn gone(&self, holder: Uuid, connection: u64) {
        {
            let mut state = self.lock();
            let is_same = state
                .members
                .get(&holder)
                .is_some_and(|member| member.connection == connection && member.line().is_none());
            if !is_same {
                return;
            }
            state.members.remove(&holder);
            state
                .inboxes
                .values()
                .for_each(|inbox| tell_left(inbox, holder));
        }
        tracing::warn!(%holder, "an agent is gone");
        self.bump();
    }

    fn bump(&self) {
        self.inner.changes.send_modify(|number| *number += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells a supervisor that an agent is gone: in order with what comes later, even when its inbox is full.
fn tell_left(inbox: &mpsc::Sender<News>, holder: Uuid) {
    let news = News::Left { holder };
    // One that ended does not care.
    if let Err(mpsc::error::TrySendError::Full(news)) = inbox.try_send(news) {
        let inbox = inbox.clone();
        tokio::spawn(async move { inbox.send(news).await });
    }
}

#[cfg(test)]
mod tests;
