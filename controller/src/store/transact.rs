//! The one way to a transaction: retried where trying again helps, traced by the operation's name.
//!
//! A macro, since a future made by a generic async closure that borrows is not `Send` for the
//! compiler (rust-lang/rust issue 110338), and services run these on any thread.

use std::time::Duration;

use proto::runtime::backoff::Backoff;

use super::error::StoreError;

const TRIES: u32 = 5;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(40), Duration::from_secs(1));

/// `transact!(&pool, "operation", |conn| result)`: runs `result` (an expression that may await and
/// use `?`) in a transaction of its own and commits it. A serialization failure or deadlock runs it
/// again, so it must do nothing but database work.
///
/// `transact!(store => "operation", |conn| result)` does the same for work that writes: under the store's
/// epoch, where it has one, so that a deposed leader writes nothing.
macro_rules! transact {
    ($store:expr => $operation:literal, |$conn:ident| $work:expr) => {{
        let epoch = $store.epoch;
        $crate::store::transact::transact!(&$store.pool, $operation, |$conn| {
            $crate::store::transact::check_epoch($conn, epoch).await?;
            $work
        })
    }};
    ($pool:expr, $operation:literal, |$conn:ident| $work:expr) => {{
        let work = async {
            let mut tried = 0;
            loop {
                tried += 1;
                let outcome: Result<_, $crate::store::StoreError> = async {
                    let mut transaction = sqlx::PgPool::begin($pool).await?;
                    let $conn: &mut sqlx::PgConnection = &mut transaction;
                    // On an error the transaction is dropped, which rolls it back.
                    let done: Result<_, $crate::store::StoreError> = async { $work }.await;
                    let value = done?;
                    transaction.commit().await?;
                    Ok(value)
                }
                .await;
                match outcome {
                    Err(error) if $crate::store::transact::is_tried_again(&error, tried) => {
                        $crate::store::transact::pause(tried).await;
                    }
                    outcome => return outcome.map_err(|error| error.during($operation)),
                }
            }
        };
        let span = tracing::info_span!("store", operation = $operation);
        tracing::Instrument::instrument(work, span).await
    }};
}
pub(super) use transact;

/// Refuses to write under an epoch that is over.
pub(super) async fn check_epoch(
    conn: &mut sqlx::PgConnection,
    epoch: Option<i64>,
) -> Result<(), StoreError> {
    match epoch {
        Some(epoch) if super::query::leader_epoch::hold(conn).await? != epoch => {
            Err(StoreError::Deposed { epoch })
        }
        Some(_) | None => Ok(()),
    }
}

/// Another try may work, and some are left.
pub(super) fn is_tried_again(error: &StoreError, tried: u32) -> bool {
    error.is_passing() && tried < TRIES
}

/// Waits before the next try.
pub(super) async fn pause(tried: u32) {
    tracing::debug!(tried, "transaction is tried again");
    tokio::time::sleep(BACKOFF.delay(tried, rand::random())).await;
}
