//! What the memory store holds, and its transitions: no lock, no clock, no waiting.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::{
    AgentEntry, Assigned, Candidate, Control, Leadership, LeaseError, Membership, PartitionKey,
};
use crate::domain::token;

/// A lease with what hangs on it.
#[derive(Debug)]
pub(super) struct Leased<T> {
    pub(super) value: T,
    pub(super) revision: u64,
    pub(super) lease_id: i64,
    pub(super) lost: CancellationToken,
}

/// The keys of a store.
#[derive(Debug)]
pub(super) struct State {
    pub(super) cluster_id: Uuid,
    pub(super) revision: u64,
    pub(super) era: Option<u32>,
    pub(super) leader: Option<Leased<Candidate>>,
    pub(super) members: BTreeMap<Uuid, Leased<AgentEntry>>,
    pub(super) controls: BTreeMap<Uuid, Control>,
    pub(super) assigned: BTreeMap<PartitionKey, Assigned>,
    /// Holder and lease of each claim.
    pub(super) owners: BTreeMap<PartitionKey, (Uuid, i64)>,
    last_lease: i64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            cluster_id: Uuid::new_v4(),
            revision: 1,
            era: None,
            leader: None,
            members: BTreeMap::new(),
            controls: BTreeMap::new(),
            assigned: BTreeMap::new(),
            owners: BTreeMap::new(),
            last_lease: 0,
        }
    }
}

impl State {
    /// The same server without its data: leases are lost, and their numbers are not used again.
    pub(super) fn regress(&mut self) {
        if let Some(leader) = &self.leader {
            leader.lost.cancel();
        }
        for member in self.members.values() {
            member.lost.cancel();
        }
        *self = Self {
            last_lease: self.last_lease,
            ..Self::default()
        };
    }

    /// A value under a lease of its own, at the next revision.
    pub(super) fn lease<T>(&mut self, value: T) -> Leased<T> {
        self.last_lease += 1;
        self.revision += 1;
        Leased {
            value,
            revision: self.revision,
            lease_id: self.last_lease,
            lost: CancellationToken::new(),
        }
    }

    /// Ends a leader's or a member's lease; whether there was one.
    pub(super) fn end(&mut self, lease_id: i64) -> bool {
        let leads = self
            .leader
            .as_ref()
            .is_some_and(|leader| leader.lease_id == lease_id);
        if leads && let Some(leader) = self.leader.take() {
            leader.lost.cancel();
            self.revision += 1;
            return true;
        }
        let holder = self
            .members
            .iter()
            .find_map(|(holder, member)| (member.lease_id == lease_id).then_some(*holder));
        let Some(member) = holder.and_then(|holder| self.members.remove(&holder)) else {
            return false;
        };
        member.lost.cancel();
        self.owners.retain(|_, (_, lease)| *lease != lease_id);
        self.revision += 1;
        true
    }

    /// Whether the leadership still stands.
    pub(super) fn check_leader(&self, leadership: &Leadership) -> Result<(), LeaseError> {
        match &self.leader {
            Some(leader) if leader.lease_id == leadership.lease_id => Ok(()),
            _ => Err(LeaseError::Deposed),
        }
    }

    pub(super) fn assign(
        &mut self,
        partition: PartitionKey,
        assigned: Assigned,
    ) -> Result<(), LeaseError> {
        if let Some(now) = self.assigned.get(&partition)
            && now.refuses(&assigned)
        {
            return Err(LeaseError::Outdated(partition.partition_id));
        }
        self.assigned.insert(partition, assigned);
        if let Some((holder, _)) = self.owners.get(&partition)
            && *holder != assigned.holder
        {
            self.owners.remove(&partition);
        }
        self.revision += 1;
        Ok(())
    }

    pub(super) fn claim(
        &mut self,
        membership: &Membership,
        partition: PartitionKey,
        generation: i64,
    ) -> Result<i64, LeaseError> {
        let holder = membership.holder;
        let member = self.members.get(&holder);
        if member.is_none_or(|member| member.lease_id != membership.lease_id) {
            return Err(LeaseError::NotMember);
        }
        if self.assigned.get(&partition) != Some(&Assigned { holder, generation }) {
            return Err(LeaseError::NotAssigned(partition.partition_id));
        }
        let control = self.controls.get(&partition.migration_id);
        if !control.is_some_and(|control| control.is_open) {
            return Err(LeaseError::Closed(partition.migration_id));
        }
        if self.owners.contains_key(&partition) {
            return Err(LeaseError::Taken(partition.partition_id));
        }
        let token = self.mint()?;
        self.owners.insert(partition, (holder, membership.lease_id));
        Ok(token)
    }

    pub(super) fn mint(&mut self) -> Result<i64, LeaseError> {
        let era = self.era.ok_or(LeaseError::NoEra)?;
        self.revision += 1;
        token::mint(era, self.revision).ok_or(LeaseError::Exhausted)
    }
}
