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
        let found: Option<(i64, String, String)> = sqlx::query_as(
            "select token, entity_hash, mode from drover.partition where partition_id = $1",
        )
        .bind(partition_id)
        .fetch_optional(&mut *connection)
        .in_time(WRITE)
        .await
        .during("seal a partition")?;
        let Some((held, entity_hash, mode)) = found else {
            // It was never stored: whoever claims it finds nothing.
            continue;
        };
        if mode != "run" {
            // Nobody can write it as it is.
            continue;
        }
        if held >= token {
            return Err(claimed());
        }
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

/// Closes the partitions of an entity's rows that are not done, so that nobody writes them any more, or opens those
/// that were closed.
///
/// # Errors
/// `Busy` where a batch holds a partition too long.
pub async fn close(
    connection: &mut PgConnection,
    (migration_id, entity, attempt): (Uuid, &str, i32),
    is_open: bool,
) -> Result<(), Failure> {
    let (from, to) = match is_open {
        true => ("closed", "run"),
        false => ("run", "closed"),
    };
    let changed: Vec<Uuid> = sqlx::query_scalar(
        "update drover.partition p set mode = $5 from drover.entity e \
         where e.entity_no = p.entity_no and e.migration_id = $1 and e.entity = $2 and p.attempt = $3 \
           and p.number >= 0 and not p.done and p.mode = $4 \
         returning p.partition_id",
    )
    .bind(migration_id)
    .bind(entity)
    .bind(attempt)
    .bind(from)
    .bind(to)
    .fetch_all(&mut *connection)
    .in_time(WRITE)
    .await
    .during("close the partitions of an entity")?;
    if is_open {
        return Ok(());
    }
    // Whoever still works on one of them holds locks for nothing.
    sqlx::query("select drover.end_workers(id, -1) from unnest($1::uuid[]) as id")
        .bind(changed)
        .execute(connection)
        .in_time(WRITE)
        .await
        .map(drop)
        .during("close the partitions of an entity")
}

fn claimed() -> Failure {
    Failure::new(
        FailureKind::Busy,
        "a partition was claimed while it was to be sealed",
    )
}
