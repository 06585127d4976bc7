//! Settings change while a migration runs, and stay changed.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use super::*;

#[tokio::test]
async fn settings_take_effect_at_once_and_outlive_a_controller() -> Result<()> {
    // 3,900 rows would take more than ten minutes.
    let head =
        "defaults: {max_quarantined: 100%, batch_size: 20}\nlimits: {max_rows_per_second: 6}";
    let (pair, path) = shop(head).await?;
    let mut cluster = started(&pair, &path).await?;
    cluster.until_processed(3).await?;
    for (wrong, words) in [
        ("batch_size=0", "whole number"),
        ("consistency=none", "there is no setting"),
    ] {
        let refused = cluster.drover(&["migration", "set", "pair", wrong]).await?;
        let refused = must(refused, 2, &cluster)?;
        ensure!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    let set = [
        "migration",
        "set",
        "pair",
        "batch_size=10",
        "max_rows_per_second=none",
    ];
    must(cluster.drover(&set).await?, 0, &cluster)?;
    let of_orders = [
        "migration",
        "set",
        "pair",
        "batch_size=7",
        "--entity",
        "orders",
    ];
    must(cluster.drover(&of_orders).await?, 0, &cluster)?;
    let begun = Instant::now();
    cluster.restart_controller().await?;
    cluster.until_agents(2).await?;
    until(&cluster, "completed").await?;
    ensure!(
        begun.elapsed() < Duration::from_secs(90),
        "{:?}",
        begun.elapsed()
    );
    let get = cluster.json(&["migration", "get", "pair"]).await?;
    let overrides = &get["configuration"]["overrides"];
    assert_eq!(overrides["max_rows_per_second"], "none", "{overrides}");
    assert_eq!(overrides["batch_size"]["*"], 10.0, "{overrides}");
    assert_eq!(overrides["batch_size"]["orders"], 7.0, "{overrides}");
    let entities = get["entities"].as_array().cloned().unwrap_or_default();
    let orders = entities
        .iter()
        .find(|it| it["entity"] == "orders")
        .cloned()
        .unwrap_or_default();
    assert_eq!(orders["batch_size"], 7, "{orders}");
    must(cluster.drover(&set).await?, 4, &cluster)?;
    Ok(())
}
