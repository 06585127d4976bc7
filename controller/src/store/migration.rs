//! Creating a migration, bringing it up to its edited plan, and changing its state.

use proto::domain::compiled::MaxQuarantined;
use proto::domain::frame::DatabaseIdentity;
use proto::domain::record::{Activity, MigrationOrchestration, MigrationStatus, MigrationType};
use proto::domain::settings::Overrides;
use proto::domain::state::{self, Command, Next};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::StoreError;
use super::query::legacy_entity_mapping::NewMapping;
use super::query::outbox::NewEvent;
use super::query::plan::NewPlan;
use super::query::{
    entity_intent, entity_migration_status, legacy_entity_mapping, migration_checkpoint,
    migration_error, migration_orchestration, outbox, partition_progress, plan, retry, rollback,
    validation_run,
};

/// From this many estimated rows on, a migration's batches get a partition of their own.
const OWN_BATCH_PARTITION_ROWS: i64 = 10_000_000;

/// A migration to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMigration {
    /// Its id; the one the destination knows where it knows one.
    pub id: Uuid,
    /// Attempt, 1 unless the destination knows better.
    pub attempt: i32,
    /// What it is for.
    pub migration_type: MigrationType,
    /// User or system.
    pub created_by: String,
    /// The source behind the plan's connection.
    pub source_identity: DatabaseIdentity,
    /// The destination behind the plan's connection.
    pub destination_identity: DatabaseIdentity,
    /// Rows of all entities together, estimated.
    pub rows_estimate: i64,
    /// The plan it runs.
    pub plan: PlanRows,
}

/// A plan as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRows {
    /// The plan file; its name is the migration's.
    pub plan: NewPlan,
    /// Settings in force: a JSON object.
    pub configuration: Value,
    /// Its entities in topological order.
    pub entities: Vec<EntityRows>,
}

/// An entity of a plan as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityRows {
    /// Its rules.
    pub mapping: NewMapping,
    /// Rows a batch starts with.
    pub batch_size: u32,
    /// Bad rows that are let through.
    pub max_quarantined: MaxQuarantined,
}

pub(super) async fn create(
    conn: &mut PgConnection,
    new: &NewMigration,
) -> Result<MigrationOrchestration, StoreError> {
    let plan_id = plan::upsert(conn, &new.plan.plan).await?;
    // It was deleted here, and the destination still knows it.
    migration_orchestration::purge_hidden(conn, new.id).await?;
    let row = migration_orchestration::NewRow {
        id: new.id,
        name: &new.plan.plan.name,
        plan_id,
        migration_type: new.migration_type,
        attempt: new.attempt,
        configuration: &new.plan.configuration,
        created_by: &new.created_by,
        source_identity: &identity(&new.source_identity),
        destination_identity: &identity(&new.destination_identity),
    };
    migration_orchestration::insert(conn, row)
        .await
        .map_err(|error| name_taken(error, &new.plan.plan.name))?;
    store_entities(conn, new.id, (&new.plan, &Overrides::default())).await?;
    migration_orchestration::recount(conn, new.id, 0).await?;
    if new.rows_estimate >= OWN_BATCH_PARTITION_ROWS {
        sqlx::query("select create_batch_partition($1)")
            .bind(new.id)
            .execute(&mut *conn)
            .await?;
    }
    migration_orchestration::get(conn, new.id)
        .await?
        .ok_or(StoreError::NoMigration { id: new.id })
}

/// The edited plan takes effect: settings of every entity, rules of those without a batch.
pub(super) async fn update_plan(
    conn: &mut PgConnection,
    id: Uuid,
    rows: &PlanRows,
) -> Result<MigrationOrchestration, StoreError> {
    let before = locked(conn, id).await?;
    let overrides = Overrides::stored(&before.configuration);
    let plan_id = plan::upsert(conn, &rows.plan).await?;
    migration_orchestration::set_plan(conn, id, plan_id, &rows.configuration).await?;
    let kept: Vec<&str> = rows
        .entities
        .iter()
        .map(|entity| entity.mapping.entity.as_str())
        .collect();
    let begun = entity_migration_status::remove_others(conn, id, &kept).await?;
    if let Some(entity) = begun.into_iter().next() {
        return Err(StoreError::PlanChanged { entity });
    }
    entity_migration_status::shift_order(conn, id).await?;
    store_entities(conn, id, (rows, &overrides)).await?;
    migration_orchestration::recount(conn, id, 0).await?;
    locked(conn, id).await
}

