//! Values that travel as text: a temporary table takes them, and the destination makes its own types
//! of them.

use proto::domain::catalog::quote_ident;
use proto::domain::compiled::{CompiledEntity, ConflictRule, WriteColumn};
use sqlx::Executor;
use sqlx::postgres::PgConnection;

use crate::connect::run_sql;
use crate::patience::{InTime, WRITE};

/// Whether a value of these columns travels as text.
pub fn is_needed(columns: &[WriteColumn]) -> bool {
    columns.iter().any(|column| column.cast.is_some())
}

/// What makes the columns of a stage out of the target's.
pub fn columns(columns: &[WriteColumn]) -> String {
    list(columns, |name, column| match column.cast {
        Some(_) => format!("null::text as {name}"),
        None => name,
    })
}

/// The staged values as the target takes them, under the names of its columns.
pub fn values(columns: &[WriteColumn]) -> String {
    list(columns, |name, column| match &column.cast {
        Some(ty) => format!("{name}::{ty} as {name}"),
        None => name,
    })
}

fn list(columns: &[WriteColumn], one: impl Fn(String, &WriteColumn) -> String) -> String {
    let all: Vec<String> = columns
        .iter()
        .map(|column| one(quote_ident(&column.name), column))
        .collect();
    all.join(", ")
}

/// The stage of an entity whose rows are not looked for: there and on in two steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name.
    pub rows: String,
    /// Makes it, empty, for the transaction.
    pub make: String,
    /// Brings its rows into the target.
    insert: String,
    /// How the server calls it in the context of an error.
    pub relation: String,
}

impl Stage {
    /// That of an entity; none where every value has the target's binary form.
    pub fn of(entity: &CompiledEntity, entity_no: i32) -> Option<Self> {
        let written = &entity.columns;
        if entity.on_conflict != ConflictRule::Error || !is_needed(written) {
            return None;
        }
        let target = entity.destination.quoted();
        let relation = format!("drover_rows_{entity_no}");
        let rows = format!("pg_temp.{relation}");
        Some(Self {
            make: format!(
                "create temp table if not exists {relation} on commit delete rows as \
                     select {} from {target} with no data",
                columns(written)
            ),
            insert: format!(
                "insert into {target} ({}) overriding system value select {} from {rows}",
                list(written, |name, _| name),
                values(written)
            ),
            rows,
            relation,
        })
    }

    /// Brings its rows into the target; how many the target took, which is less where a trigger drops some.
    ///
    /// # Errors
    /// The driver's.
    pub async fn put(&self, connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
        let insert = connection.execute(sqlx::raw_sql(&self.insert));
        insert.in_time(WRITE).await.map(|done| done.rows_affected())
    }

    /// Likewise for rows that are given up later: the stage is empty again.
    ///
    /// # Errors
    /// The driver's.
    pub async fn probe(&self, connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
        let put = self.put(connection).await?;
        let empty = format!("delete from {}", self.rows);
        run_sql(connection, &empty).in_time(WRITE).await?;
        Ok(put)
    }
}
