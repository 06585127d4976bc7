//! The facts of a change: its table's catalog, and what the rows say.

use proto::domain::failure::Failure;
use proto::domain::schema_change::{Change, DeclaredChange, TableFacts, offenders};
use sqlx::postgres::PgConnection;
use sqlx::types::Json;

use super::catalog::table_sql;
use super::probe;
use crate::connect::run_sql;
use crate::failure::{During, database_error, describe};

/// Tables up to this many rows, by the server's estimate, are counted.
const COUNTED: f64 = 200_000.0;

/// Reads everything that a change must know; none where its table is not there.
pub(super) async fn read_facts(
    connection: &mut PgConnection,
    change: &DeclaredChange,
) -> Result<Option<TableFacts>, Failure> {
    let Some(mut facts) = read_table(connection, change).await? else {
        return Ok(None);
    };
    facts.rows = rows(connection, change).await?;
    if let Change::DropColumn { column } = &change.change
        && facts.column(column).is_some()
    {
        let sql = format!(
            "select count(*) from {} where {} is not null",
            change.table.quoted(),
            proto::domain::catalog::quote_ident(column)
        );
        facts.values = Some(count(connection, &sql).await.during("count values")?);
    }
    if let Some(sql) = offenders(change) {
        match count(connection, &sql).await {
            Ok(found) => facts.offenders = Some(found),
            // Words about the statement; a value in them is left out.
            Err(error) => match database_error(&error) {
                Some(refusal) => facts.refusal = Some(describe(refusal)),
                None => return Err(error).during("count rows in the way"),
            },
        }
    }
    if facts.is_plain && facts.refusal.is_none() {
        run_sql(connection, "begin").await.during("try a change")?;
        let tried = probe::try_change(connection, change, &mut facts).await;
        run_sql(connection, "rollback")
            .await
            .during("try a change")?;
        tried?;
    }
    Ok(Some(facts))
}

async fn read_table(
    connection: &mut PgConnection,
    change: &DeclaredChange,
) -> Result<Option<TableFacts>, Failure> {
    let is_installed: bool = sqlx::query_scalar("select to_regclass('drover.ledger') is not null")
        .fetch_one(&mut *connection)
        .await
        .during("look for the drover schema")?;
    // Without a path the server names every schema in what it writes.
    run_sql(connection, "set search_path = ''")
        .await
        .during("read what hangs on a table")?;
    let facts: Option<Json<TableFacts>> = sqlx::query_scalar(&table_sql(is_installed))
        .bind(&change.table.schema)
        .bind(&change.table.name)
        .fetch_optional(&mut *connection)
        .await
        .during("read what hangs on a table")?;
    run_sql(connection, "reset search_path")
        .await
        .during("read what hangs on a table")?;
    Ok(facts.map(|Json(facts)| facts))
}

async fn rows(connection: &mut PgConnection, change: &DeclaredChange) -> Result<i64, Failure> {
    let relation = change.table.quoted();
    let estimate: f32 =
        sqlx::query_scalar("select reltuples from pg_class where oid = $1::regclass")
            .bind(&relation)
            .fetch_one(&mut *connection)
            .await
            .during("estimate rows")?;
    if f64::from(estimate) > COUNTED {
        let rows: i64 = sqlx::query_scalar("select $1::real::bigint")
            .bind(estimate)
            .fetch_one(connection)
            .await
            .during("estimate rows")?;
        return Ok(rows);
    }
    count(connection, &format!("select count(*) from {relation}"))
        .await
        .during("count rows")
}

/// One number.
pub(super) async fn count(connection: &mut PgConnection, sql: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_one(connection).await
}
