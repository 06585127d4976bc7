//! Looks up the id map by legacy key.

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::{KeyValue, record_id};
use proto::domain::record::MigrationMapping;
use sqlx::Row;
use sqlx::postgres::{PgConnectOptions, PgRow};
use uuid::Uuid;

use crate::connect::{Purpose, close, connect, open};
use crate::failure::During;
use crate::pool::Server;

/// Mappings of a legacy row, newest migration last; `migration` narrows to one by name.
///
/// # Errors
/// `SchemaDrift` when nothing was ever migrated into the destination.
pub async fn lookup_mapping(
    destination: &PgConnectOptions,
    migration: Option<&str>,
    entity: &str,
    key: &[String],
) -> Result<Vec<MigrationMapping>, Failure> {
    let mut connection = connect(destination, Purpose::Read).await?;
    let is_installed: bool =
        sqlx::query_scalar("select to_regclass('drover.migration') is not null")
            .fetch_one(&mut connection)
            .await
            .during("look for the drover schema")?;
    if !is_installed {
        return Err(Failure::new(
            FailureKind::SchemaDrift,
            "nothing was migrated into this database yet: it has no drover schema",
        ));
    }
    let rows = sqlx::query(
        "select l.* from drover.mapping_lookup($1, $2) l join drover.migration m using (migration_id) \
         where $3::text is null or m.name = $3 order by m.created_at",
    )
    .bind(entity)
    .bind(record_id(key.iter().map(String::as_str)))
    .bind(migration)
    .fetch_all(&mut connection)
    .await
    .during("look up a mapping")?;
    close(connection).await;
    rows.iter()
        .map(mapping)
        .collect::<Result<_, _>>()
        .during("look up a mapping")
}

/// The mapping of a legacy row in one migration.
pub async fn lookup_in(
    destination: &Server,
    migration_id: Uuid,
    entity: &str,
    key: &KeyValue,
) -> Result<Vec<MigrationMapping>, Failure> {
    let mut connection = open(destination, Purpose::Write).await?;
    let rows = sqlx::query("select * from drover.mapping_lookup($1, $2) where migration_id = $3")
        .bind(entity)
        .bind(key.to_record_id())
        .bind(migration_id)
        .fetch_all(&mut connection)
        .await
        .during("look up a mapping")?;
    destination.give_back(Purpose::Write, connection).await;
    mappings(&rows)
}

/// The legacy rows of a new id, or of a kept key. The id map has no index on new ids: it is read once.
pub async fn reverse(
    destination: &Server,
    migration_id: Uuid,
    entity: Option<&str>,
    destination_id: &str,
) -> Result<Vec<MigrationMapping>, Failure> {
    let mut connection = open(destination, Purpose::Write).await?;
    let rows = sqlx::query(
        "select m.* from drover.migration_mapping m \
         where m.migration_id = $1 and ($2::text is null or m.mapping_metadata ->> 'entity' = $2) \
           and (m.destination_id = $3 or m.mapping_metadata ->> 'destination_key' = $4) \
         order by m.source_table, m.source_id limit 100",
    )
    .bind(migration_id)
    .bind(entity)
    .bind(Uuid::try_parse(destination_id).ok())
    .bind(destination_id)
    .fetch_all(&mut connection)
    .await
    .during("look up a mapping")?;
    destination.give_back(Purpose::Write, connection).await;
    mappings(&rows)
}

fn mappings(rows: &[PgRow]) -> Result<Vec<MigrationMapping>, Failure> {
    let found: Result<_, _> = rows.iter().map(mapping).collect();
    found.during("look up a mapping")
}

fn mapping(row: &PgRow) -> Result<MigrationMapping, sqlx::Error> {
    Ok(MigrationMapping {
        id: row.try_get("id")?,
        migration_id: row.try_get("migration_id")?,
        source_table: row.try_get("source_table")?,
        source_id: row.try_get("source_id")?,
        destination_table: row.try_get("destination_table")?,
        destination_id: row.try_get("destination_id")?,
        entity_type: row.try_get("entity_type")?,
        mapping_metadata: row.try_get("mapping_metadata")?,
        created_at: row.try_get("created_at")?,
        is_active: row.try_get("is_active")?,
    })
}
