//! Tries a change on an empty copy of its table: the server tells its type, whether it rewrites, and whether
//! it is possible at all. The caller's transaction is rolled back.

use proto::domain::catalog::quote_literal;
use proto::domain::failure::Failure;
use proto::domain::schema_change::{
    Change, DeclaredChange, Fit, FitQuestions, TableFacts, TypeFacts, fit_questions, rehearsal,
};
use sqlx::postgres::PgConnection;

use super::facts::count;
use crate::connect::run_sql;
use crate::failure::{During, database_error, describe, sqlstate};

/// The copy.
const COPY: &str = "pg_temp.drover_probe";
/// SQLSTATE where a cast must be written down.
const NO_AUTOMATIC_CAST: &str = "42804";

/// Files of the copy and its indexes: others after a change that writes rows anew.
const FILES: &str = "select coalesce(string_agg(pg_relation_filenode(c.oid)::text, ' ' order by c.oid), '') from pg_class c \
     where c.oid = 'pg_temp.drover_probe'::regclass \
        or c.oid in (select indexrelid from pg_index where indrelid = 'pg_temp.drover_probe'::regclass)";

/// Notes in `facts` what the server says of the change.
pub(super) async fn try_change(
    connection: &mut PgConnection,
    change: &DeclaredChange,
    facts: &mut TableFacts,
) -> Result<(), Failure> {
    let statements = rehearsal(change, COPY, true);
    let names_column = match &change.change {
        Change::AddColumn(column) => facts.column(&column.name).is_none(),
        Change::SetType { column, .. } | Change::SetDefault { column, .. } => {
            facts.column(column).is_some()
        }
        _ => false,
    };
    if statements.is_empty() || !names_column {
        return Ok(());
    }
    let make = format!(
        "create temporary table drover_probe (like {} including all) on commit drop",
        change.table.quoted()
    );
    run_sql(connection, &make)
        .await
        .during("copy a table's columns")?;
    let mut is_automatic = true;
    if let Change::SetType { column, .. } = &change.change
        && facts
            .column(column)
            .is_some_and(|column| column.default.is_some())
    {
        let drop = format!(
            "alter table {COPY} alter column {} drop default",
            proto::domain::catalog::quote_ident(column)
        );
        run_sql(connection, &drop).await.during("try a change")?;
    }
    let before = files(connection).await?;
    run_sql(connection, "savepoint drover_probe")
        .await
        .during("try a change")?;
    let mut tried = run_all(connection, &statements).await;
    if let Err(error) = &tried
        && sqlstate(error) == Some(NO_AUTOMATIC_CAST)
        && matches!(change.change, Change::SetType { .. })
    {
        is_automatic = false;
        run_sql(connection, "rollback to savepoint drover_probe")
            .await
            .during("try a change")?;
        tried = run_all(connection, &rehearsal(change, COPY, false)).await;
    }
    if let Err(error) = tried {
        return match database_error(&error) {
            Some(refusal) => {
                facts.refusal = Some(format!("the server refuses it: {}", describe(refusal)));
                Ok(())
            }
            None => Err(error).during("try a change"),
        };
    }
    let rewrites = files(connection).await? != before;
    let column = match &change.change {
        Change::AddColumn(column) => &column.name,
        Change::SetType { column, .. } => column,
        _ => return Ok(()),
    };
    let ty: String = sqlx::query_scalar(
        "select format_type(atttypid, atttypmod) from pg_attribute \
         where attrelid = 'pg_temp.drover_probe'::regclass and attname = $1",
    )
    .bind(column)
    .fetch_one(&mut *connection)
    .await
    .during("read a type")?;
    let old = facts.column(column).map(|known| known.ty.clone());
    let fit = match old {
        // What is not written anew is the same to the bit.
        Some(old) if rewrites || !is_automatic => {
            fit(connection, &fit_questions(change, column, &old, &ty)).await?
        }
        Some(_) | None => Fit::default(),
    };
    facts.ty = Some(TypeFacts {
        ty,
        rewrites,
        is_automatic,
        fit,
    });
    Ok(())
}

async fn run_all(connection: &mut PgConnection, statements: &[String]) -> Result<(), sqlx::Error> {
    for sql in statements {
        run_sql(connection, sql).await?;
    }
    Ok(())
}

async fn files(connection: &mut PgConnection) -> Result<String, Failure> {
    sqlx::query_scalar(FILES)
        .fetch_one(connection)
        .await
        .during("look at a table's files")
}

/// Counts values that do not fit: all at once first, one by one where some cannot be converted.
async fn fit(connection: &mut PgConnection, ask: &FitQuestions) -> Result<Fit, Failure> {
    run_sql(connection, "savepoint drover_fit")
        .await
        .during("try values")?;
    match count(connection, &ask.lossy).await {
        Ok(lossy) => Ok(Fit {
            impossible: 0,
            lossy,
        }),
        Err(error) if database_error(&error).is_some() => {
            run_sql(connection, "rollback to savepoint drover_fit")
                .await
                .during("try values")?;
            run_sql(connection, &ask.setup).await.during("try values")?;
            let impossible = count(connection, &ask.impossible)
                .await
                .during("try values")?;
            let lossy = count(connection, &ask.lossy_of_others)
                .await
                .during("try values")?;
            Ok(Fit { impossible, lossy })
        }
        Err(error) => Err(error).during("try values"),
    }
}

/// Whether a relation of this quoted name is there.
pub(super) async fn exists(connection: &mut PgConnection, name: &str) -> Result<bool, Failure> {
    let sql = format!("select to_regclass({}) is not null", quote_literal(name));
    sqlx::query_scalar(&sql)
        .fetch_one(connection)
        .await
        .during("look for a relation")
}
