//! Installs and upgrades the `drover` schema, and records a migration's start state.

use std::collections::{BTreeSet, HashMap};

use proto::domain::catalog::quote_literal;
use proto::domain::compiled::{CompiledEntity, ConstraintMode, IdRule};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{DatabaseIdentity, PrepareOrder};
use serde_json::json;
use sqlx::FromRow;
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::state::UNDEFINED_TABLE;
use crate::connect::{Purpose, fetch_sql, open, run_sql};
use crate::failure::{During, from_sqlx, sqlstate};
use crate::pool::Server;
use crate::sink::start_state;
use crate::source::catalog::have_rows;
use crate::transform::map_entry::KeyShape;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/destination");

const INSTALL: &str = "install the drover schema";
const READ_START: &str = "read the start state";

/// Opens a connection for schema work with the `drover` schema installed and up to date.
///
/// The destination may be far: an installed one is looked at in one message, a new one is made in few.
pub async fn open_installed(destination: &Server) -> Result<PgConnection, Failure> {
    let mut connection = open(destination, Purpose::Build).await?;
    if is_up_to_date(&mut connection).await? {
        return Ok(connection);
    }
    run_sql(
        &mut connection,
        "select pg_advisory_lock(hashtext('drover install')); \
         create schema if not exists drover; set search_path = drover",
    )
    .await
    .during(INSTALL)?;
    // Where it fails the session ends, and the lock with it.
    migrate(&mut connection)
        .await
        .map_err(|error| migration_failure(&error))?;
    run_sql(
        &mut connection,
        "reset search_path; select pg_advisory_unlock(hashtext('drover install'))",
    )
    .await
    .during(INSTALL)?;
    Ok(connection)
}

/// Every migration is there, none other, and none failed.
async fn is_up_to_date(connection: &mut PgConnection) -> Result<bool, Failure> {
    let sql = "select version, checksum, success from drover._sqlx_migrations order by version";
    let rows = match fetch_sql(connection, sql).await {
        Err(error) if sqlstate(&error) == Some(UNDEFINED_TABLE) => return Ok(false),
        other => other.during(INSTALL)?,
    };
    let applied: Result<Vec<(i64, Vec<u8>, bool)>, sqlx::Error> =
        rows.iter().map(FromRow::from_row).collect();
    let applied = applied.during(INSTALL)?;
    let known = MIGRATIONS
        .iter()
        .map(|it| (it.version, &*it.checksum, true));
    Ok(applied
        .iter()
        .map(|(version, checksum, is_done)| (*version, checksum.as_slice(), *is_done))
        .eq(known))
}

/// Brings the schema up to date; a new one by one message, one transaction.
async fn migrate(connection: &mut PgConnection) -> Result<(), MigrateError> {
    connection.ensure_migrations_table().await?;
    if !connection.list_applied_migrations().await?.is_empty() {
        return MIGRATIONS.run_direct(connection).await;
    }
    let mut whole = "begin".to_owned();
    for migration in MIGRATIONS.iter() {
        whole.push_str(&format!(
            ";\n{}\n;\ninsert into _sqlx_migrations (version, description, success, checksum, execution_time) \
             values ({}, {}, true, '\\x{}', 0)",
            migration.sql,
            migration.version,
            quote_literal(&migration.description),
            hex(&migration.checksum),
        ));
    }
    whole.push_str("; commit");
    Ok(run_sql(connection, &whole).await?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn migration_failure(error: &MigrateError) -> Failure {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            from_sqlx("install the drover schema", error)
        }
        other => Failure::new(
            FailureKind::SchemaDrift,
            format!("the drover schema is not one this build can upgrade: {other}"),
        ),
    }
}

/// Ends what a killed process left building: such a backend notices only when its index is done. No
/// other process can be building, since the migration is locked.
pub async fn end_orphan_builds(
    connection: &mut PgConnection,
    migration_id: Uuid,
) -> Result<(), Failure> {
    end_builds(connection, &format!("{}%", build_marker(migration_id, ""))).await
}

/// Ends the other sessions whose marker is like this.
pub async fn end_builds(connection: &mut PgConnection, marker: &str) -> Result<(), Failure> {
    run_sql(connection, &end_builds_sql(marker))
        .await
        .during("end what a lost agent left building")
}

