//! Writes of the leader: each one transaction that compares the leader's key, and what was read before.
//! So a write that arrives late, or again, changes nothing.

use etcd_client::{Compare, CompareOp, DeleteOptions, PutOptions, Txn, TxnOp};
use tokio::time::Instant;
use uuid::Uuid;

use super::keys::{Entry, EraValue, encode, seen};
use super::link::{first, head};
use super::{EtcdLeaseStore, token_of};
use crate::lease::{Assigned, Control, Leadership, LeaseError, PartitionKey};

/// Rounds of reading and writing before a key that others keep changing is given up.
pub(super) const ROUNDS: u32 = 16;
/// Keys in one transaction; etcd takes 128 operations, unless told otherwise.
const CHUNK: usize = 100;

/// How a guarded write ended.
enum Written {
    /// At this revision.
    At(i64),
    /// What was read before has changed.
    Conflict,
}

pub(super) fn unchanged(key: &str, entry: Option<&Entry>) -> Compare {
    Compare::mod_revision(key, CompareOp::Equal, seen(entry))
}

pub(super) fn busy() -> LeaseError {
    LeaseError::Unavailable {
        reason: "others keep changing the same keys".to_owned(),
    }
}

impl EtcdLeaseStore {
    async fn write_as_leader(
        &self,
        until: Instant,
        leadership: &Leadership,
        (compares, operations): (Vec<Compare>, Vec<TxnOp>),
    ) -> Result<Written, LeaseError> {
        let leader = self.keys.leader();
        let revision = i64::try_from(leadership.revision).unwrap_or(i64::MAX);
        let leads = Compare::create_revision(leader.as_str(), CompareOp::Equal, revision);
        let compares: Vec<Compare> = std::iter::once(leads).chain(compares).collect();
        let txn = Txn::new()
            .when(compares)
            .and_then(operations)
            .or_else([TxnOp::get(leader, None)]);
        let answer = self.link.txn(until, txn).await?;
        if answer.succeeded() {
            return Ok(Written::At(head(&answer)?.1));
        }
        let leader = answer.op_responses().first().and_then(first);
        match leader {
            Some(leader) if leader.create_revision == revision => Ok(Written::Conflict),
            _ => Err(LeaseError::Deposed),
        }
    }

    pub(super) async fn write_era(
        &self,
        leadership: &Leadership,
        era: u32,
    ) -> Result<(), LeaseError> {
        let until = self.link.deadline();
        let key = self.keys.era();
        for _ in 0..ROUNDS {
            let read = self.link.read(until, std::slice::from_ref(&key)).await?;
            let stored = read.entries.first().and_then(Option::as_ref);
            let value = EraValue {
                era,
                cluster_id: read.cluster_id.clone(),
            };
            if let Some(stored) = stored {
                let now: EraValue = stored.decode()?;
                if now.era > era {
                    return Err(LeaseError::EraFalls);
                }
            }
            let put = TxnOp::put(key.as_str(), encode(&key, &value)?, None);
            let write = (vec![unchanged(&key, stored)], vec![put]);
            if let Written::At(_) = self.write_as_leader(until, leadership, write).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    pub(super) async fn write_control(
        &self,
        leadership: &Leadership,
        migration_id: Uuid,
        control: Control,
    ) -> Result<(), LeaseError> {
        let until = self.link.deadline();
        let key = self.keys.control(migration_id);
        for _ in 0..ROUNDS {
            let read = self.link.read(until, std::slice::from_ref(&key)).await?;
            let stored = read.entries.first().and_then(Option::as_ref);
            let put = TxnOp::put(key.as_str(), encode(&key, &control)?, None);
            let write = (vec![unchanged(&key, stored)], vec![put]);
            if let Written::At(_) = self.write_as_leader(until, leadership, write).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    pub(super) async fn write_assignment(
        &self,
        leadership: &Leadership,
        partition: PartitionKey,
        assigned: Assigned,
    ) -> Result<(), LeaseError> {
        let until = self.link.deadline();
        let (key, owner_key) = (self.keys.assign(partition), self.keys.owner(partition));
        for _ in 0..ROUNDS {
            let read = self
                .link
                .read(until, &[key.clone(), owner_key.clone()])
                .await?;
            let stored = read.entries.first().and_then(Option::as_ref);
            let owner = read.entries.get(1).and_then(Option::as_ref);
            let compares = vec![unchanged(&key, stored), unchanged(&owner_key, owner)];
            if let Some(stored) = stored
                && stored.decode::<Assigned>()?.refuses(&assigned)
            {
                // Whoever does not lead must not hear of a later generation, but of the other leader.
                let check = (Vec::new(), Vec::new());
                self.write_as_leader(until, leadership, check).await?;
                return Err(LeaseError::Outdated(partition.partition_id));
            }
            let mut operations = vec![TxnOp::put(key.as_str(), encode(&key, &assigned)?, None)];
            if let Some(owner) = owner
                && !owner.is_owned_by(assigned.holder)
            {
                operations.push(TxnOp::delete(owner_key.as_str(), None));
            }
            let write = (compares, operations);
            if let Written::At(_) = self.write_as_leader(until, leadership, write).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    pub(super) async fn delete_assignments(
        &self,
        leadership: &Leadership,
        partitions: &[PartitionKey],
    ) -> Result<(), LeaseError> {
        let until = self.link.deadline();
        for chunk in partitions.chunks(CHUNK) {
            let keys: Vec<String> = chunk.iter().map(|key| self.keys.assign(*key)).collect();
            self.delete_chunk(until, leadership, &keys).await?;
        }
        Ok(())
    }

    async fn delete_chunk(
        &self,
        until: Instant,
        leadership: &Leadership,
        keys: &[String],
    ) -> Result<(), LeaseError> {
        for _ in 0..ROUNDS {
            let read = self.link.read(until, keys).await?;
            let stored: Vec<&Entry> = read.entries.iter().flatten().collect();
            let compares = stored.iter().map(|it| unchanged(&it.key, Some(it)));
            let deletes = stored.iter().map(|it| TxnOp::delete(it.key.as_str(), None));
            let write = (compares.collect(), deletes.collect());
            if let Written::At(_) = self.write_as_leader(until, leadership, write).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    pub(super) async fn delete_migration(
        &self,
        leadership: &Leadership,
        migration_id: Uuid,
    ) -> Result<(), LeaseError> {
        let prefix = self.keys.migration(migration_id);
        let options = DeleteOptions::new().with_prefix();
        let write = (Vec::new(), vec![TxnOp::delete(prefix, Some(options))]);
        let until = self.link.deadline();
        match self.write_as_leader(until, leadership, write).await? {
            Written::At(_) => Ok(()),
            Written::Conflict => Err(busy()),
        }
    }

    /// Writes the leader's key as it is: that takes a revision, and nothing else.
    pub(super) async fn mint_token(&self, leadership: &Leadership) -> Result<i64, LeaseError> {
        let until = self.link.deadline();
        let (key, leader) = (self.keys.era(), self.keys.leader());
        for _ in 0..ROUNDS {
            let read = self.link.read(until, std::slice::from_ref(&key)).await?;
            let era = read.entries.first().and_then(Option::as_ref);
            let unchanged_leader = PutOptions::new().with_ignore_value().with_ignore_lease();
            let put = TxnOp::put(leader.as_str(), "", Some(unchanged_leader));
            let write = (vec![unchanged(&key, era)], vec![put]);
            if let Written::At(revision) = self.write_as_leader(until, leadership, write).await? {
                return token_of(era, &read.cluster_id, revision);
            }
        }
        Err(busy())
    }
}
