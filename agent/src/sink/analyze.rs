//! Gives a loaded table statistics before anybody asks for its rows.

use proto::domain::failure::Failure;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use crate::connect::{fetch_sql, run_sql};
use crate::failure::During;

/// `default_statistics_target` of a quick look: a sample of 3,000 rows.
const QUICK: u32 = 10;

#[derive(Debug, FromRow)]
struct Target {
    table: String,
    columns: Option<String>,
    is_watched: bool,
}

/// Analyzes an entity's table. Where autovacuum watches it, a small sample is enough for the first
/// minute: with its columns named, ANALYZE leaves the counter of changes as it is, so that autovacuum
/// takes the full sample at its next turn. PostgreSQL source, `analyze.c`, call of
/// `pgstat_report_analyze`.
pub async fn analyze(connection: &mut PgConnection, entity_no: i32) -> Result<(), Failure> {
    let sql = format!(
        "select format('%I.%I', n.nspname, c.relname) as table, \
                (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a \
                 where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns, \
                current_setting('autovacuum')::boolean and current_setting('track_counts')::boolean \
                    and c.relkind = 'r' and not exists (select from pg_options_to_table(c.reloptions) o \
                        where o.option_name = 'autovacuum_enabled' and not o.option_value::boolean) as is_watched \
         from drover.entity e join pg_namespace n on n.nspname = e.destination_schema \
         join pg_class c on c.relnamespace = n.oid and c.relname = e.destination_table \
         where e.entity_no = {entity_no}"
    );
    let rows = fetch_sql(&mut *connection, &sql).await;
    let rows = rows.during("name the table")?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound);
    let target = row.and_then(Target::from_row).during("name the table")?;
    run_sql(connection, &statement(&target))
        .await
        .during("analyze the table")
}

fn statement(target: &Target) -> String {
    match &target.columns {
        Some(columns) if target.is_watched => format!(
            "begin; set local default_statistics_target = {QUICK}; analyze {} ({columns}); commit",
            target.table
        ),
        _ => format!("analyze {}", target.table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_nobody_watches_gets_the_full_sample() {
        let mut target = Target {
            table: "public.t".to_owned(),
            columns: Some("a, \"B\"".to_owned()),
            is_watched: true,
        };
        assert_eq!(
            statement(&target),
            "begin; set local default_statistics_target = 10; analyze public.t (a, \"B\"); commit"
        );
        target.is_watched = false;
        assert_eq!(statement(&target), "analyze public.t");
    }
}
