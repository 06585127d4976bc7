//! Table `era`: the high bits of fencing tokens.

use sqlx::PgConnection;

use super::undecodable;

/// Raises the era above itself and `floor`, and returns it. It never falls and ends at 2^20 - 1.
pub async fn raise(conn: &mut PgConnection, floor: u32) -> Result<u32, sqlx::Error> {
    let era: i32 = sqlx::query_scalar(
        "update era set era = greatest(era, $1) + 1, raised_at = clock_timestamp(),
                        cluster_id = null, revision = null
         returning era",
    )
    .bind(i32::try_from(floor).unwrap_or(i32::MAX - 1))
    .fetch_one(conn)
    .await?;
    u32::try_from(era).map_err(|error| undecodable("era", error))
}
