//! The lease store of a single process: of `drover run`, and of the simulation. It starts without an
//! era, so whoever leads sets one that no token anywhere has yet.
//!
//! No lease runs out by itself: it ends when its owner gives it up or is dropped, or when a test says
//! so.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::state::State;
use super::{
    AgentEntry, Assigned, Candidate, Cluster, Control, Held, Leadership, LeaseError, LeaseStore,
    Membership, Owner, PartitionKey,
};

/// Leader, agents, assignments and claims in memory. Clones are the same store.
#[derive(Debug, Clone, Default)]
pub struct MemoryLeaseStore {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a transition, and tells it where something changed: a refusal must wake nobody, or two who
    /// are refused keep each other awake.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = (state.cluster_id, state.revision);
        let result = change(&mut state);
        let changed = before != (state.cluster_id, state.revision);
        drop(state);
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
        result
    }

    fn end(&self, lease_id: i64) -> bool {
        self.change(|state| state.end(lease_id))
    }

    /// Ends a lease with its last owner; the store may be gone before.
    fn held(self: &Arc<Self>, lease_id: i64) -> Held {
        let shared: Weak<Self> = Arc::downgrade(self);
        Held::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.end(lease_id);
            }
        })
    }
}

impl MemoryLeaseStore {
    /// As if an agent's lease had run out; whether it took part.
    pub fn expire(&self, holder: Uuid) -> bool {
        let lease_id = self.shared.lock().members.get(&holder).map(|m| m.lease_id);
        lease_id.is_some_and(|lease_id| self.shared.end(lease_id))
    }

    /// As if the leader's lease had run out; whether there was a leader.
    pub fn expire_leader(&self) -> bool {
        let lease_id = self.shared.lock().leader.as_ref().map(|l| l.lease_id);
        lease_id.is_some_and(|lease_id| self.shared.end(lease_id))
    }

    /// As if the server had lost its data: another cluster, its revision from 1, no era, no key; every
    /// lease is lost.
    pub fn regress(&self) {
        self.shared.change(State::regress);
    }

    fn try_lead(&self, candidate: &Candidate) -> Option<Leadership> {
        let (revision, lease_id, lost) = self.shared.change(|state| {
            if state.leader.is_some() {
                return None;
            }
            let leader = state.lease(candidate.clone());
            let proof = (leader.revision, leader.lease_id, leader.lost.clone());
            state.leader = Some(leader);
            Some(proof)
        })?;
        Some(Leadership {
            candidate: candidate.clone(),
            revision,
            lease_id,
            lost,
            _held: self.shared.held(lease_id),
        })
    }

    fn as_leader<T>(
        &self,
        leadership: &Leadership,
        change: impl FnOnce(&mut State) -> Result<T, LeaseError>,
    ) -> Result<T, LeaseError> {
        self.shared.change(|state| {
            state.check_leader(leadership)?;
            change(state)
        })
    }
}

impl LeaseStore for MemoryLeaseStore {
    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    async fn cluster(&self) -> Result<Cluster, LeaseError> {
        let state = self.shared.lock();
        Ok(Cluster {
            cluster_id: state.cluster_id.simple().to_string(),
            revision: state.revision,
            era: state.era,
        })
    }

    async fn leader(&self) -> Result<Option<Candidate>, LeaseError> {
        let state = self.shared.lock();
        Ok(state.leader.as_ref().map(|leader| leader.value.clone()))
    }

    async fn campaign(
        &self,
        candidate: Candidate,
        stop: CancellationToken,
    ) -> Result<Leadership, LeaseError> {
        let mut changes = self.changes();
        loop {
            if stop.is_cancelled() {
                return Err(LeaseError::Stopped);
            }
            if let Some(leadership) = self.try_lead(&candidate) {
                return Ok(leadership);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(LeaseError::Stopped),
                _ = changes.changed() => {}
            }
        }
    }

    async fn resign(&self, leadership: &Leadership) -> Result<(), LeaseError> {
        self.shared.end(leadership.lease_id);
        Ok(())
    }

