//! What an agent's process knows: its connections, the runs it works on, the snapshots it holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use proto::domain::compiled::CompiledPlan;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::RunOrder;
use proto::runtime::clock;
use proto::runtime::settings::Environment;
use sqlx::postgres::PgConnectOptions;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::connect::{Purpose, open};
use crate::pool::Server;
use crate::run::{EntityContext, RunContext, Setting};
use crate::sink::{install, state};
use crate::source::snapshot::{PING, SnapshotHolder};
use crate::transform::secrecy::Keys;

/// How often connections that nobody needs are looked for.
const TIDY: Duration = Duration::from_secs(30);

/// How long it may take to take a run up.
const BEGIN_WITHIN: Duration = Duration::from_secs(30);

type Run = Result<Arc<RunContext>, Failure>;

/// A run that was ordered.
struct Ordered {
    order: Arc<RunOrder>,
    /// The latest try to take it up; all who need the run wait for the same one.
    attempt: Shared<BoxFuture<'static, Run>>,
}

/// An agent's process, apart from its work.
pub struct Desk {
    /// This process.
    pub holder: Uuid,
    /// Connections by the name that plans use.
    pub connections: BTreeMap<String, Server>,
    /// Where steps find their keys.
    environment: Environment,
    runs: Mutex<HashMap<Uuid, Ordered>>,
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
            environment: Environment::default(),
            runs: Mutex::default(),
            snapshots: Mutex::default(),
        }
    }

    /// The same desk, where steps find their keys.
    #[must_use]
    pub fn with_environment(self, environment: Environment) -> Self {
        Self {
            environment,
            ..self
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
                let all: Vec<_> = lock(&self.snapshots).values().cloned().collect();
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

    /// Begins to take a run up, in the place of an earlier one of its migration; what is asked or assigned
    /// next waits for it.
    pub fn begin_run(self: &Arc<Self>, order: RunOrder) {
        let order = Arc::new(order);
        let attempt = self.attempt(order.clone());
        lock(&self.runs).insert(order.migration_id, Ordered { order, attempt });
    }

    /// Goes on whether or not somebody waits for it.
    fn attempt(self: &Arc<Self>, order: Arc<RunOrder>) -> Shared<BoxFuture<'static, Run>> {
        let desk = self.clone();
        let begun = tokio::spawn(async move {
            match timeout(BEGIN_WITHIN, desk.context(&order)).await {
                Ok(context) => context.map(Arc::new),
                Err(_) => {
                    let words = format!(
                        "the run could not be taken up within {} s",
                        BEGIN_WITHIN.as_secs()
                    );
                    Err(Failure::new(FailureKind::Timeout, words))
                }
            }
        });
        let ended = begun.map(|ended| {
            ended.unwrap_or_else(|error| {
                let words = format!("taking the run up ended: {error}");
                Err(Failure::new(FailureKind::Internal, words))
            })
        });
        ended.boxed().shared()
    }

    async fn context(&self, order: &RunOrder) -> Result<RunContext, Failure> {
        let source = self.connection(&order.plan.source)?.clone();
        let destination = self.connection(&order.plan.destination)?.clone();
        let mut connection = open(&destination, Purpose::Write).await?;
        let found = state::identify(&mut connection).await?;
        order.destination.must_be("destination", &found)?;
        let numbers = install::entity_numbers(&mut connection, order.migration_id).await?;
        destination.give_back(Purpose::Write, connection).await;
        let setting = Setting {
            source,
            destination,
            holder: self.holder,
            entity_numbers: &numbers,
            environment: &self.environment,
        };
        RunContext::new(order.clone(), setting)
    }

    /// The run of a migration, once it is taken up. Where that failed for a reason that may pass, it is
    /// tried again.
    ///
    /// # Errors
    /// Why it could not be taken up; `Internal` when it was never ordered.
    pub async fn run(self: &Arc<Self>, migration_id: Uuid) -> Run {
        let attempt = {
            let mut runs = lock(&self.runs);
            let Some(ordered) = runs.get_mut(&migration_id) else {
                return Err(Failure::new(
                    FailureKind::Internal,
                    "no run was ordered before this work",
                ));
            };
            if matches!(ordered.attempt.peek(), Some(Err(failure)) if failure.is_passing()) {
                ordered.attempt = self.attempt(ordered.order.clone());
            }
            ordered.attempt.clone()
        };
        attempt.await
    }

    /// An entity of a migration's run.
    pub async fn entity(
        self: &Arc<Self>,
        migration_id: Uuid,
        name: &str,
    ) -> Result<(Arc<RunContext>, Arc<EntityContext>), Failure> {
        let run = self.run(migration_id).await?;
        let entity = run.entity(name)?;
        Ok((run, entity))
    }

    /// The holder of a migration's snapshot.
    pub fn snapshot(&self, migration_id: Uuid) -> Arc<SnapshotHolder> {
        lock(&self.snapshots)
            .entry(migration_id)
            .or_default()
            .clone()
    }

    /// Migrations whose snapshot is held.
    pub fn snapshots(&self) -> Vec<Uuid> {
        let all = lock(&self.snapshots);
        let held = all.iter().filter(|(_, snapshot)| snapshot.is_held());
        held.map(|(id, _)| *id).collect()
    }

    /// A migration is over: nothing of it is kept.
    pub async fn end_run(&self, migration_id: Uuid) {
        if let Some(snapshot) = self.forget_run(migration_id) {
            snapshot.let_go().await;
        }
    }

    /// Forgets a run; the snapshot that is to be let go, where it is held.
    pub fn forget_run(&self, migration_id: Uuid) -> Option<Arc<SnapshotHolder>> {
        lock(&self.runs).remove(&migration_id);
        lock(&self.snapshots).remove(&migration_id)
    }

    /// Looks for the keys of a plan's steps.
    ///
    /// # Errors
    /// `Denied` where the environment lacks one.
    pub fn know_keys(&self, plan: &CompiledPlan) -> Result<(), Failure> {
        let mut active = plan.entities.iter().filter(|entity| entity.is_active);
        active.try_for_each(|entity| Keys::of(entity, &self.environment).map(drop))
    }

    /// Keys of a plan's steps that the environment lacks, in words; one for each entity.
    pub fn missing_keys(&self, plan: &CompiledPlan) -> Vec<String> {
        let active = plan.entities.iter().filter(|entity| entity.is_active);
        let missing = active.filter_map(|entity| Keys::of(entity, &self.environment).err());
        missing.map(|failure| failure.message).collect()
    }

    /// A run of a plan that is no migration: its entities are read and transformed like one's, and nothing of
    /// it is at the destination.
    ///
    /// # Errors
    /// `Denied` where a connection or a key is not configured.
    pub async fn trial_run(&self, plan: CompiledPlan) -> Result<RunContext, Failure> {
        let source = self.connection(&plan.source)?.clone();
        let destination = self.connection(&plan.destination)?.clone();
        let mut connection = open(&source, Purpose::Read).await?;
        let identity = state::identify(&mut connection).await?;
        source.give_back(Purpose::Read, connection).await;
        let names = plan.entities.iter().map(|entity| entity.entity.clone());
        let numbers = names.zip(1..).collect();
        let order = RunOrder {
            migration_id: Uuid::nil(),
            attempt: 0,
            run_now: clock::now(),
            plan,
            destination: identity.clone(),
            source: identity,
            snapshot: None,
        };
        let setting = Setting {
            source,
            destination,
            holder: self.holder,
            entity_numbers: &numbers,
            environment: &self.environment,
        };
        RunContext::new(order, setting)
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
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
