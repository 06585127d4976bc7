//! The era of fencing tokens: raised whenever revisions of the lease store may repeat.
//!
//! A token is `era << 43 | revision`. Revisions rise within one history of one cluster; when the data of
//! the cluster was lost, restored or fell back, they may come again, and a new era keeps every token to
//! come above every one before.

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::token::{era_of, mint};
use proto::lease::{Cluster, Leadership, LeaseError, LeaseStore};

use crate::store::{Store, StoredEra};

/// Several migrations may settle it at the same time.
const SETTLE_TRIES: u32 = 4;

/// What is to be done about the era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Tokens to come are above all before.
    Keep(u32),
    /// They may not be: raise it above this one.
    RaiseAbove(u32),
}

/// Decides from what the metadata settled last, what the cluster is now, and the highest token that a
/// destination has ever seen.
pub fn decide(stored: &StoredEra, cluster: &Cluster, highest_token: i64) -> Decision {
    let floor = stored
        .era
        .max(era_of(highest_token))
        .max(cluster.era.unwrap_or(0));
    let is_same_history = stored.cluster_id.as_deref() == Some(cluster.cluster_id.as_str())
        && cluster.era == Some(stored.era)
        && stored.revision.unwrap_or(0) <= cluster.revision;
    let is_above = mint(stored.era, cluster.revision).is_some_and(|token| token >= highest_token);
    if is_same_history && is_above {
        Decision::Keep(stored.era)
    } else {
        Decision::RaiseAbove(floor)
    }
}

/// Settles the era, in the metadata first; the era in force.
///
/// # Errors
/// The metadata's and the lease store's.
pub async fn settle<L: LeaseStore>(
    store: &Store,
    lease: &L,
    leadership: &Leadership,
    highest_token: i64,
) -> Result<u32, Failure> {
    for _ in 0..SETTLE_TRIES {
        if let Some(era) = settle_once(store, lease, leadership, highest_token).await? {
            return Ok(era);
        }
    }
    Err(Failure::new(
        FailureKind::Busy,
        "the era was raised by others again and again",
    ))
}

/// None when another one raised the era meanwhile.
async fn settle_once<L: LeaseStore>(
    store: &Store,
    lease: &L,
    leadership: &Leadership,
    highest_token: i64,
) -> Result<Option<u32>, Failure> {
    // In this order: what is stored is never ahead of a revision that is read after it.
    let stored = store.era().await.map_err(|error| error.failure())?;
    let cluster = lease
        .cluster()
        .await
        .map_err(|error| lease_failure(&error))?;
    let era = match decide(&stored, &cluster, highest_token) {
        Decision::Keep(era) => return Ok(Some(era)),
        Decision::RaiseAbove(floor) => store
            .raise_era(floor, &cluster.cluster_id, cluster.revision)
            .await
            .map_err(|error| error.failure())?,
    };
    tracing::info!(era, "a new era of fencing tokens");
    match lease.set_era(leadership, era).await {
        Ok(()) => Ok(Some(era)),
        Err(LeaseError::EraFalls) => Ok(None),
        Err(error) => Err(lease_failure(&error)),
    }
}

/// A failure of the lease store.
pub fn lease_failure(error: &LeaseError) -> Failure {
    let kind = match error {
        LeaseError::Unavailable { .. } | LeaseError::Stopped => FailureKind::Unreachable,
        LeaseError::Denied => FailureKind::Denied,
        LeaseError::Deposed
        | LeaseError::NotMember
        | LeaseError::NotAssigned(_)
        | LeaseError::Closed(_)
        | LeaseError::Taken(_)
        | LeaseError::Outdated(_) => FailureKind::Fenced,
        LeaseError::NoEra
        | LeaseError::EraFalls
        | LeaseError::Exhausted
        | LeaseError::Malformed { .. } => FailureKind::Internal,
    };
    Failure::new(kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(era: u32, cluster: &str, revision: u64) -> StoredEra {
        StoredEra {
            era,
            cluster_id: Some(cluster.to_owned()),
            revision: Some(revision),
        }
    }

    fn cluster(id: &str, revision: u64, era: Option<u32>) -> Cluster {
        Cluster {
            cluster_id: id.to_owned(),
            revision,
            era,
        }
    }

    #[test]
    fn the_same_history_keeps_its_era() {
        let decision = decide(
            &stored(3, "a", 10),
            &cluster("a", 12, Some(3)),
            mint(3, 9).unwrap(),
        );
        assert_eq!(decision, Decision::Keep(3));
    }

    #[test]
    fn another_cluster_a_lost_era_a_regress_or_a_higher_token_raise_it() {
        let before = stored(3, "a", 10);
        for (now, token) in [
            (cluster("b", 12, Some(3)), 0),
            (cluster("a", 12, None), 0),
            (cluster("a", 12, Some(2)), 0),
            (cluster("a", 9, Some(3)), 0),
            (cluster("a", 12, Some(3)), mint(3, 13).unwrap()),
        ] {
            assert_eq!(
                decide(&before, &now, token),
                Decision::RaiseAbove(3),
                "{now:?}"
            );
        }
        let foreign = mint(7, 1).unwrap();
        let now = cluster("a", 12, Some(3));
        assert_eq!(decide(&before, &now, foreign), Decision::RaiseAbove(7));
        assert_eq!(
            decide(&StoredEra::default(), &cluster("a", 1, Some(5)), 0),
            Decision::RaiseAbove(5)
        );
    }
}