/// Applies a command to the migration's state, with all that follows from it.
pub(super) async fn command(
    conn: &mut PgConnection,
    id: Uuid,
    command: &Command,
) -> Result<MigrationOrchestration, StoreError> {
    let before = locked(conn, id).await?;
    let next = state::next_observed(before.state(), before.activity_reason.as_deref(), command)?;
    if next.state.status != before.status {
        // What is being checked is no longer what it was.
        validation_run::cancel_of(conn, id, "the migration went on").await?;
    }
    match command {
        Command::Cancel | Command::Paused if next.state.status == MigrationStatus::Failed => {
            entity_migration_status::fail_running(conn, id).await?;
        }
        Command::RollbackDone => {
            retry::delete_all(conn, id).await?;
            partition_progress::delete_all(conn, id).await?;
            entity_migration_status::reset_all(conn, id).await?;
            migration_checkpoint::end_all(conn, id).await?;
            migration_error::resolve_undone(conn, id, None).await?;
        }
        Command::ResetDone => {
            let entities = rollback::scope(conn, id).await?.entities;
            partition_progress::delete_of(conn, id, &entities).await?;
            entity_migration_status::reset(conn, id, &entities).await?;
            migration_checkpoint::end_of(conn, id, &entities).await?;
            migration_error::resolve_undone(conn, id, Some(&entities)).await?;
        }
        Command::Start
        | Command::Pause
        | Command::Paused
        | Command::Resume
        | Command::Block { .. }
        | Command::Complete
        | Command::Cancel
        | Command::Rollback
        | Command::Finalize => {}
    }
    if next.state.activity == Some(Activity::Paused) {
        entity_intent::reach_pauses(conn, id).await?;
    }
    migration_orchestration::set_state(conn, id, &next).await?;
    migration_orchestration::recount(conn, id, 0).await?;
    let after = locked(conn, id).await?;
    if let Some(mut event) = event(&before, &after, &next) {
        if matches!(command, Command::RollbackDone | Command::ResetDone) {
            event.more.extend(rollback::told(conn, id).await?);
        }
        outbox::insert(conn, id, &[event]).await?;
    }
    Ok(after)
}

async fn locked(conn: &mut PgConnection, id: Uuid) -> Result<MigrationOrchestration, StoreError> {
    migration_orchestration::lock(conn, id)
        .await?
        .ok_or(StoreError::NoMigration { id })
}

async fn store_entities(
    conn: &mut PgConnection,
    id: Uuid,
    (rows, overrides): (&PlanRows, &Overrides),
) -> Result<(), StoreError> {
    for (dependency_order, entity) in (1..).zip(&rows.entities) {
        let name = &entity.mapping.entity;
        let mapping_id = legacy_entity_mapping::upsert(conn, &rows.plan.name, &entity.mapping)
            .await
            .map_err(|error| plan_changed(error, name))?;
        let row = entity_migration_status::PlanRow {
            mapping_id,
            entity: name,
            dependency_order,
            is_active: entity.mapping.is_active,
            batch_size: i64::from(overrides.batch_size(name).unwrap_or(entity.batch_size)),
            max_quarantined: &max_quarantined(
                overrides
                    .max_quarantined(name)
                    .unwrap_or(entity.max_quarantined),
            ),
        };
        entity_migration_status::upsert(conn, id, row).await?;
    }
    Ok(())
}

/// The event that a change of state is worth.
fn event(
    before: &MigrationOrchestration,
    after: &MigrationOrchestration,
    next: &Next,
) -> Option<NewEvent> {
    if (before.status, before.activity) == (after.status, after.activity) {
        return None;
    }
    let (event_type, outcome) = match (before.status, after.status) {
        (MigrationStatus::Pending, _) => ("migration_started", None),
        (_, MigrationStatus::Completed) => ("migration_completed", Some("succeeded")),
        (_, MigrationStatus::Failed) => ("migration_completed", Some("cancelled")),
        (_, MigrationStatus::Pending) => ("migration_completed", Some("rolled_back")),
        (MigrationStatus::RollingBack, MigrationStatus::Running) => ("entities_reset", None),
        (
            MigrationStatus::Running | MigrationStatus::Completed | MigrationStatus::Failed,
            MigrationStatus::RollingBack,
        ) => ("migration_rollback_started", None),
        (_, MigrationStatus::Running | MigrationStatus::RollingBack) => {
            (activity_event(next), None)
        }
    };
    let mut more = Map::new();
    if let Some(outcome) = outcome {
        more.insert("outcome".to_owned(), json!(outcome));
    }
    if let Some(reason) = &after.activity_reason {
        more.insert("reason".to_owned(), json!(reason));
    }
    Some(NewEvent {
        event_type: event_type.to_owned(),
        entity: "*".to_owned(),
        progress_percentage: after.progress_percentage,
        throughput: 0.0,
        more,
    })
}

fn activity_event(next: &Next) -> &'static str {
    match next.state.activity {
        Some(Activity::Running) | None => "migration_resumed",
        Some(Activity::Pausing) => "migration_pausing",
        Some(Activity::Paused) => "migration_paused",
        Some(Activity::Blocked) => "migration_blocked",
    }
}

fn identity(identity: &DatabaseIdentity) -> Value {
    json!({
        "system_identifier": identity.system_identifier,
        "database": identity.database,
        "timeline": identity.timeline,
    })
}

/// As the plan writes it.
pub(super) fn max_quarantined(limit: MaxQuarantined) -> String {
    match limit {
        MaxQuarantined::Rows(rows) => rows.to_string(),
        MaxQuarantined::Share(share) => format!("{}%", (share * 1e8).round() / 1e6),
    }
}

fn name_taken(error: sqlx::Error, name: &str) -> StoreError {
    match &error {
        sqlx::Error::Database(refused)
            if refused.constraint() == Some("migration_orchestration_name") =>
        {
            StoreError::NameTaken {
                name: name.to_owned(),
            }
        }
        _ => error.into(),
    }
}

fn plan_changed(error: sqlx::Error, entity: &str) -> StoreError {
    match &error {
        sqlx::Error::Database(refused) if refused.constraint() == Some("mapping_hash_written") => {
            StoreError::PlanChanged {
                entity: entity.to_owned(),
            }
        }
        _ => error.into(),
    }
}
