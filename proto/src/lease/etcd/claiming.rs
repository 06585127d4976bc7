//! Claims and releases of an agent, each decided by one transaction.

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use tokio::time::Instant;

use super::claims::UnderWay;
use super::fault::Fault;
use super::keys::{Entry, OwnerValue, encode};
use super::link::head;
use super::writing::{ROUNDS, busy, unchanged};
use super::{EtcdLeaseStore, token_of};
use crate::lease::{Assigned, Control, LeaseError, Membership, PartitionKey};

/// What a claim is decided on.
struct Ground {
    cluster_id: String,
    agent: Option<Entry>,
    assigned: Option<Entry>,
    control: Option<Entry>,
    owner: Option<Entry>,
    era: Option<Entry>,
}

impl Ground {
    /// Whether the claim may be tried, by what was read.
    fn check(
        &self,
        membership: &Membership,
        partition: PartitionKey,
        generation: i64,
        under_way: &UnderWay<'_>,
    ) -> Result<(), LeaseError> {
        let holder = membership.holder;
        let agent = self.agent.as_ref();
        if agent.is_none_or(|agent| agent.lease != membership.lease_id) {
            return Err(LeaseError::NotMember);
        }
        let wanted = Assigned { holder, generation };
        let assigned = self.assigned.as_ref().map(Entry::decode::<Assigned>);
        if assigned.transpose()? != Some(wanted) {
            return Err(LeaseError::NotAssigned(partition.partition_id));
        }
        let control = self.control.as_ref().map(Entry::decode::<Control>);
        if !control.transpose()?.is_some_and(|control| control.is_open) {
            return Err(LeaseError::Closed(partition.migration_id));
        }
        if let Some(owner) = &self.owner {
            let is_mine = owner.lease == membership.lease_id && owner.is_owned_by(holder);
            if !is_mine || under_way.is_held(owner.mod_revision) {
                return Err(LeaseError::Taken(partition.partition_id));
            }
        }
        token_of(self.era.as_ref(), &self.cluster_id, 1).map(|_| ())
    }
}

impl EtcdLeaseStore {
    pub(super) async fn make_claim(
        &self,
        membership: &Membership,
        partition: PartitionKey,
        generation: i64,
    ) -> Result<i64, LeaseError> {
        if membership.lost.is_cancelled() {
            return Err(LeaseError::NotMember);
        }
        let until = self.link.deadline();
        let claim = (membership.lease_id, partition);
        let Some(under_way) = self.claims.begin(claim) else {
            return Err(LeaseError::Taken(partition.partition_id));
        };
        for _ in 0..ROUNDS {
            let ground = self.read_ground(until, membership, partition).await?;
            ground.check(membership, partition, generation, &under_way)?;
            let written = self
                .write_owner(until, membership, partition, &ground)
                .await;
            let revision = match written {
                Ok(Some(revision)) => revision,
                Ok(None) => continue,
                Err(LeaseError::NotMember) => {
                    membership.lost.cancel();
                    return Err(LeaseError::NotMember);
                }
                Err(error) => return Err(error),
            };
            let token = token_of(ground.era.as_ref(), &ground.cluster_id, revision)?;
            under_way.made(revision);
            return Ok(token);
        }
        Err(busy())
    }

    async fn read_ground(
        &self,
        until: Instant,
        membership: &Membership,
        partition: PartitionKey,
    ) -> Result<Ground, LeaseError> {
        let keys = [
            self.keys.agent(membership.holder),
            self.keys.assign(partition),
            self.keys.control(partition.migration_id),
            self.keys.owner(partition),
            self.keys.era(),
        ];
        let seen = self.link.read(until, &keys).await?;
        let mut entries = seen.entries.into_iter();
        let mut next = || entries.next().flatten();
        Ok(Ground {
            cluster_id: seen.cluster_id,
            agent: next(),
            assigned: next(),
            control: next(),
            owner: next(),
            era: next(),
        })
    }

    /// Writes the owner's key if nothing has changed since it was read; the revision of that. An owner
    /// key of ours whose token nobody knows is written again, which gives it a new one: a claim that got
    /// no answer is settled like this, and whatever of it arrives late finds another owner key.
    async fn write_owner(
        &self,
        until: Instant,
        membership: &Membership,
        partition: PartitionKey,
        ground: &Ground,
    ) -> Result<Option<i64>, LeaseError> {
        let key = self.keys.owner(partition);
        let value = OwnerValue {
            holder: membership.holder,
        };
        let lease = PutOptions::new().with_lease(membership.lease_id);
        let agent = self.keys.agent(membership.holder);
        let compares = [
            Compare::lease(agent, CompareOp::Equal, membership.lease_id),
            unchanged(&self.keys.assign(partition), ground.assigned.as_ref()),
            unchanged(
                &self.keys.control(partition.migration_id),
                ground.control.as_ref(),
            ),
            unchanged(&key, ground.owner.as_ref()),
            unchanged(&self.keys.era(), ground.era.as_ref()),
        ];
        let put = TxnOp::put(key.as_str(), encode(&key, &value)?, Some(lease));
        let answer = self
            .link
            .txn(until, Txn::new().when(compares).and_then([put]))
            .await?;
        if !answer.succeeded() {
            return Ok(None);
        }
        let (cluster_id, revision) = head(&answer)?;
        if cluster_id != ground.cluster_id {
            return Err(Fault::Unreachable("another cluster answered".to_owned()).into());
        }
        Ok(Some(revision))
    }

    pub(super) async fn drop_claim(
        &self,
        membership: &Membership,
        partition: PartitionKey,
    ) -> Result<(), LeaseError> {
        let until = self.link.deadline();
        let key = self.keys.owner(partition);
        // A delete that arrives late must not end a later claim.
        let revision = match self.claims.take((membership.lease_id, partition)) {
            Some(revision) => revision,
            None => {
                let read = self.link.read(until, std::slice::from_ref(&key)).await?;
                match read.entries.into_iter().next().flatten() {
                    Some(owner) if owner.lease == membership.lease_id => owner.mod_revision,
                    _ => return Ok(()),
                }
            }
        };
        let compare = Compare::mod_revision(key.as_str(), CompareOp::Equal, revision);
        let txn = Txn::new().when([compare]);
        self.link
            .txn(until, txn.and_then([TxnOp::delete(key, None)]))
            .await?;
        Ok(())
    }
}
