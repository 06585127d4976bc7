//! One task that turns events of etcd into wake-ups.
//!
//! A watch begins at the present revision, and its beginning is a wake-up too: what happened while there
//! was none is read, not replayed. So neither a compaction nor a revision that fell can hide anything.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, WatchOptions, WatchResponse, WatchStream};
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::fault::Fault;
use super::keys::Keys;
use super::link::Link;
use crate::runtime::backoff::Backoff;

/// Everybody reads again at least this often.
const PERIOD: Duration = Duration::from_secs(5);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// The counters that the task raises.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    /// Something may have changed.
    pub(super) changes: watch::Sender<u64>,
    /// The leader's key may be gone.
    pub(super) vacancies: watch::Sender<u64>,
}

impl Counters {
    fn raise(counter: &watch::Sender<u64>) {
        counter.send_modify(|count| *count += 1);
    }

    fn raise_all(&self) {
        Self::raise(&self.changes);
        Self::raise(&self.vacancies);
    }
}

/// Watches until it is stopped.
pub(super) async fn run(
    link: Arc<Link>,
    keys: Keys,
    counters: Counters,
    stopped: CancellationToken,
) {
    let periodic = async {
        let mut ticks = interval_at(Instant::now() + PERIOD, PERIOD);
        loop {
            ticks.tick().await;
            Counters::raise(&counters.changes);
        }
    };
    let watching = async {
        let mut failures = 0;
        loop {
            let fault = follow(&link, &keys, &counters, &mut failures).await;
            tracing::debug!(?fault, failures, "watch of etcd ended, starting another");
            sleep(BACKOFF.delay(failures, rand::random())).await;
            failures = failures.saturating_add(1);
        }
    };
    tokio::select! {
        biased;
        () = stopped.cancelled() => {}
        () = watching => {}
        () = periodic => {}
    }
}

/// Follows one watch until it ends, or its connection is given up.
async fn follow(link: &Link, keys: &Keys, counters: &Counters, failures: &mut u32) -> Fault {
    let mut number = link.number();
    number.mark_unchanged();
    let connection = match link.connection().await {
        Ok(connection) => connection,
        Err(fault) => return fault,
    };
    let opening = timeout(
        link.settings.request_timeout,
        open(connection.client, keys.all()),
    );
    let mut stream = match opening.await.unwrap_or_else(|_| Err(link.silence())) {
        Ok(stream) => stream,
        Err(fault) => {
            link.failed(connection.number);
            return fault;
        }
    };
    *failures = 0;
    counters.raise_all();
    loop {
        let message = tokio::select! {
            biased;
            // Closed only with the link itself.
            _ = number.wait_for(|now| *now != connection.number) => {
                return Fault::Unreachable("the connection was given up".to_owned());
            }
            message = stream.message() => message,
        };
        match message {
            Ok(Some(message)) if !message.canceled() => tell(&message, keys, counters),
            Ok(Some(message)) => {
                return Fault::Unreachable(message.cancel_reason().to_owned());
            }
            Ok(None) => {
                link.failed(connection.number);
                return Fault::Unreachable("the stream ended".to_owned());
            }
            Err(error) => {
                link.failed(connection.number);
                return Fault::from(error);
            }
        }
    }
}

/// A watch that the server has confirmed.
async fn open(client: Client, prefix: String) -> Result<WatchStream, Fault> {
    let mut watches = client.watch_client();
    let options = WatchOptions::new().with_prefix();
    let mut stream = Box::pin(watches.watch(prefix, Some(options))).await?;
    match stream.message().await? {
        Some(message) if message.created() && !message.canceled() => Ok(stream),
        Some(message) => Err(Fault::Unreachable(message.cancel_reason().to_owned())),
        None => Err(Fault::Unreachable("the stream ended".to_owned())),
    }
}

fn tell(message: &WatchResponse, keys: &Keys, counters: &Counters) {
    if message.events().is_empty() {
        return;
    }
    let leader = keys.leader();
    // A key that was deleted has no version.
    let is_vacancy = message
        .events()
        .iter()
        .filter_map(|event| event.kv())
        .any(|entry| entry.version() == 0 && entry.key() == leader.as_bytes());
    Counters::raise(&counters.changes);
    if is_vacancy {
        Counters::raise(&counters.vacancies);
    }
}
