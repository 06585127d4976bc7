//! Puts back what was dropped for the load: indexes and keys per table, then foreign keys.
//!
//! Every statement commits with its journal entry, so a crash anywhere repeats at most one. A
//! definition that the destination refuses blocks; nothing of the data is lost.

use std::collections::BTreeMap;

use futures::{TryStreamExt, stream};
use proto::domain::catalog::{TableName, quote_ident, quote_literal};
use proto::domain::failure::{Failure, FailureKind};
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, Row};
use tracing::{Instrument, info_span};
use uuid::Uuid;

use super::analyze::analyze;
use super::breach::{Refused, name_rows};
use super::install::{build_marker, end_builds_sql};
use super::sequences::move_sequences;
use crate::connect::{Purpose, fetch_sql, open, run_sql};
use crate::failure::{During, from_sqlx, sqlstate};
use crate::run::{EntityContext, RunContext};

/// Tables whose foreign keys are validated at the same time.
const VALIDATIONS: usize = 4;
/// Marks sessions that put back foreign keys; those of one entity's keys have its number.
const FOREIGN_KEYS: &str = "foreign keys";

#[derive(Debug, FromRow)]
struct Journalled {
    ddl_id: i64,
    table_schema: String,
    table_name: String,
    object_name: String,
    create_sql: Vec<String>,
    breach_sql: Option<String>,
}

impl Journalled {
    /// What its rows do to it, where it is refused.
    fn refused(&self) -> Refused<'_> {
        Refused {
            table: (&self.table_schema, &self.table_name),
            breach_sql: self.breach_sql.as_deref(),
        }
    }
}

/// Rebuilds keys and indexes of one entity's table and the key of its id map, analyzes the table and
/// moves its sequences.
/// Where several entities write the table, the first call puts back everything.
pub async fn rebuild_keys(run: &RunContext, entity: &EntityContext) -> Result<(), Failure> {
    let (destination, migration_id) = (&run.destination, run.order.migration_id);
    let entity_no = entity.entity_no;
    let mut connection = open(destination, Purpose::Build).await?;
    let begin = begin_sql(migration_id, &entity_no.to_string());
    let list = format!(
        "select d.ddl_id, d.table_schema, d.table_name, d.object_name, d.create_sql, d.breach_sql \
         from drover.ddl d join drover.entity e \
             on e.destination_schema = d.table_schema and e.destination_table = d.table_name \
         where d.migration_id = '{migration_id}' and e.entity_no = {entity_no} and d.state = 'dropped' \
           and d.kind <> 'foreign_key' \
         order by d.ddl_id"
    );
    let objects = journalled(&mut connection, &format!("{begin}; {list}")).await?;
    let restored = restore(&mut connection, &objects, 0).await;
    named(&mut connection, run, restored).await?;
    let leaf = format!("id_map_{entity_no}");
    run_sql(&mut connection, &format!(
        "do $do$ begin \
             if not exists (select from pg_index where indrelid = 'drover.{leaf}'::regclass and indisprimary) then \
                 alter table drover.{leaf} add primary key (k); \
             end if; end $do$"
    ))
    .await
    .map_err(|error| refused(&error, "the id map", &leaf))?;
    analyze(&mut connection, entity_no).await?;
    move_sequences(&mut connection, &entity.compiled).await?;
    destination.give_back(Purpose::Build, connection).await;
    Ok(())
}

