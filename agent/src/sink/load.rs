//! Begins the load: stores the partitions and drops what is rebuilt after it, in one transaction.

use std::collections::{HashMap, HashSet};
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
    let begun = fetch_sql(&mut *connection, &begin_sql(migration_id, partitions))
        .await
        .during(BEGIN)?;
    let known: Result<Vec<Known>, sqlx::Error> = begun.iter().map(Known::from_row).collect();
    let known = known.during(BEGIN)?;
    if known.iter().all(|entity| entity.attempt != attempt) {
        run_sql(connection, "rollback").await.during("roll back")?;
        return Err(Failure::new(
            FailureKind::Fenced,
            "the attempt that was to be begun was rolled back meanwhile",
        ));
    }
    if !known.iter().any(|entity| entity.has_begun) {
        let store = partitions_sql(attempt, partitions, &known);
        let mut objects = inventory(connection, &store, migration_id).await?;
        let begun = tables_of(partitions, &known);
        objects.retain(|it| begun.contains(&(it.table_schema.as_str(), it.table_name.as_str())));
        drop_objects(connection, migration_id, attempt, &objects).await?;
    }
    run_sql(connection, "commit").await.during(BEGIN)
}

const BEGIN: &str = "begin the load";

/// An entity, the migration's attempt, and whether the load has begun.
#[derive(Debug, FromRow)]
struct Known {
    entity: String,
    entity_no: i32,
    destination_schema: String,
    destination_table: String,
    attempt: i32,
    has_begun: bool,
}

/// Definitions come out with every name qualified, whatever the role has as search_path. Two controllers
/// cannot both begin: the row lock orders them.
fn begin_sql(migration_id: Uuid, partitions: &[NewPartition]) -> String {
    let ids: Vec<String> = partitions
        .iter()
        .map(|it| it.partition_id.to_string())
        .collect();
    format!(
        "begin; set local search_path = pg_catalog; \
         do $drover$ begin \
             perform from drover.migration where migration_id = '{migration_id}' for update; \
         end $drover$; \
         select e.entity, e.entity_no, e.destination_schema, e.destination_table, m.attempt, \
                exists (select from drover.partition where partition_id = any('{{{}}}'::uuid[])) as has_begun \
         from drover.migration m join drover.entity e using (migration_id) where m.migration_id = '{migration_id}'",
        ids.join(",")
    )
}

/// Tables that partitions are written to.
fn tables_of<'a>(partitions: &[NewPartition], known: &'a [Known]) -> HashSet<(&'a str, &'a str)> {
    let names: HashSet<&str> = partitions.iter().map(|it| it.entity.as_str()).collect();
    let written = known.iter().filter(|it| names.contains(it.entity.as_str()));
    written
        .map(|it| {
            (
                it.destination_schema.as_str(),
                it.destination_table.as_str(),
            )
        })
        .collect()
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
        "insert into drover.partition (partition_id, entity_no, attempt, round, number, after, upto, entity_hash) \
         select p.partition_id, entity_no, {attempt}, e.round, p.number, p.after, p.upto, p.entity_hash \
         from jsonb_to_recordset({}::jsonb) as p (partition_id uuid, entity_no integer, number integer, \
             after jsonb, upto jsonb, entity_hash text) join drover.entity e using (entity_no)",
        quote_literal(&json!(rows).to_string())
    )
}

/// Journals every definition and drops the objects, in this order and in one message.
pub(super) async fn drop_objects(
    connection: &mut PgConnection,
    migration_id: Uuid,
    attempt: i32,
    objects: &[Droppable],
) -> Result<(), Failure> {
    let drops: Vec<&str> = objects
        .iter()
        .map(|object| object.drop_sql.as_str())
        .collect();
    let sql = format!(
        "insert into drover.ddl (migration_id, entity_no, attempt, kind, table_schema, table_name, object_name, \
             drop_sql, create_sql, key_columns, breach_sql, fk_columns, fk_schema, fk_table, fk_parent_columns, \
             fk_on_delete) \
         select '{migration_id}', o.entity_no, {attempt}, o.kind, o.table_schema, o.table_name, o.object_name, \
                o.drop_sql, o.create_sql, o.key_columns, o.breach_sql, o.fk_columns, o.fk_schema, o.fk_table, \
                o.fk_parent_columns, o.fk_on_delete \
         from jsonb_array_elements({}::jsonb) with ordinality a (object, at) \
         cross join lateral jsonb_to_record(a.object) as o (entity_no integer, kind text, table_schema text, \
             table_name text, object_name text, drop_sql text, create_sql text[], key_columns text[], breach_sql text, \
             fk_columns text[], fk_schema text, fk_table text, fk_parent_columns text[], fk_on_delete text) \
         order by a.at; \
         {}",
        quote_literal(&json!(objects).to_string()),
        drops.join("; ")
    );
    run_sql(connection, &sql)
        .await
        .during("drop keys and indexes")
}
