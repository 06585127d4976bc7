//! The beginning of an undo: nobody writes any more, conflicts are known, foreign keys are out of the way.

use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::undo::{ConflictPolicy, UndoAnswer, UndoOrder};
use proto::runtime::backoff::Backoff;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::reference::Reference;
use super::rows::rows_left;
use super::site::Site;
use super::survey::{KEPT, survey};
use crate::connect::run_sql;
use crate::failure::During;
use crate::sink::ddl::{Droppable, foreign_keys};
use crate::sink::load::drop_objects;

/// Tries to get the locks, each waiting for at most the session's lock time-out.
const LOCK_ATTEMPTS: u32 = 6;

/// Seals, looks for conflicts and, where nothing is in the way, drops the foreign keys among the tables.
pub async fn begin(
    connection: &mut PgConnection,
    sites: &[Site],
    (run, order): ((Uuid, i32), &UndoOrder),
) -> Result<UndoAnswer, Failure> {
    seal(connection, sites, (run, order.token)).await?;
    run_sql(&mut *connection, "begin")
        .await
        .during("look for conflicts")?;
    forget_conflicts(connection, sites).await?;
    let survey = survey(connection, sites, (KEPT, order.conflicts)).await?;
    run_sql(&mut *connection, "commit")
        .await
        .during("look for conflicts")?;
    let is_blocked = survey.is_blocked(order.conflicts);
    // Kept rows keep what they refer to; forced ones need their foreign keys' own rules.
    let held = match order.conflicts {
        Some(ConflictPolicy::Force) => &survey.held[..],
        Some(ConflictPolicy::Keep) | None => &[],
    };
    let mut left = Vec::new();
    if !is_blocked {
        let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut tries = 0;
        while let Err(failure) = loosen(connection, sites, (run, held)).await {
            if failure.kind != FailureKind::Busy || tries >= LOCK_ATTEMPTS {
                return Err(failure);
            }
            tries += 1;
            run_sql(&mut *connection, "rollback")
                .await
                .during("roll back")?;
            tokio::time::sleep(backoff.delay(tries, rand::random())).await;
        }
        for site in sites {
            left.push((site.entity.clone(), rows_left(connection, site).await?));
        }
    }
    Ok(UndoAnswer::Begun {
        conflicts: survey.conflicts,
        is_blocked,
        rows_left: left,
    })
}

/// From now on nothing of an earlier token commits.
async fn seal(
    connection: &mut PgConnection,
    sites: &[Site],
    ((migration_id, attempt), token): ((Uuid, i32), i64),
) -> Result<(), Failure> {
    let names: Vec<&str> = sites.iter().map(|site| site.entity.as_str()).collect();
    let open: i64 = sqlx::query_scalar("select drover.seal_undo($1, $2, $3, $4)")
        .bind(migration_id)
        .bind(attempt)
        .bind(names)
        .bind(token)
        .fetch_one(connection)
        .await
        .during("seal the partitions")?;
    match open {
        0 => Ok(()),
        _ => Err(Failure::new(
            FailureKind::Busy,
            "partitions were taken over under a higher token while they were sealed",
        )),
    }
}

/// Conflicts of an earlier look are void.
pub async fn forget_conflicts(
    connection: &mut PgConnection,
    sites: &[Site],
) -> Result<(), Failure> {
    let numbers: Vec<i32> = sites.iter().map(|site| site.entity_no).collect();
    sqlx::query(&format!("delete from {KEPT} where entity_no = any($1)"))
        .bind(numbers)
        .execute(connection)
        .await
        .map(drop)
        .during("look for conflicts")
}

/// Drops the foreign keys that the load drops, where they are there again: row by row they would look through
/// tables that have no index for it. Those by which rows that stay refer to ours stand.
async fn loosen(
    connection: &mut PgConnection,
    sites: &[Site],
    ((migration_id, attempt), held): ((Uuid, i32), &[Reference]),
) -> Result<(), Failure> {
    run_sql(
        &mut *connection,
        "begin; set local search_path = pg_catalog",
    )
    .await
    .during("drop foreign keys")?;
    sqlx::query("select from drover.migration where migration_id = $1 for update")
        .bind(migration_id)
        .execute(&mut *connection)
        .await
        .during("drop foreign keys")?;
    let mut objects = foreign_keys(connection, migration_id).await?;
    objects.retain(|object| is_loosened(object, sites, held));
    drop_objects(connection, migration_id, attempt, &objects).await?;
    run_sql(connection, "commit")
        .await
        .during("drop foreign keys")
}

fn is_loosened(object: &Droppable, sites: &[Site], held: &[Reference]) -> bool {
    let is_of =
        |schema: &str, name: &str| object.table_schema == schema && object.table_name == name;
    sites
        .iter()
        .any(|site| is_of(&site.table.schema, &site.table.name))
        && !held.iter().any(|held| {
            held.name == object.object_name && is_of(&held.child.schema, &held.child.name)
        })
}