/// Puts back the foreign keys: all `NOT VALID` first, then validated, tables side by side. A table's
/// own are validated one after the other, since each takes the same lock on it.
pub async fn rebuild_foreign_keys(run: &RunContext) -> Result<(), Failure> {
    let (destination, migration_id) = (&run.destination, run.order.migration_id);
    let mut connection = open(destination, Purpose::Build).await?;
    let begin = begin_sql(migration_id, FOREIGN_KEYS);
    let list = format!(
        "select ddl_id, table_schema, table_name, object_name, create_sql, breach_sql from drover.ddl \
         where migration_id = '{migration_id}' and state = 'dropped' and kind = 'foreign_key' order by ddl_id"
    );
    let objects = journalled(&mut connection, &format!("{begin}; {list}")).await?;
    let added = add_not_valid(&mut connection, &objects).await;
    named(&mut connection, run, added).await?;
    let mut by_table: BTreeMap<(String, String), Vec<Journalled>> = BTreeMap::new();
    for object in objects {
        let table = (object.table_schema.clone(), object.table_name.clone());
        by_table.entry(table).or_default().push(object);
    }
    stream::iter(by_table.into_values().map(Ok))
        .try_for_each_concurrent(VALIDATIONS, |objects| validate(run, objects))
        .await?;
    let left = format!(
        "select ddl_id from drover.ddl where migration_id = '{migration_id}' and state = 'dropped'"
    );
    let left = fetch_sql(&mut connection, &left).await;
    let left = left.during("check what is put back")?.len();
    destination.give_back(Purpose::Build, connection).await;
    if left > 0 {
        return Err(Failure::new(
            FailureKind::Internal,
            format!("{left} definitions are still to be put back"),
        ));
    }
    Ok(())
}

/// Puts back everything that is still away, of some tables or of all of the migration's: keys and indexes first.
///
/// # Errors
/// `ConstraintBroken` where a row is in the way.
pub async fn put_back(
    connection: &mut PgConnection,
    migration_id: Uuid,
    tables: &[TableName],
) -> Result<(), Failure> {
    let is_meant = |object: &Journalled| {
        let is_of = |table: &TableName| {
            table.schema == object.table_schema && table.name == object.table_name
        };
        tables.is_empty() || tables.iter().any(is_of)
    };
    let list = format!(
        "select ddl_id, table_schema, table_name, object_name, create_sql, breach_sql from drover.ddl \
         where migration_id = '{migration_id}' and state = 'dropped'"
    );
    let keys = format!("{list} and kind <> 'foreign_key' order by ddl_id");
    let references = format!("{list} and kind = 'foreign_key' order by ddl_id");
    let mut keys = journalled(connection, &keys).await?;
    keys.retain(is_meant);
    let mut references = journalled(connection, &references).await?;
    references.retain(is_meant);
    let put = async {
        restore(&mut *connection, &keys, 0).await?;
        add_not_valid(&mut *connection, &references).await?;
        restore(&mut *connection, &references, 1).await
    };
    put.await.map_err(|broken: Broken<'_>| broken.failure)
}

/// Validates the foreign keys of one table.
async fn validate(run: &RunContext, objects: Vec<Journalled>) -> Result<(), Failure> {
    let destination = &run.destination;
    let mut connection = open(destination, Purpose::Build).await?;
    let mark = mark_sql(run.order.migration_id, FOREIGN_KEYS);
    run_sql(&mut connection, &mark)
        .await
        .during("mark a session")?;
    let restored = restore(&mut connection, &objects, 1).await;
    named(&mut connection, run, restored).await?;
    destination.give_back(Purpose::Build, connection).await;
    Ok(())
}

/// Marks a session, so that a successor of this process finds and ends it.
fn mark_sql(migration_id: Uuid, part: &str) -> String {
    format!(
        "set application_name = '{}'",
        build_marker(migration_id, part)
    )
}

/// Marks a session and ends those of lost agents that build the same.
fn begin_sql(migration_id: Uuid, part: &str) -> String {
    let mark = mark_sql(migration_id, part);
    format!(
        "{mark}; {}",
        end_builds_sql(&build_marker(migration_id, part))
    )
}

async fn journalled(connection: &mut PgConnection, sql: &str) -> Result<Vec<Journalled>, Failure> {
    let rows = fetch_sql(connection, sql).await;
    let rows = rows.during("read the definitions to put back")?;
    let found: Result<Vec<Journalled>, sqlx::Error> =
        rows.iter().map(Journalled::from_row).collect();
    found.during("read the definitions to put back")
}

/// A definition that the destination refuses.
struct Broken<'a> {
    object: &'a Journalled,
    failure: Failure,
}

impl<'a> Broken<'a> {
    fn new(object: &'a Journalled, error: &sqlx::Error) -> Self {
        let failure = refused(error, &object.object_name, &object.table_name);
        Self { object, failure }
    }
}

