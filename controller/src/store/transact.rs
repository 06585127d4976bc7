//! The one way to a transaction: retried where trying again helps, traced by the operation's name.

use std::time::Duration;

use proto::runtime::backoff::Backoff;
use sqlx::{PgConnection, PgPool};
use tracing::Instrument;

use super::error::StoreError;

const TRIES: u32 = 5;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(40), Duration::from_secs(1));

/// Runs `work` in a transaction of its own. A serialization failure or deadlock runs it again, so it
/// must do nothing but database work.
pub(super) async fn transact<T, W>(
    pool: &PgPool,
    operation: &'static str,
    work: W,
) -> Result<T, StoreError>
where
    W: AsyncFn(&mut PgConnection) -> Result<T, StoreError>,
{
    let span = tracing::info_span!("store", operation);
    async {
        let mut tried = 0;
        loop {
            tried += 1;
            match once(pool, &work).await {
                Err(error) if error.is_passing() && tried < TRIES => {
                    tracing::debug!(operation, tried, "transaction is tried again");
                    tokio::time::sleep(BACKOFF.delay(tried, rand::random())).await;
                }
                outcome => return outcome.map_err(|error| error.during(operation)),
            }
        }
    }
    .instrument(span)
    .await
}

async fn once<T, W>(pool: &PgPool, work: &W) -> Result<T, StoreError>
where
    W: AsyncFn(&mut PgConnection) -> Result<T, StoreError>,
{
    let mut transaction = pool.begin().await?;
    // On an error the transaction is dropped, which rolls it back.
    let value = work(&mut transaction).await?;
    transaction.commit().await?;
    Ok(value)
}
