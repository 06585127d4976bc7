//! Table `plan`: the plan files as handed in.

use proto::domain::compiled::CompiledPlan;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// A plan file to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPlan {
    /// The name in it.
    pub name: String,
    /// The file itself.
    pub document: String,
    /// SHA-256 of the file, hexadecimal.
    pub document_hash: String,
    /// What both catalogs made of it.
    pub compiled: CompiledPlan,
}

/// A plan file that is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPlan {
    /// Its id.
    pub id: Uuid,
    /// The name in it.
    pub name: String,
    /// The file itself.
    pub document: String,
    /// SHA-256 of the file, hexadecimal.
    pub document_hash: String,
    /// What both catalogs made of it, the last time it was compiled.
    pub compiled: Option<CompiledPlan>,
}

/// Keeps the plan; the same file again is the same row.
pub async fn upsert(conn: &mut PgConnection, plan: &NewPlan) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar(
        "insert into plan (name, document, document_hash, namespace, compiled)
         values ($1, $2, $3, $4, $5)
         on conflict (name, document_hash) do update set compiled = excluded.compiled
         returning id",
    )
    .bind(&plan.name)
    .bind(&plan.document)
    .bind(&plan.document_hash)
    .bind(plan.compiled.namespace)
    .bind(Json(&plan.compiled))
    .fetch_one(conn)
    .await
}

/// The plan that a migration runs.
pub async fn of_migration(
    conn: &mut PgConnection,
    migration_id: Uuid,
) -> Result<Option<StoredPlan>, sqlx::Error> {
    let row = sqlx::query(
        "select p.id, p.name, p.document, p.document_hash, p.compiled
         from plan p join migration_orchestration o on o.plan_id = p.id where o.id = $1",
    )
    .bind(migration_id)
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let compiled: Option<Json<CompiledPlan>> = row.try_get("compiled")?;
        Ok(StoredPlan {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            document: row.try_get("document")?,
            document_hash: row.try_get("document_hash")?,
            compiled: compiled.map(|json| json.0),
        })
    })
    .transpose()
}