/// What ends the other sessions whose marker is like this.
pub fn end_builds_sql(marker: &str) -> String {
    format!(
        "do $drover$ begin \
             perform pg_terminate_backend(pid, 5000) from pg_stat_activity \
             where datname = current_database() and pid <> pg_backend_pid() and application_name like {}; \
         end $drover$",
        quote_literal(marker)
    )
}

/// `application_name` of a session that builds some part of a migration's keys.
pub fn build_marker(migration_id: Uuid, part: &str) -> String {
    format!("drover build {migration_id} {part}")
}

/// Records migration and entities; what is there already stays as it is.
///
/// # Errors
/// `PlanChanged` when an entity was started under another hash.
pub async fn record_start(
    connection: &mut PgConnection,
    order: &PrepareOrder,
    source: &DatabaseIdentity,
    destination: &DatabaseIdentity,
) -> Result<(), Failure> {
    let rows = fetch_sql(connection, &begin_sql(order, source, destination))
        .await
        .during(RECORD)?;
    let known: Result<Vec<Known>, sqlx::Error> = rows.iter().map(Known::from_row).collect();
    let known = known.during(RECORD)?;
    let new = new_entities(order, &known)?;
    let tables = new.iter().map(|entity| &entity.destination);
    let had_rows = have_rows(connection, tables).await?;
    let entities = entity_rows(&new, &known, &had_rows);
    run_sql(connection, &entities_sql(order, &entities))
        .await
        .during(RECORD)?;
    let tables = new.iter().map(|entity| &entity.destination).zip(had_rows);
    let run = (order.migration_id, order.attempt);
    start_state::record(connection, run, tables.collect()).await?;
    run_sql(connection, "commit").await.during(RECORD)
}

const RECORD: &str = "record the start state";

/// An entity that is recorded.
#[derive(Debug, FromRow)]
struct Known {
    entity: String,
    entity_hash: String,
    source_table: String,
}

/// Begins to record: the migration, then what is known of its entities. What was recorded for an earlier
/// attempt, or was undone since, is recorded anew.
fn begin_sql(
    order: &PrepareOrder,
    source: &DatabaseIdentity,
    destination: &DatabaseIdentity,
) -> String {
    let identity = |it| quote_literal(&serde_json::json!(it).to_string());
    let (id, attempt) = (order.migration_id, order.attempt);
    format!(
        "begin; \
         insert into drover.migration (migration_id, name, namespace, attempt, run_now, source, destination) \
         values ('{id}', {}, '{}', {attempt}, '{}', {}, {}) \
         on conflict (migration_id) do update \
         set attempt = excluded.attempt, run_now = excluded.run_now, is_finished = false, snapshot = null, \
             source_activity = null \
         where excluded.attempt > 1 and excluded.attempt >= migration.attempt \
           and not exists (select from drover.partition p join drover.entity e using (entity_no) \
                           where e.migration_id = excluded.migration_id and p.attempt = excluded.attempt); \
         select entity, entity_hash, source_table from drover.entity \
         where migration_id = '{id}' and attempt = {attempt}",
        quote_literal(&order.plan.name),
        order.plan.namespace,
        order.run_now.to_rfc3339(),
        identity(source),
        identity(destination),
    )
}

/// The entities that are not recorded yet.
fn new_entities<'a>(
    order: &'a PrepareOrder,
    known: &[Known],
) -> Result<Vec<&'a CompiledEntity>, Failure> {
    let known: HashMap<&str, &str> = known
        .iter()
        .map(|it| (it.entity.as_str(), it.entity_hash.as_str()))
        .collect();
    let mut new = Vec::new();
    for entity in order.plan.entities.iter().filter(|entity| entity.is_active) {
        match known.get(entity.entity.as_str()) {
            Some(hash) if *hash == entity.hash => {}
            Some(_) => return Err(changed(&entity.entity)),
            None => new.push(entity),
        }
    }
    Ok(new)
}

