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
    /// When the statistics were last reset, which a crash does too; on a standby the position of replay.
    pub stats_reset: Option<String>,
    /// Per table: inserts, updates, deletes, a figure of the files behind it.
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

    /// The statistics were reset in between: nothing can be told of any table.
    pub fn is_reset_since(&self, earlier: &Self) -> bool {
        self.stats_reset != earlier.stats_reset
    }
}

/// Reads the counters of the given tables.
pub async fn read_activity(
    connection: &mut PgConnection,
    tables: &[TableName],
) -> Result<SourceActivity, Failure> {
    // A crash, a reset, and on a standby any replay at all, count as a change of everything.
    let stats_reset = sqlx::query_scalar(
        "select concat_ws(' ', d.stats_reset, (select stats_reset from pg_stat_bgwriter), \
                case when pg_is_in_recovery() then pg_last_wal_replay_lsn()::text end) \
         from pg_stat_database d where d.datname = current_database()",
    )
    .fetch_one(&mut *connection)
    .await
    .during("read the source's statistics")?;
    let mut activity = SourceActivity {
        stats_reset,
        ..SourceActivity::default()
    };
    for table in tables {
        // Partitions and inheriting tables have the counters; their parent has none.
        let figures: (i64, i64, i64, i64) = sqlx::query_as(
            "with recursive member(oid) as ( \
                 select $1::regclass::oid \
                 union select i.inhrelid from pg_inherits i join member m on i.inhparent = m.oid) \
             select coalesce(sum(pg_stat_get_tuples_inserted(oid)), 0)::bigint, \
                    coalesce(sum(pg_stat_get_tuples_updated(oid)), 0)::bigint, \
                    coalesce(sum(pg_stat_get_tuples_deleted(oid)), 0)::bigint, \
                    hashtextextended(string_agg(concat(oid, ':', pg_relation_filenode(oid)), ',' order by oid), 0) \
             from member",
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

/// Waits until every session of this database has ended its transaction and reported its counters, or is
/// gone; false when that cannot be seen in time. Other databases of the server do not matter: a session
/// writes to the one it is connected to.
pub async fn wait_for_reports(connection: &mut PgConnection) -> Result<bool, Failure> {
    let deadline = Instant::now() + FLUSH_DEADLINE;
    loop {
        // From version 15 on an idle session reports within ten seconds; before, it may never.
        let is_quiet: bool = sqlx::query_scalar(
            "select current_setting('track_counts')::boolean \
                and not exists (select from pg_prepared_xacts where database = current_database()) \
                and not exists ( \
                    select from pg_stat_activity a \
                    where a.datname = current_database() and a.pid <> pg_backend_pid() \
                      and coalesce(a.backend_type, '') not in ('walsender', 'checkpointer', 'background writer', 'walwriter', \
                          'autovacuum launcher', 'autovacuum worker', 'logical replication launcher', 'archiver', 'startup') \
                      and coalesce(a.application_name, '') not like 'drover %' \
                      and not coalesce(a.state = 'idle' and a.state_change < clock_timestamp() - interval '11 seconds' \
                                       and current_setting('server_version_num')::integer >= 150000, false))",
        )
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
