//! Table `entity_migration_status`, as far as operators steer single entities.

use proto::domain::record::EntityIntent;
use sqlx::PgConnection;
use uuid::Uuid;

/// What an operator wishes of an entity.
#[derive(Debug, Clone, Copy)]
pub struct Wished<'a> {
    /// What; none: that it goes on.
    pub intent: Option<EntityIntent>,
    /// Why.
    pub reason: Option<&'a str>,
    /// Who.
    pub by: &'a str,
    /// Nothing of it can commit as it is.
    pub is_reached: bool,
}

/// Stores what an operator wishes of an entity.
pub async fn set_intent(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entity: &str,
    wished: Wished<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update entity_migration_status set
             intent = $3,
             intent_reason = case when $3 is not null then $4 end,
             intent_by = case when $3 is not null then $5 end,
             intent_reached_at = case when $3 is not null and $6 then clock_timestamp() end
         where migration_id = $1 and entity = $2",
    )
    .bind(migration_id)
    .bind(entity)
    .bind(wished.intent.map(|intent| intent.as_str()))
    .bind(wished.reason)
    .bind(wished.by)
    .bind(wished.is_reached)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that what is wished of an entity is so, as long as it is still wished.
pub async fn reach_intent(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entity: &str,
    intent: EntityIntent,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update entity_migration_status set intent_reached_at = clock_timestamp()
         where migration_id = $1 and entity = $2 and intent = $3 and intent_reached_at is null",
    )
    .bind(migration_id)
    .bind(entity)
    .bind(intent.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

/// Every pause of an entity is one of the whole migration now: nothing can commit.
pub async fn reach_pauses(conn: &mut PgConnection, migration_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update entity_migration_status set intent_reached_at = clock_timestamp()
         where migration_id = $1 and intent = 'paused' and intent_reached_at is null",
    )
    .bind(migration_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores settings of an entity that an operator changed.
pub async fn set_settings(
    conn: &mut PgConnection,
    migration_id: Uuid,
    entity: &str,
    (batch_size, max_quarantined): (i64, &str),
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update entity_migration_status set batch_size = $3, max_quarantined = $4
         where migration_id = $1 and entity = $2",
    )
    .bind(migration_id)
    .bind(entity)
    .bind(batch_size)
    .bind(max_quarantined)
    .execute(conn)
    .await?;
    Ok(())
}
