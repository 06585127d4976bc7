//! Table `entity_migration_status`: the entities of the migrations. Its triggers stamp the times.

use proto::domain::record::{EntityMigrationStatus, EntityStatus};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{parsed, parsed_option};

const COLUMNS: &str = "id, migration_id, legacy_entity_mapping_id, entity, entity_name, \
     target_entity, entity_type, entity_hash, dependency_order, status::text, blocked_reason, \
     intent, intent_reason, intent_by, intent_reached_at, \
     records_total, records_total_exact, records_read, records_processed, records_failed, \
     records_held, records_skipped, records_filtered, records_written, max_quarantined, \
     started_at, completed_at, last_processed_id, last_batch_number, batch_size, \
     throughput_per_second, created_at, updated_at";

/// What the plan says of an entity, beside its rules.
#[derive(Debug, Clone, Copy)]
pub struct PlanRow<'a> {
    /// Its rules.
    pub mapping_id: Uuid,
    /// The plan's name.
    pub entity: &'a str,
    /// Place in the topological order, from 1.
    pub dependency_order: i32,
    /// False: skipped.
    pub is_active: bool,
    /// Rows a batch starts with.
    pub batch_size: i64,
    /// Rows, or a percentage.
    pub max_quarantined: &'a str,
}

/// Adds an entity as its rules say, or brings it up to the plan: names, hash, settings. An entity
/// that has not begun becomes skipped or pending as the plan says.
pub async fn upsert(
    conn: &mut PgConnection,
    migration_id: Uuid,
    row: PlanRow<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into entity_migration_status as e
             (migration_id, legacy_entity_mapping_id, entity, entity_name, target_entity,
              entity_type, entity_hash, dependency_order, status, batch_size, max_quarantined)
         select $1, m.id, m.entity, m.source_entity, m.destination_entity, m.entity_type,
                m.entity_hash, $3, case when $4 then 'pending' else 'skipped' end::entity_status,
                $5, $6
         from legacy_entity_mapping m where m.id = $2
         on conflict (migration_id, entity) do update set
             legacy_entity_mapping_id = excluded.legacy_entity_mapping_id,
             entity_name = excluded.entity_name,
             target_entity = excluded.target_entity,
             entity_type = excluded.entity_type,
             entity_hash = excluded.entity_hash,
             dependency_order = excluded.dependency_order,
             status = case when e.intent = 'skipped' then e.status
                           when e.status in ('pending', 'skipped') and e.records_read = 0
                           then excluded.status else e.status end,
             batch_size = excluded.batch_size,
             max_quarantined = excluded.max_quarantined",
    )
    .bind(migration_id)
    .bind(row.mapping_id)
    .bind(row.dependency_order)
    .bind(row.is_active)
    .bind(row.batch_size)
    .bind(row.max_quarantined)
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes entities that are not among `kept` and were never begun; returns those that were.
pub async fn remove_others(
    conn: &mut PgConnection,
    migration_id: Uuid,
    kept: &[&str],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query(
        "delete from entity_migration_status
         where migration_id = $1 and not entity = any ($2)
           and status in ('pending', 'skipped') and last_batch_number = 0",
    )
    .bind(migration_id)
    .bind(kept)
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar(
        "select entity from entity_migration_status
         where migration_id = $1 and not entity = any ($2) order by dependency_order",
    )
    .bind(migration_id)
    .bind(kept)
    .fetch_all(conn)
    .await
}

