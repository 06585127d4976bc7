//! The destination's catalog as it was declared: keys that are dropped for a load still count.

use proto::domain::catalog::{Catalog, TableName};
use proto::domain::failure::Failure;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use super::state::UNDEFINED_TABLE;
use crate::connect::fetch_sql;
use crate::failure::{During, sqlstate};

#[derive(Debug, FromRow)]
struct DroppedKey {
    kind: String,
    table_schema: String,
    table_name: String,
    key_columns: Vec<String>,
}

/// Adds the keys that a load has dropped and not put back yet.
pub async fn add_dropped_keys(
    connection: &mut PgConnection,
    catalog: &mut Catalog,
) -> Result<(), Failure> {
    let sql = "select kind, table_schema, table_name, key_columns from drover.ddl \
               where state = 'dropped' and key_columns is not null order by ddl_id";
    let rows = match fetch_sql(connection, sql).await {
        Err(error) if sqlstate(&error) == Some(UNDEFINED_TABLE) => return Ok(()),
        other => other.during("read the dropped keys")?,
    };
    let keys: Result<Vec<DroppedKey>, sqlx::Error> =
        rows.iter().map(DroppedKey::from_row).collect();
    for key in keys.during("read the dropped keys")? {
        let name = TableName {
            schema: key.table_schema,
            name: key.table_name,
        };
        let Some(table) = catalog.tables.iter_mut().find(|table| table.name == name) else {
            continue;
        };
        if key.kind == "primary_key" {
            table.primary_key.clone_from(&key.key_columns);
        }
        table.unique_keys.push(key.key_columns);
    }
    Ok(())
}
