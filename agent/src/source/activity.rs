//! Whether the source's tables were written to between two moments.
//!
//! Counters of inserts, updates and deletes, and the file behind each table (TRUNCATE and rewrites
//! change it). A session reports its counters late, so a look that must not miss a write waits until
//! every session has reported or ended. PostgreSQL manual, "The Cumulative Statistics System".

use std::collections::BTreeMap;
use std::time::Duration;

use proto::domain::catalog::TableName;
use proto::domain::failure::Failure;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use crate::failure::During;

/// How long a look waits for other sessions to report.
const FLUSH_DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(250);

/// Write counters of tables at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceActivity {
    /// When the database's statistics were last reset; changes after a crash.
    pub stats_reset: Option<String>,
    /// Per table: inserts, updates, deletes, file number.
    pub tables: BTreeMap<String, [i64; 4]>,
}

impl SourceActivity {
    /// Tables whose figures differ; all of them when the statistics were reset in between.
    pub fn changed_since(&self, earlier: &Self) -> Vec<TableName> {
        let names = self.tables.keys().chain(earlier.tables.keys());
        let mut changed: Vec<TableName> = names
            .filter(|name| {
                self.stats_reset != earlier.stats_reset
                    || self.tables.get(*name) != earlier.tables.get(*name)
            })
            .map(|name| TableName::parse(name))
            .collect();
        changed.sort();
        changed.dedup();
        changed
    }
}

/// Reads the counters of the given tables.
pub async fn read_activity(
    connection: &mut PgConnection,
    tables: &[TableName],
) -> Result<SourceActivity, Failure> {
    let stats_reset = sqlx::query_scalar(
        "select stats_reset::text from pg_stat_database where datname = current_database()",
    )
    .fetch_one(&mut *connection)
    .await
    .during("read the source's statistics")?;
    let mut activity = SourceActivity {
        stats_reset,
        ..SourceActivity::default()
    };
    for table in tables {
        let figures: (i64, i64, i64, i64) = sqlx::query_as(
            "select coalesce(pg_stat_get_tuples_inserted(c.oid), 0), coalesce(pg_stat_get_tuples_updated(c.oid), 0), \
                    coalesce(pg_stat_get_tuples_deleted(c.oid), 0), coalesce(pg_relation_filenode(c.oid), 0)::bigint \
             from pg_class c where c.oid = $1::regclass",
        )
        .bind(table.quoted())
        .fetch_one(&mut *connection)
        .await
        .during("read the source's statistics")?;
        let name = format!("{}.{}", table.schema, table.name);
        activity
            .tables
            .insert(name, [figures.0, figures.1, figures.2, figures.3]);
    }
    Ok(activity)
}

/// Waits until no transaction older than `xmax` is left and every session that was there has
/// reported its counters or ended; false when that cannot be seen in time.
pub async fn wait_for_reports(connection: &mut PgConnection, xmax: &str) -> Result<bool, Failure> {
    let deadline = Instant::now() + FLUSH_DEADLINE;
    loop {
        // From version 15 on an idle session reports within ten seconds; before, it may never.
        let is_quiet: bool = sqlx::query_scalar(
            "select pg_snapshot_xmin(pg_current_snapshot())::text::numeric >= $1::numeric \
                and not exists ( \
                    select from pg_stat_activity a \
                    where a.datname = current_database() and a.pid <> pg_backend_pid() \
                      and coalesce(a.backend_type, 'client backend') in ('client backend', 'logical replication worker') \
                      and coalesce(a.application_name, '') not like 'drover %' \
                      and not coalesce(a.state = 'idle' and a.state_change < clock_timestamp() - interval '11 seconds' \
                                       and current_setting('server_version_num')::integer >= 150000, false))",
        )
        .bind(xmax)
        .fetch_one(&mut *connection)
        .await
        .during("wait for the source's sessions")?;
        if is_quiet {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(reset: &str, figures: [i64; 4]) -> SourceActivity {
        let tables = BTreeMap::from([("public.t".to_owned(), figures)]);
        SourceActivity {
            stats_reset: Some(reset.to_owned()),
            tables,
        }
    }

    #[test]
    fn any_counter_the_file_or_a_reset_is_a_change() {
        let before = activity("a", [1, 2, 3, 100]);
        assert!(before.changed_since(&before).is_empty());
        for after in [
            activity("a", [2, 2, 3, 100]),
            activity("a", [1, 2, 3, 101]),
            activity("b", [1, 2, 3, 100]),
        ] {
            assert_eq!(after.changed_since(&before), [TableName::parse("t")]);
        }
    }
}
