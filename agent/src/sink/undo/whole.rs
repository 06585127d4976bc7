//! A table that was empty at the start and holds nothing but rows of one entity's is emptied as a whole: no row
//! is looked for, and nothing dead is left behind.

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::undo::UndoProgress;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use super::rows::{Way, begin, mark_all};
use super::site::Site;
use crate::connect::run_sql;
use crate::failure::During;

const EMPTYING: &str = "empty a table";

#[derive(Debug, FromRow)]
struct Rows {
    ours: i64,
    others: i64,
}

/// Empties the entity's table where nothing speaks against it; none where it has to go row by row.
///
/// # Errors
/// `Fenced`; whatever the destination refuses but for a lock that others hold.
pub async fn empty(
    connection: &mut PgConnection,
    way: &Way<'_>,
) -> Result<Option<UndoProgress>, Failure> {
    if way.has_conflicts || !may_be_emptied(connection, way.site).await? {
        return Ok(None);
    }
    begin(connection, way).await?;
    let emptied = try_empty(connection, way).await;
    match emptied {
        Ok(Some(progress)) => {
            run_sql(connection, "commit").await.during(EMPTYING)?;
            Ok(Some(progress))
        }
        Ok(None) => {
            run_sql(connection, "rollback").await.during(EMPTYING)?;
            Ok(None)
        }
        // Somebody reads it: rows can be deleted all the same.
        Err(failure)
            if failure.kind == FailureKind::Busy || failure.kind == FailureKind::Denied =>
        {
            run_sql(connection, "rollback").await.during(EMPTYING)?;
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// It was empty, one entity alone writes it and changes nothing in it, no foreign key points at it, and no trigger
/// waits for deletions.
async fn may_be_emptied(connection: &mut PgConnection, site: &Site) -> Result<bool, Failure> {
    sqlx::query_scalar(
        "select not e.had_rows \
            and not exists (select from drover.entity o where o.migration_id = e.migration_id \
                and o.entity_no <> e.entity_no and o.destination_schema = e.destination_schema \
                and o.destination_table = e.destination_table) \
            and not exists (select from pg_constraint f where f.contype = 'f' and f.confrelid = to_regclass($3)) \
            and not exists (select from pg_trigger g where g.tgrelid = to_regclass($3) and not g.tgisinternal \
                and (g.tgtype & 8 = 8 or g.tgtype & 32 = 32)) \
            and exists (select from pg_class c where c.oid = to_regclass($3) and c.relkind = 'r' \
                and not exists (select from pg_inherits i where c.oid in (i.inhparent, i.inhrelid))) \
         from drover.entity e where e.entity_no = $1 and e.attempt = $2",
    )
    .bind(site.entity_no)
    .bind(site.attempt)
    .bind(site.table.quoted())
    .fetch_optional(connection)
    .await
    .map(|found| found.unwrap_or(false))
    .during(EMPTYING)
}

async fn try_empty(
    connection: &mut PgConnection,
    way: &Way<'_>,
) -> Result<Option<UndoProgress>, Failure> {
    let table = way.site.table.quoted();
    // Behind the lock nobody adds or changes a row any more.
    let lock = format!("lock table {table} in access exclusive mode");
    run_sql(&mut *connection, &lock).await.during(EMPTYING)?;
    let sql = format!(
        "select count(*) filter (where t.xmin in {ours}) as ours, \
                count(*) filter (where t.xmin not in {ours}) as others from {table} t",
        ours = way.site.ours()
    );
    let rows: Rows = sqlx::query_as(&sql)
        .fetch_one(&mut *connection)
        .await
        .during(EMPTYING)?;
    if rows.others > 0 {
        return Ok(None);
    }
    let batches = mark_all(connection, way.site).await?;
    let truncate = format!("truncate only {table}");
    run_sql(connection, &truncate).await.during(EMPTYING)?;
    Ok(Some(UndoProgress {
        batches,
        deleted: rows.ours,
        is_done: true,
        ..UndoProgress::default()
    }))
}
