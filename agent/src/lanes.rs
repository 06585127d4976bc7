//! The lanes of an agent: each works on one partition at a time. They outlive connections to controllers.
//!
//! Everything that was assigned is held until it is let go: that is what a hello tells.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{AgentFrame, Assignment, HeldPartition, Release};
use proto::lease::{LeaseError, LeaseStore, Membership, PartitionKey};
use proto::runtime::backoff::Backoff;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::desk::Desk;
use crate::outbox::Outbox;
use crate::worker::{Claim, work};

/// Assignments that wait for a lane.
const QUEUE: usize = 1024;
/// How long a claim is tried while the lease store is away, or a former owner's key still stands.
const CLAIM_WITHIN: Duration = Duration::from_secs(15);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// An assignment, and what is cancelled when it is to be given back.
type Work = (Assignment, CancellationToken);

/// What is held of a partition.
struct Held {
    partition: HeldPartition,
    /// Cancelled when it is to be given back, because of a drain or of a later assignment.
    give_back: CancellationToken,
}

/// The lanes.
pub struct Lanes<L> {
    desk: Arc<Desk>,
    lease: Arc<L>,
    outbox: Arc<Outbox>,
    membership: watch::Receiver<Option<Membership>>,
    queue: mpsc::Sender<Work>,
    waiting: AsyncMutex<mpsc::Receiver<Work>>,
    held: Mutex<HashMap<Uuid, Held>>,
    /// Cancelled when a migration's partitions are to be given back; a new one stands for work to come.
    drains: Mutex<HashMap<Uuid, CancellationToken>>,
    has_let_go: Notify,
    is_closed: AtomicBool,
}