/// The failure, with the keys of the rows in the way.
async fn named(
    connection: &mut PgConnection,
    run: &RunContext,
    outcome: Result<(), Broken<'_>>,
) -> Result<(), Failure> {
    match outcome {
        Ok(()) => Ok(()),
        Err(Broken { object, failure }) => {
            Err(name_rows(connection, run, object.refused(), failure).await)
        }
    }
}

/// Adds foreign keys without looking at the rows; some may be there from before a crash. Each is a
/// transaction of its own; all go in one message, since the destination may be far.
async fn add_not_valid<'a>(
    connection: &mut PgConnection,
    objects: &'a [Journalled],
) -> Result<(), Broken<'a>> {
    let all: Vec<String> = objects.iter().filter_map(Journalled::add).collect();
    let (Some(first), Err(error)) = (objects.first(), run_all(connection, &all).await) else {
        return Ok(());
    };
    // Once more and one by one: which of them is it?
    if run_sql(connection, "rollback").await.is_err() {
        return Err(Broken::new(first, &error));
    }
    for object in objects {
        let Some(add) = object.add() else { continue };
        if let Err(error) = run_sql(connection, &add).await {
            return Err(Broken::new(object, &error));
        }
    }
    Ok(())
}

async fn run_all(connection: &mut PgConnection, all: &[String]) -> Result<(), sqlx::Error> {
    match all.is_empty() {
        true => Ok(()),
        false => run_sql(connection, &all.join("; ")).await,
    }
}

impl Journalled {
    /// Adds a foreign key that is not there.
    fn add(&self) -> Option<String> {
        let (schema, table) = (
            quote_ident(&self.table_schema),
            quote_ident(&self.table_name),
        );
        Some(format!(
            "begin; do $drover$ begin \
                 if not exists (select from pg_catalog.pg_constraint where conname = {} \
                                and conrelid = {}::pg_catalog.regclass) then \
                     execute {}; \
                 end if; end $drover$; commit",
            quote_literal(&self.object_name),
            quote_literal(&format!("{schema}.{table}")),
            quote_literal(self.create_sql.first()?),
        ))
    }

    /// Runs its statements behind the first `done` and marks it as restored, in one transaction.
    fn restore(&self, done: usize) -> String {
        let mark = format!(
            "update drover.ddl set state = 'restored', restored_at = clock_timestamp() where ddl_id = {}",
            self.ddl_id
        );
        let statements = self.create_sql.iter().skip(done).map(String::as_str);
        let all: Vec<&str> = ["begin"]
            .into_iter()
            .chain(statements)
            .chain([mark.as_str(), "commit"])
            .collect();
        all.join("; ")
    }
}

/// Puts definitions back, each in a transaction with its journal entry, all in one message: what fails is
/// the first that is still to be put back.
async fn restore<'a>(
    connection: &mut PgConnection,
    objects: &'a [Journalled],
    done: usize,
) -> Result<(), Broken<'a>> {
    let Some(first) = objects.first() else {
        return Ok(());
    };
    let all: Vec<String> = objects.iter().map(|object| object.restore(done)).collect();
    let span = info_span!("rebuild", table = %first.table_name, objects = objects.len());
    let Err(error) = run_all(connection, &all).instrument(span).await else {
        return Ok(());
    };
    let ids: Vec<String> = objects.iter().map(|it| it.ddl_id.to_string()).collect();
    let left = format!(
        "rollback; select ddl_id from drover.ddl where ddl_id in ({}) and state = 'dropped' order by ddl_id limit 1",
        ids.join(", ")
    );
    // Where the connection is gone there is no telling.
    let left = fetch_sql(connection, &left).await.unwrap_or_default();
    let culprit = left.first().and_then(|row| row.try_get(0).ok());
    let object = objects.iter().find(|it| Some(it.ddl_id) == culprit);
    Err(Broken::new(object.unwrap_or(first), &error))
}

/// A constraint that the rows break is the operator's to decide; its values are not repeated.
fn refused(error: &sqlx::Error, object: &str, table: &str) -> Failure {
    let failure = from_sqlx(&format!("put back {object} of {table}"), error);
    match sqlstate(error) {
        Some(code) if code.starts_with("23") => Failure {
            kind: FailureKind::ConstraintBroken,
            ..failure
        },
        _ => failure,
    }
}