/// Rows of `drover.entity`; the second entity of one source table has its own name behind the table's.
fn entity_rows(
    new: &[&CompiledEntity],
    known: &[Known],
    had_rows: &[bool],
) -> Vec<serde_json::Value> {
    let mut taken: BTreeSet<String> = known.iter().map(|it| it.source_table.clone()).collect();
    let rows = new.iter().zip(had_rows).map(|(entity, had_rows)| {
        let is_rebuilt = match entity.settings.constraints {
            ConstraintMode::Auto => !had_rows,
            ConstraintMode::Rebuild => true,
            ConstraintMode::Keep => false,
        };
        let table = entity.read.source.to_string();
        let source_table = match taken.insert(table.clone()) {
            true => table,
            false => format!("{table}#{}", entity.entity),
        };
        json!({
            "entity": entity.entity,
            "entity_type": entity.entity_type,
            "source_table": source_table,
            "destination_schema": entity.destination.schema,
            "destination_table": entity.destination.name,
            "entity_hash": entity.hash,
            "id_kind": id_kind(entity),
            "key_shape": key_shape(entity),
            "is_rebuilt": is_rebuilt,
            "had_rows": had_rows,
            "late_parents": late_parents(entity),
        })
    });
    rows.collect()
}

/// Records entities in this order. Mappings of an earlier attempt are void: they leave before the first row.
fn entities_sql(order: &PrepareOrder, entities: &[serde_json::Value]) -> String {
    let (id, attempt) = (order.migration_id, order.attempt);
    let rows = quote_literal(&json!(entities).to_string());
    format!(
        "insert into drover.entity (migration_id, entity, entity_type, source_table, destination_schema, \
             destination_table, entity_hash, id_kind, key_shape, is_rebuilt, had_rows, late_parents, attempt) \
         select '{id}', e.entity, e.entity_type, e.source_table, e.destination_schema, e.destination_table, \
                e.entity_hash, e.id_kind, e.key_shape, e.is_rebuilt, e.had_rows, e.late_parents, {attempt} \
         from jsonb_array_elements({rows}::jsonb) with ordinality a (object, at) \
         cross join lateral jsonb_to_record(a.object) as e (entity text, entity_type text, source_table text, \
             destination_schema text, destination_table text, entity_hash text, id_kind text, key_shape text, \
             is_rebuilt boolean, had_rows boolean, late_parents text[]) \
         order by a.at \
         on conflict (migration_id, entity) do update \
         set entity_type = excluded.entity_type, source_table = excluded.source_table, \
             destination_schema = excluded.destination_schema, destination_table = excluded.destination_table, \
             entity_hash = excluded.entity_hash, id_kind = excluded.id_kind, key_shape = excluded.key_shape, \
             is_rebuilt = excluded.is_rebuilt, had_rows = excluded.had_rows, late_parents = excluded.late_parents, \
             attempt = excluded.attempt; \
         select drover.renew_id_map(e.entity_no) \
         from jsonb_to_recordset({rows}::jsonb) as n (entity text) join drover.entity e using (entity) \
         where e.migration_id = '{id}' order by e.entity_no"
    )
}

/// Entities whose rows may come, or go, after those that refer to them.
fn late_parents(entity: &CompiledEntity) -> Vec<&str> {
    let late = entity.late.iter().map(|late| &late.entity);
    let names: BTreeSet<&str> = late
        .chain(&entity.knot)
        .map(String::as_str)
        .filter(|name| *name != entity.entity)
        .collect();
    names.into_iter().collect()
}

fn changed(entity: &str) -> Failure {
    Failure::new(
        FailureKind::PlanChanged,
        format!("the rules of {entity} are not those the migration was started with"),
    )
}

fn id_kind(entity: &CompiledEntity) -> &'static str {
    match &entity.id {
        IdRule::Uuid5 { .. } if entity.matches.is_some() => "natural_key",
        IdRule::Uuid5 { .. } => "uuid5",
        IdRule::Keep { .. } => "keep",
        IdRule::None { .. } => "none",
    }
}

fn key_shape(entity: &CompiledEntity) -> &'static str {
    match KeyShape::of(entity) {
        KeyShape::Int8 => "int8",
        KeyShape::Text => "text",
    }
}

/// Numbers of a migration's entities.
pub async fn entity_numbers(
    connection: &mut PgConnection,
    migration_id: Uuid,
) -> Result<HashMap<String, i32>, Failure> {
    let sql = format!(
        "select entity, entity_no from drover.entity where migration_id = '{migration_id}'"
    );
    let rows = fetch_sql(connection, &sql).await.during(READ_START)?;
    let numbers: Result<HashMap<String, i32>, sqlx::Error> =
        rows.iter().map(FromRow::from_row).collect();
    numbers.during(READ_START)
}