impl<L: LeaseStore> Lanes<L> {
    /// Lanes without work.
    pub fn new(
        desk: Arc<Desk>,
        lease: Arc<L>,
        outbox: Arc<Outbox>,
        membership: watch::Receiver<Option<Membership>>,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        Self {
            desk,
            lease,
            outbox,
            membership,
            queue,
            waiting: AsyncMutex::new(waiting),
            held: Mutex::default(),
            drains: Mutex::default(),
            has_let_go: Notify::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Works in so many lanes until dropped.
    pub async fn run(self: Arc<Self>, capacity: u32) {
        let mut tasks = JoinSet::new();
        for _ in 0..capacity.max(1) {
            tasks.spawn(self.clone().lane());
        }
        tasks.spawn(self.clone().heed_membership());
        while tasks.join_next().await.is_some() {}
    }

    /// What is held, of all migrations.
    pub fn held(&self) -> Vec<HeldPartition> {
        let held = self.lock_held();
        held.values().map(|held| held.partition).collect()
    }

    /// Takes an assignment; an older one of the same partition is given back by its lane. Cancelled, it has
    /// taken nothing.
    pub async fn assign(&self, assignment: Assignment) {
        // The receiver is ours.
        let Ok(place) = self.queue.reserve().await else {
            return;
        };
        let partition = HeldPartition {
            migration_id: assignment.migration_id,
            partition_id: assignment.partition_id,
            generation: assignment.generation,
        };
        let give_back = self.drain_of(partition.migration_id).child_token();
        if self.is_closed.load(Ordering::SeqCst) {
            give_back.cancel();
        }
        let held = Held {
            partition,
            give_back: give_back.clone(),
        };
        let earlier = self.lock_held().insert(partition.partition_id, held);
        if let Some(earlier) = earlier {
            earlier.give_back.cancel();
        }
        place.send((assignment, give_back));
    }

    /// Has the partitions of a migration, or of all, given back after the batches in hand.
    pub fn drain(&self, migration_id: Option<Uuid>) {
        let mut drains = self.drains.lock().unwrap_or_else(PoisonError::into_inner);
        match migration_id {
            Some(id) => {
                if let Some(token) = drains.remove(&id) {
                    token.cancel();
                }
            }
            None => drains.drain().for_each(|(_, token)| token.cancel()),
        }
    }

    /// Takes no more work: what is held, and whatever is still assigned, is given back.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.abandon();
    }

    /// Has everything given back while no controller may be there to hear of it.
    pub fn abandon(&self) {
        self.drain(None);
        self.outbox.set_draining(true);
    }

    /// Waits until nothing is held any more.
    pub async fn are_idle(&self) {
        loop {
            let notified = self.has_let_go.notified();
            if self.lock_held().is_empty() {
                return;
            }
            notified.await;
        }
    }

    /// Has everything given back that was assigned under a lease that is lost, also where another one was
    /// there before anybody looked.
    async fn heed_membership(self: Arc<Self>) {
        let mut membership = self.membership.clone();
        let lease_of = |present: &Option<Membership>| present.as_ref().map(|one| one.lease_id);
        let mut known = lease_of(&membership.borrow_and_update());
        while membership.changed().await.is_ok() {
            let present = lease_of(&membership.borrow_and_update());
            let earlier = std::mem::replace(&mut known, present);
            if earlier.is_some() && earlier != known {
                self.drain(None);
            }
        }
    }

    async fn lane(self: Arc<Self>) {
        loop {
            let work = self.waiting.lock().await.recv().await;
            let Some((assignment, drain)) = work else {
                return;
            };
            let key = PartitionKey {
                migration_id: assignment.migration_id,
                partition_id: assignment.partition_id,
            };
            let generation = assignment.generation;
            let reason = self.hold(assignment, drain).await;
            self.let_go(key, generation);
            let released = AgentFrame::Released {
                migration_id: key.migration_id,
                partition_id: key.partition_id,
                generation,
                reason,
            };
            self.outbox.send(released).await;
        }
    }

    /// Claims a partition, works on it, and lets it go.
    async fn hold(&self, assignment: Assignment, drain: CancellationToken) -> Release {
        let key = PartitionKey {
            migration_id: assignment.migration_id,
            partition_id: assignment.partition_id,
        };
        if !self.is_current(&assignment) {
            return Release::Stale;
        }
        if drain.is_cancelled() {
            return Release::Drained;
        }
        let run = tokio::select! {
            run = self.desk.run(key.migration_id) => run,
            () = drain.cancelled() => return Release::Drained,
        };
        let run = match run {
            Ok(run) => run,
            Err(failure) => return Release::Failed(failure),
        };
        let (membership, token) = match self.claim(key, assignment.generation, &drain).await {
            Ok(claimed) => claimed,
            Err(reason) => return reason,
        };
        let claim = Claim { assignment, token };
        let working = Box::pin(work(&run, &claim, &self.outbox, &drain));
        let reason = while_member(working, &membership, &drain).await;
        if self.lease.release(&membership, key).await.is_err() {
            warn!(partition_id = %key.partition_id, "a claim could not be released; it ends with the lease");
        }
        reason
    }

    /// The token of a claim; what passes is waited for a little.
    async fn claim(
        &self,
        key: PartitionKey,
        generation: i64,
        drain: &CancellationToken,
    ) -> Result<(Membership, i64), Release> {
        let deadline = Instant::now() + CLAIM_WITHIN;
        let mut tries = 0;
        loop {
            let present = self.membership.borrow().clone();
            let error = match &present {
                None => LeaseError::NotMember,
                Some(membership) => match self.lease.claim(membership, key, generation).await {
                    Ok(token) => return Ok((membership.clone(), token)),
                    Err(error) => error,
                },
            };
            let is_passing = match &error {
                // The controller removes a former owner's claim; the store or the lease may come back.
                LeaseError::Taken(_)
                | LeaseError::Unavailable { .. }
                | LeaseError::NotMember
                | LeaseError::NoEra => true,
                LeaseError::Closed(_) => return Err(Release::Drained),
                _ => false,
            };
            if !is_passing {
                warn!(partition_id = %key.partition_id, reason = %error, "a partition is not claimed");
                return Err(Release::Stale);
            }
            if Instant::now() >= deadline {
                let failure = Failure::new(FailureKind::Busy, error.to_string());
                return Err(Release::Failed(failure.during("claim a partition")));
            }
            tries += 1;
            tokio::select! {
                () = drain.cancelled() => return Err(Release::Drained),
                () = tokio::time::sleep(BACKOFF.delay(tries, rand::random())) => {}
            }
        }
    }

    fn drain_of(&self, migration_id: Uuid) -> CancellationToken {
        let mut drains = self.drains.lock().unwrap_or_else(PoisonError::into_inner);
        drains.entry(migration_id).or_default().clone()
    }

    /// No later assignment of the same partition came meanwhile.
    fn is_current(&self, assignment: &Assignment) -> bool {
        self.lock_held()
            .get(&assignment.partition_id)
            .is_some_and(|held| held.partition.generation == assignment.generation)
    }

    fn let_go(&self, key: PartitionKey, generation: i64) {
        let mut held = self.lock_held();
        if held
            .get(&key.partition_id)
            .is_some_and(|one| one.partition.generation == generation)
        {
            held.remove(&key.partition_id);
        }
        drop(held);
        self.has_let_go.notify_waiters();
    }

    fn lock_held(&self) -> MutexGuard<'_, HashMap<Uuid, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has work given back as soon as the lease is lost that its claim stands on.
async fn while_member<T>(
    mut work: impl Future<Output = T> + Unpin,
    membership: &Membership,
    give_back: &CancellationToken,
) -> T {
    tokio::select! {
        done = &mut work => return done,
        () = membership.lost.cancelled() => give_back.cancel(),
    }
    work.await
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
