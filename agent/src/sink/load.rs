//! Begins the load: stores the partitions and drops what is rebuilt after it, in one transaction.

use std::collections::HashMap;
use std::time::Duration;

use proto::domain::catalog::quote_literal;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::NewPartition;
use proto::runtime::backoff::Backoff;
use serde_json::json;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::ddl::{Droppable, inventory};
use crate::connect::{Purpose, fetch_sql, open, run_sql};
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
    let begun = fetch_sql(&mut *connection, &begin_sql(migration_id, attempt))
        .await
        .during(BEGIN)?;
    let known: Result<Vec<Known>, sqlx::Error> = begun.iter().map(Known::from_row).collect();
    let known = known.during(BEGIN)?;
    let last = if known.iter().any(|entity| entity.has_begun) {
        "commit".to_owned()
    } else {
        let store = partitions_sql(attempt, partitions, &known);
        let objects = inventory(connection, &store, migration_id).await?;
        drops_sql(migration_id, attempt, &objects)
    };
    run_sql(connection, &last).await.during(BEGIN)
}

const BEGIN: &str = "begin the load";

/// An entity, and whether the load has begun.
#[derive(Debug, FromRow)]
struct Known {
    entity: String,
    entity_no: i32,
    has_begun: bool,
}

/// Definitions come out with every name qualified, whatever the role has as search_path. Two controllers
/// cannot both begin: the row lock orders them.
fn begin_sql(migration_id: Uuid, attempt: i32) -> String {
    format!(
        "begin; set local search_path = pg_catalog; \
         do $drover$ begin \
             perform from drover.migration where migration_id = '{migration_id}' for update; \
         end $drover$; \
         select entity, entity_no, exists (select from drover.partition p join drover.entity b using (entity_no) \
             where b.migration_id = '{migration_id}' and p.attempt = {attempt}) as has_begun \
         from drover.entity where migration_id = '{migration_id}'"
    )
}

fn partitions_sql(attempt: i32, partitions: &[NewPartition], known: &[Known]) -> String {
    let numbers: HashMap<&str, i32> = known
        .iter()
        .map(|it| (it.entity.as_str(), it.entity_no))
        .collect();
    let rows: Vec<serde_json::Value> = partitions
        .iter()
        .map(|partition| {
            json!({
                "partition_id": partition.partition_id,
                "entity_no": numbers.get(partition.entity.as_str()),
                "number": partition.number,
                "after": partition.range.after,
                "upto": partition.range.upto,
                "entity_hash": partition.entity_hash,
            })
        })
        .collect();
    format!(
        "insert into drover.partition (partition_id, entity_no, attempt, number, after, upto, entity_hash) \
         select partition_id, entity_no, {attempt}, number, after, upto, entity_hash \
         from jsonb_to_recordset({}::jsonb) as p (partition_id uuid, entity_no integer, number integer, \
             after jsonb, upto jsonb, entity_hash text)",
        quote_literal(&json!(rows).to_string())
    )
}

/// Journals every definition, drops the objects, in this order, and commits.
fn drops_sql(migration_id: Uuid, attempt: i32, objects: &[Droppable]) -> String {
    let drops: Vec<&str> = objects
        .iter()
        .map(|object| object.drop_sql.as_str())
        .chain(["commit"])
        .collect();
    format!(
        "insert into drover.ddl (migration_id, entity_no, attempt, kind, table_schema, table_name, object_name, \
             drop_sql, create_sql, key_columns, breach_sql) \
         select '{migration_id}', o.entity_no, {attempt}, o.kind, o.table_schema, o.table_name, o.object_name, \
                o.drop_sql, o.create_sql, o.key_columns, o.breach_sql \
         from jsonb_array_elements({}::jsonb) with ordinality a (object, at) \
         cross join lateral jsonb_to_record(a.object) as o (entity_no integer, kind text, table_schema text, \
             table_name text, object_name text, drop_sql text, create_sql text[], key_columns text[], breach_sql text) \
         order by a.at; \
         {}",
        quote_literal(&json!(objects).to_string()),
        drops.join("; ")
    )
}
