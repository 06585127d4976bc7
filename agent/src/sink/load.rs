//! Begins the load: stores the partitions and drops what is rebuilt after it, in one transaction.

use std::collections::HashSet;
use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::NewPartition;
use proto::runtime::backoff::Backoff;
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::ddl::{Droppable, inventory};
use super::install::entity_numbers;
use crate::connect::{Purpose, open, run_sql};
use crate::failure::During;
use crate::pool::Server;

/// Tries to get the locks, each waiting for at most the session's lock time-out.
const LOCK_ATTEMPTS: u32 = 6;

/// Stores every partition of an attempt and drops keys and indexes; does nothing when that has
/// happened. Each definition is journalled in the transaction that drops it.
pub async fn begin_load(
    destination: &Server,
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
                destination.give_back(Purpose::Build, connection).await;
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
    let found: Option<i32> = sqlx::query_scalar(
        "select attempt from drover.migration where migration_id = $1 for update",
    )
    .bind(migration_id)
    .fetch_optional(&mut *connection)
    .await
    .during("begin the load")?;
    if found != Some(attempt) {
        run_sql(connection, "rollback").await.during("roll back")?;
        return Err(Failure::new(
            FailureKind::Fenced,
            "the attempt that was to be begun was rolled back meanwhile",
        ));
    }
    let ids: Vec<Uuid> = partitions.iter().map(|it| it.partition_id).collect();
    let has_begun: bool = sqlx::query_scalar(
        "select exists (select from drover.partition where partition_id = any($1))",
    )
    .bind(&ids)
    .fetch_one(&mut *connection)
    .await
    .during("begin the load")?;
    if !has_begun {
        insert_partitions(connection, migration_id, attempt, partitions).await?;
        let mut objects = inventory(connection, migration_id).await?;
        let begun = tables_of(connection, &ids).await?;
        objects.retain(|object| {
            begun.contains(&(object.table_schema.clone(), object.table_name.clone()))
        });
        drop_objects(connection, migration_id, attempt, &objects).await?;
    }
    run_sql(connection, "commit")
        .await
        .map(drop)
        .during("begin the load")
}

/// Tables that partitions are written to.
async fn tables_of(
    connection: &mut PgConnection,
    partitions: &[Uuid],
) -> Result<HashSet<(String, String)>, Failure> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "select distinct e.destination_schema, e.destination_table \
         from drover.partition p join drover.entity e using (entity_no) where p.partition_id = any($1)",
    )
    .bind(partitions)
    .fetch_all(connection)
    .await
    .during("list the tables of the load")?;
    Ok(found.into_iter().collect())
}

async fn insert_partitions(
    connection: &mut PgConnection,
    migration_id: Uuid,
    attempt: i32,
    partitions: &[NewPartition],
) -> Result<(), Failure> {
    let numbers = entity_numbers(connection, migration_id).await?;
    let rows: Vec<serde_json::Value> = partitions
        .iter()
        .map(|partition| {
            json!({
                "partition_id": partition.partition_id,
                "entity_no": numbers.get(&partition.entity),
                "number": partition.number,
                "after": partition.range.after,
                "upto": partition.range.upto,
                "entity_hash": partition.entity_hash,
            })
        })
        .collect();
    sqlx::query(
        "insert into drover.partition (partition_id, entity_no, attempt, round, number, after, upto, entity_hash) \
         select p.partition_id, entity_no, $2, e.round, p.number, p.after, p.upto, p.entity_hash \
         from jsonb_to_recordset($1) as p (partition_id uuid, entity_no integer, number integer, \
             after jsonb, upto jsonb, entity_hash text) join drover.entity e using (entity_no)",
    )
    .bind(Json(rows))
    .bind(attempt)
    .execute(connection)
    .await
    .map(drop)
    .during("store the partitions")
}

/// Journals every definition and drops the objects, in this order.
pub(super) async fn drop_objects(
    connection: &mut PgConnection,
    migration_id: Uuid,
    attempt: i32,
    objects: &[Droppable],
) -> Result<(), Failure> {
    sqlx::query(
        "insert into drover.ddl (migration_id, entity_no, attempt, kind, table_schema, table_name, object_name, \
             drop_sql, create_sql, key_columns, breach_sql, fk_columns, fk_schema, fk_table, fk_parent_columns, \
             fk_on_delete) \
         select $2, o.entity_no, $3, o.kind, o.table_schema, o.table_name, o.object_name, o.drop_sql, o.create_sql, \
                o.key_columns, o.breach_sql, o.fk_columns, o.fk_schema, o.fk_table, o.fk_parent_columns, o.fk_on_delete \
         from jsonb_array_elements($1) with ordinality a (object, at) \
         cross join lateral jsonb_to_record(a.object) as o (entity_no integer, kind text, table_schema text, \
             table_name text, object_name text, drop_sql text, create_sql text[], key_columns text[], breach_sql text, fk_columns text[], \
             fk_schema text, fk_table text, fk_parent_columns text[], fk_on_delete text) \
         order by a.at",
    )
    .bind(Json(objects))
    .bind(migration_id)
    .bind(attempt)
    .execute(&mut *connection)
    .await
    .during("journal the definitions")?;
    let drops: Vec<&str> = objects
        .iter()
        .map(|object| object.drop_sql.as_str())
        .collect();
    run_sql(connection, &drops.join("; "))
        .await
        .during("drop keys and indexes")
}
