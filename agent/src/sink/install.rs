//! Installs and upgrades the `drover` schema, and records a migration's start state.

use std::collections::{BTreeSet, HashMap};

use proto::domain::compiled::{CompiledEntity, ConstraintMode, IdRule};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{DatabaseIdentity, PrepareOrder};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::connect::{Purpose, open, run_sql};
use crate::failure::{During, from_sqlx};
use crate::pool::Server;
use crate::sink::start_state;
use crate::source::catalog::have_rows;
use crate::transform::map_entry::KeyShape;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/destination");

/// Opens a connection for schema work with the `drover` schema installed and up to date.
pub async fn open_installed(destination: &Server) -> Result<PgConnection, Failure> {
    let mut connection = open(destination, Purpose::Build).await?;
    run_sql(
        &mut connection,
        "select pg_advisory_lock(hashtext('drover install')); \
         create schema if not exists drover; set search_path = drover",
    )
    .await
    .during("install the drover schema")?;
    let migrated = MIGRATIONS.run_direct(&mut connection).await;
    run_sql(
        &mut connection,
        "reset search_path; select pg_advisory_unlock(hashtext('drover install'))",
    )
    .await
    .during("install the drover schema")?;
    migrated.map_err(|error| migration_failure(&error))?;
    Ok(connection)
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
    sqlx::query(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity \
         where datname = current_database() and pid <> pg_backend_pid() and application_name like $1",
    )
    .bind(marker)
    .execute(connection)
    .await
    .map(drop)
    .during("end what a lost agent left building")
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
    run_sql(&mut *connection, "begin")
        .await
        .during("record the start state")?;
    sqlx::query(
        "insert into drover.migration (migration_id, name, namespace, attempt, run_now, source, destination) \
         values ($1, $2, $3, $4, $5, $6, $7) \
         on conflict (migration_id) do update \
         set attempt = excluded.attempt, run_now = excluded.run_now, is_finished = false, snapshot = null, \
             source_activity = null \
         where excluded.attempt > 1 and excluded.attempt >= migration.attempt \
           and not exists (select from drover.partition p join drover.entity e using (entity_no) \
                           where e.migration_id = excluded.migration_id and p.attempt = excluded.attempt)",
    )
    .bind(order.migration_id)
    .bind(&order.plan.name)
    .bind(order.plan.namespace)
    .bind(order.attempt)
    .bind(order.run_now)
    .bind(Json(source))
    .bind(Json(destination))
    .execute(&mut *connection)
    .await
    .during("record the start state")?;
    record_entities(connection, order).await?;
    run_sql(connection, "commit")
        .await
        .map(drop)
        .during("record the start state")
}

async fn record_entities(
    connection: &mut PgConnection,
    order: &PrepareOrder,
) -> Result<(), Failure> {
    // What was recorded for an earlier attempt, or was undone since, is recorded anew.
    let known: Vec<(String, String)> = sqlx::query_as(
        "select entity, entity_hash from drover.entity where migration_id = $1 and attempt = $2",
    )
    .bind(order.migration_id)
    .bind(order.attempt)
    .fetch_all(&mut *connection)
    .await
    .during("read the start state")?;
    let known: HashMap<String, String> = known.into_iter().collect();
    let mut new = Vec::new();
    for entity in order.plan.entities.iter().filter(|entity| entity.is_active) {
        match known.get(&entity.entity) {
            Some(hash) if *hash == entity.hash => {}
            Some(_) => return Err(changed(&entity.entity)),
            None => new.push(entity),
        }
    }
    let tables = new.iter().map(|entity| &entity.destination);
    let had_rows = have_rows(connection, tables).await?;
    for (entity, had_rows) in new.into_iter().zip(had_rows) {
        record_entity(connection, order, entity, had_rows).await?;
        let run = (order.migration_id, order.attempt);
        start_state::record(connection, run, (&entity.destination, had_rows)).await?;
    }
    Ok(())
}

async fn record_entity(
    connection: &mut PgConnection,
    order: &PrepareOrder,
    entity: &CompiledEntity,
    had_rows: bool,
) -> Result<(), Failure> {
    let is_rebuilt = match entity.settings.constraints {
        ConstraintMode::Auto => !had_rows,
        ConstraintMode::Rebuild => true,
        ConstraintMode::Keep => false,
    };
    let entity_no: i32 = sqlx::query_scalar(
        "insert into drover.entity (migration_id, entity, entity_type, source_table, destination_schema, \
             destination_table, entity_hash, id_kind, key_shape, is_rebuilt, had_rows, late_parents, attempt) \
         select $1, $2, $3, case when exists (select from drover.entity e where e.migration_id = $1 \
                                              and e.attempt = $13 and e.source_table = $4) \
                            then $4 || '#' || $2 else $4 end, \
                $5, $6, $7, $8, $9, $10, $11, $12, $13 \
         on conflict (migration_id, entity) do update \
         set entity_type = excluded.entity_type, source_table = excluded.source_table, \
             destination_schema = excluded.destination_schema, destination_table = excluded.destination_table, \
             entity_hash = excluded.entity_hash, id_kind = excluded.id_kind, key_shape = excluded.key_shape, \
             is_rebuilt = excluded.is_rebuilt, had_rows = excluded.had_rows, late_parents = excluded.late_parents, \
             attempt = excluded.attempt \
         returning entity_no",
    )
    .bind(order.migration_id)
    .bind(&entity.entity)
    .bind(&entity.entity_type)
    .bind(entity.read.source.to_string())
    .bind(&entity.destination.schema)
    .bind(&entity.destination.name)
    .bind(&entity.hash)
    .bind(id_kind(entity))
    .bind(key_shape(entity))
    .bind(is_rebuilt)
    .bind(had_rows)
    .bind(late_parents(entity))
    .bind(order.attempt)
    .fetch_one(&mut *connection)
    .await
    .during("record the start state")?;
    // Mappings of an earlier attempt are void: they leave before the first row.
    sqlx::query("select drover.renew_id_map($1)")
        .bind(entity_no)
        .execute(connection)
        .await
        .map(drop)
        .during("make the id maps")
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
    let rows: Vec<(String, i32)> =
        sqlx::query_as("select entity, entity_no from drover.entity where migration_id = $1")
            .bind(migration_id)
            .fetch_all(connection)
            .await
            .during("read the start state")?;
    Ok(rows.into_iter().collect())
}
