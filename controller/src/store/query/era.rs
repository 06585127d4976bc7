//! Table `era`: the high bits of fencing tokens, and the cluster they belong to.

use sqlx::{PgConnection, Row};

use super::undecodable;

/// What was settled last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredEra {
    /// The era; 0 before the first.
    pub era: u32,
    /// The cluster whose revisions are the low bits; none after a change that was not settled.
    pub cluster_id: Option<String>,
    /// The highest revision of that cluster that was seen.
    pub revision: Option<u64>,
}

/// Reads it.
pub async fn get(conn: &mut PgConnection) -> Result<StoredEra, sqlx::Error> {
    let row = sqlx::query("select era, cluster_id, revision from era")
        .fetch_one(conn)
        .await?;
    let era: i32 = row.try_get("era")?;
    let revision: Option<i64> = row.try_get("revision")?;
    Ok(StoredEra {
        era: u32::try_from(era).map_err(|error| undecodable("era", error))?,
        cluster_id: row.try_get("cluster_id")?,
        revision: revision.and_then(|revision| u64::try_from(revision).ok()),
    })
}

/// Raises the era above itself and `floor`, for this cluster, and returns it. It never falls and ends at
/// 2^20 - 1.
pub async fn raise(
    conn: &mut PgConnection,
    floor: u32,
    cluster_id: &str,
    revision: u64,
) -> Result<u32, sqlx::Error> {
    let era: i32 = sqlx::query_scalar(
        "update era set era = greatest(era, $1) + 1, raised_at = clock_timestamp(),
                        cluster_id = $2, revision = $3
         returning era",
    )
    .bind(i32::try_from(floor).unwrap_or(i32::MAX - 1))
    .bind(cluster_id)
    .bind(i64::try_from(revision).unwrap_or(i64::MAX))
    .fetch_one(conn)
    .await?;
    u32::try_from(era).map_err(|error| undecodable("era", error))
}

/// Notes how far the cluster's revisions are.
pub async fn note_revision(
    conn: &mut PgConnection,
    cluster_id: &str,
    revision: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query("update era set revision = greatest(revision, $2) where cluster_id = $1")
        .bind(cluster_id)
        .bind(i64::try_from(revision).unwrap_or(i64::MAX))
        .execute(conn)
        .await
        .map(drop)
}
