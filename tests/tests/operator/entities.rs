//! Single entities are paused, resumed and skipped while the others go on.

use anyhow::{Result, ensure};

use super::*;

const SLOW: &str = "defaults: {max_quarantined: 100%, batch_size: 10}\nlimits: {max_rows_per_second: 200, parallel_partitions: 2}";

#[tokio::test]
async fn a_paused_entity_stands_still_while_the_run_goes_on_and_a_skipped_one_is_left_out()
-> Result<()> {
    let (pair, path) = shop(SLOW).await?;
    let cluster = started(&pair, &path).await?;
    until_batches(&pair, "orders", 3).await?;
    let pause = [
        "entity",
        "pause",
        "pair",
        "orders",
        "--reason",
        "too early",
        "--wait",
    ];
    must(cluster.drover(&pause).await?, 0, &cluster)?;
    let before = batches(&pair, "orders").await?;
    let get = cluster.json(&["migration", "get", "pair"]).await?;
    ensure!(
        get["next_steps"]
            .to_string()
            .contains("drover entity resume pair orders"),
        "{get}"
    );
    let orders = entity(&get, "orders");
    assert_eq!(
        (&orders["intent"], &orders["intent_reason"]),
        (&"paused".into(), &"too early".into())
    );
    assert_eq!(get["status"], "running");
    // It stays so whatever else is asked: operators' wishes outlive a pause of everything.
    must(
        cluster
            .drover(&["migration", "pause", "pair", "--wait"])
            .await?,
        0,
        &cluster,
    )?;
    must(
        cluster
            .drover(&["migration", "resume", "pair", "--wait"])
            .await?,
        0,
        &cluster,
    )?;
    let set = ["migration", "set", "pair", "max_rows_per_second=none"];
    must(cluster.drover(&set).await?, 0, &cluster)?;
    assert_eq!(batches(&pair, "orders").await?, before);
    let refused = cluster
        .drover(&["entity", "retry", "pair", "items"])
        .await?;
    must(refused, 4, &cluster)?;

    let skip = [
        "entity",
        "skip",
        "pair",
        "items",
        "--reason",
        "not needed",
        "--wait",
    ];
    must(
        cluster.drover(&["entity", "skip", "pair", "items"]).await?,
        2,
        &cluster,
    )?;
    must(cluster.drover(&skip).await?, 0, &cluster)?;
    must(
        cluster
            .drover(&["entity", "resume", "pair", "orders", "--wait"])
            .await?,
        0,
        &cluster,
    )?;
    until(&cluster, "completed").await?;
    let get = cluster.json(&["migration", "get", "pair"]).await?;
    let items = entity(&get, "items");
    assert_eq!(
        (&items["status"], &items["intent_reason"]),
        (&"skipped".into(), &"not needed".into())
    );
    assert_eq!(entity(&get, "orders")["status"], "completed");
    assert_eq!(pair.app.number("select count(*) from items").await?, 0);
    assert_eq!(pair.app.number("select count(*) from orders").await?, 1187);
    // Its keys are back all the same.
    let keys = "select count(*) from pg_constraint where conrelid = 'items'::regclass and contype in ('p', 'f')";
    assert_eq!(pair.app.number(keys).await?, 2);
    let refused = cluster
        .drover(&["entity", "pause", "pair", "orders"])
        .await?;
    let refused = must(refused, 4, &cluster)?;
    ensure!(refused.stderr.contains("completed"), "{}", refused.stderr);
    Ok(())
}

#[tokio::test]
async fn an_entity_that_blocks_the_run_is_skipped_with_its_rows_or_tried_again() -> Result<()> {
    let (pair, path) = shop("defaults: {max_quarantined: 0, batch_size: 50}").await?;
    let run = drover::run(&["run", &path], &pair.env()).await?;
    ensure!(run.code == Some(9), "{:?} {}", run.code, run.stderr);
    let written = pair.app.number("select count(*) from customers").await?;
    here(
        &pair,
        &["entity", "skip", "pair", "customers", "--reason", "by hand"],
        0,
    )
    .await?;
    let get = here(&pair, &["migration", "get", "pair"], 0).await?;
    ensure!(
        get.stdout.contains("customers skipped by "),
        "{}",
        get.stdout
    );
    // Orders go on without their customers: the foreign key cannot be put back, which is said.
    let run = drover::run(&["run", &path], &pair.env()).await?;
    ensure!(
        matches!(run.code, Some(8 | 9)),
        "{:?} {}",
        run.code,
        run.stderr
    );
    let orders = pair.app.number("select count(*) from orders").await?;
    ensure!(orders > 0, "{}", run.stderr);
    assert_eq!(
        pair.app.number("select count(*) from customers").await?,
        written
    );
    // It comes in again, with the limit raised.
    here(&pair, &["entity", "resume", "pair", "customers"], 0).await?;
    here(
        &pair,
        &["migration", "set", "pair", "max_quarantined=100%"],
        0,
    )
    .await?;
    let run = drover::run(&["run", &path], &pair.env()).await?;
    ensure!(
        matches!(run.code, Some(0 | 8)),
        "{:?} {}",
        run.code,
        run.stderr
    );
    assert_eq!(
        pair.app.number("select count(*) from customers").await?,
        297
    );
    Ok(())
}

fn entity(get: &serde_json::Value, name: &str) -> serde_json::Value {
    let all = get["entities"].as_array().cloned().unwrap_or_default();
    let found = all.into_iter().find(|entity| entity["entity"] == name);
    found.unwrap_or_default()
}

/// Waits until an entity has so many batches.
async fn until_batches(pair: &Pair, entity: &str, count: i64) -> Result<()> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let installed = "select count(*) from pg_class where relname = 'ledger' and relnamespace = to_regnamespace('drover')";
    loop {
        if pair.app.number(installed).await? > 0 && batches(pair, entity).await? >= count {
            return Ok(());
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "{entity} does not get on"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
