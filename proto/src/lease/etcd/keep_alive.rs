//! Keeps one lease alive, and says so when it cannot be shown to be alive any more.
//!
//! The lease counts as alive for its time to live from the moment the last confirmed request was sent:
//! the server counts from a later one, so we let go first.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{LeaseKeepAliveStream, LeaseKeeper};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::fault::Fault;
use super::link::Link;

/// A granted lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) id: i64,
    pub(super) ttl: Duration,
    /// When the last confirmed request was sent.
    pub(super) confirmed: Instant,
}

/// What ends a lease's task.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    /// Cancelled by the task when it ends, or by whoever gives the lease up and revokes it.
    pub(super) lost: CancellationToken,
    /// The owner is gone without giving the lease up.
    pub(super) dropped: CancellationToken,
    /// The store is gone.
    pub(super) stopped: CancellationToken,
}

enum Beat {
    Alive,
    Lost(&'static str),
    Dropped,
    Ended,
}

struct Stream {
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
    number: u64,
}

/// Keeps the lease alive until something ends it. Whatever happens, `lost` is cancelled at the end.
pub(super) async fn keep(link: Arc<Link>, mut lease: Lease, ends: Ends) {
    let _lost = ends.lost.clone().drop_guard();
    let mut stream = None;
    let mut failures = 0;
    loop {
        match beat(&link, &mut lease, &ends, (&mut stream, &mut failures)).await {
            Beat::Alive => {}
            Beat::Lost(reason) => {
                tracing::warn!(lease_id = lease.id, reason, "lease lost");
                return;
            }
            Beat::Dropped => {
                ends.lost.cancel();
                let until = Instant::now() + link.settings.request_timeout;
                // If this fails the lease runs out by itself.
                let _ = link.revoke(until, lease.id).await;
                return;
            }
            Beat::Ended => return,
        }
    }
}

/// Waits for the next moment to ask, and asks.
async fn beat(
    link: &Link,
    lease: &mut Lease,
    ends: &Ends,
    (stream, failures): (&mut Option<Stream>, &mut u32),
) -> Beat {
    let expiry = lease.confirmed + lease.ttl;
    let next = if *failures == 0 {
        lease.confirmed + lease.ttl / 3
    } else {
        Instant::now() + (lease.ttl / 12).mul_f64(rand::random::<f64>() + 0.1)
    };
    let asking = async {
        sleep_until(next).await;
        let sent = Instant::now();
        let within = expiry.min(sent + (lease.ttl / 3).min(link.settings.request_timeout));
        let answer = timeout_at(within, ask(link, lease.id, stream)).await;
        (sent, answer.unwrap_or_else(|_| Err(link.silence())))
    };
    let (sent, answer) = tokio::select! {
        biased;
        () = ends.stopped.cancelled() => return Beat::Ended,
        () = ends.lost.cancelled() => return Beat::Ended,
        () = ends.dropped.cancelled() => return Beat::Dropped,
        () = sleep_until(expiry) => return Beat::Lost("not confirmed in time"),
        answered = asking => answered,
    };
    match answer {
        Ok(()) => {
            lease.confirmed = sent;
            *failures = 0;
            Beat::Alive
        }
        Err(Fault::LeaseGone) => Beat::Lost("the server does not know it"),
        Err(fault) => {
            tracing::debug!(lease_id = lease.id, ?fault, "keep-alive failed");
            if let Some(stream) = stream.take() {
                link.failed(stream.number);
            }
            *failures += 1;
            Beat::Alive
        }
    }
}

/// One request and its answer, over the stream of the present connection.
async fn ask(link: &Link, id: i64, stream: &mut Option<Stream>) -> Result<(), Fault> {
    let number = *link.number().borrow();
    match stream {
        Some(open) if open.number == number => {
            open.keeper.keep_alive().await?;
            match open.answers.message().await? {
                Some(answer) if answer.ttl() > 0 => Ok(()),
                Some(_) => Err(Fault::LeaseGone),
                None => Err(Fault::Unreachable("the stream ended".to_owned())),
            }
        }
        stream => {
            *stream = None;
            let connection = link.connection().await?;
            let mut leases = connection.client.lease_client();
            // Sends the first request, and returns with its answer.
            let opened = OpenGuard::new(link, connection.number);
            let (keeper, answers) = Box::pin(leases.keep_alive(id)).await?;
            opened.succeeded();
            *stream = Some(Stream {
                keeper,
                answers,
                number: connection.number,
            });
            Ok(())
        }
    }
}

/// Gives the connection up when a stream could not be opened on it, also when the wait was cut short.
struct OpenGuard<'a> {
    link: Option<&'a Link>,
    number: u64,
}

impl<'a> OpenGuard<'a> {
    fn new(link: &'a Link, number: u64) -> Self {
        Self {
            link: Some(link),
            number,
        }
    }

    fn succeeded(mut self) {
        self.link = None;
    }
}

impl Drop for OpenGuard<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.link {
            link.failed(self.number);
        }
    }
}
