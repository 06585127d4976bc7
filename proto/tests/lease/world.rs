//! The two stores, each with the means to end a lease from outside.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use proto::lease::{
    EtcdLeaseStore, EtcdSettings, Leadership, LeaseStore, LeaseTimes, Membership, MemoryLeaseStore,
};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use crate::support::etcd::Etcd;

/// A store, and what is outside of its contract.
pub trait World {
    type Store: LeaseStore;

    /// The store.
    fn store(&self) -> Arc<Self::Store>;
    /// The same store as another process sees it.
    fn another(&self) -> Arc<Self::Store>;
    /// Ends an agent's lease from outside.
    async fn expire(&self, membership: &Membership);
    /// Ends the leader's lease from outside.
    async fn expire_leader(&self, leadership: &Leadership);
}

#[derive(Default)]
pub struct InMemory(MemoryLeaseStore);

impl World for InMemory {
    type Store = MemoryLeaseStore;

    fn store(&self) -> Arc<MemoryLeaseStore> {
        Arc::new(self.0.clone())
    }

    fn another(&self) -> Arc<MemoryLeaseStore> {
        self.store()
    }

    async fn expire(&self, membership: &Membership) {
        assert!(self.0.expire(membership.holder));
    }

    async fn expire_leader(&self, _: &Leadership) {
        assert!(self.0.expire_leader());
    }
}

static SERVER: OnceCell<Etcd> = OnceCell::const_new();

/// A prefix of its own in the server that all tests share.
pub struct InEtcd {
    settings: EtcdSettings,
    store: Arc<EtcdLeaseStore>,
}

impl InEtcd {
    pub async fn new() -> Self {
        let server = SERVER.get_or_init(Etcd::start).await;
        let settings = EtcdSettings {
            prefix: format!("/drover-test/{}", Uuid::new_v4()),
            ..short(&server.endpoint())
        };
        Self {
            store: open(&settings),
            settings,
        }
    }

    async fn revoke(&self, lease_id: i64) {
        let mut client = raw(&self.settings.endpoints[0]).await;
        client.lease_revoke(lease_id).await.unwrap();
    }
}

impl World for InEtcd {
    type Store = EtcdLeaseStore;

    fn store(&self) -> Arc<EtcdLeaseStore> {
        self.store.clone()
    }

    fn another(&self) -> Arc<EtcdLeaseStore> {
        open(&self.settings)
    }

    async fn expire(&self, membership: &Membership) {
        self.revoke(membership.lease_id).await;
    }

    async fn expire_leader(&self, leadership: &Leadership) {
        self.revoke(leadership.lease_id).await;
    }
}

/// Settings with times that a test can wait for.
pub fn short(endpoint: &str) -> EtcdSettings {
    EtcdSettings {
        times: LeaseTimes {
            leader: Duration::from_secs(3),
            agent: Duration::from_secs(3),
        },
        request_timeout: Duration::from_millis(1000),
        connect_timeout: Duration::from_millis(500),
        retry_within: Duration::from_secs(3),
        ..EtcdSettings::new([endpoint])
    }
}

pub fn open(settings: &EtcdSettings) -> Arc<EtcdLeaseStore> {
    Arc::new(EtcdLeaseStore::open(settings.clone()).unwrap())
}

/// A client that goes around the store.
pub async fn raw(endpoint: &str) -> etcd_client::Client {
    etcd_client::Client::connect([endpoint], None)
        .await
        .unwrap()
}

/// The future's output; a failed test when it takes longer than that.
pub async fn within<T>(seconds: u64, what: &str, future: impl Future<Output = T>) -> T {
    match timeout(Duration::from_secs(seconds), future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} took longer than {seconds} s"),
    }
}

/// Waits until a condition holds, looking again whenever the store says that something changed.
pub async fn until<S: LeaseStore>(store: &S, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(12);
    let mut changes = store.changes();
    while !holds().await {
        let woken = timeout_at(deadline, changes.changed()).await;
        assert!(woken.is_ok(), "{what} did not come true");
    }
}
