//! Table `leader_epoch`: which controller may write.

use sqlx::PgConnection;
use uuid::Uuid;

/// Enters an epoch; false when this one or a later one was entered already. Waits for transactions of the
/// epoch before.
pub async fn enter(
    conn: &mut PgConnection,
    epoch: i64,
    holder: Uuid,
    address: &str,
) -> Result<bool, sqlx::Error> {
    let entered = sqlx::query(
        "update leader_epoch set epoch = $1, holder = $2, address = $3, since = clock_timestamp()
         where epoch < $1",
    )
    .bind(epoch)
    .bind(holder)
    .bind(address)
    .execute(conn)
    .await?;
    Ok(entered.rows_affected() == 1)
}

/// The epoch in force. It stays so until the transaction ends.
pub async fn hold(conn: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select epoch from leader_epoch for share")
        .fetch_one(conn)
        .await
}
