//! The destination's tables as they will be: changes tried in order on empty copies, then rolled back.

use proto::domain::catalog::{Catalog, TableName};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::schema_change::{DeclaredChange, rehearsal};
use sqlx::postgres::PgConnection;

use super::{journal, probe};
use crate::connect::run_sql;
use crate::failure::{During, database_error, describe};
use crate::source::catalog::read_catalog;

/// Columns of the changed tables as the plan will find them. A change that is made already is left out;
/// one that cannot be made here is told when it is planned.
pub(super) async fn rehearse(
    connection: &mut PgConnection,
    name: &str,
    changes: Vec<DeclaredChange>,
) -> Result<Catalog, Failure> {
    let made = journal::made(connection, name).await?;
    let changes: Vec<DeclaredChange> = changes
        .into_iter()
        .filter(|change| !made.contains(&change.number))
        .collect();
    run_sql(connection, "begin")
        .await
        .during("rehearse changes")?;
    let catalog = on_copies(connection, &changes).await;
    run_sql(connection, "rollback")
        .await
        .during("rehearse changes")?;
    catalog
}

async fn on_copies(
    connection: &mut PgConnection,
    changes: &[DeclaredChange],
) -> Result<Catalog, Failure> {
    let mut tables: Vec<&TableName> = Vec::new();
    for change in changes {
        if !tables.contains(&&change.table)
            && probe::exists(connection, &change.table.quoted()).await?
        {
            tables.push(&change.table);
        }
    }
    let copy = |at: usize| format!("drover_rehearsal_{at}");
    for (at, table) in tables.iter().enumerate() {
        let sql = format!(
            "create temporary table {} (like {} including all) on commit drop",
            copy(at),
            table.quoted()
        );
        run_sql(connection, &sql)
            .await
            .during("copy a table's columns")?;
    }
    for change in changes {
        let Some(at) = tables.iter().position(|table| **table == change.table) else {
            continue;
        };
        try_on(connection, change, &format!("pg_temp.{}", copy(at))).await?;
    }
    let schema: String = sqlx::query_scalar(
        "select coalesce((select nspname::text from pg_namespace where oid = pg_my_temp_schema()), 'pg_temp')",
    )
    .fetch_one(&mut *connection)
    .await
    .during("rehearse changes")?;
    let copies: Vec<TableName> = (0..tables.len())
        .map(|at| TableName {
            schema: schema.clone(),
            name: copy(at),
        })
        .collect();
    let mut catalog = read_catalog(connection, &copies, &[]).await?;
    for table in &mut catalog.tables {
        let at = copies.iter().position(|copy| *copy == table.name);
        if let Some(known) = at.and_then(|at| tables.get(at)) {
            table.name = (*known).clone();
        }
    }
    Ok(catalog)
}

/// Makes a change on a copy. With a cast that is written down where none is automatic.
async fn try_on(
    connection: &mut PgConnection,
    change: &DeclaredChange,
    copy: &str,
) -> Result<(), Failure> {
    let mut refused = None;
    for is_automatic in [true, false] {
        run_sql(connection, "savepoint drover_rehearsal")
            .await
            .during("rehearse changes")?;
        refused = None;
        for sql in rehearsal(change, copy, is_automatic) {
            if let Err(error) = run_sql(connection, &sql).await {
                let Some(refusal) = database_error(&error) else {
                    return Err(error).during("rehearse changes");
                };
                refused = Some(describe(refusal));
                run_sql(connection, "rollback to savepoint drover_rehearsal")
                    .await
                    .during("rehearse changes")?;
                break;
            }
        }
        if refused.is_none() {
            return Ok(());
        }
    }
    let words = refused.unwrap_or_default();
    let label = change.label();
    Err(Failure::new(
        FailureKind::ChangeRefused,
        format!(
            "change {} of the plan ({label}): the server refuses it: {words}",
            change.number
        ),
    ))
}
