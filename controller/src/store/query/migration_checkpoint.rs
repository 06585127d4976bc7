//! Table `migration_checkpoint`: positions that were reached. Its trigger keeps them in order.

use proto::domain::record::{CheckpointType, MigrationCheckpoint};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::parsed;

/// A position that a batch reached.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCheckpoint {
    /// The plan's name of the entity.
    pub entity: String,
    /// Source entity.
    pub entity_name: String,
    /// What it stands behind.
    pub checkpoint_type: CheckpointType,
    /// Number of the batch.
    pub batch_number: i64,
    /// Last source key of the batch.
    pub last_source_id: Option<String>,
    /// Rows of the entity processed by then.
    pub records_processed: i64,
    /// What a resume needs.
    pub system_state: Value,
}

/// Adds checkpoints in this order; one that is there already is left as it is.
pub async fn insert(
    conn: &mut PgConnection,
    migration_id: Uuid,
    checkpoints: &[NewCheckpoint],
) -> Result<(), sqlx::Error> {
    if checkpoints.is_empty() {
        return Ok(());
    }
    let texts = |value: fn(&NewCheckpoint) -> &str| -> Vec<&str> {
        checkpoints.iter().map(value).collect()
    };
    let numbers =
        |value: fn(&NewCheckpoint) -> i64| -> Vec<i64> { checkpoints.iter().map(value).collect() };
    sqlx::query(
        "insert into migration_checkpoint
             (migration_id, entity, entity_name, checkpoint_type, batch_number, last_source_id,
              records_processed, system_state)
         select $1, c.entity, c.entity_name, c.checkpoint_type::checkpoint_type, c.batch_number,
                c.last_source_id, c.records_processed, c.system_state
         from unnest($2::text[], $3::text[], $4::text[], $5::int8[], $6::text[], $7::int8[],
                     $8::jsonb[]) with ordinality
              as c (entity, entity_name, checkpoint_type, batch_number, last_source_id,
                    records_processed, system_state, at)
         order by c.at
         on conflict do nothing",
    )
    .bind(migration_id)
    .bind(texts(|checkpoint| &checkpoint.entity))
    .bind(texts(|checkpoint| &checkpoint.entity_name))
    .bind(texts(|checkpoint| checkpoint.checkpoint_type.as_str()))
    .bind(numbers(|checkpoint| checkpoint.batch_number))
    .bind(
        checkpoints
            .iter()
            .map(|c| c.last_source_id.as_deref())
            .collect::<Vec<_>>(),
    )
    .bind(numbers(|checkpoint| checkpoint.records_processed))
    .bind(
        checkpoints
            .iter()
            .map(|c| &c.system_state)
            .collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Closes an entity: its last batch's position once more, as the end of the entity.
pub async fn insert_completion(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entity: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into migration_checkpoint
             (migration_id, entity, entity_name, checkpoint_type, batch_number, last_source_id,
              records_processed, system_state)
         select e.migration_id, e.entity, e.entity_name, 'entity_completion', e.last_batch_number,
                e.last_processed_id, e.records_processed,
                jsonb_build_object('partition', p.partition_id, 'attempt', p.attempt, 'seq', p.seq,
                                   'cursor', p.cursor, 'token', p.token,
                                   'entity_hash', e.entity_hash)
         from entity_migration_status e
         join lateral (select * from partition_progress p
                       where p.migration_id = e.migration_id and p.entity = e.entity
                       order by p.number desc limit 1) p on true
         where e.migration_id = $1 and e.entity = $2
         on conflict do nothing",
    )
    .bind(migration_id)
    .bind(entity)
    .execute(conn)
    .await?;
    Ok(())
}

/// Nothing can resume from the migration's checkpoints any more: what they stand for was undone.
pub async fn end_all(conn: &mut PgConnection, migration_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update migration_checkpoint set is_resumable = false
         where migration_id = $1 and is_resumable",
    )
    .bind(migration_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// Nothing of these entities can be resumed from any more.
pub async fn end_of(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entities: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update migration_checkpoint set is_resumable = false
         where migration_id = $1 and entity = any($2) and is_resumable",
    )
    .bind(migration_id)
    .bind(entities)
    .execute(conn)
    .await?;
    Ok(())
}

/// The migration's newest checkpoints, newest first.
pub async fn list(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entity: Option<&str>,
    limit: i64,
    before: Option<Uuid>,
) -> Result<Vec<MigrationCheckpoint>, sqlx::Error> {
    // Times are strictly rising within a migration.
    let rows = sqlx::query(
        "select id, migration_id, entity, entity_name, checkpoint_type::text, batch_number,
                last_source_id, records_processed, system_state, created_at, is_resumable
         from migration_checkpoint c
         where c.migration_id = $1 and ($2::text is null or c.entity = $2)
           and ($4::uuid is null
                or c.created_at < (select b.created_at from migration_checkpoint b where b.id = $4))
         order by c.created_at desc limit $3",
    )
    .bind(migration_id)
    .bind(entity)
    .bind(limit)
    .bind(before)
    .fetch_all(conn)
    .await?;
    rows.iter().map(record).collect()
}

fn record(row: &PgRow) -> Result<MigrationCheckpoint, sqlx::Error> {
    Ok(MigrationCheckpoint {
        id: row.try_get("id")?,
        migration_id: row.try_get("migration_id")?,
        entity: row.try_get("entity")?,
        entity_name: row.try_get("entity_name")?,
        checkpoint_type: parsed(row, "checkpoint_type")?,
        batch_number: row.try_get("batch_number")?,
        last_source_id: row.try_get("last_source_id")?,
        records_processed: row.try_get("records_processed")?,
        system_state: row.try_get("system_state")?,
        created_at: row.try_get("created_at")?,
        is_resumable: row.try_get("is_resumable")?,
    })
}
