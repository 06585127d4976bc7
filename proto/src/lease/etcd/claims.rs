//! Which claims this process knows to have. An owner key of ours that is not in here is left from a
//! claim whose outcome was never learned, and may be taken over.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::lease::PartitionKey;

/// A partition under a lease.
pub(super) type Claim = (i64, PartitionKey);

/// The claims of every membership of a store.
#[derive(Debug, Default)]
pub(super) struct Claims {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    under_way: HashSet<Claim>,
    /// The revision that wrote the owner key.
    held: HashMap<Claim, i64>,
}

/// A claim that is being made: nobody else makes the same meanwhile.
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    claims: &'a Claims,
    claim: Claim,
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None while the same claim is being made already.
    pub(super) fn begin(&self, claim: Claim) -> Option<UnderWay<'_>> {
        let is_new = self.lock().under_way.insert(claim);
        is_new.then_some(UnderWay {
            claims: self,
            claim,
        })
    }

    /// Takes a claim out of the book; the revision that wrote it, where it was in there.
    pub(super) fn take(&self, claim: Claim) -> Option<i64> {
        self.lock().held.remove(&claim)
    }

    /// Forgets everything under a lease.
    pub(super) fn end(&self, lease_id: i64) {
        self.lock().held.retain(|(lease, _), _| *lease != lease_id);
    }
}

impl UnderWay<'_> {
    /// Whether the owner key of this revision is known to be ours.
    pub(super) fn is_held(&self, mod_revision: i64) -> bool {
        self.claims.lock().held.get(&self.claim) == Some(&mod_revision)
    }

    /// The claim is made.
    pub(super) fn made(self, revision: i64) {
        self.claims.lock().held.insert(self.claim, revision);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.claims.lock().under_way.remove(&self.claim);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_claim_is_made_by_one_at_a_time_and_known_once_it_is_made() {
        let claims = Claims::default();
        let claim = (
            7,
            PartitionKey {
                migration_id: Uuid::nil(),
                partition_id: Uuid::nil(),
            },
        );
        let first = claims.begin(claim).unwrap();
        assert!(claims.begin(claim).is_none());
        assert!(!first.is_held(3));
        drop(first);
        claims.begin(claim).unwrap().made(3);
        assert!(claims.begin(claim).unwrap().is_held(3));
        assert!(!claims.begin(claim).unwrap().is_held(4));
        assert_eq!(claims.take(claim), Some(3));
        assert_eq!(claims.take(claim), None);
        claims.begin(claim).unwrap().made(5);
        claims.end(7);
        assert_eq!(claims.take(claim), None);
    }
}
