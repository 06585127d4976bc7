//! Table `migration_orchestration`: the migrations. Its triggers stamp the times.

use proto::domain::compiled::ConsistencyHeld;
use proto::domain::record::{MigrationOrchestration, MigrationType};
use proto::domain::state::{CANCELLED, CANCELLING, Next, Reason};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{parsed, parsed_option};

const COLUMNS: &str = "id, name, plan_id, migration_type::text, status::text, activity::text, \
     activity_reason, activity_hint, attempt, generation, started_at, completed_at, finalized_at, \
     progress_percentage::float8, total_entities, completed_entities, error_count, configuration, \
     created_by, source_identity, destination_identity, created_at, updated_at";

/// The row of a new migration.
#[derive(Debug, Clone, Copy)]
pub struct NewRow<'a> {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: &'a str,
    /// The plan it runs.
    pub plan_id: Uuid,
    /// What it is for.
    pub migration_type: MigrationType,
    /// From 1; higher where the destination knows of earlier attempts.
    pub attempt: i32,
    /// Settings in force: a JSON object.
    pub configuration: &'a Value,
    /// Who creates it.
    pub created_by: &'a str,
    /// The source's identity.
    pub source_identity: &'a Value,
    /// The destination's identity.
    pub destination_identity: &'a Value,
}

/// Adds a migration; it is pending.
pub async fn insert(conn: &mut PgConnection, row: NewRow<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into migration_orchestration
             (id, name, plan_id, migration_type, attempt, configuration, created_by,
              source_identity, destination_identity)
         values ($1, $2, $3, $4::migration_type, $5, $6, $7, $8, $9)",
    )
    .bind(row.id)
    .bind(row.name)
    .bind(row.plan_id)
    .bind(row.migration_type.as_str())
    .bind(row.attempt)
    .bind(row.configuration)
    .bind(row.created_by)
    .bind(row.source_identity)
    .bind(row.destination_identity)
    .execute(conn)
    .await?;
    Ok(())
}

