//! The lease store of a single process. Its revision starts anew with every process, so every start
//! takes a new era.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::{LeaseError, LeaseStore};
use crate::domain::token;

/// Assignments and claims in memory.
#[derive(Debug, Default)]
pub struct MemoryLeaseStore {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    era: u32,
    revision: u64,
    assigned: HashMap<Uuid, (Uuid, i64)>,
    claimed: HashMap<Uuid, Uuid>,
}

impl Inner {
    fn mint(&mut self) -> Result<i64, LeaseError> {
        self.revision += 1;
        token::mint(self.era, self.revision).ok_or(LeaseError::Exhausted)
    }
}

impl MemoryLeaseStore {
    /// Enters an era: one that no token anywhere has yet.
    pub fn begin_era(&self, era: u32) {
        self.lock().era = era;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaseStore for MemoryLeaseStore {
    async fn assign(
        &self,
        partition_id: Uuid,
        holder: Uuid,
        generation: i64,
    ) -> Result<(), LeaseError> {
        self.lock()
            .assigned
            .insert(partition_id, (holder, generation));
        Ok(())
    }

    async fn claim(
        &self,
        partition_id: Uuid,
        holder: Uuid,
        generation: i64,
    ) -> Result<i64, LeaseError> {
        let mut inner = self.lock();
        if inner.assigned.get(&partition_id) != Some(&(holder, generation)) {
            return Err(LeaseError::NotAssigned(partition_id));
        }
        if inner.claimed.contains_key(&partition_id) {
            return Err(LeaseError::Taken(partition_id));
        }
        let token = inner.mint()?;
        inner.claimed.insert(partition_id, holder);
        Ok(token)
    }

    async fn release(&self, partition_id: Uuid, holder: Uuid) -> Result<(), LeaseError> {
        let mut inner = self.lock();
        if inner.claimed.get(&partition_id) == Some(&holder) {
            inner.claimed.remove(&partition_id);
        }
        Ok(())
    }

    async fn mint(&self) -> Result<i64, LeaseError> {
        self.lock().mint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_assigned_generation_claims_once_and_tokens_rise() {
        let store = MemoryLeaseStore::default();
        store.begin_era(3);
        let (partition, holder) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(store.claim(partition, holder, 1).await.is_err());
        store.assign(partition, holder, 1).await.unwrap();
        assert!(store.claim(partition, holder, 2).await.is_err());
        let first = store.claim(partition, holder, 1).await.unwrap();
        assert_eq!(
            store.claim(partition, holder, 1).await,
            Err(LeaseError::Taken(partition))
        );
        store.release(partition, holder).await.unwrap();
        let second = store.claim(partition, holder, 1).await.unwrap();
        assert!(second > first);
        assert_eq!(token::era_of(second), 3);
    }
}
