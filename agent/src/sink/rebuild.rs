//! Puts back what was dropped for the load: indexes and keys per table, then foreign keys.
//!
//! Every statement commits with its journal entry, so a crash anywhere repeats at most one. A
//! definition that the destination refuses blocks; nothing of the data is lost.

use std::collections::BTreeMap;

use futures::{TryStreamExt, stream};
use proto::domain::catalog::{TableName, quote_ident, quote_literal};
use proto::domain::failure::{Failure, FailureKind};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use tracing::{Instrument, info_span};
use uuid::Uuid;

use super::analyze::analyze;
use super::breach::{Refused, name_rows};
use super::install::{build_marker, end_builds};
use super::sequences::move_sequences;
use crate::connect::{Purpose, open, run_sql};
use crate::failure::{During, from_sqlx, sqlstate};
use crate::pool::Server;
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
    let part = entity_no.to_string();
    let mut connection = open_build(destination, migration_id, &part).await?;
    end_builds(&mut connection, &build_marker(migration_id, &part)).await?;
    let objects: Vec<Journalled> = sqlx::query_as(
        "select d.ddl_id, d.table_schema, d.table_name, d.object_name, d.create_sql, \
                d.breach_sql \
         from drover.ddl d join drover.entity e \
             on e.destination_schema = d.table_schema and e.destination_table = d.table_name \
         where d.migration_id = $1 and e.entity_no = $2 and d.state = 'dropped' and d.kind <> 'foreign_key' \
         order by d.ddl_id",
    )
    .bind(migration_id)
    .bind(entity_no)
    .fetch_all(&mut connection)
    .await
    .during("read the definitions to put back")?;
    for object in &objects {
        let span = info_span!("rebuild", table = %object.table_name, object = %object.object_name);
        let restored = restore(&mut connection, object, &object.create_sql)
            .instrument(span)
            .await;
        if let Err(failure) = restored {
            return Err(name_rows(&mut connection, run, object.refused(), failure).await);
        }
    }
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
    let mut connection = open_build(destination, migration_id, FOREIGN_KEYS).await?;
    end_builds(&mut connection, &build_marker(migration_id, FOREIGN_KEYS)).await?;
    let objects = foreign_keys(&mut connection, migration_id).await?;
    let mut by_table: BTreeMap<(String, String), Vec<Journalled>> = BTreeMap::new();
    for object in objects {
        if let Err(failure) = add_not_valid(&mut connection, &object).await {
            return Err(name_rows(&mut connection, run, object.refused(), failure).await);
        }
        let table = (object.table_schema.clone(), object.table_name.clone());
        by_table.entry(table).or_default().push(object);
    }
    stream::iter(by_table.into_values().map(Ok))
        .try_for_each_concurrent(VALIDATIONS, |objects| validate(run, objects))
        .await?;
    let left: i64 = sqlx::query_scalar(
        "select count(*) from drover.ddl where migration_id = $1 and state = 'dropped'",
    )
    .bind(migration_id)
    .fetch_one(&mut connection)
    .await
    .during("check what is put back")?;
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
    let keys: Vec<Journalled> = sqlx::query_as(
        "select ddl_id, table_schema, table_name, object_name, create_sql, breach_sql from drover.ddl \
         where migration_id = $1 and state = 'dropped' and kind <> 'foreign_key' order by ddl_id",
    )
    .bind(migration_id)
    .fetch_all(&mut *connection)
    .await
    .during("read the definitions to put back")?;
    for object in keys.iter().filter(|object| is_meant(object)) {
        restore(connection, object, &object.create_sql).await?;
    }
    let references = foreign_keys(connection, migration_id).await?;
    for object in references.iter().filter(|object| is_meant(object)) {
        add_not_valid(connection, object).await?;
        let rest = object.create_sql.get(1..).unwrap_or_default();
        restore(connection, object, rest).await?;
    }
    Ok(())
}

/// Validates the foreign keys of one table.
async fn validate(run: &RunContext, objects: Vec<Journalled>) -> Result<(), Failure> {
    let destination = &run.destination;
    let mut connection = open_build(destination, run.order.migration_id, FOREIGN_KEYS).await?;
    for object in &objects {
        let rest = object.create_sql.get(1..).unwrap_or_default();
        let span = info_span!("rebuild", table = %object.table_name, object = %object.object_name);
        let restored = restore(&mut connection, object, rest)
            .instrument(span)
            .await;
        if let Err(failure) = restored {
            return Err(name_rows(&mut connection, run, object.refused(), failure).await);
        }
    }
    destination.give_back(Purpose::Build, connection).await;
    Ok(())
}

/// A session that a successor of this process finds and ends.
async fn open_build(
    destination: &Server,
    migration_id: Uuid,
    part: &str,
) -> Result<PgConnection, Failure> {
    let mut connection = open(destination, Purpose::Build).await?;
    let mark = format!(
        "set application_name = '{}'",
        build_marker(migration_id, part)
    );
    run_sql(&mut connection, &mark)
        .await
        .during("mark a session")?;
    Ok(connection)
}

async fn foreign_keys(
    connection: &mut PgConnection,
    migration_id: Uuid,
) -> Result<Vec<Journalled>, Failure> {
    sqlx::query_as(
        "select ddl_id, table_schema, table_name, object_name, create_sql, breach_sql from drover.ddl \
         where migration_id = $1 and state = 'dropped' and kind = 'foreign_key' order by ddl_id",
    )
    .bind(migration_id)
    .fetch_all(connection)
    .await
    .during("read the definitions to put back")
}

/// Adds a foreign key without looking at the rows; it may be there from before a crash. One message: the
/// destination may be far.
async fn add_not_valid(connection: &mut PgConnection, object: &Journalled) -> Result<(), Failure> {
    let Some(add) = object.create_sql.first() else {
        return Ok(());
    };
    let (name, add) = (quote_literal(&object.object_name), quote_literal(add));
    let (schema, table) = (&object.table_schema, &object.table_name);
    let relation = format!("{}.{}", quote_ident(schema), quote_ident(table));
    let message = format!(
        "do $drover$ begin \
             if not exists (select from pg_catalog.pg_constraint where conname = {name} \
                            and conrelid = {}::pg_catalog.regclass) then \
                 execute {add}; \
             end if; end $drover$",
        quote_literal(&relation)
    );
    run_sql(connection, &message)
        .await
        .map(drop)
        .map_err(|error| refused(&error, &object.object_name, table))
}

/// Runs statements and marks the definition as restored, in one transaction and one message.
async fn restore(
    connection: &mut PgConnection,
    object: &Journalled,
    statements: &[String],
) -> Result<(), Failure> {
    let mark = format!(
        "update drover.ddl set state = 'restored', restored_at = clock_timestamp() where ddl_id = {}",
        object.ddl_id
    );
    let statements = statements.iter().map(String::as_str);
    let all: Vec<&str> = ["begin"]
        .into_iter()
        .chain(statements)
        .chain([mark.as_str(), "commit"])
        .collect();
    run_sql(connection, &all.join("; "))
        .await
        .map(drop)
        .map_err(|error| refused(&error, &object.object_name, &object.table_name))
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
