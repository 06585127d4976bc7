//! Takes part in the lease store for as long as the process lives, again and again.

use std::sync::Arc;
use std::time::Duration;

use proto::lease::{AgentEntry, LeaseStore, Membership};
use proto::runtime::backoff::Backoff;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(300), Duration::from_secs(5));

/// Joins, and joins again whenever the lease is lost; shows the present membership. Leaves when `stop` is
/// cancelled.
pub async fn take_part<L: LeaseStore>(
    lease: Arc<L>,
    entry: AgentEntry,
    present: watch::Sender<Option<Membership>>,
    stop: CancellationToken,
) {
    let mut tries = 0;
    while !stop.is_cancelled() {
        let joined = tokio::select! {
            () = stop.cancelled() => return,
            joined = lease.join(entry.clone()) => joined,
        };
        let membership = match joined {
            Ok(membership) => membership,
            Err(error) => {
                warn!(reason = %error, "the lease store does not take this agent yet");
                tries += 1;
                let delay = BACKOFF.delay(tries, rand::random());
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(delay) => continue,
                }
            }
        };
        info!(holder = %entry.holder, "this agent takes part");
        tries = 0;
        present.send_replace(Some(membership.clone()));
        tokio::select! {
            () = membership.lost.cancelled() => {
                warn!("this agent's lease is lost: everything in hand is given back");
                present.send_replace(None);
            }
            () = stop.cancelled() => {
                present.send_replace(None);
                // What cannot be said now is seen when the lease ends.
                let _ = lease.leave(&membership).await;
                return;
            }
        }
    }
}
