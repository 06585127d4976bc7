//! Seals partitions whose holders are gone: the fence is taken under the controller's own token, by a holder
//! that never writes.

use proto::domain::failure::{Failure, FailureKind};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::fence::{Fence, take_over};
use crate::failure::During;
use crate::patience::{InTime, WRITE};

/// Takes every partition over and ends whoever still works on it. Nothing of an earlier token commits after
/// this; a later claim, under a higher token, goes on as after any holder. Whoever has a token as high as this
/// one is left alone: an earlier controller seals nothing of a later one's.
///
/// # Errors
/// `Busy` when a partition has a token as high as this one already.
pub async fn seal(
    connection: &mut PgConnection,
    partitions: &[Uuid],
    attempt: i32,
    token: i64,
) -> Result<(), Failure> {
    let nobody = Uuid::new_v4();
    for partition_id in partitions.iter().copied() {
        let found: Option<(i64, String)> = sqlx::query_as(
            "select token, entity_hash from drover.partition where partition_id = $1",
        )
        .bind(partition_id)
        .fetch_optional(&mut *connection)
        .in_time(WRITE)
        .await
        .during("seal a partition")?;
        let Some((_, entity_hash)) = found.filter(|(held, _)| *held < token) else {
            return Err(claimed());
        };
        let fence = Fence {
            partition_id,
            attempt,
            token,
            holder: nobody,
            entity_hash,
        };
        take_over(connection, &fence)
            .await
            .map_err(|failure| match failure.kind {
                FailureKind::Fenced => claimed(),
                _ => failure.during("seal a partition"),
            })?;
    }
    Ok(())
}

fn claimed() -> Failure {
    Failure::new(
        FailureKind::Busy,
        "a partition was claimed while it was to be sealed",
    )
}
