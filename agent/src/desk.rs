//! What an agent's process knows: its connections, the runs it works on, the snapshots it holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::RunOrder;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::RwLock;
use tokio::time::sleep;
use uuid::Uuid;

use crate::connect::{Purpose, open};
use crate::pool::Server;
use crate::run::{EntityContext, RunContext};
use crate::sink::install;
use crate::source::snapshot::{PING, SnapshotHolder};

/// How often connections that nobody needs are looked for.
const TIDY: Duration = Duration::from_secs(30);

type Run = Result<Arc<RunContext>, Failure>;

/// An agent's process, apart from its work.
pub struct Desk {
    /// This process.
    pub holder: Uuid,
    /// Connections by the name that plans use.
    pub connections: BTreeMap<String, Server>,
    runs: RwLock<HashMap<Uuid, Run>>,
    snapshots: Mutex<HashMap<Uuid, Arc<SnapshotHolder>>>,
}

impl Desk {
    /// A desk with connections and nothing to do.
    pub fn new(holder: Uuid, connections: BTreeMap<String, PgConnectOptions>) -> Self {
        let servers = connections.into_iter();
        Self {
            holder,
            connections: servers
                .map(|(name, options)| (name, Server::new(options)))
                .collect(),
            runs: RwLock::default(),
            snapshots: Mutex::default(),
        }
    }

    /// Keeps snapshots alive and closes connections that nobody needs, until it is dropped.
    pub async fn keep(&self) {
        let tidy = async {
            loop {
                sleep(TIDY).await;
                for server in self.connections.values() {
                    server.close_old().await;
                }
            }
        };
        let ping = async {
            loop {
                sleep(PING).await;
                let all: Vec<_> = self.lock().values().cloned().collect();
                for snapshot in all {
                    snapshot.keep_alive().await;
                }
            }
        };
        tokio::join!(ping, tidy);
    }

    /// Closes the connections that wait.
    pub async fn close_idle(&self) {
        for server in self.connections.values() {
            server.close_idle().await;
        }
    }

    /// Takes a run up, in the place of an earlier one of its migration; what is asked or assigned next finds
    /// it, or why it could not be taken up.
    pub async fn begin_run(&self, order: RunOrder) {
        let migration_id = order.migration_id;
        let context = self.context(order).await;
        let mut runs = self.runs.write().await;
        runs.insert(migration_id, context.map(Arc::new));
    }

    async fn context(&self, order: RunOrder) -> Result<RunContext, Failure> {
        let source = self.connection(&order.plan.source)?.clone();
        let destination = self.connection(&order.plan.destination)?.clone();
        let mut connection = open(&destination, Purpose::Write).await?;
        let numbers = install::entity_numbers(&mut connection, order.migration_id).await?;
        destination.give_back(Purpose::Write, connection).await;
        RunContext::new(order, source, destination, self.holder, &numbers)
    }

    /// The run of a migration.
    ///
    /// # Errors
    /// Why it could not be taken up; `Internal` when it was never ordered.
    pub async fn run(&self, migration_id: Uuid) -> Run {
        let runs = self.runs.read().await;
        runs.get(&migration_id).cloned().unwrap_or_else(|| {
            Err(Failure::new(
                FailureKind::Internal,
                "no run was ordered before this work",
            ))
        })
    }

    /// An entity of a migration's run.
    pub async fn entity(
        &self,
        migration_id: Uuid,
        name: &str,
    ) -> Result<(Arc<RunContext>, Arc<EntityContext>), Failure> {
        let run = self.run(migration_id).await?;
        let entity = run.entity(name)?;
        Ok((run, entity))
    }

    /// The holder of a migration's snapshot.
    pub fn snapshot(&self, migration_id: Uuid) -> Arc<SnapshotHolder> {
        self.lock().entry(migration_id).or_default().clone()
    }

    /// Migrations whose snapshot is held.
    pub fn snapshots(&self) -> Vec<Uuid> {
        let all = self.lock();
        let held = all.iter().filter(|(_, snapshot)| snapshot.is_held());
        held.map(|(id, _)| *id).collect()
    }

    /// A migration is over: nothing of it is kept.
    pub async fn end_run(&self, migration_id: Uuid) {
        self.runs.write().await.remove(&migration_id);
        let snapshot = self.lock().remove(&migration_id);
        if let Some(snapshot) = snapshot {
            snapshot.let_go().await;
        }
    }

    /// A configured connection.
    ///
    /// # Errors
    /// `Denied` where it is not configured.
    pub fn connection(&self, name: &str) -> Result<&Server, Failure> {
        self.connections.get(name).ok_or_else(|| {
            Failure::new(
                FailureKind::Denied,
                format!(
                    "connection {name} is not configured: set DROVER_CONNECTION_{}",
                    name.to_uppercase().replace('-', "_")
                ),
            )
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<SnapshotHolder>>> {
        self.snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
