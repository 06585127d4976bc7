//! Answers the controller's queries: everything at a source or destination that is no partition.

use std::sync::Arc;
use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{
    Connections, DatabaseIdentity, PrepareOrder, Query, QueryAnswer, QueryCall, Side,
};
use proto::wire::agent_stream::query_name;
use tracing::{Instrument, info_span};
use uuid::Uuid;

use crate::connect::{Purpose, open};
use crate::desk::Desk;
use crate::pool::Server;
use crate::sink::{
    self, inspect, install, ledger, load, lookup, rebuild, retry, schema, seal, settle, state,
    trial, undo,
};
use crate::source::{catalog, check, frozen, sample, survey};
use crate::verify;

impl Desk {
    /// Answers a query before its deadline.
    pub async fn answer(self: &Arc<Self>, call: QueryCall) -> Result<Box<QueryAnswer>, Failure> {
        let deadline = Duration::from_millis(call.deadline_ms);
        let name = query_name(&call.query);
        let work = self.dispatch(call.connections, call.migration_id, call.query);
        match tokio::time::timeout(deadline, work.instrument(info_span!("query", name))).await {
            Ok(answer) => answer.map(Box::new),
            Err(_) => Err(Failure::new(
                FailureKind::Timeout,
                format!("{name} took longer than {} s", deadline.as_secs()),
            )),
        }
    }

    async fn dispatch(
        self: &Arc<Self>,
        connections: Connections,
        migration_id: Option<Uuid>,
        query: Query,
    ) -> Result<QueryAnswer, Failure> {
        let of_run = || {
            migration_id.ok_or_else(|| {
                Failure::new(FailureKind::Internal, "the question names no migration")
            })
        };
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
                let mut found = check::check_plan(source, destination, &plan).await?;
                let mut reader = open(source, Purpose::Read).await?;
                let mut writer = open(destination, Purpose::Write).await?;
                found.extend(inspect::prepare::check_rules(&mut reader, &mut writer, &plan).await?);
                source.give_back(Purpose::Read, reader).await;
                destination.give_back(Purpose::Write, writer).await;
                if found.is_empty() {
                    self.know_keys(&plan)?;
                }
                Ok(QueryAnswer::PlanProblems(found))
            }
            Query::Preflight { plan, is_quick } => {
                let mut facts = match is_quick {
                    true => survey::quick(source, destination, &plan).await?,
                    false => survey::whole(source, destination, &plan).await?,
                };
                facts.keys = self.missing_keys(&plan);
                Ok(QueryAnswer::Facts(Box::new(facts)))
            }
            Query::TryRows(ask) => trial::try_rows(self, *ask).await.map(QueryAnswer::Tried),
            Query::ReadState { name } => {
                let mut connection = open(destination, Purpose::Write).await?;
                let found = match state::read_state(&mut connection, &name).await {
                    // Installed by an earlier version.
                    Err(failure)
                        if failure.sqlstate.as_deref() == Some(state::UNDEFINED_COLUMN) =>
                    {
                        let upgraded = install::open_installed(destination).await?;
                        destination.give_back(Purpose::Build, upgraded).await;
                        state::read_state(&mut connection, &name).await?
                    }
                    other => other?,
                };
                destination.give_back(Purpose::Write, connection).await;
                Ok(QueryAnswer::State(found.map(Box::new)))
            }
            Query::Prepare(order) => prepare(source, destination, &order).await,
            Query::HoldSnapshot {
                migration_id,
                tables,
            } => self
                .snapshot(migration_id)
                .hold(source, destination, migration_id, &tables)
                .await
                .map(QueryAnswer::Snapshot),
            Query::WatchSource {
                migration_id,
                tables,
                is_end,
            } => frozen::watch(source, destination, (migration_id, &tables), is_end)
                .await
                .map(|is_first| QueryAnswer::Unwritten { is_first }),
            Query::ShareSnapshot {
                migration_id,
                snapshot_id,
            } => self
                .snapshot(migration_id)
                .share(source, migration_id, &snapshot_id)
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
                self.end_run(migration_id).await;
                Ok(QueryAnswer::Done)
            }
            Query::Sample { entity, parts } => {
                let (run, entity) = self.entity(of_run()?, &entity).await?;
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
                let (run, entity) = self.entity(of_run()?, &entity).await?;
                settle::settle(&run, &entity, partition_id, token)
                    .await
                    .map(QueryAnswer::Settled)
            }
            Query::RebuildKeys { entity } => {
                let (run, entity) = self.entity(of_run()?, &entity).await?;
                rebuild::rebuild_keys(&run, &entity).await?;
                Ok(QueryAnswer::Done)
            }
            Query::Seal {
                partitions,
                attempt,
                token,
            } => {
                let mut connection = open(destination, Purpose::Write).await?;
                if let Some(id) = migration_id {
                    install::end_orphan_builds(&mut connection, id).await?;
                }
                seal::seal(&mut connection, &partitions, attempt, token).await?;
                destination.give_back(Purpose::Write, connection).await;
                Ok(QueryAnswer::Done)
            }
            Query::Undo(order) => undo::undo(destination, of_run()?, *order)
                .await
                .map(|answer| QueryAnswer::Undone(Box::new(answer))),
            Query::Uninstall => {
                let mut connection = open(destination, Purpose::Build).await?;
                let needed_by = undo::uninstall::uninstall(&mut connection).await?;
                destination.give_back(Purpose::Build, connection).await;
                Ok(QueryAnswer::Uninstalled { needed_by })
            }
            Query::Retry(order) => {
                let (run, entity) = self.entity(of_run()?, &order.entity).await?;
                let found = retry::retry(&run, &entity, &order).await?;
                Ok(QueryAnswer::Retried(Box::new(found)))
            }
            Query::CloseEntity {
                entity,
                attempt,
                is_open,
            } => {
                let mut connection = open(destination, Purpose::Write).await?;
                let of_entity = (of_run()?, entity.as_str(), attempt);
                seal::close(&mut connection, of_entity, is_open).await?;
                destination.give_back(Purpose::Write, connection).await;
                Ok(QueryAnswer::Done)
            }
            Query::LookupMapping {
                migration_id,
                entity,
                key,
            } => lookup::lookup_in(destination, migration_id, &entity, &key)
                .await
                .map(QueryAnswer::Mappings),
            Query::ReverseMapping {
                migration_id,
                entity,
                destination_id,
            } => lookup::reverse(
                destination,
                migration_id,
                entity.as_deref(),
                &destination_id,
            )
            .await
            .map(QueryAnswer::Mappings),
            Query::Validate(question) => {
                let (run, entity) = self.entity(of_run()?, &question.entity).await?;
                let answer = verify::answer(&run, &entity, question.ask).await?;
                Ok(QueryAnswer::Validated(Box::new(answer)))
            }
            Query::Schema(question) => {
                let servers = schema::SchemaServers {
                    destination: destination.clone(),
                    source: self
                        .connection(&format!("{}_admin", connections.source))
                        .cloned(),
                };
                schema::answer(&servers, *question)
                    .await
                    .map(|answer| QueryAnswer::Schema(Box::new(answer)))
            }
            Query::RebuildForeignKeys => {
                let run = self.run(of_run()?).await?;
                rebuild::rebuild_foreign_keys(&run).await?;
                Ok(QueryAnswer::Done)
            }
        }
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
