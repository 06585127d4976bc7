//! The connection to etcd: to one member at a time, so that requests, the watch and the keep-alives live
//! and end together. The client library neither fails over nor retries: both happen here.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::{
    Client, GetOptions, GetResponse, LeaseGrantOptions, Txn, TxnOp, TxnOpResponse, TxnResponse,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::fault::Fault;
use super::keys::Entry;
use super::settings::EtcdSettings;
use crate::runtime::backoff::Backoff;

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
/// Entries of a range that are asked for at once: an answer must stay far below 4 MiB.
const PAGE: i64 = 4000;
/// Tries with a fresh token before the login counts as refused.
const LOGINS: u32 = 3;

/// A client, and which connection of the link it is.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) number: u64,
}

/// The connection, made when it is needed and made anew at the next member when it failed.
pub(super) struct Link {
    pub(super) settings: EtcdSettings,
    current: Mutex<Current>,
    number: watch::Sender<u64>,
}

#[derive(Default)]
struct Current {
    client: Option<Client>,
    number: u64,
    endpoint: usize,
}

/// What one read transaction saw.
pub(super) struct Seen {
    pub(super) cluster_id: String,
    pub(super) revision: i64,
    pub(super) entries: Vec<Option<Entry>>,
}

impl Link {
    pub(super) fn new(settings: EtcdSettings) -> Self {
        Self {
            settings,
            current: Mutex::default(),
            number: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rises with every connection that failed.
    pub(super) fn number(&self) -> watch::Receiver<u64> {
        self.number.subscribe()
    }

    /// When a call that starts now gives up.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.settings.retry_within
    }

    /// The present connection, or a new one. The client connects with its first request.
    pub(super) async fn connection(&self) -> Result<Connection, Fault> {
        let (number, endpoint) = {
            let current = self.lock();
            if let Some(client) = &current.client {
                return Ok(Connection {
                    client: client.clone(),
                    number: current.number,
                });
            }
            (current.number, self.endpoint(current.endpoint))
        };
        let options = Some(self.settings.options());
        let connecting = Client::connect([endpoint], options).boxed();
        let until = Instant::now() + self.settings.request_timeout;
        let connected = match timeout_at(until, connecting).await {
            Ok(connected) => connected.map_err(Fault::from),
            Err(_) => Err(self.silence()),
        };
        let client = connected.inspect_err(|_| self.failed(number))?;
        let mut current = self.lock();
        if current.number == number {
            current.client = Some(client.clone());
        }
        Ok(Connection { client, number })
    }

    fn endpoint(&self, at: usize) -> String {
        let endpoints = &self.settings.endpoints;
        endpoints
            .get(at % endpoints.len().max(1))
            .cloned()
            .unwrap_or_default()
    }

    /// Gives a connection up, for everybody who uses it; the next is to the next member.
    pub(super) fn failed(&self, number: u64) {
        let mut current = self.lock();
        if current.number != number {
            return;
        }
        current.number += 1;
        current.endpoint = current.endpoint.wrapping_add(1);
        current.client = None;
        self.number.send_replace(current.number);
    }

    pub(super) fn silence(&self) -> Fault {
        let current = self.lock().endpoint;
        Fault::Unreachable(format!("no answer from {}", self.endpoint(current)))
    }

    /// Makes a request, again and again until the deadline while its faults may pass. It must be one
    /// that does no harm when it is carried out twice, or late.
    async fn call<T>(
        &self,
        until: Instant,
        request: impl Fn(Client) -> BoxFuture<'static, Result<T, etcd_client::Error>>,
    ) -> Result<T, Fault> {
        let mut attempt = 0;
        loop {
            let fault = match self.attempt(until, &request).await {
                Ok(answer) => return Ok(answer),
                Err(fault) if !fault.is_passing() => return Err(fault),
                Err(fault) => fault,
            };
            let delay = BACKOFF.delay(attempt, rand::random());
            attempt += 1;
            let is_refused = fault == Fault::StaleLogin && attempt >= LOGINS;
            if is_refused || Instant::now() + delay >= until {
                return Err(fault);
            }
            tracing::debug!(?fault, attempt, "etcd did not answer, trying again");
            sleep(delay).await;
        }
    }

    async fn attempt<T>(
        &self,
        until: Instant,
        request: impl Fn(Client) -> BoxFuture<'static, Result<T, etcd_client::Error>>,
    ) -> Result<T, Fault> {
        let within = until.min(Instant::now() + self.settings.request_timeout);
        let connecting = timeout_at(within, self.connection()).await;
        let Connection { client, number } = connecting.map_err(|_| self.silence())??;
        let answer = match timeout_at(within, request(client)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Fault::from(error),
            Err(_) => self.silence(),
        };
        if answer.is_passing() {
            self.failed(number);
        }
        Err(answer)
    }

    pub(super) async fn txn(&self, until: Instant, txn: Txn) -> Result<TxnResponse, Fault> {
        self.call(until, |client| {
            let (mut kv, txn) = (client.kv_client(), txn.clone());
            async move { kv.txn(txn).await }.boxed()
        })
        .await
    }

    /// Reads keys, all at one revision; linearizable.
    pub(super) async fn read(&self, until: Instant, keys: &[String]) -> Result<Seen, Fault> {
        let gets: Vec<TxnOp> = keys
            .iter()
            .map(|key| TxnOp::get(key.as_str(), None))
            .collect();
        let answer = self.txn(until, Txn::new().and_then(gets)).await?;
        let (cluster_id, revision) = head(&answer)?;
        let entries = answer.op_responses().iter().map(first).collect();
        Ok(Seen {
            cluster_id,
            revision,
            entries,
        })
    }

    /// Reads every key below a prefix, all at one revision; linearizable.
    pub(super) async fn range(&self, until: Instant, prefix: &str) -> Result<Vec<Entry>, Fault> {
        let end = after_all(prefix);
        let mut entries: Vec<Entry> = Vec::new();
        let mut revision = 0;
        loop {
            // The first key after the last one that was read.
            let from = entries
                .last()
                .map_or_else(|| prefix.to_owned(), |last| format!("{}\0", last.key));
            let options = GetOptions::new().with_range(end.clone()).with_limit(PAGE);
            let options = options.with_revision(revision);
            let page: GetResponse = self
                .call(until, |client| {
                    let (mut kv, from, options) =
                        (client.kv_client(), from.clone(), options.clone());
                    async move { kv.get(from, Some(options)).await }.boxed()
                })
                .await?;
            revision = page.header().map_or(revision, |header| header.revision());
            entries.extend(page.kvs().iter().map(entry));
            if !page.more() || page.kvs().is_empty() {
                return Ok(entries);
            }
        }
    }

    /// Grants a lease of an id that the caller made up: a repeated request finds its own lease.
    pub(super) async fn grant(&self, until: Instant, id: i64, ttl: i64) -> Result<i64, Fault> {
        let granted = self
            .call(until, |client| {
                let mut leases = client.lease_client();
                let options = LeaseGrantOptions::new().with_id(id);
                async move { leases.grant(ttl, Some(options)).await }.boxed()
            })
            .await;
        match granted {
            Ok(granted) => Ok(granted.ttl()),
            Err(Fault::LeaseExists) => Ok(ttl),
            Err(fault) => Err(fault),
        }
    }

    /// Ends a lease with its keys; one that is gone is no fault.
    pub(super) async fn revoke(&self, until: Instant, id: i64) -> Result<(), Fault> {
        let revoked = self
            .call(until, |client| {
                let mut leases = client.lease_client();
                async move { leases.revoke(id).await }.boxed()
            })
            .await;
        match revoked {
            Ok(_) | Err(Fault::LeaseGone) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

/// Cluster and revision of an answer.
pub(super) fn head(answer: &TxnResponse) -> Result<(String, i64), Fault> {
    let header = answer
        .header()
        .ok_or_else(|| Fault::Unreachable("an answer without a header".to_owned()))?;
    Ok((format!("{:x}", header.cluster_id()), header.revision()))
}

/// The first entry of a read within a transaction.
pub(super) fn first(answer: &TxnOpResponse) -> Option<Entry> {
    match answer {
        TxnOpResponse::Get(found) => found.kvs().first().map(entry),
        _ => None,
    }
}

fn entry(found: &etcd_client::KeyValue) -> Entry {
    Entry {
        key: String::from_utf8_lossy(found.key()).into_owned(),
        value: found.value().to_vec(),
        create_revision: found.create_revision(),
        mod_revision: found.mod_revision(),
        lease: found.lease(),
    }
}

/// The first key that is after all keys with this prefix, which ends with `/`.
fn after_all(prefix: &str) -> String {
    let trunk = prefix.strip_suffix('/').unwrap_or(prefix);
    format!("{trunk}0")
}
