//! How far replication lags: a source that is a replica, or the replicas of one that is none.

use std::time::Duration;

use proto::domain::failure::Failure;

use crate::connect::{Purpose, open};
use crate::failure::During;
use crate::patience::{InTime, READ};
use crate::pool::Server;

/// How far the source is behind its primary, or else its slowest replica behind it.
pub async fn read_lag(source: &Server) -> Result<Duration, Failure> {
    let mut connection = open(source, Purpose::Read).await?;
    let seconds: f64 = sqlx::query_scalar(
        "select coalesce(extract(epoch from case \
                when not pg_is_in_recovery() then (select max(replay_lag) from pg_stat_replication) \
                when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then interval '0' \
                else clock_timestamp() - pg_last_xact_replay_timestamp() end), 0)::float8",
    )
    .fetch_one(&mut connection)
    .in_time(READ)
    .await
    .during("read the source's replication lag")?;
    source.give_back(Purpose::Read, connection).await;
    Ok(Duration::from_secs_f64(seconds.max(0.0)))
}
