//! Seals partitions whose holders are gone: the fence is taken under the controller's own token, by a holder
//! that never writes.

use proto::domain::failure::{Failure, FailureKind};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::connect::run_sql;
use crate::failure::During;

/// Takes every partition over and ends whoever still works on it. Nothing of an earlier token commits after
/// this; a later claim, under a higher token, goes on as after any holder.
///
/// # Errors
/// `Fenced` when a partition has a token as high as this one already.
pub async fn seal(
    connection: &mut PgConnection,
    partitions: &[Uuid],
    attempt: i32,
    token: i64,
) -> Result<(), Failure> {
    let nobody = Uuid::new_v4();
    for partition in partitions {
        // A backend that holds the row is about to commit, or hangs: it is ended, whoever it is.
        let begin = format!(
            "begin isolation level read committed; set local lock_timeout = '10s'; \
             set local application_name = 'drover {partition} {token}'; \
             select drover.end_workers('{partition}', {token})"
        );
        run_sql(&mut *connection, &begin)
            .await
            .during("seal a partition")?;
        let sealed: Option<i64> =
            sqlx::query_scalar("select seq from drover.take_over($1, $2, $3, $4)")
                .bind(partition)
                .bind(attempt)
                .bind(token)
                .bind(nobody)
                .fetch_optional(&mut *connection)
                .await
                .during("seal a partition")?;
        run_sql(&mut *connection, "commit")
            .await
            .during("seal a partition")?;
        if sealed.is_none() {
            return Err(Failure::new(
                FailureKind::Busy,
                "a partition was claimed while it was to be sealed",
            ));
        }
    }
    Ok(())
}
