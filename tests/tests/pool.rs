//! Connections of an agent that are used again: only clean ones, and not too many.

use agent::connect::{Purpose, run_sql};
use agent::pool::Server;
use anyhow::Result;
use drover_tests::pg::TestDatabase;
use sqlx::postgres::PgConnection;
use std::time::Duration;
use tokio::time::{Instant, sleep};

async fn server() -> Result<(TestDatabase, Server)> {
    let database = TestDatabase::new().await?;
    let server = Server::new(database.options().await);
    Ok((database, server))
}

async fn backend(connection: &mut PgConnection) -> Result<i32> {
    let pid = sqlx::query_scalar("select pg_backend_pid()");
    Ok(pid.fetch_one(connection).await?)
}

async fn setting(connection: &mut PgConnection, name: &str) -> Result<String> {
    let value = sqlx::query_scalar("select current_setting($1)").bind(name);
    Ok(value.fetch_one(connection).await?)
}

/// Backends of the agent's, once there are as many as expected.
async fn wait_for_backends(database: &TestDatabase, expected: i64) -> Result<()> {
    let sql = "select count(*) from pg_stat_activity \
               where datname = current_database() and application_name like 'drover %'";
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = database.number(sql).await?;
        if found == expected {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "{found} backends, not {expected}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_connection_comes_back_without_what_it_was_told() -> Result<()> {
    let (_database, server) = server().await?;
    let mut first = server.take(Purpose::Build).await?;
    let pid = backend(&mut first).await?;
    let memory = setting(&mut first, "maintenance_work_mem").await?;
    let told = "set application_name = 'drover build x'; set maintenance_work_mem = '5MB'; \
                set search_path = pg_catalog; select pg_advisory_lock(7)";
    run_sql(&mut first, told).await?;
    server.give_back(Purpose::Build, first).await;
    let mut again = server.take(Purpose::Build).await?;
    assert_eq!(backend(&mut again).await?, pid);
    assert_eq!(
        setting(&mut again, "application_name").await?,
        "drover build"
    );
    assert_eq!(setting(&mut again, "maintenance_work_mem").await?, memory);
    assert_ne!(setting(&mut again, "search_path").await?, "pg_catalog");
    let locks =
        "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()";
    let held: i64 = sqlx::query_scalar(locks).fetch_one(&mut again).await?;
    assert_eq!(held, 0);
    Ok(())
}

#[tokio::test]
async fn each_purpose_has_its_own() -> Result<()> {
    let (_database, server) = server().await?;
    let mut writer = server.take(Purpose::Write).await?;
    let pid = backend(&mut writer).await?;
    server.give_back(Purpose::Write, writer).await;
    let mut reader = server.take(Purpose::Read).await?;
    assert_ne!(backend(&mut reader).await?, pid);
    assert_eq!(
        setting(&mut reader, "default_transaction_read_only").await?,
        "on"
    );
    Ok(())
}

#[tokio::test]
async fn a_transaction_never_goes_back() -> Result<()> {
    let (database, server) = server().await?;
    for open in [
        "begin",
        "begin transaction isolation level repeatable read read only; select pg_export_snapshot()",
        "begin; set local application_name = 'drover marked'",
    ] {
        let mut connection = server.take(Purpose::Write).await?;
        run_sql(&mut connection, open).await?;
        server.give_back(Purpose::Write, connection).await;
        wait_for_backends(&database, 0).await?;
    }
    let mut failed = server.take(Purpose::Write).await?;
    run_sql(&mut failed, "begin").await?;
    assert!(run_sql(&mut failed, "select 1 / 0").await.is_err());
    server.give_back(Purpose::Write, failed).await;
    wait_for_backends(&database, 0).await
}

#[tokio::test]
async fn what_is_dropped_is_closed() -> Result<()> {
    let (database, server) = server().await?;
    let mut connection = server.take(Purpose::Write).await?;
    run_sql(&mut connection, "create table t (n integer)").await?;
    let mut copy = connection.copy_in_raw("copy t from stdin").await?;
    copy.send(b"1\n".as_slice()).await?;
    drop(copy);
    drop(connection);
    wait_for_backends(&database, 0).await?;
    assert_eq!(database.number("select count(*) from t").await?, 0);
    Ok(())
}

#[tokio::test]
async fn one_that_died_while_it_waited_is_replaced() -> Result<()> {
    let (database, server) = server().await?;
    let mut first = server.take(Purpose::Write).await?;
    let pid = backend(&mut first).await?;
    server.give_back(Purpose::Write, first).await;
    database
        .run(&format!("select pg_terminate_backend({pid}, 5000)"))
        .await?;
    let mut next = server.take(Purpose::Write).await?;
    assert_ne!(backend(&mut next).await?, pid);
    Ok(())
}

#[tokio::test]
async fn eight_wait_at_most_and_none_after_the_session() -> Result<()> {
    let (database, server) = server().await?;
    let mut taken = Vec::new();
    for _ in 0..10 {
        taken.push(server.take(Purpose::Read).await?);
    }
    wait_for_backends(&database, 10).await?;
    for connection in taken {
        server.give_back(Purpose::Read, connection).await;
    }
    wait_for_backends(&database, 8).await?;
    server.close_old().await;
    wait_for_backends(&database, 8).await?;
    server.close_idle().await;
    wait_for_backends(&database, 0).await
}
