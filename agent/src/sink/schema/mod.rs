//! Changes of a schema: their facts, their journal, and their execution step by step.
//!
//! What is done is decided by [`proto::domain::schema_change`]; here it is asked, run and noted. Each step
//! commits together with its mark in `drover.schema_operation` of the database that it changes.

mod apply;
mod catalog;
mod checks;
mod facts;
mod journal;
mod probe;
mod rehearse;
mod steps;
mod undo;

use proto::domain::failure::Failure;
use proto::domain::frame::{SchemaAnswer, SchemaQuery, Side};
use uuid::Uuid;

use crate::connect::{Purpose, open, run_sql};
use crate::failure::During;
use crate::pool::Server;
use crate::sink::install::{build_marker, end_builds, open_installed};

/// The databases that schema changes are about. The source is changed by a connection of its own.
pub struct SchemaServers {
    /// The destination.
    pub destination: Server,
    /// The source's, for changes; or what is missing.
    pub source: Result<Server, Failure>,
}

impl SchemaServers {
    fn of(&self, side: Side) -> Result<&Server, Failure> {
        match side {
            Side::Destination => Ok(&self.destination),
            Side::Source => self.source.as_ref().map_err(Clone::clone),
        }
    }
}

/// Answers a question about schema changes.
pub async fn answer(servers: &SchemaServers, query: SchemaQuery) -> Result<SchemaAnswer, Failure> {
    match query {
        SchemaQuery::Facts(change) => {
            let server = servers.of(change.side)?;
            let mut connection = open(server, Purpose::Build).await?;
            let found = facts::read_facts(&mut connection, &change).await?;
            server.give_back(Purpose::Build, connection).await;
            Ok(SchemaAnswer::Facts(found.map(Box::new)))
        }
        SchemaQuery::Rehearse { name, changes } => {
            let server = &servers.destination;
            let mut connection = open(server, Purpose::Build).await?;
            let found = rehearse::rehearse(&mut connection, &name, changes).await?;
            server.give_back(Purpose::Build, connection).await;
            Ok(SchemaAnswer::Rehearsed(found))
        }
        SchemaQuery::Record {
            side,
            name,
            entries,
        } => {
            let server = servers.of(side)?;
            let mut connection = open_installed(server).await?;
            journal::record(&mut connection, &name, &entries).await?;
            server.give_back(Purpose::Build, connection).await;
            Ok(SchemaAnswer::Journal {
                entries,
                loaded: Vec::new(),
            })
        }
        SchemaQuery::Apply { side, operation_id } => {
            let done = apply::apply(servers.of(side)?, operation_id).await?;
            Ok(SchemaAnswer::Operation(Box::new(done)))
        }
        SchemaQuery::Undo { side, operation_id } => {
            let done = undo::undo(servers.of(side)?, operation_id).await?;
            Ok(SchemaAnswer::Operation(Box::new(done)))
        }
        SchemaQuery::Journal {
            migration_id,
            has_source,
        } => read_journals(servers, migration_id, has_source).await,
    }
}

async fn read_journals(
    servers: &SchemaServers,
    migration_id: Uuid,
    has_source: bool,
) -> Result<SchemaAnswer, Failure> {
    let destination = &servers.destination;
    let mut connection = open(destination, Purpose::Build).await?;
    let (mut entries, loaded) = match journal::is_installed(&mut connection).await? {
        true => (
            journal::read(&mut connection, migration_id).await?,
            journal::read_loaded(&mut connection, migration_id).await?,
        ),
        false => (Vec::new(), Vec::new()),
    };
    destination.give_back(Purpose::Build, connection).await;
    // One that nobody may change has no journal.
    if let (true, Ok(source)) = (has_source, &servers.source) {
        let mut connection = open(source, Purpose::Build).await?;
        if journal::is_installed(&mut connection).await? {
            entries.extend(journal::read(&mut connection, migration_id).await?);
        }
        source.give_back(Purpose::Build, connection).await;
    }
    entries.sort_by_key(|entry| entry.position);
    Ok(SchemaAnswer::Journal { entries, loaded })
}

/// A session that a successor finds and ends: what an earlier one is at ends first.
async fn open_marked(server: &Server, migration_id: Uuid) -> Result<sqlx::PgConnection, Failure> {
    let mut connection = open(server, Purpose::Build).await?;
    let marker = build_marker(migration_id, "schema");
    let mark = format!("set application_name = '{marker}'");
    run_sql(&mut connection, &mark)
        .await
        .during("mark a session")?;
    end_builds(&mut connection, &marker).await?;
    Ok(connection)
}
