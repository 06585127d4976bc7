//! Who should be working on a partition: a liveness hint, never mutual exclusion.
//!
//! The controller assigns, an agent claims. What makes a zombie harmless is the fence at the
//! destination; the store only mints tokens that rise.

mod memory;

use std::future::Future;

use uuid::Uuid;

pub use memory::MemoryLeaseStore;

/// A lease store. Implementations: memory here, etcd with the cluster.
pub trait LeaseStore: Send + Sync + 'static {
    /// Sets who is to work on a partition; replaces an earlier assignment.
    fn assign(
        &self,
        partition_id: Uuid,
        holder: Uuid,
        generation: i64,
    ) -> impl Future<Output = Result<(), LeaseError>> + Send;

    /// Claims an assigned partition; the fencing token of the claim, higher than any before.
    ///
    /// # Errors
    /// `NotAssigned` unless the holder is assigned in exactly this generation; `Taken` while a claim
    /// of the partition stands.
    fn claim(
        &self,
        partition_id: Uuid,
        holder: Uuid,
        generation: i64,
    ) -> impl Future<Output = Result<i64, LeaseError>> + Send;

    /// Lets a claimed partition go; nothing happens when the holder does not have it.
    fn release(
        &self,
        partition_id: Uuid,
        holder: Uuid,
    ) -> impl Future<Output = Result<(), LeaseError>> + Send;

    /// A token of the controller's own, for work that no partition lease covers.
    fn mint(&self) -> impl Future<Output = Result<i64, LeaseError>> + Send;
}

/// What a lease store can refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The partition is assigned to nobody, to somebody else, or in another generation.
    #[error("partition {0} is not assigned to this holder in this generation")]
    NotAssigned(Uuid),
    /// Another claim stands.
    #[error("partition {0} is claimed")]
    Taken(Uuid),
    /// Era or revision left their range.
    #[error("the lease store cannot mint another token")]
    Exhausted,
}
