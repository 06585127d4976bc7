//! The lease store between many processes: etcd.
//!
//! Every write is one transaction that compares what was read before, so that it may be repeated when
//! its outcome is unknown. Every read is linearizable. Nothing else in Drover speaks to etcd.

mod claiming;
mod claims;
mod fault;
mod keep_alive;
mod keys;
mod leasing;
mod link;
mod settings;
mod watching;
mod writing;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use self::claims::Claims;
use self::fault::Fault;
use self::keys::{Entry, EraValue, Keys, OwnerValue};
use self::link::Link;
pub use self::settings::{EtcdLogin, EtcdSettings, EtcdTls};
use self::watching::Counters;
use super::{
    AgentEntry, Assigned, Candidate, Cluster, Control, Leadership, LeaseError, LeaseStore,
    Membership, Owner, PartitionKey,
};
use crate::domain::token;

/// Leader, agents, assignments and claims in etcd. Its tasks end, and its leases are lost, when it is
/// dropped.
pub struct EtcdLeaseStore {
    link: Arc<Link>,
    keys: Keys,
    claims: Claims,
    counters: Counters,
    stopped: CancellationToken,
    _stop: DropGuard,
}

impl std::fmt::Debug for EtcdLeaseStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdLeaseStore")
            .field("settings", &self.link.settings)
            .finish_non_exhaustive()
    }
}

impl EtcdLeaseStore {
    /// A store that connects with its first call. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// `Unavailable` with settings that cannot work.
    pub fn open(settings: EtcdSettings) -> Result<Self, LeaseError> {
        settings.check()?;
        let stopped = CancellationToken::new();
        let store = Self {
            keys: Keys::new(&settings.prefix),
            link: Arc::new(Link::new(settings)),
            claims: Claims::default(),
            counters: Counters::default(),
            _stop: stopped.clone().drop_guard(),
            stopped,
        };
        tokio::spawn(watching::run(
            store.link.clone(),
            store.keys.clone(),
            store.counters.clone(),
            store.stopped.clone(),
        ));
        Ok(store)
    }

    async fn range<T>(
        &self,
        prefix: &str,
        decode: impl Fn(&Entry) -> Result<T, LeaseError>,
    ) -> Result<Vec<T>, LeaseError> {
        let until = self.link.deadline();
        let entries = self.link.range(until, prefix).await?;
        entries.iter().map(decode).collect()
    }

    async fn get<T: DeserializeOwned>(&self, key: String) -> Result<Option<T>, LeaseError> {
        let read = self.link.read(self.link.deadline(), &[key]).await?;
        let entry = read.entries.into_iter().next().flatten();
        entry.map(|entry| entry.decode()).transpose()
    }
}

impl Entry {
    /// Whether this owner key names the holder; one that cannot be read names nobody.
    fn is_owned_by(&self, holder: Uuid) -> bool {
        self.decode::<OwnerValue>()
            .is_ok_and(|owner| owner.holder == holder)
    }
}

/// The token of a revision, in the era that was set in this cluster.
fn token_of(era: Option<&Entry>, cluster_id: &str, revision: i64) -> Result<i64, LeaseError> {
    let era: EraValue = era.ok_or(LeaseError::NoEra)?.decode()?;
    if era.cluster_id != cluster_id {
        return Err(LeaseError::NoEra);
    }
    let revision = u64::try_from(revision).map_err(|_| LeaseError::Exhausted)?;
    token::mint(era.era, revision).ok_or(LeaseError::Exhausted)
}

impl LeaseStore for EtcdLeaseStore {
    fn changes(&self) -> watch::Receiver<u64> {
        self.counters.changes.subscribe()
    }

    async fn cluster(&self) -> Result<Cluster, LeaseError> {
        let until = self.link.deadline();
        let read = self.link.read(until, &[self.keys.era()]).await?;
        let era = read.entries.into_iter().next().flatten();
        let era: Option<EraValue> = era.map(|entry| entry.decode()).transpose()?;
        Ok(Cluster {
            cluster_id: read.cluster_id,
            revision: u64::try_from(read.revision).unwrap_or_default(),
            era: era.map(|era| era.era),
        })
    }

    async fn leader(&self) -> Result<Option<Candidate>, LeaseError> {
        self.get(self.keys.leader()).await
    }

    async fn campaign(
        &self,
        candidate: Candidate,
        stop: CancellationToken,
    ) -> Result<Leadership, LeaseError> {
        self.wait_to_lead(candidate, stop).await
    }

    async fn resign(&self, leadership: &Leadership) -> Result<(), LeaseError> {
        self.stop_leading(leadership).await
    }

    async fn set_era(&self, leadership: &Leadership, era: u32) -> Result<(), LeaseError> {
        self.write_era(leadership, era).await
    }

    async fn agents(&self) -> Result<Vec<AgentEntry>, LeaseError> {
        self.range(&self.keys.agents(), Entry::decode).await
    }

    async fn set_control(
        &self,
        leadership: &Leadership,
        migration_id: Uuid,
        control: Control,
    ) -> Result<(), LeaseError> {
        self.write_control(leadership, migration_id, control).await
    }

    async fn assign(
        &self,
        leadership: &Leadership,
        partition: PartitionKey,
        assigned: Assigned,
    ) -> Result<(), LeaseError> {
        self.write_assignment(leadership, partition, assigned).await
    }

    async fn unassign(
        &self,
        leadership: &Leadership,
        partitions: &[PartitionKey],
    ) -> Result<(), LeaseError> {
        self.delete_assignments(leadership, partitions).await
    }

    async fn assignments(&self, migration_id: Uuid) -> Result<Vec<(Uuid, Assigned)>, LeaseError> {
        let prefix = self.keys.assigns(migration_id);
        self.range(&prefix, |entry| {
            Ok((entry.partition_id()?, entry.decode()?))
        })
        .await
    }

    async fn owners(&self, migration_id: Uuid) -> Result<Vec<Owner>, LeaseError> {
        let prefix = self.keys.owners(migration_id);
        self.range(&prefix, |entry| {
            Ok(Owner {
                partition_id: entry.partition_id()?,
                holder: entry.decode::<OwnerValue>()?.holder,
            })
        })
        .await
    }

    async fn forget(&self, leadership: &Leadership, migration_id: Uuid) -> Result<(), LeaseError> {
        self.delete_migration(leadership, migration_id).await
    }

    async fn mint(&self, leadership: &Leadership) -> Result<i64, LeaseError> {
        self.mint_token(leadership).await
    }

    async fn join(&self, agent: AgentEntry) -> Result<Membership, LeaseError> {
        self.take_part(agent).await
    }

    async fn leave(&self, membership: &Membership) -> Result<(), LeaseError> {
        self.stop_taking_part(membership).await
    }

    async fn claim(
        &self,
        membership: &Membership,
        partition: PartitionKey,
        generation: i64,
    ) -> Result<i64, LeaseError> {
        self.make_claim(membership, partition, generation).await
    }

    async fn release(
        &self,
        membership: &Membership,
        partition: PartitionKey,
    ) -> Result<(), LeaseError> {
        self.drop_claim(membership, partition).await
    }
}
