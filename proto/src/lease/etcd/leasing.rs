//! Taking part and leading: what lives under a lease of its own.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::keep_alive::{self, Ends, Lease};
use super::keys::encode;
use super::link::{Link, first, head};
use super::{EtcdLeaseStore, Fault};
use crate::lease::{AgentEntry, Candidate, Held, Leadership, LeaseError, Membership};
use crate::runtime::backoff::Backoff;

/// A candidate looks at least this often whether there is a leader.
const LOOK: Duration = Duration::from_secs(2);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// A lease that is not kept alive yet. Dropped as it is, also in the middle of a request, it is revoked,
/// so that what may hang on it does not stand for the rest of its time.
struct Fresh {
    link: Arc<Link>,
    lease: Option<Lease>,
    id: i64,
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let (Some(lease), Ok(runtime)) = (self.lease.take(), Handle::try_current()) else {
            return;
        };
        let link = self.link.clone();
        runtime.spawn(async move {
            let until = Instant::now() + link.settings.request_timeout;
            // If this fails the lease runs out by itself.
            let _ = link.revoke(until, lease.id).await;
        });
    }
}

impl EtcdLeaseStore {
    /// A new lease, alive since the request for it was sent.
    async fn grant(&self, until: Instant, ttl: Duration) -> Result<Fresh, Fault> {
        let mut lease = Lease {
            id: (rand::random::<i64>() & i64::MAX).max(1),
            ttl,
            confirmed: Instant::now(),
        };
        let mut fresh = Fresh {
            link: self.link.clone(),
            lease: Some(lease),
            id: lease.id,
        };
        let seconds = i64::try_from(ttl.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        let granted = self.link.grant(until, lease.id, seconds.max(1)).await?;
        lease.ttl = Duration::from_secs(u64::try_from(granted).unwrap_or_default());
        fresh.lease = Some(lease);
        Ok(fresh)
    }

    /// Keeps the lease alive from now on: the token of its loss, and what gives it up when dropped.
    fn keep(&self, mut fresh: Fresh) -> (CancellationToken, Held) {
        let ends = Ends {
            lost: CancellationToken::new(),
            dropped: CancellationToken::new(),
            stopped: self.stopped.clone(),
        };
        if let Some(lease) = fresh.lease.take() {
            tokio::spawn(keep_alive::keep(self.link.clone(), lease, ends.clone()));
        }
        let dropped = ends.dropped;
        (ends.lost, Held::new(move || dropped.cancel()))
    }

    pub(super) async fn take_part(&self, agent: AgentEntry) -> Result<Membership, LeaseError> {
        let until = self.link.deadline();
        let key = self.keys.agent(agent.holder);
        let value = encode(&key, &agent)?;
        let read = self.link.read(until, std::slice::from_ref(&key)).await?;
        let earlier = read.entries.into_iter().next().flatten();
        if let Some(earlier) = earlier.filter(|entry| entry.lease != 0) {
            self.claims.end(earlier.lease);
            self.link.revoke(until, earlier.lease).await?;
        }
        let lease = self.grant(until, self.link.settings.times.agent).await?;
        let put = TxnOp::put(key, value, Some(PutOptions::new().with_lease(lease.id)));
        self.link.txn(until, Txn::new().and_then([put])).await?;
        let lease_id = lease.id;
        let (lost, held) = self.keep(lease);
        Ok(Membership {
            holder: agent.holder,
            lease_id,
            lost,
            _held: held,
        })
    }

    pub(super) async fn stop_taking_part(&self, membership: &Membership) -> Result<(), LeaseError> {
        membership.lost.cancel();
        self.claims.end(membership.lease_id);
        let until = self.link.deadline();
        Ok(self.link.revoke(until, membership.lease_id).await?)
    }

    pub(super) async fn wait_to_lead(
        &self,
        candidate: Candidate,
        stop: CancellationToken,
    ) -> Result<Leadership, LeaseError> {
        let mut vacancies = self.counters.vacancies.subscribe();
        let mut failures = 0;
        loop {
            vacancies.mark_unchanged();
            let tried = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(LeaseError::Stopped),
                tried = self.try_to_lead(&candidate) => tried,
            };
            let wait = match tried {
                Ok(Some(leadership)) => return Ok(leadership),
                Ok(None) => {
                    failures = 0;
                    LOOK.mul_f64(0.5 + rand::random::<f64>() / 2.0)
                }
                Err(error @ (LeaseError::Denied | LeaseError::Malformed { .. })) => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(%error, "no election while etcd does not answer");
                    failures += 1;
                    BACKOFF.delay(failures, rand::random())
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(LeaseError::Stopped),
                _ = vacancies.changed() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Leads if nobody does.
    async fn try_to_lead(&self, candidate: &Candidate) -> Result<Option<Leadership>, LeaseError> {
        let until = self.link.deadline();
        let key = self.keys.leader();
        let read = self.link.read(until, std::slice::from_ref(&key)).await?;
        if read.entries.iter().flatten().next().is_some() {
            return Ok(None);
        }
        let value = encode(&key, candidate)?;
        let lease = self.grant(until, self.link.settings.times.leader).await?;
        let under = PutOptions::new().with_lease(lease.id);
        let txn = Txn::new()
            .when([Compare::create_revision(key.as_str(), CompareOp::Equal, 0)])
            .and_then([TxnOp::put(key.as_str(), value, Some(under))])
            .or_else([TxnOp::get(key.as_str(), None)]);
        let answer = self.link.txn(until, txn).await?;
        // A transaction that was carried out twice finds the key of its first time.
        let found = answer.op_responses().first().and_then(first);
        let revision = match found {
            _ if answer.succeeded() => head(&answer)?.1,
            Some(leader) if leader.lease == lease.id => leader.create_revision,
            _ => return Ok(None),
        };
        let lease_id = lease.id;
        let (lost, held) = self.keep(lease);
        Ok(Some(Leadership {
            candidate: candidate.clone(),
            revision: u64::try_from(revision).unwrap_or_default(),
            lease_id,
            lost,
            _held: held,
        }))
    }

    pub(super) async fn stop_leading(&self, leadership: &Leadership) -> Result<(), LeaseError> {
        leadership.lost.cancel();
        let until = self.link.deadline();
        Ok(self.link.revoke(until, leadership.lease_id).await?)
    }
}
