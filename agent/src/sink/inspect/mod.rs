//! Looks at the destination for a validation: reads in read-only transactions, and stages what it compares in
//! temporary tables, which end with their transaction.

pub mod counts;
pub mod prepare;
pub mod references;
pub mod rules;
pub mod scan;
pub mod stage;
pub mod strangers;
pub mod survey;
pub mod trace;

use proto::domain::catalog::quote_ident;
use proto::domain::compiled::{CompiledEntity, IdRule};
use proto::domain::failure::Failure;
use sqlx::postgres::PgConnection;

use crate::connect::{Purpose, open, run_sql};
use crate::failure::During;
use crate::patience::{InTime, READ, READ_STATEMENT};
use crate::pool::Server;
use crate::run::EntityContext;
use crate::transform::map_entry::KeyShape;

/// Rows that are told of one look; all are counted.
pub const TOLD: i64 = 500;

/// A connection within a read-only transaction of its own.
pub async fn open_reading(destination: &Server) -> Result<PgConnection, Failure> {
    let mut connection = open(destination, Purpose::Write).await?;
    begin(&mut connection).await?;
    Ok(connection)
}

/// Begins a transaction that reads, one moment for all its statements.
async fn begin(connection: &mut PgConnection) -> Result<(), Failure> {
    let begin = format!(
        "begin isolation level repeatable read read only; set local statement_timeout = {}; \
         set local idle_in_transaction_session_timeout = {0}; set local work_mem = '64MB'",
        READ_STATEMENT.as_millis()
    );
    run_sql(connection, &begin)
        .in_time(READ)
        .await
        .during("begin to look at the destination")
}

/// Ends the transaction, and gives the connection back.
pub async fn end_reading(
    destination: &Server,
    mut connection: PgConnection,
) -> Result<(), Failure> {
    end(&mut connection).await?;
    destination.give_back(Purpose::Write, connection).await;
    Ok(())
}

async fn end(connection: &mut PgConnection) -> Result<(), Failure> {
    run_sql(connection, "commit")
        .in_time(READ)
        .await
        .during("end a look at the destination")
}

/// The condition that the mapping `m` is that of the row with the key columns of `row`; none where the id map
/// does not tell.
pub fn mapped(entity: &CompiledEntity, row: &str) -> Option<String> {
    let column = |name: &String| format!("{row}.{}", quote_ident(name));
    match &entity.id {
        IdRule::Uuid5 { column: name, .. } => Some(format!("m.id = {}", column(name))),
        IdRule::Keep { column: name } => Some(match KeyShape::of(entity) {
            KeyShape::Int8 => format!("m.k = {}::bigint", column(name)),
            KeyShape::Text => format!("m.k = {}::text", column(name)),
        }),
        IdRule::None { columns } => {
            let is_id = |name: &String| {
                let written = entity.columns.iter().find(|written| written.name == *name);
                written.is_some_and(|written| {
                    use proto::domain::compiled::ValueRule::{FirstId, Id};
                    matches!(written.value, Id(_) | FirstId(_))
                })
            };
            let test = |name: &String| {
                let member = proto::domain::catalog::quote_literal(name);
                format!(
                    "(m.meta -> 'destination_key' ->> {member})::uuid = {}",
                    column(name)
                )
            };
            let tests: Vec<String> = columns.iter().map(test).collect();
            columns.iter().all(is_id).then(|| tests.join(" and "))
        }
    }
}

/// A row's key as one text: the text itself, or a JSON array.
pub fn key_text(entity: &CompiledEntity, row: &str) -> String {
    let texts: Vec<String> = entity
        .id
        .columns()
        .iter()
        .map(|name| format!("{row}.{}::text", quote_ident(name)))
        .collect();
    match texts.as_slice() {
        [one] => one.clone(),
        several => format!("json_build_array({})::text", several.join(", ")),
    }
}

/// The condition that two rows have the same key.
pub fn same_key(entity: &CompiledEntity, one: &str, other: &str) -> String {
    let tests: Vec<String> = entity
        .id
        .columns()
        .iter()
        .map(|name| {
            let name = quote_ident(name);
            format!("{one}.{name} = {other}.{name}")
        })
        .collect();
    tests.join(" and ")
}

/// Transactions that wrote rows of an entity, as text.
pub fn our_transactions(entity: &EntityContext) -> String {
    format!(
        "select (l.xid::xid)::text from drover.ledger l join drover.partition p using (partition_id) \
         where p.entity_no = {}",
        entity.entity_no
    )
}