    async fn set_era(&self, leadership: &Leadership, era: u32) -> Result<(), LeaseError> {
        self.as_leader(leadership, |state| {
            if state.era.is_some_and(|now| now > era) {
                return Err(LeaseError::EraFalls);
            }
            state.era = Some(era);
            state.revision += 1;
            Ok(())
        })
    }

    async fn agents(&self) -> Result<Vec<AgentEntry>, LeaseError> {
        let state = self.shared.lock();
        Ok(state.members.values().map(|m| m.value.clone()).collect())
    }

    async fn set_control(
        &self,
        leadership: &Leadership,
        migration_id: Uuid,
        control: Control,
    ) -> Result<(), LeaseError> {
        self.as_leader(leadership, |state| {
            state.controls.insert(migration_id, control);
            state.revision += 1;
            Ok(())
        })
    }

    async fn assign(
        &self,
        leadership: &Leadership,
        partition: PartitionKey,
        assigned: Assigned,
    ) -> Result<(), LeaseError> {
        self.as_leader(leadership, |state| state.assign(partition, assigned))
    }

    async fn unassign(
        &self,
        leadership: &Leadership,
        partitions: &[PartitionKey],
    ) -> Result<(), LeaseError> {
        self.as_leader(leadership, |state| {
            for partition in partitions {
                if state.assigned.remove(partition).is_some() {
                    state.revision += 1;
                }
            }
            Ok(())
        })
    }

    async fn assignments(&self, migration_id: Uuid) -> Result<Vec<(Uuid, Assigned)>, LeaseError> {
        let state = self.shared.lock();
        let all = state.assigned.iter();
        let ours = all.filter(|(key, _)| key.migration_id == migration_id);
        Ok(ours.map(|(key, to)| (key.partition_id, *to)).collect())
    }

    async fn owners(&self, migration_id: Uuid) -> Result<Vec<Owner>, LeaseError> {
        let state = self.shared.lock();
        let all = state.owners.iter();
        let ours = all.filter(|(key, _)| key.migration_id == migration_id);
        let owner = |(key, (holder, _)): (&PartitionKey, &(Uuid, i64))| Owner {
            partition_id: key.partition_id,
            holder: *holder,
        };
        Ok(ours.map(owner).collect())
    }

    async fn forget(&self, leadership: &Leadership, migration_id: Uuid) -> Result<(), LeaseError> {
        self.as_leader(leadership, |state| {
            state.controls.remove(&migration_id);
            state
                .assigned
                .retain(|key, _| key.migration_id != migration_id);
            state
                .owners
                .retain(|key, _| key.migration_id != migration_id);
            state.revision += 1;
            Ok(())
        })
    }

    async fn mint(&self, leadership: &Leadership) -> Result<i64, LeaseError> {
        self.as_leader(leadership, State::mint)
    }

    async fn join(&self, agent: AgentEntry) -> Result<Membership, LeaseError> {
        let holder = agent.holder;
        let (lease_id, lost) = self.shared.change(|state| {
            if let Some(earlier) = state.members.get(&holder).map(|m| m.lease_id) {
                state.end(earlier);
            }
            let member = state.lease(agent);
            let proof = (member.lease_id, member.lost.clone());
            state.members.insert(holder, member);
            proof
        });
        Ok(Membership {
            holder,
            lease_id,
            lost,
            _held: self.shared.held(lease_id),
        })
    }

    async fn leave(&self, membership: &Membership) -> Result<(), LeaseError> {
        self.shared.end(membership.lease_id);
        Ok(())
    }

    async fn claim(
        &self,
        membership: &Membership,
        partition: PartitionKey,
        generation: i64,
    ) -> Result<i64, LeaseError> {
        self.shared
            .change(|state| state.claim(membership, partition, generation))
    }

    async fn release(
        &self,
        membership: &Membership,
        partition: PartitionKey,
    ) -> Result<(), LeaseError> {
        self.shared.change(|state| {
            let mine = (membership.holder, membership.lease_id);
            if state.owners.get(&partition) == Some(&mine) {
                state.owners.remove(&partition);
                state.revision += 1;
            }
            Ok(())
        })
    }
}
