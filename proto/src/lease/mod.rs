//! Who should be working now: agents, assignments, owners, the leader. A liveness hint, never mutual
//! exclusion.
//!
//! The controller assigns, an agent claims, and the claim mints a fencing token. What makes a zombie
//! harmless is the fence at the destination; what makes a deposed controller harmless is the epoch in
//! the metadata. Nothing in here is needed to resume: progress, errors and checkpoints are elsewhere.
//!
//! Every call ends within the store's own deadline. Failures of the server itself are
//! [`LeaseError::Unavailable`] after the store's retries; everything else is a definite answer.

mod config;
mod etcd;
mod held;
mod memory;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use config::RawEtcd;
pub use etcd::{EtcdLeaseStore, EtcdLogin, EtcdSettings, EtcdTls};
use held::Held;
pub use memory::MemoryLeaseStore;

/// How long leases live without being kept alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// The leader's.
    pub leader: Duration,
    /// An agent's, with everything it owns.
    pub agent: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self {
            leader: Duration::from_secs(6),
            agent: Duration::from_secs(10),
        }
    }
}

/// A controller that wants to lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// New for every process.
    pub controller_id: Uuid,
    /// Where clients and agents reach it.
    pub address: String,
}

/// Proof of being the leader, for as long as `lost` is not cancelled. Every write of the controller
/// names it, and is refused by the store once another leader was elected. The lease is given up when
/// the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Leadership {
    /// The leader.
    pub candidate: Candidate,
    /// Revision of the transaction that created the leader's key: rises with every leader of an era.
    pub revision: u64,
    /// The lease behind it.
    pub lease_id: i64,
    /// Cancelled once the lease is lost or given up, or can no longer be shown to be alive.
    pub lost: CancellationToken,
    _held: Held,
}

/// An agent that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentEntry {
    /// New for every process.
    pub holder: Uuid,
    /// Its configured name.
    pub agent_id: String,
    /// Its region.
    pub region: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Names of the connections it can open.
    pub connections: Vec<String>,
    /// Partitions it works on at the same time, at most.
    pub capacity: u32,
    /// Version of compiled plans it understands.
    pub codec_version: u32,
}

/// Proof of taking part, for as long as `lost` is not cancelled; with it ends every claim. The lease
/// is given up when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The agent's process.
    pub holder: Uuid,
    /// The lease behind it.
    pub lease_id: i64,
    /// Cancelled once the lease is lost or given up, or can no longer be shown to be alive.
    pub lost: CancellationToken,
    _held: Held,
}

/// The cluster behind a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Which cluster it is. Another one after a restore; etcd that was emptied and started with the same
    /// flags has the same one, and no era.
    pub cluster_id: String,
    /// Its present revision.
    pub revision: u64,
    /// The era that was set last; none in a new cluster. One that was set in another cluster is shown, but
    /// mints no tokens.
    pub era: Option<u32>,
}

/// A partition of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    /// The migration.
    pub migration_id: Uuid,
    /// The partition.
    pub partition_id: Uuid,
}

/// Whether partitions of a migration can be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Generation of the migration's record that this follows from.
    pub generation: i64,
    /// Attempt of the migration.
    pub attempt: i32,
    /// Claims are taken; false while it pauses or stands still.
    pub is_open: bool,
}

/// Who is to work on a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// The agent's process.
    pub holder: Uuid,
    /// Rises with every assignment of the partition.
    pub generation: i64,
}

impl Assigned {
    /// Whether this assignment, once made, stands against another one.
    fn refuses(&self, other: &Self) -> bool {
        self.generation > other.generation
            || (self.generation == other.generation && self.holder != other.holder)
    }
}

/// Who works on a partition, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The partition.
    pub partition_id: Uuid,
    /// The agent's process.
    pub holder: Uuid,
}

