//! What others do at the databases, and the preflight over gRPC.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use drover_tests::cluster::Cluster;
use drover_tests::pair::Pair;
use sqlx::Executor;
use tokio::time::Instant;

use super::{check, new_role, preflight, url_as};

const LEGACY: &str = "
create table item (id int primary key, name text);
insert into item select n, 'n' || n from generate_series(1, 10) n;
";
const APP: &str = "create table item (id uuid primary key, name text);";
const PLAN: &str = "
entities:
- entity: items
  source_entity: item
  destination_entity: item
  entity_type: item
  transformation_rules: {name: [{col: name}]}
";

/// Waits until a transaction is as old as the preflight calls long.
async fn until_long(pair: &Pair) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let old = "select count(*) from pg_stat_activity where datname = current_database() \
               and xact_start < clock_timestamp() - interval '11 seconds'";
    loop {
        if pair.legacy.number(old).await? > 0 && pair.app.number(old).await? > 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no transaction grew old");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn transactions_that_last_and_what_they_lock_are_told_with_their_backends() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    let plan = pair.write(PLAN)?;
    let calm = preflight(&pair.env(), &plan, &[], 0).await?;
    for (place, name) in [
        ("source", "long_transactions"),
        ("destination", "locks"),
        ("source", "pooler"),
        ("destination", "pooler"),
        ("lease_store", "reachable"),
    ] {
        let (verdict, words) = check(&calm, place, name);
        ensure!(verdict == "pass", "{place} {name}: {words}");
    }

    let (mut reader, mut writer) = (pair.legacy.connect().await, pair.app.connect().await);
    reader
        .execute("begin isolation level repeatable read; select count(*) from item")
        .await?;
    writer
        .execute("begin; insert into item values (gen_random_uuid(), 'x')")
        .await?;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut writer)
        .await?;
    until_long(&pair).await?;
    let found = preflight(&pair.env(), &plan, &[], 0).await?;
    let (verdict, words) = check(&found, "source", "long_transactions");
    ensure!(verdict == "warn" && words.contains("backend"), "{words}");
    let (verdict, words) = check(&found, "destination", "locks");
    ensure!(
        verdict == "warn"
            && words.contains(&format!("backend {pid} holds RowExclusiveLock on item")),
        "{words}"
    );
    ensure!(
        found["checks"]
            .to_string()
            .contains(&format!("select pg_terminate_backend({pid});")),
        "{found}"
    );
    Ok(())
}

#[tokio::test]
async fn a_role_without_places_or_with_a_timeout_is_blocked_and_so_is_its_run() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    let plan = pair.write(PLAN)?;
    let reader = new_role(&pair.legacy).await?;
    let give = format!("grant select on item to {reader}; alter role {reader} connection limit 3");
    pair.legacy.run(&give).await?;
    let env = [
        (
            "DROVER_CONNECTION_LEGACY".to_owned(),
            url_as(&pair.legacy, &reader),
        ),
        ("DROVER_CONNECTION_APP".to_owned(), pair.app.url()),
    ];
    let found = preflight(&env, &plan, &["--sample", "0"], 8).await?;
    let (verdict, words) = check(&found, "source", "connections");
    ensure!(
        verdict == "block" && words.contains("free of the role"),
        "{words}"
    );
    let run = drover_tests::drover::run(&["run", &plan], &env).await?;
    ensure!(
        run.code == Some(1) && run.stderr.contains("free of the role"),
        "{:?} {}",
        run.code,
        run.stderr
    );
    let more = format!(
        "alter role {reader} connection limit -1; alter role {reader} set idle_session_timeout = '5s'"
    );
    pair.legacy.run(&more).await?;
    let found = preflight(&env, &plan, &[], 0).await?;
    let (verdict, words) = check(&found, "source", "timeouts");
    ensure!(
        verdict == "warn" && words.contains("idle_session_timeout of 5000 ms"),
        "{words}"
    );
    Ok(())
}

#[tokio::test]
async fn a_cluster_answers_with_the_preflight_and_refuses_a_start_that_it_blocks() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    let plan = pair.write(PLAN)?;
    let reader = new_role(&pair.legacy).await?;
    let right = |verb: &str, word: &str| format!("{verb} select on item {word} {reader}");
    pair.legacy.run(&right("grant", "to")).await?;
    let connections = vec![
        (
            "DROVER_CONNECTION_LEGACY".to_owned(),
            url_as(&pair.legacy, &reader),
        ),
        ("DROVER_CONNECTION_APP".to_owned(), pair.app.url()),
    ];
    let cluster = Cluster::start(&[("eu-1", "eu")], connections).await?;
    let found = cluster.json(&["migration", "plan", "-f", &plan]).await?;
    let (verdict, words) = check(&found, "lease_store", "reachable");
    ensure!(
        verdict == "pass" && words.starts_with("etcd answers in"),
        "{words}"
    );
    ensure!(found["trials"][0]["fit"] == 10, "{found}");
    ensure!(found["entities"][0]["entity"] == "items", "{found}");
    let script = cluster
        .drover(&["migration", "plan", "-f", &plan, "--grants", "source"])
        .await?;
    ensure!(
        script
            .stdout
            .contains("grant select on \"public\".\"item\""),
        "{}",
        script.stderr
    );
    cluster.json(&["migration", "create", "-f", &plan]).await?;

    pair.legacy.run(&right("revoke", "from")).await?;
    let blocked = cluster.drover(&["migration", "plan", "-f", &plan]).await?;
    ensure!(
        blocked.code == Some(8) && blocked.stderr.contains("source grants"),
        "{:?} {}",
        blocked.code,
        blocked.stderr
    );
    let start = cluster.drover(&["migration", "start", "pair"]).await?;
    ensure!(
        start.code == Some(5) && start.stderr.contains("may not read item"),
        "{:?} {}",
        start.code,
        start.stderr
    );
    let pending = cluster.json(&["migration", "get", "pair"]).await?;
    ensure!(pending["status"] == "pending", "{pending}");

    pair.legacy.run(&right("grant", "to")).await?;
    cluster.json(&["migration", "start", "pair"]).await?;
    let done = cluster
        .drover(&["migration", "wait", "pair", "--for=state=completed"])
        .await?;
    ensure!(done.code == Some(0), "{}", done.stderr);
    let rows = pair.app.number("select count(*) from item").await?;
    (rows == 10).then_some(()).context("ten rows")
}