/// The migration of that id.
pub async fn get(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<MigrationOrchestration>, sqlx::Error> {
    let sql = format!("select {COLUMNS} from migration_orchestration where id = $1");
    let row = sqlx::query(&sql).bind(id).fetch_optional(conn).await?;
    row.as_ref().map(record).transpose()
}

/// As [`get`], unless it was deleted.
pub async fn get_live(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<MigrationOrchestration>, sqlx::Error> {
    let sql = format!(
        "select {COLUMNS} from migration_orchestration where id = $1 and deleted_at is null"
    );
    let row = sqlx::query(&sql).bind(id).fetch_optional(conn).await?;
    row.as_ref().map(record).transpose()
}

/// As [`get`], and nobody else changes it until the transaction ends.
pub async fn lock(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<MigrationOrchestration>, sqlx::Error> {
    let sql = format!("select {COLUMNS} from migration_orchestration where id = $1 for update");
    let row = sqlx::query(&sql).bind(id).fetch_optional(conn).await?;
    row.as_ref().map(record).transpose()
}

/// Those of that name, else those whose id begins with it (4 characters or more).
pub async fn find(
    conn: &mut PgConnection,
    wanted: &str,
) -> Result<Vec<MigrationOrchestration>, sqlx::Error> {
    let sql = format!(
        "with live as (select * from migration_orchestration where deleted_at is null),
              named as (select * from live where name = $1)
         select {COLUMNS} from (
             select * from named
             union all
             select * from live
             where not exists (select from named)
               and length($1) >= 4 and starts_with(id::text, lower($1))) as found
         order by created_at desc, id limit 20"
    );
    sqlx::query(&sql)
        .bind(wanted)
        .fetch_all(conn)
        .await?
        .iter()
        .map(record)
        .collect()
}

/// Migrations, newest first, behind the one with id `after`.
pub async fn list(
    conn: &mut PgConnection,
    limit: i64,
    after: Option<Uuid>,
) -> Result<Vec<MigrationOrchestration>, sqlx::Error> {
    let sql = format!(
        "select {COLUMNS} from migration_orchestration o
         where deleted_at is null
           and ($2::uuid is null
                or (o.created_at, o.id)
                   < (select a.created_at, a.id from migration_orchestration a where a.id = $2))
         order by o.created_at desc, o.id desc limit $1"
    );
    sqlx::query(&sql)
        .bind(limit)
        .bind(after)
        .fetch_all(conn)
        .await?
        .iter()
        .map(record)
        .collect()
}

/// Migrations that are under way and neither paused nor blocked, oldest first.
pub async fn list_active(
    conn: &mut PgConnection,
) -> Result<Vec<MigrationOrchestration>, sqlx::Error> {
    let sql = format!(
        "select {COLUMNS} from migration_orchestration
         where deleted_at is null and status in ('running', 'rolling_back')
           and activity in ('running', 'pausing')
         order by created_at, id"
    );
    let rows = sqlx::query(&sql).fetch_all(conn).await?;
    rows.iter().map(record).collect()
}

/// Ids of all migrations that are under way, also those that stand still.
pub async fn list_under_way(conn: &mut PgConnection) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select id from migration_orchestration
         where deleted_at is null and status in ('running', 'rolling_back')",
    )
    .fetch_all(conn)
    .await
}

/// Hides a migration; false when it is under way, or hidden already.
pub async fn delete(conn: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query(
        "update migration_orchestration set deleted_at = clock_timestamp()
         where id = $1 and deleted_at is null and status not in ('running', 'rolling_back')",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Removes a hidden migration with all its rows, so that the id, which the destination knows, can be used
/// again; what is kept of commands stays, so that a repeated request is still known.
pub async fn purge_hidden(conn: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update command set migration_id = null
         where migration_id in
             (select id from migration_orchestration where id = $1 and deleted_at is not null)",
    )
    .bind(id)
    .execute(&mut *conn)
    .await?;
    sqlx::query("delete from migration_orchestration where id = $1 and deleted_at is not null")
        .bind(id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Stores the state that follows a command; completed means 100 %.
pub async fn set_state(conn: &mut PgConnection, id: Uuid, next: &Next) -> Result<(), sqlx::Error> {
    let (is_kept, reason, hint) = match &next.reason {
        Reason::Keep => (true, None, None),
        Reason::Clear => (false, None, None),
        Reason::Cancelled => (false, Some(CANCELLED), None),
        Reason::Cancelling => (false, Some(CANCELLING), None),
        Reason::Blocked { reason, hint } => (false, Some(reason.as_str()), Some(hint.as_str())),
    };
    sqlx::query(
        "update migration_orchestration set
             status = $2::migration_status,
             activity = $3::migration_activity,
             activity_reason = case when $4 then activity_reason else $5 end,
             activity_hint = case when $4 then activity_hint else $6 end,
             attempt = attempt + $7::int,
             finalized_at = case when $8 then coalesce(finalized_at, clock_timestamp()) end,
             progress_percentage = case when $2 = 'completed' then 100
                                        when $7 or (status = 'rolling_back' and $2 = 'running') then 0
                                        else progress_percentage end
         where id = $1",
    )
    .bind(id)
    .bind(next.state.status.as_str())
    .bind(next.state.activity.map(|activity| activity.as_str()))
    .bind(is_kept)
    .bind(reason)
    .bind(hint)
    .bind(next.is_new_attempt)
    .bind(next.state.is_finalized)
    .execute(conn)
    .await?;
    Ok(())
}

/// How long agents may take to give partitions back before a pause or a cancel; none: the default.
pub async fn set_drain(
    conn: &mut PgConnection,
    id: Uuid,
    seconds: Option<i32>,
) -> Result<(), sqlx::Error> {
    sqlx::query("update migration_orchestration set drain_seconds = $2 where id = $1")
        .bind(id)
        .bind(seconds)
        .execute(conn)
        .await?;
    Ok(())
}

/// As it was set last.
pub async fn drain(conn: &mut PgConnection, id: Uuid) -> Result<Option<i32>, sqlx::Error> {
    let found: Option<Option<i32>> =
        sqlx::query_scalar("select drain_seconds from migration_orchestration where id = $1")
            .bind(id)
            .fetch_optional(conn)
            .await?;
    Ok(found.flatten())
}

/// Notes a command that changes no state of the migration itself: its etag changes all the same.
pub async fn count_command(conn: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update migration_orchestration set command_count = command_count + 1 where id = $1",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(())
}

/// Replaces the settings that operators changed while it runs.
pub async fn set_overrides(
    conn: &mut PgConnection,
    id: Uuid,
    overrides: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update migration_orchestration set
             configuration = configuration || jsonb_build_object('overrides', $2::jsonb)
         where id = $1",
    )
    .bind(id)
    .bind(overrides)
    .execute(conn)
    .await?;
    Ok(())
}

/// Lets the migration run another plan file from now on.
pub async fn set_plan(
    conn: &mut PgConnection,
    id: Uuid,
    plan_id: Uuid,
    configuration: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update migration_orchestration set plan_id = $2,
             configuration = $3 || jsonb_strip_nulls(jsonb_build_object(
                 $4::text, configuration -> $4, 'overrides', configuration -> 'overrides',
                 'retried_rows', configuration -> 'retried_rows'))
         where id = $1",
    )
    .bind(id)
    .bind(plan_id)
    .bind(configuration)
    .bind(ConsistencyHeld::KEY)
    .execute(conn)
    .await?;
    Ok(())
}

/// What the reads of its run have in common.
pub async fn set_consistency_held(
    conn: &mut PgConnection,
    id: Uuid,
    held: ConsistencyHeld,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update migration_orchestration set
             configuration = configuration || jsonb_build_object($2::text, $3::text) where id = $1",
    )
    .bind(id)
    .bind(ConsistencyHeld::KEY)
    .bind(held.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts entities and progress again from its entities, and adds to the errors. Progress moves only
/// while running, and never falls.
pub async fn recount(
    conn: &mut PgConnection,
    id: Uuid,
    new_error_count: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update migration_orchestration o set
             total_entities = s.total_entities,
             completed_entities = s.completed_entities,
             error_count = o.error_count + $2,
             progress_percentage = case
                 when o.status = 'running' then greatest(
                     o.progress_percentage,
                     least(99.9, coalesce(trunc(100.0 * s.done / nullif(s.total, 0), 3), 0)))
                 else o.progress_percentage end
         from (select count(*) filter (where status <> 'skipped') as total_entities,
                      count(*) filter (where status = 'completed') as completed_entities,
                      sum(records_processed + records_failed)
                          filter (where status <> 'skipped') as done,
                      sum(records_total) filter (where status <> 'skipped') as total
               from entity_migration_status where migration_id = $1) s
         where o.id = $1",
    )
    .bind(id)
    .bind(new_error_count)
    .execute(conn)
    .await?;
    Ok(())
}

fn record(row: &PgRow) -> Result<MigrationOrchestration, sqlx::Error> {
    Ok(MigrationOrchestration {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        plan_id: row.try_get("plan_id")?,
        migration_type: parsed(row, "migration_type")?,
        status: parsed(row, "status")?,
        activity: parsed_option(row, "activity")?,
        activity_reason: row.try_get("activity_reason")?,
        activity_hint: row.try_get("activity_hint")?,
        attempt: row.try_get("attempt")?,
        generation: row.try_get("generation")?,
        started_at: row.try_get("started_at")?,
        completed_at: row.try_get("completed_at")?,
        finalized_at: row.try_get("finalized_at")?,
        progress_percentage: row.try_get("progress_percentage")?,
        total_entities: row.try_get("total_entities")?,
        completed_entities: row.try_get("completed_entities")?,
        error_count: row.try_get("error_count")?,
        configuration: row.try_get("configuration")?,
        created_by: row.try_get("created_by")?,
        source_identity: row.try_get("source_identity")?,
        destination_identity: row.try_get("destination_identity")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