/// A lease store: memory within one process, etcd between many. One contract suite runs against both.
pub trait LeaseStore: Send + Sync + 'static {
    // --- everybody

    /// A number that rises whenever anything in the store may have changed. A wake-up, and no more: what
    /// is true is read. It rises too when changes may have been missed.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The cluster behind the store.
    fn cluster(&self) -> impl Future<Output = Result<Cluster, LeaseError>> + Send;

    /// The leader, if there is one.
    fn leader(&self) -> impl Future<Output = Result<Option<Candidate>, LeaseError>> + Send;

    // --- the controller

    /// Waits until the candidate is elected, then keeps its lease alive until it is lost or resigned.
    ///
    /// # Errors
    /// `Stopped` when `stop` is cancelled first; `Denied`. A server out of reach is waited for.
    fn campaign(
        &self,
        candidate: Candidate,
        stop: CancellationToken,
    ) -> impl Future<Output = Result<Leadership, LeaseError>> + Send;

    /// Gives leadership up at once; nothing happens where it is lost already.
    fn resign(
        &self,
        leadership: &Leadership,
    ) -> impl Future<Output = Result<(), LeaseError>> + Send;

    /// Sets the era of all tokens to come, in the present cluster. It never falls; the same again is fine.
    ///
    /// # Errors
    /// `Deposed`; `EraFalls`.
    fn set_era(
        &self,
        leadership: &Leadership,
        era: u32,
    ) -> impl Future<Output = Result<(), LeaseError>> + Send;

    /// The agents that take part, by holder.
    fn agents(&self) -> impl Future<Output = Result<Vec<AgentEntry>, LeaseError>> + Send;

    /// Opens or closes a migration for claims. Claims that stand are not touched.
    ///
    /// # Errors
    /// `Deposed`.
    fn set_control(
        &self,
        leadership: &Leadership,
        migration_id: Uuid,
        control: Control,
    ) -> impl Future<Output = Result<(), LeaseError>> + Send;

    /// Sets who is to work on a partition; replaces an earlier assignment, and ends the claim of any
    /// other holder: the fence makes that safe. The same again changes nothing.
    ///
    /// # Errors
    /// `Deposed`; `Outdated` when a later generation is assigned already, or this one to another holder.
    fn assign(
        &self,
        leadership: &Leadership,
        partition: PartitionKey,
        assigned: Assigned,
    ) -> impl Future<Output = Result<(), LeaseError>> + Send;

    /// Takes assignments away; claims that stand are not touched.
    ///
    /// # Errors
    /// `Deposed`.
    fn unassign(
        &self,
        leadership: &Leadership,
        partitions: &[PartitionKey],
    ) -> impl Future<Output = Result<(), LeaseError>> + Send;

    /// Assignments of a migration.
    fn assignments(
        &self,
        migration_id: Uuid,
    ) -> impl Future<Output = Result<Vec<(Uuid, Assigned)>, LeaseError>> + Send;

    /// Owners of a migration's partitions.
    fn owners(
        &self,
        migration_id: Uuid,
    ) -> impl Future<Output = Result<Vec<Owner>, LeaseError>> + Send;

    /// Removes every key of a migration.
    ///
    /// # Errors
    /// `Deposed`.
    fn forget(
        &self,
        leadership: &Leadership,
        migration_id: Uuid,
    ) -> impl Future<Output = Result<(), LeaseError>> + Send;

    /// A token of the controller's own, for work that no claim covers; higher than any before.
    ///
    /// # Errors
    /// `Deposed`; `NoEra`; `Exhausted`.
    fn mint(&self, leadership: &Leadership)
    -> impl Future<Output = Result<i64, LeaseError>> + Send;

    // --- an agent

    /// Takes part, and keeps the lease alive until it is lost or left. Joining again under the same
    /// holder replaces the entry, and ends the earlier membership with its claims.
    fn join(
        &self,
        agent: AgentEntry,
    ) -> impl Future<Output = Result<Membership, LeaseError>> + Send;

    /// Stops taking part at once, with every claim.
    fn leave(&self, membership: &Membership)
    -> impl Future<Output = Result<(), LeaseError>> + Send;

    /// Claims an assigned partition; the fencing token of the claim, higher than any before.
    ///
    /// # Errors
    /// In this order: `NotMember` once the membership is lost; `NotAssigned` unless the holder is assigned
    /// in exactly this generation; `Closed` while the migration takes no claims; `Taken` while a claim of
    /// the partition stands, this member's own too; `NoEra`; `Exhausted`. After `Unavailable` the same
    /// member can claim again, whether or not the first try reached the store.
    fn claim(
        &self,
        membership: &Membership,
        partition: PartitionKey,
        generation: i64,
    ) -> impl Future<Output = Result<i64, LeaseError>> + Send;

    /// Lets a claimed partition go; nothing happens when the member does not have it.
    fn release(
        &self,
        membership: &Membership,
        partition: PartitionKey,
    ) -> impl Future<Output = Result<(), LeaseError>> + Send;
}

/// What a lease store can refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The partition is assigned to nobody, to somebody else, or in another generation.
    #[error("partition {0} is not assigned to this holder in this generation")]
    NotAssigned(Uuid),
    /// The migration takes no claims now.
    #[error("migration {0} takes no claims now")]
    Closed(Uuid),
    /// Another claim stands.
    #[error("partition {0} is claimed")]
    Taken(Uuid),
    /// A later generation is assigned already.
    #[error("partition {0} is assigned in a later generation")]
    Outdated(Uuid),
    /// The membership's lease is gone.
    #[error("the agent's lease is gone")]
    NotMember,
    /// Another leader was elected, or none.
    #[error("this controller does not lead any more")]
    Deposed,
    /// The era was never set.
    #[error("the era is not set yet")]
    NoEra,
    /// The era would fall.
    #[error("the era never falls")]
    EraFalls,
    /// Era or revision left their range.
    #[error("the lease store cannot mint another token")]
    Exhausted,
    /// The wait was ended by the caller.
    #[error("stopped while waiting")]
    Stopped,
    /// A value in the store is not ours.
    #[error("the lease store holds something else under {key}")]
    Malformed {
        /// The key.
        key: String,
    },
    /// The store refused user, password or certificate.
    #[error("the lease store refused the login")]
    Denied,
    /// The store did not answer, or could not (no leader, no space); after retries.
    #[error("the lease store is not available: {reason}")]
    Unavailable {
        /// In words.
        reason: String,
    },
}
