//! Answers the controller's queries: everything at a source or destination that is no partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{
    Connections, DatabaseIdentity, PrepareOrder, Query, QueryAnswer, QueryCall, RunOrder, Side,
};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::RwLock;
use tokio::time::sleep;
use tracing::{Instrument, info_span};
use uuid::Uuid;

use crate::connect::{Purpose, open};
use crate::pool::Server;
use crate::run::{EntityContext, RunContext};
use crate::sink::{self, install, ledger, load, rebuild, settle, state};
use crate::source::snapshot::SnapshotHolder;
use crate::source::{catalog, check, sample};

/// How often connections that nobody needs are looked for.
const TIDY: Duration = Duration::from_secs(30);

/// What an agent's process knows: its connections, the snapshot it holds, the run it works on.
pub struct Desk {
    /// This process.
    pub holder: Uuid,
    /// Connections by the name that plans use.
    pub connections: BTreeMap<String, Server>,
    /// The run's snapshot.
    pub snapshot: SnapshotHolder,
    run: RwLock<Option<Result<Arc<RunContext>, Failure>>>,
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
            snapshot: SnapshotHolder::default(),
            run: RwLock::new(None),
        }
    }

    /// Keeps the snapshot alive and closes connections that nobody needs, until it is dropped.
    pub async fn keep(&self) {
        let tidy = async {
            loop {
                sleep(TIDY).await;
                for server in self.connections.values() {
                    server.close_old().await;
                }
            }
        };
        tokio::join!(self.snapshot.keep_alive(), tidy);
    }

    /// Closes the connections that wait.
    pub async fn close_idle(&self) {
        for server in self.connections.values() {
            server.close_idle().await;
        }
    }

    /// Takes up a run; what is asked or assigned next finds it, or why it could not be taken up.
    pub async fn begin_run(&self, order: RunOrder) {
        let context = self.context(order).await;
        *self.run.write().await = Some(context.map(Arc::new));
    }

    async fn context(&self, order: RunOrder) -> Result<RunContext, Failure> {
        let source = self.connection(&order.plan.source)?.clone();
        let destination = self.connection(&order.plan.destination)?.clone();
        let mut connection = open(&destination, Purpose::Write).await?;
        let numbers = install::entity_numbers(&mut connection, order.migration_id).await?;
        destination.give_back(Purpose::Write, connection).await;
        RunContext::new(order, source, destination, self.holder, &numbers)
    }

    /// The run that is worked on.
    pub async fn run(&self) -> Result<Arc<RunContext>, Failure> {
        self.run.read().await.clone().unwrap_or_else(|| {
            Err(Failure::new(
                FailureKind::Internal,
                "no run was ordered before this work",
            ))
        })
    }

    fn connection(&self, name: &str) -> Result<&Server, Failure> {
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

    /// Answers a query before its deadline.
    pub async fn answer(&self, call: QueryCall) -> Result<Box<QueryAnswer>, Failure> {
        let deadline = Duration::from_millis(call.deadline_ms);
        let name = query_name(&call.query);
        let work = self.dispatch(call.connections, call.query);
        match tokio::time::timeout(deadline, work.instrument(info_span!("query", name))).await {
            Ok(answer) => answer.map(Box::new),
            Err(_) => Err(Failure::new(
                FailureKind::Timeout,
                format!("{name} took longer than {} s", deadline.as_secs()),
            )),
        }
    }

    async fn dispatch(
        &self,
        connections: Connections,
        query: Query,
    ) -> Result<QueryAnswer, Failure> {
        let source = self.connection(&connections.source)?;
        let destination = self.connection(&connections.destination)?;
        match query {
            Query::Identify => {
                let (source, destination) = tokio::try_join!(
                    identify(source, Purpose::Read, &connections.source),
                    identify(destination, Purpose::Write, &connections.destination)
                )?;
                Ok(QueryAnswer::Identities {
                    source,
                    destination,
                })
            }
            Query::ReadCatalog {
                side,
                tables,
                probes,
            } => {
                let (server, purpose) = match side {
                    Side::Source => (source, Purpose::Read),
                    Side::Destination => (destination, Purpose::Write),
                };
                let mut connection = open(server, purpose).await?;
                let mut found = catalog::read_catalog(&mut connection, &tables, &probes).await?;
                if side == Side::Destination {
                    sink::catalog::add_dropped_keys(&mut connection, &mut found).await?;
                }
                server.give_back(purpose, connection).await;
                Ok(QueryAnswer::Catalog(found))
            }
            Query::CheckPlan(plan) => {
                let mut reader = open(source, Purpose::Read).await?;
                let mut writer = open(destination, Purpose::Write).await?;
                let found = check::check_plan(&mut reader, &mut writer, &plan).await?;
                source.give_back(Purpose::Read, reader).await;
                destination.give_back(Purpose::Write, writer).await;
                Ok(QueryAnswer::PlanProblems(found))
            }
            Query::ReadState { name } => {
                let mut connection = open(destination, Purpose::Write).await?;
                let found = state::read_state(&mut connection, &name).await?;
                destination.give_back(Purpose::Write, connection).await;
                Ok(QueryAnswer::State(found.map(Box::new)))
            }
            Query::Prepare(order) => prepare(source, destination, &order).await,
            Query::HoldSnapshot {
                migration_id,
                tables,
            } => self
                .snapshot
                .hold(source, destination, migration_id, &tables)
                .await
                .map(QueryAnswer::Snapshot),
            Query::BeginLoad {
                migration_id,
                attempt,
                partitions,
            } => {
                load::begin_load(destination, migration_id, attempt, &partitions).await?;
                Ok(QueryAnswer::Done)
            }
            Query::ReadLedger {
                partition_id,
                after_seq,
                limit,
            } => {
                let mut connection = open(destination, Purpose::Write).await?;
                let found =
                    ledger::read_batches(&mut connection, partition_id, after_seq, limit).await?;
                destination.give_back(Purpose::Write, connection).await;
                Ok(QueryAnswer::Ledger(found))
            }
            Query::FinishRun { migration_id } => {
                let mut connection = open(destination, Purpose::Write).await?;
                state::finish(&mut connection, migration_id).await?;
                destination.give_back(Purpose::Write, connection).await;
                self.snapshot.let_go().await;
                Ok(QueryAnswer::Done)
            }
            Query::Sample { entity, parts } => {
                let (run, entity) = self.entity(&entity).await?;
                let found = sample::sample(&run, &entity, parts).await?;
                Ok(QueryAnswer::Sampled {
                    bounds: found.bounds,
                    records_total: found.records_total,
                    is_exact: found.is_exact,
                })
            }
            Query::Settle {
                entity,
                partition_id,
                token,
            } => {
                let (run, entity) = self.entity(&entity).await?;
                settle::settle(&run, &entity, partition_id, token)
                    .await
                    .map(QueryAnswer::Settled)
            }
            Query::RebuildKeys { entity } => {
                let (run, entity) = self.entity(&entity).await?;
                rebuild::rebuild_keys(destination, run.order.migration_id, entity.entity_no)
                    .await?;
                Ok(QueryAnswer::Done)
            }
            Query::RebuildForeignKeys => {
                let run = self.run().await?;
                rebuild::rebuild_foreign_keys(destination, run.order.migration_id).await?;
                Ok(QueryAnswer::Done)
            }
        }
    }

    async fn entity(&self, name: &str) -> Result<(Arc<RunContext>, Arc<EntityContext>), Failure> {
        let run = self.run().await?;
        let entity = run.entity(name)?;
        Ok((run, entity))
    }
}

