//! Removes everything of Drover's from a destination, once no migration needs it.

use proto::domain::failure::Failure;
use sqlx::postgres::PgConnection;

use crate::connect::run_sql;
use crate::failure::During;

const REMOVING: &str = "remove the drover schema";

/// Drops schema `drover`, unless somebody still works by it: a backend, or a definition that is to be put back.
/// Which migrations may be undone still is known to the metadata alone. Names what needs it.
///
/// # Errors
/// Whatever the destination refuses.
pub async fn uninstall(connection: &mut PgConnection) -> Result<Vec<String>, Failure> {
    let is_installed: bool =
        sqlx::query_scalar("select to_regclass('drover.migration') is not null")
            .fetch_one(&mut *connection)
            .await
            .during(REMOVING)?;
    if !is_installed {
        return Ok(Vec::new());
    }
    run_sql(
        &mut *connection,
        "begin; select pg_advisory_xact_lock(hashtext('drover install'))",
    )
    .await
    .during(REMOVING)?;
    let needed: Vec<String> = sqlx::query_scalar(
        "select m.name from drover.migration m \
         where exists (select from drover.ddl d where d.migration_id = m.migration_id and d.state = 'dropped') \
            or exists (select from pg_stat_activity a join drover.partition p \
                           on starts_with(a.application_name, format('drover %s ', p.partition_id)) \
                       join drover.entity e using (entity_no) where e.migration_id = m.migration_id) \
         order by m.name",
    )
    .fetch_all(&mut *connection)
    .await
    .during(REMOVING)?;
    let end = match needed.is_empty() {
        true => "drop schema drover cascade; commit",
        false => "rollback",
    };
    run_sql(connection, end).await.during(REMOVING)?;
    Ok(needed)
}
