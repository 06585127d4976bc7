//! Table `legacy_entity_mapping`: the rules of the entities, one row per version.

use proto::domain::record::LegacyEntityMapping;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// The rules of one entity as the plan has them.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMapping {
    /// The plan's name of the entity.
    pub entity: String,
    /// Source table.
    pub source_entity: String,
    /// Destination table.
    pub destination_entity: String,
    /// Business type.
    pub entity_type: String,
    /// Destination column to pipeline: a JSON object.
    pub transformation_rules: Value,
    /// Entities to be completed or skipped first.
    pub dependency_entities: Vec<String>,
    /// The entity's validations: a JSON array.
    pub validation_rules: Value,
    /// False: the entity is skipped.
    pub is_active: bool,
    /// The plan's version of these rules.
    pub version: String,
    /// Hash of the compiled rules.
    pub entity_hash: String,
}

/// Keeps the rules and returns their id. Other versions of the entity go out of use. The rule
/// `mapping_hash_written` refuses another hash once a batch was written by this version.
pub async fn upsert(
    conn: &mut PgConnection,
    plan_name: &str,
    mapping: &NewMapping,
) -> Result<Uuid, sqlx::Error> {
    sqlx::query(
        "update legacy_entity_mapping set is_active = false
         where plan_name = $1 and entity = $2 and version <> $3 and is_active",
    )
    .bind(plan_name)
    .bind(&mapping.entity)
    .bind(&mapping.version)
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar(
        "insert into legacy_entity_mapping
             (plan_name, entity, version, source_entity, destination_entity, entity_type,
              transformation_rules, dependency_entities, validation_rules, is_active, entity_hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict (plan_name, entity, version) do update set
             source_entity = excluded.source_entity,
             destination_entity = excluded.destination_entity,
             entity_type = excluded.entity_type,
             transformation_rules = excluded.transformation_rules,
             dependency_entities = excluded.dependency_entities,
             validation_rules = excluded.validation_rules,
             is_active = excluded.is_active,
             entity_hash = excluded.entity_hash
         returning id",
    )
    .bind(plan_name)
    .bind(&mapping.entity)
    .bind(&mapping.version)
    .bind(&mapping.source_entity)
    .bind(&mapping.destination_entity)
    .bind(&mapping.entity_type)
    .bind(&mapping.transformation_rules)
    .bind(&mapping.dependency_entities)
    .bind(&mapping.validation_rules)
    .bind(mapping.is_active)
    .bind(&mapping.entity_hash)
    .fetch_one(conn)
    .await
}

/// The rules in use by a migration, in dependency order.
pub async fn of_migration(
    conn: &mut PgConnection,
    migration_id: Uuid,
) -> Result<Vec<LegacyEntityMapping>, sqlx::Error> {
    let rows = sqlx::query(
        "select m.* from legacy_entity_mapping m
         join entity_migration_status e on e.legacy_entity_mapping_id = m.id
         where e.migration_id = $1 order by e.dependency_order",
    )
    .bind(migration_id)
    .fetch_all(conn)
    .await?;
    rows.iter().map(record).collect()
}

/// One version of an entity's rules; without a version the newest.
pub async fn find(
    conn: &mut PgConnection,
    plan_name: &str,
    entity: &str,
    version: Option<&str>,
) -> Result<Option<LegacyEntityMapping>, sqlx::Error> {
    let row = sqlx::query(
        "select * from legacy_entity_mapping
         where plan_name = $1 and entity = $2 and ($3::text is null or version = $3)
         order by created_at desc, id desc limit 1",
    )
    .bind(plan_name)
    .bind(entity)
    .bind(version)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(record).transpose()
}

/// All versions of the rules of one plan or of all, by plan and entity, the newest version first, behind the
/// one with id `after`.
pub async fn list(
    conn: &mut PgConnection,
    plan_name: Option<&str>,
    limit: i64,
    after: Option<Uuid>,
) -> Result<Vec<LegacyEntityMapping>, sqlx::Error> {
    let rows = sqlx::query(
        "with numbered as (
             select *, row_number() over (order by plan_name, entity, created_at desc, id desc) as place
             from legacy_entity_mapping where $1::text is null or plan_name = $1)
         select * from numbered
         where $3::uuid is null or place > (select place from numbered where id = $3)
         order by place limit $2",
    )
    .bind(plan_name)
    .bind(limit)
    .bind(after)
    .fetch_all(conn)
    .await?;
    rows.iter().map(record).collect()
}

fn record(row: &PgRow) -> Result<LegacyEntityMapping, sqlx::Error> {
    Ok(LegacyEntityMapping {
        id: row.try_get("id")?,
        plan_name: row.try_get("plan_name")?,
        entity: row.try_get("entity")?,
        source_entity: row.try_get("source_entity")?,
        destination_entity: row.try_get("destination_entity")?,
        entity_type: row.try_get("entity_type")?,
        transformation_rules: row.try_get("transformation_rules")?,
        dependency_entities: row.try_get("dependency_entities")?,
        validation_rules: row.try_get("validation_rules")?,
        is_active: row.try_get("is_active")?,
        version: row.try_get("version")?,
        entity_hash: row.try_get("entity_hash")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