/// Which server is behind a connection; a failure says which connection it was.
async fn identify(
    server: &Server,
    purpose: Purpose,
    name: &str,
) -> Result<DatabaseIdentity, Failure> {
    let opened = open(server, purpose).await;
    let mut connection = opened.map_err(|failure| failure.during(format!("connection {name}")))?;
    let found = state::identify(&mut connection).await?;
    server.give_back(purpose, connection).await;
    Ok(found)
}

async fn prepare(
    source: &Server,
    destination: &Server,
    order: &PrepareOrder,
) -> Result<QueryAnswer, Failure> {
    let (of_source, mut connection) = tokio::try_join!(
        identify(source, Purpose::Read, &order.plan.source),
        install::open_installed(destination)
    )?;
    install::end_orphan_builds(&mut connection, order.migration_id).await?;
    let of_destination = state::identify(&mut connection).await?;
    install::record_start(&mut connection, order, &of_source, &of_destination).await?;
    let found = state::read_state(&mut connection, &order.plan.name).await?;
    destination.give_back(Purpose::Build, connection).await;
    Ok(QueryAnswer::State(found.map(Box::new)))
}

fn query_name(query: &Query) -> &'static str {
    match query {
        Query::Identify => "identify",
        Query::ReadCatalog { .. } => "read catalog",
        Query::CheckPlan(_) => "check plan",
        Query::ReadState { .. } => "read state",
        Query::Prepare(_) => "prepare",
        Query::HoldSnapshot { .. } => "hold snapshot",
        Query::Sample { .. } => "sample",
        Query::BeginLoad { .. } => "begin load",
        Query::Settle { .. } => "settle",
        Query::RebuildKeys { .. } => "rebuild keys",
        Query::RebuildForeignKeys => "rebuild foreign keys",
        Query::ReadLedger { .. } => "read ledger",
        Query::FinishRun { .. } => "finish run",
    }
}
