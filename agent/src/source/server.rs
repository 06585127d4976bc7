//! A server as a session of ours sees it: version, role, limits, timeouts, and whether the session is one.

use std::collections::BTreeMap;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::preflight::{LongTransaction, Prepared, ReplicaFacts, ServerFacts};
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use sqlx::{FromRow, Row as _};

use crate::connect::{Purpose, fetch_sql, open, run_sql};
use crate::failure::During;
use crate::pool::Server;

/// Transactions that last longer are told, in seconds.
const LONG: i32 = 10;

/// Role, limits and settings in one row. `client_min_messages` is one of the settings that every session of
/// ours asks for at its login.
const SERVER: &str = r"
select current_setting('server_version_num')::bigint as version, current_setting('server_encoding') as encoding,
       current_database()::text as database, current_user::text as role,
       r.rolsuper as is_superuser, r.rolsuper or r.rolbypassrls as bypasses_rls,
       (select coalesce(jsonb_object_agg(s.name, s.setting::bigint), '{}') from pg_settings s
        where s.name in ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout',
                         'idle_session_timeout', 'lock_timeout')) as timeouts,
       current_setting('client_min_messages') = 'warning' as keeps_login,
       current_setting('max_connections')::bigint as max_connections,
       current_setting('superuser_reserved_connections')::bigint
           + coalesce(current_setting('reserved_connections', true)::bigint, 0) as reserved_connections,
       a.used as used_connections,
       case when r.rolsuper or r.rolconnlimit < 0 then -1
            else greatest(r.rolconnlimit - a.of_role, 0) end as role_connections,
       case when r.rolsuper or d.datconnlimit < 0 then -1
            else greatest(d.datconnlimit - a.of_database, 0) end as database_connections,
       pg_has_role('pg_read_all_stats', 'usage') as sees_activity,
       has_database_privilege(d.oid, 'temporary') as can_stage,
       has_database_privilege(d.oid, 'create') as can_create,
       (select pg_has_role(n.nspowner, 'usage') from pg_namespace n where n.nspname = 'drover') as owns_drover,
       pg_database_size(d.oid) as bytes
from pg_roles r, pg_database d,
     (select count(*) as used, count(*) filter (where usename = current_user) as of_role,
             count(*) filter (where datname = current_database()) as of_database
      from pg_stat_activity where backend_type = 'client backend') a
where r.rolname = current_user and d.datname = current_database()";

#[derive(Debug, FromRow)]
struct Row {
    version: i64,
    encoding: String,
    database: String,
    role: String,
    is_superuser: bool,
    bypasses_rls: bool,
    timeouts: Json<BTreeMap<String, i64>>,
    keeps_login: bool,
    max_connections: i64,
    reserved_connections: i64,
    used_connections: i64,
    role_connections: i64,
    database_connections: i64,
    sees_activity: bool,
    can_stage: bool,
    can_create: bool,
    owns_drover: Option<bool>,
    bytes: i64,
}

/// The server behind a connection, in one round trip: that its sessions last is taken for granted, and what
/// others do there is not looked at.
pub async fn read_server(connection: &mut PgConnection) -> Result<ServerFacts, Failure> {
    let row: Row = sqlx::query_as(SERVER)
        .fetch_one(&mut *connection)
        .await
        .during("look at the server")?;
    Ok(ServerFacts {
        version: u32::try_from(row.version).unwrap_or_default(),
        encoding: row.encoding,
        database: row.database,
        role: row.role,
        is_superuser: row.is_superuser,
        bypasses_rls: row.bypasses_rls,
        timeouts: row.timeouts.0,
        keeps_login: row.keeps_login,
        keeps_session: true,
        max_connections: row.max_connections,
        reserved_connections: row.reserved_connections,
        used_connections: row.used_connections,
        role_connections: row.role_connections,
        database_connections: row.database_connections,
        sees_activity: row.sees_activity,
        can_stage: row.can_stage,
        can_create: row.can_create,
        owns_drover: row.owns_drover,
        bytes: row.bytes,
        ..ServerFacts::default()
    })
}

