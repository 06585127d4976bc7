//! Begins the load: stores the partitions and drops what is rebuilt after it, in one transaction.

use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::NewPartition;
use proto::runtime::backoff::Backoff;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::types::Json;
use uuid::Uuid;

use super::ddl::{Droppable, inventory};
use super::install::entity_numbers;
use crate::connect::{Purpose, close, open, run_sql};
use crate::failure::During;

/// Tries to get the locks, each waiting for at most the session's lock time-out.
const LOCK_ATTEMPTS: u32 = 6;

/// Stores every partition of an attempt and drops keys and indexes; does nothing when that has
/// happened. Each definition is journalled in the transaction that drops it.
pub async fn begin_load(
    destination: &PgConnectOptions,
    migration_id: Uuid,
    attempt: i32,
    partitions: &[NewPartition],
) -> Result<(), Failure> {
    let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let mut connection = open(destination, Purpose::Build).await?;
    let mut tries = 0;
    loop {
        match try_begin(&mut connection, migration_id, attempt, partitions).await {
            Err(failure) if failure.kind == FailureKind::Busy && tries < LOCK_ATTEMPTS => {
                tries += 1;
                run_sql(&mut connection, "rollback")
                    .await
                    .during("roll back")?;
                tokio::time::sleep(backoff.delay(tries, rand::random())).await;
            }
            Ok(()) => {
                close(connection).await;
                return Ok(());
            }
            other => return other,
        }
    }
}

async fn try_begin(
    connection: &mut PgConnection,
    migration_id: Uuid,
    attempt: i32,
    partitions: &[NewPartition],
) -> Result<(), Failure> {
    // Definitions come out with every name qualified, whatever the role has as search_path.
    run_sql(
        &mut *connection,
        "begin; set local search_path = pg_catalog",
    )
    .await
    .during("begin the load")?;
    // Two controllers cannot both begin: the row lock orders them.
    sqlx::query("select from drover.migration where migration_id = $1 for update")
        .bind(migration_id)
        .execute(&mut *connection)
        .await
        .during("begin the load")?;
    let has_begun: bool = sqlx::query_scalar(
        "select exists (select from drover.partition p join drover.entity e using (entity_no) \
                        where e.migration_id = $1 and p.attempt = $2)",
    )
    .bind(migration_id)
    .bind(attempt)
    .fetch_one(&mut *connection)
    .await
    .during("begin the load")?;
    if !has_begun {
        insert_partitions(connection, migration_id, attempt, partitions).await?;
        for object in inventory(connection, migration_id).await? {
            drop_object(connection, migration_id, attempt, &object).await?;
        }
    }
    run_sql(connection, "commit")
        .await
        .map(drop)
        .during("begin the load")
}

async fn insert_partitions(
    connection: &mut PgConnection,
    migration_id: Uuid,
    attempt: i32,
    partitions: &[NewPartition],
) -> Result<(), Failure> {
    let numbers = entity_numbers(connection, migration_id).await?;
    for partition in partitions {
        sqlx::query(
            "insert into drover.partition (partition_id, entity_no, attempt, number, after, upto, entity_hash) \
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(partition.partition_id)
        .bind(numbers.get(&partition.entity))
        .bind(attempt)
        .bind(partition.number)
        .bind(partition.range.after.as_ref().map(Json))
        .bind(partition.range.upto.as_ref().map(Json))
        .bind(&partition.entity_hash)
        .execute(&mut *connection)
        .await
        .during("store the partitions")?;
    }
    Ok(())
}

async fn drop_object(
    connection: &mut PgConnection,
    migration_id: Uuid,
    attempt: i32,
    object: &Droppable,
) -> Result<(), Failure> {
    sqlx::query(
        "insert into drover.ddl (migration_id, entity_no, attempt, kind, table_schema, table_name, object_name, \
             drop_sql, create_sql, key_columns) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(migration_id)
    .bind(object.entity_no)
    .bind(attempt)
    .bind(&object.kind)
    .bind(&object.table_schema)
    .bind(&object.table_name)
    .bind(&object.object_name)
    .bind(&object.drop_sql)
    .bind(&object.create_sql)
    .bind(&object.key_columns)
    .execute(&mut *connection)
    .await
    .during("journal a definition")?;
    run_sql(connection, &object.drop_sql)
        .await
        .map(drop)
        .during(&format!(
            "drop {} of {}",
            object.object_name, object.table_name
        ))
}
