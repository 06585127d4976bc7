//! Table `era`: the high bits of fencing tokens.

use sqlx::PgConnection;

/// Raises the era above itself and `floor`, and returns it. It never falls and ends at 2^20 - 1.
pub async fn raise(conn: &mut PgConnection, floor: i32) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar(
        "update era set era = greatest(era, $1) + 1, raised_at = clock_timestamp(),
                        cluster_id = null, revision = null
         returning era",
    )
    .bind(floor)
    .fetch_one(conn)
    .await
}