/// Whether a session has its backend for itself. A pooler in transaction mode gives the backend of a session
/// that is idle to the next one: a second session takes it into a transaction, then the first looks around.
pub async fn keeps_session(
    server: &Server,
    purpose: Purpose,
    connection: &mut PgConnection,
) -> Result<bool, Failure> {
    let action = "look whether sessions last";
    let mut other = match open(server, purpose).await {
        Ok(other) => other,
        // No place is left for a second one: that is told elsewhere.
        Err(failure)
            if matches!(
                failure.kind,
                FailureKind::Busy | FailureKind::Exhausted | FailureKind::Unreachable
            ) =>
        {
            return Ok(true);
        }
        Err(failure) => return Err(failure),
    };
    let mark = format!("set drover.mark = '{}'", rand::random::<u32>());
    run_sql(connection, &mark).await.during(action)?;
    let (mark, pid) = look(connection).await.during(action)?;
    run_sql(&mut other, "begin").await.during(action)?;
    let (_, of_other) = look(&mut other).await.during(action)?;
    let again = look(connection).await.during(action)?;
    run_sql(&mut other, "rollback").await.during(action)?;
    run_sql(connection, "reset drover.mark")
        .await
        .during(action)?;
    server.give_back(purpose, other).await;
    Ok(again == (mark, pid) && pid != of_other)
}

/// By the simple protocol: a pooler takes prepared statements amiss, or hides behind its own.
async fn look(connection: &mut PgConnection) -> Result<(Option<String>, i32), sqlx::Error> {
    let sql = "select current_setting('drover.mark', true), pg_backend_pid()";
    let rows = fetch_sql(connection, sql).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Adds what others do at the server: transactions that last, prepared ones, replay.
pub async fn read_activity(
    connection: &mut PgConnection,
    facts: &mut ServerFacts,
) -> Result<(), Failure> {
    let long: Vec<(i32, String, String, i64)> = sqlx::query_as(
        "select pid, coalesce(usename::text, ''), coalesce(application_name, ''), \
                extract(epoch from clock_timestamp() - xact_start)::bigint \
         from pg_stat_activity \
         where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend' \
           and coalesce(application_name, '') not like 'drover %' \
           and xact_start < clock_timestamp() - make_interval(secs => $1) order by xact_start",
    )
    .bind(f64::from(LONG))
    .fetch_all(&mut *connection)
    .await
    .during("look at transactions")?;
    facts.long_transactions = long
        .into_iter()
        .map(|(pid, role, application, seconds)| LongTransaction {
            pid,
            role,
            application,
            seconds,
        })
        .collect();
    let prepared: Vec<(String, i64)> = sqlx::query_as(
        "select gid, extract(epoch from clock_timestamp() - prepared)::bigint from pg_prepared_xacts \
         where database = current_database() order by prepared",
    )
    .fetch_all(&mut *connection)
    .await
    .during("look at prepared transactions")?;
    facts.prepared = prepared
        .into_iter()
        .map(|(gid, seconds)| Prepared { gid, seconds })
        .collect();
    let replica: Option<(bool, i64, i64)> = sqlx::query_as(
        "select current_setting('hot_standby_feedback')::boolean, \
                (select setting::bigint from pg_settings where name = 'max_standby_streaming_delay'), \
                coalesce(extract(epoch from case \
                    when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then interval '0' \
                    else clock_timestamp() - pg_last_xact_replay_timestamp() end), 0)::bigint \
         where pg_is_in_recovery()",
    )
    .fetch_optional(connection)
    .await
    .during("look at replication")?;
    facts.replica = replica.map(
        |(has_feedback, cancel_after_ms, lag_seconds)| ReplicaFacts {
            has_feedback,
            cancel_after_ms,
            lag_seconds,
        },
    );
    Ok(())
}
