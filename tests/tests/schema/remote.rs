//! The same by a controller and its agents.

use anyhow::{Result, ensure};
use drover_tests::cluster::Cluster;
use drover_tests::pair::Pair;

use super::{cleanup_plan, must_be, state};

#[tokio::test]
async fn a_cluster_changes_a_schema_and_takes_it_back() -> Result<()> {
    let pair = Pair::new(
        "",
        "create table t (id int primary key, c text default 'x', w int); insert into t select i, 'v' || i, i from generate_series(1, 20000) i",
    )
    .await?;
    let before = state(&pair).await?;
    let mut cluster = Cluster::start(&[("eu-1", "eu"), ("us-1", "us")], pair.env()).await?;
    let plan = cleanup_plan(&[
        "operation_type: add_column, table_name: t, column_name: d, type: int".to_owned(),
        "operation_type: drop_column, table_name: t, column_name: c".to_owned(),
        "operation_type: modify_column, table_name: t, column_name: w, type: bigint".to_owned(),
    ]);
    let path = pair.write_as("cleanup.yaml", &plan)?;
    let planned = cluster.json(&["schema", "plan", "-f", &path]).await?;
    ensure!(
        planned["items"][2]["confirmation"] == "--yes --confirm t.w",
        "{planned:#}"
    );
    cluster.json(&["migration", "create", "-f", &path]).await?;
    let created = cluster.json(&["migration", "get", "pair"]).await?;
    ensure!(
        created.to_string().contains("schema_cleanup"),
        "{created:#}"
    );
    cluster.json(&["migration", "start", "pair"]).await?;
    let blocked = cluster
        .drover(&[
            "migration",
            "wait",
            "pair",
            "--for=state=blocked",
            "--wait-timeout",
            "60s",
        ])
        .await?;
    ensure!(
        blocked.code == Some(0),
        "{}\n{}",
        blocked.stderr,
        cluster.logs()
    );
    let shown = cluster.json(&["migration", "get", "pair"]).await?;
    ensure!(
        shown.to_string().contains("t.c is of medium risk"),
        "{shown:#}"
    );
    let refused = cluster
        .drover(&["schema", "apply", "pair", "--yes"])
        .await?;
    ensure!(
        refused.code == Some(4) && refused.stderr.contains("--confirm t.w"),
        "{:?} {}",
        refused.code,
        refused.stderr
    );
    let apply = ["schema", "apply", "pair", "--yes", "--confirm", "t.w"];
    let applied = cluster.json(&apply).await?;
    let states: Vec<String> = applied["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| one["status"].to_string())
        .collect();
    ensure!(
        states.len() == 5 && states.iter().all(|state| state == "\"completed\""),
        "{applied:#}"
    );
    cluster.json(&["migration", "resume", "pair"]).await?;
    let done = cluster
        .drover(&[
            "migration",
            "wait",
            "pair",
            "--for=state=completed",
            "--wait-timeout",
            "60s",
        ])
        .await?;
    ensure!(done.code == Some(0), "{}\n{}", done.stderr, cluster.logs());
    // Another controller knows as much.
    cluster.restart_controller().await?;
    cluster.until_agents(2).await?;
    let status = cluster.json(&["schema", "status", "pair"]).await?;
    ensure!(
        status["items"].as_array().map(Vec::len) == Some(5),
        "{status:#}"
    );
    let undone = cluster
        .drover(&["schema", "rollback", "pair", "--confirm", "pair"])
        .await?;
    ensure!(
        undone.code == Some(0),
        "{}\n{}",
        undone.stderr,
        cluster.logs()
    );
    must_be(&pair, &before).await?;
    let pending = cluster.json(&["migration", "get", "pair"]).await?;
    ensure!(pending.to_string().contains("\"pending\""), "{pending:#}");
    Ok(())
}