/// Moves every `dependency_order` out of the way of a new one.
pub async fn shift_order(conn: &mut PgConnection, migration_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update entity_migration_status set dependency_order = dependency_order + 1000000
         where migration_id = $1",
    )
    .bind(migration_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// The migration's entities in dependency order.
pub async fn list(
    conn: &mut PgConnection,
    migration_id: Uuid,
) -> Result<Vec<EntityMigrationStatus>, sqlx::Error> {
    let sql = format!(
        "select {COLUMNS} from entity_migration_status
         where migration_id = $1 order by dependency_order"
    );
    sqlx::query(&sql)
        .bind(migration_id)
        .fetch_all(conn)
        .await?
        .iter()
        .map(record)
        .collect()
}

/// These entities; nobody else changes them until the transaction ends.
pub async fn lock(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entities: &[&str],
) -> Result<Vec<EntityMigrationStatus>, sqlx::Error> {
    let sql = format!(
        "select {COLUMNS} from entity_migration_status
         where migration_id = $1 and entity = any ($2) order by dependency_order for update"
    );
    let rows = sqlx::query(&sql)
        .bind(migration_id)
        .bind(entities)
        .fetch_all(conn)
        .await?;
    rows.iter().map(record).collect()
}

/// Stores what is known of entities' numbers of rows: entity, rows, whether they were counted. An
/// exact number is not undone by an estimate.
pub async fn set_totals(
    conn: &mut PgConnection,
    migration_id: Uuid,
    totals: &[(&str, i64, bool)],
) -> Result<(), sqlx::Error> {
    let entities: Vec<&str> = totals.iter().map(|total| total.0).collect();
    let rows: Vec<i64> = totals.iter().map(|total| total.1).collect();
    let exact: Vec<bool> = totals.iter().map(|total| total.2).collect();
    sqlx::query(
        "update entity_migration_status e set
             records_total = greatest(t.total, e.records_processed + e.records_failed),
             records_total_exact = t.is_exact
         from unnest($2::text[], $3::bigint[], $4::boolean[]) as t (entity, total, is_exact)
         where e.migration_id = $1 and e.entity = t.entity and e.status <> 'completed'
           and (t.is_exact or not e.records_total_exact)",
    )
    .bind(migration_id)
    .bind(entities)
    .bind(rows)
    .bind(exact)
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores a status; completed means that every row in scope was seen.
pub async fn set_status(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entity: &str,
    status: EntityStatus,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update entity_migration_status set
             status = $3::entity_status,
             blocked_reason = null,
             records_total = case when $3 = 'completed' then records_processed + records_failed
                                  else records_total end,
             records_total_exact = records_total_exact or $3 = 'completed',
             throughput_per_second = case when $3 = 'completed'
                 then records_read / greatest(
                     extract(epoch from clock_timestamp() - started_at), 0.001)::float8
                 else throughput_per_second end
         where migration_id = $1 and entity = $2",
    )
    .bind(migration_id)
    .bind(entity)
    .bind(status.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

/// Says why a running entity alone stands still, or that it does not.
pub async fn set_blocked(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entity: &str,
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update entity_migration_status set blocked_reason = $3
         where migration_id = $1 and entity = $2 and status in ('running', 'failed')",
    )
    .bind(migration_id)
    .bind(entity)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives up what is running; the migration is cancelled.
pub async fn fail_running(conn: &mut PgConnection, migration_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update entity_migration_status set status = 'failed'
         where migration_id = $1 and status = 'running'",
    )
    .bind(migration_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything is undone: the entities are pending again, their counters 0.
pub async fn reset_all(conn: &mut PgConnection, migration_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update entity_migration_status set
             status = 'pending', blocked_reason = null, records_read = 0, records_processed = 0,
             records_failed = 0, records_held = 0, records_skipped = 0, records_filtered = 0,
             records_total_exact = false, last_processed_id = null, throughput_per_second = 0
         where migration_id = $1 and status in ('running', 'completed', 'failed')",
    )
    .bind(migration_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts some entities back to the beginning: they are undone.
pub async fn reset(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entities: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update entity_migration_status set
             status = 'pending', blocked_reason = null, records_read = 0, records_processed = 0,
             records_failed = 0, records_held = 0, records_skipped = 0, records_filtered = 0,
             records_total_exact = false, last_processed_id = null, throughput_per_second = 0
         where migration_id = $1 and entity = any($2) and status in ('running', 'completed', 'failed')",
    )
    .bind(migration_id)
    .bind(entities)
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores the rates of entities, in rows per second.
pub async fn set_throughput(
    conn: &mut PgConnection,
    migration_id: Uuid,
    rates: &[(String, f64)],
) -> Result<(), sqlx::Error> {
    let (entities, rates): (Vec<&str>, Vec<f64>) = rates
        .iter()
        .map(|(entity, rate)| (entity.as_str(), *rate))
        .unzip();
    sqlx::query(
        "update entity_migration_status e set throughput_per_second = r.rate
         from unnest($2::text[], $3::float8[]) as r (entity, rate)
         where e.migration_id = $1 and e.entity = r.entity and e.status = 'running'",
    )
    .bind(migration_id)
    .bind(entities)
    .bind(rates)
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts entities again from their partitions' absolute counters: the same report twice counts once.
/// `records_total` follows where more was read than was known. `last_processed_id` is the cursor of
/// the first partition in key order that is not done.
pub async fn recount(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entities: &[&str],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with part as (
             select * from partition_progress where migration_id = $1 and entity = any ($2)
         ), ordered as (
             select entity, number, cursor, coalesce(
                 bool_and(state = 'done') over (partition by entity order by number
                     rows between unbounded preceding and 1 preceding), true) as is_reached
             from part where number >= 0
         ), total as (
             select entity,
                    sum(rows_read)::bigint as read,
                    sum(rows_written + rows_skipped)::bigint as processed,
                    sum(rows_failed)::bigint as failed,
                    sum(rows_held)::bigint as held,
                    sum(rows_skipped)::bigint as skipped,
                    sum(rows_filtered)::bigint as filtered
             from part group by entity
         ), prefix as (
             select distinct on (entity) entity,
                    case when jsonb_array_length(cursor) = 1 then cursor ->> 0
                         else cursor::text end as last_id
             from ordered
             where is_reached and jsonb_typeof(cursor) = 'array'
             order by entity, number desc
         )
         update entity_migration_status e set
             records_read = t.read,
             records_processed = t.processed,
             records_failed = t.failed,
             records_held = t.held,
             records_skipped = t.skipped,
             records_filtered = t.filtered,
             records_total = case when e.status = 'completed' then t.processed + t.failed
                                  else greatest(e.records_total, t.processed + t.failed) end,
             last_processed_id = coalesce(p.last_id, e.last_processed_id)
         from total t left join prefix p using (entity)
         where e.migration_id = $1 and e.entity = t.entity
           and e.status in ('running', 'completed', 'failed')",
    )
    .bind(migration_id)
    .bind(entities)
    .execute(conn)
    .await?;
    Ok(())
}

fn record(row: &PgRow) -> Result<EntityMigrationStatus, sqlx::Error> {
    Ok(EntityMigrationStatus {
        id: row.try_get("id")?,
        migration_id: row.try_get("migration_id")?,
        legacy_entity_mapping_id: row.try_get("legacy_entity_mapping_id")?,
        entity: row.try_get("entity")?,
        entity_name: row.try_get("entity_name")?,
        target_entity: row.try_get("target_entity")?,
        entity_type: row.try_get("entity_type")?,
        entity_hash: row.try_get("entity_hash")?,
        dependency_order: row.try_get("dependency_order")?,
        status: parsed(row, "status")?,
        blocked_reason: row.try_get("blocked_reason")?,
        intent: parsed_option(row, "intent")?,
        intent_reason: row.try_get("intent_reason")?,
        intent_by: row.try_get("intent_by")?,
        intent_reached_at: row.try_get("intent_reached_at")?,
        records_total: row.try_get("records_total")?,
        records_total_exact: row.try_get("records_total_exact")?,
        records_read: row.try_get("records_read")?,
        records_processed: row.try_get("records_processed")?,
        records_failed: row.try_get("records_failed")?,
        records_held: row.try_get("records_held")?,
        records_skipped: row.try_get("records_skipped")?,
        records_filtered: row.try_get("records_filtered")?,
        records_written: row.try_get("records_written")?,
        max_quarantined: row.try_get("max_quarantined")?,
        started_at: row.try_get("started_at")?,
        completed_at: row.try_get("completed_at")?,
        last_processed_id: row.try_get("last_processed_id")?,
        last_batch_number: row.try_get("last_batch_number")?,
        batch_size: row.try_get("batch_size")?,
        throughput_per_second: row.try_get("throughput_per_second")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
